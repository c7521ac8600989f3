// SPDX-License-Identifier: Apache-2.0
/*
 * doctor_faults.c - faults of KVM that a guest can reach, by kernel version
 *
 * One row a fault: the release that brought it, the one that was first without
 * it, and the branches that got the correction later. The table is short and
 * cannot be complete: it catches hosts that nobody updates. A fault is here
 * when a guest of Volt's can reach it with some option, and when each version
 * of its row could be looked up: where that was is above it. "Debian" is
 * /usr/share/doc/linux-libc-dev/changelog.Debian.gz of the package that it
 * names, which lists what each stable release brought.
 *
 * A distribution corrects an old release without changing its number. Where it
 * tells upstream's (Debian in the build's name, Ubuntu in a file), that is
 * compared, and is the least that it has; else, and wherever the kernel is not
 * a plain one, a fault "may" be there.
 */
#include "cli/doctor.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define DEBIAN "Debian "

const struct kvm_fault doctor_faults[DOCTOR_NR_FAULTS] = {
	/* allelesecurity.com/asa-2019-00084 */
	{"CVE-2019-7221",
	 FAULT_NESTED_INTEL,
	 "memory of the host is used after it was freed",
	 {0, 0, 0},
	 {5, 0, 0},
	 {{4, 14, 99}, {4, 19, 21}, {4, 20, 8}}},
	/* Debian 5.10.28-1; 5.11.12: kernel-image-un-def of ALT Linux; from
	 * the commit that it corrects, 2fcf4876ada8 */
	{"CVE-2021-29657",
	 FAULT_NESTED_AMD,
	 "a guest can reach the host's registers",
	 {5, 10, 0},
	 {5, 12, 0},
	 {{5, 10, 28}, {5, 11, 12}}},
	/* Announcements of 5.10.60, 5.13.12, 5.4.143-rt63; Debian 5.10.46-5 */
	{"CVE-2021-3653",
	 FAULT_NESTED_AMD,
	 "a guest can write the host's memory",
	 {0, 0, 0},
	 {5, 14, 0},
	 {{5, 4, 143}, {5, 10, 60}, {5, 13, 12}}},
	/* The same */
	{"CVE-2021-3656",
	 FAULT_NESTED_AMD,
	 "a guest can write the host's memory",
	 {0, 0, 0},
	 {5, 14, 0},
	 {{5, 4, 143}, {5, 10, 60}, {5, 13, 12}}},
	/* Debian 6.1.25-1 and 5.10.178-1; announcement of 5.15.104; 6.2.8: the
	 * CVE record. With kvm_intel.ept=0, says KVM's maintainer */
	{"CVE-2023-30456",
	 FAULT_NESTED_INTEL,
	 "a guest can stop the host",
	 {0, 0, 0},
	 {6, 3, 0},
	 {{5, 10, 176}, {5, 15, 104}, {6, 1, 21}, {6, 2, 8}}},
	/* Debian 6.1.177-1 for 6.1; the others: stable releases of 2026-07-04,
	 * github.com/cozystack/ansible-cozystack/pull/61. CVE-2026-46113, next
	 * to it, was corrected before */
	{"CVE-2026-53359",
	 FAULT_NESTED,
	 "memory of the host is used after it was freed",
	 {2, 6, 36},
	 {7, 2, 0},
	 {{5, 10, 260},
	  {5, 15, 211},
	  {6, 1, 177},
	  {6, 6, 144},
	  {6, 12, 95},
	  {6, 18, 38},
	  {7, 1, 3}}},
};

static bool parse_triple(const char *text, struct kernel_version *v,
			 const char **end)
{
	unsigned int *const parts[] = {&v->major, &v->minor, &v->patch};
	char *p;

	v->patch = 0;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (i > 0 && *text != '.')
			break;
		text += i > 0;
		if (!isdigit((unsigned char)*text))
			return false;
		*parts[i] = (unsigned int)strtoul(text, &p, 10);
		text = p;
		if (i == 0 && *text != '.')
			return false;
	}
	*end = text;
	return true;
}

bool doctor_parse_kernel(const char *release, const char *build,
			 const char *signature, struct kernel_version *v)
{
	const char *debian = strstr(build, DEBIAN);
	const char *last = strrchr(signature, ' ');
	const char *end;

	*v = (struct kernel_version){.is_exact = true};
	if ((debian && parse_triple(debian + strlen(DEBIAN), v, &end)) ||
	    (last && parse_triple(last + 1, v, &end))) {
		v->is_modified = true;
		return true;
	}
	if (!parse_triple(release, v, &end))
		return false;
	/* "5.14.0-427.el9": not 5.14.0 any more, and nobody knows what. */
	v->is_modified = *end != '\0';
	v->is_exact = !v->is_modified || v->patch > 0;
	return true;
}

static bool is_before(const struct kernel_version *v, const unsigned int *w)
{
	if (v->major != w[0])
		return v->major < w[0];
	if (v->minor != w[1])
		return v->minor < w[1];
	return v->patch < w[2];
}

enum fault_state doctor_judge_fault(const struct kvm_fault *fault,
				    const struct kernel_version *v)
{
	if (is_before(v, fault->since) || !is_before(v, fault->fixed))
		return FAULT_CLOSED;
	for (size_t i = 0; i < ARRAY_SIZE(fault->stable); i++) {
		const unsigned int *s = fault->stable[i];

		if (v->is_exact && s[0] == v->major && s[1] == v->minor &&
		    v->patch >= s[2])
			return FAULT_CLOSED;
	}
	return v->is_modified ? FAULT_POSSIBLE : FAULT_OPEN;
}

bool doctor_fault_applies(const struct kvm_fault *fault,
			  const struct doctor_facts *f)
{
	const char *flag = f->cpu.flag ? f->cpu.flag : "";

	switch (fault->needs) {
	case FAULT_NESTED_INTEL:
		return f->trust.nested && strcmp(flag, "vmx") == 0;
	case FAULT_NESTED_AMD:
		return f->trust.nested && strcmp(flag, "svm") == 0;
	case FAULT_NESTED:
		break;
	}
	return f->trust.nested;
}
