/* SPDX-License-Identifier: Apache-2.0 */
/*
 * board.h - what the parts of a machine are plugged into: memory, buses, KVM
 */
#pragma once

#include "bus/bus.h"
#include "kvm/kvm.h"
#include "mem/gmem.h"
#include "pager/pager.h"
#include "vm/env.h"

#define BOARD_FILES 2
/* Of a Linux guest's memory blocks the largest. */
#define BOARD_HOT_ALIGN GIB(2)

/**
 * struct board_file - a file that guest memory is mapped from
 * @fd:		borrowed; -1 when there is none
 * @size:	when it was mapped, bytes
 */
struct board_file {
	int fd;
	off_t size;
	const char *path;
};

/**
 * struct board - what each part is given a pointer to
 * @mem:	guest RAM
 * @pager:	fills it after a restore
 * @file:	what a start maps into it: kernel, initrd
 */
struct board {
	struct vm_env env;
	struct gmem mem;
	struct pager pager;
	struct kvm kvm;
	struct kvm_vm kvm_vm;
	struct bus pio;
	struct bus mmio;
	struct board_file file[BOARD_FILES];
};

/* @board is zeroed. */
void board_init(struct board *board, const struct vm_env *env);

enum gmem_pages board_pages_of(enum config_huge_pages huge);

/**
 * board_hot() - the memory of the configuration that may be plugged
 *
 * Behind RAM, aligned to the largest memory block of a Linux guest.
 *
 * Return: false when there is none.
 */
bool board_hot(const struct vm_config *config, struct gmem_spec *spec);

/**
 * board_add_pmems() - the files of the configuration that are memory
 *
 * Behind all other memory, in the order of the configuration: guest ABI.
 *
 * Return: 0 or -errno with a sentence.
 */
int board_add_pmems(struct board *board, struct err *err) __must_check;

/**
 * board_note_file() - guest memory is mapped from @fd
 * @fd:		-1: it is not
 *
 * Return: 0 or -errno with a sentence.
 */
int board_note_file(struct board_file *file, int fd, const char *path,
		    struct err *err) __must_check;

/* Return: 0 or -errno with a sentence. */
int board_open_kvm(struct board *board, struct err *err) __must_check;

/* The VM, behind the last one. Return: 0 or -errno with a sentence. */
int board_make_vm(struct board *board, struct err *err) __must_check;

/* Tell KVM of guest memory. Return: 0 or -errno with a sentence. */
int board_give_memory(struct board *board, struct err *err) __must_check;

/**
 * board_truncated_file() - which mapped file is now shorter than it was
 *
 * Return: its path, NULL when all are whole. Async-signal-safe, any thread.
 */
const char *board_truncated_file(const struct board *board);

/**
 * board_file_at() - which file the guest's page at @gpa is mapped from
 *
 * Return: its path; NULL: none, or it is not known. Async-signal-safe, any
 * thread.
 */
const char *board_file_at(const struct board *board, gpa_t gpa);

/* Did the process that served the memory end? UFFD_GONE is the sentence for it.
 * Async-signal-safe, any thread. */
static inline bool board_has_lost_memory(const struct board *board)
{
	return pager_is_lost(&board->pager);
}
