// SPDX-License-Identifier: Apache-2.0
/*
 * session.c - the commands that the lab runs
 *
 * Theory of operation
 *
 * A START frame brings, as strings that each end with a zero byte: the
 * terminal's size ("ROWSxCOLUMNS", or nothing for pipes), the working folder,
 * the user id, and three counted lists: folders to show, arguments,
 * environment. Each command is a session (setsid) and a cgroup of its own, so
 * that whatever it leaves behind ends with it, and all of it with its client.
 *
 * Both directions have a window: at most WINDOW bytes are on their way or
 * wait in a buffer until the other side acknowledges (ACK) what was taken.
 * One slow reader then stops its own command and nobody else's.
 *
 * States of a session: free (pid 0), running, exited. An exited one stays
 * until its output has gone out; then EXIT is sent and it is free again.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent.h"

#define MAX_SESSIONS 256
#define WINDOW       (256U << 10)
#define MAX_STRINGS  4096

/* One command. The descriptors are our ends, -1 when closed. */
struct session {
	pid_t pid;
	uint32_t id;
	bool tty;
	bool exited;
	uint32_t code;
	int in, out, err;
	size_t unacked; /* output sent, not yet taken by the client */
	char *input;    /* WINDOW bytes, the first input_len wait for in */
	size_t input_len;
	bool input_end;
};

/* The strings of a START frame. The lists end with NULL. */
struct start {
	char *size, *cwd, *uid;
	char **shares, **args, **env;
	char *slots[MAX_STRINGS];
};

static struct session sessions[MAX_SESSIONS];

/* Reads a counted list of strings into @start's slots. */
static bool take_list(struct start *start, size_t *slot, char **at, char *end,
		      char ***list)
{
	unsigned long i, count;

	if (*at >= end)
		return false;
	count = strtoul(*at, NULL, 10);
	*at += strlen(*at) + 1;
	if (count >= MAX_STRINGS - *slot)
		return false;
	*list = start->slots + *slot;
	for (i = 0; i < count; i++) {
		if (*at >= end)
			return false;
		start->slots[(*slot)++] = *at;
		*at += strlen(*at) + 1;
	}
	start->slots[(*slot)++] = NULL;
	return true;
}

static bool take_start(struct start *start, char *data, size_t len)
{
	char **heads[] = {&start->size, &start->cwd, &start->uid};
	char *end = data + len;
	size_t slot = 0;
	size_t i;

	if (!len || data[len - 1] != '\0')
		return false;
	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		if (data >= end)
			return false;
		*heads[i] = data;
		data += strlen(data) + 1;
	}
	return take_list(start, &slot, &data, end, &start->shares) &&
	       take_list(start, &slot, &data, end, &start->args) &&
	       take_list(start, &slot, &data, end, &start->env) &&
	       start->args[0];
}

/* Makes the folders above @path. */
static void make_parents(const char *path)
{
	char part[PATH_MAX];
	char *slash;

	snprintf(part, sizeof(part), "%s", path);
	for (slash = strchr(part + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(part, 0755);
		*slash = '/';
	}
}

/*
 * Shows the host's @path (a folder or a file) where the lab has a file system
 * of its own instead of the host's. Elsewhere it is visible anyway.
 */
static void show(const char *path)
{
	static const char *const own[] = {"/tmp/", "/run/", "/var/tmp/",
					  "/dev/shm/"};
	struct stat host, here, tree;
	char source[PATH_MAX];
	size_t i;
	int fd;

	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (strncmp(path, own[i], strlen(own[i])) == 0)
			break;
	if (i == sizeof(own) / sizeof(own[0]))
		return;
	snprintf(source, sizeof(source), "%s%s", AGENT_HOST_TREE, path);
	if (stat(source, &host) < 0 || stat(AGENT_HOST_TREE, &tree) < 0)
		return;
	if (stat(path, &here) == 0 && here.st_dev == tree.st_dev)
		return;
	make_parents(path);
	if (S_ISDIR(host.st_mode)) {
		mkdir(path, 0755);
	} else {
		fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
		if (fd >= 0)
			close(fd);
	}
	if (mount(source, path, NULL, MS_BIND, NULL) < 0)
		dprintf(2, "agent: showing %s: %s\n", path, strerror(errno));
}

static void group_path(char *path, size_t len, uint32_t id, const char *file)
{
	snprintf(path, len, "%s/%u%s", AGENT_CGROUP, id, file);
}

static void become(const struct start *start)
{
	uid_t uid = (uid_t)strtoul(start->uid, NULL, 10);

	if (uid == 0)
		return;
	if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 ||
	    setresuid(uid, uid, uid) < 0) {
		dprintf(2, "lab: user %u: %s\n", uid, strerror(errno));
		_exit(126);
	}
}

/* The child's part: never returns. Its descriptors 0 to 2 are set. */
static _Noreturn void run(const struct start *start, uint32_t id)
{
	char path[128];
	sigset_t none;
	int error;

	group_path(path, sizeof(path), id, "/cgroup.procs");
	agent_write_file(path, "0");
	agent_write_file("/proc/self/oom_score_adj", "0");
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	become(start);
	if (chdir(start->cwd) < 0) {
		dprintf(2, "lab: %s: %s\n", start->cwd, strerror(errno));
		_exit(126);
	}
	/* The search for the program uses the command's PATH. */
	environ = start->env;
	execvp(start->args[0], start->args);
	error = errno;
	dprintf(2, "lab: %s: %s\n", start->args[0], strerror(error));
	_exit(error == ENOENT ? 127 : 126);
}

static pid_t fork_on_terminal(struct session *s, const struct start *start)
{
	struct winsize size = {0};
	int master = -1;
	pid_t pid;

	if (sscanf(start->size, "%hux%hu", &size.ws_row, &size.ws_col) != 2)
		size = (struct winsize){.ws_row = 24, .ws_col = 80};
	pid = forkpty(&master, NULL, NULL, &size);
	if (pid == 0)
		run(start, s->id);
	if (pid < 0)
		return pid;
	fcntl(master, F_SETFD, FD_CLOEXEC);
	s->out = master;
	s->in = fcntl(master, F_DUPFD_CLOEXEC, 0);
	return pid;
}

static pid_t fork_on_pipes(struct session *s, const struct start *start)
{
	int in[2], out[2], err[2];
	pid_t pid;

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 ||
	    pipe2(err, O_CLOEXEC) < 0)
		agent_die("pipe");
	pid = fork();
	if (pid == 0) {
		setsid();
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		run(start, s->id);
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	s->in = in[1];
	s->out = out[0];
	s->err = err[0];
	return pid;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void free_session(struct session *s)
{
	char path[128];

	close_fd(&s->in);
	close_fd(&s->out);
	close_fd(&s->err);
	free(s->input);
	/* Killed processes need a moment to leave their group. */
	group_path(path, sizeof(path), s->id, "");
	rmdir(path);
	*s = (struct session){0};
}

static void set_nonblocking(int fd)
{
	if (fd >= 0)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static void start_session(struct session *s, const struct start *start)
{
	char path[128];
	size_t i;

	for (i = 0; start->shares[i]; i++)
		show(start->shares[i]);
	group_path(path, sizeof(path), s->id, "");
	mkdir(path, 0755);
	s->in = s->out = s->err = -1;
	s->tty = start->size[0] != '\0';
	s->input = malloc(WINDOW);
	if (!s->input)
		agent_die("memory");
	s->pid = s->tty ? fork_on_terminal(s, start) : fork_on_pipes(s, start);
	if (s->pid < 0) {
		agent_send(s->id, FRAME_FAILED, "fork failed", 11);
		free_session(s);
		return;
	}
	set_nonblocking(s->in);
	set_nonblocking(s->out);
	set_nonblocking(s->err);
}

static void start_frame(uint32_t id, char *data, size_t len)
{
	static struct start start;
	size_t i;

	if (!take_start(&start, data, len)) {
		agent_send(id, FRAME_FAILED, "bad start frame", 15);
		return;
	}
	for (i = 0; i < MAX_SESSIONS; i++)
		if (!sessions[i].pid)
			break;
	if (i == MAX_SESSIONS) {
		agent_send(id, FRAME_FAILED, "too many commands", 17);
		return;
	}
	sessions[i].id = id;
	start_session(&sessions[i], &start);
}

/* Kills whatever is left of @s: every process of its cgroup. */
static void kill_group(const struct session *s)
{
	char path[128];

	group_path(path, sizeof(path), s->id, "/cgroup.kill");
	agent_write_file(path, "1");
}

static void ack_input(const struct session *s, size_t len)
{
	uint32_t count = (uint32_t)len;

	if (count)
		agent_send(s->id, FRAME_ACK, &count, sizeof(count));
}

/* Passes on what input waits; a command that no longer reads loses it. */
static void push_input(struct session *s)
{
	ssize_t done = 0;

	if (s->in < 0 || s->exited) {
		ack_input(s, s->input_len);
		s->input_len = 0;
		return;
	}
	if (s->input_len)
		done = write(s->in, s->input, s->input_len);
	if (done < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (done < 0) {
		close_fd(&s->in);
		push_input(s);
		return;
	}
	ack_input(s, (size_t)done);
	s->input_len -= (size_t)done;
	memmove(s->input, s->input + done, s->input_len);
	if (s->input_end && !s->input_len)
		close_fd(&s->in);
}

static void input_frame(struct session *s, const char *data, size_t len)
{
	if (!len)
		s->input_end = !s->tty;
	if (len > WINDOW - s->input_len)
		agent_die("input beyond its window");
	memcpy(s->input + s->input_len, data, len);
	s->input_len += len;
	push_input(s);
}

/*
 * Sends what *@fd has, within the window. Returns true when there is no more
 * for now, and closes *@fd at its end (EIO: a terminal without a user).
 */
static bool pull_output(struct session *s, int *fd, uint32_t type)
{
	static char buf[64 << 10];
	ssize_t got;

	while (*fd >= 0) {
		size_t room = WINDOW - s->unacked;

		if (!room)
			return false;
		got = read(*fd, buf, room < sizeof(buf) ? room : sizeof(buf));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			return true;
		if (got <= 0) {
			close_fd(fd);
			return true;
		}
		s->unacked += (size_t)got;
		agent_send(s->id, type, buf, (size_t)got);
	}
	return true;
}

/* Sends the output there is; an exited command's last, then its code. */
static void pull(struct session *s)
{
	bool out = pull_output(s, &s->out, FRAME_OUTPUT);
	bool err = pull_output(s, &s->err, FRAME_ERRORS);

	if (!s->exited || !out || !err)
		return;
	agent_send(s->id, FRAME_EXIT, &s->code, sizeof(s->code));
	free_session(s);
}

static void signal_session(const struct session *s, int number)
{
	pid_t group = s->tty ? tcgetpgrp(s->out) : s->pid;

	if (s->exited)
		return;
	/* A child that has not come to setsid() yet leads no group. */
	if (group <= 0 || kill(-group, number) < 0)
		kill(s->pid, number);
}

static struct session *find(uint32_t id)
{
	size_t i;

	for (i = 0; i < MAX_SESSIONS; i++)
		if (sessions[i].pid && sessions[i].id == id)
			return &sessions[i];
	return NULL;
}

/**
 * session_frame() - do what a frame from the host asks.
 * @data: frame->len bytes, ours to write to.
 *
 * A frame for a session that has just ended is late, not wrong.
 */
void session_frame(const struct frame *frame, char *data)
{
	struct session *s = find(frame->session);
	uint32_t word[2] = {0, 0};
	struct winsize size = {0};

	if (frame->type == FRAME_START && !s) {
		start_frame(frame->session, data, frame->len);
		return;
	}
	if (!s)
		return;
	memcpy(word, data,
	       frame->len < sizeof(word) ? frame->len : sizeof(word));
	switch (frame->type) {
	case FRAME_INPUT:
		input_frame(s, data, frame->len);
		break;
	case FRAME_ACK:
		s->unacked -= word[0] < s->unacked ? word[0] : s->unacked;
		pull(s);
		break;
	case FRAME_SIGNAL:
		signal_session(s, (int)word[0]);
		break;
	case FRAME_RESIZE:
		size.ws_row = (unsigned short)word[0];
		size.ws_col = (unsigned short)word[1];
		if (s->tty && s->out >= 0)
			ioctl(s->out, TIOCSWINSZ, &size);
		break;
	case FRAME_END:
		kill_group(s);
		break;
	default:
		break;
	}
}

/**
 * session_poll_fill() - what the sessions wait for.
 *
 * Return: the number of entries filled, at most @room.
 */
size_t session_poll_fill(struct pollfd *fds, size_t room)
{
	size_t count = 0;
	size_t i;

	for (i = 0; i < MAX_SESSIONS && count + 3 <= room; i++) {
		struct session *s = &sessions[i];
		bool window = s->pid && s->unacked < WINDOW;

		if (window && s->out >= 0)
			fds[count++] =
				(struct pollfd){.fd = s->out, .events = POLLIN};
		if (window && s->err >= 0)
			fds[count++] =
				(struct pollfd){.fd = s->err, .events = POLLIN};
		if (s->pid && s->in >= 0 && s->input_len)
			fds[count++] =
				(struct pollfd){.fd = s->in, .events = POLLOUT};
	}
	return count;
}

/**
 * session_poll_done() - serve the sessions that have something to do.
 */
void session_poll_done(const struct pollfd *fds, size_t count)
{
	size_t i, j;

	for (i = 0; i < MAX_SESSIONS; i++) {
		bool out = false, in = false;
		struct session *s = &sessions[i];

		for (j = 0; s->pid && j < count; j++) {
			if (!fds[j].revents)
				continue;
			in |= fds[j].fd == s->in;
			out |= fds[j].fd == s->out || fds[j].fd == s->err;
		}
		if (in)
			push_input(s);
		if (out)
			pull(s);
	}
}

/**
 * session_reap() - collect children that ended, ours and orphans.
 */
void session_reap(void)
{
	int status;
	pid_t pid;
	size_t i;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (i = 0; i < MAX_SESSIONS; i++)
			if (sessions[i].pid == pid && !sessions[i].exited)
				break;
		if (i == MAX_SESSIONS)
			continue;
		sessions[i].exited = true;
		sessions[i].code =
			(uint32_t)(WIFEXITED(status) ? WEXITSTATUS(status)
						     : 128 + WTERMSIG(status));
		kill_group(&sessions[i]);
		push_input(&sessions[i]);
		pull(&sessions[i]);
	}
}
