/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Prevalence: a direct-mapped table of correspondents (address, port, protocol), each with a bit for each guest
 * that talks to it, by a hash of the guest's address. Two guests may share a bit, so the count is a lower
 * bound, which errs to the side of saying something. Another correspondent in the same place takes it over.
 */
#include "monitor/world.h"

#include "base/base.h"
#include "monitor/detector.h"

enum { WORLD_PLACES = 8192 }; /* a power of two */

struct detector_world {
	struct {
		uint64_t tag, guests;
	} places[WORLD_PLACES];
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
