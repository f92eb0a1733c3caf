/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * eventfd: the vmm's own reads and writes of eventfds that a back end holds too. The other holder can take
 * O_NONBLOCK off again (it belongs to the open file, not to the fd), so nothing here relies on it.
 *
 * #syscall vmm: preadv2 - empties an eventfd without ever waiting (RWF_NOWAIT)
 */
#ifndef CORDON_EVENTFD_H
#define CORDON_EVENTFD_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

/* Takes the count out. True when it was not zero. */
static inline bool eventfd_drain(int fd)
{
	uint64_t count;
	struct iovec vector = {&count, sizeof(count)};

	return preadv2(fd, &vector, 1, -1, RWF_NOWAIT) == (ssize_t)sizeof(count);
}

static inline bool eventfd_pending(int fd)
{
	struct pollfd entry = {.fd = fd, .events = POLLIN};

	return poll(&entry, 1, 0) == 1 && (entry.revents & POLLIN);
}

#endif
