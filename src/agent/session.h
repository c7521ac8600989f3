/* SPDX-License-Identifier: Apache-2.0 */
/*
 * session.h - one connection of a host, served by a process of its own
 *
 * Theory of operation
 *
 * agent_serve() speaks the agent's side of wire.h from HELLO to the end. It may
 * wait for the host when it sends: the host always reads. What it must not wait
 * for is the command: its pipes are non-blocking, and one poll() waits for all.
 *
 *   state      waits for                      goes on
 *   greeted    HELLO, a request               by the request
 *   running    frames; the command's input    the command has ended
 *              and output, as credit allows
 *   ended      output that is still there     EXIT, the end
 *   frozen     RESUME, the end of the         thawed, the end
 *              connection, the deadline
 *
 * Output that a child of the command holds open is not waited for: what is
 * there when the command has ended is sent, in the order of each stream.
 *
 * What touches the machine is its caller's (struct agent_place), so that tests
 * run this file on any machine.
 */
#pragma once

#include "agent/wire.h"
#include "base/err.h"

/**
 * struct agent_place - where the commands run
 * @passwd, @group:	files of its users
 * @vmstat:		where the kernel counts what it killed ("oom_kill N")
 * @setup:		name, clock, DNS
 * @freeze:		its file systems, or thaw them; @on false always works
 * @hooks:		the image's programs before it is saved, and when it
 *			goes on; a sentence with what is wrong
 * @shut_down:		sync, and restart
 *
 * @setup, @freeze and @hooks return 0 or -errno.
 */
struct agent_place {
	const char *passwd;
	const char *group;
	const char *vmstat;
	int (*setup)(const struct agent_setup *setup);
	int (*freeze)(bool on);
	int (*hooks)(bool resume, struct err *err);
	void (*shut_down)(void);
};

/**
 * agent_serve() - until the errand or the connection is over
 * @sock:	stays the caller's
 *
 * Return: 0; -EPROTO when the host broke the rules; -errno.
 */
int agent_serve(int sock, const struct agent_place *place);
