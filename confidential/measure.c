// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cordon-measure: the digest that the hardware will report of a launch, from the files of that launch; and, by
 * its other name (cordon-id-block, measure_idblock.c), the blocks that let no other digest start.
 *
 * Exit status 0 done, 1 refused (the firmware is malformed, or takes no kernel), 125 usage or failure, 127 no
 * such file.
 */
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <signal.h>

#include "base/base.h"
#include "confidential/confidential.h"
#include "confidential/hash.h"
#include "confidential/list_measure.h"
#include "confidential/measure.h"
#include "confidential/tool.h"

enum { MEASURE_FIRMWARE_MAX = 256 << 20, MEASURE_BLOCK = 1 << 16 };

struct measure {
	struct tool tool;
	struct launch_input input;
	bool json, has_type, has_cpu, has_vcpus;
	const char *firmware_name, *kernel_name, *initrd_name, *append;
	int firmware, kernel, initrd;
	struct confidential_kernel hashes;
};

static const char usage[] =
        "usage: cordon measure [POLICY] --type sev|sev-es|sev-snp|tdx --firmware FILE "
        "[OPTION]...\n\n"
        "Prints the launch digest that the hardware will report, computed here from the files of "
        "the\n"
        "launch. Implemented to the ABI, never run on hardware.\n\n"
        "  --firmware FILE        an OVMF image (for tdx: a TDVF or td-shim image)\n"
        "  --igvm FILE            in place of it: an IGVM file, for sev-snp and tdx\n"
        "  --kernel FILE          what the firmware checks by its hash; refused where it cannot\n"
        "  --initrd FILE, --append TEXT\n"
        "  --vcpus N              sev-es, sev-snp: 1 to 4096\n"
        "  --cpu-type TYPE        QEMU's name of the processor model (EPYC-Milan, EPYC-v4, ...)\n"
        "  --cpu-sig HEX          or its CPUID signature (0x800f12)\n"
        "  --guest-features HEX   sev-snp: SEV_FEATURES of the VMSA (0x1)\n"
        "  --vmm-type qemu|ec2|gce\n"
        "  --es-init              sev-es: as KVM_SEV_ES_INIT launches, not KVM_SEV_INIT2\n"
        "  --format text|json\n";

/* --- options --- */

static bool measure_refuse(const char *option, const char *value, const char *expected)
{
	fprintf(stderr, "cordon: %s '%s' is not %s\n", option, value, expected);
	return false;
}

static bool measure_cpu_type(struct measure *measure, const char *name)
{
	measure->has_cpu = true;
	if (confidential_cpu_signature(name, &measure->input.cpu_signature) == 0)
		return true;
	fprintf(stderr,
	        "cordon: --cpu-type '%s' is not known; these are, and their versions "
	        "(-v1, ...):",
	        name);
	for (size_t i = 0; confidential_cpu_name(i); i++)
		fprintf(stderr, " %s", confidential_cpu_name(i));
	fputc('\n', stderr);
	return false;
}

static bool measure_number(struct measure *measure, int option, const char *value)
{
	uint64_t number;

	switch (option) {
	case 'n':
		measure->has_vcpus =
		        tool_number(value, 10, CONFIDENTIAL_VCPUS_MAX, &number) && number > 0;
		measure->input.vcpus = measure->has_vcpus ? (uint32_t)number : 0;
		return measure->has_vcpus ||
		       measure_refuse("--vcpus", value, "a number from 1 to 4096");
	case 's':
		measure->has_cpu = tool_number(value, 16, UINT32_MAX, &number);
		measure->input.cpu_signature = measure->has_cpu ? (uint32_t)number : 0;
		return measure->has_cpu ||
		       measure_refuse("--cpu-sig", value, "a hexadecimal number of 32 bits");
	default:
		return tool_number(value, 16, UINT64_MAX, &measure->input.features) ||
		       measure_refuse("--guest-features", value, "a hexadecimal number of 64 bits");
	}
}

static bool measure_option(struct measure *measure, int option, const char *value)
{
	switch (option) {
	case 't':
		measure->has_type = confidential_type_parse(value, &measure->input.type) == 0;
		return measure->has_type ||
		       measure_refuse("--type", value, "one of sev, sev-es, sev-snp, tdx");
	case 'm':
		return confidential_vmm_parse(value, &measure->input.vmm) == 0 ||
		       measure_refuse("--vmm-type", value, "one of qemu, ec2, gce");
	case 'i':
	case 'f':
		measure->input.igvm |= option == 'i';
		measure->firmware_name = value;
		return true;
	case 'k': measure->kernel_name = value; return true;
	case 'r': measure->initrd_name = value; return true;
	case 'a': measure->append = value; return true;
	case 'c': return measure_cpu_type(measure, value);
	case 'e': measure->input.es_init = true; return true;
	case 'F': return tool_format(value, &measure->json);
	case 'n':
	case 's':
	case 'g': return measure_number(measure, option, value);
	default: fputs(usage, stderr); return false;
	}
}

/* What one option needs of another. */
static bool measure_whole(const struct measure *measure)
{
	const char *missing = NULL;

	if (!measure->has_type)
		missing = "--type is missing: sev, sev-es, sev-snp or tdx";
	else if (!measure->firmware_name)
		missing = "--firmware (or --igvm) is missing";
	else if ((measure->initrd_name || (measure->append && *measure->append)) &&
	         !measure->kernel_name)
		missing = "--initrd and --append need --kernel";
	else if (measure->input.es_init && measure->input.type != CONFIDENTIAL_SEV_ES)
		missing = "--es-init is for --type sev-es";
	if (missing)
		fprintf(stderr, "cordon: %s\n", missing);
	return !missing;
}

/* Of processors that are not in the file: known when it has been read. */
static bool measure_processors(const struct measure *measure)
{
	const bool registers = (measure->input.type == CONFIDENTIAL_SEV_ES ||
	                        measure->input.type == CONFIDENTIAL_SEV_SNP) &&
	                       !measure->input.igvm;
	const char *missing = NULL;

	if (registers && !measure->has_vcpus)
		missing = "--vcpus is missing: a digest of sev-es and sev-snp depends on it";
	else if (registers && measure->input.vmm == CONFIDENTIAL_QEMU && !measure->has_cpu)
		missing = "--cpu-type (or --cpu-sig) is missing: QEMU's VMSAs have the signature";
	if (missing)
		fprintf(stderr, "cordon: %s\n", missing);
	return !missing;
}

static int measure_parse(int argc, char **argv, struct measure *measure)
{
	static const struct option longs[] = {{"type", required_argument, NULL, 't'},
	                                      {"firmware", required_argument, NULL, 'f'},
	                                      {"igvm", required_argument, NULL, 'i'},
	                                      {"kernel", required_argument, NULL, 'k'},
	                                      {"initrd", required_argument, NULL, 'r'},
	                                      {"append", required_argument, NULL, 'a'},
	                                      {"vcpus", required_argument, NULL, 'n'},
	                                      {"cpu-type", required_argument, NULL, 'c'},
	                                      {"cpu-sig", required_argument, NULL, 's'},
	                                      {"guest-features", required_argument, NULL, 'g'},
	                                      {"vmm-type", required_argument, NULL, 'm'},
	                                      {"es-init", no_argument, NULL, 'e'},
	                                      {"format", required_argument, NULL, 'F'},
	                                      {"help", no_argument, NULL, 'h'},
	                                      {0}};
	int option;

	while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return TOOL_HELP;
		}
		if (!measure_option(measure, option, optarg))
			return TOOL_FAILED;
	}
	if (optind != argc) {
		fputs(usage, stderr);
		return TOOL_FAILED;
	}
	return measure_whole(measure) ? TOOL_OK : TOOL_FAILED;
}

static int measure_open(struct measure *measure)
{
	measure->firmware = tool_open(&measure->tool, measure->firmware_name, O_RDONLY);
	if (measure->firmware >= 0 && measure->kernel_name)
		measure->kernel = tool_open(&measure->tool, measure->kernel_name, O_RDONLY);
	if (measure->kernel >= 0 && measure->initrd_name)
		measure->initrd = tool_open(&measure->tool, measure->initrd_name, O_RDONLY);
	return measure->firmware < 0 || measure->kernel < 0 || measure->initrd < 0 ? TOOL_NO_FILE
	                                                                           : TOOL_OK;
}

/* --- in the role --- */

static int measure_hash_file(int fd, const char *name, uint8_t hash[32])
{
	static uint8_t block[MEASURE_BLOCK];
	struct hash state;
	ssize_t n;

	hash_open(&state, HASH_SHA256);
	while ((n = read(fd, block, sizeof(block))) > 0)
		hash_add(&state, block, (size_t)n);
	if (n < 0)
		fprintf(stderr, "cordon: cannot read %s: %s\n", name, strerror(errno));
	return hash_close(&state, hash) == 0 && n == 0 ? TOOL_OK : TOOL_FAILED;
}

static int measure_kernel(struct measure *measure)
{
	struct confidential_kernel *hashes = &measure->hashes;
	int status;

	if (!measure->kernel_name)
		return TOOL_OK;
	measure->input.kernel = hashes;
	status = measure_hash_file(measure->kernel, measure->kernel_name, hashes->kernel);
	if (status == TOOL_OK && measure->initrd_name)
		status = measure_hash_file(measure->initrd, measure->initrd_name, hashes->initrd);
	else if (hash_once(HASH_SHA256, "", 0, hashes->initrd) != 0)
		status = TOOL_FAILED;
	if (confidential_hash_command_line(measure->append, hashes->command_line) != 0)
		status = TOOL_FAILED;
	return status;
}

static void measure_print(const struct measure *measure, const struct confidential_digest *digest)
{
	char text[2 * CONFIDENTIAL_DIGEST_MAX + 1];
	json_t *json;

	tool_hex_text(text, digest->bytes, digest->size);
	if (!measure->json) {
		puts(text);
		return;
	}
	json = json_pack("{s:s, s:s, s:s}", "type", confidential_type_name(measure->input.type),
	                 "algorithm", digest->size == HASH_SHA256 ? "sha256" : "sha384", "digest",
	                 text);
	if (json)
		json_dumpf(json, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(json);
}

static int measure_run(struct measure *measure)
{
	struct confidential_digest digest;
	BASE_AUTO_FREE uint8_t *bytes = NULL;
	char why[WHY_MAX];
	int err;

	bytes = tool_read(measure->firmware, measure->firmware_name, MEASURE_FIRMWARE_MAX,
	                  &measure->input.size);
	if (!bytes || measure_kernel(measure) != TOOL_OK)
		return TOOL_FAILED;
	measure->input.bytes = bytes;
	/* such a file begins with its name, which no other firmware does */
	measure->input.igvm = measure->input.igvm || igvm_is(bytes, measure->input.size);
	if (!measure_processors(measure))
		return TOOL_FAILED;
	err = confidential_measure(&measure->input, &digest, why);
	if (err) {
		fprintf(stderr, "cordon: %s: %s\n", measure->firmware_name, why);
		return err == -EINVAL ? TOOL_REFUSED : TOOL_FAILED;
	}
	measure_print(measure, &digest);
	return fflush(stdout) == 0 ? TOOL_OK : TOOL_FAILED;
}

int main(int argc, char **argv)
{
	static struct measure measure = {.input.features = 1};
	int status;

	signal(SIGPIPE, SIG_IGN);
	if (argc > 0 && strcmp(argv[0], "id-block") == 0)
		return measure_idblock(argc, argv);
	status = measure_parse(argc, argv, &measure);
	if (status == TOOL_OK)
		status = measure_open(&measure);
	if (status == TOOL_OK)
		status = tool_enter(&measure.tool, &list_measure);
	return status == TOOL_OK ? measure_run(&measure) : tool_exit(status);
}
