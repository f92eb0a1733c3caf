// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gate: see gate.h. What the guest sends is hostile: its size is bounded before anything is kept for it, all of it has
 * to come within one deadline, and it is verified before the secret is touched. A guest that is refused is not told why.
 */
#include "confidential/gate.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/rand.h>
#include <poll.h>
#include <time.h>

#include "base/base.h"
#include "confidential/bytes.h"

enum {
	GATE_AES_KEY = 32,
	GATE_REFUSED = 1,
	GATE_ANSWER_MAX = GATE_ANSWER_HEAD + GATE_SECRET_MAX + GATE_TAG
};

static void gate_free_key(EVP_PKEY **key)
{
	EVP_PKEY_free(*key);
}
static void gate_free_context(EVP_PKEY_CTX **context)
{
	EVP_PKEY_CTX_free(*context);
}
static void gate_free_kdf(EVP_KDF **kdf)
{
	EVP_KDF_free(*kdf);
}
static void gate_free_kdf_context(EVP_KDF_CTX **context)
{
	EVP_KDF_CTX_free(*context);
}
static void gate_free_cipher(EVP_CIPHER_CTX **context)
{
	EVP_CIPHER_CTX_free(*context);
}

/* --- the stream --- */

static int64_t gate_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* #syscall gate: poll - a guest's connection, until its deadline */
static int gate_wait(int fd, short events, int64_t deadline)
{
	struct pollfd poll_fd = {.fd = fd, .events = events};
	int64_t left = deadline - gate_now();
	int ready = left > 0 ? poll(&poll_fd, 1, (int)left) : 0;

	if (ready < 0)
		return errno == EINTR ? 0 : -errno;
	return ready == 0 ? -ETIMEDOUT : 0;
}

/* The call is one that files are read by too (tool.c). */
static int gate_read(int fd, void *to, size_t size, int64_t deadline)
{
	uint8_t *at = to;
	int err = 0;

	while (size > 0 && !err) {
		ssize_t n = read(fd, at, size);

		if (n == 0)
			return -EPROTO;
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n < 0) {
			err = gate_wait(fd, POLLIN, deadline);
			continue;
		}
		at += n;
		size -= (size_t)n;
	}
	return err;
}

/* #syscall gate: write - the gate's answers, and what it says of them */
static int gate_write(int fd, const void *bytes, size_t size, int64_t deadline)
{
	const uint8_t *at = bytes;
	int err = 0;

	while (size > 0 && !err) {
		ssize_t n = write(fd, at, size);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		if (n < 0) {
			err = gate_wait(fd, POLLOUT, deadline);
			continue;
		}
		at += n;
		size -= (size_t)n;
	}
	return err;
}

/* --- the key --- */

int gate_report_data(const uint8_t hello[GATE_HELLO], const uint8_t guest_key[GATE_KEY],
                     uint8_t data[64])
{
	uint8_t text[GATE_HELLO + GATE_KEY];

	memcpy(text, hello, GATE_HELLO);
	memcpy(text + GATE_HELLO, guest_key, GATE_KEY);
	return EVP_Digest(text, sizeof(text), data, NULL, EVP_sha512(), NULL) == 1 ? 0 : -ENOMEM;
}

/* A key pair of one connection, and what X25519 gives of it and the guest's. -EINVAL: a point of small order. */
static int gate_exchange(const uint8_t guest[GATE_KEY], uint8_t own[GATE_KEY],
                         uint8_t shared[GATE_KEY])
{
	BASE_CLEANUP(gate_free_key) EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	BASE_CLEANUP(gate_free_key)
	EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, guest, GATE_KEY);
	BASE_CLEANUP(gate_free_context)
	EVP_PKEY_CTX *context = key ? EVP_PKEY_CTX_new(key, NULL) : NULL;
	size_t size = GATE_KEY, out = GATE_KEY;

	if (!context || EVP_PKEY_get_raw_public_key(key, own, &out) != 1)
		return -ENOMEM;
	return peer && EVP_PKEY_derive_init(context) == 1 &&
	                       EVP_PKEY_derive_set_peer(context, peer) == 1 &&
	                       EVP_PKEY_derive(context, shared, &size) == 1 && size == GATE_KEY
	               ? 0
	               : -EINVAL;
}

static int gate_derive(const uint8_t hello[GATE_HELLO], const uint8_t guest[GATE_KEY],
                       const uint8_t own[GATE_KEY], uint8_t shared[GATE_KEY],
                       uint8_t key[GATE_AES_KEY])
{
	BASE_CLEANUP(gate_free_kdf) EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	BASE_CLEANUP(gate_free_kdf_context)
	EVP_KDF_CTX *context = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	uint8_t nonce[GATE_NONCE], info[GATE_NAME_SIZE + 2 * GATE_KEY];
	OSSL_PARAM params[] = {
	        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char[]){"SHA384"}, 0),
	        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, shared, GATE_KEY),
	        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, nonce, sizeof(nonce)),
	        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, sizeof(info)),
	        OSSL_PARAM_END};

	memcpy(nonce, hello + GATE_NAME_SIZE, sizeof(nonce));
	memcpy(info, hello, GATE_NAME_SIZE);
	memcpy(info + GATE_NAME_SIZE, guest, GATE_KEY);
	memcpy(info + GATE_NAME_SIZE + GATE_KEY, own, GATE_KEY);
	return context && EVP_KDF_derive(context, key, GATE_AES_KEY, params) == 1 ? 0 : -ENOMEM;
}

/* The ciphertext, and its tag behind it. */
static int gate_encrypt(const uint8_t key[GATE_AES_KEY], const struct gate *gate, uint8_t *to)
{
	static const uint8_t iv[GATE_IV];
	BASE_CLEANUP(gate_free_cipher) EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	int size = 0, last = 0;

	if (!context || EVP_EncryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, iv) != 1 ||
	    EVP_EncryptUpdate(context, to, &size, gate->secret, (int)gate->secret_size) != 1 ||
	    EVP_EncryptFinal_ex(context, to + size, &last) != 1 ||
	    EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_GET_TAG, GATE_TAG, to + gate->secret_size) !=
	            1)
		return -ENOMEM;
	return 0;
}

/* The whole answer to a guest that was accepted; its size. */
static int gate_seal(const struct gate *gate, const uint8_t hello[GATE_HELLO],
                     const uint8_t guest[GATE_KEY], uint8_t *answer, size_t *size)
{
	uint8_t shared[GATE_KEY], key[GATE_AES_KEY], *own = answer + 1;
	const size_t sealed = gate->secret_size + GATE_TAG;
	int err = gate_exchange(guest, own, shared);

	if (!err)
		err = gate_derive(hello, guest, own, shared, key);
	if (!err)
		err = gate_encrypt(key, gate, answer + GATE_ANSWER_HEAD);
	OPENSSL_cleanse(shared, sizeof(shared));
	OPENSSL_cleanse(key, sizeof(key));
	answer[0] = 0;
	bytes_put(answer + 1 + GATE_KEY, sealed, 4);
	*size = GATE_ANSWER_HEAD + sealed;
	return err;
}

/* --- one guest --- */

static int gate_evidence(int fd, int64_t deadline, uint8_t key[GATE_KEY], uint8_t **evidence,
                         size_t *size, char *why)
{
	uint8_t head[4 + GATE_KEY];
	int err = gate_read(fd, head, sizeof(head), deadline);

	*size = err ? 0 : base_le32(head);
	memcpy(key, head + 4, err ? 0 : GATE_KEY);
	if (!err && (*size == 0 || *size > GATE_EVIDENCE_MAX))
		return why_set(
		        why, -EPROTO,
		        "the guest's evidence is %zu bytes long, where 1 to %d were expected",
		        *size, GATE_EVIDENCE_MAX);
	*evidence = err ? NULL : malloc(*size);
	if (!err && !*evidence)
		err = -ENOMEM;
	if (!err)
		err = gate_read(fd, *evidence, *size, deadline);
	return err ? why_set(why, err, "the guest's evidence did not come: %s",
	                     err == -EPROTO ? "it hung up" : strerror(-err))
	           : 0;
}

static bool gate_verify(const struct gate *gate, const uint8_t *evidence, size_t size,
                        const uint8_t data[64], struct attest_verdict *verdict)
{
	struct attest_input input = gate->input;

	input.report = evidence;
	input.size = size;
	input.report_data = data;
	input.at = gate->at ? gate->at : (int64_t)time(NULL);
	attest_verify(&input, verdict);
	return verdict->accepted;
}

int gate_serve(const struct gate *gate, int fd, struct attest_verdict *verdict, char *why)
{
	const int64_t deadline = gate_now() + (int64_t)gate->seconds * 1000;
	uint8_t hello[GATE_HELLO] = GATE_NAME, guest[GATE_KEY], data[64];
	const uint8_t refused = GATE_REFUSED;
	BASE_AUTO_FREE uint8_t *evidence = NULL, *answer = malloc(GATE_ANSWER_MAX);
	size_t size = 0;
	int err = 0;

	memset(verdict, 0, sizeof(*verdict));
	if (!answer || !gate->input.measurement || gate->secret_size > GATE_SECRET_MAX ||
	    RAND_bytes(hello + GATE_NAME_SIZE, GATE_NONCE) != 1)
		return why_set(why, -EINVAL,
		               "no memory, no random bytes, or a gate without a measurement");
	err = gate_write(fd, hello, sizeof(hello), deadline);
	if (err)
		return why_set(why, err, "the guest does not listen: %s", strerror(-err));
	err = gate_evidence(fd, deadline, guest, &evidence, &size, why);
	if (err)
		return err;
	err = gate_report_data(hello, guest, data);
	if (err)
		return why_set(why, err, "libcrypto cannot hash");
	if (!gate_verify(gate, evidence, size, data, verdict)) {
		gate_write(fd, &refused, sizeof(refused), deadline);
		return why_set(why, -EACCES, "the guest's evidence is refused");
	}
	err = gate_seal(gate, hello, guest, answer, &size);
	if (err)
		return why_set(why, err, "the guest's key is none of X25519, or memory is short");
	err = gate_write(fd, answer, size, deadline);
	return why_set(why, err, err ? "the guest did not take the secret: %s" : "%s",
	               err ? strerror(-err) : "the guest was given the secret");
}
