/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image_choice.h - the image that `volt run` runs, and what it says of itself
 *
 * A word that begins with / or . is the path of a root file system, which says
 * nothing of itself. Any other is a name of the store, or digits of one
 * (oci/image.h), else a path, if it has a / in it. An image of the store is
 * verified, and its configuration stands where the command line is silent, as
 * with container tools:
 *
 *   entrypoint	before the command; --entrypoint replaces it, and the image's
 *		command with it
 *   command	where none was given
 *   environment	behind --env, which wins by name
 *   user, working folder	where there is no --user, no --workdir
 *
 * Its stop signal and ports go into the record of a VM in the background.
 */
#pragma once

#include "cli/guest.h"

#include "oci/image.h"

/**
 * struct image_choice - zeroed at first
 * @image:	open, if @is_stored
 * @disk:	as --disk has it, read only; owned
 * @words:	of the command, NULL-terminated; the array is owned
 */
struct image_choice {
	struct image image;
	bool is_stored;
	char *disk;
	const char **words;
};

/**
 * image_choose() - find the image @word
 * @entrypoint:	of the command line, or NULL
 * @command:	of the command line, NULL-terminated, may be empty
 * @options:	filled where they are silent; borrow from @choice
 *
 * Shows its progress where reading the image takes longer than a second.
 *
 * Return: 0; -EINVAL when there is nothing to run, -errno as image_open(), with
 * a sentence. image_choice_free() in any case.
 */
int image_choose(struct image_choice *choice, const char *word,
		 const char *entrypoint, char **command,
		 struct guest_options *options, const struct args_page *page,
		 struct err *err) __must_check;

void image_choice_free(struct image_choice *choice);
