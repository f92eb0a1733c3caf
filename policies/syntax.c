/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What libyaml says of text that is no YAML, in words that say what to do about it.
 */
#include <yaml.h>

#include "policies/internal.h"

static const struct syntax {
	const char *problem, *found, *expected;
	const char *hint;   /* or NULL */
	const char *at_end; /* found, when the file ends there; or NULL */
} syntaxes[] = {
        {"mapping values are not allowed in this context", "a ':' that starts a value here",
         "one `key: value` a line, keys of one mapping at one indentation",
         "text that holds \": \" has to be in quotes", NULL},
        {"did not find expected key", "a line that does not fit its mapping",
         "a key at the indentation of its neighbours", NULL, NULL},
        {"did not find expected '-' indicator", "a line that does not fit its list",
         "`- ` at the indentation of the other items", NULL, NULL},
        {"did not find expected ',' or '}'", "a mapping in braces that goes on without a comma",
         "`,` or `}`", NULL, "the end of the file inside a mapping in braces"},
        {"did not find expected ',' or ']'", "a list in brackets that goes on without a comma",
         "`,` or `]`", NULL, "the end of the file inside a list in brackets"},
        {"did not find expected node content", "punctuation where a value stands", "a value",
         "an address that begins with ':' has to be in quotes", NULL},
        {"could not find expected ':'", "a key without a value", "`key: value`", NULL, NULL},
        {"found unexpected end of stream", "the end of the file inside a quoted text",
         "the closing quote", NULL, NULL},
        {"block sequence entries are not allowed in this context", "a `- ` that starts a list here",
         "a list in lines of its own, or in brackets", NULL, NULL},
        {"found undefined tag handle", "a tag", "a plain value: the key decides its type", NULL,
         NULL},
        {"did not find expected <document start>", "text after the end of the policy",
         "one policy a file", NULL, NULL},
};

static void explain_problem(struct policy_error *error, const char *problem)
{
	for (size_t i = 0; i < BASE_COUNT(syntaxes); i++) {
		const struct syntax *syntax = &syntaxes[i];

		if (strcmp(problem, syntax->problem) != 0)
			continue;
		policy_error_found(error, "%s",
		                   syntax->at_end && !error->source[0] ? syntax->at_end
		                                                       : syntax->found);
		policy_error_expected(error, "%s", syntax->expected);
		if (syntax->hint)
			policy_error_hint(error, "%s", syntax->hint);
	}
}

/* A value may go on in the next line, so a key that does not look like one swallows what follows. */
static bool goes_on(const struct policy_error *error)
{
	const char *colon = strchr(error->source, ':');

	return error->line > 1 && colon && (uint32_t)(colon - error->source) == error->caret;
}

void policy_syntax_report(struct policy_report *report, const struct yaml_parser_s *parser)
{
	const yaml_mark_t *mark = &parser->problem_mark;
	uint32_t line = (uint32_t)mark->line + 1, column = (uint32_t)mark->column + 1;
	struct policy_error *error = policy_report_at(report, line, column, 1);
	const char *problem = parser->problem ? parser->problem : "no reason given";

	policy_error_found(error, "what YAML cannot read (%s)", problem);
	policy_error_expected(error, "YAML");
	if (strstr(problem, "cannot start any token") &&
	    policy_report_byte(report, line, column) == '\t') {
		policy_error_found(error, "a tab in the indentation");
		policy_error_expected(error, "spaces");
	} else if (strstr(problem, "cannot start any token")) {
		policy_error_found(error, "a character that cannot begin a value");
		policy_error_expected(error, "a value");
		policy_error_hint(error, "text that begins with @, %% or ` has to be in quotes");
	}
	explain_problem(error, problem);
	if (strncmp(problem, "mapping values", 14) == 0 && goes_on(error))
		policy_error_hint(error,
		                  "line %u goes on here: has its ':' a space after it, and this "
		                  "line the right indentation?",
		                  line - 1);
	else if (!error->hint[0] && parser->context && parser->context_mark.line < mark->line)
		policy_error_hint(error, "it began in line %zu", parser->context_mark.line + 1);
}
