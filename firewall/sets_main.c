/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-sets VM: puts addresses into the sets of one VM's names, and does nothing else. It is the one process of a
 * VM that has a capability, CAP_NET_ADMIN, without which the kernel takes no change of rules; so it reads
 * neither what a guest wrote nor what came from a network, but a request of fixed size (names.h), and has few calls.
 *
 * It keeps no state. The kernel's own sets say what may be: the sets of names that the policy has, and @private4
 * and @private6, what is no part of the world and is not added to any. What is in a set for long enough is
 * left alone, so that a guest that asks and asks again changes no rules; one that learns new addresses without end
 * is kept waiting, alone, beyond SETS_RATE changes a second. What is to stay for longer is deleted and added in one
 * transaction, as older kernels do not change the timeout of an element (6.12 does).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "firewall/list_sets.h"
#include "firewall/names.h"
#include "firewall/names_fds.h"
#include "isolate/isolate.h"

enum {
	SETS_BATCH = 65536, /* two messages of less than 256 bytes for each address, and two more */
	SETS_NAME_MAX = 64,
	SETS_SLACK_MS = 2000, /* answers from a cache are told in whole seconds */
	SETS_VM_MAX = 31,
	SETS_RATE = 500, /* changes of rules a second, and as many at once */
};

struct batch {
	uint8_t bytes[SETS_BATCH] __attribute__((aligned(4)));
	size_t size, message; /* where the last message begins */
	uint32_t *sequence;   /* of the last message there was */
};

struct sets {
	const char *vm;
	int grace;
	int64_t paid; /* when the changes so far have been waited for, in microseconds */
	uint32_t sequence;
	struct batch batch;
	uint8_t answer[SETS_BATCH] __attribute__((aligned(4)));
	struct names_request request;
};

/* ---- netlink (linux/netlink.h): every length is known to fit ---- */

static void put(struct batch *b, const void *data, size_t size)
{
	memcpy(b->bytes + b->size, data, size);
	b->size += size;
	memset(b->bytes + b->size, 0, NLMSG_ALIGN(b->size) - b->size);
	b->size = NLMSG_ALIGN(b->size);
}

static void message_begin(struct batch *b, uint16_t type, uint16_t flags, uint8_t family,
                          uint16_t resource)
{
	const struct nlmsghdr header = {.nlmsg_type = type,
	                                .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags),
	                                .nlmsg_seq = ++*b->sequence};
	const struct nfgenmsg generic = {.nfgen_family = family, .res_id = htons(resource)};

	b->message = b->size;
	put(b, &header, sizeof(header));
	put(b, &generic, sizeof(generic));
}

static void message_end(struct batch *b)
{
	((struct nlmsghdr *)(void *)(b->bytes + b->message))->nlmsg_len =
	        (uint32_t)(b->size - b->message);
}

static void attribute(struct batch *b, uint16_t type, const void *data, size_t size)
{
	const struct nlattr header = {.nla_len = (uint16_t)(sizeof(header) + size),
	                              .nla_type = type};

	put(b, &header, sizeof(header));
	put(b, data, size);
}

static size_t nest_begin(struct batch *b, uint16_t type)
{
	size_t at = b->size;

	attribute(b, type | NLA_F_NESTED, "", 0);
	return at;
}

static void nest_end(struct batch *b, size_t at)
{
	((struct nlattr *)(void *)(b->bytes + at))->nla_len = (uint16_t)(b->size - at);
}

/* One message about one element of a set. `timeout` in milliseconds, or 0: none is said. */
static void element(struct batch *b, uint16_t type, uint16_t flags, const char *set,
                    const struct names_item *item, uint64_t timeout)
{
	const uint64_t big = htobe64(timeout);
	size_t list, one, key;

	message_begin(b, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, NFPROTO_INET, 0);
	attribute(b, NFTA_SET_ELEM_LIST_TABLE, "cordon", sizeof("cordon"));
	attribute(b, NFTA_SET_ELEM_LIST_SET, set, strlen(set) + 1);
	list = nest_begin(b, NFTA_SET_ELEM_LIST_ELEMENTS);
	one = nest_begin(b, NFTA_LIST_ELEM);
	key = nest_begin(b, NFTA_SET_ELEM_KEY);
	attribute(b, NFTA_DATA_VALUE, item->address, item->family == 4 ? 4 : 16);
	nest_end(b, key);
	if (timeout)
		attribute(b, NFTA_SET_ELEM_TIMEOUT, &big, sizeof(big));
	nest_end(b, one);
	nest_end(b, list);
	message_end(b);
}

static void batch_mark(struct batch *b, uint16_t type)
{
	message_begin(b, type, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	message_end(b);
}

/* The attribute of that type among those in [at, end), or NULL. */
static const struct nlattr *find(const uint8_t *at, const uint8_t *end, uint16_t type)
{
	while (end - at >= (ptrdiff_t)sizeof(struct nlattr)) {
		const struct nlattr *one = (const void *)at;

		if (one->nla_len < sizeof(*one) || one->nla_len > end - at)
			return NULL;
		if ((one->nla_type & NLA_TYPE_MASK) == type)
			return one;
		at += BASE_MIN((ptrdiff_t)NLA_ALIGN(one->nla_len), end - at);
	}
	return NULL;
}

static const struct nlattr *within(const struct nlattr *outer, uint16_t type)
{
	const uint8_t *at = (const uint8_t *)outer;

	return outer ? find(at + NLA_HDRLEN, at + outer->nla_len, type) : NULL;
}

/* How long the element that the kernel tells of has yet, in milliseconds. */
static uint64_t remaining(const struct nlmsghdr *message)
{
	const uint8_t *at = (const uint8_t *)message;
	const struct nlattr *found = find(at + NLMSG_LENGTH(sizeof(struct nfgenmsg)),
	                                  at + message->nlmsg_len, NFTA_SET_ELEM_LIST_ELEMENTS);
	uint64_t left = 0;

	found = within(within(found, NFTA_LIST_ELEM), NFTA_SET_ELEM_EXPIRATION);
	if (found && found->nla_len == NLA_HDRLEN + sizeof(left))
		memcpy(&left, (const uint8_t *)found + NLA_HDRLEN, sizeof(left));
	return be64toh(left);
}

static uint32_t sequence_at(const struct batch *b, size_t at)
{
	return ((const struct nlmsghdr *)(const void *)(b->bytes + at))->nlmsg_seq;
}

/* One datagram of the kernel's, or a negative errno: -EAGAIN, there is none. */
static ssize_t hear(struct sets *sets)
{
	ssize_t n;

	do
		n = recv(NAMES_FD_NETLINK, sets->answer, sizeof(sets->answer), MSG_DONTWAIT);
	while (n < 0 && (errno == EINTR || errno == ENOBUFS));
	return n < 0 ? -errno : n;
}

/*
 * Sends what is in the batch, and reads what the kernel says to it, which is there when the call returns. 0, or the
 * first error. *left: of an element that was asked for. What answers anything else is left out.
 *
 * #syscall sets: sendto - changes of sets, and questions about them; answers to cordon-names
 * #syscall sets: recvfrom - the kernel's answers; requests of cordon-names
 */
static int talk(struct sets *sets, uint64_t *left)
{
	const uint32_t first = sequence_at(&sets->batch, 0),
	               last = sequence_at(&sets->batch, sets->batch.message);
	int error = -EIO;
	ssize_t n;

	while (hear(sets) >= 0)
		continue; /* what came too late for its question */
	if (send(NAMES_FD_NETLINK, sets->batch.bytes, sets->batch.size, 0) < 0)
		return -errno;
	while ((n = hear(sets)) > 0) {
		const struct nlmsghdr *message = (const void *)sets->answer;

		for (size_t rest = (size_t)n; NLMSG_OK(message, rest);
		     message = NLMSG_NEXT(message, rest)) {
			int code = 0;

			if (message->nlmsg_seq - first > last - first)
				continue;
			if (message->nlmsg_type == NLMSG_ERROR &&
			    message->nlmsg_len >= NLMSG_LENGTH(sizeof(code)))
				memcpy(&code, NLMSG_DATA(message), sizeof(code));
			else if (left)
				*left = remaining(message);
			error = error == -EIO || error == 0 ? code : error;
		}
	}
	return error;
}

/* ---- what is done ---- */

static int ask(struct sets *sets, const char *set, const struct names_item *item, uint64_t *left)
{
	sets->batch.size = 0;
	element(&sets->batch, NFT_MSG_GETSETELEM, 0, set, item, 0);
	return talk(sets, left);
}

static void set_name(const struct sets *sets, const struct names_item *item,
                     char name[SETS_NAME_MAX])
{
	snprintf(name, SETS_NAME_MAX, NAMES_SET_FORMAT, sets->vm, item->family,
	         (unsigned long long)item->name);
}

static uint64_t wanted_ms(const struct sets *sets, const struct names_item *item)
{
	uint32_t ttl = item->ttl > INT32_MAX ? 0 : BASE_MIN(item->ttl, (uint32_t)NAMES_TTL_MAX);

	return (uint64_t)(ttl + (uint32_t)sets->grace) * 1000;
}

enum need { NEED_NOTHING, NEED_CHANGE, NEED_REFUSED };

/* Writes what the item needs into the batch; what that is, or the kernel's error. */
static int prepare(struct sets *sets, const struct names_item *item, struct batch *to)
{
	char name[SETS_NAME_MAX], other[16];
	uint64_t left = 0, want = wanted_ms(sets, item);
	int error;

	if (item->family != 4 && item->family != 6)
		return NEED_REFUSED;
	snprintf(other, sizeof(other), "private%u", item->family);
	error = ask(sets, other, item, NULL);
	if (error != -ENOENT)
		return error ? error : NEED_REFUSED;
	set_name(sets, item, name);
	error = ask(sets, name, item, &left);
	if (error && error != -ENOENT)
		return error;
	if (!error && left + SETS_SLACK_MS >= want)
		return NEED_NOTHING;
	if (!error)
		element(to, NFT_MSG_DELSETELEM, 0, name, item, 0);
	element(to, NFT_MSG_NEWSETELEM, NLM_F_CREATE | NLM_F_ACK, name, item, want);
	return NEED_CHANGE;
}

/*
 * A transaction of ours, while nobody else makes one: who changes the rules knows his own by their number
 * (firewall/watch.c).
 *
 * #syscall sets: flock(arg0 = 5, arg1 = LOCK_EX) - one change of rules at a time
 * #syscall sets: flock(arg0 = 5, arg1 = LOCK_UN) - and no longer
 * #syscall sets: clock_nanosleep - no more than so many changes a second
 */
static int commit(struct sets *sets)
{
	const int64_t each = 1000000 / SETS_RATE, burst = 1000000;
	struct timespec now;
	int64_t at;
	int error;

	clock_gettime(CLOCK_MONOTONIC, &now);
	at = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
	sets->paid = BASE_MAX(sets->paid, at - burst) + each;
	if (sets->paid > at)
		usleep((useconds_t)(sets->paid - at));
	if (flock(NAMES_FD_LOCK, LOCK_EX) < 0)
		return -errno;
	error = talk(sets, NULL);
	flock(NAMES_FD_LOCK, LOCK_UN);
	return error;
}

/* Items [first, first + count) in one transaction. */
static int change(struct sets *sets, size_t first, size_t count, struct names_answer *answer)
{
	struct batch *whole BASE_AUTO_FREE = malloc(sizeof(*whole));
	struct names_answer new = *answer;
	bool some = false;

	if (!whole)
		return -ENOMEM;
	whole->size = 0;
	whole->sequence = &sets->sequence;
	batch_mark(whole, NFNL_MSG_BATCH_BEGIN);
	for (size_t i = first; i < first + count; i++) {
		int need = prepare(sets, &sets->request.items[i], whole);

		new.refused += need == NEED_REFUSED;
		new.failed += need < 0;
		new.error = need < 0 ? need : new.error;
		new.added += need == NEED_CHANGE || need == NEED_NOTHING;
		some |= need == NEED_CHANGE;
	}
	batch_mark(whole, NFNL_MSG_BATCH_END);
	if (some) {
		int error;

		memcpy(sets->batch.bytes, whole->bytes, whole->size);
		sets->batch.size = whole->size;
		sets->batch.message = whole->message;
		error = commit(sets);
		if (error)
			return error;
	}
	*answer = new;
	return 0;
}

/* All at once; where that fails (a set is full, is gone, or an address expired meanwhile), one by one. */
static void serve(struct sets *sets, struct names_answer *answer)
{
	const size_t count = sets->request.count;
	int error = change(sets, 0, count, answer);

	for (size_t i = 0; error && i < count; i++) {
		int one = change(sets, i, 1, answer);

		answer->failed += one != 0;
		answer->error = one ? one : answer->error;
	}
}

/* What cannot be part of a set's name is no VM's. */
static bool valid_vm(const char *vm)
{
	size_t length = strlen(vm);

	return length > 0 && length <= SETS_VM_MAX &&
	       strspn(vm, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

int main(int argc, char **argv)
{
	static struct sets sets;
	ssize_t n;

	sets.batch.sequence = &sets.sequence;
	sets.vm = argc > 1 ? argv[1] : "";
	sets.grace = argc > 2 ? atoi(argv[2]) : NAMES_GRACE_S;
	if (argc > 3 || !valid_vm(sets.vm) || sets.grace < 0 || sets.grace > NAMES_TTL_MAX) {
		fputs("usage: cordon-sets VM [GRACE-SECONDS]\n", stderr);
		return 2;
	}
	prctl(PR_SET_NAME, "cordon-sets"); /* by which firewall/watch.c knows it */
	if (isolate_lock(&list_sets) < 0) {
		fputs("cordon-sets: its seccomp list could not be installed\n", stderr);
		return 126;
	}
	while ((n = recv(NAMES_FD_REQUESTS, &sets.request, sizeof(sets.request), 0)) > 0) {
		struct names_answer answer = {0};

		if ((size_t)n < offsetof(struct names_request, items) ||
		    sets.request.count > NAMES_ITEMS_MAX ||
		    (size_t)n != offsetof(struct names_request, items) +
		                         sets.request.count * sizeof(struct names_item))
			answer.error = -EBADMSG;
		else
			serve(&sets, &answer);
		if (send(NAMES_FD_REQUESTS, &answer, sizeof(answer), MSG_NOSIGNAL) < 0)
			break;
	}
	return 0;
}
