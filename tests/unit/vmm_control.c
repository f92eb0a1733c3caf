// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm_control: the verbs of the control socket, in every state that allows them and in those that do
 * not, from a client that the event loop serves. The machine has no vCPU: the states are what matters.
 */
#include <check.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/base.h"
#include "tests/unit/vmm_fixture.h"
#include "vmm/control.h"

static struct machine m;
static struct control control;
static struct power power;
static bool pressed;
static pthread_t loop;
static int client;

static void press(void *self, bool high)
{
	(void)self;
	pressed = high;
}

static void *loop_main(void *self)
{
	return (void *)(intptr_t)loop_run(self);
}

/* An abstract name of this process's own: the kernel chooses it. */
static int listen_anywhere(struct sockaddr_un *address, socklen_t *size)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	ck_assert_int_eq(bind(fd, (struct sockaddr *)address, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(listen(fd, VMM_CONTROL_CLIENTS_MAX), 0);
	*size = sizeof(*address);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)address, size), 0);
	return fd;
}

static void start(void)
{
	struct sockaddr_un address;
	socklen_t size;

	vm_init(&m, "test");
	ck_assert_int_eq(loop_create(&m), 0);
	power = (struct power){.machine = &m, .interrupt = press};
	pressed = false;
	ck_assert_int_eq(control_create(&control, &m, &power, listen_anywhere(&address, &size)), 0);
	ck_assert_int_eq(pthread_create(&loop, NULL, loop_main, &m), 0);
	client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(client, (struct sockaddr *)&address, size), 0);
}

static struct vmm_message ask(uint32_t verb)
{
	struct vmm_message message = {.verb = verb};

	ck_assert_int_eq(send(client, &message, sizeof(message), 0), sizeof(message));
	ck_assert_int_eq(recv(client, &message, sizeof(message), 0), sizeof(message));
	return message;
}

static void want_state(uint32_t verb, enum vmm_state state)
{
	struct vmm_message answer = ask(verb);

	ck_assert_uint_eq(answer.verb, VMM_STATE);
	ck_assert_uint_eq(answer.state, state);
}

static void want_refused(uint32_t verb, int error)
{
	struct vmm_message answer = ask(verb);

	ck_assert_uint_eq(answer.verb, VMM_REFUSED);
	ck_assert_int_eq(answer.error, error);
}

static void ended(enum vmm_end end)
{
	void *result;

	ck_assert_int_eq(pthread_join(loop, &result), 0);
	ck_assert_ptr_null(result);
	ck_assert_int_eq(m.state, VMM_ENDED);
	ck_assert_int_eq(m.end, end);
	control_destroy(&control);
}

START_TEST(each_state_has_its_verbs)
{
	want_state(VMM_QUERY, VMM_READY);
	want_refused(VMM_PAUSE, -EALREADY);
	want_refused(VMM_RESUME, -EALREADY);
	want_refused(VMM_POWER_BUTTON, -EAGAIN);
	want_state(VMM_START, VMM_RUNNING);
	want_refused(VMM_START, -EALREADY);
	want_refused(VMM_RESUME, -EALREADY);
	want_state(VMM_POWER_BUTTON, VMM_RUNNING);
	ck_assert(pressed);
	want_state(VMM_PAUSE, VMM_PAUSED);
	want_refused(VMM_PAUSE, -EALREADY);
	want_refused(VMM_POWER_BUTTON, -EAGAIN);
	want_state(VMM_RESUME, VMM_RUNNING);
	want_refused(4711, -ENOSYS);
	want_refused(VMM_STATE, -ENOSYS);
	want_state(VMM_QUIT, VMM_ENDED);
	ended(VMM_END_POWEROFF);
}
END_TEST

START_TEST(a_reset_is_an_end_of_its_own)
{
	want_state(VMM_START, VMM_RUNNING);
	want_state(VMM_RESET, VMM_ENDED);
	ended(VMM_END_RESTART);
}
END_TEST

/* What a guest's doing has paused says so until somebody lets it go on. */
START_TEST(a_pause_has_its_cause)
{
	want_state(VMM_START, VMM_RUNNING);
	machine_lock(&m);
	m.panics = 1;
	machine_pause(&m, VMM_END_PANIC);
	machine_pause(&m, VMM_END_WATCHDOG); /* the first one stays */
	machine_unlock(&m);
	ck_assert_uint_eq(ask(VMM_QUERY).state, VMM_PAUSED);
	ck_assert_uint_eq(ask(VMM_QUERY).end, VMM_END_PANIC);
	ck_assert_uint_eq(ask(VMM_QUERY).panics, 1);
	want_state(VMM_RESUME, VMM_RUNNING);
	ck_assert_uint_eq(ask(VMM_QUERY).end, 0);
	want_state(VMM_PAUSE, VMM_PAUSED);
	ck_assert_uint_eq(ask(VMM_QUERY).end, 0);
	want_state(VMM_QUIT, VMM_ENDED);
	ended(VMM_END_POWEROFF);
}
END_TEST

/* A message of another size is none: its sender is dropped, and nobody else notices. */
START_TEST(who_sends_something_else_is_dropped)
{
	char more[sizeof(struct vmm_message) + 1] = {VMM_QUIT}, byte;

	want_state(VMM_QUERY, VMM_READY);
	ck_assert_int_eq(send(client, more, sizeof(more), 0), sizeof(more));
	ck_assert_int_eq(recv(client, &byte, 1, 0), 0);
	machine_lock(&m);
	ck_assert_int_eq(m.state, VMM_READY);
	machine_end(&m, VMM_END_DEVICE);
	machine_unlock(&m);
	ended(VMM_END_DEVICE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_control");
	TCase *tests = tcase_create("control");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, start, NULL);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, each_state_has_its_verbs);
	tcase_add_test(tests, a_reset_is_an_end_of_its_own);
	tcase_add_test(tests, a_pause_has_its_cause);
	tcase_add_test(tests, who_sends_something_else_is_dropped);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
