// SPDX-License-Identifier: Apache-2.0
/*
 * image_choice.c - the image that `volt run` runs (image_choice.h)
 */
#include "cli/image_choice.h"

#include "cli/kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Behind @to. Return: how many there were. */
static size_t choice_append(const char **to, char *const *words)
{
	size_t nr = 0;

	for (; words && words[nr]; nr++)
		if (to)
			to[nr] = words[nr];
	return nr;
}

static int choice_set_words(struct image_choice *choice, const char *entrypoint,
			    char **command, struct err *err)
{
	const struct oci_config *config = &choice->image.config;
	char *const own[] = {(char *)(uintptr_t)entrypoint, NULL};
	char *const *first = entrypoint ? own : config->entrypoint.word;
	/* The image's command is for its own entrypoint. */
	char *const *then =
		command[0] || entrypoint ? command : config->cmd.word;
	size_t nr = choice_append(NULL, first) + choice_append(NULL, then);

	if (nr == 0)
		return err_set(err, -EINVAL,
			       "The image does not say what to run: give a "
			       "command behind its name");
	choice->words = calloc(nr + 1, sizeof(*choice->words));
	if (!choice->words)
		return err_set(err, -ENOMEM, "Out of memory");
	nr = choice_append(choice->words, first);
	(void)choice_append(choice->words + nr, then);
	return 0;
}

/* Names of images may have a / as well: @word is one if there is no such file.
 * Return: 0, also for a path; else as image_open(). */
static int choice_open(struct image_choice *choice, const char *word,
		       const struct args_page *page, struct err *err)
{
	struct cli_wait wait;
	int r;

	if (word[0] == '/' || word[0] == '.')
		return 0;

	cli_wait_begin(&wait, page);
	choice->is_stored = true;
	r = image_open(&choice->image, word, &wait.progress, err);
	cli_wait_end(&wait);
	if (r != -ENOENT || !strchr(word, '/') || access(word, F_OK) < 0)
		return r;
	image_close(&choice->image);
	choice->image = (struct image){0};
	choice->is_stored = false;
	return 0;
}

int image_choose(struct image_choice *choice, const char *word,
		 const char *entrypoint, char **command,
		 struct guest_options *options, const struct args_page *page,
		 struct err *err)
{
	const struct oci_config *config = &choice->image.config;
	int r = choice_open(choice, word, page, err);

	if (r == 0)
		r = choice_set_words(choice, entrypoint, command, err);
	if (r < 0)
		return r;
	if (asprintf(&choice->disk, "%s,ro",
		     choice->is_stored ? choice->image.path : word) < 0) {
		choice->disk = NULL;
		return err_set(err, -ENOMEM, "Out of memory");
	}
	if (!choice->is_stored)
		return 0;
	options->image_env = config->env.word;
	if (!options->user && config->user[0])
		options->user = config->user;
	if (!options->workdir && config->workdir[0])
		options->workdir = config->workdir;
	return 0;
}

void image_choice_free(struct image_choice *choice)
{
	if (choice->is_stored)
		image_close(&choice->image);
	free(choice->disk);
	free(choice->words);
}
