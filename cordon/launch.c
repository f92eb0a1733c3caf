/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting a VM. Everything that needs privilege happens here, in an order in which nothing is ever
 * reachable before what guards it:
 *
 *   1 policy      parsed without privilege; what this host cannot give is an error now
 *   2 claim       folder, uids, links: from here on reap_vm() knows what to undo
 *   3 open        kernel, disks, guest memory, sockets, logs, /dev/kvm, cgroup
 *   4 wire        taps (down), firewall, BPF, monitor; then taps up, with nobody behind them yet
 *   5 processes   each in its role; the vmm builds the machine, locks itself and waits
 *   6 start       the guest's first instruction
 *
 * A failure anywhere ends in reap_failed(), the same code that ends a VM's life.
 */
#include "cordon/launch.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "base/base.h"
#include "bpf/tap.h"

enum { LAUNCH_READY_MS = 60000 }; /* an emulated host that is busy takes half of it */

void launch_init(struct launch *launch, const struct policy *policy)
{
	memset(launch, 0, sizeof(*launch));
	launch->policy = policy;
	launch->kvm = launch->memory = launch->kernel = launch->initrd = -1;
	launch->control = launch->console = launch->serial_log = launch->log = -1;
	launch->cgroup = launch->status = launch->record = -1;
	for (size_t i = 0; i < POLICY_DISKS_MAX; i++)
		launch->disks[i] = -1;
	for (size_t i = 0; i < POLICY_NICS_MAX; i++)
		launch->taps[i] = -1;
}

void launch_close(struct launch *launch)
{
	int *fds[] = {&launch->kvm,     &launch->memory,  &launch->kernel,     &launch->initrd,
	              &launch->control, &launch->console, &launch->serial_log, &launch->log,
	              &launch->cgroup,  &launch->status,  &launch->record};

	for (size_t i = 0; i < BASE_COUNT(fds); i++)
		base_close(fds[i]);
	for (size_t i = 0; i < POLICY_DISKS_MAX; i++)
		base_close(&launch->disks[i]);
	for (size_t i = 0; i < POLICY_NICS_MAX; i++)
		base_close(&launch->taps[i]);
}

static int launch_parse(const char *text, size_t size, const char *path, struct policy *policy,
                        struct host_error *error)
{
	BASE_AUTO_FREE struct policy_errors *errors = calloc(1, sizeof(*errors));
	int err = errors ? policy_parse(text, size, policy, errors) : -ENOMEM;

	if (!err)
		return 0;
	if (errors && errors->count > 0) {
		BASE_AUTO_FREE char *json = policy_errors_json(path, errors);

		error->data = json ? json_loads(json, 0, NULL) : NULL;
		return host_fail(error, err, 126, "%s:%u:%u: found %s, expected %s%s", path,
		                 errors->list[0].line, errors->list[0].column,
		                 errors->list[0].found, errors->list[0].expected,
		                 errors->count > 1 ? " (and more: `cordon check` lists all)" : "");
	}
	return host_fail(error, err, 125, "the policy's parser did not answer: %s", strerror(-err));
}

/* What a policy can say and this version cannot do yet. Never a silent downgrade. */
static int launch_not_yet(const struct policy *policy, struct host_error *error)
{
	const struct policy_monitor *monitor = &policy->monitor;
	const uint32_t answers = POLICY_RESPOND_CAPTURE | POLICY_RESPOND_THROTTLE;
	const struct {
		bool asked;
		uint32_t line;
		const char *what;
	} missing[] = {
	        {policy->confidential != POLICY_CC_NONE, policy->confidential_line,
	         "confidential guests"},
	        {monitor->dns_tunnel.enabled && monitor->dns_tunnel.line, monitor->dns_tunnel.line,
	         "the detector dns_tunnel"},
	        {monitor->exfiltration.enabled && monitor->exfiltration.line,
	         monitor->exfiltration.line, "the detector exfiltration"},
	        {monitor->beacon.enabled && monitor->beacon.line, monitor->beacon.line,
	         "the detector beacon"},
	        {monitor->scan.respond & answers, monitor->scan.line,
	         "the responses capture and throttle"},
	        {policy->capture.ring > 0, policy->capture.line, "the flight recorder"},
	};

	for (size_t i = 0; i < BASE_COUNT(missing); i++)
		if (missing[i].asked)
			return host_fail(error, -ENOTSUP, 126,
			                 "policy line %u: %s: not in this version", missing[i].line,
			                 missing[i].what);
	for (size_t i = 0; i < policy->vm.nic_count; i++) {
		const struct policy_nic *nic = &policy->vm.nics[i];

		if (nic->mode == POLICY_NIC_BRIDGE || nic->limit.bandwidth || nic->limit.iops)
			return host_fail(error, -ENOTSUP, 126,
			                 "policy line %u: %s: not in this version", nic->line,
			                 nic->mode == POLICY_NIC_BRIDGE ? "mode bridge"
			                                                : "a nic's limit");
	}
	return 0;
}

/* What the policy asks and this host cannot give. */
static int launch_can(const struct policy *policy, struct host_error *error)
{
	const char *missing = NULL;
	int err = launch_not_yet(policy, error);

	if (err)
		return err;
	if (!isolate_host_check(&missing) || !tap_watch_host_check(&missing))
		return host_fail(error, -ENOTSUP, 126, "this host lacks %s", missing);
	return 0;
}

/* Guest RAM: a memfd that nobody can resize any more, so that no mapping of it can ever fault. */
static int launch_memory(const struct policy *policy)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;

	if (policy->isolation.huge_pages)
		flags |= MFD_HUGETLB | MFD_HUGE_2MB;
	BASE_AUTO_FD int fd = memfd_create("guest-memory", flags);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)policy->vm.memory) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	return base_take_fd(&fd);
}

static int launch_listen(const char *vm, const char *file, int type, mode_t mode, bool group)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char path[POLICY_PATH_MAX];
	const struct group *entry = group ? getgrnam(HOST_GROUP) : NULL;
	BASE_AUTO_FD int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	registry_path(path, vm, file);
	if (base_copy_string(address.sun_path, sizeof(address.sun_path), path))
		return -ENAMETOOLONG;
	/* The folder is not open to others, so the mode can follow the bind. */
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, mode) < 0 ||
	    chown(path, 0, entry ? entry->gr_gid : 0) < 0 ||
	    listen(fd, VMM_CONTROL_CLIENTS_MAX) < 0)
		return -errno;
	return base_take_fd(&fd);
}

static int launch_log(const char *vm, const char *suffix)
{
	char file[POLICY_NAME_MAX + 16];

	snprintf(file, sizeof(file), "%s.%s", vm, suffix);
	return registry_log_open(file, O_TRUNC | O_APPEND);
}

/* A disk belongs to one VM at a time, unless all of them only read it. */
static int launch_disk(struct launch *launch, int fd, bool read_only, const char *what,
                       struct host_error *error)
{
	struct flock lock = {.l_type = read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};
	struct stat facts;
	off_t size;

	if (fstat(fd, &facts) < 0 || !(S_ISREG(facts.st_mode) || S_ISBLK(facts.st_mode)))
		return host_fail(error, -EINVAL, 126,
		                 "%s is neither a regular file nor a block device", what);
	size = lseek(fd, 0, SEEK_END);
	if (size <= 0 || size % 512)
		return host_fail(
		        error, -EINVAL, 126,
		        "%s has %lld bytes; a disk is a multiple of 512 bytes, and not empty", what,
		        (long long)size);
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0)
		return host_fail(error, -EBUSY, 126, "%s is in use by another guest", what);
	launch->disk_read_only[launch->disk_count] = read_only;
	launch->disk_size_max = BASE_MAX(launch->disk_size_max, (uint64_t)size);
	launch->disks[launch->disk_count++] = fd;
	return 0;
}

static int launch_disks(struct launch *launch, int image_disk, const char *dir,
                        struct host_error *error)
{
	const struct policy_vm *vm = &launch->policy->vm;

	for (size_t i = 0; i < vm->disk_count; i++) {
		const struct policy_disk *disk = &vm->disks[i];
		BASE_AUTO_FD int fd = images_open_path(disk->path, dir,
		                                       disk->read_only ? O_RDONLY : O_RDWR, error);

		if (fd < 0)
			return fd;
		if (launch_disk(launch, fd, disk->read_only, disk->path, error) < 0)
			return -EINVAL;
		base_take_fd(&fd);
	}
	/* A policy that names no disk gets its image's, which is shared and thus read-only. */
	if (vm->disk_count == 0 && image_disk >= 0) {
		BASE_AUTO_FD int fd = fcntl(image_disk, F_DUPFD_CLOEXEC, 0);

		if (fd < 0 || launch_disk(launch, fd, true, "the image's disk", error) < 0)
			return -EINVAL;
		base_take_fd(&fd);
	}
	return 0;
}

static void launch_cmdline(struct launch *launch)
{
	const char *root = "";

	if (launch->disk_count > 0)
		root = launch->disk_read_only[0] ? " root=/dev/vda ro" : " root=/dev/vda rw";
	snprintf(launch->cmdline, sizeof(launch->cmdline), "console=ttyS0 panic=-1%s%s%s", root,
	         launch->policy->vm.cmdline[0] ? " " : "", launch->policy->vm.cmdline);
}

static int launch_cgroup(struct launch *launch, struct host_error *error)
{
	const struct policy_isolation *isolation = &launch->policy->isolation;
	struct isolate_limits limits = {.pids_max = HOST_TASKS_MAX};
	BASE_AUTO_FREE char *cpus = NULL;
	size_t size = 0;

	if (isolation->memory_overhead)
		limits.memory_max = launch->policy->vm.memory + isolation->memory_overhead;
	FILE *text = open_memstream(&cpus, &size);
	if (!text)
		return -errno;
	for (unsigned int cpu = 0; cpu < POLICY_CPUS_MAX; cpu++)
		if (isolation->cpus[cpu / 8] & 1u << cpu % 8)
			fprintf(text, "%s%u", ftell(text) ? "," : "", cpu);
	if (fclose(text) != 0)
		return -ENOMEM;
	limits.cpus = size > 0 ? cpus : NULL;
	launch->cgroup = isolate_cgroup_make(launch->policy->vm.name, &limits);
	if (launch->cgroup == -EEXIST) {
		/* the name is this VM's, so what is there was left behind */
		isolate_cgroup_remove(launch->policy->vm.name);
		launch->cgroup = isolate_cgroup_make(launch->policy->vm.name, &limits);
	}
	if (launch->cgroup == -ENOTSUP && !limits.memory_max && !limits.cpus) {
		launch->cgroup = -1; /* nothing was asked that only a cgroup can give */
		return 0;
	}
	if (launch->cgroup < 0)
		return host_fail(error, launch->cgroup, 126,
		                 "policy line %u: the limits under isolation cannot be set: %s",
		                 isolation->line, strerror(-launch->cgroup));
	return 0;
}

static int launch_open(struct launch *launch, const char *dir, struct host_error *error)
{
	const struct policy *policy = launch->policy;
	const char *name = policy->vm.name;
	BASE_AUTO_FD int image_disk = -1;
	char path[POLICY_PATH_MAX];
	int err;

	launch->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (launch->kvm < 0)
		return host_fail(error, -errno, 126,
		                 "cannot open /dev/kvm: %s (is kvm-intel or kvm-amd loaded?)",
		                 strerror(errno));
	err = images_open(policy->vm.kernel, dir, &launch->kernel, &launch->initrd, &image_disk,
	                  error);
	if (!err && policy->vm.initrd[0]) {
		base_close(&launch->initrd);
		launch->initrd = images_open_path(policy->vm.initrd, dir, O_RDONLY, error);
		err = BASE_MIN(launch->initrd, 0);
	}
	if (!err)
		err = launch_disks(launch, image_disk, dir, error);
	if (err)
		return err;
	launch_cmdline(launch);
	thp_on(); /* before the memory is mapped, which then gets an address that they fit */
	launch->memory = launch_memory(policy);
	if (launch->memory < 0)
		return host_fail(
		        error, launch->memory, 126, "cannot get %llu MiB of guest memory: %s",
		        (unsigned long long)policy->vm.memory >> 20, strerror(-launch->memory));
	launch->control = launch_listen(name, "vmm.sock", SOCK_SEQPACKET, 0600, false);
	launch->console = launch_listen(name, "console.sock", SOCK_STREAM, 0660, true);
	launch->serial_log = launch_log(name, "serial");
	launch->log = launch_log(name, "log");
	registry_path(path, name, "record");
	launch->record = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (launch->control < 0 || launch->console < 0 || launch->serial_log < 0 ||
	    launch->log < 0 || launch->record < 0)
		return host_fail(error, -EIO, 125, "cannot make the sockets and logs of '%s'",
		                 name);
	return launch_cgroup(launch, error);
}

/* Taps, rules, programs, monitor; nothing is up when this returns. */
static int launch_wire(struct launch *launch, struct host_vm *vm, struct host_error *error)
{
	const struct policy *policy = launch->policy;
	struct firewall *fw;
	int err = 0;

	for (size_t i = 0; i < vm->nic_count; i++) {
		launch->taps[i] =
		        network_tap_create(&vm->nics[i], vm->name, &vm->ifindex[i], error);
		if (launch->taps[i] < 0)
			return launch->taps[i];
	}
	err = registry_save(vm);
	if (err)
		return host_fail(error, err, 125, "cannot save the state of '%s'", vm->name);
	fw = firewall_open();
	if (!fw)
		return host_fail(error, -errno, 126, "libnftables gives no context: %s",
		                 strerror(errno));
	err = firewall_vm_apply(fw, policy, vm->nics, vm->nic_count);
	if (err)
		host_fail(error, err, 126, "the firewall was not loaded: %s", firewall_error(fw));
	firewall_close(fw);
	return err;
}

/* Attaches the programs to one tap and tells the monitor of it. */
static int launch_watch_nic(struct tap_watch *watch, int connection, const struct policy *policy,
                            const struct host_vm *vm, size_t i, struct host_error *error)
{
	BASE_AUTO_FD int flows = tap_watch_attach(watch, vm->ifindex[i], vm->nics[i].mac);

	if (flows < 0)
		return host_fail(error, flows, 126, "cannot attach to the tap %s: %s",
		                 vm->nics[i].tap, strerror(-flows));
	return watch_register(connection, vm, policy, i, flows, error);
}

static int launch_watch_nics(struct tap_watch *watch, const struct policy *policy,
                             const struct host_vm *vm, struct host_error *error)
{
	BASE_AUTO_FD int connection = watch_connect(false, error);
	int err = BASE_MIN(connection, 0);

	for (size_t i = 0; !err && i < vm->nic_count; i++)
		err = launch_watch_nic(watch, connection, policy, vm, i, error);
	return err;
}

static int launch_watch(const struct policy *policy, struct host_vm *vm, struct host_error *error)
{
	struct tap_watch *watch = NULL;
	const char *why = "";
	int err;

	if (vm->nic_count == 0)
		return 0;
	BASE_AUTO_FD int host =
	        registry_lock_host(); /* two first VMs must not both load or start */
	err = tap_watch_open(&watch, &why);
	if (err)
		return host_fail(error, err, 126, "cannot load the BPF programs: %s: %s", why,
		                 strerror(-err));
	err = launch_watch_nics(watch, policy, vm, error);
	/* a monitor that was about to end, having no VM, took the connection with it */
	if (err == -ECONNRESET || err == -EPIPE) {
		host_error_clear(error);
		err = launch_watch_nics(watch, policy, vm, error);
	}
	tap_watch_close(watch);
	return err;
}

/* Only now, with rules, programs and monitor in place. */
static int launch_up(const struct host_vm *vm, struct host_error *error)
{
	int err = 0;

	for (size_t i = 0; !err && i < vm->nic_count; i++) {
		if (vm->nics[i].mode != POLICY_NIC_HOST_ONLY)
			err = network_forwarding_on(error);
		if (!err)
			err = network_tap_up(&vm->nics[i], vm->ifindex[i], error);
	}
	return err;
}

static int launch_start(struct host_vm *vm, struct host_error *error)
{
	struct vmm_message answer;
	struct timespec now;
	int err = control_call(vm->name, VMM_QUERY, &answer, LAUNCH_READY_MS);

	if (err || answer.state != VMM_READY)
		return host_fail(error, err ? err : -EPROTO, 126,
		                 "the vmm of '%s' did not get ready: %s; " HOST_LOG_DIR
		                 "/%s.log may say more",
		                 vm->name, err ? strerror(-err) : "it is in another state",
		                 vm->name);
	clock_gettime(CLOCK_REALTIME, &now);
	vm->started = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	base_copy_string(vm->state, sizeof(vm->state), "running");
	err = registry_save(vm);
	if (!err)
		err = control_call(vm->name, VMM_START, &answer, LAUNCH_READY_MS);
	if (err)
		return host_fail(error, err, 126, "the vmm of '%s' did not start: %s", vm->name,
		                 strerror(-err));
	return 0;
}

static int launch_all(struct launch *launch, struct host_vm *vm, const char *dir,
                      struct host_error *error)
{
	int err = launch_open(launch, dir, error);

	if (!err)
		err = launch_wire(launch, vm, error);
	if (!err)
		err = launch_watch(launch->policy, vm, error);
	if (!err)
		err = launch_up(vm, error);
	if (!err)
		err = spawn_vm(launch, vm, error);
	launch_close(
	        launch); /* the processes have theirs; a dead vmm's sockets must be seen as dead */
	if (!err)
		err = registry_save(vm);
	if (!err)
		err = launch_start(vm, error);
	return err;
}

/* Names what the VM will be, and takes its folder. */
static int launch_claim(const struct policy *policy, const char *text, size_t size,
                        const char *path, struct host_vm *vm, int *lock, struct host_error *error)
{
	char file[POLICY_PATH_MAX];
	int err;

	memset(vm, 0, sizeof(*vm));
	base_copy_string(vm->name, sizeof(vm->name), policy->vm.name);
	base_copy_string(vm->policy_path, sizeof(vm->policy_path), path);
	base_copy_string(vm->state, sizeof(vm->state), "starting");
	vm->vcpus = policy->vm.vcpus;
	vm->memory = policy->vm.memory;
	err = registry_claim(vm, policy->vm.nic_count, lock, error);
	if (err)
		return err;
	for (size_t i = 0; i < policy->vm.nic_count; i++)
		network_plan(vm->links[i], &policy->vm.nics[i], &vm->nics[i]);
	registry_path(file, vm->name, "policy.yaml");
	err = registry_write_file(file, text, size, 0640);
	if (!err)
		err = registry_save(vm);
	if (err) {
		registry_drop(vm);
		return host_fail(error, err, 125, "cannot write %s: %s", file, strerror(-err));
	}
	return 0;
}

int launch_vm(const char *text, size_t size, const char *path, const char *dir, struct host_vm *vm,
              struct host_error *error)
{
	BASE_AUTO_FREE struct policy *policy = calloc(1, sizeof(*policy));
	BASE_AUTO_FREE struct launch *launch = calloc(1, sizeof(*launch));
	BASE_AUTO_FD int lock = -1;
	int err;

	if (!policy || !launch)
		return host_fail(error, -ENOMEM, 125, "out of memory");
	err = launch_parse(text, size, path, policy, error);
	if (!err)
		err = launch_can(policy, error);
	if (!err)
		err = registry_prepare(error);
	if (err)
		return err;
	reap_stale();
	/* The lock is held until the guest runs: a reaper must not take it for a dead one. */
	err = launch_claim(policy, text, size, path, vm, &lock, error);
	if (err)
		return err;
	launch_init(launch, policy);
	err = launch_all(launch, vm, dir, error);
	if (err) {
		launch_close(launch);
		if (reap_failed(vm) < 0)
			fprintf(stderr,
			        "cordon: something of '%s' is left; it is tried again at the next "
			        "start\n",
			        vm->name);
	}
	return err;
}
