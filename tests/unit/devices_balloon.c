/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The balloon's rings: pages that are given up, and lists of them that are wrong. */
#include "tests/unit/balloon_driver.h"

/* Sixteen pages, in the order that an allocator may find them, are gone from the host; their neighbours not. */
START_TEST(inflated_pages_are_given_back)
{
	static const uint8_t orders[][16] = {
	        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	        {15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0},
	        {8, 9, 7, 6, 10, 11, 0, 15, 1, 14, 2, 13, 3, 12, 4, 5},
	        {0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15},
	};
	uint32_t pfns[18];
	uint64_t before;

	start(ALL_FEATURES, INFLATE);
	for (unsigned int i = 0; i < 16; i++)
		pfns[i] = data_page + 4 + orders[_i][i];
	pfns[16] = pfns[0]; /* twice is as good as once */
	pfns[17] = pfns[0];
	*(uint8_t *)vhost_client_at(&client, CLIENT_HIGH + CLIENT_REGION_SIZE - 0x10000) = 1;
	before = pages();
	serve_pfns(INFLATE, pfns, 18);
	ck_assert_uint_eq(pages(), before - 16);
	ck_assert(holds(CLIENT_DATA, 4 * PAGE, 0xaa));
	ck_assert(holds(CLIENT_DATA + 4 * PAGE, 16 * PAGE, 0));
	ck_assert(holds(CLIENT_DATA + 20 * PAGE, FILLED - 20 * PAGE, 0xaa));
	ck_assert_uint_eq(ask(VMM_BALLOON_QUERY, 0).refused, 0);
	ck_assert_uint_ge(ask(VMM_BALLOON_QUERY, 0).inflated, 16 * PAGE);
	end();
}
END_TEST

/* Neighbouring pages of two regions, and one of the region above 4 GiB. */
START_TEST(inflated_pages_of_several_regions)
{
	uint32_t pfns[] = {CLIENT_NEXT / PAGE - 1, CLIENT_NEXT / PAGE, CLIENT_NEXT / PAGE + 1,
	                   CLIENT_HIGH / PAGE};
	uint64_t before;

	start(ALL_FEATURES, INFLATE);
	memset(vhost_client_at(&client, CLIENT_NEXT - 2 * PAGE), 0xbb, 5 * PAGE);
	memset(vhost_client_at(&client, CLIENT_HIGH), 0xcc, 2 * PAGE);
	*(uint8_t *)vhost_client_at(&client, CLIENT_HIGH + CLIENT_REGION_SIZE - 0x10000) = 1;
	before = pages();
	serve_pfns(INFLATE, pfns, BASE_COUNT(pfns));
	ck_assert_uint_eq(pages(), before - 4);
	ck_assert(holds(CLIENT_NEXT - 2 * PAGE, PAGE, 0xbb));
	ck_assert(holds(CLIENT_NEXT - PAGE, 3 * PAGE, 0));
	ck_assert(holds(CLIENT_NEXT + 2 * PAGE, PAGE, 0xbb));
	ck_assert(holds(CLIENT_HIGH, PAGE, 0));
	ck_assert(holds(CLIENT_HIGH + PAGE, PAGE, 0xcc));
	end();
}
END_TEST

START_TEST(pages_that_the_guest_does_not_have)
{
	uint32_t pfns[] = {UINT32_MAX,
	                   2 * CLIENT_REGION_SIZE / PAGE,
	                   CLIENT_OUTSIDE / PAGE,
	                   CLIENT_HIGH / PAGE - 1,
	                   (CLIENT_HIGH + CLIENT_REGION_SIZE) / PAGE,
	                   data_page};
	struct vmm_balloon m;

	start(ALL_FEATURES, INFLATE);
	serve_pfns(INFLATE, pfns, BASE_COUNT(pfns));
	m = ask(VMM_BALLOON_QUERY, 0);
	ck_assert_uint_eq(m.refused, 5);
	ck_assert_uint_eq(m.inflated, PAGE);
	ck_assert(holds(CLIENT_DATA, PAGE, 0));
	ck_assert(holds(CLIENT_DATA + PAGE, FILLED - PAGE, 0xaa));
	end();
}
END_TEST

/* A list that is cut, empty, much too long, in pieces, or where the device would write. */
START_TEST(strange_lists_of_pages)
{
	uint64_t list = CLIENT_DATA + 0x100000;
	uint32_t *pfns;
	struct client_buffer pieces[] = {
	        {list, 2, false}, {list + 2, 5, false}, {list + 7, 1, false}};
	struct client_buffer cut = {list, 3, false}, empty = {list, 0, false};
	struct client_buffer back = {list, 8, true}, many = {list, 0x80000, false};

	start(ALL_FEATURES, INFLATE);
	pfns = vhost_client_at(&client, list);
	pfns[0] = data_page;
	pfns[1] = data_page + 1;
	serve(INFLATE, &cut, 1);
	serve(INFLATE, &empty, 1);
	serve(INFLATE, &back, 1);
	ck_assert(holds(CLIENT_DATA, 2 * PAGE, 0xaa));
	serve(INFLATE, pieces, 3);
	ck_assert(holds(CLIENT_DATA, 2 * PAGE, 0));
	ck_assert(holds(CLIENT_DATA + 2 * PAGE, PAGE, 0xaa));
	for (unsigned int i = 0; i < 0x80000 / 4; i++)
		pfns[i] = data_page + 8 + (i & 1);
	pfns[1024] = data_page + 16; /* beyond what is read of one request */
	serve(INFLATE, &many, 1);
	ck_assert(holds(CLIENT_DATA + 8 * PAGE, 2 * PAGE, 0));
	ck_assert(holds(CLIENT_DATA + 16 * PAGE, PAGE, 0xaa));
	end();
}
END_TEST

START_TEST(a_list_outside_memory_breaks_the_ring)
{
	struct client_buffer buffers[] = {{CLIENT_OUTSIDE, 4, false},
	                                  {CLIENT_DATA, UINT32_MAX, false}};

	start(ALL_FEATURES, INFLATE);
	ck_assert_int_eq(vhost_client_queue_start(&client, DEFLATE, CLIENT_QUEUE_SIZE, 0), 0);
	vhost_client_add(&client.queue[INFLATE], &buffers[_i], 1);
	vhost_client_kick(&client.queue[INFLATE]);
	ck_assert_int_eq(vhost_client_broken(&client.queue[INFLATE], CLIENT_WAIT_MS), 0);
	serve_pfns(DEFLATE, &data_page, 1); /* the others go on */
	end();
}
END_TEST

START_TEST(deflating_changes_nothing)
{
	uint32_t pfns[] = {data_page, data_page + 1, UINT32_MAX};

	start(ALL_FEATURES, DEFLATE);
	serve_pfns(DEFLATE, pfns, BASE_COUNT(pfns));
	ck_assert(holds(CLIENT_DATA, FILLED, 0xaa));
	ck_assert_uint_eq(ask(VMM_BALLOON_QUERY, 0).deflated, 3 * PAGE);
	end();
}
END_TEST

/* More requests than a batch, around the ring several times; each of scattered pages, which cost most. */
START_TEST(many_requests)
{
	struct client_queue *q = &client.queue[INFLATE];
	uint32_t *pfns;

	start(_i ? ALL_FEATURES : FEATURE(VIRTIO_BALLOON_F_STATS_VQ), INFLATE);
	pfns = vhost_client_at(&client, CLIENT_HIGH);
	for (unsigned int i = 0; i < 512; i++)
		pfns[i] = data_page + (i * 7) % 512;
	for (unsigned int round = 0; round < 10; round++) {
		struct client_used used;
		struct client_buffer b = {CLIENT_HIGH, 2048, false};

		for (unsigned int k = 0; k < 60; k++)
			vhost_client_add(q, &b, 1);
		vhost_client_kick(q);
		for (unsigned int k = 0; k < 60; k++)
			ck_assert_int_eq(vhost_client_used(q, &used, CLIENT_WAIT_MS), 0);
	}
	ck_assert(holds(CLIENT_DATA, FILLED, 0));
	ck_assert_int_eq(vhost_client_queue_stop(&client, INFLATE), 600);
	end();
}
END_TEST

/* The report queue by its number in the specification, by Linux's, and where statistics are not negotiated. */
START_TEST(reported_pages_are_given_back)
{
	static const struct {
		unsigned int queue;
		uint64_t features;
	} drivers[] = {{REPORT, ALL_FEATURES},
	               {REPORT_LINUX, ALL_FEATURES},
	               {STATS, ~FEATURE(VIRTIO_BALLOON_F_STATS_VQ)}};
	struct client_buffer list[] = {{CLIENT_DATA + PAGE, PAGE, true},
	                               {CLIENT_DATA + 2 * PAGE, 3 * PAGE, true},
	                               {CLIENT_DATA + 0x100000 - 8, 2 * PAGE + 16, true},
	                               {CLIENT_NEXT - PAGE, 2 * PAGE, true}};
	uint64_t before;
	struct vmm_balloon m;

	start(drivers[_i].features, drivers[_i].queue);
	memset(vhost_client_at(&client, CLIENT_NEXT - PAGE), 0xbb, 2 * PAGE);
	before = pages();
	serve(drivers[_i].queue, list, BASE_COUNT(list));
	ck_assert_uint_eq(pages(), before - 8);
	ck_assert(holds(CLIENT_DATA, PAGE, 0xaa));
	ck_assert(holds(CLIENT_DATA + PAGE, 4 * PAGE, 0));
	ck_assert(holds(CLIENT_DATA + 5 * PAGE, 0x100000 - 5 * PAGE, 0xaa)); /* whole pages only */
	ck_assert(holds(CLIENT_DATA + 0x100000, 2 * PAGE, 0));
	ck_assert(holds(CLIENT_DATA + 0x100000 + 2 * PAGE, PAGE, 0xaa));
	ck_assert(holds(CLIENT_NEXT - PAGE, 2 * PAGE, 0));
	m = ask(VMM_BALLOON_QUERY, 0);
	ck_assert_uint_eq(m.reported, 8 * PAGE);
	ck_assert_uint_eq(m.flags & VMM_BALLOON_REPORTS, VMM_BALLOON_REPORTS);
	end();
}
END_TEST

START_TEST(what_a_report_only_reads_is_left)
{
	struct client_buffer list[] = {{CLIENT_DATA, PAGE, false},
	                               {CLIENT_DATA + PAGE, PAGE, true},
	                               {CLIENT_DATA + 2 * PAGE, 100, true},
	                               {CLIENT_DATA + 3 * PAGE, 0, true}};

	start(ALL_FEATURES, REPORT);
	serve(REPORT, list, BASE_COUNT(list));
	ck_assert(holds(CLIENT_DATA, PAGE, 0xaa));
	ck_assert(holds(CLIENT_DATA + PAGE, PAGE, 0));
	ck_assert(holds(CLIENT_DATA + 2 * PAGE, FILLED - 2 * PAGE, 0xaa));
	end();
}
END_TEST

/* A guest that fills its free pages with a pattern finds it again; zeros we can give. */
START_TEST(a_pattern_in_free_pages)
{
	struct client_buffer buffer = {CLIENT_DATA, PAGE, true};

	start(ALL_FEATURES, REPORT);
	config_write(offsetof(struct virtio_balloon_config, poison_val), 0xaaaaaaaa, 4);
	serve(REPORT, &buffer, 1);
	ck_assert(holds(CLIENT_DATA, PAGE, 0xaa));
	config_write(offsetof(struct virtio_balloon_config, poison_val), 0, 4);
	serve(REPORT, &buffer, 1);
	ck_assert(holds(CLIENT_DATA, PAGE, 0));
	end();
}
END_TEST

/* All of memory, our own rings too: the guest's loss alone. */
START_TEST(everything_is_reported_free)
{
	struct client_buffer list[] = {{0, CLIENT_REGION_SIZE, true},
	                               {CLIENT_NEXT, CLIENT_REGION_SIZE, true},
	                               {CLIENT_HIGH, CLIENT_REGION_SIZE, true}};

	start(ALL_FEATURES, REPORT);
	vhost_client_add(&client.queue[REPORT], list, 3);
	vhost_client_kick(&client.queue[REPORT]);
	while (ask(VMM_BALLOON_QUERY, 0).reported != 3 * CLIENT_REGION_SIZE)
		poll(NULL, 0, 1);
	ck_assert_int_eq(vhost_client_sync(&client), 0);
	ck_assert(holds(CLIENT_DATA, FILLED, 0));
	ck_assert_int_eq(vhost_client_queue_stop(&client, REPORT), 1);
	ck_assert_int_eq(vhost_client_queue_start(&client, INFLATE, CLIENT_QUEUE_SIZE, 0), 0);
	serve_pfns(INFLATE, &data_page, 1);
	end();
}
END_TEST

START_TEST(a_queue_that_was_not_negotiated)
{
	struct client_buffer buffer = {CLIENT_DATA, PAGE, true};

	start_with(ALL_FEATURES, false);
	ck_assert_uint_eq(client.features & FEATURE(VIRTIO_BALLOON_F_REPORTING), 0);
	ck_assert_int_eq(vhost_client_queue_start(&client, REPORT, CLIENT_QUEUE_SIZE, 0), 0);
	memset(vhost_client_at(&client, CLIENT_DATA), 0xaa, PAGE);
	vhost_client_add(&client.queue[REPORT], &buffer, 1);
	vhost_client_kick(&client.queue[REPORT]);
	ck_assert_int_eq(vhost_client_broken(&client.queue[REPORT], CLIENT_WAIT_MS), 0);
	ck_assert(holds(CLIENT_DATA, PAGE, 0xaa));
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("devices: balloon");
	TCase *cases = tcase_create("balloon");
	SRunner *runner;
	int failed;

	tcase_set_timeout(cases, 60);
	tcase_add_loop_test(cases, inflated_pages_are_given_back, 0, 4);
	tcase_add_test(cases, inflated_pages_of_several_regions);
	tcase_add_test(cases, pages_that_the_guest_does_not_have);
	tcase_add_test(cases, strange_lists_of_pages);
	tcase_add_loop_test(cases, a_list_outside_memory_breaks_the_ring, 0, 2);
	tcase_add_test(cases, deflating_changes_nothing);
	tcase_add_loop_test(cases, many_requests, 0, 2);
	tcase_add_loop_test(cases, reported_pages_are_given_back, 0, 3);
	tcase_add_test(cases, what_a_report_only_reads_is_left);
	tcase_add_test(cases, a_pattern_in_free_pages);
	tcase_add_test(cases, everything_is_reported_free);
	tcase_add_test(cases, a_queue_that_was_not_negotiated);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
