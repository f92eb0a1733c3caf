// SPDX-License-Identifier: GPL-2.0-or-later
/* machine: the small calls of machine.h that need neither KVM nor the event loop. */
#include <errno.h>
#include <stdarg.h>

#include "base/base.h"
#include "vmm/vm.h"

static struct iobus *machine_bus(struct machine *m, enum machine_space space)
{
	return space == MACHINE_PIO ? &m->pio : &m->mmio;
}

int machine_io_add(struct machine *m, enum machine_space space, uint64_t base, uint64_t size,
                   const struct machine_io_ops *ops, void *self)
{
	return iobus_add(machine_bus(m, space), base, size, ops, self);
}

int machine_io_remove(struct machine *m, enum machine_space space, uint64_t base)
{
	return iobus_remove(machine_bus(m, space), base);
}

void machine_end(struct machine *m, unsigned int end)
{
	if (m->state == VMM_ENDED)
		return; /* the first cause is the one that is reported */
	m->state = VMM_ENDED;
	m->end = end;
	vcpus_leave(m);
	loop_wake(m);
}

void machine_reset(struct machine *m, const char *how)
{
	if (m->state != VMM_ENDED)
		machine_log(m, "the guest resets itself, by way of %s", how);
	machine_end(m, VMM_END_RESET);
}

void machine_pause(struct machine *m, enum vmm_end cause)
{
	if (m->state != VMM_RUNNING)
		return;
	m->state = VMM_PAUSED;
	m->end = cause;
	vcpus_leave(m);
	loop_wake(m);
}

void machine_log(struct machine *m, const char *format, ...)
{
	char line[320];
	va_list arguments;
	int length = snprintf(line, sizeof(line), "cordon-vmm %s: ", m->name);

	va_start(arguments, format);
	length += vsnprintf(line + length, sizeof(line) - (size_t)length - 1, format, arguments);
	va_end(arguments);
	length = BASE_MIN(length, (int)sizeof(line) - 2);
	line[length++] = '\n';
	base_write_all(STDERR_FILENO, line,
	               (size_t)length); /* a lost log line has no one to tell */
}

void machine_lock(struct machine *m)
{
	pthread_mutex_lock(&m->lock);
}

void machine_unlock(struct machine *m)
{
	pthread_mutex_unlock(&m->lock);
}
