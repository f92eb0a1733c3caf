// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ovmf: the table of GUIDed entries at the end of an OVMF image, and the SEV metadata that it points to.
 *
 * The table is read backwards. It ends 32 bytes before the end of the file (the reset vector's code is
 * there). Each entry is its data, then its length in 16 bits (data, length and GUID together), then its
 * GUID. The last one is the footer, whose length is that of the whole table. (OvmfPkg/ResetVector/Ia16/
 * ResetVectorVtf0.asm and X64/OvmfSevMetadata.asm lay them out.)
 *
 * An entry of ours that is there twice is refused: two readers could take different ones.
 */
#include "base/base.h"
#include "confidential/confidential.h"
#include "confidential/guid.h"

enum {
	OVMF_RESET_VECTOR = 32,
	OVMF_ENTRY = 2 + GUID_SIZE,
	OVMF_METADATA_HEADER = 16,
	OVMF_METADATA_VERSION = 1,
	OVMF_METADATA_SECTION = 12,
};

static const uint8_t guid_footer[GUID_SIZE] =
        GUID(0x96b582deu, 0x1fb2, 0x45f7, 0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d);
static const uint8_t guid_hashes[GUID_SIZE] =
        GUID(0x7255371fu, 0x3a3b, 0x4b04, 0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54);
static const uint8_t guid_reset[GUID_SIZE] =
        GUID(0x00f771deu, 0x1a7e, 0x4fcb, 0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e);
static const uint8_t guid_sev[GUID_SIZE] =
        GUID(0xdc886566u, 0x984a, 0x4798, 0xa7, 0x5e, 0x55, 0x85, 0xa7, 0xbf, 0x67, 0xcc);
static const uint8_t guid_tdx[GUID_SIZE] =
        GUID(0xe47a6535u, 0x984a, 0x4798, 0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2);

struct ovmf_entries {
	struct {
		const uint8_t *data; /* NULL: there is none */
		size_t size;
	} hashes, reset, sev, tdx;
};

#define OVMF_WANTED(entries, name)                                               \
	{                                                                        \
		guid_##name, &(entries)->name.data, &(entries)->name.size, #name \
	}

/* Keeps an entry whose GUID is one of ours. */
static int ovmf_entry(struct ovmf_entries *entries, const uint8_t *guid, const uint8_t *data,
                      size_t size, char *why)
{
	const struct {
		const uint8_t *guid;
		const uint8_t **data;
		size_t *size;
		const char *name;
	} wanted[] = {OVMF_WANTED(entries, hashes), OVMF_WANTED(entries, reset),
	              OVMF_WANTED(entries, sev), OVMF_WANTED(entries, tdx)};

	for (size_t i = 0; i < BASE_COUNT(wanted); i++) {
		if (memcmp(guid, wanted[i].guid, GUID_SIZE) != 0)
			continue;
		if (*wanted[i].data)
			return why_set(why, -EINVAL, "the firmware's table has two '%s' entries",
			               wanted[i].name);
		if (size < 4)
			return why_set(why, -EINVAL,
			               "the firmware's '%s' entry has %zu bytes of data, where 4 "
			               "or more were expected",
			               wanted[i].name, size);
		*wanted[i].data = data;
		*wanted[i].size = size;
	}
	return 0;
}

/* The entries before the footer, the last first. */
static int ovmf_table(const uint8_t *table, size_t left, struct ovmf_entries *entries, char *why)
{
	while (left >= OVMF_ENTRY) {
		const uint8_t *end = table + left;
		size_t length = base_le16(end - OVMF_ENTRY);
		int err;

		if (length < OVMF_ENTRY || length > left)
			return why_set(why, -EINVAL,
			               "an entry of the firmware's table is %zu bytes long, where "
			               "%d to %zu were expected",
			               length, OVMF_ENTRY, left);
		err = ovmf_entry(entries, end - GUID_SIZE, end - length, length - OVMF_ENTRY, why);
		if (err)
			return err;
		left -= length;
	}
	return 0;
}

static int ovmf_metadata(struct ovmf *ovmf, uint32_t from_end, char *why)
{
	const uint8_t *header = ovmf->bytes + (ovmf->size - BASE_MIN(from_end, ovmf->size));
	uint32_t count, length;

	if (from_end > ovmf->size || from_end < OVMF_METADATA_HEADER)
		return why_set(why, -EINVAL,
		               "the firmware's SEV metadata is %u bytes before its end, where %d "
		               "to %zu were expected",
		               from_end, OVMF_METADATA_HEADER, ovmf->size);
	if (memcmp(header, "ASEV", 4) != 0)
		return why_set(why, -EINVAL,
		               "the firmware's SEV metadata does not begin with ASEV");
	length = base_le32(header + 4);
	count = base_le32(header + 12);
	if (base_le32(header + 8) != OVMF_METADATA_VERSION)
		return why_set(why, -EINVAL,
		               "the firmware's SEV metadata has version %u, where %d was expected",
		               base_le32(header + 8), OVMF_METADATA_VERSION);
	if (count > OVMF_SECTIONS_MAX)
		return why_set(why, -EINVAL,
		               "the firmware's SEV metadata has %u sections, where %d at most were "
		               "expected",
		               count, OVMF_SECTIONS_MAX);
	if (length > from_end || length < OVMF_METADATA_HEADER + count * OVMF_METADATA_SECTION)
		return why_set(why, -EINVAL,
		               "the firmware's SEV metadata is %u bytes long, which does not hold "
		               "its %u sections",
		               length, count);
	for (uint32_t i = 0; i < count; i++) {
		const uint8_t *at = header + OVMF_METADATA_HEADER + i * OVMF_METADATA_SECTION;

		ovmf->sections[i] =
		        (struct ovmf_section){base_le32(at), base_le32(at + 4), base_le32(at + 8)};
	}
	ovmf->section_count = count;
	return 0;
}

int ovmf_walk(const void *bytes, size_t size, struct ovmf *ovmf, char *why)
{
	const uint8_t *start = bytes, *footer;
	struct ovmf_entries entries = {0};
	size_t length;
	int err;

	*ovmf = (struct ovmf){.bytes = bytes, .size = size};
	if (size < OVMF_RESET_VECTOR + OVMF_ENTRY)
		return 0;
	footer = start + size - OVMF_RESET_VECTOR - OVMF_ENTRY;
	if (memcmp(footer + 2, guid_footer, GUID_SIZE) != 0)
		return 0;
	length = base_le16(footer);
	if (length < OVMF_ENTRY || length - OVMF_ENTRY > (size_t)(footer - start))
		return why_set(why, -EINVAL,
		               "the firmware's table is %zu bytes long, where %d to %zu were "
		               "expected",
		               length, OVMF_ENTRY, (size_t)(footer - start) + OVMF_ENTRY);
	length -= OVMF_ENTRY;
	err = ovmf_table(footer - length, length, &entries, why);
	if (err)
		return err;
	ovmf->has_reset = entries.reset.data;
	if (ovmf->has_reset)
		ovmf->reset_eip = base_le32(entries.reset.data);
	if (entries.hashes.data) {
		ovmf->hashes_gpa = base_le32(entries.hashes.data);
		ovmf->hashes_size = entries.hashes.size >= 8 ? base_le32(entries.hashes.data + 4)
		                                             : CONFIDENTIAL_HASHES_SIZE;
		ovmf->has_hashes = ovmf->hashes_gpa != 0;
	}
	ovmf->has_tdx = entries.tdx.data;
	if (ovmf->has_tdx)
		ovmf->tdx_from_end = base_le32(entries.tdx.data);
	return entries.sev.data ? ovmf_metadata(ovmf, base_le32(entries.sev.data), why) : 0;
}
