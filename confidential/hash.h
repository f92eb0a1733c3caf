/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hash: SHA-256 and SHA-384 by libcrypto's EVP. A failure is kept until the end, and reported there. */
#ifndef CORDON_CONFIDENTIAL_HASH_H
#define CORDON_CONFIDENTIAL_HASH_H

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

/* The size of the digest names the function. */
enum { HASH_SHA256 = 32, HASH_SHA384 = 48 };

struct hash {
	EVP_MD_CTX *context; /* NULL: failed */
};

void hash_open(struct hash *hash, size_t digest_size);
void hash_add(struct hash *hash, const void *bytes, size_t size);
/* Writes the digest and frees all; 0, or -ENOMEM when any step failed. */
int hash_close(struct hash *hash, void *digest);
/* For one that is not needed any more. */
void hash_drop(struct hash *hash);

/* All at once. */
int hash_once(size_t digest_size, const void *bytes, size_t size, void *digest);

#endif
