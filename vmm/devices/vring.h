/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vring: the device's side of a split virtqueue (virtio 1.2, section 2.7) whose other side is hostile.
 *
 * The guest can write any byte of the ring at any time. Each descriptor is copied out of guest memory
 * once; checks and uses are of the copy. What breaks the rules breaks the ring: nothing more is taken
 * from it until the front end sets it up anew, and the reason is kept for the log.
 */
#ifndef CORDON_VMM_DEVICES_VRING_H
#define CORDON_VMM_DEVICES_VRING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/devices/inflight.h"
#include "vmm/devices/memory.h"

enum {
	VRING_SIZE_MAX = 1024, /* entries; also the longest chain, indirect tables included */
	VRING_IOV_MAX = 1024,  /* what one preadv or writev takes (UIO_MAXIOV) */
};

enum { /* feature bits of rings */
       VRING_F_INDIRECT = 28,
       VRING_F_EVENT_IDX = 29,
};

struct vring_descriptor;
struct vring_available;
struct vring_used;

struct vring_place { /* of one of a ring's parts, in guest memory */
	uint64_t guest, size;
};

struct vring {
	const struct device_memory *memory;
	uint32_t size;                                  /* entries, a power of two; 0: never set */
	uint64_t descriptors_at, available_at, used_at; /* in the front end's addresses */
	struct vring_descriptor *descriptors; /* the same here; NULL until vring_start() */
	struct vring_available *available;
	struct vring_used *used;
	struct vring_place places[3];
	uint16_t next;           /* the next entry of the available ring to take */
	uint16_t available_seen; /* its index when it was last read */
	uint16_t used_index;
	uint16_t signalled; /* used_index when the guest was last told */
	bool signalled_valid;
	bool event_idx, indirect; /* as negotiated */
	bool log_used;            /* what is written to the used ring is marked in the dirty log */
	uint64_t log_at;          /* as if the used ring were at this guest address */
	struct inflight inflight;
	const char *broken; /* why the ring stopped, or NULL */
};

/* One chain of buffers: the readable ones first, then the writable ones, all in host addresses. */
struct vring_request {
	uint16_t head;
	uint16_t readable, writable; /* entries of each in iov */
	uint64_t readable_bytes, writable_bytes;
	struct iovec iov[VRING_IOV_MAX];
};

/*
 * Finds the ring's three parts in memory and begins at available entry `next`; a ring with a record of what
 * is in flight begins after that instead. -EINVAL when the size is not a power of two up to
 * VRING_SIZE_MAX, or too large for the record, -EFAULT when a part is outside memory or misaligned. A ring in
 * memory that the guest does not share starts, and is broken from its start.
 */
int vring_start(struct vring *ring, uint16_t next);

/* Forgets where the parts are; `next` stays, for GET_VRING_BASE. */
void vring_stop(struct vring *ring);

/* Takes one chain. 1: filled; 0: nothing there; -EPROTO: the ring is broken, see ring->broken. */
int vring_pop(struct vring *ring, struct vring_request *request);

/*
 * Puts the last `count` chains that were taken, and not pushed, back. Not for rings with a record of what is
 * in flight, whose marks it does not know: a device that puts back does not have vhost_device_ops.inflight.
 */
void vring_unpop(struct vring *ring, uint16_t count);

/*
 * Gives chains back. vring_fill() writes the used entry `ahead` places after the next one without
 * showing it; vring_publish() shows `count` of them at once. `written` is in bytes. What was written to the
 * buffers themselves is marked by device_memory_wrote() before.
 */
void vring_fill(struct vring *ring, uint16_t ahead, uint16_t head, uint32_t written);
void vring_publish(struct vring *ring, uint16_t count);
void vring_push(struct vring *ring, uint16_t head, uint32_t written);

/* True when the guest wants an interrupt for what was published since this was last asked. */
bool vring_must_signal(struct vring *ring);

/*
 * Asks the guest to kick, or not to bother. Turning kicks on returns true when something came in the
 * meantime: the caller looks again instead of sleeping.
 */
bool vring_kicks(struct vring *ring, bool on);

/* Marks the ring broken for a rule that only the device knows. Returns -EPROTO. */
int vring_break(struct vring *ring, const char *why);

/*
 * Copies between a private buffer and a list of buffers, from `offset` bytes into the list. Returns
 * the bytes copied: less than `size` when the list ends before.
 */
size_t vring_copy_out(const struct iovec *list, unsigned int count, size_t offset, void *to,
                      size_t size);
size_t vring_copy_in(const struct iovec *list, unsigned int count, size_t offset, const void *from,
                     size_t size);

/* Drops the first `bytes` of a list in place. Returns how many entries are left; they begin at *list. */
unsigned int vring_skip(struct iovec **list, unsigned int count, uint64_t bytes);

/* Shortens a list in place to its first `bytes`. Returns how many entries are left. */
unsigned int vring_truncate(struct iovec *list, unsigned int count, uint64_t bytes);

#endif
