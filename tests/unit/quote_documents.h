/* SPDX-License-Identifier: GPL-2.0-or-later */
/* quote_documents: TCB info and QE identities of quote_fixture's platform, as its authority signs them. */
#ifndef CORDON_TESTS_QUOTE_DOCUMENTS_H
#define CORDON_TESTS_QUOTE_DOCUMENTS_H

#include "tests/unit/quote_fixture.h"

struct quote_documents {
	const char *fmspc, *issued, *next;
	const char *status, *module, *qe; /* of the highest level */
	int svn, tdx, pce, module_svn, qe_svn;
	int tdx_first; /* the first number of TDX: of a module of version 0, and otherwise not compared */
};
/* A platform, and documents by which all of it is up to date, at 2025-01-01. */
extern const struct quote_options quote_plain;
extern const struct quote_documents quote_current;

/* The JSON of each; the caller's. */
char *quote_tcb_info(const struct quote_documents *document);
char *quote_qe_identity(const struct quote_documents *document);

enum { QUOTE_SPOIL_INFO = 1, QUOTE_SPOIL_QE = 2 };
/* Adds both, signed; `flags`: which one is changed afterwards. */
void quote_documents_add(const struct quote *quote, struct attest_collateral *collateral,
                         const struct quote_documents *document, unsigned int flags);
/* CRLs of the root and of the intermediate authority, which list nothing. */
void quote_lists(const struct quote *quote, struct attest_collateral *collateral);

#endif
