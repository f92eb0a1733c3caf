/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's numbers are its tap's counters, and exact. A peer's are the sum over its flows of what each has grown since
 * the last look: each flow is remembered by the guest's name, its Community ID and when it began, in a table that
 * is made anew at each look, so that what is gone is forgotten. What a flow that ended between two looks had sent
 * since the first is in its guest's numbers, and in no peer's.
 */
#include "cordon/top.h"

#include "base/base.h"
#include "cordon/flow_json.h"

enum { TOP_FLOWS = 1 << 17, TOP_SLOTS = 1 << 14 }; /* powers of two, twice of what may be in them */

struct top_seen {
	uint64_t id; /* 0: free */
	uint64_t out, in;
};

struct top {
	struct top_row rows[TOP_ROWS_MAX];
	size_t count;
	uint16_t slots[TOP_SLOTS]; /* index of a row, plus one */
	struct top_row before[TOP_ROWS_MAX];
	size_t before_count;
	struct top_seen *seen, *last; /* flows of this look and of the one before */
	unsigned int looks;
	bool rated; /* the guests' rates of this look are there */
};

struct top *top_new(void)
{
	struct top *top = calloc(1, sizeof(*top));

	if (!top)
		return NULL;
	top->seen = calloc(TOP_FLOWS, sizeof(*top->seen));
	top->last = calloc(TOP_FLOWS, sizeof(*top->last));
	if (top->seen && top->last)
		return top;
	top_free(top);
	return NULL;
}

void top_free(struct top *top)
{
	if (!top)
		return;
	free(top->seen);
	free(top->last);
	free(top);
}

void top_begin(struct top *top)
{
	struct top_seen *last = top->last;

	memcpy(top->before, top->rows, sizeof(top->rows));
	top->before_count = top->count;
	top->count = 0;
	memset(top->slots, 0, sizeof(top->slots));
	top->last = top->seen;
	top->seen = last;
	memset(top->seen, 0, TOP_FLOWS * sizeof(*top->seen));
	top->looks++;
	top->rated = false;
}

/* Where that row is, or would be. */
static uint16_t *top_slot(struct top *top, const char *vm, const char *peer)
{
	uint64_t hash = flow_json_hash(flow_json_hash(FLOW_JSON_HASH, vm), peer);
	size_t slot = (hash ^ hash >> 32) & (TOP_SLOTS - 1);

	for (; top->slots[slot]; slot = (slot + 1) & (TOP_SLOTS - 1)) {
		const struct top_row *row = &top->rows[top->slots[slot] - 1];

		if (strcmp(row->vm, vm) == 0 && strcmp(row->peer, peer) == 0)
			break;
	}
	return &top->slots[slot];
}

/* NULL when there are too many. */
static struct top_row *top_row_of(struct top *top, const char *vm, const char *peer)
{
	uint16_t *slot = top_slot(top, vm, peer);
	struct top_row *row;

	if (*slot)
		return &top->rows[*slot - 1];
	if (top->count == TOP_ROWS_MAX)
		return NULL;
	row = &top->rows[top->count++];
	*slot = (uint16_t)top->count;
	memset(row, 0, sizeof(*row));
	base_copy_string(row->vm, sizeof(row->vm), vm);
	base_copy_string(row->peer, sizeof(row->peer), peer);
	return row;
}

static uint64_t top_number(const json_t *object, const char *key)
{
	json_int_t value = json_integer_value(json_object_get(object, key));

	return value < 0 ? 0 : (uint64_t)value;
}

/* What a counter has grown; it begins anew with a new tap. */
static uint64_t top_grown(uint64_t now, uint64_t before)
{
	return now >= before ? now - before : now;
}

void top_guest(struct top *top, const json_t *stats)
{
	const char *vm = json_string_value(json_object_get(stats, "vm"));
	struct top_row *row = vm ? top_row_of(top, vm, "") : NULL;

	if (!row)
		return;
	row->out_all += top_number(stats, "bytes_out");
	row->in_all += top_number(stats, "bytes_in");
}

static struct top_seen *top_seen_of(struct top_seen *table, uint64_t id)
{
	size_t slot = (id ^ id >> 32) & (TOP_FLOWS - 1);

	while (table[slot].id && table[slot].id != id)
		slot = (slot + 1) & (TOP_FLOWS - 1);
	return &table[slot];
}

void top_flow(struct top *top, const json_t *flow)
{
	const char *vm = flow_json_text(flow, "host", "name");
	const bool incoming = strcmp(flow_json_text(flow, "network", "direction"), "ingress") == 0;
	const json_t *own = json_object_get(flow, incoming ? "destination" : "source");
	const json_t *other = json_object_get(flow, incoming ? "source" : "destination");
	const char *peer = flow_json_text(flow, incoming ? "source" : "destination", "ip");
	const uint64_t out = top_number(own, "bytes"), in = top_number(other, "bytes");
	struct top_row *row, *guest;
	struct top_seen *seen;
	uint64_t id;

	if (!*vm || !*peer)
		return;
	/* port by port, for what has no Community ID */
	id = flow_json_hash(
	        flow_json_hash(flow_json_hash(flow_json_hash(top_number(own, "port") << 16 |
	                                                             top_number(other, "port"),
	                                                     vm),
	                                      peer),
	                       flow_json_text(flow, "network", "community_id")),
	        flow_json_text(flow, "event", "start"));
	row = top_row_of(top, vm, peer);
	guest = top_row_of(top, vm, "");
	if (guest)
		guest->flows++;
	if (!row)
		return;
	row->flows++;
	row->out_all += out;
	row->in_all += in;
	seen = top_seen_of(top->seen, id | 1);
	*seen = (struct top_seen){id | 1, out, in};
	if (top->looks < 2)
		return;
	/* one that was not there before has grown by all that it has */
	seen = top_seen_of(top->last, id | 1);
	row->out += top_grown(out, seen->out);
	row->in += top_grown(in, seen->in);
}

static void top_rates(struct top *top)
{
	for (size_t i = 0; i < top->before_count && top->looks > 1; i++) {
		const struct top_row *before = &top->before[i];
		const uint16_t slot = before->peer[0] ? 0 : *top_slot(top, before->vm, "");
		struct top_row *row = &top->rows[slot ? slot - 1 : 0];

		if (!slot)
			continue;
		row->out = top_grown(row->out_all, before->out_all);
		row->in = top_grown(row->in_all, before->in_all);
	}
}

static uint64_t top_key(const struct top_row *row, enum top_sort sort)
{
	switch (sort) {
	case TOP_BY_OUT: return row->out;
	case TOP_BY_IN: return row->in;
	case TOP_BY_FLOWS: return row->flows;
	case TOP_BY_NAME: return 0;
	default: return row->out + row->in;
	}
}

/* Guests first, and in their order; peers of one guest in theirs. */
static int top_compare(const void *a, const void *b, void *data)
{
	const enum top_sort sort = *(const enum top_sort *)data;
	const struct top_row *x = a, *y = b;
	const uint64_t i = top_key(x, sort), j = top_key(y, sort);

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	if (!x->peer[0] != !y->peer[0])
		return x->peer[0] ? 1 : -1;
	if (i != j)
		return i > j ? -1 : 1;
	return x->peer[0] ? strcmp(x->peer, y->peer) : strcmp(x->vm, y->vm);
}

void top_end(struct top *top, enum top_sort sort, bool peers)
{
	size_t guests = 0;

	if (!top->rated)
		top_rates(top);
	top->rated = true;
	for (size_t i = 0; i < top->count; i++)
		top->rows[i].rank = 0;
	/* guests first, as all have the same rank; and then their places are the ranks */
	qsort_r(top->rows, top->count, sizeof(*top->rows), top_compare, &sort);
	while (guests < top->count && !top->rows[guests].peer[0])
		guests++;
	memset(top->slots, 0, sizeof(top->slots));
	for (size_t i = 0; i < guests; i++) {
		*top_slot(top, top->rows[i].vm, "") = (uint16_t)(i + 1);
		top->rows[i].rank = i;
	}
	for (size_t i = guests; i < top->count; i++) {
		const uint16_t slot = *top_slot(top, top->rows[i].vm, "");

		top->rows[i].rank = slot ? slot - 1u : guests;
	}
	if (!peers)
		top->count = guests;
	qsort_r(top->rows, top->count, sizeof(*top->rows), top_compare, &sort);
}

const struct top_row *top_rows(const struct top *top, size_t *count)
{
	*count = top->count;
	return top->rows;
}
