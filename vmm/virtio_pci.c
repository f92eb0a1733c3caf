/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The virtio 1.2 registers over PCI (section 4.1), modern only: vendor capabilities point at five structures
 * that each have a page of BAR 0, and the PCI configuration access capability is a small window onto it.
 *
 * Reading has no side effects but for ISR, so the common structure is laid out whole and any part
 * of it can be read in any width. A write counts when it is exactly one field (the 64-bit ones also by
 * halves) and the device's status lets that field be written; any other is ignored. A status
 * bit, once written, is only cleared by a reset; queues are fixed once enabled, and all of them once
 * the driver is running.
 */
#include "vmm/virtio_pci.h"

#include <endian.h>

#include "base/base.h"

enum { /* virtio 1.2, 4.1.4 */
       CAPABILITY_COMMON = 1,
       CAPABILITY_NOTIFY = 2,
       CAPABILITY_ISR = 3,
       CAPABILITY_DEVICE = 4,
       CAPABILITY_WINDOW = 5,
       WINDOW_BAR = 4, /* its fields, from the capability's start */
       WINDOW_OFFSET = 8,
       WINDOW_LENGTH = 12,
       WINDOW_DATA = 16,
};

struct common { /* virtio 1.2, 4.1.4.3 */
	uint32_t offered_select;
	uint32_t offered;
	uint32_t accepted_select;
	uint32_t accepted;
	uint16_t config_vector;
	uint16_t queue_count;
	uint8_t status;
	uint8_t generation;
	uint16_t queue_select;
	uint16_t queue_size;
	uint16_t queue_vector;
	uint16_t queue_enable;
	uint16_t queue_notify_offset;
	uint64_t queue_descriptors;
	uint64_t queue_driver;
	uint64_t queue_device;
	uint16_t queue_notify_data;
	uint16_t queue_reset;
	uint32_t padding;
};
_Static_assert(offsetof(struct common, queue_select) == 22, "queue_select");
_Static_assert(offsetof(struct common, queue_descriptors) == 32, "queue_desc");
_Static_assert(sizeof(struct common) == 64, "common configuration");

static struct virtio_queue *selected(struct virtio_device *device)
{
	return device->queue_select < device->queue_count ? &device->queues[device->queue_select]
	                                                  : NULL;
}

/* 32 bits of a feature word by the selector: two words, and nothing behind them. */
static uint32_t feature_word(uint64_t features, uint32_t select)
{
	return select < 2 ? (uint32_t)(features >> 32 * select) : 0;
}

static void common_read(struct virtio_device *device, uint64_t offset, void *data,
                        unsigned int size)
{
	const struct virtio_queue *queue = selected(device);
	struct common common = {
	        .offered_select = htole32(device->offered_select),
	        .offered = htole32(feature_word(device->offered, device->offered_select)),
	        .accepted_select = htole32(device->accepted_select),
	        .accepted = htole32(feature_word(device->accepted, device->accepted_select)),
	        .config_vector = htole16(device->config_vector),
	        .queue_count = htole16((uint16_t)device->queue_count),
	        .status = device->status,
	        .generation = device->generation,
	        .queue_select = htole16(device->queue_select),
	};

	if (queue) {
		common.queue_size = htole16(queue->ring.size);
		common.queue_vector = htole16(queue->vector);
		common.queue_enable = htole16(queue->ring.enabled);
		common.queue_notify_offset = htole16(device->queue_select);
		common.queue_descriptors = htole64(queue->ring.descriptors);
		common.queue_driver = htole64(queue->ring.driver);
		common.queue_device = htole64(queue->ring.device);
	}
	memset(data, 0, size);
	if (offset < sizeof(common))
		memcpy(data, (const uint8_t *)&common + offset,
		       BASE_MIN(size, sizeof(common) - offset));
}

static void write_accepted(struct virtio_device *device, uint32_t value)
{
	unsigned int shift;

	if (device->accepted_select > 1 || !(device->status & VIRTIO_DRIVER) ||
	    device->status & VIRTIO_FEATURES_OK)
		return;
	shift = 32 * device->accepted_select;
	device->accepted &= ~(UINT64_C(0xffffffff) << shift);
	device->accepted |= (uint64_t)value << shift;
}

static void write_status(struct virtio_device *device, uint8_t value)
{
	uint8_t own = device->status & (uint8_t)~VIRTIO_NEEDS_RESET;

	if (value == 0) {
		virtio_device_reset(device);
		return;
	}
	if (own & ~value) /* backwards */
		return;
	device->status |= value & (VIRTIO_ACKNOWLEDGE | VIRTIO_FAILED);
	if (value & VIRTIO_DRIVER && device->status & VIRTIO_ACKNOWLEDGE)
		device->status |= VIRTIO_DRIVER;
	if (value & VIRTIO_FEATURES_OK && device->status & VIRTIO_DRIVER &&
	    !(own & VIRTIO_FEATURES_OK) && virtio_device_accept(device))
		device->status |= VIRTIO_FEATURES_OK;
	if (value & VIRTIO_DRIVER_OK && device->status & VIRTIO_FEATURES_OK &&
	    !(own & (VIRTIO_DRIVER_OK | VIRTIO_FAILED))) {
		device->status |= VIRTIO_DRIVER_OK;
		virtio_device_run(device);
	}
}

/* A queue's layout can be written from FEATURES_OK until the queue is enabled or the driver runs. */
static bool queue_open(const struct virtio_device *device, const struct virtio_queue *queue)
{
	return device->status & VIRTIO_FEATURES_OK && !(device->status & VIRTIO_DRIVER_OK) &&
	       !queue->ring.enabled;
}

static void write_queue_16(struct virtio_device *device, uint64_t offset, uint16_t value)
{
	struct virtio_queue *queue = selected(device);

	if (!queue)
		return;
	if (offset == offsetof(struct common, queue_vector)) {
		queue->vector = msix_source_set(&device->msix, queue->source, value);
		return;
	}
	if (!queue_open(device, queue))
		return;
	if (offset == offsetof(struct common, queue_size) && value > 0 &&
	    value <= VIRTIO_QUEUE_SIZE_MAX && (value & (value - 1)) == 0)
		queue->ring.size = value;
	else if (offset == offsetof(struct common, queue_enable) && value == 1)
		virtio_device_enable(device, queue);
}

static void write_queue_address(struct virtio_device *device, uint64_t offset, const void *data,
                                unsigned int size)
{
	struct virtio_queue *queue = selected(device);
	uint64_t *fields[3], *field;

	if (!queue || !queue_open(device, queue))
		return;
	fields[0] = &queue->ring.descriptors;
	fields[1] = &queue->ring.driver;
	fields[2] = &queue->ring.device;
	field = fields[(offset - offsetof(struct common, queue_descriptors)) / 8];
	if (size == 8)
		*field = base_le64(data);
	else if (offset % 8 == 0)
		*field = (*field & ~UINT64_C(0xffffffff)) | base_le32(data);
	else
		*field = (*field & UINT64_C(0xffffffff)) | (uint64_t)base_le32(data) << 32;
}

static void common_write_32(struct virtio_device *device, uint64_t offset, const void *data)
{
	uint32_t value = base_le32(data);

	switch (offset) {
	case offsetof(struct common, offered_select): device->offered_select = value; break;
	case offsetof(struct common, accepted_select): device->accepted_select = value; break;
	case offsetof(struct common, accepted): write_accepted(device, value); break;
	default: break;
	}
}

static void common_write_16(struct virtio_device *device, uint64_t offset, const void *data)
{
	uint16_t value = base_le16(data);

	switch (offset) {
	case offsetof(struct common, config_vector):
		device->config_vector =
		        msix_source_set(&device->msix, device->config_source, value);
		break;
	case offsetof(struct common, queue_select): device->queue_select = value; break;
	default: write_queue_16(device, offset, value); break;
	}
}

static void common_write(struct virtio_device *device, uint64_t offset, const void *data,
                         unsigned int size)
{
	if (offset >= offsetof(struct common, queue_descriptors) &&
	    offset < offsetof(struct common, queue_notify_data)) {
		if (size >= 4 && offset % size == 0)
			write_queue_address(device, offset, data, size);
	} else if (size == 4) {
		common_write_32(device, offset, data);
	} else if (size == 2) {
		common_write_16(device, offset, data);
	} else if (size == 1 && offset == offsetof(struct common, status)) {
		write_status(device, *(const uint8_t *)data);
	}
}

/* A notification that KVM did not catch: through the configuration window, or to a queue that is not there. */
static void notify_write(struct virtio_device *device, uint64_t offset)
{
	uint64_t index = offset / VIRTIO_NOTIFY_MULTIPLIER;

	if (offset % VIRTIO_NOTIFY_MULTIPLIER == 0 && index < device->queue_count &&
	    device->queues[index].ring.enabled)
		virtio_device_notify(device, (unsigned int)index);
}

/* ---- BAR 0 ---- */

static void bar_read(void *self, uint64_t offset, void *data, unsigned int size)
{
	struct virtio_device *device = self;
	uint64_t at = offset % VIRTIO_BAR_PAGE;

	memset(data, 0, size);
	switch (offset - at) {
	case VIRTIO_BAR_COMMON: common_read(device, at, data, size); break;
	case VIRTIO_BAR_ISR:
		if (at == 0) {
			*(uint8_t *)data = device->isr;
			device->isr = 0;
		}
		break;
	case VIRTIO_BAR_DEVICE:
		if (at < device->type->config_size)
			memcpy(data, device->config + at,
			       BASE_MIN(size, device->type->config_size - at));
		break;
	case VIRTIO_BAR_MSIX_TABLE: msix_table_read(&device->msix, at, data, size); break;
	case VIRTIO_BAR_MSIX_PENDING: msix_pending_read(&device->msix, at, data, size); break;
	default: break;
	}
}

static void bar_write(void *self, uint64_t offset, const void *data, unsigned int size)
{
	struct virtio_device *device = self;
	uint64_t at = offset % VIRTIO_BAR_PAGE;

	switch (offset - at) {
	case VIRTIO_BAR_COMMON: common_write(device, at, data, size); break;
	case VIRTIO_BAR_DEVICE: virtio_device_config_write(device, at, data, size); break;
	case VIRTIO_BAR_NOTIFY: notify_write(device, at); break;
	case VIRTIO_BAR_MSIX_TABLE: msix_table_write(&device->msix, at, data, size); break;
	default: break;
	}
}

static void bar_moved(void *self, uint64_t base)
{
	(void)base;
	virtio_device_doorbells(self);
}

/* ---- the PCI configuration access capability (4.1.4.9) ---- */

/* True when an access to config space is to the window's data, and the window's fields make sense. */
static bool window_open(const struct virtio_device *device, unsigned int offset, uint32_t *at,
                        uint32_t *length)
{
	const uint8_t *window = device->pci.config + device->window;

	if (offset / 4 * 4 != device->window + WINDOW_DATA)
		return false;
	*at = base_le32(window + WINDOW_OFFSET);
	*length = base_le32(window + WINDOW_LENGTH);
	return window[WINDOW_BAR] == 0 && (*length == 1 || *length == 2 || *length == 4) &&
	       *at % *length == 0 && *at <= VIRTIO_BAR_SIZE - *length;
}

static void config_read(void *self, unsigned int offset, unsigned int size)
{
	struct virtio_device *device = self;
	uint32_t at, length;

	(void)size;
	if (window_open(device, offset, &at, &length))
		bar_read(device, at, device->pci.config + device->window + WINDOW_DATA, length);
}

static void config_written(void *self, unsigned int offset, unsigned int size)
{
	struct virtio_device *device = self;
	uint32_t at, length;

	msix_config_written(&device->msix, offset, size);
	if (window_open(device, offset, &at, &length))
		bar_write(device, at, device->pci.config + device->window + WINDOW_DATA, length);
}

/* ---- making ---- */

static const struct machine_io_ops bar_ops = {.read = bar_read, .write = bar_write};
static const struct pci_device_ops pci_ops = {.config_read = config_read,
                                              .config_written = config_written,
                                              .bar_moved = bar_moved,
                                              .destroy = virtio_device_destroy};

/* A vendor capability (4.1.4): where in BAR 0 a structure is. `extra` bytes follow it, zero. */
static unsigned int capability(struct virtio_device *device, uint8_t kind, uint32_t offset,
                               uint32_t length, unsigned int extra)
{
	struct {
		uint8_t id, next, size, kind, bar, structure, padding[2];
		uint32_t offset, length, more;
	} body = {.size = (uint8_t)(16 + extra),
	          .kind = kind,
	          .offset = htole32(offset),
	          .length = htole32(length)};

	if (kind == CAPABILITY_NOTIFY)
		body.more = htole32(VIRTIO_NOTIFY_MULTIPLIER);
	return pci_device_capability(&device->pci, PCI_CAPABILITY_VENDOR, &body, 16 + extra);
}

void virtio_pci_init(struct virtio_device *device)
{
	const struct pci_identity identity = {.vendor = 0x1af4,
	                                      .device = (uint16_t)(0x1040 + device->type->id),
	                                      .subsystem_vendor = 0x1af4,
	                                      .subsystem = (uint16_t)(0x1040 + device->type->id),
	                                      .revision = 1,
	                                      .class = device->type->class};

	pci_device_init(&device->pci, &identity, VIRTIO_BAR_SIZE);
	capability(device, CAPABILITY_COMMON, VIRTIO_BAR_COMMON, sizeof(struct common), 0);
	capability(device, CAPABILITY_NOTIFY, VIRTIO_BAR_NOTIFY,
	           device->queue_count * VIRTIO_NOTIFY_MULTIPLIER, 4);
	capability(device, CAPABILITY_ISR, VIRTIO_BAR_ISR, 1, 0);
	if (device->type->config_size > 0)
		capability(device, CAPABILITY_DEVICE, VIRTIO_BAR_DEVICE, device->type->config_size,
		           0);
	device->window = capability(device, CAPABILITY_WINDOW, 0, 0, 4);
	device->pci.writable[device->window + WINDOW_BAR] = 0xff;
	memset(device->pci.writable + device->window + WINDOW_OFFSET, 0xff, 12);
	msix_init(&device->msix, device->machine, &device->pci, device->queue_count + 1,
	          VIRTIO_BAR_MSIX_TABLE, VIRTIO_BAR_MSIX_PENDING);
	device->pci.ops = &pci_ops;
	device->pci.bar_ops = &bar_ops;
	device->pci.self = device;
}

struct virtio_device *virtio_pci_find(struct pci_bus *bus, const char *name)
{
	for (unsigned int slot = 0; slot < PCI_SLOTS; slot++) {
		const struct pci_device *pci = pci_bus_at(bus, slot);
		struct virtio_device *device = pci && pci->ops == &pci_ops ? pci->self : NULL;

		if (device && strcmp(device->name, name) == 0)
			return device;
	}
	return NULL;
}
