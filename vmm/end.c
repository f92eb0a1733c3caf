// SPDX-License-Identifier: GPL-2.0-or-later
/* end: how a VM ended, in words: for the vmm's own log and for what the host keeps of it. */
#include <stddef.h>

#include "vmm/vmm.h"

const char *vmm_end_text(unsigned int end)
{
	switch (end) {
	case VMM_END_POWEROFF: return "powered off";
	case VMM_END_FAILED: return "the vmm could not start it";
	case VMM_END_USAGE: return "the vmm refused its arguments";
	case VMM_END_RESET: return "reset by the guest";
	case VMM_END_TRIPLE_FAULT: return "reset by the guest, by a triple fault";
	case VMM_END_KVM_ERROR: return "KVM error";
	case VMM_END_PANIC: return "guest panic";
	case VMM_END_DEVICE: return "a device process died";
	case VMM_END_WATCHDOG: return "watchdog";
	case VMM_END_RESTART: return "reset by the operator";
	case VMM_END_MEMORY: return "its private memory could not be given";
	default: return NULL;
	}
}
