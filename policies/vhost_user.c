/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm.vhost_user: devices whose back ends are other people's programs, each at a unix socket of the host. All
 * that the language has of them is here. A network device of that kind has no tap: neither the firewall nor the
 * monitor sees a packet of it, so a policy has to say in so many words that this is meant.
 */
#include "policies/internal.h"

static const char tag_characters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

static void read_tag(struct policy_walk *walk, const struct policy_key *key,
                     struct policy_node *value, void *base)
{
	if (!policy_walk_text(walk, key, value))
		return;
	if (value->text[strspn(value->text, tag_characters)] || strlen(value->text) >= key->size)
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
	else
		base_copy_string((char *)base + key->offset, key->size, value->text);
}

static const struct policy_kind kind_tag = {
        .noun = "at most 36 letters, digits, '.', '_' and '-'",
        .read = read_tag,
};

static void read_socket(struct policy_walk *walk, const struct policy_key *key,
                        struct policy_node *value, void *base)
{
	if (!policy_walk_text(walk, key, value))
		return;
	if (value->text[0] != '/' || strlen(value->text) >= key->size)
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
	else
		policy_kind_path.read(walk, key, value, base);
}

static const struct policy_kind kind_socket = {
        .noun = "an absolute path of at most 107 bytes, such as /run/virtiofsd/web0.sock",
        .read = read_socket,
};

static const struct policy_word words_type[] = {
        {"fs", POLICY_VHOST_FS},
        {"net", POLICY_VHOST_NET},
        {"blk", POLICY_VHOST_BLK},
        {NULL, 0},
};

static const struct policy_key keys_vhost[] = {
        {"socket", &kind_socket, FIELD(policy_vhost, socket), .required = true,
         .help = "where the back end listens; it has to be there at the start"},
        {"type", &policy_kind_word, FIELD(policy_vhost, type), .words = words_type,
         .required = true, .help = "what it is to the guest"},
        {"tag", &kind_tag, FIELD(policy_vhost, tag),
         .help = "the name that the guest mounts an fs by"},
        {"queues", &policy_kind_uint, FIELD(policy_vhost, queues), 1, POLICY_VHOST_QUEUES_MAX,
         .fallback = "1",
         .help = "request queues of an fs; the others say themselves how many they have"},
        {"unfiltered", &policy_kind_bool, FIELD(policy_vhost, unfiltered), .fallback = "false",
         .help = "true is needed for a net: the firewall and the monitor see nothing of it"},
};

static void refuse(struct policy_walk *walk, const struct policy_node *node, const char *found,
                   const char *expected)
{
	policy_error_found(policy_walk_refuse(walk, node, "%s", expected), "%s", found);
}

static void check_vhost(struct policy_walk *walk, struct policy_node *map, void *base)
{
	const struct policy_vhost *vhost = base;
	const struct policy_node *type = policy_node_find(map, "type");
	bool fs = vhost->type == POLICY_VHOST_FS, net = vhost->type == POLICY_VHOST_NET;

	if (map->bad)
		return;
	if (fs && !vhost->tag[0])
		refuse(walk, type, "an fs without a tag",
		       "tag: the name that the guest mounts it by");
	else if (!fs && (vhost->tag[0] || vhost->queues))
		refuse(walk, type, "tag or queues of what is no fs",
		       "type: fs, or neither of them");
	else if (net && !vhost->unfiltered)
		refuse(walk, type, "a net that no firewall sees",
		       "unfiltered: true beside it, or a nic instead");
	else if (!net && vhost->unfiltered)
		refuse(walk, type, "unfiltered of what is no net", "type: net, or no unfiltered");
}

const struct policy_map policy_map_vhost = {
        .what = "a vhost_user device",
        .keys = keys_vhost,
        .count = BASE_COUNT(keys_vhost),
        .line = offsetof(struct policy_vhost, line),
        .check = check_vhost,
};

static bool valid_one(const struct policy_vhost *vhost)
{
	bool fs = vhost->type == POLICY_VHOST_FS, net = vhost->type == POLICY_VHOST_NET;
	uint8_t unfiltered;

	memcpy(&unfiltered, &vhost->unfiltered, 1); /* any byte may be there */
	return vhost->type <= POLICY_VHOST_BLK && vhost->socket[0] == '/' &&
	       memchr(vhost->socket, '\0', sizeof(vhost->socket)) &&
	       memchr(vhost->tag, '\0', sizeof(vhost->tag)) &&
	       !vhost->tag[strspn(vhost->tag, tag_characters)] && fs == (vhost->tag[0] != '\0') &&
	       vhost->queues <= (fs ? POLICY_VHOST_QUEUES_MAX : 0) && unfiltered == net;
}

bool policy_vhost_valid(const struct policy_vm *vm)
{
	if (vm->vhost_count > POLICY_VHOST_MAX)
		return false;
	for (size_t i = 0; i < vm->vhost_count; i++)
		if (!valid_one(&vm->vhosts[i]))
			return false;
	return true;
}

void policy_vhost_explain(FILE *out, const struct policy_vm *vm)
{
	static const char *const types[] = {"fs", "net", "blk"};

	for (size_t i = 0; i < vm->vhost_count; i++) {
		const struct policy_vhost *vhost = &vm->vhosts[i];

		fprintf(out, "  vhost-user %zu %s by the back end at %s, which is not cordon's", i,
		        types[vhost->type], vhost->socket);
		if (vhost->type == POLICY_VHOST_FS)
			fprintf(out, ", tag %s, %u queue%s", vhost->tag, vhost->queues ?: 1,
			        vhost->queues > 1 ? "s" : "");
		if (vhost->type == POLICY_VHOST_NET)
			fputs(", NOT FILTERED: no firewall, no anti-spoofing, no monitor", out);
		fputc('\n', out);
	}
}
