// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_client.c - any bytes as the answer of a VM's API, at once and in pieces
 *
 * The first byte is the size of the pieces, the rest is what the server sends
 * before it closes. However it is cut, it means the same.
 */
#include "api_fuzz.h"

#include "base/fd.h"
#include "client/api_client.h"

#include <sys/socket.h>

#define PIECES_MAX 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Each packet comes by itself, and its end is that of a piece. Return: as
 * api_client_call(). */
static int one_call(const uint8_t *data, size_t size, size_t step,
		    struct api_answer *answer)
{
	struct api_client client;
	int ends[2], r;

	fuzz_check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
			      ends) == 0);
	for (size_t n; size > 0; data += n, size -= n) {
		n = size < step ? size : step;
		fuzz_check(send(ends[1], data, n, MSG_DONTWAIT) == (ssize_t)n);
	}
	fd_close(&ends[1]);
	fuzz_check(api_client_open_fd(&client, ends[0]) == 0);
	r = api_client_call(&client, "GET", "/", NULL, 0, answer);
	fuzz_check((r == 0) == (client.fd >= 0));
	if (r == 0)
		fuzz_check(answer->status >= 200 && answer->status < 600 &&
			   answer->len <= API_CLIENT_BODY_MAX &&
			   answer->body >= answer->raw.data &&
			   answer->body + answer->len ==
				   answer->raw.data + answer->raw.len);
	api_client_close(&client);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct api_answer whole, pieces;
	size_t step;
	int r;

	if (size < 2 || size > 4096)
		return 0;
	step = data[0] % 40u + 1;
	if (step < size / PIECES_MAX + 1)
		step = size / PIECES_MAX + 1;
	r = one_call(data + 1, size - 1, size, &whole);
	/* Bytes behind an answer may come too late to be seen. */
	if (one_call(data + 1, size - 1, step, &pieces) != r)
		fuzz_check(r == -EBADMSG);
	else if (r == 0)
		fuzz_check(whole.status == pieces.status &&
			   whole.len == pieces.len &&
			   memcmp(whole.body, pieces.body, whole.len) == 0);
	api_answer_free(&whole);
	api_answer_free(&pieces);
	return 0;
}
