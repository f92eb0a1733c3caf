/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flows: what the monitor answers of the connections of guests, once, or again and again. Who follows sees a flow when
 * it is there first and when something has come of it; which ones were seen is a table of the last look, so what is gone
 * is forgotten.
 */
#include "cordon/cli.h"

#include <poll.h>
#include <signal.h>

#include "base/base.h"
#include "cordon/ask.h"
#include "cordon/filter.h"
#include "cordon/flow_json.h"
#include "cordon/verbs.h"

enum { FLOWS_LOOK_MS = 1000, FLOWS_SEEN = 1 << 17 }; /* twice of what an answer may have */

struct flows_options {
	bool json, follow;
	const char *vm;
	struct filter *filter;
	uint64_t *seen, *now; /* of the last look, and of this one: hashes; 0: free */
};

static void flows_row(const json_t *flow)
{
	const char *transport = flow_json_text(flow, "network", "transport");
	char source[64], destination[64], bytes[16];

	snprintf(source, sizeof(source), "%s:%lld", flow_json_text(flow, "source", "ip"),
	         (long long)flow_json_number(flow, "source", "port"));
	snprintf(destination, sizeof(destination), "%s:%lld",
	         flow_json_text(flow, "destination", "ip"),
	         (long long)flow_json_number(flow, "destination", "port"));
	cli_bytes(bytes, (uint64_t)flow_json_number(flow, "network", "bytes"));
	cli_print_text("%-16s %-6s %-26s %-26s %-12s %8lld %8s %s\n",
	               flow_json_text(flow, "host", "name"), *transport ? transport : "-", source,
	               destination, flow_json_text(flow, "cordon", "outcome"),
	               (long long)flow_json_number(flow, "network", "packets"), bytes,
	               flow_json_text(flow, "network", "community_id"));
}

/* --- which were seen --- */

static uint64_t flows_hash(const json_t *flow)
{
	static const char *const parts[][2] = {{"host", "name"},   {"network", "community_id"},
	                                       {"source", "ip"},   {"destination", "ip"},
	                                       {"event", "start"}, {"cordon", "outcome"}};
	uint64_t hash = FLOW_JSON_HASH;

	for (size_t i = 0; i < BASE_COUNT(parts); i++)
		hash = flow_json_hash(hash, flow_json_text(flow, parts[i][0], parts[i][1]));
	return hash | 1;
}

/* Where it is in the table, or may be put. */
static uint64_t *flows_place(uint64_t *table, uint64_t hash)
{
	size_t slot = (hash ^ hash >> 32) & (FLOWS_SEEN - 1);

	while (table[slot] && table[slot] != hash)
		slot = (slot + 1) & (FLOWS_SEEN - 1);
	return &table[slot];
}

/* True when it was not there, or not with this outcome, at the last look. */
static bool flows_fresh(struct flows_options *options, const json_t *flow)
{
	const uint64_t hash = flows_hash(flow);

	if (!options->follow)
		return true;
	*flows_place(options->now, hash) = hash;
	return *flows_place(options->seen, hash) == 0;
}

/* --- looks --- */

static int flows_look(struct flows_options *options)
{
	BASE_AUTO_FD int monitor = ask_monitor(MONITOR_FLOWS, options->vm);
	json_t *flow = NULL;
	int type = monitor < 0 ? -ENOTCONN : MONITOR_TEXT;

	while (type == MONITOR_TEXT && (type = ask_next(monitor, &flow)) == MONITOR_TEXT) {
		if (filter_has(options->filter, flow) && flows_fresh(options, flow)) {
			if (options->json)
				cli_print_json(flow);
			else
				flows_row(flow);
		}
		json_decref(flow);
	}
	fflush(stdout);
	return BASE_MIN(type, 0);
}

static int flows_follow(struct flows_options *options)
{
	int err = 0;

	options->seen = calloc(FLOWS_SEEN, sizeof(*options->seen));
	options->now = calloc(FLOWS_SEEN, sizeof(*options->now));
	if (!options->seen || !options->now)
		return -ENOMEM;
	while (!err && !ferror(stdout)) {
		uint64_t *last = options->seen;

		err = flows_look(options);
		options->seen = options->now;
		options->now = last;
		memset(last, 0, FLOWS_SEEN * sizeof(*last));
		poll(NULL, 0, FLOWS_LOOK_MS);
	}
	return err;
}

static int flows_run(struct flows_options *options)
{
	int err;

	if (!options->json)
		printf("%-16s %-6s %-26s %-26s %-12s %8s %8s %s\n", "GUEST", "PROTO", "SOURCE",
		       "DESTINATION", "OUTCOME", "PACKETS", "BYTES", "COMMUNITY ID");
	err = options->follow ? flows_follow(options) : flows_look(options);
	free(options->seen);
	free(options->now);
	return err ? ask_failed(err, options->vm) : VERB_OK;
}

static bool flows_filter(struct flows_options *options, const char *text)
{
	char why[FILTER_WHY_MAX];

	filter_free(options->filter);
	options->filter = filter_make(text, why);
	if (!options->filter)
		fprintf(stderr, "cordon: --filter '%s': %s\n", text, why);
	return options->filter;
}

int verb_flows(int argc, char **argv)
{
	static const char usage[] =
	        "usage: cordon flows [--follow] [--filter EXPR] [--format table|json] [NAME]\n\n"
	        "Lists the connections of one guest, or of all: who opened them, what came of\n"
	        "them, and their Community ID. As JSON: one ECS object a line.\n\n"
	        "  -f, --follow   go on with those that come, and with what comes of them\n"
	        "  --filter EXPR  only these, such as: 'proto tcp and not dst 10.0.0.0/8 and dport "
	        "443';\n"
	        "                 terms: guest proto direction outcome app host src dst port sport "
	        "dport bytes packets\n";
	static const struct option longs[] = {{"follow", no_argument, NULL, 'f'},
	                                      {"filter", required_argument, NULL, 'e'},
	                                      CLI_FORMAT_OPTION,
	                                      CLI_HELP_OPTION,
	                                      {0}};
	struct flows_options options = {.vm = ""};
	int option, status = -1;

	optind = 1;
	while (status < 0 && (option = getopt_long(argc, argv, "fh", longs, NULL)) != -1)
		switch (option) {
		case 'f': options.follow = true; break;
		case 'e': status = flows_filter(&options, optarg) ? -1 : VERB_FAILED; break;
		case 'F': status = cli_format(optarg, &options.json) ? -1 : VERB_FAILED; break;
		case 'h':
			fputs(usage, stdout);
			status = VERB_OK;
			break;
		default: status = VERB_FAILED;
		}
	if (status < 0 && argc - optind > 1) {
		fputs(usage, stderr);
		status = VERB_FAILED;
	}
	if (status < 0 && optind < argc)
		options.vm = argv[optind];
	if (status < 0 && *options.vm && !registry_name_valid(options.vm))
		status = ask_failed(-ENOENT, options.vm);
	if (status < 0)
		status = flows_run(&options);
	filter_free(options.filter);
	return status;
}
