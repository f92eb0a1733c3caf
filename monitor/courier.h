/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * courier: the parts of cordon-courier, and what the host hands it.
 *
 *   courier.c         the process: its role, its loop, when it tries again and when it ends
 *   courier_stream.c  syslog over UDP, TCP and TLS; courier_tls.c has what is OpenSSL's
 *   courier_http.c    lines of JSON by POST
 *   courier_local.c   files, unix sockets, standard output; courier_opener.c opens them, as root
 *   spool.c           what waits
 */
#ifndef CORDON_MONITOR_COURIER_H
#define CORDON_MONITOR_COURIER_H

#include <stdbool.h>
#include <sys/socket.h>

#include "monitor/spool.h"
#include "policies/policies.h"

/*
 * `cordon-courier UID`, started as root with these fds. It reads the sink (one struct policy_sink) and the files
 * that it names, enters its role, and writes to the last fd: nothing and closes it when all is well, else one
 * sentence. Who starts it holds an exclusive flock on COURIER_FD_STATE, which it keeps for as long as it lives.
 */
enum {
	COURIER_FD_INBOX = 3,
	COURIER_FD_STATE, /* and the next */
	COURIER_FD_SINK = 6,
	COURIER_FD_READY,
	COURIER_FD_INOTIFY, /* its own, as the next */
	COURIER_FD_OPENER,
	COURIER_FDS_END,
};

enum { COURIER_WHY_MAX = 512 };

struct courier {
	struct policy_sink sink;
	struct spool *spool;
	const struct carrier *carrier;
	void *state;      /* the carrier's */
	int socket;       /* to be watched for what comes back; -1: none */
	bool over;        /* the receiver will never be there again */
	size_t in_flight; /* the first so many of the spool were sent, and may have arrived */
	char text[SPOOL_TEXT_MAX + 1];
};

/* How a kind of sink is delivered to. Each courier has one sink, so its calls may take their time. */
struct carrier {
	/* As root: reads the files that the sink names. A negative errno and a sentence when it cannot. */
	int (*prepare)(struct courier *courier, char why[COURIER_WHY_MAX]);
	/* Delivers of the spool what the receiver takes now; what it has confirmed is spool_done(). Connects first, if it
	 * has to. A negative errno: the receiver is gone for now. */
	int (*deliver)(struct courier *courier);
	/* Lets go of the connection; of what was in flight, what has not arrived is sent again. */
	void (*close)(struct courier *courier);
};

extern const struct carrier courier_stream, courier_http, courier_files, courier_socket,
        courier_stdout;

/* The address and port of a target. */
int courier_address(const char *target, struct sockaddr_storage *address, socklen_t *size);

/* CLOCK_MONOTONIC. */
int64_t courier_now_ms(void);

/* Reads a small file whole; the caller owns the terminated text. -EFBIG above a mebibyte. */
int courier_read_file(const char *path, char **text, size_t *size);

/* --- courier_opener.c --- */

enum courier_request { COURIER_OPEN = 1, COURIER_REOPEN, COURIER_ROTATE, COURIER_CONNECT };

/* As root, before the role is entered: starts who opens what the sink's path names. */
int courier_opener_start(struct courier *courier);
/* A descriptor, or a negative errno; -EALREADY of COURIER_REOPEN: the file has not changed. */
int courier_opener_ask(enum courier_request request);

/* --- courier_tls.c --- */

struct courier_tls;

int courier_tls_prepare(const struct policy_sink *sink, struct courier_tls **tls,
                        char why[COURIER_WHY_MAX]);
/* The handshake, over a connected socket that blocks and has timeouts. -EPROTO: and *why says what OpenSSL does. */
int courier_tls_connect(struct courier_tls *tls, int fd, char why[COURIER_WHY_MAX]);
/* All of it, or a negative errno. */
int courier_tls_write(struct courier_tls *tls, const char *data, size_t size);
/* Takes in what the peer sends (tickets); -ECONNRESET when it has closed. */
int courier_tls_drain(struct courier_tls *tls);
/* Bytes that went into the socket since the handshake began. */
uint64_t courier_tls_written(const struct courier_tls *tls);
void courier_tls_disconnect(struct courier_tls *tls);

#endif
