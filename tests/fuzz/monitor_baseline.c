/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzes the reader of baselines. A checksum keeps a fuzzer out, and no attacker: so the sections are read without
 * one; and as a whole slot.
 */
#include "base/base.h"
#include "monitor/detector.h"

static void ignore(const struct alert *alert, void *data)
{
	(void)alert, (void)data;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t now = 1750000000ull * DETECTOR_SECOND_NS;
	const struct detector_out out = {ignore, NULL};
	struct detector_world *world = world_create();
	const struct detector_config config = {.world = world};
	struct detectors *all = detectors_create(&config);
	uint8_t *slot = malloc(BASELINE_HEAD + size);
	struct flow_event event = {.header = {FLOW_EVENT_NEW, sizeof(event), 1, now}};
	uint64_t sequence;

	if (!world || !all || !slot)
		abort();
	memset(slot, 0, BASELINE_HEAD);
	memcpy(slot + BASELINE_HEAD, data, size);
	for (int i = 0; i < 4; i++)
		slot[12 + i] = (uint8_t)(size >> 8 * i);
	baseline_decode(all, slot, now);
	/* what it has taken is lived with */
	event.record.key =
	        (struct flow_key){.family = FLOW_IPV4, .proto = 6, .peer = {198, 51, 100, 20}};
	event.record.sides[FLOW_PEER].packets = event.record.sides[FLOW_GUEST].payload = 1 << 20;
	detectors_observe(all, &event.header, &out);
	event.header.type = FLOW_EVENT_UPDATE;
	event.record.sides[FLOW_GUEST].bytes = 1ull << 40;
	detectors_observe(all, &event.header, &out);
	detectors_tick(all, now + DETECTOR_DAY_NS, &out);
	baseline_check(data, size, &sequence);
	detectors_destroy(all);
	world_destroy(world);
	free(slot);
	return 0;
}
