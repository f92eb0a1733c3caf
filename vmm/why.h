/* SPDX-License-Identifier: GPL-2.0-or-later */
/* why: one sentence that says what was wrong, beside the negative errno of the same failure. */
#ifndef CORDON_VMM_WHY_H
#define CORDON_VMM_WHY_H

enum { WHY_MAX = 160 };

/* Writes the sentence to why[WHY_MAX] and returns `error`. */
int why_set(char *why, int error, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
