/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * virtio_type: what the transport has to know of each kind of device: its ids, the features that may be
 * passed through from a back end, its configuration space and its queues.
 */
#ifndef CORDON_VIRTIO_TYPE_H
#define CORDON_VIRTIO_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VIRTIO_BIT(feature) (1ull << (feature))

enum virtio_feature { /* virtio 1.2, 6 */
	              VIRTIO_F_INDIRECT_DESC = 28,
	              VIRTIO_F_EVENT_IDX = 29,
	              VIRTIO_F_VERSION_1 = 32,
	              VIRTIO_F_ACCESS_PLATFORM = 33,
	              VIRTIO_F_IN_ORDER = 35,
	              VIRTIO_F_ORDER_PLATFORM = 36,
	              VIRTIO_NET_F_MTU = 3,
	              VIRTIO_NET_F_MAC = 5,
	              VIRTIO_NET_F_STATUS = 16,
	              VIRTIO_NET_F_CTRL_VQ = 17,
	              VIRTIO_NET_F_MQ = 22,
	              VIRTIO_BLK_F_MQ = 12,
};

enum { VIRTIO_TYPE_BALLOON = 5 }; /* the one that the transport treats otherwise */

enum { VIRTIO_CONFIG_MAX = 64, VIRTIO_NAME_MAX = 16, VIRTIO_RESTART_MAX_MS = 600000 };

struct virtio_type {
	const char *name;
	uint16_t id;       /* virtio 1.2, 5 */
	uint32_t class;    /* PCI class code */
	uint64_t features; /* that the transport passes through */
	uint64_t
	        local_features; /* those that the vmm gives itself with a configuration of its own */
	uint16_t config_size;   /* bytes; 0: the device has no configuration */
	bool local_only;        /* its configuration is always the vmm's own */
};

/* NULL: there is no such device. */
const struct virtio_type *virtio_type_find(const char *name);

/* What a device's options come to. */
struct virtio_options {
	char name[VIRTIO_NAME_MAX]; /* `name`: of the device, or "" */
	unsigned int restart_ms;    /* `restart`: how long it may wait for another back end */
	uint64_t features;          /* of a net device's `mac` and `mtu` */
	const char *bad;            /* the first bad option, in the text */
};

/*
 * Reads a device's options, "key=value,..." ("": none). A net device's `mac` and `mtu`, and a file system's
 * `tag` (which it has to have) and `queues`, are filled into `config`. 0, or -EINVAL with `bad`.
 */
int virtio_type_options(const struct virtio_type *type, const char *text, uint8_t *config,
                        struct virtio_options *options);

/* A net device's own configuration: how many pairs of queues there can be (0: not known). */
void virtio_type_pairs(uint8_t *config, uint64_t pairs);

/* How many queues a device with these features and this configuration has; `most` is the back end's word, or 0. */
unsigned int virtio_type_queues(const struct virtio_type *type, uint64_t features,
                                const uint8_t *config, uint64_t most);

#endif
