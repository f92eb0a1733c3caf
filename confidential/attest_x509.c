// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * attest_x509: chains of certificates to roots that are pinned here by their keys. OpenSSL checks signatures,
 * constraints and names; times and CRLs are checked apart from that, so that a verdict can name them.
 */
#include <openssl/x509v3.h>

#include "base/base.h"
#include "confidential/attest.h"
#include "confidential/hash.h"

/* SHA-256 of the keys of AMD's and Intel's roots. */
static const struct attest_root attest_roots[] = {
        {ATTEST_SNP, "Milan", {0x9f, 0x05, 0x6b, 0xee, 0x44, 0x37, 0x7e, 0x29, 0x30, 0x8c, 0xb5,
                               0xff, 0xa8, 0x95, 0xbd, 0xfb, 0x62, 0xd1, 0x88, 0x81, 0xfa, 0x6b,
                               0xed, 0x8d, 0x6f, 0x07, 0x5b, 0x02, 0x04, 0x08, 0x9c, 0xb9}},
        {ATTEST_SNP, "Genoa", {0x42, 0x9a, 0x69, 0xc9, 0x42, 0x2a, 0xa2, 0x58, 0xee, 0x4d, 0x8d,
                               0xb5, 0xfc, 0xda, 0x9c, 0x64, 0x70, 0xef, 0x15, 0xf8, 0xcd, 0x5a,
                               0x9c, 0xeb, 0xd6, 0xcb, 0xc7, 0xd9, 0x0b, 0x86, 0x38, 0x31}},
        {ATTEST_SNP, "Turin", {0x4f, 0x12, 0x54, 0x10, 0x56, 0x3a, 0x2a, 0xb9, 0xa5, 0x03, 0x56,
                               0xf9, 0x24, 0x3f, 0x6f, 0xe0, 0xb6, 0xf7, 0x3d, 0xe9, 0x86, 0x03,
                               0xf5, 0x3f, 0x90, 0x33, 0x9c, 0x70, 0xe9, 0xd7, 0xad, 0x08}},
        {ATTEST_TDX, "Intel SGX", {0xa0, 0xaf, 0x03, 0x12, 0x89, 0xf5, 0xd5, 0xd4, 0x13, 0x2f, 0x91,
                                   0x86, 0x06, 0x8a, 0x7f, 0xc1, 0x36, 0x28, 0x63, 0x3b, 0xa2, 0x35,
                                   0x77, 0x74, 0x72, 0xe2, 0x9b, 0x6b, 0x6c, 0x67, 0xa4, 0x9e}},
};

static void x509_free_store(X509_STORE **store)
{
	X509_STORE_free(*store);
}
static void x509_free_context(X509_STORE_CTX **context)
{
	X509_STORE_CTX_free(*context);
}
static void x509_free_stack(STACK_OF(X509) * *stack)
{
	sk_X509_free(*stack);
}

void attest_common_name(const X509_NAME *name, char out[64])
{
	out[0] = '\0';
	X509_NAME_get_text_by_NID((X509_NAME *)(uintptr_t)name, NID_commonName, out, 64);
	/* it goes into a sentence */
	for (char *at = out; *at; at++)
		if (*at < ' ' || *at > '~')
			*at = '?';
}

/* The pinned root that this certificate is, or NULL. */
static const struct attest_root *x509_root(const struct attest *attest, enum attest_kind kind,
                                           X509 *cert)
{
	const struct attest_root *roots = attest->input->roots;
	size_t count = attest->input->root_count;
	const struct attest_root *found = NULL;
	unsigned char *spki = NULL;
	uint8_t digest[32];
	int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &spki);

	if (!roots) {
		roots = attest_roots;
		count = BASE_COUNT(attest_roots);
	}
	if (size > 0 && hash_once(HASH_SHA256, spki, (size_t)size, digest) == 0)
		for (size_t i = 0; i < count && !found; i++)
			if (roots[i].kind == kind &&
			    memcmp(roots[i].spki, digest, sizeof(digest)) == 0)
				found = &roots[i];
	OPENSSL_free(spki);
	return found;
}

/* Every certificate is somewhere to go on; those that are a pinned root are where to end. */
static void x509_sort(const struct attest *attest, enum attest_kind kind,
                      const struct attest_collateral *from, X509_STORE *roots,
                      STACK_OF(X509) * others, size_t *trusted)
{
	for (size_t i = 0; from && i < from->cert_count; i++)
		if (x509_root(attest, kind, from->certs[i]))
			*trusted += X509_STORE_add_cert(roots, from->certs[i]) == 1;
		else
			sk_X509_push(others, from->certs[i]);
}

bool attest_chain_find(const struct attest *attest, enum attest_kind kind, X509 *leaf,
                       const struct attest_collateral *more, struct attest_chain *chain,
                       char why[WHY_MAX])
{
	BASE_CLEANUP(x509_free_store) X509_STORE *roots = X509_STORE_new();
	BASE_CLEANUP(x509_free_context) X509_STORE_CTX *context = X509_STORE_CTX_new();
	BASE_CLEANUP(x509_free_stack) STACK_OF(X509) *others = sk_X509_new_null();
	STACK_OF(X509) * built;
	size_t trusted = 0;
	char name[64];

	*chain = (struct attest_chain){0};
	why_set(why, 0, "no memory");
	if (!roots || !context || !others)
		return false;
	x509_sort(attest, kind, attest->input->collateral, roots, others, &trusted);
	x509_sort(attest, kind, more, roots, others, &trusted);
	if (trusted == 0) {
		why_set(why, 0, "there is no certificate of a root that is pinned");
		return false;
	}
	if (X509_STORE_CTX_init(context, roots, leaf, others) != 1)
		return false;
	/* a root is pinned by its key, so that key has to have signed all that the certificate says */
	X509_STORE_CTX_set_flags(context,
	                         X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_CHECK_SS_SIGNATURE);
	X509_VERIFY_PARAM_set_depth(X509_STORE_CTX_get0_param(context), ATTEST_CHAIN_MAX - 2);
	if (X509_verify_cert(context) != 1) {
		X509 *at = X509_STORE_CTX_get_current_cert(context);

		attest_common_name(X509_get_subject_name(at ? at : leaf), name);
		why_set(why, 0, "at '%s': %s", name,
		        X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)));
		return false;
	}
	built = X509_STORE_CTX_get0_chain(context);
	for (int i = 0; i < sk_X509_num(built) && i < ATTEST_CHAIN_MAX; i++)
		chain->certs[chain->count++] = sk_X509_value(built, i);
	/* the collateral keeps them; the context's own references go */
	chain->root = x509_root(attest, kind, chain->certs[chain->count - 1]);
	if (!chain->root || chain->count < 2) {
		why_set(why, 0, "the chain does not end at a root that is pinned");
		return false;
	}
	attest_common_name(X509_get_subject_name(chain->certs[chain->count - 1]), name);
	why_set(why, 0, "%zu certificates to '%s'", chain->count, name);
	return true;
}

/* --- time --- */

static void x509_time(const ASN1_TIME *time, char out[32])
{
	struct tm parts;

	if (!time || ASN1_TIME_to_tm(time, &parts) != 1 ||
	    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
		snprintf(out, 32, "no time");
}

/* -1 `time` is before `at`, 1 after or the same, 0 not a time. */
static int x509_compare(const ASN1_TIME *time, int64_t at)
{
	time_t when = (time_t)at;

	return X509_cmp_time(time, &when);
}

void attest_chain_times(struct attest *attest, const char *name, const struct attest_chain *chain)
{
	for (size_t i = 0; i < chain->count; i++) {
		const ASN1_TIME *from = X509_get0_notBefore(chain->certs[i]);
		const ASN1_TIME *to = X509_get0_notAfter(chain->certs[i]);
		char subject[64], begin[32], end[32];
		int late = x509_compare(to, attest->input->at);
		int early = x509_compare(from, attest->input->at);

		if (early == -1 && late == 1)
			continue;
		attest_common_name(X509_get_subject_name(chain->certs[i]), subject);
		x509_time(from, begin);
		x509_time(to, end);
		attest_check(attest, name, false, "'%s' is %s: it is valid from %s to %s", subject,
		             early == 1   ? "not valid yet"
		             : late == -1 ? "expired"
		                          : "without a time",
		             begin, end);
		return;
	}
	attest_check(attest, name, true, "all %zu certificates are valid", chain->count);
}

/* --- revocation --- */

enum x509_crl { X509_CRL_CURRENT, X509_CRL_STALE, X509_CRL_BAD };

/* What a CRL of this issuer is worth for this certificate; `why` of those that are not current. */
static enum x509_crl x509_crl(X509_CRL *crl, X509 *issuer, X509 *cert, int64_t at,
                              char why[WHY_MAX])
{
	EVP_PKEY *key = X509_get0_pubkey(issuer);
	const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
	X509_REVOKED *revoked = NULL;
	char subject[64], end[32];

	attest_common_name(X509_get_subject_name(issuer), subject);
	if (!key || X509_CRL_verify(crl, key) != 1)
		return (enum x509_crl)why_set(why, X509_CRL_BAD,
		                              "the signature of the CRL of '%s' is wrong", subject);
	/* a delta or one of some certificates only (RFC 5280, 5.2.4 and 5.2.5) does not say that others are good */
	if (X509_CRL_get_ext_by_critical(crl, 1, -1) >= 0)
		return (enum x509_crl)why_set(why, X509_CRL_BAD,
		                              "the CRL of '%s' is not of all that it has issued",
		                              subject);
	if (X509_CRL_get0_by_cert(crl, &revoked, cert) != 0) {
		attest_common_name(X509_get_subject_name(cert), subject);
		return (enum x509_crl)why_set(why, X509_CRL_BAD, "'%s' is revoked", subject);
	}
	if (x509_compare(X509_CRL_get0_lastUpdate(crl), at) != -1)
		return (enum x509_crl)why_set(why, X509_CRL_STALE,
		                              "the CRL of '%s' is not valid yet", subject);
	if (next && x509_compare(next, at) == 1)
		return X509_CRL_CURRENT;
	x509_time(next, end);
	return (enum x509_crl)why_set(why, X509_CRL_STALE, "the CRL of '%s' is stale since %s",
	                              subject, end);
}

/* Whether one CRL of its issuer is current and none lists it; *given: there is any. False: `why`. */
static bool x509_not_revoked(const struct attest *attest, X509 *cert, X509 *issuer, bool *given,
                             char why[WHY_MAX])
{
	const struct attest_collateral *collateral = attest->input->collateral;
	bool current = false;

	*given = false;
	for (size_t i = 0; i < collateral->crl_count; i++) {
		X509_CRL *crl = collateral->crls[i];
		enum x509_crl worth;

		if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(issuer)) != 0)
			continue;
		*given = true;
		worth = x509_crl(crl, issuer, cert, attest->input->at, why);
		if (worth == X509_CRL_BAD)
			return false;
		current |= worth == X509_CRL_CURRENT;
	}
	return current || !*given;
}

/*
 * Whether nobody makes a CRL of this issuer: AMD's are its roots' and list ASKs and ASVKs; what an ASK has signed for
 * a chip says of no CRL (RFC 5280, 4.2.1.13), and goes when the ASK goes.
 */
static bool x509_without_crl(const struct attest_chain *chain, size_t i)
{
	return i == 0 && chain->count > 2 && chain->root->kind == ATTEST_SNP &&
	       X509_get_ext_by_NID(chain->certs[i], NID_crl_distribution_points, -1) < 0;
}

void attest_chain_revoked(struct attest *attest, const char *name, const struct attest_chain *chain)
{
	size_t without = 0;
	char why[WHY_MAX], subject[64] = "";

	for (size_t i = 0; i + 1 < chain->count; i++) {
		X509 *issuer = chain->certs[i + 1];
		bool given;

		if (!x509_not_revoked(attest, chain->certs[i], issuer, &given, why)) {
			attest_check(attest, name, false, "%s", why);
			return;
		}
		if (!given && !x509_without_crl(chain, i) && without++ == 0)
			attest_common_name(X509_get_subject_name(issuer), subject);
	}
	if (without == 0)
		attest_check(attest, name, true, "no certificate of the chain is revoked");
	else
		attest_skip(attest, name, "there is no CRL of '%s'%s", subject,
		            without > 1 ? ", nor of those above it" : "");
}

/* --- extensions --- */

const uint8_t *attest_extension(X509 *cert, const char *oid, size_t *size)
{
	ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
	int index = object ? X509_get_ext_by_OBJ(cert, object, -1) : -1;
	bool twice = index >= 0 && X509_get_ext_by_OBJ(cert, object, index) >= 0;
	const ASN1_OCTET_STRING *content;

	ASN1_OBJECT_free(object);
	if (index < 0 || twice)
		return NULL;
	content = X509_EXTENSION_get_data(X509_get_ext(cert, index));
	*size = (size_t)ASN1_STRING_length(content);
	return ASN1_STRING_get0_data(content);
}
