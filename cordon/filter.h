/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * filter: expressions that choose flows, in the manner of pcap-filter(7):
 *
 *   guest NAME            proto WORD|NUMBER         direction in|out        outcome WORD     app WORD
 *   host|src|dst CIDR     port|sport|dport N[-M]    bytes|packets >|< SIZE
 *
 * with `and`, `or`, `not` and parentheses; `and` binds closer than `or`.
 */
#ifndef CORDON_FILTER_H
#define CORDON_FILTER_H

#include <jansson.h>
#include <stdbool.h>

struct filter;

enum { FILTER_WHY_MAX = 160 };

/* The caller's, filter_free(). NULL: and *why is one sentence. */
struct filter *filter_make(const char *text, char why[FILTER_WHY_MAX]);
void filter_free(struct filter *filter);

/* Whether the flow (alert_flow_json()) is one of those. NULL: all are. */
bool filter_has(const struct filter *filter, const json_t *flow);

#endif
