/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lease.h - what a lease names, for the gate to open
 *
 * Theory of operation
 *
 * A VM that was restored and has not run yet is given what is its user's own by
 * PUT /volt/lease (vm/lease.h): files of drives, taps, the socket device's
 * path. The guest process is locked by then, in whatever order, so the gate
 * opens all of it. It is asked by role and by the number of the item in the
 * request's list, and looks for the name itself, as ever (need.h).
 *
 * No guest has run by then. The gate keeps the calls that bind sockets and
 * attach taps until the guest process tells it that the guest is about to run
 * (LOCKED); from then on a lease names nothing.
 */
#pragma once

#include "gate/need.h"

/* Is @request a lease? */
bool lease_is(const struct need_request *request);

/**
 * lease_path() - what a lease names for @role
 * @index:	the n-th item of its drives or interfaces
 * @path:	as need_text()
 *
 * Return: 0; -EACCES: nothing; -ENOMEM.
 */
int lease_path(const struct need_request *request, enum path_role role,
	       unsigned int index, struct buf *path) __must_check;

/**
 * lease_drive() - which drive the n-th of them is
 * @id:		as need_text()
 * @copied:	it is to be a private copy
 *
 * Return: 0; -EACCES: there is none; -ENOMEM.
 */
int lease_drive(const struct need_request *request, unsigned int index,
		struct buf *id, bool *copied) __must_check;
