/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What vhost_front.c (the connection) has for vhost_rings.c (what runs over it). Each returns 0, or a
 * negative errno after the connection has been given up and the reason logged.
 */
#ifndef CORDON_VHOST_FRONT_PRIVATE_H
#define CORDON_VHOST_FRONT_PRIVATE_H

#include "vmm/vhost_front.h"

bool vhost_front_has(const struct vhost_front *front, enum vhost_user_protocol_feature feature);
/* Gives the connection up. */
int vhost_front_fail(struct vhost_front *front, int error, const char *what);

/* Around all that one call of the public functions sends and waits for. */
void vhost_front_begin(struct vhost_front *front);
void vhost_front_finish(struct vhost_front *front);

int vhost_front_send(struct vhost_front *front, struct vhost_message *message,
                     enum vhost_user_request request, size_t size);
/* The answer to `request`, of exactly `size` bytes and without fds. */
int vhost_front_receive(struct vhost_front *front, struct vhost_message *answer,
                        enum vhost_user_request request, size_t size);
/* The answer to `request`, of `least` to `most` bytes; what fds came with it are the caller's. */
int vhost_front_receive_any(struct vhost_front *front, struct vhost_message *answer,
                            enum vhost_user_request request, size_t least, size_t most);
/* Sends what has no answer of its own, and waits for an acknowledgement where there can be one. */
int vhost_front_tell_surely(struct vhost_front *front, struct vhost_message *message,
                            enum vhost_user_request request, size_t size);
int vhost_front_tell_u64(struct vhost_front *front, enum vhost_user_request request,
                         uint64_t value);
int vhost_front_tell_state(struct vhost_front *front, enum vhost_user_request request,
                           unsigned int index, uint32_t num);
int vhost_front_tell_fd(struct vhost_front *front, enum vhost_user_request request,
                        unsigned int index, int fd);

/* Watches, or no longer, for a ring that the back end gives up. */
int vhost_front_errors_watch(struct vhost_front *front);
void vhost_front_errors_forget(struct vhost_front *front);

/* vhost_rings.c: forgets what was kept for the next back end. */
void vhost_front_inflight_drop(struct vhost_front *front);

#endif
