/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A table of eight ways. Two prefixes share a tag once in four billion, which then is one that is known too early.
 */
#include "monitor/known.h"

#include "base/base.h"
#include "monitor/detector.h"

enum { KNOWN_WAYS = 8, KNOWN_DAY_MINUTES = 24 * 60 };

static uint32_t known_minute(uint64_t now_ns)
{
	return (uint32_t)BASE_MIN(now_ns / DETECTOR_MINUTE_NS, (uint64_t)UINT32_MAX);
}

/* A day that has begun has none yet. */
static void known_days(struct known *known, uint32_t day)
{
	uint32_t passed;

	if (day <= known->day)
		return;
	passed = BASE_MIN(day - known->day, (uint32_t)KNOWN_DAYS);
	for (uint32_t i = 0; i < passed; i++)
		known->fresh[(day - i) % KNOWN_DAYS] = 0;
	known->day = day;
}

uint32_t known_seen(struct known *known, const uint8_t address[16], uint8_t family, uint64_t now_ns)
{
	const uint32_t now = known_minute(now_ns);
	const uint64_t hash = detector_mix(family == FLOW_IPV6 ? base_be32(address) | 1ull << 40
	                                                       : base_be16(address));
	const uint32_t tag = (uint32_t)(hash >> 32) | 1;
	struct known_one *victim = NULL;

	for (size_t i = 0; i < KNOWN_WAYS; i++) {
		struct known_one *one = &known->all[(hash + i) & (KNOWN_PLACES - 1)];

		if (one->tag == tag) {
			one->last = BASE_MAX(one->last, now);
			return now - BASE_MIN(one->first, now);
		}
		if (!victim || (victim->tag && (!one->tag || one->last < victim->last)))
			victim = one;
	}
	*victim = (struct known_one){tag, now, now};
	known->since = known->since ? known->since : now;
	known_days(known, now / KNOWN_DAY_MINUTES);
	if (known->fresh[known->day % KNOWN_DAYS] < UINT16_MAX)
		known->fresh[known->day % KNOWN_DAYS]++;
	return 0;
}

uint32_t known_age(const struct known *known, uint64_t now_ns)
{
	const uint32_t now = known_minute(now_ns);

	return known->since ? now - BASE_MIN(known->since, now) : 0;
}

uint32_t known_fresh(const struct known *known, uint64_t now_ns)
{
	struct known copy = {.day = known->day};
	uint32_t fresh = 0;

	memcpy(copy.fresh, known->fresh, sizeof(copy.fresh));
	known_days(&copy, known_minute(now_ns) / KNOWN_DAY_MINUTES);
	for (size_t i = 0; i < KNOWN_DAYS; i++)
		fresh += copy.fresh[i];
	return fresh;
}

void known_save(const struct known *known, struct baseline_out *out)
{
	uint32_t count = 0;

	for (size_t i = 0; i < KNOWN_PLACES; i++)
		count += known->all[i].tag != 0;
	baseline_put(out, known->since, 4);
	baseline_put(out, known->day, 4);
	for (size_t i = 0; i < KNOWN_DAYS; i++)
		baseline_put(out, known->fresh[i], 2);
	baseline_put(out, count, 4);
	for (size_t i = 0; i < KNOWN_PLACES; i++) {
		if (!known->all[i].tag)
			continue;
		baseline_put(out, i, 2);
		baseline_put(out, known->all[i].tag, 4);
		baseline_put(out, known->all[i].first, 4);
		baseline_put(out, known->all[i].last, 4);
	}
}

bool known_load(struct known *known, struct baseline_in *in, uint64_t now_ns)
{
	/* another host's clock may be a day off */
	const uint32_t latest = known_minute(now_ns) + KNOWN_DAY_MINUTES;
	uint32_t count;

	known->since = (uint32_t)baseline_get(in, 4);
	known->day = (uint32_t)baseline_get(in, 4);
	for (size_t i = 0; i < KNOWN_DAYS; i++)
		known->fresh[i] = (uint16_t)baseline_get(in, 2);
	count = (uint32_t)baseline_get(in, 4);
	if (in->bad || count > KNOWN_PLACES || known->since > latest ||
	    known->day > latest / KNOWN_DAY_MINUTES)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		const uint64_t place = baseline_get(in, 2);
		struct known_one one;

		one.tag = (uint32_t)baseline_get(in, 4);
		one.first = (uint32_t)baseline_get(in, 4);
		one.last = (uint32_t)baseline_get(in, 4);
		if (in->bad || place >= KNOWN_PLACES || !one.tag || one.first > one.last ||
		    one.last > latest || known->all[place].tag)
			return false;
		known->all[place] = one;
	}
	return true;
}
