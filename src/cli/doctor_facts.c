// SPDX-License-Identifier: Apache-2.0
/*
 * doctor_facts.c - facts about the host's kernel, CPU and memory
 */
#include "cli/doctor.h"

#include "base/fd.h"
#include "kvm/cpuid.h"
#include "sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define PAGES_2M_DIR "/sys/kernel/mm/hugepages/hugepages-2048kB/"

/* Enough for the first processor of /proc/cpuinfo. */
#define TEXT_MAX 8192

/* Return: the start of a small file as a string, which the caller frees; empty
 * when it cannot be read; NULL without memory. */
static char *doctor_facts_read_text(const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *buf = malloc(TEXT_MAX);
	size_t n = 0;
	ssize_t r = 1;

	if (!buf)
		return NULL;
	while (fd >= 0 && r > 0 && n < TEXT_MAX - 1) {
		r = read(fd, buf + n, TEXT_MAX - 1 - n);
		if (r > 0)
			n += (size_t)r;
	}
	buf[n] = '\0';
	return buf;
}

static long read_number(const char *path)
{
	cleanup_free char *text = doctor_facts_read_text(path);
	char *end;
	long v;

	if (!text)
		return -1;
	v = strtol(text, &end, 10);
	return end == text ? -1 : v;
}

/* Does the kernel list the CPU's virtualisation flag? It drops one that
 * firmware has switched off. */
static bool kernel_lists(const char *cpuinfo, const char *flag)
{
	cleanup_free char *line = malloc(TEXT_MAX);

	if (!line || !flag)
		return false;
	return doctor_copy_field(cpuinfo, "flags", line, TEXT_MAX) &&
	       doctor_find_word(line, flag);
}

static void collect_cpu(struct cpu_facts *cpu)
{
	static const struct {
		uint32_t leaf;
		unsigned int bit;
		const char *name;
	} flags[] = {{1, 5, "vmx"}, {0x80000001, 2, "svm"}};
	cleanup_free char *text = doctor_facts_read_text("/proc/cpuinfo");
	uint32_t eax, ebx, ecx, edx;

	host_cpuid(0, 0, &eax, &ebx, &ecx, &edx);
	cpu->is_intel = ebx == 0x756e6547; /* "Genu" of GenuineIntel */
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		host_cpuid(flags[i].leaf, 0, &eax, &ebx, &ecx, &edx);
		if ((ecx >> flags[i].bit) & 1)
			cpu->flag = flags[i].name;
	}
	host_cpuid(1, 0, &eax, &ebx, &ecx, &edx);
	cpu->hypervisor = (ecx >> 31) & 1;
	if (text) {
		(void)doctor_copy_field(text, "model name", cpu->model,
					sizeof(cpu->model));
		cpu->flag_usable = kernel_lists(text, cpu->flag);
	}
	cpu->count = (unsigned int)sysconf(_SC_NPROCESSORS_ONLN);
}

static uint64_t field_kib(const char *text, const char *key)
{
	char value[32];

	if (!doctor_copy_field(text, key, value, sizeof(value)))
		return 0;
	return KIB(strtoull(value, NULL, 10));
}

static void collect_memory(struct doctor_facts *facts)
{
	cleanup_free char *meminfo = doctor_facts_read_text("/proc/meminfo");
	cleanup_free char *thp = doctor_facts_read_text(
		"/sys/kernel/mm/transparent_hugepage/enabled");

	if (meminfo) {
		facts->memory_bytes = field_kib(meminfo, "MemTotal");
		facts->memory_free_bytes = field_kib(meminfo, "MemAvailable");
	}
	if (thp)
		doctor_copy_chosen(thp, facts->thp, sizeof(facts->thp));
	facts->pages_2m = read_number(PAGES_2M_DIR "nr_hugepages");
	facts->pages_2m_free = read_number(PAGES_2M_DIR "free_hugepages");
}

static enum avail avail_of_errno(int e)
{
	return e == EPERM || e == EACCES ? AVAIL_DENIED : AVAIL_ABSENT;
}

/* May this process open a device for reading and writing? */
static enum avail device_avail(const char *path)
{
	cleanup_fd int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	return fd >= 0 ? AVAIL_YES : avail_of_errno(errno);
}

/* As execvp() would find it. */
static enum avail program_avail(const char *name)
{
	const char *dir = getenv("PATH");
	char path[512];

	for (; dir && *dir; dir += strspn(dir, ":")) {
		int len = (int)strcspn(dir, ":");

		(void)snprintf(path, sizeof(path), "%.*s/%s", len, dir, name);
		if (access(path, X_OK) == 0)
			return AVAIL_YES;
		dir += len;
	}
	return AVAIL_ABSENT;
}

/* KVM faults guest pages in the kernel, so a descriptor for user-mode faults
 * alone does not count. */
static enum avail userfaultfd_avail(void)
{
	cleanup_fd int dev = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	cleanup_fd int fd = -1;

	if (dev >= 0)
		fd = ioctl(dev, USERFAULTFD_IOC_NEW, O_CLOEXEC);
	if (fd < 0)
		fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	return fd >= 0 ? AVAIL_YES : avail_of_errno(errno);
}

static enum avail io_uring_avail(void)
{
	struct io_uring_params params = {0};
	cleanup_fd int fd = (int)syscall(SYS_io_uring_setup, 1, &params);

	return fd >= 0 ? AVAIL_YES : avail_of_errno(errno);
}

static bool seccomp_avail(void)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

void doctor_collect(struct doctor_facts *facts)
{
	struct utsname name;

	memset(facts, 0, sizeof(*facts));
	if (uname(&name) == 0)
		(void)snprintf(facts->kernel, sizeof(facts->kernel), "%s",
			       name.release);
	collect_cpu(&facts->cpu);
	collect_memory(facts);
	facts->landlock_abi = (int)landlock_abi();
	facts->seccomp = seccomp_avail();
	facts->userfaultfd = userfaultfd_avail();
	facts->io_uring = io_uring_avail();
	facts->tun = device_avail("/dev/net/tun");
	facts->vhost_net = device_avail("/dev/vhost-net");
	doctor_find_door("/dev/vhost-net", &facts->vhost_net_door);
	facts->vhost_vsock = device_avail("/dev/vhost-vsock");
	facts->passt = program_avail("passt");
	doctor_collect_trust(&facts->trust);
	doctor_collect_kvm(&facts->kvm);
}
