/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What tests of the scan detector do: a try with its outcome, and what has to have come of all of them. */
#ifndef CORDON_TESTS_MONITOR_SCAN_FIXTURE_H
#define CORDON_TESTS_MONITOR_SCAN_FIXTURE_H

#include "monitor/scan.h"
#include "monitor_fixture.h"

static inline void try(struct watch *watch, uint8_t proto, uint32_t peer, uint16_t port,
                       uint64_t time, uint8_t outcome)
{
	struct flow_event event = event_make(FLOW_EVENT_NEW, proto, peer, port, time);

	watch_event(watch, &event.header);
	if (outcome == FLOW_OUTCOME_NONE)
		return;
	event.header.type = FLOW_EVENT_OUTCOME;
	event.header.time_ns += SECOND / 100;
	event.record.outcome = outcome;
	if (proto != TCP && outcome == FLOW_OUTCOME_UNREACHABLE)
		event.record.icmp_type = 3;
	watch_event(watch, &event.header);
}

static inline void found(struct watch *watch, const char *rule, uint8_t severity)
{
	watch_tick(watch, watch->last.last_ns + 2 * MINUTE);
	ck_assert_msg(watch->count[ALERT_NEW] == 1, "%s: %zu", rule, watch->count[ALERT_NEW]);
	ck_assert_str_eq(watch->first.rule, rule);
	ck_assert_msg(watch->severity >= severity, "%s: %u", rule, watch->severity);
	watch_end(watch);
}

#endif
