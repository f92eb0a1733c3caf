/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * learn: from flows to the smallest policy that allows them. Flows are the monitor's ECS objects (alert_flow_json()), of
 * one guest; a flow that is seen again is counted as it is by then.
 */
#ifndef CORDON_LEARN_H
#define CORDON_LEARN_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct learn;

struct learn *learn_new(void); /* NULL when memory is short */
void learn_free(struct learn *learn);
void learn_flow(struct learn *learn, const json_t *flow);

struct learn_numbers {
	uint64_t flows;      /* that were looked at */
	uint64_t answered;   /* and are allowed */
	uint64_t unanswered; /* nobody answered, or refused: written as comments */
	uint64_t left_out;   /* multicast, or for want of room */
};
struct learn_numbers learn_numbers(const struct learn *learn);

/*
 * Writes `base`, a policy, with its rules of ingress and egress put in place of by what was learned, and a comment at
 * each. 0; -E2BIG when that are more rules or addresses than a policy may have.
 */
int learn_write(struct learn *learn, FILE *out, const char *base);

#endif
