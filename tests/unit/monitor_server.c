/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-monitor as it is: started in its role with isolate_spawn(), with a real events ring and the flow map
 * of a veth that plays the tap, in namespaces of this test's own. A guest's connections are real ones, and the
 * alerts are read where a policy would have them: a file and a syslog socket.
 * CORDON_MONITOR names the program. Skips (77) without root, namespaces or BPF, and with sanitizers.
 */
#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <jansson.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/base.h"
#include "bpf/tap.h"
#include "isolate/isolate.h"
#include "monitor/monitor.h"
#include "monitor_process.h"

enum { PORTS = 40 };

static bool status_has(pid_t pid, const char *line)
{
	char path[64], text[4096];
	BASE_AUTO_FD int fd = -1;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	fd = open(path, O_RDONLY);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	text[BASE_MAX(n, 0)] = '\0';
	return strstr(text, line) != NULL;
}

static size_t open_fds(pid_t pid)
{
	struct stat facts;
	char path[64];
	size_t count = 0;

	for (int fd = 0; fd < 256; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, fd);
		count += lstat(path, &facts) == 0;
	}
	return count;
}

/* --- the tests --- */

static void scan_neighbour(void)
{
	for (uint16_t port = 1; port <= PORTS; port++) {
		BASE_AUTO_FD int fd =
		        net_connecting(&net, 0, "10.77.0.1", (uint16_t)(20000 + port));

		net_connected(fd, 1000);
	}
}

static void register_with_sinks(int fd, int file, int syslog)
{
	struct monitor_request request = request_new(MONITOR_REGISTER, "web0");

	request.monitor.sink_count = 2;
	request.monitor.sinks[0].type = POLICY_SINK_FILE;
	request.monitor.sinks[0].format = POLICY_FORMAT_ECS;
	request.monitor.sinks[1].type = POLICY_SINK_SYSLOG_UDP;
	ck_assert_int_eq(ask(fd, &request, (int[]){flows_fd, file, syslog}, 3), 0);
}

/* From there on, the first record of a spool that has these words: its head is binary. */
static const char *spooled(int fd, const char *words)
{
	char *text = content(fd);
	char *message = NULL;

	for (int i = 0; i < WAIT_MS / 10 && !message; i++, poll(NULL, 0, 10)) {
		content(fd);
		message = memmem(text, 4096, words, strlen(words));
	}
	ck_assert_msg(message != NULL, "no '%s' in the spool", words);
	return message;
}

static void check_spool(int fd)
{
	const char *message = spooled(fd, "<84>1 ");

	ck_assert_ptr_nonnull(strstr(message, " cordon - scan.vertical [cordon@32473 "));
	ck_assert_ptr_nonnull(strstr(message, " vm=\"web0\" stage=\"new\" technique=\"T1046\""));
	ck_assert_ptr_nonnull(strstr(message, " src=\"10.77.0.2\" dst=\"10.77.0.1\""));
}

static size_t count_flows(int fd)
{
	struct monitor_request request = request_new(MONITOR_FLOWS, "web0");
	struct text_answer answer;
	size_t refused = 0;

	ck_assert_int_gt((int)put(fd, &request, sizeof(request), NULL, 0), 0);
	while (get(fd, &answer) == MONITOR_TEXT)
		refused += strstr(answer.text, "\"refused\"") != NULL &&
		           strstr(answer.text, "\"ip\":\"10.77.0.1\"") != NULL;
	ck_assert_uint_eq(answer.head.type, MONITOR_END);
	return refused;
}

START_TEST(a_scan_is_reported)
{
	BASE_AUTO_FD int control = client(), subscriber = client(), file = memory("sink");
	BASE_AUTO_FD int spool = memory("spool");
	struct text_answer answer;
	struct monitor_request request;
	json_t *alert;
	char *line;

	ck_assert_int_eq(simple(subscriber, MONITOR_SUBSCRIBE, ""), 0);
	register_with_sinks(control, file, spool);
	scan_neighbour();
	wait_for(log_fd, "\"scan.vertical\"");
	spooled(file, "\"scan.vertical\"");
	check_spool(spool);
	ck_assert_uint_eq(get(subscriber, &answer), MONITOR_ACT);
	ck_assert_str_eq(answer.head.vm, "web0");
	ck_assert_str_eq(answer.head.rule, "scan.vertical");
	ck_assert_uint_eq(answer.head.respond, POLICY_RESPOND_QUARANTINE);
	line = content(log_fd);
	line[strcspn(line, "\n")] = '\0';
	alert = json_loads(line, 0, NULL);
	ck_assert_ptr_nonnull(alert);
	ck_assert_str_eq(json_string_value(json_object_get(json_object_get(alert, "event"), "id")),
	                 answer.head.alert_id);
	ck_assert_int_eq((int)json_integer_value(
	                         json_object_get(json_object_get(alert, "cordon"), "policy_line")),
	                 7);
	json_decref(alert);
	ck_assert_uint_eq(count_flows(control), PORTS);
	request = request_new(MONITOR_STATS, "");
	put(control, &request, sizeof(request), NULL, 0);
	ck_assert_uint_eq(get(control, &answer), MONITOR_TEXT);
	alert = json_loads(answer.text, 0, NULL);
	ck_assert_int_ge((int)json_integer_value(json_object_get(alert, "flows")), PORTS);
	ck_assert_int_eq((int)json_integer_value(json_object_get(json_object_get(alert, "findings"),
	                                                         "scan.vertical")),
	                 1);
	json_decref(alert);
	ck_assert_uint_eq(get(control, &answer), MONITOR_END);
	request = request_new(MONITOR_LIST, "");
	put(control, &request, sizeof(request), NULL, 0);
	ck_assert_uint_eq(get(control, &answer), MONITOR_TEXT);
	ck_assert_str_eq(answer.text, "web0");
	ck_assert_uint_eq(get(control, &answer), MONITOR_END);
	ck_assert_int_eq(simple(control, MONITOR_FORGET, "web0"), 0);
	wait_for(log_fd, "\"stage\":\"end\"");
	end();
}
END_TEST

START_TEST(it_is_in_its_role)
{
	BASE_AUTO_FD int control = client();

	/* an answer: it is past its lock */
	ck_assert_int_eq(simple(control, MONITOR_FORGET, "nobody"), 0);
	ck_assert(status_has(monitor, "\nSeccomp:\t2\n"));
	ck_assert(status_has(monitor, "\nNoNewPrivs:\t1\n"));
	ck_assert(status_has(monitor, "\nCapEff:\t0000000000000000\n"));
	ck_assert(!status_has(monitor, "\nUid:\t0\t"));
	end(); /* nobody registers a VM */
}
END_TEST

/* In a process of another user: what may not be asked, and what may. */
static int as_nobody(void)
{
	struct text_answer answer;
	struct monitor_request request = request_new(MONITOR_STATS, "");
	int fd;

	if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
		return 1;
	fd = client();
	request.verb = MONITOR_REGISTER;
	if (ask(fd, &request, (int[]){flows_fd}, 1) != -EPERM)
		return 2;
	if (simple(fd, MONITOR_FORGET, "web0") != -EPERM ||
	    simple(fd, MONITOR_SUBSCRIBE, "") != -EPERM || simple(fd, MONITOR_LIST, "") != -EPERM)
		return 3;
	request.verb = MONITOR_STATS;
	put(fd, &request, sizeof(request), NULL, 0);
	if (get(fd, &answer) != MONITOR_TEXT || get(fd, &answer) != MONITOR_END)
		return 4;
	return 0;
}

START_TEST(who_may_ask_what)
{
	BASE_AUTO_FD int control = client(), file = memory("sink"), sender = memory("sink");
	int status;
	pid_t child;

	register_with_sinks(control, file, sender);
	child = fork();
	if (child == 0)
		_exit(as_nobody());
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(simple(control, MONITOR_FLOWS, "other"), -ENOENT);
	ck_assert_int_eq(simple(control, MONITOR_FORGET, "web0"), 0);
	end();
}
END_TEST

/* The connection of who sends this is closed, and nothing else happens. */
static void closed_after(const void *bytes, size_t size, const int *fds, size_t count)
{
	BASE_AUTO_FD int fd = client();
	struct text_answer answer;

	ck_assert_int_ge((int)put(fd, bytes, size, fds, count), 0);
	ck_assert_uint_eq(get(fd, &answer), 0);
}

START_TEST(malformed_requests)
{
	struct monitor_request request = request_new(MONITOR_REGISTER, "web0"), bad;
	BASE_AUTO_FD int control = client(), file = memory("sink");
	char large[sizeof(request) + 1] = "";
	int fds[MONITOR_FDS_MAX + 3];
	size_t before;

	ck_assert_int_eq(ask(control, &request, (int[]){flows_fd}, 1), 0);
	before = open_fds(monitor);
	for (size_t i = 0; i < BASE_COUNT(fds); i++)
		fds[i] = file;
	closed_after("x", 1, fds, 2);
	memcpy(large, &request, sizeof(request));
	closed_after(large, sizeof(large), fds, 3);
	closed_after(&request, sizeof(request), fds, BASE_COUNT(fds));
	bad = request;
	bad.version++;
	closed_after(&bad, sizeof(bad), fds, 1);
	bad = request;
	memset(bad.vm, 'a', sizeof(bad.vm));
	closed_after(&bad, sizeof(bad), fds, 1);
	bad = request;
	memset(bad.group, 'a', sizeof(bad.group));
	closed_after(&bad, sizeof(bad), fds, 1);
	bad = request_new(MONITOR_REGISTER, "a\"b");
	closed_after(&bad, sizeof(bad), fds, 1);
	bad = request;
	bad.monitor.sink_count = SIZE_MAX;
	closed_after(&bad, sizeof(bad), fds, 1);
	/* well-formed, and refused: the connection stays */
	ck_assert_int_eq(ask(control, &request, NULL, 0), -EINVAL);
	ck_assert_int_eq(ask(control, &request, fds, 2), -EINVAL);
	ck_assert_int_lt(ask(control, &request, fds, 1), 0); /* not a flow map */
	bad = request;
	bad.verb = 99;
	ck_assert_int_eq(ask(control, &bad, fds, 2), -ENOSYS);
	ck_assert_uint_eq(open_fds(monitor), before);
	/* the same VM again takes the place of the first */
	ck_assert_int_eq(ask(control, &request, (int[]){flows_fd}, 1), 0);
	ck_assert_uint_eq(open_fds(monitor), before);
	ck_assert_int_eq(simple(control, MONITOR_FORGET, "web0"), 0);
	end();
}
END_TEST

/* Who takes no answers, and who stays connected and says nothing, hold nobody up. */
START_TEST(slow_clients)
{
	struct monitor_request request = request_new(MONITOR_REGISTER, "web0");
	BASE_AUTO_FD int control = client();
	int clients[70];

	ck_assert_int_eq(ask(control, &request, (int[]){flows_fd}, 1), 0);
	scan_neighbour();
	request.verb = MONITOR_FLOWS;
	for (size_t i = 0; i < BASE_COUNT(clients); i++) {
		clients[i] = client(); /* more than it has room for: the last ones are closed */
		put(clients[i], &request, sizeof(request), NULL, 0);
		put(clients[i], &request, sizeof(request), NULL, 0);
	}
	ck_assert_uint_eq(count_flows(control), PORTS);
	for (size_t i = 0; i < BASE_COUNT(clients); i++)
		close(clients[i]);
	ck_assert_int_eq(simple(control, MONITOR_FORGET, "web0"), 0);
	end();
}
END_TEST

/* A spool that cannot be written: alerts are lost and counted, the monitor is not. */
START_TEST(a_spool_that_takes_nothing)
{
	struct monitor_request request = request_new(MONITOR_REGISTER, "web0");
	BASE_AUTO_FD int control = client(), spool = open("/dev/null", O_RDONLY | O_CLOEXEC);

	request.monitor.sink_count = 1;
	request.monitor.sinks[0].type = POLICY_SINK_SYSLOG_TCP;
	ck_assert_int_eq(ask(control, &request, (int[]){flows_fd, spool}, 2), 0);
	scan_neighbour();
	wait_for(log_fd, "\"scan.vertical\"");
	wait_for(messages_fd, "a sink of web0 took no alert");
	ck_assert_int_eq(simple(control, MONITOR_FORGET, "web0"), 0);
	end();
}
END_TEST

/* How many flows of IPFIX are in a spool: each record's text begins with its number. */
static size_t spooled_flows(int fd)
{
	size_t flows = 0;
	uint32_t head[4];
	uint8_t count[2];

	for (off_t at = 0; pread(fd, head, sizeof(head), at) == (ssize_t)sizeof(head);
	     at += (off_t)(sizeof(head) + head[1])) {
		ck_assert_uint_eq(head[0], 0x43525350);
		ck_assert_int_eq((int)pread(fd, count, 2, at + (off_t)sizeof(head)), 2);
		flows += base_be16(count);
	}
	return flows;
}

/* A sink of flows gets each that there was, at the latest when the VM goes, and no alert. */
START_TEST(flows_go_to_a_collector)
{
	struct monitor_request request = request_new(MONITOR_REGISTER, "web0");
	BASE_AUTO_FD int control = client(), spool = memory("spool");
	size_t refused;

	request.monitor.sink_count = 1;
	request.monitor.sinks[0].type = POLICY_SINK_IPFIX_UDP;
	request.monitor.sinks[0].domain = 1;
	ck_assert_int_eq(ask(control, &request, (int[]){flows_fd, spool}, 2), 0);
	scan_neighbour();
	wait_for(log_fd, "\"scan.vertical\"");
	refused = count_flows(control);
	ck_assert_uint_eq(refused, PORTS);
	ck_assert_int_eq(simple(control, MONITOR_FORGET, "web0"), 0);
	ck_assert_uint_ge(spooled_flows(spool), refused);
	ck_assert_ptr_null(memmem(content(spool), 65536, "scan.vertical", 13));
	end();
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {a_scan_is_reported,     it_is_in_its_role,
	                              who_may_ask_what,       malformed_requests,
	                              slow_clients,           a_spool_that_takes_nothing,
	                              flows_go_to_a_collector};

	return run("monitor_server", tests, BASE_COUNT(tests));
}
