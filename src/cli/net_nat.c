// SPDX-License-Identifier: Apache-2.0
/*
 * net_nat.c - NAT for a tap: one nftables table, and IPv4 forwarding
 */
#include "cli/net.h"

#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define FORWARDING "/proc/sys/net/ipv4/ip_forward"
#define NFT_ABSENT 127

/* What runs in the child: nft reads its rules from standard input. sudo's
 * PATH has it, that of other ways to root perhaps not. */
static void exec_nft(int rules)
{
	if (dup2(rules, STDIN_FILENO) < 0)
		_exit(1);
	(void)execlp("nft", "nft", "-f", "-", (char *)NULL);
	(void)execl("/usr/sbin/nft", "nft", "-f", "-", (char *)NULL);
	_exit(NFT_ABSENT);
}

static int run_nft(int rules, struct err *err)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return err_set(err, -errno, "Cannot start nft: %s",
			       err_name(errno));
	if (pid == 0)
		exec_nft(rules);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return err_set(err, -errno, "Cannot wait for nft: %s",
				       err_name(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == NFT_ABSENT)
		return err_set(err, -ENOENT,
			       "NAT needs nft, which is not installed: "
			       "`apt-get install nftables`, or use --no-nat");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(err, -EIO,
			       "nft refused the rules; its words are above");
	return 0;
}

/* A table named without content and then deleted is gone, whether or not it
 * was there. */
#define RULES_CLEAR          \
	"table ip volt_%s\n" \
	"delete table ip volt_%s\n"

#define RULES_NAT                                              \
	"table ip volt_%s {\n"                                 \
	"chain postrouting {\n"                                \
	"type nat hook postrouting priority srcnat;\n"         \
	"ip saddr %s oifname != \"%s\" masquerade\n"           \
	"}\n"                                                  \
	"chain forward {\n"                                    \
	"type filter hook forward priority filter;\n"          \
	"oifname \"%s\" ct state established,related accept\n" \
	"oifname \"%s\" drop\n"                                \
	"}\n"                                                  \
	"}\n"

int net_set_nat(const char *tap, const struct net_cidr *cidr, struct err *err)
{
	cleanup_fd int fd = memfd_create("nft", MFD_CLOEXEC);
	char text[1024], network[NET_CIDR_TEXT_MAX] = "";
	int n, more = 0, r;

	if (fd < 0)
		return err_set(err, -errno, "Cannot hand rules to nft: %s",
			       err_name(errno));
	n = snprintf(text, sizeof(text), RULES_CLEAR, tap, tap);
	if (cidr) {
		net_format_cidr(cidr, network);
		more = snprintf(text + n, sizeof(text) - (size_t)n, RULES_NAT,
				tap, network, tap, tap, tap);
	}
	r = fd_write_full(fd, text, (size_t)n + (size_t)more);
	if (r < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_set(err, -EIO, "Cannot hand rules to nft");
	return run_nft(fd, err);
}

int net_get_forwarding(struct err *err)
{
	cleanup_fd int fd = open(FORWARDING, O_RDONLY | O_CLOEXEC);
	char c = '0';

	if (fd < 0 || read(fd, &c, 1) != 1)
		return err_set(err, -EIO, "Cannot read " FORWARDING ": %s",
			       err_name(errno));
	return c != '0';
}

int net_set_forwarding(bool on, struct err *err)
{
	cleanup_fd int fd = open(FORWARDING, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, on ? "1" : "0", 1) != 1)
		return err_set(err, -EIO, "Cannot write " FORWARDING ": %s",
			       err_name(errno));
	return 0;
}
