/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `cordon revive NAME ROLE`: the keeper's helper when a process of a running VM has died. It reports the death,
 * and starts a disk or a NIC again: in the same role, as the same user, with the very open files that the first
 * one had (the keeper has held them: the disk stayed locked, the tap up and behind its rules), and hands the
 * vmm the other end of a new vhost-user socket. What cannot be started again, or dies too often, is lost:
 * the vmm then tells the guest.
 *
 * How to start it is what launch wrote down beside state.json, in a folder that only root can write.
 * The new process is not killed when this one ends (it becomes the keeper's child): it ends when the vmm hangs up.
 */
#include "cordon/revive.h"

#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>

#include "base/base.h"
#include "cordon/report.h"
#include "cordon/verbs.h"

enum { REVIVE_LIMIT_S = 30, REVIVE_CONTROL_MS = 15000, REVIVE_LOCK_TRIES = 200 };

struct revive {
	const char *name;
	struct death death;
	int report;
	const char *fds;
};

/* --- how a device is started --- */

static void revive_path(char out[POLICY_PATH_MAX], const char *vm, const char *role)
{
	char file[32];

	snprintf(file, sizeof(file), "%.16s.start", role);
	registry_path(out, vm, file);
}

int revive_note(const char *vm, const struct plan_process *each, struct host_error *error)
{
	const struct isolate_process *process = &each->process;
	json_t *argv = json_array(), *json;
	char path[POLICY_PATH_MAX];
	int err = -ENOMEM;

	for (size_t i = 0; i < each->argc; i++)
		json_array_append_new(argv, json_string(each->argv[i]));
	json = json_pack("{s:o, s:I, s:I, s:s}", "argv", argv, "uid", (json_int_t)process->uid,
	                 "open_files", (json_int_t)process->open_files_max, "file_size", "");
	/* a number of 64 bits, which JSON's have not */
	if (json)
		json_object_set_new(
		        json, "file_size",
		        json_sprintf("%llu", (unsigned long long)process->file_size_max));
	BASE_AUTO_FREE char *text = json ? json_dumps(json, 0) : NULL;
	json_decref(json);
	revive_path(path, vm, each->role);
	if (text)
		err = registry_write_file(path, text, strlen(text), 0600);
	return err ? host_fail(error, err, 125, "cannot write %s: %s", path, strerror(-err)) : 0;
}

static int revive_fds(struct isolate_process *process, struct isolate_fd *fds, const char *text)
{
	for (const char *at = text; at && *at;) {
		int from, to, n = 0;

		if (sscanf(at, "%d/%d%n", &from, &to, &n) != 2 || from < 3 ||
		    process->fd_count + 2 >= LAUNCH_FDS_MAX)
			return -EINVAL;
		if (to == REVIVE_CGROUP)
			process->cgroup = from;
		else
			fds[process->fd_count++] = (struct isolate_fd){.from = from, .to = to};
		at += n;
		at += *at == ',';
	}
	return 0;
}

static size_t revive_argv(const json_t *json, char **argv)
{
	size_t count = 0, i;
	json_t *each;

	json_array_foreach(json_object_get(json, "argv"), i, each)
	{
		if (count + 1 < LAUNCH_ARGS_MAX && json_is_string(each))
			argv[count++] = (char *)(uintptr_t)json_string_value(each);
	}
	argv[count] = NULL;
	return count;
}

/* Starts it with its end of a new socket; `vhost` stays the caller's. Its pid or a negative errno. */
static pid_t revive_spawn(const struct revive *revive, const json_t *json, int vhost)
{
	const char *size = json_string_value(json_object_get(json, "file_size"));
	uid_t uid = (uid_t)json_integer_value(json_object_get(json, "uid"));
	struct host_error error = {0};
	struct isolate_fd fds[LAUNCH_FDS_MAX];
	char *argv[LAUNCH_ARGS_MAX];
	struct isolate_process process = {.name = revive->death.role,
	                                  .argv = argv,
	                                  .uid = uid,
	                                  .gid = uid,
	                                  .fds = fds,
	                                  .cgroup = -1,
	                                  .file_size_max = size ? strtoull(size, NULL, 10) : 0,
	                                  .open_files_max = (uint64_t)json_integer_value(
	                                          json_object_get(json, "open_files"))};
	const char *stage = "";
	pid_t pid = revive_fds(&process, fds, revive->fds);

	if (pid < 0 || revive_argv(json, argv) == 0)
		return -EINVAL;
	fds[process.fd_count++] = (struct isolate_fd){.from = STDERR_FILENO, .to = STDERR_FILENO};
	fds[process.fd_count++] = (struct isolate_fd){.from = vhost, .to = DEVICE_FD_VHOST};
	BASE_AUTO_FD int binary = programs_open(argv[0], &error);
	process.binary = binary;
	pid = binary < 0 ? binary : isolate_spawn(&process, &stage);
	if (pid < 0)
		fprintf(stderr, "cordon: %s of '%s' cannot be started again: %s %s\n", process.name,
		        revive->name, *stage ? stage : error.text, strerror(-pid));
	host_error_clear(&error);
	return pid;
}

static int revive_start(const struct revive *revive, pid_t *pid)
{
	char path[POLICY_PATH_MAX];
	json_t *json;
	int pair[2], err;

	revive_path(path, revive->name, revive->death.role);
	json = json_load_file(path, 0, NULL);
	if (!json)
		return -ENOENT;
	err = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ? -errno : 0;
	if (!err) {
		*pid = revive_spawn(revive, json, pair[1]);
		err = BASE_MIN(*pid, 0);
		close(pair[1]);
		/* before it can be heard of in any other way */
		if (!err && revive->report >= 0)
			base_write_all(revive->report, pid, sizeof(*pid));
		if (!err)
			err = control_device(revive->name, revive->death.role, pair[0],
			                     REVIVE_CONTROL_MS);
		close(pair[0]);
	}
	json_decref(json);
	return err;
}

/* --- what is done --- */

/* False when it has died too often of late. */
static bool revive_may(struct host_process *process)
{
	struct timespec now;
	int64_t ms;

	clock_gettime(CLOCK_REALTIME, &now);
	ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	if (process->since > ms || ms - process->since > REVIVE_WINDOW_MS) {
		process->since = ms;
		process->recent = 0;
	}
	return process->recent < REVIVE_MAX;
}

/* What has come of it where nobody comes in its place. */
static const char *revive_lost(const struct revive *revive, bool may)
{
	static const char *const resolvers[] = {"dnsmasq", "names", "sets"};

	for (size_t i = 0; i < BASE_COUNT(resolvers); i++)
		if (strncmp(revive->death.role, resolvers[i], strlen(resolvers[i])) == 0)
			return "it is lost, the guest gets no answers of DNS, and what is open by "
			       "name "
			       "closes";
	return may ? "it is lost, and the guest runs on"
	           : "it has died too often, and is not started again";
}

static void revive_device(struct revive *revive, struct host_process *process)
{
	int err = -ENOENT;
	bool may = true;

	if (revive->fds) {
		may = revive_may(process);
		err = may ? revive_start(revive, &process->pid) : -EAGAIN;
	}
	if (!err) {
		process->recent++;
		process->restarts++;
		revive->death.became = "it was started again";
		base_copy_string(process->state, sizeof(process->state), "running");
	} else {
		revive->death.became = revive_lost(revive, may);
		base_copy_string(process->state, sizeof(process->state), "lost");
		/* a process that is no device is no device of the vmm's */
		control_device(revive->name, revive->death.role, -1, REVIVE_CONTROL_MS);
	}
	revive->death.restarts = process->restarts;
}

static struct host_process *revive_process(struct host_vm *vm, const struct revive *revive)
{
	for (size_t i = 0; i < vm->process_count; i++)
		if (strcmp(vm->processes[i].role, revive->death.role) == 0 &&
		    vm->processes[i].pid == revive->death.pid)
			return &vm->processes[i];
	return NULL;
}

/* A VM that is being started or ended has its lock taken, for as long as that takes. */
static int revive_lock(const char *name)
{
	int lock = -EWOULDBLOCK;

	for (int i = 0; i < REVIVE_LOCK_TRIES && lock == -EWOULDBLOCK; i++) {
		lock = registry_try_vm(name);
		if (lock == -EWOULDBLOCK)
			poll(NULL, 0, 50);
	}
	return lock;
}

static int revive_run(struct revive *revive)
{
	BASE_AUTO_FREE struct host_vm *vm = calloc(1, sizeof(*vm));
	BASE_AUTO_FD int lock = revive_lock(revive->name);
	struct host_process *process;
	struct vmm_message answer;
	int err;

	if (!vm || lock < 0)
		return vm ? lock : -ENOMEM;
	err = registry_load(revive->name, vm);
	process = err ? NULL : revive_process(vm, revive);
	if (!process)
		return err ? err : -ESRCH;
	/* With the vmm gone, the VM is: that its devices end is how it should be. */
	err = control_call(revive->name, VMM_QUERY, &answer, REVIVE_CONTROL_MS);
	if (err || answer.state == VMM_ENDED)
		return 0;
	revive_device(revive, process);
	err = registry_save(vm); /* first: a sink may take what is left of the time */
	report_death(vm, &revive->death);
	return err;
}

int verb_revive(int argc, char **argv)
{
	static const struct option options[] = {{"pid", required_argument, NULL, 'p'},
	                                        {"status", required_argument, NULL, 's'},
	                                        {"report", required_argument, NULL, 'r'},
	                                        {"fds", required_argument, NULL, 'f'},
	                                        {NULL, 0, NULL, 0}};
	struct revive revive = {.report = -1, .death.became = ""};
	int option, err;

	alarm(REVIVE_LIMIT_S); /* the VM's lock is not held for ever, whatever hangs */
	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (option == 'p')
			revive.death.pid = (pid_t)strtol(optarg, NULL, 10);
		else if (option == 's')
			revive.death.status = (int)strtol(optarg, NULL, 10);
		else if (option == 'r')
			revive.report = (int)strtol(optarg, NULL, 10);
		else if (option == 'f')
			revive.fds = optarg;
	}
	if (argc - optind != 2 || !registry_name_valid(argv[optind]) || revive.death.pid < 2) {
		fprintf(stderr, "usage: cordon revive NAME ROLE --pid PID --status WAIT-STATUS\n");
		return VERB_FAILED;
	}
	revive.name = argv[optind];
	revive.death.role = argv[optind + 1];
	if (revive.report >= 0)
		fcntl(revive.report, F_SETFD, FD_CLOEXEC);
	err = revive_run(&revive);
	if (err < 0 && err != -ENOENT)
		fprintf(stderr, "cordon: the death of %s of '%s' was not seen to: %s\n",
		        revive.death.role, revive.name, strerror(-err));
	return err < 0 ? VERB_FAILED : VERB_OK;
}
