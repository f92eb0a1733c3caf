/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parsing, and the child process that it happens in.
 *
 * A policy may come from whoever may start a VM, and libyaml is C. So the text is read by a child
 * that enters its role first: no file but /dev/null, a user of its own, empty namespaces, and a
 * seccomp list that allows memory and an end. What it makes it leaves in a shared mapping; the
 * parent waits for its end, copies that once, and believes none of it before policy_valid().
 *
 * Where the caller is not root the child keeps the caller's user; all else is the same.
 *
 * #syscall policy: mremap - a buffer for a long text grows
 */
#include <linux/capability.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "isolate/isolate.h"
#include "policies/internal.h"
#include "policies/list_policy.h"

enum {
	CPU_SECONDS = 2,
	MEMORY = 512 * 1024 * 1024, /* address space: the caller's and some 4 MiB for the tree */
};

struct outcome {
	uint32_t finished;
	int result;
	struct policy policy;
	struct policy_errors errors;
};

static bool check_size(struct policy_report *report)
{
	struct policy_error *error;

	if (report->size <= POLICY_SIZE_MAX)
		return true;
	report->size = 0; /* what is too large is not quoted either */
	error = policy_report_at(report, 1, 1, 1);
	policy_error_found(error, "more than 256 KiB");
	policy_error_expected(error, "a policy of at most %d bytes", POLICY_SIZE_MAX);
	return false;
}

int policy_parse_here(const char *text, size_t size, struct policy *policy,
                      struct policy_errors *errors)
{
	struct policy_report report = {.errors = errors, .text = text, .size = size};
	struct policy_walk walk = {.policy = policy, .report = &report};
	struct policy_tree tree;

	memset(policy, 0, sizeof(*policy));
	errors->count = 0;
	errors->more = false;
	if (!check_size(&report))
		return -EINVAL;
	if (policy_tree_read(&tree, &report) == -ENOMEM)
		return -ENOMEM;
	if (tree.root) {
		const struct policy_node *cc = policy_node_find(tree.root, "confidential");

		walk.firmware = cc && policy_node_find(cc, "firmware");
		policy_walk_map(&walk, &policy_map_policy, tree.root, policy);
	} else if (report.total == 0) {
		struct policy_error *empty = policy_report_at(&report, 1, 1, 1);

		policy_error_found(empty, "an empty policy");
		policy_error_expected(empty, "version: 1 and vm: with its name and kernel");
	}
	policy_tree_free(&tree);
	policy_report_sort(&report);
	return report.total ? -EINVAL : 0;
}

static int set_limit(__rlimit_resource_t resource, rlim_t value)
{
	const struct rlimit limit = {value, value};

	return setrlimit(resource, &limit) ? -errno : 0;
}

/* Root in a container may lack what namespaces and another user take. */
static bool is_privileged(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

	return geteuid() == 0 && syscall(SYS_capget, &header, data) == 0 &&
	       (data[0].effective & 1u << CAP_SYS_ADMIN);
}

static int enter_role(void)
{
	const struct isolate_role role = {
	        .uid = ISOLATE_UID_BASE - 1,
	        .gid = ISOLATE_UID_BASE - 1,
	        .flags = is_privileged() ? 0 : ISOLATE_UNPRIVILEGED,
	        .list = &list_policy,
	};
	int error = set_limit(RLIMIT_CPU, CPU_SECONDS);

#ifndef __SANITIZE_ADDRESS__ /* its shadow is terabytes of address space */
	if (!error)
		error = set_limit(RLIMIT_AS, MEMORY);
#endif
	return error ? error : isolate_enter(&role);
}

int policy_run_child(policy_child_fn run, void *result)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		int error = enter_role();

		if (error)
			_exit(-error);
		run(result);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFEXITED(status))
		return -WEXITSTATUS(status);
	return WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL ? -ETIME : -ECHILD;
}

struct request {
	const char *text;
	size_t size;
	struct outcome *outcome;
};

static void run_parser(void *argument)
{
	struct request *request = argument;
	struct outcome *outcome = request->outcome;

	outcome->result =
	        policy_parse_here(request->text, request->size, &outcome->policy, &outcome->errors);
	outcome->finished = 1;
}

/* The child has ended: nobody else writes to the outcome any more. */
static int take_outcome(const struct outcome *outcome, struct policy *policy,
                        struct policy_errors *errors)
{
	if (outcome->finished && outcome->result == 0) {
		memcpy(policy, &outcome->policy, sizeof(*policy));
		if (policy_valid(policy))
			return 0;
	} else if (outcome->finished && outcome->result == -EINVAL) {
		memcpy(errors, &outcome->errors, sizeof(*errors));
		if (policy_errors_valid(errors))
			return -EINVAL;
	} else if (outcome->finished && outcome->result == -ENOMEM) {
		return -ENOMEM;
	}
	memset(policy, 0, sizeof(*policy));
	errors->count = 0;
	return -EPROTO;
}

int policy_parse(const char *text, size_t size, struct policy *policy, struct policy_errors *errors)
{
	struct request request = {.text = text, .size = size};
	int error;

	memset(policy, 0, sizeof(*policy));
	errors->count = 0;
	errors->more = false;
	request.outcome = mmap(NULL, sizeof(*request.outcome), PROT_READ | PROT_WRITE,
	                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (request.outcome == MAP_FAILED)
		return -errno;
	error = policy_run_child(run_parser, &request);
	if (!error)
		error = take_outcome(request.outcome, policy, errors);
	munmap(request.outcome, sizeof(*request.outcome));
	return error;
}
