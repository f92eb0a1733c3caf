/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Beside Docker, firewalld and ufw: their rules are byte for byte what they were after a VM's whole life, and
 * a forward chain of theirs that drops guests' packets is named. Their rules are written by us, after what they
 * load: neighbours/ has them.
 */
#include <check.h>

#include "base/base.h"
#include "tests/traffic/firewall_fixture.h"

enum { FOREIGN_MAX = 8 };

static const char world[] = "192.0.2.10";
static const struct {
	const char *file, *chain, *allow;
	bool policy;
} neighbours[] = {
        {"docker.nft", "ip filter FORWARD", "nft insert rule ip filter DOCKER-USER accept", true},
        {"firewalld.nft", "inet firewalld filter_FORWARD",
         "nft insert rule inet firewalld filter_FORWARD iifname \"cn*\" accept", false},
        {"ufw.nft", "ip filter FORWARD", "nft add rule ip filter ufw-user-forward accept", true},
};

/* Without counters, and without our own tables. */
static char *ruleset(void)
{
	return net_output(&fixture.net, NET_HOST, "nft -s list ruleset");
}

static void load(int i)
{
	char *command BASE_AUTO_FREE = NULL;

	ck_assert_int_ge(asprintf(&command, "nft -f %s/%s", NEIGHBOURS, neighbours[i].file), 0);
	net_run(&fixture.net, NET_HOST, command);
}

static void compare(const char *was)
{
	char *is BASE_AUTO_FREE = ruleset();

	ck_assert_msg(strcmp(was, is) == 0, "the rules were changed: %.2000s", is);
}

static void live(void)
{
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, NULL, ALLOWED_PORT);
	fixture_start(0);
	fixture_start(1);
	ck_assert(net_reaches(&fixture.net, 0, world, ALLOWED_PORT, WAIT));
	ck_assert(!net_reaches(&fixture.net, 0, world, DENIED_PORT, SHORT));
	ck_assert_int_eq(firewall_vm_quarantine(fixture.fw, "vm0", NULL), 0);
	ck_assert(!net_reaches(&fixture.net, 0, world, ALLOWED_PORT, SHORT));
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_UDP, "198.51.100.0/24", 53);
	fixture_apply(0);
	ck_assert_int_eq(firewall_vm_release(fixture.fw, "vm0"), 0);
	ck_assert(net_reaches(&fixture.net, 0, world, ALLOWED_PORT, WAIT));
	ck_assert_int_eq(firewall_vm_remove(fixture.fw, "vm0"), 0);
	ck_assert_int_eq(firewall_vm_remove(fixture.fw, "vm1"), 0);
}

START_TEST(theirs_is_as_it_was)
{
	struct firewall_foreign list[FOREIGN_MAX];
	struct firewall *fw = firewall_open();

	load(_i);
	ck_assert_int_eq(firewall_foreign(fw, list, FOREIGN_MAX), 1);
	ck_assert_str_eq(list[0].chain, neighbours[_i].chain);
	ck_assert_int_eq(list[0].policy, neighbours[_i].policy);
	char *denying BASE_AUTO_FREE = ruleset();
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, NULL, DENIED_PORT);
	fixture_start(0);
	/* ours allows it, and that does not help: which is why it is said */
	ck_assert(!net_reaches(&fixture.net, 0, world, DENIED_PORT, SHORT));
	ck_assert_int_eq(firewall_vm_remove(fixture.fw, "vm0"), 0);
	compare(denying);
	fixture.policies[0]->firewall.egress_count = 0;

	net_run(&fixture.net, NET_HOST, neighbours[_i].allow);
	char *allowing BASE_AUTO_FREE = ruleset();
	live();
	compare(allowing);
	firewall_close(fw);
}
END_TEST

START_TEST(nobody_there)
{
	struct firewall_foreign list[FOREIGN_MAX];

	fixture_start(0);
	net_run(&fixture.net, NET_HOST, "nft add table ip other");
	net_run(&fixture.net, NET_HOST,
	        "nft add chain ip other f { type filter hook forward priority 0 ; }");
	net_run(&fixture.net, NET_HOST, "nft add rule ip other f tcp dport 1 drop");
	ck_assert_int_eq(firewall_foreign(fixture.fw, list, FOREIGN_MAX), 0);
	net_run(&fixture.net, NET_HOST, "nft add rule ip other f counter drop");
	ck_assert_int_eq(firewall_foreign(fixture.fw, list, 0), 1);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("neighbours");
	Suite *suite = suite_create("firewall neighbours");
	SRunner *runner;
	int failed;

	if (!net_possible())
		return 77;
	tcase_add_checked_fixture(tests, fixture_open, fixture_close);
	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, theirs_is_as_it_was, 0, BASE_COUNT(neighbours));
	tcase_add_test(tests, nobody_there);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
