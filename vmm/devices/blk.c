/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-blk: virtio-blk (virtio 1.2, section 5.2) over one raw file or block device. The format is raw,
 * whatever the bytes look like. Data moves between the file and guest memory by preadv and pwritev, with
 * no copy of ours between; only the 16 bytes of a request's header are copied here, once, and checked.
 *
 * A request that makes no sense is answered with an error status in its last byte. A chain that has no
 * writable byte to put a status in breaks the ring.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/virtio_blk.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "vmm/devices/limits.h"
#include "vmm/devices/program.h"
#include "vmm/devices/list_blk.h"

enum {
	SECTOR = 512,
	BLK_SEGMENTS = 254, /* what a driver may put into one request */
	BLK_DISCARD_SEGMENTS = 16,
	BLK_DISCARD_SECTORS = 1u << 22, /* 2 GiB in one segment */
	BLK_TRANSFER_MAX = 32 << 20,    /* bytes of one request; more is refused */
};

struct blk {
	int disk;
	bool read_only, is_device;
	char serial[VIRTIO_BLK_ID_BYTES];
	uint64_t capacity; /* sectors */
	uint64_t features; /* negotiated */
	struct limiter limit;
	struct virtio_blk_config config;
	struct vring_request request;
};

/* A request once its parts are told apart: header and status are not in the lists any more. */
struct blk_request {
	struct virtio_blk_outhdr header;
	struct iovec *data; /* of the direction that the type has */
	unsigned int count;
	uint64_t bytes;
};

/* Whether [sector, sector + bytes) lies on the disk; *offset is in bytes. */
static bool on_disk(const struct blk *blk, uint64_t sector, uint64_t bytes, uint64_t *offset)
{
	uint64_t sectors = bytes / SECTOR;

	if (bytes % SECTOR != 0 || sector > blk->capacity || sectors > blk->capacity - sector)
		return false;
	*offset = sector * SECTOR;
	return true;
}

/*
 * A driver that cannot flush expects each write to last (section 5.2.6.2): hence RWF_DSYNC.
 *
 * #syscall blk: preadv - reads the disk into guest memory
 * #syscall blk: pwritev2 - writes the disk from guest memory
 */
static uint8_t transfer(const struct blk *blk, struct blk_request *r, bool write)
{
	int flags = blk->features & 1ull << VIRTIO_BLK_F_FLUSH ? 0 : RWF_DSYNC;
	uint64_t offset, left = r->bytes;

	if (write && blk->read_only)
		return VIRTIO_BLK_S_IOERR;
	if (left == 0 || left > BLK_TRANSFER_MAX || !on_disk(blk, r->header.sector, left, &offset))
		return VIRTIO_BLK_S_IOERR;
	while (left > 0) {
		ssize_t n =
		        write ? pwritev2(blk->disk, r->data, (int)r->count, (off_t)offset, flags)
		              : preadv(blk->disk, r->data, (int)r->count, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return VIRTIO_BLK_S_IOERR; /* 0: the file has become shorter */
		left -= (uint64_t)n;
		offset += (uint64_t)n;
		r->count = vring_skip(&r->data, r->count, (uint64_t)n);
	}
	return VIRTIO_BLK_S_OK;
}

/* #syscall blk: fdatasync - the guest's flush */
static uint8_t flush(const struct blk *blk)
{
	return fdatasync(blk->disk) == 0 ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
}

static uint8_t get_id(const struct blk *blk, struct blk_request *r)
{
	size_t n = vring_copy_in(r->data, r->count, 0, blk->serial, sizeof(blk->serial));

	return n > 0 ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
}

/*
 * #syscall blk: fallocate - discard and write zeroes
 */
static uint8_t erase_segment(const struct blk *blk, const struct virtio_blk_discard_write_zeroes *s,
                             bool zero)
{
	uint64_t offset, bytes = (uint64_t)s->num_sectors * SECTOR;
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	if (s->flags & ~(zero ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0u))
		return VIRTIO_BLK_S_UNSUPP;
	if (s->num_sectors > BLK_DISCARD_SECTORS || !on_disk(blk, s->sector, bytes, &offset))
		return VIRTIO_BLK_S_IOERR;
	if (bytes == 0)
		return VIRTIO_BLK_S_OK;
	if (zero && !(s->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP))
		mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
	if (fallocate(blk->disk, mode, (off_t)offset, (off_t)bytes) == 0)
		return VIRTIO_BLK_S_OK;
	if (errno == EOPNOTSUPP)
		return zero ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_OK; /* a discard is only a hint */
	return VIRTIO_BLK_S_IOERR;
}

static uint8_t erase(const struct blk *blk, struct blk_request *r, bool zero)
{
	struct virtio_blk_discard_write_zeroes segments[BLK_DISCARD_SEGMENTS];
	unsigned int feature = zero ? VIRTIO_BLK_F_WRITE_ZEROES : VIRTIO_BLK_F_DISCARD;
	uint8_t status = VIRTIO_BLK_S_OK;

	if (!(blk->features & 1ull << feature))
		return VIRTIO_BLK_S_UNSUPP;
	if (blk->read_only || r->bytes == 0 || r->bytes % sizeof(segments[0]) != 0 ||
	    r->bytes > sizeof(segments))
		return VIRTIO_BLK_S_IOERR;
	vring_copy_out(r->data, r->count, 0, segments, r->bytes);
	for (size_t i = 0; i < r->bytes / sizeof(segments[0]) && status == VIRTIO_BLK_S_OK; i++)
		status = erase_segment(blk, &segments[i], zero);
	return status;
}

/* Takes the status byte off the end of the writable part: the place to write it to. */
static uint8_t *take_status(struct vring_request *q)
{
	struct iovec *list = q->iov + q->readable;
	struct iovec *last = list + q->writable - 1;
	uint8_t *status = (uint8_t *)last->iov_base + last->iov_len - 1;

	q->writable_bytes--;
	q->writable = (uint16_t)vring_truncate(list, q->writable, q->writable_bytes);
	return status;
}

static uint8_t dispatch(const struct blk *blk, struct vring_request *q, uint32_t *written)
{
	struct iovec *in = q->iov + q->readable, *out = q->iov;
	struct blk_request r;

	if (vring_copy_out(out, q->readable, 0, &r.header, sizeof(r.header)) < sizeof(r.header))
		return VIRTIO_BLK_S_IOERR;
	r.data = out;
	r.count = vring_skip(&r.data, q->readable, sizeof(r.header));
	r.bytes = q->readable_bytes - sizeof(r.header);
	switch (r.header.type) {
	case VIRTIO_BLK_T_OUT: return transfer(blk, &r, true);
	case VIRTIO_BLK_T_DISCARD: return erase(blk, &r, false);
	case VIRTIO_BLK_T_WRITE_ZEROES: return erase(blk, &r, true);
	case VIRTIO_BLK_T_FLUSH: return flush(blk);
	}
	r.data = in;
	r.count = q->writable;
	r.bytes = q->writable_bytes;
	switch (r.header.type) {
	case VIRTIO_BLK_T_IN:
		*written = (uint32_t)BASE_MIN(r.bytes, (uint64_t)BLK_TRANSFER_MAX);
		return transfer(blk, &r, false);
	case VIRTIO_BLK_T_GET_ID:
		*written = (uint32_t)BASE_MIN(r.bytes, sizeof(blk->serial));
		return get_id(blk, &r);
	}
	return VIRTIO_BLK_S_UNSUPP;
}

static int serve_request(struct blk *blk, struct vring *ring)
{
	struct vring_request *q = &blk->request;
	uint32_t written = 0;
	uint8_t *status;
	int got = vring_pop(ring, q);

	if (got <= 0)
		return got;
	if (q->writable_bytes == 0)
		return vring_break(ring, "a request has no room for its status");
	limiter_take(&blk->limit, q->readable_bytes + q->writable_bytes);
	status = take_status(q);
	*(volatile uint8_t *)status = dispatch(blk, q, &written);
	vring_push(ring, q->head, written + 1);
	return 1;
}

static int blk_queue_run(void *self, unsigned int queue, struct vring *ring)
{
	struct blk *blk = self;

	(void)queue;
	vring_kicks(ring, false);
	for (unsigned int i = 0; i < VHOST_BACK_BATCH; i++) {
		uint32_t wait = limiter_wait(&blk->limit, device_now);
		int got;

		if (wait > 0)
			return (int)wait;
		got = serve_request(blk, ring);
		if (got < 0)
			return got;
		if (got == 0)
			return vring_kicks(ring, true);
	}
	return 1;
}

static uint64_t blk_features(void *self)
{
	const struct blk *blk = self;
	uint64_t features = 1ull << VIRTIO_BLK_F_SEG_MAX | 1ull << VIRTIO_BLK_F_BLK_SIZE |
	                    1ull << VIRTIO_BLK_F_TOPOLOGY | 1ull << VIRTIO_BLK_F_FLUSH;

	if (blk->read_only)
		return features | 1ull << VIRTIO_BLK_F_RO;
	return features | 1ull << VIRTIO_BLK_F_DISCARD | 1ull << VIRTIO_BLK_F_WRITE_ZEROES;
}

static int blk_features_set(void *self, uint64_t features)
{
	struct blk *blk = self;

	blk->features = features;
	return 0;
}

static int blk_config_read(void *self, uint32_t offset, void *data, uint32_t size)
{
	const struct blk *blk = self;
	size_t there = sizeof(blk->config);

	memset(data, 0, size);
	if (offset < there)
		memcpy(data, (const uint8_t *)&blk->config + offset,
		       BASE_MIN(size, there - offset));
	return 0;
}

static int blk_open(void *self, struct vhost_back *back, const char **why)
{
	struct blk *blk = self;
	uint64_t bytes;
	struct stat st;

	(void)back;
	*why = "the disk's fd";
	if (fstat(blk->disk, &st) < 0)
		return -errno;
	*why = "the disk is neither a file nor a block device";
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -EINVAL;
	blk->is_device = S_ISBLK(st.st_mode);
	bytes = (uint64_t)st.st_size;
	*why = "the size of the block device";
	if (blk->is_device && ioctl(blk->disk, BLKGETSIZE64, &bytes) < 0)
		return -errno;
	*why = "the disk is smaller than one sector";
	if (bytes < SECTOR)
		return -EINVAL;
	blk->capacity = bytes / SECTOR;
	blk->config = (struct virtio_blk_config){
	        .capacity = blk->capacity,
	        .seg_max = BLK_SEGMENTS,
	        .blk_size = SECTOR,
	        .physical_block_exp = 3, /* 4096 bytes, as page cache and disks have it */
	        .num_queues = 1,
	        .max_discard_sectors = BLK_DISCARD_SECTORS,
	        .max_discard_seg = BLK_DISCARD_SEGMENTS,
	        .discard_sector_alignment = 8,
	        .max_write_zeroes_sectors = BLK_DISCARD_SECTORS,
	        .max_write_zeroes_seg = BLK_DISCARD_SEGMENTS,
	        .write_zeroes_may_unmap = 1,
	};
	return 0;
}

static int set_disk(void *self, const char *value)
{
	struct blk *blk = self;
	uint64_t fd;
	int error = device_number(value, 0, INT32_MAX, &fd);

	if (error == 0)
		blk->disk = (int)fd;
	return error;
}

static int set_read_only(void *self, const char *value)
{
	struct blk *blk = self;

	(void)value;
	blk->read_only = true;
	return 0;
}

static int set_serial(void *self, const char *value)
{
	struct blk *blk = self;
	size_t length = strlen(value);

	if (length > sizeof(blk->serial))
		return -EINVAL;
	memset(blk->serial, 0, sizeof(blk->serial));
	memcpy(blk->serial, value, length); /* a full one has no terminator: section 5.2.6 */
	return 0;
}

static int set_limits(void *self, const char *value)
{
	return limiter_open(&((struct blk *)self)->limit, value);
}

static const struct vhost_device_ops blk_ops = {
        .name = "cordon-blk",
        .queues = 1,
        .queue_num = 1,
        .features = blk_features,
        .features_set = blk_features_set,
        .config_read = blk_config_read,
        .queue_run = blk_queue_run,
};

static const struct device_option blk_options[] = {
        {"disk", "FD", true, set_disk},
        {"read-only", NULL, false, set_read_only},
        {"serial", "TEXT", false, set_serial},
        {"limits", "FD:ENTRY", false, set_limits},
};

const struct device_program device_blk = {
        .ops = &blk_ops,
        .options = blk_options,
        .option_count = BASE_COUNT(blk_options),
        .state_size = sizeof(struct blk),
        .list = &list_blk,
        .open = blk_open,
};
