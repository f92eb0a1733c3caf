/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * monitor_fixture: a detector by itself, fed with events that are made by hand, and what it has said.
 */
#ifndef CORDON_TESTS_MONITOR_FIXTURE_H
#define CORDON_TESTS_MONITOR_FIXTURE_H

#include <check.h>
#include <stdio.h>

#include "base/base.h"
#include "ecs.h"
#include "monitor/detectors.h"

#define SECOND 1000000000ull
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define START  (1750000000 * SECOND)

enum { TCP = 6, UDP = 17, ICMP = 1 };
enum { HOST = 0xc6336414 /* 198.51.100.20 */, LAN_HOST = 0x0a000014 };

struct watch {
	const struct detector_ops *ops;
	void *self;
	struct alert first, last;
	size_t count[3]; /* by stage */
	uint8_t severity;
};

static inline void watch_alert(const struct alert *alert, void *data)
{
	struct watch *watch = data;

	watch->count[alert->stage]++;
	if (alert->stage == ALERT_NEW)
		watch->first = *alert;
	watch->last = *alert;
	watch->severity = BASE_MAX(watch->severity, (uint8_t)alert->severity);
	ck_assert_str_ne(alert->id, "");
	ck_assert_str_ne(alert->sentence, "");
	ck_assert_uint_le(alert->first_ns, alert->last_ns);
	ck_assert_ptr_nonnull(alert->rule);
	ck_assert_ptr_nonnull(alert->technique);
	ck_assert_ptr_nonnull(alert->tactic);
	ck_assert_uint_gt(alert->confidence, 0);
	ecs_assert_alert(alert);
}

static inline struct watch *watch_new(const struct detector_ops *ops, struct detector_world *world)
{
	const struct detector_config config = {.world = world};
	struct watch *watch = calloc(1, sizeof(*watch));

	ck_assert_ptr_nonnull(watch);
	watch->ops = ops;
	watch->self = ops->create(&config);
	ck_assert_ptr_nonnull(watch->self);
	return watch;
}

static inline void watch_event(struct watch *watch, const struct flow_event_header *event)
{
	const struct detector_out out = {watch_alert, watch};

	if (watch->ops->types & 1u << event->type &&
	    (!watch->ops->wants || watch->ops->wants(event)))
		watch->ops->observe(watch->self, event, &out);
}

static inline void watch_tick(struct watch *watch, uint64_t now)
{
	const struct detector_out out = {watch_alert, watch};

	watch->ops->tick(watch->self, now, &out);
}

/* Ends all, checks that what began has ended, and frees. */
static inline void watch_end(struct watch *watch)
{
	watch_tick(watch, DETECTOR_END);
	ck_assert_uint_eq(watch->count[ALERT_NEW], watch->count[ALERT_END]);
	if (watch->count[ALERT_END] == 1)
		ck_assert_str_eq(watch->last.id, watch->first.id);
	watch->ops->destroy(watch->self);
	free(watch);
}

static inline void key_address(uint8_t out[16], uint32_t address)
{
	const uint8_t bytes[4] = {(uint8_t)(address >> 24), (uint8_t)(address >> 16),
	                          (uint8_t)(address >> 8), (uint8_t)address};

	memset(out, 0, 16);
	memcpy(out, bytes, 4);
}

/* A flow that 10.77.0.6 opens. */
static inline struct flow_event event_make(enum flow_event_type type, uint8_t proto, uint32_t peer,
                                           uint16_t port, uint64_t time)
{
	struct flow_event event = {0};
	struct flow_key *key = &event.record.key;

	event.header.type = (uint16_t)type;
	event.header.size = sizeof(event);
	event.header.time_ns = time;
	event.record.first_ns = event.record.last_ns = time;
	event.record.state = FLOW_STATE_OPENED;
	key->family = FLOW_IPV4;
	key->proto = proto;
	key_address(key->guest, 0x0a4d0006);
	key_address(key->peer, peer);
	key->guest_port = (uint16_t)(20000 + time / 1000000 % 40000);
	key->peer_port = port;
	return event;
}

static inline void event_side(struct flow_event *event, enum flow_side_index side, uint32_t packets,
                              uint64_t payload, const char *head, size_t size)
{
	struct flow_side *of = &event->record.sides[side];

	of->packets = packets;
	of->payload = payload;
	of->bytes = payload + (uint64_t)packets * 66;
	of->head_size = (uint8_t)BASE_MIN(size, (size_t)FLOW_HEAD_MAX);
	if (size)
		memcpy(event->record.first[side].head, head, of->head_size);
}

/* Makes it one that was established and has ended. */
static inline void event_close(struct flow_event *event, uint64_t lasted)
{
	event->header.type = FLOW_EVENT_OUTCOME;
	event->header.time_ns += lasted;
	event->record.last_ns += lasted;
	event->record.state = FLOW_STATE_CLOSED;
	event->record.outcome = FLOW_OUTCOME_CLOSED;
}

static inline int suite_run(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}

#endif
