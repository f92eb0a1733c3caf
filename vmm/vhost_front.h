/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost_front: the vmm's end of one vhost-user connection. The back end is another process and is not
 * trusted: every call is bounded in time, and the first thing that is wrong (a size, an answer to
 * another question, silence, hanging up) ends the connection for good. After that every call
 * returns -ENOTCONN and the owner has been told once. Called with the machine's lock held.
 *
 * Time: one call waits at most VHOST_FRONT_LIMIT_MS for its back end, and VHOST_MESSAGE_REST_MS more for
 * an answer that has begun. What was waited is paid back VHOST_FRONT_REFILL times as slowly, so a back end
 * that is always a moment too late for its own end cannot stop its VM more than that share of the time. A call
 * that the guest causes costs nothing while it is prompt, or a guest that resets a device without end would
 * lose it; one that the back end itself causes costs all that it takes.
 *
 * A back end that died can be followed by another one of the same kind (vhost_front_reopen), which goes on
 * where the rings say that the first one stopped.
 */
#ifndef CORDON_VHOST_FRONT_H
#define CORDON_VHOST_FRONT_H

#include "vmm/machine.h"
#include "vmm/vhost_message.h"

enum {
	VHOST_FRONT_LIMIT_MS = 5000, /* how long one call may wait, when the last ones have not */
	VHOST_FRONT_PROMPT_MS = 50,  /* of each call, not counted */
	VHOST_FRONT_REFILL = 4,
	VHOST_FRONT_QUEUES_MAX = 32,
	VHOST_FRONT_INFLIGHT_MAX = 16
	                           << 20, /* bytes of one device's region of unfinished requests */
};

struct vhost_front_queue {
	bool enabled;
	uint16_t size;                        /* entries */
	uint64_t descriptors, driver, device; /* guest addresses, checked by the caller */
	int kick, call;                       /* the caller's eventfds */
};

struct vhost_front_log { /* where guest pages that a back end writes are noted: a bit a page */
	int fd;          /* the caller's; -1: they are not */
	uint64_t offset, size;
};

struct vhost_front {
	struct machine *machine;
	const char *name;           /* for the log: "net0", ... */
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

	int64_t deadline, last_ms, budget_ms; /* of the call that runs; see Time above */
	bool asked;                           /* by the back end: it is the cause of the call */
	uint64_t accepted;                    /* features of the run */
	int inflight_fd; /* what the back end keeps of unfinished requests, for the one after it; or -1 */
	struct vhost_user_inflight inflight;
	struct vhost_front_log log;
};

/*
 * Takes the socket over and does the handshake. On failure it has been logged and everything is
 * closed. `failed` may be called from then on by any of these functions and by the event loop.
 */
int vhost_front_open(struct vhost_front *front, struct machine *m, const char *name, int socket,
                     void (*failed)(void *self), void *self);
/* The same with another back end, after the first one's end; what was kept of its requests stays. */
int vhost_front_reopen(struct vhost_front *front, int socket);
void vhost_front_close(struct vhost_front *front);
/* Ends the connection, as if the back end had; `failed` is not called. */
void vhost_front_give_up(struct vhost_front *front);

/* The device's configuration space, with the CONFIG protocol feature (else -ENOTSUP). size <= 256. */
int vhost_front_config_get(struct vhost_front *front, void *bytes, uint32_t size);
int vhost_front_config_set(struct vhost_front *front, uint32_t offset, const void *bytes,
                           uint32_t size);

/* Hands over memory, features and enabled rings, from the rings' beginning. */
int vhost_front_start(struct vhost_front *front, uint64_t features,
                      const struct vhost_front_queue *queues, unsigned int count);
/*
 * The same after vhost_front_reopen(), from where the used rings in guest memory end. What the first back
 * end had taken and not finished is either in its inflight region, or is taken once more.
 */
int vhost_front_resume(struct vhost_front *front, uint64_t features,
                       const struct vhost_front_queue *queues, unsigned int count);
/* Stops the rings: once it has returned 0, the back end uses no guest memory. */
int vhost_front_stop(struct vhost_front *front);

/* Gives a running ring another kick eventfd: it is stopped, and started with it where it was. */
int vhost_front_kick(struct vhost_front *front, unsigned int index,
                     const struct vhost_front_queue *queue);

/*
 * From here on the back end notes every guest page that it writes in log's bitmap (bit N of byte N/8 for
 * page N of guest-physical memory), or (fd -1) no longer does; through stops, starts and other back ends.
 * `queues` are those of the start. -ENOTSUP when the back end cannot.
 */
int vhost_front_log(struct vhost_front *front, const struct vhost_front_log *log,
                    const struct vhost_front_queue *queues, unsigned int count);

#endif
