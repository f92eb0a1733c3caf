// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cordon-mind: one sleeps for each guarded tap until the kernel says something of an interface (rtnetlink(7),
 * RTNLGRP_LINK). It reads no guest data. A message that was lost (ENOBUFS) is made up for by asking anew once all that
 * waits is read, and again until there is an answer, as that may be lost too: nothing depends on each being seen.
 *
 * SIGUSR1 tells it that the tap was closed for want of rules: it tries to load them until they are.
 */
#include "cordon/mind.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/base.h"

enum { MIND_FAILED = 125, MIND_BUFFER = 32768, MIND_AGAIN_MS = 1000 };

struct mind {
	const char *name, *cordon;
	int ifindex;
	char tap[16];
	uint32_t master;
	int netlink, signals;
	uint32_t port;  /* the socket's, by which answers are told from what others did */
	uint32_t asked; /* the number of the question that has no answer yet, or 0 */
	bool gone, changed;
};

static int mind_listen(uint32_t *port)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
	socklen_t size = sizeof(address);
	BASE_AUTO_FD int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return -errno;
	*port = address.nl_pid;
	return base_take_fd(&fd);
}

/* Has the kernel say what the tap is now: the answer is read as any other message. */
static int mind_ask(struct mind *mind)
{
	struct {
		struct nlmsghdr header;
		struct ifinfomsg link;
	} request = {
	        .header = {.nlmsg_len = sizeof(request),
	                   .nlmsg_type = RTM_GETLINK,
	                   .nlmsg_flags = NLM_F_REQUEST,
	                   .nlmsg_seq = mind->asked + 1},
	        .link = {.ifi_family = AF_UNSPEC, .ifi_index = mind->ifindex},
	};

	mind->asked++; /* also where it cannot be sent: it is asked again */
	return send(mind->netlink, &request, sizeof(request), 0) < 0 ? -errno : 0;
}

static void mind_link(struct mind *mind, const struct nlmsghdr *message)
{
	const struct ifinfomsg *link = NLMSG_DATA(message);
	int left = (int)IFLA_PAYLOAD(message);
	char tap[sizeof(mind->tap)] = "";
	uint32_t master = 0;

	if (message->nlmsg_len < NLMSG_LENGTH(sizeof(*link)) || link->ifi_index != mind->ifindex ||
	    link->ifi_family != AF_UNSPEC) /* a bridge tells of its ports in its own family */
		return;
	for (struct rtattr *at = IFLA_RTA(link); RTA_OK(at, left); at = RTA_NEXT(at, left)) {
		if (at->rta_type == IFLA_IFNAME)
			snprintf(tap, sizeof(tap), "%.*s", (int)RTA_PAYLOAD(at),
			         (const char *)RTA_DATA(at));
		if (at->rta_type == IFLA_MASTER && RTA_PAYLOAD(at) == sizeof(master))
			memcpy(&master, RTA_DATA(at), sizeof(master));
	}
	mind->gone = message->nlmsg_type == RTM_DELLINK;
	mind->changed |= master != mind->master || strcmp(tap, mind->tap) != 0;
	mind->master = master;
	base_copy_string(mind->tap, sizeof(mind->tap), tap);
}

static void mind_message(struct mind *mind, const struct nlmsghdr *message)
{
	const struct nlmsgerr *answer = NLMSG_DATA(message);

	if (message->nlmsg_pid == mind->port && message->nlmsg_seq == mind->asked)
		mind->asked = 0;
	if (message->nlmsg_type == RTM_NEWLINK || message->nlmsg_type == RTM_DELLINK)
		mind_link(mind, message);
	if (message->nlmsg_type == NLMSG_ERROR &&
	    message->nlmsg_len >= NLMSG_LENGTH(sizeof(*answer)))
		mind->gone = answer->error == -ENODEV; /* of what was asked: no such link */
}

/* Reads all there is, or until the tap is gone. True when something was lost. */
static bool mind_read(struct mind *mind)
{
	_Alignas(struct nlmsghdr) char buffer[MIND_BUFFER];
	bool lost = false;

	while (!mind->gone) {
		ssize_t n = recv(mind->netlink, buffer, sizeof(buffer), MSG_DONTWAIT);
		unsigned int left = n < 0 ? 0 : (unsigned int)n;

		if (n < 0 && errno != ENOBUFS && errno != EINTR)
			break;
		lost |= n < 0;
		for (struct nlmsghdr *at = (struct nlmsghdr *)buffer;
		     n > 0 && NLMSG_OK(at, left) && !mind->gone; at = NLMSG_NEXT(at, left))
			mind_message(mind, at);
	}
	return lost;
}

/* 0 when it has succeeded. It has said what went wrong. */
static int mind_reguard(const struct mind *mind)
{
	pid_t child = fork();
	int status = -1;

	if (child == 0) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		execl(mind->cordon, "cordon", "reguard", mind->name, (char *)NULL);
		_exit(MIND_FAILED);
	}
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
		continue;
	return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

/* True when it shall end. */
static bool mind_signal(const struct mind *mind, bool *again)
{
	struct signalfd_siginfo signal;

	if (read(mind->signals, &signal, sizeof(signal)) != sizeof(signal))
		return false;
	*again |= signal.ssi_signo == SIGUSR1;
	return signal.ssi_signo == SIGTERM;
}

/* Until the tap is gone (false), or somebody asks for the end (true). */
static bool mind_tap(struct mind *mind)
{
	struct pollfd fds[] = {{.fd = mind->netlink, .events = POLLIN},
	                       {.fd = mind->signals, .events = POLLIN}};
	bool failed = false;

	while (!mind->gone) {
		int n = poll(fds, BASE_COUNT(fds), failed || mind->asked ? MIND_AGAIN_MS : -1);

		if (n < 0)
			continue;
		if (fds[1].revents && mind_signal(mind, &failed))
			return true;
		if ((fds[0].revents && mind_read(mind)) || (n == 0 && mind->asked))
			mind_ask(mind);
		/* what cannot be loaded is tried again: the tap is closed meanwhile */
		if ((mind->changed || failed) && !mind->gone)
			failed = mind_reguard(mind) < 0;
		mind->changed = false;
	}
	return false;
}

static int mind_reap(const struct mind *mind, bool asked)
{
	sigset_t none;

	/* whoever still means to end it must not end what cleans up after it */
	signal(SIGTERM, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execl(mind->cordon, "cordon", "reap", mind->name, "--status", "0",
	      asked ? "--asked" : (char *)NULL, (char *)NULL);
	dprintf(STDERR_FILENO, "cordon-mind: cannot execute '%s': %s\n", mind->cordon,
	        strerror(errno));
	return MIND_FAILED;
}

int mind_main(int argc, char **argv)
{
	struct mind mind = {0};
	sigset_t term;

	if (argc != 6) {
		dprintf(STDERR_FILENO, "usage: cordon-mind NAME IFINDEX TAP MASTER CORDON\n");
		return MIND_FAILED;
	}
	mind.name = argv[1];
	mind.ifindex = (int)strtol(argv[2], NULL, 10);
	base_copy_string(mind.tap, sizeof(mind.tap), argv[3]);
	mind.master = (uint32_t)strtoul(argv[4], NULL, 10);
	mind.cordon = argv[5];
	prctl(PR_SET_NAME, "cordon-mind"); /* executed by its fd, it has that for a name */
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigaddset(&term, SIGUSR1);
	sigprocmask(SIG_BLOCK, &term, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	mind.signals = signalfd(-1, &term, SFD_CLOEXEC);
	mind.netlink = mind_listen(&mind.port);
	if (mind.signals < 0 || mind.netlink < 0 || mind_ask(&mind) < 0) {
		dprintf(STDERR_FILENO, "cordon-mind: it cannot watch the tap: %s\n",
		        strerror(errno));
		return MIND_FAILED;
	}
	return mind_reap(&mind, mind_tap(&mind));
}
