/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a virtio device. Its queues' kick eventfds are rung by KVM at the notify addresses (from when
 * a queue is enabled, so that a notification before DRIVER_OK is kept), its call eventfds are MSI-X sources;
 * both are made once, and the back end is given them at each DRIVER_OK. The vmm reads no ring.
 *
 * When the back end is lost, or the driver asks for what cannot be, the device shows NEEDS_RESET and
 * raises its configuration interrupt. After a reset a device without a back end offers no features, which
 * every driver refuses; the VM runs on.
 *
 * #syscall vmm: write - raises the configuration interrupt
 */
#include "vmm/virtio_pci.h"

#include <sys/eventfd.h>

#include "base/base.h"
#include "vmm/eventfd.h"

/* ---- trouble ---- */

/* The configuration interrupt, to a driver that runs. */
static void config_interrupt(struct virtio_device *device)
{
	uint64_t one = 1;

	if (!(device->status & VIRTIO_DRIVER_OK))
		return;
	device->isr |= VIRTIO_ISR_CONFIG;
	if (device->config_vector != MSIX_NO_VECTOR &&
	    base_write_all(device->config_event, &one, sizeof(one)) != 0)
		machine_log(device->machine, "device %s: its configuration interrupt is lost",
		            device->type->name);
}

/* Shows the driver that the device is lost; tells it by interrupt once it is running. */
static void needs_reset(struct virtio_device *device)
{
	bool told = device->isr & VIRTIO_ISR_CONFIG;

	if (device->status == 0)
		return;
	device->status |= VIRTIO_NEEDS_RESET;
	if (!told)
		config_interrupt(device);
}

/* The front end has given its back end up, or a ring. */
static void back_end_failed(void *self)
{
	struct virtio_device *device = self;

	if (device->front.socket < 0)
		device->offered = 0;
	needs_reset(device);
}

/* ---- running ---- */

bool virtio_device_accept(struct virtio_device *device)
{
	return !(device->accepted & ~device->offered) &&
	       device->accepted & VIRTIO_BIT(VIRTIO_F_VERSION_1);
}

/* Rings that are aligned and wholly in guest memory (virtio 1.2, 2.7). */
static bool ring_fits(const struct virtio_device *device, const struct vhost_front_queue *ring)
{
	const struct machine *m = device->machine;
	uint64_t size = ring->size;

	return ring->descriptors % 16 == 0 && ring->driver % 2 == 0 && ring->device % 4 == 0 &&
	       machine_memory(m, ring->descriptors, size * 16) &&
	       machine_memory(m, ring->driver, 6 + size * 2) &&
	       machine_memory(m, ring->device, 6 + size * 8);
}

void virtio_device_enable(struct virtio_device *device, struct virtio_queue *queue)
{
	if (!ring_fits(device, &queue->ring)) {
		needs_reset(device);
		return;
	}
	queue->ring.enabled = true;
	virtio_device_doorbells(device);
}

void virtio_device_doorbells(struct virtio_device *device)
{
	for (unsigned int i = 0; i < device->queue_count; i++) {
		struct virtio_queue *queue = &device->queues[i];
		uint64_t wanted = 0;

		if (queue->ring.enabled && device->pci.bar_base != 0)
			wanted = device->pci.bar_base + VIRTIO_BAR_NOTIFY +
			         i * VIRTIO_NOTIFY_MULTIPLIER;
		if (wanted == queue->doorbell)
			continue;
		if (queue->doorbell != 0)
			machine_ioeventfd(device->machine, queue->doorbell, 0, queue->ring.kick,
			                  false);
		queue->doorbell = 0;
		if (wanted != 0 &&
		    machine_ioeventfd(device->machine, wanted, 0, queue->ring.kick, true) == 0)
			queue->doorbell = wanted;
	}
}

void virtio_device_run(struct virtio_device *device)
{
	struct vhost_front_queue rings[VIRTIO_QUEUES_MAX];

	for (unsigned int i = 0; i < device->queue_count; i++)
		rings[i] = device->queues[i].ring;
	if (device->status & VIRTIO_NEEDS_RESET ||
	    vhost_front_start(&device->front, device->accepted, rings, device->queue_count) != 0)
		needs_reset(device);
}

/* The back end's configuration, unless the vmm was given one. */
static int config_fetch(struct virtio_device *device)
{
	uint8_t fresh[VIRTIO_CONFIG_MAX] = {};
	int error;

	if (device->config_local || device->type->config_size == 0)
		return 0;
	error = vhost_front_config_get(&device->front, fresh, device->type->config_size);
	if (error)
		return error;
	if (memcmp(fresh, device->config, sizeof(fresh)) != 0)
		device->generation++;
	memcpy(device->config, fresh, sizeof(fresh));
	return 0;
}

/* The back end says that its configuration is another one. */
static void config_changed(void *self)
{
	struct virtio_device *device = self;
	uint8_t before = device->generation;

	if (config_fetch(device) == 0 && device->generation != before)
		config_interrupt(device);
}

/* Everything as it was before a driver came, but MSI-X, which belongs to the bus. */
static void registers_clear(struct virtio_device *device)
{
	device->accepted = 0;
	device->offered_select = device->accepted_select = 0;
	device->queue_select = 0;
	device->status = device->isr = 0;
	device->config_vector =
	        msix_source_set(&device->msix, device->config_source, MSIX_NO_VECTOR);
	for (unsigned int i = 0; i < device->queue_count; i++) {
		struct virtio_queue *queue = &device->queues[i];

		queue->ring = (struct vhost_front_queue){.size = VIRTIO_QUEUE_SIZE_MAX,
		                                         .kick = queue->ring.kick,
		                                         .call = queue->ring.call};
		queue->vector = msix_source_set(&device->msix, queue->source, MSIX_NO_VECTOR);
	}
	virtio_device_doorbells(device);
}

void virtio_device_reset(struct virtio_device *device)
{
	bool was_running = device->status & VIRTIO_DRIVER_OK;

	if (was_running)
		vhost_front_stop(&device->front);
	registers_clear(device);
	if (was_running)
		config_fetch(device);
}

void virtio_device_config_write(struct virtio_device *device, uint64_t offset, const void *data,
                                unsigned int size)
{
	if (offset >= device->type->config_size || size > device->type->config_size - offset)
		return;
	/* What a driver writes (blk's write cache mode) is the back end's to judge: its answer is shown. */
	if (!device->config_local &&
	    vhost_front_config_set(&device->front, (uint32_t)offset, data, size) == 0)
		config_fetch(device);
}

/* ---- making and ending ---- */

void virtio_device_destroy(void *self)
{
	struct virtio_device *device = self;

	vhost_front_close(&device->front);
	msix_destroy(&device->msix);
	for (unsigned int i = 0; i < device->queue_count; i++) {
		device->queues[i].ring.enabled = false;
		base_close(&device->queues[i].ring.kick);
		base_close(&device->queues[i].ring.call);
	}
	base_close(&device->config_event);
	free(device);
}

static int event_make(int *fd)
{
	*fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return *fd < 0 ? -errno : 0;
}

/* The queues, their eventfds and their MSI-X sources; on failure what was made is the device's to close. */
static int queues_make(struct virtio_device *device)
{
	unsigned int count = virtio_type_queues(device->type, device->offered, device->config,
	                                        device->front.queue_count_max);
	int error = event_make(&device->config_event);

	if (count > VIRTIO_QUEUES_MAX) {
		machine_log(device->machine,
		            "device %s: its back end has %u queues; expected at most %d",
		            device->type->name, count, VIRTIO_QUEUES_MAX);
		return -E2BIG;
	}
	for (unsigned int i = 0; i < count && !error; i++) {
		struct vhost_front_queue *ring = &device->queues[i].ring;

		ring->kick = ring->call = -1;
		device->queue_count = i + 1;
		error = event_make(&ring->kick);
		if (!error)
			error = event_make(&ring->call);
	}
	return error;
}

static void sources_make(struct virtio_device *device)
{
	device->config_source = msix_source_add(&device->msix, device->config_event);
	for (unsigned int i = 0; i < device->queue_count; i++)
		device->queues[i].source =
		        msix_source_add(&device->msix, device->queues[i].ring.call);
	registers_clear(device);
}

/*
 * What the device offers. A net device has its configuration from the options when there are any, or when
 * the back end has none to give; features that are about configuration are then the vmm's own.
 */
static int offer(struct virtio_device *device, uint64_t local)
{
	bool gives = device->front.protocol_features & VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_CONFIG);
	uint64_t pass = device->type->features;
	int error;

	device->config_local = device->type->local_features != 0 && (local != 0 || !gives);
	if (device->config_local) {
		pass &= ~device->type->local_features;
		virtio_type_pairs(device->config, device->front.queue_count_max);
	}
	error = config_fetch(device);
	if (error == -ENOTSUP)
		machine_log(device->machine, "device %s: its back end has no configuration to give",
		            device->type->name);
	device->generation = 0;
	device->offered = (device->front.features & pass) | local;
	return error;
}

static int negotiate(struct virtio_device *device, int vhost_fd, const char *options)
{
	const char *bad = NULL;
	uint64_t local = 0;
	int error = virtio_type_options(device->type, options, device->config, &local, &bad);

	if (error) {
		close(vhost_fd);
		machine_log(device->machine,
		            "device %s: option \"%s\" is not known or has a wrong value; expected "
		            "mac=, mtu= of a net device",
		            device->type->name, bad);
		return error;
	}
	error = vhost_front_open(&device->front, device->machine, device->type->name, vhost_fd,
	                         back_end_failed, device);
	if (error)
		return error;
	device->front.config_changed = config_changed;
	if (!(device->front.features & VIRTIO_BIT(VIRTIO_F_VERSION_1))) {
		machine_log(device->machine, "device %s: its back end does not speak virtio 1",
		            device->type->name);
		return -ENOTSUP;
	}
	return offer(device, local);
}

int virtio_device_add(struct machine *m, struct pci_bus *bus, const char *name, int vhost_fd,
                      const char *options)
{
	const struct virtio_type *type = virtio_type_find(name);
	struct virtio_device *device = calloc(1, sizeof(*device));
	int error;

	if (!type || !device) {
		close(vhost_fd);
		free(device);
		if (!type)
			machine_log(m,
			            "device type \"%s\" is not known; expected net, blk, console, "
			            "rng, balloon or vsock",
			            name);
		return type ? -ENOMEM : -EINVAL;
	}
	device->machine = m;
	device->type = type;
	device->front.socket = device->config_event = -1;
	error = negotiate(device, vhost_fd, options);
	if (!error)
		error = queues_make(device);
	if (!error) {
		virtio_pci_init(device);
		sources_make(device);
		error = pci_bus_add(bus, &device->pci);
	}
	if (error < 0) {
		virtio_device_destroy(device);
		return error;
	}
	return 0;
}
