/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text leaves by REP OUTSB, one exit a piece. Time is the TSC, with the scale that KVM's clock says
 * (Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW). Exceptions are the guest's own faults and
 * end it with their address, but for #GP in an access to an MSR, which is an answer.
 */
#include "tests/hostile/cpu.h"

#include <stdarg.h>

enum {
	TEXT_MAX = 256,
	TRAMPOLINE = 0x8000,
	POOL_SIZE = 10 << 20,
	MSR_APIC_BASE = 0x1b,
	MSR_X2APIC_EOI = 0x80b,
	MSR_X2APIC_SPURIOUS = 0x80f,
	MSR_X2APIC_COMMAND = 0x830,
	MSR_X2APIC_TIMER = 0x832,
	MSR_X2APIC_TIMER_START = 0x838,
	TIMER_PERIODIC = 1 << 17,
	TIMER_MS = 500000, /* KVM's APIC runs at 1 GHz, divided by two unless told otherwise */
	MSR_KVM_CLOCK = 0x4b564d01,
	EXCEPTION_GP = 13,
	COMMAND_INIT = 0x4500,
	COMMAND_START = 0x4600,
	COMMAND_FIXED = 0x4000,
	APIC_X2_ENABLE = 0xc00, /* both enable bits */
};

struct start_information { /* hvm_start_info, version 1 */
	uint32_t magic, version, flags, modules;
	uint64_t module_list, cmdline, rsdp, map;
	uint32_t map_entries, reserved;
};
struct map_entry {
	uint64_t base, size;
	uint32_t type, reserved;
};
struct kvm_clock {
	uint32_t version, pad;
	uint64_t tsc, time;
	uint32_t multiplier;
	int8_t shift;
	uint8_t flags, more[2];
};
struct frame {
	uint64_t r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax;
	uint64_t vector, error, rip, cs, rflags, rsp, ss;
};
struct gate {
	uint16_t low, selector, kind, middle;
	uint32_t high, reserved;
};

extern uint64_t start_info, page_directories[];
extern const uint8_t trampoline[], trampoline_end[], interrupt_stubs[];

static struct gate gates[256];
static volatile uint32_t counts[256];
static volatile struct kvm_clock kvm_clock __attribute__((aligned(64)));
static uint8_t pool[POOL_SIZE] __attribute__((aligned(4096)));
static size_t pool_used;
static uint64_t end_of_memory;
static uint64_t msr_resume; /* where a #GP of msr_read() or msr_write() goes on */
static volatile bool msr_failed;

static void (*volatile second_work)(void *argument);
static void *volatile second_argument;
static volatile bool second_here, second_stop, second_busy;

void cpu_interrupt(struct frame *frame);
void cpu_second_main(void);

/* ---- memory ---- */

uint64_t all_ones(unsigned int size)
{
	return ~0ul >> (64 - 8 * size);
}

uint64_t mmio_read(uint64_t address, unsigned int size)
{
	uint64_t value = 0;

	switch (size) {
	case 1: __asm__ volatile("movb (%1), %b0" : "+a"(value) : "r"(address) : "memory"); break;
	case 2: __asm__ volatile("movw (%1), %w0" : "+a"(value) : "r"(address) : "memory"); break;
	case 4: __asm__ volatile("movl (%1), %k0" : "+a"(value) : "r"(address) : "memory"); break;
	default: __asm__ volatile("movq (%1), %0" : "+a"(value) : "r"(address) : "memory"); break;
	}
	return value;
}

void mmio_write(uint64_t address, uint64_t value, unsigned int size)
{
	switch (size) {
	case 1: __asm__ volatile("movb %b0, (%1)" : : "a"(value), "r"(address) : "memory"); break;
	case 2: __asm__ volatile("movw %w0, (%1)" : : "a"(value), "r"(address) : "memory"); break;
	case 4: __asm__ volatile("movl %k0, (%1)" : : "a"(value), "r"(address) : "memory"); break;
	default: __asm__ volatile("movq %0, (%1)" : : "a"(value), "r"(address) : "memory"); break;
	}
}

void memory_fill(void *at, uint8_t byte, size_t size)
{
	__asm__ volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(byte) : "memory");
}

void memory_copy(void *to, const void *from, size_t size)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

bool memory_same(const void *a, const void *b, size_t size)
{
	const volatile uint8_t *x = a, *y = b;

	for (size_t i = 0; i < size; i++)
		if (x[i] != y[i])
			return false;
	return true;
}

bool text_same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

void *memory_pages(size_t size)
{
	void *at = pool + pool_used;

	size = (size + PAGE - 1) & ~(size_t)(PAGE - 1);
	if (size > POOL_SIZE - pool_used) {
		say("hostile: the guest's own memory is used up\n");
		power_off();
	}
	pool_used += size;
	return at;
}

uint64_t memory_end(void)
{
	return end_of_memory;
}

/* Once: what the loader left may be written over by then. */
static uint64_t memory_end_read(void)
{
	const struct start_information *info = (const void *)start_info;
	const struct map_entry *map = (const void *)info->map;
	uint64_t end = 0;

	for (uint32_t i = 0; i < info->map_entries; i++)
		if (map[i].type == 1 && map[i].base + map[i].size <= ECAM_BASE)
			end = map[i].base + map[i].size;
	return end;
}

uint64_t memory_window(uint64_t physical)
{
	const uint64_t window = 1ul << 32, large = 2ul << 20;

	page_directories[4 * 512] = (physical & ~(large - 1)) | 0x83;
	__asm__ volatile("invlpg (%0)" : : "r"(window) : "memory");
	return window + (physical & (large - 1));
}

/* ---- text ---- */

static size_t put_number(char *at, uint64_t value, unsigned int base)
{
	char digits[20];
	size_t n = 0;

	do {
		digits[n++] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value > 0);
	for (size_t i = 0; i < n; i++)
		at[i] = digits[n - 1 - i];
	return n;
}

/* Into text[TEXT_MAX]; what does not fit is cut. Returns the length. */
static size_t format_text(char *text, const char *format, va_list list)
{
	size_t n = 0;

	for (; *format && n < TEXT_MAX - 24; format++) {
		bool wide = false;

		if (*format != '%') {
			text[n++] = *format;
			continue;
		}
		format++;
		if (*format == 'l') {
			wide = true;
			format++;
		}
		if (*format == 's') {
			for (const char *s = va_arg(list, const char *); *s && n < TEXT_MAX - 24;
			     s++)
				text[n++] = *s;
		} else if (*format == 'c') {
			text[n++] = (char)va_arg(list, int);
		} else {
			uint64_t value = wide ? va_arg(list, uint64_t) : va_arg(list, unsigned int);

			n += put_number(text + n, value, *format == 'x' ? 16 : 10);
		}
	}
	text[n] = 0;
	return n;
}

void say(const char *format, ...)
{
	char text[TEXT_MAX];
	const char *at = text;
	va_list list;
	size_t n;

	va_start(list, format);
	n = format_text(text, format, list);
	va_end(list);
	__asm__ volatile("rep outsb" : "+S"(at), "+c"(n) : "d"(SERIAL) : "memory");
}

const char *why(const char *format, ...)
{
	static char text[2][TEXT_MAX]; /* a reason may hold another */
	static unsigned int turn;
	va_list list;

	turn ^= 1;
	va_start(list, format);
	format_text(text[turn], format, list);
	va_end(list);
	return text[turn];
}

bool serial_typed(void)
{
	if (!(port_read8(SERIAL + 5) & 1))
		return false;
	(void)port_read8(SERIAL);
	return true;
}

bool option(const char *name, char *text, size_t size)
{
	const struct start_information *info = (const void *)start_info;
	const char *at = (const void *)info->cmdline;

	while (*at) {
		const char *n = name;
		size_t length = 0;

		while (*at == ' ')
			at++;
		while (*n && *n == *at)
			n++, at++;
		if (!*n && *at == '=') {
			for (at++; *at && *at != ' ' && length < size - 1; at++)
				text[length++] = *at;
			text[length] = 0;
			return true;
		}
		while (*at && *at != ' ')
			at++;
	}
	return false;
}

/* ---- time ---- */

static uint64_t tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

uint64_t time_ms(void)
{
	uint64_t ticks = tsc();

	if (kvm_clock.multiplier == 0)
		return ticks / 1000000; /* as if it were 1 GHz */
	ticks = kvm_clock.shift < 0 ? ticks >> -kvm_clock.shift : ticks << kvm_clock.shift;
	return (uint64_t)((unsigned __int128)ticks * kvm_clock.multiplier >> 32) / 1000000;
}

void relax(void)
{
	__asm__ volatile("sti; hlt" : : : "memory");
}

void pause_ms(unsigned int ms)
{
	uint64_t end = time_ms() + ms;

	while (time_ms() < end)
		relax();
}

/* ---- interrupts ---- */

bool msr_read(uint32_t number, uint64_t *value)
{
	uint32_t low = 0, high = 0;

	msr_failed = false;
	__asm__ volatile("movq $1f, %2\n\trdmsr\n1:\tmovq $0, %2"
	                 : "+a"(low), "+d"(high), "=m"(msr_resume)
	                 : "c"(number)
	                 : "memory");
	*value = (uint64_t)high << 32 | low;
	return !msr_failed;
}

bool msr_write(uint32_t number, uint64_t value)
{
	msr_failed = false;
	__asm__ volatile("movq $1f, %0\n\twrmsr\n1:\tmovq $0, %0"
	                 : "=m"(msr_resume)
	                 : "c"(number), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
	                 : "memory");
	return !msr_failed;
}

void cpu_interrupt(struct frame *frame)
{
	if (frame->vector == EXCEPTION_GP && msr_resume != 0) {
		msr_failed = true;
		frame->rip = msr_resume;
		return;
	}
	if (frame->vector < 32) {
		uint64_t address;

		__asm__ volatile("mov %%cr2, %0" : "=r"(address));
		say("hostile: exception %lu error %lx rip %lx cr2 %lx\n", frame->vector,
		    frame->error, frame->rip, address);
		power_off();
	}
	counts[frame->vector]++;
	__asm__ volatile("wrmsr" : : "c"(MSR_X2APIC_EOI), "a"(0), "d"(0));
}

uint32_t interrupts_of(uint8_t vector)
{
	return counts[vector];
}

static void interrupts_init(void)
{
	const struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) table = {sizeof(gates) - 1, (uint64_t)gates};
	uint64_t base;

	for (unsigned int i = 0; i < 256; i++) {
		uint64_t at = (uint64_t)interrupt_stubs + i * 16;

		gates[i] = (struct gate){.low = (uint16_t)at,
		                         .selector = 8,
		                         .kind = 0x8e00,
		                         .middle = (uint16_t)(at >> 16),
		                         .high = (uint32_t)(at >> 32)};
	}
	__asm__ volatile("lidt %0" : : "m"(table));
	if (msr_read(MSR_APIC_BASE, &base))
		msr_write(MSR_APIC_BASE, base | APIC_X2_ENABLE);
	msr_write(MSR_X2APIC_SPURIOUS, 0x1ff);
	/* Periodic: an emulator of SVM may forget STI's shadow over an exit, and then HLT comes after its wake-up. */
	msr_write(MSR_X2APIC_TIMER, TIMER_PERIODIC | VECTOR_WAKE);
	msr_write(MSR_X2APIC_TIMER_START, TIMER_MS);
}

/* ---- the second processor ---- */

void cpu_second_main(void)
{
	interrupts_init();
	second_here = true;
	for (;;) {
		/* STI takes effect behind HLT's start: a wake-up between the two is not lost. */
		__asm__ volatile("cli");
		if (!second_busy) {
			__asm__ volatile("sti; hlt" : : : "memory");
			continue;
		}
		__asm__ volatile("sti");
		second_work(second_argument);
		second_busy = false;
	}
}

static void command(uint32_t destination, uint32_t value)
{
	msr_write(MSR_X2APIC_COMMAND, (uint64_t)destination << 32 | value);
}

static bool second_start(void)
{
	uint64_t end = time_ms() + 2000;

	memory_copy((void *)(uint64_t)TRAMPOLINE, trampoline,
	            (size_t)(trampoline_end - trampoline));
	command(1, COMMAND_INIT);
	pause_ms(10);
	for (unsigned int i = 0; i < 2 && !second_here; i++) {
		command(1, COMMAND_START | TRAMPOLINE >> 12);
		pause_ms(10);
	}
	while (!second_here && time_ms() < end)
		relax();
	return second_here;
}

bool cpu_second_run(void (*work)(void *argument), void *argument)
{
	if (!second_here && !second_start())
		return false;
	second_work = work;
	second_argument = argument;
	second_stop = false;
	second_busy = true;
	command(1, COMMAND_FIXED | VECTOR_WAKE);
	return true;
}

void cpu_second_stop(void)
{
	second_stop = true;
	while (second_busy)
		relax();
}

bool cpu_second_stopping(void)
{
	return second_stop;
}

/* ---- start and end ---- */

void cpu_init(void)
{
	end_of_memory = memory_end_read();
	interrupts_init();
	msr_write(MSR_KVM_CLOCK, (uint64_t)&kvm_clock | 1);
	__asm__ volatile("sti");
	pause_ms(1);
}

void power_off(void)
{
	for (;;) {
		port_write8(POWER, 5 << 2 | 1 << 5);
		__asm__ volatile("hlt");
	}
}
