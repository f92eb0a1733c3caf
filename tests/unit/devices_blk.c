/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-blk, the program itself, on a temporary file: what the guest sees is compared with the file. Each
 * test is run with io_uring and without.
 */
#include <check.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "tests/unit/vhost_client.h"

enum { DISK_SECTORS = 8192, HEADER = 16 };
#define LOOP_CONTROL "/dev/loop-control"
#define HEADER_AT    (CLIENT_DATA)
#define STATUS_AT    (CLIENT_DATA + 0x100)
#define DATA_AT      (CLIENT_DATA + 0x1000)

static struct vhost_client client;
static FILE *disk;
static char *mode; /* --synchronous, or NULL */

/* Byte i of the disk before a test changes it. */
static uint8_t pattern(uint64_t i)
{
	return (uint8_t)(i / 512 * 7 + i % 251);
}

static void start_on(FILE *file, const char *option, const char *value, uint64_t features)
{
	static uint8_t bytes[DISK_SECTORS * 512];
	char number[16];
	char *extra[8] = {(char[]){"--disk"}, number};
	unsigned int n = 2;

	if (mode)
		extra[n++] = mode;
	extra[n++] = (char *)(uintptr_t)option;
	extra[n++] = (char *)(uintptr_t)value;
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = pattern(i);
	disk = file;
	ck_assert_ptr_nonnull(disk);
	ck_assert_int_eq(base_write_all(fileno(disk), bytes, sizeof(bytes)), 0);
	snprintf(number, sizeof(number), "%d", fileno(disk));
	ck_assert_int_eq(vhost_client_start(&client, getenv("CORDON_BLK"), extra, features), 0);
	ck_assert_int_eq(vhost_client_queue_start(&client, 0, CLIENT_QUEUE_SIZE, 0), 0);
}

static void start(const char *option, const char *value, uint64_t features)
{
	start_on(tmpfile(), option, value, features);
}

static void stop(void)
{
	ck_assert_int_eq(vhost_client_stop(&client), 0);
	fclose(disk);
}

/* One request with data in `list` (may be empty); its status, and the used length in *written. */
static int request(uint32_t type, uint64_t sector, const struct client_buffer *list,
                   unsigned int count, uint32_t *written)
{
	struct virtio_blk_outhdr *header = vhost_client_at(&client, HEADER_AT);
	uint8_t *status = vhost_client_at(&client, STATUS_AT);
	struct client_buffer all[16] = {{HEADER_AT, HEADER, false}};
	struct client_used used;

	for (unsigned int i = 0; i < count; i++)
		all[i + 1] = list[i];
	all[count + 1] = (struct client_buffer){STATUS_AT, 1, true};
	*header = (struct virtio_blk_outhdr){.type = type, .sector = sector};
	*status = 0xee;
	vhost_client_add(&client.queue[0], all, count + 2);
	vhost_client_kick(&client.queue[0]);
	ck_assert_int_eq(vhost_client_used(&client.queue[0], &used, CLIENT_WAIT_MS), 0);
	if (written)
		*written = used.length;
	return *status;
}

static void assert_disk(uint64_t offset, const uint8_t *expected, size_t size)
{
	static uint8_t bytes[DISK_SECTORS * 512];

	ck_assert_int_eq(pread(fileno(disk), bytes, size, (off_t)offset), (ssize_t)size);
	ck_assert_int_eq(memcmp(bytes, expected, size), 0);
}

START_TEST(config_says_what_the_disk_is)
{
	struct virtio_blk_config config;
	uint64_t wanted = 1ull << VIRTIO_BLK_F_FLUSH | 1ull << VIRTIO_BLK_F_SEG_MAX;

	start(NULL, NULL, ~0ull);
	ck_assert_uint_eq(client.offered & wanted, wanted);
	ck_assert_uint_eq(client.offered & 1ull << VIRTIO_BLK_F_RO, 0);
	ck_assert_int_eq(vhost_client_config(&client, 0, &config, sizeof(config)), 0);
	ck_assert_uint_eq(config.capacity, DISK_SECTORS);
	ck_assert_uint_eq(config.blk_size, 512);
	ck_assert_uint_eq(config.seg_max, 254);
	ck_assert_uint_eq(config.size_max, 128 << 10);
	ck_assert_uint_eq(config.wce, 1);
	stop();
}
END_TEST

START_TEST(read_gives_the_files_bytes)
{
	/* three buffers of odd sizes; the second lies across the border of two regions */
	struct client_buffer list[] = {
	        {DATA_AT, 1000, true}, {CLIENT_NEXT - 100, 536, true}, {CLIENT_HIGH, 2560, true}};
	uint64_t at = 17 * 512;
	uint32_t written;

	start(NULL, NULL, ~0ull);
	ck_assert_int_eq(request(VIRTIO_BLK_T_IN, 17, list, 3, &written), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(written, 4097);
	for (size_t b = 0; b < 3; b++) {
		const uint8_t *bytes = vhost_client_at(&client, list[b].address);

		for (size_t i = 0; i < list[b].length; i++)
			ck_assert_uint_eq(bytes[i], pattern(at++));
		ck_assert_uint_eq(bytes[list[b].length], 0);
	}
	stop();
}
END_TEST

START_TEST(write_reaches_the_file)
{
	struct client_buffer list[] = {{DATA_AT, 700, false}, {DATA_AT + 0x1000, 836, false}};
	uint8_t expected[1536];
	uint8_t before[512];
	uint32_t written;

	start(NULL, NULL, _i ? ~0ull : ~(1ull << VIRTIO_BLK_F_FLUSH));
	for (size_t i = 0; i < sizeof(expected); i++)
		expected[i] = (uint8_t)(i * 13 + 5);
	memcpy(vhost_client_at(&client, DATA_AT), expected, 700);
	memcpy(vhost_client_at(&client, DATA_AT + 0x1000), expected + 700, 836);
	ck_assert_int_eq(request(VIRTIO_BLK_T_OUT, 3, list, 2, &written), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(written, 1);
	ck_assert_int_eq(request(VIRTIO_BLK_T_FLUSH, 0, NULL, 0, NULL), VIRTIO_BLK_S_OK);
	assert_disk(3 * 512, expected, sizeof(expected));
	for (size_t i = 0; i < sizeof(before); i++)
		before[i] = pattern(6 * 512 + i);
	assert_disk(6 * 512, before, sizeof(before));
	stop();
}
END_TEST

START_TEST(bounds_are_checked)
{
	static const struct {
		uint64_t sector;
		uint32_t length;
		int status;
	} cases[] = {
	        {DISK_SECTORS - 1, 512, VIRTIO_BLK_S_OK},
	        {DISK_SECTORS - 1, 1024, VIRTIO_BLK_S_IOERR},
	        {DISK_SECTORS, 512, VIRTIO_BLK_S_IOERR},
	        {UINT64_MAX, 512, VIRTIO_BLK_S_IOERR},
	        {UINT64_MAX / 512, 1024, VIRTIO_BLK_S_IOERR},
	        {1ull << 55, 512, VIRTIO_BLK_S_IOERR}, /* times 512 it is 0 */
	        {0, 513, VIRTIO_BLK_S_IOERR},
	        {0, 511, VIRTIO_BLK_S_IOERR},
	};
	struct stat st;

	start(NULL, NULL, ~0ull);
	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		struct client_buffer in = {DATA_AT, cases[i].length, true};
		struct client_buffer out = {DATA_AT, cases[i].length, false};

		ck_assert_int_eq(request(VIRTIO_BLK_T_IN, cases[i].sector, &in, 1, NULL),
		                 cases[i].status);
		ck_assert_int_eq(request(VIRTIO_BLK_T_OUT, cases[i].sector, &out, 1, NULL),
		                 cases[i].status);
	}
	ck_assert_int_eq(request(VIRTIO_BLK_T_IN, 0, NULL, 0, NULL), VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(fstat(fileno(disk), &st), 0);
	ck_assert_int_eq(st.st_size, DISK_SECTORS * 512);
	stop();
}
END_TEST

START_TEST(read_only_is_read_only)
{
	struct client_buffer out = {DATA_AT, 512, false}, in = {DATA_AT, 512, true};
	uint8_t before[512];

	start("--read-only", NULL, ~0ull);
	ck_assert_uint_ne(client.offered & 1ull << VIRTIO_BLK_F_RO, 0);
	ck_assert_int_eq(request(VIRTIO_BLK_T_OUT, 0, &out, 1, NULL), VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(request(VIRTIO_BLK_T_IN, 0, &in, 1, NULL), VIRTIO_BLK_S_OK);
	ck_assert_int_ne(request(VIRTIO_BLK_T_DISCARD, 0, &out, 1, NULL), VIRTIO_BLK_S_OK);
	for (size_t i = 0; i < sizeof(before); i++)
		before[i] = pattern(i);
	assert_disk(0, before, sizeof(before));
	stop();
}
END_TEST

START_TEST(serial_is_told)
{
	struct client_buffer in = {DATA_AT, 20, true};

	start("--serial", "disk-0042", ~0ull);
	ck_assert_int_eq(request(VIRTIO_BLK_T_GET_ID, 0, &in, 1, NULL), VIRTIO_BLK_S_OK);
	ck_assert_str_eq(vhost_client_at(&client, DATA_AT), "disk-0042");
	stop();
}
END_TEST

START_TEST(discard_and_write_zeroes)
{
	struct virtio_blk_discard_write_zeroes *s;
	struct client_buffer list = {DATA_AT, 2 * sizeof(*s), false};
	static const uint8_t zero[4096];
	uint8_t after[512];

	start(NULL, NULL, ~0ull);
	s = vhost_client_at(&client, DATA_AT);
	s[0] = (struct virtio_blk_discard_write_zeroes){.sector = 8, .num_sectors = 8, .flags = 1};
	s[1] = (struct virtio_blk_discard_write_zeroes){.sector = 64, .num_sectors = 8, .flags = 1};
	ck_assert_int_eq(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, &list, 1, NULL), VIRTIO_BLK_S_OK);
	assert_disk(8 * 512, zero, 4096);
	assert_disk(64 * 512, zero, 4096);
	for (size_t i = 0; i < sizeof(after); i++)
		after[i] = pattern(16 * 512 + i);
	assert_disk(16 * 512, after, sizeof(after));

	s[0].flags = s[1].flags = 0;
	s[1].sector = 128;
	ck_assert_int_eq(request(VIRTIO_BLK_T_DISCARD, 0, &list, 1, NULL), VIRTIO_BLK_S_OK);
	assert_disk(128 * 512, zero, 4096);

	s[1].sector = UINT64_MAX - 3;
	ck_assert_int_eq(request(VIRTIO_BLK_T_DISCARD, 0, &list, 1, NULL), VIRTIO_BLK_S_IOERR);
	s[1] = s[0];
	s[1].flags = 0x80;
	ck_assert_int_eq(request(VIRTIO_BLK_T_DISCARD, 0, &list, 1, NULL), VIRTIO_BLK_S_UNSUPP);
	list.length = 17;
	ck_assert_int_eq(request(VIRTIO_BLK_T_DISCARD, 0, &list, 1, NULL), VIRTIO_BLK_S_IOERR);
	stop();
}
END_TEST

START_TEST(unknown_types_are_unsupported)
{
	static const uint32_t types[] = {2, 3, 5, 14, 0x80000000, UINT32_MAX};
	struct client_buffer in = {DATA_AT, 512, true};

	start(NULL, NULL, ~0ull);
	for (size_t i = 0; i < BASE_COUNT(types); i++)
		ck_assert_int_eq(request(types[i], 0, &in, 1, NULL), VIRTIO_BLK_S_UNSUPP);
	stop();
}
END_TEST

START_TEST(a_short_header_fails_the_request)
{
	struct client_buffer list[] = {
	        {HEADER_AT, 15, false}, {DATA_AT, 512, true}, {STATUS_AT, 1, true}};
	uint8_t *status;
	struct client_used used;

	start(NULL, NULL, ~0ull);
	status = vhost_client_at(&client, STATUS_AT);
	vhost_client_add(&client.queue[0], list, 3);
	vhost_client_add(&client.queue[0], list + 1, 2); /* and none at all */
	vhost_client_kick(&client.queue[0]);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(vhost_client_used(&client.queue[0], &used, CLIENT_WAIT_MS), 0);
		ck_assert_uint_eq(used.length, 1);
	}
	ck_assert_uint_eq(*status, VIRTIO_BLK_S_IOERR);
	stop();
}
END_TEST

/* The header in pieces, and the status at the end of the data's own buffer: both are allowed. */
START_TEST(any_layout_of_buffers)
{
	struct client_buffer list[] = {
	        {HEADER_AT, 4, false}, {HEADER_AT + 4, 12, false}, {DATA_AT, 513, true}};
	struct client_used used;
	uint8_t *data;

	start(NULL, NULL, ~0ull);
	data = vhost_client_at(&client, DATA_AT);
	memset(vhost_client_at(&client, HEADER_AT), 0, HEADER);
	data[512] = 0xee;
	vhost_client_add(&client.queue[0], list, 3);
	vhost_client_kick(&client.queue[0]);
	ck_assert_int_eq(vhost_client_used(&client.queue[0], &used, CLIENT_WAIT_MS), 0);
	ck_assert_uint_eq(data[512], VIRTIO_BLK_S_OK);
	for (size_t i = 0; i < 512; i++)
		ck_assert_uint_eq(data[i], pattern(i));
	stop();
}
END_TEST

/* tmpfs knows holes, but no ranges of zeros that stay: those are written. */
START_TEST(zeroes_are_written_where_the_disk_knows_no_better)
{
	struct virtio_blk_discard_write_zeroes ranges[] = {{.sector = 8, .num_sectors = 3},
	                                                   {.sector = 20, .num_sectors = 0},
	                                                   {.sector = 100, .num_sectors = 5000}};
	struct client_buffer list = {DATA_AT, sizeof(ranges), false};
	static uint8_t zeros[5000 * 512];
	uint8_t byte;

	start_on(fdopen(memfd_create("disk", 0), "w+"), NULL, NULL, ~0ull);
	memcpy(vhost_client_at(&client, DATA_AT), ranges, sizeof(ranges));
	ck_assert_int_eq(request(VIRTIO_BLK_T_WRITE_ZEROES, 0, &list, 1, NULL), VIRTIO_BLK_S_OK);
	for (size_t i = 0; i < BASE_COUNT(ranges); i++) {
		uint64_t at = ranges[i].sector * 512, size = ranges[i].num_sectors * 512;

		assert_disk(at, zeros, size);
		ck_assert_int_eq(pread(fileno(disk), &byte, 1, (off_t)(at + size)), 1);
		ck_assert_uint_eq(byte, pattern(at + size));
		ck_assert_int_eq(pread(fileno(disk), &byte, 1, (off_t)at - 1), 1);
		ck_assert_uint_eq(byte, pattern(at - 1));
	}
	stop();
}
END_TEST

/* Many at once, of all kinds, answered in any order. */
START_TEST(many_in_flight)
{
	enum { COUNT = CLIENT_QUEUE_SIZE / 3, BYTES = 8192 };
	struct client_queue *q;
	struct client_used used;

	start(NULL, NULL, _i ? ~0ull : ~(1ull << VIRTIO_BLK_F_FLUSH));
	q = &client.queue[0];
	for (unsigned int i = 0; i < COUNT; i++) {
		uint64_t at = DATA_AT + i * 0x4000ull;
		struct client_buffer list[] = {{at, HEADER, false},
		                               {at + 0x1000, BYTES, i % 2 == 0},
		                               {at + 0x100, 1, true}};

		*(struct virtio_blk_outhdr *)vhost_client_at(&client,
		                                             at) = (struct virtio_blk_outhdr){
		        .type = i % 2 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, .sector = i * 16};
		*(uint8_t *)vhost_client_at(&client, at + 0x100) = 0xee;
		memset(vhost_client_at(&client, at + 0x1000), (int)i + 1, BYTES);
		vhost_client_add(q, list, 3);
	}
	vhost_client_kick(q);
	for (unsigned int i = 0; i < COUNT; i++)
		ck_assert_int_eq(vhost_client_used(q, &used, CLIENT_WAIT_MS), 0);
	for (unsigned int i = 0; i < COUNT; i++) {
		uint8_t *at = vhost_client_at(&client, DATA_AT + i * 0x4000ull), expected[BYTES];

		ck_assert_uint_eq(at[0x100], VIRTIO_BLK_S_OK);
		for (size_t b = 0; b < BYTES; b++)
			expected[b] = i % 2 ? (uint8_t)(i + 1) : pattern(i * BYTES + b);
		ck_assert_int_eq(memcmp(at + 0x1000, expected, BYTES), 0);
		assert_disk(i * (uint64_t)BYTES, expected, 64);
	}
	ck_assert_int_eq(vhost_client_used(q, &used, 5), -ETIMEDOUT);
	stop();
}
END_TEST

/* A chain of more pieces than a request that waits can keep. */
START_TEST(a_long_chain)
{
	enum { SIZE = 1024, PIECES = 700 };
	struct client_buffer list[PIECES + 2] = {{HEADER_AT, HEADER, false}};
	struct client_used used;

	start(NULL, NULL, ~0ull);
	vhost_client_queue_stop(&client, 0);
	ck_assert_int_eq(vhost_client_queue_start(&client, 0, SIZE, 0), 0);
	memset(vhost_client_at(&client, HEADER_AT), 0, HEADER);
	for (unsigned int i = 0; i < PIECES; i++) /* with gaps, so that none can be joined */
		list[i + 1] = (struct client_buffer){DATA_AT + i * 1024ull, 512, true};
	list[PIECES + 1] = (struct client_buffer){STATUS_AT, 1, true};
	vhost_client_add(&client.queue[0], list, PIECES + 2);
	vhost_client_kick(&client.queue[0]);
	ck_assert_int_eq(vhost_client_used(&client.queue[0], &used, CLIENT_WAIT_MS), 0);
	ck_assert_uint_eq(used.length, PIECES * 512 + 1);
	for (size_t i = 0; i < PIECES; i++) {
		const uint8_t *at = vhost_client_at(&client, DATA_AT + i * 1024ull);

		ck_assert(at[0] == pattern(i * 512) && at[511] == pattern(i * 512 + 511));
		ck_assert_uint_eq(at[512], 0);
	}
	stop();
}
END_TEST

START_TEST(the_cache_can_be_switched)
{
	struct vhost_message m = {
	        .header = {.request = VHOST_USER_SET_CONFIG, .size = VHOST_USER_CONFIG_SIZE(1)},
	        .payload.config = {.offset = offsetof(struct virtio_blk_config, wce), .size = 1},
	};
	struct client_buffer out = {DATA_AT, 512, false};
	uint8_t wce;

	start(NULL, NULL, ~0ull);
	for (unsigned int i = 0; i < 3; i++) {
		m.payload.config.bytes[0] = (uint8_t)i; /* 2 is neither */
		ck_assert_int_eq(vhost_client_send(&client, &m), 0);
		ck_assert_int_eq(vhost_client_config(&client, m.payload.config.offset, &wce, 1), 0);
		ck_assert_uint_eq(wce, i > 0);
		ck_assert_int_eq(request(VIRTIO_BLK_T_OUT, 0, &out, 1, NULL), VIRTIO_BLK_S_OK);
	}
	m.payload.config.offset = 0; /* the capacity is not the guest's to set */
	ck_assert_int_eq(vhost_client_send(&client, &m), 0);
	ck_assert_int_eq(vhost_client_config(&client, 0, &wce, 1), 0);
	ck_assert_uint_eq(wce, DISK_SECTORS & 0xff);
	stop();
}
END_TEST

/* A loop device over a file; -1 where there is none to be had. */
static int loop_over(int file)
{
	int control = open(LOOP_CONTROL, O_RDWR | O_CLOEXEC), loop = -1, free;
	char path[32];

	if (control < 0)
		return -1;
	free = ioctl(control, LOOP_CTL_GET_FREE);
	close(control);
	snprintf(path, sizeof(path), "/dev/loop%d", free);
	if (free >= 0)
		loop = open(path, O_RDWR | O_EXCL | O_CLOEXEC);
	if (loop >= 0 && ioctl(loop, LOOP_SET_FD, file) < 0)
		base_close(&loop);
	if (loop >= 0)
		fcntl(loop, F_SETFD, 0);
	return loop;
}

START_TEST(a_block_device)
{
	struct virtio_blk_discard_write_zeroes range = {.sector = 16, .num_sectors = 64};
	struct client_buffer list = {DATA_AT, sizeof(range), false}, in = {DATA_AT, 8192, true};
	FILE *file = tmpfile();
	struct virtio_blk_config config;
	int loop;

	if (access(LOOP_CONTROL, R_OK | W_OK) < 0) {
		printf("skip: a_block_device: there is no " LOOP_CONTROL "\n");
		fclose(file);
		return;
	}
	ck_assert_int_eq(ftruncate(fileno(file), DISK_SECTORS * 512), 0);
	loop = loop_over(fileno(file));
	ck_assert_int_ge(loop, 0);
	start_on(fdopen(loop, "r+"), NULL, NULL, ~0ull);
	ck_assert_int_eq(vhost_client_config(&client, 0, &config, sizeof(config)), 0);
	ck_assert_uint_eq(config.capacity, DISK_SECTORS);
	ck_assert_uint_eq(config.blk_size, 512);
	ck_assert_int_eq(request(VIRTIO_BLK_T_IN, 0, &in, 1, NULL), VIRTIO_BLK_S_OK);
	for (size_t i = 0; i < in.length; i += 511)
		ck_assert_uint_eq(((uint8_t *)vhost_client_at(&client, DATA_AT))[i], pattern(i));
	for (int zero = 0; zero < 2; zero++) {
		uint32_t type = zero ? VIRTIO_BLK_T_WRITE_ZEROES : VIRTIO_BLK_T_DISCARD;

		memcpy(vhost_client_at(&client, DATA_AT), &range, sizeof(range));
		ck_assert_int_eq(request(type, 0, &list, 1, NULL), VIRTIO_BLK_S_OK);
		ck_assert_int_eq(request(VIRTIO_BLK_T_FLUSH, 0, NULL, 0, NULL), VIRTIO_BLK_S_OK);
	}
	ck_assert_int_eq(request(VIRTIO_BLK_T_IN, 16, &in, 1, NULL), VIRTIO_BLK_S_OK);
	ck_assert(((uint8_t *)vhost_client_at(&client, DATA_AT))[0] == 0 &&
	          memcmp(vhost_client_at(&client, DATA_AT),
	                 (uint8_t *)vhost_client_at(&client, DATA_AT) + 1, 8191) == 0);
	ck_assert_int_eq(ioctl(fileno(disk), LOOP_CLR_FD), 0);
	stop();
	fclose(file);
}
END_TEST

START_TEST(a_shorter_file_is_an_error_and_no_end)
{
	struct client_buffer in = {DATA_AT, 4096, true};

	start(NULL, NULL, ~0ull);
	ck_assert_int_eq(ftruncate(fileno(disk), 1024), 0);
	ck_assert_int_eq(request(VIRTIO_BLK_T_IN, 0, &in, 1, NULL), VIRTIO_BLK_S_IOERR);
	in.length = 1024;
	ck_assert_int_eq(request(VIRTIO_BLK_T_IN, 0, &in, 1, NULL), VIRTIO_BLK_S_OK);
	stop();
}
END_TEST

static void with_uring(void)
{
	mode = NULL;
}

static void without_uring(void)
{
	static char option[] = "--synchronous";

	mode = option;
}

static TCase *cases_make(const char *name, void (*setup)(void))
{
	TCase *cases = tcase_create(name);

	tcase_set_timeout(cases, 60);
	tcase_add_checked_fixture(cases, setup, NULL);
	tcase_add_test(cases, config_says_what_the_disk_is);
	tcase_add_test(cases, read_gives_the_files_bytes);
	tcase_add_loop_test(cases, write_reaches_the_file, 0, 2);
	tcase_add_test(cases, bounds_are_checked);
	tcase_add_test(cases, read_only_is_read_only);
	tcase_add_test(cases, serial_is_told);
	tcase_add_test(cases, discard_and_write_zeroes);
	tcase_add_test(cases, unknown_types_are_unsupported);
	tcase_add_test(cases, a_short_header_fails_the_request);
	tcase_add_test(cases, any_layout_of_buffers);
	tcase_add_test(cases, zeroes_are_written_where_the_disk_knows_no_better);
	tcase_add_loop_test(cases, many_in_flight, 0, 2);
	tcase_add_test(cases, a_long_chain);
	tcase_add_test(cases, the_cache_can_be_switched);
	tcase_add_test(cases, a_block_device);
	tcase_add_test(cases, a_shorter_file_is_an_error_and_no_end);
	return cases;
}

int main(void)
{
	Suite *suite = suite_create("devices: blk");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, cases_make("io_uring", with_uring));
	suite_add_tcase(suite, cases_make("synchronous", without_uring));
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
