/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-net: virtio-net (virtio 1.2, section 5.1) over one tap that the launcher opened, with as many pairs
 * of queues as it has been given queues of the tap. The tap speaks virtio_net_hdr too, so that checksums and
 * segmentation are left to whoever must do them, and payload moves between the tap and guest memory
 * without a copy of ours.
 *
 * All queues are served by one loop. What the host's tap can do is found out before the sandbox closes, and
 * no more than that is offered to the guest.
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include "vmm/devices/list_net.h"
#include "vmm/devices/net.h"
#include "vmm/devices/program.h"

#define NET_BIT(feature) (1ull << (feature))

/* Where the control queue is: behind all pairs that the driver could use (section 5.1.2). */
static unsigned int control_queue(const struct net *net)
{
	return net_has(net, VIRTIO_NET_F_MQ) ? 2 * net->pairs : 2;
}

static int net_queue_run(void *self, unsigned int queue, struct vring *ring)
{
	struct net *net = self;
	bool control = net_has(net, VIRTIO_NET_F_CTRL_VQ);

	if (control && queue == control_queue(net))
		return net_control(net, ring);
	if (queue / 2 >= net->pairs)
		return 0;
	if (queue % 2 == 1)
		return net_transmit(net, queue / 2, ring);
	/* A front end that has the control queue to itself says by the rings that it starts what is used. */
	if (!control || queue / 2 < net->active)
		net_pair_attach(net, queue / 2, true);
	return net_receive(net, queue / 2, ring);
}

static void net_queue_stop(void *self, unsigned int queue, struct vring *ring)
{
	struct net *net = self;

	if (queue % 2 == 1 || queue / 2 >= net->pairs)
		return;
	net_receive_stop(&net->pair[queue / 2], ring);
	net_pair_attach(net, queue / 2, false);
}

static uint64_t net_features(void *self)
{
	const struct net *net = self;

	return net->offered;
}

static int net_features_set(void *self, uint64_t features)
{
	struct net *net = self;

	net->features = features;
	net->active = 1;
	for (unsigned int i = 1; i < net->pairs; i++)
		net_pair_attach(net, i, false);
	return net_offloads_set(net, features);
}

static void net_reset(void *self)
{
	(void)net_features_set(self, 0); /* the next driver's features come before its rings */
}

static unsigned int net_pairs(void *self)
{
	return ((const struct net *)self)->pairs;
}

static int net_config_read(void *self, uint32_t offset, void *data, uint32_t size)
{
	const struct net *net = self;
	size_t there = sizeof(net->config);

	memset(data, 0, size);
	if (offset < there)
		memcpy(data, (const uint8_t *)&net->config + offset,
		       BASE_MIN(size, there - offset));
	return 0;
}

/* One queue of the tap: what it is, and that it can be waited for. */
static int tap_open(struct vhost_back *back, int tap, unsigned int pair, bool many,
                    const char **why)
{
	int wanted = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (many ? IFF_MULTI_QUEUE : 0);
	struct ifreq interface = {.ifr_flags = 0};
	int header = 0, flags;

	*why = "the fd is not a tap";
	if (ioctl(tap, TUNGETIFF, &interface) < 0)
		return -errno;
	*why = many ? "a tap of many queues must be IFF_TAP, IFF_NO_PI, IFF_VNET_HDR and "
	              "IFF_MULTI_QUEUE"
	            : "the tap must be IFF_TAP, IFF_NO_PI and IFF_VNET_HDR";
	if ((interface.ifr_flags & wanted) != wanted)
		return -EINVAL;
	*why = "the tap's header must have 12 bytes (TUNSETVNETHDRSZ)";
	if (ioctl(tap, TUNGETVNETHDRSZ, &header) < 0)
		return -errno;
	if (header != NET_HEADER)
		return -EINVAL;
	*why = "the tap cannot be made non-blocking";
	flags = fcntl(tap, F_GETFL);
	if (flags < 0 || fcntl(tap, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	*why = "the tap cannot be waited for";
	return vhost_back_watch(back, tap, 2 * pair);
}

/* Offers what this host's tap takes. */
static int offloads_find(struct net *net)
{
	static const struct {
		unsigned long tap;
		uint64_t features;
	} levels[] = {
	        {TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | NET_TUN_F_USO4 |
	                 NET_TUN_F_USO6,
	         NET_BIT(NET_F_GUEST_USO4) | NET_BIT(NET_F_GUEST_USO6) | NET_BIT(NET_F_HOST_USO)},
	        {TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN, 0},
	};
	const uint64_t always = NET_BIT(VIRTIO_NET_F_CSUM) | NET_BIT(VIRTIO_NET_F_GUEST_CSUM) |
	                        NET_BIT(VIRTIO_NET_F_GUEST_TSO4) |
	                        NET_BIT(VIRTIO_NET_F_GUEST_TSO6) | NET_BIT(VIRTIO_NET_F_GUEST_ECN) |
	                        NET_BIT(VIRTIO_NET_F_HOST_TSO4) | NET_BIT(VIRTIO_NET_F_HOST_TSO6) |
	                        NET_BIT(VIRTIO_NET_F_HOST_ECN) |
	                        NET_BIT(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);

	for (size_t i = 0; i < BASE_COUNT(levels); i++) {
		if (ioctl(net->pair[0].tap, TUNSETOFFLOAD, levels[i].tap) < 0)
			continue;
		net->offered |= always | levels[i].features;
		break;
	}
	return net_offloads_set(net, 0);
}

static int net_open(void *self, struct vhost_back *back, const char **why)
{
	struct net *net = self;
	int error = 0;

	for (unsigned int i = 0; i < net->pairs && error == 0; i++)
		error = tap_open(back, net->pair[i].tap, i, net->pairs > 1, why);
	if (error < 0)
		return error;
	*why = "the tap takes no offloads, not even none";
	error = offloads_find(net);
	if (error < 0)
		return error;
	net->offered |= NET_BIT(VIRTIO_NET_F_MRG_RXBUF) | NET_BIT(VIRTIO_NET_F_STATUS) |
	                NET_BIT(VIRTIO_NET_F_CTRL_VQ) | NET_BIT(VIRTIO_NET_F_CTRL_RX) |
	                NET_BIT(VIRTIO_NET_F_CTRL_RX_EXTRA);
	if (net->offered & NET_BIT(VIRTIO_NET_F_MAC))
		net->offered |= NET_BIT(VIRTIO_NET_F_CTRL_MAC_ADDR);
	if (net->pairs > 1)
		net->offered |= NET_BIT(VIRTIO_NET_F_MQ);
	net->config.status = VIRTIO_NET_S_LINK_UP;
	net->config.max_virtqueue_pairs = (uint16_t)net->pairs;
	net->config.mtu = net->config.mtu ? net->config.mtu : NET_MTU_DEFAULT;
	return 0;
}

static int set_tap(void *self, const char *value)
{
	struct net *net = self;
	uint64_t fd;
	int error = device_number(value, 0, INT32_MAX, &fd);

	if (error < 0)
		return error;
	if (net->pairs == NET_PAIRS_MAX)
		return -E2BIG;
	net->pair[net->pairs++] = (struct net_pair){.tap = (int)fd, .attached = true};
	return 0;
}

static int set_mac(void *self, const char *value)
{
	struct net *net = self;
	char rest;
	uint8_t *m = net->config.mac;

	if (strlen(value) != 17 ||
	    sscanf(value, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &m[0], &m[1], &m[2], &m[3],
	           &m[4], &m[5], &rest) != 6 ||
	    m[0] & 1)
		return -EINVAL;
	net->offered |= NET_BIT(VIRTIO_NET_F_MAC);
	return 0;
}

static int set_mtu(void *self, const char *value)
{
	struct net *net = self;
	uint64_t mtu;
	int error = device_number(value, 68, 65521, &mtu);

	if (error < 0)
		return error;
	net->config.mtu = (uint16_t)mtu;
	net->offered |= NET_BIT(VIRTIO_NET_F_MTU);
	return 0;
}

/* One entry of the page, and buckets of their own for each way. */
static int set_limits(void *self, const char *value)
{
	struct net *net = self;
	int error = limiter_open(&net->in, value);

	net->out = net->in;
	return error;
}

static const struct vhost_device_ops net_ops = {
        .name = "cordon-net",
        .queues = NET_QUEUES_MAX,
        .pairs = net_pairs,
        .features = net_features,
        .features_set = net_features_set,
        .config_read = net_config_read,
        .queue_run = net_queue_run,
        .queue_stop = net_queue_stop,
        .reset = net_reset,
};

static const struct device_option net_options[] = {
        {"tap", "FD", true, set_tap}, /* once for each queue of it */
        {"mac", "M", false, set_mac},
        {"mtu", "N", false, set_mtu},
        {"limits", "FD:ENTRY", false, set_limits},
};

const struct device_program device_net = {
        .ops = &net_ops,
        .options = net_options,
        .option_count = BASE_COUNT(net_options),
        .state_size = sizeof(struct net),
        .list = &list_net,
        .open = net_open,
};
