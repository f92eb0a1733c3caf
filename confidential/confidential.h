/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * confidential: what of SEV, SEV-ES, SEV-SNP and TDX needs no such hardware. Firmware is walked, the digest
 * that the hardware would report is computed, ID blocks are made and checked, and attestation evidence is
 * verified.
 *
 * All of it is implemented to the ABI, and none of it has ever run on such hardware.
 *
 * launch_walk() is the one place that knows in which order which pages belong to a launch: what measures
 * adds them to a digest, what launches gives them to KVM.
 *
 * Sources, as the comments name them: "SNP ABI" is AMD's 56860, "SEV API" 55766, "APM" 24593 volume 2;
 * "TDX module" is Intel's 344425, "TDVF" 344991, "DCAP" Intel's quote generation API; "IGVM" is version 1 of
 * that file format.
 */
#ifndef CORDON_CONFIDENTIAL_H
#define CORDON_CONFIDENTIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/why.h"

enum confidential_type {
	CONFIDENTIAL_SEV,
	CONFIDENTIAL_SEV_ES,
	CONFIDENTIAL_SEV_SNP,
	CONFIDENTIAL_TDX,
	CONFIDENTIAL_TYPES
};
/* Whose initial register state a VMSA has. */
enum confidential_vmm { CONFIDENTIAL_QEMU, CONFIDENTIAL_EC2, CONFIDENTIAL_GCE, CONFIDENTIAL_VMMS };

/* "sev", "sev-es", "sev-snp", "tdx"; "qemu", "ec2", "gce", of any case. -EINVAL when it is none of them. */
const char *confidential_type_name(enum confidential_type type);
int confidential_type_parse(const char *name, enum confidential_type *type);
int confidential_vmm_parse(const char *name, enum confidential_vmm *vmm);

/* CPUID Fn0000_0001_EAX of a processor model as QEMU names it ("EPYC-Milan-v2"). -EINVAL: not one. */
int confidential_cpu_signature(const char *name, uint32_t *signature);
/* The names in the table, one at a time from 0; NULL after the last. */
const char *confidential_cpu_name(size_t index);

/* --- firmware (ovmf.c, tdvf.c, igvm.c): the bytes are hostile, stay the caller's, and are not copied --- */

enum { OVMF_SECTIONS_MAX = 256, TDVF_SECTIONS_MAX = 256 };

enum ovmf_section_type {
	OVMF_SNP_SEC_MEM = 1,
	OVMF_SNP_SECRETS = 2,
	OVMF_CPUID = 3,
	OVMF_SVSM_CAA = 4,
	OVMF_KERNEL_HASHES = 0x10,
};

struct ovmf_section {
	uint32_t gpa, size, type;
};

struct ovmf {
	const uint8_t *bytes;
	size_t size;
	bool has_reset; /* the SEV-ES reset block: where application processors start */
	uint32_t reset_eip;
	bool has_hashes; /* a table of kernel hashes, at a guest address that is not 0 */
	uint32_t hashes_gpa, hashes_size;
	bool has_tdx; /* tdx_from_end: how far before its end the TDVF descriptor is */
	uint32_t tdx_from_end;
	struct ovmf_section sections[OVMF_SECTIONS_MAX];
	size_t section_count;
};
/*
 * Reads the table of GUIDed entries that ends 32 bytes before the end of an OVMF image, and the sections of
 * its SEV metadata. An image without the table is one without entries. 0, or -EINVAL and one sentence.
 */
int ovmf_walk(const void *bytes, size_t size, struct ovmf *ovmf, char *why);

enum tdvf_attribute { TDVF_EXTEND = 1, TDVF_PAGE_AUG = 2 };
/* What the VMM has a part in: the list of memory, which it fills, and memory that is there from the start. */
enum tdvf_type { TDVF_TD_HOB = 2, TDVF_TEMP_MEM = 3 };

struct tdvf_section {
	uint32_t data_offset, data_size; /* in the file */
	uint64_t gpa, size;              /* in the guest: the data, then zeros */
	uint32_t type, attributes;       /* enum tdvf_type and others; enum tdvf_attribute */
};
struct tdvf {
	struct tdvf_section sections[TDVF_SECTIONS_MAX];
	size_t section_count;
};
/* The TDVF descriptor of an image ("TDVF" section 11), by its GUIDed entry or by the offset at its end. */
int tdvf_walk(const struct ovmf *ovmf, struct tdvf *tdvf, char *why);

enum { IGVM_PLATFORMS_MAX = 32, IGVM_AREAS_MAX = 256 };

enum igvm_platform_type {
	IGVM_NATIVE = 0,
	IGVM_VSM = 1,
	IGVM_SEV_SNP = 2,
	IGVM_TDX = 3,
	IGVM_SEV = 4,
	IGVM_SEV_ES = 5,
};

struct igvm_platform {
	uint32_t mask; /* one bit, which is no other platform's */
	uint8_t type, highest_vtl;
	uint16_t version;
	uint64_t shared_gpa_boundary;
};

enum igvm_type {
	IGVM_SUPPORTED_PLATFORM = 0x1,
	IGVM_GUEST_POLICY = 0x101,
	IGVM_RELOCATABLE_REGION = 0x102,
	IGVM_PAGE_TABLE_RELOCATION = 0x103,
	IGVM_PARAMETER_AREA = 0x301,
	IGVM_PAGE_DATA = 0x302,
	IGVM_PARAMETER_INSERT = 0x303,
	IGVM_VP_CONTEXT = 0x304,
	IGVM_REQUIRED_MEMORY = 0x305,
	IGVM_VP_COUNT = 0x307,
	IGVM_SRAT = 0x308,
	IGVM_MADT = 0x309,
	IGVM_MMIO_RANGES = 0x30a,
	IGVM_SNP_ID_BLOCK = 0x30b,
	IGVM_MEMORY_MAP = 0x30c,
	IGVM_ERROR_RANGE = 0x30d,
	IGVM_COMMAND_LINE = 0x30e,
	IGVM_SLIT = 0x30f,
	IGVM_PPTT = 0x310,
	IGVM_VBS_MEASUREMENT = 0x311,
	IGVM_DEVICE_TREE = 0x312,
	IGVM_ENVIRONMENT_INFO = 0x313,
};
enum igvm_page_type { IGVM_PAGE_NORMAL, IGVM_PAGE_SECRETS, IGVM_PAGE_CPUID, IGVM_PAGE_CPUID_XF };
enum igvm_page_flag { IGVM_PAGE_2M = 1, IGVM_PAGE_UNMEASURED = 2, IGVM_PAGE_SHARED = 4 };

/* One header, checked: what of it its type has. */
struct igvm_header {
	enum igvm_type type;
	uint32_t mask; /* of the platforms that it is for; all bits where the type has none */
	uint64_t gpa;
	uint64_t size;       /* of the area, the page or the range */
	const uint8_t *data; /* in the file, `data_size` of it; NULL: zeros */
	size_t data_size;
	uint32_t index; /* of a parameter area, or of a virtual processor */
	uint32_t flags; /* enum igvm_page_flag */
	uint16_t page;  /* enum igvm_page_type */
	const uint8_t *content;
	uint32_t content_size;
};

struct igvm {
	const uint8_t *bytes;
	size_t size;
	size_t headers, data; /* where they start in the file */
	struct igvm_platform platforms[IGVM_PLATFORMS_MAX];
	size_t platform_count;
	uint32_t mask; /* of all platforms */
	struct {
		uint32_t index;
		uint64_t size;
	} areas[IGVM_AREAS_MAX];
	size_t area_count;
};
/* Checks the whole file: its CRC, the order of its headers, and each of them. 0, or -EINVAL and one sentence. */
int igvm_open(const void *bytes, size_t size, struct igvm *igvm, char *why);
/* The next header from *at (0 at first), of an igvm that was opened; false after the last. */
bool igvm_next(const struct igvm *igvm, size_t *at, struct igvm_header *header);
/* The platform of a type, or NULL. */
const struct igvm_platform *igvm_platform(const struct igvm *igvm, enum igvm_platform_type type);

/* --- launch (launch.c): which pages, in which order --- */

enum { CONFIDENTIAL_PAGE = 4096, CONFIDENTIAL_VCPUS_MAX = 4096 };
/* Pages of one launch, in bytes: a firmware that says more is refused, not measured for hours. */
#define CONFIDENTIAL_LAUNCH_MAX (4ull << 30)

/* SHA-256 of what the host loads beside the firmware (kernel.c). */
struct confidential_kernel {
	uint8_t command_line[32], initrd[32], kernel[32];
};
enum { CONFIDENTIAL_HASHES_SIZE = 176 };
/* The table of them, as QEMU has it: padded to 16 bytes. */
void confidential_hashes_table(const struct confidential_kernel *kernel,
                               uint8_t table[CONFIDENTIAL_HASHES_SIZE]);
/* SHA-256 of a command line with its final NUL; of none (NULL) as of an empty one. */
int confidential_hash_command_line(const char *text, uint8_t hash[32]);
/* All three, for who launches (kernel_hash.c): whole files, an initrd of no bytes where there is none. */
void confidential_kernel_hash(const void *kernel, size_t kernel_size, const void *initrd,
                              size_t initrd_size, const char *command_line,
                              struct confidential_kernel *hashes);

/* What the host tells a guest through its IGVM file (igvm_parameters.c); none of it is measured. */
struct launch_range {
	uint64_t gpa, size; /* whole pages */
	bool reserved;
};
struct launch_host {
	const struct launch_range *memory; /* in order of address */
	size_t memory_count;
	struct launch_range mmio;
	const char *command_line;
	const uint8_t *madt;
	size_t madt_size;
	bool all_shared; /* nothing of the guest's memory is encrypted */
};

struct launch_input {
	enum confidential_type type;
	enum confidential_vmm vmm;
	/* SEV, SEV-ES: KVM_SEV_INIT and KVM_SEV_ES_INIT in place of KVM_SEV_INIT2: no FPU state in the VMSA */
	bool es_init;
	uint32_t vcpus;
	uint32_t cpu_signature;
	uint64_t features; /* SEV-SNP: SEV_FEATURES of the VMSA (APM table B-4) */
	const void *bytes; /* of the firmware */
	size_t size;
	bool igvm;                                /* an IGVM file; else an OVMF image */
	const struct confidential_kernel *kernel; /* or NULL */
	const struct launch_host
	        *host; /* NULL: parameters are zeros, as when a launch is measured */
};

enum launch_kind {
	LAUNCH_DATA, /* contents are measured; the values of SNP's page types are in digest.c */
	LAUNCH_ZERO,
	LAUNCH_UNMEASURED,
	LAUNCH_SECRETS,
	LAUNCH_CPUID,
	LAUNCH_VMSA,
	LAUNCH_TDX,    /* by its `attributes` */
	LAUNCH_SHARED, /* no part of the digest: it lies there as the host wrote it */
};
struct launch_region {
	enum launch_kind kind;
	uint64_t gpa, size;
	const uint8_t *bytes; /* `filled` of them; the rest of `size` is zero */
	size_t filled;
	uint32_t attributes; /* LAUNCH_TDX: enum tdvf_attribute */
	uint32_t section;    /* LAUNCH_TDX: enum tdvf_type; 0 of an IGVM file */
	uint32_t vcpu;       /* LAUNCH_VMSA of an IGVM file: whose it is */
};
typedef int launch_region_fn(void *data, const struct launch_region *region);

/*
 * Gives `emit` each region of the launch in order, until it returns an error. 0, that error, -EINVAL or
 * -ENOMEM, and one sentence in why[WHY_MAX].
 */
int launch_walk(const struct launch_input *input, launch_region_fn *emit, void *data, char *why);
/*
 * The same of an IGVM file's platform without encryption: its pages are LAUNCH_DATA, and LAUNCH_VMSA is what the
 * format calls a native context, of LAUNCH_NATIVE_CONTEXT bytes. `type` counts for nothing.
 */
enum { LAUNCH_NATIVE_CONTEXT = 232 };
int launch_walk_native(const struct launch_input *input, launch_region_fn *emit, void *data,
                       char *why);
/* Whether a file begins as an IGVM file does. */
bool igvm_is(const void *bytes, size_t size);

/* A VMSA page (vmsa.c, APM table B-4) of a processor that starts at `eip`: the boot processor at the first. */
#define LAUNCH_RESET_EIP 0xfffffff0u
void vmsa_fill(const struct launch_input *input, uint32_t eip, uint8_t page[CONFIDENTIAL_PAGE]);

enum { CONFIDENTIAL_DIGEST_MAX = 48 };
/* What the hardware reports of such a launch: SHA-256 for SEV and SEV-ES, SHA-384 for SEV-SNP and TDX. */
struct confidential_digest {
	uint8_t bytes[CONFIDENTIAL_DIGEST_MAX];
	size_t size;
};
int confidential_measure(const struct launch_input *input, struct confidential_digest *digest,
                         char *why);

/* --- ID blocks (idblock.c; SNP ABI section 8.18) --- */

enum { IDBLOCK_SIZE = 96, IDBLOCK_AUTH_SIZE = 4096, IDBLOCK_KEY_SIZE = 1028 };

struct idblock {
	uint8_t digest[48];
	uint8_t family[16], image[16];
	uint32_t svn;
	uint64_t policy;
};
struct idblock_digests { /* SHA-384 of the public keys, as an attestation report has them */
	uint8_t id_key[48], author_key[48];
	bool has_author;
};
/* Signs with PEM private keys of curve P-384; the author's may be NULL. 0 or a negative errno, and a sentence. */
int idblock_make(const struct idblock *block, const void *id_key, size_t id_key_size,
                 const void *author_key, size_t author_key_size, uint8_t out[IDBLOCK_SIZE],
                 uint8_t auth[IDBLOCK_AUTH_SIZE], struct idblock_digests *digests, char *why);
/* Checks both signatures and every reserved byte. -EINVAL, or -EKEYREJECTED for a signature, and a sentence. */
int idblock_check(const uint8_t *bytes, size_t size, const uint8_t *auth, size_t auth_size,
                  struct idblock *block, struct idblock_digests *digests, char *why);

/* Whether an ID auth block has an author's key, too (SNP ABI table 76). */
static inline bool idblock_has_author(const uint8_t auth[IDBLOCK_AUTH_SIZE])
{
	return (auth[4] | auth[5] | auth[6] | auth[7]) != 0; /* AUTHOR_KEY_ALGO */
}

/* Bits of an SNP guest's policy (SNP ABI table 9). */
enum snp_policy {
	SNP_POLICY_ABI_MAJOR = 8, /* a shift; the minor one is below it */
	SNP_POLICY_SMT = 1 << 16,
	SNP_POLICY_RESERVED_ONE = 1 << 17,
	SNP_POLICY_MIGRATE_MA =
	        1 << 18, /* a migration agent may be bound to it, and gets all of it */
	SNP_POLICY_DEBUG = 1 << 19,
};

/* --- attestation (attest*.c): evidence and certificates are hostile --- */

enum attest_kind { ATTEST_SNP, ATTEST_TDX };

/* A root that is trusted: SHA-256 of its key's SubjectPublicKeyInfo. */
struct attest_root {
	enum attest_kind kind;
	const char *product; /* "Milan"; of Intel's: "Intel SGX" */
	uint8_t spki[32];
};

enum attest_status {
	ATTEST_PASSED,
	ATTEST_FAILED,
	ATTEST_SKIPPED /* could not be checked: what it needs was not given */
};
struct attest_check {
	const char *name; /* static */
	enum attest_status status;
	char why[WHY_MAX]; /* what was found */
};
enum { ATTEST_CHECKS_MAX = 40 };
struct attest_verdict {
	bool accepted; /* no check failed (and, if `strict`, none was skipped) */
	bool read; /* it is whole, and what follows is from it; none of it is worth more than `accepted` says */
	enum attest_kind kind;
	uint32_t version; /* of the report or the quote */
	const char *product;
	uint32_t vmpl;           /* SNP: of who has asked for the report */
	uint8_t measurement[48]; /* the launch digest, or MRTD */
	uint8_t report_data[64];
	uint64_t policy; /* the guest's policy, or the domain's attributes */
	struct attest_check checks[ATTEST_CHECKS_MAX];
	size_t count;
};

/* Certificates, CRLs and Intel's JSON, as they were found. */
struct attest_collateral;
struct attest_collateral *attest_collateral_new(void);
void attest_collateral_free(struct attest_collateral *collateral);
/*
 * Adds what a file holds: PEM (certificates and CRLs, several), one in DER, or TCB info or a QE identity.
 * 1 added, 0 it is none of these, -ENOSPC too many, -ENOMEM.
 */
int attest_collateral_add(struct attest_collateral *collateral, const void *bytes, size_t size);

/* Statuses of a TCB level beside UpToDate that are accepted, as Intel names them. */
enum attest_tcb {
	ATTEST_TCB_UP_TO_DATE = 1,
	ATTEST_TCB_SW_HARDENING = 2,
	ATTEST_TCB_CONFIGURATION = 4,
	ATTEST_TCB_CONFIGURATION_AND_SW = 8,
	ATTEST_TCB_OUT_OF_DATE = 16,
	ATTEST_TCB_OUT_OF_DATE_CONFIGURATION = 32,
	ATTEST_TCB_REVOKED = 64,
};
/* "SWHardeningNeeded" as its bit, 0 when it is none. */
uint32_t attest_tcb_parse(const char *name);

/* The ID block of an SNP guest and the digests of its keys, as idblock_check() gives them. */
struct attest_block {
	struct idblock block;
	struct idblock_digests keys;
};

struct attest_input {
	const uint8_t *report;
	size_t size;
	const struct attest_collateral *collateral;
	const struct attest_root *roots; /* NULL: AMD's and Intel's */
	size_t root_count;
	int64_t at;       /* Unix time */
	bool allow_debug; /* a guest that its host may read */
	bool trim;        /* bytes behind a quote are not part of it */
	bool strict;      /* what could not be checked fails */
	uint32_t tcb;     /* TDX: enum attest_tcb that are accepted, beside UpToDate */
	/* what the report has to be and to have; NULL: anything */
	const enum attest_kind *kind;
	const uint8_t *measurement, *report_data, *host_data; /* 48, 64, 32 (SNP) bytes */
	const uint64_t *policy, *min_tcb, *vmpl;              /* SNP's TCB_VERSION and VMPL */
	const struct attest_block *block;                     /* SNP: it started with this one */
	const uint8_t *ccel;                                  /* TDX: the event log */
	size_t ccel_size;
};
/* An SNP report (1184 bytes, or as hexadecimal text) or a TDX quote. Always fills the verdict. */
void attest_verify(const struct attest_input *input, struct attest_verdict *verdict);

#endif
