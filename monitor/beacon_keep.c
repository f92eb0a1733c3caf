/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What beacon.c knows, over a restart. Findings are not kept: what goes on is found again, with the same id, as that
 * is made of the first check-in.
 */
#include "monitor/beacon.h"

#include "base/base.h"

static void beacon_save_key(const struct flow_key *key, struct baseline_out *out)
{
	baseline_put_bytes(out, key->guest, sizeof(key->guest));
	baseline_put_bytes(out, key->peer, sizeof(key->peer));
	baseline_put(out, key->peer_port, 2);
	baseline_put(out, key->proto, 1);
	baseline_put(out, key->family, 1);
}

/* What is compared by others: who calls whom since when. */
static void beacon_save_times(const struct beacon_peer *peer, struct baseline_out *out)
{
	beacon_save_key(&peer->key, out);
	baseline_put(out, peer->first_ns, 8);
	baseline_put(out, peer->last_ns, 8);
}

static void beacon_save_peer(const struct beacon_peer *peer, struct baseline_out *out)
{
	const uint32_t intervals = BASE_MIN(peer->count, (uint32_t)BEACON_RING);
	const uint32_t sizes = BASE_MIN(peer->size_count, (uint32_t)BEACON_RING);

	baseline_put(out, peer->check_in_ns, 8);
	baseline_put(out, peer->count, 4);
	baseline_put(out, peer->size_count, 4);
	baseline_put(out, peer->connections, 4);
	for (uint32_t i = 0; i < intervals; i++)
		baseline_put(out, peer->intervals[i], 4);
	for (uint32_t i = 0; i < sizes; i++)
		baseline_put(out, peer->sizes[i], 4);
}

/* Those that are called again and again, for prevalence; of them, up to a number, all that is known. */
void beacon_save(const void *self, struct baseline_out *out)
{
	const struct beacon *beacon = self;
	uint32_t count = 0, whole = 0;

	for (size_t i = 0; i < BEACON_PEERS; i++)
		count += beacon->places[i].tag && beacon->peers[i].count >= BEACON_KEPT_AT;
	baseline_put(out, beacon->since_ns, 8);
	baseline_put(out, count, 4);
	for (size_t i = 0; i < BEACON_PEERS; i++) {
		const struct beacon_peer *peer = &beacon->peers[i];

		if (!beacon->places[i].tag || peer->count < BEACON_KEPT_AT)
			continue;
		beacon_save_times(peer, out);
		baseline_put(out, whole < BEACON_KEPT, 1);
		if (whole < BEACON_KEPT)
			beacon_save_peer(peer, out);
		whole++;
	}
}

static uint32_t beacon_load_number(struct baseline_in *in)
{
	const uint32_t number = (uint32_t)baseline_get(in, 4);

	return BASE_MIN(number, UINT32_MAX / 4);
}

static bool beacon_load_times(struct beacon_peer *peer, struct baseline_in *in, uint64_t now_ns)
{
	/* another host's clock may be off; nothing that is compared with may overflow */
	const uint64_t latest = now_ns + DETECTOR_DAY_NS;
	struct flow_key *key = &peer->key;

	baseline_get_bytes(in, key->guest, sizeof(key->guest));
	baseline_get_bytes(in, key->peer, sizeof(key->peer));
	key->peer_port = (uint16_t)baseline_get(in, 2);
	key->proto = (uint8_t)baseline_get(in, 1);
	key->family = (uint8_t)baseline_get(in, 1);
	peer->first_ns = baseline_get(in, 8);
	peer->last_ns = baseline_get(in, 8);
	return !in->bad && (key->family == FLOW_IPV4 || key->family == FLOW_IPV6) &&
	       peer->first_ns <= peer->last_ns && peer->last_ns <= latest;
}

static bool beacon_load_peer(struct beacon *beacon, struct beacon_peer *peer,
                             const struct beacon_peer *times, struct baseline_in *in)
{
	peer->first_ns = times->first_ns;
	peer->last_ns = times->last_ns;
	peer->check_in_ns = baseline_get(in, 8);
	peer->count = (uint32_t)baseline_get(in, 4);
	peer->size_count = (uint32_t)baseline_get(in, 4);
	peer->connections = (uint32_t)baseline_get(in, 4);
	if (in->bad || peer->check_in_ns > peer->last_ns || !peer->connections ||
	    peer->count > INT32_MAX || peer->size_count > INT32_MAX ||
	    peer->connections > INT32_MAX)
		return false;
	for (uint32_t i = 0; i < BASE_MIN(peer->count, (uint32_t)BEACON_RING); i++)
		peer->intervals[i] = beacon_load_number(in);
	for (uint32_t i = 0; i < BASE_MIN(peer->size_count, (uint32_t)BEACON_RING); i++)
		peer->sizes[i] = beacon_load_number(in);
	for (size_t i = 0; i < ALERT_FLOWS_MAX; i++)
		peer->flows[i] = peer->key;
	beacon_note(beacon, peer);
	return true;
}

static void beacon_mute(const struct alert *alert, void *data)
{
	(void)alert, (void)data;
}

bool beacon_load(void *self, struct baseline_in *in, uint64_t now_ns)
{
	static const struct detector_out nobody = {beacon_mute, NULL}; /* there is no finding yet */
	struct beacon *beacon = self;
	struct beacon_peer times = {0};
	uint64_t count;

	beacon->since_ns = baseline_get(in, 8);
	count = baseline_get(in, 4);
	if (in->bad || count > BEACON_PEERS || beacon->since_ns > now_ns + DETECTOR_DAY_NS)
		return false;
	for (uint64_t i = 0; i < count; i++) {
		if (!beacon_load_times(&times, in, now_ns))
			return false;
		beacon_tell(beacon, &times);
		if (baseline_get(in, 1) != 0 &&
		    !beacon_load_peer(beacon,
		                      beacon_find(beacon, &times.key, now_ns, true, &nobody),
		                      &times, in))
			return false;
	}
	return true;
}
