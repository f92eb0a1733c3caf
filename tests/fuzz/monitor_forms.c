/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzes what an alert's text becomes in CEF and in syslog's structured data. The input is fields, separated by
 * zero bytes. Whatever they are: one line of printable ASCII comes out, and read back by the rules of the
 * form each field is what went in.
 */
#include "base/base.h"
#include "monitor/alert_forms.h"

enum { FIELDS = 4, FIELD_MAX = 256 };

static void check_printable(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			abort();
}

/* The header has seven bars that are not escaped, and the eighth part is the extensions. */
static const char *cef_extensions_of(const char *text)
{
	for (int bars = 0; bars < 7; text++) {
		if (*text == '\0')
			abort();
		if (*text == '\\' && text[1])
			text++;
		else if (*text == '|')
			bars++;
	}
	return text;
}

/* Every equals sign that is not escaped ends a key of CEF's, which is letters and digits after a space. */
static void check_cef(const char *text, size_t size, size_t expected)
{
	const char *start = cef_extensions_of(text);
	size_t keys = 0;

	if (strlen(text) != size)
		abort();
	check_printable(text);
	for (const char *at = start; *at; at++) {
		if (*at == '\\' && at[1]) {
			at++;
			continue;
		}
		if (*at != '=')
			continue;
		const char *key = at;
		while (key > start && key[-1] != ' ')
			key--;
		if (key == at ||
		    strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") !=
		            (size_t)(at - key))
			abort();
		keys++;
	}
	/* those that the view has, and no more: nothing in a value has become a key */
	if (keys != expected)
		abort();
}

/* The value ends at the first quote that is not escaped, and that is the last byte. */
static void check_param(const char *name, const char *value)
{
	char text[FIELD_MAX * 2 + 64];
	FILE *stream = fmemopen(text, sizeof(text), "w");
	size_t i = 0;
	const char *at;

	if (!stream)
		return;
	alert_syslog_param(stream, name, value);
	fclose(stream);
	at = text + 1 + strlen(name) + 2;
	for (; *at && *at != '"'; at++, i++) {
		if (*at == ']')
			abort();
		if (*at == '\\')
			at++;
		if (*at != (value[i] >= ' ' && value[i] <= '~' ? value[i] : '?'))
			abort();
	}
	if (value[i] || at[0] != '"' || at[1])
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char fields[FIELDS][FIELD_MAX] = {{0}}, text[ALERT_CEF_MAX * 2];
	struct alert_view view = {.rule = fields[0],
	                          .technique_name = fields[1],
	                          .technique = "T1",
	                          .tactic = "TA1",
	                          .tactic_name = "t",
	                          .message = fields[2],
	                          .vm = fields[3],
	                          .stage = "new",
	                          .id = fields[3],
	                          .observer = fields[0],
	                          .severity = ALERT_LOW};
	size_t field = 0, n = 0;

	for (size_t i = 0; i < size && field < FIELDS; i++) {
		if (data[i] == 0 || n == FIELD_MAX - 1) {
			field++;
			n = 0;
		} else
			fields[field][n++] = (char)data[i];
	}
	/* 14 are always there; a field that is empty has no key */
	check_cef(text, alert_cef(&view, text, sizeof(text)),
	          14 + !!fields[0][0] + !!fields[2][0] + 2 * !!fields[3][0]);
	for (size_t i = 0; i < FIELDS; i++)
		check_param("name", fields[i]);
	json_decref(alert_ocsf(&view));
	return 0;
}
