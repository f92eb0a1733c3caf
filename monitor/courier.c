/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-courier: delivers what waits in one spool to one receiver, and does nothing else.
 *
 * The monitor reads what guests cause and has no network; a courier has the network and parses nothing of an
 * alert: to it, one is bytes with a length. So who takes over the monitor reaches no receiver but with
 * alerts, and a receiver that attacks back (its TLS, its HTTP answers) meets a process that holds one
 * spool and one client key. There is one courier for each distinct receiver of all policies, not one a VM: a
 * receiver sees one connection from a host, and alerts in the order of their coming.
 *
 * It never has to be there. Alerts are appended to the spool's inbox whether it lives or not (spool.h), and
 * whoever registers a VM, or looks for what is stale, starts one where the lock of the spool's state says that
 * there is none. It ends by itself when nothing waits and nobody has the inbox open: writers hold a shared
 * flock on it, through the open file that they were handed.
 *
 * A receiver that takes nothing is tried again after 0.2 s, then twice as long each time, up to 30 s.
 *
 * #syscall courier: poll - waits for alerts, and for the receiver
 * #syscall courier: read - what inotify says; what a receiver says
 * #syscall courier: flock - whether anybody has the inbox open
 * #syscall courier: close - a connection that broke
 */
#include "monitor/courier.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <time.h>

#include "base/base.h"
#include "isolate/isolate.h"
#include "monitor/list_courier.h"

enum {
	COURIER_RETRY_MS = 200,
	COURIER_RETRY_MAX_MS = 30000,
	COURIER_CONFIRM_MS = 20,
	COURIER_IDLE_MS = 2000,
	COURIER_FILE_MAX = 1048576,
};

int courier_address(const char *target, struct sockaddr_storage *address, socklen_t *size)
{
	char place[128], *colon;
	struct sockaddr_in *v4 = (struct sockaddr_in *)address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address;
	size_t length = strcspn(target, "/");

	if (length >= sizeof(place))
		return -EINVAL;
	memcpy(place, target, length);
	place[length] = '\0';
	colon = strrchr(place, ':');
	if (!colon || colon == place)
		return -EINVAL;
	*colon = '\0';
	memset(address, 0, sizeof(*address));
	if (place[0] == '[' && colon[-1] == ']') {
		colon[-1] = '\0';
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
		*size = sizeof(*v6);
		return inet_pton(AF_INET6, place + 1, &v6->sin6_addr) == 1 ? 0 : -EINVAL;
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
	*size = sizeof(*v4);
	return inet_pton(AF_INET, place, &v4->sin_addr) == 1 ? 0 : -EINVAL;
}

int courier_read_file(const char *path, char **text, size_t *size)
{
	BASE_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	BASE_AUTO_FREE char *bytes = malloc(COURIER_FILE_MAX + 1);
	size_t used = 0;
	ssize_t n = 1;

	if (fd < 0 || !bytes)
		return fd < 0 ? -errno : -ENOMEM;
	while (n > 0 && used <= COURIER_FILE_MAX) {
		n = read(fd, bytes + used, COURIER_FILE_MAX + 1 - used);
		if (n < 0)
			return -errno;
		used += (size_t)n;
	}
	if (used > COURIER_FILE_MAX)
		return -EFBIG;
	bytes[used] = '\0';
	*size = used;
	*text = bytes;
	bytes = NULL;
	return 0;
}

int64_t courier_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Until something was appended, the receiver says something, or the time is over. */
static void courier_wait(struct courier *courier, int64_t timeout)
{
	char events[4096];
	struct pollfd fds[] = {{.fd = COURIER_FD_INOTIFY, .events = POLLIN},
	                       {.fd = courier->socket, .events = POLLIN | POLLRDHUP}};

	if (poll(fds, BASE_COUNT(fds), (int)BASE_MAX(timeout, 0)) > 0 && fds[0].revents)
		while (read(COURIER_FD_INOTIFY, events, sizeof(events)) > 0)
			continue;
}

/* Nothing waits: true when nobody can append any more either. The locks go with the process. */
static bool courier_over(struct courier *courier)
{
	if (flock(COURIER_FD_INBOX, LOCK_EX | LOCK_NB) < 0)
		return false;
	if (spool_refresh(courier->spool, 0) == 0 && spool_count(courier->spool) == 0) {
		spool_reset(courier->spool);
		return true;
	}
	flock(COURIER_FD_INBOX, LOCK_UN);
	return false;
}

/* The receiver takes nothing: meanwhile the spool is kept within its limit. */
static void courier_pause(struct courier *courier, int64_t pause)
{
	int64_t until = courier_now_ms() + pause, left;

	while ((left = until - courier_now_ms()) > 0) {
		courier_wait(courier, left);
		spool_refresh(courier->spool, 0);
		/* a flood of alerts must not become a flood of looking */
		poll(NULL, 0, COURIER_CONFIRM_MS);
	}
}

static void courier_run(struct courier *courier)
{
	int64_t pause = COURIER_RETRY_MS;
	uint64_t dropped = spool_dropped(courier->spool);
	bool down = false;

	for (;;) {
		int err = spool_refresh(courier->spool, courier->in_flight);

		if (err)
			fprintf(stderr, "courier: the spool of %s cannot be read: %s\n",
			        courier->sink.target, strerror(-err));
		if (spool_dropped(courier->spool) != dropped) {
			dropped = spool_dropped(courier->spool);
			fprintf(stderr,
			        "courier: the spool of %s is full: %llu alerts were dropped\n",
			        courier->sink.target, (unsigned long long)dropped);
		}
		err = courier->carrier->deliver(courier);
		if (err) {
			courier->carrier->close(courier);
			courier->in_flight = 0;
			if (courier->over)
				return;
			if (!down)
				fprintf(stderr, "courier: %s takes no alerts: %s; %zu wait\n",
				        courier->sink.target, strerror(-err),
				        spool_count(courier->spool));
			down = true;
			courier_pause(courier, pause);
			pause = BASE_MIN(pause * 2, COURIER_RETRY_MAX_MS);
			continue;
		}
		pause = COURIER_RETRY_MS;
		if (down && spool_count(courier->spool) == 0) {
			fprintf(stderr, "courier: %s takes alerts again\n", courier->sink.target);
			down = false;
		}
		if (courier->in_flight > 0)
			courier_wait(courier, COURIER_CONFIRM_MS);
		else if (spool_count(courier->spool) == 0 && courier_over(courier))
			return;
		else
			courier_wait(courier, spool_count(courier->spool) ? 0 : COURIER_IDLE_MS);
	}
}

static int courier_own_fd(enum policy_sink_type type)
{
	switch (type) {
	case POLICY_SINK_FILE:
	case POLICY_SINK_UNIX: return COURIER_FD_OPENER;
	case POLICY_SINK_STDOUT: return STDOUT_FILENO;
	default: return -1;
	}
}

static const struct carrier *courier_carrier(enum policy_sink_type type)
{
	switch (type) {
	case POLICY_SINK_FILE: return &courier_files;
	case POLICY_SINK_UNIX: return &courier_socket;
	case POLICY_SINK_STDOUT: return &courier_stdout;
	default: return policy_sink_is_http(type) ? &courier_http : &courier_stream;
	}
}

static int courier_enter(const char *uid_text, enum policy_sink_type type)
{
	const struct isolate_fd fds[] = {
	        {COURIER_FD_INBOX, COURIER_FD_INBOX},
	        {COURIER_FD_STATE, COURIER_FD_STATE},
	        {COURIER_FD_STATE + 1, COURIER_FD_STATE + 1},
	        {COURIER_FD_READY, COURIER_FD_READY},
	        {COURIER_FD_INOTIFY, COURIER_FD_INOTIFY},
	        {STDERR_FILENO, STDERR_FILENO},
	        /* the last one is what its kind of sink needs; the others have none */
	        {courier_own_fd(type), courier_own_fd(type)},
	};
	const size_t own = courier_own_fd(type) >= 0;
	uid_t uid = (uid_t)strtoul(uid_text, NULL, 10);
	const struct isolate_role role = {.uid = uid,
	                                  .gid = uid,
	                                  .fds = fds,
	                                  .fd_count = BASE_COUNT(fds) - 1 + own,
	                                  .flags = ISOLATE_KEEP_NET,
	                                  .file_size_max = UINT64_MAX,
	                                  .list = &list_courier};
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd < 0 || inotify_add_watch(fd, "/proc/self/fd/3", IN_MODIFY) < 0 ||
	    (fd != COURIER_FD_INOTIFY && dup2(fd, COURIER_FD_INOTIFY) < 0))
		return -errno;
	return isolate_enter(&role);
}

static int courier_start(struct courier *courier, const char *uid, char why[COURIER_WHY_MAX])
{
	const int state[2] = {COURIER_FD_STATE, COURIER_FD_STATE + 1};
	int err = base_read_at(COURIER_FD_SINK, &courier->sink, sizeof(courier->sink), 0);

	courier->socket = -1;
	courier->carrier = courier_carrier(courier->sink.type);
	if (!err)
		err = courier->carrier->prepare(courier, why);
	if (!err)
		err = spool_open(COURIER_FD_INBOX, state, courier->sink.spool, &courier->spool);
	if (!err)
		err = courier_enter(uid, courier->sink.type);
	if (err && !why[0])
		snprintf(why, COURIER_WHY_MAX, "%s", strerror(-err));
	return err;
}

int main(int argc, char **argv)
{
	struct courier *courier = calloc(1, sizeof(*courier));
	char why[COURIER_WHY_MAX] = "";

	if (argc != 2 || !courier) {
		fprintf(stderr, "usage: cordon-courier UID (started by cordon)\n");
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	tzset();
	if (courier_start(courier, argv[1], why) < 0) {
		base_write_all(COURIER_FD_READY, why, strlen(why));
		return 1;
	}
	close(COURIER_FD_READY);
	courier_run(courier);
	courier->carrier->close(courier);
	return 0;
}
