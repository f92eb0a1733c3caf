/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading one chain, by netlink: libnftables answers `list chain` out of a copy of all that the kernel has, so
 * with a thousand VMs the state of one would cost a thousand times what it costs with one. Here the kernel is
 * asked for one chain's rules. Of a rule, what cordon's own rules are told apart by is read: its comment, its
 * counter, and the names of the sets and objects that it refers to (linux/netfilter/nf_tables.h).
 */
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "base/base.h"
#include "firewall/rules.h"

enum {
	READ_BUFFER = 65536, /* more than a message of the kernel's */
	READ_MAX = 64 << 20,
	READ_REQUEST = 1024,
	READ_ATTEMPTS = 8,
	READ_COMMENT = 0 /* the type in user data that nft gives comments */
};

struct chain_reading {
	firewall_rule_fn *take;
	void *data;
	int error;
};

static uint8_t family_number(const char *family)
{
	return strcmp(family, "netdev") == 0   ? NFPROTO_NETDEV
	       : strcmp(family, "bridge") == 0 ? NFPROTO_BRIDGE
	                                       : NFPROTO_INET;
}

/* A name of an attribute that the kernel fills: terminated, or it is none. */
static const char *name_of(const struct nlattr *attribute)
{
	return mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) < 0 ? NULL
	                                                             : mnl_attr_get_str(attribute);
}

static uint64_t number_of(const struct nlattr *attribute)
{
	uint64_t number = 0;

	if (mnl_attr_get_payload_len(attribute) == sizeof(number))
		memcpy(&number, mnl_attr_get_payload(attribute), sizeof(number));
	return be64toh(number);
}

static void read_expression(const char *kind, const struct nlattr *data, struct firewall_rule *rule)
{
	const struct nlattr *at;

	mnl_attr_for_each_nested(at, data)
	{
		uint16_t type = mnl_attr_get_type(at);

		if (strcmp(kind, "counter") == 0 && type == NFTA_COUNTER_PACKETS)
			rule->packets = number_of(at);
		else if (strcmp(kind, "counter") == 0 && type == NFTA_COUNTER_BYTES)
			rule->bytes = number_of(at);
		else if (strcmp(kind, "lookup") == 0 && type == NFTA_LOOKUP_SET &&
		         rule->set_count < BASE_COUNT(rule->sets))
			rule->sets[rule->set_count++] = name_of(at);
		else if (strcmp(kind, "objref") == 0 && type == NFTA_OBJREF_IMM_NAME)
			rule->object = name_of(at);
	}
	rule->counted |= strcmp(kind, "counter") == 0;
}

/* A name and what it is given. */
static void read_named(const struct nlattr *element, struct firewall_rule *rule)
{
	const struct nlattr *at, *data = NULL;
	const char *kind = NULL;

	mnl_attr_for_each_nested(at, element)
	{
		if (mnl_attr_get_type(at) == NFTA_EXPR_NAME)
			kind = name_of(at);
		if (mnl_attr_get_type(at) == NFTA_EXPR_DATA)
			data = at;
	}
	if (kind && data)
		read_expression(kind, data, rule);
}

static void read_expressions(const struct nlattr *list, struct firewall_rule *rule)
{
	const struct nlattr *element;

	mnl_attr_for_each_nested(element, list) read_named(element, rule);
}

/* User data is a list of type, length, value, a byte each but the value. */
static const char *read_comment(const struct nlattr *attribute)
{
	const uint8_t *bytes = mnl_attr_get_payload(attribute);
	size_t size = mnl_attr_get_payload_len(attribute);

	for (size_t at = 0; at + 2 <= size && at + 2 + bytes[at + 1] <= size;
	     at += 2u + bytes[at + 1])
		if (bytes[at] == READ_COMMENT && bytes[at + 1] > 0 &&
		    bytes[at + 1 + bytes[at + 1]] == '\0')
			return (const char *)bytes + at + 2;
	return NULL;
}

static int read_rule(const struct nlmsghdr *message, void *data)
{
	struct chain_reading *reading = data;
	struct firewall_rule rule = {0};
	const struct nlattr *at;

	mnl_attr_for_each(at, message, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(at) == NFTA_RULE_EXPRESSIONS)
			read_expressions(at, &rule);
		if (mnl_attr_get_type(at) == NFTA_RULE_USERDATA)
			rule.comment = read_comment(at);
	}
	if (!reading->error)
		reading->error = reading->take(&rule, reading->data);
	return MNL_CB_OK;
}

struct answer {
	char *bytes; /* owned */
	size_t size;
};

static void free_answer(struct answer *answer)
{
	free(answer->bytes);
}

/* All of it before any is used: a dump that a change has interrupted is asked for again. */
static int receive(struct mnl_socket *socket, unsigned int sequence, struct answer *answer)
{
	int more = MNL_CB_OK;

	while (more > MNL_CB_STOP) {
		char *grown = answer->size > READ_MAX
		                      ? NULL
		                      : realloc(answer->bytes, answer->size + READ_BUFFER);
		ssize_t n;

		if (!grown)
			return -ENOMEM;
		answer->bytes = grown;
		n = mnl_socket_recvfrom(socket, grown + answer->size, READ_BUFFER);
		if (n < 0)
			return -errno;
		more = mnl_cb_run(grown + answer->size, (size_t)n, sequence,
		                  mnl_socket_get_portid(socket), NULL, NULL);
		if (more < 0)
			return -errno;
		answer->size += (size_t)n;
	}
	return 0;
}

/* Sends one request through a socket and gives its answers to `take` (may be NULL). 0, or what the kernel said. */
static int ask_by(struct mnl_socket *socket, struct nlmsghdr *message, mnl_cb_t take, void *data)
{
	struct answer answer BASE_CLEANUP(free_answer) = {0};
	int error = 0;

	message->nlmsg_seq = 1;
	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	error = receive(socket, message->nlmsg_seq, &answer);
	if (!error && take &&
	    mnl_cb_run(answer.bytes, answer.size, message->nlmsg_seq, mnl_socket_get_portid(socket),
	               take, data) < 0)
		error = -errno;
	return error;
}

static int ask_once(struct nlmsghdr *message, mnl_cb_t take, void *data)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	int error;

	if (!socket)
		return -errno;
	error = mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : 0;
	if (!error)
		error = ask_by(socket, message, take, data);
	mnl_socket_close(socket);
	return error;
}

/* By the socket of `fw`, or one for this alone. */
static int ask(struct firewall *fw, struct nlmsghdr *message, mnl_cb_t take, void *data)
{
	struct mnl_socket *socket = fw ? firewall_socket(fw) : NULL;
	int error;

	if (!socket)
		return ask_once(message, take, data);
	error = ask_by(socket, message, take, data);
	if (error && error != -ENOENT)
		firewall_socket_close(fw); /* what is left of an interrupted answer goes with it */
	return error;
}

static struct nlmsghdr *request(char *buffer, uint16_t type, uint16_t flags, const char *family)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *generic;

	message->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	generic = mnl_nlmsg_put_extra_header(message, sizeof(*generic));
	generic->nfgen_family = family_number(family);
	return message;
}

int firewall_read_chain(struct firewall *fw, const char *family, const char *chain,
                        firewall_rule_fn *take, void *data)
{
	struct chain_reading reading = {.take = take, .data = data};
	char buffer[READ_REQUEST];
	struct nlmsghdr *message = request(buffer, NFT_MSG_GETCHAIN, NLM_F_ACK, family);
	int error;

	/* rules of a chain that is not there are none, and no error */
	mnl_attr_put_strz(message, NFTA_CHAIN_TABLE, "cordon");
	mnl_attr_put_strz(message, NFTA_CHAIN_NAME, chain);
	error = ask(fw, message, NULL, NULL);
	if (error || !take)
		return error;
	for (int attempt = 0; attempt < READ_ATTEMPTS; attempt++) {
		message = request(buffer, NFT_MSG_GETRULE, NLM_F_DUMP, family);
		mnl_attr_put_strz(message, NFTA_RULE_TABLE, "cordon");
		mnl_attr_put_strz(message, NFTA_RULE_CHAIN, chain);
		error = ask(fw, message, read_rule, &reading);
		if (error != -EINTR)
			break;
	}
	return error ? error : reading.error;
}

struct chains_reading {
	int (*take)(const char *chain, void *data);
	void *data;
	int error;
};

static int read_chain_name(const struct nlmsghdr *message, void *data)
{
	struct chains_reading *reading = data;
	const char *table = NULL, *chain = NULL;
	const struct nlattr *at;

	mnl_attr_for_each(at, message, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(at) == NFTA_CHAIN_TABLE)
			table = name_of(at);
		if (mnl_attr_get_type(at) == NFTA_CHAIN_NAME)
			chain = name_of(at);
	}
	if (table && chain && strcmp(table, "cordon") == 0 && !reading->error)
		reading->error = reading->take(chain, reading->data);
	return MNL_CB_OK;
}

int firewall_read_chains(struct firewall *fw, const char *family,
                         int (*take)(const char *chain, void *data), void *data)
{
	struct chains_reading reading = {.take = take, .data = data};
	char buffer[READ_REQUEST];
	int error = -EINTR;

	for (int attempt = 0; attempt < READ_ATTEMPTS && error == -EINTR; attempt++)
		error = ask(fw, request(buffer, NFT_MSG_GETCHAIN, NLM_F_DUMP, family),
		            read_chain_name, &reading);
	return error ? error : reading.error;
}

int firewall_read_set(struct firewall *fw, const char *family, const char *set)
{
	char buffer[READ_REQUEST];
	struct nlmsghdr *message = request(buffer, NFT_MSG_GETSET, NLM_F_ACK, family);

	mnl_attr_put_strz(message, NFTA_SET_TABLE, "cordon");
	mnl_attr_put_strz(message, NFTA_SET_NAME, set);
	return ask(fw, message, NULL, NULL);
}

/* An element may have one expression. */
static int read_element(const struct nlmsghdr *message, void *data)
{
	const struct nlattr *list, *element, *at;

	mnl_attr_for_each(list, message, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(list) != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		mnl_attr_for_each_nested(element, list)
		{
			mnl_attr_for_each_nested(at, element)
			{
				if (mnl_attr_get_type(at) == NFTA_SET_ELEM_EXPR)
					read_named(at, data);
			}
		}
	}
	return MNL_CB_OK;
}

int firewall_read_element(struct firewall *fw, const char *family, const char *set, const void *key,
                          size_t size, struct firewall_rule *rule)
{
	char buffer[READ_REQUEST];
	struct nlmsghdr *message = request(buffer, NFT_MSG_GETSETELEM, NLM_F_ACK, family);
	struct nlattr *list, *element, *value;

	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, "cordon");
	mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, set);
	list = mnl_attr_nest_start(message, NFTA_SET_ELEM_LIST_ELEMENTS);
	element = mnl_attr_nest_start(message, NFTA_LIST_ELEM);
	value = mnl_attr_nest_start(message, NFTA_SET_ELEM_KEY);
	mnl_attr_put(message, NFTA_DATA_VALUE, size, key);
	mnl_attr_nest_end(message, value);
	mnl_attr_nest_end(message, element);
	mnl_attr_nest_end(message, list);
	return ask(fw, message, read_element, rule);
}

struct set_reading {
	firewall_element_fn *take;
	void *data;
};

static void take_element(const struct nlattr *element, const struct set_reading *reading)
{
	const struct nlattr *at, *key;
	const void *address = NULL;
	uint64_t left = 0;
	size_t size = 0;

	mnl_attr_for_each_nested(at, element)
	{
		if (mnl_attr_get_type(at) == NFTA_SET_ELEM_EXPIRATION)
			left = number_of(at);
		if (mnl_attr_get_type(at) != NFTA_SET_ELEM_KEY)
			continue;
		mnl_attr_for_each_nested(key, at)
		{
			if (mnl_attr_get_type(key) != NFTA_DATA_VALUE)
				continue;
			address = mnl_attr_get_payload(key);
			size = mnl_attr_get_payload_len(key);
		}
	}
	if (address)
		reading->take(address, size, left, reading->data);
}

static int take_elements(const struct nlmsghdr *message, void *data)
{
	const struct nlattr *at, *element;

	mnl_attr_for_each(at, message, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(at) == NFTA_SET_ELEM_LIST_ELEMENTS)
			mnl_attr_for_each_nested(element, at) take_element(element, data);
	}
	return MNL_CB_OK;
}

int firewall_read_set_elements(struct firewall *fw, const char *family, const char *set,
                               firewall_element_fn *take, void *data)
{
	struct set_reading reading = {take, data};
	char buffer[READ_REQUEST];
	int error = -EINTR;

	for (int attempt = 0; attempt < READ_ATTEMPTS && error == -EINTR; attempt++) {
		struct nlmsghdr *message = request(buffer, NFT_MSG_GETSETELEM, NLM_F_DUMP, family);

		mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_TABLE, "cordon");
		mnl_attr_put_strz(message, NFTA_SET_ELEM_LIST_SET, set);
		error = ask(fw, message, take_elements, &reading);
	}
	return error;
}

static int read_commit(const struct nlmsghdr *message, void *data)
{
	const struct nlattr *at;

	mnl_attr_for_each(at, message, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(at) == NFTA_GEN_ID &&
		    mnl_attr_get_payload_len(at) == sizeof(uint32_t))
			*(uint32_t *)data = ntohl(mnl_attr_get_u32(at));
	}
	return MNL_CB_OK;
}

uint32_t firewall_read_commit(struct firewall *fw)
{
	char buffer[READ_REQUEST];
	uint32_t commit = 0;
	int error =
	        ask(fw, request(buffer, NFT_MSG_GETGEN, NLM_F_ACK, "inet"), read_commit, &commit);

	return error ? 0 : commit;
}
