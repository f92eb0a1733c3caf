/* SPDX-License-Identifier: GPL-2.0-or-later */
/* prometheus: counters in the text exposition format, version 0.0.4. */
#ifndef CORDON_PROMETHEUS_H
#define CORDON_PROMETHEUS_H

#include <jansson.h>
#include <stdio.h>

/* `stats` as stats_gather() makes it. */
void prometheus_write(FILE *out, const json_t *stats);

#endif
