/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * DNS over TCP (RFC 7766): each message has its length before it. One question of a connection's is under way at a
 * time, and each is asked over a connection of its own; what the guest has sent beyond it waits in the kernel.
 * There are few connections, and each has little time, so that a guest can only keep itself waiting.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/base.h"
#include "firewall/front.h"

enum { TCP_MS = 10000, TCP_LENGTH = 2 };

/* #syscall names: close - connections that have ended */
static void end(struct front_tcp *tcp)
{
	base_close(&tcp->guest);
	base_close(&tcp->resolver);
	free(tcp->buffer);
	*tcp = (struct front_tcp){.guest = -1, .resolver = -1};
}

/* One of the two is waited for at a time. */
static int await(struct front *front, struct front_tcp *tcp)
{
	const size_t number = (size_t)(tcp - front->connections);
	uint32_t guest = tcp->state == FRONT_QUESTION    ? EPOLLIN
	                 : tcp->state == FRONT_ANSWERING ? EPOLLOUT
	                                                 : 0;
	uint32_t resolver = tcp->state == FRONT_ASKING    ? EPOLLOUT
	                    : tcp->state == FRONT_WAITING ? EPOLLIN
	                                                  : 0;
	int error = front_watch(front, EPOLL_CTL_MOD, tcp->guest, guest, FRONT_CONNECTION, number);

	if (!error && tcp->resolver >= 0)
		error = front_watch(front, EPOLL_CTL_MOD, tcp->resolver, resolver, FRONT_CONNECTION,
		                    number);
	return error;
}

static void begin_question(struct front_tcp *tcp)
{
	base_close(&tcp->resolver);
	tcp->resolver = -1;
	tcp->state = FRONT_QUESTION;
	tcp->have = tcp->done = 0;
	tcp->want = TCP_LENGTH;
}

/* #syscall names: accept4 - the guest's connections */
void front_tcp_accept(struct front *front, size_t listener)
{
	struct sockaddr_storage from = {0};
	socklen_t size = sizeof(from);
	int fd = accept4(front->tcp[listener], (struct sockaddr *)&from, &size,
	                 SOCK_CLOEXEC | SOCK_NONBLOCK);
	const bool guest = fd >= 0 && front_is_guest(front, listener, &from);
	struct front_tcp *tcp = NULL;

	if (fd < 0)
		return;
	for (size_t i = 0; i < FRONT_TCP_MAX && guest && !tcp; i++)
		if (front->connections[i].state == FRONT_FREE)
			tcp = &front->connections[i];
	if (!tcp) {
		close(fd);
		return;
	}
	*tcp = (struct front_tcp){.guest = fd, .resolver = -1};
	tcp->buffer = malloc(TCP_LENGTH + FRONT_MESSAGE_MAX);
	tcp->deadline = front_now() + TCP_MS;
	begin_question(tcp);
	if (!tcp->buffer || front_watch(front, EPOLL_CTL_ADD, fd, EPOLLIN, FRONT_CONNECTION,
	                                (size_t)(tcp - front->connections)) < 0)
		end(tcp);
}

/* Reads to the end of a message. 1 when it is there, 0 when more has to come, or a negative errno. */
static int fill(struct front_tcp *tcp, int fd, size_t max)
{
	while (tcp->have < tcp->want) {
		ssize_t n = recv(fd, tcp->buffer + tcp->have, tcp->want - tcp->have, MSG_DONTWAIT);

		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (n == 0)
			return -ECONNRESET;
		tcp->have += (size_t)n;
		if (tcp->have == TCP_LENGTH && tcp->want == TCP_LENGTH)
			tcp->want = (size_t)TCP_LENGTH + base_be16(tcp->buffer);
	}
	return tcp->want < TCP_LENGTH + FRONT_HEADER || tcp->want > TCP_LENGTH + max ? -EBADMSG : 1;
}

static int drain(struct front_tcp *tcp, int fd)
{
	while (tcp->done < tcp->have) {
		ssize_t n = send(fd, tcp->buffer + tcp->done, tcp->have - tcp->done,
		                 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		tcp->done += (size_t)n;
	}
	return 1;
}

static int begin_asking(struct front *front, struct front_tcp *tcp)
{
	tcp->resolver = front_dial();
	if (tcp->resolver < 0)
		return tcp->resolver;
	tcp->state = FRONT_ASKING;
	tcp->deadline = front_now() + TCP_MS;
	return front_watch(front, EPOLL_CTL_ADD, tcp->resolver, 0, FRONT_CONNECTION,
	                   (size_t)(tcp - front->connections));
}

/* One step; 1 when there may be another at once. */
static int step(struct front *front, struct front_tcp *tcp)
{
	int done;

	switch (tcp->state) {
	case FRONT_QUESTION:
		done = fill(tcp, tcp->guest, FRONT_QUESTION_MAX);
		return done == 1 ? begin_asking(front, tcp) : done;
	case FRONT_ASKING:
		done = drain(tcp, tcp->resolver);
		if (done == 1) {
			tcp->state = FRONT_WAITING;
			tcp->have = 0;
			tcp->want = TCP_LENGTH;
		}
		return done;
	case FRONT_WAITING:
		done = fill(tcp, tcp->resolver, FRONT_MESSAGE_MAX);
		if (done == 1) {
			front_open(front, tcp->buffer + TCP_LENGTH, tcp->have - TCP_LENGTH);
			tcp->state = FRONT_ANSWERING;
			tcp->done = 0;
		}
		return done;
	case FRONT_ANSWERING:
		done = drain(tcp, tcp->guest);
		if (done == 1)
			begin_question(tcp);
		return done == 1 ? 0 : done;
	case FRONT_FREE:
	default: return -EINVAL;
	}
}

void front_tcp_event(struct front *front, size_t number, uint32_t events)
{
	struct front_tcp *tcp = &front->connections[number % FRONT_TCP_MAX];
	int more = tcp->state == FRONT_FREE ? 0 : 1;

	if (!more)
		return; /* of a connection that an event before this one has ended */
	while (more > 0)
		more = step(front, tcp);
	/* a guest that is gone while dnsmasq is waited for would be told of again and again */
	if (more < 0 || events & (EPOLLHUP | EPOLLERR) || await(front, tcp) < 0)
		end(tcp);
}

int front_tcp_expire(struct front *front)
{
	int64_t now = front_now(), next = -1;

	for (size_t i = 0; i < FRONT_TCP_MAX; i++) {
		struct front_tcp *tcp = &front->connections[i];

		if (tcp->state == FRONT_FREE)
			continue;
		if (tcp->deadline <= now)
			end(tcp);
		else if (next < 0 || tcp->deadline - now < next)
			next = tcp->deadline - now;
	}
	return (int)next;
}
