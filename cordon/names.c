/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Egress by name, seen from the privileged side: the file in a VM's folder by which cordon-names knows the policy's
 * names, and what these stand for by now, which the kernel's sets say.
 *
 * cordon-names has the file open from its start on, so other names are written into the same file. Names that
 * come are in the rules before they are in it, and names that go are gone from the rules; what it reads in
 * between opens less, never more.
 */
#include <arpa/inet.h>
#include <fcntl.h>

#include "base/base.h"
#include "cordon/host.h"

enum { NAMES_LIST_MAX = 65536 };

/* Writes all of the text, and cuts off what was longer. */
static int names_write(int fd, const struct policy *policy)
{
	BASE_AUTO_FREE char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return -ENOMEM;
	firewall_names_write(out, policy);
	if (fclose(out) != 0)
		return -ENOMEM;
	if (pwrite(fd, text, size, 0) != (ssize_t)size || ftruncate(fd, (off_t)size) < 0)
		return -EIO;
	return 0;
}

static int names_file(const char *vm, int flags)
{
	char path[POLICY_PATH_MAX];
	int fd;

	registry_path(path, vm, "names");
	fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? -errno : fd;
}

int names_open(const struct policy *policy, int *fd, struct host_error *error)
{
	int err;

	if (policy->name_count == 0)
		return 0;
	BASE_AUTO_FD int file = names_file(policy->vm.name, O_RDWR | O_CREAT);

	err = file < 0 ? file : names_write(file, policy);
	if (!err) {
		*fd = names_file(policy->vm.name, O_RDONLY);
		err = BASE_MIN(*fd, 0);
	}
	return err ? host_fail(error, err, 125, "cannot write the names of '%s': %s",
	                       policy->vm.name, strerror(-err))
	           : 0;
}

int names_reopen(const char *vm)
{
	return names_file(vm, O_RDONLY);
}

int names_change(const struct policy *policy, struct host_error *error)
{
	BASE_AUTO_FD int file = names_file(policy->vm.name, O_RDWR);
	int err = file == -ENOENT && policy->name_count == 0 ? 0 : BASE_MIN(file, 0);

	if (!err && file >= 0)
		err = names_write(file, policy);
	return err ? host_fail(error, err, 125, "the names of '%s' were not written: %s",
	                       policy->vm.name, strerror(-err))
	           : 0;
}

/* What the names stand for; the caller's. */
static int names_list(struct firewall *fw, const struct policy *policy,
                      struct firewall_named **list)
{
	int count;

	*list = calloc(NAMES_LIST_MAX, sizeof(**list));
	if (!*list)
		return -ENOMEM;
	count = firewall_vm_names(fw, policy, *list, NAMES_LIST_MAX);
	return BASE_MIN(count, NAMES_LIST_MAX);
}

static void names_append(json_t *to, const struct policy *policy, const struct firewall_named *each)
{
	char address[INET6_ADDRSTRLEN];

	inet_ntop(each->address.family == 4 ? AF_INET : AF_INET6, each->address.addr, address,
	          sizeof(address));
	json_array_append_new(to, json_pack("{s:s, s:s, s:i}", "name", policy->names[each->name],
	                                    "address", address, "seconds", (int)each->seconds));
}

json_t *names_json(struct firewall *fw, const char *vm, struct host_error *error)
{
	BASE_AUTO_FREE struct policy *policy = calloc(1, sizeof(*policy));
	BASE_AUTO_FREE struct firewall_named *list = NULL;
	BASE_AUTO_FD int file = names_file(vm, O_RDONLY);
	json_t *json = json_array();
	int count = policy && json ? 0 : -ENOMEM;

	/* a VM that was started without names has no such file, and its policy need not be read */
	if (count == 0 && file >= 0)
		count = registry_policy(vm, policy);
	if (count == 0 && file >= 0)
		count = names_list(fw, policy, &list);
	for (int i = 0; i < count; i++)
		names_append(json, policy, &list[i]);
	if (count >= 0)
		return json;
	host_fail(error, count, 125, "cannot read what the names of '%s' stand for: %s", vm,
	          strerror(-count));
	json_decref(json);
	return NULL;
}
