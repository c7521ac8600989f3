/* SPDX-License-Identifier: Apache-2.0 */
/*
 * start.S - the two ways into a guest, both ending in guest_enter()
 *
 * _start is the 64-bit Linux boot protocol: long mode, rsi = boot_params.
 * pvh_start is the PVH entry: 32-bit protected mode without paging, ebx =
 * hvm_start_info. Either way the guest continues on its own descriptor table,
 * page tables and stack, so nothing that the VMM put into memory has to
 * survive beyond guest_enter().
 */
	.section .text.first, "ax"
	.code64
	.globl	_start
_start:
	cld
	lgdt	gdt_ptr(%rip)
	lea	page_root(%rip), %rax
	mov	%rax, %cr3
	lea	stack_top(%rip), %rsp
	mov	%rsi, %rbx
	xor	%r12d, %r12d
	jmp	reload_segments

	.code32
	.globl	pvh_start
pvh_start:
	cld
	lgdt	gdt_ptr
	mov	%cr4, %eax
	or	$0x20, %eax		/* CR4.PAE */
	mov	%eax, %cr4
	mov	$page_root, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx	/* EFER */
	rdmsr
	or	$0x100, %eax		/* LME */
	wrmsr
	mov	%cr0, %eax
	or	$0x80000001, %eax	/* PG, PE */
	mov	%eax, %cr0
	ljmp	$0x10, $pvh_long

	.code64
pvh_long:
	lea	stack_top(%rip), %rsp
	mov	%ebx, %r12d
	xor	%ebx, %ebx

reload_segments:
	mov	$0x18, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	xor	%eax, %eax
	mov	%eax, %fs
	mov	%eax, %gs
	push	$0x10
	lea	1f(%rip), %rax
	push	%rax
	lretq
1:	xor	%ebp, %ebp
	mov	%rbx, %rdi
	mov	%r12, %rsi
	call	guest_enter
2:	cli
	hlt
	jmp	2b

	.data
	.balign	16
	.globl	gdt
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff	/* 0x08: 32-bit code (trampoline) */
	.quad	0x00af9b000000ffff	/* 0x10: 64-bit code */
	.quad	0x00cf93000000ffff	/* 0x18: data */
gdt_end:
	.word	0
	.globl	gdt_ptr
gdt_ptr:
	.word	gdt_end - gdt - 1
	.quad	gdt

/*
 * The first 4 GiB, identity-mapped with 2 MiB pages. In the file rather than
 * built at start: an emulated CPU needs 10 ms for these 2,048 stores.
 * Slot 4 of the directory table is page_window, see paging.c.
 */
	.balign	4096
	.globl	page_root
page_root:
	.quad	page_dirs + 3
	.fill	511, 8, 0
page_dirs:
	.quad	page_low + 0x0003
	.quad	page_low + 0x1003
	.quad	page_low + 0x2003
	.quad	page_low + 0x3003
	.quad	page_window + 3
	.fill	507, 8, 0
page_low:
	.set	i, 0
	.rept	2048
	.quad	(i << 21) + 0x83
	.set	i, i + 1
	.endr
	.globl	page_window
page_window:
	.fill	512, 8, 0

	.bss
	.balign	16
	.skip	16384
stack_top:
