/* SPDX-License-Identifier: GPL-2.0-or-later */
/* quote_fixture: see quote_fixture.h. The layouts are written down here once more, so that a wrong one shows. */
#include "tests/unit/quote_fixture.h"

#include <check.h>
#include <openssl/core_names.h>
#include <openssl/pem.h>

#include "base/base.h"

/* --- the PCK's extension --- */

struct der {
	uint8_t bytes[QUOTE_PCK_SIZE];
	size_t size;
};

static void der_put(struct der *der, uint8_t tag, const void *bytes, size_t size)
{
	der->bytes[der->size++] = tag;
	if (size >= 0x80) {
		der->bytes[der->size++] = 0x82;
		der->bytes[der->size++] = (uint8_t)(size >> 8);
	}
	der->bytes[der->size++] = (uint8_t)size;
	memcpy(der->bytes + der->size, bytes, size);
	der->size += size;
}

/* SEQUENCE {1.2.840.113741.1.13.1.`parts`, value} */
static void der_pair(struct der *to, const uint8_t *parts, size_t count, uint8_t tag,
                     const void *value, size_t size)
{
	uint8_t oid[16] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};
	struct der pair = {.size = 0};

	memcpy(oid + 9, parts, count);
	der_put(&pair, 0x06, oid, 9 + count);
	der_put(&pair, tag, value, size);
	der_put(to, 0x30, pair.bytes, pair.size);
}

static void pck_extension(X509 *cert, const struct quote_options *options)
{
	static const uint8_t ppid[16], pce_id[2], fmspc[6] = {0x50, 0x80, 0x6f, 0, 0, 0};
	struct der tcb = {.size = 0}, list = {.size = 0}, all = {.size = 0};
	const uint8_t pce[3] = {0, (uint8_t)(options->pce_svn >> 8), (uint8_t)options->pce_svn};

	for (uint8_t i = 1; i <= 16; i++) {
		const uint8_t svn[2] = {0, options->svns[i - 1]};

		der_pair(&tcb, (const uint8_t[]){2, i}, 2, 0x02, svn, 2);
	}
	der_pair(&tcb, (const uint8_t[]){2, 17}, 2, 0x02, pce, 3);
	der_pair(&tcb, (const uint8_t[]){2, 18}, 2, 0x04, options->svns, 16);
	der_pair(&list, (const uint8_t[]){1}, 1, 0x04, ppid, sizeof(ppid));
	if (options->without != 2)
		der_pair(&list, (const uint8_t[]){2}, 1, 0x30, tcb.bytes, tcb.size);
	if (options->without != 3)
		der_pair(&list, (const uint8_t[]){3}, 1, 0x04, pce_id, sizeof(pce_id));
	for (int i = 0; i < (options->without == 4 ? 0 : 1 + options->twice); i++)
		der_pair(&list, (const uint8_t[]){4}, 1, 0x04, fmspc, sizeof(fmspc));
	der_put(&all, 0x30, list.bytes, list.size);
	attest_issue_extension(cert, "1.2.840.113741.1.13.1", all.bytes, all.size);
}

/* --- the quote --- */

static void quote_certify(struct quote *quote, const struct quote_options *options)
{
	static const struct {
		const char *name;
		enum quote_who issuer;
		bool ca;
	} who[QUOTE_KEYS] = {
	        {"Intel SGX Root CA", QUOTE_ROOT, true},
	        {"Intel SGX PCK Platform CA", QUOTE_ROOT, true},
	        {"Intel SGX PCK Certificate", QUOTE_CA, false},
	        {"Intel SGX TCB Signing", QUOTE_ROOT, false},
	};

	for (int i = 0; i < QUOTE_KEYS; i++) {
		const bool pck = i == QUOTE_PCK;

		quote->keys[i] = EVP_EC_gen("P-256");
		quote->certs[i] = attest_issue(&(struct attest_issue){
		        .name = who[i].name,
		        .key = quote->keys[i],
		        .issuer = i == QUOTE_ROOT ? NULL : quote->certs[who[i].issuer],
		        .ca = who[i].ca,
		        .serial = 200 + i,
		        .from = pck && options->from ? options->from : "2024-01-01",
		        .to = pck && options->to ? options->to : "2030-01-01"});
		if (pck)
			pck_extension(quote->certs[i], options);
		ck_assert_int_gt(
		        X509_sign(quote->certs[i], quote->keys[who[i].issuer], EVP_sha256()), 0);
	}
	quote->root = (struct attest_root){.kind = ATTEST_TDX, .product = "Test SGX"};
	attest_issue_pin(quote->certs[QUOTE_ROOT], quote->root.spki);
}

void quote_open(struct quote *quote, uint16_t version, const struct quote_options *options)
{
	static const uint8_t vendor[16] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
	                                   0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};
	static const uint8_t signer[32] = {0xdc, 0x9e, 0x2a, 0x7c, 0x6f, 0x94, 0x8f, 0x17,
	                                   0x47, 0x4e, 0x34, 0xa7, 0xfc, 0x43, 0xed, 0x03,
	                                   0x0f, 0x7c, 0x15, 0x63, 0xf1, 0xba, 0xbd, 0xdf,
	                                   0x63, 0x40, 0xc8, 0x2e, 0x0e, 0x54, 0xa8, 0xc5};

	memset(quote, 0, sizeof(*quote));
	quote->version = version;
	quote->auth_size = 32;
	quote->attestation = EVP_EC_gen("P-256");
	quote_certify(quote, options);
	quote->header[0] = (uint8_t)version;
	quote->header[2] = 2;
	quote->header[4] = 0x81;
	memcpy(quote->header + 12, vendor, sizeof(vendor));
	quote->body[QUOTE_ATTRIBUTES + 3] = 0x10; /* SEPT_VE_DISABLE */
	memset(quote->body + QUOTE_MRTD, 0xaa, 48);
	memset(quote->body + QUOTE_REPORT_DATA, 0xbb, 64);
	/* TDX module 1.5 with SVN 5, and 7 of SEAMLDR */
	memcpy(quote->body, (const uint8_t[]){5, version == 5 ? 1 : 0, 7}, 3);
	quote->qe[48] = 0x11;
	memcpy(quote->qe + 128, signer, sizeof(signer));
	quote->qe[256] = 2;
	quote->qe[258] = 4;
}

void quote_close(struct quote *quote)
{
	for (int i = 0; i < QUOTE_KEYS; i++) {
		X509_free(quote->certs[i]);
		EVP_PKEY_free(quote->keys[i]);
	}
	EVP_PKEY_free(quote->attestation);
}

static void quote_put(struct quote *quote, const void *bytes, size_t size)
{
	ck_assert_uint_le(size, sizeof(quote->bytes) - quote->size);
	memcpy(quote->bytes + quote->size, bytes, size);
	quote->size += size;
}

static void quote_number(struct quote *quote, size_t number, size_t size)
{
	uint8_t bytes[4] = {(uint8_t)number, (uint8_t)(number >> 8), (uint8_t)(number >> 16), 0};

	quote_put(quote, bytes, size);
}

/* The key's point, without what says that it is not compressed. */
static void quote_point(EVP_PKEY *key, uint8_t point[64])
{
	uint8_t all[65];
	size_t size;

	ck_assert_int_eq(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, all,
	                                                 sizeof(all), &size),
	                 1);
	ck_assert_uint_eq(size, sizeof(all));
	memcpy(point, all + 1, 64);
}

static BIO *quote_pem(const struct quote *quote)
{
	BIO *bio = BIO_new(BIO_s_mem());

	PEM_write_bio_X509(bio, quote->certs[QUOTE_PCK]);
	PEM_write_bio_X509(bio, quote->certs[QUOTE_CA]);
	PEM_write_bio_X509(bio, quote->certs[QUOTE_ROOT]);
	return bio;
}

void quote_make(struct quote *quote)
{
	uint8_t auth[256] = {1, 2, 3}, point[64], bound[64 + sizeof(auth)], signature[64];
	BIO *bio = quote_pem(quote);
	char *pem;
	const size_t pem_size = (size_t)BIO_get_mem_data(bio, &pem);
	const size_t qe_size = QUOTE_QE + 64 + 2 + quote->auth_size + 6 + pem_size;

	quote->size = 0;
	quote_put(quote, quote->header, sizeof(quote->header));
	if (quote->version == 5) {
		quote_number(quote, 3, 2);
		quote_number(quote, 648, 4);
	}
	quote_put(quote, quote->body, quote->version == 5 ? 648 : 584);
	quote->signed_size = quote->size;
	attest_issue_sign(quote->attestation, 32, quote->bytes, quote->size, signature);
	quote_number(quote, 64 + 64 + 6 + qe_size, 4);
	quote_put(quote, signature, 64);
	quote_point(quote->attestation, point);
	quote_put(quote, point, 64);
	quote_number(quote, 6, 2);
	quote_number(quote, qe_size, 4);
	memcpy(bound, point, 64);
	memcpy(bound + 64, auth, quote->auth_size);
	ck_assert_int_eq(EVP_Digest(bound, 64u + quote->auth_size, quote->qe + 320, NULL,
	                            EVP_sha256(), NULL),
	                 1);
	attest_issue_sign(quote->keys[QUOTE_PCK], 32, quote->qe, QUOTE_QE, signature);
	quote_put(quote, quote->qe, QUOTE_QE);
	quote_put(quote, signature, 64);
	quote_number(quote, quote->auth_size, 2);
	quote_put(quote, auth, quote->auth_size);
	quote_number(quote, 5, 2);
	quote_number(quote, pem_size, 4);
	quote->pem = quote->size;
	quote_put(quote, pem, pem_size);
	BIO_free(bio);
}

/* --- documents --- */

void quote_document(const struct quote *quote, struct attest_collateral *collateral,
                    const char *kind, const char *inner, bool spoil)
{
	BASE_AUTO_FREE char *text = NULL;
	uint8_t signature[64];
	char hex[129];
	int size;

	attest_issue_sign(quote->keys[QUOTE_SIGNER], 32, inner, strlen(inner), signature);
	for (size_t i = 0; i < sizeof(signature); i++)
		snprintf(hex + 2 * i, 3, "%02x", signature[i]);
	size = asprintf(&text, "{\"%s\":%s,\"signature\":\"%s\"}", kind, inner, hex);
	ck_assert_int_gt(size, 0);
	/* a space is one, wherever it is */
	if (spoil)
		*strchr(text + 5, ' ') = '\t';
	ck_assert_int_eq(attest_collateral_add(collateral, text, (size_t)size), 1);
}
