/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON-RPC 2.0 on a unix stream socket, one object a line.
 *
 * The daemon forks for each connection: the child does what it is asked, one request after the other,
 * and a request that takes long, or takes the process down, is that connection's alone. The parent
 * accepts, keeps the link to the monitor, and holds nothing that could be lost: state is in the
 * registry. Whoever may open the socket (root, and group cordon) may do what root can do with it, as
 * a policy names files that root opens: SECURITY.md says so.
 */
#include "cordon/host.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "base/base.h"

#define RPC_SOCKET HOST_RUN_DIR "/cordond.sock"

enum {
	RPC_LINE_MAX = 2 * 1024 * 1024, /* a policy of 256 KiB, each byte escaped */
	RPC_CLIENTS_MAX = 64,
	RPC_GROUPS_MAX = 256,
	RPC_MONITOR_RETRY_MS = 500,
};

static void rpc_address(struct sockaddr_un *address)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	base_copy_string(address->sun_path, sizeof(address->sun_path), RPC_SOCKET);
}

int rpc_connect(void)
{
	struct sockaddr_un address;
	BASE_AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
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
	json_t *request = json_pack("{s:s, s:i, s:s, s:O}", "jsonrpc", "2.0", "id", 1, "method", method,
				    "params", params);
	BASE_AUTO_FD int in = dup(connection);
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
	json_decref(answer);
	return result;
}

static json_t *rpc_failure(json_t *id, int code, const struct host_error *error)
{
	json_t *data = json_pack("{s:i, s:i, s:O?}", "errno", error->code, "exit", error->exit, "errors",
				 error->data);

	return json_pack("{s:s, s:O?, s:{s:i, s:s, s:o}}", "jsonrpc", "2.0", "id", id, "error", "code", code,
			 "message", error->text, "data", data);
}

/* Section numbers are JSON-RPC 2.0's: 4 the request, 5 the response, 5.1 the codes. */
static json_t *rpc_answer(const char *line, size_t size)
{
	struct host_error error = { 0 };
	json_t *request = json_loadb(line, size, JSON_REJECT_DUPLICATES, NULL), *answer;
	json_t *id = json_object_get(request, "id"), *params = json_object_get(request, "params");
	const char *method = json_string_value(json_object_get(request, "method"));
	const char *version = json_string_value(json_object_get(request, "jsonrpc"));
	json_t *result = NULL;
	int code = -32000;

	if (!request) {
		code = -32700;
		host_fail(&error, -EINVAL, 125, "not JSON");
	} else if (!method || !version || strcmp(version, "2.0") != 0 || (params && !json_is_object(params))) {
		code = -32600;
		host_fail(&error, -EINVAL, 125, "not a JSON-RPC 2.0 request with named parameters");
	} else {
		result = method_call(method, params, &error);
		if (error.code == -ENOSYS)
			code = -32601;
	}
	if (!result)
		host_fail(&error, -EIO, 125, "'%s' failed", method ? method : "");
	answer = result ? json_pack("{s:s, s:O?, s:o}", "jsonrpc", "2.0", "id", id, "result", result) :
			  rpc_failure(id, code, &error);
	host_error_clear(&error);
	json_decref(request);
	return answer;
}

static void rpc_serve_client(int fd)
{
	BASE_AUTO_FREE char *buffer = malloc(RPC_LINE_MAX);
	size_t size = 0;
	ssize_t n;

	while (buffer && (n = read(fd, buffer + size, RPC_LINE_MAX - size)) != 0) {
		char *end;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return;
		size += (size_t)n;
		while ((end = memchr(buffer, '\n', size))) {
			size_t line = (size_t)(end - buffer);
			json_t *answer = rpc_answer(buffer, line);
			int err = answer ? rpc_send(fd, answer) : -ENOMEM;

			json_decref(answer);
			if (err)
				return;
			size -= line + 1;
			memmove(buffer, end + 1, size);
		}
		if (size == RPC_LINE_MAX)
			return; /* no request is that long */
	}
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
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(RPC_SOCKET, 0660) < 0 ||
	    chown(RPC_SOCKET, 0, entry ? entry->gr_gid : 0) < 0 || listen(fd, RPC_CLIENTS_MAX) < 0)
		return -errno;
	return base_take_fd(&fd);
}

struct rpc_daemon {
	int listener, signals, monitor;
	int clients;
};

static void rpc_accept(struct rpc_daemon *daemon)
{
	sigset_t none;
	BASE_AUTO_FD int client = accept4(daemon->listener, NULL, NULL, SOCK_CLOEXEC);
	pid_t child;

	if (client < 0 || daemon->clients >= RPC_CLIENTS_MAX || !rpc_may(client))
		return;
	child = fork();
	if (child == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		base_close(&daemon->listener);
		base_close(&daemon->signals);
		base_close(&daemon->monitor);
		rpc_serve_client(client);
		_exit(0);
	}
	if (child > 0)
		daemon->clients++;
}

/* Reads one action, or finds that the monitor is gone. */
static void rpc_monitor(struct rpc_daemon *daemon)
{
	struct monitor_answer answer;
	ssize_t n = recv(daemon->monitor, &answer, sizeof(answer), MSG_TRUNC | MSG_DONTWAIT);

	if (n == (ssize_t)sizeof(answer) && answer.type == MONITOR_ACT)
		watch_act(&answer);
	else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		base_close(&daemon->monitor);
}

/* Where VMs run there must be a monitor; -1 when there is nothing to watch or it cannot be had now. */
static int rpc_monitor_again(void)
{
	struct host_error error = { 0 };
	char names[1][POLICY_NAME_MAX];
	int fd;

	if (registry_list(names, 1) <= 0)
		return -1;
	fd = watch_recover(&error);
	if (fd < 0)
		fprintf(stderr, "cordond: %s\n", error.text);
	host_error_clear(&error);
	return fd < 0 ? -1 : fd;
}

/* Returns true when it is time to end. */
static bool rpc_signal(struct rpc_daemon *daemon)
{
	struct signalfd_siginfo info;

	if (read(daemon->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return false;
	if (info.ssi_signo != SIGCHLD)
		return true;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		daemon->clients = BASE_MAX(daemon->clients - 1, 0);
	return false;
}

int rpc_serve(struct host_error *error)
{
	struct rpc_daemon daemon = { .monitor = -1 };
	sigset_t set;
	int err = registry_prepare(error);

	if (err)
		return err;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	BASE_AUTO_FD int other = rpc_connect();
	if (other >= 0)
		return host_fail(error, -EADDRINUSE, 125, "a cordond is running already");
	daemon.signals = signalfd(-1, &set, SFD_CLOEXEC);
	daemon.listener = rpc_listen();
	if (daemon.listener < 0 || daemon.signals < 0)
		return host_fail(error, -EIO, 125, "cannot listen on %s", RPC_SOCKET);
	reap_stale();
	fprintf(stderr, "cordond %s: serving %s\n", CORDON_VERSION, RPC_SOCKET);
	for (bool end = false; !end;) {
		if (daemon.monitor < 0)
			daemon.monitor = rpc_monitor_again();
		struct pollfd fds[] = {
			{ .fd = daemon.listener, .events = POLLIN },
			{ .fd = daemon.signals, .events = POLLIN },
			{ .fd = daemon.monitor, .events = POLLIN },
		};
		if (poll(fds, BASE_COUNT(fds), daemon.monitor < 0 ? RPC_MONITOR_RETRY_MS : -1) < 0)
			continue;
		if (fds[0].revents)
			rpc_accept(&daemon);
		if (fds[2].revents)
			rpc_monitor(&daemon);
		if (fds[1].revents)
			end = rpc_signal(&daemon);
	}
	unlink(RPC_SOCKET);
	return 0;
}
