/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost_back: what every device process does besides being a device: the back end of the vhost-user
 * protocol and the event loop. A device is a table of functions over its own state.
 */
#ifndef CORDON_VMM_DEVICES_VHOST_BACK_H
#define CORDON_VMM_DEVICES_VHOST_BACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/base.h"
#include "vmm/devices/memory.h"
#include "vmm/devices/vring.h"

enum {
	VHOST_BACK_QUEUES = 17, /* eight pairs and control */
	VHOST_BACK_BATCH = 64,  /* requests of one queue before another gets its turn */
};

struct vhost_device_ops {
	const char *name;                  /* of the program, for messages */
	unsigned int queues;               /* at most VHOST_BACK_QUEUES */
	unsigned int queue_num;            /* what GET_QUEUE_NUM answers */
	unsigned int (*pairs)(void *self); /* that answer of a net device; NULL: queue_num is it */

	/* The device type's own feature bits; those of rings and of vhost are added to them. */
	uint64_t (*features)(void *self);
	/* The front end's choice among them, before a ring starts. NULL: nothing to do. */
	int (*features_set)(void *self, uint64_t features);

	/* Configuration space; never beyond VHOST_USER_CONFIG_MAX. NULL: there is none. */
	int (*config_read)(void *self, uint32_t offset, void *data, uint32_t size);
	int (*config_write)(void *self, uint32_t offset, const void *data, uint32_t size);
	bool inflight; /* a restarted process takes what it had taken again: vmm/devices/inflight.h */
	bool config_changes; /* by itself: vhost_back_config_changed() */

	/*
	 * Serves at most about VHOST_BACK_BATCH requests. 0: wait for a kick, which vring_kicks() has
	 * asked for; positive: there is more, call again after so many ns (1: at once); -EPROTO: the
	 * ring is broken; any other error ends the process.
	 */
	int (*queue_run)(void *self, unsigned int queue, struct vring *ring);
	/*
	 * The ring is about to stop, to move or to be disabled: chains that were taken are pushed, or put
	 * back; nothing of them is touched afterwards.
	 */
	void (*queue_stop)(void *self, unsigned int queue, struct vring *ring);

	/*
	 * An fd that vhost_back_watch_tag() watches has become ready (epoll's events). Returns the queues
	 * that are to run now, a bit each.
	 */
	uint32_t (*ready)(void *self, uint16_t tag, uint32_t events);
	/* RESET_DEVICE, its rings stopped already: what the guest had set up is gone. NULL: nothing to do. */
	void (*reset)(void *self);
};

struct vhost_queue {
	struct vring ring;
	uint16_t base;         /* where the ring starts, or would */
	int kick, call, error; /* eventfds, or -1 */
	bool started, enabled, reported;
	uint64_t due; /* when to run it without a kick, ns of CLOCK_MONOTONIC; 0: not */
};

struct vhost_back {
	const struct vhost_device_ops *ops;
	void *self;
	int socket, epoll;
	int requests; /* where the front end hears of what it did not ask for; -1: nowhere */
	uint64_t features, protocol_features; /* as negotiated */
	struct device_memory memory;
	struct device_mapping inflight;
	int log_fd; /* eventfd: something was marked in the dirty log; or -1 */
	struct vhost_queue queue[VHOST_BACK_QUEUES];
	uint32_t runnable;   /* a bit a queue: has been kicked, or has more to do */
	unsigned int breaks; /* rings that broke so far: a guest may not fill the log */
};

/* `socket` becomes the back end's. 0 or a negative errno. */
int vhost_back_init(struct vhost_back *back, const struct vhost_device_ops *ops, void *self,
                    int socket);

/* Runs `queue` whenever `fd` has become readable (edge-triggered; the fd is non-blocking). */
int vhost_back_watch(struct vhost_back *back, int fd, unsigned int queue);

/*
 * Tells the front end to read the configuration again, as it can be told; one that has not yet heard of the
 * last change is not told twice.
 */
void vhost_back_config_changed(struct vhost_back *back);

/*
 * Calls ops->ready() with `tag` for each new event of `fd` among `events` (edge-triggered), whether or
 * not a ring runs. It ends when the fd is closed; one more call for it may still come then.
 */
int vhost_back_watch_tag(struct vhost_back *back, int fd, uint32_t events, uint16_t tag);

/*
 * Waits (at most limit_ms; -1: as long as it takes), then serves one message and the queues that have
 * something to do. 1: go on; 0: the front end has hung up; negative: the process is to end, and why
 * has been logged.
 */
int vhost_back_step(struct vhost_back *back, int limit_ms);

/* Closes and unmaps everything that came from the front end, and the socket. */
void vhost_back_close(struct vhost_back *back);

/*
 * Between the loop (vhost_back.c) and the messages (vhost_handle.c).
 * vhost_handle(): does what the message asks and answers it. 0, or a negative errno that has been
 * logged and ends the process.
 * vhost_queue_start(): begins at queue->base with the kick eventfd that is set; -EPROTO when something
 * was left out. vhost_queue_stop(): nothing of the ring is touched afterwards; base is where it was.
 * vhost_queue_settle(): has the device finish, or put back, what it took; the ring goes on when it is run.
 * vhost_signal(): an eventfd, or -1.
 * vhost_inflight_drop(): forgets and unmaps the record of what is in flight, as it stands.
 */
struct vhost_message;
int vhost_handle(struct vhost_back *back, struct vhost_message *message);
int vhost_queue_start(struct vhost_back *back, unsigned int index);
void vhost_queue_stop(struct vhost_back *back, unsigned int index);
void vhost_queue_settle(struct vhost_back *back, unsigned int index);
void vhost_signal(int fd);
void vhost_inflight_drop(struct vhost_back *back);

/* CLOCK_MONOTONIC in ns. */
uint64_t device_now(void);

/* One line to the operator on standard error: "NAME: text". */
void device_log(const char *name, const char *format, ...) BASE_PRINTF(2, 3);

#endif
