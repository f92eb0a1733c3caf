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
        {.name = NULL},
};
