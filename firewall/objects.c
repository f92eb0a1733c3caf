/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Chains, elements, sets and quotas, as this room writes them, put into netlink's form: see compile.c for rules. */
#include <arpa/inet.h>
#include <linux/netfilter.h>

#include "firewall/batch.h"

static uint8_t family_of(const char *word)
{
	return strcmp(word, "inet") == 0     ? NFPROTO_INET
	       : strcmp(word, "bridge") == 0 ? NFPROTO_BRIDGE
	       : strcmp(word, "netdev") == 0 ? NFPROTO_NETDEV
	                                     : NFPROTO_UNSPEC;
}

static bool hex(const char *word, uint8_t *to, size_t size)
{
	if (strlen(word) != 2 + 2 * size || strncmp(word, "0x", 2) != 0)
		return false;
	for (size_t i = 0; i < size; i++)
		if (sscanf(word + 2 + 2 * i, "%2hhx", &to[i]) != 1)
			return false;
	return true;
}

/* One part of a key as a register holds it; its size, or 0. What a plain number is depends on the set. */
static size_t compile_part(const char *set, const char *word, uint8_t to[16])
{
	unsigned long value;
	uint32_t mark;
	uint16_t port;
	char end;

	memset(to, 0, 16);
	if (*word == '"')
		return base_copy_string((char *)to, 16, word + 1) == 0 ? 16 : 0;
	if (inet_pton(AF_INET, word, to) == 1)
		return 4;
	if (inet_pton(AF_INET6, word, to) == 1 || hex(word, to, 16))
		return 16;
	if (strlen(word) == 17 && sscanf(word, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &to[0],
	                                 &to[1], &to[2], &to[3], &to[4], &to[5], &end) == 6)
		return 6;
	if (hex(word, to, 6))
		return 6;
	if (strcmp(set, "drops") == 0 || strncmp(set, "known_", 6) == 0) {
		if (!batch_number(word, 0, UINT32_MAX, &value))
			return 0;
		mark = (uint32_t)value;
		memcpy(to, &mark, sizeof(mark));
		return sizeof(mark);
	}
	if (strcmp(word, "tcp") == 0 || strcmp(word, "udp") == 0) {
		to[0] = *word == 't' ? IPPROTO_TCP : IPPROTO_UDP;
		return 1;
	}
	if (!batch_number(word, 10, UINT16_MAX, &value))
		return 0;
	port = htons((uint16_t)value);
	memcpy(to, &port, sizeof(port));
	return sizeof(port);
}

/* KEY [ . KEY … ]: parts of more than one are filled up to four bytes each. */
static bool compile_key(struct batch_line *c, const char *set)
{
	uint8_t key[64], part[16];
	size_t size = 0, last;

	do {
		last = compile_part(set, batch_next(c), part);
		if (!last || size + sizeof(part) > sizeof(key))
			return false;
		memcpy(key + size, part, sizeof(part));
		size += (last + 3) & ~3ul;
	} while (batch_take(c, "."));
	if (size == ((last + 3) & ~3ul))
		size = last;
	batch_value(c->batch, NFTA_SET_ELEM_KEY, key, size);
	return true;
}

static bool compile_data(struct batch_line *c, const char *set)
{
	uint8_t data[16];
	size_t size;

	if (batch_take(c, "jump")) {
		batch_verdict(c->batch, NFTA_SET_ELEM_DATA, NFT_JUMP, batch_next(c));
		return true;
	}
	if (batch_take(c, "goto")) {
		batch_verdict(c->batch, NFTA_SET_ELEM_DATA, NFT_GOTO, batch_next(c));
		return true;
	}
	size = compile_part(set, batch_next(c), data);
	batch_value(c->batch, NFTA_SET_ELEM_DATA, data, size);
	return size;
}

static int compile_elements(struct batch_line *c, uint16_t type, uint16_t flags, const char *set)
{
	struct batch *batch = c->batch;
	struct nlattr *list, *element;

	if (!batch_take(c, "{"))
		return -EOPNOTSUPP;
	batch_begin(batch, type, flags, c->family);
	mnl_attr_put_strz(batch->message, NFTA_SET_ELEM_LIST_TABLE, "cordon");
	mnl_attr_put_strz(batch->message, NFTA_SET_ELEM_LIST_SET, set);
	list = mnl_attr_nest_start(batch->message, NFTA_SET_ELEM_LIST_ELEMENTS);
	while (!batch_take(c, "}")) {
		element = mnl_attr_nest_start(batch->message, NFTA_LIST_ELEM);
		if (!compile_key(c, set) || (batch_take(c, ":") && !compile_data(c, set)))
			return -EOPNOTSUPP;
		mnl_attr_nest_end(batch->message, element);
	}
	mnl_attr_nest_end(batch->message, list);
	batch_end(batch);
	return batch_done(c) ? 0 : -EOPNOTSUPP;
}

/* ---- chains ---- */

/* "{ type filter hook ingress device TAP priority N ; policy drop ; }" */
static bool compile_hook(struct batch_line *c)
{
	struct nlmsghdr *message = c->batch->message;
	struct nlattr *hook;
	const char *tap;
	int priority;

	if (!batch_take(c, "type") || !batch_take(c, "filter") || !batch_take(c, "hook") ||
	    !batch_take(c, "ingress") || !batch_take(c, "device"))
		return false;
	tap = batch_next(c);
	if (*tap != '"' || !batch_take(c, "priority") ||
	    sscanf(batch_next(c), "%d", &priority) != 1 || !batch_take(c, ";") ||
	    !batch_take(c, "policy") || !batch_take(c, "drop") || !batch_take(c, ";") ||
	    !batch_take(c, "}"))
		return false;
	hook = mnl_attr_nest_start(message, NFTA_CHAIN_HOOK);
	batch_u32(c->batch, NFTA_HOOK_HOOKNUM, NF_NETDEV_INGRESS);
	batch_u32(c->batch, NFTA_HOOK_PRIORITY, (uint32_t)priority);
	mnl_attr_put_strz(message, NFTA_HOOK_DEV, tap + 1);
	mnl_attr_nest_end(message, hook);
	batch_u32(c->batch, NFTA_CHAIN_POLICY, NF_DROP);
	mnl_attr_put_strz(message, NFTA_CHAIN_TYPE, "filter");
	return true;
}

static int compile_chain(struct batch_line *c, uint16_t type, uint16_t flags, const char *chain)
{
	batch_begin(c->batch, type, flags, c->family);
	mnl_attr_put_strz(c->batch->message, NFTA_CHAIN_TABLE, "cordon");
	mnl_attr_put_strz(c->batch->message, NFTA_CHAIN_NAME, chain);
	if (batch_take(c, "{") && !compile_hook(c))
		return -EOPNOTSUPP;
	batch_end(c->batch);
	return batch_done(c) ? 0 : -EOPNOTSUPP;
}

/* A rule message without a rule means all of the chain's. */
static int compile_flush(struct batch_line *c, const char *chain)
{
	batch_begin(c->batch, NFT_MSG_DELRULE, 0, c->family);
	mnl_attr_put_strz(c->batch->message, NFTA_RULE_TABLE, "cordon");
	mnl_attr_put_strz(c->batch->message, NFTA_RULE_CHAIN, chain);
	batch_end(c->batch);
	return batch_done(c) ? 0 : -EOPNOTSUPP;
}

/* ---- sets and quotas ---- */

/* In the notes: of a set, how its keys are ordered; of an element, that it has no end. */
enum { NOTE_ORDER = 0, NOTE_FLAGS = 1, NOTE_HOST = 1, NOTE_NETWORK = 2, NOTE_OPEN = 1 };

/* Types as libnftables numbers them, and how long their values are. */
static const struct type {
	const char *name;
	uint32_t number, size;
} types[] = {
        {"ipv4_addr", 7, 4}, {"ipv6_addr", 8, 16}, {"inet_service", 13, 2}, {"ifname", 41, 16}};

static const struct type *type_of(const char *word)
{
	for (size_t i = 0; i < BASE_COUNT(types); i++)
		if (strcmp(types[i].name, word) == 0)
			return &types[i];
	return NULL;
}

/* The value behind this one; false: there is none. */
static bool after(uint8_t *value, size_t size)
{
	for (size_t i = size; i-- > 0;)
		if (++value[i])
			return true;
	return false;
}

static bool port_range(const char *word, uint8_t first[16], uint8_t last[16])
{
	const char *dash = strchr(word, '-');
	unsigned long value;
	char text[8];

	snprintf(text, sizeof(text), "%.*s", dash ? (int)(dash - word) : 7, word);
	if (!batch_number(text, 10, UINT16_MAX, &value))
		return false;
	first[0] = (uint8_t)(value >> 8);
	first[1] = (uint8_t)value;
	if (dash && !batch_number(dash + 1, 10, UINT16_MAX, &value))
		return false;
	last[0] = (uint8_t)(value >> 8);
	last[1] = (uint8_t)value;
	return true;
}

/* "ADDRESS/PREFIX", or "FIRST-LAST" of ports, and either alone. */
static bool range_of(const struct type *type, const char *word, uint8_t first[16], uint8_t last[16])
{
	const char *slash = strchr(word, '/');
	char text[INET6_ADDRSTRLEN];
	unsigned long prefix = type->size * 8ul;

	size_t length = slash ? (size_t)(slash - word) : strlen(word);

	if (type->size == 2)
		return port_range(word, first, last);
	if (length >= sizeof(text))
		return false;
	memcpy(text, word, length);
	text[length] = '\0';
	if ((slash && !batch_number(slash + 1, 10, prefix, &prefix)) ||
	    inet_pton(type->size == 4 ? AF_INET : AF_INET6, text, first) != 1)
		return false;
	memcpy(last, first, type->size);
	for (size_t i = prefix; i < type->size * 8ul; i++)
		last[i / 8] |= (uint8_t)(0x80u >> i % 8);
	return memcmp(first, last, type->size) <= 0;
}

/* A number in the notes that libnftables leaves for itself: type, length, value as the host has it. */
static void put_note(struct batch *batch, uint16_t attribute, uint8_t type, uint32_t value)
{
	uint8_t note[2 + sizeof(value)] = {type, sizeof(value)};

	memcpy(note + 2, &value, sizeof(value));
	mnl_attr_put(batch->message, attribute, sizeof(note), note);
}

enum element { BEGIN, END, BEGIN_OF_LAST /* which has no end: there is nothing behind it */ };

static void put_element(struct batch *batch, const uint8_t *key, size_t size, enum element kind)
{
	struct nlattr *element = mnl_attr_nest_start(batch->message, NFTA_LIST_ELEM);

	if (kind == END)
		batch_u32(batch, NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
	batch_value(batch, NFTA_SET_ELEM_KEY, key, size);
	if (kind == BEGIN_OF_LAST)
		put_note(batch, NFTA_SET_ELEM_USERDATA, NOTE_FLAGS, NOTE_OPEN);
	mnl_attr_nest_end(batch->message, element);
}

/*
 * "ELEMENT, … }" of an interval set, in ascending order: the kernel has where each interval begins and where it has
 * ended, and libnftables an end at zero, before the first.
 */
static int compile_intervals(struct batch_line *c, const char *set, const struct type *type)
{
	uint8_t first[16] = {0}, end[16] = {0};
	static const uint8_t zero[16];
	struct batch *batch = c->batch;
	struct nlattr *list;
	bool any = false, ends;

	batch_begin(batch, NFT_MSG_NEWSETELEM, NLM_F_CREATE, c->family);
	mnl_attr_put_strz(batch->message, NFTA_SET_ELEM_LIST_TABLE, "cordon");
	mnl_attr_put_strz(batch->message, NFTA_SET_ELEM_LIST_SET, set);
	list = mnl_attr_nest_start(batch->message, NFTA_SET_ELEM_LIST_ELEMENTS);
	while (!batch_take(c, "}")) {
		if (batch->message->nlmsg_len > BATCH_MESSAGE - 256 ||
		    !range_of(type, batch_next(c), first, end))
			return -EOPNOTSUPP;
		if (!any && memcmp(first, zero, type->size) != 0)
			put_element(batch, zero, type->size, END);
		ends = after(end, type->size);
		put_element(batch, first, type->size, ends ? BEGIN : BEGIN_OF_LAST);
		if (ends)
			put_element(batch, end, type->size, END);
		any = true;
	}
	mnl_attr_nest_end(batch->message, list);
	batch_end(batch);
	return any ? 0 : -EOPNOTSUPP;
}

/* "{ type TYPE ; [ flags interval | timeout ; ] [ size N ; ] [ elements = { … } ; ] }" */
static int compile_set(struct batch_line *c, const char *set)
{
	struct batch *batch = c->batch;
	const struct type *type;
	unsigned long size = 0;
	uint32_t flags = 0;
	struct nlattr *nest;

	if (!batch_take(c, "{") || !batch_take(c, "type"))
		return -EOPNOTSUPP;
	type = type_of(batch_next(c));
	if (!type || !batch_take(c, ";"))
		return -EOPNOTSUPP;
	if (batch_take(c, "flags")) {
		flags = batch_take(c, "interval")  ? NFT_SET_INTERVAL
		        : batch_take(c, "timeout") ? NFT_SET_TIMEOUT
		                                   : 0;
		if (!flags || !batch_take(c, ";"))
			return -EOPNOTSUPP;
	}
	if (batch_take(c, "size") &&
	    (!batch_number(batch_next(c), 10, UINT32_MAX, &size) || !batch_take(c, ";")))
		return -EOPNOTSUPP;
	batch_begin(batch, NFT_MSG_NEWSET, NLM_F_CREATE, c->family);
	mnl_attr_put_strz(batch->message, NFTA_SET_TABLE, "cordon");
	mnl_attr_put_strz(batch->message, NFTA_SET_NAME, set);
	batch_u32(batch, NFTA_SET_FLAGS, flags);
	batch_u32(batch, NFTA_SET_KEY_TYPE, type->number);
	batch_u32(batch, NFTA_SET_KEY_LEN, type->size);
	batch_u32(batch, NFTA_SET_ID, batch->sequence);
	if (size) {
		nest = mnl_attr_nest_start(batch->message, NFTA_SET_DESC);
		batch_u32(batch, NFTA_SET_DESC_SIZE, (uint32_t)size);
		mnl_attr_nest_end(batch->message, nest);
	}
	put_note(batch, NFTA_SET_USERDATA, NOTE_ORDER,
	         strcmp(type->name, "ifname") == 0 ? NOTE_HOST : NOTE_NETWORK);
	batch_end(batch);
	if (batch_take(c, "elements")) {
		if (flags != NFT_SET_INTERVAL || !batch_take(c, "=") || !batch_take(c, "{") ||
		    compile_intervals(c, set, type) || !batch_take(c, ";"))
			return -EOPNOTSUPP;
	}
	return batch_take(c, "}") && batch_done(c) ? 0 : -EOPNOTSUPP;
}

static int compile_no_set(struct batch_line *c, const char *set)
{
	batch_begin(c->batch, NFT_MSG_DELSET, 0, c->family);
	mnl_attr_put_strz(c->batch->message, NFTA_SET_TABLE, "cordon");
	mnl_attr_put_strz(c->batch->message, NFTA_SET_NAME, set);
	batch_end(c->batch);
	return batch_done(c) ? 0 : -EOPNOTSUPP;
}

/* "{ over N bytes }", or nothing, to delete it */
static int compile_quota(struct batch_line *c, bool add, const char *quota)
{
	struct batch *batch = c->batch;
	unsigned long bytes;
	struct nlattr *nest;

	batch_begin(batch, add ? NFT_MSG_NEWOBJ : NFT_MSG_DELOBJ, add ? NLM_F_CREATE : 0,
	            c->family);
	mnl_attr_put_strz(batch->message, NFTA_OBJ_TABLE, "cordon");
	mnl_attr_put_strz(batch->message, NFTA_OBJ_NAME, quota);
	batch_u32(batch, NFTA_OBJ_TYPE, NFT_OBJECT_QUOTA);
	if (add) {
		if (!batch_take(c, "{") || !batch_take(c, "over") ||
		    !batch_number(batch_next(c), 10, UINT64_MAX, &bytes) ||
		    !batch_take(c, "bytes") || !batch_take(c, "}"))
			return -EOPNOTSUPP;
		nest = mnl_attr_nest_start(batch->message, NFTA_OBJ_DATA);
		mnl_attr_put_u64(batch->message, NFTA_QUOTA_BYTES, htobe64(bytes));
		batch_u32(batch, NFTA_QUOTA_FLAGS, NFT_QUOTA_F_INV);
		mnl_attr_nest_end(batch->message, nest);
	}
	batch_end(batch);
	return batch_done(c) ? 0 : -EOPNOTSUPP;
}

int batch_compile(struct batch *batch, char *line)
{
	struct batch_line c = {.batch = batch};
	const char *verb, *object, *name;

	if (*line == '#')
		return 0;
	if (!batch_split(&c.words, line))
		return -EOPNOTSUPP;
	verb = batch_next(&c);
	object = batch_next(&c);
	c.family = family_of(batch_next(&c));
	if (!c.family || !batch_take(&c, "cordon"))
		return -EOPNOTSUPP;
	name = batch_next(&c);
	if (strcmp(object, "chain") == 0 && strcmp(verb, "add") == 0)
		return compile_chain(&c, NFT_MSG_NEWCHAIN, NLM_F_CREATE, name);
	if (strcmp(object, "chain") == 0 && strcmp(verb, "delete") == 0)
		return compile_chain(&c, NFT_MSG_DELCHAIN, 0, name);
	if (strcmp(object, "chain") == 0 && strcmp(verb, "flush") == 0)
		return compile_flush(&c, name);
	if (strcmp(object, "set") == 0 && strcmp(verb, "add") == 0)
		return compile_set(&c, name);
	if (strcmp(object, "set") == 0 && strcmp(verb, "delete") == 0)
		return compile_no_set(&c, name);
	if (strcmp(object, "quota") == 0 &&
	    (strcmp(verb, "add") == 0 || strcmp(verb, "delete") == 0))
		return compile_quota(&c, *verb == 'a', name);
	if (strcmp(object, "rule") == 0 && strcmp(verb, "add") == 0)
		return batch_rule(&c, name);
	if (strcmp(object, "element") == 0 && strcmp(verb, "add") == 0)
		return compile_elements(&c, NFT_MSG_NEWSETELEM, NLM_F_CREATE, name);
	if (strcmp(object, "element") == 0 && strcmp(verb, "delete") == 0)
		return compile_elements(&c, NFT_MSG_DELSETELEM, 0, name);
	return -EOPNOTSUPP;
}
