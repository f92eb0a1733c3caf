/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * top: its rates and orders, of looks that are made by hand; and the verb on a terminal of the test's own, with a
 * monitor that answers the same each time: what is drawn, that keys work, and that the terminal is left as it was by a
 * key, by a signal, and while it is stopped.
 */
#include "cordon/top.h"

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <termios.h>

#include "base/base.h"
#include "cordon/verbs.h"
#include "fake_monitor.h"

enum { WAIT_MS = 30000 };

static void give(struct top *top, void (*to)(struct top *, const json_t *), json_t *json)
{
	to(top, json);
	json_decref(json);
}

static const struct top_row *row_of(const struct top *top, const char *vm, const char *peer)
{
	size_t count;
	const struct top_row *rows = top_rows(top, &count);

	for (size_t i = 0; i < count; i++)
		if (strcmp(rows[i].vm, vm) == 0 && strcmp(rows[i].peer, peer) == 0)
			return &rows[i];
	ck_abort_msg("no row of %s and %s", vm, peer);
	return NULL;
}

static void look(struct top *top, int step)
{
	top_begin(top);
	give(top, top_guest, stats_make("web0", 1000 + step * 100, 2000 + step * 10));
	give(top, top_guest, stats_make("db", 5 + step, 5 + step * 1000));
	give(top, top_flow, flow_make("web0", "192.0.2.1", false, 1, step * 50, step * 5));
	give(top, top_flow, flow_make("web0", "192.0.2.1", false, 2, step * 30, 0));
	give(top, top_flow, flow_make("web0", "2001:db8::1", true, 3, step * 20, step * 500));
	if (step == 2) /* a new one has grown by all that it has */
		give(top, top_flow, flow_make("db", "192.0.2.9", false, 4, 7, 8));
}

START_TEST(rates)
{
	struct top *top = top_new();
	const struct top_row *rows;
	size_t count;

	look(top, 1);
	top_end(top, TOP_BY_TOTAL, true);
	ck_assert_uint_eq(row_of(top, "web0", "")->out, 0);
	ck_assert_uint_eq(row_of(top, "web0", "192.0.2.1")->out, 0);
	ck_assert_uint_eq(row_of(top, "web0", "192.0.2.1")->out_all, 80);
	look(top, 2);
	top_end(top, TOP_BY_TOTAL, true);
	ck_assert_uint_eq(row_of(top, "web0", "")->out, 100);
	ck_assert_uint_eq(row_of(top, "web0", "")->in, 10);
	ck_assert_uint_eq(row_of(top, "web0", "")->flows, 3);
	ck_assert_uint_eq(row_of(top, "web0", "192.0.2.1")->out, 80);
	ck_assert_uint_eq(row_of(top, "web0", "192.0.2.1")->flows, 2);
	ck_assert_uint_eq(row_of(top, "web0", "2001:db8::1")->in, 500);
	ck_assert_uint_eq(row_of(top, "db", "192.0.2.9")->out, 7);
	rows = top_rows(top, &count);
	ck_assert_uint_eq(count, 5);
	/* db has 1001, web0 110; its peers have 520 and 85 */
	ck_assert_str_eq(rows[0].vm, "db");
	ck_assert_str_eq(rows[1].peer, "192.0.2.9");
	ck_assert_str_eq(rows[2].vm, "web0");
	ck_assert_str_eq(rows[3].peer, "2001:db8::1");
	/* another order of the same look */
	top_end(top, TOP_BY_OUT, true);
	rows = top_rows(top, &count);
	ck_assert_str_eq(rows[0].vm, "web0");
	ck_assert_str_eq(rows[1].peer, "192.0.2.1");
	ck_assert_uint_eq(rows[0].out, 100);
	top_end(top, TOP_BY_NAME, false);
	rows = top_rows(top, &count);
	ck_assert_uint_eq(count, 2);
	ck_assert_str_eq(rows[0].vm, "db");
	top_free(top);
}
END_TEST

/* More peers than there are rows, and counters that begin anew. */
START_TEST(limits)
{
	struct top *top = top_new();
	size_t count;

	for (int n = 0; n < 2; n++) {
		top_begin(top);
		give(top, top_guest, stats_make("web0", n ? 10 : 1000, 0));
		for (unsigned int i = 0; i < TOP_ROWS_MAX + 100; i++) {
			char peer[TOP_PEER_MAX];

			snprintf(peer, sizeof(peer), "10.1.%u.%u", i / 256, i % 256);
			give(top, top_flow, flow_make("web0", peer, false, 1, 5, 5));
		}
		top_end(top, TOP_BY_TOTAL, true);
	}
	top_rows(top, &count);
	ck_assert_uint_eq(count, TOP_ROWS_MAX);
	ck_assert_uint_eq(row_of(top, "web0", "")->out, 10);
	ck_assert_uint_eq(row_of(top, "web0", "")->flows, TOP_ROWS_MAX + 100);
	/* what is no flow at all */
	top_begin(top);
	give(top, top_flow, json_pack("{s:i}", "host", 1));
	give(top, top_guest, json_pack("[]"));
	top_end(top, TOP_BY_TOTAL, true);
	top_rows(top, &count);
	ck_assert_uint_eq(count, 0);
	top_free(top);
}
END_TEST

/* --- the verb --- */

static void fake_answers(int fd, const struct monitor_request *request)
{
	if (request->verb == MONITOR_STATS)
		answer(fd, MONITOR_TEXT, stats_make("web0", 4096, 2048));
	else
		answer(fd, MONITOR_TEXT, flow_make("web0", "192.0.2.\033[31m", false, 1, 50, 5));
}

static int terminal;
static struct termios before;
static pid_t child;

static void verb_start(const char *term, const char *const *args)
{
	const char *argv[8] = {"top"};
	int argc = 1, slave;

	for (; args[argc - 1]; argc++)
		argv[argc] = args[argc - 1];
	ck_assert_int_eq(openpty(&terminal, &slave, NULL, NULL,
	                         &(struct winsize){.ws_row = 20, .ws_col = 100}),
	                 0);
	ck_assert_int_eq(tcgetattr(slave, &before), 0);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setsid();
		signal(SIGCHLD, SIG_IGN);
		dup2(slave, STDIN_FILENO);
		dup2(slave, STDOUT_FILENO);
		setenv("TERM", term, 1);
		exit(verb_top(argc, (char **)argv));
	}
	close(slave);
}

/* Reads until these words were drawn. */
static void drawn(const char *words)
{
	static char text[65536];
	struct pollfd ready = {.fd = terminal, .events = POLLIN};
	size_t used = 0;

	while (used < sizeof(text) - 1 && poll(&ready, 1, WAIT_MS) > 0) {
		ssize_t n = read(terminal, text + used, sizeof(text) - 1 - used);

		if (n <= 0)
			break;
		used += (size_t)n;
		text[used] = '\0';
		if (strstr(text, words))
			return;
	}
	ck_abort_msg("no '%s' in: %s", words, text);
}

static void check_restored(void)
{
	struct termios now;

	ck_assert_int_eq(tcgetattr(terminal, &now), 0);
	ck_assert_uint_eq(now.c_lflag, before.c_lflag);
	ck_assert_uint_eq(now.c_iflag, before.c_iflag);
	ck_assert_int_eq(memcmp(now.c_cc, before.c_cc, sizeof(now.c_cc)), 0);
}

static void check_ended(void)
{
	int status;

	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
	check_restored();
	close(terminal);
}

START_TEST(keys)
{
	struct termios now;

	verb_start("xterm", (const char *[]){"--interval", "1h", NULL});
	drawn("192.0.2.\\x1b[31m"); /* what a guest chose is escaped */
	ck_assert_int_eq(tcgetattr(terminal, &now), 0);
	ck_assert(!(now.c_lflag & ICANON));
	ck_assert_int_eq((int)write(terminal, "p", 1), 1);
	drawn("\033[H");
	ck_assert_int_eq((int)write(terminal, "q", 1), 1);
	drawn("\033[?1049l");
	check_ended();
}
END_TEST

START_TEST(signals)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

	verb_start("xterm", (const char *[]){"--interval", "1h", NULL});
	drawn("web0");
	kill(child, ends[_i]);
	drawn("\033[?25h\033[?1049l");
	check_ended();
}
END_TEST

START_TEST(stopped)
{
	int status;

	verb_start("xterm", (const char *[]){"--interval", "1h", NULL});
	drawn("web0");
	kill(child, SIGTSTP);
	ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
	ck_assert(WIFSTOPPED(status));
	drawn("\033[?1049l");
	check_restored();
	kill(child, SIGCONT);
	drawn("web0"); /* drawn anew */
	kill(child, SIGTERM);
	drawn("\033[?1049l");
	check_ended();
}
END_TEST

/* Nothing but text, and the terminal is left alone. */
START_TEST(dumb)
{
	verb_start("dumb", (const char *[]){"--interval", "1s", NULL});
	drawn("web0");
	check_restored();
	drawn("web0");
	kill(child, SIGINT);
	check_ended();
}
END_TEST

START_TEST(once)
{
	verb_start("xterm", (const char *[]){"--once", "--interval", "1s", NULL});
	drawn("192.0.2.");
	check_ended();
	verb_start("xterm",
	           (const char *[]){"--once", "--interval", "1s", "--format", "json", NULL});
	drawn("\"peers\"");
	check_ended();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cordon_top");
	TCase *tests = tcase_create("top");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, rates);
	tcase_add_test(tests, limits);
	tcase_add_test(tests, keys);
	tcase_add_loop_test(tests, signals, 0, 4);
	tcase_add_test(tests, stopped);
	tcase_add_test(tests, dumb);
	tcase_add_test(tests, once);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
