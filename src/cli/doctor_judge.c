// SPDX-License-Identifier: Apache-2.0
/*
 * doctor_judge.c - from facts to a verdict and advice; no system call
 */
#include "cli/doctor.h"

#include "sandbox/landlock.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *const topic_names[TOPIC_NR] = {
	[TOPIC_HOST] = "host",
	[TOPIC_KVM] = "kvm",
	[TOPIC_CPU] = "cpu",
	[TOPIC_INSNS] = "instructions",
	[TOPIC_CAPS] = "capability",
	[TOPIC_SANDBOX] = "sandbox",
	[TOPIC_CORES] = "cores",
	[TOPIC_SHARING] = "sharing",
	[TOPIC_CPU_FAULTS] = "cpu-faults",
	[TOPIC_KVM_FAULTS] = "kvm-faults",
	[TOPIC_NAMESPACES] = "namespaces",
	[TOPIC_MEMORY] = "memory",
	[TOPIC_IO] = "io",
	[TOPIC_NETWORK] = "network",
};

/* The tree's software-emulated host, where everything runs, slowly. */
#define LAB_HINT "`make shell` in Volt's source"

static void advise(struct doctor_report *report, enum topic topic,
		   const char *fmt, ...) __printf_like(3, 4);

static void advise(struct doctor_report *report, enum topic topic,
		   const char *fmt, ...)
{
	struct advice *a;
	va_list ap;

	if (report->nr_advice == DOCTOR_MAX_ADVICE)
		return;
	a = &report->advice[report->nr_advice++];
	a->topic = topic;
	va_start(ap, fmt);
	(void)vsnprintf(a->text, sizeof(a->text), fmt, ap);
	va_end(ap);
}

/* The first thing that stands between this host and a /dev/kvm. */
static void advise_absent(const struct doctor_facts *f,
			  struct doctor_report *report)
{
	const struct cpu_facts *cpu = &f->cpu;
	const char *module = cpu->is_intel ? "kvm_intel" : "kvm_amd";

	if (f->kvm.modules[0])
		advise(report, TOPIC_KVM,
		       "KVM is loaded but /dev/kvm is not here: hand it to "
		       "this container (--device /dev/kvm), or `sudo mknod "
		       "/dev/kvm c 10 232`");
	else if (cpu->flag && !cpu->flag_usable)
		advise(report, TOPIC_KVM,
		       "firmware has switched %s off: enable %s in the BIOS "
		       "set-up",
		       cpu->flag, cpu->is_intel ? "Intel VT-x" : "AMD-V (SVM)");
	else if (cpu->flag)
		advise(report, TOPIC_KVM, "load the module: `sudo modprobe %s`",
		       module);
	else if (cpu->hypervisor)
		advise(report, TOPIC_KVM,
		       "this is a virtual machine whose CPU has no vmx or "
		       "svm: enable nested virtualisation in its host, or "
		       "move to one that has it");
	else
		advise(report, TOPIC_KVM,
		       "enable %s in the BIOS set-up, then `sudo modprobe %s`",
		       cpu->is_intel ? "Intel VT-x" : "AMD-V (SVM)", module);
}

/* Groups that are as good as root, or open more than one device. */
static bool is_privileged(const struct door *door)
{
	static const char *const groups[] = {
		"root",   "wheel",  "sudo",   "admin",       "adm",
		"bin",    "daemon", "sys",    "disk",        "kmem",
		"mem",    "shadow", "staff",  "operator",    "tty",
		"docker", "lxd",    "incus",  "incus-admin", "libvirt",
		"users",  "nobody", "nogroup"};

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		if (strcmp(door->group, groups[i]) == 0)
			return true;
	return door->gid == 0;
}

/*
 * What lets this user through, by the owner, group, mode and ACL of the very
 * file. Commands between backticks can be typed as they are.
 */
static void advise_door(struct doctor_report *report, enum topic topic,
			const char *what, const char *path,
			const struct door *door)
{
	const char *device = strrchr(path, '/') + 1;
	bool group_may = (door->mode & 060) == 060;
	bool file_lets_in = (door->mode & 06) == 06 ||
			    (door->in_group && group_may && !door->has_acl) ||
			    (door->is_owner && (door->mode & 0600) == 0600);

	if (file_lets_in) {
		advise(report, topic,
		       "%s%s lets this user in, so a container's device rules "
		       "or a security module forbid it: hand it to this "
		       "container (--device %s), or look into `sudo dmesg`",
		       what, path, path);
	} else if (door->has_acl) {
		advise(report, topic,
		       "%sgive this user a line in the ACL of %s: `sudo "
		       "setfacl -m u:$USER:rw %s`",
		       what, path, path);
	} else if (group_may && !is_privileged(door)) {
		advise(report, topic,
		       "%s%s is for group %s: `sudo usermod -aG %s $USER`, "
		       "then log in again",
		       what, path, door->group, door->group);
	} else {
		advise(report, topic,
		       "%smake %s the device of group kvm: `%ssudo chgrp kvm "
		       "%s; sudo chmod 660 %s; sudo usermod -aG kvm $USER`, "
		       "then log in again",
		       what, path,
		       door->kvm_group ? "" : "sudo groupadd --system kvm; ",
		       path, path);
		advise(report, topic,
		       "%sso that it stays so: `echo 'KERNEL==\"%s\", "
		       "GROUP=\"kvm\", MODE=\"0660\"' | sudo tee "
		       "/etc/udev/rules.d/65-volt-%s.rules`",
		       what, device, device);
	}
}

static void advise_no_kvm(const struct doctor_facts *f,
			  struct doctor_report *report)
{
	switch (f->kvm.state) {
	case DOCTOR_KVM_ABSENT:
		advise_absent(f, report);
		break;
	case DOCTOR_KVM_DENIED:
		advise_door(report, TOPIC_KVM, "", "/dev/kvm", &f->kvm.door);
		break;
	case DOCTOR_KVM_BROKEN:
		advise(report, TOPIC_KVM,
		       "look for the reason in `sudo dmesg`; another hypervisor "
		       "(VirtualBox, VMware) may hold the CPU's extensions");
		break;
	case DOCTOR_KVM_USABLE:
	case DOCTOR_KVM_NR_STATES:
		break;
	}
	advise(report, TOPIC_KVM,
	       "meanwhile, the software-emulated lab: " LAB_HINT);
}

static bool is_emulated(const struct probe *probe)
{
	return probe->guest_rate * DOCTOR_EMULATED_RATIO < probe->host_rate;
}

static bool runs_all(const struct probe *probe)
{
	for (size_t i = 0; i < PROBE_NR_INSNS; i++)
		if (probe->answer[i] != PROBE_RUNS &&
		    probe->answer[i] != PROBE_NO_CPU)
			return false;
	return true;
}

static bool refuses_any(const struct probe *probe)
{
	for (size_t i = 0; i < PROBE_NR_INSNS; i++)
		if (probe->answer[i] == PROBE_REFUSED)
			return true;
	return false;
}

static void judge_kvm(const struct doctor_facts *f,
		      struct doctor_report *report)
{
	const struct probe *probe = &f->kvm.probe;

	if (f->kvm.state != DOCTOR_KVM_USABLE) {
		report->guests = GUESTS_NONE;
		advise_no_kvm(f, report);
		return;
	}
	report->hardware = !is_emulated(probe) && !refuses_any(probe);
	if (report->hardware && runs_all(probe)) {
		report->guests = GUESTS_LINUX;
		return;
	}
	report->guests = GUESTS_BARE_METAL;
	if (report->hardware)
		advise(report, TOPIC_INSNS,
		       "hardware-assisted, yet not every instruction runs: "
		       "update the host's kernel, or use the lab: " LAB_HINT);
	else if (f->cpu.flag)
		advise(report, TOPIC_CPU,
		       "the CPU has %s: use kvm_%s instead of this module "
		       "(%s)",
		       f->cpu.flag, f->cpu.is_intel ? "intel" : "amd",
		       f->kvm.modules[0] ? f->kvm.modules : "built in");
	else
		advise(report, TOPIC_CPU,
		       "Linux guests need a host with vmx or svm (bare "
		       "metal, nested virtualisation), or the lab: " LAB_HINT);
}

static void judge_caps(const struct kvm_facts *kvm,
		       struct doctor_report *report)
{
	char text[200];
	size_t n = 0;

	if (kvm->state == DOCTOR_KVM_ABSENT || kvm->state == DOCTOR_KVM_DENIED)
		return;
	for (size_t i = 0; i < DOCTOR_NR_CAPS; i++) {
		if (kvm->cap[i] > 0 || n >= sizeof(text))
			continue;
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s",
				      n ? "; " : "", doctor_caps[i].lost);
	}
	if (n)
		advise(report, TOPIC_CAPS, "lost without it: %.150s", text);
}

static void judge_sandbox(const struct doctor_facts *f,
			  struct doctor_report *report)
{
	if (f->landlock_abi == 0)
		advise(report, TOPIC_SANDBOX,
		       "Landlock: a kernel 5.13 or later with "
		       "CONFIG_SECURITY_LANDLOCK, and landlock in the lsm= "
		       "boot option");
	if (!f->seccomp)
		advise(report, TOPIC_SANDBOX,
		       "seccomp: a kernel with CONFIG_SECCOMP_FILTER");
}

const char *doctor_sandbox_gap(const struct doctor_facts *facts, unsigned int i)
{
	return landlock_gap((unsigned int)facts->landlock_abi, i);
}

bool doctor_strict_starts(const struct doctor_facts *facts)
{
	return facts->landlock_abi > 0 && facts->seccomp;
}

static void judge_sharing(const struct trust_facts *t,
			  struct doctor_report *report)
{
	if (t->smt)
		advise(report, TOPIC_CORES,
		       "VMs on one core can learn from each other: %s`echo "
		       "off | sudo tee /sys/devices/system/cpu/smt/control`",
		       t->core_sched == AVAIL_YES
			       ? "start each with `volt-vmm --core-sched`, or "
			       : "");
	if (t->ksm)
		advise(report, TOPIC_SHARING,
		       "KSM tells a guest which pages others have, by time: "
		       "`echo 2 | sudo tee /sys/kernel/mm/ksm/run`");
	if (t->swap)
		advise(report, TOPIC_SHARING,
		       "guests' memory can be left on the swap device: `sudo "
		       "swapoff -a`, or memory.swap.max=0 in their cgroups");
}

static void judge_cpu_faults(const struct trust_facts *t,
			     struct doctor_report *report)
{
	if (t->cpu_faults[0])
		advise(report, TOPIC_CPU_FAULTS,
		       "update the kernel and the CPU's microcode, and leave "
		       "mitigations= alone; a guest can use what is left");
	if (t->cpu_faults_smt[0] && t->smt)
		advise(report, TOPIC_CPU_FAULTS,
		       "with SMT off these are mitigated, too: %s",
		       t->cpu_faults_smt);
}

/* What to update to: in the branch that runs, if there is something. */
static void name_cure(const struct kvm_fault *fault,
		      const struct kernel_version *v, char out[static 40])
{
	(void)snprintf(out, 40, "%u.%u", fault->fixed[0], fault->fixed[1]);
	for (size_t i = 0; i < ARRAY_SIZE(fault->stable); i++) {
		const unsigned int *s = fault->stable[i];

		if (s[0] == v->major && s[1] == v->minor)
			(void)snprintf(out, 40, "%u.%u.%u", s[0], s[1], s[2]);
	}
}

static void judge_kvm_faults(const struct doctor_facts *f,
			     struct doctor_report *report)
{
	for (size_t i = 0; i < DOCTOR_NR_FAULTS; i++) {
		const struct kvm_fault *fault = &doctor_faults[i];
		enum fault_state state =
			f->trust.kernel_known
				? doctor_judge_fault(fault, &f->trust.kernel)
				: FAULT_CLOSED;
		char cure[40];

		if (state == FAULT_CLOSED || !doctor_fault_applies(fault, f))
			continue;
		name_cure(fault, &f->trust.kernel, cure);
		advise(report, TOPIC_KVM_FAULTS,
		       "%s %s here with %s (%s): %s %s or later", fault->cve,
		       state == FAULT_OPEN ? "is" : "may be",
		       DOCTOR_FAULT_OPTION, fault->what,
		       state == FAULT_OPEN
			       ? "a kernel"
			       : "look it up for this kernel's package, or",
		       cure);
	}
}

/* What works without. */
#define JUDGE_RAW                                                        \
	"raw snapshots are mapped without it, and their working set is " \
	"read ahead; only its record needs it"

static void judge_memory(const struct doctor_facts *f,
			 struct doctor_report *report)
{
	if (f->userfaultfd == AVAIL_DENIED)
		advise(report, TOPIC_MEMORY,
		       "userfaultfd (compressed snapshots, restore by "
		       "demand): give this user /dev/userfaultfd, or `sudo "
		       "sysctl vm.unprivileged_userfaultfd=1`; " JUDGE_RAW);
	else if (f->userfaultfd == AVAIL_ABSENT)
		advise(report, TOPIC_MEMORY,
		       "userfaultfd (compressed snapshots, restore by "
		       "demand): a kernel with CONFIG_USERFAULTFD; " JUDGE_RAW);
	if (f->pages_2m == 0)
		advise(report, TOPIC_MEMORY,
		       "for guests in 2 MiB pages: `sudo sysctl "
		       "vm.nr_hugepages=512` (1 GiB)");
}

static void judge_io(const struct doctor_facts *f, struct doctor_report *report)
{
	if (f->io_uring == AVAIL_DENIED)
		advise(report, TOPIC_IO,
		       "io_uring (Async drives): `sudo sysctl "
		       "kernel.io_uring_disabled=0`, or allow it in this "
		       "container's seccomp profile");
	else if (f->io_uring == AVAIL_ABSENT)
		advise(report, TOPIC_IO,
		       "io_uring (Async drives): a kernel with "
		       "CONFIG_IO_URING");
}

static void judge_network(const struct doctor_facts *f,
			  struct doctor_report *report)
{
	if (f->tun == AVAIL_DENIED)
		advise(report, TOPIC_NETWORK,
		       "network: `sudo chmod 666 /dev/net/tun` (creating a tap "
		       "still needs root)");
	else if (f->tun == AVAIL_ABSENT)
		advise(report, TOPIC_NETWORK,
		       "network: `sudo modprobe tun`, or hand /dev/net/tun to "
		       "this container");
	if (f->vhost_net == AVAIL_DENIED)
		advise_door(report, TOPIC_NETWORK,
			    "vhost-net: ", "/dev/vhost-net",
			    &f->vhost_net_door);
	else if (f->vhost_net == AVAIL_ABSENT)
		advise(report, TOPIC_NETWORK,
		       "for vhost-net (optional): `sudo modprobe vhost_net`");
	if (f->passt == AVAIL_ABSENT)
		advise(report, TOPIC_NETWORK,
		       "a network for `volt run IMAGE`, without root: `sudo "
		       "apt install passt`");
}

static void set_verdict(const struct doctor_facts *f,
			struct doctor_report *report)
{
	char *out = report->verdict;
	size_t size = sizeof(report->verdict);

	switch (report->guests) {
	case GUESTS_LINUX:
		(void)snprintf(out, size,
			       "Linux guests run here, hardware-assisted.");
		break;
	case GUESTS_BARE_METAL:
		(void)snprintf(
			out, size,
			report->hardware
				? "Bare-metal guests run here; a Linux kernel "
				  "would meet an instruction that does not."
				: "Bare-metal guests run here; stock Linux "
				  "kernels do not, for KVM emulates kernel "
				  "code.");
		break;
	case GUESTS_NONE:
	case GUESTS_NR:
		(void)snprintf(out, size, "No guest runs here: %s.",
			       f->kvm.state == DOCTOR_KVM_ABSENT ? "no /dev/kvm"
			       : f->kvm.state == DOCTOR_KVM_DENIED
				       ? "no permission for /dev/kvm"
				       : "KVM does not work");
		break;
	}
}

void doctor_judge(const struct doctor_facts *facts,
		  struct doctor_report *report)
{
	memset(report, 0, sizeof(*report));
	judge_kvm(facts, report);
	judge_caps(&facts->kvm, report);
	judge_sandbox(facts, report);
	judge_sharing(&facts->trust, report);
	judge_cpu_faults(&facts->trust, report);
	judge_kvm_faults(facts, report);
	judge_memory(facts, report);
	judge_io(facts, report);
	judge_network(facts, report);
	set_verdict(facts, report);
}

int doctor_exit_code(const struct doctor_report *report)
{
	switch (report->guests) {
	case GUESTS_LINUX:
		return 0;
	case GUESTS_BARE_METAL:
		return 1;
	case GUESTS_NONE:
	case GUESTS_NR:
		break;
	}
	return 2;
}
