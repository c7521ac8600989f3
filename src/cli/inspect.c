// SPDX-License-Identifier: Apache-2.0
/*
 * inspect.c - what is in a snapshot
 *
 * Read as any program could: state.json is JSON, its first line holds the
 * CRC-64/ECMA-182 of all that follows that line (src/snapshot/state.h has the
 * format, src/snapshot/files.h says which memory file belongs to it). Nothing
 * of the VM is taken over, so this works on every host.
 */
#include "cli/inspect.h"

#include "base/crc64.h"
#include "base/fd.h"

#include "snapshot/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_MAX   MIB(16)
#define BLOCK_BYTES 512u
#define NAMES_MAX   1024

enum contents {
	CONTENTS_UNKNOWN, /* not looked at */
	CONTENTS_RIGHT,
	CONTENTS_WRONG,
	CONTENTS_NO_CRC, /* nothing to check them by */
};

/**
 * struct facts - what was found
 * @path:	of the state
 * @crc_ok:	the state is as it was written
 * @memory_ok:	the memory file is there, and as large as it has to be
 * @stored:	bytes of it that take room on the disk
 * @contents:	what came of looking at what is in it
 */
struct facts {
	char path[PATH_MAX];
	json_t *state;
	uint64_t state_bytes;
	bool crc_ok;
	bool memory_ok;
	char memory[PATH_MAX];
	uint64_t memory_bytes;
	uint64_t stored;
	enum contents contents;
	char devices[NAMES_MAX];
};

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "?";
}

static int read_state(const char *path, char **text, size_t *len,
		      struct err *err)
{
	cleanup_fd int fd = -1;
	struct stat st;
	int r;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(err, -errno, "Cannot read %s: %s%s", path,
			       err_name(errno),
			       errno == ENOENT ? " (is this the directory of a "
						 "snapshot?)"
					       : "");
	if (!S_ISREG(st.st_mode) || st.st_size <= 0 ||
	    (uint64_t)st.st_size > STATE_MAX)
		return err_set(err, -EINVAL, "%s is not a snapshot's state",
			       path);
	*len = (size_t)st.st_size;
	*text = malloc(*len);
	if (!*text)
		return err_set(err, -ENOMEM, "Out of memory");
	r = fd_read_full(fd, *text, *len, 0);
	return r < 0 ? err_set(err, r, "Cannot read %s: %s", path, err_name(r))
		     : 0;
}

static bool check_crc(const char *text, size_t len, const json_t *state)
{
	const char *line = memchr(text, '\n', len);
	char want[17];

	if (!line)
		return false;
	line++;
	(void)snprintf(want, sizeof(want), "%016" PRIx64,
		       crc64(0, line, len - (size_t)(line - text)));
	return strcmp(want, text_of(state, "crc64")) == 0;
}

/* memory.snap, or memory.snap.<id> while a snapshot is being replaced. */
static void look_at_memory(const char *dir, struct facts *f)
{
	uint64_t want = (uint64_t)json_integer_value(
		json_object_get(f->state, "memory_bytes"));
	struct stat st;

	(void)snprintf(f->memory, sizeof(f->memory), "%s/memory.snap.%s", dir,
		       text_of(f->state, "id"));
	if (stat(f->memory, &st) < 0) {
		(void)snprintf(f->memory, sizeof(f->memory), "%s/memory.snap",
			       dir);
		if (stat(f->memory, &st) < 0)
			return;
	}
	f->memory_bytes = (uint64_t)st.st_size;
	f->stored = (uint64_t)st.st_blocks * BLOCK_BYTES;
	f->memory_ok = want != 0 && f->memory_bytes == want;
}

/* Reads all that is in the memory file. */
static int verify_memory(struct facts *f, struct err *err)
{
	const char *want = text_of(f->state, "memory_crc64");
	bool diff = strcmp(text_of(f->state, "memory_storage"), "diff") == 0;
	cleanup_fd int fd = open(f->memory, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char got[17];
	uint64_t crc;
	int r;

	f->contents = CONTENTS_NO_CRC;
	if (strlen(want) != 16)
		return 0;
	f->contents = CONTENTS_WRONG;
	if (fd < 0 || !f->memory_ok)
		return 0;
	r = memory_crc(fd, f->memory_bytes, diff, &crc, err);
	if (r < 0)
		return r;
	(void)snprintf(got, sizeof(got), "%016" PRIx64, crc);
	if (strcmp(got, want) == 0)
		f->contents = CONTENTS_RIGHT;
	return 0;
}

static void add_name(struct facts *f, const char *name)
{
	size_t used = strlen(f->devices);

	(void)snprintf(f->devices + used, sizeof(f->devices) - used, "%s%s",
		       used ? " " : "", name);
}

/* A virtio device goes by its kind: they share one entry of the machine. */
static void list_devices(struct facts *f)
{
	const json_t *devices = json_object_get(f->state, "devices");

	for (size_t i = 0; i < json_array_size(devices); i++) {
		const json_t *device = json_array_get(devices, i);
		const json_t *slots = json_object_get(
			json_object_get(device, "state"), "slots");

		if (!slots)
			add_name(f, text_of(device, "name"));
		for (size_t k = 0; k < json_array_size(slots); k++)
			add_name(f, text_of(json_array_get(slots, k), "kind"));
	}
}

static int find_facts(const char *dir, struct facts *f, struct err *err)
{
	cleanup_free char *text = NULL;
	json_error_t why;
	size_t len = 0;
	int r;

	(void)snprintf(f->path, sizeof(f->path), "%s/state.json", dir);
	r = read_state(f->path, &text, &len, err);
	if (r < 0)
		return r;
	assert(text);
	f->state = json_loadb(text, len, 0, &why);
	if (!json_is_object(f->state))
		return err_set(err, -EINVAL,
			       "%s is damaged: %s, "
			       "line %d",
			       f->path, why.text, why.line);
	f->state_bytes = len;
	f->crc_ok = check_crc(text, len, f->state);
	look_at_memory(dir, f);
	list_devices(f);
	return 0;
}

static unsigned long long kib(uint64_t bytes)
{
	return (unsigned long long)(bytes >> 10);
}

/* What a clone needs of its own, under the ids by which it is replaced. */
static void print_back_ends(const struct facts *f)
{
	const json_t *config = json_object_get(f->state, "config");
	const json_t *drives = json_object_get(config, "drives");
	const json_t *nets = json_object_get(config, "nets");
	const json_t *vsock = json_object_get(config, "vsock");

	for (size_t i = 0; i < json_array_size(drives); i++) {
		const json_t *drive = json_array_get(drives, i);

		(void)printf(
			"drive     %s=%s%s\n", text_of(drive, "drive_id"),
			text_of(drive, "path_on_host"),
			json_is_true(json_object_get(drive, "is_read_only"))
				? " (read only)"
				: "");
	}
	for (size_t i = 0; i < json_array_size(nets); i++)
		(void)printf("net       %s=%s\n",
			     text_of(json_array_get(nets, i), "iface_id"),
			     text_of(json_array_get(nets, i), "host_dev_name"));
	if (json_object_get(vsock, "uds_path"))
		(void)printf("vsock     %s\n", text_of(vsock, "uds_path"));
}

static void print_diff(const struct facts *f)
{
	const char *base = text_of(f->state, "memory_base");

	if (strlen(base) == 16)
		(void)printf("diff      of snapshot %s: to be merged with it\n",
			     base);
}

static void print_contents(const struct facts *f)
{
	static const char *const words[] = {
		[CONTENTS_RIGHT] = "right",
		[CONTENTS_WRONG] = "WRONG, the file was changed",
		[CONTENTS_NO_CRC] = "none was made (--checksum)",
	};

	if (f->contents != CONTENTS_UNKNOWN)
		(void)printf("contents  CRC-64 %s: %s\n",
			     text_of(f->state, "memory_crc64"),
			     words[f->contents]);
}

static void print_text(const struct facts *f)
{
	const json_t *host = json_object_get(f->state, "host");

	(void)printf("format    %s, by Volt %s, %s, id %s\n",
		     text_of(f->state, "version"),
		     text_of(f->state, "volt_version"),
		     text_of(f->state, "created"), text_of(f->state, "id"));
	(void)printf("host      %s, Linux %s\n", text_of(host, "cpu"),
		     text_of(host, "kernel"));
	(void)printf("machine   %zu vCPU%s, %llu MiB\n",
		     json_array_size(json_object_get(f->state, "vcpus")),
		     json_array_size(json_object_get(f->state, "vcpus")) == 1
			     ? ""
			     : "s",
		     (unsigned long long)json_integer_value(
			     json_object_get(f->state, "memory_bytes")) >>
			     20);
	(void)printf("devices   %s\n", f->devices);
	print_back_ends(f);
	(void)printf("state     %llu KiB, CRC-64 %s: %s\n", kib(f->state_bytes),
		     text_of(f->state, "crc64"),
		     f->crc_ok ? "right" : "WRONG, the file was changed");
	print_diff(f);
	(void)printf("memory    %s: %llu KiB, of them %llu KiB on disk: %s\n",
		     f->memory, kib(f->memory_bytes), kib(f->stored),
		     f->memory_ok ? "right" : "WRONG size, or missing");
	print_contents(f);
}

static int print_json(const struct facts *f)
{
	json_t *out = json_pack(
		"{s:O?, s:O?, s:O?, s:O?, s:O?, s:O?, s:i, s:s, s:I, s:b, s:s, "
		"s:I, s:I, s:b, s:O?, s:O?, s:O?, s:o?}",
		"version", json_object_get(f->state, "version"), "volt_version",
		json_object_get(f->state, "volt_version"), "created",
		json_object_get(f->state, "created"), "id",
		json_object_get(f->state, "id"), "host",
		json_object_get(f->state, "host"), "memory_bytes",
		json_object_get(f->state, "memory_bytes"), "vcpus",
		(int)json_array_size(json_object_get(f->state, "vcpus")),
		"devices", f->devices, "state_bytes",
		(json_int_t)f->state_bytes, "crc_ok", f->crc_ok, "memory_file",
		f->memory, "memory_file_bytes", (json_int_t)f->memory_bytes,
		"memory_file_stored_bytes", (json_int_t)f->stored, "memory_ok",
		f->memory_ok, "config", json_object_get(f->state, "config"),
		"memory_base", json_object_get(f->state, "memory_base"),
		"memory_crc64", json_object_get(f->state, "memory_crc64"),
		"memory_crc_ok",
		f->contents == CONTENTS_RIGHT   ? json_true()
		: f->contents == CONTENTS_WRONG ? json_false()
						: NULL);
	int r = -ENOMEM;

	if (out && json_dumpf(out, stdout, JSON_INDENT(2)) == 0) {
		(void)putchar('\n');
		r = 0;
	}
	json_decref(out);
	return r;
}

int inspect_snapshot(const char *dir, bool as_json, bool verify,
		     struct err *err)
{
	struct facts *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return err_set(err, -ENOMEM, "Out of memory");
	r = find_facts(dir, f, err);
	if (r == 0 && verify)
		r = verify_memory(f, err);
	if (r == 0 && as_json && print_json(f) < 0)
		r = err_set(err, -ENOMEM, "Out of memory");
	else if (r == 0 && !as_json)
		print_text(f);
	if (r == 0)
		r = f->crc_ok && f->memory_ok && f->contents <= CONTENTS_RIGHT
			    ? 0
			    : 1;
	json_decref(f->state);
	free(f);
	return r;
}
