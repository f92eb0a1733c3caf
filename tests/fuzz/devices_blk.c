/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of the fuzzer's choice against a small disk, with a model of it beside: every chain is well-formed,
 * so that all of the input is about types, sectors, lengths, the layout of buffers, and what is in flight
 * when the ring stops or the process is replaced. What a read gives, what every status is and that each
 * request is answered once is compared with the model. (devices_ring has the chains that are not
 * well-formed.)
 *
 * Input: options (io_uring, write-through, read-only, event idx), then requests of 8 bytes: type and whether to
 * run the ring now; sector; length; how it is cut into buffers.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "vmm/devices/blk.c"

enum {
	MEMORY = 1 << 20,
	RING = 64,
	AVAILABLE = 0x400,
	USED = 0x500,
	SLOTS_AT = 0x1000,
	SLOT = 8192,
	SLOT_DATA = 512,
	SLOT_STATUS = SLOT - 1,
	DATA_MAX = SLOT - SLOT_DATA - 16,
	SLOTS = RING / 4,
	SECTORS = 64,
	RECORD_ENTRIES = RING,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct expected {
	bool out; /* given to the device, not answered yet */
	uint32_t type, length;
	uint64_t sector;
	int status; /* -1: either way */
};

struct bench {
	struct blk blk;
	struct uring uring;
	uint8_t *memory;
	_Alignas(64) uint8_t record[8192];
	uint8_t model[SECTORS * BLK_SECTOR];
	struct expected slots[SLOTS];
	uint16_t available, seen;
	struct vring ring;
	struct device_memory map;
};

static void check(bool holds)
{
	if (!holds)
		abort();
}

static struct bench *bench_make(void)
{
	struct bench *b = calloc(1, sizeof(*b));

	check(b);
	b->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	b->blk.disk = memfd_create("disk", MFD_CLOEXEC);
	check(b->memory != MAP_FAILED && b->blk.disk >= 0);
	check(ftruncate(b->blk.disk, sizeof(b->model)) == 0);
	if (uring_open(&b->uring, BLK_REQUESTS, b->blk.disk, blk_opcodes, BASE_COUNT(blk_opcodes)) <
	    0)
		b->uring.fd = -1;
	return b;
}

static uint16_t *word(struct bench *b, size_t at)
{
	return (uint16_t *)(b->memory + at);
}

/* A process begins, or another in its place. */
static void process_begin(struct bench *b, uint8_t options)
{
	b->ring = (struct vring){
	        .memory = &b->map,
	        .size = RING,
	        .available_at = AVAILABLE,
	        .used_at = USED,
	        .event_idx = options & 8,
	};
	check(inflight_attach(&b->ring.inflight, b->record, RECORD_ENTRIES) == 0);
	check(vring_start(&b->ring, 0) == 0);
}

static void begin(struct bench *b, uint8_t options)
{
	memset(b->memory, 0, SLOTS_AT);
	memset(b->record, 0, sizeof(b->record));
	memset(b->model, 0, sizeof(b->model));
	memset(b->slots, 0, sizeof(b->slots));
	b->available = b->seen = 0;
	b->map = (struct device_memory){
	        .count = 1,
	        .region = {{.guest = 0, .size = MEMORY, .user = 0, .host = b->memory}},
	};
	check(pwrite(b->blk.disk, b->model, sizeof(b->model), 0) == sizeof(b->model));
	b->blk.uring = b->uring;
	if (!(options & 1))
		b->blk.uring.fd = -1;
	b->blk.config.wce = !(options & 2);
	b->blk.read_only = options & 4;
	b->blk.nowait_read = b->blk.nowait_write = !(options & 16);
	b->blk.features = ~0ull;
	b->blk.capacity = SECTORS;
	process_begin(b, options);
}

static void descriptor(struct bench *b, unsigned int number, uint64_t at, uint32_t length,
                       uint16_t flags)
{
	uint8_t *d = b->memory + number * 16;

	memcpy(d, &at, 8);
	memcpy(d + 8, &length, 4);
	memcpy(d + 12, &flags, 2);
	number++;
	memcpy(d + 14, &number, 2);
}

static bool is_read(uint32_t type)
{
	return type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
}

static int status_of(const struct bench *b, const struct expected *e)
{
	bool fits = e->length % BLK_SECTOR == 0 && e->length > 0 && e->sector <= SECTORS &&
	            e->length / BLK_SECTOR <= SECTORS - e->sector;

	switch (e->type) {
	case VIRTIO_BLK_T_IN: return fits ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
	case VIRTIO_BLK_T_OUT:
		return fits && !b->blk.read_only ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
	case VIRTIO_BLK_T_FLUSH: return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_GET_ID: return e->length > 0 ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES: return -1; /* told by their segments */
	}
	return VIRTIO_BLK_S_UNSUPP;
}

/* A discard or write-zeroes of the segments that the request's bytes are; what they do to the model. */
static void erase_model(struct bench *b, const struct expected *e, const uint8_t *bytes)
{
	struct virtio_blk_discard_write_zeroes s;

	for (size_t i = 0; i + sizeof(s) <= e->length; i += sizeof(s)) {
		memcpy(&s, bytes + i, sizeof(s));
		check(s.sector + s.num_sectors <= SECTORS);
		memset(b->model + s.sector * BLK_SECTOR, 0, (size_t)s.num_sectors * BLK_SECTOR);
	}
}

static void answered(struct bench *b)
{
	for (; b->seen != *word(b, USED + 2); b->seen++) {
		uint32_t entry[2], number;
		struct expected *e;
		uint8_t *slot;

		memcpy(entry, b->memory + USED + 4 + b->seen % RING * 8, sizeof(entry));
		number = entry[0] / 4;
		check(entry[0] % 4 == 0 && number < SLOTS && b->slots[number].out);
		e = &b->slots[number];
		e->out = false;
		slot = b->memory + SLOTS_AT + number * SLOT;
		check(e->status < 0 || slot[SLOT_STATUS] == e->status);
		check(slot[SLOT_STATUS] <= VIRTIO_BLK_S_UNSUPP);
		if (slot[SLOT_STATUS] != VIRTIO_BLK_S_OK)
			continue;
		if (e->type == VIRTIO_BLK_T_OUT)
			memcpy(b->model + e->sector * BLK_SECTOR, slot + SLOT_DATA, e->length);
		else if (e->type == VIRTIO_BLK_T_IN)
			check(memcmp(b->model + e->sector * BLK_SECTOR, slot + SLOT_DATA,
			             e->length) == 0);
		else if (e->type == VIRTIO_BLK_T_DISCARD || e->type == VIRTIO_BLK_T_WRITE_ZEROES)
			erase_model(b, e, slot + SLOT_DATA);
	}
}

/* Until nothing is in flight: what the device does with a request depends on no other then. */
static void settle(struct bench *b)
{
	check(blk_queue_run(&b->blk, 0, &b->ring) >= 0);
	blk_queue_stop(&b->blk, 0, &b->ring);
	(void)vring_must_signal(&b->ring);
	answered(b);
}

static void submit(struct bench *b, const uint8_t *r)
{
	static const uint32_t types[] = {VIRTIO_BLK_T_IN,      VIRTIO_BLK_T_OUT,
	                                 VIRTIO_BLK_T_FLUSH,   VIRTIO_BLK_T_GET_ID,
	                                 VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES,
	                                 VIRTIO_BLK_T_SCSI_CMD};
	unsigned int number = b->available % SLOTS;
	uint64_t at = SLOTS_AT + number * (uint64_t)SLOT;
	struct expected *e = &b->slots[number];
	struct virtio_blk_outhdr header;
	uint32_t first;
	uint16_t flags;

	*e = (struct expected){.out = true, .type = types[r[0] % BASE_COUNT(types)]};
	e->sector = r[1] == 0xff ? UINT64_MAX - r[2] : r[1];
	e->length = r[3] & 1 ? base_le16(r + 4) % DATA_MAX
	                     : r[4] % (DATA_MAX / BLK_SECTOR) * BLK_SECTOR;
	e->status = status_of(b, e);
	header = (struct virtio_blk_outhdr){.type = e->type, .sector = e->sector};
	memcpy(b->memory + at, &header, sizeof(header));
	memset(b->memory + at + SLOT_DATA, r[6], SLOT - SLOT_DATA);
	if (e->type == VIRTIO_BLK_T_DISCARD || e->type == VIRTIO_BLK_T_WRITE_ZEROES) {
		struct virtio_blk_discard_write_zeroes s = {
		        .sector = r[1], .num_sectors = r[2], .flags = r[5] % 3};

		if (e->length == 0 || r[3] & 2)
			e->length = sizeof(s) * (1 + r[4] % 3);
		for (uint32_t i = 0; i + sizeof(s) <= e->length; i += sizeof(s), s.sector += r[7])
			memcpy(b->memory + at + SLOT_DATA + i, &s, sizeof(s));
	}
	flags = (uint16_t)(1 | (is_read(e->type) ? 2 : 0));
	first = e->length * r[7] / 255;
	descriptor(b, number * 4, at, sizeof(header), 1);
	descriptor(b, number * 4 + 1, at + SLOT_DATA, first, flags);
	descriptor(b, number * 4 + 2, at + SLOT_DATA + first, e->length - first, flags);
	descriptor(b, number * 4 + 3, at + SLOT_STATUS, 1, 2);
	*word(b, AVAILABLE + 4 + 2 * (b->available % RING)) = (uint16_t)(number * 4);
	b->available++;
	__atomic_store_n(word(b, AVAILABLE + 2), b->available, __ATOMIC_RELEASE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bench *bench;
	struct bench *b = bench ? bench : (bench = bench_make());
	uint8_t options;

	if (size < 9)
		return 0;
	options = data[0];
	begin(b, options);
	for (data++, size--; size >= 8; data += 8, size -= 8) {
		submit(b, data);
		if (data[0] & 0x80) { /* taken, and the process dies before anything comes of it */
			check(vring_pop(&b->ring, &b->blk.chain) == 1);
			process_begin(b, options);
		}
		settle(b);
	}
	for (unsigned int i = 0; i < SLOTS; i++)
		check(!b->slots[i].out);
	check(b->blk.busy[0] == 0 && b->blk.busy[1] == 0);
	if (options & 1)
		b->uring = b->blk.uring;
	return 0;
}
