/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every alert is written with, whoever writes it: times, and the frame of an RFC 5424 message. The
 * monitor and the command share it, so it needs neither flows nor a library.
 */
#include "monitor/alert_text.h"

#include <time.h>

#include "base/base.h"

/* RFC 5424, 6.2.1: facility 10 (security), and the severity that goes with the alert's */
enum {
	SYSLOG_SECURITY = 10,
	SYSLOG_CRITICAL = 2,
	SYSLOG_ERROR = 3,
	SYSLOG_WARNING = 4,
	SYSLOG_NOTICE = 5
};

void alert_time(char out[32], uint64_t unix_ns)
{
	time_t seconds = (time_t)(unix_ns / 1000000000);
	struct tm tm;

	/* not strftime(): it looks for the time zone's file at every call, and there are no files here */
	gmtime_r(&seconds, &tm);
	snprintf(out, 32, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ",
	         (unsigned int)(tm.tm_year + 1900) % 10000, (unsigned int)(tm.tm_mon + 1) % 100,
	         (unsigned int)tm.tm_mday % 100, (unsigned int)tm.tm_hour % 100,
	         (unsigned int)tm.tm_min % 100, (unsigned int)tm.tm_sec % 100,
	         (unsigned int)(unix_ns / 1000000 % 1000));
}

static unsigned int alert_syslog_severity(enum alert_severity severity)
{
	switch (severity) {
	case ALERT_CRITICAL: return SYSLOG_CRITICAL;
	case ALERT_HIGH: return SYSLOG_ERROR;
	case ALERT_MEDIUM: return SYSLOG_WARNING;
	default: return SYSLOG_NOTICE;
	}
}

/* A header field: printable ASCII without spaces, or "-" for none (RFC 5424, 6). */
static void alert_syslog_field(char *out, size_t size, const char *text)
{
	size_t n = 0;

	for (; *text && n < size - 1; text++)
		out[n++] = *text > ' ' && *text < 127 ? *text : '?';
	out[n] = '\0';
	if (n == 0)
		snprintf(out, size, "-");
}

void alert_syslog_param(FILE *out, const char *name, const char *value)
{
	fprintf(out, " %s=\"", name);
	for (; *value; value++) {
		if (strchr("\"\\]", *value))
			fputc('\\', out);
		fputc(*value >= ' ' && *value <= '~' ? *value : '?', out);
	}
	fputc('"', out);
}

void alert_syslog_header(FILE *out, enum alert_severity severity, const char *when,
                         const char *host, const char *rule)
{
	char host_field[256], rule_field[33];

	alert_syslog_field(host_field, sizeof(host_field), host);
	alert_syslog_field(rule_field, sizeof(rule_field), rule);
	fprintf(out, "<%u>1 %s %s cordon - %s ",
	        SYSLOG_SECURITY * 8 + alert_syslog_severity(severity), when, host_field,
	        rule_field);
}

void alert_syslog_begin(FILE *out, enum alert_severity severity, const char *when, const char *host,
                        const char *rule)
{
	alert_syslog_header(out, severity, when, host, rule);
	/* 32473 is the enterprise number for examples (RFC 5612): cordon has none of its own */
	fputs("[cordon@32473", out);
}
