// SPDX-License-Identifier: Apache-2.0
/*
 * alone_parse.c - where a volt-vmm's API is, from its command line (alone.h)
 *
 * The command line is what another process says: whatever it holds, it is only
 * read.
 */
#include "cli/alone.h"

#include <stdio.h>
#include <string.h>

#define ID_DEFAULT  "anonymous-instance"
#define API_DEFAULT "/run/firecracker.socket"

/* A command line's words; @at is behind the last one when there is none. */
struct words {
	const char *at;
	const char *end;
};

static const char *next(struct words *w)
{
	const char *word = w->at;
	size_t left = (size_t)(w->end - w->at);
	size_t len = strnlen(word, left);

	if (len == left)
		return NULL; /* what is cut off is no word */
	w->at += len + 1;
	return word;
}

/* The value of option @name when @word is it, cut short to @least letters. */
static const char *alone_parse_value_of(struct words *w, const char *word,
					const char *name, size_t least)
{
	size_t len = strcspn(word, "=");

	if (len < least || strncmp(word, name, len) != 0 || len > strlen(name))
		return NULL;
	return word[len] ? word + len + 1 : next(w);
}

void alone_read(struct alone *vm, const char *words, size_t len,
		const char *folder)
{
	struct words w = {.at = words, .end = words + len};
	const char *socket = API_DEFAULT, *id = ID_DEFAULT, *value, *word;
	bool given = false, quiet = false, lost;
	int n;

	(void)next(&w);
	while ((word = next(&w)) && strcmp(word, "--") != 0) {
		value = alone_parse_value_of(&w, word, "--api-sock",
					     strlen("--a"));
		if (value) {
			socket = value;
			given = true;
			continue;
		}
		value = alone_parse_value_of(&w, word, "--id", strlen("--id"));
		id = value ? value : id;
		/* --no-api, and what has an API only where it is named */
		quiet = quiet || strncmp(word, "--no-a", 6) == 0 ||
			strncmp(word, "--k", 3) == 0 ||
			strncmp(word, "--r", 3) == 0;
	}
	(void)snprintf(vm->id, sizeof(vm->id), "%s", id);
	/* Nobody tells where it is. */
	lost = !folder[0] && socket[0] != '/';
	n = (given || !quiet) && !lost
		    ? snprintf(vm->socket, sizeof(vm->socket), "%s%s%s",
			       socket[0] == '/' ? "" : folder,
			       socket[0] == '/' ? "" : "/", socket)
		    : 0;
	if (n <= 0 || (size_t)n >= sizeof(vm->socket))
		vm->socket[0] = '\0';
}
