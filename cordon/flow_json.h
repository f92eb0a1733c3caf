/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flow_json: what is in a flow as the monitor tells of it (alert_flow_json()), and a hash of it. A field that is not there
 * is "" or 0: what a monitor says is not trusted to be whole.
 */
#ifndef CORDON_FLOW_JSON_H
#define CORDON_FLOW_JSON_H

#include <jansson.h>
#include <stdint.h>

/* flow.OUTER.KEY */
static inline const char *flow_json_text(const json_t *flow, const char *outer, const char *key)
{
	const char *text = json_string_value(json_object_get(json_object_get(flow, outer), key));

	return text ? text : "";
}

static inline json_int_t flow_json_number(const json_t *flow, const char *outer, const char *key)
{
	return json_integer_value(json_object_get(json_object_get(flow, outer), key));
}

#define FLOW_JSON_HASH 0xcbf29ce484222325ull

/* FNV-1a, on from `hash`, of the text and its end. */
static inline uint64_t flow_json_hash(uint64_t hash, const char *text)
{
	for (; text && *text; text++)
		hash = (hash ^ (uint8_t)*text) * 0x100000001b3;
	return (hash ^ 0xff) * 0x100000001b3;
}

#endif
