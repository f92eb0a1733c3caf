/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The suite's frames, from inside a guest: static, and with nothing but a packet socket.
 *
 *   evasion_send --list                     each row: counter of the bad frame, where the good one goes, name
 *   evasion_send LINK TAP_MAC OWN4 GATEWAY4 WORLD4 OWN6 GATEWAY6 WORLD6
 *                                           sends each row's honest twin and its bad frames
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/base.h"
#include "tests/traffic/evasion.h"

enum { PAUSE_US = 2000 }; /* a queue of the guest's must not overflow */

static int list(void)
{
	for (size_t i = 0; i < evasion_count(); i++) {
		const struct evasion *e = evasion_at(i);

		printf("%s\t%s\t%s\n", e->counter ? e->counter : "-", e->host ? "host" : "world",
		       e->name);
	}
	return 0;
}

static bool read_mac(const char *text, uint8_t mac[6])
{
	unsigned int m[6];

	if (sscanf(text, "%x:%x:%x:%x:%x:%x", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5]) != 6)
		return false;
	for (size_t i = 0; i < 6; i++)
		mac[i] = (uint8_t)m[i];
	return true;
}

static int open_link(const char *name, uint8_t mac[6])
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	struct ifreq request = {0};
	int fd BASE_AUTO_FD = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	base_copy_string(request.ifr_name, sizeof(request.ifr_name), name);
	at.sll_ifindex = (int)if_nametoindex(name);
	if (fd < 0 || !at.sll_ifindex || ioctl(fd, SIOCGIFHWADDR, &request) < 0 ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return -1;
	memcpy(mac, request.ifr_hwaddr.sa_data, 6);
	return base_take_fd(&fd);
}

static bool send_all(int fd, const struct frame *frames, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (send(fd, frames[i].bytes, frames[i].size, 0) != (ssize_t)frames[i].size)
			return false;
		usleep(PAUSE_US);
	}
	return true;
}

int main(int argc, char **argv)
{
	struct frame_net n = {0};
	struct frame frames[FRAMES_MAX];
	size_t rows = 0;
	int fd BASE_AUTO_FD = -1;

	if (argc == 2 && strcmp(argv[1], "--list") == 0)
		return list();
	if (argc != 9 || !read_mac(argv[2], n.tap_mac) ||
	    inet_pton(AF_INET, argv[3], n.own4) != 1 ||
	    inet_pton(AF_INET, argv[4], n.gateway4) != 1 ||
	    inet_pton(AF_INET, argv[5], n.world4) != 1 ||
	    inet_pton(AF_INET6, argv[6], n.own6) != 1 ||
	    inet_pton(AF_INET6, argv[7], n.gateway6) != 1 ||
	    inet_pton(AF_INET6, argv[8], n.world6) != 1) {
		fputs("usage: evasion_send --list | LINK TAP_MAC OWN4 GATEWAY4 WORLD4 OWN6 "
		      "GATEWAY6 WORLD6\n",
		      stderr);
		return 2;
	}
	fd = open_link(argv[1], n.own_mac);
	if (fd < 0) {
		perror(argv[1]);
		return 1;
	}
	for (size_t i = 0; i < evasion_count(); i++) {
		const struct evasion *e = evasion_at(i);

		if (send_all(fd, frames, evasion_good(e, &n, frames)) &&
		    send_all(fd, frames, e->bad(&n, frames)))
			rows++;
		else
			fprintf(stderr, "%s: %s\n", e->name, strerror(errno));
	}
	printf("%zu of %zu sent\n", rows, evasion_count());
	return rows == evasion_count() ? 0 : 1;
}
