/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A machine that is only a record: register ranges, MSI routes, irqfds, doorbells and watches are kept in
 * tables that a test looks at, and guest memory is a small memfd. For unit tests and fuzz targets of what
 * is plugged into a machine; the real one is driven in the rig.
 */
#ifndef CORDON_VIRTIO_FAKE_H
#define CORDON_VIRTIO_FAKE_H

#include "vmm/machine.h"

enum {
	FAKE_RANGES = 64,
	FAKE_GSIS = 256,
	FAKE_IRQFDS = 256,
	FAKE_DOORBELLS = 256,
	FAKE_WATCHES = 32,
	FAKE_LOW_RAM = 4 << 20,
	FAKE_HIGH_RAM = 1 << 20,
};

struct fake_range {
	enum machine_space space;
	uint64_t base, size;
	const struct machine_io_ops *ops;
	void *self;
};
struct fake_gsi {
	uint64_t address;
	uint32_t data;
	unsigned int set; /* how often it was set */
};
struct fake_irqfd {
	int fd, gsi;
};
struct fake_doorbell {
	uint64_t address;
	unsigned int size;
	int fd;
};
struct fake_watch {
	int fd;
	machine_ready_fn ready;
	void *self;
};

struct machine {
	struct fake_range ranges[FAKE_RANGES];
	size_t range_count;
	struct fake_gsi gsis[FAKE_GSIS];
	int gsi_count;
	struct fake_irqfd irqfds[FAKE_IRQFDS];
	size_t irqfd_count;
	struct fake_doorbell doorbells[FAKE_DOORBELLS];
	size_t doorbell_count;
	struct fake_watch watches[FAKE_WATCHES];
	size_t watch_count;
	int memfd;
	uint8_t *memory;
	int shared_map;                /* -1: no private memory */
	bool hidden;                   /* and yet encrypted, where it is */
	uint64_t private, private_end; /* what is not shared */
	unsigned int resets;
	unsigned int log_lines;
};

struct machine *fake_machine_create(void);
/* Aborts when a range, an irqfd, a doorbell or a watch was left behind. */
void fake_machine_destroy(struct machine *m);

/* A guest's access; what nothing answers reads as all-ones. True when something answered. */
bool fake_read(struct machine *m, enum machine_space space, uint64_t address, void *data,
               unsigned int size);
bool fake_write(struct machine *m, enum machine_space space, uint64_t address, const void *data,
                unsigned int size);
uint64_t fake_get(struct machine *m, enum machine_space space, uint64_t address, unsigned int size);
void fake_put(struct machine *m, enum machine_space space, uint64_t address, unsigned int size,
              uint64_t value);

/* The GSI that a fd is bound to, or -1. */
int fake_irqfd_gsi(const struct machine *m, int fd);
/* The fd that a doorbell at this address signals, or -1. */
int fake_doorbell_fd(const struct machine *m, uint64_t address);
/* Runs what watches a fd that is ready, once; returns how many ran. */
unsigned int fake_loop(struct machine *m);

#endif
