/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The spool of one sink.
 *
 *   inbox      records, appended by whoever raises alerts. It only grows at its end; what has been
 *              delivered is punched out at its beginning, so no writer ever has to know of the reader.
 *   state[2]   one of the two is current (the whole one of the higher generation). Its header says how far
 *              delivery is; behind the header are the records that were kept when the spool was full.
 *
 * What waits is those kept, then the inbox from `header.inbox` on: always the order of their coming. When too
 * much waits, the oldest of the least severe are left out while the rest is copied to the other state file, whose
 * header then makes it current: before that write nothing has happened, after it all has. A delivery is
 * one write of 64 bytes to the header.
 *
 * A record that a full disk cut short has a wrong hash, and reading goes on at the next one that is right.
 *
 * #syscall courier: pread64 - the spool's records
 * #syscall courier: pwrite64 - how far delivery is, and what is kept of a full spool
 * #syscall courier: fallocate - what was delivered gives its place back
 * #syscall courier: ftruncate - the same, when all was
 * #syscall courier: fdatasync - what is kept is there before the rest is let go
 * #syscall courier: newfstatat(arg3 = AT_EMPTY_PATH) - whether more was appended
 */
#include "monitor/spool.h"

#include <fcntl.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/base.h"

#define SPOOL_STATE_MAGIC 0x3130707364726f63ull /* "cordsp01" */

enum { SPOOL_MAGIC = 0x43525350, SPOOL_RECORDS = 4096, SPOOL_PUNCH = 1048576, SPOOL_SLACK = 8 };

struct spool_head { /* before each record's text */
	uint32_t magic, size, hash;
	uint8_t severity, reserved[3];
};

struct spool_header {
	uint64_t magic;
	uint64_t generation;
	uint64_t next,
	        end; /* of the records kept in this file: the first that waits, and behind the last */
	uint64_t inbox; /* the first record there that waits, or is not here */
	uint64_t delivered, dropped;
	uint64_t hash;
};

struct spool_entry {
	uint64_t offset;
	uint32_t size; /* with its head */
	uint8_t severity;
	bool in_inbox, dropped;
};

struct spool {
	int inbox, state[2];
	unsigned int current;
	struct spool_header header;
	uint64_t limit, waiting; /* bytes */
	uint64_t scanned;        /* of the inbox */
	uint64_t punched;
	struct spool_entry *entries;
	size_t first, count, room; /* entries[first .. first + count) wait */
	char buffer[sizeof(struct spool_head) + SPOOL_TEXT_MAX];
};

/* FNV-1a: it tells a torn record, not a forged one. */
static uint64_t spool_hash(uint64_t hash, const void *data, size_t size)
{
	const uint8_t *at = data;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ at[i]) * 0x100000001b3;
	return hash;
}

static uint32_t spool_record_hash(const struct spool_head *head, const char *text)
{
	uint64_t hash = spool_hash(0xcbf29ce484222325, &head->size, sizeof(head->size));

	hash = spool_hash(hash, &head->severity, sizeof(head->severity));
	hash = spool_hash(hash, text, head->size);
	return (uint32_t)(hash ^ hash >> 32);
}

static uint64_t spool_header_hash(const struct spool_header *header)
{
	return spool_hash(0xcbf29ce484222325, header, offsetof(struct spool_header, hash));
}

int spool_append(int inbox, enum alert_severity severity, const char *text, size_t size)
{
	struct spool_head head = {
	        .magic = SPOOL_MAGIC, .size = (uint32_t)size, .severity = (uint8_t)severity};
	BASE_AUTO_FREE char *record = NULL;
	struct stat facts;
	ssize_t n;

	if (size == 0 || size > SPOOL_TEXT_MAX)
		return -EMSGSIZE;
	if (fstat(inbox, &facts) < 0)
		return -errno;
	if ((uint64_t)facts.st_blocks * 512 >= SPOOL_INBOX_MAX)
		return -ENOSPC;
	record = malloc(sizeof(head) + size);
	if (!record)
		return -ENOMEM;
	head.hash = spool_record_hash(&head, text);
	memcpy(record, &head, sizeof(head));
	memcpy(record + sizeof(head), text, size);
	n = write(inbox, record, sizeof(head) + size);
	return n < 0 ? -errno : (size_t)n < sizeof(head) + size ? -ENOSPC : 0;
}

static int spool_entry_add(struct spool *spool, const struct spool_entry *entry)
{
	if (spool->first > 0 && spool->first + spool->count == spool->room) {
		memmove(spool->entries, spool->entries + spool->first,
		        spool->count * sizeof(*spool->entries));
		spool->first = 0;
	}
	if (spool->first + spool->count == spool->room) {
		size_t room = spool->room ? spool->room * 2 : 1024;
		void *more = realloc(spool->entries, room * sizeof(*spool->entries));

		if (!more)
			return -ENOMEM;
		spool->entries = more;
		spool->room = room;
	}
	spool->entries[spool->first + spool->count++] = *entry;
	spool->waiting += entry->size;
	return 0;
}

/* Reads the record at `offset`, in a file of `end` bytes, into the buffer. Its size with its head; 0: it is not whole
 * yet; -EBADMSG: there is none. */
static ssize_t spool_record(struct spool *spool, int fd, uint64_t offset, uint64_t end)
{
	struct spool_head head;
	int err;

	if (end - offset < sizeof(head))
		return 0;
	err = base_read_at(fd, &head, sizeof(head), offset);
	if (err)
		return err;
	if (head.magic != SPOOL_MAGIC || head.size == 0 || head.size > SPOOL_TEXT_MAX)
		return -EBADMSG;
	if (end - offset < sizeof(head) + head.size)
		return 0;
	memcpy(spool->buffer, &head, sizeof(head));
	err = base_read_at(fd, spool->buffer + sizeof(head), head.size, offset + sizeof(head));
	if (err)
		return err;
	if (head.hash != spool_record_hash(&head, spool->buffer + sizeof(head)))
		return -EBADMSG;
	return (ssize_t)(sizeof(head) + head.size);
}

/* Where the next record may begin, after a place where none does. */
static uint64_t spool_resync(struct spool *spool, int fd, uint64_t offset, uint64_t end)
{
	const uint32_t magic = SPOOL_MAGIC;
	size_t size = (size_t)BASE_MIN(end - offset, sizeof(spool->buffer));
	const char *found = NULL;

	if (size <= sizeof(magic) || base_read_at(fd, spool->buffer, size, offset) < 0)
		return offset + size;
	found = memmem(spool->buffer + 1, size - 1, &magic, sizeof(magic));
	return found ? offset + (uint64_t)(found - spool->buffer)
	             : offset + size - sizeof(magic) + 1;
}

/* Notes the records of one file from *at on, as far as they are whole. */
static int spool_scan(struct spool *spool, int fd, uint64_t *at, uint64_t end)
{
	while (*at < end) {
		struct spool_head head;
		ssize_t size = spool_record(spool, fd, *at, end);
		struct spool_entry entry = {
		        .offset = *at, .size = (uint32_t)size, .in_inbox = fd == spool->inbox};
		int err;

		if (size == 0)
			return 0;
		if (size == -EBADMSG) {
			*at = spool_resync(spool, fd, *at, end);
			continue;
		}
		if (size < 0)
			return (int)size;
		memcpy(&head, spool->buffer, sizeof(head));
		entry.severity = head.severity;
		err = spool_entry_add(spool, &entry);
		if (err)
			return err;
		*at += (uint64_t)size;
	}
	return 0;
}

static int spool_header_write(struct spool *spool)
{
	struct spool_header header;

	spool->header.magic = SPOOL_STATE_MAGIC;
	spool->header.hash = spool_header_hash(&spool->header);
	header = spool->header;
	return pwrite(spool->state[spool->current], &header, sizeof(header), 0) == sizeof(header)
	               ? 0
	               : -EIO;
}

static bool spool_header_read(int fd, struct spool_header *header)
{
	return base_read_at(fd, header, sizeof(*header), 0) == 0 &&
	       header->magic == SPOOL_STATE_MAGIC && header->hash == spool_header_hash(header) &&
	       header->next <= header->end;
}

/* Finds the current state, and what it kept. */
static int spool_load(struct spool *spool)
{
	struct stat facts;
	uint64_t at;

	spool->header = (struct spool_header){.next = SPOOL_RECORDS, .end = SPOOL_RECORDS};
	for (unsigned int i = 0; i < 2; i++) {
		struct spool_header header;

		if (spool_header_read(spool->state[i], &header) &&
		    header.generation >= spool->header.generation) {
			spool->header = header;
			spool->current = i;
		}
	}
	if (fstat(spool->inbox, &facts) < 0)
		return -errno;
	/* it was emptied, and then whoever did it died */
	if (spool->header.inbox > (uint64_t)facts.st_size)
		spool->header.inbox = 0;
	spool->scanned = spool->punched = spool->header.inbox;
	at = spool->header.next;
	return spool_scan(spool, spool->state[spool->current], &at, spool->header.end);
}

int spool_open(int inbox, const int state[2], uint64_t limit, struct spool **out)
{
	struct spool *spool = calloc(1, sizeof(*spool));
	int err;

	if (!spool)
		return -ENOMEM;
	spool->inbox = inbox;
	memcpy(spool->state, state, sizeof(spool->state));
	spool->limit = limit;
	err = spool_load(spool);
	if (err)
		spool_close(spool);
	else
		*out = spool;
	return err;
}

void spool_close(struct spool *spool)
{
	if (spool)
		free(spool->entries);
	free(spool);
}

/* Marks what is to go; returns how many. */
static size_t spool_choose(struct spool *spool, size_t in_flight)
{
	const uint64_t target = spool->limit - spool->limit / SPOOL_SLACK;
	size_t chosen = 0;

	for (unsigned int severity = 0; severity <= UINT8_MAX; severity++)
		for (size_t i = in_flight; i < spool->count; i++) {
			struct spool_entry *entry = &spool->entries[spool->first + i];

			if (spool->waiting <= target)
				return chosen;
			if (entry->severity != severity)
				continue;
			entry->dropped = true;
			spool->waiting -= entry->size;
			chosen++;
		}
	return chosen;
}

static int spool_copy(struct spool *spool, const struct spool_entry *entry, int to, uint64_t at)
{
	int fd = entry->in_inbox ? spool->inbox : spool->state[spool->current];
	int err = base_read_at(fd, spool->buffer, entry->size, entry->offset);

	if (err)
		return err;
	return pwrite(to, spool->buffer, entry->size, (off_t)at) == (ssize_t)entry->size ? 0
	                                                                                 : -ENOSPC;
}

/* All that is kept goes into the other state file, which then is the current one. */
static int spool_compact(struct spool *spool, size_t dropped)
{
	unsigned int other = !spool->current;
	int to = spool->state[other];
	uint64_t at = SPOOL_RECORDS;
	size_t kept = 0;
	int err = ftruncate(to, 0) < 0 ? -errno : 0;

	for (size_t i = 0; !err && i < spool->count; i++) {
		const struct spool_entry *entry = &spool->entries[spool->first + i];

		if (entry->dropped)
			continue;
		err = spool_copy(spool, entry, to, at);
		at += entry->size;
	}
	if (err || fdatasync(to) < 0)
		return err ? err : -errno;
	spool->header.generation++;
	spool->header.next = SPOOL_RECORDS;
	spool->header.end = at;
	spool->header.inbox = spool->scanned;
	spool->header.dropped += dropped;
	spool->current = other;
	at = SPOOL_RECORDS;
	for (size_t i = 0; i < spool->count; i++) {
		struct spool_entry entry = spool->entries[spool->first + i];

		if (entry.dropped)
			continue;
		entry.offset = at;
		entry.in_inbox = false;
		at += entry.size;
		spool->entries[spool->first + kept++] = entry;
	}
	spool->count = kept;
	return spool_header_write(spool);
}

/* Gives back what the inbox no longer needs; where a filesystem cannot, it has to wait for spool_reset(). */
static void spool_punch(struct spool *spool, uint64_t step)
{
	if (spool->header.inbox - spool->punched < step)
		return;
	fallocate(spool->inbox, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
	          (off_t)spool->header.inbox);
	spool->punched = spool->header.inbox;
}

int spool_refresh(struct spool *spool, size_t in_flight)
{
	struct stat facts;
	size_t chosen;
	int err;

	if (fstat(spool->inbox, &facts) < 0)
		return -errno;
	err = spool_scan(spool, spool->inbox, &spool->scanned, (uint64_t)facts.st_size);
	if (err || spool->waiting <= spool->limit)
		return err;
	chosen = spool_choose(spool, in_flight);
	err = chosen ? spool_compact(spool, chosen) : 0;
	if (!err)
		spool_punch(spool, 1);
	return err;
}

size_t spool_count(const struct spool *spool)
{
	return spool->count;
}

ssize_t spool_read(const struct spool *spool, size_t i, char *text)
{
	const struct spool_entry *entry = &spool->entries[spool->first + i];
	size_t size = entry->size - sizeof(struct spool_head);
	int fd = entry->in_inbox ? spool->inbox : spool->state[spool->current];
	int err = base_read_at(fd, text, size, entry->offset + sizeof(struct spool_head));

	return err ? err : (ssize_t)size;
}

int spool_done(struct spool *spool, size_t count)
{
	int err;

	if (count == 0)
		return 0;
	for (size_t i = 0; i < count; i++) {
		const struct spool_entry *entry = &spool->entries[spool->first + i];

		if (entry->in_inbox) {
			spool->header.inbox = entry->offset + entry->size;
			spool->header.next = spool->header.end;
		} else
			spool->header.next = entry->offset + entry->size;
		if (!entry->dropped) /* chosen, and then could not be left out */
			spool->waiting -= entry->size;
	}
	spool->first += count;
	spool->count -= count;
	spool->header.delivered += count;
	err = spool_header_write(spool);
	if (!err)
		spool_punch(spool, SPOOL_PUNCH);
	return err;
}

int spool_reset(struct spool *spool)
{
	if (spool->count > 0)
		return -EBUSY;
	if (ftruncate(spool->inbox, 0) < 0 || ftruncate(spool->state[!spool->current], 0) < 0)
		return -errno;
	spool->scanned = spool->punched = spool->header.inbox = 0;
	spool->header.next = spool->header.end = SPOOL_RECORDS;
	return spool_header_write(spool);
}

uint64_t spool_delivered(const struct spool *spool)
{
	return spool->header.delivered;
}

uint64_t spool_dropped(const struct spool *spool)
{
	return spool->header.dropped;
}
