/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire.h - what a host and the agent in its guest say to each other
 *
 * Theory of operation
 *
 * The agent listens on AGENT_PORT of the guest's vsock. A connection is one
 * errand: HELLO both ways, then one request and what belongs to it. Whoever
 * wants two things at a time connects twice, so no errand waits for another,
 * and an end of the connection ends the errand: a command is killed, a frozen
 * file system thaws.
 *
 *   host                              agent
 *   HELLO  magic, versions            HELLO  magic, the version of the two
 *   SETUP  name, clock, DNS, ...      DONE
 *   QUIESCE ms                        DONE, frozen until RESUME, an end or ms;
 *                                     hooks run before and after
 *   RESUME                            DONE
 *   SHUTDOWN                          DONE, then the machine restarts
 *   EXEC   argv, environment, ...     STARTED
 *     INPUT, INPUT_END                  OUTPUT, ERRORS
 *     CREDIT of OUTPUT, ERRORS          CREDIT of INPUT
 *     SIGNAL, RESIZE, CLOSE             EXIT, the last
 *   COPY   a path, which way          as EXEC: the tree is its output or input
 *   ATTACH                            ATTACHED, then as EXEC (to who holds a
 *                                     command, cli/background.h)
 *
 * To each request FAILED may be the answer: an errno and a sentence. A HELLO of
 * versions that the agent does not speak gets FAILED with -EPROTONOSUPPORT. A
 * guest that was saved may have an older agent than the host: version 1 has all
 * but COPY, ATTACH and the flags of SETUP.
 *
 * A frame is a head, type and length, and so many bytes; all numbers are little
 * endian. The type says how long it may be (agent_frame_fits()): a frame that
 * is too long, of no type or of the other side's ends the connection. So does
 * data beyond what was granted: of each stream AGENT_WINDOW bytes may be on
 * their way or wait at the receiver, which gives room back with CREDIT as it
 * gets rid of them. A reader that stands still stops its stream, and nothing
 * else: signals, the other streams and the exit pass it.
 *
 * Both sides take the other one for hostile. A reader holds one frame at most
 * and gives pointers into it; numbers of strings, their ends and values are
 * judged before they are used (agent_exec_parse()).
 *
 * Context: one thread a connection.
 */
#pragma once

#include "base/buf.h"

#define AGENT_PORT           1024u
#define AGENT_MAGIC          0x544c4f56u /* "VOLT" */
#define AGENT_VERSION        2u
#define AGENT_VERSION_LOWEST 1u
#define AGENT_VERSION_COPY   2u /* and ATTACH */
#define AGENT_WINDOW         (256u << 10)
#define AGENT_DATA_MAX       (32u << 10)
#define AGENT_EXEC_MAX       (1u << 20)
#define AGENT_TEXT_MAX       512u /* of a sentence */
#define AGENT_WORDS_MAX      4096u
#define AGENT_FREEZE_MAX     60000u /* ms */

enum agent_type {
	AGENT_HELLO = 1,
	/* from the host */
	AGENT_SETUP,
	AGENT_EXEC,
	AGENT_INPUT,
	AGENT_INPUT_END,
	AGENT_SIGNAL,
	AGENT_RESIZE,
	AGENT_CLOSE,
	AGENT_QUIESCE,
	AGENT_RESUME,
	AGENT_SHUTDOWN,
	/* from both */
	AGENT_CREDIT,
	/* from the agent */
	AGENT_DONE,
	AGENT_FAILED,
	AGENT_STARTED,
	AGENT_OUTPUT,
	AGENT_ERRORS,
	AGENT_EXIT,
	/* version 2: from the host, twice; from the agent */
	AGENT_COPY,
	AGENT_ATTACH,
	AGENT_ATTACHED,
	AGENT_NR_TYPES,
};

enum agent_side {
	AGENT_FROM_HOST = 1,
	AGENT_FROM_GUEST = 2,
};

struct agent_head {
	uint32_t type;
	uint32_t len;
};
static_assert(sizeof(struct agent_head) == 8, "no holes");

/* From the host: the lowest and highest version it speaks; from the agent:
 * twice the one that is spoken. */
struct agent_hello {
	uint32_t magic;
	uint16_t lowest;
	uint16_t highest;
};
static_assert(sizeof(struct agent_hello) == 8, "no holes");

/* CREDIT: @stream is AGENT_INPUT, AGENT_OUTPUT or AGENT_ERRORS. */
struct agent_credit {
	uint32_t stream;
	uint32_t bytes;
};

/* RESIZE, and in EXEC. */
struct agent_size {
	uint16_t rows;
	uint16_t columns;
};

enum agent_how {
	AGENT_EXITED = 1, /* value: its exit code */
	AGENT_KILLED,     /* value: the signal */
	AGENT_NOT_FOUND,  /* value: the errno; nothing ran */
	AGENT_NO_EXEC,
};

/* EXIT. @oom: the guest's kernel killed it for want of memory. */
struct agent_exit {
	uint32_t how;
	uint32_t value;
	uint32_t oom;
};

/* Of EXEC, a set. */
#define AGENT_EXEC_TTY   1u
#define AGENT_EXEC_INPUT 2u /* else its input is empty */

/**
 * struct agent_exec_head - EXEC: this, then strings that each end with a NUL
 *
 * The strings: the working folder ("": the user's home, or /), the user
 * ("NAME|UID[:GROUP|GID]", "": root), the words, the environment.
 */
struct agent_exec_head {
	uint32_t flags;
	struct agent_size size;
	uint32_t nr_words;
	uint32_t nr_env;
};
static_assert(sizeof(struct agent_exec_head) == 16, "no holes");

/**
 * struct agent_exec - an EXEC, of either side
 * @words, @env:	NULL-terminated; as many as @nr_words, @nr_env say
 */
struct agent_exec {
	uint32_t flags;
	struct agent_size size;
	const char *folder;
	const char *user;
	uint32_t nr_words;
	uint32_t nr_env;
	const char **words;
	const char **env;
};

/* ATTACH. @flags: AGENT_EXEC_INPUT: input may come. */
struct agent_attach {
	uint32_t flags;
	struct agent_size size;
};
static_assert(sizeof(struct agent_attach) == 8, "no holes");

/* Of COPY: one of the first two. */
#define AGENT_COPY_OUT    1u /* out of the guest */
#define AGENT_COPY_IN     2u
#define AGENT_COPY_FOLLOW 4u /* OUT: what a link leads to */

/* COPY: this, then two strings: see struct agent_copy. */
struct agent_copy_head {
	uint32_t flags;
	uint32_t reserved;
};
static_assert(sizeof(struct agent_copy_head) == 8, "no holes");

/**
 * struct agent_copy - a COPY, of either side
 * @path:	in the guest
 * @name:	IN: what it is called if @path is a folder; "": its contents go
 *		there
 */
struct agent_copy {
	uint32_t flags;
	const char *path;
	const char *name;
};

enum agent_entry_kind {
	AGENT_ENTRY_FILE = 1,
	AGENT_ENTRY_FOLDER,
	AGENT_ENTRY_LINK,
	AGENT_ENTRY_UP,  /* the folder is complete */
	AGENT_ENTRY_END, /* all is */
};

/**
 * struct agent_entry - of a tree that is copied
 * @mtime_s, @mtime_ns:	since 1970
 * @name_len:	bytes of its name, which follows; 0 of the first, which is named
 *		by who takes it, and of UP and END
 * @size:	of a file its bytes, of a link what it says, behind the name
 *
 * A tree is an entry; of a folder, what is in it follows, and UP. END comes
 * last.
 */
struct agent_entry {
	uint32_t kind;
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	int64_t mtime_s;
	uint32_t mtime_ns;
	uint32_t name_len;
	uint64_t size;
};
static_assert(sizeof(struct agent_entry) == 40, "no holes");

#define AGENT_NAME_MAX 255u
#define AGENT_LINK_MAX 4095u

/**
 * struct agent_setup_head - SETUP: this, then strings
 * @realtime_ns:	since 1970; 0: leave the clock alone
 * @nr_lines:	lines for /etc/resolv.conf
 * @flags:	a set
 * @seed:	random bytes for the guest's kernel, which may have been
 *		restored in many places; all zero: none
 *
 * The strings: the host's name ("": leave it), then the lines.
 */
#define AGENT_LINES_MAX  16u
#define AGENT_SEED_BYTES 32u
/* It was saved, and goes on now: the network is set up again, and the image's
 * hooks run (hooks.h). Version 2. */
#define AGENT_SETUP_RESUMED 1u

struct agent_setup_head {
	uint64_t realtime_ns;
	uint32_t nr_lines;
	uint32_t flags;
	unsigned char seed[AGENT_SEED_BYTES];
};
static_assert(sizeof(struct agent_setup_head) == 48, "no holes");

/**
 * struct agent_setup - a SETUP, of either side
 */
struct agent_setup {
	uint64_t realtime_ns;
	const char *name;
	uint32_t flags;
	uint32_t nr_lines;
	const char *lines[AGENT_LINES_MAX];
	unsigned char seed[AGENT_SEED_BYTES];
};

/* FAILED: this, then a sentence without a NUL, not to be believed. */
struct agent_failed {
	int32_t rc;
};

/* May a frame of @type that comes from @side have @len bytes? */
bool agent_frame_fits(enum agent_side side, uint32_t type, size_t len);

/**
 * struct agent_reader - frames out of a stream of bytes; zeroed at first
 * @side:	who speaks
 * @in:		what came and is not taken yet
 * @at:		of @in, what was given out
 */
struct agent_reader {
	enum agent_side side;
	struct buf in;
	size_t at;
};

/**
 * struct agent_frame - one that came; it points into the reader, until the next
 */
struct agent_frame {
	uint32_t type;
	uint32_t len;
	const char *data;
};

/**
 * agent_reader_fill() - take what the socket has, at most AGENT_DATA_MAX
 *
 * Return: 1; 0 at the end of the stream; -EAGAIN, -ENOMEM or -errno.
 */
int agent_reader_fill(struct agent_reader *reader, int sock) __must_check;

/**
 * agent_reader_next() - the next frame that is whole
 *
 * Return: 1; 0 when there is none yet; -EPROTO for bytes that are none.
 */
int agent_reader_next(struct agent_reader *reader,
		      struct agent_frame *frame) __must_check;

void agent_reader_free(struct agent_reader *reader);

/* Append a frame; @data in two parts, of which the second may be empty. */
void agent_put(struct buf *out, enum agent_type type, const void *data,
	       size_t len, const void *more, size_t more_len);

/* Append such a frame. Return: 0; -E2BIG; -ENOMEM. */
int agent_put_exec(struct buf *out, const struct agent_exec *exec) __must_check;
int agent_put_setup(struct buf *out,
		    const struct agent_setup *setup) __must_check;

/**
 * agent_exec_parse() - an EXEC that came
 *
 * The strings point into @data; @exec->words and @exec->env are allocated:
 * agent_exec_free() in any case.
 *
 * Return: 0; -EPROTO; -ENOMEM.
 */
int agent_exec_parse(const char *data, size_t len,
		     struct agent_exec *exec) __must_check;
void agent_exec_free(struct agent_exec *exec);

/* Append a COPY. Return: 0; -E2BIG; -ENOMEM. */
int agent_put_copy(struct buf *out, const struct agent_copy *copy) __must_check;

/* A COPY that came; the strings point into @data. Return: 0 or -EPROTO. */
int agent_copy_parse(const char *data, size_t len,
		     struct agent_copy *copy) __must_check;

/* Can there be such an entry? @first: of the tree. */
bool agent_entry_fits(const struct agent_entry *entry, bool first);

/* Is it the name of something in a folder, and nothing else? */
bool agent_name_fits(const char *name, size_t len);

/* The version to be spoken with who said @hello; 0: none. */
uint16_t agent_hello_version(const struct agent_hello *hello);

/* A SETUP that came. Return: 0 or -EPROTO. */
int agent_setup_parse(const char *data, size_t len,
		      struct agent_setup *setup) __must_check;
