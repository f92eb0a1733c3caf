// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * loop: the event loop, in the main thread. A watch is a slot with a generation, so that an event
 * which was already fetched for a watch that its neighbour has just removed is not delivered to the
 * slot's next owner. Slots are of fixed number: who connects cannot make the loop grow.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "base/base.h"
#include "vmm/vm.h"

enum { LOOP_BATCH = 16 };

/* #syscall vmm: read - eventfds, and what is typed on the console */
static void loop_woken(void *self, uint32_t events)
{
	struct machine *m = self;
	uint64_t count;

	(void)events;
	if (read(m->wake, &count, sizeof(count)) < 0)
		return; /* another wake-up has taken it */
	if (m->state == VMM_PAUSED)
		vm_state_set(m, VMM_PAUSED); /* a vCPU did it, which cannot wait for the others */
}

int loop_create(struct machine *m)
{
	for (size_t i = 0; i < VM_WATCHES_MAX; i++)
		m->watches[i].fd = -1;
	m->epoll = epoll_create1(EPOLL_CLOEXEC);
	m->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->epoll < 0 || m->wake < 0)
		return -errno;
	return machine_watch(m, m->wake, EPOLLIN, loop_woken, m);
}

void loop_destroy(struct machine *m)
{
	base_close(&m->epoll);
	base_close(&m->wake);
}

/* #syscall vmm: epoll_ctl - console clients and control clients come and go */
int machine_watch(struct machine *m, int fd, uint32_t events, machine_ready_fn ready, void *self)
{
	struct epoll_event event = {.events = events};
	struct vm_watch *watch = NULL;

	for (size_t i = 0; i < VM_WATCHES_MAX; i++) {
		if (m->watches[i].fd == fd)
			return -EEXIST;
		if (!watch && m->watches[i].fd < 0)
			watch = &m->watches[i];
	}
	if (!watch)
		return -ENOSPC;
	event.data.u64 = (uint64_t)watch->generation << 32 | (uint64_t)(watch - m->watches);
	if (epoll_ctl(m->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		return -errno;
	watch->fd = fd;
	watch->ready = ready;
	watch->self = self;
	return 0;
}

int machine_unwatch(struct machine *m, int fd)
{
	for (size_t i = 0; fd >= 0 && i < VM_WATCHES_MAX; i++) {
		struct vm_watch *watch = &m->watches[i];

		if (watch->fd != fd)
			continue;
		epoll_ctl(m->epoll, EPOLL_CTL_DEL, fd, NULL);
		watch->fd = -1;
		watch->generation++;
		return 0;
	}
	return -ENOENT;
}

void loop_wake(struct machine *m)
{
	uint64_t one = 1;

	if (m->wake >= 0)
		base_write_all(m->wake, &one, sizeof(one));
}

static void loop_deliver(struct machine *m, const struct epoll_event *event)
{
	struct vm_watch *watch = &m->watches[event->data.u64 & 0xffffffff];

	if (watch->fd >= 0 && watch->generation == event->data.u64 >> 32)
		watch->ready(watch->self, event->events);
}

/* #syscall vmm: epoll_wait - the event loop */
/* #syscall vmm: futex - the machine's lock, between the loop and the vCPUs */
int loop_run(struct machine *m)
{
	struct epoll_event events[LOOP_BATCH];
	bool ended = false;

	while (!ended) {
		int count = epoll_wait(m->epoll, events, LOOP_BATCH, -1);

		if (count < 0 && errno != EINTR)
			return -errno;
		machine_lock(m);
		for (int i = 0; i < count; i++)
			loop_deliver(m, &events[i]);
		ended = m->state == VMM_ENDED;
		machine_unlock(m);
	}
	return 0;
}
