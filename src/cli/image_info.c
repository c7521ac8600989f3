// SPDX-License-Identifier: Apache-2.0
/*
 * image_info.c - `volt image info`: what an image is, and how it is run
 */
#include "cli/image.h"
#include "cli/kernel.h"

#include "oci/image.h"

#include "base/fd.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct image_info {
	bool json;
};

static const struct arg image_info_args[] = {
	{.name = "json",
	 .kind = ARG_FLAG,
	 .offset = offsetof(struct image_info, json),
	 .help = "the same as one JSON object"},
};

const struct args_page cmd_image_info_page = {
	.name = "volt image info",
	.summary = "what an image is, and how it is run",
	.usage = "[--json] NAME",
	.about = "Tells of image NAME, or of the one whose ID, or whose file "
		 "system's SHA-256, begins with these 12 or more hex digits: "
		 "where it is, and what it says of entrypoint, command, "
		 "environment, user, working directory, stop signal and ports. "
		 "Its file is checked as when it is used.\n",
	.args = image_info_args,
	.nr_args = ARRAY_SIZE(image_info_args),
	.exit = "0 shown; 1 there is none, or it is damaged; 64 bad usage.",
	.examples = "  volt image info debian:12\n"
		    "  volt image info --json web | jq .cmd\n",
	.nr_words = 1,
};

static void image_line(const char *key, const char *value)
{
	char room[CLI_CLEAN_MAX];

	(void)printf("%-12s %s\n", key, cli_clean(value, room));
}

static void image_lines(const char *key, const struct oci_words *words)
{
	if (words->nr == 0)
		image_line(key, "");
	for (unsigned int i = 0; i < words->nr; i++)
		image_line(i ? "" : key, words->word[i]);
}

static void image_print_text(const struct image *image)
{
	const struct record *record = &image->record;
	const struct oci_config *config = &image->config;
	char text[64], added[32] = "";
	time_t at = (time_t)record->added;
	struct tm tm;

	if (gmtime_r(&at, &tm))
		(void)strftime(added, sizeof(added), "%Y-%m-%d %H:%M UTC", &tm);
	image_line("name", record->name);
	image_line("ID", record->config.sha256);
	image_line("from", record->origin);
	image_line("added", added);
	image_line("file", image->path);
	(void)snprintf(text, sizeof(text), "%s, %llu MiB", IMAGE_FS_TYPE,
		       (unsigned long long)record->rootfs.size >> 20);
	image_line("file system", text);
	(void)snprintf(text, sizeof(text), "%u", config->diff_ids.nr);
	image_line("layers", text);
	image_lines("entrypoint", &config->entrypoint);
	image_lines("command", &config->cmd);
	image_lines("environment", &config->env);
	image_line("user", config->user);
	image_line("folder", config->workdir);
	image_line("stop signal", config->stop_signal);
	image_lines("ports", &config->ports);
}

static json_t *image_json_words(const struct oci_words *words)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < words->nr; i++)
		(void)json_array_append_new(list, json_string(words->word[i]));
	return list;
}

static int image_print_json(const struct image *image)
{
	const struct record *record = &image->record;
	const struct oci_config *config = &image->config;
	json_t *all = json_pack(
		"{s:s, s:s, s:s, s:I, s:s, s:s, s:I, s:s, s:o, s:o, s:o, s:o, "
		"s:s, s:s, s:s, s:o}",
		"name", record->name, "id", record->config.sha256, "from",
		record->origin, "added", (json_int_t)record->added, "file",
		image->path, "type", IMAGE_FS_TYPE, "size",
		(json_int_t)record->rootfs.size, "sha256",
		record->rootfs.sha256, "layers",
		image_json_words(&config->diff_ids), "entrypoint",
		image_json_words(&config->entrypoint), "cmd",
		image_json_words(&config->cmd), "env",
		image_json_words(&config->env), "user", config->user, "workdir",
		config->workdir, "stop_signal", config->stop_signal, "ports",
		image_json_words(&config->ports));
	int r = all ? json_dumpf(all, stdout, JSON_INDENT(2)) : -1;

	(void)puts("");
	json_decref(all);
	return r;
}

int cmd_image_info(const struct args_page *page, int argc, char **argv)
{
	struct image_info o = {0};
	struct cli_wait wait;
	struct image image;
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 1, &o, &args);

	if (r != CLI_GO_ON)
		return r;
	cli_wait_begin(&wait, page);
	r = image_open(&image, args.words[0], &wait.progress, &err);
	cli_wait_end(&wait);
	if (r < 0)
		r = cli_fail(1, page, &err);
	else if (o.json && image_print_json(&image) < 0)
		r = cli_complain(1, page, "it cannot be shown as JSON");
	else if (!o.json)
		image_print_text(&image);
	image_close(&image);
	return r;
}
