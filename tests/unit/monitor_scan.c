/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The scan detector, fed with events by hand: what it must find, and what it must leave alone. */
#include <check.h>
#include <stdio.h>

#include "base/base.h"
#include "monitor/scan.h"

#define SECOND 1000000000ull
#define START  (1750000000 * SECOND)

enum { TCP = 6, UDP = 17, ICMP = 1 };

struct seen {
	struct alert last, first;
	size_t count[3]; /* by stage */
};

static void seen_add(const struct alert *alert, void *data)
{
	struct seen *seen = data;

	seen->count[alert->stage]++;
	if (alert->stage == ALERT_NEW)
		seen->first = *alert;
	seen->last = *alert;
}

static struct scan *scan_new(void)
{
	struct scan_config config = {.ports = 0};
	struct scan *scan = scan_create(&config);

	ck_assert_ptr_nonnull(scan);
	return scan;
}

static struct flow_event event_of(uint8_t proto, uint32_t peer, uint16_t port, uint64_t time,
                                  uint8_t outcome)
{
	struct flow_event event = {0};
	struct flow_key *key = &event.record.key;

	event.header.type = outcome == FLOW_OUTCOME_NONE ? FLOW_EVENT_NEW : FLOW_EVENT_OUTCOME;
	event.header.time_ns = time;
	event.record.outcome = outcome;
	key->family = FLOW_IPV4;
	key->proto = proto;
	memcpy(key->guest, (uint8_t[]){10, 77, 0, 6}, 4);
	memcpy(key->peer,
	       (uint8_t[]){(uint8_t)(peer >> 24), (uint8_t)(peer >> 16), (uint8_t)(peer >> 8),
	                   (uint8_t)peer},
	       4);
	key->guest_port = 40000;
	key->peer_port = port;
	return event;
}

static void try(struct scan *scan, struct seen *seen, uint8_t proto, uint32_t peer, uint16_t port,
                uint64_t time, uint8_t outcome)
{
	struct flow_event event = event_of(proto, peer, port, time, FLOW_OUTCOME_NONE);

	scan_observe(scan, &event, seen_add, seen);
	if (outcome == FLOW_OUTCOME_NONE)
		return;
	event = event_of(proto, peer, port, time + 1000000, outcome);
	scan_observe(scan, &event, seen_add, seen);
}

enum { HOST = 0xc6336414 /* 198.51.100.20 */ };

START_TEST(vertical_by_resets)
{
	struct scan *scan = scan_new();
	struct seen seen = {0};

	for (uint16_t port = 1; port <= 60; port++)
		try(scan, &seen, TCP, HOST, port, START + port * SECOND / 20, FLOW_OUTCOME_RESET);
	ck_assert_uint_eq(seen.count[ALERT_NEW], 1);
	ck_assert_str_eq(seen.first.rule, "scan.vertical");
	ck_assert_str_eq(seen.first.technique, "T1046");
	ck_assert_uint_eq(seen.first.failed, 15);
	ck_assert_int_eq(seen.first.severity, ALERT_MEDIUM);
	ck_assert_mem_eq(seen.first.target, ((uint8_t[]){198, 51, 100, 20}), 4);
	ck_assert_mem_eq(seen.first.source, ((uint8_t[]){10, 77, 0, 6}), 4);
	ck_assert_uint_eq(seen.first.flow_count, ALERT_FLOWS_MAX);
	ck_assert(seen.first.act);
	scan_tick(scan, START + 120 * SECOND, seen_add, &seen);
	ck_assert_uint_eq(seen.count[ALERT_END], 1);
	ck_assert(!seen.last.act);
	ck_assert_str_eq(seen.last.id, seen.first.id);
	ck_assert_uint_eq(seen.last.refused, 60);
	ck_assert_str_eq(seen.last.sentence,
	                 "tried 60 ports of 198.51.100.20 in 3 s; 60 refused, 0 unanswered");
	scan_destroy(scan);
}
END_TEST

START_TEST(vertical_by_silence)
{
	struct scan *scan = scan_new();
	struct seen seen = {0};

	for (uint16_t port = 1; port <= 40; port++)
		try(scan, &seen, TCP, HOST, port, START + port * SECOND / 100, FLOW_OUTCOME_NONE);
	ck_assert_uint_eq(seen.count[ALERT_NEW], 0); /* nothing is known yet */
	scan_tick(scan, START + 10 * SECOND, seen_add, &seen);
	ck_assert_uint_eq(seen.count[ALERT_NEW], 1);
	ck_assert_str_eq(seen.first.rule, "scan.vertical");
	scan_destroy(scan);
}
END_TEST

START_TEST(horizontal)
{
	struct scan *scan = scan_new();
	struct seen seen = {0};

	for (uint32_t host = 1; host <= 30; host++)
		try(scan, &seen, TCP, 0x0a000000 + host, 23, START + host * SECOND,
		    host % 2 ? FLOW_OUTCOME_RESET : FLOW_OUTCOME_UNREACHABLE);
	ck_assert_uint_eq(seen.count[ALERT_NEW], 1);
	ck_assert_str_eq(seen.first.rule, "scan.horizontal");
	ck_assert_uint_eq(seen.first.port, 23);
	scan_destroy(scan);
}
END_TEST

START_TEST(ping_sweep_is_remote_system_discovery)
{
	struct scan *scan = scan_new();
	struct seen seen = {0};

	for (uint32_t host = 1; host <= 30; host++)
		try(scan, &seen, ICMP, 0x0a000000 + host, 0, START + host * SECOND / 10,
		    FLOW_OUTCOME_NONE);
	scan_tick(scan, START + 20 * SECOND, seen_add, &seen);
	ck_assert_uint_eq(seen.count[ALERT_NEW], 1);
	ck_assert_str_eq(seen.first.rule, "scan.sweep");
	ck_assert_str_eq(seen.first.technique, "T1018");
	scan_destroy(scan);
}
END_TEST

START_TEST(slow_within_the_hour)
{
	struct scan *scan = scan_new();
	struct seen seen = {0};

	for (uint16_t port = 1; port <= 20; port++) {
		try(scan, &seen, TCP, HOST, port, START + port * 61 * SECOND, FLOW_OUTCOME_RESET);
		scan_tick(scan, START + port * 61 * SECOND + 30 * SECOND, seen_add, &seen);
	}
	ck_assert_uint_eq(seen.count[ALERT_NEW], 1);
	scan_destroy(scan);
}
END_TEST

/* What the limits say: one target every five minutes is a low alert, and stays one finding. */
START_TEST(slower_than_the_window_is_low)
{
	struct scan *scan = scan_new();
	struct seen seen = {0};

	for (uint16_t port = 1; port <= 200; port++) {
		try(scan, &seen, TCP, HOST, port, START + port * 300 * SECOND, FLOW_OUTCOME_RESET);
		scan_tick(scan, START + port * 300 * SECOND + 20 * SECOND, seen_add, &seen);
	}
	ck_assert_uint_eq(seen.count[ALERT_NEW], 1);
	ck_assert_int_eq(seen.first.severity, ALERT_LOW);
	ck_assert(!seen.first.act);
	scan_destroy(scan);
}
END_TEST

START_TEST(one_closed_port_many_times_is_no_scan)
{
	struct scan *scan = scan_new();
	struct seen seen = {0};

	for (int i = 0; i < 1000; i++)
		try(scan, &seen, TCP, HOST, 80, START + (uint64_t)i * SECOND, FLOW_OUTCOME_RESET);
	scan_tick(scan, START + 2000 * SECOND, seen_add, &seen);
	ck_assert_uint_eq(seen.count[ALERT_NEW], 0);
	scan_destroy(scan);
}
END_TEST

START_TEST(a_crawler_is_no_scan)
{
	struct scan *scan = scan_new();
	struct seen seen = {0};

	/* 400 sites, one in ten dead */
	for (uint32_t host = 1; host <= 400; host++)
		try(scan, &seen, TCP, 0x0a000000 + host, 443, START + host * SECOND / 4,
		    host % 10 ? FLOW_OUTCOME_ESTABLISHED : FLOW_OUTCOME_NONE);
	scan_tick(scan, START + 200 * SECOND, seen_add, &seen);
	ck_assert_uint_eq(seen.count[ALERT_NEW], 0);
	scan_destroy(scan);
}
END_TEST

START_TEST(silent_udp_and_foreign_flows_are_no_scan)
{
	struct scan *scan = scan_new();
	struct seen seen = {0};

	for (uint32_t host = 1; host <= 600; host++)
		try(scan, &seen, UDP, 0x0a000000 + host, (uint16_t)(host * 7),
		    START + host * SECOND / 9, FLOW_OUTCOME_NONE);
	for (uint16_t port = 1; port <= 100; port++) {
		struct flow_event event =
		        event_of(TCP, HOST, port, START + port, FLOW_OUTCOME_RESET);

		event.record.flags = port % 2 ? FLOW_FLAG_PEER_OPENED : FLOW_FLAG_BACKSCATTER;
		scan_observe(scan, &event, seen_add, &seen);
	}
	scan_tick(scan, START + 500 * SECOND, seen_add, &seen);
	ck_assert_uint_eq(seen.count[ALERT_NEW], 0);
	scan_destroy(scan);
}
END_TEST

/* A guest that tries millions of targets costs evictions; another scan is still found afterwards. */
START_TEST(a_flood_is_bounded_and_blinds_nobody)
{
	struct scan *scan = scan_new();
	struct seen seen = {0};
	size_t before;

	for (uint32_t i = 0; i < 2000000; i++)
		try(scan, &seen, TCP, 0x0b000000 + i * 2654435761u, (uint16_t)(i * 40503u),
		    START + i * 10000ull, FLOW_OUTCOME_NONE);
	before = seen.count[ALERT_NEW];
	for (uint16_t port = 1; port <= 60; port++)
		try(scan, &seen, TCP, HOST, port, START + 30 * SECOND + port * SECOND / 20,
		    FLOW_OUTCOME_RESET);
	ck_assert_uint_ge(seen.count[ALERT_NEW], before + 1);
	scan_destroy(scan);
}
END_TEST

/* --- what a finding is --- */

/* Tries that fail by silence are known later than those that were refused after them: the finding's id,
 * made from the first, must not move. */
START_TEST(the_id_stays)
{
	struct scan *scan = scan_new();
	struct seen seen = {0};

	for (uint16_t port = 1; port <= 5; port++)
		try(scan, &seen, TCP, HOST, port, START + port, FLOW_OUTCOME_NONE);
	for (uint16_t port = 101; port <= 120; port++)
		try(scan, &seen, TCP, HOST, port, START + SECOND + port, FLOW_OUTCOME_RESET);
	ck_assert_uint_eq(seen.count[ALERT_NEW], 1);
	scan_tick(scan, START + 10 * SECOND, seen_add, &seen);
	scan_tick(scan, DETECTOR_END, seen_add, &seen);
	ck_assert_uint_eq(seen.count[ALERT_END], 1);
	ck_assert_uint_eq(seen.last.failed, 25);
	ck_assert_str_eq(seen.last.id, seen.first.id);
	scan_destroy(scan);
}
END_TEST

/* Another detector, with another seed, finds the same: the same id. */
START_TEST(the_id_is_of_the_finding)
{
	struct seen seen[2] = {0};

	for (int i = 0; i < 2; i++) {
		struct scan *scan = scan_new();

		for (uint16_t port = 1; port <= 15; port++)
			try(scan, &seen[i], TCP, HOST, port,
			    START + port * SECOND + (uint64_t)i * 1000, FLOW_OUTCOME_RESET);
		scan_destroy(scan);
	}
	ck_assert_str_eq(seen[0].first.id, seen[1].first.id);
}
END_TEST

/* A scan with a try each 61 s is one finding, not one for each quiet minute. */
START_TEST(a_slow_scan_is_one_finding)
{
	struct scan *scan = scan_new();
	struct seen seen = {0};

	for (uint64_t second = 1; second < 120 * 61; second++) {
		if (second % 61 == 0)
			try(scan, &seen, TCP, HOST, (uint16_t)(second / 61),
			    START + second * SECOND, FLOW_OUTCOME_NONE);
		scan_tick(scan, START + second * SECOND, seen_add, &seen);
	}
	ck_assert_uint_eq(seen.count[ALERT_NEW], 1);
	ck_assert_uint_eq(seen.count[ALERT_END], 0);
	scan_tick(scan, DETECTOR_END, seen_add, &seen);
	ck_assert_uint_eq(seen.count[ALERT_END], 1);
	ck_assert_int_eq(seen.last.severity, ALERT_HIGH);
	scan_destroy(scan);
}
END_TEST

/* The same ports again, long after the first finding has ended, are a second one. */
START_TEST(a_scan_that_comes_again_is_found_again)
{
	struct scan *scan = scan_new();
	struct seen seen = {0};

	for (int round = 0; round < 2; round++) {
		uint64_t start = START + (uint64_t)round * 600 * SECOND;

		for (uint16_t port = 1; port <= 30; port++)
			try(scan, &seen, TCP, HOST, port, start + port * SECOND / 20,
			    FLOW_OUTCOME_RESET);
		scan_tick(scan, start + 300 * SECOND, seen_add, &seen);
	}
	ck_assert_uint_eq(seen.count[ALERT_NEW], 2);
	ck_assert_uint_eq(seen.count[ALERT_END], 2);
	ck_assert_uint_eq(seen.last.refused, 30);
	scan_destroy(scan);
}
END_TEST

START_TEST(a_few_failures_are_low_and_grow)
{
	struct scan *scan = scan_new();
	struct seen seen = {0};

	for (uint16_t port = 1; port <= 6; port++)
		try(scan, &seen, TCP, HOST, port, START + port, FLOW_OUTCOME_RESET);
	scan_tick(scan, START + SECOND, seen_add, &seen);
	ck_assert_uint_eq(seen.count[ALERT_NEW], 0);
	scan_tick(scan, START + 11 * SECOND, seen_add, &seen);
	ck_assert_uint_eq(seen.count[ALERT_NEW], 1);
	ck_assert_int_eq(seen.first.severity, ALERT_LOW);
	ck_assert(!seen.first.act);
	for (uint16_t port = 7; port <= 15; port++)
		try(scan, &seen, TCP, HOST, port, START + 12 * SECOND + port, FLOW_OUTCOME_RESET);
	ck_assert_uint_eq(seen.count[ALERT_NEW], 1);
	ck_assert_int_eq(seen.last.severity, ALERT_MEDIUM);
	ck_assert(seen.last.act);
	scan_destroy(scan);
}
END_TEST

/* --- how targets are tried --- */

START_TEST(half_open_hits_are_a_scan)
{
	struct scan *scan = scan_new();
	struct seen seen = {0};

	for (uint16_t port = 1; port <= 20; port++)
		try(scan, &seen, TCP, HOST, port, START + port, FLOW_OUTCOME_ANSWERED);
	scan_tick(scan, START + 5 * SECOND, seen_add, &seen);
	ck_assert_uint_eq(seen.count[ALERT_NEW], 1);
	ck_assert_uint_ge(seen.first.half_open, 15);
	scan_destroy(scan);
}
END_TEST

START_TEST(completed_handshakes_are_none)
{
	struct scan *scan = scan_new();
	struct seen seen = {0};

	for (uint16_t port = 1; port <= 60; port++) {
		struct flow_event event =
		        event_of(TCP, HOST, port, START + port + 9, FLOW_OUTCOME_ESTABLISHED);

		try(scan, &seen, TCP, HOST, port, START + port, FLOW_OUTCOME_ANSWERED);
		scan_observe(scan, &event, seen_add, &seen);
	}
	scan_tick(scan, DETECTOR_END, seen_add, &seen);
	ck_assert_uint_eq(seen.count[ALERT_NEW], 0);
	scan_destroy(scan);
}
END_TEST

static void probe(struct scan *scan, struct seen *seen, uint32_t peer, uint16_t port, uint8_t flags,
                  uint64_t time, uint8_t outcome)
{
	struct flow_event event = event_of(TCP, peer, port, time, outcome);

	event.record.flags = FLOW_FLAG_MIDSTREAM;
	event.record.first[FLOW_GUEST].tcp_flags = flags;
	scan_observe(scan, &event, seen_add, seen);
}

START_TEST(stealth_flags)
{
	static const uint8_t flags[] = {0x00, 0x01, 0x29};

	for (size_t i = 0; i < BASE_COUNT(flags); i++) {
		struct scan *scan = scan_new();
		struct seen seen = {0};

		for (uint16_t port = 1; port <= 10; port++)
			probe(scan, &seen, HOST, port, flags[i], START + port,
			      port % 2 ? FLOW_OUTCOME_RESET : FLOW_OUTCOME_NONE);
		scan_tick(scan, START + 5 * SECOND, seen_add, &seen);
		ck_assert_uint_eq(seen.count[ALERT_NEW], 1);
		ck_assert_str_eq(seen.first.rule, "scan.stealth");
		scan_destroy(scan);
	}
}
END_TEST

/* A guest that wakes up and finds its old connections gone; the other one asks a host which ports a firewall
 * lets ACKs through to. */
START_TEST(old_connections_are_no_scan_but_ack_probes_are)
{
	struct scan *scan = scan_new();
	struct seen seen = {0};

	for (uint32_t host = 1; host <= 60; host++)
		probe(scan, &seen, 0x0a000000 + host, 443, 0x11, START + host,
		      host % 2 ? FLOW_OUTCOME_RESET : FLOW_OUTCOME_NONE);
	scan_tick(scan, START + 20 * SECOND, seen_add, &seen);
	ck_assert_uint_eq(seen.count[ALERT_NEW], 0);
	for (uint16_t port = 101; port <= 160; port++) {
		struct flow_event event =
		        event_of(TCP, HOST, port, START + 20 * SECOND, FLOW_OUTCOME_RESET);

		event.record.flags = FLOW_FLAG_MIDSTREAM;
		event.record.first[FLOW_GUEST].tcp_flags = 0x18;
		event.record.sides[FLOW_GUEST].payload = 100;
		scan_observe(scan, &event, seen_add, &seen);
	}
	ck_assert_uint_eq(seen.count[ALERT_NEW], 0);
	for (uint16_t port = 1; port <= 20; port++)
		probe(scan, &seen, HOST, port, 0x10, START + 20 * SECOND + port,
		      FLOW_OUTCOME_RESET);
	ck_assert_uint_eq(seen.count[ALERT_NEW], 1);
	ck_assert_str_eq(seen.first.rule, "scan.vertical");
	scan_destroy(scan);
}
END_TEST

START_TEST(udp_by_unreachable)
{
	struct scan *scan = scan_new();
	struct seen seen = {0};

	for (uint16_t port = 1; port <= 40; port++)
		try(scan, &seen, UDP, HOST, port, START + port * SECOND,
		    port % 2 ? FLOW_OUTCOME_UNREACHABLE : FLOW_OUTCOME_NONE);
	scan_tick(scan, START + 60 * SECOND, seen_add, &seen);
	ck_assert_uint_eq(seen.count[ALERT_NEW], 1);
	ck_assert_str_eq(seen.first.rule, "scan.vertical");
	ck_assert_uint_eq(seen.first.proto, UDP);
	scan_destroy(scan);
}
END_TEST

/* Peers on one usual port and on many of their own, most of them gone. */
START_TEST(peer_to_peer_is_low)
{
	struct scan *scan = scan_new();
	struct seen seen = {0};

	for (uint32_t peer = 1; peer <= 120; peer++)
		try(scan, &seen, TCP, 0x0a000000 + peer * 7919,
		    peer % 2 ? 6346 : (uint16_t)(2000 + peer * 37), START + peer * SECOND,
		    peer % 8 ? FLOW_OUTCOME_NONE : FLOW_OUTCOME_ESTABLISHED);
	scan_tick(scan, DETECTOR_END, seen_add, &seen);
	ck_assert_int_le(seen.last.severity, ALERT_LOW);
	scan_destroy(scan);
}
END_TEST

/* ... but a worm's favourite port is no peer's, whatever else the guest does. */
START_TEST(a_worm_beside_peer_to_peer_is_a_scan)
{
	struct scan *scan = scan_new();
	struct seen seen = {0};

	for (uint32_t peer = 1; peer <= 120; peer++)
		try(scan, &seen, TCP, 0x0a000000 + peer * 7919,
		    peer % 2 ? 23 : (uint16_t)(2000 + peer * 37), START + peer * SECOND,
		    FLOW_OUTCOME_NONE);
	scan_tick(scan, START + 125 * SECOND, seen_add, &seen);
	ck_assert_int_ge(seen.last.severity, ALERT_MEDIUM);
	ck_assert_uint_eq(seen.last.port, 23);
	scan_destroy(scan);
}
END_TEST

static void ping(struct scan *scan, struct seen *seen, uint32_t peer, uint64_t time)
{
	struct flow_event event = event_of(ICMP, peer, 0, time, FLOW_OUTCOME_ANSWERED);

	event.record.key.guest_port = 8;
	scan_observe(scan, &event, seen_add, seen);
}

START_TEST(a_sweep_that_everybody_answers)
{
	struct scan *scan = scan_new();
	struct seen seen = {0};

	for (uint32_t host = 1; host <= 254; host++)
		ping(scan, &seen, 0x0a000000 + host, START + host * SECOND / 10);
	ck_assert_uint_eq(seen.count[ALERT_NEW], 1);
	ck_assert_str_eq(seen.first.rule, "scan.sweep");
	scan_tick(scan, DETECTOR_END, seen_add, &seen);
	ck_assert_uint_eq(seen.last.answered, 254);
	scan_destroy(scan);
}
END_TEST

/* 200 hosts here and there, each pinged again and again; the same of neighbours is low, as a sweep begins so. */
START_TEST(a_monitor_is_no_sweep)
{
	for (uint32_t apart = 40; apart; apart = apart == 40 ? 1 : 0) {
		const uint32_t hosts = apart == 40 ? 200 : 100;
		struct scan *scan = scan_new();
		struct seen seen = {0};

		for (uint32_t i = 0; i < 20 * hosts; i++)
			ping(scan, &seen, 0x0a000000 + (i % hosts + 1) * apart,
			     START + i / hosts * 60 * SECOND + i % hosts * SECOND / 5);
		scan_tick(scan, DETECTOR_END, seen_add, &seen);
		ck_assert_uint_eq(seen.count[ALERT_NEW], apart == 1);
		ck_assert_int_le(seen.last.severity, ALERT_LOW);
		scan_destroy(scan);
	}
}
END_TEST

/* A guest whose IPv6 leads nowhere, but whose IPv4 works. */
START_TEST(dead_ipv6_is_no_scan)
{
	struct scan *scan = scan_new();
	struct seen seen = {0};

	for (uint32_t host = 1; host <= 60; host++) {
		struct flow_event event = event_of(TCP, 0x20010000 + host, 443,
		                                   START + host * SECOND, FLOW_OUTCOME_NONE);

		event.record.key.family = FLOW_IPV6;
		scan_observe(scan, &event, seen_add, &seen);
		try(scan, &seen, TCP, 0x0a000000 + host, 443, START + host * SECOND,
		    FLOW_OUTCOME_ESTABLISHED);
		scan_tick(scan, START + host * SECOND, seen_add, &seen);
	}
	scan_tick(scan, DETECTOR_END, seen_add, &seen);
	ck_assert_uint_eq(seen.count[ALERT_NEW], 0);
	scan_destroy(scan);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor_scan");
	TCase *tests = tcase_create("scan");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, vertical_by_resets);
	tcase_add_test(tests, vertical_by_silence);
	tcase_add_test(tests, horizontal);
	tcase_add_test(tests, ping_sweep_is_remote_system_discovery);
	tcase_add_test(tests, slow_within_the_hour);
	tcase_add_test(tests, slower_than_the_window_is_low);
	tcase_add_test(tests, one_closed_port_many_times_is_no_scan);
	tcase_add_test(tests, a_crawler_is_no_scan);
	tcase_add_test(tests, silent_udp_and_foreign_flows_are_no_scan);
	tcase_add_test(tests, a_flood_is_bounded_and_blinds_nobody);
	tcase_add_test(tests, the_id_stays);
	tcase_add_test(tests, the_id_is_of_the_finding);
	tcase_add_test(tests, a_slow_scan_is_one_finding);
	tcase_add_test(tests, a_scan_that_comes_again_is_found_again);
	tcase_add_test(tests, a_few_failures_are_low_and_grow);
	tcase_add_test(tests, half_open_hits_are_a_scan);
	tcase_add_test(tests, completed_handshakes_are_none);
	tcase_add_test(tests, stealth_flags);
	tcase_add_test(tests, old_connections_are_no_scan_but_ack_probes_are);
	tcase_add_test(tests, udp_by_unreachable);
	tcase_add_test(tests, peer_to_peer_is_low);
	tcase_add_test(tests, a_worm_beside_peer_to_peer_is_a_scan);
	tcase_add_test(tests, dead_ipv6_is_no_scan);
	tcase_add_test(tests, a_sweep_that_everybody_answers);
	tcase_add_test(tests, a_monitor_is_no_sweep);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
