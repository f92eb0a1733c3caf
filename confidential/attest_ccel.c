// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * attest_ccel: the confidential computing event log, in the TCG's crypto-agile form (TCG PC Client Platform
 * Firmware Profile, section 10). The first event has the older form, and lists the algorithms; each other
 * one has a digest of each. Registers 1 to 4 are RTMR0 to RTMR3, and 0 is MRTD, which no event extends.
 *
 * The log is in a buffer of fixed size; it ends where nothing but zeros, or nothing but 0xff, follows.
 */
#include "base/base.h"
#include "confidential/attest.h"
#include "confidential/hash.h"

enum {
	CCEL_FIRST = 32, /* register, type, a SHA-1, size */
	CCEL_NO_ACTION = 3,
	CCEL_ALGORITHMS_AT = 24, /* of the first event's data: their number */
	CCEL_ALGORITHMS_MAX = 8,
	CCEL_SHA384 = 0x0c,
	CCEL_REGISTERS = 4,
};

struct ccel {
	const uint8_t *at;
	size_t left;
	struct {
		uint16_t id, size;
	} algorithms[CCEL_ALGORITHMS_MAX];
	uint32_t algorithm_count;
	uint8_t (*rtmrs)[48];
	size_t events;
};

static const uint8_t *ccel_take(struct ccel *ccel, size_t size)
{
	const uint8_t *at = ccel->at;

	if (size > ccel->left)
		return NULL;
	ccel->at += size;
	ccel->left -= size;
	return at;
}

static bool ccel_first(struct ccel *ccel)
{
	const uint8_t *head = ccel_take(ccel, CCEL_FIRST), *data;
	uint32_t size = head ? base_le32(head + 28) : 0;

	data = head ? ccel_take(ccel, size) : NULL;
	if (!data || base_le32(head + 4) != CCEL_NO_ACTION || size < CCEL_ALGORITHMS_AT + 4 ||
	    memcmp(data, "Spec ID Event03", 16) != 0)
		return false;
	ccel->algorithm_count = base_le32(data + CCEL_ALGORITHMS_AT);
	if (ccel->algorithm_count == 0 || ccel->algorithm_count > CCEL_ALGORITHMS_MAX ||
	    size < CCEL_ALGORITHMS_AT + 4 + 4 * ccel->algorithm_count)
		return false;
	for (uint32_t i = 0; i < ccel->algorithm_count; i++) {
		const uint8_t *at = data + CCEL_ALGORITHMS_AT + 4 + 4 * i;

		ccel->algorithms[i].id = base_le16(at);
		ccel->algorithms[i].size = base_le16(at + 2);
		if (ccel->algorithms[i].id == CCEL_SHA384 &&
		    ccel->algorithms[i].size != HASH_SHA384)
			return false;
	}
	return true;
}

static uint16_t ccel_size(const struct ccel *ccel, uint16_t id)
{
	for (uint32_t i = 0; i < ccel->algorithm_count; i++)
		if (ccel->algorithms[i].id == id)
			return ccel->algorithms[i].size;
	return 0;
}

/* The event's digests; *sha384 is the one that counts. */
static bool ccel_digests(struct ccel *ccel, uint32_t count, const uint8_t **sha384)
{
	*sha384 = NULL;
	if (count > CCEL_ALGORITHMS_MAX)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *id = ccel_take(ccel, 2), *digest;
		uint16_t size = id ? ccel_size(ccel, base_le16(id)) : 0;

		digest = size ? ccel_take(ccel, size) : NULL;
		if (!digest)
			return false;
		if (base_le16(id) == CCEL_SHA384 && *sha384)
			return false;
		if (base_le16(id) == CCEL_SHA384)
			*sha384 = digest;
	}
	return true;
}

static bool ccel_event(struct ccel *ccel)
{
	const uint8_t *head = ccel_take(ccel, 12), *digest, *size;
	uint32_t reg, type;
	uint8_t both[96];

	if (!head)
		return false;
	reg = base_le32(head);
	type = base_le32(head + 4);
	if (reg > CCEL_REGISTERS || !ccel_digests(ccel, base_le32(head + 8), &digest))
		return false;
	size = ccel_take(ccel, 4);
	if (!size || !ccel_take(ccel, base_le32(size)))
		return false;
	ccel->events++;
	if (type == CCEL_NO_ACTION)
		return true;
	if (reg == 0 || !digest)
		return false;
	memcpy(both, ccel->rtmrs[reg - 1], 48);
	memcpy(both + 48, digest, 48);
	return hash_once(HASH_SHA384, both, sizeof(both), ccel->rtmrs[reg - 1]) == 0;
}

/* All that is left is padding: nothing is behind what looks like the end. */
static bool ccel_ended(const struct ccel *ccel)
{
	const uint8_t fill = ccel->left ? *ccel->at : 0;

	if (fill != 0 && fill != 0xff)
		return false;
	for (size_t i = 0; i < ccel->left; i++)
		if (ccel->at[i] != fill)
			return false;
	return true;
}

bool attest_ccel_replay(const uint8_t *log, size_t size, uint8_t rtmrs[4][48], char why[WHY_MAX])
{
	struct ccel ccel = {.at = log, .left = size, .rtmrs = rtmrs};

	memset(rtmrs, 0, sizeof(uint8_t[4][48]));
	if (!ccel_first(&ccel)) {
		why_set(why, 0, "the event log does not begin with a 'Spec ID Event03'");
		return false;
	}
	while (!ccel_ended(&ccel))
		if (!ccel_event(&ccel)) {
			why_set(why, 0, "the event log is malformed after %zu events", ccel.events);
			return false;
		}
	why_set(why, 0, "the log has %zu events", ccel.events);
	return true;
}
