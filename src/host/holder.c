// SPDX-License-Identifier: Apache-2.0
/*
 * holder.c - which process has a thing of the host (holder.h)
 */
#include "host/holder.h"

#include "base/fd.h"
#include "host/below.h"
#include "host/path.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define COMMAND_MAX 2048

/* NULL when there is none, or it is not for us. */
static DIR *holder_open_dir(const struct path_opener *opener, const char *path)
{
	int fd = path_open(opener, PATH_PROC_DIR, path, NULL);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		fd_close(&fd);
	return dir;
}

static bool line_has(const char *text, const char *key, const char *mark)
{
	for (const char *line = text; *line; line += *line == '\n') {
		size_t len = strcspn(line, "\n");

		if (strncmp(line, key, strlen(key)) == 0 &&
		    memmem(line, len + (line[len] == '\n'), mark, strlen(mark)))
			return true;
		line += len;
	}
	return false;
}

/* Has the open file @fd, of /proc/PID/fdinfo, a line @key with @mark in it? */
static bool has_line(int fd, const char *key, const char *mark)
{
	char text[1024];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n < 0)
		return false;
	text[n] = '\0';
	return line_has(text, key, mark);
}

/* Has a descriptor of process @pid such a line? */
static bool has_mark(const struct path_opener *opener, const char *pid,
		     const char *key, const char *mark)
{
	char path[64];
	bool found = false;
	struct dirent *entry;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%.20s/fdinfo", pid);
	dir = holder_open_dir(opener, path);
	while (dir && !found && (entry = readdir(dir))) {
		cleanup_fd int fd =
			below_open(dirfd(dir), entry->d_name, BELOW_PROC);

		found = has_line(fd, key, mark);
	}
	if (dir)
		(void)closedir(dir);
	return found;
}

/* What follows "--id" on the command line of a VMM; NULL: it has none. */
static const char *id_of(const char *words, size_t len)
{
	const char *end = words + len;

	for (const char *word = words; word < end; word += strlen(word) + 1)
		if (strcmp(word, "--id") == 0 && word + 5 < end)
			return word + 5;
	return NULL;
}

static ssize_t holder_read_file(int proc, const char *pid, const char *name,
				char *text, size_t size)
{
	char path[64];
	cleanup_fd int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%.20s/%s", pid, name);
	fd = below_open(proc, path, BELOW_PROC);
	n = fd < 0 ? -1 : read(fd, text, size - 1);
	text[n < 0 ? 0 : n] = '\0';
	return n;
}

/* Names come from other processes: what could move a cursor is left out. */
static void make_plain(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

static void holder_describe(int proc, const char *pid, char *text, size_t size)
{
	char words[COMMAND_MAX], name[32];
	ssize_t n =
		holder_read_file(proc, pid, "cmdline", words, sizeof(words));
	const char *id = n > 0 ? id_of(words, (size_t)n) : NULL;

	(void)holder_read_file(proc, pid, "comm", name, sizeof(name));
	name[strcspn(name, "\n")] = '\0';
	if (id && strcmp(name, "firecracker") == 0)
		(void)snprintf(text, size, " by VM %.64s (process %.20s)", id,
			       pid);
	else
		(void)snprintf(text, size, " by process %.20s (%s)", pid, name);
	make_plain(text);
}

void holder_find(const struct path_opener *opener, const char *key,
		 const char *mark, char *text, size_t size)
{
	struct dirent *entry;
	char self[24];
	DIR *dir = holder_open_dir(opener, "/proc");

	text[0] = '\0';
	(void)snprintf(self, sizeof(self), "%d", getpid());
	while (dir && !text[0] && (entry = readdir(dir)))
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
		    strcmp(entry->d_name, self) != 0 &&
		    has_mark(opener, entry->d_name, key, mark))
			holder_describe(dirfd(dir), entry->d_name, text, size);
	if (dir)
		(void)closedir(dir);
}

void holder_of_file(const struct path_opener *opener, struct file_id file,
		    char *text, size_t size)
{
	char mark[64];

	/* As in /proc/locks (fs/locks.c). */
	(void)snprintf(mark, sizeof(mark), " %02x:%02x:%llu ", major(file.dev),
		       minor(file.dev), (unsigned long long)file.ino);
	holder_find(opener, "lock:", mark, text, size);
}

void holder_of_lock(const struct path_opener *opener, int fd, char *text,
		    size_t size)
{
	struct stat st;

	text[0] = '\0';
	if (opener->ops->holder)
		opener->ops->holder(opener, fd, text, size);
	else if (fd_stat(fd, &st) == 0)
		holder_of_file(opener, (struct file_id){st.st_dev, st.st_ino},
			       text, size);
}
