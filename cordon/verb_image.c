/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * image import: makes a named image from a kernel, an initrd and a disk; image list; image remove. The kernel
 * is unpacked to its ELF here, once, by a child without privileges (vmm_image_unpack). An image is
 * made under another name and renamed, so that it is there as a whole or not at all.
 */
#include "cordon/cli.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <linux/fs.h>
#include <sys/stat.h>

#include "base/base.h"
#include "cordon/verbs.h"

static const char usage[] =
        "usage: cordon image import NAME --kernel FILE [--initrd FILE] [--disk FILE]\n"
        "       cordon image list [--format table|json]\n"
        "       cordon image remove NAME\n\n"
        "An image is what a policy's `vm: {kernel: NAME}` names. --kernel is a distribution's "
        "vmlinuz,\n"
        "which is unpacked, or an ELF with a PVH note; --disk is a raw disk, given read-only to "
        "every\n"
        "guest whose policy names no disk.\n";

struct image_import {
	const char *name, *kernel, *initrd, *disk;
	char folder[POLICY_PATH_MAX];
};

/* Copies [from, to); the two may be on different filesystems. */
static int image_copy_range(int in, int out, off_t from, off_t to)
{
	if (lseek(in, from, SEEK_SET) < 0 || lseek(out, from, SEEK_SET) < 0)
		return -errno;
	while (from < to) {
		ssize_t n = sendfile(out, in, NULL, (size_t)(to - from));

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		from += n;
	}
	return 0;
}

static int image_copy(int in, int out)
{
	off_t data = 0, size = lseek(in, 0, SEEK_END);
	int err = 0;

	if (ioctl(out, FICLONE, in) == 0)
		return 0;
	if (size < 0 || ftruncate(out, size) < 0)
		return -errno;
	/* holes stay holes */
	while (!err && (data = lseek(in, data, SEEK_DATA)) >= 0) {
		off_t hole = lseek(in, data, SEEK_HOLE);

		err = hole < 0 ? -errno : image_copy_range(in, out, data, hole);
		data = hole;
	}
	if (err)
		return err;
	return errno == ENXIO ? 0 : -errno; /* no data after the last hole */
}

static int image_add(const struct image_import *image, const char *source, const char *file,
                     bool unpack)
{
	char path[POLICY_PATH_MAX + 16], why[160] = "";
	int err;

	if (!source)
		return 0;
	snprintf(path, sizeof(path), "%s/%s", image->folder, file);
	BASE_AUTO_FD int in = open(source, O_RDONLY | O_CLOEXEC);
	BASE_AUTO_FD int out = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (in < 0 || out < 0) {
		fprintf(stderr, "cordon: cannot open %s: %s\n", in < 0 ? source : path,
		        strerror(errno));
		return -errno;
	}
	err = unpack ? vmm_image_unpack(in, out, why) : image_copy(in, out);
	if (err)
		fprintf(stderr, "cordon: %s: %s\n", source, why[0] ? why : strerror(-err));
	return err;
}

static int image_discard(const char *folder)
{
	static const char *const files[] = {"kernel", "initrd", "disk"};
	char path[POLICY_PATH_MAX + 16];

	for (size_t i = 0; i < BASE_COUNT(files); i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
		unlink(path);
	}
	return rmdir(folder) < 0 && errno != ENOENT ? -errno : 0;
}

static int image_import(struct image_import *image)
{
	char final[POLICY_PATH_MAX];
	int err;

	if (!registry_name_valid(image->name)) {
		fprintf(stderr,
		        "cordon: '%s' is no image's name; [a-z0-9-], at most %d characters\n",
		        image->name, POLICY_NAME_MAX - 1);
		return VERB_FAILED;
	}
	snprintf(final, sizeof(final), "%s/%s", HOST_IMAGE_DIR, image->name);
	snprintf(image->folder, sizeof(image->folder), "%s/.%s.new", HOST_IMAGE_DIR, image->name);
	mkdir("/var/lib/cordon", 0755);
	mkdir(HOST_IMAGE_DIR, 0755);
	image_discard(image->folder);
	if (mkdir(image->folder, 0755) < 0) {
		fprintf(stderr, "cordon: cannot make %s: %s\n", image->folder, strerror(errno));
		return VERB_FAILED;
	}
	err = image_add(image, image->kernel, "kernel", true);
	if (!err)
		err = image_add(image, image->initrd, "initrd", false);
	if (!err)
		err = image_add(image, image->disk, "disk", false);
	if (!err && rename(image->folder, final) < 0) {
		err = -errno;
		fprintf(stderr,
		        "cordon: there is an image named '%s' already; `cordon image remove %s`\n",
		        image->name, image->name);
	}
	if (err) {
		image_discard(image->folder);
		return VERB_FAILED;
	}
	printf("%s\n", image->name);
	return VERB_OK;
}

static int image_list(bool json)
{
	DIR *dir = opendir(HOST_IMAGE_DIR);
	json_t *list = json_array();
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (registry_name_valid(entry->d_name))
			json_array_append_new(list, json_pack("{s:s}", "name", entry->d_name));
	if (dir)
		closedir(dir);
	if (json) {
		cli_print_json(list);
	} else {
		size_t i;
		json_t *image;

		json_array_foreach(list, i, image)
		        printf("%s\n", json_string_value(json_object_get(image, "name")));
	}
	json_decref(list);
	return VERB_OK;
}

static int image_remove(const char *name)
{
	char folder[POLICY_PATH_MAX];
	int err;

	snprintf(folder, sizeof(folder), "%s/%s", HOST_IMAGE_DIR, name);
	if (!registry_name_valid(name) || access(folder, F_OK) < 0) {
		fprintf(stderr, "cordon: there is no image named '%s'\n", name);
		return VERB_NOT_FOUND;
	}
	err = image_discard(folder);
	if (err) {
		fprintf(stderr, "cordon: cannot remove the image '%s': %s\n", name, strerror(-err));
		return VERB_FAILED;
	}
	return VERB_OK;
}

int verb_image(int argc, char **argv)
{
	static const struct option longs[] = {{"kernel", required_argument, NULL, 'k'},
	                                      {"initrd", required_argument, NULL, 'i'},
	                                      {"disk", required_argument, NULL, 'd'},
	                                      CLI_FORMAT_OPTION,
	                                      CLI_HELP_OPTION,
	                                      {0}};
	struct image_import image = {0};
	bool json = false;
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (option) {
		case 'k': image.kernel = optarg; break;
		case 'i': image.initrd = optarg; break;
		case 'd': image.disk = optarg; break;
		case 'h': fputs(usage, stdout); return VERB_OK;
		case 'F':
			if (cli_format(optarg, &json))
				break;
			return VERB_FAILED;
		default: return VERB_FAILED;
		}
	}
	argv += optind;
	argc -= optind;
	if (argc == 1 && strcmp(argv[0], "list") == 0)
		return image_list(json);
	if (argc == 2 && strcmp(argv[0], "remove") == 0)
		return image_remove(argv[1]);
	if (argc == 2 && strcmp(argv[0], "import") == 0 && image.kernel) {
		image.name = argv[1];
		return image_import(&image);
	}
	fputs(usage, stderr);
	return VERB_FAILED;
}
