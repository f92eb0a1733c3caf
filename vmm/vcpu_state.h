/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vcpu_state: the registers, CPUID, MSRs and local APIC that a vCPU begins with. */
#ifndef CORDON_VMM_VCPU_STATE_H
#define CORDON_VMM_VCPU_STATE_H

#include "vmm/vm.h"

int vcpu_state_set(const struct machine *m, int fd, unsigned int index, unsigned int count,
                   const struct vcpu_start *start, char *why);

#endif
