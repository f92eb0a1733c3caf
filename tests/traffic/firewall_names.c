/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Egress by name, with the programs that a VM has for it and a real dnsmasq upstream: the first connection after an
 * answer, every time; what expires; answers that are wrong on purpose; policies that change; programs that die.
 */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/base.h"
#include "firewall/rules.h"
#include "isolate/isolate.h"
#include "monitor/dns.h"
#include "tests/traffic/firewall_names.h"

enum { TRIES = 50 };

static const char *const all[] = {"*.example.org", "www.example.com", "strict.example.net"};
static uint8_t answer[NAMES_ANSWER_MAX];

/* dnsmasq may not be listening yet. */
static void wait_ready(void)
{
	for (int i = 0; i < TRIES; i++) {
		ssize_t n = names_ask("ready.example.net", NAMES_A, answer, false, SHORT);

		if (n > 0 && (answer[3] & 15) != 2)
			return;
		usleep(50000);
	}
	ck_abort_msg("no answer from the resolver");
}

static void open_all(void)
{
	names_world_open(all, BASE_COUNT(all));
	names_start(true);
	wait_ready();
}

/* Asks, and gives the address that came. */
static const char *resolve(const char *name, uint16_t type)
{
	static char text[64];
	ssize_t n = names_ask(name, type, answer, false, WAIT);

	ck_assert_msg(n > 0 && names_address(answer, (size_t)n, type, text), "%s: no address",
	              name);
	return text;
}

static void check_opens(const char *name, uint16_t type)
{
	const char *address = resolve(name, type);

	ck_assert_msg(names_connects(address), "%s: %s is closed", name, address);
}

static void check_closed(const char *name, uint16_t type)
{
	const char *address = resolve(name, type);

	ck_assert_msg(!net_reaches(&fixture.net, 0, address, ALLOWED_PORT, SHORT), "%s: %s is open",
	              name, address);
}

START_TEST(first_connection_of_a_thousand)
{
	int opened = 0;

	for (int i = 0; i < 1000; i++) {
		const uint16_t type = i % 2 ? NAMES_AAAA : NAMES_A;
		char name[32];

		snprintf(name, sizeof(name), "h%d.example.org", i / 2);
		bool open = names_connects(resolve(name, type));

		if (!open)
			printf("%s: closed\n", name);
		opened += open;
	}
	printf("first connections right after the answer: %d of 1000\n", opened);
	ck_assert_int_eq(opened, 1000);
	/* a first packet that was dropped would have been sent again */
	ck_assert_uint_eq(fixture_packets(0, "egress default deny"), 0);
	ck_assert_uint_ge(fixture_packets(0, "egress[0]"), 1000);
}
END_TEST

START_TEST(names_are_exact_or_below)
{
	check_opens("www.example.com", NAMES_A);
	check_opens("WWW.Example.COM", NAMES_AAAA);
	check_closed("other.example.com", NAMES_A);
	check_opens("h3.example.org", NAMES_AAAA);
	/* the address of a name that nobody asked for is closed */
	ck_assert(!net_reaches(&fixture.net, 0, "198.51.100.9", ALLOWED_PORT, SHORT));
	/* and of one that was asked for, on other ports */
	ck_assert(!net_reaches(&fixture.net, 0, resolve("h5.example.org", NAMES_A), DENIED_PORT,
	                       SHORT));
}
END_TEST

static void wait_empty(const char *name, int family)
{
	for (int i = 0; i < 200 && names_elements(name, family); i++)
		usleep(50000);
	ck_assert_uint_eq(names_elements(name, family), 0);
}

/* A TTL of a second, and the grace of one: then it is closed; but not what was connected before. */
START_TEST(an_address_expires)
{
	for (int family = 4; family <= 6; family += 2) {
		const uint16_t type = family == 4 ? NAMES_A : NAMES_AAAA;
		char address[64], byte = 0;
		int fd BASE_AUTO_FD = -1;

		ck_assert_int_eq(base_copy_string(address, sizeof(address),
		                                  resolve("short.example.org", type)),
		                 0);
		fd = net_connecting(&fixture.net, 0, address, ALLOWED_PORT);
		ck_assert(net_connected(fd, WAIT));
		wait_empty("*.example.org", family);
		ck_assert(!net_reaches(&fixture.net, 0, address, ALLOWED_PORT, SHORT));
		ck_assert_int_eq(write(fd, "x", 1), 1);
		int world BASE_AUTO_FD = accept(names_world.listener, NULL, NULL);
		ck_assert(net_readable(world, WAIT));
		ck_assert_int_eq(read(world, &byte, 1), 1);
		/* a new answer opens it anew */
		check_opens("short.example.org", type);
	}
}
END_TEST

/* An answer that comes again before the end puts the end off. */
START_TEST(an_answer_refreshes)
{
	const char *address = resolve("short.example.org", NAMES_A);
	char keep[64];

	ck_assert_int_eq(base_copy_string(keep, sizeof(keep), address), 0);
	for (int i = 0; i < 8; i++) {
		usleep(500000);
		resolve("short.example.org", NAMES_A);
		ck_assert(names_connects(keep));
	}
}
END_TEST

/* Each of these has addresses that the policy's rule by name must not open. */
START_TEST(hostile_answers_open_nothing)
{
	static const struct {
		const char *name;
		uint16_t type;
	} cases[] = {
	        {"private.example.org", NAMES_A},     {"metadata.example.org", NAMES_A},
	        {"metadata.example.org", NAMES_AAAA}, {"loop.example.org", NAMES_A},
	        {"loop.example.org", NAMES_AAAA},     {"link.example.org", NAMES_A},
	        {"link.example.org", NAMES_AAAA},     {"multi.example.org", NAMES_A},
	        {"multi.example.org", NAMES_AAAA},    {"ula.example.org", NAMES_AAAA},
	        {"vm.example.org", NAMES_A},          {"vm.example.org", NAMES_AAAA},
	};

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		resolve(cases[i].name, cases[i].type);
		ck_assert_msg(names_elements("*.example.org", 4) == 0 &&
		                      names_elements("*.example.org", 6) == 0,
		              "%s has opened something", cases[i].name);
	}
	check_closed("private.example.org", NAMES_A);
	check_closed("vm.example.org", NAMES_A);
	check_closed("vm.example.org", NAMES_AAAA);
	/* the host's own public addresses are in the set, and the host is in chains that do not look there */
	int own BASE_AUTO_FD =
	        net_bound(&fixture.net, NET_HOST, SOCK_STREAM, "0.0.0.0", ALLOWED_PORT);
	check_closed("host.example.org", NAMES_A);
	ck_assert_uint_ge(fixture_packets(0, "host default deny"), 1);
	ck_assert_uint_eq(fixture_packets(0, "egress[0]"), 0);
}
END_TEST

/* Where a name leads to another that has rules of its own, those hold, and no others. */
START_TEST(aliases_get_what_their_target_has)
{
	const char *address = resolve("alias.example.org", NAMES_A);

	ck_assert_str_eq(address, "198.51.100.80");
	ck_assert_uint_eq(names_elements("*.example.org", 4), 0);
	ck_assert_uint_eq(names_elements("strict.example.net", 4), 1);
	/* one that has none is the asked name's own affair */
	check_opens("site.example.org", NAMES_A);
	ck_assert_uint_eq(names_elements("*.example.org", 4), 1);
}
END_TEST

static bool take_ttl(const struct dns_record *record, void *data)
{
	*(uint32_t *)data = record->ttl;
	return true;
}

/* A TTL of none is the grace; a huge one is NAMES_TTL_MAX, for the guest too. */
START_TEST(strange_ttls_are_bounded)
{
	check_opens("zero.example.org", NAMES_A);
	wait_empty("*.example.org", 4);
	ck_assert(!net_reaches(&fixture.net, 0, "198.51.100.252", ALLOWED_PORT, SHORT));
	for (int i = 0; i < 2; i++) { /* as it came, and out of dnsmasq's cache */
		uint32_t ttl = 0;
		ssize_t n = names_ask("huge.example.org", NAMES_A, answer, false, WAIT);

		ck_assert_int_eq(dns_walk(answer, (size_t)n, 1, take_ttl, &ttl), 1);
		ck_assert_msg(ttl > 60 && ttl <= NAMES_TTL_MAX, "the guest is told %u s", ttl);
	}
}
END_TEST

/* 1400 addresses do not fit into UDP: the guest asks again over TCP, and gets an answer of which a part is open. */
START_TEST(huge_answers_are_bounded)
{
	ssize_t n = names_ask("many.example.org", NAMES_A, answer, false, WAIT);

	ck_assert_int_gt(n, 12);
	ck_assert_msg(answer[2] & 2, "it is not truncated");
	n = names_ask("many.example.org", NAMES_A, answer, true, WAIT);
	ck_assert_int_gt(n, 12 + 1000 * 16);
	ck_assert_uint_eq(names_elements("*.example.org", 4), NAMES_ITEMS_MAX);
	/* and an ordinary one goes the same way */
	char address[64];
	n = names_ask("h7.example.org", NAMES_A, answer, true, WAIT);
	ck_assert(n > 0 && names_address(answer, (size_t)n, NAMES_A, address));
	ck_assert(names_connects(address));
}
END_TEST

START_TEST(other_resolvers_are_closed)
{
	static const uint16_t ports[] = {53, 853};
	uint64_t before;

	for (size_t i = 0; i < BASE_COUNT(ports); i++) {
		before = fixture_packets(0, "dns to another resolver");
		ck_assert(!net_reaches(&fixture.net, 0, "192.0.2.10", ports[i], SHORT));
		ck_assert(fixture_counts(0, "dns to another resolver", before + 1));
	}
	/* even where a rule lets everything out, and a name stands for it */
	fixture_rule(0, false, POLICY_ALLOW, POLICY_PROTO_ANY, NULL, 0);
	fixture_apply(0);
	before = fixture_packets(0, "dns to another resolver");
	ck_assert(!net_reaches(&fixture.net, 0, "192.0.2.10", 53, SHORT));
	ck_assert(fixture_counts(0, "dns to another resolver", before + 1));
	ck_assert_str_eq(resolve("public.example.org", NAMES_A), "8.8.8.8");
	ck_assert(!net_reaches(&fixture.net, 0, "8.8.8.8", 443, SHORT));
	ck_assert(fixture_counts(0, "https to a public resolver", 1));
	ck_assert(net_reaches(&fixture.net, 0, "8.8.8.8", ALLOWED_PORT, WAIT));
	/* the VM's own is not to be had but by way of cordon-names */
	ck_assert(!net_reaches(&fixture.net, 0, "10.77.0.1", 10054, SHORT));
}
END_TEST

/* cordon-names has an address of the host's, but answers the guest alone. */
START_TEST(only_the_guest_is_answered)
{
	static const uint8_t question[] = {1, 2,   1,   0, 0,   1,   0,   0, 0, 0, 0, 0,
	                                   2, 'h', '1', 3, 'o', 'r', 'g', 0, 0, 1, 0, 1};
	const struct sockaddr_in front = {
	        .sin_family = AF_INET, .sin_port = htons(10053), .sin_addr = {htonl(0x0a4d0001)}};
	int fd BASE_AUTO_FD = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	/* the test itself is in the host's namespace */
	ck_assert_int_eq(connect(fd, (const struct sockaddr *)&front, sizeof(front)), 0);
	ck_assert_int_eq(send(fd, question, sizeof(question), 0), sizeof(question));
	net_readable(fd, SHORT);
	ck_assert_int_lt(recv(fd, answer, sizeof(answer), MSG_DONTWAIT), 0);
	ck_assert_int_gt(names_ask("h1.example.org", NAMES_A, answer, true, WAIT), 0);
}
END_TEST

/* Whether what the guest writes arrives. */
static bool passes(int guest, int world)
{
	char byte;

	ck_assert_int_eq(write(guest, "x", 1), 1);
	return net_readable(world, SHORT) && read(world, &byte, 1) == 1;
}

START_TEST(a_name_that_goes_takes_its_connections)
{
	static const char *const fewer[] = {"www.example.com", "new.example.net"};
	int kept BASE_AUTO_FD =
	        net_connecting(&fixture.net, 0, resolve("www.example.com", NAMES_A), ALLOWED_PORT);
	ck_assert(net_connected(kept, WAIT));
	int world_kept BASE_AUTO_FD = accept(names_world.listener, NULL, NULL);
	int gone BASE_AUTO_FD =
	        net_connecting(&fixture.net, 0, resolve("h1.example.org", NAMES_A), ALLOWED_PORT);
	ck_assert(net_connected(gone, WAIT));
	int world_gone BASE_AUTO_FD = accept(names_world.listener, NULL, NULL);

	ck_assert(passes(kept, world_kept) && passes(gone, world_gone));
	names_world_change(fewer, BASE_COUNT(fewer));
	ck_assert(passes(kept, world_kept));
	ck_assert(!passes(gone, world_gone));
	ck_assert(fixture_counts(0, "egress default deny", 1));
	check_closed("h2.example.org", NAMES_A);
	check_opens("www.example.com", NAMES_A);
	/* and what has come is known */
	names_world_change(all, BASE_COUNT(all));
	check_opens("h2.example.org", NAMES_A);
}
END_TEST

START_TEST(without_a_resolver_names_are_closed)
{
	names_kill(&names_world.dnsmasq);
	ssize_t n = names_ask("h1.example.org", NAMES_A, answer, false, SHORT);
	ck_assert_msg(n < 0 || (answer[3] & 15) == 2, "somebody has answered");
	ck_assert(!net_reaches(&fixture.net, 0, "198.51.100.2", ALLOWED_PORT, SHORT));
	ck_assert_int_lt(names_ask("h1.example.org", NAMES_A, answer, true, SHORT), 0);
}
END_TEST

/* It would hand on answers that open nothing: it ends, for the keeper to tell of it. */
START_TEST(without_its_sets_the_front_ends)
{
	int status = 0;

	names_kill(&names_world.sets);
	ck_assert_int_lt(names_ask("h1.example.org", NAMES_A, answer, false, SHORT), 0);
	ck_assert_int_eq(waitpid(names_world.front, &status, 0), names_world.front);
	names_world.front = 0;
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	ck_assert(!net_reaches(&fixture.net, 0, "198.51.100.2", ALLOWED_PORT, SHORT));
}
END_TEST

/* ---- cordon-sets alone: whoever has taken over cordon-names can say what he likes ---- */

static void open_sets(void)
{
	names_world_open(all, BASE_COUNT(all));
	names_start(false);
}

static struct names_answer request(const struct names_item *items, uint32_t count, size_t size)
{
	struct names_request message = {.count = count};
	struct names_answer got = {0};

	if (items)
		memcpy(message.items, items, count * sizeof(*items));
	ck_assert_int_eq(send(names_world.requests, &message, size, 0), (ssize_t)size);
	ck_assert(net_readable(names_world.requests, WAIT));
	ck_assert_int_eq(recv(names_world.requests, &got, sizeof(got), 0), sizeof(got));
	return got;
}

static struct names_answer one(const char *name, uint8_t family, const uint8_t *address,
                               uint32_t ttl)
{
	struct names_item item = {.name = names_hash(name), .family = family, .ttl = ttl};

	memcpy(item.address, address, family == 6 ? 16 : 4);
	return request(&item, 1, 8 + sizeof(item));
}

START_TEST(only_names_of_the_policy_have_sets)
{
	static const uint8_t public[4] = {198, 51, 100, 9}, private[4] = {192, 168, 1, 1},
	                     mapped[16] = {[10] = 0xff, 0xff, 198, 51, 100, 9};
	struct names_answer got = one("www.example.com", 4, public, 60);

	ck_assert_uint_eq(got.added, 1);
	ck_assert_uint_eq(names_elements("www.example.com", 4), 1);
	got = one("www.evil.com", 4, public, 60);
	ck_assert_uint_eq(got.failed, 1);
	ck_assert_int_eq(got.error, -ENOENT);
	got = one("www.example.com", 4, private, 60);
	ck_assert_uint_eq(got.refused, 1);
	got = one("www.example.com", 6, mapped, 60);
	ck_assert_uint_eq(got.refused, 1);
	got = one("www.example.com", 5, public, 60);
	ck_assert_uint_eq(got.refused, 1);
	ck_assert_uint_eq(names_elements("www.example.com", 4), 1);
	ck_assert_uint_eq(names_elements("www.example.com", 6), 0);
}
END_TEST

START_TEST(broken_requests_change_nothing)
{
	static const size_t sizes[] = {1, 7, 8 + 31, 8 + 33, sizeof(struct names_request)};
	struct names_item item = {
	        .name = names_hash("www.example.com"), .family = 4, .address = {9}};

	for (size_t i = 0; i < BASE_COUNT(sizes); i++)
		ck_assert_int_eq(request(&item, 1, sizes[i]).error, -EBADMSG);
	ck_assert_int_eq(request(NULL, NAMES_ITEMS_MAX + 1, sizeof(struct names_request)).error,
	                 -EBADMSG);
	ck_assert_int_eq(request(NULL, UINT32_MAX, 8).error, -EBADMSG);
	ck_assert_int_eq(request(NULL, 0, 8).error, 0);
	ck_assert_uint_eq(names_elements("www.example.com", 4), 0);
}
END_TEST

/* A name has no more addresses than its set, whatever is answered; what expires makes room. */
START_TEST(a_set_has_an_end)
{
	struct names_item items[NAMES_ITEMS_MAX] = {0};
	uint32_t failed = 0;

	for (int round = 0; round < 20; round++) {
		for (uint32_t i = 0; i < NAMES_ITEMS_MAX; i++)
			items[i] =
			        (struct names_item){.name = names_hash("www.example.com"),
			                            .family = 4,
			                            .ttl = 1u << 31,
			                            .address = {8, 1, (uint8_t)round, (uint8_t)i}};
		failed += request(items, NAMES_ITEMS_MAX, 8 + sizeof(items)).failed;
	}
	/* a TTL of 2^31 is none: after the grace of a second the set is empty again */
	ck_assert_uint_le(names_elements("www.example.com", 4), NAMES_SET_SIZE);
	ck_assert_uint_ge(failed, 1);
	wait_empty("www.example.com", 4);
}
END_TEST

/* The same address again: longer where it is to last longer, and no change of rules where it is not. */
START_TEST(nothing_is_written_twice)
{
	static const uint8_t address[4] = {198, 51, 100, 9};
	struct firewall_watch *watch = firewall_watch_open();
	struct firewall_change change;

	ck_assert_ptr_nonnull(watch);
	ck_assert_uint_eq(one("www.example.com", 4, address, 0xffffffff).added, 1);
	ck_assert_uint_eq(one("www.example.com", 4, address, 100).added, 1);
	uint32_t commit = firewall_read_commit(fixture.fw);
	ck_assert_uint_eq(one("www.example.com", 4, address, 99).added, 1);
	ck_assert_uint_eq(one("www.example.com", 4, address, 1).added, 1);
	ck_assert_uint_eq(firewall_read_commit(fixture.fw), commit);
	ck_assert_uint_eq(one("www.example.com", 4, address, 4000).added, 1);
	ck_assert_uint_eq(firewall_read_commit(fixture.fw), commit + 1);
	ck_assert_uint_eq(names_elements("www.example.com", 4), 1);
	/* and who watches for others that change the rules does not take it for one */
	ck_assert_int_eq(firewall_watch_read(watch, fixture.fw, &change), 0);
	firewall_watch_close(watch);
}
END_TEST

/* That a change is of cordon-sets is no excuse for any but one of names' sets. */
START_TEST(its_name_is_no_excuse)
{
	struct firewall_watch *watch = firewall_watch_open();
	struct firewall_change change;

	ck_assert_ptr_nonnull(watch);
	prctl(PR_SET_NAME, "cordon-sets");
	ck_assert_int_eq(firewall_run(fixture.fw, "add element inet cordon vms { \"cn9\" }\n"), 0);
	ck_assert_int_eq(firewall_watch_read(watch, fixture.fw, &change), 1);
	ck_assert_str_eq(change.process, "cordon-sets");
	firewall_watch_close(watch);
}
END_TEST

static void add_case(Suite *suite, const char *name, void (*setup)(void), const TTest *const *tests,
                     size_t count)
{
	TCase *each = tcase_create(name);

	tcase_add_checked_fixture(each, setup, names_world_close);
	tcase_set_timeout(each, 90);
	for (size_t i = 0; i < count; i++)
		tcase_add_test(each, tests[i]);
	suite_add_tcase(suite, each);
}

int main(void)
{
	const TTest *const whole[] = {first_connection_of_a_thousand,
	                              names_are_exact_or_below,
	                              an_address_expires,
	                              an_answer_refreshes,
	                              hostile_answers_open_nothing,
	                              aliases_get_what_their_target_has,
	                              strange_ttls_are_bounded,
	                              huge_answers_are_bounded,
	                              other_resolvers_are_closed,
	                              only_the_guest_is_answered,
	                              a_name_that_goes_takes_its_connections,
	                              without_a_resolver_names_are_closed,
	                              without_its_sets_the_front_ends,
	                              its_name_is_no_excuse};
	const TTest *const sets[] = {only_names_of_the_policy_have_sets,
	                             broken_requests_change_nothing, a_set_has_an_end,
	                             nothing_is_written_twice};
	Suite *suite = suite_create("firewall names");
	SRunner *runner;
	const char *missing = NULL;
	int failed;

	if (!net_possible())
		return 77;
	if (access("/usr/sbin/dnsmasq", X_OK) != 0 || !isolate_host_check(&missing)) {
		printf("skip: %s\n", missing ? missing : "dnsmasq-base is not installed");
		return 77;
	}
	add_case(suite, "names", open_all, whole, BASE_COUNT(whole));
	add_case(suite, "sets", open_sets, sets, BASE_COUNT(sets));
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
