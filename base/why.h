/* SPDX-License-Identifier: GPL-2.0-or-later */
/* why: one sentence that says what was wrong, beside the negative errno of the same failure. */
#ifndef CORDON_BASE_WHY_H
#define CORDON_BASE_WHY_H

#include <stdarg.h>
#include <stdio.h>

enum { WHY_MAX = 160 };

/* Writes the sentence to why[WHY_MAX] and returns `error`. */
__attribute__((format(printf, 3, 4))) static inline int why_set(char *why, int error,
                                                                const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, WHY_MAX, format, arguments);
	va_end(arguments);
	return error;
}

#endif
