/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * measured: a guest whose memory the hardware hides and whose start it measures: SEV, SEV-ES, SEV-SNP, TDX. The launch
 * itself is confidential/flow.h's; this is what the machine has to do with it. All of it is before the guest's first
 * instruction and before the seccomp list: nothing of it is left then.
 *
 * Implemented to the ABI, never run on such hardware.
 */
#ifndef CORDON_VMM_MEASURED_H
#define CORDON_VMM_MEASURED_H

#include "confidential/flow.h"
#include "vmm/vm.h"

/* What cordon-vmm's --confidential says. */
struct measured_options {
	bool given;
	enum confidential_type type;
	int firmware, sev, id_block, id_auth; /* fds, or -1 */
	struct cc_wishes wishes;
};

/*
 * TYPE:key=value,...: firmware=FD, sev=FD (/dev/sev), id-block=FD, id-auth=FD, host-data=HEX, abi=MAJOR.MINOR, and the
 * words debug and no-smt. 0, or -EINVAL with one sentence in why[WHY_MAX].
 */
int measured_parse(struct measured_options *options, const char *text, char *why);

/*
 * Reads the files, before there is a VM, and sets m->measured and m->private.type. Firmware that is no IGVM file gets
 * its place below 4 GiB (m->rom). 0, or a negative errno with `why`; what was made goes with vm_destroy().
 */
int measured_open(struct machine *m, const struct measured_options *options, unsigned int vcpus,
                  const char *cmdline, char *why);
/* The kernel that firmware is given, of which the table of hashes is made; TDX has none. Before the launch. */
void measured_kernel(struct machine *m, const struct confidential_kernel *kernel);
/* In vm_create(): what the guest has to know of its encryption; the VM; and one of its regions of memory. */
int measured_cpuid(struct machine *m, struct cpuid_table *host, char *why);
int measured_vm_create(struct machine *m, char *why);
int measured_memory(struct machine *m, const struct machine_region *region, char *why);
/* Behind vcpus_create(): encrypts and measures. The guest can run then, and m->measured is gone. */
int measured_launch(struct machine *m, char *why);
void measured_close(struct machine *m);

#endif
