/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The verbs about a guest's rules: firewall, apply, quarantine, release. */
#include "cordon/cli.h"

#include <libgen.h>

#include "base/base.h"
#include "cordon/rules.h"
#include "cordon/verbs.h"

struct firewall_options {
	bool json;
	const char *packet, *policy;
};

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

/* What the policy's names stand for by now. */
static void show_names(const json_t *names)
{
	const json_t *each;
	size_t i;

	if (json_array_size(names) > 0)
		printf("\n%-40s %-40s %s\n", "NAME", "ADDRESS", "FOR");
	json_array_foreach(names, i, each) cli_print_text(
	        "%-40s %-40s %llds\n", json_string_value(json_object_get(each, "name")),
	        json_string_value(json_object_get(each, "address")),
	        (long long)json_integer_value(json_object_get(each, "seconds")));
}

static int firewall_show(const char *name, bool json)
{
	struct host_error error = {0};
	json_t *params, *result, *rule;
	const char *path;
	size_t i;

	params = json_pack("{s:s}", "name", name);
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
		show_names(json_object_get(result, "names"));
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

static int firewall_diff(const char *name, const char *file, bool json)
{
	int status;
	json_t *result = policy_call("vm.diff", name, file, json, &status);

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

/* --- firewall explain --- */

static json_t *explain_file(const char *file, const char *packet, struct host_error *error)
{
	BASE_AUTO_FREE char *text = NULL;
	ssize_t size = policy_read_file(file, &text);

	if (size < 0) {
		host_fail(error, (int)size, size == -ENOENT ? VERB_NOT_FOUND : VERB_FAILED,
		          "cannot read '%s': %s", file,
		          size == -EFBIG ? "a policy has at most 256 KiB" : strerror((int)-size));
		return NULL;
	}
	return explain_policy(text, (size_t)size, file, packet, error);
}

static void explain_print(const json_t *result)
{
	const json_t *step;
	size_t i;

	json_array_foreach(json_object_get(result, "steps"), i, step)
	{
		long long line = json_integer_value(json_object_get(step, "line"));

		cli_print_text("%s: %s, %s by %s%s", json_string_value(json_object_get(step, "vm")),
		               json_string_value(json_object_get(step, "direction")),
		               json_string_value(json_object_get(step, "verdict")),
		               json_string_value(json_object_get(step, "rule")),
		               json_is_true(json_object_get(step, "limited"))
		                       ? " unless a limit drops it"
		                       : "");
		if (line)
			cli_print_text(", %s:%lld: %s",
			               json_string_value(json_object_get(step, "policy")), line,
			               json_string_value(json_object_get(step, "text")));
		putchar('\n');
	}
	cli_print_text("%s\n", json_string_value(json_object_get(result, "verdict")));
}

static int firewall_explain_packet(const struct firewall_options *options, const char *name)
{
	struct host_error error = {0};
	json_t *params, *result;
	bool allowed;

	if (options->policy) {
		result = explain_file(options->policy, options->packet, &error);
	} else {
		params = json_pack("{s:s, s:s}", "name", name, "packet", options->packet);
		result = params ? method_call_any("vm.explain", params, &error) : NULL;
		json_decref(params);
	}
	if (!result)
		return cli_failed(&error, options->json);
	if (options->json)
		cli_print_json(result);
	else
		explain_print(result);
	allowed = strcmp(json_string_value(json_object_get(result, "verdict")), "allow") == 0;
	json_decref(result);
	return allowed ? VERB_OK : VERB_REFUSED;
}

/* -1 to go on, or the exit status to end with. */
static int firewall_parse(int argc, char **argv, const char *usage,
                          struct firewall_options *options)
{
	static const struct option longs[] = {{"packet", required_argument, NULL, 'k'},
	                                      {"policy", required_argument, NULL, 'p'},
	                                      CLI_FORMAT_OPTION,
	                                      CLI_HELP_OPTION,
	                                      {0}};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (option) {
		case 'k': options->packet = optarg; break;
		case 'p': options->policy = optarg; break;
		case 'h': fputs(usage, stdout); return VERB_OK;
		case 'F':
			if (cli_format(optarg, &options->json))
				break;
			return VERB_FAILED;
		default: return VERB_FAILED;
		}
	}
	return -1;
}

int verb_firewall(int argc, char **argv)
{
	static const char usage[] =
	        "usage: cordon firewall show [--format table|json] NAME\n"
	        "       cordon firewall diff [--format table|json] NAME NEW.yaml\n"
	        "       cordon firewall explain [--format table|json] --packet PACKET NAME\n"
	        "       cordon firewall explain [--format table|json] --packet PACKET --policy "
	        "POLICY.yaml\n\n"
	        "show     prints a guest's rules with what they counted, each with its line in "
	        "the policy.\n         The rules that every guest has are in the table once they "
	        "have counted something;\n         JSON has all of them.\n"
	        "diff     prints which rules, sets and limits another policy would change, and "
	        "what of it a\n         running guest cannot take. Exit status 1: they are not the "
	        "same.\n"
	        "explain  says what would become of a packet that opens a connection, and by which "
	        "line, as in\n         'tcp guest:4444 > 1.2.3.4:443', 'udp 192.0.2.1:53 > "
	        "[fd77::2]:53',\n         'icmp guest > 2001:db8::1 type 128'. Exit status 1: it "
	        "is "
	        "dropped or rejected.\n";
	struct firewall_options options = {0};
	int status = firewall_parse(argc, argv, usage, &options), count = argc - optind;
	const char *part = status < 0 && count > 0 ? argv[optind] : "";

	if (status >= 0)
		return status;
	if (strcmp(part, "explain") == 0 && options.packet && count == (options.policy ? 1 : 2))
		return firewall_explain_packet(&options, argv[optind + 1]);
	if (!options.packet && !options.policy) {
		if (strcmp(part, "show") == 0 && count == 2)
			return firewall_show(argv[optind + 1], options.json);
		if (strcmp(part, "diff") == 0 && count == 3)
			return firewall_diff(argv[optind + 1], argv[optind + 2], options.json);
	}
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
