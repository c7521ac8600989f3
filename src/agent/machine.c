// SPDX-License-Identifier: Apache-2.0
/*
 * machine.c - what a session does to the whole guest (machine.h)
 */
#include "agent/machine.h"

#include "agent/boot.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/random.h>
#include <mntent.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define MACHINE_GRACE_STEPS 200 /* of 10 ms, from SIGTERM to SIGKILL */
#define MACHINE_STEP_NS     10000000
#define MACHINE_NS_IN_S     1000000000u

/* A link there may lead anywhere in the guest: it is the guest's own. */
static int machine_set_dns(const struct agent_setup *setup)
{
	FILE *file;

	if (setup->nr_lines == 0)
		return 0;
	file = fopen("/etc/resolv.conf", "we");
	if (!file)
		return -errno;
	for (uint32_t i = 0; i < setup->nr_lines; i++)
		(void)fprintf(file, "%s\n", setup->lines[i]);
	return fclose(file) == 0 ? 0 : -errno;
}

/* An image without hosts has not even localhost; its own name is in none. */
static void machine_set_hosts(const char *name)
{
	FILE *file = name[0] ? fopen("/etc/hosts", "ae") : NULL;

	if (!file)
		return;
	if (ftello(file) == 0)
		(void)fputs("127.0.0.1\tlocalhost\n::1\tlocalhost\n", file);
	(void)fprintf(file, "127.0.1.1\t%s\n", name);
	(void)fclose(file);
}

/* They count as entropy: the host's kernel made them. The numbers that the
 * guest gives out are of them from now on, in each clone others. */
static int machine_seed(const unsigned char seed[AGENT_SEED_BYTES])
{
	static const unsigned char none[AGENT_SEED_BYTES];
	cleanup_fd int fd = -1;
	struct {
		struct rand_pool_info info;
		unsigned char bytes[AGENT_SEED_BYTES];
	} pool = {.info = {.entropy_count = AGENT_SEED_BYTES * 8,
			   .buf_size = AGENT_SEED_BYTES}};
	int r = 0;

	if (memcmp(seed, none, sizeof(none)) == 0)
		return 0;
	memcpy(pool.bytes, seed, sizeof(pool.bytes));
	fd = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, RNDADDENTROPY, &pool.info) < 0 ||
	    ioctl(fd, RNDRESEEDCRNG) < 0)
		r = -errno;
	explicit_bzero(&pool, sizeof(pool));
	return r;
}

int machine_setup(const struct agent_setup *setup)
{
	const struct timespec now = {
		.tv_sec = (time_t)(setup->realtime_ns / MACHINE_NS_IN_S),
		.tv_nsec = (long)(setup->realtime_ns % MACHINE_NS_IN_S),
	};
	int r;

	if (setup->realtime_ns > 0 && clock_settime(CLOCK_REALTIME, &now) < 0)
		return -errno;
	if (setup->name[0] && sethostname(setup->name, strlen(setup->name)) < 0)
		return -errno;
	machine_set_hosts(setup->name);
	if (setup->flags & AGENT_SETUP_RESUMED)
		boot_net_up();
	r = machine_seed(setup->seed);
	return r < 0 ? r : machine_set_dns(setup);
}

/* The device's own name as a number that FIFREEZE counts once. */
static int machine_freeze_one(const char *where, bool on)
{
	cleanup_fd int fd = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ioctl(fd, on ? FIFREEZE : FITHAW, 0) == 0)
		return 0;
	/* No such thing there; or it was done by another mount of it. */
	return errno == EOPNOTSUPP || errno == EBUSY || errno == EINVAL
		       ? 0
		       : -errno;
}

int machine_freeze(bool on)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	int r = 0, first = 0;

	if (!mounts)
		return -errno;
	if (on)
		sync();
	while ((first == 0 || !on) && (m = getmntent(mounts))) {
		if (strncmp(m->mnt_fsname, "/dev/", 5) != 0 ||
		    hasmntopt(m, "ro"))
			continue;
		r = machine_freeze_one(m->mnt_dir, on);
		if (first == 0)
			first = r;
	}
	(void)endmntent(mounts);
	return first;
}

void machine_ask_end(void)
{
	(void)kill(1, SIGTERM);
}

void machine_end(void)
{
	const struct timespec step = {.tv_nsec = MACHINE_STEP_NS};

	(void)kill(-1, SIGTERM);
	for (int i = 0; i < MACHINE_GRACE_STEPS; i++) {
		if (waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD)
			break;
		(void)nanosleep(&step, NULL);
	}
	(void)kill(-1, SIGKILL);
	sync();
	/* reboot=k: the VM ends. */
	for (;;)
		(void)reboot(RB_AUTOBOOT);
}
