// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * attest_pck: what the certificate of a platform's key says of it: one extension of Intel's, a SEQUENCE of pairs of
 * OID and value, one of which is a SEQUENCE of such pairs itself ("SGX PCK certificate profile" 1.3.5). Each of
 * the 19 values that are needed has to be there once.
 */
#include "base/base.h"
#include "confidential/attest.h"

#define PCK_SGX_OID "1.2.840.113741.1.13.1"

/* What was found, as bits: components' SVNs by their OID, and then these. */
enum { PCK_PCE_SVN = 17, PCK_PCE_ID = 18, PCK_FMSPC = 19, PCK_ALL = 0xffffe, PCK_TWICE = 1 };

static void pck_found(uint32_t *found, int what)
{
	*found |= *found & 1u << what ? PCK_TWICE : 1u << what;
}

/* One TLV with a length of at most 2 bytes; false at the end, or when it is none. */
static bool pck_der(struct attest_rest *rest, uint8_t *tag, struct attest_rest *content)
{
	const uint8_t *head = attest_take(rest, 2), *more = NULL;
	size_t length;

	if (!head)
		return false;
	length = head[1];
	if (length > 0x80) {
		size_t width = length & 0x7f;

		more = width <= 2 ? attest_take(rest, width) : NULL;
		if (!more)
			return false;
		length = width == 1 ? more[0] : base_be16(more);
	}
	*tag = head[0];
	content->left = length;
	content->at = length == 0x80 && !more ? NULL : attest_take(rest, length);
	return content->at != NULL;
}

/* An OID's last parts, behind Intel's; -1 when it is another. */
static int pck_oid(const struct attest_rest *oid, size_t prefix)
{
	static const uint8_t intel[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01, 0x02};

	if (oid->left != prefix + 1 || memcmp(oid->at, intel, prefix) != 0)
		return -1;
	return oid->at[prefix];
}

static uint32_t pck_integer(const struct attest_rest *value)
{
	uint32_t number = 0;

	if (value->left > 4)
		return UINT32_MAX;
	for (size_t i = 0; i < value->left; i++)
		number = number << 8 | value->at[i];
	return number;
}

/* The next pair of a SEQUENCE of SEQUENCE {OID, value}. */
static bool pck_pair(struct attest_rest *list, size_t prefix, int *oid, uint8_t *tag,
                     struct attest_rest *value)
{
	struct attest_rest pair, name;
	uint8_t sequence, object;

	if (list->left == 0 || !pck_der(list, &sequence, &pair) || sequence != 0x30 ||
	    !pck_der(&pair, &object, &name) || object != 0x06 || !pck_der(&pair, tag, value))
		return false;
	*oid = pck_oid(&name, prefix);
	return true;
}

/* 16 component SVNs and the PCE's. */
static void pck_tcb(struct attest_rest list, struct attest_platform *platform, uint32_t *found)
{
	struct attest_rest value;
	uint8_t tag;
	int oid;

	while (pck_pair(&list, 10, &oid, &tag, &value)) {
		uint32_t number = tag == 0x02 ? pck_integer(&value) : UINT32_MAX;

		if (oid >= 1 && oid <= 16 && number <= UINT8_MAX) {
			platform->sgx_svn[oid - 1] = (uint8_t)number;
			pck_found(found, oid);
		}
		if (oid == PCK_PCE_SVN && number <= UINT16_MAX) {
			platform->pce_svn = number;
			pck_found(found, PCK_PCE_SVN);
		}
	}
}

bool attest_pck_read(struct attest_rest extension, struct attest_platform *platform)
{
	struct attest_rest list, value;
	uint8_t tag;
	uint32_t found = 0;
	int oid;

	if (!pck_der(&extension, &tag, &list) || tag != 0x30 || extension.left != 0)
		return false;
	while (pck_pair(&list, 9, &oid, &tag, &value)) {
		if (oid == 2 && tag == 0x30)
			pck_tcb(value, platform, &found);
		if (oid == 3 && tag == 0x04 && value.left == sizeof(platform->pce_id)) {
			memcpy(platform->pce_id, value.at, sizeof(platform->pce_id));
			pck_found(&found, PCK_PCE_ID);
		}
		if (oid == 4 && tag == 0x04 && value.left == sizeof(platform->fmspc)) {
			memcpy(platform->fmspc, value.at, sizeof(platform->fmspc));
			pck_found(&found, PCK_FMSPC);
		}
	}
	return found == PCK_ALL;
}

bool attest_pck(X509 *pck, struct attest_platform *platform)
{
	struct attest_rest extension;

	extension.at = attest_extension(pck, PCK_SGX_OID, &extension.left);
	return extension.at && attest_pck_read(extension, platform);
}
