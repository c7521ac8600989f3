// SPDX-License-Identifier: Apache-2.0
/*
 * pull.c - an image of a registry, by skopeo (pull.h)
 */
#include "oci/pull.h"

#include "store/program.h"

#include "base/clean.h"
#include "base/fd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define PULL_MESSAGE "msg=\""

int pull_layout(const char *reference, const char *folder, bool plain,
		struct progress *progress, struct err *err)
{
	cleanup_free char *from = NULL, *to = NULL;
	cleanup_buf struct buf out = {0}, said = {0};
	char line[256], shown[256], name[200];
	const char *why;
	int r;

	if (asprintf(&from, "docker://%s", reference) < 0 ||
	    asprintf(&to, "oci:%s/layout:image", folder) < 0)
		return err_set(err, -ENOMEM, "Out of memory");
	r = program_run(
		&(struct program){
			.argv =
				(const char *const[]){
					"skopeo", "copy", "--quiet",
					"--override-os=linux",
					"--override-arch=amd64",
					plain ? "--src-tls-verify=false"
					      : "--src-tls-verify=true",
					from, to, NULL},
			.folder = folder,
			.progress = progress,
			.what = "pulling",
		},
		&out, &said);
	if (r == 0)
		return 0;
	if (r == -ENOENT)
		return err_set(err, r,
			       "`volt image pull` has skopeo fetch images, and "
			       "it is not there: install Debian's package "
			       "skopeo");
	if (r < 0)
		return err_set(err, r, "skopeo cannot be run: %s", err_name(r));
	(void)program_last_line(&said, line);
	/* Behind a time and a level. */
	why = strstr(line, PULL_MESSAGE);
	why = why ? why + strlen(PULL_MESSAGE) : line;
	(void)clean_text(shown, sizeof(shown), why, strlen(why));
	(void)clean_text(name, sizeof(name), reference, strlen(reference));
	return err_set(err, -EIO, "Cannot pull '%s': skopeo says: %s", name,
		       shown[0] ? shown : "nothing");
}
