/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every list in the build, tried on the kernel with what no role may do. The lists come from
 * `isolate_lists` in the meson.build files: LISTS is LIST(name) for each of them, and the compiler is
 * given their headers. A role that needs one of these calls after all is named beside it, with why.
 */
#include "base/base.h"
#include "isolate/isolate.h"

#include <check.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define LIST(name) {#name, &list_##name},
static const struct {
	const char *name;
	const struct sock_fprog *program;
} lists[] = {LISTS};

static const struct {
	const char *name;
	long call;
	unsigned long args[6];
} forbidden[] = {
        {"mmap of executable memory",
         SYS_mmap,
         {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1}},
        {"mmap of executable memory only",
         SYS_mmap,
         {0, 4096, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1}},
        {"mprotect to executable", SYS_mprotect, {0, 0, PROT_READ | PROT_EXEC}},
        {"mprotect to writable and executable", SYS_mprotect, {0, 0, PROT_WRITE | PROT_EXEC}},
        {"pkey_mprotect to executable", SYS_pkey_mprotect, {0, 0, PROT_EXEC, -1}},
        {"execve", SYS_execve, {0}},
        {"execveat of another file", SYS_execveat, {AT_FDCWD}},
        {"fork", SYS_fork, {0}},
        {"vfork-like clone", SYS_clone, {SIGCHLD}},
        {"ptrace", SYS_ptrace, {PTRACE_TRACEME}},
        {"process_vm_readv", SYS_process_vm_readv, {0}},
        {"open", SYS_open, {0}},
        {"openat", SYS_openat, {AT_FDCWD}},
        {"openat2", SYS_openat2, {AT_FDCWD}},
        {"creat", SYS_creat, {0}},
        {"open_by_handle_at", SYS_open_by_handle_at, {0}},
        {"socket", SYS_socket, {AF_INET, SOCK_STREAM}},
        {"unix socket", SYS_socket, {AF_UNIX, SOCK_STREAM}},
        {"connect", SYS_connect, {0}},
        {"bind", SYS_bind, {0}},
        {"unlink", SYS_unlink, {0}},
        {"rename", SYS_rename, {0}},
        {"mount", SYS_mount, {0}},
        {"unshare", SYS_unshare, {0}},
        {"setns", SYS_setns, {-1}},
        {"bpf program load", SYS_bpf, {5 /* BPF_PROG_LOAD */}},
        {"io_uring_setup", SYS_io_uring_setup, {0}},
        {"userfaultfd", SYS_userfaultfd, {0}},
        {"perf_event_open", SYS_perf_event_open, {0}},
        {"setuid", SYS_setuid, {0}},
        {"kill", SYS_kill, {0, 0}},
        {"keyctl", SYS_keyctl, {0}},
        {"init_module", SYS_init_module, {0}},
        {"personality", SYS_personality, {0}},
        {"shmat", SYS_shmat, {-1}},
        {"TIOCSTI", SYS_ioctl, {-1, 0x5412}},
};

/*
 * A stock dnsmasq is a network server, and opens /dev/null; cordon-dial connects to unix sockets, and reads
 * no byte that a guest wrote; a courier delivers alerts over the network, and its opener, which reads
 * nothing of them, has the sink's path; a child of cordon-names connects to dnsmasq. Their lists have the reasons.
 */
static const struct {
	const char *list, *name;
} excepted[] = {{"dnsmasq", "openat"}, {"dnsmasq", "socket"},   {"dnsmasq", "connect"},
                {"dnsmasq", "bind"},   {"dial", "unix socket"}, {"dial", "connect"},
                {"courier", "socket"}, {"courier", "connect"},  {"names_dial", "connect"},
                {"opener", "openat"},  {"opener", "rename"},    {"opener", "unix socket"},
                {"opener", "connect"}};

static bool is_excepted(const char *list, const char *name)
{
	for (size_t i = 0; i < BASE_COUNT(excepted); i++)
		if (strcmp(excepted[i].list, list) == 0 && strcmp(excepted[i].name, name) == 0)
			return true;
	return false;
}

START_TEST(test_what_no_role_may_do)
{
	size_t list = (size_t)_i / BASE_COUNT(forbidden), call = (size_t)_i % BASE_COUNT(forbidden);
	pid_t pid;
	int status;

	if (is_excepted(lists[list].name, forbidden[call].name))
		return;
	pid = fork();
	if (pid == 0) {
		const unsigned long *args = forbidden[call].args;

		if (isolate_lock(lists[list].program) < 0)
			syscall(SYS_exit_group, 1);
		syscall(forbidden[call].call, args[0], args[1], args[2], args[3], args[4], args[5]);
		syscall(SYS_exit_group, 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS,
	              "%s: %s was not killed (status %x)", lists[list].name, forbidden[call].name,
	              status);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("isolate_lists");
	TCase *tests = tcase_create("lists");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tests, test_what_no_role_may_do, 0,
	                    BASE_COUNT(lists) * BASE_COUNT(forbidden));
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
