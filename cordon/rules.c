/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A running VM's rules: what they counted, each with the line of the policy that it stands for, and the
 * quarantine, which the VM's state remembers, so that a restart keeps it and whoever repairs the rules
 * puts it back.
 */
#include "cordon/rules.h"

#include <ctype.h>

#include "base/base.h"

enum { RULES_COUNTERS_MAX = 2 * POLICY_RULES_MAX + 64, RULES_LINE_MAX = 128 };

void rules_line(const char *text, uint32_t number, char *out, size_t size)
{
	size_t length;

	for (uint32_t line = 1; text && line < number; line++) {
		text = strchr(text, '\n');
		text += text != NULL;
	}
	out[0] = '\0';
	if (!text || number == 0)
		return;
	text += strspn(text, " \t");
	length = strcspn(text, "\r\n");
	while (length > 0 && isspace((unsigned char)text[length - 1]))
		length--;
	if (length > size - 1)
		for (length = size - 1; length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80;)
			length--; /* no half of a character */
	snprintf(out, size, "%.*s", (int)length, text);
}

/* The quarantine that the VM's state has, with the network that it leaves open. */
static int rules_cut(struct firewall *fw, const struct host_vm *vm)
{
	struct policy_cidr allow;
	bool host_bits;

	if (!vm->quarantine_allow[0])
		return firewall_vm_quarantine(fw, vm->name, NULL);
	if (policy_value_cidr(vm->quarantine_allow, &allow, &host_bits))
		return -EINVAL;
	return firewall_vm_quarantine(fw, vm->name, &allow);
}

int rules_load(struct firewall *fw, const struct policy *policy, const struct host_vm *vm)
{
	int err = firewall_vm_apply(fw, policy, vm->nics, vm->nic_count);

	/* those that are ports already: at a start none is, and network_tap_up() sees to it */
	for (size_t i = 0; !err && i < vm->nic_count; i++)
		if (vm->nics[i].mode == POLICY_NIC_BRIDGE && !vm->nics[i].foreign)
			network_bridge_port(vm->ifindex[i], network_bridge_isolated(policy));
	return err || !vm->quarantined ? err : rules_cut(fw, vm);
}

static int rules_allow(const json_t *params, struct host_vm *vm, struct host_error *error)
{
	const json_t *param = json_object_get(params, "allow");
	const char *text = json_string_value(param);
	struct policy_cidr cidr;
	bool host_bits = false;

	vm->quarantine_allow[0] = '\0';
	if (!param)
		return 0;
	if (!text || policy_value_cidr(text, &cidr, &host_bits) || host_bits)
		return host_fail(error, -EINVAL, 125,
		                 "allow '%.64s' is no network such as 192.0.2.0/24 or "
		                 "2001:db8::1/128%s",
		                 text ? text : "", host_bits ? ": it has host bits" : "");
	base_copy_string(vm->quarantine_allow, sizeof(vm->quarantine_allow), text);
	return 0;
}

static int rules_change(struct host_vm *vm, bool cut, struct host_error *error)
{
	struct firewall *fw = firewall_open();
	int err;

	if (!fw)
		return host_fail(error, -errno, 125, "libnftables gives no context: %s",
		                 strerror(errno));
	err = cut ? rules_cut(fw, vm) : firewall_vm_release(fw, vm->name);
	if (err)
		host_fail(error, err, 125, "the rules of '%s' were not changed: %s", vm->name,
		          firewall_error(fw));
	firewall_close(fw);
	if (err)
		return err;
	vm->quarantined = cut;
	err = registry_save(vm);
	if (err)
		host_fail(error, err, 125,
		          "the rules of '%s' were changed, but its state was not saved: %s",
		          vm->name, strerror(-err));
	return err;
}

static json_t *rules_switch(const json_t *params, bool cut, struct host_error *error)
{
	BASE_AUTO_FREE struct host_vm *vm = calloc(1, sizeof(*vm));
	int err;

	if (!vm || method_vm(params, vm, error) < 0)
		return NULL;
	BASE_AUTO_FD int lock = registry_lock_vm(vm->name);
	err = lock < 0 ? lock : registry_load(vm->name, vm);
	if (err) {
		host_fail(error, err, err == -ENOENT ? 127 : 125,
		          "cannot change the rules of '%s': %s", vm->name,
		          err == -ENOENT ? "it has ended" : strerror(-err));
		return NULL;
	}
	err = rules_allow(cut ? params : NULL, vm, error);
	if (!err)
		err = rules_change(vm, cut, error);
	if (err)
		return NULL;
	return json_pack("{s:s, s:b, s:s*}", "name", vm->name, "quarantined", cut, "allow",
	                 vm->quarantine_allow[0] ? vm->quarantine_allow : NULL);
}

json_t *rules_quarantine(const json_t *params, struct host_error *error)
{
	return rules_switch(params, true, error);
}

json_t *rules_release(const json_t *params, struct host_error *error)
{
	return rules_switch(params, false, error);
}

static json_t *rules_row(const struct firewall_counter *counter, const char *policy)
{
	char text[RULES_LINE_MAX];

	rules_line(policy, counter->line, text, sizeof(text));
	return json_pack("{s:s, s:i, s:s, s:I, s:I}", "rule", counter->what, "line",
	                 (int)counter->line, "text", text, "packets", (json_int_t)counter->packets,
	                 "bytes", (json_int_t)counter->bytes);
}

json_t *rules_counters(const json_t *params, struct host_error *error)
{
	BASE_AUTO_FREE struct host_vm *vm = calloc(1, sizeof(*vm));
	BASE_AUTO_FREE struct firewall_counter *counters =
	        calloc(RULES_COUNTERS_MAX, sizeof(*counters));
	BASE_AUTO_FREE char *policy = NULL;
	char path[POLICY_PATH_MAX];
	struct firewall *fw;
	json_t *list, *names = NULL;
	int count;

	if (!vm || !counters || method_vm(params, vm, error) < 0)
		return NULL;
	fw = firewall_open();
	count = fw ? firewall_vm_counters(fw, vm->name, counters, RULES_COUNTERS_MAX) : -errno;
	if (count < 0)
		host_fail(error, count, 125, "cannot read the rules of '%s': %s", vm->name,
		          fw ? firewall_error(fw) : strerror(-count));
	else
		names = names_json(fw, vm->name, error);
	if (fw)
		firewall_close(fw);
	if (!names)
		return NULL;
	/* the text that the rules were made of, not what the file says by now */
	registry_path(path, vm->name, "policy.yaml");
	policy_read_file(path, &policy);
	list = json_array();
	for (int i = 0; i < BASE_MIN(count, RULES_COUNTERS_MAX); i++)
		json_array_append_new(list, rules_row(&counters[i], policy));
	return json_pack("{s:s, s:s, s:b, s:s*, s:o, s:o}", "name", vm->name, "policy",
	                 vm->policy_path, "quarantined", vm->quarantined, "quarantine_allow",
	                 vm->quarantine_allow[0] ? vm->quarantine_allow : NULL, "rules", list,
	                 "names", names);
}
