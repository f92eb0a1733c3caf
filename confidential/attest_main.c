// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cordon-attest: verifies an attestation report with the certificates of a folder, and prints the verdict. The
 * report, the event log and every regular file of the folder are opened; then the process enters its role;
 * then they are read. What a file is, it says itself; one that is nothing of interest is left out.
 *
 * Exit status 0 accepted, 1 refused, 125 usage or failure, 127 no such file.
 */
#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

#include "base/base.h"
#include "confidential/confidential.h"
#include "confidential/list_attest.h"
#include "confidential/tool.h"

enum {
	ATTEST_REPORT_MAX = 1 << 16,
	ATTEST_LOG_MAX = 4 << 20,
	ATTEST_FILE_MAX = 1 << 20,
	ATTEST_FOLDER_MAX = TOOL_FILES_MAX - 4,
};

struct attest_run {
	struct tool tool;
	struct attest_input input;
	bool json;
	const char *report_name, *log_name, *folder;
	int report, log, files[ATTEST_FOLDER_MAX];
	char *names[ATTEST_FOLDER_MAX];
	size_t file_count;
	uint8_t measurement[48], report_data[64], host_data[32];
	uint64_t policy, min_tcb, vmpl;
	enum attest_kind kind;
};

static const char usage[] =
        "usage: cordon attest verify --report FILE --certs DIR [OPTION]...\n\n"
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

static bool attest_time(const char *text, int64_t *at)
{
	static const char *const forms[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"};
	uint64_t seconds;

	if (text[0] == '@' && tool_number(text + 1, 10, INT32_MAX * 8ull, &seconds)) {
		*at = (int64_t)seconds;
		return true;
	}
	for (size_t i = 0; i < BASE_COUNT(forms); i++) {
		struct tm parts = {0};
		const char *end = strptime(text, forms[i], &parts);

		if (end && !*end) {
			*at = timegm(&parts);
			return true;
		}
	}
	return false;
}

static bool attest_refuse(const char *option, const char *value, const char *expected)
{
	fprintf(stderr, "cordon: %s '%s' is not %s\n", option, value, expected);
	return false;
}

static bool attest_bytes(const char *option, const char *value, uint8_t *to, size_t size,
                         const uint8_t **field)
{
	*field = to;
	if (tool_hex(value, to, size))
		return true;
	fprintf(stderr, "cordon: %s '%s' is not %zu bytes in hexadecimal\n", option, value, size);
	return false;
}

static bool attest_number(const char *option, const char *value, uint64_t *to,
                          const uint64_t **field)
{
	*field = to;
	return tool_number(value, 16, UINT64_MAX, to) ||
	       attest_refuse(option, value, "a hexadecimal number of 64 bits");
}

static bool attest_accept(struct attest_run *run, const char *status)
{
	uint32_t bit = attest_tcb_parse(status);

	run->input.tcb |= bit;
	return (bit && bit != ATTEST_TCB_REVOKED) ||
	       attest_refuse("--accept-tcb", status,
	                     "one of SWHardeningNeeded, ConfigurationNeeded, "
	                     "ConfigurationAndSWHardeningNeeded, OutOfDate, "
	                     "OutOfDateConfigurationNeeded");
}

static bool attest_type(struct attest_run *run, const char *value)
{
	enum confidential_type type;

	if (confidential_type_parse(value, &type) != 0 ||
	    (type != CONFIDENTIAL_SEV_SNP && type != CONFIDENTIAL_TDX))
		return attest_refuse("--type", value,
		                     "sev-snp or tdx: other types have no such report");
	run->kind = type == CONFIDENTIAL_TDX ? ATTEST_TDX : ATTEST_SNP;
	run->input.kind = &run->kind;
	return true;
}

static bool attest_option(struct attest_run *run, int option, const char *value)
{
	struct attest_input *input = &run->input;

	switch (option) {
	case 'r': run->report_name = value; return true;
	case 'c': run->folder = value; return true;
	case 'l': run->log_name = value; return true;
	case 'm':
		return attest_bytes("--measurement", value, run->measurement,
		                    sizeof(run->measurement), &input->measurement);
	case 'd':
		return attest_bytes("--report-data", value, run->report_data,
		                    sizeof(run->report_data), &input->report_data);
	case 'h':
		return attest_bytes("--host-data", value, run->host_data, sizeof(run->host_data),
		                    &input->host_data);
	case 'p': return attest_number("--policy", value, &run->policy, &input->policy);
	case 't': return attest_number("--min-tcb", value, &run->min_tcb, &input->min_tcb);
	case 'v':
		input->vmpl = &run->vmpl;
		return tool_number(value, 10, 3, &run->vmpl) ||
		       attest_refuse("--vmpl", value, "a number from 0 to 3");
	case 'a':
		return attest_time(value, &input->at) ||
		       attest_refuse("--at", value, "a time such as 2026-01-31T12:00:00Z");
	case 'A': return attest_accept(run, value);
	case 'D': return input->allow_debug = true;
	case 'T': return input->trim = true;
	case 'S': return input->strict = true;
	case 'y': return attest_type(run, value);
	case 'F': return tool_format(value, &run->json);
	default: fputs(usage, stderr); return false;
	}
}

static int attest_parse(int argc, char **argv, struct attest_run *run)
{
	static const struct option longs[] = {{"report", required_argument, NULL, 'r'},
	                                      {"certs", required_argument, NULL, 'c'},
	                                      {"ccel", required_argument, NULL, 'l'},
	                                      {"type", required_argument, NULL, 'y'},
	                                      {"measurement", required_argument, NULL, 'm'},
	                                      {"report-data", required_argument, NULL, 'd'},
	                                      {"host-data", required_argument, NULL, 'h'},
	                                      {"policy", required_argument, NULL, 'p'},
	                                      {"min-tcb", required_argument, NULL, 't'},
	                                      {"vmpl", required_argument, NULL, 'v'},
	                                      {"accept-tcb", required_argument, NULL, 'A'},
	                                      {"at", required_argument, NULL, 'a'},
	                                      {"allow-debug", no_argument, NULL, 'D'},
	                                      {"trim", no_argument, NULL, 'T'},
	                                      {"strict", no_argument, NULL, 'S'},
	                                      {"format", required_argument, NULL, 'F'},
	                                      {"help", no_argument, NULL, '?' + 256},
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
	    run->folder)
		return TOOL_OK;
	fputs(usage, stderr);
	return TOOL_FAILED;
}

/* --- files --- */

/* A regular file of the folder that is not too large is one to read; what else is there is left out. */
static int attest_open_one(struct attest_run *run, const char *name)
{
	BASE_AUTO_FREE char *path = NULL;
	struct stat facts;

	if (asprintf(&path, "%s/%s", run->folder, name) < 0) {
		path = NULL;
		return TOOL_FAILED;
	}
	if (stat(path, &facts) < 0 || !S_ISREG(facts.st_mode) || facts.st_size > ATTEST_FILE_MAX)
		return TOOL_OK;
	if (run->file_count == ATTEST_FOLDER_MAX) {
		fprintf(stderr, "cordon: %s has more than %d files\n", run->folder,
		        ATTEST_FOLDER_MAX);
		return TOOL_FAILED;
	}
	run->files[run->file_count] = tool_open(&run->tool, path, O_RDONLY | O_NONBLOCK);
	if (run->files[run->file_count] < 0)
		return TOOL_FAILED;
	run->names[run->file_count++] = path;
	path = NULL;
	return TOOL_OK;
}

static int attest_open_folder(struct attest_run *run)
{
	struct dirent **entries = NULL;
	int count = scandir(run->folder, &entries, NULL, alphasort), status = TOOL_OK;

	if (count < 0) {
		fprintf(stderr, "cordon: cannot open %s: %s\n", run->folder, strerror(errno));
		return TOOL_NO_FILE;
	}
	for (int i = 0; i < count; i++) {
		if (status == TOOL_OK)
			status = attest_open_one(run, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return status;
}

static int attest_open(struct attest_run *run)
{
	run->report = tool_open(&run->tool, run->report_name, O_RDONLY);
	if (run->report >= 0 && run->log_name)
		run->log = tool_open(&run->tool, run->log_name, O_RDONLY);
	if (run->report < 0 || run->log < 0)
		return TOOL_NO_FILE;
	return attest_open_folder(run);
}

/* --- in the role --- */

static int attest_collect(struct attest_run *run, struct attest_collateral *collateral)
{
	for (size_t i = 0; i < run->file_count; i++) {
		size_t size;
		BASE_AUTO_FREE uint8_t *bytes =
		        tool_read(run->files[i], run->names[i], ATTEST_FILE_MAX, &size);

		if (!bytes)
			return TOOL_FAILED;
		if (attest_collateral_add(collateral, bytes, size) < 0) {
			fprintf(stderr, "cordon: %s: too many certificates, CRLs or documents\n",
			        run->names[i]);
			return TOOL_FAILED;
		}
	}
	return TOOL_OK;
}

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
	int status = attest_collect(run, collateral);

	if (status != TOOL_OK)
		return status;
	report = tool_read(run->report, run->report_name, ATTEST_REPORT_MAX, &run->input.size);
	if (run->log_name)
		log = tool_read(run->log, run->log_name, ATTEST_LOG_MAX, &run->input.ccel_size);
	if (!report || (run->log_name && !log))
		return TOOL_FAILED;
	run->input.report = report;
	run->input.ccel = log;
	run->input.collateral = collateral;
	attest_verify(&run->input, &verdict);
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
	run.input.at = time(NULL);
	status = attest_parse(argc, argv, &run);
	if (status == TOOL_OK)
		status = attest_open(&run);
	if (status == TOOL_OK)
		status = tool_enter(&run.tool, &list_attest);
	if (status != TOOL_OK)
		return tool_exit(status);
	collateral = attest_collateral_new();
	status = collateral ? attest_run(&run, collateral) : TOOL_FAILED;
	attest_collateral_free(collateral);
	return status;
}
