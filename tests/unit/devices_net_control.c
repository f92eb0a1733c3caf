/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cordon-net's control queue, with commands that are wrong as well; several pairs of queues; UDP segments. */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/base.h"
#include "tests/unit/net_fixture.h"
#include "vmm/devices/net.h"

enum { CONTROL_ONE = 2, CONTROL_TWO = 4 }; /* the control queue of one pair, of two */

#define COMMAND_AT (CLIENT_DATA + 0x80000)

static uint8_t sent[70000], got[70000];

/* Sends a command in pieces of `piece` bytes; the answer. */
static int command(unsigned int queue, const void *bytes, uint32_t size, uint32_t piece)
{
	struct client_buffer list[16];
	struct client_used used;
	unsigned int n = 0;
	uint8_t *answer = vhost_client_at(&client, COMMAND_AT + 0x10000);

	memcpy(vhost_client_at(&client, COMMAND_AT), bytes, size);
	*answer = 0x77;
	for (uint32_t at = 0; at < size; at += piece)
		list[n++] =
		        (struct client_buffer){COMMAND_AT + at, BASE_MIN(piece, size - at), false};
	list[n++] = (struct client_buffer){COMMAND_AT + 0x10000, 1, true};
	vhost_client_add(&client.queue[queue], list, n);
	vhost_client_kick(&client.queue[queue]);
	ck_assert_int_eq(vhost_client_used(&client.queue[queue], &used, CLIENT_WAIT_MS), 0);
	ck_assert_uint_eq(used.length, 1);
	return *answer;
}

#define COMMAND(queue, bytes) command(queue, bytes, sizeof(bytes) - 1, 64)

START_TEST(commands_that_are_right)
{
	static const char tables[] = "\1\0"
	                             "\1\0\0\0"
	                             "\2\0\0\0\0\1"
	                             "\2\0\0\0"
	                             "\1\0\x5e\0\0\1"
	                             "\1\0\x5e\0\0\2";

	start_many(FEATURES_ALL, 1, 3);
	for (char mode = 0; mode <= 5; mode++)
		for (char on = 0; on <= 1; on++)
			ck_assert_int_eq(command(CONTROL_ONE, (char[]){0, mode, on}, 3, 1),
			                 VIRTIO_NET_OK);
	for (uint32_t piece = 2; piece < sizeof(tables); piece++)
		ck_assert_int_eq(command(CONTROL_ONE, tables, sizeof(tables) - 1, piece),
		                 VIRTIO_NET_OK);
	ck_assert_int_eq(COMMAND(CONTROL_ONE, "\1\0\0\0\0\0\0\0\0\0"), VIRTIO_NET_OK);
	ck_assert_int_eq(COMMAND(CONTROL_ONE, "\1\1\2\0\0\0\0\x42"), VIRTIO_NET_OK);
	ck_assert_int_eq(COMMAND(CONTROL_ONE, "\5\0\0\0\0\0\0\0\0\0"), VIRTIO_NET_OK);
	stop();
}
END_TEST

START_TEST(commands_that_are_wrong)
{
	static const struct {
		const char *name, *bytes;
		uint32_t size;
	} wrong[] = {
	        {"half a command", "\0", 1},
	        {"no data", "\0\0", 2},
	        {"too much data", "\0\0\1\1", 4},
	        {"neither on nor off", "\0\0\2", 3},
	        {"a mode that there is not", "\0\6\1", 3},
	        {"a class that there is not", "\x77\0\1", 3},
	        {"VLAN filter, not offered", "\2\0\1\0", 4},
	        {"announcement, not offered", "\3\0", 2},
	        {"no second table", "\1\0\0\0\0\0", 6},
	        {"half a table", "\1\0\1\0\0\0\2\0\0\0\0", 11},
	        {"a table of 2^32 - 1", "\1\0\xff\xff\xff\xff\0\0\0\0", 10},
	        {"a second table of 2^32 - 1", "\1\0\0\0\0\0\xff\xff\xff\xff", 10},
	        {"tables and more", "\1\0\0\0\0\0\0\0\0\0\1", 11},
	        {"another's address", "\1\1\2\0\0\0\0\x43", 8},
	        {"half an address", "\1\1\2\0\0", 5},
	        {"two pairs of one", "\4\0\2\0", 4},
	        {"no pair", "\4\0\0\0", 4},
	        {"one pair, but MQ was not offered", "\4\0\1\0", 4},
	        {"receive steering", "\4\1\1\0", 4},
	        {"offloads that are none", "\5\0\0\0\0\0\0\0\0\x80", 10},
	        {"half the offloads", "\5\0\0\0\0\0", 6},
	};

	start_many(FEATURES_ALL, 1, 3);
	for (size_t i = 0; i < BASE_COUNT(wrong); i++)
		ck_assert_msg(command(CONTROL_ONE, wrong[i].bytes, wrong[i].size, 64) ==
		                      VIRTIO_NET_ERR,
		              "%s: was taken", wrong[i].name);
	ck_assert_int_eq(COMMAND(CONTROL_ONE, "\0\0\1"), VIRTIO_NET_OK);
	stop();
}
END_TEST

/* What was not negotiated is refused, whatever was offered. */
START_TEST(commands_that_were_not_negotiated)
{
	start_many(1ull << VIRTIO_NET_F_CTRL_VQ, 1, 3);
	ck_assert_int_eq(COMMAND(CONTROL_ONE, "\0\0\1"), VIRTIO_NET_ERR);
	ck_assert_int_eq(COMMAND(CONTROL_ONE, "\1\0\0\0\0\0\0\0\0\0"), VIRTIO_NET_ERR);
	ck_assert_int_eq(COMMAND(CONTROL_ONE, "\1\1\2\0\0\0\0\x42"), VIRTIO_NET_ERR);
	ck_assert_int_eq(COMMAND(CONTROL_ONE, "\5\0\0\0\0\0\0\0\0\0"), VIRTIO_NET_ERR);
	stop();
}
END_TEST

START_TEST(a_command_without_room_for_an_answer)
{
	struct client_buffer b = {COMMAND_AT, 3, false};

	start_many(FEATURES_ALL, 1, 3);
	vhost_client_add(&client.queue[CONTROL_ONE], &b, 1);
	vhost_client_kick(&client.queue[CONTROL_ONE]);
	ck_assert_int_eq(vhost_client_broken(&client.queue[CONTROL_ONE], CLIENT_WAIT_MS), 0);
	stop();
}
END_TEST

/* A segment comes whole while the guest has it on, cut and summed up when it has not. */
START_TEST(offloads_can_be_switched)
{
	struct virtio_net_hdr gso = gso_header();
	struct virtio_net_hdr_v1 header;
	size_t size = frame_make(sent, 5000, true);

	start_many(FEATURES_ALL, 1, 3);
	post(0, 60, BUFFER);
	host_send(&gso, sent, size);
	ck_assert_uint_eq(net_guest_receive(&header, got), size);
	ck_assert_int_eq(COMMAND(CONTROL_ONE, "\5\0\0\0\0\0\0\0\0\0"), VIRTIO_NET_OK);
	host_send(&gso, sent, size);
	for (int i = 0; i < 4; i++) {
		ck_assert_uint_le(net_guest_receive(&header, got), ETHERNET + IP + TCP + MSS);
		ck_assert_uint_eq(header.gso_type, VIRTIO_NET_HDR_GSO_NONE);
		ck_assert_uint_eq(header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM, 0);
	}
	/* checksum and TSO4 again */
	ck_assert_int_eq(COMMAND(CONTROL_ONE, "\5\0\x82\0\0\0\0\0\0\0"), VIRTIO_NET_OK);
	host_send(&gso, sent, size);
	ck_assert_uint_eq(net_guest_receive(&header, got), size);
	stop();
}
END_TEST

/* UDP datagrams of 1000 bytes in one frame, where this host's tap takes them (Linux 6.2). */
START_TEST(udp_segments)
{
	struct virtio_net_hdr seen, gso = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
	                                   .gso_type = NET_HDR_GSO_UDP_L4,
	                                   .hdr_len = ETHERNET + IP + UDP,
	                                   .gso_size = 1000,
	                                   .csum_start = ETHERNET + IP,
	                                   .csum_offset = 6};
	struct virtio_net_hdr_v1 header = {0};
	size_t size = frame_make(sent, 8000, false);

	start_many(FEATURES_ALL, 1, 3);
	if (!(client.offered & 1ull << NET_F_HOST_USO)) {
		puts("skip: udp_segments: this host's tap has no USO");
		stop();
		return;
	}
	memcpy(&header, &gso, sizeof(gso));
	net_guest_send(&header, sent, size);
	ck_assert_uint_eq(host_receive(&seen, got, sizeof(got), CLIENT_WAIT_MS), size);
	ck_assert_uint_eq(seen.gso_type, NET_HDR_GSO_UDP_L4);
	ck_assert_uint_eq(seen.gso_size, 1000);
	post(0, 60, BUFFER);
	host_send(&gso, sent, size);
	ck_assert_uint_eq(net_guest_receive(&header, got), size);
	ck_assert_uint_eq(header.gso_type, NET_HDR_GSO_UDP_L4);
	stop();
}
END_TEST

/* Frames of many flows, some to each pair that is used, and none to one that is not. */
static unsigned int flows(unsigned int *second)
{
	struct virtio_net_hdr plain = {0};
	struct client_used used;
	unsigned int first = 0;

	*second = 0;
	for (unsigned int i = 0; i < 48; i++) {
		size_t size = frame_make(sent, 100, false);

		sent[ETHERNET + IP + 1] = (uint8_t)i; /* the source port */
		host_send(&plain, sent, size);
	}
	while (first + *second < 48) {
		if (vhost_client_used(&client.queue[0], &used, 0) == 0)
			first++;
		else if (vhost_client_used(&client.queue[2], &used, 0) == 0)
			++*second;
		else if (vhost_client_used(&client.queue[0], &used, 20) == 0)
			first++;
	}
	return first;
}

static void post_both(void)
{
	for (unsigned int i = 0; i < 60; i++) {
		struct client_buffer one = {RX_AT + i * BUFFER, BUFFER, true};
		struct client_buffer two = {CLIENT_NEXT + i * BUFFER, BUFFER, true};

		vhost_client_add(&client.queue[0], &one, 1);
		vhost_client_add(&client.queue[2], &two, 1);
	}
	vhost_client_kick(&client.queue[0]);
	vhost_client_kick(&client.queue[2]);
}

START_TEST(pairs_are_used_when_asked_for)
{
	const uint64_t no_large =
	        ~(1ull << VIRTIO_NET_F_GUEST_TSO4 | 1ull << VIRTIO_NET_F_GUEST_TSO6 |
	          1ull << NET_F_GUEST_USO4 | 1ull << NET_F_GUEST_USO6);
	struct virtio_net_config config;
	unsigned int second;

	start_many(no_large, 2, 5);
	ck_assert_int_eq(vhost_client_config(&client, 0, &config, 12), 0);
	ck_assert_uint_eq(config.max_virtqueue_pairs, 2);
	post_both();
	ck_assert_uint_eq(flows(&second), 48);
	ck_assert_int_eq(COMMAND(CONTROL_TWO, "\4\0\3\0"), VIRTIO_NET_ERR);
	ck_assert_int_eq(COMMAND(CONTROL_TWO, "\4\0\2\0"), VIRTIO_NET_OK);
	for (unsigned int i = 0; i < 48; i++) {
		struct client_buffer one = {RX_AT + i * BUFFER, BUFFER, true};

		vhost_client_add(&client.queue[0], &one, 1);
	}
	vhost_client_kick(&client.queue[0]);
	flows(&second);
	ck_assert_uint_gt(second, 5);
	ck_assert_uint_lt(second, 43);
	ck_assert_int_eq(COMMAND(CONTROL_TWO, "\4\0\1\0"), VIRTIO_NET_OK);
	stop();
}
END_TEST

/* A front end that keeps the control queue says which pairs are used by the rings that it starts. */
START_TEST(pairs_are_used_when_started)
{
	unsigned int second;

	start_many(1ull << VIRTIO_NET_F_MQ | 1ull << VIRTIO_NET_F_MRG_RXBUF, 2, 4);
	post_both();
	flows(&second);
	ck_assert_uint_gt(second, 5);
	ck_assert_int_ge(vhost_client_queue_stop(&client, 2), 0);
	for (unsigned int i = 0; i < 48; i++) {
		struct client_buffer one = {RX_AT + i * BUFFER, BUFFER, true};

		vhost_client_add(&client.queue[0], &one, 1);
	}
	vhost_client_kick(&client.queue[0]);
	client.queue[2].used_seen = client.queue[2].used[1];
	ck_assert_uint_eq(flows(&second), 48);
	stop();
}
END_TEST

/* A guest can have a queue switched without end; a tap that will not is no reason to fill the log. */
START_TEST(a_tap_that_does_not_switch_is_logged_now_and_then)
{
	struct net net = {.pairs = 2, .pair[1].tap = open("/dev/null", O_RDWR | O_CLOEXEC)};
	int log = memfd_create("log", MFD_CLOEXEC);
	char lines[4096] = "";
	unsigned int count = 0;

	ck_assert_int_eq(dup2(log, STDERR_FILENO), STDERR_FILENO);
	for (unsigned int i = 0; i < 255; i++)
		net_pair_attach(&net, 1, true);
	ck_assert(!net.pair[1].attached);
	ck_assert_int_gt(pread(log, lines, sizeof(lines) - 1, 0), 0);
	for (const char *at = lines; (at = strchr(at, '\n')); at++)
		count++;
	ck_assert_uint_eq(count, 2); /* of the 1st and the 16th */
	close(log);
	close(net.pair[1].tap);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("devices: net control");
	TCase *cases = tcase_create("control");
	SRunner *runner;
	int failed;

	if (!possible()) {
		puts("skipped: no network namespace or no tap can be made here (root and "
		     "/dev/net/tun)");
		return 77;
	}
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, commands_that_are_right);
	tcase_add_test(cases, commands_that_are_wrong);
	tcase_add_test(cases, commands_that_were_not_negotiated);
	tcase_add_test(cases, a_command_without_room_for_an_answer);
	tcase_add_test(cases, offloads_can_be_switched);
	tcase_add_test(cases, udp_segments);
	tcase_add_test(cases, pairs_are_used_when_asked_for);
	tcase_add_test(cases, pairs_are_used_when_started);
	tcase_add_test(cases, a_tap_that_does_not_switch_is_logged_now_and_then);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
