/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bytes: what is asked of bytes in many places: whether they are zero, what they are as text, and a
 * number as little-endian ones. */
#ifndef CORDON_CONFIDENTIAL_BYTES_H
#define CORDON_CONFIDENTIAL_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool bytes_zero(const uint8_t *at, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (at[i])
			return false;
	return true;
}

static inline void bytes_put(uint8_t *to, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		to[i] = (uint8_t)(value >> 8 * i);
}

/* Reads exactly 2 * size digits; at the first that is none it ends, so a terminated text may be shorter. */
static inline bool bytes_from_hex(const char *text, uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < 2 * size; i++) {
		const char c = text[i];
		int digit;

		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
			digit = (c | 0x20) - 'a' + 10;
		else
			return false;
		bytes[i / 2] = (uint8_t)((i % 2 ? bytes[i / 2] << 4 : 0) | digit);
	}
	return true;
}

#endif
