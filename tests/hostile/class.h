/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * class: one way to be wrong. `run` does it to one device, or to the machine (alone), and gives NULL or
 * what it saw that should not be. The runner then wants a fresh start and a good request of that device,
 * and good requests of the others without any start: what one device is told is no other's business.
 */
#ifndef HOSTILE_CLASS_H
#define HOSTILE_CLASS_H

#include "tests/hostile/virtio.h"

struct hostile_class {
	const char *name;
	const char *(*run)(struct device *d);
	bool alone; /* once, with d = NULL; every device must work afterwards without a start */
};

/* Each list ends with a class without a name. */
extern const struct hostile_class chain_classes[], register_classes[], msix_classes[],
        pci_classes[], machine_classes[], race_classes[], private_classes[];

/* A start and a good request. */
static inline const char *device_revive(struct device *d)
{
	const char *bad = device_start(d);

	return bad ? bad : d->kind->good(d);
}

#endif
