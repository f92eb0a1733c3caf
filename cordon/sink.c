/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sinks of a policy, as root opens them: the monitor is handed what it cannot open itself, and the host's
 * own alerts (report.c) are sent to them from here, as those have to come out also where no monitor runs,
 * or none knows the VM. They are few: each is of a process that has ended.
 */
#include "cordon/report.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/base.h"
#include "monitor/alert_text.h"

enum { SINK_PATIENCE_S = 3, SINK_ALL_MS = 6000 };

/* A sink is a numeric address: no name is looked up by root on a policy's word. */
static int sink_socket(const struct policy_sink *sink)
{
	char host[64];
	const char *colon = strrchr(sink->target, ':');
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	size_t length = colon ? (size_t)(colon - sink->target) : 0;
	bool bracket = length > 2 && sink->target[0] == '[' && sink->target[length - 1] == ']';
	struct timeval patience = {.tv_sec = SINK_PATIENCE_S};

	if (length == 0 || length >= sizeof(host))
		return -EINVAL;
	memcpy(host, sink->target + bracket, length - 2 * bracket);
	host[length - 2 * bracket] = '\0';
	v4.sin_port = v6.sin6_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	bool is_v6 = inet_pton(AF_INET6, host, &v6.sin6_addr) == 1;
	if (!is_v6 && inet_pton(AF_INET, host, &v4.sin_addr) != 1)
		return -EINVAL;
	BASE_AUTO_FD int fd = socket(
	        is_v6 ? AF_INET6 : AF_INET,
	        (sink->type == POLICY_SINK_SYSLOG_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC,
	        0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, is_v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4,
	            is_v6 ? sizeof(v6) : sizeof(v4)) < 0 ||
	    fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	return base_take_fd(&fd);
}

int sink_open(const struct policy_sink *sink)
{
	struct stat facts;
	int fd;

	if (sink->type != POLICY_SINK_FILE)
		return sink_socket(sink);
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

static int sink_send(const struct policy_sink *sink, const char *line, const char *syslog)
{
	BASE_AUTO_FD int fd = sink_open(sink);
	const char *text = sink->type == POLICY_SINK_FILE ? line : syslog;
	size_t size = strlen(text), whole = size;
	ssize_t n;

	if (fd < 0)
		return fd;
	if (sink->type == POLICY_SINK_SYSLOG_TCP)
		n = alert_syslog_stream(fd, text, size, &whole);
	else if (sink->type == POLICY_SINK_SYSLOG_UDP)
		n = send(fd, text, size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : (ssize_t)size;
	else /* one write: lines of the monitor's must not come between */
		n = write(fd, text, size) < 0 ? -errno : (ssize_t)size;
	return n < 0 ? (int)n : (size_t)n < whole ? -EMSGSIZE : 0;
}

void sink_send_all(const char *vm, const char *line, const char *syslog)
{
	BASE_AUTO_FREE struct policy *policy = calloc(1, sizeof(*policy));
	int err = policy ? registry_policy(vm, policy) : -ENOMEM;
	int64_t deadline = control_now_ms() + SINK_ALL_MS;

	if (err)
		fprintf(stderr, "cordon: an alert of '%s' reached no sink of its policy: %s\n", vm,
		        strerror(-err));
	for (size_t i = 0; !err && i < policy->monitor.sink_count; i++) {
		const struct policy_sink *sink = &policy->monitor.sinks[i];
		/* who waits is the VM's clean-up */
		int failed =
		        control_now_ms() < deadline ? sink_send(sink, line, syslog) : -ETIMEDOUT;

		if (failed)
			fprintf(stderr, "cordon: the sink %s of '%s' took no alert: %s\n",
			        sink->target, vm, strerror(-failed));
	}
}
