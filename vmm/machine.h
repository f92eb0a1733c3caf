/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * machine: the seam inside the vmm between the machine (KVM, memory, vCPUs, boot: vm.c and friends)
 * and what is plugged into it (PCI, virtio-pci, vhost-user front ends). The event loop is the one
 * thread that touches device state; vCPU threads reach it through machine->lock only.
 */
#ifndef CORDON_VMM_MACHINE_H
#define CORDON_VMM_MACHINE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The guest-physical map. Low RAM ends where the PCI hole begins; the rest is above 4 GiB. */
#define MACHINE_LOW_RAM_MAX   0xc0000000ull /* 3 GiB: RAM below the hole */
#define MACHINE_ECAM_BASE     0xe0000000ull /* one bus: 1 MiB */
#define MACHINE_ECAM_SIZE     0x00100000ull
#define MACHINE_MMIO32_BASE   0xe8000000ull /* BARs, 32-bit window */
#define MACHINE_MMIO32_SIZE   0x10000000ull
#define MACHINE_IOAPIC_BASE   0xfec00000ull
#define MACHINE_LAPIC_BASE    0xfee00000ull
#define MACHINE_HIGH_RAM_BASE 0x100000000ull
#define MACHINE_GSI_PINS      24 /* IOAPIC pins: GSIs below this; MSI-X routes above */

/* A register file on a bus. `size` is 1, 2, 4 or 8; reads fill `data`, little-endian. */
struct machine_io_ops {
	void (*read)(void *self, uint64_t offset, void *data, unsigned int size);
	void (*write)(void *self, uint64_t offset, const void *data, unsigned int size);
};

enum machine_space { MACHINE_PIO, MACHINE_MMIO };

struct machine;

/* Ranges may not overlap: -EEXIST. Called with the lock held (BARs move while the guest runs). */
int machine_io_add(struct machine *m, enum machine_space space, uint64_t base, uint64_t size,
                   const struct machine_io_ops *ops, void *self);
int machine_io_remove(struct machine *m, enum machine_space space, uint64_t base);

/* Guest memory: [guest, guest + size) wholly inside one RAM region, or NULL. */
void *machine_memory(const struct machine *m, uint64_t guest, uint64_t size);

struct machine_region {               /* what a vhost-user front end puts into SET_MEM_TABLE */
	uint64_t guest, size, offset; /* offset in the memfd */
	void *host;
};
size_t machine_regions(const struct machine *m, struct machine_region list[2]);
int machine_memfd(const struct machine *m);

/*
 * Of a guest with private memory: the sealed file with a bit for each page that it shares (bit N of byte N/8
 * for page N of guest-physical memory), which others can map for reading only, and its size. -1: all of this
 * guest's memory is shared.
 */
int machine_shared_map(const struct machine *m, uint64_t *size);
/* Whether the guest shares all of [guest, guest + size) at this moment; outside memory there is nothing shared. */
bool machine_shared(const struct machine *m, uint64_t guest, uint64_t size);

/* Whether some or all of the guest's memory is hidden from its host, or could be (sw-protected). */
bool machine_hidden(const struct machine *m);

/*
 * MSI: a GSI (>= MACHINE_GSI_PINS) is one KVM routing entry. alloc gives one, set gives it an address
 * and data (KVM_SET_GSI_ROUTING), irqfd binds an eventfd to it; mask is unbinding.
 */
int machine_msi_alloc(struct machine *m);
int machine_msi_set(struct machine *m, int gsi, uint64_t address, uint32_t data);
int machine_irqfd(struct machine *m, int eventfd, int gsi, bool assign);

/* Doorbell: a write of `size` bytes (0: any) at `address` signals the eventfd, without an exit. */
int machine_ioeventfd(struct machine *m, uint64_t address, unsigned int size, int eventfd,
                      bool assign);

/* The event loop: `ready` runs in it, lock held, with epoll's events. */
typedef void (*machine_ready_fn)(void *self, uint32_t events);
int machine_watch(struct machine *m, int fd, uint32_t events, machine_ready_fn ready, void *self);
int machine_unwatch(struct machine *m, int fd);

/* Ends the VM with an enum vmm_end; from any thread, lock held. */
void machine_end(struct machine *m, unsigned int end);
/* The same with VMM_END_RESET, and a line in the log: the guest resets itself by way of `how`. */
void machine_reset(struct machine *m, const char *how);

/* One line to the operator's log (stderr), with the VM's name; never guest bytes unescaped. */
void machine_log(struct machine *m, const char *format, ...) __attribute__((format(printf, 2, 3)));

void machine_lock(struct machine *m);
void machine_unlock(struct machine *m);

/*
 * pci.c: the bus. One host bridge at 00:00.0, devices from 00:01.0. Config space by ECAM and CF8/CFC;
 * memory BARs (64-bit capable ones sit in the 32-bit window too), sized and moved as the spec says; no INTx.
 */
struct pci_bus;
int pci_bus_create(struct machine *m, struct pci_bus **bus);
void pci_bus_destroy(struct pci_bus *bus);

/*
 * virtio_pci.c + vhost_front.c: one virtio device whose back end is at the other end of `vhost_fd`
 * (owned by the callee from here on). `type` is one of virtio_type.c's; `options` the key=value text after
 * the fd on the command line, or "". Does the vhost-user handshake before it returns.
 */
int virtio_device_add(struct machine *m, struct pci_bus *bus, const char *type, int vhost_fd,
                      const char *options);

#endif
