// SPDX-License-Identifier: Apache-2.0
/*
 * intake.c - a file becomes a kernel of the store (intake.h)
 */
#include "kernel/intake.h"

#include "kernel/aptget.h"
#include "kernel/deb.h"
#include "kernel/elfpack.h"
#include "kernel/facts.h"
#include "kernel/kconfig.h"
#include "kernel/module.h"
#include "kernel/payload.h"

#include "base/clean.h"
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HEAD_BYTES    KIB(4)
#define CONTROL_BYTES KIB(64)

/**
 * struct intake - a file on its way in
 * @fd, @size:	the file
 * @image:	a kernel that was read into memory: of a package
 * @config:	its configuration; empty: none came
 */
struct intake {
	struct deb_reader reader;
	const char *path;
	int fd;
	uint64_t size;
	struct buf image;
	struct buf config;
	struct buf control;
	struct modules modules;
	struct err *err;
};

static int open_regular(const char *path, int *fd, uint64_t *size,
			struct err *err)
{
	struct stat st;

	/* Not to wait for the writer of a pipe. */
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*fd < 0 || fstat(*fd, &st) < 0)
		return err_set(err, -errno, "Cannot open %s: %s", path,
			       err_name(errno));
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		return err_set(err, -EINVAL,
			       "%s is %s: give a kernel or a "
			       "package",
			       path,
			       S_ISDIR(st.st_mode)   ? "a directory"
			       : S_ISREG(st.st_mode) ? "an empty file"
						     : "no regular file");
	*size = (uint64_t)st.st_size;
	return 0;
}

/* The whole of a file that is not too large. */
static int intake_read_whole(int fd, uint64_t size, uint64_t max,
			     const char *path, struct buf *out, struct err *err)
{
	int r;

	if (size > max)
		return err_set(err, -EFBIG,
			       "%s has %llu bytes: of more than %llu it is "
			       "not read",
			       path, (unsigned long long)size,
			       (unsigned long long)max);
	if (!buf_reserve(out, (size_t)size))
		return err_set(err, -ENOMEM, "%s cannot be read: no memory",
			       path);
	r = fd_read_full(fd, out->data, (size_t)size, 0);
	if (r < 0)
		return err_set(err, r, "%s cannot be read: %s", path,
			       err_name(r == -ENODATA ? -EIO : r));
	out->len = (size_t)size;
	return 0;
}

static bool begins(const char *path, const char *with)
{
	return strncmp(path, with, strlen(with)) == 0;
}

/* "VERSION/config" behind lib/modules/; NULL: it is elsewhere. */
static const char *of_modules(const char *path)
{
	static const char folder[] = "lib/modules/";

	path += begins(path, "usr/") ? 4 : 0;
	return begins(path, folder) ? path + sizeof(folder) - 1 : NULL;
}

/* Is it "boot/NAME-VERSION", or, since Linux 7, "VERSION/NAME" of modules? */
static bool is_named(const char *path, const char *name)
{
	const char *rest = of_modules(path);
	size_t n = strlen(name);

	if (rest) {
		rest = strchr(rest, '/');
		return rest && strcmp(rest + 1, name) == 0;
	}
	return begins(path, "boot/") && begins(path + 5, name) &&
	       path[5 + n] == '-';
}

static bool wants_of_package(struct deb_reader *reader, const char *path,
			     uint64_t size)
{
	(void)reader;
	(void)size;
	return is_named(path, "vmlinuz") || is_named(path, "config") ||
	       (of_modules(path) && module_path_matters(path));
}

static int take_of_package(struct deb_reader *reader, const char *path,
			   const void *data, size_t len)
{
	struct intake *in = container_of(reader, struct intake, reader);
	bool kernel = is_named(path, "vmlinuz");
	struct buf *to = kernel ? &in->image : &in->config;
	int r;

	if (kernel || is_named(path, "config")) {
		if (to->len > 0)
			return err_set(in->err, -EBADMSG,
				       "is a package with two kernels");
		buf_add(to, data, len);
		return to->failed ? err_set(in->err, -ENOMEM,
					    "cannot be read: no memory")
				  : 0;
	}
	r = module_add(&in->modules, path, data, len);
	return r < 0 ? err_set(in->err, r,
			       "has a module that cannot be read, %.200s: %s",
			       path, err_name(r))
		     : 0;
}

static bool wants_control(struct deb_reader *reader, const char *path,
			  uint64_t size)
{
	(void)reader;
	return strcmp(path, "control") == 0 && size < CONTROL_BYTES;
}

static int take_control(struct deb_reader *reader, const char *path,
			const void *data, size_t len)
{
	struct intake *in = container_of(reader, struct intake, reader);

	(void)path;
	buf_clear(&in->control);
	buf_add(&in->control, data, len);
	buf_add(&in->control, "", 1);
	return in->control.failed ? -ENOMEM : 0;
}

/* The value of a field of the control file; "": it has none. */
static void get_field(const struct intake *in, const char *field, char *out,
		      size_t size)
{
	const char *at = in->control.data;
	size_t n = strlen(field);

	out[0] = '\0';
	while (at && *at) {
		size_t len = strcspn(at, "\n");

		if (len > n + 2 && strncmp(at, field, n) == 0 && at[n] == ':') {
			(void)snprintf(out, size, "%.*s", (int)(len - n - 2),
				       at + n + 2);
			return;
		}
		at += len + (at[len] == '\n');
	}
}

static int read_control(struct intake *in, const struct buf *deb)
{
	in->reader.wants = wants_control;
	in->reader.file = take_control;
	return deb_read(deb->data, deb->len, "control.tar", &in->reader,
			in->err);
}

static int read_data(struct intake *in, const struct buf *deb)
{
	in->reader.wants = wants_of_package;
	in->reader.file = take_of_package;
	return deb_read(deb->data, deb->len, "data.tar", &in->reader, in->err);
}

/*
 * The package NAME of the same version beside this one. Return: 0, also when
 * there is none.
 */
static int read_beside(struct intake *in, const char *name)
{
	const char *slash = strrchr(in->path, '/');
	const char *file = slash ? slash + 1 : in->path;
	const char *version = strchr(file, '_');
	cleanup_buf struct buf deb = {0};
	cleanup_free char *path = NULL;
	cleanup_fd int fd = -1;
	uint64_t size = 0;
	int r;

	if (asprintf(&path, "%.*s%s%s", (int)(file - in->path), in->path, name,
		     version ? version : ".deb") < 0) {
		path = NULL;
		return err_set(in->err, -ENOMEM, "cannot be read: no memory");
	}
	if (access(path, F_OK) < 0)
		return 0;
	r = open_regular(path, &fd, &size, in->err);
	if (r == 0)
		r = intake_read_whole(fd, size, PAYLOAD_FILE_MAX, path, &deb,
				      in->err);
	if (r == 0)
		r = read_data(in, &deb);
	if (r < 0)
		(void)err_prefix(in->err, "depends on %s, and ", name);
	return r;
}

/*
 * Since Linux 7 a kernel is several packages, on which linux-image-VERSION
 * only depends: they are beside it, as apt and a mirror have them.
 */
static int read_parts(struct intake *in)
{
	char depends[1024], kernel[128] = "", name[128];
	int r = 0;

	get_field(in, "Depends", depends, sizeof(depends));
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(aptget_parts); i++) {
		if (!aptget_depends(aptget_parts[i], depends, name))
			continue;
		if (!kernel[0])
			(void)snprintf(kernel, sizeof(kernel), "%s", name);
		r = read_beside(in, name);
	}
	if (r < 0 || in->image.len > 0)
		return r;
	return err_set(in->err, -ENOEXEC,
		       kernel[0]
			       ? "is a package whose kernel is in another "
				 "one, %s: put that beside it, and what else "
				 "it depends on"
			       : "is a package without a kernel%s: give the "
				 "one that it depends on, linux-image-VERSION",
		       kernel);
}

/* Before its hundred megabytes are read. */
static int check_architecture(const struct intake *in)
{
	char arch[32];

	get_field(in, "Architecture", arch, sizeof(arch));
	return !arch[0] || strcmp(arch, "amd64") == 0 ||
			       strcmp(arch, "all") == 0
		       ? 0
		       : err_set(in->err, -ENOEXEC,
				 "is a package for %s: give one for amd64",
				 arch);
}

static int read_package(struct intake *in, const struct buf *deb,
			struct record *record)
{
	char package[128], version[128];
	int r = read_control(in, deb);

	if (r == 0)
		r = check_architecture(in);
	if (r == 0)
		r = read_data(in, deb);
	if (r == 0 && in->image.len == 0)
		r = read_parts(in);
	if (r < 0)
		return r;
	get_field(in, "Package", package, sizeof(package));
	get_field(in, "Version", version, sizeof(version));
	free(record->origin);
	if (asprintf(&record->origin, "%s %s", package, version) < 0) {
		record->origin = NULL;
		return err_set(in->err, -ENOMEM, "cannot be read: no memory");
	}
	return 0;
}

/* The ELF kernel in @image, which is a file of its own then. */
static int unpack_image(struct intake *in, const struct buf *image, int *elf)
{
	const char *data = image->data;
	int r;

	*elf = memfd_create("kernel", MFD_CLOEXEC);
	if (*elf < 0)
		return err_set(in->err, -errno, "cannot be unpacked: %s",
			       err_name(errno));
	if (!payload_is_bzimage(data, image->len) &&
	    unpack_recognize(data, image->len) == UNPACK_NONE) {
		r = fd_write_full(*elf, data, image->len);
		return r < 0 ? err_set(in->err, r, "cannot be read: %s",
				       err_name(r))
			     : 0;
	}
	return payload_unpack(data, image->len, *elf, in->reader.progress,
			      in->err);
}

/* What came, as an ELF file: @elf is in->fd, or a new file. */
static int find_elf(struct intake *in, struct record *record, int *elf)
{
	cleanup_free char *head = calloc(1, HEAD_BYTES);
	cleanup_buf struct buf whole = {0};
	size_t n = in->size < HEAD_BYTES ? (size_t)in->size : HEAD_BYTES;
	int r;

	*elf = -1;
	if (!head)
		return err_set(in->err, -ENOMEM, "Out of memory");
	r = fd_read_full(in->fd, head, n, 0);
	if (r < 0)
		return err_set(in->err, r, "%s cannot be read: %s", in->path,
			       err_name(r));
	/* What is neither, the loader has a sentence for. */
	if (!deb_is_one(head, n) && !payload_is_bzimage(head, n) &&
	    unpack_recognize(head, n) == UNPACK_NONE)
		return 0;
	r = intake_read_whole(in->fd, in->size, PAYLOAD_FILE_MAX, in->path,
			      &whole, in->err);
	if (r < 0)
		return r;
	if (deb_is_one(head, n)) {
		r = read_package(in, &whole, record);
		if (r == 0)
			r = unpack_image(in, &in->image, elf);
	} else {
		r = unpack_image(in, &whole, elf);
	}
	if (r < 0)
		(void)err_prefix(in->err, "%s ", in->path);
	return r;
}

static int take_kernel(struct intake *in, struct adding *adding, int elf,
		       struct record *record)
{
	struct facts facts = {0};
	cleanup_buf struct buf config = {0};
	struct stat st = {0};
	int to = -1, r = facts_check(elf, in->path, &facts, in->err);

	if (r == 0 && fstat(elf, &st) < 0)
		r = err_set(in->err, -errno, "Cannot read %s", in->path);
	if (r == 0)
		r = adding_file(adding, &to, in->err);
	if (r < 0)
		return r;
	progress_tell(in->reader.progress, "writing", 0, 0);
	r = elfpack(elf, (uint64_t)st.st_size, to, in->err);
	if (r < 0) {
		(void)err_prefix(in->err, "%s ", in->path);
		return r;
	}
	r = facts_check(to, in->path, &facts, in->err);
	if (r == 0)
		r = adding_done(adding, to, in->reader.progress,
				&record->kernel, in->err);
	if (r < 0)
		return r;
	r = facts_read(to, &facts, &config);
	if (r < 0)
		return err_set(in->err, r, "%s cannot be read: %s", in->path,
			       err_name(r));
	if (in->config.len == 0 && config.len > 0) {
		buf_free(&in->config);
		in->config = config;
		config = (struct buf){0};
	}
	record->has_kernel = true;
	record->pvh = facts.pvh;
	record->memory = facts.memory;
	if (facts.release[0]) {
		record->release = strdup(facts.release);
		record->banner = strdup(facts.banner);
		if (!record->release || !record->banner)
			return err_set(in->err, -ENOMEM, "Out of memory");
	}
	return 0;
}

static int read_config(struct intake *in, const char *path)
{
	cleanup_fd int fd = -1;
	uint64_t size = 0;
	int r = open_regular(path, &fd, &size, in->err);

	buf_clear(&in->config);
	return r < 0 ? r
		     : intake_read_whole(fd, size, KCONFIG_BYTES_MAX, path,
					 &in->config, in->err);
}

static int take_config(struct intake *in, struct adding *adding,
		       const char *path, struct record *record)
{
	int r = path ? read_config(in, path) : 0;

	if (r < 0 || in->config.len == 0)
		return r;
	r = kconfig_check(in->config.data, in->config.len, record->release,
			  in->err);
	if (r < 0) {
		(void)err_prefix(in->err, "%s ",
				 path ? path : "The configuration with it");
		return r;
	}
	record->has_config = true;
	return adding_text(adding, in->config.data, in->config.len,
			   &record->config, in->err);
}

static int take_modules(struct intake *in, struct adding *adding,
			struct record *record)
{
	cleanup_buf struct buf archive = {0};

	modules_choose_useful(&in->modules);
	if (in->modules.nr_chosen == 0)
		return 0;
	modules_pack(&in->modules, &archive);
	if (archive.failed)
		return err_set(in->err, -ENOMEM, "Out of memory");
	record->has_modules = true;
	return adding_text(adding, archive.data, archive.len, &record->modules,
			   in->err);
}

static int intake_take_all(struct intake *in, struct adding *adding,
			   const char *config, struct record *record)
{
	cleanup_fd int elf = -1;
	int r = find_elf(in, record, &elf);

	if (r == 0)
		r = take_kernel(in, adding, elf < 0 ? in->fd : elf, record);
	if (r == 0)
		r = take_config(in, adding, config, record);
	if (r == 0)
		r = take_modules(in, adding, record);
	return r;
}

int intake_file(struct adding *adding, const char *path, const char *config,
		struct progress *progress, struct record *record,
		struct err *err)
{
	struct intake in = {
		.reader.progress = progress,
		.path = path,
		.fd = -1,
		.err = err,
	};
	const char *slash = strrchr(path, '/');
	char name[NAME_MAX + 1];
	int r = open_regular(path, &in.fd, &in.size, err);

	(void)clean_text(name, sizeof(name), slash ? slash + 1 : path,
			 strlen(slash ? slash + 1 : path));
	record->format = RECORD_FORMAT;
	record->added = (uint64_t)time(NULL);
	record->origin = strdup(name);
	if (r == 0 && !record->origin)
		r = err_set(err, -ENOMEM, "Out of memory");
	if (r == 0)
		r = intake_take_all(&in, adding, config, record);
	fd_close(&in.fd);
	buf_free(&in.image);
	buf_free(&in.config);
	buf_free(&in.control);
	modules_free(&in.modules);
	return r;
}

int intake_name(const struct record *record, const char *path, char *name,
		struct err *err)
{
	const char *slash = strrchr(path, '/');
	const char *from = record->release ? record->release
			   : slash         ? slash + 1
					   : path;

	if (!record_is_name(from))
		return err_set(
			err, -EINVAL,
			"%s tells no name that will do: give it one with "
			"--name",
			path);
	(void)snprintf(name, RECORD_NAME_MAX + 1, "%s", from);
	return 0;
}
