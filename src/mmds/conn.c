// SPDX-License-Identifier: Apache-2.0
/*
 * conn.c - one TCP connection to the metadata service (conn.h)
 */
#include "mmds/conn.h"

#include "mmds/answer.h"

#include <stdlib.h>

#define CONN_WAIT_NS 200000000u
#define CONN_TRIES   8u
#define CONN_REPEATS 3u

/* ---- sequence numbers ---- */

static bool seq_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

/* Bytes of the answer that are not acknowledged, sent or not. */
static uint32_t left(const struct mmds_conn *conn)
{
	return (uint32_t)(conn->out.len - conn->out_at);
}

/* Those, and a SYN or FIN that is due. */
static uint32_t due(const struct mmds_conn *conn)
{
	return left(conn) + (conn->state != MMDS_CONN_OPEN);
}

/* Of those, how many are on their way. */
static uint32_t in_flight(const struct mmds_conn *conn)
{
	return conn->snd_next - conn->snd_una;
}

static uint16_t free_window(const struct mmds_conn *conn)
{
	return (uint16_t)(MMDS_REQUEST_MAX - conn->in_len);
}

/* ---- life ---- */

struct mmds_conn *mmds_conn_new(const struct mmds_peer *peer,
				const struct mmds_segment *syn,
				uint16_t mss_max, uint32_t iss, uint64_t now_ns)
{
	struct mmds_conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	conn->peer = *peer;
	conn->mss = syn->mss > MMDS_MSS_MIN ? syn->mss : MMDS_MSS_MIN;
	if (conn->mss > mss_max)
		conn->mss = mss_max;
	conn->rcv_next = syn->seq + 1;
	conn->snd_una = iss;
	conn->snd_next = iss;
	conn->snd_max = iss;
	conn->snd_window = syn->window;
	conn->active_ns = now_ns;
	return conn;
}

void mmds_conn_free(struct mmds_conn *conn)
{
	if (!conn)
		return;
	buf_free(&conn->out);
	free(conn);
}

/* ---- from the guest ---- */

/* Answer the next request, unless an answer is on its way. */
static void answer_next(struct mmds_conn *conn, struct mmds *mmds,
			uint64_t now_ns)
{
	size_t n = mmds_request_end(conn->in, conn->in_len);

	if (left(conn) > 0)
		return;
	if (n == 0) {
		/* No request is so long. */
		conn->must_reset |= conn->in_len == MMDS_REQUEST_MAX;
		return;
	}
	buf_free(&conn->out);
	conn->out_at = 0;
	mmds_answer(mmds, conn->in, n, now_ns, &conn->out);
	conn->must_reset |= conn->out.failed;
	conn->must_ack = true; /* the window opens */
	conn->in_len -= n;
	memmove(conn->in, conn->in + n, conn->in_len);
	conn->more = mmds_request_end(conn->in, conn->in_len) > 0;
}

/* Return: whether the segment may be looked at any further. */
static bool take_ack(struct mmds_conn *conn, const struct mmds_segment *segment)
{
	uint32_t done = segment->ack - conn->snd_una;
	uint32_t window = conn->snd_window;

	if (done > conn->snd_max - conn->snd_una) {
		bool early = seq_before(conn->snd_max, segment->ack);

		conn->must_ack |= early; /* of what was never sent */
		return !early;
	}
	conn->snd_window = segment->window;
	if (done == 0) {
		if (segment->len == 0 && in_flight(conn) > 0 &&
		    segment->window == window &&
		    ++conn->repeats == CONN_REPEATS)
			conn->snd_next = conn->snd_una;
		/* It is there, and has no room yet. */
		if (segment->window == 0 && conn->tries > CONN_TRIES / 2)
			conn->tries = CONN_TRIES / 2;
		return true;
	}
	conn->snd_una = segment->ack;
	if (seq_before(conn->snd_next, conn->snd_una))
		conn->snd_next = conn->snd_una;
	conn->tries = 0;
	conn->repeats = 0;
	conn->timer_ns = 0;
	if (conn->state == MMDS_CONN_SYN_SEEN) {
		conn->state = MMDS_CONN_OPEN;
		done--;
	}
	if (done > left(conn))
		conn->state = MMDS_CONN_ENDED; /* our FIN */
	else
		conn->out_at += done;
	return conn->state != MMDS_CONN_ENDED;
}

static void take_data(struct mmds_conn *conn,
		      const struct mmds_segment *segment)
{
	uint32_t known = conn->rcv_next - segment->seq;
	bool fin = segment->flags & TCP_FIN;
	size_t len = segment->len;
	const uint8_t *data = segment->data;

	if (len == 0 && !fin)
		return;
	conn->must_ack = true;
	/* Known bytes in front are left out; one byte of a gap is too much. */
	if (known > len || conn->state != MMDS_CONN_OPEN)
		return;
	if (known > 0)
		data += known;
	len -= known;
	if (len > free_window(conn)) {
		len = free_window(conn);
		fin = false;
	}
	if (len > 0)
		memcpy(conn->in + conn->in_len, data, len);
	conn->in_len += len;
	conn->rcv_next += (uint32_t)len;
	if (fin) {
		conn->rcv_next++;
		conn->state = MMDS_CONN_CLOSING;
	}
}

/* What is due and not taken in time is sent, or asked for, again. */
static void conn_arm(struct mmds_conn *conn, uint64_t now_ns)
{
	if (conn->timer_ns == 0 && due(conn) > 0)
		conn->timer_ns =
			now_ns + ((uint64_t)CONN_WAIT_NS << conn->tries);
}

void mmds_conn_take(struct mmds_conn *conn, struct mmds *mmds,
		    const struct mmds_segment *segment, uint64_t now_ns)
{
	conn->active_ns = now_ns;
	if (segment->flags & TCP_RST) {
		if (segment->seq == conn->rcv_next)
			conn->state = MMDS_CONN_ENDED;
		else
			conn->must_ack = true;
		return;
	}
	if (segment->flags & TCP_SYN) {
		if (conn->state == MMDS_CONN_SYN_SEEN)
			conn->snd_next = conn->snd_una; /* again */
		else
			conn->must_ack = true;
		return;
	}
	if (!(segment->flags & TCP_ACK) || !take_ack(conn, segment))
		return;
	take_data(conn, segment);
	answer_next(conn, mmds, now_ns);
	conn_arm(conn, now_ns);
}

/* ---- to the guest ---- */

/* Bytes of the answer that may be sent now. */
static uint32_t sendable(const struct mmds_conn *conn)
{
	uint32_t sent = in_flight(conn);
	uint32_t window = conn->snd_window;
	uint32_t n;

	if (conn->state == MMDS_CONN_SYN_SEEN || sent >= left(conn))
		return 0;
	if (conn->probe && sent == 0 && window == 0)
		window = 1;
	if (sent >= window)
		return 0;
	n = left(conn) - sent;
	if (n > window - sent)
		n = window - sent;
	return n > conn->mss ? conn->mss : n;
}

/* Is it the turn of a SYN or FIN? */
static bool mark_is_next(const struct mmds_conn *conn)
{
	return conn->state == MMDS_CONN_SYN_SEEN
		       ? in_flight(conn) == 0
		       : conn->state == MMDS_CONN_CLOSING && !conn->more &&
				 in_flight(conn) == left(conn);
}

bool mmds_conn_wants(const struct mmds_conn *conn)
{
	return conn->state != MMDS_CONN_ENDED &&
	       (conn->must_reset || mark_is_next(conn) || sendable(conn) > 0 ||
		conn->must_ack);
}

static void conn_fill(struct mmds_conn *conn, struct mmds_segment *segment)
{
	uint32_t n = sendable(conn);

	if (mark_is_next(conn)) {
		segment->flags |=
			conn->state == MMDS_CONN_SYN_SEEN ? TCP_SYN : TCP_FIN;
		if (segment->flags & TCP_SYN)
			segment->mss = MMDS_MSS_MAX;
		conn->snd_next++;
	} else if (n > 0) {
		segment->data = (const uint8_t *)conn->out.data + conn->out_at +
				in_flight(conn);
		segment->len = n;
		conn->snd_next += n;
		if (in_flight(conn) == left(conn))
			segment->flags |= TCP_PSH;
	}
	if (seq_before(conn->snd_max, conn->snd_next))
		conn->snd_max = conn->snd_next;
}

bool mmds_conn_give(struct mmds_conn *conn, struct mmds_segment *segment,
		    uint64_t now_ns)
{
	if (!mmds_conn_wants(conn))
		return false;
	*segment = (struct mmds_segment){
		.seq = conn->snd_next,
		.ack = conn->rcv_next,
		.window = free_window(conn),
		.flags = TCP_ACK,
	};
	if (conn->must_reset) {
		segment->flags |= TCP_RST;
		conn->state = MMDS_CONN_ENDED;
		return true;
	}
	conn_fill(conn, segment);
	conn->must_ack = false;
	conn->probe = false;
	conn_arm(conn, now_ns);
	return true;
}

void mmds_conn_tick(struct mmds_conn *conn, uint64_t now_ns)
{
	if (conn->timer_ns == 0 || now_ns < conn->timer_ns)
		return;
	conn->timer_ns = 0;
	conn->repeats = 0;
	conn->must_reset |= ++conn->tries >= CONN_TRIES;
	conn->probe = conn->snd_window == 0;
	conn->snd_next = conn->snd_una;
}
