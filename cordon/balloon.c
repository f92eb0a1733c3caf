// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The method vm.balloon. The target goes to cordon-balloon over its control socket; it tells the vmm, which
 * interrupts the guest, whose driver does as it likes. What comes back is a fixed-size message in which the
 * guest's own numbers are whatever the guest says: nothing here depends on them. How much of its memory the
 * host really keeps is the kernel's word: the blocks of the memfd.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/virtio_balloon.h>
#include <poll.h>
#include <sys/stat.h>

#include "base/base.h"
#include "cordon/host.h"

enum {
	BALLOON_MS = 5000,
	BALLOON_STATISTICS_MS = 1000, /* that a guest has to answer; then its last ones stand */
	BALLOON_POLL_MS = 10,
	BALLOON_PAGE = 4096,
	BALLOON_KEPT_MIN = 32 << 20, /* with less no guest gets far */
};

static void balloon_closedir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/* Bytes of guest memory that the host keeps, or -1. */
static json_int_t balloon_resident(const struct host_vm *vm)
{
	char path[64], link[64];
	pid_t vmm = 0;

	for (size_t i = 0; i < vm->process_count; i++)
		if (strcmp(vm->processes[i].role, "vmm") == 0)
			vmm = vm->processes[i].pid;
	snprintf(path, sizeof(path), "/proc/%d/fd", vmm);
	BASE_CLEANUP(balloon_closedir) DIR *dir = opendir(path);
	struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
		struct stat facts;

		link[BASE_MAX(n, 0)] = '\0';
		if (strncmp(link, "/memfd:guest-memory", 19) == 0 &&
		    fstatat(dirfd(dir), entry->d_name, &facts, 0) == 0)
			return (json_int_t)facts.st_blocks * 512;
	}
	return -1;
}

/* A guest's number as JSON has them; one that is too large says nothing. */
static void balloon_number(json_t *json, const char *key, uint64_t value)
{
	if (value <= INT64_MAX)
		json_object_set_new(json, key, json_integer((json_int_t)value));
}

static json_t *balloon_statistics(const struct vmm_balloon *m)
{
	static const char *const names[VMM_BALLOON_STATS] = {
	        [VIRTIO_BALLOON_S_SWAP_IN] = "swap_in",
	        [VIRTIO_BALLOON_S_SWAP_OUT] = "swap_out",
	        [VIRTIO_BALLOON_S_MAJFLT] = "major_faults",
	        [VIRTIO_BALLOON_S_MINFLT] = "minor_faults",
	        [VIRTIO_BALLOON_S_MEMFREE] = "free",
	        [VIRTIO_BALLOON_S_MEMTOT] = "total",
	        [VIRTIO_BALLOON_S_AVAIL] = "available",
	        [VIRTIO_BALLOON_S_CACHES] = "caches",
	        [VIRTIO_BALLOON_S_HTLB_PGALLOC] = "huge_page_allocations",
	        [VIRTIO_BALLOON_S_HTLB_PGFAIL] = "huge_page_failures",
	};
	json_t *json = json_object();

	for (size_t i = 0; i < VMM_BALLOON_STATS; i++)
		if (m->stats_sent & 1u << i)
			balloon_number(json, names[i], m->stats[i]);
	balloon_number(json, "age_ms", m->stats_age);
	return json;
}

static json_t *balloon_json(const struct host_vm *vm, const struct vmm_balloon *m)
{
	json_int_t resident = balloon_resident(vm);
	json_t *json =
	        json_pack("{s:s, s:I, s:I, s:I, s:b, s:b, s:b}", "name", vm->name, "memory",
	                  (json_int_t)vm->memory, "target",
	                  (json_int_t)(vm->memory - BASE_MIN(m->target, vm->memory)), "actual",
	                  (json_int_t)(vm->memory - BASE_MIN(m->actual, vm->memory)), "driver",
	                  (m->flags & VMM_BALLOON_DRIVER) != 0, "reports",
	                  (m->flags & VMM_BALLOON_REPORTS) != 0, "deflates_on_oom",
	                  (m->flags & VMM_BALLOON_GIVES_ON_OOM) != 0);

	if (!json)
		return NULL;
	if (resident >= 0)
		json_object_set_new(json, "resident", json_integer(resident));
	balloon_number(json, "reported", m->reported);
	balloon_number(json, "inflated", m->inflated);
	balloon_number(json, "deflated", m->deflated);
	balloon_number(json, "refused_pages", m->refused);
	if (m->stats_count > 0)
		json_object_set_new(json, "statistics", balloon_statistics(m));
	return json;
}

/* One message and its answer. */
static int balloon_ask(int fd, struct vmm_balloon *m)
{
	int err = control_ask(fd, m, sizeof(*m), control_now_ms() + BALLOON_MS);

	if (!err && m->verb == VMM_BALLOON_REFUSED)
		err = m->error < 0 ? m->error : -EPROTO;
	else if (!err && m->verb != VMM_BALLOON_STATE)
		err = -EPROTO;
	return err;
}

/* Asks the guest for statistics and waits for them a little; a guest that brings none is no error. */
static int balloon_refresh(int fd, struct vmm_balloon *m)
{
	int64_t deadline = control_now_ms() + BALLOON_STATISTICS_MS;
	uint64_t before;
	int err;

	*m = (struct vmm_balloon){.verb = VMM_BALLOON_REFRESH};
	err = balloon_ask(fd, m);
	before = m->stats_count;
	while (!err && m->flags & VMM_BALLOON_DRIVER && m->stats_count == before &&
	       control_now_ms() < deadline) {
		poll(NULL, 0, BALLOON_POLL_MS);
		*m = (struct vmm_balloon){.verb = VMM_BALLOON_QUERY};
		err = balloon_ask(fd, m);
	}
	return err;
}

/* What the guest is to keep, as params.target has it; all of its memory when it is not there. */
static int balloon_target(const json_t *params, const struct host_vm *vm, uint64_t *keep,
                          struct host_error *error)
{
	const json_t *param = json_object_get(params, "target");
	const char *text = json_string_value(param);

	*keep = vm->memory;
	if (!param)
		return 0;
	if (!text)
		return host_fail(error, -EINVAL, 125, "target is a text such as \"128M\"");
	if (policy_value_size(text, keep) < 0 || *keep > vm->memory || *keep < BALLOON_KEPT_MIN ||
	    *keep % BALLOON_PAGE != 0)
		return host_fail(error, -EINVAL, 125,
		                 "target '%.40s' is not a size from 32M to the guest's memory, "
		                 "%lluM, in whole pages of 4K",
		                 text, (unsigned long long)vm->memory >> 20);
	return 0;
}

/* Why there is none: its policy says so, or may not say otherwise. */
static void balloon_none(const struct host_vm *vm, struct host_error *error)
{
	BASE_AUTO_FREE struct policy *policy = calloc(1, sizeof(*policy));

	if (policy && registry_policy(vm->name, policy) == 0 &&
	    policy->confidential.type != POLICY_CC_NONE)
		host_fail(error, -ENOENT, 125,
		          "'%s' has no balloon: it is a confidential guest, whose pages the host "
		          "cannot take",
		          vm->name);
	else
		host_fail(error, -ENOENT, 125, "'%s' has no balloon: its policy says so", vm->name);
}

json_t *balloon_method(const json_t *params, struct host_error *error)
{
	BASE_AUTO_FREE struct host_vm *vm = calloc(1, sizeof(*vm));
	struct vmm_balloon m = {.verb = VMM_BALLOON_TARGET};
	uint64_t keep;
	int err = 0;

	if (!vm || method_own_vm(params, vm, error) < 0 ||
	    balloon_target(params, vm, &keep, error) < 0)
		return NULL;
	BASE_AUTO_FD int fd = control_connect(vm->name, "balloon.sock");
	if (fd == -ENOENT) {
		balloon_none(vm, error);
		return NULL;
	}
	m.target = vm->memory - keep;
	if (fd < 0)
		err = fd;
	else if (json_object_get(params, "target"))
		err = balloon_ask(fd, &m);
	if (!err)
		err = balloon_refresh(fd, &m);
	if (err) {
		host_fail(error, err, 125, "the balloon of '%s' does not answer: %s", vm->name,
		          strerror(-err));
		return NULL;
	}
	return balloon_json(vm, &m);
}
