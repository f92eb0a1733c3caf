/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which headers a guest may put before its frames, and which it may not: the check alone, on made-up frames. */
#include <check.h>
#include <string.h>

#include "base/base.h"
#include "vmm/devices/net.h"

enum { TCP4 = VIRTIO_NET_HDR_GSO_TCPV4, TCP6 = VIRTIO_NET_HDR_GSO_TCPV6, L4 = NET_HDR_GSO_UDP_L4 };
enum { ECN = VIRTIO_NET_HDR_GSO_ECN, CSUM = VIRTIO_NET_HDR_F_NEEDS_CSUM, FRAME = 4000 };

#define ALL                                                           \
	(1ull << VIRTIO_NET_F_CSUM | 1ull << VIRTIO_NET_F_HOST_TSO4 | \
	 1ull << VIRTIO_NET_F_HOST_TSO6 | 1ull << VIRTIO_NET_F_HOST_ECN | 1ull << NET_F_HOST_USO)

static uint8_t frame[NET_HEADERS_MAX];

/* A frame with so many VLAN tags and IPv6 extension headers; where its transport header is. */
static uint16_t make(int version, uint8_t protocol, int tags, int extensions)
{
	size_t at = 12;
	uint8_t *next;

	memset(frame, 0, sizeof(frame));
	for (; tags > 0; tags--, at += 4)
		memcpy(frame + at, tags == 1 ? "\x81\x00" : "\x88\xa8", 2);
	memcpy(frame + at, version == 4 ? "\x08\x00" : "\x86\xdd", 2);
	at += 2;
	frame[at] = version == 4 ? 0x45 : 0x60;
	next = frame + at + (version == 4 ? 9 : 6);
	at += version == 4 ? 20 : 40;
	for (; extensions > 0; extensions--, at += 8) {
		*next = extensions % 2 ? 0 : 60;
		next = frame + at;
	}
	*next = protocol;
	frame[at + 12] = 5 << 4; /* TCP: where its data begins */
	return (uint16_t)at;
}

static struct virtio_net_hdr_v1 header(uint8_t kind, uint16_t transport)
{
	return (struct virtio_net_hdr_v1){.flags = CSUM,
	                                  .gso_type = kind,
	                                  .gso_size = 1400,
	                                  .hdr_len = 54,
	                                  .csum_start = transport,
	                                  .csum_offset = kind == L4 ? 6 : 16};
}

static bool valid(const struct virtio_net_hdr_v1 *h)
{
	return net_header_valid(h, frame, sizeof(frame), FRAME, ALL);
}

START_TEST(segments_that_are_what_they_say)
{
	static const struct {
		uint8_t kind;
		int version;
		uint8_t protocol;
	} kinds[] = {{TCP4, 4, 6},       {TCP4 | ECN, 4, 6}, {TCP6, 6, 6},
	             {TCP6 | ECN, 6, 6}, {L4, 4, 17},        {L4, 6, 17}};
	static const uint64_t needed[] = {1ull << VIRTIO_NET_F_HOST_TSO4, 0,
	                                  1ull << VIRTIO_NET_F_HOST_TSO6, 0,
	                                  1ull << NET_F_HOST_USO,         1ull << NET_F_HOST_USO};

	for (size_t i = 0; i < BASE_COUNT(kinds); i++)
		for (int tags = 0; tags <= 2; tags++)
			for (int more = 0; more <= (kinds[i].version == 6 ? 3 : 0); more++) {
				uint16_t at = make(kinds[i].version, kinds[i].protocol, tags, more);
				struct virtio_net_hdr_v1 h = header(kinds[i].kind, at);

				ck_assert(valid(&h));
				ck_assert(!net_header_valid(&h, frame, sizeof(frame), FRAME,
				                            ALL & ~(1ull << VIRTIO_NET_F_CSUM)));
				ck_assert(!needed[i] || !net_header_valid(&h, frame, sizeof(frame),
				                                          FRAME, ALL & ~needed[i]));
				/* any other end of what was copied is short of the headers, or enough */
				for (size_t length = 0; length <= sizeof(frame); length++)
					ck_assert_int_eq(
					        net_header_valid(&h, frame, length, FRAME, ALL),
					        length >= at + (kinds[i].kind == L4 ? 8u : 20u));
			}
}
END_TEST

START_TEST(segments_that_are_not)
{
	struct virtio_net_hdr_v1 good = header(TCP4, make(4, 6, 0, 0)), h = good;

	ck_assert(valid(&good));
	h.gso_type = TCP6;
	ck_assert_msg(!valid(&h), "IPv6 of an IPv4 frame");
	h.gso_type = L4;
	ck_assert_msg(!valid(&h), "UDP of a TCP frame");
	h.gso_type = L4 | ECN;
	ck_assert_msg(!valid(&h), "ECN of UDP");
	for (unsigned int kind = 2; kind < 256; kind++) {
		h = good;
		h.gso_type = (uint8_t)kind;
		ck_assert_msg(!valid(&h) || kind == (TCP4 | ECN), "kind %u", kind);
	}
	h = good;
	h.flags = 0;
	ck_assert_msg(!valid(&h), "no checksum");
	h = good;
	h.gso_size = 0;
	ck_assert_msg(!valid(&h), "segments of nothing");
	h = good;
	h.hdr_len = FRAME + 1;
	ck_assert_msg(!valid(&h), "headers longer than the frame");
	for (int at = 0; at < 65536; at++) {
		h = good;
		h.csum_start = (uint16_t)at;
		ck_assert_msg(valid(&h) == (at == good.csum_start), "checksum from %d", at);
		h = good;
		h.csum_offset = (uint16_t)at;
		ck_assert_msg(valid(&h) == (at == 16), "checksum at %d", at);
	}
	h = good;
	frame[14] = 0x44; /* an IPv4 header of 16 bytes */
	h.csum_start = 14 + 16;
	frame[14 + 16 + 12] = 5 << 4;
	ck_assert_msg(!valid(&h), "a short IPv4 header");
	frame[14] = 0x65;
	ck_assert_msg(!valid(&good), "version 6 under IPv4's type");
	make(4, 6, 0, 0);
	frame[34 + 12] = 4 << 4;
	ck_assert_msg(!valid(&good), "a short TCP header");
	make(4, 6, 3, 0);
	h.csum_start = 34 + 12;
	ck_assert_msg(!valid(&h), "three VLAN tags");
	h = header(TCP6, make(6, 6, 0, 4));
	ck_assert_msg(!valid(&h), "too many extension headers");
	h = header(TCP6, make(6, 6, 0, 1));
	frame[54 + 1] = 255;
	ck_assert_msg(!valid(&h), "an extension header without an end");
	h = header(TCP4, make(4, 6, 0, 0));
	h.hdr_len = 0;
	ck_assert(net_header_valid(&h, frame, sizeof(frame), 54, ALL));
	ck_assert_msg(!net_header_valid(&h, frame, sizeof(frame), 53, ALL),
	              "less than its headers");
}
END_TEST

START_TEST(checksums)
{
	struct virtio_net_hdr_v1 h = {.flags = CSUM, .csum_start = 34, .csum_offset = 6};

	ck_assert(net_header_valid(&h, NULL, 0, 42, ALL));
	ck_assert(!net_header_valid(&h, NULL, 0, 41, ALL));
	ck_assert(!net_header_valid(&h, NULL, 0, 42, ALL & ~(1ull << VIRTIO_NET_F_CSUM)));
	h.csum_start = 13; /* the checksum of an Ethernet header */
	ck_assert(!net_header_valid(&h, NULL, 0, 42, ALL));
	h.csum_start = h.csum_offset = UINT16_MAX;
	ck_assert(!net_header_valid(&h, NULL, 0, 65550, ALL));
	h = (struct virtio_net_hdr_v1){
	        .csum_start = 1, .csum_offset = 2, .hdr_len = 3, .gso_size = 4};
	ck_assert(net_header_valid(&h, NULL, 0, 42, 0)); /* what nothing asks for means nothing */
	for (unsigned int flags = 2; flags < 256; flags++) {
		h.flags = (uint8_t)flags;
		ck_assert(!net_header_valid(&h, NULL, 0, 42, ALL));
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("devices: net headers");
	TCase *cases = tcase_create("headers");
	SRunner *runner;
	int failed;

	tcase_add_test(cases, segments_that_are_what_they_say);
	tcase_add_test(cases, segments_that_are_not);
	tcase_add_test(cases, checksums);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
