/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The verb balloon: what a guest has of its memory, what it has given back, and asking it for some. */
#include "cordon/cli.h"

#include "base/base.h"
#include "cordon/verbs.h"

static const char usage[] = "usage: cordon balloon [--target SIZE] [--format table|json] NAME\n\n"
                            "Shows how much of its memory a guest has, what it has given back to "
                            "the host, and what it says of\n"
                            "itself. With --target it is asked to make do with SIZE (32M to all of "
                            "its memory); it gives back\n"
                            "what it can, and takes it again when it would run out.\n";

/* Fills in the parameters. -1 to go on, or the exit status. */
static int balloon_parse(int argc, char **argv, json_t *params, bool *json)
{
	static const struct option longs[] = {
	        {"target", required_argument, NULL, 't'}, CLI_FORMAT_OPTION, CLI_HELP_OPTION, {0}};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "t:h", longs, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return VERB_OK;
		}
		if (option == '?' || (option == 'F' && !cli_format(optarg, json)))
			return VERB_FAILED;
		if (option == 't' &&
		    json_object_set_new(params, "target", json_string(optarg)) < 0) {
			fprintf(stderr, "cordon: the target is not UTF-8\n");
			return VERB_FAILED;
		}
	}
	if (argc - optind != 1) {
		fputs(usage, stderr);
		return VERB_FAILED;
	}
	json_object_set_new(params, "name", json_string(argv[optind]));
	return -1;
}

static void balloon_row(const json_t *json, const char *key, const char *what)
{
	const json_t *value = json_object_get(json, key);
	char text[16] = "-";

	if (value)
		cli_bytes(text, (uint64_t)json_integer_value(value));
	printf("%-12s %8s  %s\n", key, text, what);
}

static void balloon_table(const json_t *json)
{
	const json_t *statistics = json_object_get(json, "statistics");

	balloon_row(json, "memory", "that the guest was started with");
	balloon_row(json, "target", "that it is asked to make do with");
	balloon_row(json, "actual", "that it says it has");
	balloon_row(json, "resident", "that the host keeps for it");
	balloon_row(json, "reported", "given back so far because it was free");
	balloon_row(json, "inflated", "given back so far because of the target");
	balloon_row(json, "deflated", "taken again so far");
	if (!json_is_true(json_object_get(json, "driver")))
		printf("The guest has no driver for its balloon yet.\n");
	if (!statistics)
		return;
	printf("What the guest says:\n");
	balloon_row(statistics, "total", "that its kernel manages");
	balloon_row(statistics, "free", "that nothing uses");
	balloon_row(statistics, "available", "that it could use without swapping");
	balloon_row(statistics, "caches", "that hold files");
	balloon_row(statistics, "swap_in", "read from swap so far");
	balloon_row(statistics, "swap_out", "written to swap so far");
}

int verb_balloon(int argc, char **argv)
{
	struct host_error error = {0};
	json_t *params = json_object(), *result = NULL;
	bool json = false;
	int status = balloon_parse(argc, argv, params, &json);

	if (status < 0)
		result = method_call_any("vm.balloon", params, &error);
	json_decref(params);
	if (status >= 0)
		return status;
	if (!result)
		return cli_failed(&error, json);
	if (json)
		cli_print_json(result);
	else
		balloon_table(result);
	json_decref(result);
	return VERB_OK;
}
