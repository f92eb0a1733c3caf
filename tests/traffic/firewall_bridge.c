/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guests of mode bridge: the fixture's taps and its way to the world as ports of one bridge, with the
 * world's own addresses. It needs connection tracking on bridges, and skips where the kernel has none.
 */
#include <arpa/inet.h>
#include <check.h>
#include <stdarg.h>
#include <sys/socket.h>

#include "base/base.h"
#include "tests/traffic/firewall_fixture.h"
#include "tests/traffic/frames.h"

static const char world[] = "192.0.2.10", world6[] = "2001:db8::10", other[] = "192.0.2.21",
                  other6[] = "2001:db8::21", host[] = "192.0.2.1";

static void run(int where, const char *format, ...) BASE_PRINTF(2, 3);
static void run(int where, const char *format, ...)
{
	char command[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(command, sizeof(command), format, arguments);
	va_end(arguments);
	net_run(&fixture.net, where, command);
}

static void open_bridge(void)
{
	fixture_open();
	run(NET_HOST, "ip link add br0 type bridge");
	run(NET_HOST, "ip addr flush dev up0");
	run(NET_HOST, "ip link set up0 master br0");
	run(NET_HOST, "ip addr add 192.0.2.1/24 dev br0");
	run(NET_HOST, "ip addr add 2001:db8::1/64 dev br0 nodad");
	run(NET_HOST, "ip link set br0 up");
	for (int i = 0; i < NET_GUESTS; i++) {
		struct firewall_nic *nic = &fixture.nics[i];

		run(NET_HOST, "ip addr flush dev cn%d", i);
		run(NET_HOST, "ip link set cn%d master br0", i);
		run(i, "ip addr flush dev g0");
		run(i, "ip addr add 192.0.2.%d/24 dev g0", 20 + i);
		run(i, "ip addr add 2001:db8::%d/64 dev g0 nodad", 20 + i);
		nic->mode = POLICY_NIC_BRIDGE;
		nic->dhcp_port = nic->dns_port = 0;
		strcpy(nic->bridge, "br0");
		memset(nic->gateway4, 0, 4);
		memset(nic->gateway6, 0, 16);
		memcpy(nic->ip4, (uint8_t[]){192, 0, 2, (uint8_t)(20 + i)}, 4);
		memcpy(nic->ip6, (uint8_t[16]){0x20, 0x01, 0x0d, 0xb8, [15] = (uint8_t)(0x20 + i)},
		       16);
	}
}

static struct policy_rule *peer(int i, bool ingress, enum policy_peer_kind kind, const char *name)
{
	struct policy_rule *rule =
	        fixture_rule(i, ingress, POLICY_ALLOW, POLICY_PROTO_ANY, NULL, 0);
	struct policy *policy = fixture.policies[i];
	struct policy_peer *p = &policy->peers[policy->peer_count];

	p->kind = kind;
	strcpy(p->name, name);
	rule->any = false;
	rule->peers = (struct policy_span){(uint16_t)policy->peer_count++, 1};
	return rule;
}

/* Both families, by the rule and not by it. */
START_TEST(allowed_passes_and_the_rest_is_denied)
{
	int six BASE_AUTO_FD =
	        net_bound(&fixture.net, NET_WORLD, SOCK_STREAM, world6, ALLOWED_PORT);

	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, NULL, ALLOWED_PORT);
	fixture_start(0);
	ck_assert(net_reaches(&fixture.net, 0, world, ALLOWED_PORT, WAIT));
	ck_assert(net_reaches(&fixture.net, 0, world6, ALLOWED_PORT, WAIT));
	ck_assert_uint_ge(fixture_packets(0, "egress[0]"), 2);
	int fd BASE_AUTO_FD = net_connecting(&fixture.net, 0, world, DENIED_PORT);
	ck_assert(fixture_counts(0, "egress default deny", 1));
	ck_assert(!net_connected(fd, SHORT));
	int fd6 BASE_AUTO_FD = net_connecting(&fixture.net, 0, world6, DENIED_PORT);
	ck_assert(fixture_counts(0, "egress default deny", 2));
	ck_assert(!net_connected(fd6, SHORT));
}
END_TEST

START_TEST(ingress_is_denied_until_allowed)
{
	int guest BASE_AUTO_FD = net_bound(&fixture.net, 0, SOCK_STREAM, "192.0.2.20", 80);

	fixture_start(0);
	int fd BASE_AUTO_FD = net_connecting(&fixture.net, NET_WORLD, "192.0.2.20", 80);
	ck_assert(fixture_counts(0, "ingress default deny", 1));
	ck_assert(!net_connected(fd, SHORT));
	fixture_rule(0, true, POLICY_ALLOW, POLICY_PROTO_TCP, "192.0.2.10/32", 80);
	fixture_apply(0);
	ck_assert(net_reaches(&fixture.net, NET_WORLD, "192.0.2.20", 80, WAIT));
}
END_TEST

START_TEST(host_has_to_be_named)
{
	int ssh BASE_AUTO_FD = net_bound(&fixture.net, NET_HOST, SOCK_STREAM, "0.0.0.0", 22);

	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_ANY, NULL, 0);
	fixture_start(0);
	int fd BASE_AUTO_FD = net_connecting(&fixture.net, 0, host, 22);
	ck_assert(fixture_counts(0, "host default deny", 1));
	ck_assert(!net_connected(fd, SHORT));
	peer(0, false, POLICY_PEER_HOST, "");
	fixture_apply(0);
	ck_assert(net_reaches(&fixture.net, 0, host, 22, WAIT));
}
END_TEST

START_TEST(spoofed_frames_stay)
{
	struct frame_net n = {.own_mac = {2, 0, 0, 0, 0, 16},
	                      .tap_mac = {255, 255, 255, 255, 255, 255}};
	int wire BASE_AUTO_FD = -1;
	struct frame u = frame_udp(1, 2, "x"), f;

	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_ANY, NULL, 0);
	fixture_start(0);
	wire = net_packet(&fixture.net, 0, "g0");
	f = frame_ip4(&n, (uint8_t[]){192, 0, 2, 99}, (uint8_t[]){192, 0, 2, 10}, 17, 0, &u);
	ck_assert_int_eq(send(wire, f.bytes, f.size, 0), (ssize_t)f.size);
	ck_assert(fixture_counts(0, "spoofed ipv4 source", 1));
	f = frame_arp(&n, 2, n.own_mac, (uint8_t[]){192, 0, 2, 1}, (uint8_t[]){192, 0, 2, 10});
	ck_assert_int_eq(send(wire, f.bytes, f.size, 0), (ssize_t)f.size);
	ck_assert(fixture_counts(0, "spoofed arp ip", 1));
}
END_TEST

START_TEST(two_vms_on_a_bridge)
{
	int guest BASE_AUTO_FD = net_bound(&fixture.net, 1, SOCK_STREAM, other, 80);
	int guest6 BASE_AUTO_FD = net_bound(&fixture.net, 1, SOCK_STREAM, other6, 80);

	peer(0, false, POLICY_PEER_WORLD, "");
	fixture_start(0);
	fixture_start(1);
	int fd BASE_AUTO_FD = net_connecting(&fixture.net, 0, other, 80);
	ck_assert(fixture_counts(0, "egress default deny", 1));
	ck_assert(!net_connected(fd, SHORT));
	peer(0, false, POLICY_PEER_VM, "vm1");
	fixture_apply(0);
	int second BASE_AUTO_FD = net_connecting(&fixture.net, 0, other, 80);
	ck_assert(fixture_counts(1, "ingress default deny", 1));
	ck_assert(!net_connected(second, SHORT));
	peer(1, true, POLICY_PEER_VMS, "");
	fixture_apply(1);
	ck_assert(net_reaches(&fixture.net, 0, other, 80, WAIT));
	ck_assert(net_reaches(&fixture.net, 0, other6, 80, WAIT));
}
END_TEST

START_TEST(tightening_and_quarantine)
{
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
	ck_assert(!net_readable(there, SHORT));
	ck_assert_int_eq(firewall_vm_release(fixture.fw, "vm0"), 0);
	ck_assert(net_readable(there, WAIT));
	ck_assert_int_eq(read(there, buffer, sizeof(buffer)), 6);
	fixture.policies[0]->firewall.egress_count = 0;
	fixture_apply(0);
	ck_assert_int_eq(write(fd, "after", 5), 5);
	ck_assert(fixture_counts(0, "egress default deny", 1));
	ck_assert(!net_readable(there, SHORT));
}
END_TEST

/* As libvirt's networks are: the bridge has the host's address, and the world is behind the host, which routes. */
static void open_routing_bridge(void)
{
	open_bridge();
	run(NET_HOST, "ip link set up0 nomaster");
	run(NET_HOST, "ip addr add 198.51.100.1/24 dev up0");
	run(NET_HOST, "sysctl -qw net.ipv4.ip_forward=1");
	run(NET_WORLD, "ip addr add 198.51.100.10/24 dev w0");
	run(NET_WORLD, "ip addr del 192.0.2.10/24 dev w0");
	run(NET_WORLD, "ip route add 192.0.2.0/24 via 198.51.100.1");
	for (int i = 0; i < NET_GUESTS; i++) {
		run(i, "ip route replace default via 192.0.2.1");
		fixture.nics[i].foreign = true;
		fixture.nics[i].dhcp_port = 67;
	}
}

START_TEST(foreign_bridge_that_routes)
{
	static const char far[] = "198.51.100.10";
	int open BASE_AUTO_FD = net_bound(&fixture.net, NET_WORLD, SOCK_STREAM, far, 8081);
	int shut BASE_AUTO_FD = net_bound(&fixture.net, NET_WORLD, SOCK_STREAM, far, 8082);
	int ssh BASE_AUTO_FD = net_bound(&fixture.net, NET_HOST, SOCK_STREAM, "0.0.0.0", 22);
	int guest BASE_AUTO_FD = net_bound(&fixture.net, 0, SOCK_STREAM, "192.0.2.20", 80);

	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, "198.51.100.0/24", 8081);
	fixture_start(0);
	ck_assert(net_reaches(&fixture.net, 0, far, 8081, WAIT));
	ck_assert_uint_ge(fixture_packets(0, "egress[0]"), 1);
	int fd BASE_AUTO_FD = net_connecting(&fixture.net, 0, far, 8082);
	ck_assert(fixture_counts(0, "egress default deny", 1));
	ck_assert(!net_connected(fd, SHORT));

	/* the host itself is not what an address of the world allows */
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_ANY, NULL, 0);
	fixture_apply(0);
	ck_assert(net_reaches(&fixture.net, 0, far, 8082, WAIT));
	int local BASE_AUTO_FD = net_connecting(&fixture.net, 0, host, 22);
	ck_assert(fixture_counts(0, "host default deny", 1));
	ck_assert(!net_connected(local, SHORT));
	peer(0, false, POLICY_PEER_HOST, "");
	fixture_apply(0);
	ck_assert(net_reaches(&fixture.net, 0, host, 22, WAIT));

	/* and who comes in through the host is a stranger, unless allowed */
	int in BASE_AUTO_FD = net_connecting(&fixture.net, NET_WORLD, "192.0.2.20", 80);
	ck_assert(fixture_counts(0, "ingress default deny", 1));
	ck_assert(!net_connected(in, SHORT));
	fixture_rule(0, true, POLICY_ALLOW, POLICY_PROTO_TCP, "198.51.100.10/32", 80);
	fixture_apply(0);
	ck_assert(net_reaches(&fixture.net, NET_WORLD, "192.0.2.20", 80, WAIT));
	ck_assert_int_eq(firewall_vm_quarantine(fixture.fw, "vm0", NULL), 0);
	int cut BASE_AUTO_FD = net_connecting(&fixture.net, 0, far, 8081);
	ck_assert(fixture_counts(0, "quarantine from guest", 1));
	ck_assert(!net_connected(cut, SHORT));
}
END_TEST

/* What is foretold of a connection is what the kernel counts it as. */
START_TEST(foretold)
{
	static const struct {
		const char *to;
		uint8_t address[4];
		uint16_t port;
		enum firewall_end other;
	} tries[] = {
	        {"192.0.2.10", {192, 0, 2, 10}, ALLOWED_PORT, FIREWALL_END_WORLD},
	        {"192.0.2.10", {192, 0, 2, 10}, DENIED_PORT, FIREWALL_END_WORLD},
	        {"192.0.2.1", {192, 0, 2, 1}, 22, FIREWALL_END_HOST},
	};

	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, NULL, ALLOWED_PORT);
	peer(0, false, POLICY_PEER_HOST, "");
	fixture_start(0);
	for (size_t i = 0; i < BASE_COUNT(tries); i++) {
		struct firewall_packet packet = {.family = 4,
		                                 .protocol = IPPROTO_TCP,
		                                 .from = {192, 0, 2, 20},
		                                 .sport = 4000,
		                                 .dport = tries[i].port,
		                                 .other = tries[i].other};
		struct firewall_verdict verdict;
		uint64_t before;

		memcpy(packet.to, tries[i].address, 4);
		ck_assert_int_eq(firewall_judge(fixture.policies[0], &fixture.nics[0], 1, &packet,
		                                false, NULL, &verdict),
		                 0);
		before = fixture_packets(0, verdict.what);
		int fd BASE_AUTO_FD = net_connecting(&fixture.net, 0, tries[i].to, tries[i].port);
		ck_assert_msg(fixture_counts(0, verdict.what, before + 1), "%zu: not %s", i,
		              verdict.what);
	}
}
END_TEST

START_TEST(nothing_is_left)
{
	fixture_start(0);
	fixture_start(1);
	ck_assert_int_eq(firewall_vm_remove(fixture.fw, "vm0"), 0);
	char *one BASE_AUTO_FREE = net_output(&fixture.net, NET_HOST, "nft list ruleset");
	ck_assert_ptr_null(strstr(one, "vm_vm0"));
	ck_assert_ptr_null(strstr(one, "\"cn0\""));
	ck_assert_ptr_nonnull(strstr(one, "vm_vm1"));
	ck_assert_int_eq(firewall_vm_remove(fixture.fw, "vm1"), 0);
	char *none BASE_AUTO_FREE = net_output(&fixture.net, NET_HOST, "nft list ruleset");
	ck_assert_str_eq(none, "");
}
END_TEST

/* The probe adds a table and deletes it in one transaction, so it may be asked anywhere. */
static bool possible(void)
{
	const char *missing = NULL;
	struct firewall *fw;
	bool can;

	if (!net_possible())
		return false;
	fw = firewall_open();
	can = fw && firewall_host_check_bridge(fw, &missing);
	firewall_close(fw);
	if (!can)
		printf("skip: this kernel lacks %s\n", missing ? missing : "libnftables");
	return can;
}

int main(void)
{
	TCase *tests = tcase_create("bridge"), *routing = tcase_create("a bridge that routes");
	Suite *suite = suite_create("firewall bridge");
	SRunner *runner;
	int failed;

	if (!possible())
		return 77;
	tcase_add_checked_fixture(tests, open_bridge, fixture_close);
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, allowed_passes_and_the_rest_is_denied);
	tcase_add_test(tests, ingress_is_denied_until_allowed);
	tcase_add_test(tests, host_has_to_be_named);
	tcase_add_test(tests, spoofed_frames_stay);
	tcase_add_test(tests, two_vms_on_a_bridge);
	tcase_add_test(tests, tightening_and_quarantine);
	tcase_add_test(tests, foretold);
	tcase_add_test(tests, nothing_is_left);
	tcase_add_checked_fixture(routing, open_routing_bridge, fixture_close);
	tcase_set_timeout(routing, 120);
	tcase_add_test(routing, foreign_bridge_that_routes);
	suite_add_tcase(suite, tests);
	suite_add_tcase(suite, routing);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
