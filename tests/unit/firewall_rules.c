/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a policy to text, without a kernel: what firewall_explain() prints is what would be loaded. */
#include <arpa/inet.h>
#include <check.h>

#include "base/base.h"
#include "firewall/firewall.h"

static struct policy *policy;
static struct firewall_nic nic;

static void setup(void)
{
	policy = calloc(1, sizeof(*policy));
	ck_assert_ptr_nonnull(policy);
	strcpy(policy->vm.name, "web0");
	policy->firewall.dns = true;
	policy->firewall.line = 3;
	nic = (struct firewall_nic){
	        .tap = "cn5",
	        .mode = POLICY_NIC_NAT,
	        .mac = {0x02, 0xab, 0, 0, 0, 0x0f},
	        .ip4 = {10, 77, 0, 2},
	        .gateway4 = {10, 77, 0, 1},
	        .dhcp_port = 10067,
	        .dns_port = 10053,
	};
}
static void teardown(void)
{
	free(policy);
}

static struct policy_rule *add_rule(enum policy_action action, enum policy_proto proto)
{
	struct policy_rule *rule = &policy->firewall.egress[policy->firewall.egress_count++];

	*rule = (struct policy_rule){
	        .action = action,
	        .proto = proto,
	        .cidrs.first = (uint16_t)policy->cidr_count,
	        .ports.first = (uint16_t)policy->port_count,
	        .line = 10 + (uint32_t)policy->firewall.egress_count,
	};
	return rule;
}
static void add_cidr(struct policy_rule *rule, const char *address, uint8_t prefix)
{
	struct policy_cidr *cidr = &policy->cidrs[policy->cidr_count++];

	cidr->family = strchr(address, ':') ? 6 : 4;
	cidr->prefix = prefix;
	ck_assert_int_eq(inet_pton(cidr->family == 4 ? AF_INET : AF_INET6, address, cidr->addr), 1);
	rule->cidrs.count++;
}
static void add_ports(struct policy_rule *rule, uint16_t first, uint16_t last)
{
	policy->ports[policy->port_count++] = (struct policy_ports){first, last};
	rule->ports.count++;
}

/* Returns the text, owned by the caller; NULL when the policy was refused with `expected`. */
static char *explain(int expected)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	ck_assert_ptr_nonnull(out);
	ck_assert_int_eq(firewall_explain(out, policy, &nic, 1), expected);
	ck_assert_int_eq(fclose(out), 0);
	return text;
}

static void expect(const char *line)
{
	char *text BASE_AUTO_FREE = explain(0), whole[400];

	snprintf(whole, sizeof(whole), "\n%s\n", line);
	ck_assert_msg(strstr(text, whole) != NULL, "no line `%s`", line);
}
static void expect_none(const char *part)
{
	char *text BASE_AUTO_FREE = explain(0);

	ck_assert_msg(!strstr(text, part), "`%s` is there", part);
}

START_TEST(small_products_are_written_out)
{
	struct policy_rule *rule = add_rule(POLICY_ALLOW, POLICY_PROTO_TCP);

	add_cidr(rule, "192.0.2.0", 24);
	add_cidr(rule, "2001:db8::", 32);
	add_ports(rule, 80, 80);
	add_ports(rule, 8000, 8080);
	expect("add rule inet cordon vm_web0_egress ip daddr 192.0.2.0/24 tcp dport 80 ct mark set "
	       "ct mark & 0x0000ffff | 0x00100000 counter return comment \"egress[0], line 11\"");
	expect("add rule inet cordon vm_web0_egress ip6 daddr 2001:db8::/32 tcp dport 8000-8080 ct "
	       "mark set ct mark & 0x0000ffff | 0x00100000 counter return comment \"egress[0], "
	       "line 11\"");
	expect_none("add set inet cordon vm_");
}
END_TEST

START_TEST(large_products_use_sets)
{
	struct policy_rule *rule = add_rule(POLICY_DROP, POLICY_PROTO_UDP);

	add_cidr(rule, "198.51.100.128", 25);
	add_cidr(rule, "192.0.2.0", 24);
	add_cidr(rule, "192.0.2.77", 32); /* covered by the one before */
	add_cidr(rule, "192.0.2.0", 24);  /* the same again */
	add_ports(rule, 500, 600);
	add_ports(rule, 53, 53);
	add_ports(rule, 550, 700); /* overlaps the first */
	expect("add set inet cordon vm_web0_a_egress_0_ip4 { type ipv4_addr ; flags interval ; "
	       "elements = { 192.0.2.0/24, 198.51.100.128/25 } ; }");
	expect("add set inet cordon vm_web0_a_egress_0_ports { type inet_service ; flags interval "
	       "; elements = { 53, 500-700 } ; }");
	expect("add rule inet cordon vm_web0_egress ip daddr @vm_web0_a_egress_0_ip4 udp dport "
	       "@vm_web0_a_egress_0_ports counter drop comment \"egress[0], line 11\"");
}
END_TEST

START_TEST(any_is_everything_but_the_host)
{
	struct policy_rule *rule = add_rule(POLICY_ALLOW, POLICY_PROTO_ANY);

	rule->any = true;
	expect("add rule inet cordon vm_web0_egress ct mark set ct mark & 0x0000ffff | 0x00100000 "
	       "counter return comment \"egress[0], line 11\"");
	expect_none("vm_web0_host");
	rule = add_rule(POLICY_ALLOW, POLICY_PROTO_ICMP);
	add_cidr(rule, "10.0.0.0", 8);
	add_cidr(rule, "10.77.0.1", 32);
	expect("add rule inet cordon vm_web0_host ip daddr 10.77.0.1/32 meta l4proto icmp ct mark "
	       "set ct mark & 0x0000ffff | 0x00100000 counter return comment \"egress[1], line "
	       "12\"");
	expect_none("vm_web0_host ip daddr 10.0.0.0/8");
}
END_TEST

START_TEST(denials_hold_for_the_host_too)
{
	struct policy_rule *rule = add_rule(POLICY_REJECT, POLICY_PROTO_TCP);

	rule->any = true;
	expect("add rule inet cordon vm_web0_host meta l4proto tcp counter reject with tcp reset "
	       "comment \"egress[0], line 11\"");
	rule->proto = POLICY_PROTO_ANY;
	expect("add rule inet cordon vm_web0_egress counter reject with icmpx admin-prohibited "
	       "comment \"egress[0], line 11\"");
}
END_TEST

START_TEST(every_chain_ends_with_its_denial)
{
	expect("add rule inet cordon vm_web0_egress counter goto denied comment \"egress default "
	       "deny\"");
	expect_none("vm_web0_ingress");
	expect_none("vm_web0_host");
	policy->firewall.ingress[policy->firewall.ingress_count++] = (struct policy_rule){
	        .action = POLICY_ALLOW, .proto = POLICY_PROTO_TCP, .any = true};
	expect("add rule inet cordon vm_web0_ingress counter goto denied_to comment \"ingress "
	       "default deny\"");
	expect("add element inet cordon map_ingress { \"cn5\" : goto vm_web0_ingress }");
}
END_TEST

START_TEST(metadata_is_closed_unless_named)
{
	struct policy_rule *rule = add_rule(POLICY_ALLOW, POLICY_PROTO_TCP);
	static const char named[] =
	        "add rule inet cordon vm_web0_metadata ip daddr 169.254.169.254/32 tcp dport 80 ct "
	        "mark set ct mark & 0x0000ffff | 0x00100000 counter return comment \"egress[0], "
	        "line 11\"";
	static const char closed[] = "add rule inet cordon vm_web0_metadata counter goto denied "
	                             "comment \"cloud metadata\"";

	add_cidr(rule, "169.254.0.0", 16);
	add_ports(rule, 80, 80);
	expect_none("vm_web0_metadata");
	add_cidr(rule, "169.254.169.254", 32);
	char *text BASE_AUTO_FREE = explain(0);
	ck_assert_ptr_nonnull(strstr(text, named));
	ck_assert_ptr_nonnull(strstr(text, closed));
	ck_assert(strstr(text, named) < strstr(text, closed));
}
END_TEST

START_TEST(limits_and_logs)
{
	struct policy_rule *rule = add_rule(POLICY_ALLOW, POLICY_PROTO_TCP);

	rule->any = true;
	rule->log = true;
	policy->firewall.limits.new_connections = 50;
	policy->firewall.limits.connections = 1000;
	policy->firewall.limits.bandwidth = 12500000;
	expect("add rule inet cordon vm_web0_egress_head limit rate over 12500000 bytes/second "
	       "burst 1562500 bytes counter drop comment \"egress bandwidth, line 3\"");
	expect("add rule inet cordon vm_web0_ingress_allow ct state new limit rate over 50/second "
	       "burst 50 packets counter drop comment \"ingress new connections, line 3\"");
	expect("add rule inet cordon vm_web0_egress_allow ct state new ct count over 1000 counter "
	       "drop comment \"egress connections, line 3\"");
	expect("add rule inet cordon vm_web0_egress meta l4proto tcp limit rate 10/second burst 20 "
	       "packets log prefix \"cordon web0 egress[0] line 11 \" group 4404");
	/* what it may not send is logged within its tap's share, for the monitor */
	expect("add rule inet cordon denied update @denied_rate { iifname limit rate 10/second "
	       "burst 40 packets } log prefix \"cordon denied line 0 \" group 4405 snaplen 128 "
	       "drop");
	/* and what others may not send to it, but for what is for all of a network */
	expect("add rule inet cordon denied_to meta pkttype { broadcast, multicast } drop");
	expect("add rule inet cordon denied_to update @denied_rate_to { oifname limit rate "
	       "10/second burst 40 packets } log prefix \"cordon denied to line 0 \" group 4405 "
	       "snaplen 128 drop");
}
END_TEST

START_TEST(modes)
{
	expect("add element inet cordon nat4 { \"cn5\" . 10.77.0.2 }");
	nic.mode = POLICY_NIC_ROUTED;
	expect_none("element inet cordon nat4");
	nic.mode = POLICY_NIC_HOST_ONLY;
	expect_none("element inet cordon nat4");
	expect("add element inet cordon host_only { \"cn5\" }");
	nic.mode = POLICY_NIC_BRIDGE;
	expect("add element bridge cordon map_egress { \"cn5\" : goto vm_web0_egress }");
	expect("add rule bridge cordon vm_web0_egress counter goto denied comment \"egress default "
	       "deny\"");
	expect("add element netdev cordon macs { \"cn5\" . 02:ab:00:00:00:0f }");
	expect("add element netdev cordon members { \"cn5\" }");
	expect_none("element inet cordon gateways4");
	add_rule(POLICY_REJECT, POLICY_PROTO_TCP)->any = true;
	free(explain(-EOPNOTSUPP));
}
END_TEST

static void add_peer(struct policy_rule *rule, enum policy_peer_kind kind, const char *name)
{
	struct policy_peer *peer = &policy->peers[policy->peer_count];

	peer->kind = kind;
	strcpy(peer->name, name);
	rule->peers = (struct policy_span){(uint16_t)policy->peer_count++, 1};
}

/* What a peer is depends on the chain; and what has no meaning in a chain is not in it. */
START_TEST(peers_are_known_by_what_they_are)
{
	static const struct {
		enum policy_peer_kind kind;
		const char *name, *chain, *match;
	} peers[] = {
	        {POLICY_PEER_HOST, "", "host", "meta l4proto tcp ct mark set"},
	        {POLICY_PEER_WORLD, "", "egress",
	         "ip daddr != @private4 oifname != @vms meta l4proto tcp ct mark set"},
	        {POLICY_PEER_WORLD, "", "egress",
	         "ip6 daddr != @private6 oifname != @vms meta l4proto tcp ct mark set"},
	        {POLICY_PEER_VMS, "", "egress", "oifname @vms meta l4proto tcp ct mark set"},
	        {POLICY_PEER_VM, "db", "egress", "oifname @peer_db meta l4proto tcp ct mark set"},
	        {POLICY_PEER_GROUP, "web", "egress",
	         "oifname @group_web meta l4proto tcp ct mark set"},
	        {POLICY_PEER_METADATA, "", "metadata",
	         "ip6 daddr @metadata6 meta l4proto tcp ct mark set"},
	};
	struct policy_rule *rule = add_rule(POLICY_ALLOW, POLICY_PROTO_TCP);
	char line[200], other[200];

	for (size_t i = 0; i < BASE_COUNT(peers); i++) {
		policy->peer_count = 0;
		add_peer(rule, peers[i].kind, peers[i].name);
		snprintf(line, sizeof(line),
		         "add rule inet cordon vm_web0_%s %s ct mark & 0x0000ffff | 0x00100000 "
		         "counter return comment \"egress[0], line 11\"",
		         peers[i].chain, peers[i].match);
		expect(line);
		snprintf(other, sizeof(other), "vm_web0_%s %s",
		         peers[i].kind == POLICY_PEER_HOST ? "egress" : "host", peers[i].match);
		if (peers[i].kind != POLICY_PEER_METADATA)
			expect_none(other);
	}
}
END_TEST

START_TEST(services_stand_for_their_ports)
{
	struct policy_rule *rule = add_rule(POLICY_ALLOW, POLICY_PROTO_ANY);

	for (size_t i = 0; i < policy_service_count; i++)
		if (strcmp(policy_services[i].name, "ipsec") == 0 ||
		    strcmp(policy_services[i].name, "ping") == 0)
			rule->services |= 1ull << i;
	add_cidr(rule, "192.0.2.0", 24);
	expect("add rule inet cordon vm_web0_egress ip daddr 192.0.2.0/24 udp dport 4500 ct mark "
	       "set ct mark & 0x0000ffff | 0x00100000 counter return comment \"egress[0], line "
	       "11\"");
	expect("add rule inet cordon vm_web0_egress ip daddr 192.0.2.0/24 meta l4proto 50 ct mark "
	       "set ct mark & 0x0000ffff | 0x00100000 counter return comment \"egress[0], line "
	       "11\"");
	expect("add rule inet cordon vm_web0_egress ip daddr 192.0.2.0/24 icmp type 8 ct mark set "
	       "ct mark & 0x0000ffff | 0x00100000 counter return comment \"egress[0], line 11\"");
	expect_none("icmpv6 type 128");
}
END_TEST

START_TEST(limits_of_a_rule)
{
	struct policy_rule *rule;

	rule = add_rule(POLICY_ALLOW, POLICY_PROTO_UDP);
	rule->any = true;
	rule = add_rule(POLICY_ALLOW, POLICY_PROTO_TCP);
	rule->any = rule->limited = true;
	rule->limits = (struct policy_limits){5, 6, 125000, 70, 8000};
	policy->firewall.limits.quota = 9000;
	expect("add rule inet cordon vm_web0_egress meta l4proto tcp counter goto "
	       "vm_web0_egress_a1 comment \"egress[1], line 12\"");
	expect("add rule inet cordon vm_web0_egress_a1 ct state new limit rate over 5/second burst "
	       "5 packets counter drop comment \"egress[1] new connections, line 12\"");
	expect("add rule inet cordon vm_web0_egress_a1 ct state new ct count over 6 counter drop "
	       "comment \"egress[1] connections, line 12\"");
	expect_none("jump vm_web0_egress_allow");
	policy->firewall.limits.connections = 7;
	expect("add rule inet cordon vm_web0_egress_a1 jump vm_web0_egress_allow");
	expect("add rule inet cordon vm_web0_egress_a1 ct mark set ct mark & 0x0000ffff | "
	       "0x00110000 goto vm_web0_egress_r1");
	expect("add rule inet cordon vm_web0_egress_r1 limit rate over 125000 bytes/second burst "
	       "262144 bytes counter drop comment \"egress[1] bandwidth, line 12\"");
	expect("add rule inet cordon vm_web0_egress_r1 limit rate over 70/second burst 8 packets "
	       "counter drop comment \"egress[1] packets, line 12\"");
	expect("add quota inet cordon vm_web0_a_quota_egress_1 { over 8000 bytes }");
	expect("add rule inet cordon vm_web0_egress_known ct mark & 0x000f0000 == 0x00010000 goto "
	       "vm_web0_egress_r1");
	expect("add quota inet cordon vm_web0_quota { over 9000 bytes }");
}
END_TEST

START_TEST(forwards_are_ports_of_the_host)
{
	policy->vm.nics[0].forwards[0] = (struct policy_forward){POLICY_PROTO_TCP, 8080, 80, 5};
	policy->vm.nics[0].forward_count = 1;
	expect("add rule inet cordon vm_web0_0_forwards tcp dport 8080 counter dnat ip to "
	       "10.77.0.2:80 comment \"forward tcp 8080, line 5\"");
	expect("add element inet cordon forwards { tcp . 8080 : jump vm_web0_0_forwards }");
}
END_TEST

START_TEST(services_follow_the_policy)
{
	expect("add element inet cordon gateways4 { \"cn5\" . 10.77.0.1 }");
	expect("add element inet cordon dns_ports { \"cn5\" : 10053 }");
	expect("add element inet cordon dhcp_ports { \"cn5\" : 10067 }");
	policy->firewall.dns = false;
	expect_none("element inet cordon dns_");
	nic.dhcp_port = 0;
	expect_none("element inet cordon dhcp_");
}
END_TEST

/* A name's set has the same name in the next policy that has it; two rules of one name share it. */
START_TEST(names_are_sets)
{
	struct policy_rule *rule = add_rule(POLICY_ALLOW, POLICY_PROTO_TCP);

	add_ports(rule, 443, 443);
	expect_none("another resolver");
	rule->names = (struct policy_span){0, 1};
	policy->name_count = 1;
	strcpy(policy->names[0], "*.example.org");
	expect("add set inet cordon vm_web0_name4_1a6998e97308eac5 { type ipv4_addr ; flags "
	       "timeout ; size 1024 ; }");
	expect("add rule inet cordon vm_web0_egress ip6 daddr @vm_web0_name6_1a6998e97308eac5 ip6 "
	       "daddr != @private6 oifname != @vms tcp dport 443 ct mark set ct mark & 0x0000ffff "
	       "| 0x00100000 counter return comment \"egress[0], line 11\"");
	expect("add rule inet cordon vm_web0_egress meta l4proto . th dport @dns_services counter "
	       "goto denied comment \"dns to another resolver\"");
	expect_none("vm_web0_host ip daddr @vm_web0_name4");
	expect_none("vm_web0_ingress ip saddr @vm_web0_name4");
	/* a set that no rule refers to would be nobody's when the VM ends */
	rule->proto = POLICY_PROTO_ICMPV4;
	rule->ports.count = 0;
	expect("add set inet cordon vm_web0_name4_1a6998e97308eac5 { type ipv4_addr ; flags "
	       "timeout ; size 1024 ; }");
	expect_none("vm_web0_name6_");
	rule->proto = POLICY_PROTO_ICMPV6;
	expect("add set inet cordon vm_web0_name6_1a6998e97308eac5 { type ipv6_addr ; flags "
	       "timeout ; size 1024 ; }");
	expect_none("vm_web0_name4_");
}
END_TEST

/* One line that says why, and no rule: what is refused is not written. */
static void check_refused(const char *text)
{
	static const char refused[] = "# these rules would be refused: ";

	ck_assert_msg(strncmp(text, refused, strlen(refused)) == 0, "not refused: %s", text);
	ck_assert_msg(strchr(text, '\n') == text + strlen(text) - 1, "more than a line: %s", text);
}

/* What would end a quoted string, or begin another command, must never reach the text. */
START_TEST(names_are_checked)
{
	static const char *const taps[] = {"",    "cn\"", "cn 1",           "cn;", "cn\n", "*",
	                                   "cn{", "-cn",  "cn1234567890123"};
	static const char *const names[] = {"", "-a", "A", "a b", "a_b", "a\"", "a\n", "a/../b"};

	for (size_t i = 0; i < BASE_COUNT(taps); i++) {
		memset(nic.tap, 'x',
		       sizeof(nic.tap)); /* not even terminated, when it is too long */
		memcpy(nic.tap, taps[i], BASE_MIN(strlen(taps[i]) + 1, sizeof(nic.tap)));
		if (i == BASE_COUNT(taps) - 1)
			nic.tap[15] = 'x';
		char *text BASE_AUTO_FREE = explain(-EINVAL);
		check_refused(text);
	}
	strcpy(nic.tap, "cn5");
	for (size_t i = 0; i < BASE_COUNT(names); i++) {
		strcpy(policy->vm.name, names[i]);
		char *text BASE_AUTO_FREE = explain(-EINVAL);
		check_refused(text);
	}
}
END_TEST

START_TEST(what_cannot_be_done_is_refused)
{
	struct policy_rule *rule = add_rule(POLICY_ALLOW, POLICY_PROTO_TCP);

	rule->names.count = 1;
	free(explain(-EINVAL));
	policy->name_count = 1;
	strcpy(policy->names[0], "www.example.org");
	policy->firewall.dns = false;
	free(explain(-EOPNOTSUPP));
	policy->firewall.dns = true;
	nic.mode = POLICY_NIC_BRIDGE;
	free(explain(-EOPNOTSUPP));
	nic.mode = POLICY_NIC_NAT;
	free(explain(0));
	strcpy(policy->names[0], "a\nflush ruleset");
	free(explain(-EINVAL));
	memset(policy->names[0], 'a', sizeof(policy->names[0]));
	free(explain(-EINVAL));
	policy->name_count = 0;
	rule->names.count = 0;
	rule->cidrs = (struct policy_span){POLICY_CIDRS_MAX, 1};
	free(explain(-EINVAL));
	rule->cidrs.count = 0;
	policy->firewall.limits.bandwidth = 20000000000ULL;
	free(explain(-ERANGE));
	policy->firewall.limits.bandwidth = 0;
	memset(nic.ip4, 0, 4);
	free(explain(-EINVAL));
}
END_TEST

START_TEST(guests_without_ipv6_have_none)
{
	expect("add element netdev cordon with4 { \"cn5\" }");
	expect("add element netdev cordon addresses4 { \"cn5\" . 10.77.0.2 }");
	expect("add rule netdev cordon vm_web0_0 goto tap");
	expect_none("element inet cordon with6");
	expect_none("element netdev cordon with6");
	expect_none("element netdev cordon members");
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("rules");
	Suite *suite = suite_create("firewall rules");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, small_products_are_written_out);
	tcase_add_test(tests, large_products_use_sets);
	tcase_add_test(tests, any_is_everything_but_the_host);
	tcase_add_test(tests, denials_hold_for_the_host_too);
	tcase_add_test(tests, every_chain_ends_with_its_denial);
	tcase_add_test(tests, metadata_is_closed_unless_named);
	tcase_add_test(tests, limits_and_logs);
	tcase_add_test(tests, modes);
	tcase_add_test(tests, peers_are_known_by_what_they_are);
	tcase_add_test(tests, services_stand_for_their_ports);
	tcase_add_test(tests, limits_of_a_rule);
	tcase_add_test(tests, forwards_are_ports_of_the_host);
	tcase_add_test(tests, services_follow_the_policy);
	tcase_add_test(tests, names_are_sets);
	tcase_add_test(tests, names_are_checked);
	tcase_add_test(tests, what_cannot_be_done_is_refused);
	tcase_add_test(tests, guests_without_ipv6_have_none);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
