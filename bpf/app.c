// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A table of what a side begins with: bytes, and which of them count. What says more comes first. Text
 * protocols by their first word; binary ones by what their specifications fix:
 *
 *   tls     RFC 8446, 5.1 and 4       record type 22, version 3.x, client or server hello
 *   ssh     RFC 4253, 4.2
 *   http    RFC 9112, 3; HTTP/2 by its preface (RFC 9113, 3.4)
 *   smb     MS-SMB2 2.2.1, MS-SMB 2.2.3.1, behind four bytes of NetBIOS session (RFC 1002, 4.3.1)
 *   rdp     MS-RDPBCGR 2.2.1.1        TPKT version 3, X.224 connection request or confirm
 *   dns     RFC 1035, 4.1.1           port 53 or 5353, where the header has few things to check
 *   quic    RFC 9000, 17.2            long header, version 1 or 2 (RFC 9369)
 *   stun    RFC 8489, 5               the magic cookie
 *   ntp     RFC 5905, 7.3             48 bytes, version 3 or 4, with its port
 *   dhcp    RFC 2131, 2; snmp RFC 1157; ldap RFC 4511, 5.1; socks RFC 1928, 3; bittorrent BEP 3
 */
#include "bpf/app.h"

#include "base/base.h"
#include "bpf/packet.h"

struct app_begin {
	const char *name;
	uint8_t proto; /* 0: any */
	uint8_t at, size;
	const char *bytes;
};

#define BEGIN(name, proto, at, bytes)                     \
	{                                                 \
		name, proto, at, sizeof(bytes) - 1, bytes \
	}

static const struct app_begin begins[] = {
        BEGIN("ssh", PACKET_PROTO_TCP, 0, "SSH-"),
        BEGIN("http", PACKET_PROTO_TCP, 0, "GET "),
        BEGIN("http", PACKET_PROTO_TCP, 0, "POST "),
        BEGIN("http", PACKET_PROTO_TCP, 0, "HEAD "),
        BEGIN("http", PACKET_PROTO_TCP, 0, "PUT "),
        BEGIN("http", PACKET_PROTO_TCP, 0, "DELETE "),
        BEGIN("http", PACKET_PROTO_TCP, 0, "OPTIONS "),
        BEGIN("http", PACKET_PROTO_TCP, 0, "CONNECT "),
        BEGIN("http", PACKET_PROTO_TCP, 0, "PATCH "),
        BEGIN("http", PACKET_PROTO_TCP, 0, "PRI * HTTP/2"),
        BEGIN("http", PACKET_PROTO_TCP, 0, "HTTP/"),
        BEGIN("smb", PACKET_PROTO_TCP, 4, "\xfeSMB"),
        BEGIN("smb", PACKET_PROTO_TCP, 4, "\xffSMB"),
        BEGIN("bittorrent", 0, 0,
              "\x13"
              "BitTorrent protocol"),
        BEGIN("bittorrent", PACKET_PROTO_UDP, 0, "d1:"),
        BEGIN("imap", PACKET_PROTO_TCP, 0, "* OK"),
        BEGIN("pop3", PACKET_PROTO_TCP, 0, "+OK"),
        BEGIN("smtp", PACKET_PROTO_TCP, 0, "EHLO "),
        BEGIN("smtp", PACKET_PROTO_TCP, 0, "HELO "),
        BEGIN("ftp", PACKET_PROTO_TCP, 0, "USER "),
        BEGIN("vnc", PACKET_PROTO_TCP, 0, "RFB 00"),
        BEGIN("redis", PACKET_PROTO_TCP, 0, "*1\r\n$"),
        BEGIN("irc", PACKET_PROTO_TCP, 0, "NICK "),
        BEGIN("sip", 0, 0, "REGISTER sip:"),
        BEGIN("sip", 0, 0, "INVITE sip:"),
        BEGIN("ssdp", PACKET_PROTO_UDP, 0, "M-SEARCH *"),
        BEGIN("ssdp", PACKET_PROTO_UDP, 0, "NOTIFY *"),
};

static bool app_is(const struct app_begin *begin, uint8_t proto, const uint8_t *head, size_t size)
{
	return (!begin->proto || begin->proto == proto) &&
	       size >= (size_t)begin->at + begin->size &&
	       memcmp(head + begin->at, begin->bytes, begin->size) == 0;
}

static const char *app_tcp(const uint8_t *head, size_t size)
{
	if (size >= 6 && head[0] == 22 && head[1] == 3 && (head[5] == 1 || head[5] == 2))
		return "tls";
	if (size >= 6 && head[0] == 3 && head[1] == 0 && (head[5] == 0xe0 || head[5] == 0xd0))
		return "rdp";
	if (size >= 3 && head[0] == 5 && head[1] > 0 && head[1] == size - 2)
		return "socks";
	if (size >= 7 && head[0] == 0x30 && head[2] == 2 && head[3] == 1 && head[5] == 0x60)
		return "ldap";
	return NULL;
}

static const char *app_udp(const struct flow_key *key, const uint8_t *head, size_t size)
{
	const uint32_t version = size >= 5 ? base_be32(head + 1) : 0;

	if (size >= 20 && (head[0] & 0xc0) == 0xc0 && (version == 1 || version == 0x6b3343cf))
		return "quic";
	if (size >= 20 && (head[0] & 0xc0) == 0 && base_be32(head + 4) == 0x2112a442)
		return "stun";
	if (size >= 4 && head[0] == 0x30 && (key->guest_port == 161 || key->peer_port == 161))
		return "snmp";
	if (size >= 4 && (head[0] == 1 || head[0] == 2) && head[1] == 1 && head[2] == 6 &&
	    (key->guest_port == 67 || key->peer_port == 67))
		return "dhcp";
	if (size >= FLOW_HEAD_MAX && (key->guest_port == 123 || key->peer_port == 123) &&
	    (head[0] >> 3 & 7) >= 3 && (head[0] >> 3 & 7) <= 4)
		return "ntp";
	return NULL;
}

/* A header of DNS: opcode 0 to 5, and no more than a few questions. Over TCP behind its length. */
static bool app_is_dns(const struct flow_key *key, const uint8_t *head, size_t size)
{
	const size_t at = key->proto == PACKET_PROTO_TCP ? 2 : 0;

	if (key->guest_port != 53 && key->peer_port != 53 && key->guest_port != 5353 &&
	    key->peer_port != 5353)
		return false;
	return size >= at + 12 && (head[at + 2] >> 3 & 15) <= 5 && base_be16(head + at + 4) <= 4;
}

static const char *app_of(const struct flow_key *key, const uint8_t *head, size_t size)
{
	const char *name = NULL;

	if (key->proto == PACKET_PROTO_TCP)
		name = app_tcp(head, size);
	else if (key->proto == PACKET_PROTO_UDP)
		name = app_udp(key, head, size);
	for (size_t i = 0; i < BASE_COUNT(begins) && !name; i++)
		if (app_is(&begins[i], key->proto, head, size))
			name = begins[i].name;
	return name ? name : app_is_dns(key, head, size) ? "dns" : NULL;
}

const char *flow_app(const struct flow_record *record)
{
	const int opener = record->flags & FLOW_FLAG_PEER_OPENED ? FLOW_PEER : FLOW_GUEST;
	const char *name = NULL;

	if (record->key.family == FLOW_ARP)
		return NULL;
	for (int i = 0; i < 2 && !name; i++) {
		const int side = i ? !opener : opener;

		name = app_of(&record->key, record->first[side].head,
		              record->sides[side].head_size);
	}
	return name;
}
