/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * blk: what cordon-blk's files share: the disk, and the requests that are in flight on it. blk.c is the
 * program and its configuration, blk_queue.c takes requests and gives them back, blk_step.c does them.
 */
#ifndef CORDON_VMM_DEVICES_BLK_H
#define CORDON_VMM_DEVICES_BLK_H

#include <linux/virtio_blk.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/devices/limits.h"
#include "vmm/devices/uring.h"
#include "vmm/devices/vhost_back.h"

enum {
	BLK_SECTOR = 512,
	BLK_SEGMENTS = 254,             /* what a driver may put into one request, */
	BLK_SEGMENT_BYTES = 128 << 10,  /* and how large each may be */
	BLK_TRANSFER_MAX = 32 << 20,    /* bytes of one request; more is refused */
	BLK_ERASE_SEGMENTS = 16,        /* of a discard or write-zeroes request */
	BLK_DISCARD_SECTORS = 1u << 22, /* 2 GiB in one segment */
	BLK_ZERO_SECTORS = 1u << 17,    /* 64 MiB: it may have to be written */
	BLK_REQUESTS = 128,             /* at a time; the ring waits while there are as many */
	BLK_PIECES = 256,               /* of a request that waits */
	BLK_ZEROS = 64 << 10,
};
_Static_assert((uint64_t)BLK_SEGMENTS *BLK_SEGMENT_BYTES <= BLK_TRANSFER_MAX,
               "the largest request that the configuration permits is served");

enum blk_kind { BLK_READ, BLK_WRITE, BLK_FLUSH, BLK_DISCARD, BLK_ZERO };

/* How a range is made zero: what the disk does not know is tried the next way. */
enum blk_erase { BLK_ERASE_PUNCH, BLK_ERASE_ZERO, BLK_ERASE_WRITE };

/* What a step left: an OK or an error to answer (VIRTIO_BLK_S_), or another step. */
enum { BLK_GOING = -1 };

struct blk_request {
	enum blk_kind kind;
	enum blk_erase how;
	uint8_t segment, segments;
	bool may_wait; /* all that it needs is in here */
	uint16_t head;
	uint32_t written; /* bytes for the guest, without the status */
	uint8_t *status;
	struct iovec *at; /* what is left to move, and where */
	unsigned int count;
	uint64_t offset, left; /* bytes on the disk */
	struct virtio_blk_discard_write_zeroes segment_list[BLK_ERASE_SEGMENTS];
	struct iovec pieces[BLK_PIECES]; /* last: most of it is never touched */
};

struct blk {
	int disk;
	bool read_only, is_device, synchronous;
	bool nowait_read, nowait_write; /* worth trying on this disk */
	unsigned int cold; /* so many reads are not tried at once: the last was not cached */
	char serial[VIRTIO_BLK_ID_BYTES];
	uint64_t capacity; /* sectors */
	uint64_t features; /* negotiated */
	struct limiter limit;
	struct virtio_blk_config config;
	struct uring uring;
	uint64_t busy[BLK_REQUESTS / 64]; /* a bit a request */
	struct vring_request chain;
	struct blk_request requests[BLK_REQUESTS];
	uint8_t zeros[BLK_ZEROS]; /* never written: it costs no memory */
};

/* Whether a write has to last before it is answered. */
static inline bool blk_writes_through(const struct blk *blk)
{
	return !(blk->features & 1ull << VIRTIO_BLK_F_FLUSH) || !blk->config.wce;
}

/* blk_queue.c: as struct vhost_device_ops has them. */
int blk_queue_run(void *self, unsigned int queue, struct vring *ring);
void blk_queue_stop(void *self, unsigned int queue, struct vring *ring);

/* Whether [sector, sector + bytes) lies on the disk; *offset is in bytes. */
bool blk_on_disk(const struct blk *blk, uint64_t sector, uint64_t bytes, uint64_t *offset);

/*
 * blk_step.c: a request is one or several steps, each of them one system call or one operation of io_uring.
 * Results are those of the call, or a negative errno. blk_step_at_once(): -EAGAIN when it would have had to
 * wait. blk_step_queue(): false when it has to be done by blk_step_now(). blk_step_done(): BLK_GOING or the
 * status. blk_erase_begin(): sets the first step of a discard or write-zeroes request.
 */
ssize_t blk_step_at_once(struct blk *blk, struct blk_request *r);
ssize_t blk_step_now(struct blk *blk, struct blk_request *r);
bool blk_step_queue(struct blk *blk, struct blk_request *r);
int blk_step_done(struct blk *blk, const struct device_memory *memory, struct blk_request *r,
                  ssize_t result);
int blk_erase_begin(struct blk *blk, struct blk_request *r);

/* What io_uring may be asked for. */
extern const uint8_t blk_opcodes[4];

#endif
