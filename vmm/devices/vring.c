/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory order: the guest publishes a chain by writing the available index last, so the index is read
 * with acquire before the entries; we publish a used entry by writing the used index with release. The
 * event index and flag fields need a full fence between our store and our load (section 2.7.10.1), or
 * both sides can go to sleep. Fields are little-endian, and so is every machine that this runs on.
 *
 * A chain can use each entry of its table once at most, so as many steps as the table has entries
 * without an end is a loop. An indirect table is walked by the same code; it may not hold another.
 */
#include "vmm/devices/vring.h"

#include "base/base.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "virtio 1.x rings are little-endian");

/* Section 2.7.5 to 2.7.8. The event fields are the words after the last ring entry. */
struct vring_descriptor {
	uint64_t address;
	uint32_t length;
	uint16_t flags;
	uint16_t next;
};
struct vring_available {
	uint16_t flags;
	uint16_t index;
	uint16_t ring[];
};
struct vring_used_entry {
	uint32_t id;
	uint32_t length;
};
struct vring_used {
	uint16_t flags;
	uint16_t index;
	struct vring_used_entry ring[];
};

enum { /* descriptor flags */
       DESCRIPTOR_NEXT = 1,
       DESCRIPTOR_WRITE = 2,
       DESCRIPTOR_INDIRECT = 4,
};
enum { AVAILABLE_NO_INTERRUPT = 1, USED_NO_NOTIFY = 1 };

static uint16_t load16(const uint16_t *at)
{
	return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static void store16(uint16_t *at, uint16_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELAXED);
}

static uint16_t *used_event(const struct vring *ring) /* written by the guest */
{
	return &ring->available->ring[ring->size];
}

static uint16_t *available_event(const struct vring *ring) /* written by us */
{
	return (uint16_t *)&ring->used->ring[ring->size];
}

int vring_break(struct vring *ring, const char *why)
{
	if (!ring->broken)
		ring->broken = why;
	return -EPROTO;
}

static void *part(const struct vring *ring, uint64_t user, uint64_t size, uintptr_t align,
                  struct vring_place *place)
{
	void *host = device_memory_at_user(ring->memory, user, size, &place->guest);

	place->size = size;
	return (uintptr_t)host % align == 0 ? host : NULL;
}

/*
 * A guest can take a ring's pages back while it runs. What is behind them here is then no ring any more, and
 * no harm (memory.h): to be looked at whenever more is about to be taken from it is enough.
 */
static bool parts_shared(const struct vring *ring)
{
	for (size_t i = 0; i < BASE_COUNT(ring->places); i++)
		if (!device_memory_is_shared(ring->memory, ring->places[i].guest,
		                             ring->places[i].size))
			return false;
	return true;
}

static const char in_private_memory[] = "a part of it is in memory that the guest does not share";

/* Bytes of the used ring, its header or its event index were written. */
static void log_used(const struct vring *ring, const void *at, uint64_t size)
{
	if (ring->log_used)
		device_memory_mark(ring->memory,
		                   ring->log_at + (uint64_t)((const uint8_t *)at -
		                                             (const uint8_t *)ring->used),
		                   size);
}

int vring_start(struct vring *ring, uint16_t next)
{
	uint64_t n = ring->size;
	void *descriptors, *available, *used;

	if (n == 0 || n > VRING_SIZE_MAX || (n & (n - 1)) != 0)
		return -EINVAL;
	descriptors = part(ring, ring->descriptors_at, n * sizeof(struct vring_descriptor), 16,
	                   &ring->places[0]);
	available = part(ring, ring->available_at, sizeof(struct vring_available) + n * 2 + 2, 2,
	                 &ring->places[1]);
	used = part(ring, ring->used_at,
	            sizeof(struct vring_used) + n * sizeof(struct vring_used_entry) + 2, 4,
	            &ring->places[2]);
	if (!descriptors || !available || !used)
		return -EFAULT;
	ring->descriptors = descriptors;
	ring->available = available;
	ring->used = used;
	ring->broken = parts_shared(ring) ? NULL : in_private_memory;
	ring->used_index = ring->broken ? next : load16(&ring->used->index);
	if (inflight_begin(&ring->inflight, ring->size, ring->used_index) < 0)
		return -EINVAL;
	if (ring->inflight.record)
		next = (uint16_t)(ring->used_index + ring->inflight.pending);
	ring->next = next;
	ring->available_seen = next;
	ring->signalled = ring->used_index;
	ring->signalled_valid = false; /* the event index may be from before a pause */
	return 0;
}

void vring_stop(struct vring *ring)
{
	ring->descriptors = NULL;
	ring->available = NULL;
	ring->used = NULL;
}

static struct vring_descriptor descriptor_copy(const struct vring_descriptor *from)
{
	struct vring_descriptor copy;

	memcpy(&copy, from, sizeof(copy)); /* an indirect table may be unaligned */
	__asm__ volatile("" ::: "memory"); /* the copy is made once, here */
	return copy;
}

static int chain_add(struct vring *ring, struct vring_request *request,
                     const struct vring_descriptor *d)
{
	bool write = d->flags & DESCRIPTOR_WRITE;
	unsigned int used = (unsigned int)request->readable + request->writable;
	int n;

	if (!write && request->writable > 0)
		return vring_break(ring, "a readable descriptor follows a writable one");
	n = device_memory_split(ring->memory, d->address, d->length, request->iov + used,
	                        VRING_IOV_MAX - used);
	if (n == -E2BIG)
		return vring_break(ring, "a chain has too many pieces");
	if (n == -EACCES)
		return vring_break(ring,
		                   "a descriptor points at memory that the guest does not share");
	if (n < 0)
		return vring_break(ring, "a descriptor points outside guest memory");
	if (write) {
		request->writable = (uint16_t)(request->writable + n);
		request->writable_bytes += d->length;
	} else {
		request->readable = (uint16_t)(request->readable + n);
		request->readable_bytes += d->length;
	}
	return 0;
}

/* The table of an indirect descriptor, and its number of entries. */
static const struct vring_descriptor *
indirect_table(struct vring *ring, const struct vring_descriptor *d, uint32_t *entries)
{
	const void *table;

	if (!ring->indirect)
		vring_break(ring, "an indirect descriptor, which was not negotiated");
	else if (d->flags & DESCRIPTOR_NEXT)
		vring_break(ring, "an indirect descriptor with a next one");
	else if (d->length == 0 || d->length % sizeof(*d) != 0)
		vring_break(ring, "the length of an indirect table is no multiple of 16");
	else if (d->length / sizeof(*d) > VRING_SIZE_MAX)
		vring_break(ring, "an indirect table is too long");
	if (ring->broken)
		return NULL;
	table = device_memory_at(ring->memory, d->address, d->length);
	if (!table)
		vring_break(ring, "an indirect table is outside guest memory, or is not shared");
	*entries = d->length / sizeof(*d);
	return table;
}

static int chain_walk(struct vring *ring, struct vring_request *request, uint16_t at)
{
	const struct vring_descriptor *table = ring->descriptors;
	uint32_t entries = ring->size;
	bool indirect = false;

	for (uint32_t steps = 0;; steps++) {
		struct vring_descriptor d;

		if (at >= entries)
			return vring_break(ring, "a descriptor's number is outside its table");
		if (steps == entries)
			return vring_break(ring, "a chain of descriptors is a loop");
		d = descriptor_copy(&table[at]);
		if (d.flags & DESCRIPTOR_INDIRECT) {
			if (indirect)
				return vring_break(ring, "an indirect table inside another");
			table = indirect_table(ring, &d, &entries);
			if (!table)
				return -EPROTO;
			indirect = true;
			at = 0;
			steps = UINT32_MAX; /* the count begins again at 0 */
			continue;
		}
		if (chain_add(ring, request, &d) < 0)
			return -EPROTO;
		if (!(d.flags & DESCRIPTOR_NEXT))
			return 0;
		at = d.next;
	}
}

/* The next head that the guest made available. 1, 0 or -EPROTO as vring_pop(). */
static int next_available(struct vring *ring, uint16_t *head)
{
	if (ring->available_seen == ring->next) {
		uint16_t seen;

		if (!parts_shared(ring))
			return vring_break(ring, in_private_memory);
		seen = __atomic_load_n(&ring->available->index, __ATOMIC_ACQUIRE);
		if ((uint16_t)(seen - ring->next) > ring->size)
			return vring_break(ring, "the available index jumped");
		ring->available_seen = seen;
		if (seen == ring->next)
			return 0;
	}
	*head = load16(&ring->available->ring[ring->next & (ring->size - 1)]);
	return 1;
}

int vring_pop(struct vring *ring, struct vring_request *request)
{
	bool again;
	int got;

	if (ring->broken)
		return -EPROTO;
	again = inflight_again(&ring->inflight, ring->size, &request->head);
	got = again ? 1 : next_available(ring, &request->head);
	if (got <= 0)
		return got;
	request->readable = request->writable = 0;
	request->readable_bytes = request->writable_bytes = 0;
	if (chain_walk(ring, request, request->head) < 0)
		return -EPROTO;
	if (!again) {
		inflight_take(&ring->inflight, request->head);
		ring->next++;
	}
	return 1;
}

void vring_unpop(struct vring *ring, uint16_t count)
{
	ring->next = (uint16_t)(ring->next - count);
}

void vring_fill(struct vring *ring, uint16_t ahead, uint16_t head, uint32_t written)
{
	uint16_t at = (uint16_t)(ring->used_index + ahead) & (uint16_t)(ring->size - 1);

	ring->used->ring[at] = (struct vring_used_entry){.id = head, .length = written};
	log_used(ring, &ring->used->ring[at], sizeof(ring->used->ring[at]));
	inflight_fill(&ring->inflight, head);
}

void vring_publish(struct vring *ring, uint16_t count)
{
	ring->used_index = (uint16_t)(ring->used_index + count);
	__atomic_store_n(&ring->used->index, ring->used_index, __ATOMIC_RELEASE);
	log_used(ring, &ring->used->index, sizeof(ring->used->index));
	inflight_publish(&ring->inflight, count, ring->used_index);
}

void vring_push(struct vring *ring, uint16_t head, uint32_t written)
{
	vring_fill(ring, 0, head, written);
	vring_publish(ring, 1);
}

bool vring_must_signal(struct vring *ring)
{
	uint16_t old = ring->signalled, now = ring->used_index;
	bool valid = ring->signalled_valid;

	if (old == now)
		return false; /* nothing was published */
	ring->signalled = now;
	ring->signalled_valid = true;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!ring->event_idx)
		return !(load16(&ring->available->flags) & AVAILABLE_NO_INTERRUPT);
	/* Section 2.7.10: was the event index passed between the two? */
	return !valid || (uint16_t)(now - load16(used_event(ring)) - 1) < (uint16_t)(now - old);
}

bool vring_kicks(struct vring *ring, bool on)
{
	if (ring->broken)
		return false;
	if (!ring->event_idx) {
		store16(&ring->used->flags, on ? 0 : USED_NO_NOTIFY);
		log_used(ring, &ring->used->flags, sizeof(ring->used->flags));
	} else if (on) {
		store16(available_event(ring), ring->next);
		log_used(ring, available_event(ring), sizeof(uint16_t));
	}
	if (!on)
		return false; /* an event index that stays behind asks for nothing */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return load16(&ring->available->index) != ring->next;
}

static size_t list_copy(const struct iovec *list, unsigned int count, size_t offset,
                        uint8_t *private, size_t size, bool out)
{
	size_t done = 0;

	for (unsigned int i = 0; i < count && done < size; i++) {
		size_t length = list[i].iov_len, piece;
		uint8_t *at;

		if (offset >= length) {
			offset -= length;
			continue;
		}
		at = (uint8_t *)list[i].iov_base + offset;
		piece = BASE_MIN(length - offset, size - done);
		if (out)
			memcpy(private + done, at, piece);
		else
			memcpy(at, private + done, piece);
		offset = 0;
		done += piece;
	}
	__asm__ volatile("" ::: "memory"); /* as in descriptor_copy() */
	return done;
}

size_t vring_copy_out(const struct iovec *list, unsigned int count, size_t offset, void *to,
                      size_t size)
{
	return list_copy(list, count, offset, to, size, true);
}

size_t vring_copy_in(const struct iovec *list, unsigned int count, size_t offset, const void *from,
                     size_t size)
{
	return list_copy(list, count, offset, (uint8_t *)(uintptr_t)from, size, false);
}

unsigned int vring_skip(struct iovec **list, unsigned int count, uint64_t bytes)
{
	struct iovec *at = *list;

	while (count > 0 && bytes >= at->iov_len) {
		bytes -= at->iov_len;
		at++;
		count--;
	}
	if (count > 0 && bytes > 0) {
		at->iov_base = (uint8_t *)at->iov_base + bytes;
		at->iov_len -= bytes;
	}
	*list = at;
	return count;
}

unsigned int vring_truncate(struct iovec *list, unsigned int count, uint64_t bytes)
{
	for (unsigned int i = 0; i < count; i++) {
		if (bytes <= list[i].iov_len) {
			list[i].iov_len = bytes;
			return bytes > 0 ? i + 1 : i;
		}
		bytes -= list[i].iov_len;
	}
	return count;
}
