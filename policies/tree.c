/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * YAML text to a bounded tree.
 *
 * Policies use a small part of YAML, and the rest is refused here: anchors, aliases, tags, merge
 * keys, directives, further documents, duplicate keys, and characters that cannot be seen.
 *
 * Bounds: bytes, nodes, keys in a mapping, depth. libyaml's work grows with the square of the depth
 * of nesting. Its events are taken one by one, and it looks ahead by at most 1,024 characters (YAML
 * 1.1's limit on a simple key), so refusing the event that is too deep bounds that work whatever
 * follows in the text.
 */
#include <yaml.h>

#include "policies/internal.h"

struct builder {
	struct policy_tree *tree;
	struct policy_report *report;
	struct {
		struct policy_node *node, *last;
	} open[POLICY_DEPTH_MAX];
	size_t depth;
	bool stop; /* what follows would only be noise */
};

static struct policy_error *refuse_mark(struct builder *b, const yaml_mark_t *start,
                                        const yaml_mark_t *end)
{
	uint32_t width = start->line == end->line ? (uint32_t)(end->column - start->column) : 1;

	return policy_report_at(b->report, (uint32_t)start->line + 1, (uint32_t)start->column + 1,
	                        width);
}

static void refuse_and_stop(struct builder *b, const yaml_event_t *event, const char *found,
                            const char *expected)
{
	struct policy_error *error = refuse_mark(b, &event->start_mark, &event->start_mark);

	policy_error_found(error, "%s", found);
	policy_error_expected(error, "%s", expected);
	b->stop = true;
}

static struct policy_node *parent_of(const struct builder *b)
{
	return b->depth ? b->open[b->depth - 1].node : NULL;
}

static bool is_key(const struct builder *b)
{
	const struct policy_node *parent = parent_of(b);

	return parent && parent->type == POLICY_NODE_MAP && parent->count % 2 == 0;
}

static void check_key(struct builder *b, const struct policy_node *map, struct policy_node *key)
{
	struct policy_error *error;

	if (!key->quoted && strcmp(key->text, "<<") == 0) {
		error = policy_report_node(b->report, key);
		policy_error_found(error, "the merge key \"<<\"");
		policy_error_expected(error, "each setting written out where it holds");
		key->type = POLICY_NODE_REFUSED;
		return;
	}
	for (const struct policy_node *old = map->first; old; old = old->next->next) {
		char name[POLICY_DESCRIBE_MAX];

		if (old == key)
			return;
		if (old->type != POLICY_NODE_TEXT || strcmp(old->text, key->text) != 0)
			continue;
		error = policy_report_node(b->report, key);
		policy_error_found(error, "the key %s a second time",
		                   policy_node_describe(key, name));
		policy_error_expected(error, "each key once");
		policy_error_hint(error, "it was first set in line %u", old->line);
		key->type = POLICY_NODE_REFUSED; /* its value is not read over the first one */
		return;
	}
}

/* A fresh node, linked to its parent; NULL (and b->stop) when a bound is reached. */
static struct policy_node *add_node(struct builder *b, const yaml_event_t *event,
                                    enum policy_node_type type)
{
	struct policy_node *parent = parent_of(b), *node;
	const yaml_mark_t *start = &event->start_mark, *end = &event->end_mark;

	if (b->tree->node_count == POLICY_NODES_MAX) {
		refuse_and_stop(b, event, "too many values in one policy", "at most 32768");
		return NULL;
	}
	if (parent && parent->type == POLICY_NODE_MAP && parent->count == POLICY_KEYS_MAX * 2) {
		refuse_and_stop(b, event, "too many keys in one mapping", "at most 64");
		return NULL;
	}
	node = &b->tree->nodes[b->tree->node_count++];
	*node = (struct policy_node){
	        .type = type,
	        .line = (uint32_t)start->line + 1,
	        .column = (uint32_t)start->column + 1,
	        .width = start->line == end->line ? (uint32_t)(end->column - start->column) : 1,
	        .text = "",
	};
	if (!parent) {
		b->tree->root = node;
		return node;
	}
	if (parent->type == POLICY_NODE_MAP && parent->count % 2)
		node->key = b->open[b->depth - 1].last;
	if (b->open[b->depth - 1].last)
		b->open[b->depth - 1].last->next = node;
	else
		parent->first = node;
	b->open[b->depth - 1].last = node;
	parent->count++;
	return node;
}

/* Anchors and tags are reported, and the value they stand before is read all the same. */
static void refuse_properties(struct builder *b, const yaml_event_t *event,
                              const yaml_char_t *anchor, const yaml_char_t *tag)
{
	static const char core[] = "tag:yaml.org,2002:";
	struct policy_error *error;
	char name[64];

	if (anchor) {
		error = refuse_mark(b, &event->start_mark, &event->start_mark);
		policy_quote(name, sizeof(name), (const char *)anchor,
		             strlen((const char *)anchor));
		policy_error_found(error, "the anchor %s", name);
		policy_error_expected(error,
		                      "a plain value: policies have no anchors and no aliases");
	}
	if (tag) {
		error = refuse_mark(b, &event->start_mark, &event->start_mark);
		if (strncmp((const char *)tag, core, sizeof(core) - 1) == 0)
			tag += sizeof(core) - 1;
		policy_quote(name, sizeof(name), (const char *)tag, strlen((const char *)tag));
		policy_error_found(error, "the tag %s", name);
		policy_error_expected(error, "a plain value: the key decides its type");
	}
}

static void take_scalar(struct builder *b, const yaml_event_t *event)
{
	size_t length = event->data.scalar.length;
	bool key = is_key(b);
	struct policy_node *node = add_node(b, event, POLICY_NODE_TEXT);

	if (!node)
		return;
	refuse_properties(b, event, event->data.scalar.anchor, event->data.scalar.tag);
	node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	if (memchr(event->data.scalar.value, '\0', length)) {
		struct policy_error *error = policy_report_node(b->report, node);

		policy_error_found(error, "a NUL character in a text");
		policy_error_expected(error, "text");
		node->type = POLICY_NODE_REFUSED;
		return;
	}
	if (length >= b->tree->text_size - b->tree->text_used) {
		refuse_and_stop(b, event, "more text than the file has room for", "fewer escapes");
		return;
	}
	node->text = memcpy(b->tree->text + b->tree->text_used, event->data.scalar.value, length);
	b->tree->text[b->tree->text_used + length] = '\0';
	b->tree->text_used += length + 1;
	if (key)
		check_key(b, parent_of(b), node);
}

static void take_alias(struct builder *b, const yaml_event_t *event)
{
	const char *anchor = (const char *)event->data.alias.anchor;
	struct policy_node *node = add_node(b, event, POLICY_NODE_REFUSED);
	struct policy_error *error;
	char name[64];

	if (!node)
		return;
	error = policy_report_node(b->report, node);
	policy_quote(name, sizeof(name), anchor, strlen(anchor));
	policy_error_found(error, "an alias of %s", name);
	policy_error_expected(error, "the value itself: policies have no anchors and no aliases");
	policy_error_hint(error, "text that begins with '*' has to be in quotes");
}

static void take_open(struct builder *b, const yaml_event_t *event, enum policy_node_type type)
{
	struct policy_node *node;

	if (is_key(b)) {
		refuse_and_stop(b, event, "a list or a mapping where a key stands", "a key's name");
		return;
	}
	if (b->depth == POLICY_DEPTH_MAX) {
		refuse_and_stop(b, event, "a list or mapping at depth 17",
		                "at most 16 of them inside each other");
		return;
	}
	node = add_node(b, event, type);
	if (!node)
		return;
	if (type == POLICY_NODE_MAP)
		refuse_properties(b, event, event->data.mapping_start.anchor,
		                  event->data.mapping_start.tag);
	else
		refuse_properties(b, event, event->data.sequence_start.anchor,
		                  event->data.sequence_start.tag);
	b->open[b->depth].node = node;
	b->open[b->depth].last = NULL;
	b->depth++;
}

static void take_document(struct builder *b, const yaml_event_t *event)
{
	if (b->tree->root)
		refuse_and_stop(b, event, "a second document", "one policy a file");
	else if (event->data.document_start.version_directive ||
	         event->data.document_start.tag_directives.start !=
	                 event->data.document_start.tag_directives.end)
		refuse_and_stop(b, event, "a YAML directive", "a policy that begins with its keys");
}

static void take_event(struct builder *b, const yaml_event_t *event)
{
	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT: take_document(b, event); break;
	case YAML_SCALAR_EVENT: take_scalar(b, event); break;
	case YAML_ALIAS_EVENT: take_alias(b, event); break;
	case YAML_MAPPING_START_EVENT: take_open(b, event, POLICY_NODE_MAP); break;
	case YAML_SEQUENCE_START_EVENT: take_open(b, event, POLICY_NODE_LIST); break;
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT: b->depth--; break;
	default: break;
	}
}

/* Every character, before libyaml sees it: UTF-8, and nothing that a reader of the file cannot see. */
static bool check_characters(struct policy_report *report)
{
	const char *at = report->text, *end = at + report->size;
	uint32_t line = 1, column = 1;

	while (at < end) {
		const char *start = at;
		int32_t c = policy_utf8_next(&at, end);
		struct policy_error *error;

		if (c == '\n' || (c == '\r' && !(at < end && *at == '\n'))) {
			line++;
			column = 1;
			continue;
		}
		if (policy_utf8_plain(c) || c == '\t' || c == '\r') {
			column++;
			continue;
		}
		error = policy_report_at(report, line, column, 1);
		policy_error_expected(error, "UTF-8 text");
		if (c < 0)
			policy_error_found(error, "the byte 0x%02x, which is not UTF-8 here",
			                   (uint8_t)*start);
		else if (c == 0xfeff && start == report->text)
			policy_error_found(error, "a byte order mark"),
			        policy_error_hint(error, "save the file as UTF-8 without one");
		else
			policy_error_found(error, "the unprintable character U+%04X", (uint32_t)c),
			        policy_error_expected(error, "text that looks like what it is");
		return false;
	}
	return true;
}

static int run(struct builder *b, yaml_parser_t *parser)
{
	bool end = false;

	while (!end && !b->stop) {
		yaml_event_t event;

		if (!yaml_parser_parse(parser, &event)) {
			if (parser->error == YAML_MEMORY_ERROR)
				return -ENOMEM;
			policy_syntax_report(b->report, parser);
			b->stop = true;
			break;
		}
		end = event.type == YAML_STREAM_END_EVENT;
		take_event(b, &event);
		yaml_event_delete(&event);
	}
	/* Half a tree would draw complaints about what its other half holds. */
	if (b->stop)
		b->tree->root = NULL;
	return b->report->total ? -EINVAL : 0;
}

int policy_tree_read(struct policy_tree *tree, struct policy_report *report)
{
	struct builder b = {.tree = tree, .report = report};
	yaml_parser_t parser;
	int error;

	*tree = (struct policy_tree){0};
	if (!check_characters(report))
		return -EINVAL;
	/* An escape such as \P makes three bytes of two, and each scalar has its NUL. */
	tree->text_size = report->size * 2 + POLICY_NODES_MAX;
	tree->text = malloc(tree->text_size);
	tree->nodes = malloc(POLICY_NODES_MAX * sizeof(*tree->nodes));
	if (!tree->text || !tree->nodes || !yaml_parser_initialize(&parser)) {
		policy_tree_free(tree);
		return -ENOMEM;
	}
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)report->text, report->size);
	error = run(&b, &parser);
	yaml_parser_delete(&parser);
	if (error == -ENOMEM)
		policy_tree_free(tree);
	return error;
}

void policy_tree_free(struct policy_tree *tree)
{
	free(tree->nodes);
	free(tree->text);
	*tree = (struct policy_tree){0};
}

struct policy_node *policy_node_find(const struct policy_node *map, const char *key)
{
	if (map->type != POLICY_NODE_MAP)
		return NULL;
	for (struct policy_node *at = map->first; at; at = at->next->next)
		if (at->type == POLICY_NODE_TEXT && strcmp(at->text, key) == 0)
			return at->next;
	return NULL;
}
