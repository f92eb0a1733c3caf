// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flow: the program at each tap, once for each direction.
 *
 *   taps     ifindex -> that tap's flow map (bpf/table.h); a tap without one is not watched
 *   slots    the same for most taps, by a part of the ifindex: quicker to look into
 *   events   the ring buffer of all taps, EVENTS_RING_BYTES
 *   scratch  one frame's first bytes, per CPU
 *   payload  a payload event while it is made, per CPU
 *
 * The first PACKET_SNAP bytes of the frame are copied out before anything is looked at: the guest
 * decides how a frame from a tap is split between an skb's head and its pages, so packet data in
 * place would let it hide headers from a program that only looks at the head.
 *
 * Only UAPI structures are used, so the same object loads on every kernel from 6.1 without CO-RE.
 * Every packet is passed on (TC_ACT_UNSPEC): this program watches and decides nothing.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#include "bpf/maps.h"
#include "bpf/quick.h"
#include "bpf/table.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, EVENTS_RING_BYTES);
} events SEC(".maps");

struct scratch {
	struct packet_bytes bytes;
	struct packet packet;
	struct flow_record record;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct scratch);
} scratch SEC(".maps");

struct flow_map {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, FLOW_MAP_FLAGS);
	__uint(max_entries, 1 + FLOW_SETS_DEFAULT * (1 + FLOW_COLD_SETS));
	__uint(key_size, sizeof(uint32_t));
	__uint(value_size, sizeof(struct flow_set));
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, TAPS_MAX);
	__type(key, uint32_t);
	__array(values, struct flow_map);
} taps SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, TAP_SLOTS);
	__type(key, uint32_t);
	__array(values, struct flow_map);
} slots SEC(".maps");

/* How often a CPU tries for a set that another one holds: some 20 µs, and holding takes under one. */
enum { LOCK_TRIES = 512 };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct flow_payload_event);
} payload SEC(".maps");

/* A tap's budget for each EVENTS_WINDOW_NS: bytes while the ring is crowded, and payload events. */
enum { EVENTS_CROWDED = 64 * (sizeof(struct flow_event) + 8), EVENTS_PAYLOADS = 512 };
#define EVENTS_WINDOW_NS 100000000ull

struct flow_context {
	struct __sk_buff *skb;
	void *map; /* the tap's flow map */
	struct flow_tap *tap;
	struct scratch *scratch;
	uint64_t now;
};

static inline void flow_add(uint64_t *counter, uint64_t amount)
{
	__sync_fetch_and_add(counter, amount);
}

PACKET_INLINE struct flow_set *flow_table_set(struct flow_context *context, uint32_t index)
{
	index++; /* element 0 is the tap */
	return bpf_map_lookup_elem(context->map, &index);
}

PACKET_INLINE struct flow_record *flow_table_record(struct flow_context *context)
{
	return &context->scratch->record;
}

/* Takes the lock if its word is still `seen`, and that free. */
PACKET_INLINE bool flow_lock_seen(uint32_t *sequence, uint32_t seen)
{
	bool taken = !(seen & FLOW_LOCKED) &&
	             __sync_val_compare_and_swap(sequence, seen, seen + FLOW_LOCKED) == seen;

	__asm__ volatile("" ::: "memory");
	return taken;
}

struct lock_wait {
	uint32_t *sequence;
	bool taken;
};

static long lock_try(uint32_t index, void *data)
{
	struct lock_wait *wait = data;

	(void)index;
	wait->taken = flow_lock_seen(wait->sequence, *(volatile uint32_t *)wait->sequence);
	return wait->taken;
}

/*
 * tc runs with softirqs off, so the holder is another CPU at work and the wait is short. A call of bpf_loop() and in a
 * function of its own: the verifier would walk through each try of a loop, at each place where one waits.
 */
PACKET_FUNCTION int lock_wait(uint32_t *sequence)
{
	struct lock_wait wait = {.sequence = sequence};

	if (!sequence)
		return false;
	bpf_loop(LOCK_TRIES, lock_try, &wait, 0);
	return wait.taken;
}

PACKET_INLINE bool flow_lock(uint32_t *sequence)
{
	return flow_lock_seen(sequence, *(volatile uint32_t *)sequence) || lock_wait(sequence);
}

/* On x86 stores are seen in their order, so this one, after all others, needs no locked instruction. */
PACKET_INLINE void flow_unlock(uint32_t *sequence)
{
	__asm__ volatile("" ::: "memory");
	*(volatile uint32_t *)sequence = *sequence + FLOW_LOCKED;
}

/*
 * The ring is everybody's: once it is half full, each tap gets EVENTS_CROWDED bytes a window, so that
 * one VM's flood leaves room for what the others have to say.
 */
PACKET_INLINE bool event_allowed(struct flow_tap *tap, uint32_t size, uint64_t now)
{
	if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) < EVENTS_RING_BYTES / 2)
		return true;
	if (now - tap->window_ns > EVENTS_WINDOW_NS) {
		tap->window_ns = now;
		tap->window_bytes = 0;
	}
	tap->window_bytes += size + 8;
	return tap->window_bytes <= EVENTS_CROWDED;
}

static __attribute__((noinline)) void event_send(struct flow_tap *tap, uint32_t type,
                                                 const struct flow_record *record, uint64_t now)
{
	struct flow_event *event = 0;

	if (event_allowed(tap, sizeof(*event), now))
		event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		flow_add(&tap->stats.events_lost, 1);
		return;
	}
	event->header.type = (uint16_t)type;
	event->header.size = sizeof(*event);
	event->header.ifindex = tap->ifindex;
	event->header.time_ns = now;
	__builtin_memcpy(&event->record, record, sizeof(*record));
	event->record.lock = 0;
	bpf_ringbuf_submit(event, 0);
}

PACKET_INLINE void flow_send(struct flow_context *context, enum flow_event_type type,
                             const struct flow_record *record)
{
	event_send(context->tap, type, record, context->now);
}

/* A size in [1, max], max a power of two, in the one form that 6.1's verifier follows; 0 becomes max. */
PACKET_INLINE uint32_t bounded(uint32_t size, uint32_t max)
{
	__asm__ volatile("" : "+r"(size));
	return ((size - 1) & (max - 1)) + 1;
}

PACKET_INLINE void flow_take_head(struct flow_context *context, const struct packet *packet,
                                  uint8_t *head, uint32_t size)
{
	if (size > 0)
		bpf_skb_load_bytes(context->skb, packet->payload_at, head,
		                   bounded(size, FLOW_HEAD_MAX));
}

/* Payloads cost their reader more than records do, so there is a limit to a tap's at any time. */
PACKET_INLINE bool payload_allowed(struct flow_tap *tap, uint32_t size, uint64_t now)
{
	if (now - tap->payload_ns > EVENTS_WINDOW_NS) {
		tap->payload_ns = now;
		tap->window_payloads = 0;
	}
	return tap->window_payloads++ < EVENTS_PAYLOADS && event_allowed(tap, size, now);
}

static __attribute__((noinline)) int payload_send(struct __sk_buff *skb, struct flow_tap *tap,
                                                  struct flow_payload_event *event, uint32_t at)
{
	uint32_t size = event->length < FLOW_PAYLOAD_MAX ? event->length : FLOW_PAYLOAD_MAX;

	size = bounded(size, FLOW_PAYLOAD_MAX);
	event->captured = (uint16_t)size;
	event->header.type = FLOW_EVENT_PAYLOAD;
	event->header.size = flow_payload_event_size(size);
	event->header.ifindex = tap->ifindex;
	if (payload_allowed(tap, event->header.size, event->header.time_ns) &&
	    bpf_skb_load_bytes(skb, at, event->bytes, size) == 0 &&
	    bpf_ringbuf_output(&events, event, flow_payload_event_size(size), 0) == 0)
		return 0;
	flow_add(&tap->stats.payloads_lost, 1);
	return 0;
}

PACKET_INLINE void flow_send_payload(struct flow_context *context, const struct flow_record *record,
                                     const struct packet *packet, enum flow_side_index side,
                                     unsigned int kind)
{
	uint32_t zero = 0;
	struct flow_payload_event *event = bpf_map_lookup_elem(&payload, &zero);

	if (!event)
		return;
	flow_payload_fill(event, record, packet, side, kind);
	event->header.time_ns = context->now;
	payload_send(context->skb, context->tap, event, packet->payload_at);
}

/* Copies and parses. 0 when there is not even room for a look. */
PACKET_FUNCTION int packet_read(struct __sk_buff *skb, struct scratch *copy)
{
	struct packet_input in = {0};
	uint32_t size = skb->len;

	if (!copy)
		return 0;
	if (size > PACKET_SNAP)
		size = PACKET_SNAP;
	size = bounded(size, PACKET_SNAP);
	if (bpf_skb_load_bytes(skb, 0, copy->bytes.at, size))
		return 0;
	in.bytes = &copy->bytes;
	in.captured = size;
	in.wire = skb->len;
	in.vlan_taken = skb->vlan_present;
	in.vlan = (uint16_t)skb->vlan_tci;
	packet_parse(&in, &copy->packet);
	return 1;
}

/*
 * The time of the last tick (up to 10 ms ago): a load and a multiplication, where even the kernel's coarse clock is a
 * call. Ticks are counted by the monotonic clock, so the two differ by what they began at.
 */
PACKET_INLINE uint64_t tick_clock(const struct flow_tap *tap)
{
	return bpf_jiffies64() * tap->tick_ns + tap->clock_ns;
}

/* `now` is of the fine clock, which is never behind. The least difference is the true one. */
PACKET_INLINE void tick_clock_set(struct flow_tap *tap, uint64_t now)
{
	const uint64_t began = now - bpf_jiffies64() * tap->tick_ns;
	const int64_t later = (int64_t)(began - tap->clock_ns);

	if (later < 0 || later > (int64_t)FLOW_SECOND)
		tap->clock_ns = began;
}

/* The whole way, for every frame. */
static __attribute__((noinline)) int tap_whole(struct __sk_buff *skb, enum flow_side_index side)
{
	struct flow_context context = {.skb = skb};
	uint32_t ifindex = skb->ifindex, zero = 0;
	struct scratch *copy;
	struct flow_tap *tap;

	context.map = bpf_map_lookup_elem(&taps, &ifindex);
	if (!context.map)
		return TC_ACT_UNSPEC;
	tap = bpf_map_lookup_elem(context.map, &zero);
	copy = bpf_map_lookup_elem(&scratch, &zero);
	if (!tap || !copy || !packet_read(skb, copy))
		return TC_ACT_UNSPEC;
	context.tap = tap;
	context.scratch = copy;
	context.now = bpf_ktime_get_ns();
	tick_clock_set(tap, context.now);
	flow_table_packet(&context, tap, &copy->packet, side & 1, context.now);
	return TC_ACT_UNSPEC;
}

/*
 * The short way (quick.h). False: it's not for this packet, and nothing has happened. What the time of a packet
 * of many is used for is when the flow was last used, so that a tick's is good enough.
 */
PACKET_INLINE bool tap_quick(struct __sk_buff *skb, enum flow_side_index side)
{
	const uint8_t *data = (const uint8_t *)(long)skb->data;
	const uint8_t *end = (const uint8_t *)(long)skb->data_end;
	uint32_t index = skb->ifindex & (TAP_SLOTS - 1), zero = 0, tagged = skb->vlan_present;
	void *map = bpf_map_lookup_elem(&slots, &index);
	struct flow_tap *tap = map ? bpf_map_lookup_elem(map, &zero) : 0;
	struct quick_change change;
	struct flow_hot *hot;
	struct flow_set *set;
	struct quick quick;
	uint64_t hash, id;
	uint32_t way;

	if (!tap || tap->ifindex != skb->ifindex)
		return false;
	if (quick_parse(data, end, skb->len, skb->len, 0, side, &quick) != QUICK_ALL)
		return false;
	if (side == FLOW_GUEST && quick_is_foreign(tap, data + 6))
		return false;
	if (tagged) {
		quick.key.vlan = skb->vlan_tci & 0xfff;
		quick.wire += 4;
	}
	hash = flow_hash(&quick.key, tap->seed);
	id = flow_id(&quick.key, tap->seed);
	index = flow_set_index(hash, tap->sets) + 1;
	set = bpf_map_lookup_elem(map, &index);
	if (!set)
		return false;
	way = quick_find(set, side, id, hash);
	if (way >= FLOW_WAYS)
		return false;
	hot = &set->hot[side & 1][way & (FLOW_WAYS - 1)];
	if (!quick_count(hot, id, &quick, tick_clock(tap), &change) ||
	    !flow_lock_seen(&hot->lock, change.seen))
		return false;
	quick_store(hot, &change);
	return true;
}

SEC("tc")
int tap_from_guest(struct __sk_buff *skb)
{
	return tap_quick(skb, FLOW_GUEST) ? TC_ACT_UNSPEC : tap_whole(skb, FLOW_GUEST);
}

SEC("tc")
int tap_to_guest(struct __sk_buff *skb)
{
	return tap_quick(skb, FLOW_PEER) ? TC_ACT_UNSPEC : tap_whole(skb, FLOW_PEER);
}

char LICENSE[] SEC("license") = "GPL";
