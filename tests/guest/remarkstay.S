/* SPDX-License-Identifier: Apache-2.0 */
/*
 * remarkstay.S - print a mark once this is a clone, and nothing more
 *
 * What a VM's end costs its host is in nobody's way then.
 */
#define REMARK_STAYS
#include "remark.S"
