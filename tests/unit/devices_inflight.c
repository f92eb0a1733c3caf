/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The record of what is in flight, as a process leaves it that ends anywhere: the ring and the record are
 * here, and so is each "process", a struct vring that is thrown away.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "vmm/devices/vring.h"

enum { ENTRIES = 16, BYTES = 4096, AVAILABLE = 0x400, USED = 0x800 };

static _Alignas(4096) uint8_t guest[BYTES];
static _Alignas(64) uint8_t record[1024];
static struct device_memory memory = {
        .count = 1,
        .region = {{.guest = 0, .size = BYTES, .user = 0, .host = guest}},
};
static struct vring_request request;
static struct vring ring;

static uint16_t *word(size_t at)
{
	return (uint16_t *)(guest + at);
}

/* A process begins: nothing is known but the guest's memory and the record. */
static void begin(void)
{
	ring = (struct vring){
	        .memory = &memory,
	        .size = ENTRIES,
	        .available_at = AVAILABLE,
	        .used_at = USED,
	};
	ck_assert_int_eq(inflight_attach(&ring.inflight, record, ENTRIES), 0);
	ck_assert_int_eq(vring_start(&ring, 0), 0);
}

static void setup(void)
{
	memset(guest, 0, sizeof(guest));
	memset(record, 0, sizeof(record));
	for (uint32_t i = 0; i < ENTRIES; i++) /* descriptor i: i + 1 bytes */
		*(uint32_t *)(guest + i * 16 + 8) = i + 1;
	begin();
}

static void offer(uint16_t head)
{
	*word(AVAILABLE + 4 + 2 * (*word(AVAILABLE + 2) % ENTRIES)) = head;
	(*word(AVAILABLE + 2))++;
}

static void assert_takes(int head)
{
	int got = vring_pop(&ring, &request);

	ck_assert_int_eq(got, head >= 0);
	if (head >= 0) {
		ck_assert_int_eq(request.head, head);
		ck_assert_uint_eq(request.readable_bytes, (unsigned int)head + 1);
	}
}

START_TEST(the_layout_is_the_specifications)
{
	ck_assert_uint_eq(inflight_bytes(1), 64);
	ck_assert_uint_eq(inflight_bytes(3), 64);
	ck_assert_uint_eq(inflight_bytes(4), 128);
	ck_assert_uint_eq(inflight_bytes(1024), 16448);
	offer(5);
	assert_takes(5);
	ck_assert_uint_eq(*(uint16_t *)(record + 8), 1);        /* version */
	ck_assert_uint_eq(*(uint16_t *)(record + 10), ENTRIES); /* desc_num */
	ck_assert_uint_eq(record[16 + 5 * 16], 1);              /* inflight */
	vring_push(&ring, 5, 0);
	ck_assert_uint_eq(record[16 + 5 * 16], 0);
	ck_assert_uint_eq(*(uint16_t *)(record + 12), 5); /* last_batch_head */
	ck_assert_uint_eq(*(uint16_t *)(record + 14), 1); /* used_idx */
}
END_TEST

START_TEST(what_was_taken_is_taken_again_in_order)
{
	static const uint16_t heads[] = {9, 2, 13, 0, 7};

	for (size_t i = 0; i < BASE_COUNT(heads); i++)
		offer(heads[i]);
	for (size_t i = 0; i < 4; i++)
		assert_takes(heads[i]);
	vring_push(&ring, 2, 0);
	begin();
	assert_takes(9);
	assert_takes(13);
	begin(); /* and ends again, in the middle of that */
	assert_takes(9);
	vring_push(&ring, 9, 0);
	begin();
	assert_takes(13);
	assert_takes(0);
	assert_takes(7); /* which is new */
	assert_takes(-1);
	vring_push(&ring, 7, 0);
	vring_push(&ring, 13, 0);
	vring_push(&ring, 0, 0);
	ck_assert_uint_eq(*word(USED + 2), 5);
	begin();
	assert_takes(-1);
}
END_TEST

/* It ends between the used entries and the used index: nobody has seen them. */
START_TEST(an_unseen_batch_is_taken_again)
{
	offer(3);
	offer(4);
	assert_takes(3);
	assert_takes(4);
	vring_fill(&ring, 0, 3, 0);
	vring_fill(&ring, 1, 4, 0);
	begin();
	assert_takes(3);
	assert_takes(4);
	vring_fill(&ring, 0, 4, 0);
	vring_fill(&ring, 1, 3, 0);
	vring_publish(&ring, 2);
	begin();
	assert_takes(-1);
}
END_TEST

/* It ends after the used index, with the marks of so many of the batch still there. */
START_TEST(a_seen_batch_is_not_taken_again)
{
	uint8_t before[sizeof(record)];
	static const uint16_t heads[] = {3, 4, 11};

	offer(6);
	assert_takes(6);
	vring_push(&ring, 6, 0);
	offer(1);
	assert_takes(1); /* stays in flight */
	for (size_t i = 0; i < 3; i++) {
		offer(heads[i]);
		assert_takes(heads[i]);
	}
	for (uint16_t i = 0; i < 3; i++)
		vring_fill(&ring, i, heads[i], 0);
	memcpy(before, record, sizeof(record));
	vring_publish(&ring, 3);
	memcpy(record, before, sizeof(record));
	for (int i = 0; i < _i; i++) /* marks go in the batch's order, the last first */
		record[16 + heads[2 - i] * 16] = 0;
	begin();
	assert_takes(1);
	assert_takes(-1);
}
END_TEST

START_TEST(nothing_is_in_flight_after_a_stop)
{
	offer(3);
	assert_takes(3);
	inflight_forget(&ring.inflight);
	begin();
	ck_assert_uint_eq(ring.next, 0); /* the driver begins anew */
}
END_TEST

/* Whatever the front end has written there, it is bounded. */
START_TEST(a_record_of_nonsense)
{
	srand((unsigned int)_i);
	for (size_t i = 0; i < sizeof(record); i++)
		record[i] = (uint8_t)rand();
	*(uint16_t *)(record + 8) = 1;
	*(uint16_t *)(record + 10) = ENTRIES;
	for (uint32_t i = 0; i < ENTRIES; i++)
		record[16 + i * 16] = (uint8_t)(rand() % 2);
	begin();
	for (unsigned int i = 0; i < 2 * ENTRIES && vring_pop(&ring, &request) > 0; i++)
		vring_push(&ring, request.head, 0);
	ck_assert_int_le(vring_pop(&ring, &request), 0);
}
END_TEST

START_TEST(records_that_are_none)
{
	struct inflight other;

	ck_assert_int_eq(inflight_attach(&other, record, ENTRIES * 2), -EINVAL);
	ck_assert_int_eq(inflight_attach(&other, record + 4, ENTRIES), -EINVAL);
	*(uint16_t *)(record + 8) = 2;
	ck_assert_int_eq(inflight_attach(&other, record, ENTRIES), -EINVAL);
	ring.size = ENTRIES * 2;
	ck_assert_int_eq(vring_start(&ring, 0), -EINVAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("devices: inflight");
	TCase *cases = tcase_create("inflight");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(cases, setup, NULL);
	tcase_add_test(cases, the_layout_is_the_specifications);
	tcase_add_test(cases, what_was_taken_is_taken_again_in_order);
	tcase_add_test(cases, an_unseen_batch_is_taken_again);
	tcase_add_loop_test(cases, a_seen_batch_is_not_taken_again, 0, 4);
	tcase_add_test(cases, nothing_is_in_flight_after_a_stop);
	tcase_add_loop_test(cases, a_record_of_nonsense, 0, 20);
	tcase_add_test(cases, records_that_are_none);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
