/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The text exposition format (prometheus.io/docs/instrumenting/exposition_formats, 0.0.4): for each metric one HELP
 * and one TYPE line, then all of its samples together. In label values `\`, `"` and line feeds are escaped;
 * names and help are ours. A counter that is not known has no sample.
 */
#include "cordon/prometheus.h"

#include "base/base.h"

/* A metric: a number of each guest's NIC, or of each sink. */
struct metric {
	const char *name, *type, *help;
	const char *key;           /* in the object */
	const char *label, *value; /* one more label, or NULL */
};

static const struct metric prometheus_guests[] = {
        {"cordon_guest_packets_total", "counter", "Frames at the guest's tap.", "packets_out",
         "direction", "out"},
        {"cordon_guest_packets_total", NULL, NULL, "packets_in", "direction", "in"},
        {"cordon_guest_bytes_total", "counter", "Bytes at the guest's tap, with Ethernet headers.",
         "bytes_out", "direction", "out"},
        {"cordon_guest_bytes_total", NULL, NULL, "bytes_in", "direction", "in"},
        {"cordon_guest_flows_total", "counter", "Flows that were opened.", "flows", NULL, NULL},
        {"cordon_guest_flows_evicted_total", "counter",
         "Flows that left the table before they had ended.", "evicted", NULL, NULL},
        {"cordon_guest_frames_unparsed_total", "counter",
         "Frames that were cut short or malformed.", "unparsed", NULL, NULL},
        {"cordon_guest_frames_not_ip_total", "counter", "Frames that are neither IP nor ARP.",
         "not_ip", NULL, NULL},
        {"cordon_guest_frames_foreign_mac_total", "counter",
         "Frames from the guest with another source MAC than its own.", "foreign_mac", NULL, NULL},
        {"cordon_guest_events_lost_total", "counter",
         "Events of flows that the monitor did not get.", "events_lost", NULL, NULL},
        {"cordon_guest_payloads_lost_total", "counter", "Payloads that the monitor did not get.",
         "payloads_lost", NULL, NULL},
        {"cordon_guest_packets_contended_total", "counter",
         "Packets that were counted in no flow, as its place was locked.", "contended", NULL, NULL},
        {"cordon_guest_alerts_total", "counter", "Alerts that were sent, updates and ends too.",
         "alerts", NULL, NULL},
        {"cordon_guest_alerts_suppressed_total", "counter",
         "Alerts that were not sent, as they were expected or too many.", "suppressed", NULL, NULL},
        {"cordon_guest_sink_records_lost_total", "counter",
         "Alerts and batches of flows that a sink's spool did not take.", "sinks_lost", NULL, NULL},
};

static const struct metric prometheus_sinks[] = {
        {"cordon_sink_delivered_total", "counter", "Alerts and batches of flows that arrived.",
         "delivered", NULL, NULL},
        {"cordon_sink_dropped_total", "counter",
         "Alerts and batches of flows that were dropped, as the spool was full.", "dropped", NULL,
         NULL},
        {"cordon_sink_waiting", "gauge", "Alerts and batches of flows that wait in the spool.",
         "waiting", NULL, NULL},
};

static void prometheus_label(FILE *out, char before, const char *name, const char *value)
{
	fprintf(out, "%c%s=\"", before, name);
	for (; value && *value; value++) {
		if (*value == '\n')
			fputs("\\n", out);
		else if (*value == '\\' || *value == '"')
			fprintf(out, "\\%c", *value);
		else
			fputc(*value, out);
	}
	fputc('"', out);
}

static void prometheus_head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* The labels that say of whom it is. */
static void prometheus_whose(FILE *out, const json_t *object, const char *const *labels)
{
	char before = '{';

	for (; *labels; labels++, before = ',')
		prometheus_label(out, before, *labels,
		                 json_string_value(json_object_get(object, *labels)));
}

static void prometheus_metrics(FILE *out, const json_t *objects, const struct metric *metrics,
                               size_t count, const char *const *labels)
{
	const json_t *object;
	size_t i;

	for (size_t m = 0; m < count; m++) {
		if (metrics[m].help)
			prometheus_head(out, metrics[m].name, metrics[m].type, metrics[m].help);
		json_array_foreach(objects, i, object)
		{
			const json_t *value = json_object_get(object, metrics[m].key);

			if (!json_is_integer(value))
				continue;
			fputs(metrics[m].name, out);
			prometheus_whose(out, object, labels);
			if (metrics[m].label)
				prometheus_label(out, ',', metrics[m].label, metrics[m].value);
			fprintf(out, "} %lld\n", (long long)json_integer_value(value));
		}
	}
}

/* Findings by rule. */
static void prometheus_findings(FILE *out, const json_t *guests, const char *const *labels)
{
	const json_t *guest;
	const char *rule;
	json_t *count;
	size_t i;

	prometheus_head(out, "cordon_guest_findings_total", "counter",
	                "Findings by rule, each counted once.");
	json_array_foreach(guests, i, guest)
	        json_object_foreach(json_object_get(guest, "findings"), rule, count)
	{
		fputs("cordon_guest_findings_total", out);
		prometheus_whose(out, guest, labels);
		prometheus_label(out, ',', "rule", rule);
		fprintf(out, "} %lld\n", (long long)json_integer_value(count));
	}
}

/* What the firewall counted, by the line of the policy. */
static void prometheus_rules(FILE *out, const json_t *rules)
{
	static const char *const labels[] = {"vm", "rule", "line", NULL};
	static const struct metric metrics[] = {
	        {"cordon_firewall_packets_total", "counter",
	         "Packets that a rule of the firewall took, by its line in the policy (0: no "
	         "line).",
	         "packets", NULL, NULL},
	        {"cordon_firewall_bytes_total", "counter",
	         "Bytes that a rule of the firewall took, by its line in the policy (0: no line).",
	         "bytes", NULL, NULL},
	};

	prometheus_metrics(out, rules, metrics, BASE_COUNT(metrics), labels);
}

void prometheus_write(FILE *out, const json_t *stats)
{
	static const char *const guest[] = {"vm", "tap", NULL};
	static const char *const sink[] = {"sink", "type", "format", "id", NULL};
	const json_t *guests = json_object_get(stats, "guests");
	const json_t *rules = json_object_get(stats, "rules");

	prometheus_metrics(out, guests, prometheus_guests, BASE_COUNT(prometheus_guests), guest);
	prometheus_findings(out, guests, guest);
	prometheus_metrics(out, json_object_get(stats, "sinks"), prometheus_sinks,
	                   BASE_COUNT(prometheus_sinks), sink);
	if (rules)
		prometheus_rules(out, rules);
}
