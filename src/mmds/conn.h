/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conn.h - one TCP connection of the guest to the metadata service
 *
 * Theory of operation (RFC 9293; the server's side of it, and only that)
 *
 *   state        in                            out
 *   SYN_SEEN     the guest's SYN               SYN with ACK, until it is taken
 *   OPEN         bytes of requests, in order   answers, one at a time
 *   CLOSING      the guest's FIN               what is left of an answer, FIN
 *
 * The connection has no frames of its own. What the guest sends is given to
 * mmds_conn_take(), which only changes the state; whoever has room for a frame
 * calls mmds_conn_give(), which makes the next segment that the state asks
 * for. So nothing is queued for a guest that does not read.
 *
 * Received bytes that are not the next ones are dropped and acknowledged as
 * they stand; the guest sends them again. The window is what is free of one
 * request's buffer, and while an answer has not been taken no further request
 * is looked at, so it closes by itself.
 *
 * Sent bytes stay until they are acknowledged. There is one timer: when it ends
 * everything not acknowledged is sent again (go back N), each time after twice
 * the wait; after CONN_TRIES the connection ends. Three acknowledgements of the
 * same byte do so at once. With the guest's window closed the timer asks for it
 * by one byte. There is no congestion to control: between us and the guest is a
 * ring.
 *
 * Segments are as long as the guest says, but not below MMDS_MSS_MIN, which
 * every host takes (RFC 879), nor above what a frame of the interface holds: a
 * guest cannot make us send its answers byte by byte.
 *
 * A reset counts only if it names the very next byte; others, and a SYN within
 * a connection, are answered by an acknowledgement (RFC 5961), after which an
 * honest peer that has forgotten the connection resets it properly.
 */
#pragma once

#include "mmds/mmds.h"

#define MMDS_MSS_MIN 536u
#define MMDS_MSS_MAX 1460u

/* Flags of a segment. */
#define TCP_FIN 1u
#define TCP_SYN 2u
#define TCP_RST 4u
#define TCP_PSH 8u
#define TCP_ACK 16u

/**
 * struct mmds_peer - who is at the other end
 * @address:	in the order of the wire
 */
struct mmds_peer {
	uint8_t mac[6];
	uint8_t address[4];
	uint16_t port;
};

/**
 * struct mmds_segment - a TCP segment without its header's bytes
 * @mss:	of its option; 0: it has none. Only in a SYN
 * @data:	borrowed
 */
struct mmds_segment {
	uint32_t seq;
	uint32_t ack;
	uint16_t window;
	uint16_t mss;
	uint8_t flags;
	const uint8_t *data;
	size_t len;
};

enum mmds_conn_state {
	MMDS_CONN_SYN_SEEN,
	MMDS_CONN_OPEN,
	MMDS_CONN_CLOSING,
	MMDS_CONN_ENDED, /* free it */
};

/**
 * struct mmds_conn - a connection
 * @mss:	bytes of data in a segment of ours
 * @rcv_next:	the byte that we wait for
 * @snd_una:	the first that is not acknowledged: SYN, the first of @out, or
 *		FIN
 * @snd_next:	the first that is to be sent
 * @snd_max:	the first that was never sent
 * @snd_window:	of the guest, from @snd_una on
 * @must_ack:	the guest is to hear of us
 * @must_reset:	the connection ends with a reset
 * @more:	@in has a whole request that waits for its turn
 * @probe:	the window is closed, and it is time to ask
 * @tries:	of the timer since something was acknowledged
 * @repeats:	acknowledgements of the same byte
 * @timer_ns:	0: it does not run; CLOCK_MONOTONIC
 * @active_ns:	when the guest did something last
 * @out:	the answer; @out_at of its bytes have been acknowledged
 * @in:		what came of requests
 */
struct mmds_conn {
	struct mmds_peer peer;
	enum mmds_conn_state state;
	uint16_t mss;
	uint32_t rcv_next;
	uint32_t snd_una;
	uint32_t snd_next;
	uint32_t snd_max;
	uint32_t snd_window;
	bool must_ack;
	bool must_reset;
	bool more;
	bool probe;
	unsigned int tries;
	unsigned int repeats;
	uint64_t timer_ns;
	uint64_t active_ns;
	struct buf out;
	size_t out_at;
	size_t in_len;
	char in[MMDS_REQUEST_MAX];
};

/**
 * mmds_conn_new() - of a guest's SYN
 * @mss_max:	what a frame of the interface holds
 * @iss:	our first sequence number; not to be guessed
 *
 * Return: NULL when memory is short.
 */
struct mmds_conn *mmds_conn_new(const struct mmds_peer *peer,
				const struct mmds_segment *syn,
				uint16_t mss_max, uint32_t iss,
				uint64_t now_ns);
void mmds_conn_free(struct mmds_conn *conn);

/* A segment of the guest's for this connection. */
void mmds_conn_take(struct mmds_conn *conn, struct mmds *mmds,
		    const struct mmds_segment *segment, uint64_t now_ns);

/**
 * mmds_conn_give() - the next segment for the guest
 * @segment:	its data are the connection's, until the next call
 *
 * Return: whether there is one.
 */
bool mmds_conn_give(struct mmds_conn *conn, struct mmds_segment *segment,
		    uint64_t now_ns);

/* Would mmds_conn_give() give one? */
bool mmds_conn_wants(const struct mmds_conn *conn);

/* The timer has ended, if it has by @now_ns. */
void mmds_conn_tick(struct mmds_conn *conn, uint64_t now_ns);
