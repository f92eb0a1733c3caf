/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Real packets through the rules of the policy: what passes, what does not, and who counted it. */
#include <check.h>
#include <sys/socket.h>

#include "base/base.h"
#include "tests/traffic/firewall_fixture.h"

static const char world[] = "192.0.2.10";

START_TEST(allowed_passes_and_the_rest_is_denied)
{
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, "192.0.2.0/24", ALLOWED_PORT);
	fixture_start(0);
	ck_assert(net_reaches(&fixture.net, 0, world, ALLOWED_PORT, WAIT));
	ck_assert_uint_eq(fixture_packets(0, "egress[0]"), 1);
	ck_assert_uint_eq(fixture_packets(0, "egress default deny"), 0);
	int fd BASE_AUTO_FD = net_connecting(&fixture.net, 0, world, DENIED_PORT);
	ck_assert(fixture_counts(0, "egress default deny", 1));
	ck_assert(!net_connected(fd, SHORT));
	ck_assert(!net_readable(fixture.listeners[1], 0));
}
END_TEST

START_TEST(reject_answers)
{
	fixture_rule(0, false, POLICY_REJECT, POLICY_PROTO_TCP, NULL, DENIED_PORT);
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, NULL, 0);
	fixture_start(0);
	int fd BASE_AUTO_FD = net_connecting(&fixture.net, 0, world, DENIED_PORT);
	ck_assert(!net_connected(fd, WAIT));
	ck_assert_uint_ge(fixture_packets(0, "egress[0]"), 1);
	ck_assert(net_reaches(&fixture.net, 0, world, ALLOWED_PORT, WAIT));
}
END_TEST

START_TEST(ingress_is_denied_until_allowed)
{
	int guest BASE_AUTO_FD = net_bound(&fixture.net, 0, SOCK_STREAM, "10.77.0.2", 80);
	int denied BASE_AUTO_FD = -1;

	net_run(&fixture.net, NET_WORLD, "ip route add 10.77.0.0/16 via 192.0.2.1");
	fixture_start(0);
	denied = net_connecting(&fixture.net, NET_WORLD, "10.77.0.2", 80);
	ck_assert(fixture_counts(0, "ingress default deny", 1));
	ck_assert(!net_connected(denied, SHORT));
	fixture_rule(0, true, POLICY_ALLOW, POLICY_PROTO_TCP, "192.0.2.10/32", 80);
	fixture_apply(0);
	ck_assert(net_reaches(&fixture.net, NET_WORLD, "10.77.0.2", 80, WAIT));
	ck_assert_uint_ge(fixture_packets(0, "ingress[0]"), 1);
}
END_TEST

START_TEST(host_is_not_part_of_any)
{
	int ssh BASE_AUTO_FD = net_bound(&fixture.net, NET_HOST, SOCK_STREAM, "0.0.0.0", 22);
	int first BASE_AUTO_FD = -1, second BASE_AUTO_FD = -1;

	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, NULL, 0);
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, "10.77.0.0/24", 0);
	fixture_start(0);
	ck_assert(net_reaches(&fixture.net, 0, world, ALLOWED_PORT, WAIT));
	first = net_connecting(&fixture.net, 0, "10.77.0.1", 22);
	ck_assert(fixture_counts(0, "host default deny", 1));
	second = net_connecting(&fixture.net, 0, "192.0.2.1", 22);
	ck_assert(fixture_counts(0, "host default deny", 2));
	ck_assert(!net_connected(first, SHORT) && !net_connected(second, SHORT));
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, "10.77.0.1/32", 22);
	fixture_apply(0);
	ck_assert(net_reaches(&fixture.net, 0, "10.77.0.1", 22, WAIT));
}
END_TEST

START_TEST(gateway_answers_pings)
{
	fixture_start(0);
	ck_assert(net_pings(&fixture.net, 0, "10.77.0.1", WAIT));
	ck_assert(net_pings(&fixture.net, 0, "fd77::1", WAIT));
	ck_assert_uint_ge(fixture_packets(0, "ping of the gateway"), 2);
}
END_TEST

START_TEST(metadata_has_to_be_named)
{
	int service BASE_AUTO_FD = -1, denied BASE_AUTO_FD = -1;

	net_run(&fixture.net, NET_WORLD, "ip addr add 169.254.169.254/32 dev w0");
	net_run(&fixture.net, NET_HOST, "ip route add 169.254.169.254 dev up0");
	service = net_bound(&fixture.net, NET_WORLD, SOCK_STREAM, "169.254.169.254", 80);
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, "169.254.0.0/16", 0);
	fixture_start(0);
	denied = net_connecting(&fixture.net, 0, "169.254.169.254", 80);
	ck_assert(fixture_counts(0, "cloud metadata", 1));
	ck_assert(!net_connected(denied, SHORT));
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, "169.254.169.254/32", 80);
	fixture_apply(0);
	ck_assert(net_reaches(&fixture.net, 0, "169.254.169.254", 80, WAIT));
}
END_TEST

START_TEST(two_vms_have_to_agree)
{
	int guest BASE_AUTO_FD = net_bound(&fixture.net, 1, SOCK_STREAM, "10.77.0.6", 80);
	int first BASE_AUTO_FD = -1, second BASE_AUTO_FD = -1;

	fixture_start(0);
	fixture_start(1);
	first = net_connecting(&fixture.net, 0, "10.77.0.6", 80);
	ck_assert(fixture_counts(0, "egress default deny", 1));
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_ANY, NULL, 0);
	fixture_apply(0);
	second = net_connecting(&fixture.net, 0, "10.77.0.6", 80);
	ck_assert(fixture_counts(1, "ingress default deny", 1));
	ck_assert(!net_readable(guest, SHORT));
	fixture_rule(1, true, POLICY_ALLOW, POLICY_PROTO_TCP, "10.77.0.2/32", 80);
	fixture_apply(1);
	ck_assert(net_reaches(&fixture.net, 0, "10.77.0.6", 80, WAIT));
}
END_TEST

START_TEST(host_only_stays_on_the_host)
{
	fixture.nics[0].mode = POLICY_NIC_HOST_ONLY;
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_ANY, NULL, 0);
	fixture_start(0);
	int fd BASE_AUTO_FD = net_connecting(&fixture.net, 0, world, ALLOWED_PORT);
	ck_assert(fixture_counts(0, "egress of a host-only nic", 1));
	ck_assert(!net_connected(fd, SHORT));
	ck_assert(net_pings(&fixture.net, 0, "10.77.0.1", WAIT));
}
END_TEST

START_TEST(connections_are_limited)
{
	int held[3];

	fixture.policies[0]->firewall.limits.connections = 2;
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, NULL, 0);
	fixture_start(0);
	for (int i = 0; i < 2; i++) {
		held[i] = net_connecting(&fixture.net, 0, world, ALLOWED_PORT);
		ck_assert(net_connected(held[i], WAIT));
	}
	held[2] = net_connecting(&fixture.net, 0, world, ALLOWED_PORT);
	ck_assert(fixture_counts(0, "egress connections", 1));
	ck_assert(!net_connected(held[2], SHORT));
	for (int i = 0; i < 3; i++)
		base_close(&held[i]);
}
END_TEST

START_TEST(new_connections_are_limited)
{
	enum { TRIES = 20 };
	int fds[TRIES];

	fixture.policies[0]->firewall.limits.new_connections = 1;
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, NULL, 0);
	fixture_start(0);
	for (int i = 0; i < TRIES; i++)
		fds[i] = net_connecting(&fixture.net, 0, world, ALLOWED_PORT);
	ck_assert(fixture_counts(0, "egress new connections", 1));
	ck_assert(net_connected(fds[0], WAIT));
	for (int i = 0; i < TRIES; i++)
		base_close(&fds[i]);
}
END_TEST

/* A host without IPv6 gives the guest none, and then it has none. */
START_TEST(no_ipv6_without_an_address)
{
	memset(fixture.nics[0].ip6, 0, 16);
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_ANY, NULL, 0);
	fixture_start(0);
	ck_assert(net_reaches(&fixture.net, 0, world, ALLOWED_PORT, WAIT));
	int fd BASE_AUTO_FD = net_connecting(&fixture.net, 0, "2001:db8::10", ALLOWED_PORT);
	ck_assert(fixture_counts(0, "ipv6 without an address", 1));
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("flow");
	Suite *suite = suite_create("firewall flow");
	SRunner *runner;
	int failed;

	if (!net_possible())
		return 77;
	tcase_add_checked_fixture(tests, fixture_open, fixture_close);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, allowed_passes_and_the_rest_is_denied);
	tcase_add_test(tests, reject_answers);
	tcase_add_test(tests, ingress_is_denied_until_allowed);
	tcase_add_test(tests, host_is_not_part_of_any);
	tcase_add_test(tests, gateway_answers_pings);
	tcase_add_test(tests, metadata_has_to_be_named);
	tcase_add_test(tests, two_vms_have_to_agree);
	tcase_add_test(tests, host_only_stays_on_the_host);
	tcase_add_test(tests, connections_are_limited);
	tcase_add_test(tests, new_connections_are_limited);
	tcase_add_test(tests, no_ipv6_without_an_address);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
