/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The layers of the policy parser, from the bytes up. Each knows only the one below it.
 *
 *   report.c  collects errors with their place, and prints them
 *   tree.c    bytes -> a small bounded tree of nodes, each with its place (libyaml's events under
 *             rules of our own: one document, no anchors, tags, merges or duplicate keys)
 *   syntax.c  what is wrong with text that is no YAML
 *   value.c   the text of one scalar -> a number, an address, a name
 *   walk.c    a tree -> a struct, by a table of keys: types, ranges, required keys, did-you-mean
 *   keys.c    the tables: every key of the language, once; keys_firewall.c those of `firewall`, keys_sinks.c those
 *             of a sink
 *   peers.c   whom a firewall rule speaks of, and the sets and groups that it may name
 *   rule.c    what it speaks of: protocol, ports, ICMP types; service.c: services by name
 *   confidential.c  memory encryption: its keys, checks and words
 *   nic.c     what a NIC has beyond single values: port forwards, addresses
 *   guard.c   what is said of a guest that another VMM runs
 *   vhost_user.c  devices by other people's back ends: their keys, checks and words
 *   cross.c   what is wrong between keys that are each right; order.c between firewall rules
 *   valid.c   is a struct policy one that the parser could have made?
 *   explain.c a struct policy in words; reference.c the tables in words
 *   parse.c   the child process around all that
 */
#ifndef CORDON_POLICIES_INTERNAL_H
#define CORDON_POLICIES_INTERNAL_H

#include "base/base.h"
#include "policies/policies.h"

enum {
	POLICY_NODES_MAX = 32768,
	POLICY_KEYS_MAX = 64, /* in one mapping: keeps the search for duplicates cheap */
	POLICY_DESCRIBE_MAX = 96,
};

enum policy_node_type { POLICY_NODE_TEXT, POLICY_NODE_LIST, POLICY_NODE_MAP, POLICY_NODE_REFUSED };

struct policy_node {
	enum policy_node_type type; /* REFUSED: reported already, to be passed over in silence */
	bool quoted;                /* a scalar in quotes or a block is text, never a number */
	bool bad;                   /* errors were reported below it */
	uint32_t line, column, width;
	const char *text;          /* a scalar's, terminated and without NUL inside */
	struct policy_node *first; /* a map's children are key, value, key, value */
	struct policy_node *next;
	const struct policy_node *key; /* of a map's value */
	uint32_t count;                /* children */
};

struct policy_report {
	struct policy_errors *errors;
	const char *text; /* of the policy, for source lines */
	size_t size;
	uint32_t total; /* errors reported, kept or not */
	struct policy_error overflow;
};

/* ---- report.c ---- */

/* A new error at that place. Never NULL: past POLICY_ERRORS_MAX it is one that will not be kept. */
struct policy_error *policy_report_at(struct policy_report *report, uint32_t line, uint32_t column,
                                      uint32_t width);
struct policy_error *policy_report_node(struct policy_report *report,
                                        const struct policy_node *node);
void policy_error_found(struct policy_error *error, const char *format, ...) BASE_PRINTF(2, 3);
void policy_error_expected(struct policy_error *error, const char *format, ...) BASE_PRINTF(2, 3);
void policy_error_hint(struct policy_error *error, const char *format, ...) BASE_PRINTF(2, 3);
void policy_report_sort(struct policy_report *report);

/* What stands there, as a reader would call it: "512MB" in quotes, `a list`, `nothing`. */
const char *policy_node_describe(const struct policy_node *node, char out[POLICY_DESCRIBE_MAX]);

/* `length` bytes at `from`, quoted; what is not printable is escaped, what is too long is cut. */
void policy_quote(char *to, size_t size, const char *from, size_t length);

/* The byte that stands at that place, or 0 past the end of its line. */
char policy_report_byte(const struct policy_report *report, uint32_t line, uint32_t column);

/* ---- utf8.c ---- */

/* The character at *at, which moves past it; -1 (and one byte on) when it is not UTF-8. */
int32_t policy_utf8_next(const char **at, const char *end);
/* False for characters that a reader cannot see, or that change how the text around them is shown. */
bool policy_utf8_plain(int32_t character);

/* ---- syntax.c ---- */

/* Reports what stopped libyaml's parser. */
struct yaml_parser_s;
void policy_syntax_report(struct policy_report *report, const struct yaml_parser_s *parser);

/* ---- tree.c ---- */

struct policy_tree {
	struct policy_node *nodes;
	size_t node_count;
	char *text;
	size_t text_used, text_size;
	struct policy_node *root;
};

/* 0; -EINVAL when the text was refused (reported; tree->root may still be set); -ENOMEM. */
int policy_tree_read(struct policy_tree *tree, struct policy_report *report);
void policy_tree_free(struct policy_tree *tree);

/* The value of a key of a map, or NULL. */
struct policy_node *policy_node_find(const struct policy_node *map, const char *key);

/* ---- value.c: 0, -EINVAL when it is not one, -ERANGE when it does not fit ---- */

int policy_value_uint(const char *text, uint64_t *value);
int policy_value_bandwidth(const char *text, uint64_t *value); /* 100Mbit, 100M: bytes/s */
int policy_value_rate(const char *text, uint64_t *value);      /* 50/s */
int policy_value_duration(const char *text, uint64_t *value);  /* 30s, 5m, 1h: seconds */
int policy_value_ports(const char *text, struct policy_ports *ports);
/* The name of a VM, a group or a set. */
int policy_value_name(const char *text, char name[POLICY_NAME_MAX]);
int policy_value_mac(const char *text, uint8_t mac[6]);
/* A host name, or "*." and one: all that are below it. */
int policy_value_dns_pattern(const char *text, char name[POLICY_DNS_NAME_MAX]);
/* "2-3,5" to a bitmap; -EEXIST when a CPU is named twice. */
int policy_value_cpus(const char *text, uint8_t bitmap[POLICY_CPUS_MAX / 8]);

/* And back, as short as it can be written: "512M", "10.0.0.0/8", "8000-8080", "2-3,5". */
enum { POLICY_FORMAT_MAX = 64 };
const char *policy_format_size(uint64_t bytes, char out[POLICY_FORMAT_MAX]);
const char *policy_format_bandwidth(uint64_t bytes, char out[POLICY_FORMAT_MAX]);
const char *policy_format_cidr(const struct policy_cidr *cidr, char out[POLICY_FORMAT_MAX]);
const char *policy_format_ports(const struct policy_ports *ports, char out[POLICY_FORMAT_MAX]);
/* True for a family and a prefix that there are, without host bits. */
bool policy_cidr_valid(const struct policy_cidr *cidr);
bool policy_cidr_contains(const struct policy_cidr *outer, const struct policy_cidr *inner);

/* ---- walk.c ---- */

struct policy_walk {
	struct policy *policy;
	struct policy_report *report;
	bool egress;   /* the rule that is being read is one of firewall.egress */
	bool firmware; /* the guest starts with firmware, which may have its kernel in it */
};

struct policy_key;

struct policy_kind {
	const char *noun; /* "a size such as 512M": what messages and the reference call it */
	void (*read)(struct policy_walk *walk, const struct policy_key *key,
	             struct policy_node *value, void *base);
	/* A number in this kind's own notation, for ranges; NULL when it has no range. */
	const char *(*format)(uint64_t value, char out[POLICY_FORMAT_MAX]);
	int (*parse)(const char *text, uint64_t *value);
	/* Appended to a number that lacks its unit, or put for one that has a wrong one. */
	const char *unit;
};

struct policy_word {
	const char *word;
	uint64_t value;
};

struct policy_map {
	const char *what; /* "a disk" */
	const struct policy_key *keys;
	size_t count;
	size_t line; /* offset of the struct's line, or POLICY_NO_OFFSET */
	void (*defaults)(void *base);
	void (*check)(struct policy_walk *walk, struct policy_node *map, void *base);
};
#define POLICY_NO_OFFSET SIZE_MAX
#define POLICY_FIELD(type, field) \
	.offset = offsetof(struct type, field), .size = sizeof(((struct type *)0)->field)

struct policy_key {
	const char *name;
	const struct policy_kind *kind;
	size_t offset, size;     /* of the field in the struct that the mapping fills */
	uint64_t min, max, step; /* max: of a list, its length; of text, its size with the NUL */
	size_t counter;          /* offset of a list's size_t count */
	const struct policy_word *words;
	const struct policy_map *map; /* of a mapping, or of a list's items */
	const char *instead;          /* what people write when they mean it */
	bool required;
	const char *unless;   /* a key beside which it is not required */
	bool unless_firmware; /* nor of a guest that starts with firmware */
	const char *fallback; /* the default as one writes it; NULL when there is none */
	const char *help;     /* one phrase */
};

/* Entries of the tables: where a field is, where a list's items and their number are, and the table itself. */
#define FIELD POLICY_FIELD
#define ITEMS(type, field, count, most)                                                       \
	.offset = offsetof(struct type, field), .size = sizeof(((struct type *)0)->field[0]), \
	.counter = offsetof(struct type, count), .max = (most)
#define MAP(name_, keys_, ...)                   \
	static const struct policy_map name_ = { \
	        .keys = keys_, .count = BASE_COUNT(keys_), __VA_ARGS__}

extern const struct policy_kind policy_kind_uint, policy_kind_bool, policy_kind_text,
        policy_kind_path, policy_kind_size, policy_kind_bandwidth, policy_kind_rate,
        policy_kind_duration, policy_kind_word, policy_kind_words, policy_kind_map,
        policy_kind_list;

/* Fills the struct at `base` from a mapping, key by key. */
void policy_walk_map(struct policy_walk *walk, const struct policy_map *map,
                     struct policy_node *node, void *base);

/* Reports a value of the wrong type unless it is a scalar with something in it. */
bool policy_walk_text(struct policy_walk *walk, const struct policy_key *key,
                      const struct policy_node *value);

/* found VALUE, expected `expected`; the error, for a hint. */
struct policy_error *policy_walk_refuse(struct policy_walk *walk, const struct policy_node *node,
                                        const char *format, ...) BASE_PRINTF(3, 4);

void policy_store(void *base, const struct policy_key *key, uint64_t value);

/* ---- suggest.c ---- */

/* The nearest of `count` names to what was written, or NULL when none is near. */
const char *policy_suggest(const char *written, const char *const *names, size_t count);

/* ---- keys.c, peers.c, rule.c, service.c, cross.c ---- */

extern const struct policy_map policy_map_policy, policy_map_cpu, policy_map_vhost,
        policy_map_firewall, policy_map_forward, policy_map_sink;
extern const struct policy_kind policy_kind_numa;
extern const struct policy_kind policy_kind_peers, policy_kind_ports, policy_kind_proto,
        policy_kind_types, policy_kind_service, policy_kind_sets, policy_kind_groups,
        policy_kind_routing, policy_kind_addresses;

/* Calls `add` with a list's items, or with a single scalar. */
typedef void (*policy_item_fn)(struct policy_walk *walk, struct policy_node *node,
                               struct policy_rule *rule);
void policy_each_item(struct policy_walk *walk, struct policy_node *node, struct policy_rule *rule,
                      policy_item_fn add);

static inline bool policy_bit(const uint8_t *bits, size_t i)
{
	return bits[i / 8] & 1u << i % 8;
}
static inline void policy_bit_set(uint8_t *bits, size_t i)
{
	bits[i / 8] |= (uint8_t)(1u << i % 8);
}

/* "vm:db"; "gre"; " echo-request time-exceeded". */
void policy_peer_format(const struct policy_peer *peer, char out[POLICY_FORMAT_MAX]);
void policy_proto_format(const struct policy_rule *rule, char out[POLICY_FORMAT_MAX]);
void policy_types_format(FILE *out, const struct policy_rule *rule);

/* Where a key of that name is at home ("vm"), or NULL: for a key that was written in a wrong place. */
const char *policy_keys_home(const char *name);

/* vsock.c */
extern const struct policy_map policy_map_vsock;

/* intel.c */
extern const struct policy_kind policy_kind_lists;
bool policy_lists_valid(const struct policy_monitor *monitor);

/* suppress.c */
extern const struct policy_map policy_map_suppress;
bool policy_suppress_valid(const struct policy_suppress *suppress);
void policy_suppress_explain(FILE *out, const struct policy_suppress *suppress);

void policy_check_vm(struct policy_walk *walk, struct policy_node *map, void *base);
void policy_check_limit(struct policy_walk *walk, struct policy_node *map, void *base);
void policy_check_nic(struct policy_walk *walk, struct policy_node *map, void *base);
void policy_check_rule(struct policy_walk *walk, struct policy_node *map, void *base);
void policy_check_firewall(struct policy_walk *walk, struct policy_node *map, void *base);
void policy_check_forwards(struct policy_walk *walk, const struct policy *policy,
                           const struct policy_node *vm);
void policy_check_monitor(struct policy_walk *walk, struct policy_node *map, void *base);
void policy_check_policy(struct policy_walk *walk, struct policy_node *map, void *base);

/* ---- confidential.c ---- */

extern const struct policy_map policy_map_confidential;
/* What such a guest cannot have of the rest of a policy; it has no balloon. */
void policy_check_confidential(struct policy_walk *walk, struct policy *policy,
                               const struct policy_node *map);
bool policy_confidential_valid(const struct policy *policy);
void policy_confidential_explain(FILE *out, const struct policy_confidential *confidential);

/* ---- cpu.c ---- */

/* True for a model, features and a flag that the parser makes. */
bool policy_cpu_valid(const struct policy_cpu *cpu);

/* ---- keys_sinks.c ---- */

bool policy_sink_valid(const struct policy_sink *sink);
void policy_sink_explain(FILE *out, const struct policy_sink *sink);

/* ---- vhost_user.c ---- */

bool policy_vhost_valid(const struct policy_vm *vm);
void policy_vhost_explain(FILE *out, const struct policy_vm *vm);

/* ---- guard.c ---- */

extern const struct policy_kind policy_kind_guard_addresses;
void policy_default_guard(void *base);
/* What a policy cannot say of a guest that another VMM runs. False when it speaks of none. */
bool policy_check_guard(struct policy_walk *walk, const struct policy *policy,
                        const struct policy_node *map);
bool policy_guard_valid(const struct policy_vm *vm);
void policy_guard_explain(FILE *out, const struct policy_vm *vm);

/* ---- valid.c ---- */

/* Terminated, and nothing in it that a reader cannot see. */
bool policy_text_valid(const char *text, size_t size);

/* True when every count, span, enum and string of it is one that the parser makes. */
bool policy_valid(const struct policy *policy);
bool policy_errors_valid(const struct policy_errors *errors);

/* ---- parse.c ---- */

/*
 * Runs the function in the parser's role, in a child, and waits for it. 0 when it returned; -ETIME
 * when it ran out of time, -ECHILD when it died; another errno when the role could not be entered.
 */
typedef void (*policy_child_fn)(void *argument);
int policy_run_child(policy_child_fn run, void *argument);

/* What the child does, in this process: for the child itself and for the fuzzer. */
int policy_parse_here(const char *text, size_t size, struct policy *policy,
                      struct policy_errors *errors);

#endif
