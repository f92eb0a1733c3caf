// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flow_tdx: TDX. The module says what a trust domain may have, and what of that is a choice; CPUID is given for
 * the choices alone. Pages are added through the first vCPU, and extended where the firmware says so. The list of
 * memory (hob.c) is added and not extended: the firmware measures it.
 */
#include "base/base.h"
#include "confidential/flow_private.h"

enum {
	TDX_XFAM_LEGACY = 0x3,  /* x87 and SSE: always on */
	TDX_XFAM_WANTED = 0xe7, /* and AVX and AVX-512, where the module has them */
	TDX_ACCEPTED_MAX = TDVF_SECTIONS_MAX,
};

static int tdx_command(const struct cc_guest *guest, int fd, uint32_t id, uint32_t flags,
                       uint64_t data, char *why)
{
	struct cc_tdx_cmd command = {.id = id, .flags = flags, .data = data};
	int err = 0;

	for (int tries = 0; tries < CC_TRIES; tries++) {
		err = cc_call(guest, fd, CC_MEMORY_ENCRYPT_OP, &command);
		if (err != -EAGAIN && err != -EINTR)
			break;
		command.hw_error = 0;
	}
	return err ? cc_complain_tdx(id, err, command.hw_error, why) : 0;
}

/* --- the trust domain --- */

static const struct cc_cpuid_entry *tdx_cpuid_find(const struct cc_guest *guest, uint32_t function,
                                                   uint32_t index)
{
	for (size_t i = 0; i < guest->cpuid_count; i++)
		if (guest->cpuid[i].function == function && guest->cpuid[i].index == index)
			return &guest->cpuid[i];
	return NULL;
}

/* Of the guest's CPUID, the bits that the module leaves to who makes the trust domain. */
static void tdx_cpuid(const struct cc_guest *guest, const struct cc_tdx_capabilities *can,
                      struct cc_tdx_init_vm *init)
{
	for (uint32_t i = 0; i < can->nent; i++) {
		const struct cc_cpuid_entry *mask = &can->entries[i];
		const struct cc_cpuid_entry *from =
		        tdx_cpuid_find(guest, mask->function, mask->index);

		if (!from)
			continue;
		init->entries[init->nent++] = (struct cc_cpuid_entry){.function = mask->function,
		                                                      .index = mask->index,
		                                                      .flags = mask->flags,
		                                                      .eax = from->eax & mask->eax,
		                                                      .ebx = from->ebx & mask->ebx,
		                                                      .ecx = from->ecx & mask->ecx,
		                                                      .edx = from->edx & mask->edx};
	}
}

int cc_tdx_init(struct cc_guest *guest, char *why)
{
	const size_t entries = CC_TDX_CPUID_MAX * sizeof(struct cc_cpuid_entry);
	BASE_AUTO_FREE struct cc_tdx_capabilities *can = calloc(1, sizeof(*can) + entries);
	BASE_AUTO_FREE struct cc_tdx_init_vm *init = calloc(1, sizeof(*init) + entries);
	int err;

	if (!can || !init)
		return why_set(why, -ENOMEM, "no memory for the TDX module's capabilities");
	can->nent = CC_TDX_CPUID_MAX;
	err = tdx_command(guest, guest->vm, CC_TDX_CAPABILITIES, 0, (uint64_t)(uintptr_t)can, why);
	if (err)
		return err;
	if (can->nent > CC_TDX_CPUID_MAX)
		return why_set(why, -E2BIG,
		               "the TDX module has %u CPUID leaves, %d at most were expected",
		               can->nent, CC_TDX_CPUID_MAX);
	init->attributes = cc_tdx_attributes(&guest->wishes);
	init->xfam = can->supported_xfam & TDX_XFAM_WANTED;
	if (init->attributes & ~can->supported_attrs)
		return why_set(why, -ENOTSUP,
		               "the TDX module gives attributes 0x%llx; the guest needs 0x%llx",
		               (unsigned long long)can->supported_attrs,
		               (unsigned long long)init->attributes);
	if ((init->xfam & TDX_XFAM_LEGACY) != TDX_XFAM_LEGACY)
		return why_set(why, -ENOTSUP,
		               "the TDX module gives XFAM 0x%llx, without x87 and SSE",
		               (unsigned long long)can->supported_xfam);
	tdx_cpuid(guest, can, init);
	return tdx_command(guest, guest->vm, CC_TDX_INIT_VM, 0, (uint64_t)(uintptr_t)init, why);
}

/* --- pages --- */

/* Where the firmware wants the list of memory, and what is memory from the start. */
struct tdx_plan {
	struct cc_range accepted[TDX_ACCEPTED_MAX];
	size_t count;
	uint64_t hob;
};

static int tdx_plan_region(void *data, const struct launch_region *region)
{
	struct tdx_plan *plan = data;

	if (region->section != TDVF_TD_HOB && region->section != TDVF_TEMP_MEM)
		return 0;
	if (plan->count == TDX_ACCEPTED_MAX)
		return -E2BIG;
	plan->accepted[plan->count++] = (struct cc_range){region->gpa, region->size};
	if (region->section == TDVF_TD_HOB)
		plan->hob = region->gpa;
	return 0;
}

static int tdx_plan(const struct cc_launch_state *state, struct tdx_plan *plan)
{
	plan->count = 0;
	plan->hob = 0;
	return launch_walk(state->guest->input, tdx_plan_region, plan, state->why);
}

/* Each vCPU starts with the address of the list in RCX. */
int cc_tdx_start(struct cc_launch_state *state)
{
	BASE_AUTO_FREE struct tdx_plan *plan = malloc(sizeof(*plan));
	int err = plan ? tdx_plan(state, plan) : why_set(state->why, -ENOMEM, "no memory");

	if (!err && state->guest->input->vcpus == 0)
		err = why_set(state->why, -EINVAL, "a trust domain needs a vCPU");
	for (uint32_t i = 0; !err && i < state->guest->input->vcpus; i++)
		err = tdx_command(state->guest, state->vcpus[i], CC_TDX_INIT_VCPU, 0, plan->hob,
		                  state->why);
	return err;
}

static int tdx_hob(const struct cc_launch_state *state, uint64_t gpa, uint8_t *to, size_t size)
{
	BASE_AUTO_FREE struct tdx_plan *plan = malloc(sizeof(*plan));
	int err = plan ? tdx_plan(state, plan) : why_set(state->why, -ENOMEM, "no memory");

	if (err)
		return err;
	err = cc_hob(state->guest->memory, state->guest->memory_count, plan->accepted, plan->count,
	             gpa, to, size);
	return err ? why_set(state->why, err,
	                     "the firmware's 0x%zx bytes at 0x%llx do not hold the list of memory",
	                     size, (unsigned long long)gpa)
	           : 0;
}

int cc_tdx_region(void *data, const struct launch_region *region)
{
	struct cc_launch_state *state = data;
	const uint32_t flags = region->attributes & TDVF_EXTEND ? CC_TDX_MEASURE_MEMORY_REGION : 0;
	int err = 0;

	if (region->size == 0)
		return 0;
	if (region->attributes & TDVF_PAGE_AUG)
		return why_set(state->why, -ENOTSUP,
		               "KVM cannot measure pages at 0x%llx that it does not add",
		               (unsigned long long)region->gpa);
	if (!cc_memory_at(state->guest, region->gpa, region->size))
		return why_set(
		        state->why, -EINVAL,
		        "the firmware wants 0x%llx bytes at 0x%llx, where the guest has no memory",
		        (unsigned long long)region->size, (unsigned long long)region->gpa);
	for (uint64_t at = 0; at < region->size && !err;) {
		size_t size = cc_stage(state, region, at);
		struct cc_tdx_init_mem_region add = {.source_addr =
		                                             (uint64_t)(uintptr_t)state->stage,
		                                     .gpa = region->gpa + at,
		                                     .nr_pages = size / CONFIDENTIAL_PAGE};

		if (at == 0 && region->section == TDVF_TD_HOB && !flags)
			err = tdx_hob(state, region->gpa, state->stage, size);
		if (!err)
			err = tdx_command(state->guest, state->vcpus[0], CC_TDX_INIT_MEM_REGION,
			                  flags, (uint64_t)(uintptr_t)&add, state->why);
		at += size;
	}
	return err;
}

int cc_tdx_finish(struct cc_launch_state *state)
{
	return tdx_command(state->guest, state->guest->vm, CC_TDX_FINALIZE_VM, 0, 0, state->why);
}
