/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The header that a guest puts before each frame (virtio 1.2, section 5.1.6.2) tells the kernel where to put a
 * checksum and how to cut a large segment. The kernel looks at it too; but it is the host's, its ways with
 * such headers have had holes, and what it would make of one that contradicts the frame is nothing that a
 * guest needs. So a large segment has to be what its header says: IPv4 or IPv6, TCP or UDP, with the
 * checksum where that protocol has it.
 */
#include "vmm/devices/net.h"

enum {
	ETHERNET = 14,
	ETHERTYPE_VLAN = 0x8100,
	ETHERTYPE_QINQ = 0x88a8,
	ETHERTYPE_IPV4 = 0x0800,
	ETHERTYPE_IPV6 = 0x86dd,
	VLAN_TAGS_MAX = 2,
	IPV4_LEAST = 20,
	IPV6 = 40,
	IPV6_EXTENSIONS_MAX = 4,
	PROTOCOL_TCP = 6,
	PROTOCOL_UDP = 17,
	TCP_LEAST = 20,
	TCP_CHECKSUM = 16,
	UDP = 8,
	UDP_CHECKSUM = 6,
};

struct headers {
	const uint8_t *bytes;
	size_t length;
};

/* `size` bytes at `offset`, or NULL. */
static const uint8_t *at(const struct headers *h, size_t offset, size_t size)
{
	return offset <= h->length && size <= h->length - offset ? h->bytes + offset : NULL;
}

/* Where the transport header begins, and its protocol; 0 when there is none of IPv4. */
static size_t transport4(const struct headers *h, size_t ip, uint8_t *protocol)
{
	const uint8_t *p = at(h, ip, IPV4_LEAST);
	size_t size;

	if (!p || p[0] >> 4 != 4)
		return 0;
	size = (size_t)(p[0] & 15) * 4;
	*protocol = p[9];
	return size >= IPV4_LEAST && at(h, ip, size) ? ip + size : 0;
}

/* The same of IPv6, past the extension headers that a segment can have (RFC 8200, section 4). */
static size_t transport6(const struct headers *h, size_t ip, uint8_t *protocol)
{
	const uint8_t *p = at(h, ip, IPV6);
	size_t next = ip + IPV6;

	if (!p || p[0] >> 4 != 6)
		return 0;
	*protocol = p[6];
	for (int i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		if (*protocol != 0 && *protocol != 43 && *protocol != 60)
			return next;
		p = at(h, next, 8);
		if (!p)
			return 0;
		*protocol = p[0];
		next += (size_t)(p[1] + 1) * 8;
	}
	return 0;
}

/* Where the IP header begins, and the Ethernet type. */
static size_t network(const struct headers *h, uint16_t *type)
{
	size_t next = ETHERNET;

	for (int tags = 0; tags <= VLAN_TAGS_MAX; tags++, next += 4) {
		const uint8_t *p = at(h, next - 2, 2);

		if (!p)
			return 0;
		*type = base_be16(p);
		if (*type != ETHERTYPE_VLAN && *type != ETHERTYPE_QINQ)
			return next;
	}
	return 0;
}

/* Whether the frame is a segment of the kind that the header says. */
static bool segment_valid(const struct virtio_net_hdr_v1 *header, const struct headers *h,
                          uint64_t bytes)
{
	unsigned int kind = header->gso_type & ~(unsigned int)VIRTIO_NET_HDR_GSO_ECN;
	bool tcp = kind != NET_HDR_GSO_UDP_L4;
	uint16_t type = 0;
	uint8_t protocol = 0;
	size_t ip = network(h, &type), transport = 0, size = UDP;
	const uint8_t *p;

	if (type == ETHERTYPE_IPV4 && kind != VIRTIO_NET_HDR_GSO_TCPV6)
		transport = transport4(h, ip, &protocol);
	else if (type == ETHERTYPE_IPV6 && kind != VIRTIO_NET_HDR_GSO_TCPV4)
		transport = transport6(h, ip, &protocol);
	if (ip == 0 || transport == 0 || protocol != (tcp ? PROTOCOL_TCP : PROTOCOL_UDP) ||
	    header->csum_start != transport ||
	    header->csum_offset != (tcp ? TCP_CHECKSUM : UDP_CHECKSUM))
		return false;
	if (tcp) {
		p = at(h, transport, TCP_LEAST);
		size = p ? (size_t)(p[12] >> 4) * 4 : 0;
	}
	return size >= (tcp ? TCP_LEAST : UDP) && at(h, transport, size) &&
	       transport + size <= bytes;
}

/* The feature that lets a guest send this kind of segment. */
static bool segment_negotiated(unsigned int kind, uint64_t features)
{
	switch (kind) {
	case VIRTIO_NET_HDR_GSO_TCPV4: return features & 1ull << VIRTIO_NET_F_HOST_TSO4;
	case VIRTIO_NET_HDR_GSO_TCPV6: return features & 1ull << VIRTIO_NET_F_HOST_TSO6;
	case NET_HDR_GSO_UDP_L4: return features & 1ull << NET_F_HOST_USO;
	default: return false;
	}
}

bool net_header_valid(const struct virtio_net_hdr_v1 *h, const uint8_t *headers, size_t length,
                      uint64_t bytes, uint64_t features)
{
	unsigned int kind = h->gso_type & ~(unsigned int)VIRTIO_NET_HDR_GSO_ECN;
	bool ecn = h->gso_type & VIRTIO_NET_HDR_GSO_ECN;

	if (h->flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM)
		return false;
	if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM &&
	    (!(features & 1ull << VIRTIO_NET_F_CSUM) || h->csum_start < ETHERNET ||
	     (uint64_t)h->csum_start + h->csum_offset + 2 > bytes))
		return false;
	if (h->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return true;
	if (ecn && (!(features & 1ull << VIRTIO_NET_F_HOST_ECN) || kind == NET_HDR_GSO_UDP_L4))
		return false;
	return segment_negotiated(kind, features) && h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM &&
	       h->gso_size > 0 && h->hdr_len <= bytes &&
	       segment_valid(h, &(struct headers){headers, length}, bytes);
}
