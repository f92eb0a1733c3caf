/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See net.h. The process moves between namespaces with setns(); all of it is one thread. */
#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/base.h"
#include "tests/traffic/net.h"

enum { WORDS_MAX = 40, OUTPUT_MAX = 1 << 20 };

bool net_possible(void)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0)
		_exit(unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 && access("/usr/sbin/nft", X_OK) == 0
		              ? 0
		              : 1);
	if (child > 0 && waitpid(child, &status, 0) == child && status == 0)
		return true;
	puts("skip: network namespaces (root) and nft are needed");
	return false;
}

static int open_namespace(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static int make_namespace(void)
{
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	return open_namespace();
}

void net_enter(const struct net *net, int where)
{
	int fd = where == NET_HOST    ? net->host
	         : where == NET_WORLD ? net->world
	                              : net->guests[where];

	ck_assert_int_eq(setns(fd, CLONE_NEWNET), 0);
}

char *net_output(const struct net *net, int where, const char *command)
{
	char *copy BASE_AUTO_FREE = strdup(command), *save = NULL, *words[WORDS_MAX + 1] = {NULL};
	char *output = calloc(1, OUTPUT_MAX);
	size_t count = 0, size = 0;
	int ends[2], status = 0;
	ssize_t n;
	pid_t child;

	ck_assert(copy && output);
	for (char *word = strtok_r(copy, " ", &save); word && count < WORDS_MAX;
	     word = strtok_r(NULL, " ", &save))
		words[count++] = word;
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		net_enter(net, where);
		dup2(ends[1], STDOUT_FILENO);
		execvp(words[0], words);
		_exit(127);
	}
	close(ends[1]);
	while (size < OUTPUT_MAX - 1 &&
	       (n = read(ends[0], output + size, OUTPUT_MAX - 1 - size)) > 0)
		size += (size_t)n;
	close(ends[0]);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(status == 0, "%s: status %d", command, status);
	return output;
}

int net_run(const struct net *net, int where, const char *command)
{
	free(net_output(net, where, command));
	return 0;
}

/* Gives one ip in a namespace all the lines: starting one for each would take most of the time of a test, and many times
 * as long on an emulated processor. */
static void batch(const struct net *net, int where, const char *format, ...) BASE_PRINTF(3, 4);
static void batch(const struct net *net, int where, const char *format, ...)
{
	int fd BASE_AUTO_FD = memfd_create("lines", MFD_CLOEXEC), status = 0;
	va_list arguments;
	pid_t child;

	va_start(arguments, format);
	ck_assert_int_gt(vdprintf(fd, format, arguments), 0);
	va_end(arguments);
	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	child = fork();
	if (child == 0) {
		net_enter(net, where);
		dup2(fd, STDIN_FILENO);
		execlp("ip", "ip", "-batch", "-", (char *)NULL);
		_exit(127);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(status == 0, "ip: status %d", status);
}

static void write_sysctl(const char *path, const char *value)
{
	int fd BASE_AUTO_FD = open(path, O_WRONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(base_write_all(fd, value, strlen(value)), 0);
}

static void make_guest(const struct net *net, int i)
{
	/* neighbours as cordon has them: nothing has to be resolved, and nothing can be */
	batch(net, NET_HOST,
	      "link add cn%1$d type veth peer name g0 netns /proc/%5$d/fd/%6$d\n"
	      "link set cn%1$d address 02:00:00:00:01:%4$02x addrgenmode none\n"
	      "addr add 10.77.0.%2$d/32 peer 10.77.0.%3$d/32 dev cn%1$d\n"
	      "addr add fd77::%1$d:1/112 dev cn%1$d nodad\n"
	      "neigh replace 10.77.0.%3$d lladdr 02:00:00:00:00:%4$02x dev cn%1$d\n"
	      "neigh replace fd77::%1$d:2 lladdr 02:00:00:00:00:%4$02x dev cn%1$d\n",
	      i, 4 * i + 1, 4 * i + 2, 16 + i, getpid(), net->guests[i]);
	batch(net, i,
	      "link set lo up\n"
	      "link set g0 address 02:00:00:00:00:%4$02x addrgenmode none\n"
	      "addr add 10.77.0.%3$d/30 dev g0\n"
	      "addr add fd77::%1$d:2/112 dev g0 nodad\n"
	      "link set g0 up\n"
	      "route add default via 10.77.0.%2$d\n"
	      "route add default via fd77::%1$d:1\n",
	      i, 4 * i + 1, 4 * i + 2, 16 + i);
}

void net_open(struct net *net)
{
	/* the firewall's lock lies in /run/cordon: this test's own */
	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount("none", "/run", "tmpfs", 0, NULL), 0);
	net->world = make_namespace();
	for (int i = 0; i < NET_GUESTS; i++)
		net->guests[i] = make_namespace();
	net->host = make_namespace();
	write_sysctl("/proc/sys/net/ipv4/ip_forward", "1");
	write_sysctl("/proc/sys/net/ipv6/conf/all/forwarding", "1");
	batch(net, NET_HOST,
	      "link set lo up\n"
	      "link add up0 type veth peer name w0 netns /proc/%d/fd/%d\n"
	      "addr add 192.0.2.1/24 dev up0\n"
	      "addr add 2001:db8::1/64 dev up0 nodad\n"
	      "link set up0 up\n",
	      getpid(), net->world);
	batch(net, NET_WORLD,
	      "link set lo up\n"
	      "addr add 192.0.2.10/24 dev w0\n"
	      "addr add 2001:db8::10/64 dev w0 nodad\n"
	      "link set w0 up\n");
	for (int i = 0; i < NET_GUESTS; i++)
		make_guest(net, i);
	net_enter(net, NET_HOST);
}

void net_close(struct net *net)
{
	base_close(&net->world);
	for (int i = 0; i < NET_GUESTS; i++)
		base_close(&net->guests[i]);
	base_close(&net->host);
}

void net_tap_up(const struct net *net, int i)
{
	batch(net, NET_HOST, "link set cn%d up\n", i);
	net_enter(net, NET_HOST);
}

static socklen_t parse(struct sockaddr_storage *to, const char *address, uint16_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)to;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;

	memset(to, 0, sizeof(*to));
	if (inet_pton(AF_INET, address, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return sizeof(*v4);
	}
	ck_assert_int_eq(inet_pton(AF_INET6, address, &v6->sin6_addr), 1);
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	return sizeof(*v6);
}

static int open_socket(const struct net *net, int where, int family, int type)
{
	int fd;

	net_enter(net, where);
	fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	net_enter(net, NET_HOST);
	ck_assert_int_ge(fd, 0);
	return fd;
}

int net_bound(const struct net *net, int where, int type, const char *address, uint16_t port)
{
	struct sockaddr_storage at;
	socklen_t size = parse(&at, address, port);
	int fd = open_socket(net, where, at.ss_family, type), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, size), 0);
	if (type == SOCK_STREAM)
		ck_assert_int_eq(listen(fd, 64), 0);
	return fd;
}

int net_connecting(const struct net *net, int where, const char *address, uint16_t port)
{
	struct sockaddr_storage to;
	socklen_t size = parse(&to, address, port);
	int fd = open_socket(net, where, to.ss_family, SOCK_STREAM);

	if (connect(fd, (struct sockaddr *)&to, size) < 0)
		ck_assert_msg(errno == EINPROGRESS || errno == ENETUNREACH || errno == ECONNREFUSED,
		              "connect to %s: %s", address, strerror(errno));
	return fd;
}

bool net_connected(int fd, int ms)
{
	struct pollfd wait = {.fd = fd, .events = POLLOUT};
	int error = 0;
	socklen_t size = sizeof(error);

	return poll(&wait, 1, ms) == 1 &&
	       getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0 &&
	       !(wait.revents & (POLLERR | POLLHUP));
}

bool net_reaches(const struct net *net, int where, const char *address, uint16_t port, int ms)
{
	int fd BASE_AUTO_FD = net_connecting(net, where, address, port);

	return net_connected(fd, ms);
}

bool net_readable(int fd, int ms)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};

	return poll(&wait, 1, ms) == 1 && (wait.revents & POLLIN);
}

bool net_pings(const struct net *net, int where, const char *address, int ms)
{
	struct sockaddr_storage to;
	socklen_t size = parse(&to, address, 0);
	bool v4 = to.ss_family == AF_INET;
	/* RFC 792 and RFC 4443 section 4.1: type, code, checksum, identifier, sequence number */
	uint8_t request[8] = {v4 ? 8 : 128, 0, 0, 0, 0x12, 0x34, 0, 1}, answer[128];
	uint16_t sum = (uint16_t) ~(0x0800 + 0x1234 + 1);
	int fd BASE_AUTO_FD = -1;

	if (v4) { /* for ICMPv6 the kernel fills it in */
		request[2] = (uint8_t)(sum >> 8);
		request[3] = (uint8_t)sum;
	}
	net_enter(net, where);
	fd = socket(to.ss_family, SOCK_RAW | SOCK_CLOEXEC, v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	net_enter(net, NET_HOST);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(sendto(fd, request, sizeof(request), 0, (struct sockaddr *)&to, size),
	                 sizeof(request));
	while (net_readable(fd, ms)) {
		ssize_t n = recv(fd, answer, sizeof(answer), 0);
		ssize_t at = v4 ? 20 : 0;

		if (n >= at + 8 && answer[at] == (v4 ? 0 : 129) &&
		    base_be16(answer + at + 4) == 0x1234)
			return true;
	}
	return false;
}

int net_packet(const struct net *net, int where, const char *link)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	int fd;

	net_enter(net, where);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL));
	at.sll_ifindex = (int)if_nametoindex(link);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_gt(at.sll_ifindex, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	net_enter(net, NET_HOST);
	return fd;
}
