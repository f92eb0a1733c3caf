/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What answers open: names_judge() over messages that are made here record by record, as a resolver would make them
 * and as no resolver should.
 */
#include <check.h>

#include "base/base.h"
#include "firewall/names_judge.h"

enum { A = 1, CNAME = 5, AAAA = 28, IN = 1, CHAOS = 3 };

static struct names_patterns patterns;
static struct names_request request;
static uint8_t message[65536];
static size_t size;

static void setup(void)
{
	static const char names[] = "www.example.org\n*.example.com\n\nstrict.example.com\n*.net\n";

	memcpy(patterns.text, names, sizeof(names));
	names_patterns_split(&patterns, sizeof(names) - 1);
	ck_assert_uint_eq(patterns.count, 4);
}

static void put_name(const char *name)
{
	while (*name) {
		size_t length = strcspn(name, ".");

		message[size++] = (uint8_t)length;
		memcpy(message + size, name, length);
		size += length;
		name += length + (name[length] == '.');
	}
	message[size++] = 0;
}

static void put16(unsigned int number)
{
	message[size++] = (uint8_t)(number >> 8);
	message[size++] = (uint8_t)number;
}

static void begin(const char *name)
{
	memset(message, 0, 12);
	message[2] = 0x80;
	message[5] = 1;
	size = 12;
	put_name(name);
	put16(A);
	put16(IN);
}

static void begin_record(const char *owner, uint16_t type, uint16_t class, uint32_t ttl)
{
	uint16_t count = (uint16_t)(base_be16(message + 6) + 1);

	message[6] = (uint8_t)(count >> 8);
	message[7] = (uint8_t)count;
	put_name(owner);
	put16(type);
	put16(class);
	put16(ttl >> 16);
	put16(ttl & 0xffff);
}

static void put_a(const char *owner, uint8_t last, uint32_t ttl)
{
	begin_record(owner, A, IN, ttl);
	put16(4);
	memcpy(message + size, (uint8_t[]){198, 51, 100, last}, 4);
	size += 4;
}

static void put_cname(const char *owner, const char *target, uint32_t ttl)
{
	begin_record(owner, CNAME, IN, ttl);
	put16((unsigned int)strlen(target) + 2);
	put_name(target);
}

static void judge(void)
{
	uint8_t *exact = malloc(size);

	/* a byte too far is seen under ASan */
	ck_assert_ptr_nonnull(exact);
	memcpy(exact, message, size);
	names_judge(&patterns, exact, size, &request);
	free(exact);
}

static void check_item(size_t i, const char *name, uint8_t last, uint32_t ttl)
{
	ck_assert_uint_lt(i, request.count);
	ck_assert_uint_eq(request.items[i].name, names_hash(name));
	ck_assert_uint_eq(request.items[i].family, 4);
	ck_assert_uint_eq(request.items[i].address[3], last);
	ck_assert_uint_eq(request.items[i].ttl, ttl);
}

START_TEST(an_address_is_for_its_name)
{
	begin("wWw.eXample.ORG");
	put_a("Www.example.org", 1, 300);
	put_a("www.example.org", 2, 60);
	judge();
	ck_assert_uint_eq(request.count, 2);
	check_item(0, "www.example.org", 1, 300);
	check_item(1, "www.example.org", 2, 60);
	begin("example.com");
	put_a("example.com", 1, 300);
	judge();
	ck_assert_uint_eq(request.count, 0);
	begin("a.b.example.com");
	put_a("a.b.example.com", 1, 300);
	judge();
	check_item(0, "*.example.com", 1, 300);
	begin("notexample.com");
	put_a("notexample.com", 1, 300);
	judge();
	ck_assert_uint_eq(request.count, 0);
	/* two patterns, both of which have it */
	begin("strict.example.com");
	put_a("strict.example.com", 1, 300);
	judge();
	ck_assert_uint_eq(request.count, 2);
}
END_TEST

START_TEST(only_the_way_from_the_question_counts)
{
	begin("www.example.org");
	put_a("elsewhere.test", 9, 300);
	put_a("www.example.org", 1, 300);
	put_a("www.example.org.test", 9, 300);
	begin_record("www.example.org", A, CHAOS, 300);
	put16(4);
	size += 4;
	begin_record("www.example.org", A, IN, 300);
	put16(5); /* no IPv4 address */
	size += 5;
	judge();
	ck_assert_uint_eq(request.count, 1);
	check_item(0, "www.example.org", 1, 300);
	/* beside a CNAME, other records of its owner have no meaning */
	begin("www.example.org");
	put_a("www.example.org", 9, 300);
	put_a("cdn.test", 1, 300);
	put_cname("www.example.org", "cdn.test", 20);
	judge();
	ck_assert_uint_eq(request.count, 1);
	check_item(0, "www.example.org", 1, 20);
}
END_TEST

START_TEST(the_last_name_with_rules_decides)
{
	begin("www.example.org");
	put_cname("www.example.org", "strict.net", 100);
	put_cname("strict.net", "cdn.test", 50);
	put_a("cdn.test", 1, 300);
	judge();
	ck_assert_uint_eq(request.count, 1);
	check_item(0, "*.net", 1, 50);
	/* one that the policy does not have leads to one that it has: that one's address, by that one's rules */
	begin("evil.test");
	put_cname("evil.test", "www.example.org", 100);
	put_a("www.example.org", 1, 300);
	judge();
	check_item(0, "www.example.org", 1, 100);
}
END_TEST

START_TEST(no_way_without_an_end)
{
	char from[32], to[32];

	begin("www.example.org");
	put_cname("www.example.org", "b.test", 100);
	put_cname("b.test", "www.example.org", 100);
	put_a("www.example.org", 1, 300);
	put_a("b.test", 1, 300);
	judge();
	ck_assert_uint_eq(request.count, 0);
	begin("n0.net");
	for (int i = 0; i < 40; i++) {
		snprintf(from, sizeof(from), "n%d.net", i);
		snprintf(to, sizeof(to), "n%d.net", i + 1);
		put_cname(from, to, 100);
	}
	put_a("n40.net", 1, 300);
	judge();
	ck_assert_uint_eq(request.count, 0);
}
END_TEST

START_TEST(strange_ttls)
{
	begin("www.example.org");
	put_a("www.example.org", 1, 0);
	put_a("www.example.org", 2, 0x80000000);
	put_a("www.example.org", 3, 0xffffffff);
	put_a("www.example.org", 4, 0x7fffffff);
	judge();
	ck_assert_uint_eq(request.count, 4);
	check_item(0, "www.example.org", 1, 0);
	check_item(1, "www.example.org", 2, 0);
	check_item(2, "www.example.org", 3, 0);
	check_item(3, "www.example.org", 4, 0x7fffffff);
}
END_TEST

START_TEST(many_addresses_are_cut)
{
	begin("www.example.org");
	for (int i = 0; i < 2000; i++)
		put_a("www.example.org", (uint8_t)i, 60);
	judge();
	ck_assert_uint_eq(request.count, NAMES_ITEMS_MAX);
}
END_TEST

/* Labels may hold any bytes: a dot in one would make the name of an attacker's read as another's. */
START_TEST(a_dot_in_a_label_is_no_dot)
{
	begin("x");
	size = 12;
	message[size++] = 11;
	memcpy(message + size, "www.example", 11);
	size += 11;
	put_name("org");
	put16(A);
	put16(IN);
	message[7] = 1;
	put16(0xc00c);
	put16(A);
	put16(IN);
	put16(0);
	put16(60);
	put16(4);
	memcpy(message + size, (uint8_t[]){198, 51, 100, 1}, 4);
	size += 4;
	judge();
	ck_assert_uint_eq(request.count, 0);
}
END_TEST

START_TEST(what_is_no_answer_opens_nothing)
{
	begin("www.example.org");
	put_a("www.example.org", 1, 60);
	message[3] = 3; /* NXDOMAIN, which has no addresses */
	judge();
	ck_assert_uint_eq(request.count, 0);
	message[3] = 0;
	message[2] = 0; /* a question */
	judge();
	ck_assert_uint_eq(request.count, 0);
	message[2] = 0x80;
	message[5] = 2; /* of two questions */
	judge();
	ck_assert_uint_eq(request.count, 0);
	message[5] = 1;
	/* whatever is cut off, what is read is whole */
	for (size_t whole = size; size > 0; size--) {
		judge();
		ck_assert_uint_eq(request.count, size == whole ? 1 : 0);
	}
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("answers");
	Suite *suite = suite_create("firewall named");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, NULL);
	tcase_add_test(tests, an_address_is_for_its_name);
	tcase_add_test(tests, only_the_way_from_the_question_counts);
	tcase_add_test(tests, the_last_name_with_rules_decides);
	tcase_add_test(tests, no_way_without_an_end);
	tcase_add_test(tests, strange_ttls);
	tcase_add_test(tests, many_addresses_are_cut);
	tcase_add_test(tests, a_dot_in_a_label_is_no_dot);
	tcase_add_test(tests, what_is_no_answer_opens_nothing);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
