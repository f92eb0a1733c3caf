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
#include "tests/traffic/net.h"

enum { PORTS = 40, WAIT_MS = 20000, UID = ISOLATE_UID_BASE - 1000 };

static struct net net;
static struct tap_watch *taps;
static struct sockaddr_un address;
static int listener, log_fd, messages_fd, flows_fd;
static unsigned int ifindex;
static pid_t monitor;

/* --- the process --- */

static int memory(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_APPEND), 0);
	return fd;
}

static char *content(int fd)
{
	static char text[1 << 20];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[BASE_MAX(n, 0)] = '\0';
	return text;
}

static void start(void)
{
	BASE_AUTO_FD int binary = open(getenv("CORDON_MONITOR"), O_PATH | O_CLOEXEC);
	char *argv[] = {(char *)"cordon-monitor", NULL};
	struct isolate_fd fds[] = {{listener, MONITOR_FD_LISTEN},
	                           {tap_watch_events(taps), MONITOR_FD_EVENTS},
	                           {log_fd, MONITOR_FD_ALERTS},
	                           {messages_fd, STDERR_FILENO}};
	struct isolate_process process = {
	        .name = "monitor",
	        .binary = binary,
	        .argv = argv,
	        .uid = UID,
	        .gid = UID,
	        .fds = fds,
	        .fd_count = BASE_COUNT(fds),
	        .cgroup = -1,
	        /* a test that fails never comes to its teardown, and a monitor
	                                   * with a VM waits for it to be forgotten */
	        .flags = ISOLATE_PDEATHSIG,
	        .file_size_max = UINT64_MAX,
	        .open_files_max = 256};
	const char *stage = "";

	monitor = isolate_spawn(&process, &stage);
	ck_assert_msg(monitor > 0, "%s: %s", stage, strerror(-monitor));
}

static void setup(void)
{
	const char *why = "";
	int length;

	net_open(&net);
	net_tap_up(&net, 0);
	ck_assert_msg(tap_watch_open(&taps, &why) == 0, "%s", why);
	ifindex = if_nametoindex("cn0");
	flows_fd = tap_watch_attach(taps, ifindex, (uint8_t[6]){0});
	ck_assert_int_ge(flows_fd, 0);
	log_fd = memory("alerts");
	messages_fd = memory("messages");
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	address.sun_family = AF_UNIX;
	length = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "cordon-test-%d",
	                  getpid());
	ck_assert_int_gt(length, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listener, 16), 0);
	start();
}

/* It ends, by itself within a while, and not by a signal. */
static void end(void)
{
	int status = -1;

	for (int i = 0; i < WAIT_MS / 10 && waitpid(monitor, &status, WNOHANG) == 0; i++)
		poll(NULL, 0, 10);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
	              "status %x (31: a forbidden call): %s", status, content(messages_fd));
	monitor = 0;
}

static void teardown(void)
{
	if (monitor > 0) {
		kill(monitor, SIGKILL);
		waitpid(monitor, NULL, 0);
	}
	tap_watch_detach(taps, ifindex);
	tap_watch_close(taps);
	tap_watch_unpin();
	net_close(&net);
}

/* --- its clients --- */

static int client(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct timeval patience = {.tv_sec = WAIT_MS / 1000};

	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static ssize_t put(int fd, const void *bytes, size_t size, const int *fds, size_t count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * 64)];
	} control = {0};
	struct iovec part = {(void *)bytes, size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (count > 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
		struct cmsghdr *header = CMSG_FIRSTHDR(&message);

		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int) * count);
		memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
	}
	return sendmsg(fd, &message, MSG_NOSIGNAL);
}

struct text_answer {
	struct monitor_answer head;
	char text[MONITOR_TEXT_MAX + 1];
};

/* The next answer; its type, 0 when the connection is closed. */
static uint32_t get(int fd, struct text_answer *answer)
{
	ssize_t n = recv(fd, answer, sizeof(*answer), 0);

	ck_assert_msg(n >= 0, "%s", strerror(errno));
	if (n == 0)
		return 0;
	ck_assert_int_ge((int)n, (int)sizeof(answer->head));
	if (answer->head.type == MONITOR_TEXT) {
		ck_assert_uint_eq(answer->head.size, (size_t)n - sizeof(answer->head));
		answer->text[answer->head.size] = '\0';
	}
	return answer->head.type;
}

static struct monitor_request request_new(enum monitor_verb verb, const char *vm)
{
	struct monitor_request request = {
	        .version = MONITOR_VERSION, .verb = verb, .ifindex = ifindex};

	request.monitor.scan = (struct policy_detector){.enabled = true,
	                                                .respond = POLICY_RESPOND_ALERT |
	                                                           POLICY_RESPOND_QUARANTINE,
	                                                .line = 7};
	base_copy_string(request.vm, sizeof(request.vm), vm);
	return request;
}

/* 0, or the error that it answers. */
static int ask(int fd, const struct monitor_request *request, const int *fds, size_t count)
{
	struct text_answer answer;

	ck_assert_int_eq((int)put(fd, request, sizeof(*request), fds, count),
	                 (int)sizeof(*request));
	if (get(fd, &answer) == MONITOR_OK)
		return 0;
	ck_assert_uint_eq(answer.head.type, MONITOR_FAILED);
	return answer.head.error;
}

static int simple(int fd, enum monitor_verb verb, const char *vm)
{
	const struct monitor_request request = request_new(verb, vm);

	return ask(fd, &request, NULL, 0);
}

static void wait_for(int fd, const char *words)
{
	for (int i = 0; i < WAIT_MS / 10 && !strstr(content(fd), words); i++)
		poll(NULL, 0, 10);
	ck_assert_msg(strstr(content(fd), words) != NULL, "no '%s' in: %s; %s", words, content(fd),
	              content(messages_fd));
}

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

static const char *prepare(void)
{
	const char *missing = NULL;

	if (SANITIZED)
		return "a sanitizer's calls are in no seccomp list";
	if (geteuid() != 0)
		return "needs root";
	if (!net_possible())
		return "no network namespaces";
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL) < 0)
		return "no bpf file system";
	if (!tap_watch_host_check(&missing))
		return missing;
	return NULL;
}

int main(void)
{
	const char *missing = prepare();
	SRunner *runner;
	Suite *suite;
	TCase *tests;
	int failed;

	if (missing) {
		printf("monitor_server: skipped: %s\n", missing);
		return 77;
	}
	suite = suite_create("monitor_server");
	tests = tcase_create("server");
	runner = srunner_create(suite);
	tcase_set_timeout(tests, 120);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, a_scan_is_reported);
	tcase_add_test(tests, it_is_in_its_role);
	tcase_add_test(tests, who_may_ask_what);
	tcase_add_test(tests, malformed_requests);
	tcase_add_test(tests, slow_clients);
	tcase_add_test(tests, a_spool_that_takes_nothing);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
