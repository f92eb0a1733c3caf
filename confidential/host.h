/* SPDX-License-Identifier: GPL-2.0-or-later */
/* host: whether this host can start a confidential guest of a type. */
#ifndef CORDON_CONFIDENTIAL_HOST_H
#define CORDON_CONFIDENTIAL_HOST_H

#include "confidential/flow.h"

/*
 * 0, or -ENOTSUP and one sentence in why[WHY_MAX] that names the first thing that is missing. Files of /sys are those
 * below `root` ("": the host's own).
 */
int cc_host_check(const struct cc_ops *ops, void *self, const char *root,
                  enum confidential_type type, char *why);

#endif
