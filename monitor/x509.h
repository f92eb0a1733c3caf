/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * x509: whom a certificate (RFC 5280) is for: its subjectAltName, or, of one that has none, its subject's common name.
 * Pure, for bytes that somebody made up; no signature is looked at.
 */
#ifndef CORDON_MONITOR_X509_H
#define CORDON_MONITOR_X509_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { X509_NAME_MAX = 128 };

struct x509_names {
	char first
	        [X509_NAME_MAX]; /* the first name that it is for, "" if there is none: printable, '?' for what is not */
	bool matches; /* the name that was asked for is one of them (RFC 6125, 6.4) */
};

/* Takes apart `size` bytes of DER; `wanted` may be "". 0, or -EBADMSG: no certificate that is whole. */
int x509_names(const uint8_t *der, size_t size, const char *wanted, struct x509_names *names);

#endif
