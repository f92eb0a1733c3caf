/* SPDX-License-Identifier: GPL-2.0-or-later */
/* DNS messages taken apart, and what is found in many of them: tunnels and names that do not exist. */
#include <ctype.h>

#include "monitor_fixture.h"

#include "monitor/dns.h"
#include "monitor/dns_detector.h"

/* --- messages --- */

static size_t put_name(uint8_t *out, const char *name)
{
	size_t at = 0;

	while (*name) {
		size_t length = strcspn(name, ".");

		out[at++] = (uint8_t)length;
		memcpy(out + at, name, length);
		at += length;
		name += length + (name[length] == '.');
	}
	out[at++] = 0;
	return at;
}

struct answer {
	uint16_t type;
	const void *data;
	uint16_t size;
};

/* A question, or its answer. Returns its size. */
static size_t message_make(uint8_t out[1024], const char *name, uint16_t type, bool response,
                           uint8_t rcode, const struct answer *answer)
{
	size_t at = 12;

	memset(out, 0, 12);
	out[2] = response ? 0x84 : 0x01;
	out[3] = rcode;
	out[5] = 1;
	out[7] = answer ? 1 : 0;
	at += put_name(out + at, name);
	out[at++] = (uint8_t)(type >> 8);
	out[at++] = (uint8_t)type;
	out[at++] = 0;
	out[at++] = 1;
	if (!answer)
		return at;
	memcpy(out + at,
	       (uint8_t[]){0xc0, 12, (uint8_t)(answer->type >> 8), (uint8_t)answer->type, 0, 1, 0,
	                   0, 0, 60, (uint8_t)(answer->size >> 8), (uint8_t)answer->size},
	       12);
	memcpy(out + at + 12, answer->data, answer->size);
	return at + 12 + answer->size;
}

START_TEST(parsed)
{
	const struct answer a = {DNS_TYPE_A, "\x7f\0\0\2", 4};
	struct dns_message message;
	uint8_t bytes[1024];
	size_t size = message_make(bytes, "www.Example.co.uk", DNS_TYPE_A, true, 0, &a);

	ck_assert_int_eq(dns_parse(bytes, size, &message), 0);
	ck_assert(message.response && message.listed);
	ck_assert_uint_eq(message.answers, 1);
	ck_assert_uint_eq(message.carried, 4);
	ck_assert_uint_eq(message.name.labels, 4);
	ck_assert_mem_eq(message.name.text, "www.Example.co.uk", 17);
	ck_assert_uint_eq(dns_zone_labels(&message.name), 3);
	/* every shorter part of it is either refused or read as far as it goes */
	for (size_t i = 0; i < size; i++) {
		uint8_t *copy = malloc(i ? i : 1);

		memcpy(copy, bytes, i);
		ck_assert_int_eq(dns_parse(copy, i, &message), i < 35 ? -EBADMSG : 0);
		free(copy);
	}
}
END_TEST

START_TEST(refused)
{
	static const struct {
		const char *bytes;
		size_t size;
	} names[] = {
	        {"\xc0\x0c\0\1\0\1", 6},         /* points at itself */
	        {"\xc0\x0e\xc0\x0c\0\1\0\1", 8}, /* forwards */
	        {"\1a\xc0\x0c\0\1\0\1", 8},      /* a loop with a label in it */
	        {"\x41"
	         "aaa",
	         4}, /* reserved bits */
	        {"\x3f"
	         "aaa",
	         4},        /* longer than there is */
	        {"\1a", 2}, /* no end */
	};
	uint8_t long_name[12 + 300] = {[5] = 1};
	struct dns_message message;

	for (size_t i = 0; i < BASE_COUNT(names); i++) {
		uint8_t bytes[32] = {[5] = 1};

		memcpy(bytes + 12, names[i].bytes, names[i].size);
		ck_assert_msg(dns_parse(bytes, 12 + names[i].size, &message) == -EBADMSG, "%zu", i);
	}
	for (size_t at = 12; at + 64 < sizeof(long_name); at += 64)
		long_name[at] = 63;
	ck_assert_int_eq(dns_parse(long_name, sizeof(long_name), &message), -EBADMSG);
}
END_TEST

static bool take_all(const struct dns_record *record, void *data)
{
	(void)record;
	(void)data;
	return true;
}

/* The owner of a second record is a pointer to a pointer to a pointer..., which are the data of the first. */
static int walk_jumps(size_t jumps)
{
	uint8_t data[2 * DNS_LABELS_MAX + 2], bytes[1024];
	const struct answer pointers = {DNS_TYPE_TXT, data, (uint16_t)(2 * (jumps - 1))};
	static const uint8_t record[] = {0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 51, 100, 1};
	const size_t first = 12 + 3 + 4 + 12; /* the header, "a", its question, a record's start */
	size_t size;

	for (size_t i = 0; i + 1 < jumps; i++) {
		const size_t to = i ? first + 2 * (i - 1) : 12;

		data[2 * i] = (uint8_t)(0xc0 | to >> 8);
		data[2 * i + 1] = (uint8_t)to;
	}
	size = message_make(bytes, "a", DNS_TYPE_A, true, 0, &pointers);
	bytes[7] = 2;
	bytes[size] = (uint8_t)(0xc0 | (size - 2) >> 8);
	bytes[size + 1] = (uint8_t)(size - 2);
	memcpy(bytes + size + 2, record, sizeof(record));
	return dns_walk(bytes, size + 2 + sizeof(record), 8, take_all, NULL);
}

START_TEST(jumps_are_counted)
{
	ck_assert_int_eq(walk_jumps(2), 2);
	ck_assert_int_eq(walk_jumps(DNS_LABELS_MAX), 2);
	ck_assert_int_eq(walk_jumps(DNS_LABELS_MAX + 1), 1);
}
END_TEST

START_TEST(zones)
{
	static const struct {
		const char *name;
		size_t labels;
	} cases[] = {{"a.b.example.com", 2}, {"example.com", 2}, {"com", 1},
	             {"a.example.co.uk", 3}, {"co.uk", 2},       {"a.b.xn--p1ai", 2},
	             {"dnscat.0a1b2c3d", 0}, {"printer7", 0},    {"a.192.168.1.5", 0}};
	static const struct {
		const char *name;
		bool reverse;
	} reverses[] = {{"5.1.168.192.in-addr.arpa", true},
	                {"2.0.0.127.zen.example.org", true},
	                {"2.0.0.example.org", false},
	                {"www.example.org", false}};
	struct dns_message message;
	uint8_t bytes[1024];

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		size_t size = message_make(bytes, cases[i].name, 1, false, 0, NULL);

		ck_assert_int_eq(dns_parse(bytes, size, &message), 0);
		ck_assert_msg(dns_zone_labels(&message.name) == cases[i].labels, "%s: %zu",
		              cases[i].name, dns_zone_labels(&message.name));
	}
	for (size_t i = 0; i < BASE_COUNT(reverses); i++) {
		size_t size = message_make(bytes, reverses[i].name, 1, false, 0, NULL);

		ck_assert_int_eq(dns_parse(bytes, size, &message), 0);
		ck_assert_int_eq(dns_is_reverse(&message.name), reverses[i].reverse);
	}
}
END_TEST

/* --- what is found --- */

/* The label for the '*' of `pattern`. */
static void name_make(char out[256], const char *pattern, const char *label)
{
	size_t before = strcspn(pattern, "*");

	snprintf(out, 256, "%.*s%s%s", (int)before, pattern, label, pattern + before + 1);
}

static void tell(struct watch *watch, const char *name, uint16_t type, bool response, uint8_t rcode,
                 const struct answer *answer, uint64_t time)
{
	struct flow_payload_event event = {0};

	event.header.type = FLOW_EVENT_PAYLOAD;
	event.header.time_ns = time;
	event.kind = FLOW_PAYLOAD_DNS;
	event.key = event_make(FLOW_EVENT_NEW, UDP, 0x0a4d0001, 53, time).record.key;
	event.side = response ? FLOW_PEER : FLOW_GUEST;
	event.captured = (uint16_t)message_make(event.bytes, name, type, response, rcode, answer);
	event.length = event.captured;
	event.header.size = flow_payload_event_size(event.captured);
	watch_event(watch, &event.header);
}

static void ask(struct watch *watch, const char *name, uint16_t type, const struct answer *answer,
                uint64_t time)
{
	tell(watch, name, type, false, 0, NULL, time);
	tell(watch, name, type, true, answer ? 0 : DNS_RCODE_NXDOMAIN, answer, time + SECOND / 50);
}

static uint32_t chance_state;

static uint32_t chance(uint32_t below)
{
	chance_state = chance_state * 1664525 + 1013904223;
	return (chance_state >> 8) % below;
}

static void random_label(char *out, size_t size, const char *alphabet)
{
	for (size_t i = 0; i < size; i++)
		out[i] = alphabet[chance((uint32_t)strlen(alphabet))];
	out[size] = '\0';
}

#define HEX    "0123456789abcdef"
#define BASE32 "abcdefghijklmnopqrstuvwxyz234567"

static const struct answer address = {DNS_TYPE_A, "\x5d\xb8\xd8\x22", 4};

static struct watch *tunnel(const char *pattern, size_t size, const char *alphabet, uint16_t type,
                            size_t count, uint64_t apart)
{
	struct watch *watch = watch_new(&dns_tunnel_detector, NULL);

	for (size_t i = 0; i < count; i++) {
		char label[64], name[256];

		random_label(label, size, alphabet);
		name_make(name, pattern, label);
		ask(watch, name, type, &address, START + i * apart);
		watch_tick(watch, START + i * apart + SECOND);
	}
	return watch;
}

START_TEST(tunnels)
{
	static const struct {
		const char *pattern;
		size_t size;
		const char *alphabet;
		uint16_t type;
	} cases[] = {
	        {"*.t.example.com", 50, BASE32, DNS_TYPE_A},
	        {"*.t.example.co.uk", 32, HEX, DNS_TYPE_AAAA},
	        {"dnscat.*", 40, HEX, DNS_TYPE_A},
	        {"*.example.net", 10, BASE32, DNS_TYPE_NULL},
	        {"*.example.net", 12, BASE32, DNS_TYPE_TXT},
	        {"*.example.net", 12, HEX, DNS_TYPE_MX},
	};

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		struct watch *watch = tunnel(cases[i].pattern, cases[i].size, cases[i].alphabet,
		                             cases[i].type, 60, SECOND);

		ck_assert_msg(watch->count[ALERT_NEW] == 1, "%zu: %zu", i, watch->count[ALERT_NEW]);
		ck_assert_str_eq(watch->first.rule, "dns.tunnel");
		ck_assert_int_ge(watch->severity, ALERT_MEDIUM);
		watch_end(watch);
	}
}
END_TEST

START_TEST(a_slow_tunnel)
{
	/* one name in three minutes: 480 a day, of 40 characters */
	struct watch *watch = tunnel("*.example.com", 40, HEX, DNS_TYPE_A, 200, 3 * MINUTE);

	ck_assert_uint_ge(watch->count[ALERT_NEW], 1);
	ck_assert_int_ge(watch->severity, ALERT_MEDIUM);
	watch_end(watch);
}
END_TEST

/* What is known of files, by their MD5 sums: the same as a tunnel's names, but for the answers. */
START_TEST(reputations_are_low)
{
	static const struct answer verdict = {DNS_TYPE_TXT,
	                                      "\x0d"
	                                      "1700000000 53",
	                                      14};

	for (size_t size = 32; size <= 34; size += 2) {
		struct watch *watch = watch_new(&dns_tunnel_detector, NULL);

		for (uint64_t i = 0; i < 100; i++) {
			char label[64], name[256];

			random_label(label, size, HEX);
			name_make(name, "*.files.example.net", label);
			ask(watch, name, DNS_TYPE_TXT, &verdict, START + i * 5 * SECOND);
		}
		ck_assert_uint_eq(watch->count[ALERT_NEW], 1);
		if (size == 32)
			ck_assert_int_eq(watch->severity, ALERT_LOW);
		else
			ck_assert_int_ge(watch->severity, ALERT_MEDIUM);
		watch_end(watch);
	}
}
END_TEST

START_TEST(commands_by_txt)
{
	struct watch *watch = watch_new(&dns_tunnel_detector, NULL);

	for (uint64_t i = 0; i < 60; i++) {
		char data[128];
		const struct answer answer = {DNS_TYPE_TXT, data, sizeof(data) - 1};

		random_label(data, sizeof(data) - 1, BASE32);
		ask(watch, "cmd.example.org", DNS_TYPE_TXT, &answer, START + i * 5 * SECOND);
	}
	ck_assert_uint_eq(watch->count[ALERT_NEW], 1);
	watch_end(watch);
}
END_TEST

/* Names of a content network, short and new; of a cloud, long and made of the same parts; of lists. */
START_TEST(no_tunnels)
{
	static const char *const patterns[] = {"e*.b.akamaiedge.example", "*.cloudfront.example",
	                                       "*.us-west-2.compute.internal.amazonaws.example"};

	for (size_t i = 0; i < BASE_COUNT(patterns); i++) {
		struct watch *watch = tunnel(patterns[i], 13, BASE32, DNS_TYPE_A, 300, SECOND);

		ck_assert_msg(watch->count[ALERT_NEW] == 0, "%s: %s", patterns[i],
		              watch->last.sentence);
		watch_end(watch);
	}
}
END_TEST

/* The same long name, in other cases each time. */
START_TEST(cases_are_none)
{
	struct watch *watch = watch_new(&dns_tunnel_detector, NULL);
	char name[] = "production-telemetry-collector-of-region-one.example.com";

	for (uint64_t i = 0; i < 200; i++) {
		for (char *c = name; *c; c++)
			*c = (char)(chance(2) ? toupper(*c) : tolower(*c));
		ask(watch, name, DNS_TYPE_A, &address, START + i * SECOND);
	}
	ck_assert_uint_eq(watch->count[ALERT_NEW], 0);
	watch_end(watch);
}
END_TEST

START_TEST(lists_are_none)
{
	const struct answer listed = {DNS_TYPE_A, "\x7f\0\0\2", 4};
	struct watch *watch = watch_new(&dns_tunnel_detector, NULL);
	char name[256], label[41];

	for (uint32_t i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "%u.%u.%u.%u.zen.example.org", chance(256),
		         chance(256), chance(256), chance(256));
		ask(watch, name, DNS_TYPE_A, i % 9 ? NULL : &listed, START + i * SECOND);
	}
	ck_assert_uint_eq(watch->count[ALERT_NEW], 0);
	for (uint32_t i = 0; i < 100; i++) {
		random_label(label, 40, BASE32);
		snprintf(name, sizeof(name), "%s._hash.example.org", label);
		ask(watch, name, DNS_TYPE_A, i % 9 ? NULL : &listed, START + i * SECOND);
	}
	ck_assert_int_le(watch->severity, ALERT_LOW);
	watch_end(watch);
}
END_TEST

/* A mail server asks for TXT and MX of many domains, one or two of each. */
START_TEST(a_mail_server_is_none)
{
	struct watch *watch = watch_new(&dns_tunnel_detector, NULL);

	for (uint32_t i = 0; i < 2000; i++) {
		char name[256], label[16];
		const struct answer txt = {DNS_TYPE_TXT, "v=spf1 include:_spf.example.com ~all",
		                           36};

		random_label(label, 10, BASE32);
		snprintf(name, sizeof(name), "%s.example", label);
		ask(watch, name, i % 2 ? DNS_TYPE_TXT : DNS_TYPE_MX, &txt, START + i * SECOND);
		snprintf(name, sizeof(name), "_dmarc.%s.example", label);
		ask(watch, name, DNS_TYPE_TXT, &txt, START + i * SECOND);
	}
	ck_assert_msg(watch->count[ALERT_NEW] == 0, "%s", watch->last.sentence);
	watch_end(watch);
}
END_TEST

START_TEST(generated)
{
	struct watch *watch = watch_new(&dns_tunnel_detector, NULL);
	char name[64], label[16];

	for (uint32_t i = 0; i < 60; i++) {
		random_label(label, 12, "abcdefghijklmnopqrstuvwxyz");
		snprintf(name, sizeof(name), "%s.com", label);
		ask(watch, name, DNS_TYPE_A, i % 20 ? NULL : &address, START + i * SECOND);
	}
	ck_assert_uint_eq(watch->count[ALERT_NEW], 1);
	ck_assert_str_eq(watch->first.rule, "dns.generated");
	ck_assert_str_eq(watch->first.technique, "T1568.002");
	ck_assert_int_eq(watch->severity, ALERT_MEDIUM);
	watch_end(watch);
}
END_TEST

/* A crawler with a list of which most is gone; a guest that tries its search list. */
START_TEST(not_generated)
{
	static const char *const words[] = {"garden", "market", "hotel",  "studio", "center",
	                                    "online", "travel", "design", "music",  "flower"};
	struct watch *watch = watch_new(&dns_tunnel_detector, NULL);
	char name[64];

	for (uint32_t i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "%s%s.com", words[i % 10], words[i * 7 / 10 % 10]);
		ask(watch, name, DNS_TYPE_A, i % 4 ? NULL : &address, START + i * SECOND);
	}
	ck_assert_int_le(watch->severity, ALERT_LOW);
	for (uint32_t i = 0; i < 300; i++)
		ask(watch, "db.corp.example.com", DNS_TYPE_A, NULL, START + HOUR + i * SECOND);
	ck_assert_int_le(watch->severity, ALERT_LOW);
	watch_end(watch);
}
END_TEST

START_TEST(names_are_tried)
{
	struct watch *watch = watch_new(&dns_tunnel_detector, NULL);
	char name[64];

	for (uint32_t i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "host%u.example.com", i);
		ask(watch, name, DNS_TYPE_A, NULL, START + i * SECOND / 10);
	}
	ck_assert_uint_eq(watch->count[ALERT_NEW], 1);
	ck_assert_str_eq(watch->first.rule, "dns.nxdomain");
	ck_assert_int_eq(watch->severity, ALERT_MEDIUM);
	watch_end(watch);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor_dns");
	TCase *tests = tcase_create("dns");

	tcase_add_test(tests, parsed);
	tcase_add_test(tests, refused);
	tcase_add_test(tests, jumps_are_counted);
	tcase_add_test(tests, zones);
	tcase_add_test(tests, tunnels);
	tcase_add_test(tests, a_slow_tunnel);
	tcase_add_test(tests, commands_by_txt);
	tcase_add_test(tests, reputations_are_low);
	tcase_add_test(tests, no_tunnels);
	tcase_add_test(tests, cases_are_none);
	tcase_add_test(tests, lists_are_none);
	tcase_add_test(tests, a_mail_server_is_none);
	tcase_add_test(tests, generated);
	tcase_add_test(tests, not_generated);
	tcase_add_test(tests, names_are_tried);
	suite_add_tcase(suite, tests);
	return suite_run(suite);
}
