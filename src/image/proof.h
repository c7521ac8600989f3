/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proof.h - what a state knows of its memory, to know it again
 *
 * Theory of operation
 *
 * A memory file says whose it is by an extended attribute (identity.h). Copies
 * lose that, so the state holds a second proof: checksums of a few pages of the
 * memory as it was at that moment. They are chosen so that another memory
 * differs in one of them:
 *
 *   pages that every VM and every moment has its own of: the VM generation ID,
 *   which each clone gets anew, and the top of each vCPU's stack (the caller
 *   names them);
 *   pages that were written since the snapshot before;
 *   the first page of extents of the file, and the hole behind: its map;
 *   of a diff: the pages that its base's proof has.
 *
 * Holes and zeros are the same in a whole file: a copy may have others. In a
 * diff they are not, so its proof has a checksum of its map of extents as well,
 * and of its pages the diff's own come first. A file that has these, but not
 * the map, is a copy that lost holes or made some; a file in which all pages
 * are right is the diff after somebody merged it with its base.
 *
 * The proof finds accidents. Whoever can write the file can forge it.
 */
#pragma once

#include "base/schema.h"

#define MEMORY_SAMPLES 32u
#define MEMORY_PICKS   12u

/* A page by its number in the file, and its CRC-64. */
struct memory_sample {
	uint64_t page;
	uint64_t crc;
};

/**
 * struct memory_proof - in the state; all zero: none, as in format 2.0
 * @extents:	CRC-64 of the extents of a diff's file
 * @own:	how many of the samples are the diff's own; the first ones
 * @bytes:	of @sample that are used
 */
struct memory_proof {
	uint64_t extents;
	uint32_t own;
	unsigned int bytes;
	struct memory_sample sample[MEMORY_SAMPLES];
};

extern const struct schema_object memory_proof_schema;

/**
 * struct memory_picks - pages, evenly out of all that were offered
 * @every:	of so many that come one is taken
 */
struct memory_picks {
	uint64_t every;
	uint64_t seen;
	unsigned int nr;
	uint64_t page[MEMORY_PICKS];
};

/* @count pages, from @first on. */
void memory_picks_add(struct memory_picks *picks, uint64_t first,
		      uint64_t count);

/**
 * struct memory_prove - what a proof is made from
 * @fd:		the memory file, finished but for its sync
 * @diff:	its holes say "as before"
 * @fresh:	pages that were written since the snapshot before
 * @hot, @nr_hot:	pages that the caller names
 * @base:	the proof of what a diff differs from, or NULL
 */
struct memory_prove {
	int fd;
	uint64_t size;
	bool diff;
	const struct memory_picks *fresh;
	const uint64_t *hot;
	unsigned int nr_hot;
	const struct memory_proof *base;
};

/* Return: 0 or -errno. */
int memory_prove(const struct memory_prove *from,
		 struct memory_proof *proof) __must_check;

/**
 * memory_prove_again() - the memory is stored in another way than it was proved
 * @proof:	of the moment that @fd holds; its pages stay as they are
 * @fd:		a diff that holds more of it (@diff), or all of it
 */
void memory_prove_again(struct memory_proof *proof, bool diff, int fd,
			uint64_t size);

enum memory_match {
	MEMORY_OTHER,
	MEMORY_WHOLE, /* all of it is right, as far as the proof goes */
	MEMORY_PART,  /* it is the diff */
	MEMORY_HOLES, /* it was the diff, but its holes are not as they were */
};

/**
 * memory_match() - compare a file of the right size with a proof
 * @diff:	the proof is a diff's
 *
 * Reads MEMORY_SAMPLES pages at most, and of a diff the map of extents.
 *
 * Return: an enum memory_match, or -errno.
 */
int memory_match(const struct memory_proof *proof, bool diff, int fd,
		 uint64_t size) __must_check;
