/* SPDX-License-Identifier: Apache-2.0 */
/*
 * warm.h - `volt run IMAGE` from a guest that has booted already
 *
 * Theory of operation
 *
 * Until its agent answers, a guest of one image is as the next one: kernel,
 * devices and the mount of the root. What belongs to one run comes behind that,
 * by the agent: name, clock, random numbers, the command. So the first run of
 * an image saves its VM when the agent answers, and later ones restore that.
 *
 *   <cache>/warm/KEY        a snapshot: state.json and memory.snap
 *   <cache>/warm/PID.new    one that is being saved; renamed when it is whole
 *
 * KEY is the SHA-256 of all that made the guest what it was: volt-vmm's options
 * but those that do not reach the guest (names, sockets, limits of the host's),
 * the files that they name and this Volt itself (device, inode, size, times of
 * change), the host's kernel and CPU. So nothing is ever compared: what matters
 * and is another makes another key, and nobody finds what has no use any more.
 * It goes when there are WARM_MAX newer ones, by their last use, and by `volt
 * image gc`.
 *
 * A guest that writes into a file of the host's (--layer) or has a tap is not
 * saved: its state belongs to these. Nor is one with options behind --. A
 * network by passt is passt's of this run; what it may reach is in the options,
 * and so in KEY.
 *
 * Who can write there can run code in this user's guests: the folder is used
 * only if it is this user's, and nobody else may write into it. It is 0700, for
 * the snapshot has what was read of the image.
 *
 * It is a cache: whatever goes wrong here, the guest boots. A snapshot that is
 * refused, by another CPU say, is removed.
 *
 * All guests of one warm start have what was drawn at boot in common: where the
 * kernel is (KASLR), its stacks' canary. Numbers of later are their own: the
 * agent gives the guest's kernel a seed of the host's.
 */
#pragma once

#include "cli/launch.h"

#include "store/digest.h"

#define WARM_MAX 8u

/**
 * struct warm - one guest's; zeroed at first
 * @folder:	of all; owned; NULL: not to be used
 * @dir:	its own, whether it is there or not; owned
 * @is_there:	it can be restored
 */
struct warm {
	struct digest key;
	char *folder;
	char *dir;
	bool is_there;
};

/**
 * warm_find() - is there a warm start of what @launch boots?
 * @launch:	complete
 *
 * Return: 0, also when there is none, or none can be: @warm->folder is NULL
 * then; -errno with a sentence.
 */
int warm_find(struct warm *warm, const struct launch *launch,
	      struct err *err) __must_check;

/**
 * warm_keep() - save the VM @name, which stands still meanwhile
 *
 * Nothing where the file system is nearly full, or somebody was faster.
 *
 * Return: 0, or -errno with a sentence, and nothing is kept.
 */
int warm_keep(struct warm *warm, const char *name,
	      struct err *err) __must_check;

/* It is of no use: remove it. */
void warm_drop(struct warm *warm);

/* Remove all of this user's. Return: how many; *@bytes: that they took. */
unsigned int warm_clear(uint64_t *bytes);

void warm_free(struct warm *warm);
