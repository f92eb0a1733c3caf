/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See receivers_fixture.h. */
#include "receivers_fixture.h"

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

struct receivers receivers;
static char text[4 << 20];

pid_t receivers_run(const char *const *argv)
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

int receivers_run_wait(const char *const *argv)
{
	int status;
	pid_t child = receivers_run(argv);

	return child > 0 && waitpid(child, &status, 0) == child ? status : -1;
}

/* Through the shell: it is the fixture's own words. */
void receivers_shell(const char *command)
{
	const char *argv[] = {"sh", "-e", "-c", command, NULL};

	ck_assert_msg(receivers_run_wait(argv) == 0, "%s", command);
}

uint16_t receivers_port(int type)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	BASE_AUTO_FD int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	return ntohs(at.sin_port);
}

const char *receivers_content(const char *path)
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

bool receivers_wait(const char *path, const char *what)
{
	for (int i = 0; i < RECEIVERS_WAIT_MS / 20; i++, poll(NULL, 0, 20))
		if (strstr(receivers_content(path), what))
			return true;
	return false;
}

void receivers_setup(void)
{
	struct host_error error = {0};

	snprintf(receivers.folder, sizeof(receivers.folder), "/tmp/cordon-receivers-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(receivers.folder));
	ck_assert_int_eq(chdir(receivers.folder), 0);
	ck_assert_msg(registry_prepare(&error) == 0, "%s", error.text);
	/* couriers that fork twice become this process's */
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	receivers.pid = 0;
}

void receivers_kill(int signal_number)
{
	if (receivers.pid <= 0)
		return;
	/* with all that it has started: none of them may take anything any more */
	kill(-receivers.pid, signal_number);
	kill(receivers.pid, signal_number);
	waitpid(receivers.pid, NULL, 0);
	while (waitpid(-receivers.pid, NULL, 0) > 0)
		continue;
	receivers.pid = 0;
}

/* The one child that is no receiver. */
pid_t receivers_courier(void)
{
	char path[64], *at = text;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	receivers_content(path);
	for (long pid = strtol(at, &at, 10); pid > 0; pid = strtol(at, &at, 10))
		if (pid != receivers.pid)
			return (pid_t)pid;
	return 0;
}

void receivers_courier_kill(void)
{
	pid_t pid;

	while ((pid = receivers_courier()) > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

void receivers_teardown(void)
{
	const char *argv[] = {"rm", "-rf", "--", receivers.folder, NULL};

	receivers_kill(SIGKILL);
	receivers_courier_kill();
	ck_assert_int_eq(chdir("/"), 0);
	receivers_run_wait(argv);
}

void receivers_certificates(void)
{
	receivers_shell(
	        "req() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \"$@\"; }\n"
	        "req -x509 -days 2 -subj /CN=ca -keyout ca.key -out ca.pem\n"
	        "for n in siem courier; do\n"
	        "  req -subj /CN=$n.test -keyout $n.key -out $n.csr\n"
	        "  echo subjectAltName=DNS:$n.test >ext\n"
	        "  openssl x509 -req -in $n.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
	        "-extfile ext -out $n.pem\n"
	        "done");
}

/* --- what is sent, and what arrived --- */

struct policy_sink receivers_sink(enum policy_sink_type type)
{
	struct policy_sink sink;

	memset(&sink, 0, sizeof(sink));
	sink.type = type;
	sink.spool = 16 << 20;
	receivers.port = receivers_port(
	        type == POLICY_SINK_SYSLOG_UDP || type == POLICY_SINK_IPFIX_UDP ? SOCK_DGRAM
	                                                                        : SOCK_STREAM);
	snprintf(sink.target, sizeof(sink.target), "127.0.0.1:%u%s", receivers.port,
	         policy_sink_is_http(type) ? "/alerts" : "");
	return sink;
}

void receivers_tls(struct policy_sink *sink, const char *client, const char *peer)
{
	snprintf(sink->ca, sizeof(sink->ca), "%s/ca.pem", receivers.folder);
	snprintf(sink->certificate, sizeof(sink->certificate), "%s/%s.pem", receivers.folder,
	         client);
	snprintf(sink->key, sizeof(sink->key), "%s/%s.key", receivers.folder, client);
	base_copy_string(sink->peer, sizeof(sink->peer), peer);
}

int receivers_open(const struct policy_sink *sink)
{
	struct host_error error = {0};
	int fd = courier_open(sink, &error);

	ck_assert_msg(fd >= 0, "%s (%s)", error.text, strerror(-fd));
	return fd;
}

void receivers_append(int inbox, unsigned int from, unsigned int to)
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
void receivers_arrived(void)
{
	char last[32];
	unsigned int next = 0;

	snprintf(last, sizeof(last), "alert-%04u.", RECEIVERS_ALERTS - 1);
	ck_assert_msg(receivers_wait("out", last), "not all came; the courier says: %s",
	              receivers_content(HOST_LOG_DIR "/monitor.messages"));
	for (const char *at = strstr(receivers_content("out"), "alert-"); at;
	     at = strstr(at + 1, "alert-"))
		ck_assert_uint_eq(strtoul(at + 6, NULL, 10), next++);
	ck_assert_uint_eq(next, RECEIVERS_ALERTS);
}

/* Until the courier knows that so many have arrived: one that is killed before that has to send them again. */
void receivers_delivered(uint64_t count)
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
	for (int i = 0; i < RECEIVERS_WAIT_MS / 20 && delivered < count; i++, poll(NULL, 0, 20)) {
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

static unsigned int receivers_seconds(void)
{
	const char *seconds = getenv("CORDON_AWAY");

	return seconds ? (unsigned int)strtoul(seconds, NULL, 10) : 0;
}

void receivers_away(void)
{
	poll(NULL, 0, (int)receivers_seconds() * 1000);
}

void receivers_tell(const struct policy_sink *sink, unsigned int count, const char *of)
{
	if (receivers_seconds() == 0)
		return;
	printf("%-11s %-24s away for %u s: %u %s, each once\n", policy_sink_word(sink->type),
	       sink->target, receivers_seconds(), count, of);
	fflush(stdout);
}

/* A receiver that goes and comes, a courier that dies, and alerts all the time. */
void receivers_outage(const struct policy_sink *sink, void (*start)(void), int signal_number)
{
	BASE_AUTO_FD int inbox = receivers_open(sink);

	start();
	receivers_append(inbox, 0, 200);
	ck_assert(receivers_wait("out", "alert-0199."));
	receivers_append(inbox, 200, 250);
	ck_assert(receivers_wait("out", "alert-0249."));
	receivers_delivered(250);
	receivers_kill(signal_number);
	receivers_append(inbox, 250, 500);
	receivers_courier_kill();
	receivers_append(inbox, 500, 750);
	courier_recover();
	receivers_append(inbox, 750, 800);
	receivers_away();
	start();
	receivers_append(inbox, 800, RECEIVERS_ALERTS);
	receivers_arrived();
	receivers_tell(sink, RECEIVERS_ALERTS, "alerts, in order");
}

int receivers_main(const char *name, Suite *suite)
{
	SRunner *runner;
	int failed;

	if (SANITIZED || geteuid() != 0) {
		fprintf(stderr, "%s: skipped: %s\n", name,
		        SANITIZED ? "a sanitizer's calls are in no seccomp list" : "needs root");
		return RECEIVERS_SKIP;
	}
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
