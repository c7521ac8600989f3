// SPDX-License-Identifier: Apache-2.0
/*
 * main.c - volt-pager (theory of operation: serve.h)
 */
#include "base/clean.h"
#include "base/fd.h"
#include "host/path.h"
#include "host/stream.h"
#include "host/unix.h"
#include "pack/pack.h"
#include "serve/ahead.h"
#include "serve/lock.h"
#include "serve/page.h"
#include "serve/serve.h"
#include "snapshot/chain.h"
#include "snapshot/hot.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_USAGE 64
/* In the background, where nobody sees that no VM comes. */
#define ACCEPT_MS 60000

/**
 * struct pager_main - the program
 * @socket:	a path; @bound: which file it names since we listen
 * @told:	the file behind what @serve tells
 * @ready:	in the background: who waits to hear that we listen; else -1
 */
struct pager_main {
	struct serve_options o;
	struct args args;
	struct serve serve;
	const char *socket;
	struct file_id bound;
	int listener;
	int told;
	int ready;
};

static int pager_complain(const struct err *err)
{
	char line[2 * ERR_TEXT_MAX];
	const char *text = err_for_person(err);
	size_t n = (size_t)snprintf(line, sizeof(line), "volt-pager: ");

	n += clean_text(line + n, sizeof(line) - 1 - n, text, strlen(text));
	line[n++] = '\n';
	if (fd_write_full(STDERR_FILENO, line, n) < 0)
		return 1; /* and nowhere to say so */
	return 1;
}

/* ---- what is served ---- */

static int pager_open_image(struct pager_main *m,
			    const struct snapshot_paths *paths, struct err *err)
{
	struct serve *serve = &m->serve;
	uint64_t moment = 0;
	int r = snapshot_image_at(paths, &serve->image, &moment, err);

	serve->record.moment = moment;
	if (r < 0 || m->o.no_hot)
		return r;
	/* It is a hint: one that is damaged is told of, and not used. */
	r = snapshot_hot(paths, moment, &serve->hot, err);
	if (r == -EBADMSG) {
		(void)pager_complain(err);
		r = 0;
	}
	return r == 0 ? snapshot_hot_of_image(&serve->hot, &serve->image, err)
		      : r;
}

static int pager_open_snapshot(struct pager_main *m, struct err *err)
{
	const char *memory = m->args.nr_words > 2 ? m->args.words[2] : NULL;
	struct snapshot_paths paths = {0};
	int r = snapshot_paths_of(&paths, m->args.words[1], memory);

	paths.unpack = &pack_unpacker;
	if (r < 0)
		r = err_set(err, -ENOMEM, "Out of memory");
	else
		r = pager_open_image(m, &paths, err);
	snapshot_paths_free(&paths);
	return r;
}

static int pager_open_record(struct pager_main *m, struct err *err)
{
	struct serve *s = &m->serve;

	s->record_path = m->o.record;
	s->record_ms = m->o.record_s * 1000;
	s->record_max = m->o.record_mib ? MIB(m->o.record_mib) / PAGE_SIZE
					: WORKSET_PAGES_MAX;
	if (!m->o.record)
		return 0;
	s->record_fd = open(m->o.record,
			    O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return s->record_fd < 0 ? err_set(err, -errno, "Cannot write %s: %s",
					  m->o.record, err_name(errno))
				: 0;
}

/* ---- the VM ---- */

static int pager_listen_failed(const struct pager_main *m, int r,
			       struct err *err)
{
	return err_set(err, r, "Cannot listen on %s: %s", m->socket,
		       err_name(r));
}

/* Between bind() and listen() a socket refuses who connects: so it gets its
 * name when it listens. */
static int pager_listen(struct pager_main *m, struct err *err)
{
	cleanup_free char *early = NULL;
	int r;

	if (asprintf(&early, "%s.%d", m->socket, getpid()) < 0) {
		early = NULL;
		return err_set(err, -ENOMEM, "Out of memory");
	}
	m->listener = unix_listen(early, 1);
	if (m->listener < 0)
		return pager_listen_failed(m, m->listener, err);
	if (renameat2(AT_FDCWD, early, AT_FDCWD, m->socket, RENAME_NOREPLACE) <
	    0) {
		r = -errno;
		(void)unlink(early);
		return pager_listen_failed(m, r, err);
	}
	m->bound = file_id_of(m->socket);
	return 0;
}

/* Return: a connection; -errno with a sentence. */
static int pager_accept(const struct pager_main *m, struct err *err)
{
	struct pollfd p = {.fd = m->listener, .events = POLLIN};
	int r;

	do
		r = poll(&p, 1, m->o.background ? ACCEPT_MS : -1);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return err_set(err, -ETIMEDOUT, "No VM has connected");
	r = accept4(m->listener, NULL, NULL, SOCK_CLOEXEC);
	return r < 0 ? err_set(err, -errno, "Cannot accept the VM: %s",
			       err_name(errno))
		     : r;
}

/* Room for the figures that the VM may read. Return: 0 or -errno with a
 * sentence. */
static int pager_make_room(struct pager_main *m, struct err *err)
{
	void *room = MAP_FAILED;

	m->told = memfd_create("volt-pager", MFD_CLOEXEC);
	if (m->told >= 0 && ftruncate(m->told, PAGE_SIZE) == 0)
		room = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
			    m->told, 0);
	if (room == MAP_FAILED)
		return err_set(err, -errno, "No memory for figures: %s",
			       err_name(errno));
	m->serve.told = room;
	return 0;
}

/* What this process takes and does, for the VM's figures: behind the lock
 * nobody may open that, and nobody else ever. A VM that does not ask leaves it
 * unread, and one without it has no such figures. */
static void pager_show(const struct pager_main *m, int sock)
{
	cleanup_fd int smaps =
		open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
	const int fds[] = {smaps, m->told};

	if (smaps >= 0 &&
	    unix_send_fds(sock, "", 1, fds, ARRAY_SIZE(fds), MSG_DONTWAIT) < 0)
		return; /* gone already, as serving it will tell */
}

static int pager_serve_one(struct pager_main *m, struct err *err)
{
	cleanup_fd int sock = pager_accept(m, err);
	int r = sock < 0 ? sock : pager_make_room(m, err);

	fd_close(&m->listener);
	file_unlink_own(m->socket, m->bound);
	if (r == 0)
		pager_show(m, sock);
	if (r == 0)
		r = serve_lock(err);
	return r == 0 ? serve_vm(&m->serve, sock, err) : r;
}

static void pager_tell(const struct serve *s)
{
	const struct served *f = &s->stats;

	(void)fprintf(
		stderr,
		"{\"faults\":%llu,\"faulted_pages\":%llu,"
		"\"hot_pages\":%llu,\"hot_ms\":%llu,\"zero_pages\":%llu,"
		"\"removed_pages\":%llu,\"ms\":%llu}\n",
		(unsigned long long)f->faults, (unsigned long long)f->faulted,
		(unsigned long long)f->hot, (unsigned long long)f->hot_ms,
		(unsigned long long)f->zero, (unsigned long long)f->removed,
		(unsigned long long)s->end_ms);
}

static int pager_prepare(struct pager_main *m, struct err *err)
{
	int r = pager_open_snapshot(m, err);

	m->serve.hot_max = m->o.hot_limit_mib
				   ? MIB(m->o.hot_limit_mib) / PAGE_SIZE
				   : UINT64_MAX;
	if (r == 0)
		r = pager_open_record(m, err);
	return r == 0 ? pager_listen(m, err) : r;
}

/* Return: an exit code. */
static int pager_run(struct pager_main *m)
{
	struct err err;
	int r = pager_prepare(m, &err);

	if (r == 0 && m->ready >= 0 && fd_write_full(m->ready, "", 1) < 0)
		r = err_set(&err, -EPIPE, "Nobody waits for this pager");
	fd_close(&m->ready);
	if (r == 0 && m->serve.record_fd < 0)
		serve_ahead(&m->serve.image, &m->serve.hot, m->serve.hot_max);
	if (r == 0)
		r = pager_serve_one(m, &err);
	if (r < 0)
		(void)pager_complain(&err);
	else if (m->o.json)
		pager_tell(&m->serve);
	fd_close(&m->listener);
	fd_close(&m->serve.record_fd);
	fd_close(&m->told);
	image_fini(&m->serve.image);
	workset_fini(&m->serve.hot);
	workset_fini(&m->serve.record);
	return r < 0;
}

/* In the child nobody's terminal and nobody's group. Return: an exit code. */
static int pager_background(struct pager_main *m)
{
	struct err err;
	int ready[2];
	ssize_t n;
	char byte;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return err_set(&err, -errno, "Cannot make a pipe: %s",
			       err_name(errno)),
		       pager_complain(&err);
	pid = fork();
	if (pid < 0)
		return err_set(&err, -errno, "Cannot start a process: %s",
			       err_name(errno)),
		       pager_complain(&err);
	if (pid == 0) {
		fd_close(&ready[0]);
		m->ready = ready[1];
		(void)setsid();
		return pager_run(m);
	}
	fd_close(&ready[1]);
	do
		n = read(ready[0], &byte, 1);
	while (n < 0 && errno == EINTR);
	fd_close(&ready[0]);
	return n == 1 ? 0 : 1;
}

static int pager_print(const char *text, size_t len)
{
	struct err err;
	int r = fd_write_full(STDOUT_FILENO, text, len);

	if (r == 0)
		return 0;
	err_set(&err, r, "cannot write to standard output: %s", err_name(r));
	return pager_complain(&err);
}

static int pager_help(void)
{
	cleanup_buf struct buf text = {0};

	args_help(&serve_page, &text);
	return text.failed ? 1 : pager_print(text.data, text.len);
}

static int pager_misuse(struct err *err)
{
	(void)pager_complain(err);
	return EXIT_USAGE;
}

/* Return: an exit code. */
static int pager_main(struct pager_main *m, int argc, char **argv)
{
	struct err err;

	if (args_parse(&serve_page, argc, argv, &m->o, &m->args, &err) < 0)
		return pager_misuse(&err);
	if (m->args.help)
		return pager_help();
	if (m->o.version)
		return pager_print("volt-pager " VOLT_VERSION "\n",
				   strlen("volt-pager " VOLT_VERSION "\n"));
	if (m->args.nr_words < 2) {
		err_set(&err, -EINVAL,
			"it takes SOCKET DIR, or SOCKET STATE "
			"MEMORY; volt-pager --help tells more");
		return pager_misuse(&err);
	}
	m->socket = m->args.words[0];
	return m->o.background ? pager_background(m) : pager_run(m);
}

int main(int argc, char **argv)
{
	cleanup_free struct pager_main *m = calloc(1, sizeof(*m));

	(void)signal(SIGPIPE, SIG_IGN);
	if (!m || stream_fill_standard() < 0)
		return 1;
	m->listener = m->told = m->ready = m->serve.record_fd = -1;
	return pager_main(m, argc, argv);
}
