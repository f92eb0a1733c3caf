/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The spool: order, what survives a restart at each moment, what a full one drops, and torn records.
 */
#include <check.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/base.h"
#include "monitor/spool.h"

enum { LIMIT = 64 * 1024 };

static int inbox, append, state[2];
static struct spool *spool;
static char text[SPOOL_TEXT_MAX + 1];

static int memory(void)
{
	int fd = memfd_create("spool", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static void reopen(void)
{
	spool_close(spool);
	spool = NULL;
	ck_assert_int_eq(spool_open(inbox, state, LIMIT, &spool), 0);
	ck_assert_int_eq(spool_refresh(spool, 0), 0);
}

static void setup(void)
{
	char path[64];

	inbox = memory();
	state[0] = memory();
	state[1] = memory();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", inbox);
	append = open(path, O_RDWR | O_APPEND | O_CLOEXEC);
	ck_assert_int_ge(append, 0);
	reopen();
}

static void teardown(void)
{
	spool_close(spool);
	spool = NULL;
	close(append);
	close(inbox);
	close(state[0]);
	close(state[1]);
}

static void put(unsigned int number, enum alert_severity severity, size_t padding)
{
	int length = snprintf(text, sizeof(text), "%u ", number);

	memset(text + length, 'x', padding);
	ck_assert_int_eq(spool_append(append, severity, text, (size_t)length + padding), 0);
}

static unsigned long at(size_t i)
{
	ssize_t n = spool_read(spool, i, text);

	ck_assert_int_gt((int)n, 0);
	text[n] = '\0';
	return strtoul(text, NULL, 10);
}

START_TEST(in_order_and_once)
{
	for (unsigned int i = 0; i < 100; i++)
		put(i, ALERT_LOW, i);
	ck_assert_int_eq(spool_refresh(spool, 0), 0);
	ck_assert_uint_eq(spool_count(spool), 100);
	ck_assert_int_eq(spool_done(spool, 40), 0);
	ck_assert_uint_eq(at(0), 40);
	reopen();
	ck_assert_uint_eq(spool_count(spool), 60);
	put(100, ALERT_LOW, 0);
	ck_assert_int_eq(spool_refresh(spool, 0), 0);
	for (unsigned int i = 0; i <= 60; i++)
		ck_assert_uint_eq(at(i), 40 + i);
	ck_assert_int_eq(spool_done(spool, 61), 0);
	ck_assert_uint_eq(spool_delivered(spool), 101);
	reopen();
	ck_assert_uint_eq(spool_count(spool), 0);
	ck_assert_uint_eq(spool_delivered(spool), 101);
}
END_TEST

/* Every third is critical, every second of the others low: the low go first, the oldest of them. */
static enum alert_severity severity_of(unsigned long number)
{
	return number % 3 == 0 ? ALERT_CRITICAL : number % 2 ? ALERT_LOW : ALERT_MEDIUM;
}

static size_t count_of(enum alert_severity severity, unsigned long *first)
{
	size_t count = 0;
	unsigned long before = 0;

	for (size_t i = 0; i < spool_count(spool); i++) {
		unsigned long number = at(i);

		ck_assert(i == 0 || number > before);
		before = number;
		if (severity_of(number) != severity)
			continue;
		if (count++ == 0)
			*first = number;
	}
	return count;
}

START_TEST(a_full_one_drops_the_least)
{
	unsigned long first = 0;
	size_t low, dropped;

	for (unsigned int i = 0; i < 100; i++)
		put(i, severity_of(i), 1000);
	ck_assert_int_eq(spool_refresh(spool, 4), 0);
	dropped = (size_t)spool_dropped(spool);
	ck_assert_uint_gt(dropped, 0);
	ck_assert_uint_eq(spool_count(spool) + dropped, 100);
	/* what was in flight stays, also where it is low; all that is not low is there */
	ck_assert_uint_eq(at(1), 1);
	ck_assert_uint_eq(count_of(ALERT_CRITICAL, &first), 34);
	low = count_of(ALERT_LOW, &first);
	reopen();
	ck_assert_uint_eq(spool_dropped(spool), dropped);
	ck_assert_uint_eq(spool_count(spool) + dropped, 100);
	ck_assert_uint_eq(count_of(ALERT_LOW, &first), low);
	/* more come, and go behind those that were kept */
	for (unsigned int i = 100; i < 400; i++) {
		put(i, severity_of(i), 1000);
		ck_assert_int_eq(spool_refresh(spool, 0), 0);
	}
	/* but for those that came after the last drop */
	ck_assert_uint_le(count_of(ALERT_LOW, &first), LIMIT / 1000 / 8);
	ck_assert_uint_gt(count_of(ALERT_CRITICAL, &first), 50);
	ck_assert_uint_gt(first, 100); /* there are too many even of those: the oldest went */
	ck_assert_uint_eq(spool_count(spool) + spool_dropped(spool), 400);
	reopen();
	ck_assert_uint_eq(spool_count(spool) + spool_dropped(spool), 400);
	ck_assert_uint_eq(at(spool_count(spool) - 1), 399);
}
END_TEST

START_TEST(delivery_after_a_drop)
{
	size_t count;
	unsigned long first;

	for (unsigned int i = 0; i < 100; i++)
		put(i, ALERT_MEDIUM, 1000);
	ck_assert_int_eq(spool_refresh(spool, 0), 0);
	count = spool_count(spool);
	first = at(10);
	put(100, ALERT_MEDIUM, 0);
	ck_assert_int_eq(spool_refresh(spool, 0), 0);
	ck_assert_int_eq(spool_done(spool, 10), 0);
	reopen();
	ck_assert_uint_eq(spool_count(spool), count - 9);
	ck_assert_uint_eq(at(0), first);
	ck_assert_int_eq(spool_done(spool, count - 10), 0);
	reopen();
	ck_assert_uint_eq(spool_count(spool), 1);
	ck_assert_uint_eq(at(0), 100);
}
END_TEST

/* A disk that was full in the middle of a record; and one that is not whole yet. */
START_TEST(torn_records)
{
	struct stat facts;

	put(0, ALERT_LOW, 100);
	put(1, ALERT_LOW, 500);
	ck_assert_int_eq(fstat(inbox, &facts), 0);
	ck_assert_int_eq(ftruncate(inbox, facts.st_size - 300), 0);
	ck_assert_int_eq(spool_refresh(spool, 0), 0);
	ck_assert_uint_eq(spool_count(spool), 1);
	put(2, ALERT_LOW, 900);
	put(3, ALERT_LOW, 900);
	ck_assert_int_eq(spool_refresh(spool, 0), 0);
	ck_assert_uint_eq(spool_count(spool), 3);
	ck_assert_uint_eq(at(0), 0);
	ck_assert_uint_eq(at(1), 2);
	ck_assert_uint_eq(at(2), 3);
	reopen();
	ck_assert_uint_eq(spool_count(spool), 3);
}
END_TEST

START_TEST(it_gives_its_place_back)
{
	struct stat facts;

	for (unsigned int i = 0; i < 4000; i++) {
		put(i, ALERT_HIGH, 1000);
		ck_assert_int_eq(spool_refresh(spool, 0), 0);
		ck_assert_uint_eq(at(0), i);
		ck_assert_int_eq(spool_done(spool, 1), 0);
	}
	ck_assert_int_eq(fstat(inbox, &facts), 0);
	ck_assert_int_gt((int)facts.st_size, 4000000);
	ck_assert_int_lt((int)facts.st_blocks * 512, 2 * 1048576);
	ck_assert_int_eq(spool_reset(spool), 0);
	ck_assert_int_eq(fstat(inbox, &facts), 0);
	ck_assert_int_eq((int)facts.st_size, 0);
	put(7, ALERT_HIGH, 0);
	reopen();
	ck_assert_uint_eq(spool_count(spool), 1);
	ck_assert_uint_eq(at(0), 7);
	ck_assert_int_eq(spool_reset(spool), -EBUSY);
}
END_TEST

START_TEST(what_cannot_be_appended)
{
	static char large[SPOOL_TEXT_MAX + 1];

	ck_assert_int_eq(spool_append(append, ALERT_LOW, large, sizeof(large)), -EMSGSIZE);
	ck_assert_int_eq(spool_append(append, ALERT_LOW, large, 0), -EMSGSIZE);
	ck_assert_int_eq(spool_append(append, ALERT_LOW, large, sizeof(large) - 1), 0);
	for (size_t i = 0; i < SPOOL_INBOX_MAX / SPOOL_TEXT_MAX - 1; i++)
		ck_assert_int_eq(spool_append(append, ALERT_LOW, large, sizeof(large) - 1), 0);
	ck_assert_int_eq(spool_append(append, ALERT_LOW, large, 1), -ENOSPC);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor_spool");
	TCase *tests = tcase_create("spool");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, in_order_and_once);
	tcase_add_test(tests, a_full_one_drops_the_least);
	tcase_add_test(tests, delivery_after_a_drop);
	tcase_add_test(tests, torn_records);
	tcase_add_test(tests, it_gives_its_place_back);
	tcase_add_test(tests, what_cannot_be_appended);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
