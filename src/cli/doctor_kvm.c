// SPDX-License-Identifier: Apache-2.0
/*
 * doctor_kvm.c - facts about /dev/kvm
 */
#include "cli/doctor.h"
#include "cli/probe.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

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

/* "kvm:x:106:alice" and 106 -> cuts @line to "kvm". */
static bool is_group(char *line, gid_t gid)
{
	char *name_end = strchr(line, ':');
	char *id = name_end ? strchr(name_end + 1, ':') : NULL;
	char *end;

	if (!id || strtoul(id + 1, &end, 10) != gid || *end != ':')
		return false;
	*name_end = '\0';
	return true;
}

/* Not getgrgid(): a static program cannot load the resolver's plug-ins. */
static void find_group(struct kvm_facts *kvm)
{
	char line[1024];
	struct stat st;
	FILE *f;

	if (stat("/dev/kvm", &st) < 0)
		return;
	(void)snprintf(kvm->group, sizeof(kvm->group), "%u", st.st_gid);
	f = fopen("/etc/group", "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (is_group(line, st.st_gid)) {
			(void)snprintf(kvm->group, sizeof(kvm->group), "%.63s",
				       line);
			break;
		}
	}
	if (f)
		(void)fclose(f);
}

static enum kvm_state state_of(int rc)
{
	switch (rc) {
	case 0:
		return KVM_USABLE;
	case -ENOENT:
	case -ENXIO:
	case -ENODEV:
		return KVM_ABSENT;
	case -EACCES:
	case -EPERM:
		return KVM_DENIED;
	default:
		return KVM_BROKEN;
	}
}

void doctor_collect_kvm(struct kvm_facts *facts)
{
	struct err err = {0};
	struct kvm kvm;
	int r;

	find_modules(facts);
	find_group(facts);
	r = kvm_open(&kvm, &err);
	facts->state = state_of(r);
	if (r == 0) {
		for (size_t i = 0; i < DOCTOR_NR_CAPS; i++)
			facts->cap[i] = kvm_cap(&kvm, doctor_caps[i].cap);
		r = probe_run(&kvm, &facts->probe, &err);
		if (r < 0)
			facts->state = KVM_BROKEN;
		kvm_close(&kvm);
	}
	if (r < 0)
		(void)snprintf(facts->error, sizeof(facts->error), "%.500s",
			       err.text);
}
