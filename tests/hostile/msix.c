/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Wrong uses of MSI-X (PCI Local Bus 3.0, 6.8.2; virtio 1.2, 4.1.5.1.2), with interrupts that do arrive. */
#include "tests/hostile/class.h"

enum { CONTROL_ENABLE = 0x80, CONTROL_MASK = 0x40, STORM = 200 };

/* A good request raises the device's interrupt. */
static const char *interrupt_comes(struct device *d)
{
	uint32_t before = interrupts_of(d->vector);
	const char *bad = d->kind->good(d);
	uint64_t end = time_ms() + ANSWER_MS;

	while (!bad && interrupts_of(d->vector) == before)
		if (time_ms() > end)
			bad = why("no interrupt comes");
	return bad;
}

static const char *msix_vectors(struct device *d)
{
	const uint16_t wrong[] = {d->vector_count, 64, 0x100, 0x7ff, 0x8000, 0xfffe};
	const char *bad = device_start(d);

	for (unsigned int w = 0; w < COUNT(wrong) && !bad; w++) {
		for (unsigned int i = 0; i < d->queues_used; i++) {
			common_write(d, QUEUE_SELECT, i, 2);
			common_write(d, QUEUE_VECTOR, wrong[w], 2);
			if (wrong[w] >= d->vector_count &&
			    common_read(d, QUEUE_VECTOR, 2) != NO_VECTOR)
				return why("queue %u took vector %u", i, wrong[w]);
		}
		common_write(d, CONFIG_VECTOR, wrong[w], 2);
		if (wrong[w] >= d->vector_count && common_read(d, CONFIG_VECTOR, 2) != NO_VECTOR)
			return why("the configuration took vector %u", wrong[w]);
	}
	if (!bad)
		bad = d->kind->good(d); /* without any interrupt */
	if (!bad)
		bad = device_start(d);
	return bad ? bad : interrupt_comes(d);
}

/* Entries written by halves, to addresses and with messages that are none, while they are unmasked. */
static const char *msix_table(struct device *d)
{
	static const uint64_t addresses[] = {
	        0,          PAGE,        ECAM_BASE,          IOAPIC_BASE,
	        0xfeefffff, 0xfee0fffc,  0xfffffffffee00000, 1ul << 63,
	        0xfedffffc, 0xfef00000u, 0xffffffff};
	/* vectors below 16, reserved kinds, levels; none that resets or stops a processor that there is */
	static const uint32_t data[] = {0, 15, 0x300, 0x700, 0xc000, 0xffff0000 | 0x20, 0x8041};
	const char *bad = device_start(d);

	for (unsigned int i = 0; i < d->vector_count && !bad; i++) {
		const uint64_t at = d->bar + d->msix_table + i * 16ul;

		for (unsigned int n = 0; n < COUNT(addresses) && !bad; n++) {
			mmio_write(at, addresses[n], 8);
			mmio_write(at + 8, data[n % COUNT(data)], 4);
			if (i == d->vector_count - 1u) /* the one that queues have */
				bad = d->kind->good(d);
			mmio_write(at + 4, 0x12345678, 4);
			mmio_write(at, 0xff, 1);
			mmio_write(at + 12, 0xffff, 2);
			mmio_write(at + 6, addresses[n], 8);
			if (!bad && n == 0)
				bad = d->kind->good(d);
		}
	}
	mmio_write(d->bar + d->msix_table + d->vector_count * 16ul, ~0ul, 8);
	mmio_write(d->bar + d->msix_pending, ~0ul, 8);
	msix_enable(d);
	return bad ? bad : interrupt_comes(d);
}

/* Masked and unmasked by entry, by function and altogether, with requests on the way. */
static const char *msix_storm(struct device *d)
{
	const char *bad = device_start(d);

	for (unsigned int n = 0; n < STORM && !bad; n++) {
		unsigned int control = n % 3 == 0   ? CONTROL_ENABLE
		                       : n % 3 == 1 ? CONTROL_ENABLE | CONTROL_MASK
		                                    : 0;

		config_write(d, d->msix + 3u, control, 1);
		for (unsigned int i = 0; i < d->vector_count; i++)
			mmio_write(d->bar + d->msix_table + i * 16ul + 12, n & 1, 4);
		if (n % 20 == 0)
			bad = d->kind->good(d);
	}
	msix_enable(d);
	return bad ? bad : interrupt_comes(d);
}

/* A request that ends while its vector is masked shows as pending, and its interrupt comes at last. */
static const char *msix_pending(struct device *d)
{
	const char *bad = device_start(d);
	uint64_t end = time_ms() + ANSWER_MS;
	uint32_t before;

	for (unsigned int i = 0; i < d->vector_count; i++)
		mmio_write(d->bar + d->msix_table + i * 16ul + 12, 1, 4);
	before = interrupts_of(d->vector);
	if (!bad)
		bad = d->kind->good(d);
	if (bad)
		return bad;
	while (mmio_read(d->bar + d->msix_pending, 8) == 0)
		if (time_ms() > end)
			return why("nothing is pending");
	if (interrupts_of(d->vector) != before)
		return why("a masked vector was delivered");
	msix_enable(d);
	while (interrupts_of(d->vector) == before)
		if (time_ms() > end)
			return why("the interrupt that was pending never comes");
	return NULL;
}

const struct hostile_class msix_classes[] = {
        {"msix_vectors", msix_vectors, false},
        {"msix_table", msix_table, false},
        {"msix_storm", msix_storm, false},
        {"msix_pending", msix_pending, false},
        {NULL, NULL, false},
};
