/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The verbs about a guest's rules: firewall, apply, quarantine, release. */
#include "cordon/cli.h"

#include <libgen.h>

#include "base/base.h"
#include "cordon/verbs.h"

/* --- firewall show --- */

static bool show_deny(const char *rule)
{
	static const char end[] = " default deny";
	size_t length = strlen(rule);

	return length > strlen(end) && strcmp(rule + length - strlen(end), end) == 0;
}

static void show_row(const json_t *rule, const char *file)
{
	long long line = json_integer_value(json_object_get(rule, "line"));
	long long packets = json_integer_value(json_object_get(rule, "packets"));
	const char *name = json_string_value(json_object_get(rule, "rule"));
	const char *text = json_string_value(json_object_get(rule, "text"));
	char where[96] = "-";

	if (!name || (line == 0 && packets == 0 && !show_deny(name)))
		return;
	if (line > 0)
		snprintf(where, sizeof(where), "%s:%lld", file, line);
	cli_print_text("%-32s %10lld %12lld  %-20s %s\n", name, packets,
	               (long long)json_integer_value(json_object_get(rule, "bytes")), where,
	               text ? text : "");
}

static int firewall_show(int argc, char **argv, bool json)
{
	struct host_error error = {0};
	json_t *params, *result, *rule;
	const char *path;
	size_t i;

	(void)argc;
	params = json_pack("{s:s}", "name", argv[0]);
	result = params ? method_call_any("vm.counters", params, &error) : NULL;
	json_decref(params);
	if (!result)
		return cli_failed(&error, json);
	path = json_string_value(json_object_get(result, "policy"));
	BASE_AUTO_FREE char *copy = strdup(path ? path : "policy");
	if (json) {
		cli_print_json(result);
	} else if (copy) {
		const char *file = basename(copy);

		printf("%-32s %10s %12s  %-20s %s\n", "RULE", "PACKETS", "BYTES", "WHERE", "TEXT");
		json_array_foreach(json_object_get(result, "rules"), i, rule) show_row(rule, file);
	}
	json_decref(result);
	return VERB_OK;
}

/* --- a policy of a file, to a method --- */

/* Calls `method` with the guest's name and the policy; NULL after having said what is wrong, in *status. */
static json_t *policy_call(const char *method, const char *name, const char *file, bool json,
                           int *status)
{
	BASE_AUTO_FREE char *text = NULL, *path = realpath(file, NULL);
	struct host_error error = {0};
	json_t *params, *result;
	ssize_t size = path ? policy_read_file(path, &text) : -errno;

	if (size < 0) {
		host_fail(&error, (int)size, size == -ENOENT ? VERB_NOT_FOUND : VERB_FAILED,
		          "cannot read '%s': %s", file,
		          size == -EFBIG ? "a policy has at most 256 KiB" : strerror((int)-size));
		*status = cli_failed(&error, json);
		return NULL;
	}
	/* parsed as a whole or not at all: a NUL must not end it early */
	params = memchr(text, '\0', (size_t)size)
	                 ? NULL
	                 : json_pack("{s:s, s:s%, s:s}", "name", name, "policy", text, (size_t)size,
	                             "path", path);
	if (!params)
		host_fail(&error, -EINVAL, VERB_REFUSED, "'%s' is no UTF-8 text", file);
	result = params ? method_call_any(method, params, &error) : NULL;
	json_decref(params);
	*status = result ? VERB_OK : cli_failed(&error, json);
	return result;
}

static void changes_print(const json_t *result)
{
	const json_t *list = json_object_get(result, "changes"), *change, *name;
	size_t i;

	json_array_foreach(list, i, change)
	{
		const char *what = json_string_value(json_object_get(change, "change"));
		long long line = json_integer_value(json_object_get(change, "line"));
		char number[24] = "-";

		if (line > 0)
			snprintf(number, sizeof(number), "%lld", line);
		cli_print_text("%c %-9s %5s  %s\n", what && *what == 'a' ? '+' : '-',
		               json_string_value(json_object_get(change, "section")), number,
		               json_string_value(json_object_get(change, "text")));
	}
	json_array_foreach(json_object_get(result, "refused"), i, name) cli_print_text(
	        "! %s cannot change while the guest runs\n", json_string_value(name));
}

static int firewall_diff(int argc, char **argv, bool json)
{
	int status;
	json_t *result = policy_call("vm.diff", argv[0], argv[1], json, &status);

	(void)argc;
	if (!result)
		return status;
	if (json) {
		cli_print_json(result);
	} else {
		cli_print_text("--- %s\n+++ %s\n",
		               json_string_value(json_object_get(result, "policy")),
		               json_string_value(json_object_get(result, "new_policy")));
		changes_print(result);
	}
	status = json_array_size(json_object_get(result, "changes")) +
	                         json_array_size(json_object_get(result, "refused"))
	                 ? VERB_REFUSED
	                 : VERB_OK;
	json_decref(result);
	return status;
}

int verb_firewall(int argc, char **argv)
{
	static const char usage[] =
	        "usage: cordon firewall show [--format table|json] NAME\n"
	        "       cordon firewall diff [--format table|json] NAME NEW.yaml\n\n"
	        "show  prints a guest's rules with what they counted, each with its line in the "
	        "policy.\n      The rules that every guest has are in the table once they have "
	        "counted something;\n      JSON has all of them.\n"
	        "diff  prints which rules, sets and limits another policy would change, and what "
	        "of it a\n      running guest cannot take. Exit status 1: they are not the "
	        "same.\n";
	static const struct {
		const char *name;
		int arguments;
		int (*run)(int argc, char **argv, bool json);
	} parts[] = {{"show", 1, firewall_show}, {"diff", 2, firewall_diff}};
	struct cli_options options;
	int status = cli_simple(argc, argv, usage, 2, 3, &options);

	if (status >= 0)
		return status;
	for (size_t i = 0; i < BASE_COUNT(parts); i++)
		if (strcmp(argv[options.first], parts[i].name) == 0 &&
		    argc - options.first - 1 == parts[i].arguments)
			return parts[i].run(argc - options.first - 1, argv + options.first + 1,
			                    options.json);
	fputs(usage, stderr);
	return VERB_FAILED;
}

int verb_apply(int argc, char **argv)
{
	static const char usage[] =
	        "usage: cordon apply [--format table|json] NAME NEW.yaml\n\nGives a running guest "
	        "the rules of another policy, in one step: the old ones or the new\nones are in "
	        "force, never neither. Connections that the new ones forbid end. What cannot "
	        "be\nchanged while it runs (its memory, its disks) is refused, and then nothing "
	        "is changed.\n\nExit status: 0 done; 1 refused; 125 cordon failed; 127 there is "
	        "no such guest or file.\n";
	struct cli_options options;
	json_t *result;
	int status = cli_simple(argc, argv, usage, 2, 2, &options);

	if (status >= 0)
		return status;
	result = policy_call("vm.apply", argv[options.first], argv[options.first + 1], options.json,
	                     &status);
	if (!result)
		return status;
	if (options.json) {
		cli_print_json(result);
	} else {
		changes_print(result);
		printf("%s: has the rules of %s\n", argv[options.first], argv[options.first + 1]);
	}
	json_decref(result);
	return VERB_OK;
}

/* --- quarantine --- */

static int quarantine_parse(int argc, char **argv, bool *json, const char **allow)
{
	static const char usage[] =
	        "usage: cordon quarantine [--allow CIDR] [--format table|json] NAME\n\nDrops every "
	        "packet from and to the guest, those of open connections too. The guest runs "
	        "on.\n\n  -a, --allow CIDR  but for this network, such as 192.0.2.10/32\n";
	static const struct option longs[] = {
	        {"allow", required_argument, NULL, 'a'}, CLI_FORMAT_OPTION, CLI_HELP_OPTION, {0}};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "a:h", longs, NULL)) != -1) {
		switch (option) {
		case 'a': *allow = optarg; break;
		case 'h': fputs(usage, stdout); return VERB_OK;
		case 'F':
			if (cli_format(optarg, json))
				break;
			return VERB_FAILED;
		default: return VERB_FAILED;
		}
	}
	if (argc - optind == 1)
		return -1;
	fputs(usage, stderr);
	return VERB_FAILED;
}

int verb_quarantine(int argc, char **argv)
{
	struct host_error error = {0};
	const char *allow = NULL;
	bool json = false;
	json_t *params, *result;
	int status = quarantine_parse(argc, argv, &json, &allow);

	if (status >= 0)
		return status;
	params = json_pack("{s:s, s:s*}", "name", argv[optind], "allow", allow);
	result = params ? method_call_any("vm.quarantine", params, &error) : NULL;
	json_decref(params);
	if (!result)
		return cli_failed(&error, json);
	if (json)
		cli_print_json(result);
	else if (allow)
		printf("%s: quarantined: only %s goes in or out\n", argv[optind], allow);
	else
		printf("%s: quarantined: nothing goes in or out\n", argv[optind]);
	json_decref(result);
	return VERB_OK;
}

int verb_release(int argc, char **argv)
{
	struct cli_options options;
	int status = cli_simple(argc, argv,
	                        "usage: cordon release [--format table|json] NAME\n\nEnds a "
	                        "quarantine: the policy's rules apply again.\n",
	                        1, 1, &options);

	if (status >= 0)
		return status;
	return cli_vm_call("vm.release", argv[options.first], options.json,
	                   "released: its policy applies again");
}
