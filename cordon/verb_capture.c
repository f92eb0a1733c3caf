/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * capture: writes a running guest's packets to a pcapng file. This verb finds the tap and opens the
 * output; cordon-capture, in a process and a sandbox of its own, reads the packets.
 */
#include "cordon/cli.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/base.h"
#include "cordon/verbs.h"
#include "isolate/isolate.h"

enum {
	CAPTURE_UID = ISOLATE_UID_BASE - 3,
	CAPTURE_FD_OUTPUT = 3,
	CAPTURE_SECONDS_MAX = 7 * 24 * 3600
};

static const char usage[] =
        "usage: cordon capture NAME -o FILE.pcapng [--duration 10s] [--count N] [--filter EXPR]\n"
        "                      [--snaplen BYTES]\n\n"
        "Writes a running guest's packets, both ways, to a pcapng file, until the time or the "
        "count is\n"
        "over or it is interrupted. EXPR is a pcap-filter(7) expression.\n";

struct capture_options {
	const char *output, *filter, *count, *snaplen;
	long seconds;
};

static bool capture_duration(const char *text, long *seconds)
{
	if (cli_duration(text, CAPTURE_SECONDS_MAX, seconds))
		return true;
	fprintf(stderr, "cordon: --duration '%s' is not a time from 1s to 168h\n", text);
	return false;
}

static bool capture_number(const char *option, const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*text >= '0' && *text <= '9' && *end == '\0' && value > 0 && value <= UINT32_MAX)
		return true;
	fprintf(stderr, "cordon: --%s '%s' is not a number above 0\n", option, text);
	return false;
}

static int capture_parse(int argc, char **argv, struct capture_options *options)
{
	static const struct option longs[] = {{"output", required_argument, NULL, 'o'},
	                                      {"duration", required_argument, NULL, 'd'},
	                                      {"count", required_argument, NULL, 'c'},
	                                      {"filter", required_argument, NULL, 'f'},
	                                      {"snaplen", required_argument, NULL, 's'},
	                                      CLI_HELP_OPTION,
	                                      {0}};
	bool good = true;
	int option;

	optind = 1;
	while (good && (option = getopt_long(argc, argv, "o:d:c:f:s:h", longs, NULL)) != -1) {
		switch (option) {
		case 'o': options->output = optarg; break;
		case 'f': options->filter = optarg; break;
		case 'd': good = capture_duration(optarg, &options->seconds); break;
		case 'c': good = capture_number("count", options->count = optarg); break;
		case 's': good = capture_number("snaplen", options->snaplen = optarg); break;
		case 'h': fputs(usage, stdout); return VERB_OK;
		default: return VERB_FAILED;
		}
	}
	if (!good)
		return VERB_FAILED;
	if (argc - optind != 1 || !options->output) {
		fputs(usage, stderr);
		return VERB_FAILED;
	}
	return -1;
}

/* Blocks or unblocks what ends a capture, and sets what is done about SIGINT and SIGTERM. */
static sigset_t capture_signals(int how, void (*handler)(int))
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGCHLD);
	sigprocmask(how, &set, NULL);
	signal(SIGINT, handler);
	signal(SIGTERM, handler);
	return set;
}

/* In the child: becomes cordon-capture, which is root only until it has opened the tap. */
static _Noreturn void capture_exec(const struct capture_options *options, const char *vm,
                                   const char *tap, int output)
{
	char path[POLICY_PATH_MAX], uid[16], seconds[16], fd[16];
	const char *argv[24];
	size_t n = 0;

	snprintf(uid, sizeof(uid), "%d", CAPTURE_UID);
	snprintf(seconds, sizeof(seconds), "%ld", options->seconds);
	snprintf(fd, sizeof(fd), "%d", CAPTURE_FD_OUTPUT);
	/* dup2() onto itself would leave the fd to be closed by the exec */
	if (programs_path(path, "cordon-capture") < 0 || dup2(output, CAPTURE_FD_OUTPUT) < 0 ||
	    fcntl(CAPTURE_FD_OUTPUT, F_SETFD, 0) < 0) {
		fprintf(stderr, "cordon: cannot start cordon-capture: %s\n", strerror(errno));
		_exit(VERB_FAILED);
	}
	const char *pairs[][2] = {{"--interface", tap},
	                          {"--output-fd", fd},
	                          {"--uid", uid},
	                          {"--vm", vm},
	                          {"--filter", options->filter},
	                          {"--count", options->count},
	                          {"--snaplen", options->snaplen},
	                          {"--duration", options->seconds ? seconds : NULL}};
	argv[n++] = "cordon-capture";
	for (size_t i = 0; i < BASE_COUNT(pairs); i++)
		if (pairs[i][1]) {
			argv[n++] = pairs[i][0];
			argv[n++] = pairs[i][1];
		}
	argv[n] = NULL;
	/* a shell may have had SIGINT ignored for what it runs in the background */
	capture_signals(SIG_UNBLOCK, SIG_DFL);
	execve(path, (char *const *)argv, (char *[]){NULL});
	fprintf(stderr, "cordon: cannot run %s: %s\n", path, strerror(errno));
	_exit(VERB_FAILED);
}

static int capture_run(const struct capture_options *options, const char *vm, const char *tap)
{
	BASE_AUTO_FD int output =
	        open(options->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	sigset_t set;
	int status = 0, number;
	pid_t child;

	if (output < 0) {
		fprintf(stderr, "cordon: cannot write %s: %s\n", options->output, strerror(errno));
		return VERB_FAILED;
	}
	fflush(NULL);
	set = capture_signals(SIG_BLOCK, SIG_DFL);
	child = fork();
	if (child == 0)
		capture_exec(options, vm, tap, output);
	/* whoever interrupts this verb means the capture, which then ends its file in order */
	while (child > 0 && waitpid(child, &status, WNOHANG) == 0)
		if (sigwait(&set, &number) == 0 && number != SIGCHLD)
			kill(child, SIGINT);
	return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? VERB_OK : VERB_FAILED;
}

int verb_capture(int argc, char **argv)
{
	struct capture_options options = {0};
	BASE_AUTO_FREE struct host_vm *vm = calloc(1, sizeof(*vm));
	int status = capture_parse(argc, argv, &options);

	if (status >= 0 || !vm)
		return status >= 0 ? status : VERB_FAILED;
	if (geteuid() != 0) {
		fprintf(stderr, "cordon: capturing needs root\n");
		return VERB_FAILED;
	}
	if (registry_load(argv[optind], vm) < 0 || !registry_alive(vm)) {
		fprintf(stderr, "cordon: there is no guest named '%s'\n", argv[optind]);
		return VERB_NOT_FOUND;
	}
	if (vm->nic_count == 0) {
		fprintf(stderr, "cordon: '%s' has no network\n", vm->name);
		return VERB_FAILED;
	}
	return capture_run(&options, vm->name, vm->nics[0].tap);
}
