/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * seccompgen: reads one `#syscall` line.
 *
 *     #syscall ROLE[,ROLE2]: NAME[(CONDITION[, CONDITION])] - REASON
 *     CONDITION   [arg]N = V | [arg]N <= V | [arg]N & V = V | [arg]N !& V        N from 0 to 5
 *     V           a number or a kernel constant, or several joined by |
 *
 * The line is the first thing in its comment line. The conditions of one line must all hold; several
 * lines for one call are alternatives. Only the role that was asked for is kept, but every line is
 * read in full, so that a mistake is found by whichever list is compiled first.
 */
#include "isolate/seccompgen.h"

#include <ctype.h>
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cursor {
	const char *at;
	const char *file;
	unsigned int line;
};

static void skip_blanks(struct cursor *c)
{
	while (*c->at == ' ' || *c->at == '\t')
		c->at++;
}

static bool take(struct cursor *c, const char *token)
{
	skip_blanks(c);
	if (strncmp(c->at, token, strlen(token)) != 0)
		return false;
	c->at += strlen(token);
	return true;
}

/* Copies a run of letters, digits and `_`; false when there is none, or it is too long. */
static bool take_word(struct cursor *c, char *word, size_t size)
{
	size_t length = 0;

	skip_blanks(c);
	while (isalnum((unsigned char)c->at[length]) || c->at[length] == '_')
		length++;
	if (length == 0 || length >= size)
		return false;
	memcpy(word, c->at, length);
	word[length] = '\0';
	c->at += length;
	return true;
}

static bool take_value(struct cursor *c, uint64_t *value)
{
	*value = 0;
	do {
		char word[64];
		uint64_t term;

		if (!take_word(c, word, sizeof(word))) {
			seccompgen_error(c->file, c->line, "expected a value at '%s'", c->at);
			return false;
		}
		if (isdigit((unsigned char)word[0])) {
			char *end;

			errno = 0;
			term = strtoull(word, &end, 0);
			if (*end != '\0' || errno != 0) {
				seccompgen_error(c->file, c->line, "'%s' is not a number", word);
				return false;
			}
		} else if (!seccompgen_constant(word, &term)) {
			seccompgen_error(c->file, c->line,
			                 "unknown constant '%s' (isolate/seccompgen_constants.c "
			                 "lists those that a rule may use)",
			                 word);
			return false;
		}
		*value |= term;
	} while (take(c, "|"));
	return true;
}

static bool take_operator(struct cursor *c, struct seccompgen_condition *condition)
{
	if (take(c, "!&")) {
		condition->kind = SECCOMPGEN_MASKED;
		return take_value(c, &condition->mask);
	}
	if (take(c, "<=")) {
		condition->kind = SECCOMPGEN_AT_MOST;
		return take_value(c, &condition->value);
	}
	if (take(c, "&")) {
		condition->kind = SECCOMPGEN_MASKED;
		if (!take_value(c, &condition->mask))
			return false;
		if (!take(c, "=")) {
			seccompgen_error(c->file, c->line, "expected '= VALUE' after the mask");
			return false;
		}
		if (!take_value(c, &condition->value))
			return false;
		if (condition->value & ~condition->mask) {
			seccompgen_error(c->file, c->line,
			                 "the value has bits that the mask has not");
			return false;
		}
		return true;
	}
	if (take(c, "=")) {
		condition->kind = SECCOMPGEN_EQUAL;
		return take_value(c, &condition->value);
	}
	seccompgen_error(c->file, c->line, "expected '=', '<=', '&' or '!&' at '%s'", c->at);
	return false;
}

static bool take_condition(struct cursor *c, struct seccompgen_rule *rule)
{
	struct seccompgen_condition *condition;

	take(c, "arg");
	skip_blanks(c);
	if (*c->at < '0' || *c->at > '5') {
		seccompgen_error(c->file, c->line, "expected an argument, arg0 to arg5, at '%s'",
		                 c->at);
		return false;
	}
	condition = &rule->args[*c->at++ - '0'];
	if (condition->kind != SECCOMPGEN_ANY) {
		seccompgen_error(c->file, c->line, "an argument can have one condition in a rule");
		return false;
	}
	return take_operator(c, condition);
}

static bool take_conditions(struct cursor *c, struct seccompgen_rule *rule)
{
	const char *start;

	if (!take(c, "("))
		return true;
	skip_blanks(c);
	start = c->at;
	do {
		if (!take_condition(c, rule))
			return false;
	} while (take(c, ","));
	if ((size_t)snprintf(rule->text, sizeof(rule->text), "%.*s", (int)(c->at - start), start) >=
	    sizeof(rule->text)) {
		seccompgen_error(c->file, c->line, "the conditions are too long");
		return false;
	}
	if (!take(c, ")")) {
		seccompgen_error(c->file, c->line, "expected ')' at '%s'", c->at);
		return false;
	}
	return true;
}

static bool take_roles(struct cursor *c, const char *role, const char *group, bool *mine,
                       bool *shared)
{
	char word[32];

	*mine = false;
	*shared = false;
	do {
		if (!take_word(c, word, sizeof(word))) {
			seccompgen_error(c->file, c->line, "expected a role at '%s'", c->at);
			return false;
		}
		*mine |= strcmp(word, role) == 0 || (group && strcmp(word, group) == 0);
		*shared |= strcmp(word, "all") == 0;
	} while (take(c, ","));
	if (!take(c, ":")) {
		seccompgen_error(c->file, c->line, "expected ':' after the roles, at '%s'", c->at);
		return false;
	}
	return true;
}

static bool take_call(struct cursor *c, struct seccompgen_rule *rule)
{
	if (!take_word(c, rule->name, sizeof(rule->name))) {
		seccompgen_error(c->file, c->line, "expected a system call at '%s'", c->at);
		return false;
	}
	rule->number = seccomp_syscall_resolve_name_arch(SCMP_ARCH_X86_64, rule->name);
	if (rule->number < 0) {
		seccompgen_error(c->file, c->line, "'%s' is not a system call of x86-64",
		                 rule->name);
		return false;
	}
	return true;
}

static bool take_reason(struct cursor *c, struct seccompgen_rule *rule)
{
	size_t length;

	if (!take(c, "- ") || (skip_blanks(c), *c->at == '\0')) {
		seccompgen_error(c->file, c->line, "expected ' - ' and the reason why %s is needed",
		                 rule->name);
		return false;
	}
	length = strlen(c->at);
	if (length >= sizeof(rule->reason)) {
		seccompgen_error(c->file, c->line, "the reason is longer than %zu characters",
		                 sizeof(rule->reason) - 1);
		return false;
	}
	memcpy(rule->reason, c->at, length + 1);
	return true;
}

/* True when a comment begins right before `at`, or goes on there; code may stand before the comment. */
static bool opens_comment(const char *text, const char *at)
{
	while (at > text && (at[-1] == ' ' || at[-1] == '\t'))
		at--;
	if (at == text || (at - text >= 2 && (at[-2] == '/' && (at[-1] == '*' || at[-1] == '/'))))
		return true;
	if (at[-1] != '*')
		return false;
	at--;
	while (at > text && (at[-1] == ' ' || at[-1] == '\t'))
		at--;
	return at == text; /* the star that begins a line of a longer comment */
}

/* Cuts the line's end, and a comment's; returns what follows `#syscall`, or NULL when it is not there. */
static const char *find_declaration(char *text)
{
	size_t length = strcspn(text, "\r\n");
	char *at = strstr(text, "#syscall");

	if (!at || !opens_comment(text, at))
		return NULL;
	text[length] = '\0';
	if (length >= 2 && strcmp(text + length - 2, "*/") == 0)
		text[length -= 2] = '\0';
	while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
		text[--length] = '\0';
	return at + 8;
}

int seccompgen_parse(struct seccompgen_rule *rule, const char *role, const char *group,
                     const char *file, unsigned int line, char *text)
{
	struct cursor c = {.at = find_declaration(text), .file = file, .line = line};
	bool mine;

	if (!c.at)
		return 0;
	*rule = (struct seccompgen_rule){.file = file, .line = line};
	if (!take_roles(&c, role, group, &mine, &rule->shared) || !take_call(&c, rule) ||
	    !take_conditions(&c, rule) || !take_reason(&c, rule))
		return -1;
	return mine || rule->shared ? 1 : 0;
}
