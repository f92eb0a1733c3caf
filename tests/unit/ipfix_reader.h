/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ipfix_reader: a collector of IPFIX messages (RFC 7011), by their templates, for tests. It fails the test that runs
 * at whatever a collector could not read: lengths that do not fit, sets without a template, numbers out of sequence.
 */
#ifndef CORDON_TESTS_IPFIX_READER_H
#define CORDON_TESTS_IPFIX_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ipfix_read { /* one record */
	char source[46], target[46], name[65];
	uint16_t source_port, target_port, icmp, flags[2];
	uint8_t proto, version, reason, biflow;
	uint64_t octets[2], packets[2], start_ms, end_ms;
};

enum { IPFIX_READ_MAX = 65536, IPFIX_READ_LINE = 256 };

struct ipfix_reader {
	uint32_t domain;   /* of the last message */
	uint32_t sequence; /* that the next message has to have */
	size_t messages, template_messages;
	struct {
		uint16_t id, count;
		uint16_t elements[64], sizes[64];
		bool reverse[64];
	} templates[4];
	size_t template_count;
	size_t count;
	struct ipfix_read records[IPFIX_READ_MAX];
};

/* Whole messages, one after the other; `restart`: sequence numbers may begin anew (a new connection). */
void ipfix_read(struct ipfix_reader *reader, const void *bytes, size_t size, bool restart);

/* The size of the message that begins there. */
size_t ipfix_message_size(const void *bytes);

/* As nfdump prints it with IPFIX_NFDUMP_FORMAT: protocol, addresses, ports, packets and bytes each way, flags. */
#define IPFIX_NFDUMP_FORMAT "fmt:%pr,%sa,%sp,%da,%dp,%ipkt,%ibyt,%opkt,%obyt,%flg"
void ipfix_line(const struct ipfix_read *record, char out[IPFIX_READ_LINE]);

/* nfcapd, if it is installed: starts it, for files below `folder`; ends it, and what nfdump prints of them, without blanks. */
bool nfcapd_there(void);
pid_t nfcapd_start(const char *folder, uint16_t port);
char *nfcapd_end(pid_t pid, const char *folder, uint16_t port);

#endif
