/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Somebody flushed or edited cordon's tables. What is in them then is not to be trusted, and until it is right
 * again nothing may pass: every tap is taken down first, both tables are made anew from the policies that the
 * registry holds (with the quarantines that it knows of), and each VM's taps come up once its own rules
 * are loaded. A tap whose rules cannot be loaded stays down. Counters and quotas begin anew.
 *
 * The tap of another VMM's guest is not ours to take down and up, as that loses the routes that its owner made: its
 * rules are loaded again while it is up, and it is taken down only if they cannot be; its keeper opens it then.
 */
#include "cordon/repair.h"

#include <net/if.h>
#include <signal.h>

#include "base/base.h"
#include "cordon/report.h"
#include "cordon/rules.h"

struct repair {
	char (*names)[POLICY_NAME_MAX];
	size_t count;
	struct host_vm vm;
	struct policy policy;
};

static void repair_free(struct repair **repair)
{
	if (*repair)
		free((*repair)->names);
	free(*repair);
}

static struct repair *repair_make(void)
{
	struct repair *repair = calloc(1, sizeof(*repair));
	int count = -1;

	if (repair)
		repair->names = calloc(HOST_SLOTS_MAX, POLICY_NAME_MAX);
	if (repair && repair->names)
		count = registry_list(repair->names, HOST_SLOTS_MAX);
	if (count < 0) {
		repair_free(&repair);
		return NULL;
	}
	repair->count = (size_t)BASE_MIN(count, HOST_SLOTS_MAX);
	return repair;
}

/* Without any lock: it must not wait for a VM that is being started. */
static void repair_close(struct repair *repair)
{
	for (size_t i = 0; i < repair->count; i++) {
		if (registry_load(repair->names[i], &repair->vm) < 0 || repair->vm.guard)
			continue;
		for (size_t n = 0; n < repair->vm.nic_count; n++)
			network_tap_down(repair->vm.nics[n].tap, repair->vm.ifindex[n]);
	}
}

static int repair_open(struct firewall *fw, struct repair *repair, struct host_error *error)
{
	const struct host_vm *vm = &repair->vm;
	int err = registry_policy(vm->name, &repair->policy);

	if (err)
		return host_fail(error, err, 125, "its policy cannot be read: %s", strerror(-err));
	err = rules_load(fw, &repair->policy, vm);
	if (err)
		return host_fail(error, err, 125, "its rules cannot be loaded: %s",
		                 firewall_error(fw));
	for (size_t n = 0; !err && n < vm->nic_count; n++)
		if (vm->ifindex[n] && !vm->guard)
			err = network_tap_up(&vm->nics[n], vm->ifindex[n],
			                     network_bridge_isolated(&repair->policy), error);
	return err;
}

bool repair_is_closed(const struct host_vm *vm)
{
	return strcmp(vm->state, "closed") == 0;
}

void repair_switch(struct host_vm *vm, bool open)
{
	char tap[IF_NAMESIZE];

	if (!if_indextoname(vm->ifindex[0], tap))
		return;
	if (!open && network_tap_down(tap, vm->ifindex[0]) < 0) {
		fprintf(stderr, "cordon: %s cannot be closed; its keeper tries again\n", tap);
		return;
	}
	if (open && repair_is_closed(vm))
		network_link_up(vm->ifindex[0]);
	base_copy_string(vm->state, sizeof(vm->state), open ? "guarded" : "closed");
}

/* Another VMM's guest runs whether its keeper does or not, and may not be without its rules. */
static bool repair_runs(const struct host_vm *vm)
{
	return vm->nic_count > 0 && (vm->guard ? vm->started != 0 : registry_alive(vm));
}

/*
 * One VM, under its lock: one that is being started gets its rules, and its taps up, by its start.
 */
static void repair_vm(struct firewall *fw, struct repair *repair, const char *name,
                      const struct firewall_change *change)
{
	struct host_error error = {0};
	BASE_AUTO_FD int lock = registry_lock_vm(name);

	if (lock < 0 || registry_load(name, &repair->vm) < 0 || !repair_runs(&repair->vm))
		return;
	if (repair_open(fw, repair, &error) < 0 && repair->vm.guard) {
		repair_switch(&repair->vm, false);
		registry_save(&repair->vm); /* if not, it is closed and not said to be */
		if (registry_alive(&repair->vm))
			kill(repair->vm.keeper, SIGUSR1); /* cordon-mind: it tries again */
	}
	report_tampered(&repair->vm, change->process, change->pid, error.text);
	host_error_clear(&error);
}

static bool repair_is_guard(struct repair *repair, const char *name)
{
	return registry_load(name, &repair->vm) == 0 && repair->vm.guard;
}

int repair_all(struct firewall *fw, const struct firewall_change *change)
{
	BASE_CLEANUP(repair_free) struct repair *repair = repair_make();
	int err;

	if (!repair)
		return -ENOMEM;
	repair_close(repair);
	/* A guest's process that does not let go of the lock has been taken over, or hangs. */
	if (change->holder && process_kill_guests(change->holder))
		fprintf(stderr,
		        "cordon: process %d, a guest's, kept the firewall's lock: it was killed\n",
		        change->holder);
	err = firewall_forget(fw);
	/* those whose taps are up go first, and wait for nobody else's lock */
	for (size_t i = 0; i < repair->count; i++)
		if (repair_is_guard(repair, repair->names[i]))
			repair_vm(fw, repair, repair->names[i], change);
	for (size_t i = 0; i < repair->count; i++)
		if (!repair_is_guard(repair, repair->names[i]))
			repair_vm(fw, repair, repair->names[i], change);
	return err;
}

static bool repair_listed(const char *name, char (*names)[POLICY_NAME_MAX], int count)
{
	for (int i = 0; i < BASE_MIN(count, HOST_SLOTS_MAX); i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

void repair_missing(struct repair_watch *watch)
{
	BASE_CLEANUP(repair_free) struct repair *repair = watch->rules ? repair_make() : NULL;
	BASE_AUTO_FREE char(*names)[POLICY_NAME_MAX] = calloc(HOST_SLOTS_MAX, POLICY_NAME_MAX);
	int count = repair && names ? firewall_vm_list(watch->fw, names, HOST_SLOTS_MAX) : -1;
	bool missing = false;

	for (size_t i = 0; count >= 0 && i < repair->count; i++)
		missing |= registry_load(repair->names[i], &repair->vm) == 0 &&
		           repair_runs(&repair->vm) &&
		           !repair_listed(repair->names[i], names, count);
	if (!missing)
		return;
	fprintf(stderr, "cordon: rules of guests that run are gone: they are loaded again\n");
	repair_all(watch->fw, &(struct firewall_change){0});
}

void repair_check(struct repair_watch *watch)
{
	struct firewall_change change;

	if (!watch->rules || firewall_watch_read(watch->rules, watch->fw, &change) != 1)
		return;
	fprintf(stderr, "cordon: the rules were changed by %s (pid %d): they are loaded again\n",
	        change.process[0] ? change.process : "somebody", (int)change.pid);
	repair_all(watch->fw, &change);
}

int repair_start(struct repair_watch *watch)
{
	watch->fw = firewall_open();
	watch->rules = watch->fw ? firewall_watch_open() : NULL;
	if (!watch->rules) {
		fprintf(stderr, "cordon: nobody will notice changes of the rules: %s\n",
		        strerror(errno));
		return -1;
	}
	return firewall_watch_fd(watch->rules);
}
