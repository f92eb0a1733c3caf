// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * board: joins the register files that every guest has to the machine: their ports, their interrupt,
 * and for the watchdog the host's clock. A timer that the kernel keeps wakes the event loop; nothing
 * runs while nothing is due.
 */
#include "vmm/board.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>

#include "base/base.h"
#include "vmm/generation.h"

static void board_interrupt(void *self, bool high)
{
	struct machine *m = self;

	ioapic_set(&m->ioapic, POWER_PIN, high);
}

static uint64_t board_now(void *self)
{
	struct timespec now;

	(void)self;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* #syscall vmm: timerfd_settime - the guest starts, reloads and stops its watchdog */
static void board_arm(void *self, uint64_t deadline)
{
	struct board *board = self;
	struct itimerspec when = {.it_value = {.tv_sec = (time_t)(deadline / 1000),
	                                       .tv_nsec = (long)(deadline % 1000) * 1000000}};

	timerfd_settime(board->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

static void board_expired(void *self)
{
	struct board *board = self;

	machine_log(board->machine, "the guest has not reloaded its watchdog for %llu ms",
	            (unsigned long long)board->watchdog.count * WATCHDOG_TICK_MS);
	if (board->options.watchdog == VMM_ACTION_PAUSE)
		machine_pause(board->machine, VMM_END_WATCHDOG);
	else
		machine_end(board->machine, VMM_END_WATCHDOG);
}

static void board_timer_ready(void *self, uint32_t events)
{
	struct board *board = self;
	uint64_t count;

	(void)events;
	if (read(board->timer, &count, sizeof(count)) > 0)
		watchdog_check(&board->watchdog);
}

static void board_state_changed(void *self, enum vmm_state state)
{
	struct board *board = self;

	watchdog_hold(&board->watchdog, state != VMM_RUNNING);
}

static int board_watchdog(struct board *board)
{
	const struct watchdog_host host = {board_now, board_arm, board_expired, board};
	struct machine *m = board->machine;

	watchdog_init(&board->watchdog, &host, board->options.watchdog_fired);
	board->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (board->timer < 0)
		return -errno;
	m->watch_state = board_state_changed;
	m->watch_self = board;
	return machine_watch(m, board->timer, EPOLLIN, board_timer_ready, board)
	               ?: machine_io_add(m, MACHINE_PIO, WATCHDOG_PORT, WATCHDOG_PORTS,
	                                 &watchdog_io, &board->watchdog);
}

int board_create(struct board *board, struct machine *m, const struct board_options *options)
{
	int error;

	*board = (struct board){
	        .machine = m,
	        .options = *options,
	        .power = {.machine = m, .interrupt = board_interrupt, .self = m},
	        .pvpanic = {.machine = m, .action = options->panic},
	        .timer = -1,
	};
	error = machine_io_add(m, MACHINE_PIO, POWER_PORT, POWER_PORTS, &power_io, &board->power);
	if (!error)
		error = machine_io_add(m, MACHINE_PIO, POWER_KEYBOARD_PORT, 1, &power_keyboard_io,
		                       &board->power);
	if (!error)
		error = machine_io_add(m, MACHINE_PIO, PVPANIC_PORT, 1, &pvpanic_io,
		                       &board->pvpanic);
	if (!error && options->watchdog != VMM_ACTION_NONE)
		error = board_watchdog(board);
	return error ? error : generation_create(m);
}
