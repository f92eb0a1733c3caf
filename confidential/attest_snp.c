// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * attest_snp: SEV-SNP attestation reports (SNP ABI section 7.3, table 23), versions 2 to 5. A VCEK, which is a
 * chip's own, or a VLEK, which a provider has loaded, signs them; its certificate says for which chip and
 * which firmware it was derived, so it has to say the same as the report ("VCEK certificate and KDS interface",
 * AMD 57230).
 */
#include "base/base.h"
#include "confidential/attest.h"
#include "confidential/bytes.h"
#include "confidential/ec.h"

enum snp_offset {
	SNP_VERSION = 0x00,
	SNP_GUEST_SVN = 0x04,
	SNP_POLICY = 0x08,
	SNP_FAMILY_ID = 0x10,
	SNP_IMAGE_ID = 0x20,
	SNP_VMPL = 0x30,
	SNP_ALGORITHM = 0x34,
	SNP_CURRENT_TCB = 0x38,
	SNP_KEY = 0x48,
	SNP_REPORT_DATA = 0x50,
	SNP_MEASUREMENT = 0x90,
	SNP_HOST_DATA = 0xc0,
	SNP_ID_KEY = 0xe0,
	SNP_AUTHOR_KEY = 0x110,
	SNP_REPORTED_TCB = 0x180,
	SNP_FAMILY = 0x188, /* from version 3: family, model, stepping */
	SNP_CHIP_ID = 0x1a0,
	SNP_COMMITTED_TCB = 0x1e0,
	SNP_SIGNATURE = 0x2a0,
	SNP_SIZE = 0x4a0,
};

enum {
	SNP_VERSION_MIN = 2,
	SNP_VERSION_MAX = 5,
	SNP_ECDSA_P384 = 1,
	SNP_CHIP_ID_SIZE = 64,
	SNP_KEY_AUTHOR = 1, /* of SNP_KEY: there is an author's key */
	SNP_VMPL_MAX = 3,
	SNP_NO_PART = 0xff,
};
enum snp_key { SNP_VCEK = 0, SNP_VLEK = 1 };

#define SNP_OID "1.3.6.1.4.1.3704.1."

/* The parts of a TCB_VERSION: where each is, and the extension that has it. Turin's are elsewhere (table 3). */
struct snp_part {
	const char *name, *oid;
	uint8_t milan, turin; /* byte of the number, or SNP_NO_PART */
};
static const struct snp_part snp_parts[] = {
        {"fmc", SNP_OID "3.9", SNP_NO_PART, 0}, {"boot loader", SNP_OID "3.1", 0, 1},
        {"tee", SNP_OID "3.2", 1, 2},           {"snp", SNP_OID "3.3", 6, 3},
        {"microcode", SNP_OID "3.8", 7, 7},
};

struct snp {
	struct attest *attest;
	const uint8_t *report;
	enum snp_key key;
	X509 *leaf;
	struct attest_chain chain;
	bool turin;
};

/* --- the certificate's extensions --- */

/* A DER INTEGER from 0 to 255; -1 when it is not one. */
static int snp_integer(X509 *cert, const char *oid)
{
	size_t size;
	const uint8_t *at = attest_extension(cert, oid, &size);

	if (!at || size < 3 || at[0] != 0x02 || at[1] != size - 2)
		return -1;
	if (size == 3 && at[2] < 0x80)
		return at[2];
	return size == 4 && at[2] == 0 && at[3] >= 0x80 ? at[3] : -1;
}

/* The chip's id: 64 bytes, or Turin's 8; some wrap them in an OCTET STRING once more. */
static const uint8_t *snp_hwid(X509 *cert, size_t *size)
{
	const uint8_t *at = attest_extension(cert, SNP_OID "4", size);

	if (at && *size > 2 && at[0] == 0x04 && at[1] == *size - 2 &&
	    (*size == SNP_CHIP_ID_SIZE + 2 || *size == 10)) {
		at += 2;
		*size -= 2;
	}
	return at && (*size == SNP_CHIP_ID_SIZE || *size == 8) ? at : NULL;
}

static bool snp_hwid_is(X509 *cert, const uint8_t *chip)
{
	size_t size = 0;
	const uint8_t *hwid = snp_hwid(cert, &size);

	return hwid && memcmp(hwid, chip, size) == 0 &&
	       bytes_zero(chip + size, SNP_CHIP_ID_SIZE - size);
}

/* The product that a certificate names: "Milan-B0" is Milan. An IA5String. */
static void snp_product(X509 *cert, char out[16])
{
	size_t size;
	const uint8_t *at = attest_extension(cert, SNP_OID "2", &size);

	out[0] = '\0';
	if (!at || size < 3 || at[0] != 0x16 || at[1] != size - 2 || size > 16)
		return;
	for (size_t i = 0; i < size - 2 && at[2 + i] != '-'; i++) {
		out[i] = (char)(at[2 + i] >= ' ' && at[2 + i] <= '~' ? at[2 + i] : '?');
		out[i + 1] = '\0';
	}
}

/* --- which certificate --- */

static bool snp_is_leaf(X509 *cert, enum snp_key key)
{
	char name[64];

	attest_common_name(X509_get_subject_name(cert), name);
	return strcmp(name, key == SNP_VLEK ? "SEV-VLEK" : "SEV-VCEK") == 0;
}

/* The parts of the report's TCB that are not the certificate's: the first one's name, or NULL. */
static const char *snp_tcb_differs(const struct snp *snp, X509 *cert, bool turin, int *has, int *is)
{
	for (size_t i = 0; i < BASE_COUNT(snp_parts); i++) {
		uint8_t at = turin ? snp_parts[i].turin : snp_parts[i].milan;

		if (at == SNP_NO_PART)
			continue;
		*has = snp->report[SNP_REPORTED_TCB + at];
		*is = snp_integer(cert, snp_parts[i].oid);
		if (*has != *is)
			return snp_parts[i].name;
	}
	return NULL;
}

static bool snp_cert_is_turin(X509 *cert)
{
	char product[16];

	snp_product(cert, product);
	return strcmp(product, "Turin") == 0;
}

/* The best of those that there are: for this chip, and for this TCB. */
static void snp_find_leaf(struct snp *snp)
{
	const struct attest_collateral *collateral = snp->attest->input->collateral;
	int best = -1, has, is;

	for (size_t i = 0; i < collateral->cert_count; i++) {
		X509 *cert = collateral->certs[i];
		int score;

		if (!snp_is_leaf(cert, snp->key))
			continue;
		score = 2 * snp_hwid_is(cert, snp->report + SNP_CHIP_ID) +
		        !snp_tcb_differs(snp, cert, snp_cert_is_turin(cert), &has, &is);
		if (score > best) {
			best = score;
			snp->leaf = cert;
		}
	}
}

/* --- checks --- */

static bool snp_format(struct attest *attest, const uint8_t *report, size_t size)
{
	uint32_t version, algorithm, key;

	if (size != SNP_SIZE)
		return attest_check(
		        attest, "length", false,
		        "the report is %zu bytes long, where %d were expected: it is %s", size,
		        SNP_SIZE, size < SNP_SIZE ? "truncated" : "followed by something");
	attest_check(attest, "length", true, "%d bytes", SNP_SIZE);
	version = base_le32(report + SNP_VERSION);
	algorithm = base_le32(report + SNP_ALGORITHM);
	key = base_le32(report + SNP_KEY) >> 2 & 7;
	attest->verdict->version = version;
	if (version < SNP_VERSION_MIN || version > SNP_VERSION_MAX)
		return attest_check(attest, "format", false,
		                    "the report has version %u, where %d to %d were expected",
		                    version, SNP_VERSION_MIN, SNP_VERSION_MAX);
	if (algorithm != SNP_ECDSA_P384)
		return attest_check(attest, "format", false,
		                    "the report is signed by algorithm %u, where %d (ECDSA P-384) "
		                    "was expected",
		                    algorithm, SNP_ECDSA_P384);
	if (key > SNP_VLEK)
		return attest_check(
		        attest, "format", false,
		        "the report is signed by key %u, which is neither VCEK nor VLEK", key);
	if (!bytes_zero(report + SNP_SIGNATURE + 2 * EC_AMD_NUMBER,
	                SNP_SIZE - SNP_SIGNATURE - 2 * EC_AMD_NUMBER))
		return attest_check(attest, "format", false,
		                    "the report has something in the reserved bytes of its "
		                    "signature");
	return attest_check(attest, "format", true, "version %u, signed by a %s", version,
	                    key == SNP_VLEK ? "VLEK" : "VCEK");
}

static void snp_signature(struct snp *snp)
{
	const uint8_t *signature = snp->report + SNP_SIGNATURE;
	EVP_PKEY *key = X509_get0_pubkey(snp->leaf);
	uint8_t r[EC_P384], s[EC_P384];
	char group[32] = "";

	if (!key || EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1 ||
	    strcmp(group, "secp384r1") != 0)
		attest_check(snp->attest, "signature", false,
		             "the certificate's key is not of curve P-384");
	else if (!ec_from_amd(signature, r) || !ec_from_amd(signature + EC_AMD_NUMBER, s) ||
	         ec_verify(key, EC_P384, r, s, snp->report, SNP_SIGNATURE) != 0)
		attest_check(snp->attest, "signature", false, "the report's signature is wrong");
	else
		attest_check(snp->attest, "signature", true, "ECDSA P-384 over %d bytes",
		             SNP_SIGNATURE);
}

/* From version 3 on the report says which processor it is of (AMD's "processor programming" models). */
static const char *snp_reported_product(const uint8_t *report)
{
	const uint8_t family = report[SNP_FAMILY], model = report[SNP_FAMILY + 1];

	if (base_le32(report + SNP_VERSION) < 3)
		return NULL;
	if (family == 0x19 && model <= 0x0f)
		return "Milan";
	if (family == 0x19 && (model >> 4 == 1 || model >> 4 == 0xa))
		return "Genoa";
	return family == 0x1a && model <= 0x1f ? "Turin" : "another processor";
}

static void snp_check_product(struct snp *snp)
{
	const char *root = snp->chain.root->product;
	const char *reported = snp_reported_product(snp->report);
	char issuer[64], named[16], expected[64];

	attest_common_name(X509_get_issuer_name(snp->leaf), issuer);
	snp_product(snp->leaf, named);
	snprintf(expected, sizeof(expected), "%s%s", snp->key == SNP_VLEK ? "SEV-VLEK-" : "SEV-",
	         root);
	snp->attest->verdict->product = root;
	attest_check(snp->attest, "product",
	             strcmp(named, root) == 0 && strcmp(issuer, expected) == 0 &&
	                     (!reported || strcmp(reported, root) == 0),
	             "root %s, issuer '%s', certificate '%s', report %s", root, issuer, named,
	             reported ? reported : "(does not say)");
}

static void snp_check_chip(struct snp *snp)
{
	const uint8_t *chip = snp->report + SNP_CHIP_ID;
	size_t size = 0;

	if (snp->key == SNP_VLEK)
		attest_check(snp->attest, "chip-id", !snp_hwid(snp->leaf, &size),
		             "a VLEK is not of one chip");
	else if (bytes_zero(chip, SNP_CHIP_ID_SIZE))
		attest_check(snp->attest, "chip-id", false,
		             "the report has no chip id: it is masked");
	else
		attest_check(snp->attest, "chip-id", snp_hwid_is(snp->leaf, chip),
		             "%s the chip of the certificate",
		             snp_hwid_is(snp->leaf, chip) ? "it is" : "it is not");
}

/* Each part of the report's three TCBs, and of the least that is wanted: the first that is out of order, or NULL. */
static const struct snp_part *snp_tcb_order(const struct snp *snp, const uint64_t *min)
{
	for (size_t i = 0; i < BASE_COUNT(snp_parts); i++) {
		const uint8_t at = snp->turin ? snp_parts[i].turin : snp_parts[i].milan;
		uint8_t reported, committed;

		if (at == SNP_NO_PART)
			continue;
		reported = snp->report[SNP_REPORTED_TCB + at];
		committed = snp->report[SNP_COMMITTED_TCB + at];
		if (min ? reported < (uint8_t)(*min >> 8 * at)
		        : reported > committed || committed > snp->report[SNP_CURRENT_TCB + at])
			return &snp_parts[i];
	}
	return NULL;
}

static void snp_check_tcb(struct snp *snp)
{
	const uint64_t *min = snp->attest->input->min_tcb;
	int has = 0, is = 0;
	const char *differs = snp_tcb_differs(snp, snp->leaf, snp->turin, &has, &is);
	const struct snp_part *part = snp_tcb_order(snp, NULL);

	if (differs)
		attest_check(snp->attest, "tcb", false,
		             "the report's TCB has %s %d, the certificate's %d", differs, has, is);
	else
		attest_check(snp->attest, "tcb", true, "0x%016llx, as in the certificate",
		             (unsigned long long)base_le64(snp->report + SNP_REPORTED_TCB));
	attest_check(
	        snp->attest, "tcb-order", !part, "%s%s",
	        part ? "reported, committed and current TCB are out of order: "
	             : "the reported TCB is not above the committed, nor that above the current",
	        part ? part->name : "");
	part = min ? snp_tcb_order(snp, min) : NULL;
	if (min)
		attest_check(snp->attest, "tcb-minimum", !part, "%s%s",
		             part ? "stale: below what was asked for: "
		                  : "at least what was asked for",
		             part ? part->name : "");
}

/* Without a level that is wanted: any of the guest's. A report that its host has asked for has ones here (table 23). */
static void snp_check_vmpl(struct attest *attest, uint32_t vmpl)
{
	const uint64_t *wanted = attest->input->vmpl;

	if (wanted)
		attest_check(attest, "vmpl", vmpl == *wanted, "%u, where %llu was expected", vmpl,
		             (unsigned long long)*wanted);
	else
		attest_check(attest, "vmpl", vmpl <= SNP_VMPL_MAX, "%u, %s", vmpl,
		             vmpl <= SNP_VMPL_MAX ? "asked for by the guest"
		                                  : "asked for by its host");
}

static void snp_check_guest(struct attest *attest, const uint8_t *report)
{
	const struct attest_input *input = attest->input;
	const uint64_t policy = base_le64(report + SNP_POLICY);
	const bool debug = policy & SNP_POLICY_DEBUG;

	attest_check(attest, "debug", !debug || input->allow_debug,
	             debug ? "the guest's policy 0x%llx lets its host read its memory"
	                   : "the guest's policy 0x%llx does not allow debugging",
	             (unsigned long long)policy);
	attest_migration(attest, policy, SNP_POLICY_MIGRATE_MA);
	if (input->policy)
		attest_check(attest, "policy",
		             policy == *input->policy && policy & SNP_POLICY_RESERVED_ONE,
		             "0x%llx, where 0x%llx was expected", (unsigned long long)policy,
		             (unsigned long long)*input->policy);
	snp_check_vmpl(attest, base_le32(report + SNP_VMPL));
	attest_wanted(attest, "measurement", input->measurement, report + SNP_MEASUREMENT, 48);
	attest_wanted(attest, "report-data", input->report_data, report + SNP_REPORT_DATA, 64);
	attest_wanted(attest, "host-data", input->host_data, report + SNP_HOST_DATA, 32);
}

/* What of the ID block is not the report's; NULL: nothing. */
static const char *snp_block_differs(const struct idblock *block, const uint8_t *report)
{
	if (memcmp(block->digest, report + SNP_MEASUREMENT, sizeof(block->digest)) != 0)
		return "measurement";
	if (memcmp(block->family, report + SNP_FAMILY_ID, sizeof(block->family)) != 0)
		return "family";
	if (memcmp(block->image, report + SNP_IMAGE_ID, sizeof(block->image)) != 0)
		return "image";
	if (block->svn != base_le32(report + SNP_GUEST_SVN))
		return "security version";
	return block->policy != base_le64(report + SNP_POLICY) ? "policy" : NULL;
}

/* A guest that started without an ID block has zeros where the ID key's digest is. */
static void snp_check_block(struct attest *attest, const uint8_t *report)
{
	const struct attest_block *wanted = attest->input->block;
	const bool author = base_le32(report + SNP_KEY) & SNP_KEY_AUTHOR;
	const char *differs;

	if (!wanted)
		return;
	differs = snp_block_differs(&wanted->block, report);
	attest_check(attest, "id-block", !differs, "%s%s",
	             differs ? "another " : "the report is as the ID block says",
	             differs ? differs : "");
	attest_check(
	        attest, "id-key",
	        memcmp(wanted->keys.id_key, report + SNP_ID_KEY, sizeof(wanted->keys.id_key)) == 0,
	        bytes_zero(report + SNP_ID_KEY, sizeof(wanted->keys.id_key))
	                ? "the guest has started without an ID block"
	                : "the digest of the key that has signed the ID block");
	attest_check(attest, "author-key",
	             author == wanted->keys.has_author &&
	                     (!author || memcmp(wanted->keys.author_key, report + SNP_AUTHOR_KEY,
	                                        sizeof(wanted->keys.author_key)) == 0),
	             "the report has %s, the ID auth block %s", author ? "an author's key" : "none",
	             wanted->keys.has_author ? "one" : "none");
}

void attest_snp(struct attest *attest, const uint8_t *report, size_t size)
{
	struct attest_verdict *verdict = attest->verdict;
	struct snp snp = {.attest = attest, .report = report};
	char why[WHY_MAX];

	verdict->kind = ATTEST_SNP;
	if (!snp_format(attest, report, size))
		return;
	verdict->read = true;
	verdict->policy = base_le64(report + SNP_POLICY);
	verdict->vmpl = base_le32(report + SNP_VMPL);
	memcpy(verdict->measurement, report + SNP_MEASUREMENT, 48);
	memcpy(verdict->report_data, report + SNP_REPORT_DATA, 64);
	snp.key = (enum snp_key)(base_le32(report + SNP_KEY) >> 2 & 7);
	snp_find_leaf(&snp);
	if (!snp.leaf) {
		attest_check(attest, "certificate", false, "there is no certificate of a %s",
		             snp.key == SNP_VLEK ? "VLEK" : "VCEK");
		return;
	}
	if (attest_check(attest, "certificate-chain",
	                 attest_chain_find(attest, ATTEST_SNP, snp.leaf, NULL, &snp.chain, why),
	                 "%s", why)) {
		snp.turin = strcmp(snp.chain.root->product, "Turin") == 0;
		attest_chain_times(attest, "validity", &snp.chain);
		attest_chain_revoked(attest, "revocation", &snp.chain);
		snp_check_product(&snp);
	}
	snp_signature(&snp);
	snp_check_chip(&snp);
	snp_check_tcb(&snp);
	snp_check_guest(attest, report);
	snp_check_block(attest, report);
}
