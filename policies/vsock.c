/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm.vsock: which ports of a guest and of the host may meet. An allow list each way; ports are 32 bits
 * wide, and all ones stands for "any", so that it is no port.
 */
#include "policies/internal.h"

enum { VSOCK_CID_FIRST = 3 }; /* 0 and 1 are reserved, 2 is the host */

#define VSOCK_LAST (UINT32_MAX - 1)

static void read_cid(struct policy_walk *walk, const struct policy_key *key,
                     struct policy_node *value, void *base)
{
	uint64_t cid = 0;

	if (!policy_walk_text(walk, key, value))
		return;
	if (strcmp(value->text, "auto") != 0 &&
	    (value->quoted || policy_value_uint(value->text, &cid) || cid < VSOCK_CID_FIRST ||
	     cid > VSOCK_LAST))
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
	else
		policy_store(base, key, cid);
}

static const struct policy_kind kind_cid = {
        .noun = "auto, or a number from 3 to 4294967294",
        .read = read_cid,
};

/* It has to fit into a socket's address, and its folder is what cordon-dial gets to see. */
static void read_socket(struct policy_walk *walk, const struct policy_key *key,
                        struct policy_node *value, void *base)
{
	if (!policy_walk_text(walk, key, value))
		return;
	if (value->text[0] != '/' || strrchr(value->text, '/') == value->text)
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
	else if (strstr(value->text, "/../") || strstr(value->text, "/./") ||
	         strstr(value->text, "//"))
		policy_walk_refuse(walk, value, "a path without .. and the like");
	else
		policy_kind_path.read(walk, key, value, base);
}

static const struct policy_kind kind_socket = {
        .noun = "the absolute path of a unix socket in a folder, such as /run/web/log.sock",
        .read = read_socket,
};

static bool read_port(struct policy_walk *walk, const struct policy_node *item, uint64_t *port)
{
	if (item->type == POLICY_NODE_REFUSED)
		return false;
	if (item->type == POLICY_NODE_TEXT && !item->quoted &&
	    policy_value_uint(item->text, port) == 0 && *port >= 1 && *port <= VSOCK_LAST)
		return true;
	policy_walk_refuse(walk, item, "a port from 1 to %u", VSOCK_LAST);
	return false;
}

static void read_port_key(struct policy_walk *walk, const struct policy_key *key,
                          struct policy_node *value, void *base)
{
	uint64_t port;

	if (read_port(walk, value, &port))
		policy_store(base, key, port);
}

static const struct policy_kind kind_port = {
        .noun = "a port from 1 to 4294967294",
        .read = read_port_key,
};

static void read_ports(struct policy_walk *walk, const struct policy_key *key,
                       struct policy_node *value, void *base)
{
	struct policy_vsock *vsock = base;

	if (value->type == POLICY_NODE_REFUSED)
		return;
	if (value->type != POLICY_NODE_LIST) {
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
		return;
	}
	for (struct policy_node *item = value->first; item; item = item->next) {
		uint64_t port;
		bool twice = false;

		if (vsock->host_to_guest_count == POLICY_VSOCK_MAX) {
			policy_error_found(
			        policy_walk_refuse(walk, item, "at most %d", POLICY_VSOCK_MAX),
			        "more than %d entries in %s", POLICY_VSOCK_MAX, key->name);
			return;
		}
		if (!read_port(walk, item, &port))
			continue;
		for (size_t i = 0; i < vsock->host_to_guest_count; i++)
			twice |= vsock->host_to_guest[i] == port;
		if (twice)
			policy_walk_refuse(walk, item, "each port once");
		else
			vsock->host_to_guest[vsock->host_to_guest_count++] = (uint32_t)port;
	}
}

static const struct policy_kind kind_vsock_ports = {
        .noun = "a list of ports such as [22, 1024]",
        .read = read_ports,
};

static void check_vsock(struct policy_walk *walk, struct policy_node *map, void *base)
{
	const struct policy_vsock *vsock = base;
	const struct policy_node *list = policy_node_find(map, "guest_to_host");
	const struct policy_node *item = list ? list->first : NULL;

	if (map->bad)
		return;
	for (size_t i = 0; i < vsock->guest_to_host_count; i++, item = item->next)
		for (size_t j = 0; j < i; j++)
			if (vsock->guest_to_host[i].port == vsock->guest_to_host[j].port)
				policy_error_hint(
				        policy_walk_refuse(walk, policy_node_find(item, "port"),
				                           "each port once"),
				        "line %u has it already", vsock->guest_to_host[j].line);
}

static const struct policy_key keys_target[] = {
        {"port", &kind_port, FIELD(policy_vsock_target, port), .required = true,
         .help = "the host's port that the guest connects to"},
        {"socket", &kind_socket, FIELD(policy_vsock_target, socket), .required = true,
         .help = "the unix socket on the host that it is joined to"},
};
MAP(map_target, keys_target, .what = "a port of the host",
    .line = offsetof(struct policy_vsock_target, line));

static const struct policy_key keys_vsock[] = {
        {"cid", &kind_cid, FIELD(policy_vsock, cid), .fallback = "auto",
         .help = "the guest's address"},
        {"guest_to_host", &policy_kind_list,
         ITEMS(policy_vsock, guest_to_host, guest_to_host_count, POLICY_VSOCK_MAX),
         .map = &map_target, .fallback = "none", .help = "where the guest may connect to"},
        {"host_to_guest", &kind_vsock_ports, 0, 0, .fallback = "none",
         .help = "the guest's ports that may be connected to, by way of its vsock.sock"},
};
const struct policy_map policy_map_vsock = {
        .what = "vsock",
        .keys = keys_vsock,
        .count = BASE_COUNT(keys_vsock),
        .line = offsetof(struct policy_vsock, line),
        .check = check_vsock,
};
