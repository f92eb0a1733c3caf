/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guest's half of vsock, one packet at a time, with assertions of its own. */
#include "tests/unit/vsock_guest.h"

#include <check.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/base.h"
#include "vmm/devices/dial.h"

struct vhost_client guest_client;
static struct sockaddr_un listener_at;
static int listener;
int guest_dial;

uint32_t guest_room = 1 << 20, guest_taken;

void guest_post(uint64_t at, uint32_t size)
{
	vhost_client_add(&guest_client.queue[RX], &(struct client_buffer){at, size, true}, 1);
	vhost_client_kick(&guest_client.queue[RX]);
}

void guest_start_without_buffers(void)
{
	socklen_t length = sizeof(listener_at);
	char numbers[2][16];
	char *extra[] = {(char[]){"--cid"},
	                 (char[]){"7"},
	                 (char[]){"--listen"},
	                 numbers[0],
	                 (char[]){"--to-guest"},
	                 (char[]){"22,1024"},
	                 (char[]){"--dial"},
	                 numbers[1],
	                 (char[]){"--to-host"},
	                 (char[]){"5000,5001"},
	                 NULL};
	int pair[2];

	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	listener_at = (struct sockaddr_un){.sun_family = AF_UNIX};
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&listener_at, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&listener_at, &length), 0);
	ck_assert_int_eq(listen(listener, 64), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	fcntl(pair[0], F_SETFD, FD_CLOEXEC);
	guest_dial = pair[0];
	snprintf(numbers[0], sizeof(numbers[0]), "%d", listener);
	snprintf(numbers[1], sizeof(numbers[1]), "%d", pair[1]);
	ck_assert_int_eq(vhost_client_start(&guest_client, getenv("CORDON_VSOCK"), extra, ~0ull),
	                 0);
	close(pair[1]);
	for (unsigned int i = 0; i < 2; i++)
		ck_assert_int_eq(vhost_client_queue_start(&guest_client, i, CLIENT_QUEUE_SIZE, 0),
		                 0);
	/* before its ring runs, the device turns clients of the host's away */
	ck_assert_int_eq(vhost_client_sync(&guest_client), 0);
}

void guest_start(void)
{
	guest_start_without_buffers();
	for (unsigned int i = 0; i < BUFFERS; i++)
		guest_post(RX_AT + i * 8192, BUFFER);
}

void guest_stop(void)
{
	ck_assert_int_eq(vhost_client_stop(&guest_client), 0);
	close(listener);
	close(guest_dial);
}

struct virtio_vsock_hdr guest_header(uint16_t op, uint32_t guest_port, uint32_t host_port)
{
	return (struct virtio_vsock_hdr){
	        .src_cid = CID,
	        .dst_cid = 2,
	        .src_port = guest_port,
	        .dst_port = host_port,
	        .type = VIRTIO_VSOCK_TYPE_STREAM,
	        .op = op,
	        .buf_alloc = guest_room,
	        .fwd_cnt = guest_taken,
	};
}

/* Sends a header as it is, and `size` bytes behind it. */
void guest_send_raw(const struct virtio_vsock_hdr *h, const void *data, uint32_t size)
{
	struct client_buffer parts[] = {{TX_AT, sizeof(*h), false}, {TX_AT + 4096, size, false}};
	struct client_used used;

	memcpy(vhost_client_at(&guest_client, TX_AT), h, sizeof(*h));
	if (size)
		memcpy(vhost_client_at(&guest_client, TX_AT + 4096), data, size);
	vhost_client_add(&guest_client.queue[TX], parts, size ? 2 : 1);
	vhost_client_kick(&guest_client.queue[TX]);
	ck_assert_int_eq(vhost_client_used(&guest_client.queue[TX], &used, CLIENT_WAIT_MS), 0);
}

void guest_send(uint16_t op, uint32_t guest_port, uint32_t host_port)
{
	struct virtio_vsock_hdr h = guest_header(op, guest_port, host_port);

	guest_send_raw(&h, NULL, 0);
}

void guest_send_shutdown(uint32_t guest_port, uint32_t host_port, uint32_t flags)
{
	struct virtio_vsock_hdr h = guest_header(VIRTIO_VSOCK_OP_SHUTDOWN, guest_port, host_port);

	h.flags = flags;
	guest_send_raw(&h, NULL, 0);
}

void guest_send_data(uint32_t guest_port, uint32_t host_port, const void *data, uint32_t size)
{
	struct virtio_vsock_hdr h = guest_header(VIRTIO_VSOCK_OP_RW, guest_port, host_port);

	h.len = size;
	guest_send_raw(&h, data, size);
}

/* The next packet; its payload is copied to `data` (4096 bytes), its buffer posted again. */
struct virtio_vsock_hdr guest_next(void *data)
{
	struct virtio_vsock_hdr h;
	struct client_used used;
	uint64_t at;

	ck_assert_int_eq(vhost_client_used(&guest_client.queue[RX], &used, CLIENT_WAIT_MS), 0);
	at = guest_client.queue[RX].descriptors[used.id].address;
	memcpy(&h, vhost_client_at(&guest_client, at), sizeof(h));
	ck_assert_uint_eq(used.length, sizeof(h) + h.len);
	ck_assert_uint_eq(h.src_cid, 2);
	ck_assert_uint_eq(h.dst_cid, CID);
	ck_assert_uint_eq(h.type, VIRTIO_VSOCK_TYPE_STREAM);
	if (data)
		memcpy(data, vhost_client_at(&guest_client, at + sizeof(h)), h.len);
	guest_post(at, BUFFER);
	return h;
}

struct virtio_vsock_hdr guest_want(uint16_t op, uint32_t guest_port, uint32_t host_port)
{
	struct virtio_vsock_hdr h = guest_next(NULL);

	ck_assert_uint_eq(h.op, op);
	ck_assert_uint_eq(h.dst_port, guest_port);
	ck_assert_uint_eq(h.src_port, host_port);
	return h;
}

void guest_want_nothing(void)
{
	ck_assert_int_eq(vhost_client_sync(&guest_client), 0);
	ck_assert_int_eq(vhost_client_sync(&guest_client), 0);
	ck_assert_uint_eq(guest_client.queue[RX].used[1], guest_client.queue[RX].used_seen);
}

void guest_want_data(uint32_t guest_port, const char *text)
{
	char data[4096];
	struct virtio_vsock_hdr h = guest_next(data);

	ck_assert_uint_eq(h.op, VIRTIO_VSOCK_OP_RW);
	ck_assert_uint_eq(h.dst_port, guest_port);
	ck_assert_uint_eq(h.len, strlen(text));
	ck_assert_mem_eq(data, text, h.len);
}

void host_want(int fd, const char *text)
{
	char got[256] = "";
	size_t have = 0;

	while (have < strlen(text)) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		ssize_t n;

		ck_assert_int_eq(poll(&ready, 1, CLIENT_WAIT_MS), 1);
		n = read(fd, got + have, strlen(text) - have);
		ck_assert_int_gt(n, 0);
		have += (size_t)n;
	}
	ck_assert_str_eq(got, text);
}

void host_want_end(int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	char byte;

	ck_assert_int_eq(poll(&ready, 1, CLIENT_WAIT_MS), 1);
	ck_assert_int_le(read(fd, &byte, 1), 0);
}

/* cordon-dial's half: takes the request for `port`, and answers with `fd`, or with an error. */
void host_dial(uint32_t port, int fd, int error)
{
	struct dial_request request = {0};
	struct dial_answer answer;
	struct iovec part = {&answer, sizeof(answer)};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	ck_assert_int_eq(recv(guest_dial, &request, sizeof(request), 0), sizeof(request));
	ck_assert_uint_eq(request.port, port);
	answer = (struct dial_answer){.id = request.id, .error = error};
	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
	}
	ck_assert_int_eq(sendmsg(guest_dial, &message, 0), sizeof(answer));
}

/* A connection from the guest's port to the host's 5000; returns the host's end. */
int guest_connect(uint32_t guest_port)
{
	struct virtio_vsock_hdr h;
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
	                 0);
	guest_send(VIRTIO_VSOCK_OP_REQUEST, guest_port, 5000);
	host_dial(5000, pair[1], 0);
	close(pair[1]);
	h = guest_want(VIRTIO_VSOCK_OP_RESPONSE, guest_port, 5000);
	ck_assert_uint_eq(h.buf_alloc, ROOM);
	ck_assert_uint_eq(h.fwd_cnt, 0);
	return pair[0];
}

int host_client(const char *line)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t length =
	        offsetof(struct sockaddr_un, sun_path) + 1 + strlen(listener_at.sun_path + 1);

	ck_assert_int_eq(connect(fd, (struct sockaddr *)&listener_at, (socklen_t)length), 0);
	/* who is one too many may have been refused already */
	if (send(fd, line, strlen(line), MSG_NOSIGNAL) != (ssize_t)strlen(line))
		ck_assert_int_eq(errno, EPIPE);
	return fd;
}

pid_t host_dialer_start(int *requests, const char *path)
{
	char number[16], target[PATH_MAX];
	int pair[2];
	pid_t pid;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	snprintf(number, sizeof(number), "%d", pair[1]);
	snprintf(target, sizeof(target), "5000:%s", path);
	pid = fork();
	if (pid == 0) {
		fcntl(pair[1], F_SETFD, 0);
		execl(getenv("CORDON_DIAL"), "cordon-dial", "--requests", number, "--target",
		      target,
#ifdef CLIENT_NO_SANDBOX
		      "--no-sandbox",
#endif
		      (char *)NULL);
		_exit(127);
	}
	close(pair[1]);
	*requests = pair[0];
	return pid;
}

int host_dialer_ask(int requests, uint32_t port)
{
	const struct dial_request request = {.id = 77, .port = port};
	struct dial_answer answer = {0};
	struct iovec part = {&answer, sizeof(answer)};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = {.msg_iov = &part,
	                         .msg_iovlen = 1,
	                         .msg_control = &control,
	                         .msg_controllen = sizeof(control)};
	int fd;

	ck_assert_int_eq(send(requests, &request, sizeof(request), 0), sizeof(request));
	ck_assert_int_eq(recvmsg(requests, &message, 0), sizeof(answer));
	ck_assert_uint_eq(answer.id, 77);
	if (answer.error) {
		ck_assert_uint_eq(message.msg_controllen, 0);
		return answer.error;
	}
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}
