/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pieces are cut off one after the other. What is given back is kept for the next one of the same size, which
 * is exact: a detector's is always the same.
 */
#include "monitor/arena.h"

#include <sys/mman.h>

#include "base/base.h"

struct arena_free {
	struct arena_free *next;
};

struct arena {
	uint8_t *memory;
	size_t size, used;
	struct {
		size_t size;
		struct arena_free *free;
	} lists[ARENA_SIZES];
};

struct arena *arena_open(size_t size)
{
	struct arena *arena = calloc(1, sizeof(*arena));
	void *memory;

	if (!arena)
		return NULL;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED) {
		free(arena);
		return NULL;
	}
	madvise(memory, size, MADV_HUGEPAGE);
	arena->memory = memory;
	arena->size = size;
	return arena;
}

void arena_close(struct arena *arena)
{
	if (!arena)
		return;
	munmap(arena->memory, arena->size);
	free(arena);
}

static size_t arena_round(size_t size)
{
	return (size + ARENA_LINE - 1) / ARENA_LINE * ARENA_LINE;
}

/* The list of this size, or that of none. */
static size_t arena_list(const struct arena *arena, size_t size)
{
	size_t i = 0;

	while (i < ARENA_SIZES && arena->lists[i].size && arena->lists[i].size != size)
		i++;
	return i;
}

void *arena_take(struct arena *arena, size_t size)
{
	size_t whole = arena_round(size), list = arena_list(arena, whole);
	void *memory;

	if (list < ARENA_SIZES && arena->lists[list].free) {
		memory = arena->lists[list].free;
		arena->lists[list].free = arena->lists[list].free->next;
		return memset(memory, 0, whole);
	}
	if (list == ARENA_SIZES || whole > arena->size - arena->used)
		return NULL;
	arena->lists[list].size = whole;
	memory = arena->memory + arena->used;
	arena->used += whole;
	return memory;
}

bool arena_give(struct arena *arena, void *memory, size_t size)
{
	size_t list = arena_list(arena, arena_round(size));
	struct arena_free *piece = memory;

	if ((uintptr_t)memory < (uintptr_t)arena->memory ||
	    (uintptr_t)memory >= (uintptr_t)arena->memory + arena->used || list == ARENA_SIZES)
		return false;
	piece->next = arena->lists[list].free;
	arena->lists[list].free = piece;
	return true;
}
