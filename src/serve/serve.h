/* SPDX-License-Identifier: Apache-2.0 */
/*
 * serve.h - one VM's memory, from the first connection to its end
 *
 * Theory of operation
 *
 * volt-pager is a process of its own, so that a VM that maps its memory pays
 * nothing for it: no library, no thread, no page. The order:
 *
 *  1. the snapshot with all that it needs is found and opened as a restore
 *     does it (snapshot/chain.h), the working set read, the socket bound
 *  2. one VM connects; the socket's name is removed
 *  3. the process is locked (lock.h). What it holds are files to read, the
 *     connection, and a file to record to. Then it reads what the VM has sent:
 *     regions.h
 *  4. the hot run is put in place. The VM cannot go on before: a restore
 *     touches a page itself, and nobody answers that until the hot run is there
 *  5. pages are served (fill.h) until the VM's end of the connection closes
 *
 * A record replaces 4: no page comes before it is asked for, and none with
 * another. It ends with the first of: a mark of the guest's (pager/uffd.h), so
 * much time, so many pages, the VM. Then it is written, and the rest is served
 * as fast as ever. Its file was opened before the lock; what was in it stays
 * until then.
 *
 * Only who may write to the socket's directory and connect() to it is served,
 * once. A VM gets what is in the snapshot, and nothing else.
 */
#pragma once

#include "serve/fill.h"

/**
 * struct serve - a snapshot that waits for its VM
 * @told:	the figures so far (pager/served.h); what others write there
 *		changes nothing
 * @image:	whole
 * @hot:	what comes first; may be empty
 * @hot_max:	pages of it at most
 * @record:	pages in the order of use, if @record_fd is open
 * @record_ms:	0: no such end
 * @record_max:	pages of it at most
 * @stats:	of what was done
 * @end_ms:	the end, since the connection
 */
struct serve {
	struct served *told;
	struct image image;
	struct workset hot;
	uint64_t hot_max;
	struct workset record;
	int record_fd;
	const char *record_path;
	uint64_t record_ms;
	uint64_t record_max;
	struct served stats;
	uint64_t end_ms;
};

/**
 * serve_vm() - the VM that connected at @sock, to its end
 *
 * Return: 0 or -errno with a sentence.
 */
int serve_vm(struct serve *s, int sock, struct err *err) __must_check;
