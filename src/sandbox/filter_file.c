// SPDX-License-Identifier: Apache-2.0
/*
 * filter_file.c - the file of --seccomp-filter (format: filter_file.h)
 */
#include "sandbox/filter_file.h"

#include "base/buf.h"
#include "base/clean.h"
#include "base/fd.h"
#include "host/path.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define DOES_NOT_PARSE "Filter deserialization failed: "

/* Names of threads that nobody has; a sentence takes no more. */
#define STRANGERS_MAX 200

static const char *const filter_file_names[] = {"vmm", "api", "vcpu"};
static_assert(ARRAY_SIZE(filter_file_names) == FILTER_FILE_NR, "name each");

/**
 * struct reader - what is left of the file
 */
struct reader {
	const uint8_t *at;
	size_t left;
	struct err *err;
};

/* @len bytes, which stay where they are; NULL with a sentence. */
static const uint8_t *filter_file_take(struct reader *r, uint64_t len)
{
	const uint8_t *at = r->at;

	if (len > FILTER_FILE_MAX) {
		(void)err_set(r->err, -EINVAL, DOES_NOT_PARSE "LimitExceeded");
		return NULL;
	}
	if (len > r->left) {
		(void)err_set(r->err, -EINVAL,
			      DOES_NOT_PARSE "UnexpectedEnd { additional: "
					     "%llu }",
			      (unsigned long long)(len - r->left));
		return NULL;
	}
	r->at += len;
	r->left -= (size_t)len;
	return at;
}

static bool filter_file_take_number(struct reader *r, uint64_t *to)
{
	const uint8_t *at = filter_file_take(r, sizeof(*to));

	if (at)
		memcpy(to, at, sizeof(*to));
	return at != NULL;
}

static int find_thread(const uint8_t *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(filter_file_names); i++)
		if (strlen(filter_file_names[i]) == len &&
		    strncasecmp(filter_file_names[i], (const char *)name,
				len) == 0)
			return (int)i;
	return -1;
}

/* A name once more replaces what it had, as in a map. */
static int keep(struct seccomp_program *p, const uint8_t *code, size_t nr,
		struct err *err)
{
	struct sock_filter *copy = calloc(nr + 1, sizeof(*copy));

	if (!copy)
		return err_set(err, -ENOMEM, "Out of memory");
	memcpy(copy, code, nr * sizeof(*copy));
	free(p->code);
	*p = (struct seccomp_program){.code = copy, .nr = nr};
	return 0;
}

/* One entry. @strangers: names so far that are no thread of ours */
static int read_entry(struct filter_file *f, struct reader *r,
		      struct buf *strangers)
{
	const uint8_t *name, *code;
	uint64_t len, nr;
	int thread;

	if (!filter_file_take_number(r, &len))
		return -EINVAL;
	name = filter_file_take(r, len);
	if (!name || !filter_file_take_number(r, &nr))
		return -EINVAL;
	code = filter_file_take(
		r, nr > FILTER_FILE_MAX ? nr : nr * sizeof(struct sock_filter));
	if (!code)
		return -EINVAL;
	thread = find_thread(name, (size_t)len);
	if (thread >= 0)
		return keep(&f->program[thread], code, (size_t)nr, r->err);
	buf_addf(strangers, "%s%.*s", strangers->len ? "," : "",
		 len > STRANGERS_MAX ? STRANGERS_MAX : (int)len,
		 (const char *)name);
	return 0;
}

int filter_file_parse(struct filter_file *f, const void *text, size_t len,
		      struct err *err)
{
	struct reader r = {.at = text, .left = len, .err = err};
	cleanup_buf struct buf strangers = {0};
	char clean[STRANGERS_MAX];
	uint64_t entries;

	if (!filter_file_take_number(&r, &entries))
		return -EINVAL;
	for (; entries > 0; entries--) {
		int rc = read_entry(f, &r, &strangers);

		if (rc < 0)
			return rc;
	}
	if (strangers.failed)
		return err_set(err, -ENOMEM, "Out of memory");
	if (strangers.len > 0) {
		size_t n = clean_text(clean, sizeof(clean) - 1, strangers.data,
				      strangers.len);

		return err_set(err, -EINVAL, "Invalid thread categories: %.*s",
			       (int)n, clean);
	}
	for (size_t i = 0; i < FILTER_FILE_NR; i++)
		if (!f->program[i].code)
			return err_set(err, -EINVAL,
				       "Missing thread category: %s",
				       filter_file_names[i]);
	return 0;
}

int filter_file_read(struct filter_file *f, const char *path, struct err *err)
{
	cleanup_free char *text = malloc(FILTER_FILE_MAX);
	cleanup_fd int fd = path_open(&path_direct, PATH_FILTER, path, err);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return err_plain(err, "Cannot open %s: %s", path,
				 err_name(-fd));
	if (!text)
		return err_set(err, -ENOMEM, "Out of memory");
	do {
		n = read(fd, text + len, FILTER_FILE_MAX - len);
		if (n > 0)
			len += (size_t)n;
	} while (n > 0 || (n < 0 && errno == EINTR));
	if (n < 0) {
		int r = -errno;

		(void)err_set(err, r, DOES_NOT_PARSE "%s (os error %d)",
			      err_name(r), -r);
		return err_plain(err, "Cannot read %s: %s", path, err_name(r));
	}
	return filter_file_parse(f, text, len, err);
}

void filter_file_free(struct filter_file *f)
{
	for (size_t i = 0; i < FILTER_FILE_NR; i++) {
		free(f->program[i].code);
		f->program[i] = (struct seccomp_program){0};
	}
}
