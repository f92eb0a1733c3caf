/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See ipfix_reader.h. */
#include "ipfix_reader.h"

#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/base.h"

enum { HEADER = 16, SET_HEADER = 4, REVERSE = 29305, VARIABLE = 65535, NFCAPD_WAIT_MS = 30000 };

static uint64_t number(const uint8_t *at, size_t size)
{
	uint64_t value = 0;

	ck_assert_uint_le(size, 8);
	for (size_t i = 0; i < size; i++)
		value = value << 8 | at[i];
	return value;
}

static void take(struct ipfix_read *to, uint16_t element, bool back, const uint8_t *at, size_t size)
{
	switch (element) {
	case 152: to->start_ms = number(at, size); break;
	case 153: to->end_ms = number(at, size); break;
	case 8: inet_ntop(AF_INET, at, to->source, sizeof(to->source)); break;
	case 12: inet_ntop(AF_INET, at, to->target, sizeof(to->target)); break;
	case 27: inet_ntop(AF_INET6, at, to->source, sizeof(to->source)); break;
	case 28: inet_ntop(AF_INET6, at, to->target, sizeof(to->target)); break;
	case 7: to->source_port = (uint16_t)number(at, size); break;
	case 11: to->target_port = (uint16_t)number(at, size); break;
	case 4: to->proto = (uint8_t)number(at, size); break;
	case 60: to->version = (uint8_t)number(at, size); break;
	case 1: to->octets[back] = number(at, size); break;
	case 2: to->packets[back] = number(at, size); break;
	case 6: to->flags[back] = (uint16_t)number(at, size); break;
	case 32:
	case 139: to->icmp = (uint16_t)number(at, size); break;
	case 136: to->reason = (uint8_t)number(at, size); break;
	case 239: to->biflow = (uint8_t)number(at, size); break;
	case 83: snprintf(to->name, sizeof(to->name), "%.*s", (int)size, at); break;
	default: break;
	}
}

static void templates(struct ipfix_reader *reader, const uint8_t *at, const uint8_t *end)
{
	while (end - at >= 4) {
		uint16_t id = base_be16(at), count = base_be16(at + 2);
		size_t i = 0;

		at += 4;
		ck_assert_uint_ge(id, 256);
		ck_assert_uint_le(count, 64);
		while (i < reader->template_count && reader->templates[i].id != id)
			i++;
		ck_assert_uint_lt(i, BASE_COUNT(reader->templates));
		reader->template_count = BASE_MAX(reader->template_count, i + 1);
		reader->templates[i].id = id;
		reader->templates[i].count = count;
		for (size_t f = 0; f < count; f++) {
			uint16_t element = base_be16(at);

			ck_assert_int_ge(end - at, element & 0x8000 ? 8 : 4);
			reader->templates[i].elements[f] = element & 0x7fff;
			reader->templates[i].sizes[f] = base_be16(at + 2);
			reader->templates[i].reverse[f] = element & 0x8000;
			if (element & 0x8000)
				ck_assert_uint_eq(base_be32(at + 4), REVERSE);
			at += element & 0x8000 ? 8 : 4;
		}
	}
	ck_assert_ptr_eq(at, end);
}

/* Returns how many records. */
static size_t data(struct ipfix_reader *reader, uint16_t id, const uint8_t *at, const uint8_t *end)
{
	size_t t = 0, records = 0;

	while (t < reader->template_count && reader->templates[t].id != id)
		t++;
	ck_assert_msg(t < reader->template_count, "a set of template %u, which nobody sent", id);
	while (at < end) {
		struct ipfix_read *to = &reader->records[reader->count++];

		ck_assert_uint_lt(reader->count, IPFIX_READ_MAX);
		memset(to, 0, sizeof(*to));
		for (size_t f = 0; f < reader->templates[t].count; f++) {
			size_t size = reader->templates[t].sizes[f];

			if (size == VARIABLE)
				size = *at++;
			ck_assert_int_ge(end - at, (int)size);
			take(to, reader->templates[t].elements[f], reader->templates[t].reverse[f],
			     at, size);
			at += size;
		}
		records++;
	}
	ck_assert_ptr_eq(at, end);
	return records;
}

size_t ipfix_message_size(const void *bytes)
{
	return base_be16((const uint8_t *)bytes + 2);
}

static void message(struct ipfix_reader *reader, const uint8_t *at, size_t size, bool restart)
{
	const uint8_t *end = at + size;
	uint32_t sequence = base_be32(at + 8);

	ck_assert_uint_eq(base_be16(at), 10);
	if (restart && sequence == 0)
		reader->sequence = 0;
	ck_assert_uint_eq(sequence, reader->sequence);
	reader->domain = base_be32(at + 12);
	reader->messages++;
	for (at += HEADER; at < end;) {
		uint16_t id = base_be16(at), length = base_be16(at + 2);

		ck_assert(length >= SET_HEADER && length <= end - at);
		ck_assert_msg(id == 2 || id >= 256, "set %u", id);
		reader->template_messages += id == 2;
		if (id == 2)
			templates(reader, at + SET_HEADER, at + length);
		else
			reader->sequence +=
			        (uint32_t)data(reader, id, at + SET_HEADER, at + length);
		at += length;
	}
	ck_assert_ptr_eq(at, end);
}

void ipfix_read(struct ipfix_reader *reader, const void *bytes, size_t size, bool restart)
{
	const uint8_t *at = bytes, *end = at + size;

	while (at < end) {
		ck_assert_int_ge(end - at, HEADER);
		ck_assert_uint_le(ipfix_message_size(at), (size_t)(end - at));
		message(reader, at, ipfix_message_size(at), restart);
		at += ipfix_message_size(at);
	}
}

void ipfix_line(const struct ipfix_read *record, char out[IPFIX_READ_LINE])
{
	static const char letters[] = "CEUAPRSF";
	char flags[9] = "........", target[24];

	for (size_t i = 0; i < 8; i++)
		if (record->proto == 6 && record->flags[0] & 0x80 >> i)
			flags[i] = letters[i];
	snprintf(target, sizeof(target), "%u", record->target_port);
	if (record->proto == 1 || record->proto == 58)
		snprintf(target, sizeof(target), "%u.%u", record->icmp >> 8, record->icmp & 0xff);
	snprintf(out, IPFIX_READ_LINE, "%u,%s,%u,%s,%s,%llu,%llu,%llu,%llu,%s", record->proto,
	         record->source, record->source_port, record->target, target,
	         (unsigned long long)record->packets[0], (unsigned long long)record->octets[0],
	         (unsigned long long)record->packets[1], (unsigned long long)record->octets[1],
	         flags);
}

/* --- nfcapd --- */

bool nfcapd_there(void)
{
	if (access("/usr/bin/nfcapd", X_OK) == 0 && access("/usr/bin/nfdump", X_OK) == 0)
		return true;
	fprintf(stderr, "skipped: no nfcapd here\n");
	return false;
}

/* What the kernel says of the port: false when nobody listens; *queued bytes were not read yet. */
static bool udp_port(uint16_t port, unsigned long *queued)
{
	char local[32], line[512];
	BASE_AUTO_FILE FILE *sockets = fopen("/proc/net/udp", "re");

	snprintf(local, sizeof(local), "0100007F:%04X ", port);
	while (sockets && fgets(line, sizeof(line), sockets)) {
		const char *at = strstr(line, local);

		/* ADDRESS:PORT ADDRESS:PORT STATE SENT:QUEUED */
		at = at ? strchr(at + strlen(local) + 17, ':') : NULL;
		if (at) {
			*queued = strtoul(at + 1, NULL, 16);
			return true;
		}
	}
	return false;
}

pid_t nfcapd_start(const char *folder, uint16_t port)
{
	char number_text[8];
	unsigned long queued;
	pid_t pid;

	snprintf(number_text, sizeof(number_text), "%u", port);
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execl("/usr/bin/nfcapd", "nfcapd", "-b", "127.0.0.1", "-p", number_text, "-w",
		      folder, "-B", "4000000", NULL);
		_exit(127);
	}
	for (int i = 0; i < NFCAPD_WAIT_MS / 20; i++, poll(NULL, 0, 20))
		if (udp_port(port, &queued))
			return pid;
	ck_abort_msg("nfcapd does not listen");
	return pid;
}

char *nfcapd_end(pid_t pid, const char *folder, uint16_t port)
{
	static char text[1 << 20];
	size_t used = 0, kept = 0;
	unsigned long queued;
	int ends[2], status;
	pid_t dump;
	ssize_t n;

	/* what it was not given yet, it would not read any more */
	for (int i = 0; i < NFCAPD_WAIT_MS / 20 && udp_port(port, &queued) && queued; i++)
		poll(NULL, 0, 20);
	/* ... nor what it has read and not worked on: after a tenth of a second it had written nothing in one run of four */
	poll(NULL, 0, 1000);
	ck_assert_int_eq(kill(pid, SIGTERM), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	dump = fork();
	if (dump == 0) {
		dup2(ends[1], STDOUT_FILENO);
		execl("/usr/bin/nfdump", "nfdump", "-q", "-N", "-6", "-R", folder, "-o",
		      IPFIX_NFDUMP_FORMAT, NULL);
		_exit(127);
	}
	close(ends[1]);
	while ((n = read(ends[0], text + used, sizeof(text) - 1 - used)) > 0)
		used += (size_t)n;
	close(ends[0]);
	ck_assert_int_eq(waitpid(dump, &status, 0), dump);
	for (size_t i = 0; i < used; i++)
		if (text[i] != ' ')
			text[kept++] = text[i];
	text[kept] = '\0';
	return text;
}
