// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tdvf: the descriptor that tells what of an image goes where in a trust domain (TDVF section 11; td-shim's
 * "metadata"). The GUIDed table says how far before the end of the file it is; an image without the table
 * has its offset in the 4 bytes that start 32 bytes before the end.
 */
#include "base/base.h"
#include "confidential/confidential.h"

enum {
	TDVF_OFFSET_FROM_END = 32,
	TDVF_DESCRIPTOR = 16,
	TDVF_SECTION = 32,
	TDVF_VERSION = 1,
	TDVF_TYPE_TD_INFO = 7,
	TDVF_TYPES = 9,
};

static int tdvf_find(const struct ovmf *ovmf, size_t *at, char *why)
{
	uint32_t offset;

	if (ovmf->has_tdx) {
		if (ovmf->tdx_from_end > ovmf->size || ovmf->tdx_from_end < TDVF_DESCRIPTOR)
			return why_set(why, -EINVAL,
			               "the firmware's TDX metadata is %u bytes before its end, "
			               "where %d to %zu were expected",
			               ovmf->tdx_from_end, TDVF_DESCRIPTOR, ovmf->size);
		*at = ovmf->size - ovmf->tdx_from_end;
		return 0;
	}
	if (ovmf->size < TDVF_OFFSET_FROM_END + TDVF_DESCRIPTOR)
		return why_set(why, -EINVAL, "the firmware has no TDX metadata");
	offset = base_le32(ovmf->bytes + ovmf->size - TDVF_OFFSET_FROM_END);
	if (offset > ovmf->size - TDVF_DESCRIPTOR || memcmp(ovmf->bytes + offset, "TDVF", 4) != 0)
		return why_set(why, -EINVAL, "the firmware has no TDX metadata");
	*at = offset;
	return 0;
}

static int tdvf_section(const struct ovmf *ovmf, const uint8_t *at, uint32_t number,
                        struct tdvf_section *section, char *why)
{
	uint64_t end;

	*section = (struct tdvf_section){.data_offset = base_le32(at),
	                                 .data_size = base_le32(at + 4),
	                                 .gpa = base_le64(at + 8),
	                                 .size = base_le64(at + 16),
	                                 .type = base_le32(at + 24),
	                                 .attributes = base_le32(at + 28)};
	if (section->type >= TDVF_TYPES)
		return why_set(why, -EINVAL,
		               "TDVF section %u has type %u, where 0 to %d was expected", number,
		               section->type, TDVF_TYPES - 1);
	if (section->gpa % CONFIDENTIAL_PAGE || section->size % CONFIDENTIAL_PAGE ||
	    __builtin_add_overflow(section->gpa, section->size, &end))
		return why_set(why, -EINVAL,
		               "TDVF section %u is at 0x%llx and 0x%llx bytes long, which are no "
		               "whole pages",
		               number, (unsigned long long)section->gpa,
		               (unsigned long long)section->size);
	if (section->type != TDVF_TYPE_TD_INFO && (section->gpa || section->size) &&
	    section->size < section->data_size)
		return why_set(why, -EINVAL,
		               "TDVF section %u has %u bytes of data for 0x%llx bytes of memory",
		               number, section->data_size, (unsigned long long)section->size);
	if (section->data_offset > ovmf->size ||
	    section->data_size > ovmf->size - section->data_offset)
		return why_set(why, -EINVAL,
		               "TDVF section %u has its data at 0x%x, 0x%x bytes of it, which is "
		               "beyond the end of the file (0x%zx)",
		               number, section->data_offset, section->data_size, ovmf->size);
	return 0;
}

int tdvf_walk(const struct ovmf *ovmf, struct tdvf *tdvf, char *why)
{
	const uint8_t *descriptor;
	uint32_t length, count;
	size_t at = 0;
	int err;

	tdvf->section_count = 0;
	err = tdvf_find(ovmf, &at, why);
	if (err)
		return err;
	descriptor = ovmf->bytes + at;
	length = base_le32(descriptor + 4);
	count = base_le32(descriptor + 12);
	if (memcmp(descriptor, "TDVF", 4) != 0 || base_le32(descriptor + 8) != TDVF_VERSION)
		return why_set(why, -EINVAL,
		               "the firmware's TDX metadata does not begin with TDVF, version %d",
		               TDVF_VERSION);
	if (count == 0 || count > TDVF_SECTIONS_MAX)
		return why_set(why, -EINVAL,
		               "the firmware's TDX metadata has %u sections, where 1 to %d were "
		               "expected",
		               count, TDVF_SECTIONS_MAX);
	if (length != TDVF_DESCRIPTOR + count * TDVF_SECTION || length > ovmf->size - at)
		return why_set(why, -EINVAL,
		               "the firmware's TDX metadata is %u bytes long, which is not what "
		               "%u sections take",
		               length, count);
	for (uint32_t i = 0; i < count; i++) {
		err = tdvf_section(ovmf, descriptor + TDVF_DESCRIPTOR + i * TDVF_SECTION, i,
		                   &tdvf->sections[i], why);
		if (err)
			return err;
	}
	tdvf->section_count = count;
	return 0;
}
