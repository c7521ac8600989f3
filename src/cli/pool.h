/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool.h - the daemon of this user's pools, as `volt pool` asks it
 *
 * Each command is one request on a connection of its own, whose answer is
 * waited for as long as it takes: the daemon has a deadline for all that it
 * does for a client, and a drain or wait may last. The protocol is
 * client/pool_wire.h.
 */
#pragma once

#include "base/args.h"
#include "client/pool_wire.h"

#include <jansson.h>

/**
 * struct pool_asking - what all of the commands have
 * @socket:	where the daemon listens; NULL: where it does by itself
 * @json:	print the answer as it came
 */
struct pool_asking {
	const char *socket;
	bool json;
};

#define POOL_ARG_SOCKET(type_)                              \
	{"socket", "PATH",                                  \
	 "where the daemon listens (default: pool.sock in " \
	 "the folder of this user's sockets)",              \
	 .kind = ARG_TEXT, .offset = offsetof(type_, asking.socket)}
#define POOL_ARG_JSON(type_)                                   \
	{"json", NULL, "what the daemon answers, as it comes", \
	 .kind = ARG_FLAG, .offset = offsetof(type_, asking.json)}

/**
 * struct pool_reply - an answer; POOL_REPLY_NONE at first
 * @json:	the whole of it
 * @fd:		that came with it; -1 where there is none
 */
struct pool_reply {
	struct pool_answer answer;
	json_t *json;
	int fd[POOL_WIRE_FDS_MAX];
};

#define POOL_REPLY_NONE ((struct pool_reply){.fd = {-1, -1}})

/**
 * pool_ask() - one request
 * @reply:	pool_reply_free() it in any case
 *
 * Return: 0; -EREMOTEIO with the daemon's own sentence when it refuses; -errno
 * with a sentence, which says how a daemon is started where none is there.
 */
int pool_ask(const struct pool_asking *asking,
	     const struct pool_request *request, struct pool_reply *reply,
	     struct err *err) __must_check;

void pool_reply_free(struct pool_reply *reply);

/**
 * pool_run() - a command whose answer is only that it was done
 *
 * Return: an exit code.
 */
int pool_run(const struct args_page *page, const struct pool_asking *asking,
	     const struct pool_request *request);

/**
 * pool_parse() - cli_parse(), and the first word is the name of a pool or lease
 * @words:	how many it has to have
 *
 * Return: as cli_parse().
 */
int pool_parse(const struct args_page *page, int argc, char **argv,
	       unsigned int words, void *base, struct args *args) __must_check;

/* Can a pool or lease be called so? Else it says so. Return: CLI_GO_ON, or an
 * exit code. */
int pool_check_name(const struct args_page *page,
		    const char *name) __must_check;

/* Print the member @key of an answer, on a line. */
void pool_print_json(const struct pool_reply *reply, const char *key);

/* @path from the root on, the caller's; NULL without memory. */
char *pool_absolute(const char *path) __must_check;
