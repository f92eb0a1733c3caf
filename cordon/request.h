/* SPDX-License-Identifier: GPL-2.0-or-later */
/* request: lines of text into JSON-RPC 2.0 answers. Knows nothing of sockets but how to read one. */
#ifndef CORDON_REQUEST_H
#define CORDON_REQUEST_H

#include <jansson.h>
#include <stddef.h>
#include <sys/types.h>

enum { REQUEST_LINE_MAX = 2 * 1024 * 1024 }; /* a policy of 256 KiB, each byte escaped */

/* What came in and has not been answered yet; all zero at first. */
struct request_lines {
	char *text; /* owned */
	size_t room, size;
	size_t taken;   /* bytes of lines that were handed out */
	size_t scanned; /* bytes that hold no line feed that was not handed out */
};

/*
 * Adds what one read() gives: its count, 0 at the end, or a negative errno: -EMSGSIZE when a line
 * is longer than REQUEST_LINE_MAX. Lines handed out before are gone.
 */
ssize_t request_lines_read(struct request_lines *lines, int fd);
/* The next whole line, not terminated, without its line feed; NULL when there is none. */
const char *request_lines_next(struct request_lines *lines, size_t *size);
void request_lines_clear(struct request_lines *lines);

/* Calls what the line asks for. The caller owns the answer; NULL: a notification, which gets none. */
json_t *request_answer(const char *line, size_t size);
/* The answer to what is no request: `code` as in section 5.1. */
json_t *request_refuse(int code, const char *why);

#endif
