// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * igvm: files of the Independent Guest Virtual Machine format, version 1. A fixed header; then headers of
 * type, length and content, each at a multiple of 8 bytes, in three sections: platforms, initialization,
 * directives; then the data that they point to. A CRC-32 covers the fixed header and the headers.
 *
 * igvm_open() reads every header once and checks it with the same function that igvm_next() reads it with,
 * so who walks an opened file meets nothing that was not checked. What is not known is refused, unless its
 * type says that it may be left out.
 */
#include "base/base.h"
#include "confidential/confidential.h"

enum {
	IGVM_FIXED = 24,
	IGVM_CHECKSUM = 20,
	IGVM_VERSION = 1,
	IGVM_HEAD = 8,
	IGVM_RESERVED_FLAGS = ~(IGVM_PAGE_2M | IGVM_PAGE_UNMEASURED | IGVM_PAGE_SHARED),
	IGVM_PARAMETER_SIZE = 8,
};
#define IGVM_OPTIONAL (1u << 31)

/* Every type that is known: how long its content is, and where its mask is; 0: it has none. */
static const struct igvm_kind {
	enum igvm_type type;
	uint32_t size;
	uint32_t mask_at; /* plus one */
} igvm_kinds[] = {
        {IGVM_SUPPORTED_PLATFORM, 16, 1},
        {IGVM_GUEST_POLICY, 16, 8 + 1},
        {IGVM_RELOCATABLE_REGION, 48, 1},
        {IGVM_PAGE_TABLE_RELOCATION, 32, 1},
        {IGVM_PARAMETER_AREA, 16, 0},
        {IGVM_PAGE_DATA, 24, 8 + 1},
        {IGVM_PARAMETER_INSERT, 16, 8 + 1},
        {IGVM_VP_CONTEXT, 20, 8 + 1},
        {IGVM_REQUIRED_MEMORY, 24, 8 + 1},
        {IGVM_VP_COUNT, IGVM_PARAMETER_SIZE, 0},
        {IGVM_SRAT, IGVM_PARAMETER_SIZE, 0},
        {IGVM_MADT, IGVM_PARAMETER_SIZE, 0},
        {IGVM_MMIO_RANGES, IGVM_PARAMETER_SIZE, 0},
        {IGVM_SNP_ID_BLOCK, 696, 1},
        {IGVM_MEMORY_MAP, IGVM_PARAMETER_SIZE, 0},
        {IGVM_ERROR_RANGE, 16, 8 + 1},
        {IGVM_COMMAND_LINE, IGVM_PARAMETER_SIZE, 0},
        {IGVM_SLIT, IGVM_PARAMETER_SIZE, 0},
        {IGVM_PPTT, IGVM_PARAMETER_SIZE, 0},
        {IGVM_VBS_MEASUREMENT, 864, 1},
        {IGVM_DEVICE_TREE, IGVM_PARAMETER_SIZE, 0},
        {IGVM_ENVIRONMENT_INFO, IGVM_PARAMETER_SIZE, 0},
};

/* Of a type: its section, in the order that a file has them. */
static uint32_t igvm_section(uint32_t type)
{
	return type <= 0x100 ? 0 : type <= 0x200 ? 1 : 2;
}

/* CRC-32 of IEEE 802.3, a bit at a time: headers are small. */
static uint32_t igvm_crc(uint32_t crc, const uint8_t *at, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		crc ^= at[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return crc;
}

/* Data in the file; an offset of 0 stands for zeros. */
static int igvm_data(const struct igvm *igvm, struct igvm_header *header, uint32_t offset,
                     uint64_t size, char *why)
{
	if (offset == 0)
		return 0;
	if (offset < igvm->data || offset > igvm->size || size > igvm->size - offset)
		return why_set(why, -EINVAL,
		               "an IGVM header of type 0x%x has its data at 0x%x, 0x%llx bytes of "
		               "it, where 0x%zx to 0x%zx was expected",
		               header->type, offset, (unsigned long long)size, igvm->data,
		               igvm->size);
	header->data = igvm->bytes + offset;
	header->data_size = (size_t)size;
	return 0;
}

static int igvm_area(const struct igvm *igvm, uint32_t index, uint64_t *size, char *why)
{
	for (size_t i = 0; i < igvm->area_count; i++)
		if (igvm->areas[i].index == index) {
			*size = igvm->areas[i].size;
			return 0;
		}
	return why_set(why, -EINVAL,
	               "an IGVM header names parameter area %u, which there is none of", index);
}

static int igvm_page(const struct igvm *igvm, struct igvm_header *header, char *why)
{
	const uint8_t *at = header->content;

	header->gpa = base_le64(at);
	header->size = CONFIDENTIAL_PAGE;
	header->flags = base_le32(at + 16);
	header->page = base_le16(at + 20);
	if (header->flags & (uint32_t)IGVM_RESERVED_FLAGS || header->page > IGVM_PAGE_CPUID_XF ||
	    base_le16(at + 22) != 0)
		return why_set(why, -EINVAL,
		               "an IGVM page has flags 0x%x and type %u, which are not known",
		               header->flags, header->page);
	if (header->flags & IGVM_PAGE_2M)
		return why_set(why, -EINVAL, "an IGVM page of 2 MiB is not supported");
	return igvm_data(igvm, header, base_le32(at + 12), CONFIDENTIAL_PAGE, why);
}

/* What the types have beside their mask. */
static int igvm_content(const struct igvm *igvm, struct igvm_header *header, char *why)
{
	const uint8_t *at = header->content;
	uint64_t ignored;

	switch (header->type) {
	case IGVM_PAGE_DATA: return igvm_page(igvm, header, why);
	case IGVM_PARAMETER_AREA:
		header->size = base_le64(at);
		header->index = base_le32(at + 8);
		if (header->size == 0 || header->size % CONFIDENTIAL_PAGE ||
		    header->size > CONFIDENTIAL_LAUNCH_MAX)
			return why_set(why, -EINVAL,
			               "an IGVM parameter area is 0x%llx bytes long, which is not "
			               "whole pages, and at most 4 GiB",
			               (unsigned long long)header->size);
		return igvm_data(igvm, header, base_le32(at + 12), header->size, why);
	case IGVM_PARAMETER_INSERT:
		header->gpa = base_le64(at);
		header->index = base_le32(at + 12);
		return igvm_area(igvm, header->index, &header->size, why);
	case IGVM_VP_CONTEXT:
		header->gpa = base_le64(at);
		header->size = CONFIDENTIAL_PAGE;
		header->index = base_le16(at + 16);
		return igvm_data(igvm, header, base_le32(at + 12), CONFIDENTIAL_PAGE, why);
	case IGVM_REQUIRED_MEMORY:
	case IGVM_ERROR_RANGE:
		header->gpa = base_le64(at);
		header->size = base_le32(at + 12);
		return 0;
	case IGVM_RELOCATABLE_REGION:
		header->gpa = base_le64(at + 16);
		header->size = base_le64(at + 24);
		return 0;
	case IGVM_PAGE_TABLE_RELOCATION:
		header->gpa = base_le64(at + 8);
		header->size = base_le64(at + 16);
		return 0;
	default: break;
	}
	if (igvm_section(header->type) == 2 && header->content_size == IGVM_PARAMETER_SIZE) {
		header->index = base_le32(at);
		return igvm_area(igvm, header->index, &ignored, why);
	}
	return 0;
}

static const struct igvm_kind *igvm_kind(uint32_t type)
{
	for (size_t i = 0; i < BASE_COUNT(igvm_kinds); i++)
		if (igvm_kinds[i].type == type)
			return &igvm_kinds[i];
	return NULL;
}

static int igvm_known(const struct igvm *igvm, const struct igvm_kind *kind,
                      struct igvm_header *header, char *why)
{
	uint64_t end;
	int err;

	if (header->content_size != kind->size)
		return why_set(
		        why, -EINVAL,
		        "an IGVM header of type 0x%x is %u bytes long, where %u were expected",
		        header->type, header->content_size, kind->size);
	header->mask = kind->mask_at ? base_le32(header->content + kind->mask_at - 1) : ~0u;
	if (kind->mask_at && header->type != IGVM_SUPPORTED_PLATFORM &&
	    (header->mask == 0 || header->mask & ~igvm->mask))
		return why_set(why, -EINVAL,
		               "an IGVM header of type 0x%x is for platforms 0x%x, where some of "
		               "0x%x were expected",
		               header->type, header->mask, igvm->mask);
	err = igvm_content(igvm, header, why);
	if (err)
		return err;
	if (header->gpa % CONFIDENTIAL_PAGE ||
	    __builtin_add_overflow(header->gpa, header->size, &end))
		return why_set(why, -EINVAL,
		               "an IGVM header of type 0x%x is for 0x%llx, which is not the "
		               "address of a page",
		               header->type, (unsigned long long)header->gpa);
	return 0;
}

/* The header at *at, which moves behind it. 1: read, 0: one that may be left out; or an error. */
static int igvm_read(const struct igvm *igvm, size_t *at, struct igvm_header *header, char *why)
{
	const uint8_t *head = igvm->bytes + *at;
	size_t left = igvm->data - *at;
	const struct igvm_kind *kind;
	uint32_t type, length;
	int err;

	if (left < IGVM_HEAD)
		return why_set(why, -EINVAL, "the IGVM headers end within a header");
	type = base_le32(head);
	length = base_le32(head + 4);
	if (length > left - IGVM_HEAD)
		return why_set(why, -EINVAL,
		               "an IGVM header of type 0x%x is %u bytes long, where %zu at most "
		               "were expected",
		               type, length, left - IGVM_HEAD);
	*at += BASE_MIN(IGVM_HEAD + ((size_t)length + 7) / 8 * 8, left);
	kind = igvm_kind(type);
	if (!kind && type & IGVM_OPTIONAL)
		return 0;
	if (!kind)
		return why_set(why, -EINVAL, "an IGVM header has type 0x%x, which is not known",
		               type);
	*header = (struct igvm_header){
	        .type = kind->type, .content = head + IGVM_HEAD, .content_size = length};
	err = igvm_known(igvm, kind, header, why);
	return err ? err : 1;
}

static int igvm_add_platform(struct igvm *igvm, const struct igvm_header *header, char *why)
{
	struct igvm_platform platform = {.mask = header->mask,
	                                 .highest_vtl = header->content[4],
	                                 .type = header->content[5],
	                                 .version = base_le16(header->content + 6),
	                                 .shared_gpa_boundary = base_le64(header->content + 8)};

	if (__builtin_popcount(platform.mask) != 1 || platform.mask & igvm->mask)
		return why_set(
		        why, -EINVAL,
		        "an IGVM platform has mask 0x%x, where one bit that no other has was "
		        "expected",
		        platform.mask);
	if (platform.type > IGVM_SEV_ES || platform.version != 1)
		return why_set(why, -EINVAL,
		               "an IGVM platform has type %u, version %u, which is not known",
		               platform.type, platform.version);
	/* 32 bits, so never more than 32 platforms */
	igvm->platforms[igvm->platform_count++] = platform;
	igvm->mask |= platform.mask;
	return 0;
}

static int igvm_add_area(struct igvm *igvm, const struct igvm_header *header, char *why)
{
	uint64_t size;

	if (igvm_area(igvm, header->index, &size, why) == 0)
		return why_set(why, -EINVAL, "there are two IGVM parameter areas %u",
		               header->index);
	if (igvm->area_count == IGVM_AREAS_MAX)
		return why_set(why, -EINVAL, "there are more than %d IGVM parameter areas",
		               IGVM_AREAS_MAX);
	igvm->areas[igvm->area_count].index = header->index;
	igvm->areas[igvm->area_count++].size = header->size;
	return 0;
}

static int igvm_headers(struct igvm *igvm, char *why)
{
	uint32_t section = 0;
	size_t at = igvm->headers;
	int err = 0;

	while (at < igvm->data && err >= 0) {
		struct igvm_header header;

		err = igvm_read(igvm, &at, &header, why);
		if (err <= 0)
			continue;
		if (igvm_section(header.type) < section)
			return why_set(why, -EINVAL,
			               "an IGVM header of type 0x%x is behind those of a later "
			               "section",
			               header.type);
		section = igvm_section(header.type);
		if (header.type == IGVM_SUPPORTED_PLATFORM)
			err = igvm_add_platform(igvm, &header, why);
		if (header.type == IGVM_PARAMETER_AREA)
			err = igvm_add_area(igvm, &header, why);
	}
	if (err >= 0 && igvm->platform_count == 0)
		return why_set(why, -EINVAL, "the IGVM file is for no platform");
	return BASE_MIN(err, 0);
}

bool igvm_is(const void *bytes, size_t size)
{
	return size >= 4 && memcmp(bytes, "IGVM", 4) == 0;
}

int igvm_open(const void *bytes, size_t size, struct igvm *igvm, char *why)
{
	static const uint8_t no_checksum[4];
	const uint8_t *fixed = bytes;
	uint32_t start, length, crc;

	*igvm = (struct igvm){.bytes = bytes, .size = size};
	if (size < IGVM_FIXED || !igvm_is(bytes, size))
		return why_set(why, -EINVAL, "the file does not begin with IGVM");
	if (base_le32(fixed + 4) != IGVM_VERSION)
		return why_set(why, -EINVAL, "the IGVM file has version %u, where %d was expected",
		               base_le32(fixed + 4), IGVM_VERSION);
	start = base_le32(fixed + 8);
	length = base_le32(fixed + 12);
	if (base_le32(fixed + 16) != size)
		return why_set(why, -EINVAL,
		               "the IGVM file says that it is %u bytes long, and is %zu",
		               base_le32(fixed + 16), size);
	if (start < IGVM_FIXED || start % 8 || start > size || length > size - start)
		return why_set(why, -EINVAL,
		               "the IGVM headers are at 0x%x, 0x%x bytes of them, in a file of "
		               "0x%zx bytes",
		               start, length, size);
	igvm->headers = start;
	igvm->data = (size_t)start + length;
	crc = igvm_crc(~0u, fixed, IGVM_CHECKSUM);
	crc = igvm_crc(crc, no_checksum, sizeof(no_checksum));
	crc = ~igvm_crc(crc, fixed + start, length);
	if (crc != base_le32(fixed + IGVM_CHECKSUM))
		return why_set(why, -EINVAL,
		               "the IGVM file's checksum is 0x%08x, where 0x%08x was "
		               "expected",
		               base_le32(fixed + IGVM_CHECKSUM), crc);
	return igvm_headers(igvm, why);
}

bool igvm_next(const struct igvm *igvm, size_t *at, struct igvm_header *header)
{
	char why[WHY_MAX];

	*at = BASE_MAX(*at, igvm->headers);
	while (*at < igvm->data) {
		int err = igvm_read(igvm, at, header, why);

		if (err != 0)
			return err > 0;
	}
	return false;
}

const struct igvm_platform *igvm_platform(const struct igvm *igvm, enum igvm_platform_type type)
{
	for (size_t i = 0; i < igvm->platform_count; i++)
		if (igvm->platforms[i].type == type)
			return &igvm->platforms[i];
	return NULL;
}
