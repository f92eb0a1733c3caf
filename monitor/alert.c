/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Renders alerts and flows: Elastic Common Schema 9 as JSON, and RFC 5424 syslog of the same alert.
 * Field names and types are ECS's; what ECS has no field for is under `cordon`.
 */
#include "monitor/alert.h"

#include <arpa/inet.h>
#include <time.h>

#include "base/base.h"
#include "bpf/community_id.h"

#define ALERT_ECS_VERSION "9.0.0"

/* RFC 5424, 6.2.1: facility 10 (security), and the severity that goes with the alert's */
enum { SYSLOG_SECURITY = 10, SYSLOG_CRITICAL = 2, SYSLOG_ERROR = 3, SYSLOG_WARNING = 4, SYSLOG_NOTICE = 5 };

static const char *const alert_stages[] = { "new", "update", "end" };

void alert_address(char out[46], const uint8_t address[16], uint8_t family)
{
	if (!inet_ntop(family == FLOW_IPV6 ? AF_INET6 : AF_INET, address, out, 46))
		out[0] = '\0';
}

void alert_time(char out[32], uint64_t unix_ns)
{
	time_t seconds = (time_t)(unix_ns / 1000000000);
	struct tm tm;

	/* not strftime(): it looks for the time zone's file at every call, and there are no files here */
	gmtime_r(&seconds, &tm);
	snprintf(out, 32, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", (unsigned int)(tm.tm_year + 1900) % 10000,
		 (unsigned int)(tm.tm_mon + 1) % 100, (unsigned int)tm.tm_mday % 100,
		 (unsigned int)tm.tm_hour % 100, (unsigned int)tm.tm_min % 100, (unsigned int)tm.tm_sec % 100,
		 (unsigned int)(unix_ns / 1000000 % 1000));
}

static const char *alert_transport(uint8_t proto, uint8_t family)
{
	if (family == FLOW_ARP)
		return "arp";
	switch (proto) {
	case 1: return "icmp";
	case 6: return "tcp";
	case 17: return "udp";
	case 58: return "ipv6-icmp";
	case 132: return "sctp";
	default: return "other";
	}
}

static json_t *alert_community_ids(const struct alert *alert)
{
	json_t *list = json_array();

	for (size_t i = 0; i < alert->flow_count; i++) {
		char id[COMMUNITY_ID_MAX];

		/* what a scan tries opens from the guest's side; the flags matter for one-way ICMP only */
		if (community_id(&alert->flows[i], 0, id) == 0)
			json_array_append_new(list, json_string(id));
	}
	return list;
}

static json_t *alert_end(const uint8_t address[16], uint8_t family, uint16_t port)
{
	static const uint8_t none[16];
	char text[46];

	if (memcmp(address, none, sizeof(none)) == 0)
		return NULL;
	alert_address(text, address, family);
	return port ? json_pack("{s:s, s:i}", "ip", text, "port", port) : json_pack("{s:s}", "ip", text);
}

static json_t *alert_responses(uint32_t respond)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = {
		{ POLICY_RESPOND_ALERT, "alert" },	     { POLICY_RESPOND_CAPTURE, "capture" },
		{ POLICY_RESPOND_THROTTLE, "throttle" },     { POLICY_RESPOND_QUARANTINE, "quarantine" },
		{ POLICY_RESPOND_PAUSE, "pause" },
	};
	json_t *list = json_array();

	for (size_t i = 0; i < BASE_COUNT(names); i++)
		if (respond & names[i].bit)
			json_array_append_new(list, json_string(names[i].name));
	return list;
}

static json_t *alert_evidence(const struct alert *alert, const struct alert_subject *subject)
{
	return json_pack("{s:s, s:i, s:{s:i, s:i, s:i, s:i, s:i, s:i}, s:i, s:o}", "stage",
			 alert_stages[alert->stage], "confidence", alert->confidence, "evidence", "ports",
			 (int)alert->ports, "hosts", (int)alert->hosts, "failed", (int)alert->failed,
			 "refused", (int)alert->refused, "unanswered", (int)alert->unanswered, "answered",
			 (int)alert->answered, "policy_line", (int)subject->policy_line, "respond",
			 alert_responses(subject->respond));
}

json_t *alert_json(const struct alert *alert, const struct alert_subject *subject)
{
	char now[32], first[32];
	char message[ALERT_SENTENCE_MAX + POLICY_NAME_MAX];
	json_t *json, *source, *target;

	alert_time(now, alert->last_ns);
	alert_time(first, alert->first_ns);
	snprintf(message, sizeof(message), "%s %s", subject->vm, alert->sentence);
	json = json_pack(
		"{s:s, s:{s:s}, s:s, s:{s:s, s:[s, s], s:[s], s:s, s:s, s:s, s:i, s:s, s:s},"
		" s:{s:s, s:s}, s:{s:s, s:{s:[s], s:[s]}, s:{s:[s], s:[s]}}, s:{s:s, s:o}, s:{s:s}, s:o}",
		"@timestamp", now, "ecs", "version", ALERT_ECS_VERSION, "message", message, "event", "kind",
		"alert", "category", "network", "intrusion_detection", "type", "info", "module", "cordon",
		"dataset", "cordon.alert", "id", alert->id, "severity", (int)alert->severity, "start", first,
		"end", now, "rule", "name", alert->rule, "id", alert->rule, "threat", "framework",
		"MITRE ATT&CK", "technique", "id", alert->technique, "name", alert->technique_name, "tactic",
		"id", alert->tactic, "name", alert->tactic_name, "network", "transport",
		alert_transport(alert->proto, alert->family), "community_id", alert_community_ids(alert),
		"host", "name", subject->vm, "cordon", alert_evidence(alert, subject));
	if (!json)
		return NULL;
	source = alert_end(alert->source, alert->family, 0);
	target = alert_end(alert->target, alert->family, alert->port);
	if (source)
		json_object_set_new(json, "source", source);
	if (target)
		json_object_set_new(json, "destination", target);
	else if (alert->port)
		json_object_set_new(json, "destination", json_pack("{s:i}", "port", alert->port));
	return json;
}

static unsigned int alert_syslog_severity(enum alert_severity severity)
{
	switch (severity) {
	case ALERT_CRITICAL: return SYSLOG_CRITICAL;
	case ALERT_HIGH: return SYSLOG_ERROR;
	case ALERT_MEDIUM: return SYSLOG_WARNING;
	default: return SYSLOG_NOTICE;
	}
}

size_t alert_syslog(const struct alert *alert, const struct alert_subject *subject, const char *hostname,
		    char *out, size_t size)
{
	char now[32], source[46], target[46], id[COMMUNITY_ID_MAX] = "";
	int n;

	alert_time(now, alert->last_ns);
	alert_address(source, alert->source, alert->family);
	alert_address(target, alert->target, alert->family);
	if (alert->flow_count > 0)
		community_id(&alert->flows[0], 0, id);
	/* 32473 is the enterprise number for examples (RFC 5612): cordon has none of its own */
	n = snprintf(out, size,
		     "<%u>1 %s %s cordon - %s [cordon@32473 id=\"%s\" vm=\"%s\" stage=\"%s\" technique=\"%s\" "
		     "severity=\"%d\" src=\"%s\" dst=\"%s\" port=\"%u\" communityId=\"%s\"] %s %s",
		     SYSLOG_SECURITY * 8 + alert_syslog_severity(alert->severity), now,
		     hostname[0] ? hostname : "-", alert->rule, alert->id, subject->vm,
		     alert_stages[alert->stage], alert->technique, (int)alert->severity, source, target,
		     alert->port, id, subject->vm, alert->sentence);
	return n < 0 ? 0 : BASE_MIN((size_t)n, size - 1);
}

/* ECS knows three outcomes; cordon.outcome says it exactly. */
static const struct {
	const char *ecs, *exact;
} alert_outcomes[] = {
	[FLOW_OUTCOME_NONE] = { "unknown", "no answer" },
	[FLOW_OUTCOME_UNREACHABLE] = { "failure", "unreachable" },
	[FLOW_OUTCOME_RESET] = { "failure", "refused" },
	[FLOW_OUTCOME_ANSWERED] = { "success", "answered" },
	[FLOW_OUTCOME_ESTABLISHED] = { "success", "established" },
	[FLOW_OUTCOME_CLOSED] = { "success", "closed" },
};

json_t *alert_flow_json(const struct flow_record *record, const char *vm, uint64_t clock_ns)
{
	size_t outcome = record->outcome < BASE_COUNT(alert_outcomes) ? record->outcome : 0;
	bool by_peer = record->flags & FLOW_FLAG_PEER_OPENED;
	const struct flow_key *key = &record->key;
	const struct flow_side *first = &record->sides[by_peer], *second = &record->sides[!by_peer];
	char source[46], destination[46], id[COMMUNITY_ID_MAX] = "", start[32];

	alert_address(source, by_peer ? key->peer : key->guest, key->family);
	alert_address(destination, by_peer ? key->guest : key->peer, key->family);
	alert_time(start, record->first_ns + clock_ns);
	community_id(key, record->flags, id);
	return json_pack("{s:{s:s, s:s, s:s, s:I}, s:{s:s}, s:{s:s, s:i, s:I, s:I}, s:{s:s, s:i, s:I, s:I},"
			 " s:{s:s, s:s, s:s, s:I, s:I}, s:{s:s, s:I, s:i, s:i}}",
			 "event", "kind", "event", "outcome", alert_outcomes[outcome].ecs, "start", start,
			 "duration", (json_int_t)(record->last_ns - record->first_ns), "host", "name", vm,
			 "source", "ip", source, "port", by_peer ? key->peer_port : key->guest_port,
			 "packets", (json_int_t)first->packets, "bytes", (json_int_t)first->bytes,
			 "destination", "ip", destination, "port", by_peer ? key->guest_port : key->peer_port,
			 "packets", (json_int_t)second->packets, "bytes", (json_int_t)second->bytes,
			 "network", "transport", alert_transport(key->proto, key->family), "direction",
			 by_peer ? "ingress" : "egress", "community_id", id, "packets",
			 (json_int_t)(first->packets + second->packets), "bytes",
			 (json_int_t)(first->bytes + second->bytes), "cordon", "outcome",
			 alert_outcomes[outcome].exact, "retransmissions",
			 (json_int_t)record->first[0].retransmissions + record->first[1].retransmissions,
			 "tcp_flags", first->tcp_flags, "tcp_flags_reply", second->tcp_flags);
}
