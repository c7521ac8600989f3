/* SPDX-License-Identifier: Apache-2.0 */
/*
 * note.S - the note that asks for the PVH entry (XEN_ELFNOTE_PHYS32_ENTRY)
 *
 * Linked into the -pvh variant of a guest only.
 */
	.section .note.pvh, "a", @note
	.balign	4
	.long	4, 8, 18		/* name size, value size, type */
	.asciz	"Xen"
	.quad	pvh_start
