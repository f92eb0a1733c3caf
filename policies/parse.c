/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parsing, in this process.
 */
#include "policies/internal.h"

static bool check_size(struct policy_report *report)
{
	struct policy_error *error;

	if (report->size > POLICY_SIZE_MAX) {
		report->size = 0; /* what is too large is not quoted either */
		error = policy_report_at(report, 1, 1, 1);
		policy_error_found(error, "more than 256 KiB");
		policy_error_expected(error, "a policy of at most %d bytes", POLICY_SIZE_MAX);
		return false;
	}
	return true;
}

int policy_parse_here(const char *text, size_t size, struct policy *policy,
                      struct policy_errors *errors)
{
	struct policy_report report = {.errors = errors, .text = text, .size = size};
	struct policy_walk walk = {.policy = policy, .report = &report};
	struct policy_tree tree;
	int error;

	memset(policy, 0, sizeof(*policy));
	errors->count = 0;
	errors->more = false;
	if (!check_size(&report))
		return -EINVAL;
	error = policy_tree_read(&tree, &report);
	if (error == -ENOMEM)
		return error;
	if (tree.root) {
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

int policy_parse(const char *text, size_t size, struct policy *policy, struct policy_errors *errors)
{
	return policy_parse_here(text, size, policy, errors);
}
