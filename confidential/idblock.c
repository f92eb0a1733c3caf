// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * idblock: the block that names a guest and the only digest that it may start with, and the block that
 * authenticates it (SNP ABI section 8.18, SNP_LAUNCH_FINISH, tables 75 and 76). The owner's ID key signs the
 * block; an author's key may sign the ID key. An attestation report has the digests of both keys.
 */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>

#include "base/base.h"
#include "confidential/bytes.h"
#include "confidential/confidential.h"
#include "confidential/ec.h"
#include "confidential/hash.h"

enum {
	IDBLOCK_FAMILY = 48,
	IDBLOCK_IMAGE = 64,
	IDBLOCK_VERSION = 80,
	IDBLOCK_SVN = 84,
	IDBLOCK_POLICY = 88,
	IDBLOCK_VERSION_IS = 1,

	AUTH_ID_ALGORITHM = 0,
	AUTH_AUTHOR_ALGORITHM = 4,
	AUTH_BLOCK_SIGNATURE = 0x40,
	AUTH_ID_KEY = 0x240,
	AUTH_ID_KEY_SIGNATURE = 0x680,
	AUTH_AUTHOR_KEY = 0x880,
	AUTH_ECDSA_P384_SHA384 = 1, /* SNP ABI table 136 */

	IDBLOCK_SIGNATURE_SIZE = 512,
	IDBLOCK_CURVE_P384 = 2,
};
_Static_assert(AUTH_BLOCK_SIGNATURE + IDBLOCK_SIGNATURE_SIZE == AUTH_ID_KEY, "SNP ABI table 76");
_Static_assert(AUTH_ID_KEY_SIGNATURE + IDBLOCK_SIGNATURE_SIZE == AUTH_AUTHOR_KEY, "table 76");

static void idblock_free_key(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}
static void idblock_free_bio(BIO **bio)
{
	BIO_free(*bio);
}
static void idblock_free_digest(EVP_MD_CTX **context)
{
	EVP_MD_CTX_free(*context);
}
static void idblock_free_signature(ECDSA_SIG **signature)
{
	ECDSA_SIG_free(*signature);
}
static void idblock_free_number(BIGNUM **number)
{
	BN_free(*number);
}

static void idblock_put(uint8_t *to, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		to[i] = (uint8_t)(value >> 8 * i);
}

/* --- keys --- */

/* A key with a passphrase is refused: there is nobody to ask. */
static int idblock_no_passphrase(char *to, int size, int writing, void *data)
{
	(void)to, (void)size, (void)writing, (void)data;
	return -1;
}

static EVP_PKEY *idblock_load(const void *pem, size_t size, const char *what, char *why)
{
	BASE_CLEANUP(idblock_free_bio)
	BIO *bio = size <= INT32_MAX ? BIO_new_mem_buf(pem, (int)size) : NULL;
	EVP_PKEY *key =
	        bio ? PEM_read_bio_PrivateKey(bio, NULL, idblock_no_passphrase, NULL) : NULL;
	char group[32] = "";

	if (key && EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
	    (strcmp(group, "secp384r1") == 0 || strcmp(group, "P-384") == 0))
		return key;
	why_set(why, -EINVAL,
	        "the %s key is not a private key of curve P-384 in PEM, without a "
	        "passphrase",
	        what);
	EVP_PKEY_free(key);
	return NULL;
}

static int idblock_public(const EVP_PKEY *key, uint8_t out[IDBLOCK_KEY_SIZE])
{
	const char *const names[] = {OSSL_PKEY_PARAM_EC_PUB_X, OSSL_PKEY_PARAM_EC_PUB_Y};

	memset(out, 0, IDBLOCK_KEY_SIZE);
	idblock_put(out, IDBLOCK_CURVE_P384, 4);
	for (size_t i = 0; i < BASE_COUNT(names); i++) {
		BASE_CLEANUP(idblock_free_number) BIGNUM *number = NULL;

		if (EVP_PKEY_get_bn_param(key, names[i], &number) != 1 ||
		    BN_bn2lebinpad(number, out + 4 + i * EC_AMD_NUMBER, EC_AMD_NUMBER) < 0)
			return -EINVAL;
	}
	return 0;
}

static int idblock_sign(EVP_PKEY *key, const void *bytes, size_t size,
                        uint8_t out[IDBLOCK_SIGNATURE_SIZE])
{
	BASE_CLEANUP(idblock_free_digest) EVP_MD_CTX *context = EVP_MD_CTX_new();
	BASE_CLEANUP(idblock_free_signature) ECDSA_SIG *signature = NULL;
	uint8_t der[2 * EC_NUMBER_MAX + 16];
	const uint8_t *at = der;
	size_t length = sizeof(der);

	memset(out, 0, IDBLOCK_SIGNATURE_SIZE);
	if (!context || EVP_DigestSignInit(context, NULL, EVP_sha384(), NULL, key) != 1 ||
	    EVP_DigestSign(context, der, &length, bytes, size) != 1)
		return -EKEYREJECTED;
	signature = d2i_ECDSA_SIG(NULL, &at, (long)length);
	if (!signature || BN_bn2lebinpad(ECDSA_SIG_get0_r(signature), out, EC_AMD_NUMBER) < 0 ||
	    BN_bn2lebinpad(ECDSA_SIG_get0_s(signature), out + EC_AMD_NUMBER, EC_AMD_NUMBER) < 0)
		return -EKEYREJECTED;
	return 0;
}

/* --- making --- */

static void idblock_write(const struct idblock *block, uint8_t out[IDBLOCK_SIZE])
{
	memset(out, 0, IDBLOCK_SIZE);
	memcpy(out, block->digest, sizeof(block->digest));
	memcpy(out + IDBLOCK_FAMILY, block->family, sizeof(block->family));
	memcpy(out + IDBLOCK_IMAGE, block->image, sizeof(block->image));
	idblock_put(out + IDBLOCK_VERSION, IDBLOCK_VERSION_IS, 4);
	idblock_put(out + IDBLOCK_SVN, block->svn, 4);
	idblock_put(out + IDBLOCK_POLICY, block->policy, 8);
}

static int idblock_make_author(EVP_PKEY *author, uint8_t auth[IDBLOCK_AUTH_SIZE],
                               struct idblock_digests *digests)
{
	int err = idblock_public(author, auth + AUTH_AUTHOR_KEY);

	idblock_put(auth + AUTH_AUTHOR_ALGORITHM, AUTH_ECDSA_P384_SHA384, 4);
	if (!err)
		err = idblock_sign(author, auth + AUTH_ID_KEY, IDBLOCK_KEY_SIZE,
		                   auth + AUTH_ID_KEY_SIGNATURE);
	if (!err)
		err = hash_once(HASH_SHA384, auth + AUTH_AUTHOR_KEY, IDBLOCK_KEY_SIZE,
		                digests->author_key);
	digests->has_author = true;
	return err;
}

int idblock_make(const struct idblock *block, const void *id_key, size_t id_key_size,
                 const void *author_key, size_t author_key_size, uint8_t out[IDBLOCK_SIZE],
                 uint8_t auth[IDBLOCK_AUTH_SIZE], struct idblock_digests *digests, char *why)
{
	BASE_CLEANUP(idblock_free_key) EVP_PKEY *id = idblock_load(id_key, id_key_size, "ID", why);
	BASE_CLEANUP(idblock_free_key) EVP_PKEY *author = NULL;
	int err;

	if (id && author_key)
		author = idblock_load(author_key, author_key_size, "author", why);
	if (!id || (author_key && !author))
		return -EINVAL;
	*digests = (struct idblock_digests){0};
	memset(auth, 0, IDBLOCK_AUTH_SIZE);
	idblock_write(block, out);
	idblock_put(auth + AUTH_ID_ALGORITHM, AUTH_ECDSA_P384_SHA384, 4);
	err = idblock_public(id, auth + AUTH_ID_KEY);
	if (!err)
		err = idblock_sign(id, out, IDBLOCK_SIZE, auth + AUTH_BLOCK_SIGNATURE);
	if (!err)
		err = hash_once(HASH_SHA384, auth + AUTH_ID_KEY, IDBLOCK_KEY_SIZE, digests->id_key);
	if (!err && author)
		err = idblock_make_author(author, auth, digests);
	return err ? why_set(why, err, "libcrypto cannot sign the ID block") : 0;
}

/* --- checking --- */

static int idblock_verify(const uint8_t key[IDBLOCK_KEY_SIZE],
                          const uint8_t signature[IDBLOCK_SIGNATURE_SIZE], const uint8_t *bytes,
                          size_t size, const char *what, char *why)
{
	uint8_t x[EC_P384], y[EC_P384], r[EC_P384], s[EC_P384];
	BASE_CLEANUP(idblock_free_key) EVP_PKEY *public = NULL;

	if (base_le32(key) != IDBLOCK_CURVE_P384 || !ec_from_amd(key + 4, x) ||
	    !ec_from_amd(key + 4 + EC_AMD_NUMBER, y) ||
	    !bytes_zero(key + 4 + 2 * EC_AMD_NUMBER, IDBLOCK_KEY_SIZE - 4 - 2 * EC_AMD_NUMBER))
		return why_set(why, -EINVAL, "the %s key is not one of curve P-384", what);
	if (!ec_from_amd(signature, r) || !ec_from_amd(signature + EC_AMD_NUMBER, s) ||
	    !bytes_zero(signature + 2 * EC_AMD_NUMBER, IDBLOCK_SIGNATURE_SIZE - 2 * EC_AMD_NUMBER))
		return why_set(why, -EINVAL,
		               "the signature of the %s key has numbers above 384 "
		               "bits, or something behind them",
		               what);
	public = ec_public(EC_P384, x, y);
	if (!public)
		return why_set(why, -EINVAL, "the %s key is no point of curve P-384", what);
	if (ec_verify(public, EC_P384, r, s, bytes, size) != 0)
		return why_set(why, -EKEYREJECTED, "the signature of the %s key is wrong", what);
	return 0;
}

static int idblock_check_author(const uint8_t *auth, struct idblock_digests *digests, char *why)
{
	int err;

	digests->has_author = base_le32(auth + AUTH_AUTHOR_ALGORITHM) != 0;
	if (!digests->has_author)
		return bytes_zero(auth + AUTH_ID_KEY_SIGNATURE,
		                  IDBLOCK_AUTH_SIZE - AUTH_ID_KEY_SIGNATURE)
		               ? 0
		               : why_set(why, -EINVAL,
		                         "the ID auth block has an author's key, and no algorithm "
		                         "for it");
	err = idblock_verify(auth + AUTH_AUTHOR_KEY, auth + AUTH_ID_KEY_SIGNATURE,
	                     auth + AUTH_ID_KEY, IDBLOCK_KEY_SIZE, "author", why);
	return err ? err
	           : hash_once(HASH_SHA384, auth + AUTH_AUTHOR_KEY, IDBLOCK_KEY_SIZE,
	                       digests->author_key);
}

static int idblock_check_form(const uint8_t *bytes, size_t size, const uint8_t *auth,
                              size_t auth_size, char *why)
{
	static const struct {
		size_t start, end;
	} reserved[] = {{8, AUTH_BLOCK_SIGNATURE},
	                {AUTH_ID_KEY + IDBLOCK_KEY_SIZE, AUTH_ID_KEY_SIGNATURE},
	                {AUTH_AUTHOR_KEY + IDBLOCK_KEY_SIZE, IDBLOCK_AUTH_SIZE}};

	if (size != IDBLOCK_SIZE || auth_size != IDBLOCK_AUTH_SIZE)
		return why_set(why, -EINVAL,
		               "the ID block is %zu bytes long and the ID auth block %zu, where %d "
		               "and %d were expected",
		               size, auth_size, IDBLOCK_SIZE, IDBLOCK_AUTH_SIZE);
	if (base_le32(bytes + IDBLOCK_VERSION) != IDBLOCK_VERSION_IS)
		return why_set(why, -EINVAL, "the ID block has version %u, where %d was expected",
		               base_le32(bytes + IDBLOCK_VERSION), IDBLOCK_VERSION_IS);
	if (base_le32(auth + AUTH_ID_ALGORITHM) != AUTH_ECDSA_P384_SHA384 ||
	    base_le32(auth + AUTH_AUTHOR_ALGORITHM) > AUTH_ECDSA_P384_SHA384)
		return why_set(why, -EINVAL,
		               "the ID auth block has algorithms %u and %u, where %d (ECDSA P-384 "
		               "with SHA-384) was expected",
		               base_le32(auth + AUTH_ID_ALGORITHM),
		               base_le32(auth + AUTH_AUTHOR_ALGORITHM), AUTH_ECDSA_P384_SHA384);
	for (size_t i = 0; i < BASE_COUNT(reserved); i++)
		if (!bytes_zero(auth + reserved[i].start, reserved[i].end - reserved[i].start))
			return why_set(why, -EINVAL,
			               "the ID auth block has something in its reserved bytes");
	return 0;
}

int idblock_check(const uint8_t *bytes, size_t size, const uint8_t *auth, size_t auth_size,
                  struct idblock *block, struct idblock_digests *digests, char *why)
{
	int err = idblock_check_form(bytes, size, auth, auth_size, why);

	if (err)
		return err;
	*digests = (struct idblock_digests){0};
	memcpy(block->digest, bytes, sizeof(block->digest));
	memcpy(block->family, bytes + IDBLOCK_FAMILY, sizeof(block->family));
	memcpy(block->image, bytes + IDBLOCK_IMAGE, sizeof(block->image));
	block->svn = base_le32(bytes + IDBLOCK_SVN);
	block->policy = base_le64(bytes + IDBLOCK_POLICY);
	err = idblock_verify(auth + AUTH_ID_KEY, auth + AUTH_BLOCK_SIGNATURE, bytes, size, "ID",
	                     why);
	if (!err)
		err = hash_once(HASH_SHA384, auth + AUTH_ID_KEY, IDBLOCK_KEY_SIZE, digests->id_key);
	return err ? err : idblock_check_author(auth, digests, why);
}
