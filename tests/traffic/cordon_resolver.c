/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Those who answer a guest's DNS die, and are started again from what was written down of them: the guest's next
 * question is answered, and what the answer opens is open. Their uids, lists and capabilities are those of the first.
 */
#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/base.h"
#include "cordon/keeper.h"
#include "cordon/respawn.h"
#include "tests/traffic/firewall_names.h"

enum { TRIES = 200 };

static const char *const all[] = {"*.example.org", "www.example.com"};
static uint8_t answer[NAMES_ANSWER_MAX];
static struct host_vm vm;
static int reports[2];

/* As the fixture has it. */
int names_reopen(const char *name)
{
	char path[64];

	ck_assert_str_eq(name, vm.name);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", names_world.list);
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void note(const struct isolate_process *process, const char *path)
{
	struct firewall_dnsmasq dnsmasq = {.binary = path};
	struct plan_process each = {.process = *process, .dnsmasq = path ? &dnsmasq : NULL};
	struct host_process *known = &vm.processes[vm.process_count++];
	struct host_error error = {0};

	snprintf(each.role, sizeof(each.role), "%s0", process->name);
	*known = (struct host_process){.uid = process->uid};
	base_copy_string(known->role, sizeof(known->role), each.role);
	ck_assert_msg(respawn_note(vm.name, &each, &error) == 0, "%s", error.text);
}

static pid_t *pid_of(const char *role)
{
	for (size_t i = 0; i < vm.process_count; i++)
		if (strcmp(vm.processes[i].role, role) == 0)
			return &vm.processes[i].pid;
	ck_abort_msg("no role %s", role);
}

/* Until the guest has an answer. */
static void wait_answer(void)
{
	for (int i = 0; i < TRIES; i++) {
		ssize_t n = names_ask("ready.example.net", NAMES_A, answer, false, SHORT);

		if (n > 0 && (answer[3] & 15) != 2)
			return;
		usleep(50000);
	}
	ck_abort_msg("no answer from the resolver");
}

static void setup(void)
{
	vm = (struct host_vm){0};
	mkdir(HOST_RUN_DIR, 0700);
	mkdir(HOST_RUN_DIR "/vms", 0700);
	base_copy_string(vm.name, sizeof(vm.name), "vm0");
	mkdir(HOST_RUN_DIR "/vms/vm0", 0700);
	names_world.note = note;
	names_world_open(all, BASE_COUNT(all));
	ck_assert_str_eq(fixture.policies[0]->vm.name, vm.name);
	names_start(true);
	*pid_of("dnsmasq0") = names_world.dnsmasq;
	*pid_of("names0") = names_world.front;
	*pid_of("sets0") = names_world.sets;
	ck_assert_int_eq(pipe2(reports, O_NONBLOCK | O_CLOEXEC), 0);
	wait_answer();
}

static void teardown(void)
{
	static const char *const files[] = {"dnsmasq0.start", "names0.start", "sets0.start",
	                                    "router0.start", ""};
	char path[POLICY_PATH_MAX];

	for (size_t i = 0; i < BASE_COUNT(files); i++) {
		registry_path(path, "vm0", files[i]);
		remove(path);
	}
	close(reports[0]);
	close(reports[1]);
	names_world_close();
}

static void opens(const char *name, bool tcp)
{
	char address[64];
	ssize_t n = names_ask(name, NAMES_A, answer, tcp, WAIT);

	ck_assert_msg(n > 0 && names_address(answer, (size_t)n, NAMES_A, address), "no address");
	ck_assert_msg(names_connects(address), "%s is closed", address);
}

/* What the kernel says of a process: its uids, capabilities and seccomp mode. */
static char *rights(pid_t pid)
{
	char command[160];

	snprintf(command, sizeof(command),
	         "grep -E ^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp): /proc/%d/status", pid);
	return net_output(&fixture.net, NET_HOST, command);
}

static void dies(const char *role)
{
	pid_t pid = *pid_of(role);

	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

/* The keeper is told of it. */
static void expect_report(const char *role)
{
	struct keeper_revived revived;

	ck_assert_int_eq(read(reports[0], &revived, sizeof(revived)), sizeof(revived));
	ck_assert_str_eq(revived.role, role);
	ck_assert_int_eq(revived.pid, *pid_of(role));
}

START_TEST(each_is_started_again)
{
	static const char *const roles[] = {"dnsmasq0", "names0", "sets0"};
	const char *role = roles[_i];
	struct respawn respawn = {.vm = "vm0", .cgroup = -1, .report = reports[1]};
	char *before BASE_AUTO_FREE = rights(*pid_of(role)), name[32];

	opens("h1.example.org", false);
	for (int round = 0; round < 2; round++) {
		pid_t old[] = {*pid_of("names0"), *pid_of("sets0")};

		dies(role);
		if (round == 1 &&
		    strcmp(role, "sets0") == 0) /* the other has noticed, and is gone too */
			names_ask("h2.example.org", NAMES_A, answer, false, SHORT);
		snprintf(name, sizeof(name), "h%d.example.org", 10 + round);
		ck_assert_int_eq(resolver_restart(&vm, &respawn, role), 0);
		if (_i == 0) {
			expect_report("dnsmasq0");
		} else {
			expect_report("sets0");
			expect_report("names0");
			for (size_t i = 0; i < BASE_COUNT(old); i++)
				waitpid(old[i], NULL, 0);
			ck_assert(*pid_of("names0") != old[0] && *pid_of("sets0") != old[1]);
		}
		wait_answer();
		opens(name, false);
		opens("h20.example.org", true);
		char *after BASE_AUTO_FREE = rights(*pid_of(role));
		ck_assert_str_eq(before, after);
	}
	names_world.dnsmasq = *pid_of("dnsmasq0");
	names_world.front = *pid_of("names0");
	names_world.sets = *pid_of("sets0");
}
END_TEST

/* Its sockets are new ones, for the taps that the VM has; a guest that asks gets its router again. */
START_TEST(router_is_started_again)
{
	struct respawn respawn = {.vm = "vm0", .cgroup = -1, .report = reports[1]};
	char *argv[] = {(char *)"cordon-router", (char *)"fd77::2", (char *)"fd77::1",
	                (char *)"1500",          (char *)"none",    NULL};
	const struct isolate_process process = {.name = "router",
	                                        .argv = argv,
	                                        .uid = isolate_uid(0, 25),
	                                        .file_size_max = 1 << 20};
	bool found = false;

	note(&process, NULL);
	vm.nics[0] = fixture.nics[0];
	vm.nic_count = 1;
	net_run(&fixture.net, NET_HOST, "ip -6 addr add fe80::1/64 dev cn0 nodad");
	for (int round = 0; round < 2; round++) {
		ck_assert_int_eq(resolver_restart(&vm, &respawn, "router0"), 0);
		expect_report("router0");
		if (round == 0)
			dies("router0");
	}
	net_run(&fixture.net, 0, "ip -6 route flush default");
	net_run(&fixture.net, 0, "ip link set g0 down");
	net_run(&fixture.net, 0, "ip link set g0 addrgenmode eui64");
	net_run(&fixture.net, 0, "ip link set g0 up");
	for (int i = 0; i < TRIES && !found; i++) {
		char *routes BASE_AUTO_FREE =
		        net_output(&fixture.net, 0, "ip -6 route show default");

		found = strstr(routes, "default via fe80::1 dev g0 proto ra") != NULL;
		usleep(100000);
	}
	ck_assert(found);
	kill(*pid_of("router0"), SIGKILL);
	waitpid(*pid_of("router0"), NULL, 0);
}
END_TEST

START_TEST(who_is_one)
{
	static const char *const are[] = {"dnsmasq0", "names7", "sets12", "router0"},
	                         *const are_not[] = {"names", "vmm", "net0", "sets0x", "dnsmasq"};

	for (size_t i = 0; i < BASE_COUNT(are); i++)
		ck_assert(resolver_is(are[i]));
	for (size_t i = 0; i < BASE_COUNT(are_not); i++)
		ck_assert(!resolver_is(are_not[i]));
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("restart"), *words = tcase_create("words");
	Suite *suite = suite_create("cordon resolver");
	SRunner *runner;
	const char *missing = NULL;
	int failed;

	if (!net_possible())
		return 77;
	if (access("/usr/sbin/dnsmasq", X_OK) != 0 || !isolate_host_check(&missing)) {
		printf("skip: %s\n", missing ? missing : "dnsmasq-base is not installed");
		return 77;
	}
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 90);
	tcase_add_loop_test(tests, each_is_started_again, 0, 3);
	tcase_add_test(tests, router_is_started_again);
	tcase_add_test(words, who_is_one);
	suite_add_tcase(suite, tests);
	suite_add_tcase(suite, words);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
