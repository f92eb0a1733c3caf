// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * open: everything that a VM's processes will hold, opened by whoever may open it. A process is handed its
 * fds and can open nothing itself, so what cannot be had is an error here, before any of them exists.
 */
#include "cordon/launch.h"
#include "cordon/memory.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/base.h"

enum { LAUNCH_LOG_MAX = 1024 * 1024, LAUNCH_BACKLOG = 8 };

void launch_init(struct launch *launch, const struct policy *policy)
{
	memset(launch, 0, sizeof(*launch));
	launch->policy = policy;
	launch->kvm = launch->memory = launch->kernel = launch->initrd = -1;
	launch->control = launch->console = launch->serial_log = launch->log = launch->last = -1;
	launch->serial_old = -1;
	launch->cgroup = launch->status = launch->record = launch->limits = -1;
	launch->balloon = launch->node = launch->vsock = launch->dial[0] = launch->dial[1] = -1;
	launch->console_size = launch->console_log = launch->names = -1;
	launch->firmware = launch->sev = launch->id_block = launch->id_auth = -1;
	for (size_t i = 0; i < POLICY_DISKS_MAX; i++)
		launch->disks[i] = -1;
	for (size_t i = 0; i < POLICY_VHOST_MAX; i++)
		launch->vhosts[i] = -1;
	for (size_t i = 0; i < POLICY_NICS_MAX; i++)
		for (size_t k = 0; k < POLICY_QUEUES_MAX; k++)
			launch->taps[i][k] = -1;
}

/* Somebody else's back end has to be there already: it is not waited for. */
static int launch_vhosts(struct launch *launch, struct host_error *error)
{
	for (size_t i = 0; i < launch->policy->vm.vhost_count; i++) {
		const struct policy_vhost *vhost = &launch->policy->vm.vhosts[i];
		struct sockaddr_un address = {.sun_family = AF_UNIX};
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		launch->vhosts[i] = fd;
		base_copy_string(address.sun_path, sizeof(address.sun_path), vhost->socket);
		if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
			return host_fail(error, -errno, 126,
			                 "policy line %u: no vhost-user back end listens at %s: %s",
			                 vhost->line, vhost->socket, strerror(errno));
	}
	return 0;
}

void launch_close(struct launch *launch)
{
	int *fds[] = {&launch->kvm,          &launch->memory,      &launch->kernel,
	              &launch->initrd,       &launch->control,     &launch->console,
	              &launch->serial_log,   &launch->log,         &launch->cgroup,
	              &launch->status,       &launch->record,      &launch->limits,
	              &launch->last,         &launch->serial_old,  &launch->balloon,
	              &launch->console_size, &launch->console_log, &launch->vsock,
	              &launch->dial[0],      &launch->dial[1],     &launch->names,
	              &launch->firmware,     &launch->sev,         &launch->id_block,
	              &launch->id_auth};

	for (size_t i = 0; i < BASE_COUNT(fds); i++)
		base_close(fds[i]);
	for (size_t i = 0; i < POLICY_DISKS_MAX; i++)
		base_close(&launch->disks[i]);
	for (size_t i = 0; i < POLICY_VHOST_MAX; i++)
		base_close(&launch->vhosts[i]);
	for (size_t i = 0; i < POLICY_NICS_MAX; i++)
		for (size_t k = 0; k < POLICY_QUEUES_MAX; k++)
			base_close(&launch->taps[i][k]);
}

int launch_listen(const char *vm, const char *file, int type, mode_t mode, bool group)
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
	    (type != SOCK_DGRAM && listen(fd, LAUNCH_BACKLOG) < 0))
		return -errno;
	return base_take_fd(&fd);
}

static int launch_log(const char *vm, const char *suffix, bool again)
{
	char file[POLICY_NAME_MAX + 16];

	snprintf(file, sizeof(file), "%s.%s", vm, suffix);
	return registry_log_open(file, again ? O_RDWR | O_APPEND : O_RDWR | O_TRUNC | O_APPEND);
}

/* A guest that resets itself for ever must not fill the disk: a long log becomes the old one. */
static void launch_log_rotate(const char *vm, bool again)
{
	char path[POLICY_PATH_MAX], old[POLICY_PATH_MAX + 8];
	struct stat facts;

	snprintf(path, sizeof(path), HOST_LOG_DIR "/%s.log", vm);
	snprintf(old, sizeof(old), "%s.1", path);
	if (!again)
		unlink(old); /* another VM's that had the name */
	if (!again || stat(path, &facts) < 0 || facts.st_size < LAUNCH_LOG_MAX ||
	    rename(path, old) < 0)
		return;
	BASE_AUTO_FD int log = launch_log(vm, "log", true);
	if (log >= 0)
		dprintf(log, "cordon: what was logged before is in %s\n", old);
}

static int launch_file(const char *vm, const char *file)
{
	char path[POLICY_PATH_MAX];
	int fd;

	registry_path(path, vm, file);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
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
		/* O_EXCL: a block device that the host uses itself is not for a guest to write. */
		BASE_AUTO_FD int fd = images_open_path(
		        disk->path, dir, disk->read_only ? O_RDONLY : O_RDWR | O_EXCL, error);

		if (fd < 0)
			return fd;
		if (launch_disk(launch, fd, disk->read_only, disk->path, error) < 0)
			return -EINVAL;
		base_take_fd(&fd);
	}
	/* A policy that names no disk gets its image's, which is shared and thus read-only. */
	if (vm->disk_count == 0 && image_disk >= 0 && !images_has_vhost_disk(vm)) {
		BASE_AUTO_FD int fd = fcntl(image_disk, F_DUPFD_CLOEXEC, 0);

		if (fd < 0 || launch_disk(launch, fd, true, "the image's disk", error) < 0)
			return -EINVAL;
		base_take_fd(&fd);
	}
	return 0;
}

static int launch_cgroup(struct launch *launch, struct host_error *error)
{
	const struct policy_isolation *isolation = &launch->policy->isolation;
	struct isolate_limits limits = {.pids_max = HOST_TASKS_MAX};
	char local[MEMORY_CPULIST_MAX] = "";
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
	/* memory of one node is near to that node's CPUs only */
	if (launch->node >= 0)
		memory_node_cpus(MEMORY_NODES, launch->node, local);
	limits.cpus = size > 0 ? cpus : local[0] ? local : NULL;
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

int launch_open(struct launch *launch, const char *dir, struct host_error *error)
{
	const struct policy *policy = launch->policy;
	const char *name = policy->vm.name;
	BASE_AUTO_FD int image_disk = -1;
	int err;

	launch->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (launch->kvm < 0)
		return host_fail(error, -errno, 126,
		                 "cannot open /dev/kvm: %s (is kvm-intel or kvm-amd loaded?)",
		                 strerror(errno));
	err = policy->confidential.firmware[0] ? launch_confidential(launch, dir, error) : 0;
	if (!err && policy->vm.kernel[0])
		err = images_open(policy->vm.kernel, dir, &launch->kernel, &launch->initrd,
		                  &image_disk, error);
	if (!err && policy->vm.initrd[0]) {
		base_close(&launch->initrd);
		launch->initrd = images_open_path(policy->vm.initrd, dir, O_RDONLY, error);
		err = BASE_MIN(launch->initrd, 0);
	}
	if (!err)
		err = launch_disks(launch, image_disk, dir, error);
	if (!err)
		err = launch_vhosts(launch, error);
	if (err)
		return err;
	images_cmdline(&policy->vm, launch->disk_count > 0 && policy->vm.disk_count == 0,
	               launch->cmdline, sizeof(launch->cmdline));
	thp_on(); /* before the memory is mapped, which then gets an address that they fit */
	launch->node = memory_node(&policy->isolation, MEMORY_NODES, error);
	if (launch->node < -1)
		return launch->node;
	launch->memory = memory_open(policy, error);
	if (launch->memory < 0)
		return launch->memory;
	launch->control = launch_listen(name, "vmm.sock", SOCK_SEQPACKET, 0600, false);
	launch->console = launch_listen(name, "console.sock", SOCK_STREAM, 0660, true);
	if (policy->vm.balloon)
		launch->balloon = launch_listen(name, "balloon.sock", SOCK_SEQPACKET, 0600, false);
	launch->serial_log = launch_log(name, "serial", launch->again);
	launch->serial_old = launch_log(name, "serial.1", launch->again);
	launch_log_rotate(name, launch->again);
	launch->log = launch_log(name, "log", launch->again);
	launch->limits = limit_create(&policy->vm);
	launch->record = launch_file(name, "record");
	launch->last = launch_file(name, "last");
	if (policy->vm.console == POLICY_CONSOLE_VIRTIO) {
		launch->console_size =
		        launch_listen(name, "console-size.sock", SOCK_DGRAM, 0660, true);
		launch->console_log = launch_log(name, "console", launch->again);
		err = BASE_MIN(BASE_MIN(launch->console_size, launch->console_log), 0);
	}
	if (err || launch->control < 0 || launch->console < 0 ||
	    (policy->vm.balloon && launch->balloon < 0) || launch->serial_log < 0 ||
	    launch->serial_old < 0 || launch->log < 0 || launch->record < 0 || launch->last < 0 ||
	    launch->limits < 0)
		return host_fail(error, -EIO, 125,
		                 "cannot make the sockets, logs and limits of '%s'", name);
	err = names_open(policy, &launch->names, error);
	if (!err && policy->vm.vsock.line)
		err = launch_vsock(launch, error);
	return err ? err : launch_cgroup(launch, error);
}
