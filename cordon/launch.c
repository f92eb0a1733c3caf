/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting a VM. Everything that needs privilege happens here, in an order in which nothing is ever
 * reachable before what guards it:
 *
 *   1 policy      parsed without privilege; what this host cannot give is an error now
 *   2 claim       folder, uids, links: from here on reap_vm() knows what to undo
 *   3 open        kernel, disks, guest memory, sockets, logs, /dev/kvm, cgroup
 *   4 wire        taps (down), firewall, BPF, monitor; then taps up, with nobody behind them yet
 *   5 processes   each in its role; the vmm builds the machine, locks itself and waits
 *   6 start       the guest's first instruction
 *
 * A failure anywhere ends in reap_failed(), the same code that ends a VM's life.
 */
#include "cordon/launch.h"

#include <fcntl.h>
#include <time.h>

#include "base/base.h"
#include "bpf/tap.h"
#include "cordon/rules.h"

enum { LAUNCH_READY_MS = 60000 }; /* an emulated host that is busy takes half of it */

int launch_parse(const char *text, size_t size, const char *path, struct policy *policy,
                 struct host_error *error)
{
	BASE_AUTO_FREE struct policy_errors *errors = calloc(1, sizeof(*errors));
	int err = errors ? policy_parse(text, size, policy, errors) : -ENOMEM;

	if (!err)
		return 0;
	if (errors && errors->count > 0) {
		BASE_AUTO_FREE char *json = policy_errors_json(path, errors);

		error->data = json ? json_loads(json, 0, NULL) : NULL;
		return host_fail(error, err, 126, "%s:%u:%u: found %s, expected %s%s", path,
		                 errors->list[0].line, errors->list[0].column,
		                 errors->list[0].found, errors->list[0].expected,
		                 errors->count > 1 ? " (and more: `cordon check` lists all)" : "");
	}
	return host_fail(error, err, 125, "the policy's parser did not answer: %s", strerror(-err));
}

/* What a policy can say and this version cannot do yet. Never a silent downgrade. */
static int launch_not_yet(const struct policy *policy, struct host_error *error)
{
	const struct policy_monitor *monitor = &policy->monitor;
	const uint32_t answers = POLICY_RESPOND_CAPTURE | POLICY_RESPOND_THROTTLE;
	const struct {
		bool asked;
		uint32_t line;
		const char *what;
	} missing[] = {
#define LAUNCH_ANSWERS(key, text) \
	{monitor->key.respond & answers, monitor->key.line, "the responses capture and throttle"},
	        POLICY_DETECTORS(LAUNCH_ANSWERS){policy->capture.ring > 0, policy->capture.line,
	                                         "the flight recorder"},
	};

	for (size_t i = 0; i < BASE_COUNT(missing); i++)
		if (missing[i].asked)
			return host_fail(error, -ENOTSUP, 126,
			                 "policy line %u: %s: not in this version", missing[i].line,
			                 missing[i].what);
	for (size_t i = 0; i < policy->vm.nic_count; i++) {
		const struct policy_nic *nic = &policy->vm.nics[i];

		if (nic->mode == POLICY_NIC_BRIDGE && !network_bridge_find(nic->bridge))
			return host_fail(error, -ENODEV, 126,
			                 "policy line %u: the host has no bridge '%s'", nic->line,
			                 nic->bridge);
	}
	return 0;
}

bool launch_kind(const struct policy *policy, const char *path, bool guard,
                 struct host_error *error)
{
	if (policy->vm.guard == guard)
		return true;
	host_fail(
	        error, -EINVAL, 126,
	        guard ? "%s:%u: found vm, expected guard: `cordon run` is for a guest of cordon's "
	                "own"
	              : "%s:%u: found guard, expected vm: `cordon guard` is for a guest that "
	                "another VMM runs",
	        path, policy->vm.line);
	return false;
}

int launch_can(const struct policy *policy, struct host_error *error)
{
	const char *missing = NULL;
	int err = launch_not_yet(policy, error);

	if (!err)
		err = host_confidential_can(policy, error);
	if (err)
		return err;
	if (!isolate_host_check(&missing) || !tap_watch_host_check(&missing))
		return host_fail(error, -ENOTSUP, 126, "this host lacks %s", missing);
	return 0;
}

/* Taps, rules, programs, monitor; nothing is up when this returns. */
static int launch_wire(struct launch *launch, struct host_vm *vm, struct host_error *error)
{
	const struct policy *policy = launch->policy;
	struct firewall *fw;
	int err = 0;

	for (size_t i = 0; i < vm->nic_count; i++) {
		err = network_tap_create(&vm->nics[i], &policy->vm.nics[i], vm->name,
		                         launch->taps[i], &vm->ifindex[i], error);
		if (err)
			return err;
	}
	err = registry_save(vm);
	if (err)
		return host_fail(error, err, 125, "cannot save the state of '%s'", vm->name);
	fw = firewall_open();
	if (!fw)
		return host_fail(error, -errno, 126, "libnftables gives no context: %s",
		                 strerror(errno));
	/* with the quarantine of one that is started again: a reset is no way out */
	err = rules_load(fw, policy, vm);
	if (err)
		host_fail(error, err, 126, "the firewall was not loaded: %s", firewall_error(fw));
	firewall_close(fw);
	return err;
}

/* Attaches the programs to one tap and tells the monitor of it. */
static int launch_watch_nic(struct tap_watch *watch, int connection, const struct policy *policy,
                            const struct host_vm *vm, size_t i, struct host_error *error)
{
	BASE_AUTO_FD int flows = tap_watch_attach(watch, vm->ifindex[i], vm->nics[i].mac);

	if (flows < 0)
		return host_fail(error, flows, 126, "cannot attach to the tap %s: %s",
		                 vm->nics[i].tap, strerror(-flows));
	return watch_register(connection, vm, policy, i, flows, error);
}

static int launch_watch_nics(struct tap_watch *watch, const struct policy *policy,
                             const struct host_vm *vm, struct host_error *error)
{
	BASE_AUTO_FD int connection = watch_connect(false, error);
	int err = BASE_MIN(connection, 0);

	for (size_t i = 0; !err && i < vm->nic_count; i++)
		err = launch_watch_nic(watch, connection, policy, vm, i, error);
	return err;
}

int launch_watch(const struct policy *policy, struct host_vm *vm, struct host_error *error)
{
	struct tap_watch *watch = NULL;
	const char *why = "";
	int err;

	if (vm->nic_count == 0)
		return 0;
	BASE_AUTO_FD int host =
	        registry_lock_host(); /* two first VMs must not both load or start */
	err = tap_watch_open(&watch, &why);
	if (err)
		return host_fail(error, err, 126, "cannot load the BPF programs: %s: %s", why,
		                 strerror(-err));
	err = launch_watch_nics(watch, policy, vm, error);
	/* a monitor that was about to end, having no VM, took the connection with it */
	if (err == -ECONNRESET || err == -EPIPE) {
		host_error_clear(error);
		err = launch_watch_nics(watch, policy, vm, error);
	}
	tap_watch_close(watch);
	return err;
}

/* Only now, with rules, programs and monitor in place. */
static int launch_up(const struct policy *policy, const struct host_vm *vm,
                     struct host_error *error)
{
	int err = 0;

	for (size_t i = 0; !err && i < vm->nic_count; i++) {
		if (vm->nics[i].mode == POLICY_NIC_NAT || vm->nics[i].mode == POLICY_NIC_ROUTED)
			err = network_forwarding_on(error);
		if (!err)
			err = network_tap_up(&vm->nics[i], vm->ifindex[i],
			                     network_bridge_isolated(policy), error);
	}
	return err;
}

/* What the vmm said last: why it could not start. The guest has not run, so none of it is the guest's. */
static void launch_words(const char *vm, char *words, size_t size)
{
	char path[POLICY_PATH_MAX], tail[4096], prefix[POLICY_NAME_MAX + 16];
	const char *last = NULL;
	ssize_t length;

	snprintf(path, sizeof(path), HOST_LOG_DIR "/%s.log", vm);
	snprintf(prefix, sizeof(prefix), "cordon-vmm %s: ", vm);
	base_copy_string(words, size, "it said nothing");
	BASE_AUTO_FD int log = open(path, O_RDONLY | O_CLOEXEC);
	if (log < 0)
		return;
	lseek(log, BASE_MAX(lseek(log, 0, SEEK_END) - (off_t)sizeof(tail) + 1, 0), SEEK_SET);
	length = read(log, tail, sizeof(tail) - 1);
	tail[BASE_MAX(length, 0)] = '\0';
	for (const char *at = tail; (at = strstr(at, prefix)); at++)
		last = at + strlen(prefix);
	if (last)
		snprintf(words, size, "%.*s", (int)strcspn(last, "\n"), last);
}

static int launch_start(struct host_vm *vm, struct host_error *error)
{
	struct vmm_message answer;
	struct timespec now;
	char words[256];
	int err = control_call(vm->name, VMM_QUERY, &answer, LAUNCH_READY_MS);

	if (err || answer.state != VMM_READY) {
		launch_words(vm->name, words, sizeof(words));
		return host_fail(error, err ? err : -EPROTO, 126,
		                 "the vmm of '%s' did not get ready: %s (%s; " HOST_LOG_DIR
		                 "/%s.log may say more)",
		                 vm->name, words, err ? strerror(-err) : "it is in another state",
		                 vm->name);
	}
	clock_gettime(CLOCK_REALTIME, &now);
	vm->started = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
	base_copy_string(vm->state, sizeof(vm->state), "running");
	err = registry_save(vm);
	if (!err)
		err = control_call(vm->name, VMM_START, &answer, LAUNCH_READY_MS);
	if (err)
		return host_fail(error, err, 126, "the vmm of '%s' did not start: %s", vm->name,
		                 strerror(-err));
	return 0;
}

static int launch_all(struct launch *launch, struct host_vm *vm, const char *dir,
                      struct host_error *error)
{
	int err = launch_open(launch, dir, error);

	if (!err)
		err = launch_wire(launch, vm, error);
	if (!err)
		err = launch_watch(launch->policy, vm, error);
	if (!err)
		err = launch_up(launch->policy, vm, error);
	if (!err)
		err = spawn_vm(launch, vm, error);
	launch_close(
	        launch); /* the processes have theirs; a dead vmm's sockets must be seen as dead */
	if (!err)
		err = registry_save(vm);
	if (!err)
		err = launch_start(vm, error);
	return err;
}

/* Names what the VM will be, and takes its folder. */
static int launch_claim(const struct policy *policy, const char *text, size_t size,
                        const char *path, const char *dir, struct host_vm *vm, int *lock,
                        struct host_error *error)
{
	char file[POLICY_PATH_MAX];
	int err;

	memset(vm, 0, sizeof(*vm));
	base_copy_string(vm->name, sizeof(vm->name), policy->vm.name);
	base_copy_string(vm->policy_path, sizeof(vm->policy_path), path);
	base_copy_string(vm->first_path, sizeof(vm->first_path), path);
	base_copy_string(vm->dir, sizeof(vm->dir), dir);
	base_copy_string(vm->state, sizeof(vm->state), "starting");
	vm->vcpus = policy->vm.vcpus;
	vm->memory = policy->vm.memory;
	err = registry_claim(vm, policy->vm.nic_count, lock, error);
	if (err)
		return err;
	for (size_t i = 0; i < policy->vm.nic_count; i++)
		network_plan(vm->links[i], &policy->vm.nics[i], &vm->nics[i]);
	registry_path(file, vm->name, "policy.yaml");
	err = registry_write_file(file, text, size, 0640);
	if (!err)
		err = registry_save(vm);
	if (err) {
		registry_drop(vm);
		return host_fail(error, err, 125, "cannot write %s: %s", file, strerror(-err));
	}
	return 0;
}

int launch_vm(const char *text, size_t size, const char *path, const char *dir, struct host_vm *vm,
              struct host_error *error)
{
	BASE_AUTO_FREE struct policy *policy = calloc(1, sizeof(*policy));
	BASE_AUTO_FREE struct launch *launch = calloc(1, sizeof(*launch));
	BASE_AUTO_FD int lock = -1;
	int err;

	if (!policy || !launch)
		return host_fail(error, -ENOMEM, 125, "out of memory");
	err = launch_parse(text, size, path, policy, error);
	if (!err && !launch_kind(policy, path, false, error))
		err = -EINVAL;
	if (!err)
		err = launch_can(policy, error);
	if (!err)
		err = registry_prepare(error);
	if (err)
		return err;
	reap_stale();
	/* The lock is held until the guest runs: a reaper must not take it for a dead one. */
	err = launch_claim(policy, text, size, path, dir, vm, &lock, error);
	if (err)
		return err;
	launch_init(launch, policy);
	err = launch_all(launch, vm, dir, error);
	if (err) {
		launch_close(launch);
		if (reap_failed(vm) < 0)
			fprintf(stderr,
			        "cordon: something of '%s' is left; it is tried again at the next "
			        "start\n",
			        vm->name);
	}
	return err;
}

int launch_again(struct host_vm *vm, bool watchdog_fired, struct host_error *error)
{
	BASE_AUTO_FREE struct policy *policy = calloc(1, sizeof(*policy));
	BASE_AUTO_FREE struct launch *launch = calloc(1, sizeof(*launch));
	int err;

	if (!policy || !launch)
		return host_fail(error, -ENOMEM, 125, "out of memory");
	err = registry_policy(vm->name, policy);
	if (!err)
		err = registry_clear(vm);
	if (err)
		return host_fail(error, err, 125, "its folder cannot be used again: %s",
		                 strerror(-err));
	vm->process_count = 0;
	vm->restarts++;
	base_copy_string(vm->state, sizeof(vm->state), "restarting");
	launch_init(launch, policy);
	launch->again = true;
	launch->watchdog_fired = watchdog_fired;
	err = launch_all(launch, vm, vm->dir, error);
	if (err)
		launch_close(launch);
	return err;
}
