/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How alerts and flows are rendered. Every leaf of the JSON is looked up in a table of the ECS 9.0 fields
 * that cordon uses, with the type that the field reference gives it; a field that is not there, or that has
 * another type, fails. The syslog message is taken apart by RFC 5424's grammar.
 */
#include <check.h>

#include "base/base.h"
#include "bpf/community_id.h"
#include "monitor/alert.h"

#define TIME 1750000000123456789ull /* 2025-06-15T15:06:40.123Z */

enum ecs_type { KEYWORD, LONG, DATE, IP };

/* ECS 9.0 field reference: `many`: the reference's "normalization: array". */
static const struct ecs_field {
	const char *name;
	enum ecs_type type;
	bool many;
} ecs_fields[] = {
        {"@timestamp", DATE, false},
        {"ecs.version", KEYWORD, false},
        {"message", KEYWORD, false},
        {"event.kind", KEYWORD, false},
        {"event.category", KEYWORD, true},
        {"event.type", KEYWORD, true},
        {"event.outcome", KEYWORD, false},
        {"event.module", KEYWORD, false},
        {"event.dataset", KEYWORD, false},
        {"event.id", KEYWORD, false},
        {"event.severity", LONG, false},
        {"event.duration", LONG, false},
        {"event.start", DATE, false},
        {"event.end", DATE, false},
        {"rule.name", KEYWORD, false},
        {"rule.id", KEYWORD, false},
        {"threat.framework", KEYWORD, false},
        {"threat.technique.id", KEYWORD, true},
        {"threat.technique.name", KEYWORD, true},
        {"threat.tactic.id", KEYWORD, true},
        {"threat.tactic.name", KEYWORD, true},
        {"network.type", KEYWORD, false},
        {"network.transport", KEYWORD, false},
        {"network.iana_number", KEYWORD, false},
        {"network.community_id", KEYWORD, false},
        {"network.direction", KEYWORD, false},
        {"network.packets", LONG, false},
        {"network.bytes", LONG, false},
        {"host.name", KEYWORD, false},
        {"observer.type", KEYWORD, false},
        {"observer.product", KEYWORD, false},
        {"observer.hostname", KEYWORD, false},
        {"source.ip", IP, false},
        {"source.port", LONG, false},
        {"source.packets", LONG, false},
        {"source.bytes", LONG, false},
        {"destination.ip", IP, false},
        {"destination.port", LONG, false},
        {"destination.packets", LONG, false},
        {"destination.bytes", LONG, false},
};

static bool is_date(const char *text)
{
	int year, month, day, hour, minute, second, milli, end = 0;

	return sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &year, &month, &day, &hour, &minute,
	              &second, &milli, &end) == 7 &&
	       end == 24 && text[end] == '\0';
}

static void check_leaf(const char *name, const json_t *value, bool in_array)
{
	const struct ecs_field *field = NULL;

	for (size_t i = 0; i < BASE_COUNT(ecs_fields); i++)
		if (strcmp(ecs_fields[i].name, name) == 0)
			field = &ecs_fields[i];
	ck_assert_msg(field != NULL, "%s is no ECS field", name);
	ck_assert_msg(field->many == in_array, "%s: an array or not", name);
	ck_assert_msg(field->type == LONG ? json_is_integer(value) : json_is_string(value),
	              "%s has the wrong type", name);
	if (field->type == DATE)
		ck_assert_msg(is_date(json_string_value(value)), "%s: %s", name,
		              json_string_value(value));
	if (field->type == IP)
		ck_assert_msg(strspn(json_string_value(value), "0123456789abcdef.:") ==
		                      strlen(json_string_value(value)),
		              "%s: %s", name, json_string_value(value));
}

/* All leaves but cordon's own. */
static void check_fields(const char *prefix, json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach(object, key, value)
	{
		char name[128];

		snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "." : "", key);
		if (strcmp(name, "cordon") == 0)
			continue;
		if (json_is_object(value)) {
			check_fields(name, value);
		} else if (json_is_array(value)) {
			ck_assert_uint_gt(json_array_size(value), 0);
			for (size_t i = 0; i < json_array_size(value); i++)
				check_leaf(name, json_array_get(value, i), true);
		} else {
			check_leaf(name, value, false);
		}
	}
}

static const json_t *at(const json_t *json, const char *path)
{
	char copy[128], *save = NULL;

	base_copy_string(copy, sizeof(copy), path);
	for (char *part = strtok_r(copy, ".", &save); part; part = strtok_r(NULL, ".", &save))
		json = json_object_get(json, part);
	return json;
}

static const char *text_at(const json_t *json, const char *path)
{
	const json_t *value = at(json, path);

	if (json_is_array(value))
		value = json_array_get(value, 0);
	return json_string_value(value) ? json_string_value(value) : "(none)";
}

static struct alert alert_new(uint8_t family)
{
	struct alert alert = {.stage = ALERT_NEW,
	                      .severity = ALERT_MEDIUM,
	                      .confidence = 95,
	                      .rule = "scan.vertical",
	                      .technique = "T1046",
	                      .technique_name = "Network Service Discovery",
	                      .tactic = "TA0007",
	                      .tactic_name = "Discovery",
	                      .id = "0123456789abcdef-00060000",
	                      .sentence = "tried 15 ports of 10.0.0.5 in 1 s",
	                      .family = family,
	                      .proto = 6,
	                      .ports = 15,
	                      .hosts = 1,
	                      .failed = 15,
	                      .refused = 15,
	                      .first_ns = TIME,
	                      .last_ns = TIME + 1000000000,
	                      .flow_count = 2};

	memcpy(alert.source, (uint8_t[]){10, 0, 0, 2}, 4);
	memcpy(alert.target, (uint8_t[]){10, 0, 0, 5}, 4);
	for (size_t i = 0; i < alert.flow_count; i++) {
		struct flow_key *key = &alert.flows[i];

		memcpy(key->guest, alert.source, 16);
		memcpy(key->peer, alert.target, 16);
		key->guest_port = 40000;
		key->peer_port = (uint16_t)(80 + i);
		key->proto = 6;
		key->family = family;
	}
	return alert;
}

static const struct alert_subject subject = {.vm = "web0",
                                             .policy_line = 12,
                                             .respond = POLICY_RESPOND_ALERT |
                                                        POLICY_RESPOND_QUARANTINE,
                                             .observer = "host1",
                                             .suppressed = 3};

START_TEST(json_is_ecs)
{
	static const uint8_t families[] = {FLOW_IPV4, FLOW_IPV6, FLOW_ARP};

	for (size_t i = 0; i < BASE_COUNT(families); i++) {
		struct alert alert = alert_new(families[i]);
		json_t *json = alert_json(&alert, &subject);

		ck_assert_ptr_nonnull(json);
		check_fields("", json);
		json_decref(json);
		memset(alert.target, 0, sizeof(alert.target)); /* many hosts */
		alert.port = 22;
		json = alert_json(&alert, &subject);
		check_fields("", json);
		ck_assert_str_eq(text_at(json, "destination.ip"), "(none)");
		ck_assert_int_eq((int)json_integer_value(at(json, "destination.port")), 22);
		json_decref(json);
	}
}
END_TEST

START_TEST(json_values)
{
	struct alert alert = alert_new(FLOW_IPV4);
	json_t *json = alert_json(&alert, &subject);
	char id[COMMUNITY_ID_MAX];

	ck_assert_str_eq(text_at(json, "@timestamp"), "2025-06-15T15:06:41.123Z");
	ck_assert_str_eq(text_at(json, "event.start"), "2025-06-15T15:06:40.123Z");
	ck_assert_str_eq(text_at(json, "event.kind"), "alert");
	ck_assert_str_eq(text_at(json, "event.category"), "network");
	ck_assert_str_eq(text_at(json, "event.type"),
	                 "info"); /* allowed for network and intrusion_detection */
	ck_assert_int_eq((int)json_integer_value(at(json, "event.severity")), 47);
	ck_assert_str_eq(text_at(json, "threat.framework"), "MITRE ATT&CK");
	ck_assert_str_eq(text_at(json, "threat.technique.id"), "T1046");
	ck_assert_str_eq(text_at(json, "network.transport"), "tcp");
	ck_assert_str_eq(text_at(json, "network.iana_number"), "6");
	ck_assert_str_eq(text_at(json, "host.name"), "web0");
	ck_assert_str_eq(text_at(json, "observer.hostname"), "host1");
	ck_assert_str_eq(text_at(json, "message"), "web0 tried 15 ports of 10.0.0.5 in 1 s");
	ck_assert_int_eq(community_id(&alert.flows[0], 0, id), 0);
	ck_assert_str_eq(text_at(json, "network.community_id"), id);
	ck_assert_uint_eq(json_array_size(at(json, "cordon.evidence.community_ids")), 2);
	ck_assert_int_eq((int)json_integer_value(at(json, "cordon.policy_line")), 12);
	ck_assert_int_eq((int)json_integer_value(at(json, "cordon.suppressed")), 3);
	ck_assert_uint_eq(json_array_size(at(json, "cordon.respond")), 2);
	json_decref(json);
}
END_TEST

START_TEST(severities)
{
	static const struct {
		enum alert_severity severity;
		int ecs;
		const char *pri; /* facility 10 */
	} levels[] = {{ALERT_LOW, 21, "<85>1 "},
	              {ALERT_MEDIUM, 47, "<84>1 "},
	              {ALERT_HIGH, 73, "<83>1 "},
	              {ALERT_CRITICAL, 99, "<82>1 "}};

	for (size_t i = 0; i < BASE_COUNT(levels); i++) {
		struct alert alert = alert_new(FLOW_IPV4);
		char text[2048];
		json_t *json;

		alert.severity = levels[i].severity;
		json = alert_json(&alert, &subject);
		ck_assert_int_eq((int)json_integer_value(at(json, "event.severity")),
		                 levels[i].ecs);
		json_decref(json);
		alert_syslog(&alert, &subject, text, sizeof(text));
		ck_assert_msg(strncmp(text, levels[i].pri, 6) == 0, "%s", text);
	}
}
END_TEST

/* One space-delimited field of the header: printable ASCII, 1 to `max` characters. */
static const char *header_field(const char *at_field, size_t max, const char *expected)
{
	size_t n = strcspn(at_field, " ");

	ck_assert_uint_ge(n, 1);
	ck_assert_uint_le(n, max);
	for (size_t i = 0; i < n; i++)
		ck_assert(at_field[i] > 32 && at_field[i] < 127);
	if (expected) {
		ck_assert_uint_eq(n, strlen(expected));
		ck_assert_mem_eq(at_field, expected, n);
	}
	ck_assert_int_eq(at_field[n], ' ');
	return at_field + n + 1;
}

/* The end of one SD-ELEMENT, by RFC 5424, 6.3. */
static const char *sd_element(const char *text)
{
	size_t n;

	ck_assert_int_eq(*text++, '[');
	n = strcspn(text, " ]=\"");
	ck_assert(n > 0 && n <= 32);
	for (text += n; *text == ' ';) {
		n = strcspn(++text, " ]=\"");
		ck_assert(n > 0 && n <= 32);
		text += n;
		ck_assert_int_eq(*text++, '=');
		ck_assert_int_eq(*text++, '"');
		for (; *text != '"'; text++) {
			ck_assert_int_ne(*text, '\0');
			ck_assert_int_ne(*text, ']');
			if (*text == '\\')
				ck_assert_ptr_nonnull(memchr("\"\\]", *++text, 3));
		}
		text++;
	}
	ck_assert_int_eq(*text, ']');
	return text + 1;
}

START_TEST(syslog_is_rfc5424)
{
	struct alert_subject hostile = subject;
	struct alert alert = alert_new(FLOW_IPV4);
	char text[2048], id[COMMUNITY_ID_MAX];
	const char *rest = text;
	size_t n;

	hostile.vm = "a\"b]c\\d";
	hostile.observer = "bad host\n\xff";
	n = alert_syslog(&alert, &hostile, text, sizeof(text));
	ck_assert_uint_eq(n, strlen(text));
	rest = header_field(rest, 8, "<84>1");
	rest = header_field(rest, 35, "2025-06-15T15:06:41.123Z");
	rest = header_field(rest, 255, "bad?host??");
	rest = header_field(rest, 48, "cordon");
	rest = header_field(rest, 128, "-");
	rest = header_field(rest, 32, "scan.vertical");
	rest = sd_element(rest);
	ck_assert_int_eq(*rest, ' ');
	ck_assert_ptr_nonnull(strstr(rest, alert.sentence));
	ck_assert_ptr_nonnull(strstr(text, " vm=\"a\\\"b\\]c\\\\d\""));
	ck_assert_ptr_nonnull(strstr(text, " src=\"10.0.0.2\" dst=\"10.0.0.5\""));
	ck_assert_ptr_nonnull(strstr(text, " suppressed=\"3\""));
	community_id(&alert.flows[0], 0, id);
	ck_assert_ptr_nonnull(strstr(text, id));
	ck_assert_ptr_null(strchr(text, '\n'));
}
END_TEST

START_TEST(syslog_without_what_is_not_known)
{
	struct alert_subject nobody = subject;
	struct alert alert = alert_new(FLOW_ARP);
	char text[2048];

	nobody.observer = "";
	nobody.suppressed = 0;
	memset(alert.target, 0, sizeof(alert.target));
	alert_syslog(&alert, &nobody, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "Z - cordon - "));
	ck_assert_ptr_null(strstr(text, "dst="));
	ck_assert_ptr_null(strstr(text, "port="));
	ck_assert_ptr_null(strstr(text, "communityId"));
	ck_assert_ptr_null(strstr(text, "suppressed"));
}
END_TEST

START_TEST(syslog_stays_in_its_buffer)
{
	struct alert alert = alert_new(FLOW_IPV4);
	char text[512];

	memset(alert.sentence, 'x', sizeof(alert.sentence) - 1);
	for (size_t size = 1; size < sizeof(text); size++) {
		size_t n;

		memset(text, '~', sizeof(text));
		n = alert_syslog(&alert, &subject, text, size);
		ck_assert_uint_lt(n, size);
		ck_assert_ptr_nonnull(memchr(text, '\0', size));
		ck_assert_int_eq(text[size], '~');
	}
}
END_TEST

START_TEST(addresses)
{
	static const uint8_t v6[16] = {0xfd, 0x77, [15] = 2};
	char text[46];

	alert_address(text, (uint8_t[16]){255, 0, 1, 2}, FLOW_IPV4);
	ck_assert_str_eq(text, "255.0.1.2");
	alert_address(text, (uint8_t[16]){10, 0, 0, 1}, FLOW_ARP);
	ck_assert_str_eq(text, "10.0.0.1");
	alert_address(text, v6, FLOW_IPV6);
	ck_assert_str_eq(text, "fd77::2");
	memset(text, 0, sizeof(text));
	alert_time(text, 0);
	ck_assert_str_eq(text, "1970-01-01T00:00:00.000Z");
}
END_TEST

START_TEST(flows_are_ecs)
{
	static const uint8_t protocols[] = {1, 6, 17, 47, 58, 132};

	for (size_t i = 0; i < BASE_COUNT(protocols) * 2; i++) {
		struct alert alert = alert_new(FLOW_IPV4);
		struct flow_record record = {.key = alert.flows[0],
		                             .first_ns = 5,
		                             .last_ns = 1000000005,
		                             .flags = i % 2 ? FLOW_FLAG_PEER_OPENED : 0,
		                             .outcome = (uint8_t)(i % 8)};
		json_t *json;

		record.key.proto = protocols[i / 2];
		record.sides[FLOW_GUEST].packets = 3;
		record.sides[FLOW_PEER].bytes = 1ull << 40;
		json = alert_flow_json(&record, "web0", TIME, NULL);
		ck_assert_ptr_nonnull(json);
		check_fields("", json);
		ck_assert_str_eq(text_at(json, i % 2 ? "destination.ip" : "source.ip"), "10.0.0.2");
		ck_assert_int_eq((int)json_integer_value(at(json, "event.duration")), 1000000000);
		ck_assert(json_integer_value(at(json, "network.bytes")) == 1ll << 40);
		json_decref(json);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor_alert");
	TCase *tests = tcase_create("alert");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tests, json_is_ecs);
	tcase_add_test(tests, json_values);
	tcase_add_test(tests, severities);
	tcase_add_test(tests, syslog_is_rfc5424);
	tcase_add_test(tests, syslog_without_what_is_not_known);
	tcase_add_test(tests, syslog_stays_in_its_buffer);
	tcase_add_test(tests, addresses);
	tcase_add_test(tests, flows_are_ecs);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
