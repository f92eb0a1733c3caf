/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vmm_fixture: guest memory and small machines for the tests of vmm/. */
#ifndef CORDON_TESTS_VMM_FIXTURE_H
#define CORDON_TESTS_VMM_FIXTURE_H

#include "vmm/vm.h"

/* A sealed memfd of `size` bytes, or -1. */
int vmm_fixture_memfd(uint64_t size);

/* A file that holds `size` bytes of `data` and is read from its start. */
int vmm_fixture_file(const void *data, size_t size);

#endif
