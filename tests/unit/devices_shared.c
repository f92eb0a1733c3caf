/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The map of shared pages: cordon-blk reads into and out of what the guest shares, and nothing else. A
 * private page in a request or in a ring breaks that ring, is neither read nor written, and nothing more
 * than that happens: once the page is shared, or another is used, the ring works when it is set up anew.
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
#define STATUS_AT (CLIENT_DATA + 0x1000)
#define TABLE_AT  (CLIENT_DATA + 0x2000)
#define DATA_AT   (CLIENT_DATA + 0x10000)
#define MAP_BYTES ((CLIENT_HIGH + CLIENT_REGION_SIZE) / 4096 / 8)

enum { DISK_BYTES = 1 << 20, CANARY = 0xa5, DISK = 0x5a };

static struct vhost_client client;
static FILE *disk;
static uint8_t *map;
static int map_fd;

static void mark(uint64_t guest, bool shared)
{
	uint8_t bit = (uint8_t)(1u << guest / 4096 % 8);

	if (shared)
		__atomic_fetch_or(&map[guest / 4096 / 8], bit, __ATOMIC_RELEASE);
	else
		__atomic_fetch_and(&map[guest / 4096 / 8], (uint8_t)~bit, __ATOMIC_RELEASE);
}

static void share_all(void)
{
	memset(map, 0xff, MAP_BYTES);
}

/* As the vmm makes it: whoever has it afterwards can map it for reading only. */
static void map_make(void)
{
	map_fd = memfd_create("shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ck_assert_int_ge(map_fd, 0);
	ck_assert_int_eq(ftruncate(map_fd, MAP_BYTES), 0);
	map = mmap(NULL, MAP_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
	ck_assert_ptr_ne(map, MAP_FAILED);
	ck_assert_int_eq(
	        fcntl(map_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE), 0);
	ck_assert_ptr_eq(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0),
	                 MAP_FAILED);
}

static void protocol(uint64_t extra)
{
	struct vhost_message m = {.header = {.request = VHOST_USER_GET_PROTOCOL_FEATURES}};
	uint64_t shared = VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_SHARED_MAP), offered;

	ck_assert_int_eq(vhost_client_call(&client, &m, 8), 0);
	offered = m.payload.u64;
	ck_assert(offered & shared);
	m = (struct vhost_message){
	        .header = {.request = VHOST_USER_SET_PROTOCOL_FEATURES, .size = 8},
	        .payload.u64 = (offered & ~shared) | extra};
	ck_assert_int_eq(vhost_client_send(&client, &m), 0);
}

static int map_give(uint64_t size, uint64_t offset, int fd)
{
	struct vhost_message m = {
	        .header = {.request = VHOST_USER_SET_SHARED_MAP,
	                   .flags = VHOST_USER_NEED_REPLY,
	                   .size = sizeof(m.payload.log)},
	        .payload.log = {.size = size, .offset = offset},
	        .fds = {fd},
	        .fd_count = fd >= 0,
	};

	if (vhost_client_call(&client, &m, 8) < 0)
		return -EPROTO;
	return m.payload.u64 == 0 ? 0 : -EINVAL;
}

static void start(void)
{
	char number[16], block[512];
	char *extra[] = {(char[]){"--disk"}, number, NULL};

	disk = tmpfile();
	ck_assert_ptr_nonnull(disk);
	memset(block, DISK, sizeof(block));
	for (int at = 0; at < DISK_BYTES; at += (int)sizeof(block))
		ck_assert_int_eq(pwrite(fileno(disk), block, sizeof(block), at), sizeof(block));
	snprintf(number, sizeof(number), "%d", fileno(disk));
	ck_assert_int_eq(vhost_client_start(&client, getenv("CORDON_BLK"), extra, ~0ull), 0);
	memset(vhost_client_at(&client, CLIENT_DATA), CANARY, 2 * CLIENT_REGION_SIZE - CLIENT_DATA);
	memset(vhost_client_at(&client, CLIENT_HIGH), CANARY, CLIENT_REGION_SIZE);
	map_make();
}

static void start_shared(void)
{
	start();
	protocol(VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_SHARED_MAP));
	share_all();
	ck_assert_int_eq(map_give(MAP_BYTES, 0, map_fd), 0);
}

static void stop(int status)
{
	ck_assert_int_eq(status == 0 ? vhost_client_stop(&client) : vhost_client_wait_end(&client),
	                 status);
	if (status != 0)
		vhost_client_stop(&client);
	munmap(map, MAP_BYTES);
	close(map_fd);
	fclose(disk);
}

static void send(uint64_t data, uint32_t length)
{
	struct client_buffer list[] = {
	        {HEADER_AT, 16, false}, {data, length, true}, {STATUS_AT, 1, true}};
	struct virtio_blk_outhdr *header = vhost_client_at(&client, HEADER_AT);

	*header = (struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_IN};
	vhost_client_add(&client.queue[0], list, 3);
	vhost_client_kick(&client.queue[0]);
}

static void assert_answered(void)
{
	struct client_used used;

	send(DATA_AT, 8192);
	ck_assert_int_eq(vhost_client_used(&client.queue[0], &used, CLIENT_WAIT_MS), 0);
	ck_assert_uint_eq(*(uint8_t *)vhost_client_at(&client, STATUS_AT), VIRTIO_BLK_S_OK);
	ck_assert_uint_eq(*(uint8_t *)vhost_client_at(&client, DATA_AT), DISK);
	ck_assert_uint_eq(*(uint8_t *)vhost_client_at(&client, DATA_AT + 8191), DISK);
}

static void queue_start(uint16_t base)
{
	ck_assert_int_eq(vhost_client_queue_start(&client, 0, CLIENT_QUEUE_SIZE, base), 0);
}

static void assert_broken(void)
{
	struct client_used used;

	ck_assert_int_eq(vhost_client_broken(&client.queue[0], CLIENT_WAIT_MS), 0);
	ck_assert_int_lt(vhost_client_used(&client.queue[0], &used, 0), 0);
}

static void assert_works_again(void)
{
	int base = vhost_client_queue_stop(&client, 0);

	ck_assert_int_ge(base, 0);
	share_all();
	queue_start((uint16_t)base);
	assert_answered();
}

START_TEST(what_is_shared_is_served)
{
	start_shared();
	queue_start(0);
	assert_answered();
	/* pages around it are no concern of the request's */
	mark(DATA_AT - 4096, false);
	mark(DATA_AT + 8192, false);
	assert_answered();
	stop(0);
}
END_TEST

/* Each part of a request, at its first, a middle and its last byte. */
START_TEST(a_private_page_breaks_the_ring)
{
	static const struct {
		uint64_t private, data;
		uint32_t length;
	} cases[] = {
	        {HEADER_AT, DATA_AT, 512},
	        {STATUS_AT, DATA_AT, 512},
	        {DATA_AT, DATA_AT, 512},
	        {DATA_AT, DATA_AT + 4095, 512},
	        {DATA_AT + 4096, DATA_AT + 4095, 512},
	        {DATA_AT + 0x9000, DATA_AT, 0x10000},
	        {DATA_AT + 0xf000, DATA_AT, 0x10000},
	        {CLIENT_NEXT, CLIENT_NEXT - 512, 1024}, /* a border of two regions */
	        {CLIENT_HIGH + CLIENT_REGION_SIZE - 4096, CLIENT_HIGH + CLIENT_REGION_SIZE - 512,
	         512},
	};
	const uint8_t *at;

	start_shared();
	queue_start(0);
	mark(cases[_i].private, false);
	send(cases[_i].data, cases[_i].length);
	assert_broken();
	at = vhost_client_at(&client, cases[_i].data);
	for (uint32_t i = 0; i < cases[_i].length; i++)
		ck_assert_uint_eq(at[i], CANARY);
	ck_assert_uint_eq(*(uint8_t *)vhost_client_at(&client, STATUS_AT), CANARY);
	assert_works_again();
	stop(0);
}
END_TEST

START_TEST(a_private_table_breaks_the_ring)
{
	struct client_queue *q = &client.queue[0];
	struct client_descriptor *table;

	start_shared();
	queue_start(0);
	mark(TABLE_AT, false);
	table = vhost_client_at(&client, TABLE_AT);
	table[0] = (struct client_descriptor){HEADER_AT, 16, CLIENT_F_NEXT, 1};
	table[1] = (struct client_descriptor){STATUS_AT, 1, CLIENT_F_WRITE, 0};
	q->descriptors[0] = (struct client_descriptor){TABLE_AT, 32, CLIENT_F_INDIRECT, 0};
	vhost_client_publish(q, 0);
	vhost_client_kick(q);
	assert_broken();
	assert_works_again();
	stop(0);
}
END_TEST

/* Guest address of one of the ring's parts. */
static uint64_t part(int which)
{
	const struct client_queue *q = &client.queue[0];
	const void *parts[] = {q->descriptors, q->available, q->used};

	return (uint64_t)((const uint8_t *)parts[which] - client.memory);
}

START_TEST(a_ring_in_private_memory_starts_broken)
{
	int base;

	start_shared();
	queue_start(0);
	assert_answered();
	base = vhost_client_queue_stop(&client, 0);
	mark(part(_i), false);
	queue_start((uint16_t)base);
	assert_broken();
	ck_assert_int_eq(vhost_client_sync(&client), 0);
	assert_works_again();
	stop(0);
}
END_TEST

START_TEST(a_ring_that_becomes_private_breaks)
{
	start_shared();
	queue_start(0);
	assert_answered();
	mark(part(_i), false);
	send(DATA_AT, 512);
	assert_broken();
	assert_works_again();
	stop(0);
}
END_TEST

START_TEST(what_is_behind_the_map_is_private)
{
	start_shared();
	ck_assert_int_eq(map_give(MAP_BYTES - 1, 0, map_fd), 0);
	queue_start(0);
	assert_answered();
	send(CLIENT_HIGH + CLIENT_REGION_SIZE - 8 * 4096, 512);
	assert_broken();
	ck_assert_int_eq(map_give(MAP_BYTES, 0, map_fd), 0);
	assert_works_again();
	stop(0);
}
END_TEST

/* A map that comes while a ring runs counts at once. */
START_TEST(a_map_that_comes_later_counts)
{
	start_shared();
	queue_start(0);
	assert_answered();
	mark(part(0), false);
	ck_assert_int_eq(map_give(MAP_BYTES, 0, map_fd), 0);
	assert_broken();
	assert_works_again();
	stop(0);
}
END_TEST

START_TEST(maps_that_are_refused)
{
	int plain = memfd_create("plain", MFD_CLOEXEC); /* sealed against seals */
	static const struct {
		uint64_t size, offset;
		bool negotiated, fd, sealed;
	} cases[] = {
	        {MAP_BYTES, 0, false, true, true},           {MAP_BYTES, 0, true, false, true},
	        {MAP_BYTES, 0, true, true, false},           {0, 0, true, true, true},
	        {MAP_BYTES + 1, 0, true, true, true},        {MAP_BYTES, 1, true, true, true},
	        {8192, UINT64_MAX - 4095, true, true, true},
	};

	start();
	ck_assert_int_eq(ftruncate(plain, MAP_BYTES), 0);
	protocol(cases[_i].negotiated ? VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_SHARED_MAP) : 0);
	ck_assert_int_ne(map_give(cases[_i].size, cases[_i].offset,
	                          !cases[_i].fd      ? -1
	                          : cases[_i].sealed ? map_fd
	                                             : plain),
	                 0);
	close(plain);
	stop(1);
}
END_TEST

/* Whoever promised a map sends it before a ring starts: without it nothing would be checked. */
START_TEST(no_ring_before_the_map)
{
	start();
	protocol(VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_SHARED_MAP));
	vhost_client_queue_start(&client, 0, CLIENT_QUEUE_SIZE, 0);
	stop(1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("devices: shared pages");
	TCase *cases = tcase_create("shared");
	SRunner *runner;
	int failed;

	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, what_is_shared_is_served);
	tcase_add_loop_test(cases, a_private_page_breaks_the_ring, 0, 9);
	tcase_add_test(cases, a_private_table_breaks_the_ring);
	tcase_add_loop_test(cases, a_ring_in_private_memory_starts_broken, 0, 3);
	tcase_add_loop_test(cases, a_ring_that_becomes_private_breaks, 0, 3);
	tcase_add_test(cases, what_is_behind_the_map_is_private);
	tcase_add_test(cases, a_map_that_comes_later_counts);
	tcase_add_loop_test(cases, maps_that_are_refused, 0, 7);
	tcase_add_test(cases, no_ring_before_the_map);
	suite_add_tcase(suite, cases);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
