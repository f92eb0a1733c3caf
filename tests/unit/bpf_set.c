// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How flows lie in memory (bpf/set.h), without a table around it: what the short way adds to a flow's half lines
 * comes back when the record is put together, whatever the time is, and at whatever a half's few bits end. A table of
 * a capture ends what is idle, so times as long as these are seen at taps alone, by nobody who waits for them.
 */
#include <check.h>
#include <stdlib.h>

#include "base/base.h"
#include "bpf/quick.h"

enum { WAY = 5 };

static const uint64_t id = 0x123456789abcull << 16;
static struct flow_set set;
static struct flow_record cold;

/* A connection in the middle, last used at `last`, whose last event was then, too. */
static void store(uint64_t last, uint64_t packets, uint64_t bytes)
{
	struct flow_record record = {.state = FLOW_STATE_OPEN, .outcome = FLOW_OUTCOME_ESTABLISHED};

	record.key.proto = PACKET_PROTO_TCP;
	record.key.family = FLOW_IPV4;
	record.last_ns = last;
	record.sent = (uint32_t)(last >> 30);
	for (int i = 0; i < 2; i++)
		record.sides[i] = (struct flow_side){.packets = packets,
		                                     .bytes = bytes,
		                                     .payload = bytes / 2,
		                                     .seq_next = 1000,
		                                     .ttl_min = 64,
		                                     .ttl_max = 64,
		                                     .head_size = 1};
	memset(&set, 0, sizeof(set));
	flow_store(&record, id, &set, WAY, &cold);
}

static struct flow_record load(void)
{
	struct flow_record record;

	flow_load(&record, &set, WAY, &cold);
	return record;
}

/* A segment of 100 bytes of payload, if it is for the short way. */
static bool count(enum flow_side_index side, uint32_t seq, uint32_t wire, uint64_t now)
{
	struct flow_hot *hot = &set.hot[side][WAY];
	struct quick quick = {.wire = wire,
	                      .payload = 100,
	                      .seq = seq,
	                      .tcp_flags = PACKET_ACK,
	                      .ttl = 64,
	                      .bytes = true};
	struct quick_change change;

	quick.key.proto = PACKET_PROTO_TCP;
	if (!quick_count(hot, id, &quick, now, &change))
		return false;
	hot->lock += FLOW_LOCKED;
	quick_store(hot, &change);
	return true;
}

/* Since the machine's start, over 2^40 ns and 2^54 ns, and since 1970. */
static const uint64_t times[] = {FLOW_SECOND, 20 * 60 * FLOW_SECOND,
                                 (1ull << 54) - 30 * FLOW_SECOND, 1700000000 * FLOW_SECOND};

static const uint64_t rests[] = {0,
                                 1,
                                 1023,
                                 59 * FLOW_SECOND,
                                 60 * FLOW_SECOND,
                                 540 * FLOW_SECOND,
                                 555 * FLOW_SECOND,
                                 600 * FLOW_SECOND,
                                 1ull << 40,
                                 (1ull << 40) + FLOW_SECOND,
                                 7200 * FLOW_SECOND,
                                 1ull << 45,
                                 (1ull << 46) + 7 * FLOW_SECOND,
                                 86400 * FLOW_SECOND,
                                 100 * 86400 * FLOW_SECOND};

/* After a rest the whole way looks, however long it was; a short one is counted to the nanosecond. */
START_TEST(test_rests)
{
	for (size_t i = 0; i < BASE_COUNT(times); i++)
		for (size_t j = 0; j < BASE_COUNT(rests); j++) {
			const uint64_t now = times[i] + rests[j];
			bool counted;

			store(times[i], 5, 500);
			counted = count(FLOW_PEER, 2000, 166, now);
			ck_assert_int_eq(counted, rests[j] < QUICK_REST_NS);
			ck_assert_uint_eq(load().last_ns, counted ? now : times[i]);
			ck_assert_uint_eq(load().sides[FLOW_PEER].packets, counted ? 6 : 5);
			ck_assert_uint_eq(load().sides[FLOW_GUEST].packets, 5);
		}
}
END_TEST

/* When a flow goes idle is right from half lines alone, long before and after. */
START_TEST(test_idle_at)
{
	for (size_t i = 0; i < BASE_COUNT(times); i++)
		for (size_t j = 0; j < BASE_COUNT(rests); j++) {
			store(times[i], 5, 500);
			ck_assert_uint_eq(flow_set_idle_at(&set, WAY, times[i] + rests[j]),
			                  times[i] + FLOW_IDLE_TCP_NS);
			ck_assert(count(FLOW_GUEST, 2000, 166, times[i] + 30 * FLOW_SECOND));
			ck_assert_uint_eq(
			        flow_set_idle_at(&set, WAY, times[i] + 30 * FLOW_SECOND + rests[j]),
			        times[i] + 30 * FLOW_SECOND + FLOW_IDLE_TCP_NS);
		}
}
END_TEST

/* Errors about a flow of which nothing else was seen move its time away from its last event. */
START_TEST(test_errors_alone)
{
	struct flow_record record;

	for (uint64_t minutes = 1; minutes < 60; minutes++) {
		const uint64_t last = (3000 + minutes * 60) * FLOW_SECOND;

		store(3000 * FLOW_SECOND, 5, 500);
		record = load();
		record.last_ns = last;
		flow_store(&record, id, &set, WAY, &cold);
		ck_assert_uint_eq(flow_set_idle_at(&set, WAY, last), last + FLOW_IDLE_TCP_NS);
		ck_assert_uint_eq(load().last_ns, last);
		ck_assert_int_eq(count(FLOW_GUEST, 2000, 166, last + 1), minutes < 10);
	}
}
END_TEST

/* An update is due ten minutes after the last event, also of a connection that never rests. */
START_TEST(test_due)
{
	uint64_t now = times[3], began = now;
	uint32_t seq = 1000;

	store(now, 1ull << 40, 1ull << 50);
	while (count(FLOW_GUEST, seq, 166, now)) {
		now += FLOW_SECOND / 2;
		seq += 100;
	}
	ck_assert_uint_eq((now >> 30) - (began >> 30), FLOW_UPDATE_UNITS);
	ck_assert_uint_eq(load().sides[FLOW_GUEST].payload, (1ull << 49) + seq - 1000);
}
END_TEST

/* As many packets or bytes as fit, then the whole way, and nothing is lost of either. */
START_TEST(test_full)
{
	static const uint32_t wires[] = {166, 9000, 65549, 400000};

	for (size_t i = 0; i < BASE_COUNT(wires); i++) {
		uint64_t packets = 0;
		struct flow_record record;

		store(times[0], 1ull << 40, 1ull << 50);
		while (count(FLOW_GUEST, 1000 + (uint32_t)packets * 100, wires[i], times[0]))
			packets++;
		ck_assert_uint_eq(packets, BASE_MIN((uint64_t)FLOW_HOT_PACKETS_MAX,
		                                    (uint64_t)FLOW_HOT_BYTES_MAX / wires[i]));
		record = load();
		ck_assert_uint_eq(record.sides[FLOW_GUEST].packets, (1ull << 40) + packets);
		ck_assert_uint_eq(record.sides[FLOW_GUEST].bytes,
		                  (1ull << 50) + packets * wires[i]);
		ck_assert_uint_eq(record.sides[FLOW_GUEST].payload, (1ull << 49) + packets * 100);
		ck_assert_uint_eq(record.sides[FLOW_GUEST].seq_next, 1000 + packets * 100);
		ck_assert_uint_eq(record.sides[FLOW_PEER].packets, 1ull << 40);
		/* the count of its lock went round more than once, and left the rest alone */
		ck_assert_uint_eq(set.hot[FLOW_GUEST][WAY].id & FLOW_HOT_ID, id);
		flow_store(&record, id, &set, WAY, &cold);
		ck_assert(count(FLOW_GUEST, record.sides[FLOW_GUEST].seq_next, wires[i], times[0]));
	}
}
END_TEST

/* What an update is sent for: the packet that reaches a power of two is not counted in short. */
START_TEST(test_powers)
{
	store(times[0], 120, 500);
	for (int i = 0; i < 7; i++)
		ck_assert(count(FLOW_GUEST, 1000 + 100 * (uint32_t)i, 166, times[0]));
	ck_assert(!count(FLOW_GUEST, 1700, 166, times[0]));
	store(times[0], 5, 131072 - 400);
	ck_assert(count(FLOW_GUEST, 1000, 166, times[0]));
	ck_assert(count(FLOW_GUEST, 1100, 166, times[0]));
	ck_assert(!count(FLOW_GUEST, 1200, 166, times[0]));
	ck_assert(count(FLOW_PEER, 1200, 166, times[0]));
}
END_TEST

/* TTLs, flags and sequence numbers; what the short way may not do it leaves as it was. */
START_TEST(test_rest_of_it)
{
	struct flow_hot *hot = &set.hot[FLOW_GUEST][WAY];
	struct quick quick = {.wire = 66, .seq = 1000, .tcp_flags = PACKET_ACK};
	struct quick_change change;
	struct flow_hot before;

	quick.key.proto = PACKET_PROTO_TCP;
	store(times[0], 5, 500);
	for (unsigned int ttl = 0; ttl < 256; ttl += 15) {
		quick.ttl = (uint8_t)ttl;
		ck_assert(quick_count(hot, id, &quick, times[0], &change));
		hot->lock += FLOW_LOCKED;
		quick_store(hot, &change);
	}
	ck_assert_uint_eq(load().sides[FLOW_GUEST].ttl_min, 0);
	ck_assert_uint_eq(load().sides[FLOW_GUEST].ttl_max, 255);
	ck_assert_uint_eq(load().sides[FLOW_GUEST].tcp_flags, PACKET_ACK);
	ck_assert_uint_eq(load().sides[FLOW_GUEST].bytes, 500 + 18 * 66);
	before = *hot;
	ck_assert(!count(FLOW_GUEST, 500, 166, times[0])); /* a retransmission */
	hot->lock += FLOW_LOCKED;
	ck_assert(!count(FLOW_GUEST, 1000, 166, times[0]));
	hot->lock -= FLOW_LOCKED;
	hot->id ^= 1 << 16;
	ck_assert(!count(FLOW_GUEST, 1000, 166, times[0]));
	hot->id ^= 1 << 16;
	hot->flags |= FLOW_HOT_HEAD;
	ck_assert(!count(FLOW_GUEST, 1000, 166, times[0]));
	hot->flags &= (uint8_t)~FLOW_HOT_HEAD;
	ck_assert_mem_eq(hot, &before, sizeof(before));
	ck_assert(count(FLOW_GUEST, 1000, 166, times[0]));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bpf_set");
	TCase *tcase = tcase_create("set");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, test_rests);
	tcase_add_test(tcase, test_idle_at);
	tcase_add_test(tcase, test_errors_alone);
	tcase_add_test(tcase, test_due);
	tcase_add_test(tcase, test_full);
	tcase_add_test(tcase, test_powers);
	tcase_add_test(tcase, test_rest_of_it);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
