// SPDX-License-Identifier: GPL-2.0-or-later
/* ec: see ec.h. */
#include "confidential/ec.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>

#include "base/base.h"

static void ec_free_sig(ECDSA_SIG **sig)
{
	ECDSA_SIG_free(*sig);
}
static void ec_free_context(EVP_PKEY_CTX **context)
{
	EVP_PKEY_CTX_free(*context);
}
static void ec_free_digest(EVP_MD_CTX **context)
{
	EVP_MD_CTX_free(*context);
}

EVP_PKEY *ec_public(enum ec_curve curve, const uint8_t *x, const uint8_t *y)
{
	char group[8] = "P-384";
	uint8_t point[1 + 2 * EC_NUMBER_MAX] = {POINT_CONVERSION_UNCOMPRESSED};
	OSSL_PARAM params[] = {
	        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
	        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * curve),
	        OSSL_PARAM_construct_end()};
	BASE_CLEANUP(ec_free_context)
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *key = NULL;

	if (curve == EC_P256)
		memcpy(group, "P-256", sizeof("P-256"));
	memcpy(point + 1, x, curve);
	memcpy(point + 1 + curve, y, curve);
	if (!context || EVP_PKEY_fromdata_init(context) != 1 ||
	    EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		return NULL;
	return key;
}

int ec_verify(EVP_PKEY *key, enum ec_curve curve, const uint8_t *r, const uint8_t *s,
              const void *bytes, size_t size)
{
	BASE_CLEANUP(ec_free_sig) ECDSA_SIG *sig = ECDSA_SIG_new();
	BASE_CLEANUP(ec_free_digest) EVP_MD_CTX *context = EVP_MD_CTX_new();
	BIGNUM *r_number = BN_bin2bn(r, curve, NULL), *s_number = BN_bin2bn(s, curve, NULL);
	uint8_t der[2 * EC_NUMBER_MAX + 16], *at = der;
	int length;

	if (!sig || !r_number || !s_number || ECDSA_SIG_set0(sig, r_number, s_number) != 1) {
		BN_free(r_number);
		BN_free(s_number);
		return -ENOMEM;
	}
	length = i2d_ECDSA_SIG(sig, NULL);
	if (!context || length <= 0 || (size_t)length > sizeof(der) ||
	    i2d_ECDSA_SIG(sig, &at) != length)
		return -EKEYREJECTED;
	if (EVP_DigestVerifyInit(context, NULL, curve == EC_P256 ? EVP_sha256() : EVP_sha384(),
	                         NULL, key) != 1 ||
	    EVP_DigestVerify(context, der, (size_t)length, bytes, size) != 1)
		return -EKEYREJECTED;
	return 0;
}

bool ec_from_amd(const uint8_t amd[EC_AMD_NUMBER], uint8_t number[EC_P384])
{
	for (size_t i = EC_P384; i < EC_AMD_NUMBER; i++)
		if (amd[i])
			return false;
	for (size_t i = 0; i < EC_P384; i++)
		number[i] = amd[EC_P384 - 1 - i];
	return true;
}
