/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The verb limit: what a guest's disks and NICs may do, shown and changed. */
#include "cordon/cli.h"

#include "base/base.h"
#include "cordon/verbs.h"

static const char usage[] =
        "usage: cordon limit [--bandwidth RATE] [--iops N] [--burst SIZE] [--format table|json] "
        "NAME [diskN|nicN]\n\n"
        "Shows the limits of a guest's disks and NICs, and changes those of one while it runs.\n\n"
        "  --bandwidth  bytes a second, as in a policy (100M, 1Gbit); of a NIC, each way\n"
        "  --iops       requests a second; of a NIC, frames each way\n"
        "  --burst      bytes that may go at once after a pause\n\n"
        "Each can be none.\n";

/* Fills in the parameters. -1 to go on, or the exit status. */
static int limit_parse(int argc, char **argv, json_t *params, bool *json)
{
	static const struct option longs[] = {{"bandwidth", required_argument, NULL, 'b'},
	                                      {"iops", required_argument, NULL, 'i'},
	                                      {"burst", required_argument, NULL, 'u'},
	                                      CLI_FORMAT_OPTION,
	                                      CLI_HELP_OPTION,
	                                      {0}};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return VERB_OK;
		}
		if (option == '?' || (option == 'F' && !cli_format(optarg, json)))
			return VERB_FAILED;
		if (option == 'F')
			continue;
		if (json_object_set_new(params,
		                        option == 'b'   ? "bandwidth"
		                        : option == 'i' ? "iops"
		                                        : "burst",
		                        json_string(optarg)) < 0) {
			fprintf(stderr, "cordon: a value is not UTF-8\n");
			return VERB_FAILED;
		}
	}
	if (argc - optind != 1 && argc - optind != 2) {
		fputs(usage, stderr);
		return VERB_FAILED;
	}
	json_object_set_new(params, "name", json_string(argv[optind]));
	if (argc - optind == 2)
		json_object_set_new(params, "device", json_string(argv[optind + 1]));
	return -1;
}

static void limit_row(const json_t *row)
{
	static const char *const keys[] = {"bandwidth", "iops", "burst"};
	char text[3][24];

	for (size_t i = 0; i < BASE_COUNT(keys); i++) {
		uint64_t value = (uint64_t)json_integer_value(json_object_get(row, keys[i]));

		if (value == 0)
			snprintf(text[i], sizeof(text[i]), "%s", i == 2 ? "-" : "none");
		else if (i == 1)
			snprintf(text[i], sizeof(text[i]), "%llu", (unsigned long long)value);
		else
			cli_bytes(text[i], value);
	}
	printf("%-8s %12s %12s %12s\n", json_string_value(json_object_get(row, "device")), text[0],
	       text[1], text[2]);
}

int verb_limit(int argc, char **argv)
{
	struct host_error error = {0};
	json_t *params = json_object(), *result = NULL, *row;
	bool json = false;
	size_t i;
	int status = limit_parse(argc, argv, params, &json);

	if (status < 0)
		result = method_call_any("vm.limit", params, &error);
	json_decref(params);
	if (status >= 0)
		return status;
	if (!result)
		return cli_failed(&error, json);
	if (json) {
		cli_print_json(result);
	} else {
		printf("%-8s %12s %12s %12s\n", "DEVICE", "BANDWIDTH/s", "IOPS", "BURST");
		json_array_foreach(json_object_get(result, "limits"), i, row) limit_row(row);
	}
	json_decref(result);
	return VERB_OK;
}
