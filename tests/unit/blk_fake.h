/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blk_fake.h - a block engine whose calls end as a schedule has it
 *
 * In any order, in parts, with errors, or not at all for a while. Pieces are
 * small, so that small requests are large ones. The executable is linked with
 * --wrap=block_call_run: what the device does itself is counted, too.
 */
#pragma once

#include "schedule.h"

#include "block/engine.h"

#include <sys/eventfd.h>
#include <unistd.h>

#define FAKE_SLOTS 6u
#define FAKE_PIECE 4096u

/* A call in the engine. */
enum op_state {
	OP_FREE,
	OP_ADDED,
	OP_BEGUN,
	OP_DONE,
};

struct op {
	enum op_state state;
	struct block_call call;
	void *tag;
	int64_t result;
};

/**
 * struct fake - the engine
 * @order:	of ops that were added, the last one last
 * @fd:		an eventfd, readable while results wait
 * @hung:	no call ends
 * @cost:	of the calls that were begun, and done at once
 */
struct fake {
	struct block_engine engine;
	int fd;
	bool hung;
	uint64_t cost;
	struct op op[FAKE_SLOTS];
	unsigned int nr_added;
	struct op *added[FAKE_SLOTS];
};

static struct fake *fake;

/* ---- of the test ---- */

/* @call failed, and its request will. */
static void fake_hurt(const struct block_call *call);
/* Calls are submitted, and others do something meanwhile. */
static void fake_meanwhile(void);
/* False: no call may begin now. */
static bool fake_may_begin(void);
static bool fake_has_holes(void);

/* ---- the engine ---- */

int64_t __real_block_call_run(const struct block_call *call);
int64_t __wrap_block_call_run(const struct block_call *call);

static int64_t run(const struct block_call *call)
{
	if (call->kind == BLOCK_CALL_FALLOCATE && !fake_has_holes())
		return -EOPNOTSUPP;
	return __real_block_call_run(call);
}

/* The device does it itself. */
int64_t __wrap_block_call_run(const struct block_call *call)
{
	fake->cost += block_call_cost(call);
	return run(call);
}

static struct fake *fake_of(struct block_engine *e)
{
	return container_of(e, struct fake, engine);
}

static struct op *any_op(enum op_state state)
{
	unsigned int from = (unsigned int)schedule_below(FAKE_SLOTS);

	for (unsigned int i = 0; i < FAKE_SLOTS; i++) {
		struct op *op = &fake->op[(from + i) % FAKE_SLOTS];

		if (op->state == state)
			return op;
	}
	return NULL;
}

static void set_readable(struct fake *f)
{
	uint64_t count = 1;

	if (any_op(OP_DONE))
		schedule_check(write(f->fd, &count, sizeof(count)) ==
			       sizeof(count));
	else
		(void)!read(f->fd, &count, sizeof(count));
}

/* A part of a transfer. */
static int64_t run_short(const struct block_call *call)
{
	struct block_call part = *call;
	struct iovec iov;

	if (call->nr_iov == 0)
		return run(call);
	iov = *call->iov;
	iov.iov_len = schedule_below(iov.iov_len) + 1;
	part.iov = &iov;
	part.nr_iov = 1;
	return __real_block_call_run(&part);
}

static void complete(struct op *op)
{
	static const int plain[] = {EAGAIN, EINVAL, EOPNOTSUPP};

	switch (schedule_below(16)) {
	case 0:
		op->result = -EIO;
		fake_hurt(&op->call);
		break;
	case 1:
		op->result = -EINTR;
		break;
	case 2:
		op->result = -plain[schedule_below(ARRAY_SIZE(plain))];
		break;
	case 3:
	case 4:
		op->result = run_short(&op->call);
		break;
	default:
		op->result = run(&op->call);
		break;
	}
	op->state = OP_DONE;
}

static int fake_fd(struct block_engine *e)
{
	return fake_of(e)->fd;
}

static bool fake_add(struct block_engine *e, const struct block_call *call,
		     void *tag)
{
	struct fake *f = fake_of(e);
	struct op *op = any_op(OP_FREE);

	if (schedule_once_in(50))
		return false;
	schedule_check(op != NULL);
	schedule_check(block_call_cost(call) <= FAKE_PIECE);
	schedule_check(fake_may_begin());
	op->call = *call;
	op->tag = tag;
	op->state = OP_ADDED;
	f->added[f->nr_added++] = op;
	return true;
}

static int fake_submit(struct block_engine *e)
{
	struct fake *f = fake_of(e);

	fake_meanwhile();

	while (f->nr_added > 0) {
		struct op *op = f->added[0];

		if (schedule_once_in(100))
			return -EAGAIN;
		memmove(f->added, f->added + 1,
			--f->nr_added * sizeof(f->added[0]));
		op->state = OP_BEGUN;
		f->cost += block_call_cost(&op->call);
		if (!f->hung && schedule_once_in(3))
			complete(op);
	}
	set_readable(f);
	return 0;
}

static bool fake_take_back(struct block_engine *e, void **tag)
{
	struct fake *f = fake_of(e);
	struct op *op;

	if (f->nr_added == 0)
		return false;
	op = f->added[--f->nr_added];
	op->state = OP_FREE;
	*tag = op->tag;
	set_readable(f);
	return true;
}

static bool fake_next(struct block_engine *e, void **tag, int64_t *result)
{
	struct op *op = any_op(OP_DONE);

	if (!op)
		return false;
	*tag = op->tag;
	*result = op->result;
	op->state = OP_FREE;
	set_readable(fake_of(e));
	return true;
}

static bool fake_wait(struct block_engine *e, uint64_t deadline_ns)
{
	struct fake *f = fake_of(e);
	struct op *op = any_op(OP_BEGUN);

	if (any_op(OP_DONE))
		return true;
	if (f->hung || !op || schedule_once_in(20)) {
		if (schedule.now < deadline_ns)
			schedule.now = deadline_ns;
		return false;
	}
	complete(op);
	set_readable(f);
	/* A slow host: the deadline passes with this result. */
	if (schedule_once_in(10) && schedule.now < deadline_ns)
		schedule.now = deadline_ns;
	return true;
}

static void fake_free(struct block_engine *e)
{
	struct fake *f = fake_of(e);

	(void)close(f->fd);
	free(f);
	fake = NULL;
}

static const struct block_engine_ops fake_ops = {
	.name = "fake",
	.slots = FAKE_SLOTS,
	.piece = FAKE_PIECE,
	.fd = fake_fd,
	.add = fake_add,
	.submit = fake_submit,
	.take_back = fake_take_back,
	.next = fake_next,
	.wait = fake_wait,
	.free = fake_free,
};

static struct block_engine *fake_new(void)
{
	fake = calloc(1, sizeof(*fake));
	schedule_check(fake != NULL);
	fake->engine.ops = &fake_ops;
	fake->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	schedule_check(fake->fd >= 0);
	return &fake->engine;
}
