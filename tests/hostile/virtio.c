/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The driver's side of virtio 1.2 over PCI: finding devices (4.1.4), bringing them up (3.1.1), rings (2.7). */
#include "tests/hostile/virtio.h"

struct device devices[DEVICES_MAX];
unsigned int device_count;

enum {
	SLOTS = 32,
	VENDOR_VIRTIO = 0x1af4,
	ID_MODERN = 0x1040,
	CAPABILITY_VENDOR = 0x09,
	CAPABILITY_MSIX = 0x11,
	MSIX_ENABLE = 0x8000,
	MSIX_SIZE = 0x7ff,
	MSIX_ENTRY = 16,
};

uint64_t ecam(unsigned int slot, unsigned int offset)
{
	return ECAM_BASE + slot * 0x8000ul + offset;
}

const char *device_name(const struct device *d)
{
	static char text[2][24];
	static unsigned int turn;
	const char *from = d->kind->name;
	char *at = text[turn ^= 1];

	while (*from)
		*at++ = *from++;
	if (d->number > 0)
		*at++ = (char)('0' + d->number % 10);
	*at = 0;
	return text[turn];
}

/* ---- finding ---- */

static void capability_take(struct device *d, unsigned int at)
{
	struct capability_window window = {config_read(d, at + 8, 4), config_read(d, at + 12, 4)};

	switch (config_read(d, at + 3, 1)) {
	case 1: d->common = window; break;
	case 2:
		d->notify = window;
		d->multiplier = config_read(d, at + 16, 4);
		break;
	case 3: d->isr = window; break;
	case 4: d->config = window; break;
	default: break;
	}
}

static void capabilities_read(struct device *d)
{
	unsigned int at = config_read(d, PCI_CAPABILITIES, 1);

	for (unsigned int i = 0; at != 0 && i < 32; i++) {
		unsigned int id = config_read(d, at, 1);

		if (id == CAPABILITY_VENDOR)
			capability_take(d, at);
		if (id == CAPABILITY_MSIX) {
			d->msix = (uint8_t)at;
			d->vector_count = (uint16_t)((config_read(d, at + 2, 2) & MSIX_SIZE) + 1);
			d->msix_table = config_read(d, at + 4, 4) & ~7u;
			d->msix_pending = config_read(d, at + 8, 4) & ~7u;
		}
		at = config_read(d, at + 1, 1);
	}
}

static void bar_read(struct device *d)
{
	uint32_t bar = config_read(d, PCI_BAR0, 4);

	config_write(d, PCI_BAR0, 0xffffffff, 4);
	d->bar_size = ~(config_read(d, PCI_BAR0, 4) & ~15u) + 1;
	config_write(d, PCI_BAR0, bar, 4);
	d->bar = bar & ~15u;
}

static void device_add(const struct kind *kind, unsigned int slot)
{
	struct device *d = &devices[device_count];

	*d = (struct device){.kind = kind, .slot = (uint8_t)slot};
	for (unsigned int i = 0; i < device_count; i++)
		d->number += devices[i].kind == kind;
	bar_read(d);
	capabilities_read(d);
	config_write(d, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	d->queue_count = (uint16_t)common_read(d, QUEUE_COUNT, 2);
	d->queues_used = MIN(d->queue_count, QUEUES_MAX);
	d->vector = (uint8_t)(VECTOR_FIRST + device_count);
	d->buffer = memory_pages(BUFFER_SIZE);
	for (unsigned int i = 0; i < d->queues_used; i++) {
		uint8_t *at = memory_pages(3 * PAGE);

		d->queues[i] = (struct queue){.device = d,
		                              .index = (uint16_t)i,
		                              .descriptors = (void *)at,
		                              .available = (void *)(at + PAGE),
		                              .used = (void *)(at + 2 * PAGE)};
	}
	device_count++;
	say("hostile: found %s at slot %u, queues %u vectors %u features %lx\n", device_name(d),
	    slot, d->queue_count, d->vector_count, features_offered(d));
}

void devices_find(void)
{
	for (unsigned int slot = 1; slot < SLOTS && device_count < DEVICES_MAX; slot++) {
		uint32_t id = (uint32_t)mmio_read(ecam(slot, 0), 4);

		if ((id & 0xffff) != VENDOR_VIRTIO)
			continue;
		for (const struct kind *kind = kinds; kind->name; kind++)
			if (id >> 16 == (uint32_t)ID_MODERN + kind->id)
				device_add(kind, slot);
	}
}

/* ---- bringing up ---- */

uint64_t features_offered(const struct device *d)
{
	uint64_t features;

	common_write(d, OFFERED_SELECT, 1, 4);
	features = common_read(d, OFFERED, 4) << 32;
	common_write(d, OFFERED_SELECT, 0, 4);
	return features | common_read(d, OFFERED, 4);
}

void features_accept(const struct device *d, uint64_t features)
{
	common_write(d, ACCEPTED_SELECT, 0, 4);
	common_write(d, ACCEPTED, features & 0xffffffff, 4);
	common_write(d, ACCEPTED_SELECT, 1, 4);
	common_write(d, ACCEPTED, features >> 32, 4);
}

const char *device_reset(struct device *d)
{
	uint64_t end = time_ms() + ANSWER_MS;

	status_write(d, 0);
	while (status(d) != 0)
		if (time_ms() > end)
			return why("%s: its status stays %x after a reset", device_name(d),
			           status(d));
	return NULL;
}

const char *device_negotiate(struct device *d, uint64_t features)
{
	const char *bad = device_reset(d);

	if (bad)
		return bad;
	status_write(d, ACKNOWLEDGE);
	status_write(d, ACKNOWLEDGE | DRIVER);
	features_accept(d, features);
	status_write(d, ACKNOWLEDGE | DRIVER | FEATURES_OK);
	d->features = features;
	if (status(d) != (ACKNOWLEDGE | DRIVER | FEATURES_OK))
		return why("%s: status %x; it does not take features %lx of %lx", device_name(d),
		           status(d), features, features_offered(d));
	return NULL;
}

void msix_entry(struct device *d, unsigned int index, uint64_t address, uint32_t data, bool masked)
{
	uint64_t at = d->bar + d->msix_table + index * MSIX_ENTRY;

	mmio_write(at + 12, 1, 4);
	mmio_write(at, address & 0xffffffff, 4);
	mmio_write(at + 4, address >> 32, 4);
	mmio_write(at + 8, data, 4);
	mmio_write(at + 12, masked, 4);
}

void msix_enable(struct device *d)
{
	for (unsigned int i = 0; i < d->vector_count; i++)
		msix_entry(d, i, LAPIC_BASE, d->vector, false);
	config_write(d, d->msix + 2u, MSIX_ENABLE, 2);
}

const char *queue_setup(struct device *d, unsigned int index, uint16_t size)
{
	struct queue *q = &d->queues[index];

	common_write(d, QUEUE_SELECT, index, 2);
	q->size = (uint16_t)MIN(common_read(d, QUEUE_SIZE, 2), size);
	q->next = q->seen = 0;
	q->doorbell = d->bar + d->notify.offset + common_read(d, QUEUE_NOTIFY, 2) * d->multiplier;
	memory_fill((void *)(uint64_t)q->descriptors, 0, PAGE);
	memory_fill((void *)(uint64_t)q->available, 0, PAGE);
	memory_fill((void *)(uint64_t)q->used, 0, PAGE);
	common_write(d, QUEUE_SIZE, q->size, 2);
	common_write(d, QUEUE_DESCRIPTORS, (uint64_t)q->descriptors, 8);
	common_write(d, QUEUE_DRIVER, (uint64_t)q->available, 8);
	common_write(d, QUEUE_DEVICE, (uint64_t)q->used, 8);
	common_write(d, QUEUE_VECTOR, d->vector_count - 1u, 2);
	common_write(d, QUEUE_ENABLE, 1, 2);
	if (common_read(d, QUEUE_ENABLE, 2) != 1)
		return why("%s: queue %u cannot be enabled", device_name(d), index);
	return NULL;
}

const char *device_start_with(struct device *d, uint64_t features)
{
	const char *bad = device_negotiate(d, features);

	for (unsigned int i = 0; i < d->queues_used && !bad; i++)
		bad = queue_setup(d, i, QUEUE_SIZE_MAX);
	if (bad)
		return bad;
	common_write(d, CONFIG_VECTOR, 0, 2);
	status_write(d, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
	if (status(d) != (ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK))
		return why("%s: its status is %x once it should run", device_name(d), status(d));
	return NULL;
}

uint64_t features_of_kind(const struct device *d)
{
	return features_offered(d) &
	       (d->kind->features | BIT(F_VERSION_1) | BIT(F_ACCESS_PLATFORM));
}

const char *device_start(struct device *d)
{
	return device_start_with(d, features_of_kind(d) | BIT(F_INDIRECT));
}

/* ---- requests ---- */

unsigned int request_lay_at(struct queue *q, uint16_t first, uint32_t into)
{
	const struct layout *layout = &q->device->kind->queues[q->index];
	uint64_t at = (uint64_t)q->device->buffer + into;
	unsigned int n = 0;

	while (n < LAYOUT_MAX && layout->part[n].length > 0)
		n++;
	for (unsigned int i = 0; i < n; i++) {
		volatile struct descriptor *one = &q->descriptors[first + i];

		one->address = at;
		one->length = layout->part[i].length;
		one->flags = (layout->part[i].write ? WRITE : 0) | (i + 1 < n ? NEXT : 0);
		one->next = (uint16_t)(first + i + 1);
		at += layout->part[i].length;
	}
	return n;
}

unsigned int request_lay(struct queue *q)
{
	memory_fill(q->device->buffer, 0, PAGE);
	if (q->device->kind->fill)
		q->device->kind->fill(q->device, q->index);
	return request_lay_at(q, 0, 0);
}

void request_offer(struct queue *q, uint16_t head)
{
	q->available->ring[q->next % q->size] = head;
	barrier();
	q->available->index = ++q->next;
	barrier();
}

void queue_notify(const struct queue *q)
{
	mmio_write(q->doorbell, q->index, 2);
}

bool request_wait(struct queue *q, unsigned int ms, uint32_t *written)
{
	uint64_t end = time_ms() + ms;

	while (q->used->index == q->seen) {
		if (ms == 0 || time_ms() > end)
			return false;
		relax();
	}
	if (written)
		*written = q->used->ring[q->seen % q->size].length;
	q->seen++;
	return true;
}

enum outcome outcome(struct queue *q, unsigned int ms)
{
	uint64_t end = time_ms() + ms;

	for (;; relax()) {
		if (request_wait(q, 0, NULL))
			return ANSWERED;
		if (status(q->device) & NEEDS_RESET)
			return BROKEN;
		if (time_ms() > end)
			return IGNORED;
	}
}
