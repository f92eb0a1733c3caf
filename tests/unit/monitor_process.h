/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * monitor_process: cordon-monitor as it is, started in its role, and clients of its socket. Its test is in a network
 * namespace of its own; CORDON_MONITOR names the program.
 */
#ifndef CORDON_TESTS_MONITOR_PROCESS_H
#define CORDON_TESTS_MONITOR_PROCESS_H

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
#include "tests/traffic/net.h"

enum { WAIT_MS = 20000, UID = ISOLATE_UID_BASE - 1000 };

static struct net net;
static struct tap_watch *taps;
static struct sockaddr_un address;
static int listener, log_fd, messages_fd, flows_fd;
static unsigned int ifindex;
static pid_t monitor;

/* --- the process --- */

static inline int memory(const char *name)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_SETFL, O_APPEND), 0);
	return fd;
}

static inline char *content(int fd)
{
	static char text[1 << 20];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[BASE_MAX(n, 0)] = '\0';
	return text;
}

static inline void start(void)
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

/* Its socket, and it: once what it is handed is there. */
static inline void serve(void)
{
	int length;

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

static inline void setup(void)
{
	const char *why = "";

	net_open(&net);
	net_tap_up(&net, 0);
	ck_assert_msg(tap_watch_open(&taps, &why) == 0, "%s", why);
	ifindex = if_nametoindex("cn0");
	flows_fd = tap_watch_attach(taps, ifindex, (uint8_t[6]){0});
	ck_assert_int_ge(flows_fd, 0);
	log_fd = memory("alerts");
	serve();
}

/* It ends, by itself within a while, and not by a signal. */
static inline void end(void)
{
	int status = -1;

	for (int i = 0; i < WAIT_MS / 10 && waitpid(monitor, &status, WNOHANG) == 0; i++)
		poll(NULL, 0, 10);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
	              "status %x (31: a forbidden call): %s", status, content(messages_fd));
	monitor = 0;
}

static inline void teardown(void)
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

static inline int client(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct timeval patience = {.tv_sec = WAIT_MS / 1000};

	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static inline ssize_t put(int fd, const void *bytes, size_t size, const int *fds, size_t count)
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
static inline uint32_t get(int fd, struct text_answer *answer)
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

static inline struct monitor_request request_new(enum monitor_verb verb, const char *vm)
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
static inline int ask(int fd, const struct monitor_request *request, const int *fds, size_t count)
{
	struct text_answer answer;

	ck_assert_int_eq((int)put(fd, request, sizeof(*request), fds, count),
	                 (int)sizeof(*request));
	if (get(fd, &answer) == MONITOR_OK)
		return 0;
	ck_assert_uint_eq(answer.head.type, MONITOR_FAILED);
	return answer.head.error;
}

static inline int simple(int fd, enum monitor_verb verb, const char *vm)
{
	const struct monitor_request request = request_new(verb, vm);

	return ask(fd, &request, NULL, 0);
}

static inline void wait_for(int fd, const char *words)
{
	for (int i = 0; i < WAIT_MS / 10 && !strstr(content(fd), words); i++)
		poll(NULL, 0, 10);
	ck_assert_msg(strstr(content(fd), words) != NULL, "no '%s' in: %s; %s", words, content(fd),
	              content(messages_fd));
}

static inline const char *prepare(void)
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

static inline int run(const char *name, const TTest *const *tests, size_t count)
{
	const char *missing = prepare();
	SRunner *runner;
	Suite *suite;
	TCase *all;
	int failed;

	if (missing) {
		printf("%s: skipped: %s\n", name, missing);
		return 77;
	}
	suite = suite_create(name);
	all = tcase_create(name);
	runner = srunner_create(suite);
	tcase_set_timeout(all, 120);
	tcase_add_checked_fixture(all, setup, teardown);
	for (size_t i = 0; i < count; i++)
		tcase_add_test(all, tests[i]);
	suite_add_tcase(suite, all);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

#endif
