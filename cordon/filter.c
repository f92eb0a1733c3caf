/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A recursive descent over words, into a fixed number of nodes; an expression that is too deep or too long is refused.
 */
#include "cordon/filter.h"

#include <arpa/inet.h>

#include "base/base.h"
#include "cordon/flow_json.h"
#include "policies/policies.h"

enum { FILTER_NODES_MAX = 128, FILTER_DEPTH_MAX = 32, FILTER_WORD_MAX = 128 };

enum filter_kind {
	FILTER_AND,
	FILTER_OR,
	FILTER_NOT,
	FILTER_GUEST,
	FILTER_PROTO,
	FILTER_DIRECTION,
	FILTER_OUTCOME,
	FILTER_APP,
	FILTER_HOST,
	FILTER_SRC,
	FILTER_DST,
	FILTER_PORT,
	FILTER_SPORT,
	FILTER_DPORT,
	FILTER_BYTES,
	FILTER_PACKETS,
};

struct filter_node {
	enum filter_kind kind;
	int left, right; /* of AND, OR, NOT */
	char word[FILTER_WORD_MAX];
	struct policy_cidr cidr;
	uint16_t first, last; /* ports */
	bool above;           /* BYTES, PACKETS: more than `size`, else less */
	uint64_t size;
};

struct filter {
	struct filter_node nodes[FILTER_NODES_MAX];
	int count, root;
};

static const struct filter_word {
	const char *word;
	enum filter_kind kind;
	const char *expected;
} filter_words[] = {
        {"guest", FILTER_GUEST, "a guest's name"},
        {"proto", FILTER_PROTO, "a protocol such as tcp, or its number"},
        {"direction", FILTER_DIRECTION, "in or out"},
        {"outcome", FILTER_OUTCOME,
         "unanswered, unreachable, refused, answered, established or closed"},
        {"app", FILTER_APP, "an application such as tls"},
        {"host", FILTER_HOST, "an address or a CIDR"},
        {"src", FILTER_SRC, "an address or a CIDR"},
        {"dst", FILTER_DST, "an address or a CIDR"},
        {"port", FILTER_PORT, "a port, or a range such as 8000-8080"},
        {"sport", FILTER_SPORT, "a port, or a range such as 8000-8080"},
        {"dport", FILTER_DPORT, "a port, or a range such as 8000-8080"},
        {"bytes", FILTER_BYTES, "> or <, and a size such as 64K"},
        {"packets", FILTER_PACKETS, "> or <, and a number"},
};

/* --- reading --- */

struct filter_reader {
	const char *at;
	char word[FILTER_WORD_MAX]; /* the one that is looked at; "": the end */
	struct filter *filter;
	int depth;
	char *why;
};

static void filter_next(struct filter_reader *reader)
{
	size_t size;

	reader->at += strspn(reader->at, " \t\n");
	size = strchr("()<>", *reader->at) && *reader->at ? 1 : strcspn(reader->at, " \t\n()<>");
	snprintf(reader->word, sizeof(reader->word), "%.*s",
	         (int)BASE_MIN(size, sizeof(reader->word) - 1), reader->at);
	reader->at += size;
}

static int filter_refuse(struct filter_reader *reader, const char *expected)
{
	if (!reader->why[0])
		snprintf(reader->why, FILTER_WHY_MAX, "found %s%.40s%s, expected %.90s",
		         reader->word[0] ? "'" : "the end", reader->word,
		         reader->word[0] ? "'" : "", expected);
	return -1;
}

static int filter_add(struct filter_reader *reader, enum filter_kind kind, int left, int right)
{
	struct filter *filter = reader->filter;

	if (filter->count == FILTER_NODES_MAX) {
		if (!reader->why[0])
			snprintf(reader->why, FILTER_WHY_MAX, "it has more than %d terms",
			         FILTER_NODES_MAX);
		return -1;
	}
	filter->nodes[filter->count] =
	        (struct filter_node){.kind = kind, .left = left, .right = right};
	return filter->count++;
}

static bool filter_ports(struct filter_node *node, const char *text)
{
	unsigned int first, last;
	int used = 0;

	if (sscanf(text, "%u%n", &first, &used) != 1 || used == 0)
		return false;
	last = first;
	if (text[used] == '-' && sscanf(text + used + 1, "%u", &last) != 1)
		return false;
	if ((text[used] && text[used] != '-') || first > last || last > UINT16_MAX ||
	    strspn(text, "0123456789-") != strlen(text))
		return false;
	node->first = (uint16_t)first;
	node->last = (uint16_t)last;
	return true;
}

static bool filter_among(const char *word, const char *words)
{
	char spaced[FILTER_WORD_MAX + 2];

	snprintf(spaced, sizeof(spaced), " %.100s ", word);
	return strstr(words, spaced) != NULL;
}

/* The value of a term is the word that is looked at. */
static bool filter_value(struct filter_reader *reader, struct filter_node *node)
{
	bool host_bits;

	base_copy_string(node->word, sizeof(node->word), reader->word);
	switch (node->kind) {
	case FILTER_DIRECTION: return filter_among(node->word, " in out ");
	case FILTER_OUTCOME:
		return filter_among(node->word,
		                    " unanswered unreachable refused answered established closed ");
	case FILTER_HOST:
	case FILTER_SRC:
	case FILTER_DST: return policy_value_cidr(node->word, &node->cidr, &host_bits) == 0;
	case FILTER_PORT:
	case FILTER_SPORT:
	case FILTER_DPORT: return filter_ports(node, node->word);
	case FILTER_BYTES:
	case FILTER_PACKETS:
		if (strcmp(node->word, ">") != 0 && strcmp(node->word, "<") != 0)
			return false;
		node->above = node->word[0] == '>';
		filter_next(reader);
		return policy_value_size(reader->word, &node->size) == 0;
	default: return node->word[0] && !strchr("()<>", node->word[0]);
	}
}

static int filter_term(struct filter_reader *reader)
{
	for (size_t i = 0; i < BASE_COUNT(filter_words); i++) {
		const struct filter_word *word = &filter_words[i];
		int node;

		if (strcmp(word->word, reader->word) != 0)
			continue;
		node = filter_add(reader, word->kind, -1, -1);
		if (node < 0)
			return -1;
		filter_next(reader);
		if (!filter_value(reader, &reader->filter->nodes[node]))
			return filter_refuse(reader, word->expected);
		filter_next(reader);
		return node;
	}
	return filter_refuse(reader, "guest, proto, direction, outcome, app, host, src, dst, port, "
	                             "sport, dport, bytes, packets");
}

static int filter_or(struct filter_reader *reader);

static int filter_not(struct filter_reader *reader)
{
	int node;

	if (++reader->depth > FILTER_DEPTH_MAX)
		return filter_refuse(reader, "less depth");
	if (strcmp(reader->word, "not") == 0) {
		filter_next(reader);
		node = filter_not(reader);
		node = node < 0 ? -1 : filter_add(reader, FILTER_NOT, node, -1);
	} else if (strcmp(reader->word, "(") == 0) {
		filter_next(reader);
		node = filter_or(reader);
		if (node >= 0 && strcmp(reader->word, ")") != 0)
			return filter_refuse(reader, "and, or, or ')'");
		filter_next(reader);
	} else
		node = filter_term(reader);
	reader->depth--;
	return node;
}

static int filter_and(struct filter_reader *reader)
{
	int left = filter_not(reader);

	while (left >= 0 && strcmp(reader->word, "and") == 0) {
		int right;

		filter_next(reader);
		right = filter_not(reader);
		left = right < 0 ? -1 : filter_add(reader, FILTER_AND, left, right);
	}
	return left;
}

static int filter_or(struct filter_reader *reader)
{
	int left = filter_and(reader);

	while (left >= 0 && strcmp(reader->word, "or") == 0) {
		int right;

		filter_next(reader);
		right = filter_and(reader);
		left = right < 0 ? -1 : filter_add(reader, FILTER_OR, left, right);
	}
	return left;
}

struct filter *filter_make(const char *text, char why[FILTER_WHY_MAX])
{
	struct filter *filter = calloc(1, sizeof(*filter));
	struct filter_reader reader = {.at = text, .filter = filter, .why = why};

	why[0] = '\0';
	if (!filter) {
		snprintf(why, FILTER_WHY_MAX, "there is no memory");
		return NULL;
	}
	filter_next(&reader);
	filter->root = filter_or(&reader);
	if (filter->root >= 0 && reader.word[0])
		filter->root = filter_refuse(&reader, "and, or, or the end");
	if (filter->root >= 0)
		return filter;
	filter_free(filter);
	return NULL;
}

void filter_free(struct filter *filter)
{
	free(filter);
}

/* --- asking --- */

static bool filter_address(const json_t *flow, const char *side, const struct policy_cidr *cidr)
{
	const char *text = flow_json_text(flow, side, "ip");
	const bool v6 = strchr(text, ':') != NULL;
	uint8_t address[16] = {0};

	if ((cidr->family == 6) != v6 || inet_pton(v6 ? AF_INET6 : AF_INET, text, address) != 1)
		return false;
	for (unsigned int bit = 0; bit < cidr->prefix; bit++)
		if ((address[bit / 8] ^ cidr->addr[bit / 8]) & 0x80 >> bit % 8)
			return false;
	return true;
}

static bool filter_port(const json_t *flow, const char *side, const struct filter_node *node)
{
	const json_t *port = json_object_get(json_object_get(flow, side), "port");

	return json_is_integer(port) && json_integer_value(port) >= node->first &&
	       json_integer_value(port) <= node->last;
}

static bool filter_amount(const json_t *flow, const char *key, const struct filter_node *node)
{
	const json_int_t value = flow_json_number(flow, "network", key);

	return node->above ? (uint64_t)value > node->size : (uint64_t)value < node->size;
}

static bool filter_outcome(const json_t *flow, const char *word)
{
	const char *outcome = flow_json_text(flow, "cordon", "outcome");

	return strcmp(outcome, strcmp(word, "unanswered") == 0 ? "no answer" : word) == 0;
}

static bool filter_asks(const struct filter *filter, int index, const json_t *flow)
{
	const struct filter_node *node = &filter->nodes[index];

	switch (node->kind) {
	case FILTER_AND:
		return filter_asks(filter, node->left, flow) &&
		       filter_asks(filter, node->right, flow);
	case FILTER_OR:
		return filter_asks(filter, node->left, flow) ||
		       filter_asks(filter, node->right, flow);
	case FILTER_NOT: return !filter_asks(filter, node->left, flow);
	case FILTER_GUEST: return strcmp(flow_json_text(flow, "host", "name"), node->word) == 0;
	case FILTER_PROTO:
		return strcmp(flow_json_text(flow, "network", "transport"), node->word) == 0 ||
		       strcmp(flow_json_text(flow, "network", "iana_number"), node->word) == 0 ||
		       strcmp(flow_json_text(flow, "network", "type"), node->word) == 0;
	case FILTER_DIRECTION:
		return strcmp(flow_json_text(flow, "network", "direction"),
		              node->word[0] == 'i' ? "ingress" : "egress") == 0;
	case FILTER_OUTCOME: return filter_outcome(flow, node->word);
	case FILTER_APP:
		return strcmp(flow_json_text(flow, "network", "protocol"), node->word) == 0;
	case FILTER_HOST:
		return filter_address(flow, "source", &node->cidr) ||
		       filter_address(flow, "destination", &node->cidr);
	case FILTER_SRC: return filter_address(flow, "source", &node->cidr);
	case FILTER_DST: return filter_address(flow, "destination", &node->cidr);
	case FILTER_PORT:
		return filter_port(flow, "source", node) || filter_port(flow, "destination", node);
	case FILTER_SPORT: return filter_port(flow, "source", node);
	case FILTER_DPORT: return filter_port(flow, "destination", node);
	case FILTER_BYTES: return filter_amount(flow, "bytes", node);
	case FILTER_PACKETS: return filter_amount(flow, "packets", node);
	}
	return false;
}

bool filter_has(const struct filter *filter, const json_t *flow)
{
	return !filter || filter_asks(filter, filter->root, flow);
}
