/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * control: a device's own socket for the host's side: listening, SOCK_SEQPACKET, handed to it as a fd. Each
 * message has the one size that the device says, and is answered by one of the same size.
 */
#ifndef CORDON_VMM_DEVICES_CONTROL_H
#define CORDON_VMM_DEVICES_CONTROL_H

#include "vmm/devices/vhost_back.h"

enum {
	DEVICE_CONTROL_CLIENTS = 2,
	DEVICE_CONTROL_TAGS = 1 + DEVICE_CONTROL_CLIENTS, /* of vhost_back_watch_tag(), from 0 */
	DEVICE_CONTROL_MESSAGE_MAX = 512,                 /* bytes */
};

struct device_control {
	struct vhost_back *back;
	int listener, clients[DEVICE_CONTROL_CLIENTS];
	size_t size; /* of a message */
	/* Obeys the request, and makes an answer of it in its place. */
	void (*answer)(void *self, void *message);
	void *self;
};

/* `listener`, which does not block, becomes the control's. */
int device_control_open(struct device_control *control, struct vhost_back *back, int listener,
                        size_t size, void (*answer)(void *self, void *message), void *self);

/* What the device's ready() calls for a tag below DEVICE_CONTROL_TAGS. */
void device_control_ready(struct device_control *control, uint16_t tag);

#endif
