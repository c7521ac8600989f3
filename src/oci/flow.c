// SPDX-License-Identifier: Apache-2.0
/*
 * flow.c - a piece of a file, unpacked as it is read (flow.h)
 */
#include "oci/flow.h"

#include "base/fd.h"

#include <errno.h>

/* A gzip header, and the largest window. */
#define FLOW_GZIP_WINDOW (15 + 16)

static const char *const flow_names[] = {"plain", "gzip", "zstd"};

static int flow_damaged(struct flow *flow)
{
	return err_set(flow->err, -EBADMSG, "has a damaged %s stream",
		       flow_names[flow->kind]);
}

static int flow_cut_off(struct flow *flow)
{
	return err_set(flow->err, -ENODATA, "is cut off");
}

/* More of the file, when all of the last piece is used. */
static int flow_fill(struct flow *flow)
{
	size_t len = flow->end - flow->at < FLOW_CHUNK
			     ? (size_t)(flow->end - flow->at)
			     : FLOW_CHUNK;
	int r;

	if (flow->in_at < flow->in_len || len == 0)
		return 0;
	r = fd_read_full(flow->fd, flow->in, len, (off_t)flow->at);
	if (r < 0)
		return r == -ENODATA
			       ? flow_cut_off(flow)
			       : err_set(flow->err, r, "cannot be read: %s",
					 err_name(r));
	flow->at += len;
	flow->in_at = 0;
	flow->in_len = len;
	if (flow->kind != FLOW_PLAIN)
		digest_add(&flow->packed, flow->in, len);
	progress_tell(flow->progress, flow->what, flow->at - flow->begin,
		      flow->end - flow->begin);
	return 0;
}

static int flow_begin_kind(struct flow *flow)
{
	static const uint8_t zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
	bool ok = true;

	if (flow->in_len >= 2 && flow->in[0] == 0x1f && flow->in[1] == 0x8b) {
		flow->kind = FLOW_GZIP;
		ok = inflateInit2(&flow->z, FLOW_GZIP_WINDOW) == Z_OK;
	} else if (flow->in_len >= sizeof(zstd) &&
		   memcmp(flow->in, zstd, sizeof(zstd)) == 0) {
		flow->kind = FLOW_ZSTD;
		flow->zstd = ZSTD_createDStream();
		ok = flow->zstd != NULL;
	}
	flow->open = ok;
	if (!ok)
		return err_set(flow->err, -ENOMEM, "cannot be read: no memory");
	if (flow->kind != FLOW_PLAIN)
		digest_add(&flow->packed, flow->in, flow->in_len);
	return 0;
}

int flow_open(struct flow *flow, int fd, uint64_t off, uint64_t len,
	      uint64_t max, struct progress *progress, const char *what,
	      struct err *err)
{
	int r;

	*flow = (struct flow){
		.fd = fd,
		.begin = off,
		.at = off,
		.end = off + len,
		.max = max,
		.progress = progress,
		.what = what,
		.err = err,
		.in = malloc(FLOW_CHUNK),
	};
	digest_begin(&flow->packed);
	digest_begin(&flow->plain);
	if (!flow->in)
		return err_set(err, -ENOMEM, "cannot be read: no memory");
	r = flow_fill(flow);
	return r < 0 ? r : flow_begin_kind(flow);
}

static size_t flow_take_plain(struct flow *flow, uint8_t *to, size_t len)
{
	size_t n = flow->in_len - flow->in_at;

	if (n > len)
		n = len;
	memcpy(to, flow->in + flow->in_at, n);
	flow->in_at += n;
	flow->ended = flow->in_at == flow->in_len && flow->at == flow->end;
	return n;
}

/* One stream may follow another: gzip's "members". */
static ssize_t flow_take_gzip(struct flow *flow, uint8_t *to, size_t len)
{
	z_stream *z = &flow->z;
	int state;

	z->next_in = flow->in + flow->in_at;
	z->avail_in = (uInt)(flow->in_len - flow->in_at);
	z->next_out = to;
	z->avail_out = (uInt)len;
	state = inflate(z, Z_NO_FLUSH);
	flow->in_at = flow->in_len - z->avail_in;
	if (state == Z_STREAM_END) {
		flow->ended = z->avail_in == 0 && flow->at == flow->end;
		if (!flow->ended && inflateReset(z) != Z_OK)
			return flow_damaged(flow);
	} else if (state == Z_MEM_ERROR) {
		return err_set(flow->err, -ENOMEM, "cannot be read: no memory");
	} else if (state != Z_OK && state != Z_BUF_ERROR) {
		return flow_damaged(flow);
	}
	return (ssize_t)(len - z->avail_out);
}

static ssize_t flow_take_zstd(struct flow *flow, uint8_t *to, size_t len)
{
	ZSTD_inBuffer in = {flow->in, flow->in_len, flow->in_at};
	ZSTD_outBuffer out = {to, len, 0};
	size_t state = ZSTD_decompressStream(flow->zstd, &out, &in);

	if (ZSTD_isError(state))
		return flow_damaged(flow);
	flow->in_at = in.pos;
	flow->ended = state == 0 && in.pos == in.size && flow->at == flow->end;
	return (ssize_t)out.pos;
}

/* Some bytes, at least one unless it has ended. */
static ssize_t flow_take(struct flow *flow, uint8_t *to, size_t len)
{
	ssize_t n = 0;

	while (n == 0 && !flow->ended) {
		int r = flow_fill(flow);
		size_t had = flow->in_at;
		bool dry;

		if (r < 0)
			return r;
		dry = flow->in_at == flow->in_len;
		if (dry && flow->kind == FLOW_PLAIN) {
			flow->ended = true;
			return 0;
		}
		n = flow->kind == FLOW_PLAIN
			    ? (ssize_t)flow_take_plain(flow, to, len)
		    : flow->kind == FLOW_GZIP ? flow_take_gzip(flow, to, len)
					      : flow_take_zstd(flow, to, len);
		if (n == 0 && !flow->ended && (dry || flow->in_at == had) &&
		    flow->in_at == flow->in_len && flow->at == flow->end)
			return flow_cut_off(flow);
	}
	return n;
}

ssize_t flow_read(struct flow *flow, void *to, size_t len)
{
	size_t got = 0;

	while (got < len && !flow->ended) {
		ssize_t n = flow_take(flow, (uint8_t *)to + got, len - got);

		if (n < 0)
			return n;
		if ((uint64_t)n > flow->max - flow->given)
			return err_set(flow->err, -EFBIG,
				       "unpacks to more than the %llu MiB that "
				       "--max-size allows",
				       (unsigned long long)flow->max >> 20);
		flow->given += (uint64_t)n;
		digest_add(&flow->plain, (uint8_t *)to + got, (size_t)n);
		got += (size_t)n;
	}
	return (ssize_t)got;
}

/* Past bytes that nobody reads. */
static int flow_hop(struct flow *flow, uint64_t len)
{
	uint64_t had = flow->in_len - flow->in_at;

	if (len > had + (flow->end - flow->at))
		return flow_cut_off(flow);
	if (len > had) {
		flow->at += len - had;
		flow->in_at = flow->in_len;
	} else {
		flow->in_at += (size_t)len;
	}
	flow->given += len;
	return 0;
}

int flow_skip(struct flow *flow, uint64_t len)
{
	cleanup_free uint8_t *drop = NULL;

	if (flow->hop && flow->kind == FLOW_PLAIN)
		return flow_hop(flow, len);
	drop = malloc(FLOW_CHUNK);
	if (!drop)
		return err_set(flow->err, -ENOMEM, "cannot be read: no memory");
	while (len > 0) {
		size_t want = len < FLOW_CHUNK ? (size_t)len : FLOW_CHUNK;
		ssize_t n = flow_read(flow, drop, want);

		if (n < 0)
			return (int)n;
		if ((size_t)n < want)
			return flow_cut_off(flow);
		len -= want;
	}
	return 0;
}

int flow_end(struct flow *flow, struct digest *packed, struct digest *plain)
{
	cleanup_free uint8_t *drop = malloc(FLOW_CHUNK);
	ssize_t n = 1;

	if (!drop)
		return err_set(flow->err, -ENOMEM, "cannot be read: no memory");
	while (n > 0)
		n = flow_read(flow, drop, FLOW_CHUNK);
	if (n < 0)
		return (int)n;
	*plain = digest_end(&flow->plain);
	*packed = flow->kind == FLOW_PLAIN ? *plain : digest_end(&flow->packed);
	return 0;
}

void flow_close(struct flow *flow)
{
	if (flow->open && flow->kind == FLOW_GZIP)
		(void)inflateEnd(&flow->z);
	(void)ZSTD_freeDStream(flow->zstd);
	flow->zstd = NULL;
	flow->open = false;
	free(ptr_steal(flow->in));
}
