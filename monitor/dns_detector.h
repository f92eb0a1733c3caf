/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dns_detector: what watches the DNS messages of one VM. dns_detector.c takes them apart once and shows them
 * to its parts:
 *
 *   dns_tunnel.c  data in names and answers, by zone
 *   dns_names.c   names that do not exist: generated ones, and storms of them
 */
#ifndef CORDON_MONITOR_DNS_DETECTOR_H
#define CORDON_MONITOR_DNS_DETECTOR_H

#include "monitor/detector.h"
#include "monitor/dns.h"
#include "monitor/finding.h"

extern const struct detector_ops dns_tunnel_detector; /* does the work for both */
extern const struct detector_ops dns_names_detector;

/* One message, with the event that it came in. */
struct dns_seen {
	const struct dns_message *message;
	const struct flow_key *flow;
	size_t zone;        /* labels of its zone; 0: none (dns.h) */
	uint64_t zone_hash; /* of the zone's name in lower case; of no name, if there is none */
	uint64_t now_ns;
};

/* --- dns_tunnel.c --- */

enum {
	DNS_ZONES = 128, /* a power of two */
	DNS_CLASSES = 64,
	DNS_LABEL_BITS = 512,
};

struct dns_zone {
	uint64_t hash;     /* 0: free */
	uint8_t name[64];  /* the end of it, if it is longer */
	uint8_t name_size; /* 0: names without a zone */
	bool listed;       /* answers with 127.0.0.0/8, as lists do */
	uint32_t epoch, day, messages;
	uint64_t first_ns, last_ns;
	uint64_t labels[2][DNS_LABEL_BITS / 64]; /* hashes of labels: of this epoch and the last */
	uint16_t classes[DNS_CLASSES];           /* characters of new labels */
	uint64_t answers_seen;                   /* hashes of answers */
	/* halved at each epoch */
	uint32_t queries, names, chars, carriers, nulls, answers, answer_bytes;
	uint32_t hashes; /* names, of which the one new label is as a checksum is written */
	uint32_t day_chars, day_names;
	struct finding finding;
	struct flow_key flow;
};

struct dns_tunnel {
	bool found; /* there was a finding */
	struct dns_zone zones[DNS_ZONES];
};

void dns_tunnel_observe(struct dns_tunnel *tunnel, const struct dns_seen *seen,
                        const struct detector_out *out);
void dns_tunnel_tick(struct dns_tunnel *tunnel, uint64_t now_ns, const struct detector_out *out);

/* --- dns_names.c --- */

enum { DNS_MISSING_BITS = 2048, DNS_ZONE_BITS = 1024 };

struct dns_names {
	uint32_t epoch;
	uint64_t first_ns, last_ns;
	uint64_t missing[2][DNS_MISSING_BITS / 64]; /* names that do not exist */
	uint64_t zones[2][DNS_ZONE_BITS / 64];      /* zones that do not exist */
	uint64_t found[2][DNS_ZONE_BITS / 64];      /* zones that do */
	/* halved at each epoch */
	uint32_t answers, missing_names, missing_zones, found_zones, pairs, common_pairs;
	struct finding generated, storm;
	struct flow_key flow;
	struct dns_name last; /* of the zones that do not exist */
	uint8_t last_zone;    /* its labels */
};

void dns_names_observe(struct dns_names *names, const struct dns_seen *seen,
                       const struct detector_out *out);
void dns_names_tick(struct dns_names *names, uint64_t now_ns, const struct detector_out *out);

/* --- shared --- */

#define DNS_EPOCH_NS (300 * DETECTOR_SECOND_NS)
#define DNS_QUIET_NS (600 * DETECTOR_SECOND_NS)

/* Sets the hash's bit in `now`; true when it was in neither. `bits` is a power of two. */
bool dns_bit_new(uint64_t *now, const uint64_t *before, size_t bits, uint64_t hash);

#endif
