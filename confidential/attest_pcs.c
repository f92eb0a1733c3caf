// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * attest_pcs: what Intel's provisioning service says of a platform: TCB info and the identity of its quoting
 * enclave, both JSON (PCS API version 4). A document is {"tcbInfo": {...}, "signature": "..."}, and the
 * signature is over the bytes of the inner object as they stand: so they are cut out first, and what is read
 * is what is signed.
 *
 * Of several documents the newest counts. One that nobody vouches for (there is no certificate of its signer) can
 * refuse a platform, and not accept it: what it says is well is skipped.
 *
 * A level of TCB info is the platform's when none of the platform's numbers is below the level's; levels are
 * sorted, so the first one counts.
 */
#include <ctype.h>
#include <jansson.h>
#include <stdarg.h>
#include <time.h>

#include "base/base.h"
#include "confidential/attest.h"
#include "confidential/ec.h"
#include "confidential/bytes.h"

enum { PCS_COMPONENTS = 16 };
enum pcs_qe { /* of the QE's report */
	      PCS_QE_MISC = 16,
	      PCS_QE_ATTRIBUTES = 48,
	      PCS_QE_SIGNER = 128,
	      PCS_QE_PRODUCT = 256,
	      PCS_QE_SVN = 258,
};

static const struct {
	const char *name;
	uint32_t bit;
} pcs_statuses[] = {
        {"UpToDate", ATTEST_TCB_UP_TO_DATE},
        {"SWHardeningNeeded", ATTEST_TCB_SW_HARDENING},
        {"ConfigurationNeeded", ATTEST_TCB_CONFIGURATION},
        {"ConfigurationAndSWHardeningNeeded", ATTEST_TCB_CONFIGURATION_AND_SW},
        {"OutOfDate", ATTEST_TCB_OUT_OF_DATE},
        {"OutOfDateConfigurationNeeded", ATTEST_TCB_OUT_OF_DATE_CONFIGURATION},
        {"Revoked", ATTEST_TCB_REVOKED},
};

uint32_t attest_tcb_parse(const char *name)
{
	for (size_t i = 0; i < BASE_COUNT(pcs_statuses); i++)
		if (strcmp(pcs_statuses[i].name, name) == 0)
			return pcs_statuses[i].bit;
	return 0;
}

/* --- cutting out --- */

struct pcs_text {
	const char *at, *end;
};

static bool pcs_expect(struct pcs_text *text, const char *token)
{
	size_t length = strlen(token);

	while (text->at < text->end && isspace((unsigned char)*text->at))
		text->at++;
	if ((size_t)(text->end - text->at) < length || memcmp(text->at, token, length) != 0)
		return false;
	text->at += length;
	return true;
}

/* An object, to its closing brace. */
static bool pcs_object(struct pcs_text *text, const char **start, size_t *size)
{
	bool quoted = false;
	size_t depth = 0;

	while (text->at < text->end && isspace((unsigned char)*text->at))
		text->at++;
	*start = text->at;
	for (; text->at < text->end; text->at++) {
		char c = *text->at;

		if (quoted && c == '\\' && text->at + 1 < text->end)
			text->at++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && c == '{')
			depth++;
		else if (!quoted && c == '}' && depth-- <= 1) {
			text->at++;
			*size = (size_t)(text->at - *start);
			return **start == '{';
		}
	}
	return false;
}

bool attest_document_parse(const char *text, size_t size, struct attest_document *document)
{
	struct pcs_text rest = {text, text + size};
	const char *start;
	size_t length;

	*document = (struct attest_document){0};
	if (!pcs_expect(&rest, "{"))
		return false;
	document->identity = pcs_expect(&rest, "\"enclaveIdentity\"");
	if (!document->identity && !pcs_expect(&rest, "\"tcbInfo\""))
		return false;
	if (!pcs_expect(&rest, ":") || !pcs_object(&rest, &start, &length) ||
	    !pcs_expect(&rest, ",") || !pcs_expect(&rest, "\"signature\"") ||
	    !pcs_expect(&rest, ":") || !pcs_expect(&rest, "\"") ||
	    rest.end - rest.at < 2 * (ptrdiff_t)sizeof(document->signature) ||
	    !bytes_from_hex(rest.at, document->signature, sizeof(document->signature)))
		return false;
	rest.at += 2 * sizeof(document->signature);
	if (!pcs_expect(&rest, "\"") || !pcs_expect(&rest, "}"))
		return false;
	pcs_expect(&rest, "");
	if (rest.at != rest.end)
		return false;
	if (memchr(start, '\0', length))
		return false;
	document->text = strndup(start, length);
	document->size = length;
	return document->text != NULL;
}

/* --- fields --- */

static bool pcs_bytes(const json_t *object, const char *key, uint8_t *to, size_t size)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text && strlen(text) == 2 * size && bytes_from_hex(text, to, size);
}

/* A number from 0 to 65535; -1: there is none. */
static int pcs_number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);
	json_int_t number = json_integer_value(value);

	return json_is_integer(value) && number >= 0 && number <= UINT16_MAX ? (int)number : -1;
}

static bool pcs_time(const json_t *object, const char *key, int64_t *time)
{
	const char *text = json_string_value(json_object_get(object, key));
	struct tm parts = {0};
	const char *end = text ? strptime(text, "%Y-%m-%dT%H:%M:%SZ", &parts) : NULL;

	if (!end || *end)
		return false;
	*time = timegm(&parts);
	return true;
}

static const char *pcs_status(const json_t *level)
{
	const char *status = json_string_value(json_object_get(level, "tcbStatus"));

	return status && attest_tcb_parse(status) ? status : "a status that is not known";
}

static bool pcs_accepted(const struct attest *attest, const char *status)
{
	return attest_tcb_parse(status) &
	       ((attest->input->tcb | ATTEST_TCB_UP_TO_DATE) & ~(uint32_t)ATTEST_TCB_REVOKED);
}

/* --- the document: who has signed it, and for when it is --- */

struct pcs_names {
	const char *signature, *validity, *revocation, *current;
};

/* One document of the platform, and whether Intel vouches for it. */
struct pcs {
	struct attest *attest;
	const struct attest_document *document;
	json_t *json;
	bool vouched;
};

/* A check of what the document says: that all is well, it has to be vouched for to say; the contrary it has not. */
__attribute__((format(printf, 4, 5))) static void pcs_check(const struct pcs *pcs, const char *name,
                                                            bool passed, const char *format, ...)
{
	char text[WHY_MAX];
	va_list list;

	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	if (passed && !pcs->vouched)
		attest_skip(pcs->attest, name, "nobody vouches for it: %s", text);
	else
		attest_check(pcs->attest, name, passed, "%s", text);
}

/* The chain of a certificate that signs such documents: of the first one that has any, or the last one's `why`. */
static bool pcs_signer(const struct attest *attest, struct attest_chain *chain, bool *given,
                       char why[WHY_MAX])
{
	const struct attest_collateral *collateral = attest->input->collateral;
	char name[64];

	*given = false;
	for (size_t i = 0; i < collateral->cert_count; i++) {
		attest_common_name(X509_get_subject_name(collateral->certs[i]), name);
		if (strcmp(name, "Intel SGX TCB Signing") != 0)
			continue;
		*given = true;
		if (attest_chain_find(attest, ATTEST_TDX, collateral->certs[i], NULL, chain, why))
			return true;
	}
	return false;
}

static void pcs_check_signature(struct pcs *pcs, const struct pcs_names *names)
{
	struct attest *attest = pcs->attest;
	const struct attest_document *document = pcs->document;
	struct attest_chain chain;
	char why[WHY_MAX], group[32] = "";
	EVP_PKEY *key;
	bool given;

	if (!pcs_signer(attest, &chain, &given, why)) {
		if (given)
			attest_check(attest, names->signature, false,
			             "the signing certificate's chain: %s", why);
		else
			attest_skip(attest, names->signature,
			            "there is no certificate 'Intel SGX TCB Signing'");
		return;
	}
	attest_chain_times(attest, names->validity, &chain);
	attest_chain_revoked(attest, names->revocation, &chain);
	key = X509_get0_pubkey(chain.certs[0]);
	pcs->vouched = key && EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
	               strcmp(group, "prime256v1") == 0 &&
	               ec_verify(key, EC_P256, document->signature, document->signature + EC_P256,
	                         document->text, document->size) == 0;
	attest_check(attest, names->signature, pcs->vouched, "%s",
	             pcs->vouched ? "Intel has signed it" : "its signature is wrong");
}

typedef bool pcs_is_fn(const json_t *json, const void *of);

/*
 * The newest of the documents of one kind that are of something, in pcs->json, which is the caller's; *others
 * counts those that are not.
 */
static void pcs_find(struct pcs *pcs, bool identity, pcs_is_fn *is, const void *of, size_t *others)
{
	const struct attest_collateral *collateral = pcs->attest->input->collateral;
	int64_t newest = INT64_MIN;

	*others = 0;
	for (size_t i = 0; i < collateral->document_count; i++) {
		const struct attest_document *document = &collateral->documents[i];
		json_t *json;
		int64_t issued = INT64_MIN;

		if (document->identity != identity)
			continue;
		json = json_loadb(document->text, document->size, JSON_REJECT_DUPLICATES, NULL);
		if (!json || !is(json, of)) {
			json_decref(json);
			++*others;
			continue;
		}
		pcs_time(json, "issueDate", &issued);
		if (pcs->json && issued <= newest) {
			json_decref(json);
			continue;
		}
		json_decref(pcs->json);
		pcs->json = json;
		pcs->document = document;
		newest = issued;
	}
}

static void pcs_check_current(const struct pcs *pcs, const char *name)
{
	const char *issued = json_string_value(json_object_get(pcs->json, "issueDate"));
	const char *next = json_string_value(json_object_get(pcs->json, "nextUpdate"));
	struct attest *attest = pcs->attest;
	int64_t from, to;

	if (!pcs_time(pcs->json, "issueDate", &from) || !pcs_time(pcs->json, "nextUpdate", &to))
		attest_check(attest, name, false, "it does not say from when to when it is valid");
	else
		attest_check(attest, name, from <= attest->input->at && attest->input->at < to,
		             "issued %s, %s %s", issued,
		             attest->input->at < to ? "valid until" : "stale since", next);
}

/* --- TCB info --- */

/* Whether each of the platform's numbers is at least the level's. */
static bool pcs_components(const json_t *tcb, const char *key, const uint8_t *has, size_t from)
{
	const json_t *list = json_object_get(tcb, key);

	if (json_array_size(list) != PCS_COMPONENTS)
		return false;
	for (size_t i = from; i < PCS_COMPONENTS; i++) {
		int svn = pcs_number(json_array_get(list, i), "svn");

		if (svn < 0 || has[i] < svn)
			return false;
	}
	return true;
}

static const json_t *pcs_level(const json_t *info, const struct attest_platform *platform)
{
	/* a module of version 1 or later has levels of its own, so its two numbers are not compared here */
	const size_t from = platform->tee_svn[1] ? 2 : 0;
	const json_t *levels = json_object_get(info, "tcbLevels"), *level;
	size_t i;

	json_array_foreach(levels, i, level)
	{
		const json_t *tcb = json_object_get(level, "tcb");
		int pce = pcs_number(tcb, "pcesvn");

		if (pce >= 0 && platform->pce_svn >= (uint32_t)pce &&
		    pcs_components(tcb, "sgxtcbcomponents", platform->sgx_svn, 0) &&
		    pcs_components(tcb, "tdxtcbcomponents", platform->tee_svn, from))
			return level;
	}
	return NULL;
}

/* A level by one number, as modules and quoting enclaves have them. */
static const json_t *pcs_svn_level(const json_t *object, int svn)
{
	const json_t *levels = json_object_get(object, "tcbLevels"), *level;
	size_t i;

	json_array_foreach(levels, i, level)
	{
		int needed = pcs_number(json_object_get(level, "tcb"), "isvsvn");

		if (needed >= 0 && svn >= needed)
			return level;
	}
	return NULL;
}

static bool pcs_masked(const uint8_t *has, const uint8_t *mask, const uint8_t *is, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if ((has[i] & mask[i]) != is[i])
			return false;
	return true;
}

/* The identity of the TDX module: that of its version, or the one of version 0. */
static const json_t *pcs_module(const json_t *info, uint8_t version)
{
	const json_t *list = json_object_get(info, "tdxModuleIdentities"), *module;
	char id[16];
	size_t i;

	if (version == 0)
		return json_object_get(info, "tdxModule");
	snprintf(id, sizeof(id), "TDX_%02X", version);
	json_array_foreach(list, i, module)
	{
		const char *name = json_string_value(json_object_get(module, "id"));

		if (name && strcmp(name, id) == 0)
			return module;
	}
	return NULL;
}

static void pcs_check_module(const struct pcs *pcs, const struct attest_platform *platform)
{
	const struct attest *attest = pcs->attest;
	const uint8_t version = platform->tee_svn[1], svn = platform->tee_svn[0];
	const json_t *module = pcs_module(pcs->json, version), *level;
	uint8_t signer[48], attributes[8], mask[8];

	if (!module) {
		pcs_check(pcs, "tdx-module", false,
		          "TCB info has no module of version %u, which the platform has", version);
		return;
	}
	if (!pcs_bytes(module, "mrsigner", signer, sizeof(signer)) ||
	    !pcs_bytes(module, "attributes", attributes, sizeof(attributes)) ||
	    !pcs_bytes(module, "attributesMask", mask, sizeof(mask)) ||
	    memcmp(signer, platform->seam_signer, sizeof(signer)) != 0 ||
	    !pcs_masked(platform->seam_attributes, mask, attributes, sizeof(mask))) {
		pcs_check(pcs, "tdx-module", false,
		          "the module is not the one of version %u that Intel has signed", version);
		return;
	}
	level = version ? pcs_svn_level(module, svn) : NULL;
	if (version && !level)
		pcs_check(pcs, "tdx-module", false, "version %u, SVN %u is below every level",
		          version, svn);
	else if (version)
		pcs_check(pcs, "tdx-module", pcs_accepted(attest, pcs_status(level)),
		          "version %u, SVN %u: %s", version, svn, pcs_status(level));
	else
		pcs_check(pcs, "tdx-module", true, "version 0, SVN %u", svn);
}

static void pcs_check_level(const struct pcs *pcs, const struct attest_platform *platform)
{
	const json_t *level = pcs_level(pcs->json, platform);
	const char *date = json_string_value(json_object_get(level, "tcbDate"));
	int64_t day;

	if (!level)
		pcs_check(pcs, "tcb-level", false,
		          "stale: the platform's TCB is below every level of TCB info");
	else
		pcs_check(pcs, "tcb-level", pcs_accepted(pcs->attest, pcs_status(level)),
		          "%s (TCB of %s)", pcs_status(level),
		          pcs_time(level, "tcbDate", &day) ? date : "no date");
}

/* Whether TCB info is of this platform. */
static bool pcs_is_for(const json_t *info, const void *of)
{
	const struct attest_platform *platform = of;
	uint8_t fmspc[sizeof(platform->fmspc)], pce[sizeof(platform->pce_id)];
	const char *id = json_string_value(json_object_get(info, "id"));

	return id && strcmp(id, "TDX") == 0 && pcs_number(info, "version") == 3 &&
	       pcs_bytes(info, "fmspc", fmspc, sizeof(fmspc)) &&
	       pcs_bytes(info, "pceId", pce, sizeof(pce)) &&
	       memcmp(fmspc, platform->fmspc, sizeof(fmspc)) == 0 &&
	       memcmp(pce, platform->pce_id, sizeof(pce)) == 0;
}

static void pcs_tcb_info(struct attest *attest, const struct attest_platform *platform)
{
	static const struct pcs_names names = {"tcb-info-signature", "tcb-info-validity",
	                                       "tcb-info-revocation", "tcb-info-current"};
	const uint8_t *fmspc = platform->fmspc;
	struct pcs pcs = {.attest = attest};
	size_t others;

	pcs_find(&pcs, false, pcs_is_for, platform, &others);
	if (!pcs.json) {
		attest_skip(
		        attest, "tcb-level",
		        "there is no TCB info of this platform (FMSPC %02x%02x%02x%02x%02x%02x), "
		        "and %zu of others",
		        fmspc[0], fmspc[1], fmspc[2], fmspc[3], fmspc[4], fmspc[5], others);
		return;
	}
	pcs_check_signature(&pcs, &names);
	pcs_check_current(&pcs, names.current);
	pcs_check_module(&pcs, platform);
	pcs_check_level(&pcs, platform);
	json_decref(pcs.json);
}

/* --- the quoting enclave --- */

/* Whether an identity is of the quoting enclave of TDX. */
static bool pcs_is_identity(const json_t *identity, const void *of)
{
	const char *id = json_string_value(json_object_get(identity, "id"));

	(void)of;
	return id && strcmp(id, "TD_QE") == 0 && pcs_number(identity, "version") == 2;
}

static bool pcs_is_qe(const json_t *identity, const uint8_t *report)
{
	uint8_t signer[32], misc[4], misc_mask[4], attributes[16], mask[16];

	return pcs_bytes(identity, "mrsigner", signer, sizeof(signer)) &&
	       pcs_bytes(identity, "miscselect", misc, sizeof(misc)) &&
	       pcs_bytes(identity, "miscselectMask", misc_mask, sizeof(misc_mask)) &&
	       pcs_bytes(identity, "attributes", attributes, sizeof(attributes)) &&
	       pcs_bytes(identity, "attributesMask", mask, sizeof(mask)) &&
	       memcmp(signer, report + PCS_QE_SIGNER, sizeof(signer)) == 0 &&
	       pcs_masked(report + PCS_QE_MISC, misc_mask, misc, sizeof(misc)) &&
	       pcs_masked(report + PCS_QE_ATTRIBUTES, mask, attributes, sizeof(mask)) &&
	       pcs_number(identity, "isvprodid") == base_le16(report + PCS_QE_PRODUCT);
}

static void pcs_qe_identity(struct attest *attest, const uint8_t *report)
{
	static const struct pcs_names names = {"qe-identity-signature", "qe-identity-validity",
	                                       "qe-identity-revocation", "qe-identity-current"};
	const int svn = base_le16(report + PCS_QE_SVN);
	struct pcs pcs = {.attest = attest};
	const json_t *level;
	size_t others;

	pcs_find(&pcs, true, pcs_is_identity, NULL, &others);
	if (!pcs.json) {
		attest_skip(attest, "qe-identity", "there is no identity of the quoting enclave");
		return;
	}
	level = pcs_svn_level(pcs.json, svn);
	pcs_check_signature(&pcs, &names);
	pcs_check_current(&pcs, names.current);
	if (!pcs_is_qe(pcs.json, report))
		pcs_check(&pcs, "qe-identity", false, "the QE is not the one that it describes");
	else if (!level)
		pcs_check(&pcs, "qe-identity", false, "stale: SVN %d is below every level", svn);
	else
		pcs_check(&pcs, "qe-identity", pcs_accepted(attest, pcs_status(level)),
		          "SVN %d: %s", svn, pcs_status(level));
	json_decref(pcs.json);
}

void attest_pcs(struct attest *attest, const struct attest_platform *platform)
{
	pcs_tcb_info(attest, platform);
	pcs_qe_identity(attest, platform->qe_report);
}
