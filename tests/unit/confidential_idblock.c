/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ID blocks: a published one, and the digests of published keys, as virtee's sev crate (tests/id-block.rs) and
 * sev-snp-measure (tests/test_id_block.py) have them; then what is changed in any byte, cut, or made with another key.
 */
#include <check.h>

#include "tests/unit/attest_fixture.h"

#include <openssl/pem.h>

#include "base/base.h"
#include "confidential/bytes.h"

static const struct published {
	const char *id_pem, *author_pem, *digest, *id_key, *author_key;
} published[] = {
        {"test_id_key.pem", "test_auth_key.pem",
         "a14d638341e5674628fe1e02fbedebe5e5ab4faf1dd72d8966068e615bb99efd13d214b35c231715b38e263d"
         "c6059745",
         "59fb2c686dfa4fef49f38339aa775c90051c28d57383ddc3baf3b5eb4b1496df3b0dbbdcbae5fe27677a6448"
         "20773fe2",
         "eed81169fb0cb5e0ec34794f128fd4e0c4a46f67c65a1adfa81fcb24bcc088c272369b7ffc3eb2b6af6a4284"
         "a1b36c5f"},
        {"id_key_test.pem", "author_key_test.pem",
         "076f052d08bda7a700aa2a608c5caa6b00ebad297b6d68a85a45b1e669a558b67e1b91d284a301fe63c4fa07"
         "50467eed",
         "870b7e35c53f8a72d0d322f75ab2af8262792aaf6579622ce4131c3f21f289e77cb0560a5e3b90b3932e674e"
         "c709cb14",
         "63111c34bbfc0a4938f9a009bd074980d8172323e61599c9fd336da8673248e1dca98d0be8f76376a106b8af"
         "d4c0a057"},
};

/* Family, image, version 1, SVN 0 and policy 0x30000 behind the digest. */
static void expected_block(const struct published *from, uint8_t out[IDBLOCK_SIZE])
{
	memset(out, 0, IDBLOCK_SIZE);
	ck_assert(bytes_from_hex(from->digest, out, 48));
	out[80] = 1;
	out[90] = 3;
}

static void expect_digests(const struct published *from, const struct idblock_digests *digests)
{
	uint8_t id[48], author[48];

	ck_assert(bytes_from_hex(from->id_key, id, 48) &&
	          bytes_from_hex(from->author_key, author, 48));
	ck_assert_mem_eq(digests->id_key, id, 48);
	ck_assert(digests->has_author);
	ck_assert_mem_eq(digests->author_key, author, 48);
}

static int check(const uint8_t *bytes, size_t size, const uint8_t *auth, size_t auth_size)
{
	struct idblock block;
	struct idblock_digests digests;
	char why[WHY_MAX] = "";
	int err = idblock_check(bytes, size, auth, auth_size, &block, &digests, why);

	ck_assert(err == 0 || why[0]);
	return err;
}

START_TEST(test_published)
{
	size_t size;
	BASE_AUTO_FREE uint8_t *auth = attest_file("test_auth_block.bin", &size);
	struct idblock block;
	struct idblock_digests digests;
	uint8_t bytes[IDBLOCK_SIZE];
	char why[WHY_MAX];

	expected_block(&published[0], bytes);
	ck_assert_int_eq(idblock_check(bytes, sizeof(bytes), auth, size, &block, &digests, why), 0);
	expect_digests(&published[0], &digests);
	ck_assert_uint_eq(block.policy, 0x30000);
	ck_assert_uint_eq(block.svn, 0);
	/* each byte of both: no bit of them is free */
	for (size_t at = 0; at < sizeof(bytes); at++) {
		bytes[at] ^= (uint8_t)(1 << at % 8);
		ck_assert_msg(check(bytes, sizeof(bytes), auth, size) < 0, "byte %zu", at);
		bytes[at] ^= (uint8_t)(1 << at % 8);
	}
	for (size_t at = 0; at < size; at++) {
		auth[at] ^= (uint8_t)(1 << at % 8);
		ck_assert_msg(check(bytes, sizeof(bytes), auth, size) < 0, "byte %zu of auth", at);
		auth[at] ^= (uint8_t)(1 << at % 8);
	}
	ck_assert_int_eq(check(bytes, sizeof(bytes), auth, size), 0);
}
END_TEST

START_TEST(test_made)
{
	const struct published *from = &published[_i];
	size_t id_size, author_size;
	BASE_AUTO_FREE uint8_t *id = attest_file(from->id_pem, &id_size);
	BASE_AUTO_FREE uint8_t *author = attest_file(from->author_pem, &author_size);
	struct idblock block = {.policy = 0x30000};
	struct idblock_digests digests;
	uint8_t expected[IDBLOCK_SIZE], bytes[IDBLOCK_SIZE], auth[IDBLOCK_AUTH_SIZE];
	char why[WHY_MAX];

	ck_assert(bytes_from_hex(from->digest, block.digest, 48));
	expected_block(from, expected);
	ck_assert_int_eq(
	        idblock_make(&block, id, id_size, author, author_size, bytes, auth, &digests, why),
	        0);
	ck_assert_mem_eq(bytes, expected, sizeof(bytes));
	expect_digests(from, &digests);
	ck_assert_int_eq(check(bytes, sizeof(bytes), auth, sizeof(auth)), 0);
	/* an author is not needed */
	ck_assert_int_eq(idblock_make(&block, id, id_size, NULL, 0, bytes, auth, &digests, why), 0);
	ck_assert(!digests.has_author);
	ck_assert_int_eq(check(bytes, sizeof(bytes), auth, sizeof(auth)), 0);
	auth[0x880] = 1;
	ck_assert_int_eq(check(bytes, sizeof(bytes), auth, sizeof(auth)), -EINVAL);
	/* cut anywhere, or longer */
	for (size_t size = 0; size < sizeof(bytes); size++)
		ck_assert_int_eq(check(bytes, size, auth, sizeof(auth)), -EINVAL);
	for (size_t size = 0; size < sizeof(auth); size++)
		ck_assert_int_eq(check(bytes, sizeof(bytes), auth, size), -EINVAL);
	ck_assert_int_eq(check(bytes, sizeof(bytes), auth, sizeof(auth) + 1), -EINVAL);
}
END_TEST

/* A key in PEM; the caller frees it. */
static char *key_pem(const char *curve, bool public, const char *passphrase, size_t *size)
{
	EVP_PKEY *key = EVP_EC_gen(curve);
	BIO *bio = BIO_new(BIO_s_mem());
	char *text, *pem;

	ck_assert(key && bio);
	if (public)
		ck_assert_int_eq(PEM_write_bio_PUBKEY(bio, key), 1);
	else
		ck_assert_int_eq(PEM_write_bio_PrivateKey(
		                         bio, key, passphrase ? EVP_aes_128_cbc() : NULL,
		                         (const uint8_t *)passphrase,
		                         passphrase ? (int)strlen(passphrase) : 0, NULL, NULL),
		                 1);
	*size = (size_t)BIO_get_mem_data(bio, &text);
	pem = malloc(*size);
	ck_assert_ptr_nonnull(pem);
	memcpy(pem, text, *size);
	BIO_free(bio);
	EVP_PKEY_free(key);
	return pem;
}

static const struct key {
	const char *curve;
	bool public;
	const char *passphrase;
	int err;
} keys[] = {
        {"P-384", false, NULL, 0},           {"P-256", false, NULL, -EINVAL},
        {"P-521", false, NULL, -EINVAL},     {"P-384", true, NULL, -EINVAL},
        {"P-384", false, "secret", -EINVAL},
};

/* As the owner's key, and as the author's. */
START_TEST(test_keys)
{
	const struct key *key = &keys[_i];
	const struct idblock block = {.policy = 0x30000};
	size_t size, good_size;
	BASE_AUTO_FREE char *pem = key_pem(key->curve, key->public, key->passphrase, &size);
	BASE_AUTO_FREE char *good = key_pem("P-384", false, NULL, &good_size);
	struct idblock_digests digests;
	uint8_t bytes[IDBLOCK_SIZE], auth[IDBLOCK_AUTH_SIZE];
	char why[WHY_MAX] = "";

	ck_assert_int_eq(
	        idblock_make(&block, pem, size, good, good_size, bytes, auth, &digests, why),
	        key->err);
	ck_assert(!key->err || strstr(why, "ID key"));
	ck_assert_int_eq(
	        idblock_make(&block, good, good_size, pem, size, bytes, auth, &digests, why),
	        key->err);
	ck_assert(!key->err || strstr(why, "author key"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("confidential_idblock");
	TCase *test = tcase_create("idblock");
	SRunner *runner;
	int failed;

	tcase_set_timeout(test, 170);
	tcase_add_test(test, test_published);
	tcase_add_loop_test(test, test_made, 0, BASE_COUNT(published));
	tcase_add_loop_test(test, test_keys, 0, BASE_COUNT(keys));
	suite_add_tcase(suite, test);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
