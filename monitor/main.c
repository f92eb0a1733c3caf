/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-monitor: one a host, with no privilege at all. It is handed the events ring, the alert log
 * and a listening socket (monitor.h has the numbers); everything else comes through that socket. It
 * reads what guests caused, so it locks itself before it maps the first of it. It ends by itself when
 * it has had no VM for two seconds.
 *
 * #syscall monitor: epoll_wait - waits for events, clients and the tick
 * #syscall monitor: read - the timer
 * #syscall monitor: mmap(arg2 = PROT_READ) - flow maps and the ring, read-only
 * #syscall monitor: mmap(arg2 = PROT_READ | PROT_WRITE) - the ring's consumer page
 */
#include "monitor/state.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <time.h>

#include "base/base.h"
#include "isolate/isolate.h"
#include "monitor/list_monitor.h"

enum { MAIN_EVENTS_MAX = 64, MAIN_IDLE_TICKS = 2, MAIN_DUE_MS = 50 };

static uint64_t main_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int main_watch(struct monitor *monitor, int fd, void *tag)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = tag};

	return epoll_ctl(monitor->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* Everything before the lock: what is opened here, stays. */
static int main_prepare(struct monitor *monitor)
{
	const struct itimerspec second = {.it_interval = {.tv_sec = 1}, .it_value = {.tv_sec = 1}};
	size_t seed;

	monitor->listener = MONITOR_FD_LISTEN;
	monitor->events_fd = MONITOR_FD_EVENTS;
	monitor->log = (struct monitor_sink){
	        .fd = MONITOR_FD_ALERTS, .type = POLICY_SINK_FILE, .format = POLICY_FORMAT_ECS};
	for (size_t i = 0; i < MONITOR_CLIENTS_MAX; i++)
		monitor->clients[i].fd = -1;
	signal(SIGPIPE, SIG_IGN); /* a sink may be a FIFO that nobody reads any more */
	gethostname(monitor->hostname, sizeof(monitor->hostname) - 1);
	/* jansson would seed its hash tables from /dev/urandom, which is not there, at its first object */
	if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return -errno;
	json_object_seed(seed | 1);
	tzset(); /* or the first gmtime_r() would look for a time zone file, which is no longer possible */
	monitor->world = world_create();
	if (!monitor->world)
		return -ENOMEM;
	monitor->epoll = epoll_create1(EPOLL_CLOEXEC);
	monitor->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (monitor->epoll < 0 || monitor->timer < 0 ||
	    timerfd_settime(monitor->timer, 0, &second, NULL) < 0)
		return -errno;
	/* a test's monitor has none */
	if (main_watch(monitor, MONITOR_FD_DENIED, &monitor->denied_fd) == 0)
		monitor->denied_fd = MONITOR_FD_DENIED;
	if (main_watch(monitor, monitor->listener, &monitor->listener) < 0 ||
	    main_watch(monitor, monitor->events_fd, &monitor->events_fd) < 0 ||
	    main_watch(monitor, monitor->timer, &monitor->timer) < 0)
		return -errno;
	return 0;
}

static void main_tick(struct monitor *monitor)
{
	uint64_t expired, now = main_clock(CLOCK_REALTIME);

	if (read(monitor->timer, &expired, sizeof(expired)) != (ssize_t)sizeof(expired))
		return;
	/* the clock may be set while this runs */
	monitor->clock_ns = now - main_clock(CLOCK_MONOTONIC);
	vms_tick(monitor, now);
	lists_tick(monitor);
	monitor->idle_ticks = monitor->vm_count ? 0 : monitor->idle_ticks + 1;
}

/* Milliseconds until some VM is due, -1: none is. Who is, gets it, but not more often than each MAIN_DUE_MS. */
static int main_patience(struct monitor *monitor)
{
	uint64_t now, at;

	if (monitor->due_ns == UINT64_MAX)
		return -1;
	now = main_clock(CLOCK_REALTIME);
	at = BASE_MAX(monitor->due_ns, monitor->due_last_ns + MAIN_DUE_MS * 1000000ull);
	if (at > now)
		return (int)BASE_MIN((at - now) / 1000000 + 1, 1000);
	monitor->due_last_ns = now;
	vms_due(monitor, now);
	return MAIN_DUE_MS;
}

static int main_loop(struct monitor *monitor)
{
	struct epoll_event ready[MAIN_EVENTS_MAX];

	while (monitor->idle_ticks < MAIN_IDLE_TICKS) {
		int count =
		        epoll_wait(monitor->epoll, ready, MAIN_EVENTS_MAX, main_patience(monitor));

		if (count < 0 && errno != EINTR)
			return -errno;
		for (int i = 0; i < count; i++) {
			if (ready[i].data.ptr == &monitor->listener)
				server_accept(monitor);
			else if (ready[i].data.ptr == &monitor->events_fd)
				vms_events(monitor);
			else if (ready[i].data.ptr == &monitor->denied_fd)
				vms_denied(monitor, main_clock(CLOCK_REALTIME));
			else if (ready[i].data.ptr == &monitor->timer)
				main_tick(monitor);
			else if (lists_owner(monitor, ready[i].data.ptr))
				lists_ready(ready[i].data.ptr);
			else
				server_ready(monitor, ready[i].data.ptr, ready[i].events);
		}
	}
	return 0;
}

int main(void)
{
	static struct monitor monitor;
	int err = main_prepare(&monitor);

	if (!err)
		err = isolate_lock(&list_monitor);
	if (!err)
		err = event_ring_open(monitor.events_fd, &monitor.events);
	if (err) {
		fprintf(stderr, "monitor: cannot start: %s\n", strerror(-err));
		return 1;
	}
	monitor.clock_ns = main_clock(CLOCK_REALTIME) - main_clock(CLOCK_MONOTONIC);
	monitor.due_ns = UINT64_MAX;
	err = main_loop(&monitor);
	event_ring_close(monitor.events);
	world_destroy(monitor.world);
	if (err)
		fprintf(stderr, "monitor: ended: %s\n", strerror(-err));
	return err ? 1 : 0;
}
