/* SPDX-License-Identifier: GPL-2.0-or-later */
/* quote_fixture: TDX quotes, and Intel's documents about their platform, under an authority of the test's own. */
#ifndef CORDON_TESTS_QUOTE_FIXTURE_H
#define CORDON_TESTS_QUOTE_FIXTURE_H

#include "tests/unit/attest_fixture.h"

enum quote_who { QUOTE_ROOT, QUOTE_CA, QUOTE_PCK, QUOTE_SIGNER, QUOTE_KEYS };
enum {
	QUOTE_HEADER = 48,
	QUOTE_QE = 384,
	QUOTE_PCK_SIZE = 1024,
	QUOTE_MAX = 16384,
	/* of the domain's report */
	QUOTE_TEE_SVN = 0,
	QUOTE_SEAM_SIGNER = 64,
	QUOTE_SEAM_ATTRIBUTES = 112,
	QUOTE_ATTRIBUTES = 120,
	QUOTE_MRTD = 136,
	QUOTE_RTMRS = 328,
	QUOTE_REPORT_DATA = 520,
};

struct quote {
	EVP_PKEY *keys[QUOTE_KEYS], *attestation;
	X509 *certs[QUOTE_KEYS];
	struct attest_root root;
	/* what a test changes before it is made */
	uint8_t header[QUOTE_HEADER], body[648], qe[QUOTE_QE];
	uint16_t version; /* 4; of 5 the body is that of TDX 1.5 */
	uint16_t auth_size;
	/* the last that was made */
	uint8_t bytes[QUOTE_MAX];
	size_t size, signed_size, pem; /* pem: where the chain begins */
};
/* What the PCK says, as {component SVNs, PCE SVN, FMSPC}. */
struct quote_options {
	uint8_t svns[16];
	uint16_t pce_svn;
	int without;           /* leave this part of Intel's extension out: 2, 3 or 4; 0: none */
	bool twice;            /* its FMSPC is there a second time */
	const char *from, *to; /* days of the PCK */
};
void quote_open(struct quote *quote, uint16_t version, const struct quote_options *options);
void quote_close(struct quote *quote);
/* Makes the quote: binds the key, and signs. */
void quote_make(struct quote *quote);

/*
 * Adds TCB info, or a QE identity, that QUOTE_SIGNER has signed: `inner` is the JSON object. `spoil` changes one
 * byte of it afterwards.
 */
void quote_document(const struct quote *quote, struct attest_collateral *collateral,
                    const char *kind, const char *inner, bool spoil);

#endif
