// SPDX-License-Identifier: Apache-2.0
/*
 * uring.c - block operations by io_uring (theory: engine.h)
 *
 * One ring per device, made with it. The VMM thread submits; completions are
 * read by whoever holds the device's lock, so a reset on a vCPU thread can
 * wait for what is in flight. Waiting is poll() on the ring: it takes a
 * deadline on every kernel, needs no entry of the ring, and no lock.
 *
 * What io_uring does no seccomp filter sees, so the ring itself is restricted
 * to what a disk needs before it is enabled: whoever takes over this process
 * opens and connects nothing with it.
 *
 * liburing is used for its layout of the rings and its barriers; it is three
 * system calls and 8 KiB of code.
 */
#include "block/engine.h"

#include "host/clock.h"

#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>

#define NS_PER_MS 1000000u

/*
 * Linux 5.6: IORING_OP_READ and _FALLOCATE. Completions are never dropped, and
 * what a submission points to is copied by it.
 */
#define FEATURES                                       \
	(IORING_FEAT_NODROP | IORING_FEAT_RW_CUR_POS | \
	 IORING_FEAT_SUBMIT_STABLE)

/* Calls in flight */
#define SLOTS 128u

struct block_uring {
	struct block_engine engine;
	struct io_uring ring;
};

static struct block_uring *uring_self(struct block_engine *e)
{
	return container_of(e, struct block_uring, engine);
}

static int restrict_ring(struct io_uring *ring)
{
	static const uint8_t ops[] = {
		IORING_OP_READ,   IORING_OP_READV, IORING_OP_WRITE,
		IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_FALLOCATE,
	};
	struct io_uring_restriction rules[ARRAY_SIZE(ops) + 1] = {0};
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		rules[i].opcode = IORING_RESTRICTION_SQE_OP;
		rules[i].sqe_op = ops[i];
	}
	rules[ARRAY_SIZE(ops)].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
	rules[ARRAY_SIZE(ops)].sqe_flags = IOSQE_ASYNC;
	r = io_uring_register_restrictions(ring, rules, ARRAY_SIZE(rules));
	return r < 0 ? r : io_uring_enable_rings(ring);
}

static void uring_free(struct block_engine *e)
{
	io_uring_queue_exit(&uring_self(e)->ring);
	free(uring_self(e));
}

static int uring_fd(struct block_engine *e)
{
	return uring_self(e)->ring.ring_fd;
}

static void prepare_transfer(struct io_uring_sqe *sqe,
			     const struct block_call *c)
{
	unsigned int len = (unsigned int)c->iov->iov_len;
	void *buf = c->iov->iov_base;

	if (c->kind == BLOCK_CALL_READ && c->nr_iov == 1)
		io_uring_prep_read(sqe, c->fd, buf, len, c->off);
	else if (c->kind == BLOCK_CALL_READ)
		io_uring_prep_readv(sqe, c->fd, c->iov, c->nr_iov, c->off);
	else if (c->nr_iov == 1)
		io_uring_prep_write(sqe, c->fd, buf, len, c->off);
	else
		io_uring_prep_writev(sqe, c->fd, c->iov, c->nr_iov, c->off);
	sqe->rw_flags = c->flags;
}

static bool uring_add(struct block_engine *e, const struct block_call *c,
		      void *tag)
{
	struct io_uring_sqe *sqe;

	if (c->kind == BLOCK_CALL_DISCARD)
		return false; /* an ioctl */
	sqe = io_uring_get_sqe(&uring_self(e)->ring);
	assert(sqe); /* the ring has as many entries as the device slots */
	switch (c->kind) {
	case BLOCK_CALL_READ:
	case BLOCK_CALL_WRITE:
		prepare_transfer(sqe, c);
		break;
	case BLOCK_CALL_SYNC:
		io_uring_prep_fsync(sqe, c->fd, IORING_FSYNC_DATASYNC);
		break;
	default:
		/* liburing's own takes signed or unsigned, by its version. */
		io_uring_prep_rw(IORING_OP_FALLOCATE, sqe, c->fd, NULL,
				 (unsigned int)c->flags, c->off);
		sqe->addr = c->len;
		break;
	}
	/* The kernel's workers do it, or submitting is the copying. */
	if (c->large)
		sqe->flags |= IOSQE_ASYNC;
	io_uring_sqe_set_data(sqe, tag);
	return true;
}

static int uring_submit(struct block_engine *e)
{
	struct block_uring *u = uring_self(e);

	while (io_uring_sq_ready(&u->ring) > 0) {
		int r = io_uring_submit(&u->ring);

		if (r <= 0 && r != -EINTR)
			return r < 0 ? r : -EAGAIN;
	}
	return 0;
}

static bool uring_take_back(struct block_engine *e, void **tag)
{
	struct block_uring *u = uring_self(e);
	struct io_uring_sq *sq = &u->ring.sq;
	unsigned int last = sq->sqe_tail - 1;

	if (io_uring_sq_ready(&u->ring) == 0)
		return false;
	/* The tail is shown to the kernel, which looks when it is called. */
	if (sq->sqe_head == sq->sqe_tail) {
		sq->sqe_head = last;
		io_uring_smp_store_release(sq->ktail, *sq->ktail - 1);
	}
	sq->sqe_tail = last;
	*tag = (void *)(uintptr_t)sq->sqes[last & *sq->kring_mask].user_data;
	return true;
}

static bool uring_next(struct block_engine *e, void **tag, int64_t *result)
{
	struct block_uring *u = uring_self(e);
	struct io_uring_cqe *cqe;

	if (io_uring_cq_ready(&u->ring) == 0 ||
	    io_uring_peek_cqe(&u->ring, &cqe) < 0)
		return false;
	*tag = io_uring_cqe_get_data(cqe);
	*result = cqe->res;
	io_uring_cqe_seen(&u->ring, cqe);
	return true;
}

static bool uring_wait(struct block_engine *e, uint64_t deadline_ns)
{
	struct pollfd p = {.fd = uring_fd(e), .events = POLLIN};

	for (;;) {
		uint64_t now = now_ns();
		uint64_t ms = now < deadline_ns
				      ? (deadline_ns - now) / NS_PER_MS + 1
				      : 0;

		if (poll(&p, 1, ms > 1000 ? 1000 : (int)ms) > 0)
			return true;
		if (now >= deadline_ns)
			return false;
	}
}

static const struct block_engine_ops uring_ops = {
	.name = "io_uring",
	.slots = SLOTS,
	.piece = BLOCK_PIECE,
	.fd = uring_fd,
	.add = uring_add,
	.submit = uring_submit,
	.take_back = uring_take_back,
	.next = uring_next,
	.wait = uring_wait,
	.free = uring_free,
};

int block_uring_new(struct block_engine **out, struct err *err)
{
	struct block_uring *u = calloc(1, sizeof(*u));
	struct io_uring_params params = {.flags = IORING_SETUP_R_DISABLED};
	int r;

	if (!u)
		return err_set(err, -ENOMEM, "Out of memory");
	u->engine.ops = &uring_ops;
	r = io_uring_queue_init_params(SLOTS, &u->ring, &params);
	if (r < 0) {
		free(u);
		return err_set(err, r, "the host denies io_uring (%s)%s",
			       err_name(r),
			       r == -EINVAL ? "; it takes Linux 5.10" : "");
	}
	r = (params.features & FEATURES) == FEATURES ? restrict_ring(&u->ring)
						     : -ENOSYS;
	if (r < 0) {
		uring_free(&u->engine);
		return err_set(err, r, "io_uring cannot be restricted (%s)",
			       err_name(r));
	}
	*out = &u->engine;
	return 0;
}
