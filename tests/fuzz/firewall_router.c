/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzzes what cordon-router reads: a guest's DHCPv6 message. */
#include "base/base.h"
#include "firewall/router.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct router_nic nic = {.guest = {0xfd, 0x77, [15] = 2},
	                                      .gateway = {0xfd, 0x77, [15] = 1},
	                                      .mtu = 1500,
	                                      .dns = true};
	uint8_t answer[ROUTER_REPLY_MAX];
	uint8_t *copy = malloc(size ? size : 1);
	size_t length, at = 4;

	require(copy);
	memcpy(copy, data, size);
	length = router_dhcp(&nic, copy, size, answer);
	require(length <= sizeof(answer));
	if (length) {
		/* an answer to this question, made of whole options */
		require((answer[0] == 2 || answer[0] == 7) && memcmp(answer + 1, copy + 1, 3) == 0);
		while (at < length) {
			require(length - at >= 4);
			at += 4u + base_be16(answer + at + 2);
		}
		require(at == length);
	}
	free(copy);
	return 0;
}
