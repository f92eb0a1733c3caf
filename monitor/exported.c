/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See exported.h. A table of sets with a few ways each, found by the flow's key and when it began. A flow whose end was
 * lost leaves its place when that is wanted and nothing has come of it for longer than any flow rests.
 */
#include "monitor/exported.h"

#include "base/base.h"

#define EXPORTED_STALE_NS (4 * 3600 * 1000000000ull)

enum { EXPORTED_SETS = 256, EXPORTED_WAYS = 8 };

struct exported_flow {
	uint64_t id; /* 0: free */
	uint64_t at_ns;
	uint64_t packets[2], bytes[2], payload[2];
};

struct exported {
	struct exported_flow flows[EXPORTED_SETS][EXPORTED_WAYS];
};

struct exported *exported_new(void)
{
	return calloc(1, sizeof(struct exported));
}

void exported_free(struct exported *exported)
{
	free(exported);
}

static uint64_t exported_id(const struct flow_record *record)
{
	const uint8_t *at = (const uint8_t *)&record->key;
	uint64_t hash = 0xcbf29ce484222325 ^ record->first_ns;

	for (size_t i = 0; i < sizeof(record->key); i++)
		hash = (hash ^ at[i]) * 0x100000001b3;
	return hash | 1;
}

static struct exported_flow *exported_find(struct exported *exported, uint64_t id)
{
	struct exported_flow *set = exported->flows[(id >> 32) % EXPORTED_SETS];

	for (size_t i = 0; i < EXPORTED_WAYS; i++)
		if (set[i].id == id)
			return &set[i];
	return NULL;
}

bool exported_due(struct exported *exported, const struct flow_record *record, uint64_t now)
{
	const uint64_t id = exported_id(record);
	struct exported_flow *set = exported->flows[(id >> 32) % EXPORTED_SETS];
	const struct exported_flow *flow = exported_find(exported, id);

	if (flow || now - BASE_MIN(now, record->first_ns) < EXPORTED_ACTIVE_NS)
		return flow && now - BASE_MIN(now, flow->at_ns) >= EXPORTED_ACTIVE_NS;
	for (size_t i = 0; i < EXPORTED_WAYS; i++)
		if (!set[i].id || now - BASE_MIN(now, set[i].at_ns) > EXPORTED_STALE_NS) {
			set[i] = (struct exported_flow){.id = id, .at_ns = record->first_ns};
			return true;
		}
	return false;
}

void exported_rest(struct exported *exported, struct flow_record *record, bool last)
{
	struct exported_flow *flow = exported_find(exported, exported_id(record)), before;

	if (!flow)
		return;
	before = *flow;
	flow->at_ns = record->last_ns;
	record->first_ns = before.at_ns;
	for (size_t i = 0; i < 2; i++) {
		struct flow_side *side = &record->sides[i];

		flow->packets[i] = side->packets;
		flow->bytes[i] = side->bytes;
		flow->payload[i] = side->payload;
		side->packets -= BASE_MIN(side->packets, before.packets[i]);
		side->bytes -= BASE_MIN(side->bytes, before.bytes[i]);
		side->payload -= BASE_MIN(side->payload, before.payload[i]);
	}
	if (last)
		flow->id = 0;
}
