// SPDX-License-Identifier: Apache-2.0
/*
 * drives.c - what of Volt a kernel drives (drives.h)
 */
#include "kernel/drives.h"

#include "kernel/kconfig.h"

#include <stdio.h>

const struct drives_row drives_table[DRIVES_COUNT] = {
	[DRIVES_CONSOLE] = {"console",
			    {"SERIAL_8250_CONSOLE"},
			    NULL,
			    "it boots, and says nothing on the console"},
	[DRIVES_FIND] =
		{"finding devices",
		 {"ACPI", "VIRTIO_MMIO_CMDLINE_DEVICES"},
		 NULL,
		 "it finds no virtio device, so no disk and no network"},
	[DRIVES_INTERRUPTS] = {"interrupts",
			       {"ACPI", "X86_MPPARSE"},
			       NULL,
			       "it learns of no interrupt controller, so no "
			       "device works"},
	[DRIVES_BUS] = {"virtio bus",
			{"VIRTIO_MMIO"},
			"virtio_mmio",
			"no virtio device works: no disk, network or vsock"},
	[DRIVES_DISK] = {"disk",
			 {"VIRTIO_BLK"},
			 "virtio_blk",
			 "it sees no disk: only an initrd can be its root"},
	[DRIVES_PMEM] = {"file as memory",
			 {"VIRTIO_PMEM"},
			 "virtio_pmem",
			 "it sees none of --pmem"},
	[DRIVES_NET] = {"network",
			{"VIRTIO_NET"},
			"virtio_net",
			"it has no network"},
	[DRIVES_VSOCK] = {"vsock",
			  {"VIRTIO_VSOCKETS"},
			  "vmw_vsock_virtio_transport",
			  "no sockets between guest and host"},
	[DRIVES_ENTROPY] = {"entropy",
			    {"HW_RANDOM_VIRTIO"},
			    "virtio_rng",
			    "it takes no randomness from the host's device"},
	[DRIVES_BALLOON] = {"balloon",
			    {"VIRTIO_BALLOON"},
			    "virtio_balloon",
			    "it gives no memory back"},
	[DRIVES_HOTPLUG] = {"hot-plug",
			    {"VIRTIO_MEM"},
			    "virtio_mem",
			    "it takes no memory while it runs"},
	[DRIVES_VMGENID] = {"generation id",
			    {"VMGENID"},
			    "vmgenid",
			    "clones of a snapshot share their random numbers "
			    "until they mix in others"},
	[DRIVES_VMCLOCK] = {"VM clock",
			    {"PTP_1588_CLOCK_VMCLOCK"},
			    "ptp_vmclock",
			    "programs cannot see that they were cloned"},
	[DRIVES_CLOCK] = {"clock",
			  {"KVM_GUEST"},
			  NULL,
			  "no kvm-clock: it measures time by itself, slowly at "
			  "the start"},
	[DRIVES_RTC] = {"date",
			{"RTC_DRV_CMOS"},
			"rtc_cmos",
			"it sets no date from the CMOS clock"},
	[DRIVES_KEYS] = {"Ctrl-Alt-Del",
			 {"KEYBOARD_ATKBD"},
			 "atkbd",
			 "`volt stop` cannot ask it to shut down"},
	[DRIVES_POWEROFF] = {"power-off",
			     {"ACPI"},
			     NULL,
			     "`poweroff` in it halts it, and the VM stays: "
			     "`reboot` ends that"},
	[DRIVES_INITRD] = {"initrd",
			   {"BLK_DEV_INITRD"},
			   NULL,
			   "it takes no initrd, so no modules either"},
	[DRIVES_DEVTMPFS] = {"/dev",
			     {"DEVTMPFS"},
			     NULL,
			     "no device files, unless its root has them"},
	[DRIVES_EXT4] = {"ext4",
			 {"EXT4_FS"},
			 "ext4",
			 "no root of that file system"},
	[DRIVES_XFS] = {"xfs",
			{"XFS_FS"},
			"xfs",
			"no root of that file system"},
	[DRIVES_BTRFS] = {"btrfs",
			  {"BTRFS_FS"},
			  "btrfs",
			  "no root of that file system"},
	[DRIVES_SQUASHFS] = {"squashfs",
			     {"SQUASHFS"},
			     "squashfs",
			     "no root of that file system"},
	[DRIVES_EROFS] = {"erofs",
			  {"EROFS_FS"},
			  "erofs",
			  "no root of that file system"},
	[DRIVES_OVERLAY] = {"overlay",
			    {"OVERLAY_FS"},
			    "overlay",
			    "`volt run IMAGE` cannot lay what the guest writes "
			    "over the image"},
};

enum drives_state drives_judge(enum drives_id id, const struct buf *config,
			       const struct modules *modules)
{
	const struct drives_row *row = &drives_table[id];
	enum kconfig_value best = KCONFIG_NO;

	if (!config || config->len == 0)
		return DRIVES_UNKNOWN;
	for (size_t i = 0; row->options[i]; i++) {
		enum kconfig_value v =
			kconfig_get(config->data, config->len, row->options[i]);

		best = v > best ? v : best;
	}
	if (best != KCONFIG_MODULE)
		return best == KCONFIG_YES ? DRIVES_BUILT_IN : DRIVES_NOT;
	return row->module && modules_has(modules, row->module)
		       ? DRIVES_MODULE
		       : DRIVES_MODULE_LOST;
}

const char *drives_name(enum drives_state state)
{
	switch (state) {
	case DRIVES_NOT:
		return "no";
	case DRIVES_MODULE_LOST:
		return "module, not in the store";
	case DRIVES_MODULE:
		return "module";
	case DRIVES_BUILT_IN:
		return "built in";
	case DRIVES_UNKNOWN:
		break;
	}
	return "unknown";
}

/* Of what `volt run` loads before the root is mounted. */
static bool drives_is_early(enum drives_id id)
{
	switch (id) {
	case DRIVES_BUS:
	case DRIVES_DISK:
	case DRIVES_NET:
	case DRIVES_VSOCK:
	case DRIVES_EXT4:
	case DRIVES_XFS:
	case DRIVES_BTRFS:
	case DRIVES_SQUASHFS:
	case DRIVES_EROFS:
		return true;
	default:
		return false;
	}
}

const char *drives_meaning(enum drives_id id, enum drives_state state)
{
	if (state == DRIVES_NOT || state == DRIVES_MODULE_LOST)
		return drives_table[id].without;
	if (state != DRIVES_MODULE)
		return "";
	return drives_is_early(id)
		       ? "`volt run` loads it, if its root is a disk"
		       : "programs of its root load it, if that has it";
}

const char *drives_options(enum drives_id id, char out[static 96])
{
	const char *const *options = drives_table[id].options;

	(void)snprintf(out, 96,
		       options[1] ? "CONFIG_%s or CONFIG_%s" : "CONFIG_%s",
		       options[0], options[1]);
	return out;
}
