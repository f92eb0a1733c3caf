/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory, and so the rings in it, against the request code of each device. The device files are
 * part of this one, so that their state is at hand. Guest memory is two heap blocks of their own, which
 * puts the sanitizer's red zones where a guest's end of memory is.
 *
 * Input: device, ring size, features, options, the ring's first index, the map of shared pages (a bit each), one
 * byte that nothing reads; then memory's first bytes. Of a page that is not shared no byte may change.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "vmm/devices/blk.c"
#include "vmm/devices/rng.c"

enum {
	REGION = 16384,
	DISK = 65536,
	AVAILABLE = 0x400,
	USED = 0x500,
	OPTIONS = 8,
	PAGES = 2 * REGION / DEVICE_PAGE,
	SHARES_SOME = 4, /* an option */
	RUNS = 4,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What lives from one input to the next. */
struct bench {
	uint8_t *low, *high, *map;
	uint8_t before[2 * REGION];
	int disk;
	struct blk blk;
	struct rng rng;
};

static struct bench *bench_make(void)
{
	struct bench *b = calloc(1, sizeof(*b));

	if (!b)
		abort();
	b->low = malloc(REGION);
	b->high = malloc(REGION);
	b->map = malloc(1);
	b->disk = memfd_create("disk", MFD_CLOEXEC);
	if (!b->low || !b->high || !b->map || b->disk < 0)
		abort();
	return b;
}

static void run(const struct vhost_device_ops *ops, void *self, unsigned int queue,
                struct vring *ring, uint16_t base)
{
	if (vring_start(ring, base) < 0)
		return;
	for (unsigned int i = 0; i < RUNS; i++)
		if (ops->queue_run(self, queue, ring) < 0)
			break;
	(void)vring_must_signal(ring);
	if (ops->queue_stop)
		ops->queue_stop(self, queue, ring);
	vring_stop(ring);
}

static void private_untouched(const struct bench *b)
{
	for (unsigned int page = 0; page < PAGES; page++) {
		const uint8_t *now = page < PAGES / 2 ? b->low + page * DEVICE_PAGE
		                                      : b->high + (page - PAGES / 2) * DEVICE_PAGE;

		if (!(*b->map & 1u << page) &&
		    memcmp(now, b->before + page * DEVICE_PAGE, DEVICE_PAGE) != 0)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bench *bench;
	struct bench *b = bench ? bench : (bench = bench_make());
	struct device_memory memory = {
	        .count = 2,
	        .region = {{.guest = 0, .size = REGION, .user = 0, .host = b->low},
	                   {.guest = REGION, .size = REGION, .user = REGION, .host = b->high}},
	};
	struct vring ring = {
	        .memory = &memory,
	        .descriptors_at = 0,
	        .available_at = AVAILABLE,
	        .used_at = USED,
	};

	if (size < OPTIONS)
		return 0;
	ring.size = 1u << data[1] % 6;
	ring.event_idx = data[2] & 1;
	ring.indirect = data[2] & 2;
	size -= OPTIONS;
	memset(b->low, 0, REGION);
	memset(b->high, 0, REGION);
	memcpy(b->low, data + OPTIONS, BASE_MIN(size, (size_t)REGION));
	if (size > REGION)
		memcpy(b->high, data + OPTIONS + REGION, BASE_MIN(size - REGION, (size_t)REGION));

	*b->map = data[3] & SHARES_SOME ? data[6] : 0xff;
	if (data[3] & SHARES_SOME)
		memory.shared = (struct device_mapping){.bytes = b->map, .size = 1};
	memcpy(b->before, b->low, REGION);
	memcpy(b->before + REGION, b->high, REGION);

	switch (data[0] % 2) {
	case 0:
		if (ftruncate(b->disk, 0) < 0 || ftruncate(b->disk, DISK) < 0)
			abort();
		b->blk.disk = b->disk;
		b->blk.uring.fd = -1;
		b->blk.capacity = DISK / BLK_SECTOR;
		b->blk.read_only = data[3] & 1;
		b->blk.features = data[3] & 2 ? ~0ull : 0;
		run(&blk_ops, &b->blk, 0, &ring, base_le16(data + 4));
		break;
	default: run(&rng_ops, &b->rng, 0, &ring, base_le16(data + 4)); break;
	}
	private_untouched(b);
	return 0;
}
