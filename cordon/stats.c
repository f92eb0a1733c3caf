/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See stats.h. What guests did is asked of the monitor, what the firewall counted of the host, and what couriers have
 * delivered is in the heads of their spools.
 */
#include "cordon/stats.h"

#include <net/if.h>

#include "base/base.h"
#include "cordon/ask.h"
#include "cordon/courier.h"

/* A tap's name is what people know; its number is what the monitor knows. */
static void stats_name_taps(json_t *guests)
{
	json_t *guest;
	size_t i;

	json_array_foreach(guests, i, guest)
	{
		char name[IF_NAMESIZE] = "";

		if_indextoname((unsigned int)json_integer_value(json_object_get(guest, "ifindex")),
		               name);
		json_object_set_new(guest, "tap", json_string(name));
	}
}

/* The monitor's answer is of all; which it is about is chosen here. */
static json_t *stats_of(const char *vm, json_t *guests)
{
	json_t *chosen = json_array(), *guest;
	size_t i;

	json_array_foreach(guests, i, guest)
	{
		const char *name = json_string_value(json_object_get(guest, "vm"));

		if (!*vm || (name && strcmp(name, vm) == 0))
			json_array_append(chosen, guest);
	}
	json_decref(guests);
	return chosen;
}

static void stats_rules_of(const char *vm, json_t *rules)
{
	struct host_error error = {0};
	json_t *params = json_pack("{s:s}", "name", vm);
	json_t *counters = method_call_any("vm.counters", params, &error), *rule;
	size_t i;

	json_array_foreach(json_object_get(counters, "rules"), i, rule)
	{
		char line[16];

		snprintf(line, sizeof(line), "%lld",
		         (long long)json_integer_value(json_object_get(rule, "line")));
		json_array_append_new(rules,
		                      json_pack("{s:s, s:O, s:s, s:O, s:O}", "vm", vm, "rule",
		                                json_object_get(rule, "rule"), "line", line,
		                                "packets", json_object_get(rule, "packets"),
		                                "bytes", json_object_get(rule, "bytes")));
	}
	json_decref(counters);
	json_decref(params);
	host_error_clear(&error);
}

/* Once a guest, whatever number of NICs it has. */
static json_t *stats_rules(const json_t *guests)
{
	json_t *rules = json_array(), *seen = json_object(), *guest;
	size_t i;

	json_array_foreach((json_t *)guests, i, guest)
	{
		const char *vm = json_string_value(json_object_get(guest, "vm"));

		if (!vm || json_object_get(seen, vm))
			continue;
		json_object_set_new(seen, vm, json_true());
		stats_rules_of(vm, rules);
	}
	json_decref(seen);
	return rules;
}

json_t *stats_gather(const char *vm, bool rules, int *err)
{
	json_t *guests = ask_all(MONITOR_STATS, "", err), *stats;

	/* without a guest there is no monitor, and maybe something in the spools */
	if (*err == -ENOTCONN && !*vm && geteuid() == 0) {
		guests = json_array();
		*err = 0;
	}
	if (!guests)
		return NULL;
	guests = stats_of(vm, guests);
	if (*vm && json_array_size(guests) == 0) {
		json_decref(guests);
		*err = -ENOENT;
		return NULL;
	}
	stats_name_taps(guests);
	stats = json_pack("{s:O, s:o}", "guests", guests, "sinks",
	                  *vm ? json_array() : courier_stats());
	if (stats && rules)
		json_object_set_new(stats, "rules", stats_rules(guests));
	json_decref(guests);
	return stats;
}
