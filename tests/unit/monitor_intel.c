/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Lists of known bad addresses and names, and what contact with them is. */
#include "monitor_fixture.h"
#include "monitor_hello.h"

#include "monitor/intel_list.h"

static struct intel_list *list_of(const char *text)
{
	struct intel_list *list;
	struct intel_fault fault;

	ck_assert_msg(intel_list_parse(text, strlen(text), "/etc/x/bad.txt", &list, &fault) == 0,
	              "line %u: %s", fault.line, fault.excerpt);
	return list;
}

static uint32_t line_of4(const struct intel_list *list, uint32_t address)
{
	uint8_t bytes[16];

	key_address(bytes, address);
	return intel_list_address(list, bytes, FLOW_IPV4);
}

static uint32_t line_of6(const struct intel_list *list, uint8_t second, uint8_t last)
{
	const uint8_t bytes[16] = {0x20, second, [15] = last};

	return intel_list_address(list, bytes, FLOW_IPV6);
}

static uint32_t line_of(const struct intel_list *list, const char *name)
{
	return intel_list_domain(list, name, strlen(name));
}

START_TEST(a_list)
{
	struct intel_list *list = list_of("# all kinds\n"
	                                  "198.51.100.20\n"
	                                  "  203.0.113.77/25  # host bits do not matter\r\n"
	                                  "203.0.113.5\n"
	                                  "\n"
	                                  "2001::/32\n"
	                                  "Bad.Example\n"
	                                  "*.worse.example.org.\n"
	                                  "203.1.0.0/16\n"
	                                  "2002::1");

	ck_assert_str_eq(intel_list_name(list), "bad.txt");
	ck_assert_uint_eq(line_of4(list, 0xc6336414), 2);
	ck_assert_uint_eq(line_of4(list, 0xc6336413), 0);
	ck_assert_uint_eq(line_of4(list, 0xc6336415), 0);
	ck_assert_uint_eq(line_of4(list, 0xcb007100), 3);
	ck_assert_uint_eq(line_of4(list, 0xcb00717f), 3);
	ck_assert_uint_eq(line_of4(list, 0xcb007180), 0);
	ck_assert_uint_eq(line_of4(list, 0xcb007105), 3); /* the wider one stands for it */
	ck_assert_uint_eq(line_of4(list, 0xcb01ffff), 9);
	ck_assert_uint_eq(line_of4(list, 0), 0);
	ck_assert_uint_eq(line_of4(list, UINT32_MAX), 0);
	ck_assert_uint_eq(line_of6(list, 1, 9), 6);
	ck_assert_uint_eq(line_of6(list, 2, 1), 10);
	ck_assert_uint_eq(line_of6(list, 2, 2), 0);
	ck_assert_uint_eq(line_of(list, "bad.example"), 7);
	ck_assert_uint_eq(line_of(list, "www.BAD.example."), 7);
	ck_assert_uint_eq(line_of(list, "notbad.example"), 0);
	ck_assert_uint_eq(line_of(list, "example"), 0);
	ck_assert_uint_eq(line_of(list, "bad.example.org"), 0);
	ck_assert_uint_eq(line_of(list, "a.b.worse.example.org"), 8);
	ck_assert_uint_eq(line_of(list, "worse.example.org"), 8);
	ck_assert_uint_eq(line_of(list, ""), 0);
	ck_assert_uint_eq(line_of(list, "."), 0);
	intel_list_free(list);
	list = list_of("");
	ck_assert_uint_eq(intel_list_count(list), 0);
	ck_assert_uint_eq(line_of4(list, HOST), 0);
	ck_assert_uint_eq(line_of(list, "example.org"), 0);
	intel_list_free(list);
}
END_TEST

START_TEST(wrong_lines)
{
	static const char *const wrong[] = {
	        "10.0.0.0/33", "10.0.0.0/0",  "10.0.0/8",     "::/129",
	        "10.0.0.1/",   "1.2.3.400",   "a..b",         ".a",
	        "a b",         "ex\tample",   "http://a.b/c", "*",
	        "a.123",       "10.0.0.1x/8", "-/1",          "10.0.0.1 10.0.0.2"};

	for (size_t i = 0; i < BASE_COUNT(wrong); i++) {
		struct intel_list *list;
		struct intel_fault fault;
		char text[128];
		int size = snprintf(text, sizeof(text), "ok.example\n# x\n %s # y\n", wrong[i]);

		ck_assert_msg(intel_list_parse(text, (size_t)size, "x", &list, &fault) == -EINVAL,
		              "%s", wrong[i]);
		ck_assert_ptr_null(list);
		ck_assert_uint_eq(fault.line, 3);
		if (!strchr(wrong[i], '\t'))
			ck_assert_str_eq(fault.excerpt, wrong[i]);
	}
}
END_TEST

/* Every one of many is found, whatever the order was, and what lies between is not. */
START_TEST(many_entries)
{
	enum { MANY = 20000 };
	char *text = malloc(MANY * 64);
	struct intel_list *list;
	struct intel_fault fault;
	size_t size = 0;

	for (uint32_t i = 0; i < MANY; i++) {
		const uint32_t n = i * 7919 % MANY;

		size += (size_t)snprintf(text + size, 64, "10.%u.%u.%u/31\nh%u.example\n", n >> 13,
		                         n >> 5 & 255, (n & 31) * 8, n);
	}
	ck_assert_int_eq(intel_list_parse(text, size, "x", &list, &fault), 0);
	ck_assert_uint_eq(intel_list_count(list), 2 * MANY);
	for (uint32_t n = 0; n < MANY; n++) {
		const uint32_t address =
		        10u << 24 | n >> 13 << 16 | (n >> 5 & 255) << 8 | (n & 31) * 8;
		char name[32];

		ck_assert_uint_gt(line_of4(list, address + 1), 0);
		ck_assert_uint_eq(line_of4(list, address + 2), 0);
		snprintf(name, sizeof(name), "x.h%u.example", n);
		ck_assert_uint_gt(line_of(list, name), 0);
	}
	ck_assert_uint_eq(line_of(list, "h20000.example"), 0);
	intel_list_free(list);
	free(text);
}
END_TEST

START_TEST(bounds)
{
	const size_t lines = INTEL_ENTRIES_MAX + 1;
	char *text = malloc(lines * 2);
	struct intel_list *list;
	struct intel_fault fault;

	for (size_t i = 0; i < lines; i++)
		memcpy(text + 2 * i, "a\n", 2);
	ck_assert_int_eq(intel_list_parse(text, 2 * lines, "x", &list, &fault), -EFBIG);
	ck_assert_uint_eq(fault.line, lines);
	ck_assert_int_eq(intel_list_parse(text, INTEL_SIZE_MAX + 1, "x", &list, &fault), -EFBIG);
	ck_assert_uint_eq(fault.line, 0);
	free(text);
}
END_TEST

/* --- the detector --- */

static struct intel_set set;

static struct watch *watch_list(const char *text)
{
	const struct detector_config config = {.intel = &set};
	struct watch *watch = calloc(1, sizeof(*watch));

	set = (struct intel_set){.lists = {list_of(text)}, .count = 1};
	watch->ops = &intel_detector;
	watch->self = intel_detector.create(&config);
	ck_assert_ptr_nonnull(watch->self);
	return watch;
}

static void watch_done(struct watch *watch)
{
	watch_end(watch);
	intel_list_free((struct intel_list *)set.lists[0]);
}

static void contact(struct watch *watch, uint32_t peer, bool in, enum flow_outcome outcome,
                    uint64_t time)
{
	struct flow_event event = event_make(FLOW_EVENT_NEW, TCP, peer, 443, time);

	event.record.flags = in ? FLOW_FLAG_PEER_OPENED : 0;
	watch_event(watch, &event.header);
	if (outcome == FLOW_OUTCOME_NONE)
		return;
	event.header.type = FLOW_EVENT_OUTCOME;
	event.record.outcome = outcome == FLOW_OUTCOME_RESET ? outcome : FLOW_OUTCOME_ANSWERED;
	watch_event(watch, &event.header);
	event.record.outcome = outcome;
	watch_event(watch, &event.header);
}

START_TEST(listed_addresses)
{
	static const struct {
		uint32_t peer;
		bool in;
		enum flow_outcome outcome;
		unsigned int severity;
		const char *technique;
	} cases[] = {
	        {HOST, false, FLOW_OUTCOME_ESTABLISHED, ALERT_CRITICAL, "T1071"},
	        {HOST, false, FLOW_OUTCOME_RESET, ALERT_HIGH, "T1071"},
	        {HOST, false, FLOW_OUTCOME_NONE, ALERT_HIGH, "T1071"},
	        {HOST, true, FLOW_OUTCOME_ESTABLISHED, ALERT_HIGH, "T1595"},
	        {HOST, true, FLOW_OUTCOME_NONE, ALERT_LOW, "T1595"},
	        {HOST + 1, false, FLOW_OUTCOME_ESTABLISHED, 0, NULL},
	        {LAN_HOST, true, FLOW_OUTCOME_ESTABLISHED, 0, NULL},
	};

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		struct watch *watch = watch_list("# feed\n198.51.100.20\n");

		contact(watch, cases[i].peer, cases[i].in, cases[i].outcome, START);
		ck_assert_uint_eq(watch->severity, cases[i].severity);
		ck_assert_uint_eq(watch->count[ALERT_NEW], cases[i].severity != 0);
		if (cases[i].severity) {
			ck_assert_str_eq(watch->last.rule, "intel.address");
			ck_assert_str_eq(watch->last.technique, cases[i].technique);
			ck_assert_str_eq(watch->last.list, "bad.txt");
			ck_assert_ptr_nonnull(
			        strstr(watch->last.sentence, "line 2 of the list bad.txt"));
		}
		watch_done(watch);
	}
}
END_TEST

/* In a capture, who is listed is a source as well. */
START_TEST(a_listed_source)
{
	struct watch *watch = watch_list("10.77.0.0/24\n");

	contact(watch, LAN_HOST, false, FLOW_OUTCOME_RESET, START);
	ck_assert_uint_eq(watch->severity, ALERT_LOW);
	contact(watch, LAN_HOST + 1, false, FLOW_OUTCOME_ESTABLISHED, START + SECOND);
	ck_assert_uint_eq(watch->severity, ALERT_HIGH);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 1);
	ck_assert_str_eq(watch->last.sentence,
	                 "is listed, and spoke to 10.0.0.21, port 443, 2 times, "
	                 "1 answered; line 1 of the list bad.txt has it");
	/* who speaks to it is not listed */
	contact(watch, LAN_HOST, true, FLOW_OUTCOME_ESTABLISHED, START + 2 * SECOND);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 1);
	watch_done(watch);
}
END_TEST

START_TEST(one_finding_for_many_contacts)
{
	struct watch *watch = watch_list("198.51.100.0/24\n");

	for (unsigned int i = 0; i < 100; i++)
		contact(watch, HOST, false, FLOW_OUTCOME_ESTABLISHED, START + i * SECOND);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 1);
	ck_assert_uint_le(watch->count[ALERT_UPDATE], 10);
	watch_tick(watch, START + 2 * HOUR);
	ck_assert_uint_eq(watch->count[ALERT_END], 1);
	ck_assert_str_eq(watch->last.sentence,
	                 "spoke to 198.51.100.20, port 443, 100 times, 100 answered; line 1 of the "
	                 "list bad.txt has it");
	watch_done(watch);
}
END_TEST

/* A connection that stands when its address is listed is found at its next sign of life. */
START_TEST(a_list_that_changes)
{
	struct watch *watch = watch_list("192.0.2.1\n");
	struct flow_event event = event_make(FLOW_EVENT_UPDATE, TCP, HOST, 443, START);
	const struct intel_list *old = set.lists[0];

	event.record.outcome = FLOW_OUTCOME_ESTABLISHED;
	watch_event(watch, &event.header);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 0);
	set.lists[0] = list_of("198.51.100.20\n");
	intel_list_free((struct intel_list *)old);
	watch_event(watch, &event.header);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 1);
	ck_assert_uint_eq(watch->severity, ALERT_CRITICAL);
	watch_done(watch);
}
END_TEST

static struct flow_payload_event payload(uint8_t kind, uint8_t proto, const void *bytes,
                                         size_t size)
{
	struct flow_payload_event event = {.kind = kind, .side = FLOW_GUEST};

	event.header.type = FLOW_EVENT_PAYLOAD;
	event.header.time_ns = START;
	event.key = event_make(FLOW_EVENT_NEW, proto, LAN_HOST, 53, START).record.key;
	event.captured = (uint16_t)size;
	memcpy(event.bytes, bytes, size);
	return event;
}

START_TEST(listed_names)
{
	static const char question[] = "\0\1\1\0\0\1\0\0\0\0\0\0\3wWw\7eXample\3com\0\0\1\0\1";
	struct watch *watch = watch_list("example.com\n");
	struct flow_payload_event event =
	        payload(FLOW_PAYLOAD_DNS, UDP, question, sizeof(question) - 1);

	watch_event(watch, &event.header);
	ck_assert_str_eq(watch->first.rule, "intel.name");
	ck_assert_str_eq(watch->first.name, "wWw.eXample.com");
	ck_assert_uint_eq(watch->severity, ALERT_HIGH);
	/* another one below it is the same finding; an answer is no question */
	event.bytes[13] = 'x';
	watch_event(watch, &event.header);
	event.bytes[2] |= 0x80;
	watch_event(watch, &event.header);
	event = payload(FLOW_PAYLOAD_DNS, TCP, "\0\35", 2);
	memcpy(event.bytes + 2, question, sizeof(question) - 1);
	event.captured += sizeof(question) - 1;
	watch_event(watch, &event.header);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 1);
	watch_tick(watch, DETECTOR_END);
	ck_assert_uint_eq(watch->last.facts[0].value, 3);

	event = payload(FLOW_PAYLOAD_TLS, TCP, hello_bytes, sizeof(hello_bytes));
	watch_event(watch, &event.header);
	ck_assert_str_eq(watch->first.rule, "intel.tls");
	ck_assert_uint_eq(watch->severity, ALERT_CRITICAL);
	watch_done(watch);

	watch = watch_list("example.org\n");
	watch_event(watch, &event.header);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 0);
	watch_done(watch);
}
END_TEST

/* More things than there are places: those that are worse stay. */
START_TEST(many_things)
{
	struct watch *watch = watch_list("198.51.0.0/16\n");

	contact(watch, HOST, false, FLOW_OUTCOME_ESTABLISHED, START);
	for (uint32_t i = 0; i < 500; i++)
		contact(watch, 0xc6330001 + i, true, FLOW_OUTCOME_NONE, START + i * SECOND);
	contact(watch, HOST, false, FLOW_OUTCOME_ESTABLISHED, START + 600 * SECOND);
	ck_assert_uint_eq(watch->count[ALERT_NEW], 501);
	watch_done(watch);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor_intel");
	TCase *tests = tcase_create("intel");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, a_list);
	tcase_add_test(tests, wrong_lines);
	tcase_add_test(tests, many_entries);
	tcase_add_test(tests, bounds);
	tcase_add_test(tests, listed_addresses);
	tcase_add_test(tests, a_listed_source);
	tcase_add_test(tests, one_finding_for_many_contacts);
	tcase_add_test(tests, a_list_that_changes);
	tcase_add_test(tests, listed_names);
	tcase_add_test(tests, many_things);
	suite_add_tcase(suite, tests);
	return suite_run(suite);
}
