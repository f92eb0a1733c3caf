/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio: the hostile guest's driver (virtio 1.2, split rings over PCI), in pieces, so that a test can
 * leave one out, or do it wrong. A kind of device is one entry of a table: what its queues carry, and
 * what a good request is. All addresses are physical ones.
 */
#ifndef HOSTILE_VIRTIO_H
#define HOSTILE_VIRTIO_H

#include "tests/hostile/cpu.h"

enum {
	DEVICES_MAX = 24,
	QUEUES_MAX = 8,      /* that are set up; a device may have more */
	QUEUE_SIZE_MAX = 64, /* that is asked for */
	BUFFER_SIZE = 256 << 10,
	LAYOUT_MAX = 3,
	ANSWER_MS = 20000, /* for what has to come; emulated hosts are slow */
};

enum pci_register {
	PCI_COMMAND = 0x04,
	PCI_BAR0 = 0x10,
	PCI_CAPABILITIES = 0x34,
	PCI_COMMAND_MEMORY = 2,
	PCI_COMMAND_MASTER = 4,
};

enum common_register { /* virtio 1.2, 4.1.4.3 */
	               OFFERED_SELECT = 0,
	               OFFERED = 4,
	               ACCEPTED_SELECT = 8,
	               ACCEPTED = 12,
	               CONFIG_VECTOR = 16,
	               QUEUE_COUNT = 18,
	               STATUS = 20,
	               GENERATION = 21,
	               QUEUE_SELECT = 22,
	               QUEUE_SIZE = 24,
	               QUEUE_VECTOR = 26,
	               QUEUE_ENABLE = 28,
	               QUEUE_NOTIFY = 30,
	               QUEUE_DESCRIPTORS = 32,
	               QUEUE_DRIVER = 40,
	               QUEUE_DEVICE = 48,
	               COMMON_SIZE = 64,
};

enum status_bit {
	ACKNOWLEDGE = 1,
	DRIVER = 2,
	DRIVER_OK = 4,
	FEATURES_OK = 8,
	NEEDS_RESET = 64,
	FAILED = 128,
};

enum {
	NO_VECTOR = 0xffff,
	F_INDIRECT = 28,
	F_EVENT_IDX = 29,
	F_VERSION_1 = 32,
	F_ACCESS_PLATFORM = 33,
};
#define BIT(n) (1ul << (n))

enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };

struct descriptor {
	uint64_t address;
	uint32_t length;
	uint16_t flags, next;
};
struct available {
	uint16_t flags, index, ring[];
};
struct used {
	uint16_t flags, index;
	struct {
		uint32_t id, length;
	} ring[];
};

struct device;

struct queue {
	struct device *device;
	uint16_t index, size;
	volatile struct descriptor *descriptors;
	volatile struct available *available;
	volatile struct used *used;
	uint64_t doorbell;
	uint16_t next, seen; /* of the available ring; of the used one */
};

/* What one request of a queue is made of: buffers, one after another, in the device's buffer. */
struct layout {
	struct {
		uint32_t length;
		bool write;
	} part[LAYOUT_MAX];
	bool lazy; /* the device need not look at a request until something else happens */
};

struct kind {
	const char *name;
	uint16_t id;
	uint64_t features; /* that the driver takes, if they are offered, beside those of rings */
	struct layout queues[QUEUES_MAX];
	/* Fills the beginning of the buffer with a request's header; NULL: zeroes will do. */
	void (*fill)(struct device *d, unsigned int queue);
	/* One request that has to work, on a device that runs. NULL, or why it did not. */
	const char *(*good)(struct device *d);
};

struct capability_window {
	uint32_t offset, length;
};

struct device {
	const struct kind *kind;
	uint8_t slot;
	unsigned int number; /* among those of its kind */
	uint64_t bar;
	uint32_t bar_size;
	struct capability_window common, notify, isr, config;
	uint32_t multiplier, msix_table, msix_pending;
	uint8_t msix; /* offset of the capability */
	uint16_t queue_count, vector_count;
	uint8_t vector; /* what its interrupts arrive as */
	uint64_t features;
	unsigned int queues_used;
	struct queue queues[QUEUES_MAX];
	uint8_t *buffer; /* BUFFER_SIZE */
};

extern const struct kind kinds[];
extern struct device devices[DEVICES_MAX];
extern unsigned int device_count;

/* ---- PCI ---- */
uint64_t ecam(unsigned int slot, unsigned int offset);
static inline uint32_t config_read(const struct device *d, unsigned int offset, unsigned int size)
{
	return (uint32_t)mmio_read(ecam(d->slot, offset), size);
}
static inline void config_write(const struct device *d, unsigned int offset, uint32_t value,
                                unsigned int size)
{
	mmio_write(ecam(d->slot, offset), value, size);
}
/* Finds the devices of every known kind; prints what it found. */
void devices_find(void);
/* "blk", "blk1", ...: for messages, in one static place. */
const char *device_name(const struct device *d);

/* ---- registers ---- */
static inline uint64_t common_read(const struct device *d, enum common_register at,
                                   unsigned int size)
{
	return mmio_read(d->bar + d->common.offset + at, size);
}
static inline void common_write(const struct device *d, enum common_register at, uint64_t value,
                                unsigned int size)
{
	mmio_write(d->bar + d->common.offset + at, value, size);
}
static inline uint8_t status(const struct device *d)
{
	return (uint8_t)common_read(d, STATUS, 1);
}
static inline void status_write(const struct device *d, uint8_t value)
{
	common_write(d, STATUS, value, 1);
}
uint64_t features_offered(const struct device *d);
void features_accept(const struct device *d, uint64_t features);

/* ---- a driver's steps; each gives NULL, or why not ---- */
const char *device_reset(struct device *d);
const char *device_negotiate(struct device *d, uint64_t features); /* from reset to FEATURES_OK */
const char *queue_setup(struct device *d, unsigned int index, uint16_t size);
void msix_enable(struct device *d); /* every vector unmasked, as d->vector */
void msix_entry(struct device *d, unsigned int index, uint64_t address, uint32_t data, bool masked);
/* All of it: reset, the kind's features, all queues, DRIVER_OK. */
const char *device_start(struct device *d);
const char *device_start_with(struct device *d, uint64_t features);
uint64_t
features_of_kind(const struct device *d); /* what device_start() takes, but indirect tables */

/* ---- requests ---- */

/* Writes the queue's layout, a chain from descriptor 0. Returns how many descriptors it has. */
unsigned int request_lay(struct queue *q);
/* The same, beginning at another descriptor and `into` bytes into the buffer. */
unsigned int request_lay_at(struct queue *q, uint16_t first, uint32_t into);
void request_offer(struct queue *q, uint16_t head); /* puts it into the available ring */
void queue_notify(const struct queue *q);
static inline void request_send(struct queue *q, uint16_t head)
{
	request_offer(q, head);
	queue_notify(q);
}
/* Waits for one more used entry; its length into *written. False: none came. */
bool request_wait(struct queue *q, unsigned int ms, uint32_t *written);

enum outcome { IGNORED = 1, ANSWERED = 2, BROKEN = 4, ANY = 7 };
/* What becomes of what was sent: a used entry, NEEDS_RESET, or nothing in that time. */
enum outcome outcome(struct queue *q, unsigned int ms);

#endif
