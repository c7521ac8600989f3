/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mark.S - the smallest guest: print a mark on COM1, reset
 *
 * Its ten instructions have the same bytes in 32-bit and 64-bit mode, so one
 * entry serves both boot protocols. The triple fault at the end is for VMMs
 * without a keyboard controller.
 */
	.section .text.first, "ax"
	.globl	_start, pvh_start
_start:
pvh_start:
	mov	$0x3f8, %dx
	mov	$'@', %al
	out	%al, %dx
	mov	$'\n', %al
	out	%al, %dx
	mov	$0xfe, %al
	out	%al, $0x64
	mov	$no_idt, %edi
	lidt	(%rdi)
	ud2

	.data
no_idt:
	.quad	0, 0
