// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Prints values of the JSON on its standard input, one line with a space between them: what cases ask again and again, and
 * jq, which compiles a library of its own at each start, takes half a second for on an emulated CPU.
 *
 *   usage: rig_json PATH…
 *
 * A PATH is made of `.KEY`, `[N]`, and `[KEY=VALUE]` for the first element of an array whose KEY is that string. A string
 * is printed as it is, everything else as JSON, and what is not there as null.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The element of `array` that "N" or "KEY=VALUE" asks for, or NULL. */
static const json_t *element(const json_t *array, char *wanted)
{
	char *value = strchr(wanted, '=');
	const json_t *each;
	size_t i;

	if (!value)
		return json_array_get(array, strtoul(wanted, NULL, 10));
	*value++ = '\0';
	json_array_foreach(array, i, each)
	{
		const char *found = json_string_value(json_object_get(each, wanted));

		if (found && strcmp(found, value) == 0)
			return each;
	}
	return NULL;
}

/* Follows `path`, which is changed; false if it is none. *value is NULL when there is nothing. */
static bool follow(const json_t **value, char *path)
{
	while (*path) {
		const bool key = *path == '.';
		char *step = path + 1;
		char *end = step + strcspn(step, key ? ".[" : "]");
		char next = *end;

		if (end == step || (!key && (*path != '[' || !next)))
			return false;
		*end = '\0';
		*value = key ? json_object_get(*value, step) : element(*value, step);
		if (!key)
			path = end + 1;
		else
			*(path = end) = next;
	}
	return true;
}

static bool print(const json_t *value)
{
	char *text;

	if (json_is_string(value)) {
		fputs(json_string_value(value), stdout);
		return true;
	}
	text = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : strdup("null");
	if (!text)
		return false;
	fputs(text, stdout);
	free(text);
	return true;
}

int main(int argc, char **argv)
{
	json_error_t error;
	json_t *root = json_loadf(stdin, JSON_DECODE_ANY, &error);

	if (!root) {
		fprintf(stderr, "rig_json: %s\n", error.text);
		return 1;
	}
	for (int i = 1; i < argc; i++) {
		const json_t *value = root;

		if (!follow(&value, argv[i])) {
			fprintf(stderr,
			        "rig_json: '%s' is no path (expected .KEY, [N] or [KEY=VALUE])\n",
			        argv[i]);
			json_decref(root);
			return 2;
		}
		if (i > 1)
			putchar(' ');
		if (!print(value)) {
			json_decref(root);
			return 1;
		}
	}
	putchar('\n');
	json_decref(root);
	return 0;
}
