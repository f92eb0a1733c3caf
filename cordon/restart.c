/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting a VM again after a reset. The processes of the last run are gone by then, with all that its
 * guest may have done to them, and so are its tap, its rules and its cgroup; what stays is the VM's
 * folder, with its policy, its uids and its links, so that it has the same addresses. Then it is started
 * as any other. The VM's keeper does it, when it has become `cordon reap`, under the VM's lock.
 *
 * A guest that resets itself at once, again and again, costs the host a start every RESTART_PACE_MS and
 * no more. A SIGTERM in the meantime (cordon kill) is the end.
 */
#include "cordon/host.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "base/base.h"

enum { RESTART_PACE_MS = 2000 };

bool restart_wanted(const struct host_vm *vm, int status)
{
	BASE_AUTO_FREE struct policy *policy = calloc(1, sizeof(*policy));
	int end = status >= 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	if (!vm->started || !policy)
		return false;
	if (end != VMM_END_RESET && end != VMM_END_TRIPLE_FAULT && end != VMM_END_WATCHDOG)
		return end == VMM_END_RESTART; /* most ends need no policy */
	if (registry_policy(vm->name, policy) < 0)
		return false;
	return (end == VMM_END_WATCHDOG ? policy->vm.watchdog : policy->vm.on_reset) ==
	       POLICY_THEN_RESTART;
}

/* SIGTERM is blocked here: true when one has come, or comes within the time. */
static bool restart_called_off(int64_t ms)
{
	const struct timespec wait = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
	sigset_t term;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	return sigtimedwait(&term, NULL, &wait) == SIGTERM;
}

static int64_t restart_wait_ms(const struct host_vm *vm)
{
	struct timespec now;
	int64_t since;

	clock_gettime(CLOCK_REALTIME, &now);
	since = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 - vm->started;
	return since < 0 ? RESTART_PACE_MS : BASE_MAX(RESTART_PACE_MS - since, 0);
}

int restart_vm(struct host_vm *vm, int status)
{
	struct host_error error = {0};
	int err;

	fprintf(stderr, "cordon: '%s' is started again: %s\n", vm->name,
	        vmm_end_text((unsigned int)WEXITSTATUS(status)));
	if (restart_called_off(restart_wait_ms(vm)))
		return -ECANCELED;
	err = launch_again(vm, WEXITSTATUS(status) == VMM_END_WATCHDOG, &error);
	if (err)
		fprintf(stderr, "cordon: '%s' cannot be started again: %s\n", vm->name, error.text);
	host_error_clear(&error);
	if (err)
		return err;
	serve_ensure(vm->name);
	if (restart_called_off(0))
		kill(vm->keeper, SIGTERM); /* ours to reap until we end: the pid is nobody else's */
	return 0;
}
