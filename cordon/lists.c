/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lists of known bad addresses and names that a policy speaks of, as root opens them: the file itself, which
 * is read by who has no privilege, and an inotify fd of its folder, by which the monitor learns that there
 * is another file in its place. Where the path is a symbolic link, its own folder is watched, not the target's.
 */
#include "cordon/host.h"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "base/base.h"

int list_open(const char *path)
{
	struct stat facts;
	/* O_NONBLOCK: a FIFO that nobody writes must not hold up the host */
	BASE_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, &facts) < 0)
		return -errno;
	return S_ISREG(facts.st_mode) ? base_take_fd(&fd) : -EINVAL;
}

static int list_watch(const char *path)
{
	char folder[POLICY_PATH_MAX];
	BASE_AUTO_FD int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	const size_t length = (size_t)(strrchr(path, '/') - path);

	if (fd < 0)
		return -errno;
	snprintf(folder, sizeof(folder), "%.*s", length ? (int)length : 1, path);
	if (inotify_add_watch(fd, folder, IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR) < 0)
		return -errno;
	return base_take_fd(&fd);
}

int lists_open(const struct policy *policy, int *fds, size_t *count, struct host_error *error)
{
	for (size_t i = 0; i < policy->monitor.list_count; i++) {
		const char *path = policy->monitor.lists[i];
		/* watched first, so that no change comes between */
		BASE_AUTO_FD int notes = list_watch(path);
		BASE_AUTO_FD int list = notes < 0 ? notes : list_open(path);

		if (list < 0)
			return host_fail(error, list, 126,
			                 "policy line %u: cannot open or watch the list %s: %s",
			                 policy->monitor.intel.line, path, strerror(-list));
		fds[(*count)++] = base_take_fd(&list);
		fds[(*count)++] = base_take_fd(&notes);
	}
	return 0;
}

int list_refused(const char *path, const struct monitor_answer *answer, struct host_error *error)
{
	char excerpt[sizeof(answer->alert_id)];
	const int err = answer->error < 0 ? answer->error : -EPROTO;

	/* the monitor may be anybody's */
	base_copy_string(excerpt, sizeof(excerpt), answer->alert_id);
	for (char *c = excerpt; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	if (answer->size && err == -EINVAL)
		return host_fail(error, err, 126,
		                 "%s:%u: '%s' is no address, no network and no name", path,
		                 answer->size, excerpt);
	return host_fail(error, err, 126, "the list %s is not read: %s", path,
	                 err == -EFBIG
	                         ? "it is larger than 16 MiB, or has more than 500,000 entries"
	                         : strerror(-err));
}
