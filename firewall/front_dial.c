/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who connects for cordon-names: a child of its, made before either of them has read anything. A seccomp list cannot
 * say where a socket may be connected to, so the process that reads what the guest wrote can make no socket and
 * connect none. It asks for a connection to the VM's dnsmasq, with a message that says nothing else, and gets one; to
 * anything else of the host's or the network's it gets none, whoever has taken it over.
 *
 * The child is in the PID namespace whose first process cordon-names is, and so ends with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "firewall/front.h"
#include "firewall/list_names_dial.h"
#include "firewall/names_fds.h"
#include "isolate/isolate.h"

union control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};

/*
 * #syscall names_dial: socket(arg0 = AF_INET, arg1 = SOCK_STREAM|SOCK_CLOEXEC|SOCK_NONBLOCK) - a question of TCP's to dnsmasq
 * #syscall names_dial: connect - the same; the address is from the command line
 */
static int dial(const struct front *front)
{
	int fd BASE_AUTO_FD = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || (connect(fd, (const struct sockaddr *)&front->resolver_address,
	                       front->resolver_size) < 0 &&
	               errno != EINPROGRESS))
		return -errno;
	return base_take_fd(&fd);
}

/*
 * #syscall names_dial: recvfrom(arg0 = 6) - that a connection is wanted
 * #syscall names_dial: sendmsg(arg0 = 6) - the connection, or none
 * #syscall names_dial: close - it is the other's
 */
static void serve(const struct front *front)
{
	char any;

	while (recv(NAMES_FD_DIAL, &any, sizeof(any), 0) > 0) {
		int fd BASE_AUTO_FD = dial(front);
		union control control = {0};
		struct iovec part = {.iov_base = &any, .iov_len = sizeof(any)};
		struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

		if (fd >= 0) {
			message.msg_control = control.bytes;
			message.msg_controllen = sizeof(control.bytes);
			control.header.cmsg_level = SOL_SOCKET;
			control.header.cmsg_type = SCM_RIGHTS;
			control.header.cmsg_len = CMSG_LEN(sizeof(int));
			memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
		}
		if (sendmsg(NAMES_FD_DIAL, &message, MSG_NOSIGNAL) < 0)
			return;
	}
}

/* Nothing that cordon-names holds: neither its guest's sockets, nor cordon-sets. */
static _Noreturn void become_dialer(const struct front *front, int end)
{
	if (dup2(end, NAMES_FD_DIAL) < 0 || close_range(NAMES_FD_REQUESTS, NAMES_FD_DIAL - 1, 0) ||
	    close_range(NAMES_FD_DIAL + 1, ~0U, 0) || isolate_lock(&list_names_dial) < 0)
		_exit(126);
	serve(front);
	_exit(0);
}

int front_dial_start(const struct front *front)
{
	int pair[2];
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	child = fork();
	if (child == 0)
		become_dialer(front, pair[1]);
	close(pair[1]);
	if (child < 0 || dup3(pair[0], NAMES_FD_DIAL, O_CLOEXEC) < 0)
		return -errno;
	close(pair[0]);
	return 0;
}

/*
 * #syscall names: recvmsg(arg0 = 6) - a connection to dnsmasq
 */
int front_dial(void)
{
	union control control = {0};
	char any = 0;
	struct iovec part = {.iov_base = &any, .iov_len = sizeof(any)};
	struct msghdr message = {.msg_iov = &part,
	                         .msg_iovlen = 1,
	                         .msg_control = control.bytes,
	                         .msg_controllen = sizeof(control.bytes)};
	int fd;

	if (send(NAMES_FD_DIAL, &any, sizeof(any), MSG_NOSIGNAL) < 0 ||
	    recvmsg(NAMES_FD_DIAL, &message, MSG_CMSG_CLOEXEC) <= 0) {
		fputs("cordon-names: nobody is left who connects for it\n", stderr);
		exit(1);
	}
	if (message.msg_controllen < CMSG_LEN(sizeof(fd)) || control.header.cmsg_type != SCM_RIGHTS)
		return -ECONNREFUSED;
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}
