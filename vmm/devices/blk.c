/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-blk: virtio-blk (virtio 1.2, section 5.2) over one raw file or block device. The format is raw,
 * whatever the bytes look like. Data moves between the file and guest memory with no copy of ours between;
 * only the 16 bytes of a request's header are copied here, once, and checked.
 *
 * Requests that the page cache can serve are served at once; the others wait in an io_uring, several at a time
 * and done in any order, which section 5.2.6 leaves to us: a flush covers what was answered before it came.
 * Where the kernel has no io_uring for us, or --synchronous was given, each is waited for.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "vmm/devices/blk.h"
#include "vmm/devices/program.h"
#include "vmm/devices/list_blk.h"

static uint64_t blk_features(void *self)
{
	const struct blk *blk = self;
	uint64_t features = 1ull << VIRTIO_BLK_F_SIZE_MAX | 1ull << VIRTIO_BLK_F_SEG_MAX |
	                    1ull << VIRTIO_BLK_F_BLK_SIZE | 1ull << VIRTIO_BLK_F_TOPOLOGY |
	                    1ull << VIRTIO_BLK_F_FLUSH;

	if (blk->read_only)
		return features | 1ull << VIRTIO_BLK_F_RO;
	return features | 1ull << VIRTIO_BLK_F_CONFIG_WCE | 1ull << VIRTIO_BLK_F_DISCARD |
	       1ull << VIRTIO_BLK_F_WRITE_ZEROES;
}

static int blk_features_set(void *self, uint64_t features)
{
	struct blk *blk = self;

	blk->features = features;
	return 0;
}

/* A driver that knows nothing of the cache's mode has the one that goes with its flushes. */
static void blk_reset(void *self)
{
	struct blk *blk = self;

	blk->config.wce = 1;
}

/* The driver can switch the cache (section 5.2.5): without it each write lasts before it is answered. */
static int blk_config_write(void *self, uint32_t offset, const void *data, uint32_t size)
{
	struct blk *blk = self;
	const uint8_t *value = data;

	if (offset == offsetof(struct virtio_blk_config, wce) && size == 1 && *value <= 1 &&
	    blk->features & 1ull << VIRTIO_BLK_F_CONFIG_WCE)
		blk->config.wce = *value;
	return 0; /* the rest is read-only: what the guest writes there is lost */
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

/* Without one there is the slower way, so its absence is no error; but it is said. */
static int open_uring(struct blk *blk, struct vhost_back *back)
{
	int error = blk->synchronous ? -ENOSYS
	                             : uring_open(&blk->uring, BLK_REQUESTS, blk->disk, blk_opcodes,
	                                          BASE_COUNT(blk_opcodes));

	if (error == 0)
		return vhost_back_watch(back, blk->uring.completed, 0);
	blk->uring.fd = -1;
	if (!blk->synchronous)
		device_log("cordon-blk", "no io_uring (%s): one request at a time",
		           strerror(-error));
	return 0;
}

/* The disk's sectors: its capacity, and what is best to read and write at a time. */
static int examine(struct blk *blk, const char **why)
{
	uint64_t bytes;
	unsigned int physical = 4096; /* as the page cache has it */
	int logical = BLK_SECTOR;
	struct stat st;

	*why = "the disk's fd";
	if (fstat(blk->disk, &st) < 0)
		return -errno;
	*why = "the disk is neither a file nor a block device";
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return -EINVAL;
	blk->is_device = S_ISBLK(st.st_mode);
	bytes = (uint64_t)st.st_size;
	*why = "the size of the block device";
	if (blk->is_device && (ioctl(blk->disk, BLKGETSIZE64, &bytes) < 0 ||
	                       ioctl(blk->disk, BLKSSZGET, &logical) < 0 ||
	                       ioctl(blk->disk, BLKPBSZGET, &physical) < 0))
		return -errno;
	*why = "the disk is smaller than one sector";
	if (bytes < BLK_SECTOR)
		return -EINVAL;
	*why = "the block device's sectors are of a strange size";
	if (logical < BLK_SECTOR || logical > 4096 || logical & (logical - 1))
		return -EINVAL;
	blk->capacity = bytes / BLK_SECTOR;
	blk->config.blk_size = (uint32_t)logical;
	while ((uint32_t)logical << blk->config.physical_block_exp < physical)
		blk->config.physical_block_exp++;
	return 0;
}

static int blk_open(void *self, struct vhost_back *back, const char **why)
{
	struct blk *blk = self;
	int error;

	blk->config = (struct virtio_blk_config){
	        .size_max = BLK_SEGMENT_BYTES,
	        .seg_max = BLK_SEGMENTS,
	        .wce = 1,
	        .num_queues = 1,
	        .max_discard_sectors = BLK_DISCARD_SECTORS,
	        .max_discard_seg = BLK_ERASE_SEGMENTS,
	        .discard_sector_alignment = 8,
	        .max_write_zeroes_sectors = BLK_ZERO_SECTORS,
	        .max_write_zeroes_seg = BLK_ERASE_SEGMENTS,
	        .write_zeroes_may_unmap = 1,
	};
	error = examine(blk, why);
	if (error < 0)
		return error;
	blk->config.capacity = blk->capacity;
	blk->nowait_read = blk->nowait_write = true;
	*why = "the disk's io_uring";
	return open_uring(blk, back);
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

static int set_synchronous(void *self, const char *value)
{
	struct blk *blk = self;

	(void)value;
	blk->synchronous = true;
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
        .inflight = true,
        .features = blk_features,
        .features_set = blk_features_set,
        .config_read = blk_config_read,
        .config_write = blk_config_write,
        .queue_run = blk_queue_run,
        .queue_stop = blk_queue_stop,
        .reset = blk_reset,
};

static const struct device_option blk_options[] = {
        {"disk", "FD", true, set_disk},
        {"read-only", NULL, false, set_read_only},
        {"serial", "TEXT", false, set_serial},
        {"synchronous", NULL, false, set_synchronous},
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
