// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * launch: from firmware to the regions of a launch, in order.
 *
 *   SEV, SEV-ES   the whole image, the table of kernel hashes, and (SEV-ES) a VMSA for each processor
 *   SEV-SNP       the whole image; each section of its metadata, in its order; the VMSAs
 *   TDX           the sections of its TDVF descriptor; kernels are measured later, by the firmware
 *   IGVM          what its directives say (launch_igvm.c)
 *
 * An image ends at 4 GiB. Each VMM's own order is kept: EC2 gives the CPUID page last, GCE does not measure
 * the sections of memory that firmware clears for itself.
 */
#include "base/base.h"
#include "confidential/launch_private.h"

int launch_emit(struct launch *launch, const struct launch_region *region)
{
	launch->total += region->size;
	if (region->size > CONFIDENTIAL_LAUNCH_MAX || launch->total > CONFIDENTIAL_LAUNCH_MAX)
		return why_set(launch->why, -EINVAL,
		               "the firmware asks for more than 4 GiB to be measured");
	return launch->emit(launch->data, region);
}

static int launch_whole_image(struct launch *launch)
{
	const struct launch_input *input = launch->input;
	const struct launch_region region = {.kind = LAUNCH_DATA,
	                                     .gpa = (4ull << 30) - input->size,
	                                     .size = input->size,
	                                     .bytes = input->bytes,
	                                     .filled = input->size};

	return launch_emit(launch, &region);
}

static int launch_vmsas(struct launch *launch, const struct ovmf *ovmf)
{
	uint8_t page[CONFIDENTIAL_PAGE];
	const struct launch_region region = {
	        .kind = LAUNCH_VMSA, .size = sizeof(page), .bytes = page, .filled = sizeof(page)};
	int err = 0;

	if (!ovmf->has_reset || (ovmf->reset_eip == 0 && launch->input->vcpus > 1))
		return why_set(launch->why, -EINVAL,
		               "the firmware has no SEV-ES reset block, which says where "
		               "processors start");
	for (uint32_t i = 0; i < launch->input->vcpus && !err; i++) {
		if (i < 2)
			vmsa_fill(launch->input, i == 0 ? LAUNCH_RESET_EIP : ovmf->reset_eip, page);
		err = launch_emit(launch, &region);
	}
	return err;
}

/* Whether the host may load a kernel: only where the firmware has room for its hashes. */
static int launch_check_hashes(struct launch *launch, const struct ovmf *ovmf)
{
	if (!ovmf->has_hashes)
		return why_set(launch->why, -EINVAL,
		               "the firmware has no table of kernel hashes, so it cannot check a "
		               "kernel: it takes none");
	if (ovmf->hashes_size < CONFIDENTIAL_HASHES_SIZE)
		return why_set(launch->why, -EINVAL,
		               "the firmware's table of kernel hashes has room for %u bytes, where "
		               "%d are needed",
		               ovmf->hashes_size, CONFIDENTIAL_HASHES_SIZE);
	return 0;
}

static int launch_sev(struct launch *launch, const struct ovmf *ovmf)
{
	const struct launch_input *input = launch->input;
	int err = input->kernel ? launch_check_hashes(launch, ovmf) : 0;

	if (!err)
		err = launch_whole_image(launch);
	if (!err && input->kernel) {
		uint8_t table[CONFIDENTIAL_HASHES_SIZE];
		const struct launch_region region = {.kind = LAUNCH_DATA,
		                                     .gpa = ovmf->hashes_gpa,
		                                     .size = sizeof(table),
		                                     .bytes = table,
		                                     .filled = sizeof(table)};

		confidential_hashes_table(input->kernel, table);
		err = launch_emit(launch, &region);
	}
	return err || input->type == CONFIDENTIAL_SEV ? err : launch_vmsas(launch, ovmf);
}

/* The page with the table of hashes, or zeros where there is no kernel. */
static int launch_snp_hashes(struct launch *launch, const struct ovmf *ovmf,
                             const struct ovmf_section *section)
{
	const uint32_t offset = ovmf->hashes_gpa % CONFIDENTIAL_PAGE;
	uint8_t page[CONFIDENTIAL_PAGE] = {0};
	struct launch_region region = {
	        .kind = LAUNCH_ZERO, .gpa = section->gpa, .size = section->size};

	if (!launch->input->kernel)
		return launch_emit(launch, &region);
	if (section->size != sizeof(page) || offset > sizeof(page) - CONFIDENTIAL_HASHES_SIZE)
		return why_set(launch->why, -EINVAL,
		               "the firmware's section for kernel hashes is 0x%x bytes long, and "
		               "the table at 0x%x of it: one page was expected",
		               section->size, offset);
	confidential_hashes_table(launch->input->kernel, page + offset);
	region.kind = LAUNCH_DATA;
	region.bytes = page;
	region.filled = sizeof(page);
	return launch_emit(launch, &region);
}

static int launch_snp_section(struct launch *launch, const struct ovmf *ovmf,
                              const struct ovmf_section *section)
{
	struct launch_region region = {
	        .kind = LAUNCH_ZERO, .gpa = section->gpa, .size = section->size};

	if (section->gpa % CONFIDENTIAL_PAGE || section->size % CONFIDENTIAL_PAGE)
		return why_set(
		        launch->why, -EINVAL,
		        "the firmware's section at 0x%x, 0x%x bytes long, is not whole pages",
		        section->gpa, section->size);
	switch (section->type) {
	case OVMF_SNP_SEC_MEM:
		if (launch->input->vmm == CONFIDENTIAL_GCE)
			region.kind = LAUNCH_UNMEASURED;
		break;
	case OVMF_SVSM_CAA: break;
	case OVMF_SNP_SECRETS:
		region.kind = LAUNCH_SECRETS;
		region.size = CONFIDENTIAL_PAGE;
		break;
	case OVMF_CPUID:
		region.kind = LAUNCH_CPUID;
		region.size = CONFIDENTIAL_PAGE;
		break;
	case OVMF_KERNEL_HASHES: return launch_snp_hashes(launch, ovmf, section);
	default:
		return why_set(launch->why, -EINVAL,
		               "the firmware has a section of type %u, which is not known",
		               section->type);
	}
	return launch_emit(launch, &region);
}

static int launch_snp(struct launch *launch, const struct ovmf *ovmf)
{
	const bool last = launch->input->vmm == CONFIDENTIAL_EC2;
	bool hashes = false;
	int err;

	for (size_t i = 0; i < ovmf->section_count; i++)
		hashes = hashes || ovmf->sections[i].type == OVMF_KERNEL_HASHES;
	err = launch->input->kernel ? launch_check_hashes(launch, ovmf) : 0;
	if (!err && launch->input->kernel && !hashes)
		return why_set(launch->why, -EINVAL,
		               "the firmware's metadata has no section for kernel hashes: it takes "
		               "no kernel");
	if (!err && launch->input->size % CONFIDENTIAL_PAGE)
		return why_set(launch->why, -EINVAL,
		               "the firmware is %zu bytes long, which is not whole pages",
		               launch->input->size);
	if (!err)
		err = launch_whole_image(launch);
	for (int round = 0; round <= last && !err; round++)
		for (size_t i = 0; i < ovmf->section_count && !err; i++) {
			bool cpuid = ovmf->sections[i].type == OVMF_CPUID;

			if (last ? cpuid == (round == 1) : true)
				err = launch_snp_section(launch, ovmf, &ovmf->sections[i]);
		}
	return err ? err : launch_vmsas(launch, ovmf);
}

static int launch_tdx(struct launch *launch, const struct ovmf *ovmf)
{
	BASE_AUTO_FREE struct tdvf *tdvf = calloc(1, sizeof(*tdvf));
	int err = tdvf ? tdvf_walk(ovmf, tdvf, launch->why)
	               : why_set(launch->why, -ENOMEM, "no memory");

	if (!err && launch->input->kernel)
		err = why_set(launch->why, -EINVAL,
		              "TDX does not measure a kernel in MRTD: the firmware does, in RTMR1 "
		              "and RTMR2");
	for (size_t i = 0; !err && i < tdvf->section_count; i++) {
		const struct tdvf_section *section = &tdvf->sections[i];
		const struct launch_region region = {
		        .kind = LAUNCH_TDX,
		        .gpa = section->gpa,
		        .size = section->size,
		        .bytes = ovmf->bytes + section->data_offset,
		        .filled = (size_t)BASE_MIN(section->data_size, section->size),
		        .attributes = section->attributes,
		        .section = section->type};

		/* pages that the guest takes later, and nobody measures */
		if ((section->attributes & (TDVF_EXTEND | TDVF_PAGE_AUG)) != TDVF_PAGE_AUG)
			err = launch_emit(launch, &region);
	}
	return err;
}

int launch_walk(const struct launch_input *input, launch_region_fn *emit, void *data, char *why)
{
	struct launch launch = {.input = input, .emit = emit, .data = data, .why = why};
	BASE_AUTO_FREE struct ovmf *ovmf = NULL;
	int err;

	if (input->igvm)
		return launch_igvm(&launch, false);
	if (input->size == 0 || input->size >= 4ull << 30)
		return why_set(why, -EINVAL, "the firmware is %zu bytes long", input->size);
	if (input->type != CONFIDENTIAL_SEV && input->type != CONFIDENTIAL_TDX &&
	    (input->vcpus == 0 || input->vcpus > CONFIDENTIAL_VCPUS_MAX))
		return why_set(why, -EINVAL, "%u processors are not 1 to %d", input->vcpus,
		               CONFIDENTIAL_VCPUS_MAX);
	ovmf = calloc(1, sizeof(*ovmf));
	err = ovmf ? ovmf_walk(input->bytes, input->size, ovmf, why)
	           : why_set(why, -ENOMEM, "no memory");
	if (err)
		return err;
	switch (input->type) {
	case CONFIDENTIAL_SEV_SNP: return launch_snp(&launch, ovmf);
	case CONFIDENTIAL_TDX: return launch_tdx(&launch, ovmf);
	default: return launch_sev(&launch, ovmf);
	}
}

int launch_walk_native(const struct launch_input *input, launch_region_fn *emit, void *data,
                       char *why)
{
	struct launch launch = {.input = input, .emit = emit, .data = data, .why = why};

	return launch_igvm(&launch, true);
}
