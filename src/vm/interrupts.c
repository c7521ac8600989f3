// SPDX-License-Identifier: Apache-2.0
/*
 * interrupts.c - one kind of line above, two kinds of chip below (interrupts.h)
 */
#include "vm/interrupts.h"

#include "base/log.h"

static const struct metric vm_interrupts_metrics[] = {
	METRIC(struct interrupts_metrics, triggers),
	METRIC(struct interrupts_metrics, config_updates),
};

const struct metric_group interrupts_metric_group = {
	"interrupts",
	vm_interrupts_metrics,
	ARRAY_SIZE(vm_interrupts_metrics),
};

static void line_full(void *ctx, unsigned int gsi, bool level)
{
	struct interrupts *in = ctx;

	if (level)
		metric_inc(&in->metrics.triggers);
	kvm_irq_line(in->kvm_vm, gsi, level);
}

static void line_split(void *ctx, unsigned int gsi, bool level)
{
	struct interrupts *in = ctx;

	ioapic_set_level(&in->ioapic, gsi, level);
}

static void msi_send(void *ctx, const struct msi *msi)
{
	struct interrupts *in = ctx;

	metric_inc(&in->metrics.triggers);
	kvm_msi_send(in->kvm_vm, msi);
}

static void msi_route(void *ctx, unsigned int gsi, const struct msi *msi)
{
	struct interrupts *in = ctx;
	bool level = msi && msi->data & IOAPIC_MSI_LEVEL;
	int r;

	metric_inc(&in->metrics.config_updates);
	r = kvm_route_set(in->kvm_vm, gsi, msi, level);

	if (r < 0)
		log_guest(LOG_ERROR, "Cannot route GSI %u: %s", gsi,
			  err_name(r));
	else if (msi)
		slots_unmasked(in->slots, gsi);
}

struct irq_line interrupts_line(struct interrupts *in, unsigned int gsi)
{
	return (struct irq_line){
		.set = in->kvm_vm->split ? line_split : line_full,
		.ctx = in,
		.gsi = gsi,
	};
}

struct msi_sink interrupts_sink(struct interrupts *in)
{
	return (struct msi_sink){msi_send, msi_route, in};
}

void interrupts_eoi(struct interrupts *in, uint8_t vector)
{
	if (in->kvm_vm->split)
		ioapic_eoi(&in->ioapic, vector);
}
