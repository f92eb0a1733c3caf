// SPDX-License-Identifier: GPL-2.0-or-later
/* why: see why.h. */
#include "vmm/why.h"

#include <stdarg.h>
#include <stdio.h>

int why_set(char *why, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, WHY_MAX, format, arguments);
	va_end(arguments);
	return error;
}
