/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Frames go through bpf/flowtable, as they would at a tap; its events go to the detectors of whoever
 * opened the flow, or of the VM that it belongs to. Where a capture has no Ethernet header, one is put before the packet, so that there is
 * one parser. Link types: tcpdump.org/linktypes.html.
 *
 * At most OFFLINE_SOURCES sources have detectors at a time, and at most OFFLINE_MEMORY for them. When there is no
 * room for another one, it waits until it has tried more than twice as often, lately, as the one that has tried
 * least; that one goes, of several the one that was quiet for longest. So addresses that were made up for a
 * flood push each other out, not a scan that goes on, and many that do the same don't take turns.
 */
#include "monitor/offline.h"

#include <arpa/inet.h>

#include "base/base.h"
#include "bpf/flowtable.h"
#include "monitor/detector.h"
#include "monitor/tls_flows.h"

enum {
	OFFLINE_SLOTS = 512, /* a power of two */
	OFFLINE_ETHERNET = 14,
	OFFLINE_TYPE_IPV4 = 0x0800,
	OFFLINE_TYPE_IPV6 = 0x86dd,
	OFFLINE_BATCH = 64,
	OFFLINE_TLS_FLOWS = 4096, /* a power of two */
	OFFLINE_WAITING = 16384,  /* a power of two */
	OFFLINE_FEW = 8, /* tries more than twice as many, before a source takes another's place */
	/* of a frame that is put together: what the parser looks at, and a payload that is sent whole */
	OFFLINE_FRAME = PACKET_SNAP + FLOW_PAYLOAD_MAX,
};

enum {
	LINK_NULL = 0,
	LINK_ETHERNET = 1,
	LINK_RAW = 101,
	LINK_RAW_BSD = 12, /* what some programs write into files for it */
	LINK_RAW_OPENBSD = 14,
	LINK_LOOP = 108,
	LINK_SLL = 113,
	LINK_IPV4 = 228,
	LINK_IPV6 = 229,
	LINK_SLL2 = 276,
};
#define OFFLINE_SECOND_NS 1000000000ull
#define OFFLINE_BACK_NS   (3600 * OFFLINE_SECOND_NS)
#define OFFLINE_TICK_NS   (2 * OFFLINE_SECOND_NS)
#define OFFLINE_LATELY_NS (60 * OFFLINE_SECOND_NS) /* after which a try counts half */
#define OFFLINE_MEMORY    ((size_t)140 << 20)

struct offline_source {
	uint8_t address[16];
	bool v6;
	char name[46];
	struct detectors *detectors; /* NULL: free */
	int16_t next;                /* in its hash slot, or -1 */
	uint64_t tries, last_ns;     /* tries: lately */
	struct offline *offline;
};

struct offline {
	struct offline_config config;
	offline_emit_fn *emit;
	void *data;
	struct flowtable *flows;
	struct detector_world *world;
	struct arena *arena;
	struct tls_flows *tls;
	struct offline_stats
	        stats; /* all but what the flow table counts, and that of earlier ones */
	uint64_t tick_ns, lately_ns;
	size_t source_count, source_max;
	uint32_t
	        waiting[OFFLINE_WAITING]; /* lately's tries of sources without detectors, by hash */
	size_t batch_count;
	struct flowtable_frame batch[OFFLINE_BATCH];
	int16_t slots[OFFLINE_SLOTS];
	struct offline_source sources[OFFLINE_SOURCES];
};

/* --- addresses --- */

int offline_cidr_parse(const char *text, struct offline_cidr *cidr)
{
	char address[46];
	size_t length = strcspn(text, "/");
	bool v6 = strchr(text, ':') != NULL;
	unsigned long bits = v6 ? 128 : 32;
	char *end = NULL;

	memset(cidr, 0, sizeof(*cidr));
	if (length >= sizeof(address))
		return -EINVAL;
	memcpy(address, text, length);
	address[length] = '\0';
	if (inet_pton(v6 ? AF_INET6 : AF_INET, address, cidr->address) != 1)
		return -EINVAL;
	if (text[length] == '/') {
		if (text[length + 1] < '0' || text[length + 1] > '9')
			return -EINVAL;
		unsigned long asked = strtoul(text + length + 1, &end, 10);

		if (*end || asked > bits)
			return -EINVAL;
		bits = asked;
	}
	cidr->family = v6 ? FLOW_IPV6 : FLOW_IPV4;
	cidr->bits = (uint8_t)bits;
	return 0;
}

static bool offline_cidr_has(const struct offline_cidr *cidr, const uint8_t address[16], bool v6)
{
	unsigned int whole = cidr->bits / 8, rest = cidr->bits % 8;

	if (v6 != (cidr->family == FLOW_IPV6) || memcmp(cidr->address, address, whole) != 0)
		return false;
	return rest == 0 ||
	       ((cidr->address[whole] ^ address[whole]) & (0xff00 >> rest) & 0xff) == 0;
}

static bool offline_is_vm(const struct offline *offline, const uint8_t address[16], bool v6)
{
	for (size_t i = 0; i < offline->config.vm_count; i++)
		if (offline_cidr_has(&offline->config.vms[i], address, v6))
			return true;
	return offline->config.vm_count == 0;
}

/* --- sources --- */

static void offline_alert(const struct alert *alert, void *data)
{
	struct offline_source *source = data;

	source->offline->emit(alert, source->name, source->offline->data);
}

static void offline_source_tick(struct offline_source *source, uint64_t now)
{
	const struct detector_out out = {offline_alert, source};

	detectors_tick(source->detectors, now, &out);
}

static int16_t *offline_slot(struct offline *offline, const uint8_t address[16])
{
	return &offline->slots[detector_hash_address(address) & (OFFLINE_SLOTS - 1)];
}

static void offline_source_drop(struct offline *offline, struct offline_source *source)
{
	int16_t index = (int16_t)(source - offline->sources);
	int16_t *link = offline_slot(offline, source->address);

	offline_source_tick(source, DETECTOR_END);
	detectors_destroy(source->detectors);
	while (*link >= 0 && *link != index)
		link = &offline->sources[*link].next;
	if (*link == index)
		*link = source->next;
	offline->source_count--;
	memset(source, 0, sizeof(*source));
}

/* The source that has tried least. */
static struct offline_source *offline_source_least(struct offline *offline)
{
	struct offline_source *least = NULL;

	for (size_t i = 0; i < OFFLINE_SOURCES; i++) {
		struct offline_source *other = &offline->sources[i];

		if (other->detectors &&
		    (!least || other->tries < least->tries ||
		     (other->tries == least->tries && other->last_ns < least->last_ns)))
			least = other;
	}
	return least;
}

/* A place for the source with this address, or NULL: it has to wait. *tries: those while it waited. */
static struct offline_source *offline_source_place(struct offline *offline,
                                                   const uint8_t address[16], uint64_t *tries)
{
	uint32_t *waiting =
	        &offline->waiting[detector_hash_address(address) >> 32 & (OFFLINE_WAITING - 1)];
	struct offline_source *place = NULL;

	if (offline->source_count >= offline->source_max) {
		/* only now and then, as it takes a while to look */
		if (++*waiting % OFFLINE_FEW != 0)
			return NULL;
		place = offline_source_least(offline);
		if (*waiting < 2 * place->tries + OFFLINE_FEW)
			return NULL;
		offline_source_drop(offline, place);
		offline->stats.sources_dropped++;
		*tries = *waiting;
		*waiting = 0;
		return place;
	}
	for (size_t i = 0; i < OFFLINE_SOURCES && !place; i++)
		if (!offline->sources[i].detectors)
			place = &offline->sources[i];
	return place;
}

/* Detectors' hashes go by when the capture began: the same capture gives the same alerts each time, and nobody who is in
 * it could know. */
static struct offline_source *offline_source_add(struct offline *offline, const uint8_t address[16],
                                                 bool v6)
{
	const struct detector_config config = {.world = offline->world,
	                                       .arena = offline->arena,
	                                       .intel = offline->config.intel,
	                                       .seed = offline->stats.first_ns,
	                                       .off = offline->config.intel ? 0
	                                                                    : 1u << DETECTOR_INTEL};
	uint64_t tries = 0;
	struct offline_source *source = offline_source_place(offline, address, &tries);
	struct detectors *detectors = source ? detectors_create(&config) : NULL;
	int16_t *slot = offline_slot(offline, address);

	if (!detectors)
		return NULL;
	*source = (struct offline_source){.v6 = v6,
	                                  .detectors = detectors,
	                                  .next = *slot,
	                                  .tries = tries,
	                                  .offline = offline};
	memcpy(source->address, address, sizeof(source->address));
	alert_address(source->name, address, v6 ? FLOW_IPV6 : FLOW_IPV4);
	*slot = (int16_t)(source - offline->sources);
	offline->source_count++;
	return source;
}

/* What was tried a while ago counts less than what is. */
static void offline_sources_age(struct offline *offline)
{
	for (size_t i = 0; i < OFFLINE_SOURCES; i++)
		offline->sources[i].tries /= 2;
	for (size_t i = 0; i < OFFLINE_WAITING; i++)
		offline->waiting[i] /= 2;
}

static struct offline_source *offline_source_find(struct offline *offline,
                                                  const uint8_t address[16], bool v6)
{
	for (int16_t i = *offline_slot(offline, address); i >= 0; i = offline->sources[i].next)
		if (offline->sources[i].v6 == v6 &&
		    memcmp(offline->sources[i].address, address, 16) == 0)
			return &offline->sources[i];
	return NULL;
}

/* What was opened by an answer is nobody's doing, unless the other side has answered that. */
static bool offline_is_backscatter(const struct flow_event *event)
{
	return event->record.flags & FLOW_FLAG_BACKSCATTER &&
	       (!event->record.sides[0].packets || !event->record.sides[1].packets);
}

static void offline_event(const struct flow_event_header *header, void *data)
{
	struct offline *offline = data;
	const bool payload = header->type == FLOW_EVENT_PAYLOAD;
	const struct flow_event *event = (const struct flow_event *)header;
	const struct flow_payload_event *bytes = (const struct flow_payload_event *)header;
	const struct flow_key *key = payload ? &bytes->key : &event->record.key;
	struct offline_source *source;
	bool v6 = key->family == FLOW_IPV6;

	if (header->type == FLOW_EVENT_END && offline->config.flow)
		offline->config.flow(&event->record, header->time_ns, offline->data);
	if (!offline_is_vm(offline, key->guest, v6) || (!payload && offline_is_backscatter(event)))
		return;
	source = offline_source_find(offline, key->guest, v6);
	/* its payload alone makes nobody a source, nor does its end */
	if (!source && header->type != FLOW_EVENT_END &&
	    !(payload && bytes->flags & FLOW_FLAG_BACKSCATTER))
		source = offline_source_add(offline, key->guest, v6);
	if (!source) {
		offline->stats.unwatched += header->type == FLOW_EVENT_NEW;
		return;
	}
	if (payload && offline->tls)
		tls_flows_seen(offline->tls, bytes);
	source->tries += header->type == FLOW_EVENT_NEW;
	source->last_ns = header->time_ns;
	detectors_observe(source->detectors, header, &(struct detector_out){offline_alert, source});
}

/* --- frames --- */

/* Where the packet starts behind its link header, and its EtherType; 0 when it has none. */
static uint32_t offline_link(int linktype, const uint8_t *bytes, uint32_t captured, uint16_t *type)
{
	static const struct {
		int linktype;
		uint32_t size, type_at; /* type_at: of an EtherType */
	} headers[] = {{LINK_SLL, 16, 14}, {LINK_SLL2, 20, 0}};

	*type = 0;
	for (size_t i = 0; i < BASE_COUNT(headers); i++)
		if (headers[i].linktype == linktype && captured > headers[i].size) {
			*type = base_be16(bytes + headers[i].type_at);
			return headers[i].size;
		}
	/* the family in these is some system's AF_*, in some byte order: the version says it better */
	uint32_t at = linktype == LINK_NULL || linktype == LINK_LOOP ? 4 : 0;
	if (linktype == LINK_SLL || linktype == LINK_SLL2 || captured <= at)
		return 0;
	*type = bytes[at] >> 4 == 4   ? OFFLINE_TYPE_IPV4
	        : bytes[at] >> 4 == 6 ? OFFLINE_TYPE_IPV6
	                              : 0;
	return at;
}

bool offline_linktype_known(int linktype)
{
	static const int known[] = {LINK_ETHERNET,    LINK_SLL,  LINK_SLL2, LINK_RAW,  LINK_RAW_BSD,
	                            LINK_RAW_OPENBSD, LINK_IPV4, LINK_IPV6, LINK_NULL, LINK_LOOP};

	for (size_t i = 0; i < BASE_COUNT(known); i++)
		if (known[i] == linktype)
			return true;
	return false;
}

/* Whose packet it is, where `vms` says so; false: nobody's. */
static bool offline_sender(const struct offline *offline, const struct flowtable_frame *frame,
                           enum flowtable_sender *sender)
{
	const struct packet_input in = {.bytes = (const struct packet_bytes *)frame->bytes,
	                                .captured = frame->captured,
	                                .wire = frame->wire};
	struct packet packet;
	bool v6, from, to;

	*sender = FLOWTABLE_EITHER;
	if (offline->config.vm_count == 0)
		return true;
	packet_parse(&in, &packet);
	v6 = packet.family == PACKET_IPV6;
	from = packet.family != PACKET_OTHER && offline_is_vm(offline, packet.src, v6);
	to = packet.family != PACKET_OTHER && offline_is_vm(offline, packet.dst, v6);
	/* a router's error comes from anywhere; what it is about says whose it is */
	if (!from && !to)
		return false;
	if (from != to)
		*sender = from ? FLOWTABLE_GUEST : FLOWTABLE_PEER;
	return true;
}

static void offline_flush(struct offline *offline)
{
	flowtable_frames(offline->flows, offline->batch, offline->batch_count);
	offline->batch_count = 0;
}

/* A frame that stays where it is until the batch is flushed. */
static void offline_frame(struct offline *offline, struct flowtable_frame frame)
{
	if (!offline_sender(offline, &frame, &frame.sender))
		return;
	offline->batch[offline->batch_count++] = frame;
	if (offline->batch_count == OFFLINE_BATCH)
		offline_flush(offline);
}

/* A packet without Ethernet's header gets one. */
static void offline_dress(struct offline *offline, const struct capfile_packet *packet,
                          uint64_t now)
{
	uint8_t bytes[OFFLINE_ETHERNET + OFFLINE_FRAME];
	uint32_t captured = BASE_MIN(packet->captured, packet->wire), at, size;
	uint16_t type;

	at = offline_link(packet->linktype, packet->bytes, captured, &type);
	if (type == 0) {
		offline->stats.unread++;
		return;
	}
	size = BASE_MIN(captured - at, (uint32_t)OFFLINE_FRAME);
	memset(bytes, 0, OFFLINE_ETHERNET);
	bytes[12] = (uint8_t)(type >> 8);
	bytes[13] = (uint8_t)type;
	memcpy(bytes + OFFLINE_ETHERNET, packet->bytes + at, size);
	offline_frame(offline,
	              (struct flowtable_frame){.bytes = bytes,
	                                       .captured = OFFLINE_ETHERNET + size,
	                                       .wire = OFFLINE_ETHERNET +
	                                               BASE_MIN(packet->wire - at, UINT32_MAX / 2),
	                                       .now = now});
	offline_flush(offline);
}

/* --- time --- */

static void offline_tick(struct offline *offline, uint64_t now)
{
	for (size_t i = 0; i < OFFLINE_SOURCES; i++)
		if (offline->sources[i].detectors)
			offline_source_tick(&offline->sources[i], now);
	if (now < offline->lately_ns)
		return;
	offline_sources_age(offline);
	offline->lately_ns = now + OFFLINE_LATELY_NS;
}

void offline_finish(struct offline *offline)
{
	offline_flush(offline);
	flowtable_finish(offline->flows, offline->stats.last_ns);
	for (size_t i = 0; i < OFFLINE_SOURCES; i++)
		if (offline->sources[i].detectors)
			offline_source_drop(offline, &offline->sources[i]);
}

static int offline_flows_new(struct offline *offline)
{
	struct offline_stats stats;
	struct flowtable *flows;
	int err = flowtable_open(&flows, BASE_MAX(offline->config.flows, (size_t)1),
	                         0x636f72646f6eull, offline_event, offline);

	if (!err && offline->config.flows_max)
		err = flowtable_may_grow(flows, offline->config.flows_max);
	if (err)
		return err;
	if (offline->flows) {
		offline_stats(offline, &stats);
		offline->stats = stats;
		flowtable_close(offline->flows);
	}
	offline->flows = flows;
	return 0;
}

/* Time has come to `now`: the detectors' tick, or another capture. */
static void offline_clock(struct offline *offline, uint64_t now)
{
	struct offline_stats *stats = &offline->stats;

	if (now + OFFLINE_BACK_NS < stats->last_ns) {
		offline_finish(offline);
		offline_flows_new(offline);
		offline->tick_ns = offline->lately_ns = stats->last_ns = 0;
	}
	stats->first_ns = stats->first_ns ? BASE_MIN(stats->first_ns, now) : now;
	stats->last_ns = BASE_MAX(stats->last_ns, now);
	if (stats->last_ns < offline->tick_ns)
		return;
	offline_flush(offline);
	offline_tick(offline, stats->last_ns);
	offline->tick_ns = stats->last_ns + OFFLINE_TICK_NS;
}

void offline_packets(struct offline *offline, const struct capfile_packet *packets, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct capfile_packet *packet = &packets[i];
		uint64_t now = BASE_MIN(BASE_MAX(packet->unix_ns, 1ull), DETECTOR_END / 2);

		offline->stats.packets++;
		offline->stats.bytes += packet->wire;
		offline_clock(offline, now);
		if (packet->linktype != LINK_ETHERNET)
			offline_dress(offline, packet, now);
		else
			offline_frame(offline,
			              (struct flowtable_frame){
			                      .bytes = packet->bytes,
			                      .captured = BASE_MIN(packet->captured, packet->wire),
			                      .wire = packet->wire,
			                      .now = now});
	}
	offline_flush(offline);
}

void offline_close(struct offline *offline)
{
	if (!offline)
		return;
	for (size_t i = 0; i < OFFLINE_SOURCES; i++)
		detectors_destroy(offline->sources[i].detectors);
	flowtable_close(offline->flows);
	world_destroy(offline->world);
	tls_flows_destroy(offline->tls);
	arena_close(offline->arena);
	free(offline);
}

int offline_open(struct offline **out, const struct offline_config *config, offline_emit_fn *emit,
                 void *data)
{
	struct offline *offline = calloc(1, sizeof(*offline));
	int err;

	if (!offline)
		return -ENOMEM;
	offline->config = *config;
	offline->emit = emit;
	offline->data = data;
	offline->source_max =
	        BASE_MIN(OFFLINE_MEMORY / detectors_memory(), (size_t)OFFLINE_SOURCES);
	memset(offline->slots, 0xff, sizeof(offline->slots));
	offline->arena = arena_open(OFFLINE_MEMORY + OFFLINE_SOURCES * DETECTORS * ARENA_LINE);
	offline->world = world_create();
	if (config->tls)
		offline->tls = tls_flows_create(OFFLINE_TLS_FLOWS);
	err = offline->arena && offline->world && !offline->tls == !config->tls
	              ? offline_flows_new(offline)
	              : -ENOMEM;
	if (err)
		offline_close(offline);
	else
		*out = offline;
	return err;
}

const struct tls_flows *offline_tls(const struct offline *offline)
{
	return offline->tls;
}

void offline_stats(const struct offline *offline, struct offline_stats *stats)
{
	const struct tap_stats flows = flowtable_stats(offline->flows);

	*stats = offline->stats;
	stats->flows += flows.flows;
	stats->unread += flows.unparsed;
	stats->evicted += flows.evicted;
}
