/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An alert as CEF, OCSF and in syslog frames: the fields and numbers of each form, and that hostile text in any of
 * them ends no field, no line and no message.
 */
#include <check.h>
#include <jansson.h>

#include "base/base.h"
#include "monitor/alert_forms.h"

static struct alert_view view;

static void setup(void)
{
	view = (struct alert_view){.id = "web0-17",
	                           .rule = "scan.vertical",
	                           .stage = "new",
	                           .message = "web0 tried 15 ports of 10.0.0.5",
	                           .severity = ALERT_HIGH,
	                           .confidence = 90,
	                           .vm = "web0",
	                           .observer = "host1",
	                           .technique = "T1046",
	                           .technique_name = "Network Service Discovery",
	                           .tactic = "TA0007",
	                           .tactic_name = "Discovery",
	                           .source = "10.77.0.2",
	                           .target = "10.0.0.5",
	                           .port = 443,
	                           .proto = 6,
	                           .first_ns = 1700000000000000000,
	                           .last_ns = 1700000001500000000,
	                           .suppressed = 3};
}

START_TEST(cef_fields)
{
	char text[ALERT_CEF_MAX];

	ck_assert_uint_eq(alert_cef(&view, text, sizeof(text)), strlen(text));
	ck_assert_str_eq(text, "CEF:0|cordon|cordon|" CORDON_VERSION
	                       "|scan.vertical|Network Service Discovery|8|rt=1700000001500 "
	                       "start=1700000000000 end=1700000001500 cnt=1 externalId=web0-17 "
	                       "shost=web0 dvchost=host1 src=10.77.0.2 dst=10.0.0.5 dpt=443 "
	                       "proto=TCP cs1Label=technique cs1=T1046 cs2Label=tactic cs2=TA0007 "
	                       "cs3Label=stage cs3=new cn1Label=confidence cn1=90 "
	                       "cn2Label=suppressed cn2=3 msg=web0 tried 15 ports of 10.0.0.5");
	view.source = "fd77::2";
	view.target = "";
	view.severity = ALERT_CRITICAL;
	alert_cef(&view, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "|10|rt="));
	ck_assert_ptr_nonnull(strstr(text, " c6a2Label=Source IPv6 Address c6a2=fd77::2 dpt=443"));
}
END_TEST

START_TEST(cef_hostile)
{
	char text[ALERT_CEF_MAX], small[64];

	view.technique_name = "a|b\\c\nd=e";
	view.message = "x=1 src\\=y\r\nCEF:0|f|\x01\xff";
	view.vm = "a b=c";
	alert_cef(&view, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "|a\\|b\\\\c?d=e|8|"));
	ck_assert_ptr_nonnull(strstr(text, " msg=x\\=1 src\\\\\\=y\\r\\nCEF:0|f|??"));
	ck_assert_ptr_nonnull(strstr(text, " shost=a b\\=c "));
	ck_assert_ptr_null(strchr(text, '\n'));
	ck_assert_uint_eq(alert_cef(&view, small, sizeof(small)), sizeof(small) - 1);
	ck_assert_uint_eq(strlen(small), sizeof(small) - 1);
}
END_TEST

static json_int_t number(const json_t *json, const char *key)
{
	ck_assert(json_is_integer(json_object_get(json, key)));
	return json_integer_value(json_object_get(json, key));
}

START_TEST(ocsf_fields)
{
	json_t *json = alert_ocsf(&view), *finding, *evidence;

	ck_assert_ptr_nonnull(json);
	ck_assert_int_eq((int)number(json, "class_uid"), 2004);
	ck_assert_int_eq((int)number(json, "category_uid"), 2);
	ck_assert_int_eq((int)number(json, "type_uid"), 200401);
	ck_assert_int_eq((int)number(json, "severity_id"), 4);
	ck_assert_int_eq((int)number(json, "confidence_id"), 3);
	ck_assert(number(json, "time") == 1700000001500);
	finding = json_object_get(json, "finding_info");
	ck_assert_str_eq(json_string_value(json_object_get(finding, "uid")), "web0-17");
	ck_assert_uint_eq(json_array_size(json_object_get(finding, "attacks")), 1);
	evidence = json_array_get(json_object_get(json, "evidences"), 0);
	ck_assert_int_eq((int)number(json_object_get(evidence, "dst_endpoint"), "port"), 443);
	json_decref(json);
	view.stage = "end";
	view.technique = NULL;
	json = alert_ocsf(&view);
	ck_assert_int_eq((int)number(json, "activity_id"), 3);
	ck_assert_int_eq((int)number(json, "status_id"), 4);
	ck_assert_ptr_null(json_object_get(json_object_get(json, "finding_info"), "attacks"));
	json_decref(json);
}
END_TEST

static char *form(enum policy_sink_type type, enum policy_sink_format format)
{
	const struct policy_sink sink = {.type = type, .format = format};

	return alert_form(&view, &sink, "{\"ecs\":1}", "<83>1 syslog");
}

START_TEST(which_form_a_sink_gets)
{
	BASE_AUTO_FREE char *plain = form(POLICY_SINK_SYSLOG_TLS, POLICY_FORMAT_SYSLOG);
	BASE_AUTO_FREE char *line = form(POLICY_SINK_FILE, POLICY_FORMAT_ECS);
	BASE_AUTO_FREE char *framed = form(POLICY_SINK_SYSLOG_TCP, POLICY_FORMAT_ECS);
	BASE_AUTO_FREE char *cef = form(POLICY_SINK_SYSLOG_UDP, POLICY_FORMAT_CEF);
	BASE_AUTO_FREE char *ocsf = form(POLICY_SINK_HTTPS, POLICY_FORMAT_OCSF);

	ck_assert_str_eq(plain, "<83>1 syslog");
	ck_assert_str_eq(line, "{\"ecs\":1}");
	ck_assert_str_eq(framed, "<83>1 2023-11-14T22:13:21.500Z host1 cordon - scan.vertical - "
	                         "{\"ecs\":1}");
	ck_assert_ptr_nonnull(strstr(cef, " scan.vertical - CEF:0|cordon|"));
	ck_assert_int_eq(ocsf[0], '{');
	ck_assert_ptr_null(strchr(ocsf, '\n'));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor_forms");
	TCase *tests = tcase_create("forms");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, NULL);
	tcase_add_test(tests, cef_fields);
	tcase_add_test(tests, cef_hostile);
	tcase_add_test(tests, ocsf_fields);
	tcase_add_test(tests, which_form_a_sink_gets);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
