/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests of JSON-RPC 2.0, one object a line. The buffer grows with what was sent, up to the longest
 * line that can make sense; each byte is looked at once for its line feed, however small the pieces
 * that it comes in. Whatever a line holds, there is one answer, or none to a notification (section
 * 4.1). Batches (6) are refused: a client that wants several things sends several lines.
 */
#include "cordon/request.h"

#include "base/base.h"
#include "cordon/host.h"

enum { REQUEST_ROOM_MIN = 16 * 1024 };

/* Section 5.1 */
enum {
	REQUEST_NOT_JSON = -32700,
	REQUEST_INVALID = -32600,
	REQUEST_NO_METHOD = -32601,
	REQUEST_FAILED = -32000,
};

static int request_lines_grow(struct request_lines *lines)
{
	size_t room = lines->room ? lines->room * 2 : REQUEST_ROOM_MIN;
	char *text;

	if (lines->room >= REQUEST_LINE_MAX)
		return -EMSGSIZE;
	text = realloc(lines->text, room);
	if (!text)
		return -ENOMEM;
	lines->text = text;
	lines->room = room;
	return 0;
}

ssize_t request_lines_read(struct request_lines *lines, int fd)
{
	ssize_t n;
	int err;

	if (lines->taken > 0) {
		lines->size -= lines->taken;
		lines->scanned -= lines->taken;
		memmove(lines->text, lines->text + lines->taken, lines->size);
		lines->taken = 0;
	}
	err = lines->size == lines->room ? request_lines_grow(lines) : 0;
	if (err)
		return err;
	do
		n = read(fd, lines->text + lines->size, lines->room - lines->size);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	lines->size += (size_t)n;
	return n;
}

const char *request_lines_next(struct request_lines *lines, size_t *size)
{
	const char *line = lines->text + lines->taken;
	const char *end = lines->scanned < lines->size ? memchr(lines->text + lines->scanned, '\n',
	                                                        lines->size - lines->scanned)
	                                               : NULL;

	if (!end) {
		lines->scanned = lines->size;
		return NULL;
	}
	*size = (size_t)(end - line);
	lines->taken += *size + 1;
	lines->scanned = lines->taken;
	return line;
}

void request_lines_clear(struct request_lines *lines)
{
	free(lines->text);
	*lines = (struct request_lines){0};
}

/* Takes over nothing. An id that is not there is null in an answer (section 5). */
static json_t *request_failure(json_t *id, int code, const struct host_error *error)
{
	json_t *data = json_pack("{s:i, s:i, s:O?}", "errno", error->code, "exit", error->exit,
	                         "errors", error->data);

	return json_pack("{s:s, s:O?, s:{s:i, s:s, s:o}}", "jsonrpc", "2.0", "id", id, "error",
	                 "code", code, "message", error->text, "data", data);
}

json_t *request_refuse(int code, const char *why)
{
	struct host_error error = {0};

	host_fail(&error, -EINVAL, 125, "%s", why);
	return request_failure(NULL, code, &error);
}

/* Section 4: what makes an object a request. Returns what is wrong, or NULL. */
static const char *request_wrong(const json_t *request)
{
	const char *version = json_string_value(json_object_get(request, "jsonrpc"));
	const json_t *id = json_object_get(request, "id"),
	             *params = json_object_get(request, "params");

	if (json_is_array(request))
		return "a batch is not taken: one request a line";
	if (!json_is_object(request))
		return "not an object";
	if (!version || strcmp(version, "2.0") != 0)
		return "jsonrpc is not \"2.0\"";
	if (!json_is_string(json_object_get(request, "method")))
		return "method is no string";
	if (id && !json_is_string(id) && !json_is_number(id) && !json_is_null(id))
		return "id is neither a string nor a number";
	if (params && !json_is_object(params))
		return "params is no object: parameters have names here";
	return NULL;
}

static json_t *request_call(json_t *request)
{
	struct host_error error = {0};
	const char *method = json_string_value(json_object_get(request, "method"));
	json_t *id = json_object_get(request, "id"), *answer;
	json_t *result = method_call(method, json_object_get(request, "params"), &error);

	if (!result)
		host_fail(&error, -EIO, 125, "'%.40s' failed", method);
	if (!id) {
		json_decref(result);
		answer = NULL;
	} else if (result) {
		answer = json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id", id, "result", result);
	} else {
		answer = request_failure(
		        id, error.code == -ENOSYS ? REQUEST_NO_METHOD : REQUEST_FAILED, &error);
	}
	host_error_clear(&error);
	return answer;
}

json_t *request_answer(const char *line, size_t size)
{
	json_t *request = json_loadb(line, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL),
	       *answer;
	const char *wrong = request ? request_wrong(request) : "not JSON";

	if (!request)
		answer = request_refuse(REQUEST_NOT_JSON, wrong);
	else if (wrong)
		answer = request_refuse(REQUEST_INVALID, wrong);
	else
		answer = request_call(request);
	json_decref(request);
	return answer;
}
