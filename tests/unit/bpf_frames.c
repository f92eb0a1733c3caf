// SPDX-License-Identifier: GPL-2.0-or-later
/* bpf_frames: see bpf_frames.h. Checksums stay zero: nothing here looks at them. */
#include "base/base.h"
#include "bpf/packet.h"
#include "bpf_frames.h"

const uint8_t frame_guest_mac[6] = {2, 0, 0, 0, 0, 1};
static const uint8_t peer_mac[6] = {2, 0, 0, 0, 0, 2};
static const uint8_t guest4[4] = {10, 0, 0, 2}, peer4[4] = {10, 0, 0, 5};
static const uint8_t guest6[16] = {0xfd, [15] = 2}, peer6[16] = {0xfd, [15] = 5};

static void set16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

void frame_put(struct frame *frame, const void *bytes, uint32_t size)
{
	if (size > FRAME_MAX - frame->size)
		abort();
	memcpy(frame->bytes + frame->size, bytes, size);
	frame->size += size;
}

void frame_begin(struct frame *frame, enum flow_side_index side)
{
	bool guest = side == FLOW_GUEST;

	memset(frame, 0, sizeof(*frame));
	frame->side = side;
	frame_put(frame, guest ? peer_mac : frame_guest_mac, 6);
	frame_put(frame, guest ? frame_guest_mac : peer_mac, 6);
	frame_put(frame, "\0\0", 2);
}

/* Where the last ethertype written is: behind the tags. */
static uint32_t type_at(const struct frame *frame)
{
	uint32_t at = 12;

	while (base_be16(frame->bytes + at) == 0x8100 || base_be16(frame->bytes + at) == 0x88a8)
		at += 4;
	return at;
}

void frame_vlan(struct frame *frame, uint16_t type, uint16_t id)
{
	set16(frame->bytes + type_at(frame), type);
	frame_put(frame, "\0\0\0\0", 4);
	set16(frame->bytes + frame->size - 4, id);
}

void frame_ip(struct frame *frame, enum frame_ip ip, uint8_t proto)
{
	bool guest = frame->side == FLOW_GUEST;

	set16(frame->bytes + type_at(frame), ip == FRAME_IPV4 ? 0x0800 : 0x86dd);
	if (ip == FRAME_IPV4) {
		const uint8_t header[12] = {0x45, 0, 0, 0, 0, 1, 0, 0, guest ? 64 : 63, proto};

		frame_put(frame, header, sizeof(header));
		frame_put(frame, guest ? guest4 : peer4, 4);
		frame_put(frame, guest ? peer4 : guest4, 4);
	} else {
		const uint8_t header[8] = {0x60, 0, 0, 0, 0, 0, proto, guest ? 64 : 63};

		frame_put(frame, header, sizeof(header));
		frame_put(frame, guest ? guest6 : peer6, 16);
		frame_put(frame, guest ? peer6 : guest6, 16);
	}
}

void frame_extension(struct frame *frame, uint8_t type, const void *body, uint32_t size)
{
	uint8_t *next = frame->bytes + type_at(frame) + 2 + 6;
	uint32_t at = type_at(frame) + 2 + 40;
	uint8_t last = *next;

	/* The chain has one header for each step; the new one goes to its end. */
	while (at < frame->size) {
		next = frame->bytes + at;
		last = *next;
		at += *(frame->bytes + at + 1) * 8u + 8;
	}
	*next = type;
	frame_put(frame, body, size);
	frame->bytes[frame->size - size] = last;
}

void frame_tcp(struct frame *frame, uint16_t src, uint16_t dst, uint8_t flags, uint32_t seq)
{
	uint8_t header[20] = {[12] = 0x50, [13] = flags, [14] = 0x72, [15] = 0x10};

	set16(header, src);
	set16(header + 2, dst);
	set16(header + 4, seq >> 16);
	set16(header + 6, seq);
	frame_put(frame, header, sizeof(header));
}

void frame_udp(struct frame *frame, uint16_t src, uint16_t dst, uint32_t payload)
{
	uint8_t header[8] = {0};

	set16(header, src);
	set16(header + 2, dst);
	set16(header + 4, 8 + payload);
	frame_put(frame, header, sizeof(header));
}

void frame_icmp(struct frame *frame, uint8_t type, uint8_t code)
{
	const uint8_t header[8] = {type, code, 0, 0, 0x12, 0x34, 0, 1};

	frame_put(frame, header, sizeof(header));
}

void frame_finish(struct frame *frame)
{
	uint32_t at = type_at(frame);

	if (base_be16(frame->bytes + at) == 0x0800)
		set16(frame->bytes + at + 4, frame->size - at - 2);
	else if (base_be16(frame->bytes + at) == 0x86dd)
		set16(frame->bytes + at + 6, frame->size - at - 42);
}

void frame_make_tcp(struct frame *frame, enum flow_side_index side, uint16_t guest_port,
                    uint16_t peer_port, uint8_t flags, uint32_t seq, const char *payload)
{
	bool guest = side == FLOW_GUEST;

	frame_begin(frame, side);
	frame_ip(frame, FRAME_IPV4, PACKET_PROTO_TCP);
	frame_tcp(frame, guest ? guest_port : peer_port, guest ? peer_port : guest_port, flags,
	          seq);
	frame_put(frame, payload, (uint32_t)strlen(payload));
	frame_finish(frame);
}

void frame_make_udp(struct frame *frame, enum flow_side_index side, uint16_t guest_port,
                    uint16_t peer_port, const char *payload)
{
	bool guest = side == FLOW_GUEST;

	frame_begin(frame, side);
	frame_ip(frame, FRAME_IPV4, PACKET_PROTO_UDP);
	frame_udp(frame, guest ? guest_port : peer_port, guest ? peer_port : guest_port,
	          (uint32_t)strlen(payload));
	frame_put(frame, payload, (uint32_t)strlen(payload));
	frame_finish(frame);
}

void frame_make_ping(struct frame *frame, enum flow_side_index side, enum frame_ip ip, bool reply)
{
	frame_begin(frame, side);
	frame_ip(frame, ip, ip == FRAME_IPV4 ? PACKET_PROTO_ICMP : PACKET_PROTO_ICMP6);
	if (ip == FRAME_IPV4)
		frame_icmp(frame, reply ? 0 : 8, 0);
	else
		frame_icmp(frame, reply ? 129 : 128, 0);
	frame_put(frame, "0123456789abcdefghijklmnopqrstuvwxyz", 36);
	frame_finish(frame);
}

void frame_make_error(struct frame *frame, const struct frame *about, uint8_t type, uint8_t code)
{
	bool ip4 = base_be16(about->bytes + 12) == 0x0800;

	frame_begin(frame, about->side == FLOW_GUEST ? FLOW_PEER : FLOW_GUEST);
	frame_ip(frame, ip4 ? FRAME_IPV4 : FRAME_IPV6,
	         ip4 ? PACKET_PROTO_ICMP : PACKET_PROTO_ICMP6);
	frame_icmp(frame, type, code);
	frame_put(frame, about->bytes + 14, about->size - 14);
	frame_finish(frame);
}

void frame_make_arp(struct frame *frame, enum flow_side_index side, uint16_t op)
{
	const uint8_t head[6] = {0, 1, 8, 0, 6, 4};
	uint8_t number[2];
	bool guest = side == FLOW_GUEST;

	frame_begin(frame, side);
	set16(frame->bytes + 12, 0x0806);
	frame_put(frame, head, sizeof(head));
	set16(number, op);
	frame_put(frame, number, 2);
	frame_put(frame, guest ? frame_guest_mac : peer_mac, 6);
	frame_put(frame, guest ? guest4 : peer4, 4);
	frame_put(frame, op == 1 ? (const uint8_t[6]){0} : guest ? peer_mac : frame_guest_mac, 6);
	frame_put(frame, guest ? peer4 : guest4, 4);
}

/* The guest asks for its peer's address at the solicited-node group, and the peer answers. */
void frame_make_neighbour(struct frame *frame, enum flow_side_index side, uint8_t type)
{
	static const uint8_t group[16] = {0xff, 2, [11] = 1, [12] = 0xff, [15] = 5};

	frame_begin(frame, side);
	frame_ip(frame, FRAME_IPV6, PACKET_PROTO_ICMP6);
	if (type == 135)
		memcpy(frame->bytes + 14 + 24, group, sizeof(group));
	frame_icmp(frame, type, 0);
	frame_put(frame, peer6, 16);
	frame_finish(frame);
}

struct list {
	struct frame *frames;
	size_t count, max;
};

static struct frame *next(struct list *list)
{
	if (list->count >= list->max)
		abort();
	return &list->frames[list->count++];
}

static void tcp(struct list *list, enum flow_side_index side, uint16_t port, uint8_t flags,
                uint32_t seq, const char *payload)
{
	frame_make_tcp(next(list), side, 40000, port, flags, seq, payload);
}

static void tcp_conversations(struct list *list)
{
	tcp(list, FLOW_GUEST, 81, PACKET_SYN, 100, ""); /* refused */
	tcp(list, FLOW_PEER, 81, PACKET_RST | PACKET_ACK, 0, "");
	tcp(list, FLOW_GUEST, 81, PACKET_SYN, 5000, ""); /* and tried again */
	tcp(list, FLOW_GUEST, 82, PACKET_SYN, 100, "");  /* no answer, and a retry */
	tcp(list, FLOW_GUEST, 82, PACKET_SYN, 100, "");
	tcp(list, FLOW_GUEST, 80, PACKET_SYN, 100, ""); /* the whole thing */
	tcp(list, FLOW_PEER, 80, PACKET_SYN | PACKET_ACK, 900, "");
	tcp(list, FLOW_GUEST, 80, PACKET_ACK, 101, "");
	tcp(list, FLOW_GUEST, 80, PACKET_ACK | PACKET_PSH, 101, "GET / HTTP/1.0\r\n\r\n");
	tcp(list, FLOW_GUEST, 80, PACKET_ACK | PACKET_PSH, 101, "GET / HTTP/1.0\r\n\r\n");
	tcp(list, FLOW_PEER, 80, PACKET_ACK | PACKET_PSH, 901,
	    "HTTP/1.0 200 OK\r\nServer: x\r\n\r\nbody");
	tcp(list, FLOW_PEER, 80, PACKET_ACK | PACKET_FIN, 936, "");
	tcp(list, FLOW_GUEST, 80, PACKET_ACK | PACKET_FIN, 119, "");
	tcp(list, FLOW_PEER, 80, PACKET_ACK, 937, "");
	tcp(list, FLOW_GUEST, 22, PACKET_SYN, 7, ""); /* half open */
	tcp(list, FLOW_PEER, 22, PACKET_SYN | PACKET_ACK, 8, "");
	tcp(list, FLOW_GUEST, 22, PACKET_RST, 8, "");
	tcp(list, FLOW_GUEST, 83, PACKET_FIN | PACKET_PSH | PACKET_URG, 1, ""); /* Xmas */
	tcp(list, FLOW_PEER, 83, PACKET_RST | PACKET_ACK, 0, "");
	tcp(list, FLOW_GUEST, 84, 0, 1, "");                        /* NULL */
	tcp(list, FLOW_PEER, 4444, PACKET_SYN, 1, "");              /* from outside */
	tcp(list, FLOW_PEER, 4445, PACKET_SYN | PACKET_ACK, 1, ""); /* backscatter */
}

static void other_conversations(struct list *list)
{
	struct frame *frame, *about;

	about = next(list);
	frame_make_udp(about, FLOW_GUEST, 5000, 53, "question");
	frame_make_udp(next(list), FLOW_PEER, 5000, 53,
	               "an answer that is longer than the head of the flow");
	about = next(list);
	frame_make_udp(about, FLOW_GUEST, 5001, 7, "anybody?");
	frame_make_error(next(list), about, 3, 3);
	about = next(list);
	frame_make_udp(about, FLOW_PEER, 9, 6000, "from outside");
	frame_make_error(next(list), about, 3, 3);
	frame_make_ping(next(list), FLOW_GUEST, FRAME_IPV4, false);
	frame_make_ping(next(list), FLOW_PEER, FRAME_IPV4, true);
	about = next(list);
	frame_make_ping(about, FLOW_GUEST, FRAME_IPV6, false);
	frame_make_error(next(list), about, 1, 4);
	frame_make_ping(next(list), FLOW_PEER, FRAME_IPV6, true);
	frame_make_arp(next(list), FLOW_GUEST, 1);
	frame_make_arp(next(list), FLOW_PEER, 2);
	frame_make_neighbour(next(list), FLOW_GUEST, 135);
	frame_make_neighbour(next(list), FLOW_PEER, 136);
	frame = next(list); /* a redirect: one way */
	frame_begin(frame, FLOW_PEER);
	frame_ip(frame, FRAME_IPV4, PACKET_PROTO_ICMP);
	frame_icmp(frame, 5, 1);
	frame_finish(frame);
	frame = next(list);
	frame_begin(frame, FLOW_GUEST);
	frame_ip(frame, FRAME_IPV4, PACKET_PROTO_SCTP);
	frame_put(frame, "\x10\x00\x10\x01\0\0\0\0\0\0\0\0\x01\0\0\x04", 16);
	frame_finish(frame);
	frame = next(list);
	frame_begin(frame, FLOW_PEER);
	frame_ip(frame, FRAME_IPV4, PACKET_PROTO_SCTP);
	frame_put(frame, "\x10\x01\x10\x00\0\0\0\0\0\0\0\0\x06\0\0\x04", 16);
	frame_finish(frame);
	frame = next(list); /* GRE, and frames that are in no flow */
	frame_begin(frame, FLOW_GUEST);
	frame_ip(frame, FRAME_IPV4, 47);
	frame_put(frame, "\0\0\x08\0payload", 11);
	frame_finish(frame);
	frame = next(list);
	frame_begin(frame, FLOW_GUEST);
	set16(frame->bytes + 12, 0x88cc);
	frame_put(frame, "lldp lldp", 9);
}

static void wrapped_conversations(struct list *list)
{
	static const uint8_t options[16] = {0, 1, 1, 12},
	                     fragment_first[8] = {0, 0, 0, 1, 0, 0, 0, 9},
	                     fragment_later[8] = {0, 0, 0, 8, 0, 0, 0, 9};
	struct frame *frame = next(list);

	frame_begin(frame, FLOW_GUEST);
	frame_vlan(frame, 0x8100, 42);
	frame_ip(frame, FRAME_IPV4, PACKET_PROTO_TCP);
	frame_tcp(frame, 40000, 80, PACKET_SYN, 1);
	frame_finish(frame);
	frame = next(list);
	frame_begin(frame, FLOW_PEER);
	frame_vlan(frame, 0x88a8, 7);
	frame_vlan(frame, 0x8100, 43);
	frame_ip(frame, FRAME_IPV6, PACKET_PROTO_UDP);
	frame_udp(frame, 53, 40000, 3);
	frame_put(frame, "abc", 3);
	frame_finish(frame);
	frame = next(list);
	frame_begin(frame, FLOW_GUEST);
	frame_ip(frame, FRAME_IPV6, PACKET_PROTO_TCP);
	frame_extension(frame, 0, options, sizeof(options));
	frame_extension(frame, 60, options, sizeof(options));
	frame_tcp(frame, 40001, 443, PACKET_SYN, 1);
	frame_finish(frame);
	frame = next(list);
	frame_begin(frame, FLOW_GUEST);
	frame_ip(frame, FRAME_IPV6, PACKET_PROTO_UDP);
	frame_extension(frame, 44, fragment_first, sizeof(fragment_first));
	frame_udp(frame, 40002, 4000, 2000);
	frame_put(frame, "first", 5);
	frame_finish(frame);
	frame = next(list);
	frame_begin(frame, FLOW_GUEST);
	frame_ip(frame, FRAME_IPV6, PACKET_PROTO_UDP);
	frame_extension(frame, 44, fragment_later, sizeof(fragment_later));
	frame_put(frame, "not a header", 12);
	frame_finish(frame);
	frame = next(list);
	frame_make_udp(frame, FLOW_GUEST, 40003, 4001, "later");
	frame->bytes[14 + 7] = 100; /* IPv4 fragment offset */
}

size_t frame_conversations(struct frame *frames, size_t max)
{
	struct list list = {.frames = frames, .max = max};

	tcp_conversations(&list);
	other_conversations(&list);
	wrapped_conversations(&list);
	return list.count;
}
