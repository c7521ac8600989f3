/* SPDX-License-Identifier: Apache-2.0 */
/*
 * background_attach.h - who is attached to a VM in the background, of the
 * holder's side (theory of operation: background_attach.c)
 */
#pragma once

#include "cli/background.h"

/* A frame of ATTACH or behind it. Return: false: it does not fit. */
bool background_attach_take(struct background *b, struct background_conn *conn,
			    const struct agent_frame *frame);

/* The VM said something. */
void background_attach_said(struct background *b, bool errors, const char *data,
			    size_t len);

/* Send what waits; it is watched as long as something does. Return: false: the
 * connection is of no more use. */
bool background_attach_send(struct background *b, struct background_conn *conn);

/* The command's input has room again. */
void background_attach_type(struct background *b);

/* Who has taken nothing for too long is let go. */
void background_attach_look(struct background *b);

/* It is over: what waits goes, if it is taken. */
void background_attach_finish(struct background *b);

void background_attach_free(struct background_conn *conn);
