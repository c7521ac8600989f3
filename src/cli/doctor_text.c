// SPDX-License-Identifier: Apache-2.0
/*
 * doctor_text.c - the report for people: one line a topic, advice below it
 */
#include "cli/doctor.h"

#include <stdio.h>

static const char *avail_text(enum avail a)
{
	switch (a) {
	case AVAIL_YES:
		return "yes";
	case AVAIL_DENIED:
		return "no permission";
	case AVAIL_ABSENT:
		break;
	}
	return "no";
}

static void show_host(const struct doctor_facts *f)
{
	(void)printf("Linux %s, %s, %u CPU%s, %llu MiB memory (%llu "
		     "available)\n",
		     f->kernel, f->cpu.model, f->cpu.count,
		     f->cpu.count == 1 ? "" : "s",
		     (unsigned long long)(f->memory_bytes >> 20),
		     (unsigned long long)(f->memory_free_bytes >> 20));
}

static void show_kvm(const struct doctor_facts *f)
{
	const struct kvm_facts *kvm = &f->kvm;

	if (kvm->error[0])
		(void)printf("%s", kvm->error);
	else
		(void)printf("/dev/kvm usable");
	(void)printf("; module %s; CPU %s%s\n",
		     kvm->modules[0]   ? kvm->modules
		     : kvm->kvm_loaded ? "built in"
				       : "none",
		     f->cpu.flag ? f->cpu.flag : "without vmx and svm",
		     f->cpu.hypervisor ? ", itself virtual" : "");
}

/* 1900000 -> "1.9 M". */
static void print_rate(double rate)
{
	static const char units[] = {' ', 'k', 'M', 'G'};
	size_t i = 0;

	for (; rate >= 1000 && i < ARRAY_SIZE(units) - 1; i++)
		rate /= 1000;
	(void)printf("%.1f %c", rate, units[i]);
}

static void show_cpu(const struct doctor_facts *f,
		     const struct doctor_report *report)
{
	const struct probe *probe = &f->kvm.probe;

	if (f->kvm.state != DOCTOR_KVM_USABLE) {
		(void)puts("not measured");
		return;
	}
	(void)printf("%s-assisted: guest kernel code runs ",
		     report->hardware ? "hardware" : "software");
	print_rate(probe->guest_rate);
	(void)printf(" instr/s, the same loop on the host ");
	print_rate(probe->host_rate);
	(void)puts(" instr/s");
}

static void show_insns(const struct doctor_facts *f)
{
	const struct probe *probe = &f->kvm.probe;
	const char *sep = "kernel code cannot use: ";

	if (f->kvm.state != DOCTOR_KVM_USABLE) {
		(void)puts("not tried");
		return;
	}
	for (size_t i = 0; i < PROBE_NR_INSNS; i++) {
		if (probe->answer[i] == PROBE_RUNS ||
		    probe->answer[i] == PROBE_NO_CPU)
			continue;
		(void)printf("%s%s", sep, probe_insn_names[i]);
		if (probe->answer[i] != PROBE_REFUSED)
			(void)printf(" (%s)",
				     probe_answer_names[probe->answer[i]]);
		sep = ", ";
	}
	if (sep[0] == ',') {
		(void)putchar('\n');
		return;
	}
	(void)printf("all run:");
	for (size_t i = 0; i < PROBE_NR_INSNS; i++)
		if (probe->answer[i] == PROBE_RUNS)
			(void)printf(" %s", probe_insn_names[i]);
	(void)putchar('\n');
}

static void show_caps(const struct doctor_facts *f)
{
	const char *sep = ", but not ";
	unsigned int have = 0;

	for (size_t i = 0; i < DOCTOR_NR_CAPS; i++)
		have += f->kvm.cap[i] > 0;
	(void)printf("%u of the %u that Volt uses", have, DOCTOR_NR_CAPS);
	for (size_t i = 0; i < DOCTOR_NR_CAPS && have > 0; i++) {
		if (f->kvm.cap[i] > 0)
			continue;
		(void)printf("%s%s", sep, doctor_caps[i].name);
		sep = ", ";
	}
	(void)putchar('\n');
}

static void show_sandbox(const struct doctor_facts *f)
{
	const char *gap, *sep = "; left to seccomp alone: ";

	if (f->landlock_abi > 0)
		(void)printf("Landlock (ABI %d)", f->landlock_abi);
	else
		(void)printf("no Landlock");
	(void)printf(" and %s: --sandbox strict %s",
		     f->seccomp ? "seccomp filters" : "no seccomp filters",
		     doctor_strict_starts(f) ? "starts" : "does not start");
	for (unsigned int i = 0; f->landlock_abi > 0 && f->seccomp &&
				 (gap = doctor_sandbox_gap(f, i));
	     i++) {
		(void)printf("%s%s", sep, gap);
		sep = ", ";
	}
	(void)putchar('\n');
}

/* "a b c" -> "a, b, c" */
static void print_words(const char *words)
{
	for (; *words; words++) {
		if (*words == ' ')
			(void)printf(", ");
		else
			(void)putchar(*words);
	}
}

static void show_cpu_faults(const struct trust_facts *t)
{
	if (!t->cpu_faults_known) {
		(void)puts("the kernel has no list of them");
		return;
	}
	if (!t->cpu_faults[0]) {
		(void)puts("the kernel knows of none that is open");
		return;
	}
	(void)printf("vulnerable: ");
	print_words(t->cpu_faults);
	(void)putchar('\n');
}

static void show_kvm_faults(const struct doctor_facts *f)
{
	const struct kernel_version *v = &f->trust.kernel;
	unsigned int nr = 0;

	if (!f->trust.kernel_known) {
		(void)puts("not looked up: the kernel's version is none");
		return;
	}
	for (size_t i = 0; i < DOCTOR_NR_FAULTS; i++)
		nr += doctor_fault_applies(&doctor_faults[i], f) &&
		      doctor_judge_fault(&doctor_faults[i], v) != FAULT_CLOSED;
	(void)printf("%u of the %u that are looked for, by version %u.%u.%u%s; "
		     "nested guests %s\n",
		     nr, DOCTOR_NR_FAULTS, v->major, v->minor, v->patch,
		     v->is_modified ? " (of a modified kernel)" : "",
		     f->trust.nested ? "possible" : "not possible");
}

static void show_cores(const struct trust_facts *t)
{
	(void)printf("SMT %s; core scheduling %s\n", t->smt ? "on" : "off",
		     avail_text(t->core_sched));
}

static void show_memory(const struct doctor_facts *f)
{
	(void)printf("userfaultfd %s; ", avail_text(f->userfaultfd));
	if (f->pages_2m < 0)
		(void)printf("no 2 MiB pages");
	else
		(void)printf("2 MiB pages %ld free of %ld", f->pages_2m_free,
			     f->pages_2m);
	(void)printf("; transparent huge pages %s\n",
		     f->thp[0] ? f->thp : "absent");
}

static void show_line(enum topic topic, const struct doctor_facts *f,
		      const struct doctor_report *report)
{
	switch (topic) {
	case TOPIC_HOST:
		show_host(f);
		break;
	case TOPIC_KVM:
		show_kvm(f);
		break;
	case TOPIC_CPU:
		show_cpu(f, report);
		break;
	case TOPIC_INSNS:
		show_insns(f);
		break;
	case TOPIC_CAPS:
		show_caps(f);
		break;
	case TOPIC_SANDBOX:
		show_sandbox(f);
		break;
	case TOPIC_CORES:
		show_cores(&f->trust);
		break;
	case TOPIC_SHARING:
		(void)printf("KSM %s; swap %s\n", f->trust.ksm ? "on" : "off",
			     f->trust.swap ? "on" : "off");
		break;
	case TOPIC_CPU_FAULTS:
		show_cpu_faults(&f->trust);
		break;
	case TOPIC_KVM_FAULTS:
		show_kvm_faults(f);
		break;
	case TOPIC_NAMESPACES:
		(void)printf("user namespaces %s\n",
			     avail_text(f->trust.userns));
		break;
	case TOPIC_MEMORY:
		show_memory(f);
		break;
	case TOPIC_IO:
		(void)printf("io_uring %s\n", avail_text(f->io_uring));
		break;
	case TOPIC_NETWORK:
		(void)printf("/dev/net/tun %s; vhost-net %s; vhost-vsock %s; "
			     "passt %s\n",
			     avail_text(f->tun), avail_text(f->vhost_net),
			     avail_text(f->vhost_vsock), avail_text(f->passt));
		break;
	case TOPIC_NR:
		break;
	}
}

void doctor_show_text(const struct doctor_facts *facts,
		      const struct doctor_report *report)
{
	for (unsigned int t = 0; t < TOPIC_NR; t++) {
		(void)printf("%-13s ", topic_names[t]);
		show_line(t, facts, report);
		for (unsigned int i = 0; i < report->nr_advice; i++)
			if (report->advice[i].topic == t)
				(void)printf("%-13s   -> %s\n", "",
					     report->advice[i].text);
	}
	(void)printf("%-13s %s\n", "verdict", report->verdict);
}
