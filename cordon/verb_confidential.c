/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * measure, id-block, attest: about confidential guests, offline. These verbs only become cordon-measure and
 * cordon-attest, which read files in a sandbox of their own. A policy is read here, and becomes options.
 */
#include "cordon/cli.h"

#include "base/base.h"
#include "confidential/flow.h"
#include "cordon/launch.h"
#include "cordon/verbs.h"

enum { CONFIDENTIAL_ARGS_MAX = 96, CONFIDENTIAL_OWN_ARGS = 16 };

/* What a policy says, as options; the paths and numbers are in it. */
struct confidential_args {
	char *list[CONFIDENTIAL_ARGS_MAX + CONFIDENTIAL_OWN_ARGS];
	size_t count;
	struct policy policy;
	char vcpus[16], kernel[2 * POLICY_PATH_MAX], initrd[2 * POLICY_PATH_MAX];
	char firmware[2 * POLICY_PATH_MAX], wishes[24];
	char id_block[2 * POLICY_PATH_MAX], id_auth[2 * POLICY_PATH_MAX];
	char host_data[2 * sizeof(((struct policy_confidential *)0)->host_data) + 1];
	char cmdline[LAUNCH_CMDLINE_MAX];
};

static void confidential_arg(struct confidential_args *args, const char *option, char *value)
{
	args->list[args->count++] = (char *)(uintptr_t)option;
	args->list[args->count++] = value;
}

/* A file that a policy names: relative to it. */
static void confidential_file(char *out, size_t size, const char *name, const char *dir)
{
	snprintf(out, size, "%s%s%s", name[0] == '/' ? "" : dir, name[0] == '/' ? "" : "/", name);
}

/* The file of a policy's kernel or initrd: of an image, or relative to the policy. */
static void confidential_path(char *out, size_t size, const char *name, const char *dir,
                              const char *part)
{
	if (!strchr(name, '/'))
		snprintf(out, size, "%s/%s/%s", HOST_IMAGE_DIR, name, part);
	else
		confidential_file(out, size, name, dir);
}

/* The policy; `dir` is the folder that its files start at, in *params, which is the caller's to drop. */
static int confidential_read(struct confidential_args *args, const char *path, json_t **params,
                             const char **dir, struct host_error *error)
{
	const char *text, *file;
	size_t size;
	int err;

	*params = cli_policy(path, error);
	if (!*params)
		return -EINVAL;
	err = json_unpack(*params, "{s:s%, s:s, s:s}", "policy", &text, &size, "path", &file, "dir",
	                  dir) == 0
	              ? launch_parse(text, size, file, &args->policy, error)
	              : -EINVAL;
	if (!err && args->policy.confidential.type == POLICY_CC_NONE)
		err = host_fail(error, -EINVAL, VERB_REFUSED,
		                "%s has no confidential guest: its `confidential` is none", path);
	if (!err && args->policy.confidential.type == POLICY_CC_SW_PROTECTED)
		err = host_fail(error, -EINVAL, VERB_REFUSED,
		                "%s has a guest whose start nobody measures: its `confidential` is "
		                "sw-protected",
		                path);
	return err;
}

/* What is launched: for cordon-measure. */
static int confidential_launch(struct confidential_args *args, const char *dir,
                               struct host_error *error)
{
	static const char *const types[] = {NULL, "sev", "sev-es", "sev-snp", "tdx"};
	const struct policy_vm *vm = &args->policy.vm;
	char disk[2 * POLICY_PATH_MAX];

	(void)error;
	confidential_arg(args, "--type", (char *)(uintptr_t)types[args->policy.confidential.type]);
	snprintf(args->vcpus, sizeof(args->vcpus), "%u", vm->vcpus);
	confidential_arg(args, "--vcpus", args->vcpus);
	confidential_file(args->firmware, sizeof(args->firmware),
	                  args->policy.confidential.firmware, dir);
	confidential_arg(args, "--firmware", args->firmware);
	if (args->policy.confidential.type == POLICY_CC_TDX || !vm->kernel[0])
		return 0;
	confidential_path(args->kernel, sizeof(args->kernel), vm->kernel, dir, "kernel");
	confidential_path(args->initrd, sizeof(args->initrd),
	                  vm->initrd[0] ? vm->initrd : vm->kernel, dir, "initrd");
	confidential_arg(args, "--kernel", args->kernel);
	if (vm->initrd[0] || (!strchr(vm->kernel, '/') && access(args->initrd, F_OK) == 0))
		confidential_arg(args, "--initrd", args->initrd);
	/* the one that the guest is launched with */
	confidential_path(disk, sizeof(disk), vm->kernel, dir, "disk");
	images_cmdline(vm, !strchr(vm->kernel, '/') && access(disk, F_OK) == 0, args->cmdline,
	               sizeof(args->cmdline));
	confidential_arg(args, "--append", args->cmdline);
	return 0;
}

/* What its report has to have: for cordon-attest and cordon-gate. */
static int confidential_evidence(struct confidential_args *args, const char *dir,
                                 struct host_error *error)
{
	const struct policy_confidential *c = &args->policy.confidential;
	const struct cc_wishes wishes = {.debug = c->debug,
	                                 .smt = c->smt,
	                                 .abi_major = c->abi_major,
	                                 .abi_minor = c->abi_minor};
	const bool snp = c->type == POLICY_CC_SEV_SNP;

	if (!snp && c->type != POLICY_CC_TDX)
		return host_fail(
		        error, -EINVAL, VERB_REFUSED,
		        "policy line %u: guests of type sev and sev-es have no such reports",
		        c->line);
	snprintf(args->wishes, sizeof(args->wishes), "0x%llx",
	         (unsigned long long)(snp ? cc_snp_policy(&wishes) : cc_tdx_attributes(&wishes)));
	confidential_arg(args, "--type", (char *)(uintptr_t)(snp ? "sev-snp" : "tdx"));
	confidential_arg(args, "--policy", args->wishes);
	if (c->debug)
		args->list[args->count++] = (char *)(uintptr_t) "--allow-debug";
	if (!snp)
		return 0;
	for (size_t i = 0; i < sizeof(c->host_data); i++)
		snprintf(args->host_data + 2 * i, 3, "%02x", c->host_data[i]);
	confidential_arg(args, "--host-data", args->host_data);
	if (!c->id_block[0])
		return 0;
	confidential_file(args->id_block, sizeof(args->id_block), c->id_block, dir);
	confidential_arg(args, "--id-block", args->id_block);
	confidential_file(args->id_auth, sizeof(args->id_auth), c->id_auth, dir);
	confidential_arg(args, "--id-auth", args->id_auth);
	return 0;
}

/* Becomes the program; it has only what it is given, and no environment. */
static int confidential_become(const char *program, char **argv)
{
	char path[POLICY_PATH_MAX];

	if (programs_path(path, program) == 0)
		execve(path, argv, (char *[]){NULL});
	fprintf(stderr, "cordon: cannot run %s: %s\n", program, strerror(errno));
	return VERB_FAILED;
}

typedef int confidential_fill(struct confidential_args *args, const char *dir,
                              struct host_error *error);

/* Becomes the program, with options in place of the policy that is the argument `at`; what is said after it counts. */
static int confidential_with_policy(const char *program, int argc, char **argv, int at,
                                    confidential_fill *fill)
{
	BASE_AUTO_FREE struct confidential_args *args = NULL;
	struct host_error error = {0};
	json_t *params = NULL;
	const char *dir = "";
	int err;

	if (argc <= at || argv[at][0] == '-')
		return confidential_become(program, argv);
	args = calloc(1, sizeof(*args));
	if (!args || argc > CONFIDENTIAL_ARGS_MAX) {
		fprintf(stderr, "cordon: %d arguments are too many\n", argc);
		return VERB_FAILED;
	}
	for (int i = 0; i < at; i++)
		args->list[args->count++] = argv[i];
	err = confidential_read(args, argv[at], &params, &dir, &error);
	if (!err)
		err = fill(args, dir, &error);
	json_decref(params);
	if (err) {
		int status = cli_refused(argv[at], &error, false);

		/* of evidence, 1 says that it was refused, and nothing else */
		return fill == confidential_evidence && status != VERB_NOT_FOUND ? VERB_FAILED
		                                                                 : status;
	}
	for (int i = at + 1; i < argc; i++)
		args->list[args->count++] = argv[i];
	return confidential_become(program, args->list);
}

int verb_measure(int argc, char **argv)
{
	return confidential_with_policy("cordon-measure", argc, argv, 1, confidential_launch);
}

/* A number is for the program; anything else is a policy's file. */
static bool attest_is_number(const char *text)
{
	if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
		text += 2;
	return text[0] && text[strspn(text, "0123456789abcdefABCDEF")] == '\0';
}

/* `--policy FILE` is FILE at argument `at`; how many arguments there are then. */
static int attest_policy_first(int argc, char **argv, int at)
{
	for (int i = at; i + 1 < argc; i++) {
		char *file = argv[i + 1];

		if (strcmp(argv[i], "--policy") != 0 || attest_is_number(file))
			continue;
		memmove(argv + at + 1, argv + at, (size_t)(i - at) * sizeof(*argv));
		argv[at] = file;
		/* and the NULL behind the last */
		memmove(argv + i + 1, argv + i + 2, (size_t)(argc - i - 1) * sizeof(*argv));
		return argc - 1;
	}
	return argc;
}

int verb_attest(int argc, char **argv)
{
	argc = attest_policy_first(argc, argv, 2);
	if (argc > 1 && strcmp(argv[1], "gate") == 0)
		return confidential_with_policy("cordon-gate", argc - 1, argv + 1, 1,
		                                confidential_evidence);
	return confidential_with_policy("cordon-attest", argc, argv, 2, confidential_evidence);
}

int verb_id_block(int argc, char **argv)
{
	(void)argc;
	return confidential_become("cordon-measure", argv);
}
