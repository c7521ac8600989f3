// SPDX-License-Identifier: Apache-2.0
/*
 * vms_journal.c - what happened to the VMs of a user (vms_journal.h)
 */
#include "vms/vms_journal.h"

#include "base/fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define VMS_JOURNAL_MAX  (1 << 20)
#define VMS_JOURNAL_HEAD "{\"time\":"

void vms_journal_add(int folder, const char *event, const char *name, int code)
{
	const int flags =
		O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC;
	cleanup_buf struct buf line = {0};
	cleanup_fd int fd = -1;
	struct stat st;

	if (fstatat(folder, VMS_JOURNAL, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    st.st_size >= VMS_JOURNAL_MAX)
		(void)renameat(folder, VMS_JOURNAL, folder, VMS_JOURNAL_OLD);
	buf_addf(&line,
		 "{\"time\":%llu,\"event\":", (unsigned long long)vms_now_ms());
	buf_add_json(&line, event, strlen(event));
	buf_add_str(&line, ",\"name\":");
	buf_add_json(&line, name, strlen(name));
	if (code >= 0)
		buf_addf(&line, ",\"code\":%d", code);
	buf_add_str(&line, "}\n");
	fd = line.failed ? -1 : openat(folder, VMS_JOURNAL, flags, 0600);
	if (fd >= 0)
		(void)!fd_write_full(fd, line.data, line.len);
}

void vms_journal_note(const char *event, const char *name, int code)
{
	struct vms vms;

	if (vms_open(&vms, false, NULL) == 0 && vms.fd >= 0 &&
	    flock(vms.fd, LOCK_EX) == 0)
		vms_journal_add(vms.fd, event, name, code);
	vms_close(&vms);
}

void vms_journal_begin(struct vms_journal_reader *reader, int folder)
{
	tail_begin(&reader->tail, folder, VMS_JOURNAL, VMS_JOURNAL_OLD,
		   VMS_JOURNAL_LINE - 1);
}

void vms_journal_end(struct vms_journal_reader *reader)
{
	tail_end(&reader->tail);
}

int vms_journal_next(struct vms_journal_reader *reader, uint64_t from,
		     const char **line)
{
	const size_t head = sizeof(VMS_JOURNAL_HEAD) - 1;
	const char *text;
	size_t len;
	int r;

	while ((r = tail_next(&reader->tail, &text, &len)) > 0) {
		/* One that was cut by a full disk is none. */
		if (len <= head || memcmp(text, VMS_JOURNAL_HEAD, head) != 0 ||
		    text[len - 1] != '}')
			continue;
		memcpy(reader->line, text, len);
		reader->line[len] = '\0';
		if (strtoull(reader->line + head, NULL, 10) < from)
			continue;
		*line = reader->line;
		return 1;
	}
	return r;
}
