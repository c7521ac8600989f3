/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uffd.h - guest memory that another process serves, page by page
 *
 * Theory of operation
 *
 * The VM's memory is anonymous and registered with a userfaultfd; the first
 * touch of a page stops the toucher until somebody puts the page there. That
 * somebody is a handler of the user's: it listens on a Unix socket, we connect
 * and send one message, Firecracker's: the userfaultfd (SCM_RIGHTS) and a JSON
 * array with one object per region of memory,
 *
 *	{"base_host_virt_addr":A,"size":N,"offset":O,
 *	 "page_size":4096,"page_size_kib":4096}
 *
 * where O is the region's place in the memory file and page_size_kib holds
 * bytes, as existing handlers expect. UFFD_FEATURE_EVENT_REMOVE is on: the
 * handler is told of pages that a balloon gave back.
 *
 * A handler that dies would leave every vCPU that waits for a page stuck. It is
 * taken for dead when the process that listened has ended (pidfd) and the
 * connection is closed: one alone also happens when a handler passes its work
 * on, or has no more use for the connection. Then gone() is called and, once
 * the VM has been told to stop, uffd_free() closes our descriptor: the kernel
 * then lets all waiters go.
 *
 * Sources: Documentation/admin-guide/mm/userfaultfd.rst, ioctl_userfaultfd(2).
 * Context: the VMM thread.
 */
#pragma once

#include "host/loop.h"
#include "mem/gmem.h"

#include <pthread.h>
#include <stdatomic.h>

/**
 * struct uffd - memory served by a handler
 * @handler:	pidfd of the process that listened
 * @sock:	our end of the connection
 * @watcher:	lets go who waits for a page when the handler has ended: the
 *		VMM thread, which has the loop, may itself be the one
 * @stop:	eventfd that ends it
 * @lost:	it did so: pages have read zeros that are none
 */
struct uffd {
	int fd;
	struct loop *loop;
	struct loop_source handler;
	struct loop_source sock;
	void (*gone)(void *ctx);
	void *ctx;
	const struct gmem *mem;
	pthread_t watcher;
	bool watching;
	int stop;
	atomic_bool lost;
};

/* Nothing is open yet. */
void uffd_init(struct uffd *u);

/**
 * uffd_connect() - register @mem and hand it to the handler at @path
 * @mem:	fresh: no page was touched
 * @gone:	called once when the handler's process has ended
 *
 * Return: 0, or -errno with a sentence (in Firecracker's words where it has
 * some); uffd_free() in any case.
 */
int uffd_connect(struct uffd *u, const struct gmem *mem, const char *path,
		 struct loop *loop, void (*gone)(void *ctx), void *ctx,
		 struct err *err) __must_check;

/* Lets whoever waits for a page go: it then reads zeros. May be repeated. */
void uffd_free(struct uffd *u);
