/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Images: /var/lib/cordon/images/NAME/ holds `kernel` (an ELF with a PVH note, unpacked once so that
 * no guest spends its boot on it, or a bzImage), and optionally `initrd` and `disk` (raw). A policy
 * names an image, or gives a path: what holds a '/' is a path.
 */
#include "cordon/launch.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/base.h"

int images_open_path(const char *path, const char *dir, int flags, struct host_error *error)
{
	char full[2 * POLICY_PATH_MAX];
	struct stat facts;

	if (snprintf(full, sizeof(full), "%s%s%s", path[0] == '/' ? "" : dir,
	             path[0] == '/' ? "" : "/", path) >= (int)sizeof(full))
		return host_fail(error, -ENAMETOOLONG, 126, "the path of '%s' is too long", path);
	/* O_NONBLOCK: a path that turns out to be a FIFO must not hold the daemon up */
	BASE_AUTO_FD int fd = open(full, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 && errno == EBUSY) /* a block device, and O_EXCL */
		return host_fail(
		        error, -EBUSY, 126,
		        "%s is in use by the host: it is mounted, or a part of something else",
		        full);
	if (fd < 0)
		return host_fail(error, -errno, errno == ENOENT ? 127 : 126, "cannot open %s: %s",
		                 full, strerror(errno));
	if (fstat(fd, &facts) < 0 || !(S_ISREG(facts.st_mode) || S_ISBLK(facts.st_mode)))
		return host_fail(error, -EINVAL, 126,
		                 "%s is neither a regular file nor a block device", full);
	fcntl(fd, F_SETFL, 0);
	return base_take_fd(&fd);
}

int images_open(const char *kernel, const char *dir, int *kernel_fd, int *initrd_fd, int *disk_fd,
                struct host_error *error)
{
	static const char *const files[] = {"kernel", "initrd", "disk"};
	int *fds[] = {kernel_fd, initrd_fd, disk_fd};
	char path[POLICY_PATH_MAX];

	if (strchr(kernel, '/')) {
		*kernel_fd = images_open_path(kernel, dir, O_RDONLY, error);
		return BASE_MIN(*kernel_fd, 0);
	}
	if (kernel[0] == '.' || !*kernel)
		return host_fail(error, -EINVAL, 126, "'%s' is no image's name", kernel);
	for (size_t i = 0; i < BASE_COUNT(files); i++) {
		snprintf(path, sizeof(path), "%s/%.64s/%s", HOST_IMAGE_DIR, kernel, files[i]);
		*fds[i] = open(path, O_RDONLY | O_CLOEXEC);
		if (*fds[i] < 0 && (errno != ENOENT || i == 0))
			return host_fail(error, -errno, errno == ENOENT ? 127 : 126,
			                 "there is no image named '%s' (`cordon image import` "
			                 "makes one): %s: %s",
			                 kernel, path, strerror(errno));
	}
	return 0;
}

bool images_has_vhost_disk(const struct policy_vm *vm)
{
	for (size_t i = 0; i < vm->vhost_count; i++)
		if (vm->vhosts[i].type == POLICY_VHOST_BLK)
			return true;
	return false;
}

void images_cmdline(const struct policy_vm *vm, bool image_disk, char *text, size_t size)
{
	const char *root = "";

	if (vm->disk_count == 0 && images_has_vhost_disk(vm))
		root = " root=/dev/vda rw";
	else if (vm->disk_count > 0)
		root = vm->disks[0].read_only ? " root=/dev/vda ro" : " root=/dev/vda rw";
	else if (image_disk)
		root = " root=/dev/vda ro";
	snprintf(text, size, "console=ttyS0%s panic=-1%s%s%s",
	         vm->console == POLICY_CONSOLE_VIRTIO ? " console=hvc0" : "", root,
	         vm->cmdline[0] ? " " : "", vm->cmdline);
}
