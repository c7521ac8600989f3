// SPDX-License-Identifier: Apache-2.0
/*
 * config.c - what an image says of how it is run (config.h)
 */
#include "oci/config.h"

#include "store/digest.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_SHA256 "sha256:"

static int config_no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "Out of memory");
}

/* A text that a process can be given; none, null and "" are the same. */
static int config_text(const json_t *object, const char *key, char **out,
		       struct err *err)
{
	const json_t *value = json_object_get(object, key);
	const char *text = json_string_value(value);

	if (value && !text && !json_is_null(value))
		return err_set(err, -EINVAL,
			       "has a configuration whose %s is no text", key);
	*out = strdup(text ? text : "");
	return *out ? 0 : config_no_memory(err);
}

static int config_word(struct oci_words *words, const char *text,
		       struct err *err)
{
	words->word[words->nr] = text ? strdup(text) : NULL;
	if (!words->word[words->nr])
		return text ? config_no_memory(err)
			    : err_set(err, -EINVAL,
				      "has a configuration with a list of "
				      "other things than texts");
	words->nr++;
	return 0;
}

static int config_words(const json_t *object, const char *key,
			struct oci_words *words, struct err *err)
{
	const json_t *list = json_object_get(object, key);
	size_t nr = json_array_size(list);
	int r = 0;

	if (list && !json_is_array(list) && !json_is_null(list))
		return err_set(err, -EINVAL,
			       "has a configuration whose %s is no list", key);
	if (nr == 0)
		return 0;
	words->word = calloc(nr + 1, sizeof(char *));
	if (!words->word)
		return config_no_memory(err);
	for (size_t i = 0; r == 0 && i < nr; i++)
		r = config_word(
			words, json_string_value(json_array_get(list, i)), err);
	return r;
}

static int config_by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* An object whose keys count. */
static int config_keys(json_t *object, const char *key, struct oci_words *words,
		       struct err *err)
{
	json_t *keys = json_object_get(object, key);
	size_t nr = json_object_size(keys);
	int r = 0;

	if (keys && !json_is_object(keys) && !json_is_null(keys))
		return err_set(err, -EINVAL,
			       "has a configuration whose %s is no object",
			       key);
	if (nr == 0)
		return 0;
	words->word = calloc(nr + 1, sizeof(char *));
	if (!words->word)
		return config_no_memory(err);
	for (void *at = json_object_iter(keys); r == 0 && at;
	     at = json_object_iter_next(keys, at))
		r = config_word(words, json_object_iter_key(at), err);
	qsort(words->word, words->nr, sizeof(char *), config_by_text);
	return r;
}

static int config_diff_ids(const json_t *root, struct oci_config *config,
			   struct err *err)
{
	const json_t *fs = json_object_get(root, "rootfs");
	int r = config_words(fs, "diff_ids", &config->diff_ids, err);

	if (r == 0 && config->diff_ids.nr > OCI_LAYERS_MAX)
		return err_set(err, -EINVAL,
			       "has %u layers: more than %u are not read",
			       config->diff_ids.nr, OCI_LAYERS_MAX);
	for (unsigned int i = 0; r == 0 && i < config->diff_ids.nr; i++) {
		const char *id = config->diff_ids.word[i];
		size_t n = strlen(CONFIG_SHA256);

		if (strncmp(id, CONFIG_SHA256, n) != 0 ||
		    !digest_is_one(id + n))
			return err_set(err, -EINVAL,
				       "has a configuration with a layer that "
				       "is not named by its SHA-256");
	}
	return r;
}

static int config_env(const struct oci_config *config, struct err *err)
{
	for (unsigned int i = 0; i < config->env.nr; i++) {
		const char *word = config->env.word[i];

		if (!strchr(word, '=') || word[0] == '=')
			return err_set(err, -EINVAL,
				       "has a configuration with an Env that "
				       "is not NAME=VALUE");
	}
	return 0;
}

static int config_run(json_t *run, struct oci_config *config, struct err *err)
{
	int r = config_text(run, "User", &config->user, err);

	if (r == 0)
		r = config_text(run, "WorkingDir", &config->workdir, err);
	if (r == 0)
		r = config_text(run, "StopSignal", &config->stop_signal, err);
	if (r == 0)
		r = config_words(run, "Entrypoint", &config->entrypoint, err);
	if (r == 0)
		r = config_words(run, "Cmd", &config->cmd, err);
	if (r == 0)
		r = config_words(run, "Env", &config->env, err);
	if (r == 0)
		r = config_keys(run, "ExposedPorts", &config->ports, err);
	return r < 0 ? r : config_env(config, err);
}

static int config_read(json_t *root, struct oci_config *config, struct err *err)
{
	json_t *run = json_object_get(root, "config");
	int r;

	if (!json_is_object(root) ||
	    (run && !json_is_object(run) && !json_is_null(run)))
		return err_set(err, -EINVAL,
			       "has a configuration that is none");
	r = config_text(root, "architecture", &config->architecture, err);
	if (r == 0)
		r = config_text(root, "os", &config->os, err);
	if (r == 0)
		r = config_run(run, config, err);
	return r < 0 ? r : config_diff_ids(root, config, err);
}

int oci_config_parse(const char *text, size_t len, struct oci_config *config,
		     struct err *err)
{
	json_error_t why;
	json_t *root;
	int r;

	*config = (struct oci_config){0};
	root = len <= OCI_CONFIG_MAX
		       ? json_loadb(text, len, JSON_REJECT_DUPLICATES, &why)
		       : NULL;
	if (!root)
		return err_set(err, -EINVAL,
			       "has a configuration that is no JSON, or more "
			       "than 4 MiB");
	r = config_read(root, config, err);
	json_decref(root);
	return r;
}

static void config_free_words(struct oci_words *words)
{
	for (unsigned int i = 0; i < words->nr; i++)
		free(words->word[i]);
	free(words->word);
}

void oci_config_free(struct oci_config *config)
{
	free(config->architecture);
	free(config->os);
	free(config->user);
	free(config->workdir);
	free(config->stop_signal);
	config_free_words(&config->entrypoint);
	config_free_words(&config->cmd);
	config_free_words(&config->env);
	config_free_words(&config->ports);
	config_free_words(&config->diff_ids);
	*config = (struct oci_config){0};
}
