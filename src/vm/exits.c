// SPDX-License-Identifier: Apache-2.0
/*
 * exits.c - what each KVM exit means (Documentation/virt/kvm/api.rst, section
 * 5)
 *
 * One const table. An exit is either a device access (the machine's buses), or
 * an end of the VM with its own exit code and one log line that holds the
 * registers. An exit that no row knows ends the VM too: nothing is retried
 * blindly, so no guest can make a vCPU spin here.
 */
#include "vm/exits.h"

#include "base/log.h"
#include "host/clock.h"

#include <errno.h>
#include <stdio.h>

#define INSN_BYTES_MAX 15

static const struct metric exits_metrics[] = {
	METRIC(struct exit_counters, exit_io_in),
	METRIC(struct exit_counters, exit_io_out),
	METRIC(struct exit_counters, exit_mmio_read),
	METRIC(struct exit_counters, exit_mmio_write),
	METRIC(struct exit_counters, failures),
	METRIC(struct exit_counters, kvmclock_ctrl_fails),
	METRIC_AGG(struct exit_counters, exit_io_in_agg),
	METRIC_AGG(struct exit_counters, exit_io_out_agg),
	METRIC_AGG(struct exit_counters, exit_mmio_read_agg),
	METRIC_AGG(struct exit_counters, exit_mmio_write_agg),
};

const struct metric_group vcpu_metric_group = {
	.name = "vcpu",
	.metrics = exits_metrics,
	.nr = ARRAY_SIZE(exits_metrics),
};

/*
 * The exit itself is counted before it is handled: the last one ends the VM,
 * and that writes the metrics.
 */
static void add_time(struct metric_agg *agg, uint64_t since_ns)
{
	metric_agg_add(agg, (now_ns() - since_ns) / 1000);
}

/* Told at the end, with registers that this thread may not ask for. */
static bool end_vm(struct exits *exits, struct kvm_vcpu *vcpu,
		   enum vm_end_reason why, const char *what, const char *detail)
{
	struct kvm_vcpu *none = NULL;

	metric_inc(&exits->counters.failures);
	if (atomic_compare_exchange_strong(&exits->fault.of, &none, vcpu))
		(void)snprintf(exits->fault.text, sizeof(exits->fault.text),
			       "%s%s", what, detail);
	env_end(&exits->board->env, why);
	return false;
}

void exits_tell_fault(struct exits *exits)
{
	struct kvm_vcpu *vcpu = atomic_exchange(&exits->fault.of, NULL);
	struct kvm_regs r = {0};
	struct kvm_sregs s = {0};

	if (!vcpu)
		return;
	(void)kvm_vcpu_get_regs(vcpu, &r, &s);
	log_error("vCPU %u: %s; rip=%#llx rsp=%#llx rflags=%#llx rax=%#llx "
		  "rbx=%#llx rcx=%#llx rdx=%#llx rsi=%#llx rdi=%#llx rbp=%#llx "
		  "cs=%#x cr0=%#llx cr2=%#llx cr3=%#llx cr4=%#llx efer=%#llx",
		  vcpu->id, exits->fault.text, r.rip, r.rsp, r.rflags, r.rax,
		  r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, s.cs.selector,
		  s.cr0, s.cr2, s.cr3, s.cr4, s.efer);
}

/* A string instruction brings up to a page of units in one exit. */
static bool on_io(struct exits *exits, struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	const struct bus *pio = &exits->board->pio;
	struct exit_counters *c = &exits->counters;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	bool in = run->io.direction == KVM_EXIT_IO_IN;
	uint64_t begin = now_ns();

	metric_inc(in ? &c->exit_io_in : &c->exit_io_out);
	for (uint32_t i = 0; i < run->io.count; i++) {
		if (in)
			bus_read(pio, run->io.port, data, run->io.size);
		else
			bus_write(pio, run->io.port, data, run->io.size);
		data += run->io.size;
	}
	add_time(in ? &c->exit_io_in_agg : &c->exit_io_out_agg, begin);
	return true;
}

static bool end_lost_memory(struct exits *exits, struct kvm_vcpu *vcpu,
			    uint64_t gpa, enum vm_end_reason why)
{
	char detail[ERR_TEXT_MAX];
	const char *path = board_truncated_file(exits->board);

	if (path) {
		(void)snprintf(detail, sizeof(detail), "%s", path);
		return end_vm(exits, vcpu, VM_END_FILE_TRUNCATED,
			      "A file that guest memory is mapped from was "
			      "truncated while the VM ran: ",
			      detail);
	}
	path = gpa ? board_file_at(exits->board, gpa) : NULL;
	(void)snprintf(detail, sizeof(detail), "%#llx%s%s%s",
		       (unsigned long long)gpa, path ? ", which is of " : "",
		       path ? path : "",
		       path ? ": is its disk in order, and not full?" : "");
	return end_vm(exits, vcpu, why,
		      "KVM cannot reach guest memory that exists, near ",
		      detail);
}

/* Memory that the guest may only read: KVM brings a store to it here. */
static bool is_read_only(const struct board *board, uint64_t addr)
{
	const struct gmem_region *region = gmem_region_of(&board->mem, addr);

	return region && region->read_only;
}

static bool drop_store(struct exits *exits, struct kvm_vcpu *vcpu,
		       uint64_t addr)
{
	const char *path = board_file_at(exits->board, addr);

	metric_inc(&exits->counters.exit_mmio_write);
	log_guest(LOG_WARN,
		  "vCPU %u: a store to %#llx is dropped: the guest may only "
		  "read %s",
		  vcpu->id, (unsigned long long)addr, path ? path : "there");
	return true;
}

static bool on_mmio(struct exits *exits, struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct board *board = exits->board;
	struct exit_counters *c = &exits->counters;
	uint64_t addr = run->mmio.phys_addr;
	uint32_t len = run->mmio.len;
	uint64_t begin = now_ns();

	if (run->mmio.is_write && is_read_only(board, addr))
		return drop_store(exits, vcpu, addr);
	if (gmem_overlaps(&board->mem, addr, len))
		return end_lost_memory(exits, vcpu, addr, VM_END_MMIO_IN_RAM);
	if (len > sizeof(run->mmio.data))
		return true;
	if (run->mmio.is_write) {
		metric_inc(&c->exit_mmio_write);
		bus_write(&board->mmio, addr, run->mmio.data, len);
		add_time(&c->exit_mmio_write_agg, begin);
	} else {
		metric_inc(&c->exit_mmio_read);
		bus_read(&board->mmio, addr, run->mmio.data, len);
		add_time(&c->exit_mmio_read_agg, begin);
	}
	return true;
}

static bool on_eoi(struct exits *exits, struct kvm_vcpu *vcpu)
{
	interrupts_eoi(exits->interrupts, vcpu->run->eoi.vector);
	return true;
}

/* Without the memory it was in, a guest finds neither code nor handlers. */
static bool lost_memory(const struct exits *exits)
{
	return board_truncated_file(exits->board) != NULL;
}

static bool on_shutdown(struct exits *exits, struct kvm_vcpu *vcpu)
{
	if (lost_memory(exits))
		return end_lost_memory(exits, vcpu, 0, VM_END_TRIPLE_FAULT);
	return end_vm(exits, vcpu, VM_END_TRIPLE_FAULT,
		      "Triple fault: the guest could not handle an exception",
		      "");
}

static bool on_fail_entry(struct exits *exits, struct kvm_vcpu *vcpu)
{
	char detail[64];

	(void)snprintf(detail, sizeof(detail), "%#llx",
		       (unsigned long long)vcpu->run->fail_entry
			       .hardware_entry_failure_reason);
	return end_vm(exits, vcpu, VM_END_FAIL_ENTRY,
		      "The processor refused to enter the guest, reason ",
		      detail);
}

static bool on_internal_error(struct exits *exits, struct kvm_vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;
	char detail[128];
	size_t n;

	if (lost_memory(exits))
		return end_lost_memory(exits, vcpu, 0, VM_END_INTERNAL_ERROR);
	n = (size_t)snprintf(detail, sizeof(detail), "suberror %u",
			     run->internal.suberror);
	if (run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION &&
	    run->emulation_failure.ndata >= 3 &&
	    run->emulation_failure.flags &
		    KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) {
		n += (size_t)snprintf(detail + n, sizeof(detail) - n,
				      " (an instruction KVM cannot emulate), "
				      "bytes");
		for (unsigned int i = 0;
		     i < run->emulation_failure.insn_size && i < INSN_BYTES_MAX;
		     i++)
			n += (size_t)snprintf(
				detail + n, sizeof(detail) - n, " %02x",
				run->emulation_failure.insn_bytes[i]);
	}
	return end_vm(exits, vcpu, VM_END_INTERNAL_ERROR,
		      "KVM internal error, ", detail);
}

static bool on_system_event(struct exits *exits, struct kvm_vcpu *vcpu)
{
	char detail[32];

	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
	case KVM_SYSTEM_EVENT_RESET:
		env_end(&exits->board->env, VM_END_ASKED);
		return false;
	default:
		(void)snprintf(detail, sizeof(detail), "%u",
			       vcpu->run->system_event.type);
		return end_vm(exits, vcpu, VM_END_UNKNOWN_EXIT,
			      "The guest reported a fatal system event, type ",
			      detail);
	}
}

/* The guest goes on when what it wrote was noted. */
static bool on_ring_full(struct exits *exits, struct kvm_vcpu *vcpu)
{
	int r = kvm_vm_note_dirty(vcpu->vm, &exits->board->mem);

	if (r < 0)
		return end_vm(
			exits, vcpu, VM_END_RUN_FAILED,
			"KVM does not empty its dirty ring: ", err_name(r));
	if (atomic_load(&vcpu->vm->rings.overrun))
		return end_vm(exits, vcpu, VM_END_RUN_FAILED,
			      "This host's KVM overran its dirty ring: track "
			      "dirty pages without it",
			      "");
	return true;
}

static bool on_nothing(struct exits *exits, struct kvm_vcpu *vcpu)
{
	(void)exits;
	(void)vcpu;
	return true;
}

static const struct {
	const char *name;
	bool (*handle)(struct exits *exits, struct kvm_vcpu *vcpu);
} rows[] = {
	[KVM_EXIT_IO] = {"IO", on_io},
	[KVM_EXIT_MMIO] = {"MMIO", on_mmio},
	[KVM_EXIT_IOAPIC_EOI] = {"IOAPIC_EOI", on_eoi},
	[KVM_EXIT_INTR] = {"INTR", on_nothing},
	[KVM_EXIT_IRQ_WINDOW_OPEN] = {"IRQ_WINDOW_OPEN", on_nothing},
	[KVM_EXIT_SHUTDOWN] = {"SHUTDOWN", on_shutdown},
	[KVM_EXIT_FAIL_ENTRY] = {"FAIL_ENTRY", on_fail_entry},
	[KVM_EXIT_INTERNAL_ERROR] = {"INTERNAL_ERROR", on_internal_error},
	[KVM_EXIT_SYSTEM_EVENT] = {"SYSTEM_EVENT", on_system_event},
	[KVM_EXIT_DIRTY_RING_FULL] = {"DIRTY_RING_FULL", on_ring_full},
	/* Known names without a meaning for this machine: they end the VM. */
	[KVM_EXIT_UNKNOWN] = {"UNKNOWN", NULL},
	[KVM_EXIT_EXCEPTION] = {"EXCEPTION", NULL},
	[KVM_EXIT_HYPERCALL] = {"HYPERCALL", NULL},
	[KVM_EXIT_DEBUG] = {"DEBUG", NULL},
	[KVM_EXIT_HLT] = {"HLT", NULL},
	[KVM_EXIT_SET_TPR] = {"SET_TPR", NULL},
	[KVM_EXIT_TPR_ACCESS] = {"TPR_ACCESS", NULL},
	[KVM_EXIT_NMI] = {"NMI", NULL},
	[KVM_EXIT_X86_RDMSR] = {"X86_RDMSR", NULL},
	[KVM_EXIT_X86_WRMSR] = {"X86_WRMSR", NULL},
	[KVM_EXIT_X86_BUS_LOCK] = {"X86_BUS_LOCK", NULL},
};

static bool end_unknown(struct exits *exits, struct kvm_vcpu *vcpu,
			uint32_t reason)
{
	const char *name = NULL;
	char detail[64];

	if (reason < ARRAY_SIZE(rows))
		name = rows[reason].name;
	(void)snprintf(detail, sizeof(detail), "%u (%s)", reason,
		       name ? name : "not named in this version");
	return end_vm(exits, vcpu, VM_END_UNKNOWN_EXIT, "Unexpected KVM exit ",
		      detail);
}

static bool end_run_failed(struct exits *exits, struct kvm_vcpu *vcpu, int rc)
{
	const struct kvm_run *run = vcpu->run;

	if (rc == -EFAULT)
		return end_lost_memory(exits, vcpu,
				       run->exit_reason == KVM_EXIT_MMIO
					       ? run->mmio.phys_addr
					       : 0,
				       VM_END_RUN_FAILED);
	return end_vm(exits, vcpu, VM_END_RUN_FAILED,
		      "KVM_RUN failed: ", err_name(rc));
}

bool exits_handle(struct exits *exits, struct kvm_vcpu *vcpu, int run_result)
{
	uint32_t reason = vcpu->run->exit_reason;

	if (run_result < 0)
		return end_run_failed(exits, vcpu, run_result);
	if (reason >= ARRAY_SIZE(rows) || !rows[reason].handle)
		return end_unknown(exits, vcpu, reason);
	/* A device may have ended the VM: the guest sees no instruction more.
	 */
	return rows[reason].handle(exits, vcpu) &&
	       !env_ended(&exits->board->env);
}
