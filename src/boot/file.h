/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file.h - a file that becomes guest memory: checked reads, private mappings
 *
 * The file is somebody else's and may change at any time: each number is read
 * once, checked, and used from the copy. Reads go through a small window, so
 * that the headers of a kernel cost one system call.
 */
#pragma once

#include "boot/platform.h"

#define BOOT_FILE_WINDOW_BYTES 1024u

/**
 * struct boot_file - an open kernel or initrd
 * @what:	"kernel" or "initrd", for messages
 * @window:	@have bytes of the file from offset @at
 */
struct boot_file {
	int fd;
	const char *path;
	const char *what;
	uint64_t size;
	uint64_t at;
	uint32_t have;
	uint8_t window[BOOT_FILE_WINDOW_BYTES];
};

/**
 * boot_file_open() - look at the file behind @fd
 *
 * Return: 0; with a sentence -EISDIR, -EINVAL (not a regular file, or empty) or
 * -errno.
 */
int boot_file_open(struct boot_file *file, int fd, const char *path,
		   const char *what, struct err *err) __must_check;

/**
 * boot_file_read() - copy @len bytes at @off of the file
 *
 * Return: 0; with a sentence -ENOEXEC ("is truncated") when the file ends
 * before that, or -errno.
 */
int boot_file_read(struct boot_file *file, uint64_t off, void *buf,
		   uint64_t len, struct err *err) __must_check;

/**
 * boot_file_place() - file's bytes from @off as [@gpa, +@len) of the guest
 * @entry:	gets an entry in its list of mappings
 *
 * Whole pages are mapped where guest and file addresses agree modulo the page
 * size and there are enough of them; the rest is copied, and all of it where
 * huge pages will back the memory: a mapping would keep them away. Bytes of a
 * page that lie outside [@gpa, +@len) keep their value.
 *
 * Return: 0; with a sentence -ENOMEM when that is not RAM, or -errno.
 */
int boot_file_place(struct boot_file *file, struct gmem *mem, gpa_t gpa,
		    uint64_t off, uint64_t len, struct boot_entry *entry,
		    struct err *err) __must_check;
