/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a rule does beside matching, as libnftables has it in netlink: limits, quotas, the log, rejections, and where a
 * forwarded port leads. See compile.c.
 */
#include <arpa/inet.h>
#include <linux/netfilter.h>

#include "firewall/batch.h"

enum { LIMIT_SECONDS = 1 };

static void put_u64(struct batch *batch, uint16_t type, uint64_t value)
{
	mnl_attr_put_u64(batch->message, type, htobe64(value));
}

/* "rate [over] N/second burst N packets", or "… N bytes/second burst N bytes", as the data of a limit. */
static bool compile_limit(struct batch_line *c)
{
	unsigned long rate, burst;
	bool over, bytes;
	char *slash;

	if (!batch_take(c, "rate"))
		return false;
	over = batch_take(c, "over");
	char *word = (char *)(uintptr_t)batch_next(c);
	slash = strchr(word, '/');
	if (slash && strcmp(slash, "/second") != 0)
		return false;
	if (slash)
		*slash = '\0';
	bytes = !slash;
	if (bytes && !batch_take(c, "bytes/second"))
		return false;
	if (!batch_number(word, 10, UINT64_MAX, &rate) || !batch_take(c, "burst") ||
	    !batch_number(batch_next(c), 10, UINT32_MAX, &burst) ||
	    !batch_take(c, bytes ? "bytes" : "packets"))
		return false;
	put_u64(c->batch, NFTA_LIMIT_RATE, rate);
	put_u64(c->batch, NFTA_LIMIT_UNIT, LIMIT_SECONDS);
	batch_u32(c->batch, NFTA_LIMIT_BURST, (uint32_t)burst);
	batch_u32(c->batch, NFTA_LIMIT_TYPE, bytes ? NFT_LIMIT_PKT_BYTES : NFT_LIMIT_PKTS);
	batch_u32(c->batch, NFTA_LIMIT_FLAGS, over ? NFT_LIMIT_F_INV : 0);
	return true;
}

static bool limit(struct batch_line *c)
{
	struct nlattr *data, *element = batch_expression(c->batch, "limit", &data);
	bool known = compile_limit(c);

	batch_expression_end(c->batch, element, data);
	return known;
}

/* "@SET { iifname limit … }" */
static bool update(struct batch_line *c)
{
	const char *set = batch_next(c);
	struct nlattr *data, *element, *nest, *inner;
	uint32_t key;
	bool known;

	if (*set != '@' || !batch_take(c, "{"))
		return false;
	key = batch_take(c, "iifname")   ? NFT_META_IIFNAME
	      : batch_take(c, "oifname") ? NFT_META_OIFNAME
	                                 : 0;
	if (!key || !batch_take(c, "limit"))
		return false;
	batch_meta(c, key);
	element = batch_expression(c->batch, "dynset", &data);
	batch_u32(c->batch, NFTA_DYNSET_SREG_KEY, NFT_REG_1);
	batch_u32(c->batch, NFTA_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
	mnl_attr_put_strz(c->batch->message, NFTA_DYNSET_SET_NAME, set + 1);
	nest = mnl_attr_nest_start(c->batch->message, NFTA_DYNSET_EXPR);
	mnl_attr_put_strz(c->batch->message, NFTA_EXPR_NAME, "limit");
	inner = mnl_attr_nest_start(c->batch->message, NFTA_EXPR_DATA);
	known = compile_limit(c) && batch_take(c, "}");
	mnl_attr_nest_end(c->batch->message, inner);
	mnl_attr_nest_end(c->batch->message, nest);
	batch_expression_end(c->batch, element, data);
	return known;
}

/* "prefix "TEXT" group N [ snaplen N ]" */
static bool logs(struct batch_line *c)
{
	struct nlattr *data, *element;
	unsigned long group, length = 0;
	const char *prefix;

	if (!batch_take(c, "prefix"))
		return false;
	prefix = batch_next(c);
	if (*prefix != '"' || !batch_take(c, "group") ||
	    !batch_number(batch_next(c), 10, UINT16_MAX, &group))
		return false;
	if (batch_take(c, "snaplen") && !batch_number(batch_next(c), 10, UINT32_MAX, &length))
		return false;
	element = batch_expression(c->batch, "log", &data);
	mnl_attr_put_strz(c->batch->message, NFTA_LOG_PREFIX, prefix + 1);
	mnl_attr_put_u16(c->batch->message, NFTA_LOG_GROUP, htons((uint16_t)group));
	if (length)
		batch_u32(c->batch, NFTA_LOG_SNAPLEN, (uint32_t)length);
	batch_expression_end(c->batch, element, data);
	return true;
}

/* "with tcp reset", "with icmpx admin-prohibited" */
static bool rejects(struct batch_line *c)
{
	struct nlattr *data, *element;
	bool reset;

	if (!batch_take(c, "with"))
		return false;
	reset = batch_take(c, "tcp") && batch_take(c, "reset");
	if (!reset && (!batch_take(c, "icmpx") || !batch_take(c, "admin-prohibited")))
		return false;
	/* who it is an answer to has to be said: the kernel has one kind of reset for all */
	if (reset && c->protocol != IPPROTO_TCP)
		return false;
	element = batch_expression(c->batch, "reject", &data);
	batch_u32(c->batch, NFTA_REJECT_TYPE,
	          reset ? NFT_REJECT_TCP_RST : NFT_REJECT_ICMPX_UNREACH);
	if (!reset)
		mnl_attr_put_u8(c->batch->message, NFTA_REJECT_ICMP_CODE,
		                NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
	batch_expression_end(c->batch, element, data);
	return true;
}

/* "name "NAME"" */
static bool quota(struct batch_line *c)
{
	struct nlattr *data, *element;
	const char *name;

	if (!batch_take(c, "name"))
		return false;
	name = batch_next(c);
	if (*name != '"')
		return false;
	element = batch_expression(c->batch, "objref", &data);
	batch_u32(c->batch, NFTA_OBJREF_IMM_TYPE, NFT_OBJECT_QUOTA);
	mnl_attr_put_strz(c->batch->message, NFTA_OBJREF_IMM_NAME, name + 1);
	batch_expression_end(c->batch, element, data);
	return true;
}

bool batch_connections(struct batch_line *c)
{
	struct nlattr *data, *element;
	unsigned long count;

	if (!batch_take(c, "over") || !batch_number(batch_next(c), 10, UINT32_MAX, &count))
		return false;
	element = batch_expression(c->batch, "connlimit", &data);
	batch_u32(c->batch, NFTA_CONNLIMIT_COUNT, (uint32_t)count);
	batch_u32(c->batch, NFTA_CONNLIMIT_FLAGS, NFT_CONNLIMIT_F_INV);
	batch_expression_end(c->batch, element, data);
	return true;
}

static void load(struct batch_line *c, uint32_t to, const void *value, size_t size)
{
	struct nlattr *data, *element = batch_expression(c->batch, "immediate", &data);

	batch_u32(c->batch, NFTA_IMMEDIATE_DREG, to);
	batch_value(c->batch, NFTA_IMMEDIATE_DATA, value, size);
	batch_expression_end(c->batch, element, data);
}

/* "ip to ADDRESS:PORT", "ip6 to [ADDRESS]:PORT"; the expression itself is for packets of its family only */
static bool forwards(struct batch_line *c)
{
	const bool v6 = batch_take(c, "ip6");
	struct nlattr *data, *element;
	char text[INET6_ADDRSTRLEN];
	uint8_t address[16];
	unsigned long port;
	uint16_t number;

	if ((!v6 && !batch_take(c, "ip")) || !batch_take(c, "to"))
		return false;
	const char *word = batch_next(c), *colon = strrchr(word, ':');
	size_t length = colon ? (size_t)(colon - word) : 0;

	if (v6 && (length < 2 || word[0] != '[' || word[--length] != ']'))
		return false;
	word += v6;
	length -= v6;
	if (!colon || length >= sizeof(text) || !batch_number(colon + 1, 10, UINT16_MAX, &port))
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)length, word);
	if (inet_pton(v6 ? AF_INET6 : AF_INET, text, address) != 1)
		return false;
	number = htons((uint16_t)port);
	load(c, NFT_REG_1, address, v6 ? 16 : 4);
	load(c, NFT_REG_2, &number, sizeof(number));
	element = batch_expression(c->batch, "nat", &data);
	batch_u32(c->batch, NFTA_NAT_TYPE, NFT_NAT_DNAT);
	batch_u32(c->batch, NFTA_NAT_FAMILY, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	batch_u32(c->batch, NFTA_NAT_REG_ADDR_MIN, NFT_REG_1);
	batch_u32(c->batch, NFTA_NAT_REG_PROTO_MIN, NFT_REG_2);
	batch_expression_end(c->batch, element, data);
	return true;
}

bool batch_statement(struct batch_line *c, bool *known)
{
	static const struct {
		const char *word;
		bool (*compile)(struct batch_line *c);
	} statements[] = {{"limit", limit},    {"update", update}, {"log", logs},
	                  {"reject", rejects}, {"quota", quota},   {"dnat", forwards}};

	for (size_t i = 0; i < BASE_COUNT(statements); i++)
		if (batch_take(c, statements[i].word)) {
			*known = statements[i].compile(c);
			return true;
		}
	return false;
}
