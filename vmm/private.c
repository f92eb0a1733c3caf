// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * private: conversions, and what KVM needs for them (Linux's Documentation/virt/kvm/api.rst: sections 4.140
 * to 4.142 and KVM_EXIT_MEMORY_FAULT).
 *
 * A conversion is three steps. KVM's attribute comes first: it is the one that can fail, before anything has
 * changed, and the guest is still in its request. Then the map, and last a hole is punched into the file whose
 * pages the guest sees no longer. A device that looked at the map before the second step may still read or
 * write the shared page, then or later: it is another page than the private one. What it reads is what the
 * guest had shared, or zeros behind the hole; what it writes the guest does not see, and the host pays a page
 * for it until the next conversion.
 *
 * A page becomes private empty, and shared with what is in the memfd: zeros, unless a device was late.
 */
#include "vmm/private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/base.h"
#include "confidential/uapi.h"
#include "vmm/vm.h"

/* The exits that linux/kvm.h of Debian 12 does not know; the union begins where it always did. */
_Static_assert(offsetof(struct kvm_run, hypercall) == offsetof(struct cc_exit_hypercall, nr),
               "kvm_run's exits");
_Static_assert(sizeof(struct kvm_run) >= sizeof(struct cc_exit_memory_fault), "kvm_run's size");

static const struct {
	const char *word;
	uint32_t type;
} private_types[] = {
        {"sw-protected", CC_X86_SW_PROTECTED_VM},
};

bool private_type_parse(const char *text, uint32_t *type)
{
	for (size_t i = 0; i < BASE_COUNT(private_types); i++)
		if (strcmp(text, private_types[i].word) == 0) {
			*type = private_types[i].type;
			return true;
		}
	return false;
}

void private_init(struct private_memory *p)
{
	*p = (struct private_memory){.memfd = -1, .map_fd = -1};
	pthread_mutex_init(&p->lock, NULL);
}

/* ---- what KVM has to have ---- */

int private_check(int kvm, uint32_t type, char *why)
{
	const struct {
		int capability;
		const char *name;
		int bits; /* that its answer has to have */
	} needs[] = {
	        {CC_CAP_VM_TYPES, "KVM_CAP_VM_TYPES with this type", 1 << type},
	        {CC_CAP_USER_MEMORY2, "KVM_CAP_USER_MEMORY2", 1},
	        {CC_CAP_GUEST_MEMFD, "KVM_CAP_GUEST_MEMFD", 1},
	        {CC_CAP_EXIT_HYPERCALL, "KVM_CAP_EXIT_HYPERCALL of KVM_HC_MAP_GPA_RANGE",
	         1 << CC_HC_MAP_GPA_RANGE},
	};

	for (size_t i = 0; i < BASE_COUNT(needs); i++) {
		int has = ioctl(kvm, KVM_CHECK_EXTENSION, needs[i].capability);

		if (has <= 0 || (has & needs[i].bits) != needs[i].bits)
			return why_set(why, -ENOTSUP,
			               "private memory needs %s (Linux 6.8 or later), which KVM on "
			               "this host lacks",
			               needs[i].name);
	}
	return 0;
}

/* A bit a page up to the end of RAM; those of the hole between its regions are never set. */
static int private_map(struct machine *m)
{
	const struct machine_region *last = &m->regions[m->region_count - 1];
	uint64_t pages = (last->guest + last->size) / PRIVATE_PAGE, size = (pages + 7) / 8;
	int fd BASE_AUTO_FD = memfd_create("shared", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint8_t *map;

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		return -errno;
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	/* After ours there is no mapping of it that can write. */
	if (fcntl(fd, F_ADD_SEALS,
	          F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) < 0) {
		munmap(map, size);
		return -errno;
	}
	m->private.map = map;
	m->private.map_size = size;
	m->private.map_fd = base_take_fd(&fd);
	return 0;
}

static void private_mark(struct private_memory *p, uint64_t guest, uint64_t size, bool shared)
{
	uint64_t end = (guest + size) / PRIVATE_PAGE;

	for (uint64_t page = guest / PRIVATE_PAGE; page < end;) {
		bool whole = page % 8 == 0 && end - page >= 8;
		uint8_t bits = whole ? 0xff : (uint8_t)(1u << page % 8);

		if (shared)
			__atomic_fetch_or(&p->map[page / 8], bits, __ATOMIC_RELEASE);
		else
			__atomic_fetch_and(&p->map[page / 8], (uint8_t)~bits, __ATOMIC_RELEASE);
		page += whole ? 8 : 1;
	}
}

int private_create(struct machine *m, char *why)
{
	struct private_memory *p = &m->private;
	struct kvm_enable_cap exits = {.cap = CC_CAP_EXIT_HYPERCALL,
	                               .args = {1 << CC_HC_MAP_GPA_RANGE}};
	struct cc_create_guest_memfd create = {0};
	int has = ioctl(m->vm, KVM_CHECK_EXTENSION, CC_CAP_MEMORY_ATTRIBUTES), error;

	if (has <= 0 || !(has & CC_MEMORY_ATTRIBUTE_PRIVATE))
		return why_set(why, -ENOTSUP,
		               "KVM on this host has no private memory for such a VM");
	if (ioctl(m->vm, KVM_ENABLE_CAP, &exits) < 0)
		return why_set(why, -errno, "KVM refuses to hand on page conversions: %s",
		               strerror(errno));
	for (size_t i = 0; i < m->region_count; i++)
		create.size += m->regions[i].size;
	create.size += m->rom.size;
	p->memfd = ioctl(m->vm, CC_CREATE_GUEST_MEMFD, &create);
	if (p->memfd < 0)
		return why_set(why, -errno, "KVM makes no private memory of %llu bytes: %s",
		               (unsigned long long)create.size, strerror(errno));
	error = private_map(m);
	if (error)
		return why_set(why, error, "no map of shared pages: %s", strerror(-error));
	for (size_t i = 0; i < m->region_count && !m->measured; i++)
		private_mark(p, m->regions[i].guest, m->regions[i].size, true);
	return 0;
}

void private_shared_at_start(struct machine *m, uint64_t guest, uint64_t size)
{
	if (m->private.map)
		private_mark(&m->private, guest, size, true);
}

int private_slot(struct machine *m, unsigned int index, const struct machine_region *region)
{
	struct cc_memory_region2 slot = {
	        .slot = index,
	        .flags = CC_MEM_GUEST_MEMFD,
	        .guest_phys_addr = region->guest,
	        .memory_size = region->size,
	        .userspace_addr = (uint64_t)(uintptr_t)region->host,
	        .guest_memfd = (uint32_t)m->private.memfd,
	        .guest_memfd_offset = region->offset,
	};

	return ioctl(m->vm, CC_SET_USER_MEMORY_REGION2, &slot) < 0 ? -errno : 0;
}

void private_destroy(struct private_memory *p)
{
	if (p->map)
		munmap(p->map, p->map_size);
	p->map = NULL;
	base_close(&p->map_fd);
	base_close(&p->memfd);
}

int machine_shared_map(const struct machine *m, uint64_t *size)
{
	*size = m->private.map_size;
	return m->private.map_fd;
}

bool private_has_memory(const struct machine *m)
{
	return m->private.type == CC_X86_SW_PROTECTED_VM || m->private.type == CC_X86_SNP_VM ||
	       m->private.type == CC_X86_TDX_VM;
}

bool machine_hidden(const struct machine *m)
{
	return m->private.type != CC_X86_DEFAULT_VM;
}

bool machine_shared(const struct machine *m, uint64_t guest, uint64_t size)
{
	const struct private_memory *p = &m->private;

	if (!machine_memory(m, guest, size))
		return false;
	if (!p->map || size == 0)
		return true;
	for (uint64_t page = guest / PRIVATE_PAGE; page <= (guest + size - 1) / PRIVATE_PAGE;
	     page++)
		if (!(__atomic_load_n(&p->map[page / 8], __ATOMIC_ACQUIRE) & 1u << page % 8))
			return false;
	return true;
}

/* ---- conversions ---- */

static const struct machine_region *private_region(const struct machine *m, uint64_t guest,
                                                   uint64_t size)
{
	for (size_t i = 0; i < m->region_count; i++) {
		const struct machine_region *r = &m->regions[i];

		if (guest >= r->guest && guest - r->guest < r->size &&
		    size <= r->size - (guest - r->guest))
			return r;
	}
	return NULL;
}

/*
 * #syscall vmm: ioctl(arg1 = 0x4020aed2) - KVM_SET_MEMORY_ATTRIBUTES: the guest converts pages
 * #syscall vmm: fallocate(arg1 = FALLOC_FL_KEEP_SIZE|FALLOC_FL_PUNCH_HOLE) - gives up what it sees no longer
 */
static int private_change(struct machine *m, const struct machine_region *region, uint64_t guest,
                          uint64_t size, bool private)
{
	struct cc_memory_attributes attributes = {
	        .address = guest,
	        .size = size,
	        .attributes = private ? CC_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	if (ioctl(m->vm, CC_SET_MEMORY_ATTRIBUTES, &attributes) < 0)
		return -errno;
	private_mark(&m->private, guest, size, !private);
	if (fallocate(private ? m->memfd : m->private.memfd,
	              FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE,
	              (off_t)(region->offset + (guest - region->guest)), (off_t)size) < 0)
		return -errno;
	return 0;
}

int private_convert(struct machine *m, uint64_t guest, uint64_t size, bool private)
{
	const struct machine_region *region;
	int error;

	if (size == 0 || (guest | size) % PRIVATE_PAGE != 0)
		return -EINVAL;
	region = private_region(m, guest, size);
	if (!region)
		return -EINVAL;
	if (size / PRIVATE_PAGE > PRIVATE_PAGES_MAX)
		return -E2BIG;
	pthread_mutex_lock(&m->private.lock);
	error = private_change(m, region, guest, size, private);
	pthread_mutex_unlock(&m->private.lock);
	return error;
}

/* KVM_HC_MAP_GPA_RANGE (Linux's Documentation/virt/kvm/x86/hypercalls.rst). */
static int private_request(struct machine *m, const uint64_t args[6])
{
	uint64_t guest = args[0], pages = args[1], flags = args[2], size;

	if (flags & ~(uint64_t)(CC_MAP_GPA_RANGE_PAGE_SIZE | CC_MAP_GPA_RANGE_ENCRYPTED))
		return -EINVAL;
	if (__builtin_mul_overflow(pages, (uint64_t)PRIVATE_PAGE, &size))
		return -EINVAL;
	return private_convert(m, guest, size, flags & CC_MAP_GPA_RANGE_ENCRYPTED);
}

/* How a hypercall fails: -KVM_EINVAL and so on have the numbers of their errno. What has none is -KVM_EFAULT. */
static uint64_t private_answer(int error)
{
	switch (error) {
	case 0:
	case -EINVAL:
	case -E2BIG: return (uint64_t)error;
	default: return (uint64_t)-EFAULT;
	}
}

void private_hypercall(struct vcpu *vcpu)
{
	struct cc_exit_hypercall *call = (struct cc_exit_hypercall *)vcpu->run;
	struct private_memory *p = &vcpu->machine->private;
	int error;

	if (call->nr != CC_HC_MAP_GPA_RANGE || p->map_fd < 0) {
		call->ret = (uint64_t)-1000; /* -KVM_ENOSYS */
		return;
	}
	error = private_request(vcpu->machine, call->args);
	call->ret = private_answer(error);
	pthread_mutex_lock(&p->lock);
	p->requests++;
	p->refused += error != 0;
	pthread_mutex_unlock(&p->lock);
}

/* ---- faults ---- */

/* NULL: the guest goes on. Else why it cannot. */
static const char *private_settle(struct vcpu *vcpu, const struct cc_exit_memory_fault *fault,
                                  int error)
{
	struct machine *m = vcpu->machine;
	bool private = fault->flags & CC_MEMORY_EXIT_FLAG_PRIVATE;
	uint64_t guest = fault->gpa & ~(uint64_t)(PRIVATE_PAGE - 1);

	if (m->private.map_fd < 0)
		return "a fault on private memory, which the VM does not have";
	if (error == -EHWPOISON)
		return "the guest touched memory that the host's hardware has lost";
	if (fault->flags & ~(uint64_t)CC_MEMORY_EXIT_FLAG_PRIVATE)
		return "a fault on private memory of a kind that is not known";
	if (!private_region(m, guest, PRIVATE_PAGE))
		return "the guest touched private memory where it has none";
	/* Perhaps another vCPU has just converted it: then it is enough to try again. */
	if (machine_shared(m, guest, PRIVATE_PAGE) != private)
		return vcpu->faults++ < PRIVATE_FAULTS_MAX
		               ? NULL
		               : "KVM does not give the guest a page as it is";
	vcpu->faults = 0;
	if (private_convert(m, guest, PRIVATE_PAGE, private) != 0)
		return "KVM does not convert a page that the guest touched";
	return NULL;
}

void private_fault(struct vcpu *vcpu, int error)
{
	const struct cc_exit_memory_fault *fault = (const struct cc_exit_memory_fault *)vcpu->run;
	struct machine *m = vcpu->machine;
	const char *why = private_settle(vcpu, fault, error);

	if (!why)
		return;
	machine_lock(m);
	if (m->state != VMM_ENDED)
		machine_log(m, "vCPU %u: %s: address 0x%llx, %llu bytes, flags 0x%llx", vcpu->index,
		            why, (unsigned long long)fault->gpa, (unsigned long long)fault->size,
		            (unsigned long long)fault->flags);
	machine_end(m, VMM_END_MEMORY);
	machine_unlock(m);
}
