/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vhost_user: the messages of the vhost-user protocol, as they are on the wire (QEMU's published
 * docs/interop/vhost-user.rst), for the front end in the vmm and for the back ends in the devices.
 * Layout only; vmm/vhost_message.h moves them over a socket. Everything is little-endian, as both ends
 * are on one x86 machine. Field names follow the specification's.
 */
#ifndef CORDON_VHOST_USER_H
#define CORDON_VHOST_USER_H

#include <stddef.h>
#include <stdint.h>

/* Front end to back end. Those that a cordon process neither sends nor answers are left out. */
enum vhost_user_request {
	VHOST_USER_GET_FEATURES = 1,    /* -> u64 */
	VHOST_USER_SET_FEATURES = 2,    /* u64 */
	VHOST_USER_SET_OWNER = 3,       /* nothing */
	VHOST_USER_RESET_OWNER = 4,     /* deprecated: as RESET_DEVICE, or ignored */
	VHOST_USER_SET_MEM_TABLE = 5,   /* memory, one fd a region */
	VHOST_USER_SET_LOG_BASE = 6,    /* log, one fd; answered (u64) when LOG_SHMFD */
	VHOST_USER_SET_LOG_FD = 7,      /* one fd: eventfd */
	VHOST_USER_SET_VRING_NUM = 8,   /* state */
	VHOST_USER_SET_VRING_ADDR = 9,  /* address */
	VHOST_USER_SET_VRING_BASE = 10, /* state */
	VHOST_USER_GET_VRING_BASE = 11, /* state -> state; stops the ring */
	VHOST_USER_SET_VRING_KICK =
	        12, /* u64 (enum vhost_user_vring_fd), fd unless NOFD; starts the ring */
	VHOST_USER_SET_VRING_CALL = 13,        /* the same */
	VHOST_USER_SET_VRING_ERR = 14,         /* the same */
	VHOST_USER_GET_PROTOCOL_FEATURES = 15, /* -> u64 */
	VHOST_USER_SET_PROTOCOL_FEATURES = 16, /* u64 */
	VHOST_USER_GET_QUEUE_NUM = 17,         /* -> u64; with MQ */
	VHOST_USER_SET_VRING_ENABLE = 18,      /* state */
	VHOST_USER_SEND_RARP = 19,             /* u64: MAC; with RARP */
	VHOST_USER_NET_SET_MTU = 20,           /* u64; with MTU */
	VHOST_USER_SET_BACKEND_REQ_FD = 21,    /* one fd; with BACKEND_REQ */
	VHOST_USER_GET_CONFIG = 24, /* config -> config; a size of 0 in the answer is an error */
	VHOST_USER_SET_CONFIG = 25, /* config */
	VHOST_USER_GET_INFLIGHT_FD = 31,   /* inflight -> inflight, one fd */
	VHOST_USER_SET_INFLIGHT_FD = 32,   /* inflight, one fd */
	VHOST_USER_RESET_DEVICE = 34,      /* nothing; with RESET_DEVICE */
	VHOST_USER_GET_MAX_MEM_SLOTS = 36, /* -> u64; with CONFIGURE_MEM_SLOTS, as the next two */
	VHOST_USER_ADD_MEM_REG = 37,       /* one region, one fd */
	VHOST_USER_REM_MEM_REG = 38,       /* one region; a fd may come along, and is closed */
	VHOST_USER_SET_STATUS = 39,        /* u64: virtio device status; with STATUS */
	VHOST_USER_GET_STATUS = 40,        /* -> u64 */
	/* cordon's own, far above those that are published; with SHARED_MAP. Layout as of the dirty log:
	 * bit N of byte N/8 is set while the guest shares page N of its physical memory. */
	VHOST_USER_SET_SHARED_MAP = 96, /* log, one fd, to be mapped read-only */
};

/* Back end to front end, over the channel of SET_BACKEND_REQ_FD. The others are not offered. */
enum vhost_user_backend_request {
	VHOST_USER_BACKEND_CONFIG_CHANGE = 2, /* nothing: the configuration is to be read again */
};

/* Bits of the virtio feature word that are vhost's own. */
enum vhost_user_feature {
	VHOST_F_LOG_ALL = 26,
	VHOST_F_ACCESS_PLATFORM = 33, /* to a back end: its addresses are IOVAs */
	VHOST_USER_F_PROTOCOL_FEATURES = 30,
};

/* Bits of the protocol feature word. */
enum vhost_user_protocol_feature {
	VHOST_USER_PROTOCOL_F_MQ = 0,
	VHOST_USER_PROTOCOL_F_LOG_SHMFD = 1,
	VHOST_USER_PROTOCOL_F_RARP = 2,
	VHOST_USER_PROTOCOL_F_REPLY_ACK = 3,
	VHOST_USER_PROTOCOL_F_MTU = 4,
	VHOST_USER_PROTOCOL_F_BACKEND_REQ = 5,
	VHOST_USER_PROTOCOL_F_CONFIG = 9,
	VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD = 12,
	VHOST_USER_PROTOCOL_F_RESET_DEVICE = 13,
	VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS = 15,
	VHOST_USER_PROTOCOL_F_STATUS = 16,
	VHOST_USER_PROTOCOL_F_SHARED_MAP = 62, /* cordon's own: SET_SHARED_MAP is obeyed */
};

#define VHOST_USER_BIT(feature) (1ull << (feature))

enum vhost_user_flags {
	VHOST_USER_VERSION = 1, /* the value of the two lowest bits */
	VHOST_USER_VERSION_MASK = 3,
	VHOST_USER_REPLY = 4,      /* this is an answer */
	VHOST_USER_NEED_REPLY = 8, /* with REPLY_ACK: answer with a u64, 0 for success */
};

enum {
	VHOST_USER_REGIONS_MAX = 8, /* in one SET_MEM_TABLE; also the most fds in any message */
	VHOST_USER_CONFIG_MAX = 256,
	VHOST_USER_FDS_MAX = 8,
};

struct vhost_user_header {
	uint32_t request; /* enum vhost_user_request */
	uint32_t flags;   /* enum vhost_user_flags */
	uint32_t size;    /* of the payload that follows, bytes */
};

struct vhost_user_vring_state {
	uint32_t index;
	uint32_t num;
};

struct vhost_user_vring_addr {
	uint32_t index;
	uint32_t flags; /* enum vhost_user_vring_flags */
	uint64_t
	        descriptor; /* these three in the front end's address space (the regions' user_address) */
	uint64_t used;
	uint64_t available;
	uint64_t log; /* guest address of the used ring, for the dirty log */
};
enum vhost_user_vring_flags { VHOST_USER_VRING_LOG = 1 };

/* The u64 of SET_VRING_KICK, CALL and ERR: the ring's index, and whether a fd comes along. */
enum vhost_user_vring_fd {
	VHOST_USER_VRING_INDEX_MASK = 0xff,
	VHOST_USER_VRING_NOFD = 0x100, /* no fd: the back end polls, or does not signal */
};

struct vhost_user_region {
	uint64_t guest_address;
	uint64_t size;
	uint64_t user_address; /* in the front end's address space */
	uint64_t mmap_offset;  /* in the fd */
};

struct vhost_user_memory {
	uint32_t region_count;
	uint32_t padding;
	struct vhost_user_region regions[VHOST_USER_REGIONS_MAX]; /* only region_count are sent */
};

struct vhost_user_memory_region { /* ADD_MEM_REG, REM_MEM_REG */
	uint64_t padding;
	struct vhost_user_region region;
};

struct vhost_user_log {
	uint64_t size;
	uint64_t offset; /* in the fd */
};

struct vhost_user_config {
	uint32_t offset; /* in the device's configuration space */
	uint32_t size;
	uint32_t flags;                       /* enum vhost_user_config_flags */
	uint8_t bytes[VHOST_USER_CONFIG_MAX]; /* only `size` are sent */
};
enum vhost_user_config_flags { VHOST_USER_CONFIG_WRITABLE = 0, VHOST_USER_CONFIG_MIGRATION = 1 };

/* Others send it with or without the padding at its end: 20 or 24 bytes. */
struct vhost_user_inflight {
	uint64_t mmap_size;
	uint64_t mmap_offset;
	uint16_t queue_count;
	uint16_t queue_size;
	uint32_t padding;
};

union vhost_user_payload {
	uint64_t u64;
	struct vhost_user_vring_state state;
	struct vhost_user_vring_addr address;
	struct vhost_user_memory memory;
	struct vhost_user_memory_region region;
	struct vhost_user_log log;
	struct vhost_user_config config;
	struct vhost_user_inflight inflight;
};

/* Sizes of the payloads whose length depends on what is in them. */
#define VHOST_USER_MEMORY_SIZE(count) \
	(offsetof(struct vhost_user_memory, regions) + (count) * sizeof(struct vhost_user_region))
#define VHOST_USER_CONFIG_SIZE(count) (offsetof(struct vhost_user_config, bytes) + (count))

_Static_assert(sizeof(struct vhost_user_header) == 12, "header");
_Static_assert(sizeof(struct vhost_user_vring_state) == 8, "vring state");
_Static_assert(sizeof(struct vhost_user_vring_addr) == 40, "vring address");
_Static_assert(offsetof(struct vhost_user_vring_addr, used) == 16, "used ring address");
_Static_assert(sizeof(struct vhost_user_region) == 32, "region");
_Static_assert(sizeof(struct vhost_user_memory) == 8 + 8 * 32, "memory table");
_Static_assert(sizeof(struct vhost_user_memory_region) == 40, "single region");
_Static_assert(sizeof(struct vhost_user_log) == 16, "log");
_Static_assert(offsetof(struct vhost_user_config, bytes) == 12, "config");
_Static_assert(sizeof(struct vhost_user_inflight) == 24, "inflight");
_Static_assert(offsetof(struct vhost_user_inflight, queue_count) == 16, "inflight queues");

#endif
