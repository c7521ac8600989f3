/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net_stream.h - a stream socket as a source of frames (net_source.h)
 *
 * Theory of operation
 *
 * At the other end of the socket is a program: passt, QEMU (-netdev stream), a
 * switch. Each frame goes behind its length, 32 bits, big endian. Frames are
 * plain: no header of virtio-net's, so no offload is offered to the driver.
 *
 *   guest   one copy into @tx, the rules' verdict on that copy, and one
 *           sendmsg(). What the socket does not take stays in @tx, and with it
 *           the queue stands still until the socket can be written
 *   peer    recvmsg() fills @rx; each whole frame there is copied to the guest
 *
 * The peer is not trusted: it can send what it likes, and nothing, and stop
 * reading. Behind a length that no frame has nothing can be told apart any
 * more, so that is the end of the connection, as is the end of the stream: the
 * guest's link goes down, what it sends is dropped and counted. Nothing of this
 * ends the VM.
 *
 * The rules (base/ip_rules.h) are about what the guest sends. With rules only
 * ARP and IP without VLAN tags pass, and of IP what the rules let through.
 *
 * A snapshot has nothing of it: the clone's socket is another one. A frame that
 * was half sent, or half received, is lost.
 *
 * Context: the device's lock is held.
 */
#pragma once

#include "base/ip_rules.h"

/**
 * net_stream_lets_go() - may the guest send this frame?
 * @rules:	NULL: any
 */
bool net_stream_lets_go(const struct ip_rules *rules, const uint8_t *frame,
			size_t len);
