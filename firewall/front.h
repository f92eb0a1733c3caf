/* SPDX-License-Identifier: GPL-2.0-or-later */
/* front: what the parts of cordon-names share: front.c has the questions over UDP, front_tcp.c those over TCP. */
#ifndef CORDON_FIREWALL_FRONT_H
#define CORDON_FIREWALL_FRONT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "firewall/names_judge.h"

enum {
	FRONT_LISTEN_MAX = 2, /* an address of each family */
	FRONT_ASKED_MAX = 256,
	FRONT_TCP_MAX = 8,
	FRONT_QUESTION_MAX = 4096,
	FRONT_MESSAGE_MAX = 65535,
	FRONT_HEADER = 12,
};

/* A question over UDP that dnsmasq has not answered. */
struct front_asked {
	bool waits;
	uint16_t id, own_id; /* the guest's, and the one that dnsmasq was asked under */
	size_t listener;
	struct sockaddr_storage from;
	socklen_t from_size;
};

/* One connection of the guest's, and its to dnsmasq; a question at a time. */
struct front_tcp {
	enum front_state {
		FRONT_FREE,
		FRONT_QUESTION, /* reads from the guest */
		FRONT_ASKING,   /* writes to dnsmasq */
		FRONT_WAITING,  /* reads from dnsmasq */
		FRONT_ANSWERING /* writes to the guest */
	} state;
	int guest, resolver;
	uint8_t *buffer; /* two bytes of length, and a message */
	size_t have, want, done;
	int64_t deadline; /* milliseconds */
};

struct front {
	int epoll;
	int tcp[FRONT_LISTEN_MAX]; /* and UDP's, and dnsmasq's, under the numbers of names_fds.h */
	struct sockaddr_storage guest[FRONT_LISTEN_MAX]; /* who may ask there */
	size_t listeners;
	struct sockaddr_storage resolver_address;
	socklen_t resolver_size;
	struct front_asked asked[FRONT_ASKED_MAX];
	uint16_t next_id;
	struct front_tcp connections[FRONT_TCP_MAX];
	struct names_patterns patterns;
	struct names_request request;
	int64_t said; /* when something was said last of an answer, milliseconds */
	uint8_t message[FRONT_MESSAGE_MAX + 1];
};

/* What epoll tells of: the kind in the high half, its number in the low one. */
enum front_kind { FRONT_UDP, FRONT_TCP, FRONT_RESOLVER, FRONT_CONNECTION };
int front_watch(struct front *front, int operation, int fd, uint32_t events, enum front_kind kind,
                size_t number);

/* Opens what an answer opens, before anybody else reads it. Ends the process when that cannot be done any more. */
void front_open(struct front *front, const uint8_t *message, size_t size);
/* Whether it is the guest who asks there. */
bool front_is_guest(const struct front *front, size_t listener,
                    const struct sockaddr_storage *from);
int64_t front_now(void);

/* ---- front_dial.c ---- */

/* Makes the child that connects for this process; the resolver's address is known. 0, or a negative errno. */
int front_dial_start(const struct front *front);
/* A connection to dnsmasq, not blocking and perhaps not there yet, or a negative errno. Ends the process when
 * there is nobody to ask for one. */
int front_dial(void);

/* ---- front_tcp.c ---- */

void front_tcp_accept(struct front *front, size_t listener);
void front_tcp_event(struct front *front, size_t number, uint32_t events);
/* Closes those whose time is up; returns the milliseconds to the next end, or -1. */
int front_tcp_expire(struct front *front);

#endif
