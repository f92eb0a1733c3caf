/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scans that are not many refused ports of one host: blocks, silent UDP, protocols, versions, slow ones. */
#include "monitor_scan_fixture.h"

#include "bpf/packet.h"

START_TEST(a_block_is_one_finding)
{
	struct watch *watch = watch_new(&scan_detector, NULL);

	for (uint32_t i = 0; i < 14 * 12; i++) {
		try(watch, TCP, LAN_HOST + i % 14, (uint16_t)(20 + i / 14), START + i * SECOND / 20,
		    i % 2 ? FLOW_OUTCOME_RESET : FLOW_OUTCOME_NONE);
		watch_tick(watch, START + i * SECOND / 20);
	}
	watch_tick(watch, START + 20 * SECOND);
	found(watch, "scan.block", ALERT_MEDIUM);
}
END_TEST

/* Who is answered goes on; a guest that resets what it has asked for does not. */
START_TEST(the_guest_resets)
{
	struct watch *watch = watch_new(&scan_detector, NULL);

	for (uint16_t i = 0; i < 20; i++) {
		struct flow_event event = event_make(FLOW_EVENT_OUTCOME, TCP, HOST,
		                                     (uint16_t)(100 + i), START + i * SECOND / 100);

		event.record.outcome = FLOW_OUTCOME_ANSWERED;
		event.record.state = FLOW_STATE_ANSWERED;
		watch_event(watch, &event.header);
		ck_assert_uint_eq(watch->count[ALERT_NEW], i >= 15);
		event.record.state = FLOW_STATE_RESET;
		watch_event(watch, &event.header);
	}
	found(watch, "scan.vertical", ALERT_MEDIUM);
}
END_TEST

/* A host refuses six ports, and is silent about the rest; where it refuses none, or takes its time, that says less. */
START_TEST(refusals_have_a_rate)
{
	for (int row = 0; row < 3; row++) {
		struct watch *watch = watch_new(&scan_detector, NULL);
		const uint64_t apart = row == 1 ? 10 * SECOND : SECOND / 1000;

		for (uint16_t i = 0; i < 22; i++)
			try(watch, UDP, HOST, (uint16_t)(100 + i), START + i * apart,
			    i < 6 && row < 2 ? FLOW_OUTCOME_UNREACHABLE : FLOW_OUTCOME_NONE);
		watch_tick(watch, START + 22 * apart + SECOND);
		ck_assert_int_eq(watch->severity >= ALERT_MEDIUM, row == 0);
		watch_end(watch);
	}
}
END_TEST

/* Two dead hosts with three services each, tried again and again. */
START_TEST(dead_neighbours_are_no_block)
{
	struct watch *watch = watch_new(&scan_detector, NULL);

	for (uint32_t i = 0; i < 600; i++)
		try(watch, TCP, LAN_HOST + i % 2, (uint16_t)(80 + i / 2 % 3), START + i * SECOND,
		    FLOW_OUTCOME_RESET);
	ck_assert_int_le(watch->severity, ALERT_LOW);
	watch_end(watch);
}
END_TEST

START_TEST(silent_udp)
{
	struct watch *watch = watch_new(&scan_detector, NULL);

	for (uint16_t i = 0; i < 100; i++)
		try(watch, UDP, HOST, (uint16_t)(100 + i * 7), START + i * SECOND / 10,
		    FLOW_OUTCOME_NONE);
	watch_tick(watch, START + 20 * SECOND);
	found(watch, "scan.vertical", ALERT_MEDIUM);

	watch = watch_new(&scan_detector, NULL);
	for (uint32_t i = 0; i < 100; i++)
		try(watch, UDP, HOST + i * 7919, 161, START + i * SECOND / 10, FLOW_OUTCOME_NONE);
	watch_tick(watch, START + 20 * SECOND);
	found(watch, "scan.horizontal", ALERT_MEDIUM);
}
END_TEST

/* A path is looked at; QUIC is not let through; a game asks a few servers that are gone. */
START_TEST(ordinary_silence)
{
	struct watch *watch = watch_new(&scan_detector, NULL);

	for (uint16_t i = 0; i < 90; i++) {
		struct flow_event event = event_make(FLOW_EVENT_OUTCOME, UDP, HOST,
		                                     (uint16_t)(33434 + i), START + i * SECOND / 9);

		event.record.outcome = FLOW_OUTCOME_UNREACHABLE;
		event.record.icmp_type = i < 60 ? 11 : 3;
		watch_event(watch, &event.header);
		event = event_make(FLOW_EVENT_OUTCOME, TCP, HOST, (uint16_t)(1000 + i),
		                   START + i * SECOND / 9);
		event.record.outcome = FLOW_OUTCOME_UNREACHABLE;
		event.record.icmp_type = 11; /* by TCP, too */
		watch_event(watch, &event.header);
	}
	for (uint32_t i = 0; i < 200; i++)
		try(watch, UDP, HOST + i * 7919, 443, START + i * SECOND, FLOW_OUTCOME_NONE);
	for (uint32_t i = 0; i < 20; i++)
		try(watch, UDP, HOST + i * 7919, 27015, START + i * SECOND, FLOW_OUTCOME_NONE);
	/* a poller of neighbours, of which one in six is down */
	for (uint32_t i = 0; i < 240; i++)
		try(watch, UDP, 0x0a000001 + i, 161, START + i * SECOND,
		    i % 6 ? FLOW_OUTCOME_ANSWERED : FLOW_OUTCOME_NONE);
	/* a resolver whose questions were not captured */
	for (uint16_t i = 0; i < 200; i++) {
		struct flow_event event = event_make(FLOW_EVENT_NEW, UDP, HOST,
		                                     (uint16_t)(20000 + i * 7), START + i * SECOND);

		event.record.key.guest_port = 53;
		watch_event(watch, &event.header);
	}
	watch_tick(watch, START + 300 * SECOND);
	ck_assert_msg(watch->count[ALERT_NEW] == 0, "%s", watch->last.sentence);
	watch_end(watch);
}
END_TEST

START_TEST(protocols)
{
	struct watch *watch = watch_new(&scan_detector, NULL);

	for (uint16_t proto = 1; proto < 140; proto++)
		if (proto != TCP && proto != UDP && proto != ICMP && proto != 58)
			try(watch, (uint8_t)proto, HOST, 0, START + proto * SECOND / 10,
			    FLOW_OUTCOME_NONE);
	watch_tick(watch, START + 60 * SECOND);
	found(watch, "scan.protocol", ALERT_MEDIUM);

	/* tunnels and routing */
	watch = watch_new(&scan_detector, NULL);
	for (size_t i = 0; i < 5; i++)
		try(watch, (uint8_t[]){47, 50, 51, 89, 112}[i], HOST, 0, START + i * SECOND,
		    FLOW_OUTCOME_NONE);
	watch_tick(watch, START + 60 * SECOND);
	ck_assert_int_le(watch->severity, ALERT_LOW);
	watch_end(watch);
}
END_TEST

static void speak(struct watch *watch, const char *head, size_t size, uint64_t time)
{
	struct flow_event event = event_make(FLOW_EVENT_OUTCOME, TCP, HOST, 9999, time);

	event_side(&event, FLOW_GUEST, 4, size, head, size);
	event_side(&event, FLOW_PEER, 4, 0, "", 0);
	event_close(&event, SECOND);
	watch_event(watch, &event.header);
}

START_TEST(versions)
{
	static const struct {
		const char *head;
		size_t size;
	} probes[] = {{"\r\n\r\n", 4}, {"GET / HTTP/1.0", 14}, {"\x80\0\0\x28", 4},
	              {"HELP\r\n", 6}, {"\x16\x03\0\0S", 5},   {"\0\x1e\0\x06", 4}};
	struct watch *watch = watch_new(&scan_detector, NULL);

	for (size_t i = 0; i < BASE_COUNT(probes); i++)
		speak(watch, probes[i].head, probes[i].size, START + i * 5 * SECOND);
	found(watch, "scan.version", ALERT_MEDIUM);

	/* one that begins with chance, and one that is spoken with and without TLS */
	watch = watch_new(&scan_detector, NULL);
	for (uint32_t i = 0; i < 200; i++) {
		uint32_t head = i * 2654435761u;

		speak(watch, (const char *)&head, sizeof(head), START + i * SECOND);
		speak(watch, probes[i % 2 ? 1 : 4].head, 5, START + i * SECOND);
	}
	ck_assert_uint_eq(watch->count[ALERT_NEW], 0);
	watch_end(watch);
}
END_TEST

START_TEST(nothing_in_common_but_speed)
{
	struct watch *watch = watch_new(&scan_detector, NULL);

	for (uint32_t i = 0; i < 6000; i++)
		try(watch, TCP, i * 2654435761u % 0xdf000000, (uint16_t)(1 + i * 40503u % 65000),
		    START + i * SECOND / 500, FLOW_OUTCOME_NONE);
	watch_tick(watch, START + 20 * SECOND);
	ck_assert_str_eq(watch->first.rule, "scan.spread");
	ck_assert_int_ge(watch->severity, ALERT_MEDIUM);
	watch_end(watch);

	/* a peer-to-peer program's rate */
	watch = watch_new(&scan_detector, NULL);
	for (uint32_t i = 0; i < 6000; i++)
		try(watch, TCP, i * 2654435761u % 0xdf000000, (uint16_t)(1025 + i * 40503u % 60000),
		    START + i * SECOND / 30, i % 5 ? FLOW_OUTCOME_NONE : FLOW_OUTCOME_ESTABLISHED);
	watch_tick(watch, START + 300 * SECOND);
	ck_assert_msg(watch->severity <= ALERT_LOW, "%s", watch->last.sentence);
	watch_end(watch);
}
END_TEST

/* One target an hour, 24 in a day, as targets whose hashes meet count once; and one host of many a day that are down, where most are not. */
START_TEST(slow)
{
	struct watch *watch = watch_new(&scan_detector, NULL);

	for (uint64_t i = 0; i < 32; i++)
		for (uint64_t m = 0; m < 60; m++) {
			uint64_t time = START + (i * 60 + m) * MINUTE;

			if (m == 0)
				try(watch, TCP, HOST, (uint16_t)(20 + i), time, FLOW_OUTCOME_RESET);
			watch_tick(watch, time + 30 * SECOND);
		}
	ck_assert_uint_eq(watch->count[ALERT_NEW], 1);
	ck_assert_str_eq(watch->first.rule, "scan.vertical");
	ck_assert_int_eq(watch->first.severity, ALERT_MEDIUM);
	ck_assert_msg(strstr(watch->first.sentence, "slowly") != NULL, "%s", watch->first.sentence);
	watch_end(watch);

	watch = watch_new(&scan_detector, NULL);
	for (uint32_t i = 0; i < 24 * 60; i++) {
		uint64_t time = START + i * MINUTE;

		try(watch, TCP, HOST + i * 7, 22, time,
		    i % 30 ? FLOW_OUTCOME_ESTABLISHED : FLOW_OUTCOME_NONE);
		/* the same dead one each hour */
		if (i % 61 == 0)
			try(watch, TCP, LAN_HOST, 9000, time, FLOW_OUTCOME_NONE);
		watch_tick(watch, time + 10 * SECOND);
	}
	ck_assert_msg(watch->count[ALERT_NEW] == 0, "%s", watch->last.sentence);
	watch_end(watch);
}
END_TEST

static void touch(struct watch *watch, uint32_t peer, uint64_t time, uint64_t payload)
{
	struct flow_event event = event_make(FLOW_EVENT_NEW, TCP, peer, 22, time);

	watch_event(watch, &event.header);
	event.header.type = FLOW_EVENT_OUTCOME;
	event.record.outcome = FLOW_OUTCOME_ESTABLISHED;
	watch_event(watch, &event.header);
	event_side(&event, FLOW_GUEST, 4, payload, "SSH-", payload ? 4 : 0);
	event_side(&event, FLOW_PEER, 4, 20, "SSH-2.0-x", 9);
	event_close(&event, SECOND / 10);
	watch_event(watch, &event.header);
}

START_TEST(neighbours_that_all_answer)
{
	struct watch *watch = watch_new(&scan_detector, NULL);

	for (uint32_t i = 0; i < 120; i++)
		touch(watch, 0x0a000001 + i, START + i * SECOND / 20, 0);
	found(watch, "scan.horizontal", ALERT_MEDIUM);

	/* a health check that takes its time, and a program that has something to say */
	watch = watch_new(&scan_detector, NULL);
	for (uint32_t i = 0; i < 600; i++) {
		touch(watch, 0x0a000001 + i % 100, START + i * SECOND, 0);
		touch(watch, 0x0a000101 + i % 100, START + i * SECOND / 20, 500);
	}
	ck_assert_msg(watch->count[ALERT_NEW] == 0, "%s", watch->last.sentence);
	watch_end(watch);
}
END_TEST

static void try_by(struct watch *watch, uint32_t guest, uint32_t peer, uint16_t port, uint64_t time,
                   uint8_t outcome)
{
	struct flow_event event = event_make(FLOW_EVENT_OUTCOME, TCP, peer, port, time);

	key_address(event.record.key.guest, guest);
	event.record.outcome = outcome;
	watch_event(watch, &event.header);
}

/* Eight guests, each of which tries seven ports, or seven hosts. */
START_TEST(together)
{
	for (int hosts = 0; hosts < 2; hosts++) {
		struct detector_world *world = world_create();
		struct watch *watches[8];
		size_t said = 0;

		for (uint32_t i = 0; i < 8; i++)
			watches[i] = watch_new(&scan_detector, world);
		for (uint32_t i = 0; i < 56; i++)
			try_by(watches[i % 8], 0x0a4d0001 + i % 8, hosts ? HOST + i * 7 : HOST,
			       hosts ? 445 : (uint16_t)(100 + i), START + i * SECOND,
			       FLOW_OUTCOME_RESET);
		for (uint32_t i = 0; i < 8; i++) {
			said += watches[i]->count[ALERT_NEW];
			if (watches[i]->count[ALERT_NEW])
				ck_assert_str_eq(watches[i]->first.rule, "scan.distributed");
			watch_end(watches[i]);
		}
		ck_assert_uint_eq(said, 1);
		world_destroy(world);
	}
}
END_TEST

/* A host that is down, and whose three services all guests ask for; and the ports of a file server. */
START_TEST(not_together)
{
	struct detector_world *world = world_create();
	struct watch *watches[8];

	for (uint32_t i = 0; i < 8; i++)
		watches[i] = watch_new(&scan_detector, world);
	for (uint32_t i = 0; i < 400; i++) {
		try_by(watches[i % 8], 0x0a4d0001 + i % 8, LAN_HOST, (uint16_t)(80 + i % 3),
		       START + i * SECOND, FLOW_OUTCOME_RESET);
		try_by(watches[i % 8], 0x0a4d0001 + i % 8, HOST + i * 7, 443, START + i * SECOND,
		       i % 3 ? FLOW_OUTCOME_ESTABLISHED : FLOW_OUTCOME_RESET);
	}
	for (uint32_t i = 0; i < 8; i++) {
		ck_assert_msg(watches[i]->severity <= ALERT_LOW, "%s", watches[i]->last.sentence);
		watch_end(watches[i]);
	}
	world_destroy(world);
}
END_TEST

/* A fast scan that nobody answers is said while it goes on; a slow link's first connections are not. */
START_TEST(fast)
{
	struct watch *watch = watch_new(&scan_detector, NULL);

	for (uint16_t i = 0; i < 200; i++)
		try(watch, TCP, HOST, (uint16_t)(i + 1), START + i * SECOND / 150,
		    FLOW_OUTCOME_NONE);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 1);
	watch_end(watch);

	watch = watch_new(&scan_detector, NULL);
	for (uint16_t i = 0; i < 25; i++)
		try(watch, TCP, HOST + i * 7, 443, START + i * SECOND / 10, FLOW_OUTCOME_NONE);
	for (uint16_t i = 0; i < 25; i++)
		try_by(watch, 0x0a4d0006, HOST + i * 7, 443, START + i * SECOND / 10 + 2 * SECOND,
		       FLOW_OUTCOME_ESTABLISHED);
	watch_tick(watch, START + 10 * SECOND);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 0);
	watch_end(watch);

	watch = watch_new(&scan_detector, NULL); /* more wait at once than are remembered */
	for (uint32_t i = 0; i < 32000; i++)
		try(watch, TCP, 0x0b000000 + i, 2323, START + i * SECOND / 40000,
		    FLOW_OUTCOME_NONE);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 1);
	watch_end(watch);
}
END_TEST

START_TEST(usual_ports_of_peers_are_low)
{
	struct watch *watch = watch_new(&scan_detector, NULL);

	for (uint32_t i = 0; i < 200; i++)
		try(watch, TCP, HOST + i * 7919, 8333, START + i * SECOND, FLOW_OUTCOME_NONE);
	watch_tick(watch, START + 300 * SECOND);
	ck_assert_int_eq(watch->severity, ALERT_LOW);
	watch_end(watch);

	/* peers that are tried at ports of their own, and then at a web server's */
	watch = watch_new(&scan_detector, NULL);
	for (uint32_t i = 0; i < 60; i++) {
		try(watch, UDP, HOST + i * 7919, (uint16_t)(2000 + i * 331), START + i * SECOND,
		    i % 3 ? FLOW_OUTCOME_ANSWERED : FLOW_OUTCOME_NONE);
		try(watch, TCP, HOST + i * 7919, 443, START + i * SECOND, FLOW_OUTCOME_NONE);
	}
	watch_tick(watch, START + 300 * SECOND);
	ck_assert_int_eq(watch->severity, ALERT_LOW);
	watch_end(watch);
}
END_TEST

/* Ports and networks of which none is tried enough to be a group, over hours; then with one that answers. */
START_TEST(nothing_answers)
{
	for (int answers = 0; answers < 2; answers++) {
		struct watch *watch = watch_new(&scan_detector, NULL);

		for (uint32_t i = 0; i < 12; i++) {
			uint64_t time = START + i * 25 * MINUTE;
			bool answer = answers && i % 6 == 5;

			try(watch, TCP, HOST + i * 0x10000, (uint16_t)(80 + i % 4 * 8), time,
			    answer ? FLOW_OUTCOME_ESTABLISHED : FLOW_OUTCOME_NONE);
			watch_tick(watch, time + MINUTE);
		}
		ck_assert_uint_eq(watch->count[ALERT_NEW], !answers);
		if (!answers) {
			ck_assert_str_eq(watch->first.rule, "scan.spread");
			ck_assert_int_eq(watch->severity, ALERT_LOW);
			/* an answer is the end of it */
			try(watch, TCP, HOST, 443, START + 500 * MINUTE, FLOW_OUTCOME_ESTABLISHED);
			ck_assert_uint_eq(watch->count[ALERT_END], 1);
		}
		watch_end(watch);
	}
}
END_TEST

/* What is a finding by its port is not said once more. */
START_TEST(one_port_is_said_once)
{
	struct watch *watch = watch_new(&scan_detector, NULL);

	for (uint32_t i = 0; i < 12; i++)
		try(watch, TCP, HOST + i * 0x10000, (uint16_t)(i < 10 ? 23 : i), START + i * SECOND,
		    FLOW_OUTCOME_NONE);
	watch_tick(watch, START + MINUTE);
	found(watch, "scan.horizontal", ALERT_LOW);
}
END_TEST

static void ping(struct watch *watch, uint32_t peer, uint64_t time, uint8_t outcome)
{
	struct flow_event event = event_make(FLOW_EVENT_NEW, PACKET_PROTO_ICMP, peer, 0, time);

	event.record.key.guest_port = 8;
	watch_event(watch, &event.header);
	event.header.type = FLOW_EVENT_OUTCOME;
	event.record.outcome = outcome;
	if (outcome != FLOW_OUTCOME_NONE)
		watch_event(watch, &event.header);
}

/* 18 neighbours at once, of which some are not there; the same, asked for over five minutes. */
START_TEST(a_small_sweep_is_low)
{
	for (int late = 0; late < 2; late++) {
		struct watch *watch = watch_new(&scan_detector, NULL);

		for (uint32_t i = 0; i < 18; i++)
			ping(watch, HOST + i,
			     START + i * SECOND / (late ? 1 : 10) * (late ? 15 : 1),
			     i % 3 ? FLOW_OUTCOME_ANSWERED : FLOW_OUTCOME_NONE);
		watch_tick(watch, START + 10 * MINUTE);
		ck_assert_uint_eq(watch->count[ALERT_NEW], !late);
		if (!late) {
			ck_assert_str_eq(watch->first.rule, "scan.sweep");
			ck_assert_int_eq(watch->severity, ALERT_LOW);
		}
		watch_end(watch);
	}
}
END_TEST

/* The second parts of packets: each is a flow without ports. */
START_TEST(the_rest_of_packets_is_no_try)
{
	struct watch *watch = watch_new(&scan_detector, NULL);

	for (uint32_t i = 0; i < 100; i++) {
		struct flow_event event =
		        event_make(FLOW_EVENT_NEW, UDP, HOST + i, 0, START + i * SECOND / 10);

		event.record.key.guest_port = 0;
		event.record.flags |= FLOW_FLAG_FRAGMENTS;
		watch_event(watch, &event.header);
	}
	watch_tick(watch, START + 10 * MINUTE);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 0);
	watch_end(watch);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor_scan_more");
	TCase *tests = tcase_create("scan");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, a_block_is_one_finding);
	tcase_add_test(tests, dead_neighbours_are_no_block);
	tcase_add_test(tests, silent_udp);
	tcase_add_test(tests, ordinary_silence);
	tcase_add_test(tests, protocols);
	tcase_add_test(tests, versions);
	tcase_add_test(tests, nothing_in_common_but_speed);
	tcase_add_test(tests, slow);
	tcase_add_test(tests, neighbours_that_all_answer);
	tcase_add_test(tests, together);
	tcase_add_test(tests, fast);
	tcase_add_test(tests, not_together);
	tcase_add_test(tests, usual_ports_of_peers_are_low);
	tcase_add_test(tests, nothing_answers);
	tcase_add_test(tests, one_port_is_said_once);
	tcase_add_test(tests, a_small_sweep_is_low);
	tcase_add_test(tests, the_guest_resets);
	tcase_add_test(tests, refusals_have_a_rate);
	tcase_add_test(tests, the_rest_of_packets_is_no_try);
	suite_add_tcase(suite, tests);
	return suite_run(suite);
}
