/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is written as Elastic Common Schema is of it: alerts of every stage, family and protocol, with all that an
 * alert may have, and the flows of every kind of conversation. The detectors' own tests check each alert of
 * theirs in the same way (monitor_fixture.h), and so do those of the host's alerts and of cordon-analyze.
 */
#include "bpf/flowtable.h"
#include "bpf_frames.h"
#include "ecs.h"
#include "monitor_fixture.h"

static struct alert whole(uint8_t family, uint8_t proto, enum alert_stage stage)
{
	struct alert alert = {.stage = stage,
	                      .detector = DETECTOR_SCAN,
	                      .severity = ALERT_HIGH,
	                      .confidence = 90,
	                      .rule = "scan.vertical",
	                      .technique = "T1046",
	                      .technique_name = "Network Service Discovery",
	                      .tactic = "TA0007",
	                      .tactic_name = "Discovery",
	                      .id = "0123-4567",
	                      .sentence = "tried 20 ports",
	                      .family = family,
	                      .source = {10, 0, 0, 2},
	                      .target = {10, 0, 0, 5},
	                      .port = 443,
	                      .proto = proto,
	                      .ports = 20,
	                      .hosts = 1,
	                      .ja4 = "t13d1516h2_8daaf6152771_b186095e22b6",
	                      .first_ns = START,
	                      .last_ns = START + SECOND};

	alert_fact(&alert, "bytes_out", UINT64_MAX / 4);
	alert_name(&alert, (const uint8_t *)"a\xff\"\\\n.example", 13);
	for (size_t i = 0; i < ALERT_FLOWS_MAX; i++) {
		struct flow_event event = event_make(FLOW_EVENT_NEW, proto, HOST, 443, START);

		alert.flows[alert.flow_count] = event.record.key;
		alert.flows[alert.flow_count++].family = family;
	}
	return alert;
}

START_TEST(alerts)
{
	static const uint8_t families[] = {FLOW_IPV4, FLOW_IPV6, FLOW_ARP};

	for (size_t f = 0; f < BASE_COUNT(families); f++)
		for (unsigned int proto = 0; proto < 256; proto++)
			for (int stage = ALERT_NEW; stage <= ALERT_END; stage++) {
				struct alert alert =
				        whole(families[f], (uint8_t)proto, (enum alert_stage)stage);

				ecs_assert_alert(&alert);
			}
}
END_TEST

/* Of many, or of nobody. */
START_TEST(alerts_of_little)
{
	struct alert alert = whole(FLOW_IPV4, TCP, ALERT_NEW);

	memset(alert.target, 0, sizeof(alert.target));
	ecs_assert_alert(&alert);
	alert.port = 0;
	memset(alert.source, 0, sizeof(alert.source));
	alert.flow_count = alert.fact_count = alert.ports = alert.hosts = 0;
	alert.name[0] = alert.ja4[0] = '\0';
	ecs_assert_alert(&alert);
}
END_TEST

static int flow(const struct flow_record *record, void *data)
{
	json_t *json = alert_flow_json(record, "web0", START, NULL);

	ecs_assert(json);
	json_decref(json);
	++*(size_t *)data;
	return 0;
}

START_TEST(flows_of_all_kinds)
{
	static struct frame frames[512];
	const size_t count = frame_conversations(frames, BASE_COUNT(frames));
	struct flowtable *table;
	size_t flows = 0;

	ck_assert_int_eq(flowtable_open(&table, 1024, 1, NULL, NULL), 0);
	for (size_t i = 0; i < count; i++)
		flowtable_packet(table, frames[i].bytes, frames[i].size, frames[i].size,
		                 frames[i].side == FLOW_GUEST ? FLOWTABLE_GUEST : FLOWTABLE_PEER,
		                 SECOND + i * 1000);
	flowtable_each(table, flow, &flows);
	ck_assert_uint_gt(flows, 10);
	flowtable_close(table);
}
END_TEST

/* The table says no. */
START_TEST(what_is_wrong)
{
	static const struct {
		const char *path[3];
		const char *value, *why;
	} cases[] = {
	        {{"event", "severity", NULL}, "\"47\"", "event.severity has a value"},
	        {{"event", "category", NULL}, "\"network\"", "event.category has a value"},
	        {{"event", "category", NULL}, "[\"net\"]", "event.category has a value"},
	        {{"event", "start", NULL}, "\"2026-01-31 12:34:56\"", "event.start has a value"},
	        {{"source", "ip", NULL}, "\"10.0.0\"", "source.ip has a value"},
	        {{"source", "port", NULL}, "4.5", "source.port has a value"},
	        {{"network", "iana_number", NULL}, "6", "network.iana_number has a value"},
	        {{"event", "colour", NULL}, "\"red\"", "event.colour is no field"},
	        {{"cordon", "evidence", "targets"}, "\"9\"", "cordon.evidence.targets has"},
	        {{"cordon", "evidence", NULL}, "9", "cordon.evidence is no field"},
	};

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		const struct alert_subject subject = {.vm = "web0", .observer = "host1"};
		struct alert alert = whole(FLOW_IPV4, TCP, ALERT_NEW);
		json_t *json = alert_json(&alert, &subject), *at = json;
		char why[ECS_WHY_MAX] = "";
		size_t depth = cases[i].path[2] ? 2 : 1;

		for (size_t d = 0; d < depth; d++)
			at = json_object_get(at, cases[i].path[d]);
		ck_assert_int_eq(
		        json_object_set_new(at, cases[i].path[depth],
		                            json_loads(cases[i].value, JSON_DECODE_ANY, NULL)),
		        0);
		ck_assert_int_eq(ecs_check(json, why), -EINVAL);
		ck_assert_msg(strncmp(why, cases[i].why, strlen(cases[i].why)) == 0, "%s", why);
		json_decref(json);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor_ecs");
	TCase *tests = tcase_create("ecs");

	tcase_add_test(tests, alerts);
	tcase_add_test(tests, alerts_of_little);
	tcase_add_test(tests, flows_of_all_kinds);
	tcase_add_test(tests, what_is_wrong);
	suite_add_tcase(suite, tests);
	return suite_run(suite);
}
