/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rules' own life: they come before the tap is up, change in one step, cut a VM off, and go. */
#include <check.h>
#include <sys/socket.h>

#include "base/base.h"
#include "tests/traffic/firewall_fixture.h"

static const char world[] = "192.0.2.10";

static char *ruleset(void)
{
	return net_output(&fixture.net, NET_HOST, "nft list ruleset");
}

/* Something that stands for docker's, firewalld's and the operator's own rules. */
static void load_foreign_rules(void)
{
	net_run(&fixture.net, NET_HOST, "nft add table ip filter");
	net_run(&fixture.net, NET_HOST,
	        "nft add chain ip filter FORWARD { type filter hook forward priority 0 ; policy "
	        "accept ; }");
	net_run(&fixture.net, NET_HOST, "nft add rule ip filter FORWARD counter accept");
	net_run(&fixture.net, NET_HOST, "nft add table inet firewalld");
	net_run(&fixture.net, NET_HOST,
	        "nft add set inet firewalld s { type ipv4_addr ; elements = { 192.0.2.77 } ; }");
	net_run(&fixture.net, NET_HOST, "nft add table netdev other");
}

START_TEST(remove_leaves_what_was_there)
{
	char names[4][POLICY_NAME_MAX];

	load_foreign_rules();
	char *before BASE_AUTO_FREE = ruleset();
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, "192.0.2.0/24", 0);
	fixture_apply(0);
	fixture_apply(1);
	ck_assert_int_eq(firewall_vm_list(fixture.fw, names, 4), 2);
	ck_assert_int_eq(firewall_vm_quarantine(fixture.fw, "vm0", NULL), 0);
	ck_assert_int_eq(firewall_vm_remove(fixture.fw, "vm0"), 0);
	ck_assert_int_eq(firewall_vm_remove(fixture.fw, "vm0"), 0);
	ck_assert_int_eq(firewall_vm_list(fixture.fw, names, 4), 1);
	ck_assert_str_eq(names[0], "vm1");
	char *between BASE_AUTO_FREE = ruleset();
	ck_assert_ptr_null(strstr(between, "vm_vm0"));
	ck_assert_ptr_null(strstr(between, "\"cn0\""));
	ck_assert_int_eq(firewall_vm_remove(fixture.fw, "vm1"), 0);
	char *after BASE_AUTO_FREE = ruleset();
	ck_assert_str_eq(before, after);
}
END_TEST

START_TEST(remove_after_the_tap_is_gone)
{
	char *before BASE_AUTO_FREE = ruleset();

	fixture_start(0);
	fixture_start(1);
	net_run(&fixture.net, NET_HOST, "ip link del cn0");
	ck_assert_int_eq(firewall_vm_remove(fixture.fw, "vm0"), 0);
	net_run(&fixture.net, NET_HOST, "ip link del cn1");
	ck_assert_int_eq(firewall_vm_remove(fixture.fw, "vm1"), 0);
	char *after BASE_AUTO_FREE = ruleset();
	ck_assert_str_eq(before, after);
}
END_TEST

START_TEST(apply_after_the_tap_was_made_again)
{
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, NULL, 0);
	fixture_start(0);
	net_run(&fixture.net, NET_HOST, "ip link set cn1 down");
	net_run(&fixture.net, NET_HOST, "ip link set cn0 down");
	net_run(&fixture.net, NET_HOST, "ip link set cn0 name old0");
	strcpy(fixture.nics[0].tap, "cnnew");
	net_run(&fixture.net, NET_HOST, "ip link set old0 name cnnew");
	fixture_apply(0);
	char *now BASE_AUTO_FREE = ruleset();
	ck_assert_ptr_null(strstr(now, "\"cn0\""));
	net_run(&fixture.net, NET_HOST, "ip link set cnnew up");
	ck_assert(net_reaches(&fixture.net, 0, world, ALLOWED_PORT, WAIT));
}
END_TEST

START_TEST(tap_without_rules_is_closed)
{
	fixture_rule(1, false, POLICY_ALLOW, POLICY_PROTO_ANY, NULL, 0);
	fixture_start(1);
	net_tap_up(&fixture.net, 0);
	ck_assert(net_reaches(&fixture.net, 1, world, ALLOWED_PORT, WAIT));
	ck_assert(!net_reaches(&fixture.net, 0, world, ALLOWED_PORT, SHORT));
	ck_assert(!net_pings(&fixture.net, 0, "10.77.0.1", SHORT));
}
END_TEST

START_TEST(quarantine_cuts_and_release_restores)
{
	struct policy_cidr friend = {.family = 4, .prefix = 32, .addr = {192, 0, 2, 10}};
	char buffer[8];
	int there BASE_AUTO_FD = -1, fd BASE_AUTO_FD = -1;

	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, NULL, ALLOWED_PORT);
	fixture_start(0);
	fd = net_connecting(&fixture.net, 0, world, ALLOWED_PORT);
	ck_assert(net_connected(fd, WAIT) && net_readable(fixture.listeners[0], WAIT));
	there = accept(fixture.listeners[0], NULL, NULL);
	ck_assert(write(fd, "before", 6) == 6 && net_readable(there, WAIT));
	ck_assert_int_eq(read(there, buffer, sizeof(buffer)), 6);

	ck_assert_int_eq(firewall_vm_quarantine(fixture.fw, "vm0", NULL), 0);
	ck_assert_int_eq(write(fd, "during", 6), 6);
	ck_assert(fixture_counts(0, "quarantine from guest", 1));
	ck_assert_int_eq(write(there, "back", 4), 4);
	ck_assert(fixture_counts(0, "quarantine to guest", 1));
	ck_assert(!net_readable(there, SHORT) && !net_readable(fd, 0));
	ck_assert(!net_pings(&fixture.net, 0, "10.77.0.1", SHORT));
	/* a new policy does not lift it */
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_ANY, NULL, 0);
	fixture_apply(0);
	ck_assert(!net_reaches(&fixture.net, 0, world, ALLOWED_PORT, SHORT));
	/* but the one peer that it names gets through */
	ck_assert_int_eq(firewall_vm_quarantine(fixture.fw, "vm0", &friend), 0);
	ck_assert(net_readable(there, WAIT));
	ck_assert_int_eq(read(there, buffer, sizeof(buffer)), 6);
	ck_assert(!net_pings(&fixture.net, 0, "10.77.0.1", SHORT));

	ck_assert_int_eq(firewall_vm_release(fixture.fw, "vm0"), 0);
	ck_assert_int_eq(firewall_vm_release(fixture.fw, "vm0"), 0);
	ck_assert(net_pings(&fixture.net, 0, "10.77.0.1", WAIT));
	ck_assert(net_readable(fd, WAIT));
	ck_assert(net_reaches(&fixture.net, 0, world, ALLOWED_PORT, WAIT));
}
END_TEST

/* A quarantined VM's friend must still ask the friend's own rules, if the friend is a VM. */
START_TEST(quarantine_allows_for_one_side_only)
{
	struct policy_cidr all = {.family = 4};
	int guest BASE_AUTO_FD = net_bound(&fixture.net, 1, SOCK_STREAM, "10.77.0.6", 80);

	fixture_start(0);
	fixture_start(1);
	ck_assert_int_eq(firewall_vm_quarantine(fixture.fw, "vm0", &all), 0);
	ck_assert(net_reaches(&fixture.net, 0, world, ALLOWED_PORT, WAIT));
	ck_assert(!net_reaches(&fixture.net, 0, "10.77.0.6", 80, SHORT));
	ck_assert_uint_ge(fixture_packets(1, "ingress default deny"), 1);
}
END_TEST

START_TEST(quarantine_of_nobody)
{
	ck_assert_int_eq(firewall_vm_quarantine(fixture.fw, "vm9", NULL), -ENOENT);
	ck_assert_int_eq(firewall_vm_remove(fixture.fw, "vm9"), 0);
	ck_assert_int_eq(firewall_vm_remove(fixture.fw, "a b"), -EINVAL);
}
END_TEST

START_TEST(failed_apply_changes_nothing)
{
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, "192.0.2.0/24", 80);
	fixture_apply(0);
	char *before BASE_AUTO_FREE = ruleset();
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, NULL, 81);
	strcpy(fixture.nics[0].tap, "cn-absent");
	/* the netdev chain needs its device on the kernels that cannot bind by name */
	int error = firewall_vm_apply(fixture.fw, fixture.policies[0], fixture.nics, 1);
	char *after BASE_AUTO_FREE = ruleset();
	if (error)
		ck_assert_str_eq(before, after);
	fixture.policies[0]->vm.name[0] = '-';
	ck_assert_int_eq(firewall_vm_apply(fixture.fw, fixture.policies[0], fixture.nics, 1),
	                 -EINVAL);
}
END_TEST

/* Sets come and go with the rules that need them. */
START_TEST(replace_swaps_sets)
{
	struct policy *policy = fixture.policies[0];
	struct policy_rule *rule =
	        fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, "192.0.2.0/24", 1000);

	for (uint16_t port = 1001; port < 1006; port++)
		policy->ports[policy->port_count++] = (struct policy_ports){port, port};
	policy->ports[policy->port_count++] = (struct policy_ports){1003, 1010};
	rule->ports.count = (uint16_t)policy->port_count;
	fixture_start(0);
	char *first BASE_AUTO_FREE = ruleset();
	ck_assert_ptr_nonnull(strstr(first, "set vm_vm0_a_egress_0_ports"));
	ck_assert_msg(strstr(first, "1003-1010"), "%.300s", strstr(first, "set vm_"));
	ck_assert(!net_reaches(&fixture.net, 0, world, ALLOWED_PORT, SHORT));
	policy->ports[0] = (struct policy_ports){ALLOWED_PORT, ALLOWED_PORT};
	fixture_apply(0);
	char *second BASE_AUTO_FREE = ruleset();
	ck_assert_ptr_null(strstr(second, "vm_vm0_a_"));
	ck_assert_ptr_nonnull(strstr(second, "set vm_vm0_b_egress_0_ports"));
	ck_assert(net_reaches(&fixture.net, 0, world, ALLOWED_PORT, WAIT));
	rule->ports.count = 0;
	fixture_apply(0);
	char *third BASE_AUTO_FREE = ruleset();
	ck_assert_ptr_null(strstr(third, "egress_0_ports"));
}
END_TEST

START_TEST(this_kernel_suffices)
{
	const char *missing = NULL;

	ck_assert_msg(firewall_host_check(fixture.fw, &missing), "missing: %s", missing);
	char *now BASE_AUTO_FREE = ruleset();
	ck_assert_str_eq(now, "");
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("life");
	Suite *suite = suite_create("firewall life");
	SRunner *runner;
	int failed;

	if (!net_possible())
		return 77;
	tcase_add_checked_fixture(tests, fixture_open, fixture_close);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, remove_leaves_what_was_there);
	tcase_add_test(tests, remove_after_the_tap_is_gone);
	tcase_add_test(tests, apply_after_the_tap_was_made_again);
	tcase_add_test(tests, tap_without_rules_is_closed);
	tcase_add_test(tests, quarantine_cuts_and_release_restores);
	tcase_add_test(tests, quarantine_allows_for_one_side_only);
	tcase_add_test(tests, quarantine_of_nobody);
	tcase_add_test(tests, failed_apply_changes_nothing);
	tcase_add_test(tests, replace_swaps_sets);
	tcase_add_test(tests, this_kernel_suffices);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
