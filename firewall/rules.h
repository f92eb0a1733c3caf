/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private to the room: how a policy becomes nft text, and what the kernel says of it later.
 *
 * Names. A VM's objects are `vm_NAME_…`; '_' is not in VM names, so the parts can be told apart, and the prefix keeps
 * names clear of nft's keywords. Per VM there are the chains of firewall_vm_chains, as far as there is something to
 * say in them (egress always), those of its rules' limits (mark.c), I_forwards for NIC I = 0…, and `is`, which no
 * packet passes: its comments are the record of what the VM has. In `netdev cordon` there are I, I_groups, I_routing.
 *
 * What goes into the text is either fixed here, or a number, or an address that was printed from its
 * bytes, or the VM's or the tap's name after firewall_check() has seen that it holds nothing special.
 *
 * Counters are rule comments, "WHAT" or "WHAT, line N" or "WHAT, tap TAP…": rules with equal comments
 * (a policy rule may need several nft rules) are one counter. Those of rules that all VMs share are in tally.c.
 */
#ifndef CORDON_FIREWALL_RULES_H
#define CORDON_FIREWALL_RULES_H

#include "base/base.h"
#include "firewall/firewall.h"

enum {
	FIREWALL_NAME_MAX = 128, /* of a chain or set, with its NUL */
	FIREWALL_NAMES_MAX = POLICY_RULES_MAX * 6 + POLICY_SETS_MAX * 2 + POLICY_NAMES_MAX * 2,
	FIREWALL_SPOOF_MAPS = 2,     /* groups, routing */
	FIREWALL_NFLOG_GROUP = 4404, /* where `log: true` rules send their packets */
};

/* What is being written: one VM's rules. */
struct firewall_plan {
	FILE *out;
	const struct policy *policy;
	const struct firewall_nic *nics;
	size_t nic_count;
	const char *family;  /* "inet", or "bridge" for NICs of that mode */
	uint16_t generation; /* of these rules, 1 to FIREWALL_GENERATIONS: see mark.c */
	bool replaces;       /* there may be connections that older rules allowed */
	unsigned int chains; /* bits of firewall_vm_chains: those that were written */
};

/* One direction of connections: who opens them, and whether the other end is the host itself. */
struct firewall_side {
	const char *name;  /* of the policy's list, in comments and names of sets */
	const char *chain; /* the packets of those that open; CHAIN_back: of those that answer */
	bool outward;      /* the guest opens */
	bool local;        /* the peer is the host */
};
enum firewall_side_index { FIREWALL_EGRESS, FIREWALL_INGRESS, FIREWALL_HOST, FIREWALL_LOCAL };
enum { FIREWALL_SIDES = 4, FIREWALL_GENERATIONS = 4094 /* even: the next one's parity differs */ };
extern const struct firewall_side firewall_sides[FIREWALL_SIDES];

/* One rule of the policy on its way into text. */
struct firewall_writing {
	const struct firewall_plan *plan;
	const struct firewall_side *side;
	const struct policy_rule *rule;
	size_t index;
	bool back;         /* for the packets of those that answer: every match is turned round */
	const char *guard; /* what is matched before all else: ends with a space, or "" */
};

/* 0 when all of it may be put into text, else -EINVAL or -EOPNOTSUPP and one sentence in `why`. */
int firewall_check(const struct policy *policy, const struct firewall_nic *nics, size_t nic_count,
                   char *why, size_t why_size);
bool firewall_name_valid(const char *vm);

/* The tables, maps and base chains that all VMs share; adding them again changes nothing. */
void firewall_text_tables(FILE *out, const char *family);
/* True when they are there, as this version of them makes them. */
bool firewall_tables_there(struct firewall *fw, const char *family);
/* The VM's own chains with their sets, and the elements that lead there; notes which in plan->chains. 0 or
 * -ENOMEM. */
int firewall_text_policy(struct firewall_plan *plan);
/* NIC i of the inet table: its elements in the shared sets, and the ports that are forwarded to it. */
void firewall_text_nic(const struct firewall_plan *plan, size_t i);
/* NIC i of mode bridge. */
void firewall_text_bridge(const struct firewall_plan *plan, size_t i);
/* Takes the elements of either out. */
void firewall_text_unnic(FILE *out, const char *family, const struct firewall_nic *was);
/* The chains and sets that all taps share in the netdev family. */
void firewall_text_spoof_tables(FILE *out);
/* NIC i: the netdev base chain, its elements in those sets. */
void firewall_text_spoof(const struct firewall_plan *plan, size_t i);
struct firewall_state;
/* Takes out what that put in, but for the base chain. */
void firewall_text_unspoof(FILE *out, const char *vm, const struct firewall_state *old, size_t i);
/* The shared chains `denied`, for what a guest may not send, and `denied_to`, for what others may not send to it: it is
 * logged, within limits, and dropped. */
void firewall_denied_tables(FILE *out, const char *family);
/* Before one of the policy's own rules that drops or rejects: it is logged, with its line. */
void firewall_denied_log(const struct firewall_plan *plan, const char *chain, const char *match,
                         bool outward, uint32_t line);
/* The tap's shares are free. */
void firewall_denied_forget(FILE *out, const char *family, const char *tap);
/* One rule of the VM's: "add rule inet cordon vm_NAME_CHAIN " and the rest. */
void firewall_text_rule(const struct firewall_plan *plan, const char *chain, const char *tail, ...)
        BASE_PRINTF(3, 4);

/* Declares one of the VM's chains and empties it. */
void firewall_text_chain(const struct firewall_plan *plan, const char *suffix);

/* ---- sets.c: what rules refer to ---- */

/* What `world` is not, as nft lists it: addresses and networks with ", " between them. */
extern const char firewall_private4[], firewall_private6[];
bool firewall_cidr_covers(const struct policy_cidr *outer, const struct policy_cidr *inner);
/* How many of the networks are of that family. */
size_t firewall_set_count(const struct policy *policy, struct policy_span cidrs, int family);
/* True when the rule's ports, or its networks of a family, are in a set of their own. */
bool firewall_set_of_ports(const struct firewall_writing *w);
bool firewall_set_of_cidrs(const struct firewall_writing *w, int family);
/* Names without the '@': of the rule's set of "ports", "ip4" or "ip6"; of a set of the policy's. */
void firewall_set_name(char *to, const struct firewall_writing *w, const char *what);
void firewall_set_shared_name(char *to, const struct firewall_plan *plan,
                              const struct policy_set *set, int family);
/* Declares the sets: of one rule, of the policy, of all VMs. 0 or -ENOMEM. */
int firewall_set_rule(const struct firewall_writing *w);
int firewall_set_policy(const struct firewall_plan *plan);
void firewall_set_tables(FILE *out, const char *family);

/* ---- match.c: a policy rule as nft rules ---- */

/* The rule for each of its peers and services. */
void firewall_match_rule(const struct firewall_writing *w);
/* What the rule says of metadata addresses: only what names one exactly may allow it. */
void firewall_match_metadata(const struct firewall_writing *w);
/* The same of the addresses of public resolvers. */
void firewall_match_resolvers(const struct firewall_writing *w);
/* The rule, if it drops, or allows an exact address or DNS's own ports. */
void firewall_match_dns(const struct firewall_writing *w);

/* ---- named.c: who is known by name, and other resolvers, which would know better ---- */

/* True when the rule allows DNS by its port, not as one of many. */
bool firewall_dns_explicit(const struct policy *policy, const struct policy_rule *rule);
bool firewall_dns_port(uint16_t port);
extern const struct policy_cidr firewall_resolvers[];
extern const size_t firewall_resolver_count;
/* True when a rule speaks of names. */
bool firewall_named_any(const struct policy *policy);
/* The name of the set, without the '@', of the addresses of policy.names[i]. */
void firewall_named_set(char *to, const char *vm, const char *pattern, int family);
/* Declares them; those that are there already keep what is in them. */
void firewall_named_declare(const struct firewall_plan *plan);
/* True when the policy (may be NULL) has a name whose set this is. */
bool firewall_named_keeps(const struct policy *policy, const char *set);
/* Other resolvers are closed, but to rules that name them or DNS. */
void firewall_named_resolvers(const struct firewall_plan *plan, const struct firewall_side *side,
                              bool back);

/* ---- mark.c: which rules allowed a connection, and how much may pass it ---- */

/* The rule's place among those with limits, from 1; 0: it has none. */
unsigned int firewall_mark_slot(const struct policy *policy, const struct firewall_writing *w);
size_t firewall_mark_slots(const struct policy *policy, bool outward);
/* "ct mark set …", for a connection that the side's rules allow. */
void firewall_mark_set(char *to, size_t size, const struct firewall_plan *plan, bool outward,
                       unsigned int slot);
/* At the head of CHAIN, where rules have limits of their own: what they have allowed meets only those. */
void firewall_mark_known(const struct firewall_plan *plan, const char *chain, bool outward);
/* What the rules of now have allowed, by tap, in the shared sets; `verb` "add" or "delete". With a policy, only
 * for sides whose rules have no limits of their own. */
void firewall_mark_elements(FILE *out, const char *verb, const char *family, const char *tap,
                            uint16_t generation, const struct policy *policy);
/* True when the VM limits connections of all its rules: in the chains SIDE_allow. */
bool firewall_mark_allows(const struct policy *policy);
/* Chains and objects of limits, and their rules. */
void firewall_mark_chains(const struct firewall_plan *plan);
void firewall_mark_limits(const struct firewall_plan *plan);
/* The VM's own limits on packets of one side, in its chain SIDE_head. */
void firewall_mark_head(const struct firewall_plan *plan, const char *side);

/* ---- peers.c: sets of taps ---- */

/* True for a NIC whose rules are in that family's table. */
static inline bool firewall_nic_in(const struct firewall_nic *nic, const char *family)
{
	return (nic->mode == POLICY_NIC_BRIDGE) == (strcmp(family, "bridge") == 0);
}

struct firewall_state;
/* Takes the VM's taps out of all sets; puts them in; declares the sets that its rules name. With no
 * `fw` nothing is asked of the kernel. 0 or a negative errno. */
int firewall_peers_leave(struct firewall *fw, FILE *out, const char *family, const char *vm,
                         const struct firewall_state *old);
int firewall_peers_join(struct firewall *fw, const struct firewall_plan *plan);
int firewall_peers_name(struct firewall *fw, const struct firewall_plan *plan);
/* Deletes those sets of the old rules that nobody refers to any more; the new policy's (may be NULL) are not tried. */
void firewall_peers_sweep(struct firewall *fw, const char *family, const struct firewall_state *old,
                          const struct policy *policy);

/* The address part of a match, or the address alone: "10.0.0.0/8". */
void firewall_text_address(char *to, size_t size, const struct policy_cidr *cidr);

/* The families with rules of VMs; every VM is in the first, those with a NIC of mode bridge in both. */
extern const char *const firewall_families[2];
/* A VM's chains, and how the elements of map_SUFFIX lead there (NULL: there is no such map). */
struct firewall_vm_chain {
	const char *suffix, *verdict;
};
extern const struct firewall_vm_chain firewall_vm_chains[];
extern const size_t firewall_vm_chain_count;
extern const char *const firewall_spoof_maps[FIREWALL_SPOOF_MAPS];

/* A list of names without doubles; freed by firewall_state_clear(). */
struct firewall_names {
	char (*list)[FIREWALL_NAME_MAX];
	size_t count;
};

/* What the kernel holds of a VM in one family's table. */
struct firewall_state {
	bool present;        /* its chains are there: */
	unsigned int chains; /* bits of firewall_vm_chains */
	bool quarantined;
	uint16_t generation; /* of its rules */
	size_t slots[2];     /* rules with limits: ingress, egress */
	size_t nic_count;    /* all of its NICs are below */
	struct {
		char tap[16]; /* empty: this NIC is not in this table */
		bool hooked; /* its netdev base chain is there (older kernels drop it with the device) */
		struct firewall_nic was;        /* its tap, MAC, addresses and ports */
		bool maps[FIREWALL_SPOOF_MAPS]; /* those that it has a chain in */
		bool forwarding;                /* it has a chain of forwards */
		struct policy_forward forwards[POLICY_FORWARDS_MAX];
		size_t forward_count;
	} nics[POLICY_NICS_MAX];
	struct firewall_names sets, quotas; /* its own */
	struct firewall_names groups;       /* sets of groups that it is in */
	struct firewall_names peers;        /* sets of taps that its rules name */
};
void firewall_state_clear(struct firewall_state *state);
/* Writes the chain `is`, from which the next reader has it. */
void firewall_state_write(const struct firewall_plan *plan);
/* Reads it; 0 (also when nothing is there) or a negative errno. */
int firewall_state_read(struct firewall *fw, const char *family, const char *vm,
                        struct firewall_state *state);
/* True when the name is in the list. */
bool firewall_names_hold(const struct firewall_names *names, const char *name);
/* Adds a name, once. 0, -E2BIG or -ENOMEM. */
int firewall_names_add(struct firewall_names *names, const char *name);

/* ---- read.c: one chain, whatever else there is; `fw` may be NULL: by a socket for this alone ---- */

struct firewall_rule {       /* valid in the call only */
	const char *comment; /* or NULL */
	bool counted;        /* it has a counter: */
	uint64_t packets, bytes;
	const char *sets[6]; /* that it looks things up in */
	size_t set_count;
	const char *object; /* a quota's name, or NULL */
};
typedef int firewall_rule_fn(const struct firewall_rule *rule, void *data);

/* ---- tally.c: counters of rules that all VMs share ---- */

void firewall_tally_tables(FILE *out, const char *family);
/* The end of a rule that drops what comes "from" or goes "to" a tap, with a newline. */
void firewall_tally_drop(FILE *out, const char *way, const char *what);
/* Takes the tap's counters out. */
void firewall_tally_forget(FILE *out, const char *family, const char *tap);
/* Each of them, those that have counted nothing too. */
int firewall_tally_read(struct firewall *fw, const char *family, const char *tap,
                        firewall_rule_fn *take, void *data);
/* Each rule of a chain of cordon's table (`take` NULL: none). 0, -ENOENT: no such chain, or another error, `take`'s
 * too. */
int firewall_read_chain(struct firewall *fw, const char *family, const char *chain,
                        firewall_rule_fn *take, void *data);
/* The name of each chain of cordon's table; ends with the first error of `take`'s. */
int firewall_read_chains(struct firewall *fw, const char *family,
                         int (*take)(const char *chain, void *data), void *data);
/* 0 when there is such a set, -ENOENT when there is none, or another negative errno. */
int firewall_read_set(struct firewall *fw, const char *family, const char *set);
/* The counter of one element; 0, -ENOENT: no such element, or another negative errno. */
int firewall_read_element(struct firewall *fw, const char *family, const char *set, const void *key,
                          size_t size, struct firewall_rule *rule);
/* Each element of a set: its key, and the milliseconds that it has yet (0: no end). 0 or a negative errno. */
typedef void firewall_element_fn(const void *key, size_t size, uint64_t left, void *data);
int firewall_read_set_elements(struct firewall *fw, const char *family, const char *set,
                               firewall_element_fn *take, void *data);
/* True when cordon's table of that family is there. */
bool firewall_table_there(struct firewall *fw, const char *family);

/* ---- batch.c: the short way into the kernel ---- */

struct mnl_socket;
int firewall_batch_open(struct mnl_socket **to);
/* 0; -EOPNOTSUPP: there are words that only libnftables knows; -EPROTO: what became of it cannot be told; or what the
 * kernel refused it with: nothing has changed. */
int firewall_batch_run(struct mnl_socket *socket, uint32_t *sequence, const char *text);

/* The netlink socket that lives as long as `fw`, or NULL. The kernel lets who closes one after a change wait until
 * what was deleted is gone, so it is closed only when there is something wrong with it. */
struct mnl_socket *firewall_socket(struct firewall *fw);
void firewall_socket_close(struct firewall *fw);
/* Runs text as one transaction. */
int firewall_run(struct firewall *fw, const char *text);
/* The same with what the kernel may well refuse: firewall_error() does not say why. */
int firewall_try(struct firewall *fw, const char *text);
/* Runs one `list` command and gives back its JSON (the "nftables" array, owned by the caller).
 * -ENOENT when what it lists is not there. */
struct json_t;
int firewall_list(struct firewall *fw, const char *command, struct json_t **array);
/* Sets the sentence that firewall_error() returns. */
void firewall_fail(struct firewall *fw, const char *format, ...) BASE_PRINTF(2, 3);
/* One process changes cordon's tables at a time; released by firewall_unlock(). -EBUSY: somebody has not let go of it for
 * five seconds, or the time that is given; firewall_error() names who. */
int firewall_lock(struct firewall *fw);
int firewall_lock_within(struct firewall *fw, int ms);
void firewall_unlock(struct firewall *fw);
/* The lock's file while it is held, else -1; and writing the number of a commit of ours into it. */
int firewall_lock_fd(const struct firewall *fw);
void firewall_ring_add(int lock, uint32_t commit);
/* lock.c: the lock's fd, or a negative errno; -EBUSY after so many milliseconds. */
int firewall_lock_take(int ms);
/* What went wrong with it, and whose doing that is. */
void firewall_lock_words(int error, char *words, size_t size);
/* The number of the last commit; 0 when it cannot be had. */
uint32_t firewall_read_commit(struct firewall *fw);

#endif
