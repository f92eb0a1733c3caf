/* SPDX-License-Identifier: GPL-2.0-or-later */
/* names_judge: what an answer of DNS's opens, for which of a policy's names. Pure, for hostile bytes. */
#ifndef CORDON_FIREWALL_NAMES_JUDGE_H
#define CORDON_FIREWALL_NAMES_JUDGE_H

#include "firewall/names.h"
#include "policies/policies.h"

/* A policy's names, a line each. */
struct names_patterns {
	char text[POLICY_NAMES_MAX * POLICY_DNS_NAME_MAX + 1];
	const char *list[POLICY_NAMES_MAX]; /* in `text` */
	size_t count;
};
/* Takes apart the first `size` bytes of `text`, in place. */
void names_patterns_split(struct names_patterns *patterns, size_t size);

/* Fills in what the message opens: at most NAMES_ITEMS_MAX, and nothing where it is no answer. */
void names_judge(const struct names_patterns *patterns, const uint8_t *bytes, size_t size,
                 struct names_request *request);

#endif
