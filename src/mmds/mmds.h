/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mmds.h - the metadata service: what the guest may know of its VM
 *
 * Theory of operation
 *
 *   client --- PUT, PATCH, GET /mmds ---> store (document.h)
 *                                           |
 *   guest --- frames --- stack.h --- conn.h --- answer.h
 *             of its     ARP, IPv4   one TCP    HTTP: paths, tokens
 *             interface              connection
 *
 * A client of the API keeps one JSON document in here. The guest reads it at
 * a link-local address (169.254.169.254), by plain HTTP, on those interfaces
 * that the client named. Nothing of it touches the host's network: a network
 * device shows each frame of the guest to its stack first, and what is meant
 * for the address ends there (net_mmds.h). Without such an interface there is
 * no stack, and no frame is looked at.
 *
 * Why a TCP of our own: there is one, lwIP, that Debian packages, but its
 * connections, timers and pools are global, it wants a thread or a tick, and
 * it is three times the code. This one has no options but the segment size, no
 * windows beyond 64 KiB, and never begins a connection.
 *
 * All that comes here is hostile, and nothing that a guest does costs more
 * than this:
 *
 *   memory	MMDS_CONNS_MAX connections of an interface, each with one
 *		request of MMDS_REQUEST_MAX bytes and one answer, which is no
 *		larger than the document (whose limit the operator sets) and a
 *		head; the next request waits until the answer was taken
 *   time	a frame, a request and a segment are each looked at once; an
 *		answer is a search in the document
 *   the tap	nothing that is meant for the address gets there
 *
 * Sessions (version 2, as of EC2's IMDSv2) are tokens that carry their end and
 * a keyed hash of it (token.h), so no session is kept. The key is made with the
 * process, so tokens do not outlive it, nor does the document: a restored VM
 * has neither, as with Firecracker; it does have version, address and
 * interfaces.
 *
 * Context: the VMM thread, but where a function says otherwise.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/metrics.h"
#include "mmds/token.h"

#define MMDS_REQUEST_MAX 2500u /* Firecracker's, head and all */
#define MMDS_CONNS_MAX   30u   /* of an interface; Firecracker's */

enum mmds_version {
	MMDS_V1, /* tokens are not asked for */
	MMDS_V2,
};

/* Firecracker's `mmds` metrics. */
struct mmds_metrics {
	metric_t rx_accepted;
	metric_t rx_accepted_err;
	metric_t rx_accepted_unusual;
	metric_t rx_bad_eth;
	metric_t rx_invalid_token;
	metric_t rx_no_token;
	metric_t rx_count;
	metric_t tx_bytes;
	metric_t tx_count;
	metric_t tx_errors;
	metric_t tx_frames;
	metric_t connections_created;
	metric_t connections_destroyed;
};

/* Group `mmds`; the offsets count from struct mmds_metrics. */
extern const struct metric_group mmds_metric_group;

/**
 * struct mmds - the service of one VM
 * @version, @imds_compat, @address: as configured; @address in the order of
 *		the wire
 * @limit:	of the document, bytes
 * @document:	canonical JSON (document.h); empty: there is none yet
 * @tokens:	mmds_tokens_init() makes their key
 */
struct mmds {
	enum mmds_version version;
	bool imds_compat;
	uint8_t address[4];
	uint64_t limit;
	struct buf document;
	struct mmds_tokens tokens;
	struct mmds_metrics metrics;
};

/* Of a zeroed one this may be called, too. */
void mmds_fini(struct mmds *mmds);

/**
 * mmds_put() - another document
 * @text:	any JSON value
 *
 * Return: 0; -EINVAL when it is no JSON, -E2BIG when it is too large, -ENOMEM,
 * each with Firecracker's sentence; the old document stays then.
 */
int mmds_put(struct mmds *mmds, const char *text, size_t len,
	     struct err *err) __must_check;

/**
 * mmds_patch() - merge @text into the document (RFC 7396)
 *
 * Return: as mmds_put(); -ENODATA when there is no document yet.
 */
int mmds_patch(struct mmds *mmds, const char *text, size_t len,
	       struct err *err) __must_check;

/* The document; {} when there is none or it is null. */
void mmds_get(const struct mmds *mmds, struct buf *out);
