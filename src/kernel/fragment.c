// SPDX-License-Identifier: Apache-2.0
/*
 * fragment.c - pieces of a kernel's configuration (fragment.h)
 */
#include "kernel/fragment.h"

#include "kernel/kconfig.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX  "CONFIG_"
#define NOT_SET " is not set"
#define MAYBE   "# Where Linux has "

void fragments_free(struct fragments *all)
{
	for (size_t i = 0; i < all->nr; i++) {
		free(all->lines[i].name);
		free(all->lines[i].value);
	}
	free(all->lines);
	*all = (struct fragments){0};
}

static size_t option_len(const char *at, const char *end)
{
	const char *p = at;

	while (p < end &&
	       ((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') ||
		(*p >= '0' && *p <= '9') || *p == '_'))
		p++;
	return (size_t)(p - at);
}

static int set_option(struct fragments *all, const char *name, size_t name_len,
		      const char *value, size_t len, bool maybe)
{
	char *text = strndup(value, len);
	struct fragment_line *more;

	if (!text)
		return -ENOMEM;
	for (size_t i = 0; i < all->nr; i++) {
		struct fragment_line *line = &all->lines[i];

		if (strncmp(line->name, name, name_len) != 0 ||
		    line->name[name_len])
			continue;
		free(line->value);
		line->value = text;
		line->maybe = maybe;
		return 0;
	}
	more = reallocarray(all->lines, all->nr + 1, sizeof(*more));
	if (more) {
		all->lines = more;
		more[all->nr].name = strndup(name, name_len);
		more[all->nr].value = text;
		more[all->nr].maybe = maybe;
	}
	if (!more || !more[all->nr].name) {
		free(text);
		return -ENOMEM;
	}
	all->nr++;
	return 0;
}

static bool starts(const char *at, const char *end, const char *with)
{
	size_t len = strlen(with);

	return (size_t)(end - at) >= len && memcmp(at, with, len) == 0;
}

/* Return: 0, also for a comment; -EINVAL: it is no option; -ENOMEM. */
static int lay_line(struct fragments *all, const char *at, const char *end,
		    bool maybe)
{
	bool set = starts(at, end, PREFIX);
	const char *name = at + strlen(PREFIX) + (set ? 0 : 2);
	size_t len;

	if (!set && !starts(at, end, "# " PREFIX))
		return at == end || *at == '#' ? 0 : -EINVAL;
	len = option_len(name, end);
	if (len == 0)
		return -EINVAL;
	if (!set)
		return starts(name + len, end, NOT_SET)
			       ? set_option(all, name, len, "n", 1, maybe)
			       : 0;
	if (name + len >= end - 1 || name[len] != '=')
		return -EINVAL;
	return set_option(all, name, len, name + len + 1,
			  (size_t)(end - name) - len - 1, maybe);
}

int fragments_lay(struct fragments *all, const char *from, const char *text,
		  size_t len, struct err *err)
{
	const char *at = text, *end = text + len;
	bool maybe = false;

	for (unsigned int n = 1; at < end; n++) {
		const char *found = memchr(at, '\n', (size_t)(end - at));
		const char *stop = found ? found : end;
		int r;

		maybe = at != stop && (maybe || starts(at, stop, MAYBE));
		r = lay_line(all, at, stop, maybe);
		if (r == -EINVAL)
			return err_set(err, r,
				       "Line %u of %s is neither an option "
				       "(CONFIG_NAME=y) nor a comment",
				       n, from);
		if (r < 0)
			return err_set(err, r, "Out of memory");
		at = found ? found + 1 : end;
	}
	return 0;
}

static int fragment_read(const char *path, struct buf *out, struct err *err)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, -errno, "Cannot open %s: %s", path,
			       err_name(errno));
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)KCONFIG_BYTES_MAX)
		return err_set(err, -EINVAL, "%s is no configuration", path);
	if (!buf_reserve(out, (size_t)st.st_size + 1))
		return err_set(err, -ENOMEM, "Out of memory");
	r = fd_read_full(fd, out->data, (size_t)st.st_size, 0);
	if (r < 0)
		return err_set(err, r, "Cannot read %s: %s", path, err_name(r));
	out->len = (size_t)st.st_size;
	if (memchr(out->data, '\0', out->len))
		return err_set(err, -EINVAL, "%s is no configuration", path);
	out->data[out->len] = '\0';
	return 0;
}

int fragments_lay_file(struct fragments *all, const char *path, struct err *err)
{
	cleanup_buf struct buf text = {0};
	int r = fragment_read(path, &text, err);

	return r < 0 ? r : fragments_lay(all, path, text.data, text.len, err);
}

void fragments_print(const struct fragments *all, struct buf *out)
{
	for (size_t i = 0; i < all->nr; i++) {
		const struct fragment_line *line = &all->lines[i];

		if (strcmp(line->value, "n") == 0)
			buf_addf(out, "# " PREFIX "%s" NOT_SET "\n",
				 line->name);
		else
			buf_addf(out, PREFIX "%s=%s\n", line->name,
				 line->value);
	}
}

/* Its value in a .config; "n": it is not set. */
static void value_in(const char *config, size_t len, const char *name,
		     char *value, size_t size)
{
	const char *at = config, *end = config + len;
	char key[96];
	int n = snprintf(key, sizeof(key), PREFIX "%s=", name);

	(void)snprintf(value, size, "n");
	if (n < 0 || (size_t)n >= sizeof(key))
		return;
	while ((at = memmem(at, (size_t)(end - at), key, (size_t)n))) {
		const char *from = at + n;
		const char *stop = memchr(from, '\n', (size_t)(end - from));

		if (at == config || at[-1] == '\n') {
			(void)snprintf(value, size, "%.*s",
				       (int)((stop ? stop : end) - from), from);
			return;
		}
		at = from;
	}
}

int fragments_find_lost(const struct fragments *all, size_t from,
			const char *config, size_t len)
{
	for (size_t i = from; i < all->nr; i++) {
		char value[256];

		value_in(config, len, all->lines[i].name, value, sizeof(value));
		if (strcmp(value, all->lines[i].value) != 0)
			return (int)i;
	}
	return -1;
}
