/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests: lines out of a stream in pieces of any size, and the one answer that each of them gets. The
 * method that they call is this test's own.
 */
#include <check.h>
#include <fcntl.h>

#include "base/base.h"
#include "cordon/host.h"
#include "cordon/request.h"

static int calls;

json_t *method_call(const char *method, const json_t *params, struct host_error *error)
{
	calls++;
	if (strcmp(method, "echo") == 0)
		return params ? json_deep_copy(params) : json_object();
	if (strcmp(method, "silent") == 0)
		return NULL;
	if (strcmp(method, "refuse") == 0) {
		error->data = json_pack("[s]", "why");
		host_fail(error, -EINVAL, 126, "found \x1b[31m\xc3\xbc");
		return NULL;
	}
	host_fail(error, -ENOSYS, 125, "there is no method '%.40s'", method);
	return NULL;
}

/* The answer to a line, and what a client sees of it: it has to be JSON that can be sent. */
static json_t *ask(const char *line)
{
	json_t *answer = request_answer(line, strlen(line));

	if (answer) {
		BASE_AUTO_FREE char *text = json_dumps(answer, JSON_COMPACT);

		ck_assert_ptr_nonnull(text);
		ck_assert_ptr_null(strchr(text, '\n'));
		ck_assert_str_eq(json_string_value(json_object_get(answer, "jsonrpc")), "2.0");
		ck_assert(!json_object_get(answer, "result") != !json_object_get(answer, "error"));
	}
	return answer;
}

static void expect_error(const char *line, int code)
{
	json_t *answer = ask(line), *error = json_object_get(answer, "error");

	ck_assert_msg(error && json_integer_value(json_object_get(error, "code")) == code, "%s",
	              line);
	ck_assert_int_gt(strlen(json_string_value(json_object_get(error, "message"))), 0);
	json_decref(answer);
}

START_TEST(not_json)
{
	static const char *const lines[] = {
	        "",
	        "{",
	        "}",
	        "nul",
	        "\xff",
	        "{\"a\":1,}",
	        "{} {}",
	        "{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"echo\"}",
	        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ec\\u0000ho\"}",
	        "{\"id\":1e999}"};

	for (size_t i = 0; i < BASE_COUNT(lines); i++)
		expect_error(lines[i], -32700);
	ck_assert_int_eq(calls, 0);
}
END_TEST

START_TEST(no_request)
{
	static const char *const lines[] = {
	        "7",
	        "\"echo\"",
	        "null",
	        "{}",
	        "[]",
	        "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\"}]",
	        "{\"id\":1,\"method\":\"echo\"}",
	        "{\"jsonrpc\":2.0,\"id\":1,\"method\":\"echo\"}",
	        "{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"echo\"}",
	        "{\"jsonrpc\":\"2.0\",\"id\":1}",
	        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":7}",
	        "{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"echo\"}",
	        "{\"jsonrpc\":\"2.0\",\"id\":true,\"method\":\"echo\"}",
	        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":[1]}",
	        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"echo\",\"params\":null}",
	};

	for (size_t i = 0; i < BASE_COUNT(lines); i++)
		expect_error(lines[i], -32600);
	ck_assert_int_eq(calls, 0);
}
END_TEST

START_TEST(deep)
{
	size_t size = 100000;
	BASE_AUTO_FREE char *line = malloc(size);

	memset(line, '[', size);
	json_t *answer = request_answer(line, size);

	ck_assert_ptr_nonnull(json_object_get(answer, "error"));
	json_decref(answer);
}
END_TEST

START_TEST(answers)
{
	json_t *answer = ask("{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"echo\",\"params\":{"
	                     "\"a\":[1,\"\\u001b\"]}}");

	ck_assert_str_eq(json_string_value(json_object_get(answer, "id")), "x");
	ck_assert_int_eq(json_array_size(json_object_get(json_object_get(answer, "result"), "a")),
	                 2);
	json_decref(answer);
	answer = ask("{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"echo\"}");
	ck_assert(json_is_null(json_object_get(answer, "id")));
	json_decref(answer);
	expect_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"vm.eat\"}", -32601);
	expect_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"silent\"}", -32000);
}
END_TEST

START_TEST(notifications_get_none)
{
	ck_assert_ptr_null(ask("{\"jsonrpc\":\"2.0\",\"method\":\"echo\"}"));
	ck_assert_ptr_null(ask("{\"jsonrpc\":\"2.0\",\"method\":\"vm.eat\"}"));
	ck_assert_int_eq(calls, 2);
}
END_TEST

START_TEST(errors_carry_data)
{
	json_t *answer = ask("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"refuse\"}");
	json_t *error = json_object_get(answer, "error"), *data = json_object_get(error, "data");

	ck_assert_str_eq(json_string_value(json_object_get(error, "message")),
	                 "found ?[31m\xc3\xbc");
	ck_assert_int_eq(json_integer_value(json_object_get(data, "exit")), 126);
	ck_assert_int_eq(json_array_size(json_object_get(data, "errors")), 1);
	json_decref(answer);
	/* forty characters end in the middle of one */
	expect_error("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":"
	             "\"aüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüüü\"}",
	             -32601);
}
END_TEST

START_TEST(sentences_are_clean)
{
	struct host_error error = {0};
	char text[HOST_ERROR_MAX * 2];

	memset(text, 'a', sizeof(text));
	for (size_t i = 1; i + 1 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xbc", 2);
	text[sizeof(text) - 1] = '\0';
	host_fail(&error, -EINVAL, 125, "%s", text);
	json_t *json = json_string(error.text);

	ck_assert_ptr_nonnull(json);
	json_decref(json);
	host_fail(&error, -EIO, 126, "a later one");
	ck_assert_int_eq(error.code, -EINVAL);
	host_error_clear(&error);
	host_fail(&error, -EINVAL, 125,
	          "a\tb\nc\x7f\xc2\x9b"
	          "d");
	for (const char *c = error.text; *c; c++)
		ck_assert((unsigned char)*c >= 0x20 && (unsigned char)*c < 0x7f);
}
END_TEST

START_TEST(lines_in_pieces)
{
	static const char stream[] = "first\n\nthird, longer\nunfinished";
	static const char *const want[] = {"first", "", "third, longer"};

	for (size_t piece = 1; piece < sizeof(stream); piece++) {
		struct request_lines lines = {0};
		size_t seen = 0, size;
		const char *line;
		int ends[2];

		ck_assert_int_eq(pipe(ends), 0);
		for (size_t at = 0; at + 1 < sizeof(stream); at += piece) {
			size_t n = BASE_MIN(piece, sizeof(stream) - 1 - at);

			ck_assert_int_eq(write(ends[1], stream + at, n), (ssize_t)n);
			ck_assert_int_gt(request_lines_read(&lines, ends[0]), 0);
			while ((line = request_lines_next(&lines, &size))) {
				ck_assert_uint_lt(seen, BASE_COUNT(want));
				ck_assert_uint_eq(size, strlen(want[seen]));
				ck_assert_mem_eq(line, want[seen], size);
				seen++;
			}
		}
		ck_assert_uint_eq(seen, BASE_COUNT(want));
		close(ends[1]);
		ck_assert_int_eq(request_lines_read(&lines, ends[0]), 0);
		close(ends[0]);
		request_lines_clear(&lines);
	}
}
END_TEST

/* A line that never ends costs what a line may cost, and no more. */
START_TEST(endless_line)
{
	struct request_lines lines = {0};
	BASE_AUTO_FD int zeros = open("/dev/zero", O_RDONLY);
	size_t size, total = 0;
	ssize_t n;

	while ((n = request_lines_read(&lines, zeros)) > 0) {
		total += (size_t)n;
		ck_assert_uint_le(lines.room, REQUEST_LINE_MAX);
		ck_assert_ptr_null(request_lines_next(&lines, &size));
	}
	ck_assert_int_eq(n, -EMSGSIZE);
	ck_assert_uint_eq(total, REQUEST_LINE_MAX);
	request_lines_clear(&lines);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cordon_request");
	TCase *all = tcase_create("all");

	tcase_add_test(all, not_json);
	tcase_add_test(all, no_request);
	tcase_add_test(all, deep);
	tcase_add_test(all, answers);
	tcase_add_test(all, notifications_get_none);
	tcase_add_test(all, errors_carry_data);
	tcase_add_test(all, sentences_are_clean);
	tcase_add_test(all, lines_in_pieces);
	tcase_add_test(all, endless_line);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);

	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed ? 1 : 0;
}
