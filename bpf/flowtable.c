// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flowtable: bpf/table.h with one thread's hooks: no lock, plain counters, events by a call.
 *
 * Frames are taken FRAMES_AT_ONCE at a time: first all are parsed the short way (quick.h), so that the memory
 * where their flows' records are likely to be is on its way from the first to the last of them, then each is
 * counted. What the short way is not for goes the whole way, in its turn.
 *
 * Memory is bounded by what the caller allows, whatever the capture holds; flows that don't fit leave as
 * FLOW_EVENT_END, as they would at a tap. It begins with less, as memory costs time before it is used.
 */
#include <sys/mman.h>

#include "base/base.h"
#include "bpf/flowtable.h"
#include "bpf/quick.h"
#include "bpf/table.h"

struct flowtable {
	struct flow_tap tap;
	struct flow_set *sets; /* flow_elements(tap.sets) - 1: bpf/set.h */
	struct flow_record record;
	flowtable_event_fn *event;
	void *data;
	uint64_t sweep_ns; /* when the next sets are looked through for idle flows */
	uint32_t sweep_at; /* the next of them */
	uint32_t sets_max; /* so many it may grow to */
	uint64_t ended;    /* flows that are no longer there */
};

enum { SWEEP_STEPS = 64 }; /* that make one sweep of the whole table */

struct flow_context {
	struct flowtable *table;
	const struct packet_bytes *bytes; /* of these, `captured` are there */
	uint32_t captured;
	uint64_t now;
};

/* A set, and behind it the records of its ways: on the same page mostly, so that who needs both finds them by one
 * translation of addresses. */
static inline struct flow_set *set_at(const struct flowtable *table, uint32_t set)
{
	return &table->sets[(size_t)set * (1 + FLOW_COLD_SETS)];
}

static inline struct flow_record *cold_at(const struct flowtable *table, uint32_t set, uint32_t way)
{
	return &set_at(table, set)[1 + way / FLOW_COLD_WAYS].cold[way % FLOW_COLD_WAYS];
}

static inline struct flow_set *flow_table_set(struct flow_context *context, uint32_t index)
{
	const uint32_t sets = context->table->tap.sets;

	if (index < sets)
		return set_at(context->table, index);
	index -= sets;
	return set_at(context->table, index / FLOW_COLD_SETS) + 1 + index % FLOW_COLD_SETS;
}

static inline struct flow_record *flow_table_record(struct flow_context *context)
{
	return &context->table->record;
}

static inline bool flow_lock(uint32_t *sequence)
{
	*sequence += FLOW_LOCKED;
	return true;
}

static inline void flow_unlock(uint32_t *sequence)
{
	*sequence += FLOW_LOCKED;
}

static inline void flow_add(uint64_t *counter, uint64_t amount)
{
	*counter += amount;
}

static inline void flow_send(struct flow_context *context, enum flow_event_type type,
                             const struct flow_record *record)
{
	struct flow_event event = {
	        .header = {.type = (uint16_t)type, .size = sizeof(event), .time_ns = context->now},
	        .record = *record,
	};

	event.record.lock = 0;
	context->table->ended += type == FLOW_EVENT_END;
	if (context->table->event)
		context->table->event(&event.header, context->table->data);
}

static inline void flow_take_head(struct flow_context *context, const struct packet *packet,
                                  uint8_t *head, uint32_t size)
{
	memcpy(head, context->bytes->at + packet->payload_at, size);
}

static inline void flow_send_payload(struct flow_context *context, const struct flow_record *record,
                                     const struct packet *packet, enum flow_side_index side,
                                     unsigned int kind)
{
	struct flow_payload_event event;
	uint32_t size;

	if (!context->table->event)
		return;
	flow_payload_fill(&event, record, packet, side, kind);
	size = BASE_MIN(BASE_MIN(packet->payload, context->captured - packet->payload_at),
	                (uint32_t)FLOW_PAYLOAD_MAX);
	memcpy(event.bytes, context->bytes->at + packet->payload_at, size);
	event.captured = (uint16_t)size;
	event.header = (struct flow_event_header){.type = FLOW_EVENT_PAYLOAD,
	                                          .size = flow_payload_event_size(size),
	                                          .time_ns = context->now};
	context->table->event(&event.header, context->table->data);
}

static size_t table_size(const struct flowtable *table)
{
	return (flow_elements(table->tap.sets) - 1) * sizeof(struct flow_set);
}

/* The record of this way of the set, put together. */
static const struct flow_record *record_at(const struct flowtable *table, uint32_t set,
                                           uint32_t way, struct flow_record *record)
{
	flow_load(record, set_at(table, set), way, cold_at(table, set, way));
	record->lock = 0;
	return record;
}

/* The flow in this way of the set has ended. */
static void end_flow(struct flow_context *context, uint32_t set, uint32_t way)
{
	struct flowtable *table = context->table;
	struct flow_record record;

	flow_end(context, record_at(table, set, way, &record), &table->tap.stats);
	set_at(table, set)->hot[FLOW_GUEST][way].id = 0;
	set_at(table, set)->hot[FLOW_PEER][way].id = 0;
	set_at(table, set)->tags[way] = 0;
}

/* Memory that is zero, and is there when it is touched: in large pages if it can. */
static struct flow_set *sets_new(const struct flowtable *table)
{
	struct flow_set *sets = mmap(NULL, table_size(table), PROT_READ | PROT_WRITE,
	                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (sets == MAP_FAILED)
		return NULL;
	madvise(sets, table_size(table), MADV_HUGEPAGE);
	return sets;
}

/* The number of sets for so many flows, or 0: too many. */
static uint32_t sets_for(size_t flows)
{
	uint32_t sets = 1;

	if (flows > (size_t)FLOW_SETS_MAX * FLOW_WAYS)
		return 0;
	while ((size_t)sets * FLOW_WAYS < flows)
		sets *= 2;
	return sets;
}

int flowtable_open(struct flowtable **out, size_t flows, uint64_t seed, flowtable_event_fn *event,
                   void *data)
{
	struct flowtable *table;
	uint32_t sets = sets_for(flows);

	if (!sets)
		return -EINVAL;
	table = aligned_alloc(64, sizeof(*table));
	if (!table)
		return -ENOMEM;
	memset(table, 0, sizeof(*table));
	table->tap = (struct flow_tap){.magic = FLOW_TAP_MAGIC, .seed = seed, .sets = sets};
	table->sets_max = sets;
	table->event = event;
	table->data = data;
	table->sets = sets_new(table);
	if (!table->sets) {
		free(table);
		return -ENOMEM;
	}
	*out = table;
	return 0;
}

int flowtable_may_grow(struct flowtable *table, size_t flows)
{
	uint32_t sets = sets_for(flows);

	if (!sets)
		return -EINVAL;
	table->sets_max = BASE_MAX(sets, table->tap.sets);
	return 0;
}

struct moving {
	struct flow_record *records;
	size_t count;
};

static int move_out(const struct flow_record *record, void *data)
{
	struct moving *moving = data;

	moving->records[moving->count++] = *record;
	return 0;
}

/* Into a table in which it is not. */
static void move_in(struct flow_context *context, const struct flow_record *record)
{
	struct flowtable *table = context->table;
	struct flow_place place;
	uint32_t way;

	flow_place_of(context, &table->tap, &record->key, &place);
	way = flow_set_victim(place.set, flow_way(place.hash), context->now);
	if (place.set->tags[way]) {
		table->tap.stats.evicted++;
		end_flow(context, place.index, way);
	}
	flow_store(record, place.id, place.set, way, cold_at(table, place.index, way));
	place.set->tags[way] = flow_tag(place.hash);
}

/* Twice the sets, if there is memory for them. */
static void grow(struct flow_context *context)
{
	struct flowtable *table = context->table;
	struct flow_set *before = table->sets;
	size_t size = table_size(table);
	struct moving moving = {.records = malloc((table->tap.stats.flows - table->ended) *
	                                          sizeof(struct flow_record))};

	if (moving.records)
		flowtable_each(table, move_out, &moving);
	table->tap.sets *= 2;
	table->sets = moving.records ? sets_new(table) : NULL;
	if (!table->sets) {
		table->tap.sets /= 2;
		table->sets = before;
		table->sets_max = table->tap.sets;
		free(moving.records);
		return;
	}
	munmap(before, size);
	table->sweep_at = 0;
	for (size_t i = 0; i < moving.count; i++)
		move_in(context, &moving.records[i]);
	free(moving.records);
}

/* Whether the table is more than half full, and may grow. */
static bool is_crowded(const struct flowtable *table)
{
	return table->tap.sets < table->sets_max &&
	       table->tap.stats.flows - table->ended > (uint64_t)table->tap.sets * FLOW_WAYS / 2;
}

void flowtable_close(struct flowtable *table)
{
	if (!table)
		return;
	munmap(table->sets, table_size(table));
	free(table);
}

static bool is_there(const struct flowtable *table, const struct flow_key *key)
{
	uint64_t hash = flow_hash(key, table->tap.seed);
	const struct flow_set *set = set_at(table, flow_set_index(hash, table->tap.sets));

	return flow_set_find(set, flow_id(key, table->tap.seed), flow_tag(hash)) < FLOW_WAYS;
}

/* The flow's guest, when only the table can know: the hash is the same both ways round. */
static enum flow_side_index side_of(const struct flowtable *table, const struct packet *packet)
{
	struct flow_key key = {0};

	if (flow_key_quoted(packet, FLOW_GUEST, &key) && is_there(table, &key))
		return FLOW_GUEST;
	key = (struct flow_key){0};
	if (flow_key_quoted(packet, FLOW_PEER, &key) && is_there(table, &key))
		return FLOW_PEER;
	key = (struct flow_key){0};
	if (!flow_key_of(packet, FLOW_GUEST, &key) || is_there(table, &key))
		return FLOW_GUEST;
	key = (struct flow_key){0};
	flow_key_of(packet, FLOW_PEER, &key);
	return is_there(table, &key) ? FLOW_PEER : FLOW_GUEST;
}

static void end_idle(struct flow_context *context, uint32_t index)
{
	const struct flow_set *set = set_at(context->table, index);

	for (uint32_t way = 0; way < FLOW_WAYS; way++) {
		if (set->tags[way] && context->now > flow_set_idle_at(set, way, context->now))
			end_flow(context, index, way);
	}
}

/* The sets whose turn it is by `now`; after a long silence, all of them once. */
static void sweep(struct flow_context *context)
{
	struct flowtable *table = context->table;
	const uint32_t step = BASE_MAX(table->tap.sets / SWEEP_STEPS, 1u);

	for (int i = 0; i < SWEEP_STEPS && table->sweep_ns <= context->now; i++) {
		for (uint32_t set = 0; set < step; set++)
			end_idle(context, table->sweep_at + set);
		table->sweep_at = (table->sweep_at + step) & (table->tap.sets - 1);
		table->sweep_ns += FLOWTABLE_SWEEP_NS / SWEEP_STEPS;
	}
	if (table->sweep_ns <= context->now)
		table->sweep_ns = context->now + 1;
}

void flowtable_finish(struct flowtable *table, uint64_t now)
{
	struct flow_context context = {.table = table, .now = now};

	for (uint32_t i = 0; i < table->tap.sets; i++)
		for (uint32_t way = 0; way < FLOW_WAYS; way++)
			if (set_at(table, i)->tags[way])
				end_flow(&context, i, way);
}

void flowtable_packet(struct flowtable *table, const void *bytes, uint32_t captured, uint32_t wire,
                      enum flowtable_sender sender, uint64_t now)
{
	const struct packet_input in = {.bytes = bytes, .captured = captured, .wire = wire};
	struct flow_context context = {
	        .table = table, .bytes = bytes, .captured = captured, .now = now};
	enum flow_side_index side;
	struct packet packet;

	if (now >= table->sweep_ns)
		sweep(&context);
	if (is_crowded(table))
		grow(&context);
	packet_parse(&in, &packet);
	if (sender == FLOWTABLE_EITHER)
		side = side_of(table, &packet);
	else
		side = sender == FLOWTABLE_GUEST ? FLOW_GUEST : FLOW_PEER;
	flow_table_packet(&context, &table->tap, &packet, side, now);
}

enum { FRAMES_AT_ONCE = 32 };

struct parsed {
	struct quick quick;
	uint64_t hash, id;
	enum quick_read read; /* nothing: no hash either */
};

/* The record itself, for a packet that goes the whole way. */
static void prefetch_cold(const struct flowtable *table, uint32_t set, uint32_t way)
{
	const uint8_t *record = (const uint8_t *)cold_at(table, set, way);

	for (size_t at = 0; at < sizeof(struct flow_record); at += 64)
		__builtin_prefetch(record + at, 1);
}

static void parse_ahead(const struct flowtable *table, const struct flowtable_frame *frame,
                        struct parsed *parsed)
{
	const struct flow_set *set;
	uint32_t way;

	parsed->read = quick_parse(
	        frame->bytes, frame->bytes + frame->captured, frame->captured, frame->wire, 0,
	        frame->sender == FLOWTABLE_PEER ? FLOW_PEER : FLOW_GUEST, &parsed->quick);
	if (parsed->read == QUICK_NOTHING)
		return;
	parsed->hash = flow_hash(&parsed->quick.key, table->tap.seed);
	parsed->id = flow_id(&parsed->quick.key, table->tap.seed);
	set = set_at(table, flow_set_index(parsed->hash, table->tap.sets));
	way = flow_way(parsed->hash);
	__builtin_prefetch(set);
	if (frame->sender != FLOWTABLE_PEER)
		__builtin_prefetch(&set->hot[FLOW_GUEST][way], 1);
	if (frame->sender != FLOWTABLE_GUEST)
		__builtin_prefetch(&set->hot[FLOW_PEER][way], 1);
}

/* The set's tags have come: they say which way it is, if it's not the usual one; and that one's flags, whether
 * the record will be needed. */
static void look_ahead(const struct flowtable *table, const struct flowtable_frame *frame,
                       const struct parsed *parsed)
{
	const uint32_t index = flow_set_index(parsed->hash, table->tap.sets),
	               tag = flow_tag(parsed->hash), usual = flow_way(parsed->hash);
	const struct flow_set *set = set_at(table, index);
	uint32_t way = usual;
	uint8_t flags = 0;

	if (parsed->read == QUICK_NOTHING)
		return;
	for (uint32_t i = 0; i < FLOW_WAYS && set->tags[usual] != tag; i++)
		if (set->tags[i] == tag)
			way = i;
	if (frame->sender != FLOWTABLE_PEER)
		flags |= set->hot[FLOW_GUEST][way].flags;
	if (frame->sender != FLOWTABLE_GUEST)
		flags |= set->hot[FLOW_PEER][way].flags;
	if (parsed->read == QUICK_KEY || (way ^ usual) > 1 || set->tags[way] != tag ||
	    flags & (parsed->quick.bytes ? FLOW_HOT_WHOLE | FLOW_HOT_HEAD : FLOW_HOT_WHOLE))
		prefetch_cold(table, index, way);
}

static void turn_round(struct flow_key *key)
{
	struct flow_key other = *key;

	memcpy(key->guest, other.peer, sizeof(key->guest));
	memcpy(key->peer, other.guest, sizeof(key->peer));
	key->guest_port = other.peer_port;
	key->peer_port = other.guest_port;
}

/* What the frame's flow has of its direction, or NULL. As in side_of(), its sender is the guest if there is such a flow;
 * then the id is the one of who it turned out to be. */
static struct flow_hot *find_parsed(const struct flowtable *table, enum flowtable_sender sender,
                                    struct parsed *parsed, enum flow_side_index *side)
{
	struct flow_set *set = set_at(table, flow_set_index(parsed->hash, table->tap.sets));
	uint32_t way;

	*side = sender == FLOWTABLE_PEER ? FLOW_PEER : FLOW_GUEST;
	way = quick_find(set, *side, parsed->id, parsed->hash);
	if (way == FLOW_WAYS && sender == FLOWTABLE_EITHER) {
		*side = FLOW_PEER;
		turn_round(&parsed->quick.key);
		parsed->id = flow_id(&parsed->quick.key, table->tap.seed);
		way = quick_find(set, FLOW_PEER, parsed->id, parsed->hash);
	}
	return way < FLOW_WAYS ? &set->hot[*side][way] : NULL;
}

static void take_parsed(struct flowtable *table, const struct flowtable_frame *frame,
                        struct parsed *parsed)
{
	enum flowtable_sender sender = frame->sender;

	if (frame->now >= table->sweep_ns) {
		struct flow_context context = {.table = table, .now = frame->now};

		sweep(&context);
	}
	if (parsed->read != QUICK_NOTHING) {
		enum flow_side_index side;
		struct flow_hot *hot = find_parsed(table, sender, parsed, &side);
		struct quick_change change;

		if (hot && parsed->read == QUICK_ALL &&
		    quick_count(hot, parsed->id, &parsed->quick, frame->now, &change)) {
			quick_store(hot, &change);
			return;
		}
		/* who opens a flow is its guest */
		if (sender == FLOWTABLE_EITHER)
			sender = hot && side == FLOW_PEER ? FLOWTABLE_PEER : FLOWTABLE_GUEST;
	}
	flowtable_packet(table, frame->bytes, frame->captured, frame->wire, sender, frame->now);
}

void flowtable_frames(struct flowtable *table, const struct flowtable_frame *frames, size_t count)
{
	struct parsed parsed[FRAMES_AT_ONCE];

	while (count > 0) {
		size_t some = BASE_MIN(count, (size_t)FRAMES_AT_ONCE);

		for (size_t i = 0; i < some; i++)
			parse_ahead(table, &frames[i], &parsed[i]);
		for (size_t i = 0; i < some; i++)
			look_ahead(table, &frames[i], &parsed[i]);
		for (size_t i = 0; i < some; i++)
			take_parsed(table, &frames[i], &parsed[i]);
		frames += some;
		count -= some;
	}
}

int flowtable_each(const struct flowtable *table, int (*each)(const struct flow_record *, void *),
                   void *data)
{
	struct flow_record record;

	for (uint32_t i = 0; i < table->tap.sets; i++)
		for (uint32_t way = 0; way < FLOW_WAYS; way++) {
			int stop = 0;

			if (set_at(table, i)->tags[way])
				stop = each(record_at(table, i, way, &record), data);
			if (stop)
				return stop;
		}
	return 0;
}

int flowtable_find(const struct flowtable *table, const struct flow_key *key,
                   struct flow_record *record)
{
	uint64_t hash = flow_hash(key, table->tap.seed);
	uint32_t set = flow_set_index(hash, table->tap.sets);
	uint32_t way =
	        flow_set_find(set_at(table, set), flow_id(key, table->tap.seed), flow_tag(hash));

	if (way >= FLOW_WAYS)
		return -ENOENT;
	record_at(table, set, way, record);
	return 0;
}

static int count_record(const struct flow_record *record, void *data)
{
	struct tap_stats *stats = data;

	for (int side = 0; side < 2; side++) {
		stats->packets[side] += record->sides[side].packets;
		stats->bytes[side] += record->sides[side].bytes;
	}
	return 0;
}

struct tap_stats flowtable_stats(const struct flowtable *table)
{
	struct tap_stats stats = table->tap.stats;

	flowtable_each(table, count_record, &stats);
	return stats;
}
