// SPDX-License-Identifier: Apache-2.0
/*
 * write.c - a packed memory file is written (theory of operation: write.h)
 */
#include "pack/write.h"

#include "base/crc64.h"
#include "base/fd.h"
#include "image/copy.h"
#include "image/packed.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zstd.h>

#define PACK_THREADS_MAX 64u
/* Frames that may wait for the one that is written next, for each thread. */
#define PACK_AHEAD 4u
#define PACK_NICE  10
/* Frames from one call of progress() to the next. */
#define PACK_TELL 64u

/**
 * struct frame_out - a frame on its way
 * @bytes:	of @data; 0: it is not done
 */
struct frame_out {
	uint8_t *data;
	size_t bytes;
};

/**
 * struct packer - the second pass
 * @next:	the frame that a thread takes next
 * @written:	frames that are in the file
 * @out:	of frame i at i % @nr_out
 * @err:	of the first that failed
 * @changed:	any of these
 */
struct packer {
	const struct pack_from *from;
	const struct pack_how *how;
	const struct pack_plan *plan;
	uint32_t nr_frames;
	size_t frame_bytes;
	size_t bound;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint32_t next;
	uint32_t written;
	struct frame_out *out;
	uint32_t nr_out;
	int failed;
	struct err err;
};

/* ---- threads ---- */

/**
 * struct pack_worker - what a thread has of its own
 */
struct pack_worker {
	struct packer *packer;
	pthread_t thread;
	bool runs;
	ZSTD_CCtx *zstd;
	uint8_t *pages;
};

static void packer_fail(struct packer *p, const struct err *err)
{
	(void)pthread_mutex_lock(&p->lock);
	if (p->failed == 0) {
		p->failed = err->rc;
		p->err = *err;
	}
	(void)pthread_cond_broadcast(&p->changed);
	(void)pthread_mutex_unlock(&p->lock);
}

/* The pages of a frame; those that lie side by side at once. Return: bytes, or
 * -errno with a sentence. */
static int64_t worker_gather(struct pack_worker *w, uint32_t frame,
			     struct err *err)
{
	const struct pack_plan *plan = w->packer->plan;
	uint32_t at = frame * w->packer->how->frame_pages;
	uint32_t end = at + w->packer->how->frame_pages;
	uint8_t *to = w->pages;

	if (end > plan->nr_stored)
		end = plan->nr_stored;
	while (at < end) {
		uint32_t n = 1;
		int r;

		while (at + n < end &&
		       plan->source[at + n] == plan->source[at] + n)
			n++;
		r = image_layer_read(w->packer->from->layer,
				     (uint64_t)plan->source[at] * PAGE_SIZE, to,
				     (uint64_t)n * PAGE_SIZE, err);
		if (r < 0)
			return r;
		to += (size_t)n * PAGE_SIZE;
		at += n;
	}
	return to - w->pages;
}

static int worker_pack(struct pack_worker *w, uint32_t frame, struct err *err)
{
	struct packer *p = w->packer;
	struct frame_out *out = &p->out[frame % p->nr_out];
	int64_t len = worker_gather(w, frame, err);
	size_t n;

	if (len < 0)
		return (int)len;
	n = ZSTD_compress2(w->zstd, out->data, p->bound, w->pages, (size_t)len);
	if (ZSTD_isError(n))
		return err_set(err, -EIO, "zstd cannot compress: %s",
			       ZSTD_getErrorName(n));
	(void)pthread_mutex_lock(&p->lock);
	out->bytes = n;
	(void)pthread_cond_broadcast(&p->changed);
	(void)pthread_mutex_unlock(&p->lock);
	return 0;
}

/* Return: false: there is nothing more to do. */
static bool worker_take(struct packer *p, uint32_t *frame)
{
	bool more;

	(void)pthread_mutex_lock(&p->lock);
	while (p->failed == 0 && p->next < p->nr_frames &&
	       p->next >= p->written + p->nr_out)
		(void)pthread_cond_wait(&p->changed, &p->lock);
	more = p->failed == 0 && p->next < p->nr_frames;
	if (more)
		*frame = p->next++;
	(void)pthread_mutex_unlock(&p->lock);
	return more;
}

static void *worker_main(void *arg)
{
	struct pack_worker *w = arg;
	struct err err;
	uint32_t frame;

	/* Of this thread alone, on Linux; whoever has less already keeps it. */
	if (getpriority(PRIO_PROCESS, 0) < PACK_NICE)
		(void)setpriority(PRIO_PROCESS, 0, PACK_NICE);
	while (worker_take(w->packer, &frame))
		if (worker_pack(w, frame, &err) < 0)
			packer_fail(w->packer, &err);
	return NULL;
}

static int worker_start(struct pack_worker *w, struct packer *p,
			struct err *err)
{
	const struct pack_how *how = p->how;
	int r;

	w->packer = p;
	w->zstd = ZSTD_createCCtx();
	w->pages = malloc(p->frame_bytes);
	if (!w->zstd || !w->pages)
		return err_set(err, -ENOMEM, "Out of memory");
	if (ZSTD_isError(ZSTD_CCtx_setParameter(
		    w->zstd, ZSTD_c_compressionLevel, how->level)) ||
	    ZSTD_isError(
		    ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_checksumFlag, 1)))
		return err_set(err, -EINVAL, "zstd has no level %d",
			       how->level);
	r = pthread_create(&w->thread, NULL, worker_main, w);
	w->runs = r == 0;
	return r == 0 ? 0
		      : err_set(err, -r, "Cannot start a thread: %s",
				err_name(r));
}

static unsigned int pack_processors(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) < 0)
		return 1;
	return (unsigned int)CPU_COUNT(&set);
}

/* ---- the file ---- */

static int pack_write_failed(int r, struct err *err)
{
	return err_set(err, r, "Cannot write the memory file: %s", err_name(r));
}

/* The next frame, when it is done. Return: its bytes, or -errno with a
 * sentence. */
static int64_t packer_wait(struct packer *p, struct err *err)
{
	struct frame_out *out = &p->out[p->written % p->nr_out];
	int64_t n;

	(void)pthread_mutex_lock(&p->lock);
	while (p->failed == 0 && out->bytes == 0)
		(void)pthread_cond_wait(&p->changed, &p->lock);
	n = p->failed ? p->failed : (int64_t)out->bytes;
	(void)pthread_mutex_unlock(&p->lock);
	if (n < 0)
		*err = p->err;
	return n;
}

static void packer_next(struct packer *p)
{
	(void)pthread_mutex_lock(&p->lock);
	p->out[p->written % p->nr_out].bytes = 0;
	p->written++;
	(void)pthread_cond_broadcast(&p->changed);
	(void)pthread_mutex_unlock(&p->lock);
	if (p->how->progress && p->written % PACK_TELL == 0)
		p->how->progress(p->how->ctx, p->written, p->nr_frames);
}

/* All frames, in their order. @index: their part of it. */
static int packer_collect(struct packer *p, int to, uint8_t *index,
			  uint64_t *end, struct err *err)
{
	uint64_t at = PACKED_HEAD_BYTES;

	while (p->written < p->nr_frames) {
		const struct frame_out *out = &p->out[p->written % p->nr_out];
		int64_t n = packer_wait(p, err);
		int r;

		if (n < 0)
			return (int)n;
		r = image_write_at(to, out->data, (uint64_t)n, at);
		if (r < 0)
			return pack_write_failed(r, err);
		store_le32(index, (uint32_t)n);
		store_le32(index + 4, load_le32(out->data + n - 4));
		index += PACKED_FRAME_BYTES;
		at += (uint64_t)n;
		packer_next(p);
	}
	*end = at;
	return 0;
}

static int packer_run(struct packer *p, int to, uint8_t *index, uint64_t *end,
		      struct err *err)
{
	unsigned int nr = p->how->threads ? p->how->threads : pack_processors();
	struct pack_worker *w;
	int r = 0;

	nr = nr > PACK_THREADS_MAX ? PACK_THREADS_MAX : nr;
	w = calloc(nr, sizeof(*w));
	p->nr_out = nr * PACK_AHEAD;
	p->out = calloc(p->nr_out, sizeof(*p->out));
	if (!w || !p->out)
		r = -ENOMEM;
	for (uint32_t i = 0; p->out && i < p->nr_out && r == 0; i++) {
		p->out[i].data = malloc(p->bound);
		if (!p->out[i].data)
			r = -ENOMEM;
	}
	if (r < 0)
		(void)err_set(err, r, "Out of memory");
	for (unsigned int i = 0; w && i < nr && r == 0; i++)
		r = worker_start(&w[i], p, err);
	if (r == 0)
		r = packer_collect(p, to, index, end, err);
	if (r < 0)
		packer_fail(p, err);
	for (unsigned int i = 0; w && i < nr; i++) {
		if (w[i].runs)
			(void)pthread_join(w[i].thread, NULL);
		(void)ZSTD_freeCCtx(w[i].zstd);
		free(w[i].pages);
	}
	for (uint32_t i = 0; p->out && i < p->nr_out; i++)
		free(p->out[i].data);
	free(p->out);
	free(w);
	return r;
}

static void pack_put_runs(const struct pack_plan *plan, uint8_t *to)
{
	for (uint32_t i = 0; i < plan->nr_runs; i++, to += PACKED_RUN_BYTES) {
		store_le32(to, plan->run[i].page);
		store_le32(to + 4, plan->run[i].nr);
		store_le32(to + 8, plan->run[i].stored);
	}
}

static int pack_write_end(struct packed_head *head, const uint8_t *index,
			  int to, struct err *err)
{
	uint64_t len = packed_index_bytes(head);
	uint8_t bytes[PACKED_HEAD_BYTES];
	int r = image_write_at(to, index, len, head->index_at);

	head->index_crc = crc64(0, index, len);
	packed_head_encode(head, bytes);
	if (r == 0 && ftruncate(to, (off_t)packed_file_bytes(head)) < 0)
		r = -errno;
	if (r == 0)
		r = image_write_at(to, bytes, sizeof(bytes), 0);
	return r < 0 ? pack_write_failed(r, err) : 0;
}

static int pack_write_plan(struct packer *p, int to, struct pack_stats *stats,
			   struct err *err)
{
	struct packed_head head = {
		.size = p->from->size,
		.label = p->from->label,
		.frame_pages = p->how->frame_pages,
		.nr_pages = p->plan->nr_stored,
		.nr_hot = p->plan->nr_hot,
		.nr_runs = p->plan->nr_runs,
	};
	cleanup_free uint8_t *index = malloc(packed_index_bytes(&head) + 1);
	int r;

	if (!index)
		return err_set(err, -ENOMEM, "Out of memory");
	p->nr_frames = packed_frames(&head);
	pack_put_runs(p->plan,
		      index + (size_t)p->nr_frames * PACKED_FRAME_BYTES);
	r = packer_run(p, to, index, &head.index_at, err);
	if (r == 0)
		r = pack_write_end(&head, index, to, err);
	stats->stored = head.nr_pages;
	stats->hot = head.nr_hot;
	stats->file_bytes = r == 0 ? packed_file_bytes(&head) : 0;
	return r;
}

int pack_write(const struct pack_from *from, const struct pack_how *how, int to,
	       struct pack_stats *stats, struct err *err)
{
	const size_t frame_bytes = (size_t)how->frame_pages * PAGE_SIZE;
	struct pack_plan plan;
	struct packer p = {
		.from = from,
		.how = how,
		.plan = &plan,
		.frame_bytes = frame_bytes,
		.bound = ZSTD_compressBound(frame_bytes),
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
	};
	int r;

	*stats = (struct pack_stats){0};
	if (from->size / PAGE_SIZE > PACKED_PAGES_MAX)
		return err_set(err, -EINVAL, "The memory is too large");
	r = pack_plan_make(&plan, from, stats, err);
	if (r == 0)
		r = pack_write_plan(&p, to, stats, err);
	pack_plan_fini(&plan);
	return r;
}
