/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attest_args: what cordon-attest and cordon-gate share: what evidence has to be, from options, and the folder of
 * certificates, whose files are opened before the role and read in it.
 */
#ifndef CORDON_CONFIDENTIAL_ATTEST_ARGS_H
#define CORDON_CONFIDENTIAL_ATTEST_ARGS_H

#include <getopt.h>

#include "confidential/confidential.h"
#include "confidential/tool.h"

enum { ATTEST_FOLDER_MAX = TOOL_FILES_MAX - 4 };

struct attest_args {
	struct tool tool;
	struct attest_input input;
	const char *folder, *block_name, *auth_name;
	int block, auth;
	int files[ATTEST_FOLDER_MAX];
	char *names[ATTEST_FOLDER_MAX];
	size_t file_count;
	uint8_t measurement[48], host_data[32];
	uint64_t policy, min_tcb, vmpl;
	enum attest_kind kind;
	struct attest_block id;
};

/* Entries of both programs' tables of long options. */
/* clang-format off */
#define ATTEST_ARGS_OPTIONS \
	{"certs", required_argument, NULL, 'c'}, {"type", required_argument, NULL, 'y'}, \
	{"measurement", required_argument, NULL, 'm'}, \
	{"host-data", required_argument, NULL, 'h'}, {"policy", required_argument, NULL, 'p'}, \
	{"min-tcb", required_argument, NULL, 't'}, {"vmpl", required_argument, NULL, 'v'}, \
	{"accept-tcb", required_argument, NULL, 'A'}, {"at", required_argument, NULL, 'a'}, \
	{"id-block", required_argument, NULL, 'b'}, {"id-auth", required_argument, NULL, 'u'}, \
	{"allow-debug", no_argument, NULL, 'D'}, {"help", no_argument, NULL, '?' + 256}
/* clang-format on */

/* Takes one of them; false: said what is wrong. *known: it was one of them. */
bool attest_args_option(struct attest_args *args, int option, const char *value, bool *known);
/* `size` bytes in hexadecimal to `to`, which *field then is; false: said what is wrong. */
bool attest_args_bytes(const char *option, const char *value, uint8_t *to, size_t size,
                       const uint8_t **field);
/* Opens what is in the folder, and the ID block; then, in the role, reads it. An enum tool_exit: said why not. */
int attest_args_open(struct attest_args *args);
int attest_args_collect(struct attest_args *args, struct attest_collateral *collateral);

#endif
