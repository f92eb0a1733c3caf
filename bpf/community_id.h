/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * community_id: Community ID version 1 (github.com/corelight/community-id-spec), seed 0: the name
 * that Zeek, Suricata, Wireshark and the SIEM give to the same flow.
 */
#ifndef CORDON_BPF_COMMUNITY_ID_H
#define CORDON_BPF_COMMUNITY_ID_H

#include "bpf/events.h"

enum { COMMUNITY_ID_MAX = 32 }; /* "1:", 28 characters of base64, and the NUL */

/* Writes the id of the record's flow. 0; -EPROTONOSUPPORT and "" for ARP, which has none. */
int community_id(const struct flow_key *key, uint16_t flags, char id[COMMUNITY_ID_MAX]);

#endif
