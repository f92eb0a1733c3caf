/* SPDX-License-Identifier: GPL-2.0-or-later */
/* confidential_rig: a guest that is launched against the model, as the vmm does it, with firmware of the fixtures. */
#ifndef CORDON_TESTS_CONFIDENTIAL_RIG_H
#define CORDON_TESTS_CONFIDENTIAL_RIG_H

#include "tests/unit/confidential_fake.h"
#include "tests/unit/confidential_fixture.h"

enum { RIG_LOW = 0x800000, RIG_LOW_SIZE = 0x40000, RIG_HIGH_SIZE = FIXTURE_SIZE };

struct rig {
	struct fake fake;
	struct cc_guest guest;
	struct launch_input input;
	struct confidential_kernel kernel;
	uint8_t *firmware, *low, *high;
	int vcpus[FAKE_VCPUS];
	char why[WHY_MAX];
};

extern struct rig rig;

void rig_open(enum confidential_type type, uint32_t vcpus);
/* A kernel beside the firmware. */
void rig_kernel(void);
/* The whole launch: 0, or its error and a sentence in rig.why. */
int rig_run(void);
void rig_close(void);

#endif
