/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a NIC's counters are to a query: one JSON object, which fits into one message.
 */
#include "monitor/state.h"

#include "base/base.h"

void stats_finding(struct monitor_vm *vm, const char *rule)
{
	size_t i = 0;

	/* names are the detectors' own; the last place counts all that have none */
	while (i < STATS_RULES_MAX - 1 && vm->rules[i].rule && strcmp(vm->rules[i].rule, rule) != 0)
		i++;
	vm->rules[i].rule = rule;
	vm->rules[i].count++;
}

static json_t *stats_rules(const struct monitor_vm *vm)
{
	json_t *rules = json_object();

	for (size_t i = 0; i < STATS_RULES_MAX && vm->rules[i].rule; i++)
		json_object_set_new(rules, vm->rules[i].rule,
		                    json_integer((json_int_t)vm->rules[i].count));
	return rules;
}

static json_t *stats_number(uint64_t value)
{
	return json_integer((json_int_t)(value & INT64_MAX));
}

char *stats_text(const struct monitor_vm *vm)
{
	struct tap_stats stats;
	uint64_t lost = 0;
	json_t *json;
	char *text;

	flow_map_stats(vm->flows, &stats);
	for (size_t i = 0; i < vm->sink_count; i++)
		lost += vm->sinks[i].lost;
	json = json_pack("{s:s, s:I, s:o, s:o, s:o, s:o, s:o}", "vm", vm->name, "ifindex",
	                 (json_int_t)vm->ifindex, "packets_out",
	                 stats_number(stats.packets[FLOW_GUEST]), "packets_in",
	                 stats_number(stats.packets[FLOW_PEER]), "bytes_out",
	                 stats_number(stats.bytes[FLOW_GUEST]), "bytes_in",
	                 stats_number(stats.bytes[FLOW_PEER]), "flows", stats_number(stats.flows));
	if (!json)
		return NULL;
	const struct {
		const char *name;
		uint64_t value;
	} more[] = {
	        {"evicted", stats.evicted},
	        {"unparsed", stats.unparsed},
	        {"not_ip", stats.not_ip},
	        {"foreign_mac", stats.foreign_mac},
	        {"events_lost", stats.events_lost},
	        {"payloads_lost", stats.payloads_lost},
	        {"contended", stats.contended},
	        {"alerts", vm->alerts},
	        {"suppressed", vm->suppressed_ever},
	        {"sinks_lost", lost},
	};
	for (size_t i = 0; i < BASE_COUNT(more); i++)
		json_object_set_new(json, more[i].name, stats_number(more[i].value));
	json_object_set_new(json, "findings", stats_rules(vm));
	text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	return text;
}
