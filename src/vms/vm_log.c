// SPDX-License-Identifier: Apache-2.0
/*
 * vm_log.c - what a VM in the background said (theory of operation: vm_log.h)
 */
#include "vms/vm_log.h"

#include "vms/vms.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* What waits for a line feed; two of it make the longest record. */
#define VM_LOG_PART_MAX 16384u
#define VM_LOG_TEXT_MAX (2 * VM_LOG_PART_MAX)

static const char *const vm_log_names[VM_LOG_STREAMS] = {"stdout", "stderr",
							 "volt"};

void vm_log_time(uint64_t ms, char out[static VM_LOG_TIME_MAX])
{
	const time_t seconds = (time_t)(ms / 1000);
	struct tm tm;
	size_t n;

	if (!gmtime_r(&seconds, &tm))
		tm = (struct tm){.tm_year = 70, .tm_mday = 1};
	n = strftime(out, VM_LOG_TIME_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(out + n, VM_LOG_TIME_MAX - n, ".%03uZ",
		       (unsigned int)(ms % 1000));
}

/* A record. */
static int vm_log_write(struct vm_log *log, enum vm_log_stream stream,
			const char *text, size_t len, bool whole)
{
	cleanup_buf struct buf record = {0};
	char now[VM_LOG_TIME_MAX];

	vm_log_time(vms_now_ms(), now);
	buf_addf(&record, "%s %s %c ", now, vm_log_names[stream],
		 whole ? 'F' : 'P');
	buf_add(&record, text, len);
	buf_add(&record, "\n", 1);
	return record.failed
		       ? -ENOMEM
		       : console_log_add(&log->file, record.data, record.len);
}

/* What waits becomes a record, with @len bytes behind it. */
static int vm_log_end_part(struct vm_log *log, enum vm_log_stream stream,
			   const char *data, size_t len, bool whole)
{
	struct buf *part = &log->part[stream];
	int r;

	buf_add(part, data, len);
	r = part->failed
		    ? -ENOMEM
		    : vm_log_write(log, stream, part->data, part->len, whole);
	buf_free(part);
	return r;
}

int vm_log_add(struct vm_log *log, enum vm_log_stream stream, const char *data,
	       size_t len)
{
	int r = 0;

	while (r == 0 && len > 0) {
		const size_t most =
			len < VM_LOG_PART_MAX ? len : VM_LOG_PART_MAX;
		const char *feed = memchr(data, '\n', most);
		const size_t n = feed ? (size_t)(feed - data) : most;

		if (feed || log->part[stream].len + n >= VM_LOG_PART_MAX)
			r = vm_log_end_part(log, stream, data, n, feed != NULL);
		else
			buf_add(&log->part[stream], data, n);
		data += n + (feed != NULL);
		len -= n + (feed != NULL);
	}
	return r;
}

bool vm_log_waits(const struct vm_log *log)
{
	for (unsigned int i = 0; i < VM_LOG_STREAMS; i++)
		if (log->part[i].len > 0)
			return true;
	return false;
}

int vm_log_flush(struct vm_log *log)
{
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < VM_LOG_STREAMS; i++)
		if (log->part[i].len > 0)
			r = vm_log_end_part(log, (enum vm_log_stream)i, "", 0,
					    false);
	return r;
}

void vm_log_close(struct vm_log *log)
{
	for (unsigned int i = 0; i < VM_LOG_STREAMS; i++)
		buf_free(&log->part[i]);
	console_log_close(&log->file);
}

/* Digits of the given number, and what stands behind. */
static bool vm_log_digits(const char **at, int digits, char behind, int *out)
{
	int value = 0;

	while (digits-- > 0) {
		if (!isdigit((unsigned char)**at))
			return false;
		value = value * 10 + *(*at)++ - '0';
	}
	*out = value;
	return *(*at)++ == behind;
}

/* "2026-11-27T01:45:00.123Z ", which ends with a NUL at the latest. */
static bool vm_log_parse_time(const char **at, uint64_t *ms)
{
	struct tm tm = {0};
	int thousandths;
	time_t t;

	if (!vm_log_digits(at, 4, '-', &tm.tm_year) ||
	    !vm_log_digits(at, 2, '-', &tm.tm_mon) ||
	    !vm_log_digits(at, 2, 'T', &tm.tm_mday) ||
	    !vm_log_digits(at, 2, ':', &tm.tm_hour) ||
	    !vm_log_digits(at, 2, ':', &tm.tm_min) ||
	    !vm_log_digits(at, 2, '.', &tm.tm_sec) ||
	    !vm_log_digits(at, 3, 'Z', &thousandths) || *(*at)++ != ' ')
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	t = timegm(&tm);
	*ms = (uint64_t)t * 1000 + (uint64_t)thousandths;
	return t >= 0;
}

bool vm_log_parse(const char *text, size_t len, struct vm_log_line *line)
{
	char head[VM_LOG_HEAD_MAX] = {0};
	const char *at = head;

	memcpy(head, text, len < sizeof(head) - 1 ? len : sizeof(head) - 1);
	if (!vm_log_parse_time(&at, &line->ms))
		return false;
	for (unsigned int i = 0; i < VM_LOG_STREAMS; i++) {
		const size_t n = strlen(vm_log_names[i]);

		if (strncmp(at, vm_log_names[i], n) != 0 || at[n] != ' ' ||
		    (at[n + 1] != 'F' && at[n + 1] != 'P') || at[n + 2] != ' ')
			continue;
		line->stream = (enum vm_log_stream)i;
		line->whole = at[n + 1] == 'F';
		line->text = text + (at - head) + n + 3;
		line->len = len - (size_t)(line->text - text);
		return true;
	}
	return false;
}

void vm_log_begin(struct tail *reader, int folder)
{
	tail_begin(reader, folder, VMS_LOG, VMS_LOG ".1",
		   VM_LOG_HEAD_MAX + VM_LOG_TEXT_MAX);
}

int vm_log_next(struct tail *reader, struct vm_log_line *line)
{
	const char *text;
	size_t len;
	int r;

	do
		r = tail_next(reader, &text, &len);
	while (r > 0 && !vm_log_parse(text, len, line));
	return r;
}
