/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * packet: the one packet parser. The BPF programs and the pcap reader both include it, so that live
 * and offline see the same flows.
 *
 * It reads a copy of the frame's first bytes (PACKET_SNAP of them at most, also where a pcap has
 * more, so that both sides stop at the same byte) and fills a struct packet. The frame is hostile:
 * every access goes through packet_take(), which knows where the copy ends, and every loop has a
 * constant bound, for the verifier and for the guest's imagination alike.
 *
 * A frame that lies (lengths that don't add up) or stops short still gives what could be read before
 * that point, with PACKET_TRUNCATED or PACKET_MALFORMED set: scans are made of odd packets.
 *
 * Written so that the 6.1 verifier follows it: offsets are compared with constants, structures of the
 * wire are read a byte at a time, and nothing is called that clang would not inline.
 */
#ifndef CORDON_BPF_PACKET_H
#define CORDON_BPF_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#define PACKET_INLINE static inline __attribute__((always_inline))

/*
 * Functions that the verifier should look at once and by themselves: global ones, whose arguments and
 * results are unknown to it. Inlined, their paths would multiply. They have to check their pointers.
 */
#ifdef __bpf__
#define PACKET_FUNCTION __attribute__((noinline))
#else
#define PACKET_FUNCTION static inline
#endif

enum {
	PACKET_SNAP = 256,         /* bytes of a frame that are looked at */
	PACKET_VLANS_MAX = 2,      /* tags read; a third one leaves the frame unparsed */
	PACKET_EXTENSIONS_MAX = 8, /* IPv6 extension headers walked */
};

enum packet_family { PACKET_OTHER = 0, PACKET_ARP = 1, PACKET_IPV4 = 4, PACKET_IPV6 = 6 };

enum packet_flags {
	PACKET_FRAGMENT = 1,       /* a fragment, the first one included */
	PACKET_LATER_FRAGMENT = 2, /* not the first: no ports */
	PACKET_TRUNCATED = 4,      /* the copy ends within the headers */
	PACKET_MALFORMED = 8,      /* a length or version field cannot be true */
	PACKET_OPTIONS = 16,       /* IPv4 options or IPv6 extension headers */
	PACKET_PORTS = 32,         /* src_port and dst_port were read (for ICMP: type and code) */
	PACKET_QUOTE = 64,
	/* an ICMP error, and `quote` says about what */ PACKET_TARGET =
	        256,              /* a neighbour solicitation or advertisement, about quote.dst */
	PACKET_FOREIGN_MAC = 128, /* not the parser's: the source MAC is not the guest's */
};

/* tcp_flags, as on the wire (RFC 9293, 3.1) */
enum {
	PACKET_FIN = 0x01,
	PACKET_SYN = 0x02,
	PACKET_RST = 0x04,
	PACKET_PSH = 0x08,
	PACKET_ACK = 0x10,
	PACKET_URG = 0x20,
};

enum {
	PACKET_PROTO_ICMP = 1,
	PACKET_PROTO_TCP = 6,
	PACKET_PROTO_UDP = 17,
	PACKET_PROTO_ICMP6 = 58,
	PACKET_PROTO_SCTP = 132,
};

/* The packet that an ICMP error is about, as far as its quoted headers reach. */
struct packet_quote {
	uint8_t src[16];
	uint8_t dst[16];
	uint16_t src_port;
	uint16_t dst_port;
	uint8_t proto;
	uint8_t reserved[3];
};

/* Addresses in network order (IPv4 and ARP in the first four bytes), all else in host order. */
struct packet {
	uint8_t src[16];
	uint8_t dst[16]; /* ARP: sender's and target's protocol address */
	struct packet_quote quote;
	uint32_t seq, ack;
	uint32_t wire;       /* bytes of the frame on the wire */
	uint32_t payload;    /* bytes above the last header understood, by the headers' lengths */
	uint32_t payload_at; /* where they start in the bytes that were parsed */
	uint16_t payload_captured;   /* how many of them the copy holds */
	uint16_t src_port, dst_port; /* ICMP: type and code */
	uint16_t window;
	uint16_t ethertype;              /* below the VLAN tags; below 1536: an 802.3 length */
	uint16_t vlan[PACKET_VLANS_MAX]; /* the 12-bit ids, outer first */
	uint16_t flags;                  /* enum packet_flags */
	uint16_t arp_op;
	uint8_t src_mac[6], dst_mac[6];
	uint8_t vlan_count;
	uint8_t family; /* enum packet_family */
	uint8_t proto;  /* IPv6: of the first header that is no extension */
	uint8_t ttl;
	uint8_t tcp_flags;
	uint8_t icmp_type, icmp_code;
	uint8_t sctp_chunk; /* type of the first chunk */
};

struct packet_bytes { /* so that the verifier knows how much a function is handed */
	uint8_t at[PACKET_SNAP];
};

struct packet_input {
	const struct packet_bytes *bytes; /* of these, `captured` are read */
	uint32_t captured;
	uint32_t wire; /* bytes of the frame, at least `captured` */
	/* Linux takes the outer VLAN tag out of a frame before tc sees it; then it's passed here. */
	uint16_t vlan;
	bool vlan_taken;
};

/* Where the parser stands. `end` is where the copy, or the packet by its own length field, ends. */
struct packet_walk {
	uint32_t at;
	uint32_t end;
	uint32_t packet_end; /* where the IP packet ends, also beyond the copy; 0: there is none */
	uint32_t reserved;
};

PACKET_INLINE uint16_t packet_be16(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

PACKET_INLINE uint32_t packet_be32(const uint8_t *b)
{
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/*
 * The `size` bytes (a constant) at offset `at`, or NULL when they aren't all there. Each call computes
 * its own pointer: one that clang kept from an earlier call has that call's bounds, and the verifier
 * would refuse it.
 */
PACKET_INLINE const uint8_t *packet_take(const struct packet_bytes *bytes,
                                         const struct packet_walk *walk, uint32_t at, uint32_t size)
{
	__asm__ volatile("" : "+r"(at));
	if (at > PACKET_SNAP - size || at + size > walk->end)
		return 0;
	return bytes->at + at;
}

PACKET_INLINE bool packet_is_vlan(uint16_t ethertype)
{
	return ethertype == 0x8100 || ethertype == 0x88a8 || ethertype == 0x9100;
}

/* Ethernet and its VLAN tags. False when not even they are there. */
PACKET_FUNCTION int packet_ethernet(const struct packet_bytes *bytes, struct packet_walk *walk,
                                    struct packet *packet)
{
	const uint8_t *b;

	if (!bytes || !walk || !packet)
		return false;
	b = packet_take(bytes, walk, 0, 14);
	if (!b)
		return false;
	__builtin_memcpy(packet->dst_mac, b, 6);
	__builtin_memcpy(packet->src_mac, b + 6, 6);
	packet->ethertype = packet_be16(b + 12);
	walk->at = 14;
	for (int i = 0; i < PACKET_VLANS_MAX; i++) {
		if (packet->vlan_count >= PACKET_VLANS_MAX || !packet_is_vlan(packet->ethertype))
			break;
		b = packet_take(bytes, walk, walk->at, 4);
		if (!b)
			return false;
		if (packet->vlan_count == 0)
			packet->vlan[0] = packet_be16(b) & 0xfff;
		else
			packet->vlan[1] = packet_be16(b) & 0xfff;
		packet->vlan_count++;
		packet->ethertype = packet_be16(b + 2);
		walk->at += 4;
	}
	return true;
}

/* RFC 826, for IPv4 over Ethernet. */
PACKET_INLINE void packet_arp(const struct packet_bytes *bytes, struct packet_walk *walk,
                              struct packet *packet)
{
	const uint8_t *b = packet_take(bytes, walk, walk->at, 28);

	packet->family = PACKET_ARP;
	if (!b) {
		packet->flags |= PACKET_TRUNCATED;
		return;
	}
	if (packet_be16(b) != 1 || packet_be16(b + 2) != 0x0800 || b[4] != 6 || b[5] != 4) {
		packet->flags |= PACKET_MALFORMED;
		return;
	}
	packet->arp_op = packet_be16(b + 6);
	__builtin_memcpy(packet->src, b + 14, 4);
	__builtin_memcpy(packet->dst, b + 24, 4);
}

/*
 * Takes the walk's end back to where the IP packet says that it ends, so that nothing behind it (an
 * Ethernet trailer) is read as a header.
 */
PACKET_INLINE void packet_bound(struct packet_walk *walk, struct packet *packet, uint32_t end)
{
	if (end > packet->wire) {
		packet->flags |= PACKET_MALFORMED;
		end = packet->wire;
	}
	walk->packet_end = end;
	if (walk->end > end)
		walk->end = end;
}

/* RFC 791. Leaves walk->packet_end 0 when there is nothing to go on with. */
PACKET_INLINE void packet_ipv4(const struct packet_bytes *bytes, struct packet_walk *walk,
                               struct packet *packet)
{
	const uint8_t *b = packet_take(bytes, walk, walk->at, 20);
	uint32_t header, total, fragment;

	if (!b) {
		packet->flags |= PACKET_TRUNCATED;
		return;
	}
	header = (b[0] & 15u) * 4;
	total = packet_be16(b + 2);
	if (b[0] >> 4 != 4 || header < 20 || (total && total < header)) {
		packet->flags |= PACKET_MALFORMED;
		return;
	}
	packet->family = PACKET_IPV4;
	packet->ttl = b[8];
	packet->proto = b[9];
	__builtin_memcpy(packet->src, b + 12, 4);
	__builtin_memcpy(packet->dst, b + 16, 4);
	fragment = packet_be16(b + 6);
	if (fragment & 0x3fff)
		packet->flags |= PACKET_FRAGMENT;
	if (fragment & 0x1fff)
		packet->flags |= PACKET_LATER_FRAGMENT;
	if (header > 20)
		packet->flags |= PACKET_OPTIONS;
	/* Linux leaves 0 there in GSO frames above 64 KiB. */
	packet_bound(walk, packet, total ? walk->at + total : packet->wire);
	walk->at += header;
}

/* One IPv6 extension header. False when the walk is over: an upper layer, or nothing readable. */
PACKET_FUNCTION int packet_extension(const struct packet_bytes *bytes, struct packet_walk *walk,
                                     struct packet *packet)
{
	const uint8_t *b;
	uint8_t proto;

	if (!bytes || !walk || !packet)
		return false;
	proto = packet->proto;
	switch (proto) {
	case 0:   /* hop-by-hop */
	case 43:  /* routing */
	case 44:  /* fragment */
	case 51:  /* authentication */
	case 60:  /* destination */
	case 135: /* mobility */
	case 139: /* host identity */
	case 140: /* shim6 */ break;
	default: return false;
	}
	b = packet_take(bytes, walk, walk->at, 8);
	if (!b) {
		packet->flags |= PACKET_TRUNCATED;
		return false;
	}
	packet->flags |= PACKET_OPTIONS;
	packet->proto = b[0];
	if (proto == 44) {
		walk->at += 8;
		packet->flags |= PACKET_FRAGMENT;
		if (packet_be16(b + 2) & 0xfff8) {
			packet->flags |= PACKET_LATER_FRAGMENT;
			return false;
		}
	} else if (proto == 51) {
		walk->at += (b[1] + 2u) * 4;
	} else {
		walk->at += (b[1] + 1u) * 8;
	}
	return true;
}

/* RFC 8200; the extension headers come afterwards. As packet_ipv4(). */
PACKET_INLINE void packet_ipv6(const struct packet_bytes *bytes, struct packet_walk *walk,
                               struct packet *packet)
{
	const uint8_t *b = packet_take(bytes, walk, walk->at, 40);
	uint32_t length;

	if (!b) {
		packet->flags |= PACKET_TRUNCATED;
		return;
	}
	if (b[0] >> 4 != 6) {
		packet->flags |= PACKET_MALFORMED;
		return;
	}
	packet->family = PACKET_IPV6;
	packet->proto = b[6];
	packet->ttl = b[7];
	__builtin_memcpy(packet->src, b + 8, 16);
	__builtin_memcpy(packet->dst, b + 24, 16);
	walk->at += 40;
	length = packet_be16(b + 4); /* 0: a jumbogram, or a GSO frame above 64 KiB */
	packet_bound(walk, packet, length ? walk->at + length : packet->wire);
}

/* ARP, IPv4, or IPv6 with its extension headers. */
PACKET_FUNCTION int packet_network(const struct packet_bytes *bytes, struct packet_walk *walk,
                                   struct packet *packet)
{
	if (!bytes || !walk || !packet)
		return false;
	if (packet->ethertype == 0x0800)
		packet_ipv4(bytes, walk, packet);
	else if (packet->ethertype == 0x86dd)
		packet_ipv6(bytes, walk, packet);
	else if (packet->ethertype == 0x0806)
		packet_arp(bytes, walk, packet);
	return true;
}

/* The first bytes of a packet that an ICMP error quotes. IPv6 extension headers in it are not walked. */
PACKET_FUNCTION int packet_quoted(const struct packet_bytes *bytes, struct packet_walk *walk,
                                  struct packet *packet)
{
	struct packet_quote *quote;
	const uint8_t *b;
	uint32_t at;

	if (!bytes || !walk || !packet)
		return false;
	quote = &packet->quote;
	at = walk->at + 8;
	if (packet->family == PACKET_IPV4) {
		b = packet_take(bytes, walk, at, 20);
		if (!b || b[0] >> 4 != 4 || (b[0] & 15) < 5)
			return false;
		quote->proto = b[9];
		__builtin_memcpy(quote->src, b + 12, 4);
		__builtin_memcpy(quote->dst, b + 16, 4);
		at += (b[0] & 15u) * 4;
	} else {
		b = packet_take(bytes, walk, at, 40);
		if (!b || b[0] >> 4 != 6)
			return false;
		quote->proto = b[6];
		__builtin_memcpy(quote->src, b + 8, 16);
		__builtin_memcpy(quote->dst, b + 24, 16);
		at += 40;
	}
	packet->flags |= PACKET_QUOTE;
	b = packet_take(bytes, walk, at, 4);
	if (!b)
		return true;
	if (quote->proto == PACKET_PROTO_ICMP || quote->proto == PACKET_PROTO_ICMP6) {
		quote->src_port = b[0];
		quote->dst_port = b[1];
	} else if (quote->proto == PACKET_PROTO_TCP || quote->proto == PACKET_PROTO_UDP ||
	           quote->proto == PACKET_PROTO_SCTP) {
		quote->src_port = packet_be16(b);
		quote->dst_port = packet_be16(b + 2);
	}
	return true;
}

/* RFC 4861, 4.3 and 4.4: whom a neighbour solicitation or advertisement is about. */
PACKET_FUNCTION int packet_target(const struct packet_bytes *bytes, struct packet_walk *walk,
                                  struct packet *packet)
{
	const uint8_t *b;

	if (!bytes || !walk || !packet)
		return false;
	b = packet_take(bytes, walk, walk->at + 8, 16);
	if (!b)
		return false;
	__builtin_memcpy(packet->quote.dst, b, 16);
	packet->flags |= PACKET_TARGET;
	return true;
}

/* RFC 792 and RFC 4443. */
PACKET_FUNCTION int packet_icmp(const struct packet_bytes *bytes, struct packet_walk *walk,
                                struct packet *packet)
{
	const uint8_t *b;
	bool error;

	if (!bytes || !walk || !packet)
		return false;
	b = packet_take(bytes, walk, walk->at, 4);
	if (!b) {
		packet->flags |= PACKET_TRUNCATED;
		return false;
	}
	packet->icmp_type = b[0];
	packet->icmp_code = b[1];
	packet->src_port = b[0];
	packet->dst_port = b[1];
	packet->flags |= PACKET_PORTS;
	if (packet->proto == PACKET_PROTO_ICMP) /* unreachable, time exceeded, parameter problem */
		error = b[0] == 3 || b[0] == 11 || b[0] == 12;
	else
		error = b[0] >= 1 && b[0] <= 4;
	if (packet->proto == PACKET_PROTO_ICMP6 && (b[0] == 135 || b[0] == 136))
		packet_target(bytes, walk, packet);
	if (error)
		packet_quoted(bytes, walk, packet);
	walk->at += 8;
	return true;
}

/* RFC 9293. */
PACKET_INLINE void packet_tcp(const struct packet_bytes *bytes, struct packet_walk *walk,
                              struct packet *packet)
{
	const uint8_t *b = packet_take(bytes, walk, walk->at, 20);
	uint32_t header = 20;

	if (b) {
		packet->seq = packet_be32(b + 4);
		packet->ack = packet_be32(b + 8);
		packet->tcp_flags = b[13];
		packet->window = packet_be16(b + 14);
		header = (b[12] >> 4) * 4u;
	} else {
		packet->flags |= PACKET_TRUNCATED;
	}
	if (header < 20) {
		packet->flags |= PACKET_MALFORMED;
		header = 20;
	}
	walk->at += header;
}

/* RFC 768. */
PACKET_INLINE void packet_udp(const struct packet_bytes *bytes, struct packet_walk *walk,
                              struct packet *packet)
{
	const uint8_t *b = packet_take(bytes, walk, walk->at, 8);
	uint32_t length = 0;

	if (b)
		length = packet_be16(b + 4); /* 0: a jumbogram (RFC 2675) */
	else
		packet->flags |= PACKET_TRUNCATED;
	if (length && (length < 8 || walk->at + length > walk->packet_end))
		packet->flags |= PACKET_MALFORMED;
	else if (length)
		walk->packet_end = walk->at + length;
	walk->at += 8;
}

/* The headers that begin with two ports: TCP, UDP and SCTP (RFC 9260). */
PACKET_FUNCTION int packet_transport(const struct packet_bytes *bytes, struct packet_walk *walk,
                                     struct packet *packet)
{
	const uint8_t *b;

	if (!bytes || !walk || !packet)
		return false;
	b = packet_take(bytes, walk, walk->at, 4);
	if (!b) {
		packet->flags |= PACKET_TRUNCATED;
		return false;
	}
	packet->src_port = packet_be16(b);
	packet->dst_port = packet_be16(b + 2);
	packet->flags |= PACKET_PORTS;
	if (packet->proto == PACKET_PROTO_TCP) {
		packet_tcp(bytes, walk, packet);
	} else if (packet->proto == PACKET_PROTO_UDP) {
		packet_udp(bytes, walk, packet);
	} else {
		b = packet_take(bytes, walk, walk->at, 13);
		if (b)
			packet->sctp_chunk = b[12];
		else
			packet->flags |= PACKET_TRUNCATED;
		walk->at += 12;
	}
	return true;
}

/* Finds the payload: what lies between the last header read and the end of the packet. */
PACKET_FUNCTION int packet_rest(const struct packet_walk *walk, struct packet *packet)
{
	uint32_t at, captured;

	if (!walk || !packet)
		return false;
	at = walk->at;
	if (at > walk->packet_end) { /* a header claims more than the packet has */
		packet->flags |= PACKET_MALFORMED;
		at = walk->packet_end;
	}
	captured = walk->end > at ? walk->end - at : 0;
	packet->payload_at = at;
	packet->payload = walk->packet_end - at;
	if (captured > packet->payload)
		captured = packet->payload;
	packet->payload_captured = (uint16_t)captured;
	return true;
}

PACKET_INLINE void packet_upper(const struct packet_bytes *bytes, struct packet_walk *walk,
                                struct packet *packet)
{
	if (packet->family == PACKET_IPV6)
		for (int i = 0; i < PACKET_EXTENSIONS_MAX; i++)
			if (!packet_extension(bytes, walk, packet))
				break;
	if (!(packet->flags & (PACKET_LATER_FRAGMENT | PACKET_TRUNCATED))) {
		const uint8_t proto = packet->proto;

		if (proto == PACKET_PROTO_TCP || proto == PACKET_PROTO_UDP ||
		    proto == PACKET_PROTO_SCTP)
			packet_transport(bytes, walk, packet);
		else if ((proto == PACKET_PROTO_ICMP && packet->family == PACKET_IPV4) ||
		         (proto == PACKET_PROTO_ICMP6 && packet->family == PACKET_IPV6))
			packet_icmp(bytes, walk, packet);
	}
	packet_rest(walk, packet);
}

/* Fills all of *packet. Never fails: what could not be read is zero, and the flags say why. */
PACKET_INLINE void packet_parse(const struct packet_input *in, struct packet *packet)
{
	struct packet_walk walk = {
	        .end = in->captured < PACKET_SNAP ? in->captured : PACKET_SNAP,
	};

	__builtin_memset(packet, 0, sizeof(*packet));
	packet->wire = in->wire < walk.end ? walk.end : in->wire;
	if (in->vlan_taken) {
		packet->vlan[0] = in->vlan & 0xfff;
		packet->vlan_count = 1;
	}
	if (packet_ethernet(in->bytes, &walk, packet))
		packet_network(in->bytes, &walk, packet);
	else
		packet->flags |= PACKET_TRUNCATED;
	if (walk.packet_end)
		packet_upper(in->bytes, &walk, packet);
	if (in->vlan_taken)
		packet->wire += 4;
}

#endif
