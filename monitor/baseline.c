/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file of baselines. SHA256_*() and neither EVP nor SHA256(), for the reason in bpf/community_id.c.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "monitor/baseline.h"

#include <openssl/sha.h>

#include "base/base.h"
#include "monitor/detector.h"

enum {
	BASELINE_VERSION = 1,
	BASELINE_NAME = 16,
	BASELINE_SECTION = BASELINE_NAME + 8,
	BASELINE_SUM_AT = 32, /* of the head: where the sum stands */
};
static const uint8_t baseline_magic[8] = "cordonBL";

void baseline_put_bytes(struct baseline_out *out, const void *bytes, size_t size)
{
	if (size > out->left) {
		out->full = true;
		return;
	}
	memcpy(out->at, bytes, size);
	out->at += size;
	out->left -= size;
}

void baseline_put(struct baseline_out *out, uint64_t value, size_t bytes)
{
	uint8_t text[8];

	for (size_t i = 0; i < bytes; i++)
		text[i] = (uint8_t)(value >> 8 * i);
	baseline_put_bytes(out, text, bytes);
}

void baseline_get_bytes(struct baseline_in *in, void *bytes, size_t size)
{
	if (size > in->left) {
		in->bad = true;
		memset(bytes, 0, size);
		return;
	}
	memcpy(bytes, in->at, size);
	in->at += size;
	in->left -= size;
}

uint64_t baseline_get(struct baseline_in *in, size_t bytes)
{
	uint8_t text[8] = {0};

	baseline_get_bytes(in, text, bytes);
	return base_le64(text);
}

static void baseline_sum(const uint8_t *slot, size_t body, uint8_t sum[SHA256_DIGEST_LENGTH])
{
	SHA256_CTX sha;

	SHA256_Init(&sha);
	SHA256_Update(&sha, slot, BASELINE_SUM_AT);
	SHA256_Update(&sha, slot + BASELINE_HEAD, body);
	SHA256_Final(sum, &sha);
}

/* --- a slot --- */

static void baseline_section(const struct detector_ops *ops, const void *self,
                             struct baseline_out *out)
{
	uint8_t *const begin = out->at;
	const size_t left = out->left;
	char name[BASELINE_NAME] = "";
	struct baseline_out head = {begin + BASELINE_NAME + 4, 4, false};

	base_copy_string(name, sizeof(name), ops->name);
	baseline_put_bytes(out, name, sizeof(name));
	baseline_put(out, ops->state_version, 4);
	baseline_put(out, 0, 4);
	ops->save(self, out);
	if (out->full) {
		*out = (struct baseline_out){begin, left, false};
		return;
	}
	baseline_put(&head, left - out->left - BASELINE_SECTION, 4);
}

size_t baseline_encode(const struct detectors *all, uint64_t sequence, uint64_t now_ns,
                       uint8_t slot[BASELINE_SLOT])
{
	struct baseline_out head = {slot, BASELINE_HEAD, false};
	struct baseline_out out = {slot + BASELINE_HEAD, BASELINE_SLOT - BASELINE_HEAD, false};
	uint8_t sum[SHA256_DIGEST_LENGTH];
	size_t size;

	for (int id = 0; id < DETECTORS; id++) {
		const void *self = detectors_one(all, id);

		if (self && detector_table[id]->save)
			baseline_section(detector_table[id], self, &out);
	}
	size = BASELINE_SLOT - BASELINE_HEAD - out.left;
	baseline_put_bytes(&head, baseline_magic, sizeof(baseline_magic));
	baseline_put(&head, BASELINE_VERSION, 4);
	baseline_put(&head, size, 4);
	baseline_put(&head, sequence, 8);
	baseline_put(&head, now_ns, 8);
	baseline_sum(slot, size, sum);
	baseline_put_bytes(&head, sum, sizeof(sum));
	return BASELINE_HEAD + size;
}

int baseline_check(const uint8_t *slot, size_t size, uint64_t *sequence)
{
	uint8_t sum[SHA256_DIGEST_LENGTH];
	size_t zeros = 0;
	uint32_t body;

	*sequence = 0;
	while (zeros < BASE_MIN(size, (size_t)BASELINE_HEAD) && slot[zeros] == 0)
		zeros++;
	if (zeros == BASE_MIN(size, (size_t)BASELINE_HEAD))
		return 0;
	if (size < BASELINE_HEAD || memcmp(slot, baseline_magic, sizeof(baseline_magic)) != 0 ||
	    base_le32(slot + 8) != BASELINE_VERSION)
		return -EBADMSG;
	body = base_le32(slot + 12);
	if (body > size - BASELINE_HEAD || body > BASELINE_SLOT - BASELINE_HEAD)
		return -EBADMSG;
	baseline_sum(slot, body, sum);
	if (memcmp(sum, slot + BASELINE_SUM_AT, sizeof(sum)) != 0 || base_le64(slot + 16) == 0)
		return -EBADMSG;
	*sequence = base_le64(slot + 16);
	return 0;
}

static int baseline_take(struct detectors *all, const char *name, uint64_t version,
                         struct baseline_in section, uint64_t now_ns)
{
	for (int id = 0; id < DETECTORS; id++) {
		const struct detector_ops *ops = detector_table[id];
		void *self;

		if (!ops->load || strcmp(ops->name, name) != 0 || ops->state_version != version)
			continue;
		self = detectors_make(all, id);
		if (!self)
			return -ENOMEM;
		return ops->load(self, &section, now_ns) && !section.bad && section.left == 0
		               ? 0
		               : -EBADMSG;
	}
	return 0;
}

int baseline_decode(struct detectors *all, const uint8_t *slot, uint64_t now_ns)
{
	struct baseline_in in = {slot + BASELINE_HEAD, base_le32(slot + 12), false};

	while (in.left) {
		char name[BASELINE_NAME];
		struct baseline_in section;
		uint64_t version, size;
		int err;

		baseline_get_bytes(&in, name, sizeof(name));
		version = baseline_get(&in, 4);
		size = baseline_get(&in, 4);
		if (in.bad || size > in.left || !memchr(name, '\0', sizeof(name)))
			return -EBADMSG;
		section = (struct baseline_in){in.at, size, false};
		err = baseline_take(all, name, version, section, now_ns);
		if (err)
			return err;
		in.at += size;
		in.left -= size;
	}
	return 0;
}

/* --- the file --- */

int baseline_load(int fd, struct detectors *all, uint64_t now_ns, uint64_t *sequence)
{
	BASE_AUTO_FREE uint8_t *slots = calloc(2, BASELINE_SLOT);
	int best = -1, broken = 0;
	ssize_t n;

	*sequence = 0;
	if (!slots)
		return -ENOMEM;
	n = pread(fd, slots, 2 * (size_t)BASELINE_SLOT, 0);
	if (n < 0)
		return -errno;
	for (int i = 0; i < 2; i++) {
		uint64_t own;

		/* what is behind the file's end is zeros: one that was never written */
		if (baseline_check(slots + (size_t)i * BASELINE_SLOT, BASELINE_SLOT, &own) < 0)
			broken++;
		else if (own > *sequence) {
			*sequence = own;
			best = i;
		}
	}
	if (best < 0)
		return broken ? -EBADMSG : 0;
	return baseline_decode(all, slots + (size_t)best * BASELINE_SLOT, now_ns);
}

int baseline_save(int fd, const struct detectors *all, uint64_t now_ns, uint64_t *sequence)
{
	BASE_AUTO_FREE uint8_t *slot = malloc(BASELINE_SLOT);
	size_t size;
	ssize_t n;

	if (!slot)
		return -ENOMEM;
	size = baseline_encode(all, *sequence + 1, now_ns, slot);
	n = pwrite(fd, slot, size, (off_t)((*sequence + 1) % 2 * BASELINE_SLOT));
	if (n != (ssize_t)size)
		return n < 0 ? -errno : -ENOSPC;
	++*sequence;
	return 0;
}
