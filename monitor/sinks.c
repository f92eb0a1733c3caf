/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where alerts go: the host's log and files as JSON lines, syslog as RFC 5424 over UDP (a datagram
 * each, RFC 5426) or TCP (octet counting, RFC 6587, 3.4.1). No sink is waited for: what one does not
 * take at once is counted as lost and said in the log. A TCP connection that broke stays broken until the
 * VM is registered anew: this process cannot connect.
 *
 * #syscall monitor: write - alerts to files, and to the log
 * #syscall monitor: sendto - syslog
 * #syscall monitor: shutdown - a syslog connection that took half a message
 */
#include "monitor/state.h"

#include <sys/socket.h>

#include "base/base.h"

static void sink_lost(struct monitor_sink *sink, const char *vm, int err)
{
	/* the first, and then every hundredth: a dead sink must not fill the log */
	if (sink->lost++ % 100 == 0)
		fprintf(stderr, "monitor: a sink of %s took no alert: %s (%llu lost)\n", vm,
		        strerror(-err), (unsigned long long)sink->lost);
}

/* A line that a full disk cut short is ended before the next one, which then stands by itself. */
static int sink_write(struct monitor_sink *sink, const char *line, size_t size)
{
	ssize_t n;

	if (sink->torn && write(sink->fd, "\n", 1) != 1)
		return -errno;
	n = write(sink->fd, line, size);
	sink->torn = n > 0 && (size_t)n < size;
	return n < 0 ? -errno : sink->torn ? -ENOSPC : 0;
}

static int sink_stream(struct monitor_sink *sink, const char *text, size_t size)
{
	size_t whole = 0;
	ssize_t n = alert_syslog_stream(sink->fd, text, size, &whole);

	if (n < 0)
		return (int)n;
	/* a frame cut in two would make the rest of the stream unreadable */
	if ((size_t)n < whole)
		shutdown(sink->fd, SHUT_RDWR);
	return (size_t)n < whole ? -EMSGSIZE : 0;
}

static int sink_send(struct monitor_sink *sink, const char *text, size_t size)
{
	if (sink->type == POLICY_SINK_FILE)
		return sink_write(sink, text, size);
	if (sink->type == POLICY_SINK_SYSLOG_TCP)
		return sink_stream(sink, text, size);
	return send(sink->fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

void sinks_send(struct monitor *monitor, struct monitor_vm *vm, const struct alert *alert)
{
	const struct alert_subject subject = {.vm = vm->name,
	                                      .policy_line = vm->policy[alert->detector].line,
	                                      .respond = vm->policy[alert->detector].respond,
	                                      .observer = monitor->hostname,
	                                      .suppressed = vm->suppressed};
	char syslog[ALERT_SYSLOG_MAX];
	size_t size = alert_syslog(alert, &subject, syslog, sizeof(syslog));
	json_t *json = alert_json(alert, &subject);
	BASE_AUTO_FREE char *line = json ? json_dumps(json, JSON_COMPACT) : NULL;
	BASE_AUTO_FREE char *text = NULL;
	int length, err;

	json_decref(json);
	length = line ? asprintf(&text, "%s\n", line) : -1;
	if (length < 0) {
		sink_lost(&monitor->log, vm->name, -ENOMEM);
		return;
	}
	vm->alerts++;
	err = sink_send(&monitor->log, text, (size_t)length);
	if (err)
		sink_lost(&monitor->log, vm->name, err);
	for (size_t i = 0; i < vm->sink_count; i++) {
		struct monitor_sink *sink = &vm->sinks[i];
		bool file = sink->type == POLICY_SINK_FILE;

		err = sink_send(sink, file ? text : syslog, file ? (size_t)length : size);
		if (err)
			sink_lost(sink, vm->name, err);
	}
}
