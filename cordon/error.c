/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Errors: a code, an exit status and one sentence, made where the error happens and printed once. */
#include "cordon/host.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/*
 * A sentence may quote what is not ours (a path, a name, another program's words), and may have been
 * cut in the middle of a character. What comes out goes to terminals and into JSON.
 */
static void host_clean(char *text)
{
	json_t *whole;

	for (char *c = text; *c; c++)
		/* control characters; C1 ones are C2 80 to C2 9F in UTF-8 */
		if ((unsigned char)*c < 0x20 || *c == 0x7f ||
		    ((unsigned char)*c == 0xc2 && (unsigned char)c[1] < 0xa0))
			*c = '?';
	whole = json_string(text);
	for (char *c = text; !whole && *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	json_decref(whole);
}

int host_fail(struct host_error *error, int code, int exit, const char *format, ...)
{
	va_list list;

	if (error->text[0])
		return code; /* the first sentence is the one nearest to the cause */
	error->code = code;
	error->exit = exit;
	va_start(list, format);
	vsnprintf(error->text, sizeof(error->text), format, list);
	va_end(list);
	host_clean(error->text);
	return code;
}

void host_error_clear(struct host_error *error)
{
	json_decref(error->data);
	memset(error, 0, sizeof(*error));
}
