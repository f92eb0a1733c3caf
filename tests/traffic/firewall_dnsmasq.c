/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The real dnsmasq, started as a VM's is (own uid, no capability, its seccomp list), behind the real
 * rules: a guest without an address asks for one, and then for a name, on the ports that guests use.
 */
#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/base.h"
#include "isolate/isolate.h"
#include "tests/traffic/firewall_fixture.h"

enum { DHCP_SIZE = 300, DNS_TRIES = 50 };
enum { DISCOVER = 1, OFFER = 2, REQUEST = 3, ACK = 5 };

static pid_t dnsmasq;

/* As it was built: the build folder may have been carried elsewhere since. */
static void find_preload(char path[PATH_MAX])
{
	static const char beside[] = "/../../firewall/dnsmasq-preload.so";
	char self[PATH_MAX] = "";
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	ck_assert_int_gt(n, 0);
	char *name = strrchr(self, '/');
	ck_assert(name && (size_t)(name - self) + sizeof(beside) < sizeof(self));
	memcpy(name, beside, sizeof(beside));
	ck_assert_ptr_nonnull(realpath(self, path));
}

static void start_dnsmasq(void)
{
	struct firewall_dnsmasq *made BASE_AUTO_FREE = NULL;
	char preload[PATH_MAX];
	FILE *resolv = fopen("/run/resolv.conf", "we");
	const char *stage = NULL;
	int binary BASE_AUTO_FD = -1;

	find_preload(preload);
	ck_assert_ptr_nonnull(resolv);
	fputs("# a comment\nnameserver 192.0.2.10\nnameserver not-an-address\n", resolv);
	ck_assert_int_eq(fclose(resolv), 0);
	ck_assert_int_eq(firewall_dnsmasq_make(fixture.policies[0], &fixture.nics[0], preload,
	                                       "/run/resolv.conf", &made),
	                 0);
	binary = open(made->binary, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(binary, 0);
	struct isolate_process process = {
	        .name = "dnsmasq",
	        .binary = binary,
	        .argv = made->argv,
	        .uid = isolate_uid(0, 20),
	        .gid = isolate_uid(0, 20),
	        .fds = &(struct isolate_fd){2, 2},
	        .fd_count = 1,
	        .cgroup = -1,
	        .flags = ISOLATE_KEEP_NET | ISOLATE_KEEP_ROOT | ISOLATE_PDEATHSIG,
	        .binds = made->binds,
	        .open_files_max = 64,
	        .file_size_max = 1 << 20,
	};
	dnsmasq = isolate_spawn(&process, &stage);
	ck_assert_msg(dnsmasq > 0, "dnsmasq: %s: %s", stage, strerror(-dnsmasq));
}

static void open_vm(void)
{
	fixture_open();
	fixture_start(0);
	start_dnsmasq();
}

/* Asked to end, it ends by itself: a call that its list forbids would have shown as SIGSYS. */
static void close_vm(void)
{
	int status = 0;

	kill(dnsmasq, SIGTERM);
	ck_assert_int_eq(waitpid(dnsmasq, &status, 0), dnsmasq);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0,
	              "dnsmasq ended with status %#x", status);
	fixture_close();
}

/* RFC 2131 section 2 and RFC 2132: the fixed fields, the magic cookie, the options. */
static size_t make_dhcp(uint8_t message[DHCP_SIZE], int type, const uint8_t *wanted,
                        const uint8_t *server)
{
	const uint8_t mac[6] = {2, 0, 0, 0, 0, 16};
	size_t at = 240;

	memset(message, 0, DHCP_SIZE);
	memcpy(message, (uint8_t[]){1, 1, 6, 0, 0x12, 0x34, 0x56, 0x78}, 8);
	memcpy(message + 28, mac, 6);
	memcpy(message + 236, (uint8_t[]){99, 130, 83, 99}, 4);
	memcpy(message + at, (uint8_t[]){53, 1, (uint8_t)type}, 3);
	at += 3;
	if (wanted) {
		memcpy(message + at, (uint8_t[]){50, 4}, 2);
		memcpy(message + at + 2, wanted, 4);
		at += 6;
	}
	if (server) {
		memcpy(message + at, (uint8_t[]){54, 4}, 2);
		memcpy(message + at + 2, server, 4);
		at += 6;
	}
	/* a client identifier that changes with each message, as that of an initramfs and a system do */
	memcpy(message + at,
	       (uint8_t[]){61, 2, 0, (uint8_t)(type + (wanted ? 1 : 0)), 55, 3, 1, 3, 6, 255}, 10);
	return DHCP_SIZE;
}

static const uint8_t *dhcp_option(const uint8_t *message, size_t size, uint8_t wanted)
{
	for (size_t at = 240; at + 2 <= size && message[at] != 255;
	     at += message[at] ? 2U + message[at + 1] : 1)
		if (message[at] == wanted && at + 2 + message[at + 1] <= size)
			return message + at + 2;
	return NULL;
}

/* Sends, until an answer of the type comes (dnsmasq may not be listening yet); it has to be from port 67. */
static void ask_dhcp(int fd, int type, const uint8_t *wanted, const uint8_t *server, int expected,
                     uint8_t answer[1500], size_t *size)
{
	struct sockaddr_in to = {
	        .sin_family = AF_INET, .sin_port = htons(67), .sin_addr = {INADDR_BROADCAST}};
	uint8_t message[DHCP_SIZE];
	size_t length = make_dhcp(message, type, wanted, server);

	for (int i = 0; i < DNS_TRIES; i++) {
		struct sockaddr_in from = {0};
		socklen_t from_size = sizeof(from);
		ssize_t n;

		ck_assert_int_eq(sendto(fd, message, length, 0, (struct sockaddr *)&to, sizeof(to)),
		                 (int)length);
		/* on a slow machine, the answer to an earlier message may come first */
		while (net_readable(fd, SHORT)) {
			n = recvfrom(fd, answer, 1500, 0, (struct sockaddr *)&from, &from_size);
			ck_assert_int_eq(ntohs(from.sin_port), 67);
			ck_assert_int_gt(n, 240);
			const uint8_t *kind = dhcp_option(answer, (size_t)n, 53);
			ck_assert_ptr_nonnull(kind);
			*size = (size_t)n;
			if (kind[0] == expected)
				return;
		}
	}
	ck_abort_msg("no answer from the DHCP server");
}

START_TEST(guest_gets_its_address)
{
	static const uint8_t guest[4] = {10, 77, 0, 2}, gateway[4] = {10, 77, 0, 1},
	                     mask[4] = {255, 255, 255, 252};
	uint8_t answer[1500];
	size_t size = 0;
	int one = 1;

	net_run(&fixture.net, 0, "ip addr flush dev g0");
	int fd BASE_AUTO_FD = net_bound(&fixture.net, 0, SOCK_DGRAM, "0.0.0.0", 68);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof(one)), 0);
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "g0", 3), 0);
	ask_dhcp(fd, DISCOVER, NULL, NULL, OFFER, answer, &size);
	ck_assert_mem_eq(answer + 16, guest, 4);
	ask_dhcp(fd, REQUEST, guest, gateway, ACK, answer, &size);
	ck_assert_mem_eq(answer + 16, guest, 4);
	ck_assert_mem_eq(dhcp_option(answer, size, 1), mask, 4);
	ck_assert_mem_eq(dhcp_option(answer, size, 3), gateway, 4);
	ck_assert_mem_eq(dhcp_option(answer, size, 6), gateway, 4);
	/* the same guest under another client identifier gets the same address */
	ask_dhcp(fd, DISCOVER, guest, NULL, OFFER, answer, &size);
	ck_assert_mem_eq(answer + 16, guest, 4);
	ck_assert_uint_ge(fixture_packets(0, "dhcp"), 3);
	ck_assert_uint_ge(fixture_packets(0, "dhcp answer"), 3);
}
END_TEST

/* RFC 1035 section 4.1: a question for the address of host.example. */
static const uint8_t question[] = {0x12, 0x34, 1,   0,   0,   1,   0,   0, 0,   0,
                                   0,    0,    4,   'h', 'o', 's', 't', 7, 'e', 'x',
                                   'a',  'm',  'p', 'l', 'e', 0,   0,   1, 0,   1};
static const uint8_t address[4] = {192, 0, 2, 80};

/* Plays the upstream server for one query. */
static void answer_upstream(int server)
{
	uint8_t message[1500];
	struct sockaddr_in from;
	socklen_t from_size = sizeof(from);
	ssize_t n = recvfrom(server, message, sizeof(message) - 16, 0, (struct sockaddr *)&from,
	                     &from_size);
	const size_t end = sizeof(question);

	ck_assert_int_ge(n, (ssize_t)end);
	message[2] |= 0x80;
	memcpy(message + 6, (uint8_t[]){0, 1, 0, 0, 0, 0}, 6);
	memcpy(message + end, (uint8_t[]){0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 0, 0, 4}, 12);
	memcpy(message + end + 12, address, 4);
	ck_assert_int_eq(sendto(server, message, end + 16, 0, (struct sockaddr *)&from, from_size),
	                 (int)end + 16);
}

static bool resolve_udp(int server, uint8_t *answer, size_t max)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
	int fd BASE_AUTO_FD = net_bound(&fixture.net, 0, SOCK_DGRAM, "10.77.0.2", 0);

	ck_assert_int_eq(inet_pton(AF_INET, "10.77.0.1", &to.sin_addr), 1);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	for (int i = 0; i < DNS_TRIES; i++) {
		if (send(fd, question, sizeof(question), 0) < 0)
			usleep(100000); /* refused: dnsmasq does not listen yet */
		if (net_readable(server, SHORT))
			answer_upstream(server);
		/* connected: only an answer from 10.77.0.1:53 is read here */
		if (net_readable(fd, SHORT) && recv(fd, answer, max, 0) > (ssize_t)sizeof(question))
			return true;
	}
	return false;
}

START_TEST(guest_resolves_a_name)
{
	int server BASE_AUTO_FD = net_bound(&fixture.net, NET_WORLD, SOCK_DGRAM, "192.0.2.10", 53);
	uint8_t answer[512] = {0}, framed[2 + sizeof(question)] = {0, sizeof(question)};
	int fd BASE_AUTO_FD = -1, direct BASE_AUTO_FD = -1;

	ck_assert(resolve_udp(server, answer, sizeof(answer)));
	ck_assert_ptr_nonnull(memmem(answer, sizeof(answer), address, sizeof(address)));
	/* over TCP, out of dnsmasq's cache */
	fd = net_connecting(&fixture.net, 0, "10.77.0.1", 53);
	ck_assert(net_connected(fd, WAIT));
	memcpy(framed + 2, question, sizeof(question));
	ck_assert_int_eq(write(fd, framed, sizeof(framed)), sizeof(framed));
	ck_assert(net_readable(fd, WAIT));
	memset(answer, 0, sizeof(answer));
	ck_assert_int_gt(read(fd, answer, sizeof(answer)), 2);
	ck_assert_ptr_nonnull(memmem(answer, sizeof(answer), address, sizeof(address)));
	ck_assert_uint_ge(fixture_packets(0, "dns"), 2);
	/* another resolver is not part of it */
	direct = net_connecting(&fixture.net, 0, "192.0.2.10", 53);
	ck_assert(fixture_counts(0, "egress default deny", 1));
}
END_TEST

/*
 * The tap goes down and comes up again, as after somebody changed the rules, and with it its addresses, the router's link-local
 * one among them: dnsmasq, which is told of each, answers as before.
 */
START_TEST(tap_goes_and_comes)
{
	int server BASE_AUTO_FD = net_bound(&fixture.net, NET_WORLD, SOCK_DGRAM, "192.0.2.10", 53);
	uint8_t answer[512] = {0};

	for (int i = 0; i < 2; i++) {
		ck_assert(resolve_udp(server, answer, sizeof(answer)));
		net_run(&fixture.net, NET_HOST, "ip -6 addr add fe80::1/64 dev cn0 nodad");
		ck_assert(resolve_udp(server, answer, sizeof(answer)));
		net_run(&fixture.net, NET_HOST, "ip link set cn0 down");
		net_run(&fixture.net, NET_HOST, "ip link set cn0 up");
		net_run(&fixture.net, NET_HOST,
		        "ip neigh replace 10.77.0.2 lladdr 02:00:00:00:00:10 dev cn0");
	}
	ck_assert(resolve_udp(server, answer, sizeof(answer)));
}
END_TEST

/* Locked before it serves: so not at once, but when it has answered. */
START_TEST(dnsmasq_holds_nothing)
{
	int server BASE_AUTO_FD = net_bound(&fixture.net, NET_WORLD, SOCK_DGRAM, "192.0.2.10", 53);
	char path[64], status[4096] = "";
	uint8_t answer[512];
	int fd BASE_AUTO_FD = -1;

	ck_assert(resolve_udp(server, answer, sizeof(answer)));
	snprintf(path, sizeof(path), "/proc/%d/status", dnsmasq);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_gt(read(fd, status, sizeof(status) - 1), 0);
	ck_assert_ptr_nonnull(strstr(status, "CapPrm:\t0000000000000000"));
	ck_assert_ptr_nonnull(strstr(status, "CapEff:\t0000000000000000"));
	ck_assert_ptr_nonnull(strstr(status, "NoNewPrivs:\t1"));
	ck_assert_ptr_nonnull(strstr(status, "Seccomp:\t2"));
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("dnsmasq");
	Suite *suite = suite_create("firewall dnsmasq");
	SRunner *runner;
	const char *missing = NULL;
	int failed;

	if (!net_possible())
		return 77;
	if (access("/usr/sbin/dnsmasq", X_OK) != 0 || !isolate_host_check(&missing)) {
		printf("skip: %s\n", missing ? missing : "dnsmasq-base is not installed");
		return 77;
	}
	tcase_add_checked_fixture(tests, open_vm, close_vm);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, guest_gets_its_address);
	tcase_add_test(tests, guest_resolves_a_name);
	tcase_add_test(tests, tap_goes_and_comes);
	tcase_add_test(tests, dnsmasq_holds_nothing);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
