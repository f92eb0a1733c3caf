/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host forwards packets while guests run, and does so as before once the last one has ended. What was
 * changed stands in a note, one file a line, written before the change: a crash between the two leaves a
 * note to put back what is already so.
 *
 * IPv6 has one switch for all interfaces, and an interface that forwards takes no router
 * advertisements, unless it is told to go on with accept_ra=2 (ip-sysctl.txt). So the interfaces that took
 * them are told so first: a host whose own address and default route come from them keeps both.
 */
#include <dirent.h>
#include <fcntl.h>

#include "base/base.h"
#include "cordon/host.h"

#define FORWARDING_NOTE HOST_RUN_DIR "/forwarding-was-off"
#define FORWARDING_IPV4 "/proc/sys/net/ipv4/ip_forward"
#define FORWARDING_IPV6 "/proc/sys/net/ipv6/conf/all/forwarding"

enum { FORWARDING_PATH_MAX = 128, FORWARDING_NOTE_MAX = 64 * 1024 };

static char forwarding_read(const char *path)
{
	BASE_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	char value = '?';

	return fd >= 0 && read(fd, &value, 1) == 1 ? value : '?';
}

static int forwarding_write(const char *path, const char *text)
{
	BASE_AUTO_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : base_write_all(fd, text, strlen(text));
}

/* Calls `each` with accept_ra of every interface that takes router advertisements as a host does. */
static void forwarding_hosts(void (*each)(const char *path, FILE *note), FILE *note)
{
	DIR *dir = opendir("/proc/sys/net/ipv6/conf");
	char path[FORWARDING_PATH_MAX];

	for (struct dirent *entry; dir && (entry = readdir(dir));) {
		if (entry->d_name[0] == '.' || strlen(entry->d_name) > 15 ||
		    strcmp(entry->d_name, "all") == 0)
			continue;
		snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%.15s/accept_ra",
		         entry->d_name);
		if (forwarding_read(path) == '1')
			each(path, note);
	}
	if (dir)
		closedir(dir);
}

static void forwarding_note(const char *path, FILE *note)
{
	fprintf(note, "%s 1\n", path);
}

static void forwarding_keep(const char *path, FILE *note)
{
	(void)note;
	forwarding_write(path, "2\n"); /* one that went meanwhile needs nothing */
}

/* What is off, and what has to be put back with it. */
static int forwarding_save(bool ipv4, bool ipv6)
{
	BASE_AUTO_FREE char *text = NULL;
	size_t size = 0;
	FILE *note = open_memstream(&text, &size);

	if (!note)
		return -ENOMEM;
	if (ipv4)
		fputs(FORWARDING_IPV4 " 0\n", note);
	if (ipv6) {
		fputs(FORWARDING_IPV6 " 0\n", note);
		forwarding_hosts(forwarding_note, note);
	}
	if (fclose(note) != 0)
		return -ENOMEM;
	return registry_write_file(FORWARDING_NOTE, text, size, 0600);
}

int network_forwarding_on(struct host_error *error)
{
	BASE_AUTO_FD int host = registry_lock_host(); /* two first guests write one note */
	char state = forwarding_read(FORWARDING_IPV4);
	bool ipv4 = state == '0', ipv6 = forwarding_read(FORWARDING_IPV6) == '0';
	int err = 0;

	if (state == '?')
		return host_fail(error, -EIO, 126, "cannot read %s", FORWARDING_IPV4);
	if (!ipv4 && !ipv6)
		return 0;
	if (access(FORWARDING_NOTE, F_OK) < 0)
		err = forwarding_save(ipv4, ipv6);
	if (!err && ipv4)
		err = forwarding_write(FORWARDING_IPV4, "1\n");
	if (!err && ipv6) {
		forwarding_hosts(forwarding_keep, NULL);
		err = forwarding_write(FORWARDING_IPV6, "1\n");
	}
	if (err)
		return host_fail(error, err, 126, "cannot turn forwarding on: %s", strerror(-err));
	fprintf(stderr, "cordon: %s forwarding was off; it is on while guests run\n",
	        ipv4 && ipv6 ? "IPv4 and IPv6"
	        : ipv4       ? "IPv4"
	                     : "IPv6");
	return 0;
}

/* The note's lines are ours; it is read as carefully as if they were not. */
void network_forwarding_restore(void)
{
	static const char root[] = "/proc/sys/net/";
	FILE *note BASE_AUTO_FILE = fopen(FORWARDING_NOTE, "re");
	char path[FORWARDING_PATH_MAX], value[4];
	bool whole = true;

	if (!note)
		return;
	while (fscanf(note, "%127s %3s", path, value) == 2) {
		if (strncmp(path, root, strlen(root)) != 0 || strstr(path, ".."))
			continue;
		int err = forwarding_write(path, value);

		/* an interface may be gone */
		whole &= err == 0 || err == -ENOENT;
	}
	if (whole)
		unlink(FORWARDING_NOTE);
}
