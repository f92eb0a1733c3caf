/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A sequence lock whose reader never waits. Fields are read and written as atomics of their own, so that a
 * torn read is one that the sequence tells of, and not one that the compiler made up.
 */
#include "vmm/devices/limits.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/base.h"

void limits_write(struct limits_entry *entry, const struct limit *limit)
{
	uint32_t sequence = entry->sequence | 1; /* a writer that died in here left it odd */

	__atomic_store_n(&entry->sequence, sequence, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	__atomic_store_n(&entry->limit.bandwidth, limit->bandwidth, __ATOMIC_RELAXED);
	__atomic_store_n(&entry->limit.iops, limit->iops, __ATOMIC_RELAXED);
	__atomic_store_n(&entry->limit.burst, limit->burst, __ATOMIC_RELAXED);
	__atomic_store_n(&entry->sequence, sequence + 1, __ATOMIC_RELEASE);
}

bool limits_read(const struct limits_entry *entry, struct limit *limit, uint32_t *sequence)
{
	uint32_t before = __atomic_load_n(&entry->sequence, __ATOMIC_ACQUIRE);

	if (before & 1)
		return false;
	limit->bandwidth = __atomic_load_n(&entry->limit.bandwidth, __ATOMIC_RELAXED);
	limit->iops = __atomic_load_n(&entry->limit.iops, __ATOMIC_RELAXED);
	limit->burst = __atomic_load_n(&entry->limit.burst, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	*sequence = before;
	return __atomic_load_n(&entry->sequence, __ATOMIC_RELAXED) == before;
}

int limiter_open(struct limiter *limiter, const char *text)
{
	const struct limits_page *page;
	unsigned int entry;
	struct stat facts;
	char rest;
	int fd;

	if (text[0] < '0' || text[0] > '9' || sscanf(text, "%9d:%2u%c", &fd, &entry, &rest) != 2 ||
	    entry >= LIMITS_ENTRIES)
		return -EINVAL;
	if (fstat(fd, &facts) < 0)
		return -errno;
	if (facts.st_size < (off_t)sizeof(*page))
		return -EINVAL;
	page = mmap(NULL, sizeof(*page), PROT_READ, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return -errno;
	if (page->magic != LIMITS_MAGIC)
		return -EINVAL;
	*limiter = (struct limiter){.entry = &page->entry[entry]};
	return 0;
}

/* A burst is a span of time: requests may use as much of it as bytes. */
static uint64_t burst_of_operations(const struct limit *limit)
{
	unsigned __int128 burst;

	if (limit->bandwidth == 0 || limit->burst == 0)
		return 0;
	burst = (unsigned __int128)limit->iops * limit->burst / limit->bandwidth;
	return burst > RATE_MAX ? RATE_MAX : BASE_MAX((uint64_t)burst, 1ull);
}

static void limiter_look(struct limiter *l, uint64_t (*now)(void))
{
	struct limit limit;
	uint32_t sequence;
	uint64_t at;

	if (!l->entry || __atomic_load_n(&l->entry->sequence, __ATOMIC_RELAXED) == l->sequence ||
	    !limits_read(l->entry, &limit, &sequence))
		return;
	at = now();
	rate_set(&l->bandwidth, limit.bandwidth, limit.burst, at);
	rate_set(&l->operations, limit.iops, burst_of_operations(&limit), at);
	l->sequence = sequence;
}

uint32_t limiter_wait(struct limiter *l, uint64_t (*now)(void))
{
	uint32_t bandwidth, operations;
	uint64_t at;

	limiter_look(l, now);
	if (l->bandwidth.per_second == 0 && l->operations.per_second == 0)
		return 0;
	at = now();
	bandwidth = rate_wait(&l->bandwidth, at);
	operations = rate_wait(&l->operations, at);
	return BASE_MAX(bandwidth, operations);
}

void limiter_take(struct limiter *l, uint64_t bytes)
{
	rate_take(&l->bandwidth, bytes);
	rate_take(&l->operations, 1);
}
