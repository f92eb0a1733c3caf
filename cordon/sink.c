/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sinks of a policy, as root opens them: the monitor is handed what it cannot open itself, and the host's
 * own alerts (report.c) are sent to them from here, as those have to come out also where no monitor runs,
 * or none knows the VM. They are few: each is of a process that has ended. A sink that is no file is a spool, and a
 * courier's affair (courier.c): nobody here waits for a receiver.
 */
#include "cordon/report.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/base.h"
#include "cordon/courier.h"
#include "monitor/spool.h"

int sink_open(const struct policy_sink *sink, struct host_error *error)
{
	struct stat facts;
	int fd;

	if (sink->type != POLICY_SINK_FILE)
		return courier_open(sink, error);
	/* O_NONBLOCK: a FIFO that nobody reads must not hold up the host */
	fd = open(sink->target,
	          O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
	          0640);
	if (fd >= 0 && (fstat(fd, &facts) < 0 || !S_ISREG(facts.st_mode))) {
		close(fd);
		return -EINVAL;
	}
	return fd < 0 ? -errno : fd;
}

static int sink_send(const struct policy_sink *sink, const struct alert_view *view, const char *ecs,
                     const char *syslog, struct host_error *error)
{
	BASE_AUTO_FD int fd = sink_open(sink, error);
	BASE_AUTO_FREE char *text = alert_form(view, sink, ecs, syslog);
	BASE_AUTO_FREE char *line = NULL;
	ssize_t n;

	if (fd < 0 || !text)
		return fd < 0 ? fd : -ENOMEM;
	if (sink->type != POLICY_SINK_FILE)
		return spool_append(fd, view->severity, text, strlen(text));
	if (asprintf(&line, "%s\n", text) < 0) {
		line = NULL;
		return -ENOMEM;
	}
	/* one write: lines of the monitor's must not come between */
	n = write(fd, line, strlen(line));
	return n < 0 ? -errno : n < (ssize_t)strlen(line) ? -ENOSPC : 0;
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
		int failed = sink_send(sink, view, ecs, syslog, &error);

		if (failed)
			fprintf(stderr, "cordon: the sink %s of '%s' took no alert: %s\n",
			        sink->target, vm, error.text[0] ? error.text : strerror(-failed));
		host_error_clear(&error);
	}
}
