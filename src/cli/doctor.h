/* SPDX-License-Identifier: Apache-2.0 */
/*
 * doctor.h - what a host is, and what that means for guests
 *
 * Theory of operation
 *
 * Three steps that know nothing of each other: collect facts (doctor_facts.c,
 * doctor_kvm.c with probe.c), judge them (doctor_judge.c: pure, no system call,
 * tested with invented hosts), show them (doctor_text.c, doctor_json.c).
 *
 * Whether KVM is hardware-assisted is measured, not looked up: a probe guest
 * tells how fast its kernel code runs against the same loop on the host, and
 * which instructions KVM refuses to run. Module names and CPU flags only help
 * to word the advice.
 */
#pragma once

#include "base/bits.h"

#include <sys/types.h>

/* Kernel code this many times slower than the host's is emulated code. The
 * two kinds of host measure about 1 and over 1,000. */
#define DOCTOR_EMULATED_RATIO 20.0

/**
 * enum avail - may this process use it?
 */
enum avail {
	AVAIL_YES,
	AVAIL_DENIED, /* it is there, but not for this user */
	AVAIL_ABSENT,
};

/**
 * enum probe_insn - instructions that every Linux kernel for this CPU runs at
 * CPL 0, and that KVM's instruction emulator does not know
 */
enum probe_insn {
	PROBE_POPCNT,
	PROBE_CLAC_STAC,
	PROBE_CMPXCHG16B,
	PROBE_INT3,
	PROBE_XSAVE_XRSTOR,
	PROBE_NR_INSNS,
};

enum probe_answer {
	PROBE_RUNS,
	PROBE_REFUSED, /* KVM_EXIT_INTERNAL_ERROR */
	PROBE_FAULTS,  /* the guest got an exception that it should not get */
	PROBE_LOST,    /* any other end */
	PROBE_NO_CPU,  /* this CPU has no such instruction: not tried */
	PROBE_NR_ANSWERS,
};

extern const char *const probe_insn_names[PROBE_NR_INSNS];
extern const char *const probe_answer_names[PROBE_NR_ANSWERS];

/**
 * struct probe - what the probe guest found
 * @guest_rate, @host_rate:	instructions per second of one loop, in guest
 *				kernel mode and in this process
 */
struct probe {
	enum probe_answer answer[PROBE_NR_INSNS];
	double guest_rate;
	double host_rate;
};

/**
 * struct doctor_cap - a KVM capability that Volt uses
 * @lost:	what a host without it does not do
 */
struct doctor_cap {
	int cap;
	const char *name;
	const char *lost;
};

#define DOCTOR_NR_CAPS 18
extern const struct doctor_cap doctor_caps[DOCTOR_NR_CAPS];

enum kvm_state {
	DOCTOR_KVM_USABLE,
	DOCTOR_KVM_ABSENT,
	DOCTOR_KVM_DENIED,
	DOCTOR_KVM_BROKEN, /* it opens, but makes no VM that runs */
	DOCTOR_KVM_NR_STATES,
};

/**
 * struct door - who may open a device file, by the file itself
 * @found:	it is there
 * @mode:	permission bits; with an ACL the group's are its mask
 * @has_acl:	it has an access control list
 * @in_group:	this process is in the file's group
 * @is_owner:	it runs as the file's owner
 * @group:	name (or number) of the file's group
 * @kvm_group:	the system has a group kvm
 */
struct door {
	bool found;
	bool has_acl;
	bool in_group;
	bool is_owner;
	bool kvm_group;
	uint32_t uid;
	uint32_t gid;
	uint32_t mode;
	char group[64];
};

/**
 * struct kvm_facts - /dev/kvm
 * @error:	one sentence, empty when usable
 * @modules:	modules named kvm_*, separated by spaces; may be empty
 * @kvm_loaded:	the common part, module kvm, is there
 * @door:	who may open it
 * @cap:	KVM_CHECK_EXTENSION of doctor_caps[], when it opens
 */
struct kvm_facts {
	enum kvm_state state;
	char error[512];
	char modules[128];
	bool kvm_loaded;
	struct door door;
	int cap[DOCTOR_NR_CAPS];
	struct probe probe;
};

/**
 * struct cpu_facts - the processor
 * @flag:		"vmx" or "svm" when CPUID has it, else NULL
 * @flag_usable:	the kernel lists it too: firmware has not switched it
 *			off
 */
struct cpu_facts {
	char model[80];
	const char *flag;
	bool flag_usable;
	bool is_intel;
	bool hypervisor;
	unsigned int count;
};

/**
 * struct kernel_version - of the running kernel, as upstream counts
 * @is_exact:		@patch is upstream's
 * @is_modified:	somebody's own: it may have corrections of later ones
 */
struct kernel_version {
	unsigned int major;
	unsigned int minor;
	unsigned int patch;
	bool is_exact;
	bool is_modified;
};

/* Without which no guest reaches any of the table's faults. */
#define DOCTOR_FAULT_OPTION "--nested"

/* Whose guests of guests reach a fault of KVM. */
enum fault_needs {
	FAULT_NESTED_INTEL,
	FAULT_NESTED_AMD,
	FAULT_NESTED, /* both */
};

/**
 * struct kvm_fault - a fault of KVM that a guest can reach
 * @what:	a clause
 * @since:	the release that brought it; zeros: all
 * @fixed:	the first release without it
 * @stable:	later releases of older branches that are without it
 */
struct kvm_fault {
	const char *cve;
	enum fault_needs needs;
	const char *what;
	unsigned int since[3];
	unsigned int fixed[3];
	unsigned int stable[7][3];
};

#define DOCTOR_NR_FAULTS 6
extern const struct kvm_fault doctor_faults[DOCTOR_NR_FAULTS];

enum fault_state {
	FAULT_CLOSED,
	FAULT_POSSIBLE, /* a modified kernel, older than the correction */
	FAULT_OPEN,
};

/**
 * struct trust_facts - for those who run what they do not trust
 * @smt:		a core runs two threads
 * @nested:		KVM offers VMX or SVM to guests
 * @cpu_faults:		names that the kernel calls vulnerable, separated by
 *			spaces; may be empty
 * @cpu_faults_smt:	those that it calls vulnerable because of SMT
 * @cpu_faults_known:	the kernel has such a list
 */
struct trust_facts {
	bool smt;
	bool ksm;
	bool swap;
	bool nested;
	bool cpu_faults_known;
	bool kernel_known;
	enum avail core_sched;
	enum avail userns;
	char cpu_faults[256];
	char cpu_faults_smt[256];
	struct kernel_version kernel;
};

/**
 * struct doctor_facts - this host
 * @landlock_abi:	0 when absent
 * @pages_2m*:		-1 when the kernel has no 2 MiB pages
 */
struct doctor_facts {
	char kernel[80];
	struct cpu_facts cpu;
	uint64_t memory_bytes;
	uint64_t memory_free_bytes;
	struct kvm_facts kvm;
	int landlock_abi;
	bool seccomp;
	enum avail userfaultfd;
	enum avail io_uring;
	enum avail tun;
	enum avail vhost_net;
	struct door vhost_net_door;
	enum avail vhost_vsock;
	enum avail passt; /* the program */
	long pages_2m;
	long pages_2m_free;
	char thp[16];
	struct trust_facts trust;
};

enum guests {
	GUESTS_LINUX,
	GUESTS_BARE_METAL,
	GUESTS_NONE,
	GUESTS_NR,
};

/**
 * enum topic - the lines of the report
 */
enum topic {
	TOPIC_HOST,
	TOPIC_KVM,
	TOPIC_CPU,
	TOPIC_INSNS,
	TOPIC_CAPS,
	TOPIC_SANDBOX,
	TOPIC_CORES,
	TOPIC_SHARING,
	TOPIC_CPU_FAULTS,
	TOPIC_KVM_FAULTS,
	TOPIC_NAMESPACES,
	TOPIC_MEMORY,
	TOPIC_IO,
	TOPIC_NETWORK,
	TOPIC_NR,
};

extern const char *const topic_names[TOPIC_NR];

#define DOCTOR_MAX_ADVICE 32

struct advice {
	enum topic topic;
	char text[384];
};

/**
 * struct doctor_report - the judgement
 * @hardware:	meaningful unless @guests is GUESTS_NONE
 * @verdict:	one sentence
 */
struct doctor_report {
	enum guests guests;
	bool hardware;
	char verdict[320];
	struct advice advice[DOCTOR_MAX_ADVICE];
	unsigned int nr_advice;
};

/* Never fails: what cannot be found out is absent. Takes some 20 ms. */
void doctor_collect(struct doctor_facts *facts);

/* Who may open the device at @path; zeroed when it is not there. */
void doctor_find_door(const char *path, struct door *door);

/* doctor_collect()'s part about strangers. Forks. */
void doctor_collect_trust(struct trust_facts *trust);

/**
 * doctor_parse_kernel() - which kernel runs, as upstream counts
 * @release, @build:	of uname()
 * @signature:		/proc/version_signature; may be empty
 */
bool doctor_parse_kernel(const char *release, const char *build,
			 const char *signature, struct kernel_version *v);

/* Is the fault in that kernel? */
enum fault_state doctor_judge_fault(const struct kvm_fault *fault,
				    const struct kernel_version *v);

/* Could a guest of this host be given what it needs? */
bool doctor_fault_applies(const struct kvm_fault *fault,
			  const struct doctor_facts *facts);

/* The @i-th thing that the host's Landlock leaves to seccomp, or NULL. */
const char *doctor_sandbox_gap(const struct doctor_facts *facts,
			       unsigned int i);

/* Does `--sandbox strict` start here? */
bool doctor_strict_starts(const struct doctor_facts *facts);

/* doctor_collect()'s KVM part: runs the probe guest. */
void doctor_collect_kvm(struct kvm_facts *facts);

/* Pure. */
void doctor_judge(const struct doctor_facts *facts,
		  struct doctor_report *report);

/* Return: 0: Linux guests run; 1: only bare-metal guests; 2: none. */
int doctor_exit_code(const struct doctor_report *report);

void doctor_show_text(const struct doctor_facts *facts,
		      const struct doctor_report *report);

/* Return: 0 or -ENOMEM, -EIO. */
int doctor_show_json(const struct doctor_facts *facts,
		     const struct doctor_report *report) __must_check;

/**
 * doctor_find_word() - is @word one of the space-separated words of @text?
 */
bool doctor_find_word(const char *text, const char *word);

/**
 * doctor_copy_field() - the value of the first "KEY<blanks>: value" line
 *
 * Return: false, and @out empty, when there is no such line. A value that does
 * not fit is cut.
 */
bool doctor_copy_field(const char *text, const char *key, char *out,
		       size_t size);

/* "always [madvise] never" -> "madvise"; empty when there is no bracket. */
void doctor_copy_chosen(const char *text, char *out, size_t size);
