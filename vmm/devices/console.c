/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-console: virtio-console with one port (virtio 1.2, section 5.3), which people attach to over a
 * unix stream socket: bytes of the guest's, both ways.
 *
 * What the guest writes goes to a log, up to its cap, and into a ring that holds the last of it. A client
 * is a place in that stream: it is sent what it has not seen yet, as fast as it reads. While one reads, the
 * guest's console waits for it, but only for CONSOLE_PATIENCE without progress: then the ring moves on, and
 * the client is told how much it missed. One that comes begins a few lines back. What clients type is read
 * only into buffers that the guest has posted.
 *
 * The terminal's size comes as datagrams of a socket of its own, so that the stream stays bytes: two
 * little-endian 16-bit numbers, columns and rows. The guest is told by a change of the configuration.
 */
#include <fcntl.h>
#include <linux/virtio_console.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "vmm/devices/list_console.h"
#include "vmm/devices/program.h"
#include "vmm/devices/rate.h"

enum {
	CONSOLE_RX, /* queue numbers */
	CONSOLE_TX,
	CONSOLE_CLIENTS = 4,
	CONSOLE_TAG_LISTENER = CONSOLE_CLIENTS, /* smaller tags are clients */
	CONSOLE_TAG_SIZE,
	CONSOLE_RECENT = 65536,    /* bytes kept of what the guest wrote; a power of two */
	CONSOLE_BEHIND = 32768,    /* how far behind a client makes the guest wait for it */
	CONSOLE_CHAIN_MAX = 32768, /* bytes taken of one chain: what fits beside CONSOLE_BEHIND */
	CONSOLE_GREETING = 4096,   /* shown to a client that comes */
	CONSOLE_INPUT = 4096,      /* the most that one read takes from a client */
	CONSOLE_CHUNK = 4096,
	CONSOLE_LOG_MAX = 4 << 20,
	CONSOLE_PATIENCE = RATE_SECOND,    /* ns without progress until nobody waits for a client */
	CONSOLE_PAUSE = RATE_SECOND / 200, /* ns between looks meanwhile */
	/* What a look counts at most: while we did not run, the client perhaps could not either. */
	CONSOLE_LOOK = 4 * CONSOLE_PAUSE,
};

struct console_client {
	int fd;           /* -1: none */
	uint64_t seen;    /* where in the guest's output it is */
	uint64_t stalled; /* for how long it has taken nothing, ns */
	uint64_t looked;  /* when that was added to last */
	bool slow;        /* it is not waited for, until it has caught up */
	bool deaf;        /* it takes nothing more, but what it said may not have been read yet */
	bool readable;
};

struct console {
	struct vhost_back *back;
	int listener, size, log; /* 0: not given */
	uint64_t logged;
	struct console_client clients[CONSOLE_CLIENTS];
	unsigned int turn; /* the client that was read last */
	struct virtio_console_config config;
	uint64_t written; /* bytes of output so far */
	uint8_t recent[CONSOLE_RECENT];
	struct vring_request request;
};

static const char console_log_full[] =
        "\r\n[cordon: the console's log is full; nothing more is kept]\r\n";

/* ---- output ---- */

static void client_drop(struct console_client *client)
{
	base_close(&client->fd);
	client->readable = false;
}

/*
 * Sends the client what it has not seen, as far as it takes it; EPOLLOUT tells when it takes more.
 *
 * #syscall console: sendto - the guest's output, to those who are attached
 */
static void client_feed(struct console *console, struct console_client *client)
{
	uint64_t behind = console->written - client->seen;

	if (client->deaf)
		return;
	if (behind > CONSOLE_RECENT) {
		char note[80];
		int size =
		        snprintf(note, sizeof(note), "\r\n[cordon: %llu bytes were not shown]\r\n",
		                 (unsigned long long)(behind - CONSOLE_RECENT));

		if (send(client->fd, note, (size_t)size, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
			goto failed;
		client->seen = console->written - CONSOLE_RECENT;
	}
	while (client->seen < console->written) {
		size_t at = client->seen % CONSOLE_RECENT;
		size_t size = BASE_MIN(console->written - client->seen, CONSOLE_RECENT - at);
		ssize_t n =
		        send(client->fd, console->recent + at, size, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0)
			goto failed;
		client->seen += (uint64_t)n;
		client->stalled = 0;
	}
	client->slow = false;
	return;
failed:
	/* who types a line and goes at once has still said it: reading comes to the end of it */
	client->deaf = errno != EAGAIN && errno != EINTR;
}

static void feed_all(struct console *console)
{
	for (unsigned int i = 0; i < CONSOLE_CLIENTS; i++)
		if (console->clients[i].fd >= 0)
			client_feed(console, &console->clients[i]);
}

/* Whether a client that still reads is so far behind that the ring must not move on yet. */
static bool must_wait(struct console *console)
{
	uint64_t now = 0;

	for (unsigned int i = 0; i < CONSOLE_CLIENTS; i++) {
		struct console_client *client = &console->clients[i];

		if (client->fd < 0 || client->slow || client->deaf)
			continue;
		/* EPOLLOUT comes late: the socket may have room long before */
		if (console->written - client->seen > CONSOLE_BEHIND)
			client_feed(console, client);
		if (client->deaf || console->written - client->seen <= CONSOLE_BEHIND)
			continue;
		now = now ? now : device_now();
		client->stalled += BASE_MIN(now - client->looked, (uint64_t)CONSOLE_LOOK);
		client->looked = now;
		if (client->stalled < CONSOLE_PATIENCE)
			return true;
		client->slow = true;
	}
	return false;
}

static void log_output(struct console *console, const uint8_t *data, size_t size)
{
	uint64_t room = CONSOLE_LOG_MAX - sizeof(console_log_full) + 1;
	int error;

	if (console->log == 0 || console->logged >= room)
		return;
	size = BASE_MIN(size, room - console->logged);
	console->logged += size;
	error = base_write_all(console->log, data, size);
	if (!error && console->logged == room)
		error = base_write_all(console->log, console_log_full,
		                       sizeof(console_log_full) - 1);
	if (error) {
		device_log("cordon-console", "the log cannot be written: %s", strerror(-error));
		console->log = 0;
	}
}

static void output(struct console *console, const uint8_t *data, size_t size)
{
	log_output(console, data, size);
	while (size > 0) {
		size_t at = console->written % CONSOLE_RECENT;
		size_t piece = BASE_MIN(size, CONSOLE_RECENT - at);

		memcpy(console->recent + at, data, piece);
		console->written += piece;
		data += piece;
		size -= piece;
	}
}

static int run_transmit(struct console *console, struct vring *ring)
{
	struct vring_request *r = &console->request;
	int got = 1;

	vring_kicks(ring, false);
	for (unsigned int i = 0; i < VHOST_BACK_BATCH; i++) {
		uint8_t chunk[CONSOLE_CHUNK];
		size_t n;

		if (must_wait(console))
			return CONSOLE_PAUSE;
		got = vring_pop(ring, r);
		if (got <= 0)
			break;
		for (size_t at = 0; at < CONSOLE_CHAIN_MAX; at += n) {
			n = vring_copy_out(r->iov, r->readable, at, chunk, sizeof(chunk));
			output(console, chunk, n);
			if (n < sizeof(chunk))
				break;
		}
		vring_push(ring, r->head, 0);
		feed_all(console);
	}
	return got == 0 ? vring_kicks(ring, true) : got;
}

/* ---- input ---- */

/* The next client after the last one that has something to say, or NULL. */
static struct console_client *client_next(struct console *console)
{
	for (unsigned int i = 1; i <= CONSOLE_CLIENTS; i++) {
		unsigned int at = (console->turn + i) % CONSOLE_CLIENTS;

		if (console->clients[at].readable) {
			console->turn = at;
			return &console->clients[at];
		}
	}
	return NULL;
}

/*
 * What one client typed, into the chain at hand: bytes written, or 0 when there was nothing.
 *
 * #syscall console: readv - what a client types goes into the guest's buffers
 */
static uint32_t client_read(struct console *console, struct console_client *client)
{
	struct vring_request *r = &console->request;
	struct iovec *list = r->iov + r->readable;
	unsigned int count = vring_truncate(list, r->writable, CONSOLE_INPUT);
	ssize_t n;

	do {
		n = readv(client->fd, list, (int)count);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return (uint32_t)n;
	if (n < 0 && errno == EAGAIN)
		client->readable = false;
	else
		client_drop(client);
	return 0;
}

static int run_receive(struct console *console, struct vring *ring)
{
	vring_kicks(ring, false);
	for (unsigned int i = 0; i < VHOST_BACK_BATCH; i++) {
		struct console_client *client = client_next(console);
		uint32_t size;
		int got;

		if (!client)
			return 0;
		got = vring_pop(ring, &console->request);
		if (got < 0)
			return got;
		if (got == 0)
			return vring_kicks(ring, true);
		if (console->request.writable_bytes == 0)
			return vring_break(ring, "a receive buffer has no room");
		size = client_read(console, client);
		if (size > 0) {
			device_memory_wrote(ring->memory,
			                    console->request.iov + console->request.readable,
			                    console->request.writable, size);
			vring_push(ring, console->request.head, size);
		} else {
			vring_unpop(ring, 1);
		}
	}
	return 1;
}

static int console_queue_run(void *self, unsigned int queue, struct vring *ring)
{
	return queue == CONSOLE_RX ? run_receive(self, ring) : run_transmit(self, ring);
}

/* ---- the host's sockets ---- */

/* Where somebody who comes now begins: at the start of a line, a few lines back. */
static uint64_t greeting(const struct console *console)
{
	uint64_t at = console->written - BASE_MIN(console->written, (uint64_t)CONSOLE_GREETING);

	if (at == 0)
		return 0;
	for (uint64_t line = at; line < console->written; line++)
		if (console->recent[line % CONSOLE_RECENT] == '\n')
			return line + 1;
	return at;
}

/* A free place; else that of one who has gone, and whom the guest has let wait; else CONSOLE_CLIENTS. */
static unsigned int place_for_client(struct console *console)
{
	unsigned int gone = CONSOLE_CLIENTS;

	for (unsigned int i = 0; i < CONSOLE_CLIENTS; i++) {
		if (console->clients[i].fd < 0)
			return i;
		if (console->clients[i].deaf)
			gone = i;
	}
	if (gone < CONSOLE_CLIENTS)
		client_drop(&console->clients[gone]);
	return gone;
}

/*
 * #syscall console: accept4 - somebody attaches
 * #syscall console: getsockopt - the C library's, for accept4
 */
static void accept_client(struct console *console)
{
	int fd;

	while ((fd = accept4(console->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		unsigned int i = place_for_client(console);

		if (i == CONSOLE_CLIENTS ||
		    vhost_back_watch_tag(console->back, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP,
		                         (uint16_t)i) < 0) {
			close(fd);
			continue;
		}
		console->clients[i] = (struct console_client){.fd = fd, .seen = greeting(console)};
		client_feed(console, &console->clients[i]);
	}
}

/* #syscall console: recvfrom - the size of the terminal that is attached */
static void read_size(struct console *console)
{
	uint16_t size[3];
	bool changed = false;
	ssize_t n;

	/* one byte more than it may have would be seen as another length */
	while ((n = recv(console->size, size, sizeof(size), MSG_DONTWAIT)) >= 0) {
		if (n != 2 * sizeof(size[0]) ||
		    (size[0] == console->config.cols && size[1] == console->config.rows))
			continue;
		console->config.cols = size[0];
		console->config.rows = size[1];
		changed = true;
	}
	if (changed)
		vhost_back_config_changed(console->back);
}

static uint32_t console_ready(void *self, uint16_t tag, uint32_t events)
{
	struct console *console = self;
	struct console_client *client;

	if (tag == CONSOLE_TAG_LISTENER)
		accept_client(console);
	else if (tag == CONSOLE_TAG_SIZE)
		read_size(console);
	if (tag >= CONSOLE_CLIENTS || console->clients[tag].fd < 0)
		return 0;
	client = &console->clients[tag];
	/* without a guest that reads, nobody else would notice that it has gone */
	if (events & EPOLLHUP && !console->back->queue[CONSOLE_RX].started) {
		client_drop(client);
		return 0;
	}
	client->readable |= (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0;
	if (events & EPOLLOUT)
		client_feed(console, client);
	return 1u << CONSOLE_RX | 1u << CONSOLE_TX;
}

/* ---- the device ---- */

static uint64_t console_features(void *self)
{
	(void)self;
	return 1ull << VIRTIO_CONSOLE_F_SIZE;
}

static int console_config_read(void *self, uint32_t offset, void *data, uint32_t size)
{
	const struct console *console = self;
	size_t there = sizeof(console->config);

	memset(data, 0, size);
	if (offset < there)
		memcpy(data, (const uint8_t *)&console->config + offset,
		       BASE_MIN(size, there - offset));
	return 0;
}

static int watch_socket(struct vhost_back *back, int fd, uint16_t tag)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return vhost_back_watch_tag(back, fd, EPOLLIN, tag);
}

static int console_open(void *self, struct vhost_back *back, const char **why)
{
	struct console *console = self;
	struct stat status;
	int error;

	console->back = back;
	for (unsigned int i = 0; i < CONSOLE_CLIENTS; i++)
		console->clients[i].fd = -1;
	console->config = (struct virtio_console_config){.cols = 80, .rows = 24, .max_nr_ports = 1};
	*why = "the log cannot be looked at";
	if (console->log && fstat(console->log, &status) < 0)
		return -errno;
	console->logged = console->log ? (uint64_t)status.st_size : 0;
	*why = "the socket to attach to cannot be waited for";
	error = watch_socket(back, console->listener, CONSOLE_TAG_LISTENER);
	if (error < 0 || console->size == 0)
		return error;
	*why = "the socket of the terminal's size cannot be waited for";
	return watch_socket(back, console->size, CONSOLE_TAG_SIZE);
}

static int set_listen(void *self, const char *value)
{
	return device_fd(value, &((struct console *)self)->listener);
}

static int set_size(void *self, const char *value)
{
	return device_fd(value, &((struct console *)self)->size);
}

static int set_log(void *self, const char *value)
{
	return device_fd(value, &((struct console *)self)->log);
}

static const struct vhost_device_ops console_ops = {
        .name = "cordon-console",
        .queues = 2,
        .queue_num = 2,
        .features = console_features,
        .config_read = console_config_read,
        .config_changes = true,
        .queue_run = console_queue_run,
        .ready = console_ready,
};

static const struct device_option console_options[] = {
        {"listen", "FD", true, set_listen},
        {"size", "FD", false, set_size},
        {"log", "FD", false, set_log},
};

const struct device_program device_console = {
        .ops = &console_ops,
        .options = console_options,
        .option_count = BASE_COUNT(console_options),
        .state_size = sizeof(struct console),
        .list = &list_console,
        .open = console_open,
};
