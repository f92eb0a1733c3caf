/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Blocks are built in the writer's byte order, which the section header's magic tells (draft 3.6.2,
 * 4.1), each as one writev: header, body, padding to 32 bits, and the length again.
 */
#include "monitor/pcapng.h"

#include <sys/uio.h>

#include "base/base.h"

enum {
	PCAPNG_SECTION = 0x0a0d0d0a,
	PCAPNG_MAGIC = 0x1a2b3c4d,
	PCAPNG_INTERFACE = 1,
	PCAPNG_STATISTICS = 5,
	PCAPNG_PACKET = 6,
	PCAPNG_ETHERNET = 1, /* LINKTYPE_ETHERNET */
	PCAPNG_BODY_MAX = 512,
};

enum {
	OPT_END = 0,
	SHB_USERAPPL = 4,
	IF_NAME = 2,
	IF_DESCRIPTION = 3,
	IF_TSRESOL = 9,
	ISB_IFRECV = 4,
	ISB_IFDROP = 5
};

struct pcapng_body {
	uint8_t bytes[PCAPNG_BODY_MAX];
	size_t size;
};

static void pcapng_put(struct pcapng_body *body, const void *data, size_t size)
{
	static const uint8_t zero[4];
	size_t pad = -size & 3;

	if (body->size + size + pad > sizeof(body->bytes))
		return; /* the callers' texts are cut to fit */
	if (size > 0)
		memcpy(body->bytes + body->size, data, size);
	memcpy(body->bytes + body->size + size, zero, pad);
	body->size += size + pad;
}

static void pcapng_put32(struct pcapng_body *body, uint32_t value)
{
	pcapng_put(body, &value, sizeof(value));
}

static void pcapng_option(struct pcapng_body *body, uint16_t code, const void *data, size_t size)
{
	uint16_t head[2] = {code, (uint16_t)size};

	pcapng_put(body, head, sizeof(head));
	pcapng_put(body, data, size);
}

/* One block; `data` follows the body, unpadded, or is NULL. */
static int pcapng_block(int fd, uint32_t type, const struct pcapng_body *body, const void *data,
                        size_t size)
{
	static const uint8_t zero[4];
	uint32_t head[2] = {type, (uint32_t)(12 + body->size + ((size + 3) & ~(size_t)3))};
	struct iovec parts[] = {
	        {head, sizeof(head)},      {(void *)body->bytes, body->size}, {(void *)data, size},
	        {(void *)zero, -size & 3}, {&head[1], sizeof(head[1])},
	};
	ssize_t n = writev(fd, parts, BASE_COUNT(parts));

	if (n < 0)
		return -errno;
	return (size_t)n == head[1] ? 0 : -ENOSPC;
}

int pcapng_begin(int fd, const char *interface, const char *vm, uint32_t snaplen)
{
	static const uint8_t nanoseconds = 9;
	static const uint16_t version[2] = {1, 0};
	struct pcapng_body section = {0}, description = {0};
	int err;

	pcapng_put32(&section, PCAPNG_MAGIC);
	pcapng_put(&section, version, sizeof(version));
	pcapng_put32(&section, UINT32_MAX); /* the section's length is not known: -1, 64 bits */
	pcapng_put32(&section, UINT32_MAX);
	pcapng_option(&section, SHB_USERAPPL, "cordon " CORDON_VERSION,
	              strlen("cordon " CORDON_VERSION));
	pcapng_option(&section, OPT_END, NULL, 0);
	err = pcapng_block(fd, PCAPNG_SECTION, &section, NULL, 0);
	if (err)
		return err;
	pcapng_put32(&description, PCAPNG_ETHERNET);
	pcapng_put32(&description, snaplen);
	pcapng_option(&description, IF_NAME, interface, strnlen(interface, 64));
	pcapng_option(&description, IF_DESCRIPTION, vm, strnlen(vm, 64));
	pcapng_option(&description, IF_TSRESOL, &nanoseconds, sizeof(nanoseconds));
	pcapng_option(&description, OPT_END, NULL, 0);
	return pcapng_block(fd, PCAPNG_INTERFACE, &description, NULL, 0);
}

int pcapng_packet(int fd, uint64_t unix_ns, const void *data, uint32_t captured, uint32_t wire)
{
	struct pcapng_body body = {0};

	pcapng_put32(&body, 0); /* the interface */
	pcapng_put32(&body, (uint32_t)(unix_ns >> 32));
	pcapng_put32(&body, (uint32_t)unix_ns);
	pcapng_put32(&body, captured);
	pcapng_put32(&body, wire);
	return pcapng_block(fd, PCAPNG_PACKET, &body, data, captured);
}

int pcapng_end(int fd, uint64_t unix_ns, uint64_t received, uint64_t dropped)
{
	struct pcapng_body body = {0};

	pcapng_put32(&body, 0);
	pcapng_put32(&body, (uint32_t)(unix_ns >> 32));
	pcapng_put32(&body, (uint32_t)unix_ns);
	pcapng_option(&body, ISB_IFRECV, &received, sizeof(received));
	pcapng_option(&body, ISB_IFDROP, &dropped, sizeof(dropped));
	pcapng_option(&body, OPT_END, NULL, 0);
	return pcapng_block(fd, PCAPNG_STATISTICS, &body, NULL, 0);
}
