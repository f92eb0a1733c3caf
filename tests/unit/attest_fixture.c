/* SPDX-License-Identifier: GPL-2.0-or-later */
/* attest_fixture: see attest_fixture.h. */
#include "tests/unit/attest_fixture.h"

#include <check.h>
#include <fcntl.h>
#include <openssl/ec.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <time.h>

#include "base/base.h"

uint8_t *attest_file(const char *name, size_t *size)
{
	char path[512];
	struct stat facts;
	uint8_t *bytes;

	snprintf(path, sizeof(path), "%s/%s", ATTEST_DIR, name);
	BASE_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_msg(fd >= 0 && fstat(fd, &facts) == 0, "cannot open %s", path);
	*size = (size_t)facts.st_size;
	bytes = malloc(*size);
	ck_assert(bytes && base_read_at(fd, bytes, *size, 0) == 0);
	return bytes;
}

void attest_free(struct attest_collateral **collateral)
{
	attest_collateral_free(*collateral);
}

struct attest_collateral *attest_files(const char *const *names)
{
	struct attest_collateral *collateral = attest_collateral_new();

	ck_assert_ptr_nonnull(collateral);
	for (; *names; names++) {
		size_t size;
		BASE_AUTO_FREE uint8_t *bytes = attest_file(*names, &size);

		ck_assert_msg(attest_collateral_add(collateral, bytes, size) == 1,
		              "%s is not collateral", *names);
	}
	return collateral;
}

int64_t attest_day(const char *day)
{
	struct tm parts = {0};

	ck_assert_ptr_nonnull(strptime(day, "%Y-%m-%d", &parts));
	return timegm(&parts);
}

int attest_status(const struct attest_verdict *verdict, const char *name)
{
	for (size_t i = 0; i < verdict->count; i++)
		if (strcmp(verdict->checks[i].name, name) == 0)
			return verdict->checks[i].status;
	return -1;
}

void attest_expect(const struct attest_verdict *verdict, const char *failed)
{
	char has[512] = "";

	for (size_t i = 0; i < verdict->count; i++)
		if (verdict->checks[i].status == ATTEST_FAILED)
			snprintf(has + strlen(has), sizeof(has) - strlen(has), "%s%s",
			         *has ? " " : "", verdict->checks[i].name);
	ck_assert_str_eq(has, failed);
	ck_assert_int_eq(verdict->accepted, !*failed);
}

/* --- certificates --- */

void attest_issue_extension(X509 *cert, const char *oid, const uint8_t *bytes, size_t size)
{
	ASN1_OBJECT *object = OBJ_txt2obj(oid, 1);
	ASN1_OCTET_STRING *content = ASN1_OCTET_STRING_new();
	X509_EXTENSION *extension;

	ASN1_OCTET_STRING_set(content, bytes, (int)size);
	extension = X509_EXTENSION_create_by_OBJ(NULL, object, 0, content);
	ck_assert(extension && X509_add_ext(cert, extension, -1) == 1);
	X509_EXTENSION_free(extension);
	ASN1_OCTET_STRING_free(content);
	ASN1_OBJECT_free(object);
}

X509 *attest_issue(const struct attest_issue *issue)
{
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);
	X509_EXTENSION *ca;

	ck_assert(cert && issue->key);
	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), issue->serial);
	ASN1_TIME_set(X509_getm_notBefore(cert), attest_day(issue->from));
	ASN1_TIME_set(X509_getm_notAfter(cert), attest_day(issue->to));
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)issue->name, -1, -1,
	                           0);
	X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC, (const uint8_t *)"Tests", -1, -1, 0);
	X509_set_issuer_name(cert, issue->issuer ? X509_get_subject_name(issue->issuer) : name);
	X509_set_pubkey(cert, issue->key);
	if (issue->ca) {
		ca = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
		ck_assert(ca && X509_add_ext(cert, ca, -1) == 1);
		X509_EXTENSION_free(ca);
	}
	return cert;
}

void attest_issue_add(struct attest_collateral *collateral, X509 *cert)
{
	unsigned char *der = NULL;
	int size = i2d_X509(cert, &der);

	ck_assert_int_gt(size, 0);
	ck_assert_int_eq(attest_collateral_add(collateral, der, (size_t)size), 1);
	OPENSSL_free(der);
}

void attest_issue_pin(X509 *cert, uint8_t spki[32])
{
	unsigned char *der = NULL;
	int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);

	ck_assert_int_eq(EVP_Digest(der, (size_t)size, spki, NULL, EVP_sha256(), NULL), 1);
	OPENSSL_free(der);
}

void attest_issue_crl(struct attest_collateral *collateral, X509 *issuer, EVP_PKEY *signer,
                      X509 *revoked, bool delta, const char *from, const char *to)
{
	X509_CRL *crl = X509_CRL_new();
	ASN1_TIME *time = ASN1_TIME_new();
	unsigned char *der = NULL;
	int size;

	X509_CRL_set_version(crl, X509_CRL_VERSION_2);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer));
	ASN1_TIME_set(time, attest_day(from));
	X509_CRL_set1_lastUpdate(crl, time);
	if (revoked) {
		X509_REVOKED *entry = X509_REVOKED_new();

		X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(revoked));
		X509_REVOKED_set_revocationDate(entry, time);
		X509_CRL_add0_revoked(crl, entry);
	}
	ASN1_TIME_set(time, attest_day(to));
	X509_CRL_set1_nextUpdate(crl, time);
	if (delta)
		ck_assert_int_eq(X509_CRL_add1_ext_i2d(crl, NID_delta_crl,
		                                       X509_get_serialNumber(issuer), 1, 0),
		                 1);
	ck_assert_int_gt(X509_CRL_sign(crl, signer, EVP_sha256()), 0);
	size = i2d_X509_CRL(crl, &der);
	ck_assert_int_eq(attest_collateral_add(collateral, der, (size_t)size), 1);
	OPENSSL_free(der);
	ASN1_TIME_free(time);
	X509_CRL_free(crl);
}

void attest_issue_sign(EVP_PKEY *key, size_t width, const void *bytes, size_t size, uint8_t *out)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	const EVP_MD *digest = width == 32 ? EVP_sha256() : EVP_sha384();
	uint8_t der[128];
	const uint8_t *at = der;
	size_t length = sizeof(der);
	ECDSA_SIG *signature;

	ck_assert_int_eq(EVP_DigestSignInit(context, NULL, digest, NULL, key), 1);
	ck_assert_int_eq(EVP_DigestSign(context, der, &length, bytes, size), 1);
	signature = d2i_ECDSA_SIG(NULL, &at, (long)length);
	BN_bn2binpad(ECDSA_SIG_get0_r(signature), out, (int)width);
	BN_bn2binpad(ECDSA_SIG_get0_s(signature), out + width, (int)width);
	ECDSA_SIG_free(signature);
	EVP_MD_CTX_free(context);
}

/* --- the authority --- */

static void authority_leaf(X509 *cert, const struct authority_options *options)
{
	/* a CRLDistributionPoints of one URI, "http://a" */
	static const uint8_t crl[] = {0x30, 16,  0x30, 14,  0xa0, 12,  0xa0, 10,  0x86,
	                              8,    'h', 't',  't', 'p',  ':', '/',  '/', 'a'};
	static const uint8_t numbers[] = {1, 2, 3, 8, 9};
	uint8_t product[32] = {0x16, (uint8_t)strlen(options->named)};
	char oid[64];

	memcpy(product + 2, options->named, strlen(options->named));
	attest_issue_extension(cert, "1.3.6.1.4.1.3704.1.2", product, 2u + product[1]);
	for (size_t i = 0; i < BASE_COUNT(numbers); i++) {
		uint8_t svn = options->svns[numbers[i]];
		const uint8_t one[] = {0x02, 1, svn}, two[] = {0x02, 2, 0, svn};

		snprintf(oid, sizeof(oid), "1.3.6.1.4.1.3704.1.3.%u", numbers[i]);
		attest_issue_extension(cert, oid, svn < 0x80 ? one : two, svn < 0x80 ? 3 : 4);
	}
	if (options->names_crl)
		attest_issue_extension(cert, "2.5.29.31", crl, sizeof(crl));
	if (options->chip)
		attest_issue_extension(cert, "1.3.6.1.4.1.3704.1.4", options->chip,
		                       options->chip_size);
}

void authority_open(struct authority *authority, const struct authority_options *options)
{
	char names[3][64];

	snprintf(names[0], sizeof(names[0]), "ARK-%s", options->product);
	snprintf(names[1], sizeof(names[1]), "SEV-%s%s", options->vlek ? "VLEK-" : "",
	         options->product);
	if (options->issuer)
		snprintf(names[1], sizeof(names[1]), "%s", options->issuer);
	snprintf(names[2], sizeof(names[2]), "%s", options->vlek ? "SEV-VLEK" : "SEV-VCEK");
	for (int i = 0; i < 3; i++) {
		authority->keys[i] = EVP_EC_gen("P-384");
		authority->certs[i] = attest_issue(
		        &(struct attest_issue){.name = names[i],
		                               .key = authority->keys[i],
		                               .issuer = i ? authority->certs[i - 1] : NULL,
		                               .ca = i < 2,
		                               .serial = 100 + i,
		                               .from = options->from,
		                               .to = options->to});
		if (i == 2)
			authority_leaf(authority->certs[i], options);
		ck_assert_int_gt(X509_sign(authority->certs[i], authority->keys[i ? i - 1 : 0],
		                           EVP_sha384()),
		                 0);
	}
	authority->root = (struct attest_root){.kind = ATTEST_SNP, .product = options->product};
	attest_issue_pin(authority->certs[0], authority->root.spki);
}

void authority_close(struct authority *authority)
{
	for (int i = 0; i < 3; i++) {
		X509_free(authority->certs[i]);
		EVP_PKEY_free(authority->keys[i]);
	}
}

void authority_add(const struct authority *authority, struct attest_collateral *collateral)
{
	for (int i = 0; i < 3; i++)
		attest_issue_add(collateral, authority->certs[i]);
}

void authority_crl(const struct authority *authority, struct attest_collateral *collateral,
                   int issuer, int signer, int revoked, const char *from, const char *to)
{
	attest_issue_crl(collateral, authority->certs[issuer], authority->keys[signer],
	                 revoked < 0 ? NULL : authority->certs[revoked], false, from, to);
}

void authority_sign(const struct authority *authority, uint8_t report[1184])
{
	uint8_t numbers[96];

	attest_issue_sign(authority->keys[2], 48, report, 0x2a0, numbers);
	for (size_t i = 0; i < 48; i++) {
		report[0x2a0 + i] = numbers[47 - i];
		report[0x2a0 + 72 + i] = numbers[95 - i];
	}
}
