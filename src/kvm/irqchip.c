// SPDX-License-Identifier: Apache-2.0
/*
 * irqchip.c - interrupt chips, GSI routes, irqfd and ioeventfd
 *
 * Theory of operation
 *
 * Split: the kernel has LAPICs and a routing table; our IOAPIC (dev/ioapic.c)
 * tells for each pin which message it stands for. A pin that only we raise
 * needs no entry: its message is sent by KVM_SIGNAL_MSI. Entries are for pins
 * that the kernel raises by itself (irqfd) and for level-triggered pins, whose
 * EOI the kernel reports only when it finds their vector in the table. Every
 * KVM_SET_GSI_ROUTING waits for readers of the old table, so it is made only
 * when an entry that is in the table changes.
 *
 * Full: the kernel's chips and its default table (GSI n is IOAPIC pin n, and
 * PIC pin n below 16).
 */
#include "kvm/kvm.h"

#include <errno.h>
#include <string.h>

int kvm_irqchip_init(struct kvm_vm *vm, bool split, struct err *err)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_SPLIT_IRQCHIP,
		.args = {IRQCHIP_PINS},
	};
	struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};
	int r;

	if (vm->split)
		return 0;
	vm->split = split;
	if (split) {
		r = kvm_call(vm->kvm, vm->fd, KVM_ENABLE_CAP, &cap);
		return r < 0 ? err_set(err, r,
				       "KVM_CAP_SPLIT_IRQCHIP failed: %s; try "
				       "--irqchip full",
				       err_name(r))
			     : 0;
	}
	r = kvm_call(vm->kvm, vm->fd, KVM_CREATE_IRQCHIP, NULL);
	if (r < 0)
		return err_set(err, r, "KVM_CREATE_IRQCHIP failed: %s",
			       err_name(r));
	r = kvm_call(vm->kvm, vm->fd, KVM_CREATE_PIT2, &pit);
	if (r < 0)
		return err_set(err, r, "KVM_CREATE_PIT2 failed: %s",
			       err_name(r));
	return 0;
}

void kvm_irq_line(struct kvm_vm *vm, unsigned int gsi, bool level)
{
	struct kvm_irq_level line = {.irq = gsi, .level = level};

	(void)kvm_call(vm->kvm, vm->fd, KVM_IRQ_LINE, &line);
}

void kvm_msi_send(struct kvm_vm *vm, const struct msi *msi)
{
	struct kvm_msi m = {
		.address_lo = (uint32_t)msi->addr,
		.address_hi = (uint32_t)(msi->addr >> 32),
		.data = msi->data,
	};

	(void)kvm_call(vm->kvm, vm->fd, KVM_SIGNAL_MSI, &m);
}

static int write_table(struct kvm_vm *vm)
{
	struct {
		struct kvm_irq_routing head;
		struct kvm_irq_routing_entry room[IRQCHIP_GSI_MAX];
	} table = {0};

	for (unsigned int gsi = 0; gsi < IRQCHIP_GSI_MAX; gsi++) {
		struct kvm_irq_routing_entry *e = &table.room[table.head.nr];

		if (!(vm->route_used & vm->route_wanted & (1ull << gsi)))
			continue;
		e->gsi = gsi;
		e->type = KVM_IRQ_ROUTING_MSI;
		e->u.msi.address_lo = (uint32_t)vm->route[gsi].addr;
		e->u.msi.address_hi = (uint32_t)(vm->route[gsi].addr >> 32);
		e->u.msi.data = vm->route[gsi].data;
		table.head.nr++;
	}
	return kvm_call(vm->kvm, vm->fd, KVM_SET_GSI_ROUTING, &table);
}

int kvm_route_set(struct kvm_vm *vm, unsigned int gsi, const struct msi *msi,
		  bool level)
{
	uint64_t bit;
	bool in_table;

	if (gsi >= IRQCHIP_GSI_MAX)
		return -EINVAL;
	bit = 1ull << gsi;
	in_table = vm->route_used & vm->route_wanted & bit;
	if (in_table && msi && msi->addr == vm->route[gsi].addr &&
	    msi->data == vm->route[gsi].data)
		return 0;
	vm->route_used &= ~bit;
	if (msi) {
		vm->route[gsi] = *msi;
		vm->route_used |= bit;
	}
	if (level)
		vm->route_wanted |= bit;
	if (!in_table && !(vm->route_used & vm->route_wanted & bit))
		return 0;
	return write_table(vm);
}

int kvm_routes_commit(struct kvm_vm *vm)
{
	if (!vm->split || !(vm->route_used & vm->route_wanted))
		return 0;
	return write_table(vm);
}

int kvm_irqfd_add(struct kvm_vm *vm, int event_fd, unsigned int gsi)
{
	struct kvm_irqfd irqfd = {.fd = (uint32_t)event_fd, .gsi = gsi};

	if (gsi >= IRQCHIP_GSI_MAX)
		return -EINVAL;
	vm->route_wanted |= 1ull << gsi;
	return kvm_call(vm->kvm, vm->fd, KVM_IRQFD, &irqfd);
}

int kvm_ioeventfd_add(struct kvm_vm *vm, int event_fd, uint64_t addr)
{
	struct kvm_ioeventfd io = {
		.addr = addr,
		.len = 4,
		.fd = event_fd,
	};

	return kvm_call(vm->kvm, vm->fd, KVM_IOEVENTFD, &io);
}
