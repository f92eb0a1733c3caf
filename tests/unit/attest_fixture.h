/* SPDX-License-Identifier: GPL-2.0-or-later */
/* attest_fixture: published samples, and an authority of the test's own where there is none. */
#ifndef CORDON_TESTS_ATTEST_FIXTURE_H
#define CORDON_TESTS_ATTEST_FIXTURE_H

#include <openssl/x509.h>

#include "confidential/confidential.h"

/* A file of tests/attest; the caller frees it. Ends the test when there is none. */
uint8_t *attest_file(const char *name, size_t *size);
void attest_free(struct attest_collateral **collateral);
#define ATTEST_AUTO_COLLATERAL __attribute__((cleanup(attest_free))) struct attest_collateral
/* Adds files of tests/attest, up to a NULL. */
struct attest_collateral *attest_files(const char *const *names);
/* Unix time of "2026-01-31". */
int64_t attest_day(const char *day);
/* What came of the check of that name: a status, or -1 when it was not made. */
int attest_status(const struct attest_verdict *verdict, const char *name);
/* Fails unless exactly these checks have failed (names with spaces between). */
void attest_expect(const struct attest_verdict *verdict, const char *failed);

/* --- certificates of the test's own --- */

struct attest_issue {
	const char *name; /* the common name */
	EVP_PKEY *key;
	X509 *issuer; /* NULL: itself */
	bool ca;
	long serial;
	const char *from, *to; /* days */
};
/* A certificate that is not signed yet; the caller's. */
X509 *attest_issue(const struct attest_issue *issue);
void attest_issue_extension(X509 *cert, const char *oid, const uint8_t *bytes, size_t size);
/* Adds a certificate, in DER. */
void attest_issue_add(struct attest_collateral *collateral, X509 *cert);
/* Pins its key: SHA-256 of the SubjectPublicKeyInfo. */
void attest_issue_pin(X509 *cert, uint8_t spki[32]);
/* Adds a CRL by `issuer`, signed by `signer`, that lists `revoked` (NULL: nothing). `delta`: it says that it is one. */
void attest_issue_crl(struct attest_collateral *collateral, X509 *issuer, EVP_PKEY *signer,
                      X509 *revoked, bool delta, const char *from, const char *to);
/* An ECDSA signature as two numbers of `width` bytes, big-endian; SHA-256 for 32, SHA-384 for 48. */
void attest_issue_sign(EVP_PKEY *key, size_t width, const void *bytes, size_t size, uint8_t *out);

/* --- an authority: root, intermediate and leaf of curve P-384, as AMD names them --- */

struct authority {
	EVP_PKEY *keys[3]; /* of root, intermediate, leaf */
	X509 *certs[3];
	struct attest_root root;
};
struct authority_options {
	const char *product; /* "Milan" */
	const char *named;   /* the leaf's extension */
	bool vlek;
	const char *issuer;  /* of the leaf; NULL: as its kind and product have it */
	const uint8_t *chip; /* chip id in the leaf; NULL: none */
	size_t chip_size;
	bool names_crl;        /* the leaf says where its issuer's CRL is; AMD's do not */
	uint8_t svns[10];      /* 1.3.N of the leaf, by N */
	const char *from, *to; /* days */
};
void authority_open(struct authority *authority, const struct authority_options *options);
void authority_close(struct authority *authority);
/* Adds its certificates. */
void authority_add(const struct authority *authority, struct attest_collateral *collateral);
/* Adds a CRL by certs[issuer], signed by keys[signer], that lists certs[revoked] (-1: nothing). */
void authority_crl(const struct authority *authority, struct attest_collateral *collateral,
                   int issuer, int signer, int revoked, const char *from, const char *to);
/* Signs a report with the leaf's key. */
void authority_sign(const struct authority *authority, uint8_t report[1184]);

#endif
