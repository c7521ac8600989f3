/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remark.S - print a mark once this is a clone, then reset
 *
 * With REMARK_STAYS (remarkstay.S) it stands still behind the mark.
 *
 * It remembers the VM generation ID, says that it is ready (a dot), and waits
 * until the ID is another one: the first thing that differs in a VM that was
 * restored. The same bytes in 32-bit and 64-bit mode, as in mark.S.
 */
	.section .text.first, "ax"
	.globl	_start, pvh_start
_start:
pvh_start:
	mov	$0xe0000, %edi
	mov	(%rdi), %ecx
	mov	$0x3f8, %dx
	mov	$'.', %al
	out	%al, %dx
	mov	$'\n', %al
	out	%al, %dx
1:	cmp	(%rdi), %ecx
	je	1b
	mov	$'@', %al
	out	%al, %dx
	mov	$'\n', %al
	out	%al, %dx
#ifdef REMARK_STAYS
	cli
2:	hlt
#else
	mov	$0xfe, %al
	out	%al, $0x64
2:
#endif
	jmp	2b
