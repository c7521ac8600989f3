// SPDX-License-Identifier: Apache-2.0
/*
 * cmd_snapshot_list.c - `volt snapshot ls` and `tree`: the snapshots in a
 * folder
 *
 * All of it is read by snapshot/list.h, and nothing is locked or written.
 * Names, dates and sentences are strangers' and are cleaned here.
 */
#include "cli/cli.h"
#include "snapshot/files.h"
#include "snapshot/list.h"

#include "base/clean.h"
#include "base/fd.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct ls_options {
	bool json;
};

/* clang-format off */
static const struct arg ls_args[] = {
	{"json", NULL, "one JSON object a line", .kind = ARG_FLAG,
	 .offset = offsetof(struct ls_options, json)},
};
/* clang-format on */

const struct args_page cmd_snapshot_ls_page = {
	.name = "volt snapshot ls",
	.summary = "the snapshots in a folder",
	.usage = "[--json] [DIR]",
	.about = "Lists the snapshots in the directories in DIR (.), and the "
		 "exported ones, which are files: what kind each is (full, "
		 "diff, export), when it was saved, the guest's memory, what "
		 "it takes on the disk (STORED), what of that other files have "
		 "as well, so that it is not free when this one goes (SHARED: "
		 "reflinks; '-': the file system does not tell), what it is a "
		 "diff of, and whether all "
		 "that it needs is there (CHAIN). A state file that a client "
		 "of the API put there is listed without its memory. What is "
		 "not right has the reason in its line; what is no snapshot is "
		 "left out. The contents of memory are not read: `volt "
		 "snapshot inspect --verify` does that. Nothing is changed or "
		 "locked, and nobody is asked to be root.\n",
	.args = ls_args,
	.nr_args = ARRAY_SIZE(ls_args),
	.exit = "0 listed, also what is damaged and when there is nothing; 1 "
		"failed; 64 bad usage.",
	.examples = "  volt snapshot ls snaps\n"
		    "  volt snapshot ls --json snaps | jq -r "
		    "'select(.chain != \"whole\").name'\n",
	.nr_words = 1,
};

const struct args_page cmd_snapshot_tree_page = {
	.name = "volt snapshot tree",
	.summary = "the snapshots in a folder, each above its diffs",
	.usage = "[DIR]",
	.about = "The same as `volt snapshot ls`, as a tree: below each "
		 "snapshot stand those that are diffs of it and cannot be "
		 "restored without it. A diff whose base is not in DIR stands "
		 "at the left and says what is missing.\n",
	.exit = "0 listed, also what is damaged and when there is nothing; 1 "
		"failed; 64 bad usage.",
	.examples = "  volt snapshot tree snaps\n",
	.nr_words = 1,
};

/* ---- words ---- */

static const char *list_kind(const struct snapshot_listed *x)
{
	if (x->form == SNAPSHOT_EXPORT)
		return "export";
	if (!x->has_state && !x->file.known)
		return "?";
	return x->diff ? "diff" : "full";
}

static const char *const list_chain_words[] = {
	[SNAPSHOT_CHAIN_UNKNOWN] = "unknown",
	[SNAPSHOT_CHAIN_WHOLE] = "whole",
	[SNAPSHOT_CHAIN_DAMAGED] = "damaged",
	[SNAPSHOT_CHAIN_MISSING] = "missing",
	[SNAPSHOT_CHAIN_WRONG] = "base-damaged",
	[SNAPSHOT_CHAIN_STRANGE] = "base-of-another-user",
	[SNAPSHOT_CHAIN_CIRCLE] = "circle",
	[SNAPSHOT_CHAIN_LONG] = "too-long",
};

/* What is to be said of a chain that breaks; its base has this id. */
static const char *list_chain_sentence(enum snapshot_chain chain)
{
	switch (chain) {
	case SNAPSHOT_CHAIN_MISSING:
		return "is missing";
	case SNAPSHOT_CHAIN_WRONG:
		return "is damaged or of another size";
	case SNAPSHOT_CHAIN_STRANGE:
		return "is another user's";
	case SNAPSHOT_CHAIN_CIRCLE:
		return "differs from it again: a circle";
	case SNAPSHOT_CHAIN_LONG:
		return "needs more snapshots than can be put together";
	default:
		return NULL;
	}
}

/* Whether it can be restored, and if not, why. */
static void list_add_chain(struct buf *out, const struct snapshot_list *list,
			   const struct snapshot_listed *x)
{
	const char *sentence = list_chain_sentence(x->chain);
	const struct snapshot_listed *broken = &list->item[x->broken];

	if (x->why) {
		buf_add_clean(out, x->why, strlen(x->why));
	} else if (sentence) {
		buf_addf(out, "snapshot %016llx, which ",
			 (unsigned long long)broken->file.needs);
		buf_add_clean(out, broken->name, strlen(broken->name));
		buf_addf(out, " is a diff of, %s", sentence);
	} else {
		buf_add_str(out, x->chain == SNAPSHOT_CHAIN_UNKNOWN
					 ? "not known without its memory"
					 : "whole");
	}
}

static const char *list_base(const struct snapshot_list *list,
			     const struct snapshot_listed *x,
			     char room[static CLI_CLEAN_MAX])
{
	if (x->base != SNAPSHOT_LIST_NO)
		return cli_clean(list->item[x->base].name, room);
	if (x->file.needs == 0)
		return "-";
	(void)snprintf(room, CLI_CLEAN_MAX, "%016llx",
		       (unsigned long long)x->file.needs);
	return room;
}

/* ---- ls ---- */

#define SHARED_TEXT 24

static const char *list_shared(const struct snapshot_listed *x,
			       char text[static SHARED_TEXT])
{
	(void)snprintf(text, SHARED_TEXT, "%llu",
		       (unsigned long long)x->room.shared >> 10);
	return x->room.unknown ? "-" : text;
}

/* Not inlined: its texts are too much for the frame of a command. */
static __attribute__((noinline)) int
list_print_line(const struct snapshot_list *list,
		const struct snapshot_listed *x)
{
	char name[CLI_CLEAN_MAX], saved[CLI_CLEAN_MAX], base[CLI_CLEAN_MAX];
	cleanup_buf struct buf chain = {0};
	char shared[SHARED_TEXT];

	list_add_chain(&chain, list, x);
	buf_add(&chain, "", 1);
	if (chain.failed)
		return -ENOMEM;
	(void)printf("%-20s %-6s %-20s %8llu %10llu %10s %-20s %s\n",
		     cli_clean(x->name, name), list_kind(x),
		     x->has_state ? cli_clean(x->created, saved) : "-",
		     (unsigned long long)x->memory_bytes >> 20,
		     (unsigned long long)x->room.stored >> 10,
		     list_shared(x, shared), list_base(list, x, base),
		     chain.data);
	return 0;
}

static json_t *list_json_text(const char *text)
{
	cleanup_buf struct buf clean = {0};

	if (!text)
		return json_null();
	buf_add_clean(&clean, text, strlen(text));
	return clean.failed ? NULL : json_stringn(clean.data, clean.len);
}

static json_t *list_json_id(uint64_t id)
{
	char text[SNAPSHOT_ID_TEXT];

	snapshot_id_text(id, text);
	return id ? json_string(text) : json_null();
}

static int list_print_json(const struct snapshot_list *list,
			   const struct snapshot_listed *x)
{
	const char *base =
		x->base == SNAPSHOT_LIST_NO ? NULL : list->item[x->base].name;
	const struct snapshot_listed *broken = &list->item[x->broken];
	json_t *out = json_pack(
		"{s:o, s:s, s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:s, s:o, "
		"s:o}",
		"name", list_json_text(x->name), "kind", list_kind(x), "saved",
		list_json_text(x->has_state ? x->created : NULL),
		"memory_bytes", (json_int_t)x->memory_bytes, "apparent_bytes",
		(json_int_t)x->room.apparent, "stored_bytes",
		(json_int_t)x->room.stored, "shared_bytes",
		x->room.unknown ? json_null()
				: json_integer((json_int_t)x->room.shared),
		"id", list_json_id(x->file.moment), "base_id",
		list_json_id(x->file.needs), "base", list_json_text(base),
		"chain", list_chain_words[x->chain], "missing_id",
		list_json_id(list_chain_sentence(x->chain) ? broken->file.needs
							   : 0),
		"error", list_json_text(x->why));
	int r = -ENOMEM;

	if (out &&
	    json_dumpf(out, stdout, JSON_COMPACT | JSON_ENSURE_ASCII) == 0) {
		(void)putchar('\n');
		r = 0;
	}
	json_decref(out);
	return r;
}

static int list_print(const struct snapshot_list *list, bool json,
		      struct err *err)
{
	int r = 0;

	if (!json && list->nr > 0)
		(void)printf("%-20s %-6s %-20s %8s %10s %10s %-20s %s\n",
			     "NAME", "KIND", "SAVED", "MiB", "STORED KiB",
			     "SHARED KiB", "BASE", "CHAIN");
	for (size_t i = 0; i < list->nr && r == 0; i++)
		r = json ? list_print_json(list, &list->item[i])
			 : list_print_line(list, &list->item[i]);
	return r < 0 ? err_set(err, r, "out of memory") : 0;
}

/* ---- tree ---- */

/**
 * struct list_tree - the list, as it is printed
 * @child:	of each: its first diff; SNAPSHOT_LIST_NO: none
 * @next:	of each: the next diff of the same base
 * @shown:	of each: it was printed
 * @prefix:	what stands before a line
 */
struct list_tree {
	const struct snapshot_list *list;
	size_t *child;
	size_t *next;
	bool *shown;
	char prefix[3 * SNAPSHOT_CHAIN_MAX + 1];
};

/* Not inlined: its texts are too much for the frame of a command. */
static __attribute__((noinline)) int
list_print_node(const struct list_tree *tree, size_t which, const char *branch)
{
	const struct snapshot_listed *x = &tree->list->item[which];
	char name[CLI_CLEAN_MAX], saved[CLI_CLEAN_MAX];
	cleanup_buf struct buf chain = {0};

	if (x->chain != SNAPSHOT_CHAIN_WHOLE) {
		buf_add_str(&chain, ": ");
		list_add_chain(&chain, tree->list, x);
	}
	buf_add(&chain, "", 1);
	if (chain.failed)
		return -ENOMEM;
	(void)printf("%s%s%s  %s, %llu KiB%s%s%s\n", tree->prefix, branch,
		     cli_clean(x->name, name), list_kind(x),
		     (unsigned long long)x->room.stored >> 10,
		     x->has_state ? ", " : "",
		     x->has_state ? cli_clean(x->created, saved) : "",
		     chain.data);
	return 0;
}

/* Its diffs below it. What is deeper than a chain can be, or was printed
 * already (a circle), is left to the caller. */
static int list_print_tree(struct list_tree *tree, size_t which,
			   unsigned int depth, const char *branch)
{
	size_t len = strlen(tree->prefix);
	size_t child = tree->child[which];
	int r = list_print_node(tree, which, branch);

	tree->shown[which] = true;
	if (depth > 0)
		(void)snprintf(tree->prefix + len, sizeof(tree->prefix) - len,
			       "%s", *branch == '|' ? "|  " : "   ");
	while (r == 0 && child != SNAPSHOT_LIST_NO &&
	       depth + 1 < SNAPSHOT_CHAIN_MAX) {
		size_t next = tree->next[child];

		if (!tree->shown[child])
			r = list_print_tree(tree, child, depth + 1,
					    next == SNAPSHOT_LIST_NO ? "`- "
								     : "|- ");
		child = next;
	}
	tree->prefix[len] = '\0';
	return r;
}

static int list_print_trees(struct list_tree *tree)
{
	const struct snapshot_list *list = tree->list;
	int r = 0;

	for (size_t i = 0; i < list->nr; i++)
		tree->child[i] = SNAPSHOT_LIST_NO;
	for (size_t i = list->nr; i-- > 0;) {
		size_t base = list->item[i].base;

		if (base == SNAPSHOT_LIST_NO)
			continue;
		tree->next[i] = tree->child[base];
		tree->child[base] = i;
	}
	for (size_t i = 0; i < list->nr && r == 0; i++)
		if (list->item[i].base == SNAPSHOT_LIST_NO)
			r = list_print_tree(tree, i, 0, "");
	for (size_t i = 0; i < list->nr && r == 0; i++)
		if (!tree->shown[i])
			r = list_print_tree(tree, i, 0, "");
	return r;
}

static int list_tree(const struct snapshot_list *list, struct err *err)
{
	struct list_tree tree = {
		.list = list,
		.child = calloc(list->nr + 1, sizeof(*tree.child)),
		.next = calloc(list->nr + 1, sizeof(*tree.next)),
		.shown = calloc(list->nr + 1, sizeof(*tree.shown)),
	};
	int r = -ENOMEM;

	if (tree.child && tree.next && tree.shown)
		r = list_print_trees(&tree);
	free(tree.child);
	free(tree.next);
	free(tree.shown);
	return r < 0 ? err_set(err, r, "out of memory") : 0;
}

/* ---- both ---- */

/* Whoever gives the snapshot itself learns what to give. */
static int list_is_snapshot(const char *dir, struct err *err)
{
	cleanup_free char *state = NULL;
	struct stat st;

	if (asprintf(&state, "%s/%s", dir, SNAPSHOT_STATE_NAME) < 0) {
		state = NULL;
		return err_set(err, -ENOMEM, "out of memory");
	}
	if (lstat(state, &st) < 0)
		return 0;
	return err_set(err, -EINVAL,
		       "%s is a snapshot itself: give the directory that it "
		       "is in, or `volt snapshot inspect` it",
		       dir);
}

static int list_read_folder(struct snapshot_list *list, const struct args *args,
			    struct err *err)
{
	const char *dir = args->nr_words > 0 ? args->words[0] : ".";
	int r = snapshot_list_read(list, dir, err);

	return r == 0 && list->nr == 0 ? list_is_snapshot(dir, err) : r;
}

int cmd_snapshot_ls(const struct args_page *page, int argc, char **argv)
{
	struct snapshot_list list = {0};
	struct ls_options o = {0};
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 0, &o, &args);

	if (r != CLI_GO_ON)
		return r;
	r = list_read_folder(&list, &args, &err);
	if (r == 0)
		r = list_print(&list, o.json, &err);
	snapshot_list_free(&list);
	return r < 0 ? cli_fail(1, page, &err) : 0;
}

int cmd_snapshot_tree(const struct args_page *page, int argc, char **argv)
{
	struct snapshot_list list = {0};
	struct args args;
	struct err err;
	int r = cli_parse(page, argc, argv, 0, NULL, &args);

	if (r != CLI_GO_ON)
		return r;
	r = list_read_folder(&list, &args, &err);
	if (r == 0)
		r = list_tree(&list, &err);
	snapshot_list_free(&list);
	return r < 0 ? cli_fail(1, page, &err) : 0;
}
