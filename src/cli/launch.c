// SPDX-License-Identifier: Apache-2.0
/*
 * launch.c - a command of `volt` that becomes volt-vmm (launch.h)
 */
#include "cli/launch.h"

#include "cli/cli.h"
#include "cli/own_pids.h"

#include "base/fd.h"
#include "sandbox/stage.h"
#include "vms/vms.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

/* What is wrong was said already. */
#define LAUNCH_SAID  1

#define UNIX_SOCKETS "/proc/net/unix"

/* Does the kernel know @path as a socket's? Where it does not tell: yes. */
static bool is_bound(const char *path)
{
	FILE *list = fopen(UNIX_SOCKETS, "re");
	cleanup_free char *line = NULL;
	size_t size = 0, len = strlen(path);
	bool found = !list;
	ssize_t n;

	while (!found && (n = getline(&line, &size, list)) > 0) {
		size_t end = (size_t)n - (line[n - 1] == '\n');

		found = end > len && line[end - len - 1] == ' ' &&
			memcmp(line + end - len, path, len) == 0;
	}
	if (list)
		(void)fclose(list);
	return found;
}

/* The lock of this user's names, on their folder; closing it gives it back. */
static int lock_names(int *lock, struct err *err)
{
	char folder[VMAPI_PATH_MAX];
	int r = vmapi_folder(folder, true, err);

	if (r < 0)
		return r;
	*lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*lock < 0)
		return err_set(err, -errno, "Cannot open %s: %s", folder,
			       err_name(errno));
	do
		r = flock(*lock, LOCK_EX) < 0 ? -errno : 0;
	while (r == -EINTR);
	return r < 0 ? err_set(err, r, "Cannot lock %s: %s", folder,
			       err_name(r))
		     : 0;
}

static int launch_claim(const char *name, const char *socket, struct err *err)
{
	cleanup_fd int lock = -1;
	struct api_client api;
	int r = vms_check_free(name, err);

	if (r == 0)
		r = lock_names(&lock, err);
	if (r < 0)
		return r;
	r = vmapi_open(&api, name, err);
	if (r == 0)
		api_client_close(&api);
	if (r == 0 || (r == -ECONNREFUSED && is_bound(socket)))
		return err_set(err, -EEXIST,
			       "a VM named %s runs already: `volt stop %s` "
			       "ends it, --name gives this one another",
			       name, name);
	if (r == -ECONNREFUSED && unlink(socket) < 0 && errno != ENOENT)
		return err_set(err, -errno, "Cannot remove %s: %s", socket,
			       err_name(errno));
	return r == -ENOENT || r == -ECONNREFUSED ? 0 : r;
}

static void launch_name(struct launch *launch)
{
	launch->args[launch->nr++] = (char *)(uintptr_t)"volt-vmm";
	launch_add(launch, "id", launch->name);
	launch_add(launch, "api-sock", launch->socket);
}

int launch_begin(struct launch *launch, const char *name, struct err *err)
{
	int r;

	if (!name) {
		(void)snprintf(launch->default_name,
			       sizeof(launch->default_name), "vm-%d", getpid());
		name = launch->default_name;
	}
	launch->name = name;
	r = vmapi_socket(name, launch->socket, true, err);
	if (r == 0)
		r = launch_claim(name, launch->socket, err);
	if (r < 0)
		return r;
	launch_name(launch);
	return 0;
}

void launch_begin_again(struct launch *launch, const struct launch *from)
{
	launch->name = from->name;
	memcpy(launch->socket, from->socket, sizeof(launch->socket));
	launch_name(launch);
}

static void add_owned(struct launch *launch, const char *flag, const char *tie,
		      const char *value)
{
	char *text;

	if (launch->nr == LAUNCH_ARGS_MAX ||
	    asprintf(&text, "--%s%s%s", flag, tie, value) < 0) {
		launch->failed = true;
		return;
	}
	launch->owned[launch->nr_owned++] = text;
	launch->args[launch->nr++] = text;
}

/* Two words, for those who look for "--id NAME" in /proc; a value that would
 * be taken for an option needs the "=". */
void launch_add(struct launch *launch, const char *flag, const char *value)
{
	if (value && strncmp(value, "--", 2) == 0) {
		add_owned(launch, flag, "=", value);
		return;
	}
	add_owned(launch, flag, "", "");
	if (!value)
		return;
	if (launch->nr == LAUNCH_ARGS_MAX)
		launch->failed = true;
	else
		launch->args[launch->nr++] = (char *)(uintptr_t)value;
}

/* Dealt with here, those of bounds.h, and the command's own go no further. */
static void launch_add_one(struct launch *launch, const struct arg *arg,
			   const char *text)
{
	const char *name = arg->name;

	if (strcmp(name, "isolate") == 0)
		launch->isolate = true;
	if (strcmp(name, "sandbox") == 0)
		launch->sandbox = text;
	if (strcmp(name, "record-seconds") == 0)
		launch->record_s = text;
	if (strcmp(name, "record-limit") == 0)
		launch->record_mib = text;
	if (arg->group != BOUNDS_GROUP && arg->group != LAUNCH_GROUP_OWN &&
	    arg->group != LAUNCH_GROUP_BACK && strcmp(name, "name") != 0 &&
	    strcmp(name, "pager") != 0 &&
	    strncmp(name, "record", strlen("record")) != 0 &&
	    strcmp(name, "share-drives") != 0)
		launch_add(launch, name, text);
}

/* What the snapshot does not have. */
static bool launch_is_for_restore(const struct arg *arg)
{
	static const char *const names[] = {"timeout", "sandbox",
					    "sandbox-min-abi", "isolate"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(arg->name, names[i]) == 0)
			return true;
	return false;
}

void launch_add_given(struct launch *launch, const struct args *args,
		      enum launch_given which)
{
	for (unsigned int i = 0; i < args->nr_given; i++)
		if (which == LAUNCH_ALL ||
		    launch_is_for_restore(args->given[i].arg))
			launch_add_one(launch, args->given[i].arg,
				       args->given[i].text);
	if (!args_has(args, "share-drives"))
		launch_add(launch, "lock-drives", NULL);
}

int launch_add_rest(struct launch *launch, char **words, struct err *err)
{
	for (; *words && launch->nr < LAUNCH_ARGS_MAX; words++)
		launch->args[launch->nr++] = *words;
	if (*words || launch->failed)
		return err_set(err, -E2BIG, "Too many options, or no memory");
	return 0;
}

/* Returns only when there is no @name beside @program. */
static void exec_beside(struct launch *launch, const char *program,
			const char *name, char *const *argv)
{
	const char *slash = strrchr(program, '/');

	if (!slash)
		return;
	(void)snprintf(launch->vmm, sizeof(launch->vmm), "%.*s/%s",
		       (int)(slash - program), program, name);
	(void)execv(launch->vmm, argv);
}

/* @name beside this program, by the path that was called (perhaps a link) and
 * by the file's own, else as the shell would find it. Returns when there is
 * none. */
static void exec_program(struct launch *launch, const char *name,
			 char *const *argv)
{
	const char *called = (const char *)getauxval(AT_EXECFN);
	ssize_t n = readlink("/proc/self/exe", launch->own,
			     sizeof(launch->own) - 1);

	if (called)
		exec_beside(launch, called, name, argv);
	if (n > 0) {
		launch->own[n] = '\0';
		exec_beside(launch, launch->own, name, argv);
	}
	(void)execvp(name, argv);
}

void launch_add_pager(struct launch *launch, const char *from,
		      const char *memory)
{
	launch->paged_from = from;
	launch->paged_memory = memory;
	(void)snprintf(launch->pager_socket, sizeof(launch->pager_socket),
		       "%s.pager", launch->socket);
	launch_add(launch, "uffd", launch->pager_socket);
}

void launch_add_record(struct launch *launch, char *path)
{
	free(launch->record);
	launch->record = path;
}

static char *launch_word(const char *text)
{
	return (char *)(uintptr_t)text;
}

#define LAUNCH_PAGER_ARGS 16

static void launch_pager_args(const struct launch *launch,
			      char *argv[static LAUNCH_PAGER_ARGS])
{
	const char *const options[][2] = {
		{"--record", launch->record},
		{"--record-seconds", launch->record_s},
		{"--record-limit", launch->record_mib},
	};
	unsigned int n = 0;

	argv[n++] = launch_word("volt-pager");
	argv[n++] = launch_word("--background");
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		if (!options[i][1])
			continue;
		argv[n++] = launch_word(options[i][0]);
		argv[n++] = launch_word(options[i][1]);
	}
	argv[n++] = launch_word("--");
	argv[n++] = launch_word(launch->pager_socket);
	argv[n++] = launch_word(launch->paged_from);
	argv[n++] = launch_word(launch->paged_memory);
	argv[n] = NULL;
}

/* The pager says itself what is wrong, and is there when it listens. Return: 0,
 * LAUNCH_SAID, or -errno with a sentence. */
static int launch_pager(struct launch *launch, struct err *err)
{
	char *argv[LAUNCH_PAGER_ARGS];
	int status;
	pid_t pid;

	if (!launch->paged_from)
		return 0;
	/* Of a VM of this name that is gone: the name is ours now. */
	if (unlink(launch->pager_socket) < 0 && errno != ENOENT)
		return err_set(err, -errno, "Cannot remove %s: %s",
			       launch->pager_socket, err_name(errno));
	pid = fork();
	if (pid == 0) {
		launch_pager_args(launch, argv);
		exec_program(launch, "volt-pager", argv);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			pid = -1;
	if (pid < 0)
		return err_set(err, -errno, "Cannot start volt-pager: %s",
			       err_name(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return err_set(err, -ENOENT,
			       "cannot start volt-pager; it "
			       "belongs beside volt");
	if (WIFEXITED(status))
		return WEXITSTATUS(status) ? LAUNCH_SAID : 0;
	return err_set(err, -EIO, "volt-pager was ended by signal %d",
		       WTERMSIG(status));
}

/* As volt-vmm will find it. Return: 0 or -errno with a sentence. */
static int find_mode(const struct launch *launch, enum sandbox_mode *mode,
		     struct err *err)
{
	struct sandbox s = {.mode = SANDBOX_STRICT};
	int r = sandbox_read_host(&s, SANDBOX_HOST_FILE, err);

	for (enum sandbox_mode m = SANDBOX_STRICT;
	     launch->sandbox && m <= SANDBOX_OFF; m++)
		if (strcmp(launch->sandbox, sandbox_mode_name(m)) == 0)
			s.mode = m;
	*mode = s.mode;
	return r;
}

/* Return: 1 to go on as the VM; 0: it has ended; -errno with a sentence. */
static int make_pids(const struct launch *launch, int *code, struct err *err)
{
	enum sandbox_mode mode;
	struct err why;
	int r;

	if (!launch->isolate)
		return 1;
	r = find_mode(launch, &mode, err);
	if (r < 0)
		return r;
	if (mode == SANDBOX_OFF)
		return 1; /* volt-vmm says what is wrong with that */
	r = own_pids_enter(code, &why);
	if (r >= 0)
		return r;
	if (mode == SANDBOX_STRICT)
		return err_set(
			err, r,
			"--isolate: %s; --sandbox best-effort, or \"mode "
			"best-effort\" in " SANDBOX_HOST_FILE ", accepts that",
			why.text);
	return 1; /* volt-vmm tells that it is missing */
}

int launch_exec(struct launch *launch, const struct bounds *bounds,
		const struct args_page *page)
{
	struct err err;
	int code, r;

	if (bounds_apply(bounds, launch->name, &err) < 0)
		return cli_fail(1, page, &err);
	r = make_pids(launch, &code, &err);
	if (r <= 0)
		return r < 0 ? cli_fail(1, page, &err) : code;
	r = launch_pager(launch, &err);
	if (r != 0)
		return r == LAUNCH_SAID ? 1 : cli_fail(1, page, &err);
	exec_program(launch, "volt-vmm", launch->args);
	return cli_complain(1, page,
			    "cannot start volt-vmm: %s; it belongs beside volt",
			    err_name(errno));
}

void launch_free(struct launch *launch)
{
	for (unsigned int i = 0; i < launch->nr_owned; i++)
		free(launch->owned[i]);
	free(launch->record);
}
