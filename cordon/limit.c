// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The page of limits of a VM (vmm/devices/limits.h): made from the policy before its devices are, and read
 * and changed while they run. It is all that has to be written: nobody is asked and nothing restarted.
 */
#include "cordon/launch.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/base.h"
#include "vmm/devices/limits.h"

_Static_assert((int)POLICY_DISKS_MAX <= (int)LIMITS_DISKS &&
                       (int)POLICY_NICS_MAX <= (int)LIMITS_NICS,
               "every disk and NIC has an entry");

enum { LIMIT_NAME_MAX = 16 };

static void limit_unmap(struct limits_page **page)
{
	if (*page)
		munmap(*page, sizeof(**page));
}

static int limit_map(const char *path, int flags, struct limits_page **page)
{
	BASE_AUTO_FD int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
	struct stat facts;
	void *map;

	if (fd < 0 || (flags & O_CREAT && ftruncate(fd, sizeof(**page)) < 0) ||
	    fstat(fd, &facts) < 0)
		return -errno;
	if (facts.st_size < (off_t)sizeof(**page))
		return -EPROTO;
	map = mmap(NULL, sizeof(**page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	*page = map;
	return 0;
}

static struct limit limit_of(const struct policy_limit *policy)
{
	return (struct limit){policy->bandwidth, policy->iops, policy->burst};
}

int limit_create(const struct policy_vm *vm)
{
	BASE_CLEANUP(limit_unmap) struct limits_page *page = NULL;
	char path[POLICY_PATH_MAX];
	struct limit limit;
	int fd, err;

	registry_path(path, vm->name, "limits");
	err = limit_map(path, O_CREAT | O_EXCL, &page);
	if (err)
		return err;
	for (size_t i = 0; i < vm->disk_count; i++) {
		limit = limit_of(&vm->disks[i].limit);
		limits_write(&page->entry[LIMITS_DISK + i], &limit);
	}
	for (size_t i = 0; i < vm->nic_count; i++) {
		limit = limit_of(&vm->nics[i].limit);
		limits_write(&page->entry[LIMITS_NIC + i], &limit);
	}
	page->magic = LIMITS_MAGIC;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

/* How many of its processes are of a kind: an image's disk is in no policy. */
static size_t limit_count(const struct host_vm *vm, const char *role)
{
	size_t count = 0;

	for (size_t i = 0; i < vm->process_count; i++)
		count += strncmp(vm->processes[i].role, role, strlen(role)) == 0;
	return count;
}

/* The entry that "disk0" or "nic1" names, or -ENODEV. */
static int limit_entry(const struct host_vm *vm, const char *device)
{
	char name[LIMIT_NAME_MAX];

	for (unsigned int i = 0; i < LIMITS_ENTRIES; i++) {
		bool nic = i >= LIMITS_NIC;
		unsigned int number = nic ? i - LIMITS_NIC : i - LIMITS_DISK;

		snprintf(name, sizeof(name), "%s%u", nic ? "nic" : "disk", number);
		if (number < limit_count(vm, nic ? "net" : "blk") && strcmp(name, device) == 0)
			return (int)i;
	}
	return -ENODEV;
}

static json_t *limit_json(const struct limits_page *page, const struct host_vm *vm)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < LIMITS_ENTRIES; i++) {
		bool nic = i >= LIMITS_NIC;
		unsigned int number = nic ? i - LIMITS_NIC : i - LIMITS_DISK;
		const struct limit *limit = &page->entry[i].limit;
		char name[LIMIT_NAME_MAX];

		if (number >= limit_count(vm, nic ? "net" : "blk"))
			continue;
		snprintf(name, sizeof(name), "%s%u", nic ? "nic" : "disk", number);
		json_array_append_new(list, json_pack("{s:s, s:I, s:I, s:I}", "device", name,
		                                      "bandwidth", (json_int_t)limit->bandwidth,
		                                      "iops", (json_int_t)limit->iops, "burst",
		                                      (json_int_t)limit->burst));
	}
	return json_pack("{s:s, s:o}", "name", vm->name, "limits", list);
}

/* One value as a policy has it, or "none". */
static int limit_value(const json_t *params, const char *key, uint64_t *value, bool *given,
                       struct host_error *error)
{
	const json_t *param = json_object_get(params, key);
	const char *text = json_string_value(param), *expected;

	if (!param)
		return 0;
	*given = true;
	if (text && strcmp(text, "none") == 0) {
		*value = 0;
		return 0;
	}
	if (text && policy_limit_value(key, text, value, &expected) == 0)
		return 0;
	if (!text)
		return host_fail(error, -EINVAL, 125, "%s is a text such as \"100M\"", key);
	return host_fail(error, -EINVAL, 125, "%s '%.40s' is neither none nor %s", key, text,
	                 expected);
}

static int limit_change(struct limits_page *page, const json_t *params, const struct host_vm *vm,
                        struct host_error *error)
{
	const char *device = json_string_value(json_object_get(params, "device"));
	bool bandwidth = false, iops = false, burst = false;
	int entry = device ? limit_entry(vm, device) : -ENODEV;
	struct limit limit = {0};
	int err;

	if (entry >= 0)
		limit = page->entry[entry].limit;
	err = limit_value(params, "bandwidth", &limit.bandwidth, &bandwidth, error);
	if (!err)
		err = limit_value(params, "iops", &limit.iops, &iops, error);
	if (!err)
		err = limit_value(params, "burst", &limit.burst, &burst, error);
	if (err || (!bandwidth && !iops && !burst && !device))
		return err;
	if (!device)
		return host_fail(error, -EINVAL, 125,
		                 "which of the devices of '%s' to limit is not said (disk0, nic0)",
		                 vm->name);
	if (entry < 0)
		return host_fail(error, entry, 127,
		                 "'%s' has no '%.16s'; disks are disk0 and on, "
		                 "NICs nic0 and on",
		                 vm->name, device);
	if (!limit.bandwidth && !burst)
		limit.burst = 0; /* it was a part of the bandwidth's limit */
	if (limit.burst && !limit.bandwidth)
		return host_fail(error, -EINVAL, 125, "a burst needs a bandwidth beside it");
	if (bandwidth || iops || burst)
		limits_write(&page->entry[entry], &limit);
	return 0;
}

json_t *limit_method(const json_t *params, struct host_error *error)
{
	BASE_CLEANUP(limit_unmap) struct limits_page *page = NULL;
	BASE_AUTO_FREE struct host_vm *vm = calloc(1, sizeof(*vm));
	char path[POLICY_PATH_MAX];
	int err;

	if (!vm || method_own_vm(params, vm, error) < 0)
		return NULL;
	/* one writer at a time; and nobody ends the VM meanwhile */
	BASE_AUTO_FD int lock = registry_lock_vm(vm->name);
	registry_path(path, vm->name, "limits");
	err = lock < 0 ? lock : limit_map(path, 0, &page);
	if (err) {
		host_fail(error, err, err == -ENOENT ? 127 : 125,
		          "cannot open the limits of '%s': %s", vm->name, strerror(-err));
		return NULL;
	}
	if (limit_change(page, params, vm, error) < 0)
		return NULL;
	return limit_json(page, vm);
}
