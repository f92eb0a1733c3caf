/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * report: the alerts that the host itself raises about a VM: a process of it that died, a guest that panicked
 * or hung, an end that nobody asked for. What a guest does on the network is the monitor's.
 */
#ifndef CORDON_REPORT_H
#define CORDON_REPORT_H

#include "cordon/host.h"
#include "monitor/alert_forms.h"

/* What is known of a process's death. */
struct death {
	const char *role;
	pid_t pid;
	int status;         /* as wait(2) gives it */
	uint32_t restarts;  /* of the role so far, this one in */
	const char *became; /* what was done: "it was started again", or why not; or "" */
};

/*
 * Each alert is one line to standard error, one to the host's alert log, and one to each sink of the VM's policy.
 * event.id is made of the VM, its run, the rule and the pid: the same thing reported again has the same.
 *
 * A death by SIGSYS is a system call that the role's list does not have: an escape attempt (ATT&CK T1611).
 */
void report_death(const struct host_vm *vm, const struct death *death);

/*
 * How a run of the VM ended, where that is worth an alert: a panic (also one after which the guest went on;
 * `panics` is the vmm's count), its watchdog, an error of KVM's, and a vmm that ended and was not told to.
 * Of an end that is not known there is nothing to say. `again`: it will be started again.
 */
void report_end(const struct host_vm *vm, struct host_end end, uint64_t panics, bool again);

/* Somebody else changed cordon's rules; `failed` says why the VM's could not be loaded again, or is "". */
void report_tampered(const struct host_vm *vm, const char *process, pid_t pid, const char *failed);

enum report_guard {
	REPORT_GUARD_ENDED,   /* the tap is gone */
	REPORT_GUARD_KEEPER,  /* who minds the tap had died, and was started again */
	REPORT_GUARD_CHANGED, /* the tap has another name, or is another bridge's port */
	REPORT_GUARD_CLOSED,  /* the same, and it was closed */
};
/* What became of the guarding of another VMM's guest; `failed` says why it went wrong, or is "". */
void report_guard(const struct host_vm *vm, enum report_guard what, const char *failed);

/* --- sink.c --- */

/* Sends an alert to each sink of the VM's policy; `ecs` and `syslog` are the alert in those forms. A sink that takes
 * nothing is said on standard error. */
void sink_send_all(const struct alert_view *view, const char *ecs, const char *syslog);

#endif
