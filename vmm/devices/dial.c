/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-dial: connects to the unix sockets of the host that a policy lists, for a cordon-vsock that may
 * not. It reads eight bytes at a time, of which one number counts: a port, which is in its list or is not.
 *
 * Its root has nothing but the folders that these sockets are in, read-only: so a service may restart and
 * make its socket anew, and nothing outside these folders can be named.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include "base/base.h"
#include "isolate/isolate.h"
#include "vmm/devices/dial.h"
#include "vmm/devices/list_dial.h"

enum { DIAL_TARGETS = 16, DIAL_USAGE = 2 };

struct dial {
	int requests;
	struct dial_target {
		uint32_t port;
		const char *path;
	} targets[DIAL_TARGETS];
	size_t count;
};

/* PORT:PATH */
static int parse_target(struct dial *dial, const char *text)
{
	struct dial_target *target = &dial->targets[dial->count];
	int used = 0;

	if (dial->count == DIAL_TARGETS || sscanf(text, "%u:%n", &target->port, &used) != 1 ||
	    used == 0)
		return -EINVAL;
	target->path = text + used;
	if (target->path[0] != '/' ||
	    strlen(target->path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return -EINVAL;
	dial->count++;
	return 0;
}

static int parse(struct dial *dial, char **argv, bool *sandbox)
{
	for (char **at = argv + 1; *at; at++) {
		if (strcmp(*at, "--no-sandbox") == 0)
			*sandbox = false;
		else if (strcmp(*at, "--requests") == 0 && at[1])
			dial->requests = atoi(*++at);
		else if (strcmp(*at, "--target") != 0 || !at[1] || parse_target(dial, *++at) < 0)
			return -EINVAL;
	}
	return dial->requests > STDERR_FILENO && dial->count > 0 ? 0 : -EINVAL;
}

/*
 * #syscall dial: socket(arg0 = AF_UNIX) - the connection that is asked for
 * #syscall dial: connect - to the target, by a path that is in its list
 */
static int dial_connect(const struct dial_target *target)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	/* non-blocking: a service that accepts nothing is an error, not a wait */
	int fd BASE_AUTO_FD = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	base_copy_string(address.sun_path, sizeof(address.sun_path), target->path);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return base_take_fd(&fd);
}

/*
 * #syscall dial: sendmsg - answers, with the connected socket
 * #syscall dial: close - the socket, once it is the other's
 */
static int answer(const struct dial *dial, const struct dial_request *request)
{
	struct dial_answer text = {.id = request->id, .error = -EACCES};
	struct iovec part = {&text, sizeof(text)};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_level = SOL_SOCKET,
	                        .cmsg_type = SCM_RIGHTS,
	                        .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	int fd BASE_AUTO_FD = -1;

	for (size_t i = 0; i < dial->count; i++) {
		if (dial->targets[i].port != request->port)
			continue;
		fd = dial_connect(&dial->targets[i]);
		text.error = BASE_MIN(fd, 0);
	}
	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
	}
	while (sendmsg(dial->requests, &message, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

/* #syscall dial: recvfrom - the port that is asked for */
static int serve(const struct dial *dial)
{
	for (;;) {
		struct dial_request request;
		ssize_t n = recv(dial->requests, &request, sizeof(request), MSG_TRUNC);

		if (n < 0 && errno == EINTR)
			continue;
		if (n == 0)
			return 0;
		if (n != sizeof(request) || answer(dial, &request) < 0)
			return 1;
	}
}

int main(int argc, char **argv)
{
	struct dial dial = {.requests = -1};
	bool sandbox = true;

	if (argc < 1 || parse(&dial, argv, &sandbox) < 0) {
		fputs("usage: cordon-dial --requests FD --target PORT:PATH... [--no-sandbox]\n",
		      stderr);
		return DIAL_USAGE;
	}
	if (sandbox && isolate_lock(&list_dial) < 0) {
		fputs("cordon-dial: the seccomp list cannot be installed\n", stderr);
		return 1;
	}
	return serve(&dial);
}
