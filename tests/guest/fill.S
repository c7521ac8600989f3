/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fill.S - write to every page of 1 GiB of RAM, then print a mark and wait
 *
 * For the cost of a full snapshot. The lowest 4 MiB and the highest 2 are left
 * alone: what the loader put there is in use. The same bytes in 32-bit and
 * 64-bit mode, as in mark.S.
 */
	.section .text.first, "ax"
	.globl	_start, pvh_start
_start:
pvh_start:
	mov	$0x400000, %edi
1:	mov	%edi, (%rdi)
	add	$0x1000, %edi
	cmp	$0x3fe00000, %edi
	jb	1b
	mov	$0x3f8, %dx
	mov	$'@', %al
	out	%al, %dx
	mov	$'\n', %al
	out	%al, %dx
2:	pause
	jmp	2b
