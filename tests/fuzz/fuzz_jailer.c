// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_jailer.c - the jailer's words, mount tables and programs
 *
 * The first byte chooses the reader. What a reader accepts keeps what its
 * header promises: no setting names a path, no parent leads up, no number is
 * one that the kernel takes for another.
 */
#include "host/cgroup_mount.h"
#include "host/handover.h"
#include "jailer/plan.h"

#include "base/fd.h"

#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
	if (!good)
		abort();
}

static void fuzz_setting(const char *text)
{
	struct cgroup_setting s;
	struct err err;

	if (cgroup_parse(text, &s, &err) < 0)
		return;
	check(!memchr(s.file, '/', s.file_len));
	check(s.controller_len > 0 && s.controller_len < s.file_len);
	check(s.file[s.file_len] == '=' && s.value[0]);
}

static void fuzz_parent(const char *text)
{
	struct err err;

	if (cgroup_check_parent(text, &err) < 0)
		return;
	check(text[0] != '/' && strcmp(text, "..") != 0);
	check(!strstr(text, "/../") && strncmp(text, "../", 3) != 0);
}

static void fuzz_words(const char *text)
{
	struct plan_limits limits = {0};
	unsigned int version;
	struct err err;
	uint32_t user;

	if (plan_check_id(text, &err) == 0)
		check(!strchr(text, '/') && !strchr(text, '.') && *text &&
		      strlen(text) <= 64);
	if (plan_parse_user("uid", text, &user, &err) == 0)
		check(user != UINT32_MAX);
	if (cgroup_parse_version(text, &version, &err) == 0)
		check(version == 1 || version == 2);
	if (plan_parse_limit(text, &limits, &err) == 0)
		check(strchr(text, '=') != NULL);
}

static void fuzz_mounts(const char *text)
{
	char *out = NULL;
	bool any;

	if (cgroup_find_mount(text, 1, "cpu", 3, &out, &any) == 0)
		check(any && strlen(out) < strlen(text));
	free(out);
	out = NULL;
	if (cgroup_find_mount(text, 2, "", 0, &out, &any) == 0)
		check(any && strlen(out) < strlen(text));
	free(out);
}

static void fuzz_program(const uint8_t *data, size_t size)
{
	cleanup_fd int fd = memfd_create("program", MFD_CLOEXEC);

	check(fd >= 0 && fd_write_full(fd, data, size) == 0);
	if (handover_wanted(fd))
		check(memmem(data, size, "Volt", 5) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup_free char *text = NULL;

	if (size == 0)
		return 0;
	text = strndup((const char *)data + 1, size - 1);
	check(text != NULL);
	switch (data[0] % 5) {
	case 0:
		fuzz_setting(text);
		break;
	case 1:
		fuzz_parent(text);
		break;
	case 2:
		fuzz_words(text);
		break;
	case 3:
		fuzz_mounts(text);
		break;
	default:
		fuzz_program(data + 1, size - 1);
	}
	return 0;
}
