/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flow: the launch of a confidential guest, command by command, with what KVM is asked behind one small table:
 * the kernel (`cc_kernel`, kernel_ops.c), or a model of it in the tests. The pages that are launched come from the
 * walker that `cordon measure` hashes.
 *
 *   cc_vm_create()      the VM of its type; SEV: /dev/sev, INIT or INIT2; TDX: CAPABILITIES, INIT_VM
 *   cc_memory_add()     each range of guest memory: SEV pins it; SEV-SNP and TDX have a guest_memfd for it (made
 *                       here, or the caller's), all of it private at first
 *   (the caller creates the vCPUs, and gives them their CPUID)
 *   cc_launch()         SEV: LAUNCH_START, LAUNCH_UPDATE_DATA, LAUNCH_UPDATE_VMSA, LAUNCH_MEASURE, LAUNCH_FINISH
 *                       SEV-SNP: SNP_LAUNCH_START, SNP_LAUNCH_UPDATE, SNP_LAUNCH_FINISH
 *                       TDX: INIT_VCPU, INIT_MEM_REGION, FINALIZE_VM
 *
 * Implemented to the ABI, never run on such hardware. Sources: Linux's Documentation/virt/kvm/x86/
 * amd-memory-encryption.rst and intel-tdx.rst, and those that confidential.h names.
 */
#ifndef CORDON_CONFIDENTIAL_FLOW_H
#define CORDON_CONFIDENTIAL_FLOW_H

#include "confidential/confidential.h"
#include "confidential/uapi.h"

struct cc_ops {
	/* The device of that path, for reading and writing: an fd, or a negative errno. */
	int (*open)(void *self, const char *path);
	/* What ioctl() gives, or a negative errno. */
	int (*call)(void *self, int fd, uint32_t request, void *argument);
	void (*close)(void *self, int fd);
};
extern const struct cc_ops cc_kernel;

enum { CC_MEMORY_MAX = 8 };

struct cc_memory {
	uint64_t gpa, size; /* whole pages */
	uint8_t *host;      /* where it is mapped: of SEV all of it, else its shared half */
	/* SEV-SNP, TDX: the caller's guest_memfd, where it has one already, and where in it this is */
	bool has_memfd;
	int memfd;
	uint64_t offset;
	bool firmware; /* where the image lies: no memory that the guest is told of */
};

/* What a policy may say of the guest beside its launch. */
struct cc_wishes {
	bool debug;                   /* the host may read and write its memory */
	bool smt;                     /* SEV-SNP: may run beside another thread of its core */
	uint8_t abi_major, abi_minor; /* SEV, SEV-SNP: the oldest firmware that it runs on */
	const uint8_t *id_block;      /* SEV-SNP: IDBLOCK_SIZE bytes, or NULL; then id_auth too */
	const uint8_t *id_auth;       /* IDBLOCK_AUTH_SIZE bytes */
	bool author;                  /* id_auth has an author's key */
	uint8_t host_data[32];        /* SEV-SNP: in each report */
};

struct cc_guest {
	const struct cc_ops *ops;
	void *self;
	int kvm;                          /* /dev/kvm, the caller's */
	const struct launch_input *input; /* outlives the guest */
	struct cc_wishes wishes;
	const struct cc_cpuid_entry *cpuid; /* what the vCPUs were given, the caller's */
	size_t cpuid_count;
	/* SEV-SNP, TDX: is told of pages that the guest shares from its start; or NULL */
	void (*shares)(void *data, uint64_t gpa, uint64_t size);
	void *shares_data;

	/* from here on: set by the functions below */
	int vm, sev;
	struct cc_memory memory[CC_MEMORY_MAX];
	int memfds[CC_MEMORY_MAX];
	size_t memory_count;
	/* SEV, SEV-ES: what the owner compares with the digest; it is an HMAC with the owner's key */
	struct cc_sev_measurement measurement;
};

/* Nothing of it is open. */
void cc_guest_init(struct cc_guest *guest, const struct cc_ops *ops, void *self, int kvm,
                   const struct launch_input *input);
/* The VM, before it has memory or vCPUs. All of these: 0, or a negative errno and one sentence in why[WHY_MAX]. */
int cc_vm_create(struct cc_guest *guest, char *why);
int cc_memory_add(struct cc_guest *guest, const struct cc_memory *memory, char *why);
/* `vcpus` are input->vcpus fds in order; they get the registers with which they are measured. */
int cc_launch(struct cc_guest *guest, const int *vcpus, char *why);
/* Closes all but what the caller gave. */
void cc_guest_close(struct cc_guest *guest);

/* SEV: POLICY of LAUNCH_START (SEV API table 2); SEV-SNP: of SNP_LAUNCH_START (SNP ABI table 9). */
uint32_t cc_sev_policy(enum confidential_type type, const struct cc_wishes *wishes);
uint64_t cc_snp_policy(const struct cc_wishes *wishes);
/* TDX: attributes of INIT_VM. */
uint64_t cc_tdx_attributes(const struct cc_wishes *wishes);

#endif
