// SPDX-License-Identifier: Apache-2.0
/*
 * mmds.c - the document of the metadata service (mmds.h)
 */
#include "mmds/mmds.h"

#include "mmds/document.h"

#include <errno.h>

static const struct metric mmds_metric_list[] = {
	METRIC(struct mmds_metrics, rx_accepted),
	METRIC(struct mmds_metrics, rx_accepted_err),
	METRIC(struct mmds_metrics, rx_accepted_unusual),
	METRIC(struct mmds_metrics, rx_bad_eth),
	METRIC(struct mmds_metrics, rx_invalid_token),
	METRIC(struct mmds_metrics, rx_no_token),
	METRIC(struct mmds_metrics, rx_count),
	METRIC(struct mmds_metrics, tx_bytes),
	METRIC(struct mmds_metrics, tx_count),
	METRIC(struct mmds_metrics, tx_errors),
	METRIC(struct mmds_metrics, tx_frames),
	METRIC(struct mmds_metrics, connections_created),
	METRIC(struct mmds_metrics, connections_destroyed),
};

const struct metric_group mmds_metric_group = {
	.name = "mmds",
	.metrics = mmds_metric_list,
	.nr = ARRAY_SIZE(mmds_metric_list),
};

void mmds_fini(struct mmds *mmds)
{
	buf_free(&mmds->document);
}

/* @fresh becomes the document, if it may. */
static int mmds_take(struct mmds *mmds, struct buf *fresh, struct err *err)
{
	if (fresh->failed)
		return err_set(err, -ENOMEM, "Out of memory");
	if (fresh->len > mmds->limit)
		return err_set(err, -E2BIG,
			       "The MMDS patch request doesn't fit.");
	buf_free(&mmds->document);
	mmds->document = *fresh;
	*fresh = (struct buf){0};
	return 0;
}

int mmds_put(struct mmds *mmds, const char *text, size_t len, struct err *err)
{
	struct buf fresh cleanup_buf = {0};
	int r = document_read(text, len, &fresh, err);

	return r < 0 ? r : mmds_take(mmds, &fresh, err);
}

int mmds_patch(struct mmds *mmds, const char *text, size_t len, struct err *err)
{
	struct document_piece old = {mmds->document.data, mmds->document.len};
	struct buf patch cleanup_buf = {0};
	struct buf fresh cleanup_buf = {0};
	int r = document_read(text, len, &patch, err);

	if (r < 0)
		return r;
	if (old.len == 0)
		return err_set(err, -ENODATA,
			       "The MMDS data store is not initialized.");
	document_merge(old, (struct document_piece){patch.data, patch.len},
		       &fresh);
	return mmds_take(mmds, &fresh, err);
}

void mmds_get(const struct mmds *mmds, struct buf *out)
{
	const struct buf *d = &mmds->document;

	if (d->len == 0 || (d->len == 4 && memcmp(d->data, "null", 4) == 0))
		buf_add_str(out, "{}");
	else
		buf_add(out, d->data, d->len);
}
