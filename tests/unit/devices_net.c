/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cordon-net moves frames both ways, and drops or refuses what is wrong. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/base.h"
#include "tests/unit/net_fixture.h"

static uint8_t sent[70000], got[70000];

START_TEST(config_says_mac_and_mtu)
{
	struct virtio_net_config config;

	start(FEATURES_ALL);
	ck_assert_int_eq(vhost_client_config(&client, 0, &config, 12), 0);
	ck_assert_mem_eq(config.mac, guest_mac, 6);
	ck_assert_uint_eq(config.mtu, 9000);
	ck_assert_uint_eq(config.status & VIRTIO_NET_S_LINK_UP, VIRTIO_NET_S_LINK_UP);
	ck_assert_uint_ne(client.offered & 1ull << VIRTIO_NET_F_MTU, 0);
	stop();
}
END_TEST

START_TEST(frames_reach_the_guest)
{
	struct virtio_net_hdr plain = {0};
	struct virtio_net_hdr_v1 header;

	start(_i ? FEATURES_ALL : FEATURES_NONE);
	for (unsigned int i = 0; i < 300; i++) {
		size_t size = frame_make(sent, 1 + i * 5, false);

		post(i % 40, i == 0 ? 40 : 1, BUFFER);
		host_send(&plain, sent, size);
		ck_assert_uint_eq(net_guest_receive(&header, got), size);
		ck_assert_mem_eq(got, sent, size);
		ck_assert_uint_eq(header.num_buffers, 1);
		ck_assert_uint_eq(header.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	}
	stop();
}
END_TEST

START_TEST(a_large_frame_is_spread_over_buffers)
{
	struct virtio_net_hdr plain = {0};
	struct virtio_net_hdr_v1 header;
	size_t size = frame_make(sent, 8000, false);

	start(1ull << VIRTIO_NET_F_MRG_RXBUF);
	post(0, 32, 700);
	host_send(&plain, sent, size);
	ck_assert_uint_eq(net_guest_receive(&header, got), size);
	ck_assert_mem_eq(got, sent, size);
	ck_assert_uint_eq(header.num_buffers, (size + HEADER + 699) / 700);
	stop();
}
END_TEST

/* A segment of 20,000 bytes: in one piece when the guest can take it, else as it would be on a wire. */
START_TEST(large_segments_from_the_host)
{
	struct virtio_net_hdr gso = gso_header();
	struct virtio_net_hdr_v1 header;
	size_t size = frame_make(sent, 20000, true), bytes = 0;

	start(_i ? FEATURES_ALL : 1ull << VIRTIO_NET_F_MRG_RXBUF);
	post(0, 60, BUFFER);
	host_send(&gso, sent, size);
	if (_i) {
		ck_assert_uint_eq(net_guest_receive(&header, got), size);
		ck_assert_uint_eq(header.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
		ck_assert_uint_eq(header.gso_size, MSS);
		ck_assert_uint_ne(header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, 0);
		ck_assert_mem_eq(got + ETHERNET + IP + TCP, sent + ETHERNET + IP + TCP, 20000);
	}
	while (!_i && bytes < 20000) {
		size = net_guest_receive(&header, got);
		ck_assert_uint_gt(size, ETHERNET + IP + TCP);
		ck_assert_uint_le(size, ETHERNET + IP + TCP + MSS);
		ck_assert_uint_eq(header.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		ck_assert_uint_eq(header.flags, 0);
		size -= ETHERNET + IP + TCP;
		ck_assert_mem_eq(got + ETHERNET + IP + TCP, sent + ETHERNET + IP + TCP + bytes,
		                 size);
		bytes += size;
	}
	stop();
}
END_TEST

START_TEST(frames_leave_the_guest)
{
	struct virtio_net_hdr_v1 header = {0};
	struct virtio_net_hdr seen;

	start(_i ? FEATURES_ALL : FEATURES_NONE);
	for (unsigned int i = 0; i < 100; i++) {
		size_t size = frame_make(sent, 30 + i * 14, false);

		net_guest_send(&header, sent, size);
		ck_assert_uint_eq(host_receive(&seen, got, sizeof(got), CLIENT_WAIT_MS), size);
		ck_assert_mem_eq(got, sent, size);
		ck_assert_uint_eq(seen.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	}
	stop();
}
END_TEST

START_TEST(large_segments_leave_the_guest)
{
	struct virtio_net_hdr gso = gso_header(), seen;
	struct virtio_net_hdr_v1 header = {0};
	size_t size = frame_make(sent, 60000, true);

	start(FEATURES_ALL);
	memcpy(&header, &gso, sizeof(gso));
	net_guest_send(&header, sent, size);
	ck_assert_uint_eq(host_receive(&seen, got, sizeof(got), CLIENT_WAIT_MS), size);
	ck_assert_mem_eq(got + ETHERNET + IP + TCP, sent + ETHERNET + IP + TCP, 60000);
	ck_assert_uint_eq(seen.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	ck_assert_uint_eq(seen.gso_size, MSS);
	stop();
}
END_TEST

static const struct {
	const char *name;
	bool negotiated; /* all the features */
	struct virtio_net_hdr_v1 header;
} wrong_headers[] = {
        {"checksum not negotiated", false, {.flags = 1, .csum_start = 34, .csum_offset = 6}},
        {"segments not negotiated",
         false,
         {.flags = 1, .gso_type = 1, .gso_size = MSS, .csum_start = 34}},
        {"checksum behind the frame",
         true,
         {.flags = 1, .csum_start = 34, .csum_offset = UINT16_MAX}},
        {"checksum's start behind the frame", true, {.flags = 1, .csum_start = 1200}},
        {"unknown flag", true, {.flags = 0x80}},
        {"unknown kind of segment",
         true,
         {.flags = 1, .gso_type = 2, .gso_size = MSS, .csum_start = 34}},
        {"UDP fragments", true, {.flags = 1, .gso_type = 3, .gso_size = MSS, .csum_start = 34}},
        {"ECN alone", true, {.flags = 1, .gso_type = 0x80, .gso_size = MSS, .csum_start = 34}},
        {"segments of size 0", true, {.flags = 1, .gso_type = 1, .gso_size = 0, .csum_start = 34}},
        {"segments without a checksum", true, {.gso_type = 1, .gso_size = MSS, .hdr_len = 54}},
        {"header longer than the frame",
         true,
         {.flags = 1,
          .gso_type = 1,
          .gso_size = MSS,
          .csum_start = 34,
          .csum_offset = 16,
          .hdr_len = 5000}},
};

START_TEST(wrong_header_is_dropped)
{
	struct virtio_net_hdr_v1 good = {0};
	struct virtio_net_hdr seen;
	size_t size = frame_make(sent, 1000, true);

	start(wrong_headers[_i].negotiated ? FEATURES_ALL : FEATURES_NONE);
	net_guest_send(&wrong_headers[_i].header, sent, size);
	sent[size - 1] = 0x77; /* the next one can be told from it */
	net_guest_send(&good, sent, size);
	ck_assert_uint_eq(host_receive(&seen, got, sizeof(got), CLIENT_WAIT_MS), size);
	ck_assert_msg(got[size - 1] == 0x77, "%s: was sent", wrong_headers[_i].name);
	stop();
}
END_TEST

/* Chains that are no frame: header only, half a header, writable ones, more than any frame. */
START_TEST(wrong_chains_are_dropped)
{
	struct client_buffer lists[] = {{TX_AT, HEADER, false},
	                                {TX_AT, 5, false},
	                                {TX_AT, 100, true},
	                                {TX_AT, 200000, false}};
	struct virtio_net_hdr_v1 good = {0};
	struct virtio_net_hdr seen;
	struct client_used used;
	size_t size = frame_make(sent, 100, false);

	start(FEATURES_ALL);
	for (size_t i = 0; i < BASE_COUNT(lists); i++) {
		vhost_client_add(&client.queue[TX], &lists[i], 1);
		vhost_client_kick(&client.queue[TX]);
		ck_assert_int_eq(vhost_client_used(&client.queue[TX], &used, CLIENT_WAIT_MS), 0);
	}
	net_guest_send(&good, sent, size);
	ck_assert_uint_eq(host_receive(&seen, got, sizeof(got), CLIENT_WAIT_MS), size);
	stop();
}
END_TEST

START_TEST(wrong_receive_buffers_break_the_ring)
{
	struct client_buffer list = {RX_AT, _i == 0 ? 11 : BUFFER, _i == 0};

	start(FEATURES_ALL);
	vhost_client_add(&client.queue[RX], &list, 1);
	vhost_client_kick(&client.queue[RX]);
	ck_assert_int_eq(vhost_client_broken(&client.queue[RX], CLIENT_WAIT_MS), 0);
	stop();
}
END_TEST

/* Frames wait in the tap until the guest has room, in order. */
START_TEST(no_buffers_no_loss)
{
	struct virtio_net_hdr plain = {0};
	struct virtio_net_hdr_v1 header;
	size_t size = frame_make(sent, 500, false);

	start(FEATURES_NONE);
	for (uint8_t i = 0; i < 20; i++) {
		sent[size - 1] = i;
		host_send(&plain, sent, size);
	}
	for (uint8_t i = 0; i < 20; i++) {
		post(i, 1, BUFFER);
		ck_assert_uint_eq(net_guest_receive(&header, got), size);
		ck_assert_uint_eq(got[size - 1], i);
	}
	stop();
}
END_TEST

START_TEST(stopping_gives_unused_buffers_back)
{
	struct virtio_net_hdr plain = {0};
	struct virtio_net_hdr_v1 header;
	size_t size = frame_make(sent, 500, false);

	start(FEATURES_ALL);
	post(0, 50, BUFFER);
	for (unsigned int i = 0; i < 3; i++) {
		host_send(&plain, sent, size);
		ck_assert_uint_eq(net_guest_receive(&header, got), size);
	}
	ck_assert_int_eq(vhost_client_queue_stop(&client, RX), 3);
	stop();
}
END_TEST

START_TEST(a_tap_that_is_down_comes_back)
{
	struct virtio_net_hdr plain = {0};
	struct virtio_net_hdr_v1 header = {0};
	size_t size = frame_make(sent, 500, false);
	socklen_t length = sizeof(int);
	int error;

	start(FEATURES_NONE);
	link_set(false);
	net_guest_send(&header, sent, size); /* lost */
	post(0, 10, BUFFER);
	link_set(true);
	ck_assert_int_eq(getsockopt(host, SOL_SOCKET, SO_ERROR, &error, &length),
	                 0); /* forgets it */
	host_send(&plain, sent, size);
	ck_assert_uint_eq(net_guest_receive(&header, got), size);
	ck_assert_mem_eq(got, sent, size);
	stop();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("devices: net");
	TCase *cases = tcase_create("net");
	SRunner *runner;
	int failed;

	if (!possible()) {
		puts("skipped: no network namespace or no tap can be made here (root and "
		     "/dev/net/tun)");
		return 77;
	}
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, config_says_mac_and_mtu);
	tcase_add_loop_test(cases, frames_reach_the_guest, 0, 2);
	tcase_add_test(cases, a_large_frame_is_spread_over_buffers);
	tcase_add_loop_test(cases, large_segments_from_the_host, 0, 2);
	tcase_add_loop_test(cases, frames_leave_the_guest, 0, 2);
	tcase_add_test(cases, large_segments_leave_the_guest);
	tcase_add_loop_test(cases, wrong_header_is_dropped, 0, BASE_COUNT(wrong_headers));
	tcase_add_test(cases, wrong_chains_are_dropped);
	tcase_add_loop_test(cases, wrong_receive_buffers_break_the_ring, 0, 2);
	tcase_add_test(cases, no_buffers_no_loss);
	tcase_add_test(cases, stopping_gives_unused_buffers_back);
	tcase_add_test(cases, a_tap_that_is_down_comes_back);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
