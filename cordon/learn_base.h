/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * learn_base: a policy's text without its rules. It is cut by lines, so that the comments of the rest stay: `firewall` is
 * what begins a line, and its keys are what is indented by as much as the first of them.
 */
#ifndef CORDON_LEARN_BASE_H
#define CORDON_LEARN_BASE_H

#include <stdio.h>

/* Writes what stands before `firewall`; returns the text from there on, or its end. */
const char *learn_base_before(FILE *out, const char *base);

/* Writes what is in `firewall` beside ingress and egress, and what stands behind it. */
void learn_base_after(FILE *out, const char *rest);

#endif
