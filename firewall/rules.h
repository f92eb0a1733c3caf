/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private to the room: how a policy becomes nft text, and what the kernel says of it later.
 *
 * Names. A VM's objects are `vm_NAME_…`; '_' is not in VM names, so the parts can be told apart, and
 * the prefix keeps names clear of nft's keywords. Per VM there are the chains egress, ingress, host
 * and egress_allow/ingress_allow (its limits); per NIC (I = 0…) the chains I_from, I_to, I_input,
 * I_output, I_ports_in, I_ports_out, I_nat, and in `netdev cordon` I, I_arp, I_ip4, I_ip6, I_ip6_own.
 *
 * What goes into the text is either fixed here, or a number, or an address that was printed from its
 * bytes, or the VM's or the tap's name after firewall_check() has seen that it holds nothing special.
 *
 * Counters are rule comments, "WHAT" or "WHAT, line N" or "WHAT, tap TAP": rules with equal comments
 * (a policy rule may need several nft rules) are one counter.
 */
#ifndef CORDON_FIREWALL_RULES_H
#define CORDON_FIREWALL_RULES_H

#include "base/base.h"
#include "firewall/firewall.h"

enum {
	FIREWALL_NAME_MAX = 128, /* of a chain or set, with its NUL */
	FIREWALL_SETS_MAX = POLICY_RULES_MAX * 6,
	FIREWALL_NFLOG_GROUP = 4404, /* where `log: true` rules send their packets */
};

/* What is being written: one VM's rules. */
struct firewall_plan {
	FILE *out;
	const struct policy *policy;
	const struct firewall_nic *nics;
	size_t nic_count;
	char generation; /* 'a' or 'b': sets of the old and the new rules stand side by side for a moment */
};

enum firewall_side { FIREWALL_EGRESS, FIREWALL_INGRESS, FIREWALL_HOST };

/* 0 when all of it may be put into text, else -EINVAL or -EOPNOTSUPP and one sentence in `why`. */
int firewall_check(const struct policy *policy, const struct firewall_nic *nics, size_t nic_count,
                   char *why, size_t why_size);
bool firewall_name_valid(const char *vm);

/* The tables, maps and base chains that all VMs share; adding them again changes nothing. */
void firewall_text_tables(FILE *out);
/* Declares and empties all of the VM's chains, so that what follows can refer to any of them. */
void firewall_text_chains(const struct firewall_plan *plan);
/* The VM's egress, ingress and host chains with their sets. 0 or -ENOMEM. */
int firewall_text_policy(const struct firewall_plan *plan);
/* NIC i: the inet chains, the rewriting of ports, its elements in the shared maps. */
void firewall_text_nic(const struct firewall_plan *plan, size_t i);
/* NIC i: the netdev chains. */
void firewall_text_spoof(const struct firewall_plan *plan, size_t i);
/* The address part of a match, or the address alone: "10.0.0.0/8". */
void firewall_text_address(char *to, size_t size, const struct policy_cidr *cidr);

/* The maps that a tap has an element in, and the chain suffixes that the elements name. */
struct firewall_map {
	const char *map, *suffix;
};
extern const struct firewall_map firewall_maps[];
extern const size_t firewall_map_count;
extern const char *const firewall_vm_chains[];
extern const size_t firewall_vm_chain_count;
extern const char *const firewall_spoof_chains[];
extern const size_t firewall_spoof_chain_count;

/* What the kernel holds of a VM. */
struct firewall_state {
	bool present; /* its inet chains are there */
	bool quarantined;
	char generation; /* of its sets; 0 when it has none */
	size_t nic_count;
	struct {
		char tap[16];
		bool hooked; /* its netdev base chain is there (older kernels drop it with the device) */
	} nics[POLICY_NICS_MAX];
	size_t set_count;
	char (*sets)[FIREWALL_NAME_MAX]; /* freed by firewall_state_clear() */
};
void firewall_state_clear(struct firewall_state *state);
/* Reads it; 0 (also when nothing is there) or a negative errno. */
int firewall_state_read(struct firewall *fw, const char *vm, struct firewall_state *state);

/* Runs text as one transaction. */
int firewall_run(struct firewall *fw, const char *text);
/* Runs one `list` command and gives back its JSON (the "nftables" array, owned by the caller).
 * -ENOENT when what it lists is not there. */
struct json_t;
int firewall_list(struct firewall *fw, const char *command, struct json_t **array);
/* Sets the sentence that firewall_error() returns. */
void firewall_fail(struct firewall *fw, const char *format, ...) BASE_PRINTF(2, 3);
/* One process changes cordon's tables at a time; released by firewall_unlock(). */
int firewall_lock(struct firewall *fw);
void firewall_unlock(struct firewall *fw);

#endif
