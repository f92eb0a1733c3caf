/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * names: what the two programs behind "egress by name" say to each other, and what both know.
 *
 * The guest's questions go to cordon-names, which hands them to the VM's dnsmasq and reads the answer before the
 * guest does. What the answer says of a name of the policy's goes to cordon-sets, which puts it into the
 * VM's sets; then the guest gets its answer. So a set has the address before the guest has it.
 *
 * cordon-names reads hostile bytes and has no privilege. cordon-sets has CAP_NET_ADMIN and reads nothing but
 * struct names_request: it can only add addresses, only to sets whose names begin as this VM's do, only for a
 * bounded time, and none that is private. A name that the policy no longer has no longer has a set.
 */
#ifndef CORDON_FIREWALL_NAMES_H
#define CORDON_FIREWALL_NAMES_H

#include <stddef.h>
#include <stdint.h>

enum {
	NAMES_GRACE_S = 30,    /* how long after its TTL an address may still be connected to */
	NAMES_TTL_MAX = 3600,  /* more is taken for this; dnsmasq tells the guest no more either */
	NAMES_ITEMS_MAX = 64,  /* addresses of one answer, times the names that they are for */
	NAMES_SET_SIZE = 1024, /* addresses of a name at a time, in each family */
};

/* One address that a name has. */
struct names_item {
	uint64_t name; /* names_hash() of the policy's name */
	uint32_t ttl;  /* seconds; as it came, or the least on the way to it */
	uint8_t family;
	uint8_t address[16]; /* IPv4 in the first four bytes */
	uint8_t zero[3];
};
struct names_request {
	uint32_t count;
	uint32_t zero;
	struct names_item items[NAMES_ITEMS_MAX];
};
_Static_assert(sizeof(struct names_item) == 32 && sizeof(struct names_request) == 8 + 64 * 32,
               "the same for both programs");
struct names_answer {
	int32_t error;    /* of the last that failed, or 0 */
	uint32_t added;   /* that are in the set now, new or for longer */
	uint32_t refused; /* that are private, or of no family */
	uint32_t
	        failed; /* that the kernel did not take, or could not say of whether they are private */
};

/* FNV-1a: a name has up to 253 bytes, a set's name holds fewer. */
static inline uint64_t names_hash(const char *name)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 0x100000001b3ull;
	return hash;
}

/* The set's name: printf's format for the VM's name, 4 or 6, and the hash. */
#define NAMES_SET_FORMAT "vm_%s_name%d_%016llx"

#endif
