/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * uapi: KVM's interface for confidential guests, in definitions of our own: Debian's linux/kvm.h is of 6.1 and
 * has of it what SEV and SEV-ES had then. The names are the kernel's with CC_ for KVM_, so that both headers can
 * be included; numbers and layouts are those of Linux 6.12 (SEV, guest_memfd) and 6.16 (TDX), from the headers
 * named above each part. Every size and every offset is asserted.
 */
#ifndef CORDON_CONFIDENTIAL_UAPI_H
#define CORDON_CONFIDENTIAL_UAPI_H

#include <stddef.h>
#include <stdint.h>

#define CC_SIZE(type, bytes) _Static_assert(sizeof(struct type) == (bytes), #type)
#define CC_AT(type, field, at) \
	_Static_assert(offsetof(struct type, field) == (at), #type "." #field)

/* --- private memory: include/uapi/linux/kvm.h --- */

#define CC_CREATE_VM                 0xae01u /* _IO(KVMIO, 0x01): its argument is enum cc_vm_type */
#define CC_CHECK_EXTENSION           0xae03u
#define CC_SET_USER_MEMORY_REGION2   0x40a0ae49u
#define CC_ENABLE_CAP                0x4068aea3u
#define CC_MEMORY_ENCRYPT_OP         0xc008aebau
#define CC_MEMORY_ENCRYPT_REG_REGION 0x8010aebbu
#define CC_SET_MEMORY_ATTRIBUTES     0x4020aed2u
#define CC_CREATE_GUEST_MEMFD        0xc040aed4u
#define CC_GET_DEVICE_ATTR           0x4018aee2u

enum cc_capability {
	CC_CAP_EXIT_HYPERCALL = 201,
	CC_CAP_SYS_ATTRIBUTES = 209,
	CC_CAP_USER_MEMORY2 = 231,
	CC_CAP_MEMORY_FAULT_INFO = 232,
	CC_CAP_MEMORY_ATTRIBUTES = 233,
	CC_CAP_GUEST_MEMFD = 234,
	CC_CAP_VM_TYPES = 235, /* a bit for each enum cc_vm_type */
	CC_CAP_GUEST_MEMFD_FLAGS = 244,
};

/* arch/x86/include/uapi/asm/kvm.h */
enum cc_vm_type {
	CC_X86_DEFAULT_VM = 0,
	CC_X86_SW_PROTECTED_VM = 1,
	CC_X86_SEV_VM = 2,
	CC_X86_SEV_ES_VM = 3,
	CC_X86_SNP_VM = 4,
	CC_X86_TDX_VM = 5,
};

enum cc_memory_flag { CC_MEM_GUEST_MEMFD = 1 << 2 };
enum cc_memory_attribute { CC_MEMORY_ATTRIBUTE_PRIVATE = 1 << 3 };
enum cc_guest_memfd_flag { CC_GUEST_MEMFD_FLAG_MMAP = 1, CC_GUEST_MEMFD_FLAG_INIT_SHARED = 2 };

struct cc_memory_region2 {
	uint32_t slot, flags;
	uint64_t guest_phys_addr, memory_size;
	uint64_t userspace_addr; /* of its shared half */
	uint64_t guest_memfd_offset;
	uint32_t guest_memfd;
	uint32_t pad1;
	uint64_t pad2[14];
};
CC_SIZE(cc_memory_region2, 160);
CC_AT(cc_memory_region2, flags, 4);
CC_AT(cc_memory_region2, guest_phys_addr, 8);
CC_AT(cc_memory_region2, memory_size, 16);
CC_AT(cc_memory_region2, userspace_addr, 24);
CC_AT(cc_memory_region2, guest_memfd_offset, 32);
CC_AT(cc_memory_region2, guest_memfd, 40);
CC_AT(cc_memory_region2, pad2, 48);

struct cc_memory_attributes {
	uint64_t address, size, attributes, flags;
};
CC_SIZE(cc_memory_attributes, 32);
CC_AT(cc_memory_attributes, size, 8);
CC_AT(cc_memory_attributes, attributes, 16);
CC_AT(cc_memory_attributes, flags, 24);

struct cc_create_guest_memfd {
	uint64_t size, flags;
	uint64_t reserved[6];
};
CC_SIZE(cc_create_guest_memfd, 64);
CC_AT(cc_create_guest_memfd, flags, 8);
CC_AT(cc_create_guest_memfd, reserved, 16);

/* Ordinary memory that becomes an SEV guest's: pinned, as its ciphertext cannot move. */
struct cc_enc_region {
	uint64_t addr, size;
};
CC_SIZE(cc_enc_region, 16);
CC_AT(cc_enc_region, size, 8);

struct cc_device_attr {
	uint32_t flags, group;
	uint64_t attr, addr;
};
CC_SIZE(cc_device_attr, 24);
CC_AT(cc_device_attr, group, 4);
CC_AT(cc_device_attr, attr, 8);
CC_AT(cc_device_attr, addr, 16);

/* Of /dev/kvm: which SEV_FEATURES a VMSA may have. */
enum { CC_X86_GRP_SEV = 1, CC_X86_SEV_VMSA_FEATURES = 0 };

/* --- exits: what of struct kvm_run such guests end in (its union begins at 32) --- */

enum cc_exit {
	CC_EXIT_HYPERCALL = 3,
	CC_EXIT_SYSTEM_EVENT = 24,
	CC_EXIT_MEMORY_FAULT = 39, /* KVM_RUN says -1 and EFAULT, or EHWPOISON */
	CC_EXIT_TDX = 40,
};
enum { CC_EXIT_UNION = 32 };
enum cc_system_event { CC_SYSTEM_EVENT_SEV_TERM = 6, CC_SYSTEM_EVENT_TDX_FATAL = 7 };
enum cc_memory_exit_flag { CC_MEMORY_EXIT_FLAG_PRIVATE = 1 << 3 };

struct cc_exit_memory_fault {
	uint8_t head[CC_EXIT_UNION];
	uint64_t flags, gpa, size;
};
CC_AT(cc_exit_memory_fault, flags, 32);
CC_AT(cc_exit_memory_fault, gpa, 40);
CC_AT(cc_exit_memory_fault, size, 48);

struct cc_exit_hypercall {
	uint8_t head[CC_EXIT_UNION];
	uint64_t nr, args[6], ret, flags;
};
CC_AT(cc_exit_hypercall, nr, 32);
CC_AT(cc_exit_hypercall, args, 40);
CC_AT(cc_exit_hypercall, ret, 88);

/* include/uapi/linux/kvm_para.h: args are the first address, the number of 4 KiB pages, and these flags. */
enum { CC_HC_MAP_GPA_RANGE = 12 };
enum cc_map_gpa_range { CC_MAP_GPA_RANGE_PAGE_SIZE = 0xf, CC_MAP_GPA_RANGE_ENCRYPTED = 1 << 4 };

/* --- SEV, SEV-ES, SEV-SNP: arch/x86/include/uapi/asm/kvm.h, enum sev_cmd_id --- */

enum cc_sev_command {
	CC_SEV_INIT = 0,
	CC_SEV_ES_INIT = 1,
	CC_SEV_LAUNCH_START = 2,
	CC_SEV_LAUNCH_UPDATE_DATA = 3,
	CC_SEV_LAUNCH_UPDATE_VMSA = 4,
	CC_SEV_LAUNCH_SECRET = 5,
	CC_SEV_LAUNCH_MEASURE = 6,
	CC_SEV_LAUNCH_FINISH = 7,
	CC_SEV_GUEST_STATUS = 16,
	CC_SEV_GET_ATTESTATION_REPORT = 20,
	CC_SEV_INIT2 = 22,
	CC_SEV_SNP_LAUNCH_START = 100,
	CC_SEV_SNP_LAUNCH_UPDATE = 101,
	CC_SEV_SNP_LAUNCH_FINISH = 102,
};

struct cc_sev_cmd {
	uint32_t id, pad0;
	uint64_t data;
	uint32_t error; /* out: the firmware's (enum cc_firmware_error) */
	uint32_t sev_fd;
};
CC_SIZE(cc_sev_cmd, 24);
CC_AT(cc_sev_cmd, data, 8);
CC_AT(cc_sev_cmd, error, 16);
CC_AT(cc_sev_cmd, sev_fd, 20);

struct cc_sev_init {
	uint64_t vmsa_features;
	uint32_t flags;
	uint16_t ghcb_version, pad1;
	uint32_t pad2[8];
};
CC_SIZE(cc_sev_init, 48);
CC_AT(cc_sev_init, flags, 8);
CC_AT(cc_sev_init, ghcb_version, 12);
CC_AT(cc_sev_init, pad2, 16);

struct cc_sev_launch_start {
	uint32_t handle; /* out */
	uint32_t policy;
	uint64_t dh_uaddr;
	uint32_t dh_len, pad0;
	uint64_t session_uaddr;
	uint32_t session_len, pad1;
};
CC_SIZE(cc_sev_launch_start, 40);
CC_AT(cc_sev_launch_start, policy, 4);
CC_AT(cc_sev_launch_start, dh_uaddr, 8);
CC_AT(cc_sev_launch_start, dh_len, 16);
CC_AT(cc_sev_launch_start, session_uaddr, 24);
CC_AT(cc_sev_launch_start, session_len, 32);

struct cc_sev_launch_update_data {
	uint64_t uaddr;
	uint32_t len, pad0;
};
CC_SIZE(cc_sev_launch_update_data, 16);
CC_AT(cc_sev_launch_update_data, len, 8);

struct cc_sev_launch_secret {
	uint64_t hdr_uaddr;
	uint32_t hdr_len, pad0;
	uint64_t guest_uaddr;
	uint32_t guest_len, pad1;
	uint64_t trans_uaddr;
	uint32_t trans_len, pad2;
};
CC_SIZE(cc_sev_launch_secret, 48);
CC_AT(cc_sev_launch_secret, hdr_len, 8);
CC_AT(cc_sev_launch_secret, guest_uaddr, 16);
CC_AT(cc_sev_launch_secret, guest_len, 24);
CC_AT(cc_sev_launch_secret, trans_uaddr, 32);
CC_AT(cc_sev_launch_secret, trans_len, 40);

struct cc_sev_launch_measure {
	uint64_t uaddr;
	uint32_t len, pad0; /* in: 0 asks for it */
};
CC_SIZE(cc_sev_launch_measure, 16);
CC_AT(cc_sev_launch_measure, len, 8);

/* SEV API section 6.5.2: HMAC-SHA-256 with the transport integrity key, and the nonce that it covers. */
struct cc_sev_measurement {
	uint8_t measure[32], nonce[16];
};
CC_SIZE(cc_sev_measurement, 48);
CC_AT(cc_sev_measurement, nonce, 32);

struct cc_sev_guest_status {
	uint32_t handle, policy, state;
};
CC_SIZE(cc_sev_guest_status, 12);
CC_AT(cc_sev_guest_status, policy, 4);
CC_AT(cc_sev_guest_status, state, 8);

struct cc_sev_attestation_report {
	uint8_t mnonce[16];
	uint64_t uaddr;
	uint32_t len, pad0;
};
CC_SIZE(cc_sev_attestation_report, 32);
CC_AT(cc_sev_attestation_report, uaddr, 16);
CC_AT(cc_sev_attestation_report, len, 24);

struct cc_sev_snp_launch_start {
	uint64_t policy;
	uint8_t gosvw[16];
	uint16_t flags;
	uint8_t pad0[6];
	uint64_t pad1[4];
};
CC_SIZE(cc_sev_snp_launch_start, 64);
CC_AT(cc_sev_snp_launch_start, gosvw, 8);
CC_AT(cc_sev_snp_launch_start, flags, 24);
CC_AT(cc_sev_snp_launch_start, pad1, 32);

enum cc_snp_page_type {
	CC_SNP_PAGE_TYPE_NORMAL = 1,
	CC_SNP_PAGE_TYPE_ZERO = 3,
	CC_SNP_PAGE_TYPE_UNMEASURED = 4,
	CC_SNP_PAGE_TYPE_SECRETS = 5,
	CC_SNP_PAGE_TYPE_CPUID = 6,
};

struct cc_sev_snp_launch_update { /* on success: how much is left */
	uint64_t gfn_start, uaddr, len;
	uint8_t type, pad0;
	uint16_t flags;
	uint32_t pad1;
	uint64_t pad2[4];
};
CC_SIZE(cc_sev_snp_launch_update, 64);
CC_AT(cc_sev_snp_launch_update, uaddr, 8);
CC_AT(cc_sev_snp_launch_update, len, 16);
CC_AT(cc_sev_snp_launch_update, type, 24);
CC_AT(cc_sev_snp_launch_update, flags, 26);
CC_AT(cc_sev_snp_launch_update, pad2, 32);

struct cc_sev_snp_launch_finish {
	uint64_t id_block_uaddr, id_auth_uaddr;
	uint8_t id_block_en, auth_key_en, vcek_disabled;
	uint8_t host_data[32];
	uint8_t pad0[3];
	uint16_t flags;
	uint64_t pad1[4];
};
CC_SIZE(cc_sev_snp_launch_finish, 88);
CC_AT(cc_sev_snp_launch_finish, id_auth_uaddr, 8);
CC_AT(cc_sev_snp_launch_finish, id_block_en, 16);
CC_AT(cc_sev_snp_launch_finish, auth_key_en, 17);
CC_AT(cc_sev_snp_launch_finish, vcek_disabled, 18);
CC_AT(cc_sev_snp_launch_finish, host_data, 19);
CC_AT(cc_sev_snp_launch_finish, flags, 54);
CC_AT(cc_sev_snp_launch_finish, pad1, 56);

/* A function's entry in SEV-SNP's CPUID page (SNP ABI table 16); a page holds 64 of them after 16 bytes. */
struct cc_snp_cpuid_entry {
	uint32_t function, index;
	uint64_t xcr0, xss;
	uint32_t eax, ebx, ecx, edx;
	uint64_t reserved;
};
CC_SIZE(cc_snp_cpuid_entry, 48);
CC_AT(cc_snp_cpuid_entry, xcr0, 8);
CC_AT(cc_snp_cpuid_entry, xss, 16);
CC_AT(cc_snp_cpuid_entry, eax, 24);
CC_AT(cc_snp_cpuid_entry, reserved, 40);

enum { CC_SNP_CPUID_ENTRIES = 64 };
struct cc_snp_cpuid {
	uint32_t count, reserved1;
	uint64_t reserved2;
	struct cc_snp_cpuid_entry entries[CC_SNP_CPUID_ENTRIES];
};
CC_SIZE(cc_snp_cpuid, 3088);
CC_AT(cc_snp_cpuid, entries, 16);

/* --- the AMD firmware's own errors: SEV API table 3, SNP ABI table 5 (include/uapi/linux/psp-sev.h) --- */

enum cc_firmware_error {
	CC_FW_SUCCESS = 0,
	CC_FW_INVALID_PLATFORM_STATE = 1,
	CC_FW_INVALID_GUEST_STATE = 2,
	CC_FW_INVALID_CONFIG = 3,
	CC_FW_INVALID_LENGTH = 4,
	CC_FW_ALREADY_OWNED = 5,
	CC_FW_INVALID_CERTIFICATE = 6,
	CC_FW_POLICY_FAILURE = 7,
	CC_FW_INACTIVE = 8,
	CC_FW_INVALID_ADDRESS = 9,
	CC_FW_BAD_SIGNATURE = 10,
	CC_FW_BAD_MEASUREMENT = 11,
	CC_FW_ASID_OWNED = 12,
	CC_FW_INVALID_ASID = 13,
	CC_FW_WBINVD_REQUIRED = 14,
	CC_FW_DFFLUSH_REQUIRED = 15,
	CC_FW_INVALID_GUEST = 16,
	CC_FW_INVALID_COMMAND = 17,
	CC_FW_ACTIVE = 18,
	CC_FW_HWERROR_PLATFORM = 19,
	CC_FW_HWERROR_UNSAFE = 20,
	CC_FW_UNSUPPORTED = 21,
	CC_FW_INVALID_PARAM = 22,
	CC_FW_RESOURCE_LIMIT = 23,
	CC_FW_SECURE_DATA_INVALID = 24,
	CC_FW_INVALID_PAGE_SIZE = 25,
	CC_FW_INVALID_PAGE_STATE = 26,
	CC_FW_INVALID_MDATA_ENTRY = 27,
	CC_FW_INVALID_PAGE_OWNER = 28,
	CC_FW_AEAD_OVERFLOW = 29,
	CC_FW_RMP_INIT_REQUIRED = 32,
	CC_FW_BAD_SVN = 33,
	CC_FW_BAD_VERSION = 34,
	CC_FW_SHUTDOWN_REQUIRED = 35,
};

/* --- /dev/sev: include/uapi/linux/psp-sev.h --- */

#define CC_SEV_ISSUE_CMD 0xc0105300u

enum cc_sev_issue { CC_SEV_PLATFORM_STATUS = 1, CC_SNP_PLATFORM_STATUS = 9 };

struct __attribute__((packed)) cc_sev_issue_cmd {
	uint32_t cmd;
	uint64_t data;
	uint32_t error;
};
CC_SIZE(cc_sev_issue_cmd, 16);
CC_AT(cc_sev_issue_cmd, data, 4);
CC_AT(cc_sev_issue_cmd, error, 12);

struct __attribute__((packed)) cc_sev_platform_status {
	uint8_t api_major, api_minor, state;
	uint32_t flags;
	uint8_t build;
	uint32_t guest_count;
};
CC_SIZE(cc_sev_platform_status, 12);
CC_AT(cc_sev_platform_status, state, 2);
CC_AT(cc_sev_platform_status, flags, 3);
CC_AT(cc_sev_platform_status, build, 7);
CC_AT(cc_sev_platform_status, guest_count, 8);

struct cc_snp_platform_status {
	uint8_t api_major, api_minor, state;
	uint8_t rmp_initialized; /* bit 0 */
	uint32_t build_id, flags, guest_count;
	uint64_t current_tcb, reported_tcb;
};
CC_SIZE(cc_snp_platform_status, 32);
CC_AT(cc_snp_platform_status, build_id, 4);
CC_AT(cc_snp_platform_status, current_tcb, 16);

/* --- TDX: arch/x86/include/uapi/asm/kvm.h, enum kvm_tdx_cmd_id; Documentation/virt/kvm/x86/intel-tdx.rst --- */

enum cc_tdx_command {
	CC_TDX_CAPABILITIES = 0,    /* of the VM */
	CC_TDX_INIT_VM = 1,         /* of the VM, before any vCPU */
	CC_TDX_INIT_VCPU = 2,       /* of a vCPU; `data` is its RCX */
	CC_TDX_INIT_MEM_REGION = 3, /* of a vCPU */
	CC_TDX_FINALIZE_VM = 4,     /* of the VM */
	CC_TDX_GET_CPUID = 5,       /* of a vCPU */
};
enum cc_tdx_flag { CC_TDX_MEASURE_MEMORY_REGION = 1 };

struct cc_tdx_cmd {
	uint32_t id, flags;
	uint64_t data;
	uint64_t hw_error; /* out: of the TDX module (TDX module ABI, section 5.2) */
};
CC_SIZE(cc_tdx_cmd, 24);
CC_AT(cc_tdx_cmd, flags, 4);
CC_AT(cc_tdx_cmd, data, 8);
CC_AT(cc_tdx_cmd, hw_error, 16);

struct cc_cpuid_entry {
	uint32_t function, index, flags, eax, ebx, ecx, edx, padding[3];
};
CC_SIZE(cc_cpuid_entry, 40);
CC_AT(cc_cpuid_entry, eax, 12);
CC_AT(cc_cpuid_entry, padding, 28);

enum { CC_TDX_CPUID_MAX = 256 };

/* Each ends in a struct kvm_cpuid2: its head, then so many entries as `nent` says. */
struct cc_tdx_capabilities {
	uint64_t supported_attrs, supported_xfam;
	uint64_t kernel_tdvmcallinfo_1_r11, user_tdvmcallinfo_1_r11;
	uint64_t kernel_tdvmcallinfo_1_r12, user_tdvmcallinfo_1_r12;
	uint64_t reserved[250];
	uint32_t nent, cpuid_padding;
	struct cc_cpuid_entry entries[];
};
CC_SIZE(cc_tdx_capabilities, 2056);
CC_AT(cc_tdx_capabilities, supported_xfam, 8);
CC_AT(cc_tdx_capabilities, reserved, 48);
CC_AT(cc_tdx_capabilities, nent, 2048);
CC_AT(cc_tdx_capabilities, entries, 2056);

struct cc_tdx_init_vm {
	uint64_t attributes, xfam;
	uint64_t mrconfigid[6], mrowner[6], mrownerconfig[6]; /* SHA-384 each */
	uint64_t reserved[12];
	uint32_t nent, cpuid_padding;
	struct cc_cpuid_entry entries[];
};
CC_SIZE(cc_tdx_init_vm, 264);
CC_AT(cc_tdx_init_vm, xfam, 8);
CC_AT(cc_tdx_init_vm, mrconfigid, 16);
CC_AT(cc_tdx_init_vm, mrowner, 64);
CC_AT(cc_tdx_init_vm, mrownerconfig, 112);
CC_AT(cc_tdx_init_vm, reserved, 160);
CC_AT(cc_tdx_init_vm, nent, 256);
CC_AT(cc_tdx_init_vm, entries, 264);

struct cc_tdx_init_mem_region {
	uint64_t source_addr, gpa, nr_pages;
};
CC_SIZE(cc_tdx_init_mem_region, 24);
CC_AT(cc_tdx_init_mem_region, gpa, 8);
CC_AT(cc_tdx_init_mem_region, nr_pages, 16);

/* TD_ATTRIBUTES (TDX module ABI, table "TD_ATTRIBUTES"). */
#define CC_TDX_ATTRIBUTE_DEBUG           (1ull << 0)
#define CC_TDX_ATTRIBUTE_SEPT_VE_DISABLE (1ull << 28)
#define CC_TDX_ATTRIBUTE_MIGRATABLE      (1ull << 29)

#endif
