/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pager.h - who fills a page that nobody has touched
 *
 * Theory of operation
 *
 * A VM that was restored has all of its memory at once, and none of it read.
 * The first touch of a page brings it, by one of:
 *
 *   kind         who brings the page                  what shows that it fails
 *   PAGER_NONE   the kernel: zeros, or the kernel     -
 *                image's file (a VM that was
 *                started)
 *   PAGER_FILE   the kernel, from the image's files   SIGBUS of a file that was
 *                that are mapped (image/image.h)      cut short:
 *                                                     pager_truncated()
 *   PAGER_UFFD   a process of the user's, by          pager_is_lost()
 *                userfaultfd (uffd.h)
 *
 * One call makes the memory (pager_map(), pager_serve()); the rest of the VM
 * asks here only, and never which kind it is. pager_stop() releases whoever
 * waits for a page; the memory itself is freed behind it by its owner.
 *
 * Context: the VMM thread, where nothing else is said.
 */
#pragma once

#include "image/image.h"
#include "image/workset.h"
#include "pager/uffd.h"

enum pager_kind {
	PAGER_NONE,
	PAGER_FILE,
	PAGER_UFFD,
};

/**
 * struct pager - of one VM
 * @image:	PAGER_FILE: what is mapped
 * @uffd:	PAGER_UFFD: the connection to who serves
 */
struct pager {
	enum pager_kind kind;
	struct image image;
	struct uffd uffd;
};

/* PAGER_NONE. */
void pager_init(struct pager *pager);

/**
 * pager_map() - memory that shows @image
 * @hot:	its GMEM_HOT, behind its RAM; NULL: it has none
 * @image:	taken over, and empty then; also when this fails
 *
 * Return: 0 or -errno with a sentence.
 */
int pager_map(struct pager *pager, struct gmem *mem,
	      const struct gmem_spec *hot, enum gmem_pages pages,
	      struct image *image, struct err *err) __must_check;

/**
 * pager_expect() - what the guest will want soon
 * @set:	its working set, of which @max pages at most
 *
 * The kernel reads those of mapped files meanwhile, all at once and in the
 * order of the files; nobody waits for them here. Of other memory nothing.
 *
 * Return: 0 or -ENOMEM.
 */
int pager_expect(const struct pager *pager, struct gmem *mem,
		 const struct workset *set, size_t max) __must_check;

/**
 * struct pager_server - who serves memory
 * @dev, @sock, @loop, @gone, @ctx:	of uffd_connect()
 * @lost:	of struct uffd
 * @sandbox:	locks the thread that watches; may be NULL
 */
struct pager_server {
	int dev;
	int *sock;
	struct loop *loop;
	const struct sandbox *sandbox;
	void (*gone)(void *ctx);
	void (*lost)(void *ctx);
	void *ctx;
};

/**
 * pager_serve() - memory that another process serves
 * @size:	of RAM, bytes
 * @hot:	its GMEM_HOT; NULL: it has none
 *
 * Return: 0 or -errno with a sentence.
 */
int pager_serve(struct pager *pager, struct gmem *mem, uint64_t size,
		const struct gmem_spec *hot, enum gmem_pages pages,
		const struct pager_server *server,
		struct err *err) __must_check;

/**
 * pager_settle() - the restore is over
 * @r:		how it went so far. Zeros that are none may have been what
 *		failed: then the pager says what is wrong
 *
 * Return: @r, or -errno with a sentence.
 */
int pager_settle(struct pager *pager, int r, struct err *err) __must_check;

/* The guest has made its mark (dev/boot_timer.h): who records its pages has
 * enough. */
void pager_mark(struct pager *pager);

/* Memory of the process that serves. Return: 0 and *@usage; -ENOENT: there is
 * none, or it does not tell; -errno. */
int pager_usage(struct pager *pager, struct usage *usage) __must_check;

/* What it has done so far. Return: 0 and *@served; -ENOENT: the same; -errno.
 */
int pager_served(struct pager *pager, struct served *served) __must_check;

/* Is what the memory holds not to be trusted? Any thread. */
bool pager_is_lost(const struct pager *pager);

/* A file of the memory that was cut short: its path, or NULL.
 * Async-signal-safe, any thread. */
const char *pager_truncated(const struct pager *pager);

/* The path of the image's file @fd, or NULL. Async-signal-safe, any thread. */
const char *pager_path_of(const struct pager *pager, int fd);

/* No thread of the pager runs until pager_watch_again() (uffd.h). Return: 0 or
 * -errno. */
void pager_unwatch(struct pager *pager);
int pager_watch_again(struct pager *pager) __must_check;

/* Threads that are blocked on a missing page go on. May be repeated. */
void pager_stop(struct pager *pager);

/* Behind gmem_fini(). */
void pager_fini(struct pager *pager);
