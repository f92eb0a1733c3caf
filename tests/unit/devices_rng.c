/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cordon-rng, the program itself, driven over a socket pair. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "tests/unit/vhost_client.h"

static struct vhost_client client;

static void start(uint64_t features)
{
	ck_assert_int_eq(vhost_client_start(&client, getenv("CORDON_RNG"), NULL, features), 0);
	ck_assert_int_eq(vhost_client_queue_start(&client, 0, CLIENT_QUEUE_SIZE, 0), 0);
}

static unsigned int bytes_set(const uint8_t *at, size_t size)
{
	unsigned int set = 0;

	for (size_t i = 0; i < size; i++)
		set += at[i] != 0;
	return set;
}

START_TEST(random_bytes_arrive)
{
	struct client_buffer buffers[] = {{CLIENT_DATA, 64, true}, {CLIENT_HIGH, 192, true}};
	struct client_used used;

	start(0);
	uint16_t head = vhost_client_add(&client.queue[0], buffers, 2);
	vhost_client_kick(&client.queue[0]);
	ck_assert_int_eq(vhost_client_used(&client.queue[0], &used, CLIENT_WAIT_MS), 0);
	ck_assert_uint_eq(used.id, head);
	ck_assert_uint_eq(used.length, 256);
	ck_assert_uint_gt(bytes_set(vhost_client_at(&client, CLIENT_DATA), 64), 40);
	ck_assert_uint_gt(bytes_set(vhost_client_at(&client, CLIENT_HIGH), 192), 150);
	/* and nothing behind the buffers */
	ck_assert_uint_eq(bytes_set(vhost_client_at(&client, CLIENT_DATA + 64), 4096), 0);
	ck_assert_int_eq(vhost_client_queue_stop(&client, 0), 1);
	ck_assert_int_eq(vhost_client_stop(&client), 0);
}
END_TEST

START_TEST(a_large_buffer_is_filled_in_part)
{
	struct client_buffer buffer = {CLIENT_DATA, 0x600000, true};
	struct client_used used;

	start(1ull << 29);
	vhost_client_add(&client.queue[0], &buffer, 1);
	vhost_client_kick(&client.queue[0]);
	ck_assert_int_eq(vhost_client_used(&client.queue[0], &used, CLIENT_WAIT_MS), 0);
	ck_assert_uint_eq(used.length, 4096);
	ck_assert_uint_eq(bytes_set(vhost_client_at(&client, CLIENT_DATA + 4096), 4096), 0);
	ck_assert_int_eq(vhost_client_stop(&client), 0);
}
END_TEST

START_TEST(a_readable_buffer_gets_nothing)
{
	struct client_buffer buffer = {CLIENT_DATA, 64, false};
	struct client_used used;

	start(0);
	vhost_client_add(&client.queue[0], &buffer, 1);
	vhost_client_kick(&client.queue[0]);
	ck_assert_int_eq(vhost_client_used(&client.queue[0], &used, CLIENT_WAIT_MS), 0);
	ck_assert_uint_eq(used.length, 0);
	ck_assert_uint_eq(bytes_set(vhost_client_at(&client, CLIENT_DATA), 64), 0);
	ck_assert_int_eq(vhost_client_stop(&client), 0);
}
END_TEST

/* More requests than a batch, around the ring several times, with the event index and without. */
START_TEST(many_requests)
{
	start(_i ? 1ull << 29 : 0);
	for (unsigned int i = 0; i < 2000; i += 50) {
		struct client_used used;

		for (unsigned int k = 0; k < 50; k++) {
			struct client_buffer b = {CLIENT_DATA + k * 64, 32, true};

			vhost_client_add(&client.queue[0], &b, 1);
		}
		vhost_client_kick(&client.queue[0]);
		for (unsigned int k = 0; k < 50; k++)
			ck_assert_int_eq(vhost_client_used(&client.queue[0], &used, CLIENT_WAIT_MS),
			                 0);
	}
	ck_assert_int_eq(vhost_client_queue_stop(&client, 0), 2000);
	ck_assert_int_eq(vhost_client_stop(&client), 0);
}
END_TEST

/* A ring that stops and starts again goes on where it was. */
START_TEST(stop_and_start)
{
	struct client_buffer buffer = {CLIENT_DATA, 16, true};
	struct client_used used;
	uint16_t base = 0;

	start(0);
	for (unsigned int i = 0; i < 3; i++) {
		vhost_client_add(&client.queue[0], &buffer, 1);
		vhost_client_kick(&client.queue[0]);
		ck_assert_int_eq(vhost_client_used(&client.queue[0], &used, CLIENT_WAIT_MS), 0);
		base++;
		ck_assert_int_eq(vhost_client_queue_stop(&client, 0), base);
		ck_assert_int_eq(vhost_client_queue_start(&client, 0, CLIENT_QUEUE_SIZE, base), 0);
	}
	ck_assert_int_eq(vhost_client_stop(&client), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("devices: rng");
	TCase *cases = tcase_create("rng");
	SRunner *runner;
	int failed;

	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, random_bytes_arrive);
	tcase_add_test(cases, a_large_buffer_is_filled_in_part);
	tcase_add_test(cases, a_readable_buffer_gets_nothing);
	tcase_add_loop_test(cases, many_requests, 0, 2);
	tcase_add_test(cases, stop_and_start);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
