/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * monitor: what cordon-monitor (one a host, no privileges) and the host daemon say to each other,
 * and the public entry points of the room.
 *
 * The monitor listens on a SOCK_SEQPACKET unix socket (/run/cordon/monitor.sock) that the daemon made
 * for it. Requests are one `struct monitor_request` each, with file descriptors as SCM_RIGHTS; who may
 * ask what goes by SO_PEERCRED: uid 0 may register and forget, group cordon may only query. Answers
 * and actions are fixed-size too, but for the JSON of a query, which comes in MONITOR_TEXT messages.
 */
#ifndef CORDON_MONITOR_H
#define CORDON_MONITOR_H

#include <stdint.h>

#include "policies/policies.h"

enum {
	MONITOR_VERSION = 1,
	MONITOR_TEXT_MAX = 4096,
	MONITOR_FDS_MAX = 2 + POLICY_SINKS_MAX + 2 * POLICY_LISTS_MAX
};

enum monitor_verb {
	MONITOR_REGISTER =
	        1,         /* uid 0; fds: flow map, one a sink (its spool's inbox), then two a list:
	                       * the file, and an inotify fd of its folder; then the file of its baseline,
	                       * if `baseline`. -EUCLEAN: that file is broken */
	MONITOR_FORGET,    /* uid 0; the VM is gone: close its findings and its fds */
	MONITOR_FLOWS,     /* query: the VM's flows (vm[0] == 0: all), one JSON object a message */
	MONITOR_STATS,     /* query: counters, one JSON object */
	MONITOR_SUBSCRIBE, /* uid 0: this connection gets monitor_action messages */
	MONITOR_LIST,      /* uid 0: names of the registered VMs, one a message */
	MONITOR_INTEL,     /* uid 0: the list monitor.lists[0] as it is now; fds: the file */
};

struct monitor_request {
	uint32_t version;
	uint32_t verb;
	char vm[POLICY_NAME_MAX];
	char group
	        [POLICY_NAME_MAX]; /* REGISTER: the first that the VM is in, whose VMs count as one's; or "" */
	uint32_t ifindex;
	uint8_t mac[6];
	uint8_t ip4[4];
	uint8_t ip6[16];
	struct policy_monitor
	        monitor; /* REGISTER: detectors and sinks; sink i's fd is fds[1 + i] */
	uint32_t scan_line;
	uint32_t baseline; /* 1: what is learnt is kept in a file (baseline.h) */
};

enum monitor_answer_type {
	MONITOR_OK = 1,
	MONITOR_FAILED,
	MONITOR_TEXT,
	MONITOR_END,
	MONITOR_ACT,
	MONITOR_RELOAD /* to subscribers: hand over the lists of this VM's policy again */
};

struct monitor_answer {
	uint32_t type;
	int32_t error; /* MONITOR_FAILED: a negative errno */
	uint32_t
	        size; /* MONITOR_TEXT: bytes of text that follow in the same message; MONITOR_FAILED: the
	                   * line of a list, whose path is the policy's `respond`th, that is wrong, or 0 */
	uint32_t respond; /* MONITOR_ACT: enum policy_response bits that the policy asked for */
	char vm[POLICY_NAME_MAX];
	char rule[32]; /* MONITOR_ACT: "scan.vertical" */
	char alert_id
	        [40]; /* MONITOR_ACT: event.id of the alert that asks; MONITOR_FAILED: what stands there */
};

/*
 * cordon-monitor's fds, numbered by the daemon:
 *   3  the listening socket
 *   4  the events ring buffer map
 *   5  the alert log (append only)
 *   6  the firewall's log of what it did not let out: a netlink socket that is bound to the group
 * It has no others but what REGISTER hands it; it ends by itself when it has had no VM for two seconds.
 */
enum { MONITOR_FD_LISTEN = 3, MONITOR_FD_EVENTS = 4, MONITOR_FD_ALERTS = 5, MONITOR_FD_DENIED = 6 };

/*
 * cordon-capture: `cordon-capture --interface TAP --output-fd N --uid U [--filter EXPR]
 * [--duration SECONDS] [--count N] [--snaplen N] [--vm NAME]`, started as root; it opens the
 * interface, compiles the filter, and enters its role before it reads the first packet. pcapng.
 * Exit status 0 done, 2 usage or filter error (one sentence on stderr), 1 anything else.
 */

#endif
