/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Couriers with real receivers, on the loopback: rsyslog over UDP, TCP and TLS with certificates of both sides. Each is killed while alerts come, and so is the courier; when they are
 * back, every alert is there once, in order. A receiver that is not installed is a test that is skipped.
 */
#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/base.h"
#include "cordon/courier.h"
#include "monitor/spool.h"
#include "receivers_fixture.h"

static void rsyslog_configure(const char *input)
{
	char path[96];
	BASE_AUTO_FILE FILE *out = fopen("rsyslog.conf", "we");

	ck_assert_ptr_nonnull(out);
	snprintf(path, sizeof(path), "%s/out", receivers.folder);
	fprintf(out,
	        "global(workDirectory=\"%s\" maxMessageSize=\"64k\" "
	        "defaultNetstreamDriverCAFile=\"%s/ca.pem\" "
	        "defaultNetstreamDriverCertFile=\"%s/siem.pem\" "
	        "defaultNetstreamDriverKeyFile=\"%s/siem.key\")\n%s"
	        "template(name=\"lines\" type=\"string\" string=\"%%msg%%\\n\")\n"
	        "action(type=\"omfile\" file=\"%s\" template=\"lines\")\n",
	        receivers.folder, receivers.folder, receivers.folder, receivers.folder, input,
	        path);
}

/* It listens when something can connect; over UDP, when it has made its pid file. */
static void rsyslog_start(void)
{
	char conf[96], pid[96];
	const char *argv[] = {"rsyslogd", "-n", "-f", conf, "-i", pid, NULL};
	struct stat facts;

	snprintf(conf, sizeof(conf), "%s/rsyslog.conf", receivers.folder);
	snprintf(pid, sizeof(pid), "%s/rsyslog.pid", receivers.folder);
	unlink(pid);
	receivers.pid = receivers_run(argv);
	for (int i = 0; i < RECEIVERS_WAIT_MS / 20 && stat(pid, &facts) < 0; i++)
		poll(NULL, 0, 20);
	ck_assert_msg(stat(pid, &facts) == 0, "rsyslog does not start");
}

static bool rsyslog_has(const char *plugin)
{
	char command[256];
	const char *argv[] = {"sh", "-c", command, NULL};

	snprintf(command, sizeof(command),
	         "command -v rsyslogd && command -v openssl && ls /usr/lib/*/rsyslog/%s", plugin);
	if (receivers_run_wait(argv) == 0)
		return true;
	fprintf(stderr, "cordon_receivers: skipped: no rsyslog with %s here\n", plugin);
	return false;
}

START_TEST(rsyslog_udp)
{
	struct policy_sink sink = receivers_sink(POLICY_SINK_SYSLOG_UDP);
	char input[256];

	snprintf(input, sizeof(input),
	         "module(load=\"imudp\")\ninput(type=\"imudp\" address=\"127.0.0.1\" port=\"%u\" "
	         "rcvbufSize=\"1m\")\n",
	         receivers.port);
	rsyslog_configure(input);
	receivers_outage(&sink, rsyslog_start, SIGTERM);
}
END_TEST

START_TEST(rsyslog_tcp)
{
	struct policy_sink sink = receivers_sink(POLICY_SINK_SYSLOG_TCP);
	char input[256];

	snprintf(input, sizeof(input),
	         "module(load=\"imtcp\")\ninput(type=\"imtcp\" address=\"127.0.0.1\" "
	         "port=\"%u\")\n",
	         receivers.port);
	rsyslog_configure(input);
	receivers_outage(&sink, rsyslog_start, SIGTERM);
}
END_TEST

static void rsyslog_tls_configure(void)
{
	char input[512];

	receivers_certificates();
	snprintf(input, sizeof(input),
	         "module(load=\"imtcp\" streamDriver.name=\"ossl\" streamDriver.mode=\"1\" "
	         "streamDriver.authMode=\"x509/name\" permittedPeer=[\"courier.test\"])\n"
	         "input(type=\"imtcp\" address=\"127.0.0.1\" port=\"%u\")\n",
	         receivers.port);
	rsyslog_configure(input);
}

START_TEST(rsyslog_tls)
{
	struct policy_sink sink = receivers_sink(POLICY_SINK_SYSLOG_TLS);

	rsyslog_tls_configure();
	receivers_tls(&sink, "courier", "siem.test");
	receivers_outage(&sink, rsyslog_start, SIGTERM);
}
END_TEST

/* A receiver that is somebody else gets nothing; the one that is meant, gets what is its. */
START_TEST(rsyslog_of_another_name)
{
	struct policy_sink sink = receivers_sink(POLICY_SINK_SYSLOG_TLS), right;

	rsyslog_tls_configure();
	rsyslog_start();
	right = sink;
	receivers_tls(&sink, "courier", "other.test");
	BASE_AUTO_FD int wrong_name = receivers_open(&sink);
	receivers_append(wrong_name, 0, 10);
	ck_assert(receivers_wait(HOST_LOG_DIR "/monitor.messages",
	                         "the receiver's certificate is not accepted: hostname mismatch"));
	receivers_tls(&right, "courier", "siem.test");
	BASE_AUTO_FD int inbox = receivers_open(&right);
	receivers_append(inbox, 20, 21);
	ck_assert(receivers_wait("out", "alert-0020."));
	ck_assert_ptr_null(strstr(receivers_content("out"), "alert-000"));
}
END_TEST

/* What a sink's files are wrong in is said when it is opened. */
START_TEST(files_that_cannot_be_used)
{
	struct policy_sink sink = receivers_sink(POLICY_SINK_SYSLOG_TLS);
	struct host_error error = {0};

	snprintf(sink.ca, sizeof(sink.ca), "%s/nothing.pem", receivers.folder);
	ck_assert_int_lt(courier_open(&sink, &error), 0);
	ck_assert_ptr_nonnull(strstr(error.text, "cannot use the CA /tmp/"));
	host_error_clear(&error);
	sink = receivers_sink(POLICY_SINK_HTTP);
	receivers_shell("printf 'a\\nb\\n' >token");
	snprintf(sink.token, sizeof(sink.token), "%s/token", receivers.folder);
	ck_assert_int_lt(courier_open(&sink, &error), 0);
	ck_assert_ptr_nonnull(strstr(error.text, "/token is no token (expected one line"));
	host_error_clear(&error);
	memset(&sink, 0, sizeof(sink));
	sink.type = POLICY_SINK_FILE;
	sink.spool = 1 << 20;
	snprintf(sink.target, sizeof(sink.target), "%s/nowhere/out", receivers.folder);
	ck_assert_int_lt(courier_open(&sink, &error), 0);
	ck_assert_ptr_nonnull(strstr(error.text, "/nowhere/out: No such file or directory"));
	host_error_clear(&error);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cordon_receivers");
	TCase *tests = tcase_create("receivers");
	bool rsyslog = rsyslog_has("lmnsd_ossl.so");
	int status;

	tcase_add_checked_fixture(tests, receivers_setup, receivers_teardown);
	tcase_set_timeout(tests, 100);
	if (rsyslog) {
		tcase_add_test(tests, rsyslog_udp);
		tcase_add_test(tests, rsyslog_tcp);
		tcase_add_test(tests, rsyslog_tls);
		tcase_add_test(tests, rsyslog_of_another_name);
	}
	tcase_add_test(tests, files_that_cannot_be_used);
	suite_add_tcase(suite, tests);
	status = receivers_main("cordon_receivers", suite);
	return status == 0 && !rsyslog ? RECEIVERS_SKIP : status;
}
