/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * baseline: what detectors have learnt of a VM, as bytes in a file, so that it survives a restart of the VM and of the
 * monitor, and goes wherever the file is copied. Pure but for the two calls that read and write the file's fd. What
 * is read may be anybody's: everything is checked, and a file that is broken is refused as a whole.
 *
 * The file is two slots of BASELINE_SLOT bytes, written in turn, so that one is whole whenever the writing stops.
 * A slot is a head and sections, all numbers little-endian:
 *
 *   8  "cordonBL"   4  version (1)   4  bytes of the sections
 *   8  sequence: the slot with the higher one counts; 0: a slot that was never written
 *   8  when, Unix ns   32  SHA-256 of all before and of the sections
 *   a section: 16  the detector's name   4  version of what follows   4  its bytes, which follow
 *
 * Sections of unknown detectors and of other versions are left out: what they held is learnt anew.
 */
#ifndef CORDON_MONITOR_BASELINE_H
#define CORDON_MONITOR_BASELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BASELINE_SLOT = 65536, BASELINE_HEAD = 64 };

struct detectors;

/* What a detector writes to: too much is `full`, and nothing of it is kept. */
struct baseline_out {
	uint8_t *at;
	size_t left;
	bool full;
};

/* What it reads from: zeros behind the end, and `bad`. */
struct baseline_in {
	const uint8_t *at;
	size_t left;
	bool bad;
};

void baseline_put(struct baseline_out *out, uint64_t value, size_t bytes);
void baseline_put_bytes(struct baseline_out *out, const void *bytes, size_t size);
uint64_t baseline_get(struct baseline_in *in, size_t bytes);
void baseline_get_bytes(struct baseline_in *in, void *bytes, size_t size);

/* Makes a slot of what the detectors know; its size. */
size_t baseline_encode(const struct detectors *all, uint64_t sequence, uint64_t now_ns,
                       uint8_t slot[BASELINE_SLOT]);
/* The slot's sequence: 0 of one that was never written. -EBADMSG: it is broken. */
int baseline_check(const uint8_t *slot, size_t size, uint64_t *sequence);
/* Gives the detectors what a slot holds that was checked. -EBADMSG: it makes no sense, and some of it may have been
 * taken; -ENOMEM. */
int baseline_decode(struct detectors *all, const uint8_t *slot, uint64_t now_ns);

/*
 * Reads the file of a VM that has just begun. 0, with the sequence of what was read (0: an empty file); -EBADMSG when
 * no slot is whole, or the whole one makes no sense. One broken slot beside a whole one is an interrupted writing.
 */
int baseline_load(int fd, struct detectors *all, uint64_t now_ns, uint64_t *sequence);
/* Writes the next slot and counts the sequence up. 0 or a negative errno. */
int baseline_save(int fd, const struct detectors *all, uint64_t now_ns, uint64_t *sequence);

#endif
