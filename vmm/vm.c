// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vm: the KVM side of the machine. What this VMM needs of KVM is a table, checked by name, so that a
 * host that lacks something is told what. The interrupt chips are split: local APICs in the kernel,
 * I/O APIC in ioapic.c, no PIC and no PIT at all.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include "base/base.h"
#include "confidential/uapi.h"
#include "vmm/measured.h"
#include "vmm/msr.h"

/* Three pages for Intel's real-mode TSS and one for its identity map, below the largest firmware (VM_ROM_MAX). */
#define VM_IDENTITY_MAP 0xfeffc000ull
#define VM_TSS          0xfeffd000ul

static const struct {
	int number;
	const char *name;
} vm_needs[] = {
        {KVM_CAP_USER_MEMORY, "KVM_CAP_USER_MEMORY"},
        {KVM_CAP_SET_TSS_ADDR, "KVM_CAP_SET_TSS_ADDR"},
        {KVM_CAP_SET_IDENTITY_MAP_ADDR, "KVM_CAP_SET_IDENTITY_MAP_ADDR"},
        {KVM_CAP_EXT_CPUID, "KVM_CAP_EXT_CPUID"},
        {KVM_CAP_MP_STATE, "KVM_CAP_MP_STATE"},
        {KVM_CAP_IRQ_ROUTING, "KVM_CAP_IRQ_ROUTING"},
        {KVM_CAP_SIGNAL_MSI, "KVM_CAP_SIGNAL_MSI"},
        {KVM_CAP_IRQFD, "KVM_CAP_IRQFD"},
        {KVM_CAP_IOEVENTFD, "KVM_CAP_IOEVENTFD"},
        {KVM_CAP_IOEVENTFD_ANY_LENGTH, "KVM_CAP_IOEVENTFD_ANY_LENGTH"},
        {KVM_CAP_SPLIT_IRQCHIP, "KVM_CAP_SPLIT_IRQCHIP"},
        {KVM_CAP_TSC_DEADLINE_TIMER, "KVM_CAP_TSC_DEADLINE_TIMER"},
        {KVM_CAP_IMMEDIATE_EXIT, "KVM_CAP_IMMEDIATE_EXIT"},
};

static int vm_check_host(int kvm, char *why)
{
	int version = ioctl(kvm, KVM_GET_API_VERSION, 0);

	if (version != KVM_API_VERSION)
		return why_set(why, -ENOTSUP, "KVM's API version is %d; expected %d", version,
		               KVM_API_VERSION);
	for (size_t i = 0; i < BASE_COUNT(vm_needs); i++)
		if (ioctl(kvm, KVM_CHECK_EXTENSION, vm_needs[i].number) <= 0)
			return why_set(why, -ENOTSUP, "KVM on this host lacks %s",
			               vm_needs[i].name);
	return 0;
}

static int vm_set_region(struct machine *m, unsigned int slot, const struct machine_region *region,
                         char *why)
{
	struct kvm_userspace_memory_region plain = {
	        .slot = slot,
	        .guest_phys_addr = region->guest,
	        .memory_size = region->size,
	        .userspace_addr = (uint64_t)(uintptr_t)region->host,
	};
	int error = 0;

	if (m->measured)
		return measured_memory(m, region, why);
	if (m->private.map_fd >= 0)
		error = private_slot(m, slot, region);
	else if (ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &plain) < 0)
		error = -errno;
	return error ? why_set(why, error, "KVM refuses guest memory: %s", strerror(-error)) : 0;
}

static int vm_set_memory(struct machine *m, char *why)
{
	int error = 0;

	for (size_t i = 0; !error && i < m->region_count; i++)
		error = vm_set_region(m, (unsigned int)i, &m->regions[i], why);
	if (!error && m->rom.size > 0)
		error = vm_set_region(m, (unsigned int)m->region_count, &m->rom, why);
	return error;
}

/* #syscall vmm: ioctl(arg1 = KVM_SET_GSI_ROUTING) - the guest moves an interrupt */
/* KVM takes the whole table each time. Entries that are not live are left out: they go nowhere. */
static int vm_routes_commit(struct machine *m)
{
	struct kvm_irq_routing *table = m->table;

	memset(table, 0, sizeof(*table));
	for (unsigned int gsi = 0; gsi < VM_ROUTES_MAX; gsi++) {
		const struct vm_route *route = &m->routes[gsi];

		if (!route->live)
			continue;
		table->entries[table->nr++] = (struct kvm_irq_routing_entry){
		        .gsi = gsi,
		        .type = KVM_IRQ_ROUTING_MSI,
		        .u.msi = {.address_lo = (uint32_t)route->address,
		                  .address_hi = (uint32_t)(route->address >> 32),
		                  .data = route->data},
		};
	}
	return ioctl(m->vm, KVM_SET_GSI_ROUTING, table) < 0 ? -errno : 0;
}

static int vm_route_set(struct machine *m, unsigned int gsi, bool live, uint64_t address,
                        uint32_t data)
{
	struct vm_route *route = &m->routes[gsi], before = *route;
	int error;

	if (route->live == live && (!live || (route->address == address && route->data == data)))
		return 0;
	route->live = live;
	route->address = address;
	route->data = data;
	error = vm_routes_commit(m);
	if (error)
		*route =
		        before; /* as KVM still has it; and no other interrupt's route fails for it */
	return error;
}

static void vm_ioapic_route(void *self, unsigned int pin, const struct ioapic_message *message)
{
	vm_route_set(self, pin, message->live, message->address, message->data);
}

/* #syscall vmm: ioctl(arg1 = KVM_SIGNAL_MSI) - a pin of the I/O APIC goes up */
static void vm_ioapic_signal(void *self, const struct ioapic_message *message)
{
	struct machine *m = self;
	struct kvm_msi msi = {
	        .address_lo = (uint32_t)message->address,
	        .address_hi = (uint32_t)(message->address >> 32),
	        .data = message->data,
	};

	ioctl(m->vm, KVM_SIGNAL_MSI, &msi);
}

static int vm_cpuid(struct machine *m, char *why)
{
	const struct machine_region *last = &m->regions[BASE_MAX(m->region_count, 1u) - 1];
	BASE_AUTO_FREE struct cpuid_table *host = calloc(1, sizeof(*host));
	int error;

	m->cpuid = calloc(1, sizeof(*m->cpuid));
	if (!host || !m->cpuid)
		return why_set(why, -ENOMEM, "no memory for the CPUID tables");
	host->count = CPUID_ENTRIES_MAX;
	if (ioctl(m->kvm, KVM_GET_SUPPORTED_CPUID, host) < 0)
		return why_set(why, -errno, "KVM does not say which CPUID it supports: %s",
		               strerror(errno));
	error = cpuid_build(host, &m->cpu, last->guest + last->size, m->cpuid, why);
	return error || !m->measured ? error : measured_cpuid(m, host, why);
}

void vm_init(struct machine *m, const char *name)
{
	memset(m, 0, sizeof(*m));
	base_copy_string(m->name, sizeof(m->name), name);
	m->kvm = m->vm = m->memfd = m->epoll = m->wake = m->node = -1;
	private_init(&m->private);
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->changed, NULL);
	pthread_cond_init(&m->parked, NULL);
	m->state = VMM_READY;
}

static int vm_open(struct machine *m, char *why)
{
	m->vm = ioctl(m->kvm, KVM_CREATE_VM, m->private.type);
	return m->vm < 0 ? why_set(why, -errno, "KVM cannot make a VM: %s", strerror(errno)) : 0;
}

int vm_create(struct machine *m, int kvm, char *why)
{
	struct kvm_enable_cap split = {.cap = KVM_CAP_SPLIT_IRQCHIP, .args = {MACHINE_GSI_PINS}};
	struct ioapic_host host = {vm_ioapic_route, vm_ioapic_signal, m};
	uint64_t identity_map = VM_IDENTITY_MAP;
	int error = vm_check_host(kvm, why);

	if (error)
		return error;
	m->kvm = kvm;
	if (private_has_memory(m))
		error = private_check(kvm, m->private.type, why);
	if (!error)
		error = vm_cpuid(m, why);
	if (error)
		return error;
	error = m->measured ? measured_vm_create(m, why) : vm_open(m, why);
	if (error)
		return error;
	if (ioctl(m->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map) < 0 ||
	    ioctl(m->vm, KVM_SET_TSS_ADDR, VM_TSS) < 0)
		return why_set(why, -errno, "KVM refuses the TSS's place: %s", strerror(errno));
	if (ioctl(m->vm, KVM_ENABLE_CAP, &split) < 0)
		return why_set(why, -errno, "KVM refuses a split irqchip: %s", strerror(errno));
	error = msr_guard(m);
	if (error)
		return why_set(why, error, "KVM refuses the list of MSRs: %s", strerror(-error));
	if (private_has_memory(m))
		error = private_create(m, why);
	if (error)
		return error;
	error = vm_set_memory(m, why);
	if (error)
		return error;
	m->table = calloc(1, sizeof(*m->table) + VM_ROUTES_MAX * sizeof(m->table->entries[0]));
	if (!m->table)
		return why_set(why, -ENOMEM, "no memory for the interrupt table");
	error = loop_create(m);
	if (error)
		return why_set(why, error, "no event loop: %s", strerror(-error));
	ioapic_init(&m->ioapic, &host);
	return machine_io_add(m, MACHINE_MMIO, MACHINE_IOAPIC_BASE, IOAPIC_SIZE, &ioapic_io,
	                      &m->ioapic);
}

void vm_destroy(struct machine *m)
{
	vcpus_destroy(m);
	measured_close(m);
	loop_destroy(m);
	free(m->table);
	free(m->cpuid);
	m->table = NULL;
	m->cpuid = NULL;
	private_destroy(&m->private);
	base_close(&m->vm);
	vm_memory_unmap(m);
}

int machine_msi_alloc(struct machine *m)
{
	for (unsigned int gsi = MACHINE_GSI_PINS; gsi < VM_ROUTES_MAX; gsi++) {
		if (m->routes[gsi].taken)
			continue;
		m->routes[gsi].taken = true;
		return (int)gsi;
	}
	return -ENOSPC;
}

int machine_msi_set(struct machine *m, int gsi, uint64_t address, uint32_t data)
{
	/* The guest wrote these: only the local APICs' window is a message (SDM vol. 3, 10.11.1). */
	bool valid = address >> 20 == MACHINE_LAPIC_BASE >> 20;

	if (gsi < MACHINE_GSI_PINS || gsi >= VM_ROUTES_MAX || !m->routes[gsi].taken)
		return -ENOENT;
	if (valid)
		return vm_route_set(m, (unsigned int)gsi, true, address, data);
	vm_route_set(m, (unsigned int)gsi, false, 0, 0);
	return -EINVAL;
}

/* #syscall vmm: ioctl(arg1 = KVM_IRQFD) - the guest masks or unmasks a vector */
int machine_irqfd(struct machine *m, int eventfd, int gsi, bool assign)
{
	struct kvm_irqfd irqfd = {
	        .fd = (uint32_t)eventfd,
	        .gsi = (uint32_t)gsi,
	        .flags = assign ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};

	if (gsi < 0 || gsi >= VM_ROUTES_MAX)
		return -EINVAL;
	return ioctl(m->vm, KVM_IRQFD, &irqfd) < 0 ? -errno : 0;
}

/* #syscall vmm: ioctl(arg1 = KVM_IOEVENTFD) - doorbells follow their BAR */
int machine_ioeventfd(struct machine *m, uint64_t address, unsigned int size, int eventfd,
                      bool assign)
{
	struct kvm_ioeventfd doorbell = {
	        .addr = address,
	        .len = size,
	        .fd = eventfd,
	        .flags = assign ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
	};

	return ioctl(m->vm, KVM_IOEVENTFD, &doorbell) < 0 ? -errno : 0;
}
