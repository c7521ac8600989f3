// SPDX-License-Identifier: Apache-2.0
/*
 * pool_ask.c - requests that are answered later, and answers (pool.h)
 */
#include "pool/pool.h"

#include <stdlib.h>
#include <string.h>

struct pool_ask *pool_ask_new(struct pool_daemon *d, struct pool_client *client,
			      struct pool_request *q, uint64_t came_ns)
{
	struct pool_ask *ask = calloc(1, sizeof(*ask));

	if (!ask)
		return NULL;
	ask->client = client;
	ask->came_ns = came_ns;
	ask->q = *q;
	*q = (struct pool_request){0};
	list_init(&ask->link);
	list_add_tail(&client->asks, &ask->of_client);
	client->nr_asks++;
	timer_init(&ask->deadline, d->loop, NULL);
	return ask;
}

static void pool_ask_leave_client(struct pool_ask *ask)
{
	if (ask->client)
		ask->client->nr_asks--;
	list_del(&ask->of_client);
	ask->client = NULL;
}

void pool_ask_free(struct pool_ask *ask)
{
	pool_ask_leave_client(ask);
	list_del(&ask->link);
	timer_stop(&ask->deadline);
	schema_free(&pool_request_schema, &ask->q);
	free(ask);
}

void pool_ask_done(struct pool_ask *ask)
{
	struct pool_client *client = ask->client;
	uint64_t tag = ask->q.tag;

	pool_ask_free(ask);
	if (client)
		pool_answer_done(client, tag);
}

void pool_ask_refuse(struct pool_ask *ask, enum pool_code code,
		     const char *text)
{
	struct pool_client *client = ask->client;
	uint64_t tag = ask->q.tag;

	pool_ask_free(ask);
	if (client)
		pool_answer_error(client, tag, code, text);
}

void pool_ask_exit(struct pool_ask *ask, const struct pool_exit *how)
{
	struct pool_client *client = ask->client;
	uint64_t tag = ask->q.tag;

	pool_ask_free(ask);
	if (client)
		pool_answer_exit(client, tag, how);
}

/* A lease that is under way stays with its member, without a client. */
void pool_client_gone(struct pool_client *client)
{
	while (!list_empty(&client->asks)) {
		struct pool_ask *ask = container_of(client->asks.next,
						    struct pool_ask, of_client);
		bool lease = ask->q.has[POOL_DO_LEASE];

		if (lease && list_empty(&ask->link)) {
			pool_ask_leave_client(ask);
			continue;
		}
		if (lease)
			ask->pool->nr_queue--;
		pool_ask_free(ask);
	}
	free(client->group);
	client->group = NULL;
}

/* ---- answers ---- */

/* Who does not read its answers is hung up on by the server. */
static void pool_answer_send(struct pool_client *client, uint64_t tag,
			     struct pool_answer *answer)
{
	answer->v = POOL_WIRE_VERSION;
	answer->tag = tag;
	(void)client->answer(client, answer, NULL, 0);
}

void pool_answer_done(struct pool_client *client, uint64_t tag)
{
	struct pool_answer answer = {0};

	pool_answer_send(client, tag, &answer);
}

void pool_answer_error(struct pool_client *client, uint64_t tag,
		       enum pool_code code, const char *text)
{
	char copy[ERR_TEXT_MAX];
	struct pool_answer answer = {
		.has_error = true,
		.error = {.code = code, .text = copy},
	};

	(void)snprintf(copy, sizeof(copy), "%s", text);
	pool_answer_send(client, tag, &answer);
}

void pool_answer_exit(struct pool_client *client, uint64_t tag,
		      const struct pool_exit *how)
{
	struct pool_answer answer = {.has_exit = true, .exit = *how};

	pool_answer_send(client, tag, &answer);
}
