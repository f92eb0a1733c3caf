// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The flow engine in user space: what each kind of conversation leaves in its record and sends as
 * events, eviction, and who is the guest when nobody says.
 */
#include <check.h>

#include "base/base.h"
#include "bpf/app.h"
#include "bpf/flow.h"
#include "bpf/flowtable.h"
#include "bpf_frames.h"

enum { EVENTS_MAX = 4096 };

static struct flow_event events[EVENTS_MAX];
static size_t event_count;
static struct flow_payload_event message; /* the last of */
static size_t payload_count;
static struct flowtable *table;
static uint64_t now;

static void on_event(const struct flow_event_header *header, void *data)
{
	(void)data;
	if (header->type == FLOW_EVENT_PAYLOAD) {
		memcpy(&message, header, header->size);
		payload_count++;
		return;
	}
	ck_assert_uint_eq(header->size, sizeof(struct flow_event));
	if (event_count < EVENTS_MAX)
		memcpy(&events[event_count++], header, sizeof(struct flow_event));
}

static void setup(void)
{
	event_count = payload_count = 0;
	now = 1000 * FLOW_SECOND;
	ck_assert_int_eq(flowtable_open(&table, 1024, 42, on_event, NULL), 0);
}

static void teardown(void)
{
	flowtable_close(table);
}

static void feed(const struct frame *frame)
{
	now += 1000;
	flowtable_packet(table, frame->bytes, frame->size, frame->size,
	                 frame->side == FLOW_GUEST ? FLOWTABLE_GUEST : FLOWTABLE_PEER, now);
}

static void tcp(enum flow_side_index side, uint8_t flags, uint32_t seq, const char *payload)
{
	struct frame frame;

	frame_make_tcp(&frame, side, 40000, 80, flags, seq, payload);
	feed(&frame);
}

static const struct flow_record *flow(uint8_t proto, uint16_t guest_port, uint16_t peer_port)
{
	const struct flow_key key = {{10, 0, 0, 2}, {10, 0, 0, 5}, guest_port, peer_port, 0,
	                             proto,         FLOW_IPV4};
	static struct flow_record record;

	ck_assert_int_eq(flowtable_find(table, &key, &record), 0);
	return &record;
}

static const struct flow_record *web(void)
{
	return flow(PACKET_PROTO_TCP, 40000, 80);
}

START_TEST(test_refused)
{
	tcp(FLOW_GUEST, PACKET_SYN, 100, "");
	ck_assert_int_eq(web()->state, FLOW_STATE_OPENED);
	ck_assert_int_eq(web()->outcome, FLOW_OUTCOME_NONE);
	tcp(FLOW_PEER, PACKET_RST | PACKET_ACK, 0, "");
	ck_assert_int_eq(web()->state, FLOW_STATE_RESET);
	ck_assert_int_eq(web()->outcome, FLOW_OUTCOME_RESET);
	ck_assert_int_eq(web()->flags, 0);
	ck_assert_uint_eq(web()->outcome_ns - web()->first_ns, 1000);
	ck_assert_uint_eq(event_count, 2);
	ck_assert_int_eq(events[0].header.type, FLOW_EVENT_NEW);
	ck_assert_int_eq(events[1].header.type, FLOW_EVENT_OUTCOME);
	tcp(FLOW_GUEST, PACKET_SYN, 999, ""); /* the same ports anew */
	ck_assert_uint_eq(event_count, 4);
	ck_assert_int_eq(events[2].header.type, FLOW_EVENT_END);
	ck_assert_int_eq(events[2].record.outcome, FLOW_OUTCOME_RESET);
	ck_assert_int_eq(events[3].header.type, FLOW_EVENT_NEW);
	ck_assert_int_eq(web()->outcome, FLOW_OUTCOME_NONE);
	ck_assert_uint_eq(web()->sides[FLOW_GUEST].packets, 1);
}
END_TEST

START_TEST(test_no_answer)
{
	for (int i = 0; i < 3; i++)
		tcp(FLOW_GUEST, PACKET_SYN, 100, "");
	ck_assert_int_eq(web()->outcome, FLOW_OUTCOME_NONE);
	ck_assert_uint_eq(web()->first[FLOW_GUEST].retransmissions, 2);
	ck_assert_uint_eq(event_count, 1);
	ck_assert_uint_eq(flowtable_stats(table).flows, 1);
	now += FLOW_REUSE_NS + FLOW_SECOND;
	tcp(FLOW_GUEST, PACKET_SYN, 100, "");
	ck_assert_uint_eq(flowtable_stats(table).flows, 2);
}
END_TEST

START_TEST(test_whole_connection)
{
	tcp(FLOW_GUEST, PACKET_SYN, 100, "");
	tcp(FLOW_PEER, PACKET_SYN | PACKET_ACK, 900, "");
	ck_assert_int_eq(web()->state, FLOW_STATE_ANSWERED);
	ck_assert_int_eq(web()->outcome, FLOW_OUTCOME_ANSWERED);
	tcp(FLOW_GUEST, PACKET_ACK, 101, "");
	ck_assert_int_eq(web()->state, FLOW_STATE_OPEN);
	ck_assert_int_eq(web()->outcome, FLOW_OUTCOME_ESTABLISHED);
	tcp(FLOW_GUEST, PACKET_ACK | PACKET_PSH, 101, "GET /");
	tcp(FLOW_GUEST, PACKET_ACK | PACKET_PSH, 101, "GET /");
	ck_assert_uint_eq(web()->first[FLOW_GUEST].retransmissions, 1);
	tcp(FLOW_PEER, PACKET_ACK, 901, "0123456789012345678901234567890123456789");
	tcp(FLOW_PEER, PACKET_ACK | PACKET_FIN, 941, "");
	ck_assert_int_eq(web()->state, FLOW_STATE_CLOSING);
	tcp(FLOW_GUEST, PACKET_ACK | PACKET_FIN, 106, "");
	ck_assert_int_eq(web()->state, FLOW_STATE_CLOSED);
	ck_assert_int_eq(web()->outcome, FLOW_OUTCOME_CLOSED);
	tcp(FLOW_PEER, PACKET_ACK, 942, "");
	ck_assert_uint_eq(event_count, 4); /* new, answered, established, closed */
	ck_assert_uint_eq(web()->sides[FLOW_GUEST].packets, 5);
	ck_assert_uint_eq(web()->sides[FLOW_GUEST].bytes, 5 * 54 + 10);
	ck_assert_uint_eq(web()->sides[FLOW_GUEST].payload, 10);
	ck_assert_uint_eq(web()->sides[FLOW_GUEST].seq_next, 107);
	ck_assert_uint_eq(web()->sides[FLOW_PEER].payload, 40);
	ck_assert_int_eq(web()->sides[FLOW_PEER].ttl_min, 63);
	ck_assert_int_eq(web()->sides[FLOW_PEER].tcp_flags, PACKET_SYN | PACKET_ACK | PACKET_FIN);
	ck_assert_int_eq(web()->first[FLOW_PEER].tcp_flags, PACKET_SYN | PACKET_ACK);
	ck_assert_int_eq(web()->sides[FLOW_GUEST].head_size, 5);
	ck_assert_mem_eq(web()->first[FLOW_GUEST].head, "GET /\0", 6);
	ck_assert_int_eq(web()->sides[FLOW_PEER].head_size, FLOW_HEAD_MAX);
	ck_assert_mem_eq(web()->first[FLOW_PEER].head, "01234567890123456789012345678901", 32);
}
END_TEST

START_TEST(test_half_open)
{
	tcp(FLOW_GUEST, PACKET_SYN, 100, "");
	tcp(FLOW_PEER, PACKET_SYN | PACKET_ACK, 900, "");
	tcp(FLOW_GUEST, PACKET_RST, 101, "");
	ck_assert_int_eq(web()->state, FLOW_STATE_RESET);
	ck_assert_int_eq(web()->outcome, FLOW_OUTCOME_ANSWERED);
}
END_TEST

START_TEST(test_stealth)
{
	tcp(FLOW_GUEST, PACKET_FIN | PACKET_PSH | PACKET_URG, 100, "");
	ck_assert_int_eq(web()->state, FLOW_STATE_OPENED);
	ck_assert_int_eq(web()->flags, FLOW_FLAG_MIDSTREAM);
	tcp(FLOW_PEER, PACKET_RST | PACKET_ACK, 0, "");
	ck_assert_int_eq(web()->outcome, FLOW_OUTCOME_RESET);
}
END_TEST

START_TEST(test_backscatter)
{
	tcp(FLOW_PEER, PACKET_SYN | PACKET_ACK, 1, "");
	ck_assert_int_eq(web()->flags,
	                 FLOW_FLAG_PEER_OPENED | FLOW_FLAG_MIDSTREAM | FLOW_FLAG_BACKSCATTER);
	ck_assert_int_eq(web()->outcome, FLOW_OUTCOME_NONE);
}
END_TEST

START_TEST(test_unreachable)
{
	struct frame question, error;
	const struct flow_record *record;

	frame_make_udp(&question, FLOW_GUEST, 5000, 53, "question");
	feed(&question);
	frame_make_error(&error, &question, 3, 4); /* "too big" is not the end */
	feed(&error);
	record = flow(PACKET_PROTO_UDP, 5000, 53);
	ck_assert_int_eq(record->outcome, FLOW_OUTCOME_NONE);
	frame_make_error(&error, &question, 3, 3);
	feed(&error);
	record = flow(PACKET_PROTO_UDP, 5000, 53);
	ck_assert_int_eq(record->outcome, FLOW_OUTCOME_UNREACHABLE);
	ck_assert_int_eq(record->icmp_type, 3);
	ck_assert_int_eq(record->icmp_code, 3);
	ck_assert_int_eq(record->icmp_errors, 2);
	ck_assert_uint_eq(record->sides[FLOW_PEER].packets, 0);
	ck_assert_uint_eq(flowtable_stats(table).flows, 1); /* the error is in no flow of its own */
	ck_assert_uint_eq(event_count, 2);
}
END_TEST

START_TEST(test_stray_error)
{
	struct frame question, error;

	frame_make_udp(&question, FLOW_GUEST, 5000, 53, "question");
	frame_make_error(&error, &question, 3, 3);
	feed(&error);
	ck_assert_int_eq(flow(PACKET_PROTO_ICMP, 3, 3)->flags,
	                 FLOW_FLAG_PEER_OPENED | FLOW_FLAG_ONE_WAY | FLOW_FLAG_BACKSCATTER);
}
END_TEST

START_TEST(test_ping)
{
	struct frame frame;

	frame_make_ping(&frame, FLOW_GUEST, FRAME_IPV4, false);
	feed(&frame);
	frame_make_ping(&frame, FLOW_PEER, FRAME_IPV4, true);
	feed(&frame);
	ck_assert_int_eq(flow(PACKET_PROTO_ICMP, 8, 0)->outcome, FLOW_OUTCOME_ANSWERED);
	ck_assert_uint_eq(flowtable_stats(table).flows, 1);
	frame_make_ping(&frame, FLOW_PEER, FRAME_IPV4, false); /* the other one asks */
	feed(&frame);
	ck_assert_int_eq(flow(PACKET_PROTO_ICMP, 0, 8)->flags, FLOW_FLAG_PEER_OPENED);
}
END_TEST

START_TEST(test_arp)
{
	const struct flow_key key = {{10, 0, 0, 2}, {10, 0, 0, 5}, 0, 0, 0, 0, FLOW_ARP};
	struct flow_record record;
	struct frame frame;

	frame_make_arp(&frame, FLOW_GUEST, 1);
	feed(&frame);
	ck_assert_int_eq(flowtable_find(table, &key, &record), 0);
	ck_assert_int_eq(record.outcome, FLOW_OUTCOME_NONE);
	frame_make_arp(&frame, FLOW_PEER, 2);
	feed(&frame);
	ck_assert_int_eq(flowtable_find(table, &key, &record), 0);
	ck_assert_int_eq(record.outcome, FLOW_OUTCOME_ANSWERED);
}
END_TEST

START_TEST(test_neighbour)
{
	const struct flow_key key = {{0xfd, [15] = 2},   {0xfd, [15] = 5}, 135, 136, 0,
	                             PACKET_PROTO_ICMP6, FLOW_IPV6};
	struct flow_record record;
	struct frame frame;

	frame_make_neighbour(&frame, FLOW_GUEST, 135);
	feed(&frame);
	ck_assert_int_eq(flowtable_find(table, &key, &record), 0);
	frame_make_neighbour(&frame, FLOW_PEER, 136);
	feed(&frame);
	ck_assert_int_eq(flowtable_find(table, &key, &record), 0);
	ck_assert_int_eq(record.outcome, FLOW_OUTCOME_ANSWERED);
	ck_assert_uint_eq(flowtable_stats(table).flows, 1);
}
END_TEST

/* A flood of probes leaves the established connections alone, and what goes is counted and sent. */
START_TEST(test_flood)
{
	struct frame frame;
	uint64_t ended = 0;

	tcp(FLOW_GUEST, PACKET_SYN, 100, "");
	tcp(FLOW_PEER, PACKET_SYN | PACKET_ACK, 900, "");
	tcp(FLOW_GUEST, PACKET_ACK, 101, "");
	for (uint32_t port = 1; port < 4000; port++) {
		frame_make_tcp(&frame, FLOW_GUEST, (uint16_t)(port ^ 0x5555), 9, PACKET_SYN, port,
		               "");
		feed(&frame);
	}
	ck_assert_int_eq(web()->state, FLOW_STATE_OPEN);
	for (size_t i = 0; i < event_count; i++)
		ended += events[i].header.type == FLOW_EVENT_END;
	ck_assert_uint_gt(ended, 0);
	ck_assert_uint_lt(event_count, EVENTS_MAX + 1);
	ck_assert_uint_ge(flowtable_stats(table).evicted, 4000 - 1024);
	ck_assert_uint_eq(flowtable_stats(table).flows, 4000);
}
END_TEST

START_TEST(test_dns_payload)
{
	char longer[500];
	struct frame frame;

	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	for (size_t i = 0; i < 3; i++) {
		frame_make_udp(&frame, i % 2 ? FLOW_PEER : FLOW_GUEST, 5000, 53, longer);
		feed(&frame);
		ck_assert_uint_eq(payload_count, i + 1);
		ck_assert_int_eq(message.kind, FLOW_PAYLOAD_DNS);
		ck_assert_int_eq(message.side, i % 2 ? FLOW_PEER : FLOW_GUEST);
		ck_assert_uint_eq(message.captured, sizeof(longer) - 1);
		ck_assert_uint_eq(message.length, sizeof(longer) - 1);
		ck_assert_uint_eq(message.header.time_ns, now);
		ck_assert_uint_eq(message.key.peer_port, 53);
		ck_assert_mem_eq(message.bytes, longer, sizeof(longer) - 1);
	}
	/* a capture that was cut short */
	flowtable_packet(table, frame.bytes, 300, frame.size, FLOWTABLE_GUEST, now);
	ck_assert_uint_eq(message.captured, 300 - 14 - 20 - 8);
	ck_assert_uint_eq(message.length, sizeof(longer) - 1);
	frame_make_udp(&frame, FLOW_GUEST, 5000, 54, longer);
	feed(&frame);
	ck_assert_uint_eq(payload_count, 4);
}
END_TEST

START_TEST(test_tls_payload)
{
	char segment[420];

	memset(segment, 'x', sizeof(segment));
	segment[sizeof(segment) - 1] = '\0';
	memcpy(segment, "\x16\3\1\2\2\1", 6);
	tcp(FLOW_GUEST, PACKET_SYN, 100, "");
	for (uint32_t i = 0; i < 15; i++) {
		tcp(FLOW_GUEST, PACKET_ACK, 101 + i * 419, segment);
		segment[0] = 'y'; /* only the first of them begins a record */
		ck_assert_uint_eq(payload_count, i < 10 ? i + 1 : 10); /* 4,096 / 419 */
		ck_assert_uint_eq(message.offset, i < 10 ? i * 419 : 9 * 419);
	}
	ck_assert_int_eq(message.kind, FLOW_PAYLOAD_TLS);
	tcp(FLOW_PEER, PACKET_ACK, 900, "HTTP/1.0 400");
	ck_assert_uint_eq(payload_count, 10);
}
END_TEST

START_TEST(test_icmp_payload)
{
	struct frame frame;

	for (size_t i = 0; i < 20; i++) {
		frame_make_ping(&frame, FLOW_GUEST, FRAME_IPV6, false);
		feed(&frame);
	}
	ck_assert_uint_eq(payload_count, 5); /* 1, 2, 4, 8, 16 */
	ck_assert_int_eq(message.kind, FLOW_PAYLOAD_ICMP);
}
END_TEST

static size_t events_of(enum flow_event_type type)
{
	size_t count = 0;

	for (size_t i = 0; i < event_count; i++)
		count += events[i].header.type == type;
	return count;
}

START_TEST(test_updates)
{
	char segment[501];

	memset(segment, 'x', sizeof(segment));
	segment[sizeof(segment) - 1] = '\0';
	tcp(FLOW_GUEST, PACKET_SYN, 0, "");
	tcp(FLOW_PEER, PACKET_SYN | PACKET_ACK, 0, "");
	for (uint32_t i = 0; i < 1023; i++)
		tcp(FLOW_GUEST, PACKET_ACK, 1 + i * 500, segment);
	/* 64, 128, 256, 512, 1,024 frames; 64, 128, 256, 512 KiB */
	ck_assert_uint_eq(events_of(FLOW_EVENT_UPDATE), 9);
	tcp(FLOW_PEER, PACKET_ACK, 1, "");
	now += 599 * FLOW_SECOND;
	tcp(FLOW_PEER, PACKET_ACK, 1, "");
	ck_assert_uint_eq(events_of(FLOW_EVENT_UPDATE), 9);
	now += 10 * FLOW_SECOND;
	tcp(FLOW_PEER, PACKET_ACK, 1, "");
	ck_assert_uint_eq(events_of(FLOW_EVENT_UPDATE), 10);
	now += 590 * FLOW_SECOND;
	tcp(FLOW_PEER, PACKET_ACK, 1, "");
	ck_assert_uint_eq(events_of(FLOW_EVENT_UPDATE), 10);
}
END_TEST

/* What is idle ends by itself, once; the rest at the end. */
START_TEST(test_idle)
{
	struct frame frame;

	frame_make_udp(&frame, FLOW_GUEST, 5000, 7, "once");
	feed(&frame);
	tcp(FLOW_GUEST, PACKET_SYN, 100, "");
	tcp(FLOW_PEER, PACKET_SYN | PACKET_ACK, 900, "");
	now += FLOW_IDLE_NS;
	frame_make_udp(&frame, FLOW_GUEST, 5001, 7, "another");
	for (int i = 0; i < 40; i++) {
		feed(&frame);
		now += FLOW_SECOND;
	}
	ck_assert_uint_eq(events_of(FLOW_EVENT_END), 1);
	ck_assert_uint_eq(flowtable_stats(table).evicted, 0);
	flowtable_finish(table, now);
	ck_assert_uint_eq(events_of(FLOW_EVENT_END), 3);
	flowtable_finish(table, now);
	ck_assert_uint_eq(events_of(FLOW_EVENT_END), 3);
}
END_TEST

/* Nobody says who the guest is: each flow's opener is, for all of the flow. */
START_TEST(test_either)
{
	struct flow_record record;
	struct frame frames[80], *frame;
	size_t count = frame_conversations(frames, BASE_COUNT(frames));
	struct flowtable *either;

	ck_assert_int_eq(flowtable_open(&either, 1024, 42, NULL, NULL), 0);
	for (size_t i = 0; i < count; i++) {
		frame = &frames[i];
		feed(frame);
		flowtable_packet(either, frame->bytes, frame->size, frame->size, FLOWTABLE_EITHER,
		                 now);
	}
	ck_assert_uint_eq(flowtable_stats(table).flows, flowtable_stats(either).flows);
	/* The peer that was answered by an ICMP error is the guest of that flow here. */
	ck_assert_int_eq(
	        flowtable_find(
	                either,
	                &(struct flow_key){{10, 0, 0, 5}, {10, 0, 0, 2}, 6000, 9, 0, 17, FLOW_IPV4},
	                &record),
	        0);
	flowtable_close(either);
}
END_TEST

static int count_twice(const struct flow_record *record, void *data)
{
	*(size_t *)data +=
	        record->sides[FLOW_GUEST].packets == 2 && record->sides[FLOW_GUEST].payload == 10;
	return 0;
}

/* A table that grows keeps what it has, and goes on with it. */
START_TEST(test_grows)
{
	struct tap_stats stats;
	size_t twice = 0;

	ck_assert_int_eq(flowtable_may_grow(table, 8192), 0);
	for (int pass = 0; pass < 2; pass++)
		for (uint16_t port = 0; port < 3000; port++) {
			struct frame frame;

			frame_make_udp(&frame, FLOW_GUEST, port, 7, "hello");
			feed(&frame);
		}
	stats = flowtable_stats(table);
	/* a few had no place while it was small; a table that did not grow would keep 1,024 */
	ck_assert_uint_lt(stats.evicted, 100);
	ck_assert_uint_le(stats.flows, 3000 + stats.evicted);
	ck_assert_uint_eq(stats.packets[FLOW_GUEST], 6000);
	flowtable_each(table, count_twice, &twice);
	ck_assert_uint_gt(twice, 2800);
	ck_assert_int_eq(flowtable_may_grow(table, SIZE_MAX), -EINVAL);
}
END_TEST

/* Who speaks what, by the first bytes of either side, whatever the port. */
START_TEST(test_app)
{
	static const struct {
		const char *app;
		uint8_t proto;
		uint16_t port;
		enum flow_side_index side;
		size_t size;
		const char *head;
	} heads[] = {
	        {"tls", 6, 8443, FLOW_GUEST, 6, "\x16\3\1\2\0\1"},
	        {"ssh", 6, 80, FLOW_PEER, 8, "SSH-2.0-"},
	        {"http", 6, 8000, FLOW_GUEST, 8, "GET / HT"},
	        {"smb", 6, 445, FLOW_GUEST, 8, "\0\0\0\x90\xfeSMB"},
	        {"rdp", 6, 3389, FLOW_GUEST, 7, "\3\0\0\x13\x0e\xe0\0"},
	        {"dns", 17, 53, FLOW_GUEST, 12, "\1\2\1\0\0\1\0\0\0\0\0\0"},
	        {"dns", 6, 53, FLOW_GUEST, 14, "\0\x20\1\2\1\0\0\1\0\0\0\0\0\0"},
	        {NULL, 17, 54, FLOW_GUEST, 12, "\1\2\1\0\0\1\0\0\0\0\0\0"},
	        {"stun", 17, 3478, FLOW_GUEST, 20, "\0\1\0\0\x21\x12\xa4\x42 twelve bytes"},
	        {"quic", 17, 443, FLOW_GUEST, 20, "\xc3\0\0\0\1 fifteen bytes.."},
	        {"bittorrent", 6, 6881, FLOW_PEER, 20,
	         "\x13"
	         "BitTorrent protocol"},
	        {NULL, 6, 443, FLOW_GUEST, 4, "\x16\3\1\2"},
	        {NULL, 6, 443, FLOW_GUEST, 0, ""},
	};

	for (size_t i = 0; i < BASE_COUNT(heads); i++) {
		struct flow_record record = {.key = {.family = FLOW_IPV4,
		                                     .proto = heads[i].proto,
		                                     .peer_port = heads[i].port}};

		memcpy(record.first[heads[i].side].head, heads[i].head, heads[i].size);
		record.sides[heads[i].side].head_size = (uint8_t)heads[i].size;
		ck_assert_pstr_eq(flow_app(&record), heads[i].app);
	}
}
END_TEST

START_TEST(test_bounds)
{
	struct flowtable *huge;

	ck_assert_int_eq(flowtable_open(&huge, SIZE_MAX, 0, NULL, NULL), -EINVAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bpf_flow");
	TCase *cases = tcase_create("flow");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, test_refused);
	tcase_add_test(cases, test_no_answer);
	tcase_add_test(cases, test_whole_connection);
	tcase_add_test(cases, test_half_open);
	tcase_add_test(cases, test_stealth);
	tcase_add_test(cases, test_backscatter);
	tcase_add_test(cases, test_unreachable);
	tcase_add_test(cases, test_stray_error);
	tcase_add_test(cases, test_ping);
	tcase_add_test(cases, test_arp);
	tcase_add_test(cases, test_neighbour);
	tcase_add_test(cases, test_flood);
	tcase_add_test(cases, test_dns_payload);
	tcase_add_test(cases, test_tls_payload);
	tcase_add_test(cases, test_icmp_payload);
	tcase_add_test(cases, test_updates);
	tcase_add_test(cases, test_idle);
	tcase_add_test(cases, test_either);
	tcase_add_test(cases, test_grows);
	tcase_add_test(cases, test_app);
	tcase_add_test(cases, test_bounds);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
