/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Syslog over UDP (a datagram each, RFC 5426), TCP (octet counting, RFC 6587, 3.4.1) and TLS (RFC 5425, framed the
 * same); and flows as IPFIX over the same three (RFC 7011, 10), a message for each batch of them. Its templates go first on
 * a connection, over UDP again and again, as nobody says that they have come.
 *
 * Syslog has no answers, so what "delivered" means is what the transport can tell. Over TCP and TLS an alert is
 * delivered when the receiver's kernel has acknowledged its last byte: the bytes written so far, less
 * those that SIOCOUTQ still holds. When a connection breaks, what was acknowledged is not sent again and what
 * was not, is: no alert comes twice. What a receiver had acknowledged and not yet read when it was killed is
 * lost, which nobody can see from here; that is why no more than STREAM_WINDOW are in flight at a time. They are also what comes twice when the courier itself
 * is killed before it has looked. Over UDP one that was
 * refused (an ICMP error) is sent again, and nothing else is known.
 *
 * #syscall courier: socket(arg0 = AF_INET) - to the receiver
 * #syscall courier: socket(arg0 = AF_INET6) - to the receiver
 * #syscall courier: connect - to the receiver
 * #syscall courier: setsockopt - how long the receiver is waited for
 * #syscall courier: getsockopt - why a datagram was refused
 * #syscall courier: ioctl(arg1 = SIOCOUTQ) - what the receiver has not acknowledged yet
 * #syscall courier: sendto - to the receiver
 * #syscall courier: recvfrom - whether it has closed
 */
#include "monitor/courier.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/base.h"
#include "monitor/ipfix.h"

enum {
	STREAM_WINDOW = 64,
	STREAM_PATIENCE_S = 10,
	STREAM_SETTLE_MS = 300,
	STREAM_FRAME_MAX = SPOOL_TEXT_MAX + 16,
	STREAM_TEMPLATES_MS =
	        60000, /* over UDP: how often they are sent, or after so many messages */
	STREAM_TEMPLATES_EVERY = 256,
};

struct stream {
	struct sockaddr_storage address;
	socklen_t address_size;
	struct courier_tls *tls;
	uint64_t written;             /* bytes, of this connection; TLS counts its own */
	uint64_t ends[STREAM_WINDOW]; /* where those in flight end */
	uint32_t sequence;            /* IPFIX: data records sent in this session */
	int64_t templates_ms;         /* when the templates were sent last; 0: never */
	unsigned int messages;        /* since then */
	char frame[STREAM_FRAME_MAX];
	char last[COURIER_WHY_MAX]; /* what OpenSSL said last, so that it is said once */
};

static bool stream_is_datagrams(const struct courier *courier)
{
	return courier->sink.type == POLICY_SINK_SYSLOG_UDP ||
	       courier->sink.type == POLICY_SINK_IPFIX_UDP;
}

static int stream_prepare(struct courier *courier, char why[COURIER_WHY_MAX])
{
	struct stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return -ENOMEM;
	courier->state = stream;
	if (policy_sink_is_tls(courier->sink.type)) {
		int err = courier_tls_prepare(&courier->sink, &stream->tls, why);

		if (err)
			return err;
	}
	return courier_address(courier->sink.target, &stream->address, &stream->address_size);
}

static uint64_t stream_written(const struct stream *stream)
{
	return stream->tls ? courier_tls_written(stream->tls) : stream->written;
}

/* Those of which the receiver's kernel has all. */
static int stream_confirm(struct courier *courier)
{
	struct stream *stream = courier->state;
	size_t done = 0;
	int waiting = 0, err;

	if (courier->in_flight == 0)
		return 0;
	if (ioctl(courier->socket, SIOCOUTQ, &waiting) < 0)
		return -errno;
	while (done < courier->in_flight &&
	       stream->ends[done] + (uint64_t)waiting <= stream_written(stream))
		done++;
	err = spool_done(courier->spool, done);
	courier->in_flight -= done;
	memmove(stream->ends, stream->ends + done, courier->in_flight * sizeof(stream->ends[0]));
	return err;
}

static void stream_close(struct courier *courier)
{
	struct stream *stream = courier->state;

	if (courier->socket < 0)
		return;
	/* what arrived before it broke must not arrive again */
	if (!stream_is_datagrams(courier))
		stream_confirm(courier);
	courier->in_flight = 0;
	if (stream->tls)
		courier_tls_disconnect(stream->tls);
	base_close(&courier->socket);
}

static int stream_options(int fd, bool datagrams)
{
	struct timeval patience = {.tv_sec = STREAM_PATIENCE_S};
	unsigned int milliseconds = STREAM_PATIENCE_S * 1000;

	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	/* a receiver whose host is gone without a word */
	if (!datagrams && (setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds,
	                              sizeof(milliseconds)) < 0 ||
	                   setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &(int){1}, sizeof(int)) < 0))
		return -errno;
	return 0;
}

/*
 * With TLS 1.3 the handshake is over here before the receiver has seen our certificate, and what it then does not
 * want, its kernel has acknowledged: so nothing is sent until it has had time to hang up.
 */
static int stream_settle(struct courier *courier)
{
	struct stream *stream = courier->state;
	struct pollfd ready = {.fd = courier->socket, .events = POLLIN | POLLRDHUP};
	int64_t until = courier_now_ms() + STREAM_SETTLE_MS, left;
	int err = 0;

	while (!err && (left = until - courier_now_ms()) > 0)
		if (poll(&ready, 1, (int)left) > 0)
			err = courier_tls_drain(stream->tls);
	return err;
}

static int stream_connect(struct courier *courier)
{
	struct stream *stream = courier->state;
	bool datagrams = stream_is_datagrams(courier);
	char why[COURIER_WHY_MAX] = "";
	BASE_AUTO_FD int fd = socket(stream->address.ss_family,
	                             (datagrams ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	int err = fd < 0 ? -errno : stream_options(fd, datagrams);

	if (err)
		return err;
	if (connect(fd, (struct sockaddr *)&stream->address, stream->address_size) < 0)
		return -errno;
	stream->written = 0;
	if (stream->tls)
		err = courier_tls_connect(stream->tls, fd, why);
	if (why[0] && strcmp(why, stream->last) != 0) {
		fprintf(stderr, "courier: %s: %s\n", courier->sink.target, why);
		memcpy(stream->last, why, sizeof(why));
	}
	if (err)
		return err;
	stream->last[0] = '\0';
	courier->socket = base_take_fd(&fd);
	return stream->tls ? stream_settle(courier) : 0;
}

/* A receiver says nothing, but that it is going. */
static int stream_listen(struct courier *courier)
{
	struct stream *stream = courier->state;
	struct pollfd ready = {.fd = courier->socket, .events = POLLIN | POLLRDHUP};
	char ignored[4096];
	ssize_t n;

	if (poll(&ready, 1, 0) <= 0)
		return 0;
	if (stream->tls)
		return courier_tls_drain(stream->tls);
	n = recv(courier->socket, ignored, sizeof(ignored), MSG_DONTWAIT);
	if (n > 0 || (n < 0 && errno == EAGAIN))
		return 0;
	return n < 0 ? -errno : -ECONNRESET;
}

static int stream_write(struct courier *courier, const void *bytes, size_t size)
{
	struct stream *stream = courier->state;
	size_t sent = 0;

	if (stream->tls)
		return courier_tls_write(stream->tls, bytes, size);
	while (sent < size) {
		ssize_t n = send(courier->socket, (const char *)bytes + sent, size - sent,
		                 MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		sent += (size_t)n;
		stream->written += (uint64_t)n;
	}
	return 0;
}

/* --- frames --- */

static uint32_t stream_unix_time(void)
{
	return (uint32_t)time(NULL);
}

/* One that is nothing of ours is sent as no records: it is done with. */
static size_t stream_message(struct courier *courier, size_t size, uint16_t *count)
{
	struct stream *stream = courier->state;

	*count = 0;
	if (ipfix_unspool(courier->text, size, count) < 0)
		return 0;
	memcpy(stream->frame + IPFIX_HEADER, courier->text + 2, size - 2);
	ipfix_header((uint8_t *)stream->frame, IPFIX_HEADER + size - 2, stream_unix_time(),
	             stream->sequence, courier->sink.domain);
	return IPFIX_HEADER + size - 2;
}

/* Puts the i-th of what waits into its frame; its size, or a negative errno. `count` records are in it. */
static ssize_t stream_frame(struct courier *courier, size_t i, uint16_t *count)
{
	struct stream *stream = courier->state;
	ssize_t size = spool_read(courier->spool, i, courier->text);
	int length = 0;

	*count = 0;
	if (size < 0)
		return size;
	if (policy_sink_is_flows(courier->sink.type))
		return (ssize_t)stream_message(courier, (size_t)size, count);
	if (courier->sink.type != POLICY_SINK_SYSLOG_UDP)
		length = snprintf(stream->frame, sizeof(stream->frame), "%zd ", size);
	memcpy(stream->frame + length, courier->text, (size_t)size);
	return length + size;
}

static size_t stream_templates(struct courier *courier)
{
	struct stream *stream = courier->state;

	stream->templates_ms = courier_now_ms();
	stream->messages = 0;
	return ipfix_templates((uint8_t *)stream->frame, stream_unix_time(), stream->sequence,
	                       courier->sink.domain);
}

/* --- delivery --- */

/* One at a time: the error that refuses it may come with the next call, and belongs to this one. */
static int stream_datagram(struct courier *courier, size_t size)
{
	struct stream *stream = courier->state;
	int refused = 0;
	socklen_t length = sizeof(refused);

	if (send(courier->socket, stream->frame, size, MSG_NOSIGNAL) < 0 &&
	    errno != EMSGSIZE) /* such a one never will be taken */
		return -errno;
	if (getsockopt(courier->socket, SOL_SOCKET, SO_ERROR, &refused, &length) < 0)
		return -errno;
	return -refused;
}

static bool stream_templates_due(struct courier *courier)
{
	const struct stream *stream = courier->state;

	return policy_sink_is_flows(courier->sink.type) &&
	       (stream->templates_ms == 0 || stream->messages >= STREAM_TEMPLATES_EVERY ||
	        courier_now_ms() - stream->templates_ms >= STREAM_TEMPLATES_MS);
}

static int stream_datagrams(struct courier *courier)
{
	struct stream *stream = courier->state;
	int err = 0;

	while (!err && spool_count(courier->spool) > 0) {
		uint16_t count;
		ssize_t size;

		if (stream_templates_due(courier))
			err = stream_datagram(courier, stream_templates(courier));
		size = err ? err : stream_frame(courier, 0, &count);
		if (size < 0)
			return (int)size;
		if (size > 0)
			err = stream_datagram(courier, (size_t)size);
		if (!err)
			err = spool_done(courier->spool, 1);
		stream->messages++;
		stream->sequence += err ? 0 : count;
	}
	return err;
}

/* The next that is not in flight. */
static int stream_next(struct courier *courier)
{
	struct stream *stream = courier->state;
	uint16_t count;
	ssize_t size = stream_frame(courier, courier->in_flight, &count);
	int err = size > 0 ? stream_write(courier, stream->frame, (size_t)size) : (int)size;

	if (err)
		return err;
	stream->sequence += count;
	stream->ends[courier->in_flight++] = stream_written(stream);
	return 0;
}

static int stream_open(struct courier *courier)
{
	struct stream *stream = courier->state;
	int err = stream_connect(courier);

	stream->templates_ms = 0;
	if (err || !policy_sink_is_flows(courier->sink.type) || stream_is_datagrams(courier))
		return err;
	stream->sequence = 0;
	return stream_write(courier, stream->frame, stream_templates(courier));
}

static int stream_deliver(struct courier *courier)
{
	int err = 0;

	if (courier->socket < 0 && spool_count(courier->spool) == 0)
		return 0;
	if (courier->socket < 0)
		err = stream_open(courier);
	if (!err && stream_is_datagrams(courier))
		return stream_datagrams(courier);
	if (!err)
		err = stream_listen(courier);
	if (!err)
		err = stream_confirm(courier);
	while (!err && courier->in_flight < STREAM_WINDOW &&
	       courier->in_flight < spool_count(courier->spool))
		err = stream_next(courier);
	return err ? err : stream_confirm(courier);
}

const struct carrier courier_stream = {
        .prepare = stream_prepare,
        .deliver = stream_deliver,
        .close = stream_close,
};
