// SPDX-License-Identifier: Apache-2.0
/*
 * doctor_parse.c - the three shapes of text in /proc and /sys
 */
#include "cli/doctor.h"

#include <stdio.h>
#include <string.h>

bool doctor_find_word(const char *text, const char *word)
{
	size_t len = strlen(word);
	const char *p = text;

	while ((p = strstr(p, word))) {
		if ((p == text || p[-1] == ' ') &&
		    (p[len] == ' ' || p[len] == '\0'))
			return true;
		p += len;
	}
	return false;
}

/* The text after "KEY<blanks>:<blanks>", or NULL when @line is another. */
static const char *field_value(const char *line, const char *key)
{
	size_t len = strlen(key);

	if (strncmp(line, key, len) != 0)
		return NULL;
	line += len;
	line += strspn(line, " \t");
	if (*line != ':')
		return NULL;
	line++;
	return line + strspn(line, " \t");
}

bool doctor_copy_field(const char *text, const char *key, char *out,
		       size_t size)
{
	const char *value = NULL;

	out[0] = '\0';
	while (text && !(value = field_value(text, key))) {
		text = strchr(text, '\n');
		text = text ? text + 1 : NULL;
	}
	if (!value)
		return false;
	(void)snprintf(out, size, "%.*s", (int)strcspn(value, "\n"), value);
	return true;
}

void doctor_copy_chosen(const char *text, char *out, size_t size)
{
	const char *p = strchr(text, '[');

	out[0] = '\0';
	if (p)
		(void)snprintf(out, size, "%.*s", (int)strcspn(p + 1, "]\n"),
			       p + 1);
}
