/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vhost-user front end against back ends that answer wrongly, not at all, or hang up, at each request
 * that is answered; and what a good one is told, in which order.
 */
#include <check.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#include "base/base.h"
#include "tests/unit/virtio_back.h"
#include "tests/unit/virtio_fake.h"
#include "vmm/vhost_front_private.h"

static struct machine *machine;
static struct back back;
static struct vhost_front front;
static unsigned int failures;
static struct vhost_front_queue rings[4];

static void failed(void *self)
{
	ck_assert_ptr_eq(self, &front);
	failures++;
}

static int open_front(void)
{
	return vhost_front_open(&front, machine, "test", back_start(&back), failed, &front);
}

static void setup(void)
{
	machine = fake_machine_create();
	back_init(&back);
	for (size_t i = 0; i < BASE_COUNT(rings); i++)
		rings[i] = (struct vhost_front_queue){.enabled = i != 1,
		                                      .size = (uint16_t)(64u << i),
		                                      .descriptors = 0x10000 * (i + 1),
		                                      .driver = 0x10000 * (i + 1) + 0x4000,
		                                      .device = 0x10000 * (i + 1) + 0x8000,
		                                      .kick = eventfd(0, EFD_CLOEXEC),
		                                      .call = eventfd(0, EFD_CLOEXEC)};
}

static void teardown(void)
{
	vhost_front_close(&front);
	back_join(&back);
	for (size_t i = 0; i < BASE_COUNT(rings); i++) {
		close(rings[i].kick);
		close(rings[i].call);
	}
	fake_machine_destroy(machine);
}

START_TEST(a_good_back_end_from_start_to_stop)
{
	static const uint8_t order[] = {1,  15, 16, 17, 3,  2,  5,  8,  10, 9,  13, 14,
	                                12, 8,  10, 9,  13, 14, 12, 8,  10, 9,  13, 14,
	                                12, 18, 18, 18, 18, 11, 18, 11, 18, 11, 34};
	uint64_t features = 1ull << 32 | 1ull << 28 | 1ull << 5;

	ck_assert_int_eq(open_front(), 0);
	ck_assert_uint_eq(front.queue_count_max, 1);
	ck_assert_uint_eq(back.accepted_protocol, back.protocol_features);
	ck_assert_int_eq(vhost_front_start(&front, features, rings, 4), 0);
	/* What the back end did not offer it does not get. */
	ck_assert_uint_eq(back.accepted, 1ull << 32 | 1ull << 28 | 1ull << 30);
	ck_assert_uint_eq(back.memory.region_count, 2);
	ck_assert_uint_eq(back.memory.regions[1].guest_address, MACHINE_HIGH_RAM_BASE);
	ck_assert_uint_eq(back.memory.regions[1].user_address, MACHINE_HIGH_RAM_BASE);
	ck_assert_uint_eq(back.memory.regions[1].mmap_offset, FAKE_LOW_RAM);
	for (unsigned int i = 0; i < 4; i++) {
		ck_assert_int_eq(back.queues[i].enabled, i != 1);
		if (i == 1)
			continue;
		ck_assert_uint_eq(back.queues[i].size, 64u << i);
		ck_assert_uint_eq(back.queues[i].address.descriptor, rings[i].descriptors);
		ck_assert_uint_eq(back.queues[i].address.available, rings[i].driver);
		ck_assert_uint_eq(back.queues[i].address.used, rings[i].device);
		ck_assert_int_ge(back.queues[i].kick, 0);
		ck_assert_int_ge(back.queues[i].call, 0);
	}
	ck_assert_int_eq(vhost_front_stop(&front), 0);
	vhost_front_close(&front);
	pthread_join(back.thread, NULL);
	ck_assert_uint_eq(back.log_count, sizeof(order));
	ck_assert_mem_eq(back.log, order, sizeof(order));
	ck_assert_uint_eq(failures, 0);
	back_start(&back); /* for the teardown */
	shutdown(back.socket, SHUT_RDWR);
}
END_TEST

START_TEST(a_back_end_without_protocol_features)
{
	back.features = 1ull << 32;
	ck_assert_int_eq(open_front(), 0);
	ck_assert_int_eq(vhost_front_config_get(&front, &(uint64_t){0}, 8), -ENOTSUP);
	ck_assert_int_eq(vhost_front_start(&front, 1ull << 32, rings, 1), 0);
	ck_assert_int_eq(vhost_front_stop(&front), 0);
	ck_assert_uint_eq(back_count(&back, VHOST_USER_SET_VRING_ENABLE), 0);
	ck_assert_uint_eq(back_count(&back, VHOST_USER_RESET_DEVICE), 0);
	ck_assert_uint_eq(back_count(&back, VHOST_USER_GET_VRING_BASE), 1);
	ck_assert_uint_eq(back.accepted, 1ull << 32);
}
END_TEST

START_TEST(configuration_both_ways)
{
	uint8_t bytes[60];

	for (unsigned int i = 0; i < sizeof(back.config); i++)
		back.config[i] = (uint8_t)i;
	ck_assert_int_eq(open_front(), 0);
	ck_assert_int_eq(vhost_front_config_get(&front, bytes, sizeof(bytes)), 0);
	ck_assert_mem_eq(bytes, back.config, sizeof(bytes));
	ck_assert_int_eq(vhost_front_config_set(&front, 32, "\xee", 1), 0);
	ck_assert_int_eq(vhost_front_config_get(&front, bytes, sizeof(bytes)), 0);
	ck_assert_uint_eq(bytes[32], 0xee);
	ck_assert_int_eq(vhost_front_config_get(&front, bytes, 257), -ENOTSUP);
}
END_TEST

/* Each fault at each request that is answered: the device is lost, once, and every later call says so. */
static const uint32_t answered[] = {VHOST_USER_GET_FEATURES,  VHOST_USER_GET_PROTOCOL_FEATURES,
                                    VHOST_USER_GET_QUEUE_NUM, VHOST_USER_GET_CONFIG,
                                    VHOST_USER_SET_MEM_TABLE, VHOST_USER_SET_VRING_ENABLE,
                                    VHOST_USER_GET_VRING_BASE};
static const enum back_fault faults[] = {
        BACK_HANGS_UP, BACK_WRONG_REQUEST,  BACK_WRONG_SIZE, BACK_NO_REPLY_FLAG,
        BACK_SENDS_FD, BACK_HALF_AN_ANSWER, BACK_HUGE_ANSWER};

static int whole_life(void)
{
	uint8_t bytes[60];
	int error = open_front();

	if (!error)
		error = vhost_front_config_get(&front, bytes, sizeof(bytes));
	if (!error)
		error = vhost_front_start(&front, 1ull << 32, rings, 4);
	if (!error)
		error = vhost_front_stop(&front);
	return error;
}

static void check_lost(bool opened)
{
	ck_assert_uint_eq(failures, opened ? 1 : 0);
	ck_assert_int_eq(front.socket, -1);
	ck_assert_uint_eq(machine->log_lines, 1);
	ck_assert_int_eq(vhost_front_start(&front, 0, rings, 4), -ENOTCONN);
	ck_assert_int_eq(vhost_front_stop(&front), -ENOTCONN);
	ck_assert_uint_eq(machine->log_lines, 1);
}

START_TEST(every_fault_at_every_answer)
{
	back.fault_at = answered[(size_t)_i / BASE_COUNT(faults)];
	back.fault = faults[(size_t)_i % BASE_COUNT(faults)];
	ck_assert_int_lt(whole_life(), 0);
	check_lost((size_t)_i / BASE_COUNT(faults) >= 3);
}
END_TEST

START_TEST(a_silent_back_end_is_given_up)
{
	back.fault_at = VHOST_USER_SET_VRING_ENABLE;
	back.fault = BACK_SILENT;
	ck_assert_int_eq(whole_life(), -ETIMEDOUT);
	check_lost(true);
}
END_TEST

static int64_t now_ms(void)
{
	struct timespec now;

	ck_assert_int_eq(clock_gettime(CLOCK_MONOTONIC, &now), 0);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* What a call of so long costs; it took what this process was held up by more, up to *late. */
static int64_t cost(int64_t waited, int64_t *late)
{
	int64_t begin = now_ms();

	front.budget_ms = VHOST_FRONT_LIMIT_MS;
	vhost_front_begin(&front);
	front.last_ms -= waited;
	vhost_front_finish(&front);
	*late = now_ms() - begin;
	return VHOST_FRONT_LIMIT_MS - front.budget_ms;
}

/* A guest that resets without end does not use its back end's time up; the back end itself would. */
START_TEST(a_prompt_answer_costs_nothing)
{
	int64_t late = VHOST_FRONT_LIMIT_MS;

	ck_assert_int_eq(open_front(), 0);
	while (late > VHOST_FRONT_PROMPT_MS / 2) {
		int64_t paid = cost(VHOST_FRONT_PROMPT_MS / 2, &late);

		ck_assert(paid == 0 || late > VHOST_FRONT_PROMPT_MS / 2);
	}
	ck_assert_int_ge(cost(1000, &late), 1000 - VHOST_FRONT_PROMPT_MS);
	front.asked = true;
	ck_assert_int_ge(cost(VHOST_FRONT_PROMPT_MS / 2, &late), VHOST_FRONT_PROMPT_MS / 2);
}
END_TEST

static void config_is_changed(void *self)
{
	uint8_t bytes[60];

	ck_assert_ptr_eq(self, &front);
	ck_assert(front.asked);
	ck_assert_int_eq(vhost_front_config_get(&front, bytes, sizeof(bytes)), 0);
	failures++;
}

START_TEST(what_a_back_end_asks_for_is_its_own)
{
	const struct vhost_message m = {.header.request = VHOST_USER_BACKEND_CONFIG_CHANGE};

	back.protocol_features |= VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ);
	ck_assert_int_eq(open_front(), 0);
	front.config_changed = config_is_changed;
	ck_assert_int_eq(vhost_front_config_get(&front, &(uint64_t){0}, 8), 0); /* it has the fd */
	ck_assert_int_eq(vhost_message_send(back.requests, &m, 0), 0);
	ck_assert_uint_eq(fake_loop(machine), 1);
	ck_assert_uint_eq(failures, 1);
	ck_assert(!front.asked);
}
END_TEST

START_TEST(a_refusal_is_heard)
{
	back.fault_at = _i == 0 ? VHOST_USER_SET_MEM_TABLE : VHOST_USER_SET_VRING_ENABLE;
	back.fault = BACK_REFUSES;
	ck_assert_int_eq(whole_life(), -EREMOTEIO);
	check_lost(true);
}
END_TEST

START_TEST(an_answer_about_something_else)
{
	back.fault_at = _i == 0 ? VHOST_USER_GET_CONFIG : VHOST_USER_GET_VRING_BASE;
	back.fault = BACK_WRONG_CONTENT;
	ck_assert_int_eq(whole_life(), -EPROTO);
	check_lost(true);
}
END_TEST

START_TEST(hanging_up_is_seen_by_the_loop)
{
	ck_assert_int_eq(open_front(), 0);
	ck_assert_uint_eq(fake_loop(machine), 0);
	shutdown(back.socket, SHUT_RDWR);
	ck_assert_uint_eq(fake_loop(machine), 1);
	check_lost(true);
}
END_TEST

START_TEST(speaking_unasked_is_seen_by_the_loop)
{
	ck_assert_int_eq(open_front(), 0);
	ck_assert_int_eq(send(back.socket, "x", 1, 0), 1);
	ck_assert_uint_eq(fake_loop(machine), 1);
	check_lost(true);
}
END_TEST

START_TEST(a_ring_error_is_told_once_and_a_restart_heals)
{
	uint64_t one = 1;

	ck_assert_int_eq(open_front(), 0);
	ck_assert_int_eq(vhost_front_start(&front, 1ull << 32, rings, 1), 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(base_write_all(back.queues[0].error, &one, sizeof(one)), 0);
		fake_loop(machine);
	}
	ck_assert_uint_eq(failures, 1);
	ck_assert_int_ge(front.socket, 0);
	ck_assert_int_eq(vhost_front_stop(&front), 0);
	ck_assert_int_eq(vhost_front_start(&front, 1ull << 32, rings, 1), 0);
	ck_assert_uint_eq(fake_loop(machine), 0);
	ck_assert_uint_eq(failures, 1);
	/* A guest that breaks its ring again and again does not fill the log. */
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(base_write_all(back.queues[0].error, &one, sizeof(one)), 0);
		fake_loop(machine);
		ck_assert_int_eq(vhost_front_stop(&front), 0);
		ck_assert_int_eq(vhost_front_start(&front, 1ull << 32, rings, 1), 0);
	}
	ck_assert_uint_eq(failures, 21);
	ck_assert_uint_eq(machine->log_lines, 8);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("virtio_front");
	TCase *tests = tcase_create("front");
	SRunner *runner = srunner_create(suite);
	int failed_count;

	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, a_good_back_end_from_start_to_stop);
	tcase_add_test(tests, a_back_end_without_protocol_features);
	tcase_add_test(tests, configuration_both_ways);
	tcase_add_loop_test(tests, every_fault_at_every_answer, 0,
	                    (int)(BASE_COUNT(answered) * BASE_COUNT(faults)));
	tcase_add_test(tests, a_silent_back_end_is_given_up);
	tcase_add_test(tests, a_prompt_answer_costs_nothing);
	tcase_add_test(tests, what_a_back_end_asks_for_is_its_own);
	tcase_add_loop_test(tests, a_refusal_is_heard, 0, 2);
	tcase_add_loop_test(tests, an_answer_about_something_else, 0, 2);
	tcase_add_test(tests, hanging_up_is_seen_by_the_loop);
	tcase_add_test(tests, speaking_unasked_is_seen_by_the_loop);
	tcase_add_test(tests, a_ring_error_is_told_once_and_a_restart_heals);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_NORMAL);
	failed_count = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed_count ? EXIT_FAILURE : EXIT_SUCCESS;
}
