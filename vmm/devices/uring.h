/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * uring: an io_uring that can do a few named things to one file and nothing else, for as long as it lives.
 * All of it is made before the seccomp list is locked; what is left afterwards is io_uring_enter of this ring.
 */
#ifndef CORDON_VMM_DEVICES_URING_H
#define CORDON_VMM_DEVICES_URING_H

#include <linux/io_uring.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uring {
	int fd;        /* -1: there is no ring */
	int completed; /* eventfd: something may have completed; edges count, nobody reads it */
	unsigned int entries, in_flight, unsubmitted, tail;
	unsigned int sq_mask, cq_mask;
	unsigned int *sq_tail, *sq_flags, *cq_head, *cq_tail;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
};

/*
 * A ring for at most `entries` (a power of two) operations at a time on `file`, whose opcodes are among
 * these. A negative errno where the kernel has none, does not let us, or is older than 6.1.
 */
int uring_open(struct uring *uring, unsigned int entries, int file, const uint8_t *opcodes,
               size_t count);

/*
 * An operation to fill in: opcode, file and user_data are there, the rest is zero. NULL when there is no ring,
 * or as many are in flight as it has entries. What it points to has to stay until uring_enter().
 */
struct io_uring_sqe *uring_get(struct uring *uring, uint8_t opcode, uint64_t data);

/*
 * Hands the new ones to the kernel, and has it finish what it can; with `wait`, sleeps until one has
 * completed. -EAGAIN: the kernel is short of memory, some are left for the next time.
 */
int uring_enter(struct uring *uring, bool wait);

/* Takes one that has completed: its user_data and result. False: there is none yet. */
bool uring_next(struct uring *uring, uint64_t *data, int32_t *result);

#endif
