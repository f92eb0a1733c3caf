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
	              VIRTIO_F_IN_ORDER = 35,
	              VIRTIO_F_ORDER_PLATFORM = 36,
	              VIRTIO_NET_F_MTU = 3,
	              VIRTIO_NET_F_MAC = 5,
	              VIRTIO_NET_F_STATUS = 16,
	              VIRTIO_NET_F_CTRL_VQ = 17,
	              VIRTIO_NET_F_MQ = 22,
	              VIRTIO_BLK_F_MQ = 12,
};

enum { VIRTIO_CONFIG_MAX = 64 };

struct virtio_type {
	const char *name;
	uint16_t id;       /* virtio 1.2, 5 */
	uint32_t class;    /* PCI class code */
	uint64_t features; /* that the transport passes through */
	uint64_t
	        local_features; /* those that the vmm gives itself with a configuration of its own */
	uint16_t config_size;   /* bytes; 0: the device has no configuration */
};

/* NULL: there is no such device. */
const struct virtio_type *virtio_type_find(const char *name);

/*
 * A device's options, "key=value,..." ("": none): a net device's `mac` and `mtu` are filled into `config`
 * and their features added. 0, or -EINVAL with the first bad option in *bad (into `options`).
 */
int virtio_type_options(const struct virtio_type *type, const char *options, uint8_t *config,
                        uint64_t *features, const char **bad);

/* A net device's own configuration: how many pairs of queues there can be (0: not known). */
void virtio_type_pairs(uint8_t *config, uint64_t pairs);

/* How many queues a device with these features and this configuration has; `most` is the back end's word, or 0. */
unsigned int virtio_type_queues(const struct virtio_type *type, uint64_t features,
                                const uint8_t *config, uint64_t most);

#endif
