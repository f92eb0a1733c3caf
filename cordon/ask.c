/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See ask.h. */
#include "cordon/ask.h"

#include <poll.h>
#include <sys/socket.h>

#include "base/base.h"
#include "cordon/verbs.h"

enum { ASK_TIMEOUT_MS = 5000 };

int ask_monitor(enum monitor_verb verb, const char *vm)
{
	struct monitor_request request = {.version = MONITOR_VERSION, .verb = verb};
	BASE_AUTO_FD int monitor = watch_query();

	base_copy_string(request.vm, sizeof(request.vm), vm);
	if (monitor < 0 || send(monitor, &request, sizeof(request), MSG_NOSIGNAL) < 0)
		return monitor < 0 ? monitor : -errno;
	return base_take_fd(&monitor);
}

int ask_next(int monitor, json_t **json)
{
	struct {
		struct monitor_answer head;
		char text[MONITOR_TEXT_MAX];
	} message;
	struct pollfd ready = {.fd = monitor, .events = POLLIN};
	ssize_t n;

	if (poll(&ready, 1, ASK_TIMEOUT_MS) <= 0)
		return -ETIMEDOUT;
	n = recv(monitor, &message, sizeof(message), MSG_TRUNC);
	if (n < (ssize_t)sizeof(message.head) || n > (ssize_t)sizeof(message))
		return n < 0 ? -errno : -EPROTO;
	if (message.head.type == MONITOR_FAILED)
		return message.head.error < 0 ? message.head.error : -EPROTO;
	if (message.head.type != MONITOR_TEXT)
		return (int)message.head.type;
	if (message.head.size > (size_t)n - sizeof(message.head))
		return -EPROTO;
	*json = json_loadb(message.text, message.head.size, 0, NULL);
	return *json ? MONITOR_TEXT : -EPROTO;
}

json_t *ask_all(enum monitor_verb verb, const char *vm, int *err)
{
	BASE_AUTO_FD int monitor = ask_monitor(verb, vm);
	json_t *all = json_array(), *one = NULL;

	*err = monitor < 0 ? -ENOTCONN : MONITOR_TEXT;
	while (*err == MONITOR_TEXT && (*err = ask_next(monitor, &one)) == MONITOR_TEXT)
		json_array_append_new(all, one);
	if (*err >= 0) {
		*err = 0;
		return all;
	}
	json_decref(all);
	return NULL;
}

int ask_failed(int err, const char *vm)
{
	if (err == -ENOENT) {
		fprintf(stderr, "cordon: there is no guest named '%s' with a network\n", vm);
		return VERB_NOT_FOUND;
	}
	if (err == -ENOTCONN)
		fprintf(stderr, "cordon: no monitor is running (no guest has a network), or you "
		                "may not ask it\n");
	else
		fprintf(stderr, "cordon: the monitor did not answer: %s\n", strerror(-err));
	return VERB_FAILED;
}
