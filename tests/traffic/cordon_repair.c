/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Somebody else changes cordon's rules: it is noticed, the rules are what they were, whoever did it is named, and
 * other people's rules are left alone. What cordon itself and others do is no reason for any of it.
 */
#include <check.h>
#include <net/if.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/base.h"
#include "cordon/repair.h"
#include "cordon/report.h"
#include "cordon/rules.h"
#include "isolate/isolate.h"
#include "tests/traffic/firewall_fixture.h"

enum { GUEST = 1 }; /* link 1's addresses are those of the fixture's second guest */

static const char world[] = "192.0.2.10";
static const char text[] = "version: 1\nvm:\n  name: web0\n  memory: 128M\n  kernel: /k\n"
                           "  nics: [{mode: nat, mac: \"02:00:00:00:00:11\"}]\nfirewall:\n"
                           "  egress: [{to: any, proto: tcp, ports: [8080]}]\n";

static struct repair_watch watch;
static struct policy *policy;
static struct host_vm vm;
static char said[64], failed[256];
static int reports;

void report_tampered(const struct host_vm *of, const char *process, pid_t pid, const char *why)
{
	ck_assert_str_eq(of->name, "web0");
	ck_assert(pid > 0 || !process[0]);
	base_copy_string(said, sizeof(said), process);
	base_copy_string(failed, sizeof(failed), why);
	reports++;
}

int method_vm(const json_t *params, struct host_vm *to, struct host_error *error)
{
	(void)params, (void)to;
	return host_fail(error, -ENOSYS, 125, "not here");
}

static void start(void)
{
	struct policy_errors *errors BASE_AUTO_FREE = calloc(1, sizeof(*errors));

	fixture_open();
	mkdir(HOST_RUN_DIR, 0700);
	mkdir(HOST_RUN_DIR "/vms", 0700);
	mkdir(HOST_RUN_DIR "/vms/web0", 0700);
	policy = calloc(1, sizeof(*policy));
	ck_assert_int_eq(policy_parse(text, strlen(text), policy, errors), 0);
	vm = (struct host_vm){.name = "web0", .nic_count = 1, .links = {GUEST}};
	network_plan(GUEST, &policy->vm.nics[0], &vm.nics[0]);
	vm.ifindex[0] = if_nametoindex("cn1");
	vm.keeper = getpid();
	vm.keeper_start = registry_start_time(getpid());
	ck_assert_int_eq(registry_save(&vm), 0);
	ck_assert_int_eq(
	        registry_write_file(HOST_RUN_DIR "/vms/web0/policy.yaml", text, strlen(text), 0640),
	        0);
	net_run(&fixture.net, NET_HOST, "nft add table inet firewalld");
	net_run(&fixture.net, NET_HOST,
	        "nft add set inet firewalld s { type ipv4_addr ; elements = { 192.0.2.77 } ; }");
	reports = 0;
	said[0] = failed[0] = '\0';
	ck_assert_int_ge(repair_start(&watch), 0);
	ck_assert_msg(rules_load(fixture.fw, policy, &vm) == 0, "%s", firewall_error(fixture.fw));
	net_tap_up(&fixture.net, GUEST);
}

static void stop(void)
{
	static const char *const names[] = {"state.json", "policy.yaml", ""};
	char path[POLICY_PATH_MAX];

	for (size_t i = 0; i < BASE_COUNT(names); i++) {
		registry_path(path, "web0", names[i]);
		remove(path);
	}
	firewall_watch_close(watch.rules);
	firewall_close(watch.fw);
	free(policy);
	fixture_close();
}

static bool tap_is_up(void)
{
	struct ifreq request = {.ifr_name = "cn1"};
	int fd BASE_AUTO_FD = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(ioctl(fd, SIOCGIFFLAGS, &request), 0);
	return request.ifr_flags & IFF_UP;
}

static void works(void)
{
	ck_assert(tap_is_up());
	ck_assert(net_reaches(&fixture.net, GUEST, world, ALLOWED_PORT, WAIT));
	ck_assert(!net_reaches(&fixture.net, GUEST, world, DENIED_PORT, SHORT));
}

START_TEST(changes_of_rules)
{
	static const char *const changes[] = {
	        "nft flush chain inet cordon forward",
	        "nft delete table inet cordon",
	        "nft delete table netdev cordon",
	        "nft insert rule inet cordon vm_web0_egress accept",
	        "nft add element inet cordon vms { \"other\" }",
	};

	repair_check(&watch);
	ck_assert_int_eq(reports, 0);
	net_run(&fixture.net, NET_HOST, changes[_i]);
	repair_check(&watch);
	ck_assert_int_eq(reports, 1);
	ck_assert_str_eq(said, "nft");
	ck_assert_str_eq(failed, "");
	works();
	repair_check(&watch); /* what it did itself is no change */
	ck_assert_int_eq(reports, 1);
	net_run(&fixture.net, NET_HOST, "nft list set inet firewalld s");
}
END_TEST

START_TEST(all_is_flushed)
{
	net_run(&fixture.net, NET_HOST, "nft flush ruleset");
	repair_check(&watch);
	ck_assert_int_eq(reports, 1);
	works();
}
END_TEST

/* Its guest runs on without a keeper, and the tap is up: ours would be ended and are left alone. */
START_TEST(a_guard_needs_no_keeper)
{
	vm.keeper = 0;
	vm.guard = _i == 0;
	vm.started = 1;
	ck_assert_int_eq(registry_save(&vm), 0);
	net_run(&fixture.net, NET_HOST, "nft flush ruleset");
	repair_check(&watch);
	ck_assert_int_eq(reports, vm.guard ? 1 : 0);
	ck_assert_str_eq(failed, "");
	ck_assert(tap_is_up() == vm.guard);
	ck_assert(!net_reaches(&fixture.net, GUEST, world, DENIED_PORT, SHORT));
}
END_TEST

/* It is closed, and said to be; its keeper is told to try again. */
START_TEST(a_guard_without_rules_is_closed)
{
	sigset_t again;
	struct host_vm now;

	sigemptyset(&again);
	sigaddset(&again, SIGUSR1);
	sigprocmask(SIG_BLOCK, &again, NULL);
	vm.guard = true;
	vm.started = 1;
	base_copy_string(vm.state, sizeof(vm.state), "guarded");
	ck_assert_int_eq(registry_save(&vm), 0);
	ck_assert_int_eq(unlink(HOST_RUN_DIR "/vms/web0/policy.yaml"), 0);
	net_run(&fixture.net, NET_HOST, "nft flush ruleset");
	repair_check(&watch);
	ck_assert(!tap_is_up());
	ck_assert_int_eq(registry_load("web0", &now), 0);
	ck_assert(repair_is_closed(&now));
	ck_assert_int_eq(sigtimedwait(&again, NULL, &(struct timespec){0}), SIGUSR1);
}
END_TEST

/* While no daemon ran: the next one finds out. */
START_TEST(nobody_listened)
{
	if (_i == 1) { /* a guard whose keeper is dead counts too */
		vm.guard = true;
		vm.keeper = 0;
		vm.started = 1;
		ck_assert_int_eq(registry_save(&vm), 0);
	}
	repair_missing(&watch);
	ck_assert_int_eq(reports, 0);
	firewall_watch_close(watch.rules);
	net_run(&fixture.net, NET_HOST, "nft flush ruleset");
	watch.rules = firewall_watch_open();
	repair_check(&watch);
	ck_assert_int_eq(reports, 0);
	repair_missing(&watch);
	ck_assert_int_eq(reports, 1);
	ck_assert_str_eq(failed, "");
	if (!vm.guard)
		works();
}
END_TEST

START_TEST(a_quarantine_stays)
{
	vm.quarantined = true;
	ck_assert_int_eq(registry_save(&vm), 0);
	ck_assert_int_eq(rules_load(fixture.fw, policy, &vm), 0);
	net_run(&fixture.net, NET_HOST, "nft flush ruleset");
	repair_check(&watch);
	ck_assert(tap_is_up());
	ck_assert(!net_reaches(&fixture.net, GUEST, world, ALLOWED_PORT, SHORT));
}
END_TEST

START_TEST(rules_that_cannot_be_loaded_close_the_tap)
{
	ck_assert_int_eq(unlink(HOST_RUN_DIR "/vms/web0/policy.yaml"), 0);
	net_run(&fixture.net, NET_HOST, "nft flush ruleset");
	repair_check(&watch);
	ck_assert_int_eq(reports, 1);
	ck_assert_msg(strstr(failed, "its policy cannot be read"), "%s", failed);
	ck_assert(!tap_is_up());
}
END_TEST

/* Who holds the lock while somebody changes the rules: a guest's process, or one of ours that hangs. */
static pid_t hold_lock(uid_t uid)
{
	int ready[2];
	char byte = 0;
	pid_t child;

	ck_assert_int_eq(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		int lock = firewall_lock_open();

		if (flock(lock, LOCK_EX) < 0 || setuid(uid) < 0 || write(ready[1], "", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return child;
}

START_TEST(a_guest_cannot_keep_the_lock)
{
	pid_t holder = hold_lock(isolate_uid(1, 3));
	int status;

	net_run(&fixture.net, NET_HOST, "nft flush ruleset");
	repair_check(&watch);
	ck_assert_int_eq(waitpid(holder, &status, WNOHANG), holder);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	ck_assert_int_eq(reports, 1);
	ck_assert_str_eq(failed, "");
	works();
}
END_TEST

/* Not killed, but named; and no way out meanwhile. */
START_TEST(a_lock_that_is_held)
{
	pid_t holder = hold_lock(0);
	char name[17], words[64];

	ck_assert_int_eq(firewall_lock_holder(name), holder);
	ck_assert_int_eq(strncmp(name, program_invocation_short_name, 15), 0);
	net_run(&fixture.net, NET_HOST, "nft flush ruleset");
	repair_check(&watch);
	snprintf(words, sizeof(words), "(pid %d)", holder);
	ck_assert_msg(strstr(failed, " is held by ") && strstr(failed, words), "%s", failed);
	ck_assert(!tap_is_up());
	ck_assert_int_eq(kill(holder, SIGKILL), 0);
	ck_assert_int_eq(waitpid(holder, NULL, 0), holder);
	ck_assert_int_eq(firewall_lock_holder(name), 0);
}
END_TEST

START_TEST(nobody_touched_ours)
{
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(rules_load(fixture.fw, policy, &vm), 0);
		net_run(&fixture.net, NET_HOST, "nft add table ip docker");
		net_run(&fixture.net, NET_HOST, "nft add chain ip docker c");
		net_run(&fixture.net, NET_HOST, "nft delete table ip docker");
		ck_assert_int_eq(firewall_vm_quarantine(fixture.fw, "web0", NULL), 0);
		ck_assert_int_eq(firewall_vm_release(fixture.fw, "web0"), 0);
		ck_assert_int_eq(firewall_vm_remove(fixture.fw, "web0"), 0);
	}
	repair_check(&watch);
	ck_assert_int_eq(reports, 0);
}
END_TEST

int main(void)
{
	/* what the kernel tells of, which a test names when it wants only that; and what comes of it */
	TCase *changes = tcase_create("changes"), *tests = tcase_create("repair");
	Suite *suite = suite_create("cordon repair");
	SRunner *runner;
	int bad;

	if (!net_possible())
		return 77;
	tcase_add_checked_fixture(changes, start, stop);
	tcase_set_timeout(changes, 60);
	tcase_add_loop_test(changes, changes_of_rules, 0, 5);
	tcase_add_test(changes, all_is_flushed);
	suite_add_tcase(suite, changes);
	tcase_add_checked_fixture(tests, start, stop);
	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, nobody_listened, 0, 2);
	tcase_add_loop_test(tests, a_guard_needs_no_keeper, 0, 2);
	tcase_add_test(tests, a_quarantine_stays);
	tcase_add_test(tests, rules_that_cannot_be_loaded_close_the_tap);
	tcase_add_test(tests, a_guest_cannot_keep_the_lock);
	tcase_add_test(tests, a_lock_that_is_held);
	tcase_add_test(tests, a_guard_without_rules_is_closed);
	tcase_add_test(tests, nobody_touched_ours);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	bad = srunner_ntests_failed(runner);
	srunner_free(runner);
	return bad ? 1 : 0;
}
