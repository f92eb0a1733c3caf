/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A vhost-user back end for tests: a thread that answers at one end of a socketpair, keeps what it was
 * told, and goes wrong in the way and at the request that a test asks for.
 */
#ifndef CORDON_VIRTIO_BACK_H
#define CORDON_VIRTIO_BACK_H

#include <pthread.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "vmm/vhost_message.h"

enum { BACK_QUEUES = 32, BACK_LOG = 1024 };

enum back_fault {
	BACK_GOOD,
	BACK_SILENT, /* reads on, never answers again */
	BACK_HANGS_UP,
	BACK_WRONG_REQUEST, /* the answer is to something else */
	BACK_WRONG_SIZE,
	BACK_NO_REPLY_FLAG,
	BACK_SENDS_FD,
	BACK_REFUSES, /* acknowledges with an error */
	BACK_HALF_AN_ANSWER,
	BACK_HUGE_ANSWER,
	BACK_WRONG_CONTENT, /* another ring, another part of the configuration */
};

struct back_queue {
	struct vhost_user_vring_addr address;
	uint32_t size, base;
	int kick, call, error;
	bool enabled;
};

struct back {
	int socket;   /* the back end's end */
	int requests; /* for its own requests, once it was given that; or -1 */
	pthread_t thread;
	uint64_t features, protocol_features, queue_count;
	uint8_t config[VHOST_USER_CONFIG_MAX];
	enum back_fault fault;
	uint32_t fault_at; /* the request */

	/* what it was told */
	uint64_t accepted, accepted_protocol;
	struct vhost_user_memory memory;
	struct vhost_user_inflight inflight;
	struct vhost_user_log dirty, shared_map;
	struct stat shared_file; /* the file of shared_map */
	uint64_t status;
	int inflight_fd; /* made by GET, or handed by SET */
	int inflight_seals;
	struct back_queue queues[BACK_QUEUES];
	uint8_t log[BACK_LOG]; /* the requests, in order */
	unsigned int log_count;
};

/* Sensible defaults: every protocol feature that the vmm uses, VERSION_1. */
void back_init(struct back *back);
/* Starts the thread; returns the front end's socket. */
int back_start(struct back *back);
/* After the front end has closed its socket: waits for the thread and closes what it was handed. */
void back_join(struct back *back);
/* How often a request came. Only once the thread has nothing to do (after an answered request, or a join). */
unsigned int back_count(const struct back *back, enum vhost_user_request request);
/* Waits until a request has been done that often, for those that nobody answers. */
void back_wait(const struct back *back, enum vhost_user_request request, unsigned int count);

#endif
