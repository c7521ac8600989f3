/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vms_journal.h - what happened to the VMs of a user, one JSON object a line
 *
 * {"time":1764207900123,"event":"die","name":"web","code":0}: milliseconds
 * since 1970, what, to whom, and of an end the exit code. It stands in the
 * folder of all (vms.h), in .events, which becomes .events.1 when it is full:
 * what is older is forgotten. Who writes holds the lock of all. It is history:
 * no command decides by it, and nobody waits until it is on the disk.
 *
 *   start, die	of a VM in the background
 *   exec, stop, kill, pause, resume, snapshot, rm	somebody asked for it
 */
#pragma once

#include "vms/tail.h"
#include "vms/vms.h"

#define VMS_JOURNAL      ".events"
#define VMS_JOURNAL_OLD  ".events.1"
#define VMS_JOURNAL_LINE 256u

/* Under the lock of all. What cannot be written is dropped. */
void vms_journal_add(int folder, const char *event, const char *name, int code);

/**
 * vms_journal_note() - the same, of one who holds no lock
 * @code:	-1: none
 *
 * Where there is no folder of all, nothing is noted.
 */
void vms_journal_note(const char *event, const char *name, int code);

/**
 * struct vms_journal_reader - someone who reads
 * @line:	the last one that was given out
 */
struct vms_journal_reader {
	struct tail tail;
	char line[VMS_JOURNAL_LINE];
};

/* From the oldest on. @folder: of all; borrowed. */
void vms_journal_begin(struct vms_journal_reader *reader, int folder);

/**
 * vms_journal_next() - the next line of what happened since @from, in ms since
 * 1970
 * @line:	until the next call
 *
 * Return: 1; 0 when there is no more for now; -errno.
 */
int vms_journal_next(struct vms_journal_reader *reader, uint64_t from,
		     const char **line) __must_check;

void vms_journal_end(struct vms_journal_reader *reader);
