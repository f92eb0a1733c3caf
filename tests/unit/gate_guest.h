/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gate_guest: guests of the gate, honest and not, and an authority that signs their reports, so that all that is wrong
 * is what the test makes wrong.
 */
#ifndef CORDON_TESTS_GATE_GUEST_H
#define CORDON_TESTS_GATE_GUEST_H

#include "confidential/gate.h"
#include "tests/unit/quote_documents.h"

enum { GATE_REPORT = 1184, GATE_TEST_SECRET = 33 };
/* What fills these fields of their reports. */
enum {
	GATE_SVN = 7,
	GATE_FAMILY = 0xfa,
	GATE_IMAGE = 0x1a,
	GATE_HOST_DATA = 0x40,
	GATE_ID_KEY = 0x1d,
	GATE_AUTHOR = 0xa0
};

extern const char gate_secret[GATE_TEST_SECRET];
extern const uint8_t gate_measurement[48];
extern const struct authority_options gate_milan;

/* What a guest does that it should not. */
enum gate_lie {
	HONEST,
	SLOW,        /* honest, byte by byte */
	OLD_REPORT,  /* of another nonce */
	OTHER_KEY,   /* not the one in the report */
	FORGED,      /* one byte after it was signed */
	OTHER_GUEST, /* another measurement */
	DEBUGGED,    /* its host may read it */
	ZERO_KEY,    /* a point of small order, in a true report */
	TOO_LARGE,
	NO_SIZE,
	HANGS_UP,
	SILENT,
	HALF,
	LIES
};

struct gate_guest {
	int fd;
	const struct authority *authority;
	struct quote *quote; /* of a TDX guest, in place of the authority */
	enum gate_lie lie;
	EVP_PKEY *key;
	uint8_t hello[GATE_HELLO], public_key[GATE_KEY], report[GATE_REPORT];
};

/* One connection: 0 it has the secret; 1 it was refused; 2 nothing came, or nothing that it can use. */
int gate_guest_run(struct gate_guest *guest);
/* Reads just so much. */
bool gate_take(int fd, void *to, size_t size);

/* A gate that asks for the measurement, with the authority's certificates and current CRLs in `collateral`. */
void gate_open(struct gate *gate, const struct authority *authority,
               struct attest_collateral *collateral);
/* The same of a TDX guest's authority, and documents (or none) of its platform. */
void gate_open_tdx(struct gate *gate, const struct quote *quote,
                   const struct quote_documents *documents, struct attest_collateral *collateral);

#endif
