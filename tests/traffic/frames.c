/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See frames.h. Nothing here asks the kernel for anything, so it serves a static program in a guest too. */
#include "tests/traffic/frames.h"

#include "base/base.h"

void frame_put(struct frame *f, const void *bytes, size_t size)
{
	size = BASE_MIN(size, FRAME_MAX - f->size);
	memcpy(f->bytes + f->size, bytes, size);
	f->size += size;
}

void frame_put16(struct frame *f, unsigned int value)
{
	frame_put(f, (uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static uint32_t sum16(const uint8_t *at, size_t size, uint32_t sum)
{
	for (size_t i = 0; i + 1 < size; i += 2)
		sum += base_be16(at + i);
	return size % 2 ? sum + ((uint32_t)at[size - 1] << 8) : sum;
}

static void finish_sum(uint8_t *at, uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	at[0] = (uint8_t)(~sum >> 8);
	at[1] = (uint8_t)~sum;
}

struct frame frame_ethernet(const struct frame_net *n, unsigned int type)
{
	struct frame f = {.size = 0};

	frame_put(&f, n->tap_mac, 6);
	frame_put(&f, n->own_mac, 6);
	frame_put16(&f, type);
	return f;
}

void frame_ip4_sum(struct frame *f)
{
	size_t size = (f->bytes[14] & 0xfu) * 4;

	memset(f->bytes + 24, 0, 2);
	finish_sum(f->bytes + 24, sum16(f->bytes + 14, size, 0));
}

struct frame frame_ip4(const struct frame_net *n, const uint8_t from[4], const uint8_t to[4],
                       uint8_t protocol, unsigned int flags, const struct frame *payload)
{
	struct frame f = frame_ethernet(n, 0x0800);

	frame_put(&f, (uint8_t[]){0x45, 0}, 2);
	frame_put16(&f, (unsigned int)(20 + payload->size));
	frame_put16(&f, 0x4242);
	frame_put16(&f, flags);
	frame_put(&f, (uint8_t[]){64, protocol, 0, 0}, 4);
	frame_put(&f, from, 4);
	frame_put(&f, to, 4);
	frame_ip4_sum(&f);
	frame_put(&f, payload->bytes, payload->size);
	return f;
}

struct frame frame_ip6(const struct frame_net *n, const uint8_t from[16], const uint8_t to[16],
                       uint8_t next, uint8_t hops, const struct frame *payload)
{
	struct frame f = frame_ethernet(n, 0x86dd);

	frame_put(&f, (uint8_t[]){0x60, 0, 0, 0}, 4);
	frame_put16(&f, (unsigned int)payload->size);
	frame_put(&f, (uint8_t[]){next, hops}, 2);
	frame_put(&f, from, 16);
	frame_put(&f, to, 16);
	frame_put(&f, payload->bytes, payload->size);
	return f;
}

struct frame frame_udp(unsigned int from, unsigned int to, const char *text)
{
	struct frame f = {.size = 0};

	frame_put16(&f, from);
	frame_put16(&f, to);
	frame_put16(&f, (unsigned int)(8 + strlen(text) + 1));
	frame_put16(&f, 0);
	frame_put(&f, text, strlen(text) + 1);
	return f;
}

struct frame frame_syn(unsigned int from, unsigned int to, const char *text)
{
	struct frame f = {.size = 0};

	frame_put16(&f, from);
	frame_put16(&f, to);
	/* sequence and acknowledgement numbers, 20 bytes of header, SYN, window, checksum, urgent */
	frame_put(&f, (uint8_t[]){0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0x20, 0, 0, 0, 0, 0}, 16);
	frame_put(&f, text, strlen(text) + 1);
	return f;
}

/* CRC32c (RFC 9260 appendix A), a bit at a time. */
static uint32_t crc32c(const uint8_t *at, size_t size)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < size; i++) {
		crc ^= at[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
	}
	return ~crc;
}

struct frame frame_sctp(unsigned int from, unsigned int to, const char *text)
{
	/* verification tag and checksum; INIT alone in the packet; tag, window, streams, sequence */
	uint8_t init[28] = {[8] = 1, [15] = 1, [18] = 0xff, 0xff, 0, 1, 0, 1, [27] = 1};
	/* a parameter of a type that receivers skip */
	uint8_t parameter[4] = {0xc1, 0, 0, (uint8_t)(4 + strlen(text) + 1)};
	struct frame f = {.size = 0};
	uint32_t crc;

	init[11] = (uint8_t)(20 + parameter[3]);
	frame_put16(&f, from);
	frame_put16(&f, to);
	frame_put(&f, init, sizeof(init));
	frame_put(&f, parameter, sizeof(parameter));
	frame_put(&f, text, strlen(text) + 1);
	while (f.size % 4)
		frame_put(&f, "", 1);
	crc = crc32c(f.bytes, f.size);
	for (int i = 0; i < 4; i++)
		f.bytes[8 + i] = (uint8_t)(crc >> 8 * i);
	return f;
}

struct frame frame_sum4(struct frame payload, const uint8_t from[4], const uint8_t to[4],
                        uint8_t protocol)
{
	uint32_t sum = sum16(from, 4, sum16(to, 4, (uint32_t)payload.size + protocol));

	finish_sum(payload.bytes + 16, sum16(payload.bytes, payload.size, sum));
	return payload;
}

struct frame frame_sum6(struct frame payload, const uint8_t from[16], const uint8_t to[16],
                        uint8_t next)
{
	uint32_t sum = sum16(from, 16, sum16(to, 16, (uint32_t)payload.size + next));
	size_t at = next == 17 ? 6 : next == 6 ? 16 : 2;

	finish_sum(payload.bytes + at, sum16(payload.bytes, payload.size, sum));
	return payload;
}

struct frame frame_nd(const struct frame_net *n, const uint8_t from[16], const uint8_t to[16],
                      uint8_t type, const uint8_t target[16], uint8_t option, const uint8_t mac[6])
{
	struct frame f = {.size = 0};

	frame_put(&f, (uint8_t[]){type, 0, 0, 0, 0, 0, 0, 0}, 8);
	if (target)
		frame_put(&f, target, 16);
	if (option) {
		frame_put(&f, (uint8_t[]){option, 1}, 2);
		frame_put(&f, mac, 6);
	}
	f = frame_sum6(f, from, to, 58);
	return frame_ip6(n, from, to, 58, 255, &f);
}

struct frame frame_arp(const struct frame_net *n, unsigned int operation, const uint8_t mac[6],
                       const uint8_t sender[4], const uint8_t target[4])
{
	static const uint8_t none[6];
	struct frame f = frame_ethernet(n, 0x0806);

	frame_put(&f, (uint8_t[]){0, 1, 8, 0, 6, 4}, 6);
	frame_put16(&f, operation);
	frame_put(&f, mac, 6);
	frame_put(&f, sender, 4);
	frame_put(&f, none, 6);
	frame_put(&f, target, 4);
	return f;
}
