/* SPDX-License-Identifier: GPL-2.0-or-later */
/* launch_private: what launch.c and launch_igvm.c share. */
#ifndef CORDON_CONFIDENTIAL_LAUNCH_PRIVATE_H
#define CORDON_CONFIDENTIAL_LAUNCH_PRIVATE_H

#include "confidential/confidential.h"

/* One walk: what is given out, and how much of it. */
struct launch {
	const struct launch_input *input;
	launch_region_fn *emit;
	void *data;
	uint64_t total;
	char *why;
};

int launch_emit(struct launch *launch, const struct launch_region *region);
/* launch_igvm.c: of the input's type, or of the platform without any encryption. */
int launch_igvm(struct launch *launch, bool native);

/*
 * igvm_parameters.c: the areas that the host fills and the file puts into guest memory. A host that says nothing
 * (when a launch is measured) fills none: they are not measured.
 */
struct igvm_area {
	uint32_t index;
	uint8_t *bytes;
	uint64_t size;
};
struct igvm_areas {
	struct igvm_area list[IGVM_AREAS_MAX];
	size_t count;
	uint64_t total;
};
int igvm_areas_add(struct igvm_areas *areas, const struct igvm_header *header, char *why);
/* NULL: there is none of it. */
const struct igvm_area *igvm_areas_find(const struct igvm_areas *areas, uint32_t index);
/* Whether a header is a parameter that the host gives: igvm_areas_fill() does it. */
bool igvm_is_parameter(enum igvm_type type);
int igvm_areas_fill(struct igvm_areas *areas, const struct igvm_header *header,
                    const struct launch_input *input, char *why);
void igvm_areas_free(struct igvm_areas **areas);

#endif
