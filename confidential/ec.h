/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ec: ECDSA with keys and signatures as bare numbers, which is how hardware writes them. */
#ifndef CORDON_CONFIDENTIAL_EC_H
#define CORDON_CONFIDENTIAL_EC_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ec_curve { EC_P256 = 32, EC_P384 = 48 }; /* the size of a coordinate */
enum { EC_NUMBER_MAX = 48, EC_AMD_NUMBER = 72 };

/* A public key of two big-endian coordinates; NULL when it is not on the curve. */
EVP_PKEY *ec_public(enum ec_curve curve, const uint8_t *x, const uint8_t *y);

/* A signature of two big-endian numbers, SHA-256 for P-256 and SHA-384 for P-384. 0 or -EKEYREJECTED. */
int ec_verify(EVP_PKEY *key, enum ec_curve curve, const uint8_t *r, const uint8_t *s,
              const void *bytes, size_t size);

/* The number that AMD's structures have in 72 little-endian bytes. False when it has more than 48. */
bool ec_from_amd(const uint8_t amd[EC_AMD_NUMBER], uint8_t number[EC_P384]);

#endif
