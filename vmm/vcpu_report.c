// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vcpu_report: what a vCPU was doing when it could not go on, in the VM's log: the exit with its own
 * data, every register, and the instruction's bytes. Numbers only, so that nothing of the guest's can
 * pass for text. Called once by whoever ends the VM for it.
 */
#include <errno.h>
#include <sys/ioctl.h>

#include "base/base.h"
#include "vmm/vm.h"

enum { REPORT_CODE_MAX = 16, REPORT_DATA_MAX = 16, REPORT_PAGE = 4096, REPORT_RESET_RIP = 0xfff0 };
#define REPORT_RESET_BASE 0xffff0000ull

/* The data that goes with the exit: which member of the union it is depends on the reason. */
static void report_exit(const struct vcpu *vcpu, const char *what)
{
	const struct kvm_run *run = vcpu->run;
	struct machine *m = vcpu->machine;
	char data[REPORT_DATA_MAX * 20] = "";
	size_t used = 0;

	switch (run->exit_reason) {
	case KVM_EXIT_INTERNAL_ERROR:
		for (uint32_t i = 0; i < BASE_MIN(run->internal.ndata, REPORT_DATA_MAX); i++)
			used += (size_t)snprintf(data + used, sizeof(data) - used, " %llx",
			                         run->internal.data[i]);
		machine_log(m, "vCPU %u: %s: suberror %u, data%s", vcpu->index, what,
		            run->internal.suberror, *data ? data : " none");
		break;
	case KVM_EXIT_FAIL_ENTRY:
		machine_log(m, "vCPU %u: %s: hardware reason 0x%llx on CPU %u", vcpu->index, what,
		            run->fail_entry.hardware_entry_failure_reason, run->fail_entry.cpu);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		machine_log(m, "vCPU %u: %s: type %u", vcpu->index, what, run->system_event.type);
		break;
	case KVM_EXIT_MMIO:
		machine_log(m, "vCPU %u: %s: %s of %u bytes at 0x%llx", vcpu->index, what,
		            run->mmio.is_write ? "write" : "read", run->mmio.len,
		            run->mmio.phys_addr);
		break;
	case KVM_EXIT_IO:
		machine_log(m, "vCPU %u: %s: %s of %u bytes at port 0x%x, %u times", vcpu->index,
		            what, run->io.direction == KVM_EXIT_IO_OUT ? "write" : "read",
		            run->io.size, run->io.port, run->io.count);
		break;
	case KVM_EXIT_UNKNOWN:
		machine_log(m, "vCPU %u: %s: exit reason %u, hardware reason 0x%llx", vcpu->index,
		            what, run->exit_reason, run->hw.hardware_exit_reason);
		break;
	default: machine_log(m, "vCPU %u: %s: exit reason %u", vcpu->index, what, run->exit_reason);
	}
}

static void report_registers(const struct vcpu *vcpu, const struct kvm_regs *r)
{
	struct machine *m = vcpu->machine;

	machine_log(m, "rip %016llx rflags %08llx rsp %016llx rbp %016llx", r->rip, r->rflags,
	            r->rsp, r->rbp);
	machine_log(m, "rax %016llx rbx %016llx rcx %016llx rdx %016llx", r->rax, r->rbx, r->rcx,
	            r->rdx);
	machine_log(m, "rsi %016llx rdi %016llx r8  %016llx r9  %016llx", r->rsi, r->rdi, r->r8,
	            r->r9);
	machine_log(m, "r10 %016llx r11 %016llx r12 %016llx r13 %016llx", r->r10, r->r11, r->r12,
	            r->r13);
	machine_log(m, "r14 %016llx r15 %016llx", r->r14, r->r15);
}

static void report_segment(struct machine *m, const char *name, const struct kvm_segment *s)
{
	machine_log(m,
	            "%s  %04x base %016llx limit %08x type %x s %u dpl %u present %u db %u l %u "
	            "g %u",
	            name, s->selector, s->base, s->limit, s->type, s->s, s->dpl, s->present, s->db,
	            s->l, s->g);
}

static void report_system(const struct vcpu *vcpu, const struct kvm_sregs *s)
{
	struct machine *m = vcpu->machine;
	const struct {
		const char *name;
		const struct kvm_segment *segment;
	} segments[] = {
	        {"cs ", &s->cs}, {"ss ", &s->ss}, {"ds ", &s->ds}, {"es ", &s->es},
	        {"fs ", &s->fs}, {"gs ", &s->gs}, {"tr ", &s->tr}, {"ldt", &s->ldt},
	};

	for (size_t i = 0; i < BASE_COUNT(segments); i++)
		report_segment(m, segments[i].name, segments[i].segment);
	machine_log(m, "gdt %016llx limit %04x idt %016llx limit %04x", s->gdt.base, s->gdt.limit,
	            s->idt.base, s->idt.limit);
	machine_log(m, "cr0 %llx cr2 %llx cr3 %llx cr4 %llx cr8 %llx efer %llx apic %llx", s->cr0,
	            s->cr2, s->cr3, s->cr4, s->cr8, s->efer, s->apic_base);
}

/* #syscall vmm: ioctl(arg1 = KVM_TRANSLATE) - where the instruction of a failed vCPU lies */
/* The bytes at RIP, as far as its page goes; the guest may have changed them since. */
static void report_code(const struct vcpu *vcpu, uint64_t address)
{
	struct kvm_translation where = {.linear_address = address};
	size_t size = BASE_MIN(REPORT_CODE_MAX, REPORT_PAGE - address % REPORT_PAGE);
	char text[REPORT_CODE_MAX * 3 + 1] = "";
	const uint8_t *code = NULL;

	if (ioctl(vcpu->fd, KVM_TRANSLATE, &where) == 0 && where.valid)
		code = machine_memory(vcpu->machine, where.physical_address, size);
	for (size_t i = 0; code && i < size; i++)
		snprintf(text + 3 * i, 4, " %02x", code[i]);
	machine_log(vcpu->machine, "code at %016llx:%s", (unsigned long long)address,
	            code ? text : " not in memory");
}

/* #syscall vmm: ioctl(arg1 = KVM_GET_REGS) - registers of a failed vCPU */
/* #syscall vmm: ioctl(arg1 = KVM_GET_SREGS) - the same */
void vcpu_report(const struct vcpu *vcpu, const char *what)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	report_exit(vcpu, what);
	/* What such a guest has in its registers it does not want to see in a log. */
	if (machine_hidden(vcpu->machine))
		return;
	if (ioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 ||
	    ioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0) {
		machine_log(vcpu->machine, "vCPU %u: KVM does not give its registers: %s",
		            vcpu->index, strerror(errno));
		return;
	}
	/* AMD leaves a processor's state undefined at a shutdown, so KVM has reset the vCPU there. */
	if (vcpu->run->exit_reason == KVM_EXIT_SHUTDOWN && regs.rip == REPORT_RESET_RIP &&
	    sregs.cs.base == REPORT_RESET_BASE) {
		machine_log(vcpu->machine, "vCPU %u: this host's KVM has reset its registers",
		            vcpu->index);
		return;
	}
	report_registers(vcpu, &regs);
	report_system(vcpu, &sregs);
	report_code(vcpu, sregs.cs.base + regs.rip);
}
