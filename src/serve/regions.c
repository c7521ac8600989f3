// SPDX-License-Identifier: Apache-2.0
/*
 * regions.c - what a VMM says of its memory (regions.h)
 */
#include "serve/regions.h"

#include "base/json.h"

#include <errno.h>

/**
 * struct region_text - a region as it came
 * @seen:	a bit for each member that has to be there
 */
struct region_text {
	struct region region;
	uint64_t page_size;
	unsigned int seen;
};

#define SEEN_ALL 7u

static int regions_number(struct json *json, uint64_t *to)
{
	struct json_number number = {0};
	int r = json_peek(json) == JSON_AT_NUMBER
			? json_read_number(json, &number)
			: json_fail(json, "expected a number");

	if (r == 0 && number.kind != JSON_UNSIGNED)
		r = json_fail(json, "expected an integer that is not negative");
	if (r == 0)
		*to = number.u;
	return r;
}

/* page_size_kib, an old name for bytes, says no more than page_size. */
static int regions_member(struct json *json, const char *key,
			  struct region_text *to)
{
	static const char *const names[] = {"base_host_virt_addr", "size",
					    "offset"};
	uint64_t *const values[] = {&to->region.hva, &to->region.size,
				    &to->region.offset};

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(key, names[i]) == 0) {
			to->seen |= 1u << i;
			return regions_number(json, values[i]);
		}
	if (strcmp(key, "page_size") == 0)
		return regions_number(json, &to->page_size);
	return json_skip(json);
}

static int regions_object(struct json *json, struct region_text *to)
{
	cleanup_buf struct buf key = {0};
	bool first = true;
	int r = json_peek(json) == JSON_AT_OBJECT
			? json_enter(json)
			: json_fail(json, "expected a region");

	while (r == 0 && (r = json_next_key(json, &first, &key)) > 0) {
		buf_add(&key, "", 1);
		r = key.failed ? -ENOMEM : json_colon(json);
		if (r == 0)
			r = regions_member(json, key.data, to);
	}
	return r;
}

static int regions_wrong(const char *what, struct err *err)
{
	return err_set(err, -EINVAL, "The VMM's message is wrong: %s", what);
}

static int regions_take(struct regions *regions, const struct region_text *text,
			uint64_t at, uint64_t image_bytes, struct err *err)
{
	const struct region *r = &text->region;
	uint64_t end;

	if (text->seen != SEEN_ALL)
		return regions_wrong("a region without address, size or offset",
				     err);
	if (text->page_size != 0 && text->page_size != PAGE_SIZE)
		return err_set(err, -EINVAL,
			       "The VM has pages of %llu bytes, and volt-pager "
			       "serves those of 4 KiB: restore it without "
			       "huge_pages",
			       (unsigned long long)text->page_size);
	if (r->size == 0 || r->size % PAGE_SIZE != 0 ||
	    r->hva % PAGE_SIZE != 0 ||
	    __builtin_add_overflow(r->hva, r->size, &end))
		return regions_wrong("a region that is no pages", err);
	if (r->offset != at || !range_fits(r->offset, r->size, image_bytes))
		return err_set(err, -EINVAL,
			       "The VM's memory is not that of the snapshot: "
			       "it has a region of %llu bytes at %llu, and "
			       "the snapshot %llu bytes",
			       (unsigned long long)r->size,
			       (unsigned long long)r->offset,
			       (unsigned long long)image_bytes);
	if (regions->nr == REGIONS_MAX)
		return regions_wrong("too many regions", err);
	regions->region[regions->nr++] = *r;
	return 0;
}

int regions_parse(struct regions *regions, const char *text, size_t len,
		  uint64_t image_bytes, struct err *err)
{
	struct json json;
	uint64_t at = 0;
	bool first = true;
	int r;

	regions->nr = 0;
	json_init(&json, text, len, err);
	r = json_peek(&json) == JSON_AT_ARRAY
		    ? json_enter(&json)
		    : json_fail(&json, "expected a list of regions");
	while (r == 0 && (r = json_next_item(&json, &first)) > 0) {
		struct region_text one = {0};

		r = regions_object(&json, &one);
		if (r == 0)
			r = regions_take(regions, &one, at, image_bytes, err);
		at += one.region.size;
	}
	if (r == 0)
		r = json_end(&json);
	if (r == 0 && at != image_bytes)
		r = err_set(err, -EINVAL,
			    "The VM's memory is not that of the snapshot: it "
			    "has %llu bytes, and the snapshot %llu",
			    (unsigned long long)at,
			    (unsigned long long)image_bytes);
	return r;
}

const struct region *regions_of_hva(const struct regions *regions, uint64_t hva)
{
	for (unsigned int i = 0; i < regions->nr; i++)
		if (hva >= regions->region[i].hva &&
		    hva - regions->region[i].hva < regions->region[i].size)
			return &regions->region[i];
	return NULL;
}

const struct region *regions_of_image(const struct regions *regions,
				      uint64_t at)
{
	unsigned int i = 0;

	while (i + 1 < regions->nr &&
	       at - regions->region[i].offset >= regions->region[i].size)
		i++;
	return &regions->region[i];
}
