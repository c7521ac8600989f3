// SPDX-License-Identifier: Apache-2.0
/*
 * wire.c - what a host and the agent in its guest say to each other (wire.h)
 */
#include "agent/wire.h"

#include "base/fd.h"

#include <errno.h>
#include <sys/socket.h>

/**
 * struct wire_rule - of a type: who says it, and how long it is
 */
struct wire_rule {
	unsigned int sides;
	uint32_t min;
	uint32_t max;
};

#define FROM_BOTH (AGENT_FROM_HOST | AGENT_FROM_GUEST)

/* clang-format off */
static const struct wire_rule wire_rules[AGENT_NR_TYPES] = {
	[AGENT_HELLO] = {FROM_BOTH, sizeof(struct agent_hello),
			 sizeof(struct agent_hello)},
	[AGENT_SETUP] = {AGENT_FROM_HOST, sizeof(struct agent_setup_head),
			 AGENT_DATA_MAX},
	[AGENT_EXEC] = {AGENT_FROM_HOST, sizeof(struct agent_exec_head),
			AGENT_EXEC_MAX},
	[AGENT_INPUT] = {AGENT_FROM_HOST, 1, AGENT_DATA_MAX},
	[AGENT_INPUT_END] = {AGENT_FROM_HOST, 0, 0},
	[AGENT_SIGNAL] = {AGENT_FROM_HOST, 4, 4},
	[AGENT_RESIZE] = {AGENT_FROM_HOST, sizeof(struct agent_size),
			  sizeof(struct agent_size)},
	[AGENT_CLOSE] = {AGENT_FROM_HOST, 4, 4},
	[AGENT_QUIESCE] = {AGENT_FROM_HOST, 4, 4},
	[AGENT_RESUME] = {AGENT_FROM_HOST, 0, 0},
	[AGENT_SHUTDOWN] = {AGENT_FROM_HOST, 0, 0},
	[AGENT_CREDIT] = {FROM_BOTH, sizeof(struct agent_credit),
			  sizeof(struct agent_credit)},
	[AGENT_DONE] = {AGENT_FROM_GUEST, 0, 0},
	[AGENT_FAILED] = {AGENT_FROM_GUEST, sizeof(struct agent_failed),
			  sizeof(struct agent_failed) + AGENT_TEXT_MAX},
	[AGENT_STARTED] = {AGENT_FROM_GUEST, 0, 0},
	[AGENT_OUTPUT] = {AGENT_FROM_GUEST, 1, AGENT_DATA_MAX},
	[AGENT_ERRORS] = {AGENT_FROM_GUEST, 1, AGENT_DATA_MAX},
	[AGENT_EXIT] = {AGENT_FROM_GUEST, sizeof(struct agent_exit),
			sizeof(struct agent_exit)},
	[AGENT_COPY] = {AGENT_FROM_HOST, sizeof(struct agent_copy_head),
			AGENT_DATA_MAX},
	[AGENT_ATTACH] = {AGENT_FROM_HOST, sizeof(struct agent_attach),
			  sizeof(struct agent_attach)},
	[AGENT_ATTACHED] = {AGENT_FROM_GUEST, 4, 4},
};
/* clang-format on */

bool agent_frame_fits(enum agent_side side, uint32_t type, size_t len)
{
	return type < AGENT_NR_TYPES && (wire_rules[type].sides & side) &&
	       len >= wire_rules[type].min && len <= wire_rules[type].max;
}

int agent_reader_fill(struct agent_reader *reader, int sock)
{
	struct buf *in = &reader->in;
	ssize_t n;

	/* What was given out goes, so that one frame and a piece are all. */
	if (reader->at > 0) {
		memmove(in->data, in->data + reader->at, in->len - reader->at);
		in->len -= reader->at;
		reader->at = 0;
	}
	if (!buf_reserve(in, in->len + AGENT_DATA_MAX) || !in->data)
		return -ENOMEM;
	do
		n = recv(sock, in->data + in->len, AGENT_DATA_MAX, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	in->len += (size_t)n;
	return n > 0;
}

int agent_reader_next(struct agent_reader *reader, struct agent_frame *frame)
{
	size_t left = reader->in.len - reader->at;
	struct agent_head head;

	if (left < sizeof(head))
		return 0;
	memcpy(&head, reader->in.data + reader->at, sizeof(head));
	if (!agent_frame_fits(reader->side, head.type, head.len))
		return -EPROTO;
	if (left - sizeof(head) < head.len)
		return 0;
	*frame = (struct agent_frame){
		.type = head.type,
		.len = head.len,
		.data = reader->in.data + reader->at + sizeof(head),
	};
	reader->at += sizeof(head) + head.len;
	return 1;
}

void agent_reader_free(struct agent_reader *reader)
{
	buf_free(&reader->in);
	reader->at = 0;
}

void agent_put(struct buf *out, enum agent_type type, const void *data,
	       size_t len, const void *more, size_t more_len)
{
	const struct agent_head head = {
		.type = type,
		.len = (uint32_t)(len + more_len),
	};

	buf_add(out, &head, sizeof(head));
	if (len > 0)
		buf_add(out, data, len);
	if (more_len > 0)
		buf_add(out, more, more_len);
}

static void wire_add_text(struct buf *out, const char *text)
{
	buf_add(out, text, strlen(text) + 1);
}

/* The frame of @head and @strings. Return: 0; -E2BIG; -ENOMEM. */
static int wire_put_checked(struct buf *out, enum agent_type type,
			    const void *head, size_t len,
			    const struct buf *strings)
{
	if (strings->failed)
		return -ENOMEM;
	if (!agent_frame_fits(AGENT_FROM_HOST, type, len + strings->len))
		return -E2BIG;
	agent_put(out, type, head, len, strings->data, strings->len);
	return out->failed ? -ENOMEM : 0;
}

int agent_put_exec(struct buf *out, const struct agent_exec *exec)
{
	const struct agent_exec_head head = {
		.flags = exec->flags,
		.size = exec->size,
		.nr_words = exec->nr_words,
		.nr_env = exec->nr_env,
	};
	cleanup_buf struct buf strings = {0};

	if (exec->nr_words > AGENT_WORDS_MAX || exec->nr_env > AGENT_WORDS_MAX)
		return -E2BIG;
	wire_add_text(&strings, exec->folder);
	wire_add_text(&strings, exec->user);
	for (uint32_t i = 0; i < exec->nr_words; i++)
		wire_add_text(&strings, exec->words[i]);
	for (uint32_t i = 0; i < exec->nr_env; i++)
		wire_add_text(&strings, exec->env[i]);
	return wire_put_checked(out, AGENT_EXEC, &head, sizeof(head), &strings);
}

int agent_put_setup(struct buf *out, const struct agent_setup *setup)
{
	struct agent_setup_head head = {
		.realtime_ns = setup->realtime_ns,
		.nr_lines = setup->nr_lines,
		.flags = setup->flags,
	};
	cleanup_buf struct buf strings = {0};

	memcpy(head.seed, setup->seed, sizeof(head.seed));
	wire_add_text(&strings, setup->name);
	for (uint32_t i = 0; i < setup->nr_lines; i++)
		wire_add_text(&strings, setup->lines[i]);
	return wire_put_checked(out, AGENT_SETUP, &head, sizeof(head),
				&strings);
}

/**
 * struct wire_strings - those behind a head
 */
struct wire_strings {
	const char *at;
	size_t left;
};

/* The next one; NULL: there is none, or it has no end. */
static const char *wire_next_text(struct wire_strings *s)
{
	const char *text = s->at;
	const char *end = s->left > 0 ? memchr(text, '\0', s->left) : NULL;

	if (!end)
		return NULL;
	s->left -= (size_t)(end + 1 - text);
	s->at = end + 1;
	return text;
}

static int wire_take_list(struct wire_strings *s, uint32_t nr,
			  const char ***list)
{
	*list = calloc((size_t)nr + 1, sizeof(**list));
	if (!*list)
		return -ENOMEM;
	for (uint32_t i = 0; i < nr; i++) {
		(*list)[i] = wire_next_text(s);
		if (!(*list)[i])
			return -EPROTO;
	}
	return 0;
}

int agent_exec_parse(const char *data, size_t len, struct agent_exec *exec)
{
	struct agent_exec_head head;
	struct wire_strings s;
	int r;

	*exec = (struct agent_exec){0};
	if (len < sizeof(head))
		return -EPROTO;
	memcpy(&head, data, sizeof(head));
	if ((head.flags & ~(AGENT_EXEC_TTY | AGENT_EXEC_INPUT)) ||
	    head.nr_words < 1 || head.nr_words > AGENT_WORDS_MAX ||
	    head.nr_env > AGENT_WORDS_MAX)
		return -EPROTO;
	s = (struct wire_strings){data + sizeof(head), len - sizeof(head)};
	exec->flags = head.flags;
	exec->size = head.size;
	exec->nr_words = head.nr_words;
	exec->nr_env = head.nr_env;
	exec->folder = wire_next_text(&s);
	exec->user = wire_next_text(&s);
	if (!exec->folder || !exec->user)
		return -EPROTO;
	r = wire_take_list(&s, head.nr_words, &exec->words);
	if (r == 0)
		r = wire_take_list(&s, head.nr_env, &exec->env);
	return r == 0 && s.left > 0 ? -EPROTO : r;
}

void agent_exec_free(struct agent_exec *exec)
{
	free(ptr_steal(exec->words));
	free(ptr_steal(exec->env));
}

int agent_setup_parse(const char *data, size_t len, struct agent_setup *setup)
{
	struct agent_setup_head head;
	struct wire_strings s;

	if (len < sizeof(head))
		return -EPROTO;
	memcpy(&head, data, sizeof(head));
	if (head.nr_lines > AGENT_LINES_MAX ||
	    (head.flags & ~AGENT_SETUP_RESUMED))
		return -EPROTO;
	s = (struct wire_strings){data + sizeof(head), len - sizeof(head)};
	*setup = (struct agent_setup){
		.realtime_ns = head.realtime_ns,
		.name = wire_next_text(&s),
		.nr_lines = head.nr_lines,
		.flags = head.flags,
	};
	memcpy(setup->seed, head.seed, sizeof(head.seed));
	if (!setup->name)
		return -EPROTO;
	for (uint32_t i = 0; i < head.nr_lines; i++) {
		setup->lines[i] = wire_next_text(&s);
		if (!setup->lines[i])
			return -EPROTO;
	}
	return s.left > 0 ? -EPROTO : 0;
}

int agent_put_copy(struct buf *out, const struct agent_copy *copy)
{
	const struct agent_copy_head head = {.flags = copy->flags};
	cleanup_buf struct buf strings = {0};

	wire_add_text(&strings, copy->path);
	wire_add_text(&strings, copy->name);
	return wire_put_checked(out, AGENT_COPY, &head, sizeof(head), &strings);
}

int agent_copy_parse(const char *data, size_t len, struct agent_copy *copy)
{
	struct agent_copy_head head;
	struct wire_strings s;
	uint32_t way;

	if (len < sizeof(head))
		return -EPROTO;
	memcpy(&head, data, sizeof(head));
	s = (struct wire_strings){data + sizeof(head), len - sizeof(head)};
	*copy = (struct agent_copy){
		.flags = head.flags,
		.path = wire_next_text(&s),
		.name = wire_next_text(&s),
	};
	way = head.flags & ~AGENT_COPY_FOLLOW;
	if ((way != AGENT_COPY_OUT && way != AGENT_COPY_IN) ||
	    head.reserved != 0 || !copy->path || !copy->path[0] ||
	    !copy->name || s.left > 0)
		return -EPROTO;
	return !copy->name[0] || agent_name_fits(copy->name, strlen(copy->name))
		       ? 0
		       : -EPROTO;
}

bool agent_name_fits(const char *name, size_t len)
{
	return len >= 1 && len <= AGENT_NAME_MAX && !memchr(name, '/', len) &&
	       !memchr(name, '\0', len) && !(len == 1 && name[0] == '.') &&
	       !(len == 2 && name[0] == '.' && name[1] == '.');
}

bool agent_entry_fits(const struct agent_entry *entry, bool first)
{
	const bool bare = first || entry->kind == AGENT_ENTRY_UP ||
			  entry->kind == AGENT_ENTRY_END;

	if (bare ? entry->name_len != 0
		 : entry->name_len < 1 || entry->name_len > AGENT_NAME_MAX)
		return false;
	if (entry->mode > 07777 || entry->mtime_ns > 999999999)
		return false;
	switch (entry->kind) {
	case AGENT_ENTRY_FILE:
		return entry->size <= INT64_MAX;
	case AGENT_ENTRY_LINK:
		return entry->size >= 1 && entry->size <= AGENT_LINK_MAX;
	case AGENT_ENTRY_FOLDER:
		return entry->size == 0;
	case AGENT_ENTRY_UP:
	case AGENT_ENTRY_END:
		return !first && entry->size == 0;
	default:
		return false;
	}
}

uint16_t agent_hello_version(const struct agent_hello *hello)
{
	const uint16_t version =
		hello->highest < AGENT_VERSION ? hello->highest : AGENT_VERSION;

	return hello->magic == AGENT_MAGIC && version >= hello->lowest &&
			       version >= AGENT_VERSION_LOWEST
		       ? version
		       : 0;
}
