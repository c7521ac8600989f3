// SPDX-License-Identifier: Apache-2.0
/*
 * board.c - what the parts of a machine are plugged into (board.h)
 */
#include "vm/board.h"

#include "base/fd.h"
#include "config/pmem.h"

#include <errno.h>
#include <sys/stat.h>

void board_init(struct board *board, const struct vm_env *env)
{
	board->env = *env;
	pager_init(&board->pager);
	board->kvm.fd = -1;
	board->kvm_vm.fd = -1;
	for (size_t i = 0; i < BOARD_FILES; i++)
		board->file[i].fd = -1;
}

enum gmem_pages board_pages_of(enum config_huge_pages huge)
{
	switch (huge) {
	case HUGE_PAGES_TRANSPARENT:
		return GMEM_PAGES_TRANSPARENT;
	case HUGE_PAGES_2M:
		return GMEM_PAGES_2M;
	default:
		return GMEM_PAGES_DEFAULT;
	}
}

bool board_hot(const struct vm_config *config, struct gmem_spec *spec)
{
	const struct memory_hotplug_config *hot = &config->memory_hotplug;
	gpa_t end = gmem_ram_end(MIB(config->machine.mem_size_mib));

	*spec = (struct gmem_spec){
		.kind = GMEM_HOT,
		.gpa = (end + BOARD_HOT_ALIGN - 1) & ~(BOARD_HOT_ALIGN - 1),
		.size = MIB((uint64_t)hot->total_size_mib),
		.slot_bytes = MIB((uint64_t)hot->slot_size_mib),
		.block_bytes = MIB((uint64_t)hot->block_size_mib),
		.fd = -1,
	};
	return hot->present;
}

/* What the guest stores is the file's; all clones that may only read share its
 * page cache. */
int board_add_pmems(struct board *board, struct err *err)
{
	const struct vm_config *config = board->env.config;
	int r = 0;

	for (size_t i = 0; i < config->nr_pmems && r == 0; i++) {
		const struct pmem_config *pmem = &config->pmems[i];
		const struct gmem_spec spec = {
			.kind = GMEM_DEVICE,
			.gpa = gmem_room(&board->mem, PMEM_ALIGN),
			.size = pmem_region_bytes(pmem),
			.fd = pmem->fd,
			.file_bytes = pmem->size,
			.shared = true,
			.read_only = pmem->read_only,
		};

		r = gmem_add(&board->mem, &spec, err);
	}
	return r;
}

int board_note_file(struct board_file *file, int fd, const char *path,
		    struct err *err)
{
	struct stat st;

	file->fd = fd;
	file->path = path;
	if (fd < 0)
		return 0;
	if (fd_stat(fd, &st) < 0)
		return err_set(err, -errno, "Cannot stat %s: %s", path,
			       err_name(errno));
	file->size = st.st_size;
	return 0;
}

int board_open_kvm(struct board *board, struct err *err)
{
	int fd;

	if (kvm_ahead_take(board->env.ahead, &board->kvm))
		return 0;
	fd = path_open(board->env.config->opener, PATH_KVM, NULL, err);
	return kvm_open(&board->kvm, fd, err);
}

int board_make_vm(struct board *board, struct err *err)
{
	const struct vm_config *c = board->env.config;
	bool rings = c->machine.track_dirty_pages && c->machine.dirty_ring;

	if (kvm_ahead_take_vm(board->env.ahead, &board->kvm_vm, &board->kvm,
			      c->irqchip == IRQCHIP_SPLIT && !rings))
		return 0;
	return kvm_vm_init(&board->kvm_vm, &board->kvm, err);
}

/* KVM notes what the guest writes when this is asked for as it gets memory. */
int board_give_memory(struct board *board, struct err *err)
{
	const struct machine_config *machine = &board->env.config->machine;
	int r = 0;

	if (machine->track_dirty_pages && gmem_track(&board->mem) < 0)
		return err_set(err, -ENOMEM, "Out of memory");
	if (machine->track_dirty_pages && machine->dirty_ring)
		r = kvm_vm_use_rings(&board->kvm_vm, err);
	if (r < 0)
		return r;
	return kvm_vm_set_memory(&board->kvm_vm, &board->mem, err);
}

const char *board_truncated_file(const struct board *board)
{
	const struct vm_config *config = board->env.config;
	struct stat st;

	for (size_t i = 0; i < BOARD_FILES; i++) {
		const struct board_file *file = &board->file[i];

		if (file->fd >= 0 && fd_stat(file->fd, &st) == 0 &&
		    st.st_size < file->size)
			return file->path;
	}
	for (size_t i = 0; i < config->nr_pmems; i++) {
		const struct pmem_config *pmem = &config->pmems[i];

		if (pmem->size > 0 && fd_stat(pmem->fd, &st) == 0 &&
		    (uint64_t)st.st_size < pmem->size)
			return pmem->path_on_host;
	}
	return pager_truncated(&board->pager);
}

const char *board_file_at(const struct board *board, gpa_t gpa)
{
	const struct gmem_file *mapped = gmem_file_at(&board->mem, gpa);
	const struct gmem_region *region = gmem_region_of(&board->mem, gpa);
	int fd = mapped ? mapped->fd : -1;

	if (region && region->kind == GMEM_DEVICE)
		return board->env.config
			->pmems[region - gmem_device(&board->mem, 0)]
			.path_on_host;

	if (fd < 0)
		return NULL;
	for (size_t i = 0; i < BOARD_FILES; i++)
		if (board->file[i].fd == fd)
			return board->file[i].path;
	return pager_path_of(&board->pager, fd);
}
