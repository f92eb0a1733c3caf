/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Chains and elements, as this room writes them, put into netlink's form: see compile.c for rules. */
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

int batch_compile(struct batch *batch, char *line)
{
	struct batch_line c = {.batch = batch};
	const char *verb, *object, *name;

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
	if (strcmp(object, "rule") == 0 && strcmp(verb, "add") == 0)
		return batch_rule(&c, name);
	if (strcmp(object, "element") == 0 && strcmp(verb, "add") == 0)
		return compile_elements(&c, NFT_MSG_NEWSETELEM, NLM_F_CREATE, name);
	if (strcmp(object, "element") == 0 && strcmp(verb, "delete") == 0)
		return compile_elements(&c, NFT_MSG_DELSETELEM, 0, name);
	return -EOPNOTSUPP;
}
