// SPDX-License-Identifier: Apache-2.0
/*
 * setup.c - makes the lab's kernel look like a host that runs VMs
 *
 * The root is the host's file tree. What must be the lab's own lies on top of
 * it: /proc, /sys and /dev, and empty file systems in memory at /tmp, /run,
 * /var/tmp and /dev/shm. Folders of the host below those are put back one by
 * one when a command needs them (session.c).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent.h"

static void must_mount(const char *type, const char *where, const char *options)
{
	if (mount(type, where, type, 0, options) < 0)
		agent_die(where);
}

/**
 * setup_first() - what the rest needs: /proc, /sys, /dev.
 */
void setup_first(void)
{
	must_mount("proc", "/proc", NULL);
	must_mount("sysfs", "/sys", NULL);
	must_mount("devtmpfs", "/dev", NULL);
}

static void load_module(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0) < 0)
		dprintf(2, "agent: %s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

/**
 * setup_load_modules() - load the modules that the initramfs brought.
 *
 * One that fails is named on the console; what depends on it says the rest.
 */
void setup_load_modules(void)
{
	struct utsname name;
	char path[512];
	char line[128];
	FILE *list;

	uname(&name);
	snprintf(path, sizeof(path), "/lib/modules/%s/load", name.release);
	list = fopen(path, "re");
	if (!list)
		agent_die(path);
	while (fgets(line, sizeof(line), list)) {
		line[strcspn(line, "\n")] = '\0';
		snprintf(path, sizeof(path), "/lib/modules/%s/%s", name.release,
			 line);
		load_module(path);
	}
	fclose(list);
}

static int open_if_named(const char *port, const char *name)
{
	char path[300];
	char found[64] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", port);
	file = fopen(path, "re");
	if (!file)
		return -1;
	if (!fgets(found, sizeof(found), file))
		found[0] = '\0';
	fclose(file);
	found[strcspn(found, "\n")] = '\0';
	if (strcmp(found, name) != 0)
		return -1;
	snprintf(path, sizeof(path), "/dev/%s", port);
	return open(path, O_RDWR | O_CLOEXEC);
}

/**
 * setup_open_port() - open the virtio-serial port called @name.
 *
 * The device names its ports by and by after its driver is there: wait.
 *
 * Return: a descriptor. Ends the lab when no such port comes up.
 */
int setup_open_port(const char *name)
{
	struct dirent *entry;
	int fd = -1;
	int tries;
	DIR *dir;

	for (tries = 0; tries < 1000 && fd < 0; tries++) {
		if (tries)
			usleep(10000);
		dir = opendir("/sys/class/virtio-ports");
		if (!dir)
			continue;
		while (fd < 0 && (entry = readdir(dir)))
			fd = open_if_named(entry->d_name, name);
		closedir(dir);
	}
	if (fd < 0)
		agent_die(name);
	return fd;
}

static void move_mount_into(const char *from, const char *to)
{
	if (mount(from, to, NULL, MS_MOVE, NULL) < 0)
		agent_die(to);
}

static void mount_memory(const char *where, const char *options)
{
	/* The host may have made one a link (/var/tmp, /dev/shm). */
	if (mount("tmpfs", where, "tmpfs", 0, options) < 0 && errno != ENOENT)
		agent_die(where);
}

/**
 * setup_root() - make the host's files, mounted at /host, the root.
 *
 * The mount is moved rather than entered by chroot(): in a chroot no user
 * namespace can be made, and programs under test make them.
 */
void setup_root(void)
{
	if (chdir("/host") < 0)
		agent_die("/host");
	move_mount_into("/proc", "proc");
	move_mount_into("/sys", "sys");
	move_mount_into("/dev", "dev");
	mount_memory("run", "mode=755");
	mkdir("." AGENT_HOST_TREE, 0755);
	if (mount(".", "." AGENT_HOST_TREE, NULL, MS_BIND, NULL) < 0)
		agent_die("keeping the host's tree");
	mount_memory("tmp", "mode=1777");
	mount_memory("var/tmp", "mode=1777");
	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
	    chdir("/") < 0)
		agent_die("entering the host's tree");
}

static void loopback_up(void)
{
	struct ifreq request = {.ifr_name = "lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	request.ifr_flags = IFF_UP | IFF_RUNNING;
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		dprintf(2, "agent: loopback: %s\n", strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* Every controller that the kernel has, for the commands' own groups. */
static void enable_controllers(const char *folder)
{
	char path[256];
	char have[256] = "";
	char *save = NULL;
	char *name;
	FILE *file;

	snprintf(path, sizeof(path), "%s/cgroup.controllers", folder);
	file = fopen(path, "re");
	if (!file)
		return;
	if (!fgets(have, sizeof(have), file))
		have[0] = '\0';
	fclose(file);
	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", folder);
	for (name = strtok_r(have, " \n", &save); name;
	     name = strtok_r(NULL, " \n", &save)) {
		char text[64];

		snprintf(text, sizeof(text), "+%s", name);
		agent_write_file(path, text);
	}
}

/**
 * setup_machine() - the rest of a host: devices, loopback, cgroups, limits.
 */
void setup_machine(void)
{
	struct rlimit files = {1024, 1048576};
	struct rlimit locked = {8 << 20, 8 << 20};

	mkdir("/dev/pts", 0755);
	mkdir("/dev/shm", 01777);
	must_mount("devpts", "/dev/pts", "ptmxmode=666,mode=620,gid=5");
	mount_memory("/dev/shm", "mode=1777");
	symlink("/proc/self/fd", "/dev/fd");
	symlink("/proc/self/fd/0", "/dev/stdin");
	symlink("/proc/self/fd/1", "/dev/stdout");
	symlink("/proc/self/fd/2", "/dev/stderr");
	chmod("/dev/kvm", 0666);
	chmod("/dev/net/tun", 0666);
	chmod("/dev/vhost-net", 0666);
	chmod("/dev/vhost-vsock", 0666);
	must_mount("securityfs", "/sys/kernel/security", NULL);
	must_mount("cgroup2", "/sys/fs/cgroup", NULL);
	enable_controllers("/sys/fs/cgroup");
	mkdir(AGENT_CGROUP, 0755);
	enable_controllers(AGENT_CGROUP);
	loopback_up();
	sethostname("lab", 3);
	umask(022);
	setrlimit(RLIMIT_NOFILE, &files);
	setrlimit(RLIMIT_MEMLOCK, &locked);
	agent_write_file("/proc/self/oom_score_adj", "-1000");
}
