/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of egress by name share: a world with a real dnsmasq and a zone, and VM 0's programs for names. */
#ifndef CORDON_TESTS_FIREWALL_NAMES_H
#define CORDON_TESTS_FIREWALL_NAMES_H

#include "firewall/names.h"
#include "isolate/isolate.h"
#include "tests/traffic/firewall_fixture.h"

enum { NAMES_GRACE = 1, NAMES_ANSWER_MAX = 65536, NAMES_A = 1, NAMES_AAAA = 28 };

struct names_world {
	pid_t upstream, dnsmasq, front, sets;
	int requests; /* an end of the socket pair of cordon-sets, where the test plays cordon-names; else -1 */
	int list;     /* the file with the policy's names */
	int listener; /* TCP in the world, on every address that it has */
	/* told of each program of VM 0's before it is started, where set before names_world_open(); `path`: of one that is
	 * not cordon's, or NULL */
	void (*note)(const struct isolate_process *process, const char *path);
};
extern struct names_world names_world;

/* The namespaces, the upstream server with its zone, VM 0's rules for `names` (tcp, ALLOWED_PORT), its tap. */
void names_world_open(const char *const *names, size_t count);
void names_world_close(void);
/* VM 0's programs, as its start would start them: with cordon-names, or for a test that plays it. */
void names_start(bool front);
void names_kill(pid_t *pid);
/* Another list of names, for rules and programs alike. */
void names_world_change(const char *const *names, size_t count);

/* Asks as the guest: by UDP, by TCP; the answer's size, or -1. `ms`: how long it is waited for. */
ssize_t names_ask(const char *name, uint16_t type, uint8_t *answer, bool tcp, int ms);
/* The first address of that type in an answer, as text; false when there is none. */
bool names_address(const uint8_t *answer, size_t size, uint16_t type, char text[64]);
/* A new connection from the guest, which is closed again. */
bool names_connects(const char *address);
/* How many addresses the kernel's set of that name has. */
size_t names_elements(const char *name, int family);

#endif
