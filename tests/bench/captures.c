// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Makes the captures that the offline bench reads, always the same bytes:
 *
 *   small  50,000 flows at a time, UDP and TCP, 64-byte frames (60 without their checksum), each packet of
 *          a flow picked at random, either way
 *   mixed  2,000 conversations at a time, which begin and end: web and TLS over TCP with full-size segments,
 *          DNS, ping, ARP; one in six over IPv6; frames of 60 to 1,514 bytes
 *   many   ten million flows of one packet
 *
 *   usage: captures small|mixed|many PACKETS >FILE
 */
#include "base/base.h"

enum {
	SMALL_FLOWS = 50000,
	MIXED_TALKS = 2000,
	FRAME_ROOM = 1514,
	STEP_SMALL_NS = 1000,
	STEP_MIXED_NS = 50000,
	TCP = 6,
	UDP = 17,
	ICMP = 1,
	FIN = 1,
	SYN = 2,
	PSH = 8,
	ACK = 16,
};

static uint64_t state = 88172645463325252ull;

static uint32_t pick(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)((state >> 32) * below >> 32);
}

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value);
}

struct packet {
	uint64_t ns;
	uint32_t size;
	uint8_t bytes[FRAME_ROOM];
};

/* One end talks to another; `out` says which way this packet goes. */
struct talk {
	uint32_t client, server; /* numbers that addresses are made of */
	uint16_t client_port, server_port;
	uint8_t proto;
	bool six, out;
	uint8_t flags;
	uint32_t seq[2];
	uint32_t step, steps;
};

static void addresses(uint8_t *ip, const struct talk *talk)
{
	static const uint8_t prefix[6] = {0x20, 1, 0xd, 0xb8, 0, 1};
	uint8_t *client = ip + (talk->six ? 8 : 12), *server = ip + (talk->six ? 24 : 16),
	        *other = client;

	if (!talk->out) {
		client = server;
		server = other;
	}
	if (talk->six) {
		memcpy(client, prefix, sizeof(prefix));
		memcpy(server, prefix, sizeof(prefix));
		server[5] = 2;
		put32(client + 12, talk->client);
		put32(server + 12, talk->server);
	} else {
		put32(client, 0x0a000000 + talk->client);
		put32(server, 0xc6120000 + talk->server);
	}
}

/* Headers of the talk's next packet, with `payload` bytes above them; where those start. */
static uint8_t *frame(struct packet *packet, const struct talk *talk, uint32_t payload)
{
	uint8_t *ip = packet->bytes + 14, *up = ip + (talk->six ? 40 : 20);
	uint32_t upper = (talk->proto == TCP ? 20u : 8u) + payload;

	memset(packet->bytes, 0, 14 + 40 + 20);
	memcpy(packet->bytes, "\2\0\0\0\0\1\2\0\0\0\0\2", 12);
	put16(packet->bytes + 12, talk->six ? 0x86dd : 0x0800);
	addresses(ip, talk);
	if (talk->six) {
		ip[0] = 0x60;
		put16(ip + 4, upper);
		ip[6] = talk->proto == ICMP ? 58 : talk->proto;
		ip[7] = 64;
	} else {
		ip[0] = 0x45;
		put16(ip + 2, 20 + upper);
		ip[8] = 64;
		ip[9] = talk->proto;
	}
	put16(up, talk->out ? talk->client_port : talk->server_port);
	put16(up + 2, talk->out ? talk->server_port : talk->client_port);
	if (talk->proto == TCP) {
		put32(up + 4, talk->seq[talk->out]);
		put32(up + 8, talk->seq[!talk->out]);
		up[12] = 0x50;
		up[13] = talk->flags;
		put16(up + 14, 64240);
	} else if (talk->proto == UDP) {
		put16(up + 4, upper);
	} else {
		put16(up, (talk->six ? talk->out ? 128u : 129u : talk->out ? 8u : 0u) << 8);
		put16(up + 2, 0);
	}
	packet->size = (uint32_t)(up - packet->bytes) + upper;
	return up + upper - payload;
}

/* libpcap's format, times in nanoseconds. */
static void put_packet(struct packet *packet)
{
	uint32_t header[4] = {(uint32_t)(packet->ns / 1000000000),
	                      (uint32_t)(packet->ns % 1000000000)};

	if (packet->size < 60) {
		memset(packet->bytes + packet->size, 0, 60 - packet->size);
		packet->size = 60;
	}
	header[2] = header[3] = packet->size;
	fwrite(header, sizeof(header), 1, stdout);
	fwrite(packet->bytes, packet->size, 1, stdout);
}

/* --- small, many --- */

static void small(struct packet *packet, uint64_t count)
{
	static uint32_t seq[SMALL_FLOWS][2];

	for (uint64_t i = 0; i < count; i++) {
		uint32_t flow = pick(SMALL_FLOWS);
		struct talk talk = {.client = flow % 250 + 1,
		                    .server = flow % 97,
		                    .client_port = (uint16_t)(1024 + flow / 250),
		                    .server_port = flow & 1 ? 443 : 4500,
		                    .proto = flow & 1 ? TCP : UDP,
		                    .flags = ACK,
		                    .out = pick(2)};
		uint32_t payload = talk.proto == TCP ? 6 : 18;

		memcpy(talk.seq, seq[flow], sizeof(talk.seq));
		memset(frame(packet, &talk, payload), 'x', payload);
		seq[flow][talk.out] += payload;
		put_packet(packet);
		packet->ns += STEP_SMALL_NS;
	}
}

static void many(struct packet *packet, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		struct talk talk = {.client = (uint32_t)(i % 5000),
		                    .server = (uint32_t)(i / 5000) % 60000,
		                    .client_port = (uint16_t)(i % 60000 + 1024),
		                    .server_port = 80,
		                    .proto = TCP,
		                    .flags = SYN,
		                    .out = true};

		frame(packet, &talk, 0);
		put_packet(packet);
		packet->ns += STEP_SMALL_NS;
	}
}

/* --- mixed --- */

static void talk_begin(struct talk *talk)
{
	uint32_t kind = pick(100);

	*talk = (struct talk){.client = pick(150) + 1,
	                      .server = pick(3000),
	                      .client_port = (uint16_t)(32768 + pick(28000)),
	                      .server_port = kind < 45 ? 443 : 80,
	                      .proto = TCP,
	                      .six = pick(6) == 0,
	                      .seq = {pick(UINT32_MAX), pick(UINT32_MAX)},
	                      .steps = 8 + pick(60)};
	if (kind >= 95) {
		talk->proto = ICMP;
		talk->steps = 2 + 2 * pick(5);
	} else if (kind >= 60) {
		talk->proto = UDP;
		talk->server = pick(3);
		talk->server_port = 53;
		talk->steps = 2;
	}
}

static void talk_tcp(struct talk *talk, struct packet *packet)
{
	static const char hello[] = "\x16\3\1\2\0\1\0\1\xfc\3\3";
	uint32_t payload = 0;
	uint8_t *at;

	talk->flags = ACK;
	talk->out = talk->step % 3 == 0;
	if (talk->step < 2 || talk->step + 3 >= talk->steps) {
		talk->out = !(talk->step & 1);
		talk->flags = talk->step < 2                 ? talk->step ? SYN | ACK : SYN
		              : talk->step + 1 < talk->steps ? FIN | ACK
		                                             : ACK;
	} else if (talk->step == 3) {
		talk->out = true;
		talk->flags = PSH | ACK;
		payload = 517;
	} else if (talk->step > 3 && !talk->out) {
		payload = pick(3) ? 1440 : 100 + pick(1300);
	}
	at = frame(packet, talk, payload);
	memset(at, 'x', payload);
	if (talk->step == 3 && talk->server_port == 443)
		memcpy(at, hello, sizeof(hello) - 1);
	else if (talk->step == 3)
		memcpy(at, "GET / HTTP/1.1\r\n", 16);
	talk->seq[talk->out] += payload + !!(talk->flags & SYN) + !!(talk->flags & FIN);
}

static void talk_other(struct talk *talk, struct packet *packet)
{
	static const char name[] = "\7example\3com\0\0\1\0\1";
	uint32_t payload = talk->proto == ICMP ? 56 : talk->step ? 12 + 17 + 16 : 12 + 17;
	uint8_t *at;

	talk->out = !(talk->step & 1);
	at = frame(packet, talk, payload);
	memset(at, 0, payload);
	if (talk->proto == ICMP)
		return;
	put16(at, talk->client_port);
	put16(at + 2, talk->step ? 0x8180 : 0x0100);
	put16(at + 4, 1);
	put16(at + 6, talk->step);
	memcpy(at + 12, name, sizeof(name) - 1);
	at[13] = (uint8_t)('a' + talk->client % 26);
	if (talk->step)
		memcpy(at + 29, "\xc0\x0c\0\1\0\1\0\0\1\0\0\4\xc6\x12\0\1", 16);
}

static void mixed(struct packet *packet, uint64_t count)
{
	static struct talk talks[MIXED_TALKS];

	for (uint64_t i = 0; i < count; i++) {
		struct talk *talk = &talks[pick(MIXED_TALKS)];

		if (talk->step == talk->steps)
			talk_begin(talk);
		if (talk->proto == TCP)
			talk_tcp(talk, packet);
		else
			talk_other(talk, packet);
		talk->step++;
		put_packet(packet);
		packet->ns += STEP_MIXED_NS;
	}
}

int main(int argc, char **argv)
{
	static const uint32_t header[6] = {0xa1b23c4d, 4 << 16 | 2, 0, 0, 65535, 1};
	static struct packet packet = {.ns = 1700000000ull * 1000000000};
	static char buffer[1 << 20];
	uint64_t count = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;

	if (!count) {
		fprintf(stderr, "usage: captures small|mixed|many PACKETS >FILE\n");
		return 2;
	}
	setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
	fwrite(header, sizeof(header), 1, stdout);
	if (strcmp(argv[1], "small") == 0)
		small(&packet, count);
	else if (strcmp(argv[1], "mixed") == 0)
		mixed(&packet, count);
	else
		many(&packet, count);
	return fflush(stdout) == 0 ? 0 : 1;
}
