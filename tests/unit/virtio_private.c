/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio device of a guest with private memory: the driver has to know that the device does not see all of
 * it, the back end has to keep to the map of shared pages, and a ring that is not shared costs the device.
 */
#include "tests/unit/virtio_driver.h"

#include <sys/mman.h>

#define V1       (1ull << VIRTIO_F_VERSION_1)
#define PLATFORM (1ull << VIRTIO_F_ACCESS_PLATFORM)
#define SHARED   VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_SHARED_MAP)

static void setup_private(void)
{
	setup();
	machine->shared_map = memfd_create("shared", MFD_CLOEXEC);
	back.protocol_features |= SHARED;
}

static void teardown_private(void)
{
	close(machine->shared_map);
	teardown();
}

static void run_private(void)
{
	ck_assert_uint_eq(features(V1 | PLATFORM), 11);
	queue(0, 128);
	put(QUEUE_ENABLE, 2, 1);
	put(STATUS, 1, 15);
}

START_TEST(a_driver_has_to_know)
{
	add_device("rng", "");
	put(FEATURE_SELECT, 4, 1);
	ck_assert_uint_eq(get(FEATURE, 4), 3);
	ck_assert_uint_eq(features(V1), 3);
	ck_assert_uint_eq(features(PLATFORM), 3);
	run_private();
	ck_assert_uint_eq(get(STATUS, 1), 15);
	ck_assert_uint_eq(back.accepted, V1 | 1ull << 30); /* it is no matter of the back end's */
}
END_TEST

/* Even one that would take addresses for what they are not. */
START_TEST(a_back_end_that_offers_it_is_not_told)
{
	back.features |= PLATFORM;
	add_device("rng", "");
	run_private();
	ck_assert_uint_eq(back.accepted, V1 | 1ull << 30);
}
END_TEST

START_TEST(the_map_comes_with_memory)
{
	struct stat file;

	add_device("rng", "");
	ck_assert(back.accepted_protocol & SHARED);
	run_private();
	ck_assert_uint_eq(back_count(&back, VHOST_USER_SET_SHARED_MAP), 1);
	ck_assert_uint_eq(back.shared_map.size, (MACHINE_HIGH_RAM_BASE + FAKE_HIGH_RAM) / 4096 / 8);
	ck_assert_uint_eq(back.shared_map.offset, 0);
	ck_assert_int_eq(fstat(machine->shared_map, &file), 0);
	ck_assert_uint_eq(back.shared_file.st_ino, file.st_ino);
	put(STATUS, 1, 0);
	run_private();
	ck_assert_uint_eq(back_count(&back, VHOST_USER_SET_SHARED_MAP), 2);
}
END_TEST

START_TEST(a_ring_that_is_not_shared)
{
	static const uint64_t parts[] = {0x100000, 0x104000, 0x108000};

	add_device("rng", "");
	machine->private = parts[_i];
	machine->private_end = parts[_i] + 4096;
	features(V1 | PLATFORM);
	queue(0, 128);
	put(QUEUE_ENABLE, 2, 1);
	ck_assert_uint_eq(get(STATUS, 1), 11 | VIRTIO_NEEDS_RESET);
	ck_assert_uint_eq(get(QUEUE_ENABLE, 2), 0);
	put(STATUS, 1, 15);
	ck_assert_uint_eq(back_count(&back, VHOST_USER_SET_VRING_KICK), 0);
	machine->private_end = 0;
	put(STATUS, 1, 0);
	run_private();
	ck_assert_uint_eq(get(STATUS, 1), 15);
}
END_TEST

START_TEST(a_back_end_that_does_not_keep_to_it)
{
	back.protocol_features &= ~SHARED;
	ck_assert_int_eq(virtio_device_add(machine, bus, "rng", back_start(&back), ""), -ENOTSUP);
}
END_TEST

START_TEST(nothing_takes_private_memory)
{
	ck_assert_int_eq(virtio_device_add(machine, bus, "balloon", back_start(&back), ""),
	                 -ENOTSUP);
	ck_assert_uint_eq(back.log_count, 0);
}
END_TEST

/* Without private memory there is no map, and a back end that knows of it is not told to expect one. */
START_TEST(a_guest_that_shares_all)
{
	close(machine->shared_map);
	machine->shared_map = -1;
	add_device("rng", "");
	ck_assert_uint_eq(back.accepted_protocol & SHARED, 0);
	ck_assert_uint_eq(features(V1 | PLATFORM), 3);
	run(1);
	ck_assert_uint_eq(back_count(&back, VHOST_USER_SET_SHARED_MAP), 0);
}
END_TEST

/* SEV and SEV-ES encrypt pages where they are: there is no map, and a driver has to know that devices see no others. */
START_TEST(a_guest_that_is_encrypted_in_place)
{
	close(machine->shared_map);
	machine->shared_map = -1;
	machine->hidden = true;
	add_device("rng", "");
	ck_assert_uint_eq(back.accepted_protocol & SHARED, 0);
	ck_assert_uint_eq(features(V1), 3);
	ck_assert_uint_eq(features(V1 | PLATFORM), 11);
	ck_assert_int_eq(virtio_device_add(machine, bus, "balloon", back_start(&back), ""),
	                 -ENOTSUP);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("virtio_private");
	TCase *tests = tcase_create("private");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup_private, teardown_private);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, a_driver_has_to_know);
	tcase_add_test(tests, a_back_end_that_offers_it_is_not_told);
	tcase_add_test(tests, the_map_comes_with_memory);
	tcase_add_loop_test(tests, a_ring_that_is_not_shared, 0, 3);
	tcase_add_test(tests, a_back_end_that_does_not_keep_to_it);
	tcase_add_test(tests, nothing_takes_private_memory);
	tcase_add_test(tests, a_guest_that_shares_all);
	tcase_add_test(tests, a_guest_that_is_encrypted_in_place);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
