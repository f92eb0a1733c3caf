/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * console and logs. The console is the guest's serial port, or its virtio console, byte for byte, on a
 * socket that the vmm or cordon-console itself serves: no process with privilege has a part in it. Ctrl-]
 * detaches. A virtio console also hears of the terminal's size, by datagrams. The log is what was written of
 * it to a file, printed with control characters escaped unless --raw is given.
 */
#include "cordon/cli.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>

#include "base/base.h"
#include "cordon/verbs.h"

enum { CONSOLE_DETACH = 0x1d, CONSOLE_CHUNK = 4096, CONSOLE_PATIENCE_S = 2 };

/* A connection to a socket in the VM's folder. */
static int console_connect(const char *vm, const char *file, int type)
{
	const struct timeval patience = {.tv_sec = CONSOLE_PATIENCE_S};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char path[POLICY_PATH_MAX];
	BASE_AUTO_FD int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	/* a vmm that neither accepts nor reads must not keep the person from detaching */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	registry_path(path, vm, file);
	if (base_copy_string(address.sun_path, sizeof(address.sun_path), path))
		return -ENAMETOOLONG;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return base_take_fd(&fd);
}

/* Returns false when the person wants to detach, or has no more input. */
static bool console_send(int fd, bool *input)
{
	char data[CONSOLE_CHUNK];
	ssize_t n = read(STDIN_FILENO, data, sizeof(data));
	char *detach;

	if (n <= 0) {
		*input = false; /* end of a pipe: go on printing */
		return true;
	}
	detach = memchr(data, CONSOLE_DETACH, (size_t)n);
	if (detach && isatty(STDIN_FILENO))
		return false;
	return base_write_all(fd, data, (size_t)n) == 0;
}

/* Tells a virtio console how large this terminal is: columns and rows, as cordon-console reads them. */
static void console_send_size(int size)
{
	struct winsize window;
	uint16_t numbers[2];

	if (size < 0 || ioctl(STDIN_FILENO, TIOCGWINSZ, &window) < 0)
		return;
	numbers[0] = window.ws_col;
	numbers[1] = window.ws_row;
	(void)!send(size, numbers, sizeof(numbers), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Reads what the terminal says of its size (`changes`, a signalfd), and passes it on. */
static void console_resized(int changes, int size)
{
	struct signalfd_siginfo signal;

	if (read(changes, &signal, sizeof(signal)) > 0)
		console_send_size(size);
}

static void console_loop(int fd, bool input, int changes, int size)
{
	char data[CONSOLE_CHUNK];

	for (;;) {
		struct pollfd fds[] = {
		        {.fd = fd, .events = POLLIN},
		        {.fd = input ? STDIN_FILENO : -1, .events = POLLIN},
		        {.fd = changes, .events = POLLIN},
		};
		if (poll(fds, BASE_COUNT(fds), -1) < 0 && errno != EINTR)
			return;
		if (fds[0].revents) {
			ssize_t n = read(fd, data, sizeof(data));

			if (n <= 0 || base_write_all(STDOUT_FILENO, data, (size_t)n) < 0)
				return;
		}
		if (fds[1].revents && !console_send(fd, &input))
			return;
		if (fds[2].revents)
			console_resized(changes, size);
	}
}

int console_relay(const char *vm, bool input)
{
	BASE_AUTO_FD int fd = console_connect(vm, "console.sock", SOCK_STREAM);
	BASE_AUTO_FD int size = -1, changes = -1;
	struct termios before, raw;
	sigset_t window;
	bool terminal = input && tcgetattr(STDIN_FILENO, &before) == 0;

	if (fd < 0)
		return fd;
	sigemptyset(&window);
	sigaddset(&window, SIGWINCH);
	if (terminal) {
		/* a serial port has no such socket, and no size */
		size = console_connect(vm, "console-size.sock", SOCK_DGRAM);
		sigprocmask(SIG_BLOCK, &window, NULL);
		changes = signalfd(-1, &window, SFD_CLOEXEC);
		console_send_size(size);
		raw = before;
		cfmakeraw(&raw);
		raw.c_oflag |= OPOST; /* the guest ends its lines itself; ours stay readable */
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	console_loop(fd, input, changes, size);
	if (terminal) {
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
		sigprocmask(SIG_UNBLOCK, &window, NULL);
	}
	return 0;
}

int verb_console(int argc, char **argv)
{
	static const char usage[] =
	        "usage: cordon console NAME\n\nJoins this terminal and the guest's serial "
	        "port, or its virtio console. Ctrl-] detaches.\n";
	struct cli_options options;
	const char *name;
	int status = cli_simple(argc, argv, usage, 1, 1, &options), err;

	if (status >= 0)
		return status;
	name = argv[options.first];
	err = registry_name_valid(name) ? console_relay(name, true) : -ENOENT;
	if (err == -ENOENT || err == -ECONNREFUSED) {
		fprintf(stderr, "cordon: there is no guest named '%s'\n", name);
		return VERB_NOT_FOUND;
	}
	if (err) {
		fprintf(stderr, "cordon: cannot reach the console of '%s': %s\n", name,
		        strerror(-err));
		return VERB_FAILED;
	}
	return VERB_OK;
}

struct logs_options {
	bool raw, follow;
	const char *log; /* which: its file's suffix */
};

static int logs_open(const char *name, const struct logs_options *options, const char *suffix)
{
	char path[POLICY_PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), HOST_LOG_DIR "/%s.%s%s", name, options->log, suffix);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 ? -errno : fd;
}

/* At the end of the file: waits for more. One that became shorter was begun anew. */
static void logs_wait(int fd)
{
	struct stat facts;

	fflush(stdout);
	poll(NULL, 0, 200);
	if (fstat(fd, &facts) == 0 && facts.st_size < lseek(fd, 0, SEEK_CUR))
		lseek(fd, 0, SEEK_SET);
}

static void logs_copy(int fd, const struct logs_options *options, bool follow)
{
	char data[CONSOLE_CHUNK];
	ssize_t n;

	while (((n = read(fd, data, sizeof(data))) > 0 || follow) && !ferror(stdout)) {
		if (n <= 0)
			logs_wait(fd);
		else if (options->raw)
			fwrite(data, 1, (size_t)n, stdout);
		else
			cli_print_escaped(stdout, data, (size_t)n);
	}
}

static int logs_print(const char *name, const struct logs_options *options)
{
	BASE_AUTO_FD int old = logs_open(name, options, ".1");
	BASE_AUTO_FD int fd = logs_open(name, options, "");

	if (fd < 0) {
		fprintf(stderr, "cordon: no log of '%s': %s\n", name, strerror(-fd));
		return fd == -ENOENT ? VERB_NOT_FOUND : VERB_FAILED;
	}
	if (old >= 0)
		logs_copy(old, options, false);
	logs_copy(fd, options, options->follow);
	return VERB_OK;
}

int verb_logs(int argc, char **argv)
{
	static const char usage[] =
	        "usage: cordon logs [--follow] [--raw] [--console | --vmm] NAME\n\nPrints "
	        "what the guest wrote to its serial "
	        "port, with control characters escaped.\n\n  --follow  go on "
	        "as more comes\n  --raw     every "
	        "byte as it is (a guest can drive your terminal with it)\n  "
	        "--console what the guest wrote to its virtio console instead\n  "
	        "--vmm     what the VM's own "
	        "processes logged instead\n";
	static const struct option longs[] = {{"follow", no_argument, NULL, 'f'},
	                                      {"raw", no_argument, NULL, 'r'},
	                                      {"console", no_argument, NULL, 'c'},
	                                      {"vmm", no_argument, NULL, 'v'},
	                                      CLI_HELP_OPTION,
	                                      {0}};
	struct logs_options options = {.log = "serial"};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "fh", longs, NULL)) != -1) {
		switch (option) {
		case 'f': options.follow = true; break;
		case 'r': options.raw = true; break;
		case 'c': options.log = "console"; break;
		case 'v': options.log = "log"; break;
		case 'h': fputs(usage, stdout); return VERB_OK;
		default: return VERB_FAILED;
		}
	}
	if (argc - optind != 1 || !registry_name_valid(argv[optind])) {
		fputs(usage, stderr);
		return VERB_FAILED;
	}
	return logs_print(argv[optind], &options);
}
