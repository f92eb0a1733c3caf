/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vsock: what the files of cordon-vsock share. vsock.c is the device: its rings, its options; vsock_packet.c
 * what the guest sends and is sent; vsock_host.c the sockets on the host.
 *
 * A connection is one unix socket of the host and one pair of ports. Bytes to the guest go from the socket
 * straight into its buffers, as many as it has granted credit for; bytes from it go straight to the socket,
 * and what the socket does not take waits in a buffer of VSOCK_BUFFER bytes, which is all the credit that
 * the guest has. So neither side can make the device hold more than that for one connection, and there are
 * at most VSOCK_CONNECTIONS.
 */
#ifndef CORDON_VMM_DEVICES_VSOCK_H
#define CORDON_VMM_DEVICES_VSOCK_H

#include <linux/virtio_vsock.h>

#include "vmm/devices/vhost_back.h"

enum { VSOCK_RX, VSOCK_TX, VSOCK_EVENT, VSOCK_QUEUES };

enum {
	VSOCK_CONNECTIONS = 128,
	VSOCK_BUFFER = 65536,     /* a power of two */
	VSOCK_PACKET_MAX = 65536, /* payload of one packet */
	VSOCK_PIECES = 64,        /* parts of a guest's buffer that one read fills */
	VSOCK_RESETS = 64,        /* refusals that wait for a buffer of the guest's */
	VSOCK_PORTS = 16,         /* in an allow list */
	VSOCK_HOST_CID = 2,
	VSOCK_SHUT_BOTH = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND,
};

enum vsock_state {
	VSOCK_FREE,
	VSOCK_HELLO,   /* a client of the host's has not yet said which port it wants */
	VSOCK_DIALING, /* the guest wants a socket, which cordon-dial is getting */
	VSOCK_ASKING,  /* the guest has been asked, and has not answered */
	VSOCK_OPEN,
	VSOCK_ENDING, /* the host's side is closed, and the guest has yet to agree */
	VSOCK_DYING,  /* only its reset has yet to be sent */
};

enum vsock_wants { /* bits: packets that the guest is to be sent */
	           VSOCK_WANT_REQUEST = 1,
	           VSOCK_WANT_RESPONSE = 2,
	           VSOCK_WANT_RESET = 4,
	           VSOCK_WANT_SHUTDOWN = 8,
	           VSOCK_WANT_CREDIT = 16,
};

struct vsock_connection {
	enum vsock_state state;
	uint8_t wants;      /* enum vsock_wants */
	uint8_t guest_shut; /* enum virtio_vsock_shutdown: what the guest does no more */
	uint8_t host_shut;  /* the same of the host's side */
	uint8_t generation; /* of the slot: tells late news of the last one in it */
	bool readable, hung_up;
	int fd; /* -1: none */
	uint32_t guest_port, host_port;
	/* to the guest: its buffer, how much it has taken out of it, and what it was sent */
	uint32_t peer_size, peer_taken, sent;
	/* from the guest: what the socket took, as it is and as the guest knows */
	uint32_t taken, told;
	uint8_t *buffer; /* owned: what the socket has not taken; NULL until it is needed */
	uint32_t first, held;
	uint64_t due; /* when its state has lasted too long, ns; 0: never */
};

enum vsock_note { /* what an operator is told of, and how often */
	          VSOCK_NOTE_TO_HOST,
	          VSOCK_NOTE_TO_GUEST,
	          VSOCK_NOTE_TARGET,
	          VSOCK_NOTE_FULL,
	          VSOCK_NOTE_MALFORMED,
	          VSOCK_NOTE_ADDRESS,
	          VSOCK_NOTES,
};

struct vsock_ports {
	uint32_t list[VSOCK_PORTS];
	size_t count;
};

struct vsock {
	struct vhost_back *back;
	uint64_t cid;
	int listener, dial; /* 0: not given */
	struct vsock_ports to_host, to_guest;
	struct vsock_connection connections[VSOCK_CONNECTIONS];
	unsigned int turn; /* the connection that sent last */
	struct vsock_reset {
		uint32_t guest_port, host_port;
	} resets[VSOCK_RESETS];
	unsigned int reset_count;
	uint32_t next_port;
	uint64_t noted[VSOCK_NOTES];
	struct vring_request request;
};

/* What epoll says of a connection's fd: its slot, and its generation. */
enum { VSOCK_TAG_LISTENER = 0xff, VSOCK_TAG_DIAL = 0xfe };
static inline uint16_t vsock_tag(const struct vsock *v, const struct vsock_connection *c)
{
	return (uint16_t)(c->generation << 8 | (c - v->connections));
}
static inline unsigned int vsock_tag_index(uint16_t tag)
{
	return tag & 0xff;
}

/* --- vsock.c --- */

/* A free slot in `state`, with fd -1; NULL, noted, when there is none. */
struct vsock_connection *vsock_take(struct vsock *v, enum vsock_state state);
/* Forgets the connection; the guest hears nothing of it. */
void vsock_free(struct vsock_connection *c);
/* Ends the connection, and the guest with a reset. */
void vsock_kill(struct vsock *v, struct vsock_connection *c);
/* There is something to send to the guest. */
void vsock_wake(struct vsock *v);
/* Counts, and logs the first, second, fourth, eighth and so on. */
void vsock_note(struct vsock *v, enum vsock_note note, uint32_t port, int error);
bool vsock_allows(const struct vsock_ports *ports, uint32_t port);

/* --- vsock_packet.c --- */

/* One packet that the guest sent, in v->request. */
void vsock_receive(struct vsock *v);
/*
 * Sends the guest one packet. 1: sent, or something else was done: call again; 0: there is none to send;
 * -EAGAIN: the guest has posted no buffer; -EPROTO: the ring is broken.
 */
int vsock_send(struct vsock *v, struct vring *ring);

/* --- vsock_host.c --- */

/* Takes the host's clients that came. */
void vsock_accept(struct vsock *v);
/* Something of the connection's socket is ready. */
void vsock_ready(struct vsock *v, struct vsock_connection *c, uint32_t events);
/* Asks for a socket for a port that the guest wants to connect to. */
int vsock_dial(struct vsock *v, const struct vsock_connection *c);
/* Takes the answers. */
void vsock_dialed(struct vsock *v);
/* The guest took the connection that a client of the host's asked for. */
void vsock_greet(struct vsock *v, struct vsock_connection *c);
/* `size` bytes from the guest, already known to be within its credit. */
void vsock_forward(struct vsock *v, struct vsock_connection *c, struct iovec *list,
                   unsigned int count, uint32_t size);
/* Does what the guest has asked of the socket's two ways, once what it sent before is with the host. */
void vsock_shut(struct vsock *v, struct vsock_connection *c);
/* The host's side has ended: after its last byte, or, with hung_up, in both ways. */
void vsock_host_ended(struct vsock *v, struct vsock_connection *c);

#endif
