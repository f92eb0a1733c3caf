/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio_pci: one virtio device as its files share it: virtio_device.c (its life: making, starting,
 * stopping), virtio_restart.c (when its back end is gone) and virtio_pci.c (the registers that a guest sees).
 */
#ifndef CORDON_VIRTIO_PCI_H
#define CORDON_VIRTIO_PCI_H

#include "vmm/msix.h"
#include "vmm/pci.h"
#include "vmm/vhost_front.h"
#include "vmm/virtio_type.h"

enum virtio_status { /* virtio 1.2, 2.1 */
	             VIRTIO_ACKNOWLEDGE = 1,
	             VIRTIO_DRIVER = 2,
	             VIRTIO_DRIVER_OK = 4,
	             VIRTIO_FEATURES_OK = 8,
	             VIRTIO_NEEDS_RESET = 64,
	             VIRTIO_FAILED = 128,
};

enum {
	VIRTIO_QUEUE_SIZE_MAX = 256,
	VIRTIO_QUEUES_MAX = VHOST_FRONT_QUEUES_MAX,
	VIRTIO_NOTIFY_MULTIPLIER = 4,
	VIRTIO_ISR_CONFIG = 2,

	/* BAR 0: a page for each structure */
	VIRTIO_BAR_COMMON = 0x0000,
	VIRTIO_BAR_ISR = 0x1000,
	VIRTIO_BAR_DEVICE = 0x2000,
	VIRTIO_BAR_NOTIFY = 0x3000,
	VIRTIO_BAR_MSIX_TABLE = 0x4000,
	VIRTIO_BAR_MSIX_PENDING = 0x5000,
	VIRTIO_BAR_PAGE = 0x1000,
	VIRTIO_BAR_SIZE = 0x8000,
};

struct virtio_queue {
	struct vhost_front_queue
	        ring; /* what the back end is told; its eventfds are the device's */
	uint16_t vector;
	unsigned int source; /* of msix */
	uint64_t doorbell;   /* where KVM listens for it; 0: nowhere */
};

struct virtio_device {
	struct machine *machine;
	const struct virtio_type *type;
	struct pci_device pci;
	struct msix msix;
	struct vhost_front front;
	unsigned int window; /* offset of the PCI configuration access capability */

	char name[VIRTIO_NAME_MAX]; /* for the log and the control socket: "blk0", or its type */
	uint64_t local;             /* features that come with the vmm's own configuration */
	uint64_t offered;           /* features; 0 once the back end is lost */
	bool config_local;          /* config[] is the vmm's own, not the back end's */
	uint64_t accepted;          /* by the driver, so far */
	uint32_t offered_select, accepted_select;
	uint16_t queue_select, config_vector;
	uint8_t status, isr, generation;
	int config_event; /* eventfd of the configuration change interrupt */
	unsigned int config_source;

	unsigned int restart_ms; /* how long to wait for another back end; 0: there will be none */
	int timer;               /* timerfd of that, or -1 */
	bool waiting;
	int nudge_event; /* after a restart: an eventfd for any vector */
	unsigned int nudge_source;

	uint8_t config[VIRTIO_CONFIG_MAX];
	struct virtio_queue queues[VIRTIO_QUEUES_MAX];
	unsigned int queue_count;
};

/* virtio_pci.c: puts the registers' capabilities and operations into device->pci. */
void virtio_pci_init(struct virtio_device *device);
/* The device of that name on the bus, or NULL. */
struct virtio_device *virtio_pci_find(struct pci_bus *bus, const char *name);

/* virtio_device.c: what a write to a register sets off. */
void virtio_device_reset(struct virtio_device *device);
bool virtio_device_accept(struct virtio_device *device); /* FEATURES_OK: may it be? */
void virtio_device_run(struct virtio_device *device);    /* DRIVER_OK */
void virtio_device_enable(struct virtio_device *device, struct virtio_queue *queue);
void virtio_device_doorbells(struct virtio_device *device); /* after a queue or the BAR changed */
void virtio_device_config_write(struct virtio_device *device, uint64_t offset, const void *data,
                                unsigned int size);
void virtio_device_notify(struct virtio_device *device, unsigned int queue);
void virtio_device_destroy(void *device);

/* virtio_device.c, for virtio_restart.c. */
void virtio_device_config_interrupt(struct virtio_device *device);
void virtio_device_needs_reset(struct virtio_device *device);
int virtio_device_config_fetch(struct virtio_device *device);
uint64_t virtio_device_offer(const struct virtio_device *device); /* of the back end there is */

/* virtio_restart.c */
int virtio_restart_init(struct virtio_device *device);
void virtio_restart_end(struct virtio_device *device);
void virtio_device_back_end_failed(void *device);
/*
 * Another back end at the other end of `vhost_fd` (owned by the callee) for a device that has lost its
 * own. -EBUSY: it has not; -ENOTSUP: the new one is of another kind, and the device is lost.
 */
int virtio_device_replace(struct virtio_device *device, int vhost_fd);
/* There will be no other back end: a device that waits for one is lost at once. */
void virtio_device_give_up(struct virtio_device *device);

#endif
