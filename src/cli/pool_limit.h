/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool_limit.h - rate limiters of a lease, as they are typed
 *
 *   KIND:SIZE[/MS][+BURST][,...]
 *
 * SIZE bytes or operations in each MS milliseconds, of which a second is the
 * default, and BURST once besides; K, M and G stand for 1024 and its powers. A
 * drive has the kinds bytes and ops, an interface rx-bytes, rx-ops, tx-bytes
 * and tx-ops; each may be named once. Size 0: no limit. Pure.
 */
#pragma once

#include "client/pool_wire.h"

#define POOL_LIMIT_FORM "KIND:SIZE[/MS][+BURST][,...]"

/* Of a drive that may have some already. Return: 0 or -EINVAL: @to is half
 * filled. */
int pool_limit_drive(struct pool_drive *to, const char *text) __must_check;

/* Of an interface, likewise. Return: as above. */
int pool_limit_net(struct pool_net *to, const char *text) __must_check;
