// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * id-block: makes and checks the ID block and the ID auth block of an SEV-SNP guest. It takes a digest and no
 * firmware: private keys and hostile files are never in one process.
 *
 * #syscall measure: write(arg0 <= 6) - the two blocks, behind the keys
 */
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>

#include "base/base.h"
#include "confidential/confidential.h"
#include "confidential/list_measure.h"
#include "confidential/measure.h"
#include "confidential/tool.h"

enum { IDBLOCK_FILE_MAX = 1 << 16, IDBLOCK_DEFAULT_POLICY = 0x30000 };

struct idblock_run {
	struct tool tool;
	bool check, json, has_digest;
	struct idblock block;
	const char *block_name, *auth_name, *id_name, *author_name;
	int block_fd, auth_fd, id_fd, author_fd;
};

static const char usage[] =
        "usage: cordon id-block --measurement HEX --id-key FILE [--author-key FILE] --block FILE "
        "--auth "
        "FILE\n"
        "                       [--family-id HEX] [--image-id HEX] [--guest-svn N] [--guest-policy "
        "HEX]\n"
        "       cordon id-block --check --block FILE --auth FILE [--measurement HEX]\n\n"
        "Makes the ID block and the ID auth block of an SEV-SNP guest, with PEM keys of curve "
        "P-384, or\n"
        "checks both signatures. Prints the digests of the keys, as attestation reports have "
        "them.\n"
        "Implemented to the ABI, never run on hardware.\n\n"
        "  --format text|json\n";

static bool idblock_refuse(const char *option, const char *value, const char *expected)
{
	fprintf(stderr, "cordon: %s '%s' is not %s\n", option, value, expected);
	return false;
}

static bool idblock_option(struct idblock_run *run, int option, const char *value)
{
	uint64_t number;

	switch (option) {
	case 'm':
		run->has_digest = tool_hex(value, run->block.digest, sizeof(run->block.digest));
		return run->has_digest ||
		       idblock_refuse("--measurement", value, "48 bytes in hexadecimal");
	case 'f':
		return tool_hex(value, run->block.family, sizeof(run->block.family)) ||
		       idblock_refuse("--family-id", value, "16 bytes in hexadecimal");
	case 'i':
		return tool_hex(value, run->block.image, sizeof(run->block.image)) ||
		       idblock_refuse("--image-id", value, "16 bytes in hexadecimal");
	case 'p':
		return tool_number(value, 16, UINT64_MAX, &run->block.policy) ||
		       idblock_refuse("--guest-policy", value, "a hexadecimal number");
	case 's':
		if (!tool_number(value, 10, UINT32_MAX, &number))
			return idblock_refuse("--guest-svn", value, "a number of 32 bits");
		run->block.svn = (uint32_t)number;
		return true;
	case 'k': run->id_name = value; return true;
	case 'a': run->author_name = value; return true;
	case 'b': run->block_name = value; return true;
	case 'A': run->auth_name = value; return true;
	case 'c': run->check = true; return true;
	case 'F': return tool_format(value, &run->json);
	default: fputs(usage, stderr); return false;
	}
}

static int idblock_parse(int argc, char **argv, struct idblock_run *run)
{
	static const struct option longs[] = {{"measurement", required_argument, NULL, 'm'},
	                                      {"id-key", required_argument, NULL, 'k'},
	                                      {"author-key", required_argument, NULL, 'a'},
	                                      {"block", required_argument, NULL, 'b'},
	                                      {"auth", required_argument, NULL, 'A'},
	                                      {"family-id", required_argument, NULL, 'f'},
	                                      {"image-id", required_argument, NULL, 'i'},
	                                      {"guest-svn", required_argument, NULL, 's'},
	                                      {"guest-policy", required_argument, NULL, 'p'},
	                                      {"check", no_argument, NULL, 'c'},
	                                      {"format", required_argument, NULL, 'F'},
	                                      {"help", no_argument, NULL, 'h'},
	                                      {0}};
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return TOOL_HELP;
		}
		if (!idblock_option(run, option, optarg))
			return TOOL_FAILED;
	}
	if (optind == argc && run->block_name && run->auth_name &&
	    (run->check ? !run->id_name && !run->author_name : run->has_digest && run->id_name))
		return TOOL_OK;
	fputs(usage, stderr);
	return TOOL_FAILED;
}

static int idblock_open(struct idblock_run *run)
{
	const int flags = run->check ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC;

	if (!run->check) {
		run->id_fd = tool_open(&run->tool, run->id_name, O_RDONLY);
		if (run->author_name)
			run->author_fd = tool_open(&run->tool, run->author_name, O_RDONLY);
		if (run->id_fd < 0 || run->author_fd < 0)
			return TOOL_NO_FILE;
	}
	run->block_fd = tool_open(&run->tool, run->block_name, flags);
	run->auth_fd = run->block_fd < 0 ? -1 : tool_open(&run->tool, run->auth_name, flags);
	return run->auth_fd < 0 ? TOOL_NO_FILE : TOOL_OK;
}

static void idblock_print(const struct idblock_run *run, const struct idblock *block,
                          const struct idblock_digests *digests)
{
	char measurement[97], id[97], author[97] = "";
	json_t *json;

	tool_hex_text(measurement, block->digest, sizeof(block->digest));
	tool_hex_text(id, digests->id_key, sizeof(digests->id_key));
	if (digests->has_author)
		tool_hex_text(author, digests->author_key, sizeof(digests->author_key));
	if (!run->json) {
		printf("measurement        %s\npolicy             0x%llx\nid key digest      %s\n",
		       measurement, (unsigned long long)block->policy, id);
		if (*author)
			printf("author key digest  %s\n", author);
		return;
	}
	json = json_pack("{s:s, s:I, s:I, s:s, s:s?}", "measurement", measurement, "policy",
	                 (json_int_t)block->policy, "guest_svn", (json_int_t)block->svn,
	                 "id_key_digest", id, "author_key_digest", *author ? author : NULL);
	if (json)
		json_dumpf(json, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(json);
}

static int idblock_run_make(struct idblock_run *run)
{
	BASE_AUTO_FREE uint8_t *id = NULL, *author = NULL;
	uint8_t bytes[IDBLOCK_SIZE], auth[IDBLOCK_AUTH_SIZE];
	struct idblock_digests digests;
	size_t id_size, author_size = 0;
	char why[WHY_MAX];

	id = tool_read(run->id_fd, run->id_name, IDBLOCK_FILE_MAX, &id_size);
	if (run->author_name)
		author =
		        tool_read(run->author_fd, run->author_name, IDBLOCK_FILE_MAX, &author_size);
	if (!id || (run->author_name && !author))
		return TOOL_FAILED;
	if (idblock_make(&run->block, id, id_size, author, author_size, bytes, auth, &digests,
	                 why) != 0) {
		fprintf(stderr, "cordon: %s\n", why);
		return TOOL_REFUSED;
	}
	if (base_write_all(run->block_fd, bytes, sizeof(bytes)) != 0 ||
	    base_write_all(run->auth_fd, auth, sizeof(auth)) != 0) {
		fprintf(stderr, "cordon: cannot write the blocks\n");
		return TOOL_FAILED;
	}
	idblock_print(run, &run->block, &digests);
	return TOOL_OK;
}

static int idblock_run_check(struct idblock_run *run)
{
	BASE_AUTO_FREE uint8_t *bytes = NULL, *auth = NULL;
	struct idblock_digests digests;
	struct idblock block = {0};
	size_t size, auth_size;
	char why[WHY_MAX];

	bytes = tool_read(run->block_fd, run->block_name, IDBLOCK_FILE_MAX, &size);
	auth = tool_read(run->auth_fd, run->auth_name, IDBLOCK_FILE_MAX, &auth_size);
	if (!bytes || !auth)
		return TOOL_FAILED;
	if (idblock_check(bytes, size, auth, auth_size, &block, &digests, why) != 0) {
		fprintf(stderr, "cordon: %s\n", why);
		return TOOL_REFUSED;
	}
	if (run->has_digest && memcmp(block.digest, run->block.digest, sizeof(block.digest)) != 0) {
		fprintf(stderr, "cordon: the ID block is for another measurement\n");
		return TOOL_REFUSED;
	}
	idblock_print(run, &block, &digests);
	return TOOL_OK;
}

int measure_idblock(int argc, char **argv)
{
	static struct idblock_run run = {.block.policy = IDBLOCK_DEFAULT_POLICY};
	int status = idblock_parse(argc, argv, &run);

	if (status == TOOL_OK)
		status = idblock_open(&run);
	if (status == TOOL_OK)
		status = tool_enter(&run.tool, &list_measure);
	if (status != TOOL_OK)
		return tool_exit(status);
	status = run.check ? idblock_run_check(&run) : idblock_run_make(&run);
	return fflush(stdout) == 0 ? status : TOOL_FAILED;
}
