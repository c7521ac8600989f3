/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device.h - what all virtio devices have in common
 *
 * Theory of operation
 *
 * A device (src/dev/) embeds struct virtio_dev first and describes itself by a
 * const struct virtio_dev_ops. Its transport (mmio.h) is on the other side of
 * this header; neither sees the other.
 *
 * Threads. Registers are written by vCPU threads, back ends live on the VMM
 * thread's event loop, so each device has one lock: whoever calls into its ops
 * holds it, and a device takes it first in callbacks of its own (tap readable,
 * timer, I/O complete): virtio_dev_enter() / virtio_dev_leave(). The order of
 * locks is device, then interrupt controller; a device never calls another.
 * activate() and reset() run on a vCPU thread and so touch neither the loop nor
 * timers: activation is followed by a kick, on the VMM thread, and that is
 * where sources are armed; a callback that finds the device not running
 * (virtio_dev_running()) disarms its source and returns.
 *
 * Kicks. One eventfd (and one ioeventfd in KVM) per device wakes the VMM
 * thread, whichever queue it is for: kick() looks at all of them. The driver's
 * DRIVER_OK, resume and restore kick too, so no request waits unseen. A guest
 * can add requests as fast as they are served, and the VMM thread has more to
 * do: kick() does a bounded amount of work, and if there is more it calls
 * virtio_dev_schedule() and returns.
 *
 * Interrupts. virtio_dev_interrupt() sets the status bit and signals the
 * device's interrupt eventfd, which KVM turns into the guest's interrupt
 * (irqfd).
 *
 * Life of the status byte (virtio 1.2, 2.1 and 3.1.1):
 *
 *   status          the driver may change    the device
 *   < FEATURES_OK   features                 does nothing
 *   < DRIVER_OK     queues                   does nothing
 *   DRIVER_OK       config, kicks            runs
 *   NEEDS_RESET     only reset               stopped: it found a broken ring
 *
 * Writing 0 resets from any state, as a rule at once: when it returns the
 * status is 0 and the device touches no guest memory any more, in-flight I/O
 * included. When the host does not finish that I/O the vCPU goes on all the
 * same: the reset is done, and the status 0, once it is finished (2.4.2), and
 * until then it reads NEEDS_RESET and nothing can be written but another 0. A
 * write that the state does not allow is ignored.
 */
#pragma once

#include "base/metrics.h"
#include "base/schema.h"
#include "host/loop.h"
#include "virtio/queue.h"

#include <pthread.h>

#define VIRTIO_QUEUES_MAX 5u

/* Feature bits of all devices (6). */
#define VIRTIO_F_INDIRECT_DESC (1ull << 28)
#define VIRTIO_F_EVENT_IDX     (1ull << 29)
#define VIRTIO_F_VERSION_1     (1ull << 32)

/* Status bits (2.1). */
#define VIRTIO_STATUS_ACKNOWLEDGE 1u
#define VIRTIO_STATUS_DRIVER      2u
#define VIRTIO_STATUS_DRIVER_OK   4u
#define VIRTIO_STATUS_FEATURES_OK 8u
#define VIRTIO_STATUS_NEEDS_RESET 64u
#define VIRTIO_STATUS_FAILED      128u

/* Interrupt status bits (4.2.2). */
#define VIRTIO_INT_QUEUE  1u
#define VIRTIO_INT_CONFIG 2u

struct virtio_dev;

/**
 * struct virtio_dev_ops - one kind of device
 * @id:		of the kind of device (virtio 1.2, 5)
 * @activate:	the driver is ready: queues and features are set. 0, or -errno
 *		when it cannot work so (the device then needs a reset). May be
 *		NULL
 * @kick:	queues may have work; VMM thread
 * @reset:	back to the state after creation; drain what is in flight. The
 *		queues are reset afterwards. 0, or -EINPROGRESS: it still is,
 *		virtio_dev_reset_done() follows. May leave the lock and take it
 *		again; if the device is not resetting then, another reset has
 *		ended this one. May be NULL
 * @stopped:	the device was reset, or broke: give up what lives on the loop.
 *		VMM thread, soon after; not called when a new driver is ready
 *		by then. May be NULL
 * @config_write: the driver wrote @len bytes of the config space at @off, both
 *		within it; NULL: such writes are ignored
 * @drain:	finish what is in flight, for a snapshot; VMM thread, vCPUs
 *		paused. 0, or -ETIME after @deadline_ns (CLOCK_MONOTONIC). NULL:
 *		nothing is ever in flight
 * @pausing:	the VM pauses: stop what others do for the device; VMM thread.
 *		May be NULL
 * @resumed:	the VM runs again after a pause; VMM thread. A kick follows. May
 *		be NULL
 * @destroy:	free the device and its back end; VMM thread, after the vCPUs
 * @state:	of what save() writes and load() reads; NULL: there is none
 * @save:	fill the zeroed struct of @state
 * @load:	take it over and check every value, as it comes from a file;
 *		called once, after creation, before activate()
 *
 * All are called with the lock held but for destroy().
 */
struct virtio_dev_ops {
	uint32_t id;
	int (*activate)(struct virtio_dev *dev);
	void (*kick)(struct virtio_dev *dev);
	int (*reset)(struct virtio_dev *dev);
	void (*stopped)(struct virtio_dev *dev);
	void (*config_write)(struct virtio_dev *dev, uint32_t off,
			     const void *data, uint32_t len);
	int (*drain)(struct virtio_dev *dev, uint64_t deadline_ns);
	void (*pausing)(struct virtio_dev *dev);
	void (*resumed)(struct virtio_dev *dev);
	void (*destroy)(struct virtio_dev *dev);
	const struct schema_object *state;
	void (*save)(struct virtio_dev *dev, void *state);
	int (*load)(struct virtio_dev *dev, const void *state, struct err *err);
};

/**
 * struct virtio_dev - the common part of a device
 * @name:	in the log: "block rootfs"; owned
 * @offered:	feature bits; VERSION_1, INDIRECT_DESC and EVENT_IDX included
 * @acked:	what the driver chose of them
 * @config:	config space, little-endian; the device's own memory
 * @active:	DRIVER_OK, activate() succeeded, no reset needed
 * @paused:	the VM is paused: nothing may touch guest memory
 * @resetting:	the driver wrote 0; not active until that is done, nor after
 * @generation:	of the config space
 * @isr:	interrupt status; any thread
 * @isr_always:	bits that read as set whatever @isr is: interrupts that the host
 *		kernel raises itself; any thread
 * @triggers:	counts interrupts; NULL, or set before the guest runs
 * @kick_fd, @irq_fd: eventfds
 * @lock:	guards everything but @isr and what never changes
 */
struct virtio_dev {
	const struct virtio_dev_ops *ops;
	char *name;
	uint64_t offered;
	uint64_t acked;
	void *config;
	uint32_t config_bytes;
	uint32_t generation;
	uint8_t status;
	bool active;
	bool paused;
	bool resetting;
	_Atomic uint32_t isr;
	_Atomic uint32_t isr_always;
	metric_t *triggers;
	int kick_fd;
	int irq_fd;
	struct loop *loop;
	struct loop_source kick_source;
	pthread_mutex_t lock;
	unsigned int nr_queues;
	struct virtq queue[VIRTIO_QUEUES_MAX];
};

/**
 * struct virtio_dev_params - what a device tells its common part
 * @features:	of the device type; the common ones are added
 * @queue_max:	for all queues
 * @config:	stays where it is as long as the device
 */
struct virtio_dev_params {
	const struct virtio_dev_ops *ops;
	const char *name;
	const struct gmem *mem;
	struct loop *loop;
	uint64_t features;
	unsigned int nr_queues;
	uint16_t queue_max;
	void *config;
	uint32_t config_bytes;
};

/**
 * virtio_dev_init() - set up the common part of zeroed memory
 *
 * Return: 0 or -errno with a sentence; virtio_dev_fini() in any case.
 * Context: VMM thread.
 */
int virtio_dev_init(struct virtio_dev *dev,
		    const struct virtio_dev_params *params,
		    struct err *err) __must_check;

/* For destroy(): forgets the source, closes the eventfds. */
void virtio_dev_fini(struct virtio_dev *dev);

static inline void virtio_dev_enter(struct virtio_dev *dev)
{
	(void)pthread_mutex_lock(&dev->lock);
}

static inline void virtio_dev_leave(struct virtio_dev *dev)
{
	(void)pthread_mutex_unlock(&dev->lock);
}

/* True when the device may use its queues. */
static inline bool virtio_dev_running(const struct virtio_dev *dev)
{
	return dev->active && !dev->paused;
}

/* What the interrupt status register reads as. Any thread. */
static inline uint32_t virtio_dev_isr(const struct virtio_dev *dev)
{
	return atomic_load_explicit(&dev->isr, memory_order_acquire) |
	       atomic_load_explicit(&dev->isr_always, memory_order_acquire);
}

static inline bool virtio_dev_has(const struct virtio_dev *dev,
				  uint64_t feature)
{
	return (dev->acked & feature) != 0;
}

/* ---- for devices, with the lock held ---- */

/* Used buffers are there: interrupt the guest. */
void virtio_dev_interrupt(struct virtio_dev *dev);

/* virtq_publish() and the interrupt that it asks for. */
void virtio_dev_publish(struct virtio_dev *dev, struct virtq *q);

/* The config space has changed (once running, the guest is told). */
void virtio_dev_config_changed(struct virtio_dev *dev);

/**
 * virtio_dev_broken() - the driver broke the rules: stop until it resets
 * @why:	for the log; counted, rate-limited
 */
void virtio_dev_broken(struct virtio_dev *dev, const char *why);

/* Nothing touches guest memory any more: the end of a reset that had to wait.
 */
void virtio_dev_reset_done(struct virtio_dev *dev);

/* Have kick() called on the VMM thread. Any thread, lock or not. */
void virtio_dev_schedule(struct virtio_dev *dev);

/* ---- for transports; they take the lock ---- */

uint8_t virtio_dev_status(struct virtio_dev *dev);
void virtio_dev_set_status(struct virtio_dev *dev, uint8_t status);
/* The lower (@half 0) or upper 32 bits of the features; lock held. */
void virtio_dev_set_features(struct virtio_dev *dev, unsigned int half,
			     uint32_t bits);
void virtio_dev_read_config(struct virtio_dev *dev, uint64_t off, void *data,
			    unsigned int len);
void virtio_dev_write_config(struct virtio_dev *dev, uint64_t off,
			     const void *data, unsigned int len);

/* ---- for the machine ---- */

/* Signal again what the driver has not acknowledged. Any thread, no lock. */
void virtio_dev_repeat_interrupt(struct virtio_dev *dev);

/* ---- for the machine; VMM thread ---- */

/* No callback touches guest memory from here on, until resumed. */
void virtio_dev_pause(struct virtio_dev *dev);
void virtio_dev_resume(struct virtio_dev *dev);

/**
 * virtio_dev_restore() - status, features and generation from a snapshot
 *
 * The queues are set. Activates a device that was active; it stays paused. With
 * the lock held.
 *
 * Return: 0 or -EINVAL with a sentence.
 */
int virtio_dev_restore(struct virtio_dev *dev, uint8_t status, uint64_t acked,
		       uint32_t generation, struct err *err) __must_check;

/* Return: 0, or -ETIME when I/O is still in flight at @deadline_ns. */
int virtio_dev_drain(struct virtio_dev *dev, uint64_t deadline_ns) __must_check;
