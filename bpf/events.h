/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * events: what the programs at the taps write and user space reads. Included by both, so only fixed
 * sizes, no pointers, and nothing that needs a C library.
 *
 * A flow is what Community ID calls one: two addresses, a protocol and two ports, whichever way its
 * packets go. Its key is written from the guest's side of the tap, so `guest` is the source of what
 * the guest sends, also when that address is not the guest's own (spoofed frames are seen here: the
 * program at the tap runs before the firewall). Who opened it is in the record.
 *
 * A flow_record lives in its tap's flow map until the flow's slot is needed. What somebody may wait
 * for is sent, live through the ring buffer and offline by a call, the same messages in the same order:
 *
 *   FLOW_EVENT_NEW      with a flow's first packet, which is in the record already (payload and all)
 *   FLOW_EVENT_OUTCOME  with the packet that changes `outcome`, or that ends the connection (`state`
 *                       becomes CLOSED or RESET): then its counts are final, but for a last ACK
 *   FLOW_EVENT_UPDATE   with the packet by which a side's frames reach a power of two from
 *                       FLOW_UPDATE_PACKETS on, or its bytes pass one from FLOW_UPDATE_BYTES on; and
 *                       with the first packet after FLOW_UPDATE_UNITS without an event of this flow
 *                       (so a connection that lives tells so every ten minutes)
 *   FLOW_EVENT_END      once a flow, its last: it was evicted, its key is used anew, or it was idle for
 *                       flow_idle_ns() (flow.h) and a sweep found it so; offline, also at the end
 *   FLOW_EVENT_PAYLOAD  after its packet's event of another type, if there is one:
 *     FLOW_PAYLOAD_DNS    every UDP datagram from or to port 53; over TCP the segments that lie in
 *                         the first FLOW_STREAM_MAX bytes of their direction
 *     FLOW_PAYLOAD_TLS    TCP, of a direction that begins with a TLS handshake record (client or
 *                         server hello, whatever the port): the same first bytes
 *     FLOW_PAYLOAD_ICMP   echo requests and replies, of each direction the packets number 1, 2, 4, 8, ...
 *
 * A packet causes at most one of NEW, OUTCOME and UPDATE, in that order of precedence. "No answer" is
 * the one outcome that no packet announces: a flow that stays FLOW_OUTCOME_NONE for as long as the
 * reader cares to wait.
 *
 * Live, a tap has a budget (flow.bpf.c): so many payloads in a time, and so many bytes of messages while
 * the ring is more than half full. What was not sent for it is counted: tap_stats.events_lost and
 * payloads_lost. A record's counters hold what its lost events would have said.
 */
#ifndef CORDON_BPF_EVENTS_H
#define CORDON_BPF_EVENTS_H

#include <stdint.h>

enum flow_family {
	FLOW_IPV4 = 4,
	FLOW_IPV6 = 6,
	FLOW_ARP = 1, /* guest: the guest's side of the question; proto and ports are 0 */
};

/*
 * IPv4 addresses sit in the first four bytes, the rest is zero. Addresses in network order, ports in
 * host order. ICMP and ICMPv6 have Community ID's ports: the type and its counterpart's type where
 * there is one (8 and 0 for ping), else the type on the sender's side and the code on the other.
 * Protocols without ports and later fragments have 0 and 0. In IPv6 neighbour discovery the address
 * asked for stands for the multicast group that the question goes to, so that the answer finds it.
 */
struct flow_key {
	uint8_t guest[16];
	uint8_t peer[16];
	uint16_t guest_port;
	uint16_t peer_port;
	uint16_t vlan; /* the outer tag's id, or 0 */
	uint8_t proto;
	uint8_t family; /* enum flow_family */
} __attribute__((aligned(8)));

enum flow_side_index { FLOW_GUEST = 0, FLOW_PEER = 1 };

enum flow_state {
	FLOW_STATE_OPENED = 1, /* one side has spoken */
	FLOW_STATE_ANSWERED,   /* TCP: SYN and SYN/ACK were seen; else: both sides have spoken */
	FLOW_STATE_OPEN,       /* TCP: the handshake is whole, or data is flowing both ways */
	FLOW_STATE_CLOSING,    /* TCP: one FIN */
	FLOW_STATE_CLOSED,     /* TCP: both FINs */
	FLOW_STATE_RESET,      /* TCP RST, SCTP ABORT, from either side */
};

/* What came of it, as the opener saw it. A later outcome replaces an earlier one only downwards in
 * this list, but for NONE, which any replaces. */
enum flow_outcome {
	FLOW_OUTCOME_NONE = 0,    /* no answer, so far */
	FLOW_OUTCOME_UNREACHABLE, /* an ICMP error was the only answer: icmp_type, icmp_code */
	FLOW_OUTCOME_RESET,       /* refused: the first answer was RST or ABORT */
	FLOW_OUTCOME_ANSWERED,    /* TCP: SYN/ACK; else: a packet the other way */
	FLOW_OUTCOME_ESTABLISHED, /* TCP: the opener completed the handshake */
	FLOW_OUTCOME_CLOSED,      /* TCP: established, then ended by FINs or a RST (see state) */
};

enum flow_flags {
	FLOW_FLAG_PEER_OPENED = 1, /* else the guest did */
	FLOW_FLAG_MIDSTREAM =
	        2, /* TCP: the first packet seen was no SYN: a probe, or an old flow */
	FLOW_FLAG_FRAGMENTS = 4,    /* some packet was a fragment */
	FLOW_FLAG_TRUNCATED = 8,    /* some packet's headers were cut short or lied about lengths */
	FLOW_FLAG_FOREIGN_MAC = 16, /* a frame from the guest had another source MAC */
	FLOW_FLAG_ONE_WAY = 32, /* ICMP without a counterpart: guest_port/peer_port are type/code */
	FLOW_FLAG_BACKSCATTER =
	        64, /* opened by an answer: SYN/ACK, RST, or an ICMP reply or error */
	FLOW_FLAG_GUEST_STREAM =
	        128, /* TCP: this side's next bytes are sent as FLOW_EVENT_PAYLOAD */
	FLOW_FLAG_PEER_STREAM = 256,
};
#define FLOW_FLAG_STREAM(side) (FLOW_FLAG_GUEST_STREAM << (side))

enum { FLOW_HEAD_MAX = 32 };

/* Counters of one direction that change with every packet: half a cache line. */
struct flow_side {
	uint64_t packets;  /* frames as they crossed the tap: a GSO frame is one */
	uint64_t bytes;    /* of whole frames, with their Ethernet headers */
	uint64_t payload;  /* bytes above TCP, UDP, SCTP, ICMP or IP headers */
	uint32_t seq_next; /* TCP: the highest sequence number seen, plus one */
	uint8_t tcp_flags; /* every flag seen */
	uint8_t ttl_min, ttl_max;
	uint8_t head_size; /* bytes of `head` that are filled */
};

/* What is written once or rarely. */
struct flow_first {
	uint8_t head[FLOW_HEAD_MAX]; /* the first payload bytes of this direction */
	uint32_t retransmissions;    /* TCP: segments that repeat sequence numbers already seen */
	uint16_t window;             /* TCP: of the first packet */
	uint8_t tcp_flags;           /* TCP: of the first packet */
	uint8_t reserved;
};

struct flow_record {
	struct flow_key key;
	uint64_t last_ns;
	uint8_t state;   /* enum flow_state; 0: the slot is free */
	uint8_t outcome; /* enum flow_outcome */
	uint16_t flags;  /* enum flow_flags */
	uint8_t icmp_type,
	        icmp_code;         /* of the ICMP error about this flow; else of its first packet */
	uint16_t icmp_errors;      /* ICMP errors about this flow, from the other side; saturates */
	uint32_t sent;             /* when an event of this flow was last due: time_ns >> 30 */
	uint32_t lock;             /* the table's own; 0 in events */
	struct flow_side sides[2]; /* by enum flow_side_index: what that side sent */
	uint64_t first_ns;         /* with the key, this flow's identity */
	uint64_t outcome_ns;       /* when `outcome` last changed; minus first_ns: a round trip */
	struct flow_first first[2];
	uint32_t seq_first; /* TCP: of the first packet */
	uint32_t spare[7];
};

enum flow_event_type {
	FLOW_EVENT_NEW = 1,
	FLOW_EVENT_OUTCOME,
	FLOW_EVENT_END,
	FLOW_EVENT_PAYLOAD,
	FLOW_EVENT_UPDATE
};

enum {
	FLOW_UPDATE_PACKETS = 64,
	FLOW_UPDATE_BYTES = 65536,
	FLOW_UPDATE_UNITS = 559, /* of 2^30 ns: ten minutes */
	FLOW_STREAM_MAX = 4096,
};

/* Every message of the ring buffer starts so. A reader skips the types that it does not know. */
struct flow_event_header {
	uint16_t type; /* enum flow_event_type */
	uint16_t size; /* of the whole message, this header included */
	uint32_t ifindex;
	uint64_t time_ns; /* CLOCK_MONOTONIC live, the packet's own time offline */
};

struct flow_event { /* all types but FLOW_EVENT_PAYLOAD */
	struct flow_event_header header;
	struct flow_record record;
};

enum { FLOW_PAYLOAD_MAX = 2048 };

enum flow_payload_kind { FLOW_PAYLOAD_DNS = 1, FLOW_PAYLOAD_TLS, FLOW_PAYLOAD_ICMP };

/* The message is as long as `captured` needs it to be (flow_payload_event_size()). */
struct flow_payload_event { /* FLOW_EVENT_PAYLOAD */
	struct flow_event_header header;
	struct flow_key key;
	uint64_t first_ns; /* with the key, the flow that it belongs to */
	uint32_t length;   /* of the payload on the wire */
	uint32_t offset;   /* payload bytes of this direction that were seen before; saturates */
	uint16_t captured; /* bytes of `bytes` that are filled, at most FLOW_PAYLOAD_MAX */
	uint8_t side;      /* enum flow_side_index: who sent it */
	uint8_t kind;      /* enum flow_payload_kind */
	uint16_t flags;    /* enum flow_flags of the flow */
	uint16_t reserved;
	uint8_t bytes[FLOW_PAYLOAD_MAX];
};

static inline uint16_t flow_payload_event_size(uint32_t captured)
{
	return (uint16_t)(__builtin_offsetof(struct flow_payload_event, bytes) + captured);
}

/* One tap's counters. */
struct tap_stats {
	uint64_t packets[2]; /* by enum flow_side_index */
	uint64_t bytes[2];
	uint64_t flows;    /* opened */
	uint64_t evicted;  /* flows that left before they had ended, for want of room */
	uint64_t unparsed; /* frames cut short or malformed: counted, and in a flow if possible */
	uint64_t not_ip;   /* frames that are neither IP nor ARP: in no flow */
	uint64_t foreign_mac; /* frames from the guest with another source MAC than its own */
	uint64_t events_lost; /* events that the ring had no room for, or only for other taps */
	uint64_t contended;   /* packets in no flow because the set was locked too long */
	uint64_t
	        payloads_lost; /* payload events that were more than the tap may send, or the ring had no room for */
	uint64_t reserved[4];
};

_Static_assert(sizeof(struct flow_key) == 40, "flow_key is read as five words");
_Static_assert(sizeof(struct flow_side) == 32, "two sides fill one cache line");
_Static_assert(sizeof(struct flow_first) == 40, "no holes");
_Static_assert(__builtin_offsetof(struct flow_record, sides) == 64, "sides start a cache line");
_Static_assert(sizeof(struct flow_record) == 256, "records fill cache lines");
_Static_assert(sizeof(struct flow_event) == 272, "no holes");
_Static_assert(sizeof(struct flow_payload_event) == 16 + 40 + 24 + FLOW_PAYLOAD_MAX, "no holes");
_Static_assert(sizeof(struct tap_stats) == 128, "no holes");

#endif
