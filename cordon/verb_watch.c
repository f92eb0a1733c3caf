/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flows and alerts: what the monitor sees. Flows are asked of the monitor itself, over its socket;
 * alerts are the lines of its log. Both hold what guests chose (names, addresses), so the text goes
 * through the JSON parser before a person's terminal sees any of it.
 */
#include "cordon/cli.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include "base/base.h"
#include "cordon/ask.h"
#include "cordon/verbs.h"

enum { ALERTS_LINE_MAX = 64 * 1024, ALERTS_POLL_MS = 200 };

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

static const json_t *at(const json_t *object, const char *outer, const char *key)
{
	return json_object_get(json_object_get(object, outer), key);
}

static void flows_row(const json_t *flow)
{
	char source[64], destination[64], bytes[16];
	const char *transport = json_string_value(at(flow, "network", "transport"));

	snprintf(source, sizeof(source), "%s:%lld", text_of(json_object_get(flow, "source"), "ip"),
	         (long long)json_integer_value(at(flow, "source", "port")));
	snprintf(destination, sizeof(destination), "%s:%lld",
	         text_of(json_object_get(flow, "destination"), "ip"),
	         (long long)json_integer_value(at(flow, "destination", "port")));
	cli_bytes(bytes, (uint64_t)json_integer_value(at(flow, "network", "bytes")));
	cli_print_text("%-16s %-6s %-26s %-26s %-12s %8lld %8s %s\n",
	               text_of(json_object_get(flow, "host"), "name"), transport ? transport : "-",
	               source, destination, text_of(json_object_get(flow, "cordon"), "outcome"),
	               (long long)json_integer_value(at(flow, "network", "packets")), bytes,
	               text_of(json_object_get(flow, "network"), "community_id"));
}

static int flows_print(const char *vm, bool json)
{
	BASE_AUTO_FD int monitor = ask_monitor(MONITOR_FLOWS, vm);
	json_t *flow = NULL;
	int type;

	if (monitor < 0)
		return ask_failed(-ENOTCONN, vm);
	if (!json)
		printf("%-16s %-6s %-26s %-26s %-12s %8s %8s %s\n", "GUEST", "PROTO", "SOURCE",
		       "DESTINATION", "OUTCOME", "PACKETS", "BYTES", "COMMUNITY ID");
	while ((type = ask_next(monitor, &flow)) == MONITOR_TEXT) {
		if (json)
			cli_print_json(flow);
		else
			flows_row(flow);
		json_decref(flow);
	}
	return type < 0 ? ask_failed(type, vm) : VERB_OK;
}

int verb_flows(int argc, char **argv)
{
	static const char usage[] =
	        "usage: cordon flows [--format table|json] [NAME]\n\nLists the connections of "
	        "one guest, or of all: who opened them, what came of\nthem, and their "
	        "Community ID. As JSON: one ECS object a line.\n";
	struct cli_options options;
	int status = cli_simple(argc, argv, usage, 0, 1, &options);

	if (status >= 0)
		return status;
	if (options.first < argc && !registry_name_valid(argv[options.first])) {
		fprintf(stderr, "cordon: there is no guest named '%s'\n", argv[options.first]);
		return VERB_NOT_FOUND;
	}
	return flows_print(options.first < argc ? argv[options.first] : "", options.json);
}

/* --- alerts --- */

struct alerts_options {
	bool follow, json;
	const char *vm;
};

static const char *alerts_severity(json_int_t severity)
{
	return severity >= 99   ? "critical"
	       : severity >= 73 ? "high"
	       : severity >= 47 ? "medium"
	                        : "low";
}

static void alerts_print(const char *line, size_t size, const struct alerts_options *options)
{
	json_t *alert = json_loadb(line, size, 0, NULL);
	const char *vm = alert ? text_of(json_object_get(alert, "host"), "name") : "-";

	if (alert && (!options->vm || strcmp(options->vm, vm) == 0)) {
		if (options->json) {
			cli_print_json(alert);
		} else {
			const json_t *technique = at(alert, "threat", "technique");
			const json_t *id = json_object_get(technique, "id");

			if (json_is_array(id))
				id = json_array_get(id, 0);
			cli_print_text(
			        "%s %-8s %-18s %-9s %s\n", text_of(alert, "@timestamp"),
			        alerts_severity(json_integer_value(at(alert, "event", "severity"))),
			        text_of(json_object_get(alert, "rule"), "name"),
			        json_string_value(id) ? json_string_value(id) : "-",
			        text_of(alert, "message"));
			fflush(stdout);
		}
	}
	json_decref(alert);
}

/* True when the file at the path is another one by now, or was cut: whoever rotates logs does either. */
static bool alerts_rotated(FILE *log)
{
	struct stat there, opened;

	return stat(HOST_ALERT_LOG, &there) == 0 && fstat(fileno(log), &opened) == 0 &&
	       (there.st_ino != opened.st_ino || there.st_dev != opened.st_dev ||
	        opened.st_size < ftello(log));
}

/* The log once it is there: the first alert makes it. NULL with errno when it cannot be opened. */
static FILE *alerts_open(bool wait)
{
	FILE *log;

	while (!(log = fopen(HOST_ALERT_LOG, "re")) && errno == ENOENT && wait)
		poll(NULL, 0, ALERTS_POLL_MS);
	return log;
}

/* Prints whole lines as they come; a file that was rotated away is opened anew. */
static int alerts_print_all(FILE *log, const struct alerts_options *options)
{
	BASE_AUTO_FREE char *line = malloc(ALERTS_LINE_MAX);
	size_t size = 0;

	while (line && log) {
		int c = getc(log);

		if (c == EOF) {
			bool rotated = alerts_rotated(log);

			if (!options->follow || ferror(stdout)) {
				fclose(log);
				return VERB_OK;
			}
			clearerr(log);
			poll(NULL, 0, ALERTS_POLL_MS);
			if (!rotated)
				continue;
			fclose(log);
			log = alerts_open(true);
			size = 0;
			continue;
		}
		if (c != '\n') {
			if (size < ALERTS_LINE_MAX)
				line[size++] = (char)c;
			continue;
		}
		if (size < ALERTS_LINE_MAX)
			alerts_print(line, size, options);
		size = 0;
	}
	base_fclose(&log);
	return VERB_FAILED;
}

int verb_alerts(int argc, char **argv)
{
	static const char usage[] = "usage: cordon alerts [--follow] [--format table|json] "
	                            "[NAME]\n\nPrints the alerts of one guest, "
	                            "or of all. As JSON: one Elastic Common Schema\nobject a line, "
	                            "as in " HOST_ALERT_LOG ".\n\n"
	                            "  -f, --follow  go on as more come\n";
	static const struct option longs[] = {
	        {"follow", no_argument, NULL, 'f'}, CLI_FORMAT_OPTION, CLI_HELP_OPTION, {0}};
	struct alerts_options options = {0};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "fh", longs, NULL)) != -1) {
		switch (option) {
		case 'f': options.follow = true; break;
		case 'h': fputs(usage, stdout); return VERB_OK;
		case 'F':
			if (cli_format(optarg, &options.json))
				break;
			return VERB_FAILED;
		default: return VERB_FAILED;
		}
	}
	if (argc - optind > 1) {
		fputs(usage, stderr);
		return VERB_FAILED;
	}
	options.vm = optind < argc ? argv[optind] : NULL;
	FILE *log = alerts_open(options.follow);
	if (!log && errno == ENOENT)
		return VERB_OK; /* there were none yet */
	if (!log) {
		fprintf(stderr, "cordon: cannot open %s: %s\n", HOST_ALERT_LOG, strerror(errno));
		return VERB_FAILED;
	}
	return alerts_print_all(log, &options);
}
