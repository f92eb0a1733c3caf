/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Prevalence: a table of correspondents (address, port, protocol), each with the VMs that call it again and again, since
 * when, and whom they belong to. What VMs of several owners call, or some for long, is a public service; what is new to
 * all of them may be an implant that spreads.
 *
 *   of each other owner counts one VM, the one that has called for longest: 4 after a day, 2 after an hour, else 1
 *   of the VM's own group count 1 each those that have called for a day
 *   8 together are common: two other owners for a day, four for an hour, eight at once, eight siblings for a day
 *
 * One VM counts once, however many connections, addresses or NICs it has, and a group that is not the VM's own as one of
 * its VMs: so it takes several owners, or a day and eight VMs of the victim's own group, to make a server look common.
 * Who has neither called for two days nor is told of again is forgotten.
 *
 * Nor can one make the others' be forgotten: of those in one bucket of eight, the owner who has brought most gives up
 * the one with the fewest callers. Of a correspondent's twelve callers it is the youngest of the largest group.
 *
 * Scans by several guests together are counted in another table, with 128 bits for targets that failed
 * and that were answered, for half an hour each.
 */
#include "monitor/world.h"

#include "base/base.h"
#include "monitor/detector.h"

enum { WORLD_BUCKETS = 1024, WORLD_SCANS = 2048 }; /* powers of two */
enum {
	WORLD_BUCKET = 8,
	WORLD_CALLERS = 12,
	WORLD_COMMON = 8,
	WORLD_AMONG =
	        4, /* owners that there have to be before one can be said to be the only one */
};
enum { WORLD_HOUR_S = 3600, WORLD_DAY_S = 86400, WORLD_STALE_S = 2 * WORLD_DAY_S };
enum { WORLD_GUESTS = 3, WORLD_FAILED_FOR_ONE_ANSWERED = 3 };
#define WORLD_SCAN_NS (1800 * DETECTOR_SECOND_NS)

struct world_target {
	uint64_t tag, guests;
	uint64_t failed[2], answered[2];
	uint64_t since_ns;
	bool said;
};

struct world_caller {
	struct world_guest guest;
	uint32_t since, last; /* Unix seconds; 0: free */
};

struct world_place {
	uint64_t tag; /* 0: free */
	uint32_t last;
	uint32_t group; /* who has brought it */
	struct world_caller callers[WORLD_CALLERS];
};

struct detector_world {
	uint64_t groups; /* bits by hash of those that call anything */
	struct world_place places[WORLD_BUCKETS][WORLD_BUCKET];
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

/* --- who calls what --- */

static uint32_t world_hash(const char *name)
{
	uint64_t hash = 0;

	for (; *name; name++)
		hash = detector_mix(hash + (uint8_t)*name + 1);
	return (uint32_t)(hash >> 32) | 1;
}

struct world_guest world_guest(const char *vm, const char *group)
{
	/* a group may be called as a VM is */
	const uint32_t self = world_hash(vm);

	return (struct world_guest){self, *group ? world_hash(group) & ~1u : self};
}

struct world_guest world_guest_or(struct world_guest guest, const uint8_t address[16])
{
	const uint32_t self = (uint32_t)(detector_hash_address(address) >> 32) | 1;

	return guest.vm ? guest : (struct world_guest){self, self};
}

static uint64_t world_tag(const struct flow_key *key)
{
	return detector_mix(detector_hash_address(key->peer) +
	                    ((uint64_t)key->peer_port << 16 | key->proto)) |
	       1;
}

static uint32_t world_seconds(uint64_t ns)
{
	return (uint32_t)BASE_MIN(ns / DETECTOR_SECOND_NS, (uint64_t)UINT32_MAX);
}

static bool world_is_stale(uint32_t last, uint32_t now)
{
	return now > last && now - last > WORLD_STALE_S;
}

static struct world_place *world_bucket(const struct detector_world *world, uint64_t tag)
{
	return (struct world_place *)world->places[tag >> 32 & (WORLD_BUCKETS - 1)];
}

static unsigned int world_callers(const struct world_place *place)
{
	unsigned int count = 0;

	for (size_t i = 0; i < WORLD_CALLERS; i++)
		count += place->callers[i].last != 0;
	return count;
}

/* How much it is worth to be forgotten for one that this group brings: the group that has most in the bucket loses,
 * and what has the fewest callers. */
static uint64_t world_burden(const struct world_place *bucket, size_t at, uint32_t group,
                             uint32_t now)
{
	const struct world_place *place = &bucket[at];
	uint64_t share = place->group == group;

	if (!place->tag || world_is_stale(place->last, now))
		return UINT64_MAX;
	for (size_t i = 0; i < WORLD_BUCKET; i++)
		share += bucket[i].tag && bucket[i].group == place->group;
	return share << 40 | (uint64_t)(WORLD_CALLERS - world_callers(place)) << 32 |
	       (UINT32_MAX - place->last);
}

static struct world_place *world_place(struct detector_world *world, uint64_t tag, uint32_t group,
                                       uint32_t now)
{
	struct world_place *bucket = world_bucket(world, tag);
	uint64_t most = 0;
	size_t victim = 0;

	for (size_t i = 0; i < WORLD_BUCKET; i++) {
		const uint64_t burden = world_burden(bucket, i, group, now);

		if (bucket[i].tag == tag)
			return &bucket[i];
		if (burden > most) {
			most = burden;
			victim = i;
		}
	}
	bucket[victim] = (struct world_place){.tag = tag, .group = group};
	return &bucket[victim];
}

/* How many of its callers are of this group. */
static unsigned int world_of_group(const struct world_place *place, uint32_t group)
{
	unsigned int count = 0;

	for (size_t i = 0; i < WORLD_CALLERS; i++)
		count += place->callers[i].last && place->callers[i].guest.group == group;
	return count;
}

/* The VM's own entry, or one that it may have: a free one, or the youngest of the largest group, if that has more than
 * one and the VM's is not it. NULL: there are enough. */
static struct world_caller *world_caller(struct world_place *place, struct world_guest guest,
                                         uint32_t now)
{
	const unsigned int own = world_of_group(place, guest.group);
	struct world_caller *room = NULL, *youngest = NULL;
	unsigned int largest = BASE_MAX(own, 1u);

	for (size_t i = 0; i < WORLD_CALLERS; i++) {
		struct world_caller *caller = &place->callers[i];
		unsigned int size;

		if (caller->last && caller->guest.vm == guest.vm)
			return caller;
		if (!caller->last || world_is_stale(caller->last, now)) {
			room = caller;
			continue;
		}
		size = world_of_group(place, caller->guest.group);
		if (size > largest ||
		    (size == largest && youngest && caller->since > youngest->since)) {
			largest = size;
			youngest = caller;
		}
	}
	return room ? room : youngest;
}

void world_calls(struct detector_world *world, const struct flow_key *key, struct world_guest guest,
                 uint64_t since_ns, uint64_t now_ns)
{
	const uint32_t now = BASE_MAX(world_seconds(now_ns), 1u), since = world_seconds(since_ns);
	struct world_place *place;
	struct world_caller *caller;

	if (!world)
		return;
	world->groups |= 1ull << (detector_mix(guest.group) & 63);
	place = world_place(world, world_tag(key), guest.group, now);
	place->last = BASE_MAX(place->last, now);
	caller = world_caller(place, guest, now);
	if (!caller)
		return;
	if (caller->guest.vm != guest.vm || !caller->last)
		*caller = (struct world_caller){guest, since, now};
	caller->since = BASE_MIN(caller->since, since);
	caller->last = BASE_MAX(caller->last, now);
}

/* How much it counts that it calls since then. */
static unsigned int world_weight(uint32_t since, uint32_t now)
{
	const uint32_t age = now > since ? now - since : 0;

	return age >= WORLD_DAY_S ? 4 : age >= WORLD_HOUR_S ? 2 : 1;
}

/* Whether one of the same group before it in the table has called for as long; so that each group counts once. */
static bool world_is_counted(const struct world_place *place, size_t at, uint32_t now)
{
	const struct world_caller *caller = &place->callers[at];

	for (size_t i = 0; i < WORLD_CALLERS; i++) {
		const struct world_caller *other = &place->callers[i];

		if (i != at && other->last && !world_is_stale(other->last, now) &&
		    other->guest.group == caller->guest.group &&
		    (other->since < caller->since || (other->since == caller->since && i < at)))
			return true;
	}
	return false;
}

struct world_share world_share(const struct detector_world *world, const struct flow_key *key,
                               struct world_guest guest, uint64_t now_ns)
{
	const uint64_t tag = world_tag(key);
	const uint32_t now = world_seconds(now_ns);
	const struct world_place *place = NULL;
	struct world_share share = {0};
	unsigned int weight = 0;

	if (!world)
		return share;
	for (size_t i = 0; i < WORLD_BUCKET && !place; i++)
		if (world_bucket(world, tag)[i].tag == tag)
			place = &world_bucket(world, tag)[i];
	for (size_t i = 0; place && i < WORLD_CALLERS; i++) {
		const struct world_caller *caller = &place->callers[i];

		if (!caller->last || world_is_stale(caller->last, now) ||
		    caller->guest.vm == guest.vm)
			continue;
		share.others++;
		if (caller->guest.group == guest.group) {
			weight += world_weight(caller->since, now) >= 4;
		} else if (!world_is_counted(place, i, now)) {
			share.groups++;
			weight += world_weight(caller->since, now);
		}
	}
	share.common = weight >= WORLD_COMMON;
	share.sole = share.others == 0 && __builtin_popcountll(world->groups) >= WORLD_AMONG;
	return share;
}

/* --- who tries what --- */

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
