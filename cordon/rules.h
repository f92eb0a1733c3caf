/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rules: a running VM's rules as its operators see and change them: rules.c, changes.c, apply.c. */
#ifndef CORDON_RULES_H
#define CORDON_RULES_H

#include "cordon/host.h"

/* The methods vm.counters {name}, vm.quarantine {name, allow} and vm.release {name}. */
json_t *rules_counters(const json_t *params, struct host_error *error);
json_t *rules_quarantine(const json_t *params, struct host_error *error);
json_t *rules_release(const json_t *params, struct host_error *error);

/* Loads a VM's rules: those of the policy, and the quarantine that its state knows of. An error says so. */
int rules_load(struct firewall *fw, const struct policy *policy, const struct host_vm *vm);

/* Line `number` of a text, from 1, without the space around it; "" when there is none. */
void rules_line(const char *text, uint32_t number, char *out, size_t size);

/* --- changes.c --- */

/* What of the rules two policies do not share: [{change, section, line, text}]; the caller's. NULL: no memory. */
json_t *changes_list(const struct policy *old, const struct policy *new);
/* Names of what they do not share and a running VM cannot change: ["vm.memory", …]. NULL: no memory. */
json_t *changes_refused(const struct policy *old, const struct policy *new);

/* --- explain.c --- */

/* The method vm.explain {name, packet}: {name, verdict, steps: [{vm, direction, verdict, rule, policy, line,
 * text, limited}]}. */
json_t *explain_method(const json_t *params, struct host_error *error);
/* The same by a policy that need not run; the addresses are those of the first guest of a host. */
json_t *explain_policy(const char *text, size_t size, const char *path, const char *packet,
                       struct host_error *error);

/* --- apply.c --- */

/* The methods vm.diff and vm.apply {name, policy, path}: what would change, and changing it. */
json_t *apply_diff(const json_t *params, struct host_error *error);
json_t *apply_method(const json_t *params, struct host_error *error);

#endif
