/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ipfix: flows as IPFIX (RFC 7011), both directions in one record (RFC 5103). The monitor gathers records in batches,
 * which are sets without a message around them; a courier, or a file (RFC 5655), puts messages around
 * them, with the templates where they are due. No state, no I/O.
 */
#ifndef CORDON_MONITOR_IPFIX_H
#define CORDON_MONITOR_IPFIX_H

#include <stdbool.h>
#include <stddef.h>

#include "bpf/events.h"

enum {
	IPFIX_HEADER = 16,
	IPFIX_NAME_MAX = 64,
	IPFIX_RECORD_MAX = 200,
	IPFIX_BATCH_MAX = 1300, /* bytes: a message of it fits into a datagram */
	IPFIX_TEMPLATES_MAX = 512,
};

enum ipfix_end { /* flowEndReason */
	         IPFIX_END_IDLE = 1,
	         IPFIX_END_ACTIVE = 2, /* it goes on */
	         IPFIX_END_DETECTED = 3,
	         IPFIX_END_FORCED = 4,
	         IPFIX_END_RESOURCES = 5,
};

struct ipfix_batch {
	uint16_t count; /* records */
	uint16_t size;  /* bytes */
	uint16_t set;   /* where the last set begins */
	uint8_t bytes[IPFIX_BATCH_MAX];
};

/* Whose flow it is: its VM's name (interfaceDescription) and tap, and what turns its times into Unix time. */
struct ipfix_origin {
	const char *vm;
	uint32_t ifindex;
	uint64_t clock_ns;
};

/* Adds the flow. False when the batch is full: it has to be taken first, and the flow added again. A flow that is no
 * IP (ARP) has no record, and is true. */
bool ipfix_add(struct ipfix_batch *batch, const struct flow_record *record,
               const struct ipfix_origin *origin, enum ipfix_end end);

/* Why a flow has ended that ended at `now` (in the record's clock). */
enum ipfix_end ipfix_end_of(const struct flow_record *record, uint64_t now, uint64_t idle_at);

/* A batch as one record of a spool: its count, and its sets. Returns the size; and back: -EBADMSG. */
enum { IPFIX_SPOOLED_MAX = IPFIX_BATCH_MAX + 2 };
size_t ipfix_spool(const struct ipfix_batch *batch, uint8_t out[IPFIX_SPOOLED_MAX]);
int ipfix_unspool(const void *from, size_t size, uint16_t *count);

/* The header of a message of `size` bytes (itself included). `sequence`: data records sent before it. */
void ipfix_header(uint8_t out[IPFIX_HEADER], size_t size, uint32_t export_s, uint32_t sequence,
                  uint32_t domain);

/* A whole message that has the templates; its size. */
size_t ipfix_templates(uint8_t out[IPFIX_HEADER + IPFIX_TEMPLATES_MAX], uint32_t export_s,
                       uint32_t sequence, uint32_t domain);

#endif
