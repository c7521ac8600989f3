// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_mmds_document.c - the metadata service's documents
 *
 * Input: a document, a NUL, a patch, a NUL, a pointer. What our JSON reader
 * takes becomes a canonical text: the same when it is read again, and the same
 * value to another library. Merging twice changes nothing more.
 */
#include "api_fuzz.h"

#include "mmds/document.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct document_piece piece_of(const struct buf *buf)
{
	return (struct document_piece){buf->data, buf->len};
}

static bool is_json(const char *text, size_t len)
{
	struct json json;

	json_init(&json, text, len, NULL);
	return json_skip(&json) == 0 && json_end(&json) == 0;
}

/* Up to the next NUL, as an exact copy. */
static char *part(const uint8_t **data, size_t *size, size_t *len)
{
	const uint8_t *end = memchr(*data, 0, *size);
	char *copy;

	*len = end ? (size_t)(end - *data) : *size;
	copy = fuzz_copy(*data, *len);
	*size -= end ? *len + 1 : *len;
	*data += end ? *len + 1 : *len;
	return copy;
}

static void is_canonical(const struct buf *text)
{
	struct buf again = {0};

	fuzz_check(document_read(text->data, text->len, &again, NULL) == 0);
	fuzz_check(again.len == text->len &&
		   memcmp(again.data, text->data, text->len) == 0);
	buf_free(&again);
}

/* Keys twice, NUL in keys and numbers that it cannot have are its own. */
static void is_same_value(const char *text, size_t len, const struct buf *ours)
{
	const size_t flags =
		JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
	json_t *a = json_loadb(text, len, flags, NULL);
	json_t *b = json_loadb(ours->data, ours->len, flags, NULL);

	if (a && b)
		fuzz_check(json_equal(a, b));
	json_decref(a);
	json_decref(b);
}

static bool read_one(const char *text, size_t len, struct buf *out)
{
	bool good = document_read(text, len, out, NULL) == 0;

	fuzz_check(good == is_json(text, len));
	if (good) {
		is_canonical(out);
		is_same_value(text, len, out);
	}
	return good;
}

static void merge(const struct buf *document, const struct buf *patch,
		  const char *pointer, size_t len)
{
	struct buf once = {0}, twice = {0}, shown = {0};
	struct document_piece found;

	document_merge(piece_of(document), piece_of(patch), &once);
	is_canonical(&once);
	document_merge(piece_of(&once), piece_of(patch), &twice);
	fuzz_check(once.len == twice.len &&
		   memcmp(once.data, twice.data, once.len) == 0);
	if (document_find(piece_of(&once), pointer, len, &found)) {
		fuzz_check(is_json(found.text, found.len));
		(void)document_show(found, &shown);
	}
	buf_free(&once);
	buf_free(&twice);
	buf_free(&shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t document_len, patch_len, pointer_len;
	char *document = part(&data, &size, &document_len);
	char *patch = part(&data, &size, &patch_len);
	char *pointer = part(&data, &size, &pointer_len);
	struct buf a = {0}, b = {0};

	if (read_one(document, document_len, &a) &&
	    read_one(patch, patch_len, &b))
		merge(&a, &b, pointer, pointer_len);
	buf_free(&a);
	buf_free(&b);
	free(document);
	free(patch);
	free(pointer);
	return 0;
}
