// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The host's own alerts: which ends of a VM and which deaths make one, what is in it, and that it comes out in
 * the host's log and in every sink of the VM's policy: a file, syslog over UDP and over TCP. The sinks are real
 * ones of this test's own, couriers deliver to them, and the policy is a text that cordon's parser reads.
 */
#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/base.h"
#include "cordon/report.h"
#include "ecs.h"

enum { WAIT_MS = 20000, ALERTS_MAX = 16 };

static char folder[64], sink_path[96];
static int udp, tcp;
static struct host_vm vm;
static char lines[1 << 16];

static int bound(int type, uint16_t *port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(at);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &size), 0);
	*port = ntohs(at.sin_port);
	return fd;
}

static void write_policy(uint16_t udp_port, uint16_t tcp_port)
{
	char path[POLICY_PATH_MAX], text[1024];
	int length = snprintf(text, sizeof(text),
	                      "version: 1\nvm: {name: web0, memory: 256M, kernel: demo}\n"
	                      "monitor: {sinks: [{file: %s}, {syslog: 'udp://127.0.0.1:%u'}, "
	                      "{syslog: 'tcp://127.0.0.1:%u'}]}\n",
	                      sink_path, udp_port, tcp_port);

	registry_path(path, "web0", "policy.yaml");
	ck_assert_int_eq(registry_write_file(path, text, (size_t)length, 0640), 0);
}

static void setup(void)
{
	struct host_error error = {0};
	uint16_t udp_port, tcp_port;

	base_copy_string(folder, sizeof(folder), "/tmp/cordon-report-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chdir(folder), 0);
	/* couriers that fork twice become this process's */
	ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
	ck_assert_msg(registry_prepare(&error) == 0, "%s", error.text);
	ck_assert_int_eq(mkdir(HOST_RUN_DIR "/vms/web0", 0750), 0);
	snprintf(sink_path, sizeof(sink_path), "%s/sink.json", folder);
	udp = bound(SOCK_DGRAM, &udp_port);
	tcp = bound(SOCK_STREAM, &tcp_port);
	ck_assert_int_eq(listen(tcp, 64), 0);
	write_policy(udp_port, tcp_port);
	memset(&vm, 0, sizeof(vm));
	base_copy_string(vm.name, sizeof(vm.name), "web0");
	vm.started = 0x1234;
	vm.process_count = 1;
	vm.processes[0] = (struct host_process){.role = "vmm", .pid = 77};
}

/* What was started here, and would try a sink that is gone for ever. */
static void couriers_kill(void)
{
	char path[64], children[1024] = "", *at = children;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	BASE_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge((int)read(fd, children, sizeof(children) - 1), 0);
	for (long pid = strtol(at, &at, 10); pid > 0; pid = strtol(at, &at, 10)) {
		kill((pid_t)pid, SIGKILL);
		waitpid((pid_t)pid, NULL, 0);
	}
}

static void teardown(void)
{
	pid_t child;

	couriers_kill();
	close(udp);
	base_close(&tcp);
	ck_assert_int_eq(chdir("/"), 0);
	child = fork();
	if (child == 0) {
		execlp("rm", "rm", "-rf", "--", folder, NULL);
		_exit(1);
	}
	waitpid(child, NULL, 0);
}

/* The alerts of a file, one a line; how many. The caller owns them. */
static size_t alerts(const char *path, json_t *out[ALERTS_MAX])
{
	BASE_AUTO_FD int fd = open(path, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, lines, sizeof(lines) - 1);
	char *save = NULL;
	size_t count = 0;

	lines[BASE_MAX(n, 0)] = '\0';
	ck_assert(n == 0 || lines[n - 1] == '\n');
	for (char *line = strtok_r(lines, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		ck_assert_uint_lt(count, ALERTS_MAX);
		out[count] = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
		ecs_assert(out[count++]);
	}
	return count;
}

static const char *text_at(const json_t *json, const char *outer, const char *key)
{
	const char *text = json_string_value(json_object_get(json_object_get(json, outer), key));

	return text ? text : "";
}

static json_int_t number_at(const json_t *json, const char *outer, const char *key)
{
	return json_integer_value(json_object_get(json_object_get(json, outer), key));
}

/* The rules of all that is in the host's log, in one text; it is emptied. */
static const char *rules(void)
{
	static char text[256];
	json_t *all[ALERTS_MAX];
	size_t count = alerts(HOST_ALERT_LOG, all), length = 0;

	text[0] = '\0';
	for (size_t i = 0; i < count; i++) {
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s",
		                           i ? " " : "", text_at(all[i], "rule", "id"));
		json_decref(all[i]);
	}
	unlink(HOST_ALERT_LOG);
	return text;
}

static struct host_end exited(int code)
{
	return (struct host_end){.status = code << 8};
}

START_TEST(which_ends_are_alerts)
{
	static const struct {
		struct host_end end;
		uint64_t panics;
		const char *rules;
	} cases[] = {
	        {{.status = VMM_END_POWEROFF << 8}, 0, ""},
	        {{.status = VMM_END_RESET << 8}, 0, ""},
	        {{.status = VMM_END_TRIPLE_FAULT << 8}, 0, ""},
	        {{.status = VMM_END_RESTART << 8}, 0, ""},
	        {{.status = SIGKILL, .asked = true}, 0, ""},
	        {{.status = SIGKILL}, 0, "process.died"}, /* for want of memory, say */
	        {{.status = SIGTERM}, 0, "process.died"},
	        {{.status = -1}, 3, ""},
	        {{.status = VMM_END_PANIC << 8}, 1, "guest.panic"},
	        {{.status = VMM_END_PANIC << 8},
	         0,
	         "guest.panic"}, /* a vmm that could not write its count */
	        {{.status = VMM_END_POWEROFF << 8}, 2, "guest.panic"},
	        {{.status = VMM_END_RESET << 8}, 1, "guest.panic"},
	        {{.status = SIGKILL, .asked = true},
	         1,
	         "guest.panic"}, /* it was paused, and then killed */
	        {{.status = VMM_END_WATCHDOG << 8}, 0, "guest.watchdog"},
	        {{.status = VMM_END_WATCHDOG << 8}, 1, "guest.panic guest.watchdog"},
	        {{.status = VMM_END_KVM_ERROR << 8}, 0, "guest.kvm_error"},
	        {{.status = VMM_END_FAILED << 8}, 0, "process.died"},
	        {{.status = VMM_END_DEVICE << 8}, 0, "process.died"},
	        {{.status = 99 << 8}, 0, "process.died"},
	        {{.status = SIGSEGV}, 0, "process.died"},
	        {{.status = SIGSYS}, 0, "process.escape"},
	};

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		report_end(&vm, cases[i].end, cases[i].panics, false);
		ck_assert_msg(strcmp(rules(), cases[i].rules) == 0, "case %zu", i);
	}
}
END_TEST

START_TEST(what_is_in_an_alert)
{
	json_t *all[ALERTS_MAX];

	report_end(&vm, exited(VMM_END_WATCHDOG), 0, true);
	report_end(&vm, (struct host_end){.status = SIGSYS}, 0, false);
	ck_assert_uint_eq(alerts(HOST_ALERT_LOG, all), 2);
	ck_assert_str_eq(text_at(all[0], "event", "kind"), "alert");
	ck_assert_str_eq(text_at(all[0], "event", "action"), "watchdog-expired");
	ck_assert_str_eq(text_at(all[0], "event", "reason"), "watchdog");
	ck_assert_str_eq(text_at(all[0], "event", "id"), "web0-1234-guest.watchdog-0");
	ck_assert_int_eq((int)number_at(all[0], "event", "severity"), 47);
	ck_assert_str_eq(text_at(all[0], "host", "name"), "web0");
	ck_assert_str_eq(text_at(json_object_get(all[0], "log"), "file", "path"),
	                 HOST_LOG_DIR "/web0.log");
	ck_assert_int_eq((int)number_at(json_object_get(all[0], "cordon"), "end", "exit"), 15);
	ck_assert_str_eq(text_at(json_object_get(all[0], "cordon"), "end", "became"),
	                 "it is started again");
	ck_assert_str_eq(json_string_value(json_object_get(all[0], "message")),
	                 "web0 its guest hangs: the watchdog has expired; it is started again");
	ck_assert_ptr_null(json_object_get(all[0], "process"));
	ck_assert_ptr_null(json_object_get(all[0], "threat"));
	ck_assert_str_eq(text_at(all[1], "event", "reason"), "SIGSYS");
	ck_assert_str_eq(text_at(all[1], "event", "id"), "web0-1234-process.escape-77");
	ck_assert_int_eq((int)number_at(all[1], "event", "severity"), 99);
	ck_assert_int_eq((int)number_at(all[1], "process", "pid"), 77);
	ck_assert_str_eq(text_at(json_object_get(all[1], "cordon"), "process", "role"), "vmm");
	ck_assert_ptr_nonnull(json_object_get(all[1], "threat"));
	json_decref(all[0]);
	json_decref(all[1]);
}
END_TEST

static void receive(int fd, char *text, size_t size)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	ssize_t n;

	ck_assert_int_eq(poll(&ready, 1, WAIT_MS), 1);
	n = recv(fd, text, size - 1, 0);
	text[BASE_MAX(n, 0)] = '\0';
}

START_TEST(every_sink_gets_it)
{
	const struct death death = {.role = "blk0", .pid = 9, .status = SIGSYS, .became = "gone"};
	char datagram[4096], framed[4096];
	json_t *host[ALERTS_MAX], *file[ALERTS_MAX];
	int connection;
	char *message;

	report_death(&vm, &death);
	ck_assert_uint_eq(alerts(HOST_ALERT_LOG, host), 1);
	for (int i = 0; i < WAIT_MS / 10 && alerts(sink_path, file) == 0; i++)
		poll(NULL, 0, 10);
	ck_assert_uint_eq(alerts(sink_path, file), 1);
	ck_assert(json_equal(host[0], file[0]));
	json_decref(host[0]);
	json_decref(file[0]);
	receive(udp, datagram, sizeof(datagram));
	/* facility 10, critical */
	ck_assert_msg(strncmp(datagram, "<82>1 ", 6) == 0, "%s", datagram);
	ck_assert_ptr_nonnull(strstr(datagram, " cordon - process.escape [cordon@32473 "
	                                       "id=\"web0-1234-process.escape-9\" vm=\"web0\""));
	ck_assert_ptr_nonnull(strstr(datagram, " technique=\"T1611\" severity=\"99\""));
	ck_assert_ptr_nonnull(strstr(datagram, "] web0 its process blk0 (pid 9) died: SIGSYS, "));
	connection = accept(tcp, NULL, NULL);
	ck_assert_int_ge(connection, 0);
	receive(connection, framed, sizeof(framed));
	close(connection);
	ck_assert_uint_eq(strtoul(framed, &message, 10), strlen(datagram));
	ck_assert_str_eq(message + 1, datagram);
}
END_TEST

/* One sink that is not there, and a policy that is not, keep it from no other place. */
START_TEST(a_sink_that_is_gone)
{
	char datagram[4096], path[POLICY_PATH_MAX];

	base_close(&tcp);
	ck_assert_int_eq(mkdir(sink_path, 0700), 0);
	report_end(&vm, exited(VMM_END_KVM_ERROR), 0, false);
	receive(udp, datagram, sizeof(datagram));
	ck_assert_ptr_nonnull(strstr(datagram, " reason=\"KVM error\" log=\"" HOST_LOG_DIR
	                                       "/web0.log\"] web0 KVM could not go on"));
	ck_assert_str_eq(rules(), "guest.kvm_error");
	registry_path(path, "web0", "policy.yaml");
	ck_assert_int_eq(unlink(path), 0);
	report_end(&vm, exited(VMM_END_PANIC), 1, false);
	ck_assert_str_eq(rules(), "guest.panic");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cordon_report");
	TCase *tests = tcase_create("report");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, which_ends_are_alerts);
	tcase_add_test(tests, what_is_in_an_alert);
	if (!SANITIZED) { /* a sanitizer's calls are in no courier's list */
		tcase_add_test(tests, every_sink_gets_it);
		tcase_add_test(tests, a_sink_that_is_gone);
	}
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
