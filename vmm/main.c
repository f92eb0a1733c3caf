// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cordon-vmm: one VM. In order: options, guest memory, KVM VM, serial port and power registers, PCI and
 * its devices (each a vhost-user back end in another process), kernel and tables or firmware, vCPUs, seccomp list,
 * and then the event loop. The vCPUs' threads wait there for VMM_START; nothing that the guest wrote
 * has been read before the list is in force.
 */
#include <errno.h>

#include "base/base.h"
#include "isolate/isolate.h"
#include "vmm/board.h"
#include "vmm/boot.h"
#include "vmm/console.h"
#include "vmm/control.h"
#include "vmm/firmware.h"
#include "vmm/list_vmm.h"
#include "vmm/options.h"
#include "vmm/virtio_pci.h"

struct vmm {
	struct machine machine;
	struct console console;
	struct board board;
	struct control control;
	struct pci_bus *pci;
	struct firmware firmware; /* of a guest that has m->rom */
};

/* Another back end for a device, or the word that there is none. */
static int vmm_device(void *self, const char *name, int vhost_fd)
{
	struct vmm *vmm = self;
	int fd BASE_AUTO_FD = vhost_fd;
	struct virtio_device *device = virtio_pci_find(vmm->pci, name);

	if (!device)
		return -ENOENT;
	if (fd >= 0)
		return virtio_device_replace(device, base_take_fd(&fd));
	virtio_device_give_up(device);
	return 0;
}

static int vmm_devices(struct vmm *vmm, const struct options *options,
                       const struct boot_source *source, char *why)
{
	const struct console_fds fds = {.listener = options->console,
	                                .log = options->serial_log,
	                                .old = options->serial_old,
	                                .stdio = options->stdio};
	struct machine *m = &vmm->machine;
	int error = console_create(&vmm->console, m, &fds);

	if (error)
		return why_set(why, error, "no serial port: %s", strerror(-error));
	error = board_create(&vmm->board, m, &options->board);
	if (error)
		return why_set(why, error, "no power registers or watchdog: %s", strerror(-error));
	error = control_create(&vmm->control, m, &vmm->board.power, options->control);
	vmm->control.device = vmm_device;
	vmm->control.device_self = vmm;
	if (!error)
		error = pci_bus_create(m, &vmm->pci);
	if (error)
		return why_set(why, error, "no PCI bus or control socket: %s", strerror(-error));
	if (m->rom.size > 0)
		error = firmware_create(&vmm->firmware, m, vmm->pci, source, options->vcpus, why);
	if (error)
		return error;
	for (unsigned int i = 0; i < options->device_count; i++) {
		const struct options_device *device = &options->devices[i];

		error = virtio_device_add(m, vmm->pci, device->type, device->fd, device->options);
		if (error)
			return why_set(why, error, "device %u (%s, fd %d): %s", i, device->type,
			               device->fd, strerror(-error));
	}
	return 0;
}

/* They are in guest memory now, and the guest has nothing to look for in the files. */
static void vmm_close_files(const struct options *options)
{
	const int files[] = {options->kernel,          options->initrd,
	                     options->firmware,        options->measured.firmware,
	                     options->measured.sev,    options->measured.id_block,
	                     options->measured.id_auth};

	for (size_t i = 0; i < BASE_COUNT(files); i++)
		if (files[i] > STDERR_FILENO)
			close(files[i]);
}

/* Everything up to the state READY. */
static int vmm_build(struct vmm *vmm, const struct options *options, char *why)
{
	const struct boot_source source = {
	        .kernel = options->kernel,
	        .initrd = options->initrd,
	        .cmdline = options->cmdline,
	        .watchdog = options->board.watchdog != VMM_ACTION_NONE,
	};
	const bool measured = options->measured.given;
	struct machine *m = &vmm->machine;
	struct vcpu_start start;
	bool loads;
	int error = vm_memory_map(m, options->memfd, options->memory, why);

	if (!error && measured)
		error = measured_open(m, &options->measured, options->vcpus, options->cmdline, why);
	if (!error && options->firmware >= 0)
		error = firmware_load(m, options->firmware, why);
	if (!error && measured && m->rom.size == 0 && (source.kernel >= 0 || source.initrd >= 0))
		error = why_set(why, -EINVAL,
		                "there is a kernel or an initrd beside an IGVM file, which has its "
		                "own");
	if (!error)
		error = vm_create(m, options->kvm, why);
	if (!error)
		error = vmm_devices(vmm, options, &source, why);
	loads = !measured && m->rom.size == 0; /* else it begins as a processor does */
	if (!error && loads)
		error = boot_prepare(m, &source, options->vcpus, &start, why);
	if (!error)
		error = vcpus_create(m, options->vcpus, loads ? &start : NULL, why);
	if (!error && measured)
		error = measured_launch(m, why);
	vmm_close_files(options);
	if (!error)
		error = vcpus_launch(m, why);
	if (error)
		return error;
	/* The VM and its vCPUs have fds of their own: no other VM can be made here any more. */
	close(options->kvm);
	m->kvm = -1;
	if (options->sandbox)
		error = isolate_lock(&list_vmm);
	return error ? why_set(why, error, "the seccomp list is refused: %s", strerror(-error)) : 0;
}

/* Why it ended and what it counted: to the log for a person, to the file for who cleans up. */
static void vmm_say_end(struct vmm *vmm, int last)
{
	const struct vmm_message state = control_state(&vmm->control);

	machine_log(&vmm->machine, "ended: %s; %llu exits, %llu accesses that nothing answers",
	            vmm_end_text(state.end), (unsigned long long)state.exits,
	            (unsigned long long)state.unknown_io);
	if (vmm->machine.private.map_fd >= 0)
		machine_log(&vmm->machine,
		            "%llu requests to convert pages, of which %llu were refused",
		            (unsigned long long)vmm->machine.private.requests,
		            (unsigned long long)vmm->machine.private.refused);
	if (last >= 0 && base_write_all(last, &state, sizeof(state)) < 0)
		machine_log(&vmm->machine, "the last counters cannot be kept: %s", strerror(errno));
}

static int vmm_run(struct vmm *vmm, const struct options *options)
{
	struct machine *m = &vmm->machine;
	int error;

	if (options->control < 0) {
		machine_lock(m);
		vm_state_set(m, VMM_RUNNING);
		machine_unlock(m);
	}
	error = loop_run(m);
	machine_lock(m);
	vm_state_set(m, VMM_ENDED);
	if (error)
		machine_log(m, "the event loop failed: %s", strerror(-error));
	console_flush(&vmm->console);
	control_announce(&vmm->control);
	vmm_say_end(vmm, options->last);
	machine_unlock(m);
	return error ? VMM_END_FAILED : (int)m->end;
}

int main(int argc, char *argv[])
{
	static struct vmm vmm; /* too large for the stack, and gone with the process */
	struct options options;
	char why[WHY_MAX] = "";
	int end = VMM_END_USAGE;

	if (options_parse(&options, argc, argv, why) < 0) {
		fprintf(stderr, "cordon-vmm: %s\n", why);
		return end;
	}
	vm_init(&vmm.machine, options.name);
	vmm.machine.cpu = options.cpu;
	vmm.machine.node = options.node;
	vmm.machine.private.type = options.private;
	if (vmm_build(&vmm, &options, why) < 0) {
		machine_log(&vmm.machine, "%s", why);
		return VMM_END_FAILED;
	}
	end = vmm_run(&vmm, &options);
	vm_destroy(&vmm.machine);
	firmware_destroy(&vmm.firmware);
	return end;
}
