/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Private memory, for a guest that has it: pages change hands both ways and keep or lose what they should,
 * requests for what cannot be are refused, and no device gets at a page that is not shared: it needs a reset
 * then, and the machine runs on. Run when the devices offer VIRTIO_F_ACCESS_PLATFORM.
 */
#include "tests/hostile/class.h"

enum {
	HC_MAP_GPA_RANGE = 12, /* Linux's Documentation/virt/kvm/x86/hypercalls.rst */
	SHARE = 0,
	KEEP = 1 << 4,
	KVM_EINVAL = 22,
	REGION_PAGES = 1024,

	LAZY_MS = 20,
	FLIPS = 300,
};
/* RAM that neither the guest nor its loader has a use for. */
#define REGION 0x2000000ul
/* And two pages of it that stay as they are until the end: what is looked for on the host. */
#define MARKS 0x2800000ul

static long convert_raw(uint64_t guest, uint64_t pages, uint64_t how)
{
	long result;

	__asm__ volatile("vmmcall"
	                 : "=a"(result)
	                 : "a"(HC_MAP_GPA_RANGE), "b"(guest), "c"(pages), "d"(how)
	                 : "memory");
	return result;
}

static const char *convert(uint64_t guest, uint64_t pages, uint64_t how)
{
	long result = convert_raw(guest, pages, how);

	return result == 0
	               ? NULL
	               : why("%lu pages at %lx to %lx: %lx", pages, guest, how, (uint64_t)result);
}

static volatile uint64_t *word(uint64_t page, unsigned int at)
{
	return (volatile uint64_t *)(REGION + page * PAGE + at * sizeof(uint64_t));
}

static uint64_t value(uint64_t page, uint64_t salt)
{
	return (page + 1) * 0x9e3779b97f4a7c15 + salt;
}

/* The first and the last word of each page in [first, end). */
static void fill(uint64_t first, uint64_t end, uint64_t salt)
{
	for (uint64_t page = first; page < end; page++)
		*word(page, 0) = *word(page, 511) = value(page, salt);
}

/* `salt` 0: the pages are empty. */
static const char *want(uint64_t first, uint64_t end, uint64_t salt, const char *what)
{
	for (uint64_t page = first; page < end; page++) {
		uint64_t wanted = salt ? value(page, salt) : 0;

		if (*word(page, 0) != wanted || *word(page, 511) != wanted)
			return why("page %lu, %s: %lx and %lx, not %lx", page, what, *word(page, 0),
			           *word(page, 511), wanted);
	}
	return NULL;
}

/* Pages [first, end) of a region that is shared go and come back, a part of them before the others. */
static const char *both_ways(uint64_t first, uint64_t end)
{
	uint64_t middle = first + (end - first) / 2;
	const char *bad;

	fill(0, REGION_PAGES, 1);
	bad = convert(REGION + first * PAGE, end - first, KEEP);
	bad = bad ? bad : want(first, end, 0, "fresh private ones");
	bad = bad ? bad : want(0, first, 1, "shared below");
	bad = bad ? bad : want(end, REGION_PAGES, 1, "shared above");
	if (bad)
		return bad;
	fill(first, end, 2);
	bad = convert(REGION + middle * PAGE, end - middle, SHARE);
	bad = bad ? bad : want(first, middle, 2, "private ones that stay");
	bad = bad ? bad : want(middle, end, 0, "shared anew");
	bad = bad ? bad : convert(REGION + middle * PAGE, end - middle, KEEP);
	bad = bad ? bad : want(middle, end, 0, "private once more");
	bad = bad ? bad
	          : convert(REGION + first * PAGE, end - first, KEEP); /* some are so already */
	bad = bad ? bad : want(first, middle, 2, "private ones that were asked for again");
	bad = bad ? bad : convert(REGION, REGION_PAGES, SHARE);
	bad = bad ? bad : want(first, end, 0, "all shared anew");
	bad = bad ? bad : want(0, first, 1, "shared below, in the end");
	return bad ? bad : want(end, REGION_PAGES, 1, "shared above, in the end");
}

/* A page, some, and whole huge pages, on their borders and across them. */
static const char *private_both_ways(struct device *unused)
{
	static const uint16_t ranges[][2] = {{0, 1},      {7, 10},    {511, 513},
	                                     {512, 1024}, {300, 900}, {0, REGION_PAGES}};
	const char *bad = NULL;

	(void)unused;
	for (unsigned int i = 0; i < COUNT(ranges) && !bad; i++)
		bad = both_ways(ranges[i][0], ranges[i][1]);
	return bad;
}

static const char *private_refused(struct device *unused)
{
	const struct {
		uint64_t guest, pages, how;
		long result;
	} requests[] = {
	        {REGION, 0, KEEP, -KVM_EINVAL},
	        {REGION + 1, 1, KEEP, -KVM_EINVAL},
	        {REGION + PAGE - 1, 1, SHARE, -KVM_EINVAL},
	        {REGION, 1, KEEP | 0x20, -KVM_EINVAL},
	        {REGION, 1, 1ul << 63, -KVM_EINVAL},
	        {memory_end(), 1, KEEP, -KVM_EINVAL},
	        {memory_end() - PAGE, 2, KEEP, -KVM_EINVAL},
	        {0, 1ul << 40, KEEP, -KVM_EINVAL},
	        {REGION, 1ul << 52, KEEP, -KVM_EINVAL},
	        {REGION, (1ul << 52) + 1, KEEP, -KVM_EINVAL},
	        {REGION, ~0ul, KEEP, -KVM_EINVAL},
	        {~0ul - PAGE + 1, 1, KEEP, -KVM_EINVAL},
	        {~0ul - PAGE + 1, 2, KEEP, -KVM_EINVAL},
	        {ECAM_BASE, 1, KEEP, -KVM_EINVAL},
	        {LAPIC_BASE, 1, KEEP, -KVM_EINVAL},
	        {IOAPIC_BASE, 1, SHARE, -KVM_EINVAL},
	        {0x100000000, 1, KEEP, -KVM_EINVAL},
	};

	(void)unused;
	fill(0, 4, 3);
	for (unsigned int i = 0; i < COUNT(requests); i++) {
		long result = convert_raw(requests[i].guest, requests[i].pages, requests[i].how);

		if (result != requests[i].result)
			return why("request %u at %lx was answered %lx", i, requests[i].guest,
			           (uint64_t)result);
	}
	return want(0, 4, 3, "after what was refused");
}

/* One page after the other, there and back, as quickly as it goes: nothing grows for it. */
static const char *private_flips(struct device *unused)
{
	const char *bad = NULL;

	(void)unused;
	for (uint64_t i = 0; i < FLIPS && !bad; i++) {
		uint64_t page = i * 7 % REGION_PAGES;

		bad = convert(REGION + page * PAGE, 1, KEEP);
		*word(page, 0) = *word(page, 511) = value(page, i + 1);
		bad = bad ? bad : want(page, page + 1, i + 1, "private for a moment");
		bad = bad ? bad : convert(REGION + page * PAGE, 1, SHARE);
		bad = bad ? bad : want(page, page + 1, 0, "shared after a moment");
	}
	return bad;
}

/* A request in private memory: the device has to find nothing, write nothing, and say that it is lost. */
static const char *private_request(struct device *d, unsigned int index)
{
	bool lazy = d->kind->queues[index].lazy;
	struct queue *q = &d->queues[index];
	uint64_t at = (uint64_t)d->buffer;
	const char *bad = device_start(d);
	enum outcome found;

	bad = bad ? bad : convert(at, BUFFER_SIZE / PAGE, KEEP);
	if (bad)
		return bad;
	if (request_lay(q) > 0) {
		memory_fill(d->buffer + PAGE, 0x5a, PAGE);
		request_send(q, 0);
		found = outcome(q, lazy ? LAZY_MS : ANSWER_MS);
		if (found != BROKEN && !(lazy && found == IGNORED))
			bad = why("queue %u: %s", index,
			          found == ANSWERED ? "it was answered" : "nothing happened");
		if (!bad && (d->buffer[PAGE] != 0x5a || d->buffer[2 * PAGE - 1] != 0x5a))
			bad = why("queue %u: the page was written", index);
	}
	return bad ? bad : convert(at, BUFFER_SIZE / PAGE, SHARE);
}

static const char *private_buffer(struct device *d)
{
	const char *bad = NULL;

	for (unsigned int i = 0; i < d->queues_used && !bad; i++)
		bad = private_request(d, i);
	return bad;
}

/* The pages of a queue's three parts, each its own. */
static uint64_t part_of(const struct queue *q, unsigned int part)
{
	return part == 0   ? (uint64_t)q->descriptors
	       : part == 1 ? (uint64_t)q->available
	                   : (uint64_t)q->used;
}

/* A ring that is private when it is enabled. */
static const char *private_ring(struct device *d)
{
	const char *bad = NULL;

	for (unsigned int part = 0; part < 3 && !bad; part++) {
		uint64_t at = part_of(&d->queues[0], part);

		bad = device_negotiate(d, features_of_kind(d));
		bad = bad ? bad : convert(at, 1, KEEP);
		if (bad)
			return bad;
		if (!queue_setup(d, 0, QUEUE_SIZE_MAX))
			bad = why("a ring in private memory (part %u) was enabled", part);
		else if (!(status(d) & NEEDS_RESET))
			bad = why("its status is %x (part %u)", status(d), part);
		bad = bad ? bad : convert(at, 1, SHARE);
	}
	return bad;
}

/* A ring that the guest takes back while it runs. */
static const char *private_ring_later(struct device *d)
{
	const char *bad = NULL;

	for (unsigned int part = 0; part < 3 && !bad; part++) {
		struct queue *q = &d->queues[0];
		uint64_t at = part_of(q, part);

		bad = device_start(d);
		bad = bad ? bad : convert(at, 1, KEEP);
		if (bad)
			return bad;
		memory_fill((void *)at, 0x5a, PAGE);
		queue_notify(q);
		if (outcome(q, d->kind->queues[0].lazy ? LAZY_MS : ANSWER_MS) == ANSWERED &&
		    part != 2)
			bad = why("it went on without part %u of its ring", part);
		for (unsigned int i = 0; i < PAGE && !bad; i++)
			if (((volatile uint8_t *)at)[i] != 0x5a)
				bad = why("part %u of the ring was written", part);
		bad = bad ? bad : convert(at, 1, SHARE);
	}
	return bad;
}

static const char *private_unaware(struct device *d)
{
	uint64_t known = features_of_kind(d) & ~BIT(F_ACCESS_PLATFORM);

	if (!device_negotiate(d, known))
		return why("it takes a driver that does not know of private memory");
	if (status(d) & FEATURES_OK)
		return why("its status is %x", status(d));
	return NULL;
}

/* The other processor takes the buffer and the rings away and gives them back, all the time. */
static void flip(void *argument)
{
	const struct device *d = argument;
	uint32_t n = 1;

	while (!cpu_second_stopping()) {
		uint64_t at;

		n = n * 1664525 + 1013904223;
		at = n >> 31 ? (uint64_t)d->buffer + (n >> 16 & 3) * PAGE
		             : part_of(&d->queues[0], (n >> 16 & 7) % 3);
		(void)convert_raw(at, 1, KEEP);
		(void)convert_raw(at, 1, SHARE);
	}
}

static const char *private_race(struct device *d)
{
	const char *bad = device_start(d);

	if (bad)
		return bad;
	if (!cpu_second_run(flip, d))
		return why("there is no second processor");
	for (unsigned int i = 0; i < FLIPS && !bad; i++) {
		struct queue *q = &d->queues[i % d->queues_used];

		if (request_lay_at(q, 0, 0) > 0)
			request_send(q, 0);
		/* it may well need another reset before it has come up */
		if (status(d) & NEEDS_RESET)
			(void)device_start(d);
		relax();
	}
	cpu_second_stop();
	return bad;
}

/* "hostile: a SHARED mark" and so on, each byte one more here: so that only the page has it as it reads. */
static void mark(uint64_t page, const char *text)
{
	volatile char *at = (volatile char *)page;

	while (*text)
		*at++ = (char)(*text++ - 1);
}

/* One page that the host can find its mark in, and one that it can not: nobody there can map or read it. */
static const char *private_marks(struct device *unused)
{
	const char *bad = convert(MARKS + PAGE, 1, KEEP);

	(void)unused;
	if (bad)
		return bad;
	mark(MARKS, "iptujmf;!b!TIBSFE!nbsl");
	mark(MARKS + PAGE, "iptujmf;!b!QSJWBUF!nbsl");
	return NULL;
}

const struct hostile_class private_classes[] = {
        {"private_marks", private_marks, true},
        {"private_both_ways", private_both_ways, true},
        {"private_refused", private_refused, true},
        {"private_flips", private_flips, true},
        {"private_buffer", private_buffer, false},
        {"private_ring", private_ring, false},
        {"private_ring_later", private_ring_later, false},
        {"private_unaware", private_unaware, false},
        {"private_race", private_race, false},
        {NULL, NULL, false},
};
