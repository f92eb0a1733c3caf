/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The process may be killed between any two stores, and the next one has to make sense of what is there:
 * every store that another follows on is a release. Giving back is in four steps (link the head into the
 * list of the batch, show the used index, take the marks away, note the used index), so that a batch
 * that was shown while its marks were still there is known by the used index that was not noted.
 *
 * The memory is the front end's as much as ours: what is read is checked, and no loop trusts it to end.
 */
#include "vmm/devices/inflight.h"

#include "base/base.h"

enum { VERSION = 1, ALIGNMENT = 64 };

struct inflight_entry {
	uint8_t taken;
	uint8_t padding[5];
	uint16_t next; /* of the batch */
	uint64_t counter;
};
struct inflight_record {
	uint64_t features; /* none are defined */
	uint16_t version;  /* 0: new */
	uint16_t entries;
	uint16_t last_head; /* of the batch that was given back last */
	uint16_t used_index;
	struct inflight_entry entry[];
};
_Static_assert(sizeof(struct inflight_entry) == 16, "inflight entry");
_Static_assert(sizeof(struct inflight_record) == 16, "inflight record");

#define PUT(field, value) __atomic_store_n(&(field), (value), __ATOMIC_RELEASE)
#define GET(field)        __atomic_load_n(&(field), __ATOMIC_RELAXED)

uint64_t inflight_bytes(uint16_t entries)
{
	uint64_t bytes = sizeof(struct inflight_record) + entries * sizeof(struct inflight_entry);

	return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

int inflight_attach(struct inflight *f, void *bytes, uint16_t entries)
{
	struct inflight_record *record = bytes;

	if ((uintptr_t)bytes % _Alignof(struct inflight_record) != 0)
		return -EINVAL;
	if (GET(record->version) == 0) {
		PUT(record->entries, entries);
		PUT(record->version, VERSION);
	}
	if (GET(record->version) != VERSION || GET(record->entries) != entries)
		return -EINVAL;
	*f = (struct inflight){.record = record, .entries = entries};
	return 0;
}

/* Takes away the marks of the last `count` that were linked. */
static void clear_batch(struct inflight *f, uint16_t count)
{
	uint16_t head = GET(f->record->last_head);

	for (uint16_t i = 0; i < count && head < f->entries; i++) {
		PUT(f->record->entry[head].taken, 0);
		head = GET(f->record->entry[head].next);
	}
}

int inflight_begin(struct inflight *f, uint32_t ring_size, uint16_t used_index)
{
	uint16_t shown;

	f->pending = 0;
	f->again = f->counter = 0;
	if (!f->record)
		return 0;
	if (ring_size > f->entries)
		return -EINVAL;
	shown = (uint16_t)(used_index - GET(f->record->used_index));
	if (shown <= ring_size) /* more cannot have been one batch: the record is of another ring */
		clear_batch(f, shown);
	PUT(f->record->used_index, used_index);
	for (uint32_t i = 0; i < ring_size; i++) {
		uint64_t counter = GET(f->record->entry[i].counter);

		if (GET(f->record->entry[i].taken) != 1)
			continue;
		f->pending++;
		f->counter = BASE_MAX(f->counter, counter + 1);
	}
	return 0;
}

bool inflight_again(struct inflight *f, uint32_t ring_size, uint16_t *head)
{
	uint64_t first = UINT64_MAX;

	if (f->pending == 0)
		return false;
	for (uint32_t i = 0; i < ring_size; i++) {
		uint64_t counter = GET(f->record->entry[i].counter);

		if (GET(f->record->entry[i].taken) != 1 || counter < f->again || counter >= first)
			continue;
		first = counter;
		*head = (uint16_t)i;
	}
	f->again = first + 1;
	f->pending = first == UINT64_MAX ? 0 : (uint16_t)(f->pending - 1);
	return first != UINT64_MAX;
}

void inflight_take(struct inflight *f, uint16_t head)
{
	if (!f->record)
		return;
	PUT(f->record->entry[head].counter, f->counter++);
	PUT(f->record->entry[head].taken, 1);
}

void inflight_fill(struct inflight *f, uint16_t head)
{
	if (!f->record)
		return;
	PUT(f->record->entry[head].next, GET(f->record->last_head));
	PUT(f->record->last_head, head);
}

void inflight_publish(struct inflight *f, uint16_t count, uint16_t used_index)
{
	if (!f->record)
		return;
	clear_batch(f, count);
	PUT(f->record->used_index, used_index);
}

void inflight_forget(struct inflight *f)
{
	for (uint16_t i = 0; f->record && i < f->entries; i++)
		PUT(f->record->entry[i].taken, 0);
	f->pending = 0;
}
