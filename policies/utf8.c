/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * UTF-8, strictly (Unicode 15, table 3-7): no overlong forms, no surrogates, nothing past U+10FFFF.
 */
#include "policies/internal.h"

int32_t policy_utf8_next(const char **at, const char *end)
{
	const uint8_t *b = (const uint8_t *)*at;
	size_t left = (size_t)(end - *at), length;
	int32_t character;

	*at += 1;
	if (b[0] < 0x80)
		return b[0];
	if (b[0] >= 0xc2 && b[0] <= 0xdf)
		length = 2, character = b[0] & 0x1f;
	else if (b[0] >= 0xe0 && b[0] <= 0xef)
		length = 3, character = b[0] & 0x0f;
	else if (b[0] >= 0xf0 && b[0] <= 0xf4)
		length = 4, character = b[0] & 0x07;
	else
		return -1;
	if (left < length)
		return -1;
	for (size_t i = 1; i < length; i++) {
		if ((b[i] & 0xc0) != 0x80)
			return -1;
		character = character << 6 | (b[i] & 0x3f);
	}
	if ((length == 3 && character < 0x800) || (length == 4 && character < 0x10000) ||
	    (character >= 0xd800 && character <= 0xdfff) || character > 0x10ffff)
		return -1;
	*at += length - 1;
	return character;
}

bool policy_utf8_plain(int32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return false;
	/* Zero-width characters, direction marks and overrides, line and paragraph separators. */
	if ((c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
	    (c >= 0x2060 && c <= 0x206f))
		return false;
	if (c == 0xad || c == 0x61c || c == 0xfeff || (c >= 0xfff0 && c <= 0xfffb))
		return false;
	/* Noncharacters, and the plane of invisible tags. */
	return (c & 0xfffe) != 0xfffe && !(c >= 0xfdd0 && c <= 0xfdef) &&
	       !(c >= 0xe0000 && c <= 0xe0fff);
}
