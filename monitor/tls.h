/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls: a TLS ClientHello (RFC 8446, 4.1.2), taken apart as far as it tells who is meant and which program asks.
 * Pure, and for bytes that somebody made up; takes no memory but what the caller gives.
 */
#ifndef CORDON_MONITOR_TLS_H
#define CORDON_MONITOR_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TLS_NAME_MAX = 256, TLS_JA4_MAX = 37, TLS_LIST_MAX = 128 };

struct tls_hello {
	char name
	        [TLS_NAME_MAX]; /* server name (RFC 6066, 3), or ""; only letters, digits and -._ */
	char ja4[TLS_JA4_MAX];  /* "" if the hello is not whole, or nobody asked */
	uint16_t version;       /* the highest that is offered */
	char alpn[16];          /* the first protocol (RFC 7301), or "" */
	bool whole;
};

/* Takes apart the first `size` bytes that a client sent; `ja4`, which costs as much as all the rest, only where it is
 * wanted. 0, or -EBADMSG: no ClientHello. */
int tls_hello_parse(const uint8_t *bytes, size_t size, bool ja4, struct tls_hello *hello);

#endif
