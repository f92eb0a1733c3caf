/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Prevalence: a direct-mapped table of correspondents (address, port, protocol), each with a bit for each guest
 * that talks to it, by a hash of the guest's address. Two guests may share a bit, so the count is a lower
 * bound, which errs to the side of saying something. Another correspondent in the same place takes it over.
 *
 * Scans by several guests together are counted in a table of the same kind, with 128 bits for targets that failed
 * and that were answered, for half an hour each.
 */
#include "monitor/world.h"

#include "base/base.h"
#include "monitor/detector.h"

enum { WORLD_PLACES = 8192, WORLD_SCANS = 2048 }; /* powers of two */
enum { WORLD_GUESTS = 3, WORLD_FAILED_FOR_ONE_ANSWERED = 3 };
#define WORLD_SCAN_NS (1800 * DETECTOR_SECOND_NS)

struct world_target {
	uint64_t tag, guests;
	uint64_t failed[2], answered[2];
	uint64_t since_ns;
	bool said;
};

struct detector_world {
	struct {
		uint64_t tag, guests;
	} places[WORLD_PLACES];
	struct world_target scans[WORLD_SCANS];
};

struct detector_world *world_create(void)
{
	return calloc(1, sizeof(struct detector_world));
}

void world_destroy(struct detector_world *world)
{
	free(world);
}

static uint64_t world_tag(const struct flow_key *key)
{
	return detector_mix(detector_hash_address(key->peer) +
	                    ((uint64_t)key->peer_port << 16 | key->proto)) |
	       1;
}

void world_seen(struct detector_world *world, const struct flow_key *key)
{
	const uint64_t tag = world_tag(key);
	size_t at = tag >> 32 & (WORLD_PLACES - 1);

	if (!world)
		return;
	if (world->places[at].tag != tag) {
		world->places[at].tag = tag;
		world->places[at].guests = 0;
	}
	world->places[at].guests |= 1ull << (detector_hash_address(key->guest) & 63);
}

unsigned int world_prevalence(const struct detector_world *world, const struct flow_key *key)
{
	const uint64_t tag = world_tag(key);
	size_t at = tag >> 32 & (WORLD_PLACES - 1);

	if (!world || world->places[at].tag != tag)
		return 0;
	return (unsigned int)__builtin_popcountll(world->places[at].guests);
}

static uint64_t world_target_tag(enum world_scan scan, const struct flow_key *key)
{
	uint64_t what = scan == WORLD_HOST ? detector_hash_address(key->peer)
	                                   : (uint64_t)key->peer_port + 1;

	return detector_mix(what + ((uint64_t)key->proto << 40 | (uint64_t)scan << 48)) | 1;
}

unsigned int world_tried(struct detector_world *world, enum world_scan scan,
                         const struct flow_key *key, bool failed, uint64_t now_ns,
                         unsigned int enough, unsigned int *guests)
{
	const uint64_t tag = world_target_tag(scan, key);
	const uint64_t target = scan == WORLD_HOST ? detector_mix(key->peer_port)
	                                           : detector_hash_address(key->peer);
	struct world_target *place;
	unsigned int bad, good;
	uint64_t *bits;
	bool new;

	if (!world)
		return 0;
	place = &world->scans[tag >> 32 & (WORLD_SCANS - 1)];
	if (place->tag != tag || now_ns > place->since_ns + WORLD_SCAN_NS) {
		/* it goes on: the same finding */
		const bool said = place->tag == tag && place->said &&
		                  now_ns < place->since_ns + 2 * WORLD_SCAN_NS;

		*place = (struct world_target){.tag = tag, .since_ns = now_ns, .said = said};
	}
	bits = failed ? place->failed : place->answered;
	new = !(bits[target >> 6 & 1] & 1ull << (target & 63));
	bits[target >> 6 & 1] |= 1ull << (target & 63);
	if (!failed)
		return 0;
	/* who tries what others have tried adds nothing */
	if (new)
		place->guests |= 1ull << (detector_hash_address(key->guest) & 63);
	*guests = (unsigned int)__builtin_popcountll(place->guests);
	bad = (unsigned int)(__builtin_popcountll(place->failed[0]) +
	                     __builtin_popcountll(place->failed[1]));
	good = (unsigned int)(__builtin_popcountll(place->answered[0]) +
	                      __builtin_popcountll(place->answered[1]));
	if (place->said || *guests < WORLD_GUESTS || bad < enough ||
	    bad < WORLD_FAILED_FOR_ONE_ANSWERED * good)
		return 0;
	place->said = true;
	return bad;
}
