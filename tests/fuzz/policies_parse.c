/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The policy parser on any text, in this process: what it takes must be valid, and what it refuses
 * must say so in errors that are.
 */
#include "policies/internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct policy policy;
	static struct policy_errors errors;
	static FILE *out;
	int result = policy_parse_here((const char *)data, size, &policy, &errors);

	if (!out)
		out = fopen("/dev/null", "w");
	if (result == 0 && !policy_valid(&policy))
		abort();
	if (result == -EINVAL && !policy_errors_valid(&errors))
		abort();
	if (result == 0) {
		policy_explain(out, &policy);
	} else {
		char *json BASE_AUTO_FREE = policy_errors_json("a.yaml", &errors);

		if (!json)
			abort();
		policy_errors_print(out, "a.yaml", &errors);
	}
	return 0;
}
