// SPDX-License-Identifier: Apache-2.0
/*
 * number.c - a JSON number in the one way that it is kept (number.h)
 */
#include "mmds/number.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define DIGITS_MAX 17 /* tell all doubles apart */
/* From here on, and from 1e-5 down, there is an exponent. */
#define PLAIN_MAX 16
#define PLAIN_MIN (-5)

/**
 * struct decimal - 0.@digits times ten to the power of @point
 */
struct decimal {
	char digits[DIGITS_MAX + 1];
	int nr;
	int point;
};

/* The shortest that reads back as @value, which is above 0. */
static struct decimal shortest(double value)
{
	struct decimal d = {0};
	char text[DIGITS_MAX + 16];

	for (int digits = 1; digits <= DIGITS_MAX; digits++) {
		(void)snprintf(text, sizeof(text), "%.*e", digits - 1, value);
		if (strtod(text, NULL) == value)
			break;
	}
	for (const char *at = text; *at != 'e'; at++)
		if (*at != '.')
			d.digits[d.nr++] = *at;
	d.point = (int)strtol(strchr(text, 'e') + 1, NULL, 10) + 1;
	return d;
}

static void number_add_zeros(struct buf *out, int nr)
{
	for (; nr > 0; nr--)
		buf_add(out, "0", 1);
}

static void add_plain(struct buf *out, const struct decimal *d)
{
	int whole = d->point < d->nr ? d->point : d->nr;

	if (d->point <= 0) {
		buf_add_str(out, "0.");
		number_add_zeros(out, -d->point);
		buf_add(out, d->digits, (size_t)d->nr);
		return;
	}
	buf_add(out, d->digits, (size_t)whole);
	number_add_zeros(out, d->point - d->nr);
	buf_add(out, ".", 1);
	if (whole < d->nr)
		buf_add(out, d->digits + whole, (size_t)(d->nr - whole));
	else
		buf_add(out, "0", 1);
}

static void number_add_float(struct buf *out, double value)
{
	struct decimal d;

	if (__builtin_signbit(value)) {
		buf_add(out, "-", 1);
		value = -value;
	}
	if (!(value > 0)) {
		buf_add_str(out, "0.0");
		return;
	}
	d = shortest(value);
	if (d.point > PLAIN_MIN && d.point <= PLAIN_MAX) {
		add_plain(out, &d);
		return;
	}
	buf_add(out, d.digits, 1);
	if (d.nr > 1) {
		buf_add(out, ".", 1);
		buf_add(out, d.digits + 1, (size_t)d.nr - 1);
	}
	buf_addf(out, "e%d", d.point - 1);
}

void document_add_number(struct buf *out, const struct json_number *number)
{
	switch (number->kind) {
	case JSON_UNSIGNED:
		buf_addf(out, "%" PRIu64, number->u);
		break;
	case JSON_NEGATIVE:
		buf_addf(out, "%" PRId64, number->i);
		break;
	default:
		number_add_float(out, number->f);
	}
}
