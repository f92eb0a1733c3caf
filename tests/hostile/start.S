/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the hostile guest begins. The loader enters start32 in 32-bit protected mode with paging off and
 * EBX = hvm_start_info (Xen's docs/misc/pvh.pandoc). The first 4 GiB are mapped one to one, in 2 MiB pages;
 * one more page at 4 GiB is a window that C code points at any physical address. A second processor comes
 * through the trampoline, which C code copies below 1 MiB.
 */
	.section .note.Xen, "a", @note
	.align 4
	.long 4, 4, 18 /* name's size, value's size, XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long start32

	.section .bss, "aw", @nobits
	.align 4096
pml4:
	.skip 4096
pdpt:
	.skip 4096
	.globl page_directories
page_directories: /* four for 4 GiB, and the window's */
	.skip 5 * 4096
stack:
	.skip 16384
stack_end:
ap_stack:
	.skip 16384
ap_stack_end:
	.globl start_info
start_info:
	.skip 8

	.data
	.align 8
gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* 0x08: 64-bit code */
	.quad 0x00cf93000000ffff /* 0x10: data */
	.quad 0x00cf9b000000ffff /* 0x18: 32-bit code */
gdt_end:
gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt

	.text
	.code32
	.globl start32
start32:
	cli
	cld
	mov %ebx, start_info
	mov $stack_end, %esp
	movl $pdpt + 3, pml4
	xor %ecx, %ecx
1:	mov %ecx, %eax
	shl $12, %eax
	add $page_directories + 3, %eax
	mov %eax, pdpt(, %ecx, 8)
	inc %ecx
	cmp $5, %ecx
	jne 1b
	xor %ecx, %ecx
2:	mov %ecx, %eax
	shl $21, %eax
	or $0x83, %eax
	mov %eax, page_directories(, %ecx, 8)
	inc %ecx
	cmp $2048, %ecx
	jne 2b
	lgdt gdt_pointer
	call long_mode
	ljmp $0x08, $start64

/* Data segments, PAE, the page tables, EFER.LME, paging; caches on, which INIT leaves off. */
long_mode:
	mov $0x10, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %cr4, %eax
	or $0x20, %eax
	mov %eax, %cr4
	mov $pml4, %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx
	rdmsr
	or $0x100, %eax
	wrmsr
	mov %cr0, %eax
	and $0x9fffffff, %eax
	or $0x80000001, %eax
	mov %eax, %cr0
	ret

ap_start32:
	mov $0x10, %eax
	mov %eax, %ss
	mov $ap_stack_end, %esp
	call long_mode
	ljmp $0x08, $ap_start64

	.code64
start64:
	mov $stack_end, %rsp
	xor %ebp, %ebp
	call hostile_main
1:	hlt
	jmp 1b

ap_start64:
	mov $ap_stack_end, %rsp
	xor %ebp, %ebp
	call cpu_second_main
1:	hlt
	jmp 1b

/* Real mode, at any page below 1 MiB, with CS at its start. */
	.section .rodata
	.globl trampoline, trampoline_end
	.code16
trampoline:
	cli
	mov %cs, %ax
	mov %ax, %ds
	lgdtl 2f - trampoline
	mov %cr0, %eax
	or $1, %eax
	mov %eax, %cr0
	ljmpl $0x18, $ap_start32
2:	.word gdt_end - gdt - 1
	.long gdt
trampoline_end:

/* Each vector's stub pushes an error code, if the processor has not, and its number. */
	.text
	.code64
	.align 16
	.globl interrupt_stubs
interrupt_stubs:
	.set vector, 0
	.rept 256
	.align 16
	.if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
	pushq $0
	.endif
	pushq $vector
	jmp interrupt_common
	.set vector, vector + 1
	.endr

interrupt_common:
	push %rax
	push %rcx
	push %rdx
	push %rsi
	push %rdi
	push %r8
	push %r9
	push %r10
	push %r11
	mov %rsp, %rdi
	cld
	call cpu_interrupt
	pop %r11
	pop %r10
	pop %r9
	pop %r8
	pop %rdi
	pop %rsi
	pop %rdx
	pop %rcx
	pop %rax
	add $16, %rsp
	iretq

	.section .note.GNU-stack, "", @progbits
