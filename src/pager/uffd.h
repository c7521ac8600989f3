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
 * on, or has no more use for the connection. Then a thread of its own lets
 * everybody go who waits for a page, or for a handler to read that pages went
 * away (the VMM thread, which has the loop, may be one of them), and gone() is
 * called: the VM ends. Once the restore is over nobody reads zeros in the place
 * of a page that did not come: the memory is closed to all (PROT_NONE) before
 * they are let go, so that a vCPU and a device's call fail.
 *
 * A handler that lives but does not serve is another matter. One that does not
 * accept has UFFD_RESTORE_MS. While the VM is restored the VMM thread touches
 * some pages itself; for all of them together a handler has UFFD_RESTORE_MS,
 * then the restore fails. Afterwards there is no limit: a vCPU waits for its
 * page as long as it takes, and so does the VMM thread, and the API with it,
 * when a device works on such a page. The end of the limit and the end of the
 * restore may meet: one word, @phase, tells which of them was first.
 *
 * What memory the handler takes by itself it may let us read: a descriptor of
 * its /proc/self/smaps_rollup that it sends behind our message, as volt-pager
 * does. Only who has opened it may read it, for as long as it likes, so no
 * question of ours ever waits for the handler. Nobody else sends anything.
 *
 * A handler that has sent that before it served the first page is told one
 * thing more while the guest runs: UFFD_MARK, a byte for each mark of the
 * guest's (the boot timer), at which a record of its pages ends. Others hear
 * nothing but the one message, as they expect.
 *
 * Sources: Documentation/admin-guide/mm/userfaultfd.rst, ioctl_userfaultfd(2).
 * Context: the VMM thread.
 */
#pragma once

#include "host/loop.h"
#include "host/path.h"
#include "mem/gmem.h"
#include "mem/usage.h"
#include "pager/served.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#define UFFD_RESTORE_MS PATH_UFFD_MS
#define UFFD_MARK       'm'
#define UFFD_GONE       "The process that serves the guest's memory is gone"

struct sandbox;

enum uffd_phase {
	UFFD_RESTORING, /* the handler has until the deadline */
	UFFD_SETTLED,   /* the restore is over: no limit any more */
	UFFD_LOST,      /* who waited was let go, and had nothing to read */
};

/**
 * struct uffd - memory served by a handler
 * @handler:	pidfd of the process that listened
 * @handler_ended:	it had before we could watch it: the connection decides
 * @sock:	our end of the connection
 * @smaps:	the handler's smaps_rollup, when it has come
 * @served:	its figures (served.h), where they have come with that
 * @marks:	it came with the restore: marks are told
 * @lost:	called before whoever waits is let go, once the restore is
 *		over: nobody shall act on what he reads then. The watcher's
 *		thread; may be NULL
 * @limit_ms:	for the restore; set by uffd_init()
 * @watcher:	lets go who waits when the handler has ended or is late
 * @stop:	eventfd that ends it
 * @phase:	an enum uffd_phase
 * @sandbox:	locks the watcher, which runs before the process is locked; may
 *		be NULL
 * @ready:	posted when it has been; @locked says how it went
 */
struct uffd {
	int fd;
	struct loop *loop;
	struct loop_source handler;
	bool handler_ended;
	struct loop_source sock;
	int smaps;
	int served;
	bool marks;
	void (*gone)(void *ctx);
	void (*lost)(void *ctx);
	void *ctx;
	const struct gmem *mem;
	int limit_ms;
	uint64_t deadline_ns;
	pthread_t watcher;
	bool watching;
	int stop;
	_Atomic unsigned int phase;
	const struct sandbox *sandbox;
	sem_t ready;
	int locked;
};

/* Nothing is open yet. */
void uffd_init(struct uffd *u);

/**
 * uffd_connect() - register @mem and hand it to its handler
 * @mem:	fresh: no page was touched
 * @dev:	/dev/userfaultfd, borrowed; negative: there is none for us, so
 *		the system call is tried
 * @sock:	a PATH_UFFD_HANDLER; taken over on success, and -1 then
 * @gone:	called once when the handler's process has ended
 *
 * Return: 0, or -errno with a sentence (in Firecracker's words where it has
 * some); uffd_fini() in any case.
 */
int uffd_connect(struct uffd *u, const struct gmem *mem, int dev, int *sock,
		 struct loop *loop, void (*gone)(void *ctx), void *ctx,
		 struct err *err) __must_check;

/* Is what the memory holds not to be trusted? Any thread. */
static inline bool uffd_is_lost(const struct uffd *u)
{
	return atomic_load(&u->phase) == UFFD_LOST;
}

/**
 * uffd_settle() - the restore is over; a page was touched since the connection
 *
 * Return: 0, or -EIO with a sentence when it went on without its handler.
 */
int uffd_settle(struct uffd *u, struct err *err) __must_check;

/* The guest has made its mark. */
void uffd_mark(struct uffd *u);

/**
 * uffd_usage() - memory of the handler's process
 *
 * Return: 0 and *@usage; -ENOENT: it does not tell; -errno.
 */
int uffd_usage(struct uffd *u, struct usage *usage) __must_check;

/* What it has done so far. Return: 0 and *@served; -ENOENT: it does not tell;
 * -errno. */
int uffd_served(struct uffd *u, struct served *served) __must_check;

/**
 * uffd_unwatch() - no thread watches the handler until uffd_watch_again()
 *
 * For who has to be the only thread for a moment; nobody touches the guest's
 * memory meanwhile. Harmless where none watches.
 */
void uffd_unwatch(struct uffd *u);

/* The thread runs again where there is a handler. Return: 0 or -errno. */
int uffd_watch_again(struct uffd *u) __must_check;

/* Lets whoever waits for a page go: it then reads zeros. May be repeated. */
void uffd_fini(struct uffd *u);
