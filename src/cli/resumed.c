// SPDX-License-Identifier: Apache-2.0
/*
 * resumed.c - a guest that was restored is told so (resumed.h)
 */
#include "cli/resumed.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RESUMED_STEP_MS 50
#define RESUMED_TRY_MS  2000

int resumed_fill(struct agent_setup *setup, struct err *err)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	setup->realtime_ns =
		(uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	return getrandom(setup->seed, sizeof(setup->seed), 0) ==
			       (ssize_t)sizeof(setup->seed)
		       ? 0
		       : err_set(err, -EIO, "No random numbers: %s",
				 err_name(errno));
}

int resumed_tell(const char *path, bool *met, struct err *err)
{
	struct agent_setup setup = {.name = "", .flags = AGENT_SETUP_RESUMED};
	struct agent_client client;
	int r = agent_client_open(&client, path, AGENT_PORT, RESUMED_TRY_MS,
				  err);

	*met = r == 0;
	client.limit_ms = AGENT_CLIENT_LIMIT_MS;
	if (r == 0)
		r = resumed_fill(&setup, err);
	if (r == 0)
		r = agent_client_setup(&client, &setup, err);
	agent_client_close(&client);
	return r;
}

/* The VM has to come first; when it has gone again, nobody waits. */
static void resumed_wait(const char *name, const char *path)
{
	const struct timespec step = {.tv_nsec = RESUMED_STEP_MS * 1000000L};
	bool seen = false;

	for (int ms = 0; ms < RESUMED_MS; ms += RESUMED_STEP_MS) {
		struct api_client api;
		const bool there = vmapi_open(&api, name, NULL) == 0;
		bool met = false;

		if (there)
			api_client_close(&api);
		if (there && access(path, F_OK) == 0)
			(void)!resumed_tell(path, &met, NULL);
		if (met || (seen && !there))
			return;
		seen |= there;
		(void)nanosleep(&step, NULL);
	}
}

void resumed_tell_later(const char *name, const char *socket)
{
	char path[GUEST_PATH_MAX];
	pid_t pid = fork();

	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	if (pid != 0)
		return;
	/* A child of nobody's who waits: the VM gets none to reap. */
	if (fork() != 0)
		_exit(0);
	guest_path(socket, path);
	(void)setsid();
	(void)signal(SIGPIPE, SIG_IGN);
	fd_close_from(0);
	(void)open("/dev/null", O_RDWR); /* 0; and 1, 2 */
	(void)!dup(0);
	(void)!dup(0);
	resumed_wait(name, path);
	_exit(0);
}
