/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The socket of the monitor's on which it hears what the firewall did not let out. To bind a group of nfnetlink_log takes
 * a capability that the monitor lacks, to read the socket none: it is bound here, and handed over.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <sys/socket.h>
#include <time.h>

#include "base/base.h"
#include "cordon/netlink.h"
#include "firewall/firewall.h"

enum {
	DENIED_COPY = 128,   /* bytes of each packet: its headers */
	DENIED_AT_ONCE = 16, /* packets a datagram, */
	DENIED_WAIT = 20,    /* or as many as come in this time (hundredths of a second) */
	DENIED_TRIES = 20,   /* an old monitor lets go of the group with its last fd */
	DENIED_PAUSE_MS = 50,
};

static struct nlmsghdr *denied_message(char *buffer)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
	struct nfgenmsg *group;

	message->nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	message->nlmsg_seq = 1;
	group = mnl_nlmsg_put_extra_header(message, sizeof(*group));
	group->nfgen_family = AF_UNSPEC;
	group->version = NFNETLINK_V0;
	group->res_id = htons(FIREWALL_DENIED_GROUP);
	return message;
}

static int denied_send(struct mnl_socket *socket, const struct nlmsghdr *message)
{
	char buffer[NETLINK_MESSAGE_MAX];
	ssize_t n;

	if (mnl_socket_sendto(socket, message, message->nlmsg_len) < 0)
		return -errno;
	n = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));
	if (n < 0 ||
	    mnl_cb_run(buffer, (size_t)n, 1, mnl_socket_get_portid(socket), NULL, NULL) < 0)
		return -errno;
	return 0;
}

static int denied_bind(struct mnl_socket *socket)
{
	const struct nfulnl_msg_config_cmd bind = {.command = NFULNL_CFG_CMD_BIND};
	const struct nfulnl_msg_config_mode mode = {.copy_mode = NFULNL_COPY_PACKET,
	                                            .copy_range = htonl(DENIED_COPY)};
	char buffer[NETLINK_MESSAGE_MAX];
	struct nlmsghdr *message = denied_message(buffer);
	int err;

	mnl_attr_put(message, NFULA_CFG_CMD, sizeof(bind), &bind);
	err = denied_send(socket, message);
	if (err)
		return err;
	message = denied_message(buffer);
	mnl_attr_put(message, NFULA_CFG_MODE, sizeof(mode), &mode);
	mnl_attr_put_u32(message, NFULA_CFG_QTHRESH, htonl(DENIED_AT_ONCE));
	mnl_attr_put_u32(message, NFULA_CFG_TIMEOUT, htonl(DENIED_WAIT));
	return denied_send(socket, message);
}

int denied_open(void)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	int fd, err;

	if (!socket)
		return -errno;
	err = mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : denied_bind(socket);
	/* nfnetlink_log says EPERM of a group that another socket has, and EBUSY of one that is bound */
	for (int i = 0; (err == -EBUSY || err == -EPERM) && i < DENIED_TRIES; i++) {
		nanosleep(&(struct timespec){.tv_nsec = DENIED_PAUSE_MS * 1000000}, NULL);
		err = denied_bind(socket);
	}
	fd = err ? err : fcntl(mnl_socket_get_fd(socket), F_DUPFD_CLOEXEC, 3);
	if (!err && (fd < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0))
		fd = -errno;
	mnl_socket_close(socket);
	return fd;
}
