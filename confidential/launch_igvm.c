// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * launch_igvm: an IGVM file to the regions of a launch, in its own order: of one of its platforms, the pages, the
 * parameters that the host fills, and the registers of its processors.
 *
 * What is not measured: on SEV-SNP, pages of that kind, which are added as such; on TDX, pages that are added and not
 * extended; SEV and SEV-ES have no such pages, so these stay as the host wrote them, without encryption, and so do,
 * on each platform, those that the file calls shared.
 */
#include "base/base.h"
#include "confidential/launch_private.h"

static enum launch_kind launch_igvm_kind(const struct igvm_header *header)
{
	if (header->type == IGVM_PARAMETER_INSERT)
		return LAUNCH_UNMEASURED;
	if (header->type == IGVM_VP_CONTEXT)
		return LAUNCH_VMSA;
	if (header->flags & IGVM_PAGE_SHARED)
		return LAUNCH_SHARED;
	if (header->page == IGVM_PAGE_SECRETS)
		return LAUNCH_SECRETS;
	if (header->page != IGVM_PAGE_NORMAL)
		return LAUNCH_CPUID;
	return header->flags & IGVM_PAGE_UNMEASURED ? LAUNCH_UNMEASURED : LAUNCH_DATA;
}

/* What is not measured of SEV is not encrypted either: the firmware does both, or neither. */
static int launch_igvm_sev(struct launch *launch, struct launch_region *region)
{
	if (region->kind == LAUNCH_SECRETS || region->kind == LAUNCH_CPUID)
		return why_set(launch->why, -EINVAL,
		               "the IGVM file has a page for secrets or CPUID at 0x%llx, which %s "
		               "has not",
		               (unsigned long long)region->gpa,
		               confidential_type_name(launch->input->type));
	if (region->kind == LAUNCH_UNMEASURED)
		region->kind = LAUNCH_SHARED;
	return 0;
}

/* Without encryption a page is a page. */
static int launch_igvm_native(struct launch *launch, struct launch_region *region)
{
	if (region->kind == LAUNCH_SECRETS || region->kind == LAUNCH_CPUID)
		return why_set(launch->why, -EINVAL,
		               "the IGVM file has a page for secrets or CPUID at 0x%llx, on its "
		               "platform without encryption",
		               (unsigned long long)region->gpa);
	if (region->kind != LAUNCH_VMSA)
		region->kind = LAUNCH_DATA;
	return 0;
}

static int launch_igvm_header(struct launch *launch, const struct igvm_areas *areas,
                              const struct igvm_header *header, bool native)
{
	const enum confidential_type type = launch->input->type;
	const bool tdx = type == CONFIDENTIAL_TDX && !native;
	const struct igvm_area *area = NULL;
	struct launch_region region = {.kind = launch_igvm_kind(header),
	                               .gpa = header->gpa,
	                               .size = header->size,
	                               .bytes = header->data,
	                               .filled = header->data_size,
	                               .vcpu = header->index};
	int err = 0;

	if (header->type == IGVM_VP_CONTEXT && !header->data)
		return why_set(launch->why, -EINVAL,
		               "the IGVM file has no registers for processor %u", header->index);
	if (header->type == IGVM_PARAMETER_INSERT)
		area = igvm_areas_find(areas, header->index);
	if (area) {
		region.bytes = area->bytes;
		region.filled = (size_t)area->size;
	}
	if (native)
		err = launch_igvm_native(launch, &region);
	else if (type == CONFIDENTIAL_SEV || type == CONFIDENTIAL_SEV_ES)
		err = launch_igvm_sev(launch, &region);
	if (err || (tdx && header->type == IGVM_VP_CONTEXT))
		return err; /* the module has registers of its own for each processor */
	if (tdx && region.kind != LAUNCH_SHARED) {
		if (header->type == IGVM_PAGE_DATA && !(header->flags & IGVM_PAGE_UNMEASURED))
			region.attributes = TDVF_EXTEND;
		region.kind = LAUNCH_TDX;
	}
	return launch_emit(launch, &region);
}

static int launch_igvm_platform(struct launch *launch, const struct igvm *igvm, bool native,
                                const struct igvm_platform **platform)
{
	static const enum igvm_platform_type platforms[CONFIDENTIAL_TYPES] = {
	        [CONFIDENTIAL_SEV] = IGVM_SEV,
	        [CONFIDENTIAL_SEV_ES] = IGVM_SEV_ES,
	        [CONFIDENTIAL_SEV_SNP] = IGVM_SEV_SNP,
	        [CONFIDENTIAL_TDX] = IGVM_TDX,
	};
	const enum confidential_type type = launch->input->type;

	*platform = igvm_platform(igvm, native ? IGVM_NATIVE : platforms[type]);
	if (!*platform)
		return why_set(launch->why, -EINVAL, "the IGVM file is not for %s",
		               native ? "guests without encryption" : confidential_type_name(type));
	if (launch->input->kernel)
		return why_set(launch->why, -EINVAL, "an IGVM file has its own kernel");
	return 0;
}

int launch_igvm(struct launch *launch, bool native)
{
	BASE_AUTO_FREE struct igvm *igvm = calloc(1, sizeof(*igvm));
	BASE_CLEANUP(igvm_areas_free) struct igvm_areas *areas = calloc(1, sizeof(*areas));
	const struct igvm_platform *platform;
	struct igvm_header header;
	size_t at = 0;
	int err = igvm && areas
	                  ? igvm_open(launch->input->bytes, launch->input->size, igvm, launch->why)
	                  : why_set(launch->why, -ENOMEM, "no memory");

	if (!err)
		err = launch_igvm_platform(launch, igvm, native, &platform);
	while (!err && igvm_next(igvm, &at, &header)) {
		if (!(header.mask & platform->mask))
			continue;
		if (header.type == IGVM_PAGE_DATA || header.type == IGVM_PARAMETER_INSERT ||
		    header.type == IGVM_VP_CONTEXT)
			err = launch_igvm_header(launch, areas, &header, native);
		else if (launch->input->host && header.type == IGVM_PARAMETER_AREA)
			err = igvm_areas_add(areas, &header, launch->why);
		else if (launch->input->host && igvm_is_parameter(header.type))
			err = igvm_areas_fill(areas, &header, launch->input, launch->why);
	}
	return err;
}
