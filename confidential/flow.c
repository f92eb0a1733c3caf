// SPDX-License-Identifier: GPL-2.0-or-later
/* flow: what the launches of all types have in common: the VM, its memory, the walk. */
#include "confidential/flow.h"

#include "base/base.h"
#include "confidential/flow_private.h"

/* KVM_SET_USER_MEMORY_REGION's struct is the first 32 bytes of the later one's. */
#define FLOW_SET_USER_MEMORY_REGION 0x4020ae46u

static bool flow_has_memfd(enum confidential_type type)
{
	return type == CONFIDENTIAL_SEV_SNP || type == CONFIDENTIAL_TDX;
}

void cc_guest_init(struct cc_guest *guest, const struct cc_ops *ops, void *self, int kvm,
                   const struct launch_input *input)
{
	*guest = (struct cc_guest){
	        .ops = ops, .self = self, .kvm = kvm, .input = input, .vm = -1, .sev = -1};
}

void cc_guest_close(struct cc_guest *guest)
{
	for (size_t i = 0; i < guest->memory_count; i++)
		if (guest->memfds[i] >= 0)
			guest->ops->close(guest->self, guest->memfds[i]);
	guest->memory_count = 0;
	if (guest->vm >= 0)
		guest->ops->close(guest->self, guest->vm);
	if (guest->sev >= 0)
		guest->ops->close(guest->self, guest->sev);
	guest->vm = guest->sev = -1;
}

/* --- the VM --- */

static enum cc_vm_type flow_vm_type(const struct launch_input *input)
{
	static const enum cc_vm_type types[CONFIDENTIAL_TYPES] = {
	        [CONFIDENTIAL_SEV] = CC_X86_SEV_VM,
	        [CONFIDENTIAL_SEV_ES] = CC_X86_SEV_ES_VM,
	        [CONFIDENTIAL_SEV_SNP] = CC_X86_SNP_VM,
	        [CONFIDENTIAL_TDX] = CC_X86_TDX_VM,
	};

	return input->type <= CONFIDENTIAL_SEV_ES && input->es_init ? CC_X86_DEFAULT_VM
	                                                            : types[input->type];
}

static int flow_check_type(const struct cc_guest *guest, enum cc_vm_type type, char *why)
{
	int types =
	        cc_call(guest, guest->kvm, CC_CHECK_EXTENSION, (void *)(uintptr_t)CC_CAP_VM_TYPES);

	if (type == CC_X86_DEFAULT_VM || (types > 0 && types & 1 << type))
		return 0;
	return why_set(
	        why, -ENOTSUP,
	        "KVM on this host has no VMs of type %s (KVM_CAP_VM_TYPES is 0x%x, bit %d was "
	        "expected)",
	        confidential_type_name(guest->input->type), types > 0 ? types : 0, type);
}

int cc_vm_create(struct cc_guest *guest, char *why)
{
	const enum cc_vm_type type = flow_vm_type(guest->input);
	int err = flow_check_type(guest, type, why);

	if (err)
		return err;
	guest->vm = cc_call(guest, guest->kvm, CC_CREATE_VM, (void *)(uintptr_t)type);
	if (guest->vm < 0)
		return why_set(why, guest->vm, "KVM cannot make a VM of type %s: %s",
		               confidential_type_name(guest->input->type), strerror(-guest->vm));
	if (guest->input->type == CONFIDENTIAL_TDX)
		return cc_tdx_init(guest, why);
	guest->sev = guest->ops->open(guest->self, "/dev/sev");
	if (guest->sev < 0)
		return why_set(why, guest->sev,
		               "cannot open /dev/sev, the AMD firmware's device: %s",
		               strerror(-guest->sev));
	return cc_sev_init(guest, why);
}

/* --- memory --- */

/* Private pages are in a file that nobody can map; which of the two halves counts is an attribute. */
static int flow_memfd(struct cc_guest *guest, const struct cc_memory *memory,
                      struct cc_memory_region2 *region, char *why)
{
	struct cc_create_guest_memfd file = {.size = memory->size};
	int fd;

	region->flags = CC_MEM_GUEST_MEMFD;
	if (memory->has_memfd) {
		region->guest_memfd = (uint32_t)memory->memfd;
		region->guest_memfd_offset = memory->offset;
		return 0;
	}
	fd = cc_call(guest, guest->vm, CC_CREATE_GUEST_MEMFD, &file);
	if (fd < 0)
		return why_set(why, fd,
		               "KVM gives no private memory (guest_memfd) of 0x%llx bytes: %s",
		               (unsigned long long)memory->size, strerror(-fd));
	guest->memfds[guest->memory_count] = fd;
	region->guest_memfd = (uint32_t)fd;
	return 0;
}

static int flow_private(const struct cc_guest *guest, uint64_t gpa, uint64_t size, bool private,
                        char *why)
{
	struct cc_memory_attributes attributes = {
	        .address = gpa,
	        .size = size,
	        .attributes = private ? CC_MEMORY_ATTRIBUTE_PRIVATE : 0};
	int err = cc_call(guest, guest->vm, CC_SET_MEMORY_ATTRIBUTES, &attributes);

	return err ? why_set(why, err, "KVM does not make the memory at 0x%llx %s: %s",
	                     (unsigned long long)gpa, private ? "private" : "shared",
	                     strerror(-err))
	           : 0;
}

static int flow_pin(const struct cc_guest *guest, const struct cc_memory *memory, char *why)
{
	struct cc_enc_region pin = {.addr = (uint64_t)(uintptr_t)memory->host,
	                            .size = memory->size};
	int err = cc_call(guest, guest->vm, CC_MEMORY_ENCRYPT_REG_REGION, &pin);

	return err ? why_set(why, err,
	                     "KVM does not pin the memory at 0x%llx: %s (how much may be locked is "
	                     "RLIMIT_MEMLOCK)",
	                     (unsigned long long)memory->gpa, strerror(-err))
	           : 0;
}

int cc_memory_add(struct cc_guest *guest, const struct cc_memory *memory, char *why)
{
	const bool memfd = flow_has_memfd(guest->input->type);
	struct cc_memory_region2 region = {.slot = (uint32_t)guest->memory_count,
	                                   .guest_phys_addr = memory->gpa,
	                                   .memory_size = memory->size,
	                                   .userspace_addr = (uint64_t)(uintptr_t)memory->host};
	uint64_t end;
	int err = 0;

	if (guest->memory_count == CC_MEMORY_MAX || memory->size == 0 ||
	    (memory->gpa | memory->size | (uintptr_t)memory->host) % CONFIDENTIAL_PAGE ||
	    __builtin_add_overflow(memory->gpa, memory->size, &end))
		return why_set(
		        why, -EINVAL,
		        "memory at 0x%llx, 0x%llx bytes: not whole pages, or too many ranges",
		        (unsigned long long)memory->gpa, (unsigned long long)memory->size);
	guest->memfds[guest->memory_count] = -1;
	if (memfd)
		err = flow_memfd(guest, memory, &region, why);
	if (err)
		return err;
	guest->memory[guest->memory_count++] = *memory;
	err = cc_call(guest, guest->vm,
	              memfd ? CC_SET_USER_MEMORY_REGION2 : FLOW_SET_USER_MEMORY_REGION, &region);
	if (err)
		return why_set(why, err, "KVM refuses guest memory at 0x%llx: %s",
		               (unsigned long long)memory->gpa, strerror(-err));
	return memfd ? flow_private(guest, memory->gpa, memory->size, true, why)
	             : flow_pin(guest, memory, why);
}

uint8_t *cc_memory_at(const struct cc_guest *guest, uint64_t gpa, uint64_t size)
{
	for (size_t i = 0; i < guest->memory_count; i++) {
		const struct cc_memory *memory = &guest->memory[i];

		if (gpa >= memory->gpa && gpa - memory->gpa < memory->size &&
		    size <= memory->size - (gpa - memory->gpa))
			return memory->host + (gpa - memory->gpa);
	}
	return NULL;
}

size_t cc_stage(struct cc_launch_state *state, const struct launch_region *region, uint64_t at)
{
	const size_t size = (size_t)BASE_MIN(region->size - at, (uint64_t)CC_STAGE);
	const size_t have = at < region->filled ? BASE_MIN(region->filled - (size_t)at, size) : 0;

	memset(state->stage, 0, size);
	if (have > 0)
		memcpy(state->stage, region->bytes + at, have);
	return size;
}

/* A page that the guest shares from its start: where devices see it, too. */
static int flow_share(struct cc_launch_state *state, const struct launch_region *region)
{
	const struct cc_guest *guest = state->guest;
	uint8_t *host = cc_memory_at(guest, region->gpa, region->size);
	int err = 0;

	if (!host)
		return why_set(
		        state->why, -EINVAL,
		        "the firmware wants 0x%llx bytes at 0x%llx, where the guest has no memory",
		        (unsigned long long)region->size, (unsigned long long)region->gpa);
	if (flow_has_memfd(guest->input->type))
		err = flow_private(guest, region->gpa, region->size, false, state->why);
	if (err)
		return err;
	if (guest->shares)
		guest->shares(guest->shares_data, region->gpa, region->size);
	if (region->filled > 0)
		memcpy(host, region->bytes, region->filled);
	memset(host + region->filled, 0, (size_t)region->size - region->filled);
	return 0;
}

/* --- vCPUs --- */

/* Where KVM has every VMSA in the table of pages. */
#define FLOW_VMSA_GPA 0xfffffffff000ull

int cc_vcpu(struct cc_launch_state *state, const struct launch_region *region)
{
	const struct launch_input *input = state->guest->input;

	if (state->next_vcpu >= input->vcpus || (input->igvm && region->vcpu != state->next_vcpu))
		return why_set(
		        state->why, -EINVAL,
		        "the IGVM file has registers for processor %u, where the guest has %u "
		        "processors and %u was expected next",
		        region->vcpu, input->vcpus, state->next_vcpu);
	if (input->igvm && input->type == CONFIDENTIAL_SEV_SNP && region->gpa != FLOW_VMSA_GPA)
		return why_set(
		        state->why, -ENOTSUP,
		        "KVM measures vCPUs at 0x%llx, not at 0x%llx as the IGVM file has it",
		        (unsigned long long)FLOW_VMSA_GPA, (unsigned long long)region->gpa);
	return cc_registers(state->guest, state->vcpus[state->next_vcpu++], region->bytes,
	                    state->why);
}

static int flow_vcpus_done(const struct cc_launch_state *state)
{
	const struct launch_input *input = state->guest->input;
	/* of a SEV guest the others start as any processor does: they are not measured */
	const uint32_t needed = input->type == CONFIDENTIAL_SEV ? 1 : input->vcpus;

	if (!input->igvm || state->next_vcpu >= needed)
		return 0;
	return why_set(state->why, -EINVAL,
	               "the IGVM file has registers for %u processors, and the guest has %u: KVM "
	               "measures them all",
	               state->next_vcpu, input->vcpus);
}

/* What is measured after a vCPU in the file would be measured before it by KVM. */
static int flow_in_order(const struct cc_launch_state *state, const struct launch_region *region)
{
	const enum confidential_type type = state->guest->input->type;

	if (state->next_vcpu == 0 || region->kind == LAUNCH_VMSA || region->kind == LAUNCH_SHARED ||
	    type == CONFIDENTIAL_SEV || type == CONFIDENTIAL_TDX)
		return 0;
	return why_set(state->why, -ENOTSUP,
	               "the IGVM file has a page at 0x%llx behind the registers of a processor: "
	               "KVM measures processors last",
	               (unsigned long long)region->gpa);
}

/* --- the launch --- */

static int flow_region(void *data, const struct launch_region *region)
{
	struct cc_launch_state *state = data;
	static launch_region_fn *const flows[CONFIDENTIAL_TYPES] = {
	        [CONFIDENTIAL_SEV] = cc_sev_region,
	        [CONFIDENTIAL_SEV_ES] = cc_sev_region,
	        [CONFIDENTIAL_SEV_SNP] = cc_snp_region,
	        [CONFIDENTIAL_TDX] = cc_tdx_region,
	};
	int err = flow_in_order(state, region);

	if (err)
		return err;
	if (region->kind == LAUNCH_SHARED)
		return flow_share(state, region);
	return flows[state->guest->input->type](data, region);
}

int cc_launch(struct cc_guest *guest, const int *vcpus, char *why)
{
	BASE_AUTO_FREE uint8_t *stage = aligned_alloc(CONFIDENTIAL_PAGE, CC_STAGE);
	struct cc_launch_state state = {.guest = guest, .vcpus = vcpus, .stage = stage, .why = why};
	const enum confidential_type type = guest->input->type;
	static const struct {
		int (*start)(struct cc_launch_state *state);
		int (*finish)(struct cc_launch_state *state);
	} flows[CONFIDENTIAL_TYPES] = {
	        [CONFIDENTIAL_SEV] = {cc_sev_start, cc_sev_finish},
	        [CONFIDENTIAL_SEV_ES] = {cc_sev_start, cc_sev_finish},
	        [CONFIDENTIAL_SEV_SNP] = {cc_snp_start, cc_snp_finish},
	        [CONFIDENTIAL_TDX] = {cc_tdx_start, cc_tdx_finish},
	};
	int err;

	if (!stage)
		return why_set(why, -ENOMEM, "no memory for a launch");
	err = flows[type].start(&state);
	if (!err)
		err = launch_walk(guest->input, flow_region, &state, why);
	if (!err && type != CONFIDENTIAL_TDX)
		err = flow_vcpus_done(&state);
	return err ? err : flows[type].finish(&state);
}
