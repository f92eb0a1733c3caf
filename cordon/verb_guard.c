/* SPDX-License-Identifier: GPL-2.0-or-later */
/* guard, unguard: our firewall and monitor on a tap that another VMM has. */
#include "cordon/cli.h"

#include "base/base.h"
#include "cordon/verbs.h"

static const char guard_usage[] =
        "usage: cordon guard [--format table|json] INTERFACE POLICY.yaml\n\n"
        "Puts a policy's firewall and monitor on the tap of a guest that another VMM runs (QEMU, "
        "libvirt,\n"
        "Firecracker). The policy has guard in place of vm. Nothing of the tap is changed: when "
        "its VMM\n"
        "removes it, or `cordon unguard` is told to, the rules go and nothing is left.\n\n"
        "Exit status: 0 it is guarded; 125 cordon failed; 126 it cannot be guarded; 127 a file or "
        "the\n"
        "interface is not there.\n";

int verb_guard(int argc, char **argv)
{
	struct host_error error = {0};
	struct cli_options options;
	json_t *params, *vm;
	const char *name;
	int status = cli_simple(argc, argv, guard_usage, 2, 2, &options);

	if (status >= 0)
		return status;
	params = cli_policy(argv[options.first + 1], &error);
	if (params)
		json_object_set_new(params, "interface", json_string(argv[options.first]));
	vm = params ? method_call_any("vm.guard", params, &error) : NULL;
	json_decref(params);
	if (!vm)
		return cli_refused(argv[options.first + 1], &error, options.json);
	name = json_string_value(json_object_get(vm, "name"));
	serve_ensure(name); /* no daemon did it: nobody yet listens for what its alerts ask */
	if (options.json)
		cli_print_json(vm);
	else
		printf("%s: guarded at %s\n", name, argv[options.first]);
	json_decref(vm);
	return VERB_OK;
}

int verb_unguard(int argc, char **argv)
{
	static const char usage[] =
	        "usage: cordon unguard [--format table|json] INTERFACE|NAME\n\n"
	        "Takes the firewall and the monitor off the tap of another VMM's guest, which runs "
	        "on without them.\n";
	struct cli_options options;
	int status = cli_simple(argc, argv, usage, 1, 1, &options);

	if (status >= 0)
		return status;
	return cli_vm_call("vm.unguard", argv[options.first], options.json,
	                   "is not guarded any more");
}
