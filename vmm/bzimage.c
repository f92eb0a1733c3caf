// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * bzimage: one reader of the setup header for both of its users, the loader and the unpacker. The
 * image may come from anywhere: each field is checked against the file's size before it is used.
 */
#include "vmm/bzimage.h"

#include <errno.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/base.h"
#include "base/why.h"

enum {
	BZIMAGE_HEADER = 0x1f1, /* struct setup_header in the file */
	BZIMAGE_BOOT_FLAG = 0xaa55,
	BZIMAGE_MAGIC = 0x53726448,  /* "HdrS" */
	BZIMAGE_VERSION_MIN = 0x20c, /* Linux 3.8: the 64-bit entry and its xloadflags */
	BZIMAGE_SECTOR = 512,
	BZIMAGE_SECTS_DEFAULT = 4,
	BZIMAGE_ENTRY64 = 0x200,
};

static int bzimage_check(const struct setup_header *header, char *why)
{
	if (header->version < BZIMAGE_VERSION_MIN)
		return why_set(why, -ENOTSUP,
		               "the kernel's boot protocol is %#x; expected %#x or later",
		               header->version, BZIMAGE_VERSION_MIN);
	if (!(header->loadflags & LOADED_HIGH))
		return why_set(why, -ENOTSUP, "the kernel is a zImage; expected a bzImage");
	if (!(header->xloadflags & XLF_KERNEL_64))
		return why_set(why, -ENOTSUP, "the kernel has no 64-bit entry (xloadflags %#x)",
		               header->xloadflags);
	if (header->kernel_alignment == 0 ||
	    (header->kernel_alignment & (header->kernel_alignment - 1)) != 0)
		return why_set(why, -EINVAL,
		               "the kernel's alignment is %#x; expected a power of two",
		               header->kernel_alignment);
	return 0;
}

/* The header is as long as its own jump says (boot.rst, "Setup header"); what follows is code. */
static void bzimage_trim(struct setup_header *header)
{
	size_t size = offsetof(struct setup_header, header) + (header->jump >> 8);

	if (size < sizeof(*header))
		memset((char *)header + size, 0, sizeof(*header) - size);
}

int bzimage_read(int fd, struct bzimage *image, char *why)
{
	struct setup_header *header = &image->header;
	struct stat status;
	uint64_t sectors, end;
	int error;

	memset(image, 0, sizeof(*image));
	if (fstat(fd, &status) < 0)
		return why_set(why, -errno, "the kernel cannot be examined");
	error = base_read_at(fd, header, sizeof(*header), BZIMAGE_HEADER);
	if (error == -ENODATA ||
	    (!error && (header->boot_flag != BZIMAGE_BOOT_FLAG || header->header != BZIMAGE_MAGIC)))
		return why_set(why, -ENOEXEC, "the kernel is not a bzImage");
	if (error)
		return why_set(why, error, "the kernel cannot be read: %s", strerror(-error));
	bzimage_trim(header);
	error = bzimage_check(header, why);
	if (error)
		return error;
	sectors = header->setup_sects ? header->setup_sects : BZIMAGE_SECTS_DEFAULT;
	image->code = (sectors + 1) * BZIMAGE_SECTOR;
	image->code_size = (uint64_t)header->syssize * 16;
	/* syssize is rounded up to 16 bytes, the file need not be */
	if (image->code >= (uint64_t)status.st_size ||
	    image->code_size > (uint64_t)status.st_size - image->code + 15 ||
	    image->code_size <= BZIMAGE_ENTRY64)
		return why_set(
		        why, -EINVAL,
		        "the kernel says it has %#llx bytes of code at %#llx; the file has %#llx",
		        (unsigned long long)image->code_size, (unsigned long long)image->code,
		        (unsigned long long)status.st_size);
	image->code_size = BASE_MIN(image->code_size, (uint64_t)status.st_size - image->code);
	image->payload = image->code + header->payload_offset;
	image->payload_size = header->payload_length;
	end = image->payload + image->payload_size; /* three 32-bit numbers: no overflow */
	if (end > image->code + image->code_size)
		return why_set(why, -EINVAL,
		               "the kernel says its payload ends at %#llx; the file has %#llx",
		               (unsigned long long)end, (unsigned long long)status.st_size);
	return 0;
}
