/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * intel_list: one file of addresses and names that are known to be bad, taken apart and searched. Pure; the
 * file may be anybody's: its size and entries are bounded, and a line that is none of what is allowed refuses
 * all of it, with its number, rather than that half a list is believed to be whole.
 *
 * One entry a line: an IPv4 or IPv6 address, a network such as 192.0.2.0/24, or a name, which stands for
 * itself and all below it (also when it is written as *.example.org). A '#' begins a comment.
 */
#ifndef CORDON_MONITOR_INTEL_LIST_H
#define CORDON_MONITOR_INTEL_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	INTEL_SIZE_MAX = 16 << 20, /* bytes of one file */
	INTEL_ENTRIES_MAX = 500000,
	INTEL_NAME_MAX = 48,    /* of what a list is called, with its NUL */
	INTEL_EXCERPT_MAX = 40, /* with its NUL */
	INTEL_LISTS_MAX = 8,    /* that one VM is judged by */
};

struct intel_list;

struct intel_fault {
	uint32_t line;                   /* 0: of the file as a whole */
	char excerpt[INTEL_EXCERPT_MAX]; /* what stands there, printable */
};

/* Takes `size` bytes apart; `path` gives the list its name. 0; -EINVAL: the fault is where; -EFBIG: more than the
 * bounds; -ENOMEM. The caller owns the list. */
int intel_list_parse(const char *text, size_t size, const char *path, struct intel_list **out,
                     struct intel_fault *fault);
/* The same of a file that is open for reading, from its beginning; -EINVAL also when it is no regular one. */
int intel_list_read(int fd, const char *path, struct intel_list **out, struct intel_fault *fault);
void intel_list_free(struct intel_list *list);

size_t intel_list_count(const struct intel_list *list);
/* The last part of its path. */
const char *intel_list_name(const struct intel_list *list);

/* The line that lists the address (`family`: enum flow_family), or 0. */
uint32_t intel_list_address(const struct intel_list *list, const uint8_t address[16],
                            uint8_t family);
/* The line that lists the name or one above it, or 0. In any case; a dot at the end does not matter. */
uint32_t intel_list_domain(const struct intel_list *list, const char *name, size_t size);

/* The lists of one VM. Who owns them may put another one in the place of one at any time between two events. */
struct intel_set {
	const struct intel_list *lists[INTEL_LISTS_MAX];
	size_t count;
};

#endif
