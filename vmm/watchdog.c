// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * watchdog: registers of our own, which the ACPI table WDAT describes (Microsoft, "Hardware Watchdog
 * Timers Design Specification"), so that a guest needs no driver for them but its generic one (Linux:
 * wdat_wdt; Debian's cloud kernel has none for a chip such as the i6300ESB).
 *
 * Time comes from the host, as a number, so that a test can have its own. It stands still while the
 * guest is paused: a guest that cannot run cannot reload.
 */
#include "vmm/watchdog.h"

#include <string.h>

#include "base/base.h"

static void watchdog_reload(struct watchdog *watchdog)
{
	uint64_t span = (uint64_t)watchdog->count * WATCHDOG_TICK_MS;

	watchdog->left = span;
	if (!watchdog->running || watchdog->held)
		return;
	watchdog->deadline = watchdog->host.now(watchdog->host.self) + span;
	watchdog->host.arm(watchdog->host.self, watchdog->deadline);
}

static uint64_t watchdog_left(const struct watchdog *watchdog)
{
	uint64_t now;

	if (!watchdog->running || watchdog->held)
		return watchdog->left;
	now = watchdog->host.now(watchdog->host.self);
	return now < watchdog->deadline ? watchdog->deadline - now : 0;
}

static void watchdog_run(struct watchdog *watchdog, bool run)
{
	if (run == watchdog->running)
		return;
	watchdog->running = run;
	if (run)
		watchdog_reload(watchdog);
	else
		watchdog->host.arm(watchdog->host.self, 0);
}

void watchdog_check(struct watchdog *watchdog)
{
	if (!watchdog->running || watchdog->held || watchdog_left(watchdog) > 0)
		return;
	watchdog->running = false;
	watchdog->host.arm(watchdog->host.self, 0);
	watchdog->host.expired(watchdog->host.self);
}

void watchdog_hold(struct watchdog *watchdog, bool held)
{
	if (held == watchdog->held)
		return;
	if (held)
		watchdog->left = watchdog_left(watchdog);
	watchdog->held = held;
	if (!watchdog->running)
		return;
	if (!held)
		watchdog->deadline = watchdog->host.now(watchdog->host.self) + watchdog->left;
	watchdog->host.arm(watchdog->host.self, held ? 0 : watchdog->deadline);
}

static uint32_t watchdog_register(const struct watchdog *watchdog, uint64_t offset)
{
	switch (offset) {
	case WATCHDOG_COUNT: return watchdog->count;
	case WATCHDOG_LEFT: return (uint32_t)(watchdog_left(watchdog) / WATCHDOG_TICK_MS);
	case WATCHDOG_CONTROL: return watchdog->running;
	case WATCHDOG_STATUS: return watchdog->fired;
	case WATCHDOG_REBOOT: return 1;
	default: return 0;
	}
}

/* The two counts are read and written whole, the others as bytes: what is neither reads as zero. */
static bool watchdog_is_whole(uint64_t offset, unsigned int size)
{
	return offset < WATCHDOG_CONTROL ? size == 4 : size == 1;
}

static void watchdog_read(void *self, uint64_t offset, void *data, unsigned int size)
{
	uint32_t value = watchdog_is_whole(offset, size) ? watchdog_register(self, offset) : 0;

	for (unsigned int i = 0; i < size; i++)
		((uint8_t *)data)[i] = i < 4 ? (uint8_t)(value >> (8 * i)) : 0;
}

static void watchdog_write(void *self, uint64_t offset, const void *data, unsigned int size)
{
	struct watchdog *watchdog = self;
	uint8_t byte = *(const uint8_t *)data;

	if (!watchdog_is_whole(offset, size))
		return;
	switch (offset) {
	case WATCHDOG_COUNT:
		watchdog->count = BASE_MIN(BASE_MAX(base_le32(data), (uint32_t)WATCHDOG_COUNT_MIN),
		                           (uint32_t)WATCHDOG_COUNT_MAX);
		watchdog_reload(watchdog);
		break;
	case WATCHDOG_CONTROL: watchdog_run(watchdog, byte & 1); break;
	case WATCHDOG_RELOAD: watchdog_reload(watchdog); break;
	case WATCHDOG_STATUS: watchdog->fired = false; break;
	default: break;
	}
}

void watchdog_init(struct watchdog *watchdog, const struct watchdog_host *host, bool fired)
{
	*watchdog = (struct watchdog){.host = *host, .count = WATCHDOG_COUNT_START, .fired = fired};
}

const struct machine_io_ops watchdog_io = {.read = watchdog_read, .write = watchdog_write};
