// SPDX-License-Identifier: Apache-2.0
/*
 * test_opener.c - a start, a snapshot and a restore take every file from the
 * opener of the VM
 *
 * A real machine, whose kernel halts. The opener of the test notes what it was
 * asked for; whoever goes past it is seen by a wrap of path_open_nth().
 */
#include "unit.h"

#include "config/drives.h"
#include "snapshot/files.h"
#include "vm/machine.h"
#include "vm/restore.h"
#include "vm/save.h"
#include "vm/vm.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MEMORY_MIB 16
#define ENTRY      0x100000u

/* ---- the opener ---- */

static struct noted {
	unsigned int times[PATH_NR];
	unsigned int index[PATH_NR]; /* the largest */
	unsigned int past;           /* opened by somebody else */
	enum path_role refuse;       /* PATH_NR: nothing */
	int depth;
} noted;

static int note(const struct path_opener *opener, const struct path_want *want,
		struct err *err)
{
	int fd;

	(void)opener;
	noted.times[want->role]++;
	if (want->index > noted.index[want->role])
		noted.index[want->role] = want->index;
	if (want->role == noted.refuse)
		return path_say(want->role, want->path, -EACCES, "", err);
	noted.depth++;
	fd = path_direct.ops->open(&path_direct, want, err);
	noted.depth--;
	return fd;
}

static const struct path_ops ops = {.open = note};
static const struct path_opener noting = {.ops = &ops};

int __real_path_open_nth(const struct path_opener *opener, enum path_role role,
			 const char *path, unsigned int index, struct err *err);
int __wrap_path_open_nth(const struct path_opener *opener, enum path_role role,
			 const char *path, unsigned int index, struct err *err);

int __wrap_path_open_nth(const struct path_opener *opener, enum path_role role,
			 const char *path, unsigned int index, struct err *err)
{
	if (opener != &noting && noted.depth == 0) {
		print_error("role %d was opened past the opener\n", (int)role);
		noted.past++;
	}
	return __real_path_open_nth(opener, role, path, index, err);
}

static void forget(void)
{
	noted = (struct noted){.refuse = PATH_NR};
}

/* ---- the VM ---- */

struct world {
	char dir[32];
	struct loop loop;
	struct vm vm;
};

/* Whose only code is HLT, for ever. */
static void write_kernel(const char *path)
{
	static const uint8_t code[] = {0xfa, 0xf4, 0xeb, 0xfd};
	struct {
		Elf64_Ehdr eh;
		Elf64_Phdr ph;
		uint8_t code[sizeof(code)];
	} __attribute__((packed)) file = {
		.eh = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3,
				   ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		       .e_type = ET_EXEC,
		       .e_machine = EM_X86_64,
		       .e_version = EV_CURRENT,
		       .e_entry = ENTRY,
		       .e_phoff = sizeof(Elf64_Ehdr),
		       .e_ehsize = sizeof(Elf64_Ehdr),
		       .e_phentsize = sizeof(Elf64_Phdr),
		       .e_phnum = 1},
		.ph = {.p_type = PT_LOAD,
		       .p_flags = PF_R | PF_X,
		       .p_vaddr = ENTRY,
		       .p_paddr = ENTRY},
	};
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	file.ph.p_offset = offsetof(__typeof__(file), code);
	file.ph.p_filesz = file.ph.p_memsz = sizeof(code);
	memcpy(file.code, code, sizeof(code));
	assert_int_equal(write(fd, &file, sizeof(file)), sizeof(file));
	fd_close(&fd);
}

static void write_disk(const char *path)
{
	int fd = open(path, O_CREAT | O_WRONLY, 0600);

	assert_int_equal(ftruncate(fd, 4096), 0);
	fd_close(&fd);
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/volt-opener-XXXXXX");
	*state = w;
	if (!mkdtemp(w->dir) || chdir(w->dir) < 0)
		return -1;
	write_kernel("kernel");
	write_disk("disk0");
	write_disk("disk1");
	forget();
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = {"kernel", "disk0",      "disk1",
					    "v.sock", "serial",     "state",
					    "memory", "state.lock", "other"};
	struct world *w = *state;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		(void)unlink(names[i]);
	if (chdir("/") < 0 || rmdir(w->dir) < 0)
		return -1;
	free(w);
	return 0;
}

static void begin(struct world *w)
{
	memset(&w->vm, 0, sizeof(w->vm));
	assert_int_equal(loop_init(&w->loop), 0);
	assert_int_equal(vm_init(&w->vm, &w->loop), 0);
	w->vm.config.opener = &noting;
}

static void end(struct world *w)
{
	vm_fini(&w->vm);
	loop_fini(&w->loop);
}

static void add_drive(struct vm_config *config, const char *path,
		      bool read_only)
{
	struct drive_config drive = {
		.drive_id = strdup(path),
		.path_on_host = strdup(path),
		.is_read_only = read_only,
		.lock_fd = -1,
	};

	drive.fd = drive_open(config, path, read_only, 0, NULL);
	assert_true(drive.fd >= 0);
	assert_int_equal(drive_lock(config, &drive, NULL, NULL), 0);
	assert_int_equal(drives_set(config, &drive), 0);
}

/* As the routes of the API do it. */
static void configure(struct world *w)
{
	struct vm_config *c = &w->vm.config;
	struct err err = {0};

	c->machine.mem_size_mib = MEMORY_MIB;
	c->boot_source.kernel_image_path = strdup("kernel");
	c->boot_source.kernel_fd =
		path_open(c->opener, PATH_KERNEL, "kernel", &err);
	c->boot_source.present = true;
	add_drive(c, "disk0", false);
	add_drive(c, "disk1", true);
	c->vsock.guest_cid = 3;
	c->vsock.uds_path = strdup("v.sock");
	assert_int_equal(vsock_config_bind(c->opener, &c->vsock, &err), 0);
	c->vsock.present = true;
	c->serial.serial_out_path = strdup("serial");
	c->serial.present = true;
}

static void skip_without_kvm(void)
{
	if (access("/dev/kvm", R_OK | W_OK) < 0) {
		print_message("no usable /dev/kvm\n");
		skip();
	}
}

/* ---- a place, as the half has it that gives names ---- */

static int place_begin(void *ctx, struct vm_files *out, struct err *err)
{
	char state[] = "state", memory[] = "memory";
	const struct snapshot_paths paths = {
		.state = state, .memory = memory, .opener = &noting};
	struct snapshot_files *files = ctx;
	int r = snapshot_files_begin(files, &paths, 1, err);

	files->label.moment = 1;
	files->label.run = 1;
	out->label = files->label;
	out->state = dup(files->state.fd);
	out->memory = dup(files->memory.fd);
	return r;
}

static int place_commit(void *ctx, const struct memory_proof *proof,
			struct err *err)
{
	struct snapshot_files *files = ctx;
	int r = snapshot_files_commit(files, err);

	(void)proof;
	snapshot_files_end(files);
	return r;
}

static void place_abort(void *ctx)
{
	snapshot_files_end(ctx);
}

static void save(struct world *w)
{
	struct snapshot_files files;
	const struct vm_place place = {
		.begin = place_begin,
		.commit = place_commit,
		.abort = place_abort,
		.ctx = &files,
	};
	const struct vm_save how = {MEMORY_FULL, false};
	struct steps steps;
	struct err err = {0};

	assert_int_equal(vm_pause(&w->vm, &err), 0);
	if (vm_snapshot(&w->vm, &place, &how, &steps, &err) < 0)
		fail_msg("%s", err.text);
}

static int load(struct world *w, struct err *err)
{
	char state[] = "state", memory[] = "memory";
	const struct vm_restore how = {
		.paths =
			{
				.state = state,
				.memory = memory,
				.opener = &noting,
			},
	};
	struct steps steps;

	return vm_restore(&w->vm, &how, &steps, err);
}

static void expect(const char *what, const enum path_role *roles, size_t nr)
{
	bool wanted[PATH_NR] = {false};

	for (size_t i = 0; i < nr; i++)
		wanted[roles[i]] = true;
	for (unsigned int role = 0; role < PATH_NR; role++)
		if ((noted.times[role] > 0) != wanted[role])
			fail_msg("%s: role %u was opened %u times", what, role,
				 noted.times[role]);
	assert_int_equal(noted.past, 0);
}

static void everything_by_one_opener(void **state)
{
	static const enum path_role start[] = {
		PATH_KERNEL,  PATH_DISK,  PATH_DISK_RO, PATH_VSOCK, PATH_SERIAL,
		PATH_PAGEMAP, PATH_SMAPS, PATH_BOOT_ID, PATH_KVM,
	};
	static const enum path_role snapshot[] = {PATH_PLACE};
	static const enum path_role restore[] = {
		PATH_STATE,  PATH_MEMORY,  PATH_DISK,  PATH_DISK_RO, PATH_VSOCK,
		PATH_SERIAL, PATH_PAGEMAP, PATH_SMAPS, PATH_BOOT_ID, PATH_KVM,
	};
	struct world *w = *state;
	struct err err = {0};

	skip_without_kvm();
	begin(w);
	configure(w);
	if (vm_start(&w->vm, &err) < 0)
		fail_msg("%s", err.text);
	expect("start", start, ARRAY_SIZE(start));
	forget();
	save(w);
	expect("snapshot", snapshot, ARRAY_SIZE(snapshot));
	end(w);
	forget();
	begin(w);
	if (load(w, &err) < 0)
		fail_msg("%s", err.text);
	expect("restore", restore, ARRAY_SIZE(restore));
	/* Which of the snapshot's drives. */
	assert_int_equal(noted.index[PATH_DISK], 0);
	assert_int_equal(noted.index[PATH_DISK_RO], 1);
	end(w);
}

/* Whatever it does not open: a sentence, and nothing half done. */
static void an_opener_that_refuses(void **state)
{
	static const enum path_role needed[] = {
		PATH_STATE, PATH_MEMORY, PATH_DISK,   PATH_DISK_RO,
		PATH_VSOCK, PATH_KVM,    PATH_SERIAL,
	};
	struct world *w = *state;
	struct err err = {0};

	skip_without_kvm();
	begin(w);
	configure(w);
	if (vm_start(&w->vm, &err) < 0)
		fail_msg("%s", err.text);
	save(w);
	end(w);
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		forget();
		noted.refuse = needed[i];
		err = (struct err){0};
		begin(w);
		assert_int_equal(load(w, &err), -EACCES);
		assert_int_equal(err.rc, -EACCES);
		assert_true(err.text[0] != '\0');
		assert_int_equal(noted.past, 0);
		end(w);
		assert_int_equal(access("v.sock", F_OK), -1);
	}
	/* What a VM can do without. */
	for (enum path_role role = PATH_PAGEMAP; role <= PATH_BOOT_ID; role++) {
		forget();
		noted.refuse = role;
		begin(w);
		if (load(w, &err) < 0)
			fail_msg("role %d: %s", (int)role, err.text);
		end(w);
	}
}

/* A process that locks itself before it has a machine asks first. */
static void what_is_opened_before_the_lock(void **state)
{
	struct world *w = *state;
	struct err err = {0};

	skip_without_kvm();
	begin(w);
	configure(w);
	vm_look_at_host(&w->vm);
	assert_int_equal(noted.times[PATH_PAGEMAP], 1);
	noted.refuse = PATH_PAGEMAP;
	vm_look_at_host(&w->vm);
	if (vm_start(&w->vm, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(noted.times[PATH_PAGEMAP], 1);
	assert_int_equal(noted.times[PATH_BOOT_ID], 1);
	assert_true(w->vm.machine->pagemap >= 0);
	assert_int_equal(strlen(w->vm.machine->boot_id), 36);
	end(w);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(everything_by_one_opener),
		TEST(an_opener_that_refuses),
		TEST(what_is_opened_before_the_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
