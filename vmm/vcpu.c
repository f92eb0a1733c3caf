// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vcpu: one thread a vCPU. A thread is in KVM_RUN, or handles one exit (under the machine's lock when
 * it touches a device), or is parked because the machine is not RUNNING.
 *
 * To stop a vCPU: change the state, set its run->immediate_exit, send it VCPU_KICK. Whether the signal
 * comes before, in or after KVM_RUN, the ioctl returns EINTR, and the flag is cleared only by the
 * thread itself, under the lock, once it has seen the new state.
 *
 * Each kind of exit either completes an access, or ends the VM: none can repeat by itself.
 */
#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/base.h"
#include "confidential/uapi.h"
#include "vmm/vcpu_state.h"
#include "vmm/vm.h"

#define VCPU_KICK SIGRTMIN

enum { VCPU_AGAIN_MAX = 4096 };

static void vcpu_kicked(int signal)
{
	(void)signal; /* it is there to make KVM_RUN return */
}

static void vcpu_leave(struct vcpu *vcpu)
{
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_RELEASE);
}

void vcpus_leave(struct machine *m)
{
	for (unsigned int i = 0; i < m->vcpu_count; i++)
		vcpu_leave(&m->vcpus[i]);
}

/*
 * #syscall vmm: tgkill - stops a vCPU's KVM_RUN
 * #syscall vmm: getpid - pthread_kill names its own process
 * #syscall vmm: rt_sigprocmask - pthread_kill and the end of a thread hold signals off
 */
static void vcpu_kick(struct vcpu *vcpu)
{
	vcpu_leave(vcpu);
	pthread_kill(vcpu->thread, VCPU_KICK);
}

/* Ends the VM, with a report unless another vCPU has ended it already. */
static void vcpu_fail(struct vcpu *vcpu, enum vmm_end end, const char *what)
{
	machine_lock(vcpu->machine);
	if (vcpu->machine->state != VMM_ENDED)
		vcpu_report(vcpu, what);
	machine_end(vcpu->machine, end);
	machine_unlock(vcpu->machine);
}

static void vcpu_end(struct vcpu *vcpu, enum vmm_end end)
{
	machine_lock(vcpu->machine);
	machine_end(vcpu->machine, end);
	machine_unlock(vcpu->machine);
}

/* One port instruction; `count` is above one for REP INS/OUTS, at most a page of data. */
static void vcpu_port(struct vcpu *vcpu)
{
	struct machine *m = vcpu->machine;
	struct kvm_run *run = vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	unsigned int size = run->io.size;
	bool known = true;

	machine_lock(m);
	for (uint32_t i = 0; i < run->io.count; i++, data += size) {
		if (run->io.direction == KVM_EXIT_IO_IN)
			known = iobus_read(&m->pio, run->io.port, data, size);
		else
			known = iobus_write(&m->pio, run->io.port, data, size);
		m->unknown_io += !known;
	}
	machine_unlock(m);
}

static void vcpu_mmio(struct vcpu *vcpu)
{
	struct machine *m = vcpu->machine;
	struct kvm_run *run = vcpu->run;
	bool known;

	machine_lock(m);
	if (run->mmio.is_write)
		known = iobus_write(&m->mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
	else
		known = iobus_read(&m->mmio, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
	m->unknown_io += !known;
	machine_unlock(m);
}

static void vcpu_eoi(struct vcpu *vcpu)
{
	machine_lock(vcpu->machine);
	ioapic_eoi(&vcpu->machine->ioapic, vcpu->run->eoi.vector);
	machine_unlock(vcpu->machine);
}

static void vcpu_system_event(struct vcpu *vcpu)
{
	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN: vcpu_end(vcpu, VMM_END_POWEROFF); break;
	case KVM_SYSTEM_EVENT_RESET: vcpu_end(vcpu, VMM_END_RESET); break;
	case KVM_SYSTEM_EVENT_CRASH: vcpu_end(vcpu, VMM_END_PANIC); break;
	case CC_SYSTEM_EVENT_SEV_TERM:
		vcpu_fail(vcpu, VMM_END_PANIC, "the guest asks to be ended (SEV)");
		break;
	case CC_SYSTEM_EVENT_TDX_FATAL:
		vcpu_fail(vcpu, VMM_END_PANIC, "the guest tells of a fatal error (TDX)");
		break;
	default: vcpu_fail(vcpu, VMM_END_KVM_ERROR, "unknown system event");
	}
}

void vcpu_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO: vcpu_port(vcpu); return;
	case KVM_EXIT_MMIO: vcpu_mmio(vcpu); return;
	case KVM_EXIT_IOAPIC_EOI: vcpu_eoi(vcpu); return;
	case KVM_EXIT_SYSTEM_EVENT: vcpu_system_event(vcpu); return;
	case KVM_EXIT_HYPERCALL: private_hypercall(vcpu); return;
	/* A trust domain asks for a quote, or more: KVM has put "not supported" there for who has no answer. */
	case CC_EXIT_TDX: return;
	case KVM_EXIT_SHUTDOWN:
		vcpu_fail(vcpu, VMM_END_TRIPLE_FAULT, "triple fault, by which it resets itself");
		return;
	case KVM_EXIT_INTERNAL_ERROR:
		vcpu_fail(vcpu, VMM_END_KVM_ERROR, "KVM internal error");
		return;
	case KVM_EXIT_FAIL_ENTRY:
		vcpu_fail(vcpu, VMM_END_KVM_ERROR, "KVM could not enter the guest");
		return;
	default: vcpu_fail(vcpu, VMM_END_KVM_ERROR, "unexpected VM exit");
	}
}

/* Waits while the machine is not running. False when it has ended. */
static bool vcpu_park(struct vcpu *vcpu)
{
	struct machine *m = vcpu->machine;
	bool run;

	machine_lock(m);
	vcpu->parked = true;
	pthread_cond_broadcast(&m->parked);
	while (m->state == VMM_READY || m->state == VMM_PAUSED)
		pthread_cond_wait(&m->changed, &m->lock);
	run = m->state == VMM_RUNNING;
	if (run) {
		vcpu->parked = false;
		vcpu->run->immediate_exit = 0;
	}
	machine_unlock(m);
	return run;
}

/* Runs the guest until its next exit. 0 or a negative errno. */
static int vcpu_run(struct vcpu *vcpu)
{
	/* An error leaves the exit of before there, unless it is the one error that is an exit itself. */
	vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
	/* #syscall vmm: ioctl(arg1 = KVM_RUN) - runs the guest */
	return ioctl(vcpu->fd, KVM_RUN, 0) < 0 ? -errno : 0;
}

/* Whether KVM_RUN's error is an exit. Handled then: the guest is run again, or the VM has ended. */
static bool vcpu_exit_by_error(struct vcpu *vcpu, int error)
{
	if ((error != -EFAULT && error != -EHWPOISON) ||
	    vcpu->run->exit_reason != CC_EXIT_MEMORY_FAULT)
		return false;
	private_fault(vcpu, error);
	return true;
}

static void *vcpu_main(void *argument)
{
	struct vcpu *vcpu = argument;

	while (vcpu_park(vcpu)) {
		unsigned int again = 0;
		int error = 0;

		/* EAGAIN: a processor took its INIT or SIPI. Forever is none of the guest's events. */
		while (!error || (error == -EAGAIN && again++ < VCPU_AGAIN_MAX)) {
			error = vcpu_run(vcpu);
			if (error && !vcpu_exit_by_error(vcpu, error))
				continue;
			again = 0;
			atomic_fetch_add_explicit(&vcpu->exits, 1, memory_order_relaxed);
			if (!error) {
				vcpu->faults = 0;
				vcpu_exit(vcpu);
			}
			error = 0;
		}
		if (error == -EINTR)
			continue;
		machine_log(vcpu->machine, "vCPU %u: KVM_RUN: %s", vcpu->index, strerror(-error));
		vcpu_fail(vcpu, VMM_END_KVM_ERROR, "KVM_RUN failed");
	}
	return NULL;
}

void vm_state_set(struct machine *m, enum vmm_state state)
{
	if (m->state != VMM_ENDED) /* the end is final */
		m->state = state;
	if (m->watch_state)
		m->watch_state(m->watch_self, m->state);
	pthread_cond_broadcast(&m->changed);
	if (state == VMM_RUNNING)
		return;
	for (unsigned int i = 0; i < m->vcpu_count; i++)
		if (m->vcpus[i].started && !m->vcpus[i].parked)
			vcpu_kick(&m->vcpus[i]);
	for (unsigned int i = 0; i < m->vcpu_count; i++)
		while (m->vcpus[i].started && !m->vcpus[i].parked)
			pthread_cond_wait(&m->parked, &m->lock);
}

uint64_t vcpus_exits(const struct machine *m)
{
	uint64_t exits = 0;

	for (unsigned int i = 0; i < m->vcpu_count; i++)
		exits += atomic_load_explicit(&m->vcpus[i].exits, memory_order_relaxed);
	return exits;
}

static int vcpu_create(struct machine *m, unsigned int index, size_t run_size)
{
	struct vcpu *vcpu = &m->vcpus[index];

	*vcpu = (struct vcpu){.machine = m, .index = index, .run_size = run_size};
	vcpu->fd = ioctl(m->vm, KVM_CREATE_VCPU, index);
	if (vcpu->fd < 0)
		return -errno;
	m->vcpu_count++;
	vcpu->run = mmap(NULL, run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		vcpu->run = NULL;
		return -errno;
	}
	return 0;
}

int vcpus_create(struct machine *m, unsigned int count, const struct vcpu_start *start, char *why)
{
	int run_size = ioctl(m->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	int error;

	if (run_size < (int)sizeof(struct kvm_run))
		return why_set(why, -ENOTSUP, "KVM's run area is %d bytes", run_size);
	m->vcpus = calloc(count, sizeof(*m->vcpus));
	if (!m->vcpus)
		return why_set(why, -ENOMEM, "no memory for %u vCPUs", count);
	for (unsigned int i = 0; i < count; i++) {
		error = vcpu_create(m, i, (size_t)run_size);
		if (error)
			return why_set(why, error, "KVM cannot make vCPU %u: %s", i,
			               strerror(-error));
		error = vcpu_state_set(m, m->vcpus[i].fd, i, count, start, why);
		if (error)
			return error;
	}
	return 0;
}

int vcpus_launch(struct machine *m, char *why)
{
	struct sigaction action = {.sa_handler = vcpu_kicked};
	pthread_attr_t attributes;
	int error = 0;

	sigaction(VCPU_KICK, &action, NULL);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, VM_VCPU_STACK);
	for (unsigned int i = 0; i < m->vcpu_count && !error; i++) {
		error = pthread_create(&m->vcpus[i].thread, &attributes, vcpu_main, &m->vcpus[i]);
		m->vcpus[i].started = error == 0;
	}
	pthread_attr_destroy(&attributes);
	/* A thread's start makes system calls that the seccomp list, which comes next, does not know. */
	machine_lock(m);
	vm_state_set(m, m->state);
	machine_unlock(m);
	return error ? why_set(why, -error, "no thread for a vCPU: %s", strerror(error)) : 0;
}

/* #syscall vmm: madvise - glibc gives the stack of a thread that ends back */
void vcpus_destroy(struct machine *m)
{
	machine_lock(m);
	vm_state_set(m, VMM_ENDED);
	machine_unlock(m);
	for (unsigned int i = 0; i < m->vcpu_count; i++) {
		struct vcpu *vcpu = &m->vcpus[i];

		if (vcpu->started)
			pthread_join(vcpu->thread, NULL);
		if (vcpu->run)
			munmap(vcpu->run, vcpu->run_size);
		base_close(&vcpu->fd);
	}
	free(m->vcpus);
	m->vcpus = NULL;
	m->vcpu_count = 0;
}
