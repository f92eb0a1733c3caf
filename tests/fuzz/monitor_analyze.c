/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzes what `cordon analyze` does with a file: the bytes are a capture for libpcap, its packets go through
 * the flow engine and the detectors, and what these say is rendered. Packets are copied to a buffer of just
 * their size, so that ASan sees every byte read behind their end.
 */
#include "base/base.h"
#include "monitor/intel_list.h"
#include "monitor/offline.h"

enum { BATCH = 40 };

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void emit(const struct alert *alert, const char *vm, void *data)
{
	struct offline **offline = data;
	const struct alert_subject subject = {
	        .vm = vm, .observer = "", .tls = offline_tls(*offline)};
	json_t *json = alert_json(alert, &subject);
	char text[2048];

	require(json != NULL);
	json_decref(json);
	require(alert_syslog(alert, &subject, text, sizeof(text)) < sizeof(text));
	require(alert->flow_count <= ALERT_FLOWS_MAX && alert->first_ns <= alert->last_ns);
	require(strlen(alert->id) == 25 && strlen(alert->sentence) > 10);
}

struct input {
	const uint8_t *at;
	size_t left, step; /* so many bytes a read */
};

static ssize_t input_read(void *data, void *to, size_t size)
{
	struct input *input = data;
	size_t n = BASE_MIN(BASE_MIN(input->left, input->step), size);

	memcpy(to, input->at, n);
	input->at += n;
	input->left -= n;
	return (ssize_t)n;
}

/* Copies of just their size, so that ASan sees every byte read behind their end. */
static void packets(struct offline *offline, struct capfile_packet *all, size_t count)
{
	uint8_t *copies[BATCH];
	size_t known = 0;

	for (size_t i = 0; i < count; i++) {
		require(all[i].captured <= CAPFILE_PACKET_MAX && all[i].captured <= all[i].wire);
		copies[i] = malloc(all[i].captured ? all[i].captured : 1);
		require(copies[i] != NULL);
		memcpy(copies[i], all[i].bytes, all[i].captured);
		all[i].bytes = copies[i];
		if (offline_linktype_known(all[i].linktype))
			all[known++] = all[i];
	}
	offline_packets(offline, all, known);
	for (size_t i = 0; i < count; i++)
		free(copies[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct offline_cidr ten = {.address = {10}, .family = FLOW_IPV4, .bits = 8};
	static const char known[] = "example.com\n10.0.0.0/24\nfd00::/8\n";
	struct intel_list *list;
	struct intel_fault fault;
	struct intel_set intel = {.count = 1};
	const struct offline_config config = {
	        .flows = 64, .vms = &ten, .vm_count = size & 1, .tls = true, .intel = &intel};
	struct input input = {data, size, size & 2 ? 13 : SIZE_MAX};
	struct capfile_packet all[BATCH];
	char why[CAPFILE_WHY_MAX];
	struct offline *offline;
	struct capfile *file;
	int n;

	if (capfile_open(&file, input_read, &input, why) != 0) {
		require(why[0] != '\0');
		return 0;
	}
	require(intel_list_parse(known, sizeof(known) - 1, "known", &list, &fault) == 0);
	intel.lists[0] = list;
	require(offline_open(&offline, &config, emit, &offline) == 0);
	while ((n = capfile_next(file, all, BATCH, why)) > 0)
		packets(offline, all, (size_t)n);
	require(n == capfile_next(file, all, BATCH, why));
	offline_finish(offline);
	offline_close(offline);
	intel_list_free(list);
	capfile_close(file);
	return 0;
}
