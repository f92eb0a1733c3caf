/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gate_guest: see gate_guest.h. What a guest does is written from the words of gate.h, not from the gate's code. */
#include "tests/unit/gate_guest.h"

#include <openssl/core_names.h>
#include <openssl/kdf.h>

#include "base/base.h"

enum { CHIP_SIZE = 64, REPORT_CHIP = 0x1a0, REPORT_DATA = 0x50, MEASUREMENT = 0x90 };

const char gate_secret[] = "a key for a disk, of some length";
static const uint8_t chip[CHIP_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8, [63] = 9};
const uint8_t gate_measurement[48] = {0xab, 0xcd, [47] = 0xef};

const struct authority_options gate_milan = {.product = "Milan",
                                             .named = "Milan-B0",
                                             .chip = chip,
                                             .chip_size = CHIP_SIZE,
                                             .svns = {[1] = 3, [3] = 8, [8] = 0xd5},
                                             .from = "2024-01-01",
                                             .to = "2030-01-01"};

static void guest_report(struct gate_guest *guest)
{
	static const uint8_t tcb[8] = {3, 0, 0, 0, 0, 0, 8, 0xd5};
	uint8_t *report = guest->report, hello[GATE_HELLO];

	memcpy(hello, guest->hello, sizeof(hello));
	hello[GATE_HELLO - 1] ^= guest->lie == OLD_REPORT;
	memset(report, 0, GATE_REPORT);
	report[0] = 3;
	report[0x0a] = guest->lie == DEBUGGED ? 0x0b : 3;
	report[0x04] = GATE_SVN;
	memset(report + 0x10, GATE_FAMILY, 16);
	memset(report + 0x20, GATE_IMAGE, 16);
	report[0x34] = 1;
	report[0x48] = 1; /* there is an author's key */
	memset(report + 0xc0, GATE_HOST_DATA, 32);
	memset(report + 0xe0, GATE_ID_KEY, 48);
	memset(report + 0x110, GATE_AUTHOR, 48);
	memcpy(report + 0x38, tcb, 8);
	memcpy(report + 0x180, tcb, 8);
	memcpy(report + 0x1e0, tcb, 8);
	memcpy(report + REPORT_CHIP, chip, CHIP_SIZE);
	report[0x188] = 0x19;
	report[0x189] = 0x01;
	memcpy(report + MEASUREMENT, gate_measurement, sizeof(gate_measurement));
	report[MEASUREMENT] ^= guest->lie == OTHER_GUEST;
	gate_report_data(hello, guest->public_key, report + REPORT_DATA);
	authority_sign(guest->authority, report);
	report[0x10] ^= guest->lie == FORGED;
}

bool gate_take(int fd, void *to, size_t size)
{
	uint8_t *at = to;

	while (size > 0) {
		ssize_t n = read(fd, at, size);

		if (n <= 0)
			return false;
		at += n;
		size -= (size_t)n;
	}
	return true;
}

/* The same as a quote. */
static void guest_quote(struct gate_guest *guest)
{
	struct quote *quote = guest->quote;
	uint8_t hello[GATE_HELLO];

	memcpy(hello, guest->hello, sizeof(hello));
	hello[GATE_HELLO - 1] ^= guest->lie == OLD_REPORT;
	memcpy(quote->body + QUOTE_MRTD, gate_measurement, sizeof(gate_measurement));
	quote->body[QUOTE_MRTD] ^= guest->lie == OTHER_GUEST;
	quote->body[QUOTE_ATTRIBUTES] ^= guest->lie == DEBUGGED;
	gate_report_data(hello, guest->public_key, quote->body + QUOTE_REPORT_DATA);
	quote_make(quote);
	quote->bytes[QUOTE_HEADER + QUOTE_RTMRS] ^= guest->lie == FORGED;
}

static void guest_send(const struct gate_guest *guest)
{
	const uint8_t *evidence = guest->quote ? guest->quote->bytes : guest->report;
	const size_t evidence_size = guest->quote ? guest->quote->size : (size_t)GATE_REPORT;
	const uint32_t size = guest->lie == TOO_LARGE ? GATE_EVIDENCE_MAX + 1
	                      : guest->lie == NO_SIZE ? 0
	                                              : (uint32_t)evidence_size;
	uint8_t message[4 + GATE_KEY + QUOTE_MAX];
	const size_t whole = 4 + GATE_KEY + evidence_size;
	const size_t length = guest->lie == HALF ? whole / 2 : whole;

	memcpy(message, &size, 4);
	memcpy(message + 4, guest->public_key, GATE_KEY);
	message[4] ^= guest->lie == OTHER_KEY;
	memcpy(message + 4 + GATE_KEY, evidence, evidence_size);
	for (size_t at = 0; at < length; at += guest->lie == SLOW ? 1 : length)
		if (write(guest->fd, message + at, guest->lie == SLOW ? 1 : length) < 0)
			return;
}

/* The guest's side of the key, from gate.h's words. */
static bool guest_key(const struct gate_guest *guest, const uint8_t theirs[GATE_KEY],
                      uint8_t key[32])
{
	EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, theirs, GATE_KEY);
	EVP_PKEY_CTX *exchange = EVP_PKEY_CTX_new(guest->key, NULL);
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *context = EVP_KDF_CTX_new(kdf);
	uint8_t shared[32], salt[64], info[16 + 64];
	size_t size = sizeof(shared);
	OSSL_PARAM params[] = {
	        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char[]){"SHA384"}, 0),
	        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, shared, sizeof(shared)),
	        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, salt, sizeof(salt)),
	        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, sizeof(info)),
	        OSSL_PARAM_END};
	bool good = EVP_PKEY_derive_init(exchange) == 1 &&
	            EVP_PKEY_derive_set_peer(exchange, peer) == 1 &&
	            EVP_PKEY_derive(exchange, shared, &size) == 1;

	memcpy(salt, guest->hello + 16, 64);
	memcpy(info, guest->hello, 16);
	memcpy(info + 16, guest->public_key, 32);
	memcpy(info + 48, theirs, 32);
	good = good && EVP_KDF_derive(context, key, 32, params) == 1;
	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kdf);
	EVP_PKEY_CTX_free(exchange);
	EVP_PKEY_free(peer);
	return good;
}

static int guest_answer(const struct gate_guest *guest)
{
	static const uint8_t iv[12];
	uint8_t head[36], sealed[256], open[256], key[32], status;
	EVP_CIPHER_CTX *context;
	uint32_t size;
	int part = 0;
	bool good;

	if (!gate_take(guest->fd, &status, 1))
		return 2;
	if (status != 0)
		return read(guest->fd, head, 1) == 0 ? 1 : 2;
	if (!gate_take(guest->fd, head, sizeof(head)))
		return 2;
	memcpy(&size, head + 32, 4);
	if (size != sizeof(gate_secret) + 16 || !gate_take(guest->fd, sealed, size) ||
	    !guest_key(guest, head, key))
		return 2;
	context = EVP_CIPHER_CTX_new();
	good = EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, key, iv) == 1 &&
	       EVP_DecryptUpdate(context, open, &part, sealed, sizeof(gate_secret)) == 1 &&
	       EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, 16,
	                           sealed + sizeof(gate_secret)) == 1 &&
	       EVP_DecryptFinal_ex(context, open + part, &part) == 1;
	EVP_CIPHER_CTX_free(context);
	return good && memcmp(open, gate_secret, sizeof(gate_secret)) == 0 ? 0 : 2;
}

int gate_guest_run(struct gate_guest *guest)
{
	size_t size = GATE_KEY;

	guest->key = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	EVP_PKEY_get_raw_public_key(guest->key, guest->public_key, &size);
	if (guest->lie == ZERO_KEY)
		memset(guest->public_key, 0, GATE_KEY);
	if (!gate_take(guest->fd, guest->hello, GATE_HELLO))
		return 2;
	if (guest->quote)
		guest_quote(guest);
	else
		guest_report(guest);
	if (guest->lie == HANGS_UP)
		return 2;
	if (guest->lie != SILENT)
		guest_send(guest);
	return guest_answer(guest);
}

static void gate_fill(struct gate *gate, const struct attest_root *root,
                      const struct attest_collateral *collateral)
{
	*gate = (struct gate){.input = {.collateral = collateral,
	                                .roots = root,
	                                .root_count = 1,
	                                .strict = true,
	                                .measurement = gate_measurement},
	                      .at = attest_day("2025-01-01"),
	                      .secret = (const uint8_t *)gate_secret,
	                      .secret_size = sizeof(gate_secret),
	                      .seconds = GATE_SECONDS};
}

void gate_open(struct gate *gate, const struct authority *authority,
               struct attest_collateral *collateral)
{
	authority_add(authority, collateral);
	authority_crl(authority, collateral, 0, 0, -1, "2024-06-01", "2025-06-01");
	gate_fill(gate, &authority->root, collateral);
}

void gate_open_tdx(struct gate *gate, const struct quote *quote,
                   const struct quote_documents *documents, struct attest_collateral *collateral)
{
	attest_issue_add(collateral, quote->certs[QUOTE_SIGNER]);
	attest_issue_add(collateral, quote->certs[QUOTE_ROOT]);
	quote_lists(quote, collateral);
	if (documents)
		quote_documents_add(quote, collateral, documents, 0);
	gate_fill(gate, &quote->root, collateral);
}
