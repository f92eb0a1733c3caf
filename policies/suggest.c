/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Did you mean? The edit distance counts an insertion, a deletion, a substitution or two letters
 * swapped as one (optimal string alignment); case and '-' for '_' are forgiven. A third of the
 * word may be wrong.
 */
#include <ctype.h>

#include "policies/internal.h"

enum { WORD_MAX = 32 };

static char folded(char c)
{
	return c == '-' || c == ' ' ? '_' : (char)tolower((unsigned char)c);
}

static size_t distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
	size_t rows[3][WORD_MAX + 1];

	for (size_t j = 0; j <= b_length; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		size_t *now = rows[i % 3], *last = rows[(i - 1) % 3], *before = rows[(i + 1) % 3];

		now[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			bool same = folded(a[i - 1]) == folded(b[j - 1]);

			now[j] = BASE_MIN(last[j] + 1, now[j - 1] + 1);
			now[j] = BASE_MIN(now[j], last[j - 1] + !same);
			if (i > 1 && j > 1 && folded(a[i - 1]) == folded(b[j - 2]) &&
			    folded(a[i - 2]) == folded(b[j - 1]))
				now[j] = BASE_MIN(now[j], before[j - 2] + 1);
		}
	}
	return rows[a_length % 3][b_length];
}

const char *policy_suggest(const char *written, const char *const *names, size_t count)
{
	size_t length = strnlen(written, WORD_MAX + 1);
	const char *best = NULL;
	size_t least = SIZE_MAX;

	if (length == 0 || length > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		size_t n = strlen(names[i]), d;

		if (n > WORD_MAX)
			continue;
		d = distance(written, length, names[i], n);
		if (d < least && d <= BASE_MAX(BASE_MAX(length, n) / 3, (size_t)1) && d < n) {
			least = d;
			best = names[i];
		}
	}
	return best;
}
