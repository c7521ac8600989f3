// SPDX-License-Identifier: Apache-2.0
/*
 * doctor_json.c - the same facts for programs (keys: docs/doctor.md)
 */
#include "cli/doctor.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

static const char *const guests_names[GUESTS_NR] = {
	[GUESTS_LINUX] = "linux",
	[GUESTS_BARE_METAL] = "bare-metal",
	[GUESTS_NONE] = "none",
};

static const char *const kvm_state_names[DOCTOR_KVM_NR_STATES] = {
	[DOCTOR_KVM_USABLE] = "usable",
	[DOCTOR_KVM_ABSENT] = "absent",
	[DOCTOR_KVM_DENIED] = "denied",
	[DOCTOR_KVM_BROKEN] = "broken",
};

static const char *avail_name(enum avail a)
{
	switch (a) {
	case AVAIL_YES:
		return "usable";
	case AVAIL_DENIED:
		return "denied";
	case AVAIL_ABSENT:
		break;
	}
	return "absent";
}

static json_t *host_json(const struct doctor_facts *f)
{
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:s?, s:b, s:b}", "kernel",
			 f->kernel, "cpu", f->cpu.model, "cpus",
			 (json_int_t)f->cpu.count, "memory_bytes",
			 (json_int_t)f->memory_bytes, "memory_available_bytes",
			 (json_int_t)f->memory_free_bytes, "cpu_virtualization",
			 f->cpu.flag, "cpu_virtualization_enabled",
			 f->cpu.flag_usable, "virtual_machine",
			 f->cpu.hypervisor);
}

/* Null for all that only a running probe can tell. */
static json_t *probe_json(const struct doctor_facts *f)
{
	const struct probe *probe = &f->kvm.probe;
	json_t *insns;

	if (f->kvm.state != DOCTOR_KVM_USABLE)
		return json_null();
	insns = json_object();
	for (size_t i = 0; i < PROBE_NR_INSNS; i++)
		(void)json_object_set_new(
			insns, probe_insn_names[i],
			json_string(probe_answer_names[probe->answer[i]]));
	return json_pack(
		"{s:I, s:I, s:f, s:o}", "guest_instructions_per_second",
		(json_int_t)probe->guest_rate, "host_instructions_per_second",
		(json_int_t)probe->host_rate, "ratio",
		probe->host_rate / probe->guest_rate, "instructions", insns);
}

static json_t *words_json(const char *text)
{
	json_t *list = json_array();
	size_t len;

	for (; *text; text += len + (text[len] == ' ')) {
		len = strcspn(text, " ");
		(void)json_array_append_new(list, json_stringn(text, len));
	}
	return list;
}

static json_t *kvm_json(const struct doctor_facts *f,
			const struct doctor_report *report)
{
	const struct kvm_facts *kvm = &f->kvm;
	json_t *caps = json_object();

	for (size_t i = 0; i < DOCTOR_NR_CAPS; i++)
		(void)json_object_set_new(caps, doctor_caps[i].name,
					  json_integer(kvm->cap[i]));
	return json_pack("{s:s, s:s?, s:o, s:s?, s:o, s:o}", "state",
			 kvm_state_names[kvm->state], "error",
			 kvm->error[0] ? kvm->error : NULL, "modules",
			 words_json(kvm->modules), "assisted_by",
			 kvm->state != DOCTOR_KVM_USABLE ? NULL
			 : report->hardware              ? "hardware"
							 : "software",
			 "probe", probe_json(f), "capabilities", caps);
}

static json_t *gaps_json(const struct doctor_facts *f)
{
	json_t *list = json_array();
	const char *gap;

	for (unsigned int i = 0; (gap = doctor_sandbox_gap(f, i)); i++)
		(void)json_array_append_new(list, json_string(gap));
	return list;
}

static json_t *faults_json(const struct doctor_facts *f)
{
	json_t *list = json_array();

	for (size_t i = 0; i < DOCTOR_NR_FAULTS; i++) {
		const struct kvm_fault *fault = &doctor_faults[i];
		enum fault_state state =
			doctor_judge_fault(fault, &f->trust.kernel);

		if (f->trust.kernel_known && state != FAULT_CLOSED &&
		    doctor_fault_applies(fault, f))
			(void)json_array_append_new(
				list,
				json_pack("{s:s, s:b, s:s}", "cve", fault->cve,
					  "certain", state == FAULT_OPEN,
					  "option", DOCTOR_FAULT_OPTION));
	}
	return list;
}

static json_t *untrusted_json(const struct doctor_facts *f)
{
	const struct trust_facts *t = &f->trust;

	return json_pack(
		"{s:b, s:o, s:b, s:s, s:b, s:b, s:o, s:o, s:o, s:b, s:s}",
		"sandbox_strict", doctor_strict_starts(f), "sandbox_gaps",
		gaps_json(f), "smt", t->smt, "core_scheduling",
		avail_name(t->core_sched), "ksm", t->ksm, "swap", t->swap,
		"cpu_faults", words_json(t->cpu_faults), "cpu_faults_with_smt",
		words_json(t->cpu_faults_smt), "kvm_faults", faults_json(f),
		"nested", t->nested, "user_namespaces", avail_name(t->userns));
}

static json_t *advice_json(const struct doctor_report *report)
{
	json_t *list = json_array();

	for (unsigned int i = 0; i < report->nr_advice; i++)
		(void)json_array_append_new(
			list, json_pack("{s:s, s:s}", "topic",
					topic_names[report->advice[i].topic],
					"text", report->advice[i].text));
	return list;
}

static json_t *report_json(const struct doctor_facts *f,
			   const struct doctor_report *report)
{
	return json_pack(
		"{s:s, s:s, s:s, s:i, s:o, s:o, s:i, s:b, s:s, s:s, s:s, s:s, "
		"s:s, s:s, s:o, s:{s:I, s:I, s:s}, s:o}",
		"version", VOLT_VERSION, "guests", guests_names[report->guests],
		"verdict", report->verdict, "exit_code",
		doctor_exit_code(report), "host", host_json(f), "kvm",
		kvm_json(f, report), "landlock_abi", f->landlock_abi, "seccomp",
		f->seccomp, "userfaultfd", avail_name(f->userfaultfd),
		"io_uring", avail_name(f->io_uring), "tun", avail_name(f->tun),
		"vhost_net", avail_name(f->vhost_net), "vhost_vsock",
		avail_name(f->vhost_vsock), "passt", avail_name(f->passt),
		"untrusted", untrusted_json(f), "huge_pages", "pages_2m_total",
		(json_int_t)f->pages_2m, "pages_2m_free",
		(json_int_t)f->pages_2m_free, "transparent", f->thp, "advice",
		advice_json(report));
}

int doctor_show_json(const struct doctor_facts *facts,
		     const struct doctor_report *report)
{
	json_t *root = report_json(facts, report);
	int r;

	if (!root)
		return -ENOMEM;
	r = json_dumpf(root, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	json_decref(root);
	return r < 0 || putchar('\n') == EOF ? -EIO : 0;
}
