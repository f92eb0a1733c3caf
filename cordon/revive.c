/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `cordon revive NAME ROLE`: the keeper's helper when a process of a running VM has died. It reports the death,
 * and starts a disk or a NIC again: in the same role, as the same user, with the very open files that the first
 * one had (the keeper has held them: the disk stayed locked, the tap up and behind its rules), and hands the
 * vmm the other end of a new vhost-user socket. Those who answer its guest's DHCP and DNS are started again too (resolver.c).
 * What cannot be started again, or dies too often, is lost: the vmm then tells the guest.
 *
 * How to start it is what launch wrote down beside state.json, in a folder that only root can write (respawn.c).
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
#include "cordon/respawn.h"
#include "cordon/verbs.h"

enum { REVIVE_LIMIT_S = 30, REVIVE_CONTROL_MS = 15000, REVIVE_LOCK_TRIES = 200 };

struct revive {
	const char *name;
	struct death death;
	int report;
	const char *fds;
};

/* The keeper's fds, for the new process. */
static int revive_fds(const struct revive *revive, struct respawn *respawn)
{
	for (const char *at = revive->fds; at && *at;) {
		int from, to, n = 0;

		if (sscanf(at, "%d/%d%n", &from, &to, &n) != 2 || from < 3 ||
		    respawn->fd_count + 2 >= LAUNCH_FDS_MAX)
			return -EINVAL;
		if (to == REVIVE_CGROUP)
			respawn->cgroup = from;
		else
			respawn->fds[respawn->fd_count++] =
			        (struct isolate_fd){.from = from, .to = to};
		at += n;
		at += *at == ',';
	}
	return 0;
}

/* Starts a device with its end of a new socket, and hands the vmm the other. */
static int revive_start(const struct revive *revive, struct respawn *respawn, pid_t *pid)
{
	int pair[2], err;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	respawn->fds[respawn->fd_count++] =
	        (struct isolate_fd){.from = pair[1], .to = DEVICE_FD_VHOST};
	*pid = respawn_process(respawn, revive->death.role);
	err = BASE_MIN(*pid, 0);
	close(pair[1]);
	if (!err)
		err = control_device(revive->name, revive->death.role, pair[0], REVIVE_CONTROL_MS);
	close(pair[0]);
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
	if (strncmp(revive->death.role, "router", strlen("router")) == 0)
		return may ? "it is lost, and the guest is told of no IPv6 router or address any "
		             "more"
		           : "it has died too often, and is not started again: the guest is told "
		             "of "
		             "no IPv6 router or address any more";
	if (resolver_is(revive->death.role))
		return may ? "it is lost, the guest gets no answers of DNS, and what is open by "
		             "name closes"
		           : "it has died too often, and is not started again: the guest gets no "
		             "answers of DNS, and what is open by name closes";
	return may ? "it is lost, and the guest runs on"
	           : "it has died too often, and is not started again";
}

static void revive_device(struct host_vm *vm, struct revive *revive, struct host_process *process)
{
	const bool resolver = resolver_is(revive->death.role);
	struct respawn respawn = {.vm = revive->name, .cgroup = -1, .report = revive->report};
	bool may = true;
	int err = revive->fds || resolver ? revive_fds(revive, &respawn) : -ENOENT;

	if (!err) {
		may = revive_may(process);
		err = !may       ? -EAGAIN
		      : resolver ? resolver_restart(vm, &respawn, revive->death.role)
		                 : revive_start(revive, &respawn, &process->pid);
	}
	if (!err) {
		process->recent++;
		process->restarts++;
		revive->death.became = "it was started again";
		base_copy_string(process->state, sizeof(process->state), "running");
	} else {
		revive->death.became = revive_lost(revive, may);
		base_copy_string(process->state, sizeof(process->state), "lost");
		if (!resolver)
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
	/* cordon-names ends with cordon-sets, and is started with it */
	if (!process)
		return err ? err : resolver_is(revive->death.role) ? 0 : -ESRCH;
	/* With the vmm gone, the VM is: that its devices end is how it should be. */
	err = control_call(revive->name, VMM_QUERY, &answer, REVIVE_CONTROL_MS);
	if (err || answer.state == VMM_ENDED)
		return 0;
	revive_device(vm, revive, process);
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
