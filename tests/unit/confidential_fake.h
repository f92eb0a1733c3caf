/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * confidential_fake: a model of KVM and of the firmware below it (AMD's PSP, Intel's TDX module), as Linux 6.12
 * (SEV, SEV-SNP; arch/x86/kvm/svm/sev.c) and 6.16 (TDX; arch/x86/kvm/vmx/tdx.c) have their rules: in which order,
 * with which alignment, which error number, which error of the firmware. It hashes what it is given by itself, and
 * shares no code with the launch or with `cordon measure`.
 */
#ifndef CORDON_TESTS_CONFIDENTIAL_FAKE_H
#define CORDON_TESTS_CONFIDENTIAL_FAKE_H

#include <linux/kvm.h>
#include <openssl/evp.h>

#include "confidential/flow.h"

enum {
	FAKE_KVM = 100,
	FAKE_SEV,
	FAKE_VM,
	FAKE_MEMFD = 110,
	FAKE_VCPU = 200,
	FAKE_VCPUS = 256,
	FAKE_SLOTS = 8,
	FAKE_PAGES = 4096, /* of a slot, at most */
	FAKE_API_MAJOR = 1,
	FAKE_API_MINOR = 55,
	FAKE_BUILD = 3,
	FAKE_CPUID_REFUSED = 0x80000099, /* the firmware does not take this leaf as it is */
};

/* A guest in the AMD firmware (SEV API section 5.1.7). */
enum fake_state { FAKE_NO_GUEST, FAKE_LUPDATE, FAKE_LSECRET, FAKE_RUNNING };
enum fake_td { FAKE_TD_UNINITIALIZED, FAKE_TD_INITIALIZED, FAKE_TD_RUNNABLE };

struct fake_slot {
	uint64_t gpa, size, uaddr;
	bool memfd, pinned;
	bool is_private[FAKE_PAGES], assigned[FAKE_PAGES];
};
struct fake_vcpu {
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	bool is_protected, initialized;
	uint64_t rcx;
};

struct fake {
	/* set by the test */
	uint32_t vm_types; /* of KVM_CAP_VM_TYPES */
	bool no_device;    /* no /dev/sev */
	bool no_kvm;
	int no_capability; /* a KVM_CAP_ that is not there */
	uint64_t features; /* of a VMSA that the host can */
	uint64_t td_attributes, td_xfam;
	uint32_t vcpu_count;       /* created when the VM is */
	uint64_t progress;         /* pages that SNP_LAUNCH_UPDATE does at a time; 0: all */
	unsigned int busy;         /* so many times EAGAIN */
	unsigned int locked_pages; /* that may be pinned; 0: any number */
	/* sees each call first: true when it is all of it, with the result */
	bool (*meddle)(struct fake *fake, int fd, uint32_t request, void *argument, int *result);
	void *meddle_data;

	/* KVM's */
	bool vm, active, es, snp, snp_context;
	enum cc_vm_type type;
	uint64_t vmsa_features;
	unsigned int vcpus_created;
	struct fake_vcpu vcpus[FAKE_VCPUS];
	struct fake_slot slots[FAKE_SLOTS];
	size_t slot_count, memfd_count;
	unsigned int open_fds;
	/* the firmware's */
	enum fake_state state;
	enum fake_td td;
	uint64_t policy;
	uint8_t tik[16], nonce[16];
	EVP_MD_CTX *hash;   /* SEV, SEV-ES, TDX */
	uint8_t digest[48]; /* of all that was launched, once it is finished; of SEV-SNP, so far */
	uint8_t host_data[32];
	uint64_t td_asked; /* attributes of INIT_VM */
	uint32_t td_leaves;
	uint64_t hob_gpa;
	uint8_t hob[4096];
};

extern const struct cc_ops fake_ops;

void fake_init(struct fake *fake);
void fake_free(struct fake *fake);
/* Does a call, whatever the test meddles with. */
int fake_do(struct fake *fake, int fd, uint32_t request, void *argument);

/* confidential_fake_psp.c: the firmware. 0, or its error. */
uint32_t fake_psp_start(struct fake *fake, uint64_t policy);
uint32_t fake_psp_data(struct fake *fake, const void *bytes, size_t size);
uint32_t fake_psp_vmsa(struct fake *fake, const struct fake_vcpu *vcpu);
uint32_t fake_psp_measure(struct fake *fake, void *to, uint32_t *size);
uint32_t fake_psp_finish(struct fake *fake);
uint32_t fake_snp_start(struct fake *fake, uint64_t policy);
uint32_t fake_snp_page(struct fake *fake, uint8_t type, uint64_t gpa, uint8_t *bytes);
uint32_t fake_snp_vmsa(struct fake *fake, const struct fake_vcpu *vcpu);
uint32_t fake_snp_finish(struct fake *fake, const struct cc_sev_snp_launch_finish *finish);
void fake_td_add(struct fake *fake, uint64_t gpa, const uint8_t *page, bool extend);
void fake_td_finish(struct fake *fake);
/* What LAUNCH_MEASURE gives of a digest (SEV API section 6.5.2). */
void fake_psp_hmac(const struct fake *fake, const uint8_t digest[32], uint8_t out[32]);

#endif
