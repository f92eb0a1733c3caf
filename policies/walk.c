/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The schema layer: a mapping and its table of keys in, a filled struct out.
 *
 * A key's kind knows how to read it; its table entry says where the value goes, its range, and what
 * to say when it is wrong. An error in one value never hides an error in another.
 */
#include <stdarg.h>

#include "policies/internal.h"

enum { WALK_NAMES = 32 }; /* keys of a mapping, or words of a key, at most */

void policy_store(void *base, const struct policy_key *key, uint64_t value)
{
	uint8_t *to = (uint8_t *)base + key->offset;

	switch (key->size) {
	case 1: *to = (uint8_t)value; break;
	case 2: memcpy(to, &(uint16_t){(uint16_t)value}, 2); break;
	case 4: memcpy(to, &(uint32_t){(uint32_t)value}, 4); break;
	default: memcpy(to, &value, 8); break;
	}
}

struct policy_error *policy_walk_refuse(struct policy_walk *walk, const struct policy_node *node,
                                        const char *format, ...)
{
	struct policy_error *error = policy_report_node(walk->report, node);
	char what[POLICY_DESCRIBE_MAX], expected[POLICY_TEXT_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(expected, sizeof(expected), format, arguments);
	va_end(arguments);
	policy_error_found(error, "%s", policy_node_describe(node, what));
	policy_error_expected(error, "%s", expected);
	return error;
}

bool policy_walk_text(struct policy_walk *walk, const struct policy_key *key,
                      const struct policy_node *value)
{
	if (value->type == POLICY_NODE_REFUSED)
		return false;
	if (value->type == POLICY_NODE_TEXT && value->text[0] &&
	    (value->quoted || (strcmp(value->text, "~") && strcmp(value->text, "null"))))
		return true;
	policy_walk_refuse(walk, value, "%s", key->kind->noun);
	return false;
}

/* ---- numbers, with and without units ---- */

/* "512MB", "512 MiB", "512m", "512": what was meant, when the digits with the right unit would do. */
static void hint_unit(struct policy_error *error, const struct policy_key *key, const char *text)
{
	static const struct {
		const char *written, *right;
	} units[] = {
	        {"kb", "K"},      {"kib", "K"},     {"k", "K"},         {"mb", "M"},
	        {"mib", "M"},     {"m", "M"},       {"gb", "G"},        {"gib", "G"},
	        {"g", "G"},       {"tb", "T"},      {"tib", "T"},       {"t", "T"},
	        {"mbit", "Mbit"}, {"gbit", "Gbit"}, {"kbit", "kbit"},   {"mbit/s", "Mbit"},
	        {"mbps", "Mbit"}, {"gbps", "Gbit"}, {"gbit/s", "Gbit"}, {"kbps", "kbit"},
	        {"sec", "s"},     {"min", "m"},     {"/sec", "/s"},     {"per second", "/s"},
	};
	size_t digits = strspn(text, "0123456789");
	const char *unit = text + digits;
	char meant[32];
	uint64_t value;

	if (digits == 0 || digits > 15)
		return;
	unit += strspn(unit, " ");
	snprintf(meant, sizeof(meant), "%.*s%s", (int)digits, text,
	         *unit || !key->kind->unit ? "" : key->kind->unit);
	for (size_t i = 0; i < BASE_COUNT(units); i++)
		if (strcasecmp(unit, units[i].written) == 0)
			snprintf(meant, sizeof(meant), "%.*s%s", (int)digits, text, units[i].right);
	if (strcmp(meant, text) != 0 && key->kind->parse(meant, &value) == 0 && value >= key->min &&
	    value <= key->max && (key->step == 0 || value % key->step == 0))
		policy_error_hint(error, "did you mean %s?", meant);
}

static void refuse_range(struct policy_walk *walk, const struct policy_key *key,
                         const struct policy_node *value)
{
	char low[POLICY_FORMAT_MAX], high[POLICY_FORMAT_MAX], step[POLICY_FORMAT_MAX];
	struct policy_error *error;

	key->kind->format(key->min, low);
	key->kind->format(key->max, high);
	if (key->min == key->max)
		error = policy_walk_refuse(walk, value, "%s", low);
	else if (key->step)
		error = policy_walk_refuse(walk, value, "%s to %s, a multiple of %s", low, high,
		                           key->kind->format(key->step, step));
	else
		error = policy_walk_refuse(walk, value, "%s to %s", low, high);
	hint_unit(error, key, value->text);
}

static void read_number(struct policy_walk *walk, const struct policy_key *key,
                        struct policy_node *value, void *base)
{
	uint64_t number;
	int error;

	if (!policy_walk_text(walk, key, value))
		return;
	error = key->kind->parse(value->text, &number);
	if (error == -EINVAL) {
		hint_unit(policy_walk_refuse(walk, value, "%s", key->kind->noun), key, value->text);
		return;
	}
	if (error || number < key->min || number > key->max ||
	    (key->step && number % key->step != 0)) {
		refuse_range(walk, key, value);
		return;
	}
	policy_store(base, key, number);
}

/* A quoted number is text: somebody meant something by the quotes. */
static void read_plain_number(struct policy_walk *walk, const struct policy_key *key,
                              struct policy_node *value, void *base)
{
	uint64_t number;

	if (value->type == POLICY_NODE_TEXT && value->quoted &&
	    policy_value_uint(value->text, &number) == 0) {
		struct policy_error *error = policy_report_node(walk->report, value);

		policy_error_found(error, "the text \"%.20s\"", value->text);
		policy_error_expected(error, "%s", key->kind->noun);
		policy_error_hint(error, "leave the quotes out");
		return;
	}
	read_number(walk, key, value, base);
}

static const char *format_uint(uint64_t value, char out[POLICY_FORMAT_MAX])
{
	snprintf(out, POLICY_FORMAT_MAX, "%llu", (unsigned long long)value);
	return out;
}

static const char *format_rate(uint64_t value, char out[POLICY_FORMAT_MAX])
{
	snprintf(out, POLICY_FORMAT_MAX, "%llu/s", (unsigned long long)value);
	return out;
}

static const char *format_duration(uint64_t value, char out[POLICY_FORMAT_MAX])
{
	snprintf(out, POLICY_FORMAT_MAX, "%llus", (unsigned long long)value);
	return out;
}

const struct policy_kind policy_kind_uint = {
        .noun = "a whole number",
        .read = read_plain_number,
        .parse = policy_value_uint,
        .format = format_uint,
};
const struct policy_kind policy_kind_size = {
        .noun = "a size such as 512M or 2G",
        .read = read_number,
        .parse = policy_value_size,
        .format = policy_format_size,
        .unit = "M",
};
const struct policy_kind policy_kind_bandwidth = {
        .noun = "a bandwidth such as 100Mbit (bits) or 100M (bytes)",
        .read = read_number,
        .parse = policy_value_bandwidth,
        .format = policy_format_bandwidth,
        .unit = "Mbit",
};
const struct policy_kind policy_kind_rate = {
        .noun = "a rate such as 50/s",
        .read = read_number,
        .parse = policy_value_rate,
        .format = format_rate,
        .unit = "/s",
};
const struct policy_kind policy_kind_duration = {
        .noun = "a duration such as 30s, 5m or 1h",
        .read = read_number,
        .parse = policy_value_duration,
        .format = format_duration,
        .unit = "s",
};

/* ---- booleans and words ---- */

static void read_bool(struct policy_walk *walk, const struct policy_key *key,
                      struct policy_node *value, void *base)
{
	static const char *const yes[] = {"yes", "on", "y", "1", "True", "TRUE"};
	static const char *const no[] = {"no", "off", "n", "0", "False", "FALSE"};
	struct policy_error *error;

	if (!policy_walk_text(walk, key, value))
		return;
	if (!value->quoted && (!strcmp(value->text, "true") || !strcmp(value->text, "false"))) {
		policy_store(base, key, value->text[0] == 't');
		return;
	}
	error = policy_walk_refuse(walk, value, "%s", key->kind->noun);
	if (!strcmp(value->text, "true") || !strcmp(value->text, "false")) {
		policy_error_found(error, "the text \"%s\"", value->text);
		policy_error_hint(error, "leave the quotes out");
	}
	for (size_t i = 0; i < BASE_COUNT(yes); i++)
		if (!strcmp(value->text, yes[i]))
			policy_error_hint(error, "did you mean true?");
	for (size_t i = 0; i < BASE_COUNT(no); i++)
		if (!strcmp(value->text, no[i]))
			policy_error_hint(error, "did you mean false?");
}

const struct policy_kind policy_kind_bool = {.noun = "true or false", .read = read_bool};

static void join(char *to, size_t size, const char *const *names, size_t count)
{
	size_t used = 0;

	to[0] = '\0';
	for (size_t i = 0; i < count && used < size; i++)
		used += (size_t)snprintf(to + used, size - used, "%s%s",
		                         i == 0           ? ""
		                         : i + 1 == count ? " or "
		                                          : ", ",
		                         names[i]);
}

static bool find_word(struct policy_walk *walk, const struct policy_key *key,
                      const struct policy_node *node, uint64_t *value)
{
	const char *names[WALK_NAMES], *near;
	char list[POLICY_TEXT_MAX];
	size_t count = 0;
	struct policy_error *error;

	for (const struct policy_word *w = key->words; w->word; w++) {
		names[count++] = w->word;
		if (node->type == POLICY_NODE_TEXT && !strcmp(w->word, node->text)) {
			*value = w->value;
			return true;
		}
	}
	join(list, sizeof(list), names, count);
	error = policy_walk_refuse(walk, node, "%s", list);
	near = node->type == POLICY_NODE_TEXT ? policy_suggest(node->text, names, count) : NULL;
	if (near)
		policy_error_hint(error, "did you mean %s?", near);
	return false;
}

static void read_word(struct policy_walk *walk, const struct policy_key *key,
                      struct policy_node *value, void *base)
{
	uint64_t found;

	if (value->type != POLICY_NODE_REFUSED && find_word(walk, key, value, &found))
		policy_store(base, key, found);
}

const struct policy_kind policy_kind_word = {.noun = "one of these words", .read = read_word};

/* A set of words, as bits: a list, or a single word. */
static void read_words(struct policy_walk *walk, const struct policy_key *key,
                       struct policy_node *value, void *base)
{
	struct policy_node *item = value->type == POLICY_NODE_LIST ? value->first : value;
	uint64_t bits = key->min, seen = 0, found;

	if (value->type == POLICY_NODE_REFUSED)
		return;
	if (value->type == POLICY_NODE_MAP || !item) {
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
		return;
	}
	/* what follows a single word is the mapping's next key */
	for (; item; item = item == value ? NULL : item->next) {
		if (item->type == POLICY_NODE_REFUSED || !find_word(walk, key, item, &found))
			continue;
		if (seen & found)
			policy_error_found(policy_walk_refuse(walk, item, "each word once"),
			                   "\"%s\" a second time", item->text);
		seen |= found;
	}
	policy_store(base, key, bits | seen);
}

const struct policy_kind policy_kind_words = {
        .noun = "a list of words such as [alert, capture]",
        .read = read_words,
};

/* ---- text ---- */

static void read_text(struct policy_walk *walk, const struct policy_key *key,
                      struct policy_node *value, void *base)
{
	if (!policy_walk_text(walk, key, value))
		return;
	for (const char *at = value->text; *at; at++) {
		if (*at >= 0x20 && *at < 0x7f)
			continue;
		policy_walk_refuse(walk, value, "printable ASCII text in one line");
		return;
	}
	if (strlen(value->text) >= key->size)
		policy_error_found(policy_walk_refuse(walk, value, "at most %zu", key->size - 1),
		                   "%zu characters", strlen(value->text));
	else
		base_copy_string((char *)base + key->offset, key->size, value->text);
}

const struct policy_kind policy_kind_text = {.noun = "text", .read = read_text};

static void read_path(struct policy_walk *walk, const struct policy_key *key,
                      struct policy_node *value, void *base)
{
	size_t length;

	if (!policy_walk_text(walk, key, value))
		return;
	length = strlen(value->text);
	if (strpbrk(value->text, "\n\r\t"))
		policy_walk_refuse(walk, value, "a path in one line");
	else if (value->text[length - 1] == '/')
		policy_walk_refuse(walk, value, "the path of a file, not of a folder");
	else if (length >= key->size)
		policy_error_found(policy_walk_refuse(walk, value, "at most %zu", key->size - 1),
		                   "a path of %zu bytes", length);
	else
		base_copy_string((char *)base + key->offset, key->size, value->text);
}

const struct policy_kind policy_kind_path = {.noun = "a path", .read = read_path};

/* ---- mappings and lists of them ---- */

/* The key of the map that was meant by a name that it does not have, or NULL. */
static const struct policy_key *guess_key(const struct policy_map *map, const char *name)
{
	const char *names[WALK_NAMES], *near;

	for (size_t i = 0; i < map->count; i++) {
		names[i] = map->keys[i].name;
		if (map->keys[i].instead && strcmp(map->keys[i].instead, name) == 0)
			return &map->keys[i];
	}
	near = policy_suggest(name, names, map->count);
	for (size_t i = 0; near && i < map->count; i++)
		if (names[i] == near)
			return &map->keys[i];
	return NULL;
}

static void refuse_unknown(struct policy_walk *walk, const struct policy_map *map,
                           const struct policy_node *name)
{
	struct policy_error *error = policy_report_node(walk->report, name);
	const struct policy_key *meant = guess_key(map, name->text);
	const char *names[WALK_NAMES], *home = policy_keys_home(name->text);
	char what[POLICY_DESCRIBE_MAX], list[POLICY_TEXT_MAX];

	for (size_t i = 0; i < map->count; i++)
		names[i] = map->keys[i].name;
	join(list, sizeof(list), names, map->count);
	policy_error_found(error, "the unknown key %s in %s", policy_node_describe(name, what),
	                   map->what);
	policy_error_expected(error, "%s", list);
	if (!name->text[0])
		policy_error_found(error, "an empty key in %s", map->what);
	if (meant)
		policy_error_hint(error, "did you mean %s?", meant->name);
	else if (home && strcmp(home, map->what) != 0)
		policy_error_hint(error, "%s is a key of %s", name->text, home);
}

/* A key that is there under a wrong name has been reported as that. */
static bool is_misspelt(const struct policy_map *map, const struct policy_node *node,
                        const struct policy_key *key)
{
	for (const struct policy_node *name = node->first; name; name = name->next->next)
		if (name->type == POLICY_NODE_TEXT && guess_key(map, name->text) == key)
			return true;
	return false;
}

static void require_keys(struct policy_walk *walk, const struct policy_map *map,
                         const struct policy_node *node)
{
	for (size_t i = 0; i < map->count; i++) {
		const struct policy_key *key = &map->keys[i];
		struct policy_error *error;

		if (!key->required || policy_node_find(node, key->name) ||
		    (key->unless && policy_node_find(node, key->unless)) ||
		    (key->unless_firmware && walk->firmware) || is_misspelt(map, node, key))
			continue;
		error = policy_report_node(walk->report, node->key ? node->key : node);
		policy_error_found(error, "%s without %s", map->what, key->name);
		policy_error_expected(error, "%s: %s", key->name, key->help);
	}
}

void policy_walk_map(struct policy_walk *walk, const struct policy_map *map,
                     struct policy_node *node, void *base)
{
	uint32_t before = walk->report->total;

	if (map->defaults)
		map->defaults(base);
	if (node->type != POLICY_NODE_MAP) {
		if (node->type != POLICY_NODE_REFUSED)
			policy_walk_refuse(walk, node, "%s: a mapping of keys to values",
			                   map->what);
		node->bad = true;
		return;
	}
	if (map->line != POLICY_NO_OFFSET)
		memcpy((uint8_t *)base + map->line, &node->line, sizeof(node->line));
	for (struct policy_node *name = node->first; name; name = name->next->next) {
		const struct policy_key *key = NULL;

		if (name->type == POLICY_NODE_REFUSED)
			continue;
		for (size_t i = 0; i < map->count && !key; i++)
			if (strcmp(map->keys[i].name, name->text) == 0)
				key = &map->keys[i];
		if (key)
			key->kind->read(walk, key, name->next, base);
		else
			refuse_unknown(walk, map, name);
	}
	require_keys(walk, map, node);
	node->bad = walk->report->total != before;
	if (map->check)
		map->check(walk, node, base);
	node->bad = walk->report->total != before;
}

static void read_map(struct policy_walk *walk, const struct policy_key *key,
                     struct policy_node *value, void *base)
{
	policy_walk_map(walk, key->map, value, (uint8_t *)base + key->offset);
}

const struct policy_kind policy_kind_map = {.noun = "a mapping", .read = read_map};

static void read_list(struct policy_walk *walk, const struct policy_key *key,
                      struct policy_node *value, void *base)
{
	size_t count = 0;

	if (value->type == POLICY_NODE_REFUSED)
		return;
	if (value->type != POLICY_NODE_LIST) {
		struct policy_error *error =
		        policy_walk_refuse(walk, value, "a list: each item %s", key->map->what);

		if (value->type == POLICY_NODE_MAP)
			policy_error_hint(error,
			                  "put it in brackets: [{...}], or begin it with `- `");
		return;
	}
	walk->egress = strcmp(key->name, "egress") == 0;
	for (struct policy_node *item = value->first; item; item = item->next) {
		if (count == key->max) {
			policy_error_found(policy_walk_refuse(walk, item, "at most %zu", count),
			                   "more than %zu entries in %s", count, key->name);
			break;
		}
		policy_walk_map(walk, key->map, item,
		                (uint8_t *)base + key->offset + count * key->size);
		count++;
	}
	memcpy((uint8_t *)base + key->counter, &count, sizeof(count));
}

const struct policy_kind policy_kind_list = {.noun = "a list", .read = read_list};
