// SPDX-License-Identifier: GPL-2.0-or-later
/* KVM's part of the model: who may ask for what, when. */
#include "tests/unit/confidential_fake.h"

#include "base/base.h"

#define FAKE_SET_USER_MEMORY_REGION 0x4020ae46u

void fake_init(struct fake *fake)
{
	memset(fake, 0, sizeof(*fake));
	fake->vm_types = 1 << CC_X86_DEFAULT_VM | 1 << CC_X86_SEV_VM | 1 << CC_X86_SEV_ES_VM |
	                 1 << CC_X86_SNP_VM | 1 << CC_X86_TDX_VM;
	fake->features = 0x3f;
	fake->td_attributes = 1ull << 28;
	fake->td_xfam = 0xe7;
	fake->vcpu_count = 1;
	memset(fake->tik, 0x5a, sizeof(fake->tik));
	memset(fake->nonce, 0xa5, sizeof(fake->nonce));
}

void fake_free(struct fake *fake)
{
	EVP_MD_CTX_free(fake->hash);
	fake->hash = NULL;
}

static bool has_private(const struct fake *fake)
{
	return fake->type == CC_X86_SNP_VM || fake->type == CC_X86_TDX_VM;
}

static struct fake_slot *slot_of(struct fake *fake, uint64_t gpa)
{
	for (size_t i = 0; i < fake->slot_count; i++)
		if (gpa >= fake->slots[i].gpa && gpa - fake->slots[i].gpa < fake->slots[i].size)
			return &fake->slots[i];
	return NULL;
}

static bool *page_of(struct fake *fake, uint64_t gpa, bool assigned)
{
	struct fake_slot *slot = slot_of(fake, gpa);
	size_t page = slot ? (size_t)((gpa - slot->gpa) / 4096) : 0;

	return !slot ? NULL : assigned ? &slot->assigned[page] : &slot->is_private[page];
}

/* --- guest memory (virt/kvm/kvm_main.c, virt/kvm/guest_memfd.c) --- */

static int set_region(struct fake *fake, const struct cc_memory_region2 *region, bool second)
{
	struct fake_slot *slot = &fake->slots[fake->slot_count];
	const bool memfd = second && region->flags & CC_MEM_GUEST_MEMFD;

	if (region->slot != fake->slot_count || region->slot >= FAKE_SLOTS ||
	    region->memory_size / 4096 > FAKE_PAGES || region->memory_size == 0 ||
	    (region->guest_phys_addr | region->memory_size | region->userspace_addr) % 4096)
		return -EINVAL;
	if (region->flags & ~(uint32_t)(has_private(fake) ? CC_MEM_GUEST_MEMFD : 0))
		return -EINVAL;
	if (memfd && (region->guest_memfd < FAKE_MEMFD ||
	              region->guest_memfd >= FAKE_MEMFD + fake->memfd_count ||
	              region->guest_memfd_offset % 4096))
		return -EINVAL;
	if (slot_of(fake, region->guest_phys_addr))
		return -EEXIST;
	*slot = (struct fake_slot){.gpa = region->guest_phys_addr,
	                           .size = region->memory_size,
	                           .uaddr = region->userspace_addr,
	                           .memfd = memfd};
	fake->slot_count++;
	return 0;
}

static int set_attributes(struct fake *fake, const struct cc_memory_attributes *to)
{
	uint64_t end;

	if (to->flags ||
	    to->attributes & ~(uint64_t)(has_private(fake) ? CC_MEMORY_ATTRIBUTE_PRIVATE : 0) ||
	    to->size == 0 || (to->address | to->size) % 4096 ||
	    __builtin_add_overflow(to->address, to->size, &end))
		return -EINVAL;
	for (uint64_t gpa = to->address; gpa < end; gpa += 4096) {
		bool *page = page_of(fake, gpa, false);

		if (page)
			*page = to->attributes != 0;
	}
	return 0;
}

static int create_memfd(struct fake *fake, const struct cc_create_guest_memfd *file)
{
	if (!has_private(fake) || file->flags || file->size == 0 || file->size % 4096)
		return -EINVAL;
	fake->open_fds++;
	return FAKE_MEMFD + (int)fake->memfd_count++;
}

/* sev_mem_enc_register_region() */
static int pin(struct fake *fake, const struct cc_enc_region *region)
{
	if (!fake->active)
		return -ENOTTY;
	if (region->size == 0 || region->addr + region->size < region->addr)
		return -EINVAL;
	if (fake->locked_pages && region->size / 4096 > fake->locked_pages)
		return -ENOMEM;
	for (size_t i = 0; i < fake->slot_count; i++)
		if (fake->slots[i].uaddr == region->addr)
			fake->slots[i].pinned = true;
	return 0;
}

/* --- SEV and SEV-ES (arch/x86/kvm/svm/sev.c) --- */

static int firmware(struct cc_sev_cmd *command, uint32_t error)
{
	command->error = error;
	return error ? -EIO : 0;
}

static int guest_init(struct fake *fake, const struct cc_sev_init *init, bool es, uint16_t ghcb)
{
	const uint64_t valid = es ? fake->features & ~1ull : 0;

	if (fake->vcpus_created || init->flags || init->vmsa_features & ~valid || ghcb > 2 ||
	    (!es && ghcb) || fake->active)
		return -EINVAL;
	fake->active = true;
	fake->es = es;
	fake->snp = fake->type == CC_X86_SNP_VM;
	fake->vmsa_features = init->vmsa_features | (fake->snp ? 1 : 0);
	return 0;
}

static int sev_init(struct fake *fake, const struct cc_sev_cmd *command)
{
	const struct cc_sev_init none = {0};
	const struct cc_sev_init *init = (const void *)(uintptr_t)command->data;
	const bool second = command->id == CC_SEV_INIT2;

	if (second != (fake->type >= CC_X86_SEV_VM && fake->type <= CC_X86_SNP_VM) ||
	    (!second && fake->type != CC_X86_DEFAULT_VM))
		return -EINVAL;
	if (!second)
		return guest_init(fake, &none, command->id == CC_SEV_ES_INIT,
		                  command->id == CC_SEV_ES_INIT);
	if (!init)
		return -EFAULT;
	return guest_init(fake, init, fake->type != CC_X86_SEV_VM, init->ghcb_version);
}

static int update_data(struct fake *fake, struct cc_sev_cmd *command)
{
	const struct cc_sev_launch_update_data *update = (const void *)(uintptr_t)command->data;

	if (!update)
		return -EFAULT;
	if (update->len == 0 || update->uaddr + update->len < update->uaddr)
		return -EINVAL;
	if (fake->locked_pages && update->len / 4096 > fake->locked_pages)
		return -ENOMEM;
	return firmware(command,
	                fake_psp_data(fake, (const void *)(uintptr_t)update->uaddr, update->len));
}

static int update_vmsas(struct fake *fake, struct cc_sev_cmd *command)
{
	int err = fake->es ? 0 : -ENOTTY;

	for (unsigned int i = 0; i < fake->vcpus_created && !err; i++) {
		err = firmware(command, fake_psp_vmsa(fake, &fake->vcpus[i]));
		fake->vcpus[i].is_protected = !err;
	}
	return err;
}

static int measure(struct fake *fake, struct cc_sev_cmd *command)
{
	struct cc_sev_launch_measure *to = (void *)(uintptr_t)command->data;
	uint32_t size;
	int err;

	if (!to)
		return -EFAULT;
	if (to->len > 16 * 1024)
		return -EINVAL;
	size = to->len;
	err = firmware(command, fake_psp_measure(fake, (void *)(uintptr_t)to->uaddr, &size));
	to->len = size;
	return err;
}

/* --- SEV-SNP --- */

static int snp_start(struct fake *fake, struct cc_sev_cmd *command)
{
	const struct cc_sev_snp_launch_start *start = (const void *)(uintptr_t)command->data;
	const uint64_t known = 0xffff | 1 << 16 | 1 << 17 | 1 << 19 | 1 << 20;

	if (!start)
		return -EFAULT;
	if (fake->snp_context || start->flags || start->policy & ~known ||
	    !(start->policy & 1 << 17) || !(start->policy & 1 << 16) || start->policy & 1 << 20)
		return -EINVAL;
	fake->snp_context = fake_snp_start(fake, start->policy) == CC_FW_SUCCESS;
	return fake->snp_context ? 0 : firmware(command, CC_FW_POLICY_FAILURE);
}

/* kvm_gmem_populate() and sev_gmem_post_populate(), of one page. */
static int snp_populate(struct fake *fake, const struct cc_sev_snp_launch_update *update,
                        uint64_t page, uint32_t *error)
{
	uint64_t gpa = (update->gfn_start + page) * 4096;
	bool *is_private = page_of(fake, gpa, false), *assigned = page_of(fake, gpa, true);
	uint8_t *source = (uint8_t *)(uintptr_t)update->uaddr;

	if (!is_private || !*is_private)
		return -EINVAL;
	if (*assigned)
		return -EEXIST;
	if (update->type != CC_SNP_PAGE_TYPE_ZERO && !source)
		return -EINVAL;
	*error = fake_snp_page(fake, update->type, gpa, source ? source + page * 4096 : NULL);
	*assigned = *error == CC_FW_SUCCESS;
	return *error ? -EIO : 0;
}

static int snp_update(struct fake *fake, struct cc_sev_cmd *command)
{
	struct cc_sev_snp_launch_update *update = (void *)(uintptr_t)command->data;
	uint64_t page = 0, pages;
	uint32_t error = 0;
	int err = 0;

	if (!fake->snp_context)
		return -EINVAL;
	if (!update)
		return -EFAULT;
	if (update->len % 4096 || update->flags || update->type < CC_SNP_PAGE_TYPE_NORMAL ||
	    update->type > CC_SNP_PAGE_TYPE_CPUID || update->type == 2)
		return -EINVAL;
	if (update->type != CC_SNP_PAGE_TYPE_ZERO && update->uaddr % 4096)
		return -EINVAL; /* of newer kernels */
	if (!slot_of(fake, update->gfn_start * 4096) ||
	    !slot_of(fake, update->gfn_start * 4096)->memfd)
		return -EINVAL;
	pages = update->len / 4096;
	if (fake->progress && pages > fake->progress)
		pages = fake->progress;
	while (page < pages && !err)
		err = snp_populate(fake, update, page++, &error);
	if (err && page <= 1) {
		command->error = error;
		return -EIO;
	}
	page -= err ? 1 : 0;
	update->gfn_start += page;
	update->len -= page * 4096;
	if (update->type != CC_SNP_PAGE_TYPE_ZERO)
		update->uaddr += page * 4096;
	return 0;
}

static int snp_finish(struct fake *fake, struct cc_sev_cmd *command)
{
	const struct cc_sev_snp_launch_finish *finish = (const void *)(uintptr_t)command->data;
	int err = 0;

	if (!fake->snp_context)
		return -EINVAL;
	if (!finish)
		return -EFAULT;
	if (finish->flags)
		return -EINVAL;
	for (unsigned int i = 0; i < fake->vcpus_created && !err; i++) {
		err = firmware(command, fake_snp_vmsa(fake, &fake->vcpus[i]));
		fake->vcpus[i].is_protected = !err;
	}
	return err ? err : firmware(command, fake_snp_finish(fake, finish));
}

/* sev_mem_enc_ioctl() */
static int sev_command(struct fake *fake, struct cc_sev_cmd *command)
{
	const bool host = fake->vm_types & (1 << CC_X86_SEV_VM);
	const struct cc_sev_launch_start *start;

	if (!host)
		return -ENOTTY;
	if (!command)
		return 0;
	if (fake->snp && command->id < CC_SEV_SNP_LAUNCH_START)
		return -EPERM;
	if (command->id <= CC_SEV_ES_INIT || command->id == CC_SEV_INIT2)
		return sev_init(fake, command);
	if (command->id > CC_SEV_SNP_LAUNCH_FINISH)
		return -EINVAL;
	if (command->id == CC_SEV_SNP_LAUNCH_UPDATE && !fake->snp)
		return -EINVAL;
	if (command->id >= CC_SEV_SNP_LAUNCH_START ? !fake->snp : !fake->active)
		return -ENOTTY;
	if (command->id != CC_SEV_LAUNCH_UPDATE_VMSA && command->sev_fd != FAKE_SEV &&
	    (command->id == CC_SEV_LAUNCH_START || command->id == CC_SEV_SNP_LAUNCH_START))
		return -EBADF;
	switch (command->id) {
	case CC_SEV_LAUNCH_START:
		start = (const void *)(uintptr_t)command->data;
		return start ? firmware(command, fake_psp_start(fake, start->policy)) : -EFAULT;
	case CC_SEV_LAUNCH_UPDATE_DATA: return update_data(fake, command);
	case CC_SEV_LAUNCH_UPDATE_VMSA: return update_vmsas(fake, command);
	case CC_SEV_LAUNCH_MEASURE: return measure(fake, command);
	case CC_SEV_LAUNCH_FINISH: return firmware(command, fake_psp_finish(fake));
	case CC_SEV_SNP_LAUNCH_START: return snp_start(fake, command);
	case CC_SEV_SNP_LAUNCH_UPDATE: return snp_update(fake, command);
	case CC_SEV_SNP_LAUNCH_FINISH: return snp_finish(fake, command);
	default: return -EINVAL;
	}
}

/* --- TDX (arch/x86/kvm/vmx/tdx.c) --- */

static int td_capabilities(const struct fake *fake, struct cc_tdx_capabilities *can)
{
	if (can->nent < 2)
		return -E2BIG;
	memset(can, 0, sizeof(*can));
	can->supported_attrs = fake->td_attributes;
	can->supported_xfam = fake->td_xfam;
	can->nent = 2;
	can->entries[0] =
	        (struct cc_cpuid_entry){.function = 1, .eax = 0x0fff3fff, .ebx = 0xff0000};
	can->entries[1] = (struct cc_cpuid_entry){.function = 7, .ebx = 0xd02ffb, .ecx = 0x1f};
	return 0;
}

static int td_init(struct fake *fake, const struct cc_tdx_init_vm *init)
{
	if (fake->td != FAKE_TD_UNINITIALIZED || fake->vcpus_created ||
	    init->attributes & ~fake->td_attributes || init->xfam & ~fake->td_xfam ||
	    (init->xfam & 3) != 3 || init->cpuid_padding)
		return -EINVAL;
	for (size_t i = 0; i < BASE_COUNT(init->reserved); i++)
		if (init->reserved[i])
			return -EINVAL;
	for (uint32_t i = 0; i < init->nent; i++)
		if (init->entries[i].function != 1 && init->entries[i].function != 7)
			return -EINVAL; /* no leaf that is a choice */
	fake->td_asked = init->attributes;
	fake->td_leaves = init->nent;
	fake->td = FAKE_TD_INITIALIZED;
	return 0;
}

static int td_vm_command(struct fake *fake, struct cc_tdx_cmd *command)
{
	void *data = (void *)(uintptr_t)command->data;

	if (fake->type != CC_X86_TDX_VM)
		return -ENOTTY;
	if (command->hw_error || command->flags)
		return -EINVAL;
	switch (command->id) {
	case CC_TDX_CAPABILITIES: return data ? td_capabilities(fake, data) : -EFAULT;
	case CC_TDX_INIT_VM: return data ? td_init(fake, data) : -EFAULT;
	case CC_TDX_FINALIZE_VM:
		if (fake->td != FAKE_TD_INITIALIZED)
			return -EINVAL;
		fake_td_finish(fake);
		fake->td = FAKE_TD_RUNNABLE;
		return 0;
	default: return -EINVAL;
	}
}

static int td_region(struct fake *fake, const struct fake_vcpu *vcpu, struct cc_tdx_cmd *command)
{
	struct cc_tdx_init_mem_region *region = (void *)(uintptr_t)command->data;

	if (!vcpu->initialized || command->flags & ~(uint32_t)CC_TDX_MEASURE_MEMORY_REGION ||
	    fake->td != FAKE_TD_INITIALIZED)
		return -EINVAL;
	if (!region)
		return -EFAULT;
	if ((region->source_addr | region->gpa) % 4096 || region->nr_pages == 0 ||
	    region->gpa + region->nr_pages * 4096 <= region->gpa || region->gpa >> 47)
		return -EINVAL;
	while (region->nr_pages > 0) {
		bool *is_private = page_of(fake, region->gpa, false);
		bool *assigned = page_of(fake, region->gpa, true);

		if (!is_private || !*is_private)
			return -EFAULT;
		if (*assigned) {
			command->hw_error = 0xc0000b0a00000000; /* TDX_EPT_ENTRY_STATE_INCORRECT */
			return -EIO;
		}
		*assigned = true;
		if (region->gpa == fake->hob_gpa)
			memcpy(fake->hob, (const void *)(uintptr_t)region->source_addr, 4096);
		fake_td_add(fake, region->gpa, (const uint8_t *)(uintptr_t)region->source_addr,
		            command->flags & CC_TDX_MEASURE_MEMORY_REGION);
		region->source_addr += 4096;
		region->gpa += 4096;
		region->nr_pages--;
	}
	return 0;
}

static int td_vcpu_command(struct fake *fake, struct fake_vcpu *vcpu, struct cc_tdx_cmd *command)
{
	if (fake->type != CC_X86_TDX_VM)
		return -ENOTTY;
	if (command->hw_error)
		return -EINVAL;
	if (command->id == CC_TDX_INIT_MEM_REGION)
		return td_region(fake, vcpu, command);
	if (command->id != CC_TDX_INIT_VCPU || command->flags || vcpu->initialized ||
	    fake->td != FAKE_TD_INITIALIZED)
		return -EINVAL;
	vcpu->initialized = true;
	vcpu->rcx = fake->hob_gpa = command->data;
	return 0;
}

/* --- the table --- */

static int vm_call(struct fake *fake, uint32_t request, void *argument)
{
	switch (request) {
	case CC_MEMORY_ENCRYPT_OP:
		return fake->type == CC_X86_TDX_VM ? td_vm_command(fake, argument)
		                                   : sev_command(fake, argument);
	case CC_MEMORY_ENCRYPT_REG_REGION: return pin(fake, argument);
	case CC_SET_USER_MEMORY_REGION2: return set_region(fake, argument, true);
	case FAKE_SET_USER_MEMORY_REGION: return set_region(fake, argument, false);
	case CC_SET_MEMORY_ATTRIBUTES: return set_attributes(fake, argument);
	case CC_CREATE_GUEST_MEMFD: return create_memfd(fake, argument);
	default: return -ENOTTY;
	}
}

static int vcpu_call(struct fake *fake, struct fake_vcpu *vcpu, uint32_t request, void *argument)
{
	if (request == CC_MEMORY_ENCRYPT_OP)
		return td_vcpu_command(fake, vcpu, argument);
	if (vcpu->is_protected)
		return -EINVAL;
	switch (request) {
	case (uint32_t)KVM_GET_SREGS: memcpy(argument, &vcpu->sregs, sizeof(vcpu->sregs)); return 0;
	case (uint32_t)KVM_SET_SREGS: memcpy(&vcpu->sregs, argument, sizeof(vcpu->sregs)); return 0;
	case (uint32_t)KVM_SET_REGS: memcpy(&vcpu->regs, argument, sizeof(vcpu->regs)); return 0;
	default: return -ENOTTY;
	}
}

int fake_do(struct fake *fake, int fd, uint32_t request, void *argument)
{
	const uintptr_t number = (uintptr_t)argument;

	if (fd == FAKE_KVM && request == CC_CHECK_EXTENSION)
		return number == CC_CAP_VM_TYPES ? (int)fake->vm_types
		                                 : (int)number != fake->no_capability;
	if (fd == FAKE_KVM && request == CC_CREATE_VM) {
		if (number > CC_X86_TDX_VM || (number && !(fake->vm_types & 1u << number)))
			return -EINVAL;
		fake->vm = true;
		fake->type = (enum cc_vm_type)number;
		fake->open_fds++;
		return FAKE_VM;
	}
	if (fd == FAKE_VM && fake->vm)
		return vm_call(fake, request, argument);
	if (fd >= FAKE_VCPU && fd < FAKE_VCPU + (int)fake->vcpus_created)
		return vcpu_call(fake, &fake->vcpus[fd - FAKE_VCPU], request, argument);
	return -EBADF;
}

static int fake_open(void *self, const char *path)
{
	struct fake *fake = self;

	const bool kvm = strcmp(path, "/dev/kvm") == 0;

	if (kvm ? fake->no_kvm : fake->no_device || strcmp(path, "/dev/sev") != 0)
		return -ENOENT;
	fake->open_fds++;
	return kvm ? FAKE_KVM : FAKE_SEV;
}

static int fake_call(void *self, int fd, uint32_t request, void *argument)
{
	struct fake *fake = self;
	int result;

	if (fake->meddle && fake->meddle(fake, fd, request, argument, &result))
		return result;
	if (request == CC_MEMORY_ENCRYPT_OP && fake->busy > 0 && argument &&
	    *(uint32_t *)argument ==
	            (fd == FAKE_VM ? CC_SEV_SNP_LAUNCH_UPDATE : CC_TDX_INIT_MEM_REGION)) {
		fake->busy--;
		return -EAGAIN;
	}
	return fake_do(fake, fd, request, argument);
}

static void fake_close(void *self, int fd)
{
	struct fake *fake = self;

	(void)fd;
	fake->open_fds--;
}

const struct cc_ops fake_ops = {fake_open, fake_call, fake_close};
