/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rules that change under load: while a process sends as fast as it can to a port that one rule allows
 * and to one that no version of the policy allows, the policy is replaced again and again. Not one
 * forbidden packet may arrive, and allowed ones have to arrive meanwhile. The same while VMs start and stop, and
 * while who changes the rules is killed with SIGKILL and another process goes on.
 */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/base.h"
#include "tests/traffic/firewall_fixture.h"

enum { CHANGES = 300, ENDS = 40, DRAIN_MAX = 100000, EXTRA_RULES = 7 };

static int sender(uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = net_bound(&fixture.net, 0, SOCK_DGRAM, "10.77.0.2", 0);

	ck_assert_int_eq(inet_pton(AF_INET, "192.0.2.10", &to.sin_addr), 1);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* Sends to both ports until it is killed. */
static pid_t start_flood(void)
{
	int allowed = sender(ALLOWED_PORT), denied = sender(DENIED_PORT);
	pid_t child = fork();

	if (child == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0)
		for (;;) {
			(void)!send(denied, "x", 1, MSG_DONTWAIT);
			(void)!send(allowed, "x", 1, MSG_DONTWAIT);
		}
	close(allowed);
	close(denied);
	return child;
}

static void change_policy(int turn);

static uint64_t drain(int fd)
{
	uint64_t count = 0;
	char byte;

	while (count < DRAIN_MAX && recv(fd, &byte, 1, MSG_DONTWAIT) >= 0)
		count++;
	return count;
}

/* As the daemon does it, by a process that is killed at any moment of it. */
static void change_and_be_killed(int turn)
{
	pid_t child = fork();

	if (child == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0) {
		fixture.fw =
		        firewall_open(); /* a connection to the kernel is not for two processes */
		for (;; turn++) {
			if (turn % 3 == 0)
				firewall_vm_quarantine(fixture.fw, "vm0", NULL);
			change_policy(turn);
			if (turn % 3 == 0)
				firewall_vm_release(fixture.fw, "vm0");
		}
	}
	usleep((useconds_t)(1000 + turn * 7919 % 60000));
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* The rule that allows stays; others come and go behind it, enough of them to need sets. */
static void change_policy(int turn)
{
	struct policy *policy = fixture.policies[0];
	struct policy_rule *rule;

	policy->firewall.egress_count = 1;
	policy->cidr_count = 0;
	policy->port_count = 1;
	for (int k = 0; k < turn % EXTRA_RULES; k++) {
		rule = fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_UDP, "198.51.100.0/24",
		                    100);
		for (uint16_t port = 200; port < 206; port++, rule->ports.count++)
			policy->ports[policy->port_count++] = (struct policy_ports){port, port};
	}
	fixture_apply(0);
}

START_TEST(nothing_slips_through)
{
	int open BASE_AUTO_FD =
	        net_bound(&fixture.net, NET_WORLD, SOCK_DGRAM, "192.0.2.10", ALLOWED_PORT);
	int shut BASE_AUTO_FD =
	        net_bound(&fixture.net, NET_WORLD, SOCK_DGRAM, "192.0.2.10", DENIED_PORT);
	uint64_t allowed = 0, denied = 0, leaked = 0;
	pid_t flood;

	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_UDP, NULL, ALLOWED_PORT);
	fixture_start(0);
	flood = start_flood();
	for (int i = 0; i < CHANGES; i++) {
		if (i % 10 == 0)
			denied += fixture_packets(0, "egress default deny");
		change_policy(i);
		allowed += drain(open);
		leaked += drain(shut);
	}
	kill(flood, SIGKILL);
	waitpid(flood, NULL, 0);
	leaked += drain(shut);
	printf("%d changes, %llu packets allowed, %llu leaked\n", CHANGES,
	       (unsigned long long)allowed, (unsigned long long)leaked);
	ck_assert_uint_gt(allowed, 0);
	ck_assert_uint_gt(denied, 0);
	ck_assert_uint_eq(leaked, 0);
}
END_TEST

/* What another process left half done, and what has to be so at any moment: rules before the tap is up, and
 * until it is down. The next process begins with what it finds. */
START_TEST(nothing_slips_through_ends)
{
	int open BASE_AUTO_FD =
	        net_bound(&fixture.net, NET_WORLD, SOCK_DGRAM, "192.0.2.10", ALLOWED_PORT);
	int shut BASE_AUTO_FD =
	        net_bound(&fixture.net, NET_WORLD, SOCK_DGRAM, "192.0.2.10", DENIED_PORT);
	uint64_t allowed = 0, leaked = 0;
	pid_t flood;

	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_UDP, NULL, ALLOWED_PORT);
	fixture_start(0);
	flood = start_flood();
	for (int i = 0; i < ENDS; i++) {
		/* start, killed at any moment, and restart: the rules are what they were or new */
		fixture_start(0);
		change_and_be_killed(i);
		allowed += drain(open);
		leaked += drain(shut);
		firewall_close(fixture.fw);
		fixture.fw = firewall_open();
		change_policy(i);
		allowed += drain(open);
		/* stop: as the taps go before the rules */
		net_run(&fixture.net, NET_HOST, "ip link set cn0 down");
		ck_assert_int_eq(firewall_vm_remove(fixture.fw, "vm0"), 0);
		leaked += drain(shut);
	}
	kill(flood, SIGKILL);
	waitpid(flood, NULL, 0);
	leaked += drain(shut);
	printf("%d starts, kills, restarts and stops, %llu packets allowed, %llu leaked\n", ENDS,
	       (unsigned long long)allowed, (unsigned long long)leaked);
	ck_assert_uint_gt(allowed, 0);
	ck_assert_uint_eq(leaked, 0);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("leak");
	Suite *suite = suite_create("firewall leak");
	SRunner *runner;
	int failed;

	if (!net_possible())
		return 77;
	tcase_add_checked_fixture(tests, fixture_open, fixture_close);
	tcase_set_timeout(tests, 170);
	tcase_add_test(tests, nothing_slips_through);
	tcase_add_test(tests, nothing_slips_through_ends);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
