// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_cp.c - `volt cp`: files into a guest and out of it
 *
 * Theory of operation
 *
 * The tree is a stream (agent/copy.h). A child of this process makes it, or
 * takes it, at one end of a pipe; the other end is the output or input of the
 * agent's COPY, so a side that is slower than the other stops it. Where a tree
 * goes on this host is said by the command line alone; the guest's names are
 * names in folders that were made here.
 *
 *   PATH -> VM   child: copy_send() | agent: copy_take()
 *   VM -> PATH   agent: copy_send() | child: copy_take(), with a limit
 *
 * The child says what goes wrong here, the guest's sentence is printed by the
 * parent, and if both have one, the child's: the other follows from it.
 */
#include "cli/cli.h"
#include "cli/guest.h"

#include "agent/copy.h"
#include "base/clock.h"
#include "base/fd.h"
#include "vms/vms_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CP_LIMIT_MIB   1024
#define CP_PROGRESS_MS 200
#define CP_EARLY       2 /* the child's exit code: the other side knows why */

/**
 * struct cp - @vm, @there: in the guest; @here: on this host
 * @in:		into the guest
 * @err:	of this process, or of its child
 */
struct cp {
	uint64_t limit_mib;
	bool follow;
	char vm[VMAPI_NAME_MAX + 1];
	const char *there;
	const char *here;
	bool in;
	struct err err;
};

#define AT(member) .offset = offsetof(struct cp, member)

/* clang-format off */
static const struct arg cp_args[] = {
	{"limit", "SIZE", "out of a guest: no more than that comes, each file "
	 "as 4 KiB more than its length (default 1G)", .kind = ARG_SIZE, .min = 1,
	 .max = UINT32_MAX, AT(limit_mib)},
	{"follow-link", NULL, "-L: if FROM is a link, what it leads to",
	 .letter = 'L', .kind = ARG_FLAG, AT(follow)},
};
/* clang-format on */

const struct args_page cmd_cp_page = {
	.name = "volt cp",
	.summary = "copy files into a guest and out of it",
	.usage = "[OPTIONS] PATH VM:PATH\n[OPTIONS] VM:PATH PATH",
	.about =
		"Copies a file, a link or a folder with all that is in it; a "
		"PATH with a colon of its own is ./PATH. A folder that is there "
		"gets it by its name, and PATH/. the contents of one. Modes "
		"and times are kept, and owners when this command is root's; a "
		"file that is there is replaced when the new one is whole, a "
		"link is replaced and never followed. Set-user-ID and its like "
		"do not come out of a guest; devices, sockets and pipes are "
		"left out.\n",
	.args = cp_args,
	.nr_args = ARRAY_SIZE(cp_args),
	.exit = "0 copied; 1 failed; 64 bad usage.",
	.examples = "  volt cp site web:/srv\n"
		    "  volt cp web:/var/log/app.log .\n"
		    "  volt cp --limit 8G web:/srv/data ./data\n",
	.nr_words = 2,
};

/* ---- the command line ---- */

/* "VM:PATH". Return: PATH; NULL: it is none. */
static const char *cp_split(const char *word,
			    char vm[static VMAPI_NAME_MAX + 1])
{
	const char *colon = strchr(word, ':');
	const size_t len = colon ? (size_t)(colon - word) : 0;

	if (len < 1 || len > VMAPI_NAME_MAX || memchr(word, '/', len))
		return NULL;
	(void)snprintf(vm, VMAPI_NAME_MAX + 1, "%.*s", (int)len, word);
	return vmapi_check_name(vm, NULL) == 0 ? colon + 1 : NULL;
}

static int cp_words(struct cp *cp, char *const *words,
		    const struct args_page *page)
{
	char other[VMAPI_NAME_MAX + 1];
	const char *from = cp_split(words[0], cp->vm);
	const char *to = cp_split(words[1], from ? other : cp->vm);

	if (from && to)
		return cli_misuse(page, "from a guest to a guest it does not "
					"go: copy to this host first");
	if (!from && !to)
		return cli_misuse(page, "one of the two has to be VM:PATH");
	cp->in = to != NULL;
	cp->there = from ? from : to;
	cp->here = from ? words[1] : words[0];
	if (!cp->there[0] || !cp->here[0])
		return cli_misuse(page, "a path is empty");
	return CLI_GO_ON;
}

/* The last part of @path, or "" of one that has none: "/", "x/.", "..". */
static void cp_name(const char *path, char name[static AGENT_NAME_MAX + 1])
{
	size_t end = strlen(path), at;

	while (end > 0 && path[end - 1] == '/')
		end--;
	for (at = end; at > 0 && path[at - 1] != '/'; at--)
		;
	name[0] = '\0';
	if (agent_name_fits(path + at, end - at))
		(void)snprintf(name, AGENT_NAME_MAX + 1, "%.*s",
			       (int)(end - at), path + at);
}

/* ---- this host's side ---- */

static void cp_progress(uint64_t bytes)
{
	static int64_t shown;
	const int64_t now = clock_now_ms();

	if (shown == 0)
		shown = now;
	if (now - shown < CP_PROGRESS_MS)
		return;
	shown = now;
	(void)fprintf(stderr, "\r%.1f MiB\033[K",
		      (double)bytes / (double)MIB(1));
}

static int cp_child_send(struct cp *cp, int fd, const struct args_page *page)
{
	const struct copy_source from = {
		.path = cp->here,
		.follow = cp->follow,
		.owners = geteuid() == 0,
		.progress = isatty(STDERR_FILENO) ? cp_progress : NULL,
	};
	unsigned int left_out = 0;
	int r = copy_send(&from, fd, &left_out, &cp->err);

	if (from.progress)
		(void)fputs("\r\033[K", stderr);
	if (r == -EPIPE)
		return CP_EARLY;
	if (r == 0 && left_out > 0)
		(void)cli_complain(0, page, COPY_LEFT_OUT, left_out);
	return r < 0 ? cli_fail(1, page, &cp->err) : 0;
}

static int cp_child_take(struct cp *cp, int fd, const struct args_page *page)
{
	char name[AGENT_NAME_MAX + 1];
	const struct copy_target to = {
		.path = cp->here,
		.name = name,
		.limit = MIB(cp->limit_mib),
		.modes = 0777,
		.owners = geteuid() == 0,
		.progress = isatty(STDERR_FILENO) ? cp_progress : NULL,
	};
	int r;

	cp_name(cp->there, name);
	r = copy_take(&to, fd, &cp->err);
	if (to.progress)
		(void)fputs("\r\033[K", stderr);
	if (r == -ENODATA)
		return CP_EARLY;
	if (r == -EFBIG)
		return cli_complain(1, page, "%s; --limit lets more come",
				    cp->err.text);
	return r < 0 ? cli_fail(1, page, &cp->err) : 0;
}

/* Return: its pid, and *@fd: our end of the pipe; -errno. */
static pid_t cp_child(struct cp *cp, int *fd, const struct args_page *page)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		/* Nothing of the connection; and it ends with its reader. */
		(void)dup2(ends[cp->in], STDERR_FILENO + 1);
		fd_close_from(STDERR_FILENO + 2);
		_exit(cp->in ? cp_child_send(cp, STDERR_FILENO + 1, page)
			     : cp_child_take(cp, STDERR_FILENO + 1, page));
	}
	if (pid < 0)
		pid = -errno;
	(void)close(ends[cp->in]);
	*fd = ends[!cp->in];
	return pid;
}

static int cp_wait(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* ---- both ---- */

/* What the guest says of it. */
static void cp_hear(void *ctx, enum agent_type type, const char *data,
		    size_t len)
{
	struct buf *said = ctx;

	if (type == AGENT_ERRORS && said->len + len <= AGENT_TEXT_MAX)
		buf_add(said, data, len);
}

/* Return: 0; 1 and what the guest said is in @said, or @cp->err is set. */
static int cp_guest(struct agent_client *client, struct cp *cp, int fd,
		    struct buf *said)
{
	char name[AGENT_NAME_MAX + 1] = "";
	const struct agent_copy copy = {
		.flags = (cp->in ? AGENT_COPY_IN : AGENT_COPY_OUT) |
			 (!cp->in && cp->follow ? AGENT_COPY_FOLLOW : 0),
		.path = cp->there,
		.name = name,
	};
	const struct agent_io io = {
		.in = cp->in ? fd : -1,
		.out = cp->in ? -1 : fd,
		.err = -1,
		.wake = -1,
		.take = cp_hear,
		.ctx = said,
	};
	struct agent_exit how = {0};

	if (cp->in)
		cp_name(cp->here, name);
	if (agent_client_copy(client, &copy, &io, &how, &cp->err) < 0)
		return 1;
	if (how.how != AGENT_EXITED && said->len == 0)
		(void)err_set(&cp->err, -EREMOTEIO,
			      "in the guest the copy was ended by signal %u",
			      how.value);
	return how.how != AGENT_EXITED || how.value != 0;
}

static int cp_go(struct agent_client *client, struct cp *cp,
		 const struct args_page *page)
{
	cleanup_buf struct buf said = {0};
	int fd = -1, there, here;
	pid_t pid;

	(void)signal(SIGPIPE, SIG_IGN);
	pid = cp_child(cp, &fd, page);
	if (pid < 0)
		return cli_complain(1, page, "cannot start: %s",
				    err_name((int)pid));
	there = cp_guest(client, cp, fd, &said);
	fd_close(&fd);
	here = cp_wait(pid);
	if (said.len > 0 && here != 1)
		(void)cli_complain(0, page, "in the guest: %.*s", (int)said.len,
				   said.data);
	else if (cp->err.rc != 0 && here != 1)
		(void)cli_fail(0, page, &cp->err);
	else if (here == CP_EARLY && there == 0)
		(void)cli_complain(0, page, "what came ended too early");
	return here != 0 || there != 0;
}

int cmd_cp(const struct args_page *page, int argc, char **argv)
{
	struct cp cp = {.limit_mib = CP_LIMIT_MIB};
	struct agent_client client = {.fd = -1};
	struct args args;
	int code = cli_parse(page, argc, argv, 2, &cp, &args);

	if (code == CLI_GO_ON)
		code = cp_words(&cp, args.words, page);
	if (code != CLI_GO_ON)
		return code;
	if (guest_meet(&client, cp.vm, &cp.err) < 0) {
		code = cli_fail(1, page, &cp.err);
	} else {
		vms_journal_note("cp", cp.vm, -1);
		code = cp_go(&client, &cp, page);
	}
	agent_client_close(&client);
	return code;
}
