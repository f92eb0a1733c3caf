/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fake_monitor: what the verbs that ask the monitor are given in its place: fake_answers() says what, and each query is
 * answered by a process of its own. A test includes it once.
 */
#ifndef CORDON_TESTS_FAKE_MONITOR_H
#define CORDON_TESTS_FAKE_MONITOR_H

#include <jansson.h>
#include <sys/socket.h>

#include "base/base.h"
#include "cordon/host.h"

static void fake_answers(int fd, const struct monitor_request *request);

static inline json_t *stats_make(const char *vm, int out, int in)
{
	return json_pack("{s:s, s:i, s:i}", "vm", vm, "bytes_out", out, "bytes_in", in);
}

static inline json_t *flow_make(const char *vm, const char *peer, bool incoming, int port, int out,
                                int in)
{
	json_t *own = json_pack("{s:s, s:i, s:i}", "ip", "10.0.0.2", "port", port, "bytes", out);
	json_t *other = json_pack("{s:s, s:i, s:i}", "ip", peer, "port", 443, "bytes", in);

	return json_pack("{s:{s:s}, s:{s:s}, s:{s:s, s:s}, s:o, s:o}", "host", "name", vm, "event",
	                 "start", "2026-01-31T12:34:56.789Z", "network", "direction",
	                 incoming ? "ingress" : "egress", "community_id", peer,
	                 incoming ? "destination" : "source", own,
	                 incoming ? "source" : "destination", other);
}

static inline void answer(int fd, enum monitor_answer_type type, json_t *json)
{
	struct {
		struct monitor_answer head;
		char text[MONITOR_TEXT_MAX];
	} message = {.head = {.type = type}};
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	if (text)
		message.head.size = (uint32_t)strlen(text);
	memcpy(message.text, text ? text : "", message.head.size);
	send(fd, &message, sizeof(message.head) + message.head.size, MSG_NOSIGNAL);
	free(text);
	json_decref(json);
}

/* The other end is a monitor that answers once. */
int watch_query(void)
{
	struct monitor_request request;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	if (fork() == 0) {
		if (recv(ends[1], &request, sizeof(request), 0) != sizeof(request))
			_exit(1);
		fake_answers(ends[1], &request);
		answer(ends[1], MONITOR_END, NULL);
		_exit(0);
	}
	close(ends[1]);
	return ends[0];
}

/* cli.c's, and not called here. */
json_t *method_call_any(const char *method, json_t *params, struct host_error *error)
{
	(void)method, (void)params, (void)error;
	return NULL;
}

#endif
