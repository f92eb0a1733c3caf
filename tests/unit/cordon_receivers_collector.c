/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Couriers with a collector of the tests' own: HTTP and HTTPS with certificates of both sides, and every transport over
 * IPv6. It is killed while alerts come, and so is the courier: every alert arrives once, in order.
 */
#include <check.h>
#include <signal.h>

#include "base/base.h"
#include "cordon/courier.h"
#include "receivers_collector.h"

static const struct {
	enum policy_sink_type type;
	bool v6;
} transports[] = {
        {POLICY_SINK_HTTP, false},      {POLICY_SINK_HTTPS, false},
        {POLICY_SINK_HTTP, true},       {POLICY_SINK_HTTPS, true},
        {POLICY_SINK_SYSLOG_UDP, true}, {POLICY_SINK_SYSLOG_TCP, true},
        {POLICY_SINK_SYSLOG_TLS, true},
};

START_TEST(an_outage)
{
	struct policy_sink sink = collector_sink(transports[_i].type, transports[_i].v6);

	receivers_outage(&sink, collector_start, SIGKILL);
}
END_TEST

/* A collector with a right certificate of another name gets nothing, and neither does one that another CA has signed. */
START_TEST(https_of_somebody_else)
{
	struct policy_sink sink = collector_sink(POLICY_SINK_HTTPS, false), other = sink;

	base_copy_string(other.peer, sizeof(other.peer), "other.test");
	collector_start();
	BASE_AUTO_FD int wrong = receivers_open(&other);
	receivers_append(wrong, 0, 5);
	ck_assert(receivers_wait(HOST_LOG_DIR "/monitor.messages",
	                         "no alternative certificate subject name matches"));
	receivers_shell(
	        "cp ca.pem right.pem; openssl req -newkey ec -pkeyopt "
	        "ec_paramgen_curve:P-256 -nodes -x509 -days 2 -subj /CN=ca -keyout x.key -out "
	        "stranger.pem");
	other = sink;
	snprintf(other.ca, sizeof(other.ca), "%s/stranger.pem", receivers.folder);
	BASE_AUTO_FD int stranger = receivers_open(&other);
	receivers_append(stranger, 5, 10);
	ck_assert(receivers_wait(HOST_LOG_DIR "/monitor.messages", "SSL certificate problem"));
	BASE_AUTO_FD int right = receivers_open(&sink);
	receivers_append(right, 20, 21);
	ck_assert(receivers_wait("out", "alert-0020."));
	ck_assert_ptr_null(strstr(receivers_content("out"), "alert-000"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cordon_receivers_collector");
	TCase *tests = tcase_create("receivers");

	tcase_add_checked_fixture(tests, receivers_setup, receivers_teardown);
	tcase_set_timeout(tests, 100);
	tcase_add_loop_test(tests, an_outage, 0, BASE_COUNT(transports));
	tcase_add_test(tests, https_of_somebody_else);
	suite_add_tcase(suite, tests);
	return receivers_main("cordon_receivers_collector", suite);
}
