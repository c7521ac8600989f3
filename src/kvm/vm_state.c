// SPDX-License-Identifier: Apache-2.0
/*
 * vm_state.c - clock and chips, saved and restored (vm_state.h)
 */
#include "kvm/vm_state.h"

#include <errno.h>
#include <time.h>

/* clang-format off */
#define CHANNEL(member) SCHEMA_STATE_UINT(struct kvm_pit_channel_state, member)
static const struct schema_field channel_fields[] = {
	CHANNEL(count), CHANNEL(latched_count), CHANNEL(count_latched),
	CHANNEL(status_latched), CHANNEL(status), CHANNEL(read_state),
	CHANNEL(write_state), CHANNEL(write_latch), CHANNEL(rw_mode),
	CHANNEL(mode), CHANNEL(bcd), CHANNEL(gate),
	SCHEMA_STATE_BITS(struct kvm_pit_channel_state, count_load_time),
};
static const struct schema_object channel =
	SCHEMA_STATE_OF(struct kvm_pit_channel_state, channel_fields);
static const struct schema_item channel_item =
	SCHEMA_STATE_ITEM(struct kvm_pit_channel_state, &channel);

static const struct schema_field pit_fields[] = {
	SCHEMA_STATE_ARRAY(struct kvm_pit_state2, channels, &channel_item),
	SCHEMA_STATE_BITS(struct kvm_pit_state2, flags),
};
static const struct schema_object pit =
	SCHEMA_STATE_OF(struct kvm_pit_state2, pit_fields);

static const struct schema_field chips_fields[] = {
	SCHEMA_STATE_HEX(struct kvm_vm_chips, pic_master),
	SCHEMA_STATE_HEX(struct kvm_vm_chips, pic_slave),
	SCHEMA_STATE_HEX(struct kvm_vm_chips, ioapic),
	SCHEMA_STATE_OBJECT(struct kvm_vm_chips, pit, &pit),
};
static const struct schema_object chips =
	SCHEMA_STATE_OF(struct kvm_vm_chips, chips_fields);

static const struct schema_field kvm_vm_state_fields[] = {
	SCHEMA_STATE_UINT(struct kvm_vm_state, clock_ns),
	SCHEMA_STATE_UINT(struct kvm_vm_state, realtime_ns),
	{
		.name = "chips",
		.type = SCHEMA_OBJECT,
		.flags = SCHEMA_HAS | SCHEMA_OMIT,
		.has = offsetof(struct kvm_vm_state, has_chips),
		SCHEMA_AT(struct kvm_vm_state, chips),
		.object = &chips,
	},
};
/* clang-format on */

const struct schema_object vm_state_schema =
	SCHEMA_STATE_OF(struct kvm_vm_state, kvm_vm_state_fields);

static_assert(sizeof(((struct kvm_irqchip *)NULL)->chip) == VM_CHIP_BYTES,
	      "a chip is saved whole");

static uint64_t realtime_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int get_chip(struct kvm_vm *vm, uint32_t id, uint8_t *bytes,
		    struct err *err)
{
	struct kvm_irqchip chip = {.chip_id = id};
	int r = kvm_call(vm->kvm, vm->fd, KVM_GET_IRQCHIP, &chip);

	if (r < 0)
		return err_set(err, r, "KVM_GET_IRQCHIP %u failed: %s", id,
			       err_name(r));
	memcpy(bytes, &chip.chip, VM_CHIP_BYTES);
	return 0;
}

static int set_chip(struct kvm_vm *vm, uint32_t id, const uint8_t *bytes,
		    struct err *err)
{
	struct kvm_irqchip chip = {.chip_id = id};
	int r;

	memcpy(&chip.chip, bytes, VM_CHIP_BYTES);
	r = kvm_call(vm->kvm, vm->fd, KVM_SET_IRQCHIP, &chip);
	return r < 0 ? err_set(err, r, "KVM_SET_IRQCHIP %u failed: %s", id,
			       err_name(r))
		     : 0;
}

static int get_chips(struct kvm_vm *vm, struct kvm_vm_chips *c, struct err *err)
{
	int r = get_chip(vm, KVM_IRQCHIP_PIC_MASTER, c->pic_master, err);

	if (r == 0)
		r = get_chip(vm, KVM_IRQCHIP_PIC_SLAVE, c->pic_slave, err);
	if (r == 0)
		r = get_chip(vm, KVM_IRQCHIP_IOAPIC, c->ioapic, err);
	if (r < 0)
		return r;
	r = kvm_call(vm->kvm, vm->fd, KVM_GET_PIT2, &c->pit);
	return r < 0 ? err_set(err, r, "KVM_GET_PIT2 failed: %s", err_name(r))
		     : 0;
}

int vm_state_get(struct kvm_vm *vm, struct kvm_vm_state *state, struct err *err)
{
	struct kvm_clock_data clock = {0};
	int r = kvm_call(vm->kvm, vm->fd, KVM_GET_CLOCK, &clock);

	if (r < 0)
		return err_set(err, r, "KVM_GET_CLOCK failed: %s", err_name(r));
	state->clock_ns = clock.clock;
	state->realtime_ns = realtime_ns();
	state->has_chips = !vm->split;
	return vm->split ? 0 : get_chips(vm, &state->chips, err);
}

int vm_state_set_chips(struct kvm_vm *vm, const struct kvm_vm_state *state,
		       struct err *err)
{
	const struct kvm_vm_chips *c = &state->chips;
	struct kvm_pit_state2 copy = c->pit;
	int r;

	if (vm->split)
		return 0;
	r = set_chip(vm, KVM_IRQCHIP_PIC_MASTER, c->pic_master, err);
	if (r == 0)
		r = set_chip(vm, KVM_IRQCHIP_PIC_SLAVE, c->pic_slave, err);
	if (r == 0)
		r = set_chip(vm, KVM_IRQCHIP_IOAPIC, c->ioapic, err);
	if (r < 0)
		return r;
	r = kvm_call(vm->kvm, vm->fd, KVM_SET_PIT2, &copy);
	return r < 0 ? err_set(err, r, "KVM_SET_PIT2 failed: %s", err_name(r))
		     : 0;
}

uint64_t vm_state_gap(const struct kvm_vm_state *state)
{
	uint64_t now = realtime_ns();

	return now > state->realtime_ns ? now - state->realtime_ns : 0;
}

int vm_state_set_clock(struct kvm_vm *vm, const struct kvm_vm_state *state,
		       uint64_t advance_ns, struct err *err)
{
	struct kvm_clock_data clock = {.clock = state->clock_ns + advance_ns};
	int r = kvm_call(vm->kvm, vm->fd, KVM_SET_CLOCK, &clock);

	return r < 0 ? err_set(err, r, "KVM_SET_CLOCK failed: %s", err_name(r))
		     : 0;
}
