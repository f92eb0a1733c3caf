/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cases of the suite: connections to the guest, limits, changes of rules, and modes of NICs. */
#include "tests/traffic/firewall_suite.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "base/base.h"

/* ---- ingress ---- */

static int sender(int where, const char *from, const char *to, uint16_t port)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = net_bound(&fixture.net, where, SOCK_DGRAM, from, 0);

	inet_pton(AF_INET, to, &v4.sin_addr);
	inet_pton(AF_INET6, to, &v6.sin6_addr);
	ck_assert_int_eq(suite_family == 4 ? connect(fd, (struct sockaddr *)&v4, sizeof(v4))
	                                   : connect(fd, (struct sockaddr *)&v6, sizeof(v6)),
	                 0);
	return fd;
}

static bool arrives(int from, int to)
{
	char text[64];

	ck_assert_msg(send(from, "x", 1, 0) == 1, "send: %s", strerror(errno));
	return net_readable(to, WAIT) && recv(to, text, sizeof(text), 0) > 0;
}

/* It is sent, the counter of VM 0 sees it, and it does not arrive. */
static void denied(int from, int to, const char *counter)
{
	uint64_t before = fixture_packets(0, counter);

	ck_assert_msg(send(from, "x", 1, 0) == 1 || errno == EPERM, "send: %s", strerror(errno));
	ck_assert_msg(fixture_counts(0, counter, before + 1), "'%s' did not count", counter);
	ck_assert(!net_readable(to, 0));
}

static void ingress_by_port(void)
{
	int open BASE_AUTO_FD =
	        net_bound(&fixture.net, 0, SOCK_DGRAM, suite_at(suite_guest0), PORT);
	int shut BASE_AUTO_FD =
	        net_bound(&fixture.net, 0, SOCK_DGRAM, suite_at(suite_guest0), OTHER_PORT);
	int good BASE_AUTO_FD =
	        sender(NET_WORLD, suite_at(suite_world), suite_at(suite_guest0), PORT);
	int bad BASE_AUTO_FD =
	        sender(NET_WORLD, suite_at(suite_world), suite_at(suite_guest0), OTHER_PORT);

	fixture_rule(0, true, POLICY_ALLOW, POLICY_PROTO_UDP, suite_at(suite_world_net), PORT);
	fixture_apply(0);
	ck_assert(arrives(good, open));
	denied(bad, shut, "ingress default deny");
}

static void ingress_from_the_host(void)
{
	int open BASE_AUTO_FD =
	        net_bound(&fixture.net, 0, SOCK_DGRAM, suite_at(suite_guest0), PORT);
	int good BASE_AUTO_FD =
	        sender(NET_HOST, suite_at(suite_host), suite_at(suite_guest0), PORT);
	int bad BASE_AUTO_FD =
	        sender(NET_WORLD, suite_at(suite_world), suite_at(suite_guest0), PORT);

	suite_peer(0, true, POLICY_PEER_HOST, "", PORT);
	fixture_apply(0);
	ck_assert(arrives(good, open));
	denied(bad, open, "ingress default deny");
}

static void ingress_from_the_world(void)
{
	int open BASE_AUTO_FD =
	        net_bound(&fixture.net, 0, SOCK_DGRAM, suite_at(suite_guest0), PORT);
	int good BASE_AUTO_FD =
	        sender(NET_WORLD, suite_at(suite_world), suite_at(suite_guest0), PORT);
	int vm BASE_AUTO_FD = sender(1, suite_at(suite_guest1), suite_at(suite_guest0), PORT);
	int own BASE_AUTO_FD = sender(NET_HOST, suite_at(suite_host), suite_at(suite_guest0), PORT);

	suite_peer(0, true, POLICY_PEER_WORLD, "", PORT);
	fixture_apply(0);
	fixture_rule(1, false, POLICY_ALLOW, POLICY_PROTO_ANY, NULL, 0);
	fixture_apply(1);
	ck_assert(arrives(good, open));
	denied(vm, open, "ingress default deny");
	denied(own, open, "ingress default deny");
}

static void ingress_from_one_vm(void)
{
	int open BASE_AUTO_FD =
	        net_bound(&fixture.net, 0, SOCK_DGRAM, suite_at(suite_guest0), PORT);
	int good BASE_AUTO_FD = sender(1, suite_at(suite_guest1), suite_at(suite_guest0), PORT);
	int bad BASE_AUTO_FD =
	        sender(NET_WORLD, suite_at(suite_world), suite_at(suite_guest0), PORT);

	fixture_rule(1, false, POLICY_ALLOW, POLICY_PROTO_ANY, NULL, 0);
	fixture_apply(1);
	suite_peer(0, true, POLICY_PEER_VM, "vm1", PORT);
	fixture_apply(0);
	ck_assert(arrives(good, open));
	denied(bad, open, "ingress default deny");
}

/* ---- limits ---- */

/* How many of `count` packets, each of a connection of its own, arrive in the world. */
static int burst(int count, bool one_connection, size_t size)
{
	/* somebody is there, as error messages would count too */
	int there BASE_AUTO_FD =
	        net_bound(&fixture.net, NET_WORLD, SOCK_DGRAM, suite_at(suite_world), PORT);
	int watch = suite_watch(SUITE_WORLD), arrived = 0;
	struct frame u = suite_good(PORT);

	for (int i = 0; i < count; i++) {
		struct frame f;

		if (!one_connection)
			u = suite_good(PORT);
		while (u.size < size)
			frame_put(&u, "", 1);
		u.bytes[4] = (uint8_t)(u.size >> 8);
		u.bytes[5] = (uint8_t)u.size;
		u.bytes[6] = u.bytes[7] = 0;
		f = suite_from_guest(suite_at(suite_world), 17, u);
		suite_send(&f, 1);
	}
	while (suite_sees(watch, EVASION_GOOD, SHORT))
		arrived++;
	return arrived;
}

static struct policy_limits *limited(void)
{
	struct policy_rule *rule = suite_allow(POLICY_PROTO_UDP, NULL, PORT);

	rule->limited = true;
	return &rule->limits;
}

static void limit_of_connections(void)
{
	limited()->connections = 3;
	fixture_apply(0);
	ck_assert_int_eq(burst(6, false, 0), 3);
	ck_assert_uint_ge(fixture_packets(0, "egress[0] connections"), 3);
}

static void limit_of_new_connections(void)
{
	int arrived;

	limited()->new_connections = 1;
	fixture_apply(0);
	arrived = burst(20, false, 0);
	ck_assert(arrived >= 1 && arrived < 20);
	ck_assert_uint_ge(fixture_packets(0, "egress[0] new connections"), 1);
}

static void limit_of_packets(void)
{
	int arrived;

	limited()->packets = 8;
	suite_allow(POLICY_PROTO_UDP, NULL, OTHER_PORT);
	fixture_apply(0);
	arrived = burst(100, true, 0);
	ck_assert(arrived >= 1 && arrived < 100);
	ck_assert_uint_ge(fixture_packets(0, "egress[0] packets"), 1);
	suite_udp_goes(suite_at(suite_world), OTHER_PORT);
}

static void limit_of_bandwidth(void)
{
	int arrived;

	limited()->bandwidth = 1000;
	fixture_apply(0);
	arrived = burst(300, true, 1400);
	ck_assert(arrived >= 1 && arrived < 300);
	ck_assert_uint_ge(fixture_packets(0, "egress[0] bandwidth"), 1);
}

static void quota_of_a_rule(void)
{
	limited()->quota = 5000;
	suite_allow(POLICY_PROTO_UDP, NULL, OTHER_PORT);
	fixture_apply(0);
	suite_udp_goes(suite_at(suite_world), OTHER_PORT);
	ck_assert_int_eq(burst(10, true, 1000), 4);
	ck_assert_uint_ge(fixture_packets(0, "egress[0] quota"), 6);
	suite_udp_goes(suite_at(suite_world), OTHER_PORT);
}

/* The VM's goes on counting when the policy changes. */
static void quota_of_the_vm(void)
{
	fixture.policies[0]->firewall.limits.quota = 5000;
	suite_allow(POLICY_PROTO_UDP, NULL, PORT);
	ck_assert_int_eq(firewall_vm_remove(fixture.fw, "vm0"), 0);
	fixture_apply(0);
	ck_assert_int_eq(burst(2, true, 1000), 2);
	suite_allow(POLICY_PROTO_UDP, NULL, OTHER_PORT);
	fixture_apply(0);
	ck_assert_int_lt(burst(10, true, 1000), 4);
	suite_stays(suite_at(suite_world), 17, suite_bad(OTHER_PORT), "quota");
}

static void limit_of_the_vm(void)
{
	int arrived;

	fixture.policies[0]->firewall.limits.packets = 8;
	suite_allow(POLICY_PROTO_UDP, NULL, PORT);
	fixture_apply(0);
	arrived = burst(100, true, 0);
	ck_assert(arrived >= 1 && arrived < 100);
	ck_assert_uint_ge(fixture_packets(0, "egress packets"), 1);
}

/* ---- connections that older rules allowed ---- */

static void tightening_ends_what_the_guest_sends(void)
{
	int there BASE_AUTO_FD =
	        net_bound(&fixture.net, NET_WORLD, SOCK_DGRAM, suite_at(suite_world), PORT);
	int fd BASE_AUTO_FD = sender(0, suite_at(suite_guest0), suite_at(suite_world), PORT);

	suite_allow(POLICY_PROTO_UDP, NULL, PORT);
	fixture_apply(0);
	ck_assert(arrives(fd, there));
	suite_forget_rules();
	suite_allow(POLICY_PROTO_UDP, NULL, OTHER_PORT);
	fixture_apply(0);
	denied(fd, there, "egress default deny");
}

/* An open connection of the guest's; *back sends to it. */
static void opened(int fds[2])
{
	struct sockaddr_storage from;
	socklen_t size = sizeof(from);
	char text[8];

	fds[1] = net_bound(&fixture.net, NET_WORLD, SOCK_DGRAM, suite_at(suite_world), PORT);
	fds[0] = sender(0, suite_at(suite_guest0), suite_at(suite_world), PORT);
	ck_assert_int_eq(send(fds[0], "x", 1, 0), 1);
	ck_assert(net_readable(fds[1], WAIT));
	ck_assert_int_eq(recvfrom(fds[1], text, sizeof(text), 0, (struct sockaddr *)&from, &size),
	                 1);
	ck_assert_int_eq(connect(fds[1], (struct sockaddr *)&from, size), 0);
	ck_assert(arrives(fds[1], fds[0]));
}

static void tightening_ends_answers(void)
{
	int fds[2];

	suite_allow(POLICY_PROTO_UDP, NULL, PORT);
	fixture_apply(0);
	opened(fds);
	suite_forget_rules();
	suite_allow(POLICY_PROTO_UDP, NULL, OTHER_PORT);
	fixture_apply(0);
	denied(fds[1], fds[0], "egress connection no longer allowed");
	base_close(&fds[0]);
	base_close(&fds[1]);
}

/* Whichever side speaks first after the change, and by whichever rule it is allowed then. */
static void what_is_still_allowed_goes_on(void)
{
	int fds[2];

	suite_allow(POLICY_PROTO_UDP, NULL, PORT);
	fixture_apply(0);
	opened(fds);
	suite_forget_rules();
	suite_drop(POLICY_PROTO_UDP, NULL, OTHER_PORT);
	suite_allow(POLICY_PROTO_ANY, suite_at(suite_world_net), 0);
	fixture_apply(0);
	ck_assert(arrives(fds[1], fds[0]));
	fixture_apply(0);
	ck_assert(arrives(fds[0], fds[1]));
	ck_assert(arrives(fds[1], fds[0]));
	base_close(&fds[0]);
	base_close(&fds[1]);
}

static void a_new_denial_ends_what_it_covers(void)
{
	int fds[2];

	suite_allow(POLICY_PROTO_UDP, NULL, 0);
	fixture_apply(0);
	opened(fds);
	suite_forget_rules();
	suite_drop(POLICY_PROTO_UDP, suite_at(suite_world_net), PORT);
	suite_allow(POLICY_PROTO_UDP, NULL, 0);
	fixture_apply(0);
	denied(fds[1], fds[0], "egress[0]");
	suite_udp_goes(suite_at(suite_world), OTHER_PORT);
	base_close(&fds[0]);
	base_close(&fds[1]);
}

static void tightening_ends_what_others_opened(void)
{
	int open BASE_AUTO_FD =
	        net_bound(&fixture.net, 0, SOCK_DGRAM, suite_at(suite_guest0), PORT);
	int fd BASE_AUTO_FD =
	        sender(NET_WORLD, suite_at(suite_world), suite_at(suite_guest0), PORT);
	struct sockaddr_storage from;
	socklen_t size = sizeof(from);
	char text[8];

	fixture_rule(0, true, POLICY_ALLOW, POLICY_PROTO_UDP, NULL, PORT);
	fixture_apply(0);
	ck_assert_int_eq(send(fd, "x", 1, 0), 1);
	ck_assert(net_readable(open, WAIT));
	ck_assert_int_eq(recvfrom(open, text, sizeof(text), 0, (struct sockaddr *)&from, &size), 1);
	ck_assert_int_eq(connect(open, (struct sockaddr *)&from, size), 0);
	ck_assert(arrives(open, fd));
	suite_forget_rules();
	fixture_apply(0);
	denied(open, fd, "ingress connection no longer allowed");
	denied(fd, open, "ingress default deny");
}

static void a_restarted_vm_inherits_nothing(void)
{
	int fds[2];

	suite_allow(POLICY_PROTO_UDP, NULL, PORT);
	fixture_apply(0);
	opened(fds);
	ck_assert_int_eq(firewall_vm_remove(fixture.fw, "vm0"), 0);
	suite_forget_rules();
	fixture_apply(0);
	denied(fds[0], fds[1], "egress default deny");
	denied(fds[1], fds[0], "egress connection no longer allowed");
	base_close(&fds[0]);
	base_close(&fds[1]);
}

static void a_limited_rule_changes_with_the_rest(void)
{
	int fds[2];

	limited()->connections = 100;
	fixture_apply(0);
	opened(fds);
	suite_forget_rules();
	suite_allow(POLICY_PROTO_UDP, NULL, OTHER_PORT);
	limited()->packets = 1000;
	limited()->quota = 1 << 20;
	fixture_apply(0);
	ck_assert(arrives(fds[1], fds[0]));
	suite_forget_rules();
	suite_allow(POLICY_PROTO_UDP, NULL, OTHER_PORT);
	fixture_apply(0);
	denied(fds[1], fds[0], "egress connection no longer allowed");
	base_close(&fds[0]);
	base_close(&fds[1]);
}

/* ---- modes ---- */

/* The source address that the world sees. */
static void shows(const char *address)
{
	int watch = suite_watch(SUITE_WORLD);
	struct frame f = suite_from_guest(suite_at(suite_world), 17, suite_good(PORT));
	uint8_t own[16], bytes[2048];
	bool seen = false;

	suite_send(&f, 1);
	inet_pton(suite_family == 4 ? AF_INET : AF_INET6, address, own);
	while (!seen && net_readable(watch, WAIT)) {
		ssize_t n = recv(watch, bytes, sizeof(bytes), 0);

		seen = n > 54 && memmem(bytes, (size_t)n, EVASION_GOOD, strlen(EVASION_GOOD)) &&
		       memcmp(bytes + (suite_family == 4 ? 26 : 22), own,
		              suite_family == 4 ? 4 : 16) == 0;
	}
	ck_assert_msg(seen, "no packet came from %s", address);
	suite_udp_stays(suite_at(suite_world), OTHER_PORT);
}

static void nat_shows_the_host(void)
{
	suite_allow(POLICY_PROTO_UDP, NULL, PORT);
	fixture_apply(0);
	shows(suite_at(suite_host));
}

static void routed_shows_the_guest(void)
{
	fixture.nics[0].mode = POLICY_NIC_ROUTED;
	suite_allow(POLICY_PROTO_UDP, NULL, PORT);
	fixture_apply(0);
	shows(suite_at(suite_guest0));
}

static void host_only_stays(void)
{
	suite_vm_takes(NULL);
	fixture.nics[0].mode = POLICY_NIC_HOST_ONLY;
	suite_allow(POLICY_PROTO_UDP, NULL, 0);
	fixture_apply(0);
	suite_goes_to_vm();
	suite_stays(suite_at(suite_world), 17, suite_bad(PORT), "egress of a host-only nic");
}

static void forward_of_a_port(void)
{
	struct policy_nic *nic = &fixture.policies[0]->vm.nics[0];
	int open BASE_AUTO_FD =
	        net_bound(&fixture.net, 0, SOCK_DGRAM, suite_at(suite_guest0), PORT);
	int good BASE_AUTO_FD =
	        sender(NET_WORLD, suite_at(suite_world), suite_at(suite_host), 8053);
	int bad BASE_AUTO_FD = sender(NET_WORLD, suite_at(suite_world), suite_at(suite_host), 8053);

	nic->forwards[nic->forward_count++] =
	        (struct policy_forward){POLICY_PROTO_UDP, 8053, PORT, 9};
	fixture_rule(0, true, POLICY_ALLOW, POLICY_PROTO_UDP, suite_at(suite_world_net), PORT);
	fixture_apply(0);
	ck_assert(arrives(good, open));
	ck_assert_uint_ge(fixture_packets(0, "forward udp 8053"), 1);
	suite_forget_rules();
	fixture_apply(0);
	denied(bad, open, "ingress default deny");
	denied(good, open, "ingress default deny");
	nic->forward_count = 0;
	fixture_apply(0);
}

/* One of two VMs has the port; the other is refused as a whole. */
static void forward_that_is_taken(void)
{
	struct policy_forward forward = {POLICY_PROTO_TCP, 8053, 80, 9};

	for (int i = 0; i < 2; i++) {
		fixture.policies[i]->vm.nics[0].forwards[0] = forward;
		fixture.policies[i]->vm.nics[0].forward_count = 1;
		fixture.policies[i]->vm.nic_count = 1;
	}
	fixture_apply(0);
	ck_assert_int_eq(firewall_vm_apply(fixture.fw, fixture.policies[1], &fixture.nics[1], 1),
	                 -EEXIST);
	ck_assert_ptr_nonnull(strstr(firewall_error(fixture.fw), "another VM's"));
	fixture.policies[1]->vm.nics[0].forwards[0].host = 8054;
	fixture_apply(1);
}

const struct suite_case suite_state[] = {
        {"ingress by port", ingress_by_port},
        {"ingress from the host", ingress_from_the_host},
        {"ingress from the world", ingress_from_the_world},
        {"ingress from one VM", ingress_from_one_vm},
        {"limit of connections", limit_of_connections},
        {"limit of new connections", limit_of_new_connections},
        {"limit of packets", limit_of_packets},
        {"limit of bandwidth", limit_of_bandwidth},
        {"quota of a rule", quota_of_a_rule},
        {"quota of the VM", quota_of_the_vm},
        {"limit of the VM", limit_of_the_vm},
        {"tightening ends what the guest sends", tightening_ends_what_the_guest_sends},
        {"tightening ends answers", tightening_ends_answers},
        {"what is still allowed goes on", what_is_still_allowed_goes_on},
        {"a new denial ends what it covers", a_new_denial_ends_what_it_covers},
        {"tightening ends what others opened", tightening_ends_what_others_opened},
        {"a restarted VM inherits nothing", a_restarted_vm_inherits_nothing},
        {"a limited rule changes with the rest", a_limited_rule_changes_with_the_rest},
        {"nat shows the host", nat_shows_the_host},
        {"routed shows the guest", routed_shows_the_guest},
        {"host-only stays on the host", host_only_stays},
        {"a forward of a port", forward_of_a_port},
        {"a forward that is taken", forward_that_is_taken},
};
const size_t suite_state_count = BASE_COUNT(suite_state);
