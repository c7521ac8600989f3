// SPDX-License-Identifier: Apache-2.0
/*
 * words.c - parts of the configuration as a person types them (words.h)
 */
#include "config/words.h"

#include "base/args.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct schema_field *field_of(const struct schema_object *object,
					   size_t offset)
{
	size_t i = 0;

	while (object->fields[i].offset != offset) {
		i++;
		assert(i < object->nr);
	}
	return &object->fields[i];
}

static bool words_same_name(const char *name, const char *text)
{
	while (*name && tolower((unsigned char)*name) == *text) {
		name++;
		text++;
	}
	return *name == '\0' && *text == '\0';
}

static int set_choice(const struct schema_field *field, const char *text,
		      uint64_t *value)
{
	const struct schema_enum *names = field->names;

	for (size_t i = 0; i < names->nr; i++) {
		if (words_same_name(names->names[i].name, text)) {
			*value = names->names[i].value;
			return 0;
		}
	}
	return -EINVAL;
}

/* Return: 0; -EINVAL: it does not fit; -ENOMEM. */
static int words_set_value(const struct schema_field *field, const char *text,
			   char *place)
{
	uint64_t value = 0;
	int r = 0;

	switch (field->type) {
	case SCHEMA_STRING:
		free(*(char **)(void *)place);
		*(char **)(void *)place = strdup(text);
		return *(char **)(void *)place ? 0 : -ENOMEM;
	case SCHEMA_PARSED:
		return field->parser->parse(text, place, NULL);
	case SCHEMA_BOOL:
		value = true;
		break;
	case SCHEMA_ENUM:
		r = set_choice(field, text, &value);
		break;
	case SCHEMA_UINT:
		r = args_number(text, 0, field->range->max, &value) ? 0
								    : -EINVAL;
		break;
	default:
		assert(false);
	}
	if (r == 0)
		memcpy(place, &value, field->size); /* little-endian */
	return r;
}

static int bad(const struct config_words *words, const char *text,
	       const char *word, const char *what, struct err *err)
{
	if (words->takes)
		return err_set(err, -EINVAL, "--%s %s: %s", words->flag, text,
			       words->takes);
	if (!what)
		return err_set(err, -EINVAL,
			       "--%s: unknown word '%s'; expected %s",
			       words->flag, word, words->usage);
	return err_set(err, -EINVAL, "--%s: no %s: '%s'; expected %s",
		       words->flag, what, word, words->usage);
}

static int twice(const struct config_words *words, const char *text,
		 const char *word, struct err *err)
{
	int len = (int)strcspn(word, "=");

	if (words->takes)
		return err_set(err, -EINVAL,
			       "--%s %s: there is a second %.*s=", words->flag,
			       text, len, word);
	return err_set(err, -EINVAL, "--%s %s: '%.*s' is given twice",
		       words->flag, text, len, word);
}

/* @value: behind '='; NULL without one */
static int set_member(const struct config_words *words, const char *text,
		      const struct config_word *w, const char *word,
		      const char *value, char *item, struct err *err)
{
	const struct schema_field *field = field_of(words->object, w->offset);
	int r;

	if ((field->type == SCHEMA_BOOL) != !value)
		return bad(words, text, word, NULL, err);
	r = words_set_value(field, value, item + field->offset);
	if (r == -ENOMEM)
		return err_set(err, r, "Out of memory");
	if (r < 0)
		return bad(words, text, w->what ? value : word, w->what, err);
	if (field->flags & SCHEMA_HAS)
		*(bool *)(item + field->has) = true;
	return 0;
}

static int set_word(const struct config_words *words, const char *text,
		    const char *word, char *item, struct err *err)
{
	const char *value = strchr(word, '=');
	size_t len = value ? (size_t)(value++ - word) : strlen(word);

	for (size_t i = 0; i < words->nr; i++) {
		const struct config_word *w = &words->words[i];

		if (len > 0 && strlen(w->word) == len &&
		    memcmp(w->word, word, len) == 0)
			return set_member(words, text, w, word, value, item,
					  err);
	}
	return bad(words, text, word, NULL, err);
}

/* Is the word at @words + @at there before? */
static bool is_again(const char *words, size_t at)
{
	size_t len = strcspn(words + at, "=,");

	for (size_t i = 0; len > 0 && i < at; i += strcspn(words + i, ",") + 1)
		if (strcspn(words + i, "=,") == len &&
		    memcmp(words + i, words + at, len) == 0)
			return true;
	return false;
}

int config_words_parse(const struct config_words *words, const char *text,
		       void *item, struct err *err)
{
	bool has_first = words->words[0].word[0] == '\0';
	size_t at = has_first ? strcspn(text, ",") : 0;
	cleanup_free char *first = strndup(text, at);
	cleanup_free char *rest = strdup(text + at);
	char *save = NULL;
	int r = 0;

	if (!first || !rest)
		return err_set(err, -ENOMEM, "Out of memory");
	if (has_first)
		r = set_member(words, text, &words->words[0], first, first,
			       item, err);
	for (char *word = strtok_r(rest, ",", &save); word && r == 0;
	     word = strtok_r(NULL, ",", &save))
		r = is_again(text + at, (size_t)(word - rest))
			    ? twice(words, text, word, err)
			    : set_word(words, text, word, item, err);
	return r;
}
