// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * igvm_parameters: what a host tells a guest by way of its IGVM file: how many processors it has, where its memory is,
 * its command line, and its table of interrupts (MADT). Such a file says in which area, and where in it. None of that
 * is measured, so a guest has to check it.
 *
 * A parameter that cannot be given is refused, not left out: the guest would take zeros for an answer.
 */
#include "base/base.h"
#include "confidential/launch_private.h"

enum {
	PARAMETERS_MAX = 16 << 20, /* of all areas */
	PARAMETER_OFFSET = 4,      /* where a header has the offset in its area */
	PARAMETER_MAP_ENTRY = 24,
	PARAMETER_MMIO = 32, /* two ranges */
	PARAMETER_MEMORY = 0,
	PARAMETER_RESERVED = 1,
	PARAMETER_ALL_SHARED = 1, /* of the environment: nothing is encrypted */
};

static struct igvm_area *igvm_area_at(struct igvm_areas *areas, uint32_t index)
{
	for (size_t i = 0; i < areas->count; i++)
		if (areas->list[i].index == index)
			return &areas->list[i];
	return NULL;
}

const struct igvm_area *igvm_areas_find(const struct igvm_areas *areas, uint32_t index)
{
	return igvm_area_at((struct igvm_areas *)(uintptr_t)areas, index);
}

int igvm_areas_add(struct igvm_areas *areas, const struct igvm_header *header, char *why)
{
	struct igvm_area *area = &areas->list[areas->count];

	/* igvm_open() has counted them, and each of them is at most 4 GiB */
	areas->total += header->size;
	if (areas->total > PARAMETERS_MAX)
		return why_set(why, -EINVAL,
		               "the IGVM file's parameter areas are larger than %d MiB together",
		               PARAMETERS_MAX >> 20);
	*area = (struct igvm_area){.index = header->index, .size = header->size};
	area->bytes = calloc(1, (size_t)header->size);
	if (!area->bytes)
		return why_set(why, -ENOMEM, "no memory for the IGVM file's parameters");
	areas->count++;
	if (header->data)
		memcpy(area->bytes, header->data, header->data_size);
	return 0;
}

void igvm_areas_free(struct igvm_areas **areas)
{
	for (size_t i = 0; *areas && i < (*areas)->count; i++)
		free((*areas)->list[i].bytes);
	free(*areas);
}

bool igvm_is_parameter(enum igvm_type type)
{
	switch (type) {
	case IGVM_VP_COUNT:
	case IGVM_SRAT:
	case IGVM_MADT:
	case IGVM_MMIO_RANGES:
	case IGVM_MEMORY_MAP:
	case IGVM_COMMAND_LINE:
	case IGVM_SLIT:
	case IGVM_PPTT:
	case IGVM_DEVICE_TREE:
	case IGVM_ENVIRONMENT_INFO: return true;
	default: return false;
	}
}

static void igvm_put(uint8_t *to, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		to[i] = (uint8_t)(value >> 8 * i);
}

/* In order of address; the area behind it is zeros, and an entry of no pages is the last. */
static size_t igvm_memory_map(const struct launch_host *host, uint8_t *to, size_t room)
{
	const size_t size = host->memory_count * PARAMETER_MAP_ENTRY;

	for (size_t i = 0; i < host->memory_count && size <= room; i++, to += PARAMETER_MAP_ENTRY) {
		igvm_put(to, host->memory[i].gpa / CONFIDENTIAL_PAGE, 8);
		igvm_put(to + 8, host->memory[i].size / CONFIDENTIAL_PAGE, 8);
		igvm_put(to + 16, host->memory[i].reserved ? PARAMETER_RESERVED : PARAMETER_MEMORY,
		         8);
	}
	return size;
}

static size_t igvm_bytes(const void *bytes, size_t size, uint8_t *to, size_t room)
{
	if (size <= room)
		memcpy(to, bytes, size);
	return size;
}

/* Writes the parameter if there is room for it. How long it is; 0: it is not given. */
static size_t igvm_parameter(enum igvm_type type, const struct launch_input *input, uint8_t *to,
                             size_t room)
{
	const struct launch_host *host = input->host;
	uint8_t fixed[PARAMETER_MMIO] = {0};

	switch (type) {
	case IGVM_VP_COUNT: igvm_put(fixed, input->vcpus, 4); return igvm_bytes(fixed, 4, to, room);
	case IGVM_ENVIRONMENT_INFO:
		igvm_put(fixed, host->all_shared ? PARAMETER_ALL_SHARED : 0, 4);
		return igvm_bytes(fixed, 4, to, room);
	case IGVM_MMIO_RANGES:
		igvm_put(fixed, host->mmio.gpa / CONFIDENTIAL_PAGE, 8);
		igvm_put(fixed + 8, host->mmio.size / CONFIDENTIAL_PAGE, 8);
		return igvm_bytes(fixed, sizeof(fixed), to, room);
	case IGVM_COMMAND_LINE:
		return igvm_bytes(host->command_line, strlen(host->command_line) + 1, to, room);
	case IGVM_MADT: return igvm_bytes(host->madt, host->madt_size, to, room);
	case IGVM_MEMORY_MAP: return igvm_memory_map(host, to, room);
	default: return 0;
	}
}

int igvm_areas_fill(struct igvm_areas *areas, const struct igvm_header *header,
                    const struct launch_input *input, char *why)
{
	const uint32_t offset = base_le32(header->content + PARAMETER_OFFSET);
	struct igvm_area *area = igvm_area_at(areas, header->index);
	size_t size, room;

	if (!area || offset > area->size)
		return why_set(why, -EINVAL,
		               "an IGVM parameter of type 0x%x is at 0x%x of area %u, which is not "
		               "there or not as large",
		               header->type, offset, header->index);
	room = (size_t)area->size - offset;
	size = igvm_parameter(header->type, input, area->bytes + offset, room);
	if (size == 0)
		return why_set(why, -EINVAL,
		               "the IGVM file asks for a parameter of type 0x%x, which there is "
		               "nothing for here",
		               header->type);
	if (size > room)
		return why_set(why, -EINVAL,
		               "the IGVM file has room for %zu bytes of a parameter of type 0x%x, "
		               "which is %zu bytes long",
		               room, header->type, size);
	return 0;
}
