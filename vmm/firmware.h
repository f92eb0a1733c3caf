/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * firmware: a guest that starts as a PC does, at the reset vector of an image that ends at 4 GiB (OVMF, TDVF): the
 * image, the device at which it asks for its tables and its kernel, and the few registers that it takes for granted.
 */
#ifndef CORDON_VMM_FIRMWARE_H
#define CORDON_VMM_FIRMWARE_H

#include "vmm/acpi.h"
#include "vmm/boot.h"
#include "vmm/chipset.h"
#include "vmm/fw_cfg.h"

struct pci_bus;

struct firmware {
	struct fwcfg fwcfg;
	struct chipset chipset;
	struct acpi_loader acpi;
	uint8_t e820[(BOOT_MAP_MAX)*20];
};

/* The image in fd, into its place, behind vm_memory_map(). 0, or a negative errno with `why`. */
int firmware_load(struct machine *m, int fd, char *why);

/*
 * All but the image, before the bus has devices: the kernel and initrd of `source` (-1: none) are read whole, and of a
 * guest whose launch is measured their hashes are kept for it (measured.h). 0, or a negative errno with `why`; what was
 * made goes with firmware_destroy().
 */
int firmware_create(struct firmware *firmware, struct machine *m, struct pci_bus *bus,
                    const struct boot_source *source, unsigned int vcpus, char *why);
void firmware_destroy(struct firmware *firmware);

#endif
