/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a disk request costs the host: cordon-blk (its sandbox on) and qemu-storage-daemon's vhost-user-blk
 * export serve the same cached file to the same front end, which is no guest but this program. It keeps so
 * many requests in flight, sleeps on the interrupt like a driver, takes all that has completed, puts as
 * many new requests into the ring, and kicks when event idx asks for it. Indirect descriptors, as Linux
 * has them. Each block of the file begins with its number, which is looked at.
 *
 * The figure is requests per second of CPU time of the back end's process, all its threads and the
 * kernel's work for it included; the front end's own time is not in it. Back ends take turns; medians.
 *
 *     bench_disk CORDON-BLK [FILE]
 */
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "tests/unit/vhost_client.h"

enum {
	FILE_BYTES = 256 << 20,
	BLOCK = 4096, /* each begins with its number */
	SECTOR = 512,
	ROUNDS = 7,
	DEPTH_MAX = 32,
	RING = 128,
	TABLES = CLIENT_DATA, /* one slot: indirect table, header, status */
	SLOT_BYTES = 256,
	BUFFERS = CLIENT_DATA + 0x100000,
	EVENT_IDX = 29,
	INDIRECT = 28,
};

static const struct load {
	const char *name;
	uint32_t bytes, depth, requests;
	bool random;
} loads[] = {
        {"random_read_4k", 4096, 32, 100000, true},
        {"sequential_read_128k", 131072, 8, 8192, false},
};

enum peer { CORDON, QEMU_THREADS, QEMU_URING, PEERS };
static const char *const peer_names[PEERS] = {"cordon-blk",
                                              "qemu-storage-daemon, aio=threads (its default)",
                                              "qemu-storage-daemon, aio=io_uring"};

struct bench {
	const char *blk, *file, *socket;
	int disk;
	struct vhost_client client;
	uint64_t place, seed;
	double figure[PEERS][BASE_COUNT(loads)][ROUNDS];
};

static _Noreturn void die(const char *what, int error)
{
	fprintf(stderr, "disk: %s: %s\n", what, strerror(error < 0 ? -error : error));
	exit(1);
}

static void fill_file(int fd)
{
	uint8_t *chunk = malloc(1 << 20);

	if (!chunk)
		die("memory", ENOMEM);
	for (uint64_t at = 0; at < FILE_BYTES; at += 1 << 20) {
		for (size_t i = 0; i < 1 << 20; i++)
			chunk[i] = (uint8_t)(i * 2654435761u >> 13);
		for (size_t i = 0; i < 1 << 20; i += BLOCK) {
			uint64_t number = (at + i) / BLOCK;

			memcpy(chunk + i, &number, sizeof(number));
		}
		if (pwrite(fd, chunk, 1 << 20, (off_t)at) != 1 << 20)
			die("writing the file", errno);
	}
	free(chunk);
}

static pid_t start_program(char *const *argv)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork", errno);
	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	return pid;
}

static void start_qemu(struct bench *b, const char *aio)
{
	char blockdev[512], export[512];
	char *argv[] = {(char[]){"qemu-storage-daemon"},
	                (char[]){"--blockdev"},
	                blockdev,
	                (char[]){"--export"},
	                export,
	                NULL};
	int error;

	snprintf(blockdev, sizeof(blockdev), "driver=file,node-name=d,aio=%s,filename=%s", aio,
	         b->file);
	snprintf(export, sizeof(export),
	         "type=vhost-user-blk,id=e,node-name=d,writable=on,addr.type=unix,addr.path=%s",
	         b->socket);
	unlink(b->socket);
	pid_t pid = start_program(argv);
	error = vhost_client_connect(&b->client, b->socket);
	b->client.pid = pid;
	if (error == 0)
		error = vhost_client_negotiate(&b->client, ~0ull);
	if (error == 0)
		error = vhost_client_share_memory(&b->client);
	if (error < 0)
		die("starting qemu-storage-daemon (package qemu-system-common)", error);
}

static void start(struct bench *b, enum peer peer)
{
	char number[16];
	char *extra[] = {(char[]){"--disk"}, number, NULL};
	int error = 0;

	snprintf(number, sizeof(number), "%d", b->disk);
	if (peer == CORDON)
		error = vhost_client_start(&b->client, b->blk, extra, ~0ull);
	else
		start_qemu(b, peer == QEMU_THREADS ? "threads" : "io_uring");
	if (error == 0)
		error = vhost_client_queue_start(&b->client, 0, RING, 0);
	if (error < 0)
		die(peer_names[peer], error);
	if (!(b->client.features >> EVENT_IDX & b->client.features >> INDIRECT & 1))
		die("the back end has no event idx or no indirect descriptors", EPROTO);
}

static void stop(struct bench *b, enum peer peer)
{
	if (peer != CORDON)
		kill(b->client.pid, SIGTERM);
	vhost_client_stop(&b->client);
}

struct slot { /* at TABLES + number * SLOT_BYTES */
	struct client_descriptor table[3];
	struct virtio_blk_outhdr header;
	uint8_t status;
};

static struct slot *slot_at(struct bench *b, unsigned int number)
{
	return vhost_client_at(&b->client, TABLES + number * (uint64_t)SLOT_BYTES);
}

static void prepare(struct bench *b, const struct load *load)
{
	struct client_queue *q = &b->client.queue[0];

	b->place = 0;
	b->seed = 88172645463325252u;
	for (unsigned int i = 0; i < load->depth; i++) {
		uint64_t at = TABLES + i * (uint64_t)SLOT_BYTES;

		*slot_at(b, i) = (struct slot){
		        .table = {{at + offsetof(struct slot, header), 16, CLIENT_F_NEXT, 1},
		                  {BUFFERS + i * (uint64_t)load->bytes, load->bytes,
		                   CLIENT_F_NEXT | CLIENT_F_WRITE, 2},
		                  {at + offsetof(struct slot, status), 1, CLIENT_F_WRITE, 0}},
		        .header = {.type = VIRTIO_BLK_T_IN},
		};
		q->descriptors[i] = (struct client_descriptor){
		        at, sizeof(((struct slot *)0)->table), CLIENT_F_INDIRECT, 0};
	}
}

static void submit(struct bench *b, const struct load *load, unsigned int number)
{
	struct slot *slot = slot_at(b, number);
	uint64_t count = FILE_BYTES / load->bytes, block;

	b->seed ^= b->seed << 13;
	b->seed ^= b->seed >> 7;
	b->seed ^= b->seed << 17;
	block = (load->random ? b->seed : b->place++) % count;
	slot->header.sector = block * (load->bytes / SECTOR);
	slot->status = 0xff;
	vhost_client_publish(&b->client.queue[0], (uint16_t)number);
}

static void check(struct bench *b, const struct load *load, const struct client_used *used)
{
	struct slot *slot = slot_at(b, used->id);
	uint64_t *at = vhost_client_at(&b->client, BUFFERS + used->id * (uint64_t)load->bytes);
	uint64_t expected = slot->header.sector * SECTOR / BLOCK;

	if (used->id >= load->depth || used->length != load->bytes + 1 ||
	    slot->status != VIRTIO_BLK_S_OK || *at != expected)
		die("a request went wrong", EIO);
	*at = UINT64_MAX;
}

/* Requests per second of the back end's CPU time. */
static double run(struct bench *b, const struct load *load, uint32_t requests)
{
	struct client_queue *q = &b->client.queue[0];
	uint64_t before = vhost_client_cpu_ns(b->client.pid);
	uint32_t sent = load->depth, done = 0;
	uint16_t old = q->available_index;

	for (unsigned int i = 0; i < load->depth; i++)
		submit(b, load, i);
	vhost_client_kick_asked(q, old);
	while (done < requests) {
		struct client_used used;

		vhost_client_want_interrupt(q);
		if (__atomic_load_n(&q->used[1], __ATOMIC_ACQUIRE) == q->used_seen &&
		    vhost_client_interrupt(q, CLIENT_WAIT_MS) < 0)
			die("no answer", ETIMEDOUT);
		old = q->available_index;
		while (__atomic_load_n(&q->used[1], __ATOMIC_ACQUIRE) != q->used_seen) {
			if (vhost_client_used(q, &used, 0) < 0)
				die("no used entry", EIO);
			check(b, load, &used);
			done++;
			if (sent++ < requests)
				submit(b, load, used.id);
		}
		if (q->available_index != old)
			vhost_client_kick_asked(q, old);
	}
	return requests / ((double)(vhost_client_cpu_ns(b->client.pid) - before) / 1e9);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *list)
{
	qsort(list, ROUNDS, sizeof(*list), by_size);
	return list[ROUNDS / 2];
}

static void report(struct bench *b)
{
	printf("{\"bench\":\"disk\",\"figures\":[");
	for (size_t l = 0; l < BASE_COUNT(loads); l++) {
		double ours = median(b->figure[CORDON][l]);

		for (int p = QEMU_THREADS; p < PEERS; p++) {
			double theirs = median(b->figure[p][l]);

			printf("%s{\"name\":\"%s%s\",\"value\":%.0f,\"unit\":\"requests per second "
			       "of host "
			       "CPU\",\"peer\":\"%s\",\"peer_value\":%.0f,\"ratio\":%.3f}",
			       l + (size_t)p > 1 ? "," : "", loads[l].name,
			       p == QEMU_URING ? "_peer_io_uring" : "", ours, peer_names[p], theirs,
			       ours / theirs);
		}
	}
	printf("]}\n");
}

int main(int argc, char **argv)
{
	char file[] = "/var/tmp/cordon-disk-XXXXXX", socket[64];
	struct bench *b = calloc(1, sizeof(*b));

	if (argc != 2 || !b) {
		fprintf(stderr, "usage: bench_disk CORDON-BLK\n");
		return 2;
	}
	b->blk = argv[1];
	b->disk = mkostemp(file, 0);
	if (b->disk < 0)
		die(file, errno);
	snprintf(socket, sizeof(socket), "%s.sock", file);
	b->file = file;
	b->socket = socket;
	fill_file(b->disk);
	for (unsigned int round = 0; round < ROUNDS; round++)
		for (int p = 0; p < PEERS; p++) {
			start(b, p);
			for (size_t l = 0; l < BASE_COUNT(loads); l++) {
				prepare(b, &loads[l]);
				run(b, &loads[l], loads[l].requests / 8); /* to warm up */
				b->figure[p][l][round] = run(b, &loads[l], loads[l].requests);
				fprintf(stderr, "%-22s %-50s %10.0f\n", loads[l].name,
				        peer_names[p], b->figure[p][l][round]);
			}
			stop(b, p);
		}
	unlink(file);
	unlink(socket);
	report(b);
	free(b);
	return 0;
}
