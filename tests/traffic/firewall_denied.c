/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the firewall denies, either way, as the monitor hears of it: by the kernel's log, for real packets. */
#include <arpa/inet.h>
#include <check.h>
#include <net/if.h>
#include <sys/socket.h>

#include "base/base.h"
#include "cordon/netlink.h"
#include "monitor/denied.h"
#include "tests/traffic/firewall_fixture.h"

enum { EVENTS = 512, PATIENCE = 30000, FLOOD = 300, SHARE = 40, SHARE_MOST = 120 };

static int log_fd = -1;
static struct denied_event events[EVENTS];
static size_t event_count;

static void hear(struct denied_event *event, void *data)
{
	(void)data;
	if (event_count < EVENTS)
		events[event_count++] = *event;
}

/* Reads until there is such an event (true), or for `ms`. */
static bool heard(const char *tap, bool inward, uint32_t line, uint16_t port, int ms)
{
	static uint8_t buffer[65536];
	const uint32_t ifindex = if_nametoindex(tap);

	for (int waited = 0; waited <= ms; waited += 100) {
		for (ssize_t n; (n = recv(log_fd, buffer, sizeof(buffer), MSG_DONTWAIT)) > 0;)
			denied_read(buffer, (size_t)n, hear, NULL);
		for (size_t i = 0; i < event_count; i++)
			if (events[i].header.ifindex == ifindex && events[i].inward == inward &&
			    events[i].line == line &&
			    (inward ? events[i].key.guest_port : events[i].key.peer_port) == port)
				return true;
		usleep(100000);
	}
	return false;
}

static void open_vms(void)
{
	fixture_open();
	fixture.nics[0].mode = fixture.nics[1].mode = POLICY_NIC_ROUTED;
	fixture_rule(0, true, POLICY_DROP, POLICY_PROTO_TCP, "0.0.0.0/0", 25);
	fixture_rule(1, false, POLICY_ALLOW, POLICY_PROTO_TCP, "10.77.0.2/32", 0);
	fixture_start(0);
	fixture_start(1);
	net_run(&fixture.net, NET_WORLD, "ip route add 10.77.0.0/24 via 192.0.2.1");
	net_enter(&fixture.net, NET_HOST);
	log_fd = denied_open();
	ck_assert_msg(log_fd >= 0, "%s", strerror(-log_fd));
	event_count = 0;
}

static void close_vms(void)
{
	base_close(&log_fd);
	fixture_close();
}

static void try(int where, const char *address, uint16_t port)
{
	int fd BASE_AUTO_FD = net_connecting(&fixture.net, where, address, port);

	net_connected(fd, SHORT);
	net_enter(&fixture.net, NET_HOST);
}

START_TEST(either_way)
{
	try(NET_WORLD, "10.77.0.2", 80);
	ck_assert(heard("cn0", true, 0, 80, PATIENCE));
	ck_assert_mem_eq(events[0].key.guest, "\x0a\x4d\0\x02", 4);
	ck_assert_mem_eq(events[0].key.peer, "\xc0\0\x02\x0a", 4);
	try(NET_WORLD, "10.77.0.2", 25);
	ck_assert(heard("cn0", true, 7, 25, PATIENCE));
	/* another VM, which its own rules let out: it is the other one's that denies */
	try(1, "10.77.0.2", 3306);
	ck_assert(heard("cn0", true, 0, 3306, PATIENCE));
	ck_assert(!heard("cn1", false, 0, 3306, 0));
	try(0, "192.0.2.10", DENIED_PORT);
	ck_assert(heard("cn0", false, 0, DENIED_PORT, PATIENCE));
	/* what the host itself sends is no news, whoever denies it */
	try(NET_HOST, "10.77.0.2", 81);
	try(NET_HOST, "10.77.0.6", 82);
	ck_assert(!heard("cn0", true, 0, 81, SHORT));
	ck_assert(!heard("cn1", true, 0, 82, SHORT));
	ck_assert(fixture_packets(1, "ingress default deny") >= 1);
	ck_assert(fixture_packets(0, "ingress default deny") >= 3);
}
END_TEST

START_TEST(either_way_ipv6)
{
	net_run(&fixture.net, NET_WORLD, "ip -6 route add fd77::/64 via 2001:db8::1");
	net_enter(&fixture.net, NET_HOST);
	try(NET_WORLD, "fd77::2", 443);
	ck_assert(heard("cn0", true, 0, 443, PATIENCE));
	try(0, "2001:db8::10", DENIED_PORT);
	ck_assert(heard("cn0", false, 0, DENIED_PORT, PATIENCE));
}
END_TEST

/* One VM's share is its own: who is flooded hides nobody else, and nothing of what it tries itself. */
START_TEST(shares)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
	int fd BASE_AUTO_FD = net_bound(&fixture.net, NET_WORLD, SOCK_DGRAM, "192.0.2.10", 0);
	size_t logged = 0;

	inet_pton(AF_INET, "10.77.0.2", &to.sin_addr);
	for (int i = 0; i < FLOOD; i++)
		ck_assert_int_eq(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)), 1);
	net_enter(&fixture.net, NET_HOST);
	try(NET_WORLD, "10.77.0.6", 22);
	ck_assert(heard("cn1", true, 0, 22, PATIENCE));
	try(0, "192.0.2.10", DENIED_PORT);
	ck_assert(heard("cn0", false, 0, DENIED_PORT, PATIENCE));
	for (size_t i = 0; i < event_count; i++)
		logged += events[i].key.guest_port == 9;
	ck_assert_uint_ge(logged, SHARE);
	ck_assert_uint_le(logged, SHARE_MOST);
	ck_assert(fixture_counts(0, "ingress default deny", FLOOD));
	/* whose tap is gone has no share any more that the next of that name would begin with */
	ck_assert_int_eq(firewall_vm_remove(fixture.fw, "vm0"), 0);
	char *left BASE_AUTO_FREE = net_output(&fixture.net, NET_HOST, "nft list ruleset");
	ck_assert_ptr_null(strstr(left, "\"cn0\""));
	ck_assert_ptr_nonnull(strstr(left, "\"cn1\""));
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("denied");
	Suite *suite = suite_create("firewall denied");
	SRunner *runner;
	int failed;

	if (!net_possible())
		return 77;
	tcase_add_checked_fixture(tests, open_vms, close_vms);
	tcase_set_timeout(tests, 150);
	tcase_add_test(tests, either_way);
	tcase_add_test(tests, either_way_ipv6);
	tcase_add_test(tests, shares);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
