/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trampoline.S - a secondary CPU's way from the SIPI to smp_ap_main()
 *
 * Copied to SMP_TRAMPOLINE, where the CPU starts in real mode with cs:ip =
 * page:0. It takes a stack by its arrival number, so CPUs may arrive at once.
 */
#define AT(sym) ((sym) - trampoline_start + 0x8000)

	.text
	.globl	trampoline_start, trampoline_end
	.code16
trampoline_start:
	cli
	cld
	xor	%ax, %ax
	mov	%ax, %ds
	lgdtl	AT(tramp_gdt_ptr)
	mov	%cr0, %eax
	or	$1, %eax
	mov	%eax, %cr0
	ljmpl	$0x08, $AT(tramp_32)

	.code32
tramp_32:
	mov	$0x18, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%cr4, %eax
	or	$0x20, %eax
	mov	%eax, %cr4
	mov	$page_root, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx
	rdmsr
	or	$0x100, %eax
	wrmsr
	mov	%cr0, %eax
	or	$0x80000001, %eax
	mov	%eax, %cr0
	ljmp	$0x10, $ap_long

	.balign	8
tramp_gdt_ptr:
	.word	31
	.long	gdt
trampoline_end:

	.code64
ap_long:
	mov	$1, %edi
	lock xadd %edi, smp_arrivals(%rip)
	mov	%edi, %eax
	inc	%eax
	shl	$12, %eax
	lea	smp_stacks(%rip), %rsp
	add	%rax, %rsp
	xor	%ebp, %ebp
	call	smp_ap_main
1:	cli
	hlt
	jmp	1b
