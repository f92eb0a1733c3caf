/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How long the scan detector waits for an answer: less where many wait, so that a fast scan is known within a second. */
#include "monitor_scan_fixture.h"

/* Forty ports in 40 ms that nobody answers: known when it says that it is due, within a second of the 30th; few
 * that wait are no reason to be asked sooner than each second, nor 29 with nothing in common. */
START_TEST(a_fast_scan_is_not_kept_waiting)
{
	struct watch *watch = watch_new(&scan_detector, NULL);
	uint64_t due;

	for (uint16_t i = 0; i < 40; i++) {
		if (i == 14)
			ck_assert(scan_detector.due(watch->self) == UINT64_MAX);
		try(watch, TCP, HOST, (uint16_t)(100 + i), START + i * SECOND / 1000,
		    FLOW_OUTCOME_NONE);
	}
	for (int i = 0; i < 40 && watch->count[ALERT_NEW] == 0; i++, watch_tick(watch, due)) {
		due = scan_detector.due(watch->self);
		ck_assert_uint_le(due, START + SECOND);
	}
	found(watch, "scan.vertical", ALERT_MEDIUM);

	watch = watch_new(&scan_detector, NULL);
	for (uint16_t i = 0; i < 29; i++)
		try(watch, TCP, HOST + i, i % 2 ? 443 : 2000 + i, START, FLOW_OUTCOME_NONE);
	ck_assert(scan_detector.due(watch->self) == UINT64_MAX);
	watch_end(watch);
}
END_TEST

/* 40 tries that nobody answers, each `apart` from the one before: found `after` the first when it asks for its time. */
static void found_after(uint8_t family, uint8_t proto, bool hosts, uint64_t apart, uint64_t after,
                        const char *rule)
{
	struct watch *watch = watch_new(&scan_detector, NULL);
	uint64_t now = START;

	for (uint32_t i = 0; i < 40 && !watch->count[ALERT_NEW]; i++, now += apart) {
		const uint32_t host = LAN_HOST + (hosts ? i : 0);
		struct flow_event event =
		        event_make(FLOW_EVENT_NEW, proto, host, hosts ? 22 : 22 + i, now);

		event.record.key.family = family;
		event.record.key.guest_port = proto == ICMP ? 8 : 4000;
		if (scan_detector.due(watch->self) <= now)
			watch_tick(watch, now);
		watch_event(watch, &event.header);
	}
	for (; !watch->count[ALERT_NEW]; watch_tick(watch, now))
		now = scan_detector.due(watch->self);
	ck_assert_uint_le(now, START + after);
	found(watch, rule, ALERT_MEDIUM);
}

START_TEST(many_that_wait_for_one_thing_wait_less)
{
	/* ten a second: the 15th waits .8 s, which is before the 30th is sent */
	found_after(FLOW_IPV4, TCP, false, SECOND / 10, 29 * SECOND / 10, "scan.vertical");
	found_after(FLOW_IPV4, TCP, true, SECOND / 10, 29 * SECOND / 10, "scan.horizontal");
	found_after(FLOW_IPV4, ICMP, true, SECOND / 10, 29 * SECOND / 10, "scan.sweep");
	/* thirty of one host are no client's */
	found_after(FLOW_IPV4, UDP, false, SECOND / 50, 11 * SECOND / 10, "scan.vertical");
	/* a neighbour is near */
	found_after(FLOW_ARP, 0, true, SECOND / 1000, SECOND / 2, "scan.sweep");
}
END_TEST

/* Ten at once, and the next ten when nobody has answered in three seconds: what nmap does where nothing is. */
START_TEST(ten_at_a_time)
{
	static const uint8_t protos[] = {TCP, UDP};

	for (size_t row = 0; row < BASE_COUNT(protos); row++) {
		struct watch *watch = watch_new(&scan_detector, NULL);
		uint64_t now = START;

		for (uint32_t i = 0; i < 30; i++) {
			now = START + i / 10 * 3 * SECOND + i * 1000;
			while (scan_detector.due(watch->self) <= now)
				watch_tick(watch, scan_detector.due(watch->self));
			try(watch, protos[row], HOST, (uint16_t)(20 + i * 7), now,
			    FLOW_OUTCOME_NONE);
			if (row == 0 && i == 19)
				break;
		}
		for (; !watch->count[ALERT_NEW]; watch_tick(watch, now))
			now = scan_detector.due(watch->self);
		/* the last of them have waited less than a second */
		ck_assert_uint_lt(now, START + (row == 0 ? 4 : 7) * SECOND);
		found(watch, "scan.vertical", ALERT_MEDIUM);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor_scan_waits");
	TCase *tests = tcase_create("waits");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, a_fast_scan_is_not_kept_waiting);
	tcase_add_test(tests, many_that_wait_for_one_thing_wait_less);
	tcase_add_test(tests, ten_at_a_time);
	suite_add_tcase(suite, tests);
	return suite_run(suite);
}
