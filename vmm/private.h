/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * private: guest memory of which the guest says, page by page, what is its own and what it shares with its
 * devices. Each page has two places: one in the memfd, that the vmm and the devices have mapped, and one in
 * KVM's guest_memfd, that nobody can map or read; a bit in KVM's attributes says which of the two the guest
 * sees. All of it is shared at first, and all of it private where the launch is measured. Used by the machine's own files, and through machine_shared_map().
 */
#ifndef CORDON_VMM_PRIVATE_H
#define CORDON_VMM_PRIVATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct machine;
struct machine_region;
struct vcpu;

enum {
	PRIVATE_PAGE = 4096,
	PRIVATE_PAGES_MAX = 1 << 18, /* of one request: 1 GiB, some 10 ms of KVM's time */
	PRIVATE_FAULTS_MAX = 64, /* in a row on a page that is already what the guest wants of it */
};

struct private_memory {
	uint32_t type; /* enum cc_vm_type; CC_X86_DEFAULT_VM: none of this is used */
	int memfd; /* guest_memfd of all RAM, at the offsets that the shared memfd has; firmware behind it */
	int map_fd;   /* which pages are shared, for the devices; -1: there is no private memory */
	uint8_t *map; /* the same here, for writing */
	uint64_t map_size;
	pthread_mutex_t
	        lock; /* one request at a time; taken without or inside the machine's lock */
	uint64_t requests, refused; /* of the guest's to convert pages */
};

/* Whether the machine's type has pages of two places: all but SEV and SEV-ES, which encrypt pages where they are. */
bool private_has_memory(const struct machine *m);

/* "sw-protected", what cordon-vmm's --private takes. False: it is no such word. */
bool private_type_parse(const char *text, uint32_t *type);

/* What a machine without private memory has: no fds. */
void private_init(struct private_memory *p);

/*
 * In vm_create(): private_check() says before KVM_CREATE_VM what this host lacks; private_create() makes the
 * guest_memfd and the map of shared pages; private_slot() hands a region to KVM as its slot `index`. All do nothing for, or
 * are not called of, a machine whose memory is all shared. 0 or a negative errno with `why`.
 */
int private_check(int kvm, uint32_t type, char *why);
int private_create(struct machine *m, char *why);
int private_slot(struct machine *m, unsigned int index, const struct machine_region *region);
void private_destroy(struct private_memory *p);

/*
 * Has KVM show the guest its private pages of [guest, guest + size), or the shared ones, and gives up what is
 * behind the others. -EINVAL for a range that is empty, unaligned, wraps or is not wholly in one region of
 * memory, -E2BIG for more than PRIVATE_PAGES_MAX pages: nothing has changed then. Else KVM's errno.
 */
int private_convert(struct machine *m, uint64_t guest, uint64_t size, bool private);

/* Of a guest whose pages are all private at first: these are not, as KVM has been told already. */
void private_shared_at_start(struct machine *m, uint64_t guest, uint64_t size);

/*
 * What run->exit_reason asks, in the vCPU's thread. private_hypercall(): KVM_HC_MAP_GPA_RANGE, whose answer
 * the guest finds. private_fault(): the guest touched a page that is not what it took it for; it becomes that,
 * or the VM ends; `error` is KVM_RUN's.
 */
void private_hypercall(struct vcpu *vcpu);
void private_fault(struct vcpu *vcpu, int error);

#endif
