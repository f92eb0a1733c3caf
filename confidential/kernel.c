// SPDX-License-Identifier: GPL-2.0-or-later
/* kernel: the hash of a command line, as firmware makes it again: it ends with a NUL, which counts. */
#include "base/base.h"
#include "confidential/confidential.h"
#include "confidential/hash.h"

int confidential_hash_command_line(const char *text, uint8_t hash[32])
{
	const char *line = text ? text : "";

	return hash_once(HASH_SHA256, line, strlen(line) + 1, hash);
}
