/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * analyze: the monitor's detectors over capture files, by cordon-analyze, which reads them in a sandbox of its own
 * and which this verb becomes. With a policy it has it read them twice, and first says which flows that
 * policy would have denied: the firewall's rules are nothing that the sandbox knows of.
 */
#include "cordon/cli.h"

#include <arpa/inet.h>

#include "base/base.h"
#include "cordon/flow_json.h"
#include "cordon/replay.h"
#include "cordon/rules.h"
#include "cordon/verbs.h"

enum { ANALYZE_ARGUMENTS_MAX = 96, ANALYZE_LINES_MAX = 512, ANALYZE_EXAMPLES = 5 };

static const char usage[] =
        "usage: cordon analyze [--vm CIDR]... [--intel LIST]... [--policy FILE]\n"
        "                      [--format table|json|flows|ipfix] FILE...\n\n"
        "Runs the monitor's flow engine and detectors over captures, pcap or pcapng ('-' is the "
        "standard\n"
        "input), and prints each finding when it has ended. As JSON: one Elastic Common Schema "
        "object a\n"
        "line, then one summary line. As flows: those, one ECS object a line; as ipfix: those, as "
        "an IPFIX file (RFC 5655).\n\n"
        "  --vm CIDR      these addresses are the VMs; without it every source address counts as "
        "one\n"
        "  --intel LIST   a file of known bad addresses, networks and names, one a line\n"
        "  --policy FILE  and before that, the flows that this policy would have denied, by its "
        "lines\n";

/* What was denied by one line, or by none. */
struct analyze_denied {
	char what[64];
	uint32_t line;
	uint64_t flows, bytes;
	char examples[ANALYZE_EXAMPLES][128];
};

struct analyze {
	bool json;
	const char *path;
	char *text;
	struct policy policy;
	const char *arguments[ANALYZE_ARGUMENTS_MAX]; /* of cordon-analyze, but for its format */
	size_t argument_count;
	bool vms;
	char own[2 * POLICY_NICS_MAX][INET6_ADDRSTRLEN];
	struct analyze_denied lines[ANALYZE_LINES_MAX];
	size_t line_count;
	uint64_t flows, denied, unjudged;
};

/* --- verdicts --- */

static struct analyze_denied *analyze_line(struct analyze *analyze,
                                           const struct firewall_verdict *verdict)
{
	struct analyze_denied *denied = analyze->lines;

	for (size_t i = 0; i < analyze->line_count; i++, denied++)
		if (denied->line == verdict->line && strcmp(denied->what, verdict->what) == 0)
			return denied;
	if (analyze->line_count == ANALYZE_LINES_MAX)
		return &analyze->lines[ANALYZE_LINES_MAX - 1];
	analyze->line_count++;
	denied->line = verdict->line;
	base_copy_string(denied->what, sizeof(denied->what), verdict->what);
	return denied;
}

static void analyze_example(char out[128], const json_t *flow)
{
	const char *transport = flow_json_text(flow, "network", "transport");

	snprintf(out, 128, "%s %s:%lld > %s:%lld",
	         *transport ? transport : flow_json_text(flow, "network", "iana_number"),
	         flow_json_text(flow, "source", "ip"),
	         (long long)flow_json_number(flow, "source", "port"),
	         flow_json_text(flow, "destination", "ip"),
	         (long long)flow_json_number(flow, "destination", "port"));
}

/* The flow, with what the policy says of it. */
static void analyze_print(const json_t *flow, const struct firewall_verdict *verdict)
{
	json_t *json = json_deep_copy(flow);
	json_t *event = json_object_get(json, "event");

	json_object_set_new(event, "type", json_pack("[s, s]", "connection", "denied"));
	json_object_set_new(event, "action", json_string("would-be-denied"));
	json_object_set_new(json, "rule", json_pack("{s:s}", "name", verdict->what));
	json_object_set_new(json_object_get(json, "cordon"), "policy_line",
	                    json_integer(verdict->line));
	cli_print_json(json);
	json_decref(json);
}

static void analyze_flow(const json_t *flow, void *data)
{
	struct analyze *analyze = data;
	struct firewall_verdict verdict;
	struct analyze_denied *denied;
	int err = replay_judge(&analyze->policy, flow, &verdict);

	analyze->flows++;
	analyze->unjudged += err != 0;
	if (err || verdict.action == POLICY_ALLOW)
		return;
	analyze->denied++;
	if (analyze->json) {
		analyze_print(flow, &verdict);
		return;
	}
	denied = analyze_line(analyze, &verdict);
	if (denied->flows < ANALYZE_EXAMPLES)
		analyze_example(denied->examples[denied->flows], flow);
	denied->flows++;
	denied->bytes += (uint64_t)flow_json_number(flow, "network", "bytes");
}

static int analyze_order(const void *a, const void *b)
{
	const struct analyze_denied *x = a, *y = b;

	return x->line != y->line ? (x->line < y->line ? -1 : 1) : strcmp(x->what, y->what);
}

static void analyze_table(struct analyze *analyze)
{
	printf("%s would have denied %llu of %llu flows%s\n", analyze->path,
	       (unsigned long long)analyze->denied, (unsigned long long)analyze->flows,
	       analyze->denied ? ":" : "");
	qsort(analyze->lines, analyze->line_count, sizeof(analyze->lines[0]), analyze_order);
	for (size_t i = 0; i < analyze->line_count; i++) {
		const struct analyze_denied *denied = &analyze->lines[i];
		char bytes[16], text[128] = "";

		cli_bytes(bytes, denied->bytes);
		if (denied->line)
			rules_line(analyze->text, denied->line, text, sizeof(text));
		cli_print_text("line %u, %s: %llu flows, %s%s%s\n", denied->line, denied->what,
		               (unsigned long long)denied->flows, bytes, text[0] ? ": " : "", text);
		for (size_t n = 0; n < BASE_MIN(denied->flows, (uint64_t)ANALYZE_EXAMPLES); n++)
			cli_print_text("  %s\n", denied->examples[n]);
		if (denied->flows > ANALYZE_EXAMPLES)
			printf("  and %llu more\n",
			       (unsigned long long)denied->flows - ANALYZE_EXAMPLES);
	}
	putchar('\n');
}

/* --- the policy --- */

static bool analyze_argument(struct analyze *analyze, const char *argument)
{
	if (analyze->argument_count == ANALYZE_ARGUMENTS_MAX - 1) {
		fprintf(stderr, "cordon: there are more than %d arguments\n",
		        ANALYZE_ARGUMENTS_MAX - 1);
		return false;
	}
	analyze->arguments[analyze->argument_count++] = argument;
	return true;
}

static bool analyze_read(struct analyze *analyze)
{
	BASE_AUTO_FREE struct policy_errors *errors = calloc(1, sizeof(*errors));
	ssize_t size = policy_read_file(analyze->path, &analyze->text);

	if (size < 0 || !errors) {
		fprintf(stderr, "cordon: cannot read the policy %s: %s\n", analyze->path,
		        strerror(size < 0 ? (int)-size : ENOMEM));
		return false;
	}
	if (policy_parse(analyze->text, (size_t)size, &analyze->policy, errors) == 0)
		return true;
	policy_errors_print(stderr, analyze->path, errors);
	return false;
}

/* Whom the policy is about, where it says so. */
static bool analyze_own(struct analyze *analyze)
{
	static const uint8_t none[16];
	size_t count = 0;

	for (size_t i = 0; i < analyze->policy.vm.nic_count; i++) {
		const struct policy_nic *nic = &analyze->policy.vm.nics[i];

		if (memcmp(nic->ip4, none, sizeof(nic->ip4)) != 0)
			inet_ntop(AF_INET, nic->ip4, analyze->own[count++], INET6_ADDRSTRLEN);
		if (memcmp(nic->ip6, none, sizeof(nic->ip6)) != 0)
			inet_ntop(AF_INET6, nic->ip6, analyze->own[count++], INET6_ADDRSTRLEN);
	}
	for (size_t i = 0; i < count; i++)
		if (!analyze_argument(analyze, "--vm") ||
		    !analyze_argument(analyze, analyze->own[i]))
			return false;
	if (count == 0)
		fprintf(stderr, "cordon: %s has no addresses; --vm says which are the guest's\n",
		        analyze->path);
	return count > 0;
}

/* What is cordon-analyze's own is checked there. */
static bool analyze_options(struct analyze *analyze, int argc, char **argv)
{
	static const struct option longs[] = {{"vm", required_argument, NULL, 'v'},
	                                      {"intel", required_argument, NULL, 'i'},
	                                      {"policy", required_argument, NULL, 'p'},
	                                      CLI_FORMAT_OPTION,
	                                      {0}};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1)
		switch (option) {
		case 'v':
			analyze->vms = true;
			if (!analyze_argument(analyze, "--vm") ||
			    !analyze_argument(analyze, optarg))
				return false;
			break;
		case 'i':
			if (!analyze_argument(analyze, "--intel") ||
			    !analyze_argument(analyze, optarg))
				return false;
			break;
		case 'p': analyze->path = optarg; break;
		case 'F':
			if (!cli_format(optarg, &analyze->json))
				return false;
			break;
		default: fputs(usage, stderr); return false;
		}
	if (optind == argc) {
		fputs(usage, stderr);
		return false;
	}
	return true;
}

static bool analyze_files(struct analyze *analyze, int argc, char **argv)
{
	for (int i = optind; i < argc; i++) {
		if (strcmp(argv[i], "-") == 0) {
			fprintf(stderr, "cordon: with --policy captures are read twice, and the "
			                "standard input cannot be\n");
			return false;
		}
		if (!analyze_argument(analyze, argv[i]))
			return false;
	}
	return true;
}

static int analyze_policy(struct analyze *analyze, int argc, char **argv)
{
	int status;

	if (!analyze_options(analyze, argc, argv) || !analyze_read(analyze) ||
	    (!analyze->vms && !analyze_own(analyze)) || !analyze_argument(analyze, "--") ||
	    !analyze_files(analyze, argc, argv))
		return VERB_FAILED;
	status = replay_flows(analyze->arguments, analyze_flow, analyze);
	if (status == VERB_OK && !analyze->json)
		analyze_table(analyze);
	return fflush(stdout) == 0 ? status : VERB_FAILED;
}

/* --- the verb --- */

static int analyze_exec(char *const *argv)
{
	char path[POLICY_PATH_MAX];

	if (programs_path(path, "cordon-analyze") == 0)
		execve(path, argv, (char *[]){NULL});
	fprintf(stderr, "cordon: cannot run cordon-analyze: %s\n", strerror(errno));
	return VERB_FAILED;
}

static int analyze_both(int argc, char **argv)
{
	BASE_AUTO_FREE struct analyze *analyze = calloc(1, sizeof(*analyze));
	const char *all[ANALYZE_ARGUMENTS_MAX + 4] = {"cordon-analyze", "--format"};
	int status = analyze ? analyze_policy(analyze, argc, argv) : VERB_FAILED;

	if (analyze)
		free(analyze->text);
	if (status != VERB_OK)
		return status;
	all[2] = analyze->json ? "json" : "table";
	memcpy(all + 3, analyze->arguments, analyze->argument_count * sizeof(*all));
	return analyze_exec((char *const *)all);
}

int verb_analyze(int argc, char **argv)
{
	bool policy = false;

	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			fputs(usage, stdout);
			return VERB_OK;
		}
		policy |= strncmp(argv[i], "--policy", strlen("--policy")) == 0;
	}
	if (argc < 2) {
		fputs(usage, stderr);
		return VERB_FAILED;
	}
	return policy ? analyze_both(argc, argv) : analyze_exec(argv);
}
