// SPDX-License-Identifier: GPL-2.0-or-later
/* hash: see hash.h. */
#include "confidential/hash.h"

#include <errno.h>

void hash_drop(struct hash *hash)
{
	EVP_MD_CTX_free(hash->context);
	hash->context = NULL;
}

void hash_open(struct hash *hash, size_t digest_size)
{
	const EVP_MD *kind = digest_size == HASH_SHA256 ? EVP_sha256() : EVP_sha384();

	hash->context = EVP_MD_CTX_new();
	if (hash->context && EVP_DigestInit_ex(hash->context, kind, NULL) != 1)
		hash_drop(hash);
}

void hash_add(struct hash *hash, const void *bytes, size_t size)
{
	if (hash->context && size > 0 && EVP_DigestUpdate(hash->context, bytes, size) != 1)
		hash_drop(hash);
}

int hash_close(struct hash *hash, void *digest)
{
	int err =
	        hash->context && EVP_DigestFinal_ex(hash->context, digest, NULL) == 1 ? 0 : -ENOMEM;

	hash_drop(hash);
	return err;
}

int hash_once(size_t digest_size, const void *bytes, size_t size, void *digest)
{
	struct hash hash;

	hash_open(&hash, digest_size);
	hash_add(&hash, bytes, size);
	return hash_close(&hash, digest);
}
