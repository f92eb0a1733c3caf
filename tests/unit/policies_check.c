/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `cordon check`, as a person or a script runs it: what it prints, where, and its exit status.
 */
#include <check.h>
#include <fcntl.h>
#include <jansson.h>
#include <sys/wait.h>

#include "base/base.h"

static char out[256 * 1024], err[64 * 1024];

static void read_file(const char *path, char *text, size_t size)
{
	FILE *file BASE_AUTO_FILE = fopen(path, "re");
	size_t length;

	ck_assert_ptr_nonnull(file);
	length = fread(text, 1, size - 1, file);
	text[length] = '\0';
}

/* Runs `cordon check ARGUMENT...` with standard input from `input`; fills `out` and `err`. */
static int check(const char *input, const char *a, const char *b, const char *c)
{
	char out_path[] = "/tmp/cordon-check-XXXXXX", err_path[] = "/tmp/cordon-check-XXXXXX";
	int out_fd BASE_AUTO_FD = mkstemp(out_path), err_fd BASE_AUTO_FD = mkstemp(err_path);
	int in_fd BASE_AUTO_FD = open(input, O_RDONLY | O_CLOEXEC);
	int status;
	pid_t pid = fork();

	ck_assert(in_fd >= 0 && out_fd >= 0 && err_fd >= 0 && pid >= 0);
	if (pid == 0) {
		dup2(in_fd, 0);
		dup2(out_fd, 1);
		dup2(err_fd, 2);
		execl(CORDON, "cordon", "check", a, b, c, NULL);
		_exit(99);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	read_file(out_path, out, sizeof(out));
	read_file(err_path, err, sizeof(err));
	unlink(out_path);
	unlink(err_path);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

START_TEST(test_right)
{
	ck_assert_int_eq(
	        check("/dev/null", POLICIES_DIR "/web.yaml", POLICIES_DIR "/demo.yaml", NULL), 0);
	ck_assert_str_eq(out, POLICIES_DIR "/web.yaml: right\n" POLICIES_DIR "/demo.yaml: right\n");
	ck_assert_str_eq(err, "");
	ck_assert_int_eq(check(POLICIES_DIR "/web.yaml", "-", NULL, NULL), 0);
	ck_assert_str_eq(out, "-: right\n");
}
END_TEST

START_TEST(test_refused)
{
	ck_assert_int_eq(
	        check("/dev/null", BROKEN_DIR "/memory_unit.yaml", POLICIES_DIR "/web.yaml", NULL),
	        1);
	ck_assert_str_eq(out, POLICIES_DIR "/web.yaml: right\n");
	ck_assert_ptr_nonnull(
	        strstr(err, "/memory_unit.yaml:5:11: error: found \"512MB\", expected"));
	ck_assert_ptr_nonnull(strstr(err, "= did you mean 512M?\n"));
}
END_TEST

START_TEST(test_failed)
{
	ck_assert_int_eq(check("/dev/null", "/nowhere.yaml", BROKEN_DIR "/memory_unit.yaml", NULL),
	                 125);
	ck_assert_ptr_nonnull(
	        strstr(err, "cordon: cannot read '/nowhere.yaml': No such file or directory\n"));
	ck_assert_ptr_nonnull(strstr(err, "512MB"));
	ck_assert_int_eq(check("/dev/null", NULL, NULL, NULL), 125);
	ck_assert_int_eq(check("/dev/null", "--format", "yaml", "x"), 125);
	ck_assert_int_eq(check("/dev/zero", "-", NULL, NULL), 125);
	ck_assert_int_eq(check("/dev/null", "--help", NULL, NULL), 0);
	ck_assert_int_eq(strncmp(out, "usage: cordon check", 19), 0);
}
END_TEST

START_TEST(test_json)
{
	json_t *first, *second;
	char *line;

	ck_assert_int_eq(check("/dev/null", "--format=json", BROKEN_DIR "/duplicate_key.yaml",
	                       POLICIES_DIR "/web.yaml"),
	                 1);
	line = strchr(out, '\n');
	ck_assert_ptr_nonnull(line);
	*line++ = '\0';
	first = json_loads(out, 0, NULL);
	second = json_loads(line, 0, NULL);
	ck_assert(json_is_false(json_object_get(first, "valid")));
	ck_assert_int_eq(json_integer_value(json_object_get(
	                         json_array_get(json_object_get(first, "errors"), 0), "line")),
	                 7);
	ck_assert(json_is_true(json_object_get(second, "valid")));
	ck_assert_uint_eq(json_array_size(json_object_get(second, "errors")), 0);
	json_decref(first);
	json_decref(second);
}
END_TEST

/* A right policy that no host of this version can give: said, and no success. */
START_TEST(test_host_lacks)
{
	ck_assert_int_eq(check("/dev/null", "--host", BROKEN_DIR "/right/confidential.yaml", NULL),
	                 1);
	ck_assert_str_eq(out, BROKEN_DIR "/right/confidential.yaml: right\n");
	ck_assert_ptr_nonnull(strstr(err, "policy line 3: "));
	ck_assert_ptr_nonnull(strstr(err, "sev-snp"));
	ck_assert_int_eq(check("/dev/null", BROKEN_DIR "/right/confidential.yaml", NULL, NULL), 0);
}
END_TEST

START_TEST(test_explained)
{
	static const char *const parts[] = {
	        "VM explained\n",
	        "    allow  tcp 8080 to 198.51.100.10/32  (line 4)\n",
	        "ip daddr 198.51.100.10/32 tcp dport 8080 ct mark set",
	        "spoofed ipv4 source",
	        "  pids.max     256\n",
	        "  scan            alert, capture\n",
	        "  vmm\n",
	        "    ioctl(arg1 = KVM_RUN)",
	        "  blk\n",
	        "  policy\n",
	};

	ck_assert_int_eq(check("/dev/null", "--explain", BROKEN_DIR "/right/explained.yaml", NULL),
	                 0);
	for (size_t i = 0; i < BASE_COUNT(parts); i++)
		ck_assert_msg(strstr(out, parts[i]) != NULL, "no '%s'", parts[i]);
}
END_TEST

START_TEST(test_keys)
{
	ck_assert_int_eq(check("/dev/null", "--keys", NULL, NULL), 0);
	ck_assert_ptr_nonnull(strstr(out, "  new_connections: a rate such as 50/s"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("policies_check");
	TCase *verb = tcase_create("verb");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(verb, 60);
	tcase_add_test(verb, test_right);
	tcase_add_test(verb, test_refused);
	tcase_add_test(verb, test_failed);
	tcase_add_test(verb, test_json);
	tcase_add_test(verb, test_explained);
	tcase_add_test(verb, test_host_lacks);
	tcase_add_test(verb, test_keys);
	suite_add_tcase(suite, verb);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
