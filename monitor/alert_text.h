/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * alert_text: the words that alerts of every kind share.
 */
#ifndef CORDON_MONITOR_ALERT_TEXT_H
#define CORDON_MONITOR_ALERT_TEXT_H

#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#define ALERT_ECS_VERSION "9.0.0"

/* event.severity, as Elastic's rules have it */
enum alert_severity { ALERT_LOW = 21, ALERT_MEDIUM = 47, ALERT_HIGH = 73, ALERT_CRITICAL = 99 };

enum { ALERT_SYSLOG_MAX = 2048 }; /* bytes of one message */

/* "2026-01-31T12:34:56.789Z" */
void alert_time(char out[32], uint64_t unix_ns);

/* An RFC 5424 header as far as the message's id, and a space. */
void alert_syslog_header(FILE *out, enum alert_severity severity, const char *when,
                         const char *host, const char *rule);

/* The same, and structured data as far as the element's id: parameters, "] " and the message are
 * the caller's. */
void alert_syslog_begin(FILE *out, enum alert_severity severity, const char *when, const char *host,
                        const char *rule);

/* Adds one parameter; its value's quotes, backslashes and brackets are escaped (RFC 5424, 6.3.3), and what is no
 * printable ASCII becomes a question mark. */
void alert_syslog_param(FILE *out, const char *name, const char *value);

#endif
