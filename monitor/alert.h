/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * alert: what a detector has found, before it is JSON or syslog. A finding is one alert with one id
 * for as long as it lasts: ALERT_NEW when it is made, ALERT_UPDATE when it has grown much, ALERT_END
 * when it has been quiet. All text in it is cordon's own; what a guest chose is numbers, addresses, and one
 * name, in which what is not printable is escaped.
 */
#ifndef CORDON_MONITOR_ALERT_H
#define CORDON_MONITOR_ALERT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "bpf/events.h"
#include "monitor/alert_text.h"
#include "policies/policies.h"

enum alert_stage { ALERT_NEW, ALERT_UPDATE, ALERT_END };

/* Who found it (detector.h). */
enum detector_id {
	DETECTOR_SCAN,
	DETECTOR_BRUTE_FORCE,
	DETECTOR_DNS_TUNNEL,
	DETECTOR_DNS_NAMES,
	DETECTOR_ICMP_TUNNEL,
	DETECTOR_BEACON,
	DETECTOR_LONG_CONNECTION,
	DETECTOR_EXFILTRATION,
	DETECTOR_EGRESS,
	DETECTOR_LATERAL,
	DETECTOR_DENIED,
	DETECTOR_INTEL,
	DETECTORS,
};

enum {
	ALERT_FLOWS_MAX = 5,
	ALERT_FACTS_MAX = 8,
	ALERT_COMMUNITY_ID_MAX = 32,
	ALERT_SENTENCE_MAX = 320,
	ALERT_NAME_MAX = 128,
	ALERT_ID_MAX = 40
};

struct alert_fact { /* a number that the finding rests on */
	const char *name;
	uint64_t value;
};

struct alert {
	enum alert_stage stage;
	enum detector_id detector;
	enum alert_severity severity;
	uint8_t confidence;                                            /* percent */
	const char *rule;                                              /* "scan.vertical" */
	const char *technique, *technique_name, *tactic, *tactic_name; /* ATT&CK */
	char id[ALERT_ID_MAX];
	char sentence[ALERT_SENTENCE_MAX]; /* what happened, for a person; without the VM's name */
	uint8_t family;                    /* enum flow_family of the addresses */
	uint8_t source[16], target[16];    /* the target is all zero when there are many */
	uint16_t port;                     /* 0 when there are many */
	uint8_t proto;
	uint32_t ports, hosts; /* how many distinct ones were tried */
	uint32_t failed, refused, unanswered, half_open, answered; /* what came of the tries */
	struct alert_fact facts[ALERT_FACTS_MAX]; /* other evidence than of tries */
	size_t fact_count;
	char name[ALERT_NAME_MAX];              /* a domain or server name, escaped; "" */
	char ja4[37];                           /* of a TLS client that it is about, or "" */
	char list[48];                          /* that has what it is about, or "" */
	bool act;                               /* it has just become worth the policy's response */
	uint64_t first_ns, last_ns;             /* Unix time */
	struct flow_key flows[ALERT_FLOWS_MAX]; /* the first ones, as evidence */
	size_t flow_count;
};

struct tls_flow;
struct tls_flows;

/* Which VM it is about, and what its policy says of such alerts. */
struct alert_subject {
	const char *vm;
	uint32_t policy_line;        /* 0: the defaults */
	uint32_t respond;            /* enum policy_response */
	const char *observer;        /* the host that saw it; "" when nobody knows (offline) */
	uint32_t suppressed;         /* alerts of the VM that were not sent since the last one */
	const struct tls_flows *tls; /* what its connections said of themselves, or NULL */
};

/* The alert as one Elastic Common Schema object; the caller owns it. NULL when memory is short. */
json_t *alert_json(const struct alert *alert, const struct alert_subject *subject);

/* The same alert as one RFC 5424 message, without a trailing line feed. Returns its length, at most
 * `size` - 1; structured data holds the fields that a SIEM sorts by. */
size_t alert_syslog(const struct alert *alert, const struct alert_subject *subject, char *out,
                    size_t size);

/* Adds a fact, if there is room. */
void alert_fact(struct alert *alert, const char *name, uint64_t value);

/* The name for `alert->name`: letters, digits and -._ stay, other bytes are written \DDD (RFC 1035, 5.1). */
void alert_name(struct alert *alert, const uint8_t *bytes, size_t size);

/* "10.77.0.6" or "fd77::2"; `out` holds 46 bytes. */
void alert_address(char out[46], const uint8_t address[16], uint8_t family);

/* A flow as one ECS object, its source whoever opened it; the caller owns it. `clock_ns` is what turns
 * the record's times into Unix time; `tls` may be NULL. */
json_t *alert_flow_json(const struct flow_record *record, const char *vm, uint64_t clock_ns,
                        const struct tls_flow *tls);

#endif
