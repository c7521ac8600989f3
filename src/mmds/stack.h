/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stack.h - the metadata service as a station on an interface's network
 *
 * Theory of operation
 *
 * A frame of the guest is for the service when it asks for its address (ARP,
 * RFC 826) or is sent to it (IPv4, RFC 791). mmds_stack_wants() tells by the
 * first bytes, for every frame that the guest sends, so it does little.
 * mmds_stack_take() then reads a copy that the guest cannot change, and trusts
 * no length in it; mmds_stack_give() makes frames for the guest when there is
 * room for one.
 *
 * Answers go to the MAC address that a frame came from: there is no table of
 * neighbours. What the stack does not do ends in it, and is counted: other
 * protocols and ports, fragments, options (they are skipped). Of stray segments
 * the last one is answered by a reset.
 *
 * When all MMDS_CONNS_MAX connections are taken a new one gets the place of
 * that in which the guest was silent longest, if that is a second or more; else
 * it is reset.
 *
 * Context: one thread at a time.
 */
#pragma once

#include "mmds/conn.h"

/* Bytes of a frame that mmds_stack_wants() looks at. */
#define MMDS_HEAD_BYTES 42u
/* The largest frame that is read whole: headers with all options, and more data
 * than a window holds. */
#define MMDS_FRAME_MAX 4096u
/* The largest frame that is made. */
#define MMDS_GIVE_MAX 1514u

struct mmds_stack;

/**
 * mmds_stack_new() - of one interface
 * @mmds:	borrowed
 * @mtu:	of its frames, without the Ethernet header; 0: 1500
 *
 * Return: NULL when memory is short.
 */
struct mmds_stack *mmds_stack_new(struct mmds *mmds, uint16_t mtu);
void mmds_stack_free(struct mmds_stack *stack);

/* Forget all connections: the guest's driver began anew. Any thread. */
void mmds_stack_reset(struct mmds_stack *stack);

/* Is a frame that begins with these bytes for the service? */
bool mmds_stack_wants(const struct mmds_stack *stack, const uint8_t *head,
		      size_t len);

/**
 * mmds_stack_take() - a frame of the guest's
 * @frame:	its first @len bytes, at most MMDS_FRAME_MAX; ours alone
 * @whole:	how long it is
 * @trusted:	the guest leaves TCP's checksum to the device
 */
void mmds_stack_take(struct mmds_stack *stack, const uint8_t *frame, size_t len,
		     size_t whole, bool trusted, uint64_t now_ns);

/**
 * mmds_stack_give() - the next frame for the guest
 * @frame:	room for MMDS_GIVE_MAX bytes
 *
 * Return: its bytes; 0 when there is none.
 */
size_t mmds_stack_give(struct mmds_stack *stack, uint8_t *frame,
		       uint64_t now_ns);

/* Would mmds_stack_give() give one? */
bool mmds_stack_waits(const struct mmds_stack *stack);

/* Timers that have ended by @now_ns. */
void mmds_stack_tick(struct mmds_stack *stack, uint64_t now_ns);

/* When mmds_stack_tick() is to be called next, CLOCK_MONOTONIC; 0: never. */
uint64_t mmds_stack_deadline(const struct mmds_stack *stack);
