/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cases of the suite: whom and what a rule speaks of, and what it says. */
#include "tests/traffic/firewall_suite.h"

#include <sys/socket.h>

#include "base/base.h"

/* ---- packets of other protocols ---- */

/* The payload of some protocol; the first bytes are a header of GRE. */
static struct frame plain(uint16_t from, uint16_t to, const char *text)
{
	struct frame f = {.size = 0};

	frame_put16(&f, from);
	frame_put16(&f, to);
	frame_put(&f, (uint8_t[8]){0}, 8);
	frame_put(&f, text, strlen(text) + 1);
	return f;
}

/* Type and code of an ICMP message of this run's suite_family. */
static struct frame icmp(uint8_t v4, uint8_t v6, const char *text)
{
	struct frame f = {.size = 0};
	uint32_t sum = 0;

	frame_put(&f, (uint8_t[]){suite_family == 4 ? v4 : v6, 0, 0, 0}, 4);
	frame_put16(&f, suite_port());
	frame_put16(&f, 1);
	frame_put(&f, text, strlen(text) + 1);
	if (f.size % 2)
		frame_put(&f, "", 1);
	for (size_t i = 0; i < f.size; i += 2)
		sum += base_be16(f.bytes + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	if (suite_family == 4) {
		f.bytes[2] = (uint8_t)(~sum >> 8);
		f.bytes[3] = (uint8_t)~sum;
	}
	return f;
}
static uint8_t icmp_protocol(void)
{
	return suite_family == 4 ? 1 : 58;
}

static void services(struct policy_rule *rule, const char *name)
{
	for (size_t i = 0; i < policy_service_count; i++)
		if (strcmp(policy_services[i].name, name) == 0)
			rule->services |= 1ull << i;
	ck_assert_uint_ne(rule->services, 0);
}

/* ---- peers and services ---- */

static void by_network(void)
{
	suite_allow(POLICY_PROTO_UDP, suite_at(suite_world_net), 0);
	fixture_apply(0);
	suite_udp_goes(suite_at(suite_world), PORT);
	suite_udp_stays(suite_at(suite_far_off), PORT);
}

static void by_port(void)
{
	suite_allow(POLICY_PROTO_UDP, suite_at(suite_world_net), PORT);
	fixture_apply(0);
	suite_udp_goes(suite_at(suite_world), PORT);
	suite_udp_stays(suite_at(suite_world), PORT + 1);
}

static void by_port_range(void)
{
	struct policy_rule *rule = suite_allow(POLICY_PROTO_UDP, NULL, PORT);

	fixture.policies[0]->ports[rule->ports.first].last = PORT + 10;
	fixture_apply(0);
	suite_udp_goes(suite_at(suite_world), PORT);
	suite_udp_goes(suite_at(suite_world), PORT + 10);
	suite_udp_stays(suite_at(suite_world), PORT - 1);
	suite_udp_stays(suite_at(suite_world), PORT + 11);
}

static void by_many_ports(void)
{
	struct policy_rule *rule = suite_allow(POLICY_PROTO_UDP, suite_at(suite_world_net), PORT);
	struct policy *policy = fixture.policies[0];

	for (uint16_t i = 2; i < 16; i += 2, rule->ports.count++)
		policy->ports[policy->port_count++] =
		        (struct policy_ports){(uint16_t)(PORT + i), (uint16_t)(PORT + i)};
	fixture_apply(0);
	suite_udp_goes(suite_at(suite_world), PORT + 14);
	suite_udp_stays(suite_at(suite_world), PORT + 13);
}

static void by_protocol(void)
{
	suite_allow(POLICY_PROTO_TCP, NULL, PORT);
	fixture_apply(0);
	suite_goes(suite_at(suite_world), 6, frame_syn(suite_port(), PORT, EVASION_GOOD));
	suite_udp_stays(suite_at(suite_world), PORT);
}

static void by_sctp_port(void)
{
	suite_allow(POLICY_PROTO_SCTP, NULL, PORT);
	fixture_apply(0);
	suite_goes(suite_at(suite_world), 132, frame_sctp(suite_port(), PORT, EVASION_GOOD));
	suite_stays(suite_at(suite_world), 132, frame_sctp(suite_port(), PORT + 1, EVASION_BAD),
	            "egress default deny");
}

static void by_protocol_number(void)
{
	suite_allow(POLICY_PROTO_NUMBER, NULL, 0)->protocol = 47;
	fixture_apply(0);
	suite_goes(suite_at(suite_world), 47, plain(0, 0x6558, EVASION_GOOD));
	suite_stays(suite_at(suite_world), 253, plain(0, 0, EVASION_BAD), "egress default deny");
}

static void by_icmp_type(void)
{
	struct policy_rule *rule = suite_allow(POLICY_PROTO_ICMP, NULL, 0);

	rule->types4[1] = 1;  /* 8 */
	rule->types6[16] = 1; /* 128 */
	fixture_apply(0);
	suite_goes(suite_at(suite_world), icmp_protocol(), icmp(8, 128, EVASION_GOOD));
	suite_stays(suite_at(suite_world), icmp_protocol(), icmp(13, 200, EVASION_BAD),
	            suite_family == 4 ? "egress default deny" : "egress invalid");
}

static void icmp_of_one_family(void)
{
	suite_allow(suite_family == 4 ? POLICY_PROTO_ICMPV4 : POLICY_PROTO_ICMPV6, NULL, 0);
	fixture_apply(0);
	suite_goes(suite_at(suite_world), icmp_protocol(), icmp(8, 128, EVASION_GOOD));
	suite_forget_rules();
	suite_allow(suite_family == 4 ? POLICY_PROTO_ICMPV6 : POLICY_PROTO_ICMPV4, NULL, 0);
	fixture_apply(0);
	suite_stays(suite_at(suite_world), icmp_protocol(), icmp(8, 128, EVASION_BAD),
	            "egress default deny");
}

static void service_of_one_port(void)
{
	services(suite_allow(POLICY_PROTO_ANY, NULL, 0), "ntp");
	fixture_apply(0);
	suite_udp_goes(suite_at(suite_world), 123);
	suite_udp_stays(suite_at(suite_world), 124);
}

static void service_of_two_protocols(void)
{
	services(suite_allow(POLICY_PROTO_ANY, suite_at(suite_world_net), 0), "kerberos");
	fixture_apply(0);
	suite_udp_goes(suite_at(suite_world), 88);
	suite_goes(suite_at(suite_world), 6, frame_syn(suite_port(), 88, EVASION_GOOD));
	suite_udp_stays(suite_at(suite_world), 464);
}

static void service_ping(void)
{
	services(suite_allow(POLICY_PROTO_ANY, suite_at(suite_world_net), 0), "ping");
	fixture_apply(0);
	suite_goes(suite_at(suite_world), icmp_protocol(), icmp(8, 128, EVASION_GOOD));
	suite_udp_stays(suite_at(suite_world), PORT);
}

static void set_of_hosts(void)
{
	struct policy *policy = fixture.policies[0];
	struct policy_set *set = &policy->firewall.sets[policy->firewall.set_count++];

	suite_allow(POLICY_PROTO_UDP, suite_at(suite_world_net), PORT);
	strcpy(set->name, "offices");
	set->cidrs = (struct policy_span){0, 1};
	policy->firewall.egress_count = 0; /* only its network stays */
	suite_peer(0, false, POLICY_PEER_SET, "offices", PORT);
	fixture_apply(0);
	suite_udp_goes(suite_at(suite_world), PORT);
	suite_udp_stays(suite_at(suite_far_off), PORT);
}

static void world_is_not_private(void)
{
	suite_peer(0, false, POLICY_PEER_WORLD, "", PORT);
	fixture_apply(0);
	suite_udp_goes(suite_at(suite_world), PORT);
	suite_udp_stays(suite_at(suite_private_net), PORT);
}

static void world_behind_a_tunnel(void)
{
	suite_peer(0, false, POLICY_PEER_WORLD, "", PORT);
	fixture_apply(0);
	suite_udp_goes(suite_at(suite_far_off), PORT);
	if (suite_family == 6) { /* 10.99.0.1 by way of 6to4, and of NAT64 */
		suite_udp_stays("2002:a63:1::1", PORT);
		suite_udp_stays("64:ff9b::a63:1", PORT);
	} else {
		suite_udp_stays("100.64.0.1", PORT);
	}
}

static void world_is_no_vm(void)
{
	suite_vm_takes(NULL);
	suite_peer(0, false, POLICY_PEER_WORLD, "", PORT);
	fixture_apply(0);
	suite_udp_goes(suite_at(suite_world), PORT);
	suite_udp_stays(suite_at(suite_guest1), PORT);
}

static void every_vm(void)
{
	suite_vm_takes(NULL);
	suite_peer(0, false, POLICY_PEER_VMS, "", PORT);
	fixture_apply(0);
	suite_goes_to_vm();
	suite_udp_stays(suite_at(suite_world), PORT);
}

static void one_vm(void)
{
	suite_vm_takes(NULL);
	suite_peer(0, false, POLICY_PEER_VM, "vm1", PORT);
	fixture_apply(0);
	suite_goes_to_vm();
	suite_forget_rules();
	suite_peer(0, false, POLICY_PEER_VM, "vm2", PORT);
	fixture_apply(0);
	suite_udp_stays(suite_at(suite_guest1), PORT);
}

static void vm_that_starts_later(void)
{
	ck_assert_int_eq(firewall_vm_remove(fixture.fw, "vm1"), 0);
	suite_peer(0, false, POLICY_PEER_VM, "vm1", PORT);
	fixture_apply(0);
	suite_vm_takes(NULL);
	suite_goes_to_vm();
	ck_assert_int_eq(firewall_vm_remove(fixture.fw, "vm1"), 0);
	suite_udp_stays(suite_at(suite_guest1), PORT);
}

static void group_of_vms(void)
{
	suite_vm_takes("web");
	suite_peer(0, false, POLICY_PEER_GROUP, "web", PORT);
	fixture_apply(0);
	suite_goes_to_vm();
	fixture.policies[1]->vm.group_count = 0;
	fixture_apply(1);
	suite_udp_stays(suite_at(suite_guest1), PORT);
}

static void both_have_to_agree(void)
{
	struct frame f = suite_from_guest(suite_at(suite_guest1), 17, suite_bad(PORT));
	uint64_t before;

	suite_vm_takes(NULL);
	suite_peer(0, false, POLICY_PEER_VMS, "", PORT);
	fixture_apply(0);
	suite_goes_to_vm();
	fixture.policies[1]->firewall.ingress_count = 0;
	suite_peer(1, true, POLICY_PEER_WORLD, "", PORT);
	fixture_apply(1);
	before = fixture_packets(1, "ingress default deny");
	suite_send(&f, 1);
	ck_assert(fixture_counts(1, "ingress default deny", before + 1));
}

static void host_by_name(void)
{
	int open BASE_AUTO_FD =
	        net_bound(&fixture.net, NET_HOST, SOCK_DGRAM, suite_at(suite_host), PORT);
	struct frame f = suite_from_guest(suite_at(suite_host), 17, suite_good(PORT));

	suite_peer(0, false, POLICY_PEER_HOST, "", PORT);
	fixture_apply(0);
	suite_send(&f, 1);
	ck_assert(net_readable(open, WAIT));
	suite_stays(suite_at(suite_host), 17, suite_bad(PORT + 1), "host default deny");
	suite_udp_stays(suite_at(suite_world), PORT);
}

static void any_is_not_the_host(void)
{
	suite_allow(POLICY_PROTO_UDP, NULL, PORT);
	fixture_apply(0);
	suite_udp_goes(suite_at(suite_world), PORT);
	suite_stays(suite_at(suite_host), 17, suite_bad(PORT), "host default deny");
	suite_stays(suite_at(suite_gateway0), 17, suite_bad(PORT), "host default deny");
}

static void metadata_by_name(void)
{
	suite_peer(0, false, POLICY_PEER_METADATA, "", PORT);
	suite_allow(POLICY_PROTO_UDP, NULL, 0);
	fixture_apply(0);
	suite_udp_goes(suite_at(suite_metadata), PORT);
	suite_stays(suite_at(suite_metadata), 17, suite_bad(PORT + 1), "cloud metadata");
}

static void metadata_by_address(void)
{
	suite_allow(POLICY_PROTO_UDP, suite_at(suite_metadata_exact), PORT);
	fixture_apply(0);
	suite_udp_goes(suite_at(suite_metadata), PORT);
	suite_forget_rules();
	suite_allow(POLICY_PROTO_UDP, suite_at(suite_metadata_around), PORT);
	fixture_apply(0);
	suite_stays(suite_at(suite_metadata), 17, suite_bad(PORT), "cloud metadata");
}

static void metadata_of_other_clouds(void)
{
	suite_allow(POLICY_PROTO_UDP, NULL, 0);
	fixture_apply(0);
	suite_udp_goes(suite_at(suite_world), PORT);
	suite_stays(suite_at(suite_metadata_else), 17, suite_bad(PORT), "cloud metadata");
}

/* ---- verdicts ---- */

static void first_match_decides(void)
{
	suite_drop(POLICY_PROTO_UDP, NULL, OTHER_PORT);
	suite_allow(POLICY_PROTO_UDP, NULL, 0);
	fixture_apply(0);
	suite_udp_goes(suite_at(suite_world), PORT);
	suite_stays(suite_at(suite_world), 17, suite_bad(OTHER_PORT), "egress[0]");
}

/* A refusal is heard by the guest; a drop is not. */
static void reject_is_heard(void)
{
	int watch = suite_watch(SUITE_GUEST);
	struct frame f;
	uint8_t bytes[2048];
	bool heard = false;

	suite_allow(POLICY_PROTO_UDP, NULL, PORT);
	fixture_rule(0, false, POLICY_REJECT, POLICY_PROTO_UDP, NULL, OTHER_PORT);
	fixture_apply(0);
	suite_udp_goes(suite_at(suite_world), PORT);
	f = suite_from_guest(suite_at(suite_world), 17, suite_bad(OTHER_PORT));
	suite_send(&f, 1);
	while (!heard && net_readable(watch, WAIT)) {
		ssize_t n = recv(watch, bytes, sizeof(bytes), 0);

		/* an ICMP error of this suite_family to the guest */
		heard = n > 60 && memcmp(bytes, suite_net.own_mac, 6) == 0 &&
		        (suite_family == 4 ? bytes[23] == 1 && bytes[34] == 3
		                           : bytes[20] == 58 && bytes[54] == 1);
	}
	ck_assert_msg(heard, "no ICMP error came back");
}

static void fragments_are_seen_whole(void)
{
	struct frame frames[FRAMES_MAX];
	const struct evasion *e = evasion_at(evasion_count() - 1);
	int watch = suite_watch(SUITE_WORLD);
	uint64_t before;
	size_t count;

	for (size_t i = 0; i < evasion_count(); i++)
		if (strcmp(evasion_at(i)->name, suite_family == 4
		                                        ? "ipv4 fragments that overlap"
		                                        : "ipv6 fragments that overlap") == 0)
			e = evasion_at(i);
	count = evasion_good(e, &suite_net, frames);
	suite_allow(POLICY_PROTO_UDP, NULL, 2000);
	fixture_apply(0);
	suite_send(frames, count);
	ck_assert(suite_sees(watch, EVASION_GOOD, WAIT));
	suite_forget_rules();
	suite_allow(POLICY_PROTO_UDP, NULL, 2001);
	fixture_apply(0);
	before = fixture_packets(0, "egress default deny");
	suite_send(frames, count);
	ck_assert(fixture_counts(0, "egress default deny", before + 1));
	ck_assert(!suite_sees(watch, EVASION_GOOD, 0));
}

const struct suite_case suite_peers[] = {
        {"egress by network", by_network},
        {"egress by port", by_port},
        {"egress by port range", by_port_range},
        {"egress by many ports", by_many_ports},
        {"egress by protocol", by_protocol},
        {"egress by SCTP port", by_sctp_port},
        {"egress by protocol number", by_protocol_number},
        {"egress by ICMP type", by_icmp_type},
        {"egress by ICMP of one family", icmp_of_one_family},
        {"service of one port", service_of_one_port},
        {"service of two protocols", service_of_two_protocols},
        {"service ping", service_ping},
        {"set of hosts", set_of_hosts},
        {"world is not private", world_is_not_private},
        {"world is not private behind a tunnel", world_behind_a_tunnel},
        {"world is no VM", world_is_no_vm},
        {"every VM", every_vm},
        {"one VM by name", one_vm},
        {"one VM that starts later", vm_that_starts_later},
        {"a group of VMs", group_of_vms},
        {"two VMs have to agree", both_have_to_agree},
        {"the host by name", host_by_name},
        {"any is not the host", any_is_not_the_host},
        {"metadata by name", metadata_by_name},
        {"metadata by address", metadata_by_address},
        {"metadata of other clouds", metadata_of_other_clouds},
        {"the first match decides", first_match_decides},
        {"reject is heard", reject_is_heard},
        {"fragments are judged whole", fragments_are_seen_whole},
};
const size_t suite_peers_count = BASE_COUNT(suite_peers);
