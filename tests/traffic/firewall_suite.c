/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The spoofing and evasion suite, in namespaces: each case sends what must not pass beside what must,
 * and prints one line. What must not pass has to be counted by the rule that is there for it, must not
 * arrive in the world, and must not reach the host behind the tap.
 *
 * The fixture is set up once, each case runs in a child of its own, and what a case loads stays until
 * the next one loads something else.
 */
#include "tests/traffic/firewall_suite.h"

#include <linux/if_packet.h>
#include <sys/socket.h>

#include "base/base.h"

enum { TRIES = 5 };

const struct frame_net suite_net = {
        .own_mac = {2, 0, 0, 0, 0, 16},
        .tap_mac = {2, 0, 0, 0, 1, 16},
        .own4 = {10, 77, 0, 2},
        .gateway4 = {10, 77, 0, 1},
        .world4 = {192, 0, 2, 10},
        .own6 = {0xfd, 0x77, [15] = 2},
        .gateway6 = {0xfd, 0x77, [15] = 1},
        .world6 = {0x20, 0x01, 0x0d, 0xb8, [15] = 0x10},
};

void suite_passed(const char *name, const char *family)
{
	printf("ok    %s%s\n", name, family);
	fflush(stdout);
}

int suite_wires[SUITE_WIRES];

void suite_open_wires(void)
{
	static const struct {
		int where;
		const char *link;
	} wires[] = {[SUITE_WORLD] = {NET_WORLD, "w0"},
	             [SUITE_GUEST] = {0, "g0"},
	             [SUITE_OTHER] = {1, "g0"}};

	for (size_t i = 0; i < BASE_COUNT(wires); i++)
		suite_wires[i] = net_packet(&fixture.net, wires[i].where, wires[i].link);
}

static void close_wires(void)
{
	for (size_t i = 0; i < BASE_COUNT(suite_wires); i++)
		base_close(&suite_wires[i]);
}

int suite_watch(enum suite_wire wire)
{
	uint8_t byte;

	while (recv(suite_wires[wire], &byte, 1, MSG_DONTWAIT) >= 0)
		;
	return suite_wires[wire];
}

void suite_send(const struct frame *frames, size_t count)
{
	for (size_t i = 0; i < count; i++)
		ck_assert_int_eq(send(suite_wires[SUITE_GUEST], frames[i].bytes, frames[i].size, 0),
		                 (ssize_t)frames[i].size);
}

bool suite_sees(int watch, const char *text, int ms)
{
	uint8_t bytes[2048];

	while (net_readable(watch, ms)) {
		struct sockaddr_ll from = {.sll_pkttype = PACKET_OUTGOING};
		socklen_t length = sizeof(from);
		ssize_t n =
		        recvfrom(watch, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &length);

		if (from.sll_pkttype == PACKET_OUTGOING) /* an error message may quote it */
			continue;
		if (n > 0 && memmem(bytes, (size_t)n, text, strlen(text)))
			return true;
		ck_assert_msg(n <= 0 || !memmem(bytes, (size_t)n, EVASION_BAD, strlen(EVASION_BAD)),
		              "a frame that must not pass arrived");
	}
	return false;
}

/* A hook of the test's own, behind ours: it counts what ours let through to the host. */
static void open_frames(void)
{
	struct policy *policy;

	fixture_open();
	suite_open_wires();
	policy = fixture.policies[0];
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_UDP, "224.0.0.251/32", 5353);
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_UDP, "ff02::fb/128", 5353);
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_ANY, NULL, 0);
	policy->firewall.routing_headers[253 / 8] = 1u << 253 % 8;
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
 * The bad frames are counted, and the last of them does not pass the tap. A frame of the guest's own kernel
 * may pass meanwhile, so there are some tries; a frame of ours that passed would do so each time.
 */
static void expect_drop(const struct evasion *e)
{
	struct frame frames[FRAMES_MAX];
	size_t count = e->bad(&suite_net, frames);
	bool held = !e->counter;

	if (held)
		suite_send(frames, count);
	for (int i = 0; i < TRIES && !held; i++) {
		uint64_t before = fixture_packets(0, e->counter);
		unsigned long passed = passed_on();

		suite_send(frames, count);
		ck_assert_msg(fixture_counts(0, e->counter, before + 1), "%s: '%s' did not count",
		              e->name, e->counter);
		held = passed_on() == passed;
	}
	ck_assert_msg(held, "%s: '%s' counted, and the frame went on to the host", e->name,
	              e->counter);
}

static void expect_pass(const struct evasion *e, int watch)
{
	struct frame frames[FRAMES_MAX];
	size_t count = evasion_good(e, &suite_net, frames);
	unsigned long before = passed_on();

	suite_send(frames, count);
	if (!e->host) {
		ck_assert_msg(suite_sees(watch, EVASION_GOOD, WAIT), "%s: its twin did not pass",
		              e->name);
		return;
	}
	for (int waited = 0; waited < WAIT && passed_on() == before; waited += 20)
		usleep(20000);
	ck_assert_msg(passed_on() > before, "%s: its twin did not reach the host", e->name);
}

START_TEST(frames)
{
	const struct evasion *e = evasion_at((size_t)_i);
	int watch = suite_watch(SUITE_WORLD);

	expect_pass(e, watch);
	expect_drop(e);
	/* whatever leaked is here before the second twin is */
	expect_pass(e, watch);
	ck_assert_msg(!suite_sees(watch, EVASION_BAD, 0), "%s: it arrived", e->name);
	suite_passed(e->name, "");
}
END_TEST

void suite_close(void)
{
	close_wires();
	fixture_close();
}

int main(void)
{
	TCase *tests = tcase_create("frames");
	Suite *suite = suite_create("firewall suite");
	SRunner *runner;
	int failed;

	if (!net_possible())
		return 77;
	tcase_add_unchecked_fixture(tests, open_frames, suite_close);
	tcase_set_timeout(tests, 30);
	tcase_add_loop_test(tests, frames, 0, (int)evasion_count());
	suite_add_tcase(suite, tests);
	suite_add_tcase(suite, suite_rules());
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
