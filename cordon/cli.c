/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the verbs share. A table goes to people; JSON, one value a line, to programs. */
#include "cordon/cli.h"

#include <libgen.h>
#include <stdarg.h>
#include <time.h>

#include "base/base.h"
#include "cordon/verbs.h"

bool cli_format(const char *value, bool *json)
{
	*json = strcmp(value, "json") == 0;
	if (*json || strcmp(value, "table") == 0 || strcmp(value, "text") == 0)
		return true;
	fprintf(stderr, "cordon: --format '%s' is not one of table, json\n", value);
	return false;
}

int cli_simple(int argc, char **argv, const char *usage, int min, int max,
               struct cli_options *options)
{
	static const struct option longs[] = {CLI_FORMAT_OPTION, CLI_HELP_OPTION, {0}};
	int option;

	memset(options, 0, sizeof(*options));
	optind = 1;
	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return VERB_OK;
		}
		if (option != 'F' || !cli_format(optarg, &options->json))
			return VERB_FAILED;
	}
	options->first = optind;
	if (argc - optind < min || (max >= 0 && argc - optind > max)) {
		fputs(usage, stderr);
		return VERB_FAILED;
	}
	return -1;
}

int cli_failed(struct host_error *error, bool json)
{
	int status = error->exit ? error->exit : VERB_FAILED;

	if (json) {
		json_t *value = json_pack("{s:{s:s, s:i, s:O?}}", "error", "message", error->text,
		                          "exit", status, "errors", error->data);
		cli_print_json(value);
		json_decref(value);
	}
	fprintf(stderr, "cordon: %s\n", error->text[0] ? error->text : "failed");
	host_error_clear(error);
	return status;
}

void cli_print_json(const json_t *json)
{
	/* ASCII: a terminal takes some characters beyond it for commands */
	json_dumpf(json, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	putchar('\n');
	fflush(stdout);
}

void cli_print_text(const char *format, ...)
{
	BASE_AUTO_FREE char *text = NULL;
	va_list list;
	int size;

	va_start(list, format);
	size = vasprintf(&text, format, list);
	va_end(list);
	if (size >= 0)
		cli_print_escaped(stdout, text, (size_t)size);
	else
		text = NULL;
}

bool cli_duration(const char *text, long max, long *seconds)
{
	long unit = 1;
	char *end;

	errno = 0;
	*seconds = strtol(text, &end, 10);
	if (strcmp(end, "m") == 0 || strcmp(end, "h") == 0)
		unit = *end == 'm' ? 60 : 3600;
	else if (*end && strcmp(end, "s") != 0)
		return false;
	if (errno || *text < '0' || *text > '9' || *seconds < 1 || *seconds > max / unit)
		return false;
	*seconds *= unit;
	return true;
}

int cli_vm_call(const char *method, const char *name, bool json, const char *done)
{
	struct host_error error = {0};
	json_t *params = json_pack("{s:s}", "name", name);
	json_t *result = params ? method_call_any(method, params, &error) : NULL;

	json_decref(params);
	if (!result)
		return cli_failed(&error, json);
	if (json)
		cli_print_json(result);
	else
		printf("%s: %s\n", name, done);
	json_decref(result);
	return VERB_OK;
}

bool cli_has_ended(const json_t *vm)
{
	const char *state = json_string_value(json_object_get(vm, "state"));

	return state && strcmp(state, "ended") == 0;
}

void cli_print_escaped(FILE *out, const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c == '\r' && i + 1 < size && text[i + 1] == '\n')
			continue;
		if (c == '\n' || c == '\t' || (c >= 0x20 && c < 0x7f))
			fputc(c, out);
		else
			fprintf(out, "\\x%02x", c);
	}
}

void cli_bytes(char out[16], uint64_t bytes)
{
	static const char units[] = "BKMGT";
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 2 < sizeof(units)) {
		value /= 1024;
		unit++;
	}
	snprintf(out, 16, value == (double)(uint64_t)value ? "%.0f%c" : "%.1f%c", value,
	         units[unit]);
}

void cli_age(char out[24], int64_t since_ms)
{
	struct timespec now;
	int64_t seconds;

	clock_gettime(CLOCK_REALTIME, &now);
	seconds = since_ms ? BASE_MAX(now.tv_sec - since_ms / 1000, 0) : 0;
	if (seconds < 60)
		snprintf(out, 24, "%ds", (int)seconds);
	else if (seconds < 3600)
		snprintf(out, 24, "%dm %ds", (int)(seconds / 60), (int)(seconds % 60));
	else
		snprintf(out, 24, "%dh %dm", (int)(seconds / 3600 % 100000),
		         (int)(seconds / 60 % 60));
}

json_t *cli_policy(const char *path, struct host_error *error)
{
	BASE_AUTO_FREE char *text = NULL, *dir = NULL;
	char folder[POLICY_PATH_MAX];
	ssize_t size = policy_read_file(path, &text);
	json_t *params;

	if (size < 0) {
		host_fail(error, (int)size, size == -ENOENT ? VERB_NOT_FOUND : VERB_NOT_STARTED,
		          "cannot read the policy %s: %s", path, strerror((int)-size));
		return NULL;
	}
	if (base_copy_string(folder, sizeof(folder), path)) {
		host_fail(error, -ENAMETOOLONG, 126, "the policy's path has more than %zu bytes",
		          sizeof(folder) - 1);
		return NULL;
	}
	dir = realpath(dirname(folder), NULL);
	/* parsed as a whole or not at all: a NUL must not end it early */
	if (memchr(text, '\0', (size_t)size)) {
		host_fail(error, -EINVAL, 126, "%s holds a NUL byte; a policy is text", path);
		return NULL;
	}
	params = json_pack("{s:s%, s:s, s:s}", "policy", text, (size_t)size, "path", path, "dir",
	                   dir ? dir : "");
	if (!params)
		host_fail(error, -EINVAL, 126, "%s is not UTF-8 text", path);
	return params;
}

int cli_refused(const char *path, struct host_error *error, bool json)
{
	BASE_AUTO_FREE struct policy *policy = calloc(1, sizeof(*policy));
	BASE_AUTO_FREE struct policy_errors *errors = calloc(1, sizeof(*errors));
	BASE_AUTO_FREE char *text = NULL;
	ssize_t size = !json && error->data ? policy_read_file(path, &text) : -1;

	if (policy && errors && size >= 0 &&
	    policy_parse(text, (size_t)size, policy, errors) == -EINVAL)
		policy_errors_print(stderr, path, errors);
	return cli_failed(error, json);
}
