// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm_fwcfg: the device that firmware asks, driven by any sequence of port accesses, of commands in guest memory,
 * and of pages that the guest takes back. An input is records of 24 bytes: what, where, size, and a command.
 * No byte of a page that the guest keeps to itself may change.
 */
#include "base/base.h"
#include "vmm/fw_cfg.h"
#include "vmm/vm.h"

enum { RECORD = 24, PAGES = 16, PAGE = 4096, MEMORY = PAGES * PAGE, KEPT = 0xa5 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct machine m;
static struct fwcfg f;
static uint8_t memory[MEMORY], map[PAGES / 8];

static bool is_shared(size_t page)
{
	return map[page / 8] & 1 << page % 8;
}

static void start(void)
{
	static const uint8_t content[3 * PAGE] = {1, 2, 3};

	memset(&m, 0, sizeof(m));
	m.regions[0] = (struct machine_region){.size = MEMORY, .host = memory};
	m.region_count = 1;
	m.private.map = map;
	memset(map, 0xff, sizeof(map));
	memset(memory, KEPT, sizeof(memory));
	fwcfg_init(&f, &m);
	fwcfg_add(&f, FWCFG_KERNEL_DATA, content, sizeof(content));
	fwcfg_add_number(&f, FWCFG_KERNEL_SIZE, sizeof(content), 4);
	fwcfg_add_file(&f, "etc/file", content, 100);
	machine_io_add(&m, MACHINE_PIO, FWCFG_PORT, FWCFG_PORTS, &fwcfg_io, &f);
}

static void look(void)
{
	for (size_t page = 0; page < PAGES; page++)
		for (size_t i = 0; i < PAGE && !is_shared(page); i++)
			if (memory[page * PAGE + i] != KEPT)
				abort();
	if (f.selected && f.offset > f.selected->size)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t value[8];

	start();
	for (; size >= RECORD; data += RECORD, size -= RECORD) {
		uint16_t port = (uint16_t)(FWCFG_PORT + data[1] % (FWCFG_PORTS + 2));
		unsigned int width = data[2] % 4 + 1, at = base_le16(data + 4);

		switch (data[0] % 5) {
		case 0: iobus_read(&m.pio, port, value, width); break;
		case 1: iobus_write(&m.pio, port, data + 8, width); break;
		case 2: /* a command, where it can be */
			if (at <= MEMORY - FWCFG_COMMAND && is_shared(at / PAGE) &&
			    is_shared((at + FWCFG_COMMAND - 1) / PAGE))
				memcpy(memory + at, data + 8, FWCFG_COMMAND);
			iobus_write(&m.pio, FWCFG_PORT + 8,
			            (uint8_t[]){0, 0, (uint8_t)(at >> 8), (uint8_t)at}, 4);
			break;
		default:
			memset(memory + at % PAGES * PAGE, KEPT, PAGE);
			map[at % PAGES / 8] ^= (uint8_t)(1 << at % 8);
			break;
		}
		look();
	}
	fwcfg_destroy(&f);
	return 0;
}
