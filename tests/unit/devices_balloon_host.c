/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The balloon as the host sees it: statistics, configuration, targets, and clients that are wrong. */
#include "tests/unit/balloon_driver.h"

static size_t put_stat(uint64_t at, size_t used, uint16_t tag, uint64_t value)
{
	uint8_t *to = (uint8_t *)vhost_client_at(&client, at) + used;

	memcpy(to, &tag, 2);
	memcpy(to + 2, &value, 8);
	return used + 10;
}

/* Makes a buffer of statistics available; the device keeps it until it wants others. */
static void bring_stats(size_t size)
{
	struct client_buffer buffer = {CLIENT_DATA, (uint32_t)size, false};

	vhost_client_add(&client.queue[STATS], &buffer, 1);
	vhost_client_kick(&client.queue[STATS]);
}

static struct vmm_balloon stats_after(uint64_t count)
{
	struct vmm_balloon m;

	while ((m = ask(VMM_BALLOON_QUERY, 0)).stats_count <= count)
		poll(NULL, 0, 1);
	return m;
}

START_TEST(statistics_when_somebody_asks)
{
	struct client_used used;
	struct vmm_balloon m;
	size_t size;

	start(ALL_FEATURES, STATS);
	ck_assert_uint_eq(ask(VMM_BALLOON_QUERY, 0).stats_count, 0);
	size = put_stat(CLIENT_DATA, 0, VIRTIO_BALLOON_S_MEMFREE, 1000);
	size = put_stat(CLIENT_DATA, size, VIRTIO_BALLOON_S_AVAIL, UINT64_MAX);
	size = put_stat(CLIENT_DATA, size, 99, 5);
	size = put_stat(CLIENT_DATA, size, UINT16_MAX, 6);
	size = put_stat(CLIENT_DATA, size, VIRTIO_BALLOON_S_MEMFREE,
	                2000); /* the last one counts */
	bring_stats(size + 9); /* and half an entry */
	m = stats_after(0);
	ck_assert_uint_eq(m.stats_sent,
	                  1u << VIRTIO_BALLOON_S_MEMFREE | 1u << VIRTIO_BALLOON_S_AVAIL);
	ck_assert_uint_eq(m.stats[VIRTIO_BALLOON_S_MEMFREE], 2000);
	ck_assert_uint_eq(m.stats[VIRTIO_BALLOON_S_AVAIL], UINT64_MAX);
	/* nobody asks: nothing comes back */
	vhost_client_kick(&client.queue[STATS]);
	ck_assert_int_eq(vhost_client_sync(&client), 0);
	ck_assert_int_eq(vhost_client_used(&client.queue[STATS], &used, 0), -ETIMEDOUT);
	ask(VMM_BALLOON_REFRESH, 0);
	ck_assert_int_eq(vhost_client_used(&client.queue[STATS], &used, CLIENT_WAIT_MS), 0);
	/* who asks twice gets no more than one buffer back */
	ask(VMM_BALLOON_REFRESH, 0);
	bring_stats(put_stat(CLIENT_DATA, 0, VIRTIO_BALLOON_S_MEMTOT, 7));
	m = stats_after(1);
	ck_assert_uint_eq(m.stats_sent, 1u << VIRTIO_BALLOON_S_MEMTOT);
	ck_assert_uint_eq(m.stats[VIRTIO_BALLOON_S_MEMTOT], 7);
	ck_assert_int_eq(vhost_client_queue_stop(&client, STATS), 1); /* the held one is put back */
	end();
}
END_TEST

/* A buffer of any size, and one after the other without being asked. */
START_TEST(statistics_without_end)
{
	struct client_buffer large = {CLIENT_DATA, 0x600000, false};

	start(ALL_FEATURES, STATS);
	for (size_t i = 0, size = 0; i < 100; i++)
		size = put_stat(CLIENT_DATA, size, 0, i);
	for (unsigned int i = 0; i < 50; i++)
		vhost_client_add(&client.queue[STATS], &large, 1);
	vhost_client_kick(&client.queue[STATS]);
	ck_assert_uint_eq(stats_after(0).stats[0], 31); /* of the last entry that is read */
	ck_assert_int_eq(vhost_client_sync(&client), 0);
	ck_assert_uint_eq(ask(VMM_BALLOON_QUERY, 0).stats_count, 1);
	end();
}
END_TEST

/* What the driver may write is kept, what it may not is not, and a reset forgets it. */
START_TEST(configuration_space)
{
	struct vhost_message reset = {.header = {.request = VHOST_USER_RESET_DEVICE}};
	struct virtio_balloon_config c;

	start(ALL_FEATURES, INFLATE);
	ask(VMM_BALLOON_TARGET, 5 * PAGE);
	config_write(offsetof(struct virtio_balloon_config, actual), 3, 4);
	config_write(offsetof(struct virtio_balloon_config, num_pages), 77, 4);
	config_write(offsetof(struct virtio_balloon_config, actual), 1ull << 40 | 9, 8);
	config_write(offsetof(struct virtio_balloon_config, actual) + 1, 0xff, 1);
	config_write(255, 0xff, 1);
	c = config();
	ck_assert_uint_eq(c.num_pages, 5);
	ck_assert_uint_eq(c.actual, 3);
	ck_assert_uint_eq(ask(VMM_BALLOON_QUERY, 0).actual, 3 * PAGE);
	ck_assert_uint_eq(ask(VMM_BALLOON_QUERY, 0).flags,
	                  VMM_BALLOON_DRIVER | VMM_BALLOON_REPORTS | VMM_BALLOON_GIVES_ON_OOM);
	ck_assert_int_eq(vhost_client_send(&client, &reset), 0);
	c = config();
	ck_assert_uint_eq(c.num_pages, 5);
	ck_assert_uint_eq(c.actual, 0);
	ck_assert_uint_eq(ask(VMM_BALLOON_QUERY, 0).flags, 0);
	end();
}
END_TEST

START_TEST(a_target_is_told_to_the_front_end)
{
	struct vhost_message m;

	start(ALL_FEATURES, INFLATE);
	ck_assert(!readable(requests, 0));
	ck_assert_uint_eq(ask(VMM_BALLOON_TARGET, CLIENT_REGION_SIZE).target, CLIENT_REGION_SIZE);
	ck_assert_int_eq(vhost_message_receive(requests, &m, CLIENT_WAIT_MS), 0);
	ck_assert_uint_eq(m.header.request, VHOST_USER_BACKEND_CONFIG_CHANGE);
	ck_assert_uint_eq(m.header.size, 0);
	ck_assert_uint_eq(config().num_pages, CLIENT_REGION_SIZE / PAGE);
	/* nobody reads what the device says: it goes on */
	for (unsigned int i = 0; i < 2000; i++)
		ask(VMM_BALLOON_TARGET, i * PAGE);
	ck_assert_uint_eq(config().num_pages, 1999);
	end();
}
END_TEST

START_TEST(targets_that_cannot_be)
{
	static const uint64_t targets[] = {1, PAGE - 1, 1ull << 44, UINT64_MAX, 1ull << 63};
	struct vmm_balloon m;

	start(ALL_FEATURES, INFLATE);
	m = ask(VMM_BALLOON_TARGET, targets[_i]);
	ck_assert_uint_eq(m.verb, VMM_BALLOON_REFUSED);
	ck_assert_int_eq(m.error, -ERANGE);
	ck_assert_uint_eq(m.target, 0);
	ck_assert(!readable(requests, 0));
	m = ask((enum vmm_balloon_verb)77, 0);
	ck_assert_uint_eq(m.verb, VMM_BALLOON_REFUSED);
	ck_assert_int_eq(m.error, -ENOSYS);
	end();
}
END_TEST

static bool hung_up(int fd)
{
	char byte;

	return readable(fd, CLIENT_WAIT_MS) && recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
}

/* Clients that send something else, are one too many, or never read: dropped, and the others served. */
START_TEST(clients_that_are_wrong)
{
	struct vmm_balloon m = {.verb = VMM_BALLOON_QUERY};
	char long_one[600] = {0};
	int one, two, three;

	start(ALL_FEATURES, INFLATE);
	one = control();
	ck_assert_int_eq(send(one, &m, sizeof(m) - 1, 0), sizeof(m) - 1);
	ck_assert(hung_up(one));
	two = control();
	ck_assert_int_eq(send(two, long_one, sizeof(long_one), 0), sizeof(long_one));
	ck_assert(hung_up(two));
	close(one);
	close(two);
	one = control();
	two = control();
	three = control();
	ck_assert(hung_up(three));
	close(three);
	while (send(two, &m, sizeof(m), MSG_NOSIGNAL) == sizeof(m))
		;
	close(two);
	ck_assert_int_eq(send(one, &m, sizeof(m), 0), sizeof(m));
	ck_assert(readable(one, CLIENT_WAIT_MS));
	close(one);
	ck_assert_uint_eq(ask(VMM_BALLOON_QUERY, 0).verb, VMM_BALLOON_STATE);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("devices: balloon, the host's side");
	TCase *cases = tcase_create("balloon");
	SRunner *runner;
	int failed;

	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, statistics_when_somebody_asks);
	tcase_add_test(cases, statistics_without_end);
	tcase_add_test(cases, configuration_space);
	tcase_add_test(cases, a_target_is_told_to_the_front_end);
	tcase_add_loop_test(cases, targets_that_cannot_be, 0, 5);
	tcase_add_test(cases, clients_that_are_wrong);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
