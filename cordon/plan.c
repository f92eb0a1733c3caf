// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What every process of a VM is given. A device has its end of a vhost-user socket pair under one number
 * and its one back-end fd under another; the vmm has the other ends, and everything that the guest is
 * made of. Nothing is started here, so whatever is missing is said before there is anything to undo.
 */
#include "cordon/plan.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/netlink.h>
#include <stdarg.h>
#include <sys/socket.h>

#include "base/base.h"
#include "firewall/names_fds.h"
#include "vmm/devices/limits.h"

/* Numbers of the vmm's fds; its device sockets follow. */
enum {
	VMM_FD_KVM = 3,
	VMM_FD_MEMORY,
	VMM_FD_KERNEL,
	VMM_FD_INITRD,
	VMM_FD_CONTROL,
	VMM_FD_CONSOLE,
	VMM_FD_SERIAL_LOG,
	VMM_FD_SERIAL_OLD,
	VMM_FD_LAST,
	VMM_FD_CONFIDENTIAL,
	VMM_FD_DEVICES = VMM_FD_CONFIDENTIAL + LAUNCH_CC_FDS
};
enum { DEVICE_FD_SECOND = DEVICE_FD_BACKEND + 1, DEVICE_FD_THIRD }; /* where there are no limits */
enum { DIAL_FD_REQUESTS = 3 };

enum {
	PLAN_LOG_MAX = 4 * 1024 * 1024,
	PLAN_OPEN_FILES = 256,
	PLAN_DNSMASQ_FILES = 64,
	PLAN_CID_FIRST = 3,
	PLAN_MTU = 1500 /* a tap's */
};

void plan_free(struct plan **plan)
{
	if (!*plan)
		return;
	for (size_t i = 0; i < (*plan)->count; i++) {
		struct plan_process *each = &(*plan)->list[i];

		for (size_t k = 0; k < each->argc; k++)
			free(each->argv[k]);
		base_close(&each->binary);
		for (size_t k = 0; k < BASE_COUNT(each->own); k++)
			base_close(&each->own[k]);
		free(each->dnsmasq);
		for (size_t k = 0; k < POLICY_VSOCK_MAX; k++)
			free(each->binds[k]);
		for (size_t k = 0; k < each->fd_count; k++)
			if (each->device && each->fds[k].to == DEVICE_FD_VHOST)
				close(each->fds[k].from); /* the device's end of its socket pair */
	}
	for (size_t i = 0; i < (*plan)->socket_count; i++)
		close((*plan)->sockets[i]);
	free(*plan);
}

static void plan_arg(struct plan_process *each, const char *format, ...) BASE_PRINTF(2, 3);

static void plan_arg(struct plan_process *each, const char *format, ...)
{
	va_list list;

	if (each->argc + 1 >= LAUNCH_ARGS_MAX)
		return; /* the caps on devices keep every process well below */
	va_start(list, format);
	if (vasprintf(&each->argv[each->argc], format, list) >= 0)
		each->argc++;
	va_end(list);
	each->argv[each->argc] = NULL;
}

static void plan_fd(struct plan_process *each, int from, int to)
{
	if (each->fd_count < LAUNCH_FDS_MAX)
		each->fds[each->fd_count++] = (struct isolate_fd){.from = from, .to = to};
}

static void plan_pair(struct plan_process *each, const char *option, int from, int to)
{
	if (from < 0)
		return;
	plan_fd(each, from, to);
	plan_arg(each, "%s", option);
	plan_arg(each, "%d", to);
}

/* Takes over the binary's fd. */
static struct plan_process *plan_add(struct plan *plan, const struct launch *launch,
                                     const struct host_vm *vm, int binary, const char *role)
{
	struct plan_process *each = &plan->list[plan->count];

	if (binary < 0)
		return NULL; /* said already */
	if (plan->count >= HOST_PROCESSES_MAX) {
		close(binary);
		host_fail(plan->error, -E2BIG, 126, "'%s' has too many devices", vm->name);
		return NULL;
	}
	each->binary = binary;
	for (size_t i = 0; i < BASE_COUNT(each->own); i++)
		each->own[i] = -1;
	base_copy_string(each->role, sizeof(each->role), role);
	each->process = (struct isolate_process){
	        .name = each->role,
	        .binary = each->binary,
	        .argv = each->argv,
	        .uid = isolate_uid(vm->slot, (uint32_t)plan->count),
	        .gid = isolate_uid(vm->slot, (uint32_t)plan->count),
	        .fds = each->fds,
	        .cgroup = launch->cgroup,
	        .flags = ISOLATE_PDEATHSIG,
	        .file_size_max = PLAN_LOG_MAX,
	};
	plan_fd(each, launch->log, STDERR_FILENO);
	plan->count++;
	return each;
}

/* A device's process: one end of a vhost-user socket pair, and its one back-end fd (or -1). */
static struct plan_process *plan_device(struct plan *plan, const struct launch *launch,
                                        const struct host_vm *vm, const char *type, size_t number,
                                        int backend)
{
	char program[32], role[16];
	struct plan_process *each;
	int pair[2];

	snprintf(program, sizeof(program), "cordon-%s", type);
	snprintf(role, sizeof(role), "%s%zu", type, number);
	each = plan_add(plan, launch, vm, programs_open(program, plan->error), role);
	if (!each)
		return NULL;
	each->device = type;
	plan_arg(each, "%s", program);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		host_fail(plan->error, -errno, 125, "no socket pair for %s: %s", role,
		          strerror(errno));
		return NULL;
	}
	plan->sockets[plan->socket_count++] = pair[0];
	plan_fd(each, pair[1], DEVICE_FD_VHOST);
	plan_arg(each, "--vhost");
	plan_arg(each, "%d", DEVICE_FD_VHOST);
	if (backend >= 0)
		plan_fd(each, backend, DEVICE_FD_BACKEND);
	return each;
}

static void plan_limits(struct plan_process *each, const struct launch *launch, size_t entry)
{
	plan_fd(each, launch->limits, DEVICE_FD_LIMITS);
	plan_arg(each, "--limits");
	plan_arg(each, "%d:%zu", DEVICE_FD_LIMITS, entry);
}

static int plan_disk(struct plan *plan, const struct launch *launch, const struct host_vm *vm,
                     size_t i)
{
	const struct policy_disk *disk = &launch->policy->vm.disks[i];
	struct plan_process *each = plan_device(plan, launch, vm, "blk", i, launch->disks[i]);

	if (!each)
		return plan->error->code;
	/* RLIMIT_FSIZE is about offsets: a disk's last sector has to be below it. */
	each->process.file_size_max = BASE_MAX(launch->disk_size_max, each->process.file_size_max);
	plan_arg(each, "--disk");
	plan_arg(each, "%d", DEVICE_FD_BACKEND);
	if (launch->disk_read_only[i])
		plan_arg(each, "--read-only");
	if (i < launch->policy->vm.disk_count && disk->serial[0]) {
		plan_arg(each, "--serial");
		plan_arg(each, "%s", disk->serial);
	}
	plan_limits(each, launch, LIMITS_DISK + i);
	return 0;
}

static int plan_nic(struct plan *plan, const struct launch *launch, const struct host_vm *vm,
                    size_t i)
{
	const uint8_t *mac = vm->nics[i].mac;
	struct plan_process *each = plan_device(plan, launch, vm, "net", i, launch->taps[i][0]);

	if (!each)
		return plan->error->code;
	plan_arg(each, "--tap");
	plan_arg(each, "%d", DEVICE_FD_BACKEND);
	for (int k = 1; k < POLICY_QUEUES_MAX && launch->taps[i][k] >= 0; k++) {
		plan_fd(each, launch->taps[i][k], DEVICE_FD_QUEUES + k);
		plan_arg(each, "--tap");
		plan_arg(each, "%d", DEVICE_FD_QUEUES + k);
	}
	plan_arg(each, "--mac");
	plan_arg(each, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
	         mac[5]);
	if (launch->policy->vm.nics[i].mtu) {
		plan_arg(each, "--mtu");
		plan_arg(each, "%u", launch->policy->vm.nics[i].mtu);
	}
	plan_limits(each, launch, LIMITS_NIC + i);
	return 0;
}

static int plan_balloon(struct plan *plan, const struct launch *launch, const struct host_vm *vm)
{
	struct plan_process *each = plan_device(plan, launch, vm, "balloon", 0, launch->balloon);

	if (!each)
		return plan->error->code;
	plan_arg(each, "--control");
	plan_arg(each, "%d", DEVICE_FD_BACKEND);
	if (!launch->policy->vm.memory_reclaim)
		plan_arg(each, "--no-reports");
	return 0;
}

/* The console that people attach to, where it is not the serial port. */
static int plan_console(struct plan *plan, const struct launch *launch, const struct host_vm *vm)
{
	struct plan_process *each = plan_device(plan, launch, vm, "console", 0, -1);

	if (!each)
		return plan->error->code;
	plan_pair(each, "--listen", launch->console, DEVICE_FD_BACKEND);
	plan_pair(each, "--size", launch->console_size, DEVICE_FD_SECOND);
	plan_pair(each, "--log", launch->console_log, DEVICE_FD_THIRD);
	return 0;
}

/* Adds the folder that the path is in to what the process sees, once. False when memory is short. */
static bool plan_bind_folder(struct plan_process *each, const char *path)
{
	char *folder = strndup(path, (size_t)(strrchr(path, '/') - path));
	size_t i = 0;

	while (folder && each->binds[i] && strcmp(each->binds[i], folder) != 0)
		i++;
	if (!folder || each->binds[i]) {
		free(folder);
		return folder != NULL;
	}
	each->binds[i] = folder;
	return true;
}

/*
 * One that connects, and nothing else: it sees the folders of its targets; its uid is the VM's own, its
 * group is the one that services let in.
 */
static int plan_dial(struct plan *plan, const struct launch *launch, const struct host_vm *vm)
{
	const struct policy_vsock *vsock = &launch->policy->vm.vsock;
	struct plan_process *each =
	        plan_add(plan, launch, vm, programs_open("cordon-dial", plan->error), "dial0");

	if (!each)
		return plan->error->code;
	if (registry_group() != 0)
		each->process.gid = registry_group();
	each->process.flags |= ISOLATE_KEEP_ROOT;
	each->process.binds = (const char *const *)each->binds;
	plan_arg(each, "cordon-dial");
	plan_pair(each, "--requests", launch->dial[1], DIAL_FD_REQUESTS);
	for (size_t i = 0; i < vsock->guest_to_host_count; i++) {
		const struct policy_vsock_target *target = &vsock->guest_to_host[i];

		if (!plan_bind_folder(each, target->socket))
			return host_fail(plan->error, -ENOMEM, 125, "out of memory");
		plan_arg(each, "--target");
		plan_arg(each, "%u:%s", target->port, target->socket);
	}
	return 0;
}

static int plan_vsock(struct plan *plan, const struct launch *launch, const struct host_vm *vm)
{
	const struct policy_vsock *vsock = &launch->policy->vm.vsock;
	struct plan_process *each = plan_device(plan, launch, vm, "vsock", 0, -1);
	char ports[2][POLICY_VSOCK_MAX * 11 + 1] = {"", ""};
	size_t used = 0;

	if (!each)
		return plan->error->code;
	for (size_t i = 0; i < vsock->host_to_guest_count; i++)
		used += (size_t)snprintf(ports[0] + used, sizeof(ports[0]) - used, "%s%u",
		                         i ? "," : "", vsock->host_to_guest[i]);
	used = 0;
	for (size_t i = 0; i < vsock->guest_to_host_count; i++)
		used += (size_t)snprintf(ports[1] + used, sizeof(ports[1]) - used, "%s%u",
		                         i ? "," : "", vsock->guest_to_host[i].port);
	each->process.open_files_max = PLAN_OPEN_FILES;
	plan_arg(each, "--cid");
	/* it means something between the guest and its own device only */
	plan_arg(each, "%u", vsock->cid ? vsock->cid : vm->slot + PLAN_CID_FIRST);
	plan_pair(each, "--listen", launch->vsock, DEVICE_FD_BACKEND);
	plan_pair(each, "--dial", launch->dial[0], DEVICE_FD_SECOND);
	plan_arg(each, "--to-guest");
	plan_arg(each, "%s", ports[0]);
	plan_arg(each, "--to-host");
	plan_arg(each, "%s", ports[1]);
	return vsock->guest_to_host_count > 0 ? plan_dial(plan, launch, vm) : 0;
}

/* dnsmasq for one NIC: Debian's program, in the host's network and nothing else of the host's. */
static int plan_dnsmasq(struct plan *plan, const struct launch *launch, const struct host_vm *vm,
                        size_t i)
{
	struct firewall_dnsmasq *dnsmasq = NULL;
	char role[16], preload[POLICY_PATH_MAX];
	struct plan_process *each;
	int err = programs_path(preload, "dnsmasq-preload.so");

	if (!err)
		err = firewall_dnsmasq_make(launch->policy, &vm->nics[i], preload,
		                            "/etc/resolv.conf", &dnsmasq);
	if (err)
		return host_fail(plan->error, err, 126, "cannot prepare dnsmasq: %s",
		                 strerror(-err));
	snprintf(role, sizeof(role), "dnsmasq%zu", i);
	each = plan_add(plan, launch, vm, open(dnsmasq->binary, O_PATH | O_CLOEXEC), role);
	if (!each) {
		host_fail(plan->error, -errno, 126, "cannot open %s: %s", dnsmasq->binary,
		          strerror(errno));
		free(dnsmasq);
		return plan->error->code;
	}
	each->dnsmasq = dnsmasq;
	each->process.argv = dnsmasq->argv;
	each->process.binds = dnsmasq->binds;
	each->process.flags |= ISOLATE_KEEP_NET | ISOLATE_KEEP_ROOT;
	each->process.open_files_max = PLAN_DNSMASQ_FILES;
	return 0;
}

/* Who changes the sets of names: the one process of a VM with a capability, and with no fd but these two. */
static int plan_sets(struct plan *plan, const struct launch *launch, const struct host_vm *vm,
                     size_t i, int requests)
{
	struct plan_process *each;
	char role[16];

	snprintf(role, sizeof(role), "sets%zu", i % POLICY_NICS_MAX);
	each = plan_add(plan, launch, vm, programs_open("cordon-sets", plan->error), role);
	if (!each) {
		close(requests);
		return plan->error->code;
	}
	each->own[0] = requests;
	each->own[1] = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (each->own[1] < 0)
		return host_fail(plan->error, -errno, 125, "no netlink socket for %s: %s", role,
		                 strerror(errno));
	each->process.capability = 1ull << CAP_NET_ADMIN;
	plan_arg(each, "cordon-sets");
	plan_arg(each, "%s", vm->name);
	plan_fd(each, requests, NAMES_FD_REQUESTS);
	plan_fd(each, each->own[1], NAMES_FD_NETLINK);
	each->own[2] = firewall_lock_open();
	if (each->own[2] < 0)
		return host_fail(plan->error, each->own[2], 125, "no lock for %s: %s", role,
		                 strerror(-each->own[2]));
	plan_fd(each, each->own[2], NAMES_FD_LOCK);
	return 0;
}

/* Between the guest and its dnsmasq, where the policy has names: see firewall/names.h. */
static int plan_names(struct plan *plan, const struct launch *launch, const struct host_vm *vm,
                      size_t i)
{
	static const uint8_t none[16];
	const struct firewall_nic *nic = &vm->nics[i];
	struct plan_process *each;
	char role[16], address[INET6_ADDRSTRLEN];
	int pair[2], err;

	if (launch->names < 0)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return host_fail(plan->error, -errno, 125, "no socket pair for names: %s",
		                 strerror(errno));
	err = plan_sets(plan, launch, vm, i, pair[0]);
	snprintf(role, sizeof(role), "names%zu", i % POLICY_NICS_MAX);
	each = err ? NULL
	           : plan_add(plan, launch, vm, programs_open("cordon-names", plan->error), role);
	if (!each) {
		close(pair[1]);
		return plan->error->code;
	}
	each->own[0] = pair[1];
	each->process.flags |= ISOLATE_KEEP_NET;
	plan_fd(each, pair[1], NAMES_FD_REQUESTS);
	plan_fd(each, launch->names, NAMES_FD_LIST);
	plan_arg(each, "cordon-names");
	plan_arg(each, "%s", nic->tap);
	plan_arg(each, "%u", nic->dns_port);
	plan_arg(each, "%u", firewall_dnsmasq_port(launch->policy, nic));
	plan_arg(each, "%s", inet_ntop(AF_INET, nic->gateway4, address, sizeof(address)));
	plan_arg(each, "%s", inet_ntop(AF_INET, nic->ip4, address, sizeof(address)));
	if (memcmp(nic->gateway6, none, sizeof(none)) == 0)
		return 0;
	plan_arg(each, "%s", inet_ntop(AF_INET6, nic->gateway6, address, sizeof(address)));
	plan_arg(each, "%s", inet_ntop(AF_INET6, nic->ip6, address, sizeof(address)));
	return 0;
}

/* Router advertisements and DHCPv6 of all NICs that have IPv6 of ours. */
static int plan_router(struct plan *plan, const struct launch *launch, const struct host_vm *vm)
{
	struct plan_process *each;
	char address[INET6_ADDRSTRLEN];
	int count;

	if (router_count(vm) == 0)
		return 0;
	each = plan_add(plan, launch, vm, programs_open("cordon-router", plan->error), "router0");
	if (!each)
		return plan->error->code;
	count = router_open(vm, each->own, each->fds + each->fd_count);
	if (count < 0)
		return host_fail(plan->error, count, 126, "no sockets for cordon-router: %s",
		                 strerror(-count));
	each->fd_count += (size_t)count;
	plan_arg(each, "cordon-router");
	for (size_t i = 0; i < vm->nic_count; i++) {
		const struct firewall_nic *nic = &vm->nics[i];

		if (!router_serves(nic))
			continue;
		plan_arg(each, "%s", inet_ntop(AF_INET6, nic->ip6, address, sizeof(address)));
		plan_arg(each, "%s", inet_ntop(AF_INET6, nic->gateway6, address, sizeof(address)));
		plan_arg(each, "%u", launch->policy->vm.nics[i].mtu ?: PLAN_MTU);
		plan_arg(each, "%s", launch->policy->firewall.dns ? "dns" : "none");
	}
	return 0;
}

/* What the vmm does by itself about a panic and a hang; a restart is cordon's (restart.c). */
static void plan_life(struct plan_process *each, const struct launch *launch)
{
	static const char *const words[] = {
	        [POLICY_THEN_STOP] = "stop",
	        [POLICY_THEN_PAUSE] = "pause",
	        [POLICY_THEN_LOG] = "log",
	        [POLICY_THEN_RESTART] = "reset",
	};
	const struct policy_vm *policy = &launch->policy->vm;

	plan_arg(each, "--on-panic");
	plan_arg(each, "%s", words[policy->on_panic]);
	if (policy->watchdog == POLICY_THEN_NONE)
		return;
	plan_arg(each, "--watchdog");
	plan_arg(each, "%s", words[policy->watchdog]);
	if (launch->watchdog_fired)
		plan_arg(each, "--watchdog-fired");
}

bool plan_restarts(const struct plan_process *each)
{
	return each->device &&
	       (strcmp(each->device, "blk") == 0 || strcmp(each->device, "net") == 0);
}

/* A device whose back end is none of ours: the vmm has its socket, and there is no process to plan. */
static void plan_vhost(struct plan_process *vmm, const struct launch *launch, size_t i, int fd)
{
	static const char *const types[] = {"fs", "net", "blk"};
	const struct policy_vhost *vhost = &launch->policy->vm.vhosts[i];

	plan_fd(vmm, launch->vhosts[i], fd);
	plan_arg(vmm, "--device");
	if (vhost->type == POLICY_VHOST_FS)
		plan_arg(vmm, "fs:%d:name=vhost%zu,tag=%s,queues=%u", fd, i, vhost->tag,
		         vhost->queues ?: 1);
	else
		plan_arg(vmm, "%s:%d:name=vhost%zu", types[vhost->type], fd, i);
}

static void plan_confidential(struct plan_process *each, const struct launch *launch)
{
	struct isolate_fd fds[LAUNCH_CC_FDS];
	char option[LAUNCH_CC_TEXT];
	size_t count =
	        launch_confidential_plan(launch, VMM_FD_CONFIDENTIAL, &each->process, fds, option);

	for (size_t i = 0; i < count; i++)
		plan_fd(each, fds[i].from, fds[i].to);
	plan_arg(each, "%s", option);
}

static int plan_vmm(struct plan *plan, const struct launch *launch, const struct host_vm *vm)
{
	const struct policy_vm *policy = &launch->policy->vm;
	struct plan_process *each =
	        plan_add(plan, launch, vm, programs_open("cordon-vmm", plan->error), "vmm");
	char cpu[POLICY_CPU_TEXT_MAX];
	size_t device = 0;

	if (!each)
		return plan->error->code;
	plan_arg(each, "cordon-vmm");
	/* Whatever others were made to log, there is room for why the VM ended. */
	each->process.file_size_max = PLAN_LOG_MAX + VMM_SERIAL_LOG_MAX;
	/* eventfds: one a queue and one a vector; and one fd a vCPU */
	each->process.open_files_max = PLAN_OPEN_FILES + policy->vcpus;
	plan_arg(each, "--name");
	plan_arg(each, "%s", vm->name);
	plan_arg(each, "--vcpus");
	plan_arg(each, "%u", policy->vcpus);
	plan_arg(each, "--cpu");
	policy_cpu_text(&policy->cpu, cpu);
	plan_arg(each, "%s", cpu);
	if (launch->node >= 0) {
		plan_arg(each, "--numa");
		plan_arg(each, "%d", launch->node);
	}
	if (launch->policy->confidential.type != POLICY_CC_NONE)
		plan_confidential(each, launch);
	plan_arg(each, "--memory");
	plan_arg(each, "%llu", (unsigned long long)policy->memory);
	plan_pair(each, "--kvm", launch->kvm, VMM_FD_KVM);
	plan_pair(each, "--memfd", launch->memory, VMM_FD_MEMORY);
	plan_pair(each, "--kernel", launch->kernel, VMM_FD_KERNEL);
	plan_pair(each, "--initrd", launch->initrd, VMM_FD_INITRD);
	plan_pair(each, "--control", launch->control, VMM_FD_CONTROL);
	if (policy->console == POLICY_CONSOLE_SERIAL)
		plan_pair(each, "--console", launch->console, VMM_FD_CONSOLE);
	plan_pair(each, "--serial-log", launch->serial_log, VMM_FD_SERIAL_LOG);
	plan_pair(each, "--serial-old", launch->serial_old, VMM_FD_SERIAL_OLD);
	plan_pair(each, "--last", launch->last, VMM_FD_LAST);
	plan_life(each, launch);
	plan_arg(each, "--cmdline");
	plan_arg(each, "%s", launch->cmdline);
	for (size_t i = 0; i + 1 < plan->count; i++) {
		const char *type = plan->list[i].device;

		if (!type)
			continue;
		plan_fd(each, plan->sockets[device], VMM_FD_DEVICES + (int)device);
		plan_arg(each, "--device");
		if (plan_restarts(&plan->list[i]))
			plan_arg(each, "%s:%d:name=%s,restart=%d", type,
			         VMM_FD_DEVICES + (int)device, plan->list[i].role, PLAN_RESTART_MS);
		else
			plan_arg(each, "%s:%d:name=%s", type, VMM_FD_DEVICES + (int)device,
			         plan->list[i].role);
		device++;
	}
	for (size_t i = 0; i < policy->vhost_count; i++)
		plan_vhost(each, launch, i, VMM_FD_DEVICES + (int)(device + i));
	return 0;
}

/* Disks come first, so that the first disk is the first device on the bus; the vmm is last. */
int plan_make(struct plan *plan, const struct launch *launch, const struct host_vm *vm)
{
	int err = 0;

	for (size_t i = 0; !err && i < launch->disk_count; i++)
		err = plan_disk(plan, launch, vm, i);
	for (size_t i = 0; !err && i < vm->nic_count; i++)
		err = plan_nic(plan, launch, vm, i);
	if (!err && !plan_device(plan, launch, vm, "rng", 0, -1))
		err = plan->error->code;
	if (!err && launch->policy->vm.console == POLICY_CONSOLE_VIRTIO)
		err = plan_console(plan, launch, vm);
	if (!err && launch->policy->vm.vsock.line)
		err = plan_vsock(plan, launch, vm);
	if (!err && launch->policy->vm.balloon)
		err = plan_balloon(plan, launch, vm);
	for (size_t i = 0; !err && i < vm->nic_count; i++) {
		if (vm->nics[i].mode == POLICY_NIC_BRIDGE)
			continue; /* the network has servers of its own */
		err = plan_dnsmasq(plan, launch, vm, i);
		if (!err)
			err = plan_names(plan, launch, vm, i);
	}
	if (!err)
		err = plan_router(plan, launch, vm);
	if (!err)
		err = plan_vmm(plan, launch, vm);
	for (size_t i = 0; i < plan->count; i++)
		plan->list[i].process.fd_count = plan->list[i].fd_count;
	return err;
}
