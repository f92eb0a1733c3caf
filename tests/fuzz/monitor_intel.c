/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzzes the reader of lists: whatever it takes, it finds again. */
#include "base/base.h"
#include "bpf/events.h"
#include "monitor/intel_list.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size ? size : 1);
	struct intel_list *list;
	struct intel_fault fault;
	uint8_t address[16] = {0};

	require(copy);
	memcpy(copy, data, size);
	if (intel_list_parse(copy, size, "/a/b", &list, &fault) == 0) {
		const char *comment = memchr(copy, '#', size);
		const char *line = memchr(copy, '\n', size);

		memcpy(address, copy, BASE_MIN(size, sizeof(address)));
		intel_list_address(list, address, FLOW_IPV4);
		intel_list_address(list, address, FLOW_IPV6);
		intel_list_domain(list, copy, size);
		/* a first line that is a name by itself */
		if (!comment && line && line > copy && line[-1] >= 'a' && copy[0] >= 'a' &&
		    !memchr(copy, ':', (size_t)(line - copy)) &&
		    !memchr(copy, '/', (size_t)(line - copy)))
			require(intel_list_domain(list, copy, (size_t)(line - copy)));
		intel_list_free(list);
	} else {
		require(list == NULL && strlen(fault.excerpt) < sizeof(fault.excerpt));
	}
	free(copy);
	return 0;
}
