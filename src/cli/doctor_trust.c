// SPDX-License-Identifier: Apache-2.0
/*
 * doctor_trust.c - facts for those who run what they do not trust
 */
#include "cli/doctor.h"

#include "base/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define CPU_DIR    "/sys/devices/system/cpu/"
#define FAULTS_DIR CPU_DIR "vulnerabilities"

/* <linux/prctl.h> of Linux 5.14 */
#define SCHED_CORE     62
#define SCHED_CORE_GET 0

/* The first line, without its end; empty when there is none. */
static void doctor_trust_read_line(int at, const char *path, char *text,
				   size_t size)
{
	cleanup_fd int fd = openat(at, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);

	text[n < 0 ? 0 : n] = '\0';
	text[strcspn(text, "\n")] = '\0';
}

static bool reads_one(const char *path)
{
	char text[8];

	doctor_trust_read_line(AT_FDCWD, path, text, sizeof(text));
	return text[0] == '1' || text[0] == 'Y';
}

/* The kernel has no thread to look at: only the call is there or not. */
static enum avail core_sched_avail(void)
{
	unsigned long cookie;

	if (prctl(SCHED_CORE, SCHED_CORE_GET, 0, 0, &cookie) == 0 ||
	    errno == ENODEV)
		return AVAIL_YES;
	return AVAIL_ABSENT;
}

/* In a child: it changes what it is in. */
static enum avail userns_avail(void)
{
	int status = 1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER) == 0          ? 0
		      : errno == ENOSYS || errno == EINVAL ? 1
							   : 2);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return AVAIL_ABSENT;
	return WEXITSTATUS(status) == 0   ? AVAIL_YES
	       : WEXITSTATUS(status) == 1 ? AVAIL_ABSENT
					  : AVAIL_DENIED;
}

/* Behind the heading /proc/swaps has a line for each. */
static bool has_swap(void)
{
	char text[1024];
	cleanup_fd int fd = open("/proc/swaps", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	const char *second;

	text[n < 0 ? 0 : n] = '\0';
	second = strchr(text, '\n');
	return second && second[1];
}

static void add_word(char *words, size_t size, const char *word)
{
	size_t n = strlen(words);

	(void)snprintf(words + n, size - n, "%s%s", n ? " " : "", word);
}

static void collect_cpu_faults(struct trust_facts *t)
{
	DIR *dir = opendir(FAULTS_DIR);
	struct dirent *entry;

	t->cpu_faults_known = dir != NULL;
	while (dir && (entry = readdir(dir))) {
		char text[256];

		if (entry->d_name[0] == '.')
			continue;
		doctor_trust_read_line(dirfd(dir), entry->d_name, text,
				       sizeof(text));
		if (strncmp(text, "Vulnerable", strlen("Vulnerable")) == 0)
			add_word(t->cpu_faults, sizeof(t->cpu_faults),
				 entry->d_name);
		else if (strstr(text, "SMT vulnerable"))
			add_word(t->cpu_faults_smt, sizeof(t->cpu_faults_smt),
				 entry->d_name);
	}
	if (dir)
		(void)closedir(dir);
}

void doctor_collect_trust(struct trust_facts *t)
{
	char signature[128];
	struct utsname name;

	t->smt = reads_one(CPU_DIR "smt/active");
	t->core_sched = core_sched_avail();
	t->ksm = reads_one("/sys/kernel/mm/ksm/run");
	t->swap = has_swap();
	t->userns = userns_avail();
	t->nested = reads_one("/sys/module/kvm_intel/parameters/nested") ||
		    reads_one("/sys/module/kvm_amd/parameters/nested");
	collect_cpu_faults(t);
	doctor_trust_read_line(AT_FDCWD, "/proc/version_signature", signature,
			       sizeof(signature));
	if (uname(&name) == 0)
		t->kernel_known = doctor_parse_kernel(
			name.release, name.version, signature, &t->kernel);
}
