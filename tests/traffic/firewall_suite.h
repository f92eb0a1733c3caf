/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The two halves of the suite that runs in namespaces: frames (evasion.c's table) and rules. */
#ifndef CORDON_TESTS_FIREWALL_SUITE_H
#define CORDON_TESTS_FIREWALL_SUITE_H

#include <check.h>

#include "tests/traffic/evasion.h"
#include "tests/traffic/firewall_fixture.h"

/* Guest 0's wire, as the fixture has it. */
extern const struct frame_net suite_net;
/* Packet sockets of the whole run: to close one takes the kernel longer than a case takes. */
enum suite_wire { SUITE_WORLD, SUITE_GUEST, SUITE_OTHER, SUITE_WIRES };
extern int suite_wires[SUITE_WIRES];
void suite_open_wires(void);
/* Closes the wires and the fixture. */
void suite_close(void);
/* The wire, with nothing left in it to read. */
int suite_watch(enum suite_wire wire);
/* As guest 0. */
void suite_send(const struct frame *frames, size_t count);
/* Reads frames until one with `text` in it comes (true) or `ms` pass without any (false). */
bool suite_sees(int watch, const char *text, int ms);
/* The line of a case that passed. */
void suite_passed(const char *name, const char *family);

/* The half that is firewall_suite_rules.c. */
TCase *suite_rules(void);

/* ---- what the cases about rules share: firewall_suite_rules.c ---- */

extern int suite_family; /* 4 or 6: of this run of the case */
/* Where things are, one address of each family. */
extern const char *const suite_world[2],
        *const suite_world_net[2],
                *const suite_far_off[2],
                        *const suite_private_net[2],
                                *const suite_metadata[2],
                                        *const suite_metadata_exact[2],
                                                *const suite_metadata_around[2],
                                                        *const suite_metadata_else[2],
                                                                *const suite_guest0[2],
                                                                        *const suite_guest1[2],
                                                                                *const suite_gateway0[2],
                                                                                        *const suite_host
                                                                                                [2];
const char *suite_at(const char *const addresses[2]);
/* A port that no case has used. */
uint16_t suite_port(void);
struct frame suite_from_guest(const char *address, uint8_t protocol, struct frame payload);
/* The frame arrives at the wire; in the world; or VM 0's counter sees it, and it does not. */
void suite_expect_at(int watch, struct frame f, const char *what);
void suite_goes(const char *address, uint8_t protocol, struct frame payload);
void suite_stays(const char *address, uint8_t protocol, struct frame payload, const char *counter);
struct frame suite_good(uint16_t port);
struct frame suite_bad(uint16_t port);
void suite_udp_goes(const char *address, uint16_t port);
void suite_udp_stays(const char *address, uint16_t port);

/* Rules of VM 0's for egress; a rule of VM i whose only peer is this one. */
struct policy_rule *suite_allow(enum policy_proto proto, const char *cidr, uint16_t port);
struct policy_rule *suite_drop(enum policy_proto proto, const char *cidr, uint16_t port);
struct policy_rule *suite_peer(int i, bool ingress, enum policy_peer_kind kind, const char *name,
                               uint16_t port);
void suite_forget_rules(void);
/* VM 1 takes all that comes, as a member of the group; a packet reaches it. */
void suite_vm_takes(const char *group);
void suite_goes_to_vm(void);

enum { PORT = 7000, OTHER_PORT = 7100 };

struct suite_case {
	const char *name;
	void (*run)(void);
};
extern const struct suite_case suite_peers[], suite_state[];
extern const size_t suite_peers_count, suite_state_count;

#endif
