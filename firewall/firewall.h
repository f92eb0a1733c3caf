/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * firewall: policy to nftables, in one transaction.
 *
 * Three tables are cordon's own and nothing else is touched: `inet cordon` (conntrack, chains that all VMs
 * share, verdict maps from interface name to the VM's own, NAT), `bridge cordon` (the same for NICs of mode
 * bridge, and there only while there is one) and `netdev cordon` (one base chain a tap, at ingress, and shared
 * chains behind it: anti-spoofing). A VM joins, changes or leaves by one transaction, so rules are old or new
 * and never neither or half.
 *
 * The caller loads the rules before the tap is up. Names are matched (iifname), so the inet rules
 * stand before the tap exists; the netdev base chain is made as soon as the tap exists, while it is down.
 */
#ifndef CORDON_FIREWALL_H
#define CORDON_FIREWALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "policies/policies.h"

/* What the host decided for one NIC: the policy does not hold it. */
struct firewall_nic {
	char tap[16];
	enum policy_nic_mode mode;
	char bridge[16]; /* of mode bridge */
	/* The tap, and the network that it is in, are another VMM's (cordon guard): there is no gateway of ours, and
	 * what a network does for every member passes (DHCP, neighbours, routers). */
	bool foreign;
	uint8_t mac[6];      /* the guest's */
	uint8_t ip4[4];      /* the guest's */
	uint8_t gateway4[4]; /* the host's side, where dnsmasq answers */
	uint8_t ip6[16];     /* the guest's */
	uint8_t gateway6[16];
	/* dnsmasq has no capabilities, so it listens above 1024 and the table rewrites the ports
	 * statelessly: 67 <-> dhcp_port, 53 <-> dns_port. 0: no such service. */
	uint16_t dhcp_port;
	uint16_t dns_port;
};

/*
 * What a guest may not send is logged to this group of nfnetlink_log, so many packets of each tap: with the prefix
 * "cordon denied line N", N being the policy's line or 0; of what is beyond, of all taps together, each 1024th with
 * "cordon denied more". What others (not the host) may not send to it is logged in the same way, apart, with "cordon
 * denied to line N" and "cordon denied to more".
 */
enum { FIREWALL_DENIED_GROUP = 4405 };

struct firewall;

/* A long-lived context; not for two threads. NULL with errno when libnftables has none. */
struct firewall *firewall_open(void);
void firewall_close(struct firewall *fw);
/* The kernel's words for the last error, one line; never NULL. */
const char *firewall_error(const struct firewall *fw);

/* An fd of its own, for reading, of the lock that whoever changes cordon's tables takes by flock(); or a negative errno. */
int firewall_lock_open(void);
/* Who holds it, as far as the kernel tells: its pid, or 0; `process` is its name, or empty. */
pid_t firewall_lock_holder(char process[17]);

/* Adds or atomically replaces the VM's rules, and cordon's tables if they are not there yet.
 * Returns 0 or a negative errno; after an error nothing has changed. */
int firewall_vm_apply(struct firewall *fw, const struct policy *policy,
                      const struct firewall_nic *nics, size_t nic_count);

/* Removes all that is the VM's (0 also when nothing is), and the tables with the last VM. */
int firewall_vm_remove(struct firewall *fw, const char *vm);

/* Nothing in or out but `allow` (may be NULL), established connections included; and back. */
int firewall_vm_quarantine(struct firewall *fw, const char *vm, const struct policy_cidr *allow);
int firewall_vm_release(struct firewall *fw, const char *vm);

/* One counter of the VM: a policy rule, a default deny, or an anti-spoofing rule. */
struct firewall_counter {
	char what[64]; /* "egress[0]", "egress default deny", "spoofed ipv4 source", … */
	uint32_t line; /* of the policy, or 0 */
	uint64_t packets, bytes;
};
/* Fills at most `max`; returns how many there are, or a negative errno. */
int firewall_vm_counters(struct firewall *fw, const char *vm, struct firewall_counter *list,
                         size_t max);

/* An address that a name of the VM's policy stands for by now. */
struct firewall_named {
	uint16_t name;              /* of policy.names */
	struct policy_cidr address; /* one */
	uint32_t seconds;           /* that it has yet */
};
/* Fills at most `max`; returns how many there are, or a negative errno. */
int firewall_vm_names(struct firewall *fw, const struct policy *policy, struct firewall_named *list,
                      size_t max);

/* Bits of policy.names: those that stand for the address by now. */
void firewall_vm_names_of(const struct policy *policy, uint8_t family, const uint8_t *address,
                          uint8_t bits[POLICY_NAMES_MAX / 8]);

/* VMs that have rules now: fills at most `max` names, returns how many there are (recovery, reaping). */
int firewall_vm_list(struct firewall *fw, char (*names)[POLICY_NAME_MAX], size_t max);

/* Prints the rules that firewall_vm_apply() would load, without touching the kernel; or, before an
 * error is returned, a comment line that says why it would refuse them. */
int firewall_explain(FILE *out, const struct policy *policy, const struct firewall_nic *nics,
                     size_t nic_count);

/*
 * How dnsmasq is started for one NIC (mode nat, host-only or routed, with an IPv4 address), after the
 * tap has its address: through isolate_spawn() with ISOLATE_KEEP_NET | ISOLATE_KEEP_ROOT, a uid of its
 * own, standard error for its messages (a pipe, or a file with a file_size_max), 64 open files, and
 * these. No list: it locks its own before it serves. It ends by SIGTERM.
 */
struct firewall_dnsmasq {
	const char
	        *binary; /* to open and execute: the dynamic loader, which argv tells what to run */
	char *const *argv;
	const char *const *binds; /* all that its root holds */
};
/* The policy's names, a line each and each once: what cordon-names reads. */
void firewall_names_write(FILE *out, const struct policy *policy);
/* The port that it answers DNS on: another than the guest asks at, where the policy has names and cordon-names (see
 * firewall/names.h) stands between. */
uint16_t firewall_dnsmasq_port(const struct policy *policy, const struct firewall_nic *nic);
/* `preload` is the absolute path of dnsmasq-preload.so as it is installed or built, `resolv_conf` the
 * host's (its name servers are asked in the guest's place). *made is one block, freed with free(). */
int firewall_dnsmasq_make(const struct policy *policy, const struct firewall_nic *nic,
                          const char *preload, const char *resolv_conf,
                          struct firewall_dnsmasq **made);

/*
 * The sockets of cordon-router for one NIC (as dnsmasq's, with an IPv6 address), after the tap has its addresses: raw
 * ICMPv6, and UDP at nic->dhcp_port. The caller's. 0 or a negative errno. It takes four words for each NIC: the guest's
 * address, the gateway's, the MTU, and "dns" or "none"; its fds start at ROUTER_FD_FIRST (firewall/router.h).
 */
int firewall_router_open(const struct firewall_nic *nic, int fds[2]);

/* True when the kernel has what the rules need; else *missing names the first thing it has not. */
bool firewall_host_check(struct firewall *fw, const char **missing);
/* The same for what only mode bridge needs. */
bool firewall_host_check_bridge(struct firewall *fw, const char **missing);

/* ---- judge.c: what the rules of a policy say of one packet, without a kernel ---- */

/* What the end of a packet that is not the guest's is. */
enum firewall_end { FIREWALL_END_WORLD, FIREWALL_END_HOST, FIREWALL_END_VM };

/* A packet that opens a connection, or stands for itself. */
struct firewall_packet {
	uint8_t family;   /* 4 or 6 */
	uint8_t protocol; /* IP's number for it */
	uint8_t type;     /* of ICMP and ICMPv6 */
	uint16_t sport, dport;
	uint8_t from[16], to[16]; /* IPv4 in the first four bytes */
	enum firewall_end other;
	const char *vm; /* FIREWALL_END_VM: its name, and its groups */
	const char (*groups)[POLICY_NAME_MAX];
	size_t group_count;
	/* bits of policy.names: those that stand for the other end by now; NULL: none. See firewall_vm_names_of() */
	const uint8_t *names;
	char name
	        [POLICY_DNS_NAME_MAX]; /* or the other end is one of the world's that is known by this name */
};

struct firewall_verdict {
	enum policy_action action;
	char what[64]; /* the counter that the packet adds to: see struct firewall_counter */
	uint32_t line;
	bool sent;    /* by the guest, or to it */
	bool limited; /* limits may yet drop what is allowed */
	size_t nic;
};

/*
 * What becomes of it at the guest's tap and in its chains; a packet with neither end the guest's is one that
 * it sends under a false source. Limits, routes and other people's rules are not looked at. `cut`: the guest
 * is in quarantine, but for `allow` (may be NULL). Another VM (FIREWALL_END_VM) is
 * a port of the same bridge, or neither is of one. 0; -EINVAL when the rules would be refused.
 */
int firewall_judge(const struct policy *policy, const struct firewall_nic *nics, size_t nic_count,
                   const struct firewall_packet *packet, bool cut, const struct policy_cidr *allow,
                   struct firewall_verdict *verdict);

/* ---- watch.c: somebody else changes cordon's tables ---- */

struct firewall_watch;
struct firewall_change { /* who did; zero where the kernel did not say */
	pid_t pid;
	char process[17];
	pid_t holder; /* who did not let go of the lock, so that whose a change is could not be told; else 0 */
};

/* Listens; NULL with errno. firewall_watch_fd() is readable when there may be something to read. */
struct firewall_watch *firewall_watch_open(void);
void firewall_watch_close(struct firewall_watch *watch);
int firewall_watch_fd(const struct firewall_watch *watch);
/* 1 when somebody other than this room's callers has changed cordon's tables, 0 when not, or a negative errno. */
int firewall_watch_read(struct firewall_watch *watch, struct firewall *fw,
                        struct firewall_change *change);
/* Deletes both of cordon's tables, whatever is in them: what somebody edited is not to be trusted. 0 also when
 * there are none. */
int firewall_forget(struct firewall *fw);

/* ---- foreign.c ---- */

/* Somebody else's base chain that drops what is forwarded, but for what it accepts. */
struct firewall_foreign {
	char chain[160]; /* "ip filter FORWARD": family, table, name */
	bool policy;     /* by its policy; else by its last rule */
};
/* Fills at most `max`; returns how many there are, or a negative errno. */
int firewall_foreign(struct firewall *fw, struct firewall_foreign *list, size_t max);

#endif
