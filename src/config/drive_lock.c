// SPDX-License-Identifier: Apache-2.0
/*
 * drive_lock.c - nobody else writes to a drive's file meanwhile (theory of
 * operation: drive_lock.h)
 */
#include "config/drive_lock.h"

#include "host/holder.h"

#include "base/fd.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOLDER_MAX 192

/* How long a lock may stay of which no process is seen that has it. */
#define GHOST_STEP_MS            5
#define GHOST_STEPS              200
#define GHOST_STEPS_OF_A_WARNING 20

/* ---- locks ---- */

/* Return: 0; -EAGAIN when somebody else has it; -errno of fcntl(). */
static int set_lock(int fd, int type)
{
	struct flock lock = {
		.l_type = (short)type,
		.l_whence = SEEK_SET,
	};

	return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

static int kind_of_lock(const struct drive_config *drive)
{
	return drive->is_read_only || drive->pending ? F_RDLCK : F_WRLCK;
}

/* The descriptor that has the drive's lock. */
static int lock_of(const struct drive_config *drive)
{
	return drive->lock_fd >= 0 ? drive->lock_fd : drive->fd;
}

/* ---- who has it ---- */

/* Another device of this VM has the file. Return: its id; NULL: none. */
static const char *own_holder(const struct vm_config *config,
			      const struct file_claim *claim, const char **what)
{
	*what = "pmem";
	for (size_t i = 0; i < config->nr_pmems; i++) {
		const struct pmem_config *p = &config->pmems[i];

		if (p->locked && p->fd != claim->fd &&
		    fd_same_file(p->fd, claim->fd))
			return p->id;
	}
	*what = "drive";
	for (size_t i = 0; i < config->nr_drives; i++) {
		const struct drive_config *d = &config->drives[i];

		if (strcmp(d->drive_id, claim->id) != 0 &&
		    fd_same_file(d->fd, claim->fd))
			return d->drive_id;
	}
	return NULL;
}

static void drive_lock_find_holder(const struct vm_config *config,
				   const struct file_claim *claim, char *text,
				   size_t size)
{
	const char *what;
	const char *own = own_holder(config, claim, &what);

	if (own)
		(void)snprintf(text, size, " by %s %.64s of this VM", what,
			       own);
	else
		holder_of_lock(config->opener, claim->fd, text, size);
}

/* ---- claims ---- */

static int conflict(const struct vm_config *config,
		    const struct file_claim *claim, const char *holder,
		    struct err *err)
{
	const char *what = claim->read_only ? "which is written to"
					    : "and this VM would write to it";

	if (config->lock_drives)
		return err_set(err, -EBUSY,
			       "%s %s: %s is in use%s, %s; give each VM a "
			       "copy of its own",
			       claim->what, claim->id, claim->path,
			       holder[0] ? holder : " by another process",
			       what);
	log_warn("%s %s: %s is shared: it is in use%s, %s", claim->what,
		 claim->id, claim->path,
		 holder[0] ? holder : " by another process",
		 claim->read_only ? what : "and this VM may write to it");
	return 0;
}

static bool is_held(int r)
{
	return r == -EAGAIN || r == -EACCES;
}

/* Return: as set_lock(), which said that somebody has it. */
static int outwait_ghost(int fd, int type, int steps)
{
	int r = -EAGAIN;

	for (int i = 0; i < steps && is_held(r); i++) {
		(void)poll(NULL, 0, GHOST_STEP_MS);
		r = set_lock(fd, type);
	}
	return r;
}

/* @steps: how long to wait for a lock that no process seems to have. */
static int claim_file(const struct vm_config *config,
		      const struct file_claim *claim, int steps, bool *locked,
		      struct err *err)
{
	int type = claim->read_only ? F_RDLCK : F_WRLCK;
	int r = set_lock(claim->fd, type);
	char holder[HOLDER_MAX];

	if (is_held(r)) {
		drive_lock_find_holder(config, claim, holder, sizeof(holder));
		if (!holder[0])
			r = outwait_ghost(claim->fd, type, steps);
	}
	*locked = r == 0;
	if (is_held(r))
		return conflict(config, claim, holder, err);
	if (r < 0)
		log_info("%s %s: no lock on %s (%s): nobody is warned of "
			 "another VM that uses it",
			 claim->what, claim->id, claim->path, err_name(r));
	return 0;
}

static struct file_claim claim_of(const struct drive_config *drive,
				  const char *path, int fd)
{
	return (struct file_claim){
		.what = "Drive",
		.id = drive->drive_id,
		.path = path,
		.fd = fd,
		.read_only = drive->is_read_only,
	};
}

/* Before the guest runs: who had the file may just have ended. */
static int patience(const struct vm_config *config)
{
	return config->lock_drives ? GHOST_STEPS : GHOST_STEPS_OF_A_WARNING;
}

int file_lock(const struct vm_config *config, const struct file_claim *claim,
	      bool *locked, struct err *err)
{
	return claim_file(config, claim, patience(config), locked, err);
}

int drive_claim(const struct vm_config *config,
		const struct drive_config *drive, const char *path, int fd,
		struct drive_claim *claim, struct err *err)
{
	bool same = drive->locked && fd_same_file(lock_of(drive), fd);
	const struct file_claim whose = claim_of(drive, path, fd);

	if (same && drive->pending)
		(void)set_lock(lock_of(drive), F_UNLCK);
	claim->keeps = same && !drive->pending;
	claim->locked = claim->keeps;
	return claim->keeps
		       ? 0
		       : claim_file(config, &whose, 0, &claim->locked, err);
}

void drive_claim_take(struct drive_config *drive,
		      const struct drive_claim *claim, int *old_fd)
{
	drive->locked = claim->locked;
	if (!claim->keeps)
		fd_close(&drive->lock_fd);
	else if (drive->lock_fd < 0)
		drive->lock_fd = fd_steal(old_fd);
	fd_close(old_fd);
}

int drive_lock(const struct vm_config *config, struct drive_config *drive,
	       struct drive_config *old, struct err *err)
{
	const struct file_claim claim =
		claim_of(drive, drive->path_on_host, drive->fd);

	if (old && old->locked && fd_same_file(lock_of(old), drive->fd))
		(void)set_lock(lock_of(old), F_UNLCK);
	return file_lock(config, &claim, &drive->locked, err);
}

void drive_unlock(struct drive_config *drive, struct drive_config *old)
{
	fd_close(&drive->fd);
	drive->locked = false;
	if (old && old->locked)
		old->locked = set_lock(lock_of(old), kind_of_lock(old)) == 0;
}
