/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames, control commands and receive buffers from a guest, against cordon-net's queues. A socket pair stands
 * for the tap: what comes out at its other end has to be a frame whose header is right for what is in it, as
 * the kernel would get it. Guest memory is two heap blocks of their own, which puts the sanitizer's red
 * zones where a guest's end of memory is.
 *
 * Input: queue (receive, transmit, control) and whether the rest is memory or one chain; ring size; ring
 * features; shape of the frames that come in, or where the chain is split; the ring's first index; the
 * negotiated features; then memory's first bytes, rings and all, or what the chain holds.
 */
#include <sys/socket.h>

#include "vmm/devices/net.c"

enum {
	REGION = 16384,
	AVAILABLE = 0x400,
	USED = 0x500,
	OPTIONS = 16,
	RUNS = 4,
	CHAIN = 0x80,
	DESCRIPTOR_NEXT = 1,
	DESCRIPTOR_WRITE = 2,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What lives from one input to the next. */
struct bench {
	uint8_t *low, *high;
	int tap, peer;
	struct net net;
};

static struct bench *bench_make(void)
{
	struct bench *b = calloc(1, sizeof(*b));
	int pair[2];

	if (!b)
		abort();
	b->low = malloc(REGION);
	b->high = malloc(REGION);
	if (!b->low || !b->high || socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair) < 0)
		abort();
	b->tap = pair[0];
	b->peer = pair[1];
	return b;
}

/* Some frames for the guest. */
static void tap_feed(const struct bench *b, uint8_t shape)
{
	static uint8_t frame[4096];

	for (unsigned int i = 0; i < 3; i++)
		(void)!send(b->peer, frame, NET_HEADER + (shape * 37u * (i + 1)) % 4000, 0);
}

/* Every frame that came out is one that may; what did not go in is taken back. */
static void tap_check(const struct bench *b)
{
	static uint8_t frame[70000];
	struct virtio_net_hdr_v1 header;
	ssize_t n;

	while ((n = recv(b->peer, frame, sizeof(frame), 0)) > 0) {
		if (n <= NET_HEADER || n > NET_GSO_MAX)
			abort();
		memcpy(&header, frame, sizeof(header));
		if (!net_header_valid(&header, frame + NET_HEADER,
		                      BASE_MIN((size_t)n - NET_HEADER, (size_t)NET_HEADERS_MAX),
		                      (uint64_t)n - NET_HEADER, b->net.features))
			abort();
	}
	while (recv(b->tap, frame, sizeof(frame), 0) > 0)
		continue;
}

static void descriptor(uint8_t *at, uint64_t address, uint32_t length, uint16_t flags,
                       uint16_t next)
{
	memcpy(at, &address, 8);
	memcpy(at + 8, &length, 4);
	memcpy(at + 12, &flags, 2);
	memcpy(at + 14, &next, 2);
}

/* One chain of what the input holds, in two pieces, with a byte for an answer behind it. */
static void chain_make(struct bench *b, const uint8_t *data, size_t size, size_t split,
                       uint16_t base)
{
	uint16_t head = 0, index = (uint16_t)(base + 1);

	size = BASE_MIN(size, (size_t)REGION - 1);
	split = BASE_MIN(split, size);
	memcpy(b->high, data, size);
	descriptor(b->low, REGION, (uint32_t)split, DESCRIPTOR_NEXT, 1);
	descriptor(b->low + 16, REGION + split, (uint32_t)(size - split), DESCRIPTOR_NEXT, 2);
	descriptor(b->low + 32, 2 * REGION - 1, 1, DESCRIPTOR_WRITE, 0);
	memcpy(b->low + AVAILABLE + 2, &index, 2);
	for (unsigned int i = 0; i < 4; i++)
		memcpy(b->low + AVAILABLE + 4 + 2 * i, &head, 2);
}

static void run(struct net *net, unsigned int queue, struct vring *ring, uint16_t base)
{
	if (vring_start(ring, base) < 0)
		return;
	for (unsigned int i = 0; i < RUNS; i++)
		if (net_ops.queue_run(net, queue, ring) < 0)
			break;
	(void)vring_must_signal(ring);
	net_ops.queue_stop(net, queue, ring);
	vring_stop(ring);
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
	struct vring ring = {
	        .memory = &memory,
	        .descriptors_at = 0,
	        .available_at = AVAILABLE,
	        .used_at = USED,
	};
	unsigned int queue;
	uint16_t base;

	if (size < OPTIONS)
		return 0;
	queue = data[0] % 3;
	base = base_le16(data + 4);
	ring.size = data[0] & CHAIN ? 4 : 1u << data[1] % 6;
	ring.event_idx = data[2] & 1;
	ring.indirect = data[2] & 2;
	b->net = (struct net){
	        .pairs = 1,
	        .active = 1,
	        .features = base_le64(data + 6) | 1ull << VIRTIO_NET_F_CTRL_VQ,
	        .config = {.mtu = NET_MTU_DEFAULT, .mac = {2}},
	        .pair = {{.tap = b->tap, .attached = true}},
	        .drops = {3ull << 60, 3ull << 60, 3ull << 60,
	                  3ull << 60}, /* lost frames are not to be said */
	};
	memset(b->low, 0, REGION);
	memset(b->high, 0, REGION);
	if (data[0] & CHAIN) {
		chain_make(b, data + OPTIONS, size - OPTIONS, data[3], base);
	} else {
		size -= OPTIONS;
		memcpy(b->low, data + OPTIONS, BASE_MIN(size, (size_t)REGION));
		if (size > REGION)
			memcpy(b->high, data + OPTIONS + REGION,
			       BASE_MIN(size - REGION, (size_t)REGION));
	}
	if (queue == 0)
		tap_feed(b, data[3]);
	run(&b->net, queue == 2 ? control_queue(&b->net) : queue, &ring, base);
	tap_check(b);
	return 0;
}
