// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_filter_file.c - the file of --seccomp-filter
 *
 * What is taken is written out again, entry by entry, and taken once more: the
 * same programs. What is refused has a sentence that prints.
 */
#include "api_fuzz.h"

#include "base/buf.h"
#include "sandbox/filter_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void add_number(struct buf *out, uint64_t n)
{
	buf_add(out, &n, sizeof(n));
}

static void write_out(const struct filter_file *f, struct buf *out)
{
	static const char *const names[] = {"VMM", "api", "vCPU"};

	add_number(out, FILTER_FILE_NR);
	for (size_t i = 0; i < FILTER_FILE_NR; i++) {
		const struct seccomp_program *p = &f->program[i];

		add_number(out, strlen(names[i]));
		buf_add_str(out, names[i]);
		add_number(out, p->nr);
		buf_add(out, p->code, p->nr * sizeof(*p->code));
	}
}

static void check_same(const struct filter_file *f)
{
	struct filter_file again = {0};
	struct buf text = {0};
	struct err err = {0};

	write_out(f, &text);
	fuzz_check(filter_file_parse(&again, text.data, text.len, &err) == 0);
	for (size_t i = 0; i < FILTER_FILE_NR; i++) {
		const struct seccomp_program *a = &f->program[i];
		const struct seccomp_program *b = &again.program[i];

		fuzz_check(a->nr == b->nr &&
			   memcmp(a->code, b->code, a->nr * sizeof(*a->code)) ==
				   0);
	}
	filter_file_free(&again);
	buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_copy(data, size);
	struct filter_file f = {0};
	struct err err = {0};

	if (filter_file_parse(&f, text, size, &err) == 0) {
		check_same(&f);
	} else {
		fuzz_check(err.rc < 0 && err.text[0] != '\0');
		for (const char *c = err.text; *c; c++)
			fuzz_check((unsigned char)*c >= ' ' && *c != 0x7f);
	}
	filter_file_free(&f);
	free(text);
	return 0;
}
