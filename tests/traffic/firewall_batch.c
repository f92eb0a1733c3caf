/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What goes into the kernel by the short way is, word for word and bit for bit, what libnftables makes of the text. */
#include <arpa/inet.h>
#include <check.h>
#include <libmnl/libmnl.h>

#include "base/base.h"
#include "firewall/rules.h"
#include "tests/traffic/firewall_fixture.h"

enum { WORDS = 65536 };

static int order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The rule set with its bytecode, as sorted words: the order of elements is the kernel's own. */
static size_t words_of(char *text, char **words)
{
	size_t count = 0;

	for (char *word = strtok(text, " ,\n\t"); word; word = strtok(NULL, " ,\n\t")) {
		ck_assert_uint_lt(count, WORDS);
		words[count++] = word;
	}
	qsort(words, count, sizeof(*words), order);
	return count;
}

static char *ruleset(void)
{
	return net_output(&fixture.net, NET_HOST, "nft --debug=netlink list ruleset");
}

static void policy_rules(void)
{
	static const char *const cidrs[] = {"192.0.2.0/24",  "10.0.0.0/9",      "192.0.2.7/32",
	                                    "0.0.0.0/0",     "224.0.0.251/32",  "2001:db8::/33",
	                                    "2001:db8::/64", "2001:db8::7/128", "ff02::fb/128"};
	static const enum policy_proto protocols[] = {
	        POLICY_PROTO_TCP,    POLICY_PROTO_UDP,    POLICY_PROTO_SCTP, POLICY_PROTO_ANY,
	        POLICY_PROTO_ICMPV4, POLICY_PROTO_ICMPV6, POLICY_PROTO_ICMP};
	struct policy *policy = fixture.policies[0];
	struct policy_rule *rule;

	for (size_t i = 0; i < BASE_COUNT(cidrs); i++)
		for (int ingress = 0; ingress < 2; ingress++)
			fixture_rule(0, ingress, ingress && i % 2 ? POLICY_DROP : POLICY_ALLOW,
			             protocols[i % 3], cidrs[i], (uint16_t)(443 + i));
	for (size_t i = 0; i < BASE_COUNT(protocols); i++)
		fixture_rule(0, true, POLICY_ALLOW, protocols[i], NULL, 0);
	rule = fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, "169.254.169.254/32", 80);
	policy->ports[rule->ports.first].last = 90;
	rule = fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_ICMPV4, "192.0.2.0/24", 0);
	rule->types4[1] = 1; /* 8: an echo request */
	rule = fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_NUMBER, "192.0.2.0/24", 0);
	rule->protocol = 47;
	policy->peers[0].kind = POLICY_PEER_WORLD;
	policy->peers[1].kind = POLICY_PEER_VMS;
	policy->peer_count = 2;
	rule = fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, "192.0.2.0/24", 22);
	rule->peers.count = 2;
}

/* All that a policy can say, but for bridges. */
static const char all_of_it[] =
        "version: 1\n"
        "vm:\n"
        "  name: vm0\n"
        "  groups: [blue]\n"
        "  kernel: debian-12\n"
        "  nics: [{mode: nat, forward: [{host: 8080, guest: 80}, {host: 4430, guest: 443}]}]\n"
        "firewall:\n"
        "  sets: {offices: [192.0.2.0/24, 192.0.3.0/24, 198.51.100.9, 2001:db8::/48, '::/3']}\n"
        "  ingress:\n"
        "    - {from: [192.0.2.1, 192.0.2.2, 192.0.2.7, 192.0.2.64/26, 255.255.255.0/25, "
        "2001:db8::1],\n"
        "       proto: tcp, ports: [80, 443, 8000-8100, 8101, 9000, 65535]}\n"
        "    - {from: set:offices, proto: tcp, ports: [22], limits: {new_connections: 5/s, "
        "connections: 10}}\n"
        "    - {from: world, action: reject, proto: tcp, ports: [25]}\n"
        "    - {from: world, action: reject, proto: udp, ports: [25]}\n"
        "    - {from: vms, action: drop, service: mysql}\n"
        "  egress:\n"
        "    - {to: {names: [www.example.org, '*.example.com']}, proto: tcp, ports: [443]}\n"
        "    - {to: 203.0.113.5, service: dns, log: true}\n"
        "    - {to: group:blue, service: [postgresql, ping]}\n"
        "    - {to: 203.0.113.0/24, service: https,\n"
        "       limits: {bandwidth: 10Mbit, packets: 1000/s, quota: 10G}}\n"
        "    - {to: 203.0.114.0/24, action: reject}\n"
        "    - {to: 203.0.115.0/24, action: drop, proto: udp}\n"
        "    - {to: vm:db, service: redis}\n"
        "    - {to: metadata, proto: tcp, ports: [80]}\n"
        "  limits: {new_connections: 50/s, connections: 1000, bandwidth: 100Mbit, packets: "
        "10000/s,\n"
        "    quota: 100G}\n";

static void policy_of_all(void)
{
	struct policy_errors *errors BASE_AUTO_FREE = calloc(1, sizeof(*errors));

	ck_assert_ptr_nonnull(errors);
	int error = policy_parse(all_of_it, sizeof(all_of_it) - 1, fixture.policies[0], errors);

	if (error)
		policy_errors_print(stderr, "all_of_it", errors);
	ck_assert_int_eq(error, 0);
}

/* `_i`: 0: many matches; 1: all kinds of everything else. */
START_TEST(the_same_as_by_libnftables)
{
	static char *one[WORDS], *other[WORDS];
	char *text = NULL, *rest, *layout;
	struct mnl_socket *socket = NULL;
	uint32_t sequence = 1;
	size_t size = 0, count;
	FILE *out = open_memstream(&text, &size);

	if (_i)
		policy_of_all();
	else
		policy_rules();
	ck_assert_int_eq(firewall_explain(out, fixture.policies[0], fixture.nics, 1), 0);
	ck_assert_int_eq(fclose(out), 0);
	layout = strstr(text, "add chain netdev cordon layout_");
	ck_assert_ptr_nonnull(layout);
	rest = strchr(layout, '\n') + 1;
	ck_assert_msg(firewall_run(fixture.fw, text) == 0, "%s", firewall_error(fixture.fw));
	char *long_way BASE_AUTO_FREE = ruleset();
	ck_assert_int_eq(firewall_forget(fixture.fw), 0);

	ck_assert_int_eq(firewall_batch_open(&socket), 0);
	ck_assert_int_eq(firewall_batch_run(socket, &sequence, text), -EOPNOTSUPP);
	rest[-1] = '\0';
	ck_assert_int_eq(firewall_run(fixture.fw, text), 0);
	ck_assert_int_eq(firewall_batch_run(socket, &sequence, rest), 0);
	char *short_way BASE_AUTO_FREE = ruleset();
	count = words_of(long_way, one);
	ck_assert_uint_gt(count, 1000);
	ck_assert_uint_eq(words_of(short_way, other), count);
	for (size_t i = 0; i < count; i++)
		ck_assert_str_eq(one[i], other[i]);
	/* and it goes as it came */
	if (_i)
		ck_assert_int_eq(firewall_vm_remove(fixture.fw, "vm0"), 0);
	free(text);
	mnl_socket_close(socket);
}
END_TEST

/* Whole, or not at all; and what is not known is left to who knows it. */
START_TEST(refused_as_a_whole)
{
	static const struct {
		const char *text;
		int error;
	} cases[] = {
	        {"add chain inet cordon a\nadd rule inet cordon a goto absent\n", -ENOENT},
	        {"add chain inet cordon a\ndelete chain inet cordon absent\n", -ENOENT},
	        {"add chain inet cordon a\nadd chain inet cordon a extra\n", -EOPNOTSUPP},
	        {"add chain inet cordon a\nadd rule inet cordon a limit rate 1/minute\n",
	         -EOPNOTSUPP},
	        {"add chain inet cordon a\nadd rule inet cordon a ip daddr 1.2.3.4/33 drop\n",
	         -EOPNOTSUPP},
	        {"add chain inet cordon a\nadd rule inet cordon a tcp dport 65536 drop\n",
	         -EOPNOTSUPP},
	        {"add chain inet cordon a\nadd rule inet cordon a ip daddr 1.2.3.4/32 ip6 daddr "
	         "::1/128 drop\n",
	         -EOPNOTSUPP},
	        {"add chain inet cordon a\nadd element inet cordon vms { \"0123456789abcdef\" }\n",
	         -EOPNOTSUPP},
	        {"add chain inet other a\n", -EOPNOTSUPP},
	};
	struct mnl_socket *socket = NULL;
	uint32_t sequence = 1;

	fixture_apply(0);
	ck_assert_int_eq(firewall_batch_open(&socket), 0);
	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		int error = firewall_batch_run(socket, &sequence, cases[i].text);

		ck_assert_msg(error == cases[i].error, "%zu: %d", i, error);
		ck_assert_int_eq(firewall_read_chain(NULL, "inet", "a", NULL, NULL), -ENOENT);
	}
	ck_assert_int_eq(firewall_batch_run(socket, &sequence, "add chain inet cordon a\n"), 0);
	ck_assert_int_eq(firewall_read_chain(NULL, "inet", "a", NULL, NULL), 0);
	mnl_socket_close(socket);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("batch");
	Suite *suite = suite_create("firewall batch");
	SRunner *runner;
	int failed;

	if (!net_possible())
		return 77;
	tcase_add_checked_fixture(tests, fixture_open, fixture_close);
	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, the_same_as_by_libnftables, 0, 2);
	tcase_add_test(tests, refused_as_a_whole);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
