/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate: leaves a process exactly the file descriptors that it is handed.
 *
 * Targets may be numbers that sources have now, in any order, so every source is first copied above
 * all targets. Those copies are the only step that can fail for want of numbers, and nothing is lost
 * yet when it does: the parent's pipe for errors still works. Then the copies are put where they
 * belong, and everything that is not a target is closed.
 */
#include "isolate/private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { EXTRA = 5 }; /* standard input, output and error, the report pipe and the binary */

struct table {
	struct isolate_fd entries[ISOLATE_FDS_MAX + EXTRA];
	size_t count;
};

static bool is_target(const struct table *table, int fd)
{
	for (size_t i = 0; i < table->count; i++)
		if (table->entries[i].to == fd)
			return true;
	return false;
}

/* Adds a copy of `from`, above all targets. */
static int add(struct table *table, int from, int to)
{
	int copy;

	if (table->count == ISOLATE_FDS_MAX + EXTRA || to < 0 || to >= ISOLATE_FD_END ||
	    is_target(table, to))
		return -EINVAL;
	copy = fcntl(from, F_DUPFD_CLOEXEC, ISOLATE_FD_END);
	if (copy < 0)
		return -errno;
	table->entries[table->count++] = (struct isolate_fd){.from = copy, .to = to};
	return 0;
}

static int add_null(struct table *table, int to)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	error = add(table, fd, to);
	close(fd);
	return error;
}

/* The program keeps what it was handed; what only isolate_spawn() needs ends with the exec. */
static int place(const struct isolate_fd *fd)
{
	int flags = fd->to >= ISOLATE_REPORT_FD ? O_CLOEXEC : 0;

	return dup3(fd->from, fd->to, flags) < 0 ? -errno : 0;
}

int isolate_fds_arrange(const struct isolate_fd *fds, size_t count)
{
	struct table table = {.count = 0};
	int error = 0;

	for (size_t i = 0; i < count && error == 0; i++)
		error = add(&table, fds[i].from, fds[i].to);
	for (int fd = 0; fd <= 2 && error == 0; fd++)
		if (!is_target(&table, fd))
			error = add_null(&table, fd);
	for (size_t i = 0; i < table.count && error == 0; i++)
		error = place(&table.entries[i]);
	if (error < 0)
		return error;
	for (int fd = 0; fd < ISOLATE_FD_END; fd++)
		if (!is_target(&table, fd))
			close(fd);
	if (syscall(SYS_close_range, ISOLATE_FD_END, ~0U, 0) < 0)
		return -errno;
	return 0;
}
