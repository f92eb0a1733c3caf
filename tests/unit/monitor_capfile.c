// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Capture files of every kind that is read, made here, and read in pieces of several sizes: what comes out is what
 * libpcap reads from them. And files that are wrong, each in one place.
 */
#include <check.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <sys/mman.h>

#include "base/base.h"
#include "monitor/capfile.h"
#include "monitor/capsort.h"
#include "monitor/pcapng.h"

enum { FILE_MAX = 1 << 22, PACKETS = 300, BATCH = 37 };
#define START 1750000000ull

static uint8_t bytes[FILE_MAX];
static size_t size;

struct input {
	size_t at, step;
};

static ssize_t input_read(void *data, void *to, size_t room)
{
	struct input *input = data;
	size_t n = BASE_MIN(BASE_MIN(size - input->at, input->step), room);

	memcpy(to, bytes + input->at, n);
	input->at += n;
	return (ssize_t)n;
}

static void put(const void *data, size_t length)
{
	ck_assert_uint_le(size + length, FILE_MAX);
	memcpy(bytes + size, data, length);
	size += length;
}

static void put32(uint32_t value, bool swapped)
{
	value = swapped ? __builtin_bswap32(value) : value;
	put(&value, sizeof(value));
}

static void put16(uint16_t value, bool swapped)
{
	value = swapped ? __builtin_bswap16(value) : value;
	put(&value, sizeof(value));
}

static uint32_t packet_size(uint32_t i)
{
	return i * 131 % 9000;
}

static void put_payload(uint32_t length, uint32_t pad)
{
	for (uint32_t i = 0; i < length; i++)
		bytes[size + i] = (uint8_t)(i * 7 + length);
	memset(bytes + size + length, 0, pad);
	size += length + pad;
}

static void make_pcap(bool swapped, bool nano)
{
	size = 0;
	put32(nano ? 0xa1b23c4d : 0xa1b2c3d4, swapped);
	put16(2, swapped);
	put16(4, swapped);
	for (int i = 0; i < 2; i++)
		put32(0, swapped);
	put32(65535, swapped);
	put32(DLT_EN10MB, swapped);
	for (uint32_t i = 0; i < PACKETS; i++) {
		put32((uint32_t)START + i, swapped);
		put32(i * 1000, swapped);
		put32(packet_size(i), swapped);
		put32(packet_size(i) + i % 2, swapped);
		put_payload(packet_size(i), 0);
	}
}

static void block(uint32_t type, const void *body, uint32_t length, bool swapped)
{
	put32(type, swapped);
	put32(length + 12, swapped);
	put(body, length);
	put32(length + 12, swapped);
}

static void make_section(bool swapped)
{
	const uint32_t magic = swapped ? __builtin_bswap32(0x1a2b3c4d) : 0x1a2b3c4d;
	uint8_t body[16] = {[4] = swapped ? 0 : 1, [5] = swapped ? 1 : 0};

	memcpy(body, &magic, 4);
	memset(body + 8, 0xff, 8);
	block(0x0a0d0d0a, body, sizeof(body), swapped);
}

/* An interface with this resolution. */
static void make_interface(uint8_t resolution, bool swapped)
{
	uint16_t fields[] = {1, 9, 1};
	uint8_t body[20] = {0};

	for (int i = 0; i < 3; i++)
		fields[i] = swapped ? __builtin_bswap16(fields[i]) : fields[i];
	memcpy(body, &fields[0], 2);
	memcpy(body + 8, &fields[1], 4);
	body[12] = resolution;
	block(1, body, sizeof(body), swapped);
}

static void make_enhanced(uint32_t i, uint64_t time, bool swapped)
{
	uint32_t length = packet_size(i), pad = -length & 3;

	put32(6, swapped);
	put32(32 + length + pad, swapped);
	put32(0, swapped);
	put32((uint32_t)(time >> 32), swapped);
	put32((uint32_t)time, swapped);
	put32(length, swapped);
	put32(length + i % 2, swapped);
	put_payload(length, pad);
	put32(32 + length + pad, swapped);
}

/* `resolution`: if_tsresol, and units a second. Between packets lie blocks that are passed over. */
static void make_pcapng(bool swapped, uint8_t resolution, uint64_t units)
{
	static const uint8_t names[70000];

	size = 0;
	make_section(swapped);
	make_interface(resolution, swapped);
	for (uint32_t i = 0; i < PACKETS; i++) {
		make_enhanced(i, (START + i) * units + units / 4, swapped);
		if (i % 100 == 0)
			block(4, names, sizeof(names), swapped);
	}
}

/* What libpcap reads from the file is what is read here, in pieces of `step` bytes. */
static void compare_by(size_t step)
{
	char why[CAPFILE_WHY_MAX], error[PCAP_ERRBUF_SIZE];
	FILE *stream = fmemopen(bytes, size, "r");
	pcap_t *pcap =
	        pcap_fopen_offline_with_tstamp_precision(stream, PCAP_TSTAMP_PRECISION_NANO, error);
	struct capfile_packet packets[BATCH];
	struct input input = {0, step};
	struct pcap_pkthdr *header;
	struct capfile *file;
	const u_char *theirs;
	int n;

	ck_assert_msg(pcap != NULL, "%s", error);
	ck_assert_int_eq(capfile_open(&file, input_read, &input, why), 0);
	while ((n = capfile_next(file, packets, BATCH, why)) > 0)
		for (int i = 0; i < n; i++) {
			ck_assert_int_eq(pcap_next_ex(pcap, &header, &theirs), 1);
			ck_assert_uint_eq(packets[i].captured, header->caplen);
			ck_assert_uint_eq(packets[i].wire, header->len);
			ck_assert_uint_eq(packets[i].unix_ns,
			                  (uint64_t)header->ts.tv_sec * 1000000000 +
			                          (uint64_t)header->ts.tv_usec);
			ck_assert_int_eq(packets[i].linktype, DLT_EN10MB);
			ck_assert(memcmp(packets[i].bytes, theirs, header->caplen) == 0);
		}
	ck_assert_int_eq(n, 0);
	ck_assert_int_eq(pcap_next_ex(pcap, &header, &theirs), PCAP_ERROR_BREAK);
	ck_assert_uint_eq(capfile_position(file), size);
	capfile_close(file);
	pcap_close(pcap);
}

static void compare(void)
{
	static const size_t steps[] = {1, 13, 4096, SIZE_MAX};

	for (size_t i = 0; i < BASE_COUNT(steps); i++)
		compare_by(steps[i]);
}

START_TEST(pcap_files)
{
	make_pcap(_i & 1, _i & 2);
	compare();
}
END_TEST

START_TEST(pcapng_files)
{
	static const struct {
		uint8_t resolution;
		uint64_t units;
	} each[] = {{6, 1000000},
	            {9, 1000000000},
	            {3, 1000},
	            {0x80 | 10, 1 << 10},
	            {0x80 | 20, 1 << 20}};

	make_pcapng(_i & 1, each[_i / 2].resolution, each[_i / 2].units);
	compare();
}
END_TEST

/* What cordon capture writes. */
START_TEST(own_pcapng)
{
	BASE_AUTO_FD int fd = memfd_create("capture", MFD_CLOEXEC);

	ck_assert_int_eq(pcapng_begin(fd, "cn1", "web0", 65535), 0);
	for (uint32_t i = 0; i < PACKETS; i++)
		ck_assert_int_eq(pcapng_packet(fd, (START + i) * 1000000000 + i, bytes,
		                               packet_size(i), packet_size(i) + 1),
		                 0);
	ck_assert_int_eq(pcapng_end(fd, START * 1000000000, PACKETS, 0), 0);
	size = (size_t)lseek(fd, 0, SEEK_END);
	ck_assert_uint_lt(size, FILE_MAX);
	ck_assert_int_eq(base_read_at(fd, bytes, size, 0), 0);
	compare();
}
END_TEST

/* How many packets are read, and how it ends. */
static void ends(int packets, int error, const char *reason)
{
	struct capfile_packet some[BATCH];
	struct input input = {0, 4096};
	char why[CAPFILE_WHY_MAX];
	struct capfile *file;
	int n, count = 0;

	ck_assert_int_eq(capfile_open(&file, input_read, &input, why), 0);
	while ((n = capfile_next(file, some, BATCH, why)) > 0)
		count += n;
	ck_assert_int_eq(count, packets);
	ck_assert_int_eq(n, error);
	ck_assert_msg(strstr(why, reason) != NULL, "%s", why);
	ck_assert_int_eq(capfile_next(file, some, BATCH, why), error);
	capfile_close(file);
}

static void set32(size_t at, uint32_t value)
{
	memcpy(bytes + at, &value, sizeof(value));
}

START_TEST(broken)
{
	const size_t second = 24 + 16; /* packet 0 is empty */
	const size_t packet = 28 + 32; /* pcapng: behind section and interface */

	make_pcap(false, false);
	size -= 1;
	ends(PACKETS - 1, -ENODATA, "cut short");
	make_pcap(false, false);
	set32(second + 8, 262145);
	ends(1, -EPROTO, "longer than");
	make_pcapng(false, 6, 1000000);
	size -= 2;
	ends(PACKETS - 1, -ENODATA, "cut short");
	make_pcapng(false, 6, 1000000);
	set32(packet + 4, 33);
	ends(0, -EPROTO, "length");
	make_pcapng(false, 6, 1000000);
	set32(packet + 28, 36);
	ends(0, -EPROTO, "two lengths");
	make_pcapng(false, 6, 1000000);
	set32(packet + 4, 0x7ffffffc);
	ends(0, -EPROTO, "longer than any packet");
	make_pcapng(false, 6, 1000000);
	set32(packet + 8, 1); /* of an interface that is not there */
	ends(PACKETS - 1, 0, "");
	make_pcapng(false, 6, 1000000);
	make_section(true); /* another section, without interfaces */
	make_enhanced(1, 1, true);
	ends(PACKETS, 0, "");
}
END_TEST

START_TEST(no_captures)
{
	static const struct {
		const char *text;
		size_t size;
	} files[] = {{"", 0},
	             {"abc", 3},
	             {"this is no capture at all", 25},
	             {"\xd4\xc3\xb2\xa1\3\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0", 24}};

	for (size_t i = 0; i < BASE_COUNT(files); i++) {
		struct input input = {0, SIZE_MAX};
		char why[CAPFILE_WHY_MAX];
		struct capfile *file;

		size = 0;
		put(files[i].text, files[i].size);
		ck_assert_int_eq(capfile_open(&file, input_read, &input, why), -EPROTO);
		ck_assert_uint_gt(strlen(why), 10);
	}
}
END_TEST

/* Packets in any order come out by their times, those of one time as they went in; what has no room is said. */
START_TEST(in_order)
{
	enum { MANY = 1000, EACH = 100 };
	struct capsort *sort = capsort_open(MANY * EACH);
	const struct capfile_packet *all;
	uint32_t number, before = 0;
	uint8_t data[EACH] = {0};
	size_t count;

	ck_assert_ptr_nonnull(sort);
	for (uint32_t i = 0; i <= MANY; i++) {
		struct capfile_packet packet = {.bytes = data,
		                                .captured = EACH,
		                                .wire = EACH + i,
		                                .unix_ns = i * 2654435761u % 100,
		                                .linktype = 1};

		memcpy(data, &i, sizeof(i));
		ck_assert_int_eq(capsort_add(sort, &packet), i < MANY);
	}
	all = capsort_all(sort, &count);
	ck_assert_uint_eq(count, MANY);
	for (size_t i = 0; i < count; i++) {
		memcpy(&number, all[i].bytes, sizeof(number));
		ck_assert_uint_eq(all[i].wire, EACH + number);
		ck_assert_uint_eq(all[i].unix_ns, number * 2654435761u % 100);
		ck_assert(i == 0 || all[i].unix_ns > all[i - 1].unix_ns ||
		          (all[i].unix_ns == all[i - 1].unix_ns && number > before));
		before = number;
	}
	capsort_close(sort);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor_capfile");
	TCase *cases = tcase_create("capfile");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(cases, 60);
	tcase_add_loop_test(cases, pcap_files, 0, 4);
	tcase_add_loop_test(cases, pcapng_files, 0, 10);
	tcase_add_test(cases, own_pcapng);
	tcase_add_test(cases, in_order);
	tcase_add_test(cases, broken);
	tcase_add_test(cases, no_captures);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
