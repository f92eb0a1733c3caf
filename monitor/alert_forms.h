/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * alert_forms: an alert as receivers want it, whoever raised it. ECS and syslog have fields of their own for what the
 * monitor knows and the host does not, so each writes those itself; what is here is written from a view that both fill.
 */
#ifndef CORDON_MONITOR_ALERT_FORMS_H
#define CORDON_MONITOR_ALERT_FORMS_H

#include <jansson.h>

#include "monitor/alert_text.h"
#include "policies/policies.h"

struct alert_view {
	const char *id, *rule, *stage, *message;
	enum alert_severity severity;
	unsigned int confidence; /* percent */
	const char *vm, *observer;
	const char *technique, *technique_name, *tactic, *tactic_name; /* NULL: none */
	const char *source, *target;                                   /* addresses; "": none */
	uint16_t port;                                                 /* 0: none, or many */
	uint8_t proto;                                                 /* 0: none */
	uint64_t first_ns, last_ns;                                    /* Unix time */
	uint32_t suppressed;
};

enum { ALERT_CEF_MAX = 4096 };

/* ArcSight's Common Event Format, version 0 (25), without a line feed; cut after `size` - 1 bytes. Its length. */
size_t alert_cef(const struct alert_view *view, char *out, size_t size);

/* A Detection Finding (class 2004) of the Open Cybersecurity Schema Framework 1.3; the caller owns it. */
json_t *alert_ocsf(const struct alert_view *view);

/*
 * What a sink gets of the alert, without a line feed; the caller owns it. `ecs` and `syslog` are the alert in those
 * forms. A syslog server gets the other forms as the message of one of RFC 5424 without structured data. NULL
 * when memory is short.
 */
char *alert_form(const struct alert_view *view, const struct policy_sink *sink, const char *ecs,
                 const char *syslog);

#endif
