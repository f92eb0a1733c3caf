/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * run: starts the guest that a policy describes. Through the daemon where one runs; else this command
 * does it, and leaves a small process that serves the VM (serve.c). In the foreground the guest's
 * console is this terminal's, and the exit status is how the VM ended.
 */
#include "cordon/cli.h"

#include "base/base.h"
#include "cordon/verbs.h"

struct run_options {
	bool detach, json, quiet;
};

static const char usage[] =
        "usage: cordon run [--detach] [--quiet] [--format table|json] POLICY.yaml\n\n"
        "Starts a guest. Its firewall, its monitor and its sandboxes are in force before its "
        "first\n"
        "instruction; what the policy asks and this host cannot give is an error.\n\n"
        "  -d, --detach  return once the guest runs; print its name\n"
        "  -q, --quiet   in the foreground: do not print the guest's console\n\n"
        "Exit status: 0 the guest powered off; 125 cordon failed; 126 the guest could not start; "
        "127 a\n"
        "file or image is not there; else how the VM ended (cordon(1)).\n";

static int run_parse(int argc, char **argv, struct run_options *options)
{
	static const struct option longs[] = {{"detach", no_argument, NULL, 'd'},
	                                      {"quiet", no_argument, NULL, 'q'},
	                                      CLI_FORMAT_OPTION,
	                                      CLI_HELP_OPTION,
	                                      {0}};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "dqh", longs, NULL)) != -1) {
		switch (option) {
		case 'd': options->detach = true; break;
		case 'q': options->quiet = true; break;
		case 'h': fputs(usage, stdout); return VERB_OK;
		case 'F':
			if (!cli_format(optarg, &options->json))
				return VERB_FAILED;
			break;
		default: return VERB_FAILED;
		}
	}
	if (argc - optind == 1)
		return -1;
	fputs(usage, stderr);
	return VERB_FAILED;
}

/* Stays until the VM is gone; returns how it ended. */
static int run_follow(const char *name, const struct run_options *options)
{
	json_t *params = json_pack("{s:s}", "name", name), *ended = NULL;
	struct host_error error = {0};
	const char *reason;
	int status;

	/* one that was started again has a new console */
	do {
		json_decref(ended);
		if (!options->quiet && !options->json)
			console_relay(name, isatty(STDIN_FILENO));
		ended = params ? method_call_any("vm.wait", params, &error) : NULL;
	} while (ended && !cli_has_ended(ended));
	json_decref(params);
	if (!ended)
		return cli_failed(&error, options->json);
	status = (int)json_integer_value(json_object_get(ended, "exit"));
	reason = json_string_value(json_object_get(ended, "reason"));
	if (options->json)
		cli_print_json(ended);
	else
		fprintf(stderr, "cordon: '%s' has ended: %s\n", name, reason ? reason : "unknown");
	json_decref(ended);
	return status;
}

int verb_run(int argc, char **argv)
{
	struct host_error error = {0};
	struct run_options options = {0};
	char name[POLICY_NAME_MAX];
	json_t *params, *vm;
	int status = run_parse(argc, argv, &options);

	if (status >= 0)
		return status;
	params = cli_policy(argv[optind], &error);
	vm = params ? method_call_any("vm.run", params, &error) : NULL;
	json_decref(params);
	if (!vm)
		return cli_refused(argv[optind], &error, options.json);
	base_copy_string(name, sizeof(name), json_string_value(json_object_get(vm, "name")));
	serve_ensure(name); /* no daemon started it: nobody yet listens for what its alerts ask */
	if (options.detach) {
		if (options.json)
			cli_print_json(vm);
		else
			printf("%s\n", name);
		json_decref(vm);
		return VERB_OK;
	}
	json_decref(vm);
	return run_follow(name, &options);
}
