/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The half of the suite that is about rules: each case once for IPv4 and once for IPv6. */
#include "tests/traffic/firewall_suite.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "base/base.h"

int suite_family; /* of this run of the case */

/* Where things are: [0] IPv4, [1] IPv6. */
const char *const suite_world[2] = {"192.0.2.10", "2001:db8::10"};
const char *const suite_world_net[2] = {"192.0.2.0/24", "2001:db8::/64"};
const char *const suite_far_off[2] = {"203.0.113.5", "2001:db8:1::5"};
const char *const suite_private_net[2] = {"10.99.0.1", "fd99::1"};
const char *const suite_metadata[2] = {"169.254.169.254", "fd00:ec2::254"};
const char *const suite_metadata_exact[2] = {"169.254.169.254/32", "fd00:ec2::254/128"};
const char *const suite_metadata_around[2] = {"169.254.0.0/16", "fd00::/8"};
const char *const suite_metadata_else[2] = {"168.63.129.16", "fd20:ce::254"};
const char *const suite_guest0[2] = {"10.77.0.2", "fd77::0:2"};
const char *const suite_guest1[2] = {"10.77.0.6", "fd77::1:2"};
const char *const suite_gateway0[2] = {"10.77.0.1", "fd77::0:1"};
const char *const suite_host[2] = {"192.0.2.1", "2001:db8::1"};

const char *suite_at(const char *const addresses[2])
{
	return addresses[suite_family == 6];
}

/* ---- what the guest writes ---- */

uint16_t suite_port(void)
{
	static uint16_t next;

	if (!next)
		next = (uint16_t)(20000 + getpid() % 20000);
	return next++;
}

struct frame suite_from_guest(const char *address, uint8_t protocol, struct frame payload)
{
	uint8_t to[16];

	ck_assert_int_eq(inet_pton(suite_family == 4 ? AF_INET : AF_INET6, address, to), 1);
	if (suite_family == 4 && protocol == 6)
		payload = frame_sum4(payload, suite_net.own4, to, protocol);
	if (suite_family == 4)
		return frame_ip4(&suite_net, suite_net.own4, to, protocol, 0, &payload);
	if (protocol == 17 || protocol == 6 || protocol == 58)
		payload = frame_sum6(payload, suite_net.own6, to, protocol);
	return frame_ip6(&suite_net, suite_net.own6, to, protocol, 64, &payload);
}

void suite_expect_at(int watch, struct frame f, const char *what)
{
	suite_send(&f, 1);
	ck_assert_msg(suite_sees(watch, EVASION_GOOD, WAIT), "%s did not arrive", what);
}

/* It arrives in the world. */
void suite_goes(const char *address, uint8_t protocol, struct frame payload)
{
	int watch = suite_watch(SUITE_WORLD);

	suite_expect_at(watch, suite_from_guest(address, protocol, payload), address);
}

/* VM 0's counter sees it, and it does not. */
void suite_stays(const char *address, uint8_t protocol, struct frame payload, const char *counter)
{
	int watch = suite_watch(SUITE_WORLD);
	uint64_t before = fixture_packets(0, counter);
	struct frame f = suite_from_guest(address, protocol, payload);

	suite_send(&f, 1);
	ck_assert_msg(fixture_counts(0, counter, before + 1), "'%s' did not count", counter);
	ck_assert_msg(!suite_sees(watch, EVASION_BAD, 0), "it arrived at %s", address);
}

struct frame suite_good(uint16_t port)
{
	return frame_udp(suite_port(), port, EVASION_GOOD);
}
struct frame suite_bad(uint16_t port)
{
	return frame_udp(suite_port(), port, EVASION_BAD);
}
void suite_udp_goes(const char *address, uint16_t port)
{
	suite_goes(address, 17, suite_good(port));
}
void suite_udp_stays(const char *address, uint16_t port)
{
	suite_stays(address, 17, suite_bad(port), "egress default deny");
}

/* ---- rules ---- */

struct policy_rule *suite_allow(enum policy_proto proto, const char *cidr, uint16_t port)
{
	return fixture_rule(0, false, POLICY_ALLOW, proto, cidr, port);
}
struct policy_rule *suite_drop(enum policy_proto proto, const char *cidr, uint16_t port)
{
	return fixture_rule(0, false, POLICY_DROP, proto, cidr, port);
}

/* A rule of VM i whose only peer is this one. */
struct policy_rule *suite_peer(int i, bool ingress, enum policy_peer_kind kind, const char *name,
                               uint16_t port)
{
	struct policy_rule *rule =
	        fixture_rule(i, ingress, POLICY_ALLOW, POLICY_PROTO_UDP, NULL, port);
	struct policy *policy = fixture.policies[i];
	struct policy_peer *p = &policy->peers[policy->peer_count];

	*p = (struct policy_peer){.kind = kind};
	ck_assert_int_eq(base_copy_string(p->name, sizeof(p->name), name), 0);
	rule->any = false;
	rule->peers = (struct policy_span){(uint16_t)policy->peer_count++, 1};
	return rule;
}

void suite_forget_rules(void)
{
	struct policy *policy = fixture.policies[0];

	memset(&policy->firewall, 0, sizeof(policy->firewall));
	policy->cidr_count = policy->port_count = policy->peer_count = 0;
}

/* VM 1 takes all that comes; `good` arrives at its card. */
void suite_vm_takes(const char *name)
{
	fixture_rule(1, true, POLICY_ALLOW, POLICY_PROTO_ANY, NULL, 0);
	if (name)
		strcpy(fixture.policies[1]->vm.groups[fixture.policies[1]->vm.group_count++], name);
	fixture_apply(1);
}
void suite_goes_to_vm(void)
{
	int watch = suite_watch(SUITE_OTHER);

	suite_expect_at(watch, suite_from_guest(suite_at(suite_guest1), 17, suite_good(PORT)),
	                "a packet for the other VM");
}

static void open_rules(void)
{
	static const char *const routes[] = {
	        "203.0.113.0/24 via 192.0.2.10",  "10.99.0.0/16 via 192.0.2.10",
	        "169.254.169.254 via 192.0.2.10", "168.63.129.16 via 192.0.2.10",
	        "100.64.0.0/10 via 192.0.2.10",   "2001:db8:1::/48 via 2001:db8::10",
	        "fd99::/16 via 2001:db8::10",     "fd00:ec2::254 via 2001:db8::10",
	        "fd20:ce::254 via 2001:db8::10",  "2002::/16 via 2001:db8::10",
	        "64:ff9b::/96 via 2001:db8::10",
	};
	char command[128];

	fixture_open();
	suite_open_wires();
	for (size_t i = 0; i < BASE_COUNT(routes); i++) {
		snprintf(command, sizeof(command), "ip route add %s", routes[i]);
		net_run(&fixture.net, NET_HOST, command);
	}
	net_run(&fixture.net, NET_WORLD, "ip route add 10.77.0.0/16 via 192.0.2.1");
	net_run(&fixture.net, NET_WORLD, "ip route add fd77::/16 via 2001:db8::1");
	fixture_start(0);
	fixture_start(1);
}

START_TEST(rules)
{
	const size_t i = (size_t)_i / 2;
	const struct suite_case *c =
	        i < suite_peers_count ? &suite_peers[i] : &suite_state[i - suite_peers_count];

	suite_family = _i % 2 ? 6 : 4;
	c->run();
	suite_passed(c->name, suite_family == 4 ? ", ipv4" : ", ipv6");
}
END_TEST

TCase *suite_rules(void)
{
	TCase *tests = tcase_create("rules");

	tcase_add_unchecked_fixture(tests, open_rules, suite_close);
	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, rules, 0, (int)(suite_peers_count + suite_state_count) * 2);
	return tests;
}
