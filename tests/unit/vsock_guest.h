/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vsock_guest: drives cordon-vsock, the program itself: plays the guest, packet by packet, the host's
 * clients, and cordon-dial. Everything is asserted on the way; what is sent may be anything.
 */
#ifndef CORDON_TESTS_VSOCK_GUEST_H
#define CORDON_TESTS_VSOCK_GUEST_H

#include <linux/virtio_vsock.h>

#include "tests/unit/vhost_client.h"

enum {
	RX, /* queue numbers */
	TX,
	CID = 7,
	BUFFER = 4096 + sizeof(struct virtio_vsock_hdr),
	BUFFERS = 32,
	ROOM = 65536, /* what the device grants */
	BOTH = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND,
};
#define RX_AT CLIENT_DATA
#define TX_AT CLIENT_HIGH

extern struct vhost_client guest_client;
extern int guest_dial; /* cordon-dial's end of its socket */
/* What the guest says of its own buffers in every header. */
extern uint32_t guest_room, guest_taken;

/* Starts the device with ports 22 and 1024 to the guest, 5000 and 5001 to the host, and BUFFERS receive buffers. */
void guest_start(void);
void guest_start_without_buffers(void);
void guest_stop(void);
/* Posts one receive buffer. */
void guest_post(uint64_t at, uint32_t size);

struct virtio_vsock_hdr guest_header(uint16_t op, uint32_t guest_port, uint32_t host_port);
/* Sends a header as it is, and `size` bytes behind it; returns once the device has used them. */
void guest_send_raw(const struct virtio_vsock_hdr *h, const void *data, uint32_t size);
void guest_send(uint16_t op, uint32_t guest_port, uint32_t host_port);
void guest_send_shutdown(uint32_t guest_port, uint32_t host_port, uint32_t flags);
void guest_send_data(uint32_t guest_port, uint32_t host_port, const void *data, uint32_t size);

/* The next packet; its payload is copied to `data` (4096 bytes, or NULL), its buffer posted again. */
struct virtio_vsock_hdr guest_next(void *data);
struct virtio_vsock_hdr guest_want(uint16_t op, uint32_t guest_port, uint32_t host_port);
void guest_want_data(uint32_t guest_port, const char *text);
void guest_want_nothing(void);

/* A connection from the guest's port to the host's 5000; the host's end of it. */
int guest_connect(uint32_t guest_port);
/* cordon-dial's half: takes the request for `port`, and answers with `fd`, or with an error. */
void host_dial(uint32_t port, int fd, int error);
/* cordon-dial, the program itself, with `path` for port 5000; and what it answers: a socket, or the error. */
pid_t host_dialer_start(int *requests, const char *path);
int host_dialer_ask(int requests, uint32_t port);
/* A client of the host's that has said `line`. */
int host_client(const char *line);
void host_want(int fd, const char *text);
/* It reads no more: closed or reset. */
void host_want_end(int fd);

#endif
