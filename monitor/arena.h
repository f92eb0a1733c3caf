/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * arena: memory for the detectors of many sources, in large pages: theirs are tables of which each event looks
 * at a few places, so that with small pages most of an event's time is spent on page faults and TLB misses.
 */
#ifndef CORDON_MONITOR_ARENA_H
#define CORDON_MONITOR_ARENA_H

#include <stdbool.h>
#include <stddef.h>

enum { ARENA_SIZES = 16, ARENA_LINE = 64 }; /* a piece takes whole lines */

struct arena;

/* Room for `size` bytes, which are there when they are touched. NULL when memory is short. */
struct arena *arena_open(size_t size);
void arena_close(struct arena *arena);

/* `size` zero bytes (at most ARENA_SIZES different sizes), or NULL: there is no room. */
void *arena_take(struct arena *arena, size_t size);
/* Gives back what arena_take() gave. False: it's not from here. */
bool arena_give(struct arena *arena, void *memory, size_t size);

#endif
