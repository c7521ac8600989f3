// SPDX-License-Identifier: Apache-2.0
/*
 * interrupts.c - one kind of line above, two kinds of chip below (interrupts.h)
 */
#include "vm/interrupts.h"

#include "base/log.h"
#include "vm/machine.h"

static const struct metric metrics[] = {
	METRIC(struct interrupts_metrics, triggers),
	METRIC(struct interrupts_metrics, config_updates),
};

const struct metric_group interrupts_metric_group = {
	"interrupts",
	metrics,
	ARRAY_SIZE(metrics),
};

static void line_full(void *ctx, unsigned int gsi, bool level)
{
	struct machine *m = ctx;

	if (level)
		metric_inc(&m->interrupts.triggers);
	kvm_irq_line(&m->kvm_vm, gsi, level);
}

static void line_split(void *ctx, unsigned int gsi, bool level)
{
	struct machine *m = ctx;

	ioapic_set_level(&m->ioapic, gsi, level);
}

static void msi_send(void *ctx, const struct msi *msi)
{
	struct machine *m = ctx;

	metric_inc(&m->interrupts.triggers);
	kvm_msi_send(&m->kvm_vm, msi);
}

static void msi_route(void *ctx, unsigned int gsi, const struct msi *msi)
{
	struct machine *m = ctx;
	bool level = msi && msi->data & IOAPIC_MSI_LEVEL;
	int r;

	metric_inc(&m->interrupts.config_updates);
	r = kvm_route_set(&m->kvm_vm, gsi, msi, level);

	if (r < 0)
		log_guest(LOG_ERROR, "Cannot route GSI %u: %s", gsi,
			  err_name(r));
	else if (msi)
		virtio_unmasked(m, gsi);
}

struct irq_line interrupts_line(struct machine *m, unsigned int gsi)
{
	return (struct irq_line){
		.set = m->kvm_vm.split ? line_split : line_full,
		.ctx = m,
		.gsi = gsi,
	};
}

struct msi_sink interrupts_sink(struct machine *m)
{
	return (struct msi_sink){msi_send, msi_route, m};
}

void interrupts_eoi(struct machine *m, uint8_t vector)
{
	if (m->kvm_vm.split)
		ioapic_eoi(&m->ioapic, vector);
}
