/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See learn_base.h. A `firewall` in braces is left out as a whole: its other keys cannot be told by lines. */
#include "cordon/learn_base.h"

#include <stdbool.h>
#include <string.h>

static const char *base_next(const char *line)
{
	line += strcspn(line, "\n");
	return *line ? line + 1 : line;
}

static bool base_is_key(const char *at, const char *key)
{
	size_t length = strlen(key);

	return strncmp(at, key, length) == 0 && at[length] == ':';
}

/* A line that says nothing by itself. */
static bool base_is_blank(const char *line)
{
	line += strspn(line, " ");
	return *line == '#' || *line == '\n' || *line == '\r' || !*line;
}

static void base_put(FILE *out, const char *from, const char *to)
{
	fwrite(from, 1, (size_t)(to - from), out);
	if (to > from && to[-1] != '\n')
		fputc('\n', out);
}

const char *learn_base_before(FILE *out, const char *base)
{
	const char *line = base;

	while (*line && !base_is_key(line, "firewall"))
		line = base_next(line);
	base_put(out, base, line);
	return line;
}

/* The keys of the block from `line` to `end` that are not rules, indented as ours are. */
static void base_keys(FILE *out, const char *line, const char *end)
{
	size_t indent = 0;
	bool rules = false;

	for (; line < end; line = base_next(line)) {
		const size_t spaces = strspn(line, " ");

		if (base_is_blank(line))
			continue;
		if (!indent)
			indent = spaces;
		if (spaces == indent && line[spaces] != '-')
			rules = base_is_key(line + spaces, "ingress") ||
			        base_is_key(line + spaces, "egress");
		if (rules)
			continue;
		fprintf(out, "  ");
		base_put(out, line + (spaces < indent ? spaces : indent), base_next(line));
	}
}

void learn_base_after(FILE *out, const char *rest)
{
	const char *head = rest, *line, *end;
	const char *value;

	if (!*rest)
		return;
	line = end = base_next(rest);
	/* the block ends where a key begins; comments right before that are the key's */
	for (const char *at = line; *at && (*at == ' ' || base_is_blank(at)); at = base_next(at))
		if (!base_is_blank(at))
			end = base_next(at);
	value = head + strlen("firewall:");
	value += strspn(value, " ");
	if (*value == '#' || *value == '\n' || *value == '\r' || !*value)
		base_keys(out, line, end);
	else
		fputs("  # the limits and other keys that stood here were in braces, and are left "
		      "out\n",
		      out);
	base_put(out, end, end + strlen(end));
}
