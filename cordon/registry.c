/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The registry is folders and small files under /run/cordon, so that it survives whoever wrote it and
 * so that taking something is one mkdir, which cannot be done twice:
 *
 *   /run/cordon/vms/NAME/     state.json, policy.yaml, console.sock, vmm.sock, vsock.sock, serial.log, dnsmasq's files
 *   /run/cordon/slots/N       a VM's range of uids (the folder holds nothing)
 *   /run/cordon/links/N       a tap, with its addresses
 *   /run/cordon/ended/NAME.json   how a VM ended, kept until its name is used again
 *
 * A VM's lock is a flock on its folder; the host's, on /run/cordon itself.
 */
#include "cordon/host.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/base.h"
#include "isolate/isolate.h"

void registry_path(char out[POLICY_PATH_MAX], const char *name, const char *file)
{
	snprintf(out, POLICY_PATH_MAX, "%s/vms/%s%s%s", HOST_RUN_DIR, name, *file ? "/" : "", file);
}

bool registry_name_valid(const char *name)
{
	size_t length = strnlen(name, POLICY_NAME_MAX);

	if (length == 0 || length >= POLICY_NAME_MAX || name[0] == '-')
		return false;
	for (size_t i = 0; i < length; i++)
		if (!((name[i] >= 'a' && name[i] <= 'z') || (name[i] >= '0' && name[i] <= '9') ||
		      name[i] == '-'))
			return false;
	return true;
}

static int registry_folder(const char *path, mode_t mode, gid_t group)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return -errno;
	/* mkdir's mode goes through the umask; owner and mode are what the text below says. */
	if (chown(path, 0, group) < 0 || chmod(path, mode) < 0)
		return -errno;
	return 0;
}

gid_t registry_group(void)
{
	const struct group *group = getgrnam(HOST_GROUP);

	return group ? group->gr_gid : 0;
}

int registry_prepare(struct host_error *error)
{
	/* The group may look up and connect (the console's socket has a mode of its own), not change. */
	static const struct {
		const char *path;
		mode_t mode;
	} folders[] = {
	        {HOST_RUN_DIR, 0750},          {HOST_RUN_DIR "/vms", 0750},
	        {HOST_RUN_DIR "/slots", 0700}, {HOST_RUN_DIR "/links", 0700},
	        {HOST_RUN_DIR "/ended", 0750}, {HOST_LOG_DIR, 0750},
	};
	gid_t group = registry_group();

	if (geteuid() != 0)
		return host_fail(
		        error, -EPERM, 125,
		        "no cordond is running, and starting guests without it needs root");
	for (size_t i = 0; i < BASE_COUNT(folders); i++) {
		int err = registry_folder(folders[i].path, folders[i].mode, group);

		if (err)
			return host_fail(error, err, 125, "cannot make %s: %s", folders[i].path,
			                 strerror(-err));
	}
	return 0;
}

/* True when the folder that was opened is still the one at the path. */
static bool registry_still(int fd, const char *path)
{
	struct stat opened, there;

	return fstat(fd, &opened) == 0 && stat(path, &there) == 0 &&
	       opened.st_dev == there.st_dev && opened.st_ino == there.st_ino;
}

/* While this waited, the folder may have been removed, and made again by somebody who has locked it. */
static int registry_lock(const char *path, int how)
{
	for (;;) {
		BASE_AUTO_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

		if (fd < 0)
			return -errno;
		while (flock(fd, how) < 0)
			if (errno != EINTR)
				return -errno;
		if (registry_still(fd, path))
			return base_take_fd(&fd);
	}
}

int registry_lock_host(void)
{
	return registry_lock(HOST_RUN_DIR, LOCK_EX);
}

static int registry_lock_name(const char *name, int how)
{
	char path[POLICY_PATH_MAX];

	if (!registry_name_valid(name))
		return -EINVAL;
	registry_path(path, name, "");
	return registry_lock(path, how);
}

int registry_lock_vm(const char *name)
{
	return registry_lock_name(name, LOCK_EX);
}

int registry_try_vm(const char *name)
{
	return registry_lock_name(name, LOCK_EX | LOCK_NB);
}

/* The lowest free number of a kind; mkdir decides, so that two at once cannot get the same. */
static int registry_take(const char *kind, uint32_t max, uint32_t *number)
{
	char path[POLICY_PATH_MAX];

	for (uint32_t i = 1; i < max; i++) {
		snprintf(path, sizeof(path), "%s/%s/%u", HOST_RUN_DIR, kind, i);
		if (mkdir(path, 0700) == 0) {
			*number = i;
			return 0;
		}
		if (errno != EEXIST)
			return -errno;
	}
	return -ENOSPC;
}

static void registry_give(const char *kind, uint32_t number)
{
	char path[POLICY_PATH_MAX];

	if (number == 0)
		return;
	snprintf(path, sizeof(path), "%s/%s/%u", HOST_RUN_DIR, kind, number);
	rmdir(path);
}

/* The folder is flat: everything in it is a file or a socket. What `keep` names stays. */
static int registry_unlink_all(const char *path, const char *const *keep, size_t keep_count)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir))) {
		bool stays = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;

		for (size_t i = 0; i < keep_count; i++)
			stays |= strcmp(entry->d_name, keep[i]) == 0;
		if (!stays)
			unlinkat(dirfd(dir), entry->d_name, 0);
	}
	closedir(dir);
	return 0;
}

int registry_clear(const struct host_vm *vm)
{
	static const char *const keep[] = {"policy.yaml", "state.json"};
	char path[POLICY_PATH_MAX];

	registry_path(path, vm->name, "");
	return registry_unlink_all(path, keep, BASE_COUNT(keep));
}

static int registry_empty(const char *path)
{
	int err = registry_unlink_all(path, NULL, 0);

	if (err)
		return err;
	if (rmdir(path) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

/*
 * The folder is made and locked under a name that is no VM's, and then gets its own: nobody can come
 * between the two, and whoever finds a folder that is not locked knows that its maker is gone.
 */
static int registry_make(const char *path, int *lock)
{
	static const char made[] = HOST_RUN_DIR "/vms/.new";
	int err = registry_empty(made); /* of somebody who was killed: the host's lock is held */

	if (!err && mkdir(made, 0750) < 0)
		err = -errno;
	if (!err && chown(made, 0, registry_group()) < 0)
		err = -errno;
	if (err)
		return err;
	*lock = registry_lock(made, LOCK_EX);
	err = BASE_MIN(*lock, 0);
	if (!err && renameat2(AT_FDCWD, made, AT_FDCWD, path, RENAME_NOREPLACE) < 0)
		err = -errno;
	if (err)
		registry_empty(made);
	return err;
}

static void registry_forget_end(const char *name)
{
	char path[POLICY_PATH_MAX];

	snprintf(path, sizeof(path), HOST_RUN_DIR "/ended/%s.json", name);
	unlink(path);
}

static int registry_fill(struct host_vm *vm, size_t nics)
{
	int err = vm->guard ? 0 : registry_take("slots", HOST_SLOTS_MAX, &vm->slot);

	for (size_t i = 0; !err && i < nics && !vm->guard; i++) {
		err = registry_take("links", HOST_LINKS_MAX, &vm->links[i]);
		vm->nic_count = i + 1;
	}
	return err ? err : registry_save(vm);
}

int registry_claim(struct host_vm *vm, size_t nics, int *lock, struct host_error *error)
{
	BASE_AUTO_FD int host = registry_lock_host();
	char path[POLICY_PATH_MAX];
	int err;

	*lock = -1;
	registry_path(path, vm->name, "");
	err = host < 0 ? host : registry_make(path, lock);
	if (err) {
		base_close(lock);
		return err == -EEXIST ? host_fail(error, err, 126,
		                                  "a guest named '%s' exists already", vm->name)
		                      : host_fail(error, err, 125, "cannot make %s: %s", path,
		                                  strerror(-err));
	}
	registry_forget_end(vm->name);
	err = registry_fill(vm, nics);
	if (err) {
		registry_drop(vm);
		base_close(lock);
		return host_fail(error, err, 125, "no room for another guest: %s", strerror(-err));
	}
	return 0;
}

int registry_drop(const struct host_vm *vm)
{
	char path[POLICY_PATH_MAX];

	for (size_t i = 0; i < vm->nic_count; i++)
		registry_give("links", vm->links[i]);
	registry_give("slots", vm->slot);
	registry_path(path, vm->name, "");
	return registry_empty(path);
}

static void registry_sweep_kind(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
	if (dir)
		closedir(dir);
}

void registry_sweep(void)
{
	char names[1][POLICY_NAME_MAX];

	/* one that was killed between taking a number and writing it down has left nobody to give it back */
	if (registry_list(names, 1) != 0)
		return;
	registry_sweep_kind(HOST_RUN_DIR "/slots");
	registry_sweep_kind(HOST_RUN_DIR "/links");
}

int registry_write_file(const char *path, const char *text, size_t size, mode_t mode)
{
	char temporary[POLICY_PATH_MAX + 8];
	int err;

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	{
		BASE_AUTO_FD int fd = open(
		        temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);

		if (fd < 0)
			return -errno;
		err = base_write_all(fd, text, size);
		if (!err && (fchmod(fd, mode) < 0 || fchown(fd, 0, registry_group()) < 0))
			err = -errno;
	}
	if (!err && rename(temporary, path) < 0)
		err = -errno;
	if (err)
		unlink(temporary);
	return err;
}

int registry_log_open(const char *file, int flags)
{
	char path[POLICY_PATH_MAX];

	snprintf(path, sizeof(path), HOST_LOG_DIR "/%s", file);
	if (!(flags & O_ACCMODE))
		flags |= O_WRONLY;
	BASE_AUTO_FD int fd = open(path, O_CREAT | O_CLOEXEC | O_NOFOLLOW | flags, 0640);
	if (fd < 0 || fchmod(fd, 0640) < 0 || fchown(fd, 0, registry_group()) < 0)
		return -errno;
	return base_take_fd(&fd);
}

static json_t *registry_nic_json(const struct host_vm *vm, size_t i)
{
	const struct firewall_nic *nic = &vm->nics[i];
	char mac[18], ip4[16], gateway[16], ip6[40];
	int n = 0;

	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", nic->mac[0], nic->mac[1],
	         nic->mac[2], nic->mac[3], nic->mac[4], nic->mac[5]);
	snprintf(ip4, sizeof(ip4), "%u.%u.%u.%u", nic->ip4[0], nic->ip4[1], nic->ip4[2],
	         nic->ip4[3]);
	snprintf(gateway, sizeof(gateway), "%u.%u.%u.%u", nic->gateway4[0], nic->gateway4[1],
	         nic->gateway4[2], nic->gateway4[3]);
	for (size_t k = 0; k < 16; k += 2)
		n += snprintf(ip6 + n, sizeof(ip6) - (size_t)n, "%s%x", k ? ":" : "",
		              base_be16(nic->ip6 + k));
	return json_pack("{s:s, s:i, s:i, s:i, s:s, s:s, s:s, s:s, s:s*}", "tap", nic->tap, "link",
	                 (int)vm->links[i], "ifindex", (int)vm->ifindex[i], "mode", (int)nic->mode,
	                 "mac", mac, "ip4", ip4, "gateway4", gateway, "ip6", ip6, "bridge",
	                 nic->bridge[0] ? nic->bridge : NULL);
}

static json_t *registry_process_json(const struct host_process *process)
{
	return json_pack("{s:s, s:i, s:I, s:s, s:i, s:i, s:I}", "role", process->role, "pid",
	                 (int)process->pid, "uid", (json_int_t)process->uid, "state",
	                 process->state[0] ? process->state : "running", "restarts",
	                 (int)process->restarts, "recent_restarts", (int)process->recent,
	                 "restarts_since", (json_int_t)process->since);
}

json_t *registry_json(const struct host_vm *vm)
{
	json_t *nics = json_array(), *processes = json_array();

	for (size_t i = 0; i < vm->nic_count; i++)
		json_array_append_new(nics, registry_nic_json(vm, i));
	for (size_t i = 0; i < vm->process_count; i++)
		json_array_append_new(processes, registry_process_json(&vm->processes[i]));
	return json_pack("{s:s, s:s, s:b, s:b, s:s*, s:i, s:I, s:i, s:I, s:I, s:i, s:i, s:s, s:s, "
	                 "s:s, s:o, s:o}",
	                 "name", vm->name, "state", vm->state, "guard", vm->guard, "quarantined",
	                 vm->quarantined, "quarantine_allow",
	                 vm->quarantine_allow[0] ? vm->quarantine_allow : NULL, "vcpus",
	                 (int)vm->vcpus, "memory", (json_int_t)vm->memory, "slot", (int)vm->slot,
	                 "started", (json_int_t)vm->started, "keeper_start",
	                 (json_int_t)vm->keeper_start, "keeper", (int)vm->keeper, "restarts",
	                 (int)vm->restarts, "policy", vm->policy_path, "first_policy",
	                 vm->first_path, "dir", vm->dir, "nics", nics, "processes", processes);
}

int registry_save(const struct host_vm *vm)
{
	char path[POLICY_PATH_MAX];
	json_t *json = registry_json(vm);
	BASE_AUTO_FREE char *text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;

	json_decref(json);
	if (!text)
		return -ENOMEM;
	registry_path(path, vm->name, "state.json");
	return registry_write_file(path, text, strlen(text), 0640);
}

/* A number that is not one, or is out of its range, is 0: nothing may be undone on its word. */
static uint64_t registry_number(const json_t *json, const char *key, uint64_t max)
{
	json_int_t value = json_integer_value(json_object_get(json, key));

	return value < 0 || (uint64_t)value > max ? 0 : (uint64_t)value;
}

static void registry_text(const json_t *json, const char *key, char *out, size_t size)
{
	const char *text = json_string_value(json_object_get(json, key));

	base_copy_string(out, size, text ? text : "");
}

static void registry_load_nics(const json_t *nics, struct host_vm *vm)
{
	size_t i;
	json_t *nic;

	json_array_foreach(nics, i, nic)
	{
		struct policy_nic plan = {0};
		unsigned int mac[6];
		char tap[sizeof(vm->nics[i].tap)];
		const char *text = json_string_value(json_object_get(nic, "mac"));

		if (i >= POLICY_NICS_MAX)
			break;
		/* Addresses follow from the link; only the MAC may be the policy's own. */
		plan.mode = (enum policy_nic_mode)registry_number(nic, "mode", POLICY_NIC_BRIDGE);
		if (text && sscanf(text, "%x:%x:%x:%x:%x:%x", &mac[0], &mac[1], &mac[2], &mac[3],
		                   &mac[4], &mac[5]) == 6)
			for (size_t k = 0; k < 6; k++)
				plan.mac[k] = (uint8_t)mac[k];
		if (vm->guard || plan.mode == POLICY_NIC_BRIDGE)
			network_bridge_read(&plan,
			                    json_string_value(json_object_get(nic, "bridge")),
			                    json_string_value(json_object_get(nic, "ip4")),
			                    json_string_value(json_object_get(nic, "ip6")));
		vm->links[i] = (uint32_t)registry_number(nic, "link", HOST_LINKS_MAX - 1);
		vm->ifindex[i] = (unsigned int)registry_number(nic, "ifindex", INT32_MAX);
		if (vm->guard) {
			registry_text(nic, "tap", tap, sizeof(tap));
			network_plan_guard(tap, plan.bridge, &plan, &vm->nics[i]);
		} else {
			network_plan(vm->links[i], &plan, &vm->nics[i]);
		}
		vm->nic_count = i + 1;
	}
}

static void registry_load_processes(const json_t *processes, struct host_vm *vm)
{
	size_t i;
	json_t *process;

	json_array_foreach(processes, i, process)
	{
		struct host_process *p = &vm->processes[i];

		if (i >= HOST_PROCESSES_MAX)
			break;
		registry_text(process, "role", p->role, sizeof(p->role));
		p->pid = (pid_t)registry_number(process, "pid", INT32_MAX);
		p->uid = (uid_t)registry_number(process, "uid", UINT32_MAX);
		registry_text(process, "state", p->state, sizeof(p->state));
		p->restarts = (uint32_t)registry_number(process, "restarts", INT32_MAX);
		p->recent = (uint32_t)registry_number(process, "recent_restarts", INT32_MAX);
		p->since = (int64_t)registry_number(process, "restarts_since", INT64_MAX);
		vm->process_count = i + 1;
	}
}

int registry_load(const char *name, struct host_vm *vm)
{
	char path[POLICY_PATH_MAX], copy[POLICY_NAME_MAX];
	json_t *json;

	if (!registry_name_valid(name))
		return -EINVAL;
	base_copy_string(copy, sizeof(copy), name); /* it may be vm's own */
	memset(vm, 0, sizeof(*vm));
	registry_path(path, copy, "");
	if (access(path, F_OK) < 0)
		return -errno;
	base_copy_string(vm->name, sizeof(vm->name), copy);
	registry_path(path, copy, "state.json");
	json = json_load_file(path, 0, NULL);
	if (!json)
		return 0; /* it died between mkdir and the first save: the name alone is enough to reap */
	vm->slot = (uint32_t)registry_number(json, "slot", HOST_SLOTS_MAX - 1);
	vm->vcpus = (uint32_t)registry_number(json, "vcpus", UINT32_MAX);
	vm->memory = registry_number(json, "memory", INT64_MAX);
	vm->keeper = (pid_t)registry_number(json, "keeper", INT32_MAX);
	vm->keeper_start = registry_number(json, "keeper_start", INT64_MAX);
	vm->started = (int64_t)registry_number(json, "started", INT64_MAX);
	vm->guard = json_is_true(json_object_get(json, "guard"));
	vm->quarantined = json_is_true(json_object_get(json, "quarantined"));
	registry_text(json, "quarantine_allow", vm->quarantine_allow, sizeof(vm->quarantine_allow));
	registry_text(json, "state", vm->state, sizeof(vm->state));
	vm->restarts = (uint32_t)registry_number(json, "restarts", INT32_MAX);
	registry_text(json, "policy", vm->policy_path, sizeof(vm->policy_path));
	registry_text(json, "first_policy", vm->first_path, sizeof(vm->first_path));
	registry_text(json, "dir", vm->dir, sizeof(vm->dir));
	registry_load_nics(json_object_get(json, "nics"), vm);
	registry_load_processes(json_object_get(json, "processes"), vm);
	json_decref(json);
	return 0;
}

int registry_list(char (*names)[POLICY_NAME_MAX], size_t max)
{
	DIR *dir = opendir(HOST_RUN_DIR "/vms");
	struct dirent *entry;
	int count = 0;

	if (!dir)
		return errno == ENOENT ? 0 : -errno;
	while ((entry = readdir(dir))) {
		if (!registry_name_valid(entry->d_name))
			continue;
		if ((size_t)count < max)
			base_copy_string(names[count], POLICY_NAME_MAX, entry->d_name);
		count++;
	}
	closedir(dir);
	return count;
}

int registry_policy(const char *name, struct policy *policy)
{
	char path[POLICY_PATH_MAX];
	BASE_AUTO_FREE char *text = NULL;
	BASE_AUTO_FREE struct policy_errors *errors = calloc(1, sizeof(*errors));
	ssize_t size;

	if (!errors)
		return -ENOMEM;
	registry_path(path, name, "policy.yaml");
	size = policy_read_file(path, &text);
	if (size < 0)
		return (int)size;
	return policy_parse(text, (size_t)size, policy, errors);
}

json_t *registry_backends(const char *name)
{
	static const char *const types[] = {"fs", "net", "blk"};
	BASE_AUTO_FREE struct policy *policy = calloc(1, sizeof(*policy));
	json_t *list;

	if (!policy || registry_policy(name, policy) < 0)
		return NULL;
	list = json_array();
	for (size_t i = 0; i < policy->vm.vhost_count; i++) {
		const struct policy_vhost *vhost = &policy->vm.vhosts[i];

		json_array_append_new(list, json_pack("{s:s, s:s}", "type", types[vhost->type],
		                                      "socket", vhost->socket));
	}
	return list;
}

/*
 * Field 22 of /proc/PID/stat: the start time, which a later process of the same pid does not share. A
 * zombie (field 3) is as good as gone: it only waits for its parent to ask.
 */
uint64_t registry_start_time(pid_t pid)
{
	char path[64], line[1024];
	const char *at;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	BASE_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, line, sizeof(line) - 1);
	if (n <= 0)
		return 0;
	line[n] = '\0';
	at = strrchr(line, ')'); /* the name before it may hold anything */
	if (!at || strncmp(at, ") Z", 3) == 0 || strncmp(at, ") X", 3) == 0)
		return 0;
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	return at ? strtoull(at + 1, NULL, 10) : 0;
}

bool registry_alive(const struct host_vm *vm)
{
	return vm->keeper > 0 && vm->keeper_start != 0 &&
	       registry_start_time(vm->keeper) == vm->keeper_start;
}
