/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-keeper: waits for the processes of one VM (see keeper.h).
 *
 * There is one for each VM for as long as it runs, so it is static, allocates nothing and sleeps in
 * sigtimedwait(): SIGCHLD says that some child ended, SIGTERM that the VM shall. It has no seccomp
 * list, because it ends by executing `cordon reap` as root; it reads no byte that a guest wrote, only
 * wait statuses. It kills by pid, which is safe: a child's pid is not given to another process before
 * its parent has waited for it.
 */
#include "base/base.h"
#include "cordon/keeper.h"

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

enum { EXTRA_MAX = 16, EXIT_FAILED = 125 };

struct child {
	pid_t pid; /* 0: it has ended */
	char role[KEEPER_ROLE_SIZE];
};

struct keeper {
	const char *name;
	const char *reap;
	char *const *extra; /* arguments after `--`, NULL-terminated */
	int status_fd;
	int record_fd;
	int vmm_status;
	struct child children[KEEPER_CHILDREN_MAX]; /* the first is the vmm */
	size_t count;
};

static int complain(const char *what, const char *value)
{
	dprintf(STDERR_FILENO, "cordon-keeper: %s '%s'\n", what, value);
	return EXIT_FAILED;
}

static bool parse_number(const char *text, int minimum, int *number)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value < minimum || value > INT_MAX)
		return false;
	*number = (int)value;
	return true;
}

static bool is_child(const struct keeper *keeper, pid_t pid)
{
	for (size_t i = 0; i < keeper->count; i++)
		if (keeper->children[i].pid == pid)
			return true;
	return false;
}

static bool add_child(struct keeper *keeper, const char *text)
{
	const char *equals = strchr(text, '=');
	struct child *child;

	if (keeper->count == KEEPER_CHILDREN_MAX || !equals || equals == text ||
	    equals - text >= KEEPER_ROLE_SIZE)
		return false;
	child = &keeper->children[keeper->count];
	if (!parse_number(equals + 1, 2, &child->pid))
		return false;
	memcpy(child->role, text, (size_t)(equals - text));
	/* Once is enough: a pid that stayed after its end would be killed when it is somebody else's. */
	if (!is_child(keeper, child->pid))
		keeper->count++;
	return true;
}

static void report(const struct keeper *keeper, const char *role, pid_t pid, int status)
{
	struct keeper_end end = {.pid = pid, .status = status};

	base_copy_string(end.role, sizeof(end.role), role);
	/* A reader that is gone, slow or out of space must not keep the VM's end from being seen. */
	if (keeper->status_fd >= 0)
		base_write_all(keeper->status_fd, &end, sizeof(end));
	if (keeper->record_fd >= 0)
		base_write_all(keeper->record_fd, &end, sizeof(end));
}

static void note_end(struct keeper *keeper, pid_t pid, int status)
{
	for (size_t i = 0; i < keeper->count; i++)
		if (keeper->children[i].pid == pid) {
			keeper->children[i].pid = 0;
			if (i == 0)
				keeper->vmm_status = status;
			report(keeper, keeper->children[i].role, pid, status);
			return;
		}
	report(keeper, "orphan", pid, status);
}

/* Takes note of every child that has ended by now. False when there are no children at all. */
static bool reap(struct keeper *keeper)
{
	for (;;) {
		int status;
		pid_t pid = waitpid(-1, &status, WNOHANG);

		if (pid <= 0)
			return pid == 0;
		note_end(keeper, pid, status);
	}
}

static bool is_any_left(const struct keeper *keeper)
{
	for (size_t i = 0; i < keeper->count; i++)
		if (keeper->children[i].pid > 0)
			return true;
	return false;
}

static void kill_all(const struct keeper *keeper)
{
	for (size_t i = 0; i < keeper->count; i++)
		if (keeper->children[i].pid > 0)
			kill(keeper->children[i].pid, SIGKILL);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until the vmm has ended. */
static void keep(struct keeper *keeper, const sigset_t *signals)
{
	while (reap(keeper) && keeper->children[0].pid > 0) {
		int number = sigwaitinfo(signals, NULL);

		if (number == SIGTERM)
			kill(keeper->children[0].pid, SIGKILL);
	}
}

/* The vmm's end is a device's end too (its front end hangs up); what does not notice is killed. */
static void end_all(struct keeper *keeper, const sigset_t *signals)
{
	int64_t deadline = now_ms() + KEEPER_GRACE_MS;

	while (reap(keeper) && is_any_left(keeper)) {
		int64_t left = deadline - now_ms();
		struct timespec wait = {.tv_nsec = left * 1000000};

		if (left <= 0) {
			kill_all(keeper);
			sigwaitinfo(signals, NULL);
		} else {
			sigtimedwait(signals, NULL, &wait);
		}
	}
}

static void handle_signals(const sigset_t *mask, void (*handler)(int))
{
	static const int ignored[] = {SIGPIPE, SIGHUP, SIGINT, SIGQUIT};

	for (size_t i = 0; i < BASE_COUNT(ignored); i++)
		signal(ignored[i], handler);
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_SETMASK, mask, NULL);
}

static int become_reaper(const struct keeper *keeper)
{
	char status[16];
	const char *argv[EXTRA_MAX + 6] = {keeper->reap, "reap", keeper->name, "--status", status};
	sigset_t none;

	for (size_t i = 0; i < EXTRA_MAX && keeper->extra[i]; i++)
		argv[5 + i] = keeper->extra[i];
	snprintf(status, sizeof(status), "%d", keeper->vmm_status);
	/* Whoever still means to end the VM must not end what cleans up after it: ignored before it is
	 * unblocked, so that one that waits is dropped, and through the exec. */
	signal(SIGTERM, SIG_IGN);
	sigemptyset(&none);
	handle_signals(&none, SIG_DFL);
	execv(keeper->reap, (char *const *)argv);
	return complain("cannot execute", keeper->reap);
}

static int parse(struct keeper *keeper, int argc, char **argv)
{
	static const struct option options[] = {
	        {"name", required_argument, NULL, 'n'},
	        {"vmm", required_argument, NULL, 'v'},
	        {"status-fd", required_argument, NULL, 's'},
	        {"record-fd", required_argument, NULL, 'f'},
	        {"reap", required_argument, NULL, 'r'},
	        {NULL, 0, NULL, 0},
	};
	int option;

	/* `+` stops at the first ROLE=PID, which keeps what follows `--` in its place. */
	while ((option = getopt_long(argc, argv, "+", options, NULL)) >= 0) {
		if (option == 'n')
			keeper->name = optarg;
		else if (option == 'r')
			keeper->reap = optarg;
		else if (option == 'v' && !parse_number(optarg, 2, &keeper->children[0].pid))
			return complain("--vmm needs a pid, not", optarg);
		else if (option == 's' && !parse_number(optarg, 0, &keeper->status_fd))
			return complain("--status-fd needs an fd, not", optarg);
		else if (option == 'f' && !parse_number(optarg, 0, &keeper->record_fd))
			return complain("--record-fd needs an fd, not", optarg);
		else if (option == '?')
			return EXIT_FAILED;
	}
	if (!keeper->name || !keeper->reap || keeper->children[0].pid == 0)
		return complain("missing", "--name, --vmm or --reap");
	/* getopt takes a `--` that comes before any ROLE=PID. */
	for (; optind < argc && strcmp(argv[optind - 1], "--") != 0; optind++) {
		if (strcmp(argv[optind], "--") == 0)
			continue;
		if (!add_child(keeper, argv[optind]))
			return complain("expected ROLE=PID, not", argv[optind]);
	}
	if (argc - optind > EXTRA_MAX)
		return complain("too many arguments from", argv[optind]);
	keeper->extra = argv + optind;
	return 0;
}

int main(int argc, char **argv)
{
	struct keeper keeper = {
	        .status_fd = -1,
	        .record_fd = -1,
	        .vmm_status = -1,
	        .children = {{.role = "vmm"}},
	        .count = 1,
	};
	sigset_t signals;
	int error = parse(&keeper, argc, argv);

	if (error != 0)
		return error;
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	handle_signals(&signals, SIG_IGN);
	if (keeper.status_fd >= 0)
		fcntl(keeper.status_fd, F_SETFL, O_NONBLOCK);
	keep(&keeper, &signals);
	end_all(&keeper, &signals);
	return become_reaper(&keeper);
}
