// SPDX-License-Identifier: Apache-2.0
/*
 * main.c - docgen: which document, and where it goes (docgen.h)
 *
 * usage: docgen man|completion FOLDER
 *        docgen markdown|calls      (on standard output)
 */
#include "docgen/docgen.h"

#include "base/fd.h"
#include "jailer/page.h"
#include "pool/page.h"
#include "serve/page.h"
#include "vmm/page.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct args_page *const docgen_programs[DOCGEN_NR_PROGRAMS] = {
	&vmm_page,
	&jailer_page,
	&serve_page,
	&pool_page,
};

void docgen_put_dashed(struct buf *out, const char *name)
{
	for (; *name; name++)
		buf_add(out, *name == ' ' ? "-" : name, 1);
}

enum docgen_value docgen_value_of(const struct arg *arg)
{
	static const char *const files[] = {"FILE", "PATH", "DIR", "SOCKET",
					    "ID=PATH"};

	if (!arg->value)
		return DOCGEN_NONE;
	if (arg->kind == ARG_CHOICE)
		return DOCGEN_CHOICES;
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		if (strncmp(arg->value, files[i], strlen(files[i])) == 0)
			return DOCGEN_FILE;
	return DOCGEN_OTHER;
}

const char *docgen_paragraph(const char *text, struct buf *out)
{
	buf_clear(out);
	text += strspn(text, "\n");
	if (!*text)
		return NULL;
	while (*text && *text != '\n') {
		size_t len = strcspn(text, "\n");

		buf_add(out, text, len);
		text += len + (text[len] == '\n');
		if (*text && *text != '\n')
			buf_add(out, " ", 1);
	}
	return text;
}

static int save(const char *folder, const char *name, const struct buf *text)
{
	cleanup_free char *path = NULL;
	cleanup_fd int fd = -1;

	if (text->failed || asprintf(&path, "%s/%s", folder, name) < 0)
		return -ENOMEM;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd_write_full(fd, text->data, text->len);
}

static int save_page(const char *folder, const struct args_page *page,
		     int section)
{
	cleanup_buf struct buf text = {0}, name = {0};

	docgen_put_dashed(&name, page->name);
	buf_addf(&name, ".%d", section);
	buf_add(&name, "", 1);
	docgen_man(page, section, &text);
	return name.failed ? -ENOMEM : save(folder, name.data, &text);
}

static int write_man(const char *folder)
{
	int r = save_page(folder, &volt_page, 1);

	for (size_t i = 0; r == 0 && i < DOCGEN_NR_PROGRAMS; i++)
		r = save_page(folder, docgen_programs[i], 8);
	for (size_t i = 0; r == 0 && i < cli_nr_commands; i++)
		r = save_page(folder, cli_commands[i].page, 1);
	return r;
}

static int write_completion(const char *folder)
{
	static const struct {
		const char *name;
		void (*make)(struct buf *out);
	} files[] = {
		{"volt", docgen_bash},
		{"_volt", docgen_zsh},
		{"volt.fish", docgen_fish},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(files); i++) {
		cleanup_buf struct buf text = {0};

		files[i].make(&text);
		r = save(folder, files[i].name, &text);
	}
	return r;
}

static int docgen_print(void (*make)(struct buf *out))
{
	cleanup_buf struct buf text = {0};

	make(&text);
	return text.failed ? -ENOMEM
			   : fd_write_full(STDOUT_FILENO, text.data, text.len);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int r = -EINVAL;

	if (argc == 3 && strcmp(what, "man") == 0)
		r = write_man(argv[2]);
	else if (argc == 3 && strcmp(what, "completion") == 0)
		r = write_completion(argv[2]);
	else if (argc == 2 && strcmp(what, "markdown") == 0)
		r = docgen_print(docgen_markdown);
	else if (argc == 2 && strcmp(what, "calls") == 0)
		r = docgen_print(docgen_calls);
	if (r < 0)
		(void)fprintf(stderr, "docgen: %s: %s\n", what, err_name(r));
	return r < 0;
}
