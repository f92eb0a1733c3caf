/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-names TAP PORT RESOLVER-PORT ADDRESS GUEST...: stands between a guest and its dnsmasq where the policy has names.
 *
 * A question is handed on as it is, under another identifier. The answer is read (names_judge.c), what it opens is
 * handed to cordon-sets, and when that has said that the sets have it, the guest gets its answer. An
 * answer that opens nothing is handed on too: it is of no use to a guest whose rules are closed. Whatever ends here
 * (this process, cordon-sets, dnsmasq), the guest gets no answers any more, and what is open closes with its TTL.
 *
 * The policy's names are read from a file anew with each answer, as `cordon apply` may change them.
 *
 * Its sockets are bound to the guest's tap, and it answers the guest's addresses alone: who reaches its own from the
 * host or its network takes no place of the guest's, and opens nothing.
 *
 * It reads what the guest wrote and what came from the network, so it has no capability, no file, and a list. It
 * keeps the host's network namespace, as dnsmasq does, for sockets to that. All of them are there before the list is,
 * which makes and connects none: what it sends goes to its dnsmasq, or out by the guest's tap (or to what listens for UDP
 * at the host's address on that tap).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"
#include "firewall/front.h"
#include "firewall/list_names.h"
#include "firewall/names_fds.h"
#include "isolate/isolate.h"

enum { FRONT_EVENTS = 16, FRONT_TURNS = 64, FRONT_SAY_MS = 10000, FRONT_BACKLOG = 16 };
enum { FRONT_FLAGS = 2, FRONT_RESPONSE = 0x80, FRONT_SERVER_FAILURE = 2 };

int64_t front_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* #syscall names: epoll_ctl - connections come and go, and wait for one thing or another */
int front_watch(struct front *front, int operation, int fd, uint32_t events, enum front_kind kind,
                size_t number)
{
	struct epoll_event event = {.events = events, .data.u64 = (uint64_t)kind << 32 | number};

	return epoll_ctl(front->epoll, operation, fd, &event) < 0 ? -errno : 0;
}

/* ---- what an answer opens ---- */

/* Not each time: who sends answers may send many. The counts are ours, and nothing of the answer's is said. */
static void say(struct front *front, const struct names_answer *answer)
{
	int64_t now = front_now();

	if ((!answer->refused && !answer->failed) ||
	    (front->said && now - front->said < FRONT_SAY_MS))
		return;
	front->said = now;
	if (answer->refused)
		fprintf(stderr,
		        "cordon-names: an answer had %u private addresses, which no name opens\n",
		        answer->refused);
	/* a name that has no set has no rule, by now, or none of the address's family */
	if (answer->failed && answer->error != -ENOENT)
		fprintf(stderr, "cordon-names: %u addresses of an answer were not opened: %s\n",
		        answer->failed,
		        answer->error == -ENFILE ? "their name has too many"
		                                 : strerrordesc_np(-answer->error));
}

/* #syscall names: pread64 - the policy's names, as they are now */
static void read_patterns(struct front *front)
{
	ssize_t n = pread(NAMES_FD_LIST, front->patterns.text, sizeof(front->patterns.text) - 1, 0);

	names_patterns_split(&front->patterns, n > 0 ? (size_t)n : 0);
}

void front_open(struct front *front, const uint8_t *message, size_t size)
{
	struct names_answer answer;
	size_t length;

	read_patterns(front);
	names_judge(&front->patterns, message, size, &front->request);
	if (front->request.count == 0)
		return;
	length = offsetof(struct names_request, items) +
	         front->request.count * sizeof(struct names_item);
	if (send(NAMES_FD_REQUESTS, &front->request, length, MSG_NOSIGNAL) < 0 ||
	    recv(NAMES_FD_REQUESTS, &answer, sizeof(answer), 0) != (ssize_t)sizeof(answer)) {
		fputs("cordon-names: cordon-sets is gone, so no name can be opened\n", stderr);
		exit(1);
	}
	say(front, &answer);
}

/* ---- UDP ---- */

static void set_id(uint8_t *message, uint16_t id)
{
	message[0] = (uint8_t)(id >> 8);
	message[1] = (uint8_t)id;
}

/*
 * The question itself, marked as an answer: the resolver failed (RFC 1035, 4.1.1).
 *
 * #syscall names: sendto(arg4 = 0) - to whom the socket is connected: dnsmasq, cordon-sets, the guest over TCP
 * #syscall names: sendto(arg0 = 7) - answers to the guest, by a socket that is bound to its tap
 * #syscall names: sendto(arg0 = 8) - the same over IPv6
 */
static void fail(struct front *front, const struct front_asked *asked, size_t size)
{
	uint8_t *flags = front->message + FRONT_FLAGS;

	set_id(front->message, asked->id);
	flags[0] |= FRONT_RESPONSE;
	flags[1] = (uint8_t)((flags[1] & 0xf0) | FRONT_SERVER_FAILURE);
	sendto(NAMES_FD_UDP + (int)asked->listener, front->message, size, MSG_DONTWAIT,
	       (const struct sockaddr *)&asked->from, asked->from_size);
}

/* False when there is no more to read. */
static bool take_question(struct front *front, size_t listener)
{
	struct front_asked *asked = &front->asked[front->next_id % FRONT_ASKED_MAX];
	struct front_asked new = {.waits = true, .listener = listener};
	ssize_t n;

	new.from_size = sizeof(new.from);
	n = recvfrom(NAMES_FD_UDP + (int)listener, front->message, FRONT_QUESTION_MAX, MSG_DONTWAIT,
	             (struct sockaddr *)&new.from, &new.from_size);
	if (n < 0)
		return false;
	if (n < FRONT_HEADER || front->message[FRONT_FLAGS] & FRONT_RESPONSE ||
	    !front_is_guest(front, listener, &new.from))
		return true;
	/* the oldest is forgotten: the guest asks again */
	new.id = base_be16(front->message);
	new.own_id = front->next_id++;
	*asked = new;
	set_id(front->message, new.own_id);
	if (send(NAMES_FD_RESOLVER, front->message, (size_t)n, MSG_DONTWAIT) < 0) {
		asked->waits = false;
		fail(front, asked, (size_t)n);
	}
	return true;
}

/* #syscall names: recvfrom - questions, answers, and what cordon-sets says */
static bool take_answer(struct front *front)
{
	ssize_t n = recv(NAMES_FD_RESOLVER, front->message, FRONT_MESSAGE_MAX, MSG_DONTWAIT);
	struct front_asked *asked;

	if (n < 0) /* ECONNREFUSED: nobody is there by now, and the guest will ask again */
		return errno != EAGAIN;
	asked = &front->asked[n >= 2 ? base_be16(front->message) % FRONT_ASKED_MAX : 0];
	if (n < FRONT_HEADER || !asked->waits || asked->own_id != base_be16(front->message))
		return true;
	asked->waits = false;
	set_id(front->message, asked->id);
	front_open(front, front->message, (size_t)n);
	sendto(NAMES_FD_UDP + (int)asked->listener, front->message, (size_t)n, MSG_DONTWAIT,
	       (const struct sockaddr *)&asked->from, asked->from_size);
	return true;
}

/* ---- start ---- */

static socklen_t make_address(struct sockaddr_storage *to, const char *text, uint16_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)to;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)to;

	memset(to, 0, sizeof(*to));
	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return sizeof(*v4);
	}
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1)
		return 0;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	return sizeof(*v6);
}

bool front_is_guest(const struct front *front, size_t listener, const struct sockaddr_storage *from)
{
	const struct sockaddr_storage *guest = &front->guest[listener];

	if (from->ss_family != guest->ss_family)
		return false;
	if (from->ss_family == AF_INET)
		return ((const struct sockaddr_in *)from)->sin_addr.s_addr ==
		       ((const struct sockaddr_in *)guest)->sin_addr.s_addr;
	return memcmp(&((const struct sockaddr_in6 *)from)->sin6_addr,
	              &((const struct sockaddr_in6 *)guest)->sin6_addr,
	              sizeof(struct in6_addr)) == 0;
}

/* The fd under that number, for good; it is the caller's no more. */
static int place(int *fd, int number)
{
	int error = dup3(*fd, number, O_CLOEXEC) < 0 ? -errno : 0;

	base_close(fd);
	return error;
}

/* `at`: the address to listen at, and the guest's that is answered there. */
static int listen_at(struct front *front, const char *tap, char *const *at, uint16_t port)
{
	const socklen_t length = (socklen_t)strlen(tap) + 1;
	const size_t i = front->listeners;
	struct sockaddr_storage address;
	socklen_t size = make_address(&address, at[0], port);
	int one = 1, error;

	if (size == 0 || i == FRONT_LISTEN_MAX || make_address(&front->guest[i], at[1], 0) != size)
		return -EINVAL;
	int udp BASE_AUTO_FD =
	        socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	front->tcp[i] = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (udp < 0 || front->tcp[i] < 0 ||
	    setsockopt(udp, SOL_SOCKET, SO_BINDTODEVICE, tap, length) < 0 ||
	    setsockopt(front->tcp[i], SOL_SOCKET, SO_BINDTODEVICE, tap, length) < 0 ||
	    setsockopt(front->tcp[i], SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(udp, (struct sockaddr *)&address, size) < 0 ||
	    bind(front->tcp[i], (struct sockaddr *)&address, size) < 0 ||
	    listen(front->tcp[i], FRONT_BACKLOG) < 0)
		return -errno;
	front->listeners++;
	error = place(&udp, NAMES_FD_UDP + (int)i);
	if (!error)
		error = front_watch(front, EPOLL_CTL_ADD, NAMES_FD_UDP + (int)i, EPOLLIN, FRONT_UDP,
		                    i);
	return error ? error
	             : front_watch(front, EPOLL_CTL_ADD, front->tcp[i], EPOLLIN, FRONT_TCP, i);
}

static int resolver_at(struct front *front, const char *text, uint16_t port)
{
	int error;

	front->resolver_size = make_address(&front->resolver_address, text, port);
	if (front->resolver_address.ss_family != AF_INET)
		return -EINVAL;
	int fd BASE_AUTO_FD = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 ||
	    connect(fd, (struct sockaddr *)&front->resolver_address, front->resolver_size) < 0)
		return -errno;
	error = place(&fd, NAMES_FD_RESOLVER);
	if (!error)
		error = front_watch(front, EPOLL_CTL_ADD, NAMES_FD_RESOLVER, EPOLLIN,
		                    FRONT_RESOLVER, 0);
	return error ? error : front_dial_start(front);
}

/* Keeps the numbers of names_fds.h free of what is opened otherwise, until place() puts there what belongs there. */
static int reserve(void)
{
	for (int fd = NAMES_FD_RESOLVER; fd < NAMES_FD_UDP + FRONT_LISTEN_MAX; fd++)
		if (dup3(NAMES_FD_REQUESTS, fd, O_CLOEXEC) < 0)
			return -errno;
	return 0;
}

static int start(struct front *front, int argc, char **argv)
{
	unsigned long port = strtoul(argv[2], NULL, 10), resolver = strtoul(argv[3], NULL, 10);
	int error;

	/* no name would be no device, and so any */
	if (argv[1][0] == '\0' || port == 0 || port > UINT16_MAX || resolver == 0 ||
	    resolver > UINT16_MAX)
		return -EINVAL;
	error = reserve();
	front->epoll = error ? -1 : epoll_create1(EPOLL_CLOEXEC);
	if (front->epoll < 0)
		return error ? error : -errno;
	for (int i = 4; i + 1 < argc && !error; i += 2)
		error = listen_at(front, argv[1], &argv[i], (uint16_t)port);
	for (size_t i = front->listeners; i < FRONT_LISTEN_MAX; i++)
		close(NAMES_FD_UDP + (int)i);
	return error ? error : resolver_at(front, argv[4], (uint16_t)resolver);
}

/* ---- the loop ---- */

/* A few at a time, so that a guest that asks without end keeps nobody's answer waiting. */
static void handle(struct front *front, const struct epoll_event *event)
{
	const size_t number = (uint32_t)event->data.u64;

	switch ((enum front_kind)(event->data.u64 >> 32)) {
	case FRONT_UDP:
		for (int i = 0; i < FRONT_TURNS && take_question(front, number); i++)
			;
		break;
	case FRONT_RESOLVER:
		for (int i = 0; i < FRONT_TURNS && take_answer(front); i++)
			;
		break;
	case FRONT_TCP: front_tcp_accept(front, number); break;
	case FRONT_CONNECTION: front_tcp_event(front, number, event->events); break;
	}
}

/* #syscall names: epoll_wait - waits for packets and connections */
static int serve(struct front *front)
{
	struct epoll_event events[FRONT_EVENTS];

	for (;;) {
		int count = epoll_wait(front->epoll, events, FRONT_EVENTS, front_tcp_expire(front));

		if (count < 0 && errno != EINTR)
			return 1;
		for (int i = 0; i < count; i++)
			handle(front, &events[i]);
	}
}

int main(int argc, char **argv)
{
	static struct front front;
	int error = argc > 5 ? start(&front, argc, argv) : -EINVAL;

	if (error) {
		fprintf(stderr,
		        "cordon-names: %s (it takes TAP PORT RESOLVER-PORT ADDRESS GUEST...)\n",
		        strerrordesc_np(-error));
		return 2;
	}
	error = isolate_lock(&list_names);
	if (error) {
		fputs("cordon-names: its seccomp list could not be installed\n", stderr);
		return 126;
	}
	return serve(&front);
}
