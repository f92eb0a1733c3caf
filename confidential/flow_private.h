/* SPDX-License-Identifier: GPL-2.0-or-later */
/* flow_private: what the parts of the launch share: flow.c, flow_sev.c, flow_tdx.c, registers.c, complain.c, hob.c. */
#ifndef CORDON_CONFIDENTIAL_FLOW_PRIVATE_H
#define CORDON_CONFIDENTIAL_FLOW_PRIVATE_H

#include "confidential/flow.h"

enum { CC_STAGE = 512 * CONFIDENTIAL_PAGE, CC_TRIES = 100000 };

/* One launch: the walker's regions go through it. */
struct cc_launch_state {
	struct cc_guest *guest;
	const int *vcpus;
	uint32_t next_vcpu; /* whose registers come next; all before it have theirs */
	uint8_t *stage;     /* CC_STAGE bytes, at a page */
	char *why;
};

static inline int cc_call(const struct cc_guest *guest, int fd, uint32_t request, void *argument)
{
	return guest->ops->call(guest->self, fd, request, argument);
}

/* Where a range of guest memory is mapped, or NULL where none of it, or not all, is memory. */
uint8_t *cc_memory_at(const struct cc_guest *guest, uint64_t gpa, uint64_t size);
/* At most CC_STAGE bytes of a region from `at`, in the stage, with zeros where it has no bytes. Their number. */
size_t cc_stage(struct cc_launch_state *state, const struct launch_region *region, uint64_t at);

/*
 * flow.c: the registers of the next vCPU. KVM measures all vCPUs after all pages, in their order, and puts each at an
 * address of its own: a file that has it otherwise is refused.
 */
int cc_vcpu(struct cc_launch_state *state, const struct launch_region *region);

/* flow_sev.c */
int cc_sev_init(struct cc_guest *guest, char *why);
int cc_sev_region(void *data, const struct launch_region *region);
int cc_sev_start(struct cc_launch_state *state);
int cc_sev_finish(struct cc_launch_state *state);
/* flow_snp.c */
int cc_snp_region(void *data, const struct launch_region *region);
int cc_snp_start(struct cc_launch_state *state);
int cc_snp_finish(struct cc_launch_state *state);
/* One SEV command of the VM. */
int cc_sev_command(const struct cc_guest *guest, uint32_t id, void *data, char *why);
/* flow_tdx.c */
int cc_tdx_init(struct cc_guest *guest, char *why);
int cc_tdx_region(void *data, const struct launch_region *region);
int cc_tdx_start(struct cc_launch_state *state);
int cc_tdx_finish(struct cc_launch_state *state);

/*
 * registers.c: a vCPU gets what stands in its VMSA, which is what is measured of it. -ENOTSUP: there is something in
 * it that KVM would not make of it.
 */
int cc_registers(const struct cc_guest *guest, int vcpu, const uint8_t page[CONFIDENTIAL_PAGE],
                 char *why);

/* hob.c: the memory of a trust domain, as its firmware reads it. -EINVAL: it does not fit. */
struct cc_range {
	uint64_t gpa, size;
};
int cc_hob(const struct cc_memory *memory, size_t memory_count, const struct cc_range *accepted,
           size_t accepted_count, uint64_t gpa, uint8_t *to, size_t size);

/* complain.c: one sentence of what KVM or the firmware said to a command. They return `err`. */
int cc_complain_sev(uint32_t id, int err, uint32_t firmware, char *why);
int cc_complain_tdx(uint32_t id, int err, uint64_t module, char *why);

#endif
