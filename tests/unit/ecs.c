/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See ecs.h. Types are those of Elasticsearch; words are the values that the schema allows. */
#include "ecs.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdbool.h>

#include "base/base.h"

enum ecs_type {
	ECS_KEYWORD, /* at most 1,024 bytes: what is longer is not indexed (ignore_above) */
	ECS_TEXT,    /* match_only_text */
	ECS_LONG,
	ECS_DATE,
	ECS_IP,
	ECS_BOOLEAN,
};

static const char words_kind[] =
        " alert asset enrichment event metric state pipeline_error signal ";
static const char words_category[] =
        " api authentication configuration database driver email file host iam "
        "intrusion_detection library malware network package process registry session threat "
        "vulnerability web ";
static const char words_type[] =
        " access admin allowed change connection creation deletion denied end error group "
        "indicator info installation protocol start user ";
static const char words_outcome[] = " failure success unknown ";
static const char words_direction[] = " ingress egress inbound outbound internal external unknown ";

static const struct ecs_field {
	const char *name;
	enum ecs_type type;
	bool list;         /* the schema wants an array */
	const char *words; /* NULL: any */
} ecs_fields[] = {
        {"@timestamp", ECS_DATE, false, NULL},
        {"message", ECS_TEXT, false, NULL},
        {"ecs.version", ECS_KEYWORD, false, NULL},
        {"event.action", ECS_KEYWORD, false, NULL},
        {"event.category", ECS_KEYWORD, true, words_category},
        {"event.dataset", ECS_KEYWORD, false, NULL},
        {"event.duration", ECS_LONG, false, NULL},
        {"event.end", ECS_DATE, false, NULL},
        {"event.id", ECS_KEYWORD, false, NULL},
        {"event.kind", ECS_KEYWORD, false, words_kind},
        {"event.module", ECS_KEYWORD, false, NULL},
        {"event.outcome", ECS_KEYWORD, false, words_outcome},
        {"event.reason", ECS_KEYWORD, false, NULL},
        {"event.severity", ECS_LONG, false, NULL},
        {"event.start", ECS_DATE, false, NULL},
        {"event.type", ECS_KEYWORD, true, words_type},
        {"host.name", ECS_KEYWORD, false, NULL},
        {"log.file.path", ECS_KEYWORD, false, NULL},
        {"observer.hostname", ECS_KEYWORD, false, NULL},
        {"observer.product", ECS_KEYWORD, false, NULL},
        {"observer.type", ECS_KEYWORD, false, NULL},
        {"process.name", ECS_KEYWORD, false, NULL},
        {"process.pid", ECS_LONG, false, NULL},
        {"rule.id", ECS_KEYWORD, false, NULL},
        {"rule.name", ECS_KEYWORD, false, NULL},
        {"threat.framework", ECS_KEYWORD, false, NULL},
        {"threat.tactic.id", ECS_KEYWORD, true, NULL},
        {"threat.tactic.name", ECS_KEYWORD, true, NULL},
        {"threat.technique.id", ECS_KEYWORD, true, NULL},
        {"threat.technique.name", ECS_KEYWORD, true, NULL},
        {"threat.indicator.ip", ECS_IP, false, NULL},
        {"threat.indicator.name", ECS_KEYWORD, false, NULL},
        {"threat.indicator.provider", ECS_KEYWORD, false, NULL},
        {"threat.indicator.type", ECS_KEYWORD, false, NULL},
        {"network.bytes", ECS_LONG, false, NULL},
        {"network.community_id", ECS_KEYWORD, false, NULL},
        {"network.direction", ECS_KEYWORD, false, words_direction},
        {"network.iana_number", ECS_KEYWORD, false, NULL},
        {"network.packets", ECS_LONG, false, NULL},
        {"network.protocol", ECS_KEYWORD, false, NULL},
        {"network.transport", ECS_KEYWORD, false, NULL},
        {"network.type", ECS_KEYWORD, false, NULL},
        {"network.vlan.id", ECS_KEYWORD, false, NULL},
        {"source.bytes", ECS_LONG, false, NULL},
        {"source.ip", ECS_IP, false, NULL},
        {"source.packets", ECS_LONG, false, NULL},
        {"source.port", ECS_LONG, false, NULL},
        {"destination.bytes", ECS_LONG, false, NULL},
        {"destination.domain", ECS_KEYWORD, false, NULL},
        {"destination.ip", ECS_IP, false, NULL},
        {"destination.packets", ECS_LONG, false, NULL},
        {"destination.port", ECS_LONG, false, NULL},
        {"tls.cipher", ECS_KEYWORD, false, NULL},
        {"tls.client.server_name", ECS_KEYWORD, false, NULL},
        {"tls.next_protocol", ECS_KEYWORD, false, NULL},
        {"tls.server.subject", ECS_KEYWORD, false, NULL},
        {"tls.server.issuer", ECS_KEYWORD, false, NULL},
        {"tls.server.x509.alternative_names", ECS_KEYWORD, true, NULL},
        {"tls.version", ECS_KEYWORD, false, NULL},
        {"tls.version_protocol", ECS_KEYWORD, false, NULL},
        /* what the schema has no field for */
        {"cordon.change.pid", ECS_LONG, false, NULL},
        {"cordon.change.process", ECS_KEYWORD, false, NULL},
        {"cordon.change.restored", ECS_BOOLEAN, false, NULL},
        {"cordon.confidence", ECS_LONG, false, NULL},
        {"cordon.end.became", ECS_KEYWORD, false, NULL},
        {"cordon.end.exit", ECS_LONG, false, NULL},
        {"cordon.end.panics", ECS_LONG, false, NULL},
        {"cordon.end.reason", ECS_KEYWORD, false, NULL},
        {"cordon.end.restarts", ECS_LONG, false, NULL},
        {"cordon.evidence.community_ids", ECS_KEYWORD, true, NULL},
        {"cordon.evidence.ja4", ECS_KEYWORD, false, NULL},
        {"cordon.evidence.list", ECS_KEYWORD, false, NULL},
        {"cordon.evidence.name", ECS_KEYWORD, false, NULL},
        {"cordon.evidence.*", ECS_LONG, false, NULL}, /* facts are numbers */
        {"cordon.guard.bridge", ECS_KEYWORD, false, NULL},
        {"cordon.guard.tap", ECS_KEYWORD, false, NULL},
        {"cordon.outcome", ECS_KEYWORD, false, NULL},
        {"cordon.policy_line", ECS_LONG, false, NULL},
        {"cordon.process.became", ECS_KEYWORD, false, NULL},
        {"cordon.process.ended", ECS_KEYWORD, false, NULL},
        {"cordon.process.pid", ECS_LONG, false, NULL},
        {"cordon.process.restarts", ECS_LONG, false, NULL},
        {"cordon.process.role", ECS_KEYWORD, false, NULL},
        {"cordon.respond", ECS_KEYWORD, true, NULL},
        {"cordon.retransmissions", ECS_LONG, false, NULL},
        {"cordon.stage", ECS_KEYWORD, false, " new update end "},
        {"cordon.suppressed", ECS_LONG, false, NULL},
        {"cordon.tcp_flags", ECS_LONG, false, NULL},
        {"cordon.tcp_flags_reply", ECS_LONG, false, NULL},
        {"cordon.tls.certificate_mismatch", ECS_BOOLEAN, false, NULL},
        {"cordon.tls.ja4", ECS_KEYWORD, false, NULL},
};

static const struct ecs_field *ecs_find(const char *name)
{
	for (size_t i = 0; i < BASE_COUNT(ecs_fields); i++) {
		const char *known = ecs_fields[i].name;
		size_t length = strlen(known);

		if (strcmp(known, name) == 0)
			return &ecs_fields[i];
		if (known[length - 1] == '*' && strncmp(known, name, length - 1) == 0 &&
		    !strchr(name + length - 1, '.'))
			return &ecs_fields[i];
	}
	return NULL;
}

/* ISO 8601, to the millisecond and in UTC, as all that is written here. */
static bool ecs_is_date(const char *text)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd.dddZ";

	for (size_t i = 0; i < sizeof(form); i++)
		if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
			return false;
	return true;
}

static bool ecs_is_ip(const char *text)
{
	uint8_t address[16];

	return inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, address) == 1;
}

static bool ecs_is_word(const char *words, const char *text)
{
	char word[64];

	snprintf(word, sizeof(word), " %.60s ", text);
	return strstr(words, word) != NULL;
}

static bool ecs_has_type(const struct ecs_field *field, const json_t *value)
{
	const char *text = json_string_value(value);

	switch (field->type) {
	case ECS_LONG: return json_is_integer(value);
	case ECS_BOOLEAN: return json_is_boolean(value);
	case ECS_TEXT: return text && *text;
	case ECS_DATE: return text && ecs_is_date(text);
	case ECS_IP: return text && ecs_is_ip(text);
	default:
		return text && strlen(text) <= 1024 &&
		       (!field->words || ecs_is_word(field->words, text));
	}
}

static int ecs_check_field(const char *name, const json_t *value, char why[ECS_WHY_MAX])
{
	const struct ecs_field *field = ecs_find(name);
	bool right = field && json_is_array(value) == field->list;
	size_t i;
	json_t *item;

	if (!field) {
		snprintf(why, ECS_WHY_MAX, "%s is no field of the schema", name);
		return -EINVAL;
	}
	if (right && field->list)
		json_array_foreach(value, i, item) right = right && ecs_has_type(field, item);
	else if (right)
		right = ecs_has_type(field, value);
	if (!right)
		snprintf(why, ECS_WHY_MAX, "%s has a value that is not of its type", name);
	return right ? 0 : -EINVAL;
}

static int ecs_check_below(const char *prefix, const json_t *object, char why[ECS_WHY_MAX])
{
	const char *key;
	json_t *value;
	int err = 0;

	json_object_foreach((json_t *)object, key, value)
	{
		char name[128];

		if (snprintf(name, sizeof(name), "%s%s%s", prefix, *prefix ? "." : "", key) >=
		    (int)sizeof(name))
			return -EINVAL;
		err = json_is_object(value) ? ecs_check_below(name, value, why)
		                            : ecs_check_field(name, value, why);
		if (err)
			return err;
	}
	return 0;
}

int ecs_check(const json_t *object, char why[ECS_WHY_MAX])
{
	/* what every document has to have, and what ours promise */
	static const char *const always[] = {"@timestamp", "ecs", "event", "host"};

	if (!json_is_object(object)) {
		snprintf(why, ECS_WHY_MAX, "it is no object");
		return -EINVAL;
	}
	for (size_t i = 0; i < BASE_COUNT(always); i++)
		if (!json_object_get(object, always[i])) {
			snprintf(why, ECS_WHY_MAX, "%s is missing", always[i]);
			return -EINVAL;
		}
	return ecs_check_below("", object, why);
}

void ecs_assert(const json_t *object)
{
	char why[ECS_WHY_MAX] = "";
	int err = ecs_check(object, why);
	BASE_AUTO_FREE char *text = err ? json_dumps(object, JSON_COMPACT) : NULL;

	ck_assert_msg(err == 0, "%s: %s", why, text ? text : "");
}

void ecs_assert_alert(const struct alert *alert)
{
	const struct alert_subject subject = {.vm = "web0",
	                                      .policy_line = 7,
	                                      .respond = POLICY_RESPOND_ALERT |
	                                                 POLICY_RESPOND_QUARANTINE,
	                                      .observer = "host1",
	                                      .suppressed = 3};
	json_t *json = alert_json(alert, &subject);

	ecs_assert(json);
	json_decref(json);
}
