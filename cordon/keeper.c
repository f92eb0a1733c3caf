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
#include "cordon/attend.h"
#include "cordon/keeper.h"
#include "cordon/mind.h"

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

enum { EXTRA_MAX = 16, EXIT_FAILED = 125, SETTLE_MS = 50 };

struct child {
	pid_t pid; /* 0: it has ended */
	char role[KEEPER_ROLE_SIZE];
	const char *fds; /* as given; NULL: none */
	pid_t ended;     /* who has to be told of: this pid, and its status */
	int status;
};

struct keeper {
	const char *name;
	const char *reap;
	char *const *extra; /* arguments after `--`, NULL-terminated */
	int status_fd;
	int record_fd;
	int vmm_status;
	bool asked; /* SIGTERM has come: the vmm's end by SIGKILL is our doing */
	struct child children[KEEPER_CHILDREN_MAX]; /* the first is the vmm */
	size_t count;
	bool revive;
	pid_t helper; /* that revives, or 0 */
	int reports;  /* read end of its pipe, or -1 */
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
	const char *equals = strchr(text, '='), *colon;
	struct child *child;
	char number[16];

	if (keeper->count == KEEPER_CHILDREN_MAX || !equals || equals == text ||
	    equals - text >= KEEPER_ROLE_SIZE)
		return false;
	child = &keeper->children[keeper->count];
	base_copy_string(number, sizeof(number), equals + 1);
	colon = strchr(equals, ':');
	if (colon && colon - equals <= (ptrdiff_t)sizeof(number)) {
		number[colon - equals - 1] = '\0';
		child->fds = colon + 1;
	}
	if (!parse_number(number, 2, &child->pid))
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

/* The helper has said what it started, and that comes before anything of it can be heard. */
static void note_revived(struct keeper *keeper)
{
	struct keeper_revived revived;

	while (keeper->reports >= 0 &&
	       read(keeper->reports, &revived, sizeof(revived)) == sizeof(revived)) {
		for (size_t i = 1; i < keeper->count; i++)
			if (strncmp(keeper->children[i].role, revived.role, KEEPER_ROLE_SIZE) ==
			            0 &&
			    revived.pid > 1 && !is_child(keeper, revived.pid)) {
				keeper->children[i].pid = revived.pid;
				keeper->children[i].ended =
				        0; /* its end has been seen to with another's */
			}
	}
}

static void note_helper_end(struct keeper *keeper)
{
	note_revived(keeper);
	base_close(&keeper->reports);
	keeper->helper = 0;
}

static bool note_child_end(struct keeper *keeper, pid_t pid, int status)
{
	for (size_t i = 0; i < keeper->count; i++) {
		struct child *child = &keeper->children[i];

		if (child->pid != pid)
			continue;
		child->pid = 0;
		child->ended = pid;
		child->status = status;
		if (i == 0)
			keeper->vmm_status = status;
		report(keeper, child->role, pid, status);
		return true;
	}
	return false;
}

static void note_end(struct keeper *keeper, pid_t pid, int status)
{
	if (pid == keeper->helper) {
		note_helper_end(keeper);
		return;
	}
	/* one that the helper replaces is known by its old pid; one that it has just started, by what it says */
	bool known = note_child_end(keeper, pid, status);
	note_revived(keeper);
	if (!known && !note_child_end(keeper, pid, status))
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

static void handle_signals(const sigset_t *mask, void (*handler)(int))
{
	static const int ignored[] = {SIGPIPE, SIGHUP, SIGINT, SIGQUIT};

	for (size_t i = 0; i < BASE_COUNT(ignored); i++)
		signal(ignored[i], handler);
	signal(SIGCHLD, SIG_DFL);
	sigprocmask(SIG_SETMASK, mask, NULL);
}

static _Noreturn void become_helper(const struct keeper *keeper, const struct child *child,
                                    int report)
{
	char pid[16], status[16], fd[16];
	const char *argv[16] = {keeper->reap, "revive",   keeper->name, child->role, "--pid",
	                        pid,          "--status", status,       "--report",  fd};
	sigset_t none;

	snprintf(pid, sizeof(pid), "%d", child->ended);
	snprintf(status, sizeof(status), "%d", child->status);
	snprintf(fd, sizeof(fd), "%d", report);
	if (child->fds) {
		argv[10] = "--fds";
		argv[11] = child->fds;
	}
	sigemptyset(&none);
	handle_signals(&none, SIG_DFL);
	execv(keeper->reap, (char *const *)argv);
	_exit(EXIT_FAILED);
}

/*
 * Who is told of first: one that a signal ended, because one that ended by itself may have noticed just that (as
 * cordon-sets does when cordon-names is gone), and the alert shall be about the cause.
 */
static struct child *first_ended(struct keeper *keeper)
{
	struct child *first = NULL;

	for (size_t i = 1; i < keeper->count; i++) {
		struct child *child = &keeper->children[i];

		if (child->ended > 0 &&
		    (!first || (WIFSIGNALED(child->status) && !WIFSIGNALED(first->status))))
			first = child;
	}
	return first;
}

/* One at a time; those that are not yet told of wait for its end. */
static void revive_next(struct keeper *keeper)
{
	struct child *child = first_ended(keeper);
	int ends[2];

	if (!keeper->revive || keeper->helper > 0 || !child || pipe2(ends, O_NONBLOCK) < 0)
		return;
	keeper->helper = fork();
	if (keeper->helper == 0) {
		close(ends[0]);
		become_helper(keeper, child, ends[1]);
	}
	close(ends[1]);
	fcntl(ends[0], F_SETFD, FD_CLOEXEC);
	keeper->reports = ends[0];
	child->ended = 0;
	if (keeper->helper < 0)
		note_helper_end(keeper);
}

static bool is_any_ended(const struct keeper *keeper)
{
	for (size_t i = 1; keeper->revive && i < keeper->count; i++)
		if (keeper->children[i].ended > 0)
			return true;
	return false;
}

/*
 * Until the vmm has ended. A device whose front end is gone ends too, perhaps a moment earlier: it is given that
 * moment before it counts as one that died.
 */
static void keep(struct keeper *keeper, const sigset_t *signals)
{
	static const struct timespec settle = {.tv_nsec = SETTLE_MS * 1000000};

	while (reap(keeper) && keeper->children[0].pid > 0) {
		bool waits = is_any_ended(keeper) && keeper->helper == 0;
		int number =
		        waits ? sigtimedwait(signals, NULL, &settle) : sigwaitinfo(signals, NULL);

		if (number == SIGTERM) {
			keeper->asked = true;
			kill(keeper->children[0].pid, SIGKILL);
		} else if (number < 0 && waits) {
			revive_next(keeper);
		}
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

/* What was held for devices: a tap is gone before its rules are, and a disk is free. */
static void let_go(const struct keeper *keeper)
{
	for (size_t i = 0; i < keeper->count; i++)
		for (const char *at = keeper->children[i].fds; at && *at;) {
			close((int)strtol(at, NULL, 10));
			at = strchr(at, ',');
			at += at ? 1 : 0;
		}
}

static int become_reaper(const struct keeper *keeper)
{
	char status[16];
	const char *argv[EXTRA_MAX + 7] = {keeper->reap, "reap", keeper->name, "--status", status};
	size_t argc = 5;
	sigset_t none;

	if (keeper->asked)
		argv[argc++] = "--asked";
	for (size_t i = 0; i < EXTRA_MAX && keeper->extra[i]; i++)
		argv[argc++] = keeper->extra[i];
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
	        {"revive", no_argument, NULL, 'a'},
	        {NULL, 0, NULL, 0},
	};
	int option;

	/* `+` stops at the first ROLE=PID, which keeps what follows `--` in its place. */
	while ((option = getopt_long(argc, argv, "+", options, NULL)) >= 0) {
		if (option == 'n')
			keeper->name = optarg;
		else if (option == 'r')
			keeper->reap = optarg;
		else if (option == 'a')
			keeper->revive = true;
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
	        .reports = -1,
	        .children = {{.role = "vmm"}},
	        .count = 1,
	};
	sigset_t signals;
	int error;

	/* One file for both, as both stay for as long as the VM does: its text is in memory once. */
	if (argc > 0 && strcmp(argv[0], "cordon-serve") == 0)
		return attend_main(argc, argv);
	if (argc > 0 && strcmp(argv[0], "cordon-mind") == 0)
		return mind_main(argc, argv);
	error = parse(&keeper, argc, argv);
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
	let_go(&keeper);
	return become_reaper(&keeper);
}
