// SPDX-License-Identifier: Apache-2.0
/*
 * main.c - volt-pool (theory of operation: pool.h)
 *
 * It starts processes that open what their users name, so it cannot lock itself
 * as a VM does: what it may, they could. It takes no further privileges, is
 * traced by nobody, and leaves no core.
 */
#include "base/clean.h"
#include "base/fd.h"
#include "host/notify.h"
#include "host/stream.h"
#include "pool/page.h"
#include "pool/server.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXIT_USAGE 64

/**
 * struct pool_main - the program
 * @bound:	which file our socket is
 */
struct pool_main {
	struct pool_options o;
	struct args args;
	struct loop loop;
	struct pool_daemon daemon;
	struct server server;
	struct notify notify;
	struct loop_source signals;
	struct file_id bound;
	char socket[POOL_PATH_MAX];
	char dir[POOL_PATH_MAX];
	char vmm[PATH_MAX];
};

static int pool_main_complain(const struct err *err)
{
	char line[2 * ERR_TEXT_MAX];
	const char *text = err_for_person(err);
	size_t n = (size_t)snprintf(line, sizeof(line), "volt-pool: ");

	n += clean_text(line + n, sizeof(line) - 1 - n, text, strlen(text));
	line[n++] = '\n';
	if (fd_write_full(STDERR_FILENO, line, n) < 0)
		return 1; /* and nowhere to say so */
	return 1;
}

/* ---- where things are ---- */

static int pool_main_fits(char *out, size_t size, const char *given,
			  const char *folder, const char *name, struct err *err)
{
	int n = given ? snprintf(out, size, "%s", given)
		      : snprintf(out, size, "%s/%s", folder, name);

	return n > 0 && (size_t)n < size ? 0
					 : err_set(err, -ENAMETOOLONG,
						   "The path of %s is too "
						   "long",
						   name);
}

/* As `volt` looks for the sockets of VMs. */
static int pool_main_folder(char *out, size_t size, struct err *err)
{
	const char *base = getenv("XDG_RUNTIME_DIR");
	char own[32];
	int n;

	(void)snprintf(own, sizeof(own), "/run/user/%u", geteuid());
	if (!base || base[0] != '/')
		base = geteuid() == 0 ? "/run" : own;
	n = snprintf(out, size, "%s/volt", base);
	if (n < 0 || (size_t)n >= size)
		return err_set(err, -ENAMETOOLONG, "%s is too long", base);
	if (mkdir(out, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "Cannot create %s: %s", out,
			       err_name(errno));
	return 0;
}

/* The folder of this program. Return: 0 or -errno with a sentence. */
static int pool_main_self(char *out, size_t size, struct err *err)
{
	ssize_t n = readlink("/proc/self/exe", out, size - 1);
	char *slash;

	if (n < 0)
		return err_set(err, -errno, "/proc/self/exe: %s",
			       err_name(errno));
	out[n] = '\0';
	slash = strrchr(out, '/');
	if (slash)
		*slash = '\0';
	return 0;
}

/* Members have other folders to work in, and a folder is no name. */
static int pool_main_absolute(const char *flag, const char *path,
			      struct err *err)
{
	size_t len = path ? strlen(path) : 0;

	return !path || (path[0] == '/' && path[len - 1] != '/')
		       ? 0
		       : err_set(err, -EINVAL,
				 "--%s has to be an absolute path, not '%s'",
				 flag, path);
}

static int pool_main_places(struct pool_main *m, struct err *err)
{
	cleanup_free char *self = malloc(PATH_MAX);
	char folder[POOL_PATH_MAX] = "";
	const char *slash;
	int r;

	if (!self)
		return err_set(err, -ENOMEM, "Out of memory");
	r = pool_main_absolute("socket", m->o.socket, err);
	if (r == 0)
		r = pool_main_absolute("dir", m->o.dir, err);
	if (r == 0)
		r = pool_main_absolute("vmm", m->o.vmm, err);
	if (r == 0)
		r = pool_main_self(self, PATH_MAX, err);
	if (r == 0 && !m->o.socket)
		r = pool_main_folder(folder, sizeof(folder), err);
	if (r == 0)
		r = pool_main_fits(m->socket, sizeof(m->socket), m->o.socket,
				   folder, "pool.sock", err);
	if (r == 0 && m->o.socket) {
		slash = strrchr(m->socket, '/');
		(void)snprintf(folder, sizeof(folder), "%.*s",
			       slash ? (int)(slash - m->socket) : 0, m->socket);
	}
	if (r == 0)
		r = pool_main_fits(m->dir, sizeof(m->dir), m->o.dir, folder,
				   "pool", err);
	if (r == 0)
		r = pool_main_fits(m->vmm, sizeof(m->vmm), m->o.vmm, self,
				   "volt-vmm", err);
	if (r == 0 && access(m->vmm, X_OK) < 0)
		r = err_set(err, -errno, "Cannot run %s: %s", m->vmm,
			    err_name(errno));
	return r;
}

/* ---- the process ---- */

static int pool_main_harden(struct err *err)
{
	const struct rlimit none = {0, 0};
	struct rlimit files;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    setrlimit(RLIMIT_CORE, &none) < 0)
		return err_set(err, -errno, "Cannot lock this process: %s",
			       err_name(errno));
	/* Two descriptors a member. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	(void)umask(077);
	return 0;
}

static void pool_main_signal(struct loop_source *src, uint32_t events)
{
	struct pool_main *m = container_of(src, struct pool_main, signals);
	struct signalfd_siginfo info;

	(void)events;
	if (read(src->fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	notify_stopping(&m->notify, "Ends what is nobody's");
	pool_daemon_stop(&m->daemon);
}

static int pool_main_signals(struct pool_main *m, struct err *err)
{
	sigset_t set;
	int r;

	(void)signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return err_set(err, -errno, "Cannot block signals: %s",
			       err_name(errno));
	m->signals = (struct loop_source){
		.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK),
		.events = EPOLLIN,
		.cb = pool_main_signal,
	};
	if (m->signals.fd < 0)
		return err_set(err, -errno, "Cannot wait for signals: %s",
			       err_name(errno));
	r = loop_add(&m->loop, &m->signals);
	return r < 0 ? err_set(err, r, "Cannot watch signals: %s", err_name(r))
		     : 0;
}

static int pool_main_open(struct pool_main *m, struct err *err)
{
	int r = pool_main_places(m, err);

	if (r == 0)
		r = pool_main_harden(err);
	if (r == 0)
		r = pool_main_signals(m, err);
	/* A manager that cannot be told is no reason to have no pools. */
	if (r == 0 && notify_open(&m->notify, &m->loop, err) < 0)
		(void)pool_main_complain(err);
	if (r == 0)
		r = pool_daemon_init(&m->daemon, &m->loop, m->dir, m->vmm, err);
	if (r == 0)
		r = server_open(&m->server, &m->daemon, m->socket, err);
	return r;
}

/* Return: an exit code. */
static int pool_main_run(struct pool_main *m)
{
	struct err err;
	int r = loop_init(&m->loop);

	if (r < 0) {
		err_set(&err, r, "Cannot make a loop: %s", err_name(r));
		return pool_main_complain(&err);
	}
	r = pool_main_open(m, &err);
	if (r == 0) {
		m->bound = file_id_of(m->socket);
		notify_ready(&m->notify, "Serves");
		r = loop_run(&m->loop);
		if (r < 0)
			err_set(&err, r, "Cannot wait for events: %s",
				err_name(r));
		file_unlink_own(m->socket, m->bound);
	}
	server_close(&m->server);
	if (m->daemon.loop)
		pool_daemon_fini(&m->daemon);
	notify_close(&m->notify);
	loop_del(&m->loop, &m->signals);
	fd_close(&m->signals.fd);
	loop_fini(&m->loop);
	return r < 0 ? pool_main_complain(&err) : 0;
}

/* ---- the command line ---- */

static int pool_main_print(const char *text, size_t len)
{
	struct err err;
	int r = fd_write_full(STDOUT_FILENO, text, len);

	if (r == 0)
		return 0;
	err_set(&err, r, "cannot write to standard output: %s", err_name(r));
	return pool_main_complain(&err);
}

static int pool_main_help(void)
{
	cleanup_buf struct buf text = {0};

	args_help(&pool_page, &text);
	return text.failed ? 1 : pool_main_print(text.data, text.len);
}

int main(int argc, char **argv)
{
	cleanup_free struct pool_main *m = calloc(1, sizeof(*m));
	struct err err;

	if (!m || stream_fill_standard() < 0)
		return 1;
	m->signals.fd = m->notify.fd = m->server.src.fd = -1;
	if (args_parse(&pool_page, argc, argv, &m->o, &m->args, &err) < 0) {
		(void)pool_main_complain(&err);
		return EXIT_USAGE;
	}
	if (m->args.help)
		return pool_main_help();
	if (m->o.version)
		return pool_main_print("volt-pool " VOLT_VERSION "\n",
				       strlen("volt-pool " VOLT_VERSION "\n"));
	return pool_main_run(m);
}
