/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio device's registers as a driver meets them through the bus, with a back end behind them: the
 * whole way up as Linux goes it, and everything that a hostile driver could write instead.
 */
#include "tests/unit/virtio_driver.h"

START_TEST(the_whole_way_up_and_down)
{
	unsigned int kinds = 0, capabilities;

	add_device("rng", "");
	capabilities = (unsigned int)config(PCI_CAPABILITIES, 1);
	for (; capabilities; capabilities = (unsigned int)config(capabilities + 1, 1))
		if (config(capabilities, 1) == PCI_CAPABILITY_VENDOR)
			kinds |= 1u << config(capabilities + 3, 1);
	ck_assert_uint_eq(kinds, 1 << 1 | 1 << 2 | 1 << 3 | 1 << 5); /* rng has no configuration */
	ck_assert_uint_eq(config(PCI_VENDOR, 4), 0x10441af4);
	ck_assert_uint_eq(config(PCI_REVISION, 1), 1);
	ck_assert_uint_eq(get(QUEUE_COUNT, 2), 1);
	ck_assert_uint_eq(get(FEATURE, 4), 1 << 28);
	put(FEATURE_SELECT, 4, 1);
	ck_assert_uint_eq(get(FEATURE, 4), 1);
	for (uint32_t select = 2; select; select *= 2) {
		put(FEATURE_SELECT, 4, select);
		ck_assert_uint_eq(get(FEATURE, 4), 0);
	}
	ck_assert_uint_eq(get(QUEUE_SIZE, 2), 256);
	ck_assert_uint_eq(get(CONFIG_VECTOR, 2), 0xffff);

	run(1);
	ck_assert_uint_eq(back.queues[0].size, 128);
	ck_assert(back.queues[0].enabled);
	ck_assert_uint_eq(back.accepted, 1ull << 32 | 1ull << 30);
	ck_assert_int_ge(fake_doorbell_fd(machine, bar + VIRTIO_BAR_NOTIFY), 0);
	put(STATUS, 1, 0);
	ck_assert_uint_eq(get(STATUS, 1), 0);
	ck_assert_uint_eq(back_count(&back, VHOST_USER_GET_VRING_BASE), 1);
	ck_assert_int_eq(fake_doorbell_fd(machine, bar + VIRTIO_BAR_NOTIFY), -1);
	ck_assert_uint_eq(get(QUEUE_ENABLE, 2), 0);
	ck_assert_uint_eq(get(QUEUE_SIZE, 2), 256);
	ck_assert_uint_eq(get(QUEUE_DESCRIPTORS, 8), 0);
	run(1); /* and again */
	ck_assert_uint_eq(back_count(&back, VHOST_USER_SET_VRING_KICK), 2);
}
END_TEST

START_TEST(a_notification_and_an_interrupt)
{
	uint64_t one = 1;

	add_device("rng", "");
	run(1);
	int kick = fake_doorbell_fd(machine, bar + VIRTIO_BAR_NOTIFY);
	ck_assert_int_eq(base_write_all(kick, &one, sizeof(one)), 0);
	ck_assert(eventfd_drain(back.queues[0].kick)); /* one object, two fds */

	put(QUEUE_VECTOR, 2, 1);
	ck_assert_uint_eq(get(QUEUE_VECTOR, 2), 1);
	ck_assert_int_eq(base_write_all(back.queues[0].call, &one, sizeof(one)), 0);
	ck_assert_uint_eq(get(VIRTIO_BAR_MSIX_PENDING, 8), 2);
}
END_TEST

START_TEST(statuses_that_cannot_be)
{
	add_device("rng", "");
	/* Each needs the one before it. */
	put(STATUS, 1, VIRTIO_DRIVER);
	ck_assert_uint_eq(get(STATUS, 1), 0);
	put(STATUS, 1, VIRTIO_DRIVER_OK | VIRTIO_FEATURES_OK);
	ck_assert_uint_eq(get(STATUS, 1), 0);
	put(STATUS, 1, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER_OK);
	ck_assert_uint_eq(get(STATUS, 1), VIRTIO_ACKNOWLEDGE);
	put(STATUS, 1, 15); /* FEATURES_OK without VERSION_1 */
	ck_assert_uint_eq(get(STATUS, 1), 3);
	ck_assert_uint_eq(features(1ull << 32), 11);
	/* Backwards. */
	for (unsigned int status = 1; status < 11; status++) {
		put(STATUS, 1, status);
		ck_assert_uint_eq(get(STATUS, 1), 11);
	}
	put(STATUS, 1, 11 | VIRTIO_NEEDS_RESET | 0x30); /* not the driver's to set, or not there */
	ck_assert_uint_eq(get(STATUS, 1), 11);
	put(STATUS, 1, 11 | VIRTIO_FAILED);
	ck_assert_uint_eq(get(STATUS, 1), 11 | VIRTIO_FAILED);
	put(STATUS, 1, 15 | VIRTIO_FAILED); /* a driver that has given up does not run */
	ck_assert_uint_eq(get(STATUS, 1), 11 | VIRTIO_FAILED);
	put(STATUS, 1, 0);
	ck_assert_uint_eq(get(STATUS, 1), 0);
	ck_assert_uint_eq(back_count(&back, VHOST_USER_SET_VRING_KICK), 0);
}
END_TEST

START_TEST(features_that_were_not_offered)
{
	add_device("rng", "");
	for (unsigned int bit = 0; bit < 64; bit++)
		if (bit != 28 && bit != 32)
			ck_assert_uint_eq(features(1ull << 32 | 1ull << bit), 3);
	ck_assert_uint_eq(features(1ull << 28), 3); /* VERSION_1 has to be there */
	ck_assert_uint_eq(features(1ull << 32 | 1ull << 28), 11);
	/* After FEATURES_OK they stay. */
	put(ACCEPT_SELECT, 4, 0);
	put(ACCEPT, 4, 0xffffffff);
	ck_assert_uint_eq(get(ACCEPT, 4), 1 << 28);
	put(ACCEPT_SELECT, 4, 2);
	put(ACCEPT, 4, 0xffffffff);
	ck_assert_uint_eq(get(ACCEPT, 4), 0);
	queue(0, 256);
	put(QUEUE_ENABLE, 2, 1);
	put(STATUS, 1, 15);
	ck_assert_uint_eq(back.accepted, 1ull << 32 | 1ull << 30 | 1ull << 28);
}
END_TEST

START_TEST(queue_sizes_that_cannot_be)
{
	add_device("rng", "");
	queue(0, 8);
	ck_assert_uint_eq(get(QUEUE_SIZE, 2), 256); /* not before FEATURES_OK */
	features(1ull << 32);
	queue(0, 64);
	for (unsigned int size = 0; size <= 0xffff; size++) {
		bool good = size > 0 && size <= 256 && (size & (size - 1)) == 0;

		put(QUEUE_SIZE, 2, 64);
		put(QUEUE_SIZE, 2, size);
		ck_assert_uint_eq(get(QUEUE_SIZE, 2), good ? size : 64);
	}
}
END_TEST

START_TEST(a_running_queue_is_fixed)
{
	static const unsigned int fields[] = {QUEUE_DESCRIPTORS, QUEUE_DRIVER, QUEUE_DEVICE};

	add_device("rng", "");
	for (int enabled_only = 1; enabled_only >= 0; enabled_only--) {
		if (enabled_only) {
			features(1ull << 32);
			queue(0, 128);
			put(QUEUE_ENABLE, 2, 1);
		} else {
			run(1);
		}
		for (size_t i = 0; i < BASE_COUNT(fields); i++) {
			uint64_t before = get(fields[i], 8);

			put(fields[i], 8, 0x300000);
			put(fields[i], 4, 0x300000);
			put(fields[i] + 4, 4, 1);
			ck_assert_uint_eq(get(fields[i], 8), before);
		}
		put(QUEUE_SIZE, 2, 2);
		ck_assert_uint_eq(get(QUEUE_SIZE, 2), 128);
		put(QUEUE_ENABLE, 2, 0);
		ck_assert_uint_eq(get(QUEUE_ENABLE, 2), 1);
	}
	ck_assert_uint_eq(back_count(&back, VHOST_USER_SET_VRING_ADDR), 1);
}
END_TEST

START_TEST(a_second_queue_after_driver_ok)
{
	back.features |= 1ull << VIRTIO_NET_F_CTRL_VQ;
	add_device("net", "mac=52:54:00:12:34:56");
	run(2);
	queue(2, 16);
	put(QUEUE_ENABLE, 2, 1);
	ck_assert_uint_eq(get(QUEUE_ENABLE, 2), 0);
	ck_assert_uint_eq(get(QUEUE_SIZE, 2), 256);
	ck_assert_int_eq(fake_doorbell_fd(machine, bar + VIRTIO_BAR_NOTIFY + 8), -1);
}
END_TEST

/* Rings that are not wholly in memory, or not aligned: the device asks for a reset, the back end sees nothing. */
static const struct {
	uint64_t descriptors, driver, device;
} wrong_rings[] = {
        {0x100008, 0x104000, 0x108000},
        {0x100000, 0x104001, 0x108000},
        {0x100000, 0x104000, 0x108002},
        {FAKE_LOW_RAM - 256 * 16 + 16, 0x104000, 0x108000},
        {0x100000, FAKE_LOW_RAM - 512, 0x108000},
        {0x100000, 0x104000, FAKE_LOW_RAM - 2048},
        {0xfffffffffffffff0, 0x104000, 0x108000},
        {0x100000, 0xfffffffffffffffe, 0x108000},
        {MACHINE_ECAM_BASE, 0x104000, 0x108000},
        {MACHINE_MMIO32_BASE, 0x104000, 0x108000},
        {MACHINE_HIGH_RAM_BASE - 16, 0x104000, 0x108000},
        {MACHINE_HIGH_RAM_BASE + FAKE_HIGH_RAM, 0x104000, 0x108000},
};

START_TEST(rings_that_are_not_in_memory)
{
	add_device("rng", "");
	features(1ull << 32);
	queue(0, 256);
	put(QUEUE_DESCRIPTORS, 8, wrong_rings[_i].descriptors);
	put(QUEUE_DRIVER, 8, wrong_rings[_i].driver);
	put(QUEUE_DEVICE, 8, wrong_rings[_i].device);
	put(QUEUE_ENABLE, 2, 1);
	ck_assert_uint_eq(get(QUEUE_ENABLE, 2), 0);
	ck_assert_uint_eq(get(STATUS, 1), 11 | VIRTIO_NEEDS_RESET);
	put(STATUS, 1, 15);
	ck_assert_uint_eq(get(STATUS, 1), 15 | VIRTIO_NEEDS_RESET);
	ck_assert_uint_eq(get(VIRTIO_BAR_ISR, 1), VIRTIO_ISR_CONFIG);
	ck_assert_uint_eq(get(VIRTIO_BAR_ISR, 1), 0); /* reading takes it */
	ck_assert_uint_eq(back_count(&back, VHOST_USER_SET_VRING_ADDR), 0);
	run(1); /* a reset heals it */
}
END_TEST

START_TEST(a_ring_in_high_memory)
{
	add_device("rng", "");
	features(1ull << 32);
	queue(0, 256);
	put(QUEUE_DESCRIPTORS, 4, 0x1000);
	put(QUEUE_DESCRIPTORS + 4, 4, 1);
	put(QUEUE_ENABLE, 2, 1);
	put(STATUS, 1, 15);
	ck_assert_uint_eq(get(STATUS, 1), 15);
	ck_assert_uint_eq(back.queues[0].address.descriptor, 0x100001000);
}
END_TEST

START_TEST(queues_that_do_not_exist)
{
	add_device("rng", "");
	features(1ull << 32);
	for (unsigned int index = 1; index <= 0xffff; index = index * 2 + 1) {
		queue(index, 128);
		put(QUEUE_ENABLE, 2, 1);
		put(QUEUE_VECTOR, 2, 0);
		ck_assert_uint_eq(get(QUEUE_SELECT, 2), index);
		for (unsigned int at = QUEUE_SIZE; at < 64; at += 2)
			ck_assert_uint_eq(get(at, 2), 0);
	}
	/* Notifying them, in every width; and one that is there but not enabled. */
	for (uint64_t at = 0; at < VIRTIO_BAR_PAGE; at++)
		for (unsigned int size = 1; size <= 8; size *= 2)
			put(VIRTIO_BAR_NOTIFY + at, size, UINT64_MAX);
	ck_assert_uint_eq(machine->doorbell_count, 0);
	run(1);
	ck_assert_uint_eq(machine->doorbell_count, 1);
	for (uint64_t at = 1; at < VIRTIO_BAR_PAGE; at++)
		put(VIRTIO_BAR_NOTIFY + at, 2, 0);
	ck_assert(!eventfd_pending(back.queues[0].kick));
}
END_TEST

START_TEST(vectors_out_of_range)
{
	add_device("rng", ""); /* one queue and the configuration: vectors 0 and 1 */
	for (unsigned int vector = 0; vector <= 0xffff; vector++) {
		put(CONFIG_VECTOR, 2, vector);
		put(QUEUE_VECTOR, 2, vector);
		ck_assert_uint_eq(get(CONFIG_VECTOR, 2), vector < 2 ? vector : 0xffff);
		ck_assert_uint_eq(get(QUEUE_VECTOR, 2), vector < 2 ? vector : 0xffff);
	}
}
END_TEST

START_TEST(every_width_at_every_offset)
{
	uint8_t page[VIRTIO_BAR_SIZE];

	for (unsigned int i = 0; i < sizeof(back.config); i++)
		back.config[i] = (uint8_t)(i + 1);
	add_device("blk", "");
	for (unsigned int at = 0; at < VIRTIO_BAR_SIZE; at++)
		page[at] = (uint8_t)get(at, 1);
	ck_assert_mem_eq(page + VIRTIO_BAR_DEVICE, back.config, 60);
	ck_assert_uint_eq(page[VIRTIO_BAR_DEVICE + 60], 0);
	for (unsigned int at = 0; at < VIRTIO_BAR_SIZE; at++)
		for (unsigned int size = 1; size <= 8; size *= 2) {
			uint64_t expected = 0;

			if (at + size > VIRTIO_BAR_SIZE ||
			    at / 0x1000 != (at + size - 1) / 0x1000 ||
			    at / 0x1000 == VIRTIO_BAR_MSIX_TABLE / 0x1000)
				continue;
			memcpy(&expected, page + at, size);
			ck_assert_uint_eq(get(at, size), expected);
		}
	/* Wrong widths and wrong offsets write nothing. */
	for (unsigned int at = 0; at < 0x1000; at++)
		for (unsigned int size = 1; size <= 8; size *= 2)
			if (at + size <= 0x1000 && at != STATUS)
				put(at, size, size == 2 || size == 4 ? 0 : UINT64_MAX);
	ck_assert_uint_eq(get(STATUS, 1), 0);
	put(STATUS, 2, 1);
	put(STATUS, 4, 1);
	put(STATUS, 8, 1);
	ck_assert_uint_eq(get(STATUS, 1), 0);
}
END_TEST

START_TEST(a_back_end_that_dies)
{
	add_device("rng", "");
	put(CONFIG_VECTOR, 2, 0);
	run(1);
	put(CONFIG_VECTOR, 2, 0);
	shutdown(back.socket, SHUT_RDWR);
	ck_assert_uint_eq(fake_loop(machine), 1);
	ck_assert_uint_eq(get(STATUS, 1), 15 | VIRTIO_NEEDS_RESET);
	ck_assert_uint_eq(get(VIRTIO_BAR_MSIX_PENDING, 8), 1); /* masked: the interrupt waits */
	ck_assert_uint_eq(get(VIRTIO_BAR_ISR, 1), VIRTIO_ISR_CONFIG);
	/* A reset works, and what is left is a device that no driver takes. */
	put(STATUS, 1, 0);
	ck_assert_uint_eq(get(STATUS, 1), 0);
	put(FEATURE_SELECT, 4, 1);
	ck_assert_uint_eq(get(FEATURE, 4), 0);
	ck_assert_uint_eq(features(1ull << 32), 3);
	ck_assert_uint_eq(machine->log_lines, 1);
}
END_TEST

START_TEST(a_back_end_that_refuses_to_start)
{
	back.fault = BACK_REFUSES;
	back.fault_at = VHOST_USER_SET_MEM_TABLE;
	add_device("rng", "");
	features(1ull << 32);
	queue(0, 128);
	put(QUEUE_ENABLE, 2, 1);
	put(STATUS, 1, 15);
	ck_assert_uint_eq(get(STATUS, 1), 15 | VIRTIO_NEEDS_RESET);
	ck_assert_uint_eq(get(VIRTIO_BAR_ISR, 1), VIRTIO_ISR_CONFIG);
}
END_TEST

START_TEST(the_bar_moves_while_running)
{
	uint64_t moved = MACHINE_MMIO32_BASE + 0x100000;

	add_device("rng", "");
	run(1);
	int kick = fake_doorbell_fd(machine, bar + VIRTIO_BAR_NOTIFY);
	config_put(PCI_BAR0, 4, moved);
	ck_assert_int_eq(fake_doorbell_fd(machine, moved + VIRTIO_BAR_NOTIFY), kick);
	ck_assert_uint_eq(machine->doorbell_count, 1);
	config_put(PCI_BAR0, 4, 0x100000); /* onto RAM */
	ck_assert_uint_eq(machine->doorbell_count, 0);
	config_put(PCI_BAR0, 4, MACHINE_ECAM_BASE);
	ck_assert_uint_eq(machine->doorbell_count, 0);
	config_put(PCI_BAR0, 4, bar);
	ck_assert_int_eq(fake_doorbell_fd(machine, bar + VIRTIO_BAR_NOTIFY), kick);
	ck_assert_uint_eq(get(STATUS, 1), 15);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("virtio_registers");
	TCase *tests = tcase_create("registers");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, the_whole_way_up_and_down);
	tcase_add_test(tests, a_notification_and_an_interrupt);
	tcase_add_test(tests, statuses_that_cannot_be);
	tcase_add_test(tests, features_that_were_not_offered);
	tcase_add_test(tests, queue_sizes_that_cannot_be);
	tcase_add_test(tests, a_running_queue_is_fixed);
	tcase_add_test(tests, a_second_queue_after_driver_ok);
	tcase_add_loop_test(tests, rings_that_are_not_in_memory, 0, BASE_COUNT(wrong_rings));
	tcase_add_test(tests, a_ring_in_high_memory);
	tcase_add_test(tests, queues_that_do_not_exist);
	tcase_add_test(tests, vectors_out_of_range);
	tcase_add_test(tests, every_width_at_every_offset);
	tcase_add_test(tests, a_back_end_that_dies);
	tcase_add_test(tests, a_back_end_that_refuses_to_start);
	tcase_add_test(tests, the_bar_moves_while_running);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
