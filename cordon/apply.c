/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Another policy for a VM that runs. Its rules are replaced by one transaction; what cannot be changed under a
 * running guest is refused by name before anything is. The policy that the registry holds, by which the VM is
 * started again and its rules are repaired, becomes the new one by a rename; should that fail, or what else is to be
 * written, the old rules are put back. Relative paths in it go on being relative to where the VM was started from.
 */
#include "cordon/rules.h"

#include "base/base.h"

/* One request, and the two policies. */
struct apply {
	struct host_vm vm;
	struct policy old, new;
	const char *text, *path;
};

static int apply_read(const json_t *params, struct apply *apply, struct host_error *error)
{
	int err = method_vm(params, &apply->vm, error);

	if (err)
		return err;
	apply->text = json_string_value(json_object_get(params, "policy"));
	apply->path = json_string_value(json_object_get(params, "path"));
	if (!apply->text || !apply->path)
		return host_fail(error, -EINVAL, 125,
		                 "it takes name, policy (text) and path (of the policy)");
	if (strlen(apply->path) >= sizeof(apply->vm.policy_path))
		return host_fail(error, -ENAMETOOLONG, 125,
		                 "the path '%.64s...' has more than %zu bytes", apply->path,
		                 sizeof(apply->vm.policy_path) - 1);
	err = launch_parse(apply->text, strlen(apply->text), apply->path, &apply->new, error);
	if (err) {
		error->exit = 1; /* refused; not a VM that did not start */
		return err;
	}
	err = registry_policy(apply->vm.name, &apply->old);
	if (err)
		return host_fail(error, err, 125, "cannot read the policy of '%s': %s",
		                 apply->vm.name, strerror(-err));
	return 0;
}

static json_t *apply_answer(const struct apply *apply, json_t *refused)
{
	json_t *changes = changes_list(&apply->old, &apply->new);

	return json_pack("{s:s, s:s, s:s, s:o, s:O*}", "name", apply->vm.name, "policy",
	                 apply->vm.policy_path, "new_policy", apply->path, "changes", changes,
	                 "refused", refused);
}

json_t *apply_diff(const json_t *params, struct host_error *error)
{
	BASE_AUTO_FREE struct apply *apply = calloc(1, sizeof(*apply));
	json_t *refused, *answer;

	if (!apply || apply_read(params, apply, error) < 0)
		return NULL;
	refused = changes_refused(&apply->old, &apply->new);
	answer = refused ? apply_answer(apply, refused) : NULL;
	json_decref(refused);
	if (!answer)
		host_fail(error, -ENOMEM, 125, "out of memory");
	return answer;
}

static int apply_allowed(const struct apply *apply, struct host_error *error)
{
	json_t *refused = changes_refused(&apply->old, &apply->new), *name;
	char list[256] = "";
	size_t i;
	int err = 0;

	if (!refused)
		return host_fail(error, -ENOMEM, 125, "out of memory");
	json_array_foreach(refused, i, name)
	        snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%s", i ? ", " : "",
	                 json_string_value(name));
	if (list[0])
		err = host_fail(error, -EBUSY, 1,
		                "%s cannot be changed while '%s' runs; nothing was changed", list,
		                apply->vm.name);
	json_decref(refused);
	return err;
}

/* What stands beside the rules: the names that cordon-names reads, the policy that a restart would load, the state. */
static int apply_record(struct apply *apply, const char *file, struct host_error *error)
{
	int err = names_change(&apply->new, error);

	if (err)
		return err;
	err = registry_write_file(file, apply->text, strlen(apply->text), 0640);
	if (err)
		return host_fail(error, err, 125, "cannot write %s: %s", file, strerror(-err));
	base_copy_string(apply->vm.policy_path, sizeof(apply->vm.policy_path), apply->path);
	err = registry_save(&apply->vm);
	return err ? host_fail(error, err, 125, "cannot save the state of '%s': %s", apply->vm.name,
	                       strerror(-err))
	           : 0;
}

/* True when rules, names and policy are the old ones. */
static bool apply_back(struct firewall *fw, const struct apply *apply, const char *file,
                       const char *kept)
{
	struct host_error again = {0};
	bool back = rules_load(fw, &apply->old, &apply->vm) == 0;

	back &= names_change(&apply->old, &again) == 0;
	back &= rename(kept, file) == 0;
	host_error_clear(&again);
	return back;
}

/*
 * The rules, then the record of them; the old ones of both, where the record cannot be written. The old policy is
 * kept beside the new one until then, so that it comes back by a rename, which needs no room.
 */
static int apply_load(struct firewall *fw, struct apply *apply, struct host_error *error)
{
	char file[POLICY_PATH_MAX], kept[POLICY_PATH_MAX];
	struct host_error why = {0};
	int err;

	registry_path(file, apply->vm.name, "policy.yaml");
	registry_path(kept, apply->vm.name, "policy.yaml.old");
	if ((unlink(kept) < 0 && errno != ENOENT) || link(file, kept) < 0)
		return host_fail(error, -errno, 125, "cannot keep %s: %s; nothing was changed",
		                 file, strerror(errno));
	err = rules_load(fw, &apply->new, &apply->vm);
	if (err)
		host_fail(error, err, 125, "the rules of '%s' were not changed: %s", apply->vm.name,
		          firewall_error(fw));
	else
		err = apply_record(apply, file, &why);
	if (why.code)
		host_fail(error, err, 125, "%s%s", why.text,
		          apply_back(fw, apply, file, kept)
		                  ? "; its rules are the old ones"
		                  : "; and the old rules could not all be put back");
	unlink(kept);
	host_error_clear(&why);
	return err;
}

json_t *apply_method(const json_t *params, struct host_error *error)
{
	BASE_AUTO_FREE struct apply *apply = calloc(1, sizeof(*apply));
	struct firewall *fw;
	int err;

	if (!apply || method_vm(params, &apply->vm, error) < 0)
		return NULL;
	/* until the record is written: nobody ends it, starts it again or changes it meanwhile */
	BASE_AUTO_FD int lock = registry_lock_vm(apply->vm.name);
	err = lock < 0 ? host_fail(error, lock, 125, "cannot lock '%s': %s", apply->vm.name,
	                           strerror(-lock))
	               : apply_read(params, apply, error);
	if (!err)
		err = apply_allowed(apply, error);
	fw = err ? NULL : firewall_open();
	if (!err)
		err = fw ? apply_load(fw, apply, error)
		         : host_fail(error, -errno, 125, "libnftables gives no context");
	if (fw)
		firewall_close(fw);
	return err ? NULL : apply_answer(apply, NULL);
}
