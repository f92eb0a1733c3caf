/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Errors with their place.
 *
 * A message has four parts, so that each way of showing it can lay them out: what was found, what
 * was expected, a hint, and the source line. Columns count characters; the source line is kept with
 * one column a character (what cannot be shown is a '?', a tab is a space), so that a caret stands
 * where it should. A long line is cut to a window around the error.
 */
#include <jansson.h>
#include <stdarg.h>

#include "policies/internal.h"

static size_t append(char *to, size_t size, size_t used, const char *from, size_t length)
{
	if (used + length >= size)
		return used;
	memcpy(to + used, from, length);
	to[used + length] = '\0';
	return used + length;
}

void policy_quote(char *to, size_t size, const char *from, size_t length)
{
	const char *at = from, *end = from + length;
	size_t used = append(to, size, 0, "\"", 1);

	while (at < end) {
		const char *start = at;
		int32_t c = policy_utf8_next(&at, end);
		char escaped[16];
		size_t n = (size_t)(at - start);

		if (used + 16 > size) {
			used = append(to, size, used, "...", 3);
			break;
		}
		if (c < 0)
			n = (size_t)snprintf(escaped, sizeof(escaped), "\\x%02x", (uint8_t)*start);
		else if (c == '\n')
			n = (size_t)snprintf(escaped, sizeof(escaped), "\\n");
		else if (c == '\t')
			n = (size_t)snprintf(escaped, sizeof(escaped), "\\t");
		else if (!policy_utf8_plain(c))
			n = (size_t)snprintf(escaped, sizeof(escaped),
			                     c < 0x100 ? "\\x%02x" : "\\u%04x", (unsigned int)c);
		else
			memcpy(escaped, start, n);
		used = append(to, size, used, escaped, n);
	}
	append(to, size, used, "\"", 1);
}

const char *policy_node_describe(const struct policy_node *node, char out[POLICY_DESCRIBE_MAX])
{
	if (node->type == POLICY_NODE_LIST)
		return node->count ? "a list" : "an empty list";
	if (node->type == POLICY_NODE_MAP)
		return node->count ? "a mapping" : "an empty mapping";
	if (!node->text[0])
		return node->quoted ? "an empty text" : "nothing";
	policy_quote(out, POLICY_DESCRIBE_MAX, node->text, strlen(node->text));
	return out;
}

static bool line_break(int32_t c)
{
	return c == '\n' || c == '\r';
}

/* The bytes of a line (from 1), as libyaml counts them: LF, CR and CRLF end one. */
static const char *find_line(const struct policy_report *report, uint32_t line, const char **end)
{
	const char *at = report->text, *stop = report->text + report->size;

	while (line > 1 && at < stop) {
		if (at[0] == '\r' && at + 1 < stop && at[1] == '\n')
			at++;
		line -= line_break(*at++);
	}
	*end = at;
	while (*end < stop && !line_break(**end))
		*end += 1;
	return at;
}

char policy_report_byte(const struct policy_report *report, uint32_t line, uint32_t column)
{
	const char *end, *at = find_line(report, line, &end);

	while (at < end && --column > 0)
		policy_utf8_next(&at, end);
	return at < end ? *at : '\0';
}

/* Copies the line's columns around the error, and puts the caret's place in the copy. */
static void copy_source(struct policy_error *error, const char *at, const char *end)
{
	enum { WINDOW = 100, BEFORE = 60 };
	uint32_t column = 1, skip = 0;
	size_t used = 0;

	if (error->column > WINDOW)
		skip = error->column - BEFORE;
	if (skip)
		used = append(error->source, sizeof(error->source), used, "...", 3);
	error->caret = error->column - 1 - skip + (skip ? 3 : 0);
	for (; at < end; column++) {
		const char *start = at;
		int32_t c = policy_utf8_next(&at, end);

		if (column <= skip)
			continue;
		if (column - skip > WINDOW || used + 8 > sizeof(error->source)) {
			append(error->source, sizeof(error->source), used, "...", 3);
			break;
		}
		if (c == '\t')
			used = append(error->source, sizeof(error->source), used, " ", 1);
		else if (!policy_utf8_plain(c))
			used = append(error->source, sizeof(error->source), used, "?", 1);
		else
			used = append(error->source, sizeof(error->source), used, start,
			              (size_t)(at - start));
	}
}

struct policy_error *policy_report_at(struct policy_report *report, uint32_t line, uint32_t column,
                                      uint32_t width)
{
	struct policy_errors *errors = report->errors;
	struct policy_error *error = &report->overflow;
	const char *end, *start = find_line(report, line, &end);

	report->total++;
	if (errors->count < POLICY_ERRORS_MAX)
		error = &errors->list[errors->count++];
	else
		errors->more = true;
	memset(error, 0, sizeof(*error));
	error->line = line;
	error->column = column;
	error->width = BASE_MAX(width, 1u);
	copy_source(error, start, end);
	return error;
}

struct policy_error *policy_report_node(struct policy_report *report,
                                        const struct policy_node *node)
{
	return policy_report_at(report, node->line, node->column, node->width);
}

/* Text that did not fit its field is cut between two characters, never in one. */
static void cut_whole(char *text)
{
	const char *at = text, *whole = text, *end = text + strlen(text);

	while (at < end && policy_utf8_next(&at, end) >= 0)
		whole = at;
	text[whole - text] = '\0';
}

#define FORMAT_FIELD(field)                                                       \
	do {                                                                      \
		va_list arguments;                                                \
		va_start(arguments, format);                                      \
		vsnprintf(error->field, sizeof(error->field), format, arguments); \
		va_end(arguments);                                                \
		cut_whole(error->field);                                          \
	} while (0)

void policy_error_found(struct policy_error *error, const char *format, ...)
{
	FORMAT_FIELD(found);
}

void policy_error_expected(struct policy_error *error, const char *format, ...)
{
	FORMAT_FIELD(expected);
}

void policy_error_hint(struct policy_error *error, const char *format, ...)
{
	FORMAT_FIELD(hint);
}

static bool before(const struct policy_error *a, const struct policy_error *b)
{
	return a->line != b->line ? a->line < b->line : a->column < b->column;
}

/* By insertion: C's qsort() asks the kernel for the memory's size, which the role may not. */
void policy_report_sort(struct policy_report *report)
{
	struct policy_error *list = report->errors->list;

	for (size_t i = 1; i < report->errors->count; i++) {
		struct policy_error moving = list[i];
		size_t at = i;

		for (; at > 0 && before(&moving, &list[at - 1]); at--)
			list[at] = list[at - 1];
		list[at] = moving;
	}
}

/* The underline ends with the source line that is shown. */
static uint32_t caret_width(const struct policy_error *error)
{
	const char *at = error->source, *end = at + strlen(at);
	uint32_t columns = 0;

	while (at < end) {
		policy_utf8_next(&at, end);
		columns++;
	}
	if (error->caret >= columns)
		return 1;
	return BASE_MIN(error->width, columns - error->caret);
}

void policy_errors_print(FILE *out, const char *file, const struct policy_errors *errors)
{
	for (size_t i = 0; i < errors->count; i++) {
		const struct policy_error *error = &errors->list[i];
		uint32_t width = caret_width(error);

		fprintf(out, "%s:%u:%u: error: found %s, expected %s\n", file, error->line,
		        error->column, error->found, error->expected);
		fprintf(out, "%5u | %s\n", error->line, error->source);
		fprintf(out, "      | %*s^", (int)error->caret, "");
		for (uint32_t n = 1; n < width; n++)
			fputc('~', out);
		fputc('\n', out);
		if (error->hint[0])
			fprintf(out, "      = %s\n", error->hint);
	}
	if (errors->more)
		fprintf(out, "%s: more than %d errors; these are the first\n", file,
		        POLICY_ERRORS_MAX);
}

char *policy_errors_json(const char *file, const struct policy_errors *errors)
{
	json_t *list = json_array();
	char *text;

	for (size_t i = 0; i < errors->count; i++) {
		const struct policy_error *e = &errors->list[i];

		json_array_append_new(list,
		                      json_pack("{s:s, s:I, s:I, s:I, s:s, s:s, s:s, s:s}", "file",
		                                file, "line", (json_int_t)e->line, "column",
		                                (json_int_t)e->column, "width",
		                                (json_int_t)e->width, "found", e->found, "expected",
		                                e->expected, "hint", e->hint, "source", e->source));
	}
	text = json_dumps(list, JSON_COMPACT);
	json_decref(list);
	return text;
}
