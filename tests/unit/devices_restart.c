/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-blk is killed in the middle of its work, and started again in place over the same rings and the
 * same record of what is in flight: no request is lost, none is answered twice, and what was answered is on
 * the disk.
 */
#include <check.h>
#include <linux/virtio_blk.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "tests/unit/vhost_client.h"

enum {
	ROUNDS = 24,
	ROUNDS_MAX = 500,
	SIZE = 128,
	REQUESTS = SIZE / 3,
	SECTORS = 120,
	BYTES = SECTORS * 512
};
#define SLOT_AT(i) (CLIENT_DATA + (i)*0x100)
#define DATA_AT(i) (CLIENT_DATA + 0x100000 + (uint64_t)(i)*0x10000)

static struct vhost_client client;
static int disk;
static char number[16];
static char *arguments[] = {(char[]){"--disk"}, number, NULL, NULL};
static bool outstanding[SIZE];

/* Without flushes no write is tried at once: io_uring has them all. */
#define FEATURES (~(1ull << VIRTIO_BLK_F_FLUSH))

static void start(const char *option)
{
	disk = memfd_create("disk", 0);
	ck_assert_int_ge(disk, 0);
	ck_assert_int_eq(ftruncate(disk, REQUESTS * BYTES), 0);
	snprintf(number, sizeof(number), "%d", disk);
	arguments[2] = (char *)(uintptr_t)option;
	ck_assert_int_eq(vhost_client_start(&client, getenv("CORDON_BLK"), arguments, FEATURES), 0);
	ck_assert_int_eq(vhost_client_inflight_make(&client, 1, 256), 0);
	ck_assert_int_eq(vhost_client_queue_start(&client, 0, SIZE, 0), 0);
}

static uint8_t byte_of(unsigned int round, unsigned int request, size_t i)
{
	return (uint8_t)(round * 31 + request * 7 + i % 253 + 1);
}

/* Every other one is answered at once, and so before writes that came earlier. */
static void submit_all(unsigned int round)
{
	for (unsigned int i = 0; i < REQUESTS; i++) {
		struct client_buffer list[] = {{SLOT_AT(i), 16, false},
		                               {DATA_AT(i), BYTES, false},
		                               {SLOT_AT(i) + 32, 1, true}};
		struct virtio_blk_outhdr *header = vhost_client_at(&client, SLOT_AT(i));
		uint8_t *data = vhost_client_at(&client, DATA_AT(i));
		uint16_t head;

		if (i % 2)
			list[1] = (struct client_buffer){DATA_AT(i), 20, true};
		*header = (struct virtio_blk_outhdr){.type = i % 2 ? VIRTIO_BLK_T_GET_ID
		                                                   : VIRTIO_BLK_T_OUT,
		                                     .sector = (uint64_t)i * SECTORS};
		*((uint8_t *)vhost_client_at(&client, SLOT_AT(i)) + 32) = 0xee;
		for (size_t b = 0; b < BYTES; b++)
			data[b] = byte_of(round, i, b);
		head = vhost_client_add(&client.queue[0], list, 3);
		outstanding[head] = true;
	}
	vhost_client_kick(&client.queue[0]);
}

static unsigned int take_used(void)
{
	struct client_queue *q = &client.queue[0];
	struct client_used used;
	unsigned int taken = 0;

	while (vhost_client_used(q, &used, 0) == 0) {
		ck_assert_uint_lt(used.id, SIZE);
		ck_assert_msg(outstanding[used.id], "%u was answered twice", used.id);
		outstanding[used.id] = false;
		taken++;
	}
	return taken;
}

static void assert_written(void)
{
	static uint8_t bytes[BYTES];

	for (unsigned int i = 0; i < REQUESTS; i++) {
		ck_assert_uint_eq(*((uint8_t *)vhost_client_at(&client, SLOT_AT(i)) + 32),
		                  VIRTIO_BLK_S_OK);
		if (i % 2)
			continue;
		ck_assert_int_eq(pread(disk, bytes, BYTES, (off_t)i * BYTES), BYTES);
		ck_assert_int_eq(memcmp(bytes, vhost_client_at(&client, DATA_AT(i)), BYTES), 0);
	}
}

/* Until the first one is answered, and every other time until it is wherever it is. */
static void wait_a_little(unsigned int round)
{
	const struct client_queue *q = &client.queue[0];

	if (round % 2) {
		usleep(round % 16 * 50);
		return;
	}
	for (unsigned int i = 0; i < CLIENT_WAIT_MS * 100u; i++) {
		if (__atomic_load_n(&q->used[1], __ATOMIC_ACQUIRE) != q->used_seen)
			return;
		usleep(10);
	}
}

START_TEST(killed_in_the_middle_of_writes)
{
	unsigned int cut = 0, round;

	start(_i ? "--synchronous" : NULL);
	for (round = 0; round < ROUNDS || (cut == 0 && round < ROUNDS_MAX); round++) {
		unsigned int done = 0;
		uint16_t base;

		submit_all(round);
		wait_a_little(round);
		ck_assert_int_eq(
		        vhost_client_restart(&client, getenv("CORDON_BLK"), arguments, FEATURES),
		        0);
		base = client.queue[0].used[1];
		cut += base != client.queue[0].available_index;
		ck_assert_int_eq(vhost_client_queue_announce(&client, 0, base), 0);
		for (unsigned int waited = 0; done < REQUESTS && waited < CLIENT_WAIT_MS;
		     waited++) {
			done += take_used();
			if (done < REQUESTS)
				poll(NULL, 0, 1);
		}
		ck_assert_uint_eq(done, REQUESTS);
		assert_written();
	}
	ck_assert_uint_gt(cut, 0); /* else nothing was tested */
	ck_assert_int_eq(vhost_client_queue_stop(&client, 0), round * REQUESTS);
	ck_assert_uint_eq(take_used(), 0);
	ck_assert_int_eq(vhost_client_stop(&client), 0);
	close(disk);
}
END_TEST

/* GET_VRING_BASE waits for what is in flight: the front end finds all of it answered. */
START_TEST(a_stop_finishes_what_is_in_flight)
{
	int base;

	start(_i ? "--synchronous" : NULL);
	submit_all(0);
	ck_assert_int_eq(vhost_client_sync(&client), 0);
	base = vhost_client_queue_stop(&client, 0);
	ck_assert_int_eq(base, client.queue[0].used[1]);
	ck_assert_uint_eq(take_used(), (unsigned int)base);
	ck_assert_int_eq(vhost_client_stop(&client), 0);
	close(disk);
}
END_TEST

START_TEST(records_that_do_not_fit)
{
	struct vhost_user_inflight *place = &client.inflight_place;

	start(NULL);
	switch (_i) {
	case 0: place->mmap_size = 64; break;
	case 1: place->mmap_offset = 64; break;
	case 2: place->queue_count = 2; break;
	case 3: place->queue_size = 128; break; /* it says 256 itself */
	case 4: place->queue_count = 0; break;
	case 5: place->queue_size = 0; break;
	case 6: place->mmap_offset = UINT64_MAX - 63; break;
	}
	ck_assert_int_eq(vhost_client_inflight_share(&client), 0);
	ck_assert_int_eq(vhost_client_wait_end(&client), 1);
	vhost_client_stop(&client);
	close(disk);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("devices: restart");
	TCase *cases = tcase_create("restart");
	SRunner *runner;
	int failed;

	tcase_set_timeout(cases, 110);
	tcase_add_loop_test(cases, killed_in_the_middle_of_writes, 0, 2);
	tcase_add_loop_test(cases, a_stop_finishes_what_is_in_flight, 0, 2);
	tcase_add_loop_test(cases, records_that_do_not_fit, 0, 7);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
