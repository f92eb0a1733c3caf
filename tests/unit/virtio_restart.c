/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A device that loses its back end: what the driver sees of it, and what another back end is told, which
 * goes on where the first one stopped. The front end's record of unfinished requests and of written pages.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/unit/virtio_driver.h"

#define VECTOR(number) (VIRTIO_BAR_MSIX_TABLE + (number) * (uint64_t)MSIX_ENTRY_SIZE)

static struct back other;

static void used_index(unsigned int queue, uint16_t index)
{
	memcpy(machine->memory + 0x100000 + 0x10000 * queue + 0x8000 + 2, &index, sizeof(index));
}

/* A disk whose driver runs, and whose back end then hangs up. */
static void lose(const char *options)
{
	add_device("blk", options);
	run(1);
	used_index(0, 7);
	shutdown(back.socket, SHUT_RDWR);
	ck_assert_uint_ge(fake_loop(machine), 1);
}

static int replace(void)
{
	return virtio_device_replace(virtio_pci_find(bus, "disk"), back_start(&other));
}

static void setup_two(void)
{
	setup();
	back_init(&other);
}

static void teardown_two(void)
{
	pci_bus_destroy(bus);
	bus = NULL;
	if (other.socket >= 0)
		back_join(&other);
	back_join(&back);
	fake_machine_destroy(machine);
}

START_TEST(another_back_end_goes_on)
{
	uint64_t one = 1;
	int kick;

	lose("name=disk,restart=600000");
	ck_assert_uint_eq(get(STATUS, 1), 15);
	kick = fake_doorbell_fd(machine, bar + VIRTIO_BAR_NOTIFY);
	ck_assert_int_eq(base_write_all(kick, &one, sizeof(one)), 0); /* while nobody is there */
	ck_assert_int_eq(replace(), 0);
	ck_assert_uint_eq(get(STATUS, 1), 15);
	ck_assert_uint_eq(other.queues[0].base, 7);
	ck_assert_uint_eq(other.queues[0].size, 128);
	ck_assert_uint_eq(other.queues[0].address.descriptor, 0x100000);
	ck_assert(other.queues[0].enabled);
	ck_assert_uint_eq(other.accepted, back.accepted);
	ck_assert(eventfd_drain(other.queues[0].kick));
	/* A driver's reset ends it as any other run. */
	put(STATUS, 1, 0);
	ck_assert_uint_eq(back_count(&other, VHOST_USER_GET_VRING_BASE), 1);
	run(1);
	ck_assert_uint_eq(other.queues[0].base, 0);
}
END_TEST

/* A disk of two queues with a vector each; what it raises by itself is in *nudge. */
static void restart_with_vectors(int *nudge, bool masked)
{
	const struct virtio_device *device;

	for (struct back *each = &back;; each = &other) {
		each->features |= 1ull << VIRTIO_BLK_F_MQ;
		each->queue_count = each->config[34] = 2;
		if (each == &other)
			break;
	}
	add_device("blk", "name=disk,restart=600000");
	device = virtio_pci_find(bus, "disk");
	ck_assert_ptr_nonnull(device);
	*nudge = device->nudge_event;
	config_put(device->msix.capability + 2, 2, 0x8000); /* MSI-X is on */
	ck_assert_uint_eq(features(1ull << VIRTIO_F_VERSION_1 | 1ull << VIRTIO_BLK_F_MQ), 11);
	for (unsigned int i = 0; i < 2; i++) {
		queue(i, 128);
		put(QUEUE_VECTOR, 2, i + 1);
		put(QUEUE_ENABLE, 2, 1);
		put(VECTOR(i + 1) + 12, 4, masked);
	}
	put(STATUS, 1, 15);
	shutdown(back.socket, SHUT_RDWR);
	fake_loop(machine);
	ck_assert(!eventfd_pending(*nudge));
	ck_assert_int_eq(replace(), 0);
}

START_TEST(a_vector_is_raised_once_after_a_restart)
{
	int nudge;

	restart_with_vectors(&nudge, false);
	ck_assert(eventfd_drain(nudge));
	ck_assert_int_ge(fake_irqfd_gsi(machine, nudge), 0);
	ck_assert_uint_eq(get(VIRTIO_BAR_MSIX_PENDING, 8), 0);
}
END_TEST

/* Masked vectors are all kept, and each is raised when it is unmasked; a reset forgets them. */
START_TEST(masked_vectors_are_raised_later)
{
	int nudge, first;

	restart_with_vectors(&nudge, true);
	ck_assert(!eventfd_pending(nudge));
	ck_assert_uint_eq(get(VIRTIO_BAR_MSIX_PENDING, 8), 6);
	put(VECTOR(1) + 12, 4, 0);
	ck_assert(eventfd_drain(nudge));
	first = fake_irqfd_gsi(machine, nudge);
	ck_assert_int_ge(first, 0);
	ck_assert_uint_eq(get(VIRTIO_BAR_MSIX_PENDING, 8), 4);
	if (_i == 0) {
		put(VECTOR(2) + 12, 4, 0);
		ck_assert(eventfd_drain(nudge));
		ck_assert_int_ge(fake_irqfd_gsi(machine, nudge), 0);
		ck_assert_int_ne(fake_irqfd_gsi(machine, nudge), first);
	} else {
		put(STATUS, 1, 0);
		put(VECTOR(2) + 12, 4, 0);
		ck_assert(!eventfd_pending(nudge));
		ck_assert_int_eq(fake_irqfd_gsi(machine, nudge), -1);
	}
	ck_assert_uint_eq(get(VIRTIO_BAR_MSIX_PENDING, 8), 0);
}
END_TEST

START_TEST(without_the_promise_it_is_lost_at_once)
{
	lose("name=disk");
	ck_assert_uint_eq(get(STATUS, 1), 15 | VIRTIO_NEEDS_RESET);
	put(STATUS, 1, 0);
	ck_assert_uint_eq(get(FEATURE, 4), 0);
	/* One that comes all the same is offered to the driver's next try. */
	ck_assert_int_eq(replace(), 0);
	ck_assert_uint_eq(get(FEATURE, 4), 1 << 28);
	run(1);
	ck_assert(other.queues[0].enabled);
}
END_TEST

START_TEST(nobody_comes)
{
	if (_i == 0) {
		lose("name=disk,restart=1");
		while (!(get(STATUS, 1) & VIRTIO_NEEDS_RESET))
			fake_loop(machine);
	} else {
		lose("name=disk,restart=600000");
		virtio_device_give_up(virtio_pci_find(bus, "disk"));
	}
	ck_assert_uint_eq(get(STATUS, 1), 15 | VIRTIO_NEEDS_RESET);
	ck_assert_uint_eq(machine->log_lines, 2);
	/* The rings are not trusted to be the first one's any more: the driver begins anew. */
	ck_assert_int_eq(replace(), 0);
	ck_assert_uint_eq(back_count(&other, VHOST_USER_SET_VRING_KICK), 0);
}
END_TEST

START_TEST(a_reset_while_it_waits)
{
	lose("name=disk,restart=600000");
	put(STATUS, 1, 0);
	run(1); /* the driver agrees on features and starts: nobody is there to be told */
	ck_assert_int_eq(replace(), 0);
	ck_assert_uint_eq(get(STATUS, 1), 15);
	ck_assert(other.queues[0].enabled);
}
END_TEST

START_TEST(one_of_another_kind_is_refused)
{
	if (_i == 0)
		other.features = VHOST_USER_BIT(VHOST_USER_F_PROTOCOL_FEATURES); /* no virtio 1 */
	if (_i == 1) {
		other.features |= 1ull << VIRTIO_BLK_F_MQ;
		other.queue_count = other.config[34] = 4;
	}
	lose("name=disk,restart=600000");
	ck_assert_int_eq(replace(), -ENOTSUP);
	ck_assert_uint_eq(get(STATUS, 1), 15 | VIRTIO_NEEDS_RESET);
}
END_TEST

START_TEST(one_that_dies_too_is_followed)
{
	other.fault_at = VHOST_USER_SET_MEM_TABLE;
	other.fault = BACK_HANGS_UP;
	lose("name=disk,restart=600000");
	ck_assert_int_lt(replace(), 0);
	ck_assert_uint_eq(get(STATUS, 1), 15);
	back_join(&other);
	back_init(&other);
	ck_assert_int_eq(replace(), 0);
	ck_assert_uint_eq(other.queues[0].base, 7);
}
END_TEST

START_TEST(one_that_lives_is_not_replaced)
{
	add_device("blk", "name=disk,restart=600000");
	ck_assert_int_eq(replace(), -EBUSY);
	ck_assert_ptr_null(virtio_pci_find(bus, "disk2"));
}
END_TEST

START_TEST(a_configuration_that_has_changed_is_told)
{
	other.config[0] = 99;
	lose("name=disk,restart=600000");
	ck_assert_int_eq(replace(), 0);
	ck_assert_uint_eq(get(VIRTIO_BAR_DEVICE, 1), 99);
	ck_assert_uint_eq(get(GENERATION, 1), 1);
	ck_assert_uint_eq(get(VIRTIO_BAR_ISR, 1), VIRTIO_ISR_CONFIG);
}
END_TEST

#define INFLIGHT VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD)

START_TEST(unfinished_requests_are_handed_on)
{
	struct stat first, second;

	back.protocol_features |= INFLIGHT;
	other.protocol_features |= INFLIGHT;
	lose("name=disk,restart=600000");
	ck_assert_uint_eq(back.inflight.queue_count, 1);
	ck_assert_uint_eq(back.inflight.queue_size, 128);
	ck_assert_int_eq(replace(), 0);
	ck_assert_uint_eq(back_count(&other, VHOST_USER_GET_INFLIGHT_FD), 0);
	ck_assert_uint_eq(back_count(&other, VHOST_USER_SET_INFLIGHT_FD), 1);
	ck_assert_int_eq(fstat(back.inflight_fd, &first), 0);
	ck_assert_int_eq(fstat(other.inflight_fd, &second), 0);
	ck_assert(first.st_ino == second.st_ino);
	ck_assert_uint_eq(other.inflight.mmap_size, back.inflight.mmap_size);
	/* Another run begins with another, empty one. */
	put(STATUS, 1, 0);
	run(1);
	ck_assert_uint_eq(back_count(&other, VHOST_USER_GET_INFLIGHT_FD), 1);
}
END_TEST

START_TEST(a_region_that_can_be_cut_short_is_refused)
{
	back.protocol_features |= INFLIGHT;
	back.inflight_seals = F_SEAL_GROW;
	add_device("blk", "name=disk");
	ck_assert_uint_eq(features(1ull << VIRTIO_F_VERSION_1), 11);
	queue(0, 128);
	put(QUEUE_ENABLE, 2, 1);
	put(STATUS, 1, 15);
	ck_assert_uint_eq(get(STATUS, 1), 15 | VIRTIO_NEEDS_RESET);
}
END_TEST

START_TEST(pages_that_are_written_are_logged)
{
	int fd = memfd_create("log", MFD_CLOEXEC);
	struct vhost_front_log log = {fd, 0, 4096}, none = {-1, 0, 0};
	struct vhost_front_queue ring;
	struct virtio_device *device;

	back.protocol_features |= VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_LOG_SHMFD);
	back.features |= VHOST_USER_BIT(VHOST_F_LOG_ALL);
	add_device("blk", "name=disk");
	device = virtio_pci_find(bus, "disk");
	ck_assert(!(get(FEATURE, 4) & 1u << VHOST_F_LOG_ALL)); /* not for the guest */
	run(1);
	ring = device->queues[0].ring;
	ck_assert_uint_eq(back.queues[0].address.flags, 0);
	ck_assert_int_eq(vhost_front_log(&device->front, &log, &ring, 1), 0);
	back_wait(&back, VHOST_USER_SET_VRING_ADDR, 2);
	ck_assert_uint_eq(back.dirty.size, 4096);
	ck_assert(back.accepted & VHOST_USER_BIT(VHOST_F_LOG_ALL));
	ck_assert_uint_eq(back.queues[0].address.flags, VHOST_USER_VRING_LOG);
	ck_assert_uint_eq(back.queues[0].address.log, ring.device);
	put(STATUS, 1, 0); /* through a stop and a start */
	run(1);
	ck_assert_uint_eq(back_count(&back, VHOST_USER_SET_LOG_BASE), 2);
	ck_assert_int_eq(vhost_front_log(&device->front, &none, &ring, 1), 0);
	back_wait(&back, VHOST_USER_SET_VRING_ADDR, 4);
	ck_assert(!(back.accepted & VHOST_USER_BIT(VHOST_F_LOG_ALL)));
	ck_assert_uint_eq(back.queues[0].address.flags, 0);
	close(fd);
}
END_TEST

START_TEST(one_that_cannot_log_says_so)
{
	struct vhost_front_log log = {0, 0, 4096};

	add_device("blk", "name=disk");
	ck_assert_int_eq(vhost_front_log(&virtio_pci_find(bus, "disk")->front, &log, NULL, 0),
	                 -ENOTSUP);
}
END_TEST

START_TEST(the_status_is_told)
{
	back.protocol_features |= VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_STATUS);
	add_device("blk", "name=disk");
	run(1);
	ck_assert_uint_eq(back.status, 15);
	put(STATUS, 1, 0);
	get(STATUS, 1);
	ck_assert_uint_eq(back.status, 0);
}
END_TEST

START_TEST(a_file_system)
{
	back.protocol_features &= ~VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_CONFIG);
	add_device("fs", "tag=share.d,queues=2");
	ck_assert_uint_eq(config(PCI_DEVICE, 2), 0x1040 + 26);
	ck_assert_uint_eq(get(QUEUE_COUNT, 2), 3);
	ck_assert_uint_eq(get(VIRTIO_BAR_DEVICE, 8), 0x642e6572616873); /* "share.d" */
	ck_assert_uint_eq(get(VIRTIO_BAR_DEVICE + 36, 4), 2);
	run(3);
	ck_assert(back.queues[2].enabled);
}
END_TEST

static const char *const wrong_file_systems[] = {"",
                                                 "queues=1",
                                                 "tag=",
                                                 "tag=a b",
                                                 "tag=x,queues=0",
                                                 "tag=x,queues=32",
                                                 "tag=x,mtu=1500",
                                                 "restart=0,tag=x",
                                                 "name=a-name-of-16-byt,tag=x"};

START_TEST(file_systems_that_cannot_be)
{
	ck_assert_int_eq(
	        virtio_device_add(machine, bus, "fs", back_start(&back), wrong_file_systems[_i]),
	        -EINVAL);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("virtio_restart");
	TCase *two = tcase_create("two"), *one = tcase_create("one");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(two, 60);
	tcase_add_checked_fixture(two, setup_two, teardown_two);
	tcase_add_test(two, another_back_end_goes_on);
	tcase_add_test(two, a_vector_is_raised_once_after_a_restart);
	tcase_add_loop_test(two, masked_vectors_are_raised_later, 0, 2);
	tcase_add_test(two, without_the_promise_it_is_lost_at_once);
	tcase_add_loop_test(two, nobody_comes, 0, 2);
	tcase_add_test(two, a_reset_while_it_waits);
	tcase_add_loop_test(two, one_of_another_kind_is_refused, 0, 2);
	tcase_add_test(two, one_that_dies_too_is_followed);
	tcase_add_test(two, one_that_lives_is_not_replaced);
	tcase_add_test(two, a_configuration_that_has_changed_is_told);
	tcase_add_test(two, unfinished_requests_are_handed_on);
	tcase_set_timeout(one, 60);
	tcase_add_checked_fixture(one, setup, teardown);
	tcase_add_test(one, a_region_that_can_be_cut_short_is_refused);
	tcase_add_test(one, pages_that_are_written_are_logged);
	tcase_add_test(one, one_that_cannot_log_says_so);
	tcase_add_test(one, the_status_is_told);
	tcase_add_test(one, a_file_system);
	tcase_add_loop_test(one, file_systems_that_cannot_be, 0,
	                    (int)BASE_COUNT(wrong_file_systems));
	suite_add_tcase(suite, two);
	suite_add_tcase(suite, one);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
