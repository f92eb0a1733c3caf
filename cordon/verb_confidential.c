/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * measure, id-block, attest: about confidential guests, offline. These verbs only become cordon-measure and
 * cordon-attest, which read files in a sandbox of their own. A policy is read here, and becomes options.
 */
#include "cordon/cli.h"

#include "base/base.h"
#include "cordon/launch.h"
#include "cordon/verbs.h"

enum { CONFIDENTIAL_ARGS_MAX = 96, CONFIDENTIAL_OWN_ARGS = 16 };

/* What a policy says, as options; the paths and numbers are in it. */
struct confidential_args {
	char *list[CONFIDENTIAL_ARGS_MAX + CONFIDENTIAL_OWN_ARGS];
	size_t count;
	struct policy policy;
	char vcpus[16], kernel[2 * POLICY_PATH_MAX], initrd[2 * POLICY_PATH_MAX];
	char firmware[2 * POLICY_PATH_MAX];
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

static int confidential_policy(struct confidential_args *args, const char *path,
                               struct host_error *error)
{
	static const char *const types[] = {NULL, "sev", "sev-es", "sev-snp", "tdx"};
	const struct policy_vm *vm = &args->policy.vm;
	json_t *params = cli_policy(path, error);
	const char *text, *file, *dir;
	size_t size;
	int err;

	if (!params)
		return -EINVAL;
	err = json_unpack(params, "{s:s%, s:s, s:s}", "policy", &text, &size, "path", &file, "dir",
	                  &dir) == 0
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
	if (!err) {
		confidential_arg(args, "--type",
		                 (char *)(uintptr_t)types[args->policy.confidential.type]);
		snprintf(args->vcpus, sizeof(args->vcpus), "%u", vm->vcpus);
		confidential_arg(args, "--vcpus", args->vcpus);
		confidential_file(args->firmware, sizeof(args->firmware),
		                  args->policy.confidential.firmware, dir);
		confidential_arg(args, "--firmware", args->firmware);
	}
	if (!err && args->policy.confidential.type != POLICY_CC_TDX) {
		confidential_path(args->kernel, sizeof(args->kernel), vm->kernel, dir, "kernel");
		confidential_path(args->initrd, sizeof(args->initrd),
		                  vm->initrd[0] ? vm->initrd : vm->kernel, dir, "initrd");
		confidential_arg(args, "--kernel", args->kernel);
		if (vm->initrd[0] || (!strchr(vm->kernel, '/') && access(args->initrd, F_OK) == 0))
			confidential_arg(args, "--initrd", args->initrd);
	}
	json_decref(params);
	return err;
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

int verb_measure(int argc, char **argv)
{
	BASE_AUTO_FREE struct confidential_args *args = NULL;
	struct host_error error = {0};
	int first = 1;

	if (argc < 2 || argv[1][0] == '-')
		return confidential_become("cordon-measure", argv);
	args = calloc(1, sizeof(*args));
	if (!args || argc > CONFIDENTIAL_ARGS_MAX) {
		fprintf(stderr, "cordon: %d arguments are too many\n", argc);
		return VERB_FAILED;
	}
	args->list[args->count++] = argv[0];
	if (confidential_policy(args, argv[first], &error) != 0)
		return cli_refused(argv[first], &error, false);
	/* what is said after the policy counts */
	while (++first < argc)
		args->list[args->count++] = argv[first];
	return confidential_become("cordon-measure", args->list);
}

int verb_attest(int argc, char **argv)
{
	(void)argc;
	if (argc > 1 && strcmp(argv[1], "gate") == 0)
		return confidential_become("cordon-gate", argv + 1);
	return confidential_become("cordon-attest", argv);
}

int verb_id_block(int argc, char **argv)
{
	(void)argc;
	return confidential_become("cordon-measure", argv);
}
