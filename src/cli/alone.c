// SPDX-License-Identifier: Apache-2.0
/*
 * alone.c - VMs that somebody started as volt-vmm (alone.h)
 */
#include "cli/alone.h"

#include "base/fd.h"
#include "config/vm_args.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROGRAM "volt-vmm"

/* Options are far in front of what a longer command line ends with. */
#define CMDLINE_MAX 16384

/* Longer ones lead to no socket. */
#define FOLDER_MAX 1024

/* Return: the length, or -errno. */
static ssize_t read_link(const char *pid, const char *name,
			 char out[FOLDER_MAX])
{
	char path[64];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%.16s/%s", pid, name);
	n = readlink(path, out, FOLDER_MAX - 1);
	out[n > 0 ? n : 0] = '\0';
	return n < 0 ? -errno : n;
}

/* @name of /proc/@pid as text. Return: its length, or -1. */
static ssize_t alone_read_text(const char *pid, const char *name, char *out,
			       size_t size)
{
	cleanup_fd int fd = -1;
	char path[64];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%.16s/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, out, size - 1);
	out[n > 0 ? n : 0] = '\0';
	return n;
}

/* Its files in /proc are root's once a VM has locked itself: what they say of
 * its user counts. */
static bool alone_is_ours(const char *pid)
{
	static const char label[] = "\nUid:";
	char text[512];
	char *line, *end;

	if (alone_read_text(pid, "status", text, sizeof(text)) <= 0)
		return false;
	line = strstr(text, label);
	if (!line)
		return false;
	/* The real one, then the effective one. */
	(void)strtoul(line + strlen(label), &line, 10);
	return strtoul(line, &end, 10) == geteuid() && end != line;
}

/* A program that was replaced since has " (deleted)" behind its name. */
static bool is_program(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash ? slash + 1 : path;

	return strcmp(name, PROGRAM) == 0 ||
	       strcmp(name, PROGRAM " (deleted)") == 0;
}

/* A locked one hides which program it is, but not how it was called. */
static bool is_volt_vmm(const char *pid)
{
	char path[FOLDER_MAX], name[32];

	if (!alone_is_ours(pid))
		return false;
	if (read_link(pid, "exe", path) >= 0)
		return is_program(path);
	return alone_read_text(pid, "comm", name, sizeof(name)) > 0 &&
	       strcmp(name, "firecracker\n") == 0 &&
	       alone_read_text(pid, "cmdline", path, sizeof(path)) > 0 &&
	       is_program(path);
}

/* A volt-vmm has a child of the same program, which is no VM. */
static bool is_gate(const char *pid)
{
	char name[32];

	return alone_read_text(pid, "comm", name, sizeof(name)) > 0 &&
	       strcmp(name, VM_GATE_NAME "\n") == 0;
}

/* A locked one hides where it works; its gate does not, and works there, too.
 */
static void read_folder(const char *pid, char folder[FOLDER_MAX])
{
	char name[64], children[32];
	ssize_t n;

	if (read_link(pid, "cwd", folder) >= 0)
		return;
	(void)snprintf(name, sizeof(name), "task/%.16s/children", pid);
	n = alone_read_text(pid, name, children, sizeof(children));
	children[strspn(children, "0123456789")] = '\0';
	if (n <= 0 || !children[0] || !is_gate(children) ||
	    read_link(children, "cwd", folder) < 0)
		folder[0] = '\0';
}

static bool read_process(struct alone *vm, const char *pid)
{
	char path[64], folder[FOLDER_MAX];
	cleanup_free char *words = malloc(CMDLINE_MAX);
	cleanup_fd int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%.16s/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 && words ? read(fd, words, CMDLINE_MAX) : -1;
	if (n <= 0)
		return false;
	read_folder(pid, folder);
	vm->pid = (pid_t)strtol(pid, NULL, 10);
	alone_read(vm, words, (size_t)n, folder);
	return true;
}

static int by_number(const struct dirent **a, const struct dirent **b)
{
	long x = strtol((*a)->d_name, NULL, 10);
	long y = strtol((*b)->d_name, NULL, 10);

	return x < y ? -1 : x > y;
}

static int is_process(const struct dirent *entry)
{
	return isdigit((unsigned char)entry->d_name[0]);
}

int alone_each(void (*each)(void *ctx, const struct alone *vm), void *ctx,
	       struct err *err)
{
	struct dirent **found;
	int n = scandir("/proc", &found, is_process, by_number);

	if (n < 0)
		return err_set(err, -errno, "Cannot list /proc: %s",
			       err_name(errno));
	for (int i = 0; i < n; i++) {
		const char *pid = found[i]->d_name;
		struct alone vm;

		if (is_volt_vmm(pid) && !is_gate(pid) && read_process(&vm, pid))
			each(ctx, &vm);
		free(found[i]);
	}
	free(found);
	return 0;
}
