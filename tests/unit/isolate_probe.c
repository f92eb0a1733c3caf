/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program for tests/unit/isolate_spawn.c to start in a role: tries what a role must not be able to
 * do, says on fd 1 what it saw (one `name=value` a line), locks its list, says `locked`, and waits on
 * fd 0 for its end. With the argument `violate` it breaks its list after that.
 *
 * #syscall probe: write(arg0 = 1) - says what it saw
 * #syscall probe: read(arg0 = 0) - waits for its end
 * #syscall probe: getpid - shows that the list lets through what it names
 */
#include "isolate/isolate.h"
#include "tests/unit/list_probe.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

static void say(const char *name, long value)
{
	dprintf(1, "%s=%ld\n", name, value);
}

/* 0 when it worked, which it must not, else the errno. */
static void say_result(const char *name, long result)
{
	say(name, result < 0 ? errno : 0);
}

static long entries_of_root(void)
{
	DIR *root = opendir("/");
	struct dirent *entry;
	long count = 0;

	if (!root)
		return -errno;
	while ((entry = readdir(root)))
		count += entry->d_name[0] != '.';
	closedir(root);
	return count;
}

static long open_fds(void)
{
	long count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static long connect_to(uint32_t address)
{
	const struct sockaddr_in to = {
	        .sin_family = AF_INET,
	        .sin_port = htons(9),
	        .sin_addr.s_addr = htonl(address),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	long result = connect(fd, (const struct sockaddr *)&to, sizeof(to));

	close(fd);
	return result;
}

/* The network interfaces, and whether the only one, lo, is up. */
static void say_network(void)
{
	struct if_nameindex *names = if_nameindex();
	struct ifreq request = {.ifr_name = "lo"};
	long count = 0;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	for (size_t i = 0; names && names[i].if_index; i++)
		count++;
	if_freenameindex(names);
	say("interfaces", count);
	say("lo_up", ioctl(fd, SIOCGIFFLAGS, &request) < 0 ? -1 : !!(request.ifr_flags & IFF_UP));
	close(fd);
}

static void say_what_works(pid_t outsider)
{
	char host[65] = "";
	long environment = 0;
	struct stat status;

	while (environ[environment])
		environment++;
	say("securebits", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
	say("session_keyring",
	    syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
	say("open_fds", open_fds()); /* before the attempts below open more */
	say("environment", environment);
	say("pid", getpid());
	gethostname(host, sizeof(host) - 1);
	say("host_is_cordon", strcmp(host, "cordon") == 0);
	say("umask", umask(0));
	say("root_entries", entries_of_root());
	say_result("stat_etc", stat("/etc", &status));
	say_result("open_passwd", open("/etc/passwd", O_RDONLY));
	say_result("open_up", open("/../../etc/passwd", O_RDONLY));
	say_result("create", open("/new", O_WRONLY | O_CREAT, 0600));
	say_result("create_in_etc", open("/etc/new", O_WRONLY | O_CREAT, 0600));
	say_result("create_in_tmp", open("/tmp", O_WRONLY | O_TMPFILE, 0600));
	say_result("mkdir", mkdir("/new", 0700));
	say_result("kill", kill(outsider, 0));
	say_result("ptrace", ptrace(PTRACE_SEIZE, outsider, 0, 0));
	say_result("mount", mount("x", "/", "tmpfs", 0, NULL));
	say_result("setuid", setuid(0));
	say_result("connect_loopback", connect_to(INADDR_LOOPBACK));
	say_result("connect_elsewhere", connect_to(0x0a000001));
	say_result("raw_socket", socket(AF_INET, SOCK_RAW, 1));
	say_network();
}

int main(int argc, char **argv)
{
	char byte;

	if (argc > 1)
		say_what_works((pid_t)strtol(argv[1], NULL, 10));
	if (isolate_lock(&list_probe) < 0)
		return 1;
	getpid();
	if (write(1, "locked\n", 7) != 7)
		return 1;
	if (argc > 2 && strcmp(argv[2], "violate") == 0)
		syscall(SYS_getuid);
	return read(0, &byte, 1) == 0 ? 42 : 1;
}
