/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fw_cfg: the device that firmware asks for its tables, and for the kernel that it is to start (QEMU's
 * docs/specs/fw_cfg). Only a guest that starts from firmware has it.
 */
#ifndef CORDON_VMM_FW_CFG_H
#define CORDON_VMM_FW_CFG_H

#include "vmm/machine.h"

enum {
	FWCFG_PORT = 0x510,
	FWCFG_PORTS = 12,
	FWCFG_ITEMS_MAX = 32,
	FWCFG_FILES_MAX = 8,
	FWCFG_BLOCKS_MAX = 16,
	FWCFG_NAME_MAX = 56, /* with its NUL */
	/* One command's bytes: a few 10 ms under the machine's lock. */
	FWCFG_DMA_MAX = 256 << 20,

	/* keys */
	FWCFG_SIGNATURE = 0x00,
	FWCFG_ID = 0x01,
	FWCFG_RAM_SIZE = 0x03,
	FWCFG_NB_CPUS = 0x05,
	FWCFG_KERNEL_SIZE = 0x08,
	FWCFG_INITRD_SIZE = 0x0b,
	FWCFG_MAX_CPUS = 0x0f,
	FWCFG_KERNEL_DATA = 0x11,
	FWCFG_INITRD_DATA = 0x12,
	FWCFG_CMDLINE_SIZE = 0x14,
	FWCFG_CMDLINE_DATA = 0x15,
	FWCFG_SETUP_SIZE = 0x17,
	FWCFG_SETUP_DATA = 0x18,
	FWCFG_FILE_DIR = 0x19,
	FWCFG_FILE_FIRST = 0x20,
	FWCFG_FILE_ENTRY = 64, /* in the directory, behind the number of them (4 bytes) */

	/* a DMA command: control, length (4 bytes each), address (8), all big-endian */
	FWCFG_COMMAND = 16,
	FWCFG_DMA_ERROR = 1 << 0,
	FWCFG_DMA_READ = 1 << 1,
	FWCFG_DMA_SKIP = 1 << 2,
	FWCFG_DMA_SELECT = 1 << 3,
	FWCFG_DMA_WRITE = 1 << 4,
};

struct fwcfg_item {
	uint16_t key;
	uint32_t size;
	const uint8_t *data;
};

struct fwcfg {
	struct machine *machine;
	struct fwcfg_item items[FWCFG_ITEMS_MAX];
	size_t count;
	uint8_t directory[4 + FWCFG_FILES_MAX * FWCFG_FILE_ENTRY];
	size_t files;
	void *blocks[FWCFG_BLOCKS_MAX]; /* what goes with the device */
	size_t block_count;
	const struct fwcfg_item *selected; /* NULL: nothing of that key */
	uint32_t offset;                   /* at most the selected item's size */
	uint32_t address_high;             /* of the next DMA command */
};

extern const struct machine_io_ops fwcfg_io;

/* Has the signature, the revision and an empty directory. */
void fwcfg_init(struct fwcfg *f, struct machine *m);
/* Frees what was kept. */
void fwcfg_destroy(struct fwcfg *f);

/* Before the guest runs. 0, or -ENOSPC, -ENOMEM; -ENAMETOOLONG for a file's name. The bytes stay where they are. */
int fwcfg_add(struct fwcfg *f, uint16_t key, const void *data, uint32_t size);
/* A little-endian number of 2, 4 or 8 bytes. */
int fwcfg_add_number(struct fwcfg *f, uint16_t key, uint64_t value, uint32_t size);
int fwcfg_add_file(struct fwcfg *f, const char *name, const void *data, uint32_t size);
/* The device frees `block`, which came from malloc(), with itself; at once when it fails. */
int fwcfg_keep(struct fwcfg *f, void *block);

#endif
