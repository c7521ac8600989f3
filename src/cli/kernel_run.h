/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kernel_run.h - the kernel that `volt run` boots, and how it gets to its root
 */
#pragma once

#include "base/args.h"
#include "base/err.h"

/**
 * struct kernel_need - what the command line says
 * @word:	of --kernel; NULL: the default
 * @cmdline:	of --cmdline; NULL: none was given
 * @disk:	the first one's --disk; NULL: none
 * @pmem_root:	@disk is the --pmem that is the root
 * @has_initrd:	the user has one
 * @pmem:	there is a --pmem
 * @hotplug:	memory may be plugged
 * @image:	the disk is an image's, whose first process is the agent
 */
struct kernel_need {
	const char *word;
	const char *cmdline;
	const char *disk;
	bool pmem_root;
	bool has_initrd;
	bool net;
	bool vsock;
	bool pmem;
	bool hotplug;
	bool image;
};

/**
 * struct kernel_choice - zeroed at first
 * @kernel:	path; owned
 * @initrd:	path of one that was made for the root; NULL: none; owned
 * @root:	words for the kernel command line that go with @initrd
 * @stored:	the kernel is one of the store's
 * @is_linux:	and is Linux
 */
struct kernel_choice {
	char *kernel;
	char *initrd;
	char root[64];
	bool stored;
	bool is_linux;
};

/**
 * kernel_choose() - find and check the kernel
 *
 * A word with a '/' is a path, which is left to volt-vmm. Another one is a name
 * in the store, else a file of the current folder.
 *
 * Return: 0; -ENOENT (no such kernel, or no default), -EBADMSG (damaged),
 * -ENOTSUP (it cannot mount this root), -errno, with a sentence.
 * kernel_choice_free() in any case.
 */
int kernel_choose(const struct kernel_need *need, struct kernel_choice *choice,
		  struct err *err) __must_check;

void kernel_choice_free(struct kernel_choice *choice);

/* Is @word one of those that follow the path in a --disk or --pmem? */
bool kernel_disk_says(const char *disk, const char *word);
