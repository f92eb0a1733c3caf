/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cpu: the bare machine under the hostile guest: ports, MMIO, text on the serial port, time, interrupts,
 * a second processor, and the end. No C library, no firmware.
 */
#ifndef HOSTILE_CPU_H
#define HOSTILE_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MIN(a, b)    ((a) < (b) ? (a) : (b))

enum {
	PAGE = 4096,
	SERIAL = 0x3f8,
	POWER = 0x600, /* ACPI's sleep control: S5 is 5 */
	VECTOR_FIRST =
	        0x40, /* interrupts from here are counted; below are exceptions and the IPI */
	VECTOR_WAKE = 0x3f,
};

/* The guest-physical map, as the VMM lays it out. */
#define ECAM_BASE   0xe0000000ul
#define ECAM_SIZE   0x00100000ul
#define MMIO_BASE   0xe8000000ul
#define MMIO_SIZE   0x10000000ul
#define IOAPIC_BASE 0xfec00000ul
#define LAPIC_BASE  0xfee00000ul

static inline uint8_t port_read8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint16_t port_read16(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline uint32_t port_read32(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void port_write8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void port_write16(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline void port_write32(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

/* One instruction of this width at this address, whatever its alignment. `size` is 1, 2, 4 or 8. */
uint64_t mmio_read(uint64_t address, unsigned int size);
void mmio_write(uint64_t address, uint64_t value, unsigned int size);
uint64_t all_ones(unsigned int size);

void memory_fill(void *at, uint8_t byte, size_t size);
void memory_copy(void *to, const void *from, size_t size);
bool memory_same(const void *a, const void *b, size_t size);
bool text_same(const char *a, const char *b);

/* Whole pages, zero, that nobody gives back. */
void *memory_pages(size_t size);
uint64_t memory_end(void); /* the first byte behind RAM */
/* Where the 2 MiB of physical memory around any address can be seen. */
uint64_t memory_window(uint64_t physical);

/* %s %c %u %x %lu %lx and no widths. why() gives text in one static place: a reason to fail. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
const char *why(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool serial_typed(void); /* has anybody typed? takes the byte */

/* The value of NAME=value on the command line into text[size]; false: not there. */
bool option(const char *name, char *text, size_t size);

void cpu_init(void);
uint64_t time_ms(void);
void pause_ms(unsigned int ms);
/* Sleeps until an interrupt comes, or a millisecond has passed: a busy host has its processor meanwhile. */
void relax(void);
static inline void barrier(void)
{
	__asm__ volatile("mfence" : : : "memory");
}

/* How often a vector at VECTOR_FIRST or above was taken. */
uint32_t interrupts_of(uint8_t vector);

/* Reads an MSR; false: #GP. */
bool msr_read(uint32_t number, uint64_t *value);
bool msr_write(uint32_t number, uint64_t value);

/* Runs `work` on the second processor until cpu_second_stop(); false: there is none. */
bool cpu_second_run(void (*work)(void *argument), void *argument);
void cpu_second_stop(void); /* sets what cpu_second_stopping() says, and waits */
bool cpu_second_stopping(void);

void power_off(void) __attribute__((noreturn));

#endif
