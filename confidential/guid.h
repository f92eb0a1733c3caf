/* SPDX-License-Identifier: GPL-2.0-or-later */
/* guid: a GUID as UEFI stores it: the first three fields little-endian, the rest as it is written. */
#ifndef CORDON_CONFIDENTIAL_GUID_H
#define CORDON_CONFIDENTIAL_GUID_H

#include <stdint.h>

enum { GUID_SIZE = 16 };

/* clang-format off */
#define GUID(a, b, c, ...)                                                                         \
	{                                                                                          \
		(uint8_t)((a) & 0xff), (uint8_t)((a) >> 8 & 0xff), (uint8_t)((a) >> 16 & 0xff),    \
		(uint8_t)((a) >> 24 & 0xff), (uint8_t)((b) & 0xff), (uint8_t)((b) >> 8),           \
		(uint8_t)((c) & 0xff), (uint8_t)((c) >> 8), __VA_ARGS__                            \
	}
/* clang-format on */

#endif
