// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hashes: the table of hashes by which firmware recognises what the host loads beside it. The host writes it
 * into the launch, so that it is measured; the firmware refuses a kernel that is another (QEMU's
 * docs/specs and OvmfPkg/AmdSev/BlobVerifierLibSevHashes).
 */
#include "base/base.h"
#include "confidential/confidential.h"
#include "confidential/guid.h"

enum { KERNEL_ENTRY = GUID_SIZE + 2 + 32, KERNEL_TABLE = GUID_SIZE + 2 + 3 * KERNEL_ENTRY };
_Static_assert((int)CONFIDENTIAL_HASHES_SIZE == (KERNEL_TABLE + 15) / 16 * 16,
               "SEV_LAUNCH_UPDATE_DATA takes 16 bytes at a time");

static const uint8_t guid_table[GUID_SIZE] =
        GUID(0x9438d606u, 0x4f22, 0x4cc9, 0xb4, 0x79, 0xa7, 0x93, 0xd4, 0x11, 0xfd, 0x21);
static const uint8_t guid_kernel[GUID_SIZE] =
        GUID(0x4de79437u, 0xabd2, 0x427f, 0xb8, 0x35, 0xd5, 0xb1, 0x72, 0xd2, 0x04, 0x5b);
static const uint8_t guid_initrd[GUID_SIZE] =
        GUID(0x44baf731u, 0x3a2f, 0x4bd7, 0x9a, 0xf1, 0x41, 0xe2, 0x91, 0x69, 0x78, 0x1d);
static const uint8_t guid_line[GUID_SIZE] =
        GUID(0x97d02dd8u, 0xbd20, 0x4c94, 0xaa, 0x78, 0xe7, 0x71, 0x4d, 0x36, 0xab, 0x2a);

static uint8_t *kernel_head(uint8_t *to, const uint8_t guid[GUID_SIZE], uint16_t length)
{
	memcpy(to, guid, GUID_SIZE);
	to[GUID_SIZE] = (uint8_t)length;
	to[GUID_SIZE + 1] = (uint8_t)(length >> 8);
	return to + GUID_SIZE + 2;
}

void confidential_hashes_table(const struct confidential_kernel *kernel,
                               uint8_t table[CONFIDENTIAL_HASHES_SIZE])
{
	const struct {
		const uint8_t *guid, *hash;
	} entries[] = {{guid_line, kernel->command_line},
	               {guid_initrd, kernel->initrd},
	               {guid_kernel, kernel->kernel}};
	uint8_t *to;

	memset(table, 0, CONFIDENTIAL_HASHES_SIZE);
	to = kernel_head(table, guid_table, KERNEL_TABLE);
	for (size_t i = 0; i < BASE_COUNT(entries); i++) {
		to = kernel_head(to, entries[i].guid, KERNEL_ENTRY);
		memcpy(to, entries[i].hash, 32);
		to += 32;
	}
}
