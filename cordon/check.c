/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon check: is a policy right, and what does it stand for?
 *
 * It needs no privileges and changes nothing: the rules are those that the firewall would load for a
 * first VM on this host, and the system calls are the lists that are compiled into the programs.
 */
#include "cordon/cli.h"

#include "base/base.h"
#include "cordon/verbs.h"
#include "firewall/firewall.h"
#include "isolate/isolate.h"
#include "policies/policies.h"

static const char usage[] =
        "usage: cordon check [--explain] [--host] [--format text|json] FILE...\n"
        "       cordon check --keys\n\n"
        "Says whether each policy is right, or all that is wrong with it and where. FILE may be "
        "-.\n\n"
        "  --explain  what the policy stands for: the machine, the nftables rules, the limits, "
        "the\n"
        "             detectors, and the system calls of each of its processes\n"
        "  --host     whether this host can give it, and if not, what is missing; as root\n"
        "  --keys     every key of the language, with its type, range, default and meaning\n"
        "  --format   text, or json: one object a file and line\n\n"
        "Exit status 0 when all are right, 1 when one is not or this host cannot give it, 125 when "
        "one "
        "could\n"
        "not be read.\n";

/* The lists that were compiled into the programs: the build names them in LISTS. */
#define LIST(role) {#role, list_##role##_calls, BASE_COUNT(list_##role##_calls)},
static const struct check_role {
	const char *name;
	const struct isolate_syscall *calls;
	size_t count;
} roles[] = {LISTS};

struct check {
	struct policy policy;
	struct policy_errors errors;
	bool explain, host, json;
	struct host_error missing; /* on this host; code 0: nothing */
};

static void explain_firewall(FILE *out, const struct policy *policy)
{
	struct firewall_nic nics[POLICY_NICS_MAX];

	network_plan_first(policy, nics);
	fputs(policy->vm.guard
	              ? "\nRules (nftables; as for a tap tap0 that is no port of a bridge)\n"
	              : "\nRules (nftables; interfaces and addresses as for the first VM of a "
	                "host)\n",
	      out);
	firewall_explain(out, policy, nics, policy->vm.nic_count);
}

static void explain_limits(FILE *out, const struct policy *policy)
{
	const struct policy_isolation *isolation = &policy->isolation;

	fputs("\nLimits (cgroup v2)\n", out);
	if (isolation->memory_overhead)
		fprintf(out, "  memory.max   %llu\n",
		        (unsigned long long)(policy->vm.memory + isolation->memory_overhead));
	else
		fputs("  memory.max   max\n", out);
	fprintf(out, "  pids.max     %d\n", HOST_TASKS_MAX);
}

static void explain_calls(FILE *out)
{
	fputs("\nSystem calls (anything else ends the process)\n", out);
	for (size_t i = 0; i < BASE_COUNT(roles); i++) {
		fprintf(out, "  %s\n", roles[i].name);
		for (size_t n = 0; n < roles[i].count; n++) {
			const struct isolate_syscall *call = &roles[i].calls[n];
			char text[64];

			snprintf(text, sizeof(text), call->rule[0] ? "%s(%s)" : "%s", call->name,
			         call->rule);
			fprintf(out, "    %-38s %s\n", text, call->reason);
		}
	}
}

static void explain(FILE *out, const struct policy *policy)
{
	policy_explain(out, policy);
	explain_firewall(out, policy);
	if (!policy->vm.guard)
		explain_limits(out, policy);
	explain_calls(out);
}

static int print_json(const struct check *check, const char *path, bool valid)
{
	BASE_AUTO_FREE char *list = policy_errors_json(path, &check->errors);
	BASE_AUTO_FREE char *text = NULL;
	json_t *errors = list ? json_loads(list, 0, NULL) : NULL;
	json_t *value;
	size_t size = 0;

	if (valid && check->explain) {
		FILE *out = open_memstream(&text, &size);

		if (!out)
			return -errno;
		explain(out, &check->policy);
		if (fclose(out) != 0)
			return -ENOMEM;
	}
	value = json_pack("{s:s, s:b, s:o?, s:b, s:s*, s:s*}", "file", path, "valid", valid,
	                  "errors", errors, "more", check->errors.more, "explanation", text,
	                  "missing", check->missing.code ? check->missing.text : NULL);
	if (!value)
		return -ENOMEM;
	cli_print_json(value);
	json_decref(value);
	return 0;
}

static int print_text(const struct check *check, const char *path, bool valid)
{
	if (!valid) {
		policy_errors_print(stderr, path, &check->errors);
		return 0;
	}
	printf("%s: right\n", path);
	if (check->missing.code)
		fprintf(stderr, "%s: %s\n", path, check->missing.text);
	if (check->explain) {
		putchar('\n');
		explain(stdout, &check->policy);
	}
	return 0;
}

static int check_file(struct check *check, const char *path)
{
	BASE_AUTO_FREE char *text = NULL;
	ssize_t size = policy_read_file(strcmp(path, "-") == 0 ? "/dev/stdin" : path, &text);
	int error;

	if (size < 0) {
		fprintf(stderr, "cordon: cannot read '%s': %s\n", path,
		        size == -EFBIG ? "a policy has at most 256 KiB" : strerror((int)-size));
		return VERB_FAILED;
	}
	error = policy_parse(text, (size_t)size, &check->policy, &check->errors);
	if (error && error != -EINVAL) {
		fprintf(stderr, "cordon: the parser could not be run on '%s': %s\n", path,
		        strerror(-error));
		return VERB_FAILED;
	}
	check->missing = (struct host_error){0};
	if (error == 0 && check->host)
		launch_can(&check->policy, &check->missing);
	if ((check->json ? print_json : print_text)(check, path, error == 0) < 0) {
		fprintf(stderr, "cordon: out of memory\n");
		return VERB_FAILED;
	}
	return error || check->missing.code ? VERB_REFUSED : VERB_OK;
}

static int check_files(struct check *check, char **paths, int count)
{
	int worst = VERB_OK;

	for (int i = 0; i < count; i++) {
		int status = check_file(check, paths[i]);

		worst = BASE_MAX(worst, status);
		fflush(stdout);
	}
	return ferror(stdout) ? VERB_FAILED : worst;
}

int verb_check(int argc, char **argv)
{
	static const struct option longs[] = {{"explain", no_argument, NULL, 'e'},
	                                      {"host", no_argument, NULL, 'H'},
	                                      {"keys", no_argument, NULL, 'k'},
	                                      CLI_FORMAT_OPTION,
	                                      CLI_HELP_OPTION,
	                                      {0}};
	BASE_AUTO_FREE struct check *check = calloc(1, sizeof(*check));
	int option;

	if (!check)
		return VERB_FAILED;
	optind = 1;
	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return VERB_OK;
		}
		if (option == 'k') {
			policy_reference_print(stdout);
			return VERB_OK;
		}
		if (option == 'e')
			check->explain = true;
		else if (option == 'H')
			check->host = true;
		else if (option != 'F' || !cli_format(optarg, &check->json))
			return VERB_FAILED;
	}
	if (optind == argc) {
		fputs(usage, stderr);
		return VERB_FAILED;
	}
	return check_files(check, argv + optind, argc - optind);
}
