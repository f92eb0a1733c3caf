/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who else changes cordon's tables. The kernel tells of each commit to nftables what it changed, and then, in one
 * message, its number and the process (linux/netfilter/nf_tables.h, NFT_MSG_NEWGEN). Our own commits are known by
 * their numbers: whoever makes one holds the lock, and writes the number into the file that is the lock. A
 * number that is not there when the lock has been had is somebody else's.
 *
 * The lock is not waited for without end, as a guest's process takes it too (cordon-sets): when it cannot be had in
 * WATCH_LOCK_MS, the change counts as somebody else's, and who has the lock is told of with it.
 *
 * Where another process commits in the very moment of ours, whose number is whose cannot be told. Then neither is
 * written down, and our own counts as foreign once: the rules are loaded once more, and are the same.
 */
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "base/base.h"
#include "firewall/rules.h"

enum {
	WATCH_RING = 255,
	WATCH_BUFFER = 65536,
	WATCH_ROOM =
	        4 << 20, /* a flood of others' changes: what is lost is taken for one of ours */
	WATCH_COMMITS = 64,
	WATCH_LOCK_MS = 500
};

/* What the lock's file holds. */
struct ring {
	uint32_t next;
	uint32_t commits[WATCH_RING];
};

struct firewall_watch {
	struct mnl_socket *socket;
	bool ours;  /* the commit that is being told of touches cordon's tables, */
	bool rules; /* and more of them than what names stand for */
	struct firewall_change last;
	uint32_t commits[WATCH_COMMITS]; /* that did, and whose number has to be looked for */
	size_t count;
	bool lost;
};

void firewall_ring_add(int lock, uint32_t commit)
{
	struct ring ring = {0};

	if (pread(lock, &ring, sizeof(ring), 0) < 0)
		return;
	ring.next %= WATCH_RING;
	ring.commits[ring.next++] = commit;
	if (pwrite(lock, &ring, sizeof(ring), 0) != (ssize_t)sizeof(ring))
		return; /* ours will count as somebody else's: safe, and loud */
}

static bool ring_holds(int lock, uint32_t commit)
{
	struct ring ring = {0};

	if (pread(lock, &ring, sizeof(ring), 0) < 0)
		return false;
	for (size_t i = 0; i < WATCH_RING; i++)
		if (ring.commits[i] == commit)
			return true;
	return false;
}

static void take_commit(struct firewall_watch *watch, const struct nlmsghdr *message)
{
	const struct nlattr *at;
	struct firewall_change change = {0};
	uint32_t commit = 0;

	mnl_attr_for_each(at, message, sizeof(struct nfgenmsg))
	{
		uint16_t type = mnl_attr_get_type(at);

		if (type == NFTA_GEN_ID && mnl_attr_get_payload_len(at) == sizeof(uint32_t))
			commit = ntohl(mnl_attr_get_u32(at));
		else if (type == NFTA_GEN_PROC_PID &&
		         mnl_attr_get_payload_len(at) == sizeof(uint32_t))
			change.pid = (pid_t)ntohl(mnl_attr_get_u32(at));
		else if (type == NFTA_GEN_PROC_NAME &&
		         mnl_attr_validate(at, MNL_TYPE_NUL_STRING) >= 0)
			base_copy_string(change.process, sizeof(change.process),
			                 mnl_attr_get_str(at));
	}
	/* names that a guest may reach get their addresses from there: see names.h */
	if (!watch->rules && strcmp(change.process, "cordon-sets") == 0)
		watch->ours = false;
	if (watch->ours && watch->count < WATCH_COMMITS) {
		watch->commits[watch->count++] = commit;
		watch->last = change;
	} else {
		watch->lost |= watch->ours;
	}
	watch->ours = watch->rules = false;
}

/* True for elements of a set that cordon-sets fills: see names.h. */
static bool concerns_name(const struct nlmsghdr *message, unsigned int type)
{
	const struct nlattr *at;
	const char *set = "";

	if (type != NFT_MSG_NEWSETELEM && type != NFT_MSG_DELSETELEM)
		return false;
	mnl_attr_for_each(at, message, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(at) == NFTA_SET_ELEM_LIST_SET &&
		    mnl_attr_validate(at, MNL_TYPE_NUL_STRING) >= 0)
			set = mnl_attr_get_str(at);
	}
	return strncmp(set, "vm_", 3) == 0 && (strstr(set, "_name4_") || strstr(set, "_name6_"));
}

/* The table's name is attribute 1 of every object there is. */
static int take_message(const struct nlmsghdr *message, void *data)
{
	struct firewall_watch *watch = data;
	const unsigned int type = NFNL_MSG_TYPE(message->nlmsg_type);
	const struct nlattr *at;
	bool cordon = false;

	/* kinds that come later are of devices: a tap that comes or goes is no change of rules */
	if (NFNL_SUBSYS_ID(message->nlmsg_type) != NFNL_SUBSYS_NFTABLES || type >= NFT_MSG_MAX ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(struct nfgenmsg))
		return MNL_CB_OK;
	if (type == NFT_MSG_NEWGEN) {
		take_commit(watch, message);
		return MNL_CB_OK;
	}
	mnl_attr_for_each(at, message, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(at) == NFTA_TABLE_NAME &&
		    mnl_attr_validate(at, MNL_TYPE_NUL_STRING) >= 0)
			cordon = strcmp(mnl_attr_get_str(at), "cordon") == 0;
	}
	watch->ours |= cordon;
	watch->rules |= cordon && !concerns_name(message, type);
	return MNL_CB_OK;
}

struct firewall_watch *firewall_watch_open(void)
{
	struct firewall_watch *watch = calloc(1, sizeof(*watch));
	int group = NFNLGRP_NFTABLES, room = WATCH_ROOM;

	if (!watch)
		return NULL;
	watch->socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!watch->socket || mnl_socket_bind(watch->socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_setsockopt(watch->socket, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)) <
	            0) {
		int error = errno;

		firewall_watch_close(watch);
		errno = error;
		return NULL;
	}
	setsockopt(mnl_socket_get_fd(watch->socket), SOL_SOCKET, SO_RCVBUFFORCE, &room,
	           sizeof(room));
	return watch;
}

void firewall_watch_close(struct firewall_watch *watch)
{
	if (watch && watch->socket)
		mnl_socket_close(watch->socket);
	free(watch);
}

int firewall_watch_fd(const struct firewall_watch *watch)
{
	return mnl_socket_get_fd(watch->socket);
}

static int read_all(struct firewall_watch *watch)
{
	char *buffer BASE_AUTO_FREE = malloc(WATCH_BUFFER);
	ssize_t n;

	if (!buffer)
		return -ENOMEM;
	while ((n = mnl_socket_recvfrom(watch->socket, buffer, WATCH_BUFFER)) >= 0)
		mnl_cb_run(buffer, (size_t)n, 0, 0, take_message, watch);
	/* more than the socket, or the buffer, has room for */
	if (errno == ENOBUFS || errno == ENOSPC)
		watch->lost = true;
	return errno == EAGAIN || errno == EINTR || watch->lost ? 0 : -errno;
}

/* Whether any of the commits is not in the lock's file. */
static int is_foreign(const struct firewall_watch *watch, struct firewall *fw, pid_t *holder)
{
	/* who commits holds the lock until the number is written */
	int error = firewall_lock_within(fw, WATCH_LOCK_MS), lock;
	bool foreign = watch->lost;
	char name[17];

	if (error == -EBUSY) {
		*holder = firewall_lock_holder(name);
		return 1;
	}
	if (error)
		return error;
	lock = firewall_lock_fd(fw);
	for (size_t i = 0; i < watch->count; i++)
		foreign |= !ring_holds(lock, watch->commits[i]);
	firewall_unlock(fw);
	return foreign;
}

int firewall_watch_read(struct firewall_watch *watch, struct firewall *fw,
                        struct firewall_change *change)
{
	int error = read_all(watch), foreign;
	pid_t holder = 0;

	if (error || (!watch->count && !watch->lost))
		return error;
	foreign = is_foreign(watch, fw, &holder);
	if (foreign < 0)
		return foreign;
	*change = watch->last;
	change->holder = holder;
	watch->count = 0;
	watch->lost = false;
	watch->last = (struct firewall_change){0};
	return foreign;
}
