/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * top: rates of guests and of whom they speak with, from what the monitor answers twice. No terminal, no clock.
 */
#ifndef CORDON_TOP_H
#define CORDON_TOP_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policies/policies.h"

enum { TOP_ROWS_MAX = 8192, TOP_PEER_MAX = 46 };

enum top_sort { TOP_BY_TOTAL, TOP_BY_OUT, TOP_BY_IN, TOP_BY_FLOWS, TOP_BY_NAME };

struct top_row {
	char vm[POLICY_NAME_MAX];
	char peer[TOP_PEER_MAX]; /* "": the guest itself */
	uint64_t flows;          /* that are in its table */
	uint64_t out, in;        /* bytes since the last look, from the guest and to it */
	uint64_t out_all, in_all;
	size_t rank; /* of its guest */
};

struct top;

struct top *top_new(void); /* NULL when memory is short */
void top_free(struct top *top);

/* A look: begin, every NIC's counters and every flow, end. */
void top_begin(struct top *top);
void top_guest(struct top *top, const json_t *stats);
void top_flow(struct top *top, const json_t *flow);
/* Sorts: guests, and behind each its peers. */
void top_end(struct top *top, enum top_sort sort, bool peers);

/* The rows, valid until the next look; the first look has no rates. */
const struct top_row *top_rows(const struct top *top, size_t *count);

#endif
