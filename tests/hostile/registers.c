/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Wrong uses of the registers (virtio 1.2, 2.1 and 4.1.4): out of order, out of range, in odd widths, and
 * at the wrong time.
 */
#include "tests/hostile/class.h"

enum { NOTIFY_PAGE = 4096, QUIET_MS = 20 };

static const unsigned int widths[] = {1, 2, 4, 8};

/* ---- queues ---- */

static const char *queue_size(struct device *d)
{
	static const uint16_t wrong[] = {0, 3, 7, 63, 257, 1000, 512, 0x8000, 0xffff};
	const char *bad = device_negotiate(d, BIT(F_VERSION_1));

	for (unsigned int i = 0; i < d->queues_used && !bad; i++) {
		uint16_t most;

		common_write(d, QUEUE_SELECT, i, 2);
		most = (uint16_t)common_read(d, QUEUE_SIZE, 2);
		for (unsigned int w = 0; w < COUNT(wrong); w++) {
			uint16_t now;

			common_write(d, QUEUE_SIZE, wrong[w], 2);
			now = (uint16_t)common_read(d, QUEUE_SIZE, 2);
			if (now == 0 || now > most || (now & (now - 1)) != 0)
				return why("queue %u took the size %u", i, wrong[w]);
		}
		common_write(d, QUEUE_SIZE, most, 2);
	}
	return bad;
}

/* Where it is, how long it is and whether it is on is fixed while it runs. */
static const char *queue_moved(struct device *d)
{
	const char *bad = device_start(d);

	for (unsigned int i = 0; i < d->queues_used && !bad; i++) {
		struct queue *q = &d->queues[i];

		common_write(d, QUEUE_SELECT, i, 2);
		common_write(d, QUEUE_DESCRIPTORS, (uint64_t)q->used, 8);
		common_write(d, QUEUE_DRIVER, 0xfffffffffffffff0, 8);
		common_write(d, QUEUE_DEVICE, LAPIC_BASE, 8);
		common_write(d, QUEUE_DEVICE + 4, 0xffffffff, 4);
		common_write(d, QUEUE_SIZE, 2, 2);
		common_write(d, QUEUE_ENABLE, 0, 2);
		if (common_read(d, QUEUE_DESCRIPTORS, 8) != (uint64_t)q->descriptors ||
		    common_read(d, QUEUE_DRIVER, 8) != (uint64_t)q->available ||
		    common_read(d, QUEUE_DEVICE, 8) != (uint64_t)q->used ||
		    common_read(d, QUEUE_SIZE, 2) != q->size ||
		    common_read(d, QUEUE_ENABLE, 2) != 1)
			return why("queue %u was changed while it ran", i);
	}
	return bad ? bad : d->kind->good(d);
}

/* Each queue of another size, the smallest ones too; requests that fit are answered, or break the ring. */
static const char *queue_sizes_odd(struct device *d)
{
	const char *bad = NULL;

	for (unsigned int shift = 0; shift < 4 && !bad; shift++) {
		bad = device_negotiate(d, features_of_kind(d));
		for (unsigned int i = 0; i < d->queues_used && !bad; i++)
			bad = queue_setup(d, i, (uint16_t)(1u << ((i + shift) % 4)));
		status_write(d, status(d) | DRIVER_OK);
		for (unsigned int i = 0; i < d->queues_used && !bad; i++) {
			struct queue *q = &d->queues[i];
			enum outcome found;

			if (request_lay(q) == 0)
				continue;
			request_send(q, 0);
			found = outcome(q, d->kind->queues[i].lazy ? QUIET_MS : ANSWER_MS);
			if (found == BROKEN) /* it did not fit */
				break;
			if (found == IGNORED && !d->kind->queues[i].lazy)
				bad = why("queue %u of %u entries does nothing", i, q->size);
		}
	}
	return bad;
}

struct place {
	uint64_t descriptors, driver, device; /* 0: a right one */
};

/* Enables each queue there, and runs. Every one of these has to be refused. */
static const char *place_try(struct device *d, const struct place *place)
{
	const char *bad = device_negotiate(d, BIT(F_VERSION_1));

	if (bad)
		return bad;
	for (unsigned int i = 0; i < d->queues_used; i++) {
		struct queue *q = &d->queues[i];

		common_write(d, QUEUE_SELECT, i, 2);
		common_write(d, QUEUE_SIZE, 16, 2);
		common_write(d, QUEUE_DESCRIPTORS,
		             place->descriptors ? place->descriptors : (uint64_t)q->descriptors, 8);
		common_write(d, QUEUE_DRIVER,
		             place->driver ? place->driver : (uint64_t)q->available, 8);
		common_write(d, QUEUE_DEVICE, place->device ? place->device : (uint64_t)q->used, 8);
		common_write(d, QUEUE_ENABLE, 1, 2);
		if (!(status(d) & NEEDS_RESET) && common_read(d, QUEUE_ENABLE, 2) == 1)
			return why("queue %u lives at %lx, %lx, %lx", i, place->descriptors,
			           place->driver, place->device);
	}
	status_write(d, status(d) | DRIVER_OK);
	for (unsigned int i = 0; i < d->queues_used; i++)
		queue_notify(&d->queues[i]);
	pause_ms(1);
	return NULL;
}

static const char *queue_places(struct device *d)
{
	const uint64_t end = memory_end();
	const struct place places[] = {
	        {end, 0, 0},
	        {0, end, 0},
	        {0, 0, end},
	        {end - 16, 0, 0},
	        {0, end - 2, 0},
	        {0, 0, end - 4},
	        {8, 0, 0},
	        {0, 1, 0},
	        {0, 0, 2},
	        {0xfffffffffffffff0, 0, 0},
	        {0, 0xfffffffffffffffe, 0},
	        {0, 0, 0xfffffffffffffffc},
	        {0xfffffffffffff000, 0xfffffffffffff000, 0xfffffffffffff000},
	        {ECAM_BASE, LAPIC_BASE, IOAPIC_BASE},
	        {d->bar, d->bar, d->bar},
	        {1ul << 63, 0, 0},
	};
	const char *bad = NULL;

	for (unsigned int i = 0; i < COUNT(places) && !bad; i++)
		bad = place_try(d, &places[i]);
	return bad;
}

/* All three parts, or two queues, in one place: the device writes over what it reads, and has to live. */
static const char *queue_overlap(struct device *d)
{
	const char *bad = device_negotiate(d, BIT(F_VERSION_1));
	uint64_t at = (uint64_t)d->queues[0].descriptors;

	if (bad)
		return bad;
	request_lay(&d->queues[0]);
	for (unsigned int i = 0; i < d->queues_used; i++) {
		common_write(d, QUEUE_SELECT, i, 2);
		common_write(d, QUEUE_SIZE, 16, 2);
		common_write(d, QUEUE_DESCRIPTORS, at, 8);
		common_write(d, QUEUE_DRIVER, at, 8);
		common_write(d, QUEUE_DEVICE, at, 8);
		common_write(d, QUEUE_ENABLE, 1, 2);
	}
	status_write(d, status(d) | DRIVER_OK);
	for (unsigned int n = 0; n < 64; n++) {
		*(volatile uint16_t *)(at + 2) = (uint16_t)n;
		for (unsigned int i = 0; i < d->queues_used; i++)
			queue_notify(&d->queues[i]);
	}
	pause_ms(QUIET_MS);
	return NULL;
}

/* ---- notifications ---- */

static void notify_everywhere(const struct device *d)
{
	for (unsigned int i = 0; i < COUNT(widths); i++) {
		uint64_t at = d->bar + d->notify.offset;

		for (unsigned int n = 0; n < 256; n++)
			mmio_write(at + n, n, widths[i]);
		mmio_write(at + NOTIFY_PAGE - widths[i], 0xffffffff, widths[i]);
	}
	for (unsigned int n = 0; n < 64; n++)
		mmio_write(d->bar + d->notify.offset, n * 1031, 2);
}

/* A driver that runs without any queue, and one with only its last. */
static const char *queues_none(struct device *d)
{
	const char *bad = device_negotiate(d, features_of_kind(d));

	if (bad)
		return bad;
	status_write(d, status(d) | DRIVER_OK);
	notify_everywhere(d);
	if (status(d) & NEEDS_RESET)
		return why("it does not run without queues");
	bad = device_negotiate(d, features_of_kind(d));
	if (!bad)
		bad = queue_setup(d, d->queues_used - 1, 1);
	if (bad)
		return bad;
	status_write(d, status(d) | DRIVER_OK);
	notify_everywhere(d);
	return status(d) & NEEDS_RESET ? why("it does not run with one queue") : NULL;
}

static const char *notify_strange(struct device *d)
{
	const char *bad = device_reset(d);

	if (bad)
		return bad;
	notify_everywhere(d); /* in reset */
	bad = device_negotiate(d, BIT(F_VERSION_1));
	if (bad)
		return bad;
	notify_everywhere(d); /* before there are queues */
	for (unsigned int i = 0; i < d->queues_used && !bad; i++)
		bad = queue_setup(d, i, 16);
	if (bad)
		return bad;
	notify_everywhere(d); /* before DRIVER_OK */
	bad = device_start(d);
	if (bad)
		return bad;
	notify_everywhere(d);
	return d->kind->good(d);
}

/* Each notification before DRIVER_OK is of a request that is served when the device runs. */
static const char *notify_early(struct device *d)
{
	const char *bad = device_negotiate(d, BIT(F_VERSION_1));

	for (unsigned int i = 0; i < d->queues_used && !bad; i++)
		bad = queue_setup(d, i, QUEUE_SIZE_MAX);
	for (unsigned int i = 0; i < d->queues_used && !bad; i++) {
		struct queue *q = &d->queues[i];

		if (request_lay(q) == 0)
			continue;
		request_send(q, 0);
		pause_ms(1);
		if (q->used->index != 0)
			return why("queue %u was served before DRIVER_OK", i);
	}
	return bad;
}

static const char *notify_storm(struct device *d)
{
	const char *bad = device_start(d);

	for (unsigned int n = 0; n < 4000 && !bad; n++)
		queue_notify(&d->queues[n % d->queues_used]);
	return bad ? bad : d->kind->good(d);
}

/* ---- reads and writes of all widths ---- */

static void sweep(uint64_t base, uint32_t from, uint32_t to, bool write)
{
	for (uint32_t at = from; at < to; at++)
		for (unsigned int i = 0; i < COUNT(widths); i++)
			if (write)
				mmio_write(base + at, 0xa5a5a5a5a5a5a5a5ul * at, widths[i]);
			else
				(void)mmio_read(base + at, widths[i]);
}

/* Each structure, from its start to past its end, and over the edges of its page and of the BAR. */
static void sweep_all(const struct device *d, bool write)
{
	const struct capability_window windows[] = {
	        d->common, d->isr, d->config, d->notify, {d->msix_table, 64}, {d->msix_pending, 8}};

	for (unsigned int i = 0; i < COUNT(windows); i++) {
		uint32_t from = windows[i].offset;

		sweep(d->bar, from, from + MIN(windows[i].length, 256u) + 9, write);
		sweep(d->bar, from + PAGE - 8, from + PAGE, write);
	}
	sweep(d->bar, d->bar_size - 8, d->bar_size, write);
}

static const char *config_reads(struct device *d)
{
	const char *bad = device_start(d);

	if (bad)
		return bad;
	sweep_all(d, false);
	common_write(d, QUEUE_SELECT, 0xffff, 2);
	common_write(d, OFFERED_SELECT, 0xffffffff, 4);
	common_write(d, ACCEPTED_SELECT, 0xffffffff, 4);
	sweep(d->bar, d->common.offset, d->common.offset + COMMON_SIZE, false);
	for (unsigned int at = 0; at < PAGE; at += at < 256 ? 1 : 61)
		for (unsigned int i = 0; i < COUNT(widths); i++)
			(void)mmio_read(ecam(d->slot, at), widths[i]);
	return d->kind->good(d);
}

static const char *config_writes(struct device *d)
{
	const char *bad = device_reset(d);

	if (bad)
		return bad;
	sweep_all(d, true); /* in reset, and whatever it makes of the status */
	bad = device_start(d);
	if (bad)
		return bad;
	sweep(d->bar, d->config.offset, d->config.offset + d->config.length + 9, true);
	sweep(d->bar, d->isr.offset, d->isr.offset + 9, true);
	bad = device_reset(d);
	msix_enable(d);
	return bad;
}

/* ---- status and features ---- */

static const char *status_backwards(struct device *d)
{
	const uint8_t running = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;
	const char *bad = device_start(d);

	for (unsigned int bit = 1; bit < 0x100 && !bad; bit <<= 1)
		if (running & bit) {
			status_write(d, running & (uint8_t)~bit);
			if (status(d) != running)
				bad = why("status bit %x was taken back", bit);
		}
	if (!bad)
		bad = d->kind->good(d);
	if (!bad)
		bad = device_reset(d);
	if (bad)
		return bad;
	status_write(d, DRIVER_OK);
	status_write(d, FEATURES_OK | DRIVER_OK);
	if (status(d) & DRIVER_OK)
		return why("it runs without features");
	bad = device_reset(d);
	if (bad)
		return bad;
	for (unsigned int value = 0xff; value > 0; value--) /* whatever that means */
		status_write(d, (uint8_t)value);
	return device_reset(d);
}

static const char *features_late(struct device *d)
{
	const char *bad = device_negotiate(d, BIT(F_VERSION_1));

	if (bad)
		return bad;
	for (unsigned int i = 0; i < 2; i++) {
		uint64_t now;

		features_accept(d, ~0ul);
		common_write(d, ACCEPTED_SELECT, 0, 4);
		now = common_read(d, ACCEPTED, 4);
		common_write(d, ACCEPTED_SELECT, 1, 4);
		now |= common_read(d, ACCEPTED, 4) << 32;
		if (now != BIT(F_VERSION_1))
			return why("the features became %lx", now);
		status_write(d, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
	}
	return NULL;
}

static const char *features_unoffered(struct device *d)
{
	const uint64_t offered = features_offered(d);
	const char *bad = NULL;

	for (unsigned int bit = 0; bit < 65 && !bad; bit++) {
		uint64_t wrong =
		        bit < 64 ? BIT(bit) | BIT(F_VERSION_1) : offered & ~BIT(F_VERSION_1);

		if (bit < 64 && !(wrong & ~offered))
			continue;
		bad = device_reset(d);
		status_write(d, ACKNOWLEDGE);
		status_write(d, ACKNOWLEDGE | DRIVER);
		features_accept(d, wrong);
		status_write(d, ACKNOWLEDGE | DRIVER | FEATURES_OK);
		if (!bad && status(d) & FEATURES_OK)
			bad = why("it took features %lx of %lx", wrong, offered);
	}
	return bad;
}

/* Every bit that is offered, alone and all together, is a choice that a device may refuse, and has to outlive. */
static const char *features_odd(struct device *d)
{
	const uint64_t offered = features_offered(d);

	device_start_with(d, offered);
	for (unsigned int bit = 0; bit < 64; bit++) {
		if (!(offered & BIT(bit)))
			continue;
		device_start_with(d, BIT(bit) | BIT(F_VERSION_1));
		device_start_with(d, (offered & ~BIT(bit)) | BIT(F_VERSION_1));
	}
	return NULL;
}

const struct hostile_class register_classes[] = {
        {"queue_size", queue_size, false},
        {"queue_sizes_odd", queue_sizes_odd, false},
        {"queue_moved", queue_moved, false},
        {"queue_places", queue_places, false},
        {"queue_overlap", queue_overlap, false},
        {"queues_none", queues_none, false},
        {"notify_strange", notify_strange, false},
        {"notify_early", notify_early, false},
        {"notify_storm", notify_storm, false},
        {"config_reads", config_reads, false},
        {"config_writes", config_writes, false},
        {"status_backwards", status_backwards, false},
        {"features_late", features_late, false},
        {"features_unoffered", features_unoffered, false},
        {"features_odd", features_odd, false},
        {NULL, NULL, false},
};
