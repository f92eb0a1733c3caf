/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The dirty log, memory slots, and what memory is taken: cordon-blk reads into known pages, and just those,
 * with the status and the used ring, are marked.
 */
#include <check.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/base.h"
#include "tests/unit/vhost_client.h"

#define HEADER_AT (CLIENT_DATA)
#define STATUS_AT (CLIENT_DATA + 0x5000)
#define DATA_AT   (CLIENT_DATA + 0x10000)
#define LOG_BYTES ((CLIENT_HIGH + CLIENT_REGION_SIZE) / 4096 / 8)
#define LOG_ALL   (1ull << VHOST_F_LOG_ALL)
#define USED_PAGE (0xa000 / 4096)

enum { DISK_BYTES = 1 << 20 };

static struct vhost_client client;
static FILE *disk;
static uint8_t *bits;
static int log_fd;

static void start(const char *option)
{
	char number[16];
	char *extra[] = {(char[]){"--disk"}, number, (char *)(uintptr_t)option, NULL};

	disk = tmpfile();
	ck_assert_ptr_nonnull(disk);
	ck_assert_int_eq(ftruncate(fileno(disk), DISK_BYTES), 0);
	snprintf(number, sizeof(number), "%d", fileno(disk));
	ck_assert_int_eq(vhost_client_start(&client, getenv("CORDON_BLK"), extra, ~LOG_ALL), 0);
	ck_assert_uint_ne(client.offered & LOG_ALL, 0);
	ck_assert_int_eq(vhost_client_queue_start(&client, 0, CLIENT_QUEUE_SIZE, 0), 0);
	log_fd = memfd_create("log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_ge(log_fd, 0);
	ck_assert_int_eq(ftruncate(log_fd, LOG_BYTES), 0);
	bits = mmap(NULL, LOG_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, log_fd, 0);
	ck_assert_ptr_ne(bits, MAP_FAILED);
}

static void stop(void)
{
	ck_assert_int_eq(vhost_client_stop(&client), 0);
	munmap(bits, LOG_BYTES);
	close(log_fd);
	fclose(disk);
}

static void log_the_ring(bool on)
{
	struct client_queue *q = &client.queue[0];
	struct vhost_message m = {
	        .header = {.request = VHOST_USER_SET_VRING_ADDR, .size = sizeof(m.payload.address)},
	        .payload.address = {.descriptor = (uintptr_t)q->descriptors,
	                            .available = (uintptr_t)q->available,
	                            .used = (uintptr_t)q->used,
	                            .flags = on ? VHOST_USER_VRING_LOG : 0,
	                            .log = 0xa000},
	};

	ck_assert_int_eq(vhost_client_send(&client, &m), 0);
	ck_assert_int_eq(vhost_client_sync(&client), 0);
}

static int request(uint32_t type, const struct client_buffer *list, unsigned int count)
{
	struct virtio_blk_outhdr *header = vhost_client_at(&client, HEADER_AT);
	uint8_t *status = vhost_client_at(&client, STATUS_AT);
	struct client_buffer all[8] = {{HEADER_AT, 16, false}};
	struct client_used used;

	memcpy(all + 1, list, count * sizeof(*list));
	all[count + 1] = (struct client_buffer){STATUS_AT, 1, true};
	*header = (struct virtio_blk_outhdr){.type = type};
	vhost_client_add(&client.queue[0], all, count + 2);
	vhost_client_kick(&client.queue[0]);
	ck_assert_int_eq(vhost_client_used(&client.queue[0], &used, CLIENT_WAIT_MS), 0);
	ck_assert_int_eq(vhost_client_sync(&client), 0);
	return *status;
}

/* Just these pages are marked; and they are not any more. */
static void assert_marked(const uint64_t *pages, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		ck_assert_msg(bits[pages[i] / 8] & 1u << pages[i] % 8, "page 0x%llx is not marked",
		              (unsigned long long)pages[i]);
		bits[pages[i] / 8] &= (uint8_t) ~(1u << pages[i] % 8);
	}
	for (size_t i = 0; i < LOG_BYTES; i++) {
		if (bits[i] != 0)
			ck_abort_msg("byte %zu of the log is 0x%x", i, bits[i]);
	}
}

START_TEST(what_is_written_is_marked)
{
	/* a page and a bit; a border of two regions; one whole page far up */
	struct client_buffer list[] = {{DATA_AT + 4000, 4608, true},
	                               {CLIENT_NEXT - 256, 512, true},
	                               {CLIENT_HIGH + 0x7000, 4096, true}};
	struct client_buffer out = {DATA_AT, 4096, false}, in = {DATA_AT, 512, true};
	uint64_t read_marks[] = {DATA_AT / 4096,         DATA_AT / 4096 + 1, DATA_AT / 4096 + 2,
	                         CLIENT_NEXT / 4096 - 1, CLIENT_NEXT / 4096, CLIENT_HIGH / 4096 + 7,
	                         STATUS_AT / 4096,       USED_PAGE};
	uint64_t write_marks[] = {STATUS_AT / 4096, USED_PAGE};
	uint64_t no_ring[] = {DATA_AT / 4096, STATUS_AT / 4096};

	start(_i ? "--synchronous" : NULL);
	ck_assert_int_eq(vhost_client_log(&client, log_fd, LOG_BYTES), 0);
	ck_assert_int_eq(request(VIRTIO_BLK_T_IN, list, 3), VIRTIO_BLK_S_OK);
	assert_marked(NULL, 0); /* not asked for */
	ck_assert_int_eq(vhost_client_features(&client, client.features | LOG_ALL), 0);
	log_the_ring(true);
	memset(bits, 0, LOG_BYTES); /* starting the ring writes to it */
	ck_assert_int_eq(request(VIRTIO_BLK_T_IN, list, 3), VIRTIO_BLK_S_OK);
	assert_marked(read_marks, BASE_COUNT(read_marks));
	ck_assert_int_eq(request(VIRTIO_BLK_T_OUT, &out, 1), VIRTIO_BLK_S_OK);
	assert_marked(write_marks, BASE_COUNT(write_marks));
	log_the_ring(false);
	memset(bits, 0, LOG_BYTES);
	ck_assert_int_eq(request(VIRTIO_BLK_T_GET_ID, &in, 1), VIRTIO_BLK_S_OK);
	assert_marked(no_ring, BASE_COUNT(no_ring));
	ck_assert_int_eq(vhost_client_features(&client, client.features), 0);
	ck_assert_int_eq(request(VIRTIO_BLK_T_IN, list, 3), VIRTIO_BLK_S_OK);
	assert_marked(NULL, 0);
	stop();
}
END_TEST

/* A log in the middle of its file, on no page's border: not a byte around it is touched. */
START_TEST(a_log_at_an_offset)
{
	struct client_buffer in = {CLIENT_HIGH + CLIENT_REGION_SIZE - 512, 512, true};
	struct vhost_message m = {
	        .header = {.request = VHOST_USER_SET_LOG_BASE, .size = sizeof(m.payload.log)},
	        .payload.log = {.size = LOG_BYTES, .offset = 100},
	        .fd_count = 1,
	};
	int fd = memfd_create("log", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint8_t *file;

	start(NULL);
	m.fds[0] = fd;
	ck_assert_int_eq(ftruncate(fd, LOG_BYTES + 200), 0);
	file = mmap(NULL, LOG_BYTES + 200, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(file, MAP_FAILED);
	ck_assert_int_eq(vhost_client_call(&client, &m, 8), 0);
	ck_assert_int_eq(vhost_client_features(&client, client.features | LOG_ALL), 0);
	ck_assert_int_eq(request(VIRTIO_BLK_T_IN, &in, 1), VIRTIO_BLK_S_OK);
	for (size_t i = 0; i < LOG_BYTES + 200; i++) {
		uint8_t expected = 0;

		if (i == 100 + LOG_BYTES - 1)
			expected = 0x80;
		else if (i == 100 + STATUS_AT / 4096 / 8)
			expected = 1u << STATUS_AT / 4096 % 8;
		if (file[i] != expected)
			ck_abort_msg("byte %zu of the file is 0x%x", i, file[i]);
	}
	munmap(file, LOG_BYTES + 200);
	close(fd);
	stop();
}
END_TEST

/* Where the used ring is logged is the front end's word; what lies outside the log is passed over. */
START_TEST(a_ring_that_is_logged_nowhere)
{
	struct client_buffer in = {DATA_AT, 512, true};
	uint64_t marks[] = {DATA_AT / 4096, STATUS_AT / 4096};
	struct client_queue *q;

	start(NULL);
	q = &client.queue[0];
	ck_assert_int_eq(vhost_client_log(&client, log_fd, LOG_BYTES), 0);
	ck_assert_int_eq(vhost_client_features(&client, client.features | LOG_ALL), 0);
	for (int i = 0; i < 2; i++) {
		struct vhost_message m = {
		        .header = {.request = VHOST_USER_SET_VRING_ADDR,
		                   .size = sizeof(m.payload.address)},
		        .payload.address = {.descriptor = (uintptr_t)q->descriptors,
		                            .available = (uintptr_t)q->available,
		                            .used = (uintptr_t)q->used,
		                            .flags = VHOST_USER_VRING_LOG,
		                            .log = i ? UINT64_MAX - 3 : LOG_BYTES * 8 * 4096},
		};

		ck_assert_int_eq(vhost_client_send(&client, &m), 0);
		ck_assert_int_eq(vhost_client_sync(&client), 0);
		memset(bits, 0, LOG_BYTES);
		ck_assert_int_eq(request(VIRTIO_BLK_T_IN, &in, 1), VIRTIO_BLK_S_OK);
		if (i == 0)
			assert_marked(marks, BASE_COUNT(marks));
	}
	stop();
}
END_TEST

static int region(uint32_t kind, uint64_t guest, uint64_t user, uint64_t size, int fd)
{
	struct vhost_message m = {
	        .header = {.request = kind,
	                   .size = sizeof(m.payload.region),
	                   .flags = VHOST_USER_NEED_REPLY},
	        .payload.region.region = {.guest_address = guest,
	                                  .size = size,
	                                  .user_address = user},
	        .fds = {fd},
	        .fd_count = fd >= 0,
	};

	if (vhost_client_call(&client, &m, 8) < 0)
		return -EPROTO;
	return m.payload.u64 == 0 ? 0 : -EINVAL;
}

START_TEST(slots_come_and_go)
{
	struct vhost_message m = {.header = {.request = VHOST_USER_GET_MAX_MEM_SLOTS}};
	struct client_buffer in = {1ull << 40, 4096, true};
	uint64_t user = 1ull << 46;
	int fd = memfd_create("more", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint8_t bytes[4096];

	start(NULL);
	ck_assert_int_eq(vhost_client_call(&client, &m, 8), 0);
	ck_assert_uint_ge(m.payload.u64, 8);
	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	ck_assert_int_eq(pwrite(fd, "x", 1, 0), 1);
	for (uint64_t i = 3; i < m.payload.u64; i++)
		ck_assert_int_eq(region(VHOST_USER_ADD_MEM_REG, (1ull << 40) + (i - 3) * 4096,
		                        user + (i - 3) * 4096, 4096, fd),
		                 0);
	ck_assert_int_eq(fcntl(fd, F_GET_SEALS) & F_SEAL_SHRINK, F_SEAL_SHRINK);
	ck_assert_int_eq(request(VIRTIO_BLK_T_IN, &in, 1), VIRTIO_BLK_S_OK);
	ck_assert_int_eq(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	ck_assert_uint_eq(bytes[0], 0);
	ck_assert_int_eq(region(VHOST_USER_REM_MEM_REG, 1ull << 40, user, 4096, -1), 0);
	vhost_client_add(&client.queue[0], &in, 1);
	vhost_client_kick(&client.queue[0]);
	ck_assert_int_eq(vhost_client_broken(&client.queue[0], CLIENT_WAIT_MS), 0);
	/* An address that is not the region's is no region. */
	ck_assert_int_ne(region(VHOST_USER_REM_MEM_REG, (1ull << 40) + 4096, user, 4096, -1), 0);
	ck_assert_int_eq(vhost_client_wait_end(&client), 1);
	vhost_client_stop(&client);
	close(fd);
}
END_TEST

/* Files that can become shorter under a mapping. */
START_TEST(memory_that_can_shrink)
{
	FILE *file = tmpfile();
	int plain = memfd_create("plain", MFD_CLOEXEC); /* sealed against seals */
	int fd = _i ? fileno(file) : plain;

	start(NULL);
	ck_assert_int_eq(ftruncate(fd, 4096), 0);
	ck_assert_int_ne(region(VHOST_USER_ADD_MEM_REG, 1ull << 40, 1ull << 46, 4096, fd), 0);
	ck_assert_int_eq(vhost_client_wait_end(&client), 1);
	vhost_client_stop(&client);
	close(plain);
	fclose(file);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("devices: log");
	TCase *cases = tcase_create("log");
	SRunner *runner;
	int failed;

	tcase_set_timeout(cases, 60);
	tcase_add_loop_test(cases, what_is_written_is_marked, 0, 2);
	tcase_add_test(cases, a_log_at_an_offset);
	tcase_add_test(cases, a_ring_that_is_logged_nowhere);
	tcase_add_test(cases, slots_come_and_go);
	tcase_add_loop_test(cases, memory_that_can_shrink, 0, 2);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
