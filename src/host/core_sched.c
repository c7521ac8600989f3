// SPDX-License-Identifier: Apache-2.0
/*
 * core_sched.c - no other process on the other threads of a core
 * (core_sched.h)
 */
#include "host/core_sched.h"

#include <errno.h>
#include <sys/prctl.h>

/* <linux/prctl.h> of Linux 5.14, which build hosts may not have. */
#define SCHED_CORE              62
#define SCHED_CORE_CREATE       1
#define SCHED_CORE_THREAD_GROUP 1

int core_sched_start(bool *needed, struct err *err)
{
	*needed = true;
	if (prctl(SCHED_CORE, SCHED_CORE_CREATE, 0, SCHED_CORE_THREAD_GROUP,
		  0) == 0)
		return 0;
	if (errno == ENODEV) {
		*needed = false;
		return 0;
	}
	if (errno == EINVAL)
		return err_set(err, -EOPNOTSUPP,
			       "--core-sched: this kernel has no core "
			       "scheduling (Linux 5.14 or later, built with "
			       "CONFIG_SCHED_CORE): switch SMT off instead, or "
			       "leave the option out");
	return err_set(err, -errno,
		       "--core-sched: the kernel gave no cookie: %s",
		       err_name(errno));
}
