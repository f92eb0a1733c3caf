// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fuzzes the packet parser and the flow engine behind it. The input is a list of frames, each led by
 * two bytes: the sender and the cut in the first one's low bits, the frame's size / 2 in the second.
 * A frame's bytes are copied to a buffer of just their size, so that ASan sees every byte read behind
 * its end. What the parser says is checked against what it was given; and a second table, that is fed many
 * frames at a time, most of which go the short way, has to end with the same flows.
 */
#include <stdlib.h>
#include <string.h>

#include "bpf/community_id.h"
#include "bpf/flowtable.h"

enum { FRAMES_MAX = 200 };

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* Its copy is left in *out. */
static void frame(struct flowtable *table, const uint8_t *bytes, uint32_t captured, uint32_t wire,
                  uint8_t options, uint64_t now, struct flowtable_frame *out)
{
	struct packet_input in = {
	        .captured = captured, .wire = wire, .vlan = options, .vlan_taken = options & 16};
	uint8_t *copy = malloc(captured ? captured : 1);
	struct packet packet;

	require(copy);
	memcpy(copy, bytes, captured);
	in.bytes = (const struct packet_bytes *)copy;
	packet_parse(&in, &packet);
	require(packet.payload_captured <= packet.payload);
	require(packet.payload_captured == 0 ||
	        packet.payload_at + packet.payload_captured <= captured);
	require(packet.payload_at + packet.payload <= packet.wire);
	*out = (struct flowtable_frame){copy, captured, wire, (enum flowtable_sender)(options % 3),
	                                now};
	flowtable_packet(table, copy, captured, wire, out->sender, now);
}

static int check_record(const struct flow_record *record, void *data)
{
	const struct flowtable *other = data;
	char id[COMMUNITY_ID_MAX];
	struct flow_record same;

	require(flowtable_find(other, &record->key, &same) == 0);
	require(memcmp(&same, record, sizeof(same)) == 0);
	require(record->state != 0 && record->last_ns >= record->first_ns);
	require(record->sides[0].head_size <= FLOW_HEAD_MAX);
	require(record->sides[0].packets + record->sides[1].packets > 0);
	require(community_id(&record->key, record->flags, id) == 0 ||
	        record->key.family == FLOW_ARP);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct flowtable_frame frames[FRAMES_MAX];
	struct flowtable *table, *other;
	uint64_t now = 1;
	size_t count = 0;

	require(flowtable_open(&table, 16, 7, NULL, NULL) == 0);
	require(flowtable_open(&other, 16, 7, NULL, NULL) == 0);
	while (size >= 2 && count < FRAMES_MAX) {
		uint32_t length = data[1] * 2u;
		uint8_t options = data[0];

		data += 2;
		size -= 2;
		if (length > size)
			length = (uint32_t)size;
		now += options & 32 ? 100000000000ull : 1000;
		frame(table, data, length, length + (options & 64 ? 1000 : 0), options, now,
		      &frames[count++]);
		data += length;
		size -= length;
	}
	flowtable_frames(other, frames, count);
	flowtable_each(table, check_record, other);
	require(flowtable_stats(table).flows == flowtable_stats(other).flows);
	flowtable_close(table);
	flowtable_close(other);
	for (size_t i = 0; i < count; i++)
		free((void *)frames[i].bytes);
	return 0;
}
