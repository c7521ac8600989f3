/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handover.h - what a jail lacks, from who makes it to volt-vmm
 *
 * Theory of operation
 *
 * A jail has no /proc, and without /proc/self/pagemap a snapshot cannot tell
 * the pages that the guest has written from those that it has not: it would
 * hold them all. pagemap belongs to one program's memory, so that nobody else
 * can open it in advance. So volt-jailer leaves an O_PATH descriptor of /proc
 * open, with the number HANDOVER_PROC_FD; volt-vmm takes it first of all, opens
 * what it needs by it and closes it, long before a guest runs.
 *
 * Such a descriptor leads out of the jail. A program that does not know of it
 * would keep it, so that volt-jailer leaves it to none but those that say that
 * they close it: by a note in their ELF file (HANDOVER_NOTE).
 */
#pragma once

#include "base/bits.h"

#define HANDOVER_PROC_FD 3

/* The note: owner "Volt", type 1, the number of the descriptor. */
#define HANDOVER_OWNER "Volt"
#define HANDOVER_TYPE  1u

/* In one file of a program that calls handover_take(). */
#define HANDOVER_NOTE                                     \
	__asm__(".pushsection .note.volt, \"a\", @note\n" \
		".balign 4\n"                             \
		".long 5\n" /* bytes of the owner */      \
		".long 4\n" /* bytes of the content */    \
		".long 1\n" /* HANDOVER_TYPE */           \
		".asciz \"Volt\"\n"                       \
		".balign 4\n"                             \
		".long 3\n" /* HANDOVER_PROC_FD */        \
		".popsection\n")

/**
 * struct handover - what was opened by it
 * @pagemap:	/proc/self/pagemap; -1: no jailer left the way to it
 * @smaps:	/proc/self/smaps_rollup, the same
 * @boot_id:	the kernel's id of this boot, without a line feed; or empty
 */
struct handover {
	int pagemap;
	int smaps;
	char boot_id[64];
};

/**
 * handover_wanted() - does the program say that it takes the descriptor?
 * @fd:		of its file; any content
 */
bool handover_wanted(int fd) __must_check;

/**
 * handover_take() - use what a jailer left, and close it
 *
 * Call it before anything else is opened.
 */
void handover_take(struct handover *left);
