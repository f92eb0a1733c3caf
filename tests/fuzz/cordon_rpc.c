/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a client of the daemon sends: the stream is cut into lines in pieces whose size the first byte
 * gives, and each line gets its answer, which has to be one line of JSON. The method is a stub that
 * walks its parameters as the methods do.
 */
#include <sys/socket.h>

#include "base/base.h"
#include "cordon/host.h"
#include "cordon/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

json_t *method_call(const char *method, const json_t *params, struct host_error *error)
{
	const char *name = json_string_value(json_object_get(params, "name"));

	if (strcmp(method, "vm.inspect") == 0 && name)
		return json_pack("{s:s, s:O}", "name", name, "params", params);
	host_fail(error, strcmp(method, "vm.kill") == 0 ? -ENOENT : -ENOSYS, 127,
	          "there is no '%.40s' of '%.31s'", method, name ? name : "");
	return NULL;
}

static void answer(const char *line, size_t size)
{
	json_t *json = request_answer(line, size);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	if (json && (!text || strchr(text, '\n')))
		abort();
	free(text);
	json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct request_lines lines = {0};
	size_t piece = size > 0 ? (size_t)data[0] + 1 : 1, length;
	const char *line;
	int ends[2];

	if (size > 65536 || socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
		return 0;
	for (size_t at = 1; at < size; at += piece) {
		size_t n = BASE_MIN(piece, size - at);

		if (write(ends[1], data + at, n) != (ssize_t)n ||
		    request_lines_read(&lines, ends[0]) <= 0)
			abort();
		while ((line = request_lines_next(&lines, &length)))
			answer(line, length);
	}
	request_lines_clear(&lines);
	close(ends[0]);
	close(ends[1]);
	return 0;
}
