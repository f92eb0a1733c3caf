/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * alerts: the lines of the host's alert log. They hold what guests chose (names, addresses), so the text goes
 * through the JSON parser before a person's terminal sees any of it.
 */
#include "cordon/cli.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <time.h>

#include "base/base.h"
#include "cordon/verbs.h"
#include "monitor/alert_text.h"

enum { ALERTS_LINE_MAX = 64 * 1024, ALERTS_POLL_MS = 200, ALERTS_SINCE_MAX = 3660 * 86400 };

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

static const json_t *at(const json_t *object, const char *outer, const char *key)
{
	return json_object_get(json_object_get(object, outer), key);
}

struct alerts_options {
	bool follow, json;
	const char *vm;
	char since[32]; /* a time as alerts have it, or "" */
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

	if (alert && (!options->vm || strcmp(options->vm, vm) == 0) &&
	    strcmp(text_of(alert, "@timestamp"), options->since) >= 0) {
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

/* "10m" ago, or 2026-01-31, with T12:34 or T12:34:56 and Z behind it or not: they sort as alerts' times do. */
static bool alerts_since(const char *text, char since[32])
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd";
	const size_t length = strlen(text), digits = length - (length && text[length - 1] == 'Z');
	struct timespec now;
	long seconds;

	if (cli_duration(text, ALERTS_SINCE_MAX, &seconds)) {
		clock_gettime(CLOCK_REALTIME, &now);
		alert_time(since, (uint64_t)(now.tv_sec - seconds) * 1000000000);
		return true;
	}
	if (digits != 10 && digits != 16 && digits != 19)
		return false;
	for (size_t i = 0; i < digits; i++)
		if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
			return false;
	snprintf(since, 32, "%.*s", (int)digits, text);
	return true;
}

int verb_alerts(int argc, char **argv)
{
	static const char usage[] =
	        "usage: cordon alerts [--follow] [--since TIME] [--format table|json] "
	        "[NAME]\n\nPrints the alerts of one guest, "
	        "or of all. As JSON: one Elastic Common Schema\nobject a line, "
	        "as in " HOST_ALERT_LOG ".\n\n"
	        "  -f, --follow  go on as more come\n"
	        "  --since TIME  only those from then on: 10m (ago), "
	        "2026-01-31, 2026-01-31T12:34Z\n";
	static const struct option longs[] = {{"follow", no_argument, NULL, 'f'},
	                                      {"since", required_argument, NULL, 's'},
	                                      CLI_FORMAT_OPTION,
	                                      CLI_HELP_OPTION,
	                                      {0}};
	struct alerts_options options = {0};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "fh", longs, NULL)) != -1) {
		switch (option) {
		case 'f': options.follow = true; break;
		case 's':
			if (alerts_since(optarg, options.since))
				break;
			fprintf(stderr,
			        "cordon: --since '%s' is no time such as 10m, 2026-01-31 or "
			        "2026-01-31T12:34:56Z (UTC)\n",
			        optarg);
			return VERB_FAILED;
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
