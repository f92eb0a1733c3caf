/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gate: a secret for a guest that has proved what it is. One connection of a stream, all numbers little-endian:
 *
 *   gate    GATE_HELLO: 16 bytes "cordon-gate-1" and zeros, 64 random bytes (the nonce)
 *   guest   the size of its evidence (32 bits), its X25519 public key (32 bytes), the evidence: an SEV-SNP report or
 *           a TDX quote, whose report data is SHA-512 of the hello and the key
 *   gate    1 and nothing else: refused. Or 0, a public key of the gate's (32 bytes), the size of what follows
 *           (32 bits), the secret under AES-256-GCM with its tag (16 bytes) behind it
 *
 * The key is HKDF-SHA-384 of what X25519 gives, with the nonce as salt and "cordon-gate-1" with zeros, the guest's
 * key and the gate's as info; it encrypts once, so the IV is zero, and there is no further authenticated data.
 *
 * So only who has the private key reads the secret, and the evidence says that it is the guest: not the host, on whose
 * vsock all this goes by. An old report is of another nonce.
 */
#ifndef CORDON_CONFIDENTIAL_GATE_H
#define CORDON_CONFIDENTIAL_GATE_H

#include "confidential/confidential.h"

#define GATE_NAME "cordon-gate-1"
enum {
	GATE_NAME_SIZE = 16,
	GATE_NONCE = 64,
	GATE_HELLO = GATE_NAME_SIZE + GATE_NONCE,
	GATE_KEY = 32,
	GATE_TAG = 16,
	GATE_IV = 12,
	GATE_EVIDENCE_MAX = 1 << 16,
	GATE_SECRET_MAX = 1 << 16,
	GATE_ANSWER_HEAD = 1 + GATE_KEY + 4,
	GATE_SECONDS = 30, /* that a guest has for all of it */
};

struct gate {
	/* What the evidence has to be: its report, size, report_data and `at` are filled in here. */
	struct attest_input input;
	int64_t at; /* Unix time, in place of now; 0: now */
	const uint8_t *secret;
	size_t secret_size; /* at most GATE_SECRET_MAX */
	int seconds;        /* GATE_SECONDS */
};

/*
 * Serves one connection, which does not block and stays the caller's. 0: the guest was given the secret. -EACCES: its
 * evidence was refused, as the verdict says; -EPROTO, -ETIMEDOUT and others: it never came so far, and the verdict
 * has no check. A sentence in why[WHY_MAX] each time.
 */
int gate_serve(const struct gate *gate, int fd, struct attest_verdict *verdict, char *why);

/* --- both ends: what the report data has to be, and the key. 0, -EINVAL for a key that is none, or -ENOMEM. --- */

int gate_report_data(const uint8_t hello[GATE_HELLO], const uint8_t guest_key[GATE_KEY],
                     uint8_t data[64]);

#endif
