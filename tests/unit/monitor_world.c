/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who else calls a server: what makes it common, who cannot, and what a beacon is worth by it. */
#include "monitor_fixture.h"

#define DAY (24 * HOUR)

static const struct world_guest self = {1, 1};

static struct flow_key key_of(uint32_t peer)
{
	return event_make(FLOW_EVENT_NEW, TCP, peer, 443, START).record.key;
}

/* VMs from `first` on that have called the peer for so long; each its own, or all of one group. */
static void callers(struct detector_world *world, uint32_t peer, uint32_t first, uint32_t count,
                    uint32_t group, uint64_t age)
{
	const struct flow_key key = key_of(peer);

	for (uint32_t i = first; i < first + count; i++)
		world_calls(world, &key, (struct world_guest){i, group ? group : i}, START - age,
		            START);
}

static struct world_share share_of(const struct detector_world *world, uint32_t peer)
{
	const struct flow_key key = key_of(peer);

	return world_share(world, &key, self, START);
}

START_TEST(what_is_common)
{
	static const struct {
		uint32_t count, group;
		uint64_t age;
		bool common;
	} rows[] = {
	        {1, 0, 30 * DAY, false},     {2, 0, 0, false},
	        {2, 0, DAY - SECOND, false}, {2, 0, DAY, true},
	        {3, 0, HOUR, false},         {4, 0, HOUR, true},
	        {7, 0, MINUTE, false},       {8, 0, MINUTE, true},
	        {12, 100, 30 * DAY, false}, /* one other owner's */
	        {12, 1, 23 * HOUR, false},   {7, 1, DAY, false},
	        {8, 1, DAY, true}, /* its own group's */
	};

	for (size_t i = 0; i < BASE_COUNT(rows); i++) {
		struct detector_world *world = world_create();
		struct world_share share;

		callers(world, HOST, 1, 1, 1, 100 * DAY); /* itself does not count */
		callers(world, HOST, 50, rows[i].count, rows[i].group, rows[i].age);
		share = share_of(world, HOST);
		ck_assert_msg(share.common == rows[i].common, "%zu", i);
		ck_assert_uint_eq(share.others, BASE_MIN(rows[i].count, 11u));
		ck_assert_uint_eq(share.groups, rows[i].group == 1 ? 0
		                                : rows[i].group    ? 1
		                                                   : rows[i].count);
		ck_assert_uint_eq(share_of(world, HOST + 1).others, 0);
		world_destroy(world);
	}
	ck_assert(!world_share(NULL, &(struct flow_key){0}, self, START).common);
}
END_TEST

START_TEST(who_left_is_forgotten)
{
	struct detector_world *world = world_create();
	const struct flow_key key = key_of(HOST);

	callers(world, HOST, 50, 4, 0, 10 * DAY);
	ck_assert(world_share(world, &key, self, START + DAY).common);
	ck_assert_uint_eq(world_share(world, &key, self, START + 3 * DAY).others, 0);
	/* one has called again */
	world_calls(world, &key, (struct world_guest){51, 51}, START, START + 3 * DAY);
	ck_assert_uint_eq(world_share(world, &key, self, START + 3 * DAY).others, 1);
	world_destroy(world);
}
END_TEST

/* All places of a correspondent are one owner's; the others' VMs still count. */
START_TEST(a_group_leaves_room)
{
	struct detector_world *world = world_create();

	callers(world, HOST, 100, 50, 7, DAY);
	ck_assert(!share_of(world, HOST).common);
	callers(world, HOST, 200, 3, 0, DAY);
	ck_assert_uint_eq(share_of(world, HOST).groups, 4);
	ck_assert(share_of(world, HOST).common);
	world_destroy(world);
}
END_TEST

/* One VM, and one owner of a hundred, call whatever there is: what others call stays known. */
START_TEST(a_flood_evicts_its_own)
{
	for (uint32_t vms = 1; vms <= 100; vms += 99) {
		struct detector_world *world = world_create();
		unsigned int known = 0;

		for (uint32_t i = 0; i < 100; i++)
			callers(world, HOST + i, 500 + i, 1 + i % 2, 0, DAY);
		for (uint32_t i = 0; i < 100000; i++)
			callers(world, 0x08000000 + i * 7919, 300 + i % vms, 1, 300, DAY);
		for (uint32_t i = 0; i < 100; i++)
			known += share_of(world, HOST + i).others == 1 + i % 2;
		ck_assert_uint_eq(known, 100);
		world_destroy(world);
	}
}
END_TEST

START_TEST(names)
{
	const struct world_guest web = world_guest("web", ""), db = world_guest("db", "web");

	ck_assert_uint_eq(web.vm, web.group);
	ck_assert_uint_ne(web.group, db.group);
	ck_assert_uint_eq(db.group, world_guest("web1", "web").group);
	ck_assert_uint_ne(db.vm, world_guest("web1", "web").vm);
	/* an address where there is nothing better */
	ck_assert_uint_eq(world_guest_or(web, (uint8_t[16]){10}).vm, web.vm);
	ck_assert_uint_ne(world_guest_or((struct world_guest){0}, (uint8_t[16]){10}).vm,
	                  world_guest_or((struct world_guest){0}, (uint8_t[16]){11}).vm);
}
END_TEST

/* --- beacons --- */

/* A VM that is known for so long calls each minute or so for hours; `addresses` are what it says that its own are.
 * The severity, and what was the last confidence. */
static unsigned int beacon_of(struct detector_world *world, struct world_guest guest, uint64_t from,
                              unsigned int addresses, uint64_t known, unsigned int *confidence)
{
	const struct detector_config config = {.world = world, .guest = guest};
	struct watch watch = {.ops = &beacon_detector, .self = beacon_detector.create(&config)};
	struct flow_event event = event_make(FLOW_EVENT_NEW, TCP, LAN_HOST, 22, from - known);

	ck_assert_ptr_nonnull(watch.self);
	watch_event(&watch, &event.header);
	for (uint64_t i = 0; i < 200; i++) {
		event = event_make(FLOW_EVENT_NEW, TCP, HOST, 443,
		                   from + i * MINUTE + i * i % 29 * SECOND);
		key_address(event.record.key.guest, 0x0a4d0006 + (uint32_t)i % addresses);
		watch_event(&watch, &event.header);
		event_side(&event, FLOW_GUEST, 6, 500, "x", 1);
		event_close(&event, SECOND / 5);
		watch_event(&watch, &event.header);
	}
	*confidence = watch.last.confidence;
	beacon_detector.destroy(watch.self);
	return watch.severity;
}

static unsigned int beacon(struct detector_world *world, struct world_guest guest, uint64_t from,
                           unsigned int addresses)
{
	unsigned int confidence;

	return beacon_of(world, guest, from, addresses, HOUR, &confidence);
}

START_TEST(beacons_by_prevalence)
{
	struct detector_world *world = world_create();

	/* whoever it says to be, it is one */
	ck_assert_uint_eq(beacon(world, (struct world_guest){9, 9}, START - 2 * DAY, 30),
	                  ALERT_MEDIUM);
	ck_assert_uint_eq(share_of(world, HOST).others, 1);
	/* nor are its siblings many */
	ck_assert_uint_eq(beacon(world, (struct world_guest){10, 9}, START - 2 * DAY, 1),
	                  ALERT_MEDIUM);
	ck_assert_uint_eq(beacon(world, self, START, 1), ALERT_MEDIUM);
	/* another owner's, for a day */
	callers(world, HOST, 20, 1, 0, 2 * DAY);
	ck_assert_uint_eq(beacon(world, self, START, 1), ALERT_LOW);
	world_destroy(world);
}
END_TEST

/* Addresses are all that a capture has: each is a VM. */
START_TEST(sources_of_a_capture)
{
	struct detector_world *world = world_create();

	ck_assert_uint_eq(beacon(world, (struct world_guest){0}, START, 8), ALERT_MEDIUM);
	ck_assert_uint_ge(share_of(world, HOST).others, 1);
	callers(world, HOST, 20, 8, 0, 0);
	ck_assert_uint_eq(beacon(world, (struct world_guest){0}, START, 1), ALERT_LOW);
	world_destroy(world);
}
END_TEST

START_TEST(alone_is_more)
{
	struct detector_world *world = world_create();
	unsigned int confidence;

	beacon_of(NULL, self, START, 1, HOUR, &confidence);
	ck_assert_uint_eq(confidence, 70);
	/* met today, by a VM that is known for long */
	beacon_of(NULL, self, START, 1, 30 * DAY, &confidence);
	ck_assert_uint_eq(confidence, 85);
	/* the only one, of hardly any and of many */
	callers(world, LAN_HOST, 100, 2, 0, 0);
	ck_assert(!share_of(world, HOST).sole);
	callers(world, LAN_HOST, 200, 20, 0, 0);
	ck_assert(share_of(world, HOST).sole);
	beacon_of(world, self, START, 1, HOUR, &confidence);
	ck_assert_uint_eq(confidence, 85);
	callers(world, HOST, 300, 1, 0, 0);
	ck_assert(!share_of(world, HOST).sole);
	world_destroy(world);
}
END_TEST

/* The first upload of a guest of which nothing is known is one where others' go; what is unusual of it stays so. */
START_TEST(uploads_where_all_go)
{
	struct detector_world *world = world_create();
	const struct detector_config config = {.world = world, .guest = self};

	for (int row = 0; row < 3; row++) {
		struct watch watch = {.ops = &exfil_detector,
		                      .self = exfil_detector.create(&config)};
		struct flow_event event;
		const bool common = row > 0, learnt = row > 1;

		if (common)
			callers(world, HOST, 20, 2, 0, 2 * DAY);
		for (uint64_t i = 0; i < (learnt ? 20 : 0); i++) {
			event = event_make(FLOW_EVENT_END, TCP, HOST + 9, 443,
			                   START - 5 * HOUR + i * 10 * MINUTE);
			event_side(&event, FLOW_GUEST, 10, 100000, "x", 1);
			event_side(&event, FLOW_PEER, 10, 1000, "x", 1);
			watch_event(&watch, &event.header);
		}
		event = event_make(FLOW_EVENT_END, TCP, HOST, 443, START);
		event_side(&event, FLOW_GUEST, 40000, 60u << 20, "x", 1);
		event_side(&event, FLOW_PEER, 1000, 100000, "x", 1);
		watch_event(&watch, &event.header);
		ck_assert_int_eq(watch.severity == ALERT_LOW, common && !learnt);
		exfil_detector.destroy(watch.self);
	}
	world_destroy(world);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor_world");
	TCase *tests = tcase_create("world");

	tcase_add_test(tests, what_is_common);
	tcase_add_test(tests, who_left_is_forgotten);
	tcase_add_test(tests, a_group_leaves_room);
	tcase_add_test(tests, a_flood_evicts_its_own);
	tcase_add_test(tests, names);
	tcase_add_test(tests, beacons_by_prevalence);
	tcase_add_test(tests, sources_of_a_capture);
	tcase_add_test(tests, alone_is_more);
	tcase_add_test(tests, uploads_where_all_go);
	suite_add_tcase(suite, tests);
	return suite_run(suite);
}
