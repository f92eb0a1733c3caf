// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The packet parser on frames made by hand, on each of them cut off at every length (what it reads
 * must never lie behind the cut: the bytes there are on a page that can't be read), and Community ID.
 */
#include <check.h>
#include <sys/mman.h>

#include "base/base.h"
#include "bpf/community_id.h"
#include "bpf/flow.h"
#include "bpf_frames.h"

enum { FRAMES_MAX = 80 };

static struct packet parse(const struct frame *frame)
{
	/* The type says 256 bytes; `captured` says how many of them there are. */
	const struct packet_input in = {(const struct packet_bytes *)frame->bytes, frame->size,
	                                frame->size, 0, false};
	struct packet packet;

	packet_parse(&in, &packet);
	return packet;
}

START_TEST(test_tcp)
{
	struct frame frame;
	struct packet packet;

	frame_make_tcp(&frame, FLOW_GUEST, 40000, 80, PACKET_SYN | PACKET_ACK, 0xdeadbeef, "abcd");
	frame_put(&frame, "trailer", 7); /* behind the IP packet's end: not payload */
	packet = parse(&frame);
	ck_assert_int_eq(packet.family, PACKET_IPV4);
	ck_assert_int_eq(packet.proto, PACKET_PROTO_TCP);
	ck_assert_int_eq(packet.ttl, 64);
	ck_assert_int_eq(packet.src_port, 40000);
	ck_assert_int_eq(packet.dst_port, 80);
	ck_assert_uint_eq(packet.seq, 0xdeadbeef);
	ck_assert_int_eq(packet.tcp_flags, PACKET_SYN | PACKET_ACK);
	ck_assert_int_eq(packet.window, 0x7210);
	ck_assert_uint_eq(packet.payload, 4);
	ck_assert_uint_eq(packet.payload_captured, 4);
	ck_assert_uint_eq(packet.payload_at, 54);
	ck_assert_uint_eq(packet.wire, 54 + 4 + 7);
	ck_assert_mem_eq(packet.src, "\x0a\0\0\x02\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	ck_assert_mem_eq(packet.dst, "\x0a\0\0\x05", 4);
	ck_assert_mem_eq(packet.src_mac, frame_guest_mac, 6);
	ck_assert_int_eq(packet.flags, PACKET_PORTS);
}
END_TEST

START_TEST(test_vlan)
{
	struct frame frame;
	struct packet packet;
	struct packet_input in = {.vlan = 0x6007, .vlan_taken = true};

	frame_begin(&frame, FLOW_PEER);
	frame_vlan(&frame, 0x88a8, 7);
	frame_vlan(&frame, 0x8100, 0x3001); /* priority bits are not the id's */
	frame_ip(&frame, FRAME_IPV6, PACKET_PROTO_UDP);
	frame_udp(&frame, 53, 4000, 2);
	frame_put(&frame, "ab", 2);
	frame_finish(&frame);
	packet = parse(&frame);
	ck_assert_int_eq(packet.vlan_count, 2);
	ck_assert_int_eq(packet.vlan[0], 7);
	ck_assert_int_eq(packet.vlan[1], 1);
	ck_assert_int_eq(packet.ethertype, 0x86dd);
	ck_assert_int_eq(packet.src_port, 53);
	ck_assert_uint_eq(packet.payload, 2);

	/* As tc hands it over: the outer tag beside the frame. */
	memmove(frame.bytes + 12, frame.bytes + 16, frame.size - 16);
	in.bytes = (const struct packet_bytes *)frame.bytes;
	in.captured = in.wire = frame.size - 4;
	packet_parse(&in, &packet);
	ck_assert_int_eq(packet.vlan_count, 2);
	ck_assert_int_eq(packet.vlan[0], 7);
	ck_assert_int_eq(packet.vlan[1], 1);
	ck_assert_uint_eq(packet.wire, frame.size);
	ck_assert_uint_eq(packet.payload, 2);
	ck_assert_int_eq(packet.dst_port, 4000);

	frame_begin(&frame, FLOW_PEER); /* a third tag is not unwrapped */
	for (uint16_t i = 1; i < 4; i++)
		frame_vlan(&frame, 0x8100, i);
	frame_ip(&frame, FRAME_IPV4, PACKET_PROTO_UDP);
	packet = parse(&frame);
	ck_assert_int_eq(packet.family, PACKET_OTHER);
	ck_assert_int_eq(packet.ethertype, 0x8100);
}
END_TEST

START_TEST(test_extensions)
{
	static const uint8_t options[16] = {0, 1}, small[8] = {0};
	struct frame frame;
	struct packet packet;

	frame_begin(&frame, FLOW_GUEST);
	frame_ip(&frame, FRAME_IPV6, PACKET_PROTO_TCP);
	frame_extension(&frame, 0, options, sizeof(options));
	frame_extension(&frame, 43, small, sizeof(small));
	frame_extension(&frame, 60, options, sizeof(options));
	frame_tcp(&frame, 1, 2, PACKET_SYN, 3);
	frame_finish(&frame);
	packet = parse(&frame);
	ck_assert_int_eq(packet.proto, PACKET_PROTO_TCP);
	ck_assert_int_eq(packet.dst_port, 2);
	ck_assert_int_eq(packet.flags, PACKET_OPTIONS | PACKET_PORTS);

	frame_begin(&frame, FLOW_GUEST); /* one more than is walked: no ports, and no harm */
	frame_ip(&frame, FRAME_IPV6, PACKET_PROTO_TCP);
	for (int i = 0; i <= PACKET_EXTENSIONS_MAX; i++)
		frame_extension(&frame, 60, small, sizeof(small));
	frame_tcp(&frame, 1, 2, PACKET_SYN, 3);
	frame_finish(&frame);
	packet = parse(&frame);
	ck_assert_int_eq(packet.proto, 60);
	ck_assert(!(packet.flags & PACKET_PORTS));
}
END_TEST

START_TEST(test_fragments)
{
	static const uint8_t later[8] = {0, 0, 0, 8};
	struct frame frame;
	struct packet packet;

	frame_make_udp(&frame, FLOW_GUEST, 1, 2, "data");
	frame.bytes[14 + 6] = 0x20; /* more fragments */
	packet = parse(&frame);
	ck_assert_int_eq(packet.flags, PACKET_FRAGMENT | PACKET_PORTS);
	ck_assert_int_eq(packet.dst_port, 2);
	frame.bytes[14 + 7] = 1;
	packet = parse(&frame);
	ck_assert_int_eq(packet.flags, PACKET_FRAGMENT | PACKET_LATER_FRAGMENT);
	ck_assert_int_eq(packet.dst_port, 0);
	ck_assert_uint_eq(packet.payload, 12);

	frame_begin(&frame, FLOW_GUEST);
	frame_ip(&frame, FRAME_IPV6, PACKET_PROTO_UDP);
	frame_extension(&frame, 44, later, sizeof(later));
	frame_put(&frame, "12345678", 8);
	frame_finish(&frame);
	packet = parse(&frame);
	ck_assert_int_eq(packet.flags, PACKET_FRAGMENT | PACKET_LATER_FRAGMENT | PACKET_OPTIONS);
	ck_assert_int_eq(packet.proto, PACKET_PROTO_UDP);
	ck_assert_uint_eq(packet.payload, 8);
}
END_TEST

START_TEST(test_icmp_error)
{
	struct frame about, frame;
	struct packet packet;

	frame_make_udp(&about, FLOW_GUEST, 5000, 53, "question");
	frame_make_error(&frame, &about, 3, 3);
	packet = parse(&frame);
	ck_assert_int_eq(packet.icmp_type, 3);
	ck_assert_int_eq(packet.icmp_code, 3);
	ck_assert(packet.flags & PACKET_QUOTE);
	ck_assert_int_eq(packet.quote.proto, PACKET_PROTO_UDP);
	ck_assert_int_eq(packet.quote.src_port, 5000);
	ck_assert_int_eq(packet.quote.dst_port, 53);
	ck_assert_mem_eq(packet.quote.src, "\x0a\0\0\x02", 4);
	frame_make_error(&frame, &about, 5, 1); /* a redirect is no error */
	ck_assert(!(parse(&frame).flags & PACKET_QUOTE));
}
END_TEST

START_TEST(test_lies)
{
	struct frame frame;
	struct packet packet;

	frame_make_tcp(&frame, FLOW_GUEST, 1, 2, PACKET_SYN, 3, "");
	frame.bytes[14] = 0x44; /* a header of 16 bytes */
	ck_assert(parse(&frame).flags & PACKET_MALFORMED);
	ck_assert_int_eq(parse(&frame).family, PACKET_OTHER);
	frame.bytes[14] = 0x65; /* version 6 behind IPv4's ethertype */
	ck_assert(parse(&frame).flags & PACKET_MALFORMED);
	frame.bytes[14] = 0x45;
	frame.bytes[16] = 0xff; /* longer than the frame */
	packet = parse(&frame);
	ck_assert(packet.flags & PACKET_MALFORMED);
	ck_assert_uint_eq(packet.payload, 0);
	frame.bytes[16] = 0;
	frame.bytes[17] = 20; /* TCP lies behind the packet's end */
	packet = parse(&frame);
	ck_assert(packet.flags & PACKET_TRUNCATED);
	ck_assert_int_eq(packet.dst_port, 0);
	frame.bytes[17] = 40;
	frame.bytes[14 + 20 + 12] = 0xf0; /* TCP options beyond the packet's end */
	packet = parse(&frame);
	ck_assert(packet.flags & PACKET_MALFORMED);
	ck_assert_uint_eq(packet.payload, 0);
	frame_make_udp(&frame, FLOW_GUEST, 1, 2, "data");
	frame.bytes[14 + 20 + 5] = 200;
	ck_assert(parse(&frame).flags & PACKET_MALFORMED);
}
END_TEST

/* Every frame at every length, its last byte at the end of a page with nothing behind it. */
START_TEST(test_every_length)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *room =
	        mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	BASE_AUTO_FREE struct frame *frames = calloc(FRAMES_MAX, sizeof(*frames));
	size_t count;

	ck_assert_ptr_ne(room, MAP_FAILED);
	ck_assert_int_eq(mprotect(room + page, page, PROT_NONE), 0);
	count = frame_conversations(frames, FRAMES_MAX);
	for (size_t i = 0; i < count; i++)
		for (uint32_t size = 0; size <= frames[i].size; size++) {
			const struct packet_input in = {
			        .bytes = (const struct packet_bytes *)(room + page - size),
			        .captured = size,
			        .wire = frames[i].size,
			};
			struct packet packet;

			memcpy(room + page - size, frames[i].bytes, size);
			packet_parse(&in, &packet);
			ck_assert_uint_le(packet.payload_captured, packet.payload);
			ck_assert_uint_le(packet.payload_at + packet.payload, packet.wire);
			if (packet.payload_captured)
				ck_assert_uint_le(packet.payload_at + packet.payload_captured,
				                  size);
		}
	munmap(room, 2 * page);
}
END_TEST

/*
 * Literals computed from the published specification's recipe: SHA-1 over the bytes seed, lesser
 * address, greater address, protocol, 0, ports, then base64.
 */
static const struct {
	struct flow_key key;
	uint16_t flags;
	const char *id;
} ids[] = {
        {/* TCP; the specification's own example */
         {{0x80, 0xe8, 0x6e, 0x78}, {0x42, 0x23, 0xfa, 0xcc}, 34855, 80, 0, 6, 4},
         0,
         "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
        {/* UDP */
         {{0xc0, 0xa8, 0x01, 0x34}, {0x08, 0x08, 0x08, 0x08}, 54585, 53, 0, 17, 4},
         0,
         "1:d/FP5EW3wiY1vCndhwleRRKHowQ="},
        {/* SCTP */
         {{0x0a, 0x00, 0x00, 0x02}, {0x0a, 0x00, 0x00, 0x05}, 80, 7, 0, 132, 4},
         0,
         "1:cnYhOzJquChntMZ4oQQBLyfQ5a4="},
        {/* ping */
         {{0xc0, 0xa8, 0x00, 0x59}, {0xc0, 0xa8, 0x00, 0x01}, 8, 0, 0, 1, 4},
         0,
         "1:X0snYXpgwiv9TZtqg64sgzUn6Dk="},
        {/* unreachable: one way */
         {{0xc0, 0xa8, 0x00, 0x01}, {0xc0, 0xa8, 0x00, 0x59}, 3, 3, 0, 1, 4},
         FLOW_FLAG_ONE_WAY,
         "1:ZouhgnVac3AK62b9tKlLG4N+dVQ="},
        {/* neighbour solicitation */
         {{0xfe, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x00, 0x86, 0xff, 0xfe, 0x05, 0x80,
           0xda},
          {0xfe, 0x80, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x60, 0x97, 0xff, 0xfe, 0x07, 0x69,
           0xea},
          135,
          136,
          0,
          58,
          6},
         0,
         "1:dGHyGvjMfljg6Bppwm3bg0LO8TY="},
        {/* ICMPv6 unreachable */
         {{0x3f, 0xfe, 0x05, 0x07, 0x00, 0x00, 0x00, 0x01, 0x02, 0x60, 0x97, 0xff, 0xfe, 0x07, 0x69,
           0xea},
          {0x3f, 0xfe, 0x05, 0x07, 0x00, 0x00, 0x00, 0x01, 0x02, 0x00, 0x86, 0xff, 0xfe, 0x05, 0x80,
           0xda},
          1,
          4,
          0,
          58,
          6},
         FLOW_FLAG_ONE_WAY,
         "1:gTqu7VsUsAmnYtRcECfFr8lTno8="},
        {/* TCP over IPv6 */
         {{0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
           0x01},
          {0x20, 0x01, 0x0d, 0xb8, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
           0x02},
          50000,
          443,
          0,
          6,
          6},
         0,
         "1:YXqXufkGr4i6TbJJYF83fvyDLZ8="},
        {/* both ends the same address */
         {{0x0a, 0x00, 0x00, 0x02}, {0x0a, 0x00, 0x00, 0x02}, 53, 40000, 0, 17, 4},
         0,
         "1:+JatsSVB5r8syLP64yZHCWOn5Qs="},
        {/* GRE: no ports */
         {{0x0a, 0x00, 0x00, 0x02}, {0x0a, 0x00, 0x00, 0x05}, 0, 0, 0, 47, 4},
         0,
         "1:SHgT/kzRZ7ruJfGygKpbQC8rlm8="},
};

START_TEST(test_community_id)
{
	struct flow_key turned = ids[_i].key;
	char id[COMMUNITY_ID_MAX];

	ck_assert_int_eq(community_id(&ids[_i].key, ids[_i].flags, id), 0);
	ck_assert_str_eq(id, ids[_i].id);
	memcpy(turned.guest, ids[_i].key.peer, 16);
	memcpy(turned.peer, ids[_i].key.guest, 16);
	turned.guest_port = ids[_i].key.peer_port;
	turned.peer_port = ids[_i].key.guest_port;
	ck_assert_int_eq(community_id(&turned, ids[_i].flags ^ FLOW_FLAG_PEER_OPENED, id), 0);
	ck_assert_str_eq(id, ids[_i].id);
}
END_TEST

START_TEST(test_community_id_arp)
{
	const struct flow_key key = {.family = FLOW_ARP};
	char id[COMMUNITY_ID_MAX] = "x";

	ck_assert_int_eq(community_id(&key, 0, id), -EPROTONOSUPPORT);
	ck_assert_str_eq(id, "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bpf_parser");
	TCase *cases = tcase_create("parser");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(cases, test_tcp);
	tcase_add_test(cases, test_vlan);
	tcase_add_test(cases, test_extensions);
	tcase_add_test(cases, test_fragments);
	tcase_add_test(cases, test_icmp_error);
	tcase_add_test(cases, test_lies);
	tcase_add_test(cases, test_every_length);
	tcase_add_loop_test(cases, test_community_id, 0, BASE_COUNT(ids));
	tcase_add_test(cases, test_community_id_arp);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
