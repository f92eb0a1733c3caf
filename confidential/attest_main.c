// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cordon-attest: verifies an attestation report with the certificates of a folder, and prints the verdict. The
 * report, the event log and every regular file of the folder are opened; then the process enters its role;
 * then they are read. What a file is, it says itself; one that is nothing of interest is left out.
 *
 * Exit status 0 accepted, 1 refused, 125 usage or failure, 127 no such file.
 */
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <time.h>

#include "base/base.h"
#include "confidential/attest_args.h"
#include "confidential/list_attest.h"

enum {
	ATTEST_REPORT_MAX = 1 << 16,
	ATTEST_LOG_MAX = 4 << 20,
};

struct attest_run {
	struct attest_args args;
	bool json;
	const char *report_name, *log_name;
	int report, log;
	uint8_t report_data[64];
};

static const char usage[] =
        "usage: cordon attest verify [POLICY] --report FILE --certs DIR [OPTION]...\n\n"
        "Verifies an SEV-SNP attestation report or a TDX quote, and prints each check. DIR has\n"
        "certificates and CRLs (PEM or DER), and Intel's TCB info and QE identity (JSON), under "
        "any "
        "names.\n"
        "AMD's and Intel's roots are pinned. Implemented to the ABI, never run on hardware.\n\n"
        "  --type sev-snp|tdx   what it has to be\n"
        "  --measurement HEX    the launch digest (`cordon measure` prints it), or MRTD\n"
        "  --report-data HEX    the 64 bytes that the guest has put in\n"
        "  --host-data HEX      sev-snp: the 32 bytes that its host has\n"
        "  --policy HEX         exactly this guest policy; of a quote, these attributes\n"
        "  --vmpl N             sev-snp: who has asked for it runs at this privilege level\n"
        "  --id-block FILE, --id-auth FILE\n"
        "                       sev-snp: it started with this ID block, of these keys\n"
        "  --min-tcb HEX        sev-snp: no part of the reported TCB is below this one's\n"
        "  --accept-tcb STATUS  tdx: a status beside UpToDate (SWHardeningNeeded, ...), several "
        "times\n"
        "  --ccel FILE          tdx: the event log has to lead to the RTMRs\n"
        "  --at TIME            2026-01-31, 2026-01-31T12:00:00Z or @SECONDS, in place of now\n"
        "  --allow-debug        accept a guest that its host may read\n"
        "  --trim               what follows a quote is not part of it\n"
        "  --strict             refuse what could not be checked too: no CRL, no TCB info, no QE "
        "identity\n"
        "  --format text|json\n";

/* --- options --- */

static bool attest_option(struct attest_run *run, int option, const char *value)
{
	struct attest_input *input = &run->args.input;
	bool known;

	if (!attest_args_option(&run->args, option, value, &known))
		return false;
	if (known)
		return true;
	switch (option) {
	case 'r': run->report_name = value; return true;
	case 'l': run->log_name = value; return true;
	case 'd':
		return attest_args_bytes("--report-data", value, run->report_data,
		                         sizeof(run->report_data), &input->report_data);
	case 'T': return input->trim = true;
	case 'S': return input->strict = true;
	case 'F': return tool_format(value, &run->json);
	default: fputs(usage, stderr); return false;
	}
}

static int attest_parse(int argc, char **argv, struct attest_run *run)
{
	static const struct option longs[] = {{"report", required_argument, NULL, 'r'},
	                                      {"ccel", required_argument, NULL, 'l'},
	                                      {"report-data", required_argument, NULL, 'd'},
	                                      {"trim", no_argument, NULL, 'T'},
	                                      {"strict", no_argument, NULL, 'S'},
	                                      {"format", required_argument, NULL, 'F'},
	                                      ATTEST_ARGS_OPTIONS,
	                                      {0}};
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (option == '?' + 256) {
			fputs(usage, stdout);
			return TOOL_HELP;
		}
		if (!attest_option(run, option, optarg))
			return TOOL_FAILED;
	}
	if (argc - optind == 1 && strcmp(argv[optind], "verify") == 0 && run->report_name &&
	    run->args.folder)
		return TOOL_OK;
	fputs(usage, stderr);
	return TOOL_FAILED;
}

/* --- files --- */

static int attest_open(struct attest_run *run)
{
	run->report = tool_open(&run->args.tool, run->report_name, O_RDONLY);
	if (run->report >= 0 && run->log_name)
		run->log = tool_open(&run->args.tool, run->log_name, O_RDONLY);
	if (run->report < 0 || run->log < 0)
		return TOOL_NO_FILE;
	return attest_args_open(&run->args);
}

/* --- in the role --- */

/* What is read from the evidence; nothing of what is not whole. */
static json_t *attest_json_content(const struct attest_verdict *verdict)
{
	char measurement[97], data[129], policy[19];

	if (!verdict->read)
		return json_object();
	tool_hex_text(measurement, verdict->measurement, sizeof(verdict->measurement));
	tool_hex_text(data, verdict->report_data, sizeof(verdict->report_data));
	snprintf(policy, sizeof(policy), "0x%llx", (unsigned long long)verdict->policy);
	return json_pack("{s:s, s:I, s:s?, s:s, s:s, s:s, s:o*}", "type",
	                 verdict->kind == ATTEST_SNP ? "sev-snp" : "tdx", "version",
	                 (json_int_t)verdict->version, "product", verdict->product, "measurement",
	                 measurement, "report_data", data, "policy", policy, "vmpl",
	                 verdict->kind == ATTEST_SNP ? json_integer(verdict->vmpl) : NULL);
}

static bool attest_print_json(const struct attest_verdict *verdict)
{
	static const char *const statuses[] = {"passed", "failed", "skipped"};
	json_t *checks = json_array(), *skipped = json_array(), *json;
	int err = -1;

	for (size_t i = 0; i < verdict->count; i++) {
		if (verdict->checks[i].status == ATTEST_SKIPPED)
			json_array_append_new(skipped, json_string(verdict->checks[i].name));
		json_array_append_new(checks,
		                      json_pack("{s:s, s:s, s:s}", "name", verdict->checks[i].name,
		                                "status", statuses[verdict->checks[i].status],
		                                "why", verdict->checks[i].why));
	}
	json = json_pack("{s:s, s:o, s:o}", "verdict", verdict->accepted ? "accepted" : "refused",
	                 "skipped", skipped, "checks", checks);
	if (json && json_object_update_new(json, attest_json_content(verdict)) == 0)
		err = json_dumpf(json, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	putchar('\n');
	json_decref(json);
	return err == 0;
}

/* "accepted" alone only where everything was checked. */
static void attest_print_verdict(const struct attest_verdict *verdict)
{
	size_t skipped = 0;

	fputs(verdict->accepted ? "accepted" : "refused", stdout);
	for (size_t i = 0; verdict->accepted && i < verdict->count; i++)
		if (verdict->checks[i].status == ATTEST_SKIPPED)
			printf("%s%s",
			       skipped++ ? ", " : ", but not checked: ", verdict->checks[i].name);
	putchar('\n');
}

static void attest_print_content(const struct attest_verdict *verdict)
{
	char measurement[97], data[129];

	tool_hex_text(measurement, verdict->measurement, sizeof(verdict->measurement));
	tool_hex_text(data, verdict->report_data, sizeof(verdict->report_data));
	printf("%s, version %u%s%s\n", verdict->kind == ATTEST_SNP ? "SEV-SNP report" : "TDX quote",
	       verdict->version, verdict->product ? ", " : "",
	       verdict->product ? verdict->product : "");
	printf("measurement  %s\nreport data  %s\npolicy       0x%llx\n", measurement, data,
	       (unsigned long long)verdict->policy);
	if (verdict->kind == ATTEST_SNP)
		printf("VMPL         %u\n", verdict->vmpl);
}

static void attest_print_text(const struct attest_verdict *verdict)
{
	static const char *const statuses[] = {"passed", "FAILED", "skipped"};

	if (verdict->read)
		attest_print_content(verdict);
	for (size_t i = 0; i < verdict->count; i++)
		printf("  %-8s %-22s %s\n", statuses[verdict->checks[i].status],
		       verdict->checks[i].name, verdict->checks[i].why);
	attest_print_verdict(verdict);
}

static int attest_run(struct attest_run *run, struct attest_collateral *collateral)
{
	BASE_AUTO_FREE uint8_t *report = NULL, *log = NULL;
	struct attest_verdict verdict;
	int status = attest_args_collect(&run->args, collateral);

	if (status != TOOL_OK)
		return status;
	report = tool_read(run->report, run->report_name, ATTEST_REPORT_MAX, &run->args.input.size);
	if (run->log_name)
		log = tool_read(run->log, run->log_name, ATTEST_LOG_MAX,
		                &run->args.input.ccel_size);
	if (!report || (run->log_name && !log))
		return TOOL_FAILED;
	run->args.input.report = report;
	run->args.input.ccel = log;
	run->args.input.collateral = collateral;
	attest_verify(&run->args.input, &verdict);
	if (!run->json)
		attest_print_text(&verdict);
	else if (!attest_print_json(&verdict))
		return TOOL_FAILED;
	if (fflush(stdout) != 0)
		return TOOL_FAILED;
	return verdict.accepted ? TOOL_OK : TOOL_REFUSED;
}

int main(int argc, char **argv)
{
	static struct attest_run run;
	struct attest_collateral *collateral;
	int status;

	signal(SIGPIPE, SIG_IGN);
	run.args.input.at = time(NULL);
	status = attest_parse(argc, argv, &run);
	if (status == TOOL_OK)
		status = attest_open(&run);
	if (status == TOOL_OK)
		status = tool_enter(&run.args.tool, &list_attest);
	if (status != TOOL_OK)
		return tool_exit(status);
	collateral = attest_collateral_new();
	status = collateral ? attest_run(&run, collateral) : TOOL_FAILED;
	attest_collateral_free(collateral);
	return status;
}
