/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's own alerts (report.c) are sent to the sinks of a policy from here, as those have to come out also
 * where no monitor runs, or none knows the VM. They are few: each is of a process that has ended. A sink is a
 * spool, and a courier's affair (courier.c): nobody here waits for a receiver.
 */
#include "cordon/report.h"

#include "base/base.h"
#include "cordon/courier.h"
#include "monitor/spool.h"

static int sink_send(const struct policy_sink *sink, const struct alert_view *view, const char *ecs,
                     const char *syslog, struct host_error *error)
{
	BASE_AUTO_FD int fd = courier_open(sink, error);
	BASE_AUTO_FREE char *text = alert_form(view, sink, ecs, syslog);

	if (fd < 0 || !text)
		return fd < 0 ? fd : -ENOMEM;
	return spool_append(fd, view->severity, text, strlen(text));
}

void sink_send_all(const struct alert_view *view, const char *ecs, const char *syslog)
{
	const char *vm = view->vm;
	BASE_AUTO_FREE struct policy *policy = calloc(1, sizeof(*policy));
	int err = policy ? registry_policy(vm, policy) : -ENOMEM;

	if (err)
		fprintf(stderr, "cordon: an alert of '%s' reached no sink of its policy: %s\n", vm,
		        strerror(-err));
	for (size_t i = 0; !err && i < policy->monitor.sink_count; i++) {
		const struct policy_sink *sink = &policy->monitor.sinks[i];
		struct host_error error = {0};
		int failed = policy_sink_is_flows(sink->type)
		                     ? 0
		                     : sink_send(sink, view, ecs, syslog, &error);

		if (failed)
			fprintf(stderr, "cordon: the sink %s of '%s' took no alert: %s\n",
			        sink->target, vm, error.text[0] ? error.text : strerror(-failed));
		host_error_clear(&error);
	}
}
