// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * loader: which format a kernel is, and the bzImage one. A bzImage is loaded where it wants to run
 * (pref_address), so that its decompressor has nothing to move, and is entered at its 64-bit entry.
 */
#include "vmm/loader.h"

#include <errno.h>

#include "base/base.h"
#include "vmm/boot.h"
#include "vmm/bzimage.h"

enum { LOADER_ENTRY64 = 0x200 };

int loader_bzimage(struct machine *m, int fd, struct loader_kernel *kernel, char *why)
{
	struct bzimage image;
	int error = bzimage_read(fd, &image, why);
	uint64_t address, room;
	void *memory;

	if (error)
		return error;
	address = image.header.relocatable_kernel ? image.header.pref_address : BOOT_HIGH;
	room = BASE_MAX((uint64_t)image.header.init_size, image.code_size);
	memory = address < BOOT_HIGH ? NULL : machine_memory(m, address, room);
	if (!memory || address > UINT32_MAX)
		return why_set(
		        why, -EINVAL,
		        "the kernel wants %#llx bytes at %#llx, which is not in guest memory",
		        (unsigned long long)room, (unsigned long long)address);
	error = base_read_at(fd, memory, image.code_size, image.code);
	if (error)
		return why_set(why, error, "the kernel cannot be read: %s", strerror(-error));
	*kernel = (struct loader_kernel){
	        .protocol = LOADER_LINUX64,
	        .entry = address + LOADER_ENTRY64,
	        .end = address + room,
	        .initrd_max = image.header.initrd_addr_max,
	        .cmdline_max =
	                BASE_MIN((size_t)image.header.cmdline_size + 1, (size_t)BOOT_CMDLINE_MAX),
	        .header = image.header,
	};
	return 0;
}

int loader_kernel(struct machine *m, int fd, struct loader_kernel *kernel, char *why)
{
	int error = loader_elf(m, fd, kernel, why);

	if (error == -ENOEXEC)
		error = loader_bzimage(m, fd, kernel, why);
	if (error == -ENOEXEC)
		return why_set(why, error,
		               "the kernel is neither an ELF file, a bzImage nor an IGVM file");
	return error;
}
