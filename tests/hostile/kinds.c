/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kinds of devices that the hostile guest can drive. To add one: what a request of each queue is made
 * of, and one good request, whose answer is looked at.
 */
#include "tests/hostile/virtio.h"

enum {
	BLK_SECTOR = 512,
	BLK_IN = 0,
	BLK_OUT = 1,
	BLK_TEST_SECTOR =
	        64, /* the one that is written; those before it are the host's to look at */
	NET_HEADER = 12,
	NET_FRAME = 60,
	NET_BUFFER = 2048,
	NET_RX = 0,
	NET_TX = 1,
	RNG_BYTES = 64,
	BALLOON_PAGES = 4,
	BALLOON_INTO = 64 << 10, /* where in the buffer its pages are */
	BALLOON_STATS = 20,
	CONSOLE_BYTES = 64,
	VSOCK_BUFFER = 1024,
	VSOCK_BUFFERS = 8,
	VSOCK_RX = 0,
	VSOCK_TX = 1,
	VSOCK_PAYLOAD = 64,
	VSOCK_REQUEST = 1,
	VSOCK_RESET = 3,
	VSOCK_DATA = 5,
	VSOCK_HOST = 2,
	VSOCK_PORT = 77, /* that nobody is allowed to reach */
};

/* ---- blk (5.2) ---- */

struct blk_header {
	uint32_t type, reserved;
	uint64_t sector;
};

static void blk_fill(struct device *d, unsigned int queue)
{
	struct blk_header *header = (void *)d->buffer;

	(void)queue;
	*header = (struct blk_header){.type = BLK_IN, .sector = BLK_TEST_SECTOR};
}

/* One sector, one way: header, data, status lie one after another in the buffer. */
static const char *blk_move(struct device *d, uint32_t type)
{
	struct queue *q = &d->queues[0];
	struct blk_header *header = (void *)d->buffer;
	volatile uint8_t *end = d->buffer + sizeof(*header) + BLK_SECTOR;
	uint32_t written;

	request_lay_at(q, 0, 0);
	*header = (struct blk_header){.type = type, .sector = BLK_TEST_SECTOR};
	*end = 0xff;
	if (type == BLK_OUT)
		q->descriptors[1].flags &= (uint16_t)~WRITE;
	request_send(q, 0);
	if (!request_wait(q, ANSWER_MS, &written))
		return why("%s: no answer to a good request, status %x", device_name(d), status(d));
	if (*end != 0)
		return why("%s: a good request of type %u was answered %u", device_name(d), type,
		           *end);
	return NULL;
}

static const char *blk_good(struct device *d)
{
	static uint32_t token = 0x517c0000;
	uint32_t *data = (void *)(d->buffer + sizeof(struct blk_header));
	const char *bad;

	token++;
	for (unsigned int i = 0; i < BLK_SECTOR / 4; i++)
		data[i] = token * (i + 1);
	bad = blk_move(d, BLK_OUT);
	memory_fill(data, 0xee, BLK_SECTOR);
	if (!bad)
		bad = blk_move(d, BLK_IN);
	for (unsigned int i = 0; i < BLK_SECTOR / 4 && !bad; i++)
		if (((volatile uint32_t *)data)[i] != token * (i + 1))
			bad = why("%s: what was written is not what is read", device_name(d));
	return bad;
}

/* ---- net (5.1) ---- */

struct net_arp {
	uint8_t to[6], from[6], type[2];
	uint8_t hardware[2], protocol[2], sizes[2], operation[2];
	uint8_t sender_mac[6], sender_ip[4], target_mac[6], target_ip[4];
} __attribute__((packed));

/* 10.77.x.y: cordon's addresses follow from the MAC that it gives (02:cd:0:0 and the link's number). */
static void net_address(const struct device *d, uint8_t mac[6], uint8_t own[4], uint8_t gateway[4])
{
	uint16_t link;

	for (unsigned int i = 0; i < 6; i++)
		mac[i] = (uint8_t)mmio_read(d->bar + d->config.offset + i, 1);
	link = (uint16_t)((mac[4] << 8 | mac[5]) * 4);
	own[0] = gateway[0] = 10;
	own[1] = gateway[1] = 77;
	own[2] = gateway[2] = (uint8_t)(link >> 8);
	own[3] = (uint8_t)(link + 2);
	gateway[3] = (uint8_t)(link + 1);
}

/* Who has the gateway's address? */
static void net_fill(struct device *d, unsigned int queue)
{
	struct net_arp *arp = (void *)(d->buffer + NET_HEADER);
	uint8_t mac[6], own[4], gateway[4];

	if (queue != NET_TX)
		return;
	net_address(d, mac, own, gateway);
	memory_fill(d->buffer, 0, NET_HEADER + NET_FRAME);
	memory_fill(arp->to, 0xff, 6);
	memory_copy(arp->from, mac, 6);
	arp->type[0] = 8;
	arp->type[1] = 6;
	arp->hardware[1] = 1;
	arp->protocol[0] = 8;
	arp->sizes[0] = 6;
	arp->sizes[1] = 4;
	arp->operation[1] = 1;
	memory_copy(arp->sender_mac, mac, 6);
	memory_copy(arp->sender_ip, own, 4);
	memory_copy(arp->target_ip, gateway, 4);
}

/* Takes received frames until the gateway's answer is among them; each buffer is given back. */
static const char *net_answer(struct device *d, const uint8_t *gateway)
{
	struct queue *q = &d->queues[NET_RX];
	uint64_t end = time_ms() + ANSWER_MS;

	while (time_ms() < end) {
		const struct net_arp *arp;
		uint32_t id;
		bool found;

		if (!request_wait(q, 1, NULL))
			continue;
		id = q->used->ring[(uint16_t)(q->seen - 1) % q->size].id;
		arp = (const void *)(d->buffer + PAGE + id * NET_BUFFER + NET_HEADER);
		found = arp->type[0] == 8 && arp->type[1] == 6 && arp->operation[1] == 2 &&
		        memory_same(arp->sender_ip, gateway, 4);
		request_send(q, (uint16_t)id);
		if (found)
			return NULL;
	}
	return why("%s: the gateway's answer does not come, status %x", device_name(d), status(d));
}

static const char *net_good(struct device *d)
{
	struct queue *rx = &d->queues[NET_RX], *tx = &d->queues[NET_TX];
	uint8_t mac[6], own[4], gateway[4];

	net_address(d, mac, own, gateway);
	if (rx->next == 0) { /* a fresh ring: buffers for what comes */
		for (uint16_t i = 0; i < rx->size && i < 32; i++) {
			request_lay_at(rx, i, PAGE + i * (uint32_t)NET_BUFFER);
			request_offer(rx, i);
		}
		queue_notify(rx);
	}
	net_fill(d, NET_TX);
	request_lay_at(tx, 0, 0);
	request_send(tx, 0);
	if (!request_wait(tx, ANSWER_MS, NULL))
		return why("%s: a good frame is not taken, status %x", device_name(d), status(d));
	return net_answer(d, gateway);
}

/* ---- rng (5.4) ---- */

static const char *rng_good(struct device *d)
{
	struct queue *q = &d->queues[0];
	uint8_t zeroes[RNG_BYTES] = {0};
	uint32_t written;

	memory_fill(d->buffer, 0, RNG_BYTES);
	request_lay_at(q, 0, 0);
	request_send(q, 0);
	if (!request_wait(q, ANSWER_MS, &written))
		return why("%s: no answer to a good request, status %x", device_name(d), status(d));
	if (written != RNG_BYTES || memory_same(d->buffer, zeroes, RNG_BYTES))
		return why("%s: %u bytes came, or only zeroes; expected %u", device_name(d),
		           written, (unsigned int)RNG_BYTES);
	return NULL;
}

/* ---- balloon (5.5) ---- */

static void balloon_fill(struct device *d, unsigned int queue)
{
	uint32_t *pages = (void *)d->buffer;

	(void)queue;
	for (uint32_t i = 0; i < BALLOON_PAGES; i++)
		pages[i] = (uint32_t)((uint64_t)(d->buffer + BALLOON_INTO) / PAGE) + i;
}

/* Pages go into the balloon, and come out as zeros. */
static const char *balloon_good(struct device *d)
{
	const volatile uint64_t *pages = (void *)(d->buffer + BALLOON_INTO);

	memory_fill(d->buffer + BALLOON_INTO, 0x77, BALLOON_PAGES * PAGE);
	for (unsigned int i = 0; i < 2; i++) { /* inflate, deflate */
		struct queue *q = &d->queues[i];

		balloon_fill(d, i);
		request_lay_at(q, 0, 0);
		request_send(q, 0);
		if (!request_wait(q, ANSWER_MS, NULL))
			return why("%s: no answer to a good request, status %x", device_name(d),
			           status(d));
	}
	for (unsigned int i = 0; i < BALLOON_PAGES * PAGE / sizeof(*pages); i++)
		if (pages[i] != 0)
			return why("%s: a page came back as %lx", device_name(d), pages[i]);
	return NULL;
}

/* ---- console (5.3) ---- */

static const char *console_good(struct device *d)
{
	struct queue *q = &d->queues[1];

	memory_fill(d->buffer, '.', CONSOLE_BYTES);
	request_lay_at(q, 0, 0);
	request_send(q, 0);
	if (!request_wait(q, ANSWER_MS, NULL))
		return why("%s: no answer to a good request, status %x", device_name(d), status(d));
	return NULL;
}

/* ---- vsock (5.10) ---- */

struct vsock_header {
	uint64_t from, to;
	uint32_t from_port, to_port, length;
	uint16_t type, operation;
	uint32_t flags, buffer, taken;
} __attribute__((packed));

static void vsock_header(struct device *d, uint16_t operation, uint32_t port)
{
	*(struct vsock_header *)d->buffer = (struct vsock_header){
	        .from = mmio_read(d->bar + d->config.offset, 8),
	        .to = VSOCK_HOST,
	        .from_port = port,
	        .to_port = VSOCK_PORT,
	        .length = operation == VSOCK_DATA ? VSOCK_PAYLOAD : 0,
	        .type = 1,
	        .operation = operation,
	        .buffer = VSOCK_BUFFER,
	};
}

static void vsock_fill(struct device *d, unsigned int queue)
{
	if (queue == VSOCK_TX)
		vsock_header(d, VSOCK_DATA, VSOCK_PORT);
}

/* Takes what came until it is the reset of this port; each buffer is given back. */
static const char *vsock_refused(struct device *d, uint32_t port)
{
	struct queue *q = &d->queues[VSOCK_RX];
	uint64_t end = time_ms() + ANSWER_MS;

	while (time_ms() < end) {
		const struct vsock_header *header;
		uint32_t id;
		bool found;

		if (!request_wait(q, 1, NULL))
			continue;
		id = q->used->ring[(uint16_t)(q->seen - 1) % q->size].id;
		header = (const void *)(d->buffer + PAGE + id * VSOCK_BUFFER);
		found = header->operation == VSOCK_RESET && header->to_port == port;
		request_send(q, (uint16_t)id);
		if (found)
			return NULL;
	}
	return why("%s: a connection is not refused, status %x", device_name(d), status(d));
}

/* A connection to where none is allowed is refused. */
static const char *vsock_good(struct device *d)
{
	struct queue *rx = &d->queues[VSOCK_RX], *tx = &d->queues[VSOCK_TX];
	static uint32_t port = 1000;

	for (uint16_t i = 0; rx->next < VSOCK_BUFFERS; i++) {
		request_lay_at(rx, i, PAGE + i * (uint32_t)VSOCK_BUFFER);
		request_offer(rx, i);
	}
	queue_notify(rx);
	vsock_header(d, VSOCK_REQUEST, ++port);
	request_lay_at(tx, 0, 0);
	request_send(tx, 0);
	if (!request_wait(tx, ANSWER_MS, NULL))
		return why("%s: a good packet is not taken, status %x", device_name(d), status(d));
	return vsock_refused(d, port);
}

const struct kind kinds[] = {
        {.name = "net",
         .id = 1,
         .features = BIT(5) | BIT(16) | BIT(17), /* MAC, STATUS, CTRL_VQ */
         .queues = {{.part = {{NET_BUFFER, true}}, .lazy = true},
                    {.part = {{NET_HEADER, false}, {NET_FRAME, false}}},
                    {.part = {{2, false}, {1, false}, {1, true}}}},
         .fill = net_fill,
         .good = net_good},
        {.name = "blk",
         .id = 2,
         .features = BIT(2) | BIT(5) | BIT(6) | BIT(9) | BIT(13) | BIT(14),
         .queues = {{.part = {{sizeof(struct blk_header), false}, {BLK_SECTOR, true}, {1, true}}}},
         .fill = blk_fill,
         .good = blk_good},
        {.name = "rng", .id = 4, .queues = {{.part = {{RNG_BYTES, true}}}}, .good = rng_good},
        {.name = "balloon",
         .id = 5,
         .features = BIT(1) | BIT(5), /* STATS_VQ, REPORTING */
         .queues = {{.part = {{4 * BALLOON_PAGES, false}}},
                    {.part = {{4 * BALLOON_PAGES, false}}},
                    {.part = {{BALLOON_STATS, false}}, .lazy = true},
                    {.part = {{PAGE, true}}},
                    {.part = {{PAGE, true}}}},
         .fill = balloon_fill,
         .good = balloon_good},
        {.name = "console",
         .id = 3,
         .features = BIT(0), /* SIZE */
         .queues = {{.part = {{CONSOLE_BYTES, true}}, .lazy = true},
                    {.part = {{CONSOLE_BYTES, false}}}},
         .good = console_good},
        {.name = "vsock",
         .id = 19,
         .features = BIT(0), /* STREAM */
         .queues = {{.part = {{VSOCK_BUFFER, true}}, .lazy = true},
                    {.part = {{sizeof(struct vsock_header), false}, {VSOCK_PAYLOAD, false}}},
                    {.part = {{64, true}}, .lazy = true}},
         .fill = vsock_fill,
         .good = vsock_good},
        {.name = NULL},
};
