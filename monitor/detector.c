/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table of detectors, and the set of them that a VM has. A detector is made when the first event comes
 * that it wants: a VM that asks no DNS question pays nothing for what watches them, which matters offline,
 * where each of many addresses is one.
 */
#include "monitor/detector.h"

#include "base/base.h"
#include "monitor/denied.h"
#include "monitor/detectors.h"
#include "monitor/dns_detector.h"
#include "monitor/scan.h"

const struct detector_ops *const detector_table[DETECTORS] = {
        [DETECTOR_SCAN] = &scan_detector,
        [DETECTOR_BRUTE_FORCE] = &brute_detector,
        [DETECTOR_DNS_TUNNEL] = &dns_tunnel_detector,
        [DETECTOR_DNS_NAMES] = &dns_names_detector,
        [DETECTOR_ICMP_TUNNEL] = &icmp_detector,
        [DETECTOR_BEACON] = &beacon_detector,
        [DETECTOR_LONG_CONNECTION] = &longconn_detector,
        [DETECTOR_EXFILTRATION] = &exfil_detector,
        [DETECTOR_EGRESS] = &egress_detector,
        [DETECTOR_LATERAL] = &lateral_detector,
        [DETECTOR_DENIED] = &denied_detector,
        [DETECTOR_INTEL] = &intel_detector,
};

struct detectors {
	struct detector_config config;
	void *each[DETECTORS];
	uint64_t next_ns[DETECTORS]; /* when its time is to pass next */
	uint32_t failed; /* bits: no memory for it, which is not tried again for every event */
};

void *detector_take(const struct detector_config *config, size_t size)
{
	return config->arena ? arena_take(config->arena, size) : calloc(1, size);
}

uint64_t detector_mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x7fb5d329728ea185ull;
	x ^= x >> 27;
	x *= 0x81dadef4bc2dd44dull;
	return x ^ x >> 33;
}

uint64_t detector_hash_address(const uint8_t address[16])
{
	return detector_mix(detector_mix(base_le64(address)) + base_le64(address + 8));
}

const struct policy_detector *detector_policy(const struct policy_monitor *policy,
                                              enum detector_id id)
{
	return (const struct policy_detector *)((const char *)policy + detector_table[id]->policy);
}

void detector_config_of(const struct policy_monitor *policy, struct detector_config *config)
{
	*config = (struct detector_config){.scan_ports = policy->scan_ports,
	                                   .scan_hosts = policy->scan_hosts,
	                                   .expect_egress = policy->expect.egress,
	                                   .expect_destinations = policy->expect.destinations};
	for (int id = 0; id < DETECTORS; id++)
		if (!detector_policy(policy, id)->enabled)
			config->off |= 1u << id;
	if (!policy->list_count)
		config->off |= 1u << DETECTOR_INTEL;
}

struct detectors *detectors_create(const struct detector_config *config)
{
	struct detectors *all = calloc(1, sizeof(*all));

	if (all)
		all->config = *config;
	return all;
}

void detectors_destroy(struct detectors *all)
{
	if (!all)
		return;
	for (int id = 0; id < DETECTORS; id++) {
		const struct detector_ops *ops = detector_table[id];

		if (all->each[id] && !(all->config.arena &&
		                       arena_give(all->config.arena, all->each[id], ops->memory)))
			ops->destroy(all->each[id]);
	}
	free(all);
}

size_t detectors_memory(void)
{
	size_t bytes = sizeof(struct detectors);

	for (int id = 0; id < DETECTORS; id++)
		bytes += detector_table[id]->memory;
	return bytes;
}

static bool detector_event_is_whole(const struct flow_event_header *event)
{
	const struct flow_payload_event *payload = (const struct flow_payload_event *)event;
	const size_t head = offsetof(struct flow_payload_event, bytes);

	if (event->type == 0 || event->type >= 32)
		return false;
	if (event->type == DENIED_EVENT)
		return event->size == sizeof(struct denied_event);
	if (event->type != FLOW_EVENT_PAYLOAD)
		return event->size == sizeof(struct flow_event);
	return event->size >= head && event->size <= sizeof(*payload) &&
	       payload->captured <= event->size - head;
}

const void *detectors_one(const struct detectors *all, int id)
{
	return all->each[id];
}

void *detectors_make(struct detectors *all, int id)
{
	if (!all->each[id] && !(all->failed & 1u << id)) {
		all->each[id] = detector_table[id]->create(&all->config);
		all->failed |= all->each[id] ? 0 : 1u << id;
	}
	return all->each[id];
}

void detectors_observe(struct detectors *all, const struct flow_event_header *event,
                       const struct detector_out *out)
{
	if (!detector_event_is_whole(event))
		return;
	for (int id = 0; id < DETECTORS; id++) {
		const struct detector_ops *ops = detector_table[id];

		if (!(ops->types & 1u << event->type) ||
		    (all->config.off & 1u << id && !ops->always) ||
		    (ops->wants && !ops->wants(event)))
			continue;
		if (detectors_make(all, id))
			ops->observe(all->each[id], event, out);
	}
}

uint64_t detectors_due(const struct detectors *all)
{
	uint64_t due = UINT64_MAX;

	for (int id = 0; id < DETECTORS; id++)
		if (all->each[id] && detector_table[id]->due)
			due = BASE_MIN(due, detector_table[id]->due(all->each[id]));
	return due;
}

void detectors_tick(struct detectors *all, uint64_t now_ns, const struct detector_out *out)
{
	for (int id = 0; id < DETECTORS; id++) {
		if (!all->each[id] || now_ns < all->next_ns[id])
			continue;
		detector_table[id]->tick(all->each[id], now_ns, out);
		all->next_ns[id] = now_ns + detector_table[id]->period_ns;
	}
}
