/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What becomes of a virtio device whose back end is gone. One that was promised another back end (the
 * option `restart`) waits for it: the driver sees nothing but requests that take long, its doorbells stay
 * in the kick eventfds, and the new back end goes on where the rings say. When none comes in time, or none
 * was promised, the device shows NEEDS_RESET, raises its configuration interrupt, and offers no feature from
 * then on, which every driver refuses; the VM runs on, and a back end that comes later is offered again.
 *
 * A back end may have died between finishing a request and saying so. So each queue's vector is raised once
 * after a restart, by an eventfd that no back end has (theirs could be made to block).
 */
#include "vmm/virtio_pci.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "base/base.h"

static void lost(struct virtio_device *device)
{
	device->offered = 0;
	virtio_device_needs_reset(device);
}

static void stop_waiting(struct virtio_device *device)
{
	const struct itimerspec never = {};

	if (!device->waiting)
		return;
	device->waiting = false;
	machine_unwatch(device->machine, device->timer);
	timerfd_settime(device->timer, 0, &never, NULL);
}

static void out_of_time(void *self, uint32_t events)
{
	struct virtio_device *device = self;

	(void)events;
	stop_waiting(device);
	machine_log(device->machine, "device %s is lost: no other back end came in %u ms",
	            device->name, device->restart_ms);
	lost(device);
}

static bool start_waiting(struct virtio_device *device)
{
	const struct itimerspec once = {
	        .it_value = {.tv_sec = device->restart_ms / 1000,
	                     .tv_nsec = device->restart_ms % 1000 * 1000000L}};

	if (device->timer < 0 || device->status & VIRTIO_NEEDS_RESET)
		return false;
	if (device->waiting)
		return true;
	if (timerfd_settime(device->timer, 0, &once, NULL) < 0 ||
	    machine_watch(device->machine, device->timer, EPOLLIN, out_of_time, device) != 0)
		return false;
	device->waiting = true;
	return true;
}

void virtio_device_back_end_failed(void *self)
{
	struct virtio_device *device = self;

	if (device->front.socket >= 0)
		virtio_device_needs_reset(device); /* it has given a ring up, no more */
	else if (!start_waiting(device))
		lost(device);
}

int virtio_restart_init(struct virtio_device *device)
{
	if (device->restart_ms == 0)
		return 0;
	device->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return device->timer < 0 ? -errno : 0;
}

void virtio_restart_end(struct virtio_device *device)
{
	stop_waiting(device);
	base_close(&device->timer);
}

/* An interrupt that says nothing: drivers look at their rings. */
static void nudge(struct virtio_device *device)
{
	for (unsigned int i = 0; i < device->queue_count; i++)
		if (device->queues[i].ring.enabled)
			msix_raise(&device->msix, device->nudge_source, device->queues[i].vector);
}

/* What the driver has agreed to has to hold with this back end too. */
static int check_same(struct virtio_device *device)
{
	uint64_t offered = virtio_device_offer(device);
	unsigned int queues = virtio_type_queues(device->type, offered, device->config,
	                                         device->front.queue_count_max);

	if (!(device->front.features & VIRTIO_BIT(VIRTIO_F_VERSION_1)) ||
	    device->accepted & ~offered || queues != device->queue_count) {
		machine_log(device->machine,
		            "device %s: its new back end has features 0x%llx and %u queues; "
		            "expected at least 0x%llx, and %u",
		            device->name, (unsigned long long)offered, queues,
		            (unsigned long long)device->accepted, device->queue_count);
		return -ENOTSUP;
	}
	device->offered = offered;
	return 0;
}

static int go_on(struct virtio_device *device)
{
	struct vhost_front_queue rings[VIRTIO_QUEUES_MAX];
	uint8_t generation = device->generation;
	int error = virtio_device_config_fetch(device);

	if (!error)
		error = check_same(device);
	if (error || !(device->status & VIRTIO_DRIVER_OK) || device->status & VIRTIO_NEEDS_RESET)
		return error;
	for (unsigned int i = 0; i < device->queue_count; i++)
		rings[i] = device->queues[i].ring;
	error = vhost_front_resume(&device->front, device->accepted, rings, device->queue_count);
	if (error)
		return error;
	nudge(device);
	if (device->generation != generation)
		virtio_device_config_interrupt(device);
	return 0;
}

int virtio_device_replace(struct virtio_device *device, int vhost_fd)
{
	int error;

	if (device->front.socket >= 0) {
		close(vhost_fd);
		return -EBUSY;
	}
	stop_waiting(device);
	error = vhost_front_reopen(&device->front, vhost_fd);
	if (error) {
		virtio_device_back_end_failed(device); /* perhaps there is yet another */
		return error;
	}
	error = go_on(device);
	if (!error) {
		machine_log(device->machine, "device %s has another back end", device->name);
	} else if (device->front.socket >= 0) {
		vhost_front_give_up(&device->front);
		lost(device);
	}
	return error;
}

void virtio_device_give_up(struct virtio_device *device)
{
	if (!device->waiting)
		return;
	stop_waiting(device);
	machine_log(device->machine, "device %s is lost: there will be no other back end",
	            device->name);
	lost(device);
}
