/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flow: the flow state machine, as inline code that the BPF programs and user space both compile.
 *
 *   flow_key_of()      packet and direction -> the key of its flow
 *   flow_key_quoted()  ICMP error -> the key of the flow that it is about
 *   flow_stale()       the record found is of an earlier flow with the same key
 *   flow_update()      the packet's effect on its record (state 0: opens it)
 *   flow_error()       an ICMP error's effect on the record of the flow that it is about
 *   flow_payload_kind() whether the packet's payload is worth an event of its own
 * flow_update() and flow_error() return enum flow_send bits: what the caller has to send or fetch.
 *
 * Directions. At a tap the host's side is the device, so what the guest sends arrives there: tc
 * *ingress* is from the guest (FLOW_GUEST), tc *egress* is to the guest (FLOW_PEER). tc and tcx
 * ingress run before the netfilter ingress hook (__netif_receive_skb_core: sch_handle_ingress, then
 * nf_ingress), where the firewall drops spoofed frames; and the firewall's verdicts on the rest come
 * later still. So everything that the guest tries is seen here, spoofed or forbidden or not. What goes
 * to the guest has passed the firewall before it is seen.
 */
#ifndef CORDON_BPF_FLOW_H
#define CORDON_BPF_FLOW_H

#include "bpf/events.h"
#include "bpf/packet.h"

#define FLOW_SECOND 1000000000ull

/* How long a key rests before the next packet with it counts as a new flow. */
#define FLOW_REUSE_NS    (60 * FLOW_SECOND)   /* TCP, and the packet is a SYN */
#define FLOW_IDLE_NS     (120 * FLOW_SECOND)  /* all but the next */
#define FLOW_IDLE_TCP_NS (7200 * FLOW_SECOND) /* TCP that was answered and has not ended */

enum flow_send {
	FLOW_SEND_NEW = 1,
	FLOW_SEND_OUTCOME = 2,
	FLOW_TAKE_HEAD = 4, /* the first payload bytes of this side are in this packet */
	FLOW_SEND_UPDATE = 8,
};

enum { FLOW_NO_COUNTERPART = 256, FLOW_SCTP_ABORT = 6 };

/* The type that answers this ICMP type, or that it answers (as Community ID pairs them). */
PACKET_INLINE uint16_t flow_icmp_counterpart(uint8_t proto, uint8_t type)
{
	if (proto == PACKET_PROTO_ICMP) {
		switch (type) {
		case 0: return 8; /* echo */
		case 8: return 0;
		case 9: return 10; /* router advertisement and solicitation */
		case 10: return 9;
		case 13: return 14; /* timestamp */
		case 14: return 13;
		case 15: return 16; /* information */
		case 16: return 15;
		case 17: return 18; /* address mask */
		case 18: return 17;
		default: return FLOW_NO_COUNTERPART;
		}
	}
	switch (type) {
	case 128: return 129; /* echo */
	case 129: return 128;
	case 130: return 131; /* multicast listener query and report */
	case 131: return 130;
	case 133: return 134; /* router solicitation and advertisement */
	case 134: return 133;
	case 135: return 136; /* neighbour solicitation and advertisement */
	case 136: return 135;
	case 139: return 140; /* node information */
	case 140: return 139;
	case 144: return 145; /* home agent discovery */
	case 145: return 144;
	default: return FLOW_NO_COUNTERPART;
	}
}

PACKET_INLINE bool flow_is_icmp(uint8_t proto, uint8_t family)
{
	return (proto == PACKET_PROTO_ICMP && family == FLOW_IPV4) ||
	       (proto == PACKET_PROTO_ICMP6 && family == FLOW_IPV6);
}

PACKET_INLINE void flow_key_fill(struct flow_key *key, const uint8_t *src, const uint8_t *dst,
                                 uint16_t src_port, uint16_t dst_port, bool from_guest)
{
	if (flow_is_icmp(key->proto, key->family)) {
		uint16_t counterpart = flow_icmp_counterpart(key->proto, (uint8_t)src_port);

		if (counterpart != FLOW_NO_COUNTERPART)
			dst_port = counterpart;
	}
	__builtin_memcpy(from_guest ? key->guest : key->peer, src, 16);
	__builtin_memcpy(from_guest ? key->peer : key->guest, dst, 16);
	key->guest_port = from_guest ? src_port : dst_port;
	key->peer_port = from_guest ? dst_port : src_port;
}

/* False when the frame belongs to no flow (neither IP nor ARP, or unreadable before its addresses). */
PACKET_FUNCTION int flow_key_of(const struct packet *packet, enum flow_side_index side,
                                struct flow_key *key)
{
	if (!packet || !key)
		return false;
	if (packet->family == PACKET_OTHER || (packet->family == PACKET_ARP && packet->arp_op == 0))
		return false;
	key->vlan = packet->vlan[0];
	key->proto = packet->proto;
	key->family =
	        packet->family; /* A solicitation goes to a multicast address and its answer may: the target is who is meant. */
	flow_key_fill(key,
	              packet->flags & PACKET_TARGET && packet->icmp_type == 136 ? packet->quote.dst
	                                                                        : packet->src,
	              packet->flags & PACKET_TARGET && packet->icmp_type == 135 ? packet->quote.dst
	                                                                        : packet->dst,
	              packet->src_port, packet->dst_port, side == FLOW_GUEST);
	return true;
}

/* False when the packet is no ICMP error, or doesn't quote enough. `side` is the error's sender. */
PACKET_FUNCTION int flow_key_quoted(const struct packet *packet, enum flow_side_index side,
                                    struct flow_key *key)
{
	const struct packet_quote *quote;

	if (!packet || !key || !(packet->flags & PACKET_QUOTE))
		return false;
	quote = &packet->quote;
	key->vlan = packet->vlan[0];
	key->proto = quote->proto;
	key->family = packet->family;
	flow_key_fill(key, quote->src, quote->dst, quote->src_port, quote->dst_port,
	              side == FLOW_PEER);
	return true;
}

PACKET_INLINE bool flow_key_equal(const struct flow_key *a, const struct flow_key *b)
{
	const uint64_t *x = (const uint64_t *)a, *y = (const uint64_t *)b;

	return ((x[0] ^ y[0]) | (x[1] ^ y[1]) | (x[2] ^ y[2]) | (x[3] ^ y[3]) | (x[4] ^ y[4])) == 0;
}

PACKET_INLINE enum flow_side_index flow_opener(const struct flow_record *record)
{
	return record->flags & FLOW_FLAG_PEER_OPENED ? FLOW_PEER : FLOW_GUEST;
}

/* For how long nothing may come before the flow has ended. */
PACKET_INLINE uint64_t flow_idle_ns(const struct flow_record *record)
{
	return record->key.proto == PACKET_PROTO_TCP && record->key.family != FLOW_ARP &&
	                       record->state >= FLOW_STATE_ANSWERED &&
	                       record->state <= FLOW_STATE_CLOSING
	               ? FLOW_IDLE_TCP_NS
	               : FLOW_IDLE_NS;
}

/* True when the packet begins a new flow, although this record has its key. */
PACKET_FUNCTION int flow_stale(const struct flow_record *record, const struct packet *packet,
                               uint64_t now)
{
	uint64_t idle;

	if (!record || !packet)
		return false;
	idle = now > record->last_ns ? now - record->last_ns : 0;
	if (idle > flow_idle_ns(record))
		return true;
	if (record->key.proto != PACKET_PROTO_TCP || record->key.family == FLOW_ARP)
		return false;
	if ((packet->tcp_flags & (PACKET_SYN | PACKET_ACK | PACKET_RST)) == PACKET_SYN) {
		if (idle > FLOW_REUSE_NS)
			return true;
		return packet->seq != record->seq_first &&
		       (record->state == FLOW_STATE_CLOSED || record->state == FLOW_STATE_RESET);
	}
	return false;
}

PACKET_INLINE void flow_outcome_set(struct flow_record *record, enum flow_outcome outcome,
                                    uint64_t now)
{
	record->outcome = (uint8_t)outcome;
	record->outcome_ns = now;
}

/* The first packet of a flow: who opened it, and what it looked like. The record is zero but for its key. */
PACKET_INLINE void flow_begin(struct flow_record *record, const struct packet *packet,
                              enum flow_side_index side, uint64_t now)
{
	const uint8_t type = packet->icmp_type;

	record->first_ns = now;
	record->state = FLOW_STATE_OPENED;
	record->seq_first = packet->seq;
	record->icmp_type = packet->icmp_type;
	record->icmp_code = packet->icmp_code;
	if (side == FLOW_PEER)
		record->flags |= FLOW_FLAG_PEER_OPENED;
	if (record->key.family == FLOW_ARP) {
		if (packet->arp_op == 2)
			record->flags |= FLOW_FLAG_BACKSCATTER;
	} else if (record->key.proto == PACKET_PROTO_TCP) {
		if ((packet->tcp_flags & (PACKET_SYN | PACKET_ACK)) != PACKET_SYN)
			record->flags |= FLOW_FLAG_MIDSTREAM;
		if (packet->tcp_flags & PACKET_RST ||
		    (packet->tcp_flags & (PACKET_SYN | PACKET_ACK)) == (PACKET_SYN | PACKET_ACK))
			record->flags |= FLOW_FLAG_BACKSCATTER;
	} else if (flow_is_icmp(record->key.proto, record->key.family)) {
		if (flow_icmp_counterpart(packet->proto, type) == FLOW_NO_COUNTERPART)
			record->flags |= FLOW_FLAG_ONE_WAY;
		if (packet->flags & PACKET_QUOTE ||
		    (packet->proto == PACKET_PROTO_ICMP
		             ? type == 0 || type == 14 || type == 16 || type == 18
		             : type == 129 || type == 136 || type == 140 || type == 145))
			record->flags |= FLOW_FLAG_BACKSCATTER;
	}
}

/* What the packet's sender has sent so far. Returns FLOW_TAKE_HEAD, FLOW_SEND_UPDATE, or 0. */
PACKET_INLINE unsigned int flow_count(struct flow_side *side, struct flow_first *first,
                                      const struct packet *packet)
{
	const bool begins = side->packets == 0;
	unsigned int send = 0;
	uint64_t bytes;

	if (begins || packet->ttl < side->ttl_min)
		side->ttl_min = packet->ttl;
	if (packet->ttl > side->ttl_max)
		side->ttl_max = packet->ttl;
	if (packet->proto == PACKET_PROTO_TCP) {
		const uint8_t flags = packet->tcp_flags;
		const uint32_t size =
		        packet->payload + !!(flags & PACKET_SYN) + !!(flags & PACKET_FIN);
		const uint32_t next = packet->seq + size;

		if (begins) {
			first->window = packet->window;
			first->tcp_flags = flags;
		}
		if (begins || (int32_t)(next - side->seq_next) > 0)
			side->seq_next = next;
		else if (size && !(flags & PACKET_RST))
			first->retransmissions++;
		side->tcp_flags |= flags;
	}
	bytes = side->bytes;
	side->packets++;
	side->bytes += packet->wire;
	side->payload += packet->payload;
	if (side->packets >= FLOW_UPDATE_PACKETS && (side->packets & (side->packets - 1)) == 0)
		send = FLOW_SEND_UPDATE;
	/* the highest bit that is set in the sum was not set before */
	if (side->bytes >= FLOW_UPDATE_BYTES && (side->bytes & ~bytes) > bytes)
		send = FLOW_SEND_UPDATE;
	return side->head_size == 0 && packet->payload_captured ? send | FLOW_TAKE_HEAD : send;
}

/* TCP's states. The sides' flags already have this packet's. */
PACKET_INLINE void flow_tcp(struct flow_record *record, const struct packet *packet, bool by_opener,
                            uint64_t now)
{
	const uint8_t flags = packet->tcp_flags;
	const uint8_t syn_ack = flags & (PACKET_SYN | PACKET_ACK);
	const bool midstream = record->flags & FLOW_FLAG_MIDSTREAM;

	if (record->state == FLOW_STATE_CLOSED || record->state == FLOW_STATE_RESET)
		return;
	if (flags & PACKET_RST) {
		record->state = FLOW_STATE_RESET;
		if (!by_opener && record->outcome < FLOW_OUTCOME_RESET)
			flow_outcome_set(record, FLOW_OUTCOME_RESET, now);
		else if (record->outcome == FLOW_OUTCOME_ESTABLISHED)
			flow_outcome_set(record, FLOW_OUTCOME_CLOSED, now);
		return;
	}
	if (record->state == FLOW_STATE_OPENED && !by_opener) {
		if (flags & PACKET_SYN) {
			record->state = FLOW_STATE_ANSWERED;
			flow_outcome_set(record, FLOW_OUTCOME_ANSWERED, now);
		} else if (midstream && flags & PACKET_ACK) {
			record->state = FLOW_STATE_OPEN;
			flow_outcome_set(record, FLOW_OUTCOME_ESTABLISHED, now);
		}
	} else if (record->state == FLOW_STATE_ANSWERED && by_opener && syn_ack == PACKET_ACK) {
		record->state = FLOW_STATE_OPEN;
		flow_outcome_set(record, FLOW_OUTCOME_ESTABLISHED, now);
	}
	if (!(flags & PACKET_FIN) || record->state == FLOW_STATE_OPENED)
		return;
	record->state = FLOW_STATE_CLOSING;
	if (record->sides[0].tcp_flags & record->sides[1].tcp_flags & PACKET_FIN) {
		record->state = FLOW_STATE_CLOSED;
		if (record->outcome == FLOW_OUTCOME_ESTABLISHED)
			flow_outcome_set(record, FLOW_OUTCOME_CLOSED, now);
	}
}

/* All but TCP: a packet the other way is an answer. */
PACKET_INLINE void flow_other(struct flow_record *record, const struct packet *packet,
                              bool by_opener, uint64_t now)
{
	if (record->state == FLOW_STATE_ANSWERED && by_opener)
		record->state = FLOW_STATE_OPEN;
	if (record->state != FLOW_STATE_OPENED || by_opener)
		return;
	if (packet->proto == PACKET_PROTO_SCTP && packet->sctp_chunk == FLOW_SCTP_ABORT) {
		record->state = FLOW_STATE_RESET;
		flow_outcome_set(record, FLOW_OUTCOME_RESET, now);
	} else {
		record->state = FLOW_STATE_ANSWERED;
		flow_outcome_set(record, FLOW_OUTCOME_ANSWERED, now);
	}
}

/*
 * The packet's effect on the record of its flow; `side` is its sender. A record whose state is 0 is
 * opened: it has to be zero but for its key. Returns enum flow_send bits.
 */
PACKET_FUNCTION unsigned int flow_update(struct flow_record *record, const struct packet *packet,
                                         enum flow_side_index side, uint64_t now)
{
	const uint32_t unit = (uint32_t)(now >> 30);
	unsigned int send = 0;
	uint8_t outcome, state;
	bool by_opener;

	if (!record || !packet)
		return 0;
	outcome = record->outcome;
	state = record->state;
	if (record->state == 0) {
		flow_begin(record, packet, side, now);
		send |= FLOW_SEND_NEW;
	}
	if (now > record->last_ns)
		record->last_ns = now;
	if (packet->flags & PACKET_FRAGMENT)
		record->flags |= FLOW_FLAG_FRAGMENTS;
	if (packet->flags & (PACKET_TRUNCATED | PACKET_MALFORMED))
		record->flags |= FLOW_FLAG_TRUNCATED;
	if (packet->flags & PACKET_FOREIGN_MAC)
		record->flags |= FLOW_FLAG_FOREIGN_MAC;
	send |= flow_count(&record->sides[side & 1], &record->first[side & 1], packet);
	by_opener = flow_opener(record) == side;
	if (packet->proto == PACKET_PROTO_TCP)
		flow_tcp(record, packet, by_opener, now);
	else
		flow_other(record, packet, by_opener, now);
	if (record->outcome != outcome ||
	    (record->state != state && record->state >= FLOW_STATE_CLOSED))
		send |= FLOW_SEND_OUTCOME;
	if (unit - record->sent >= FLOW_UPDATE_UNITS)
		send |= FLOW_SEND_UPDATE;
	if (send & ~(unsigned int)FLOW_TAKE_HEAD)
		record->sent = unit;
	return send;
}

PACKET_INLINE bool flow_has_dns_port(const struct flow_record *record)
{
	return record->key.guest_port == 53 || record->key.peer_port == 53;
}

/* Whether this side's stream is sent as payloads, when its first bytes have been taken: a bit for `flags`. */
PACKET_INLINE uint16_t flow_stream(const struct flow_record *record, enum flow_side_index side)
{
	const uint8_t *head = record->first[side & 1].head;
	const bool hello = head[0] == 22 && head[1] == 3 && (head[5] == 1 || head[5] == 2);

	return record->key.proto == PACKET_PROTO_TCP && (hello || flow_has_dns_port(record))
	               ? (uint16_t)FLOW_FLAG_STREAM(side & 1)
	               : 0;
}

/* Whether this packet's payload is sent, and as what (events.h); the packet is in the record already. */
PACKET_INLINE unsigned int flow_payload_kind(struct flow_record *record,
                                             const struct packet *packet,
                                             enum flow_side_index sender)
{
	const struct flow_side *side = &record->sides[sender & 1];

	if (!packet->payload_captured)
		return 0;
	if (packet->proto == PACKET_PROTO_UDP)
		return flow_has_dns_port(record) ? FLOW_PAYLOAD_DNS : 0;
	if (packet->proto == PACKET_PROTO_TCP) {
		if (!(record->flags & FLOW_FLAG_STREAM(sender & 1)))
			return 0;
		if (side->payload >= FLOW_STREAM_MAX)
			record->flags &= (uint16_t)~FLOW_FLAG_STREAM(sender & 1);
		if (side->payload - packet->payload >= FLOW_STREAM_MAX)
			return 0;
		return flow_has_dns_port(record) ? FLOW_PAYLOAD_DNS : FLOW_PAYLOAD_TLS;
	}
	if (!flow_is_icmp(packet->proto, record->key.family) ||
	    (side->packets & (side->packets - 1)) != 0)
		return 0;
	return (packet->proto == PACKET_PROTO_ICMP
	                ? packet->icmp_type == 0 || packet->icmp_type == 8
	                : packet->icmp_type == 128 || packet->icmp_type == 129)
	               ? FLOW_PAYLOAD_ICMP
	               : 0;
}

/* All of a payload's event but its header and bytes. */
PACKET_INLINE void flow_payload_fill(struct flow_payload_event *event,
                                     const struct flow_record *record, const struct packet *packet,
                                     enum flow_side_index side, unsigned int kind)
{
	const uint64_t before = record->sides[side & 1].payload - packet->payload;

	event->key = record->key;
	event->first_ns = record->first_ns;
	event->length = packet->payload;
	event->offset = before > UINT32_MAX ? UINT32_MAX : (uint32_t)before;
	event->captured = 0;
	event->side = (uint8_t)side;
	event->kind = (uint8_t)kind;
	event->flags = record->flags;
	event->reserved = 0;
}

/* True for the errors that say that a packet did not arrive; "too big" does not say so for good. */
PACKET_INLINE bool flow_error_is_final(const struct packet *packet)
{
	if (packet->family == PACKET_IPV4)
		return !(packet->icmp_type == 3 && packet->icmp_code == 4);
	return packet->icmp_type != 2;
}

/* An ICMP error about this flow; `side` is the error's sender. Returns enum flow_send bits. */
PACKET_FUNCTION unsigned int flow_error(struct flow_record *record, const struct packet *packet,
                                        enum flow_side_index side, uint64_t now)
{
	if (!record || !packet)
		return 0;
	if (now > record->last_ns)
		record->last_ns = now;
	record->icmp_type = packet->icmp_type;
	record->icmp_code = packet->icmp_code;
	if (record->icmp_errors < UINT16_MAX)
		record->icmp_errors++;
	if (record->outcome != FLOW_OUTCOME_NONE || flow_opener(record) == side ||
	    !flow_error_is_final(packet))
		return 0;
	flow_outcome_set(record, FLOW_OUTCOME_UNREACHABLE, now);
	return FLOW_SEND_OUTCOME;
}

#endif
