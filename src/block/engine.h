/* SPDX-License-Identifier: Apache-2.0 */
/*
 * engine.h - the ways to do the calls of block operations
 *
 * Theory of operation
 *
 * Sync (sync.c) does a call when it is asked for the result. Async (uring.c)
 * gives many of them to the kernel in one system call and learns of their ends
 * from a ring in shared memory; its descriptor becomes readable then, so it
 * sits on the event loop as it is. What an engine does not take,
 * block_call_run() does at once.
 *
 *	block_io_call(&io, &file, e->ops->piece, &call);
 *	e->ops->add(e, &call, tag);
 *	e->ops->submit(e);
 *	while (e->ops->next(e, &tag, &result))
 *		... block_io_step(&io, result) > 0: another call ...
 *
 * Whoever uses an engine knows its ops and no more. Another one is a file and a
 * row of the table in engine.c.
 */
#pragma once

#include "block/io.h"

/* The pieces of both engines: some 200 us of copying. */
#define BLOCK_PIECE MIB(2)

/* In the order of the table in engine.c. */
enum block_engine_kind {
	BLOCK_ENGINE_SYNC,
	BLOCK_ENGINE_ASYNC,
	BLOCK_ENGINE_KINDS,
};

struct block_engine;

/**
 * struct block_engine_ops - a way to do calls
 * @name:	in messages
 * @slots:	calls in flight at most
 * @piece:	bytes of a transfer at most
 * @fd:		readable while results wait; -1: there is none, and next() has
 *		all results at once
 * @add:	take a call, which submit() begins; @tag, not NULL, comes back
 *		with the result. False: not one that this engine can do
 * @submit:	0, or -errno: some were not begun, see take_back()
 * @take_back:	the last one that was not begun; false: there is none
 * @next:	the next result; false: there is none now
 * @wait:	sleep until a result waits; false at @deadline_ns
 *		(CLOCK_MONOTONIC). Any thread, no lock: others may take the
 *		result first
 * @free:	what is in flight is forgotten
 */
struct block_engine_ops {
	const char *name;
	unsigned int slots;
	uint64_t piece;
	int (*fd)(struct block_engine *e);
	bool (*add)(struct block_engine *e, const struct block_call *call,
		    void *tag);
	int (*submit)(struct block_engine *e);
	bool (*take_back)(struct block_engine *e, void **tag);
	bool (*next)(struct block_engine *e, void **tag, int64_t *result);
	bool (*wait)(struct block_engine *e, uint64_t deadline_ns);
	void (*free)(struct block_engine *e);
};

/* Embedded first by each engine. */
struct block_engine {
	const struct block_engine_ops *ops;
};

/**
 * block_engine_new() - an engine of that kind
 *
 * Return: 0 and *@out, freed by its ops; -errno with a sentence. For
 * BLOCK_ENGINE_SYNC, which every host has, that is -ENOMEM.
 */
int block_engine_new(struct block_engine **out, enum block_engine_kind kind,
		     struct err *err) __must_check;

/* "Sync", "Async": the API's names. */
const char *block_engine_name(enum block_engine_kind kind);

/* ---- for the table: one function of each engine's file ---- */

/* Return: 0, or -ENOMEM with a sentence. */
int block_sync_new(struct block_engine **out, struct err *err) __must_check;

/**
 * block_uring_new() - calls by io_uring
 *
 * Return: 0, or -errno with a sentence when the host denies io_uring or its
 * kernel is too old.
 */
int block_uring_new(struct block_engine **out, struct err *err) __must_check;
