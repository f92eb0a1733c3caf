/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest memory, and so the rings in it, against cordon-console, with a client attached to it. The device's
 * file is part of this one, so that its state is at hand. Guest memory is two heap blocks of their own, which
 * puts the sanitizer's red zones where a guest's end of memory is.
 *
 * Input: options (ring size, features, the first index, the queue, what the client does), then memory.
 */
#include <sys/socket.h>

#include "vmm/devices/console.c"

enum { REGION = 16384, AVAILABLE = 0x400, USED = 0x500, OPTIONS = 8, RUNS = 3 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What lives from one input to the next. */
struct bench {
	uint8_t *low, *high;
	int pair[2];
	struct vhost_back back;
	struct console console;
};

static struct bench *bench_make(void)
{
	struct bench *b = calloc(1, sizeof(*b));

	if (!b)
		abort();
	b->low = malloc(REGION);
	b->high = malloc(REGION);
	if (!b->low || !b->high)
		abort();
	b->back = (struct vhost_back){
	        .ops = &console_ops, .self = &b->console, .requests = -1, .epoll = -1};
	return b;
}

/* A client that has typed a little, or much, or has gone; the second one is at its place or not. */
static void attach(struct bench *b, uint8_t shape)
{
	static const char typed[256] = "typed";
	struct console *c = &b->console;

	memset(c, 0, offsetof(struct console, recent));
	c->back = &b->back;
	c->config = (struct virtio_console_config){.cols = 80, .rows = 24, .max_nr_ports = 1};
	for (unsigned int i = 0; i < CONSOLE_CLIENTS; i++)
		c->clients[i].fd = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, b->pair) < 0)
		abort();
	c->written = shape & 8 ? 0xfffffff0ull : shape;
	c->clients[shape & 3].fd = b->pair[0];
	c->clients[shape & 3].seen = shape & 16 ? 0 : c->written;
	(void)!send(b->pair[1], typed, shape, 0);
	if (shape & 4)
		shutdown(b->pair[1], shape & 32 ? SHUT_RDWR : SHUT_WR);
}

static void detach(struct bench *b)
{
	for (unsigned int i = 0; i < CONSOLE_CLIENTS; i++)
		if (b->console.clients[i].fd >= 0)
			client_drop(&b->console.clients[i]);
	close(b->pair[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct bench *bench;
	struct bench *b = bench ? bench : (bench = bench_make());
	struct device_memory memory = {
	        .count = 2,
	        .region = {{.guest = 0, .size = REGION, .user = 0, .host = b->low},
	                   {.guest = REGION, .size = REGION, .user = REGION, .host = b->high}},
	};
	struct vring ring = {.memory = &memory, .available_at = AVAILABLE, .used_at = USED};
	unsigned int queue;

	if (size < OPTIONS)
		return 0;
	ring.size = 1u << data[0] % 6;
	ring.event_idx = data[1] & 1;
	ring.indirect = data[1] & 2;
	queue = data[2] & 1;
	size -= OPTIONS;
	memset(b->low, 0, REGION);
	memset(b->high, 0, REGION);
	memcpy(b->low, data + OPTIONS, BASE_MIN(size, (size_t)REGION));
	if (size > REGION)
		memcpy(b->high, data + OPTIONS + REGION, BASE_MIN(size - REGION, (size_t)REGION));
	attach(b, data[3]);
	if (vring_start(&ring, base_le16(data + 4)) == 0) {
		for (unsigned int i = 0; i < RUNS; i++) {
			uint32_t events = data[6] & 1u << i ? EPOLLIN | EPOLLOUT : EPOLLHUP;

			b->back.queue[CONSOLE_RX].started = data[6] & 16;
			(void)console_ready(&b->console, data[7] % (CONSOLE_CLIENTS + 1), events);
			if (console_queue_run(&b->console, queue, &ring) < 0)
				break;
		}
		(void)vring_must_signal(&ring);
	}
	detach(b);
	return 0;
}
