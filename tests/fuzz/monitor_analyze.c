/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzes what `cordon analyze` does with a file: the bytes are a capture for libpcap, its packets go through
 * the flow engine and the detectors, and what these say is rendered. Packets are copied to a buffer of just
 * their size, so that ASan sees every byte read behind their end.
 */
#include <pcap/pcap.h>

#include "base/base.h"
#include "monitor/offline.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void emit(const struct alert *alert, const char *vm, void *data)
{
	const struct alert_subject subject = {.vm = vm, .observer = ""};
	json_t *json = alert_json(alert, &subject);
	char text[2048];

	(void)data;
	require(json != NULL);
	json_decref(json);
	require(alert_syslog(alert, &subject, text, sizeof(text)) < sizeof(text));
	require(alert->flow_count <= ALERT_FLOWS_MAX && alert->first_ns <= alert->last_ns);
	require(strlen(alert->id) == 25 && strlen(alert->sentence) > 10);
}

static void packets(struct offline *offline, pcap_t *pcap)
{
	int linktype = pcap_datalink(pcap);
	struct pcap_pkthdr *header;
	const u_char *bytes;

	while (offline_linktype_known(linktype) && pcap_next_ex(pcap, &header, &bytes) == 1) {
		uint8_t *copy = malloc(header->caplen ? header->caplen : 1);

		require(copy);
		memcpy(copy, bytes, header->caplen);
		offline_packet(offline, linktype, copy, header->caplen, header->len,
		               header->ts.tv_sec < 0 ? 0
		                                     : (uint64_t)header->ts.tv_sec * 1000000000 +
		                                               (uint64_t)header->ts.tv_usec);
		free(copy);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct offline_cidr ten = {.address = {10}, .family = FLOW_IPV4, .bits = 8};
	const struct offline_config config = {.flows = 64, .vms = &ten, .vm_count = size & 1};
	char why[PCAP_ERRBUF_SIZE];
	struct offline *offline;
	FILE *file;
	pcap_t *pcap;

	if (size == 0)
		return 0;
	file = fmemopen((void *)data, size, "r");
	require(file != NULL);
	pcap = pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, why);
	if (!pcap) {
		fclose(file);
		return 0;
	}
	require(offline_open(&offline, &config, emit, NULL) == 0);
	packets(offline, pcap);
	offline_finish(offline);
	offline_close(offline);
	pcap_close(pcap);
	return 0;
}
