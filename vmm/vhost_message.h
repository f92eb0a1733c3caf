/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost_message: one vhost-user message over a unix stream socket, either way, for the front end and
 * the back ends. The peer is hostile: a call never waits longer than its time limit, never reads a
 * payload larger than a message may have, and never leaves a fd behind that nobody asked for.
 */
#ifndef CORDON_VHOST_MESSAGE_H
#define CORDON_VHOST_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "vmm/devices/vhost_user.h"

struct vhost_message {
	struct vhost_user_header header;
	union vhost_user_payload payload; /* header.size bytes of it came or go; the rest is zero */
	int fds[VHOST_USER_FDS_MAX];
	size_t fd_count;
};

/*
 * Receives one whole message within `limit_ms` (0: only what is already there, but a message that has
 * begun still gets VHOST_MESSAGE_REST_MS for its rest). The fds are close-on-exec and the
 * caller's: it takes them out of fds[] (leaving -1) or calls vhost_message_close(). On failure there
 * are none. -EAGAIN: nothing came; -ETIMEDOUT: it stopped in the middle; -ENOTCONN: the peer has hung
 * up; -EPROTO: wrong version, a payload larger than any, or too many fds. After the last
 * three the stream is no longer at a message's start: the connection is over.
 */
int vhost_message_receive(int socket, struct vhost_message *message, int limit_ms);

enum { VHOST_MESSAGE_REST_MS = 1000 };

/*
 * Sends header.size bytes of payload and fd_count fds within `limit_ms`; the fds stay the caller's.
 * Version bits are set here. -ETIMEDOUT: the peer does not read; -ENOTCONN: it has hung up.
 */
int vhost_message_send(int socket, const struct vhost_message *message, int limit_ms);

/* Closes every fd that is still in the message. */
void vhost_message_close(struct vhost_message *message);

/* struct vhost_message m VHOST_MESSAGE_AUTO = {}; what is not taken out is closed with the scope. */
#define VHOST_MESSAGE_AUTO __attribute__((cleanup(vhost_message_close)))

/* A back end's answers: REPLY flag, the request's number, the payload as it stands in `message`. */
int vhost_message_reply(int socket, struct vhost_message *message, size_t size, int limit_ms);
/* The u64 that NEED_REPLY asks for: 0 for success, anything else is a failure. */
int vhost_message_acknowledge(int socket, const struct vhost_message *request, int error,
                              int limit_ms);

#endif
