/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a hostile guest can write into a ring, each by name, against cordon-blk itself. After each one the
 * ring is broken or the request was answered, the process lives, not a byte outside the buffers has
 * changed, and the ring works again once it is set up anew.
 */
#include <check.h>
#include <linux/virtio_blk.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/base.h"
#include "tests/unit/vhost_client.h"

#define HEADER_AT        (CLIENT_DATA)
#define STATUS_AT        (CLIENT_DATA + 0x100)
#define TABLE_AT         (CLIENT_DATA + 0x800)
#define DATA_AT          (CLIENT_DATA + 0x10000)
#define HIGH_END         (CLIENT_HIGH + CLIENT_REGION_SIZE)
#define ALL_BUT_INDIRECT (~(1ull << 28))

enum { DISK_BYTES = 1 << 20, CANARY = 0xa5, LAST = 0, NEXT = CLIENT_F_NEXT };
enum { WRITE = CLIENT_F_WRITE, INDIRECT = CLIENT_F_INDIRECT };

static struct vhost_client client;
static FILE *disk;

static void start(uint64_t features)
{
	char number[16];
	char *extra[] = {(char[]){"--disk"}, number, NULL};

	disk = tmpfile();
	ck_assert_ptr_nonnull(disk);
	ck_assert_int_eq(ftruncate(fileno(disk), DISK_BYTES), 0);
	snprintf(number, sizeof(number), "%d", fileno(disk));
	ck_assert_int_eq(vhost_client_start(&client, getenv("CORDON_BLK"), extra, features), 0);
	ck_assert_int_eq(vhost_client_queue_start(&client, 0, CLIENT_QUEUE_SIZE, 0), 0);
	memset(vhost_client_at(&client, CLIENT_DATA), CANARY, 2 * CLIENT_REGION_SIZE - CLIENT_DATA);
	memset(vhost_client_at(&client, CLIENT_HIGH), CANARY, CLIENT_REGION_SIZE);
	memset(vhost_client_at(&client, HEADER_AT), 0, sizeof(struct virtio_blk_outhdr));
}

static bool all_canary(const void *at, size_t size)
{
	const uint8_t *bytes = at;

	return bytes[0] == CANARY && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* All of memory but the page of headers, tables and status bytes. */
static void assert_untouched(void)
{
	ck_assert(all_canary(vhost_client_at(&client, DATA_AT), 2 * CLIENT_REGION_SIZE - DATA_AT));
	ck_assert(all_canary(vhost_client_at(&client, CLIENT_HIGH), CLIENT_REGION_SIZE));
}

/* The device is as good as new after GET_VRING_BASE and a new start. */
static void assert_works(void)
{
	struct client_buffer list[] = {
	        {HEADER_AT, 16, false}, {DATA_AT, 512, true}, {STATUS_AT, 1, true}};
	struct client_used used;
	int base = vhost_client_queue_stop(&client, 0);

	ck_assert_int_ge(base, 0);
	ck_assert_int_eq(vhost_client_queue_start(&client, 0, CLIENT_QUEUE_SIZE, (uint16_t)base),
	                 0);
	memset(vhost_client_at(&client, HEADER_AT), 0, sizeof(struct virtio_blk_outhdr));
	vhost_client_add(&client.queue[0], list, 3);
	vhost_client_kick(&client.queue[0]);
	ck_assert_int_eq(vhost_client_used(&client.queue[0], &used, CLIENT_WAIT_MS), 0);
	ck_assert_uint_eq(*(uint8_t *)vhost_client_at(&client, STATUS_AT), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(vhost_client_stop(&client), 0);
	fclose(disk);
}

enum outcome { BROKEN, FAILED, SERVED };

static const struct chain {
	const char *name;
	enum outcome outcome;
	uint16_t head;
	bool no_indirect;                  /* not negotiated */
	struct client_descriptor ring[5];  /* from descriptor 0 on; 0 is the usual header */
	struct client_descriptor table[4]; /* at TABLE_AT */
} chains[] = {
        {.name = "outside memory",
         .ring = {{HEADER_AT, 16, NEXT, 1},
                  {CLIENT_OUTSIDE, 512, NEXT | WRITE, 2},
                  {STATUS_AT, 1, WRITE, 0}}},
        {.name = "header outside memory",
         .ring = {{CLIENT_OUTSIDE, 16, NEXT, 1}, {STATUS_AT, 1, WRITE, 0}}},
        {.name = "status outside memory",
         .ring = {{HEADER_AT, 16, NEXT, 1}, {HIGH_END, 1, WRITE, 0}}},
        {.name = "crossing the end of memory",
         .ring = {{HEADER_AT, 16, NEXT, 1},
                  {HIGH_END - 256, 512, NEXT | WRITE, 2},
                  {STATUS_AT, 1, WRITE, 0}}},
        {.name = "crossing into a hole",
         .ring = {{HEADER_AT, 16, NEXT, 1},
                  {2 * CLIENT_REGION_SIZE - 1, 513, NEXT | WRITE, 2},
                  {STATUS_AT, 1, WRITE, 0}}},
        {.name = "wrapping around the address space",
         .ring = {{HEADER_AT, 16, NEXT, 1},
                  {UINT64_MAX - 255, 512, NEXT | WRITE, 2},
                  {STATUS_AT, 1, WRITE, 0}}},
        {.name = "4 GiB length",
         .ring = {{HEADER_AT, 16, NEXT, 1},
                  {DATA_AT, UINT32_MAX, NEXT | WRITE, 2},
                  {STATUS_AT, 1, WRITE, 0}}},
        {.name = "zero length data",
         .outcome = FAILED,
         .ring = {{HEADER_AT, 16, NEXT, 1},
                  {DATA_AT, 0, NEXT | WRITE, 2},
                  {STATUS_AT, 1, WRITE, 0}}},
        {.name = "zero length outside memory",
         .outcome = FAILED,
         .ring = {{HEADER_AT, 16, NEXT, 1},
                  {CLIENT_OUTSIDE, 0, NEXT | WRITE, 2},
                  {STATUS_AT, 1, WRITE, 0}}},
        {.name = "zero length status",
         .ring = {{HEADER_AT, 16, NEXT, 1}, {STATUS_AT, 0, WRITE, 0}}},
        {.name = "zero length everything", .ring = {{HEADER_AT, 0, LAST, 0}}},
        {.name = "no status", .ring = {{HEADER_AT, 16, LAST, 0}}},
        {.name = "descriptor that is its own next", .ring = {{HEADER_AT, 16, NEXT, 0}}},
        {.name = "loop of zero length", .ring = {{HEADER_AT, 0, NEXT, 0}}},
        {.name = "loop of two", .ring = {{HEADER_AT, 16, NEXT, 1}, {DATA_AT, 16, NEXT, 0}}},
        {.name = "loop of writable ones",
         .ring = {{HEADER_AT, 16, NEXT, 1},
                  {STATUS_AT, 1, NEXT | WRITE, 2},
                  {STATUS_AT, 1, NEXT | WRITE, 1}}},
        {.name = "next outside the table",
         .ring = {{HEADER_AT, 16, NEXT, CLIENT_QUEUE_SIZE}, {STATUS_AT, 1, WRITE, 0}}},
        {.name = "next far outside the table", .ring = {{HEADER_AT, 16, NEXT, UINT16_MAX}}},
        {.name = "head outside the table", .head = CLIENT_QUEUE_SIZE},
        {.name = "head far outside the table", .head = UINT16_MAX},
        {.name = "status readable", .ring = {{HEADER_AT, 16, NEXT, 1}, {STATUS_AT, 1, LAST, 0}}},
        {.name = "readable after writable",
         .ring = {{HEADER_AT, 16, NEXT, 1},
                  {STATUS_AT, 1, NEXT | WRITE, 2},
                  {DATA_AT, 512, LAST, 0}}},
        {.name = "header writable",
         .outcome = FAILED,
         .ring = {{HEADER_AT + 0x40, 16, NEXT | WRITE, 1}, {STATUS_AT, 1, WRITE, 0}}},
        {.name = "read into a readable buffer",
         .outcome = FAILED,
         .ring = {{HEADER_AT, 16, NEXT, 1}, {DATA_AT, 512, NEXT, 2}, {STATUS_AT, 1, WRITE, 0}}},
        {.name = "indirect, as it should be",
         .outcome = SERVED,
         .ring = {{TABLE_AT, 32, INDIRECT, 0}},
         .table = {{HEADER_AT, 16 | 0, NEXT, 1}, {STATUS_AT, 1, WRITE, 0}}},
        {.name = "indirect, not negotiated",
         .no_indirect = true,
         .ring = {{TABLE_AT, 32, INDIRECT, 0}},
         .table = {{HEADER_AT, 16, NEXT, 1}, {STATUS_AT, 1, WRITE, 0}}},
        {.name = "indirect in indirect",
         .ring = {{TABLE_AT, 32, INDIRECT, 0}},
         .table = {{HEADER_AT, 16, NEXT, 1},
                   {TABLE_AT + 32, 16, INDIRECT, 0},
                   {STATUS_AT, 1, WRITE, 0}}},
        {.name = "indirect with next",
         .ring = {{TABLE_AT, 32, INDIRECT | NEXT, 1}, {STATUS_AT, 1, WRITE, 0}},
         .table = {{HEADER_AT, 16, LAST, 0}}},
        {.name = "indirect length no multiple of 16",
         .ring = {{TABLE_AT, 33, INDIRECT, 0}},
         .table = {{HEADER_AT, 16, NEXT, 1}, {STATUS_AT, 1, WRITE, 0}}},
        {.name = "indirect length 15", .ring = {{TABLE_AT, 15, INDIRECT, 0}}},
        {.name = "indirect length 0", .ring = {{TABLE_AT, 0, INDIRECT, 0}}},
        {.name = "indirect length 4 GiB", .ring = {{TABLE_AT, UINT32_MAX - 15, INDIRECT, 0}}},
        {.name = "indirect table of 1025", .ring = {{TABLE_AT, 1025 * 16, INDIRECT, 0}}},
        {.name = "indirect table outside memory", .ring = {{CLIENT_OUTSIDE, 32, INDIRECT, 0}}},
        {.name = "indirect table crossing the end", .ring = {{HIGH_END - 16, 32, INDIRECT, 0}}},
        {.name = "indirect next outside its table",
         .ring = {{TABLE_AT, 32, INDIRECT, 0}},
         .table = {{HEADER_AT, 16, NEXT, 2}}},
        {.name = "indirect loop",
         .ring = {{TABLE_AT, 32, INDIRECT, 0}},
         .table = {{HEADER_AT, 16, NEXT, 1}, {DATA_AT, 16, NEXT, 0}}},
};

START_TEST(hostile_chain)
{
	const struct chain *c = &chains[_i];
	struct client_queue *q = &client.queue[0];
	struct client_used used = {0};
	struct virtio_blk_outhdr *header;
	uint8_t *status;

	start(c->no_indirect ? ALL_BUT_INDIRECT : ~0ull);
	status = vhost_client_at(&client, STATUS_AT);
	header = vhost_client_at(&client, HEADER_AT);
	header->type = c->outcome == SERVED ? VIRTIO_BLK_T_FLUSH : VIRTIO_BLK_T_IN;
	memcpy(q->descriptors, c->ring, sizeof(c->ring));
	memcpy(vhost_client_at(&client, TABLE_AT), c->table, sizeof(c->table));
	vhost_client_publish(q, c->head);
	vhost_client_kick(q);
	if (c->outcome == BROKEN) {
		ck_assert_msg(vhost_client_broken(q, CLIENT_WAIT_MS) == 0, "%s: not refused",
		              c->name);
		ck_assert_msg(vhost_client_used(q, &used, 0) < 0, "%s: was answered", c->name);
		ck_assert_uint_eq(*status, CANARY);
	} else {
		ck_assert_msg(vhost_client_used(q, &used, CLIENT_WAIT_MS) == 0, "%s: no answer",
		              c->name);
		ck_assert_msg(*status ==
		                      (c->outcome == SERVED ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR),
		              "%s: status %u", c->name, *status);
	}
	assert_untouched();
	assert_works();
}
END_TEST

START_TEST(available_index_jumps)
{
	static const uint16_t jumps[] = {CLIENT_QUEUE_SIZE + 1, 0x8000, UINT16_MAX};
	struct client_queue *q = &client.queue[0];

	start(~0ull);
	q->available[1] = jumps[_i];
	vhost_client_kick(q);
	ck_assert_int_eq(vhost_client_broken(q, CLIENT_WAIT_MS), 0);
	assert_untouched();
	assert_works();
}
END_TEST

/* A second kick for a broken ring, and a guest that breaks it again and again: nothing new happens. */
START_TEST(broken_stays_broken)
{
	struct client_queue *q = &client.queue[0];
	struct client_used used;

	start(~0ull);
	for (unsigned int i = 0; i < 40; i++) {
		q->available[1] = 0x8000;
		vhost_client_kick(q);
		ck_assert_int_eq(vhost_client_broken(q, CLIENT_WAIT_MS), 0);
		q->available[1] = 1;
		vhost_client_kick(q);
		ck_assert_int_eq(vhost_client_used(q, &used, 2), -ETIMEDOUT);
		ck_assert_int_eq(vhost_client_queue_stop(&client, 0), 0);
		ck_assert_int_eq(vhost_client_queue_start(&client, 0, CLIENT_QUEUE_SIZE, 0), 0);
	}
	assert_works();
}
END_TEST

/* What another vCPU of the guest does while the device reads: flips one 8-byte word between two values. */
struct flipper {
	uint64_t *at;
	uint64_t values[2];
	bool stop;
};

static void *flip(void *argument)
{
	struct flipper *f = argument;

	for (unsigned int i = 0; !__atomic_load_n(&f->stop, __ATOMIC_RELAXED); i++)
		__atomic_store_n(f->at, f->values[i & 1], __ATOMIC_RELAXED);
	return NULL;
}

static pthread_t flip_start(struct flipper *f)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, flip, f), 0);
	return thread;
}

static void flip_stop(struct flipper *f, pthread_t thread)
{
	__atomic_store_n(&f->stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

START_TEST(header_changed_while_being_read)
{
	struct client_buffer list[] = {
	        {HEADER_AT, 16, false}, {DATA_AT, 512, false}, {STATUS_AT, 1, true}};
	struct virtio_blk_outhdr *header;
	struct flipper f = {.values = {0, UINT64_MAX / 512}};
	uint8_t *status;
	pthread_t thread;
	struct stat st;

	start(~0ull);
	header = vhost_client_at(&client, HEADER_AT);
	status = vhost_client_at(&client, STATUS_AT);
	header->type = VIRTIO_BLK_T_OUT;
	f.at = (uint64_t *)&header->sector;
	thread = flip_start(&f);
	for (unsigned int i = 0; i < 2000; i++) {
		struct client_used used;

		*status = CANARY;
		vhost_client_add(&client.queue[0], list, 3);
		vhost_client_kick(&client.queue[0]);
		ck_assert_int_eq(vhost_client_used(&client.queue[0], &used, CLIENT_WAIT_MS), 0);
		ck_assert_uint_le(*status, VIRTIO_BLK_S_IOERR);
	}
	flip_stop(&f, thread);
	ck_assert_int_eq(fstat(fileno(disk), &st), 0);
	ck_assert_int_eq(st.st_size, DISK_BYTES);
	assert_works();
}
END_TEST

START_TEST(descriptor_changed_while_being_read)
{
	struct client_buffer list[] = {
	        {HEADER_AT, 16, false}, {DATA_AT, 512, true}, {STATUS_AT, 1, true}};
	struct flipper f = {.values = {DATA_AT, HIGH_END - 256}};
	struct client_queue *q = &client.queue[0];
	unsigned int served = 0, broken = 0;
	pthread_t thread;

	start(~0ull);
	for (unsigned int round = 0; round < 100; round++) {
		struct client_used used;

		f.stop = false;
		f.at = &q->descriptors[(q->next_free + 1) % q->size].address;
		vhost_client_add(q, list, 3);
		thread = flip_start(&f);
		vhost_client_kick(q);
		while (vhost_client_used(q, &used, 0) < 0 && vhost_client_broken(q, 0) < 0)
			;
		flip_stop(&f, thread);
		if (vhost_client_broken(q, 0) < 0) {
			served++;
			continue;
		}
		broken++;
		int base = vhost_client_queue_stop(&client, 0);
		ck_assert_int_ge(base, 0);
		ck_assert_int_eq(
		        vhost_client_queue_start(&client, 0, CLIENT_QUEUE_SIZE, (uint16_t)base), 0);
	}
	ck_assert_uint_eq(served + broken, 100);
	memset(vhost_client_at(&client, DATA_AT), CANARY, 512);
	assert_untouched();
	assert_works();
}
END_TEST

/* After the answer to GET_VRING_BASE the device does not touch the ring or a buffer any more. */
START_TEST(reset_in_the_middle_of_a_transfer)
{
	struct client_buffer list[] = {
	        {HEADER_AT, 16, false}, {DATA_AT, 0x80000, true}, {STATUS_AT, 1, true}};
	uint8_t *data, *used;
	int base = 0;

	start(~0ull);
	data = vhost_client_at(&client, DATA_AT);
	used = vhost_client_at(&client, 0);
	for (unsigned int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < CLIENT_QUEUE_SIZE / 3; i++)
			vhost_client_add(&client.queue[0], list, 3);
		vhost_client_kick(&client.queue[0]);
		base = vhost_client_queue_stop(&client, 0);
		ck_assert_int_ge(base, 0);
		memset(data, CANARY, 0x80000);
		memset(used, CANARY, 0x10000);
		usleep(2000);
		ck_assert(all_canary(data, 0x80000));
		ck_assert(all_canary(used, 0x10000));
		ck_assert_int_eq(
		        vhost_client_queue_start(&client, 0, CLIENT_QUEUE_SIZE, (uint16_t)base), 0);
	}
	assert_works();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("devices: hostile rings");
	TCase *cases = tcase_create("ring");
	SRunner *runner;
	int failed;

	tcase_set_timeout(cases, 60);
	tcase_add_loop_test(cases, hostile_chain, 0, BASE_COUNT(chains));
	tcase_add_loop_test(cases, available_index_jumps, 0, 3);
	tcase_add_test(cases, broken_stays_broken);
	tcase_add_test(cases, header_changed_while_being_read);
	tcase_add_test(cases, descriptor_changed_while_being_read);
	tcase_add_test(cases, reset_in_the_middle_of_a_transfer);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
