/* SPDX-License-Identifier: Apache-2.0 */
/*
 * balloon.h - virtio memory balloon (virtio 1.2, 5.5)
 *
 * Theory of operation
 *
 * The host sets a target (num_pages in the config space); the driver gives us
 * pages until it is reached and says how far it is (actual). What it gives is
 * handed to the host kernel at once (gmem_discard()): the next touch finds a
 * page of zeros. Pages that it takes back need nothing from us. Neighbouring
 * page numbers are given back in one piece. RAM of 2 MiB pages goes back in
 * whole ones only; the rest of what was given stays and counts as failed.
 *
 * Queues, those that are offered without gaps:
 *
 *   inflate, deflate   arrays of page numbers (4 KiB, 32 bits)
 *   statistics         one buffer of numbers, which we hold and return when we
 *                      want new ones: every polling interval
 *   hinting            free ranges, on demand: hint_cmd in the config space
 *                      starts a run by its number; the driver answers with that
 *                      number, the ranges and a stop
 *   reporting          free ranges, whenever the guest has some
 *
 * Reported pages are ours until we return the buffer, so they are given back.
 * Hinted ones are not: short of memory the driver takes a page and writes to it
 * while its hint is on the way here (5.5.6.4: what was written since must be
 * kept), and nobody can tell us that it was not written. So a hint is checked
 * and counted, and the page stays.
 *
 * All page numbers and ranges are the guest's word: gmem_discard() checks each.
 * A wake-up does a bounded number of pages and lets the loop go round; a report
 * that has more goes back into its queue, with a note of how far it is.
 *
 * The buffer of statistics that we hold is put back into its queue for a
 * snapshot and taken again when the VM goes on.
 */
#pragma once

#include "base/metrics.h"
#include "host/timer.h"
#include "virtio/device.h"

#define BALLOON_PAGE_SHIFT       12
#define BALLOON_PAGES_MIB        256u  /* pages in a MiB */
#define BALLOON_PFNS_MAX         4096u /* page numbers in one request */

#define BALLOON_F_STATS          (1ull << 1)
#define BALLOON_F_DEFLATE_ON_OOM (1ull << 2)
#define BALLOON_F_HINTING        (1ull << 3)
#define BALLOON_F_REPORTING      (1ull << 5)

/* Values of hint_cmd below the number of a run (5.5.6.4). */
#define BALLOON_HINT_STOP 0u
#define BALLOON_HINT_DONE 1u

/* Statistics by their tags (5.5.6.3). */
#define BALLOON_STATS 16u

/* Firecracker's `balloon` metrics. */
struct balloon_metrics {
	metric_t activate_fails;
	metric_t cfg_fails;
	metric_t inflate_count;
	metric_t stats_updates_count;
	metric_t stats_update_fails;
	metric_t deflate_count;
	metric_t event_fails;
	metric_t free_page_report_count;
	metric_t free_page_report_freed;
	metric_t free_page_report_fails;
	metric_t free_page_hint_count;
	metric_t free_page_hint_freed;
	metric_t free_page_hint_fails;
};

extern const struct metric_group balloon_metric_group;

/* The config space (5.5.4), little-endian like the host. */
struct balloon_config_space {
	uint32_t num_pages;
	uint32_t actual;
	uint32_t hint_cmd;
	uint32_t poison_val; /* not offered */
};

/**
 * struct balloon_stats - what the driver last said
 * @seen:	bit per tag: it was among the numbers
 */
struct balloon_stats {
	uint32_t seen;
	uint64_t value[BALLOON_STATS];
};

/**
 * struct balloon_hinting - runs of free page hinting
 * @last_cmd:	number of the last run
 * @guest_cmd:	what the driver said last, if @has_guest_cmd
 * @acknowledge: say done as soon as the driver stops
 */
struct balloon_hinting {
	uint32_t last_cmd;
	uint32_t guest_cmd;
	bool has_guest_cmd;
	bool acknowledge;
};

/**
 * struct balloon - the device
 * @space:	the config space; guarded by the lock
 * @stats_s:	polling interval in seconds; 0 for ever or never
 * @polling:	the timer is armed; VMM thread
 * @holds_stats: @stats_head, @stats_at in the available ring, is ours until the
 *		next poll
 * @reported:	bytes that are done of the report at the head of its queue
 * @queue_*:	their numbers; 0 for those that are not offered
 */
struct balloon {
	struct virtio_dev dev;
	struct gmem *mem;
	struct balloon_metrics metrics;
	struct balloon_config_space space;
	struct balloon_stats stats;
	struct balloon_hinting hinting;
	struct timer timer;
	uint16_t stats_s;
	bool polling;
	bool holds_stats;
	uint16_t stats_head;
	uint16_t stats_at;
	uint64_t reported;
	unsigned int queue_stats;
	unsigned int queue_hinting;
	unsigned int queue_reporting;
	struct iovec iov[VIRTQ_MAX_SIZE];
};

/**
 * struct balloon_params - what there is to choose
 * @stats_s:	0: no statistics
 */
struct balloon_params {
	struct gmem *mem;
	struct loop *loop;
	uint32_t target_pages;
	uint16_t stats_s;
	bool deflate_on_oom;
	bool hinting;
	bool reporting;
};

/* Return: 0 and *@out, or -errno with a sentence. dev.ops->destroy() frees. */
int balloon_new(struct balloon **out, const struct balloon_params *params,
		struct err *err) __must_check;

/* All below: VMM thread, they take the lock. */

/* Return: 0, or -ENOTCONN while no driver runs. */
int balloon_set_target(struct balloon *balloon, uint32_t pages) __must_check;

/* @seconds: not 0, and statistics are offered. */
void balloon_set_stats_interval(struct balloon *balloon, uint16_t seconds);

/* What the driver said, the target and how far it is. */
void balloon_read(struct balloon *balloon, struct balloon_config_space *space,
		  struct balloon_stats *stats, struct balloon_hinting *hinting);

/* Begin a run of hinting. Return: 0, or -ENOTCONN while no driver runs. */
int balloon_start_hinting(struct balloon *balloon,
			  bool acknowledge) __must_check;

/* The driver may have its pages back. Return: as above. */
int balloon_stop_hinting(struct balloon *balloon) __must_check;
