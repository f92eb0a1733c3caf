/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Wrong chains (virtio 1.2, 2.7): a good request is laid out, one of its descriptors is bent, and it is
 * sent, once for each descriptor of each queue of the device. Most have to break the ring, which shows as
 * NEEDS_RESET; where the specification leaves a device the choice, an answer is as good.
 */
#include "tests/hostile/class.h"

enum {
	TABLE_INTO = 128 << 10, /* where in the buffer indirect tables are */
	LAZY_MS = 20,
};

struct attack {
	const char *what;
	/* Bends descriptor `at` of the chain of `n` that begins at 0. */
	void (*bend)(struct queue *q, unsigned int n, unsigned int at, uint64_t value);
	uint64_t value;
	unsigned int allowed; /* outcomes */
	bool once;            /* it is not about one descriptor */
};

static const char *attack_one(struct device *d, const struct attack *attack, unsigned int index,
                              unsigned int at)
{
	struct queue *q = &d->queues[index];
	bool lazy = d->kind->queues[index].lazy;
	const char *bad = device_start(d);
	enum outcome found;

	if (bad)
		return bad;
	attack->bend(q, request_lay(q), at, attack->value);
	request_send(q, 0);
	found = outcome(q, lazy ? LAZY_MS : ANSWER_MS);
	if (found & attack->allowed || (lazy && found == IGNORED))
		return NULL;
	return why("%s %lx in descriptor %u of queue %u: %s", attack->what, attack->value, at,
	           index,
	           found == IGNORED    ? "nothing happened"
	           : found == ANSWERED ? "it was answered"
	                               : "the ring broke");
}

/* The first attack at each descriptor, the others at one each, in turn. */
static const char *attack_all(struct device *d, const struct attack *attacks, unsigned int count)
{
	const char *bad = NULL;

	for (unsigned int index = 0; index < d->queues_used; index++) {
		unsigned int n = request_lay(&d->queues[index]);

		for (unsigned int at = 0; at < n && !attacks[0].once && !bad; at++)
			bad = attack_one(d, &attacks[0], index, at);
		for (unsigned int i = attacks[0].once ? 0 : 1; i < count && n > 0 && !bad; i++)
			bad = attack_one(d, &attacks[i], index, attacks[i].once ? 0 : i % n);
	}
	return bad;
}

static void bend_address(struct queue *q, unsigned int n, unsigned int at, uint64_t value)
{
	(void)n;
	q->descriptors[at].address = value;
}

static const char *descriptor_outside(struct device *d)
{
	static const struct attack attacks[] = {
	        {"address", bend_address, ECAM_BASE, BROKEN, false},
	        {"address", bend_address, LAPIC_BASE, BROKEN, false},
	        {"address", bend_address, 0xfffffffffffff000, BROKEN, false},
	        {"address", bend_address, 0x8000000000000000, BROKEN, false},
	        {"address", bend_address, 1ul << 40, BROKEN, false},
	};

	return attack_all(d, attacks, COUNT(attacks));
}

/* `value` bytes before the end of memory, and reaching past it. */
static void bend_crossing(struct queue *q, unsigned int n, unsigned int at, uint64_t value)
{
	(void)n;
	q->descriptors[at].address = memory_end() - value;
	q->descriptors[at].length = (uint32_t)value + 1;
}

static void bend_wrapping(struct queue *q, unsigned int n, unsigned int at, uint64_t value)
{
	(void)n;
	q->descriptors[at].address = 0 - value;
	q->descriptors[at].length = (uint32_t)value * 2;
}

static const char *descriptor_crossing(struct device *d)
{
	static const struct attack attacks[] = {
	        {"bytes before the end", bend_crossing, 0, BROKEN, false},
	        {"bytes before the end", bend_crossing, 1, BROKEN, false},
	        {"bytes before the end", bend_crossing, 4096, BROKEN, false},
	        {"bytes before the wrap", bend_wrapping, 16, BROKEN, false},
	        {"bytes before the wrap", bend_wrapping, 4096, BROKEN, false},
	};

	return attack_all(d, attacks, COUNT(attacks));
}

static void bend_length(struct queue *q, unsigned int n, unsigned int at, uint64_t value)
{
	(void)n;
	q->descriptors[at].length = (uint32_t)value;
}

static void bend_length_all(struct queue *q, unsigned int n, unsigned int at, uint64_t value)
{
	(void)at;
	for (unsigned int i = 0; i < n; i++)
		q->descriptors[i].length = (uint32_t)value;
}

static const char *zero_length(struct device *d)
{
	static const struct attack attacks[] = {
	        {"length", bend_length, 0, ANSWERED | BROKEN, false},
	        {"all lengths", bend_length_all, 0, ANSWERED | BROKEN, true},
	        {"all lengths", bend_length_all, 1, ANSWERED | BROKEN, true},
	};

	return attack_all(d, attacks, COUNT(attacks));
}

static const char *length_4g(struct device *d)
{
	static const struct attack attacks[] = {
	        {"length", bend_length, 0xffffffff, BROKEN, false},
	        {"length", bend_length, 0x80000000, BROKEN, false},
	        {"all lengths", bend_length_all, 0xffffffff, BROKEN, true},
	};

	return attack_all(d, attacks, COUNT(attacks));
}

/* Descriptor `at` goes on with descriptor `value`. */
static void bend_next(struct queue *q, unsigned int n, unsigned int at, uint64_t value)
{
	(void)n;
	q->descriptors[at].flags |= NEXT;
	q->descriptors[at].next = (uint16_t)value;
}

static void bend_self(struct queue *q, unsigned int n, unsigned int at, uint64_t value)
{
	(void)value;
	bend_next(q, n, at, at);
}

/* A loop as long as the ring, of `value` bytes each. */
static void bend_ring(struct queue *q, unsigned int n, unsigned int at, uint64_t value)
{
	uint16_t write = q->descriptors[n - 1].flags & WRITE;

	(void)at;
	for (uint16_t i = 0; i < q->size; i++) {
		q->descriptors[i].address = (uint64_t)q->device->buffer;
		q->descriptors[i].length = (uint32_t)value;
		q->descriptors[i].flags = write | NEXT;
		q->descriptors[i].next = (uint16_t)((i + 1) % q->size);
	}
}

static const char *descriptor_loop(struct device *d)
{
	static const struct attack attacks[] = {
	        {"back to", bend_next, 0, BROKEN, false},
	        {"to itself", bend_self, 0, BROKEN, false},
	        {"around the ring", bend_ring, 0, BROKEN, true},
	        {"around the ring", bend_ring, 1, BROKEN, true},
	};

	return attack_all(d, attacks, COUNT(attacks));
}

static void bend_next_far(struct queue *q, unsigned int n, unsigned int at, uint64_t value)
{
	bend_next(q, n, at, q->size + value);
}

static void bend_head(struct queue *q, unsigned int n, unsigned int at, uint64_t value)
{
	(void)n;
	(void)at;
	/* request_send() offers descriptor 0: what is offered before it is the wrong one. */
	request_offer(q, (uint16_t)(q->size + value));
}

static const char *next_out_of_range(struct device *d)
{
	static const struct attack attacks[] = {
	        {"next beyond the table by", bend_next_far, 0, BROKEN, false},
	        {"next beyond the table by", bend_next_far, 0x7fff, BROKEN, false},
	        {"head beyond the table by", bend_head, 0, BROKEN, true},
	        {"head beyond the table by", bend_head, 0xfff, BROKEN, true},
	};

	return attack_all(d, attacks, COUNT(attacks));
}

static void bend_flags(struct queue *q, unsigned int n, unsigned int at, uint64_t value)
{
	(void)n;
	q->descriptors[at].flags ^= (uint16_t)value;
}

static void bend_flags_all(struct queue *q, unsigned int n, unsigned int at, uint64_t value)
{
	for (at = 0; at < n; at++)
		bend_flags(q, n, at, value);
}

/* A readable descriptor behind the writable ones, and the other way round. */
static void bend_order(struct queue *q, unsigned int n, unsigned int at, uint64_t value)
{
	(void)at;
	(void)value;
	q->descriptors[n - 1].flags |= WRITE | NEXT;
	q->descriptors[n - 1].next = (uint16_t)n;
	q->descriptors[n].address = (uint64_t)q->device->buffer;
	q->descriptors[n].length = 16;
	q->descriptors[n].flags = 0;
}

static const char *wrong_write_flag(struct device *d)
{
	static const struct attack attacks[] = {
	        {"flags changed by", bend_flags, WRITE, ANSWERED | BROKEN, false},
	        {"all flags changed by", bend_flags_all, WRITE, ANSWERED | BROKEN, true},
	        {"readable after writable", bend_order, 0, BROKEN, true},
	        {"unknown flags", bend_flags, 0xfff8, ANSWERED | BROKEN, false},
	};

	return attack_all(d, attacks, COUNT(attacks));
}

/* request_send() adds one to what is left here. */
static void bend_index(struct queue *q, unsigned int n, unsigned int at, uint64_t value)
{
	(void)n;
	(void)at;
	q->next = (uint16_t)(q->next + value - 1);
}

static const char *available_jump(struct device *d)
{
	static const struct attack attacks[] = {
	        {"index ahead by", bend_index, QUEUE_SIZE_MAX + 1, BROKEN, true},
	        {"index ahead by", bend_index, 0x8000, BROKEN, true},
	        {"index ahead by", bend_index, 0xffff, BROKEN, true},
	        {"index ahead by", bend_index, 0xffc0, BROKEN, true},
	        /* the same chain again and again is allowed, and foolish */
	        {"index ahead by", bend_index, QUEUE_SIZE_MAX, ANSWERED | BROKEN, true},
	};

	return attack_all(d, attacks, COUNT(attacks));
}

/* ---- indirect tables ---- */

static struct descriptor *table_of(struct queue *q)
{
	return (void *)(q->device->buffer + TABLE_INTO);
}

/* Moves the whole chain into a table, and puts one indirect descriptor in its place. */
static void go_indirect(struct queue *q, unsigned int n)
{
	struct descriptor *table = table_of(q);

	for (unsigned int i = 0; i < n; i++)
		table[i] = q->descriptors[i];
	q->descriptors[0].address = (uint64_t)table;
	q->descriptors[0].length = n * (uint32_t)sizeof(*table);
	q->descriptors[0].flags = INDIRECT;
}

static void bend_nested(struct queue *q, unsigned int n, unsigned int at, uint64_t value)
{
	struct descriptor *table = table_of(q);

	(void)value;
	go_indirect(q, n);
	table[at].address = (uint64_t)(table + 16);
	table[at].length = sizeof(*table);
	table[at].flags = INDIRECT;
	table[16] = (struct descriptor){(uint64_t)q->device->buffer, 16, 0, 0};
}

static void bend_nested_self(struct queue *q, unsigned int n, unsigned int at, uint64_t value)
{
	struct descriptor *table = table_of(q);

	(void)value;
	go_indirect(q, n);
	table[at].address = (uint64_t)table;
	table[at].length = 16 * sizeof(*table);
	table[at].flags = INDIRECT;
}

static const char *indirect_nested(struct device *d)
{
	static const struct attack attacks[] = {
	        {"a table in a table", bend_nested, 0, BROKEN, false},
	        {"a table in itself", bend_nested_self, 0, BROKEN, false},
	};

	return attack_all(d, attacks, COUNT(attacks));
}

static void bend_table_length(struct queue *q, unsigned int n, unsigned int at, uint64_t value)
{
	(void)at;
	go_indirect(q, n);
	q->descriptors[0].length = (uint32_t)value;
}

static const char *indirect_length(struct device *d)
{
	static const struct attack attacks[] = {
	        {"table of", bend_table_length, 0, BROKEN, true},
	        {"table of", bend_table_length, 1, BROKEN, true},
	        {"table of", bend_table_length, 15, BROKEN, true},
	        {"table of", bend_table_length, 17, BROKEN, true},
	        {"table of", bend_table_length, 0x100000, BROKEN, true},
	        {"table of", bend_table_length, 0xfffffff0, BROKEN, true},
	        {"table of", bend_table_length, 0xffffffff, BROKEN, true},
	};

	return attack_all(d, attacks, COUNT(attacks));
}

static void bend_table_place(struct queue *q, unsigned int n, unsigned int at, uint64_t value)
{
	(void)at;
	go_indirect(q, n);
	q->descriptors[0].address = value ? value : memory_end() - 8;
}

static void bend_table_flags(struct queue *q, unsigned int n, unsigned int at, uint64_t value)
{
	(void)at;
	go_indirect(q, n);
	q->descriptors[0].flags |= (uint16_t)value;
	q->descriptors[0].next = 1;
}

/* In the table, as `at` is in the ring. */
static void bend_table_next(struct queue *q, unsigned int n, unsigned int at, uint64_t value)
{
	go_indirect(q, n);
	table_of(q)[at].flags |= NEXT;
	table_of(q)[at].next = (uint16_t)(value ? value : at);
}

static void bend_table_outside(struct queue *q, unsigned int n, unsigned int at, uint64_t value)
{
	go_indirect(q, n);
	table_of(q)[at].address = value;
}

static const char *indirect_table(struct device *d)
{
	static const struct attack attacks[] = {
	        {"table across the end", bend_table_place, 0, BROKEN, true},
	        {"table at", bend_table_place, LAPIC_BASE, BROKEN, true},
	        {"table at", bend_table_place, 0xfffffffffffffff0, BROKEN, true},
	        {"flags with", bend_table_flags, NEXT, BROKEN, true},
	        {"flags with", bend_table_flags, WRITE, ANSWERED | BROKEN, true},
	        {"in a table, next", bend_table_next, 0, BROKEN, false},
	        {"in a table, next", bend_table_next, 40, BROKEN, false},
	        {"in a table, next", bend_table_next, 0xffff, BROKEN, false},
	        {"in a table, address", bend_table_outside, 1ul << 40, BROKEN, false},
	};

	return attack_all(d, attacks, COUNT(attacks));
}

/* An indirect table where it was not negotiated. */
static const char *indirect_unasked(struct device *d)
{
	for (unsigned int i = 0; i < d->queues_used; i++) {
		const char *bad = device_start_with(d, features_of_kind(d));
		bool lazy = d->kind->queues[i].lazy;
		enum outcome found;
		unsigned int n;

		if (bad)
			return bad;
		n = request_lay(&d->queues[i]);
		if (n == 0)
			continue;
		go_indirect(&d->queues[i], n);
		request_send(&d->queues[i], 0);
		found = outcome(&d->queues[i], lazy ? LAZY_MS : ANSWER_MS);
		if (found != BROKEN && !(lazy && found == IGNORED))
			return why("queue %u took an indirect table that was not negotiated", i);
	}
	return NULL;
}

const struct hostile_class chain_classes[] = {
        {"descriptor_outside", descriptor_outside, false},
        {"descriptor_crossing", descriptor_crossing, false},
        {"zero_length", zero_length, false},
        {"length_4g", length_4g, false},
        {"descriptor_loop", descriptor_loop, false},
        {"indirect_nested", indirect_nested, false},
        {"indirect_length", indirect_length, false},
        {"indirect_table", indirect_table, false},
        {"indirect_unasked", indirect_unasked, false},
        {"wrong_write_flag", wrong_write_flag, false},
        {"available_jump", available_jump, false},
        {"next_out_of_range", next_out_of_range, false},
        {NULL, NULL, false},
};
