/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost_client: a small vhost-user front end and a driver's side of split rings, to drive the real
 * device programs from tests and benches. Nothing is checked on the way out: rings, tables and messages
 * are in the open, so that a test can write whatever a hostile guest would.
 *
 * Guest memory is one memfd as three regions: low [0, 8 MiB), next [8 MiB, 16 MiB), which is adjacent
 * but mapped on its own, and high [4 GiB, 4 GiB + 8 MiB). Each ring has 64 KiB at the start of low; a
 * test's own data begins at CLIENT_DATA.
 */
#ifndef CORDON_TESTS_VHOST_CLIENT_H
#define CORDON_TESTS_VHOST_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "vmm/vhost_message.h"

#define CLIENT_REGION_SIZE 0x800000ull
#define CLIENT_NEXT        0x800000ull
#define CLIENT_HIGH        0x100000000ull
#define CLIENT_DATA        0x100000ull
#define CLIENT_OUTSIDE     0x40000000ull /* nothing is there */

enum { CLIENT_QUEUES = 8, CLIENT_QUEUE_SIZE = 64, CLIENT_WAIT_MS = 10000 };

enum { CLIENT_F_NEXT = 1, CLIENT_F_WRITE = 2, CLIENT_F_INDIRECT = 4 };

struct client_descriptor {
	uint64_t address;
	uint32_t length;
	uint16_t flags;
	uint16_t next;
};
struct client_used {
	uint32_t id;
	uint32_t length;
};

struct client_queue {
	unsigned int size;
	uint16_t available_index; /* the next to publish */
	uint16_t used_seen;
	unsigned int next_free; /* descriptors are handed out round and round */
	struct client_descriptor *descriptors;
	uint16_t *available; /* flags, index, ring, used event */
	uint16_t *used;      /* flags, index, then entries */
	struct client_used *used_ring;
	int kick, call, error;
};

struct vhost_client {
	pid_t pid;
	int socket, memfd;
	uint8_t *memory; /* all three regions, one after the other */
	uint64_t offered, features;
	int inflight; /* the record of what is in flight, once there is one */
	struct vhost_user_inflight inflight_place;
	struct client_queue queue[CLIENT_QUEUES];
};

/*
 * Starts `program` with "--vhost FD" and the arguments in `extra` (NULL-terminated, fds in them are
 * inherited), makes guest memory, negotiates all that is offered of `features` (plus VERSION_1 and the
 * protocol features), and shares the memory. 0 or a negative errno; vhost_client_stop() either way.
 */
int vhost_client_start(struct vhost_client *c, const char *program, char *const *extra,
                       uint64_t features);
/* The same without the program: the other end of the socket pair is given back for the caller's use. */
int vhost_client_open(struct vhost_client *c, int *peer);
/* The same for a back end that listens at `path`, or will within CLIENT_WAIT_MS. */
int vhost_client_connect(struct vhost_client *c, const char *path);
int vhost_client_negotiate(struct vhost_client *c, uint64_t features);
int vhost_client_share_memory(struct vhost_client *c);

/* Sets a ring of `size` entries up, from index `base`, and enables it. */
int vhost_client_queue_start(struct vhost_client *c, unsigned int index, unsigned int size,
                             uint16_t base);
/* Tells a back end of a ring that is there already, with a driver's side that goes on. */
int vhost_client_queue_announce(struct vhost_client *c, unsigned int index, uint16_t base);
/* GET_VRING_BASE: returns the index where the device stopped, or a negative errno. */
int vhost_client_queue_stop(struct vhost_client *c, unsigned int index);

/* Hangs up and waits for the program: its exit status, or 256 + the signal that ended it. */
int vhost_client_stop(struct vhost_client *c);
/* Waits for the program without hanging up first; -ETIMEDOUT after CLIENT_WAIT_MS. */
int vhost_client_wait_end(struct vhost_client *c);

/* Has the back end make a record of what is in flight in `queues` rings of `size`, and gives it to it. */
int vhost_client_inflight_make(struct vhost_client *c, uint16_t queues, uint16_t size);
int vhost_client_inflight_share(struct vhost_client *c);
/* Kills the program, and starts it again over the same memory, with the same record if there is one. */
int vhost_client_restart(struct vhost_client *c, const char *program, char *const *extra,
                         uint64_t features);
/* `size` bytes of `fd` are the dirty log from now on. */
int vhost_client_log(struct vhost_client *c, int fd, uint64_t size);
int vhost_client_features(struct vhost_client *c, uint64_t features);

/* A guest address as a pointer; NULL when outside. */
void *vhost_client_at(const struct vhost_client *c, uint64_t guest);

/* One request and its answer: `need` bytes of payload at least. */
int vhost_client_call(struct vhost_client *c, struct vhost_message *m, size_t need);
int vhost_client_send(struct vhost_client *c, struct vhost_message *m);
/* Returns once the device has seen everything that was sent before. */
int vhost_client_sync(struct vhost_client *c);
int vhost_client_config(struct vhost_client *c, uint32_t offset, void *data, uint32_t size);

/* Makes a chain of `count` buffers (addresses, lengths, CLIENT_F_WRITE or 0) available; its head. */
struct client_buffer {
	uint64_t address;
	uint32_t length;
	bool write;
};
uint16_t vhost_client_add(struct client_queue *q, const struct client_buffer *list,
                          unsigned int count);
/* Makes descriptor `head` available, whatever it holds. */
void vhost_client_publish(struct client_queue *q, uint16_t head);
void vhost_client_kick(struct client_queue *q);
/*
 * As a good driver with event idx does it: kicks when the device has asked for a kick between index
 * `old` and now (true), and asks for an interrupt at the next used entry that has not been seen.
 */
bool vhost_client_kick_asked(struct client_queue *q, uint16_t old);
void vhost_client_want_interrupt(struct client_queue *q);

/* Waits for the next used entry. 0, or -ETIMEDOUT after limit_ms. */
int vhost_client_used(struct client_queue *q, struct client_used *entry, int limit_ms);
/* Sleeps until the device signals. 0, or -ETIMEDOUT. */
int vhost_client_interrupt(struct client_queue *q, int limit_ms);
/* Waits until the device says that it gave the ring up. */
int vhost_client_broken(struct client_queue *q, int limit_ms);

/* User and system time of the process and all its threads, those that have ended included, in ns. */
uint64_t vhost_client_cpu_ns(pid_t pid);

#endif
