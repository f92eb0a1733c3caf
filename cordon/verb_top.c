/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * top: who sends how much to whom, now. On a terminal that can place its cursor the table is drawn over itself, and
 * keys choose its order; elsewhere one table follows the other. Whatever ends it, a key, a signal or an
 * error, the terminal is as it was; so it is while it is stopped.
 */
#include "cordon/cli.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>

#include "base/base.h"
#include "cordon/ask.h"
#include "cordon/top.h"
#include "cordon/verbs.h"

enum { TOP_INTERVAL_MAX = 3600, TOP_LINES = 24, TOP_COLUMNS = 80 };

struct top_screen {
	bool json, once, draws; /* draws: over itself */
	bool raw;               /* the terminal is not as it was */
	struct termios before;
	long interval;
	enum top_sort sort;
	bool no_peers;
	const char *vm;
	struct top *top;
	int signals;
	int64_t looked_ms, span_ms; /* when the last look was, and since the one before */
};

static const char usage[] =
        "usage: cordon top [--once] [--interval TIME] [--sort KEY] [--no-peers] [--format "
        "table|json] [NAME]\n\n"
        "Shows what guests send and receive, and with whom, again and again.\n\n"
        "  --once           one table, of the first interval\n"
        "  --interval TIME  between two looks: 2s (the default), 1m\n"
        "  --sort KEY       total (the default), out, in, flows or name\n"
        "  --no-peers       guests only\n\n"
        "Keys: t, o, i, f, n choose the order, p shows and hides peers, q ends.\n";

static const struct top_word {
	const char *word;
	char key;
	enum top_sort sort;
} top_words[] = {
        {"total", 't', TOP_BY_TOTAL}, {"out", 'o', TOP_BY_OUT},   {"in", 'i', TOP_BY_IN},
        {"flows", 'f', TOP_BY_FLOWS}, {"name", 'n', TOP_BY_NAME},
};

/* --- the terminal --- */

static void top_restore(struct top_screen *screen)
{
	if (!screen->raw)
		return;
	/* the cursor, and the screen that was there before */
	fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &screen->before);
	screen->raw = false;
}

static void top_take(struct top_screen *screen)
{
	struct termios keys;

	if (!screen->draws || tcgetattr(STDIN_FILENO, &screen->before) < 0)
		return;
	keys = screen->before;
	keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	keys.c_cc[VMIN] = 1;
	keys.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &keys) < 0)
		return;
	screen->raw = true;
	fputs("\033[?1049h\033[?25l", stdout);
}

static int top_signals(void)
{
	static const int wanted[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < BASE_COUNT(wanted); i++)
		sigaddset(&set, wanted[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void top_size(size_t *lines, size_t *columns)
{
	struct winsize size;

	*lines = TOP_LINES;
	*columns = TOP_COLUMNS;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row && size.ws_col) {
		*lines = size.ws_row;
		*columns = size.ws_col;
	}
}

/* --- a look --- */

static int64_t top_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int top_ask(struct top_screen *screen, enum monitor_verb verb, const char *vm,
                   void (*each)(struct top *, const json_t *))
{
	BASE_AUTO_FD int monitor = ask_monitor(verb, vm);
	json_t *json = NULL;
	int type = monitor < 0 ? -ENOTCONN : MONITOR_TEXT;

	while (type == MONITOR_TEXT && (type = ask_next(monitor, &json)) == MONITOR_TEXT) {
		const char *name = json_string_value(json_object_get(json, "vm"));

		if (verb == MONITOR_FLOWS || !*screen->vm || (name && !strcmp(name, screen->vm)))
			each(screen->top, json);
		json_decref(json);
	}
	return BASE_MIN(type, 0);
}

static int top_look(struct top_screen *screen)
{
	const int64_t now = top_now_ms();
	int err;

	screen->span_ms = screen->looked_ms ? BASE_MAX(now - screen->looked_ms, 1) : 0;
	screen->looked_ms = now;
	top_begin(screen->top);
	err = top_ask(screen, MONITOR_STATS, "", top_guest);
	if (!err)
		err = top_ask(screen, MONITOR_FLOWS, screen->vm, top_flow);
	top_end(screen->top, screen->sort, !screen->no_peers);
	return err;
}

/* --- what is shown --- */

static uint64_t top_rate(const struct top_screen *screen, uint64_t bytes)
{
	return screen->span_ms ? (uint64_t)((double)bytes * 1000 / (double)screen->span_ms) : 0;
}

static void top_line(const char *line, size_t columns)
{
	char cut[256];

	base_copy_string(cut, BASE_MIN(sizeof(cut), columns + 1), line);
	cli_print_text("%s\n", cut);
}

static void top_row_print(const struct top_screen *screen, const struct top_row *row,
                          size_t columns)
{
	char out[16], in[16], out_all[16], in_all[16], line[256];

	cli_bytes(out, top_rate(screen, row->out));
	cli_bytes(in, top_rate(screen, row->in));
	cli_bytes(out_all, row->out_all);
	cli_bytes(in_all, row->in_all);
	snprintf(line, sizeof(line), "%s%-*s %7s/s %7s/s %7llu %8s %8s", row->peer[0] ? "  " : "",
	         row->peer[0] ? 38 : 40, row->peer[0] ? row->peer : row->vm, out, in,
	         (unsigned long long)row->flows, out_all, in_all);
	top_line(line, columns);
}

static void top_table(const struct top_screen *screen)
{
	size_t count, lines, columns;
	const struct top_row *rows = top_rows(screen->top, &count);
	char head[256];

	top_size(&lines, &columns);
	if (screen->raw)
		fputs("\033[H\033[J", stdout);
	else
		columns = sizeof(head) - 1;
	snprintf(head, sizeof(head), "%-40s %9s %9s %7s %8s %8s", "GUEST, PEER", "OUT", "IN",
	         "FLOWS", "ALL OUT", "ALL IN");
	top_line(head, columns);
	if (screen->raw && lines > 2)
		count = BASE_MIN(count, lines - 2);
	for (size_t i = 0; i < count; i++)
		top_row_print(screen, &rows[i], columns);
	if (!screen->raw && !screen->once)
		putchar('\n');
}

static json_t *top_row_json(const struct top_screen *screen, const struct top_row *row)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", row->peer[0] ? "peer" : "vm",
	                 row->peer[0] ? row->peer : row->vm, "out_per_second",
	                 (json_int_t)top_rate(screen, row->out), "in_per_second",
	                 (json_int_t)top_rate(screen, row->in), "flows", (json_int_t)row->flows,
	                 "bytes_out", (json_int_t)row->out_all, "bytes_in",
	                 (json_int_t)row->in_all);
}

static void top_json(const struct top_screen *screen)
{
	json_t *guests = json_array(), *peers = NULL, *all;
	const struct top_row *rows;
	size_t count;

	rows = top_rows(screen->top, &count);
	for (size_t i = 0; i < count; i++) {
		json_t *one = top_row_json(screen, &rows[i]);

		if (rows[i].peer[0]) {
			/* behind its guest, unless that has just come */
			if (!peers || json_array_append_new(peers, one) < 0)
				json_decref(one);
			continue;
		}
		json_object_set_new(one, "peers", peers = json_array());
		json_array_append_new(guests, one);
	}
	all = json_pack("{s:f, s:o}", "seconds", (double)screen->span_ms / 1000, "guests", guests);
	cli_print_json(all);
	json_decref(all);
}

static void top_show(const struct top_screen *screen)
{
	if (screen->json)
		top_json(screen);
	else
		top_table(screen);
	fflush(stdout);
}

/* --- until it ends --- */

/* True when it is to end. */
static bool top_key_pressed(struct top_screen *screen)
{
	char key;

	if (read(STDIN_FILENO, &key, 1) != 1 || key == 'q')
		return true;
	if (key == 'p')
		screen->no_peers = !screen->no_peers;
	for (size_t i = 0; i < BASE_COUNT(top_words); i++)
		if (top_words[i].key == key)
			screen->sort = top_words[i].sort;
	return false;
}

static bool top_signalled(struct top_screen *screen)
{
	struct signalfd_siginfo info;

	if (read(screen->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return false;
	if (info.ssi_signo == SIGWINCH)
		return false;
	top_restore(screen);
	if (info.ssi_signo != SIGTSTP)
		return true;
	raise(SIGSTOP);
	top_take(screen);
	return false;
}

/* Waits for the next look, a key or a signal; true when it is to end. */
static bool top_wait(struct top_screen *screen)
{
	const int64_t until = screen->looked_ms + screen->interval * 1000;
	struct pollfd fds[] = {{.fd = screen->signals, .events = POLLIN},
	                       {.fd = screen->raw ? STDIN_FILENO : -1, .events = POLLIN}};
	int64_t left;

	while ((left = until - top_now_ms()) > 0) {
		if (poll(fds, BASE_COUNT(fds), (int)left) <= 0)
			continue;
		if (fds[0].revents && top_signalled(screen))
			return true;
		if (fds[1].revents && top_key_pressed(screen))
			return true;
		/* the order, or the size; the numbers are those of the last look */
		top_end(screen->top, screen->sort, !screen->no_peers);
		top_show(screen);
	}
	return false;
}

static int top_run(struct top_screen *screen)
{
	int err = top_look(screen);

	if (!err)
		top_take(screen);
	while (!err) {
		if (!screen->once && !screen->json)
			top_show(screen);
		if (top_wait(screen))
			break;
		err = top_look(screen);
		if (!err && (screen->once || screen->json))
			top_show(screen);
		if (screen->once)
			break;
	}
	top_restore(screen);
	return err ? ask_failed(err, screen->vm) : VERB_OK;
}

/* -1 to go on, or the exit status. */
static int top_option(int option, struct top_screen *screen)
{
	switch (option) {
	case '1': screen->once = true; return -1;
	case 'P': screen->no_peers = true; return -1;
	case 'F': return cli_format(optarg, &screen->json) ? -1 : VERB_FAILED;
	case 's':
		for (size_t i = 0; i < BASE_COUNT(top_words); i++)
			if (strcmp(top_words[i].word, optarg) == 0) {
				screen->sort = top_words[i].sort;
				return -1;
			}
		fprintf(stderr, "cordon: --sort '%s' is none of total, out, in, flows and name\n",
		        optarg);
		return VERB_FAILED;
	case 't':
		if (cli_duration(optarg, TOP_INTERVAL_MAX, &screen->interval))
			return -1;
		fprintf(stderr, "cordon: --interval '%s' is no time such as 2s (up to an hour)\n",
		        optarg);
		return VERB_FAILED;
	case 'h': fputs(usage, stdout); return VERB_OK;
	default: fputs(usage, stderr); return VERB_FAILED;
	}
}

int verb_top(int argc, char **argv)
{
	static const struct option longs[] = {{"once", no_argument, NULL, '1'},
	                                      {"no-peers", no_argument, NULL, 'P'},
	                                      {"sort", required_argument, NULL, 's'},
	                                      {"interval", required_argument, NULL, 't'},
	                                      CLI_FORMAT_OPTION,
	                                      CLI_HELP_OPTION,
	                                      {0}};
	const char *term = getenv("TERM");
	struct top_screen screen = {.interval = 2, .vm = ""};
	int option, status = -1;

	optind = 1;
	while (status < 0 && (option = getopt_long(argc, argv, "h", longs, NULL)) != -1)
		status = top_option(option, &screen);
	if (status < 0 && argc - optind > 1) {
		fputs(usage, stderr);
		status = VERB_FAILED;
	}
	if (status >= 0)
		return status;
	screen.vm = optind < argc ? argv[optind] : "";
	if (*screen.vm && !registry_name_valid(screen.vm))
		return ask_failed(-ENOENT, screen.vm);
	screen.draws = !screen.json && !screen.once && isatty(STDIN_FILENO) &&
	               isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0;
	screen.top = top_new();
	screen.signals = top_signals();
	status = screen.top && screen.signals >= 0 ? top_run(&screen) : VERB_FAILED;
	base_close(&screen.signals);
	top_free(screen.top);
	return status;
}
