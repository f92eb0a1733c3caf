// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flood: what a guest sends that wants to fill tables: frames of which each is a flow of its own, as fast as they go.
 *
 *   usage: flood INTERFACE ROUTER-MAC FROM COUNT
 *
 * From the IPv4 address FROM to each address of 198.19.0.0/16, TCP SYN and UDP in turns, then to the next port. It goes
 * on until its standard input ends, or COUNT frames are sent; what it says then is how many, and in how many seconds.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ether.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

enum { BATCH = 128, TARGETS = 1 << 16, FIRST_PORT = 1024, FROM_PORT = 40000 };

struct flood_frame {
	struct ether_header ethernet;
	struct iphdr ip;
	union {
		struct tcphdr tcp;
		struct udphdr udp;
		uint8_t bytes[26];
	};
} __attribute__((packed));

static struct flood_frame frames[BATCH];
static struct iovec parts[BATCH];
static struct mmsghdr messages[BATCH];

/* RFC 1071, of whole words. */
static uint16_t flood_sum(const void *bytes, size_t size, uint32_t sum)
{
	for (size_t i = 0; i + 1 < size; i += 2) {
		uint16_t word;

		memcpy(&word, (const uint8_t *)bytes + i, sizeof(word));
		sum += word;
	}
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* The frame of the i-th flow. */
static void flood_frame(struct flood_frame *frame, uint32_t i)
{
	const uint16_t port = htons((uint16_t)(FIRST_PORT + i / TARGETS));
	const size_t size = sizeof(*frame) - sizeof(frame->ethernet);
	struct {
		uint32_t from, to;
		uint16_t protocol, length;
	} pseudo;
	uint32_t sum;

	frame->ip = (struct iphdr){.version = 4,
	                           .ihl = 5,
	                           .ttl = 64,
	                           .protocol = i & 1 ? IPPROTO_UDP : IPPROTO_TCP,
	                           .tot_len = htons((uint16_t)size),
	                           .saddr = frame->ip.saddr,
	                           .daddr = htonl(0xc6130000 | (i & (TARGETS - 1)))};
	frame->ip.check = flood_sum(&frame->ip, sizeof(frame->ip), 0);
	memset(frame->bytes, 0, sizeof(frame->bytes));
	if (i & 1) { /* without a checksum (RFC 768) */
		frame->udp.source = htons(FROM_PORT);
		frame->udp.dest = port;
		frame->udp.len = htons(sizeof(frame->bytes));
		return;
	}
	frame->tcp.source = htons(FROM_PORT);
	frame->tcp.dest = port;
	frame->tcp.seq = htonl(i);
	frame->tcp.doff = 5;
	frame->tcp.syn = 1;
	frame->tcp.window = htons(1024);
	frame->ip.tot_len = htons(sizeof(frame->ip) + sizeof(frame->tcp));
	frame->ip.check = 0;
	frame->ip.check = flood_sum(&frame->ip, sizeof(frame->ip), 0);
	pseudo.from = frame->ip.saddr;
	pseudo.to = frame->ip.daddr;
	pseudo.protocol = htons(IPPROTO_TCP);
	pseudo.length = htons(sizeof(frame->tcp));
	sum = (uint16_t)~flood_sum(&pseudo, sizeof(pseudo), 0);
	frame->tcp.check = flood_sum(&frame->tcp, sizeof(frame->tcp), sum);
}

static int flood_open(const char *interface, uint8_t own[ETH_ALEN])
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET};
	struct ifreq request = {0};
	/* protocol 0: it hears nothing */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	at.sll_ifindex = (int)if_nametoindex(interface);
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
	if (fd < 0 || at.sll_ifindex == 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    ioctl(fd, SIOCGIFHWADDR, &request) < 0)
		return -1;
	memcpy(own, request.ifr_hwaddr.sa_data, ETH_ALEN);
	return fd;
}

/* Sends the flows from `first` on. How many went out, or -1. */
static int flood_batch(int fd, uint32_t first)
{
	int sent;

	for (int i = 0; i < BATCH; i++)
		flood_frame(&frames[i], first + (uint32_t)i);
	sent = sendmmsg(fd, messages, BATCH, 0);
	return sent < 0 && (errno == ENOBUFS || errno == EINTR) ? 0 : sent;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct pollfd input = {.events = POLLIN};
	const struct ether_addr *router = argc == 5 ? ether_aton(argv[2]) : NULL;
	const uint32_t count = argc == 5 ? (uint32_t)strtoul(argv[4], NULL, 10) : 0;
	uint8_t own[ETH_ALEN];
	uint32_t sent = 0;
	double begin;
	int fd;

	if (!router || count == 0) {
		fprintf(stderr, "usage: flood INTERFACE ROUTER-MAC FROM COUNT\n");
		return 2;
	}
	fd = flood_open(argv[1], own);
	if (fd < 0) {
		fprintf(stderr, "flood: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	for (int i = 0; i < BATCH; i++) {
		memcpy(frames[i].ethernet.ether_dhost, router, ETH_ALEN);
		memcpy(frames[i].ethernet.ether_shost, own, ETH_ALEN);
		frames[i].ethernet.ether_type = htons(ETHERTYPE_IP);
		frames[i].ip.saddr = inet_addr(argv[3]);
		parts[i] = (struct iovec){&frames[i], sizeof(frames[i])};
		messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
	}
	begin = seconds();
	while (sent < count && poll(&input, 1, 0) == 0) {
		int more = flood_batch(fd, sent);

		if (more < 0) {
			fprintf(stderr, "flood: after %u frames: %s\n", sent, strerror(errno));
			return 1;
		}
		sent += (uint32_t)more;
	}
	printf("%u %.2f\n", sent, seconds() - begin);
	return 0;
}
