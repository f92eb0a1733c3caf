/* SPDX-License-Identifier: GPL-2.0-or-later */
/* attest: what the files of attestation share. */
#ifndef CORDON_CONFIDENTIAL_ATTEST_H
#define CORDON_CONFIDENTIAL_ATTEST_H

#include <openssl/x509.h>

#include "confidential/confidential.h"

enum {
	ATTEST_CERTS_MAX = 128,
	ATTEST_CRLS_MAX = 32,
	ATTEST_DOCUMENTS_MAX = 16,
	ATTEST_DOCUMENT_MAX = 1 << 20,
	ATTEST_CHAIN_MAX = 8,
};

/* One of Intel's JSON documents: the bytes that are signed, and the signature. */
struct attest_document {
	char *text; /* its own, terminated; only `size` of it is signed */
	size_t size;
	bool identity; /* a QE identity; else TCB info */
	uint8_t signature[64];
};

struct attest_collateral {
	X509 *certs[ATTEST_CERTS_MAX];
	size_t cert_count;
	X509_CRL *crls[ATTEST_CRLS_MAX];
	size_t crl_count;
	struct attest_document documents[ATTEST_DOCUMENTS_MAX];
	size_t document_count;
};

/* One run. */
struct attest {
	const struct attest_input *input;
	struct attest_verdict *verdict;
};

/* Adds a check. `why` is a printf format. Returns whether it passed. */
bool attest_check(struct attest *attest, const char *name, bool passed, const char *why, ...)
        __attribute__((format(printf, 4, 5)));
void attest_skip(struct attest *attest, const char *name, const char *why, ...)
        __attribute__((format(printf, 3, 4)));

/* The rest of a structure: what is taken off its front was there; NULL when it is not. */
struct attest_rest {
	const uint8_t *at;
	size_t left;
};
const uint8_t *attest_take(struct attest_rest *rest, size_t size);
/* A check of what was expected; none when nothing was. */
void attest_wanted(struct attest *attest, const char *name, const uint8_t *wanted,
                   const uint8_t *has, size_t size);

/*
 * Checks `migration`: a guest that another one may move elsewhere has no more secrets than that one, which its host
 * chooses, and no digest says so. It is accepted only where the policy that was asked for has the bit.
 */
void attest_migration(struct attest *attest, uint64_t policy, uint64_t bit);

/* --- attest_table.c: the table of certificates beside an SNP report --- */

struct attest_table {
	const uint8_t *bytes;
	size_t size, at;
};
/* Whether it is one, of which every entry is within it. */
bool attest_table_open(struct attest_table *table, const uint8_t *bytes, size_t size);
/* The next entry's content; false after the last. */
bool attest_table_next(struct attest_table *table, const uint8_t **content, size_t *size);

/* --- attest_x509.c --- */

/* A chain to a pinned root: certs[0] is the leaf, the last one the root. Not its own. */
struct attest_chain {
	X509 *certs[ATTEST_CHAIN_MAX];
	size_t count;
	const struct attest_root *root;
};
/*
 * Finds the chain of `leaf` through the collateral and `more` (which may be NULL), by signatures, to a root of
 * that kind. Time and revocation are not looked at. False: why says where it ends.
 */
bool attest_chain_find(const struct attest *attest, enum attest_kind kind, X509 *leaf,
                       const struct attest_collateral *more, struct attest_chain *chain,
                       char why[WHY_MAX]);
/* Checks `validity` and `revocation` of a chain, under these names. */
void attest_chain_times(struct attest *attest, const char *name, const struct attest_chain *chain);
void attest_chain_revoked(struct attest *attest, const char *name,
                          const struct attest_chain *chain);

/* The content of an extension by its dotted OID; NULL: none, or twice. */
const uint8_t *attest_extension(X509 *cert, const char *oid, size_t *size);
/* The common name; "" when there is none. */
void attest_common_name(const X509_NAME *name, char out[64]);

/* --- attest_snp.c, attest_tdx.c --- */
void attest_snp(struct attest *attest, const uint8_t *report, size_t size);
void attest_tdx(struct attest *attest);

/* --- attest_pcs.c: TCB levels --- */

struct attest_platform {
	uint8_t sgx_svn[16];
	uint32_t pce_svn;
	uint8_t fmspc[6], pce_id[2];
	uint8_t tee_svn[16];
	const uint8_t *seam_signer, *seam_attributes; /* 48, 8 */
	const uint8_t *qe_report;                     /* 384 */
};
void attest_pcs(struct attest *attest, const struct attest_platform *platform);
/* What the PCK says of its platform (attest_pck.c), in Intel's extension; false when anything of it is missing. */
bool attest_pck(X509 *pck, struct attest_platform *platform);
bool attest_pck_read(struct attest_rest extension, struct attest_platform *platform);
/* Splits {"tcbInfo": {...}, "signature": "..."}; false when it is not one. */
bool attest_document_parse(const char *text, size_t size, struct attest_document *document);

/* --- attest_ccel.c: replays the event log; false: why says what is wrong with it --- */
bool attest_ccel_replay(const uint8_t *log, size_t size, uint8_t rtmrs[4][48], char why[WHY_MAX]);

#endif
