/* SPDX-License-Identifier: GPL-2.0-or-later */
/* TLS hellos taken apart; unusual ways out; sessions with many neighbours. */
#include "monitor_fixture.h"
#include "monitor_hello.h"

#include "monitor/address.h"
#include "monitor/tls.h"

START_TEST(a_hello)
{
	struct tls_hello hello;

	ck_assert_int_eq(tls_hello_parse(hello_bytes, sizeof(hello_bytes), true, &hello), 0);
	ck_assert(hello.whole);
	ck_assert_str_eq(hello.name, "www.example.com");
	ck_assert_str_eq(hello.ja4, HELLO_JA4);
	ck_assert_str_eq(hello.alpn, "h2");
	ck_assert_uint_eq(hello.version, 0x0304);
}
END_TEST

/* Every shorter part is refused, or read as far as it goes; none of it is read behind its end. */
START_TEST(a_hello_cut_short)
{
	size_t named = 0;

	for (size_t i = 0; i < sizeof(hello_bytes); i++) {
		uint8_t *copy = malloc(i ? i : 1);
		struct tls_hello hello;

		memcpy(copy, hello_bytes, i);
		if (tls_hello_parse(copy, i, true, &hello) == 0) {
			ck_assert(!hello.whole);
			ck_assert_str_eq(hello.ja4, "");
			named += hello.name[0] != '\0';
		}
		free(copy);
	}
	ck_assert_uint_gt(named, 20);
}
END_TEST

START_TEST(no_hello)
{
	static const char *const texts[] = {"", "GET / HTTP/1.1\r\n\r\n", "\x16\x03",
	                                    "\x17\x03\x03\x01\x01", "\x16\x02\x01\x01\x01\x01"};
	uint8_t bytes[sizeof(hello_bytes)];
	struct tls_hello hello;

	for (size_t i = 0; i < BASE_COUNT(texts); i++)
		ck_assert_int_eq(
		        tls_hello_parse((const uint8_t *)texts[i], strlen(texts[i]), true, &hello),
		        -EBADMSG);
	/* a name that is none is not kept */
	memcpy(bytes, hello_bytes, sizeof(bytes));
	for (size_t i = 0; i + 3 < sizeof(bytes); i++)
		if (memcmp(bytes + i, "www", 3) == 0)
			bytes[i] = '\n';
	ck_assert_int_eq(tls_hello_parse(bytes, sizeof(bytes), true, &hello), 0);
	ck_assert_str_eq(hello.name, "");
}
END_TEST

/* --- ways out --- */

static void answered(struct watch *watch, uint8_t proto, uint32_t peer, uint16_t port,
                     uint64_t time)
{
	struct flow_event event = event_make(FLOW_EVENT_OUTCOME, proto, peer, port, time);

	event.record.outcome = FLOW_OUTCOME_ANSWERED;
	watch_event(watch, &event.header);
}

static void spoken(struct watch *watch, uint32_t peer, uint16_t port, const char *head,
                   uint64_t time)
{
	struct flow_event event = event_make(FLOW_EVENT_OUTCOME, TCP, peer, port, time);

	event_side(&event, FLOW_GUEST, 5, 100, head, strlen(head));
	event_side(&event, FLOW_PEER, 5, 100, "x", 1);
	event_close(&event, SECOND);
	watch_event(watch, &event.header);
}

static void said(struct watch *watch, const char *rule)
{
	ck_assert_msg(watch->count[ALERT_NEW] == (rule ? 1 : 0), "%s: %s", rule ? rule : "nothing",
	              watch->last.sentence);
	if (rule)
		ck_assert_str_eq(watch->first.rule, rule);
	ck_assert_int_le(watch->severity, ALERT_LOW);
	watch_end(watch);
}

START_TEST(resolvers)
{
	struct watch *watch = watch_new(&egress_detector, NULL);
	struct flow_payload_event hello = {.kind = FLOW_PAYLOAD_TLS, .side = FLOW_GUEST};
	uint8_t *name;

	answered(watch, TCP, HOST, 853, START);
	said(watch, "dns.dot");
	watch = watch_new(&egress_detector, NULL);
	answered(watch, TCP, 0x01010101, 443, START);
	answered(watch, UDP, 0x01010101, 443, START + SECOND);
	said(watch, "dns.doh");
	watch = watch_new(&egress_detector, NULL);
	answered(watch, UDP, LAN_HOST, 53, START);
	answered(watch, UDP, 0x08080808, 53, START + SECOND);
	said(watch, "dns.bypass");
	/* it has no other one; and an ordinary site */
	watch = watch_new(&egress_detector, NULL);
	answered(watch, UDP, 0x08080808, 53, START);
	answered(watch, TCP, HOST, 443, START);
	said(watch, NULL);

	watch = watch_new(&egress_detector, NULL);
	hello.header.type = FLOW_EVENT_PAYLOAD;
	hello.header.time_ns = START;
	hello.key = event_make(FLOW_EVENT_NEW, TCP, HOST, 443, START).record.key;
	hello.captured = sizeof(hello_bytes);
	memcpy(hello.bytes, hello_bytes, sizeof(hello_bytes));
	watch_event(watch, &hello.header);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 0);
	name = memmem(hello.bytes, hello.captured, "www.example.com", 15);
	memcpy(name, "x.dns.quad9.net", 15);
	watch_event(watch, &hello.header);
	said(watch, "dns.doh");
}
END_TEST

START_TEST(odd_ports)
{
	static const struct {
		uint16_t port;
		const char *head;
		bool odd;
	} cases[] = {{8443, "SSH-2.0-x", true},
	             {22, "SSH-2.0-x", false},
	             {22, "GET / HTTP/1.1", true},
	             {8080, "GET / HTTP/1.1", false},
	             {443, "hello there", true},
	             {443, "\x16\x03\x01\x02\x03\x04\x05\x06", false},
	             {443, "\x01\x02\x03\x04\x05\x06\x07\x08", false}};

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		struct watch *watch = watch_new(&egress_detector, NULL);

		spoken(watch, LAN_HOST, cases[i].port, cases[i].head, START);
		ck_assert_uint_eq(watch->count[ALERT_NEW], 0); /* among neighbours */
		spoken(watch, HOST, cases[i].port, cases[i].head, START);
		said(watch, cases[i].odd ? "egress.port" : NULL);
	}
}
END_TEST

START_TEST(the_first_way_out)
{
	struct watch *watch = watch_new(&egress_detector, NULL);

	answered(watch, TCP, LAN_HOST, 5432, START);
	answered(watch, TCP, HOST, 443, START + 2 * HOUR);
	answered(watch, TCP, HOST, 443, START + 5 * HOUR);
	said(watch, "egress.first");
	watch = watch_new(&egress_detector, NULL);
	answered(watch, TCP, HOST, 443, START);
	answered(watch, TCP, HOST, 443, START + 5 * HOUR);
	said(watch, NULL);
}
END_TEST

/* --- neighbours --- */

static struct watch *sessions(uint16_t port, uint32_t hosts, uint64_t bytes, bool public)
{
	struct watch *watch = watch_new(&lateral_detector, NULL);

	for (uint32_t i = 0; i < 3 * hosts; i++) {
		struct flow_event event =
		        event_make(FLOW_EVENT_OUTCOME, TCP, (public ? HOST : LAN_HOST) + i % hosts,
		                   port, START + i * 10 * SECOND);

		event_side(&event, FLOW_GUEST, 9, bytes, "x", 1);
		event_side(&event, FLOW_PEER, 9, bytes, "x", 1);
		event_close(&event, SECOND);
		watch_event(watch, &event.header);
	}
	return watch;
}

START_TEST(lateral)
{
	static const struct {
		uint16_t port;
		uint32_t hosts;
		uint64_t bytes;
		bool public;
		uint8_t severity;
	} cases[] = {{445, 15, 3000, false, ALERT_MEDIUM},
	             {3389, 60, 3000, false, ALERT_HIGH},
	             {22, 50, 3000, false, ALERT_LOW},
	             {445, 6, 3000, false, 0},
	             {445, 50, 100, false, 0},
	             {445, 50, 3000, true, 0},
	             {443, 50, 3000, false, 0}};

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		struct watch *watch =
		        sessions(cases[i].port, cases[i].hosts, cases[i].bytes, cases[i].public);

		ck_assert_msg(watch->severity == cases[i].severity, "%zu: %u", i, watch->severity);
		ck_assert_uint_eq(watch->count[ALERT_NEW], cases[i].severity ? 1 : 0);
		watch_end(watch);
	}
}
END_TEST

START_TEST(addresses)
{
	static const struct {
		uint32_t address;
		bool public;
	} cases[] = {{0x0a000001, false}, {0xac100001, false}, {0xac200001, true},
	             {0xc0a80001, false}, {0x64400001, false}, {0x65000001, true},
	             {0xe0000001, false}, {0x08080808, true},  {0x7f000001, false}};
	uint8_t bytes[16], v6[16] = {0x20, 1, 0x0d, 0xb8}, local[16] = {0xfe, 0x80},
	                   own[16] = {0xfd};

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		key_address(bytes, cases[i].address);
		ck_assert_msg(address_is_public(bytes, FLOW_IPV4) == cases[i].public, "%zu", i);
	}
	ck_assert(address_is_public(v6, FLOW_IPV6));
	ck_assert(!address_is_public(local, FLOW_IPV6) && !address_is_public(own, FLOW_IPV6));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor_egress");
	TCase *tests = tcase_create("egress");

	tcase_add_test(tests, a_hello);
	tcase_add_test(tests, a_hello_cut_short);
	tcase_add_test(tests, no_hello);
	tcase_add_test(tests, resolvers);
	tcase_add_test(tests, odd_ports);
	tcase_add_test(tests, the_first_way_out);
	tcase_add_test(tests, lateral);
	tcase_add_test(tests, addresses);
	suite_add_tcase(suite, tests);
	return suite_run(suite);
}
