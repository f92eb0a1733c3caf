/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whose a process is, by its uid: no other process of the host has those of a VM's slot. */
#include "cordon/host.h"

#include <signal.h>
#include <sys/syscall.h>

#include "base/base.h"
#include "isolate/isolate.h"

int64_t process_uid(pid_t pid)
{
	char path[64], line[256];
	unsigned int uid;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	BASE_AUTO_FILE FILE *status = fopen(path, "re");
	while (status && fgets(line, sizeof(line), status)) {
		if (strncmp(line, "State:\tZ", 8) == 0)
			return -1;
		if (sscanf(line, "Uid: %u", &uid) == 1)
			return uid;
	}
	return -1;
}

static bool process_is_guests(pid_t pid)
{
	int64_t uid = process_uid(pid);

	return uid >= isolate_uid(1, 0) && uid < isolate_uid(HOST_SLOTS_MAX + 1, 0);
}

bool process_kill_guests(pid_t pid)
{
	/* the pid may be another's by now: looked at through what cannot change its meaning */
	BASE_AUTO_FD int process = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

	return process >= 0 && process_is_guests(pid) &&
	       syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0) == 0;
}
