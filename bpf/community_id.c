// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * community_id: SHA-1 over seed, addresses, protocol, a zero byte and ports, the lesser end first, so
 * that both directions give the same. base64 of it, behind "1:".
 *
 * flow_key has ICMP's types in its ports already. Where a type has no counterpart the message is one
 * way, and the ends keep the order that they have on the wire, which for a one-way flow is its opener's.
 */
/*
 * SHA1_*() and not EVP: they compute and do nothing else. EVP would load a provider and read a
 * configuration file, which a process in its sandbox cannot.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "base/base.h"
#include "bpf/community_id.h"
#include "bpf/packet.h"

struct tuple { /* at most 2 + 16 + 16 + 1 + 1 + 2 + 2 bytes */
	uint8_t bytes[40];
	size_t size;
};

static void put(struct tuple *tuple, const void *bytes, size_t size)
{
	memcpy(tuple->bytes + tuple->size, bytes, size);
	tuple->size += size;
}

static void put_u16(struct tuple *tuple, uint16_t value)
{
	const uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};

	put(tuple, bytes, sizeof(bytes));
}

static bool has_ports(uint8_t proto)
{
	return proto == PACKET_PROTO_TCP || proto == PACKET_PROTO_UDP ||
	       proto == PACKET_PROTO_SCTP || proto == PACKET_PROTO_ICMP ||
	       proto == PACKET_PROTO_ICMP6;
}

int community_id(const struct flow_key *key, uint16_t flags, char id[COMMUNITY_ID_MAX])
{
	const size_t size = key->family == FLOW_IPV6 ? 16 : 4;
	int order = memcmp(key->guest, key->peer, size);
	uint8_t digest[SHA_DIGEST_LENGTH];
	struct tuple tuple = {.size = 0};
	bool guest_first;
	SHA_CTX sha;

	id[0] = '\0';
	if (key->family != FLOW_IPV4 && key->family != FLOW_IPV6)
		return -EPROTONOSUPPORT;
	if (flags & FLOW_FLAG_ONE_WAY)
		guest_first = !(flags & FLOW_FLAG_PEER_OPENED);
	else
		guest_first = order < 0 || (order == 0 && key->guest_port < key->peer_port);
	put_u16(&tuple, 0); /* the seed */
	put(&tuple, guest_first ? key->guest : key->peer, size);
	put(&tuple, guest_first ? key->peer : key->guest, size);
	put(&tuple, &key->proto, 1);
	put(&tuple, "", 1);
	if (has_ports(key->proto)) {
		put_u16(&tuple, guest_first ? key->guest_port : key->peer_port);
		put_u16(&tuple, guest_first ? key->peer_port : key->guest_port);
	}
	SHA1_Init(&sha);
	SHA1_Update(&sha, tuple.bytes, tuple.size);
	SHA1_Final(digest, &sha);
	memcpy(id, "1:", 2);
	EVP_EncodeBlock((unsigned char *)id + 2, digest, sizeof(digest));
	return 0;
}
