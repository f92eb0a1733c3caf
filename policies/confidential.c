/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * confidential: how a guest's memory is hidden from the host, and with what it starts then. Each type has settings
 * that others have not; and what needs the host to read or to take back guest memory is not for such a guest.
 */
#include "policies/internal.h"

enum { CONFIDENTIAL_HOST_DATA = sizeof(((struct policy_confidential *)0)->host_data) };

static const char *const confidential_types[] = {"none",    "sev", "sev-es",
                                                 "sev-snp", "tdx", "sw-protected"};

/* Whether the type has anything but its name: firmware that is measured, and what it is to hold the host to. */
static bool measured(enum policy_confidential_type type)
{
	return type != POLICY_CC_NONE && type != POLICY_CC_SW_PROTECTED;
}

/* ---- kinds ---- */

static int hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c | 0x20) : NULL;

	return at ? (int)(at - digits) : -1;
}

static void read_host_data(struct policy_walk *walk, const struct policy_key *key,
                           struct policy_node *value, void *base)
{
	uint8_t *to = (uint8_t *)base + key->offset;
	size_t length;

	if (!policy_walk_text(walk, key, value))
		return;
	length = strlen(value->text);
	if (length % 2 || length > (size_t)2 * CONFIDENTIAL_HOST_DATA) {
		policy_error_found(policy_walk_refuse(walk, value, "%s", key->kind->noun),
		                   "%zu digits", length);
		return;
	}
	for (size_t i = 0; i < length; i++) {
		int digit = hex_digit(value->text[i]);

		if (digit < 0) {
			policy_walk_refuse(walk, value, "%s", key->kind->noun);
			return;
		}
		to[i / 2] = (uint8_t)(to[i / 2] << 4 | digit);
	}
}

static const struct policy_kind kind_host_data = {
        .noun = "at most 32 bytes, each two hexadecimal digits",
        .read = read_host_data,
};

static bool read_version(const char *text, uint8_t *major, uint8_t *minor)
{
	char first[8] = "";
	const char *dot = strchr(text, '.');
	uint64_t a, b;

	if (!dot || (size_t)(dot - text) >= sizeof(first))
		return false;
	memcpy(first, text, (size_t)(dot - text));
	if (policy_value_uint(first, &a) || policy_value_uint(dot + 1, &b) || a > UINT8_MAX ||
	    b > UINT8_MAX)
		return false;
	*major = (uint8_t)a;
	*minor = (uint8_t)b;
	return true;
}

static void read_abi(struct policy_walk *walk, const struct policy_key *key,
                     struct policy_node *value, void *base)
{
	struct policy_confidential *confidential = base;

	if (policy_walk_text(walk, key, value) &&
	    !read_version(value->text, &confidential->abi_major, &confidential->abi_minor))
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
}

static const struct policy_kind kind_abi = {
        .noun = "a version of the firmware's interface such as 1.55, each number up to 255",
        .read = read_abi,
};

/* There is no start without it; the word is for readers of the policy. */
static void read_require(struct policy_walk *walk, const struct policy_key *key,
                         struct policy_node *value, void *base)
{
	(void)base;
	if (policy_walk_text(walk, key, value) &&
	    (value->quoted || strcmp(value->text, "true") != 0))
		policy_error_hint(policy_walk_refuse(walk, value, "%s", key->kind->noun),
		                  "a guest without it has type: none");
}

static const struct policy_kind kind_require = {
        .noun = "true: a host that cannot give it does not start the guest",
        .read = read_require,
};

/* ---- what does not go together ---- */

/* True when it was there. */
static bool refuse_beside(struct policy_walk *walk, const struct policy_node *map, const char *key,
                          const char *expected, const char *type)
{
	const struct policy_node *node = policy_node_find(map, key);

	if (node)
		policy_error_found(policy_walk_refuse(walk, node, "%s", expected), "%s of type %s",
		                   key, type);
	return node;
}

static void check_type(struct policy_walk *walk, const struct policy_node *map,
                       enum policy_confidential_type type)
{
	static const char *const of_snp[] = {"id_block", "id_auth", "host_data"};
	static const char *const of_any[] = {"firmware", "policy", "require"};
	const struct policy_node *wishes = policy_node_find(map, "policy");
	const char *name = confidential_types[type];

	for (size_t i = 0; i < BASE_COUNT(of_any) && !measured(type); i++)
		if (refuse_beside(walk, map, of_any[i], "a type that hides memory from the host",
		                  name))
			return;
	for (size_t i = 0; i < BASE_COUNT(of_snp) && type != POLICY_CC_SEV_SNP; i++)
		if (refuse_beside(walk, map, of_snp[i], "type: sev-snp beside it", name))
			return;
	if (!measured(type) || !wishes)
		return;
	if (type != POLICY_CC_SEV_SNP)
		refuse_beside(walk, wishes, "smt", "type: sev-snp, whose policy alone has it",
		              name);
	if (type == POLICY_CC_TDX)
		refuse_beside(walk, wishes, "abi", "type: sev, sev-es or sev-snp beside it", name);
}

static void check_confidential(struct policy_walk *walk, struct policy_node *map, void *base)
{
	const struct policy_confidential *confidential = base;
	const struct policy_node *type = policy_node_find(map, "type");
	const struct policy_node *block = policy_node_find(map, "id_block");
	const struct policy_node *auth = policy_node_find(map, "id_auth");

	if (map->bad)
		return;
	check_type(walk, map, confidential->type);
	if (measured(confidential->type) && !confidential->firmware[0])
		policy_error_found(
		        policy_walk_refuse(walk, type, "firmware: what the guest starts with"),
		        "type %s without a firmware", confidential_types[confidential->type]);
	if (confidential->type == POLICY_CC_SEV_SNP && !block != !auth)
		policy_error_found(policy_walk_refuse(walk, block ? block : auth,
		                                      "both: `cordon id-block` makes them"),
		                   block ? "id_block without id_auth" : "id_auth without id_block");
}

/* The host can neither read a hidden page nor take it back and give it again. */
void policy_check_confidential(struct policy_walk *walk, struct policy *policy,
                               const struct policy_node *map)
{
	const struct policy_node *vm = policy_node_find(map, "vm");
	const struct policy_node *isolation = policy_node_find(map, "isolation");
	const struct policy_node *confidential = policy_node_find(map, "confidential");
	const struct policy_node *balloon = policy_node_find(vm, "balloon");
	const struct policy_node *reclaim = policy_node_find(vm, "memory_reclaim");
	const struct policy_node *cpu = policy_node_find(vm, "cpu");

	if (policy->confidential.type == POLICY_CC_NONE || !confidential || confidential->bad)
		return;
	if (policy->vm.balloon && (balloon || (reclaim && policy->vm.memory_reclaim)))
		policy_error_found(policy_walk_refuse(walk, balloon ? balloon : reclaim,
		                                      "no balloon, or confidential type: none"),
		                   "%s of a confidential guest, whose pages the host cannot take",
		                   balloon ? "a balloon" : "memory_reclaim");
	policy->vm.balloon = policy->vm.memory_reclaim = false;
	if (policy->vm.cpu.nested)
		policy_error_found(policy_walk_refuse(walk, policy_node_find(cpu, "nested"),
		                                      "nested: false, or confidential type: none"),
		                   "guests in a confidential guest");
	if (isolation && !isolation->bad && policy->isolation.huge_pages &&
	    policy->confidential.type >= POLICY_CC_SEV_SNP)
		policy_error_found(policy_walk_refuse(walk,
		                                      policy_node_find(isolation, "huge_pages"),
		                                      "none: the kernel chooses its pages itself"),
		                   "huge pages for memory that the host cannot map");
}

/* ---- the tables ---- */

static void default_confidential(void *base)
{
	((struct policy_confidential *)base)->smt = true;
}

static const struct policy_word words_type[] = {
        {"none", POLICY_CC_NONE},
        {"sev", POLICY_CC_SEV},
        {"sev-es", POLICY_CC_SEV_ES},
        {"sev-snp", POLICY_CC_SEV_SNP},
        {"tdx", POLICY_CC_TDX},
        {"sw-protected", POLICY_CC_SW_PROTECTED},
        {NULL, 0},
};

static const struct policy_key keys_wishes[] = {
        {"debug", &policy_kind_bool, FIELD(policy_confidential, debug), .fallback = "false",
         .help = "the host may read and write the guest's memory, and reports say so"},
        {"smt", &policy_kind_bool, FIELD(policy_confidential, smt), .fallback = "true",
         .help = "sev-snp: the guest runs where cores have several threads"},
        {"abi", &kind_abi, 0, 0, .fallback = "0.0",
         .help = "sev, sev-es, sev-snp: the oldest firmware of the processor that will do"},
};
MAP(map_wishes, keys_wishes, .what = "the guest's policy", .line = POLICY_NO_OFFSET);

static const struct policy_key keys_confidential[] = {
        {"type", &policy_kind_word, FIELD(policy_confidential, type), .words = words_type,
         .required = true, .help = "how guest memory is hidden from the host"},
        {"policy", &policy_kind_map, 0, 0, .map = &map_wishes,
         .help = "what the processor holds the host to"},
        {"firmware", &policy_kind_path, FIELD(policy_confidential, firmware),
         .help = "the image (IGVM, OVMF, TDVF) that the guest starts with, which is measured"},
        {"id_block", &policy_kind_path, FIELD(policy_confidential, id_block),
         .help = "sev-snp: the only digest that may start, signed (96 bytes)"},
        {"id_auth", &policy_kind_path, FIELD(policy_confidential, id_auth),
         .help = "sev-snp: the signatures of id_block (4096 bytes)"},
        {"host_data", &kind_host_data, FIELD(policy_confidential, host_data), .fallback = "zeros",
         .help = "sev-snp: what each report has of the host; zeros follow it up to 32 bytes"},
        {"require", &kind_require, 0, 0, .fallback = "true",
         .help = "said for readers: there is no start without it"},
};
const struct policy_map policy_map_confidential = {
        .what = "confidential",
        .keys = keys_confidential,
        .count = BASE_COUNT(keys_confidential),
        .line = offsetof(struct policy_confidential, line),
        .defaults = default_confidential,
        .check = check_confidential,
};

/* ---- valid.c, explain.c ---- */

static bool is_bool(const bool *value)
{
	return *(const volatile uint8_t *)value <= 1;
}

bool policy_confidential_valid(const struct policy *policy)
{
	const struct policy_confidential *c = &policy->confidential;

	if ((unsigned int)c->type > POLICY_CC_SW_PROTECTED || !is_bool(&c->debug) ||
	    !is_bool(&c->smt) || !policy_text_valid(c->firmware, sizeof(c->firmware)) ||
	    !policy_text_valid(c->id_block, sizeof(c->id_block)) ||
	    !policy_text_valid(c->id_auth, sizeof(c->id_auth)))
		return false;
	if (!policy->vm.guard && !policy->vm.kernel[0] && !measured(c->type))
		return false;
	if (measured(c->type) != (c->firmware[0] != '\0') || !c->id_block[0] != !c->id_auth[0])
		return false;
	return (!c->id_block[0] || c->type == POLICY_CC_SEV_SNP) &&
	       (c->type == POLICY_CC_NONE || (!policy->vm.balloon && !policy->vm.cpu.nested));
}

void policy_confidential_explain(FILE *out, const struct policy_confidential *c)
{
	static const char *const names[] = {"none", "SEV", "SEV-ES", "SEV-SNP", "TDX", "none"};
	bool data = false;

	for (size_t i = 0; i < sizeof(c->host_data); i++)
		data |= c->host_data[i] != 0;
	fprintf(out, "  encryption   %s\n", names[c->type]);
	if (c->type == POLICY_CC_NONE)
		return;
	if (c->type == POLICY_CC_SW_PROTECTED) {
		fputs("               private memory for tests: it PROTECTS FROM NOTHING\n"
		      "               no balloon, no guests in the guest\n",
		      out);
		return;
	}
	fprintf(out, "               starts with %s, or not at all; never without encryption\n",
	        c->firmware);
	fprintf(out, "               %s\n",
	        c->debug ? "DEBUG: the host may read and write the guest's memory"
	                 : "no debugging by the host");
	if (c->type == POLICY_CC_SEV_SNP)
		fprintf(out, "               %s\n",
		        c->smt ? "cores with several threads are allowed"
		               : "no cores with several threads");
	if (c->type != POLICY_CC_TDX && (c->abi_major || c->abi_minor))
		fprintf(out, "               from version %u.%u of the firmware's interface on\n",
		        c->abi_major, c->abi_minor);
	if (c->id_block[0])
		fprintf(out, "               only the digest in %s, signed in %s\n", c->id_block,
		        c->id_auth);
	if (data) {
		fputs("               host data ", out);
		for (size_t i = 0; i < sizeof(c->host_data); i++)
			fprintf(out, "%02x", c->host_data[i]);
		fputc('\n', out);
	}
	fputs("               no balloon, no guests in the guest\n", out);
}
