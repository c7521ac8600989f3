// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_stop.c - `volt stop`: end a VM
 *
 * Theory of operation: first the guest is asked, by Ctrl-Alt-Del, on which
 * Linux restarts and so ends the VM. A guest that does not listen, or has not
 * gone after --wait seconds, and one that is paused, is ended with SIGTERM to
 * its volt-vmm, which leaves in order.
 *
 * A VM that does not answer is not one whose guest does not listen: its
 * volt-vmm may be in the midst of a save, or all places of its API are taken.
 * Asking is tried again until the time is over. SIGTERM waits behind a save, so
 * none is cut off. SIGKILL would cut it off: only --kill sends it.
 *
 * The command of an image in the background gets its stop signal instead; when
 * it ends so does the VM (background.h). What is known of such a VM is on the
 * disk when this command ends.
 *
 * A pidfd taken while the connection stands makes sure that signals and waiting
 * mean that very process.
 */
#include "cli/cli.h"
#include "cli/kept.h"

#include "base/clock.h"
#include "base/fd.h"
#include "vms/vms_journal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>

#define WAIT_DEFAULT 10
#define TERM_SECONDS 30 /* a save may be going on */
#define KILL_SECONDS 10
#define RETRY_MS     200

struct stop {
	uint64_t wait;
	bool kill;
};

#define AT(member) .offset = offsetof(struct stop, member)

/* clang-format off */
static const struct arg stop_args[] = {
	{"wait", "SECONDS", "how long the guest may take to shut down (default "
	 "10); 0: do not ask it", .kind = ARG_NUMBER, .max = 3600, AT(wait)},
	{"kill", NULL, "end the process as it stands (SIGKILL); a snapshot "
	 "that is being saved is lost", .kind = ARG_FLAG, AT(kill),
	 .forbids = "wait"},
};
/* clang-format on */

const struct args_page cmd_stop_page = {
	.name = "volt stop",
	.summary = "end a VM",
	.usage = "[--wait SECONDS] NAME\n--kill NAME",
	.about = "Asks the guest to shut down (Ctrl-Alt-Del) and waits for "
		 "that; after SECONDS the VM is ended whatever its guest does. "
		 "A paused VM is ended at once. A save that is going on is "
		 "completed first. The command of an image in the background "
		 "is sent the image's stop signal instead (TERM, where it "
		 "names none).\n",
	.args = stop_args,
	.nr_args = ARRAY_SIZE(stop_args),
	.exit = "0 it has ended; 1 failed; 64 bad usage.",
	.nr_words = 1,
};

/* Return: 1 when the process has ended, 0 when it still lives, or -errno. */
static int wait_end(int pidfd, int64_t ms)
{
	const int64_t end = clock_now_ms() + ms;
	struct pollfd p = {.fd = pidfd, .events = POLLIN};
	int r;

	do {
		int64_t left = end - clock_now_ms();

		r = poll(&p, 1, left > 0 ? (int)left : 0);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : r;
}

enum asked {
	ASKED_HEARD,   /* the guest got Ctrl-Alt-Del */
	ASKED_PAUSED,  /* it could not hear it */
	ASKED_REFUSED, /* any other no of the VM */
	ASKED_BUSY,    /* no answer, or no place to ask */
};

static bool is_paused(struct api_client *api)
{
	json_t *info = NULL;
	const char *state;
	bool paused;

	if (vmapi_call(api, "GET", "/", NULL, &info, NULL) < 0)
		return false;
	state = json_string_value(json_object_get(info, "state"));
	paused = state && strcmp(state, "Paused") == 0;
	json_decref(info);
	return paused;
}

static enum asked ask_once(const char *name, int64_t end)
{
	int64_t left = (end - clock_now_ms()) / 1000;
	enum asked asked = ASKED_BUSY;
	struct api_client api;
	int r;

	if (vmapi_open(&api, name, NULL) < 0)
		return ASKED_BUSY;
	api.limit_ms = left > 1 ? (unsigned int)left * 1000 : 1000;
	if (is_paused(&api)) {
		asked = ASKED_PAUSED;
	} else {
		r = vmapi_call(&api, "PUT", "/actions",
			       "{\"action_type\": \"SendCtrlAltDel\"}", NULL,
			       NULL);
		asked = r == 0            ? ASKED_HEARD
			: r == -EREMOTEIO ? ASKED_REFUSED
					  : ASKED_BUSY;
	}
	api_client_close(&api);
	return asked;
}

/*
 * Ask until the guest was asked, then wait for it.
 *
 * @asked:	what became of it
 *
 * Return: 1 when the VM has ended, 0 when it has not, or -errno.
 */
static int ask_guest(const char *name, int pidfd, uint64_t seconds,
		     enum asked *asked)
{
	const int64_t end = clock_now_ms() + (int64_t)seconds * 1000;
	int r = 0;

	*asked = ASKED_BUSY;
	while (r == 0 && *asked == ASKED_BUSY && clock_now_ms() < end) {
		*asked = ask_once(name, end);
		if (*asked == ASKED_BUSY)
			r = wait_end(pidfd, RETRY_MS);
	}
	return r == 0 && *asked == ASKED_HEARD
		       ? wait_end(pidfd, end - clock_now_ms())
		       : r;
}

/* The command of an image in the background. Return: as ask_guest(). */
static int ask_command(const char *name, uint64_t number, int pidfd,
		       uint64_t seconds, enum asked *asked)
{
	struct agent_client client;
	int r = kept_dial(&client, name, NULL);

	*asked = ASKED_BUSY;
	if (r == 0 && agent_client_kill(&client, (int)number, NULL) == 0)
		*asked = ASKED_HEARD;
	agent_client_close(&client);
	return wait_end(pidfd, (int64_t)seconds * 1000);
}

/* Ask whoever is to be asked. Return: as ask_guest(). */
static int stop_ask(const char *name, int pidfd, uint64_t seconds,
		    enum asked *asked)
{
	struct kept kept;
	uint64_t number = 0;

	if (kept_open(&kept, name, NULL) == 0 && kept_lives(&kept) &&
	    kept.vm.record.image)
		number = kept.vm.record.stop_signal;
	kept_close(&kept);
	return number ? ask_command(name, number, pidfd, seconds, asked)
		      : ask_guest(name, pidfd, seconds, asked);
}

static int end_process(const char *name, int pidfd, int sig, int seconds,
		       struct err *err)
{
	int r;

	if (pidfd_send_signal(pidfd, sig, NULL, 0) < 0 && errno != ESRCH)
		return err_set(err, -errno, "cannot signal %s's process: %s",
			       name, err_name(errno));
	r = wait_end(pidfd, (int64_t)seconds * 1000);
	if (r < 0)
		return err_set(err, r, "cannot wait: %s", err_name(r));
	if (r > 0)
		return 0;
	return sig == SIGKILL
		       ? err_set(err, -ETIMEDOUT,
				 "%s's process does not end, even by SIGKILL: "
				 "the host's storage may hang",
				 name)
		       : err_set(err, -ETIMEDOUT,
				 "%s has not ended in %d s; it may be saving, "
				 "and ends when that is done. `volt stop "
				 "--kill %s` does not wait",
				 name, seconds, name);
}

static int cli_stop(const char *name, int pidfd, const struct stop *o,
		    struct err *err)
{
	enum asked asked = ASKED_BUSY;
	int r = 0;

	if (!o->kill && o->wait > 0)
		r = stop_ask(name, pidfd, o->wait, &asked);
	if (r < 0)
		return err_set(err, r, "cannot wait: %s", err_name(r));
	if (r > 0) {
		(void)printf("%s has shut down\n", name);
		return 0;
	}
	r = end_process(name, pidfd, o->kill ? SIGKILL : SIGTERM,
			o->kill ? KILL_SECONDS : TERM_SECONDS, err);
	if (r < 0)
		return r;
	if (o->kill)
		(void)printf("%s was killed\n", name);
	else if (o->wait == 0)
		(void)printf("%s was ended\n", name);
	else if (asked == ASKED_PAUSED)
		(void)printf("%s was paused; ended\n", name);
	else if (asked == ASKED_REFUSED)
		(void)printf("%s could not be asked to shut down; ended\n",
			     name);
	else
		(void)printf("%s did not %s in %llu s; ended\n", name,
			     asked == ASKED_BUSY ? "answer" : "shut down",
			     (unsigned long long)o->wait);
	return 0;
}

int cmd_stop(const struct args_page *page, int argc, char **argv)
{
	struct stop o = {.wait = WAIT_DEFAULT};
	cleanup_fd int pidfd = -1;
	struct api_client api;
	struct args words;
	struct err err;
	int code = cli_parse(page, argc, argv, 1, &o, &words);
	const char *name = words.words[0];

	if (code != CLI_GO_ON)
		return code;
	if (vmapi_check_name(name, &err) < 0)
		return cli_fail(CLI_EXIT_USAGE, page, &err);
	if (vmapi_open(&api, name, &err) < 0)
		return cli_fail(1, page, &err);
	pidfd = pidfd_open(api.pid, 0);
	api_client_close(&api);
	if (pidfd < 0)
		return cli_complain(1, page, "cannot watch process %d: %s",
				    api.pid, err_name(errno));
	vms_journal_note("stop", name, -1);
	if (cli_stop(name, pidfd, &o, &err) < 0)
		return cli_fail(1, page, &err);
	(void)kept_ended(name, KILL_SECONDS * 1000);
	return 0;
}
