/* SPDX-License-Identifier: Apache-2.0 */
/*
 * background_ctl.h - the control socket of a VM in the background, of the
 * holder's side (theory of operation: background.h)
 */
#pragma once

#include "cli/background.h"

/* Listen, if that can be: without it the VM runs as well. */
void background_ctl_listen(struct background *b);

/* Somebody came. Return: a descriptor to be watched; -1: none. */
int background_ctl_accept(struct background *b);

/* Something came on @fd. */
void background_ctl_serve(struct background *b, int fd);

/* To all that are there: the last word. */
void background_ctl_tell_end(struct background *b, int code);

/* Send what waits, as much as the socket takes. Return: false: it is not read,
 * and to be closed. */
bool background_ctl_flush(struct background_conn *conn);

void background_ctl_close(struct background_conn *conn);
