/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cordon-dial, the program itself: it connects to what is listed, and to nothing else. */
#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/base.h"
#include "vmm/devices/dial.h"

static pid_t dial_start(int *requests, const char *path)
{
	char number[16], target[PATH_MAX];
	int pair[2];
	pid_t pid;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	snprintf(number, sizeof(number), "%d", pair[1]);
	snprintf(target, sizeof(target), "5000:%s", path);
	pid = fork();
	if (pid == 0) {
		fcntl(pair[1], F_SETFD, 0);
		execl(getenv("CORDON_DIAL"), "cordon-dial", "--requests", number, "--target",
		      target,
#ifdef CLIENT_NO_SANDBOX
		      "--no-sandbox",
#endif
		      (char *)NULL);
		_exit(127);
	}
	close(pair[1]);
	*requests = pair[0];
	return pid;
}

/* Asks for a port: the socket, or the error. */
static int dial_ask(int requests, uint32_t port)
{
	const struct dial_request request = {.id = 77, .port = port};
	struct dial_answer answer = {0};
	struct iovec part = {&answer, sizeof(answer)};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = {.msg_iov = &part,
	                         .msg_iovlen = 1,
	                         .msg_control = &control,
	                         .msg_controllen = sizeof(control)};
	int fd;

	ck_assert_int_eq(send(requests, &request, sizeof(request), 0), sizeof(request));
	ck_assert_int_eq(recvmsg(requests, &message, 0), sizeof(answer));
	ck_assert_uint_eq(answer.id, 77);
	if (answer.error) {
		ck_assert_uint_eq(message.msg_controllen, 0);
		return answer.error;
	}
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}

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
	pid = dial_start(&requests, path);
	ck_assert_int_eq(dial_ask(requests, 5001), -EACCES);
	ck_assert_int_eq(dial_ask(requests, 5000), -ENOENT);
	for (i = 0; i < 2; i++) { /* a service that starts again is found again */
		server = service(path);
		fd = dial_ask(requests, 5000);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(write(fd, "x", 1), 1);
		close(fd);
		close(server);
		ck_assert_int_eq(dial_ask(requests, 5000), -ECONNREFUSED);
		ck_assert_int_eq(unlink(path), 0);
	}
	/* one that accepts nothing is not waited for */
	server = service(path);
	for (i = 0; i < 4; i++)
		more[i] = dial_ask(requests, 5000);
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
	pid = dial_start(&requests, path);
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
