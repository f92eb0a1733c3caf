/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The addresses of clouds' metadata services, which the firewall denies and the monitor knows. Pure, and with nothing
 * else of the room: the monitor links it by itself.
 */
#include <string.h>

#include "base/base.h"
#include "policies/policies.h"

/* Where clouds hand out credentials to whoever asks; denied unless a rule names exactly that address. */
const struct policy_cidr policy_metadata[] = {
        /* most clouds; AWS's tasks and pods; Alibaba, Tencent, Scaleway; Azure's host agent; Oracle */
        {.family = 4, .prefix = 32, .addr = {169, 254, 169, 254}},
        {.family = 4, .prefix = 32, .addr = {169, 254, 170, 2}},
        {.family = 4, .prefix = 32, .addr = {169, 254, 170, 23}},
        {.family = 4, .prefix = 32, .addr = {100, 100, 100, 200}},
        {.family = 4, .prefix = 32, .addr = {169, 254, 0, 23}},
        {.family = 4, .prefix = 32, .addr = {169, 254, 42, 42}},
        {.family = 4, .prefix = 32, .addr = {168, 63, 129, 16}},
        {.family = 4, .prefix = 32, .addr = {192, 0, 0, 192}},
        /* AWS, its pods; Google; Scaleway; Oracle; the address that OpenStack took from IPv4's */
        {.family = 6, .prefix = 128, .addr = {0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54}},
        {.family = 6, .prefix = 128, .addr = {0xfd, 0x00, 0x0e, 0xc2, [15] = 0x23}},
        {.family = 6, .prefix = 128, .addr = {0xfd, 0x20, 0x00, 0xce, [14] = 0x02, [15] = 0x54}},
        {.family = 6, .prefix = 128, .addr = {0xfd, 0x00, 0x00, 0x42, [15] = 0x42}},
        {.family = 6,
         .prefix = 128,
         .addr = {0xfd, 0x00, 0x00, 0xc1, [12] = 0xa9, [13] = 0xfe, [14] = 0xa9, [15] = 0xfe}},
        {.family = 6,
         .prefix = 128,
         .addr = {0xfe, 0x80, [12] = 0xa9, [13] = 0xfe, [14] = 0xa9, [15] = 0xfe}},
};
const size_t policy_metadata_count = BASE_COUNT(policy_metadata);

bool policy_is_metadata(uint8_t family, const uint8_t *address)
{
	for (size_t i = 0; i < policy_metadata_count; i++)
		if (policy_metadata[i].family == family &&
		    memcmp(policy_metadata[i].addr, address, family == 4 ? 4 : 16) == 0)
			return true;
	return false;
}
