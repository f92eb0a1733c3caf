// SPDX-License-Identifier: GPL-2.0-or-later
/* attest_args: see attest_args.h. */
#include "confidential/attest_args.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "base/base.h"

enum { ATTEST_FILE_MAX = 1 << 20 };

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
			const int day = parts.tm_mday;

			*at = timegm(&parts);
			return parts.tm_mday == day; /* that month has it */
		}
	}
	return false;
}

static bool attest_refuse(const char *option, const char *value, const char *expected)
{
	fprintf(stderr, "cordon: %s '%s' is not %s\n", option, value, expected);
	return false;
}

bool attest_args_bytes(const char *option, const char *value, uint8_t *to, size_t size,
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

static bool attest_accept(struct attest_args *args, const char *status)
{
	uint32_t bit = attest_tcb_parse(status);

	args->input.tcb |= bit;
	return (bit && bit != ATTEST_TCB_REVOKED) ||
	       attest_refuse("--accept-tcb", status,
	                     "one of SWHardeningNeeded, ConfigurationNeeded, "
	                     "ConfigurationAndSWHardeningNeeded, OutOfDate, "
	                     "OutOfDateConfigurationNeeded");
}

static bool attest_type(struct attest_args *args, const char *value)
{
	enum confidential_type type;

	if (confidential_type_parse(value, &type) != 0 ||
	    (type != CONFIDENTIAL_SEV_SNP && type != CONFIDENTIAL_TDX))
		return attest_refuse("--type", value,
		                     "sev-snp or tdx: other types have no such report");
	args->kind = type == CONFIDENTIAL_TDX ? ATTEST_TDX : ATTEST_SNP;
	args->input.kind = &args->kind;
	return true;
}

bool attest_args_option(struct attest_args *args, int option, const char *value, bool *known)
{
	struct attest_input *input = &args->input;

	*known = true;
	switch (option) {
	case 'c': args->folder = value; return true;
	case 'm':
		return attest_args_bytes("--measurement", value, args->measurement,
		                         sizeof(args->measurement), &input->measurement);
	case 'h':
		return attest_args_bytes("--host-data", value, args->host_data,
		                         sizeof(args->host_data), &input->host_data);
	case 'p': return attest_number("--policy", value, &args->policy, &input->policy);
	case 't': return attest_number("--min-tcb", value, &args->min_tcb, &input->min_tcb);
	case 'v':
		input->vmpl = &args->vmpl;
		return tool_number(value, 10, 3, &args->vmpl) ||
		       attest_refuse("--vmpl", value, "a number from 0 to 3");
	case 'a':
		return attest_time(value, &input->at) ||
		       attest_refuse("--at", value, "a time such as 2026-01-31T12:00:00Z");
	case 'A': return attest_accept(args, value);
	case 'y': return attest_type(args, value);
	case 'b': args->block_name = value; return true;
	case 'u': args->auth_name = value; return true;
	case 'D': return input->allow_debug = true;
	default: *known = false; return true;
	}
}

/* --- the folder --- */

/* A regular file of the folder that is not too large is one to read; what else is there is left out. */
static int attest_open_one(struct attest_args *args, const char *name)
{
	BASE_AUTO_FREE char *path = NULL;
	struct stat facts;

	if (asprintf(&path, "%s/%s", args->folder, name) < 0) {
		path = NULL;
		return TOOL_FAILED;
	}
	if (stat(path, &facts) < 0 || !S_ISREG(facts.st_mode) || facts.st_size > ATTEST_FILE_MAX)
		return TOOL_OK;
	if (args->file_count == ATTEST_FOLDER_MAX) {
		fprintf(stderr, "cordon: %s has more than %d files\n", args->folder,
		        ATTEST_FOLDER_MAX);
		return TOOL_FAILED;
	}
	args->files[args->file_count] = tool_open(&args->tool, path, O_RDONLY | O_NONBLOCK);
	if (args->files[args->file_count] < 0)
		return TOOL_FAILED;
	args->names[args->file_count++] = path;
	path = NULL;
	return TOOL_OK;
}

/* A block is worth nothing without what signs it. */
static int attest_open_block(struct attest_args *args)
{
	if (!args->block_name && !args->auth_name)
		return TOOL_OK;
	if (!args->block_name || !args->auth_name) {
		fprintf(stderr, "cordon: --id-block and --id-auth are given together\n");
		return TOOL_FAILED;
	}
	args->block = tool_open(&args->tool, args->block_name, O_RDONLY);
	if (args->block >= 0)
		args->auth = tool_open(&args->tool, args->auth_name, O_RDONLY);
	return args->block < 0 || args->auth < 0 ? TOOL_NO_FILE : TOOL_OK;
}

static int attest_read_block(struct attest_args *args)
{
	size_t size, auth_size;
	BASE_AUTO_FREE uint8_t *block =
	        tool_read(args->block, args->block_name, ATTEST_FILE_MAX, &size);
	BASE_AUTO_FREE uint8_t *auth =
	        tool_read(args->auth, args->auth_name, ATTEST_FILE_MAX, &auth_size);
	char why[WHY_MAX] = "";

	if (!block || !auth)
		return TOOL_FAILED;
	if (idblock_check(block, size, auth, auth_size, &args->id.block, &args->id.keys, why) < 0) {
		fprintf(stderr, "cordon: %s, %s: %s\n", args->block_name, args->auth_name, why);
		return TOOL_FAILED;
	}
	args->input.block = &args->id;
	return TOOL_OK;
}

int attest_args_open(struct attest_args *args)
{
	struct dirent **entries = NULL;
	int count = scandir(args->folder, &entries, NULL, alphasort);
	int status = attest_open_block(args);

	if (count < 0) {
		fprintf(stderr, "cordon: cannot open %s: %s\n", args->folder, strerror(errno));
		return TOOL_NO_FILE;
	}
	for (int i = 0; i < count; i++) {
		if (status == TOOL_OK)
			status = attest_open_one(args, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return status;
}

/* Whether it is meant to be one of ours: DER, PEM or JSON by its first bytes, and what a download has left of them. */
static bool attest_is_meant(const uint8_t *bytes, size_t size)
{
	static const char *const pems[] = {"-----BEGIN CERTIFICATE", "-----BEGIN X509 CRL"};
	static const uint8_t der[] = {0x30, 0x82};

	for (size_t i = 0; i < BASE_COUNT(pems); i++)
		if (memmem(bytes, size, pems[i], strlen(pems[i])))
			return true;
	return size >= sizeof(der) && (bytes[0] == '{' || memcmp(bytes, der, sizeof(der)) == 0);
}

int attest_args_collect(struct attest_args *args, struct attest_collateral *collateral)
{
	for (size_t i = 0; i < args->file_count; i++) {
		size_t size;
		BASE_AUTO_FREE uint8_t *bytes =
		        tool_read(args->files[i], args->names[i], ATTEST_FILE_MAX, &size);

		int added;

		if (!bytes)
			return TOOL_FAILED;
		added = attest_collateral_add(collateral, bytes, size);
		if (added == 0 && attest_is_meant(bytes, size))
			fprintf(stderr,
			        "cordon: %s is left out: it is no certificate, CRL, TCB info or QE "
			        "identity that can be read\n",
			        args->names[i]);
		if (added < 0) {
			fprintf(stderr, "cordon: %s: too many certificates, CRLs or documents\n",
			        args->names[i]);
			return TOOL_FAILED;
		}
	}
	return args->block_name ? attest_read_block(args) : TOOL_OK;
}
