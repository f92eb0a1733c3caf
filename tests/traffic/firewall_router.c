/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-router, started as a VM's is, behind the real rules: a guest with the kernel's own router discovery and Debian's
 * DHCPv6 client gets the one address that is its own, and a router, in each mode that has one.
 */
#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/base.h"
#include "firewall/router.h"
#include "isolate/isolate.h"
#include "tests/traffic/firewall_fixture.h"

enum { PATIENCE = 60000, PAUSE = 100 };

static pid_t router;

/* As it was built: the build folder may have been carried elsewhere since. */
static int open_router(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	ck_assert_int_gt(n, 0);
	path[n] = '\0';
	char *name = strrchr(path, '/');
	ck_assert_ptr_nonnull(name);
	snprintf(name, sizeof(path) - (size_t)(name - path), "/../../firewall/cordon-router");
	return open(path, O_RDONLY | O_CLOEXEC);
}

static void start_router(void)
{
	char *argv[] = {(char *)"cordon-router", (char *)"fd77::2", (char *)"fd77::1",
	                (char *)"1400",          (char *)"dns",     NULL};
	const char *stage = NULL;
	int sockets[2], binary BASE_AUTO_FD = open_router();

	ck_assert_int_ge(binary, 0);
	ck_assert_int_eq(firewall_router_open(&fixture.nics[0], sockets), 0);
	struct isolate_process process = {
	        .name = "router",
	        .binary = binary,
	        .argv = argv,
	        .uid = isolate_uid(0, 21),
	        .gid = isolate_uid(0, 21),
	        .fds = (struct isolate_fd[]){{2, 2},
	                                     {sockets[0], ROUTER_FD_FIRST},
	                                     {sockets[1], ROUTER_FD_FIRST + 1}},
	        .fd_count = 3,
	        .cgroup = -1,
	        .flags = ISOLATE_PDEATHSIG,
	        .file_size_max = 1 << 20,
	};
	router = isolate_spawn(&process, &stage);
	ck_assert_msg(router > 0, "cordon-router: %s: %s", stage, strerror(-router));
	close(sockets[0]);
	close(sockets[1]);
}

/* The guest forgets what the fixture gave it, and asks. The script puts to use what the client says, and no file. */
static void stock_guest(void)
{
	static const char script[] =
	        "#!/bin/sh\ncase $reason in\nBOUND6 | RENEW6 | REBIND6)\n"
	        "\tip -6 addr add \"$new_ip6_address/128\" dev \"$interface\" nodad\n"
	        "\techo \"$new_dhcp6_name_servers\" >/run/servers ;;\nesac\nexit 0\n";
	int fd BASE_AUTO_FD = open("/run/script", O_WRONLY | O_CREAT | O_CLOEXEC, 0700);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(base_write_all(fd, script, sizeof(script) - 1), 0);
	net_run(&fixture.net, 0, "ip -6 addr flush dev g0");
	net_run(&fixture.net, 0, "ip -6 route flush default");
	net_run(&fixture.net, 0, "ip link set g0 down");
	net_run(&fixture.net, 0, "ip link set g0 addrgenmode eui64");
	net_run(&fixture.net, 0, "ip link set g0 up");
}

static void open_vm(void)
{
	fixture_open();
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_TCP, "2001:db8::10/128", ALLOWED_PORT);
}

static void start_mode(enum policy_nic_mode mode)
{
	fixture.nics[0].mode = mode;
	fixture_start(0);
	net_run(&fixture.net, NET_HOST, "ip -6 addr add fe80::1/64 dev cn0 nodad");
	start_router();
	stock_guest();
}

static void close_vm(void)
{
	char *pid BASE_AUTO_FREE = NULL;

	if (access("/run/client.pid", F_OK) == 0) {
		pid = net_output(&fixture.net, 0, "cat /run/client.pid");
		kill((pid_t)strtol(pid, NULL, 10), SIGKILL);
	}
	ck_assert_int_eq(waitpid(router, NULL, WNOHANG), 0); /* it lives */
	kill(router, SIGKILL);
	waitpid(router, NULL, 0);
	fixture_close();
}

/* Waits until the guest's table has the words. */
static bool guest_has(const char *command, const char *words)
{
	for (int waited = 0; waited < PATIENCE; waited += PAUSE) {
		char *output BASE_AUTO_FREE = net_output(&fixture.net, 0, command);

		if (strstr(output, words))
			return true;
		usleep(PAUSE * 1000);
	}
	return false;
}

static void get_address(void)
{
	ck_assert(guest_has("ip -6 route show default", "default via fe80::1 dev g0 proto ra"));
	/* the client asks from a link-local address, which the kernel has to have found to be nobody else's */
	ck_assert(guest_has("ip -6 addr show dev g0 scope link -tentative", "fe80::ff:fe00:10/64"));
	net_run(&fixture.net, 0,
	        "timeout 60 dhclient -6 -1 -q -sf /run/script -lf /run/client.leases -pf "
	        "/run/client.pid -cf /dev/null g0");
	char *global BASE_AUTO_FREE =
	        net_output(&fixture.net, 0, "ip -6 -o addr show dev g0 scope global");
	ck_assert_msg(strstr(global, " fd77::2/128 "), "%s", global);
	/* that one and no other, by whatever the kernel made of the advertisement */
	ck_assert_ptr_null(strchr(strchr(global, '\n') + 1, '\n'));
	char *servers BASE_AUTO_FREE = net_output(&fixture.net, 0, "cat /run/servers");
	ck_assert_str_eq(servers, "fd77::1\n");
	char *mtu BASE_AUTO_FREE =
	        net_output(&fixture.net, 0, "cat /proc/sys/net/ipv6/conf/g0/mtu");
	ck_assert_str_eq(mtu, "1400\n");
	ck_assert_uint_ge(fixture_packets(0, "dhcp"), 2);
	ck_assert_uint_ge(fixture_packets(0, "dhcp answer"), 2);
	ck_assert(net_pings(&fixture.net, 0, "fd77::1", WAIT));
}

START_TEST(guest_of_nat)
{
	int listener BASE_AUTO_FD =
	        net_bound(&fixture.net, NET_WORLD, SOCK_STREAM, "2001:db8::10", ALLOWED_PORT);

	start_mode(POLICY_NIC_NAT);
	get_address();
	ck_assert(net_reaches(&fixture.net, 0, "2001:db8::10", ALLOWED_PORT, WAIT));
	ck_assert(!net_reaches(&fixture.net, 0, "2001:db8::10", DENIED_PORT, SHORT));
}
END_TEST

/* As after somebody changed the rules: the sockets are the same, and are heard as before. */
START_TEST(tap_goes_and_comes)
{
	start_mode(POLICY_NIC_NAT);
	ck_assert(guest_has("ip -6 route show default", "default via fe80::1 dev g0 proto ra"));
	net_run(&fixture.net, NET_HOST, "ip link set cn0 down");
	net_run(&fixture.net, 0, "ip link set g0 down");
	net_run(&fixture.net, NET_HOST, "ip link set cn0 up");
	net_run(&fixture.net, NET_HOST, "ip -6 addr add fd77::1/112 dev cn0 nodad");
	net_run(&fixture.net, NET_HOST, "ip -6 addr add fe80::1/64 dev cn0 nodad");
	net_run(&fixture.net, NET_HOST,
	        "ip neigh replace fd77::2 lladdr 02:00:00:00:00:10 dev cn0");
	net_run(&fixture.net, 0, "ip link set g0 up");
	get_address();
}
END_TEST

START_TEST(guest_of_routed)
{
	int listener BASE_AUTO_FD =
	        net_bound(&fixture.net, NET_WORLD, SOCK_STREAM, "2001:db8::10", ALLOWED_PORT);

	start_mode(POLICY_NIC_ROUTED);
	net_run(&fixture.net, NET_WORLD, "ip -6 route add fd77::2/128 via 2001:db8::1");
	get_address();
	ck_assert(net_reaches(&fixture.net, 0, "2001:db8::10", ALLOWED_PORT, WAIT));
}
END_TEST

START_TEST(guest_of_host_only)
{
	int listener BASE_AUTO_FD =
	        net_bound(&fixture.net, NET_WORLD, SOCK_STREAM, "2001:db8::10", ALLOWED_PORT);

	start_mode(POLICY_NIC_HOST_ONLY);
	get_address();
	ck_assert(!net_reaches(&fixture.net, 0, "2001:db8::10", ALLOWED_PORT, SHORT));
}
END_TEST

static void has(const char *path, const char *words)
{
	char text[4096] = "";
	int fd BASE_AUTO_FD = open(path, O_RDONLY | O_CLOEXEC);

	ck_assert_int_gt(read(fd, text, sizeof(text) - 1), 0);
	ck_assert_msg(strstr(text, words), "%s: no '%s' in\n%s", path, words, text);
}

/* It has answered, so it is locked. */
START_TEST(router_holds_nothing)
{
	char path[64], its[64] = "", host[64] = "";

	start_mode(POLICY_NIC_NAT);
	ck_assert(guest_has("ip -6 route show default", "default via fe80::1 dev g0 proto ra"));
	snprintf(path, sizeof(path), "/proc/%d/status", router);
	has(path, "CapPrm:\t0000000000000000");
	has(path, "CapEff:\t0000000000000000");
	has(path, "NoNewPrivs:\t1");
	has(path, "Seccomp:\t2");
	snprintf(path, sizeof(path), "/proc/%d/ns/net", router);
	ck_assert_int_gt(readlink(path, its, sizeof(its) - 1), 0);
	ck_assert_int_gt(readlink("/proc/self/ns/net", host, sizeof(host) - 1), 0);
	ck_assert_str_ne(its, host);
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("router");
	Suite *suite = suite_create("firewall router");
	SRunner *runner;
	const char *missing = NULL;
	int failed;

	if (!net_possible())
		return 77;
	if (access("/usr/sbin/dhclient", X_OK) != 0 || !isolate_host_check(&missing)) {
		printf("skip: %s\n", missing ? missing : "isc-dhcp-client is not installed");
		return 77;
	}
	tcase_add_checked_fixture(tests, open_vm, close_vm);
	tcase_set_timeout(tests, 170);
	tcase_add_test(tests, guest_of_nat);
	tcase_add_test(tests, guest_of_routed);
	tcase_add_test(tests, guest_of_host_only);
	tcase_add_test(tests, router_holds_nothing);
	tcase_add_test(tests, tap_goes_and_comes);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
