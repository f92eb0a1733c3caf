// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * attest_table: the certificates that a host gives a guest with its SNP report (GHCB specification 56421, "SNP
 * Extended Guest Request"; Linux shows them as configfs-tsm's auxblob). Entries of GUID, offset and length, a
 * zero one behind the last, then what they point at. The host writes it, so it proves nothing: the chain does.
 *
 * Writers disagree about the byte order of the GUIDs, so both are known.
 */
#include "base/base.h"
#include "confidential/attest.h"
#include "confidential/bytes.h"

enum { TABLE_GUID = 16, TABLE_ENTRY = 24, TABLE_ENTRIES_MAX = 32 };

/* As they are written: VCEK, ASK, ARK, VLEK, CRL. */
static const uint8_t table_guids[][TABLE_GUID] = {
        {0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac,
         0xcd},
        {0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4, 0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7,
         0x82},
        {0xc0, 0xb4, 0x06, 0xa4, 0xa8, 0x03, 0x49, 0x52, 0x97, 0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0,
         0xae},
        {0xa8, 0x07, 0x4b, 0xc2, 0xa2, 0x5a, 0x48, 0x3e, 0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8,
         0xa1},
        {0x92, 0xf8, 0x1b, 0xc3, 0x58, 0x11, 0x4d, 0x3d, 0x97, 0xff, 0xd1, 0x9f, 0x88, 0xdc, 0x67,
         0xea},
};

static bool table_known(const uint8_t *guid)
{
	const uint8_t swapped[TABLE_GUID] = {
	        guid[3], guid[2], guid[1],  guid[0],  guid[5],  guid[4],  guid[7],  guid[6],
	        guid[8], guid[9], guid[10], guid[11], guid[12], guid[13], guid[14], guid[15]};

	for (size_t i = 0; i < BASE_COUNT(table_guids); i++)
		if (memcmp(table_guids[i], guid, TABLE_GUID) == 0 ||
		    memcmp(table_guids[i], swapped, TABLE_GUID) == 0)
			return true;
	return false;
}

bool attest_table_open(struct attest_table *table, const uint8_t *bytes, size_t size)
{
	*table = (struct attest_table){.bytes = bytes, .size = size};
	if (size < TABLE_ENTRY || !table_known(bytes))
		return false;
	for (size_t i = 0; i < TABLE_ENTRIES_MAX && size >= (i + 1) * TABLE_ENTRY; i++) {
		const uint8_t *entry = bytes + i * TABLE_ENTRY;
		size_t from = base_le32(entry + TABLE_GUID);
		size_t length = base_le32(entry + TABLE_GUID + 4);

		if (bytes_zero(entry, TABLE_ENTRY))
			return true;
		if (from > size || length > size - from)
			return false;
	}
	return false;
}

bool attest_table_next(struct attest_table *table, const uint8_t **content, size_t *size)
{
	const uint8_t *entry = table->bytes + table->at;

	if (bytes_zero(entry, TABLE_ENTRY))
		return false;
	table->at += TABLE_ENTRY;
	*content = table->bytes + base_le32(entry + TABLE_GUID);
	*size = base_le32(entry + TABLE_GUID + 4);
	return true;
}
