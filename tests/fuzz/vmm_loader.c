// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm_loader: a kernel of any bytes, as cordon-vmm loads it (ELF and bzImage, into 8 MiB of guest
 * memory) and as `cordon image import` unpacks it.
 */
#include <sys/mman.h>

#include "base/base.h"
#include "vmm/bzimage.h"
#include "vmm/loader.h"
#include "vmm/unpack.h"

enum { MEMORY = 8 << 20, OUTPUT_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int count(void *self, const void *data, size_t size)
{
	size_t *total = self;

	(void)data;
	*total += size;
	return *total > OUTPUT_MAX ? -EFBIG : 0;
}

static struct machine *guest(void)
{
	static struct machine m;

	if (m.region_count == 0) {
		m.regions[0] = (struct machine_region){
		        .size = MEMORY,
		        .host = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE,
		                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		};
		m.region_count = 1;
	}
	return &m;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd BASE_AUTO_FD = memfd_create("kernel", MFD_CLOEXEC);
	struct loader_kernel kernel;
	struct bzimage image;
	char why[WHY_MAX];
	size_t total = 0;
	struct unpack_sink sink = {.write = count, .self = &total};

	if (fd < 0 || base_write_all(fd, data, size) < 0)
		return 0;
	if (loader_kernel(guest(), fd, &kernel, why) == 0 &&
	    (kernel.end > MEMORY || (kernel.entry >= kernel.end)))
		abort();
	if (bzimage_read(fd, &image, why) == 0) {
		if (image.payload + image.payload_size > size)
			abort();
		unpack(data + image.payload, image.payload_size, &sink, why);
	}
	unpack(data, size, &sink, why);
	return 0;
}
