/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls_flows: what TLS connections have said of themselves, for the flows that are shown and those that alerts rest on.
 * A table of fixed size, by flow; the one that was seen longest ago makes room. Pure, for bytes that anybody made up.
 */
#ifndef CORDON_MONITOR_TLS_FLOWS_H
#define CORDON_MONITOR_TLS_FLOWS_H

#include <jansson.h>

#include "bpf/events.h"
#include "monitor/tls.h"
#include "monitor/x509.h"

struct tls_flow {
	uint64_t hash; /* of the flow; 0: free */
	uint64_t last_ns;
	uint16_t version; /* of the server's choice, or 0 while it has not answered */
	char name[128];   /* that the client asked for, "" when it asked for none or a longer one */
	char ja4[TLS_JA4_MAX];
	char alpn[16];
	char certificate
	        [X509_NAME_MAX]; /* the first name that the server's is for, up to TLS 1.2 */
	bool mismatch;           /* the certificate is for none of what the client asked for */
};

struct tls_flows;

/* Room for so many flows, a power of two, at least 8. NULL when memory is short. */
struct tls_flows *tls_flows_create(size_t count);
void tls_flows_destroy(struct tls_flows *flows);
/* A FLOW_EVENT_PAYLOAD of TLS, as the detectors get it: whole. */
void tls_flows_seen(struct tls_flows *flows, const struct flow_payload_event *event);
/* What is known of this flow, or NULL; `flows` may be NULL. Stays until the next call of tls_flows_seen(). */
const struct tls_flow *tls_flows_find(const struct tls_flows *flows, const struct flow_key *key);

/* --- tls_json.c --- */

/* Adds its fields to an ECS event that has an object `cordon`. */
void tls_flow_json(const struct tls_flow *flow, json_t *event);

#endif
