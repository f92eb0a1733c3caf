/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The operations on VMs by name: JSON in, JSON out. The daemon calls them for whoever may connect to
 * its socket, and the verbs call them themselves, as root, where no daemon runs. Since all state is
 * in the registry and in the kernel, both are the same code and the same result.
 */
#include "cordon/host.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/base.h"
#include "cordon/rules.h"

enum { METHOD_CONTROL_MS = 5000 };

static const char *method_string(const json_t *params, const char *key)
{
	return json_string_value(json_object_get(params, key));
}

int method_vm(const json_t *params, struct host_vm *vm, struct host_error *error)
{
	const char *name = method_string(params, "name");
	int err;

	if (!name)
		return host_fail(error, -EINVAL, 125,
		                 "the parameter name is missing, or no string");
	if (!registry_name_valid(name))
		return host_fail(
		        error, -EINVAL, 127,
		        "'%.64s' is no guest's name: those are 1 to %d of a-z, 0-9 and '-'", name,
		        POLICY_NAME_MAX - 1);
	err = registry_load(name, vm);
	if (err == -ENOENT || (!err && !registry_alive(vm) && vm->keeper))
		return host_fail(error, -ENOENT, 127, "there is no guest named '%s'", name);
	if (err)
		return host_fail(error, err, 125, "cannot read the state of '%s': %s", name,
		                 strerror(-err));
	return 0;
}

int method_own_vm(const json_t *params, struct host_vm *vm, struct host_error *error)
{
	int err = method_vm(params, vm, error);

	if (!err && vm->guard)
		return host_fail(error, -EOPNOTSUPP, 125,
		                 "'%s' is guarded at %s, and another VMM runs it", vm->name,
		                 vm->nics[0].tap);
	return err;
}

static json_t *method_run(const json_t *params, struct host_error *error)
{
	const char *text = method_string(params, "policy"), *path = method_string(params, "path");
	const char *dir = method_string(params, "dir");
	BASE_AUTO_FREE struct host_vm *vm = calloc(1, sizeof(*vm));

	if (!vm || !text || !path || !dir || dir[0] != '/') {
		host_fail(error, -EINVAL, 125,
		          "vm.run takes policy (text), path and dir (absolute)");
		return NULL;
	}
	if (strlen(path) >= sizeof(vm->policy_path)) {
		host_fail(error, -ENAMETOOLONG, 126, "the path '%.64s...' has more than %zu bytes",
		          path, sizeof(vm->policy_path) - 1);
		return NULL;
	}
	if (launch_vm(text, strlen(text), path, dir, vm, error) < 0)
		return NULL;
	return registry_json(vm);
}

/* What the vmm says of itself, added to what the registry holds; a vmm that does not answer is said so. */
static json_t *method_describe(const struct host_vm *vm)
{
	static const char *const states[] = {"unknown", "ready", "running", "paused", "ended"};
	struct vmm_message answer;
	json_t *json = registry_json(vm), *backends;
	int err;

	if (vm->guard)
		return json;
	backends = registry_backends(vm->name);
	err = control_call(vm->name, VMM_QUERY, &answer, METHOD_CONTROL_MS);

	if (backends)
		json_object_set_new(json, "vhost_user", backends);
	if (err) {
		json_object_set_new(json, "vmm", json_pack("{s:s}", "error", strerror(-err)));
		return json;
	}
	json_object_set_new(json, "vmm",
	                    json_pack("{s:s, s:I, s:I, s:I}", "state",
	                              states[answer.state < BASE_COUNT(states) ? answer.state : 0],
	                              "exits", (json_int_t)answer.exits, "unknown_io",
	                              (json_int_t)answer.unknown_io, "panics",
	                              (json_int_t)answer.panics));
	if (answer.state == VMM_PAUSED) {
		json_object_set_new(json, "state", json_string("paused"));
		/* what it was that paused it, if it was not a person */
		if (answer.end && vmm_end_text(answer.end))
			json_object_set_new(json, "paused_by",
			                    json_string(vmm_end_text(answer.end)));
	}
	return json;
}

static json_t *method_list(const json_t *params, struct host_error *error)
{
	BASE_AUTO_FREE char(*names)[POLICY_NAME_MAX] = calloc(HOST_SLOTS_MAX, POLICY_NAME_MAX);
	BASE_AUTO_FREE struct host_vm *vm = calloc(1, sizeof(*vm));
	int count = names && vm ? registry_list(names, HOST_SLOTS_MAX) : -ENOMEM;
	json_t *list;

	(void)params;
	if (count < 0) {
		host_fail(error, count, 125, "cannot list the guests: %s", strerror(-count));
		return NULL;
	}
	list = json_array();
	/* one whose keeper was killed is no guest any more, but what is to be cleaned up */
	for (int i = 0; i < BASE_MIN(count, HOST_SLOTS_MAX); i++)
		if (registry_load(names[i], vm) == 0 && (!vm->keeper || registry_alive(vm)))
			json_array_append_new(list, registry_json(vm));
	return list;
}

static json_t *method_ended(const char *name)
{
	char path[POLICY_PATH_MAX];

	snprintf(path, sizeof(path), HOST_RUN_DIR "/ended/%s.json", name);
	return json_load_file(path, 0, NULL);
}

static json_t *method_inspect(const json_t *params, struct host_error *error)
{
	BASE_AUTO_FREE struct host_vm *vm = calloc(1, sizeof(*vm));
	const char *name = method_string(params, "name");
	json_t *ended;

	if (vm && method_vm(params, vm, error) == 0)
		return method_describe(vm);
	ended = error->exit == 127 && name ? method_ended(name) : NULL;
	if (ended)
		host_error_clear(error);
	return ended;
}

static json_t *method_control(const json_t *params, enum vmm_verb verb, struct host_error *error)
{
	BASE_AUTO_FREE struct host_vm *vm = calloc(1, sizeof(*vm));
	struct vmm_message answer;
	int err;

	if (!vm || method_own_vm(params, vm, error) < 0)
		return NULL;
	err = control_call(vm->name, verb, &answer, METHOD_CONTROL_MS);
	/* a vmm that was told to end may be gone before it has answered */
	if (err && !(verb == VMM_RESET && err == -ECONNRESET)) {
		host_fail(error, err, 125, "the vmm of '%s' did not do it: %s", vm->name,
		          err == -EALREADY ? "it is in that state already"
		          : err == -EAGAIN ? "its guest does not run"
		                           : strerror(-err));
		return NULL;
	}
	return json_pack("{s:s}", "name", vm->name);
}

static json_t *method_stop(const json_t *params, struct host_error *error)
{
	return method_control(params, VMM_POWER_BUTTON, error);
}

static json_t *method_pause(const json_t *params, struct host_error *error)
{
	return method_control(params, VMM_PAUSE, error);
}

static json_t *method_resume(const json_t *params, struct host_error *error)
{
	return method_control(params, VMM_RESUME, error);
}

/* Started again whatever the policy says of resets: that is about what the guest does by itself. */
static json_t *method_reset(const json_t *params, struct host_error *error)
{
	return method_control(params, VMM_RESET, error);
}

/* By way of the keeper, which needs nobody's cooperation. */
static json_t *method_kill(const json_t *params, struct host_error *error)
{
	BASE_AUTO_FREE struct host_vm *vm = calloc(1, sizeof(*vm));

	if (!vm || method_own_vm(params, vm, error) < 0)
		return NULL;
	if (!vm->keeper) {
		host_fail(error, -EAGAIN, 125, "'%s' is being started; try again", vm->name);
		return NULL;
	}
	BASE_AUTO_FD int keeper = (int)syscall(SYS_pidfd_open, vm->keeper, 0);
	if (keeper < 0 || !registry_alive(vm) ||
	    syscall(SYS_pidfd_send_signal, keeper, SIGTERM, NULL, 0) < 0) {
		host_fail(error, -ESRCH, 127, "'%s' has ended already", vm->name);
		return NULL;
	}
	return json_pack("{s:s}", "name", vm->name);
}

/* Returns once the VM is gone and cleaned up, with how it ended; or, when it was started again, as it is. */
static json_t *method_wait(const json_t *params, struct host_error *error)
{
	BASE_AUTO_FREE struct host_vm *vm = calloc(1, sizeof(*vm));
	const char *name = method_string(params, "name");
	json_int_t timeout = json_integer_value(json_object_get(params, "timeout_ms"));
	int err = vm && name ? registry_load(name, vm) : -EINVAL;
	json_t *ended;

	if (timeout < 0 || timeout > INT_MAX) {
		host_fail(error, -ERANGE, 125, "timeout_ms %lld is not from 0 (for ever) to %d",
		          (long long)timeout, INT_MAX);
		return NULL;
	}
	if (!err && !vm->keeper) {
		host_fail(error, -EAGAIN, 125, "'%s' is being started; try again", name);
		return NULL;
	}
	if (!err && registry_alive(vm)) {
		BASE_AUTO_FD int keeper = (int)syscall(SYS_pidfd_open, vm->keeper, 0);
		struct pollfd ended_fd = {.fd = keeper, .events = POLLIN};

		if (keeper >= 0 && poll(&ended_fd, 1, timeout > 0 ? (int)timeout : -1) == 0) {
			host_fail(error, -ETIMEDOUT, 125, "'%s' still runs", vm->name);
			return NULL;
		}
		reap_vm(name, HOST_END_UNKNOWN,
		        NULL); /* there is nothing to do, unless the keeper was killed */
		if (registry_load(name, vm) == 0 && registry_alive(vm))
			return registry_json(vm);
	}
	ended = err == -EINVAL ? NULL : method_ended(name);
	if (!ended)
		host_fail(error, -ENOENT, 127, "there is no guest named '%s'", name ? name : "");
	return ended;
}

static json_t *method_version(const json_t *params, struct host_error *error)
{
	(void)params;
	(void)error;
	return json_pack("{s:s}", "version", CORDON_VERSION);
}

json_t *method_call(const char *method, const json_t *params, struct host_error *error)
{
	static const struct {
		const char *name;
		json_t *(*call)(const json_t *params, struct host_error *error);
	} methods[] = {
	        {"vm.run", method_run},
	        {"vm.list", method_list},
	        {"vm.inspect", method_inspect},
	        {"vm.stop", method_stop},
	        {"vm.kill", method_kill},
	        {"vm.pause", method_pause},
	        {"vm.reset", method_reset},
	        {"vm.resume", method_resume},
	        {"vm.wait", method_wait},
	        {"vm.guard", guard_method},
	        {"vm.unguard", guard_end_method},
	        {"vm.limit", limit_method},
	        {"vm.quarantine", rules_quarantine},
	        {"vm.release", rules_release},
	        {"vm.counters", rules_counters},
	        {"vm.explain", explain_method},
	        {"vm.diff", apply_diff},
	        {"vm.apply", apply_method},
	        {"vm.balloon", balloon_method},
	        {"version", method_version},
	};

	for (size_t i = 0; i < BASE_COUNT(methods); i++)
		if (strcmp(methods[i].name, method) == 0)
			return methods[i].call(params, error);
	host_fail(error, -ENOSYS, 125, "there is no method '%.40s'", method);
	return NULL;
}

json_t *method_call_any(const char *method, json_t *params, struct host_error *error)
{
	BASE_AUTO_FD int daemon = rpc_connect();
	json_t *result;

	if (daemon >= 0)
		return rpc_call(daemon, method, params, error);
	if (daemon == -EACCES) {
		host_fail(error, daemon, 125, "cordond's socket is for root and the group '%s'",
		          HOST_GROUP);
		return NULL;
	}
	if (geteuid() != 0) {
		host_fail(error, -EPERM, 125,
		          "no cordond is running, and without it this needs root");
		return NULL;
	}
	result = method_call(method, params, error);
	return result;
}
