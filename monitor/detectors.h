/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * detectors: each is one file, which says what it finds and what it cannot. scan has a header of its own.
 */
#ifndef CORDON_MONITOR_DETECTORS_H
#define CORDON_MONITOR_DETECTORS_H

#include "monitor/detector.h"

extern const struct detector_ops brute_detector;    /* brute.c */
extern const struct detector_ops icmp_detector;     /* icmp.c */
extern const struct detector_ops beacon_detector;   /* beacon.c */
extern const struct detector_ops longconn_detector; /* longconn.c */
extern const struct detector_ops exfil_detector;    /* exfil.c */
extern const struct detector_ops egress_detector;   /* egress.c */
extern const struct detector_ops lateral_detector;  /* lateral.c */
extern const struct detector_ops denied_detector;   /* denied.c */
extern const struct detector_ops intel_detector;    /* intel.c */

#endif
