/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * msix: a device's MSI-X capability, table and pending bits. What raises interrupts is a source: an
 * eventfd that is given a vector. As long as the vector can deliver, the fd is an irqfd of KVM's and the
 * vmm sees nothing of it. Everything is called with the machine's lock held.
 */
#ifndef CORDON_MSIX_H
#define CORDON_MSIX_H

#include "vmm/pci.h"

enum {
	MSIX_VECTORS_MAX = 64,
	MSIX_SOURCES_MAX = 64,
	MSIX_ENTRY_SIZE = 16,
	MSIX_NO_VECTOR = 0xffff,
};

struct msix_vector {
	uint8_t entry[MSIX_ENTRY_SIZE]; /* address (64), data, control: as the guest sees it */
	int gsi;                        /* -1: none yet */
	bool live;                      /* its sources are irqfds */
	int raised;                     /* by this source, once it is live; -1: it is not */
};

struct msix_source {
	int fd;          /* the owner's */
	uint16_t vector; /* MSIX_NO_VECTOR: signals nobody */
};

struct msix {
	struct machine *machine;
	struct pci_device *pci;
	unsigned int capability; /* its offset in config space */
	unsigned int vector_count, source_count;
	struct msix_vector vectors[MSIX_VECTORS_MAX];
	struct msix_source sources[MSIX_SOURCES_MAX];
};

/* Adds the capability; table and pending bits are at these offsets of BAR 0. */
void msix_init(struct msix *msix, struct machine *m, struct pci_device *pci, unsigned int vectors,
               uint32_t table, uint32_t pending);
/* Unbinds every source. */
void msix_destroy(struct msix *msix);

/* Adds a source without a vector and returns its number. The fd stays the caller's, and open. */
unsigned int msix_source_add(struct msix *msix, int fd);
/* Gives a source its vector; one out of range is MSIX_NO_VECTOR. Returns what it became. */
uint16_t msix_source_set(struct msix *msix, unsigned int source, uint16_t vector);

/*
 * Raises a vector by a source that is for any of them, one after the other, and whose fd nobody else has.
 * One that cannot deliver yet is pending until it can, or until msix_raise_none().
 */
void msix_raise(struct msix *msix, unsigned int source, uint16_t vector);
/* Takes the source's vector and what is pending by it away. */
void msix_raise_none(struct msix *msix, unsigned int source);

void msix_table_read(struct msix *msix, uint64_t offset, void *data, unsigned int size);
void msix_table_write(struct msix *msix, uint64_t offset, const void *data, unsigned int size);
void msix_pending_read(struct msix *msix, uint64_t offset, void *data, unsigned int size);
/* The message control register may have changed. */
void msix_config_written(struct msix *msix, unsigned int offset, unsigned int size);

#endif
