/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Couriers with real receivers, on the loopback: rsyslog over UDP, TCP and TLS with certificates of both sides, and
 * a collector of this test's own over HTTP. Each is killed while alerts come, and so is the courier; when they are
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
#include <sys/wait.h>

#include "base/base.h"
#include "cordon/courier.h"
#include "monitor/spool.h"

enum { ALERTS = 1000, WAIT_MS = 60000, SKIP = 77 };

static char folder[64];
static uint16_t port;
static pid_t receiver;
static char text[4 << 20];

static pid_t run(const char *const *argv)
{
	pid_t child = fork();

	if (child == 0) {
		int null = open("/dev/null", O_RDWR);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	return child;
}

static int run_wait(const char *const *argv)
{
	int status;
	pid_t child = run(argv);

	return child > 0 && waitpid(child, &status, 0) == child ? status : -1;
}

/* Through the shell: it is the fixture's own words. */
static void shell(const char *command)
{
	const char *argv[] = {"sh", "-e", "-c", command, NULL};

	ck_assert_msg(run_wait(argv) == 0, "%s", command);
}

static uint16_t free_port(int type)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	BASE_AUTO_FD int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	return ntohs(at.sin_port);
}

static const char *content(const char *path)
{
	BASE_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t n = 1;

	while (fd >= 0 && n > 0 && used < sizeof(text) - 1) {
		n = read(fd, text + used, sizeof(text) - 1 - used);
		used += (size_t)BASE_MAX(n, 0);
	}
	text[used] = '\0';
	return text;
}

static bool wait_for(const char *path, const char *what)
{
	for (int i = 0; i < WAIT_MS / 20; i++, poll(NULL, 0, 20))
		if (strstr(content(path), what))
			return true;
	return false;
}

static void setup(void)
{
	struct host_error error = {0};

	snprintf(folder, sizeof(folder), "/tmp/cordon-receivers-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chdir(folder), 0);
	ck_assert_msg(registry_prepare(&error) == 0, "%s", error.text);
	/* couriers that fork twice become this process's */
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	receiver = 0;
}

static void receiver_kill(int signal_number)
{
	if (receiver <= 0)
		return;
	kill(receiver, signal_number);
	waitpid(receiver, NULL, 0);
	receiver = 0;
}

/* The one child that is no receiver. */
static pid_t courier_pid(void)
{
	char path[64], *at = text;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	content(path);
	for (long pid = strtol(at, &at, 10); pid > 0; pid = strtol(at, &at, 10))
		if (pid != receiver)
			return (pid_t)pid;
	return 0;
}

static void courier_kill(void)
{
	pid_t pid;

	while ((pid = courier_pid()) > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

static void teardown(void)
{
	const char *argv[] = {"rm", "-rf", "--", folder, NULL};

	receiver_kill(SIGKILL);
	courier_kill();
	ck_assert_int_eq(chdir("/"), 0);
	run_wait(argv);
}

/* --- receivers --- */

static void certificates(void)
{
	shell("req() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \"$@\"; }\n"
	      "req -x509 -days 2 -subj /CN=ca -keyout ca.key -out ca.pem\n"
	      "for n in siem courier; do\n"
	      "  req -subj /CN=$n.test -keyout $n.key -out $n.csr\n"
	      "  echo subjectAltName=DNS:$n.test >ext\n"
	      "  openssl x509 -req -in $n.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
	      "-extfile ext -out $n.pem\n"
	      "done");
}

static void rsyslog_configure(const char *input)
{
	char path[96];
	BASE_AUTO_FILE FILE *out = fopen("rsyslog.conf", "we");

	ck_assert_ptr_nonnull(out);
	snprintf(path, sizeof(path), "%s/out", folder);
	fprintf(out,
	        "global(workDirectory=\"%s\" maxMessageSize=\"64k\" "
	        "defaultNetstreamDriverCAFile=\"%s/ca.pem\" "
	        "defaultNetstreamDriverCertFile=\"%s/siem.pem\" "
	        "defaultNetstreamDriverKeyFile=\"%s/siem.key\")\n%s"
	        "template(name=\"lines\" type=\"string\" string=\"%%msg%%\\n\")\n"
	        "action(type=\"omfile\" file=\"%s\" template=\"lines\")\n",
	        folder, folder, folder, folder, input, path);
}

/* It listens when something can connect; over UDP, when it has made its pid file. */
static void rsyslog_start(void)
{
	char conf[96], pid[96];
	const char *argv[] = {"rsyslogd", "-n", "-f", conf, "-i", pid, NULL};
	struct stat facts;

	snprintf(conf, sizeof(conf), "%s/rsyslog.conf", folder);
	snprintf(pid, sizeof(pid), "%s/rsyslog.pid", folder);
	unlink(pid);
	receiver = run(argv);
	for (int i = 0; i < WAIT_MS / 20 && stat(pid, &facts) < 0; i++)
		poll(NULL, 0, 20);
	ck_assert_msg(stat(pid, &facts) == 0, "rsyslog does not start");
}

static bool rsyslog_has(const char *plugin)
{
	char command[256];
	const char *argv[] = {"sh", "-c", command, NULL};

	snprintf(command, sizeof(command),
	         "command -v rsyslogd && command -v openssl && ls /usr/lib/*/rsyslog/%s", plugin);
	if (run_wait(argv) == 0)
		return true;
	fprintf(stderr, "cordon_receivers: skipped: no rsyslog with %s here\n", plugin);
	return false;
}

/* --- what is sent, and what arrived --- */

static struct policy_sink sink_new(enum policy_sink_type type)
{
	struct policy_sink sink;

	memset(&sink, 0, sizeof(sink));
	sink.type = type;
	sink.spool = 16 << 20;
	port = free_port(type == POLICY_SINK_SYSLOG_UDP ? SOCK_DGRAM : SOCK_STREAM);
	snprintf(sink.target, sizeof(sink.target), "127.0.0.1:%u%s", port,
	         type >= POLICY_SINK_HTTP ? "/alerts" : "");
	return sink;
}

static void sink_tls(struct policy_sink *sink, const char *client, const char *peer)
{
	snprintf(sink->ca, sizeof(sink->ca), "%s/ca.pem", folder);
	snprintf(sink->certificate, sizeof(sink->certificate), "%s/%s.pem", folder, client);
	snprintf(sink->key, sizeof(sink->key), "%s/%s.key", folder, client);
	base_copy_string(sink->peer, sizeof(sink->peer), peer);
}

static int open_inbox(const struct policy_sink *sink)
{
	struct host_error error = {0};
	int fd = courier_open(sink, &error);

	ck_assert_msg(fd >= 0, "%s (%s)", error.text, strerror(-fd));
	return fd;
}

static void append(int inbox, unsigned int from, unsigned int to)
{
	for (unsigned int i = from; i < to; i++) {
		char message[256];
		int length =
		        snprintf(message, sizeof(message),
		                 "<84>1 2026-01-31T12:34:56.789Z host cordon - scan.vertical - "
		                 "alert-%04u.",
		                 i);

		ck_assert_int_eq(spool_append(inbox, ALERT_LOW, message, (size_t)length), 0);
	}
}

/* Each of the alerts once, and in order. */
static void check_arrived(void)
{
	char last[32];
	unsigned int next = 0;

	snprintf(last, sizeof(last), "alert-%04u.", ALERTS - 1);
	ck_assert_msg(wait_for("out", last), "not all came; the courier says: %s",
	              content(HOST_LOG_DIR "/monitor.messages"));
	for (const char *at = strstr(content("out"), "alert-"); at; at = strstr(at + 1, "alert-"))
		ck_assert_uint_eq(strtoul(at + 6, NULL, 10), next++);
	ck_assert_uint_eq(next, ALERTS);
}

/* Until the courier knows that so many have arrived: one that is killed before that has to send them again. */
static void wait_delivered(uint64_t count)
{
	static const char *const names[] = {"inbox", "state.0", "state.1"};
	int fds[3];
	glob_t found;
	uint64_t delivered = 0;
	char path[POLICY_PATH_MAX];

	ck_assert_int_eq(glob(HOST_SPOOL_DIR "/*", 0, NULL, &found), 0);
	for (size_t i = 0; i < BASE_COUNT(fds); i++) {
		snprintf(path, sizeof(path), "%s/%s", found.gl_pathv[0], names[i]);
		fds[i] = open(path, O_RDONLY | O_CLOEXEC);
		ck_assert_int_ge(fds[i], 0);
	}
	for (int i = 0; i < WAIT_MS / 20 && delivered < count; i++, poll(NULL, 0, 20)) {
		struct spool *spool = NULL;

		ck_assert_int_eq(spool_open(fds[0], fds + 1, 16 << 20, &spool), 0);
		delivered = spool_delivered(spool);
		spool_close(spool);
	}
	ck_assert_uint_ge(delivered, count);
	for (size_t i = 0; i < BASE_COUNT(fds); i++)
		close(fds[i]);
	globfree(&found);
}

/* A receiver that goes and comes, a courier that dies, and alerts all the time. */
static void outage(const struct policy_sink *sink, void (*start)(void), int signal_number)
{
	BASE_AUTO_FD int inbox = open_inbox(sink);

	start();
	append(inbox, 0, 200);
	ck_assert(wait_for("out", "alert-0199."));
	append(inbox, 200, 250);
	ck_assert(wait_for("out", "alert-0249."));
	wait_delivered(250);
	receiver_kill(signal_number);
	append(inbox, 250, 500);
	courier_kill();
	append(inbox, 500, 750);
	courier_recover();
	append(inbox, 750, 800);
	start();
	append(inbox, 800, ALERTS);
	check_arrived();
}

START_TEST(rsyslog_udp)
{
	struct policy_sink sink = sink_new(POLICY_SINK_SYSLOG_UDP);
	char input[256];

	snprintf(input, sizeof(input),
	         "module(load=\"imudp\")\ninput(type=\"imudp\" address=\"127.0.0.1\" port=\"%u\" "
	         "rcvbufSize=\"1m\")\n",
	         port);
	rsyslog_configure(input);
	outage(&sink, rsyslog_start, SIGTERM);
}
END_TEST

START_TEST(rsyslog_tcp)
{
	struct policy_sink sink = sink_new(POLICY_SINK_SYSLOG_TCP);
	char input[256];

	snprintf(input, sizeof(input),
	         "module(load=\"imtcp\")\ninput(type=\"imtcp\" address=\"127.0.0.1\" "
	         "port=\"%u\")\n",
	         port);
	rsyslog_configure(input);
	outage(&sink, rsyslog_start, SIGTERM);
}
END_TEST

static void rsyslog_tls_configure(void)
{
	char input[512];

	certificates();
	snprintf(input, sizeof(input),
	         "module(load=\"imtcp\" streamDriver.name=\"ossl\" streamDriver.mode=\"1\" "
	         "streamDriver.authMode=\"x509/name\" permittedPeer=[\"courier.test\"])\n"
	         "input(type=\"imtcp\" address=\"127.0.0.1\" port=\"%u\")\n",
	         port);
	rsyslog_configure(input);
}

START_TEST(rsyslog_tls)
{
	struct policy_sink sink = sink_new(POLICY_SINK_SYSLOG_TLS);

	rsyslog_tls_configure();
	sink_tls(&sink, "courier", "siem.test");
	outage(&sink, rsyslog_start, SIGTERM);
}
END_TEST

/* A receiver that is somebody else gets nothing; the one that is meant, gets what is its. */
START_TEST(rsyslog_of_another_name)
{
	struct policy_sink sink = sink_new(POLICY_SINK_SYSLOG_TLS), right;

	rsyslog_tls_configure();
	rsyslog_start();
	right = sink;
	sink_tls(&sink, "courier", "other.test");
	BASE_AUTO_FD int wrong_name = open_inbox(&sink);
	append(wrong_name, 0, 10);
	ck_assert(wait_for(HOST_LOG_DIR "/monitor.messages",
	                   "the receiver's certificate is not accepted: hostname mismatch"));
	sink_tls(&right, "courier", "siem.test");
	BASE_AUTO_FD int inbox = open_inbox(&right);
	append(inbox, 20, 21);
	ck_assert(wait_for("out", "alert-0020."));
	ck_assert_ptr_null(strstr(content("out"), "alert-000"));
}
END_TEST

/* --- a collector --- */

/* Reads one request, and writes its body with its key in one write, unless it has the key already. */
static void collect(int fd)
{
	static char request[2 << 20];
	size_t used = 0, need = SIZE_MAX;
	char *body = NULL, *key, *length, line[256];
	ssize_t n;

	while (used < need && (n = read(fd, request + used, sizeof(request) - 1 - used)) > 0) {
		used += (size_t)n;
		request[used] = '\0';
		if (body || !(body = strstr(request, "\r\n\r\n")))
			continue;
		length = strcasestr(request, "\r\nContent-Length: ");
		body += 4;
		need = (size_t)(body - request) + strtoul(length + 18, NULL, 10);
	}
	key = body ? strstr(request, "\r\nIdempotency-Key: ") : NULL;
	if (used < need || !key || !strstr(request, "\r\nAuthorization: Bearer abc\r\n"))
		return;
	snprintf(line, sizeof(line), "%.*s\n", (int)strcspn(key + 2, "\r"), key + 2);
	if (!strstr(content("out"), line)) {
		BASE_AUTO_FD int out = open("out", O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
		char *whole = NULL;
		int size = asprintf(&whole, "%s%s", line, body);

		base_write_all(out, whole, (size_t)size);
		free(whole);
	}
	base_write_all(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 57);
}

static void collector_start(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
	                         .sin_port = htons(port),
	                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	BASE_AUTO_FD int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)), 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	receiver = fork();
	if (receiver != 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		BASE_AUTO_FD int connection = accept(fd, NULL, NULL);

		collect(connection);
	}
}

START_TEST(http_collector)
{
	struct policy_sink sink = sink_new(POLICY_SINK_HTTP);

	shell("echo 'Bearer abc' >token");
	snprintf(sink.token, sizeof(sink.token), "%s/token", folder);
	outage(&sink, collector_start, SIGKILL);
}
END_TEST

/* What a sink's files are wrong in is said when it is opened. */
START_TEST(files_that_cannot_be_used)
{
	struct policy_sink sink = sink_new(POLICY_SINK_SYSLOG_TLS);
	struct host_error error = {0};

	snprintf(sink.ca, sizeof(sink.ca), "%s/nothing.pem", folder);
	ck_assert_int_lt(courier_open(&sink, &error), 0);
	ck_assert_ptr_nonnull(strstr(error.text, "cannot use the CA /tmp/"));
	host_error_clear(&error);
	sink = sink_new(POLICY_SINK_HTTP);
	shell("printf 'a\\nb\\n' >token");
	snprintf(sink.token, sizeof(sink.token), "%s/token", folder);
	ck_assert_int_lt(courier_open(&sink, &error), 0);
	ck_assert_ptr_nonnull(strstr(error.text, "/token is no token (expected one line"));
	host_error_clear(&error);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cordon_receivers");
	TCase *tests = tcase_create("receivers");
	SRunner *runner;
	bool rsyslog = rsyslog_has("lmnsd_ossl.so");
	int failed;

	if (SANITIZED || geteuid() != 0) {
		fprintf(stderr, "cordon_receivers: skipped: %s\n",
		        SANITIZED ? "a sanitizer's calls are in no seccomp list" : "needs root");
		return SKIP;
	}
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 100);
	if (rsyslog) {
		tcase_add_test(tests, rsyslog_udp);
		tcase_add_test(tests, rsyslog_tcp);
		tcase_add_test(tests, rsyslog_tls);
		tcase_add_test(tests, rsyslog_of_another_name);
	}
	tcase_add_test(tests, http_collector);
	tcase_add_test(tests, files_that_cannot_be_used);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : rsyslog ? 0 : SKIP;
}
