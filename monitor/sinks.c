/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where alerts go: the host's log and files as JSON lines, syslog as RFC 5424 over UDP (a datagram
 * each, RFC 5426) or TCP (octet counting, RFC 6587, 3.4.1). No sink is waited for: what one does not
 * take at once is counted as lost and said in the log.
 *
 * #syscall monitor: write - alerts to files, and to the log
 * #syscall monitor: sendto - syslog
 */
#include "monitor/state.h"

#include <sys/socket.h>

#include "base/base.h"

enum { SINK_MESSAGE_MAX = 2048 };

static void sink_lost(struct monitor_sink *sink, const char *vm, int err)
{
	/* the first, and then every hundredth: a dead sink must not fill the log */
	if (sink->lost++ % 100 == 0)
		fprintf(stderr, "monitor: a sink of %s took no alert: %s (%llu lost)\n", vm, strerror(-err),
			(unsigned long long)sink->lost);
}

static int sink_send(const struct monitor_sink *sink, const char *text, size_t size)
{
	char framed[SINK_MESSAGE_MAX + 16];
	ssize_t n;

	if (sink->type == POLICY_SINK_FILE)
		return base_write_all(sink->fd, text, size);
	if (sink->type == POLICY_SINK_SYSLOG_UDP) {
		n = send(sink->fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		return n < 0 ? -errno : 0;
	}
	int length = snprintf(framed, sizeof(framed), "%zu %.*s", size, (int)size, text);
	n = send(sink->fd, framed, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT);
	/* a frame cut in two would make the rest of the stream unreadable */
	if (n >= 0 && n < length)
		shutdown(sink->fd, SHUT_RDWR);
	return n < 0 ? -errno : n < length ? -EMSGSIZE : 0;
}

void sinks_send(struct monitor *monitor, struct monitor_vm *vm, const struct alert *alert)
{
	const struct alert_subject subject = { .vm = vm->name,
					       .policy_line = vm->scan_policy.line,
					       .respond = vm->scan_policy.respond };
	char syslog[SINK_MESSAGE_MAX];
	size_t size = alert_syslog(alert, &subject, monitor->hostname, syslog, sizeof(syslog));
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
