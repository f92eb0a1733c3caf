/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * seccompgen: what no list may say, whoever asks for it.
 *
 * A list is short so that it can be read; a rule that another one already covers hides what the list
 * really permits, and is refused. Executable memory and a second program are what an attacker wants
 * next, and the calls that go around a seccomp filter (io_uring) or into another process undo the
 * rest, so these are refused here, where no room can forget it. A ring of io_uring that was made before the
 * filter, and restricted to what its role does with it, is another matter: such a one can be entered, by its
 * place in the task's table of rings, where nothing can be put any more.
 */
#include "isolate/seccompgen.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static const struct {
	const char *name;
	const char *why;
} never[] = {
        {"execve", "no role starts a program"},
        {"ptrace", "no role reads another process"},
        {"process_vm_readv", "no role reads another process"},
        {"process_vm_writev", "no role writes another process"},
        {"pidfd_getfd", "no role takes another process's files"},
        {"io_uring_setup", "io_uring does its work behind the filter"},
        {"io_uring_register", "io_uring does its work behind the filter"},
        {"shmat", "it can map executable memory"},
        {"personality", "it can make every mapping executable"},
        {"modify_ldt", "no role needs segments of its own"},
        {"open_by_handle_at", "it opens files outside of the root"},
        {"setns", "no role leaves its namespaces"},
        {"unshare", "no role makes namespaces"},
        {"mount", "no role mounts"},
        {"umount2", "no role mounts"},
        {"move_mount", "no role mounts"},
        {"open_tree", "no role mounts"},
        {"pivot_root", "no role changes its root"},
        {"chroot", "no role changes its root"},
        {"init_module", "no role loads kernel code"},
        {"finit_module", "no role loads kernel code"},
        {"kexec_load", "no role loads kernel code"},
        {"kexec_file_load", "no role loads kernel code"},
        {"keyctl", "no role has keys"},
};

static bool can_have_bit(const struct seccompgen_condition *condition, uint64_t bit)
{
	switch (condition->kind) {
	case SECCOMPGEN_EQUAL: return condition->value & bit;
	case SECCOMPGEN_AT_MOST: return condition->value >= bit;
	case SECCOMPGEN_MASKED: return !(condition->mask & bit) || (condition->value & bit);
	case SECCOMPGEN_ANY: break;
	}
	return true;
}

static bool maps_memory(const char *name)
{
	return strcmp(name, "mmap") == 0 || strcmp(name, "mprotect") == 0 ||
	       strcmp(name, "pkey_mprotect") == 0;
}

/* The one exec that a list may have: of a given fd and nothing else, see isolate/spawn.c. */
static bool is_first_exec(const struct seccompgen_rule *rule)
{
	return rule->args[0].kind == SECCOMPGEN_EQUAL && rule->args[4].kind == SECCOMPGEN_EQUAL &&
	       rule->args[4].value == AT_EMPTY_PATH;
}

/* Only a ring that was registered before the list was locked; see vmm/devices/uring.c. */
static bool is_registered_ring(const struct seccompgen_rule *rule)
{
	const struct seccompgen_condition *flags = &rule->args[3];

	return rule->args[0].kind == SECCOMPGEN_EQUAL && flags->kind == SECCOMPGEN_MASKED &&
	       flags->mask & flags->value & IORING_ENTER_REGISTERED_RING;
}

static bool is_unconditional(const struct seccompgen_rule *rule)
{
	return rule->text[0] == '\0';
}

static bool says_the_same(const struct seccompgen_rule *a, const struct seccompgen_rule *b)
{
	for (size_t i = 0; i < SECCOMPGEN_ARGS; i++)
		if (a->args[i].kind != b->args[i].kind || a->args[i].value != b->args[i].value ||
		    a->args[i].mask != b->args[i].mask)
			return false;
	return true;
}

/* Whether `wide` leaves `narrow` nothing to say; what all roles share may be widened by one role. */
static bool covers(const struct seccompgen_rule *wide, const struct seccompgen_rule *narrow)
{
	if (wide->number != narrow->number)
		return false;
	return says_the_same(wide, narrow) || (is_unconditional(wide) && !narrow->shared);
}

int seccompgen_judge(const struct seccompgen_rule *rule, const struct seccompgen_rule *rules,
                     size_t count)
{
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (strcmp(never[i].name, rule->name) == 0) {
			seccompgen_error(rule->file, rule->line, "%s is never allowed: %s",
			                 rule->name, never[i].why);
			return -1;
		}
	if (maps_memory(rule->name) && can_have_bit(&rule->args[2], PROT_EXEC)) {
		seccompgen_error(rule->file, rule->line,
		                 "%s must rule out PROT_EXEC, as in %s(arg2 !& PROT_EXEC)",
		                 rule->name, rule->name);
		return -1;
	}
	if (strcmp(rule->name, "execveat") == 0 && !is_first_exec(rule)) {
		seccompgen_error(
		        rule->file, rule->line,
		        "execveat is only allowed of one fd: (arg0 = FD, arg4 = AT_EMPTY_PATH)");
		return -1;
	}
	if (strcmp(rule->name, "io_uring_enter") == 0 && !is_registered_ring(rule)) {
		seccompgen_error(
		        rule->file, rule->line,
		        "io_uring_enter is only allowed of a registered ring: (arg0 = INDEX, arg3 "
		        "& IORING_ENTER_REGISTERED_RING = IORING_ENTER_REGISTERED_RING)");
		return -1;
	}
	for (size_t i = 0; i < count; i++)
		if (covers(&rules[i], rule) || covers(rule, &rules[i])) {
			seccompgen_error(rule->file, rule->line, "%s is redundant beside %s:%u",
			                 rule->name, rules[i].file, rules[i].line);
			return -1;
		}
	return 0;
}
