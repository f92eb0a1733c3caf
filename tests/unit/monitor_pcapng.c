/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Capture files as they are written, read back by libpcap; and what is left when they cannot be. */
#include <check.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/base.h"
#include "monitor/pcapng.h"

#define TIME 1750000000123456789ull

static uint8_t bytes[2000];

static int file_new(void)
{
	int fd = memfd_create("capture", 0);

	ck_assert_int_ge(fd, 0);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7);
	return fd;
}

static pcap_t *file_read(int fd)
{
	char why[PCAP_ERRBUF_SIZE] = "";
	FILE *file;
	pcap_t *pcap;

	ck_assert_int_eq((int)lseek(fd, 0, SEEK_SET), 0);
	file = fdopen(fd, "r");
	ck_assert_ptr_nonnull(file);
	pcap = pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, why);
	ck_assert_msg(pcap != NULL, "%s", why);
	return pcap;
}

START_TEST(what_is_written_is_read_back)
{
	static const uint32_t sizes[] = {0, 1, 2, 3, 4, 60, 1514, 2000};
	int fd = file_new();
	struct pcap_pkthdr *header;
	const u_char *data;
	pcap_t *pcap;

	ck_assert_int_eq(pcapng_begin(fd, "cordon0", "web0", 262144), 0);
	for (size_t i = 0; i < BASE_COUNT(sizes); i++)
		ck_assert_int_eq(
		        pcapng_packet(fd, TIME + i, bytes, sizes[i], sizes[i] + (uint32_t)i), 0);
	ck_assert_int_eq(pcapng_end(fd, TIME + 100, 8, 0), 0);
	pcap = file_read(fd);
	ck_assert_int_eq(pcap_datalink(pcap), DLT_EN10MB);
	ck_assert_int_eq(pcap_snapshot(pcap), 262144);
	for (size_t i = 0; i < BASE_COUNT(sizes); i++) {
		ck_assert_int_eq(pcap_next_ex(pcap, &header, &data), 1);
		ck_assert_uint_eq(header->caplen, sizes[i]);
		ck_assert_uint_eq(header->len, sizes[i] + i);
		ck_assert_uint_eq((uint64_t)header->ts.tv_sec * 1000000000 +
		                          (uint64_t)header->ts.tv_usec,
		                  TIME + i);
		ck_assert_mem_eq(data, bytes, sizes[i]);
	}
	ck_assert_int_eq(pcap_next_ex(pcap, &header, &data), PCAP_ERROR_BREAK);
	pcap_close(pcap);
}
END_TEST

/* Names longer than their options may be are cut, not spilled. */
START_TEST(long_names)
{
	char name[600];
	int fd = file_new();

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	ck_assert_int_eq(pcapng_begin(fd, name, name, 96), 0);
	ck_assert_int_eq(pcapng_packet(fd, TIME, bytes, 96, 2000), 0);
	pcap_close(file_read(fd));
}
END_TEST

/* A disk that is full in the middle of a packet: an error, and what was whole is still readable. */
START_TEST(a_full_disk)
{
	const struct rlimit limit = {4000, 4000};
	int fd = file_new(), written = 0, err = 0, status;
	struct pcap_pkthdr *header;
	const u_char *data;
	pcap_t *pcap;
	pid_t child = fork();

	ck_assert_int_ge(child, 0);
	if (child == 0) {
		char path[64];
		int file;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		file = open(path, O_WRONLY);
		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &limit);
		err = pcapng_begin(file, "cordon0", "web0", 2000);
		while (!err && written < 100) {
			err = pcapng_packet(file, TIME, bytes, 1000, 1000);
			written += !err;
		}
		_exit((err == -ENOSPC || err == -EFBIG) ? written : 255);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 3);
	pcap = file_read(fd);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pcap_next_ex(pcap, &header, &data), 1);
	ck_assert_int_lt(pcap_next_ex(pcap, &header, &data), 0);
	pcap_close(pcap);
}
END_TEST

START_TEST(a_closed_file)
{
	ck_assert_int_eq(pcapng_begin(-1, "cordon0", "web0", 2000), -EBADF);
	ck_assert_int_eq(pcapng_packet(-1, TIME, bytes, 10, 10), -EBADF);
	ck_assert_int_eq(pcapng_end(-1, TIME, 0, 0), -EBADF);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("monitor_pcapng");
	TCase *tests = tcase_create("pcapng");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tests, what_is_written_is_read_back);
	tcase_add_test(tests, long_names);
	tcase_add_test(tests, a_full_disk);
	tcase_add_test(tests, a_closed_file);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
