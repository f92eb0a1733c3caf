/* SPDX-License-Identifier: GPL-2.0-or-later */
/* measure: cordon-measure's other verb. */
#ifndef CORDON_CONFIDENTIAL_MEASURE_H
#define CORDON_CONFIDENTIAL_MEASURE_H

/* `cordon id-block`: argv[0] is the verb. Returns the exit status. */
int measure_idblock(int argc, char **argv);

#endif
