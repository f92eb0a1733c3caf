/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The forms of words in which this room writes a VM's rules, put into the bytecode that libnftables would make of
 * them, with the same implied matches, so that `nft list` shows what was written: a test compares the two. What is
 * not known here is no error but -EOPNOTSUPP: libnftables takes it.
 */
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <netinet/if_ether.h>

#include "firewall/batch.h"

enum { REGISTER = NFT_REG_1 };

/* ---- expressions ---- */

void batch_meta(struct batch_line *c, uint32_t key)
{
	struct nlattr *data, *element = batch_expression(c->batch, "meta", &data);

	batch_u32(c->batch, NFTA_META_KEY, key);
	batch_u32(c->batch, NFTA_META_DREG, REGISTER);
	batch_expression_end(c->batch, element, data);
}

static void compare(struct batch_line *c, uint32_t how, const void *value, size_t size)
{
	struct nlattr *data, *element = batch_expression(c->batch, "cmp", &data);

	batch_u32(c->batch, NFTA_CMP_SREG, REGISTER);
	batch_u32(c->batch, NFTA_CMP_OP, how);
	batch_value(c->batch, NFTA_CMP_DATA, value, size);
	batch_expression_end(c->batch, element, data);
}

static void mask(struct batch_line *c, const void *and, const void * xor, size_t size)
{
	struct nlattr *data, *element = batch_expression(c->batch, "bitwise", &data);

	batch_u32(c->batch, NFTA_BITWISE_SREG, REGISTER);
	batch_u32(c->batch, NFTA_BITWISE_DREG, REGISTER);
	batch_u32(c->batch, NFTA_BITWISE_OP, NFT_BITWISE_BOOL);
	batch_u32(c->batch, NFTA_BITWISE_LEN, (uint32_t)size);
	batch_value(c->batch, NFTA_BITWISE_MASK, and, size);
	batch_value(c->batch, NFTA_BITWISE_XOR, xor, size);
	batch_expression_end(c->batch, element, data);
}

static void payload_to(struct batch_line *c, uint32_t to, uint32_t base, uint32_t offset,
                       uint32_t size)
{
	struct nlattr *data, *element = batch_expression(c->batch, "payload", &data);

	batch_u32(c->batch, NFTA_PAYLOAD_DREG, to);
	batch_u32(c->batch, NFTA_PAYLOAD_BASE, base);
	batch_u32(c->batch, NFTA_PAYLOAD_OFFSET, offset);
	batch_u32(c->batch, NFTA_PAYLOAD_LEN, size);
	batch_expression_end(c->batch, element, data);
}

static void payload(struct batch_line *c, uint32_t base, uint32_t offset, uint32_t size)
{
	payload_to(c, REGISTER, base, offset, size);
}

static void look_up(struct batch_line *c, const char *set, bool without)
{
	struct nlattr *data, *element = batch_expression(c->batch, "lookup", &data);

	batch_u32(c->batch, NFTA_LOOKUP_SREG, REGISTER);
	mnl_attr_put_strz(c->batch->message, NFTA_LOOKUP_SET, set);
	if (without)
		batch_u32(c->batch, NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
	batch_expression_end(c->batch, element, data);
}

static void verdict(struct batch_line *c, int32_t code, const char *chain)
{
	struct nlattr *data, *element = batch_expression(c->batch, "immediate", &data);

	batch_u32(c->batch, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	batch_verdict(c->batch, NFTA_IMMEDIATE_DATA, code, chain);
	batch_expression_end(c->batch, element, data);
}

static void counter(struct batch_line *c)
{
	struct nlattr *data, *element = batch_expression(c->batch, "counter", &data);

	mnl_attr_put_u64(c->batch->message, NFTA_COUNTER_BYTES, 0);
	mnl_attr_put_u64(c->batch->message, NFTA_COUNTER_PACKETS, 0);
	batch_expression_end(c->batch, element, data);
}

/* ---- what a match of a header implies ---- */

static bool imply_network(struct batch_line *c, uint8_t network)
{
	const uint16_t type = htons(network == 4 ? ETHERTYPE_IP : ETHERTYPE_IPV6);
	const uint8_t family = network == 4 ? NFPROTO_IPV4 : NFPROTO_IPV6;

	if (c->network)
		return c->network == network;
	c->network = network;
	batch_meta(c, c->family == NFPROTO_INET ? NFT_META_NFPROTO : NFT_META_PROTOCOL);
	if (c->family == NFPROTO_INET)
		compare(c, NFT_CMP_EQ, &family, sizeof(family));
	else
		compare(c, NFT_CMP_EQ, &type, sizeof(type));
	return true;
}

static bool imply_protocol(struct batch_line *c, uint8_t protocol)
{
	if (c->protocol)
		return c->protocol == protocol;
	c->protocol = protocol;
	batch_meta(c, NFT_META_L4PROTO);
	compare(c, NFT_CMP_EQ, &protocol, sizeof(protocol));
	return true;
}

/* ---- matches ---- */

/* Whole bytes of a prefix are compared as they are, the rest under a mask. */
static bool compile_address(struct batch_line *c, uint8_t network, uint32_t offset,
                            const char *word)
{
	static const uint8_t none[16];
	const uint32_t size = network == 4 ? 4 : 16;
	const char *slash = strchr(word, '/');
	uint8_t address[16], bits[16] = {0};
	char text[INET6_ADDRSTRLEN];
	unsigned long prefix;

	if (!slash || (size_t)(slash - word) >= sizeof(text) ||
	    !batch_number(slash + 1, 10, size * 8ul, &prefix))
		return false;
	snprintf(text, sizeof(text), "%.*s", (int)(slash - word), word);
	if (inet_pton(network == 4 ? AF_INET : AF_INET6, text, address) != 1)
		return false;
	for (size_t i = 0; i < prefix; i++)
		bits[i / 8] |= (uint8_t)(0x80u >> i % 8);
	for (size_t i = 0; i < size; i++)
		address[i] &= bits[i];
	if (prefix && prefix % 8 == 0) {
		payload(c, NFT_PAYLOAD_NETWORK_HEADER, offset, (uint32_t)prefix / 8);
		compare(c, NFT_CMP_EQ, address, prefix / 8);
		return true;
	}
	payload(c, NFT_PAYLOAD_NETWORK_HEADER, offset, size);
	mask(c, bits, none, size);
	compare(c, NFT_CMP_EQ, address, size);
	return true;
}

static bool compile_network(struct batch_line *c, uint8_t network)
{
	const uint32_t size = network == 4 ? 4 : 16;
	const char *field = batch_next(c), *word;
	uint32_t offset = network == 4 ? 12 : 8;
	bool without = batch_take(c, "!=");

	if (strcmp(field, "daddr") == 0)
		offset += size;
	else if (strcmp(field, "saddr") != 0)
		return false;
	if (!imply_network(c, network))
		return false;
	word = batch_next(c);
	if (*word != '@')
		return !without && compile_address(c, network, offset, word);
	payload(c, NFT_PAYLOAD_NETWORK_HEADER, offset, size);
	look_up(c, word + 1, without);
	return true;
}

static bool compile_ports(struct batch_line *c, uint8_t protocol)
{
	const char *field = batch_next(c), *word = batch_next(c);
	char *dash = strchr(word, '-');
	unsigned long first, last;
	uint16_t port;

	if (strcmp(field, "sport") != 0 && strcmp(field, "dport") != 0)
		return false;
	if (!imply_protocol(c, protocol))
		return false;
	payload(c, NFT_PAYLOAD_TRANSPORT_HEADER, *field == 's' ? 0 : 2, sizeof(port));
	if (*word == '@') {
		look_up(c, word + 1, false);
		return true;
	}
	if (dash)
		*dash++ = '\0';
	if (!batch_number(word, 10, UINT16_MAX, &first) ||
	    !batch_number(dash ? dash : word, 10, UINT16_MAX, &last))
		return false;
	port = htons((uint16_t)first);
	compare(c, dash ? NFT_CMP_GTE : NFT_CMP_EQ, &port, sizeof(port));
	port = htons((uint16_t)last);
	if (dash)
		compare(c, NFT_CMP_LTE, &port, sizeof(port));
	return true;
}

static bool compile_type(struct batch_line *c, bool v6)
{
	unsigned long type;
	uint8_t byte;

	if (!batch_take(c, "type") || !batch_number(batch_next(c), 10, UINT8_MAX, &type))
		return false;
	if (!imply_network(c, v6 ? 6 : 4) || !imply_protocol(c, v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		return false;
	byte = (uint8_t)type;
	payload(c, NFT_PAYLOAD_TRANSPORT_HEADER, 0, sizeof(byte));
	compare(c, NFT_CMP_EQ, &byte, sizeof(byte));
	return true;
}

static bool protocol_of(const char *word, uint8_t *protocol)
{
	static const struct {
		const char *name;
		uint8_t protocol;
	} names[] = {{"tcp", IPPROTO_TCP},
	             {"udp", IPPROTO_UDP},
	             {"sctp", IPPROTO_SCTP},
	             {"icmp", IPPROTO_ICMP},
	             {"ipv6-icmp", IPPROTO_ICMPV6}};
	unsigned long value;

	for (size_t i = 0; i < BASE_COUNT(names); i++)
		if (strcmp(names[i].name, word) == 0) {
			*protocol = names[i].protocol;
			return true;
		}
	if (!batch_number(word, 10, UINT8_MAX, &value) || !value)
		return false;
	*protocol = (uint8_t)value;
	return true;
}

static bool compile_interface(struct batch_line *c, uint32_t key)
{
	bool without = batch_take(c, "!=");
	const char *word = batch_next(c);

	if (*word != '@')
		return false;
	batch_meta(c, key);
	look_up(c, word + 1, without);
	return true;
}

static void connection(struct batch_line *c, uint32_t key, uint16_t attribute)
{
	struct nlattr *data, *element = batch_expression(c->batch, "ct", &data);

	batch_u32(c->batch, NFTA_CT_KEY, key);
	batch_u32(c->batch, attribute, REGISTER);
	batch_expression_end(c->batch, element, data);
}

/* "mark & MASK == VALUE", "mark set ct mark & MASK | VALUE", "state WORD", "count over NUMBER". */
static bool compile_connection(struct batch_line *c)
{
	static const uint32_t none;
	unsigned long and, value;
	uint32_t bits, set;
	bool sets;

	if (batch_take(c, "state")) {
		bits = batch_take(c, "new")       ? NF_CT_STATE_BIT(IP_CT_NEW)
		       : batch_take(c, "invalid") ? NF_CT_STATE_INVALID_BIT
		                                  : 0;
		connection(c, NFT_CT_STATE, NFTA_CT_DREG);
		mask(c, &bits, &none, sizeof(bits));
		compare(c, NFT_CMP_NEQ, &none, sizeof(none));
		return bits;
	}
	if (batch_take(c, "count"))
		return batch_connections(c);
	if (!batch_take(c, "mark"))
		return false;
	sets = batch_take(c, "set");
	if (sets && (!batch_take(c, "ct") || !batch_take(c, "mark")))
		return false;
	if (!batch_take(c, "&") || !batch_number(batch_next(c), 0, UINT32_MAX, &and) ||
	    !batch_take(c, sets ? "|" : "==") ||
	    !batch_number(batch_next(c), 0, UINT32_MAX, &value))
		return false;
	bits = (uint32_t)(sets ? and&~value : and);
	set = (uint32_t)value;
	connection(c, NFT_CT_MARK, NFTA_CT_DREG);
	mask(c, &bits, sets ? &set : &none, sizeof(bits));
	if (sets)
		connection(c, NFT_CT_MARK, NFTA_CT_SREG);
	else
		compare(c, NFT_CMP_EQ, &set, sizeof(set));
	return true;
}

/* "meta l4proto . th dport @SET": the protocol, and beside it, in the next four bytes, the port */
static bool compile_service(struct batch_line *c)
{
	const char *field, *set;

	if (!batch_take(c, "th"))
		return false;
	field = batch_next(c);
	set = batch_next(c);
	if (*set != '@' || (strcmp(field, "sport") != 0 && strcmp(field, "dport") != 0))
		return false;
	batch_meta(c, NFT_META_L4PROTO);
	payload_to(c, NFT_REG32_01, NFT_PAYLOAD_TRANSPORT_HEADER, *field == 's' ? 0 : 2,
	           sizeof(uint16_t));
	look_up(c, set + 1, false);
	return true;
}

static bool compile_match(struct batch_line *c)
{
	uint8_t protocol;

	if (batch_take(c, "ip"))
		return compile_network(c, 4);
	if (batch_take(c, "ip6"))
		return compile_network(c, 6);
	if (batch_take(c, "icmp"))
		return compile_type(c, false);
	if (batch_take(c, "icmpv6"))
		return compile_type(c, true);
	if (batch_take(c, "iifname"))
		return compile_interface(c, NFT_META_IIFNAME);
	if (batch_take(c, "oifname"))
		return compile_interface(c, NFT_META_OIFNAME);
	if (batch_take(c, "ct"))
		return compile_connection(c);
	if (batch_take(c, "meta") && batch_take(c, "l4proto"))
		return batch_take(c, ".") ? compile_service(c)
		                          : protocol_of(batch_next(c), &protocol) &&
		                                    imply_protocol(c, protocol);
	if (batch_take(c, "tcp"))
		return compile_ports(c, IPPROTO_TCP);
	if (batch_take(c, "udp"))
		return compile_ports(c, IPPROTO_UDP);
	return batch_take(c, "sctp") && compile_ports(c, IPPROTO_SCTP);
}

static bool compile_statement(struct batch_line *c)
{
	const char *word;
	bool known;

	if (batch_statement(c, &known))
		return known;
	if (batch_take(c, "counter"))
		counter(c);
	else if (batch_take(c, "accept"))
		verdict(c, NF_ACCEPT, NULL);
	else if (batch_take(c, "drop"))
		verdict(c, NF_DROP, NULL);
	else if (batch_take(c, "return"))
		verdict(c, NFT_RETURN, NULL);
	else if (batch_take(c, "goto"))
		verdict(c, NFT_GOTO, batch_next(c));
	else if (batch_take(c, "jump"))
		verdict(c, NFT_JUMP, batch_next(c));
	else if (batch_take(c, "comment")) {
		word = batch_next(c);
		return *word == '"' && batch_done(c) &&
		       base_copy_string(c->comment, sizeof(c->comment), word + 1) == 0;
	} else {
		return compile_match(c);
	}
	return true;
}

int batch_rule(struct batch_line *c, const char *chain)
{
	struct batch *batch = c->batch;
	uint8_t user[2 + COMMENT_MAX];
	size_t size;

	batch_begin(batch, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, c->family);
	mnl_attr_put_strz(batch->message, NFTA_RULE_TABLE, "cordon");
	mnl_attr_put_strz(batch->message, NFTA_RULE_CHAIN, chain);
	batch->expressions = mnl_attr_nest_start(batch->message, NFTA_RULE_EXPRESSIONS);
	while (!batch_done(c))
		if (!compile_statement(c))
			return -EOPNOTSUPP;
	mnl_attr_nest_end(batch->message, batch->expressions);
	size = strlen(c->comment);
	if (size) { /* type, length, value: see read.c */
		user[0] = 0;
		user[1] = (uint8_t)(size + 1);
		memcpy(user + 2, c->comment, size + 1);
		mnl_attr_put(batch->message, NFTA_RULE_USERDATA, size + 3, user);
	}
	batch_end(batch);
	return 0;
}
