// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * image: vmm_image_unpack(), for `cordon image import`. A kernel comes from whoever made it, and
 * decompressors are C: so a child does the work, that has two file descriptors, no user, no
 * namespace but empty ones, and a seccomp list that lets it read one file and write the other. What it
 * has to say it leaves in a page that it shares with its parent.
 *
 * Where the caller is not root, the child keeps the caller's user; all else is the same.
 */
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/base.h"
#include "isolate/isolate.h"
#include "vmm/bzimage.h"
#include "vmm/list_image.h"
#include "vmm/unpack.h"
#include "vmm/vmm.h"
#include "base/why.h"

enum {
	IMAGE_IN = 3,
	IMAGE_OUT = 4,
	IMAGE_CPU_SECONDS = 60,
	IMAGE_FILE_MAX = 256 << 20,
};

struct image_result {
	int error;
	bool finished;
	char why[WHY_MAX];
};

/* #syscall image: write - the unpacked kernel */
static int image_write(void *self, const void *data, size_t size)
{
	return base_write_all(*(int *)self, data, size);
}

static int image_check_elf(int out, char *why)
{
	char magic[SELFMAG];

	if (base_read_at(out, magic, sizeof(magic), 0) < 0 || memcmp(magic, ELFMAG, SELFMAG) != 0)
		return why_set(why, -ENOEXEC, "what is packed in the kernel is not an ELF file");
	return 0;
}

/*
 * #syscall image: pread64 - the kernel's header and payload
 * #syscall image: newfstatat - how large the file is
 * #syscall image: fstat - the same
 * #syscall image: mremap - a large buffer grows
 * #syscall image: getrandom - malloc's first call makes a key
 */
static int image_unpack_here(int in, int out, char *why)
{
	struct unpack_sink sink = {.write = image_write, .self = &out};
	uint8_t *payload BASE_AUTO_FREE = NULL;
	struct bzimage image;
	int error = bzimage_read(in, &image, why);

	if (error)
		return error;
	if (image.payload_size == 0 || image.payload_size > IMAGE_FILE_MAX)
		return why_set(why, -EINVAL,
		               "the kernel's payload has %llu bytes; expected 1 to %d",
		               (unsigned long long)image.payload_size, IMAGE_FILE_MAX);
	payload = malloc(image.payload_size);
	if (!payload)
		return why_set(why, -ENOMEM, "no memory for the kernel's payload");
	error = base_read_at(in, payload, image.payload_size, image.payload);
	if (error)
		return why_set(why, error, "the kernel cannot be read: %s", strerror(-error));
	error = unpack(payload, image.payload_size, &sink, why);
	return error ? error : image_check_elf(out, why);
}

static int image_enter_role(int in, int out)
{
	const struct isolate_fd fds[] = {{in, IMAGE_IN}, {out, IMAGE_OUT}};
	const struct rlimit cpu = {IMAGE_CPU_SECONDS, IMAGE_CPU_SECONDS};
	const struct isolate_role role = {
	        .uid = ISOLATE_UID_BASE - 1,
	        .gid = ISOLATE_UID_BASE - 1,
	        .fds = fds,
	        .fd_count = BASE_COUNT(fds),
	        .flags = geteuid() == 0 ? 0 : ISOLATE_UNPRIVILEGED,
	        .file_size_max = UNPACK_MAX,
	        .list = &list_image,
	};

	return setrlimit(RLIMIT_CPU, &cpu) < 0 ? -errno : isolate_enter(&role);
}

static void image_child(int in, int out, struct image_result *result)
{
	result->error = image_enter_role(in, out);
	if (result->error)
		why_set(result->why, 0, "the unpacker cannot be confined: %s",
		        strerror(-result->error));
	else
		result->error = image_unpack_here(IMAGE_IN, IMAGE_OUT, result->why);
	result->finished = true;
	_exit(0);
}

/* Runs the child to its end and copies its word, which is trusted to be no more than text. */
static int image_run(int in, int out, struct image_result *result, char *why)
{
	int status, error;
	pid_t pid = fork();

	if (pid < 0)
		return why_set(why, -errno, "no process for the unpacker: %s", strerror(errno));
	if (pid == 0)
		image_child(in, out, result);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return why_set(why, -errno, "the unpacker is lost: %s", strerror(errno));
	if (!result->finished)
		return why_set(why, -ECHILD, "the unpacker died (wait status %#x)", status);
	error = result->error;
	if (error == 0)
		return 0;
	for (size_t i = 0; i < WHY_MAX; i++) {
		char c = result->why[i];

		why[i] = c == '\0' || (c >= ' ' && c <= '~') ? c : '?';
	}
	why[WHY_MAX - 1] = '\0';
	return error < 0 ? error : -EPROTO;
}

int vmm_image_unpack(int in, int out, char why[160])
{
	struct image_result *result = mmap(NULL, sizeof(*result), PROT_READ | PROT_WRITE,
	                                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int error;

	if (result == MAP_FAILED)
		return why_set(why, -errno, "no memory to speak with the unpacker");
	error = image_run(in, out, result, why);
	munmap(result, sizeof(*result));
	return error;
}
