/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm: the inside of the machine, for the files that make it up (memory.c, vm.c, machine.c, loop.c,
 * vcpu.c, control.c, main.c). What is plugged into the machine sees machine.h only.
 */
#ifndef CORDON_VMM_VM_H
#define CORDON_VMM_VM_H

#include <linux/kvm.h>
#include <stdatomic.h>

#include "confidential/confidential.h"
#include "vmm/cpuid.h"
#include "vmm/ioapic.h"
#include "vmm/iobus.h"
#include "vmm/machine.h"
#include "vmm/private.h"
#include "vmm/vmm.h"
#include "base/why.h"

enum {
	VM_ROUTES_MAX = MACHINE_GSI_PINS + 256, /* pins, then MSI-X vectors */
	VM_WATCHES_MAX = 64,
	VM_NAME_MAX = 32,
	VM_VCPU_STACK = 64 * 1024,
	VM_NODES_MAX = 1024,   /* as many as Linux can be built for */
	VM_ROM_MAX = 16 << 20, /* KVM's own pages are below */
};

struct vm_route {
	bool taken, live;
	uint32_t data;
	uint64_t address;
};

struct vm_watch {
	int fd; /* -1: free */
	uint32_t generation;
	machine_ready_fn ready;
	void *self;
};

struct vcpu {
	struct machine *machine;
	unsigned int index;
	int fd;
	struct kvm_run *run;
	size_t run_size;
	pthread_t thread;
	bool started;        /* the thread exists */
	bool parked;         /* outside KVM_RUN, waiting for the state to change; under the lock */
	unsigned int faults; /* on private memory, one after the other, that nothing came of */
	_Atomic uint64_t exits;
};

struct measured;

struct machine {
	char name[VM_NAME_MAX];
	int kvm, vm, memfd; /* kvm and memfd belong to the caller */
	struct machine_region regions[2];
	size_t region_count;
	struct machine_region rom;     /* of a guest that starts from firmware; a size of 0: none */
	int node;                      /* set before vm_memory_map(): NUMA node, or -1 */
	struct cpuid_model cpu;        /* set before vm_create(); all zero: the host's */
	struct cpuid_table *cpuid;     /* as built for this VM */
	struct private_memory private; /* its `type` set before vm_create() */
	struct measured *measured;     /* up to its launch; else NULL (measured.h) */

	pthread_mutex_t lock;
	pthread_cond_t changed; /* state changed: for parked vCPUs */
	pthread_cond_t parked;  /* a vCPU parked: for who changed the state */
	enum vmm_state state;
	enum vmm_end end; /* of an ended machine; of a paused one, what paused it */
	/* Told of every change of the state, lock held; or NULL. */
	void (*watch_state)(void *self, enum vmm_state state);
	void *watch_self;

	struct iobus pio, mmio;
	uint64_t unknown_io;
	uint64_t panics; /* that the guest has told of */
	struct ioapic ioapic;
	struct vm_route routes[VM_ROUTES_MAX];
	struct kvm_irq_routing *table; /* scratch for KVM_SET_GSI_ROUTING */

	int epoll, wake;
	struct vm_watch watches[VM_WATCHES_MAX];

	struct vcpu *vcpus;
	unsigned int vcpu_count;
};

/*
 * memory.c: maps the memfd, which has to be sealed against shrinking and growing, and lays it out.
 * 0 or a negative errno with `why`. The memfd stays the caller's.
 */
int vm_memory_map(struct machine *m, int memfd, uint64_t size, char *why);
void vm_memory_unmap(struct machine *m);
/*
 * Room for `size` bytes of firmware, in whole pages, that end at 4 GiB: memory that no device is told of. Behind
 * vm_memory_map(); undone with it.
 */
int vm_rom_map(struct machine *m, uint64_t size, char *why);

/* vm.c: a KVM VM around the mapped memory, with its I/O APIC. Undone by vm_destroy(). */
void vm_init(struct machine *m, const char *name);
int vm_create(struct machine *m, int kvm, char *why);
void vm_destroy(struct machine *m);

/* loop.c: runs until the machine has ended; the caller does not hold the lock. */
int loop_create(struct machine *m);
void loop_destroy(struct machine *m);
int loop_run(struct machine *m);
void loop_wake(struct machine *m);

/* vcpu.c: how a vCPU starts. Those other than the first wait for INIT and SIPI. */
struct vcpu_start {
	bool real_mode; /* the reset state with CS:IP = 0:rip, for small test guests */
	bool long_mode; /* else 32-bit protected mode, no paging */
	uint64_t rip, rbx, rsi;
	uint64_t cr3, gdt;
	bool native; /* none of these: all registers are in the context, as an IGVM file has it */
	uint8_t context[LAUNCH_NATIVE_CONTEXT];
};
/* A `start` of NULL: the launch gives the vCPUs their registers (measured.h). */
int vcpus_create(struct machine *m, unsigned int count, const struct vcpu_start *start, char *why);
int vcpus_launch(struct machine *m, char *why); /* threads, parked until the state is RUNNING */
void vcpus_destroy(struct machine *m);
/* Lock held: changes the state and waits until every vCPU has seen it. */
void vm_state_set(struct machine *m, enum vmm_state state);
/* Lock held: no vCPU enters the guest again; one that is in it leaves at its next exit or kick. */
void vcpus_leave(struct machine *m);
uint64_t vcpus_exits(const struct machine *m);
/* Does what run->exit_reason asks, in the vCPU's thread; public for tests, which make up their own. */
void vcpu_exit(struct vcpu *vcpu);

/* vcpu_report.c: the exit, registers and code of a vCPU that cannot go on, in the log. */
void vcpu_report(const struct vcpu *vcpu, const char *what);

/* machine.c: pauses a running machine for `cause`; from any thread, lock held. The loop sees to the rest. */
void machine_pause(struct machine *m, enum vmm_end cause);

#endif
