/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The token bucket and the page of limits in made-up time, and the limits of cordon-blk as far as no clock has
 * to be trusted.
 */
#include <check.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/base.h"
#include "tests/unit/vhost_client.h"
#include "vmm/devices/limits.h"

/* Takes `amount` as often as it may within `seconds`; how often that was. */
static unsigned int taken(uint64_t per_second, uint64_t amount, uint64_t seconds)
{
	struct rate rate = {.per_second = per_second};
	uint64_t now = 12345, end = now + seconds * RATE_SECOND;
	unsigned int count = 0;

	while (now < end) {
		uint32_t wait = rate_wait(&rate, now);

		if (wait > RATE_WAIT_MAX)
			ck_abort_msg("waits %u ns", wait);
		now += wait;
		if (wait > 0)
			continue;
		rate_take(&rate, amount);
		count++;
	}
	return count;
}

START_TEST(the_mean_holds)
{
	static const struct {
		uint64_t per_second, amount, seconds;
		unsigned int count;
	} cases[] = {
	        {1, 1, 60, 60},
	        {3, 1, 100, 300},
	        {2000, 1, 10, 20000},
	        {1000000, 4096, 100, 24414},
	        {4096, 65536, 320, 20}, /* larger than the bucket */
	        {1ull << 40, 1 << 20, 1, 1 << 20},
	};

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		unsigned int count = taken(cases[i].per_second, cases[i].amount, cases[i].seconds);

		/* at most a bucket and one more than the mean */
		ck_assert_uint_ge(count, cases[i].count - 1);
		ck_assert_uint_le(count,
		                  cases[i].count + 2 + cases[i].per_second / 10 / cases[i].amount);
	}
}
END_TEST

START_TEST(idleness_is_not_saved_up)
{
	struct rate rate = {.per_second = 1000};
	unsigned int count = 0;
	uint64_t now = 1;

	ck_assert_uint_eq(rate_wait(&rate, now), 0);
	now += 3600ull * RATE_SECOND;
	while (rate_wait(&rate, now) == 0) {
		rate_take(&rate, 1);
		count++;
	}
	ck_assert_uint_eq(count, 100);
	ck_assert_uint_gt(rate_wait(&rate, 1), 0); /* a clock that goes back gives nothing */
}
END_TEST

START_TEST(no_limit_never_waits)
{
	struct rate rate = {.per_second = 0};

	for (unsigned int i = 0; i < 100; i++) {
		ck_assert_uint_eq(rate_wait(&rate, 1), 0);
		rate_take(&rate, UINT64_MAX);
	}
}
END_TEST

/* A bucket's worth passes at once after a pause, whatever the rate is. */
START_TEST(a_burst_is_what_the_bucket_holds)
{
	struct rate rate = {.per_second = 10, .burst = 5000};
	unsigned int count = 0;
	uint64_t now = 1;

	for (int pause = 0; pause < 2; pause++) {
		for (count = 0; rate_wait(&rate, now) == 0; count++)
			rate_take(&rate, 1);
		ck_assert_uint_eq(count, 5000);
		ck_assert_uint_eq(rate_wait(&rate, now), RATE_SECOND / 10);
		now += 500ull * RATE_SECOND; /* to the last token */
	}
}
END_TEST

START_TEST(extremes_do_not_overflow)
{
	struct rate rate = {.per_second = RATE_MAX, .burst = RATE_MAX};

	ck_assert_uint_eq(rate_wait(&rate, 1), 0);
	for (int i = 0; i < 8; i++)
		rate_take(&rate, UINT64_MAX);
	ck_assert_uint_eq(rate_wait(&rate, 2), RATE_WAIT_MAX);
	/* 2^62 bytes at 2^40 a second: 2^22 seconds */
	ck_assert_uint_gt(rate_wait(&rate, (1ull << 22) * RATE_SECOND - RATE_SECOND / 2), 0);
	ck_assert_uint_eq(rate_wait(&rate, (1ull << 22) * RATE_SECOND + RATE_SECOND), 0);
	ck_assert_uint_eq(rate_wait(&rate, UINT64_MAX), 0);
	ck_assert_int_eq(rate.tokens, 1ll << 40);
	rate_set(&rate, UINT64_MAX, UINT64_MAX, UINT64_MAX);
	ck_assert_uint_eq(rate.per_second, RATE_MAX);
	ck_assert_uint_eq(rate.burst, RATE_MAX);
}
END_TEST

START_TEST(a_change_keeps_what_is_owed)
{
	struct rate rate = {.per_second = 1000};

	ck_assert_uint_eq(rate_wait(&rate, 1), 0);
	rate_take(&rate, 1100); /* 100 were there: 1000 are owed */
	rate_set(&rate, 1000000, 0, 1);
	ck_assert_uint_eq(rate_wait(&rate, 1), 1001 * 1000);
	rate_set(&rate, 1, 0, 1 + RATE_SECOND); /* 100000 were saved: the new bucket holds one */
	ck_assert_uint_eq(rate_wait(&rate, 1 + RATE_SECOND), 0);
	rate_take(&rate, 1);
	ck_assert_uint_eq(rate_wait(&rate, 1 + RATE_SECOND), RATE_SECOND);
	/* the most of a token is on its way, but not one of the new rate's many */
	rate_set(&rate, 1000, 0, 1 + 2ull * RATE_SECOND - 1);
	ck_assert_uint_gt(rate_wait(&rate, 1 + 2ull * RATE_SECOND - 1), 0);
	rate_set(&rate, 0, 0, 5ull * RATE_SECOND);
	ck_assert_uint_eq(rate_wait(&rate, 5ull * RATE_SECOND), 0);
}
END_TEST

static uint64_t made_up_time;
static unsigned int asked;

static uint64_t made_up_clock(void)
{
	asked++;
	return made_up_time;
}

/* A page in a memfd, as cordon makes it. */
static int page_make(struct limits_page **page)
{
	int fd = memfd_create("limits", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, sizeof(**page)), 0);
	*page = mmap(NULL, sizeof(**page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(*page, MAP_FAILED);
	(*page)->magic = LIMITS_MAGIC;
	return fd;
}

START_TEST(limits_change_while_running)
{
	struct limiter limiter = {0};
	struct limits_page *page;
	char text[16];
	int fd BASE_AUTO_FD = page_make(&page);

	snprintf(text, sizeof(text), "%d:%d", fd, LIMITS_NIC + 3);
	ck_assert_int_eq(limiter_open(&limiter, text), 0);
	made_up_time = 1;
	for (int i = 0; i < 100; i++) {
		ck_assert_uint_eq(limiter_wait(&limiter, made_up_clock), 0);
		limiter_take(&limiter, 1 << 30);
	}
	ck_assert_uint_eq(asked, 0); /* without a limit the time is nothing to us */

	limits_write(&page->entry[LIMITS_NIC + 2], &(struct limit){.iops = 1});
	ck_assert_uint_eq(limiter_wait(&limiter, made_up_clock), 0);
	ck_assert_uint_eq(asked, 0); /* another's */

	limits_write(&page->entry[LIMITS_NIC + 3],
	             &(struct limit){.bandwidth = 100, .iops = 50, .burst = 1000});
	for (unsigned int i = 0; i < 500; i++) { /* the burst of 10 seconds, of both */
		ck_assert_uint_eq(limiter_wait(&limiter, made_up_clock), 0);
		limiter_take(&limiter, 1);
	}
	ck_assert_uint_eq(limiter_wait(&limiter, made_up_clock), RATE_SECOND / 50);
	limits_write(&page->entry[LIMITS_NIC + 3],
	             &(struct limit){.bandwidth = 100, .burst = 1000});
	for (unsigned int i = 0; i < 500; i++) {
		ck_assert_uint_eq(limiter_wait(&limiter, made_up_clock), 0);
		limiter_take(&limiter, 1);
	}
	ck_assert_uint_eq(limiter_wait(&limiter, made_up_clock), RATE_SECOND / 100);
	limits_write(&page->entry[LIMITS_NIC + 3], &(struct limit){0});
	ck_assert_uint_eq(limiter_wait(&limiter, made_up_clock), 0);
	munmap(page, sizeof(*page));
}
END_TEST

/* A writer that stopped half way holds nobody up: what was in force stays, and the next one repairs it. */
START_TEST(half_a_change_is_none)
{
	struct limit limit = {.iops = 1}, seen;
	struct limiter limiter = {0};
	struct limits_page *page;
	char text[16];
	int fd BASE_AUTO_FD = page_make(&page);
	uint32_t sequence;

	snprintf(text, sizeof(text), "%d:0", fd);
	ck_assert_int_eq(limiter_open(&limiter, text), 0);
	made_up_time = 1;
	limits_write(&page->entry[0], &limit);
	ck_assert_uint_eq(limiter_wait(&limiter, made_up_clock), 0);
	limiter_take(&limiter, 1);
	page->entry[0].sequence++;
	page->entry[0].limit.iops = 0;
	ck_assert(!limits_read(&page->entry[0], &seen, &sequence));
	ck_assert_uint_eq(limiter_wait(&limiter, made_up_clock), RATE_SECOND);
	limit.iops = 0;
	limits_write(&page->entry[0], &limit);
	ck_assert_uint_eq(page->entry[0].sequence % 2, 0);
	ck_assert(limits_read(&page->entry[0], &seen, &sequence));
	ck_assert_uint_eq(limiter_wait(&limiter, made_up_clock), 0);
	munmap(page, sizeof(*page));
}
END_TEST

START_TEST(what_is_no_page_is_refused)
{
	static const char *const wrong[] = {"",      "3",     ":",     "3:",    "-1:0", "%d:12",
	                                    "%d:-1", "%d:0x", "%d:0 ", " %d:0", "99:0"};
	struct limiter limiter = {0};
	struct limits_page *page;
	char text[24];
	int fd BASE_AUTO_FD = page_make(&page);

	for (size_t i = 0; i < BASE_COUNT(wrong); i++) {
		const char *number = strstr(wrong[i], "%d");

		if (number)
			snprintf(text, sizeof(text), "%.*s%d%s", (int)(number - wrong[i]), wrong[i],
			         fd, number + 2);
		else
			snprintf(text, sizeof(text), "%s", wrong[i]);
		ck_assert_msg(limiter_open(&limiter, text) < 0, "'%s' was taken", text);
	}
	snprintf(text, sizeof(text), "%d:11", fd);
	ck_assert_int_eq(limiter_open(&limiter, text), 0);
	page->magic++;
	ck_assert_int_eq(limiter_open(&limiter, text), -EINVAL);
	munmap(page, sizeof(*page));
	ck_assert_int_eq(ftruncate(fd, sizeof(*page) - 1), 0);
	ck_assert_int_eq(limiter_open(&limiter, text), -EINVAL);
}
END_TEST

/* With one request (or one byte) a second most of 20 are still waiting when the ring is stopped. */
START_TEST(requests_wait_for_their_turn)
{
	struct client_buffer list[] = {{CLIENT_DATA, 16, false},
	                               {CLIENT_DATA + 512, 512, true},
	                               {CLIENT_DATA + 256, 1, true}};
	FILE *disk BASE_AUTO_FILE = tmpfile();
	struct vhost_client client;
	struct client_used used;
	struct limit limit = {.iops = _i != 1, .bandwidth = _i == 1};
	struct limits_page *page;
	char number[16], limits[16];
	char *extra[] = {(char[]){"--disk"}, number, (char[]){"--limits"}, limits, NULL};
	int fd BASE_AUTO_FD = page_make(&page), base;

	ck_assert_ptr_nonnull(disk);
	ck_assert_int_eq(ftruncate(fileno(disk), 1 << 20), 0);
	snprintf(number, sizeof(number), "%d", fileno(disk));
	snprintf(limits, sizeof(limits), "%d:2", fd);
	ck_assert_int_eq(fcntl(fd, F_SETFD, 0), 0);
	limits_write(&page->entry[2], &limit);
	ck_assert_int_eq(vhost_client_start(&client, getenv("CORDON_BLK"), extra, ~0ull), 0);
	ck_assert_int_eq(vhost_client_queue_start(&client, 0, CLIENT_QUEUE_SIZE, 0), 0);
	for (unsigned int i = 0; i < 20; i++)
		vhost_client_add(&client.queue[0], list, 3);
	vhost_client_kick(&client.queue[0]);
	ck_assert_int_eq(vhost_client_used(&client.queue[0], &used, CLIENT_WAIT_MS), 0);
	if (_i == 0) /* the next one comes without another kick */
		ck_assert_int_eq(vhost_client_used(&client.queue[0], &used, CLIENT_WAIT_MS), 0);
	if (_i == 2) { /* taken away, the limit is gone for what waits already */
		limits_write(&page->entry[2], &(struct limit){0});
		for (unsigned int i = 1; i < 20; i++)
			ck_assert_int_eq(vhost_client_used(&client.queue[0], &used, CLIENT_WAIT_MS),
			                 0);
	}
	base = vhost_client_queue_stop(&client, 0);
	ck_assert_int_ge(base, 1);
	if (_i != 2)
		ck_assert_int_lt(base, 20);
	ck_assert_int_eq(vhost_client_stop(&client), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("devices: rate");
	TCase *cases = tcase_create("rate");
	SRunner *runner;
	int failed;

	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, the_mean_holds);
	tcase_add_test(cases, idleness_is_not_saved_up);
	tcase_add_test(cases, no_limit_never_waits);
	tcase_add_test(cases, a_burst_is_what_the_bucket_holds);
	tcase_add_test(cases, extremes_do_not_overflow);
	tcase_add_test(cases, a_change_keeps_what_is_owed);
	tcase_add_test(cases, limits_change_while_running);
	tcase_add_test(cases, half_a_change_is_none);
	tcase_add_test(cases, what_is_no_page_is_refused);
	tcase_add_loop_test(cases, requests_wait_for_their_turn, 0, 3);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
