/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lock of whoever changes cordon's tables: a file in /run/cordon, because what a change has to say depends on what
 * was read before it (whether this is the last VM, say), and `cordon run` without the daemon makes two such processes
 * possible. The kernel's own generation check covers only what libnftables reads.
 *
 * One of those who take it, cordon-sets, is a guest's process. So nobody waits for it without end, and who has it can
 * be told.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "base/base.h"
#include "firewall/rules.h"

enum { LOCK_STEP_MS = 2 };

static const char lock_folder[] = "/run/cordon", lock_path[] = "/run/cordon/firewall.lock";

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int open_lock(int mode)
{
	int fd;

	if (mkdir(lock_folder, 0755) < 0 && errno != EEXIST)
		return -errno;
	/* 0600: nobody else may hold up the firewall by holding the lock */
	fd = open(lock_path, mode | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd < 0 ? -errno : fd;
}

int firewall_lock_open(void)
{
	return open_lock(O_RDONLY);
}

int firewall_lock_take(int ms)
{
	int fd BASE_AUTO_FD = open_lock(O_RDWR);
	const int64_t end = now_ms() + ms;

	if (fd < 0)
		return fd;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -errno;
		if (now_ms() >= end)
			return -EBUSY;
		poll(NULL, 0, LOCK_STEP_MS);
	}
	return base_take_fd(&fd);
}

/* proc_locks(5): "1: FLOCK  ADVISORY  WRITE 4711 00:1a:53 0 EOF"; who waits has "->" before its kind. */
static bool is_lock_line(const char *line, const struct stat *file, pid_t *pid)
{
	unsigned int major, minor;
	unsigned long long inode;

	return sscanf(line, "%*d: FLOCK %*s %*s %d %x:%x:%llu", pid, &major, &minor, &inode) == 4 &&
	       major == major(file->st_dev) && minor == minor(file->st_dev) &&
	       inode == file->st_ino && *pid > 0;
}

pid_t firewall_lock_holder(char process[17])
{
	FILE *locks BASE_AUTO_FILE = fopen("/proc/locks", "re");
	char line[256], path[64];
	struct stat file;
	pid_t pid = 0;

	process[0] = '\0';
	if (!locks || stat(lock_path, &file) < 0)
		return 0;
	do {
		if (!fgets(line, sizeof(line), locks))
			return 0;
	} while (!is_lock_line(line, &file, &pid));
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	FILE *name BASE_AUTO_FILE = fopen(path, "re");
	if (name && fgets(line, sizeof(line), name)) {
		line[strcspn(line, "\n")] = '\0';
		base_copy_string(process, 17, line);
	}
	return pid;
}

void firewall_lock_words(int error, char *words, size_t size)
{
	char process[17];
	pid_t pid = error == -EBUSY ? firewall_lock_holder(process) : 0;

	if (pid)
		snprintf(words, size, "%s is held by %s (pid %d)", lock_path,
		         process[0] ? process : "a process", pid);
	else
		snprintf(words, size, "%s cannot be locked: %s", lock_path, strerror(-error));
}
