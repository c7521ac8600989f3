// SPDX-License-Identifier: Apache-2.0
/*
 * pmem.c - files that are memory of the guest, as a part of the configuration
 * (pmem.h)
 */
#include "config/pmem.h"

#include "config/drive_lock.h"
#include "config/fields.h"
#include "config/override.h"
#include "config/parts.h"
#include "config/words.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CONFIG_OF     struct pmem_config

#define CANNOT_CREATE "Unable to create the virtio-pmem device: "

/* clang-format off */
static const struct schema_field pmem_fields[] = {
	TEXT(id, MUST, MUST, MUST),
	TEXT(path_on_host, MUST, NO, MUST),
	BOOL(root_device, MAY, NO, MUST),
	BOOL(read_only, MAY, NO, MUST),
	OBJECT(rate_limiter, OPTIONAL, OPTIONAL, OPTIONAL, &config_rate_limiter,
	       HAS(rate_limiter.present)),
	OBJECT(limits, NOT("what PATCH made of the limiter is not shown"), NO,
	       OPTIONAL, &config_rate_limiter, HAS(limits.present)),
	OURS(fd, "opened anew by path_on_host"),
	OURS(why, "of this process"),
	OURS(size, "of the file, and kept by the device"),
	OURS(locked, "a lock of this process"),
};
/* clang-format on */

const struct schema_object config_pmem =
	CONFIG_OBJECT("PmemConfig", pmem_fields, SCHEMA_WHOLE);
const struct schema_object config_pmem_patch =
	CONFIG_OBJECT("PmemDeviceUpdateConfig", pmem_fields, SCHEMA_PATCH);

static void config_pmem_init(void *item)
{
	*(struct pmem_config *)item = (struct pmem_config){.fd = -1};
}

static void config_pmem_free(void *item)
{
	struct pmem_config *pmem = item;

	fd_close(&pmem->fd);
	schema_free(&config_pmem, pmem);
	config_pmem_init(pmem);
}

/* ---- the list ---- */

struct pmem_config *pmems_find(const struct vm_config *config, const char *id)
{
	for (size_t i = 0; i < config->nr_pmems; i++)
		if (strcmp(config->pmems[i].id, id) == 0)
			return &config->pmems[i];
	return NULL;
}

bool pmems_have_root(const struct vm_config *config)
{
	for (size_t i = 0; i < config->nr_pmems; i++)
		if (config->pmems[i].root_device)
			return true;
	return false;
}

static int pmems_check_root(const struct vm_config *config,
			    const struct pmem_config *pmem, struct err *err)
{
	if (!pmem->root_device)
		return 0;
	if (config->nr_drives > 0 && config->drives[0].is_root_device)
		return err_set(err, -EEXIST,
			       "Attempt to add pmem as a root device while the "
			       "root device defined as a block device");
	for (size_t i = 0; i < config->nr_pmems; i++)
		if (config->pmems[i].root_device &&
		    strcmp(config->pmems[i].id, pmem->id) != 0)
			return err_set(err, -EEXIST,
				       "A root pmem device already exist");
	return 0;
}

static int pmem_open(const struct vm_config *config, struct pmem_config *pmem,
		     unsigned int index, struct err *err)
{
	enum path_role role = pmem->read_only ? PATH_PMEM_RO : PATH_PMEM;
	int fd = path_open_nth(config->opener, role, pmem->path_on_host, index,
			       err);

	/* Behind the lock only what a request names is opened. */
	if (fd == -EACCES && pmem->why < 0)
		return path_say(role, pmem->path_on_host, pmem->why, "", err);
	pmem->why = fd < 0 ? fd : 0;
	pmem->fd = fd < 0 ? -1 : fd;
	return pmem->why;
}

static int pmems_add(struct vm_config *config, const struct pmem_config *pmem)
{
	struct pmem_config *pmems = reallocarray(
		config->pmems, config->nr_pmems + 1, sizeof(*pmems));

	if (!pmems)
		return -ENOMEM;
	config->pmems = pmems;
	pmems[config->nr_pmems++] = *pmem;
	return 0;
}

int pmems_set(struct vm_config *config, struct pmem_config *pmem,
	      struct err *err)
{
	struct pmem_config *old = pmems_find(config, pmem->id);
	int r = pmems_check_root(config, pmem, err);

	if (r < 0) {
		fd_close(&pmem->fd);
		return r;
	}
	if (pmem->fd < 0)
		(void)pmem_open(config, pmem, 0, NULL);
	if (old) {
		config_pmem_free(old);
		*old = *pmem;
	} else if (pmems_add(config, pmem) < 0) {
		fd_close(&pmem->fd);
		return err_set(err, -ENOMEM, "Out of memory");
	}
	config_pmem_init(pmem);
	return 0;
}

/* ---- to be mapped ---- */

static int pmem_ready(const struct vm_config *config, struct pmem_config *pmem,
		      unsigned int index, struct err *err)
{
	struct file_claim claim = {
		.what = "Pmem",
		.id = pmem->id,
		.path = pmem->path_on_host,
		.read_only = pmem->read_only,
	};
	struct stat st;
	int r = 0;

	if (pmem->fd < 0)
		r = pmem_open(config, pmem, index, err);
	if (r < 0)
		return err_prefix_api(err, CANNOT_CREATE);
	if (fd_stat(pmem->fd, &st) < 0)
		return err_set(err, -errno, "Cannot stat %s: %s",
			       pmem->path_on_host, err_name(errno));
	if (st.st_size == 0) {
		err_set(err, -EINVAL,
			CANNOT_CREATE "Error backing file size is 0");
		return err_plain(err, "the file %s of pmem %s is empty",
				 pmem->path_on_host, pmem->id);
	}
	pmem->size = (uint64_t)st.st_size;
	claim.fd = pmem->fd;
	return pmem->locked ? 0 : file_lock(config, &claim, &pmem->locked, err);
}

int pmems_ready(struct vm_config *config, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < config->nr_pmems && r == 0; i++)
		r = pmem_ready(config, &config->pmems[i], (unsigned int)i, err);
	return r;
}

void pmems_root_words(const struct vm_config *config, char *words, size_t size)
{
	words[0] = '\0';
	for (size_t i = 0; i < config->nr_pmems; i++)
		if (config->pmems[i].root_device)
			(void)snprintf(words, size, "root=/dev/pmem%zu %s", i,
				       config->pmems[i].read_only ? "ro"
								  : "rw");
}

/* ---- for people ---- */

static const struct config_word pmem_word_list[] = {
	CONFIG_PMEM_WORDS(CONFIG_WORD_ROW)};
static const struct config_words pmem_words = {
	.flag = "pmem",
	.usage = CONFIG_PMEM_WORDS(CONFIG_WORD_USAGE),
	.object = &config_pmem,
	.words = pmem_word_list,
	.nr = ARRAY_SIZE(pmem_word_list),
};

static int pmem_check_id(const char *id, struct err *err)
{
	const char *p = id;

	while (isalnum((unsigned char)*p) || *p == '_')
		p++;
	return !*p && p != id
		       ? 0
		       : err_set(err, -EINVAL,
				 "--pmem: '%s' is no id: use letters, digits "
				 "and '_'",
				 id);
}

static int pmem_enter(struct vm_config *config, struct pmem_config *pmem,
		      struct err *err)
{
	int r;

	if (pmems_find(config, pmem->id))
		return err_set(err, -EEXIST, "--pmem: there are two %s",
			       pmem->id);
	r = pmem_open(config, pmem, 0, err);
	return r < 0 ? err_only_plain(err) : pmems_set(config, pmem, err);
}

int config_pmem_set(const char *text, unsigned int index,
		    struct vm_config *config, struct err *err)
{
	struct pmem_config pmem = {.fd = -1};
	int r = 0;

	if (asprintf(&pmem.id, "pmem%u", index) < 0) {
		pmem.id = NULL;
		r = err_set(err, -ENOMEM, "Out of memory");
	}
	if (r == 0)
		r = config_words_parse(&pmem_words, text, &pmem, err);
	if (r == 0)
		r = pmem_check_id(pmem.id, err);
	if (r == 0)
		r = pmem_enter(config, &pmem, err);
	config_pmem_free(&pmem);
	return r;
}

/* ---- restored ---- */

/* Pages that the guest writes are those of the file, whoever maps it: of one
 * that is written to there are no copies. */
static int pmem_check_clone(const struct pmem_config *pmem,
			    const struct config_overrides *overrides,
			    struct err *err)
{
	if (pmem->read_only || (!overrides->overlay && !overrides->lease))
		return 0;
	return err_set(err, -ENOTSUP,
		       "Pmem %s is written to, and has no copies: a clone "
		       "needs it read only, or drives",
		       pmem->id);
}

static int pmem_open_restored(struct vm_config *config, void *item,
			      unsigned int index,
			      const struct config_overrides *overrides,
			      struct err *err)
{
	struct pmem_config *pmem = item;
	char why[ERR_PLAIN_MAX];
	int r = pmem_check_clone(pmem, overrides, err);

	pmem->fd = -1;
	if (r < 0)
		return r;
	r = pmem_open(config, pmem, index, err);
	if (r < 0 && err) {
		(void)snprintf(why, sizeof(why), "%s", err_for_person(err));
		return err_plain(err, "pmem %s: %s", pmem->id, why);
	}
	return r < 0 ? r : pmems_set(config, pmem, err);
}

const struct config_part config_part_pmems = {
	.key = "pmem",
	.saved = "pmems",
	.whole = &config_pmem,
	.offset = offsetof(struct vm_config, pmems),
	.nr = offsetof(struct vm_config, nr_pmems),
	.id = offsetof(struct pmem_config, id),
	.host = offsetof(struct pmem_config, path_on_host),
	.newer = true,
	.init = config_pmem_init,
	.open = pmem_open_restored,
	.close = config_pmem_free,
};
