// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fw_cfg: numbered items of bytes, and a directory of those that have a name. The guest selects one and reads
 * on from its start; behind its end there are zeros. Two ways to read:
 *
 *   0x510  selector, 16 bits, little-endian, write only
 *   0x511  data, a byte a read
 *   0x514  the address of a command, big-endian, in two halves; the lower one (0x518) runs the command. Read,
 *          the register says "QEMU CFG": that there are commands
 *
 * All of a command is the guest's: its 16 bytes are copied once, what they name has to be memory of the guest,
 * shared where there is private memory, and is no more than FWCFG_DMA_MAX. Nothing can be written to an item. A
 * command whose own address is no such memory has no place for an answer, and gets none.
 */
#include "vmm/fw_cfg.h"

#include <endian.h>

#include "base/base.h"

enum {
	FWCFG_AT_SELECTOR = 0,
	FWCFG_AT_DATA = 1,
	FWCFG_AT_HIGH = 4,
	FWCFG_AT_LOW = 8,
	FWCFG_KEY_MASK = 0xbfff, /* bit 14 says that the guest means to write */
	FWCFG_WITH_DMA = 1 << 0 | 1 << 1,
};

static const uint8_t fwcfg_dma_signature[8] = {'Q', 'E', 'M', 'U', ' ', 'C', 'F', 'G'};

/* ---- what it has ---- */

int fwcfg_add(struct fwcfg *f, uint16_t key, const void *data, uint32_t size)
{
	if (f->count == FWCFG_ITEMS_MAX)
		return -ENOSPC;
	f->items[f->count++] = (struct fwcfg_item){.key = key, .size = size, .data = data};
	return 0;
}

int fwcfg_keep(struct fwcfg *f, void *block)
{
	if (!block)
		return -ENOMEM;
	if (f->block_count == FWCFG_BLOCKS_MAX) {
		free(block);
		return -ENOSPC;
	}
	f->blocks[f->block_count++] = block;
	return 0;
}

int fwcfg_add_number(struct fwcfg *f, uint16_t key, uint64_t value, uint32_t size)
{
	const uint64_t little = htole64(value);
	void *copy = malloc(sizeof(little));
	int error = fwcfg_keep(f, copy);

	if (error)
		return error;
	memcpy(copy, &little, sizeof(little));
	return fwcfg_add(f, key, copy, size);
}

int fwcfg_add_file(struct fwcfg *f, const char *name, const void *data, uint32_t size)
{
	const uint16_t key = (uint16_t)(FWCFG_FILE_FIRST + f->files);
	uint8_t *entry = f->directory + 4 + f->files * FWCFG_FILE_ENTRY;
	uint32_t big = htobe32(size);
	uint16_t select = htobe16(key);
	int error;

	if (strlen(name) >= FWCFG_NAME_MAX)
		return -ENAMETOOLONG;
	if (f->files == FWCFG_FILES_MAX)
		return -ENOSPC;
	error = fwcfg_add(f, key, data, size);
	if (error)
		return error;
	memcpy(entry, &big, sizeof(big));
	memcpy(entry + 4, &select, sizeof(select));
	memcpy(entry + 8, name, strlen(name) + 1);
	big = htobe32((uint32_t)++f->files);
	memcpy(f->directory, &big, sizeof(big));
	return 0;
}

void fwcfg_init(struct fwcfg *f, struct machine *m)
{
	static const uint8_t with_dma[4] = {FWCFG_WITH_DMA};

	memset(f, 0, sizeof(*f));
	f->machine = m;
	fwcfg_add(f, FWCFG_SIGNATURE, fwcfg_dma_signature, 4);
	fwcfg_add(f, FWCFG_ID, with_dma, sizeof(with_dma));
	/* all that there can be of it: behind the last entry there are zeros, as behind the item's end */
	fwcfg_add(f, FWCFG_FILE_DIR, f->directory, sizeof(f->directory));
}

void fwcfg_destroy(struct fwcfg *f)
{
	for (size_t i = 0; i < f->block_count; i++)
		free(f->blocks[i]);
	f->block_count = f->count = 0;
	f->selected = NULL;
}

/* ---- what the guest does ---- */

static void fwcfg_select(struct fwcfg *f, uint16_t key)
{
	f->selected = NULL;
	f->offset = 0;
	for (size_t i = 0; i < f->count && !f->selected; i++)
		if (f->items[i].key == (key & FWCFG_KEY_MASK))
			f->selected = &f->items[i];
}

/* How many of `size` bytes there are from where the guest is. */
static uint32_t fwcfg_left(const struct fwcfg *f, uint32_t size)
{
	return f->selected ? BASE_MIN(f->selected->size - f->offset, size) : 0;
}

/* Memory that the guest has and shows, or NULL. */
static uint8_t *fwcfg_memory(const struct fwcfg *f, uint64_t guest, uint64_t size)
{
	return machine_shared(f->machine, guest, size) ? machine_memory(f->machine, guest, size)
	                                               : NULL;
}

static bool fwcfg_dma_read(struct fwcfg *f, uint64_t guest, uint32_t size)
{
	const uint32_t have = fwcfg_left(f, size);
	uint8_t *to;

	if (size == 0)
		return true;
	to = size > FWCFG_DMA_MAX ? NULL : fwcfg_memory(f, guest, size);
	if (!to)
		return false;
	if (have > 0)
		memcpy(to, f->selected->data + f->offset, have);
	memset(to + have, 0, size - have);
	f->offset += have;
	return true;
}

static void fwcfg_dma(struct fwcfg *f, uint64_t guest)
{
	uint8_t *at = fwcfg_memory(f, guest, FWCFG_COMMAND), command[FWCFG_COMMAND];
	uint32_t control, size;
	uint64_t address;
	bool done = true;

	if (!at)
		return;
	memcpy(command, at, sizeof(command));
	control = base_be32(command);
	size = base_be32(command + 4);
	address = (uint64_t)base_be32(command + 8) << 32 | base_be32(command + 12);
	if (control & FWCFG_DMA_SELECT)
		fwcfg_select(f, (uint16_t)(control >> 16));
	if (control & FWCFG_DMA_READ)
		done = fwcfg_dma_read(f, address, size);
	else if (control & FWCFG_DMA_WRITE)
		done = false;
	else if (control & FWCFG_DMA_SKIP)
		f->offset += fwcfg_left(f, size);
	control = htobe32(done ? 0 : FWCFG_DMA_ERROR);
	memcpy(at, &control, sizeof(control));
}

static void fwcfg_read(void *self, uint64_t offset, void *data, unsigned int size)
{
	struct fwcfg *f = self;
	uint8_t *to = data;

	if (offset >= FWCFG_AT_HIGH)
		memcpy(to, fwcfg_dma_signature + (offset - FWCFG_AT_HIGH), size);
	else if (offset != FWCFG_AT_DATA || size != 1)
		memset(to, 0xff, size);
	else if (fwcfg_left(f, 1) > 0)
		*to = f->selected->data[f->offset++];
	else
		*to = 0;
}

static void fwcfg_write(void *self, uint64_t offset, const void *data, unsigned int size)
{
	struct fwcfg *f = self;
	uint64_t address;

	if (offset == FWCFG_AT_SELECTOR && size == 2) {
		fwcfg_select(f, base_le16(data));
	} else if (offset == FWCFG_AT_HIGH && size == 4) {
		f->address_high = base_be32(data);
	} else if (offset == FWCFG_AT_LOW && size == 4) {
		address = (uint64_t)f->address_high << 32 | base_be32(data);
		f->address_high = 0; /* before and behind a command the register is 0 */
		fwcfg_dma(f, address);
	}
}

const struct machine_io_ops fwcfg_io = {.read = fwcfg_read, .write = fwcfg_write};
