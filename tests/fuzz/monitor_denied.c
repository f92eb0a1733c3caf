/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzzes the reader of what the firewall has logged. */
#include "base/base.h"
#include "monitor/denied.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void check(struct denied_event *event, void *data)
{
	require(data == NULL);
	require(event->header.size == sizeof(*event) && event->header.type == DENIED_EVENT);
	require(event->key.family == FLOW_IPV4 || event->key.family == FLOW_IPV6);
	require(event->more == 0 || event->more == DENIED_MORE - 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	require(copy);
	memcpy(copy, data, size);
	denied_read(copy, size, check, NULL);
	free(copy);
	return 0;
}
