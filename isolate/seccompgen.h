/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the two halves of seccompgen say to each other: the parser's rules, and the constants' values. */
#ifndef CORDON_SECCOMPGEN_H
#define CORDON_SECCOMPGEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SECCOMPGEN_ARGS = 6, SECCOMPGEN_RULES_MAX = 512 };

/* What one argument must be; the comparison is of all 64 bits of the register. */
struct seccompgen_condition {
	enum {
		SECCOMPGEN_ANY, /* says nothing */
		SECCOMPGEN_EQUAL,
		SECCOMPGEN_AT_MOST,
		SECCOMPGEN_MASKED, /* (argument & mask) == value */
	} kind;
	uint64_t value;
	uint64_t mask;
};

struct seccompgen_rule {
	const char *file;
	unsigned int line;
	bool shared; /* of the role `all`: a role's own rule may be wider */
	char name[48];
	int number;
	char text[200]; /* the conditions as written */
	char reason[200];
	struct seccompgen_condition args[SECCOMPGEN_ARGS];
};

/* The value of a kernel constant by its name; false when it is not in the table. */
bool seccompgen_constant(const char *name, uint64_t *value);

/* Says `file:line: error: ...` on standard error. */
__attribute__((format(printf, 3, 4))) void seccompgen_error(const char *file, unsigned int line,
                                                            const char *format, ...);

/*
 * Reads one line of a source. Returns 1 and fills *rule when it is a #syscall line for `role` or for `group` (NULL: none),
 * 0 when it is none (or another role's), -1 when it is refused, which has then been said.
 */
int seccompgen_parse(struct seccompgen_rule *rule, const char *role, const char *group,
                     const char *file, unsigned int line, char *text);

/* Refuses what no role may have, or what `rules` say already; -1 when refused, which has been said. */
int seccompgen_judge(const struct seccompgen_rule *rule, const struct seccompgen_rule *rules,
                     size_t count);

#endif
