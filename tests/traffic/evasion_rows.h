/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the two halves of the suite's table share. */
#ifndef CORDON_TESTS_EVASION_ROWS_H
#define CORDON_TESTS_EVASION_ROWS_H

#include "tests/traffic/evasion.h"

#define BAD(name)  static size_t name(const struct frame_net *n, struct frame *f)
#define GOOD(name) BAD(name)

extern const uint8_t evasion_other_mac[6];
struct frame evasion_honest4(const struct frame_net *n, const char *text);
struct frame evasion_honest6(const struct frame_net *n, const char *text);
const struct evasion *evasion_at6(size_t i);
size_t evasion_count6(void);

#endif
