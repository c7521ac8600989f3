// SPDX-License-Identifier: Apache-2.0
/*
 * inspect.c - what is in a snapshot
 *
 * State and memory are found and checked as a restore does it
 * (snapshot/find.h), so what is called right here is not refused there for its
 * files. What is printed is taken from the state's JSON, whole or not. Nothing
 * of the VM is taken over, so this works on every host.
 */
#include "cli/inspect.h"

#include "base/clean.h"
#include "base/fd.h"
#include "image/packed.h"
#include "pack/pack.h"
#include "snapshot/find.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>

#define BLOCK_BYTES 512u
#define NAMES_MAX   1024

/**
 * struct facts - what was found
 * @alone:	a state file, and its memory is not known
 * @s:		the state, when @reader.stage says that it is right
 * @why:	what a restore would say; empty: nothing
 * @state:	the state again, for what is printed
 * @stored:	bytes of the memory file that take room on the disk
 * @contents:	what came of looking at what is in it
 */
struct facts {
	struct snapshot_paths paths;
	bool alone;
	struct snapshot_reader reader;
	struct snapshot *s;
	struct err why;
	json_t *state;
	uint64_t memory_bytes;
	bool packed;
	uint64_t stored;
	enum snapshot_contents contents;
	char devices[NAMES_MAX];
};

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "?";
}

static bool state_ok(const struct facts *f)
{
	return f->reader.stage >= SNAPSHOT_STATE_RIGHT;
}

/* It is as it was written, whether or not this program can read it. */
static bool crc_ok(const struct facts *f)
{
	struct snapshot_head head;

	return snapshot_check_state(&f->reader, &head, NULL) == 0;
}

static bool memory_ok(const struct facts *f)
{
	return f->reader.stage == SNAPSHOT_MEMORY_KNOWN;
}

static const char *memory_path(const struct facts *f)
{
	return f->reader.memory_path ? f->reader.memory_path : f->paths.memory;
}

static void look_at_memory(struct facts *f)
{
	struct packed_head head;
	struct stat st;

	if (f->reader.memory_fd < 0 || fstat(f->reader.memory_fd, &st) < 0)
		return;
	f->memory_bytes = (uint64_t)st.st_size;
	f->packed = packed_is(st.st_size) &&
		    packed_head_read(f->reader.memory_fd, "", &head, NULL) == 0;
	if (f->packed)
		f->memory_bytes = head.size;
	f->stored = (uint64_t)st.st_blocks * BLOCK_BYTES;
}

/* Reads all that is in the memory file, if it is the one. */
static int verify_memory(struct facts *f, struct err *err)
{
	int r = SNAPSHOT_CONTENTS_WRONG;

	if (memory_ok(f))
		r = snapshot_check_contents(&f->reader, f->s, NULL, err);
	if (r < 0)
		return r;
	f->contents = (enum snapshot_contents)r;
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

/* A state is a stranger's: no string of it may talk to the terminal. */
static void make_printable(json_t *value)
{
	const char *text = json_string_value(value);

	for (void *i = json_object_iter(value); i;
	     i = json_object_iter_next(value, i))
		make_printable(json_object_iter_value(i));
	for (size_t i = 0; i < json_array_size(value); i++)
		make_printable(json_array_get(value, i));
	if (text) {
		cleanup_buf struct buf shown = {0};

		buf_add_clean(&shown, text, strlen(text));
		buf_add(&shown, "", 1);
		(void)json_string_set(value, shown.failed ? "?" : shown.data);
	}
}

static int find_facts(const char *from, const char *memory, struct facts *f,
		      struct err *err)
{
	json_error_t why;
	struct stat st;
	int r;

	f->alone = !memory && stat(from, &st) == 0 && S_ISREG(st.st_mode);
	r = snapshot_paths_of(&f->paths, from, f->alone ? "" : memory);
	f->paths.unpack = &pack_unpacker;
	f->s = calloc(1, sizeof(*f->s));
	if (r < 0 || !f->s)
		return err_set(err, -ENOMEM, "Out of memory");
	r = snapshot_find(&f->reader, &f->paths, !f->alone, f->s, &f->why);
	if (f->reader.stage < SNAPSHOT_STATE_READ)
		return err_set(err, r, "%s%s", err_for_person(&f->why),
			       r == -ENOENT ? " (is this the directory of a "
					      "snapshot?)"
					    : "");
	f->state = json_loadb(f->reader.text, f->reader.len, 0, &why);
	if (!json_is_object(f->state))
		return err_set(err, -EINVAL, "%s is damaged: %s, line %d",
			       f->paths.state, why.text, why.line);
	make_printable(f->state);
	look_at_memory(f);
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
	const json_t *pmems = json_object_get(config, "pmems");
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
	for (size_t i = 0; i < json_array_size(pmems); i++) {
		const json_t *pmem = json_array_get(pmems, i);

		(void)printf("pmem      %s=%s%s\n", text_of(pmem, "id"),
			     text_of(pmem, "path_on_host"),
			     json_is_true(json_object_get(pmem, "read_only"))
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

	if (strlen(base) != 16)
		return;
	if (memory_ok(f) && f->reader.held == MEMORY_WHOLE)
		(void)printf("diff      of snapshot %s: another program has "
			     "merged it\n",
			     base);
	else
		(void)printf(
			"diff      of snapshot %s: restored with it, from the "
			"directories beside\n",
			base);
}

/* What a restore would say, if it is about this: it may hold a piece of the
 * state. */
static void print_right(const struct facts *f, bool right, const char *words,
			const char *wrong)
{
	const char *why = err_for_person(&f->why);
	char shown[2 * ERR_TEXT_MAX];

	(void)clean_text(shown, sizeof(shown), why, strlen(why));
	if (right)
		(void)printf("%s\n", words);
	else
		(void)printf("WRONG%s: %s\n", wrong, shown);
}

static void print_contents(const struct facts *f)
{
	if (f->contents == SNAPSHOT_CONTENTS_NO_CRC)
		(void)printf("contents  cannot be checked: the snapshot was "
			     "saved without --checksum\n");
	else if (f->contents != SNAPSHOT_CONTENTS_UNKNOWN)
		(void)printf("contents  CRC-64 %s: %s\n",
			     text_of(f->state, "memory_crc64"),
			     f->contents == SNAPSHOT_CONTENTS_RIGHT
				     ? "right"
				     : "WRONG, the file was changed");
}

static void inspect_print_text(const struct facts *f)
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
	(void)printf("state     %llu KiB, CRC-64 %s: ", kib(f->reader.len),
		     text_of(f->state, "crc64"));
	print_right(f, state_ok(f), "right",
		    crc_ok(f) ? "" : ", the file was changed");
	print_diff(f);
	if (f->alone) {
		(void)printf("memory    not looked at: give its file, too\n");
	} else if (state_ok(f)) {
		(void)printf("memory    %s: %llu KiB, %s %llu KiB on disk: ",
			     memory_path(f), kib(f->memory_bytes),
			     f->packed ? "compressed to" : "of them",
			     kib(f->stored));
		print_right(f, memory_ok(f),
			    f->contents == SNAPSHOT_CONTENTS_RIGHT
				    ? "size right"
				    : "size right, contents not checked",
			    f->memory_bytes == f->s->memory_bytes
				    ? ""
				    : " size, or missing");
	}
	print_contents(f);
}

static int inspect_print_json(const struct facts *f)
{
	char shown[2 * ERR_TEXT_MAX];
	const char *why = err_for_person(&f->why);
	size_t shown_len = clean_text(shown, sizeof(shown), why, strlen(why));
	json_t *out = json_pack(
		"{s:O?, s:O?, s:O?, s:O?, s:O?, s:O?, s:i, s:s, s:I, s:b, s:s?, "
		"s:I, s:I, s:o?, s:O?, s:O?, s:O?, s:o?, s:s?}",
		"version", json_object_get(f->state, "version"), "volt_version",
		json_object_get(f->state, "volt_version"), "created",
		json_object_get(f->state, "created"), "id",
		json_object_get(f->state, "id"), "host",
		json_object_get(f->state, "host"), "memory_bytes",
		json_object_get(f->state, "memory_bytes"), "vcpus",
		(int)json_array_size(json_object_get(f->state, "vcpus")),
		"devices", f->devices, "state_bytes", (json_int_t)f->reader.len,
		"crc_ok", crc_ok(f), "memory_file",
		f->alone ? NULL : memory_path(f), "memory_file_bytes",
		(json_int_t)f->memory_bytes, "memory_file_stored_bytes",
		(json_int_t)f->stored, "memory_ok",
		f->alone ? NULL : json_boolean(memory_ok(f)), "config",
		json_object_get(f->state, "config"), "memory_base",
		json_object_get(f->state, "memory_base"), "memory_crc64",
		json_object_get(f->state, "memory_crc64"), "memory_crc_ok",
		f->contents == SNAPSHOT_CONTENTS_RIGHT   ? json_true()
		: f->contents == SNAPSHOT_CONTENTS_WRONG ? json_false()
							 : NULL,
		"refused", shown_len ? shown : NULL);
	int r = -ENOMEM;

	if (out &&
	    json_dumpf(out, stdout, JSON_INDENT(2) | JSON_ENSURE_ASCII) == 0) {
		(void)putchar('\n');
		r = 0;
	}
	json_decref(out);
	return r;
}

static int exit_code(const struct facts *f)
{
	if (!(f->alone ? state_ok(f) : memory_ok(f)) ||
	    f->contents == SNAPSHOT_CONTENTS_WRONG)
		return 1;
	return f->contents == SNAPSHOT_CONTENTS_NO_CRC ? 2 : 0;
}

int inspect_snapshot(const char *from, const char *memory, bool as_json,
		     bool verify, struct err *err)
{
	struct facts *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return err_set(err, -ENOMEM, "Out of memory");
	f->reader = (struct snapshot_reader){.state_fd = -1, .memory_fd = -1};
	r = find_facts(from, memory, f, err);
	if (r == 0 && verify && f->alone)
		r = err_set(err, -EINVAL,
			    "--verify reads the memory: give its file behind "
			    "%s",
			    from);
	else if (r == 0 && verify)
		r = verify_memory(f, err);
	if (r == 0 && as_json && inspect_print_json(f) < 0)
		r = err_set(err, -ENOMEM, "Out of memory");
	else if (r == 0 && !as_json)
		inspect_print_text(f);
	if (r == 0)
		r = exit_code(f);
	json_decref(f->state);
	snapshot_reader_end(&f->reader);
	snapshot_paths_free(&f->paths);
	free(f->s);
	free(f);
	return r;
}
