/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * denied: what the firewall says of packets that it did not let out, or in, by the kernel's nfnetlink_log. The rules log
 * them to one group with the prefix
 *
 *   cordon denied line N      N is the policy's line, 0 where no rule allows the packet
 *   cordon denied more        one of DENIED_MORE that were beyond what a tap may have logged
 *   cordon denied to …        the same of what others sent to a guest
 *
 * and whose they are is the tap that they came in by, or would have gone out by. A message becomes an event for the detectors.
 */
#ifndef CORDON_MONITOR_DENIED_H
#define CORDON_MONITOR_DENIED_H

#include <stddef.h>

#include "bpf/events.h"

enum {
	DENIED_EVENT = 16, /* beside enum flow_event_type */
	DENIED_MORE = 1024,
	DENIED_COPY = 128, /* bytes of a packet that are wanted, from its IP header */
};

struct denied_event {
	struct flow_event_header header; /* type DENIED_EVENT */
	struct flow_key key;
	uint32_t line;   /* of the policy, or 0 */
	uint32_t more;   /* further packets that it stands for */
	uint32_t inward; /* 1: somebody else sent it to the guest */
	uint32_t zero;
};

/* Called for each packet; header.time_ns is for the callee to fill in. */
typedef void denied_fn(struct denied_event *event, void *data);

/*
 * Reads one datagram of netlink messages, as nfnetlink_log writes them (linux/netfilter/nfnetlink_log.h). Its packets are
 * a guest's: what is cut short, or is no packet with two addresses, is left out.
 */
void denied_read(const uint8_t *bytes, size_t size, denied_fn *each, void *data);

#endif
