// SPDX-License-Identifier: Apache-2.0
/*
 * test_doctor.c - volt doctor's judgement of invented hosts
 */
#include "unit.h"

#include "cli/doctor.h"

#include <stdio.h>
#include <string.h>

/* A bare-metal Intel machine that lacks nothing. */
static struct doctor_facts perfect_host(void)
{
	struct doctor_facts f = {
		.kernel = "6.1.0",
		.cpu = {.flag = "vmx", .flag_usable = true, .is_intel = true},
		.kvm = {.state = DOCTOR_KVM_USABLE,
			.modules = "kvm_intel",
			.kvm_loaded = true,
			.door = {.found = true,
				 .mode = 0660,
				 .gid = 106,
				 .kvm_group = true,
				 .group = "kvm"},
			.probe = {.guest_rate = 3e9, .host_rate = 3e9}},
		.landlock_abi = 2,
		.seccomp = true,
		.pages_2m = 4,
	};

	for (size_t i = 0; i < DOCTOR_NR_CAPS; i++)
		f.kvm.cap[i] = 1;
	return f;
}

static void refuse_all(struct probe *probe)
{
	for (size_t i = 0; i < PROBE_NR_INSNS; i++)
		probe->answer[i] = PROBE_REFUSED;
}

/* A host, what must be said of it, and a piece of the first advice. */
struct host_case {
	const char *what;
	void (*change)(struct doctor_facts *f);
	enum guests guests;
	bool hardware;
	int exit_code;
	enum topic topic;
	const char *advice; /* NULL: no advice at all */
};

static void change_nothing(struct doctor_facts *f)
{
	(void)f;
}

static void slow_but_native(struct doctor_facts *f)
{
	f->kvm.probe.guest_rate = f->kvm.probe.host_rate / 4;
}

static void no_smap(struct doctor_facts *f)
{
	f->kvm.probe.answer[PROBE_CLAC_STAC] = PROBE_NO_CPU;
}

static void software_assisted(struct doctor_facts *f)
{
	f->cpu.flag = NULL;
	f->cpu.hypervisor = true;
	f->kvm.probe.guest_rate = 1.4e6;
	refuse_all(&f->kvm.probe);
}

static void software_module_on_vmx(struct doctor_facts *f)
{
	software_assisted(f);
	f->cpu.flag = "vmx";
	(void)snprintf(f->kvm.modules, sizeof(f->kvm.modules), "kvm_pvm");
}

static void one_refused(struct doctor_facts *f)
{
	f->cpu.flag = NULL;
	f->kvm.probe.answer[PROBE_INT3] = PROBE_REFUSED;
}

static void only_slow(struct doctor_facts *f)
{
	f->cpu.flag = NULL;
	f->kvm.probe.guest_rate = 1.4e6;
}

static void one_faults(struct doctor_facts *f)
{
	f->kvm.probe.answer[PROBE_XSAVE_XRSTOR] = PROBE_FAULTS;
}

static void denied(struct doctor_facts *f)
{
	f->kvm.state = DOCTOR_KVM_DENIED;
}

static void denied_odd_group(struct doctor_facts *f)
{
	f->kvm.state = DOCTOR_KVM_DENIED;
	(void)snprintf(f->kvm.door.group, sizeof(f->kvm.door.group), "virt");
}

/* crw------- root root: being in group root would not even help. */
static void denied_root_only(struct doctor_facts *f)
{
	f->kvm.state = DOCTOR_KVM_DENIED;
	f->kvm.door.gid = 0;
	f->kvm.door.mode = 0600;
	(void)snprintf(f->kvm.door.group, sizeof(f->kvm.door.group), "root");
}

static void denied_root_group(struct doctor_facts *f)
{
	denied_root_only(f);
	f->kvm.door.mode = 0660;
}

static void denied_no_kvm_group(struct doctor_facts *f)
{
	denied_root_only(f);
	f->kvm.door.kvm_group = false;
}

static void denied_disk_group(struct doctor_facts *f)
{
	f->kvm.state = DOCTOR_KVM_DENIED;
	(void)snprintf(f->kvm.door.group, sizeof(f->kvm.door.group), "disk");
}

static void denied_group_reads(struct doctor_facts *f)
{
	f->kvm.state = DOCTOR_KVM_DENIED;
	f->kvm.door.mode = 0640;
}

static void denied_acl(struct doctor_facts *f)
{
	f->kvm.state = DOCTOR_KVM_DENIED;
	f->kvm.door.has_acl = true;
}

static void denied_open_to_all(struct doctor_facts *f)
{
	f->kvm.state = DOCTOR_KVM_DENIED;
	f->kvm.door.mode = 0666;
}

static void denied_member(struct doctor_facts *f)
{
	f->kvm.state = DOCTOR_KVM_DENIED;
	f->kvm.door.in_group = true;
}

static void denied_owner(struct doctor_facts *f)
{
	denied_root_only(f);
	f->kvm.door.is_owner = true;
}

static void broken(struct doctor_facts *f)
{
	f->kvm.state = DOCTOR_KVM_BROKEN;
}

static void no_module(struct doctor_facts *f)
{
	f->kvm.state = DOCTOR_KVM_ABSENT;
	f->kvm.modules[0] = '\0';
}

static void no_module_amd(struct doctor_facts *f)
{
	no_module(f);
	f->cpu.is_intel = false;
	f->cpu.flag = "svm";
}

static void firmware_off(struct doctor_facts *f)
{
	no_module(f);
	f->cpu.flag_usable = false;
}

static void not_nested(struct doctor_facts *f)
{
	no_module(f);
	f->cpu.flag = NULL;
	f->cpu.hypervisor = true;
}

static void old_cpu(struct doctor_facts *f)
{
	no_module(f);
	f->cpu.flag = NULL;
}

static void container(struct doctor_facts *f)
{
	f->kvm.state = DOCTOR_KVM_ABSENT;
}

static void no_landlock(struct doctor_facts *f)
{
	f->landlock_abi = 0;
}

static void no_seccomp(struct doctor_facts *f)
{
	f->seccomp = false;
}

static void uffd_denied(struct doctor_facts *f)
{
	f->userfaultfd = AVAIL_DENIED;
}

static void uring_denied(struct doctor_facts *f)
{
	f->io_uring = AVAIL_DENIED;
}

static void no_tun(struct doctor_facts *f)
{
	f->tun = AVAIL_ABSENT;
}

static void no_vhost(struct doctor_facts *f)
{
	f->vhost_net = AVAIL_ABSENT;
}

static void no_passt(struct doctor_facts *f)
{
	f->passt = AVAIL_ABSENT;
}

static void no_pages(struct doctor_facts *f)
{
	f->pages_2m = 0;
}

static void no_xsave2(struct doctor_facts *f)
{
	for (size_t i = 0; i < DOCTOR_NR_CAPS; i++)
		if (strcmp(doctor_caps[i].name, "xsave2") == 0)
			f->kvm.cap[i] = 0;
}

static const struct host_case cases[] = {
	{"perfect", change_nothing, GUESTS_LINUX, true, 0, TOPIC_KVM, NULL},
	{"slow", slow_but_native, GUESTS_LINUX, true, 0, TOPIC_KVM, NULL},
	{"no SMAP", no_smap, GUESTS_LINUX, true, 0, TOPIC_KVM, NULL},
	{"software", software_assisted, GUESTS_BARE_METAL, false, 1, TOPIC_CPU,
	 "vmx or svm"},
	{"wrong module", software_module_on_vmx, GUESTS_BARE_METAL, false, 1,
	 TOPIC_CPU, "kvm_intel instead"},
	{"one refused", one_refused, GUESTS_BARE_METAL, false, 1, TOPIC_CPU,
	 "vmx or svm"},
	{"only slow", only_slow, GUESTS_BARE_METAL, false, 1, TOPIC_CPU,
	 "vmx or svm"},
	{"one faults", one_faults, GUESTS_BARE_METAL, true, 1, TOPIC_INSNS,
	 "update"},
	{"denied", denied, GUESTS_NONE, false, 2, TOPIC_KVM,
	 "usermod -aG kvm $USER"},
	{"denied, group virt", denied_odd_group, GUESTS_NONE, false, 2,
	 TOPIC_KVM, "usermod -aG virt $USER"},
	{"denied, root only", denied_root_only, GUESTS_NONE, false, 2,
	 TOPIC_KVM,
	 "`sudo chgrp kvm /dev/kvm; sudo chmod 660 /dev/kvm; sudo "
	 "usermod -aG kvm $USER`"},
	{"denied, group root", denied_root_group, GUESTS_NONE, false, 2,
	 TOPIC_KVM, "usermod -aG kvm $USER"},
	{"denied, no group kvm", denied_no_kvm_group, GUESTS_NONE, false, 2,
	 TOPIC_KVM, "`sudo groupadd --system kvm; "},
	{"denied, group disk", denied_disk_group, GUESTS_NONE, false, 2,
	 TOPIC_KVM, "sudo chgrp kvm"},
	{"denied, group reads", denied_group_reads, GUESTS_NONE, false, 2,
	 TOPIC_KVM, "chmod 660 /dev/kvm"},
	{"denied, ACL", denied_acl, GUESTS_NONE, false, 2, TOPIC_KVM,
	 "`sudo setfacl -m u:$USER:rw /dev/kvm`"},
	{"denied, open to all", denied_open_to_all, GUESTS_NONE, false, 2,
	 TOPIC_KVM, "--device /dev/kvm"},
	{"denied, a member", denied_member, GUESTS_NONE, false, 2, TOPIC_KVM,
	 "--device /dev/kvm"},
	{"denied, the owner", denied_owner, GUESTS_NONE, false, 2, TOPIC_KVM,
	 "--device /dev/kvm"},
	{"broken", broken, GUESTS_NONE, false, 2, TOPIC_KVM, "dmesg"},
	{"no module", no_module, GUESTS_NONE, false, 2, TOPIC_KVM,
	 "modprobe kvm_intel"},
	{"no module, AMD", no_module_amd, GUESTS_NONE, false, 2, TOPIC_KVM,
	 "modprobe kvm_amd"},
	{"firmware", firmware_off, GUESTS_NONE, false, 2, TOPIC_KVM, "BIOS"},
	{"not nested", not_nested, GUESTS_NONE, false, 2, TOPIC_KVM,
	 "nested virtualisation"},
	{"no flag", old_cpu, GUESTS_NONE, false, 2, TOPIC_KVM, "BIOS"},
	{"container", container, GUESTS_NONE, false, 2, TOPIC_KVM,
	 "--device /dev/kvm"},
	{"Landlock", no_landlock, GUESTS_LINUX, true, 0, TOPIC_SANDBOX, "lsm="},
	{"seccomp", no_seccomp, GUESTS_LINUX, true, 0, TOPIC_SANDBOX,
	 "CONFIG_SECCOMP_FILTER"},
	{"userfaultfd", uffd_denied, GUESTS_LINUX, true, 0, TOPIC_MEMORY,
	 "unprivileged_userfaultfd"},
	{"io_uring", uring_denied, GUESTS_LINUX, true, 0, TOPIC_IO,
	 "io_uring_disabled"},
	{"tun", no_tun, GUESTS_LINUX, true, 0, TOPIC_NETWORK, "modprobe tun"},
	{"vhost", no_vhost, GUESTS_LINUX, true, 0, TOPIC_NETWORK, "vhost_net"},
	{"passt", no_passt, GUESTS_LINUX, true, 0, TOPIC_NETWORK,
	 "apt install passt"},
	{"2 MiB pages", no_pages, GUESTS_LINUX, true, 0, TOPIC_MEMORY,
	 "nr_hugepages"},
	{"xsave2", no_xsave2, GUESTS_LINUX, true, 0, TOPIC_CAPS, "AMX"},
};

static void smt_on(struct doctor_facts *f)
{
	f->trust.smt = true;
}

static void smt_on_old(struct doctor_facts *f)
{
	f->trust.smt = true;
	f->trust.core_sched = AVAIL_ABSENT;
}

static void ksm_on(struct doctor_facts *f)
{
	f->trust.ksm = true;
}

static void swap_on(struct doctor_facts *f)
{
	f->trust.swap = true;
}

static void cpu_vulnerable(struct doctor_facts *f)
{
	(void)snprintf(f->trust.cpu_faults, sizeof(f->trust.cpu_faults), "mds");
}

static void cpu_vulnerable_by_smt(struct doctor_facts *f)
{
	(void)snprintf(f->trust.cpu_faults_smt, sizeof(f->trust.cpu_faults_smt),
		       "mds");
}

static void kernel(struct doctor_facts *f, const char *release,
		   const char *build)
{
	f->trust.kernel_known =
		doctor_parse_kernel(release, build, "", &f->trust.kernel);
}

static void old_plain_kernel(struct doctor_facts *f)
{
	kernel(f, "6.2.7", "#1 SMP");
	f->trust.nested = true;
}

static void old_package(struct doctor_facts *f)
{
	kernel(f, "5.14.0-427.el9", "#1 SMP");
	f->trust.nested = true;
}

static void old_but_not_nested(struct doctor_facts *f)
{
	kernel(f, "6.2.7", "#1 SMP");
}

static void old_on_amd(struct doctor_facts *f)
{
	kernel(f, "6.2.7", "#1 SMP");
	f->trust.nested = true;
	f->cpu.flag = "svm";
}

static void old_branch(struct doctor_facts *f)
{
	kernel(f, "6.12.94", "#1 SMP");
	f->trust.nested = true;
}

static const struct host_case strangers[] = {
	{"SMT", smt_on, GUESTS_LINUX, true, 0, TOPIC_CORES, "--core-sched"},
	{"SMT, no core scheduling", smt_on_old, GUESTS_LINUX, true, 0,
	 TOPIC_CORES, "each other: `echo off"},
	{"KSM", ksm_on, GUESTS_LINUX, true, 0, TOPIC_SHARING, "ksm/run"},
	{"swap", swap_on, GUESTS_LINUX, true, 0, TOPIC_SHARING, "swapoff"},
	{"CPU", cpu_vulnerable, GUESTS_LINUX, true, 0, TOPIC_CPU_FAULTS,
	 "microcode"},
	{"CPU, no SMT", cpu_vulnerable_by_smt, GUESTS_LINUX, true, 0,
	 TOPIC_CPU_FAULTS, NULL},
	{"old kernel", old_plain_kernel, GUESTS_LINUX, true, 0,
	 TOPIC_KVM_FAULTS, "CVE-2023-30456 is here with --nested"},
	{"old package", old_package, GUESTS_LINUX, true, 0, TOPIC_KVM_FAULTS,
	 "CVE-2023-30456 may be here with --nested"},
	{"old, not nested", old_but_not_nested, GUESTS_LINUX, true, 0,
	 TOPIC_KVM_FAULTS, NULL},
	{"old, AMD", old_on_amd, GUESTS_LINUX, true, 0, TOPIC_KVM_FAULTS,
	 "CVE-2026-53359 is here with --nested"},
	{"the branch's correction", old_branch, GUESTS_LINUX, true, 0,
	 TOPIC_KVM_FAULTS, "a kernel 6.12.95 or later"},
	{"no correction", old_on_amd, GUESTS_LINUX, true, 0, TOPIC_KVM_FAULTS,
	 "a kernel 7.2 or later"},
};

static void check_case(const struct host_case *c)
{
	struct doctor_facts facts = perfect_host();
	static struct doctor_report report;

	print_message("%s\n", c->what);
	c->change(&facts);
	doctor_judge(&facts, &report);
	assert_int_equal(report.guests, c->guests);
	assert_int_equal(doctor_exit_code(&report), c->exit_code);
	if (c->guests != GUESTS_NONE)
		assert_int_equal(report.hardware, c->hardware);
	assert_true(report.verdict[0] != '\0');
	if (!c->advice) {
		assert_int_equal(report.nr_advice, 0);
		return;
	}
	assert_true(report.nr_advice > 0);
	assert_int_equal(report.advice[0].topic, c->topic);
	assert_non_null(strstr(report.advice[0].text, c->advice));
}

static void judge_hosts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_case(&cases[i]);
	for (size_t i = 0; i < ARRAY_SIZE(strangers); i++)
		check_case(&strangers[i]);
}

static const struct kvm_fault *fault_named(const char *cve)
{
	for (size_t i = 0; i < DOCTOR_NR_FAULTS; i++)
		if (strcmp(doctor_faults[i].cve, cve) == 0)
			return &doctor_faults[i];
	return NULL;
}

struct kernel_row {
	const char *release, *build, *signature;
	enum fault_state want;
};

static void judge_rows(const char *cve, const struct kernel_row *row, size_t nr)
{
	const struct kvm_fault *fault = fault_named(cve);

	assert_non_null(fault);
	for (size_t i = 0; i < nr; i++) {
		struct kernel_version v;

		print_message("%s %s\n", row[i].release, row[i].build);
		assert_true(doctor_parse_kernel(row[i].release, row[i].build,
						row[i].signature, &v));
		assert_int_equal(doctor_judge_fault(fault, &v), row[i].want);
	}
}

/* Which kernels have CVE-2023-30456: before 6.3, 6.2.8, 6.1.21, 5.15.104. */
static void judge_kernels(void **state)
{
	static const struct kernel_row rows[] = {
		{"6.3.0", "", "", FAULT_CLOSED},
		{"6.18.44-fc", "", "", FAULT_CLOSED},
		{"7.0", "", "", FAULT_CLOSED},
		{"6.2.8", "", "", FAULT_CLOSED},
		{"6.2.7", "", "", FAULT_OPEN},
		{"6.2.9-arch1-1", "", "", FAULT_CLOSED},
		{"6.2.7-arch1-1", "", "", FAULT_POSSIBLE},
		{"6.1.0-56-cloud-amd64", "#1 SMP Debian 6.1.192-2 (2026)", "",
		 FAULT_CLOSED},
		{"6.1.0-5-amd64", "#1 SMP Debian 6.1.20-1 (2023)", "",
		 FAULT_POSSIBLE},
		{"5.15.0-91-generic", "#101-Ubuntu",
		 "Ubuntu 5.15.0-91.101-generic 5.15.131", FAULT_CLOSED},
		{"5.15.0-60-generic", "#66-Ubuntu",
		 "Ubuntu 5.15.0-60.66-generic 5.15.78", FAULT_POSSIBLE},
		{"5.14.0-427.el9", "", "", FAULT_POSSIBLE},
		{"5.16.20", "", "", FAULT_OPEN}, /* a branch that ended */
		{"2.6.32", "", "", FAULT_OPEN},
	};

	(void)state;
	judge_rows("CVE-2023-30456", rows, ARRAY_SIZE(rows));
}

/* The newest: 2.6.36 to 7.1, and each branch that lives has a correction. */
static void judge_new_fault(void **state)
{
	static const struct kernel_row rows[] = {
		{"2.6.32", "", "", FAULT_CLOSED},
		{"5.10.259", "", "", FAULT_OPEN},
		{"5.10.260", "", "", FAULT_CLOSED},
		{"5.15.211", "", "", FAULT_CLOSED},
		{"6.1.0-44-amd64", "#1 SMP Debian 6.1.176-1 (2026)", "",
		 FAULT_POSSIBLE},
		{"6.1.0-45-amd64", "#1 SMP Debian 6.1.177-1 (2026)", "",
		 FAULT_CLOSED},
		{"6.6.144", "", "", FAULT_CLOSED},
		{"6.12.94", "", "", FAULT_OPEN},
		{"6.18.38", "", "", FAULT_CLOSED},
		{"7.0.9", "", "", FAULT_OPEN},
		{"7.1.2", "", "", FAULT_OPEN},
		{"7.1.3", "", "", FAULT_CLOSED},
		{"7.2.0", "", "", FAULT_CLOSED},
	};

	(void)state;
	judge_rows("CVE-2026-53359", rows, ARRAY_SIZE(rows));
}

static void odd_versions(void **state)
{
	static const char *const odd[] = {"", "x", "6", "6.", ".1", "-1.2.3"};
	struct kernel_version v;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
		assert_false(doctor_parse_kernel(odd[i], "", "", &v));
	for (size_t i = 0; i < DOCTOR_NR_FAULTS; i++)
		for (size_t k = 0; k < ARRAY_SIZE(doctor_faults[i].stable);
		     k++) {
			const unsigned int *s = doctor_faults[i].stable[k];

			/* A branch is older than the correction. */
			assert_true(s[0] == 0 ||
				    s[0] < doctor_faults[i].fixed[0] ||
				    (s[0] == doctor_faults[i].fixed[0] &&
				     s[1] < doctor_faults[i].fixed[1]));
		}
}

/* Nothing works: every line of advice has room, and none is cut. */
static void judge_worst_host(void **state)
{
	struct doctor_facts facts = {
		.kvm = {.state = DOCTOR_KVM_USABLE},
		.userfaultfd = AVAIL_ABSENT,
		.io_uring = AVAIL_ABSENT,
		.tun = AVAIL_ABSENT,
		.vhost_net = AVAIL_ABSENT,
		.passt = AVAIL_ABSENT,
		.trust = {.smt = true, .ksm = true, .swap = true},
	};
	static struct doctor_report report;

	(void)state;
	software_assisted(&facts);
	memset(facts.trust.cpu_faults, 'x', sizeof(facts.trust.cpu_faults) - 1);
	memset(facts.trust.cpu_faults_smt, 'x',
	       sizeof(facts.trust.cpu_faults_smt) - 1);
	kernel(&facts, "4.18.0-1.el8", "");
	facts.trust.nested = true;
	facts.cpu.flag = "svm";
	doctor_judge(&facts, &report);
	assert_true(report.nr_advice < DOCTOR_MAX_ADVICE);
	for (unsigned int i = 0; i < report.nr_advice; i++)
		assert_true(strlen(report.advice[i].text) <
			    sizeof(report.advice[i].text) - 1);
}

static void find_word(void **state)
{
	(void)state;
	assert_true(doctor_find_word("fpu vmx pae", "vmx"));
	assert_true(doctor_find_word("vmx", "vmx"));
	assert_true(doctor_find_word("avmx vmx", "vmx"));
	assert_false(doctor_find_word("avmx vmxb", "vmx"));
	assert_false(doctor_find_word("", "vmx"));
}

static void copy_field(void **state)
{
	static const char text[] = "model\t\t: 1\n"
				   "model name\t: A  CPU\n"
				   "flags\t\t: fpu vme\n"
				   "empty:\n"
				   "MemTotal:       24 kB";
	char out[16];

	(void)state;
	assert_true(doctor_copy_field(text, "model name", out, sizeof(out)));
	assert_string_equal(out, "A  CPU");
	assert_true(doctor_copy_field(text, "model", out, sizeof(out)));
	assert_string_equal(out, "1");
	assert_true(doctor_copy_field(text, "empty", out, sizeof(out)));
	assert_string_equal(out, "");
	assert_true(doctor_copy_field(text, "MemTotal", out, sizeof(out)));
	assert_string_equal(out, "24 kB");
	assert_false(doctor_copy_field(text, "Mem", out, sizeof(out)));
	assert_string_equal(out, "");
	assert_true(doctor_copy_field(text, "model name", out, 4));
	assert_string_equal(out, "A  ");
}

static void copy_chosen(void **state)
{
	char out[8];

	(void)state;
	doctor_copy_chosen("always [madvise] never\n", out, sizeof(out));
	assert_string_equal(out, "madvise");
	doctor_copy_chosen("always madvise\n", out, sizeof(out));
	assert_string_equal(out, "");
	doctor_copy_chosen("[x", out, sizeof(out));
	assert_string_equal(out, "x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(judge_hosts),
		cmocka_unit_test(judge_worst_host),
		cmocka_unit_test(judge_kernels),
		cmocka_unit_test(judge_new_fault),
		cmocka_unit_test(odd_versions),
		cmocka_unit_test(find_word),
		cmocka_unit_test(copy_field),
		cmocka_unit_test(copy_chosen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
