/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.h - what the forms of `volt image` share
 */
#pragma once

#include "cli/cli.h"

#define IMAGE_EXIT "0 done; 1 failed, and nothing changed; 64 bad usage."

extern const struct args_page cmd_image_page;
extern const struct args_page cmd_image_add_page;
extern const struct args_page cmd_image_gc_page;
extern const struct args_page cmd_image_info_page;
extern const struct args_page cmd_image_ls_page;
extern const struct args_page cmd_image_pull_page;
extern const struct args_page cmd_image_rm_page;

/* The forms, as struct command has them. Return: an exit code. */
int cmd_image_add(const struct args_page *page, int argc, char **argv);
int cmd_image_gc(const struct args_page *page, int argc, char **argv);
int cmd_image_info(const struct args_page *page, int argc, char **argv);
int cmd_image_ls(const struct args_page *page, int argc, char **argv);
int cmd_image_pull(const struct args_page *page, int argc, char **argv);
int cmd_image_rm(const struct args_page *page, int argc, char **argv);
