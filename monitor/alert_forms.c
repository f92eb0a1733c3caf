/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CEF and OCSF, and which form a sink gets.
 *
 * CEF has two ways of escaping: in the header `|` and `\`, in extensions `=`, `\` and line ends. What else a
 * receiver might take for its own (control characters, bytes that are no ASCII) becomes a question mark, so that
 * nothing that a guest has named can end a field, a line or a message.
 */
#include "monitor/alert_forms.h"

#include "base/base.h"

static void cef_header(FILE *out, const char *text)
{
	fputc('|', out);
	for (; *text; text++) {
		if (*text == '|' || *text == '\\')
			fputc('\\', out);
		fputc(*text >= ' ' && *text <= '~' ? *text : '?', out);
	}
}

static void cef_value(FILE *out, const char *name, const char *value)
{
	if (!value || !*value)
		return;
	fprintf(out, " %s=", name);
	for (; *value; value++) {
		if (*value == '=' || *value == '\\')
			fputc('\\', out);
		if (*value == '\n' || *value == '\r')
			fputs(*value == '\n' ? "\\n" : "\\r", out);
		else
			fputc(*value >= ' ' && *value <= '~' ? *value : '?', out);
	}
}

static void cef_custom(FILE *out, const char *name, const char *label, const char *value)
{
	char key[16];

	if (!value || !*value)
		return;
	snprintf(key, sizeof(key), "%sLabel", name);
	cef_value(out, key, label);
	cef_value(out, name, value);
}

/* CEF's keys for addresses are those of IPv4; IPv6 has custom fields with fixed labels. */
static void cef_address(FILE *out, const char *value, bool source)
{
	if (value && strchr(value, ':'))
		cef_custom(out, source ? "c6a2" : "c6a3",
		           source ? "Source IPv6 Address" : "Destination IPv6 Address", value);
	else
		cef_value(out, source ? "src" : "dst", value);
}

static unsigned int cef_severity(enum alert_severity severity)
{
	switch (severity) {
	case ALERT_CRITICAL: return 10;
	case ALERT_HIGH: return 8;
	case ALERT_MEDIUM: return 5;
	default: return 3;
	}
}

static const char *forms_transport(uint8_t proto)
{
	switch (proto) {
	case 1: return "ICMP";
	case 6: return "TCP";
	case 17: return "UDP";
	case 132: return "SCTP";
	default: return "";
	}
}

static void cef_extensions(FILE *out, const struct alert_view *view)
{
	/* the message is the last: it is the longest, and may be cut */
	fprintf(out, "rt=%llu start=%llu end=%llu cnt=1",
	        (unsigned long long)(view->last_ns / 1000000),
	        (unsigned long long)(view->first_ns / 1000000),
	        (unsigned long long)(view->last_ns / 1000000));
	cef_value(out, "externalId", view->id);
	cef_value(out, "shost", view->vm);
	cef_value(out, "dvchost", view->observer);
	cef_address(out, view->source, true);
	cef_address(out, view->target, false);
	if (view->port)
		fprintf(out, " dpt=%u", view->port);
	cef_value(out, "proto", forms_transport(view->proto));
	cef_custom(out, "cs1", "technique", view->technique);
	cef_custom(out, "cs2", "tactic", view->tactic);
	cef_custom(out, "cs3", "stage", view->stage);
	fprintf(out, " cn1Label=confidence cn1=%u cn2Label=suppressed cn2=%u", view->confidence,
	        view->suppressed);
	cef_value(out, "msg", view->message);
}

size_t alert_cef(const struct alert_view *view, char *out, size_t size)
{
	FILE *stream = fmemopen(out, size, "w");
	long n;

	out[0] = '\0';
	if (!stream)
		return 0;
	fputs("CEF:0", stream);
	cef_header(stream, "cordon");
	cef_header(stream, "cordon");
	cef_header(stream, CORDON_VERSION);
	cef_header(stream, view->rule);
	cef_header(stream, view->technique_name ? view->technique_name : view->rule);
	fprintf(stream, "|%u|", cef_severity(view->severity));
	cef_extensions(stream, view);
	fflush(stream);
	n = ftell(stream);
	fclose(stream);
	out[size - 1] = '\0';
	return n < 0 ? 0 : BASE_MIN((size_t)n, size - 1);
}

/* The numbers are the schema's. */
static void ocsf_numbers(const struct alert_view *view, int *activity, int *status, int *severity)
{
	bool update = strcmp(view->stage, "update") == 0, end = strcmp(view->stage, "end") == 0;

	*activity = end ? 3 : update ? 2 : 1; /* Close, Update, Create */
	*status = end ? 4 : update ? 2 : 1;   /* Resolved, In Progress, New */
	*severity = view->severity == ALERT_CRITICAL ? 5
	            : view->severity == ALERT_HIGH   ? 4
	            : view->severity == ALERT_MEDIUM ? 3
	                                             : 2;
}

static json_t *ocsf_endpoint(const char *address, const char *name, uint16_t port)
{
	json_t *endpoint = json_object();

	if (address && *address)
		json_object_set_new(endpoint, "ip", json_string(address));
	if (name)
		json_object_set_new(endpoint, "hostname", json_string(name));
	if (port)
		json_object_set_new(endpoint, "port", json_integer(port));
	return endpoint;
}

static json_t *ocsf_evidence(const struct alert_view *view)
{
	json_t *evidence =
	        json_pack("{s:o}", "src_endpoint", ocsf_endpoint(view->source, view->vm, 0));

	if (view->port || (view->target && *view->target))
		json_object_set_new(evidence, "dst_endpoint",
		                    ocsf_endpoint(view->target, NULL, view->port));
	if (view->proto)
		json_object_set_new(evidence, "connection_info",
		                    json_pack("{s:i, s:i}", "protocol_num", (int)view->proto,
		                              "direction_id", 2));
	return evidence;
}

static json_t *ocsf_finding(const struct alert_view *view)
{
	json_t *finding = json_pack(
	        "{s:s, s:s, s:s, s:I, s:I, s:I, s:[s], s:{s:s, s:s, s:i}}", "uid", view->id,
	        "title", view->technique_name ? view->technique_name : view->rule, "desc",
	        view->message, "created_time", (json_int_t)(view->first_ns / 1000000),
	        "first_seen_time", (json_int_t)(view->first_ns / 1000000), "last_seen_time",
	        (json_int_t)(view->last_ns / 1000000), "types", view->rule, "analytic", "uid",
	        view->rule, "name", view->rule, "type_id", 1);

	if (finding && view->technique)
		json_object_set_new(finding, "attacks",
		                    json_pack("[{s:{s:s, s:s}, s:{s:s, s:s}}]", "technique", "uid",
		                              view->technique, "name", view->technique_name,
		                              "tactic", "uid", view->tactic, "name",
		                              view->tactic_name));
	return finding;
}

json_t *alert_ocsf(const struct alert_view *view)
{
	int activity, status, severity;

	ocsf_numbers(view, &activity, &status, &severity);
	return json_pack(
	        "{s:i, s:i, s:i, s:i, s:i, s:i, s:b, s:I, s:s, s:i, s:i, s:{s:s, s:s, s:{s:s, s:s, "
	        "s:s}}, s:o, s:[o], s:[{s:s, s:s}], s:{s:s, s:i}, s:{s:s, s:i}}",
	        "class_uid", 2004, "category_uid", 2, "activity_id", activity, "type_uid",
	        200400 + activity, "severity_id", severity, "status_id", status, "is_alert", 1,
	        "time", (json_int_t)(view->last_ns / 1000000), "message", view->message,
	        "confidence_score", (int)view->confidence, "confidence_id",
	        view->confidence >= 70   ? 3
	        : view->confidence >= 40 ? 2
	                                 : 1,
	        "metadata", "version", "1.3.0", "uid", view->id, "product", "name", "cordon",
	        "vendor_name", "cordon", "version", CORDON_VERSION, "finding_info",
	        ocsf_finding(view), "evidences", ocsf_evidence(view), "resources", "name", view->vm,
	        "type", "Virtual Machine", "device", "hostname", view->observer, "type_id", 0,
	        "unmapped", "stage", view->stage, "suppressed", (int)view->suppressed);
}

static char *form_plain(const struct alert_view *view, enum policy_sink_format format,
                        const char *ecs)
{
	json_t *json;
	char *text;

	if (format == POLICY_FORMAT_ECS)
		return strdup(ecs);
	if (format == POLICY_FORMAT_CEF) {
		text = malloc(ALERT_CEF_MAX);
		if (text)
			alert_cef(view, text, ALERT_CEF_MAX);
		return text;
	}
	json = alert_ocsf(view);
	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	return text;
}

char *alert_form(const struct alert_view *view, const struct policy_sink *sink, const char *ecs,
                 const char *syslog)
{
	bool framed = policy_sink_is_syslog(sink->type);
	BASE_AUTO_FREE char *plain = NULL;
	char *text = NULL, when[32];
	size_t size;

	if (sink->format == POLICY_FORMAT_SYSLOG)
		return strdup(syslog);
	plain = form_plain(view, sink->format, ecs);
	if (!framed || !plain) {
		text = plain;
		plain = NULL;
		return text;
	}
	FILE *stream = open_memstream(&text, &size);
	if (!stream)
		return NULL;
	alert_time(when, view->last_ns);
	alert_syslog_header(stream, view->severity, when, view->observer, view->rule);
	fprintf(stream, "- %s", plain);
	fclose(stream);
	return text;
}
