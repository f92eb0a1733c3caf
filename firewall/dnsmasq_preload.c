/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loaded into dnsmasq: the things that it cannot do for itself.
 *
 * It refuses to serve DHCP unless CAP_NET_ADMIN is permitted to it, because it would put the guest's
 * address into the ARP cache before a unicast answer. Ours answers by broadcast only
 * (--dhcp-broadcast) and does not need it. So its question, capget(), is answered here with what it
 * wants to hear, and the kernel goes on knowing that it has nothing.
 *
 * That question comes when all is loaded and configured and nothing of a guest has been read, so it is
 * also where the process locks its list. (A list before the exec would have to let the loader map
 * executable memory.) The list below was made with strace over DHCP, and DNS by UDP and TCP.
 *
 * To say which link-local address it listens at, or no longer does, it asks for the name of an interface, for which the C
 * library opens a unix socket. It has none; here any of its own kind does.
 *
 * When standard error takes no more (its limit), dnsmasq would turn to syslog, for which it has neither
 * a socket nor a call: its messages end there.
 *
 * #syscall dnsmasq: read - signals through its pipe, a DNS question over TCP
 * #syscall dnsmasq: write - messages, signals through its pipe, a DNS answer over TCP
 * #syscall dnsmasq: writev - signals through its pipe
 * #syscall dnsmasq: close - connections, sockets of interfaces that went
 * #syscall dnsmasq: poll - waits for packets
 * #syscall dnsmasq: recvmsg - packets with the interface that they came by, netlink's messages
 * #syscall dnsmasq: recvfrom - upstream answers
 * #syscall dnsmasq: sendmsg - answers from the address that was asked
 * #syscall dnsmasq: sendto - questions upstream, netlink's requests
 * #syscall dnsmasq: socket(arg0 = AF_INET) - a port of its own for each question upstream
 * #syscall dnsmasq: socket(arg0 = AF_INET6) - the same over IPv6
 * #syscall dnsmasq: bind - the same; and the tap's address when it comes up
 * #syscall dnsmasq: listen - DNS over TCP at the tap's address
 * #syscall dnsmasq: accept - DNS over TCP
 * #syscall dnsmasq: connect - upstream over TCP
 * #syscall dnsmasq: shutdown - ends a TCP connection
 * #syscall dnsmasq: getsockname - which of its addresses was asked over TCP
 * #syscall dnsmasq: getpeername - who asks over TCP
 * #syscall dnsmasq: getsockopt - whether a connection stands
 * #syscall dnsmasq: setsockopt - the options of the sockets above
 * #syscall dnsmasq: fcntl - makes them non-blocking
 * #syscall dnsmasq: ioctl(arg1 = SIOCGIFNAME) - the interface that a packet came by
 * #syscall dnsmasq: ioctl(arg1 = SIOCGIFFLAGS) - whether it is up
 * #syscall dnsmasq: ioctl(arg1 = SIOCGIFADDR) - its address, for DHCP
 * #syscall dnsmasq: ioctl(arg1 = SIOCGIFMTU) - its MTU
 * #syscall dnsmasq: ioctl(arg1 = SIOCGIFINDEX) - its number
 * #syscall dnsmasq: ioctl(arg1 = SIOCGSTAMP_OLD) - when a DHCP message came
 * #syscall dnsmasq: clone(arg0 = 0x1200011) - fork: one process a TCP connection
 * #syscall dnsmasq: set_robust_list - the C library, in the forked process
 * #syscall dnsmasq: wait4 - reaps it
 * #syscall dnsmasq: kill(arg1 = SIGALRM) - ends the forked processes when it ends
 * #syscall dnsmasq: alarm - bounds the time of a TCP connection, wakes for lease ends
 * #syscall dnsmasq: rt_sigaction - the forked process's own handlers
 * #syscall dnsmasq: rt_sigprocmask - the C library, around fork
 * #syscall dnsmasq: getpid - for its messages
 * #syscall dnsmasq: gettid - the C library, in the forked process
 * #syscall dnsmasq: getuid - once at the start
 * #syscall dnsmasq: chdir - once at the start, to /
 * #syscall dnsmasq: dup - keeps standard error for its messages
 * #syscall dnsmasq: dup2 - standard input and output become /dev/null
 * #syscall dnsmasq: pipe2 - one a TCP connection
 * #syscall dnsmasq: openat - /dev/null and the time zone, in a root with nothing of worth
 * #syscall dnsmasq: newfstatat - the same
 * #syscall dnsmasq: getrandom - ports and identifiers of questions upstream
 * #syscall dnsmasq: clock_nanosleep - waits a moment when a send has no memory
 */
#include <linux/capability.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firewall/list_dnsmasq.h"
#include "isolate/isolate.h"

enum { LOCK_FAILED = 126 };

/* The libc functions that these stand in for are not declared by its headers under these names. */
int capget(struct __user_cap_header_struct *header, struct __user_cap_data_struct *data);
void openlog(const char *name, int options, int facility);
void __vsyslog_chk(int priority, int flags, const char *format, va_list arguments);

int capget(struct __user_cap_header_struct *header, struct __user_cap_data_struct *data)
{
	static const char failed[] = "dnsmasq: its seccomp list could not be installed\n";

	header->version = _LINUX_CAPABILITY_VERSION_3;
	if (!data)
		return 0;
	memset(data, 0, _LINUX_CAPABILITY_U32S_3 * sizeof(*data));
	data->permitted = 1U << CAP_NET_ADMIN;
	if (isolate_lock(&list_dnsmasq) < 0) {
		(void)!write(STDERR_FILENO, failed, sizeof(failed) - 1);
		_exit(LOCK_FAILED);
	}
	return 0;
}

char *if_indextoname(unsigned int index, char name[IF_NAMESIZE])
{
	struct ifreq request = {.ifr_ifindex = (int)index};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), failed;

	if (fd < 0)
		return NULL;
	failed = ioctl(fd, SIOCGIFNAME, &request);
	close(fd);
	return failed < 0 ? NULL : memcpy(name, request.ifr_name, IF_NAMESIZE);
}

void openlog(const char *name, int options, int facility)
{
	(void)name;
	(void)options;
	(void)facility;
}

void __vsyslog_chk(int priority, int flags, const char *format, va_list arguments)
{
	(void)priority;
	(void)flags;
	(void)format;
	(void)arguments;
}
