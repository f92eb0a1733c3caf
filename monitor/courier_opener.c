/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a courier cannot do in its role, because it has neither a filesystem nor a uid that may: open, rotate and
 * connect to the one path that its sink names. A process that stays root does it, forked before the role is
 * entered. It is asked by one byte, and answers with an errno and, when there is one, a descriptor; it reads
 * nothing else, so nothing that a guest or a receiver has written ever comes here. It ends with its courier.
 *
 *   COURIER_OPEN     the file
 *   COURIER_REOPEN   the same, unless the one that was opened last is still at its path (logrotate renames it)
 *   COURIER_ROTATE   FILE.1 becomes FILE.2 and so on, FILE becomes FILE.1, by rename(2), and a new FILE is opened
 *   COURIER_CONNECT  a stream socket, connected
 *
 * #syscall opener: read - what it is asked
 * #syscall opener: sendmsg - the answer
 * #syscall opener: openat - the sink's file
 * #syscall opener: newfstatat - whether the file is the one that was opened
 * #syscall opener: fstat - the same, as some C libraries ask it
 * #syscall opener: rename - an older file's number goes up
 * #syscall opener: socket(arg0 = AF_UNIX) - to the receiver
 * #syscall opener: connect - the same
 * #syscall opener: setsockopt - how long the receiver is waited for
 * #syscall opener: close - what was handed over
 */
#include "monitor/courier.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include "base/base.h"
#include "isolate/isolate.h"
#include "monitor/list_opener.h"

enum { OPENER_PATIENCE_S = 10 };

struct opener {
	const struct policy_sink *sink;
	dev_t device; /* of the file that was opened last */
	ino_t inode;
};

static int opener_open(struct opener *opener)
{
	struct stat facts;
	/* O_NONBLOCK: a FIFO that nobody reads must not hold anybody up */
	BASE_AUTO_FD int fd = open(
	        opener->sink->target,
	        O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0640);

	if (fd < 0 || fstat(fd, &facts) < 0)
		return -errno;
	if (!S_ISREG(facts.st_mode))
		return -EINVAL;
	opener->device = facts.st_dev;
	opener->inode = facts.st_ino;
	return base_take_fd(&fd);
}

/* -EALREADY: it is the one that the courier has. */
static int opener_reopen(struct opener *opener)
{
	struct stat facts;

	if (stat(opener->sink->target, &facts) == 0 && facts.st_dev == opener->device &&
	    facts.st_ino == opener->inode)
		return -EALREADY;
	return opener_open(opener);
}

static int opener_rotate(struct opener *opener)
{
	const char *path = opener->sink->target;
	char from[POLICY_PATH_MAX + 12], to[POLICY_PATH_MAX + 12];

	for (uint32_t i = opener->sink->keep - 1; i > 0; i--) {
		snprintf(from, sizeof(from), "%s.%u", path, i);
		snprintf(to, sizeof(to), "%s.%u", path, i + 1);
		if (rename(from, to) < 0 && errno != ENOENT)
			return -errno;
	}
	snprintf(to, sizeof(to), "%s.1", path);
	/* gone: somebody else has rotated it */
	if (rename(path, to) < 0 && errno != ENOENT)
		return -errno;
	return opener_open(opener);
}

static int opener_connect(const struct opener *opener)
{
	const struct timeval patience = {.tv_sec = OPENER_PATIENCE_S};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	BASE_AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	if (base_copy_string(address.sun_path, sizeof(address.sun_path), opener->sink->target) < 0)
		return -ENAMETOOLONG;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return base_take_fd(&fd);
}

static int opener_do(struct opener *opener, char request)
{
	switch (request) {
	case COURIER_OPEN: return opener_open(opener);
	case COURIER_REOPEN: return opener_reopen(opener);
	case COURIER_ROTATE: return opener_rotate(opener);
	case COURIER_CONNECT: return opener_connect(opener);
	default: return -EINVAL;
	}
}

static int opener_answer(int to, int result)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)),
	                        .cmsg_level = SOL_SOCKET,
	                        .cmsg_type = SCM_RIGHTS}};
	int error = BASE_MIN(result, 0);
	struct iovec part = {.iov_base = &error, .iov_len = sizeof(error)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (result >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		memcpy(CMSG_DATA(&control.header), &result, sizeof(int));
	}
	return sendmsg(to, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static _Noreturn void opener_run(const struct policy_sink *sink, int socket)
{
	struct opener opener = {.sink = sink};
	char request;
	int err;

	/* the inbox's lock is with its descriptors, and no affair of this process */
	if (dup2(socket, COURIER_FD_INBOX) < 0 || close_range(COURIER_FD_INBOX + 1, ~0u, 0) < 0)
		_exit(1);
	umask(027);
	err = isolate_lock(&list_opener);
	while (!err && read(COURIER_FD_INBOX, &request, 1) == 1) {
		BASE_AUTO_FD int fd = opener_do(&opener, request);

		err = opener_answer(COURIER_FD_INBOX, fd);
	}
	_exit(err ? 1 : 0);
}

int courier_opener_start(struct courier *courier)
{
	int ends[2];
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	child = fork();
	if (child == 0)
		opener_run(&courier->sink, ends[1]);
	close(ends[1]);
	if (child > 0 && ends[0] != COURIER_FD_OPENER && dup2(ends[0], COURIER_FD_OPENER) < 0)
		child = -1;
	if (ends[0] != COURIER_FD_OPENER)
		close(ends[0]);
	return child < 0 ? -errno : 0;
}

int courier_opener_ask(enum courier_request request)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	const char byte = (char)request;
	int error, fd;
	struct iovec part = {.iov_base = &error, .iov_len = sizeof(error)};
	struct msghdr message = {.msg_iov = &part,
	                         .msg_iovlen = 1,
	                         .msg_control = &control,
	                         .msg_controllen = sizeof(control)};
	struct cmsghdr *header;

	if (send(COURIER_FD_OPENER, &byte, 1, MSG_NOSIGNAL) != 1 ||
	    recvmsg(COURIER_FD_OPENER, &message, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(error))
		return -EPIPE;
	header = CMSG_FIRSTHDR(&message);
	if (error < 0 || !header || header->cmsg_type != SCM_RIGHTS)
		return error < 0 ? error : -EPROTO;
	memcpy(&fd, CMSG_DATA(header), sizeof(int));
	return fd;
}
