// SPDX-License-Identifier: Apache-2.0
/*
 * boot.c - a machine with the kernel of the configuration (boot.h)
 */
#include "vm/boot.h"

#include "base/fd.h"
#include "boot/loader.h"
#include "config/drives.h"
#include "config/pmem.h"
#include "vm/template.h"
#include "vm/template_static.h"

#include <errno.h>

static enum boot_prefer prefer_of(enum config_entry entry)
{
	switch (entry) {
	case ENTRY_PVH:
		return BOOT_PREFER_PVH;
	case ENTRY_LINUX64:
		return BOOT_PREFER_LINUX64;
	default:
		return BOOT_PREFER_AUTO;
	}
}

/* A file that is mapped into memory keeps huge pages away from it. */
static void ask_policy(struct board *board)
{
	char policy[64];

	(void)path_read_text(board->env.config->opener, PATH_HUGE_POLICY,
			     policy, sizeof(policy));
	gmem_set_policy(&board->mem, policy);
}

/* Guest memory with the kernel in it; KVM does not know of it yet. */
static int vm_boot_load(struct board *board, struct boot_entry *entry,
			struct err *err)
{
	const struct vm_config *c = board->env.config;
	char root[CONFIG_CMDLINE_MAX];
	const struct boot_image image = {
		.kernel_fd = c->boot_source.kernel_fd,
		.kernel_path = c->boot_source.kernel_image_path,
		.initrd_fd = c->boot_source.initrd_fd,
		.initrd_path = c->boot_source.initrd_path,
		.cmdline = c->boot_source.boot_args ? c->boot_source.boot_args
						    : CONFIG_CMDLINE_DEFAULT,
		.root = root,
	};
	struct boot_platform platform = {
		.nr_cpus = c->machine.vcpu_count,
		.split_irqchip = c->irqchip == IRQCHIP_SPLIT,
		.has_serial = true,
		.has_i8042 = true,
		.has_rtc = true,
		.has_genid = true,
		.has_vmclock = true,
		.prefer = prefer_of(c->entry),
	};
	struct gmem_spec hot;
	int r = slots_describe(c, &platform, err);

	if (r == 0 && drives_root_words(c, root, sizeof(root)) < 0)
		r = err_set(err, -E2BIG,
			    "The partuuid of the root device is too long for "
			    "a kernel command line");
	if (r == 0 && !root[0])
		pmems_root_words(c, root, sizeof(root));
	if (r == 0)
		r = gmem_init(&board->mem, MIB(c->machine.mem_size_mib),
			      board_pages_of(c->machine.huge_pages), err);
	if (r == 0)
		r = board_note_file(&board->file[0], image.kernel_fd,
				    image.kernel_path, err);
	if (r == 0)
		r = board_note_file(&board->file[1], image.initrd_fd,
				    image.initrd_path, err);
	if (r < 0)
		return r;
	if (board->file[0].size >= (off_t)BOOT_MAP_MIN_BYTES ||
	    board->file[1].size >= (off_t)BOOT_MAP_MIN_BYTES)
		ask_policy(board);
	r = boot_load(&board->mem, &image, &platform, entry, err);
	/* No table speaks of it: the driver tells the kernel. */
	if (r == 0 && board_hot(c, &hot))
		r = gmem_add(&board->mem, &hot, err);
	return r == 0 ? board_add_pmems(board, err) : r;
}

static int make_vm(struct board *board, struct err *err)
{
	bool split = board->env.config->irqchip == IRQCHIP_SPLIT;
	int r = board_make_vm(board, err);

	if (r == 0)
		r = board_give_memory(board, err);
	if (r == 0)
		r = kvm_irqchip_init(&board->kvm_vm, split, err);
	return r;
}

/**
 * struct vcpu_plan - what all vCPUs have in common
 * @cpuid:	each is given its own number in it
 * @template:	what a client changes of them
 */
struct vcpu_plan {
	const struct boot_entry *entry;
	struct cpuid_topology topology;
	struct cpuid_table *cpuid;
	struct cpu_config named;
	const struct cpu_config *template;
};

static int set_up_vcpu(const struct board *board, struct vcpu *vcpu,
		       const struct vcpu_plan *plan, struct err *err)
{
	const struct boot_entry *entry = plan->entry;
	const struct vcpu_boot boot = {
		.entry = entry->mode == BOOT_ENTRY_PVH32 ? VCPU_ENTRY_PVH32
							 : VCPU_ENTRY_LONG64,
		.ip = entry->ip,
		.arg = entry->arg,
		.cr3 = entry->cr3,
		.gdt = entry->gdt,
		.gdt_limit = entry->gdt_limit,
	};
	int r;

	cpuid_set_vcpu(plan->cpuid, vcpu->kvm.id, &plan->topology);
	r = kvm_vcpu_set_cpuid(&vcpu->kvm, plan->cpuid, err);
	if (r == 0)
		r = kvm_vcpu_set_boot_msrs(&vcpu->kvm, err);
	if (r == 0)
		r = template_set_msrs(plan->template, &vcpu->kvm, err);
	if (r == 0 && !board->kvm_vm.split)
		r = kvm_vcpu_set_virtual_wire(&vcpu->kvm, err);
	/* The others wait for INIT and SIPI, as KVM made them. */
	if (r == 0 && vcpu->kvm.id == 0)
		r = kvm_vcpu_set_boot(&vcpu->kvm, &boot, err);
	return r;
}

/* What the host can, less what the template takes away, as this shape. */
static int plan_cpuid(struct board *board, struct vcpu_plan *plan,
		      struct err *err)
{
	const struct vm_config *config = board->env.config;
	enum config_cpu_template name = config->machine.cpu_template;
	int r = cpuid_read_supported(&board->kvm, plan->cpuid, err);

	plan->template = &config->cpu;
	if (r == 0 && name != CPU_TEMPLATE_UNSET) {
		plan->template = &plan->named;
		r = template_static_make(name, cpu_identity_of(plan->cpuid),
					 &plan->named, err);
	}
	if (r == 0)
		r = template_set_cpuid(plan->template, plan->cpuid, err);
	if (r < 0)
		return r;
	cpuid_prepare(plan->cpuid, board->kvm.has_tsc_deadline,
		      &plan->topology);
	if (!config->nested)
		cpuid_hide_nested(plan->cpuid);
	return 0;
}

static int make_vcpus(struct machine *m, const struct boot_entry *entry,
		      struct err *err)
{
	const struct machine_config *c = &m->board.env.config->machine;
	cleanup_free struct cpuid_table *cpuid = malloc(sizeof(*cpuid));
	struct vcpu_plan plan = {
		.entry = entry,
		.topology = {.nr_vcpus = c->vcpu_count,
			     .threads_per_core =
				     c->smt && c->vcpu_count > 1 ? 2 : 1},
		.cpuid = cpuid,
	};
	int r;

	if (!cpuid)
		return err_set(err, -ENOMEM, "Out of memory");
	r = vcpus_create(&m->vcpus, &m->board.kvm_vm, c->vcpu_count, err);
	if (r == 0)
		r = plan_cpuid(&m->board, &plan, err);
	for (unsigned int i = 0; i < m->vcpus.nr && r == 0; i++)
		r = set_up_vcpu(&m->board, &m->vcpus.vcpu[i], &plan, err);
	cpu_config_free(&plan.named);
	return r;
}

int boot_machine(struct machine *m, struct err *err)
{
	const struct vm_env *env = &m->board.env;
	struct boot_entry entry = {0};
	int r;

	if (!env->config->boot_source.present)
		return err_set(err, -EINVAL,
			       "Cannot start microvm without kernel "
			       "configuration.");
	r = vm_boot_load(&m->board, &entry, err);
	if (r < 0)
		return r;
	env_mark(env, TIMELINE_KERNEL_READY);
	r = board_open_kvm(&m->board, err);
	if (r == 0)
		r = template_check(&env->config->cpu, &m->board.kvm, err);
	if (r == 0)
		r = make_vm(&m->board, err);
	if (r < 0)
		return r;
	env_mark(env, TIMELINE_KVM_READY);
	r = chipset_add(&m->chipset, err);
	if (r == 0)
		r = vmclock_start(&m->chipset.vmclock, err);
	if (r == 0)
		r = make_vcpus(m, &entry, err);
	if (r == 0)
		r = slots_connect(&m->slots, err);
	return r;
}
