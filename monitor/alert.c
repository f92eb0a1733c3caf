/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Renders alerts and flows: Elastic Common Schema 9 as JSON, and RFC 5424 syslog of the same alert.
 * Field names and types are ECS's; what ECS has no field for is under `cordon`.
 */
#include "monitor/alert.h"
#include "monitor/tls_flows.h"

#include <arpa/inet.h>

#include "base/base.h"
#include "bpf/app.h"
#include "bpf/community_id.h"

static const char *const alert_stages[] = {"new", "update", "end"};

void alert_address(char out[46], const uint8_t address[16], uint8_t family)
{
	if (!inet_ntop(family == FLOW_IPV6 ? AF_INET6 : AF_INET, address, out, 46))
		out[0] = '\0';
}

/* network.*: what ECS has for a protocol, and only that: no transport where there is none (ARP), or where ECS
 * has no word for it; iana_number is a keyword there, so a string. */
static json_t *alert_network(uint8_t proto, uint8_t family)
{
	static const struct {
		uint8_t proto;
		const char *name;
	} transports[] = {{1, "icmp"}, {6, "tcp"}, {17, "udp"}, {58, "ipv6-icmp"}, {132, "sctp"}};
	json_t *network = json_object();
	char number[4];

	json_object_set_new(network, "type",
	                    json_string(family == FLOW_ARP    ? "arp"
	                                : family == FLOW_IPV6 ? "ipv6"
	                                                      : "ipv4"));
	if (family == FLOW_ARP)
		return network;
	snprintf(number, sizeof(number), "%u", proto);
	json_object_set_new(network, "iana_number", json_string(number));
	for (size_t i = 0; i < BASE_COUNT(transports); i++)
		if (transports[i].proto == proto)
			json_object_set_new(network, "transport", json_string(transports[i].name));
	return network;
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
	return port ? json_pack("{s:s, s:i}", "ip", text, "port", port)
	            : json_pack("{s:s}", "ip", text);
}

static json_t *alert_responses(uint32_t respond)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = {
	        {POLICY_RESPOND_ALERT, "alert"},       {POLICY_RESPOND_CAPTURE, "capture"},
	        {POLICY_RESPOND_THROTTLE, "throttle"}, {POLICY_RESPOND_QUARANTINE, "quarantine"},
	        {POLICY_RESPOND_PAUSE, "pause"},
	};
	json_t *list = json_array();

	for (size_t i = 0; i < BASE_COUNT(names); i++)
		if (respond & names[i].bit)
			json_array_append_new(list, json_string(names[i].name));
	return list;
}

void alert_fact(struct alert *alert, const char *name, uint64_t value)
{
	if (alert->fact_count < ALERT_FACTS_MAX)
		alert->facts[alert->fact_count++] = (struct alert_fact){name, value};
}

void alert_name(struct alert *alert, const uint8_t *bytes, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < size && n + 5 < sizeof(alert->name); i++) {
		const uint8_t c = bytes[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    c == '-' || c == '.' || c == '_')
			alert->name[n++] = (char)c;
		else
			n += (size_t)snprintf(alert->name + n, 5, "\\%03u", c);
	}
	alert->name[n] = '\0';
}

/* What the finding rests on: of tries, if it is of tries, and other facts by their names. */
static json_t *alert_facts(const struct alert *alert)
{
	json_t *facts = json_object();

	if (alert->ports || alert->hosts) {
		const struct alert_fact tries[] = {
		        {"ports", alert->ports},           {"hosts", alert->hosts},
		        {"failed", alert->failed},         {"refused", alert->refused},
		        {"unanswered", alert->unanswered}, {"half_open", alert->half_open},
		        {"answered", alert->answered}};

		for (size_t i = 0; i < BASE_COUNT(tries); i++)
			json_object_set_new(facts, tries[i].name,
			                    json_integer((json_int_t)tries[i].value));
	}
	for (size_t i = 0; i < alert->fact_count; i++)
		json_object_set_new(facts, alert->facts[i].name,
		                    json_integer((json_int_t)alert->facts[i].value));
	if (alert->name[0])
		json_object_set_new(facts, "name", json_string(alert->name));
	if (alert->ja4[0])
		json_object_set_new(facts, "ja4", json_string(alert->ja4));
	if (alert->list[0])
		json_object_set_new(facts, "list", json_string(alert->list));
	json_object_set_new(facts, "community_ids", alert_community_ids(alert));
	return facts;
}

static json_t *alert_evidence(const struct alert *alert, const struct alert_subject *subject)
{
	return json_pack("{s:s, s:i, s:o, s:I, s:I, s:o}", "stage", alert_stages[alert->stage],
	                 "confidence", alert->confidence, "evidence", alert_facts(alert),
	                 "policy_line", (json_int_t)subject->policy_line, "suppressed",
	                 (json_int_t)subject->suppressed, "respond",
	                 alert_responses(subject->respond));
}

static json_t *alert_network_of(const struct alert *alert)
{
	json_t *network = alert_network(alert->proto, alert->family);
	char id[COMMUNITY_ID_MAX];

	/* ECS has one here; all are in cordon.evidence */
	if (alert->flow_count > 0 && community_id(&alert->flows[0], 0, id) == 0)
		json_object_set_new(network, "community_id", json_string(id));
	return network;
}

json_t *alert_json(const struct alert *alert, const struct alert_subject *subject)
{
	char now[32], first[32];
	char message[ALERT_SENTENCE_MAX + POLICY_NAME_MAX + 16];
	json_t *json, *source, *target;

	alert_time(now, alert->last_ns);
	alert_time(first, alert->first_ns);
	snprintf(message, sizeof(message), "%s %s", subject->vm, alert->sentence);
	json = json_pack(
	        "{s:s, s:{s:s}, s:s, s:{s:s, s:[s, s], s:[s], s:s, s:s, s:s, s:i, s:s, s:s},"
	        " s:{s:s, s:s}, s:{s:s, s:{s:[s], s:[s]}, s:{s:[s], s:[s]}}, s:o, s:{s:s},"
	        " s:{s:s, s:s}, s:o}",
	        "@timestamp", now, "ecs", "version", ALERT_ECS_VERSION, "message", message, "event",
	        "kind", "alert", "category", "network", "intrusion_detection", "type", "info",
	        "module", "cordon", "dataset", "cordon.alert", "id", alert->id, "severity",
	        (int)alert->severity, "start", first, "end", now, "rule", "name", alert->rule, "id",
	        alert->rule, "threat", "framework", "MITRE ATT&CK", "technique", "id",
	        alert->technique, "name", alert->technique_name, "tactic", "id", alert->tactic,
	        "name", alert->tactic_name, "network", alert_network_of(alert), "host", "name",
	        subject->vm, "observer", "type", "ids", "product", "cordon", "cordon",
	        alert_evidence(alert, subject));
	if (!json)
		return NULL;
	for (size_t i = 0; subject->tls && i < alert->flow_count; i++) {
		const struct tls_flow *tls = tls_flows_find(subject->tls, &alert->flows[i]);

		/* of the first that has any */
		if (tls) {
			tls_flow_json(tls, json);
			break;
		}
	}
	if (subject->observer[0])
		json_object_set_new(json_object_get(json, "observer"), "hostname",
		                    json_string(subject->observer));
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

static void alert_syslog_params(FILE *out, const struct alert *alert,
                                const struct alert_subject *subject)
{
	static const uint8_t none[16];
	char address[46], id[COMMUNITY_ID_MAX];

	alert_syslog_param(out, "id", alert->id);
	alert_syslog_param(out, "vm", subject->vm);
	alert_syslog_param(out, "stage", alert_stages[alert->stage]);
	alert_syslog_param(out, "technique", alert->technique);
	fprintf(out, " severity=\"%d\"", (int)alert->severity);
	alert_address(address, alert->source, alert->family);
	alert_syslog_param(out, "src", address);
	alert_address(address, alert->target, alert->family);
	if (memcmp(alert->target, none, sizeof(none)) != 0)
		alert_syslog_param(out, "dst", address);
	if (alert->port)
		fprintf(out, " port=\"%u\"", alert->port);
	if (alert->flow_count > 0 && community_id(&alert->flows[0], 0, id) == 0)
		alert_syslog_param(out, "communityId", id);
	if (subject->suppressed)
		fprintf(out, " suppressed=\"%u\"", subject->suppressed);
}

size_t alert_syslog(const struct alert *alert, const struct alert_subject *subject, char *out,
                    size_t size)
{
	char now[32];
	FILE *stream = fmemopen(out, size, "w");
	long n;

	out[0] = '\0';
	if (!stream)
		return 0;
	alert_time(now, alert->last_ns);
	alert_syslog_begin(stream, alert->severity, now, subject->observer, alert->rule);
	alert_syslog_params(stream, alert, subject);
	fprintf(stream, "] %s %s", subject->vm, alert->sentence);
	fflush(stream);
	n = ftell(stream);
	fclose(stream);
	out[size - 1] = '\0';
	return n < 0 ? 0 : BASE_MIN((size_t)n, size - 1);
}

/* ECS knows three outcomes; cordon.outcome says it exactly. */
static const struct {
	const char *ecs, *exact;
} alert_outcomes[] = {
        [FLOW_OUTCOME_NONE] = {"unknown", "no answer"},
        [FLOW_OUTCOME_UNREACHABLE] = {"failure", "unreachable"},
        [FLOW_OUTCOME_RESET] = {"failure", "refused"},
        [FLOW_OUTCOME_ANSWERED] = {"success", "answered"},
        [FLOW_OUTCOME_ESTABLISHED] = {"success", "established"},
        [FLOW_OUTCOME_CLOSED] = {"success", "closed"},
};

static json_t *alert_flow_side(const uint8_t address[16], const struct flow_key *key, uint16_t port,
                               const struct flow_side *side)
{
	char text[46];

	alert_address(text, address, key->family);
	return json_pack("{s:s, s:i, s:I, s:I}", "ip", text, "port", port, "packets",
	                 (json_int_t)side->packets, "bytes", (json_int_t)side->bytes);
}

static json_t *alert_flow_network(const struct flow_record *record)
{
	const struct flow_side *sides = record->sides;
	json_t *network = alert_network(record->key.proto, record->key.family);
	char id[COMMUNITY_ID_MAX];

	json_object_set_new(
	        network, "direction",
	        json_string(record->flags & FLOW_FLAG_PEER_OPENED ? "ingress" : "egress"));
	json_object_set_new(network, "packets",
	                    json_integer((json_int_t)(sides[0].packets + sides[1].packets)));
	json_object_set_new(network, "bytes",
	                    json_integer((json_int_t)(sides[0].bytes + sides[1].bytes)));
	if (community_id(&record->key, record->flags, id) == 0)
		json_object_set_new(network, "community_id", json_string(id));
	if (flow_app(record))
		json_object_set_new(network, "protocol", json_string(flow_app(record)));
	return network;
}

json_t *alert_flow_json(const struct flow_record *record, const char *vm, uint64_t clock_ns,
                        const struct tls_flow *tls)
{
	size_t outcome = record->outcome < BASE_COUNT(alert_outcomes) ? record->outcome : 0;
	bool by_peer = record->flags & FLOW_FLAG_PEER_OPENED;
	const struct flow_key *key = &record->key;
	const struct flow_side *first = &record->sides[by_peer], *second = &record->sides[!by_peer];
	char start[32], last[32];
	json_t *json;

	alert_time(start, record->first_ns + clock_ns);
	alert_time(last, record->last_ns + clock_ns);
	json = json_pack(
	        "{s:s, s:{s:s}, s:{s:s, s:[s], s:[s], s:s, s:s, s:s, s:s, s:s, s:I}, s:{s:s}, s:o, "
	        "s:o,"
	        " s:o, s:{s:s, s:I, s:i, s:i}}",
	        "@timestamp", last, "ecs", "version", ALERT_ECS_VERSION, "event", "kind", "event",
	        "category", "network", "type", "connection", "module", "cordon", "dataset",
	        "cordon.flow", "outcome", alert_outcomes[outcome].ecs, "start", start, "end", last,
	        "duration", (json_int_t)(record->last_ns - record->first_ns), "host", "name", vm,
	        "source",
	        alert_flow_side(by_peer ? key->peer : key->guest, key,
	                        by_peer ? key->peer_port : key->guest_port, first),
	        "destination",
	        alert_flow_side(by_peer ? key->guest : key->peer, key,
	                        by_peer ? key->guest_port : key->peer_port, second),
	        "network", alert_flow_network(record), "cordon", "outcome",
	        alert_outcomes[outcome].exact, "retransmissions",
	        (json_int_t)record->first[0].retransmissions + record->first[1].retransmissions,
	        "tcp_flags", first->tcp_flags, "tcp_flags_reply", second->tcp_flags);
	if (json && tls)
		tls_flow_json(tls, json);
	return json;
}
