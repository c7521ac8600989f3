// SPDX-License-Identifier: Apache-2.0
/*
 * fail.c - makes one chosen allocation of a program fail
 *
 * Theory of operation
 *
 * volt-vmm-alloc is volt-vmm, linked with --wrap for every call that gets
 * memory: the C library's allocators and mmap(). They are counted from the
 * start of the process, over all its threads, and the one whose number is in
 * VOLT_ALLOC_FAIL (from 1) fails as it does where memory is short. The file
 * that VOLT_ALLOC_COUNT names is mapped and holds the number of calls, eight
 * bytes, whatever ends the process: the test knows when it has tried them all.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static atomic_ulong own_count;
static atomic_ulong *nr_calls = &own_count;
static unsigned long fail_at;

void *__real_malloc(size_t size);
void *__real_calloc(size_t nr, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t nr, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);
void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);
int __real_pthread_create(void *thread, const void *attr,
			  void *(*start)(void *), void *arg);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t nr, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t nr, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off);
int __wrap_pthread_create(void *thread, const void *attr,
			  void *(*start)(void *), void *arg);
int __wrap_asprintf(char **text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
int __wrap___asprintf_chk(char **text, int flag, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static bool fails(void)
{
	return atomic_fetch_add(nr_calls, 1) + 1 == fail_at;
}

static bool no_memory(void)
{
	if (!fails())
		return false;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return no_memory() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t nr, size_t size)
{
	return no_memory() ? NULL : __real_calloc(nr, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return no_memory() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t nr, size_t size)
{
	return no_memory() ? NULL : __real_reallocarray(p, nr, size);
}

char *__wrap_strdup(const char *text)
{
	return no_memory() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t len)
{
	return no_memory() ? NULL : __real_strndup(text, len);
}

void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
	return no_memory() ? MAP_FAILED
			   : __real_mmap(at, len, prot, flags, fd, off);
}

/* A thread without memory for its stack: EAGAIN, and not through errno. */
int __wrap_pthread_create(void *thread, const void *attr,
			  void *(*start)(void *), void *arg)
{
	return fails() ? EAGAIN
		       : __real_pthread_create(thread, attr, start, arg);
}

__attribute__((format(printf, 2, 0))) static int
print(char **text, const char *format, va_list args)
{
	if (no_memory())
		return -1; /* and *text is undefined */
	return vasprintf(text, format, args);
}

int __wrap_asprintf(char **text, const char *format, ...)
{
	va_list args;
	int r;

	va_start(args, format);
	r = print(text, format, args);
	va_end(args);
	return r;
}

int __wrap___asprintf_chk(char **text, int flag, const char *format, ...)
{
	va_list args;
	int r;

	(void)flag;
	va_start(args, format);
	r = print(text, format, args);
	va_end(args);
	return r;
}

static atomic_ulong *map_count(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	void *p = MAP_FAILED;

	if (fd >= 0 && ftruncate(fd, sizeof(*nr_calls)) == 0)
		p = __real_mmap(NULL, sizeof(*nr_calls), PROT_READ | PROT_WRITE,
				MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		perror(path);
		exit(2);
	}
	(void)close(fd);
	return p;
}

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("VOLT_ALLOC_COUNT");
	const char *number = getenv("VOLT_ALLOC_FAIL");

	if (path)
		nr_calls = map_count(path);
	fail_at = number ? strtoul(number, NULL, 10) : 0;
}
