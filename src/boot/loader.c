// SPDX-License-Identifier: Apache-2.0
/*
 * loader.c - a kernel, its initrd and its command line into guest memory
 */
#include "boot/loader.h"

#include "boot/cmdline.h"
#include "boot/format.h"
#include "boot/memmap.h"
#include "boot/tables.h"

#include <errno.h>

#define PREFIX_INITRD  "Cannot load initrd due to an invalid image: "
#define PREFIX_CMDLINE "The kernel command line is invalid: "

static int load_kernel(struct kernel *kernel, struct gmem *mem,
		       const struct boot_image *img, enum boot_prefer prefer,
		       struct boot_entry *entry, struct err *err)
{
	struct boot_file file;
	int r = boot_file_open(&file, img->kernel_fd, img->kernel_path,
			       "kernel", err);

	if (r < 0) {
		kernel_err_prefix(err);
		return r;
	}
	return kernel_load(kernel, mem, &file, prefer, entry, err);
}

static int load_initrd(struct boot_handover *give, struct gmem *mem,
		       const struct kernel *kernel,
		       const struct boot_image *img, struct boot_entry *entry,
		       struct err *err)
{
	struct boot_file file;
	int r = boot_file_open(&file, img->initrd_fd, img->initrd_path,
			       "initrd", err);

	if (r == 0 && !kernel_find_room(kernel, mem, file.size, &give->initrd))
		r = err_set(err, -ENOMEM,
			    "The initrd %s of %llu KiB does not fit beside the "
			    "kernel: the VM has %llu MiB; give it more memory",
			    file.path, (unsigned long long)(file.size >> 10),
			    (unsigned long long)(mem->size >> 20));
	if (r == 0)
		r = boot_file_place(&file, mem, give->initrd, 0, file.size,
				    entry, err);
	if (r < 0) {
		(void)err_prefix_api(err, "%s", PREFIX_INITRD);
		return r;
	}
	give->initrd_len = file.size;
	return 0;
}

/* What the user gave, and what the machine adds. */
static int make_cmdline(struct cmdline *cmdline, const struct boot_image *img,
			const struct boot_platform *plat, bool pci_off,
			unsigned int max)
{
	int r = cmdline_set(cmdline, img->cmdline);

	if (r == 0 && pci_off && !cmdline_has(cmdline, "pci="))
		r = cmdline_append(cmdline, "pci=off");
	if (r == 0 && img->root && *img->root)
		r = cmdline_append(cmdline, img->root);
	if (r == 0)
		r = cmdline_append_devices(cmdline, plat);
	if (r == 0 && cmdline->len > max)
		r = -E2BIG;
	return r;
}

/*
 * The machine has no PCI, and a kernel that is told so does not look for it.
 * Where there is no room for the word it does: that is better than not to
 * start. Linux (6.1, 6.12) calls it fatal in both cases, and goes on.
 */
static int load_cmdline(struct gmem *mem, const struct boot_image *img,
			const struct kernel *kernel,
			const struct boot_platform *plat, struct err *err)
{
	struct cmdline cmdline;
	int r = make_cmdline(&cmdline, img, plat, true, kernel->cmdline_max);

	if (r == -E2BIG)
		r = make_cmdline(&cmdline, img, plat, false,
				 kernel->cmdline_max);
	if (r < 0)
		return err_set(err, r,
			       PREFIX_CMDLINE
			       "with the entries of %u devices it is longer "
			       "than the %u bytes that the kernel takes",
			       plat->nr_virtio, kernel->cmdline_max);
	return gmem_write(mem, LAYOUT_CMDLINE, cmdline.text, cmdline.len + 1);
}

static int write_tables(struct gmem *mem, const struct boot_platform *plat,
			struct err *err)
{
	int r = acpi_write(mem, plat);

	if (r == 0)
		r = mptable_write(mem, plat);
	if (r < 0)
		return err_set(err, r, "The machine's tables do not fit");
	return 0;
}

int boot_load(struct gmem *mem, const struct boot_image *img,
	      const struct boot_platform *plat, struct boot_entry *entry,
	      struct err *err)
{
	struct boot_entry e = {0};
	struct boot_handover give = {0};
	struct kernel kernel;
	int r;

	assert(plat->nr_cpus >= 1 && plat->nr_cpus <= LAYOUT_MAX_CPUS);
	assert(plat->nr_virtio <= LAYOUT_VIRTIO_MAX);
	r = load_kernel(&kernel, mem, img, plat->prefer, &e, err);
	if (r == 0 && img->initrd_fd >= 0)
		r = load_initrd(&give, mem, &kernel, img, &e, err);
	if (r == 0)
		r = load_cmdline(mem, img, &kernel, plat, err);
	if (r == 0)
		r = write_tables(mem, plat, err);
	if (r < 0)
		return r;
	memmap_build(&give.map, mem);
	if (kernel.entry_pvh && plat->prefer != BOOT_PREFER_LINUX64)
		pvh_write(mem, &kernel, &give, &e);
	else
		linux64_write(mem, &kernel, &give, &e);
	*entry = e;
	return 0;
}
