// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hob: the list by which a trust domain's firmware learns what memory it has (TDVF section 4.2; UEFI PI volume 3,
 * chapter 5): a handoff block, a resource descriptor for each range, an end. What the launch adds is memory; the
 * rest is memory that the guest has to accept first. The host says this, so the firmware measures it into RTMR0.
 */
#include "base/base.h"
#include "confidential/bytes.h"
#include "confidential/flow_private.h"
#include "confidential/guid.h"

enum {
	HOB_HANDOFF = 1,
	HOB_RESOURCE = 3,
	HOB_END = 0xffff,
	HOB_HANDOFF_SIZE = 56,
	HOB_RESOURCE_SIZE = 48,
	HOB_END_SIZE = 8,
	HOB_HANDOFF_VERSION = 9,
	HOB_OWNER_AT = 8, /* of a resource: whose it is; zero */
	HOB_SYSTEM_MEMORY = 0,
	HOB_UNACCEPTED_MEMORY = 7,
	HOB_ATTRIBUTES = 7, /* present, initialised, tested */
};

struct hob {
	uint8_t *at, *end;
};

static uint8_t *hob_add(struct hob *hob, uint16_t type, uint16_t size)
{
	uint8_t *at = hob->at;

	if ((size_t)(hob->end - at) < size)
		return NULL;
	memset(at, 0, size);
	bytes_put(at, type, 2);
	bytes_put(at + 2, size, 2);
	hob->at += size;
	return at;
}

static int hob_resource(struct hob *hob, uint32_t type, uint64_t gpa, uint64_t size)
{
	uint8_t *at = hob_add(hob, HOB_RESOURCE, HOB_RESOURCE_SIZE);

	if (!at)
		return -EINVAL;
	bytes_put(at + HOB_OWNER_AT + GUID_SIZE, type, 4);
	bytes_put(at + HOB_OWNER_AT + GUID_SIZE + 4, HOB_ATTRIBUTES, 4);
	bytes_put(at + HOB_OWNER_AT + GUID_SIZE + 8, gpa, 8);
	bytes_put(at + HOB_OWNER_AT + GUID_SIZE + 16, size, 8);
	return 0;
}

/* The accepted range that covers `at`, or the next one above it; NULL: none before `end`. */
static const struct cc_range *hob_next(const struct cc_range *list, size_t count, uint64_t at,
                                       uint64_t end)
{
	const struct cc_range *next = NULL;

	for (size_t i = 0; i < count; i++)
		if (list[i].gpa + list[i].size > at && list[i].gpa < end &&
		    (!next || list[i].gpa < next->gpa))
			next = &list[i];
	return next;
}

/* One range of memory, cut where what the launch adds begins and ends. */
static int hob_memory(struct hob *hob, const struct cc_memory *memory, const struct cc_range *list,
                      size_t count)
{
	const uint64_t end = memory->gpa + memory->size;
	uint64_t at = memory->gpa;
	int err = 0;

	while (at < end && !err) {
		const struct cc_range *next = hob_next(list, count, at, end);
		const bool inside = next && next->gpa <= at;
		const uint64_t stop = !next ? end : inside ? next->gpa + next->size : next->gpa;
		const uint64_t until = BASE_MIN(stop, end);

		err = hob_resource(hob, inside ? HOB_SYSTEM_MEMORY : HOB_UNACCEPTED_MEMORY, at,
		                   until - at);
		at = until;
	}
	return err;
}

int cc_hob(const struct cc_memory *memory, size_t memory_count, const struct cc_range *accepted,
           size_t accepted_count, uint64_t gpa, uint8_t *to, size_t size)
{
	struct hob hob = {.at = to, .end = to + size};
	uint8_t *handoff = hob_add(&hob, HOB_HANDOFF, HOB_HANDOFF_SIZE);
	int err = handoff ? 0 : -EINVAL;

	for (size_t i = 0; i < memory_count && !err; i++)
		if (!memory[i].firmware)
			err = hob_memory(&hob, &memory[i], accepted, accepted_count);
	if (err || !hob_add(&hob, HOB_END, HOB_END_SIZE))
		return -EINVAL;
	bytes_put(handoff + 8, HOB_HANDOFF_VERSION, 4);
	bytes_put(handoff + 48, gpa + (uint64_t)(hob.at - to), 8); /* where the list ends */
	return 0;
}
