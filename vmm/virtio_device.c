/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a virtio device. Its queues' kick eventfds are rung by KVM at the notify addresses (from when
 * a queue is enabled, so that a notification before DRIVER_OK is kept), its call eventfds are MSI-X sources;
 * both are made once, and the back end is given them at each DRIVER_OK. The vmm reads no ring.
 *
 * When the driver asks for what cannot be, the device shows NEEDS_RESET and raises its configuration
 * interrupt; what happens when the back end is gone is in virtio_restart.c.
 *
 * #syscall vmm: write - raises the configuration interrupt
 * #syscall vmm: eventfd2 - another kick eventfd, when the vmm itself has to kick
 */
#include "vmm/virtio_pci.h"

#include <sys/eventfd.h>

#include "base/base.h"
#include "vmm/eventfd.h"

/* ---- trouble ---- */

/* The configuration interrupt, to a driver that runs. */
void virtio_device_config_interrupt(struct virtio_device *device)
{
	uint64_t one = 1;

	if (!(device->status & VIRTIO_DRIVER_OK))
		return;
	device->isr |= VIRTIO_ISR_CONFIG;
	if (device->config_vector != MSIX_NO_VECTOR &&
	    base_write_all(device->config_event, &one, sizeof(one)) != 0)
		machine_log(device->machine, "device %s: its configuration interrupt is lost",
		            device->name);
}

/* Shows the driver that the device is lost; tells it by interrupt once it is running. */
void virtio_device_needs_reset(struct virtio_device *device)
{
	bool told = device->isr & VIRTIO_ISR_CONFIG;

	if (device->status == 0)
		return;
	device->status |= VIRTIO_NEEDS_RESET;
	if (!told)
		virtio_device_config_interrupt(device);
}

/* ---- running ---- */

/*
 * What the vmm itself asks of a driver: of one in a guest with private memory, that it knows that a device
 * does not see all memory (virtio 1.2, 6.1). A driver without that would put its rings anywhere.
 */
static uint64_t required(const struct machine *m)
{
	return VIRTIO_BIT(VIRTIO_F_VERSION_1) |
	       (machine_hidden(m) ? VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM) : 0);
}

bool virtio_device_accept(struct virtio_device *device)
{
	return !(device->accepted & ~device->offered) &&
	       !(required(device->machine) & ~device->accepted);
}

/* Rings that are aligned and wholly in guest memory, all of it shared (virtio 1.2, 2.7). */
static bool ring_fits(const struct virtio_device *device, const struct vhost_front_queue *ring)
{
	const struct machine *m = device->machine;
	uint64_t size = ring->size;

	return ring->descriptors % 16 == 0 && ring->driver % 2 == 0 && ring->device % 4 == 0 &&
	       machine_shared(m, ring->descriptors, size * 16) &&
	       machine_shared(m, ring->driver, 6 + size * 2) &&
	       machine_shared(m, ring->device, 6 + size * 8);
}

void virtio_device_enable(struct virtio_device *device, struct virtio_queue *queue)
{
	if (!ring_fits(device, &queue->ring)) {
		virtio_device_needs_reset(device);
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
	if (!device->waiting && !(device->status & VIRTIO_NEEDS_RESET))
		vhost_front_start(&device->front, device->accepted, rings, device->queue_count);
	/* Lost before, or just now; a device that waits for another back end has it start the rings. */
	if (device->status & VIRTIO_NEEDS_RESET || (device->front.socket < 0 && !device->waiting))
		virtio_device_needs_reset(device);
}

static int event_make(int *fd, unsigned int count)
{
	*fd = eventfd(count, EFD_CLOEXEC | EFD_NONBLOCK);
	return *fd < 0 ? -errno : 0;
}

/*
 * Kicks a queue for a notification that KVM did not catch. Writing to the eventfd could block for ever: its
 * other holder can fill it and take O_NONBLOCK off. So the back end gets another one, which is signalled
 * from its beginning; it costs more, for the rare driver that goes this way.
 */
void virtio_device_notify(struct virtio_device *device, unsigned int index)
{
	struct virtio_queue *queue = &device->queues[index];
	int before = queue->ring.kick, kick;

	if (event_make(&kick, 1) != 0) {
		machine_log(device->machine, "device %s: a notification is lost", device->name);
		return;
	}
	if (queue->doorbell != 0)
		machine_ioeventfd(device->machine, queue->doorbell, 0, before, false);
	queue->doorbell = 0;
	queue->ring.kick = kick;
	virtio_device_doorbells(device);
	vhost_front_kick(&device->front, index,
	                 &queue->ring); /* not running: it starts with this one */
	close(before);
}

/* The back end's configuration, unless the vmm was given one. */
int virtio_device_config_fetch(struct virtio_device *device)
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

	if (virtio_device_config_fetch(device) == 0 && device->generation != before)
		virtio_device_config_interrupt(device);
}

uint64_t virtio_device_offer(const struct virtio_device *device)
{
	uint64_t pass = device->type->features;

	if (device->config_local)
		pass &= ~device->type->local_features;
	return (device->front.features & pass) | device->local |
	       (required(device->machine) & VIRTIO_BIT(VIRTIO_F_ACCESS_PLATFORM));
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
	if (device->restart_ms > 0)
		msix_raise_none(&device->msix, device->nudge_source);
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
		virtio_device_config_fetch(device);
}

void virtio_device_config_write(struct virtio_device *device, uint64_t offset, const void *data,
                                unsigned int size)
{
	if (offset >= device->type->config_size || size > device->type->config_size - offset)
		return;
	/* What a driver writes (blk's write cache mode) is the back end's to judge: its answer is shown. */
	if (!device->config_local &&
	    vhost_front_config_set(&device->front, (uint32_t)offset, data, size) == 0)
		virtio_device_config_fetch(device);
}

/* ---- making and ending ---- */

void virtio_device_destroy(void *self)
{
	struct virtio_device *device = self;

	virtio_restart_end(device);
	vhost_front_close(&device->front);
	msix_destroy(&device->msix);
	for (unsigned int i = 0; i < device->queue_count; i++) {
		device->queues[i].ring.enabled = false;
		base_close(&device->queues[i].ring.kick);
		base_close(&device->queues[i].ring.call);
	}
	base_close(&device->config_event);
	base_close(&device->nudge_event);
	free(device);
}

/* The queues, their eventfds and their MSI-X sources; on failure what was made is the device's to close. */
static int queues_make(struct virtio_device *device)
{
	unsigned int count = virtio_type_queues(device->type, device->offered, device->config,
	                                        device->front.queue_count_max);
	int error = event_make(&device->config_event, 0);

	if (!error && device->restart_ms > 0)
		error = event_make(&device->nudge_event, 0);
	if (count > VIRTIO_QUEUES_MAX) {
		machine_log(device->machine,
		            "device %s: its back end has %u queues; expected at most %d",
		            device->name, count, VIRTIO_QUEUES_MAX);
		return -E2BIG;
	}
	for (unsigned int i = 0; i < count && !error; i++) {
		struct vhost_front_queue *ring = &device->queues[i].ring;

		ring->kick = ring->call = -1;
		device->queue_count = i + 1;
		error = event_make(&ring->kick, 0);
		if (!error)
			error = event_make(&ring->call, 0);
	}
	return error;
}

static void sources_make(struct virtio_device *device)
{
	device->config_source = msix_source_add(&device->msix, device->config_event);
	for (unsigned int i = 0; i < device->queue_count; i++)
		device->queues[i].source =
		        msix_source_add(&device->msix, device->queues[i].ring.call);
	if (device->restart_ms > 0)
		device->nudge_source = msix_source_add(&device->msix, device->nudge_event);
	registers_clear(device);
}

/*
 * What the device offers. A net device has its configuration from the options when there are any, or when
 * the back end has none to give; features that are about configuration are then the vmm's own.
 */
static int offer(struct virtio_device *device)
{
	bool gives = device->front.protocol_features & VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_CONFIG);
	const struct virtio_type *type = device->type;
	int error;

	device->config_local =
	        type->local_only || (type->local_features != 0 && (device->local != 0 || !gives));
	if (device->config_local && !type->local_only)
		virtio_type_pairs(device->config, device->front.queue_count_max);
	error = virtio_device_config_fetch(device);
	if (error == -ENOTSUP)
		machine_log(device->machine, "device %s: its back end has no configuration to give",
		            device->name);
	device->generation = 0;
	device->offered = virtio_device_offer(device);
	return error;
}

/* Takes the options over. */
static int configure(struct virtio_device *device, const char *text)
{
	struct virtio_options options;
	int error = virtio_type_options(device->type, text, device->config, &options);

	base_copy_string(device->name, sizeof(device->name),
	                 options.name[0] ? options.name : device->type->name);
	device->restart_ms = options.restart_ms;
	device->local = options.features;
	if (error)
		machine_log(
		        device->machine,
		        "device %s: option \"%s\" is not known, has a wrong value or is missing; "
		        "expected name=, restart=, mac=, mtu= of a net device, tag=, queues= of "
		        "a file system",
		        device->name, options.bad);
	return error;
}

static int negotiate(struct virtio_device *device, int vhost_fd, const char *options)
{
	int error = configure(device, options);

	if (!error)
		error = virtio_restart_init(device);
	if (error) {
		close(vhost_fd);
		return error;
	}
	error = vhost_front_open(&device->front, device->machine, device->name, vhost_fd,
	                         virtio_device_back_end_failed, device);
	if (error)
		return error;
	device->front.config_changed = config_changed;
	if (!(device->front.features & VIRTIO_BIT(VIRTIO_F_VERSION_1))) {
		machine_log(device->machine, "device %s: its back end does not speak virtio 1",
		            device->name);
		return -ENOTSUP;
	}
	return offer(device);
}

/* Whether the machine can have such a device; says why not. */
static int admit(struct machine *m, const struct virtio_type *type, const char *name)
{

	if (!type) {
		machine_log(m,
		            "device type \"%s\" is not known; expected net, blk, console, rng, "
		            "balloon, vsock or fs",
		            name);
		return -EINVAL;
	}
	if (type->id == VIRTIO_TYPE_BALLOON && machine_hidden(m)) {
		machine_log(m,
		            "device %s is refused: the guest has private memory, which nobody can "
		            "take from it",
		            type->name);
		return -ENOTSUP;
	}
	return 0;
}

int virtio_device_add(struct machine *m, struct pci_bus *bus, const char *name, int vhost_fd,
                      const char *options)
{
	const struct virtio_type *type = virtio_type_find(name);
	struct virtio_device *device = NULL;
	int error = admit(m, type, name);

	if (!error) {
		device = calloc(1, sizeof(*device));
		error = device ? 0 : -ENOMEM;
	}
	if (error) {
		close(vhost_fd);
		return error;
	}
	device->machine = m;
	device->type = type;
	device->front = (struct vhost_front){
	        .socket = -1, .error_event = -1, .requests = -1, .inflight_fd = -1, .log.fd = -1};
	device->config_event = device->nudge_event = device->timer = -1;
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
