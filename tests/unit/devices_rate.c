/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The token bucket in made-up time, and the limits of cordon-blk as far as no clock has to be trusted. */
#include <check.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "tests/unit/vhost_client.h"
#include "vmm/devices/rate.h"

/* Takes `amount` as often as it may within `seconds`; how often that was. */
static unsigned int taken(uint64_t per_second, uint64_t amount, uint64_t seconds)
{
	struct rate rate = {.per_second = per_second};
	uint64_t now = 12345, end = now + seconds * RATE_SECOND;
	unsigned int count = 0;

	while (now < end) {
		uint32_t wait = rate_wait(&rate, now);

		if (wait > RATE_MAX)
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

/* With one request (or one byte) a second most of 20 are still waiting when the ring is stopped. */
START_TEST(requests_wait_for_their_turn)
{
	struct client_buffer list[] = {{CLIENT_DATA, 16, false},
	                               {CLIENT_DATA + 512, 512, true},
	                               {CLIENT_DATA + 256, 1, true}};
	FILE *disk BASE_AUTO_FILE = tmpfile();
	struct vhost_client client;
	struct client_used used;
	char number[16];
	char *extra[] = {(char[]){"--disk"}, number,
	                 _i ? (char[]){"--bandwidth"} : (char[]){"--iops"}, (char[]){"1"}, NULL};
	int base;

	ck_assert_ptr_nonnull(disk);
	ck_assert_int_eq(ftruncate(fileno(disk), 1 << 20), 0);
	snprintf(number, sizeof(number), "%d", fileno(disk));
	ck_assert_int_eq(vhost_client_start(&client, getenv("CORDON_BLK"), extra, ~0ull), 0);
	ck_assert_int_eq(vhost_client_queue_start(&client, 0, CLIENT_QUEUE_SIZE, 0), 0);
	for (unsigned int i = 0; i < 20; i++)
		vhost_client_add(&client.queue[0], list, 3);
	vhost_client_kick(&client.queue[0]);
	ck_assert_int_eq(vhost_client_used(&client.queue[0], &used, CLIENT_WAIT_MS), 0);
	if (_i == 0) /* the next one comes without another kick */
		ck_assert_int_eq(vhost_client_used(&client.queue[0], &used, CLIENT_WAIT_MS), 0);
	base = vhost_client_queue_stop(&client, 0);
	ck_assert_int_ge(base, 1);
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
	tcase_add_loop_test(cases, requests_wait_for_their_turn, 0, 2);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
