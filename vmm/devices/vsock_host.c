/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sockets on the host. Every one is non-blocking and edge-triggered: what is ready is noted, and used
 * when the rings have room. Those who connect are people and programs of the host's, who are trusted more
 * than the guest, but one that is slow, silent or gone costs no more than its slot, for a time.
 */
#include "vmm/devices/vsock.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include "vmm/devices/dial.h"
#include "vmm/devices/rate.h"

#define HELLO_TIME  (5ull * RATE_SECOND)  /* for a client to say which port it wants */
#define ASKING_TIME (30ull * RATE_SECOND) /* for the guest to answer a connection */
#define ENDING_TIME (2ull * RATE_SECOND)  /* for the guest to agree that it has ended */

enum {
	HELLO_MAX = 32,
	PORT_FIRST = 1 << 30, /* of the host's ends of connections to the guest; half as many */
	PORT_COUNT = 1 << 30,
};

/* ---- clients of the host's ---- */

/*
 * #syscall vsock: accept4 - a client of the host's comes
 * #syscall vsock: recvfrom - its first line, and what it sends
 */
void vsock_accept(struct vsock *v)
{
	int fd;

	while ((fd = accept4(v->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		struct vsock_connection *c = NULL;

		/* a guest without a driver would leave it waiting */
		if (v->back->queue[VSOCK_RX].started)
			c = vsock_take(v, VSOCK_HELLO);
		if (!c) {
			close(fd);
			continue;
		}
		c->fd = fd;
		c->due = device_now() + HELLO_TIME;
		if (vhost_back_watch_tag(v->back, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP,
		                         vsock_tag(v, c)) < 0)
			vsock_free(c);
	}
}

/* "CONNECT 1024\n" -> 1024; 0: it is not that. */
static uint32_t hello_port(const char *line)
{
	static const char word[] = "CONNECT ";
	unsigned long long port;
	char *end;

	if (strncmp(line, word, sizeof(word) - 1) != 0)
		return 0;
	line += sizeof(word) - 1;
	if (*line < '0' || *line > '9')
		return 0;
	errno = 0;
	port = strtoull(line, &end, 10);
	if (errno || end == line || (*end != '\n' && strcmp(end, "\r\n") != 0) ||
	    port >= UINT32_MAX)
		return 0;
	return (uint32_t)port;
}

static uint32_t free_port(struct vsock *v)
{
	uint32_t port;
	bool used;

	do {
		port = PORT_FIRST + v->next_port++ % PORT_COUNT;
		used = false;
		for (unsigned int i = 0; i < VSOCK_CONNECTIONS; i++)
			used |= v->connections[i].state > VSOCK_HELLO &&
			        v->connections[i].host_port == port;
	} while (used);
	return port;
}

/* The first line, once all of it is there; what follows it stays in the socket. */
static void hello(struct vsock *v, struct vsock_connection *c)
{
	char line[HELLO_MAX + 1] = "";
	ssize_t n = recv(c->fd, line, HELLO_MAX, MSG_PEEK);
	char *end = n > 0 ? memchr(line, '\n', (size_t)n) : NULL;
	uint32_t port;

	if ((n < 0 && errno == EAGAIN) || (n > 0 && !end && n < HELLO_MAX && !c->hung_up))
		return;
	if (!end) {
		vsock_free(c);
		return;
	}
	end[1] = '\0';
	port = hello_port(line);
	if (recv(c->fd, line, (size_t)(end + 1 - line), 0) <= 0 || port == 0 ||
	    !vsock_allows(&v->to_guest, port)) {
		vsock_note(v, VSOCK_NOTE_TO_GUEST, port, 0);
		vsock_free(c);
		return;
	}
	c->state = VSOCK_ASKING;
	c->guest_port = port;
	c->host_port = free_port(v);
	c->due = device_now() + ASKING_TIME;
	c->wants = VSOCK_WANT_REQUEST;
}

/* #syscall vsock: sendto - what the guest sends, and the line that a client waits for */
void vsock_greet(struct vsock *v, struct vsock_connection *c)
{
	char line[HELLO_MAX];
	int size = snprintf(line, sizeof(line), "OK %u\n", c->host_port);

	if (send(c->fd, line, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL) != size) {
		vsock_kill(v, c);
		return;
	}
	c->state = VSOCK_OPEN;
	c->due = 0;
	c->readable = true;
}

/* ---- sockets for the guest ---- */

int vsock_dial(struct vsock *v, const struct vsock_connection *c)
{
	const struct dial_request request = {.id = vsock_tag(v, c), .port = c->host_port};

	if (!v->dial)
		return -ECONNREFUSED;
	return send(v->dial, &request, sizeof(request), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno
	                                                                                 : 0;
}

/* One answer, and its fd or -1. -EAGAIN: there is none; -ENOTCONN: cordon-dial has gone. */
static int receive_answer(const struct vsock *v, struct dial_answer *answer, int *fd)
{
	struct iovec part = {answer, sizeof(*answer)};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.space = ""};
	struct msghdr message = {.msg_iov = &part,
	                         .msg_iovlen = 1,
	                         .msg_control = &control,
	                         .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(v->dial, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *header = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;

	*fd = -1;
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
	    header->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(header), sizeof(*fd));
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : -ENOTCONN;
	return n == sizeof(*answer) ? 0 : -ENOTCONN;
}

static void dialed(struct vsock *v, const struct dial_answer *answer, int fd)
{
	unsigned int index = vsock_tag_index((uint16_t)answer->id);
	struct vsock_connection *c = &v->connections[index % VSOCK_CONNECTIONS];

	/* the guest may have given it up meanwhile */
	if (c->state != VSOCK_DIALING || vsock_tag(v, c) != answer->id) {
		base_close(&fd);
		return;
	}
	c->fd = fd;
	if (answer->error || fd < 0 ||
	    vhost_back_watch_tag(v->back, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP, vsock_tag(v, c)) <
	            0) {
		vsock_note(v, VSOCK_NOTE_TARGET, c->host_port,
		           answer->error < 0 ? answer->error : -EIO);
		vsock_kill(v, c);
		return;
	}
	c->state = VSOCK_OPEN;
	c->wants |= VSOCK_WANT_RESPONSE;
	c->readable = true;
}

void vsock_dialed(struct vsock *v)
{
	struct dial_answer answer;
	int fd = -1, error = v->dial ? 0 : -EAGAIN;

	while (!error) {
		error = receive_answer(v, &answer, &fd);
		if (!error)
			dialed(v, &answer, fd);
		else
			base_close(&fd);
	}
	if (error == -EAGAIN)
		return;
	device_log("cordon-vsock", "cordon-dial has ended: the guest can connect to nothing more");
	base_close(&v->dial);
	v->dial = 0;
	for (unsigned int i = 0; i < VSOCK_CONNECTIONS; i++)
		if (v->connections[i].state == VSOCK_DIALING)
			vsock_kill(v, &v->connections[i]);
}

/* ---- bytes ---- */

/* Sends as much as the socket takes: bytes, or -1 when the connection is no more. */
static ssize_t send_bytes(struct vsock *v, struct vsock_connection *c, struct iovec *list,
                          unsigned int count)
{
	const struct msghdr message = {.msg_iov = list, .msg_iovlen = count};
	ssize_t n;

	do {
		n = sendmsg(c->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0) {
		vsock_kill(v, c);
		return -1;
	}
	c->taken += (uint32_t)n;
	if (c->taken - c->told >= VSOCK_BUFFER / 2)
		c->wants |= VSOCK_WANT_CREDIT;
	return n;
}

void vsock_forward(struct vsock *v, struct vsock_connection *c, struct iovec *list,
                   unsigned int count, uint32_t size)
{
	ssize_t n = 0;
	uint32_t at;

	if (c->held == 0 && size > 0)
		n = send_bytes(v, c, list, count);
	if (n < 0 || (uint32_t)n == size)
		return;
	if (!c->buffer)
		c->buffer = malloc(VSOCK_BUFFER);
	if (!c->buffer) {
		vsock_kill(v, c);
		return;
	}
	/* behind what is held, around the buffer's end */
	for (at = (uint32_t)n; at < size;) {
		uint32_t to = (c->first + c->held) % VSOCK_BUFFER;
		uint32_t piece = BASE_MIN(size - at, VSOCK_BUFFER - to);

		vring_copy_out(list, count, at, c->buffer + to, piece);
		c->held += piece;
		at += piece;
	}
}

static void flush(struct vsock *v, struct vsock_connection *c)
{
	while (c->held > 0) {
		uint32_t piece = BASE_MIN(c->held, VSOCK_BUFFER - c->first);
		struct iovec part = {c->buffer + c->first, piece};
		ssize_t n = send_bytes(v, c, &part, 1);

		if (n <= 0)
			return;
		c->first = (c->first + (uint32_t)n) % VSOCK_BUFFER;
		c->held -= (uint32_t)n;
	}
	if (c->guest_shut)
		vsock_shut(v, c);
}

/* #syscall vsock: shutdown - what the guest will send no more, or not receive */
void vsock_shut(struct vsock *v, struct vsock_connection *c)
{
	if (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV)
		(void)shutdown(c->fd, SHUT_RD);
	if (c->held > 0)
		return; /* flush() comes back to it */
	if (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND)
		(void)shutdown(c->fd, SHUT_WR);
	/* the reset is what the guest waits for (section 5.10.6.5) */
	if (c->guest_shut == VSOCK_SHUT_BOTH)
		vsock_kill(v, c);
}

void vsock_host_ended(struct vsock *v, struct vsock_connection *c)
{
	c->host_shut |= VIRTIO_VSOCK_SHUTDOWN_SEND;
	if (c->hung_up)
		c->host_shut = VSOCK_SHUT_BOTH;
	c->wants |= VSOCK_WANT_SHUTDOWN;
	vsock_wake(v);
	if (c->host_shut != VSOCK_SHUT_BOTH)
		return;
	base_close(&c->fd);
	c->held = 0;
	c->state = VSOCK_ENDING;
	c->due = device_now() + ENDING_TIME;
}

void vsock_ready(struct vsock *v, struct vsock_connection *c, uint32_t events)
{
	c->hung_up |= (events & EPOLLHUP) != 0;
	if (c->state == VSOCK_HELLO) {
		hello(v, c);
		return;
	}
	c->readable |= (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
	if (events & EPOLLOUT && c->held > 0)
		flush(v, c);
	/* its last byte was read before, or will not be */
	if (c->state == VSOCK_OPEN && c->hung_up &&
	    (c->host_shut & VIRTIO_VSOCK_SHUTDOWN_SEND ||
	     c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV))
		vsock_host_ended(v, c);
}
