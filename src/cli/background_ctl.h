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

void background_ctl_close(struct background_conn *conn);
