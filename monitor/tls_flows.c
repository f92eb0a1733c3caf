/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The client's hello is taken apart where it arrives, from its first segment. What the server says is put together
 * first, as a certificate is longer than a segment: up to FLOW_STREAM_MAX bytes of so many servers at a time, in order;
 * a segment that is missing ends it. Up to TLS 1.2 the certificate follows the server's hello in the clear
 * (RFC 5246, 7.4.2); in TLS 1.3 it is encrypted, and the hello says so.
 *
 * Limits. A certificate that does not end within the first 4,096 bytes, as with a very long list of names, is not seen.
 * A mismatch says that the names differ, as RFC 6125 compares them, not that anybody is deceived: a client that
 * does not ask by name (no SNI) has none.
 */
#include "monitor/tls_flows.h"

#include "base/base.h"
#include "monitor/detector.h"

enum { TLS_FLOWS_WAYS = 8, TLS_FLOWS_OF_SERVER = 32, TLS_RECORD_HEAD = 5, TLS_MESSAGE_HEAD = 4 };
enum { TLS_RECORD = 22, TLS_SERVER_HELLO = 2, TLS_CERTIFICATE = 11, TLS_1_3 = 0x0304 };

struct tls_server {    /* what a server has said so far */
	uint64_t hash; /* 0: free */
	uint64_t last_ns;
	size_t size;
	uint8_t bytes[FLOW_STREAM_MAX];
};

struct tls_flows {
	size_t count, server_count;
	struct tls_server *servers;
	struct tls_flow all[];
};

struct tls_flows *tls_flows_create(size_t count)
{
	struct tls_flows *flows = calloc(1, sizeof(*flows) + count * sizeof(flows->all[0]));

	if (!flows)
		return NULL;
	flows->count = count;
	flows->server_count = BASE_MAX(count / TLS_FLOWS_OF_SERVER, (size_t)2);
	flows->servers = calloc(flows->server_count, sizeof(flows->servers[0]));
	if (flows->servers)
		return flows;
	free(flows);
	return NULL;
}

void tls_flows_destroy(struct tls_flows *flows)
{
	if (flows)
		free(flows->servers);
	free(flows);
}

static uint64_t tls_flow_hash(const struct flow_key *key)
{
	return detector_mix(detector_hash_address(key->guest) +
	                    3 * detector_hash_address(key->peer) +
	                    ((uint64_t)key->guest_port << 16 | key->peer_port)) |
	       1;
}

static struct tls_flow *tls_flow_place(struct tls_flows *flows, uint64_t hash)
{
	struct tls_flow *place = NULL;

	for (size_t i = 0; i < TLS_FLOWS_WAYS; i++) {
		struct tls_flow *flow = &flows->all[((hash >> 32) + i) & (flows->count - 1)];

		if (flow->hash == hash)
			return flow;
		if (!place || flow->last_ns < place->last_ns)
			place = flow;
	}
	*place = (struct tls_flow){.hash = hash};
	return place;
}

const struct tls_flow *tls_flows_find(const struct tls_flows *flows, const struct flow_key *key)
{
	const uint64_t hash = tls_flow_hash(key);

	for (size_t i = 0; flows && i < TLS_FLOWS_WAYS; i++) {
		const struct tls_flow *flow = &flows->all[((hash >> 32) + i) & (flows->count - 1)];

		if (flow->hash == hash)
			return flow;
	}
	return NULL;
}

/* --- the server --- */

/* Bytes of the handshake, taken out of the records that carry it: in place, as these are longer. */
static size_t tls_handshake(uint8_t *bytes, size_t size)
{
	size_t at = 0, out = 0;

	while (size - at >= TLS_RECORD_HEAD && bytes[at] == TLS_RECORD && bytes[at + 1] == 3) {
		size_t length = base_be16(bytes + at + 3);

		at += TLS_RECORD_HEAD;
		length = BASE_MIN(length, size - at);
		memmove(bytes + out, bytes + at, length);
		out += length;
		at += length;
	}
	return out;
}

/* The version of a server hello (RFC 8446, 4.1.3): what its extension says, if it has one. */
static uint16_t tls_server_version(const uint8_t *hello, size_t size)
{
	/* version, random, then the session with its length, cipher, compression, length of the extensions */
	size_t at = 34;
	uint16_t version;

	if (size < at + 1)
		return 0;
	version = base_be16(hello);
	at += 1 + (size_t)hello[at] + 3 + 2;
	for (size_t length; at + 4 <= size; at += 4 + length) {
		length = base_be16(hello + at + 2);
		if (base_be16(hello + at) == 43 && length == 2 && at + 6 <= size)
			return base_be16(hello + at + 4);
	}
	return version;
}

/* The first certificate of the list, which is the server's own. */
static void tls_certificate(struct tls_flow *flow, const uint8_t *bytes, size_t size)
{
	struct x509_names names;
	size_t length;

	if (size < 6)
		return;
	length = (size_t)bytes[3] << 16 | base_be16(bytes + 4);
	if (length > size - 6 || x509_names(bytes + 6, length, flow->name, &names) < 0)
		return;
	base_copy_string(flow->certificate, sizeof(flow->certificate), names.first);
	flow->mismatch = flow->name[0] && !names.matches;
}

/* True when there is nothing more to wait for. */
static bool tls_server_said(struct tls_flow *flow, const struct tls_server *server)
{
	uint8_t bytes[FLOW_STREAM_MAX];
	size_t at = 0, size;

	memcpy(bytes, server->bytes, server->size);
	size = tls_handshake(bytes, server->size);
	while (size - at >= TLS_MESSAGE_HEAD) {
		const uint8_t type = bytes[at];
		const size_t length = (size_t)bytes[at + 1] << 16 | base_be16(bytes + at + 2);

		at += TLS_MESSAGE_HEAD;
		if (length > size - at)
			return server->size == sizeof(server->bytes);
		if (type == TLS_SERVER_HELLO)
			flow->version = tls_server_version(bytes + at, length);
		else if (type == TLS_CERTIFICATE)
			tls_certificate(flow, bytes + at, length);
		if (flow->version >= TLS_1_3 || type != TLS_SERVER_HELLO)
			return true;
		at += length;
	}
	return server->size == sizeof(server->bytes);
}

static struct tls_server *tls_server_place(struct tls_flows *flows, uint64_t hash, bool begins)
{
	struct tls_server *place = &flows->servers[0];

	for (size_t i = 0; i < flows->server_count; i++) {
		struct tls_server *server = &flows->servers[i];

		if (server->hash == hash)
			return server;
		if (server->last_ns < place->last_ns)
			place = server;
	}
	if (!begins)
		return NULL;
	place->hash = hash;
	place->size = 0;
	return place;
}

static void tls_server_seen(struct tls_flows *flows, struct tls_flow *flow,
                            const struct flow_payload_event *event)
{
	struct tls_server *server = tls_server_place(flows, flow->hash, event->offset == 0);
	size_t size;

	if (!server)
		return;
	server->last_ns = event->header.time_ns;
	/* one that was sent again is there already */
	if (event->offset < server->size)
		return;
	size = BASE_MIN((size_t)event->captured, sizeof(server->bytes) - server->size);
	if (event->offset == server->size) {
		memcpy(server->bytes + server->size, event->bytes, size);
		server->size += size;
		if (!tls_server_said(flow, server) && event->captured == event->length)
			return;
	}
	server->hash = server->last_ns = 0;
}

void tls_flows_seen(struct tls_flows *flows, const struct flow_payload_event *event)
{
	const bool client = (event->side == FLOW_GUEST) == !(event->flags & FLOW_FLAG_PEER_OPENED);
	const uint64_t hash = tls_flow_hash(&event->key);
	struct tls_hello hello;
	struct tls_flow *flow;

	if (event->kind != FLOW_PAYLOAD_TLS || (client && event->offset != 0))
		return;
	if (!client) {
		flow = tls_flow_place(flows, hash);
		flow->last_ns = event->header.time_ns;
		tls_server_seen(flows, flow, event);
		return;
	}
	if (tls_hello_parse(event->bytes, event->captured, true, &hello) < 0)
		return;
	flow = tls_flow_place(flows, hash);
	*flow = (struct tls_flow){.hash = hash, .last_ns = event->header.time_ns};
	if (strlen(hello.name) < sizeof(flow->name))
		base_copy_string(flow->name, sizeof(flow->name), hello.name);
	memcpy(flow->ja4, hello.ja4, sizeof(flow->ja4));
	memcpy(flow->alpn, hello.alpn, sizeof(flow->alpn));
}
