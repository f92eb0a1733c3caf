/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Undoing a VM, from what its folder says and from what can be found by its slot, however much of it
 * there is: after a clean end, a failed start, a kill -9 of anything. Each step is a no-op when it
 * was done before, and one that fails leaves the folder, so that all is tried again later.
 *
 * The keeper becomes `cordon reap NAME` when its vmm has ended; a failed start and reap_stale() call
 * the same functions. The rules go after the processes and the tap: never a moment with a wire and no rules.
 */
#include "cordon/host.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/base.h"
#include "bpf/tap.h"
#include "cordon/courier.h"
#include "cordon/report.h"
#include "cordon/verbs.h"
#include "isolate/isolate.h"

enum { REAP_KILL_TRIES = 50, REAP_ENDED_S = 24 * 3600 };

static bool reap_is_of(pid_t pid, uint32_t slot)
{
	int64_t uid = process_uid(pid);

	return uid >= isolate_uid(slot, 0) && uid < isolate_uid(slot + 1, 0);
}

/* No other process of the host has a slot's uids. Returns how many there were. */
static int reap_kill_once(uint32_t slot)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	int found = 0;

	if (!proc)
		return -errno;
	while ((entry = readdir(proc))) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid <= 0 || !reap_is_of(pid, slot))
			continue;
		/* the pid may be another's by now: looked at again through what cannot change its meaning */
		BASE_AUTO_FD int process = (int)syscall(SYS_pidfd_open, pid, 0);
		if (process < 0 || !reap_is_of(pid, slot))
			continue;
		syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0);
		found++;
	}
	closedir(proc);
	return found;
}

/* -EBUSY when some do not go: the kernel holds them, and their uids cannot be another VM's yet. */
static int reap_kill(const struct host_vm *vm)
{
	int left = vm->slot ? 1 : 0;

	for (int i = 0; i < REAP_KILL_TRIES && left > 0; i++) {
		left = reap_kill_once(vm->slot);
		if (left > 0)
			nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
	}
	return left > 0 ? -EBUSY : left;
}

static int reap_taps(const struct host_vm *vm)
{
	struct tap_watch *watch = NULL;
	int worst = 0;

	/* where the programs cannot be opened, they stay attached: on a tap of ours until it goes, which is now; on
	 * a guarded one they count flows that nobody reads */
	if (tap_watch_open(&watch, NULL) == 0) {
		for (size_t i = 0; i < vm->nic_count; i++)
			if (vm->ifindex[i])
				worst = tap_watch_detach(watch, vm->ifindex[i]) ?: worst;
		tap_watch_close(watch);
	}
	for (size_t i = 0; i < vm->nic_count && !vm->guard; i++)
		worst = network_tap_remove(vm->nics[i].tap, vm->ifindex[i]) ?: worst;
	return worst;
}

static int reap_rules(const struct host_vm *vm)
{
	struct firewall *fw = firewall_open();
	int err = fw ? firewall_vm_remove(fw, vm->name) : -errno;

	if (err)
		fprintf(stderr, "cordon: the rules of '%s' were not removed: %s\n", vm->name,
		        fw ? firewall_error(fw) : strerror(-err));
	firewall_close(fw);
	return err;
}

/* The rules go last: while there is a tap, they stand. */
static int reap_wire(const struct host_vm *vm)
{
	BASE_AUTO_FD int monitor = vm->nic_count ? watch_query() : -1;
	int err;

	if (monitor >= 0)
		watch_forget(monitor, vm->name);
	err = reap_taps(vm);
	return err ? err : reap_rules(vm);
}

/* What the vmm counted until its end; false of one that could not say. It may be hostile: numbers only. */
static bool reap_last(const struct host_vm *vm, struct vmm_message *last)
{
	char path[POLICY_PATH_MAX];

	registry_path(path, vm->name, "last");
	BASE_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd >= 0 && base_read_at(fd, last, sizeof(*last), 0) >= 0;
}

/* Why it ended is the last line of its log, also of a vmm that could not say so itself. */
static void reap_log(const struct host_vm *vm, const char *reason, int code)
{
	char file[POLICY_NAME_MAX + 8], when[32];
	time_t now = time(NULL);
	struct tm utc;

	snprintf(file, sizeof(file), "%s.log", vm->name);
	BASE_AUTO_FD int log = registry_log_open(file, O_APPEND);
	if (log < 0 || !gmtime_r(&now, &utc))
		return;
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &utc);
	dprintf(log, "cordon: '%s' has ended: %s (exit status %d) at %s\n", vm->name, reason, code,
	        when);
}

static void reap_alert(const struct host_vm *vm, struct host_end end, bool again)
{
	struct vmm_message last;

	if (vm->guard && !end.asked)
		report_guard(vm, REPORT_GUARD_ENDED, "");
	if (vm->guard)
		return;
	report_end(vm, end, reap_last(vm, &last) ? last.panics : 0, again);
}

/* How it ended, for `cordon inspect` and `cordon run`, until the name is used again. */
static void reap_record(const struct host_vm *vm, struct host_end end)
{
	int status = end.status;
	const char *reason = "unknown";
	char path[POLICY_PATH_MAX];
	struct vmm_message last;
	struct timespec now;
	int code = 255;
	json_t *json;

	if (vm->guard) {
		code = 0;
		reason = end.asked ? "it is not guarded any more" : "its tap is gone";
	} else if (status >= 0 && WIFEXITED(status)) {
		code = WEXITSTATUS(status);
		reason = vmm_end_text((unsigned int)code) ?: reason;
	} else if (status >= 0 && WIFSIGNALED(status)) {
		code = 128 + WTERMSIG(status);
		reason = WTERMSIG(status) == SIGSYS
		                 ? "the vmm made a forbidden system call (SIGSYS)"
		         : WTERMSIG(status) != SIGKILL ? "the vmm died by a signal"
		         : end.asked                   ? "killed"
		                     : "killed from outside, perhaps for want of memory";
	}
	clock_gettime(CLOCK_REALTIME, &now);
	snprintf(path, sizeof(path), HOST_LOG_DIR "/%s.log", vm->name);
	json = json_pack("{s:s, s:s, s:s, s:i, s:i, s:I, s:I, s:s}", "name", vm->name, "state",
	                 "ended", "reason", reason, "exit", code, "restarts", (int)vm->restarts,
	                 "started", (json_int_t)vm->started, "ended",
	                 (json_int_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, "log", path);
	if (json && reap_last(vm, &last)) {
		json_object_set_new(json, "exits", json_integer((json_int_t)last.exits));
		json_object_set_new(json, "unknown_io", json_integer((json_int_t)last.unknown_io));
		json_object_set_new(json, "panics", json_integer((json_int_t)last.panics));
	}
	reap_log(vm, reason, code);
	BASE_AUTO_FREE char *text = json ? json_dumps(json, 0) : NULL;
	json_decref(json);
	snprintf(path, sizeof(path), HOST_RUN_DIR "/ended/%s.json", vm->name);
	if (text)
		registry_write_file(path, text, strlen(text), 0640);
}

/* With the last VM goes what all of them shared. */
static void reap_host(void)
{
	BASE_AUTO_FD int host = registry_lock_host();
	char names[1][POLICY_NAME_MAX];

	if (registry_list(names, 1) != 0)
		return;
	tap_watch_unpin();
	network_forwarding_restore();
	thp_restore();
	registry_sweep();
}

/* How guests ended is kept for a day: names that are never used again must not fill /run. */
static void reap_forget_ends(void)
{
	DIR *dir = opendir(HOST_RUN_DIR "/ended");
	time_t now = time(NULL);
	struct dirent *entry;
	struct stat facts;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.' &&
		    fstatat(dirfd(dir), entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) == 0 &&
		    now - facts.st_mtime > REAP_ENDED_S)
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
}

/* Ends what a run of the VM has: its processes, its wire, its cgroup. */
static int reap_run(const struct host_vm *vm)
{
	int err = reap_kill(vm);

	if (!err)
		err = reap_wire(vm);
	return err ? err : isolate_cgroup_remove(vm->name);
}

/* What could not be undone keeps the folder, and with it the uids and links: it is tried again. */
static int reap_locked(struct host_vm *vm, struct host_end end)
{
	int err = reap_run(vm);
	bool again = !err && !vm->guard && restart_wanted(vm, end.status);

	/* Also when not all is gone: how it ended is not known when that is tried again. A sink that takes its
	 * time holds up nothing but the name. */
	if (vm->started)
		reap_alert(vm, end, again);
	if (again) {
		if (restart_vm(vm, end.status) == 0)
			return 0;
		err = reap_run(vm); /* what a start that failed has left */
	}
	if (err)
		return err;
	if (vm->started)
		reap_record(vm, end);
	err = registry_drop(vm);
	reap_host();
	reap_forget_ends();
	return err;
}

int reap_failed(struct host_vm *vm)
{
	/* its keeper may live, where the guest would not start; it finds nothing left to do */
	return reap_locked(vm, HOST_END_UNKNOWN);
}

int reap_vm(const char *name, struct host_end end, struct host_error *error)
{
	BASE_AUTO_FREE struct host_vm *vm = calloc(1, sizeof(*vm));
	BASE_AUTO_FD int lock = registry_lock_vm(name);
	int err;

	if (!vm || lock == -ENOENT)
		return vm ? 0 : -ENOMEM;
	err = lock < 0 ? lock : registry_load(name, vm);
	if (err == -ENOENT)
		return 0;
	if (!err && registry_alive(vm) && vm->keeper != getpid())
		err = -EBUSY;
	if (err == -EBUSY && error)
		return host_fail(error, err, 125, "'%s' still runs; `cordon kill %s` ends it", name,
		                 name);
	if (!err)
		err = reap_locked(vm, end);
	if (err && error)
		host_fail(error, err, 125, "cannot clean up after '%s': %s", name, strerror(-err));
	return err;
}

int reap_stale(void)
{
	BASE_AUTO_FREE struct host_vm *vm = calloc(1, sizeof(*vm));
	BASE_AUTO_FREE char(*names)[POLICY_NAME_MAX] = calloc(HOST_SLOTS_MAX, POLICY_NAME_MAX);
	int count = vm && names ? registry_list(names, HOST_SLOTS_MAX) : 0, reaped = 0;

	for (int i = 0; i < BASE_MIN(count, HOST_SLOTS_MAX); i++) {
		BASE_AUTO_FD int lock = registry_try_vm(names[i]);

		if (lock < 0 || registry_load(names[i], vm) < 0 || registry_alive(vm))
			continue;
		/* another VMM's guest runs on without a keeper, and is given one: it may not be without its rules */
		if (vm->guard && guard_resume(vm) != -ENODEV)
			continue;
		fprintf(stderr,
		        "cordon: '%s' has no keeper any more; removing what is left of it\n",
		        names[i]);
		if (reap_locked(vm, HOST_END_UNKNOWN) == 0)
			reaped++;
	}
	courier_recover();
	return reaped;
}

int verb_reap(int argc, char **argv)
{
	struct host_error error = {0};
	sigset_t term;
	struct host_end end = HOST_END_UNKNOWN;

	/* Half a clean-up helps nobody: a signal that was meant for the VM waits, and is looked at before it
	 * is started again. */
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_IGN);
	if (argc < 2 || !registry_name_valid(argv[1])) {
		fprintf(stderr, "usage: cordon reap NAME [--status WAIT-STATUS [--asked]]\n");
		return VERB_FAILED;
	}
	if (argc >= 4 && strcmp(argv[2], "--status") == 0)
		end.status = (int)strtol(argv[3], NULL, 10);
	end.asked = argc == 5 && strcmp(argv[4], "--asked") == 0;
	if (reap_vm(argv[1], end, &error) < 0) {
		fprintf(stderr, "cordon: %s\n", error.text);
		return VERB_FAILED;
	}
	return VERB_OK;
}
