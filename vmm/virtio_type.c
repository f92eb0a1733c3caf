/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kinds of devices. A feature is in a type's list when its whole meaning is between the guest's driver
 * and the back end; those that ask something of the transport (packed rings, notification data, ring
 * reset, access platform) are not there, so that no back end can offer them.
 */
#include "vmm/virtio_type.h"

#include "base/base.h"

enum {
	NET_STATUS = 6, /* offsets in struct virtio_net_config */
	NET_PAIRS = 8,
	NET_MTU = 10,
	NET_PAIRS_MAX = 15, /* two queues each, and control */
	NET_LINK_UP = 1,
	NET_MTU_MIN = 68,
	NET_MTU_MAX = 65535,
	BLK_QUEUES = 34, /* in struct virtio_blk_config */
	BALLOON_QUEUES = 5,
	FS_QUEUES = 36, /* in struct virtio_fs_config, behind the tag */
	FS_TAG_MAX = 36,
	FS_QUEUES_MAX = 31, /* and one for what cannot wait */
	TYPE_NET = 1,
	TYPE_FS = 26,
};

/* Bits `low` to `high`, both in. */
#define BITS(low, high) ((UINT64_MAX >> (63 - (high))) & (UINT64_MAX << (low)))

#define ALL_TYPES                                                              \
	(VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | \
	 VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_F_IN_ORDER) |      \
	 VIRTIO_BIT(VIRTIO_F_ORDER_PLATFORM))

static const struct virtio_type types[] = {
        /* Offloads (0..15), status, control queue and filters (16..20), announce, MQ, MAC (21..23), USO (54..56) */
        {"net", 1, 0x020000, ALL_TYPES | BITS(0, 3) | BITS(5, 5) | BITS(7, 23) | BITS(54, 56),
         VIRTIO_BIT(VIRTIO_NET_F_MTU) | VIRTIO_BIT(VIRTIO_NET_F_MAC) |
                 VIRTIO_BIT(VIRTIO_NET_F_STATUS),
         12, false},
        /* SIZE_MAX, SEG_MAX; GEOMETRY, RO, BLK_SIZE; FLUSH to WRITE_ZEROES */
        {"blk", 2, 0x018000, ALL_TYPES | BITS(1, 2) | BITS(4, 6) | BITS(9, 14), 0, 60, false},
        /* SIZE: one port; the control queues of more are not offered */
        {"console", 3, 0x078000, ALL_TYPES | BITS(0, 0), 0, 12, false},
        {"rng", 4, 0x00ff00, ALL_TYPES, 0, 0, false},
        /* MUST_TELL_HOST, STATS_VQ, DEFLATE_ON_OOM; PAGE_POISON, REPORTING */
        {"balloon", VIRTIO_TYPE_BALLOON, 0x00ff00, ALL_TYPES | BITS(0, 2) | BITS(4, 5), 0, 16,
         false},
        /* STREAM, SEQPACKET */
        {"vsock", 19, 0x078000, ALL_TYPES | BITS(0, 1), 0, 8, false},
        /* Without NOTIFICATION: the queue for it is not there */
        {"fs", 26, 0x018000, ALL_TYPES, 0, 40, true},
};

const struct virtio_type *virtio_type_find(const char *name)
{
	for (size_t i = 0; i < BASE_COUNT(types); i++)
		if (strcmp(types[i].name, name) == 0)
			return &types[i];
	return NULL;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "52:54:00:12:34:56", a unicast address, and nothing behind it but the next option. */
static const char *parse_mac(const char *at, uint8_t *config)
{
	for (int i = 0; i < 6; i++, at += 2) {
		int high, low;

		if (i > 0 && *at++ != ':')
			return NULL;
		high = hex_digit(at[0]);
		low = high < 0 ? -1 : hex_digit(at[1]);
		if (low < 0)
			return NULL;
		config[i] = (uint8_t)(high << 4 | low);
	}
	return config[0] & 1 ? NULL : at;
}

static const char *parse_mtu(const char *at, uint8_t *config)
{
	unsigned int mtu = 0;

	while (*at >= '0' && *at <= '9' && mtu <= NET_MTU_MAX)
		mtu = mtu * 10 + (unsigned int)(*at++ - '0');
	if (mtu < NET_MTU_MIN || mtu > NET_MTU_MAX)
		return NULL;
	config[NET_MTU] = (uint8_t)mtu;
	config[NET_MTU + 1] = (uint8_t)(mtu >> 8);
	return at;
}

static const char *parse_number(const char *at, unsigned int least, unsigned int most,
                                unsigned int *number)
{
	*number = 0;
	while (*at >= '0' && *at <= '9' && *number <= most)
		*number = *number * 10 + (unsigned int)(*at++ - '0');
	return *number < least || *number > most ? NULL : at;
}

/* Letters, digits and "._-": a name that can stand in a log and in a mount command. */
static const char *parse_word(const char *at, char *out, size_t size)
{
	size_t length =
	        strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");

	if (length == 0 || length > size)
		return NULL;
	memcpy(out, at, length);
	return at + length;
}

static const char *parse_net(const char *at, uint8_t *config, struct virtio_options *options)
{
	uint64_t feature;
	const char *end = NULL;

	if (strncmp(at, "mac=", 4) == 0) {
		end = parse_mac(at + 4, config);
		feature = VIRTIO_BIT(VIRTIO_NET_F_MAC);
	} else if (strncmp(at, "mtu=", 4) == 0) {
		end = parse_mtu(at + 4, config);
		feature = VIRTIO_BIT(VIRTIO_NET_F_MTU);
	}
	if (!end)
		return NULL;
	config[NET_STATUS] = NET_LINK_UP;
	options->features |= feature | VIRTIO_BIT(VIRTIO_NET_F_STATUS);
	return end;
}

static const char *parse_fs(const char *at, uint8_t *config)
{
	unsigned int queues;

	if (strncmp(at, "tag=", 4) == 0)
		return parse_word(at + 4, (char *)config, FS_TAG_MAX);
	if (strncmp(at, "queues=", 7) != 0)
		return NULL;
	at = parse_number(at + 7, 1, FS_QUEUES_MAX, &queues);
	config[FS_QUEUES] = (uint8_t)queues;
	return at;
}

static const char *parse_option(const struct virtio_type *type, const char *at, uint8_t *config,
                                struct virtio_options *options)
{
	if (strncmp(at, "name=", 5) == 0)
		return parse_word(at + 5, options->name, sizeof(options->name) - 1);
	if (strncmp(at, "restart=", 8) == 0)
		return parse_number(at + 8, 1, VIRTIO_RESTART_MAX_MS, &options->restart_ms);
	if (type->id == TYPE_NET)
		return parse_net(at, config, options);
	return type->id == TYPE_FS ? parse_fs(at, config) : NULL;
}

int virtio_type_options(const struct virtio_type *type, const char *text, uint8_t *config,
                        struct virtio_options *options)
{
	const char *at = text;

	*options = (struct virtio_options){.bad = text};
	if (type->id == TYPE_FS)
		config[FS_QUEUES] = 1;
	while (*at) {
		const char *end = parse_option(type, at, config, options);

		options->bad = at;
		if (!end || (*end != '\0' && *end != ','))
			return -EINVAL;
		at = *end == ',' ? end + 1 : end;
	}
	return type->id == TYPE_FS && config[0] == '\0' ? -EINVAL : 0;
}

void virtio_type_pairs(uint8_t *config, uint64_t pairs)
{
	if (pairs < 1)
		pairs = 1;
	if (pairs > NET_PAIRS_MAX)
		pairs = NET_PAIRS_MAX;
	config[NET_PAIRS] = (uint8_t)pairs;
}

unsigned int virtio_type_queues(const struct virtio_type *type, uint64_t features,
                                const uint8_t *config, uint64_t most)
{
	unsigned int count = 1;

	switch (type->id) {
	case TYPE_NET: /* receive and transmit of each pair, and control behind them */
		if (features & VIRTIO_BIT(VIRTIO_NET_F_MQ))
			count = BASE_MAX(base_le16(config + NET_PAIRS), 1);
		return count * 2 + (features & VIRTIO_BIT(VIRTIO_NET_F_CTRL_VQ) ? 1 : 0);
	case 2:
		if (features & VIRTIO_BIT(VIRTIO_BLK_F_MQ))
			count = BASE_MAX(base_le16(config + BLK_QUEUES), 1);
		return most > 0 && count > most ? (unsigned int)most : count;
	case 3: return 2; /* receive, transmit */
	case VIRTIO_TYPE_BALLOON:
		return BALLOON_QUEUES; /* each has its number, whatever is negotiated (virtio 1.2, 5.5.2) */
	case 19: return 3;             /* the same, and events */
	case TYPE_FS: return 1 + config[FS_QUEUES];
	default: return 1;
	}
}
