// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * measured: from the fds that cordon-vmm was handed to a launched guest. In this order:
 *
 *   measured_open()        the IGVM file, and the ID block
 *   measured_vm_create()   the VM of its type, and the firmware's or the module's part of it
 *   measured_memory()      each region: pinned (SEV), or with a guest_memfd (SEV-SNP, TDX), which private.c has made
 *   measured_launch()      the pages, and the vCPUs' registers
 *
 * An IGVM file needs nothing of the machine but its memory and what it asks for as parameters. Other firmware (OVMF,
 * TDVF) lies below 4 GiB, and asks for its kernel and its tables at a device (firmware.h); the kernel's hashes are
 * measured with it.
 */
#include "vmm/measured.h"

#include <errno.h>
#include <fcntl.h>

#include "base/base.h"
#include "vmm/boot.h"

struct measured {
	struct cc_guest guest;
	struct launch_input input;
	struct boot_host host;
	struct confidential_kernel kernel;
	uint8_t *file;
	uint8_t id_block[IDBLOCK_SIZE], id_auth[IDBLOCK_AUTH_SIZE];
	const char *cmdline;
	int sev; /* /dev/sev, the caller's */
};

_Static_assert(sizeof(struct cc_cpuid_entry) == sizeof(struct kvm_cpuid_entry2) &&
                       offsetof(struct cc_cpuid_entry, edx) ==
                               offsetof(struct kvm_cpuid_entry2, edx),
               "the same entries");

/* ---- options ---- */

static bool measured_number(const char *text, uint64_t max, uint64_t *number)
{
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*number = strtoull(text, &end, 10);
	return !errno && !*end && *number <= max;
}

static bool measured_fd(const char *text, int *fd)
{
	uint64_t number;

	if (!measured_number(text, INT32_MAX, &number))
		return false;
	*fd = (int)number;
	return true;
}

static bool measured_abi(char *text, struct cc_wishes *wishes)
{
	char *dot = strchr(text, '.');
	uint64_t major, minor;

	if (!dot)
		return false;
	*dot = '\0';
	if (!measured_number(text, UINT8_MAX, &major) ||
	    !measured_number(dot + 1, UINT8_MAX, &minor))
		return false;
	wishes->abi_major = (uint8_t)major;
	wishes->abi_minor = (uint8_t)minor;
	return true;
}

/* All 32 bytes, two digits each. */
static bool measured_host_data(const char *text, uint8_t host_data[32])
{
	for (size_t i = 0; i < 32; i++) {
		unsigned int byte;

		if (strspn(text + 2 * i, "0123456789abcdef") < 2 ||
		    sscanf(text + 2 * i, "%2x", &byte) != 1)
			return false;
		host_data[i] = (uint8_t)byte;
	}
	return text[64] == '\0';
}

static bool measured_word(struct measured_options *options, char *word)
{
	const struct {
		const char *name;
		int *fd;
	} fds[] = {{"firmware", &options->firmware},
	           {"sev", &options->sev},
	           {"id-block", &options->id_block},
	           {"id-auth", &options->id_auth}};
	char *value = strchr(word, '=');

	if (!value) {
		options->wishes.debug |= strcmp(word, "debug") == 0;
		options->wishes.smt &= strcmp(word, "no-smt") != 0;
		return strcmp(word, "debug") == 0 || strcmp(word, "no-smt") == 0;
	}
	*value++ = '\0';
	for (size_t i = 0; i < BASE_COUNT(fds); i++)
		if (strcmp(word, fds[i].name) == 0)
			return measured_fd(value, fds[i].fd);
	if (strcmp(word, "abi") == 0)
		return measured_abi(value, &options->wishes);
	return strcmp(word, "host-data") == 0 &&
	       measured_host_data(value, options->wishes.host_data);
}

int measured_parse(struct measured_options *options, const char *text, char *why)
{
	BASE_AUTO_FREE char *copy = strdup(text);
	char *rest = copy ? strchr(copy, ':') : NULL, *word, *place = NULL;

	*options = (struct measured_options){
	        .given = true, .firmware = -1, .sev = -1, .id_block = -1, .id_auth = -1};
	options->wishes.smt = true;
	if (!rest)
		return why_set(why, -EINVAL, "--confidential '%.60s': expected TYPE:key=value,...",
		               text);
	*rest++ = '\0';
	if (confidential_type_parse(copy, &options->type) < 0)
		return why_set(why, -EINVAL,
		               "--confidential '%.60s': expected sev, sev-es, sev-snp or tdx",
		               copy);
	for (word = strtok_r(rest, ",", &place); word; word = strtok_r(NULL, ",", &place))
		if (!measured_word(options, word))
			return why_set(why, -EINVAL,
			               "--confidential: '%.60s' is not known, or its value is not "
			               "what was expected",
			               word);
	if (options->firmware < 0)
		return why_set(why, -EINVAL, "--confidential without firmware=FD");
	return 0;
}

/* ---- the files ---- */

static int measured_read_block(struct measured *d, const struct measured_options *options,
                               char *why)
{
	struct cc_wishes *wishes = &d->guest.wishes;
	int error;

	if (options->id_block < 0 && options->id_auth < 0)
		return 0;
	error = base_read_at(options->id_block, d->id_block, sizeof(d->id_block), 0);
	if (!error)
		error = base_read_at(options->id_auth, d->id_auth, sizeof(d->id_auth), 0);
	if (error)
		return why_set(why, error, "the ID block and its signatures cannot be read: %s",
		               strerror(-error));
	wishes->id_block = d->id_block;
	wishes->id_auth = d->id_auth;
	wishes->author = idblock_has_author(d->id_auth);
	return 0;
}

/* The table of flow.h, with the one device that was handed over already open. */
static int measured_device(void *self, const char *path)
{
	const struct measured *d = self;
	int fd;

	(void)path;
	fd = d->sev < 0 ? -1 : fcntl(d->sev, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? (d->sev < 0 ? -ENODEV : -errno) : fd;
}

static int measured_call(void *self, int fd, uint32_t request, void *argument)
{
	return cc_kernel.call(self, fd, request, argument);
}

static void measured_close_fd(void *self, int fd)
{
	cc_kernel.close(self, fd);
}

static const struct cc_ops measured_ops = {measured_device, measured_call, measured_close_fd};

int measured_open(struct machine *m, const struct measured_options *options, unsigned int vcpus,
                  const char *cmdline, char *why)
{
	static const enum cc_vm_type types[CONFIDENTIAL_TYPES] = {
	        [CONFIDENTIAL_SEV] = CC_X86_SEV_VM,
	        [CONFIDENTIAL_SEV_ES] = CC_X86_SEV_ES_VM,
	        [CONFIDENTIAL_SEV_SNP] = CC_X86_SNP_VM,
	        [CONFIDENTIAL_TDX] = CC_X86_TDX_VM,
	};
	struct measured *d = calloc(1, sizeof(*d));
	int error;

	if (!d)
		return why_set(why, -ENOMEM, "no memory for a confidential guest");
	m->measured = d;
	m->private.type = types[options->type];
	d->sev = options->sev;
	d->cmdline = cmdline;
	cc_guest_init(&d->guest, &measured_ops, d, -1, &d->input);
	d->guest.wishes = options->wishes;
	error = boot_igvm_read(options->firmware, &d->file, &d->input.size, why);
	d->input.igvm = !error;
	if (error == -ENOEXEC)
		error = boot_read(options->firmware, "firmware", VM_ROM_MAX, &d->file,
		                  &d->input.size, why)
		                ?: vm_rom_map(m, d->input.size, why);
	if (error)
		return error;
	d->input.type = options->type;
	d->input.vcpus = vcpus;
	d->input.features = 1;
	d->input.bytes = d->file;
	d->input.host = &d->host.told;
	return measured_read_block(d, options, why);
}

void measured_kernel(struct machine *m, const struct confidential_kernel *kernel)
{
	struct measured *d = m->measured;

	d->kernel = *kernel;
	d->input.kernel = d->input.type == CONFIDENTIAL_TDX ? NULL : &d->kernel;
}

/* ---- the VM ---- */

/* CPUID Fn8000_001F (APM volume 3): without it no SEV guest finds the bit of a page's address that encrypts. */
enum {
	MEASURED_LEAF_TOP = 0x80000000,
	MEASURED_LEAF = 0x8000001f,
	MEASURED_SEV = 1 << 1,
	MEASURED_ES = 1 << 3,
	MEASURED_SNP = 1 << 4,
	MEASURED_BIT_MASK = 0x3f,
	MEASURED_REDUCED = 1 << 6, /* one bit of the physical address is not one */
};

int measured_cpuid(struct machine *m, struct cpuid_table *host, char *why)
{
	static const uint32_t kinds[CONFIDENTIAL_TYPES] = {
	        [CONFIDENTIAL_SEV] = MEASURED_SEV,
	        [CONFIDENTIAL_SEV_ES] = MEASURED_SEV | MEASURED_ES,
	        [CONFIDENTIAL_SEV_SNP] = MEASURED_SEV | MEASURED_ES | MEASURED_SNP,
	};
	const enum confidential_type type = m->measured->input.type;
	const struct kvm_cpuid_entry2 *leaf = cpuid_find(host, MEASURED_LEAF, 0);
	struct kvm_cpuid_entry2 *top = cpuid_find(m->cpuid, MEASURED_LEAF_TOP, 0);

	if (type == CONFIDENTIAL_TDX)
		return 0; /* its module has a say of its own */
	if (!leaf || !(leaf->ebx & MEASURED_BIT_MASK) || !top ||
	    m->cpuid->count == CPUID_ENTRIES_MAX)
		return why_set(why, -ENOTSUP,
		               "KVM on this host does not say which bit of an address encrypts a "
		               "page (CPUID 0x%x)",
		               MEASURED_LEAF);
	top->eax = BASE_MAX(top->eax, (uint32_t)MEASURED_LEAF);
	m->cpuid->entries[m->cpuid->count++] = (struct kvm_cpuid_entry2){
	        .function = MEASURED_LEAF,
	        .eax = kinds[type],
	        .ebx = (leaf->ebx & MEASURED_BIT_MASK) | MEASURED_REDUCED};
	return 0;
}

static void measured_shares(void *data, uint64_t guest, uint64_t size)
{
	private_shared_at_start(data, guest, size);
}

int measured_vm_create(struct machine *m, char *why)
{
	struct measured *d = m->measured;
	const struct kvm_cpuid_entry2 *signature = cpuid_find(m->cpuid, 1, 0);
	int error;

	d->input.cpu_signature = signature ? signature->eax : 0; /* KVM has it in RDX */
	d->guest.kvm = m->kvm;
	d->guest.cpuid = (const struct cc_cpuid_entry *)m->cpuid->entries;
	d->guest.cpuid_count = m->cpuid->count;
	d->guest.shares = measured_shares;
	d->guest.shares_data = m;
	error = cc_vm_create(&d->guest, why);
	m->vm = d->guest.vm; /* whatever there is of it goes with the machine */
	return error;
}

int measured_memory(struct machine *m, const struct machine_region *region, char *why)
{
	const struct cc_memory memory = {.gpa = region->guest,
	                                 .size = region->size,
	                                 .host = region->host,
	                                 .has_memfd = m->private.memfd >= 0,
	                                 .memfd = m->private.memfd,
	                                 .offset = region->offset,
	                                 .firmware = region == &m->rom};

	return cc_memory_add(&m->measured->guest, &memory, why);
}

int measured_launch(struct machine *m, char *why)
{
	struct measured *d = m->measured;
	BASE_AUTO_FREE int *fds = calloc(m->vcpu_count + 1, sizeof(*fds));
	int error = fds ? boot_igvm_host(m, d->cmdline, m->vcpu_count, &d->host, why)
	                : why_set(why, -ENOMEM, "no memory for a launch");

	for (unsigned int i = 0; !error && i < m->vcpu_count; i++)
		fds[i] = m->vcpus[i].fd;
	if (!error)
		error = cc_launch(&d->guest, fds, why);
	if (error)
		return error;
	machine_log(m,
	            "launched as %s (--cpu-sig 0x%x): implemented to the ABI, never run on such "
	            "hardware",
	            confidential_type_name(d->input.type), d->input.cpu_signature);
	measured_close(m);
	return 0;
}

void measured_close(struct machine *m)
{
	struct measured *d = m->measured;

	m->measured = NULL;
	if (!d)
		return;
	d->guest.vm = -1; /* the machine's */
	cc_guest_close(&d->guest);
	free(d->file);
	free(d);
}
