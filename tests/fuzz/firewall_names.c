/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzzes what cordon-names reads: an answer of DNS's, judged by a policy's names. */
#include "base/base.h"
#include "firewall/names_judge.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char names[] = "www.example.org\n*.example.com\na.b\n*.b\n*.a.b\n";
	static struct names_patterns patterns;
	struct names_request request;
	uint8_t *copy = malloc(size ? size : 1);

	require(copy);
	memcpy(copy, data, size);
	if (!patterns.count) {
		memcpy(patterns.text, names, sizeof(names));
		names_patterns_split(&patterns, sizeof(names) - 1);
	}
	names_judge(&patterns, copy, size, &request);
	require(request.count <= NAMES_ITEMS_MAX);
	for (uint32_t i = 0; i < request.count; i++) {
		const struct names_item *item = &request.items[i];
		bool known = false;

		for (size_t k = 0; k < patterns.count; k++)
			known |= item->name == names_hash(patterns.list[k]);
		require(known && (item->family == 4 || item->family == 6) &&
		        item->ttl <= INT32_MAX);
		/* every address that is opened stands in the message */
		require(memmem(copy, size, item->address, item->family == 4 ? 4 : 16));
	}
	free(copy);
	return 0;
}
