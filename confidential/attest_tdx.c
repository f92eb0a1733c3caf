// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * attest_tdx: TDX quotes, versions 4 and 5 (DCAP appendix A). A header, the domain's report, and what proves it:
 * an attestation key signs header and report; the quoting enclave's own report binds that key; the
 * platform's PCK signs the enclave's report; and a chain that is in the quote leads from PCK to Intel's root.
 *
 * A quote's own lengths say where it ends. Guests get it in a buffer of fixed size, so zeros behind it are
 * padding; anything else there is refused, unless the caller says that it is to be cut off.
 */
#include "base/base.h"
#include "confidential/attest.h"
#include "confidential/bytes.h"
#include "confidential/ec.h"
#include "confidential/hash.h"
#include "confidential/uapi.h"

enum {
	TDX_HEADER = 48,
	TDX_HEADER_KEY_TYPE = 2,
	TDX_HEADER_TEE = 4,
	TDX_HEADER_VENDOR = 12,
	TDX_BODY_DESCRIPTOR = 6, /* version 5: type and size of the body */
	TDX_BODY_10 = 584,
	TDX_BODY_15 = 648,

	TDX_KEY_ECDSA_P256 = 2,
	TDX_TEE = 0x81,
	TDX_SIGNATURE = 64,
	TDX_KEY = 64,
	TDX_QE_REPORT = 384,
	TDX_CERT_HEAD = 6, /* type and size */
	TDX_CERT_QE_REPORT = 6,
	TDX_CERT_PCK_CHAIN = 5,
};
/* Of the domain's report. */
enum tdx_body {
	TDX_TEE_SVN = 0,
	TDX_SEAM_SIGNER = 64,
	TDX_SEAM_ATTRIBUTES = 112,
	TDX_ATTRIBUTES = 120,
	TDX_MRTD = 136,
	TDX_RTMRS = 328,
	TDX_REPORT_DATA = 520,
};
enum tdx_qe {
	TDX_QE_ATTRIBUTES = 48,
	TDX_QE_SIGNER = 128,
	TDX_QE_PRODUCT = 256,
	TDX_QE_REPORT_DATA = 320,
	TDX_QE_DEBUG = 2,
	TDX_QE_PRODUCT_TDX = 2,
};
enum {
	TDX_ATTRIBUTES_DEBUG = 0xff
}; /* bits 0 to 7: any of them lets the host look in (TDX module 3.4.1) */

/* Intel's PCK certificate profile, section 1.3.3. */
#define TDX_PCK_NAME "Intel SGX PCK Certificate"

static const uint8_t tdx_intel_qe[16] = {0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9,
                                         0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07};

/* MRSIGNER of Intel's enclaves. A platform's owner can have a PCK certify any enclave, so this one is pinned. */
static const uint8_t tdx_intel_signer[32] = {0xdc, 0x9e, 0x2a, 0x7c, 0x6f, 0x94, 0x8f, 0x17,
                                             0x47, 0x4e, 0x34, 0xa7, 0xfc, 0x43, 0xed, 0x03,
                                             0x0f, 0x7c, 0x15, 0x63, 0xf1, 0xba, 0xbd, 0xdf,
                                             0x63, 0x40, 0xc8, 0x2e, 0x0e, 0x54, 0xa8, 0xc5};

/* Where everything is in a quote that was checked. */
struct tdx {
	struct attest *attest;
	const uint8_t *body;
	size_t body_size, signed_size, end;
	const uint8_t *signature, *key, *qe_report, *qe_signature, *qe_auth;
	size_t qe_auth_size;
	const char *pem;
	size_t pem_size;
};

/* --- reading --- */

static bool tdx_short(struct attest *attest, const char *what)
{
	return attest_check(attest, "length", false,
	                    "the quote is truncated: it ends within its %s", what);
}

static bool tdx_read_header(struct tdx *tdx, struct attest_rest *rest)
{
	struct attest *attest = tdx->attest;
	const uint8_t *header = attest_take(rest, TDX_HEADER);
	uint16_t version;

	if (!header)
		return tdx_short(attest, "header");
	version = base_le16(header);
	attest->verdict->version = version;
	if (version != 4 && version != 5)
		return attest_check(attest, "format", false,
		                    "it is neither an SNP report nor a quote of version 4 or 5");
	if (base_le16(header + TDX_HEADER_KEY_TYPE) != TDX_KEY_ECDSA_P256 ||
	    base_le32(header + TDX_HEADER_TEE) != TDX_TEE)
		return attest_check(attest, "format", false,
		                    "the quote has key type %u and is of TEE 0x%x, where %d (ECDSA "
		                    "P-256) and 0x%x (TDX) were expected",
		                    base_le16(header + TDX_HEADER_KEY_TYPE),
		                    base_le32(header + TDX_HEADER_TEE), TDX_KEY_ECDSA_P256,
		                    TDX_TEE);
	if (memcmp(header + TDX_HEADER_VENDOR, tdx_intel_qe, sizeof(tdx_intel_qe)) != 0)
		return attest_check(attest, "format", false,
		                    "the quote is not of Intel's quoting enclave");
	return true;
}

static bool tdx_read_body(struct tdx *tdx, struct attest_rest *rest)
{
	struct attest *attest = tdx->attest;
	uint16_t type = 2;
	uint32_t size = TDX_BODY_10;

	if (attest->verdict->version == 5) {
		const uint8_t *descriptor = attest_take(rest, TDX_BODY_DESCRIPTOR);

		if (!descriptor)
			return tdx_short(attest, "body descriptor");
		type = base_le16(descriptor);
		size = base_le32(descriptor + 2);
	}
	if (!(type == 2 && size == TDX_BODY_10) && !(type == 3 && size == TDX_BODY_15))
		return attest_check(attest, "format", false,
		                    "the quote's body has type %u and %u bytes, where 2 and %d, or "
		                    "3 and %d were expected",
		                    type, size, TDX_BODY_10, TDX_BODY_15);
	tdx->body = attest_take(rest, size);
	tdx->body_size = size;
	if (!tdx->body)
		return tdx_short(attest, "body");
	tdx->signed_size = (size_t)(rest->at - attest->input->report);
	return true;
}

/* What follows a chain's last certificate: its line's end and zeros are not signed, and mean nothing. */
static bool tdx_chain_ends(const char *pem, size_t size)
{
	static const char mark[] = "-----END CERTIFICATE-----";
	const char *last = NULL, *at = memmem(pem, size, mark, sizeof(mark) - 1);

	for (; at; at = memmem(last, (size_t)(pem + size - last), mark, sizeof(mark) - 1))
		last = at + sizeof(mark) - 1;
	for (; last && last < pem + size; last++)
		if (*last != '\n' && *last != '\r' && *last != '\0')
			return false;
	return true;
}

/* The quoting enclave's report, and what proves it; `rest` is all of it. */
static bool tdx_read_qe(struct tdx *tdx, struct attest_rest *rest)
{
	struct attest *attest = tdx->attest;
	const uint8_t *size, *head;

	tdx->qe_report = attest_take(rest, TDX_QE_REPORT);
	tdx->qe_signature = attest_take(rest, TDX_SIGNATURE);
	size = attest_take(rest, 2);
	if (!tdx->qe_report || !tdx->qe_signature || !size)
		return tdx_short(attest, "QE report");
	tdx->qe_auth_size = base_le16(size);
	tdx->qe_auth = attest_take(rest, tdx->qe_auth_size);
	head = attest_take(rest, TDX_CERT_HEAD);
	if (!tdx->qe_auth || !head)
		return tdx_short(attest, "QE authentication data");
	if (base_le16(head) != TDX_CERT_PCK_CHAIN)
		return attest_check(attest, "format", false,
		                    "the QE report is certified by type %u, where %d (a PCK chain) "
		                    "was expected",
		                    base_le16(head), TDX_CERT_PCK_CHAIN);
	tdx->pem_size = base_le32(head + 2);
	tdx->pem = (const char *)attest_take(rest, tdx->pem_size);
	if (!tdx->pem)
		return tdx_short(attest, "PCK chain");
	if (!tdx_chain_ends(tdx->pem, tdx->pem_size))
		return attest_check(attest, "format", false,
		                    "the quote's PCK chain has something behind its last "
		                    "certificate");
	if (rest->left > 0)
		return attest_check(attest, "format", false,
		                    "the quote has %zu bytes behind its PCK chain that belong to "
		                    "nothing",
		                    rest->left);
	return true;
}

static bool tdx_read_signature(struct tdx *tdx, struct attest_rest *rest)
{
	struct attest *attest = tdx->attest;
	const uint8_t *size = attest_take(rest, 4), *head;
	struct attest_rest inner, qe;

	if (!size)
		return tdx_short(attest, "signature's length");
	inner.left = base_le32(size);
	inner.at = attest_take(rest, inner.left);
	if (!inner.at)
		return tdx_short(attest, "signature data");
	tdx->end = (size_t)(rest->at - attest->input->report);
	tdx->signature = attest_take(&inner, TDX_SIGNATURE);
	tdx->key = attest_take(&inner, TDX_KEY);
	head = attest_take(&inner, TDX_CERT_HEAD);
	if (!tdx->signature || !tdx->key || !head)
		return tdx_short(attest, "signature");
	if (base_le16(head) != TDX_CERT_QE_REPORT)
		return attest_check(attest, "format", false,
		                    "the quote is certified by type %u, where %d (a QE report) was "
		                    "expected",
		                    base_le16(head), TDX_CERT_QE_REPORT);
	qe.left = base_le32(head + 2);
	qe.at = attest_take(&inner, qe.left);
	if (!qe.at)
		return tdx_short(attest, "certification data");
	if (inner.left > 0)
		return attest_check(attest, "format", false,
		                    "the quote has %zu bytes in its signature data that belong to "
		                    "nothing",
		                    inner.left);
	return tdx_read_qe(tdx, &qe);
}

static bool tdx_read(struct tdx *tdx)
{
	struct attest *attest = tdx->attest;
	const struct attest_input *input = attest->input;
	struct attest_rest rest = {input->report, input->size};

	if (!tdx_read_header(tdx, &rest) || !tdx_read_body(tdx, &rest) ||
	    !tdx_read_signature(tdx, &rest))
		return false;
	if (rest.left == 0)
		attest_check(attest, "length", true, "%zu bytes", tdx->end);
	else if (bytes_zero(rest.at, rest.left))
		attest_check(attest, "length", true, "%zu bytes, and %zu of padding", tdx->end,
		             rest.left);
	else
		attest_check(
		        attest, "length", input->trim,
		        "the quote is %zu bytes long by its own lengths; %zu trailing bytes %s",
		        tdx->end, rest.left,
		        input->trim ? "were cut off" : "follow it (--trim cuts them off)");
	return attest_check(attest, "format", true, "version %u, a body of %zu bytes",
	                    attest->verdict->version, tdx->body_size);
}

/* --- signatures --- */

static bool tdx_ecdsa(const uint8_t key[TDX_KEY], const uint8_t *signature, const uint8_t *bytes,
                      size_t size)
{
	EVP_PKEY *public = ec_public(EC_P256, key, key + EC_P256);
	bool right = public &&
	             ec_verify(public, EC_P256, signature, signature + EC_P256, bytes, size) == 0;

	EVP_PKEY_free(public);
	return right;
}

static void tdx_check_signature(struct tdx *tdx)
{
	bool right =
	        tdx_ecdsa(tdx->key, tdx->signature, tdx->attest->input->report, tdx->signed_size);

	attest_check(tdx->attest, "signature", right, "%s",
	             right ? "the attestation key has signed header and body"
	                   : "the quote's signature is wrong");
}

/* SHA-256 of the attestation key and the QE's authentication data is in the QE's report. */
static void tdx_check_binding(struct tdx *tdx)
{
	const uint8_t *data = tdx->qe_report + TDX_QE_REPORT_DATA;
	struct hash hash;
	uint8_t digest[32];
	bool right;

	hash_open(&hash, HASH_SHA256);
	hash_add(&hash, tdx->key, TDX_KEY);
	hash_add(&hash, tdx->qe_auth, tdx->qe_auth_size);
	right = hash_close(&hash, digest) == 0 && memcmp(digest, data, sizeof(digest)) == 0 &&
	        bytes_zero(data + sizeof(digest), 32);
	attest_check(tdx->attest, "qe-binding", right, "the QE's report %s the attestation key",
	             right ? "has" : "does not have");
	right = !(tdx->qe_report[TDX_QE_ATTRIBUTES] & TDX_QE_DEBUG);
	attest_check(tdx->attest, "qe-debug", right, "the quoting enclave is %sfor debugging",
	             right ? "not " : "");
}

/* Whose enclave it is, whatever an identity of it says, and whose module made the domain's report. */
static void tdx_check_signers(struct tdx *tdx)
{
	const uint8_t *qe = tdx->qe_report;
	bool right = memcmp(qe + TDX_QE_SIGNER, tdx_intel_signer, sizeof(tdx_intel_signer)) == 0 &&
	             base_le16(qe + TDX_QE_PRODUCT) == TDX_QE_PRODUCT_TDX;

	attest_check(tdx->attest, "qe-signer", right, "the quoting enclave is%s Intel's",
	             right ? "" : " not");
	/* TDX module 22.6.2: zero is a module that Intel has signed; its attributes have bits for debugging */
	right = bytes_zero(tdx->body + TDX_SEAM_SIGNER, 48) &&
	        bytes_zero(tdx->body + TDX_SEAM_ATTRIBUTES, 8);
	attest_check(tdx->attest, "seam-signer", right,
	             "the TDX module is%s one of Intel's for production", right ? "" : " not");
}

static void tdx_check_qe_signature(struct tdx *tdx, X509 *pck)
{
	EVP_PKEY *key = X509_get0_pubkey(pck);
	char group[32] = "";
	bool right = key && EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
	             strcmp(group, "prime256v1") == 0 &&
	             ec_verify(key, EC_P256, tdx->qe_signature, tdx->qe_signature + EC_P256,
	                       tdx->qe_report, TDX_QE_REPORT) == 0;

	attest_check(tdx->attest, "qe-signature", right, "%s",
	             right ? "the PCK has signed the QE's report"
	                   : "the signature of the QE's report is wrong");
}

/* --- all of it --- */

/* The PCK is the first of the quote's own certificates. */
static void tdx_check_platform(struct tdx *tdx, const struct attest_collateral *own)
{
	struct attest_platform platform = {.qe_report = tdx->qe_report,
	                                   .seam_signer = tdx->body + TDX_SEAM_SIGNER,
	                                   .seam_attributes = tdx->body + TDX_SEAM_ATTRIBUTES};
	struct attest *attest = tdx->attest;
	X509 *pck = own->cert_count > 0 ? own->certs[0] : NULL;
	struct attest_chain chain;
	char why[WHY_MAX], name[64] = "";

	memcpy(platform.tee_svn, tdx->body + TDX_TEE_SVN, sizeof(platform.tee_svn));
	if (pck)
		attest_common_name(X509_get_subject_name(pck), name);
	/* where the first cannot be read, the one behind it must not be taken for it */
	if (strcmp(name, TDX_PCK_NAME) != 0) {
		attest_check(attest, "certificate", false,
		             "the quote's first certificate is %s%s, where '%s' was expected",
		             pck ? "of " : "missing", name, TDX_PCK_NAME);
		return;
	}
	if (attest_check(attest, "certificate-chain",
	                 attest_chain_find(attest, ATTEST_TDX, pck, own, &chain, why), "%s", why)) {
		attest->verdict->product = chain.root->product;
		attest_chain_times(attest, "validity", &chain);
		attest_chain_revoked(attest, "revocation", &chain);
	}
	tdx_check_qe_signature(tdx, pck);
	if (attest_check(attest, "pck-extensions", attest_pck(pck, &platform),
	                 "what the PCK says of its platform"))
		attest_pcs(attest, &platform);
}

static void tdx_check_domain(struct tdx *tdx)
{
	struct attest *attest = tdx->attest;
	const struct attest_input *input = attest->input;
	const uint64_t attributes = base_le64(tdx->body + TDX_ATTRIBUTES);
	const bool debug = attributes & TDX_ATTRIBUTES_DEBUG;

	attest_check(attest, "debug", !debug || input->allow_debug,
	             debug ? "the domain's attributes 0x%llx let its host read its memory"
	                   : "the domain's attributes 0x%llx do not allow debugging",
	             (unsigned long long)attributes);
	attest_migration(attest, attributes, CC_TDX_ATTRIBUTE_MIGRATABLE);
	if (input->policy)
		attest_check(attest, "policy", attributes == *input->policy,
		             "0x%llx, where 0x%llx was expected", (unsigned long long)attributes,
		             (unsigned long long)*input->policy);
	attest_wanted(attest, "measurement", input->measurement, tdx->body + TDX_MRTD, 48);
	attest_wanted(attest, "report-data", input->report_data, tdx->body + TDX_REPORT_DATA, 64);
	if (input->host_data)
		attest_check(attest, "host-data", false, "a quote has none");
	if (input->vmpl)
		attest_check(attest, "vmpl", false, "a quote has none");
	if (input->block)
		attest_check(attest, "id-block", false, "a quote has none");
}

static void tdx_check_log(struct tdx *tdx)
{
	const struct attest_input *input = tdx->attest->input;
	uint8_t rtmrs[4][48];
	char why[WHY_MAX];

	if (!input->ccel)
		return;
	if (!attest_ccel_replay(input->ccel, input->ccel_size, rtmrs, why)) {
		attest_check(tdx->attest, "event-log", false, "%s", why);
		return;
	}
	for (size_t i = 0; i < BASE_COUNT(rtmrs); i++)
		if (memcmp(rtmrs[i], tdx->body + TDX_RTMRS + 48 * i, 48) != 0) {
			attest_check(tdx->attest, "event-log", false,
			             "%s; replayed, it does not lead to RTMR%zu", why, i);
			return;
		}
	attest_check(tdx->attest, "event-log", true, "%s; replayed, it leads to all four RTMRs",
	             why);
}

void attest_tdx(struct attest *attest)
{
	struct attest_verdict *verdict = attest->verdict;
	struct tdx tdx = {.attest = attest};
	struct attest_collateral *own;

	verdict->kind = ATTEST_TDX;
	if (!tdx_read(&tdx))
		return;
	verdict->read = true;
	verdict->policy = base_le64(tdx.body + TDX_ATTRIBUTES);
	memcpy(verdict->measurement, tdx.body + TDX_MRTD, 48);
	memcpy(verdict->report_data, tdx.body + TDX_REPORT_DATA, 64);
	own = attest_collateral_new();
	if (!own || attest_collateral_add(own, tdx.pem, tdx.pem_size) < 0)
		attest_check(attest, "certificate", false, "the quote has too many certificates");
	else
		tdx_check_platform(&tdx, own);
	tdx_check_binding(&tdx);
	tdx_check_signers(&tdx);
	tdx_check_signature(&tdx);
	tdx_check_domain(&tdx);
	tdx_check_log(&tdx);
	attest_collateral_free(own);
}
