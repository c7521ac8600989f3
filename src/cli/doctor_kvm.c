// SPDX-License-Identifier: Apache-2.0
/*
 * doctor_kvm.c - facts about /dev/kvm
 */
#include "cli/doctor.h"
#include "cli/probe.h"

#include "base/fd.h"
#include "host/path.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Modules by name; one built into the kernel is listed when it has
 * parameters, as all of these do. */
static void find_modules(struct kvm_facts *kvm)
{
	DIR *dir = opendir("/sys/module");
	struct dirent *e;
	size_t n = 0;
	int len;

	while (dir && (e = readdir(dir))) {
		if (strcmp(e->d_name, "kvm") == 0)
			kvm->kvm_loaded = true;
		if (strncmp(e->d_name, "kvm_", 4) != 0)
			continue;
		len = snprintf(kvm->modules + n, sizeof(kvm->modules) - n,
			       "%s%s", n ? " " : "", e->d_name);
		if (len < 0 || (size_t)len >= sizeof(kvm->modules) - n) {
			kvm->modules[n] = '\0';
			break;
		}
		n += (size_t)len;
	}
	if (dir)
		(void)closedir(dir);
}

static enum kvm_state state_of(int rc)
{
	switch (rc) {
	case 0:
		return DOCTOR_KVM_USABLE;
	case -ENOENT:
	case -ENXIO:
	case -ENODEV:
		return DOCTOR_KVM_ABSENT;
	case -EACCES:
	case -EPERM:
		return DOCTOR_KVM_DENIED;
	default:
		return DOCTOR_KVM_BROKEN;
	}
}

void doctor_collect_kvm(struct kvm_facts *facts)
{
	struct err err = {0};
	struct kvm kvm;
	int r;

	find_modules(facts);
	doctor_find_door("/dev/kvm", &facts->door);
	r = kvm_open(&kvm, path_open(&path_direct, PATH_KVM, NULL, &err), &err);
	facts->state = state_of(r);
	if (r == 0) {
		for (size_t i = 0; i < DOCTOR_NR_CAPS; i++)
			facts->cap[i] = kvm_cap(&kvm, doctor_caps[i].cap);
		r = probe_run(&kvm, &facts->probe, &err);
		if (r < 0)
			facts->state = DOCTOR_KVM_BROKEN;
		kvm_close(&kvm);
	}
	if (r < 0)
		(void)snprintf(facts->error, sizeof(facts->error), "%.500s",
			       err.text);
}
