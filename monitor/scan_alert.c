/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is said of a group of tries that is a finding.
 */
#include "base/base.h"
#include "monitor/finding.h"
#include "monitor/scan_group.h"

static void group_sentence(struct alert *alert, enum scan_kind kind, bool slow)
{
	char tried[28], refused[28], unanswered[28], half[28], target[46];
	uint64_t seconds = (alert->last_ns - alert->first_ns + SCAN_SECOND_NS - 1) / SCAN_SECOND_NS;
	char what[80];
	int n;

	alert_address(target, alert->target, alert->family);
	if (kind == SCAN_STEALTH)
		snprintf(what, sizeof(what), "%s stealth probes of %s",
		         finding_number(tried, alert->ports), target);
	else if (kind == SCAN_VERTICAL)
		snprintf(what, sizeof(what), "%s ports of %s", finding_number(tried, alert->ports),
		         target);
	else if (kind == SCAN_BLOCK)
		snprintf(what, sizeof(what), "%s ports of hosts in the network of %s",
		         finding_number(tried, alert->ports), target);
	else if (scan_has_ports(alert->proto, alert->family))
		snprintf(what, sizeof(what), "port %u of %s hosts", alert->port,
		         finding_number(tried, alert->hosts));
	else
		snprintf(what, sizeof(what), "%s hosts", finding_number(tried, alert->hosts));
	if (slow) {
		const uint64_t span = alert->last_ns - alert->first_ns;

		/* counted for a day, but a brisk one may be found by that count first */
		snprintf(alert->sentence, sizeof(alert->sentence), "tried %s%s, in %s; %s failed",
		         what, span < 600 * DETECTOR_SECOND_NS ? "" : " slowly",
		         finding_span(half, span), finding_number(refused, alert->failed));
		return;
	}
	n = snprintf(alert->sentence, sizeof(alert->sentence),
	             "tried %s in %llu s; %s refused, %s unanswered", what,
	             (unsigned long long)BASE_MAX(seconds, 1ull),
	             finding_number(refused, alert->refused),
	             finding_number(unanswered, alert->unanswered));
	if (alert->half_open)
		n += snprintf(alert->sentence + n, sizeof(alert->sentence) - (size_t)n,
		              ", %s open and let go", finding_number(half, alert->half_open));
	if (alert->answered)
		snprintf(alert->sentence + n, sizeof(alert->sentence) - (size_t)n, ", %s answered",
		         finding_number(half, alert->answered));
}

static const char *group_rule(enum scan_kind kind, bool services)
{
	if (kind == SCAN_STEALTH)
		return "scan.stealth";
	if (kind == SCAN_VERTICAL)
		return "scan.vertical";
	if (kind == SCAN_BLOCK)
		return "scan.block";
	return services ? "scan.horizontal" : "scan.sweep";
}

static bool group_is_slow(const struct scan_group *group, enum scan_kind kind)
{
	return !group->dense && !group->silent &&
	       scan_group_evidence(group, kind) > scan_group_failed(group, kind);
}

/* What the finding rests on begins with the oldest try that the group still counts. */
static void group_begin(struct scan_work *work, struct scan_group *group, enum scan_kind kind)
{
	uint64_t first = group->last_ns;

	for (uint32_t i = 0; i < SCAN_TRIES; i++) {
		const struct scan_try *t = &work->scan->tries[i];

		if (t->first_ns && t->group[kind] == group->serial && t->result != SCAN_PENDING)
			first = BASE_MIN(first, t->first_ns);
	}
	/* ... or, of a slow one, with the oldest of the day */
	for (int half = 0; half < 2 && group_is_slow(group, kind); half++)
		if (group->day_first_ns[half])
			first = BASE_MIN(first, group->day_first_ns[half]);
	group->first_ns = first;
	/* by the second, as the clock that live times come from is set now and then */
	group->id = detector_mix(
	        first / SCAN_SECOND_NS +
	        detector_mix(base_le64(group->peer) ^ base_le64(group->source)) +
	        detector_mix(base_le64(group->peer + 8) ^ base_le64(group->source + 8)));
}

void scan_group_emit(struct scan_work *work, struct scan_group *group, enum scan_kind kind,
                     enum alert_stage stage)
{
	struct alert alert = {.detector = DETECTOR_SCAN,
	                      .stage = stage,
	                      .family = group->family,
	                      .proto = group->proto};
	const bool slow = group_is_slow(group, kind);
	uint32_t failed = slow ? scan_group_evidence(group, kind) : scan_group_failed(group, kind);
	uint32_t tried = failed + group->count[SCAN_ANSWERED];
	const bool services = scan_has_ports(group->proto, group->family);
	const uint8_t before = group->severity;

	if (kind == SCAN_HORIZONTAL && services)
		tried += group->count[SCAN_EMPTY];
	if (group->silent) {
		failed += group->count[SCAN_SILENT];
		tried += group->count[SCAN_SILENT];
	}
	if (stage == ALERT_NEW)
		group_begin(work, group, kind);
	if (stage != ALERT_END)
		group->severity = (uint8_t)BASE_MAX(scan_group_severity(work, group, kind), before);
	alert.severity = group->severity;
	alert.act = group->severity >= ALERT_MEDIUM && before < ALERT_MEDIUM;
	alert.confidence = group->severity == ALERT_LOW                                  ? 40
	                   : group->count[SCAN_REFUSED] >= group->count[SCAN_UNANSWERED] ? 95
	                                                                                 : 80;
	alert.rule = group_rule(kind, services);
	alert.technique = services ? "T1046" : "T1018";
	alert.technique_name = services ? "Network Service Discovery" : "Remote System Discovery";
	alert.tactic = "TA0007";
	alert.tactic_name = "Discovery";
	memcpy(alert.source, group->source, 16);
	memcpy(alert.target, group->peer, 16);
	alert.port = services ? group->port : 0;
	alert.ports = kind == SCAN_HORIZONTAL ? 1 : tried;
	alert.hosts = kind == SCAN_HORIZONTAL ? tried : 1;
	if (kind == SCAN_BLOCK)
		alert.hosts = (uint32_t)__builtin_popcountll(group->hosts);
	alert.failed = failed;
	alert.refused = group->count[SCAN_REFUSED];
	alert.unanswered =
	        group->count[SCAN_UNANSWERED] + (group->silent ? group->count[SCAN_SILENT] : 0);
	alert.half_open = group->count[SCAN_HALF_OPEN];
	alert.answered = group->count[SCAN_ANSWERED] + group->count[SCAN_EMPTY];
	alert.first_ns = group->first_ns;
	alert.last_ns = group->last_ns;
	memcpy(alert.flows, group->flows, sizeof(alert.flows));
	alert.flow_count = group->flow_count;
	snprintf(alert.id, sizeof(alert.id), "%016llx-%08x", (unsigned long long)group->id,
	         (unsigned int)kind << 24 | (unsigned int)group->proto << 16 | group->port);
	group_sentence(&alert, kind, slow);
	group->said = stage == ALERT_END ? 0 : BASE_MAX(scan_group_evidence(group, kind), 1u);
	work->scan->rest.told |= alert.severity >= ALERT_MEDIUM;
	work->scan->rest.futile.told = true;
	work->emit(&alert, work->data);
}
