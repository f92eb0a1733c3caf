/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON-RPC 2.0 on a unix stream socket, one object a line.
 *
 * The daemon forks for each connection: the child does what it is asked, one request after the other,
 * and a request that takes long, or takes the process down, is that connection's alone. One more
 * child keeps the link to the monitor. The parent accepts, never waits for anything else, and holds
 * nothing that could be lost: state is in the registry. Whoever may open the socket (root, and group cordon) may do what root can do with it, as
 * a policy names files that root opens: SECURITY.md says so.
 */
#include "cordon/host.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/base.h"
#include "cordon/request.h"

#define RPC_SOCKET HOST_RUN_DIR "/cordond.sock"

enum {
	RPC_CLIENTS_MAX = 1024, /* each `cordon run` in the foreground is one */
	RPC_BACKLOG = 64,
	RPC_GROUPS_MAX = 256,
	RPC_SEND_S = 30,
	RPC_CONNECT_S = 5,
	RPC_RETRY_MS = 500,
};

static void rpc_address(struct sockaddr_un *address)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	base_copy_string(address->sun_path, sizeof(address->sun_path), RPC_SOCKET);
}

int rpc_connect(void)
{
	const struct timeval patience = {.tv_sec = RPC_CONNECT_S};
	struct sockaddr_un address;
	BASE_AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* a daemon that is stopped lets its queue fill */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	rpc_address(&address);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return base_take_fd(&fd);
}

static int rpc_send(int fd, const json_t *json)
{
	BASE_AUTO_FREE char *text = json_dumps(json, JSON_COMPACT);
	int err = text ? base_write_all(fd, text, strlen(text)) : -ENOMEM;

	return err ? err : base_write_all(fd, "\n", 1);
}

/* Client side: one request, one answer. */
json_t *rpc_call(int connection, const char *method, json_t *params, struct host_error *error)
{
	json_t *request = json_pack("{s:s, s:i, s:s, s:O}", "jsonrpc", "2.0", "id", 1, "method",
	                            method, "params", params);
	BASE_AUTO_FD int in = fcntl(connection, F_DUPFD_CLOEXEC, 0);
	BASE_AUTO_FILE FILE *lines = fdopen(in, "r");
	json_t *answer = NULL, *failure, *result;
	int err = rpc_send(connection, request);

	json_decref(request);
	if (lines)
		in = -1; /* the stream's now */
	if (!err && lines)
		answer = json_loadf(lines, JSON_DISABLE_EOF_CHECK, NULL);
	if (!json_is_object(answer)) {
		json_decref(answer);
		host_fail(error, -EPROTO, 125, "cordond did not answer");
		return NULL;
	}
	failure = json_object_get(answer, "error");
	if (failure) {
		json_t *data = json_object_get(failure, "data");
		const char *text = json_string_value(json_object_get(failure, "message"));

		host_fail(error, (int)json_integer_value(json_object_get(data, "errno")),
		          (int)json_integer_value(json_object_get(data, "exit")), "%s",
		          text ? text : "cordond refused");
		error->data = json_incref(json_object_get(data, "errors"));
		json_decref(answer);
		return NULL;
	}
	result = json_incref(json_object_get(answer, "result"));
	if (!result)
		host_fail(error, -EPROTO, 125, "cordond's answer has no result");
	json_decref(answer);
	return result;
}

static int rpc_reply(int fd, json_t *answer)
{
	int err = answer ? rpc_send(fd, answer) : 0;

	json_decref(answer);
	return err;
}

static void rpc_serve_client(int fd)
{
	BASE_CLEANUP(request_lines_clear) struct request_lines lines = {0};
	ssize_t n;

	while ((n = request_lines_read(&lines, fd)) > 0) {
		const char *line;
		size_t size;

		while ((line = request_lines_next(&lines, &size)))
			if (rpc_reply(fd, request_answer(line, size)) < 0)
				return;
	}
	if (n == -EMSGSIZE)
		rpc_reply(fd, request_refuse(-32600, "a request has at most 2 MiB"));
}

/* The socket's mode says the same; this holds where somebody has changed it. */
static bool rpc_may(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer), group_size;
	gid_t groups[RPC_GROUPS_MAX];
	const struct group *entry = getgrnam(HOST_GROUP);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return false;
	if (peer.uid == 0 || (entry && peer.gid == entry->gr_gid))
		return true;
	group_size = sizeof(groups);
	if (!entry || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &group_size) < 0)
		return false;
	for (size_t i = 0; i < group_size / sizeof(groups[0]); i++)
		if (groups[i] == entry->gr_gid)
			return true;
	return false;
}

static int rpc_listen(void)
{
	struct sockaddr_un address;
	const struct group *entry = getgrnam(HOST_GROUP);
	BASE_AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	rpc_address(&address);
	unlink(RPC_SOCKET);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    chmod(RPC_SOCKET, 0660) < 0 || chown(RPC_SOCKET, 0, entry ? entry->gr_gid : 0) < 0 ||
	    listen(fd, RPC_BACKLOG) < 0)
		return -errno;
	return base_take_fd(&fd);
}

struct rpc_daemon {
	int listener, signals, lock;
	int clients;
	pid_t server; /* serve.c's: what alerts ask for, the monitor's and the keepers' deaths */
};

/* In a child of the daemon: gives back what only the daemon uses. */
static void rpc_child(struct rpc_daemon *daemon)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	base_close(&daemon->listener);
	base_close(&daemon->signals);
	/* or the next daemon would find it held by a client of this one */
	base_close(&daemon->lock);
}

static void rpc_accept(struct rpc_daemon *daemon)
{
	const struct timeval patience = {.tv_sec = RPC_SEND_S};
	BASE_AUTO_FD int client = accept4(daemon->listener, NULL, NULL, SOCK_CLOEXEC);
	pid_t child;

	if (client < 0)
		return;
	/* one that sends and does not read its answers ends here, and not never */
	setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!rpc_may(client)) {
		rpc_reply(client,
		          request_refuse(-32000,
		                         "cordond is for root and the group '" HOST_GROUP "'"));
		return;
	}
	if (daemon->clients >= RPC_CLIENTS_MAX) {
		rpc_reply(client, request_refuse(-32000, "cordond has too many clients"));
		return;
	}
	child = fork();
	if (child == 0) {
		rpc_child(daemon);
		rpc_serve_client(client);
		_exit(0);
	}
	if (child > 0)
		daemon->clients++;
}

/* In a process of its own, as any of it may take long; it dies with the daemon. */
static void rpc_start_server(struct rpc_daemon *daemon)
{
	pid_t parent = getpid();

	daemon->server = fork();
	if (daemon->server != 0)
		return;
	rpc_child(daemon);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
		_exit(1);
	serve_all();
	_exit(1);
}

/* Returns true when it is time to end. */
static bool rpc_signal(struct rpc_daemon *daemon)
{
	struct signalfd_siginfo info;
	pid_t child;

	if (read(daemon->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return false;
	if (info.ssi_signo != SIGCHLD)
		return true;
	while ((child = waitpid(-1, NULL, WNOHANG)) > 0) {
		if (child == daemon->server)
			daemon->server = -1;
		else
			daemon->clients = BASE_MAX(daemon->clients - 1, 0);
	}
	return false;
}

/* One daemon a host: the lock is held for as long as it lives. */
static int rpc_lock(void)
{
	BASE_AUTO_FD int fd =
	        open(HOST_RUN_DIR "/cordond.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	return base_take_fd(&fd);
}

static void rpc_loop(struct rpc_daemon *daemon)
{
	for (bool end = false; !end;) {
		struct pollfd fds[] = {
		        {.fd = daemon->listener, .events = POLLIN},
		        {.fd = daemon->signals, .events = POLLIN},
		};

		if (daemon->server <= 0)
			rpc_start_server(daemon);
		if (poll(fds, BASE_COUNT(fds), daemon->server < 0 ? RPC_RETRY_MS : -1) < 0)
			continue;
		if (fds[0].revents)
			rpc_accept(daemon);
		if (fds[1].revents)
			end = rpc_signal(daemon);
		if (daemon->server < 0)
			poll(NULL, 0,
			     RPC_RETRY_MS); /* whatever killed it may not go on at full speed */
	}
	if (daemon->server > 0)
		kill(daemon->server, SIGKILL);
}

int rpc_serve(struct host_error *error)
{
	struct rpc_daemon daemon = {.server = -1};
	sigset_t set;
	int err = registry_prepare(error);

	if (err)
		return err;
	daemon.lock = rpc_lock();
	if (daemon.lock == -EWOULDBLOCK)
		return host_fail(error, -EADDRINUSE, 125, "a cordond is running already");
	if (daemon.lock < 0)
		return host_fail(error, daemon.lock, 125, "cannot lock %s: %s",
		                 HOST_RUN_DIR "/cordond.lock", strerror(-daemon.lock));
	if (chdir("/") < 0)
		return host_fail(error, -errno, 125, "cannot go to /: %s", strerror(errno));
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	daemon.signals = signalfd(-1, &set, SFD_CLOEXEC);
	daemon.listener = rpc_listen();
	if (daemon.listener < 0 || daemon.signals < 0)
		return host_fail(error, -EIO, 125, "cannot listen on %s", RPC_SOCKET);
	fprintf(stderr, "cordond %s: serving %s\n", CORDON_VERSION, RPC_SOCKET);
	rpc_loop(&daemon);
	unlink(RPC_SOCKET);
	return 0;
}
