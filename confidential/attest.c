// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * attest: evidence in, a verdict out: each check with its name, what came of it, and what was found. Nothing
 * ends early because one check failed, except that what cannot be read is not looked into.
 *
 * A check is skipped when what it needs was not given (a CRL, TCB info); it is listed as that, and the
 * verdict stands and names it, unless `strict` says that it may not.
 */
#include "confidential/attest.h"

#include <ctype.h>
#include <openssl/pem.h>
#include <stdarg.h>

#include "base/base.h"
#include "confidential/bytes.h"

enum { ATTEST_SNP_SIZE = 1184, ATTEST_HEX_SLACK = 2 };

__attribute__((format(printf, 4, 0))) static void attest_add(struct attest *attest,
                                                             const char *name,
                                                             enum attest_status status,
                                                             const char *why, va_list list)
{
	struct attest_verdict *verdict = attest->verdict;
	struct attest_check *check = &verdict->checks[verdict->count];

	/* what is not listed must not be accepted */
	if (verdict->count == ATTEST_CHECKS_MAX) {
		verdict->accepted = false;
		return;
	}
	verdict->count++;
	check->name = name;
	check->status = status;
	vsnprintf(check->why, sizeof(check->why), why, list);
	if (status == ATTEST_FAILED || (status == ATTEST_SKIPPED && attest->input->strict))
		verdict->accepted = false;
}

bool attest_check(struct attest *attest, const char *name, bool passed, const char *why, ...)
{
	va_list list;

	va_start(list, why);
	attest_add(attest, name, passed ? ATTEST_PASSED : ATTEST_FAILED, why, list);
	va_end(list);
	return passed;
}

void attest_skip(struct attest *attest, const char *name, const char *why, ...)
{
	va_list list;

	va_start(list, why);
	attest_add(attest, name, ATTEST_SKIPPED, why, list);
	va_end(list);
}

const uint8_t *attest_take(struct attest_rest *rest, size_t size)
{
	const uint8_t *at = rest->at;

	if (size > rest->left)
		return NULL;
	rest->at += size;
	rest->left -= size;
	return at;
}

void attest_wanted(struct attest *attest, const char *name, const uint8_t *wanted,
                   const uint8_t *has, size_t size)
{
	const bool same = wanted && memcmp(wanted, has, size) == 0;

	if (wanted)
		attest_check(attest, name, same, "it is%s what was expected", same ? "" : " not");
}

void attest_migration(struct attest *attest, uint64_t policy, uint64_t bit)
{
	const uint64_t *wanted = attest->input->policy;

	attest_check(attest, "migration", !(policy & bit) || (wanted && *wanted & bit),
	             policy & bit ? "0x%llx lets somebody whom its host chooses take the guest over"
	                          : "0x%llx lets nobody move the guest",
	             (unsigned long long)policy);
}

/* --- collateral --- */

struct attest_collateral *attest_collateral_new(void)
{
	return calloc(1, sizeof(struct attest_collateral));
}

void attest_collateral_free(struct attest_collateral *collateral)
{
	if (!collateral)
		return;
	for (size_t i = 0; i < collateral->cert_count; i++)
		X509_free(collateral->certs[i]);
	for (size_t i = 0; i < collateral->crl_count; i++)
		X509_CRL_free(collateral->crls[i]);
	for (size_t i = 0; i < collateral->document_count; i++)
		free(collateral->documents[i].text);
	free(collateral);
}

/* DER is all of what is there, or it is not DER: what followed would be signed by nobody. */
static int attest_add_cert(struct attest_collateral *collateral, const uint8_t *der, size_t size)
{
	const unsigned char *at = der;
	X509 *cert = d2i_X509(NULL, &at, (long)size);

	if (!cert || at != der + size) {
		X509_free(cert);
		return 0;
	}
	if (collateral->cert_count == ATTEST_CERTS_MAX) {
		X509_free(cert);
		return -ENOSPC;
	}
	collateral->certs[collateral->cert_count++] = cert;
	return 1;
}

static int attest_add_crl(struct attest_collateral *collateral, const uint8_t *der, size_t size)
{
	const unsigned char *at = der;
	X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)size);

	if (!crl || at != der + size) {
		X509_CRL_free(crl);
		return 0;
	}
	if (collateral->crl_count == ATTEST_CRLS_MAX) {
		X509_CRL_free(crl);
		return -ENOSPC;
	}
	collateral->crls[collateral->crl_count++] = crl;
	return 1;
}

static int attest_add_pem(struct attest_collateral *collateral, const uint8_t *bytes, size_t size)
{
	BIO *bio = BIO_new_mem_buf(bytes, (int)size);
	char *name = NULL, *header = NULL;
	unsigned char *data = NULL;
	int added = 0, one = 0;
	long length;

	while (bio && one >= 0 && PEM_read_bio(bio, &name, &header, &data, &length) == 1) {
		one = 0;
		if (strcmp(name, PEM_STRING_X509) == 0)
			one = attest_add_cert(collateral, data, (size_t)length);
		else if (strcmp(name, PEM_STRING_X509_CRL) == 0)
			one = attest_add_crl(collateral, data, (size_t)length);
		added += BASE_MAX(one, 0);
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(data);
	}
	BIO_free(bio);
	return one < 0 ? one : added > 0;
}

static int attest_add_document(struct attest_collateral *collateral, const char *text, size_t size)
{
	struct attest_document document;

	if (!attest_document_parse(text, size, &document))
		return 0;
	if (collateral->document_count == ATTEST_DOCUMENTS_MAX) {
		free(document.text);
		return -ENOSPC;
	}
	collateral->documents[collateral->document_count++] = document;
	return 1;
}

static int attest_add_der(struct attest_collateral *collateral, const uint8_t *bytes, size_t size)
{
	int added = attest_add_cert(collateral, bytes, size);

	return added ? added : attest_add_crl(collateral, bytes, size);
}

static int attest_add_table(struct attest_collateral *collateral, struct attest_table *table)
{
	const uint8_t *content;
	size_t size;
	int one = 0;

	while (one >= 0 && attest_table_next(table, &content, &size))
		one = attest_add_der(collateral, content, size);
	return one < 0 ? one : 1;
}

int attest_collateral_add(struct attest_collateral *collateral, const void *bytes, size_t size)
{
	static const char pem[] = "-----BEGIN ";
	struct attest_table table;

	if (size == 0 || size > ATTEST_DOCUMENT_MAX)
		return 0;
	if (*(const uint8_t *)bytes == '{')
		return attest_add_document(collateral, bytes, size);
	if (memmem(bytes, size, pem, sizeof(pem) - 1))
		return attest_add_pem(collateral, bytes, size);
	if (attest_table_open(&table, bytes, size))
		return attest_add_table(collateral, &table);
	return attest_add_der(collateral, bytes, size);
}

/* --- the evidence --- */

/* How many hexadecimal digits are at the front. */
static size_t attest_digits(const uint8_t *text, size_t size)
{
	size_t count = 0;

	while (count < size && isxdigit(text[count]))
		count++;
	return count;
}

/* A report that tools have printed: two digits a byte, and a line's end at most. False: said what it is instead. */
static bool attest_from_hex(struct attest *attest, const uint8_t *text, size_t size,
                            uint8_t report[ATTEST_SNP_SIZE])
{
	const size_t expected = 2 * (size_t)ATTEST_SNP_SIZE, digits = attest_digits(text, size);
	size_t end = size;

	while (end > digits && size - end < ATTEST_HEX_SLACK && isspace(text[end - 1]))
		end--;
	if (digits < end && digits < expected)
		return attest_check(attest, "format", false,
		                    "the report's text has no hexadecimal digit at %zu", digits);
	if (digits != expected || digits < end)
		return attest_check(attest, "length", false,
		                    "the report is %zu hexadecimal digits long, where %zu were "
		                    "expected: it is %s",
		                    digits, expected,
		                    digits < expected ? "truncated" : "followed by something");
	return bytes_from_hex((const char *)text, report, ATTEST_SNP_SIZE);
}

void attest_verify(const struct attest_input *input, struct attest_verdict *verdict)
{
	struct attest attest = {.input = input, .verdict = verdict};
	uint8_t report[ATTEST_SNP_SIZE];

	*verdict = (struct attest_verdict){.accepted = true, .kind = ATTEST_SNP};
	/* a version is not so large that its four bytes were digits */
	if (attest_digits(input->report, BASE_MIN(input->size, (size_t)4)) == 4) {
		if (attest_from_hex(&attest, input->report, input->size, report))
			attest_snp(&attest, report, sizeof(report));
	}
	/* the second 16 bits are of the version there, and the type of a quote's key here */
	else if (input->size >= 4 && base_le16(input->report + 2) == 0)
		attest_snp(&attest, input->report, input->size);
	else
		attest_tdx(&attest);
	if (input->kind && verdict->read)
		attest_check(&attest, "type", verdict->kind == *input->kind, "it is %s",
		             verdict->kind == ATTEST_SNP ? "an SEV-SNP report" : "a TDX quote");
	/* nothing was looked at, so nothing is accepted */
	if (verdict->count == 0)
		verdict->accepted = false;
}
