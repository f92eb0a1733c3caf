/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost_front: the vmm's end of one vhost-user connection. The back end is another process and is not
 * trusted: every call is bounded in time, and the first thing that is wrong (a size, an answer to
 * another question, silence, hanging up) ends the connection for good. After that every call
 * returns -ENOTCONN and the owner has been told once. Called with the machine's lock held.
 */
#ifndef CORDON_VHOST_FRONT_H
#define CORDON_VHOST_FRONT_H

#include "vmm/machine.h"
#include "vmm/vhost_message.h"

enum {
	VHOST_FRONT_ANSWER_MS = 3000, /* how long a back end may take for one answer */
	VHOST_FRONT_QUEUES_MAX = 32,
};

struct vhost_front_queue {
	bool enabled;
	uint16_t size;                        /* entries */
	uint64_t descriptors, driver, device; /* guest addresses, checked by the caller */
	int kick, call;                       /* the caller's eventfds */
};

struct vhost_front {
	struct machine *machine;
	const char *name;           /* for the log: "net", ... */
	int socket;                 /* -1: the connection is over */
	int error_event;            /* what the back end signals when it gives a ring up */
	int requests;               /* what it asks by itself comes here; -1: nothing can */
	uint64_t features;          /* what it offers */
	uint64_t protocol_features; /* what both have */
	uint64_t queue_count_max;   /* of GET_QUEUE_NUM; 0: it does not say */
	uint32_t running;           /* bit per ring that was started */
	unsigned int ring_errors;   /* that the back end has reported so far */
	void (*failed)(void *self); /* the connection is over, or a ring was given up */
	void *self;
	/* The back end says that its configuration is another one; NULL: nobody cares. */
	void (*config_changed)(void *self);
};

/*
 * Takes the socket over and does the handshake. On failure it has been logged and everything is
 * closed. `failed` may be called from then on by any of these functions and by the event loop.
 */
int vhost_front_open(struct vhost_front *front, struct machine *m, const char *name, int socket,
                     void (*failed)(void *self), void *self);
void vhost_front_close(struct vhost_front *front);

/* The device's configuration space, with the CONFIG protocol feature (else -ENOTSUP). size <= 256. */
int vhost_front_config_get(struct vhost_front *front, void *bytes, uint32_t size);
int vhost_front_config_set(struct vhost_front *front, uint32_t offset, const void *bytes,
                           uint32_t size);

/* Hands over memory, features and enabled rings, from the rings' beginning. */
int vhost_front_start(struct vhost_front *front, uint64_t features,
                      const struct vhost_front_queue *queues, unsigned int count);
/* Stops the rings: once it has returned 0, the back end uses no guest memory. */
int vhost_front_stop(struct vhost_front *front);

#endif
