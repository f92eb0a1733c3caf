/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What cordon-router says to a guest, byte by byte: RFC 4861, RFC 8106, RFC 8415. */
#include <arpa/inet.h>
#include <check.h>

#include "base/base.h"
#include "firewall/router.h"

static const struct router_nic nic = {.guest = {0xfd, 0x77, [15] = 2},
                                      .gateway = {0xfd, 0x77, [15] = 1},
                                      .mtu = 1500,
                                      .dns = true};

/* A message in the making: text in hexadecimal, `G` for the guest's address, `S` for the server's identifier. */
static size_t make(const char *text, uint8_t message[512])
{
	size_t size = 0;

	for (const char *at = text; *at; at++) {
		if (*at == ' ')
			continue;
		if (*at == 'G' || *at == 'S') {
			if (*at == 'S')
				memcpy(message + size, "\0\4", 2);
			size += *at == 'S' ? 2 : 0;
			memcpy(message + size, *at == 'G' ? nic.guest : nic.gateway, 16);
			size += 16;
			continue;
		}
		ck_assert_int_eq(sscanf(at, "%2hhx", &message[size++]), 1);
		at++;
	}
	return size;
}

#define CLIENT    " 0001 0007 00030001aabbcc "
#define SERVER    " 0002 0012 S "
#define OTHER     " 0002 0004 00030001 "
#define IA        " 0003 000c 11223344 00000000 00000000 "
#define GIVEN     " 0003 0028 11223344 00000708 00000b40 0005 0018 G 00000e10 00000e10 "
#define HAS(a)    " 0003 0028 11223344 00000000 00000000 0005 0018 " a " 00000e10 00000e10 "
#define OLD       "20010db8000000000000000000000099"
#define DNS       " 0017 0010 fd770000000000000000000000000001 "
#define STATUS(s) " 000d 0002 " s

/* `answer` NULL: there is none. */
static const struct {
	const char *message, *answer;
} talks[] = {
        {"01 abcdef" CLIENT IA, "02 abcdef" CLIENT SERVER "0007 0001 ff" GIVEN DNS},
        {"01 abcdef" CLIENT IA "000e 0000", "07 abcdef" CLIENT SERVER "000e 0000" GIVEN DNS},
        {"03 abcdef" CLIENT SERVER IA, "07 abcdef" CLIENT SERVER GIVEN DNS},
        {"03 abcdef" CLIENT SERVER HAS(OLD), "07 abcdef" CLIENT SERVER GIVEN DNS},
        /* an address that is no more the guest's ends at once */
        {"05 abcdef" CLIENT SERVER HAS(OLD),
         "07 abcdef" CLIENT SERVER
         " 0003 0044 11223344 00000708 00000b40 0005 0018 G 00000e10 00000e10 "
         "0005 0018 " OLD "00000000 00000000" DNS},
        {"06 abcdef" CLIENT HAS("G"), "07 abcdef" CLIENT SERVER GIVEN DNS},
        {"04 abcdef" CLIENT HAS("G"), "07 abcdef" CLIENT SERVER STATUS("0000") DNS},
        {"04 abcdef" CLIENT HAS(OLD), "07 abcdef" CLIENT SERVER STATUS("0004") DNS},
        {"04 abcdef" CLIENT IA, NULL},
        {"08 abcdef" CLIENT SERVER HAS("G"), "07 abcdef" CLIENT SERVER STATUS("0000") DNS},
        {"09 abcdef" CLIENT SERVER HAS("G"), "07 abcdef" CLIENT SERVER STATUS("0000") DNS},
        {"0b abcdef", "07 abcdef" SERVER DNS},
        {"0b abcdef" CLIENT, "07 abcdef" CLIENT SERVER DNS},
        /* one address, no temporary ones, no prefix to hand on */
        {"01 abcdef" CLIENT IA "0003 000c 55667788 00000000 00000000 0004 0004 99aabbcc"
         "0019 000c 00000001 00000000 00000000",
         "02 abcdef" CLIENT SERVER "0007 0001 ff" GIVEN
         "0003 0012 55667788 00000000 00000000 000d 0002 0002 0004 000a 99aabbcc 000d 0002 0002"
         "0019 0012 00000001 00000000 00000000 000d 0002 0006" DNS},
        /* RFC 8415 section 16: who is not named, or named who must not be */
        {"01 abcdef" IA, NULL},
        {"01 abcdef" CLIENT SERVER IA, NULL},
        {"03 abcdef" CLIENT IA, NULL},
        {"03 abcdef" CLIENT OTHER IA, NULL},
        {"05 abcdef" CLIENT OTHER IA, NULL},
        {"06 abcdef" CLIENT SERVER IA, NULL},
        {"0b abcdef" OTHER, NULL},
        {"0b abcdef" CLIENT IA, NULL},
        /* a server's, a relay's, and what has no meaning */
        {"02 abcdef" CLIENT SERVER IA, NULL},
        {"07 abcdef" CLIENT SERVER IA, NULL},
        {"0c abcdef" CLIENT SERVER IA, NULL},
        {"00 abcdef" CLIENT, NULL},
        {"ff abcdef" CLIENT, NULL},
        /* cut short, and twice the same */
        {"", NULL},
        {"01 abcd", NULL},
        {"01 abcdef 0001", NULL},
        {"01 abcdef 0001 0008 00030001aabbcc", NULL},
        {"01 abcdef" CLIENT "0003 000b 11223344 00000000 000000", NULL},
        {"01 abcdef" CLIENT "0004 0003 112233", NULL},
        {"01 abcdef 0001 0002 0003" IA, NULL},
        {"01 abcdef" CLIENT CLIENT IA, NULL},
        {"03 abcdef" CLIENT SERVER SERVER IA, NULL},
};

START_TEST(what_is_answered)
{
	uint8_t message[512], expected[512], answer[ROUTER_REPLY_MAX];
	size_t size = make(talks[_i].message, message), wanted;
	uint8_t *exact = malloc(size ? size : 1); /* for the sanitizer: not a byte more */

	ck_assert_ptr_nonnull(exact);
	memcpy(exact, message, size);
	wanted = talks[_i].answer ? make(talks[_i].answer, expected) : 0;
	size = router_dhcp(&nic, exact, size, answer);
	free(exact);
	ck_assert_msg(size == wanted, "%s: %zu bytes, not %zu", talks[_i].message, size, wanted);
	ck_assert_msg(memcmp(answer, expected, size) == 0, "%s", talks[_i].message);
}
END_TEST

/* The most that a client may say: nothing of it makes an answer that does not fit. */
START_TEST(longest_answer)
{
	uint8_t message[4096] = {5, 1, 2, 3, 0, 1, 0, 130}, answer[ROUTER_REPLY_MAX];
	size_t size = 8 + 130;

	size += make("0002 0012 S", message + size);
	for (int ia = 0; ia < 8; ia++) {
		memcpy(message + size, (uint8_t[]){0, 3, 0, 12 + 8 * 28}, 4);
		size += 16;
		for (int i = 0; i < 8; i++)
			size += make("0005 0018 " OLD "00000e10 00000e10", message + size);
	}
	size = router_dhcp(&nic, message, size, answer);
	ck_assert_uint_gt(size, 4 + 134 + 22 + 16 + 5 * 28);
	ck_assert_uint_le(size, ROUTER_REPLY_MAX);
}
END_TEST

START_TEST(advertisement)
{
	struct router_nic quiet = nic;
	uint8_t expected[512], bytes[ROUTER_REPLY_MAX];
	size_t size = make("86 00 0000 40 c0 0708 00000000 00000000 05 01 0000 000005dc"
	                   "19 03 0000 00000708 fd770000000000000000000000000001",
	                   expected);

	ck_assert_uint_eq(router_advertise(&nic, bytes), size);
	ck_assert_mem_eq(bytes, expected, size);
	quiet.dns = false;
	ck_assert_uint_eq(router_advertise(&quiet, bytes), size - 24);
	ck_assert_mem_eq(bytes, expected, size - 24);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("firewall_router");
	TCase *tests = tcase_create("router");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tests, what_is_answered, 0, BASE_COUNT(talks));
	tcase_add_test(tests, longest_answer);
	tcase_add_test(tests, advertisement);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
