/* SPDX-License-Identifier: GPL-2.0-or-later */
/* msr: the model-specific registers that a guest can reach, and those that a vCPU begins with. */
#ifndef CORDON_VMM_MSR_H
#define CORDON_VMM_MSR_H

#include "vmm/vm.h"

/*
 * Before the first vCPU: no performance counters, and an allow list of MSRs where KVM has filters. What is
 * not in the list gives the guest #GP, inside KVM: no access to an MSR leaves it. Negative errno.
 */
int msr_guard(struct machine *m);

/* Of each vCPU: what firmware leaves in them; and paravirtual MSRs only as CPUID says. */
int msr_set(const struct machine *m, int vcpu);

#endif
