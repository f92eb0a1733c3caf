/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The steps of requests. A read or a write is as many as it takes until all bytes have moved; a discard has
 * one for each segment, and more where the disk does not know how. Each step is tried at once when it is
 * likely not to wait (what is in the page cache costs one system call then, and no wake-up), else
 * queued in io_uring, else done while everything waits.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "vmm/devices/blk.h"

enum { COLD_READS = 16, ZERO_PIECES = 16 };

const uint8_t blk_opcodes[4] = {IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
                                IORING_OP_FALLOCATE};

static bool moves_out(const struct blk_request *r) /* to the disk */
{
	return r->kind == BLK_WRITE || (r->kind == BLK_ZERO && r->how == BLK_ERASE_WRITE);
}

/* A driver that cannot flush, or turned the cache off, expects each write to last (section 5.2.6.2). */
static int write_flags(const struct blk *blk)
{
	return blk_writes_through(blk) ? RWF_DSYNC : 0;
}

static int falloc_mode(const struct blk_request *r)
{
	return FALLOC_FL_KEEP_SIZE |
	       (r->how == BLK_ERASE_PUNCH ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
}

static ssize_t moved(bool *worth, ssize_t n)
{
	if (n >= 0)
		return n;
	if (errno == EOPNOTSUPP) /* not on this file system, ever */
		*worth = false;
	return errno == EOPNOTSUPP || errno == EINTR ? -EAGAIN : -errno;
}

/*
 * #syscall blk: preadv2 - reads the disk into guest memory
 * #syscall blk: pwritev2 - writes the disk from guest memory
 */
ssize_t blk_step_at_once(struct blk *blk, struct blk_request *r)
{
	ssize_t n = -EAGAIN;

	if (blk->uring.fd < 0)
		return -EAGAIN; /* it will be done at once anyhow */
	if (r->kind == BLK_READ && blk->cold > 0) {
		blk->cold--;
	} else if (r->kind == BLK_READ && blk->nowait_read) {
		n = moved(&blk->nowait_read,
		          preadv2(blk->disk, r->at, (int)r->count, (off_t)r->offset, RWF_NOWAIT));
		blk->cold = n == -EAGAIN ? COLD_READS : 0;
	} else if (r->kind == BLK_WRITE && blk->nowait_write && !blk_writes_through(blk)) {
		n = moved(&blk->nowait_write,
		          pwritev2(blk->disk, r->at, (int)r->count, (off_t)r->offset, RWF_NOWAIT));
	}
	return n;
}

/*
 * #syscall blk: fdatasync - the guest's flush
 * #syscall blk: fallocate - discard and write zeroes
 * #syscall blk: ioctl(arg1 = BLKDISCARD) - discard of a block device
 */
ssize_t blk_step_now(struct blk *blk, struct blk_request *r)
{
	uint64_t range[2] = {r->offset, r->left};
	ssize_t n;

	do {
		if (r->kind == BLK_READ)
			n = preadv2(blk->disk, r->at, (int)r->count, (off_t)r->offset, 0);
		else if (moves_out(r))
			n = pwritev2(blk->disk, r->at, (int)r->count, (off_t)r->offset,
			             write_flags(blk));
		else if (r->kind == BLK_FLUSH)
			n = fdatasync(blk->disk);
		else if (r->kind == BLK_DISCARD && blk->is_device)
			n = ioctl(blk->disk, BLKDISCARD, range);
		else
			n = fallocate(blk->disk, falloc_mode(r), (off_t)r->offset, (off_t)r->left);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

bool blk_step_queue(struct blk *blk, struct blk_request *r)
{
	uint64_t number = (uint64_t)(r - blk->requests);
	struct io_uring_sqe *sqe;

	if (!r->may_wait || (r->kind == BLK_DISCARD && blk->is_device))
		return false;
	if (r->kind == BLK_READ || moves_out(r)) {
		sqe = uring_get(&blk->uring,
		                r->kind == BLK_READ ? IORING_OP_READV : IORING_OP_WRITEV, number);
		if (!sqe)
			return false;
		sqe->addr = (uintptr_t)r->at;
		sqe->len = r->count;
		sqe->off = r->offset;
		sqe->rw_flags = r->kind == BLK_READ ? 0 : write_flags(blk);
	} else if (r->kind == BLK_FLUSH) {
		sqe = uring_get(&blk->uring, IORING_OP_FSYNC, number);
		if (!sqe)
			return false;
		sqe->fsync_flags = IORING_FSYNC_DATASYNC;
	} else {
		sqe = uring_get(&blk->uring, IORING_OP_FALLOCATE, number);
		if (!sqe)
			return false;
		sqe->off = r->offset;
		sqe->addr = r->left;
		sqe->len = (uint32_t)falloc_mode(r);
	}
	return true;
}

/* Zeros as something to write, for as much of what is left as the list holds. */
static void point_at_zeros(const struct blk *blk, struct blk_request *r)
{
	uint64_t left = r->left;

	r->at = r->pieces;
	for (r->count = 0; left > 0 && r->count < ZERO_PIECES; r->count++) {
		size_t part = BASE_MIN(left, sizeof(blk->zeros));

		r->pieces[r->count] = (struct iovec){(void *)(uintptr_t)blk->zeros, part};
		left -= part;
	}
}

/* The next segment that is not empty, from r->segment on. */
static int next_segment(struct blk *blk, struct blk_request *r)
{
	for (; r->segment < r->segments; r->segment++) {
		const struct virtio_blk_discard_write_zeroes *s = &r->segment_list[r->segment];

		if (s->num_sectors == 0)
			continue;
		r->offset = s->sector * BLK_SECTOR;
		r->left = (uint64_t)s->num_sectors * BLK_SECTOR;
		r->how = r->kind == BLK_DISCARD || s->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP
		                 ? BLK_ERASE_PUNCH
		                 : BLK_ERASE_ZERO;
		return BLK_GOING;
	}
	if (r->kind == BLK_DISCARD || !blk_writes_through(blk))
		return VIRTIO_BLK_S_OK;
	r->kind = BLK_FLUSH; /* what fallocate has done is to last, too */
	return BLK_GOING;
}

static bool unknown(ssize_t result)
{
	return result == -EOPNOTSUPP || result == -ENOSYS;
}

static int erase_done(struct blk *blk, struct blk_request *r, ssize_t result)
{
	if (r->kind == BLK_DISCARD) {
		/* It is only a hint: a disk that knows none, or not of such a part, goes without. */
		if (result < 0 && !unknown(result) && result != -EINVAL)
			return VIRTIO_BLK_S_IOERR;
	} else if (unknown(result)) {
		r->how++;
		if (r->how == BLK_ERASE_WRITE)
			point_at_zeros(blk, r);
		return BLK_GOING;
	} else if (result < 0) {
		return VIRTIO_BLK_S_IOERR;
	}
	r->segment++;
	return next_segment(blk, r);
}

static int zeros_written(struct blk *blk, struct blk_request *r, ssize_t result)
{
	if (result <= 0)
		return VIRTIO_BLK_S_IOERR;
	r->left -= (uint64_t)result;
	r->offset += (uint64_t)result;
	point_at_zeros(blk, r);
	if (r->left > 0)
		return BLK_GOING;
	r->segment++;
	return next_segment(blk, r);
}

int blk_step_done(struct blk *blk, const struct device_memory *memory, struct blk_request *r,
                  ssize_t result)
{
	switch (r->kind) {
	case BLK_FLUSH: return result == 0 ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
	case BLK_DISCARD: return erase_done(blk, r, result);
	case BLK_ZERO:
		return r->how == BLK_ERASE_WRITE ? zeros_written(blk, r, result)
		                                 : erase_done(blk, r, result);
	case BLK_READ:
	case BLK_WRITE: break;
	}
	if (result <= 0 || (uint64_t)result > r->left)
		return VIRTIO_BLK_S_IOERR; /* 0: the file has become shorter */
	if (r->kind == BLK_READ)
		device_memory_wrote(memory, r->at, r->count, (uint64_t)result);
	r->left -= (uint64_t)result;
	r->offset += (uint64_t)result;
	r->count = vring_skip(&r->at, r->count, (uint64_t)result);
	return r->left > 0 ? BLK_GOING : VIRTIO_BLK_S_OK;
}

int blk_erase_begin(struct blk *blk, struct blk_request *r)
{
	r->segment = 0;
	return next_segment(blk, r);
}
