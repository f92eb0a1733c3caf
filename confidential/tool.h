/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tool: what cordon-measure and cordon-attest share. Their files are opened by name; then the process enters
 * its role; only then is a byte of them read. Everything here says on standard error what is wrong.
 */
#ifndef CORDON_CONFIDENTIAL_TOOL_H
#define CORDON_CONFIDENTIAL_TOOL_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* TOOL_HELP is no exit status: usage was asked for, and is all that there is to do. */
enum tool_exit {
	TOOL_HELP = -1,
	TOOL_OK = 0,
	TOOL_REFUSED = 1,
	TOOL_FAILED = 125,
	TOOL_NO_FILE = 127
};
static inline int tool_exit(int status)
{
	return status == TOOL_HELP ? TOOL_OK : status;
}

enum { TOOL_FILES_MAX = 80, TOOL_UID_OFFSET = 6, TOOL_FIRST_FD = 3 };

/* The files of one run, which stay open in the role. */
struct tool {
	int files[TOOL_FILES_MAX];
	size_t count;
};

/* Opens a file for reading (or with O_CREAT for writing, 0600): what its number is in the role, or -1: said why not. */
int tool_open(struct tool *tool, const char *name, int flags);
/* Enters the role; 0 or an exit status. What libraries open at their first use is opened before. */
int tool_enter(const struct tool *tool, const struct sock_fprog *list);
/* All of a file, at most `max` bytes of it; NULL: said why not. The caller's. */
uint8_t *tool_read(int fd, const char *name, size_t max, size_t *size);

/* Exactly `size` bytes in hexadecimal; "0x" may be before it. */
bool tool_hex(const char *text, uint8_t *bytes, size_t size);
/* to[2 * size + 1] */
void tool_hex_text(char *to, const uint8_t *bytes, size_t size);
/* A number of that base, with nothing behind it. */
bool tool_number(const char *text, int base, uint64_t max, uint64_t *value);
/* --format: "text" (or "table") and "json"; false: said what is wrong. */
bool tool_format(const char *text, bool *json);

#endif
