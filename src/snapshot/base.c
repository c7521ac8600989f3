// SPDX-License-Identifier: Apache-2.0
/*
 * base.c - which file may be the base of a diff (base.h)
 */
#include "snapshot/base.h"

#include <unistd.h>

bool base_is_strange(uid_t file, uid_t owner)
{
	return file != owner && file != geteuid() && file != 0;
}

enum base_fit base_fit(const struct base_file *file,
		       const struct base_wanted *wanted)
{
	if (file->moment != wanted->moment)
		return BASE_OTHER;
	if (!file->known || file->size != wanted->size)
		return BASE_WRONG;
	return base_is_strange(file->owner, wanted->owner) ? BASE_STRANGE
							   : BASE_FITS;
}

unsigned int base_rank(const struct base_file *file, bool has_base)
{
	if (file->needs == 0)
		return 3;
	return has_base ? 2 : 1;
}
