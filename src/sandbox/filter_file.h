/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter_file.h - the file of --seccomp-filter
 *
 * What Firecracker's seccompiler writes: a map from the name of a thread,
 * "vmm", "api" and "vcpu" in any case, to the instructions of its BPF program.
 * All numbers are 64 bits, little-endian:
 *
 *	entries; of each: bytes of the name, the name, instructions, these
 *
 * Errors are in Firecracker's words.
 */
#pragma once

#include "sandbox/seccomp.h"

/* As much of a file as Firecracker reads. */
#define FILTER_FILE_MAX 100000u

enum filter_file_thread {
	FILTER_FILE_VMM,
	FILTER_FILE_API,
	FILTER_FILE_VCPU,
	FILTER_FILE_NR,
};

/**
 * struct filter_file - the programs, by thread; zeroed, it is empty
 */
struct filter_file {
	struct seccomp_program program[FILTER_FILE_NR];
};

/**
 * filter_file_parse() - programs from the @len bytes of a file
 * @f:		zeroed; filter_file_free() it in any case
 *
 * Return: 0, or -EINVAL, -ENOMEM with a sentence.
 */
int filter_file_parse(struct filter_file *f, const void *text, size_t len,
		      struct err *err) __must_check;

/* The same, from a path. Return: as above, or -errno of open and read. */
int filter_file_read(struct filter_file *f, const char *path,
		     struct err *err) __must_check;

void filter_file_free(struct filter_file *f);
