/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Taps and forwarding, for real, in a network namespace that each test makes: with and without IPv6 on
 * new interfaces, a name that somebody else has, and the host's forwarding as it was before.
 */
#include <check.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/base.h"
#include "cordon/host.h"

#define FORWARD  "/proc/sys/net/ipv4/ip_forward"
#define FORWARD6 "/proc/sys/net/ipv6/conf/all/forwarding"
#define ADVERTS  "/proc/sys/net/ipv6/conf/lo/accept_ra"
#define NO_IPV6  "/proc/sys/net/ipv6/conf/default/disable_ipv6"

static char folder[64];

static void setup(void)
{
	struct host_error error = {0};

	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	strcpy(folder, "/tmp/cordon-network-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chdir(folder), 0);
	ck_assert_msg(registry_prepare(&error) == 0, "%s", error.text);
}

static void teardown(void)
{
	static const char *const folders[] = {HOST_RUN_DIR "/vms",   HOST_RUN_DIR "/slots",
	                                      HOST_RUN_DIR "/links", HOST_RUN_DIR "/ended",
	                                      HOST_RUN_DIR,          HOST_LOG_DIR};

	for (size_t i = 0; i < BASE_COUNT(folders); i++)
		rmdir(folders[i]);
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(rmdir(folder), 0);
}

static void write_text(const char *path, const char *text)
{
	int fd BASE_AUTO_FD = open(path, O_WRONLY);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(base_write_all(fd, text, strlen(text)), 0);
}

static char first(const char *path)
{
	int fd BASE_AUTO_FD = open(path, O_RDONLY);
	char c = '?';

	ck_assert_int_eq(read(fd, &c, 1), 1);
	return c;
}

/* How often the text stands in the file. */
static int count(const char *path, const char *text)
{
	FILE *file BASE_AUTO_FILE = fopen(path, "r");
	char line[256];
	int found = 0;

	while (file && fgets(line, sizeof(line), file))
		found += strstr(line, text) != NULL;
	return found;
}

static int mtu(const char *tap)
{
	BASE_AUTO_FD int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {0};

	base_copy_string(request.ifr_name, sizeof(request.ifr_name), tap);
	return ioctl(fd, SIOCGIFMTU, &request) < 0 ? -errno : request.ifr_mtu;
}

static void up(bool ipv6)
{
	struct host_error error = {0};
	struct policy_nic nic = {.mode = POLICY_NIC_NAT};
	struct firewall_nic plan;
	unsigned int ifindex = 0;
	int taps[POLICY_QUEUES_MAX];

	nic.queues = ipv6 ? 3 : 1;
	nic.mtu = ipv6 ? 9000 : 0;
	network_plan(1, &nic, &plan);
	ck_assert_msg(network_tap_create(&plan, &nic, "web0", taps, &ifindex, &error) == 0, "%s",
	              error.text);
	ck_assert_int_eq(mtu("cn1"), ipv6 ? 9000 : 1500);
	ck_assert_uint_eq(ifindex, if_nametoindex("cn1"));
	ck_assert_msg(network_tap_up(&plan, ifindex, true, &error) == 0, "%s", error.text);
	/* 10.77.0.5 and its peer, as the kernel's routing table has them */
	ck_assert_int_ge(count("/proc/net/fib_trie", "10.77.0.6"), 1);
	ck_assert_int_eq(count("/proc/net/if_inet6", "fd7700cd000000010000000000000001"), ipv6);
	ck_assert_int_eq(network_tap_remove("cn1", ifindex), 0);
	ck_assert_uint_eq(if_nametoindex("cn1"), 0);
	ck_assert_int_eq(network_tap_remove("cn1", ifindex), 0);
	for (unsigned int i = 0; i < nic.queues; i++)
		close(taps[i]);
}

START_TEST(with_ipv6)
{
	if (access(NO_IPV6, F_OK) == 0) {
		write_text(NO_IPV6, "0");
		up(true);
	}
}
END_TEST

START_TEST(without_ipv6)
{
	if (access(NO_IPV6, F_OK) == 0)
		write_text(NO_IPV6, "1");
	up(false);
}
END_TEST

/* The tap's name is another's: it is not taken, and not removed with what was not made. */
START_TEST(somebody_elses_tap)
{
	struct host_error error = {0};
	struct policy_nic nic = {.mode = POLICY_NIC_NAT};
	struct firewall_nic plan;
	unsigned int theirs, ours = 0;
	int tap[POLICY_QUEUES_MAX], none[POLICY_QUEUES_MAX];

	network_plan(3, &nic, &plan);
	ck_assert_msg(network_tap_create(&plan, &nic, "theirs", tap, &theirs, &error) == 0, "%s",
	              error.text);
	ck_assert_int_lt(network_tap_create(&plan, &nic, "ours", none, &ours, &error), 0);
	close(none[0]);
	ck_assert_ptr_nonnull(strstr(error.text, "cn3"));
	ck_assert_uint_eq(ours, 0);
	ck_assert_int_eq(network_tap_remove("cn3", ours), 0);
	ck_assert_int_eq(network_tap_remove("cn3", theirs + 1), 0);
	ck_assert_uint_eq(if_nametoindex("cn3"), theirs);
	close(tap[0]);
	ck_assert_uint_eq(if_nametoindex("cn3"), 0);
}
END_TEST

/* Isolated from the bridge's other guests, which nothing but the policy changes. */
START_TEST(tap_on_a_bridge)
{
	struct policy_nic nic = {
	        .mode = POLICY_NIC_BRIDGE, .bridge = "br7", .ip4 = {192, 0, 2, 20}};
	struct host_error error = {0};
	struct firewall_nic plan;
	unsigned int ifindex = 0;
	int tap[POLICY_QUEUES_MAX];

	/* /sys shows the namespace that it was mounted in */
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount("sysfs", "/sys", "sysfs", 0, NULL), 0);
	nic.queues = 1;
	network_plan(7, &nic, &plan);
	ck_assert_str_eq(plan.bridge, "br7");
	ck_assert_mem_eq(plan.ip4, nic.ip4, 4);
	ck_assert_uint_eq(plan.dhcp_port, 0);
	ck_assert_int_eq(network_tap_create(&plan, &nic, "a", tap, &ifindex, &error), 0);
	ck_assert_uint_eq(network_bridge_find("br7"), 0);
	ck_assert_int_eq(network_tap_up(&plan, ifindex, true, &error), -ENODEV);
	ck_assert_ptr_nonnull(strstr(error.text, "br7"));
	ck_assert_int_eq(system("ip link add br7 type bridge"), 0);
	ck_assert_msg(network_tap_up(&plan, ifindex, true, &error) == 0, "%s", error.text);
	ck_assert_int_eq(first("/sys/class/net/cn7/brport/isolated"), '1');
	ck_assert_int_eq(first("/sys/class/net/cn7/brport/learning"), '0');
	ck_assert_int_eq(first("/sys/class/net/cn7/brport/unicast_flood"), '0');
	ck_assert_int_eq(network_bridge_port(ifindex, false), 0);
	ck_assert_int_eq(first("/sys/class/net/cn7/brport/isolated"), '0');
	close(tap[0]);
}
END_TEST

START_TEST(forwarding_is_put_back)
{
	struct host_error error = {0};

	write_text(FORWARD, "0");
	ck_assert_int_eq(network_forwarding_on(&error), 0);
	ck_assert_int_eq(first(FORWARD), '1');
	ck_assert_int_eq(network_forwarding_on(&error), 0);
	network_forwarding_restore();
	ck_assert_int_eq(first(FORWARD), '0');
	/* it was on: nothing is put back */
	write_text(FORWARD, "1");
	ck_assert_int_eq(network_forwarding_on(&error), 0);
	network_forwarding_restore();
	ck_assert_int_eq(first(FORWARD), '1');

	/* IPv6: a host that lives on router advertisements goes on to take them */
	write_text(FORWARD6, "0");
	write_text(ADVERTS, "1");
	ck_assert_int_eq(network_forwarding_on(&error), 0);
	ck_assert_int_eq(first(FORWARD6), '1');
	ck_assert_int_eq(first(ADVERTS), '2');
	ck_assert_int_eq(network_forwarding_on(&error), 0);
	network_forwarding_restore();
	ck_assert_int_eq(first(FORWARD6), '0');
	ck_assert_int_eq(first(ADVERTS), '1');
	network_forwarding_restore();
	write_text(FORWARD6, "1");
	write_text(ADVERTS, "1");
	ck_assert_int_eq(network_forwarding_on(&error), 0);
	network_forwarding_restore();
	ck_assert_int_eq(first(FORWARD6), '1');
	ck_assert_int_eq(first(ADVERTS), '1');
}
END_TEST

static const char *missing(void)
{
	int tun BASE_AUTO_FD = open("/dev/net/tun", O_RDWR);

	if (geteuid() != 0)
		return "it needs root";
	if (tun < 0)
		return "no /dev/net/tun";
	return NULL;
}

int main(void)
{
	Suite *suite = suite_create("cordon_network");
	TCase *all = tcase_create("all");

	if (missing()) {
		printf("skipped: %s\n", missing());
		return 77;
	}
	tcase_add_checked_fixture(all, setup, teardown);
	tcase_add_test(all, with_ipv6);
	tcase_add_test(all, without_ipv6);
	tcase_add_test(all, somebody_elses_tap);
	tcase_add_test(all, tap_on_a_bridge);
	tcase_add_test(all, forwarding_is_put_back);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);

	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed ? 1 : 0;
}
