/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A heapsort: in place, no order of the entries makes it slow, and it asks nothing of the kernel. The C library's
 * qsort() may allocate, and asks how much memory there is, which a sandboxed process may not. Entries that compare as
 * equal come in any order.
 */
#ifndef CORDON_BASE_SORT_H
#define CORDON_BASE_SORT_H

#include <stddef.h>
#include <string.h>

#include "base/base.h"

typedef int base_compare_fn(const void *a, const void *b);

static inline void base_sort_swap(char *a, char *b, size_t size)
{
	char kept[64];

	for (size_t at = 0, part; at < size; at += part) {
		part = BASE_MIN(size - at, sizeof(kept));
		memcpy(kept, a + at, part);
		memcpy(a + at, b + at, part);
		memcpy(b + at, kept, part);
	}
}

static inline void base_sort_sift(char *base, size_t root, size_t count, size_t size,
                                  base_compare_fn *compare)
{
	for (size_t child; (child = 2 * root + 1) < count; root = child) {
		if (child + 1 < count &&
		    compare(base + child * size, base + (child + 1) * size) < 0)
			child++;
		if (compare(base + root * size, base + child * size) >= 0)
			return;
		base_sort_swap(base + root * size, base + child * size, size);
	}
}

/* Sorts `count` entries of `size` bytes, the least first, as qsort(3) does. */
static inline void base_sort(void *array, size_t count, size_t size, base_compare_fn *compare)
{
	char *base = array;

	for (size_t i = count / 2; i-- > 0;)
		base_sort_sift(base, i, count, size, compare);
	for (size_t end = count; end-- > 1;) {
		base_sort_swap(base, base + end * size, size);
		base_sort_sift(base, 0, end, size, compare);
	}
}

#endif
