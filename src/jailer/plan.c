// SPDX-License-Identifier: Apache-2.0
/*
 * plan.c - the command line of volt-jailer, checked (plan.h)
 */
#include "jailer/plan.h"

#include "base/fd.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define ID_MAX 64

/* The longest suffix of a name that is made of it. */
#define PID_SUFFIX ".pid"

int plan_check_id(const char *id, struct err *err)
{
	size_t len = strlen(id);

	/* Two blanks: as clients' tests compare it. */
	if (len < 1 || len > ID_MAX)
		return err_set(err, -EINVAL,
			       "Invalid instance ID: Invalid len (%zu);  the "
			       "length must be between 1 and %d",
			       len, ID_MAX);
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)id[i]) && id[i] != '-')
			return err_set(err, -EINVAL,
				       "Invalid instance ID: Invalid char (%c) "
				       "at position %zu",
				       id[i], i);
	return 0;
}

/* ---- limits ---- */

/* What is wrong with a number; NULL: nothing. */
static const char *parse_u64(const char *text, uint64_t *out)
{
	size_t digits = strspn(text, "0123456789");

	if (!*text)
		return "cannot parse integer from empty string";
	if (text[digits])
		return "invalid digit found in string";
	if (!args_number(text, 0, UINT64_MAX, out))
		return "number too large to fit in target type";
	return NULL;
}

int plan_parse_limit(const char *text, struct plan_limits *limits,
		     struct err *err)
{
	const char *sign = strchr(text, '=');
	size_t len = sign ? (size_t)(sign - text) : 0;
	const char *wrong;
	uint64_t value;

	if (!sign)
		return err_set(err, -EINVAL,
			       "Invalid format for resources limits: %s", text);
	wrong = parse_u64(sign + 1, &value);
	if (wrong)
		return err_set(err, -EINVAL,
			       "Invalid limit value for resource: %s: %s",
			       sign + 1, wrong);
	if (len == strlen("fsize") && memcmp(text, "fsize", len) == 0) {
		limits->has_fsize = true;
		limits->fsize = value;
	} else if (len == strlen("no-file") &&
		   memcmp(text, "no-file", len) == 0) {
		limits->no_file = value;
	} else {
		return err_set(err, -EINVAL, "Invalid resource argument: %.*s",
			       (int)(len < 256 ? len : 256), text);
	}
	return 0;
}

int plan_parse_user(const char *what, const char *text, uint32_t *out,
		    struct err *err)
{
	uint64_t n;

	/* The last number means "unchanged" to the kernel. */
	if (!args_number(text, 0, UINT32_MAX - 1, &n))
		return err_set(err, -EINVAL, "Invalid %s: %s", what, text);
	*out = (uint32_t)n;
	return 0;
}

/* ---- paths ---- */

static int canonical(const char *path, char **out, struct err *err)
{
	*out = realpath(path, NULL);
	if (*out)
		return 0;
	return err_set(err, -errno,
		       "Failed to canonicalize path %s: %s (os error %d)", path,
		       err_name(errno), errno);
}

static int check_exec(struct plan *plan, const char *path, struct err *err)
{
	struct stat st;
	int r = canonical(path, &plan->exec_path, err);

	if (r < 0)
		return r;
	plan->exec_fd = open(plan->exec_path,
			     O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (plan->exec_fd < 0)
		return err_set(err, -errno,
			       "Failed to open file %s: %s (os error %d)",
			       plan->exec_path, err_name(errno), errno);
	if (fstat(plan->exec_fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, -EINVAL, "%s is not a file",
			       plan->exec_path);
	plan->exec_name = strrchr(plan->exec_path, '/') + 1;
	if (strlen(plan->exec_name) + strlen(PID_SUFFIX) > NAME_MAX)
		return err_set(err, -ENAMETOOLONG,
			       "Failed to extract filename from path %s",
			       plan->exec_path);
	return 0;
}

static int check_base(struct plan *plan, const char *path, struct err *err)
{
	struct stat st;
	int r = canonical(path, &plan->base, err);

	if (r < 0)
		return r;
	if (stat(plan->base, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(err, -ENOTDIR, "%s is not a directory",
			       plan->base);
	return 0;
}

/* ---- all of it ---- */

/* In the order in which Firecracker's parser finds them missing. */
int plan_check_required(const struct jailer_options *opts, struct err *err)
{
	const struct {
		const char *name;
		const char *text;
	} required[] = {
		{"exec-file", opts->exec_file},
		{"gid", opts->gid},
		{"id", opts->id},
		{"uid", opts->uid},
	};

	for (size_t i = 0; i < ARRAY_SIZE(required); i++)
		if (!required[i].text)
			return err_set(err, -EINVAL,
				       "Argument '%s' required, but not "
				       "found.",
				       required[i].name);
	return 0;
}

static int fill_cgroups(struct plan *plan, const struct jailer_options *opts,
			struct err *err)
{
	struct cgroup_plan *c = &plan->cgroups;
	int r;

	c->id = opts->id;
	c->version = 1;
	c->parent = opts->parent_cgroup ? opts->parent_cgroup : plan->exec_name;
	r = cgroup_check_parent(c->parent, err);
	if (r == 0 && opts->cgroup_version)
		r = cgroup_parse_version(opts->cgroup_version, &c->version,
					 err);
	for (; r == 0 && c->nr < opts->cgroups.nr; c->nr += r == 0)
		r = cgroup_parse(opts->cgroups.text[c->nr], &c->setting[c->nr],
				 err);
	c->join = c->nr == 0 && c->version == 2 && opts->parent_cgroup;
	return r;
}

int plan_fill(struct plan *plan, const struct jailer_options *opts,
	      const struct args *args, struct err *err)
{
	int r;

	*plan = (struct plan){
		.id = opts->id,
		.exec_fd = -1,
		.netns = opts->netns,
		.daemonize = opts->daemonize,
		.new_pid_ns = opts->new_pid_ns,
		.limits.no_file = PLAN_NO_FILE_DEFAULT,
		.rest = args->rest,
	};
	r = plan_check_id(opts->id, err);
	if (r == 0)
		r = check_exec(plan, opts->exec_file, err);
	if (r == 0)
		r = check_base(plan,
			       opts->base ? opts->base : JAILER_BASE_DEFAULT,
			       err);
	if (r == 0)
		r = plan_parse_user("uid", opts->uid, &plan->uid, err);
	if (r == 0)
		r = plan_parse_user("gid", opts->gid, &plan->gid, err);
	if (r == 0)
		r = fill_cgroups(plan, opts, err);
	for (unsigned int i = 0; i < opts->limits.nr && r == 0; i++)
		r = plan_parse_limit(opts->limits.text[i], &plan->limits, err);
	return r;
}

void plan_free(struct plan *plan)
{
	free(plan->exec_path);
	free(plan->base);
	fd_close(&plan->exec_fd);
	*plan = (struct plan){.exec_fd = -1};
}
