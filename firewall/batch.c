/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The short way into the kernel. libnftables reads all chains of the host before each transaction, so its cost is that of
 * all VMs; but what one VM needs is mostly a few forms of words. Where compile.c knows all of a text, it goes out as
 * one netlink batch of our own, which the kernel takes whole or not at all. Where it does not, and where the kernel
 * refuses, the same text goes through libnftables, which knows the rest, and says in words what is wrong.
 *
 * The socket lives as long as its owner: the kernel lets who closes one wait until what was deleted is gone.
 */
#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <sys/socket.h>

#include "firewall/batch.h"
#include "firewall/rules.h"

void batch_begin(struct batch *batch, uint16_t type, uint16_t flags, uint8_t family)
{
	struct nfgenmsg *generic;

	batch->message = mnl_nlmsg_put_header(batch->bytes + batch->used);
	batch->message->nlmsg_type = type;
	batch->message->nlmsg_flags = NLM_F_REQUEST | flags;
	batch->message->nlmsg_seq = batch->sequence++;
	generic = mnl_nlmsg_put_extra_header(batch->message, sizeof(*generic));
	generic->nfgen_family = family;
	if (type == NFNL_MSG_BATCH_BEGIN || type == NFNL_MSG_BATCH_END)
		generic->res_id = htons(NFNL_SUBSYS_NFTABLES);
	else
		batch->message->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type);
}

void batch_end(struct batch *batch)
{
	batch->used += MNL_ALIGN(batch->message->nlmsg_len);
}

struct nlattr *batch_expression(struct batch *batch, const char *kind, struct nlattr **data)
{
	struct nlattr *element = mnl_attr_nest_start(batch->message, NFTA_LIST_ELEM);

	mnl_attr_put_strz(batch->message, NFTA_EXPR_NAME, kind);
	*data = mnl_attr_nest_start(batch->message, NFTA_EXPR_DATA);
	return element;
}

void batch_expression_end(struct batch *batch, struct nlattr *element, struct nlattr *data)
{
	mnl_attr_nest_end(batch->message, data);
	mnl_attr_nest_end(batch->message, element);
}

void batch_u32(struct batch *batch, uint16_t type, uint32_t value)
{
	mnl_attr_put_u32(batch->message, type, htonl(value));
}

void batch_value(struct batch *batch, uint16_t type, const void *value, size_t size)
{
	struct nlattr *nest = mnl_attr_nest_start(batch->message, type);

	mnl_attr_put(batch->message, NFTA_DATA_VALUE, size, value);
	mnl_attr_nest_end(batch->message, nest);
}

void batch_verdict(struct batch *batch, uint16_t type, int32_t code, const char *chain)
{
	struct nlattr *nest = mnl_attr_nest_start(batch->message, type);
	struct nlattr *verdict = mnl_attr_nest_start(batch->message, NFTA_DATA_VERDICT);

	batch_u32(batch, NFTA_VERDICT_CODE, (uint32_t)code);
	if (chain)
		mnl_attr_put_strz(batch->message, NFTA_VERDICT_CHAIN, chain);
	mnl_attr_nest_end(batch->message, verdict);
	mnl_attr_nest_end(batch->message, nest);
}

static void free_batch(struct batch *batch)
{
	free(batch->bytes);
}

/* All lines, each into a copy that its words are cut out of. */
static int compile(struct batch *batch, const char *text)
{
	char line[16384];

	batch_begin(batch, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC);
	batch_end(batch);
	while (*text) {
		size_t length = strcspn(text, "\n");
		int error;

		if (length >= sizeof(line) || batch->used + 2 * BATCH_MESSAGE > BATCH_SIZE)
			return -EOPNOTSUPP;
		memcpy(line, text, length);
		line[length] = '\0';
		error = length ? batch_compile(batch, line) : 0;
		if (error)
			return error;
		text += length + (text[length] == '\n');
	}
	/* Not the end's: kernels before 6.10 do not acknowledge it. */
	batch->message->nlmsg_flags |= NLM_F_ACK;
	batch_begin(batch, NFNL_MSG_BATCH_END, 0, AF_UNSPEC);
	batch_end(batch);
	return 0;
}

/*
 * The first error of the messages from `begin` to `last`, or the acknowledgement of the last. The kernel has answered
 * before sendto() returns, so there is nothing to wait for. What is left of an earlier batch has other numbers.
 */
static int answer_of(struct mnl_socket *socket, uint32_t begin, uint32_t last)
{
	int error = 0, fd = mnl_socket_get_fd(socket);
	bool acknowledged = false;
	char bytes[8192];

	for (;;) {
		ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		int left = (int)n;

		if (n < 0 && (errno == EINTR || errno == ENOBUFS))
			continue; /* too many answers for the socket: the first are there */
		if (n < 0)
			break;
		for (const struct nlmsghdr *at = (const struct nlmsghdr *)bytes;
		     mnl_nlmsg_ok(at, left); at = mnl_nlmsg_next(at, &left)) {
			const struct nlmsgerr *answer = mnl_nlmsg_get_payload(at);

			if (at->nlmsg_type != NLMSG_ERROR || at->nlmsg_seq - begin > last - begin)
				continue;
			if (!error)
				error = answer->error;
			acknowledged |= !answer->error && at->nlmsg_seq == last;
		}
	}
	if (errno != EAGAIN)
		return -errno;
	return error ? error : acknowledged ? 0 : -EPROTO;
}

int firewall_batch_open(struct mnl_socket **to)
{
	int size = BATCH_SIZE, on = 1;
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);

	if (!socket)
		return -errno;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    mnl_socket_setsockopt(socket, NETLINK_CAP_ACK, &on, sizeof(on)) < 0 ||
	    setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) <
	            0 ||
	    setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) <
	            0) {
		int error = -errno;

		mnl_socket_close(socket);
		return error;
	}
	*to = socket;
	return 0;
}

int firewall_batch_run(struct mnl_socket *socket, uint32_t *sequence, const char *text)
{
	struct batch batch BASE_CLEANUP(free_batch) = {.bytes = malloc(BATCH_SIZE),
	                                               .sequence = *sequence};
	int error;

	if (!batch.bytes)
		return -ENOMEM;
	error = compile(&batch, text);
	if (error)
		return error;
	if (batch.sequence - *sequence == 2)
		return 0; /* a beginning and an end, and nothing between them */
	if (mnl_socket_sendto(socket, batch.bytes, batch.used) < 0)
		return -errno;
	error = answer_of(socket, *sequence, batch.sequence - 2);
	*sequence = batch.sequence;
	return error;
}
