/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where alerts go: lines in the host's log, and records in the spools of all sinks, which
 * couriers deliver (courier.c). This process has no network. No sink is waited for: what a full disk does not
 * take is counted as lost and said in the log.
 *
 * #syscall monitor: write - alerts to spools, and the log
 */
#include "monitor/state.h"

#include "base/base.h"
#include "monitor/spool.h"

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

static struct alert_view sink_view(const struct monitor_vm *vm, const struct alert *alert,
                                   const char *observer, char addresses[2][46], char *message,
                                   size_t size)
{
	static const uint8_t none[16];
	static const char *const stages[] = {"new", "update", "end"};

	addresses[0][0] = addresses[1][0] = '\0';
	if (memcmp(alert->source, none, sizeof(none)) != 0)
		alert_address(addresses[0], alert->source, alert->family);
	if (memcmp(alert->target, none, sizeof(none)) != 0)
		alert_address(addresses[1], alert->target, alert->family);
	snprintf(message, size, "%s %s", vm->name, alert->sentence);
	return (struct alert_view){.id = alert->id,
	                           .rule = alert->rule,
	                           .stage = stages[alert->stage],
	                           .message = message,
	                           .severity = alert->severity,
	                           .confidence = alert->confidence,
	                           .vm = vm->name,
	                           .observer = observer,
	                           .technique = alert->technique,
	                           .technique_name = alert->technique_name,
	                           .tactic = alert->tactic,
	                           .tactic_name = alert->tactic_name,
	                           .source = addresses[0],
	                           .target = addresses[1],
	                           .port = alert->port,
	                           .proto = alert->family == FLOW_ARP ? 0 : alert->proto,
	                           .first_ns = alert->first_ns,
	                           .last_ns = alert->last_ns,
	                           .suppressed = vm->suppressed};
}

static int sink_line(struct monitor_sink *sink, const char *text)
{
	BASE_AUTO_FREE char *line = NULL;
	int length = asprintf(&line, "%s\n", text);

	if (length >= 0)
		return sink_write(sink, line, (size_t)length);
	line = NULL;
	return -ENOMEM;
}

static void sink_send(struct monitor_vm *vm, struct monitor_sink *sink,
                      const struct alert_view *view, const char *ecs, const char *syslog)
{
	const struct policy_sink form = {.type = sink->type, .format = sink->format};
	BASE_AUTO_FREE char *text = alert_form(view, &form, ecs, syslog);
	int err = -ENOMEM;

	if (text)
		err = spool_append(sink->fd, view->severity, text, strlen(text));
	if (err)
		sink_lost(sink, vm->name, err);
}

void sinks_send(struct monitor *monitor, struct monitor_vm *vm, const struct alert *alert)
{
	const struct alert_subject subject = {.vm = vm->name,
	                                      .policy_line = vm->policy[alert->detector].line,
	                                      .respond = vm->policy[alert->detector].respond,
	                                      .observer = monitor->hostname,
	                                      .suppressed = vm->suppressed,
	                                      .tls = vm->tls};
	char syslog[ALERT_SYSLOG_MAX], addresses[2][46];
	char message[ALERT_SENTENCE_MAX + POLICY_NAME_MAX + 16];
	const struct alert_view view =
	        sink_view(vm, alert, monitor->hostname, addresses, message, sizeof(message));
	json_t *json = alert_json(alert, &subject);
	BASE_AUTO_FREE char *ecs = json ? json_dumps(json, JSON_COMPACT) : NULL;
	int err;

	json_decref(json);
	if (!ecs) {
		sink_lost(&monitor->log, vm->name, -ENOMEM);
		return;
	}
	alert_syslog(alert, &subject, syslog, sizeof(syslog));
	vm->alerts++;
	err = sink_line(&monitor->log, ecs);
	if (err)
		sink_lost(&monitor->log, vm->name, err);
	for (size_t i = 0; i < vm->sink_count; i++)
		if (!policy_sink_is_flows(vm->sinks[i].type))
			sink_send(vm, &vm->sinks[i], &view, ecs, syslog);
}

int sinks_open(struct monitor_vm *vm, struct monitor_sink *sink)
{
	if (!policy_sink_is_flows(sink->type))
		return 0;
	if (!vm->exported)
		vm->exported = exported_new();
	sink->batch = vm->exported ? calloc(1, sizeof(*sink->batch)) : NULL;
	return sink->batch ? 0 : -ENOMEM;
}

/* Flows are less than any alert. */
static void sink_flush(struct monitor_vm *vm, struct monitor_sink *sink)
{
	uint8_t spooled[IPFIX_SPOOLED_MAX];
	int err;

	if (!sink->batch || sink->batch->count == 0)
		return;
	err = spool_append(sink->fd, ALERT_LOW, (const char *)spooled,
	                   ipfix_spool(sink->batch, spooled));
	if (err)
		sink_lost(sink, vm->name, err);
	memset(sink->batch, 0, sizeof(*sink->batch));
}

void sinks_close(struct monitor_vm *vm, struct monitor_sink *sink)
{
	sink_flush(vm, sink);
	free(sink->batch);
	base_close(&sink->fd);
}

void sinks_flow(struct monitor_vm *vm, const struct flow_record *record, enum ipfix_end end)
{
	const struct ipfix_origin origin = {
	        .vm = vm->name, .ifindex = vm->ifindex, .clock_ns = vm->monitor->clock_ns};
	struct flow_record rest = *record;

	if (!vm->exported)
		return;
	exported_rest(vm->exported, &rest, end != IPFIX_END_ACTIVE);
	for (size_t i = 0; i < vm->sink_count; i++) {
		struct monitor_sink *sink = &vm->sinks[i];

		if (!sink->batch || ipfix_add(sink->batch, &rest, &origin, end))
			continue;
		sink_flush(vm, sink);
		ipfix_add(sink->batch, &rest, &origin, end);
	}
}

void sinks_flush(struct monitor_vm *vm)
{
	for (size_t i = 0; i < vm->sink_count; i++)
		sink_flush(vm, &vm->sinks[i]);
}
