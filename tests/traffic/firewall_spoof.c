/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that writes its own frames. Each case is one frame, and the counter that has to see it; or no
 * counter, for the frames beside them that have to pass. The policy allows everything, so that only the
 * anti-spoofing rules stand between the guest and the world, where a packet socket watches for leaks.
 */
#include <check.h>
#include <sys/socket.h>

#include "base/base.h"
#include "tests/traffic/firewall_fixture.h"

enum { FRAME_MAX = 256 };

struct frame {
	uint8_t bytes[FRAME_MAX];
	size_t size;
};

static const uint8_t own_mac[6] = {2, 0, 0, 0, 0, 16}, other_mac[6] = {2, 0, 0, 0, 0, 99},
                     tap_mac[6] = {2, 0, 0, 0, 1, 16};
static const uint8_t own4[4] = {10, 77, 0, 2}, gateway4[4] = {10, 77, 0, 1},
                     other4[4] = {10, 77, 0, 6};
static const uint8_t world4[4] = {192, 0, 2, 10}, zero4[4], broadcast4[4] = {255, 255, 255, 255};
static const uint8_t own6[16] = {0xfd, 0x77, [15] = 2}, gateway6[16] = {0xfd, 0x77, [15] = 1};
static const uint8_t other6[16] = {0xfd, 0x77, [13] = 1, [15] = 2}, zero6[16];
static const uint8_t world6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 0x10};
static const uint8_t local6[16] = {0xfe, 0x80, [15] = 0x22}, nodes6[16] = {0xff, 2, [15] = 1};
static const uint8_t solicited6[16] = {0xff, 2, [11] = 1, [12] = 0xff, [15] = 2};

static const char marker[] = "cordon-leak-test";

static void put(struct frame *f, const void *bytes, size_t size)
{
	ck_assert_uint_le(f->size + size, FRAME_MAX);
	memcpy(f->bytes + f->size, bytes, size);
	f->size += size;
}
static void put16(struct frame *f, unsigned int value)
{
	put(f, (uint8_t[]){(uint8_t)(value >> 8), (uint8_t)value}, 2);
}

static uint32_t sum16(const uint8_t *at, size_t size, uint32_t sum)
{
	for (size_t i = 0; i + 1 < size; i += 2)
		sum += base_be16(at + i);
	return size % 2 ? sum + ((uint32_t)at[size - 1] << 8) : sum;
}
static void finish_sum(uint8_t *at, uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	at[0] = (uint8_t)(~sum >> 8);
	at[1] = (uint8_t)~sum;
}

/* Ethernet towards the tap of VM 0. */
static struct frame ethernet(const uint8_t source[6], unsigned int type)
{
	struct frame f = {.size = 0};

	put(&f, tap_mac, 6);
	put(&f, source, 6);
	put16(&f, type);
	return f;
}

/* RFC 791 section 3.1; `flags` is the word of flags and fragment offset. */
static struct frame ip4(const uint8_t from[4], const uint8_t to[4], uint8_t protocol,
                        unsigned int flags, const struct frame *payload)
{
	struct frame f = ethernet(own_mac, 0x0800);
	size_t at = f.size;

	put(&f, (uint8_t[]){0x45, 0}, 2);
	put16(&f, (unsigned int)(20 + payload->size));
	put16(&f, 0x4242);
	put16(&f, flags);
	put(&f, (uint8_t[]){64, protocol, 0, 0}, 4);
	put(&f, from, 4);
	put(&f, to, 4);
	finish_sum(f.bytes + at + 10, sum16(f.bytes + at, 20, 0));
	put(&f, payload->bytes, payload->size);
	return f;
}

/* RFC 8200 section 3. */
static struct frame ip6(const uint8_t from[16], const uint8_t to[16], uint8_t next, uint8_t hops,
                        const struct frame *payload)
{
	struct frame f = ethernet(own_mac, 0x86dd);

	put(&f, (uint8_t[]){0x60, 0, 0, 0}, 4);
	put16(&f, (unsigned int)payload->size);
	put(&f, (uint8_t[]){next, hops}, 2);
	put(&f, from, 16);
	put(&f, to, 16);
	put(&f, payload->bytes, payload->size);
	return f;
}

/* UDP without a checksum is whole over IPv4 (RFC 768). */
static struct frame udp(unsigned int from, unsigned int to)
{
	struct frame f = {.size = 0};

	put16(&f, from);
	put16(&f, to);
	put16(&f, 8 + sizeof(marker));
	put16(&f, 0);
	put(&f, marker, sizeof(marker));
	return f;
}

/* UDP with IPv6's pseudo-header (RFC 8200 section 8.1), or ICMPv6 with its checksum at byte 2. */
static struct frame summed6(struct frame f, const uint8_t from[16], const uint8_t to[16],
                            uint8_t next)
{
	uint32_t sum = sum16(from, 16, sum16(to, 16, (uint32_t)f.size + next));

	finish_sum(f.bytes + (next == 17 ? 6 : 2), sum16(f.bytes, f.size, sum));
	return f;
}
static struct frame udp6(const uint8_t from[16], const uint8_t to[16], unsigned int source,
                         unsigned int dest)
{
	struct frame f = summed6(udp(source, dest), from, to, 17);

	return ip6(from, to, 17, 64, &f);
}

/* RFC 4861 sections 4.2 to 4.5: type, target, and one link-layer option (none: option 0). */
static struct frame nd(const uint8_t from[16], const uint8_t to[16], uint8_t type,
                       const uint8_t target[16], uint8_t option, const uint8_t mac[6])
{
	struct frame f = {.size = 0};

	put(&f, (uint8_t[]){type, 0, 0, 0, 0, 0, 0, 0}, 8);
	put(&f, target, 16);
	if (option) {
		put(&f, (uint8_t[]){option, 1}, 2);
		put(&f, mac, 6);
	}
	f = summed6(f, from, to, 58);
	return ip6(from, to, 58, 255, &f);
}

/* RFC 826. */
static struct frame arp(unsigned int operation, const uint8_t mac[6], const uint8_t sender[4],
                        const uint8_t target[4])
{
	struct frame f = ethernet(own_mac, 0x0806);

	put(&f, (uint8_t[]){0, 1, 8, 0, 6, 4}, 6);
	put16(&f, operation);
	put(&f, mac, 6);
	put(&f, sender, 4);
	put(&f, zero6, 6);
	put(&f, target, 4);
	return f;
}

static void send_frame(const struct frame *f)
{
	int fd BASE_AUTO_FD = net_packet(&fixture.net, 0, "g0");

	ck_assert_int_eq(send(fd, f->bytes, f->size, 0), (ssize_t)f->size);
}

/* True when a frame with our marker arrives at the packet socket. */
static bool arrives(int watch, int ms)
{
	uint8_t bytes[2048];

	while (net_readable(watch, ms)) {
		ssize_t n = recv(watch, bytes, sizeof(bytes), 0);

		if (n > 0 && memmem(bytes, (size_t)n, marker, sizeof(marker)))
			return true;
	}
	return false;
}

/* A hook of the test's own, behind ours: it counts what ours let through to the host. */
static void open_vm(void)
{
	fixture_open();
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_ANY, NULL, 0);
	fixture_start(0);
	net_run(&fixture.net, NET_HOST, "nft add table netdev watch");
	net_run(&fixture.net, NET_HOST,
	        "nft add chain netdev watch w { type filter hook ingress device cn0 priority 100 ; "
	        "}");
	net_run(&fixture.net, NET_HOST, "nft add rule netdev watch w counter");
}

static unsigned long passed_on(void)
{
	char *text BASE_AUTO_FREE =
	        net_output(&fixture.net, NET_HOST, "nft list chain netdev watch w");
	const char *at = strstr(text, "packets ");

	ck_assert_ptr_nonnull(at);
	return strtoul(at + strlen("packets "), NULL, 10);
}

/*
 * The frame is counted, and goes nowhere. A frame of the guest's own kernel may pass meanwhile, so there
 * are some tries; a frame of ours that passed would do so each time.
 */
static void expect_drop(struct frame f, const char *what)
{
	int watch BASE_AUTO_FD = net_packet(&fixture.net, NET_WORLD, "w0");
	bool held = false;

	for (int i = 0; i < 5 && !held; i++) {
		uint64_t before = fixture_packets(0, what);
		unsigned long passed = passed_on();

		send_frame(&f);
		ck_assert_msg(fixture_counts(0, what, before + 1), "'%s' did not count", what);
		held = passed_on() == passed;
	}
	ck_assert_msg(held, "'%s' counted, and the frame went on to the host", what);
	ck_assert_msg(!arrives(watch, 20), "'%s' counted, and the frame leaked", what);
}

/* The frame reaches the world (marker), or the chain of the VM's own traffic. */
static void expect_pass(struct frame f, const char *what)
{
	int watch BASE_AUTO_FD = net_packet(&fixture.net, NET_WORLD, "w0");

	send_frame(&f);
	ck_assert_msg(arrives(watch, WAIT), "%s did not pass", what);
}

/* Frames to the host itself: passed when no counter of the netdev chains saw them and `what` did. */
static void expect_host(struct frame f, const char *what)
{
	uint64_t before = fixture_packets(0, what);

	send_frame(&f);
	ck_assert_msg(fixture_counts(0, what, before + 1), "'%s' did not count", what);
}

START_TEST(mac_and_ethertype)
{
	struct frame u = udp(1000, 2000), f;

	f = ip4(own4, world4, 17, 0, &u);
	expect_pass(f, "an honest packet");
	memcpy(f.bytes + 6, other_mac, 6);
	expect_drop(f, "spoofed mac");
	f = ethernet(own_mac, 0x8100);
	put(&f, (uint8_t[]){0, 5, 8, 0}, 4);
	put(&f, marker, sizeof(marker));
	expect_drop(f, "vlan tag");
	f = ethernet(own_mac, 0x88a8);
	put(&f, (uint8_t[]){0, 5, 8, 0}, 4);
	put(&f, marker, sizeof(marker));
	expect_drop(f, "vlan tag");
	f = ethernet(own_mac, 0x88cc);
	put(&f, marker, sizeof(marker));
	expect_drop(f, "other ethertype");
}
END_TEST

START_TEST(ipv4_source)
{
	struct frame u = udp(1000, 2000), server = udp(67, 68), client = udp(68, 67);

	expect_drop(ip4(other4, world4, 17, 0, &u), "spoofed ipv4 source");
	expect_drop(ip4(gateway4, world4, 17, 0, &u), "spoofed ipv4 source");
	expect_drop(ip4(zero4, world4, 17, 0, &u), "spoofed ipv4 source");
	expect_drop(ip4(zero4, broadcast4, 17, 0, &u), "spoofed ipv4 source");
	expect_drop(ip4(own4, world4, 17, 0, &server), "dhcp server");
	expect_drop(ip4(own4, broadcast4, 17, 0, &u), "ipv4 multicast or broadcast");
	expect_drop(ip4(own4, (uint8_t[]){224, 0, 0, 1}, 17, 0, &u), "ipv4 multicast or broadcast");
	expect_host(ip4(zero4, broadcast4, 17, 0, &client), "dhcp");
	expect_host(ip4(own4, broadcast4, 17, 0, &client), "dhcp");
}
END_TEST

START_TEST(ipv4_headers)
{
	struct frame u = udp(1000, 2000), f = ip4(own4, world4, 17, 0, &u), two;

	/* a no-operation option in a longer header */
	two = f;
	two.bytes[14] = 0x46;
	two.bytes[17] = (uint8_t)(two.bytes[17] + 4);
	memmove(two.bytes + 38, two.bytes + 34, two.size - 34);
	memcpy(two.bytes + 34, (uint8_t[]){1, 1, 1, 0}, 4);
	two.size += 4;
	memset(two.bytes + 24, 0, 2);
	finish_sum(two.bytes + 24, sum16(two.bytes + 14, 24, 0));
	expect_drop(two, "ipv4 options");
	two = f;
	two.bytes[14] = 0x65;
	expect_drop(two, "malformed ipv4");
	expect_drop(ip4(own4, world4, 17, 0x2000, &u), "tiny fragment");
	expect_drop(ip4(own4, world4, 17, 0x0001, &u), "tiny fragment");
	expect_drop(ip4(other4, world4, 17, 0x0004, &u), "spoofed ipv4 source");
}
END_TEST

START_TEST(arp_sender)
{
	int watch BASE_AUTO_FD = net_packet(&fixture.net, 0, "g0");
	struct frame f = arp(1, own_mac, own4, gateway4);
	uint8_t bytes[256];
	bool answered = false;

	expect_drop(arp(2, other_mac, own4, gateway4), "spoofed arp mac");
	expect_drop(arp(2, own_mac, gateway4, gateway4), "spoofed arp ip");
	expect_drop(arp(1, own_mac, other4, gateway4), "spoofed arp ip");
	expect_drop(arp(1, own_mac, zero4, gateway4), "spoofed arp ip");
	expect_drop(arp(3, own_mac, own4, gateway4), "malformed arp");
	f.bytes[15] = 6;
	expect_drop(f, "malformed arp");
	f = arp(1, own_mac, own4, gateway4);
	send_frame(&f);
	while (!answered && net_readable(watch, WAIT))
		answered = recv(watch, bytes, sizeof(bytes), 0) >= 42 &&
		           base_be16(bytes + 12) == 0x0806 && base_be16(bytes + 20) == 2;
	ck_assert_msg(answered, "the gateway did not answer an honest request");
}
END_TEST

START_TEST(ipv6_source)
{
	expect_pass(udp6(own6, world6, 1000, 2000), "an honest packet");
	expect_drop(udp6(other6, world6, 1000, 2000), "spoofed ipv6 source");
	expect_drop(udp6(gateway6, world6, 1000, 2000), "spoofed ipv6 source");
	expect_drop(udp6(world6, own6, 1000, 2000), "spoofed ipv6 source");
	expect_drop(udp6(zero6, world6, 1000, 2000), "unspecified ipv6 source");
	expect_drop(udp6(own6, world6, 547, 546), "dhcp server");
	expect_drop(udp6(own6, nodes6, 1000, 2000), "ipv6 multicast");
}
END_TEST

START_TEST(ipv6_headers)
{
	struct frame u = udp(1000, 2000), routing = {.size = 0}, hidden = {.size = 0};

	put(&routing, (uint8_t[]){17, 0, 4, 0, 0, 0, 0, 0}, 8);
	put(&routing, u.bytes, u.size);
	expect_drop(ip6(own6, world6, 43, 64, &routing), "ipv6 routing header");
	put(&hidden, (uint8_t[]){60, 0, 0, 1, 0, 0, 0, 1}, 8);
	put(&hidden, (uint8_t[]){17, 0, 1, 4, 0, 0, 0, 0}, 8);
	put(&hidden, u.bytes, u.size);
	expect_drop(ip6(own6, world6, 44, 64, &hidden), "hidden ipv6 header");
	hidden.bytes[0] = 58;
	expect_drop(ip6(own6, world6, 44, 64, &hidden), "fragmented icmpv6");
}
END_TEST

START_TEST(neighbour_discovery)
{
	expect_host(nd(own6, gateway6, 135, gateway6, 1, own_mac), "neighbour discovery");
	expect_host(nd(own6, gateway6, 136, own6, 2, own_mac), "neighbour discovery");
	expect_host(nd(local6, gateway6, 135, gateway6, 1, own_mac), "neighbour discovery");
	expect_drop(nd(own6, gateway6, 135, gateway6, 1, other_mac),
	            "spoofed neighbour solicitation");
	expect_drop(nd(own6, gateway6, 135, gateway6, 2, own_mac),
	            "spoofed neighbour solicitation");
	expect_drop(nd(own6, gateway6, 136, own6, 2, other_mac), "spoofed neighbour advertisement");
	expect_drop(nd(own6, gateway6, 136, gateway6, 2, own_mac),
	            "spoofed neighbour advertisement");
	expect_drop(nd(own6, nodes6, 136, other6, 2, own_mac), "spoofed neighbour advertisement");
	expect_drop(nd(zero6, solicited6, 135, other6, 0, NULL), "unspecified ipv6 source");
	expect_drop(nd(own6, nodes6, 134, zero6, 0, NULL), "router advertisement");
	expect_drop(nd(local6, nodes6, 134, zero6, 1, own_mac), "router advertisement");
	expect_drop(nd(local6, own6, 137, world6, 0, NULL), "icmpv6 redirect");
}
END_TEST

START_TEST(no_ipv6_without_an_address)
{
	memset(fixture.nics[0].ip6, 0, 16);
	fixture_apply(0);
	expect_drop(udp6(own6, world6, 1000, 2000), "ipv6 without an address");
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("spoof");
	Suite *suite = suite_create("firewall spoof");
	SRunner *runner;
	int failed;

	if (!net_possible())
		return 77;
	tcase_add_checked_fixture(tests, open_vm, fixture_close);
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, mac_and_ethertype);
	tcase_add_test(tests, ipv4_source);
	tcase_add_test(tests, ipv4_headers);
	tcase_add_test(tests, arp_sender);
	tcase_add_test(tests, ipv6_source);
	tcase_add_test(tests, ipv6_headers);
	tcase_add_test(tests, neighbour_discovery);
	tcase_add_test(tests, no_ipv6_without_an_address);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
