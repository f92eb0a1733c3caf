/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzzes the parser of DNS messages, and what is said of a name that it has found. */
#include "base/base.h"
#include "monitor/dns.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct dns_message message;
	size_t total = 0;

	require(copy);
	memcpy(copy, data, size);
	if (dns_parse(copy, size, &message) == 0) {
		const struct dns_name *name = &message.name;

		for (size_t i = 0; i < name->labels; i++) {
			require(dns_label_size(name, i) >= 1 && dns_label_size(name, i) <= 63);
			total += dns_label_size(name, i) + (i ? 1 : 0);
		}
		require(total == name->size);
		require(dns_zone_labels(name) <= BASE_MIN((size_t)name->labels, (size_t)3));
		dns_is_reverse(name);
	}
	free(copy);
	return 0;
}
