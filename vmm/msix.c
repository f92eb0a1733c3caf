/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MSI-X (PCI Local Bus 3.0, 6.8.2). A vector delivers when MSI-X is enabled, the function is not masked and
 * the entry's own mask bit is clear. Only then are its sources bound to its GSI; KVM takes what is in
 * an eventfd by itself.
 *
 * A masked vector's pending bit needs no code on the way: what a back end signals meanwhile stays as the
 * count in the eventfd. Reading the pending bits asks the fds, and binding lets KVM find the count and
 * deliver it. KVM leaves that count where it was, so it is taken out after binding: whatever comes
 * after that moment KVM consumes itself.
 *
 * What the device itself raises has one eventfd for all vectors, so that is remembered by the vector.
 *
 * A GSI is taken when a vector first delivers, and kept: routes are scarce, and most vectors of most
 * devices are never used. The table is written in whole dwords or qwords, as the specification has it.
 */
#include "vmm/msix.h"

#include "base/base.h"
#include "vmm/eventfd.h"

enum {
	CONTROL_OFFSET = 2, /* in the capability */
	CONTROL_HIGH_ENABLE = 0x80,
	CONTROL_HIGH_MASK = 0x40,
	ENTRY_DATA = 8,
	ENTRY_CONTROL = 12,
	ENTRY_MASKED = 1,
};

static bool can_deliver(const struct msix *msix, const struct msix_vector *vector)
{
	uint8_t high = msix->pci->config[msix->capability + CONTROL_OFFSET + 1];

	return (high & CONTROL_HIGH_ENABLE) && !(high & CONTROL_HIGH_MASK) &&
	       !(vector->entry[ENTRY_CONTROL] & ENTRY_MASKED);
}

static void bind_source(struct msix *msix, const struct msix_source *source, bool bind)
{
	struct msix_vector *vector = &msix->vectors[source->vector];
	int error = machine_irqfd(msix->machine, source->fd, vector->gsi, bind);

	if (error && bind)
		machine_log(msix->machine, "an interrupt of GSI %d cannot be bound: %s",
		            vector->gsi, strerror(-error));
	if (bind)
		eventfd_drain(source->fd);
}

static void bind_all(struct msix *msix, unsigned int index, bool bind)
{
	for (unsigned int i = 0; i < msix->source_count; i++)
		if (msix->sources[i].vector == index)
			bind_source(msix, &msix->sources[i], bind);
	msix->vectors[index].live = bind;
}

/* False when there is no route for it, which only costs the guest this vector. */
static bool route(struct msix *msix, struct msix_vector *vector)
{
	if (vector->gsi < 0)
		vector->gsi = machine_msi_alloc(msix->machine);
	return vector->gsi >= 0 &&
	       machine_msi_set(msix->machine, vector->gsi, base_le64(vector->entry),
	                       base_le32(vector->entry + ENTRY_DATA)) == 0;
}

static void raise_now(struct msix *msix, unsigned int source, uint16_t vector)
{
	uint64_t one = 1;

	msix->vectors[vector].raised = -1;
	msix_source_set(msix, source, vector);
	if (base_write_all(msix->sources[source].fd, &one, sizeof(one)) != 0)
		machine_log(msix->machine, "an interrupt of GSI %d is lost",
		            msix->vectors[vector].gsi);
}

/* After a change: binds, unbinds or routes again what differs. */
static void update(struct msix *msix, unsigned int index, bool message_changed)
{
	struct msix_vector *vector = &msix->vectors[index];
	bool deliver = can_deliver(msix, vector);

	if (deliver && (!vector->live || message_changed))
		deliver = route(msix, vector);
	if (deliver != vector->live)
		bind_all(msix, index, deliver);
	if (vector->live && vector->raised >= 0)
		raise_now(msix, (unsigned int)vector->raised, (uint16_t)index);
}

void msix_init(struct msix *msix, struct machine *m, struct pci_device *pci, unsigned int vectors,
               uint32_t table, uint32_t pending)
{
	/* Control holds the table's size less one; the BAR's number, 0, is in the low bits of the offsets. */
	uint8_t body[12] = {[2] = (uint8_t)(vectors - 1)};

	for (unsigned int i = 0; i < 4; i++) {
		body[4 + i] = (uint8_t)(table >> 8 * i);
		body[8 + i] = (uint8_t)(pending >> 8 * i);
	}
	memset(msix, 0, sizeof(*msix));
	msix->machine = m;
	msix->pci = pci;
	msix->vector_count = vectors;
	msix->capability = pci_device_capability(pci, PCI_CAPABILITY_MSIX, body, sizeof(body));
	pci->writable[msix->capability + CONTROL_OFFSET + 1] =
	        CONTROL_HIGH_ENABLE | CONTROL_HIGH_MASK;
	for (unsigned int i = 0; i < vectors; i++) {
		msix->vectors[i].gsi = msix->vectors[i].raised = -1;
		msix->vectors[i].entry[ENTRY_CONTROL] = ENTRY_MASKED;
	}
}

void msix_destroy(struct msix *msix)
{
	for (unsigned int i = 0; i < msix->vector_count; i++)
		if (msix->vectors[i].live)
			bind_all(msix, i, false);
}

unsigned int msix_source_add(struct msix *msix, int fd)
{
	if (msix->source_count == MSIX_SOURCES_MAX)
		abort();
	msix->sources[msix->source_count] = (struct msix_source){fd, MSIX_NO_VECTOR};
	return msix->source_count++;
}

uint16_t msix_source_set(struct msix *msix, unsigned int index, uint16_t vector)
{
	struct msix_source *source = &msix->sources[index];

	if (vector >= msix->vector_count)
		vector = MSIX_NO_VECTOR;
	if (vector == source->vector)
		return vector;
	if (source->vector != MSIX_NO_VECTOR && msix->vectors[source->vector].live)
		bind_source(msix, source, false);
	else
		eventfd_drain(
		        source->fd); /* it signalled nobody, or a vector that it no longer has */
	source->vector = vector;
	if (vector != MSIX_NO_VECTOR && msix->vectors[vector].live)
		bind_source(msix, source, true);
	return vector;
}

void msix_raise(struct msix *msix, unsigned int source, uint16_t vector)
{
	if (vector >= msix->vector_count)
		return;
	msix->vectors[vector].raised = (int)source;
	if (msix->vectors[vector].live)
		raise_now(msix, source, vector);
}

void msix_raise_none(struct msix *msix, unsigned int source)
{
	for (unsigned int i = 0; i < msix->vector_count; i++)
		if (msix->vectors[i].raised == (int)source)
			msix->vectors[i].raised = -1;
	msix_source_set(msix, source, MSIX_NO_VECTOR);
}

/* The vector that a whole-dword or whole-qword access is in; NULL: none. */
static struct msix_vector *entry_at(struct msix *msix, uint64_t offset, unsigned int size)
{
	if ((size != 4 && size != 8) || offset % size != 0 ||
	    offset / MSIX_ENTRY_SIZE >= msix->vector_count)
		return NULL;
	return &msix->vectors[offset / MSIX_ENTRY_SIZE];
}

void msix_table_read(struct msix *msix, uint64_t offset, void *data, unsigned int size)
{
	struct msix_vector *vector = entry_at(msix, offset, size);

	if (vector)
		memcpy(data, vector->entry + offset % MSIX_ENTRY_SIZE, size);
	else
		memset(data, 0xff, size);
}

void msix_table_write(struct msix *msix, uint64_t offset, const void *data, unsigned int size)
{
	struct msix_vector *vector = entry_at(msix, offset, size);
	uint8_t before[ENTRY_CONTROL];

	if (!vector)
		return;
	memcpy(before, vector->entry, sizeof(before));
	memcpy(vector->entry + offset % MSIX_ENTRY_SIZE, data, size);
	vector->entry[ENTRY_CONTROL] &= ENTRY_MASKED;
	memset(vector->entry + ENTRY_CONTROL + 1, 0, 3);
	update(msix, (unsigned int)(offset / MSIX_ENTRY_SIZE),
	       memcmp(before, vector->entry, sizeof(before)) != 0);
}

void msix_pending_read(struct msix *msix, uint64_t offset, void *data, unsigned int size)
{
	uint64_t bits = 0;

	_Static_assert(MSIX_VECTORS_MAX <= 64, "the pending bits are one qword");
	for (unsigned int i = 0; i < msix->source_count; i++) {
		const struct msix_source *source = &msix->sources[i];

		if (source->vector != MSIX_NO_VECTOR && !msix->vectors[source->vector].live &&
		    eventfd_pending(source->fd))
			bits |= 1ull << source->vector;
	}
	for (unsigned int i = 0; i < msix->vector_count; i++)
		bits |= (uint64_t)(msix->vectors[i].raised >= 0) << i;
	memset(data, 0, size);
	for (unsigned int i = 0; i < size && offset + i < sizeof(bits); i++)
		((uint8_t *)data)[i] = (uint8_t)(bits >> (offset + i) * 8);
}

void msix_config_written(struct msix *msix, unsigned int offset, unsigned int size)
{
	unsigned int control = msix->capability + CONTROL_OFFSET + 1;

	if (control < offset || control >= offset + size)
		return;
	for (unsigned int i = 0; i < msix->vector_count; i++)
		update(msix, i, false);
}
