/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzzes what a TLS server says: as a certificate, and as a flight in segments of a size that the input chooses. */
#include "base/base.h"
#include "monitor/tls_flows.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void segments(const uint8_t *data, size_t size)
{
	struct tls_flows *flows = tls_flows_create(8);
	const size_t step = size ? 1 + data[size - 1] * 8 : 1;
	struct flow_payload_event event = {.kind = FLOW_PAYLOAD_TLS,
	                                   .side = FLOW_PEER,
	                                   .key = {.family = FLOW_IPV4, .proto = 6}};
	const struct tls_flow *flow;

	require(flows);
	for (size_t at = 0; at < size; at += step) {
		event.offset = (uint32_t)at;
		event.captured = (uint16_t)BASE_MIN(BASE_MIN(step, size - at), sizeof(event.bytes));
		event.length = event.captured;
		event.header.time_ns++;
		memcpy(event.bytes, data + at, event.captured);
		tls_flows_seen(flows, &event);
	}
	flow = tls_flows_find(flows, &event.key);
	if (flow) {
		require(memchr(flow->certificate, '\0', sizeof(flow->certificate)) != NULL);
		require(!flow->mismatch); /* nobody asked for a name */
	}
	tls_flows_destroy(flows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	struct x509_names names;

	require(copy);
	memcpy(copy, data, size);
	if (x509_names(copy, size, "www.example.com", &names) == 0)
		require(strlen(names.first) < sizeof(names.first));
	segments(copy, size);
	free(copy);
	return 0;
}
