/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM's processes. They are planned here (who gets which fd under which number, as which uid), then
 * started by a child that becomes their keeper:
 *
 *   this process ── fork ──▶ child ── isolate_spawn() each ──▶ exec cordon-keeper
 *
 * so that their parent is there for as long as they are, whatever becomes of the daemon: it gets every
 * exit status, it can kill without mistaking a pid, and it starts the clean-up. The child reports each
 * pid, or what failed, on a pipe that the exec closes.
 */
#include "cordon/launch.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/base.h"

/* Numbers of the vmm's fds; its device sockets follow. */
enum {
	VMM_FD_KVM = 3,
	VMM_FD_MEMORY,
	VMM_FD_KERNEL,
	VMM_FD_INITRD,
	VMM_FD_CONTROL,
	VMM_FD_CONSOLE,
	VMM_FD_SERIAL_LOG,
	VMM_FD_DEVICES
};
enum { DEVICE_FD_VHOST = 3, DEVICE_FD_BACKEND = 4 };

enum { SPAWN_LOG_SLACK = 4 * 1024 * 1024, SPAWN_OPEN_FILES = 256, SPAWN_DNSMASQ_FILES = 64 };

struct spawn_plan {
	char role[16];
	int binary;
	char *argv[LAUNCH_ARGS_MAX];
	size_t argc;
	struct isolate_fd fds[LAUNCH_FDS_MAX];
	size_t fd_count;
	struct firewall_dnsmasq *dnsmasq; /* owned: its argv and binds */
	struct isolate_process process;
};

struct spawn {
	struct spawn_plan plans[HOST_PROCESSES_MAX];
	size_t count;
	int sockets[LAUNCH_DEVICES_MAX]; /* the vmm's ends */
	size_t socket_count;
	struct host_error *error;
};

struct spawn_report {
	pid_t pid; /* or a negative errno */
	uint32_t plan;
	char stage[32];
};

static void spawn_free(struct spawn **spawn)
{
	if (!*spawn)
		return;
	for (size_t i = 0; i < (*spawn)->count; i++) {
		struct spawn_plan *plan = &(*spawn)->plans[i];

		for (size_t k = 0; k < plan->argc; k++)
			free(plan->argv[k]);
		base_close(&plan->binary);
		free(plan->dnsmasq);
		for (size_t k = 0; k < plan->fd_count; k++)
			if (plan->fds[k].to == DEVICE_FD_VHOST && strcmp(plan->role, "vmm") != 0)
				close(plan->fds[k].from); /* the device's end of its socket pair */
	}
	for (size_t i = 0; i < (*spawn)->socket_count; i++)
		close((*spawn)->sockets[i]);
	free(*spawn);
}

static void spawn_arg(struct spawn_plan *plan, const char *format, ...) BASE_PRINTF(2, 3);

static void spawn_arg(struct spawn_plan *plan, const char *format, ...)
{
	va_list list;

	if (plan->argc + 1 >= LAUNCH_ARGS_MAX)
		return; /* the caps on devices keep every plan well below */
	va_start(list, format);
	if (vasprintf(&plan->argv[plan->argc], format, list) >= 0)
		plan->argc++;
	va_end(list);
	plan->argv[plan->argc] = NULL;
}

static void spawn_fd(struct spawn_plan *plan, int from, int to)
{
	if (plan->fd_count < LAUNCH_FDS_MAX)
		plan->fds[plan->fd_count++] = (struct isolate_fd){.from = from, .to = to};
}

/* Takes over the binary's fd. */
static struct spawn_plan *spawn_plan_add(struct spawn *spawn, const struct launch *launch,
                                         const struct host_vm *vm, int binary, const char *role)
{
	struct spawn_plan *plan = &spawn->plans[spawn->count];

	if (binary < 0)
		return NULL; /* said already */
	if (spawn->count >= HOST_PROCESSES_MAX) {
		close(binary);
		host_fail(spawn->error, -E2BIG, 126, "'%s' has too many devices", vm->name);
		return NULL;
	}
	plan->binary = binary;
	base_copy_string(plan->role, sizeof(plan->role), role);
	plan->process = (struct isolate_process){
	        .name = plan->role,
	        .binary = plan->binary,
	        .argv = plan->argv,
	        .uid = isolate_uid(vm->slot, (uint32_t)spawn->count),
	        .gid = isolate_uid(vm->slot, (uint32_t)spawn->count),
	        .fds = plan->fds,
	        .cgroup = launch->cgroup,
	        .flags = ISOLATE_PDEATHSIG,
	        .file_size_max = VMM_SERIAL_LOG_MAX + SPAWN_LOG_SLACK,
	};
	spawn_fd(plan, launch->log, STDERR_FILENO);
	spawn->count++;
	return plan;
}

/* A device's process: one end of a vhost-user socket pair, and its one back-end fd (or -1). */
static struct spawn_plan *spawn_device(struct spawn *spawn, const struct launch *launch,
                                       const struct host_vm *vm, const char *type, size_t number,
                                       int backend)
{
	char program[32], role[16];
	struct spawn_plan *plan;
	int pair[2];

	snprintf(program, sizeof(program), "cordon-%s", type);
	snprintf(role, sizeof(role), "%s%zu", type, number);
	plan = spawn_plan_add(spawn, launch, vm, programs_open(program, spawn->error), role);
	if (!plan)
		return NULL;
	spawn_arg(plan, "%s", program);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		host_fail(spawn->error, -errno, 125, "no socket pair for %s: %s", role,
		          strerror(errno));
		return NULL;
	}
	spawn->sockets[spawn->socket_count++] = pair[0];
	spawn_fd(plan, pair[1], DEVICE_FD_VHOST);
	spawn_arg(plan, "--vhost");
	spawn_arg(plan, "%d", DEVICE_FD_VHOST);
	if (backend >= 0)
		spawn_fd(plan, backend, DEVICE_FD_BACKEND);
	return plan;
}

static int spawn_disk(struct spawn *spawn, const struct launch *launch, const struct host_vm *vm,
                      size_t i)
{
	const struct policy_disk *disk = &launch->policy->vm.disks[i];
	struct spawn_plan *plan = spawn_device(spawn, launch, vm, "blk", i, launch->disks[i]);

	if (!plan)
		return spawn->error->code;
	/* RLIMIT_FSIZE is about offsets: a disk's last sector has to be below it. */
	plan->process.file_size_max = BASE_MAX(launch->disk_size_max, plan->process.file_size_max);
	spawn_arg(plan, "--disk");
	spawn_arg(plan, "%d", DEVICE_FD_BACKEND);
	if (launch->disk_read_only[i])
		spawn_arg(plan, "--read-only");
	if (i < launch->policy->vm.disk_count && disk->serial[0]) {
		spawn_arg(plan, "--serial");
		spawn_arg(plan, "%s", disk->serial);
	}
	if (i < launch->policy->vm.disk_count && disk->limit.bandwidth) {
		spawn_arg(plan, "--bandwidth");
		spawn_arg(plan, "%llu", (unsigned long long)disk->limit.bandwidth);
	}
	if (i < launch->policy->vm.disk_count && disk->limit.iops) {
		spawn_arg(plan, "--iops");
		spawn_arg(plan, "%llu", (unsigned long long)disk->limit.iops);
	}
	return 0;
}

static int spawn_nic(struct spawn *spawn, const struct launch *launch, const struct host_vm *vm,
                     size_t i)
{
	const uint8_t *mac = vm->nics[i].mac;
	struct spawn_plan *plan = spawn_device(spawn, launch, vm, "net", i, launch->taps[i]);

	if (!plan)
		return spawn->error->code;
	spawn_arg(plan, "--tap");
	spawn_arg(plan, "%d", DEVICE_FD_BACKEND);
	spawn_arg(plan, "--mac");
	spawn_arg(plan, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
	          mac[5]);
	if (launch->policy->vm.nics[i].mtu) {
		spawn_arg(plan, "--mtu");
		spawn_arg(plan, "%u", launch->policy->vm.nics[i].mtu);
	}
	return 0;
}

/* dnsmasq for one NIC: Debian's program, in the host's network and nothing else of the host's. */
static int spawn_dnsmasq(struct spawn *spawn, const struct launch *launch, const struct host_vm *vm,
                         size_t i)
{
	struct firewall_dnsmasq *dnsmasq = NULL;
	char role[16], preload[POLICY_PATH_MAX];
	struct spawn_plan *plan;
	int err = programs_path(preload, "dnsmasq-preload.so");

	if (!err)
		err = firewall_dnsmasq_make(launch->policy, &vm->nics[i], preload,
		                            "/etc/resolv.conf", &dnsmasq);
	if (err)
		return host_fail(spawn->error, err, 126, "cannot prepare dnsmasq: %s",
		                 strerror(-err));
	snprintf(role, sizeof(role), "dnsmasq%zu", i);
	plan = spawn_plan_add(spawn, launch, vm, open(dnsmasq->binary, O_PATH | O_CLOEXEC), role);
	if (!plan) {
		host_fail(spawn->error, -errno, 126, "cannot open %s: %s", dnsmasq->binary,
		          strerror(errno));
		free(dnsmasq);
		return spawn->error->code;
	}
	plan->dnsmasq = dnsmasq;
	plan->process.argv = dnsmasq->argv;
	plan->process.binds = dnsmasq->binds;
	plan->process.flags |= ISOLATE_KEEP_NET | ISOLATE_KEEP_ROOT;
	plan->process.open_files_max = SPAWN_DNSMASQ_FILES;
	return 0;
}

static void spawn_pair(struct spawn_plan *plan, const char *option, int from, int to)
{
	if (from < 0)
		return;
	spawn_fd(plan, from, to);
	spawn_arg(plan, "%s", option);
	spawn_arg(plan, "%d", to);
}

static int spawn_vmm(struct spawn *spawn, const struct launch *launch, const struct host_vm *vm)
{
	const struct policy_vm *policy = &launch->policy->vm;
	struct spawn_plan *plan =
	        spawn_plan_add(spawn, launch, vm, programs_open("cordon-vmm", spawn->error), "vmm");
	size_t device = 0;

	if (!plan)
		return spawn->error->code;
	spawn_arg(plan, "cordon-vmm");
	plan->process.open_files_max =
	        SPAWN_OPEN_FILES; /* eventfds: one a queue and one a vector */
	spawn_arg(plan, "--name");
	spawn_arg(plan, "%s", vm->name);
	spawn_arg(plan, "--vcpus");
	spawn_arg(plan, "%u", policy->vcpus);
	spawn_arg(plan, "--memory");
	spawn_arg(plan, "%llu", (unsigned long long)policy->memory);
	spawn_pair(plan, "--kvm", launch->kvm, VMM_FD_KVM);
	spawn_pair(plan, "--memfd", launch->memory, VMM_FD_MEMORY);
	spawn_pair(plan, "--kernel", launch->kernel, VMM_FD_KERNEL);
	spawn_pair(plan, "--initrd", launch->initrd, VMM_FD_INITRD);
	spawn_pair(plan, "--control", launch->control, VMM_FD_CONTROL);
	spawn_pair(plan, "--console", launch->console, VMM_FD_CONSOLE);
	spawn_pair(plan, "--serial-log", launch->serial_log, VMM_FD_SERIAL_LOG);
	spawn_arg(plan, "--cmdline");
	spawn_arg(plan, "%s", launch->cmdline);
	for (size_t i = 0; i + 1 < spawn->count; i++) {
		struct spawn_plan *other = &spawn->plans[i];
		char type[4] = {other->role[0], other->role[1], other->role[2], '\0'};

		if (strcmp(type, "dns") == 0)
			continue;
		spawn_fd(plan, spawn->sockets[device], VMM_FD_DEVICES + (int)device);
		spawn_arg(plan, "--device");
		spawn_arg(plan, "%s:%d", type, VMM_FD_DEVICES + (int)device);
		device++;
	}
	return 0;
}

/* Disks come first, so that the first disk is the first device on the bus; the vmm is last. */
static int spawn_plan_all(struct spawn *spawn, const struct launch *launch,
                          const struct host_vm *vm)
{
	int err = 0;

	for (size_t i = 0; !err && i < launch->disk_count; i++)
		err = spawn_disk(spawn, launch, vm, i);
	for (size_t i = 0; !err && i < vm->nic_count; i++)
		err = spawn_nic(spawn, launch, vm, i);
	if (!err && !spawn_device(spawn, launch, vm, "rng", 0, -1))
		err = spawn->error->code;
	for (size_t i = 0; !err && i < vm->nic_count; i++)
		err = spawn_dnsmasq(spawn, launch, vm, i);
	if (!err)
		err = spawn_vmm(spawn, launch, vm);
	for (size_t i = 0; i < spawn->count; i++)
		spawn->plans[i].process.fd_count = spawn->plans[i].fd_count;
	return err;
}

/* --- in the child that becomes the keeper: from here on only what is safe after fork --- */

static void spawn_keeper_exec(const struct spawn *spawn, const struct launch *launch,
                              const struct host_vm *vm, const pid_t *pids, int keeper,
                              const char *cordon)
{
	char names[HOST_PROCESSES_MAX][40], numbers[3][16];
	char *argv[HOST_PROCESSES_MAX + 20];
	size_t argc = 0;

	snprintf(numbers[0], sizeof(numbers[0]), "%d", pids[spawn->count - 1]);
	snprintf(numbers[1], sizeof(numbers[1]), "%d", launch->status);
	snprintf(numbers[2], sizeof(numbers[2]), "%d", launch->record);
	argv[argc++] = (char *)"cordon-keeper";
	argv[argc++] = (char *)"--name";
	argv[argc++] = (char *)vm->name;
	argv[argc++] = (char *)"--vmm";
	argv[argc++] = numbers[0];
	argv[argc++] = (char *)"--reap";
	argv[argc++] = (char *)cordon;
	if (launch->status >= 0) {
		argv[argc++] = (char *)"--status-fd";
		argv[argc++] = numbers[1];
		fcntl(launch->status, F_SETFD, 0);
	}
	argv[argc++] = (char *)"--record-fd";
	argv[argc++] = numbers[2];
	fcntl(launch->record, F_SETFD, 0);
	for (size_t i = 0; i < spawn->count; i++) {
		snprintf(names[i], sizeof(names[i]), "%s=%d", spawn->plans[i].role, pids[i]);
		argv[argc++] = names[i];
	}
	argv[argc] = NULL;
	fexecve(keeper, argv, (char *[]){NULL});
}

/* A keeper belongs to no terminal and to no caller: what it says goes to the VM's log. */
static void spawn_detach(const struct launch *launch)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t term;

	setsid();
	if (chdir("/") < 0)
		_exit(1); /* a keeper must not hold on to where its VM was started */
	/* what a process leaves behind is the keeper's to reap; a SIGTERM waits until it can be taken */
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	signal(SIGPIPE, SIG_DFL);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(launch->log, STDERR_FILENO);
}

static _Noreturn void spawn_child(const struct spawn *spawn, const struct launch *launch,
                                  const struct host_vm *vm, int report, int keeper,
                                  const char *cordon)
{
	struct spawn_report message = {0};
	pid_t pids[HOST_PROCESSES_MAX];
	size_t started = 0;

	spawn_detach(launch);
	/* One cookie for the VM: no hyperthread sibling runs anything else while one of these runs. */
	if (launch->policy->isolation.core_scheduling)
		message = (struct spawn_report){.pid = isolate_core_new(),
		                                .stage = "core scheduling"};
	while (message.pid >= 0 && started < spawn->count) {
		const char *stage = "";

		message.plan = (uint32_t)started;
		message.pid = isolate_spawn(&spawn->plans[started].process, &stage);
		base_copy_string(message.stage, sizeof(message.stage), stage ? stage : "");
		if (message.pid > 0)
			pids[started++] = message.pid;
		if (message.pid > 0 && base_write_all(report, &message, sizeof(message)) < 0)
			break;
	}
	if (message.pid > 0) {
		spawn_keeper_exec(spawn, launch, vm, pids, keeper, cordon);
		message = (struct spawn_report){.pid = -errno, .stage = "cordon-keeper"};
	}
	for (size_t i = 0; i < started; i++)
		kill(pids[i], SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		continue;
	base_write_all(report, &message, sizeof(message));
	_exit(1);
}

/* Reads the child's reports until the exec (or its death) closes the pipe. */
static int spawn_collect(const struct spawn *spawn, struct host_vm *vm, int pipe)
{
	struct spawn_report message;
	ssize_t n;

	while ((n = read(pipe, &message, sizeof(message))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n != (ssize_t)sizeof(message))
			return host_fail(spawn->error, -EIO, 125,
			                 "the keeper's child was cut short");
		if (message.pid < 0)
			return host_fail(
			        spawn->error, message.pid, 126, "cannot start %s: %s: %s",
			        message.plan < spawn->count ? spawn->plans[message.plan].role : "",
			        message.stage, strerror(-message.pid));
		struct host_process *process = &vm->processes[vm->process_count++];

		process->pid = message.pid;
		process->uid = spawn->plans[message.plan].process.uid;
		base_copy_string(process->role, sizeof(process->role),
		                 spawn->plans[message.plan].role);
	}
	if (vm->process_count != spawn->count)
		return host_fail(spawn->error, -EIO, 125, "the keeper's child died");
	return 0;
}

static int spawn_run(const struct spawn *spawn, const struct launch *launch, struct host_vm *vm)
{
	char cordon[POLICY_PATH_MAX];
	BASE_AUTO_FD int keeper = programs_open("cordon-keeper", spawn->error);
	int pipe[2], err;
	pid_t child;

	if (keeper < 0)
		return keeper;
	if (programs_path(cordon, "cordon") < 0 || pipe2(pipe, O_CLOEXEC) < 0)
		return host_fail(spawn->error, -errno, 125, "cannot start a keeper: %s",
		                 strerror(errno));
	child = fork();
	if (child == 0)
		spawn_child(spawn, launch, vm, pipe[1], keeper, cordon);
	close(pipe[1]);
	err = child < 0 ? host_fail(spawn->error, -errno, 125, "fork: %s", strerror(errno))
	                : spawn_collect(spawn, vm, pipe[0]);
	close(pipe[0]);
	if (child > 0 && err) {
		waitpid(child, NULL, 0);
		return err;
	}
	vm->keeper = child;
	vm->keeper_start = registry_start_time(child);
	return err;
}

int spawn_vm(const struct launch *launch, struct host_vm *vm, struct host_error *error)
{
	BASE_CLEANUP(spawn_free) struct spawn *spawn = calloc(1, sizeof(*spawn));
	int err;

	if (!spawn)
		return host_fail(error, -ENOMEM, 125, "out of memory");
	spawn->error = error;
	err = spawn_plan_all(spawn, launch, vm);
	return err ? err : spawn_run(spawn, launch, vm);
}
