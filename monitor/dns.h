/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dns: one DNS message (RFC 1035, 4.1), taken apart. Pure, and for messages that a guest or its correspondent
 * made up: it reads no byte outside of what it is given, follows compression only backwards, and takes no
 * memory but what the caller gives.
 */
#ifndef CORDON_MONITOR_DNS_H
#define CORDON_MONITOR_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	DNS_NAME_MAX =
	        253, /* 255 with the lengths of the first label and the last (RFC 1035, 2.3.4) */
	DNS_LABELS_MAX = 127,
};

enum dns_type {
	DNS_TYPE_A = 1,
	DNS_TYPE_NS = 2,
	DNS_TYPE_CNAME = 5,
	DNS_TYPE_SOA = 6,
	DNS_TYPE_NULL = 10,
	DNS_TYPE_PTR = 12,
	DNS_TYPE_MX = 15,
	DNS_TYPE_TXT = 16,
	DNS_TYPE_KEY = 25,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_SRV = 33,
	DNS_TYPE_ANY = 255,
	DNS_TYPE_PRIVATE = 65280, /* and above (RFC 6895, 3.1) */
};

enum { DNS_RCODE_OK = 0, DNS_RCODE_NXDOMAIN = 3 };

struct dns_name {
	uint8_t text[DNS_NAME_MAX]; /* labels as they came, with '.' between them */
	uint8_t size;
	uint8_t labels;
	uint8_t at[DNS_LABELS_MAX]; /* where each begins */
};

struct dns_message {
	uint16_t id;
	bool response;
	uint8_t rcode;
	struct dns_name name; /* of the first question */
	uint16_t type;        /* of the first question */
	/* what there is of the answer section */
	uint16_t answers;
	uint32_t carried; /* bytes of data in answers of the type that was asked for */
	uint64_t hash;    /* of that data */
	bool listed;      /* an address in 127.0.0.0/8, as lists answer (RFC 5782, 2.1) */
};

/* Takes apart `size` bytes, which may be less than there were. 0, or -EBADMSG: no question that is whole. */
int dns_parse(const uint8_t *bytes, size_t size, struct dns_message *message);

/* One record of the answer section. */
struct dns_record {
	struct dns_name owner;
	uint16_t type;
	bool internet; /* its class */
	uint32_t ttl;  /* as it came */
	const uint8_t *data;
	uint16_t size;
	struct dns_name target; /* of a CNAME */
};
/*
 * Calls `take` for each record of an answer to one question, at most `max`, until it returns false; stops at one
 * that is not whole. Returns how many records were taken, or -EBADMSG when it is no such answer.
 */
int dns_walk(const uint8_t *bytes, size_t size, size_t max,
             bool (*take)(const struct dns_record *record, void *data), void *data);

/* Length of label `i`. */
size_t dns_label_size(const struct dns_name *name, size_t i);

/*
 * How many labels the name's zone has: of a domain that somebody registered. That is two, or three below the
 * second-level names under which the countries register (co.uk): there a short list of these names does for
 * the whole Public Suffix List, as a zone that is one label too long or short still groups the names of a
 * tunnel. 0: the name ends in nothing that can be a top-level domain (RFC 3696, 2: not all of letters, unless
 * it is an "xn--"), so no resolver's tree holds it, and all such names are one group.
 */
size_t dns_zone_labels(const struct dns_name *name);

/* Names of addresses: below in-addr.arpa or ip6.arpa, or an address in reverse before a list's zone. */
bool dns_is_reverse(const struct dns_name *name);

#endif
