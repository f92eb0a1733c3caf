/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state: the monitor process's own parts.
 *
 *   main.c    the event loop, the seccomp list
 *   vms.c     the VMs that it watches: their maps, detectors, sinks; events go to the right one
 *   server.c  the socket: who asks, for what, and the answers
 *   sinks.c   where alerts go
 *   stats.c   counters, for queries
 *   lists.c   lists of known bad addresses and names, and when they change
 */
#ifndef CORDON_MONITOR_STATE_H
#define CORDON_MONITOR_STATE_H

#include "bpf/reader.h"
#include "monitor/alert_forms.h"
#include "monitor/detector.h"
#include "monitor/exported.h"
#include "monitor/intel_list.h"
#include "monitor/ipfix.h"
#include "monitor/monitor.h"
#include "monitor/tls_flows.h"

enum {
	MONITOR_VMS_MAX = 4096,
	MONITOR_CLIENTS_MAX = 64,
	MONITOR_LISTS_MAX = 64,
	STATS_RULES_MAX = 64
};

struct monitor_sink {
	int fd; /* the inbox of a spool; of the host's own log: a file */
	enum policy_sink_type type;
	enum policy_sink_format format;
	uint64_t lost; /* messages that it did not take */
	struct ipfix_batch
	        *batch; /* of a sink of flows: those that are not in its spool yet; owned */
	bool torn;      /* the log's last line was not written to its end */
};

struct monitor_list {
	char path[POLICY_PATH_MAX];
	struct intel_list *list;
	size_t users; /* NICs; 0: free */
	int notify;
	bool changed; /* since it was read */
};

/* One NIC of a VM. */
struct monitor_vm {
	char name[POLICY_NAME_MAX];
	uint32_t ifindex;
	struct flow_map *flows;
	struct detectors *detectors;
	struct policy_detector policy[DETECTORS];
	struct policy_suppress expected[POLICY_SUPPRESS_MAX];
	size_t expected_count;
	struct monitor_sink sinks[POLICY_SINKS_MAX];
	size_t sink_count;
	struct exported *exported; /* NULL: no sink of flows */
	struct intel_set intel;
	struct monitor_list *lists[POLICY_LISTS_MAX]; /* as many as `intel` has */
	struct tls_flows *tls; /* made at the first hello; NULL before, and where memory is short */
	int baseline;          /* a file, or -1 */
	uint64_t baseline_sequence;
	uint64_t alerts;
	uint32_t budget, suppressed;
	uint64_t suppressed_ever;
	struct {
		const char *rule; /* the detectors' own */
		uint64_t count;
	} rules[STATS_RULES_MAX];           /* findings */
	uint64_t swept_ns, swept_before_ns; /* when idle flows were told of last, and before that */
	struct monitor *monitor;
};

enum monitor_answering { ANSWERING_NOTHING, ANSWERING_FLOWS, ANSWERING_STATS, ANSWERING_LIST };

struct monitor_client {
	int fd; /* -1: free */
	bool root, subscribed;
	enum monitor_answering answering; /* a query whose answer is still being sent: */
	uint32_t next_ifindex;     /* STATS, LIST: the VM that comes next, or the first above it */
	struct flow_record *flows; /* FLOWS: the snapshot */
	uint32_t *owners;          /* ifindex of each */
	size_t flow_count, flow_next;
};

struct monitor {
	int epoll, listener, events_fd, denied_fd, timer;
	struct event_ring *events;
	struct detector_world *world;
	struct monitor_vm *vms[MONITOR_VMS_MAX]; /* sorted by ifindex */
	size_t vm_count;
	struct monitor_client clients[MONITOR_CLIENTS_MAX];
	struct monitor_sink log;
	struct monitor_list lists[MONITOR_LISTS_MAX];
	uint64_t clock_ns; /* CLOCK_MONOTONIC plus this is Unix time */
	char hostname[65];
	uint64_t ticks;
	unsigned int idle_ticks; /* seconds without a VM */
	uint64_t due_ns;         /* Unix time: when vms_due() is wanted; UINT64_MAX: not */
	uint64_t due_last_ns;    /* when it was called last */
};

/* --- vms.c --- */

/* Takes over the fds, also when it fails; fds[0] is the flow map. A list that is at fault is said in `answer`. */
int vms_register(struct monitor *monitor, const struct monitor_request *request, int *fds,
                 size_t count, struct monitor_answer *answer);
/* Ends the VM's findings and closes all that is its; 0 also when there is none. */
int vms_forget(struct monitor *monitor, const char *name);
struct monitor_vm *vms_find(const struct monitor *monitor, uint32_t ifindex);
/* The first VM whose ifindex is at least this, or NULL. */
struct monitor_vm *vms_from(const struct monitor *monitor, uint32_t ifindex);
/* Reads what waits in the ring. */
void vms_events(struct monitor *monitor);
/* Reads what the firewall has logged. */
void vms_denied(struct monitor *monitor, uint64_t now_ns);
void vms_tick(struct monitor *monitor, uint64_t now_ns);
/* A tick of those VMs only whose detectors do not want to wait for the next second's. */
void vms_due(struct monitor *monitor, uint64_t now_ns);

/* --- server.c --- */

int server_accept(struct monitor *monitor);
void server_ready(struct monitor *monitor, struct monitor_client *client, uint32_t events);
/* Tells every subscriber what an alert asks for. */
void server_act(struct monitor *monitor, const char *vm, const struct alert *alert,
                uint32_t respond);

/* Asks every subscriber for the VM's lists; true when one has heard it. */
bool server_reload(struct monitor *monitor, const char *vm);

/* --- lists.c --- */

/* The list of that path, read from `file` where it is not there yet; then *notify is taken. 0, or the error of
 * intel_list_read(). Each take needs a release. */
int lists_take(struct monitor *monitor, const char *path, int file, int *notify,
               struct monitor_list **out, struct intel_fault *fault);
void lists_release(struct monitor_list *list);
/* Puts what `file` holds in the place of the list; on an error the old one stays. -ENOENT: nobody uses it. */
int lists_reload(struct monitor *monitor, const char *path, int file, struct intel_fault *fault);
/* The list whose notifications this tag of an event is of, or NULL. */
struct monitor_list *lists_owner(struct monitor *monitor, void *tag);
void lists_ready(struct monitor_list *list);
void lists_tick(struct monitor *monitor);

/* --- stats.c --- */

void stats_finding(struct monitor_vm *vm, const char *rule);
/* The NIC's counters as JSON, the caller's; NULL when memory is short. */
char *stats_text(const struct monitor_vm *vm);

/* --- sinks.c --- */

/* Sends the alert to the host's log and to the VM's own sinks. */
void sinks_send(struct monitor *monitor, struct monitor_vm *vm, const struct alert *alert);

/* Readies a sink; -ENOMEM. */
int sinks_open(struct monitor_vm *vm, struct monitor_sink *sink);
/* Lets go of the sink, and puts into its spool what is not there yet. */
void sinks_close(struct monitor_vm *vm, struct monitor_sink *sink);
/* A flow has ended, or goes on for long, in the tap's own clock: it goes to those sinks of the VM that are of flows. */
void sinks_flow(struct monitor_vm *vm, const struct flow_record *record, enum ipfix_end end);
/* Puts the flows that wait into the spools. */
void sinks_flush(struct monitor_vm *vm);

#endif
