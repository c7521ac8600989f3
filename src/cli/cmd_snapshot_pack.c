// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_snapshot_pack.c - `volt snapshot compress` and `decompress`
 */
#include "cli/cli.h"
#include "cli/pack.h"

#include "base/fd.h"
#include "image/workset.h"
#include "pack/pack.h"
#include "pack/write.h"
#include "snapshot/repack.h"
#include "store/progress.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define FRAME_KIB_MIN 64u
#define FRAME_KIB_MAX 2048u
#define THREADS_MAX   64u

#define AT(member)    .offset = offsetof(struct pack_options, member)

/* clang-format off */
static const struct arg compress_args[] = {
	{"level", "N", "of zstd, 1 to 19 (default 1). A higher one takes "
	 "longer now, and no longer when it is read", .kind = ARG_NUMBER,
	 .min = 1, .max = PACK_LEVEL_MAX, AT(level)},
	{"threads", "N", "at most so many at once (default: one for each "
	 "processor)", .kind = ARG_NUMBER, .min = 1, .max = THREADS_MAX,
	 AT(threads)},
	{"frame", "KIB", "memory that is read and unpacked at once: 64, 128 "
	 "(default), 256, 512, 1024 or 2048", .kind = ARG_NUMBER,
	 .min = FRAME_KIB_MIN, .max = FRAME_KIB_MAX, AT(frame_kib)},
};
/* clang-format on */

const struct args_page cmd_snapshot_compress_page = {
	.name = "volt snapshot compress",
	.summary = "store the memory of a snapshot in less room",
	.usage = "[OPTIONS] DIR",
	.about =
		"Compresses the memory of the snapshot in DIR with zstd, in "
		"frames that can be read one by one. Zeros and pages that are "
		"there twice take no room. Where DIR has a working set "
		"(`volt restore --record DIR`), its pages come first, "
		"in the order of use. The snapshot is replaced as a "
		"whole, or not at all; a diff stays one, and what needs this "
		"snapshot finds it as before. `volt snapshot decompress` makes "
		"it raw again: a raw one restores fastest.\n",
	.args = compress_args,
	.nr_args = ARRAY_SIZE(compress_args),
	.exit = "0 done; 1 failed, or it is compressed already; 64 bad usage.",
	.nr_words = 1,
};

const struct args_page cmd_snapshot_decompress_page = {
	.name = "volt snapshot decompress",
	.summary = "store the memory of a snapshot as it is",
	.usage = "DIR",
	.about = "Makes the memory of a snapshot that was compressed raw "
		 "again, so that a VM maps it. What is damaged is refused, and "
		 "stays.\n",
	.exit = "0 done; 1 failed, or it is raw already; 64 bad usage.",
	.nr_words = 1,
};

/**
 * struct packing - a snapshot that is being compressed
 * @hot:	its working set, or another moment's
 * @line:	a line for a terminal was begun
 */
struct packing {
	struct progress progress;
	const struct args_page *page;
	struct pack_how how;
	struct pack_stats stats;
	struct workset hot;
	uint64_t size;
	bool line;
};

/* A terminal sees each second, a log nothing: that is for who waits. */
static void packing_say(struct progress *progress, const char *what,
			uint64_t done, uint64_t total)
{
	struct packing *p = container_of(progress, struct packing, progress);

	if (!isatty(STDERR_FILENO) || total == 0)
		return;
	(void)fprintf(stderr, "\r%s: %s, %llu %% ", p->page->name, what,
		      (unsigned long long)(100 * done / total));
	p->line = true;
}

static void packing_tell(void *ctx, uint64_t done, uint64_t all)
{
	struct packing *p = ctx;

	progress_tell(&p->progress, "compressing", done, all);
}

static int packing_write(void *ctx, const struct image_layer *from,
			 uint64_t size, const struct snapshot_label *label,
			 int to, struct err *err)
{
	struct packing *p = ctx;
	bool same = p->hot.moment == label->moment;
	const struct pack_from what = {
		.layer = from,
		.size = size,
		.label = *label,
		.hot = p->hot.page,
		.nr_hot = same ? p->hot.nr : 0,
	};

	p->size = size;
	return pack_write(&what, &p->how, to, &p->stats, err);
}

static uint64_t kib_of_pages(uint64_t pages)
{
	return pages * (PAGE_SIZE / 1024);
}

static void packing_done(const struct packing *p, const char *dir)
{
	const struct pack_stats *s = &p->stats;
	char room[CLI_CLEAN_MAX];

	(void)printf("compressed %s: %llu MiB of memory in %llu KiB; of %llu "
		     "KiB that it held, %llu KiB were zero, %llu KiB there "
		     "twice, and %llu KiB come first\n",
		     cli_clean(dir, room), (unsigned long long)(p->size >> 20),
		     (unsigned long long)(s->file_bytes + 1023) / 1024,
		     (unsigned long long)kib_of_pages(s->pages),
		     (unsigned long long)kib_of_pages(s->zero),
		     (unsigned long long)kib_of_pages(s->repeated),
		     (unsigned long long)kib_of_pages(s->hot));
}

static int pack_paths(struct snapshot_paths *paths, const char *dir,
		      struct err *err)
{
	int r = snapshot_paths_in(paths, dir);

	paths->unpack = &pack_unpacker;
	return r < 0 ? err_set(err, r, "out of memory") : 0;
}

/* It lies beside the memory, if there is one; it is a hint, so a damaged one is
 * told of, and does without. Return: 0 or -ENOMEM with a sentence. */
static int packing_read_hot(struct packing *p, const char *dir, struct err *err)
{
	cleanup_free char *path = NULL;
	cleanup_fd int fd = -1;
	int r;

	if (asprintf(&path, "%s/" WORKSET_NAME, dir) < 0) {
		path = NULL;
		return err_set(err, -ENOMEM, "out of memory");
	}
	fd = path_open(&path_direct, PATH_MEMORY, path, NULL);
	if (fd < 0)
		return 0;
	r = workset_read(&p->hot, fd, path, err);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		(void)cli_fail(1, p->page, err);
	return 0;
}

int pack_snapshot(const struct args_page *page, const char *dir,
		  const struct pack_options *o, struct err *err)
{
	struct packing p = {
		.progress.say = packing_say,
		.page = page,
		.how = {.level = o->level ? (int)o->level : PACK_LEVEL_DEFAULT,
			.frame_pages = PACK_FRAME_PAGES_DEFAULT,
			.threads = (unsigned int)o->threads,
			.progress = packing_tell,
			.ctx = &p},
	};
	const struct snapshot_packer packer = {packing_write, &p};
	struct snapshot_paths paths = {0};
	int r = pack_paths(&paths, dir, err);

	if (o->frame_kib)
		p.how.frame_pages = (uint32_t)o->frame_kib * 1024 / PAGE_SIZE;
	if (r == 0)
		r = packing_read_hot(&p, dir, err);
	if (r == 0)
		r = snapshot_compress(&paths, &packer, err);
	workset_fini(&p.hot);
	snapshot_paths_free(&paths);
	if (p.line)
		(void)fputc('\n', stderr);
	if (r == 0)
		packing_done(&p, dir);
	return r;
}

int cmd_snapshot_compress(const struct args_page *page, int argc, char **argv)
{
	struct pack_options o = {0};
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 1, &o, &args);

	if (r != CLI_GO_ON)
		return r;
	if ((o.frame_kib & (o.frame_kib - 1)) != 0)
		return cli_misuse(page, "--frame is 64, 128, 256, 512, 1024 or "
					"2048");
	r = pack_snapshot(page, args.words[0], &o, &err);
	return r < 0 ? cli_fail(1, page, &err) : 0;
}

int cmd_snapshot_decompress(const struct args_page *page, int argc, char **argv)
{
	struct snapshot_paths paths = {0};
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 1, NULL, &args);

	if (r != CLI_GO_ON)
		return r;
	r = pack_paths(&paths, args.words[0], &err);
	if (r == 0)
		r = snapshot_decompress(&paths, &err);
	snapshot_paths_free(&paths);
	return r < 0 ? cli_fail(1, page, &err) : 0;
}
