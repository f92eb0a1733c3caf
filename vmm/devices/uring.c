/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Straight on the kernel's interface (io_uring(7)): one issuer, whose completions are worked off when it
 * asks for them (DEFER_TASKRUN), so that the kernel never interrupts it. It learns that there are some from
 * an eventfd: of completions that are still to be worked off the ring's own fd says nothing.
 *
 * The ring starts disabled, gets its restrictions (these opcodes, only on registered files, and no further
 * registration), the one file, and a place in the task's own table of rings, and is enabled. io_uring_enter
 * names the ring by that place, which is what the seccomp list asks for: another ring cannot be entered,
 * whatever fd it had.
 */
#include "vmm/devices/uring.h"

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/base.h"

enum {
	OPCODES_MAX = 8,
	WORKERS_MAX = 8, /* kernel threads for what cannot be done without waiting */
	PLACE = 0,       /* in the task's table of rings */
	SETUP = IORING_SETUP_R_DISABLED | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
	        IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL,
};

static int registration(const struct uring *u, unsigned int opcode, void *argument,
                        unsigned int count)
{
	return syscall(SYS_io_uring_register, u->fd, opcode, argument, count) < 0 ? -errno : 0;
}

static int restrict_to(const struct uring *u, const uint8_t *opcodes, size_t count)
{
	struct io_uring_restriction list[OPCODES_MAX + 2] = {
	        {.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_FIXED_FILE},
	        {.opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED, .sqe_flags = IOSQE_FIXED_FILE},
	};

	if (count > OPCODES_MAX)
		return -E2BIG;
	for (size_t i = 0; i < count; i++) {
		list[i + 2].opcode = IORING_RESTRICTION_SQE_OP;
		list[i + 2].sqe_op = opcodes[i];
	}
	return registration(u, IORING_REGISTER_RESTRICTIONS, list, (unsigned int)count + 2);
}

static int register_all(const struct uring *u, int file, const uint8_t *opcodes, size_t count)
{
	struct io_uring_rsrc_update place = {.offset = PLACE, .data = (uint64_t)u->fd};
	unsigned int workers[2] = {WORKERS_MAX, WORKERS_MAX};
	int error = registration(u, IORING_REGISTER_FILES, &file, 1);

	if (error == 0)
		error = registration(u, IORING_REGISTER_EVENTFD, (void *)(uintptr_t)&u->completed,
		                     1);
	if (error == 0)
		error = registration(u, IORING_REGISTER_IOWQ_MAX_WORKERS, workers, 2);
	if (error == 0 &&
	    syscall(SYS_io_uring_register, u->fd, IORING_REGISTER_RING_FDS, &place, 1) != 1)
		error = errno ? -errno : -EBUSY;
	if (error == 0)
		error = restrict_to(u, opcodes, count);
	if (error == 0)
		error = registration(u, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	return error;
}

static int map_rings(struct uring *u, const struct io_uring_params *p)
{
	size_t sq_end = p->sq_off.array + p->sq_entries * sizeof(unsigned int);
	size_t cq_end = p->cq_off.cqes + p->cq_entries * sizeof(struct io_uring_cqe);
	int protection = PROT_READ | PROT_WRITE;
	unsigned int *array;
	uint8_t *rings;

	if (!(p->features & IORING_FEAT_SINGLE_MMAP) || p->sq_entries != u->entries)
		return -ENOTSUP;
	rings = mmap(NULL, BASE_MAX(sq_end, cq_end), protection, MAP_SHARED | MAP_POPULATE, u->fd,
	             IORING_OFF_SQ_RING);
	if (rings == MAP_FAILED)
		return -errno;
	u->sqes = mmap(NULL, p->sq_entries * sizeof(struct io_uring_sqe), protection,
	               MAP_SHARED | MAP_POPULATE, u->fd, IORING_OFF_SQES);
	if (u->sqes == MAP_FAILED)
		return -errno;
	u->sq_mask = p->sq_entries - 1;
	u->cq_mask = p->cq_entries - 1;
	u->sq_tail = (unsigned int *)(rings + p->sq_off.tail);
	u->sq_flags = (unsigned int *)(rings + p->sq_off.flags);
	u->cq_head = (unsigned int *)(rings + p->cq_off.head);
	u->cq_tail = (unsigned int *)(rings + p->cq_off.tail);
	u->cqes = (struct io_uring_cqe *)(rings + p->cq_off.cqes);
	array = (unsigned int *)(rings + p->sq_off.array);
	for (unsigned int i = 0; i < p->sq_entries; i++)
		array[i] = i;
	return 0;
}

int uring_open(struct uring *u, unsigned int entries, int file, const uint8_t *opcodes,
               size_t count)
{
	struct io_uring_params p = {.flags = SETUP};
	int error;

	*u = (struct uring){.completed = -1, .entries = entries};
	u->fd = (int)syscall(SYS_io_uring_setup, entries, &p);
	if (u->fd < 0)
		return -errno;
	u->completed = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	error = u->completed < 0 ? -errno : map_rings(u, &p);
	if (error == 0)
		error = register_all(u, file, opcodes, count);
	if (error == 0)
		return 0;
	/* Its mappings stay: the process has just begun, and is small. */
	base_close(&u->completed);
	base_close(&u->fd);
	return error;
}

struct io_uring_sqe *uring_get(struct uring *u, uint8_t opcode, uint64_t data)
{
	struct io_uring_sqe *sqe;

	if (u->fd < 0 || u->in_flight == u->entries)
		return NULL;
	sqe = &u->sqes[u->tail++ & u->sq_mask];
	*sqe = (struct io_uring_sqe){
	        .opcode = opcode, .flags = IOSQE_FIXED_FILE, .fd = 0, .user_data = data};
	u->in_flight++;
	u->unsubmitted++;
	return sqe;
}

/*
 * #syscall blk: io_uring_enter(arg0 = 0, arg3 & IORING_ENTER_REGISTERED_RING = IORING_ENTER_REGISTERED_RING) - reads and writes the disk, many at a time
 */
int uring_enter(struct uring *u, bool wait)
{
	unsigned int flags = IORING_ENTER_GETEVENTS | IORING_ENTER_REGISTERED_RING;

	__atomic_store_n(u->sq_tail, u->tail, __ATOMIC_RELEASE);
	do {
		long n = syscall(SYS_io_uring_enter, PLACE, u->unsubmitted, wait ? 1 : 0, flags,
		                 NULL, 0);

		if (n < 0 && errno != EINTR)
			return errno == EBUSY ? -EAGAIN : -errno;
		if (n == 0 && u->unsubmitted > 0)
			return -EAGAIN;
		u->unsubmitted -= n > 0 ? (unsigned int)n : 0;
	} while (u->unsubmitted > 0);
	return 0;
}

bool uring_next(struct uring *u, uint64_t *data, int32_t *result)
{
	unsigned int head;

	if (u->fd < 0 || u->in_flight == 0)
		return false;
	head = *u->cq_head;
	if (head == __atomic_load_n(u->cq_tail, __ATOMIC_ACQUIRE)) {
		if (!(__atomic_load_n(u->sq_flags, __ATOMIC_RELAXED) & IORING_SQ_TASKRUN) ||
		    uring_enter(u, false) < 0 ||
		    head == __atomic_load_n(u->cq_tail, __ATOMIC_ACQUIRE))
			return false;
	}
	*data = u->cqes[head & u->cq_mask].user_data;
	*result = u->cqes[head & u->cq_mask].res;
	__atomic_store_n(u->cq_head, head + 1, __ATOMIC_RELEASE);
	u->in_flight--;
	return true;
}
