// SPDX-License-Identifier: GPL-2.0-or-later
/* Captures made here, analyzed by the library, frame by frame; and the memory that its detectors have. */
#include <check.h>
#include <pcap/pcap.h>

#include "base/base.h"
#include "bpf/packet.h"
#include "bpf_frames.h"
#include "monitor/arena.h"
#include "monitor/offline.h"

#define SECOND 1000000000ull
#define START  (1750000000 * SECOND)

struct seen {
	size_t findings, rank; /* ended; of those, the highest severity */
	char rule[32], vm[46], sentence[ALERT_SENTENCE_MAX];
};

static void seen_add(const struct alert *alert, const char *vm, void *data)
{
	struct seen *seen = data;

	if (alert->stage != ALERT_END)
		return;
	seen->findings++;
	seen->rank = BASE_MAX(seen->rank, (size_t)alert->severity);
	base_copy_string(seen->rule, sizeof(seen->rule), alert->rule);
	base_copy_string(seen->vm, sizeof(seen->vm), vm);
	base_copy_string(seen->sentence, sizeof(seen->sentence), alert->sentence);
}

static struct offline *offline_new(struct seen *seen, const struct offline_cidr *vms, size_t count)
{
	const struct offline_config config = {.flows = 8192, .vms = vms, .vm_count = count};
	struct offline *offline;

	memset(seen, 0, sizeof(*seen));
	ck_assert_int_eq(offline_open(&offline, &config, seen_add, seen), 0);
	return offline;
}

static void feed_bytes(struct offline *offline, int linktype, const uint8_t *bytes,
                       uint32_t captured, uint32_t wire, uint64_t time)
{
	const struct capfile_packet packet = {.bytes = bytes,
	                                      .captured = captured,
	                                      .wire = wire,
	                                      .unix_ns = time,
	                                      .linktype = linktype};

	offline_packets(offline, &packet, 1);
}

static void feed(struct offline *offline, const struct frame *frame, uint64_t time)
{
	feed_bytes(offline, DLT_EN10MB, frame->bytes, frame->size, frame->size, time);
}

/* Ports 1 to `count` of 10.0.0.5 by 10.0.0.2, refused. */
static void feed_scan(struct offline *offline, uint16_t count, uint64_t start)
{
	struct frame frame;

	for (uint16_t port = 1; port <= count; port++) {
		frame_make_tcp(&frame, FLOW_GUEST, 40000, port, PACKET_SYN, 1, "");
		feed(offline, &frame, start + port * 10000000ull);
		frame_make_tcp(&frame, FLOW_PEER, 40000, port, PACKET_RST | PACKET_ACK, 0, "");
		feed(offline, &frame, start + port * 10000000ull + 1000);
	}
}

START_TEST(a_scan)
{
	struct offline_stats stats;
	struct seen seen;
	struct offline *offline = offline_new(&seen, NULL, 0);

	feed_scan(offline, 40, START);
	ck_assert_uint_eq(seen.findings, 0); /* it goes on */
	offline_finish(offline);
	ck_assert_uint_eq(seen.findings, 1);
	ck_assert_str_eq(seen.rule, "scan.vertical");
	ck_assert_str_eq(seen.vm, "10.0.0.2");
	ck_assert_str_eq(seen.sentence,
	                 "tried 40 ports of 10.0.0.5 in 1 s; 40 refused, 0 unanswered");
	offline_stats(offline, &stats);
	ck_assert_uint_eq(stats.packets, 80);
	ck_assert_uint_eq(stats.flows, 40);
	ck_assert_uint_eq(stats.unread, 0);
	ck_assert_uint_eq(stats.first_ns, START + 10000000);
	offline_close(offline);
}
END_TEST

/* A scan that is slower than an hour is counted by hashes, and counted the same each time. */
START_TEST(the_same_again)
{
	enum { TIMES = 8 };
	struct offline *offline[TIMES];
	struct seen seen[TIMES];

	for (int i = 0; i < TIMES; i++) {
		offline[i] = offline_new(&seen[i], NULL, 0);
		for (uint16_t port = 1; port <= 40; port++) {
			struct frame frame;
			const uint64_t time = START + port * 900 * SECOND;

			frame_make_tcp(&frame, FLOW_GUEST, 40000, port, PACKET_SYN, 1, "");
			feed(offline[i], &frame, time);
			frame_make_tcp(&frame, FLOW_PEER, 40000, port, PACKET_RST | PACKET_ACK, 0,
			               "");
			feed(offline[i], &frame, time + 1000);
		}
		offline_finish(offline[i]);
		ck_assert_str_eq(seen[i].rule, "scan.vertical");
		ck_assert_str_eq(seen[i].sentence, seen[0].sentence);
	}
	for (int i = 0; i < TIMES; i++)
		offline_close(offline[i]);
}
END_TEST

/* The same packets behind other link headers. */
START_TEST(link_types)
{
	static const struct {
		int type;
		uint32_t size;
		uint8_t header[20];
	} links[] = {
	        {DLT_RAW, 0, {0}},
	        {DLT_IPV4, 0, {0}},
	        {DLT_NULL, 4, {2}},
	        {DLT_LOOP, 4, {[3] = 2}},
	        {DLT_LINUX_SLL, 16, {[14] = 0x08}},
	        {DLT_LINUX_SLL2, 20, {0x08}},
	};

	for (size_t i = 0; i < BASE_COUNT(links); i++) {
		struct seen seen;
		struct offline *offline = offline_new(&seen, NULL, 0);

		ck_assert(offline_linktype_known(links[i].type));
		for (uint16_t port = 1; port <= 20; port++) {
			uint8_t bytes[20 + FRAME_MAX];
			struct frame frame;
			uint32_t size;

			frame_make_tcp(&frame, FLOW_GUEST, 40000, port, PACKET_SYN, 1, "");
			size = frame.size - 14;
			memcpy(bytes, links[i].header, links[i].size);
			memcpy(bytes + links[i].size, frame.bytes + 14, size);
			/* cut short, and lying about it, too */
			feed_bytes(offline, links[i].type, bytes, port % 4, links[i].size + size,
			           START);
			feed_bytes(offline, links[i].type, bytes, links[i].size + size,
			           links[i].size + size, START + port);
		}
		offline_finish(offline);
		ck_assert_uint_eq(seen.findings, 1);
		ck_assert_str_eq(seen.vm, "10.0.0.2");
		offline_close(offline);
	}
	ck_assert(!offline_linktype_known(DLT_IEEE802_11));
}
END_TEST

/* With --vm, what others do is no finding; what they send to a VM is still seen as its answers. */
START_TEST(only_vms)
{
	static const struct {
		const char *vm;
		size_t findings;
	} cases[] = {{"10.0.0.2", 1},    {"10.0.0.0/24", 1}, {"0.0.0.0/0", 1},
	             {"10.0.0.5/32", 0}, {"10.0.0.3/32", 0}, {"fd00::/8", 0}};

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		struct offline_cidr cidr;
		struct offline *offline;
		struct seen seen;

		ck_assert_int_eq(offline_cidr_parse(cases[i].vm, &cidr), 0);
		offline = offline_new(&seen, &cidr, 1);
		feed_scan(offline, 40, START);
		offline_finish(offline);
		ck_assert_msg(seen.findings == cases[i].findings, "%s: %zu", cases[i].vm,
		              seen.findings);
		offline_close(offline);
	}
}
END_TEST

START_TEST(cidrs)
{
	static const char *const bad[] = {"",          "10.0.0.0/33", "10.0.0.0/",   "10.0.0.0/-1",
	                                  "10.0.0/8",  "fd00::/129",  "10.0.0.0/8x", "web0",
	                                  "fd00::1/ 8"};
	struct offline_cidr cidr;

	for (size_t i = 0; i < BASE_COUNT(bad); i++)
		ck_assert_msg(offline_cidr_parse(bad[i], &cidr) == -EINVAL, "%s", bad[i]);
	ck_assert_int_eq(offline_cidr_parse("fd00::/12", &cidr), 0);
	ck_assert_uint_eq(cidr.bits, 12);
	ck_assert_int_eq(cidr.family, FLOW_IPV6);
}
END_TEST

START_TEST(backscatter_is_nobodys_scan)
{
	struct seen seen;
	struct offline *offline = offline_new(&seen, NULL, 0);
	struct frame frame;

	for (uint16_t port = 1; port <= 200; port++) {
		frame_make_tcp(&frame, FLOW_PEER, port, 80,
		               port % 2 ? PACKET_SYN | PACKET_ACK : PACKET_RST, 1, "");
		feed(offline, &frame, START + port * SECOND);
	}
	offline_finish(offline);
	ck_assert_uint_eq(seen.findings, 0);
	offline_close(offline);
}
END_TEST

/* A hundred thousand made-up sources: bounded, and who scans meanwhile is found. */
START_TEST(many_sources)
{
	struct offline_stats stats;
	struct seen seen;
	struct offline *offline = offline_new(&seen, NULL, 0);
	struct frame frame;

	for (uint32_t i = 0; i < 100000; i++) {
		uint64_t time = START + i * 100000ull;

		if (i % 2500 == 0) {
			frame_make_tcp(&frame, FLOW_GUEST, 40000, (uint16_t)(i / 2500 + 1),
			               PACKET_SYN, 1, "");
			feed(offline, &frame, time);
		}
		frame_make_tcp(&frame, FLOW_GUEST, 40000, 80, PACKET_SYN, 1, "");
		frame.bytes[26] = 11;
		frame.bytes[27] = (uint8_t)(i >> 16);
		frame.bytes[28] = (uint8_t)(i >> 8);
		frame.bytes[29] = (uint8_t)i;
		feed(offline, &frame, time);
	}
	offline_finish(offline);
	offline_stats(offline, &stats);
	ck_assert_uint_ge(stats.unwatched, 90000);
	ck_assert_uint_eq(seen.findings, 1);
	ck_assert_str_eq(seen.vm, "10.0.0.2");
	ck_assert_msg(strstr(seen.sentence, "tried 40 ports ") != NULL, "%s", seen.sentence);
	offline_close(offline);
}
END_TEST

/* A second capture, from before the first: nothing of the first is left to mix with. */
START_TEST(time_goes_back)
{
	struct seen seen;
	struct offline *offline = offline_new(&seen, NULL, 0);
	struct offline_stats stats;

	feed_scan(offline, 40, START);
	feed_scan(offline, 4, START - 86400 * SECOND);
	ck_assert_uint_eq(seen.findings, 1);
	offline_finish(offline);
	ck_assert_uint_eq(seen.findings, 1);
	offline_stats(offline, &stats);
	ck_assert_uint_eq(stats.flows, 44);
	offline_close(offline);
}
END_TEST

START_TEST(memory_comes_back_clean)
{
	enum { SIZE = 1000 };
	struct arena *arena = arena_open(4 * SIZE);
	uint8_t *first, *second, other;

	ck_assert_ptr_nonnull(arena);
	first = arena_take(arena, SIZE);
	second = arena_take(arena, SIZE);
	ck_assert_ptr_nonnull(first);
	ck_assert_ptr_nonnull(second);
	memset(first, 1, SIZE);
	memset(second, 2, SIZE);
	ck_assert(first[0] == 1 && first[SIZE - 1] == 1);
	ck_assert(arena_give(arena, first, SIZE));
	ck_assert(!arena_give(arena, &other, SIZE));
	/* another size has places of its own */
	ck_assert_ptr_ne(arena_take(arena, SIZE / 2), first);
	ck_assert_ptr_eq(arena_take(arena, SIZE), first);
	for (size_t i = 0; i < SIZE; i++)
		ck_assert_uint_eq(first[i], 0);
	ck_assert_ptr_nonnull(arena_take(arena, SIZE));
	ck_assert_ptr_null(arena_take(arena, SIZE));
	arena_close(arena);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor_offline");
	TCase *tests = tcase_create("offline");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, a_scan);
	tcase_add_test(tests, the_same_again);
	tcase_add_test(tests, link_types);
	tcase_add_test(tests, only_vms);
	tcase_add_test(tests, cidrs);
	tcase_add_test(tests, backscatter_is_nobodys_scan);
	tcase_add_test(tests, many_sources);
	tcase_add_test(tests, time_goes_back);
	tcase_add_test(tests, memory_comes_back_clean);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
