/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The verbs that are one method each: ps, inspect, stop, kill, reset, pause, resume, quarantine, release. */
#include "cordon/cli.h"

#include "base/base.h"
#include "cordon/verbs.h"

enum { STOP_DEFAULT_S = 20, STOP_TRIES = 3, RESET_WAIT_S = 120 };

static void ps_row(const json_t *vm)
{
	const json_t *nic = json_array_get(json_object_get(vm, "nics"), 0);
	const char *ip = json_string_value(json_object_get(nic, "ip4"));
	const char *tap = json_string_value(json_object_get(nic, "tap"));
	bool cut = json_is_true(json_object_get(vm, "quarantined"));
	char vcpus[16] = "-", memory[16] = "-", age[24];

	/* another VMM's guest has what that one gave it */
	if (!json_is_true(json_object_get(vm, "guard"))) {
		snprintf(vcpus, sizeof(vcpus), "%d",
		         (int)json_integer_value(json_object_get(vm, "vcpus")));
		cli_bytes(memory, (uint64_t)json_integer_value(json_object_get(vm, "memory")));
	}
	cli_age(age, json_integer_value(json_object_get(vm, "started")));
	printf("%-20s %-12s %5s %8s %-15s %-8s %s\n",
	       json_string_value(json_object_get(vm, "name")),
	       cut ? "quarantined" : json_string_value(json_object_get(vm, "state")), vcpus, memory,
	       ip ? ip : "-", tap ? tap : "-", age);
}

int verb_ps(int argc, char **argv)
{
	static const char usage[] =
	        "usage: cordon ps [--format table|json]\n\nLists the guests of this host.\n";
	struct host_error error = {0};
	struct cli_options options;
	json_t *params, *list, *vm;
	size_t i;
	int status = cli_simple(argc, argv, usage, 0, 0, &options);

	if (status >= 0)
		return status;
	params = json_object();
	list = method_call_any("vm.list", params, &error);
	json_decref(params);
	if (!list)
		return cli_failed(&error, options.json);
	if (options.json) {
		cli_print_json(list);
	} else {
		printf("%-20s %-12s %5s %8s %-15s %-8s %s\n", "NAME", "STATE", "VCPUS", "MEMORY",
		       "ADDRESS", "TAP", "UP");
		json_array_foreach(list, i, vm) ps_row(vm);
	}
	json_decref(list);
	return VERB_OK;
}

int verb_inspect(int argc, char **argv)
{
	static const char usage[] =
	        "usage: cordon inspect NAME\n\nPrints all that is known of a guest, as JSON: "
	        "its processes, taps and state, or how it ended.\n";
	struct host_error error = {0};
	struct cli_options options;
	json_t *params, *vm;
	int status = cli_simple(argc, argv, usage, 1, 1, &options);

	if (status >= 0)
		return status;
	params = json_pack("{s:s}", "name", argv[options.first]);
	vm = params ? method_call_any("vm.inspect", params, &error) : NULL;
	json_decref(params);
	if (!vm)
		return cli_failed(&error, options.json);
	if (options.json) {
		cli_print_json(vm);
	} else {
		json_dumpf(vm, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII);
		putchar('\n');
	}
	json_decref(vm);
	return VERB_OK;
}

enum stop_result { STOP_GONE, STOP_RUNS, STOP_AGAIN };

/* Waits until the VM is gone, was started again, or the time is over. */
static enum stop_result stop_wait(const char *name, int seconds)
{
	struct host_error error = {0};
	json_t *params = json_pack("{s:s, s:i}", "name", name, "timeout_ms", seconds * 1000);
	json_t *ended = params ? method_call_any("vm.wait", params, &error) : NULL;
	enum stop_result result = STOP_RUNS;

	if (ended && !cli_has_ended(ended))
		result = STOP_AGAIN;
	else if (ended || error.exit == VERB_NOT_FOUND)
		result = STOP_GONE;

	json_decref(params);
	json_decref(ended);
	host_error_clear(&error);
	return result;
}

/* A guest that resets itself just then is started again by who does not know yet: not for long. */
static int stop_kill(const char *name, bool json, const char *done)
{
	int status = cli_vm_call("vm.kill", name, json, done);

	for (int i = 0;
	     status == VERB_OK && i < STOP_TRIES && stop_wait(name, STOP_DEFAULT_S) == STOP_AGAIN;
	     i++) {
		struct host_error error = {0};
		json_t *params = json_pack("{s:s}", "name", name);
		json_t *result = params ? method_call_any("vm.kill", params, &error) : NULL;

		json_decref(params);
		json_decref(result);
		host_error_clear(&error);
	}
	return status;
}

static int stop_parse(int argc, char **argv, bool *json, long *seconds)
{
	static const char usage[] =
	        "usage: cordon stop [--timeout SECONDS] [--format table|json] NAME\n\nPresses the "
	        "guest's power "
	        "button, waits (20 s unless told), and ends it if it has not gone by then.\n";
	static const struct option longs[] = {
	        {"timeout", required_argument, NULL, 't'}, CLI_FORMAT_OPTION, CLI_HELP_OPTION, {0}};
	char *end;
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "t:h", longs, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return VERB_OK;
		}
		if (option == 'F' && cli_format(optarg, json))
			continue;
		*seconds = option == 't' ? strtol(optarg, &end, 10) : -1;
		if (option == 't' && *optarg && *end == '\0' && *seconds >= 0 && *seconds <= 3600)
			continue;
		if (option == 't')
			fprintf(stderr,
			        "cordon: --timeout '%s' is not a number of seconds from 0 to "
			        "3600\n",
			        optarg);
		return VERB_FAILED;
	}
	if (argc - optind != 1) {
		fputs(usage, stderr);
		return VERB_FAILED;
	}
	return -1;
}

int verb_stop(int argc, char **argv)
{
	struct host_error error = {0};
	long seconds = STOP_DEFAULT_S;
	bool json = false;
	json_t *params, *result;
	bool heard;
	int status = stop_parse(argc, argv, &json, &seconds);

	if (status >= 0)
		return status;
	params = json_pack("{s:s}", "name", argv[optind]);
	result = params ? method_call_any("vm.stop", params, &error) : NULL;
	json_decref(params);
	if (!result && error.exit == VERB_NOT_FOUND)
		return cli_failed(&error, json);
	heard = result != NULL;
	json_decref(result);
	host_error_clear(&error);
	/* A vmm that does not answer, or a guest that does not listen, is ended all the same. */
	if (heard && seconds > 0 && stop_wait(argv[optind], (int)seconds) == STOP_GONE) {
		if (json)
			printf("{\"name\":\"%s\",\"stopped\":\"by itself\"}\n", argv[optind]);
		else
			printf("%s: stopped\n", argv[optind]);
		return VERB_OK;
	}
	return stop_kill(argv[optind], json,
	                 heard ? "did not stop in time, and is ended"
	                       : "could not be asked, and is ended");
}

static int vm_verb(int argc, char **argv, const char *usage, const char *method, const char *done)
{
	struct cli_options options;
	int status = cli_simple(argc, argv, usage, 1, 1, &options);

	if (status >= 0)
		return status;
	return cli_vm_call(method, argv[options.first], options.json, done);
}

int verb_kill(int argc, char **argv)
{
	struct cli_options options;
	int status = cli_simple(
	        argc, argv,
	        "usage: cordon kill [--format table|json] NAME\n\nEnds a guest at once, and "
	        "waits until nothing of it is left.\n",
	        1, 1, &options);

	if (status >= 0)
		return status;
	return stop_kill(argv[options.first], options.json, "killed");
}

int verb_reset(int argc, char **argv)
{
	static const char usage[] =
	        "usage: cordon reset [--format table|json] NAME\n\nStarts a guest again at once, "
	        "as if by the button on a machine: its kernel is not asked,\nits processes are new "
	        "ones, its addresses and disks the same.\n";
	struct host_error error = {0};
	struct cli_options options;
	json_t *params, *result;
	const char *name;
	int status = cli_simple(argc, argv, usage, 1, 1, &options);

	if (status >= 0)
		return status;
	name = argv[options.first];
	params = json_pack("{s:s}", "name", name);
	result = params ? method_call_any("vm.reset", params, &error) : NULL;
	json_decref(params);
	if (!result)
		return cli_failed(&error, options.json);
	json_decref(result);
	if (stop_wait(name, RESET_WAIT_S) != STOP_AGAIN) {
		host_fail(&error, -EIO, VERB_FAILED,
		          "'%s' was not started again; `cordon logs --vmm %s` may say why", name,
		          name);
		return cli_failed(&error, options.json);
	}
	if (options.json)
		printf("{\"name\":\"%s\",\"reset\":true}\n", name);
	else
		printf("%s: started again\n", name);
	return VERB_OK;
}

int verb_pause(int argc, char **argv)
{
	return vm_verb(
	        argc, argv,
	        "usage: cordon pause [--format table|json] NAME\n\nStops the guest's vCPUs.\n",
	        "vm.pause", "paused");
}

int verb_resume(int argc, char **argv)
{
	return vm_verb(
	        argc, argv,
	        "usage: cordon resume [--format table|json] NAME\n\nLets a paused guest go on.\n",
	        "vm.resume", "resumed");
}
