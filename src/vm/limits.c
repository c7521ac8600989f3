// SPDX-License-Identifier: Apache-2.0
/*
 * limits.c - limits of different layers that must agree
 *
 * A layer does not see those beside it, so that each names its own limits. Here
 * all of them are known.
 */
#include "boot/layout.h"
#include "config/config.h"
#include "config/drives.h"
#include "dev/blk_io.h"
#include "dev/ioapic.h"
#include "kvm/kvm.h"

static_assert(DRIVE_SECTOR_BYTES == BLK_SECTOR_BYTES, "one sector");
