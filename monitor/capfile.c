// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One buffer, filled by large reads; packets are handed out where they lie in it. It is filled anew, the rest
 * of a record that began in it moved to the front, only when no packet of the last call is needed any
 * more. Blocks that are of no interest (pcapng's names, secrets, statistics) may be of any size, and are passed
 * over without being held.
 *
 * pcap: draft-ietf-opsawg-pcap; pcapng: draft-ietf-opsawg-pcapng (sections named below are its). Each section
 * has its own byte order and interfaces, of which CAPFILE_INTERFACES are kept: packets of others are
 * passed over. Options are read for if_tsresol and if_tsoffset only.
 */
#include "monitor/capfile.h"

#include "base/base.h"

enum {
	CAPFILE_BUFFER = 1 << 20,
	CAPFILE_READ = 1 << 18, /* at a time: what the CPU's cache keeps until it is looked at */
	CAPFILE_INTERFACES = 64,
	CAPFILE_OPTIONS_MAX = 64, /* looked through in an interface's description */
	PCAP_HEADER = 24,
	PCAP_RECORD = 16,
	PCAP_MICRO = 0xa1b2c3d4,
	PCAP_NANO = 0xa1b23c4d,
	NG_SECTION = 0x0a0d0d0a,
	NG_MAGIC = 0x1a2b3c4d,
	NG_INTERFACE = 1,
	NG_SIMPLE = 3,
	NG_ENHANCED = 6,
	NG_FRAME = 12, /* type and length, and the length again behind the body */
	/* a block that is held: a packet, its fields, and some options */
	NG_BLOCK_MAX = CAPFILE_PACKET_MAX + 65536,
	NG_TSRESOL = 9,
	NG_TSOFFSET = 14,
};

struct interface {
	int linktype;
	uint32_t snaplen;
	uint8_t shift;    /* units of 2^-shift seconds, or */
	uint64_t units;   /* so many units a second */
	int64_t offset_s; /* to be added */
};

struct capfile {
	capfile_read_fn *read;
	void *data;
	uint64_t position;
	size_t at, end;  /* what of the buffer is not yet used */
	uint64_t skip;   /* bytes of the file that nobody wants, from `at` on */
	int error;       /* what ended the reading */
	const char *why; /* and its reason */
	bool eof, swapped, ng, nano;
	int linktype; /* pcap's */
	uint32_t interface_count;
	struct interface interfaces[CAPFILE_INTERFACES];
	uint8_t buffer[CAPFILE_BUFFER];
};

static uint32_t u32(const struct capfile *file, const uint8_t *at)
{
	return file->swapped ? base_be32(at) : base_le32(at);
}

static uint16_t u16(const struct capfile *file, const uint8_t *at)
{
	return file->swapped ? base_be16(at) : base_le16(at);
}

static int stop(struct capfile *file, int error, const char *why)
{
	file->error = error;
	file->why = why;
	return error;
}

/* Reads until `size` bytes are there, or as many as the file has. Moves what is there. */
static int fill(struct capfile *file, size_t size)
{
	memmove(file->buffer, file->buffer + file->at, file->end - file->at);
	file->end -= file->at;
	file->at = 0;
	while (file->end < size && !file->eof) {
		ssize_t n = file->read(
		        file->data, file->buffer + file->end,
		        BASE_MIN(sizeof(file->buffer) - file->end, (size_t)CAPFILE_READ));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return stop(file, -errno, strerror(errno));
		file->eof = n == 0;
		file->end += (size_t)n;
		file->position += (uint64_t)n;
	}
	return 0;
}

/*
 * The next `size` bytes without taking them; NULL when they are not in the buffer. `held`: packets
 * of this call lie in the buffer, so it must stay as it is, and the call ends with those.
 */
static const uint8_t *peek(struct capfile *file, size_t size, bool held)
{
	if (file->end - file->at >= size)
		return file->buffer + file->at;
	if (held || fill(file, size) != 0)
		return NULL;
	return file->end >= size ? file->buffer : NULL;
}

/* Passes over what is not wanted. False when the end is not in the buffer. */
static bool skip(struct capfile *file, bool held)
{
	while (file->skip > 0) {
		size_t n = (size_t)BASE_MIN(file->skip, (uint64_t)(file->end - file->at));

		file->at += n;
		file->skip -= n;
		if (file->skip == 0)
			break;
		if (held || fill(file, 1) != 0 || file->end == 0)
			return false;
	}
	return true;
}

/* --- pcap --- */

static int pcap_begin(struct capfile *file)
{
	const uint8_t *head = peek(file, PCAP_HEADER, false);
	uint32_t magic;

	if (!head)
		return stop(file, -EPROTO, "it is shorter than a capture's header");
	magic = base_le32(head);
	file->swapped = magic != PCAP_MICRO && magic != PCAP_NANO;
	magic = u32(file, head);
	if (magic != PCAP_MICRO && magic != PCAP_NANO)
		return stop(file, -EPROTO, "it begins as neither pcap nor pcapng does");
	file->nano = magic == PCAP_NANO;
	if (u16(file, head + 4) != 2)
		return stop(file, -EPROTO, "its version of pcap is not 2");
	/* above 16 bits: how long a checksum the frames end with */
	file->linktype = (int)(u32(file, head + 20) & 0xffff);
	file->at += PCAP_HEADER;
	return 0;
}

/* 1, 0 when it is not in the buffer, or an error. */
static int pcap_next(struct capfile *file, struct capfile_packet *packet, bool held)
{
	const uint8_t *head = peek(file, PCAP_RECORD, held);
	uint32_t captured, part;

	if (!head)
		return 0;
	captured = u32(file, head + 8);
	part = u32(file, head + 4);
	if (captured > CAPFILE_PACKET_MAX)
		return stop(file, -EPROTO, "a packet is longer than 262,144 bytes");
	head = peek(file, PCAP_RECORD + captured, held);
	if (!head)
		return 0;
	*packet = (struct capfile_packet){.bytes = head + PCAP_RECORD,
	                                  .captured = captured,
	                                  .wire = BASE_MAX(u32(file, head + 12), captured),
	                                  .unix_ns = u32(file, head) * 1000000000ull +
	                                             (file->nano ? part : part * 1000ull),
	                                  .linktype = file->linktype};
	file->at += PCAP_RECORD + captured;
	return 1;
}

/* --- pcapng --- */

/* Section header (4.1): of this only the byte order matters. `block` has NG_FRAME + 4 bytes. */
static bool ng_section(struct capfile *file, const uint8_t *block)
{
	file->swapped = base_le32(block + 8) != NG_MAGIC;
	file->interface_count = 0;
	return u32(file, block + 8) == NG_MAGIC;
}

static void ng_option(struct capfile *file, struct interface *interface, uint16_t code,
                      const uint8_t *value, uint16_t size)
{
	if (code == NG_TSOFFSET && size == 8)
		interface->offset_s =
		        (int64_t)((uint64_t)u32(file, value + (file->swapped ? 0 : 4)) << 32 |
		                  u32(file, value + (file->swapped ? 4 : 0)));
	if (code != NG_TSRESOL || size != 1)
		return;
	if (*value & 0x80) {
		interface->shift = *value & 0x7f;
		interface->units = 0;
	} else {
		interface->units = 1;
		for (uint8_t i = 0; i < *value && i < 19; i++)
			interface->units *= 10;
	}
}

/* Interface description (4.2): `body` of `size` bytes. */
static void ng_interface(struct capfile *file, const uint8_t *body, size_t size)
{
	struct interface interface = {.units = 1000000};
	size_t at = 8;

	if (size < 8)
		return;
	interface.linktype = u16(file, body);
	interface.snaplen = u32(file, body + 4);
	for (int i = 0; i < CAPFILE_OPTIONS_MAX && at + 4 <= size; i++) {
		uint16_t code = u16(file, body + at), length = u16(file, body + at + 2);

		at += 4;
		if (code == 0 || length > size - at)
			break;
		ng_option(file, &interface, code, body + at, length);
		at += (length + 3u) & ~3u;
	}
	if (file->interface_count < CAPFILE_INTERFACES)
		file->interfaces[file->interface_count] = interface;
	if (file->interface_count < UINT32_MAX)
		file->interface_count++;
}

/* Unix time in ns; 0 or the end of time for what does not fit. */
static uint64_t ng_time(const struct interface *interface, uint64_t time)
{
	uint64_t seconds, rest;

	if (interface->units) {
		seconds = time / interface->units;
		rest = time % interface->units;
		rest = interface->units <= 1000000000 ? rest * (1000000000 / interface->units)
		                                      : rest / (interface->units / 1000000000);
	} else {
		uint8_t shift = BASE_MIN(interface->shift, (uint8_t)63);

		seconds = time >> shift;
		rest = time & ((1ull << shift) - 1);
		/* so that the product fits */
		rest = shift > 32 ? rest >> (shift - 32) : rest;
		rest = rest * 1000000000 >> BASE_MIN(shift, (uint8_t)32);
	}
	if (__builtin_add_overflow(seconds, (uint64_t)interface->offset_s, &seconds) !=
	    (interface->offset_s < 0))
		return interface->offset_s < 0 ? 0 : UINT64_MAX;
	if (__builtin_mul_overflow(seconds, 1000000000ull, &seconds) ||
	    __builtin_add_overflow(seconds, rest, &seconds))
		return UINT64_MAX;
	return seconds;
}

/* Enhanced and simple packets (4.3, 4.4). True when it's one of an interface that is known. */
static bool ng_packet(struct capfile *file, uint32_t type, const uint8_t *body, size_t size,
                      struct capfile_packet *packet)
{
	const bool simple = type == NG_SIMPLE;
	const size_t fields = simple ? 4 : 20;
	const struct interface *interface;
	uint32_t id;

	if (size < fields)
		return false;
	id = simple ? 0 : u32(file, body);
	if (id >= BASE_MIN(file->interface_count, (uint32_t)CAPFILE_INTERFACES))
		return false;
	interface = &file->interfaces[id];
	packet->bytes = body + fields;
	packet->linktype = interface->linktype;
	packet->wire = u32(file, body + (simple ? 0 : 16));
	packet->captured = simple ? packet->wire : u32(file, body + 12);
	if (simple && interface->snaplen)
		packet->captured = BASE_MIN(packet->captured, interface->snaplen);
	packet->captured = BASE_MIN(packet->captured, (uint32_t)(size - fields));
	packet->wire = BASE_MAX(packet->wire, packet->captured);
	packet->unix_ns = simple ? 0
	                         : ng_time(interface, (uint64_t)u32(file, body + 4) << 32 |
	                                                      u32(file, body + 8));
	return packet->captured <= CAPFILE_PACKET_MAX;
}

/* As pcap_next(); 2: a block that was no packet is behind us. */
static int ng_next(struct capfile *file, struct capfile_packet *packet, bool held)
{
	const uint8_t *block = peek(file, NG_FRAME, held);
	uint32_t type, length;
	bool found;

	if (!block)
		return 0;
	type = u32(file, block);
	if (type == NG_SECTION && !ng_section(file, block))
		return stop(file, -EPROTO, "a section of it has no known byte order");
	length = u32(file, block + 4);
	if (length < NG_FRAME || length % 4)
		return stop(file, -EPROTO, "a block's length is not one");
	if (type != NG_INTERFACE && type != NG_SIMPLE && type != NG_ENHANCED) {
		file->skip = length;
		return 2;
	}
	if (length > NG_BLOCK_MAX)
		return stop(file, -EPROTO, "a packet's block is longer than any packet");
	block = peek(file, length, held);
	if (!block)
		return 0;
	if (u32(file, block + length - 4) != length)
		return stop(file, -EPROTO, "a block's two lengths differ");
	found = type != NG_INTERFACE && ng_packet(file, type, block + 8, length - NG_FRAME, packet);
	if (type == NG_INTERFACE)
		ng_interface(file, block + 8, length - NG_FRAME);
	file->at += length;
	return found ? 1 : 2;
}

/* --- all of them --- */

int capfile_open(struct capfile **out, capfile_read_fn *read, void *data, char why[CAPFILE_WHY_MAX])
{
	struct capfile *file = malloc(sizeof(*file));
	const uint8_t *head;
	int err;

	base_copy_string(why, CAPFILE_WHY_MAX, "there is no memory for it");
	if (!file)
		return -ENOMEM;
	memset(file, 0, offsetof(struct capfile, buffer));
	file->read = read;
	file->data = data;
	head = peek(file, 4, false);
	file->ng = head && base_le32(head) == NG_SECTION;
	err = file->error ? file->error : file->ng ? 0 : pcap_begin(file);
	if (err) {
		base_copy_string(why, CAPFILE_WHY_MAX, file->why);
		free(file);
	} else {
		*out = file;
	}
	return err;
}

void capfile_close(struct capfile *file)
{
	free(file);
}

int capfile_next(struct capfile *file, struct capfile_packet *packets, size_t max,
                 char why[CAPFILE_WHY_MAX])
{
	size_t count = 0;
	int found = 1;

	while (!file->error && count < max && found > 0 && skip(file, count > 0)) {
		found = file->ng ? ng_next(file, &packets[count], count > 0)
		                 : pcap_next(file, &packets[count], count > 0);
		count += found == 1;
	}
	if (count > 0)
		return (int)count;
	if (!file->error && (file->at < file->end || file->skip))
		stop(file, -ENODATA, "the file is cut short");
	base_copy_string(why, CAPFILE_WHY_MAX, file->error ? file->why : "");
	return file->error;
}

uint64_t capfile_position(const struct capfile *file)
{
	return file->position;
}
