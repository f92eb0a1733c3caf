/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * offline: the flow engine and the detectors over packets that somebody has captured. Each source address
 * counts as a VM, with detectors of its own, unless `vms` says which are. Pure: packets in, alerts out; no
 * file is read here. Packets may be hostile, memory is bounded.
 */
#ifndef CORDON_MONITOR_OFFLINE_H
#define CORDON_MONITOR_OFFLINE_H

#include "monitor/alert.h"
#include "monitor/capfile.h"

enum { OFFLINE_SOURCES = 256, OFFLINE_CIDRS_MAX = 16 };

struct offline_cidr {
	uint8_t address[16]; /* as in struct flow_key */
	uint8_t family;      /* FLOW_IPV4 or FLOW_IPV6 */
	uint8_t bits;
};

/* Called for each flow when it has ended; its times are Unix ns. */
typedef void offline_flow_fn(const struct flow_record *record, uint64_t now_ns, void *data);

struct offline_config {
	size_t flows,
	        flows_max; /* room for so many, first and at most; half a million is the limit */
	const struct offline_cidr *vms;
	size_t vm_count; /* 0: every source is one */
	bool tls;        /* take apart what TLS connections say of themselves: offline_tls() */
	const struct intel_set *intel; /* what is known to be bad, or NULL */
	offline_flow_fn *flow;         /* or NULL; `data` is offline_open()'s */
};

/* Called for each alert of the VM whose address is `vm` (as text); valid until it returns. */
typedef void offline_emit_fn(const struct alert *alert, const char *vm, void *data);

struct offline;

/* "10.0.0.0/8", "fd00::/8", or one address. 0 or -EINVAL. */
int offline_cidr_parse(const char *text, struct offline_cidr *cidr);

/* 0 or a negative errno. What config points at is the caller's, and stays. */
int offline_open(struct offline **out, const struct offline_config *config, offline_emit_fn *emit,
                 void *data);
void offline_close(struct offline *offline);

/* True when packets of this link type (LINKTYPE_*) can be read. */
bool offline_linktype_known(int linktype);

/* Packets in their order, the link type of each one that can be read; their times (Unix) may go back a little;
 * when they go back by more than an hour, another capture has begun: all findings end, and the detectors
 * forget. Nothing of them is needed afterwards. */
void offline_packets(struct offline *offline, const struct capfile_packet *packets, size_t count);

/* No packet follows: all findings end. */
void offline_finish(struct offline *offline);

struct offline_stats {
	uint64_t packets, bytes, flows;
	uint64_t unread;  /* packets that were cut short, malformed, or no Ethernet-like frame */
	uint64_t evicted; /* flows that left before they had ended, for want of room */
	uint64_t first_ns, last_ns;
	uint64_t unwatched;       /* flows whose opener had no detectors, for want of room */
	uint64_t sources_dropped; /* VMs whose detectors were given to another one */
};
/* NULL where that was not asked for. */
const struct tls_flows *offline_tls(const struct offline *offline);

void offline_stats(const struct offline *offline, struct offline_stats *stats);

#endif
