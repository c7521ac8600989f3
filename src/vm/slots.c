// SPDX-License-Identifier: Apache-2.0
/*
 * slots.c - the machine's virtio devices (theory of operation: slots.h)
 */
#include "vm/slots.h"

#include "base/log.h"
#include "boot/layout.h"

#include <errno.h>

#define KIND_POINTER(name_) &virtio_kind_##name_,

static const struct virtio_kind *const slots_kinds[] = {
	VIRTIO_KINDS(KIND_POINTER)};

/* Firecracker's words for a machine that is full. */
static int no_room(struct err *err)
{
	return err_set(err, -ENOSPC,
		       "Could not allocate GSI: The requested resource is not "
		       "available.");
}

int slots_describe(const struct vm_config *config, struct boot_platform *plat,
		   struct err *err)
{
	size_t nr = 0;

	for (size_t i = 0; i < ARRAY_SIZE(slots_kinds); i++)
		nr += slots_kinds[i]->count(config);
	if (nr > LAYOUT_VIRTIO_MAX)
		return no_room(err);
	for (unsigned int i = 0; i < nr; i++)
		plat->virtio[i] = (struct boot_virtio){
			.base = layout_virtio_base(i),
			.acpi_base = layout_virtio_acpi_base(i),
			.len = VIRTIO_MMIO_BYTES,
			.gsi = layout_virtio_gsi(i),
		};
	plat->nr_virtio = (unsigned int)nr;
	return 0;
}

static int add_device(struct virtio_slots *slots,
		      const struct virtio_kind *kind, size_t index,
		      struct err *err)
{
	unsigned int nr = slots->nr;
	struct virtio_slot *slot = &slots->slot[nr];
	int r;

	if (nr == LAYOUT_VIRTIO_MAX)
		return no_room(err);
	r = kind->make(slots, index, &slot->dev, err);
	if (r < 0) {
		metrics_remove(slots->board->env.metrics, slot->counters);
		return r;
	}
	slot->kind = kind;
	slot->index = index;
	virtio_mmio_init_pair(slot->mmio, slot->dev);
	slots->nr = nr + 1;
	r = bus_add(&slots->board->mmio, layout_virtio_base(nr),
		    VIRTIO_MMIO_BYTES, &virtio_mmio_bus_ops, &slot->mmio[0]);
	if (r == 0)
		r = bus_add(&slots->board->mmio, layout_virtio_acpi_base(nr),
			    VIRTIO_MMIO_BYTES, &virtio_mmio_bus_ops,
			    &slot->mmio[1]);
	return r < 0 ? err_set(err, r, "Cannot place a device: %s", err_name(r))
		     : 0;
}

int slots_add(struct virtio_slots *slots, struct err *err)
{
	const struct vm_config *config = slots->board->env.config;
	int r = 0;

	for (size_t k = 0; k < ARRAY_SIZE(slots_kinds) && r == 0; k++)
		for (size_t i = 0; i < slots_kinds[k]->count(config) && r == 0;
		     i++)
			r = add_device(slots, slots_kinds[k], i, err);
	return r;
}

int slots_add_counters(struct virtio_slots *slots,
		       const struct metric_group *group, const char *suffix,
		       const void *counters, struct err *err)
{
	int r = metrics_add(slots->board->env.metrics, group, suffix, counters);

	if (r < 0)
		return err_set(err, r, "Out of memory");
	slots->slot[slots->nr].counters = counters;
	return 0;
}

/* The driver's first kick in this window; on the vCPU's thread. */
static void first_notify(void *ctx, const struct virtio_mmio *mmio)
{
	struct virtio_slots *slots = ctx;
	const struct virtio_slot *slot = slots->slot;
	unsigned int i;
	uint64_t base;
	int r;

	while (mmio != &slot->mmio[0] && mmio != &slot->mmio[1])
		slot++;
	i = (unsigned int)(slot - slots->slot);
	base = mmio == &slot->mmio[0] ? layout_virtio_base(i)
				      : layout_virtio_acpi_base(i);
	r = kvm_ioeventfd_add(&slots->board->kvm_vm, mmio->dev->kick_fd,
			      base + VIRTIO_MMIO_NOTIFY);
	if (r < 0)
		log_warn("%s: KVM takes no ioeventfd: %s; kicks are slow",
			 mmio->dev->name, err_name(r));
}

static void on_repeat(struct timer *timer)
{
	struct virtio_slots *slots =
		container_of(timer, struct virtio_slots, repeat);

	for (unsigned int i = 0; i < slots->nr; i++) {
		struct virtio_slot *slot = &slots->slot[i];
		bool waits = virtio_dev_isr(slot->dev) != 0;

		/* Twice in a row: not one that is just on its way. */
		if (waits && slot->waited)
			virtio_dev_repeat_interrupt(slot->dev);
		slot->waited = waits;
	}
}

/* Not while the VM is paused: its chips stay as they are. */
static void set_repeat(struct virtio_slots *slots)
{
	if (slots->paused || slots->board->kvm_vm.split || slots->nr == 0)
		timer_stop(&slots->repeat);
	else
		timer_set(&slots->repeat, SLOTS_REPEAT_NS, SLOTS_REPEAT_NS);
}

void slots_init(struct virtio_slots *slots, struct board *board,
		metric_t *triggers)
{
	slots->board = board;
	slots->triggers = triggers;
	timer_init(&slots->repeat, slots->board->env.loop, on_repeat);
}

int slots_connect(struct virtio_slots *slots, struct err *err)
{
	int r = 0;

	set_repeat(slots);
	for (unsigned int i = 0; i < slots->nr && r == 0; i++) {
		struct virtio_slot *slot = &slots->slot[i];

		for (unsigned int window = 0; window < 2; window++) {
			slot->mmio[window].ctx = slots;
			slot->mmio[window].first_notify = first_notify;
		}
		slot->dev->triggers = slots->triggers;
		r = kvm_irqfd_add(&slots->board->kvm_vm, slot->dev->irq_fd,
				  layout_virtio_gsi(i));
	}
	return r < 0 ? err_set(err, r,
			       "Cannot connect the devices' eventfds to KVM: "
			       "%s",
			       err_name(r))
		     : 0;
}

void slots_unmasked(struct virtio_slots *slots, unsigned int gsi)
{
	unsigned int i = gsi - layout_virtio_gsi(0);

	if (gsi >= layout_virtio_gsi(0) && i < slots->nr)
		virtio_dev_repeat_interrupt(slots->slot[i].dev);
}

void slots_pause(struct virtio_slots *slots)
{
	slots->paused = true;
	set_repeat(slots);
	for (unsigned int i = 0; i < slots->nr; i++)
		virtio_dev_pause(slots->slot[i].dev);
}

void slots_resume(struct virtio_slots *slots)
{
	for (unsigned int i = 0; i < slots->nr; i++)
		virtio_dev_resume(slots->slot[i].dev);
	slots->paused = false;
	set_repeat(slots);
}

void slots_fini(struct virtio_slots *slots)
{
	timer_stop(&slots->repeat);
	while (slots->nr > 0) {
		const struct virtio_slot *slot = &slots->slot[--slots->nr];

		metrics_remove(slots->board->env.metrics, slot->counters);
		slot->dev->ops->destroy(slot->dev);
	}
}

struct virtio_dev *slots_find(struct virtio_slots *slots,
			      const struct virtio_kind *kind, size_t index)
{
	for (unsigned int i = 0; i < slots->nr; i++)
		if (slots->slot[i].kind == kind &&
		    slots->slot[i].index == index)
			return slots->slot[i].dev;
	return NULL;
}

static void set_bucket(struct token_bucket *bucket,
		       const struct token_bucket_config *config)
{
	if (config->present)
		token_bucket_init(
			bucket, config->size,
			config->has_one_time_burst ? config->one_time_burst : 0,
			config->refill_time, now_ns());
}

void slots_set_limits(struct rate_limiter *limiter,
		      const struct rate_limiter_config *config)
{
	set_bucket(&limiter->bandwidth, &config->bandwidth);
	set_bucket(&limiter->ops, &config->ops);
	rate_limiter_changed(limiter);
}

void slots_add_limiter(struct virtio_slots *slots, struct rate_limiter *limiter,
		       const struct rate_limiter_config *config)
{
	struct virtio_slot *slot = &slots->slot[slots->nr];

	slots_set_limits(limiter, config);
	assert(slot->nr_limiters < SLOT_LIMITERS_MAX);
	slot->limiter[slot->nr_limiters++] = limiter;
}
