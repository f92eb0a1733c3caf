// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flow_sev: SEV and SEV-ES. Guest memory is encrypted where it is, so what is launched is first written to it;
 * the VMSAs of all vCPUs come last, in one command.
 */
#include "base/base.h"
#include "confidential/flow_private.h"

enum {
	SEV_CHUNK = 1 << 30, /* LAUNCH_UPDATE_DATA's length has 32 bits */
	SEV_UNIT = 16,       /* what it takes at a time */
};

int cc_sev_command(const struct cc_guest *guest, uint32_t id, void *data, char *why)
{
	struct cc_sev_cmd command = {
	        .id = id, .data = (uint64_t)(uintptr_t)data, .sev_fd = (uint32_t)guest->sev};
	int err = cc_call(guest, guest->vm, CC_MEMORY_ENCRYPT_OP, &command);

	return err ? cc_complain_sev(id, err, command.error, why) : 0;
}

/* Before any vCPU. SEV_FEATURES of the policy are what the VMSAs are measured with; KVM adds the bit of SNP. */
int cc_sev_init(struct cc_guest *guest, char *why)
{
	const struct launch_input *input = guest->input;
	const bool snp = input->type == CONFIDENTIAL_SEV_SNP;
	struct cc_sev_init init = {.vmsa_features = snp ? input->features & ~1ull : 0};

	if (snp && !(input->features & 1))
		return why_set(why, -EINVAL,
		               "SEV_FEATURES 0x%llx lacks bit 0, which each SEV-SNP guest has",
		               (unsigned long long)input->features);
	if (input->vmm != CONFIDENTIAL_QEMU)
		return why_set(why, -EINVAL,
		               "KVM makes VMSAs as QEMU's are measured, not those of other VMMs");
	if (!snp && input->es_init)
		return cc_sev_command(
		        guest, input->type == CONFIDENTIAL_SEV ? CC_SEV_INIT : CC_SEV_ES_INIT, NULL,
		        why);
	return cc_sev_command(guest, CC_SEV_INIT2, &init, why);
}

int cc_sev_start(struct cc_launch_state *state)
{
	struct cc_sev_launch_start start = {
	        .policy = cc_sev_policy(state->guest->input->type, &state->guest->wishes)};

	return cc_sev_command(state->guest, CC_SEV_LAUNCH_START, &start, state->why);
}

static int sev_data(struct cc_launch_state *state, const struct launch_region *region)
{
	uint8_t *host = cc_memory_at(state->guest, region->gpa, region->size);
	int err = 0;

	if (!host)
		return why_set(
		        state->why, -EINVAL,
		        "the firmware wants 0x%llx bytes at 0x%llx, where the guest has no memory",
		        (unsigned long long)region->size, (unsigned long long)region->gpa);
	if ((uintptr_t)host % SEV_UNIT || region->size % SEV_UNIT)
		return why_set(
		        state->why, -EINVAL,
		        "the firmware wants 0x%llx bytes at 0x%llx, which are not multiples of %d",
		        (unsigned long long)region->size, (unsigned long long)region->gpa,
		        SEV_UNIT);
	if (region->filled > 0)
		memcpy(host, region->bytes, region->filled);
	memset(host + region->filled, 0, (size_t)region->size - region->filled);
	for (uint64_t at = 0; at < region->size && !err; at += SEV_CHUNK) {
		struct cc_sev_launch_update_data update = {
		        .uaddr = (uint64_t)(uintptr_t)(host + at),
		        .len = (uint32_t)BASE_MIN(region->size - at, (uint64_t)SEV_CHUNK)};

		err = cc_sev_command(state->guest, CC_SEV_LAUNCH_UPDATE_DATA, &update, state->why);
	}
	return err;
}

int cc_sev_region(void *data, const struct launch_region *region)
{
	struct cc_launch_state *state = data;

	if (region->kind != LAUNCH_VMSA)
		return sev_data(state, region);
	return cc_vcpu(state, region);
}

int cc_sev_finish(struct cc_launch_state *state)
{
	struct cc_guest *guest = state->guest;
	struct cc_sev_launch_measure measure = {.uaddr = (uint64_t)(uintptr_t)&guest->measurement,
	                                        .len = sizeof(guest->measurement)};
	int err = 0;

	if (guest->input->type == CONFIDENTIAL_SEV_ES)
		err = cc_sev_command(guest, CC_SEV_LAUNCH_UPDATE_VMSA, NULL, state->why);
	if (!err)
		err = cc_sev_command(guest, CC_SEV_LAUNCH_MEASURE, &measure, state->why);
	return err ? err : cc_sev_command(guest, CC_SEV_LAUNCH_FINISH, NULL, state->why);
}
