/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cordon-dial, the program itself: it connects to what is listed, and to nothing else. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/base.h"
#include "tests/unit/vsock_guest.h"

static int service(const char *path)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	base_copy_string(at.sun_path, sizeof(at.sun_path), path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	ck_assert_int_eq(listen(fd, 0), 0);
	return fd;
}

START_TEST(dial_connects_to_what_is_listed)
{
	char folder[] = "/tmp/dial-XXXXXX", path[64];
	int requests, fd, server, more[4], status, i;
	pid_t pid;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/service", folder);
	pid = host_dialer_start(&requests, path);
	ck_assert_int_eq(host_dialer_ask(requests, 5001), -EACCES);
	ck_assert_int_eq(host_dialer_ask(requests, 5000), -ENOENT);
	for (i = 0; i < 2; i++) { /* a service that starts again is found again */
		server = service(path);
		fd = host_dialer_ask(requests, 5000);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(write(fd, "x", 1), 1);
		close(fd);
		close(server);
		ck_assert_int_eq(host_dialer_ask(requests, 5000), -ECONNREFUSED);
		ck_assert_int_eq(unlink(path), 0);
	}
	/* one that accepts nothing is not waited for */
	server = service(path);
	for (i = 0; i < 4; i++)
		more[i] = host_dialer_ask(requests, 5000);
	ck_assert_int_ge(more[0], 0);
	ck_assert_int_eq(more[3], -EAGAIN);
	for (i = 0; i < 4; i++)
		if (more[i] >= 0)
			close(more[i]);
	close(server);
	unlink(path);
	/* who does not speak its language is left */
	ck_assert_int_eq(send(requests, "hello", 5, 0), 5);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	close(requests);
	/* and it ends with the device */
	pid = host_dialer_start(&requests, path);
	close(requests);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	rmdir(folder);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("devices: dial");
	TCase *cases = tcase_create("dial");
	SRunner *runner;
	int failed;

	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, dial_connects_to_what_is_listed);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
