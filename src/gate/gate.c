// SPDX-License-Identifier: Apache-2.0
/*
 * gate.c - the gate is forked and made what it is (theory of operation: gate.h)
 */
#include "gate/gate_priv.h"

#include "config/vm_args.h"
#include "gate/http.h"
#include "host/allow.h"
#include "host/path.h"
#include "sandbox/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#define WIRE_FD 3
#define DOOR_FD 4
#define NR_FDS  5

/* si_code of a SIGSYS of seccomp's; not every C library has it. */
#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1
#endif

/* ---- the child ---- */

/* The filter has stopped a call: the other half says which. Both end. */
static void gate_on_bad_call(int sig, siginfo_t *info, void *context)
{
	const struct wire_message m = {
		.kind = WIRE_NOTE,
		.value = GATE_BAD_CALL,
		.rc = -info->si_syscall,
	};

	(void)sig;
	(void)context;
	if (info->si_code == SYS_SECCOMP)
		(void)!wire_send(WIRE_FD, &m, NULL, 0, NULL, 0);
	_exit(1);
}

/*
 * Handlers belong to the other half; a terminal and its group, too. Those that
 * have none there stay as they were: each call here is paid at every start.
 */
static void set_signals(void)
{
	static const int ignored[] = {SIGINT,  SIGTERM, SIGHUP,
				      SIGQUIT, SIGPIPE, SIGXFSZ};
	static const int handled[] = {SIGXCPU, SIGBUS, SIGSEGV, SIGILL};
	const struct sigaction bad_call = {
		.sa_sigaction = gate_on_bad_call,
		.sa_flags = SA_SIGINFO,
	};

	for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
	for (size_t i = 0; i < ARRAY_SIZE(handled); i++)
		(void)signal(handled[i], SIG_DFL);
	(void)sigaction(SIGSYS, &bad_call, NULL);
}

/* A root without /dev has something to put there, too; it takes no bytes. */
static int set_standard(void)
{
	int fd = path_open(&path_direct, PATH_NULL, NULL, NULL);

	if (fd < 0)
		fd = path_open(&path_direct, PATH_FOLDER, "/", NULL);
	if (fd < 0)
		return fd;
	for (int to = 0; to < 3; to++)
		if (dup2(fd, to) < 0)
			return -errno;
	return 0;
}

/* @fd becomes @to; it is out of the way of both. */
static int move_fd(int *fd, int to)
{
	if (*fd >= 0 && dup3(*fd, to, O_CLOEXEC) < 0)
		return -errno;
	*fd = *fd < 0 ? -1 : to;
	return 0;
}

/* Out of the way of what gets a number below @end. */
static int move_away(int *fd, int end)
{
	if (*fd >= 0)
		*fd = fcntl(*fd, F_DUPFD_CLOEXEC, end);
	return *fd < 0 ? -errno : 0;
}

/* The directories of --allow are @from and up. Return: the first behind them,
 * or -errno. */
static int keep_allowed(struct allow *allow, int from)
{
	for (unsigned int i = 0; allow && i < allow->nr; i++, from++) {
		int r = move_fd(&allow->dirs[i].fd, from);

		if (r < 0)
			return r;
	}
	return from;
}

static int move_allowed_away(struct allow *allow, int end)
{
	int r = 0;

	for (unsigned int i = 0; allow && i < allow->nr && r == 0; i++)
		r = move_away(&allow->dirs[i].fd, end);
	return r;
}

/* The wire is 3 and the door, if there is one, 4; then come the directories of
 * --allow. Nothing else stays open. */
static int keep_fds(int *sock, int *door, struct allow *allow)
{
	bool has_door = *door >= 0;
	int end = NR_FDS + (allow ? (int)allow->nr : 0);
	int r = move_away(sock, end);

	if (r == 0 && has_door)
		r = move_away(door, end);
	if (r == 0)
		r = move_allowed_away(allow, end);
	if (r == 0)
		r = set_standard();
	if (r == 0)
		r = move_fd(sock, WIRE_FD);
	if (r == 0)
		r = move_fd(door, DOOR_FD);
	if (r < 0)
		return r;
	end = keep_allowed(allow, has_door ? NR_FDS : DOOR_FD);
	if (end < 0)
		return end;
	fd_close_from(end);
	return 0;
}

static void be_the_gate(const struct gate_params *params, int sock,
			pid_t parent)
{
	static struct gate gate;

	(void)prctl(PR_SET_NAME, VM_GATE_NAME);
	set_signals();
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent ||
	    keep_fds(&sock, &params->door->fd, params->allow) < 0)
		_exit(1);
	gate.params = params;
	_exit(gate_run(&gate, sock));
}

/* ---- the parent ---- */

int gate_start(struct gate_link *link, struct loop *loop,
	       const struct gate_params *params,
	       const struct gate_link_ops *ops, void *ctx, struct err *err)
{
	pid_t parent = getpid();
	int ends[2] = {-1, -1};
	uint64_t max;
	int r = wire_pair(ends);

	if (__builtin_add_overflow(params->payload_max, HTTP_HEAD_MAX, &max))
		max = UINT64_MAX;
	link->src.fd = -1;
	link->pid = r == 0 ? fork() : -1;
	if (link->pid == 0)
		be_the_gate(params, ends[1], parent);
	if (r == 0 && link->pid < 0)
		r = -errno;
	fd_close(&ends[1]);
	if (r == 0)
		r = gate_link_open(link, loop, ends[0], max, ops, ctx);
	else
		fd_close(&ends[0]);
	if (link->pid < 0 && params->door->path)
		file_unlink_own(params->door->path, params->door->file);
	gate_door_close(params->door);
	if (params->allow)
		allow_close(params->allow);
	return r < 0 ? err_set(err, r,
			       "Cannot start the process that serves the API: "
			       "%s",
			       err_name(r))
		     : 0;
}
