/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What detectors have learnt, written and read again; what the policy expects of a day; new destinations. */
#include "monitor_fixture.h"

#include <sys/mman.h>

#include "monitor/known.h"

struct all { /* all detectors of one VM, and what they have said */
	struct detectors *detectors;
	struct detector_world *world;
	struct watch watch;
};

static struct all all_new(uint64_t egress, uint32_t destinations)
{
	struct all all = {.world = world_create()};
	const struct detector_config config = {.world = all.world,
	                                       .off = 1u << DETECTOR_INTEL,
	                                       .expect_egress = egress,
	                                       .expect_destinations = destinations};

	all.detectors = detectors_create(&config);
	ck_assert_ptr_nonnull(all.detectors);
	return all;
}

static void all_free(struct all *all)
{
	detectors_destroy(all->detectors);
	world_destroy(all->world);
}

/* One connection of so many bytes out. */
static void send_bytes(struct all *all, uint32_t peer, uint64_t bytes, uint64_t time)
{
	const struct detector_out out = {watch_alert, &all->watch};
	struct flow_event event = event_make(FLOW_EVENT_NEW, TCP, peer, 443, time);

	detectors_observe(all->detectors, &event.header, &out);
	event.record.outcome = FLOW_OUTCOME_ANSWERED;
	event.header.type = FLOW_EVENT_OUTCOME;
	detectors_observe(all->detectors, &event.header, &out);
	event_side(&event, FLOW_GUEST, 10, bytes, "", 0);
	event_side(&event, FLOW_PEER, 10, 100, "", 0);
	event_close(&event, SECOND);
	detectors_observe(all->detectors, &event.header, &out);
	event.header.type = FLOW_EVENT_END;
	detectors_observe(all->detectors, &event.header, &out);
	detectors_tick(all->detectors, time + SECOND, &out);
}

/* Saves, and gives a new VM what was saved. */
static struct all restart(struct all *all, uint64_t now, uint64_t egress, uint32_t destinations)
{
	BASE_AUTO_FD int file = memfd_create("baseline", MFD_CLOEXEC);
	struct all next = all_new(egress, destinations);
	uint64_t sequence = 0;

	ck_assert_int_eq(baseline_load(file, next.detectors, now, &sequence), 0);
	ck_assert_uint_eq(sequence, 0);
	ck_assert_int_eq(baseline_save(file, all->detectors, now, &sequence), 0);
	ck_assert_int_eq(baseline_save(file, all->detectors, now, &sequence), 0);
	sequence = 0;
	ck_assert_int_eq(baseline_load(file, next.detectors, now, &sequence), 0);
	ck_assert_uint_eq(sequence, 2);
	all_free(all);
	return next;
}

/* Ten hours of 100 MiB each; then it is restarted, and as much is no alert. */
START_TEST(usual_volume_survives)
{
	const uint64_t day = 100 * HOUR;
	struct all all = all_new(0, 0);

	for (unsigned int i = 0; i < 60; i++)
		send_bytes(&all, HOST, 20u << 20, START + i * 10 * MINUTE);
	all.watch = (struct watch){0};
	all = restart(&all, START + day, 0, 0);
	send_bytes(&all, HOST + 1, 100u << 20, START + day + MINUTE);
	ck_assert_msg(all.watch.severity < ALERT_MEDIUM, "%s", all.watch.last.sentence);
	/* but three gigabytes are */
	send_bytes(&all, HOST + 1, 3000u << 20, START + day + 2 * MINUTE);
	ck_assert_uint_ge(all.watch.severity, ALERT_MEDIUM);
	ck_assert_str_eq(all.watch.last.rule, "exfil.volume");
	ck_assert_ptr_nonnull(strstr(all.watch.last.sentence, "in an hour it sends no more than"));
	all_free(&all);
}
END_TEST

/* A beacon an hour, in two lives. */
START_TEST(a_slow_beacon_survives)
{
	struct all all = all_new(0, 0);

	for (unsigned int i = 0; i < 26; i++) {
		if (i == 13)
			all = restart(&all, START + i * HOUR, 0, 0);
		send_bytes(&all, HOST, 700, START + i * HOUR + (i * i * 13 + i * 7) % 29 * MINUTE);
	}
	ck_assert_str_eq(all.watch.last.rule, "beacon.jitter");
	all_free(&all);
}
END_TEST

/* Who calls whom, and since when: of those that are called again and again, also where not all is kept of them. */
START_TEST(prevalence_survives)
{
	struct flow_key key = event_make(FLOW_EVENT_NEW, TCP, HOST, 443, START).record.key;
	struct all all = all_new(0, 0);
	unsigned int known = 0;

	for (uint32_t i = 0; i < 5 * 60; i++)
		send_bytes(&all, HOST + i % 60, 700, START + i * MINUTE);
	send_bytes(&all, HOST + 60, 700, START + 6 * HOUR);
	all = restart(&all, START + 8 * HOUR, 0, 0);
	for (uint32_t i = 0; i < 60; i++) {
		key_address(key.peer, HOST + i);
		known += world_share(all.world, &key, world_guest("other", ""), START + 8 * HOUR)
		                 .others;
	}
	ck_assert_uint_eq(known, 60);
	key_address(key.peer, HOST + 60);
	ck_assert_uint_eq(
	        world_share(all.world, &key, world_guest("other", ""), START + 8 * HOUR).others, 0);
	all_free(&all);
}
END_TEST

/* --- destinations --- */

START_TEST(a_new_network)
{
	struct all all = all_new(0, 0);
	const uint64_t later = START + 10 * 24 * HOUR;

	/* the first three days teach, however many there are */
	for (uint32_t i = 0; i < 20; i++)
		send_bytes(&all, HOST + (i << 16), 700, START + i * HOUR);
	ck_assert_uint_eq(all.watch.count[ALERT_NEW], 0);
	all = restart(&all, later, 0, 0);
	send_bytes(&all, HOST + 1000, 700, later);
	send_bytes(&all, LAN_HOST, 700, later);
	ck_assert_uint_eq(all.watch.count[ALERT_NEW], 0);
	for (uint32_t i = 30; i < 36; i++)
		send_bytes(&all, HOST + (i << 16), 700, later + i * MINUTE);
	/* after the third it is one that goes everywhere */
	ck_assert_uint_eq(all.watch.count[ALERT_NEW], 3);
	ck_assert_str_eq(all.watch.first.rule, "exfil.destination");
	ck_assert_uint_eq(all.watch.severity, ALERT_LOW);
	all_free(&all);
}
END_TEST

START_TEST(what_is_known)
{
	struct known *known = calloc(1, sizeof(*known));
	uint8_t address[16];

	key_address(address, HOST);
	ck_assert_uint_eq(known_age(known, START), 0);
	ck_assert_uint_eq(known_seen(known, address, FLOW_IPV4, START), 0);
	ck_assert_uint_eq(known_seen(known, address, FLOW_IPV4, START + HOUR), 60);
	ck_assert_uint_eq(known_fresh(known, START + HOUR), 1);
	ck_assert_uint_eq(known_fresh(known, START + 6 * 24 * HOUR), 1);
	ck_assert_uint_eq(known_fresh(known, START + 8 * 24 * HOUR), 0);
	/* the same bytes of the other family are another one */
	ck_assert_uint_eq(known_seen(known, address, FLOW_IPV6, START), 0);
	/* many: what was quiet for longest goes */
	for (uint32_t i = 0; i < 65536; i++) {
		key_address(address, i << 16);
		known_seen(known, address, FLOW_IPV4, START + 2 * HOUR + i * SECOND);
	}
	ck_assert_uint_gt(known_seen(known, address, FLOW_IPV4, START + 100 * HOUR), 0);
	free(known);
}
END_TEST

/* --- what is expected --- */

START_TEST(expected_volume)
{
	struct all all = all_new(100u << 20, 0);
	const uint64_t day = START - START % (24 * HOUR) + 24 * HOUR;

	/* a cold VM's upload that would be an alert without it */
	send_bytes(&all, HOST, 60u << 20, day);
	ck_assert_uint_eq(all.watch.count[ALERT_NEW], 0);
	all = restart(&all, day + HOUR, 100u << 20, 0);
	send_bytes(&all, HOST + 1, 60u << 20, day + HOUR);
	ck_assert_uint_eq(all.watch.count[ALERT_NEW], 1);
	ck_assert_str_eq(all.watch.first.rule, "exfil.expect");
	ck_assert_uint_eq(all.watch.severity, ALERT_MEDIUM);
	/* the next day begins with nothing */
	send_bytes(&all, HOST, 90u << 20, day + 24 * HOUR);
	ck_assert_uint_eq(all.watch.count[ALERT_NEW], 1);
	send_bytes(&all, HOST, 200u << 20, day + 25 * HOUR);
	ck_assert_uint_eq(all.watch.severity, ALERT_HIGH);
	all_free(&all);
}
END_TEST

START_TEST(expected_destinations)
{
	struct all all = all_new(0, 10);
	const uint64_t day = START - START % (24 * HOUR) + 24 * HOUR;

	for (uint32_t i = 0; i < 30; i++)
		send_bytes(&all, HOST + i % 10, 700, day + i * SECOND);
	ck_assert_uint_eq(all.watch.count[ALERT_NEW], 0);
	send_bytes(&all, HOST + 10, 700, day + MINUTE);
	ck_assert_str_eq(all.watch.first.rule, "exfil.destinations");
	ck_assert_str_eq(all.watch.first.sentence,
	                 "spoke to 11 addresses today, and its policy expects no more than 10");
	ck_assert_uint_eq(all.watch.severity, ALERT_MEDIUM);
	all_free(&all);
}
END_TEST

/* --- broken files --- */

static size_t slot_of(uint8_t slot[BASELINE_SLOT], uint64_t sequence)
{
	struct all all = all_new(1 << 20, 10);
	size_t size;

	for (unsigned int i = 0; i < 30; i++)
		send_bytes(&all, HOST + (i % 5 << 16), 900, START + i * HOUR);
	size = baseline_encode(all.detectors, sequence, START + 30 * HOUR, slot);
	all_free(&all);
	return size;
}

static int load_of(const void *bytes, size_t size, uint64_t *sequence)
{
	BASE_AUTO_FD int file = memfd_create("baseline", MFD_CLOEXEC);
	struct all all = all_new(0, 0);
	int err;

	ck_assert_int_eq(base_write_all(file, bytes, size), 0);
	err = baseline_load(file, all.detectors, START + 31 * HOUR, sequence);
	all_free(&all);
	return err;
}

START_TEST(broken_files)
{
	static uint8_t file[2 * BASELINE_SLOT];
	const size_t size = slot_of(file, 6);
	uint64_t sequence;

	ck_assert_int_eq(load_of(file, size, &sequence), 0);
	ck_assert_uint_eq(sequence, 6);
	ck_assert_int_eq(load_of(file, 0, &sequence), 0);
	ck_assert_uint_eq(sequence, 0);
	for (size_t i = 1; i < size; i += 97)
		ck_assert_msg(load_of(file, i, &sequence) == -EBADMSG, "%zu of %zu", i, size);
	for (size_t i = 0; i < size; i += 61) {
		file[i] ^= 0x10;
		ck_assert_msg(load_of(file, size, &sequence) == -EBADMSG, "byte %zu", i);
		file[i] ^= 0x10;
	}
	/* the one beside it is whole: that was an interrupted writing */
	slot_of(file + BASELINE_SLOT, 7);
	file[BASELINE_SLOT + 100] ^= 1;
	ck_assert_int_eq(load_of(file, sizeof(file), &sequence), 0);
	ck_assert_uint_eq(sequence, 6);
	file[BASELINE_SLOT + 100] ^= 1;
	ck_assert_int_eq(load_of(file, sizeof(file), &sequence), 0);
	ck_assert_uint_eq(sequence, 7);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor_baseline");
	TCase *tests = tcase_create("baseline");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, usual_volume_survives);
	tcase_add_test(tests, a_slow_beacon_survives);
	tcase_add_test(tests, prevalence_survives);
	tcase_add_test(tests, a_new_network);
	tcase_add_test(tests, what_is_known);
	tcase_add_test(tests, expected_volume);
	tcase_add_test(tests, expected_destinations);
	tcase_add_test(tests, broken_files);
	suite_add_tcase(suite, tests);
	return suite_run(suite);
}
