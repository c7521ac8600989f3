/* SPDX-License-Identifier: Apache-2.0 */
/*
 * version.h - which Firecracker the programs of this tree are compatible with
 */
#pragma once

/* What clients gate their features on: GET /version, GET /, --version. The own
 * version is VOLT_VERSION, which the build sets. */
#define FIRECRACKER_COMPAT_VERSION "1.17.0"
