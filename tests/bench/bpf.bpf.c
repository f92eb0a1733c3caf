// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the program at the tap is measured beside: nothing at all, and the least that a flow monitor
 * does (an LRU_HASH of packets and bytes by 5-tuple, IPv4 only).
 *
 * BPF_PROG_TEST_RUN repeats one frame, which is one flow, always in the cache. So `drive` gives each
 * repetition the ports of another flow, picked at random, and goes on to the program under test.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include <stdint.h>

enum { PORTS_AT = 34 };

struct driver {
	uint32_t flows, target, random, reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, uint32_t);
	__type(value, struct driver);
} driver SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__uint(key_size, sizeof(uint32_t));
	__uint(value_size, sizeof(uint32_t));
} targets SEC(".maps");

struct key {
	uint32_t src, dst, ports, proto;
};

struct value {
	uint64_t packets, bytes, last;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 131072);
	__type(key, struct key);
	__type(value, struct value);
} lru SEC(".maps");

SEC("tc")
int drive(struct __sk_buff *skb)
{
	uint32_t zero = 0, ports;
	struct driver *d = bpf_map_lookup_elem(&driver, &zero);

	if (!d || !d->flows)
		return TC_ACT_SHOT;
	d->random = d->random * 1664525 + 1013904223;
	ports = (d->random >> 8) % d->flows + 0x10001;
	bpf_skb_store_bytes(skb, PORTS_AT, &ports, sizeof(ports), 0);
	bpf_tail_call(skb, &targets, d->target);
	return TC_ACT_SHOT;
}

SEC("tc")
int empty(struct __sk_buff *skb)
{
	(void)skb;
	return TC_ACT_UNSPEC;
}

SEC("tc")
int least(struct __sk_buff *skb)
{
	const uint8_t *data = (const uint8_t *)(long)skb->data;
	struct value *found, fresh = {1, skb->len, 0};
	struct key key;

	if (data + 38 > (const uint8_t *)(long)skb->data_end || data[12] != 8 || data[13] != 0)
		return TC_ACT_UNSPEC;
	__builtin_memcpy(&key.src, data + 26, 4);
	__builtin_memcpy(&key.dst, data + 30, 4);
	__builtin_memcpy(&key.ports, data + 34, 4);
	key.proto = data[23];
	found = bpf_map_lookup_elem(&lru, &key);
	if (!found) {
		fresh.last = bpf_ktime_get_ns();
		bpf_map_update_elem(&lru, &key, &fresh, BPF_ANY);
		return TC_ACT_UNSPEC;
	}
	__sync_fetch_and_add(&found->packets, 1);
	__sync_fetch_and_add(&found->bytes, skb->len);
	found->last = bpf_ktime_get_ns();
	return TC_ACT_UNSPEC;
}

char LICENSE[] SEC("license") = "GPL";
