// SPDX-License-Identifier: Apache-2.0
/*
 * limits.c - limits of different layers that must agree
 *
 * A layer does not see those beside it, so that each names its own limits. Here
 * all of them are known.
 */
#include "block/io.h"
#include "boot/layout.h"
#include "config/config.h"
#include "config/drives.h"
#include "dev/ioapic.h"
#include "kvm/kvm.h"
#include "snapshot/state.h"

static_assert(DRIVE_SECTOR_BYTES == BLOCK_SECTOR_BYTES, "one sector");

static_assert(CONFIG_VCPUS_MAX == LAYOUT_MAX_CPUS,
	      "as many vCPUs as the guest's tables hold");
static_assert(CONFIG_VCPUS_MAX == SNAPSHOT_VCPUS_MAX,
	      "as many vCPUs as a snapshot holds");

static_assert(CONFIG_CMDLINE_MAX == LAYOUT_CMDLINE_MAX,
	      "a command line that is taken fits into the guest");

/* Our chip, KVM's, and what the guest's tables say of either. */
static_assert(IOAPIC_PINS == LAYOUT_IOAPIC_PINS, "one number of pins");
static_assert(IOAPIC_PINS == IRQCHIP_PINS, "one number of pins");
