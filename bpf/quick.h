/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * quick: the short way for the packets that most packets are: TCP without SYN, FIN and RST, or UDP, over
 * plain IPv4 or IPv6, of a flow that is there already and to which they add nothing but counts. It reads the
 * frame in place and touches the one line of the table that its flow has for its direction (struct flow_hot).
 *
 *   quick_parse()   frame -> key and what is counted, or the key alone, or nothing: it takes the whole
 *                   parser (packet.h)
 *   quick_count()   what that line will be; false: it takes flow_update()
 *   quick_store()   writes it, once the lock is held
 *
 * Whatever either does not know for certain it leaves to the whole way, so that both ways give the same
 * records and events: tests feed the same frames to both. At a tap, `end` is the end of what lies in the
 * skb's head, where a guest may have put less than it sent: then the whole way copies the frame.
 */
#ifndef CORDON_BPF_QUICK_H
#define CORDON_BPF_QUICK_H

#include "bpf/set.h"

/* A key that rested for so long may be a new flow's. */
#define QUICK_REST_NS FLOW_REUSE_NS
/* Packets come so much out of their order, and clocks differ so much. */
#define QUICK_BACK_NS FLOW_SECOND

/* What quick_parse() could read. With QUICK_KEY only the key is there, and it's the one that the whole
 * way will find. */
enum quick_read { QUICK_NOTHING, QUICK_KEY, QUICK_ALL };

struct quick {
	struct flow_key key;
	uint32_t wire;
	uint32_t payload;
	uint32_t seq;
	uint8_t tcp_flags;
	uint8_t ttl;
	bool bytes; /* some of the payload is there to be read */
};

/* Words of the frame, which need not be aligned: on x86 that is free, and clang must be told so. */
#ifdef __bpf__
PACKET_INLINE uint16_t quick_u16(const uint8_t *at)
{
	return *(const uint16_t *)at;
}
PACKET_INLINE uint32_t quick_u32(const uint8_t *at)
{
	return *(const uint32_t *)at;
}
PACKET_INLINE uint64_t quick_u64(const uint8_t *at)
{
	return *(const uint64_t *)at;
}
#else
PACKET_INLINE uint16_t quick_u16(const uint8_t *at)
{
	uint16_t value;

	__builtin_memcpy(&value, at, sizeof(value));
	return value;
}
PACKET_INLINE uint32_t quick_u32(const uint8_t *at)
{
	uint32_t value;

	__builtin_memcpy(&value, at, sizeof(value));
	return value;
}
PACKET_INLINE uint64_t quick_u64(const uint8_t *at)
{
	uint64_t value;

	__builtin_memcpy(&value, at, sizeof(value));
	return value;
}
#endif

/* TCP or UDP at `at`, in an IP packet that ends at `packet_end`; their first bytes are there to be read. */
PACKET_INLINE enum quick_read quick_upper(const uint8_t *at, uint32_t offset, uint32_t packet_end,
                                          uint32_t captured, enum flow_side_index side,
                                          struct quick *quick)
{
	const uint32_t ports = quick_u32(at);
	const uint16_t from = __builtin_bswap16((uint16_t)ports);
	const uint16_t to = __builtin_bswap16((uint16_t)(ports >> 16));
	uint32_t header, limit = captured < PACKET_SNAP ? captured : PACKET_SNAP;

	quick->key.guest_port = side == FLOW_GUEST ? from : to;
	quick->key.peer_port = side == FLOW_GUEST ? to : from;
	if (quick->key.proto == PACKET_PROTO_UDP) {
		const uint32_t length = __builtin_bswap16(quick_u16(at + 4));

		if (length < 8 || offset + length > packet_end || from == 53 || to == 53)
			return QUICK_KEY;
		header = 8;
		quick->payload = length - 8;
	} else {
		header = (at[12] >> 4) * 4u;
		quick->tcp_flags = at[13];
		if (header < 20 || offset + header > packet_end ||
		    quick->tcp_flags & (PACKET_SYN | PACKET_FIN | PACKET_RST))
			return QUICK_KEY;
		quick->seq = __builtin_bswap32(quick_u32(at + 4));
		quick->payload = packet_end - offset - header;
	}
	quick->bytes = quick->payload && offset + header < limit;
	return QUICK_ALL;
}

/* The key's addresses, `size` 4 or 16. */
PACKET_INLINE void quick_addresses(const uint8_t *src, uint32_t size, enum flow_side_index side,
                                   struct flow_key *key)
{
	uint64_t *from = (uint64_t *)(side == FLOW_GUEST ? key->guest : key->peer);
	uint64_t *to = (uint64_t *)(side == FLOW_GUEST ? key->peer : key->guest);

	from[0] = size == 4 ? quick_u32(src) : quick_u64(src);
	from[1] = size == 4 ? 0 : quick_u64(src + 8);
	to[0] = size == 4 ? quick_u32(src + 4) : quick_u64(src + 16);
	to[1] = size == 4 ? 0 : quick_u64(src + 24);
}

/* `data` to `end` can be read; the frame has `captured` bytes of which
 * some may lie elsewhere, and `wire` on the wire. `vlan`: of a tag that was taken out of it. */
PACKET_INLINE enum quick_read quick_parse(const uint8_t *data, const uint8_t *end,
                                          uint32_t captured, uint32_t wire, uint16_t vlan,
                                          enum flow_side_index side, struct quick *quick)
{
	uint32_t length;
	uint16_t type;

	if (data + 42 > end)
		return QUICK_NOTHING;
	quick->key.vlan = vlan;
	quick->wire = wire;
	quick->seq = 0;
	quick->tcp_flags = 0;
	type = quick_u16(data + 12);
	if (type == __builtin_bswap16(0x0800)) {
		length = __builtin_bswap16(quick_u16(data + 16));
		quick->key.proto = data[23];
		quick->key.family = FLOW_IPV4;
		quick->ttl = data[22];
		if (data[14] != 0x45 || quick_u16(data + 20) & __builtin_bswap16(0x3fff) ||
		    length < 28 || 14 + length > wire)
			return QUICK_NOTHING;
		quick_addresses(data + 26, 4, side, &quick->key);
		if (quick->key.proto == PACKET_PROTO_UDP)
			return quick_upper(data + 34, 34, 14 + length, captured, side, quick);
		if (quick->key.proto != PACKET_PROTO_TCP || data + 54 > end)
			return QUICK_NOTHING;
		return quick_upper(data + 34, 34, 14 + length, captured, side, quick);
	}
	if (type != __builtin_bswap16(0x86dd) || data + 62 > end)
		return QUICK_NOTHING;
	length = __builtin_bswap16(quick_u16(data + 18));
	quick->key.proto = data[20];
	quick->key.family = FLOW_IPV6;
	quick->ttl = data[21];
	if (data[14] >> 4 != 6 || length < 8 || 54 + length > wire)
		return QUICK_NOTHING;
	quick_addresses(data + 22, 16, side, &quick->key);
	if (quick->key.proto == PACKET_PROTO_UDP)
		return quick_upper(data + 54, 54, 54 + length, captured, side, quick);
	if (quick->key.proto != PACKET_PROTO_TCP || data + 74 > end)
		return QUICK_NOTHING;
	return quick_upper(data + 54, 54, 54 + length, captured, side, quick);
}

/* As flow_tap_foreign(), by words. */
PACKET_INLINE bool quick_is_foreign(const struct flow_tap *tap, const uint8_t *src_mac)
{
	const uint32_t first = quick_u32(tap->guest_mac);
	const uint16_t last = quick_u16(tap->guest_mac + 4);

	return (first | last) != 0 &&
	       (first != quick_u32(src_mac) || last != quick_u16(src_mac + 4));
}

/* What quick_count() read, and what it makes of it. */
struct quick_change {
	uint32_t seen; /* flow_hot.lock */
	uint64_t id, last;
	uint32_t seq_next, bytes_left, due;
};

/* Whether the packet is one of many: it changes no state, begins and ends nothing, and is no reason for an event; and
 * what it changes, which is true as long as the lock's word is still `change->seen`. */
PACKET_INLINE bool quick_count(const struct flow_hot *hot, uint64_t id, const struct quick *quick,
                               uint64_t now, struct quick_change *change)
{
	uint64_t later; /* 40 bits of ns, above 24 that are 0: a few ns earlier is nearly 2^64 */

	change->seen = *(const volatile uint32_t *)&hot->lock; /* before all else */
	__asm__ volatile("" ::: "memory");
	change->id = hot->id;
	change->last = hot->last;
	change->seq_next = hot->seq_next;
	change->bytes_left = hot->bytes_left;
	change->due = hot->due;
	if ((change->id & FLOW_HOT_ID) != id || change->seen & FLOW_LOCKED ||
	    change->id & (quick->bytes ? FLOW_HOT_WHOLE | FLOW_HOT_HEAD : FLOW_HOT_WHOLE))
		return false;
	if ((change->seen & FLOW_HOT_PACKETS_MAX) == 0 || change->bytes_left >> 8 < quick->wire)
		return false;
	later = (now << 24) - (change->last & ~(uint64_t)FLOW_HOT_BYTES_MAX);
	if (later + (QUICK_BACK_NS << 24) >= (QUICK_REST_NS + QUICK_BACK_NS) << 24 ||
	    (int32_t)(((uint32_t)(now >> 22) & ~0xffu) - (change->due & ~0xffu)) >= 0)
		return false;
	if (quick->key.proto == PACKET_PROTO_TCP) {
		const uint32_t next = quick->seq + quick->payload;

		if ((int32_t)(next - change->seq_next) > 0)
			change->seq_next = next;
		else if (quick->payload)
			return false; /* a retransmission */
		change->id |= (uint64_t)quick->tcp_flags << 8;
	}
	if ((int64_t)later > 0)
		change->last += later;
	change->last += quick->payload; /* at most the bytes that were left */
	change->bytes_left -= quick->wire << 8;
	if (quick->ttl < (uint8_t)change->bytes_left)
		change->bytes_left = (change->bytes_left & ~0xffu) | quick->ttl;
	if (quick->ttl > (uint8_t)change->due)
		change->due = (change->due & ~0xffu) | quick->ttl;
	return true;
}

/* The lock is held since it was `change->seen`, and is released with this. Stores are seen in their order on x86, so the
 * last of them needs no locked instruction. */
PACKET_INLINE void quick_store(struct flow_hot *hot, const struct quick_change *change)
{
	hot->id = change->id;
	hot->last = change->last;
	hot->seq_next = change->seq_next;
	hot->bytes_left = change->bytes_left;
	hot->due = change->due;
	__asm__ volatile("" ::: "memory");
	*(volatile uint32_t *)&hot->lock = change->seen + 2 * FLOW_LOCKED - 1;
}

/* The way that seems to have the flow, or FLOW_WAYS; the set is not locked. */
PACKET_INLINE uint32_t quick_find(const struct flow_set *set, enum flow_side_index side,
                                  uint64_t id, uint64_t hash)
{
	const uint32_t way = flow_way(hash);

	if ((set->hot[side & 1][way].id & FLOW_HOT_ID) == id)
		return way;
	if ((set->hot[side & 1][way ^ 1].id & FLOW_HOT_ID) == id)
		return way ^ 1;
	return flow_set_find(set, id, flow_tag(hash));
}

#endif
