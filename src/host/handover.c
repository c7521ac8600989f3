// SPDX-License-Identifier: Apache-2.0
/*
 * handover.c - what a jail lacks, from who makes it to volt-vmm (handover.h)
 *
 * ELF: System V ABI, chapters 4 and 5 (program header, note section).
 */
#include "host/handover.h"

#include "base/fd.h"
#include "host/below.h"

#include <elf.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PHDRS_MAX 64u
#define NOTES_MAX 2048u

/* The root directory of a procfs. */
#define PROC_ROOT_INO 1

static size_t padded(size_t len)
{
	return (len + 3) & ~(size_t)3;
}

/* Is ours among the notes at @p? */
static bool has_note(const uint8_t *p, size_t len)
{
	while (len >= sizeof(Elf64_Nhdr)) {
		Elf64_Nhdr n;
		size_t owner, content;

		memcpy(&n, p, sizeof(n));
		p += sizeof(n);
		len -= sizeof(n);
		owner = padded(n.n_namesz);
		content = padded(n.n_descsz);
		if (owner > len || content > len - owner)
			return false;
		if (n.n_type == HANDOVER_TYPE &&
		    n.n_namesz == sizeof(HANDOVER_OWNER) &&
		    memcmp(p, HANDOVER_OWNER, sizeof(HANDOVER_OWNER)) == 0 &&
		    n.n_descsz == sizeof(uint32_t))
			return load_le32(p + owner) == HANDOVER_PROC_FD;
		p += owner + content;
		len -= owner + content;
	}
	return false;
}

static bool segment_has_note(int fd, const Elf64_Phdr *ph)
{
	uint8_t notes[NOTES_MAX];

	return ph->p_type == PT_NOTE && ph->p_filesz <= sizeof(notes) &&
	       ph->p_offset <= INT64_MAX &&
	       fd_read_full(fd, notes, ph->p_filesz, (off_t)ph->p_offset) ==
		       0 &&
	       has_note(notes, ph->p_filesz);
}

bool handover_wanted(int fd)
{
	Elf64_Ehdr eh;

	if (fd_read_full(fd, &eh, sizeof(eh), 0) < 0 ||
	    memcmp(eh.e_ident, ELFMAG, SELFMAG) != 0 ||
	    eh.e_ident[EI_CLASS] != ELFCLASS64 ||
	    eh.e_phentsize != sizeof(Elf64_Phdr) || eh.e_phnum > PHDRS_MAX ||
	    eh.e_phoff > INT64_MAX - PHDRS_MAX * sizeof(Elf64_Phdr))
		return false;
	for (unsigned int i = 0; i < eh.e_phnum; i++) {
		off_t at = (off_t)(eh.e_phoff + i * sizeof(Elf64_Phdr));
		Elf64_Phdr ph;

		if (fd_read_full(fd, &ph, sizeof(ph), at) < 0)
			return false;
		if (segment_has_note(fd, &ph))
			return true;
	}
	return false;
}

/* An O_PATH descriptor of a procfs' root and nothing else. */
static bool is_proc(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	struct statfs fs;
	struct stat st;

	return flags >= 0 && (flags & O_PATH) && fd_stat(fd, &st) == 0 &&
	       S_ISDIR(st.st_mode) && st.st_ino == PROC_ROOT_INO &&
	       fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

static void handover_read_line(int at, const char *name, char *text,
			       size_t size)
{
	cleanup_fd int fd = below_open(at, name, BELOW_PROC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);

	text[n < 0 ? 0 : n] = '\0';
	text[strcspn(text, "\n")] = '\0';
}

void handover_take(struct handover *left)
{
	int proc = HANDOVER_PROC_FD;

	*left = (struct handover){.pagemap = -1, .smaps = -1};
	if (!is_proc(proc))
		return;
	left->pagemap = below_open(proc, "self/pagemap", BELOW_PROC);
	left->smaps = below_open(proc, "self/smaps_rollup", BELOW_PROC);
	handover_read_line(proc, "sys/kernel/random/boot_id", left->boot_id,
			   sizeof(left->boot_id));
	fd_close(&proc);
}
