/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtio device's configuration: where it comes from and who may write it, options and devices that
 * cannot be, and the window onto the registers in PCI configuration space.
 */
#include "tests/unit/virtio_driver.h"

START_TEST(configuration_that_is_written)
{
	back.features |= 1ull << 11; /* CONFIG_WCE */
	add_device("blk", "");
	put(VIRTIO_BAR_DEVICE + 32, 1, 1);
	ck_assert_uint_eq(get(VIRTIO_BAR_DEVICE + 32, 1), 1);
	ck_assert_uint_eq(back.config[32], 1);
	ck_assert_uint_eq(get(GENERATION, 1), 1);
	unsigned int told = back_count(&back, VHOST_USER_SET_CONFIG);
	put(VIRTIO_BAR_DEVICE + 58, 4, UINT64_MAX); /* crosses the end */
	put(VIRTIO_BAR_DEVICE + 60, 1, UINT64_MAX);
	put(VIRTIO_BAR_DEVICE + 0xffc, 4, UINT64_MAX);
	get(STATUS, 1);
	ck_assert_uint_eq(back_count(&back, VHOST_USER_SET_CONFIG), told);
}
END_TEST

/* The back end says by itself that its configuration is another one. */
static void request(uint32_t number, uint32_t flags)
{
	struct vhost_message message = {.header = {.request = number, .flags = flags}};

	ck_assert_int_ge(back.requests, 0);
	ck_assert_int_eq(vhost_message_send(back.requests, &message, 0), 0);
	fake_loop(machine);
}

static void add_device_that_requests(void)
{
	back.protocol_features |= VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ);
	add_device("blk", "");
	run(1);
}

START_TEST(configuration_that_changes)
{
	add_device_that_requests();
	back.config[1] = 7;
	request(VHOST_USER_BACKEND_CONFIG_CHANGE, 0);
	ck_assert_uint_eq(get(VIRTIO_BAR_DEVICE + 1, 1), 7);
	ck_assert_uint_eq(get(GENERATION, 1), 1);
	ck_assert_uint_eq(get(VIRTIO_BAR_ISR, 1), VIRTIO_ISR_CONFIG);
	ck_assert_uint_eq(get(VIRTIO_BAR_ISR, 1), 0);
	/* nothing new, and no interrupt */
	request(VHOST_USER_BACKEND_CONFIG_CHANGE, 0);
	ck_assert_uint_eq(get(GENERATION, 1), 1);
	ck_assert_uint_eq(get(VIRTIO_BAR_ISR, 1), 0);
	/* a driver that does not run yet is not interrupted, but reads what is new */
	put(STATUS, 1, 0);
	back.config[1] = 8;
	request(VHOST_USER_BACKEND_CONFIG_CHANGE, 0);
	ck_assert_uint_eq(get(VIRTIO_BAR_DEVICE + 1, 1), 8);
	ck_assert_uint_eq(get(VIRTIO_BAR_ISR, 1), 0);
}
END_TEST

START_TEST(a_request_that_wants_an_answer)
{
	struct vhost_message answer;

	add_device_that_requests();
	request(VHOST_USER_BACKEND_CONFIG_CHANGE, VHOST_USER_NEED_REPLY);
	ck_assert_int_eq(vhost_message_receive(back.requests, &answer, 1000), 0);
	ck_assert_uint_eq(answer.header.request, VHOST_USER_BACKEND_CONFIG_CHANGE);
	ck_assert_uint_eq(answer.payload.u64, 0);
	ck_assert_uint_eq(get(STATUS, 1), 15);
}
END_TEST

START_TEST(requests_that_cannot_be)
{
	add_device_that_requests();
	if (_i == 0)
		request(3, 0); /* an IOTLB miss */
	if (_i == 1) {
		ck_assert_int_eq(send(back.requests, "12345678901234567890", 20, 0), 20);
		fake_loop(machine);
	}
	ck_assert_uint_eq(get(STATUS, 1) & VIRTIO_NEEDS_RESET, VIRTIO_NEEDS_RESET);
	ck_assert_uint_eq(get(VIRTIO_BAR_ISR, 1), VIRTIO_ISR_CONFIG);
	ck_assert_uint_eq(machine->log_lines, 1);
}
END_TEST

START_TEST(a_channel_for_requests_that_is_closed)
{
	add_device_that_requests();
	base_close(&back.requests);
	fake_loop(machine);
	fake_loop(machine);
	ck_assert_uint_eq(get(STATUS, 1), 15);
	ck_assert_uint_eq(machine->log_lines, 0);
}
END_TEST

START_TEST(net_with_options)
{
	back.protocol_features &= ~VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_CONFIG);
	back.features |= 1ull << VIRTIO_NET_F_MAC | 1ull << 15;
	add_device("net", "mac=52:54:00:aB:cd:Ef,mtu=1420");
	ck_assert_uint_eq(get(FEATURE, 4), 1 << 28 | 1 << 15 | 1 << 3 | 1 << 5 | 1 << 16);
	ck_assert_uint_eq(get(VIRTIO_BAR_DEVICE, 8) & 0xffffffffffff, 0xefcdab005452);
	ck_assert_uint_eq(get(VIRTIO_BAR_DEVICE + 6, 2), 1); /* link up */
	ck_assert_uint_eq(get(VIRTIO_BAR_DEVICE + 10, 2), 1420);
	put(VIRTIO_BAR_DEVICE, 4, 0);
	ck_assert_uint_eq(get(VIRTIO_BAR_DEVICE, 4), 0xab005452 & 0xffffffff);
	ck_assert_uint_eq(get(QUEUE_COUNT, 2), 2);
}
END_TEST

START_TEST(net_without_configuration_has_no_mac)
{
	back.protocol_features &= ~VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_CONFIG);
	back.features |= 1ull << VIRTIO_NET_F_MAC | 1ull << VIRTIO_NET_F_MTU;
	add_device("net", "");
	ck_assert_uint_eq(get(FEATURE, 4), 1 << 28);
}
END_TEST

static const char *const wrong_options[] = {
        "mac",
        "mac=",
        "mac=52:54:00:12:34",
        "mac=52:54:00:12:34:5",
        "mac=52:54:00:12:34:5g",
        "mac=52:54:00:12:34:567",
        "mac=53:54:00:12:34:56",
        "mtu=",
        "mtu=67",
        "mtu=65536",
        "mtu=99999999999999999999",
        "mtu=1500x",
        "speed=1",
        "mtu=1500,,",
};

START_TEST(options_that_cannot_be)
{
	int fd = back_start(&back);

	ck_assert_int_eq(virtio_device_add(machine, bus, "net", fd, wrong_options[_i]), -EINVAL);
	ck_assert_uint_eq(machine->log_lines, 1);
	ck_assert_int_eq(machine->watch_count, 0);
}
END_TEST

START_TEST(devices_that_cannot_be_made)
{
	switch (_i) {
	case 0: /* an unknown type */
		ck_assert_int_eq(virtio_device_add(machine, bus, "gpu", back_start(&back), ""),
		                 -EINVAL);
		break;
	case 1: /* an option of another type */
		ck_assert_int_eq(
		        virtio_device_add(machine, bus, "rng", back_start(&back), "mtu=1500"),
		        -EINVAL);
		break;
	case 2: /* not virtio 1 */
		back.features = 1ull << 30;
		ck_assert_int_eq(virtio_device_add(machine, bus, "rng", back_start(&back), ""),
		                 -ENOTSUP);
		break;
	case 3: /* a disk without a configuration */
		back.protocol_features = 0;
		ck_assert_int_eq(virtio_device_add(machine, bus, "blk", back_start(&back), ""),
		                 -ENOTSUP);
		break;
	case 4: /* too many queues */
		back.features |= 1ull << VIRTIO_BLK_F_MQ;
		back.queue_count = 1000;
		back.config[34] = back.config[35] = 0xff;
		ck_assert_int_eq(virtio_device_add(machine, bus, "blk", back_start(&back), ""),
		                 -E2BIG);
		break;
	case 5:
		back.fault = BACK_HANGS_UP;
		back.fault_at = VHOST_USER_GET_FEATURES;
		ck_assert_int_eq(virtio_device_add(machine, bus, "blk", back_start(&back), ""),
		                 -ENOTCONN);
		break;
	}
	ck_assert_uint_ge(machine->log_lines, 1);
}
END_TEST

static unsigned int window(void)
{
	unsigned int at = (unsigned int)config(PCI_CAPABILITIES, 1);

	while (config(at, 1) != PCI_CAPABILITY_VENDOR || config(at + 3, 1) != 5)
		at = (unsigned int)config(at + 1, 1);
	return at;
}

START_TEST(the_configuration_window)
{
	unsigned int at;

	add_device("rng", "");
	at = window();
	run(1);
	config_put(at + 8, 4, STATUS);
	config_put(at + 12, 4, 1);
	ck_assert_uint_eq(config(at + 16, 1), 15);
	config_put(at + 8, 4, VIRTIO_BAR_NOTIFY);
	config_put(at + 12, 4, 2);
	config_put(at + 16, 2, 0);
	/* The back end is sent an eventfd that is signalled already: nothing of it is waited for. */
	back_wait(&back, VHOST_USER_SET_VRING_KICK, 2);
	ck_assert(eventfd_drain(back.queues[0].kick));
	ck_assert_int_ge(fake_doorbell_fd(machine, bar + VIRTIO_BAR_NOTIFY), 0);
	config_put(PCI_COMMAND, 2, 0); /* it works without the BAR */
	config_put(at + 8, 4, STATUS);
	config_put(at + 12, 4, 1);
	config_put(at + 16, 1, 0);
	ck_assert_uint_eq(config(at + 16, 1), 0);
	ck_assert_uint_eq(back_count(&back, VHOST_USER_GET_VRING_BASE),
	                  2); /* the kick, the reset */
}
END_TEST

START_TEST(the_configuration_window_outside)
{
	static const uint32_t lengths[] = {0, 1, 2, 3, 4, 5, 8, 16, 0x80000000, 0xffffffff};
	static const uint32_t offsets[] = {
	        1, 3, VIRTIO_BAR_SIZE - 1, VIRTIO_BAR_SIZE, 0x7fffffff, 0xfffffffc, 0xffffffff};
	unsigned int at;

	add_device("rng", "");
	at = window();
	for (size_t i = 0; i < BASE_COUNT(lengths); i++)
		for (size_t j = 0; j < BASE_COUNT(offsets); j++)
			for (unsigned int number = 0; number < 8; number++) {
				config_put(at + 4, 1, number);
				config_put(at + 8, 4, offsets[j]);
				config_put(at + 12, 4, lengths[i]);
				config_put(at + 16, 4, 0x01010101);
				config(at + 16, 4);
			}
	config_put(at + 4, 1, 1); /* another BAR */
	config_put(at + 8, 4, STATUS);
	config_put(at + 12, 4, 1);
	config_put(at + 16, 1, 1);
	ck_assert_uint_eq(get(STATUS, 1), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("virtio_config");
	TCase *tests = tcase_create("config");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tests, 60);
	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, configuration_that_is_written);
	tcase_add_test(tests, configuration_that_changes);
	tcase_add_test(tests, a_request_that_wants_an_answer);
	tcase_add_loop_test(tests, requests_that_cannot_be, 0, 2);
	tcase_add_test(tests, a_channel_for_requests_that_is_closed);
	tcase_add_test(tests, net_with_options);
	tcase_add_test(tests, net_without_configuration_has_no_mac);
	tcase_add_loop_test(tests, options_that_cannot_be, 0, BASE_COUNT(wrong_options));
	tcase_add_loop_test(tests, devices_that_cannot_be_made, 0, 6);
	tcase_add_test(tests, the_configuration_window);
	tcase_add_test(tests, the_configuration_window_outside);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
